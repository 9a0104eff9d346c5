"""FieldEmbeddings and LinearTerm: dense and categorical features, treated alike.

In the FM family every feature is a field with a vector. An id looks its vector up. A dense
feature j has one vector :math:`V_j`, and enters as its value times this vector.

Step by step in notebooks/03_factorization_machines.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidlrm import kernels
from minidlrm.arrays import as_dtype, as_flag, check_room, check_word
from minidlrm.data.batch import Jagged
from minidlrm.layers.embedding import EmbeddingBagCollection, make_tables
from minidlrm.layers.inputs import as_size, as_sizes, check_rng, converted
from minidlrm.module import Module, Parameter

_STD = 0.05


class FieldEmbeddings(Module):
    r"""Vectors of all fields: :math:`z_j = x_j V_j` (dense), :math:`z_t = W_{v_t}` (an id).

    Parameters
    ----------
    num_dense : int
        Number of dense features.
    table_sizes : sequence of int
        Rows of each table; may be empty when there are dense features.
    embedding_dim : int
        D.
    shared, bag_mode
        As `EmbeddingBagCollection`'s `shared` and `mode`.
    rng, dtype
        As `EmbeddingBagCollection`, but all vectors, those of V (num_dense, D) too, are drawn from
        :math:`N(0, 0.05)`: with larger ones the sum over all pairs would begin far from 0.

    References
    ----------
    Rendle 2010, "Factorization machines", equation 1: each feature has a vector, times its value.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> fields = md.layers.FieldEmbeddings(2, [5, 7], 3, rng=np.random.default_rng(0))
    >>> fields.forward(np.ones((4, 2), np.float32), np.zeros((4, 2), int)).shape
    (4, 4, 3)
    """

    equation = r"z_j = x_j V_j,\quad z_t = W^{(t)}_{v_t}"

    def forward(self, x: np.ndarray, sparse: np.ndarray | Jagged) -> np.ndarray:
        """Compute z (B, num_dense + T, D) from x (B, num_dense) and ids; dense fields first.

        `sparse` is ids (B, T), or a `Jagged`. ValueError when x has another shape; for the ids the
        errors of `EmbeddingBagCollection.forward`.
        """
        v = self.dense.value
        x = converted("x (the dense features)", x, v.dtype)
        if x.ndim != 2 or x.shape[1] != len(v):
            raise ValueError(f"FieldEmbeddings: x has shape {x.shape}, expected (B, {len(v)})")
        rows = self.tables.forward(sparse) if self.tables else None  # ② (B, T, D)
        if rows is not None and len(rows) != len(x):
            raise ValueError(f"x has {len(x)} rows, sparse {len(rows)}")
        self.keep(x)
        if rows is not None and not len(v):
            return rows
        z = np.empty((len(x), self.num_fields, v.shape[1]), v.dtype)
        kernels.dense_fields(z, x, v)  # ①
        if rows is not None:
            z[:, len(v) :] = rows  # ②
        return z

    def backward(self, dz: np.ndarray) -> np.ndarray:
        r"""Add to the gradients; return dL/dx (B, num_dense) from dz (B, num_dense + T, D).

        1. A dense feature: :math:`z_{bj} = x_{bj} V_j`.
        2. An id: :math:`z_{bt}` is a row of table t.
        3. :math:`V_j` serves every sample: :math:`dV_j = \sum_b x_{bj}\, dz_{bj}`.
        4. The tables' part is a scatter-add; see `EmbeddingBagCollection.backward`.
        5. :math:`x_{bj}` scales all D entries of :math:`V_j`:
           :math:`dx_{bj} = \langle dz_{bj}, V_j \rangle`.
        """
        (x,) = self.kept()
        v = self.dense.value
        dz = self.check_dy(dz, (len(x), self.num_fields, v.shape[1]))
        dz = converted("dz", dz, v.dtype)
        dv, dx = kernels.dense_fields_backward(dz, x, v)  # ③⑤ (num_dense, D), (B, num_dense)
        if len(v):
            self.dense.add_grad(dv)
        if self.tables:
            self.tables.backward(dz[:, len(v) :])  # ④
        return dx

    def __init__(
        self,
        num_dense: int,
        table_sizes: Sequence[int],
        embedding_dim: int,
        *,
        shared: Sequence[tuple[int, int]] = (),
        bag_mode: str = "sum",
        rng: np.random.Generator,
        dtype: Any = np.float32,
    ):
        columns, rows = as_size("num_dense", num_dense, 0), as_sizes("table_sizes", table_sizes)
        dim = as_size("embedding_dim", embedding_dim)
        check_word("bag_mode", bag_mode, "sum", "mean")
        if columns + len(rows) == 0:
            raise ValueError("num_dense is 0, with 0 tables: no fields")
        check_rng(rng)
        check_room("num_dense or embedding_dim", columns, dim, itemsize=8)
        self.num_fields = columns + len(rows)
        self.tables: EmbeddingBagCollection | None = None
        if rows:
            tables = make_tables(rows, dim, bag_mode, shared=shared, rng=rng, dtype=dtype)
            self.tables = tables
            tables.fill(lambda shape: rng.normal(0, _STD, shape))
        vectors = rng.normal(0, _STD, (columns, dim))
        self.dense = Parameter(vectors.astype(as_dtype(dtype)), "dense")  # V

    @property
    def num_tables(self) -> int:
        """Number of tables, T."""
        return self.tables.num_tables if self.tables else 0

    def flops_per_sample(self) -> int:
        """Return num_dense D: the lookups compute nothing."""
        return self.dense.value.size

    def __repr__(self) -> str:
        rows = self.tables.shape[0] if self.tables else 0
        num_dense, dim = self.dense.value.shape
        return (
            f"FieldEmbeddings({num_dense} dense, {self.num_tables} tables, {rows:,} rows, D={dim})"
        )


class LinearTerm(Module):
    r"""First-order term, :math:`y = b + \sum_j w_j x_j + \sum_t w^{(t)}_{v_t}`.

    A logistic regression on the dense features and the one-hot ids; a field embedding of
    size 1, added up.

    Parameters
    ----------
    num_dense, table_sizes, shared, bag_mode
        As `FieldEmbeddings`.
    bias : bool
        Whether to add b (1,). Leave it out when another part of the model has a bias.
    dtype : dtype
        Type of the parameters. All are zero at first.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> md.layers.LinearTerm(2, [5]).num_parameters()
    8
    """

    equation = r"y = b + \sum_j w_j x_j + \sum_t w^{(t)}_{v_t}"

    def forward(self, x: np.ndarray, sparse: np.ndarray | Jagged) -> np.ndarray:
        """Compute y (B,) from x (B, num_dense) and `sparse`, ids (B, T) or a `Jagged`.

        Errors as `FieldEmbeddings.forward`.
        """
        terms = self.fields.forward(x, sparse)[:, :, 0]  # (B, num_dense + T)
        y = np.einsum("bf->b", terms)  # ① (B,): over a short axis `sum` takes four times as long
        self.keep(y.shape, y.dtype)
        return y if self.bias is None else y + self.bias.value  # ① (B,)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        r"""Add to the gradients; return dL/dx (B, num_dense) from dy (B,).

        1. y is a sum: each feature's term, of size :math:`D = 1`, and b.
        2. b is added in every sample: :math:`db = \sum_b dy_b`.
        3. Every term gets dy.
        4. The rest is `FieldEmbeddings.backward`: :math:`dw_j = \sum_b dy_b\, x_{bj}`,
           :math:`dw^{(t)}_r = \sum_{b: v_{bt} = r} dy_b` and :math:`dx_{bj} = dy_b\, w_j`.
        """
        shape, dtype = self.kept()
        dy = converted("dy", self.check_dy(dy, shape), dtype)
        if self.bias is not None:
            self.bias.add_grad(dy.sum(keepdims=True))  # ② (1,)
        spread = np.broadcast_to(dy[:, None, None], (len(dy), self.fields.num_fields, 1))  # ③
        return self.fields.backward(spread)  # ④ (B, num_dense)

    def __init__(
        self,
        num_dense: int,
        table_sizes: Sequence[int],
        bias: bool = True,
        *,
        shared: Sequence[tuple[int, int]] = (),
        bag_mode: str = "sum",
        dtype: Any = np.float32,
    ):
        bias = as_flag("bias", bias)
        unused = np.random.default_rng()  # what it draws is set to 0
        options: dict[str, Any] = {"shared": shared, "bag_mode": bag_mode}
        self.fields = FieldEmbeddings(num_dense, table_sizes, 1, **options, rng=unused, dtype=dtype)
        for parameter in self.fields.parameters():
            parameter.value[...] = 0
        self.bias = Parameter(np.zeros(1, dtype), "bias") if bias else None  # b

    def flops_per_sample(self) -> int:
        """Return 2 num_dense + T: products and sums."""
        return len(self.fields.dense.value) + self.fields.num_fields

    def __repr__(self) -> str:
        return f"LinearTerm({len(self.fields.dense.value)} dense, {self.fields.num_tables} tables)"
