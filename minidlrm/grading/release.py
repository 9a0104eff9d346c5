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

import re
import runpy
from pathlib import Path
from types import SimpleNamespace

from minidlrm import tutorials

TITLES = {
    "A1": "Gradients by hand",
    "A2": "Embeddings",
    "A3": "Matrix factorization and factorization machines",
    "A4": "The MLP and the dot interaction",
    "A5": "Build and train a DLRM",
    "A6": "A model from its paper",
}
_BEGIN = re.compile(r"^(\s*)# BEGIN SOLUTION (A\d\.\d+: .+)$")
_END = re.compile(r"^\s*# END SOLUTION$")


def source_of(assignment: str) -> Path:
    """Return the instructor's file of an assignment, such as "A2".

    Raises
    ------
    ValueError
        When the assignment does not exist.
    """
    if assignment not in TITLES:
        raise ValueError(
            f"assignment {assignment!r} does not exist; choose from {', '.join(sorted(TITLES))}"
        )
    folder = tutorials.source() / "assignments"
    return next(iter(sorted(folder.glob(f"{assignment.lower()}_*.py"))))


def solutions(assignment: str) -> SimpleNamespace:
    """Return the functions of an assignment, with their solutions, by name.

    The checks compare with these, so that a solution is written once.
    """
    return SimpleNamespace(**runpy.run_path(str(source_of(assignment))))


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


def release(assignment: str, out: Path) -> list[Path]:
    """Write the students' files into a folder: a script and the notebook made from it.

    Parameters
    ----------
    assignment : str
        "A1", "A2", ...
    out : Path
        Created if needed. Files of the same name are replaced.

    Returns
    -------
    list of Path
    """
    source = source_of(assignment)
    text = strip(source.read_text(encoding="utf-8")) + "\n"
    out.mkdir(parents=True, exist_ok=True)
    script, notebook = out / source.name, out / source.with_suffix(".ipynb").name
    try:
        import jupytext
    except ImportError:
        raise ImportError('the notebooks need jupytext: pip install "minidlrm[teach]"') from None
    made = jupytext.writes(jupytext.reads(text, fmt="py:percent"), fmt="ipynb")
    for path, content in ((script, text), (notebook, made)):
        part = path.with_name(path.name + ".part")
        part.write_text(content, encoding="utf-8")
        part.replace(path)
    return [script, notebook]
