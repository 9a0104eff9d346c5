"""The list of cases: every layer, loss, model and optimizer of minidlrm, in each of its options.

`minidlrm gradcheck --all` checks it, and the tests of what holds for every layer draw from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from minidlrm import layers, losses, optim
from minidlrm.data.batch import Batch, Jagged
from minidlrm.models import MODELS
from minidlrm.module import Module

_SIZES = [40, 6, 9]
_ROWS, _DENSE, _DIM = 8, 5, 4
_MLP = (6, 5)
# By the names of MODELS. A model that is not here is checked with the options of its entry.
_MODEL_OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "dlrm": {
        "": {},
        "diagonal": {"self_interaction": True},
        "cat": {"interaction": "cat"},
        "cross": {"interaction": "cross"},
        "low-rank cross": {"interaction": "cross", "cross_rank": 3},
        "QR mult": {"qr_threshold": 20},
        "QR add": {"qr_threshold": 20, "qr_operation": "add"},
        "QR concat": {"qr_threshold": 20, "qr_operation": "concat"},
        "no dense": {"num_dense": 0},
        "shared table": {"table_sizes": [40, 9, 9], "shared": [(2, 1)]},
        "mean of a bag": {"bag_mode": "mean"},
    },
    "fm": {
        "": {},
        "shared table": {"table_sizes": [40, 9, 9], "shared": [(2, 1)]},
        "mean of a bag": {"bag_mode": "mean"},
    },
    "wide-deep": {
        "exact crosses": {"crosses": [(0, 1), (1, 2)]},
        "hashed": {"crosses": [(0, 1)], "cross_buckets": 7},
    },
    "dcn": {"": {}, "stacked": {"structure": "stacked"}},
    "dcn-v2": {
        "": {},
        "stacked": {"structure": "stacked"},
        "rank 3": {"rank": 3},
        "no deep part": {"mlp": ()},
    },
    "xdeepfm": {
        "": {"cin_layers": (4, 3)},
        "split half": {"cin_layers": (4, 3), "split_half": True},
        "CIN alone": {"cin_layers": (4, 3), "mlp": ()},
    },
    "mf": {"": {"mean": 3.5}, "no biases": {"biases": False}},
}
_OPTIMIZER_OPTIONS: dict[str, dict[str, Any]] = {
    "": {},
    "weight decay": {"weight_decay": 0.3},
    "falling rate": {"lr": lambda step: 0.1 / step},
    "l1 and l2": {"l1": 0.2, "l2": 0.3},
}


class Case(NamedTuple):
    """Something to check: what it is, the module, and what its forward takes."""

    title: str
    target: Module
    inputs: tuple[Any, ...]


def everything(seed: int) -> Iterator[Case]:
    """Yield every layer, every loss and every model, each in every option."""
    rng = np.random.default_rng(seed)
    yield from every_layer(rng)
    yield from every_loss(rng)
    for name in MODELS:
        yield from model(name, seed)


def model(name: str, seed: int) -> Iterator[Case]:
    """Yield a model in each of its options, on one-hot ids and, where it can, on bags.

    Raises
    ------
    ValueError
        When the name is not known.
    """
    if name not in MODELS:
        raise ValueError(f"model {name!r} is not known: {', '.join(MODELS)}")
    rng, entry = np.random.default_rng(seed), MODELS[name]
    sizes = _SIZES[:2] if entry.pairs_only else _SIZES
    for option, arguments in _MODEL_OPTIONS.get(name, {"": {}}).items():
        num_dense = 0 if entry.pairs_only else arguments.get("num_dense", _DENSE)
        given = {"num_dense": num_dense, "table_sizes": sizes, "mlp": _MLP, **arguments}
        target = entry.build(embedding_dim=_DIM, seed=seed, dtype=np.float64, **given)
        for parameter in target.parameters():  # zeros would hide what they multiply
            if not parameter.value.any():
                parameter.value[...] = rng.normal(0, 0.3, parameter.value.shape)
        title = f"{name}, {option}" if option else name
        batch = one_hot(rng, given["table_sizes"], num_dense)
        yield Case(title, target, (batch,))
        if not entry.pairs_only and not entry.one_hot_only:
            weights = (
                {"bags": False} if "bag_mode" in arguments else {"bags": False, "weighted": True}
            )
            for kept, weighted in weights.items():
                drawn = Batch(batch.dense, bags(rng, weighted))
                yield Case(f"{title}, {kept}", target, (drawn,))


def every_optimizer() -> Iterator[tuple[str, optim.Optimizer]]:
    """Yield every optimizer, in each option that it takes."""
    for name, cls in optim.OPTIMIZERS.items():
        for option, arguments in _OPTIMIZER_OPTIONS.items():
            try:
                optimizer = cls(**{"lr": 0.1, **arguments})
            except TypeError:  # it has no such option
                continue
            yield f"{name}, {option}" if option else name, optimizer


def every_loss(rng: np.random.Generator) -> Iterator[Case]:
    """Yield every loss, in each option."""
    logits, label = rng.normal(size=9), (rng.random(9) < 0.5).astype(float)
    for reduction in ("mean", "sum", "none"):
        for weight in (None, 3.0):
            loss = losses.BCEWithLogits(reduction, weight)
            yield Case(repr(loss), loss, (logits, label))
        mse = losses.MSE(reduction)
        yield Case(repr(mse), mse, (logits, rng.normal(size=9)))


def every_layer(rng: np.random.Generator) -> Iterator[Case]:
    """Yield every layer, in each option."""
    yield from _dense_layers(rng)
    yield from _tables(rng)
    yield from _interactions(rng)


def _dense_layers(rng: np.random.Generator) -> Iterator[Case]:
    x = rng.normal(size=(_ROWS, 6))
    for activation in (None, "relu"):
        for bias in (True, False):
            layer = layers.Linear(6, 4, bias, activation=activation, rng=rng)
            yield Case(f"Linear, {activation}, bias={bias}", layer, (x,))
    yield Case("ReLU", layers.ReLU(), (x,))
    yield Case("Sigmoid", layers.Sigmoid(), (x,))
    yield Case("MLP", layers.MLP([6, 5, 4], rng=rng), (x,))


def _tables(rng: np.random.Generator) -> Iterator[Case]:
    for mode in ("sum", "mean"):
        collection = layers.EmbeddingBagCollection(_SIZES, _DIM, mode, rng=rng)
        yield Case(f"EmbeddingBagCollection, {mode}, bags", collection, (bags(rng, False),))
    tables = layers.EmbeddingBagCollection(_SIZES, _DIM, rng=rng)
    yield Case("EmbeddingBagCollection, weighted", tables, (bags(rng, True),))
    yield Case("EmbeddingBagCollection, ids", tables, (one_hot(rng, _SIZES, 0).sparse,))
    ids, offsets = np.array([1, 1, 4, 0, 2]), np.array([0, 3, 3, 5])
    weighted = ids, offsets, rng.normal(size=5)
    last: dict[str, Any] = {"include_last_offset": True, "rng": rng}
    yield Case("EmbeddingBag, weighted", layers.EmbeddingBag(5, 3, mode="sum", **last), weighted)
    mean = layers.EmbeddingBag(5, 3, mode="mean", **last)
    yield Case("EmbeddingBag, mean", mean, (ids, offsets))
    for operation in ("mult", "add", "concat"):
        qr = layers.QREmbeddingBag(10, 4, 3, operation, **last)
        yield Case(f"QREmbeddingBag, {operation}", qr, weighted)
    composed = layers.ComposedTables(_SIZES, _DIM, threshold=8, rng=rng)
    yield Case("ComposedTables, ids", composed, (one_hot(rng, _SIZES, 0).sparse,))
    yield Case("ComposedTables, weighted", composed, (bags(rng, True),))
    batch = one_hot(rng, _SIZES, _DENSE)
    fields = layers.FieldEmbeddings(_DENSE, _SIZES, _DIM, rng=rng)
    yield Case("FieldEmbeddings", fields, (batch.dense, batch.sparse))
    yield Case("LinearTerm", layers.LinearTerm(_DENSE, _SIZES), (batch.dense, batch.sparse))


def _interactions(rng: np.random.Generator) -> Iterator[Case]:
    x, z = rng.normal(size=(_ROWS, 6)), rng.normal(size=(_ROWS, 4, 3))
    for diagonal in (False, True):
        layer = layers.DotInteraction(4, 3, diagonal)
        yield Case(f"DotInteraction, diagonal={diagonal}", layer, (z,))
    yield Case("Flatten", layers.Flatten(4, 3), (z,))
    yield Case("CrossInteraction", layers.CrossInteraction(4, 3, 2, rng=rng), (z,))
    yield Case("FMInteraction", layers.FMInteraction(4, 3), (z,))
    yield Case("BiInteraction", layers.BiInteraction(4, 3), (z,))
    yield Case("ElementwiseProduct", layers.ElementwiseProduct(), (x, rng.normal(size=x.shape)))
    both = x, rng.normal(size=x.shape)
    yield Case("VectorCross", layers.VectorCross(6, rng=rng), both)
    for rank in (None, 2):
        yield Case(f"MatrixCross, rank={rank}", layers.MatrixCross(6, rank, rng=rng), both)
    for form, rank in (("vector", None), ("matrix", None), ("matrix", 2)):
        net = layers.CrossNetwork(6, 3, form, rank, rng=rng)
        yield Case(f"CrossNetwork, {form}, rank={rank}", net, (x,))
    yield Case("CINLayer", layers.CINLayer(4, 3, 5, rng=rng), (z[:, :, 0], z[:, 0]))
    for split in (False, True):
        cin = layers.CIN(4, 3, (6, 5), split, rng=rng)
        yield Case(f"CIN, split_half={split}", cin, (z,))


# Inputs


def one_hot(rng: np.random.Generator, sizes: list[int], num_dense: int) -> Batch:
    """Draw a batch with one id for each table."""
    ids = np.stack([rng.integers(0, n, _ROWS) for n in sizes], axis=1)
    return Batch(rng.normal(size=(_ROWS, num_dense)), ids)


def bags(rng: np.random.Generator, weighted: bool) -> Jagged:
    """Draw bags of no, one or more ids for each table."""
    lengths = rng.integers(0, 4, (len(_SIZES), _ROWS))
    values = np.concatenate(
        [rng.integers(0, n, k.sum()) for n, k in zip(_SIZES, lengths, strict=True)]
    )
    weights = rng.normal(size=len(values)) if weighted else None
    return Jagged(values, np.concatenate([[0], np.cumsum(lengths)]), weights)
