"""QREmbeddingBag and ComposedTables: a huge table as two small ones, by quotient and remainder.

Step by step in notebooks/08_making_it_fast.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidlrm.arrays import as_flag, check_room, check_type, check_word, integers
from minidlrm.data.batch import Jagged
from minidlrm.layers.bag import as_bags
from minidlrm.layers.embedding import (
    EmbeddingBagCollection,
    bag_rows,
    make_tables,
    table_rows,
)
from minidlrm.layers.inputs import as_size, as_sizes, converted
from minidlrm.module import Module

OPERATIONS = ("mult", "add", "concat")  # how the two rows become one


class QREmbeddingBag(Module):
    r"""Compositional embedding: id v is :math:`q_{v \,\mathrm{div}\, c} \circ r_{v \bmod c}`.

    Two tables of :math:`N/c` and c rows stand for one of N rows. No two ids share both rows, so
    every id has a vector of its own. Bags are pooled in each table first, and combined then.

    Parameters
    ----------
    num_categories, embedding_dim : int
        N, the ids, and D, the size of the result.
    num_collisions : int
        c: this many ids share a row of the quotient table.
    operation : "mult", "add" or "concat"
        The product, entry by entry; the sum; or one after the other (each of size :math:`D/2`).
    mode, include_last_offset
        As `EmbeddingBag`, but sums are the default.
    rng, dtype
        As `EmbeddingBag`. The result has the variance of a plain table's entries,
        :math:`1/(3N)`.

    References
    ----------
    Shi et al. 2020, "Compositional embeddings using complementary partitions for
    memory-efficient recommendation systems", arXiv 1909.02107.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> bag = md.QREmbeddingBag(1_000_000, 8, num_collisions=1000, rng=np.random.default_rng(0))
    >>> bag.num_parameters()                       # instead of 8,000,000
    16000
    """

    equation = r"y = (\sum_i q_{v_i \,div\, c}) \circ (\sum_i r_{v_i \,mod\, c})"

    def forward(
        self, input: Any, offsets: Any = None, per_sample_weights: Any = None
    ) -> np.ndarray:
        """Look up bags, `input` (nnz,), `offsets` (B,) or (B + 1,) -> y (B, D).

        These, `per_sample_weights` (nnz,), and the ValueError or IndexError where they do not fit,
        are those of `EmbeddingBag.forward`.
        """
        bags = as_bags(input, offsets, per_sample_weights, self.include_last_offset)
        return self.forward_bags(bags)

    def forward_bags(self, bags: Jagged) -> np.ndarray:
        """Look up the bags of one table -> y (B, D); IndexError when an id is out of range.

        TypeError when `bags` is not a Jagged.
        """
        check_type("bags", bags, Jagged)
        ids = bags.values.astype(np.int64, copy=False)  # a small type could not hold c
        bad = (ids < 0) | (ids >= self.num_categories)
        if bad.any():
            k = int(bad.argmax())
            raise IndexError(f"id {ids[k]} out of range [0, {self.num_categories}), at values[{k}]")
        both = np.concatenate([ids // self.num_collisions, ids % self.num_collisions])
        weights = None if bags.weights is None else np.tile(bags.weights, 2)
        offsets = bags.offsets.astype(np.int64, copy=False)
        twice = np.concatenate([offsets[:-1], offsets + len(ids)])
        z = self.tables.forward(Jagged(both, twice, weights))  # ① (B, 2, D)
        self.keep(z)
        q, r = z[:, 0], z[:, 1]  # (B, D)
        if self.operation == "mult":
            return q * r  # ① (B, D)
        return q + r if self.operation == "add" else np.concatenate([q, r], axis=1)  # ① (B, D)

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        r"""Add to the gradients of both tables; return dL/dper_sample_weights (nnz,) or None.

        1. Let q and r be the pooled rows of the two tables: :math:`y = q \odot r`,
           :math:`y = q + r`, or one after the other.
        2. Product: :math:`dq = dy \odot r`, :math:`dr = dy \odot q`. Sum: both are dy.
           One after the other: each has its half of dy.
        3. The tables' gradients are scatter-adds; see `EmbeddingBagCollection.backward`.
        4. The weight of an id scales one row of each table: its gradient is the sum of both.
        """
        (z,) = self.kept()
        width = z.shape[2] * (2 if self.operation == "concat" else 1)
        dy = converted("dy", self.check_dy(dy, (len(z), width)), z.dtype)
        if self.operation == "mult":
            dz = dy[:, None] * z[:, ::-1]  # ② (B, 2, D): each times the other
        elif self.operation == "add":
            dz = np.stack([dy, dy], axis=1)  # ②
        else:
            dz = dy.reshape(z.shape)  # ②
        dweights = self.tables.backward(dz)  # ③
        return None if dweights is None else dweights.reshape(2, -1).sum(axis=0)  # ④ (nnz,)

    def __init__(
        self,
        num_categories: int,
        embedding_dim: int,
        num_collisions: int,
        operation: str = "mult",
        *,
        mode: str = "sum",
        include_last_offset: bool = False,
        rng: np.random.Generator,
        dtype: Any = np.float32,
    ):
        check_word("operation", operation, *OPERATIONS)
        self.num_categories = as_size("num_categories", num_categories)
        self.num_collisions = as_size("num_collisions", num_collisions)
        if self.num_collisions > self.num_categories:
            raise ValueError(
                f"num_collisions is {num_collisions}: it must lie in "
                f"[1, num_categories = {num_categories}]"
            )
        dim = as_size("embedding_dim", embedding_dim)
        if operation == "concat" and dim % 2:
            raise ValueError(f"embedding_dim is {dim}: 'concat' needs an even one")
        self.operation = operation
        self.include_last_offset = as_flag("include_last_offset", include_last_offset)
        rows = [-(-self.num_categories // self.num_collisions), self.num_collisions]
        width = dim // 2 if operation == "concat" else dim
        check_room("num_categories or embedding_dim", sum(rows), width)
        self.tables = make_tables(rows, width, mode, rng=rng, dtype=dtype)
        bound = np.sqrt(3 * _variance(operation, self.num_categories))
        self.tables.fill(lambda shape: rng.uniform(-bound, bound, shape))

    def flops_per_sample(self) -> int:
        """Return D for the combination (0 for "concat"), for one id a bag."""
        return 0 if self.operation == "concat" else self.tables.shape[1]

    def __repr__(self) -> str:
        dim = self.tables.shape[1]
        return (
            f"QREmbeddingBag({self.num_categories:,}, {dim}, {self.num_collisions:,}, "
            f"{self.operation!r})"
        )


def _variance(operation: str, num_categories: int) -> float:
    """The variance of an entry of each part, so that the result has that of a plain table.

    For a product each factor has the root of it, for a sum each term half of it. (The reference
    draws each factor as if it were a plain table of its own size, so that the product's variance
    depends on c, and is far too large.)
    """
    plain = 1 / (3 * num_categories)
    return {"mult": plain**0.5, "add": plain / 2, "concat": plain}[operation]


class ComposedTables(Module):
    """The tables of a model: those of more than `threshold` rows composed, the others plain.

    It takes and gives what `EmbeddingBagCollection` does. Checkpoints know its parts as
    ``embeddings`` (all plain tables) and ``composed`` (one `QREmbeddingBag` for each large table).

    Parameters
    ----------
    table_sizes, embedding_dim
        As `EmbeddingBagCollection`.
    threshold : int
        Tables of more rows are composed.
    num_collisions, operation
        As `QREmbeddingBag`; a small table has at most as many collisions as rows.
    rng, dtype
        As `EmbeddingBagCollection`.

    References
    ----------
    Naumov et al. 2019, its code facebookresearch/dlrm, option ``--qr-threshold``.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> tables = md.ComposedTables([1000, 7], 4, threshold=100, rng=np.random.default_rng(0))
    >>> tables.forward(np.array([[999, 6], [0, 0]])).shape, tables.num_parameters()
    ((2, 2, 4), 1044)
    """

    equation = r"z_{bt} = \mathrm{table}_t(v_{bt})"

    def forward(self, sparse: np.ndarray | Jagged) -> np.ndarray:
        """Look up `sparse`, ids (B, T) or bags -> z (B, T, D), as `EmbeddingBagCollection`."""
        if isinstance(sparse, Jagged):
            batch_size = sparse.check(self.num_tables)
            bag_rows(sparse, self.starts)  # names the table of an id that is out of range
        else:
            sparse = integers("ids", sparse)
            batch_size = len(table_rows(sparse, self.starts))
        dtype = self.composed[0].tables.weight.value.dtype
        z = np.empty((batch_size, self.num_tables, self.embedding_dim), dtype)  # (B, T, D)
        if self.embeddings:
            z[:, self.plain] = self.embeddings.forward(_pick(sparse, self.plain, batch_size))  # ①
        for t, table in zip(self.large, self.composed, strict=True):
            ids = _pick(sparse, [t], batch_size)
            if isinstance(ids, Jagged):
                z[:, t] = table.forward_bags(ids)  # ①
            else:
                z[:, t] = table.forward(ids)  # ①
        self.keep(z.shape, sparse if isinstance(sparse, Jagged) else None)
        return z

    def backward(self, dz: np.ndarray) -> np.ndarray | None:
        r"""Add to the gradients; return dL/dweights (nnz,) for bags with weights, or None.

        1. :math:`z_{bt}` is what table t gives for its ids.
        2. So each table gets its part of dz (B, T, D), :math:`dz_{bt}`:
           `EmbeddingBagCollection.backward` for the plain ones, `QREmbeddingBag.backward` for the
           composed.
        3. The weights of the ids lie table by table: each table's gradients go to its span.
        """
        shape, bags = self.kept()
        dz = converted("dz", self.check_dy(dz, shape), self.composed[0].tables.weight.value.dtype)
        parts = [
            table.backward(dz[:, t])  # ②
            for t, table in zip(self.large, self.composed, strict=True)
        ]
        plain = self.embeddings.backward(dz[:, self.plain]) if self.embeddings else None  # ②
        if bags is None or bags.weights is None:
            return None
        spans = np.split(np.arange(len(bags.values)), bags.offsets[shape[0] :: shape[0]][:-1])
        dweights = np.empty(len(bags.values), dz.dtype)
        for t, part in zip(self.large, parts, strict=True):
            dweights[spans[t]] = part  # ③
        if plain is not None:
            dweights[np.concatenate([spans[t] for t in self.plain])] = plain  # ③
        return dweights

    def __init__(
        self,
        table_sizes: Sequence[int],
        embedding_dim: int,
        *,
        threshold: int,
        num_collisions: int = 4,
        operation: str = "mult",
        rng: np.random.Generator,
        dtype: Any = np.float32,
    ):
        rows = as_sizes("table_sizes", table_sizes)
        self.embedding_dim = as_size("embedding_dim", embedding_dim)
        collisions = as_size("num_collisions", num_collisions)
        threshold = as_size("threshold", threshold, 0)
        self.starts = np.concatenate([[0], np.cumsum(rows)]).astype(np.int64)  # (T + 1,)
        self.plain = [t for t, number in enumerate(rows) if number <= threshold]
        self.large = [t for t, number in enumerate(rows) if number > threshold]
        if not self.large:
            raise ValueError(f"threshold is {threshold}: none of table_sizes is larger")
        stored = sum(rows[t] for t in self.plain) + sum(
            -(-rows[t] // collisions) for t in self.large
        )
        check_room("table_sizes or embedding_dim", stored, self.embedding_dim)
        options: dict[str, Any] = {"rng": rng, "dtype": dtype}
        self.embeddings: EmbeddingBagCollection | None = None
        if self.plain:
            plain = [rows[t] for t in self.plain]
            self.embeddings = make_tables(plain, self.embedding_dim, **options)
        self.composed = [
            QREmbeddingBag(
                rows[t], self.embedding_dim, min(collisions, rows[t]), operation, **options
            )
            for t in self.large
        ]

    @property
    def num_tables(self) -> int:
        """Number of tables, T."""
        return len(self.starts) - 1

    def __repr__(self) -> str:
        parts = [self.embeddings, *self.composed]
        return f"ComposedTables({', '.join(str(part) for part in parts if part)})"


def _pick(sparse: np.ndarray | Jagged, which: list[int], batch_size: int) -> np.ndarray | Jagged:
    """Return the ids (B, n), or the bags, of n tables."""
    if not isinstance(sparse, Jagged):
        return sparse[:, which]
    bags = (np.array(which)[:, None] * batch_size + np.arange(batch_size)).ravel()
    return sparse[bags, len(sparse.offsets) - 1]
