"""A DLRM and a batch as JSON: the numbers that the page computes with, and what they are called.

Of a large table only the rows that the batch looks up are taken. They lie one after another in an
array of their own, and the ids of the batch become places in it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np

from minidlrm.arrays import check_type
from minidlrm.data.batch import Batch, Jagged, check_batch
from minidlrm.data.features import Column
from minidlrm.data.schema import Schema
from minidlrm.layers.dot import DotInteraction
from minidlrm.layers.embedding import EmbeddingBagCollection, bag_rows, table_rows
from minidlrm.layers.interaction import Flatten
from minidlrm.layers.mlp import MLP
from minidlrm.losses import MSE, BCEWithLogits
from minidlrm.models.dlrm import DLRM

_WHOLE = 400  # numbers of a table that is taken as a whole
_MOST = 64  # rows of a batch
_STEPS = 200  # of a slider


def packed(model: DLRM, batch: Batch, schema: Schema | None = None) -> dict[str, Any]:
    """Return the model, the batch and all names as values that JSON can hold.

    Raises
    ------
    TypeError
        When `model` is not a DLRM, `batch` not a Batch, or `schema` not a Schema.
    ValueError
        When a part of the model is one that the page does not know, the batch has no labels or
        too many rows, or the schema belongs to another model.
    IndexError
        When an id is out of its table's range.
    """
    tables = _checked(model, batch, schema)
    places, offsets, scale = _lookups(tables, batch)
    columns, kept = _columns(tables, places, offsets, len(batch), schema)
    rows = np.searchsorted(kept, places).astype(np.int32)
    weight = tables.weight.value[kept]
    label = batch.label
    assert label is not None
    return {
        "model": {
            "dim": weight.shape[1],
            "interaction": "dot" if isinstance(model.interaction, DotInteraction) else "cat",
            "diagonal": bool(model.config["self_interaction"]),
            "mean": tables.mode == "mean",
            "loss": "mse" if model.task == "ratings" else "bce",
            "numTables": tables.num_tables,
            "embeddings": array(weight),
            "bottom": _layers(model.bottom) if model.bottom else [],
            "top": _layers(model.top),
        },
        "batch": {
            "dense": array(batch.dense),
            "offsets": array(offsets.astype(np.int32)),
            "rows": array(rows),
            "scale": None if scale is None else array(scale),
            "label": array(label),
            "weight": None if batch.weight is None else array(batch.weight),
        },
        "columns": columns,
        "dense": [_dense(k, batch, schema) for k in range(batch.dense.shape[1])],
        "label": (schema.label if schema is not None else None) or "label",
        "labels": model.task,
    }


def array(numbers: np.ndarray) -> dict[str, Any]:
    """Return an array as its kind, its shape and its bytes; what is not float32 becomes float64."""
    kind = "i4" if numbers.dtype.kind == "i" else "f4" if numbers.dtype == np.float32 else "f8"
    data = np.ascontiguousarray(numbers, f"<{kind}")
    text = base64.b64encode(data.tobytes()).decode("ascii")
    return {"kind": kind, "shape": list(data.shape), "base64": text}


def _checked(model: DLRM, batch: Batch, schema: Schema | None) -> EmbeddingBagCollection:
    """Return the tables, after all that can be wrong has been looked at."""
    check_type("model", model, DLRM)
    check_type("batch", batch, Batch)
    if schema is not None:
        check_type("schema", schema, Schema)
    if type(model.interaction) not in (DotInteraction, Flatten):
        raise ValueError(
            f"model has interaction {model.interaction}: the page knows 'dot' and 'cat' only"
        )
    tables = model.embeddings
    if not isinstance(tables, EmbeddingBagCollection):
        raise ValueError("model has composed tables (qr_threshold): the page knows plain ones only")
    if model.top.layers[0].weight.value.dtype.kind != "f":
        raise ValueError("model is complex: the page computes with real numbers")
    if len(batch) > _MOST:
        raise ValueError(f"batch has {len(batch):,} rows: the page shows at most {_MOST}")
    check_batch(batch, model.config["num_dense"], tables.num_tables)
    if batch.label is None:
        raise ValueError("batch has no labels: the page needs a loss")
    (MSE() if model.task == "ratings" else BCEWithLogits()).check_label(batch.label)
    if schema is not None:
        sizes = len(schema.dense), list(schema.table_sizes)
        expected = model.config["num_dense"], list(model.config["table_sizes"])
        if sizes != expected:
            raise ValueError(
                f"schema has {sizes[0]} dense columns and tables of {sizes[1]} rows, "
                f"the model {expected[0]} and {expected[1]}"
            )
    return tables


def _lookups(
    tables: EmbeddingBagCollection, batch: Batch
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return the rows that are looked up, table by table, where bags begin, and the weights."""
    sparse, size = batch.sparse, len(batch)
    if isinstance(sparse, Jagged):
        sparse.check(tables.num_tables)
        if sparse.weights is not None and tables.mode == "mean":
            raise ValueError("batch has weights of ids: they need bag_mode='sum'")
        rows, offsets, scale = bag_rows(sparse, tables.starts), sparse.offsets, sparse.weights
    else:
        rows = table_rows(sparse, tables.starts).T.ravel()  # (T * B,)
        offsets, scale = np.arange(tables.num_tables * size + 1), None
    counts = np.diff(offsets[::size])  # (T,)
    return rows + np.repeat(_first_rows(tables) - tables.starts[:-1], counts), offsets, scale


def _first_rows(tables: EmbeddingBagCollection) -> np.ndarray:
    """Return where each column's table begins in the array of all tables (T,)."""
    sizes = np.diff(tables.starts)
    own = [0 if t in tables.shared else int(size) for t, size in enumerate(sizes)]
    first = np.cumsum([0, *own])[:-1]
    return first[[tables.shared.get(t, t) for t in range(len(own))]]


def _columns(
    tables: EmbeddingBagCollection,
    places: np.ndarray,
    offsets: np.ndarray,
    size: int,
    schema: Schema | None,
) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Return what is known of each column of ids, and the rows that are kept, in order."""
    columns: list[dict[str, Any]] = []
    kept: list[np.ndarray] = []
    first = _first_rows(tables)
    for t in range(tables.num_tables):
        source = None if schema is None else schema.sparse[t]
        role = "bag" if np.any(np.diff(offsets[t * size : (t + 1) * size + 1]) != 1) else "sparse"
        role = role if source is None else source.role
        name = f"table {t}" if source is None else source.name
        column: dict[str, Any] = {"name": name, "role": role, "shared": tables.shared.get(t)}
        if t not in tables.shared:
            users = [u for u in range(tables.num_tables) if tables.shared.get(u, u) == t]
            used = [places[offsets[u * size] : offsets[(u + 1) * size]] for u in users]
            ids = _ids(tables.table(t), np.concatenate(used) - first[t])
            column |= {"start": sum(map(len, kept)), "size": len(tables.table(t))}
            column["names"] = [_value(source, int(i)) for i in ids]
            kept.append(ids + first[t])
        columns.append(column)
    for column in columns:
        if column["shared"] is not None:
            own = columns[column["shared"]]
            column |= {key: own[key] for key in ("start", "size", "names")}
    return columns, np.concatenate(kept)


def _ids(table: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Return the ids of a table that are kept, in order: all of them, or those in use."""
    if table.size <= _WHOLE:
        return np.arange(len(table))
    return np.unique(used) if len(used) else np.arange(1)


def _value(column: Column | None, i: int) -> str:
    if column is None or column.categories is None:
        return str(i)
    return column.categories.value(i)


def _dense(k: int, batch: Batch, schema: Schema | None) -> dict[str, Any]:
    """Return the name of a dense feature, its transform, and the ends of its slider."""
    column = Column(f"dense {k}", "dense") if schema is None else schema.dense[k]
    raw = column.unscale(np.asarray(batch.dense[:, k], np.float64))
    least, most = float(raw.min()), float(raw.max())
    if column.transform == "standardize":
        least = min(least, column.mean - 2.5 * column.std)
        most = max(most, column.mean + 2.5 * column.std)
    elif column.transform == "log":
        least, most = min(least, 0.0), max(2 * most, 1.0)
    else:
        room = max(most - least, 1.0)
        least, most = least - room / 2, most + room / 2
    kept = {key: getattr(column, key) for key in ("name", "transform", "mean", "std")}
    return kept | {"least": least, "most": most, "step": (most - least) / _STEPS}


def _layers(mlp: MLP) -> list[Mapping[str, Any]]:
    return [
        {
            "weight": array(layer.weight.value),
            "bias": None if layer.bias is None else array(layer.bias.value),
            "relu": layer.activation == "relu",
        }
        for layer in mlp.layers
    ]
