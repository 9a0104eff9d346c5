"""Threads for large calls of kernels, cut into parts, and for the many arrays of a step."""

import functools
import inspect
import itertools
from concurrent.futures import ThreadPoolExecutor

from minidlrm.machine import free_cores, resting

_MUCH = 1 << 22  # numbers that are read, from which on a call starts threads
_SOME = 1 << 20  # and from which on it is worth to wake the threads of a team
_MANY = 1 << 20  # the same of all arrays of a step together


def threads_for(count, numbers):
    """Return how many threads a call takes that reads so many numbers, of `count` rows or bags.

    Within `fit` and `predict` they are those of the team, while it walks no block.
    """
    team = resting.team
    if numbers < (_MUCH if team is None else _SOME):
        return 1
    return max(1, min(count, free_cores() if team is None else team.workers))


def in_parts(count, numbers, work):
    """Call work(part) for slices of range(count): for one, or at once for `threads_for` of them."""
    threads, team = threads_for(count, numbers), resting.team
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


def at_once(sizes, work):
    """Call work(k) for each of the arrays of `sizes`: (numbers, numbers in rows of a table).

    The threads of a team that walks no block share the arrays out, the largest first, where there
    are many numbers. A table with many rows comes before: its kernels take all of the threads.
    """
    weights = [numbers + 3 * in_rows for numbers, in_rows in sizes]  # rows lie here and there
    order, team = sorted(range(len(sizes)), key=lambda k: -weights[k]), resting.team
    shared = [k for k in order if sizes[k][1] < _SOME]
    if team is None or sum(weights[k] for k in shared) < _MANY:
        shared = []
    for k in order:
        if k not in shared:
            work(k)
    if shared:
        team.walk(shared, work, team.workers)


def rows_in_parts(kernel):
    """Let a kernel that updates each of `rows` by its own row of `grad` take all free cores."""
    plain = getattr(kernel, "py_func", kernel)
    at = [*inspect.signature(plain).parameters].index("rows")

    @functools.wraps(plain)
    def update(*arguments):
        rows, grad = arguments[at], arguments[at + 1]
        if threads_for(len(rows), grad.size) == 1:  # as nearly always
            return kernel(*arguments)
        before, after = arguments[:at], arguments[at + 2 :]
        in_parts(len(rows), grad.size, lambda part: kernel(*before, rows[part], grad[part], *after))
        return None

    return update
