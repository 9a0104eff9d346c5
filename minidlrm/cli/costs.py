"""minidlrm show --ranks: what each way to share out the tables costs, measured and computed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence

import numpy as np
from rich.console import Console

from minidlrm.blocks import Blocks, Team, blocks_for
from minidlrm.cli.ranks import mpiexec
from minidlrm.data.batch import Batch
from minidlrm.languages import say
from minidlrm.losses import BCEWithLogits
from minidlrm.models import Model
from minidlrm.optim import Adagrad
from minidlrm.parallel import run
from minidlrm.parallel.comm import as_ranks
from minidlrm.parallel.cost import Network, Work, measured, seconds, timed
from minidlrm.parallel.planning import outline, plans
from minidlrm.printing import as_rich

_ROWS = 100_000  # of a table that is measured; a larger one costs a little more, in cache misses

Make = Callable[[Sequence[int]], Model]


def show_ranks(console: Console, make: Make, sizes: Sequence[int], ranks: int, rows: int) -> None:
    """Print memory, bytes, messages and time of a step of each plan.

    `make` makes the model with tables of these sizes; `rows` is B.
    """
    as_ranks(ranks)
    model = outline(lambda: make(sizes))
    count = blocks_for(model, rows)
    work, (network, where) = work_of(make([min(n, _ROWS) for n in sizes]), rows), network_here()
    head = (
        *(say("tables by"), say("MiB a rank"), say("MB a step"), say("messages")),
        *(say("ms work"), say("ms sending"), "ms"),
    )
    lines: list[tuple[str, ...]] = [head]
    for plan in plans(model, ranks, rows, count, Adagrad()):
        parts = seconds(plan, work, network, ranks)
        sending = parts["messages"] + parts["bytes"]
        times = (f"{1e3 * t:,.2f}" for t in (parts["work"], sending, parts["step"]))
        sizes_of = (f"{plan.memory / 2**20:,.1f}", f"{plan.bytes / 1e6:,.2f}")
        lines.append((say(plan.by), *sizes_of, f"{plan.messages:,}", *times))
    title = say("a step of B = {rows} on {ranks} ranks, Adagrad", rows=f"{rows:,}", ranks=ranks)
    console.print(as_rich(title, lines, left=1))
    alone = 1e3 * (work.walk + work.tables + work.dense)
    console.print(
        say(
            "measured here: a step in one process on one core, {alone} ms, in {count} blocks; "
            "a message between {where}, {alpha} µs and {beta} ns a byte. Computed: everything in "
            "the table. By row, bytes and time are upper bounds: an id that a block repeats "
            "travels once.",
            alone=f"{alone:,.2f}",
            count=count,
            where=where,
            alpha=f"{1e6 * network.alpha:,.1f}",
            beta=f"{1e9 * network.beta:,.3f}",
        ),
        soft_wrap=True,
        highlight=False,
    )


def work_of(model: Model, rows: int) -> Work:
    """Measure a step in one process, on one core, on random rows: Adagrad, B rows."""
    batch, first, second = _random(model, rows), Adagrad(lr=1e-6), Adagrad(lr=1e-6)
    tables = [p for name, p in model.named_parameters() if _is_table(model, name)]
    dense = [p for p in model.parameters() if p not in tables]
    with Team(1) as team:
        blocks = Blocks(model, BCEWithLogits(), team)

        def walk_all() -> None:
            blocks.take(batch)
            blocks.grad_norm(exact=False)

        walk = timed(walk_all)
        of_tables = timed(lambda: first.step(tables))
        of_dense = timed(lambda: second.step(dense))
    return Work(walk, of_tables, of_dense, blocks_for(model, rows))


def _is_table(model: Model, name: str) -> bool:
    part = dict(model.named_modules())[name.rpartition(".")[0]]
    return hasattr(part, "starts")


def _random(model: Model, rows: int) -> Batch:
    rng, sizes = np.random.default_rng(0), model.config["table_sizes"]
    dense = rng.normal(size=(rows, model.config.get("num_dense", 0))).astype(np.float32)
    ids = np.stack([rng.integers(0, n, rows) for n in sizes], axis=1)
    return Batch(dense, ids, (rng.random(rows) < 0.25).astype(np.float32))


def network_here() -> tuple[Network, str]:
    """Measure a message: between two processes over MPI, or between threads where there is none."""
    try:
        line = [mpiexec(), "-n", "2", sys.executable, "-m", "mpi4py", "-m", __name__]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
        where = say("two processes over MPI")
        return Network(*json.loads(done.stdout.splitlines()[-1])), where
    except (OSError, subprocess.SubprocessError, ValueError, LookupError):
        where = say("two threads of a process, since MPI does not start here")
        return run(2, measured)[0], where


if __name__ == "__main__":
    from minidlrm.parallel import mpi

    comm = mpi()
    found = measured(comm)
    if comm.rank == 0:
        print(json.dumps([found.alpha, found.beta]))
