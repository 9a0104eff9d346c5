"""MLPModel and DeepFM: a multilayer perceptron on the field vectors, alone and beside an FM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidlrm.data.batch import Batch, check_batch
from minidlrm.layers.fields import FieldEmbeddings, LinearTerm
from minidlrm.layers.fm import FMInteraction
from minidlrm.layers.inputs import as_config, as_table_options, seeded
from minidlrm.layers.mlp import MLP
from minidlrm.models.model import Model


class MLPModel(Model):
    r"""The plain deep baseline: all field vectors, one after another, into an MLP.

    Parameters
    ----------
    num_dense, table_sizes, embedding_dim, shared, bag_mode
        As `DLRM`.
    mlp : sequence of int
        Hidden sizes; the last layer, to 1, is added.
    seed, dtype
        As `DLRM`.

    Examples
    --------
    >>> import minidlrm as md
    >>> md.MLPModel(0, [10, 20], embedding_dim=4, mlp=(8,)).num_parameters()
    201
    """

    equation = r"\hat{y} = \mathrm{MLP}([z_1, \dots, z_F])"

    def forward(self, batch: Batch) -> np.ndarray:
        """Compute the logits (B,) of a batch; errors as `DLRM.forward`.

        ::

              logit
                |
               MLP
                |
            [z_1, z_2, ..., z_F]
        """
        check_batch(batch, self.config["num_dense"], len(self.config["table_sizes"]))
        z = self.fields.forward(batch.dense, batch.sparse)  # (B, F, D)
        self.keep(z.shape)
        return self.mlp.forward(z.reshape(len(z), -1))[:, 0]

    def backward(self, dlogits: np.ndarray) -> None:
        """Add to the gradients of all parameters, given dL/dlogits (B,)."""
        (shape,) = self.kept()
        dlogits = self.check_dy(dlogits, shape[:1])
        self.fields.backward(self.mlp.backward(dlogits[:, None]).reshape(shape))

    def __init__(
        self,
        num_dense: int,
        table_sizes: Sequence[int],
        embedding_dim: int = 16,
        mlp: Sequence[int] = (400, 400, 400),
        seed: int = 0,
        dtype: Any = np.float32,
        *,
        shared: Sequence[tuple[int, int]] = (),
        bag_mode: str = "sum",
    ):
        """Make the parts.

        Parameters: (S + num_dense) D in the fields, in × out + out in each layer; the first reads
        F D numbers.
        """
        self.config = as_config(
            num_dense=num_dense, table_sizes=table_sizes, embedding_dim=embedding_dim, mlp=mlp
        )
        tables = as_table_options(table_sizes, shared, bag_mode)
        self.config |= tables
        embedding_dim, mlp = self.config["embedding_dim"], self.config["mlp"]
        rng = seeded(seed)
        options: dict[str, Any] = {"rng": rng, "dtype": dtype}
        self.fields = FieldEmbeddings(num_dense, table_sizes, embedding_dim, **options, **tables)
        sizes = [self.fields.num_fields * embedding_dim, *mlp, 1]
        self.mlp = MLP(sizes, last_activation=False, **options)

    def __repr__(self) -> str:
        return f"MLPModel({self.fields}, {self.mlp})"


class DeepFM(Model):
    r"""A factorization machine and an MLP that share the field vectors.

    Parameters
    ----------
    num_dense, table_sizes, embedding_dim, shared, bag_mode
        As `DLRM`.
    mlp : sequence of int
        Hidden sizes; the last layer, to 1, is added. The model's bias is this layer's.
    seed, dtype
        As `DLRM`.

    References
    ----------
    Guo et al. 2017, "DeepFM: A factorization-machine based neural network for CTR prediction",
    section 2.1.

    Examples
    --------
    >>> import minidlrm as md
    >>> md.DeepFM(0, [10, 20], embedding_dim=4, mlp=(8,)).num_parameters()
    231
    """

    equation = r"\hat{y} = \sum_j w_j x_j + \sum_{i<j} \langle z_i, z_j \rangle + \mathrm{MLP}(z)"

    def forward(self, batch: Batch) -> np.ndarray:
        """Compute the logits (B,) of a batch; errors as `DLRM.forward`.

        ::

                              logit
                                |
            linear term  +  FM interaction  +  MLP
                 |               |              |
                 |          z_1  z_2 ... z_F (shared)
                 |               |
                dense features and ids
        """
        check_batch(batch, self.config["num_dense"], len(self.config["table_sizes"]))
        z = self.fields.forward(batch.dense, batch.sparse)  # (B, F, D)
        deep = self.mlp.forward(z.reshape(len(z), -1))[:, 0]  # (B,)
        self.keep(z.shape)
        return self.linear.forward(batch.dense, batch.sparse) + self.fm.forward(z) + deep

    def backward(self, dlogits: np.ndarray) -> None:
        """Add to the gradients of all parameters, given dL/dlogits (B,).

        The vectors z go two ways, to the FM and to the MLP: their gradients add up.
        """
        (shape,) = self.kept()
        dlogits = self.check_dy(dlogits, shape[:1])
        self.linear.backward(dlogits)
        dz = self.mlp.backward(dlogits[:, None]).reshape(shape)  # (B, F, D)
        dz += self.fm.backward(dlogits)
        self.fields.backward(dz)

    def __init__(
        self,
        num_dense: int,
        table_sizes: Sequence[int],
        embedding_dim: int = 16,
        mlp: Sequence[int] = (400, 400, 400),
        seed: int = 0,
        dtype: Any = np.float32,
        *,
        shared: Sequence[tuple[int, int]] = (),
        bag_mode: str = "sum",
    ):
        """Make the parts.

        Parameters: (S + num_dense) (D + 1), and those of the MLP on F D numbers. FLOPs a sample:
        about 4 F D + 2 (F D) h_1 + 2 h_1 h_2 + ...
        """
        self.config = as_config(
            num_dense=num_dense, table_sizes=table_sizes, embedding_dim=embedding_dim, mlp=mlp
        )
        tables = as_table_options(table_sizes, shared, bag_mode)
        self.config |= tables
        embedding_dim, mlp = self.config["embedding_dim"], self.config["mlp"]
        rng = seeded(seed)
        options: dict[str, Any] = {"rng": rng, "dtype": dtype}
        self.linear = LinearTerm(num_dense, table_sizes, bias=False, dtype=dtype, **tables)
        self.fields = FieldEmbeddings(num_dense, table_sizes, embedding_dim, **options, **tables)
        self.fm = FMInteraction(self.fields.num_fields, embedding_dim)
        sizes = [self.fields.num_fields * embedding_dim, *mlp, 1]
        self.mlp = MLP(sizes, last_activation=False, **options)

    def __repr__(self) -> str:
        return f"DeepFM({self.fields}, {self.mlp})"
