"""Where the boxes are: in levels, by the longest way from the inputs. Lengths are inches."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from minidlrm.figure.drawing import text_width
from minidlrm.figure.graph import Graph, Node

SIZE, LINE, PAD = 8.0, 0.155, 0.12  # text in points; a line of text and a margin in inches
NOTE, NOTE_LINE, AIR = 6.5, 0.125, 0.06  # the same for the small lines; around a picture
_GAP, _RISE, _NARROW = 0.35, 0.42, 0.25  # between boxes, between levels; room for an arrow

Point = Hashable  # the name of a box, or (source, target, level) where an arrow passes a level


@dataclass(frozen=True)
class Box:
    """The middle of a box's lower edge, and its size."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """The boxes by name, and the points that a long arrow goes through."""

    boxes: dict[str, Box]
    bends: dict[tuple[str, str], list[tuple[float, float]]]

    @property
    def half_width(self) -> float:
        """How far the figure reaches to each side of its middle."""
        reach = [abs(box.x) + box.width / 2 for box in self.boxes.values()]
        return max([*reach, *(abs(x) for way in self.bends.values() for x, _ in way)])

    @property
    def height(self) -> float:
        """How far the figure reaches upwards."""
        return max(box.y + box.height for box in self.boxes.values())


def layout_of(graph: Graph) -> Layout:
    """Return the place of each box, and the bends of long arrows."""
    level = _levels(graph)
    rows: list[list[Point]] = [
        [n for n in graph.nodes if level[n] == k] for k in range(max(level.values()) + 1)
    ]
    neighbours: dict[Point, list[Point]] = {name: [] for name in graph.nodes}
    ways: dict[tuple[str, str], list[tuple[str, str, int]]] = {}
    for source, target in graph.arrows:  # a long arrow gets a place in each level that it passes
        way = [(source, target, k) for k in range(level[source] + 1, level[target])]
        for point in way:
            rows[point[2]].append(point)
            neighbours[point] = []
        ways[source, target] = way
        for a, b in pairwise([source, *way, target]):
            neighbours[a].append(b)
            neighbours[b].append(a)
    sizes = {name: _size(node) for name, node in graph.nodes.items()}
    widths: dict[Point, float] = {name: width for name, (width, _) in sizes.items()}
    x = _spread(rows, neighbours, widths)
    heights = [max(sizes[n][1] for n in graph.nodes if level[n] == k) for k in range(len(rows))]
    base = np.concatenate([[0], np.cumsum(np.array(heights) + _RISE)])
    boxes = {n: Box(x[n], float(base[level[n]]), *sizes[n]) for n in graph.nodes}
    bends = {
        pair: [(x[p], float(base[p[2]]) + side * heights[p[2]]) for p in way for side in (0, 1)]
        for pair, way in ways.items()
    }
    return Layout(boxes, bends)


def _levels(graph: Graph) -> dict[str, int]:
    level = dict.fromkeys(graph.nodes, 0)
    for _ in graph.nodes:
        for source, target in graph.arrows:
            level[target] = max(level[target], level[source] + 1)
    return level


def _spread(
    rows: list[list[Point]], neighbours: dict[Point, list[Point]], widths: dict[Point, float]
) -> dict[Point, float]:
    """Order each level by the mean place of its neighbours, and set it around the middle."""
    x: dict[Point, float] = {}
    for row in rows:
        _set_row(row, widths, x)
    for _ in range(8):
        for row in (*rows, *reversed(rows)):
            wish = {p: np.mean([x[q] for q in neighbours[p]]) if neighbours[p] else 0 for p in row}
            row.sort(key=lambda p: wish[p])
            _set_row(row, widths, x)
    return x


def _set_row(row: list[Point], widths: dict[Point, float], x: dict[Point, float]) -> None:
    wide = [widths.get(p, _NARROW) for p in row]
    left = -(sum(wide) + _GAP * (len(row) - 1)) / 2
    for p, w in zip(row, wide, strict=True):
        x[p] = left + w / 2
        left += w + _GAP


def _size(node: Node) -> tuple[float, float]:
    """Return the width and height of a box, from its text and its picture."""
    widths = [text_width(node.name, SIZE, "bold"), node.picture.width]
    widths += [text_width(line, NOTE) for line in node.lines]
    notes = NOTE_LINE * len(node.lines)
    return max(widths) + 2 * PAD, LINE + node.picture.height + 2 * AIR + notes + 2 * PAD
