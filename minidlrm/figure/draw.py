"""diagram: the architecture figure of any model, from its parts and the shapes that pass."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from minidlrm.arrays import check_type, check_word
from minidlrm.data.batch import Batch, as_batch
from minidlrm.figure.drawing import SMALL, Drawing
from minidlrm.figure.graph import OUTPUT, Graph, Node, graph_of
from minidlrm.figure.layout import AIR, LINE, NOTE, NOTE_LINE, PAD, SIZE, Box, Layout, layout_of
from minidlrm.module import Module

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.path import Path

_FILL = {
    "input": "#ffffff",
    "embedding": "#f1f6fb",
    "network": "#fdf6ee",
    "interaction": "#f0f7f2",
    "output": "#f5f5f5",
}
_LIT = {"forward": "#0072b2", "backward": "#d55e00"}


def diagram(
    model: Module,
    batch: Batch | None = None,
    ax: Axes | None = None,
    *,
    highlight: str | None = None,
    phase: str = "forward",
) -> Axes:
    """Draw the architecture of a model: inputs at the bottom, the output at the top.

    One batch is run forward while the parts are watched: the figure shows what the code does.

    Parameters
    ----------
    model : Module
        A model. It is not changed.
    batch : Batch, optional
        A few rows; random ones of the model's sizes by default.
    ax : matplotlib Axes, optional
        Where to draw. By default a figure of the right size is made.
    highlight : str, optional
        The dotted name of a module: its box is lit.
    phase : "forward" or "backward"
        The direction of the arrows, and the colour of the lit box.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    KeyError
        When the model has no module of that name.
    ValueError
        When the phase is not known.

    Examples
    --------
    >>> import minidlrm as md
    >>> ax = md.diagram(md.DLRM(3, [5, 6], 4, (8,), (8,)))
    >>> ax.figure.savefig("dlrm.svg")                                    # doctest: +SKIP
    """
    from matplotlib.axes import Axes

    check_type("model", model, Module)
    if batch is not None:
        as_batch("batch", batch)
    check_word("phase", phase, *_LIT)
    if ax is not None:
        check_type("ax", ax, Axes)
    graph = graph_of(model, batch)
    lit = _lit(model, graph, highlight)
    layout = layout_of(graph)
    width, height = layout.half_width, layout.height
    ax, scale = _axes(ax, width, height)
    ax.set(xlim=(-width - 0.1, width + 0.1), ylim=(-0.1, height + 0.1), aspect="equal")
    ax.axis("off")
    for source, target in graph.arrows:
        _draw_arrow(ax, _way(layout, source, target), phase, scale)
    for name, node in graph.nodes.items():
        _draw_box(ax, node, layout.boxes[name], _LIT[phase] if name == lit else None, scale)
    return ax


def _lit(model: Module, graph: Graph, highlight: str | None) -> str | None:
    if highlight is None:
        return None
    check_type("highlight", highlight, str)
    if highlight == "loss":
        return OUTPUT
    names = [name for name in graph.nodes if highlight == name or highlight.startswith(f"{name}.")]
    if not names or highlight not in (*dict(model.named_modules()), *graph.nodes):
        raise KeyError(f"highlight is {highlight!r}, no module: there are {', '.join(graph.nodes)}")
    return max(names, key=len)


def _axes(ax: Axes | None, width: float, height: float) -> tuple[Axes, float]:
    """Return the Axes, and how much smaller than life the figure is."""
    if ax is None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(2 * width + 0.4, height + 0.4))
        return figure.add_axes((0, 0, 1, 1)), 1.0
    box = ax.get_window_extent()
    inches = box.width / ax.figure.dpi, box.height / ax.figure.dpi
    return ax, min(1.0, inches[0] / (2 * width + 0.2), inches[1] / (height + 0.2))


def _draw_box(ax: Axes, node: Node, box: Box, lit: str | None, scale: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    ax.add_patch(
        FancyBboxPatch(
            (box.x - box.width / 2, box.y),
            box.width,
            box.height,
            boxstyle="round,pad=0,rounding_size=0.08",
            fc=lit or _FILL[node.role],
            ec="black" if lit else "0.7",
            lw=2.5 if lit else 1,
            zorder=2,
            gid=f"box-{node.name.split('.')[0]}",
        )
    )
    place = node.picture.moved(
        box.x - node.picture.width / 2,
        box.y + box.height - PAD - LINE - AIR - node.picture.height,
    )
    _draw_picture(ax, place, scale)
    top = box.y + box.height - PAD - LINE / 2
    colour = "white" if lit else "black"
    _write(ax, box.x, top, node.name, SIZE * scale, colour, weight="bold")
    for k, text in enumerate(node.lines):
        y = box.y + PAD + NOTE_LINE * (len(node.lines) - k - 0.5)
        _write(ax, box.x, y, text, NOTE * scale, colour if lit else "0.25")


def _draw_picture(ax: Axes, picture: Drawing, scale: float) -> None:
    """Draw cells, their lines, and the small text."""
    from matplotlib.collections import LineCollection, PolyCollection

    points, colours = zip(*picture.fills, strict=True) if picture.fills else ((), ())
    fills = PolyCollection(points, facecolors=colours, edgecolors="none", zorder=3)
    ax.add_collection(fills, autolim=False)
    lines = [[(x0, y0), (x1, y1)] for x0, y0, x1, y1 in picture.lines]
    edges = LineCollection(lines, colors="0.25", linewidths=0.5 * scale, zorder=4)
    ax.add_collection(edges, autolim=False)
    for x, y, text in picture.texts:
        _write(ax, x, y, text, SMALL * scale, "0.15")


def _write(
    ax: Axes, x: float, y: float, text: str, size: float, colour: str, weight: str = "normal"
) -> None:
    ax.text(x, y, text, ha="center", va="center", size=size, color=colour, weight=weight, zorder=5)


def _way(layout: Layout, source: str, target: str) -> Path:
    """Return a smooth way from the upper edge of one box to the lower edge of another."""
    from matplotlib.path import Path

    a, b = layout.boxes[source], layout.boxes[target]
    bends = layout.bends[source, target]
    towards, back = (bends[0][0], bends[-1][0]) if bends else (b.x, a.x)
    points = [(_edge(a, towards), a.y + a.height), *bends, (_edge(b, back), b.y)]
    vertices, codes = [points[0]], [Path.MOVETO]
    for (x0, y0), (x1, y1) in pairwise(points):
        middle = (y0 + y1) / 2
        vertices += [(x0, middle), (x1, middle), (x1, y1)]
        codes += [Path.CURVE4] * 3
    return Path(vertices, codes)


def _edge(box: Box, x: float) -> float:
    """Return where an arrow that comes from `x` touches a box: towards it, well inside."""
    reach = 0.42 * box.width
    return box.x + float(np.clip(x - box.x, -reach, reach)) * 0.6


def _draw_arrow(ax: Axes, way: Path, phase: str, scale: float) -> None:
    from matplotlib.patches import FancyArrowPatch

    style = "-|>" if phase == "forward" else "<|-"
    ax.add_patch(
        FancyArrowPatch(
            path=way, arrowstyle=style, mutation_scale=9 * scale, color="0.3", lw=1.1, zorder=1
        )
    )
