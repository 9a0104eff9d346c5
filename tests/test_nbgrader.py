"""The export to nbgrader, graded by nbgrader itself, where it is installed."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("jupytext")

from minidlrm.grading import adapters, assignment, cells

BIN = Path(sys.executable).parent


@pytest.mark.slow
def test_check_cells_score_in_the_kernel(capsys):
    namespace = {"__name__": "notebook"}
    exec(assignment.find("A1").text(), namespace)
    assert cells.score("A1", "A1.2", namespace) == 3
    namespace["linear_backward"] = lambda dy, x, W, b: (dy @ W, dy.T @ x / len(x), dy.sum(axis=0))
    assert cells.score("A1", "A1.2", namespace) == 2
    out, err = capsys.readouterr()
    assert "batch" in out
    assert err == ""


@pytest.mark.parametrize("name", assignment.names())
def test_the_notebook_has_a_check_for_every_coded_task(name):
    pytest.importorskip("nbformat")
    made = cells.notebook(name)
    marks = [cell.metadata.get("nbgrader", {}) for cell in made.cells]
    points = {mark["grade_id"]: mark["points"] for mark in marks if mark.get("grade")}
    assert sum(points.values()) == 20
    checks = [cell.source for cell in made.cells if "score(" in cell.source]
    assert len(checks) == sum(name.endswith("-check") for name in points)


@pytest.fixture
def course(tmp_path):
    """A course of nbgrader with A1 released, and three submissions."""
    if not (BIN / "nbgrader").exists():
        pytest.skip("nbgrader is not installed: pip install -e '.[teach]'")
    course = tmp_path / "course"
    course.mkdir()
    (course / "nbgrader_config.py").write_text(
        "c = get_config()\nc.CourseDirectory.course_id = 'x'\nc.ExecutePreprocessor.timeout = 120\n"
    )
    adapters.files_of("nbgrader", "A1", course)
    run(course, "generate_assignment", "A1")
    solved = json.loads((course / "source" / "A1" / "a1_gradients.ipynb").read_text())
    blank = (course / "release" / "A1" / "a1_gradients.ipynb").read_text()
    assert "### BEGIN SOLUTION" not in blank
    assert "dy.T @ x" not in blank
    wrong = json.dumps(solved).replace("dy.T @ x,", "dy.T @ x / len(x),")
    for student, text in (("ann", json.dumps(solved)), ("bob", blank), ("eve", wrong)):
        folder = course / "submitted" / student / "A1"
        folder.mkdir(parents=True)
        (folder / "a1_gradients.ipynb").write_text(text)
    return course


def run(course, *arguments):
    command = [str(BIN / "nbgrader"), *arguments]
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}  # its alembic
    result = subprocess.run(
        command, cwd=course, capture_output=True, text=True, timeout=300, env=environment
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result


@pytest.mark.slow
def test_nbgrader_grades_what_was_exported(course):
    for student in ("ann", "bob", "eve"):
        run(course, "autograde", "A1", "--create", "--student", student)
    database = sqlite3.connect(course / "gradebook.db")
    scores = dict(
        database.execute(
            "select s.student_id, sum(g.auto_score) from grade g join submitted_notebook n on "
            "g.notebook_id = n.id join submitted_assignment s on n.assignment_id = s.id "
            "group by s.student_id"
        )
    )
    assert scores["ann"] == 16
    assert scores["bob"] in (0, None)
    assert scores["eve"] == 15  # partial credit: one of three criteria of A1.2
    graded = (course / "autograded" / "eve" / "A1" / "a1_gradients.ipynb").read_text()
    assert re.search("batch", graded)
    shutil.rmtree(course)
