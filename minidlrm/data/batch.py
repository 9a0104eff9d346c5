"""What models eat: a Batch of clicks, the Jagged bags of multi-hot tables, and a Dataset.

All three hold plain arrays, which may be memory-mapped, and look only at shapes
and dtypes when they are made: nothing here reads a large file from end to end.
Ids are checked where they are used, by the embedding layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


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
        When a shape is wrong.

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

    def __post_init__(self):
        object.__setattr__(self, "values", _integers("Jagged.values", self.values, 1))
        object.__setattr__(self, "offsets", _integers("Jagged.offsets", self.offsets, 1))
        if len(self.offsets) == 0:
            raise ValueError("Jagged.offsets is empty: it needs at least the one offset 0")
        if self.weights is not None:
            weights = _floats("Jagged.weights", self.weights, 1)
            if weights.shape != self.values.shape:
                raise ValueError(
                    f"Jagged.weights has {len(weights)} entries, but there are "
                    f"{len(self.values)} values: one weight for each id"
                )
            object.__setattr__(self, "weights", weights)

    def __getitem__(self, key: tuple[slice | np.ndarray, int]) -> Jagged:
        """Bags of some samples: ``jagged[rows, B]``, where `rows` is a slice or an index array."""
        rows, batch_size = key
        if batch_size == 0:
            return self
        num_tables = (len(self.offsets) - 1) // batch_size
        samples = np.arange(batch_size)[rows]  # (b,)
        bags = (np.arange(num_tables)[:, None] * batch_size + samples).ravel()  # (T * b,)
        starts = self.offsets[bags]  # (T * b,)
        lengths = self.offsets[bags + 1] - starts  # (T * b,)
        offsets = np.concatenate([[0], np.cumsum(lengths)])  # (T * b + 1,)
        index = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        weights = None if self.weights is None else self.weights[index]
        return Jagged(self.values[index], offsets, weights)


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
        1 for a click, 0 for none; or a rating. None where it is not known.
    weight : float array (B,), optional
        How much each row counts in the loss and the metrics. The default is 1 for all.

    Raises
    ------
    TypeError
        When an array has the wrong dtype, such as ids that are floats.
    ValueError
        When a shape is wrong, or the arrays disagree about `B`.

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

    def __post_init__(self):
        dense = _floats("Batch.dense", self.dense, 2)
        object.__setattr__(self, "dense", dense)
        if isinstance(self.sparse, Jagged):
            bags = len(self.sparse.offsets) - 1
            if bags % len(dense) if len(dense) else bags:
                raise ValueError(
                    f"Batch.sparse has {bags} bags, which is no multiple of the batch size "
                    f"{len(dense)}: a Jagged needs T * B + 1 offsets"
                )
        else:
            object.__setattr__(self, "sparse", _integers("Batch.sparse", self.sparse, 2))
            self._check_rows("sparse", self.sparse)
        if self.label is not None:
            object.__setattr__(self, "label", _floats("Batch.label", self.label, 1))
            self._check_rows("label", self.label)
        if self.weight is not None:
            object.__setattr__(self, "weight", _floats("Batch.weight", self.weight, 1))
            self._check_rows("weight", self.weight)

    def _check_rows(self, name: str, array) -> None:
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
        if len(self) == 0:
            raise ValueError("the batch is empty: a model needs at least one row")
        if self.dense.shape[1] != num_dense:
            raise ValueError(
                f"the batch has {self.dense.shape[1]} dense features, the model {num_dense}"
            )
        if self.num_tables != num_tables:
            raise ValueError(f"the batch has {self.num_tables} tables, the model {num_tables}")
        if not np.isfinite(self.dense).all():
            row, column = np.argwhere(~np.isfinite(self.dense))[0]
            value = self.dense[row, column]
            raise ValueError(f"dense[{row}, {column}] is {value}: dense features must be finite")

    def tables(self, which: Sequence[int]) -> np.ndarray | Jagged:
        """Return the ids (B, n), or the bags, of n tables: `which` holds their numbers."""
        if isinstance(self.sparse, Jagged):
            rows = np.arange(len(self))
            bags = (np.asarray(which)[:, None] * len(self) + rows).ravel()
            return self.sparse[bags, len(self.sparse.offsets) - 1]
        return self.sparse[:, list(which)]

    def __getitem__(self, rows: slice | np.ndarray) -> Batch:
        if isinstance(rows, (int, np.integer)):
            raise TypeError(f"batch[{rows}] is one row: write batch[{rows}:{rows + 1}] for a batch")
        sparse: Any = self.sparse
        picked = sparse[rows, len(self)] if isinstance(sparse, Jagged) else sparse[rows]
        label = None if self.label is None else self.label[rows]
        weight = None if self.weight is None else self.weight[rows]
        return Batch(self.dense[rows], picked, label, weight)

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
        What the labels are: 0 and 1 (the loss takes logits), or numbers of any size.
    bayes_log_loss, bayes_auc : float, optional
        What the true click probabilities score on `test`. No model can expect to do
        better. Known for synthetic data only.
    vocabulary : object, optional
        What turned raw values into ids; give it to the reader of further files.

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

    @property
    def num_dense(self) -> int:
        """Number of dense features."""
        return self.train.dense.shape[1]


def minibatches(
    data: Batch, batch_size: int, seed: int | Sequence[int] | None = None, drop_last: bool = False
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
    drop_last : bool
        Leave the last batch out when it is smaller.

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
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}: it must be at least 1")
    if len(data) == 0:
        raise ValueError("the data have no rows: there is nothing to cut into batches")
    order = None if seed is None else np.random.default_rng(seed).permutation(len(data))
    for start in range(0, len(data), batch_size):
        stop = min(start + batch_size, len(data))
        if drop_last and stop - start < batch_size:
            return
        yield data[start:stop] if order is None else data[order[start:stop]]


def split_in_time(data: Batch) -> tuple[Batch, Batch, Batch]:
    """Cut rows that are ordered by time: six sevenths to train, half of the last to choose by.

    As the reference implementation does with the seven days of the Criteo data.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.data.batch import Batch, split_in_time
    >>> [len(part) for part in split_in_time(Batch(np.zeros((28, 1)), np.zeros((28, 2), int)))]
    [24, 2, 2]
    """
    first, second = split_rows(len(data))
    return data[:first], data[first:second], data[second:]


def split_rows(rows: int) -> tuple[int, int]:
    """Return where the validation rows begin, and where the test rows do."""
    first = rows * 6 // 7
    return first, first + (rows - first) // 2


def _integers(name: str, array, ndim: int) -> np.ndarray:
    array = np.asanyarray(array)
    if array.size == 0 and array.dtype == np.float64:  # [] has no dtype of its own
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} has dtype {array.dtype}: ids and offsets must be integers (int64)")
    return _with_ndim(name, array, ndim)


def _floats(name: str, array, ndim: int) -> np.ndarray:
    array = np.asanyarray(array)
    if array.dtype.kind not in "fc":
        raise TypeError(f"{name} has dtype {array.dtype}: it must be float32 (or float64)")
    return _with_ndim(name, array, ndim)


def _with_ndim(name: str, array: np.ndarray, ndim: int) -> np.ndarray:
    if array.ndim != ndim:
        raise ValueError(f"{name} has shape {array.shape}: it must have {ndim} dimension(s)")
    return array
