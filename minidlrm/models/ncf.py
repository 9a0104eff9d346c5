"""GMF and NeuMF: neural collaborative filtering (He et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidlrm.data.batch import Batch, check_batch
from minidlrm.layers.embedding import make_tables
from minidlrm.layers.inputs import as_config, as_sizes, seeded
from minidlrm.layers.linear import Linear
from minidlrm.layers.mlp import MLP
from minidlrm.layers.product import ElementwiseProduct
from minidlrm.models.model import Model


def check_two(table_sizes: Sequence[int], name: str) -> list[int]:
    """Return the sizes of two tables; ValueError when there are more, or fewer."""
    sizes = as_sizes("table_sizes", table_sizes)
    if len(sizes) != 2:
        raise ValueError(f"{name} takes two tables, users and items; table_sizes has {len(sizes)}")
    return sizes


class GMF(Model):
    r"""Generalized matrix factorization, :math:`\hat{y} = w^\top (p_u \odot q_i) + b`.

    Parameters
    ----------
    table_sizes : (int, int)
        Users and items.
    embedding_dim : int
        D.
    seed, dtype
        As `DLRM`.

    References
    ----------
    He et al. 2017, "Neural collaborative filtering", equation 9.

    Examples
    --------
    >>> import minidlrm as md
    >>> md.GMF([10, 20], embedding_dim=4).num_parameters()
    125
    """

    equation = r"\hat{y} = w^\top (p_u \odot q_i) + b"

    def forward(self, batch: Batch) -> np.ndarray:
        """Compute the logits (B,) of a batch; errors as `DLRM.forward`.

        ::

                  logit
                    |
               Linear to 1
                    |
                 p_u ⊙ q_i
                  |     |
                user   item
        """
        check_batch(batch, 0, 2)
        z = self.tables.forward(batch.sparse)  # (B, 2, D)
        self.keep((len(z),))
        return self.last.forward(self.product.forward(z[:, 0], z[:, 1]))[:, 0]

    def backward(self, dlogits: np.ndarray) -> None:
        """Add to the gradients of all parameters, given dL/dlogits (B,)."""
        (shape,) = self.kept()
        dproduct = self.last.backward(self.check_dy(dlogits, shape)[:, None])  # (B, D)
        self.tables.backward(np.stack(self.product.backward(dproduct), axis=1))

    def __init__(
        self,
        table_sizes: Sequence[int],
        embedding_dim: int = 16,
        seed: int = 0,
        dtype: Any = np.float32,
    ):
        """Make the parts.

        Parameters: (users + items) D + D + 1. FLOPs a sample: D for the product, 2 D for the
        weights; with all weights 1 it is matrix factorization.
        """
        sizes = check_two(table_sizes, "GMF")
        self.config = as_config(table_sizes=sizes, embedding_dim=embedding_dim)
        embedding_dim = self.config["embedding_dim"]
        options: dict[str, Any] = {"rng": seeded(seed), "dtype": dtype}
        self.tables = make_tables(sizes, embedding_dim, **options)
        self.product = ElementwiseProduct()
        self.last = Linear(embedding_dim, 1, **options)

    def __repr__(self) -> str:
        return f"GMF({self.tables})"


class NeuMF(Model):
    r"""GMF and an MLP, each with its own embeddings, joined by the last layer.

    Parameters
    ----------
    table_sizes : (int, int)
        Users and items.
    embedding_dim : int
        D, of both pairs of tables.
    mlp : sequence of int
        Hidden sizes of the MLP, at least one.
    seed, dtype
        As `DLRM`.

    References
    ----------
    He et al. 2017, "Neural collaborative filtering", equation 12.

    Examples
    --------
    >>> import minidlrm as md
    >>> md.NeuMF([10, 20], embedding_dim=4, mlp=(8,)).num_parameters()
    325
    """

    equation = r"\hat{y} = w^\top [p_u \odot q_i, \mathrm{MLP}([p'_u, q'_i])] + b"

    def forward(self, batch: Batch) -> np.ndarray:
        """Compute the logits (B,) of a batch; errors as `DLRM.forward`.

        ::

                         logit
                           |
                      Linear to 1
                           |
                [p_u ⊙ q_i,  MLP([p'_u, q'_i])]
        """
        check_batch(batch, 0, 2)
        z = self.gmf_tables.forward(batch.sparse)  # (B, 2, D)
        product = self.product.forward(z[:, 0], z[:, 1])  # (B, D)
        deep = self.mlp.forward(self.mlp_tables.forward(batch.sparse).reshape(len(z), -1))
        self.keep((len(z),))
        return self.last.forward(np.concatenate([product, deep], axis=1))[:, 0]

    def backward(self, dlogits: np.ndarray) -> None:
        """Add to the gradients of all parameters, given dL/dlogits (B,)."""
        (shape,) = self.kept()
        dim = self.config["embedding_dim"]
        dtop = self.last.backward(self.check_dy(dlogits, shape)[:, None])  # (B, D + h)
        self.gmf_tables.backward(np.stack(self.product.backward(dtop[:, :dim]), axis=1))
        self.mlp_tables.backward(self.mlp.backward(dtop[:, dim:]).reshape(-1, 2, dim))

    def __init__(
        self,
        table_sizes: Sequence[int],
        embedding_dim: int = 16,
        mlp: Sequence[int] = (64, 32, 16),
        seed: int = 0,
        dtype: Any = np.float32,
    ):
        """Make the parts.

        Parameters: 2 (users + items) D, the MLP's on 2 D numbers, and D + h_last + 1.
        """
        sizes = check_two(table_sizes, "NeuMF")
        self.config = as_config(table_sizes=sizes, embedding_dim=embedding_dim, mlp=mlp)
        if not self.config["mlp"]:
            raise ValueError("mlp is empty: NeuMF without an MLP is GMF")
        embedding_dim, mlp = self.config["embedding_dim"], self.config["mlp"]
        options: dict[str, Any] = {"rng": seeded(seed), "dtype": dtype}
        self.gmf_tables = make_tables(sizes, embedding_dim, **options)
        self.mlp_tables = make_tables(sizes, embedding_dim, **options)
        self.product = ElementwiseProduct()
        self.mlp = MLP([2 * embedding_dim, *mlp], **options)
        self.last = Linear(embedding_dim + mlp[-1], 1, **options)

    def __repr__(self) -> str:
        return f"NeuMF({self.gmf_tables}, {self.mlp})"
