"""Results as files: text, JSON and figures. Each file is replaced as a whole, or left as it was."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from minidlrm.files import replacing
from minidlrm.languages import say


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text file in UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, content: Mapping[str, Any]) -> None:
    """Write a JSON file. NaN and infinity, which JSON does not have, become null.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from minidlrm.writing import write_json
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "scores.json"
    >>> write_json(path, {"auc": float("nan")})
    >>> print(path.read_text(), end="")
    {
      "auc": null
    }
    """
    finite = json.loads(json.dumps(content), parse_constant=lambda _: None)
    write_text(path, json.dumps(finite, indent=2) + "\n")


def write_figure(path: str | os.PathLike, draw: Callable[[Any], object], columns: int = 1) -> None:
    """Write a PNG of what `draw` draws on new Axes, or on a row of several."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4 if columns == 1 else 4.6 * columns, 4.4), layout="constrained")
    draw(figure.subplots(1, columns))
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")


def wrote(folder: Path, *files: str) -> str:
    """Return "wrote a.png, b.json and c.md in FOLDER", in the user's language."""
    *most, last = files
    if not most:
        return say("wrote {file} in {folder}", file=last, folder=folder)
    return say(
        "wrote {files} and {last} in {folder}", files=", ".join(most), last=last, folder=folder
    )
