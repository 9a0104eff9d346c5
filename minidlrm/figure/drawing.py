"""Drawings that are put together: cells and grids, beside and above each other. Lengths are inches.

A drawing has its own corner (0, 0), lower left. Sizes follow the logarithm of what they show, so
that 10 numbers and 10 million rows are seen in one figure.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

CELL, UNIT, MOST = 0.11, 0.1, 16  # a cell; the length of one number; cells that are drawn
SMALL = 6.0  # points of the small text


Point = tuple[float, float]


@dataclass(frozen=True)
class Drawing:
    """Filled polygons (their points, a colour), lines (x0, y0, x1, y1) and texts, in a frame."""

    width: float
    height: float
    fills: list[tuple[list[Point], str]] = field(default_factory=list)
    lines: list[tuple[float, float, float, float]] = field(default_factory=list)
    texts: list[tuple[float, float, str]] = field(default_factory=list)

    def moved(self, x: float, y: float) -> Drawing:
        """Return the drawing with its corner at (x, y)."""
        return Drawing(
            self.width,
            self.height,
            [([(x + a, y + b) for a, b in points], colour) for points, colour in self.fills],
            [(x + a, y + b, x + c, y + d) for a, b, c, d in self.lines],
            [(x + a, y + b, text) for a, b, text in self.texts],
        )


def length(count: int) -> float:
    """Return how long something of this many numbers is drawn."""
    return UNIT * (1 + math.log2(max(count, 1)))


def joined(width: float, height: float, parts: Sequence[Drawing]) -> Drawing:
    """Return one drawing of parts that are in their places."""
    return Drawing(
        width,
        height,
        [fill for part in parts for fill in part.fills],
        [line for part in parts for line in part.lines],
        [text for part in parts for text in part.texts],
    )


def beside(parts: Sequence[Drawing], gap: float = 0.08) -> Drawing:
    """Put drawings in a row, from the left; their middles are at one height."""
    height = max((part.height for part in parts), default=0.0)
    placed, x = [], 0.0
    for part in parts:
        placed.append(part.moved(x, (height - part.height) / 2))
        x += part.width + gap
    return joined(max(x - gap, 0.0), height, placed)


def standing(parts: Sequence[Drawing], gap: float = 0.08) -> Drawing:
    """Put drawings in a row that share their upper edge."""
    height = max((part.height for part in parts), default=0.0)
    placed, x = [], 0.0
    for part in parts:
        placed.append(part.moved(x, height - part.height))
        x += part.width + gap
    return joined(max(x - gap, 0.0), height, placed)


def above(parts: Sequence[Drawing], gap: float = 0.06) -> Drawing:
    """Put drawings on each other, the first on top, around one middle."""
    width = max((part.width for part in parts), default=0.0)
    placed, y = [], 0.0
    for part in reversed(parts):
        placed.append(part.moved((width - part.width) / 2, y))
        y += part.height + gap
    return joined(width, max(y - gap, 0.0), placed)


def written(text: str) -> Drawing:
    """Return a small text."""
    width = text_width(text, SMALL) + 0.03
    return Drawing(width, 0.1, texts=[(width / 2, 0.05, text)])


@functools.cache
def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Return the width of a text."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    path = TextPath((0, 0), text or " ", size=size, prop=FontProperties(weight=weight))
    return float(path.get_extents().width) / 72


def grid(rows: int, columns: int, width: float, height: float, colour: str) -> Drawing:
    """Return a rectangle, cut into cells."""
    lines = [(width * k / columns, 0.0, width * k / columns, height) for k in range(1, columns)]
    lines += [(0.0, height * k / rows, width, height * k / rows) for k in range(1, rows)]
    edges = [(0.0, 0.0, width, 0.0), (0.0, height, width, height)]
    edges += [(0.0, 0.0, 0.0, height), (width, 0.0, width, height)]
    return Drawing(width, height, [(rectangle(0.0, 0.0, width, height), colour)], lines + edges)


def rectangle(x: float, y: float, width: float, height: float) -> list[Point]:
    """Return the corners of a rectangle."""
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]


def vector(count: int, colour: str, width: float | None = None) -> Drawing:
    """Return a row of cells: each a number while there is room, fewer where there is not."""
    width = length(count) if width is None else width
    return grid(1, max(1, min(count, MOST, round(width / 0.06))), width, CELL, colour)


def table(rows: int, dim: int, colour: str, lit: Sequence[int], light: str) -> Drawing:
    """Return a table, as high as the logarithm of its rows; the rows `lit` are filled."""
    width, height = length(dim), 0.6 * length(rows)
    shown = max(1, min(rows, round(height / 0.05)))
    base = grid(shown, 1, width, height, light)
    places = sorted({min(row * shown // rows, shown - 1) for row in lit})
    step = height / shown
    fills = [(rectangle(0.0, height - (k + 1) * step, width, step), colour) for k in places]
    return Drawing(width, height, base.fills + fills, base.lines)


def shortened(parts: Sequence[Drawing], most: int) -> list[Drawing]:
    """Return the first and the last of many drawings, with dots between them."""
    if len(parts) <= most:
        return list(parts)
    head = (most + 1) // 2
    return [*parts[:head], written("···"), *parts[len(parts) - (most - head) :]]
