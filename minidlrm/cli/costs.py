"""minidlrm show --ranks: what each way to share out the tables costs, measured and computed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rich.console import Console

from minidlrm.across import RankBlocks
from minidlrm.blocks import Team, blocks_for
from minidlrm.cli.ranks import mpiexec
from minidlrm.data.batch import Batch
from minidlrm.data.cutting import unread
from minidlrm.languages import say
from minidlrm.losses import BCEWithLogits
from minidlrm.machine import cores, keep_memory
from minidlrm.models import MODELS, Model
from minidlrm.optim import Adagrad
from minidlrm.parallel import mpi, run, sharded
from minidlrm.parallel.comm import Communicator, as_ranks
from minidlrm.parallel.cost import Network, Work, measured, seconds
from minidlrm.parallel.planning import outline, plans
from minidlrm.printing import as_rich

_ROWS = 100_000  # of a table that is measured; a larger one costs a little more, in cache misses
_PATIENCE = 120  # seconds that processes over MPI may take
_STEPS, _LEAST = 3, 1.5  # steps that are timed in a turn; seconds of them, in all turns

Make = Callable[[Sequence[int]], Model]


def show_ranks(console: Console, make: Make, sizes: Sequence[int], ranks: int, rows: int) -> None:
    """Print memory, bytes, messages and time of a step of each plan.

    `make` makes the model with tables of these sizes; `rows` is B.
    """
    as_ranks(ranks)
    model = outline(lambda: make(sizes))
    count = blocks_for(model, rows)
    small = outline(lambda: make([min(n, _ROWS) for n in sizes]))
    work, network, where = measured_here(small, rows, ranks)
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
        lines.append((plan.by, *sizes_of, f"{plan.messages:,}", *times))
    title = say("a step of B = {rows} on {ranks} ranks, Adagrad", rows=f"{rows:,}", ranks=ranks)
    console.print(as_rich(title, lines, left=1))
    alone = 1e3 * (work.walk + work.tables + work.dense)
    console.print(
        say(
            "measured here, in {where}: the work of a whole step on one core, {alone} ms, in "
            "{count} blocks; a message, {alpha} µs and {beta} ns a byte. Computed: everything in "
            "the table. By row, bytes and time are upper bounds: an id that a block repeats "
            "travels once.",
            where=where,
            alone=f"{alone:,.2f}",
            count=count,
            alpha=f"{1e6 * network.alpha:,.1f}",
            beta=f"{1e9 * network.beta:,.3f}",
        ),
        soft_wrap=True,
        highlight=False,
    )


def measured_here(model: Any, rows: int, ranks: int) -> tuple[Work, Network, str]:
    """Measure what T(R) is computed from, in as many processes as there are ranks, or cores.

    `model` is outlined. Without MPI, work is measured in this process, and messages between two
    threads of it.
    """
    several = min(ranks, max(2, cores()))
    several = 1 << (several.bit_length() - 1)
    about: tuple[str, Any, int] = type(model).__name__, model.config, rows
    try:
        line = [mpiexec(), "-n", str(several), sys.executable, "-m", "mpi4py", "-m", __name__]
        options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "capture_output": True}
        options["timeout"] = _PATIENCE
        done = subprocess.run([*line, json.dumps(about)], text=True, check=True, **options)
        work, network = json.loads(done.stdout.splitlines()[-1])
        where = say("one process")
        if several > 1:
            where = say("{count} processes at once, over MPI", count=several)
        return Work(*work), Network(*network), where
    except (OSError, subprocess.SubprocessError, ValueError, LookupError):
        work, network = run(1, lambda comm: measure(comm, comm, *about))[0]
        if ranks > 1:
            network = run(2, measured)[0]
        return (
            work,
            network,
            say("one process with threads, since processes over MPI did not answer"),
        )


def measure(
    comm: Communicator,
    alone: Communicator,
    name: str,
    config: dict[str, Any],
    rows: int,
    between: Callable[[], None] = lambda: None,
) -> tuple[Work, Network]:
    """Measure the work of a step on all ranks of `comm` at once, and the messages between them.

    Each rank takes whole steps of its own, B random rows with Adagrad, and sends nothing: `alone`
    is its communicator of one rank. So it shares the machine's memory as in a step on all ranks. A
    step is as long as that of the slowest. `between` is called between turns of a few steps.
    """
    rank = _Alone(comm, alone, name, config, rows)
    networks: list[Network] = []
    with Team(1):
        while len(networks) < 2 or rank.seconds() < _LEAST:
            rank.step()
            del rank.taken[-1]  # caches are as the last turn has left them
            for _ in range(_STEPS):
                rank.step()
            if comm.size > 1:
                networks.append(measured(comm))
            else:
                networks.append(Network(0.0, 0.0))
            between()
    return rank.work(), _middle(networks)


def _middle(networks: Sequence[Network]) -> Network:
    found = np.median([[each.alpha, each.beta] for each in networks], axis=0)
    return Network(*found.tolist())


class _Alone:
    """A rank that has a whole model, and takes steps of which each part is timed."""

    def __init__(self, comm: Communicator, alone: Communicator, name: str, config: Any, rows: int):
        known = {entry.cls.__name__: entry.cls for entry in MODELS.values()}
        with sharded(alone, "table"):
            model = known[name](**config)
        (self.rows,) = unread(random_rows(model, rows), rows)
        self.comm, self.blocks = comm, RankBlocks(model, BCEWithLogits(), Team(1))
        self.tables = list(self.blocks.tables)
        self.dense = [p for p in model.parameters() if p not in self.blocks.tables]
        self.optimizers = Adagrad(lr=1e-6), Adagrad(lr=1e-6)
        self.count = blocks_for(model, rows)
        self.taken: list[np.ndarray] = []  # (3,) each: seconds of walk, tables and dense
        keep_memory()

    def step(self) -> None:
        of_tables, of_dense = self.optimizers
        self.comm.barrier()
        times = [time.perf_counter()]
        self.blocks.take(self.rows)
        self.blocks.grad_norm(exact=False)
        times.append(time.perf_counter())
        of_tables.step(self.tables)
        times.append(time.perf_counter())
        of_dense.step(self.dense)
        times.append(time.perf_counter())
        self.taken.append(self.comm.all_reduce(np.diff(times), add=np.maximum))

    def seconds(self) -> float:
        return float(np.sum(self.taken))

    def work(self) -> Work:
        walk, tables, dense = np.median(self.taken, axis=0).tolist()
        return Work(walk, tables, dense, self.count)


def random_rows(model: Model, rows: int) -> Batch:
    """Return a batch of this many rows for a model: all ids of a table are equally likely."""
    rng, sizes = np.random.default_rng(0), model.config["table_sizes"]
    dense = rng.normal(size=(rows, model.config.get("num_dense", 0))).astype(np.float32)
    ids = np.stack([rng.integers(0, n, rows) for n in sizes], axis=1)
    return Batch(dense, ids, (rng.random(rows) < 0.25).astype(np.float32))


if __name__ == "__main__":
    from mpi4py import MPI

    comm = mpi()
    found = measure(comm, mpi(MPI.COMM_SELF), *json.loads(sys.argv[1]))
    if comm.rank == 0:
        print(json.dumps([list(vars(part).values()) for part in found]))
