"""Which rows of a table go to training, validation and test, and the rows of a split in chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minidlrm.data.spool import SPLITS

_CHUNK_ROWS = 1 << 15  # of a split at a time: their ids stay in the cache of the processor

Rows = np.ndarray | slice  # of a split, in its order


def rows_of(
    split: Any, count: int, whole: bool, key: np.ndarray, words: Sequence[str]
) -> dict[str, Rows]:
    """Return the rows of each split.

    Parameters
    ----------
    split : Split
        How they go.
    count : int
        Rows in all.
    whole : bool
        Whether all go to the test rows.
    key : float array (count,)
        The times, or the numbers of the users or of the words; empty where none are needed.
    words : sequence of str
        What the numbers mean, in a split by a column.

    Raises
    ------
    ValueError
        When no row is left to train on.
    """
    if whole:
        return {"train": slice(0), "valid": slice(0), "test": slice(count)}
    first = round(count * split.fractions[0])
    second = round(count * (split.fractions[0] + split.fractions[1]))
    bounds = dict(zip(SPLITS, ((0, first), (first, second), (second, count)), strict=True))
    if first == 0:
        raise ValueError(f"{count} rows are too few: none is left to train on")
    if split.how == "order":
        return {name: slice(*ends) for name, ends in bounds.items()}
    if split.how == "time":
        order = np.argsort(key, kind="stable")
        return {name: order[slice(*ends)] for name, ends in bounds.items()}
    rng = np.random.default_rng(split.seed)
    if split.how == "random":
        part = np.zeros(count, np.int8)
        order = rng.permutation(count)
        part[order[first:second]], part[order[second:]] = 1, 2
    elif split.how == "user":
        part = _by_user(key.astype(np.int64), split.fractions, rng)
    else:
        part = np.array([SPLITS.index(w) for w in words], np.int8)[key.astype(np.int64)]
    if not (part == 0).any():
        raise ValueError(f"no row is left to train on ({split}): the source has {count}")
    small = np.promote_types(np.int32, np.min_scalar_type(-count))  # int64 from 2^31 rows on
    return {n: np.flatnonzero(part == k).astype(small) for k, n in enumerate(SPLITS)}


def _by_user(users: np.ndarray, fractions: tuple, rng: np.random.Generator) -> np.ndarray:
    """Send whole users to the splits; return the split of each row."""
    count = int(users.max()) + 1
    first = max(1, round(count * fractions[0]))
    second = max(first, round(count * (fractions[0] + fractions[1])))
    order = rng.permutation(count)
    part = np.zeros(count, np.int8)
    part[order[first:second]], part[order[second:]] = 1, 2
    return part[users]


def length(rows: Rows, count: int) -> int:
    """Return the number of rows of a split, of a table of `count`."""
    return len(range(*rows.indices(count))) if isinstance(rows, slice) else len(rows)


def chunks(rows: Rows, count: int) -> Iterator[tuple[int, np.ndarray]]:
    """Cut the rows of a split; yield where each part begins in the split, and its rows."""
    if isinstance(rows, slice):
        first, last, _ = rows.indices(count)
        for start in range(first, last, _CHUNK_ROWS):
            yield start - first, np.arange(start, min(start + _CHUNK_ROWS, last))
        return
    for start in range(0, len(rows), _CHUNK_ROWS):
        yield start, rows[start : start + _CHUNK_ROWS]
