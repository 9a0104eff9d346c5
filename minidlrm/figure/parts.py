"""What a part of a model looks like: tables with their rows, vectors, the triangle of the pairs.

Each is drawn from the part itself and from what went through it in one call. A part that is not
known here is drawn by the arrays that go in and come out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np

from minidlrm import layers
from minidlrm.data.batch import Batch, Jagged
from minidlrm.figure.drawing import (
    CELL,
    Drawing,
    above,
    beside,
    grid,
    joined,
    length,
    shortened,
    standing,
    table,
    vector,
    written,
)
from minidlrm.module import Module
from minidlrm.watching import Call

DENSE_COLOUR, PLAIN, PAPER = "#f2a93b", "#d9dee4", "#ffffff"
RESULT, POOLED = "#4a5560", "#a9b6c3"  # one number; sums
TABLE_COLOURS = ("#4f9dd9", "#3dab86", "#b777b8", "#7a8fe0", "#c2798f", "#5fb3c4")
_TABLES, _VECTORS, _PAIRS = 7, 9, 12  # that are drawn one by one


@dataclass(frozen=True)
class Seen:
    """One call of a part, the number of the model's tables, and whether it reads dense features."""

    call: Call
    num_tables: int
    dense: bool

    def colours(self, count: int) -> list[str]:
        """Return the colours of vectors (F): the dense ones first, then one for each table."""
        dense = max(count - self.num_tables, 0)
        tables = [TABLE_COLOURS[t % len(TABLE_COLOURS)] for t in range(count - dense)]
        return [DENSE_COLOUR] * dense + tables


def picture_of(call: Call, num_tables: int, dense: bool) -> Drawing:
    """Return the drawing of a part, from one call of it."""
    return picture(call.module, Seen(call, num_tables, dense))


@singledispatch
def picture(module: Module, seen: Seen) -> Drawing:
    """Return the drawing of a module; by default, of the arrays that go in and come out."""
    given = [_array(value, seen) for value in seen.call.inputs if np.ndim(value)]
    made = _array(seen.call.output, seen)
    return above([made, beside(given)]) if given else made


def _array(value: Any, seen: Seen) -> Drawing:
    """Return the arrays of one sample: a vector, or several."""
    shape = np.shape(value)[1:]
    if len(shape) == 2:
        return _vectors(seen.colours(shape[0]), shape[1])
    return vector(int(np.prod(shape, dtype=int)), PLAIN)


def _vectors(colours: Sequence[str], dim: int) -> Drawing:
    """Return vectors on each other, the first on top."""
    return above(shortened([vector(dim, colour) for colour in colours], _VECTORS), 0.03)


# Inputs and outputs


def dense_input(batch: Batch) -> Drawing:
    """Return the dense features of a sample."""
    return vector(batch.dense.shape[1], DENSE_COLOUR)


def sparse_input(batch: Batch) -> Drawing:
    """Return the ids of the first sample, one box a table."""
    ids = _ids(batch.sparse, batch.num_tables)
    boxes = []
    for t, bag in enumerate(ids):
        text = written(_few(bag))
        box = grid(1, 1, text.width + 0.05, 0.15, TABLE_COLOURS[t % len(TABLE_COLOURS)] + "55")
        boxes.append(joined(box.width, box.height, [box, text.moved(0.025, 0.025)]))
    return beside(shortened(boxes, _TABLES), 0.05)


def result() -> Drawing:
    """Return the one number of a sample that a model gives."""
    return grid(1, 1, CELL, CELL, RESULT)


def _few(bag: np.ndarray) -> str:
    return ",".join(map(str, bag[:2])) + (",…" if len(bag) > 2 else "") if len(bag) else "none"


def _ids(sparse: np.ndarray | Jagged, num_tables: int) -> list[np.ndarray]:
    """Return the ids of the first sample in each table."""
    if not isinstance(sparse, Jagged):
        return [row[None] for row in np.asarray(sparse)[0]]
    size = (len(sparse.offsets) - 1) // num_tables
    first = np.asarray(sparse.offsets)[np.arange(num_tables)[:, None] * size + [0, 1]]
    return [sparse.values[begin:end] for begin, end in first]


# Tables


def _looked_up(rows: int, dim: int, colour: str, ids: Sequence[int]) -> Drawing:
    """Return a table, its size below, and above it the vector that is looked up."""
    held = table(rows, dim, colour, ids, PAPER)
    return above([vector(dim, colour, held.width), held, written(f"{rows:,}")])


@picture.register
def _(module: layers.EmbeddingBagCollection, seen: Seen) -> Drawing:
    return standing(_tables(module, seen.call.inputs[-1]))


def _tables(module: layers.EmbeddingBagCollection, sparse: Any) -> list[Drawing]:
    dim, sizes = module.weight.value.shape[1], np.diff(module.starts).tolist()
    ids = _ids(sparse, len(sizes)) if np.ndim(sparse) or isinstance(sparse, Jagged) else []
    ids = ids or [np.zeros(1, int)] * len(sizes)
    columns = [
        _looked_up(rows, dim, TABLE_COLOURS[t % len(TABLE_COLOURS)], ids[t].tolist())
        for t, rows in enumerate(sizes)
    ]
    return shortened(columns, _TABLES)


@picture.register
def _(module: layers.ComposedTables, seen: Seen) -> Drawing:
    """Return the tables; a large one as two, whose rows are combined."""
    dim, sizes = module.embedding_dim, np.diff(module.starts).tolist()
    ids = _ids(seen.call.inputs[-1], len(sizes))
    columns = []
    for t, rows in enumerate(sizes):
        colour = TABLE_COLOURS[t % len(TABLE_COLOURS)]
        if t not in module.large:
            columns.append(_looked_up(rows, dim, colour, ids[t].tolist()))
            continue
        part = module.composed[module.large.index(t)]
        columns.append(_composed(part, dim, colour, ids[t]))
    return standing(shortened(columns, _TABLES))


@picture.register
def _(module: layers.QREmbeddingBag, seen: Seen) -> Drawing:
    ids, dim = np.ravel(seen.call.inputs[0])[:1], np.shape(seen.call.output)[1]
    return _composed(module, dim, TABLE_COLOURS[0], ids)


def _composed(part: layers.QREmbeddingBag, dim: int, colour: str, ids: np.ndarray) -> Drawing:
    """Return the two tables that stand for a large one."""
    c, width = part.num_collisions, part.tables.weight.value.shape[1]
    quotients, remainders = np.diff(part.tables.starts).tolist()
    held = [
        table(quotients, width, colour, (ids // c).tolist(), PAPER),
        table(remainders, width, colour, (ids % c).tolist(), PAPER),
    ]
    label = written(f"{part.num_categories:,} = {quotients:,} ∘ {remainders:,}")
    return above([vector(dim, colour), standing(held, 0.04), label])


@picture.register
def _(module: layers.FieldEmbeddings, seen: Seen) -> Drawing:
    """Return the vectors of the dense features beside the tables."""
    num_dense, dim = module.dense.value.shape
    parts = []
    if num_dense:
        rows = [vector(dim, DENSE_COLOUR)] * num_dense
        held = above([*shortened(rows, 5), written(f"{num_dense} dense")], 0.02)
        parts.append(held)
    if module.tables:
        parts += _tables(module.tables, seen.call.inputs[-1])
    return standing(parts)


@picture.register
def _(module: layers.LinearTerm, seen: Seen) -> Drawing:
    """Return the tables of size 1, and their sum."""
    return above([beside([written("sum"), result()], 0.03), picture(module.fields, seen)], 0.1)


# Networks


@picture.register
def _(module: layers.MLP, seen: Seen) -> Drawing:
    sizes = [module.layers[0].weight.value.shape[1]]
    return _network([*sizes, *(layer.weight.value.shape[0] for layer in module.layers)], seen)


@picture.register
def _(module: layers.Linear, seen: Seen) -> Drawing:
    return _network(list(module.weight.value.shape[::-1]), seen)


def _network(sizes: list[int], seen: Seen) -> Drawing:
    """Return the vectors of a network with their sizes, its input below, and edges between."""
    rise = 0.17
    wide, label = max(map(length, sizes)), max(written(f"{n:,}").width for n in sizes)
    side, parts, height = label + 0.05, [], (len(sizes) - 1) * (CELL + rise) + CELL
    colours = [PLAIN] * len(sizes)
    if seen.dense:
        colours[0] = colours[-1] = DENSE_COLOUR
    if sizes[-1] == 1:
        colours[-1] = RESULT
    for k, size in enumerate(sizes):
        x, y = side + (wide - length(size)) / 2, k * (CELL + rise)
        parts.append(vector(size, colours[k]).moved(x, y))
        parts.append(written(f"{size:,}").moved(x + length(size) + 0.05, y))
        if k:
            low, high = length(sizes[k - 1]) / 2, length(size) / 2
            middle, y0 = side + wide / 2, y - rise
            edges = [(middle + s * low, y0, middle + s * high, y) for s in (-1, 1)]
            edges += [(middle + s * low, y0, middle - s * high, y) for s in (-1, 1)]
            parts.append(Drawing(0, 0, lines=edges))
    return joined(wide + 2 * side, height, parts)


# Interactions


def _triangle(colours: Sequence[str], diagonal: bool) -> Drawing:
    """Return a cell for each pair, with the colours of its two vectors; these at both sides."""
    count, first = len(colours), 0 if diagonal else 1
    side = 0.2 if count <= _PAIRS else 2.4 / count
    long = 0.3 if count <= _PAIRS else 0.12  # of a vector at a side
    size = (count - first) * side
    edges = grid(1, 1, side, side, PAPER).lines
    parts = []
    for i in range(first, count):
        y = long + 0.05 + (count - 1 - i) * side
        parts.append(_row(colours[i], long, 0.6 * side).moved(0, y + 0.2 * side))
        for j in range(i + 1 - first):
            upper = ([(0.0, 0.0), (0.0, side), (side, side)], colours[i])
            lower = ([(0.0, 0.0), (side, 0.0), (side, side)], colours[j])
            cell = Drawing(side, side, [upper, lower], edges)
            parts.append(cell.moved(long + 0.05 + j * side, y))
    for j in range(count - first):
        column = _row(colours[j], 0.6 * side, long, upright=True)
        parts.append(column.moved(long + 0.05 + (j + 0.2) * side, 0))
    return joined(long + 0.05 + size, long + 0.05 + size, parts)


def _row(colour: str, width: float, height: float, upright: bool = False) -> Drawing:
    """Return a vector in three cells."""
    return grid(3, 1, width, height, colour) if upright else grid(1, 3, width, height, colour)


@picture.register
def _(module: layers.DotInteraction, seen: Seen) -> Drawing:
    return _triangle(seen.colours(module.num_features), module.self_interaction)


@picture.register
def _(module: layers.BiInteraction, seen: Seen) -> Drawing:
    """Return the pairs, and what they add up to: a vector, or for an FM a number."""
    made = np.shape(seen.call.output)[1:]
    total = vector(made[0], PLAIN) if made else result()
    pairs = _triangle(seen.colours(module.num_features), False)
    return above([beside([written("sum"), total], 0.03), pairs], 0.08)


@picture.register
def _(module: layers.Flatten, seen: Seen) -> Drawing:
    colours = seen.colours(module.num_features)
    return beside(shortened([vector(module.embedding_dim, c) for c in colours], _VECTORS), 0)


@picture.register
def _(module: layers.ElementwiseProduct, seen: Seen) -> Drawing:
    dim = np.shape(seen.call.output)[1]
    u, v = (vector(dim, colour) for colour in TABLE_COLOURS[:2])
    return above([vector(dim, PLAIN), beside([u, written("⊙"), v], 0.03)])


@picture.register
def _(module: layers.CrossNetwork, seen: Seen) -> Drawing:
    """Return the layers on each other: a matrix, times x0, plus x."""
    d = seen.call.inputs[0].reshape(len(seen.call.output), -1).shape[1]
    parts = [vector(d, PLAIN)]
    for layer in module.layers:
        rows = 1 if isinstance(layer, layers.VectorCross) else 4
        weight = grid(rows, 8, length(d), CELL * (0.6 if rows == 1 else 1.6), PAPER)
        parts.insert(0, beside([weight, written("⊙ x₀ + x")], 0.05))
        parts.insert(0, vector(d, PLAIN))
    return above(parts, 0.05)


@picture.register
def _(module: layers.CrossInteraction, seen: Seen) -> Drawing:
    colours = seen.colours(module.num_features)
    first = beside(shortened([vector(module.embedding_dim, c) for c in colours], _VECTORS), 0)
    return above([picture(module.cross, seen), first])


@picture.register
def _(module: layers.CIN, seen: Seen) -> Drawing:
    """Return the vectors of each layer, from z on, and above each layer its pooled numbers."""
    dim, columns = module.embedding_dim, []
    columns.append(above([_vectors(seen.colours(module.num_features), dim), written("z")]))
    for k, layer in enumerate(module.layers):
        count = len(layer.bias.value)
        passed = module.passed_on[k] if module.split_half else 0
        height = 0.7 * length(count)
        held = grid(min(count, 8), min(dim, 8), length(dim), height, PLAIN)
        pooled = vector(count - passed, POOLED)
        columns.append(above([pooled, held, written(f"{count} × {dim}")]))
    arrows = [part for column in columns for part in (column, written("→"))]
    return beside(arrows[:-1], 0.05)
