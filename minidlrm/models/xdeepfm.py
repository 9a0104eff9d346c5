"""XDeepFM: linear term, compressed interaction network and MLP (Lian et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidlrm.arrays import as_flag
from minidlrm.data.batch import Batch, check_batch
from minidlrm.layers.cin import CIN
from minidlrm.layers.fields import FieldEmbeddings, LinearTerm
from minidlrm.layers.inputs import as_config, as_table_options, seeded
from minidlrm.layers.linear import Linear
from minidlrm.layers.mlp import MLP
from minidlrm.models.model import Model


class XDeepFM(Model):
    r"""Products of whole vectors of growing order (CIN), and an MLP.

    Parameters
    ----------
    num_dense, table_sizes, embedding_dim, shared, bag_mode
        As `DLRM`.
    cin_layers : sequence of int
        H_1, H_2, ...: the vectors of each CIN layer.
    mlp : sequence of int
        Hidden sizes of the MLP; empty for no MLP.
    split_half : bool
        As `CIN`.
    seed, dtype
        As `DLRM`.

    References
    ----------
    Lian et al. 2018, "xDeepFM: Combining explicit and implicit feature interactions for
    recommender systems", figure 5.

    Examples
    --------
    >>> import minidlrm as md
    >>> md.XDeepFM(0, [10, 20], embedding_dim=4, cin_layers=(3,), mlp=(8,)).num_parameters()
    250
    """

    equation = r"\hat{y} = \sum_j w_j x_j + w^\top \mathrm{CIN}(z) + \mathrm{MLP}(z) + b"

    def forward(self, batch: Batch) -> np.ndarray:
        """Compute the logits (B,) of a batch; errors as `DLRM.forward`.

        ::

                              logit
                                |
            linear term  +  CIN, pooled  +  MLP
                 |               |           |
                 |          z_1  z_2 ... z_F (shared)
        """
        check_batch(batch, self.config["num_dense"], len(self.config["table_sizes"]))
        z = self.fields.forward(batch.dense, batch.sparse)  # (B, F, D)
        logits = self.linear.forward(batch.dense, batch.sparse)  # (B,)
        logits += self.cin_last.forward(self.cin.forward(z))[:, 0]
        if self.mlp:
            logits += self.mlp.forward(z.reshape(len(z), -1))[:, 0]
        self.keep(z.shape)
        return logits

    def backward(self, dlogits: np.ndarray) -> None:
        """Add to the gradients of all parameters, given dL/dlogits (B,).

        The vectors z go to the CIN and to the MLP: their gradients add up.
        """
        (shape,) = self.kept()
        dlogits = self.check_dy(dlogits, shape[:1])
        self.linear.backward(dlogits)
        dz = self.cin.backward(self.cin_last.backward(dlogits[:, None]))  # (B, F, D)
        if self.mlp:
            dz = dz + self.mlp.backward(dlogits[:, None]).reshape(shape)
        self.fields.backward(dz)

    def __init__(
        self,
        num_dense: int,
        table_sizes: Sequence[int],
        embedding_dim: int = 16,
        cin_layers: Sequence[int] = (16, 16),
        mlp: Sequence[int] = (400, 400, 400),
        split_half: bool = False,
        seed: int = 0,
        dtype: Any = np.float32,
        *,
        shared: Sequence[tuple[int, int]] = (),
        bag_mode: str = "sum",
    ):
        """Make the parts.

        A CIN layer has H_k H_{k-1} F + H_k parameters (H_0 = F) and takes (2 H_k + 1) H_{k-1} F D
        FLOPs a sample.
        """
        self.config = as_config(
            num_dense=num_dense,
            table_sizes=table_sizes,
            embedding_dim=embedding_dim,
            cin_layers=cin_layers,
            mlp=mlp,
        )
        self.config["split_half"] = as_flag("split_half", split_half)
        tables = as_table_options(table_sizes, shared, bag_mode)
        self.config |= tables
        embedding_dim, mlp = self.config["embedding_dim"], self.config["mlp"]
        options: dict[str, Any] = {"rng": seeded(seed), "dtype": dtype}
        self.linear = LinearTerm(num_dense, table_sizes, bias=False, dtype=dtype, **tables)
        self.fields = FieldEmbeddings(num_dense, table_sizes, embedding_dim, **options, **tables)
        num_fields = self.fields.num_fields
        self.cin = CIN(num_fields, embedding_dim, cin_layers, split_half, **options)
        self.cin_last = Linear(self.cin.num_outputs, 1, **options)
        self.mlp = None
        if mlp:
            sizes = [num_fields * embedding_dim, *mlp, 1]
            self.mlp = MLP(sizes, last_activation=False, **options)

    def __repr__(self) -> str:
        return f"XDeepFM({self.fields}, {self.cin}, {self.mlp})"
