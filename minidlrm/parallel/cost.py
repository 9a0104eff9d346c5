"""The cost of a step on R ranks: work, messages times alpha, bytes times beta.

    T(R) = (walk + tables) / min(R, K) + dense + m alpha + n beta

A rank walks its share of the K blocks, and updates its share of the tables' rows. Every rank
updates all dense parameters. It sends m messages and n bytes: `planning.plans` has the formulas.
Alpha is the time of an empty message, beta that of a byte; both are fitted to a short run of swaps.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minidlrm.parallel.comm import Communicator
from minidlrm.parallel.planning import Plan

__all__ = ["Network", "Work", "fitted", "measured", "seconds", "takes_over"]

_SIZES = (8, 64, 512, 4096, 32768, 262144, 2097152)  # bytes
_WORK = 4 << 20  # bytes between two messages: more than a core has in a cache of its own


@dataclass(frozen=True)
class Network:
    """What a message costs.

    Parameters
    ----------
    alpha : float
        Seconds of a message of no bytes.
    beta : float
        Seconds of a byte.
    """

    alpha: float
    beta: float


@dataclass(frozen=True)
class Work:
    """The seconds of a step on one rank that has the whole model.

    Parameters
    ----------
    walk : float
        All blocks, forward and backward, and the norm of the gradients.
    tables, dense : float
        The optimizer, on the rows of tables, and on all other parameters.
    blocks : int
        K.
    """

    walk: float
    tables: float
    dense: float
    blocks: int


def fitted(sizes: Sequence[int], times: Sequence[float]) -> Network:
    """Fit alpha + n beta to the times of messages of n bytes, each relative to its size.

    Examples
    --------
    >>> from minidlrm.parallel.cost import fitted
    >>> fitted([8, 1000, 100_000], [1.008e-6, 2e-6, 101e-6])
    Network(alpha=1e-06, beta=1e-09)
    """
    n, t = np.asarray(sizes, np.float64), np.asarray(times, np.float64)
    columns = np.stack([1 / t, n / t], axis=1)
    (alpha, beta), *_ = np.linalg.lstsq(columns, np.ones(len(t)), rcond=None)
    return Network(round(max(float(alpha), 0.0), 12), round(max(float(beta), 0.0), 15))


def measured(comm: Communicator, rounds: int = 9) -> Network:
    """Return what a message between two ranks costs here, from rounds of messages of each size.

    As in a step, the ranks have worked on other numbers before, a message has just been made, and
    it arrives in a new array. Of each round the slower rank counts, and of the rounds the median.
    ValueError with one rank: it sends nothing.
    """
    if comm.size == 1:
        raise ValueError("one rank sends no messages: measure with two or more")
    other, taken = comm.rank ^ 1, np.empty((rounds, len(_SIZES)))
    work = np.zeros(_WORK, np.uint8)
    for k in range(rounds):
        for n, size in enumerate(_SIZES):
            work += np.uint8(1)
            x = np.ones(size, np.uint8)
            comm.barrier()
            start = time.perf_counter()
            comm.swap({other: x}, {other: np.empty_like(x)}, "measuring")
            taken[k, n] = time.perf_counter() - start
    slower = comm.all_reduce(taken, add=np.maximum)
    return fitted(_SIZES, np.median(slower, axis=0).tolist())


def seconds(plan: Plan, work: Work, network: Network, ranks: int) -> dict[str, float]:
    """Return the parts of T(R), by name, and their sum as "step".

    Examples
    --------
    >>> from minidlrm.parallel.cost import Network, Work, seconds
    >>> from minidlrm.parallel.planning import Plan
    >>> plan = Plan("table", memory=0, sent={}, busiest=2, messages=4)
    >>> seconds(plan, Work(0.75, 0.25, 0.5, 4), Network(0.0625, 0.5), ranks=2)
    {'work': 1.0, 'messages': 0.25, 'bytes': 1.0, 'step': 2.25}
    """
    share = (work.walk + work.tables) / min(ranks, work.blocks)
    parts = {
        "work": share + work.dense,
        "messages": plan.messages * network.alpha,
        "bytes": plan.busiest * network.beta,
    }
    return {**parts, "step": sum(parts.values())}


def takes_over(steps: Sequence[tuple[int, dict[str, float]]]) -> int | None:
    """Return the first number of ranks at which sending takes longer than work; None without one.

    Examples
    --------
    >>> from minidlrm.parallel.cost import takes_over
    >>> takes_over([(1, {"work": 1.0, "step": 1.0}), (2, {"work": 0.5, "step": 1.1})])
    2
    """
    for ranks, parts in steps:
        if parts["step"] - parts["work"] > parts["work"]:
            return ranks
    return None
