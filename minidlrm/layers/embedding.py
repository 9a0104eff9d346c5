r"""EmbeddingBagCollection: rows of all tables of a model, looked up and added.

A lookup is a product with a matrix that is nearly all zeros: :math:`w = W^\top e`. For one id,
e is one-hot, and w is a row of W. For a bag of ids, e is multi-hot, and w is a sum of rows. With
weights, e holds the weights. The vector e is never built.

Step by step in notebooks/01_embeddings.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from minidlrm import kernels
from minidlrm.arrays import as_dtype, check_room, check_type, check_word, integers
from minidlrm.data.batch import Jagged
from minidlrm.layers.inputs import as_shared, as_size, as_sizes, check_rng, converted
from minidlrm.module import Module, Parameter, SparseGrad
from minidlrm.parameter import grouped

Lookup = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]
_PIECE = 1 << 16  # rows that are drawn at a time


class EmbeddingBagCollection(Module):
    r"""All embedding tables of a model, in one array W (S, D).

    Parameters
    ----------
    table_sizes : sequence of int
        Rows of each table, :math:`N_0 \dots N_{T-1}`; S is their sum.
    embedding_dim : int
        D, the size of a row.
    mode : "sum" or "mean"
        How a bag's rows are combined. An empty bag gives zeros.
    shared : sequence of (int, int)
        A pair (t, u) for each column t whose ids are rows of table u: t has no table of its own.
    rng : numpy.random.Generator
        Draws each table from :math:`U(-1/\sqrt N, 1/\sqrt N)`.
    dtype : float32 or float64
        Type of the tables.

    References
    ----------
    Naumov et al. 2019, arXiv 1906.00091; `DLRM_Net.create_emb`.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> tables = md.EmbeddingBagCollection([3, 10], 4, rng=np.random.default_rng(0))
    >>> tables.forward(np.array([[0, 7], [2, 9]])).shape      # one id a table: (B, T) -> (B, T, D)
    (2, 2, 4)
    >>> bags = md.Jagged(values=[0, 1, 2, 9], offsets=[0, 2, 3, 3, 4])
    >>> tables.forward(bags)[0, 1]                            # table 1, sample 0: an empty bag
    array([0., 0., 0., 0.], dtype=float32)
    """

    equation = r"y_{bt} = \sum_{i \in bag(b,t)} \alpha_i\, W^{(t)}_{v_i}"

    def forward(self, sparse: np.ndarray | Jagged) -> np.ndarray:
        """Look up `sparse`, ids (B, T) or the bags of a `Jagged` -> y (B, T, D).

        IndexError when an id is out of its table's range; it names table, id and place. TypeError
        or ValueError when ids are not integers, or offsets or weights do not fit.
        """
        rows, offsets, scale = self.lookup(sparse)  # (n,), (T * B + 1,) or None, (n,) or None
        table, source = self.weight.value, None
        if offsets is None:
            y = kernels.gather(table, rows).reshape(-1, self.num_tables, table.shape[1])  # ①
        else:
            y = kernels.gather_bags(table, rows, offsets, scale, self.num_tables)  # ①
            source = bag_places(offsets, self.num_tables)
        self.keep(y.shape, rows, source, scale)
        return y  # (B, T, D)

    def lookup(self, sparse: np.ndarray | Jagged) -> Lookup:
        """Return which rows `sparse` names, where its bags begin, and the scale of each row.

        Of one id a table: rows (B * T,), sample by sample, and None twice. Of bags: rows (nnz,),
        offsets (T * B + 1,), and scales (nnz,), or None where all are 1. IndexError, TypeError
        and ValueError as `forward`.
        """
        if isinstance(sparse, Jagged):
            return self._lookup_bags(sparse)
        rows = table_rows(sparse, self.starts)  # (B, T)
        if self.shared:
            rows += self._shift
        return rows.ravel(), None, None

    def _lookup_bags(self, bags: Jagged) -> Lookup:
        batch_size = bags.check(self.num_tables)
        if bags.weights is not None and self.mode == "mean":
            raise ValueError("per_sample_weights need mode='sum', as in PyTorch")
        rows = bag_rows(bags, self.starts)  # (nnz,)
        if self.shared:
            rows += np.repeat(self._shift, np.diff(bags.offsets[::batch_size]))
        dtype, scale = self.weight.value.dtype, bags.weights  # (nnz,) or None
        if scale is not None:
            scale = converted("per_sample_weights", scale, dtype)
        if self.mode == "mean":
            lengths = np.diff(bags.offsets)  # (T * B,)
            scale = (1 / np.repeat(lengths, lengths)).astype(dtype)
        return rows, bags.offsets, scale

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        r"""Add dL/dW to the gradient; return dL/dweights (nnz,) for bags with weights, or None.

        1. Id i of a bag looks up row :math:`v_i` with weight :math:`\alpha_i` (1 for a sum,
           :math:`1/n` for the mean of n ids):
           :math:`y_{bt} = \sum_{i \in bag(b,t)} \alpha_i W_{v_i}`.
        2. :math:`W_r` occurs once for each i with :math:`v_i = r`, in any bag of any sample, and
           of any column that shares the table, so the uses of a row add up, from dy (B, T, D):
           :math:`dW_r = \sum_{i: v_i = r} \alpha_i\, dy_{bag(i)}`. A row that no id names has
           gradient zero and is not stored.
        3. :math:`\alpha_i` scales one row in one bag:
           :math:`d\alpha_i = \langle W_{v_i}, dy_{bag(i)} \rangle`.

        Step 2 is a scatter-add. ``dW[rows] += terms`` would be wrong: NumPy buffers the
        fancy-indexed assignment, and of the terms of a repeated row only the last survives.
        """
        shape, rows, source, scale = self.kept()
        table = self.weight.value
        dy = converted("dy", self.check_dy(dy, shape), table.dtype).reshape(-1, shape[-1])
        unique, order, ends = grouped(rows, len(table))  # (u,), (n,), (u + 1,)
        sums = kernels.add_groups(order, ends, dy, source, scale)  # ② (u, D)
        self.weight.add_grad(SparseGrad(unique, sums, table.shape))
        weighted = scale is not None and self.mode == "sum"
        return kernels.bag_weight_grad(table, rows, source, dy) if weighted else None  # ③

    def __init__(
        self,
        table_sizes: Sequence[int],
        embedding_dim: int,
        mode: str = "sum",
        *,
        shared: Sequence[tuple[int, int]] = (),
        rng: np.random.Generator,
        dtype: Any = np.float32,
    ):
        rows = as_sizes("table_sizes", table_sizes)
        if not rows:
            raise ValueError("table_sizes is empty: at least one table is needed")
        check_rng(rng)
        dim = as_size("embedding_dim", embedding_dim)
        check_word("mode", mode, "sum", "mean")
        self.mode, self.shared = mode, dict(as_shared(shared, rows))
        self.starts = np.concatenate([[0], np.cumsum(rows)]).astype(np.int64)  # (T + 1,)
        own = [0 if t in self.shared else n for t, n in enumerate(rows)]
        first = np.cumsum([0, *own])[:-1]  # (T,): the first row of each table
        first = first[[self.shared.get(t, t) for t in range(len(rows))]]
        self._shift = first - self.starts[:-1]  # (T,): from rows without sharing; 0 without it
        dtype = as_dtype(dtype)
        self.weight = Parameter(self._storage(own, dim, dtype), "weight")  # W (S, D)
        for t, num_rows in enumerate(own):
            if num_rows:
                width = 2 / np.sqrt(num_rows)
                first = self.starts[t] + self._shift[t]

                def draw(shape: tuple[int, int], width: float = width) -> np.ndarray:
                    table = rng.random(shape, dtype)
                    table *= width
                    table -= width / 2
                    return table

                self.fill(draw, first, first + num_rows)

    def _storage(self, own: list[int], dim: int, dtype: Any) -> np.ndarray:
        """Return the array of the weight, not filled, of tables of `own` rows."""
        check_room("table_sizes or embedding_dim", sum(own), dim)
        return np.empty((sum(own), dim), dtype)

    def fill(
        self, draw: Callable[[tuple[int, int]], np.ndarray], first: int = 0, last: int | None = None
    ) -> None:
        """Set the rows from `first` to `last` of the weight, all by default, to ``draw(shape)``.

        It is called for a few rows at a time, in order: a table may be larger than the memory of
        one rank, which keeps its own rows only. TypeError when `draw` cannot be called; ValueError
        when `first` or `last` is no row, or `draw` gives another shape.
        """
        check_type("draw", draw, Callable)  # type: ignore[arg-type]  # mypy: "abstract"
        first = as_size("first", first, 0)
        last = self.shape[0] if last is None else as_size("last", last, first, self.shape[0])
        for start in range(first, last, _PIECE):
            stop = min(start + _PIECE, last)
            values = np.asarray(draw((stop - start, self.shape[1])))
            if values.shape != (stop - start, self.shape[1]):
                raise ValueError(
                    f"draw gave the shape {values.shape}: it must give what it is asked"
                )
            self._put(start, values)

    def _put(self, first: int, values: np.ndarray) -> None:
        self.weight.value[first : first + len(values)] = values

    @property
    def shape(self) -> tuple[int, int]:
        """(S, D): the rows of all tables, and their size."""
        rows, dim = self.weight.value.shape
        return rows, dim

    @property
    def num_tables(self) -> int:
        """Number of tables, T."""
        return len(self.starts) - 1

    def table(self, t: int) -> np.ndarray:
        """Return the values of table `t` (N_t, D), a view; ValueError when there is none."""
        t = as_size("t", t, 0, self.num_tables - 1)
        first, last = self.starts[t : t + 2] + self._shift[t]
        return self.weight.value[first:last]

    def flops_per_sample(self) -> int:
        """Return 0: a lookup of one id a table copies, and computes nothing."""
        return 0

    def bytes_per_sample(self) -> int:
        """Return the bytes of the ids, of the rows read and of y, for one id a table."""
        row = self.shape[1] * self.weight.value.itemsize
        return self.num_tables * (8 + 2 * row)

    def __repr__(self) -> str:
        total, dim = self.shape
        return f"EmbeddingBagCollection({self.num_tables} tables, {total:,} rows, D={dim})"


# What models make their tables with

_made_by: ContextVar[Callable[..., EmbeddingBagCollection]] = ContextVar(
    "made_by", default=EmbeddingBagCollection
)


def make_tables(*arguments: Any, **options: Any) -> EmbeddingBagCollection:
    """Return an `EmbeddingBagCollection`; or what `made_by` says, where tables are shared out."""
    return _made_by.get()(*arguments, **options)


@contextmanager
def made_by(make: Callable[..., EmbeddingBagCollection]) -> Iterator[None]:
    """Let `make` make the tables of all models that are made in this block, by this thread."""
    token = _made_by.set(make)
    try:
        yield
    finally:
        _made_by.reset(token)


def makes_whole_tables() -> bool:
    """Whether `made_by` says nothing here."""
    return _made_by.get() is EmbeddingBagCollection


# Ids of T tables, as rows of one array where table t begins at starts[t]


def table_rows(ids: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return the rows (B, T) of ids (B, T); IndexError when an id is out of range."""
    ids = integers("ids", ids)
    num_tables = len(starts) - 1
    if ids.ndim != 2 or ids.shape[1] != num_tables:
        raise ValueError(f"ids have shape {ids.shape}, expected (B, {num_tables})")
    rows, bad = kernels.table_rows(ids, starts)  # (B, T)
    if bad >= 0:
        sample, t = divmod(bad, num_tables)
        raise _out_of_range(starts, t, ids[sample, t], f"sample {sample}")
    return rows


def bag_rows(bags: Jagged, starts: np.ndarray) -> np.ndarray:
    """Return the rows (nnz,) of the ids in bags; IndexError when an id is out of range."""
    rows, bad, t = kernels.bag_rows(bags.values, bags.offsets, starts)  # (nnz,)
    if bad >= 0:
        raise _out_of_range(starts, t, bags.values[bad], f"values[{bad}]")
    return rows


def bag_places(offsets: np.ndarray, num_tables: int) -> np.ndarray:
    """Return for each id (nnz,) the place of its bag in y.reshape(B * T, D)."""
    lengths = np.diff(offsets)  # (T * B,)
    bag = np.repeat(np.arange(len(lengths)), lengths)  # (nnz,)
    t, b = np.divmod(bag, len(lengths) // num_tables)
    return b * num_tables + t


def _out_of_range(starts: np.ndarray, t: int, value: int, place: str) -> IndexError:
    rows = starts[t + 1] - starts[t]
    return IndexError(f"table {t}: id {value} out of range [0, {rows}), at {place}")
