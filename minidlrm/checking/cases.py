"""What `minidlrm gradcheck` checks: every layer, loss and model, or what a file holds."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minidlrm import layers, losses, models
from minidlrm.data.batch import Batch, Jagged
from minidlrm.module import Module

Target = tuple[str, Module, tuple[Any, ...]]
_SIZES = [40, 6, 9]
_ROWS, _DENSE, _DIM = 8, 5, 4


def _one_hot(rng, sizes, num_dense: int) -> Batch:
    ids = np.stack([rng.integers(0, n, _ROWS) for n in sizes], axis=1)
    return Batch(rng.normal(size=(_ROWS, num_dense)), ids)


def _bags(rng, weighted: bool) -> Jagged:
    lengths = rng.integers(0, 4, (len(_SIZES), _ROWS))
    values = np.concatenate(
        [rng.integers(0, n, k.sum()) for n, k in zip(_SIZES, lengths, strict=True)]
    )
    weights = rng.normal(size=len(values)) if weighted else None
    return Jagged(values, np.concatenate([[0], np.cumsum(lengths)]), weights)


def _models() -> dict[str, list[tuple[str, type, dict[str, Any]]]]:
    """For each name of the command line: the options, the class, and its arguments."""
    fields = {"num_dense": _DENSE, "table_sizes": _SIZES, "embedding_dim": _DIM}
    mlp = {**fields, "mlp": (6, 5)}
    dlrm = {**fields, "bottom_mlp": (6,), "top_mlp": (6, 5)}
    pair = {"table_sizes": _SIZES[:2], "embedding_dim": _DIM}
    linear = {"num_dense": _DENSE, "table_sizes": _SIZES}
    shared = {"table_sizes": [40, 9, 9], "shared": [(2, 1)]}
    return {
        "dlrm": [
            ("", models.DLRM, dlrm),
            ("diagonal", models.DLRM, {**dlrm, "self_interaction": True}),
            ("cat", models.DLRM, {**dlrm, "interaction": "cat"}),
            ("cross", models.DLRM, {**dlrm, "interaction": "cross"}),
            ("low-rank cross", models.DLRM, {**dlrm, "interaction": "cross", "cross_rank": 3}),
            ("QR mult", models.DLRM, {**dlrm, "qr_threshold": 20}),
            ("QR add", models.DLRM, {**dlrm, "qr_threshold": 20, "qr_operation": "add"}),
            ("QR concat", models.DLRM, {**dlrm, "qr_threshold": 20, "qr_operation": "concat"}),
            ("no dense", models.DLRM, {**dlrm, "num_dense": 0}),
            ("shared table", models.DLRM, {**dlrm, **shared}),
            ("mean of a bag", models.DLRM, {**dlrm, "bag_mode": "mean"}),
        ],
        "lr": [("", models.LogisticRegression, linear)],
        "fm": [
            ("", models.FactorizationMachine, fields),
            ("shared table", models.FactorizationMachine, {**fields, **shared}),
            ("mean of a bag", models.FactorizationMachine, {**fields, "bag_mode": "mean"}),
        ],
        "mlp": [("", models.MLPModel, mlp)],
        "wide-deep": [
            ("exact crosses", models.WideDeep, {**mlp, "crosses": [(0, 1), (1, 2)]}),
            ("hashed", models.WideDeep, {**mlp, "crosses": [(0, 1)], "cross_buckets": 7}),
        ],
        "deepfm": [("", models.DeepFM, mlp)],
        "dcn": [
            ("", models.DCN, {**mlp, "cross": "vector"}),
            ("stacked", models.DCN, {**mlp, "cross": "vector", "structure": "stacked"}),
        ],
        "dcn-v2": [
            ("", models.DCN, mlp),
            ("stacked", models.DCN, {**mlp, "structure": "stacked"}),
            ("rank 3", models.DCN, {**mlp, "rank": 3}),
            ("no deep part", models.DCN, {**mlp, "mlp": ()}),
        ],
        "xdeepfm": [
            ("", models.XDeepFM, {**mlp, "cin_layers": (4, 3)}),
            ("split half", models.XDeepFM, {**mlp, "cin_layers": (4, 3), "split_half": True}),
            ("CIN alone", models.XDeepFM, {**mlp, "cin_layers": (4, 3), "mlp": ()}),
        ],
        "mf": [
            ("", models.MatrixFactorization, {**pair, "mean": 3.5}),
            ("no biases", models.MatrixFactorization, {**pair, "biases": False}),
        ],
        "gmf": [("", models.GMF, pair)],
        "neumf": [("", models.NeuMF, {**pair, "mlp": (6, 5)})],
    }


def model(name: str, seed: int) -> Iterator[Target]:
    """Yield a model in each of its options, on one-hot ids and, where it can, on bags.

    Raises
    ------
    ValueError
        When the name is not known.
    """
    known = _models()
    if name not in known:
        raise ValueError(f"model {name!r} is not known: {', '.join(known)}")
    rng = np.random.default_rng(seed)
    for option, kind, arguments in known[name]:
        target = kind(**arguments, seed=seed, dtype=np.float64)
        for parameter in target.parameters():  # zeros would hide what they multiply
            if not parameter.value.any():
                parameter.value[...] = rng.normal(0, 0.3, parameter.value.shape)
        title = f"{name}, {option}" if option else name
        num_dense = arguments.get("num_dense", 0)
        batch = _one_hot(rng, arguments["table_sizes"], num_dense)
        yield title, target, (batch,)
        if len(arguments["table_sizes"]) == len(_SIZES) and kind is not models.WideDeep:
            for weighted in (False,) if "bag_mode" in arguments else (False, True):
                bags = Batch(batch.dense, _bags(rng, weighted))
                yield f"{title}, {'weighted' if weighted else 'bags'}", target, (bags,)


def everything(seed: int) -> Iterator[Target]:
    """Yield every layer, every loss and every model, each in every option."""
    rng = np.random.default_rng(seed)
    yield from _layers(rng)
    logits, label = rng.normal(size=9), (rng.random(9) < 0.5).astype(float)
    for reduction in ("mean", "sum", "none"):
        for weight in (None, 3.0):
            loss = losses.BCEWithLogits(reduction, weight)
            yield repr(loss), loss, (logits, label)
        yield repr(losses.MSE(reduction)), losses.MSE(reduction), (logits, rng.normal(size=9))
    for name in _models():
        yield from model(name, seed)


def _layers(rng: np.random.Generator) -> Iterator[Target]:
    x, z = rng.normal(size=(_ROWS, 6)), rng.normal(size=(_ROWS, 4, 3))
    for activation in (None, "relu"):
        for bias in (True, False):
            layer = layers.Linear(6, 4, bias, activation=activation, rng=rng)
            yield f"Linear, {activation}, bias={bias}", layer, (x,)
    yield "ReLU", layers.ReLU(), (x,)
    yield "Sigmoid", layers.Sigmoid(), (x,)
    yield "MLP", layers.MLP([6, 5, 4], rng=rng), (x,)
    for mode in ("sum", "mean"):
        collection = layers.EmbeddingBagCollection(_SIZES, _DIM, mode, rng=rng)
        yield f"EmbeddingBagCollection, {mode}, bags", collection, (_bags(rng, False),)
    tables = layers.EmbeddingBagCollection(_SIZES, _DIM, rng=rng)
    yield "EmbeddingBagCollection, weighted", tables, (_bags(rng, True),)
    yield "EmbeddingBagCollection, ids", tables, (_one_hot(rng, _SIZES, 0).sparse,)
    ids, offsets = np.array([1, 1, 4, 0, 2]), np.array([0, 3, 3, 5])
    last: dict[str, Any] = {"include_last_offset": True, "rng": rng}
    bag = layers.EmbeddingBag(5, 3, mode="sum", **last)
    yield "EmbeddingBag, weighted", bag, (ids, offsets, rng.normal(size=5))
    for operation in ("mult", "add", "concat"):
        qr = layers.QREmbeddingBag(10, 4, 3, operation, **last)
        yield f"QREmbeddingBag, {operation}", qr, (ids, offsets, rng.normal(size=5))
    composed = layers.ComposedTables(_SIZES, _DIM, threshold=8, rng=rng)
    yield "ComposedTables, ids", composed, (_one_hot(rng, _SIZES, 0).sparse,)
    yield "ComposedTables, weighted", composed, (_bags(rng, True),)
    for diagonal in (False, True):
        yield f"DotInteraction, diagonal={diagonal}", layers.DotInteraction(4, 3, diagonal), (z,)
    yield "Flatten", layers.Flatten(4, 3), (z,)
    yield "CrossInteraction", layers.CrossInteraction(4, 3, 2, rng=rng), (z,)
    yield "FMInteraction", layers.FMInteraction(4, 3), (z,)
    yield "BiInteraction", layers.BiInteraction(4, 3), (z,)
    yield "ElementwiseProduct", layers.ElementwiseProduct(), (x, rng.normal(size=x.shape))
    both = x, rng.normal(size=x.shape)
    yield "VectorCross", layers.VectorCross(6, rng=rng), both
    for rank in (None, 2):
        yield f"MatrixCross, rank={rank}", layers.MatrixCross(6, rank, rng=rng), both
    inputs = rng.normal(size=(_ROWS, 2)), rng.normal(size=(_ROWS, 3))
    yield "CINLayer", layers.CINLayer(2, 3, 4, rng=rng), inputs
    for form, rank in (("vector", None), ("matrix", None), ("matrix", 2)):
        net = layers.CrossNetwork(6, 3, form, rank, rng=rng)
        yield f"CrossNetwork, {form}, rank={rank}", net, (x,)
    for split in (False, True):
        yield f"CIN, split_half={split}", layers.CIN(4, 3, (6, 5), split, rng=rng), (z,)
    batch = _one_hot(rng, _SIZES, _DENSE)
    fields = layers.FieldEmbeddings(_DENSE, _SIZES, _DIM, rng=rng)
    yield "FieldEmbeddings", fields, (batch.dense, batch.sparse)
    yield "LinearTerm", layers.LinearTerm(_DENSE, _SIZES), (batch.dense, batch.sparse)


def from_file(path: str, name: str, seed: int) -> tuple[Any, tuple[Any, ...]]:
    """Return what to check in a learner's file, and the inputs.

    Parameters
    ----------
    path : str
        A Python file. It is run.
    name : str
        A function that returns ``(target, *inputs)``, as `gradcheck` takes them; or a class
        with the name and the arguments of a layer of minidlrm.
    seed : int
        Of the parameters and inputs of a class.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When the file does not hold the name, or it cannot be told how to check it.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}")
    held = runpy.run_path(path)
    if name not in held:
        own = [key for key, value in held.items() if callable(value) and not key.startswith("_")]
        raise ValueError(f"{path} has no {name}; it has {', '.join(own)}")
    if not isinstance(held[name], type):
        target, *inputs = held[name]()
        return target, tuple(inputs)
    target, *inputs = _like_ours(path, held[name], seed)
    return target, tuple(inputs)


def _like_ours(path: str, kind: type, seed: int) -> tuple[Any, ...]:
    """Make a learner's class as minidlrm's class of that name is made, and its inputs."""
    from minidlrm.checking.bugs import CORPUS

    names = {base.__name__ for base in kind.__mro__}
    for bug in CORPUS:
        if bug.correct.__name__ in names:
            return bug.make(kind, np.random.default_rng(seed))
    raise ValueError(
        f"{path}:{kind.__name__} has not the name of a known layer: give a function that returns "
        f"(target, *inputs), such as {path}:example"
    )
