"""Files for the platforms: Gradescope, GitHub, Canvas and Moodle."""

from __future__ import annotations

import csv
import json
import secrets
from pathlib import Path
from typing import Any

from minidlrm.grading import cells, runner
from minidlrm.grading.release import TITLES, source_of
from minidlrm.grading.runner import Grade, criteria

_WORKFLOW = """name: autograding
on: [push, workflow_dispatch]
permissions:
  contents: read
jobs:
  grade:
    runs-on: ubuntu-latest
    timeout-minutes: 15
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: pip install "minidlrm[teach]"
      - run: minidlrm grade check {assignment} {file}
"""
_SETUP = """#!/usr/bin/env bash
set -e
apt-get update && apt-get install -y python3-venv
python3 -m venv /autograder/venv
/autograder/venv/bin/pip install "minidlrm[teach]"
"""
_RUN = """#!/usr/bin/env bash
# Gradescope calls this for each submission. STUDENT must be the e-mail that Gradescope knows.
mkdir -p /autograder/results
student=$(/autograder/venv/bin/python -c 'import json
print(json.load(open("/autograder/submission_metadata.json"))["users"][0]["email"])' || true)
/autograder/venv/bin/minidlrm grade check {assignment} /autograder/submission --seed {seed} \\
  --student "$student" --gradescope /autograder/results/results.json || true
"""


def gradescope(grade: Grade) -> dict[str, Any]:
    """Return the content of a results.json: a test for each criterion."""
    tests = [
        {
            "name": r["title"],
            "number": r["task"],
            "score": r["points"],
            "max_score": r["max_points"],
            "output": r["feedback"],
            "output_format": "text",
            "visibility": "visible",
        }
        for r in grade.results
    ]
    output = "\n".join([grade.problem, *grade.notes]).strip()
    return {"score": grade.points, "output": output, "output_format": "text", "tests": tests}


def autograding(assignment: str) -> dict[str, Any]:
    """Return the content of an autograding.json: a test for each task, by its exit code."""
    tasks: dict[str, float] = {}
    for row in criteria(assignment):
        tasks[row["task"]] = tasks.get(row["task"], 0) + row["max_points"]
    file = source_of(assignment).name
    tests = [
        {
            "name": task,
            "setup": "",
            "run": f"minidlrm grade check {assignment} {file} --task {task}",
            "input": "",
            "output": "",
            "comparison": "included",
            "timeout": 10,
            "points": points,
        }
        for task, points in tasks.items()
    ]
    return {"tests": tests}


def files_of(platform: str, assignment: str, out: Path) -> list[Path]:
    """Write the files of a platform beside those of the students.

    Parameters
    ----------
    platform : "github", "gradescope" or "nbgrader"
        A workflow and autograding.json; setup.sh and run_autograder, to be zipped; or the
        instructor's notebook, with solutions, for nbgrader's source folder.
    assignment, out
        As in `release`.
    """
    names = {"assignment": assignment, "file": source_of(assignment).name}
    if platform == "github":
        content = {
            out / ".github" / "workflows" / "autograding.yml": _WORKFLOW.format(**names),
            out / ".github" / "classroom" / "autograding.json": json.dumps(
                autograding(assignment), indent=2
            )
            + "\n",
        }
    elif platform == "nbgrader":
        import nbformat

        name = source_of(assignment).with_suffix(".ipynb").name
        content = {out / "source" / assignment / name: nbformat.writes(cells.notebook(assignment))}
    else:
        content = {
            out / "gradescope" / "setup.sh": _SETUP,
            out / "gradescope" / "run_autograder": _RUN.format(
                **names, seed=secrets.randbelow(2**31)
            ),
        }
    for path, text in content.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        if text.startswith("#!"):
            path.chmod(0o755)
    return list(content)


def write_canvas(assignment: str, grades: list[Grade], path: Path) -> None:
    """Write a table that Canvas imports: the file names are the SIS login ids."""
    title = f"{assignment} {TITLES[assignment]}"
    rows = [["Student", "ID", "SIS Login ID", "Section", title]]
    rows += [["    Points Possible", "", "", "", max(g.max_points for g in grades)]]  # type: ignore[list-item]
    rows += [[g.student, "", g.student, "", g.points] for g in grades]  # type: ignore[list-item]
    _write(rows, path)


def write_moodle(grades: list[Grade], path: Path) -> None:
    """Write a table that Moodle imports: the file names are the user names."""
    rows = [["Username", "Grade", "Feedback comments"]]
    for g in grades:
        lost = [f"{r['task']}: {r['feedback']}" for r in g.results if r["feedback"]]
        told = "\n\n".join([*filter(None, [g.problem]), *lost])
        rows.append([g.student, g.points, runner.no_formula(told)])  # type: ignore[list-item]
    _write(rows, path)


def _write(rows: list[list[Any]], path: Path) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    part.replace(path)
