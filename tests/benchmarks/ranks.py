"""The measured table of docs/parallel.md: predicted and measured time of a step on ranks.

    python -m tests.benchmarks.ranks [--ranks 1 2] [--write]

For two sizes of DLRM and each number of ranks: what the cost model predicts from a run on one core
and a run of messages, and what a step takes over MPI (the median). With --write, docs/measured gets
the table, and what the figure of the speed-up is computed from. Run it on a quiet machine that has
a core for each rank.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

import minidlrm as md
from minidlrm.across import RankBlocks
from minidlrm.blocks import Team, blocks_for
from minidlrm.cli.costs import _random, network_here, work_of
from minidlrm.cli.ranks import mpiexec
from minidlrm.data.cutting import unread
from minidlrm.machine import keep_memory, processor
from minidlrm.parallel import mpi, sharded
from minidlrm.parallel.cost import seconds
from minidlrm.parallel.planning import outline, plans

DOCS = Path(__file__).parents[2] / "docs"
BATCH = 2048
SIZES = {
    "13 features, 26 tables, D = 16, MLPs 512-256-64 and 512-256": lambda: md.DLRM(
        13, [100_000] * 26, 16, (512, 256, 64), (512, 256)
    ),
    "13 features, 8 tables, D = 64, MLPs 512-512 and 1024-1024": lambda: md.DLRM(
        13, [100_000] * 8, 64, (512, 512), (1024, 1024)
    ),
}
HEAD = ("model", "ranks", "predicted, ms", "measured, ms", "difference", "MB a step, counted")


def step_on_ranks(name: str) -> None:
    """On every rank: time a step, and print the median and the bytes of one step."""
    comm, make, optimizer = mpi(), SIZES[name], md.Adagrad(lr=1e-6)
    with sharded(comm, "table"):
        model = make()
    (rows,) = unread(_random(model, BATCH), BATCH)
    keep_memory()
    with Team(1) as team:
        blocks = RankBlocks(model, md.BCEWithLogits(), team)

        def step() -> None:
            blocks.take(rows)
            blocks.grad_norm(exact=False)
            blocks.step(optimizer)

        step()
        before = sum(s.bytes for s in comm.totals().values())
        step()
        sent = sum(s.bytes for s in comm.totals().values()) - before
        taken = []
        for _ in range(30):  # all ranks the same number
            comm.barrier()
            taken.append(timed_once(step))
    slowest = comm.all_reduce(np.array([np.median(taken)]), add=np.maximum)
    if comm.rank == 0:
        print(json.dumps([float(slowest[0]), sent]))


def timed_once(run) -> float:
    import time

    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measured(name: str, ranks: int) -> tuple[float, int]:
    """Return the seconds of a step over MPI, and its bytes."""
    line = [mpiexec(), "-n", str(ranks), sys.executable, "-m", "mpi4py"]
    line += ["-m", "tests.benchmarks.ranks", "--step", name]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    step, sent = json.loads(done.stdout.splitlines()[-1])
    return step, sent


def table(numbers: list[int]) -> tuple[str, dict]:
    """Return the table, and what was measured to compute with."""
    keep_memory()
    network, where = network_here()
    lines = [f"| {' | '.join(HEAD)} |", "| --- " * len(HEAD) + "|"]
    for name, make in SIZES.items():
        work, model = work_of(make(), BATCH), outline(make)
        for ranks in numbers:
            plan = plans(model, ranks, BATCH, blocks_for(model, BATCH))[0]
            expected = seconds(plan, work, network, ranks)["step"]
            step, sent = measured(name, ranks)
            lines.append(
                f"| {name} | {ranks} | {1e3 * expected:.1f} | {1e3 * step:.1f} | "
                f"{100 * (expected / step - 1):+.0f}% | {sent / 1e6:.2f} |"
            )
    cpu = processor()["model name"]
    lines += ["", f"{cpu}; messages between {where}: {1e6 * network.alpha:.2f} µs and "]
    lines[-1] += f"{1e9 * network.beta:.3f} ns a byte."
    return "\n".join(lines) + "\n", {"machine": cpu, "network": [network.alpha, network.beta]}


def work_of_the_paper() -> dict[str, list[float]]:
    """Measure the configurations of the figure at 2,048 rows; scale to its batch."""
    sys.path.insert(0, str(DOCS / "_ext"))
    import rank_pictures

    scale, found = rank_pictures.ROWS / BATCH, {}
    for title, make in rank_pictures.CONFIGS.items():
        work = work_of(make(100_000), BATCH)
        blocks = blocks_for(outline(make), rank_pictures.ROWS)
        found[title] = [work.walk * scale, work.tables * scale, work.dense, blocks]
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--write", action="store_true", help="Write docs/measured.")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        step_on_ranks(arguments.step)
        sys.exit()
    text, stored = table(arguments.ranks)
    print(text)
    if arguments.write:
        stored["work"] = work_of_the_paper()
        (DOCS / "measured" / "ranks.md").write_text(text, encoding="utf-8")
        path = DOCS / "measured" / "ranks.json"
        path.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
