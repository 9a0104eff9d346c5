"""Rows of cells as text, HTML and Markdown: one way for every table that is not drawn by rich.

`rows` is a list of rows of strings; the first holds the titles.
"""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence

Rows = Sequence[Sequence[str]]


def as_text(rows: Rows) -> str:
    """Return the rows as lines, each column as wide as its widest cell.

    Examples
    --------
    >>> from minidlrm.printing import as_text
    >>> print(as_text([("layer", "FLOPs"), ("dot", "640")]))
    layer  FLOPs
    dot    640
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def as_html(rows: Rows, bold: Collection[int] = ()) -> str:
    """Return the rows as an HTML table; `bold` holds the numbers of rows below the titles.

    Examples
    --------
    >>> from minidlrm.printing import as_html
    >>> as_html([("x",), ("1 < 2",)])
    '<table><tr><th scope="col">x</th></tr><tr><td>1 &lt; 2</td></tr></table>'
    """
    head, *body = rows
    titles = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in head)
    lines = [f"<tr>{titles}</tr>"]
    for k, row in enumerate(body):
        style = ' style="font-weight:bold"' if k in bold else ""
        cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
        lines.append(f"<tr{style}>{cells}</tr>")
    return f"<table>{''.join(lines)}</table>"


def as_markdown(rows: Rows) -> str:
    r"""Return the rows as a Markdown table.

    Examples
    --------
    >>> from minidlrm.printing import as_markdown
    >>> print(as_markdown([("a", "b"), ("1", "x|y")]))
    | a | b |
    | --- | --- |
    | 1 | x\|y |
    """
    head, *body = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
