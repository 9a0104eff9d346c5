"""DLRM: the deep learning recommendation model of Naumov et al. 2019 (arXiv 1906.00091)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidlrm.data.batch import Batch, Jagged
from minidlrm.layers.cross import CrossNetwork
from minidlrm.layers.dot import DotInteraction
from minidlrm.layers.embedding import EmbeddingBagCollection
from minidlrm.layers.mlp import MLP
from minidlrm.layers.qr import QREmbeddingBag
from minidlrm.models.model import Model


class DLRM(Model):
    r"""Dense features and ids, mixed by pairwise dot products, read by an MLP.

    ::

                        logit
                          |
                       top MLP
                          |
            [x, <z_1,z_0>, <z_2,z_0>, <z_2,z_1>, ...]       interaction
              |           |           |
              x = z_0     z_1   ...   z_T                   F = T + 1 vectors of size D
              |           |           |
         bottom MLP    table 0  ...  table T-1
              |           |           |
        dense features   ids         ids

    It follows the reference implementation where it has a choice: the order of the vectors
    and of the pairs, a ReLU after every layer but the last of the top MLP, the
    initialization. There is no sigmoid: the loss takes logits.

    Parameters
    ----------
    num_dense : int
        Number of dense features. With 0 there is no bottom MLP, and F = T.
    table_sizes : sequence of int
        Rows of each embedding table, T of them.
    embedding_dim : int
        D.
    bottom_mlp, top_mlp : sequence of int
        Hidden sizes. The bottom MLP's last layer, to D, and the top MLP's, to 1, are added.
    interaction : "dot", "cat" or "cross"
        Dot products of all pairs, after the dense vector; all vectors one after another; or
        cross layers of DCN v2 on these, as in the MLPerf benchmark.
    self_interaction : bool
        Whether the dot products <z_i, z_i> are included.
    seed : int
        Of the initial parameters.
    dtype : dtype
        Of the parameters.
    num_cross_layers, cross_rank
        Of the cross layers; MLPerf has 3 of rank 512. A rank of None is the full matrix.
    qr_threshold : int, optional
        Tables of more rows are composed of two small ones; see `QREmbeddingBag`.
    qr_collisions : int
        Ids that share a row of a composed table's quotient part.
    qr_operation : "mult", "add" or "concat"
        How the two parts are combined.

    Raises
    ------
    ValueError
        When `interaction` is not known, or a size is out of range.

    Notes
    -----
    Parameters: sum(N_t) D in the tables, in × out + out in each linear layer. The top MLP
    reads D + F (F - 1) / 2 numbers ("dot"), or F D ("cat").

    References
    ----------
    Naumov et al. 2019, "Deep learning recommendation model for personalization and
    recommendation systems", arXiv 1906.00091, section 2.2; its code, facebookresearch/dlrm.

    Examples
    --------
    >>> import minidlrm as md
    >>> clicks = md.data.synthetic_clicks(rows=1000, seed=0)
    >>> model = md.DLRM(13, clicks.table_sizes, embedding_dim=8, bottom_mlp=(32,), top_mlp=(32,))
    >>> model.forward(clicks.train[:5]).shape
    (5,)
    """

    equation = r"\hat{y} = \mathrm{top}([x, \{\langle z_i, z_j \rangle\}_{i > j}])"

    def __init__(
        self,
        num_dense: int,
        table_sizes: Sequence[int],
        embedding_dim: int = 16,
        bottom_mlp: Sequence[int] = (512, 256, 64),
        top_mlp: Sequence[int] = (512, 256),
        interaction: str = "dot",
        self_interaction: bool = False,
        seed: int = 0,
        dtype=np.float32,
        *,
        num_cross_layers: int = 3,
        cross_rank: int | None = None,
        qr_threshold: int | None = None,
        qr_collisions: int = 4,
        qr_operation: str = "mult",
    ):
        if num_dense < 0:
            raise ValueError(f"num_dense is {num_dense}: it must be at least 0")
        if interaction not in ("dot", "cat", "cross"):
            raise ValueError(f"interaction is {interaction!r}: it must be 'dot', 'cat' or 'cross'")
        self.config = {
            "num_dense": int(num_dense),
            "table_sizes": [int(size) for size in table_sizes],
            "embedding_dim": int(embedding_dim),
            "bottom_mlp": list(bottom_mlp),
            "top_mlp": list(top_mlp),
            "interaction": interaction,
            "self_interaction": bool(self_interaction),
            "num_cross_layers": int(num_cross_layers),
            "cross_rank": cross_rank,
            "qr_threshold": qr_threshold,
            "qr_collisions": int(qr_collisions),
            "qr_operation": qr_operation,
        }
        num_features = len(table_sizes) + (num_dense > 0)  # F
        options: dict[str, Any] = {"rng": np.random.default_rng(seed), "dtype": dtype}
        large = [qr_threshold is not None and size > qr_threshold for size in table_sizes]
        self.plain_tables = [t for t, composed in enumerate(large) if not composed]
        self.composed_tables = [t for t, composed in enumerate(large) if composed]
        self.embeddings: Any = None
        if self.plain_tables or not self.composed_tables:
            sizes = [table_sizes[t] for t in self.plain_tables]
            self.embeddings = EmbeddingBagCollection(sizes, embedding_dim, **options)
        self.composed = [
            QREmbeddingBag(
                table_sizes[t],
                embedding_dim,
                min(qr_collisions, table_sizes[t]),
                qr_operation,
                **options,
            )
            for t in self.composed_tables
        ]
        self.bottom = None
        if num_dense:
            self.bottom = MLP([num_dense, *bottom_mlp, embedding_dim], **options)
        self.dot = None
        top_in = num_features * embedding_dim
        if interaction == "dot":
            self.dot = DotInteraction(num_features, embedding_dim, self_interaction)
            top_in = self.dot.num_pairs + (embedding_dim if num_dense else 0)
        self.cross = None
        if interaction == "cross":
            self.cross = CrossNetwork(top_in, num_cross_layers, "matrix", cross_rank, **options)
        self.top = MLP([top_in, *top_mlp, 1], last_activation=False, **options)

    @property
    def num_tables(self) -> int:
        """Number of embedding tables, T."""
        return len(self.plain_tables) + len(self.composed_tables)

    def _look_up(self, batch: Batch) -> np.ndarray:
        """Look up the vectors of all tables -> (B, T, D)."""
        if not self.composed:
            return self.embeddings.forward(batch.sparse)
        shape = (len(batch), self.num_tables, self.config["embedding_dim"])
        z = np.empty(shape, self.top.layers[0].weight.value.dtype)
        if self.embeddings:
            z[:, self.plain_tables] = self.embeddings.forward(batch.tables(self.plain_tables))
        for t, table in zip(self.composed_tables, self.composed, strict=True):
            bags = batch.tables([t])
            try:
                if isinstance(bags, Jagged):
                    z[:, t] = table.forward(bags.values, bags.offsets, bags.weights)
                else:
                    z[:, t] = table.forward(bags)
            except IndexError as error:
                raise IndexError(f"table {t}: {error}") from None
        return z

    def _look_up_backward(self, dz: np.ndarray) -> None:
        if not self.composed:
            self.embeddings.backward(dz)
            return
        if self.embeddings:
            self.embeddings.backward(dz[:, self.plain_tables])
        for t, table in zip(self.composed_tables, self.composed, strict=True):
            table.backward(dz[:, t])

    def forward(self, batch: Batch) -> np.ndarray:
        """Compute the logits (B,) of a batch.

        Parameters
        ----------
        batch : Batch
            B rows; labels are not used.

        Returns
        -------
        float array (B,)
            Logits: the sigmoid of one is the click's probability.

        Raises
        ------
        ValueError
            When the batch is empty, has other numbers of features or tables than the model, or a
            dense feature is not finite.
        IndexError
            When an id is out of its table's range.
        """
        batch.check(self.config["num_dense"], self.num_tables)
        z = self._look_up(batch)  # (B, T, D)
        x = z[:, 0, :0]  # (B, 0): no dense features
        if self.bottom:
            dense = batch.dense.astype(z.dtype, copy=False)  # (B, num_dense)
            x = self.bottom.forward(dense)  # (B, D)
            z = np.concatenate([x[:, None], z], axis=1)  # (B, F, D)
        if self.dot:
            top_in = np.concatenate([x, self.dot.forward(z)], axis=1)  # (B, D + P)
        else:
            top_in = z.reshape(len(z), -1)  # (B, F D)
            if self.cross:
                top_in = self.cross.forward(top_in)
        self.keep(x.shape[1], z.shape)
        return self.top.forward(top_in)[:, 0]  # (B,)

    def backward(self, dlogits: np.ndarray) -> None:
        r"""Add to the gradients of all parameters, given dL/dlogits (B,).

        The dense vector x goes two ways: to the interaction as :math:`z_0`, and straight
        into the top MLP. Its gradient is the sum of both ("dot"):
        :math:`dx = dtop_{:D} + dz_0`. The other vectors go one way.
        """
        width, shape = self.kept()
        dtop = self.top.backward(
            self.check_dy(dlogits, shape[:1])[:, None]
        )  # (B, D + P) or (B, F D)
        dx: Any = 0
        if self.dot:
            dx, dz = dtop[:, :width], self.dot.backward(dtop[:, width:])  # (B, D), (B, F, D)
        else:
            dz = (self.cross.backward(dtop) if self.cross else dtop).reshape(shape)
        if self.bottom:
            self.bottom.backward(dx + dz[:, 0])
            dz = dz[:, 1:]  # (B, T, D)
        self._look_up_backward(dz)

    def __repr__(self) -> str:
        mixing = self.dot or self.cross or "cat"
        parts = [self.embeddings, *self.composed, self.bottom, mixing, self.top]
        return f"DLRM({', '.join(str(part) for part in parts if part)})"
