"""DCN: deep and cross network, versions 1 and 2 (Wang et al. 2017, 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidlrm.arrays import check_word
from minidlrm.data.batch import Batch, check_batch
from minidlrm.layers.cross import CrossNetwork
from minidlrm.layers.fields import FieldEmbeddings
from minidlrm.layers.inputs import as_config, as_table_options, seeded
from minidlrm.layers.linear import Linear
from minidlrm.layers.mlp import MLP
from minidlrm.models.model import Model


class DCN(Model):
    r"""Explicit products of bounded order (cross), and an MLP (deep).

    Parameters
    ----------
    num_dense, table_sizes, embedding_dim, shared, bag_mode
        As `DLRM`.
    num_cross_layers : int
        L: products of up to L + 1 entries of x_0.
    cross : "vector" or "matrix"
        Version 1 or 2.
    mlp : sequence of int
        Hidden sizes of the deep part; may be empty.
    structure : "parallel" or "stacked"
        Whether the deep part reads x_0, or what the cross part gives.
    rank : int, optional
        Rank of the matrices of version 2; the default is full.
    seed, dtype
        As `DLRM`.

    References
    ----------
    Wang et al. 2017, "Deep & cross network for ad click predictions"; Wang et al. 2021,
    "DCN V2", figure 1.

    Examples
    --------
    >>> import minidlrm as md
    >>> md.DCN(0, [10, 20], embedding_dim=4, num_cross_layers=2, cross="vector",
    ...        mlp=(8,)).num_parameters()
    241
    """

    equation = r"\hat{y} = w^\top [\mathrm{cross}(x_0), \mathrm{deep}(x_0)] + b"

    def forward(self, batch: Batch) -> np.ndarray:
        """Compute the logits (B,) of a batch; errors as `DLRM.forward`.

        ::

            parallel      logit              stacked      logit
                            |                               |
                     [cross, deep]                        deep MLP
                       |       |                            |
                    cross   deep MLP                      cross
                       |       |                            |
                       x_0 = [z_1, ..., z_F]               x_0
        """
        check_batch(batch, self.config["num_dense"], len(self.config["table_sizes"]))
        z = self.fields.forward(batch.dense, batch.sparse)  # (B, F, D)
        x = z.reshape(len(z), -1)  # (B, d)
        crossed = self.cross.forward(x)  # (B, d)
        if self.deep is None:
            top = crossed
        elif self.config["structure"] == "parallel":
            top = np.concatenate([crossed, self.deep.forward(x)], axis=1)
        else:
            top = self.deep.forward(crossed)
        self.keep(z.shape)
        return self.last.forward(top)[:, 0]

    def backward(self, dlogits: np.ndarray) -> None:
        """Add to the gradients of all parameters, given dL/dlogits (B,).

        In parallel, x_0 goes to the cross and to the deep part: their gradients add up.
        """
        (shape,) = self.kept()
        dlogits = self.check_dy(dlogits, shape[:1])
        dtop = self.last.backward(dlogits[:, None])
        d = shape[1] * shape[2]
        if self.deep is None:
            dx = self.cross.backward(dtop)
        elif self.config["structure"] == "parallel":
            dx = self.cross.backward(dtop[:, :d]) + self.deep.backward(dtop[:, d:])
        else:
            dx = self.cross.backward(self.deep.backward(dtop))
        self.fields.backward(dx.reshape(shape))

    def __init__(
        self,
        num_dense: int,
        table_sizes: Sequence[int],
        embedding_dim: int = 16,
        num_cross_layers: int = 3,
        cross: str = "matrix",
        mlp: Sequence[int] = (400, 400, 400),
        structure: str = "parallel",
        rank: int | None = None,
        seed: int = 0,
        dtype: Any = np.float32,
        *,
        shared: Sequence[tuple[int, int]] = (),
        bag_mode: str = "sum",
    ):
        """Make the parts.

        With d = F D: L cross layers have 2 d L parameters (vector), (d^2 + d) L (matrix) or (2 d
        r + d) L (rank r), and take 5 d L, (2 d^2 + 3 d) L or (4 d r + 3 d) L FLOPs a sample.
        """
        check_word("structure", structure, "parallel", "stacked")
        check_word("cross", cross, "vector", "matrix")
        self.config = as_config(
            num_dense=num_dense,
            table_sizes=table_sizes,
            embedding_dim=embedding_dim,
            num_cross_layers=num_cross_layers,
            mlp=mlp,
            rank=rank,
        )
        self.config |= {"cross": cross, "structure": structure}
        tables = as_table_options(table_sizes, shared, bag_mode)
        self.config |= tables
        embedding_dim, mlp = self.config["embedding_dim"], self.config["mlp"]
        options: dict[str, Any] = {"rng": seeded(seed), "dtype": dtype}
        self.fields = FieldEmbeddings(num_dense, table_sizes, embedding_dim, **options, **tables)
        d = self.fields.num_fields * embedding_dim
        if cross == "matrix" and self.config["rank"] and self.config["rank"] > d:
            most = f"F * embedding_dim = {d}], with the F fields of num_dense and table_sizes"
            raise ValueError(f"rank is {rank}: it must lie in [1, {most}")
        self.cross = CrossNetwork(d, num_cross_layers, cross, rank, **options)
        self.deep = MLP([d, *mlp], **options) if mlp else None
        deep_out = mlp[-1] if mlp else 0
        last_in = d + deep_out if structure == "parallel" else deep_out or d
        self.last = Linear(last_in, 1, **options)

    def __repr__(self) -> str:
        structure = self.config["structure"]
        return f"DCN({self.fields}, {self.cross}, {self.deep}, {structure!r})"
