"""minibatches and splits: rows cut into parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from minidlrm.arrays import (
    as_size,
    check_type,
    shuffling,
)
from minidlrm.data.batch import Batch


class Rows:
    """Rows of a batch that are not read yet: a rank reads its own alone.

    Parameters
    ----------
    data : Batch
        All rows.
    numbers : range or array (B,)
        Which of them.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> from minidlrm.data.cutting import Rows
    >>> rows = Rows(md.Batch(np.zeros((9, 2)), np.zeros((9, 1), int)), np.array([8, 1, 5]))
    >>> len(rows), len(rows[1:])
    (3, 2)
    """

    def __init__(self, data: Batch, numbers: range | np.ndarray):
        self.data, self.numbers = data, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: slice) -> Batch:
        """Read some of them."""
        picked = self.numbers[rows]
        return self.data._piece(
            slice(picked.start, picked.stop) if isinstance(picked, range) else picked
        )


def minibatches(
    data: Batch, batch_size: int, seed: int | Sequence[int] | None = None, start: int = 0
) -> Iterator[Batch]:
    """Cut `data` into batches, shuffled when a seed is given.

    Parameters
    ----------
    data : Batch
        The rows.
    batch_size : int
        Rows a batch. The last batch may be smaller.
    seed : int or sequence of int, optional
        The seed of the shuffle. None keeps the order of the rows.
    start : int
        Batches to leave out at the beginning, in a pass that goes on.

    Yields
    ------
    Batch
        The next rows.

    Raises
    ------
    ValueError
        When `data` has no rows or `batch_size` is not positive.

    Examples
    --------
    >>> import minidlrm as md
    >>> clicks = md.data.synthetic_clicks(rows=1000, seed=0)
    >>> [len(batch) for batch in md.data.minibatches(clicks.train[:10], batch_size=4, seed=0)]
    [4, 4, 2]
    """
    return (rows[:] for rows in unread(data, batch_size, seed, start))


def unread(
    data: Batch, batch_size: int, seed: int | Sequence[int] | None = None, start: int = 0
) -> Iterator[Rows]:
    """Cut `data` as `minibatches`, whose arguments and errors it has, and read nothing yet."""
    check_type("data", data, Batch)
    batch_size, start = as_size("batch_size", batch_size), as_size("start", start, 0)
    if len(data) == 0:
        raise ValueError("data has no rows: there is nothing to cut into batches")
    order = None if seed is None else shuffling(seed).permutation(len(data))
    for first in range(start * batch_size, len(data), batch_size):
        last = min(first + batch_size, len(data))
        yield Rows(data, range(first, last) if order is None else order[first:last])


def split_in_time(data: Batch) -> tuple[Batch, Batch, Batch]:
    """Cut rows that are ordered by time: six sevenths to train, half of the last to choose by.

    As the reference implementation does with the seven days of the Criteo data.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.data.batch import Batch
    >>> from minidlrm.data.cutting import split_in_time
    >>> [len(part) for part in split_in_time(Batch(np.zeros((28, 1)), np.zeros((28, 2), int)))]
    [24, 2, 2]
    """
    first, second = split_rows(len(data))
    return data[:first], data[first:second], data[second:]


def split_rows(rows: int) -> tuple[int, int]:
    """Return where the validation rows begin, and where the test rows do."""
    first = rows * 6 // 7
    return first, first + (rows - first) // 2
