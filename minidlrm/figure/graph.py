"""The boxes of a model and the arrows between them, found by running it.

One batch is run forward while the model's parts are watched. An arrow goes from one part to
another where the numbers of the first are found in the input of the second: so the figure
shows what the code does, and no model is drawn by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidlrm.data.batch import Batch, Jagged
from minidlrm.figure.drawing import Drawing, written
from minidlrm.figure.parts import dense_input, picture_of, result, sparse_input
from minidlrm.module import Module
from minidlrm.watching import Call, watched

DENSE, SPARSE, SUM, OUTPUT = "dense features", "sparse features", "+", "output"


@dataclass(frozen=True)
class Node:
    """A box of the figure.

    Parameters
    ----------
    name : str
        The name of the part in the model, or of an input or output.
    role : str
        "input", "embedding", "network", "interaction" or "output": decides the colour.
    lines : list of str
        What is written below the picture, small.
    picture : Drawing
        What the part looks like.
    """

    name: str
    role: str
    lines: list[str]
    picture: Drawing


@dataclass
class Graph:
    """The boxes by name, in the order in which they run, and the arrows as pairs of names."""

    nodes: dict[str, Node]
    arrows: list[tuple[str, str]]


def graph_of(model: Module, batch: Batch | None = None) -> Graph:
    """Find the boxes of a model and the arrows between them, by running one batch.

    Parameters
    ----------
    model : Module
        A model. It is not changed.
    batch : Batch, optional
        A few rows; random ones of the model's sizes by default.

    Examples
    --------
    >>> import minidlrm as md
    >>> from minidlrm.figure.graph import graph_of
    >>> graph = graph_of(md.DLRM(3, [5, 6], 4, (8,), (8,)))
    >>> [pair for pair in graph.arrows if pair[0] == "bottom"]
    [('bottom', 'interaction'), ('bottom', 'top')]
    """
    batch = _random_batch(model) if batch is None else batch
    calls: list[Call] = []
    # an interaction that was given is in the model's config too: its last name is the model's own
    children = {id(part): (name, part) for name, part in model.named_children()}
    with watched(children.values(), calls.append):
        y = np.asarray(model.forward(batch))
    graph = Graph(_inputs(batch), [])
    made: dict[str, np.ndarray] = {}
    for call in calls:
        sources = [s for value in call.inputs for s in _sources(value, batch, made)]
        graph.arrows += [(source, call.name) for source in dict.fromkeys(sources)]
        graph.nodes[call.name] = _node(call, batch.num_tables, DENSE in sources)
        made[call.name] = np.asarray(call.output)
    _end(graph, list(made), f"logit or rating {_shape(y)}")
    return graph


def _random_batch(model: Module) -> Batch:
    rng = np.random.default_rng(0)
    sizes, num_dense = model.config["table_sizes"], model.config.get("num_dense", 0)
    ids = np.stack([rng.integers(0, size, 3) for size in sizes], axis=1)
    return Batch(rng.normal(size=(3, num_dense)).astype(np.float32), ids)


def _inputs(batch: Batch) -> dict[str, Node]:
    nodes = {}
    if batch.dense.shape[1]:
        lines = [f"(B, {batch.dense.shape[1]})"]
        nodes[DENSE] = Node(DENSE, "input", lines, dense_input(batch))
    lines = [f"{batch.num_tables} categorical"]
    nodes[SPARSE] = Node(SPARSE, "input", lines, sparse_input(batch))
    return nodes


def _end(graph: Graph, made: list[str], text: str) -> None:
    """Lead what no part takes to the output; several such parts are added up."""
    used = {source for source, _ in graph.arrows}
    ends = [name for name in made if name not in used]
    if len(ends) > 1:
        graph.nodes[SUM] = Node(SUM, "output", [], written("sum"))
        graph.arrows += [(name, SUM) for name in ends]
        ends = [SUM]
    graph.nodes[OUTPUT] = Node(OUTPUT, "output", [text], result())
    graph.arrows += [(name, OUTPUT) for name in ends]


def _sources(value: Any, batch: Batch, made: dict[str, np.ndarray]) -> Iterator[str]:
    """Yield the boxes whose numbers are found in an input."""
    if isinstance(value, Jagged) or np.asarray(value).dtype.kind in "iu":
        yield SPARSE
        return
    given = np.asarray(value)[0].ravel()  # of the first sample
    if batch.dense.shape[1] and _contains(given, batch.dense[0]):
        yield DENSE
    for name, output in made.items():
        if _contains(given, output[0]) or _contains(output[0], given):  # whole, or a slice of it
            yield name


def _contains(given: np.ndarray, part: np.ndarray) -> bool:
    """Whether all numbers of a part are among the given ones; zeros (of a ReLU) say nothing."""
    part = np.asarray(part).ravel()
    part = part[part != 0]
    given = np.asarray(given)
    return bool(part.size) and bool(np.isin(part.astype(given.dtype), given).all())


def _node(call: Call, num_tables: int, dense: bool) -> Node:
    head = type(call.module).__name__
    shapes = (_shape(x) for x in call.inputs if isinstance(x, Jagged) or np.ndim(x))
    lines = [head, f"{', '.join(shapes)} → {_shape(call.output)}"]
    if call.module.num_parameters():
        lines.append(f"{call.module.num_parameters():,} parameters")
    role = "network" if head in ("MLP", "Linear", "LinearTerm") else "interaction"
    role = "embedding" if "Embedding" in head or "Tables" in head else role
    return Node(call.name, role, lines, picture_of(call, num_tables, dense))


def _shape(value: Any) -> str:
    if isinstance(value, Jagged):
        return "bags"
    rest = "".join(f", {n}" for n in np.shape(value)[1:])
    return f"(B{rest or ','})" if rest else "(B,)"
