"""FactorizationMachine: every feature, and every pair of features (Rendle 2010)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidlrm.data.batch import Batch, check_batch
from minidlrm.layers.fields import FieldEmbeddings, LinearTerm
from minidlrm.layers.fm import FMInteraction
from minidlrm.layers.inputs import as_config, as_table_options, seeded
from minidlrm.models.model import Model


class FactorizationMachine(Model):
    r"""Linear term plus all pairwise products of field vectors.

    Parameters
    ----------
    num_dense, table_sizes, embedding_dim, shared, bag_mode
        As `DLRM`.
    seed : int
        Seed of the parameters.
    dtype : dtype
        Type of the parameters.

    References
    ----------
    Rendle 2010, "Factorization machines", equation 1.

    Examples
    --------
    >>> import minidlrm as md
    >>> md.FactorizationMachine(0, [10, 20], embedding_dim=4).num_parameters()
    151
    """

    equation = r"\hat{y} = b + \sum_j w_j x_j + \sum_{i<j} \langle z_i, z_j \rangle"

    def forward(self, batch: Batch) -> np.ndarray:
        """Compute the logits, or the ratings, (B,) of a batch; errors as `DLRM.forward`.

        ::

                         logit
                           |
            linear term  +  sum_{i<j} <z_i, z_j>        FM interaction
                 |                 |
                 |          z_1  z_2 ... z_F             F = num_dense + T vectors of size D
                 |           |    |       |
                dense features (value × vector) and ids
        """
        check_batch(batch, self.config["num_dense"], len(self.config["table_sizes"]))
        z = self.fields.forward(batch.dense, batch.sparse)  # (B, F, D)
        return self.linear.forward(batch.dense, batch.sparse) + self.fm.forward(z)

    def backward(self, dlogits: np.ndarray) -> None:
        """Add to the gradients of all parameters: both terms of the sum get dL/dlogits (B,)."""
        self.linear.backward(dlogits)
        self.fields.backward(self.fm.backward(dlogits))

    def __init__(
        self,
        num_dense: int,
        table_sizes: Sequence[int],
        embedding_dim: int = 16,
        seed: int = 0,
        dtype: Any = np.float32,
        *,
        shared: Sequence[tuple[int, int]] = (),
        bag_mode: str = "sum",
    ):
        """Make the parts.

        Parameters: (S + num_dense) (D + 1) + 1. FLOPs a sample: about 4 F D, not the 2 P D of the
        pairs one by one.
        """
        self.config = as_config(
            num_dense=num_dense, table_sizes=table_sizes, embedding_dim=embedding_dim
        )
        tables = as_table_options(table_sizes, shared, bag_mode)
        self.config |= tables
        embedding_dim = self.config["embedding_dim"]
        rng = seeded(seed)
        self.linear = LinearTerm(num_dense, table_sizes, dtype=dtype, **tables)
        self.fields = FieldEmbeddings(
            num_dense, table_sizes, embedding_dim, rng=rng, dtype=dtype, **tables
        )
        self.fm = FMInteraction(self.fields.num_fields, embedding_dim)

    def __repr__(self) -> str:
        return f"FactorizationMachine({self.fields})"
