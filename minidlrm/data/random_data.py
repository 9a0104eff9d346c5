"""Random bags of ids: data of any size and shape, without a truth, to measure speed with.

Naumov et al. 2019, arXiv 1906.00091, section 4.1. The reference's program makes such data, too,
with two mistakes that are not made here. It draws test rows from the seed of the training rows,
so the two are the same. And its normal ids are cut to a range that the table knows nothing of, so
they may lie beyond its last row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidlrm.arrays import (
    as_flag,
    as_size,
    as_sizes,
    check_finite,
    check_number,
    check_rate,
    check_room,
    check_word,
    shuffling,
)
from minidlrm.data.batch import Batch, Dataset, Jagged

_TABLE_SIZES = (1000,) * 8


def random_bags(
    rows: int = 10_000,
    seed: Any = 0,
    *,
    num_dense: int = 13,
    table_sizes: Sequence[int] = _TABLE_SIZES,
    ids_per_bag: int = 10,
    fixed: bool = False,
    distribution: str = "uniform",
    mean: float | None = None,
    deviation: float | None = None,
    exponent: float = 1.1,
    dense: str = "uniform",
    round_labels: bool = False,
) -> Dataset:
    """Draw rows whose features and labels know nothing of each other.

    Parameters
    ----------
    rows : int
        Of all three parts: 8 of 10 are training rows, 1 validation, 1 test. At least 10.
    seed : int or list of int
        Seed of the draws.
    num_dense : int
        Numbers a row.
    table_sizes : sequence of int
        Rows of each table.
    ids_per_bag : int
        Ids drawn for a bag, or the largest number of them. What is drawn twice counts once, so a
        bag may be smaller.
    fixed : bool
        Whether all bags draw that many. Otherwise 1 to `ids_per_bag`, or to the size of the table
        where that is smaller, each as likely.
    distribution : "uniform", "normal" or "zipf"
        How the ids are drawn. Normal ids are rounded, and cut to the table.
    mean, deviation : float, optional
        Of normal ids; the middle of the table, and a sixth of its size.
    exponent : float
        Zipf's: id k has a probability proportional to (k + 1) ** -exponent.
    dense : "uniform" or "normal"
        How the numbers are drawn: from [0, 1), or with mean 0 and variance 1.
    round_labels : bool
        Whether labels are 0 or 1. Otherwise they are probabilities, uniform in [0, 1).

    Returns
    -------
    Dataset
        Its sparse features are `Jagged`.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above, or is given and has no meaning for the distribution.

    Examples
    --------
    >>> from minidlrm.data import random_bags
    >>> data = random_bags(100, table_sizes=[5, 1000], ids_per_bag=3, distribution="zipf")
    >>> len(data.train), data.train.num_tables, int(data.train.ids_of(0).max()) < 5
    (80, 2, True)
    """
    rows, num_dense = as_size("rows", rows, 10), as_size("num_dense", num_dense, 0)
    sizes = as_sizes("table_sizes", table_sizes)
    if not sizes:
        raise ValueError("table_sizes is empty: at least one table is needed")
    ids_per_bag = as_size("ids_per_bag", ids_per_bag)
    check_word("distribution", distribution, "uniform", "normal", "zipf")
    check_word("dense", dense, "uniform", "normal")
    _check_normal(distribution, mean, deviation)
    check_rate("exponent", exponent)
    fixed, round_labels = as_flag("fixed", fixed), as_flag("round_labels", round_labels)
    rng = shuffling(seed)
    check_room("rows, num_dense or ids_per_bag", rows, num_dense + ids_per_bag * len(sizes))
    check_room("table_sizes", max(sizes))

    def draw(size: int, n: int) -> np.ndarray:
        if distribution == "uniform":
            return rng.integers(0, size, n)
        if distribution == "zipf":
            shares = np.cumsum(np.arange(1, size + 1, dtype=np.float64) ** -exponent)
            return np.searchsorted(shares, rng.random(n) * shares[-1], "right")
        middle = (size - 1) / 2 if mean is None else mean
        ids = rng.normal(middle, size / 6 if deviation is None else deviation, n)
        return np.clip(np.rint(ids), 0, size - 1).astype(np.int64)

    def batch(n: int) -> Batch:
        numbers = rng.random((n, num_dense)) if dense == "uniform" else rng.normal(
            size=(n, num_dense)
        )  # fmt: skip
        values, counts = [], []
        for size in sizes:
            most = min(ids_per_bag, size)
            drawn = np.full(n, ids_per_bag) if fixed else rng.integers(1, most + 1, n)
            ids, left = _once(np.repeat(np.arange(n), drawn), draw(size, drawn.sum()), size, n)
            values.append(ids)
            counts.append(left)
        offsets = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
        label = rng.random(n)
        return Batch(
            numbers.astype(np.float32),
            Jagged(np.concatenate(values), offsets),
            (np.rint(label) if round_labels else label).astype(np.float32),
        )

    held_out = rows // 10
    train, valid, test = (batch(n) for n in (rows - 2 * held_out, held_out, held_out))
    names = [*(f"dense{k}" for k in range(num_dense)), *(f"table{t}" for t in range(len(sizes)))]
    title = f"random bags of {distribution} ids, {rows:,} rows"
    return Dataset(train, valid, test, sizes, names, title)


def _once(bags: np.ndarray, ids: np.ndarray, size: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Keep each id once a bag, ascending; return the ids, and how many each of n bags has."""
    kept = np.unique(bags * size + ids)
    return kept % size, np.bincount(kept // size, minlength=n)


def _check_normal(distribution: str, mean: Any, deviation: Any) -> None:
    if mean is not None:
        check_number("mean", mean)
        check_finite("mean", np.asarray(mean, np.float64))
    if deviation is not None:
        check_rate("deviation", deviation)
    for name, value in (("mean", mean), ("deviation", deviation)):
        if value is not None and distribution != "normal":
            raise ValueError(f"{name} is {value}: it has no meaning for {distribution} ids")
