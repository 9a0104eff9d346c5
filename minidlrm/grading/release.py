"""Make the students' files from the instructor's: solutions out, instructions in.

In the source a solution is between two comments::

    # BEGIN SOLUTION A2.2: return y (B, D)
    ...
    # END SOLUTION

In the students' file one line takes its place,
``raise NotImplementedError("A2.2: return y (B, D)")``, or in a text cell the instruction itself.
The students' files are never edited by hand.
"""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

from minidlrm.files import replacing
from minidlrm.grading.assignment import NAME, Assignment, find
from minidlrm.languages import Message

_BEGIN = re.compile(rf"^(\s*)# BEGIN SOLUTION ({NAME}\.\d+: .+)$")
_END = re.compile(r"^\s*# END SOLUTION$")


def strip(text: str) -> str:
    r"""Take the solutions out of a source.

    Raises
    ------
    ValueError
        When a region does not begin or end as it should: nothing is released then.

    Examples
    --------
    >>> text = "# BEGIN SOLUTION A1.2: return 1\nreturn 1\n# END SOLUTION"
    >>> strip(text)
    'raise NotImplementedError("A1.2: return 1")'
    """
    lines, inside, markdown = [], False, False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("# %%"):
            markdown = "[markdown]" in line
        begin = _BEGIN.match(line)
        if "BEGIN SOLUTION" in line and not begin:
            raise ValueError(f"line {number}: write '# BEGIN SOLUTION A1.2: what to return'")
        if begin and inside:
            raise ValueError(f"line {number}: a solution begins inside another")
        if begin:
            inside, (indent, task) = True, begin.groups()
            quoted = task.replace("\\", "\\\\").replace('"', '\\"')
            left = f"# *{task}*" if markdown else f'{indent}raise NotImplementedError("{quoted}")'
            lines.append(left)
        elif _END.match(line):
            if not inside:
                raise ValueError(f"line {number}: END SOLUTION without BEGIN SOLUTION")
            inside = False
        elif inside and line.startswith("# %%"):
            raise ValueError(f"line {number}: a cell begins inside a solution")
        elif not inside:
            lines.append(line)
    if inside:
        raise ValueError("the last BEGIN SOLUTION has no END SOLUTION")
    return "\n".join(lines)


def release(which: str | Path | Assignment, out: Path, lang: str = "en") -> list[Path]:
    """Write the students' files into a folder: a script and the notebook made from it.

    Parameters
    ----------
    which : str, Path or Assignment
        "A1", "A2", ..., or a folder.
    out : Path
        Created if needed. Files of the same name are replaced.
    lang : str
        The language of the texts: "en", or "ko" where it is written in Korean, too.

    Returns
    -------
    list of Path
    """
    assignment = find(which)
    text = strip(assignment.text(lang)) + "\n"
    script = out / assignment.source.name
    if script.resolve() == assignment.source:
        raise ValueError(
            Message("{out} is the assignment's own folder: its source would be replaced", out=out)
        )
    notebook = as_notebook(text)
    out.mkdir(parents=True, exist_ok=True)
    for path, content in ((script, text), (script.with_suffix(".ipynb"), notebook)):
        write(path, content)
    return [script, script.with_suffix(".ipynb")]


def released_text(assignment: Assignment) -> str:
    """Return what students get, in all languages: none of it is their own work."""
    return "\n".join(strip(assignment.text(lang)) for lang in assignment.languages)


def as_notebook(text: str) -> str:
    """Return a source as a notebook."""
    try:
        import jupytext
    except ImportError:
        raise ImportError(
            Message('the notebooks need jupytext: pip install "minidlrm[teach]"')
        ) from None
    return jupytext.writes(jupytext.reads(text, fmt="py:percent"), fmt="ipynb")


def checks_for_students(which: str | Path | Assignment, folder: Path) -> list[Path]:
    """Write a folder by which students check themselves: the checks, and a source without answers.

    Raises
    ------
    ValueError
        When the checks read the solutions: students would get them.
    """
    assignment = find(which)
    if "solutions" in _names(assignment.checks.read_text(encoding="utf-8")):
        raise ValueError(
            Message(
                "{file} reads the solutions, which students must not get: write the "
                "right answers into checks.py, or grade on Gradescope, which shows the "
                "folder to nobody",
                file=assignment.checks,
            )
        )
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / assignment.source.name
    write(source, strip(assignment.text()) + "\n")
    shutil.copyfile(assignment.checks, folder / "checks.py")
    return [source, folder / "checks.py"]


def _names(code: str) -> set[str]:
    """Return the names that code uses; what comments and texts say does not count."""
    nodes = list(ast.walk(ast.parse(code)))
    found = {node.id for node in nodes if isinstance(node, ast.Name)}
    found |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return found | {node.name for node in nodes if isinstance(node, ast.alias)}


def write(path: Path, text: str) -> None:
    """Replace a file as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")
