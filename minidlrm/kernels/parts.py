"""A very large call of a kernel, cut into parts: a thread each, on the cores that are free."""

import functools
import inspect
import itertools
from concurrent.futures import ThreadPoolExecutor

from minidlrm.machine import free_cores

_MUCH = 1 << 22  # numbers that are read, from which on a call takes all cores that are free


def in_parts(count, numbers, work):
    """Call work(part) for slices of range(count): for one, or at once for as many as cores."""
    threads = free_cores() if numbers >= _MUCH else 1
    if threads == 1:
        work(slice(0, count))
        return
    ends = [count * k // threads for k in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, itertools.starmap(slice, itertools.pairwise(ends))))


def rows_in_parts(kernel):
    """Let a kernel that updates each of `rows` by its own row of `grad` take all free cores."""
    plain = getattr(kernel, "py_func", kernel)
    at = [*inspect.signature(plain).parameters].index("rows")

    @functools.wraps(plain)
    def update(*arguments):
        before, (rows, grad), after = arguments[:at], arguments[at : at + 2], arguments[at + 2 :]
        in_parts(len(rows), grad.size, lambda part: kernel(*before, rows[part], grad[part], *after))

    return update
