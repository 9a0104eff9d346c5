"""diagram: the architecture figure of any model, from its modules and the shapes that pass.

One batch is run forward while the model's parts are watched. An arrow goes from one part to
another where the numbers of the first are found in the input of the second: so the figure
shows what the code does, and no model is drawn by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from minidlrm.data.batch import Batch, Jagged
from minidlrm.module import Module

DENSE, SPARSE, SUM, OUTPUT = "dense features", "sparse features", "+", "output"
_FILL = {"input": "#ffffff", "embedding": "#cfe3f2", "network": "#fbe3c8", "interaction": "#d3ead9"}
_FILL |= {"output": "#e9e9e9"}
_LIT = {"forward": "#0072b2", "backward": "#d55e00"}
_SIZE, _LINE, _PAD, _GAP, _RISE = 8.0, 0.155, 0.12, 0.35, 0.55  # points, then inches


@dataclass
class Node:
    """A box of the figure.

    Parameters
    ----------
    name : str
        Of the part in the model, or of an input or output.
    kind : str
        "input", "embedding", "network", "interaction" or "output": the colour.
    lines : list of str
        What is written below the name.

    Examples
    --------
    >>> from minidlrm.figure import Node
    >>> Node("bottom", "network", ["MLP", "13-64-16"]).kind
    'network'
    """

    name: str
    kind: str
    lines: list[str] = field(default_factory=list)


def graph(model: Module, batch: Batch | None = None) -> tuple[dict[str, Node], list[tuple]]:
    """Find the boxes of a model and the arrows between them, by running one batch.

    Parameters
    ----------
    model : Module
        A model. Nothing of it is changed.
    batch : Batch, optional
        A few rows; random ones of the model's sizes by default.

    Returns
    -------
    (dict of str to Node, list of (str, str))
        The boxes by name, and the arrows as pairs of names.

    Examples
    --------
    >>> import minidlrm as md
    >>> from minidlrm.figure import graph
    >>> nodes, arrows = graph(md.DLRM(3, [5, 6], 4, (8,), (8,)))
    >>> [pair for pair in arrows if pair[0] == "bottom"]
    [('bottom', 'dot'), ('bottom', 'top')]
    """
    batch = _random_batch(model) if batch is None else batch
    calls: list[tuple[str, Module, tuple, Any]] = []
    with _watched(model, calls):
        y = np.asarray(model.forward(batch))
    nodes: dict[str, Node] = {}
    if batch.dense.shape[1]:
        nodes[DENSE] = Node(DENSE, "input", [f"(B, {batch.dense.shape[1]})"])
    num_tables = model.config["table_sizes"] if hasattr(model, "config") else []
    nodes[SPARSE] = Node(SPARSE, "input", [f"{len(num_tables)} categorical"])
    arrows: list[tuple[str, str]] = []
    made: dict[str, np.ndarray] = {}
    for name, module, inputs, output in calls:
        sources = [s for value in inputs for s in _sources(value, batch, made)]
        arrows += [(source, name) for source in dict.fromkeys(sources)]
        nodes[name] = _node(name, module, inputs, output)
        made[name] = np.asarray(output)
    used = {source for source, _ in arrows}
    ends = [name for name in made if name not in used]
    if len(ends) > 1:
        nodes[SUM] = Node(SUM, "output", ["sum"])
        arrows += [(name, SUM) for name in ends]
        ends = [SUM]
    nodes[OUTPUT] = Node(OUTPUT, "output", [f"logit or rating {_shape(y)}"])
    return nodes, [*arrows, *((name, OUTPUT) for name in ends)]


def _random_batch(model: Module) -> Batch:
    rng = np.random.default_rng(0)
    config = model.config
    sizes, num_dense = config["table_sizes"], config.get("num_dense", 0)
    ids = np.stack([rng.integers(0, size, 3) for size in sizes], axis=1)
    return Batch(rng.normal(size=(3, num_dense)).astype(np.float32), ids)


@contextmanager
def _watched(model: Module, calls: list) -> Iterator[None]:
    """Record what goes into each part of the model and what comes out."""
    parts = list(model.named_children())

    def watch(name: str, part: Module) -> None:
        call = part.forward

        def recorded(*inputs):
            output = call(*inputs)
            calls.append((name, part, inputs, np.array(output)))
            return output

        part.forward = recorded  # type: ignore[method-assign]

    try:
        for name, part in parts:
            watch(name, part)
        yield
    finally:
        for _, part in parts:
            vars(part).pop("forward", None)


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


def _node(name: str, module: Module, inputs: tuple, output: np.ndarray) -> Node:
    text = repr(module)
    head, _, rest = text.partition("(")
    lines = [head, *([rest[:-1]] if rest[:-1] else [])]
    shapes = ", ".join(_shape(value) for value in inputs if np.ndim(value) or _is_bags(value))
    lines.append(f"{shapes} → {_shape(output)}")
    if module.num_parameters():
        lines.append(f"{module.num_parameters():,} parameters")
    kind = "network" if head in ("MLP", "Linear", "LinearTerm") else "interaction"
    kind = "embedding" if "Embedding" in head else kind
    return Node(name, kind, lines)


def _is_bags(value: Any) -> bool:
    return isinstance(value, Jagged)


def _shape(value: Any) -> str:
    if isinstance(value, Jagged):
        return "bags"
    rest = "".join(f", {n}" for n in np.shape(value)[1:])
    return f"(B{rest or ','})" if rest else "(B,)"


def diagram(
    model: Module,
    batch: Batch | None = None,
    ax: Any = None,
    *,
    highlight: str | None = None,
    phase: str = "forward",
) -> Any:
    """Draw the architecture of a model: inputs at the bottom, the output at the top.

    Parameters
    ----------
    model : Module
        A model. Nothing of it is changed.
    batch : Batch, optional
        As `graph`.
    ax : matplotlib Axes, optional
        Where to draw. By default a figure of the right size is made.
    highlight : str, optional
        The dotted name of a module: its box is lit.
    phase : "forward" or "backward"
        Which way the arrows go, and the colour of the lit box.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    KeyError
        When there is no module of that name.
    ValueError
        When the phase is not known.

    Examples
    --------
    >>> import minidlrm as md
    >>> ax = md.diagram(md.DLRM(3, [5, 6], 4, (8,), (8,)))
    >>> ax.figure.savefig("dlrm.svg")                                    # doctest: +SKIP
    """
    if phase not in _LIT:
        raise ValueError(f"phase is {phase!r}: it must be 'forward' or 'backward'")
    nodes, arrows = graph(model, batch)
    lit = _lit(model, nodes, highlight)
    places, bends = _layout(nodes, arrows)
    width = max(abs(x) + w / 2 for x, _, w, _ in places.values())
    width = max([width, *(abs(x) for way in bends.values() for x, _ in way)])
    height = max(y + h for _, y, _, h in places.values())
    ax, scale = _axes(ax, width, height)
    ax.set(xlim=(-width - 0.1, width + 0.1), ylim=(-0.1, height + 0.1), aspect="equal")
    ax.axis("off")
    for source, target in arrows:
        _draw_arrow(ax, places, bends.get((source, target), []), source, target, phase, scale)
    for name, node in nodes.items():
        _draw_box(ax, node, places[name], _LIT[phase] if name == lit else None, scale)
    return ax


def _lit(model: Module, nodes: dict[str, Node], highlight: str | None) -> str | None:
    if highlight is None:
        return None
    if highlight == "loss":
        return OUTPUT
    names = [name for name in nodes if highlight == name or highlight.startswith(f"{name}.")]
    if not names or highlight not in (*dict(model.named_modules()), *nodes):
        raise KeyError(f"no module {highlight!r}: {', '.join(nodes)}")
    return max(names, key=len)


# Layout: boxes in levels, by the longest way from the inputs


def _layout(nodes, arrows):
    """Return the place (x, y, width, height) of each box, and the bends of long arrows."""
    level = dict.fromkeys(nodes, 0)
    for _ in nodes:
        for source, target in arrows:
            level[target] = max(level[target], level[source] + 1)
    rows: list[list] = [[n for n in nodes if level[n] == k] for k in range(max(level.values()) + 1)]
    neighbours: dict[Any, list] = {name: [] for name in nodes}
    ways: dict[tuple, list] = {}
    for source, target in arrows:  # a long arrow gets a place in each level that it passes
        way = [(source, target, k) for k in range(level[source] + 1, level[target])]
        for k, point in enumerate(way):
            rows[level[source] + 1 + k].append(point)
            neighbours[point] = []
        ways[source, target] = way
        chain = [source, *way, target]
        for a, b in pairwise(chain):
            neighbours[a].append(b)
            neighbours[b].append(a)
    sizes = {name: _size(node) for name, node in nodes.items()}
    x = _spread(rows, neighbours, sizes)
    heights = [max(sizes[n][1] for n in row if n in sizes) for row in rows]
    base = np.concatenate([[0], np.cumsum(np.array(heights) + _RISE)])
    places = {n: (x[n], base[level[n]], *sizes[n]) for n in nodes}
    bends = {
        pair: [(x[p], base[p[2]] + side * heights[p[2]]) for p in way for side in (0, 1)]
        for pair, way in ways.items()
    }
    return places, bends


def _spread(rows, neighbours, sizes) -> dict:
    """Order each level by the mean place of its neighbours, and set it around the middle."""
    x: dict = {}
    for row in rows:
        _set_row(row, sizes, x)
    for _ in range(8):
        for row in (*rows, *reversed(rows)):
            wish = {p: np.mean([x[q] for q in neighbours[p]]) if neighbours[p] else 0 for p in row}
            row.sort(key=lambda p: wish[p])
            _set_row(row, sizes, x)
    return x


def _set_row(row, sizes, x) -> None:
    widths = [sizes[p][0] if p in sizes else 0.25 for p in row]
    left = -(sum(widths) + _GAP * (len(row) - 1)) / 2
    for p, w in zip(row, widths, strict=True):
        x[p] = left + w / 2
        left += w + _GAP


def _size(node: Node) -> tuple[float, float]:
    """Return the width and height of a box in inches, from its text."""
    widths = [_text_width(node.name, bold=True), *map(_text_width, node.lines)]
    return max(widths) + 2 * _PAD, _LINE * (1 + len(node.lines)) + 2 * _PAD


def _text_width(text: str, bold: bool = False) -> float:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    font = FontProperties(weight="bold" if bold else "normal")
    return float(TextPath((0, 0), text or " ", size=_SIZE, prop=font).get_extents().width) / 72


def _axes(ax: Any, width: float, height: float) -> tuple[Any, float]:
    """Return the Axes, and how much smaller than life the figure is."""
    if ax is None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(2 * width + 0.4, height + 0.4))
        return figure.add_axes((0, 0, 1, 1)), 1.0
    box = ax.get_window_extent()
    inches = box.width / ax.figure.dpi, box.height / ax.figure.dpi
    return ax, min(1.0, inches[0] / (2 * width + 0.2), inches[1] / (height + 0.2))


def _draw_box(ax, node: Node, place, lit: str | None, scale: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y, w, h = place
    ax.add_patch(
        FancyBboxPatch(
            (x - w / 2, y),
            w,
            h,
            boxstyle="round,pad=0,rounding_size=0.08",
            fc=lit or _FILL[node.kind],
            ec="black" if lit else "0.35",
            lw=2.5 if lit else 1,
            zorder=2,
            gid=f"box-{node.name.split('.')[0]}",
        )
    )
    for k, text in enumerate([node.name, *node.lines]):
        ax.text(
            x,
            y + h - _PAD - _LINE * (k + 0.5),
            text,
            ha="center",
            va="center",
            size=_SIZE * scale,
            weight="bold" if k == 0 else "normal",
            color="white" if lit else "black",
            zorder=3,
        )


def _draw_arrow(ax, places, bends, source, target, phase, scale) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    (x0, y0, w0, h0), (x1, y1, w1, _) = places[source], places[target]
    inner = bends or [(x0, y0 + h0)]
    reach0, reach1 = 0.42 * w0, 0.42 * w1  # leave and arrive where the other end lies
    nearest0 = inner[0][0] if bends else x1
    start = (x0 + float(np.clip(nearest0 - x0, -reach0, reach0)) * 0.6, y0 + h0)
    nearest1 = inner[-1][0] if bends else x0
    end = (x1 + float(np.clip(nearest1 - x1, -reach1, reach1)) * 0.6, y1)
    points = [start, *bends, end]
    vertices, codes = [points[0]], [Path.MOVETO]
    for a, b in pairwise(points):
        middle = (a[1] + b[1]) / 2
        vertices += [(a[0], middle), (b[0], middle), b]
        codes += [Path.CURVE4] * 3
    path = Path(vertices, codes)
    style = "-|>" if phase == "forward" else "<|-"
    ax.add_patch(
        FancyArrowPatch(
            path=path, arrowstyle=style, mutation_scale=9 * scale, color="0.3", lw=1.1, zorder=1
        )
    )
