"""Files for the platforms that run the grader themselves: Gradescope, GitHub and nbgrader."""

from __future__ import annotations

import json
import secrets
import shutil
from pathlib import Path
from typing import Any

from minidlrm.grading import cells
from minidlrm.grading.assignment import Assignment, criteria, find
from minidlrm.grading.release import checks_for_students, write
from minidlrm.grading.runner import Grade
from minidlrm.languages import languages, say

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
  --student "$student" --gradescope /autograder/results/results.json{lang} || true
"""


def gradescope(grade: Grade, lang: str = "en") -> dict[str, Any]:
    """Return the content of a results.json: a test for each criterion, said in a language."""
    tests = [
        {
            "name": say(r["title"], lang),
            "number": r["task"],
            "score": r["points"],
            "max_score": r["max_points"],
            "output": say(r["feedback"], lang),
            "output_format": "text",
            "visibility": "visible",
        }
        for r in grade.results
    ]
    output = "\n".join(say(words, lang) for words in [grade.problem, *grade.notes]).strip()
    return {"score": grade.points, "output": output, "output_format": "text", "tests": tests}


def autograding(which: str | Path | Assignment, called: str, lang: str = "en") -> dict[str, Any]:
    """Return the content of an autograding.json: a test for each task, by its exit code."""
    assignment = find(which)
    tasks: dict[str, float] = {}
    for row in criteria(assignment):
        tasks[row["task"]] = tasks.get(row["task"], 0) + row["max_points"]
    file = assignment.source.name
    tests = [
        {
            "name": task,
            "setup": "",
            "run": f"minidlrm grade check {called} {file} --task {task}{_option(lang)}",
            "input": "",
            "output": "",
            "comparison": "included",
            "timeout": 10,
            "points": points,
        }
        for task, points in tasks.items()
    ]
    return {"tests": tests}


def _option(lang: str) -> str:
    """Return the option, if there is a catalogue: a teacher's source may be in more languages."""
    return f" --lang {lang}" if lang in languages()[1:] else ""


def files_of(
    platform: str, which: str | Path | Assignment, out: Path, lang: str = "en"
) -> list[Path]:
    """Write the files of a platform beside those of the students.

    Parameters
    ----------
    platform : "github", "gradescope" or "nbgrader"
        A workflow and autograding.json; setup.sh and run_autograder, to be zipped; or the
        instructor's notebook, with solutions, for nbgrader's source folder.
    which, out, lang
        As in `release`; what the platform shows is said in this language, too, if there is a
        catalogue for it. A teacher's own assignment goes along: to Gradescope the whole folder, to
        GitHub, where students see it, without the solutions.
    """
    assignment = find(which)
    name, files = assignment.source.name, []
    if platform == "github":
        called = ".github/assignment" if assignment.own else assignment.name
        if assignment.own:
            files = checks_for_students(assignment, out / called)
        tests = json.dumps(autograding(assignment, called, lang), indent=2) + "\n"
        content = {
            out / ".github" / "workflows" / "autograding.yml": _WORKFLOW.format(
                assignment=called, file=f"{name}{_option(lang)}"
            ),
            out / ".github" / "classroom" / "autograding.json": tests,
        }
    elif platform == "nbgrader":
        import nbformat

        made = out / "source" / assignment.name / f"{assignment.source.stem}.ipynb"
        content = {made: nbformat.writes(cells.notebook(assignment, lang))}
    else:
        called = "/autograder/source/assignment" if assignment.own else assignment.name
        if assignment.own:
            files = _copied(assignment, out / "gradescope" / "assignment")
        run = _RUN.format(assignment=called, seed=secrets.randbits(128), lang=_option(lang))
        content = {
            out / "gradescope" / "setup.sh": _SETUP,
            out / "gradescope" / "run_autograder": run,
        }
    for path, text in content.items():
        write(path, text)
        if text.startswith("#!"):
            path.chmod(0o755)
    return [*content, *files]


def _copied(assignment: Assignment, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    parts = [assignment.source, assignment.checks]
    return [Path(shutil.copyfile(part, folder / part.name)) for part in parts]
