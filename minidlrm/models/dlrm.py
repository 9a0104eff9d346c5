"""DLRM: the deep learning recommendation model of Naumov et al. 2019 (arXiv 1906.00091)."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from minidlrm import layers
from minidlrm.arrays import as_flag, check_word
from minidlrm.data.batch import Batch, check_batch
from minidlrm.layers.cross import CrossInteraction
from minidlrm.layers.dot import DotInteraction
from minidlrm.layers.embedding import EmbeddingBagCollection, make_tables
from minidlrm.layers.inputs import as_config, as_table_options, converted, seeded
from minidlrm.layers.interaction import Flatten
from minidlrm.layers.mlp import MLP
from minidlrm.layers.qr import OPERATIONS, ComposedTables
from minidlrm.models.model import Model
from minidlrm.module import Module


class DLRM(Model):
    r"""Dense features and ids, mixed by pairwise dot products, read by an MLP.

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
    interaction : "dot", "cat", "cross", or Module
        `DotInteraction`, `Flatten` or `CrossInteraction`; or a module of one's own that maps
        (B, F, D) to (B, M), and says M as `num_outputs`.
    self_interaction, num_cross_layers, cross_rank
        As `DotInteraction` and `CrossInteraction`.
    qr_threshold, qr_collisions, qr_operation
        With a threshold, larger tables are composed of two small ones, as `ComposedTables`.
    shared, bag_mode
        Pairs (t, u): column t has the rows of table u. A bag's rows: "sum", or "mean".
    seed, dtype
        Seed of the parameters, and their type.

    References
    ----------
    Naumov et al. 2019, arXiv 1906.00091, section 2.2; its code, facebookresearch/dlrm.

    Examples
    --------
    >>> import minidlrm as md
    >>> model = md.DLRM(13, [100, 20, 5], embedding_dim=8, bottom_mlp=(32,), top_mlp=(32,))
    >>> model.num_parameters()
    2225
    """

    equation = r"\hat{y} = \mathrm{top}([x, \{\langle z_i, z_j \rangle\}_{i > j}])"

    def forward(self, batch: Batch) -> np.ndarray:
        """Compute the logits (B,) of a batch; the sigmoid of one is the click's probability.

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

        ValueError when the batch is empty, has other numbers of features or tables than the model,
        or a dense feature is not finite; IndexError when an id is out of its table's range.
        """
        check_batch(batch, self.config["num_dense"], self.embeddings.num_tables)
        z = self.embeddings.forward(batch.sparse)  # (B, T, D)
        x = z[:, 0, :0]  # (B, 0): no dense features
        if self.bottom:
            x = self.bottom.forward(converted("dense", batch.dense, z.dtype))  # (B, D)
            z = np.concatenate([x[:, None], z], axis=1)  # (B, F, D)
        mixed = self._mixed(z)  # (B, M)
        if not self.keeps_dense:
            mixed = np.concatenate([x, mixed], axis=1)  # (B, D + M)
        self.keep(x.shape)
        return self.top.forward(mixed)[:, 0]  # (B,)

    def backward(self, dlogits: np.ndarray) -> None:
        r"""Add to the gradients of all parameters, given dL/dlogits (B,).

        The dense vector x goes two ways: to the interaction as :math:`z_0`, and straight
        into the top MLP. Its gradient is the sum of both: :math:`dx = dtop_{:D} + dz_0`. The other
        vectors go one way. An interaction that keeps the dense vector is its only way.
        """
        (shape,) = self.kept()
        dtop = self.top.backward(self.check_dy(dlogits, shape[:1])[:, None])  # (B, [D +] M)
        width = 0 if self.keeps_dense else shape[1]
        dz = self.interaction.backward(dtop[:, width:])  # (B, F, D)
        if self.bottom:
            dx = dz[:, 0]  # (B, D)
            self.bottom.backward(dtop[:, :width] + dx if width else dx)
            dz = dz[:, 1:]  # (B, T, D)
        self.embeddings.backward(dz)

    def __init__(
        self,
        num_dense: int,
        table_sizes: Sequence[int],
        embedding_dim: int = 16,
        bottom_mlp: Sequence[int] = (512, 256, 64),
        top_mlp: Sequence[int] = (512, 256),
        interaction: str | Module | Mapping[str, Any] = "dot",
        self_interaction: bool = False,
        seed: int = 0,
        dtype: Any = np.float32,
        *,
        num_cross_layers: int = 3,
        cross_rank: int | None = None,
        qr_threshold: int | None = None,
        qr_collisions: int = 4,
        qr_operation: str = "mult",
        shared: Sequence[tuple[int, int]] = (),
        bag_mode: str = "sum",
    ):
        """Make the parts. The top MLP reads D + F (F - 1) / 2 numbers ("dot"), or F D."""
        self.config = as_config(
            num_dense=num_dense,
            table_sizes=table_sizes,
            embedding_dim=embedding_dim,
            bottom_mlp=bottom_mlp,
            top_mlp=top_mlp,
            num_cross_layers=num_cross_layers,
            cross_rank=cross_rank,
            qr_threshold=qr_threshold,
            qr_collisions=qr_collisions,
        )
        self.config["interaction"] = _described(interaction)
        self.config["self_interaction"] = as_flag("self_interaction", self_interaction)
        check_word("qr_operation", qr_operation, *OPERATIONS)
        self.config["qr_operation"] = qr_operation
        self.config |= as_table_options(table_sizes, shared, bag_mode)
        options: dict[str, Any] = {"rng": seeded(seed), "dtype": dtype}
        dim, hidden = self.config["embedding_dim"], self.config["bottom_mlp"]
        self.embeddings = self._tables(options)
        self.bottom = MLP([num_dense, *hidden, dim], **options) if num_dense else None
        self.interaction = self._interaction(interaction, options)
        top_in = self.interaction.num_outputs + (0 if self.keeps_dense or not num_dense else dim)
        if top_in == 0:
            raise ValueError(
                "num_dense is 0 and table_sizes has one entry: one vector alone has no pairs; use "
                "self_interaction=True or interaction='cat'"
            )
        self.top = MLP([top_in, *self.config["top_mlp"], 1], last_activation=False, **options)

    def _tables(self, options: dict[str, Any]) -> EmbeddingBagCollection | ComposedTables:
        table_sizes, dim = self.config["table_sizes"], self.config["embedding_dim"]
        threshold = self.config["qr_threshold"]
        mode, shared = self.config.get("bag_mode", "sum"), self.config.get("shared", ())
        if threshold is None or all(rows <= threshold for rows in table_sizes):
            return make_tables(table_sizes, dim, mode, shared=shared, **options)
        if shared or mode == "mean":
            raise ValueError(
                f"qr_threshold is {threshold}: composed tables are not shared, and sum their bags"
            )
        options = {**options, "num_collisions": self.config["qr_collisions"]}
        operation = self.config["qr_operation"]
        return ComposedTables(table_sizes, dim, threshold=threshold, operation=operation, **options)

    def _interaction(self, given: str | Module | Mapping[str, Any], options: dict[str, Any]) -> Any:
        """Return the module that a name stands for, or the one that was given."""
        config = self.config
        num_features = len(config["table_sizes"]) + (config["num_dense"] > 0)  # F
        shape = num_features, config["embedding_dim"]
        for option, owner in (("self_interaction", "dot"), ("cross_rank", "cross")):
            if config[option] and given != owner:
                raise ValueError(
                    f"{option} is {config[option]}: it needs interaction={owner!r}, not {given!r}"
                )
        if isinstance(given, Module):
            if not isinstance(getattr(given, "num_outputs", None), (int, np.integer)):
                raise ValueError(
                    f"interaction is {given}: it must say as num_outputs how many numbers a "
                    "sample its forward makes of (B, F, D)"
                )
            return given
        if isinstance(given, Mapping):
            return _listed(given, options)
        if given == "dot":
            return DotInteraction(*shape, config["self_interaction"])
        if given == "cat":
            return Flatten(*shape)
        return CrossInteraction(*shape, config["num_cross_layers"], config["cross_rank"], **options)

    @property
    def keeps_dense(self) -> bool:
        """Whether the output of the interaction holds the dense vector already."""
        return bool(getattr(self.interaction, "keeps_dense", False))

    def _mixed(self, z: np.ndarray) -> np.ndarray:
        mixed = self.interaction.forward(z)  # (B, M)
        expected = len(z), self.interaction.num_outputs
        if np.shape(mixed) != expected:
            raise ValueError(
                f"the interaction {self.interaction} gave shape {np.shape(mixed)} for z {z.shape}; "
                f"with its num_outputs it must be {expected}"
            )
        return mixed

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield the parts that compute, by the names that checkpoints have.

        Composed tables and cross layers come one by one; `Flatten` computes nothing.
        """
        for name, part in super().named_children():
            if isinstance(part, (ComposedTables, CrossInteraction, Flatten)):
                yield from part.named_children()
            else:
                yield name, part

    def __repr__(self) -> str:
        parts = [self.embeddings, self.bottom, self.interaction, self.top]
        return f"DLRM({', '.join(str(part) for part in parts if part)})"


def _described(interaction: Any) -> Any:
    """Return what `config` holds: a name, a listed layer's name and arguments, or the module."""
    if isinstance(interaction, str) and interaction in ("dot", "cat", "cross"):
        return interaction
    if not isinstance(interaction, (Module, Mapping)):
        raise ValueError(
            f"interaction is {interaction!r}: it must be 'dot', 'cat' or 'cross', or a Module"
        )
    listed = type(interaction).__name__ in layers.__all__ and hasattr(interaction, "config")
    if isinstance(interaction, Module) and listed:
        return {"layer": type(interaction).__name__, **interaction.config}
    return dict(interaction) if isinstance(interaction, Mapping) else interaction


def _listed(described: Mapping[str, Any], options: dict[str, Any]) -> Module:
    """Make the interaction that a checkpoint describes."""
    arguments = dict(described)
    name = arguments.pop("layer", None)
    if not (isinstance(name, str) and name in layers.__all__ and name[0].isupper()):
        raise ValueError(f"interaction is {described}: {name!r} is not a layer of minidlrm")
    cls = getattr(layers, name)
    signature = inspect.signature(cls)
    own = {key: value for key, value in options.items() if key in signature.parameters}
    try:
        signature.bind(**arguments, **own)
    except TypeError as error:
        raise ValueError(f"interaction is {described}: {error}") from None
    return cls(**arguments, **own)
