"""Part: what one rank holds of an array (S, D) of tables; and how tables are shared out.

Three ways, as in the field: whole tables, some rows of each table, or some columns of all.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from minidlrm.arrays import check_word

WAYS = ("table", "row", "column")


@dataclass(frozen=True)
class Part:
    """Ranges of rows, in order, and a range of columns, of an array (S, D).

    Parameters
    ----------
    rows : tuple of (int, int)
        First row and the one after the last, of each range.
    columns : (int, int)
        First column and the one after the last.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.parallel.parts import Part
    >>> part = Part(((0, 1), (3, 5)), (1, 2))
    >>> part.shape, part.of(np.arange(10).reshape(5, 2)).tolist()
    ((3, 1), [[1], [7], [9]])
    """

    rows: tuple[tuple[int, int], ...]
    columns: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of what the rank holds."""
        return sum(last - first for first, last in self.rows), self.columns[1] - self.columns[0]

    def of(self, whole: np.ndarray) -> np.ndarray:
        """Return this part of a whole array (S, D), or of one number a row (S,)."""
        rows = np.concatenate([whole[first:last] for first, last in self.rows] or [whole[:0]])
        return rows[:, slice(*self.columns)] if whole.ndim == 2 else rows

    def within(self, first: int, last: int) -> Iterator[tuple[int, slice]]:
        """Yield where the rows from `first` to `last` are: the first row, and places here."""
        place = 0
        for a, b in self.rows:
            low, high = max(a, first), min(b, last)
            if low < high:
                yield low, slice(place + low - a, place + high - a)
            place += b - a


def shared_out(by: str, own: Sequence[int], dim: int, ranks: int) -> list[Part]:
    """Return the part of each rank.

    Parameters
    ----------
    by : "table", "row" or "column"
        By table, the largest goes first, each to the rank that has the fewest rows until then.
    own : sequence of int
        The rows of each table; 0 for one that shares the rows of another.
    dim : int
        D.
    ranks : int
        R.

    Examples
    --------
    >>> from minidlrm.parallel.parts import shared_out
    >>> [part.rows for part in shared_out("table", [5, 9, 3], 4, 2)]
    [((5, 14),), ((0, 5), (14, 17))]
    >>> [part.rows for part in shared_out("row", [5, 9], 4, 2)]
    [((0, 3), (5, 10)), ((3, 5), (10, 14))]
    >>> [part.columns for part in shared_out("column", [5, 9], 4, 2)]
    [(0, 2), (2, 4)]
    """
    check_word("by", by, *WAYS)
    starts = [0, *itertools.accumulate(own)]
    if by == "column":
        cuts = [_ceil(dim * r, ranks) for r in range(ranks + 1)]
        everything = ((0, starts[-1]),)
        return [
            Part(everything, (a, b)) if a < b else Part((), (0, dim))
            for a, b in itertools.pairwise(cuts)
        ]
    ranges: list[list[tuple[int, int]]] = [[] for _ in range(ranks)]
    if by == "row":
        for start, n in zip(starts, own, strict=False):
            for r in range(ranks):
                ranges[r].append((start + _ceil(n * r, ranks), start + _ceil(n * (r + 1), ranks)))
    else:
        load = [0] * ranks
        for t in sorted(range(len(own)), key=lambda t: -own[t]):
            r = load.index(min(load))
            ranges[r].append((starts[t], starts[t + 1]))
            load[r] += own[t]
    return [Part(tuple(sorted((a, b) for a, b in mine if a < b)), (0, dim)) for mine in ranges]


def _ceil(a: int, b: int) -> int:
    """Round up, so that rank 0 holds something of the smallest table too."""
    return -(-a // b)
