"""The measured table of docs/parallel.md: predicted and measured time of a step on ranks.

    python -m tests.benchmarks.ranks [--ranks 1 2] [--write]

For two sizes of DLRM and each number of ranks R: what the cost model predicts from the work of
whole steps, without messages, in R processes at once, and from messages between two of them; and
what a step on R ranks takes (the median). Turns of both alternate. With --write, docs/measured gets
the table, and what the figure of the speed-up is computed from. Run it on a quiet machine that has
a core for each rank.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from mpi4py import MPI

import minidlrm as md
from minidlrm.across import RankBlocks
from minidlrm.blocks import Team, blocks_for
from minidlrm.cli.costs import measure, measured_here, random_rows
from minidlrm.cli.ranks import mpiexec
from minidlrm.data.cutting import unread
from minidlrm.machine import keep_memory, processor
from minidlrm.parallel import mpi, sharded
from minidlrm.parallel.cost import Network, Work, seconds
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
    """On every rank: measure what is predicted from, and in between steps on all ranks."""
    comm, make, optimizer = mpi(), SIZES[name], md.Adagrad(lr=1e-6)
    with sharded(comm, "table"):
        model = make()
    (rows,) = unread(random_rows(model, BATCH), BATCH)
    keep_memory()
    blocks, taken = RankBlocks(model, md.BCEWithLogits(), Team(1)), []

    def step() -> None:
        blocks.take(rows)
        blocks.grad_norm(exact=False)
        blocks.step(optimizer)

    def some_steps() -> None:
        step()
        for _ in range(5):
            comm.barrier()
            start = time.perf_counter()
            step()
            taken.append(time.perf_counter() - start)

    alone = mpi(MPI.COMM_SELF)
    found = measure(comm, alone, type(model).__name__, model.config, BATCH, some_steps)
    slowest = comm.all_reduce(np.array(taken), add=np.maximum)
    before = sum(s.bytes for s in comm.totals().values())
    step()
    sent = sum(s.bytes for s in comm.totals().values()) - before
    if comm.rank == 0:
        parts = [list(vars(part).values()) for part in found]
        print(json.dumps([*parts, float(np.median(slowest)), sent]))


def measured(name: str, ranks: int) -> tuple[Work, Network, float, int]:
    """Return what is predicted from; and the seconds of a step over MPI, and its bytes."""
    line = [mpiexec(), "-n", str(ranks), sys.executable, "-m", "mpi4py"]
    line += ["-m", "tests.benchmarks.ranks", "--step", name]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
    done = subprocess.run(line, text=True, check=True, **pipes)
    work, network, step, sent = json.loads(done.stdout.splitlines()[-1])
    return Work(*work), Network(*network), step, sent


def table(numbers: list[int]) -> str:
    """Return the table, in Markdown."""
    lines = [f"| {' | '.join(HEAD)} |", "| --- " * len(HEAD) + "|"]
    for name, make in SIZES.items():
        model = outline(make)
        for ranks in numbers:
            work, network, step, sent = measured(name, ranks)
            plan = plans(model, ranks, BATCH, blocks_for(model, BATCH))[0]
            expected = seconds(plan, work, network, ranks)["step"]
            lines.append(
                f"| {name} | {ranks} | {1e3 * expected:.1f} | {1e3 * step:.1f} | "
                f"{100 * (expected / step - 1):+.0f}% | {sent / 1e6:.2f} |"
            )
    cpu, alpha, beta = processor()["model name"], 1e6 * network.alpha, 1e9 * network.beta
    told = f"{cpu}; messages of the last line: {alpha:.1f} µs and {beta:.3f} ns a byte."
    return "\n".join([*lines, "", told]) + "\n"


def of_the_paper() -> dict:
    """Measure the configurations of the figure at 2,048 rows; scale to its batch."""
    sys.path.insert(0, str(DOCS / "_ext"))
    import rank_pictures

    scale, found, networks = rank_pictures.ROWS / BATCH, {}, []
    for title, make in rank_pictures.CONFIGS.items():
        model = outline(lambda make=make: make(100_000))
        work, network, where = measured_here(model, BATCH, max(rank_pictures.RANKS))
        blocks = blocks_for(outline(make), rank_pictures.ROWS)
        found[title] = [work.walk * scale, work.tables * scale, work.dense, blocks]
        networks.append([network.alpha, network.beta])
    network = np.mean(networks, axis=0).tolist()
    cpu = processor()["model name"]
    return {"machine": cpu, "where": where, "network": network, "work": found}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--write", action="store_true", help="Write docs/measured.")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        step_on_ranks(arguments.step)
        sys.exit()
    text = table(arguments.ranks)
    print(text)
    if arguments.write:
        (DOCS / "measured" / "ranks.md").write_text(text, encoding="utf-8")
        stored = json.dumps(of_the_paper(), indent=1) + "\n"
        (DOCS / "measured" / "ranks.json").write_text(stored, encoding="utf-8")
