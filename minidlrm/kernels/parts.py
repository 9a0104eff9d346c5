"""A large call of a kernel, cut into parts: a thread each, on the cores that are free."""

import functools
import inspect
import itertools
from concurrent.futures import ThreadPoolExecutor

from minidlrm.machine import free_cores, resting

_MUCH = 1 << 22  # numbers that are read, from which on a call starts threads
_SOME = 1 << 20  # and from which on it is worth to wake the threads of a team


def threads_for(numbers):
    """Return how many threads a call takes that reads so many numbers.

    In a step of `fit` they are those of its team, while no block is walked.
    """
    team = resting.team
    if team is not None:
        return team.workers if numbers >= _SOME else 1
    return free_cores() if numbers >= _MUCH else 1


def in_parts(count, numbers, work):
    """Call work(part) for slices of range(count): for one, or at once for `threads_for` of them."""
    threads, team = threads_for(numbers), resting.team
    if threads == 1:
        work(slice(0, count))
        return
    ends = [count * k // threads for k in range(threads + 1)]
    parts = list(itertools.starmap(slice, itertools.pairwise(ends)))
    if team is not None:
        team.walk(range(threads), lambda k: work(parts[k]), threads)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, parts))


def rows_in_parts(kernel):
    """Let a kernel that updates each of `rows` by its own row of `grad` take all free cores."""
    plain = getattr(kernel, "py_func", kernel)
    at = [*inspect.signature(plain).parameters].index("rows")

    @functools.wraps(plain)
    def update(*arguments):
        if len(arguments[at]) == 1 or threads_for(arguments[at + 1].size) == 1:  # as nearly always
            return kernel(*arguments)
        before, (rows, grad), after = arguments[:at], arguments[at : at + 2], arguments[at + 2 :]
        in_parts(len(rows), grad.size, lambda part: kernel(*before, rows[part], grad[part], *after))
        return None

    return update
