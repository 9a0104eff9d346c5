"""Communicator: ranks that send arrays to each other, and count every byte.

There are two: over MPI (`mpi`), where each rank is a process on this machine or on another, and
in one process (`run`), where each rank is a thread: for notebooks, tests, and systems without MPI.
Both have one primitive, to swap buffers with some of the others. All-to-all, all-gather, broadcast
and the butterfly are built on it here, once: so both give the same bits, and count the same bytes.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from minidlrm.arrays import as_size

__all__ = ["Communicator", "RankFailedError", "Sent", "as_ranks", "mpi", "run"]

_NEEDED = (
    'ranks need MPI ({}): pip install "minidlrm[mpi]" brings it for Linux and macOS; '
    "minidlrm.parallel.run has ranks in one process, everywhere"
)
_PATIENCE = 0.05  # seconds between two looks at whether another rank has failed


class RankFailedError(RuntimeError):
    """Another rank has failed, so that this one waits in vain."""


@dataclass
class Sent:
    """What one rank has sent to others; what it keeps for itself is not counted.

    Parameters
    ----------
    messages, bytes : int
        How many.
    """

    messages: int = 0
    bytes: int = 0


def as_ranks(ranks: Any) -> int:
    """Return a number of ranks; ValueError unless it is a power of two.

    Examples
    --------
    >>> from minidlrm.parallel.comm import as_ranks
    >>> as_ranks(4)
    4
    >>> as_ranks(3)
    Traceback (most recent call last):
        ...
    ValueError: ranks is 3: it must be a power of two, so that sums have one order; 2 or 4
    """
    ranks = as_size("ranks", ranks)
    if ranks & (ranks - 1):
        below = 1 << (ranks.bit_length() - 1)
        raise ValueError(
            f"ranks is {ranks}: it must be a power of two, so that sums have one order; "
            f"{below} or {2 * below}"
        )
    return ranks


class Communicator:
    """The ranks of a run, seen from one of them. `mpi` and `run` make it.

    Every method is collective: all ranks call it, in the same order, or all wait.

    Parameters
    ----------
    rank, size : int
        Which one this is, from 0 on; and how many there are, a power of two.

    Attributes
    ----------
    sent : dict of str to Sent
        What this rank has sent, by what it was for.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.parallel import run
    >>> def work(comm):
    ...     parts = comm.all_to_all([np.array([10 * comm.rank + r]) for r in range(comm.size)])
    ...     return [int(part[0]) for part in parts], int(comm.all_reduce(np.array([1]))[0])
    >>> run(2, work)                         # rank 0 gets 0 and 10, rank 1 gets 1 and 11
    [([0, 10], 2), ([1, 11], 2)]
    """

    def __init__(self, rank: int, size: int):
        self.size = as_ranks(size)
        self.rank = as_size("rank", rank, 0, size - 1)
        self.sent: dict[str, Sent] = {}

    def swap(
        self, sends: Mapping[int, np.ndarray], receives: Mapping[int, np.ndarray], what: str
    ) -> None:
        """Send arrays to ranks, and fill arrays from ranks; both by the rank's number.

        An array that is sent arrives in one of the same size, in bytes. Empty ones are not sent.
        """
        sends = {r: np.ascontiguousarray(x) for r, x in sends.items() if x.nbytes}
        count = self.sent.setdefault(what, Sent())
        count.messages += len(sends)
        count.bytes += sum(x.nbytes for x in sends.values())
        self._swap(sends, {r: x for r, x in receives.items() if x.nbytes})

    def _swap(self, sends: dict[int, np.ndarray], receives: dict[int, np.ndarray]) -> None:
        raise NotImplementedError(f"{type(self).__name__} has no _swap")

    # Built on swap

    def all_to_all(
        self,
        parts: Sequence[np.ndarray],
        lengths: Sequence[int] | None = None,
        what: str = "all to all",
    ) -> list[np.ndarray]:
        """Send ``parts[r]`` to rank r; return what each rank has sent here, in their order.

        Parameters
        ----------
        parts : list of array
            One for each rank. The arrays (n_r, ...) differ in their length at most.
        lengths : sequence of int, optional
            The length of what comes from each rank, where it is known. Otherwise it is asked for:
            another message of 8 bytes to each rank, counted as "lengths".
        what : str
            What it is counted as.

        Returns
        -------
        list of array
        """
        if len(parts) != self.size:
            raise ValueError(f"parts has {len(parts)} arrays: it must have one for each rank")
        if lengths is None:
            mine = [np.array([len(part)]) for part in parts]
            lengths = [int(x[0]) for x in self.all_to_all(mine, [1] * self.size, "lengths")]
        first = parts[self.rank]
        shapes = [(int(n), *first.shape[1:]) for n in lengths]
        got = [np.empty(shape, first.dtype) for shape in shapes]
        got[self.rank] = first
        others = [r for r in range(self.size) if r != self.rank]
        self.swap({r: parts[r] for r in others}, {r: got[r] for r in others}, what)
        return got

    def all_gather(
        self, x: np.ndarray, lengths: Sequence[int] | None = None, what: str = "all gather"
    ) -> list[np.ndarray]:
        """Return the arrays x of all ranks; they differ in their length at most."""
        return self.all_to_all([x] * self.size, lengths, what)

    def gather(self, x: np.ndarray, what: str = "gather") -> list[np.ndarray]:
        """Return the arrays x of all ranks to rank 0, and empty ones to the others."""
        return self.all_to_all([x] + [x[:0]] * (self.size - 1), None, what)

    def all_reduce(
        self,
        x: np.ndarray,
        busy: int | None = None,
        what: str = "all reduce",
        add: Callable[[Any, Any], Any] = np.add,
    ) -> np.ndarray:
        """Return the sum of x over all ranks, to all of them, as a butterfly.

        In round d = 1, 2, 4, ... ranks that differ in the bit d swap what they have, and both add:
        the lower rank's first. It is the balanced binary tree over the ranks, and since a + b is
        b + a in floating point, every rank has the same bits.

        Parameters
        ----------
        x : array
            Of one shape on all ranks.
        busy : int, optional
            How many ranks, the first ones, have something to add. The others send what they have,
            and it is not looked at: 0 would not do, since -0.0 + 0.0 is 0.0.
        what : str
            What it is counted as.
        add : callable
            The sum of two arrays, the left one first.

        Returns
        -------
        array
        """
        busy, d = self.size if busy is None else busy, 1
        while d < self.size:
            other, theirs = self.rank ^ d, np.empty_like(x)
            self.swap({other: x}, {other: theirs}, what)
            low, high = (x, theirs) if self.rank < other else (theirs, x)
            first_of_high = max(self.rank, other) // d * d  # of the ranks whose sum it is
            x = add(low, high) if first_of_high < busy else low
            d *= 2
        return x

    def broadcast(self, x: np.ndarray, root: int = 0, what: str = "broadcast") -> np.ndarray:
        """Return the array x of rank `root`, to all; theirs say its shape and dtype."""
        if self.rank == root:
            self.swap({r: x for r in range(self.size) if r != root}, {}, what)
            return x
        got = np.empty_like(x, order="C")
        self.swap({}, {root: got}, what)
        return got

    def barrier(self) -> None:
        """Wait until all ranks are here."""
        self.all_reduce(np.zeros(1, np.uint8), what="barrier")

    def totals(self) -> dict[str, Sent]:
        """Return what all ranks together have sent, by what it was for; not counted itself.

        All ranks must have sent the same kinds of things.
        """
        names = sorted(self.sent)
        before = {name: Sent(self.sent[name].messages, self.sent[name].bytes) for name in names}
        mine = np.array([[s.messages, s.bytes] for s in before.values()], np.int64).reshape(-1, 2)
        total = self.all_reduce(mine)
        self.sent = before
        return {n: Sent(int(m), int(b)) for n, (m, b) in zip(names, total, strict=True)}

    def __deepcopy__(self, memo: dict[int, Any]) -> Communicator:
        """Return itself: a model's replica speaks through the same one."""
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}(rank {self.rank} of {self.size})"


# Over MPI


class _MPI(Communicator):
    def __init__(self, comm: Any):
        super().__init__(comm.Get_rank(), comm.Get_size())
        self.comm = comm

    def _swap(self, sends: dict[int, np.ndarray], receives: dict[int, np.ndarray]) -> None:
        from mpi4py import MPI

        waiting = [self.comm.Irecv([x, MPI.BYTE], source=r) for r, x in receives.items()]
        waiting += [self.comm.Isend([x, MPI.BYTE], dest=r) for r, x in sends.items()]
        MPI.Request.Waitall(waiting)


def mpi(comm: Any = None) -> Communicator:
    """Return the communicator of the processes that ``mpiexec`` has started; 1 without it.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm, optional
        Whose ranks. The default is a duplicate of the world.

    Raises
    ------
    ImportError
        When mpi4py is not installed, or finds no MPI library.
    ValueError
        When the number of ranks is not a power of two.
    """
    check_mpi()
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise ImportError(_NEEDED.format(error)) from None
    as_ranks((comm or MPI.COMM_WORLD).Get_size())
    return _MPI(MPI.COMM_WORLD.Dup() if comm is None else comm)


def check_mpi() -> None:
    """Raise ImportError, with the remedy, when mpi4py is not installed; nothing is imported."""
    if importlib.util.find_spec("mpi4py") is None:
        raise ImportError(_NEEDED.format("mpi4py is not installed"))


# In one process


class _World:
    """What the ranks of one process share: a queue for each pair, and whether one has failed."""

    def __init__(self, size: int):
        self.size = as_ranks(size)
        self.queues = [[SimpleQueue[np.ndarray]() for _ in range(size)] for _ in range(size)]
        self.failed: tuple[int, BaseException] | None = None
        self.lock = threading.Lock()

    def fail(self, rank: int, error: BaseException) -> None:
        with self.lock:
            self.failed = self.failed or (rank, error)


class _InProcess(Communicator):
    def __init__(self, rank: int, world: _World):
        super().__init__(rank, world.size)
        self.world = world

    def _swap(self, sends: dict[int, np.ndarray], receives: dict[int, np.ndarray]) -> None:
        for r, x in sends.items():
            self.world.queues[self.rank][r].put(x.copy())
        for r, x in receives.items():
            x.reshape(-1).view(np.uint8)[:] = self._next(r).reshape(-1).view(np.uint8)

    def _next(self, source: int) -> np.ndarray:
        while True:
            with suppress(Empty):
                return self.world.queues[source][self.rank].get(timeout=_PATIENCE)
            if self.world.failed:
                raise RankFailedError(f"rank {self.world.failed[0]} has failed")


def run(ranks: int, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Call ``work(comm, *arguments)`` on several ranks, each a thread of this process.

    Parameters
    ----------
    ranks : int
        How many, a power of two.
    work : callable
        What each of them does; its first argument is the rank's `Communicator`.
    *arguments
        What all are given.

    Returns
    -------
    list
        What each rank has returned.

    Raises
    ------
    ValueError
        When `ranks` is not a power of two.
    BaseException
        What the rank that failed first has raised; the others have ended then.

    Examples
    --------
    >>> from minidlrm.parallel import run
    >>> run(4, lambda comm: comm.rank ** 2)
    [0, 1, 4, 9]
    """
    world = _World(ranks)
    results: list[Any] = [None] * ranks

    def rank_main(rank: int) -> None:
        try:
            results[rank] = work(_InProcess(rank, world), *arguments)
        except BaseException as error:
            world.fail(rank, error)

    threads = [
        threading.Thread(target=rank_main, args=(rank,), name=f"rank {rank}", daemon=True)
        for rank in range(ranks)
    ]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():
                thread.join(1)  # Ctrl-C is heard in between
    except BaseException as error:
        world.fail(-1, error)
        for thread in threads:
            thread.join(5)
        raise
    if world.failed:
        raise world.failed[1]
    return results
