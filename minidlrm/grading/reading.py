"""What was handed in, as text: its cells, its functions, and words that are fit for a page."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minidlrm.languages import Message


class StudentError(Exception):
    """What went wrong in a submission, in words for its author."""


class NotWritten(StudentError):
    """A blank that is not filled in."""


def plain(text: Any, longest: int = 2000) -> str:
    r"""Make a submission's text safe for a page and a terminal: short, no control characters.

    Examples
    --------
    >>> plain("a\x1b[31m" + 5000 * "b", 9)
    'a[31mbbb...'
    """
    text = str(text)
    kept = text[:longest].encode("utf-8", "replace").decode()
    kept = "".join(each for each in kept if each.isprintable() or each in "\n\t")
    return kept + "..." * (len(text) > longest)


def text_of(path: Path) -> str:
    """Return the text of a file that was handed in, in the encoding that it declares (PEP 263).

    Raises
    ------
    StudentError
        When it cannot be read.
    """
    try:
        data = path.read_bytes()
        if path.suffix == ".ipynb":
            return data.decode("utf-8-sig")
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, UnicodeDecodeError, SyntaxError, LookupError) as error:
        raise StudentError(
            Message(
                "{file} cannot be read: {error}. Save it as UTF-8, or declare its encoding",
                file=path.name,
                error=str(error),
            )
        ) from None


def cells_of(path: Path, markdown: bool = False) -> list[str]:
    """Return the code cells of a .py or .ipynb file, or its text cells.

    The cells of a script begin with as many empty lines as are above them: what is said about a
    line is then the line of the file.

    Raises
    ------
    StudentError
        When the file cannot be read.
    """
    text = text_of(path)
    if path.suffix == ".ipynb":
        return _notebook_cells(path, text, markdown)
    cells: list[str] = []
    cell: list[str] = []
    above, is_text = 0, False
    for number, line in enumerate(text.splitlines()):
        if line.startswith("# %%"):
            cells.append("\n" * (0 if markdown else above) + "\n".join(cell))
            cell, above, is_text = [], number, "[markdown]" in line
        if is_text == markdown:
            cell.append(line.removeprefix("#").removeprefix(" ") if markdown else line)
        else:
            cell.append("")
    cells.append("\n" * (0 if markdown else above) + "\n".join(cell))
    return [each for each in cells if each.strip()]


def _notebook_cells(path: Path, text: str, markdown: bool) -> list[str]:
    kind = "markdown" if markdown else "code"
    try:
        parsed = json.loads(text)["cells"]
        sources = ["".join(c["source"]) for c in parsed if c["cell_type"] == kind]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StudentError(
            Message(
                "{file} is not a notebook ({error}): save it again, or hand in the .py",
                file=path.name,
                error=f"{type(error).__name__}: {str(error)[:100]}",
            )
        ) from None
    if markdown:
        return sources
    return [
        "\n".join("" if line.lstrip()[:1] in "%!" and line.strip() else line for line in s)
        for s in (source.splitlines() for source in sources)
    ]


def trees_of(path: Path) -> Iterator[ast.Module]:
    """Yield the syntax tree of every code cell that has one."""
    try:
        cells = cells_of(path)
    except StudentError:
        return
    for cell in cells:
        with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
            yield ast.parse(cell)


def student_of(path: Path) -> str:
    """Return the STUDENT that is written in a file; "" when there is none."""
    for tree in trees_of(path):
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                names = [each.id for each in node.targets if isinstance(each, ast.Name)]
                if "STUDENT" in names and isinstance(node.value.value, str):
                    return plain(node.value.value, 100)
    return ""


def return_of(path: Path, function: str) -> str:
    """Return the last return of a function, as its author wrote it: "line 12: return x"."""
    for tree in trees_of(path):
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef) or node.name != function:
                continue
            returns = [each for each in ast.walk(node) if isinstance(each, ast.Return)]
            if returns:
                last = max(returns, key=lambda each: each.lineno)
                code = plain(ast.unparse(last), 160)
                return Message("line {number}: {code}", number=last.lineno, code=code)
    return ""
