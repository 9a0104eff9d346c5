"""WideDeep: memorized crosses beside a generalizing MLP (Cheng et al. 2016)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidlrm.arrays import check_room
from minidlrm.data.batch import Batch, Jagged, check_batch
from minidlrm.data.encode import hash_ids
from minidlrm.layers.embedding import make_tables
from minidlrm.layers.fields import FieldEmbeddings, LinearTerm
from minidlrm.layers.inputs import as_config, as_sizes, as_table_options, seeded
from minidlrm.layers.mlp import MLP
from minidlrm.models.model import Model
from minidlrm.module import Parameter


def _pairs(crosses: Any) -> list[list[int]]:
    """Return the pairs of tables; TypeError where one is not two integers."""
    pairs = crosses.tolist() if isinstance(crosses, np.ndarray) else crosses
    if not isinstance(pairs, (list, tuple)):
        raise TypeError(f"crosses is {crosses!r}: it must be a list of two tables each")
    made = [as_sizes(f"crosses[{k}]", pair, -math.inf) for k, pair in enumerate(pairs)]
    if any(len(pair) != 2 for pair in made):
        raise TypeError(f"crosses is {crosses!r}: it must be a list of two tables each")
    return made


class WideDeep(Model):
    r"""A linear model with hand-chosen cross-product features, and an MLP on embeddings.

    Parameters
    ----------
    num_dense, table_sizes, embedding_dim, shared, bag_mode
        As `DLRM`.
    mlp : sequence of int
        Hidden sizes of the deep part.
    crosses : sequence of (int, int)
        Pairs of tables whose ids are crossed: each pair of ids has a weight of its own.
    cross_buckets : int, optional
        Hash each cross to this many weights. The default is exact: N_i N_j weights.
    seed, dtype
        As `DLRM`.

    Raises
    ------
    ValueError
        As `DLRM`; or when a cross names no two tables.
    TypeError
        When `crosses` does not hold pairs of integers.

    References
    ----------
    Cheng et al. 2016, "Wide & deep learning for recommender systems", sections 3.1 to 3.3.

    Examples
    --------
    >>> import minidlrm as md
    >>> model = md.WideDeep(0, [10, 20, 3], embedding_dim=4, mlp=(8,), crosses=[(0, 2)])
    >>> model.num_parameters() == 33 + 30 + 33 * 4 + (12 * 8 + 8) + (8 + 1)
    True
    """

    equation = r"\hat{y} = w^\top [x, \phi(x)] + \mathrm{MLP}(z)"

    def forward(self, batch: Batch) -> np.ndarray:
        """Compute the logits (B,) of a batch; errors as `DLRM.forward`.

        ::

                              logit
                                |
            wide: linear term + one weight a cross (i, j)   +   deep: MLP
                         |                                        |
                  features, pairs of ids                    z_1  z_2 ... z_F

        ValueError for multi-hot ids with crosses.
        """
        check_batch(batch, self.config["num_dense"], len(self.config["table_sizes"]))
        logits = self.linear.forward(batch.dense, batch.sparse)  # (B,); checks the ids
        if self.crosses:
            if isinstance(batch.sparse, Jagged):
                raise ValueError("crosses need one id a table; this batch is multi-hot")
            logits += self.crosses.forward(self._cross_ids(batch.sparse)).sum(axis=(1, 2))
        z = self.fields.forward(batch.dense, batch.sparse)  # (B, F, D)
        self.keep(z.shape)
        return logits + self.mlp.forward(z.reshape(len(z), -1))[:, 0]

    def backward(self, dlogits: np.ndarray) -> None:
        """Add to the gradients of all parameters: each term gets dL/dlogits (B,)."""
        (shape,) = self.kept()
        dlogits = self.check_dy(dlogits, shape[:1])
        self.linear.backward(dlogits)
        if self.crosses:
            spread = (shape[0], self.crosses.num_tables, 1)
            self.crosses.backward(np.broadcast_to(dlogits[:, None, None], spread))
        self.fields.backward(self.mlp.backward(dlogits[:, None]).reshape(shape))

    def __init__(
        self,
        num_dense: int,
        table_sizes: Sequence[int],
        embedding_dim: int = 16,
        mlp: Sequence[int] = (400, 400, 400),
        crosses: Sequence[tuple[int, int]] = (),
        cross_buckets: int | None = None,
        seed: int = 0,
        dtype: Any = np.float32,
        *,
        shared: Sequence[tuple[int, int]] = (),
        bag_mode: str = "sum",
    ):
        """Make the parts.

        Parameters: S + num_dense, N_i N_j (or `cross_buckets`) a cross, (S + num_dense) D, and
        the MLP's. The paper trains the wide part with FTRL and L1, the deep part with Adagrad:
        see `OptimizerGroup`, `wide_parameters` and `deep_parameters`.
        """
        self.config = as_config(
            num_dense=num_dense,
            table_sizes=table_sizes,
            embedding_dim=embedding_dim,
            mlp=mlp,
            cross_buckets=cross_buckets,
        )
        sizes, embedding_dim = self.config["table_sizes"], self.config["embedding_dim"]
        self.config["crosses"] = _pairs(crosses)
        for i, j in self.config["crosses"]:
            if not (0 <= i < len(sizes) and 0 <= j < len(sizes)) or i == j:
                raise ValueError(
                    f"crosses has ({i}, {j}): it must name two of the {len(sizes)} tables of "
                    "table_sizes, counted from 0"
                )
        tables = as_table_options(table_sizes, shared, bag_mode)
        self.config |= tables
        options: dict[str, Any] = {"rng": seeded(seed), "dtype": dtype}
        self.linear = LinearTerm(num_dense, sizes, bias=False, dtype=dtype, **tables)
        self.crosses = None
        if self.config["crosses"]:
            buckets = self.config["cross_buckets"]
            unused = np.random.default_rng()  # what it draws is set to 0
            cross_sizes = [buckets or sizes[i] * sizes[j] for i, j in self.config["crosses"]]
            check_room("crosses or cross_buckets", sum(cross_sizes))
            self.crosses = make_tables(cross_sizes, 1, rng=unused, dtype=dtype)
            self.crosses.weight.value[...] = 0
        self.fields = FieldEmbeddings(num_dense, sizes, embedding_dim, **options, **tables)
        mlp_sizes = [self.fields.num_fields * embedding_dim, *self.config["mlp"], 1]
        self.mlp = MLP(mlp_sizes, last_activation=False, **options)

    def wide_parameters(self) -> list[Parameter]:
        """Return the parameters of the linear term and of the crosses."""
        crosses = self.crosses.parameters() if self.crosses else []
        return self.linear.parameters() + crosses

    def deep_parameters(self) -> list[Parameter]:
        """Return the parameters of the embeddings and of the MLP."""
        return self.fields.parameters() + self.mlp.parameters()

    def _cross_ids(self, ids: np.ndarray) -> np.ndarray:
        """Number each pair of ids: id_i N_j + id_j, or a hash of it -> (B, crosses)."""
        sizes, buckets = self.config["table_sizes"], self.config["cross_buckets"]
        out = np.empty((len(ids), len(self.config["crosses"])), np.int64)
        for k, (i, j) in enumerate(self.config["crosses"]):
            pair = ids[:, i].astype(np.int64) * sizes[j] + ids[:, j]  # (B,)
            out[:, k] = pair if buckets is None else hash_ids(pair, k, buckets)
        return out

    def __repr__(self) -> str:
        return f"WideDeep({self.fields}, {self.mlp}, crosses={self.config['crosses']})"
