"""Click logs with a planted truth: shaped like Criteo's, and the best score is known.

The first-order signal is a sum of hidden numbers, one for each value of each feature. The
signal of order k is a sum of products of k hidden signs: each id of a table has a sign, and
the signs of a table balance under the distribution of its ids, as nearly as single ids allow.
So knowing one factor of a product tells you nothing about the product: the click rate of every
single id is the same, to within 0.02. Tables whose signs cannot balance carry no product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidlrm import metrics
from minidlrm.arrays import as_size, check_room, shuffling
from minidlrm.data.batch import Batch, Dataset
from minidlrm.data.cutting import split_in_time, split_rows
from minidlrm.languages import Message

CLICK_RATE = 0.25  # about that of the Criteo data
STRENGTH = 1.5  # standard deviation of the logit
_SMALL_TABLE = 30  # products are planted where each id is seen often
_MAX_PRODUCTS = 3
_PARTS = 1 << 12  # of [0, 1), where ids are drawn: a power of two, so that they are exact
_IMBALANCE = 0.08  # the largest mean sign of a table in a product; less leaves too few tables


@dataclass(frozen=True, eq=False)
class SyntheticClicks(Dataset):
    """A `Dataset` that knows its truth.

    Parameters
    ----------
    train, valid, test, table_sizes, feature_names, description
        As in `Dataset`.
    bayes_log_loss, bayes_auc, vocabulary
        As in `Dataset`.
    probability : float64 array (len(test),)
        The true click probability of each test row.

    Examples
    --------
    >>> import minidlrm as md
    >>> clicks = md.data.synthetic_clicks(rows=700, seed=0)
    >>> clicks.probability.shape, clicks.bayes_log_loss < 0.69
    ((50,), True)
    """

    probability: np.ndarray | None = None


def synthetic_clicks(
    rows: int = 100_000,
    seed: int = 0,
    *,
    num_dense: int = 13,
    num_tables: int = 26,
    order: int | Sequence[int] = (1, 2),
    zipf: float = 1.1,
    noise: float = 0.0,
    max_table_size: int = 1000,
) -> SyntheticClicks:
    r"""Make a click log whose true click probability is known.

    :math:`p = (1 - \epsilon)\, \sigma(b + s) + \epsilon\, \bar{p}`, where s has mean 0 and
    standard deviation 1.5, the rate :math:`\bar{p}` is about 0.25, and
    :math:`\epsilon` is `noise`. The first-order signal is a weighted sum of the latents of
    all features. That of order k is a weighted sum of up to three products of the signs of
    k different small tables. With several orders, each has the same share of the variance.

    Parameters
    ----------
    rows : int
        Total rows: six sevenths for training, one fourteenth each for validation and test.
    seed : int
        Seed of all random numbers. The same seed gives the same bits.
    num_dense, num_tables : int
        Number of dense features, each log(1 + count), and of tables, each with 4 to
        `max_table_size` ids.
    order : int or sequence of int
        The interaction order of the signal: 1, 2, 3, or several of these.
    zipf : float
        Id k of a table has a probability proportional to (k + 1) ** -zipf, zipf in (0, 10].
        Orders 2 and 3 need less than about 1.7: above it the most frequent id has half the
        rows, and signs cannot balance.
    noise : float
        The share of rows, in [0, 1), whose label has nothing to do with the features.
    max_table_size : int
        Ids of the largest table.

    Returns
    -------
    SyntheticClicks
        With `bayes_log_loss` and `bayes_auc`: what p scores on the test labels. The AUC is
        nan when a small test split has labels of one class.

    Raises
    ------
    TypeError
        When an argument is not a number, or a count is not a whole number.
    ValueError
        When an argument is out of range, or too few tables can carry the order.

    Examples
    --------
    >>> import minidlrm as md
    >>> clicks = md.data.synthetic_clicks(rows=7000, seed=0, order=2)
    >>> len(clicks.train), len(clicks.valid), len(clicks.test)
    (6000, 500, 500)
    """
    rows, num_dense, num_tables, max_table_size = _counts(
        rows, num_dense, num_tables, max_table_size
    )
    _check_numbers(zipf=zipf, noise=noise)
    orders = _orders(order)
    rng = shuffling(seed)
    sizes = np.geomspace(4, max_table_size, num_tables).round().astype(int)
    sizes = rng.permutation(sizes)
    dense, sparse, latents = _features(rng, rows, num_dense, sizes, zipf)
    signal = np.zeros(rows)
    for k in orders:
        terms = latents if k == 1 else _products(rng, k, sparse, sizes, zipf)  # (terms, B)
        signal += _weighted(rng, terms) * (STRENGTH / np.sqrt(len(orders)))
    probability = _sigmoid(signal + _bias(signal))
    probability = (1 - noise) * probability + noise * CLICK_RATE
    label = (rng.random(rows) < probability).astype(np.float32)
    train, valid, test = split_in_time(Batch(dense, sparse, label))
    first_test = split_rows(rows)[1]
    truth, clicked = probability[first_test:], label[first_test:]
    logit = np.log(truth) - np.log1p(-truth)
    return SyntheticClicks(
        train=train,
        valid=valid,
        test=test,
        table_sizes=[int(size) for size in sizes],
        feature_names=[f"I{k + 1}" for k in range(num_dense)]
        + [f"C{t + 1}" for t in range(num_tables)],
        description=Message(
            "synthetic clicks: {rows} rows, {dense} dense features, {tables} tables, "
            "signal of order {orders}, noise {noise}, seed {seed}",
            rows=f"{rows:,}",
            dense=num_dense,
            tables=num_tables,
            orders=", ".join(map(str, orders)),
            noise=f"{noise:g}",
            seed=seed,
        ),
        bayes_log_loss=metrics.log_loss(clicked, logit),
        bayes_auc=metrics.auc(clicked, logit),
        probability=truth,
    )


def _weighted(rng: np.random.Generator, terms: np.ndarray) -> np.ndarray:
    """Sum independent terms of variance 1 (terms, B) with random weights -> (B,), variance 1."""
    weights = rng.uniform(0.7, 1.3, len(terms)) * rng.choice([-1, 1], len(terms))
    weights /= np.sqrt((weights**2).sum())
    total = np.zeros(terms.shape[1])
    for weight, term in zip(weights, terms, strict=True):  # in this order: BLAS has its own
        total += weight * term
    return total


def _features(
    rng: np.random.Generator, rows: int, num_dense: int, sizes: np.ndarray, zipf: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw dense (B, num_dense), sparse (B, T), and their latents (num_dense + T, B)."""
    # A feature is made at a time, so here it lies in one piece.
    dense = np.empty((num_dense, rows), np.float32)
    sparse = np.empty((len(sizes), rows), np.int64)
    latents = np.empty((num_dense + len(sizes), rows), np.float32)
    for k in range(num_dense):
        counts = np.floor(np.exp(rng.normal(rng.uniform(0, 4), rng.uniform(0.5, 1.5), rows)))
        dense[k] = np.log1p(counts)
        latents[k] = _standardize(np.clip(_standardize(dense[k]), -2, 2))  # no outliers
    for t, size in enumerate(sizes):
        share = _shares(size, zipf)
        sparse[t] = _ids(rng.random(rows), share)
        latent = rng.normal(size=size)
        latent -= share @ latent
        latent /= np.sqrt(share @ latent**2)
        latents[num_dense + t] = latent[sparse[t]]
    return np.ascontiguousarray(dense.T), np.ascontiguousarray(sparse.T), latents


def _shares(size: int, zipf: float) -> np.ndarray:
    share = np.arange(1, size + 1) ** -float(zipf)
    return share / share.sum()


def _ids(uniform: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return for numbers (B,) in [0, 1) the ids that have these shares: how many limits lie below.

    A search for each number would take a third of all the time here. But nearly all of [0, 1),
    cut into equal parts, belongs to parts that one id has alone.
    """
    limits = np.cumsum(share)[:-1]  # without the last one, which may round to less than 1
    first = np.searchsorted(limits, np.arange(_PARTS + 1) / _PARTS)  # the id where a part begins
    part = (uniform * _PARTS).astype(np.intp)  # (B,)
    ids = first[part]
    several = (first[1:] > first[:-1])[part]
    ids[several] = np.searchsorted(limits, uniform[several])
    return ids


def _standardize(x: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / max(x.std(), 1e-6)


def _products(
    rng: np.random.Generator, order: int, sparse: np.ndarray, sizes: np.ndarray, zipf: float
) -> np.ndarray:
    """Multiply the signs of groups of small tables -> (groups, B)."""
    tables = rng.permutation(_carriers(order, sizes, zipf))
    terms = []
    for start in range(0, len(tables) - order + 1, order)[:_MAX_PRODUCTS]:
        term = np.ones(len(sparse), np.float32)
        for t in tables[start : start + order]:
            signs = _signs(_shares(sizes[t], zipf)) * rng.choice([-1, 1])  # (N,)
            term *= signs[sparse[:, t]]
        terms.append(term)
    return np.stack(terms)


def _carriers(order: int, sizes: np.ndarray, zipf: float) -> np.ndarray:
    """Choose the small tables whose signs balance; larger ones where there are too few."""
    if len(sizes) < order:
        raise ValueError(f"order {order} needs {order} tables; num_tables is {len(sizes)}")
    carriers: list[int] = []
    for t in np.argsort(sizes, kind="stable"):
        if sizes[t] > _SMALL_TABLE and len(carriers) >= order:
            break
        share = _shares(sizes[t], zipf)
        if abs(share @ _signs(share)) <= _IMBALANCE:
            carriers.append(t)
    if len(carriers) < order:
        raise ValueError(
            f"zipf is {zipf}: the signs balance in {len(carriers)} of {len(sizes)} tables, and "
            f"order {order} needs {order}. Use a smaller zipf, more tables, or order=1"
        )
    return np.array(carriers)


def _signs(share: np.ndarray) -> np.ndarray:
    """Give each id a sign, such that both signs have nearly the same share of the rows."""
    signs, total = np.empty(len(share)), 0.0
    for k, part in enumerate(share):  # the ids of a small table, from the most frequent
        signs[k] = -1 if total > 0 else 1
        total += signs[k] * part
    return signs


def _bias(signal: np.ndarray) -> float:
    """Find b such that the mean of sigmoid(b + s) is the click rate, by bisection."""
    low, high = -50.0, 50.0
    against = np.exp(-signal)  # the odds of no click; b divides them by e^b
    for _ in range(60):
        middle = (low + high) / 2
        if (1 / (1 + against * np.exp(-middle))).mean() < CLICK_RATE:
            low = middle
        else:
            high = middle
    return low


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))  # p stays off 0 and 1


def _orders(order: Any) -> tuple[int, ...]:
    """Return the orders as a tuple, each once, as they came."""
    several = list(order) if np.iterable(order) else [order]
    whole = all(isinstance(k, (int, np.integer)) for k in several)
    if not several or not whole or any(k not in (1, 2, 3) for k in several):
        raise ValueError(f"order is {order!r}: it must be 1, 2, 3, or several of these")
    return tuple(dict.fromkeys(map(int, several)))


def _counts(rows: Any, num_dense: Any, num_tables: Any, max_table_size: Any) -> tuple[int, ...]:
    rows = as_size("rows", rows, 14)  # for the three splits
    num_dense, num_tables = as_size("num_dense", num_dense, 0), as_size("num_tables", num_tables, 0)
    max_table_size = as_size("max_table_size", max_table_size, 4)
    check_room("rows, num_dense or num_tables", rows, num_dense + num_tables, itemsize=8)
    check_room("max_table_size", max_table_size, itemsize=8)
    if num_dense + num_tables == 0:
        raise ValueError("num_dense and num_tables are 0: at least one feature is needed")
    return rows, num_dense, num_tables, max_table_size


def _check_numbers(**given: Any) -> None:
    for name, value in given.items():
        if not isinstance(value, (int, float, np.integer, np.floating)):
            raise TypeError(f"{name} is {value!r}: it must be a number")
    if not 0 < given["zipf"] <= 10:
        raise ValueError(f"zipf is {given['zipf']}: it must lie in (0, 10]")
    if not 0 <= given["noise"] < 1:
        raise ValueError(f"noise is {given['noise']}: it must lie in [0, 1)")
