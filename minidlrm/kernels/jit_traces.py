"""The kernels of traces, compiled by Numba: as in `jit`, which has their names."""

import numpy as np

from minidlrm.kernels.compiler import compiled


@compiled
def stack_distances(trace):
    """See `reference.stack_distances`. A Fenwick tree has a 1 at each row's last access."""
    n = len(trace)
    tree = np.zeros(n + 1, np.int64)
    last = np.full(n, -1, np.int64)
    distances = np.zeros(n, np.int64)
    rows = 0  # seen so far
    for t in range(n):
        before = last[trace[t]]
        if before < 0:
            rows += 1
        else:
            distances[t] = rows - _count_to(tree, before)
            _add(tree, before, -1)
        _add(tree, t, 1)
        last[trace[t]] = t
    return distances


@compiled
def _add(tree, place, change):
    """Add to the number at a place of a Fenwick tree."""
    k = place + 1
    while k < len(tree):
        tree[k] += change
        k += k & -k


@compiled
def _count_to(tree, end):
    """Sum a Fenwick tree's numbers at the places 0 to end - 1."""
    total = 0
    while end > 0:
        total += tree[end]
        end -= end & -end
    return total


@compiled
def _find(tree, count):
    """Return the place at which a Fenwick tree's running sum first exceeds `count`."""
    place, step = 0, 1
    while 2 * step < len(tree):
        step *= 2
    while step:
        if place + step < len(tree) and tree[place + step] <= count:
            place += step
            count -= tree[place]
        step //= 2
    return place


@compiled
def lru_misses(trace, size):
    """See `reference.lru_misses`. The cache is a ring of links, from last used to first used."""
    n = len(trace)
    newer, older = np.empty(n + 1, np.int64), np.empty(n + 1, np.int64)
    newer[n], older[n] = n, n  # the ring's own knot
    inside = np.zeros(n, np.bool_)
    held, misses = 0, 0
    for row in trace:
        if inside[row]:
            newer[older[row]], older[newer[row]] = newer[row], older[row]
        else:
            misses += 1
            held += 1
        inside[row] = True
        newer[row], older[row] = n, older[n]
        newer[older[n]] = row
        older[n] = row
        if held > size:
            out = newer[n]
            newer[n], older[newer[out]] = newer[out], n
            inside[out] = False
            held -= 1
    return misses


@compiled
def draw_trace(draws, distances, shares, num_rows, lru, padding):
    """See `reference.draw_trace`. The stack is a Fenwick tree of places in use, the top last."""
    n = len(draws)
    rows = np.empty(num_rows + n, np.int64)
    tree = np.zeros(num_rows + n + 1, np.int64)
    for row in range(num_rows):
        rows[row] = row
        _add(tree, row, 1)
    trace, new, top = np.empty(n, np.int64), 0, num_rows
    for t in range(n):
        draw = draws[t]
        if new < distances[-1]:
            draw *= shares[np.searchsorted(distances, new, "right") - 1]
        elif padding:
            draw = (1 - shares[0]) * draw + shares[0]
        distance = distances[min(np.searchsorted(shares, draw), len(shares) - 1)]
        place = _find(tree, num_rows - distance if distance else 0)
        trace[t] = rows[place]
        if distance == 0:
            new += 1
        if lru or distance == 0:
            _add(tree, place, -1)
            rows[top] = rows[place]
            _add(tree, top, 1)
            top += 1
    return trace
