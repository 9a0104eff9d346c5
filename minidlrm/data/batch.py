"""What models eat: a Batch of clicks, the Jagged bags of multi-hot tables, and a Dataset.

All three hold plain arrays, which may be memory-mapped. When they are made, shapes, dtypes
and offsets are checked, and nothing else is read from end to end: ids are checked where they
are used, by the embedding layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidlrm.arrays import (
    as_size,
    as_sizes,
    check_finite,
    check_word,
    floats,
    integers,
    native,
)

TASKS = ("clicks", "ratings")
_BLOCK = 1 << 20  # offsets that are checked at a time


@dataclass(frozen=True, eq=False)
class Jagged:
    """Bags of ids, any number a bag, for `T` tables and `B` samples, table by table.

    The bag of table `t` and sample `b` is
    ``values[offsets[t * B + b] : offsets[t * B + b + 1]]``. Bags may be empty.

    Parameters
    ----------
    values : integer array (nnz,)
        All ids, bag after bag.
    offsets : integer array (T * B + 1,)
        Where each bag begins. The first is 0, the last is `nnz`: there is one
        offset more than there are bags.
    weights : float array (nnz,), optional
        A weight for each id. The default is 1 for all.

    Raises
    ------
    TypeError
        When `values` or `offsets` are not integers, or `weights` are not floats.
    ValueError
        When a shape is wrong, or the offsets do not run from 0 to nnz without falling.

    Examples
    --------
    Two tables, two samples; the second sample has no id in the first table.

    >>> from minidlrm.data import Jagged
    >>> tags = Jagged(values=[5, 7, 0, 1, 1], offsets=[0, 2, 2, 3, 5])
    >>> tags[1:2, 2].values            # sample 1 of B = 2
    array([1, 1])
    """

    values: np.ndarray
    offsets: np.ndarray
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", integers("Jagged.values", self.values, 1))
        offsets = integers("Jagged.offsets", self.offsets, 1).astype(np.int64, copy=False)
        object.__setattr__(self, "offsets", offsets)
        if self.weights is not None:
            weights = floats("Jagged.weights", self.weights, 1)
            if weights.shape != self.values.shape:
                raise ValueError(
                    f"Jagged.weights has {len(weights)} entries, but there are "
                    f"{len(self.values)} values: one weight for each id"
                )
            object.__setattr__(self, "weights", weights)
        self._check_offsets()

    def _check_offsets(self) -> None:
        """Raise ValueError unless the offsets begin at 0, never fall, and end at nnz."""
        offsets = self.offsets
        if len(offsets) == 0:
            raise ValueError("Jagged.offsets is empty: it needs at least the one offset 0")
        if offsets[0] != 0 or offsets[-1] != len(self.values):
            raise ValueError(
                f"offsets run from {offsets[0]} to {offsets[-1]}: they must begin at 0 and end at "
                f"len(values) = {len(self.values)} (one offset more than there are bags)"
            )
        for start in range(0, len(offsets), _BLOCK):
            part = offsets[start : start + _BLOCK + 1]
            falls = part[1:] < part[:-1]
            if falls.any():
                k = start + int(falls.argmax())
                raise ValueError(
                    f"offsets[{k + 1}] = {offsets[k + 1]} is below offsets[{k}] = {offsets[k]}"
                )

    def check(self, num_tables: int) -> int:
        """Return B; ValueError unless the bags are those of `num_tables` tables.

        Offsets and weights are looked at again: arrays can be changed in place.
        """
        bags, num_tables = len(self.offsets) - 1, as_size("num_tables", num_tables)
        if bags < 1 or bags % num_tables:
            raise ValueError(
                f"offsets has {len(self.offsets)} entries: "
                f"expected T * B + 1, with T = num_tables = {num_tables}"
            )
        self._check_offsets()
        if self.weights is not None:
            check_finite("per_sample_weights", self.weights)
        return bags // num_tables

    def __getitem__(self, key: tuple[slice | np.ndarray, int]) -> Jagged:
        """Bags of some samples: ``jagged[rows, B]``, where `rows` is a slice or an index array."""
        if not (isinstance(key, tuple) and len(key) == 2):
            raise TypeError(f"the key is {key!r}: write jagged[rows, B], with the batch size B")
        batch_size = as_size("the key's B", key[1], -math.inf)
        num_bags = len(self.offsets) - 1
        if batch_size == 0 and num_bags == 0:
            return self
        if batch_size < 1 or num_bags % batch_size:
            raise ValueError(
                f"the key's B is {batch_size}: there are {num_bags} bags, T * B of them"
            )
        samples = _numbers(_picked("the key's rows", key[0], batch_size), batch_size)  # (b,)
        bags = (np.arange(num_bags // batch_size)[:, None] * batch_size + samples).ravel()  # (T*b,)
        starts = self.offsets[bags]  # (T * b,)
        lengths = self.offsets[bags + 1] - starts  # (T * b,)
        if len(bags) and (lengths.min() < 0 or not _inside(starts, lengths, len(self.values))):
            self._check_offsets()  # they were changed in place: it says where
        offsets = np.concatenate([[0], np.cumsum(lengths)])  # (T * b + 1,)
        index = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        weights = None if self.weights is None else self.weights[index]
        return _unchecked(Jagged, values=self.values[index], offsets=offsets, weights=weights)


@dataclass(frozen=True, eq=False)
class Batch:
    """Some rows of a click log: dense features, categorical ids, labels.

    ``len(batch)`` is `B`; ``batch[i:j]`` and ``batch[rows]`` are batches.

    Parameters
    ----------
    dense : float array (B, num_dense)
        Numbers, already scaled. There may be no columns.
    sparse : integer array (B, T), or Jagged
        One id a table; or bags of ids, for multi-hot and weighted features.
    label : float array (B,), optional
        1 for a click, 0 for none, or a rate between them; or a rating. None where it is not known.
    weight : float array (B,), optional
        How much each row counts in the loss and the metrics. The default is 1 for all.

    Raises
    ------
    TypeError
        When an array has the wrong dtype, such as ids that are floats.
    ValueError
        When a shape is wrong, entries are masked, or the arrays disagree about `B`.

    Notes
    -----
    Arrays of another byte order, long doubles and uint64 are copied into the types that the
    kernels know. All others are held as they are.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.data import Batch
    >>> batch = Batch(dense=np.zeros((3, 2), np.float32), sparse=[[0, 1], [2, 3], [4, 5]],
    ...               label=np.ones(3, np.float32))
    >>> len(batch), batch[1:].sparse.tolist()
    (3, [[2, 3], [4, 5]])
    """

    dense: np.ndarray
    sparse: np.ndarray | Jagged
    label: np.ndarray | None = None
    weight: np.ndarray | None = None

    def __post_init__(self) -> None:
        dense = floats("Batch.dense", self.dense, 2)
        object.__setattr__(self, "dense", dense)
        if isinstance(self.sparse, Jagged):
            bags = len(self.sparse.offsets) - 1
            if bags % len(dense) if len(dense) else bags:
                raise ValueError(
                    f"Batch.sparse has {bags} bags, which is not a multiple of the {len(dense)} "
                    "rows of Batch.dense: a Jagged needs T * B + 1 offsets"
                )
        else:
            object.__setattr__(self, "sparse", integers("Batch.sparse", self.sparse, 2))
            self._check_rows("sparse", self.sparse)
        if self.label is not None:
            object.__setattr__(self, "label", floats("Batch.label", self.label, 1))
            self._check_rows("label", self.label)
        if self.weight is not None:
            object.__setattr__(self, "weight", floats("Batch.weight", self.weight, 1))
            self._check_rows("weight", self.weight)

    def _check_rows(self, name: str, array: np.ndarray) -> None:
        if len(array) != len(self.dense):
            raise ValueError(
                f"Batch.{name} has {len(array)} rows, but Batch.dense has {len(self.dense)}"
            )

    def __len__(self) -> int:
        return len(self.dense)

    @property
    def num_tables(self) -> int:
        """Number of categorical features, T (0 for a Jagged of an empty batch)."""
        if isinstance(self.sparse, Jagged):
            return (len(self.sparse.offsets) - 1) // max(1, len(self))
        return self.sparse.shape[1]

    def check(self, num_dense: int, num_tables: int) -> None:
        """Raise ValueError unless a model of these sizes can take this batch.

        It must have rows, `num_dense` dense features, `num_tables` tables, and no NaN or infinity
        among the dense ones. Ids are checked by the embedding layer.
        """
        check_batch(self, num_dense, num_tables)

    def ids_of(self, t: int) -> np.ndarray:
        """Return the ids of table `t`: (B,), or all ids of its bags (nnz_t,).

        TypeError when `t` is not an integer, ValueError when there is no such table.
        """
        return self.bags_of(t)[0]

    def bags_of(self, t: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return the ids of table `t`, how many each row has (B,), and their weights.

        Errors as `ids_of`.
        """
        t = as_size("t", t, 0, self.num_tables - 1)
        if not isinstance(self.sparse, Jagged):
            return self.sparse[:, t], np.ones(len(self), np.int64), None
        own = self.sparse.offsets[t * len(self) : (t + 1) * len(self) + 1]
        if (np.diff(own) < 0).any() or own[0] < 0 or own[-1] > len(self.sparse.values):
            self.sparse._check_offsets()  # they were changed in place: it says where
        weights = self.sparse.weights
        weights = None if weights is None else weights[own[0] : own[-1]]
        return self.sparse.values[own[0] : own[-1]], np.diff(own), weights

    def tables(self, which: Sequence[int]) -> np.ndarray | Jagged:
        """Return the ids (B, n), or the bags, of n tables: `which` holds their numbers.

        TypeError when they are not integers, IndexError when there is no such table.
        """
        which = np.arange(self.num_tables)[_picked("which", which, self.num_tables)]
        if isinstance(self.sparse, Jagged):
            rows = np.arange(len(self))
            bags = (np.asarray(which)[:, None] * len(self) + rows).ravel()
            return self.sparse[bags, len(self.sparse.offsets) - 1]
        return self.sparse[:, which]

    def __getitem__(self, rows: slice | np.ndarray) -> Batch:
        if isinstance(rows, (int, np.integer)):
            raise TypeError(f"batch[{rows}] is one row: write batch[{rows}:{rows + 1}] for a batch")
        return self._piece(_picked("rows", rows, len(self)))

    def _piece(self, rows: slice | np.ndarray) -> Batch:
        """Return rows that are known to be there."""

        def piece(array: Any) -> Any:
            if array is None:
                return None
            return array[rows, len(self)] if isinstance(array, Jagged) else _taken(array, rows)

        label, weight = piece(self.label), piece(self.weight)
        dense, sparse = piece(self.dense), piece(self.sparse)
        return _unchecked(Batch, dense=dense, sparse=sparse, label=label, weight=weight)

    def __repr__(self) -> str:
        kind = "multi-hot tables" if isinstance(self.sparse, Jagged) else "tables"
        clicks = "no labels"
        if self.label is not None and len(self):
            clicks = f"mean label {float(np.mean(self.label)):.3f}"
        return (
            f"Batch({len(self):,} rows, {self.dense.shape[1]} dense features, "
            f"{self.num_tables} {kind}, {clicks})"
        )


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows to train on, to choose by, and to report, with what a model must know of them.

    Parameters
    ----------
    train, valid, test : Batch
        The three splits; memory-mapped where they are large. Each may be empty.
    table_sizes : list of int
        Number of ids of each categorical feature, T of them.
    feature_names : list of str
        Names of the dense features, then of the tables.
    description : str
        One line: where the rows come from.
    task : "clicks" or "ratings"
        What the labels are: 0, 1 or rates (the loss takes logits), or numbers of any size.
    bayes_log_loss, bayes_auc : float, optional
        What the true click probabilities score on `test`. No model can expect to do
        better. Known for synthetic data only.
    vocabulary : object, optional
        What turned raw values into ids; give it to the reader of further files.
    schema : Schema, optional
        What the columns of the rows mean, where a reader knows it.

    Raises
    ------
    TypeError
        When a split is not a Batch.
    ValueError
        When `task` is not known, or a split and `table_sizes` disagree about the tables.

    Examples
    --------
    >>> import minidlrm as md
    >>> clicks = md.data.synthetic_clicks(rows=1000, seed=0)
    >>> clicks.num_dense, len(clicks.table_sizes)
    (13, 26)
    """

    train: Batch
    valid: Batch
    test: Batch
    table_sizes: list[int]
    feature_names: list[str]
    description: str
    task: str = "clicks"
    bayes_log_loss: float | None = None
    bayes_auc: float | None = None
    vocabulary: Any = field(default=None, repr=False)
    schema: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_word("task", self.task, *TASKS)
        object.__setattr__(self, "table_sizes", as_sizes("table_sizes", self.table_sizes, 0))
        for name in ("train", "valid", "test"):
            split = getattr(self, name)
            if not isinstance(split, Batch):
                raise TypeError(f"{name} is a {type(split).__name__}: it must be a Batch")
            if len(split) and split.num_tables != len(self.table_sizes):
                raise ValueError(
                    f"{name} has {split.num_tables} tables, table_sizes {len(self.table_sizes)}"
                )

    @property
    def num_dense(self) -> int:
        """Number of dense features."""
        return self.train.dense.shape[1]


def check_batch(batch: Any, num_dense: int, num_tables: int, name: str = "batch") -> None:
    """Raise TypeError unless `batch` is a Batch, and errors as `Batch.check`: they say `name`.

    Examples
    --------
    >>> from minidlrm.data.batch import check_batch
    >>> check_batch([0, 1], 2, 3)
    Traceback (most recent call last):
        ...
    TypeError: batch is a list: it must be a Batch
    """
    batch = as_batch(name, batch)
    num_dense = as_size("num_dense", num_dense, 0)
    num_tables = as_size("num_tables", num_tables, 0)
    if len(batch) == 0:
        raise ValueError(f"the {name} is empty: a model needs at least one row")
    if batch.dense.shape[1] != num_dense:
        raise ValueError(
            f"the {name} has {batch.dense.shape[1]} dense features, the model {num_dense}"
        )
    if batch.num_tables != num_tables:
        raise ValueError(f"the {name} has {batch.num_tables} tables, the model {num_tables}")
    check_finite("dense", batch.dense)


def as_batch(name: str, value: Any) -> Batch:
    """Return `value`, a Batch; TypeError for anything else."""
    if isinstance(value, Dataset):
        raise TypeError(f"{name} is a Dataset: give one of its parts, such as dataset.train")
    if not isinstance(value, Batch):
        raise TypeError(f"{name} is a {type(value).__name__}: it must be a Batch")
    return value


def _inside(starts: np.ndarray, lengths: np.ndarray, count: int) -> bool:
    """Whether all of some pieces lie in an array of `count` entries."""
    return bool(starts.min() >= 0 and (starts + lengths).max() <= count)


def _unchecked(kind: type, **arrays: Any) -> Any:
    """Make a Jagged or a Batch of arrays that are known to be right: pieces of one are."""
    made: Any = object.__new__(kind)
    for name, array in arrays.items():
        object.__setattr__(made, name, array)
    return made


def _taken(array: np.ndarray, rows: Any) -> np.ndarray:
    """Return ``array[rows]``; `take` copies whole rows, in a third of the time."""
    if isinstance(rows, slice) or rows.dtype.kind == "b":
        return array[rows]
    return np.asarray(array).take(rows, axis=0)


def _numbers(rows: slice | np.ndarray, count: int) -> np.ndarray:
    """Return ``arange(count)[rows]``, without as many numbers as there are rows."""
    if isinstance(rows, slice):
        return np.arange(*rows.indices(count))
    if rows.dtype.kind == "b":
        return np.flatnonzero(rows)
    rows = rows.astype(np.int64, copy=False)
    return np.where(rows < 0, rows + count, rows)


def _picked(name: str, rows: Any, count: int) -> Any:
    """Return a slice as it is, a mask or numbers of `count` rows as an array.

    TypeError for anything else, IndexError when there is no such row.
    """
    if isinstance(rows, slice):
        try:
            rows.indices(count)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name} is {rows}: {error}") from None
        return rows
    index = native(name, rows)
    if index.ndim != 1 or (index.size and index.dtype.kind not in "iub"):
        raise TypeError(f"{name} is {rows!r}: it must be a slice, a mask or numbers from 0 on")
    if index.dtype.kind == "b" and len(index) not in (0, count):
        raise IndexError(f"{name} is a mask of {len(index)}: there are {count} to choose from")
    if index.dtype.kind in "iu" and index.size and not -count <= index.min() <= index.max() < count:
        bad = index.max() if index.max() >= count else index.min()
        raise IndexError(f"{name} has {bad}: there are {count} to choose from")
    return index if index.size else index.astype(np.int64)
