r"""EmbeddingBagCollection: rows of all tables of a model, looked up and added.

A lookup is a product with a matrix that is nearly all zeros: :math:`w = W^\top e`. For one id,
e is one-hot, and w is a row of W. For a bag of ids, e is multi-hot, and w is a sum of rows. With
weights, e holds the weights. The vector e is never built.

Step by step in notebooks/01_embeddings.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidlrm import kernels
from minidlrm.arrays import as_dtype, check_room, check_word, integers
from minidlrm.data.batch import Jagged
from minidlrm.layers.inputs import as_shared, as_size, as_sizes, check_rng, converted
from minidlrm.module import Module, Parameter, SparseGrad
from minidlrm.parameter import grouped


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
        table = self.weight.value
        if isinstance(sparse, Jagged):
            return self._forward_bags(sparse)
        rows = table_rows(sparse, self.starts)  # (B, T)
        if self.shared:
            rows += self._shift
        y = kernels.gather(table, rows.ravel()).reshape(*rows.shape, table.shape[1])  # ① (B, T, D)
        self.keep(y.shape, rows.ravel(), None, None)
        return y

    def _forward_bags(self, bags: Jagged) -> np.ndarray:
        batch_size = bags.check(self.num_tables)
        if bags.weights is not None and self.mode == "mean":
            raise ValueError("per_sample_weights need mode='sum', as in PyTorch")
        rows = bag_rows(bags, self.starts)  # (nnz,)
        if self.shared:
            rows += np.repeat(self._shift, np.diff(bags.offsets[::batch_size]))
        lengths = np.diff(bags.offsets)  # (T * B,)
        bag = np.repeat(np.arange(len(lengths)), lengths)  # (nnz,)
        dtype, scale = self.weight.value.dtype, bags.weights  # (nnz,) or None
        if scale is not None:
            scale = converted("per_sample_weights", scale, dtype)
        if self.mode == "mean":
            scale = (1 / lengths[bag]).astype(dtype)  # ①
        y = kernels.gather_bags(self.weight.value, rows, bags.offsets, scale, self.num_tables)  # ①
        t, b = np.divmod(bag, batch_size)
        source = b * self.num_tables + t  # the place of each id's bag in y.reshape(B * T, D)
        self.keep(y.shape, rows, source, scale)
        return y  # (B, T, D)

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
        check_room("table_sizes or embedding_dim", sum(own), dim)
        weight = np.empty((sum(own), dim), as_dtype(dtype))  # (S, D)
        self.weight = Parameter(weight, "weight")  # W
        for t, num_rows in enumerate(own):
            if num_rows:
                table = self.table(t)  # a view: filled in place
                rng.random(out=table, dtype=table.dtype)
                table *= 2 / np.sqrt(num_rows)
                table -= 1 / np.sqrt(num_rows)

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
        row = self.weight.value.shape[1] * self.weight.value.itemsize
        return self.num_tables * (8 + 2 * row)

    def __repr__(self) -> str:
        total, dim = self.weight.value.shape
        return f"EmbeddingBagCollection({self.num_tables} tables, {total:,} rows, D={dim})"


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


def _out_of_range(starts: np.ndarray, t: int, value: int, place: str) -> IndexError:
    rows = starts[t + 1] - starts[t]
    return IndexError(f"table {t}: id {value} out of range [0, {rows}), at {place}")
