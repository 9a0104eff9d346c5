"""nbgrader: check cells that end in the score, and the notebook that holds them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from minidlrm.grading.assignment import Assignment, criteria, find
from minidlrm.grading.reading import NotWritten, StudentError
from minidlrm.grading.words import of_messages
from minidlrm.languages import Message, say

# a warning of an import on stderr would cost the points of the cell
_CHECK = """import contextlib
import io

with contextlib.redirect_stderr(io.StringIO()):
    from minidlrm.grading.cells import score

score({assignment!r}, {task!r}, globals())"""


class Kernel:
    """The functions of a running notebook, called where they are: without limits.

    Parameters
    ----------
    namespace : dict
        The notebook's ``globals()``.
    """

    seconds = 0.0

    def __init__(self, namespace: dict[str, Any]):
        self.namespace = namespace
        self.slips: dict[str, str] = {}  # tasks are checked one by one: none is known
        self.credits: list[str] = []

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function; StudentError when it gives no value."""
        try:
            value = self.get(name)(*arguments)
        except StudentError:
            raise
        except NotImplementedError as error:
            raise NotWritten(str(error)) from None
        except Exception as error:
            raise StudentError(f"{type(error).__name__}: {error}") from None
        return list(value) if isinstance(value, tuple) else value

    def get(self, name: str) -> Any:
        """Return a variable."""
        if name not in self.namespace:
            raise StudentError(
                Message("there is no {name} in the notebook: was it renamed or deleted?", name=name)
            )
        return self.namespace[name]


def score(assignment: str, task: str, namespace: dict[str, Any]) -> float:
    """Check one task in the running notebook: print the feedback, return the points.

    Nothing is written to stderr: nbgrader gives no points to a cell that does.

    Parameters
    ----------
    assignment, task : str
        Such as "A2" and "A2.3"; or the folder of an assignment.
    namespace : dict
        ``globals()``.
    """
    import pytest

    from minidlrm.grading import plugin

    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        checks = find(assignment).checks
        arguments = ["-q", "-c", os.devnull, "-p", "no:cacheprovider", "--noconftest"]
        arguments += [f"--rootdir={checks.parent}", "--import-mode=importlib", str(checks)]
        arguments += ["--results", str(results), "--tasks", task]
        quiet = io.StringIO()
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            pytest.main(arguments, plugins=[plugin, Kernel(namespace)])
        rows = of_messages(json.loads(results.read_text(encoding="utf-8")))["results"]
    for r in rows:
        points, most = f"{r['points']:g}", f"{r['max_points']:g}"
        print(f"{say('{points} of {most}', points=points, most=most)}  {say(r['title'])}")
        if r["feedback"]:
            print("    " + say(r["feedback"]).replace("\n", "\n    "))
    return float(sum(r["points"] for r in rows))


def notebook(which: str | Path | Assignment, lang: str = "en") -> Any:
    """Return the instructor's notebook for nbgrader: solutions marked, a check after each task."""
    import jupytext
    import nbformat

    assignment = find(which)
    made = jupytext.reads(assignment.text(lang), fmt="py:percent")
    by_hand = {task.name: task.points for task in assignment.by_hand}
    where = str(assignment.folder) if assignment.own else assignment.name
    points: dict[str, float] = {}
    for row in criteria(assignment):
        points[row["task"]] = points.get(row["task"], 0) + row["max_points"]
    cells: list[Any] = []
    for cell in made.cells:
        cells.append(cell)
        task = next((line for line in cell.source.splitlines() if "BEGIN SOLUTION" in line), "")
        name = task.partition("BEGIN SOLUTION ")[2].partition(":")[0]
        if not name:
            continue
        manual = name in by_hand
        _mark(cell, name, solution=True, points=by_hand.get(name))
        cell.source = _regions(cell.source, manual)
        if not manual:
            source = _CHECK.format(assignment=where, task=name)
            check = nbformat.v4.new_code_cell(source)
            _mark(check, f"{name}-check", solution=False, points=points[name])
            cells.append(check)
    made.cells = cells
    made.metadata["kernelspec"] = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    made.nbformat, made.nbformat_minor = 4, 5
    for k, cell in enumerate(made.cells):
        cell["id"] = f"cell-{k}"
    return made


def _regions(source: str, manual: bool) -> str:
    """Put the regions into nbgrader's own marks; what to do stays as a comment."""
    lines = []
    for line in source.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        if "BEGIN SOLUTION" in line:
            task = line.partition("BEGIN SOLUTION ")[2]
            lines.append(f"{indent}{'' if manual else '# '}{task}")
            if not manual:
                lines.append(f"{indent}### BEGIN SOLUTION")
        elif "END SOLUTION" in line:
            if not manual:
                lines.append(f"{indent}### END SOLUTION")
        else:
            lines.append(line)
    return "\n".join(lines)


def _mark(cell: Any, name: str, solution: bool, points: float | None) -> None:
    cell.metadata["nbgrader"] = {
        "schema_version": 3,
        "grade_id": name.replace(".", "-"),
        "solution": solution,
        "grade": points is not None,
        "locked": not solution,
        "task": False,
        **({} if points is None else {"points": points}),
    }
