"""Tables that people open: CSV in and out, and no cell of it a formula in any spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minidlrm.files import replacing
from minidlrm.languages import Message

_FORMULA = "=+-@＝＋－＠﹢﹣﹦﹫"  # full-width and small forms count in some locales
_START = re.compile(rf"(^|\n)(?=\s*[{re.escape(_FORMULA)}])")
_SEPARATORS = str.maketrans({"\r": " ", "\t": " ", ";": ",", "\v": " ", "\f": " ", "\0": " "})


def safe(value: Any) -> Any:
    r"""Keep a spreadsheet, in any locale, from taking a text or a part of it for a formula.

    Where the semicolon separates cells, quotes inside a line do not hold a cell together: no
    semicolon, tab or carriage return is left, and each line that looks like a formula begins with
    an apostrophe.

    Examples
    --------
    >>> safe("=1+1"), safe("a;=1+1\r@x"), safe(3.5)
    ("'=1+1", 'a,=1+1 @x', 3.5)
    """
    if not isinstance(value, str):
        return value
    return _START.sub(r"\1'", value.translate(_SEPARATORS))


def plain_name(text: str) -> str:
    """Return a student's name from a cell that `safe` has made safe."""
    return text[1:] if text[:1] == "'" and text[1:].lstrip()[:1] in [*_FORMULA] else text


def write(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    """Write a table; every cell is safe."""
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([[safe(cell) for cell in row] for row in rows])


def read(path: Path, wanted: Sequence[str]) -> list[dict[str, str]]:
    """Read a table as a spreadsheet saves it: with commas or semicolons, with or without a mark.

    Raises
    ------
    ValueError
        When it lacks one of the columns that are `wanted`, or is not text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(
            Message("{path} is not UTF-8: save it as 'CSV UTF-8'", path=path)
        ) from None
    head = text.partition("\n")[0]
    reader = csv.DictReader(
        io.StringIO(text, newline=""), delimiter=";" if head.count(";") > head.count(",") else ","
    )
    missing = [name for name in wanted if name not in (reader.fieldnames or [])]
    if missing:
        raise ValueError(
            Message(
                "{path} has no column {column!r}; its first line is {line!r}",
                path=path,
                column=missing[0],
                line=head[:100],
            )
        )
    return [
        {str(key): (value or "").strip() for key, value in row.items() if isinstance(value, str)}
        for row in reader
    ]
