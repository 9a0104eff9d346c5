"""QREmbeddingBag: a huge table as two small ones, by quotient and remainder."""

import numpy as np

from minidlrm.data.batch import Jagged
from minidlrm.layers.embedding import EmbeddingBagCollection, as_bags
from minidlrm.module import Module


class QREmbeddingBag(Module):
    r"""Compositional embedding: id v is :math:`q_{v \,\mathrm{div}\, c} \circ r_{v \bmod c}`.

    Two tables of N / c and c rows stand for one of N rows. No two ids share both rows, so
    every id has a vector of its own. Bags are pooled in each table first, and combined then.

    Parameters
    ----------
    num_categories : int
        N, the ids.
    embedding_dim : int
        D, the size of the result.
    num_collisions : int
        c: so many ids share a row of the quotient table.
    operation : "mult", "add" or "concat"
        The product, entry by entry; the sum; or one after the other (each of size D / 2).
    mode : "sum" or "mean"
        As `EmbeddingBag`.
    rng, dtype
        As `EmbeddingBag`. A plain table has entries of variance 1 / (3 N). Here the result
        has that variance: for a product each factor has the root of it, for a sum each term
        half of it. (The reference draws each factor as if it were a plain table of its own
        size, so that the product's variance depends on c, and is far too large.)

    Raises
    ------
    ValueError
        When `operation` or `mode` is not known, `num_collisions` is not in [1, num_categories], or
        `embedding_dim` is below 1, or odd with "concat".

    References
    ----------
    Shi et al. 2020, "Compositional embeddings using complementary partitions for
    memory-efficient recommendation systems", arXiv 1909.02107.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> bag = md.QREmbeddingBag(1_000_000, 8, num_collisions=1000)
    >>> bag.num_parameters()                       # instead of 8,000,000
    16000
    >>> bag.forward(np.array([[999_999], [0]])).shape
    (2, 8)
    """

    equation = r"y = (\sum_i q_{v_i \,div\, c}) \circ (\sum_i r_{v_i \,mod\, c})"

    def __init__(
        self,
        num_categories: int,
        embedding_dim: int,
        num_collisions: int,
        operation: str = "mult",
        mode: str = "sum",
        *,
        rng: np.random.Generator | None = None,
        dtype=np.float32,
    ):
        if operation not in ("mult", "add", "concat"):
            raise ValueError(f"operation is {operation!r}: it must be 'mult', 'add' or 'concat'")
        if num_categories < 1 or not 1 <= num_collisions <= num_categories:
            raise ValueError(
                f"num_collisions is {num_collisions}: it must lie in [1, {num_categories}]"
            )
        if operation == "concat" and embedding_dim % 2:
            raise ValueError(f"embedding_dim is {embedding_dim}: 'concat' needs an even one")
        self.num_categories, self.num_collisions = num_categories, num_collisions
        self.operation = operation
        rng = rng or np.random.default_rng(0)
        dim = embedding_dim // 2 if operation == "concat" else embedding_dim
        sizes = [-(-num_categories // num_collisions), num_collisions]
        self.tables = EmbeddingBagCollection(sizes, dim, mode, rng=rng, dtype=dtype)
        variance = 1 / (3 * num_categories)
        variance = {"mult": variance**0.5, "add": variance / 2, "concat": variance}[operation]
        bound = np.sqrt(3 * variance)
        table = self.tables.weight.value
        table[...] = rng.uniform(-bound, bound, table.shape)

    def forward(self, input, offsets=None, per_sample_weights=None) -> np.ndarray:
        """Look up bags -> (B, D).

        Parameters
        ----------
        input, offsets, per_sample_weights
            As `EmbeddingBag.forward`.

        Returns
        -------
        float array (B, D)
            One vector a bag.

        Raises
        ------
        IndexError
            When an id is not in [0, num_categories).
        TypeError, ValueError
            As `EmbeddingBag.forward`.
        """
        bags = as_bags(input, offsets, per_sample_weights)
        ids = bags.values
        bad = (ids < 0) | (ids >= self.num_categories)
        if bad.any():
            k = int(bad.argmax())
            raise IndexError(f"id {ids[k]} out of range [0, {self.num_categories}), at values[{k}]")
        both = np.concatenate([ids // self.num_collisions, ids % self.num_collisions])
        weights = None if bags.weights is None else np.tile(bags.weights, 2)
        twice = np.concatenate([bags.offsets[:-1], bags.offsets + len(ids)])
        z = self.tables.forward(Jagged(both, twice, weights))  # (B, 2, D)
        self.keep(z)
        q, r = z[:, 0], z[:, 1]  # (B, D)
        if self.operation == "mult":
            return q * r
        return q + r if self.operation == "add" else np.concatenate([q, r], axis=1)

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        r"""Add to the gradients of both tables; return dL/dper_sample_weights (nnz,) or None.

        Let q and r be the pooled rows of the two tables.

        1. Product: :math:`dq = dy \odot r`, :math:`dr = dy \odot q`. Sum: both are dy.
           One after the other: each has its half of dy.
        2. The tables' gradients are scatter-adds; see `EmbeddingBagCollection.backward`.
        3. The weight of an id scales one row of each table: its gradient is the sum of both.
        """
        (z,) = self.kept()
        width = z.shape[2] * (2 if self.operation == "concat" else 1)
        dy = self.check_dy(dy, (len(z), width))
        if self.operation == "mult":
            dz = dy[:, None] * z[:, ::-1]  # (B, 2, D): each times the other
        elif self.operation == "add":
            dz = np.stack([dy, dy], axis=1)
        else:
            dz = dy.reshape(z.shape)
        dweights = self.tables.backward(dz)
        return None if dweights is None else dweights.reshape(2, -1).sum(axis=0)

    def flops_per_sample(self) -> int:
        """Return D for the combination (0 for "concat"), for one id a bag."""
        return 0 if self.operation == "concat" else self.tables.weight.value.shape[1]

    def __repr__(self) -> str:
        dim = self.tables.weight.value.shape[1]
        return (
            f"QREmbeddingBag({self.num_categories:,}, {dim}, {self.num_collisions:,}, "
            f"{self.operation!r})"
        )
