"""Rows of cells as text, HTML, Markdown, and tables of the terminal: one way for all.

`rows` is a list of rows of strings; the first holds the titles.
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Collection, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

from minidlrm.languages import say_if_message

if TYPE_CHECKING:
    from rich.table import Table

Rows = Sequence[Sequence[str]]


def said_rows(rows: Rows, lang: str | None = None) -> list[list[str]]:
    """Return the rows with the messages among their cells in a language; see `say`.

    Examples
    --------
    >>> from minidlrm.languages import Message
    >>> from minidlrm.printing import said_rows
    >>> said_rows([(Message("model"), "FM")], "ko")
    [['모델', 'FM']]
    """
    return [[say_if_message(cell, lang) for cell in row] for row in rows]


def as_text(rows: Rows) -> str:
    """Return the rows as lines, each column as wide as its widest cell.

    Examples
    --------
    >>> from minidlrm.printing import as_text
    >>> print(as_text([("layer", "FLOPs"), ("dot", "640")]))
    layer  FLOPs
    dot    640
    """
    widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    padded = (
        [cell + " " * (width - width_of(cell)) for cell, width in zip(row, widths, strict=True)]
        for row in rows
    )
    return "\n".join("  ".join(row).rstrip() for row in padded)


def width_of(text: str) -> int:
    """Return the columns that a text takes in a terminal: a letter of Korean takes two.

    Examples
    --------
    >>> from minidlrm.printing import width_of
    >>> width_of("loss"), width_of("손실")
    (4, 4)
    """
    return sum(1 + _is_wide(letter) for letter in text)


def _is_wide(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) in "WF"


def wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """Return a text as lines of at most so many columns; a line breaks between words.

    Examples
    --------
    >>> from minidlrm.printing import wrapped
    >>> wrapped("기울기가 0입니다.", 10)
    ['기울기가', '0입니다.']
    """
    filler = "\N{WORD JOINER}"  # beside each wide letter, while `wrap` counts letters
    padded = "".join(letter + filler * _is_wide(letter) for letter in text)
    lines = wrap(padded, width, initial_indent=indent, subsequent_indent=indent)
    return [line.replace(filler, "") for line in lines]


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


def as_rich(title: str, rows: Rows, left: int = 1, bold: Collection[int] = ()) -> Table:
    """Return the rows as a table for the terminal.

    The first `left` columns, and those without a title, are aligned to the left, the others to
    the right. `bold` holds the numbers of rows below the titles. Messages among the texts are
    said in the user's language.

    Examples
    --------
    >>> from minidlrm.printing import as_rich
    >>> as_rich("results", [("", "test"), ("auc", "0.75")]).row_count
    1
    """
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    table = Table(title=say_if_message(title), box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    head, *body = said_rows(rows)
    for k, name in enumerate(head):
        table.add_column(name, justify="left" if k < left or not name else "right", overflow="fold")
    for k, row in enumerate(body):
        table.add_row(*map(Text, row), style="bold" if k in bold else None)
    return table
