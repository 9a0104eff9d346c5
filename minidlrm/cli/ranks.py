"""--ranks: start the ranks of a run, and speak with one voice.

``minidlrm train --ranks 4`` starts ``mpiexec -n 4 python -m mpi4py -m minidlrm train ...``. The
module mpi4py ends all ranks when one of them raises; mpiexec ends them when one is killed.
"""

from __future__ import annotations

import json
import locale
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from minidlrm.blocks import blocks_for
from minidlrm.cli.options import refuse
from minidlrm.cli.summary import warning
from minidlrm.data import Dataset
from minidlrm.data.batch import Jagged
from minidlrm.data.rankings import RankingDataset
from minidlrm.languages import Message, say
from minidlrm.machine import cores
from minidlrm.models import Model
from minidlrm.parallel import planning
from minidlrm.parallel.comm import Communicator, as_ranks, check_mpi, mpi
from minidlrm.parallel.folder import index_of
from minidlrm.parallel.parts import WAYS
from minidlrm.parallel.sharding import comm_of, sharded

RanksOption = Annotated[
    int | None,
    typer.Option(
        "--ranks",
        help="Processes that share the tables and each batch, over MPI; a power of two.",
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        help=Message("With --ranks: tables by {ways}.", ways=", ".join(WAYS)),
        show_default="the one of least bytes that fits into memory",
    ),
]
_LAUNCHED = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK")  # variables of a process of mpiexec
_ON_RANKS = ("train",)  # commands
_FIRST = 2.5  # seconds in which rank 0 may say what all would say
_BANNER, _BANNER_END = "====", "Please see the FAQ"  # of mpiexec, around a rank that was killed


def communicator(ranks: int | None) -> Communicator | None:
    """Return the ranks of this run, or None without any; with --ranks, start them and exit.

    ValueError when `ranks` is no power of two, or not what mpiexec has started; ImportError where
    there is no MPI.
    """
    if is_ranked():
        comm = mpi()
        if ranks not in (None, comm.size):
            raise ValueError(
                Message(
                    "--ranks is {ranks}, and mpiexec has started {size}: give one",
                    ranks=ranks,
                    size=comm.size,
                )
            )
        return comm
    if any(name in os.environ for name in _LAUNCHED):
        raise ValueError(
            Message(
                "under mpiexec, write: mpiexec -n N python -m mpi4py -m minidlrm train ...; "
                "then an error on one rank ends all of them"
            )
        )
    if ranks is None:
        return None
    sys.exit(_start(as_ranks(ranks), ["-m", "minidlrm", *sys.argv[1:]]))  # all has been said


def is_ranked() -> bool:
    """Whether this process was started by ``python -m mpi4py``."""
    return "mpi4py.run" in sys.modules


def check_command(name: str) -> None:
    """Raise ValueError on several ranks, unless the command knows what to do there."""
    if not is_ranked() or name in ("", *_ON_RANKS):
        return
    from mpi4py import MPI

    if MPI.COMM_WORLD.Get_size() > 1:
        raise ValueError(
            Message(
                "{name} runs in one process, and mpiexec has started {size}: start it without "
                "mpiexec; only {commands} shares its work out",
                name=name,
                size=MPI.COMM_WORLD.Get_size(),
                commands=" and ".join(_ON_RANKS),
            )
        )


def ranks_here() -> int:
    """Return how many of the ranks are on this machine."""
    from mpi4py import MPI

    return MPI.COMM_WORLD.Split_type(MPI.COMM_TYPE_SHARED).Get_size()


def mpiexec() -> str:
    """Return the path of mpiexec: beside this Python, or on the PATH. OSError without one."""
    beside = Path(sys.executable).with_name("mpiexec")
    found = str(beside) if beside.is_file() else shutil.which("mpiexec")
    if found is None:
        raise FileNotFoundError(
            Message('mpiexec is not found: pip install "minidlrm[mpi]" brings it')
        )
    return found


def _start(ranks: int, arguments: list[str]) -> int:
    """Run Python on all ranks; return 0, 2 after an error, or 130 after Ctrl-C."""
    if platform.system() == "Windows":
        raise OSError(
            Message(
                "--ranks needs Linux or macOS: mpich has no wheel for Windows; "
                "minidlrm.parallel.run has ranks in one process, everywhere"
            )
        )
    check_mpi()
    command = [mpiexec(), "-n", str(ranks), sys.executable, "-m", "mpi4py", *arguments]
    child = subprocess.Popen(  # Ctrl-C is handed on once, and does not reach it by itself
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
    )
    interrupted = False

    def hand_on(number: int, frame: Any) -> None:
        nonlocal interrupted
        interrupted = True
        child.send_signal(signal.SIGINT)

    with _handled(hand_on):
        assert child.stdout is not None
        told = _passed_on(child.stdout)
        code = child.wait()
    if interrupted and code:
        return 130
    if told and not interrupted:
        line = say("a rank has ended: {told}; all have ended", told=told)
        print(say("error: {text}", text=line), file=sys.stderr)
    return 2 if code else 0


@contextmanager
def _handled(hand_on: Any) -> Iterator[None]:
    before = {n: signal.signal(n, hand_on) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _passed_on(stream: Any) -> str:
    """Write what ranks print, without mpiexec's banner; return what the banner says, or ""."""
    told, inside = "", False
    for raw in stream:
        line = raw.decode(locale.getpreferredencoding(False), errors="replace")
        inside = inside or line.startswith(_BANNER)
        if not inside and not line.startswith("[mpiexec@"):
            sys.stdout.write(line)
            sys.stdout.flush()
        elif "EXIT STRING:" in line:
            told = line.partition("EXIT STRING:")[2].strip()
        elif line.startswith(_BANNER_END):
            inside = False
    return told


def voice() -> str:
    """Return what comes before an error of this process: nothing, or "rank 2: ".

    Errors that all ranks meet are told by rank 0: the others wait until it has ended them.
    """
    if not is_ranked():
        return ""
    from mpi4py import MPI

    if not MPI.Is_initialized() or MPI.COMM_WORLD.Get_rank() == 0:
        return ""
    time.sleep(_FIRST)
    return say("rank {rank}: ", rank=MPI.COMM_WORLD.Get_rank())


# What `train` does on ranks


def in_turn(comm: Communicator | None, read: Callable[[], Any]) -> Any:
    """Let rank 0 read first: what it encodes is cached, and the others find it there."""
    if comm is None:
        return read()
    if comm.rank == 0:
        rows = read()
        comm.barrier()
        return rows
    comm.barrier()
    return read()


def build(
    comm: Communicator, make: Callable[[], Model], dataset: Dataset, settings: Any, by: str | None
) -> Model:
    """Make the model with its tables on all ranks; print how they are shared out, and why."""
    if isinstance(dataset, RankingDataset):
        refuse("ranks", Message("rankings"), [Message("clicks"), Message("ratings")])
    outline = planning.outline(make)
    count = blocks_for(outline, settings.batch_size)
    optimizer = settings.make_optimizer(len(dataset.train))
    sparse, per_bag = dataset.train.sparse, 1.0
    if isinstance(sparse, Jagged):
        per_bag = len(sparse.values) / max(1, len(sparse.offsets) - 1)
    plans = planning.plans(outline, comm.size, settings.batch_size, count, optimizer, per_bag)
    here = ranks_here()
    chosen, why = planning.choose(plans, planning.memory() // here, by)
    if comm.rank == 0:
        lines = [
            say(
                "tables by {way} on {ranks} ranks: {why}",
                way=chosen.by,
                ranks=comm.size,
                why=say(why),
            ),
            *map(warning, _warnings(settings.batch_size, count, comm.size, here)),
        ]
        print("\n".join(lines), flush=True)
    with sharded(comm, chosen.by):
        return make()


def _warnings(batch_size: int, blocks: int, ranks: int, here: int) -> Iterator[str]:
    if blocks < ranks:
        yield say(
            "a batch of {rows} rows is {blocks} blocks: {idle} of {ranks} ranks hold tables, and "
            "have no rows",
            rows=batch_size,
            blocks=blocks,
            idle=ranks - blocks,
            ranks=ranks,
        )
    if here > cores():
        yield say(
            "{ranks} ranks on {cores} cores: they wait for each other; the results are the same, "
            "the time is not",
            ranks=here,
            cores=cores(),
        )


def told(folder: Path) -> str:
    """Return the line with the hash of all parameters: that of a checkpoint in one file."""
    index = index_of(folder)
    content = json.loads(index.read_text(encoding="utf-8"))["content"] if index else ""
    return say("SHA-256 of the parameters: {content}", content=content)


def speaks(model: Model) -> bool:
    """Whether this process prints, and writes what there is once: rank 0, or the only one."""
    comm = comm_of(model)
    return comm is None or comm.rank == 0
