"""A teacher's own assignment, from `grade new` to the tables of every platform."""

import csv
import json
import os
import re

import pytest
from typer.testing import CliRunner

pytest.importorskip("jupytext")

from minidlrm.grading import assignment, making, proving, release
from minidlrm.grading.assignment import Limits, body_of, with_body
from minidlrm.grading.commands import app


def done(*arguments):
    """Run a command of the grader in this process; return what it prints."""
    result = CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "200"})
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def rows_of(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return {row[0]: row for row in csv.reader(file)}


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new), encoding="utf-8")


def edited_as_the_page_says(folder):
    """Another title, other points, and an answer that the checks do not name yet."""
    source, checks, wrong = (folder / f"{name}.py" for name in ("week3", "checks", "wrong"))
    edit(source, "week3 · One neuron", "week3 · A neuron that learns")
    edit(source, "on paper (4 points)", "on paper (3 points)")
    edit(source, "Forward (3 points)", "Forward (4 points)")
    edit(
        checks,
        '        ("the tanh is left out", x @ w),\n        ("the sig',
        '        ("the tanh is left out", x @ w),\n'
        '        ("tanh is applied twice", np.tanh(np.tanh(x @ w))),\n        ("the sig',
    )
    edit(
        wrong,
        '        ("return x @ w", 0, "the tanh is left out"),\n',
        '        ("return x @ w", 0, "the tanh is left out"),\n'
        '        ("return np.tanh(np.tanh(x @ w))", 0, "tanh is applied twice"),\n',
    )


@pytest.mark.slow
def test_an_assignment_is_made_edited_proved_released_graded_and_exported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done("new", "week3")
    folder = tmp_path / "week3"
    edited_as_the_page_says(folder)
    proofs = list(proving.prove(folder, every=50))
    assert [proof for proof in proofs if proof.fault] == []
    assert any(
        "tanh(np.tanh" in body
        for body, _, _ in proving.wrong_answers(folder)["week3.2", "neuron_forward"]
    )

    # released to students, and to every platform
    for platform in ("github", "gradescope", "nbgrader"):
        done("release", "week3", "out", "--for", platform)
    done("release", "week3", "out", "--checks", "out/check")
    blank = (tmp_path / "out" / "week3.py").read_text(encoding="utf-8")
    assert "np.tanh(x @ w) ** 2" not in blank
    assert "(4 points)" in blank
    shown = [*(tmp_path / "out" / "check").iterdir(), *(tmp_path / "out/.github").rglob("*.*")]
    for path in shown:
        assert "SOLUTION" not in path.read_text(encoding="utf-8"), path
    tests = json.loads((tmp_path / "out/.github/classroom/autograding.json").read_text())["tests"]
    assert sum(test["points"] for test in tests) == 17
    assert "/autograder/source/assignment" in (
        tmp_path / "out/gradescope/run_autograder"
    ).read_text(encoding="utf-8")

    # solved: one right, one with a slip in forward, one blank
    source = (folder / "week3.py").read_text(encoding="utf-8")
    solved = blank
    for function in re.findall(r"^def (\w+)\(", source, re.M):
        if function != "my_numbers":
            old = re.search(rf"def {function}\(.*?(    raise NotImpl[^\n]*\n)", solved, re.S)
            solved = (
                solved[: old.start(1)]
                + f"    {body_of(source, function)}\n"
                + (solved[old.end(1) :])
            )
    solved = re.sub(r"# \*week3.1: .*\*", "# With $g = dy (1 - y^2)$ all follows.", solved)
    students = tmp_path / "class"
    students.mkdir()
    slip = with_body(source, "neuron_forward", "return x @ w").replace("your-id", "ann")
    for name, text in (
        ("ann", solved.replace("your-id", "ann")),
        ("bob", slip),
        ("eve", blank.replace("your-id", "eve")),
    ):
        (students / f"{name}.py").write_text(text, encoding="utf-8")
    own = done("check", "out/check", "class/ann.py")
    assert "17.00 of 17" in own
    assert "fresh numbers" in done("check", "week3", "class/ann.py", "--again")

    # graded, read by a human, merged, exported
    first = done("run", "week3", "class")
    assert "3 derivations are to be read" in first
    assert "bob: its STUDENT is 'ann'" in first
    assert "eve: nothing is written yet" in first
    out = tmp_path / "grading"
    page = (out / "derivations.html").read_text(encoding="utf-8")
    assert "With $g = dy (1 - y^2)$ all follows." in page
    assert "nothing is written" in page
    text = (out / "hand.csv").read_text(encoding="utf-8-sig")
    for name, points in (("ann", 3), ("bob", 1.5), ("eve", 0)):
        text = text.replace(f"{name},week3.1,,", f"{name},week3.1,{points},")
    (out / "hand.csv").write_text(text, encoding="utf-8")
    (out / "overrides.csv").write_text(
        "student,task,points,reason\neve,week3.2,1,an oral answer\n", encoding="utf-8"
    )
    (tmp_path / "roster.csv").write_text(
        "Student,ID,SIS User ID,SIS Login ID,Section\nPoints Possible,,,,\n"
        '"Lee, Ann",7,u7,ann,S1\n"Kim, Bob",8,u8,bob,S1\n',
        encoding="utf-8",
    )
    last = done("run", "week3", "class", "--canvas", "canvas.csv", "--roster", "roster.csv")
    assert "eve: not in the roster" in last
    done("run", "week3", "class", "--moodle", "moodle.csv")
    grades = rows_of(tmp_path / "grades.csv")
    points = grades["student"].index("points")
    assert [float(grades[name][points]) for name in ("ann", "bob", "eve")] == [20, 13.5, 1]
    canvas = rows_of(tmp_path / "canvas.csv")
    assert canvas["Lee, Ann"] == ["Lee, Ann", "7", "u7", "ann", "S1", "20.0"]
    assert canvas["    Points Possible"][-1] == "20.0"
    moodle = rows_of(tmp_path / "moodle.csv")
    assert moodle["bob"][1:3] == ["13.5", "20.0"]
    assert "the tanh is left out" in moodle["bob"][3]
    student = (out / "bob.html").read_text(encoding="utf-8")
    assert "Your line" in student
    assert "an oral answer" in (out / "eve.html").read_text(encoding="utf-8")


def test_what_grade_new_makes_is_small_and_says_what_each_thing_is(tmp_path):
    written = making.new(tmp_path / "week3")
    assert [path.name for path in written] == ["week3.py", "checks.py", "wrong.py"]
    found = assignment.find(tmp_path / "week3")
    assert (found.name, found.title, found.most) == ("week3", "One neuron", 20)
    assert found.own
    assert found.limits == Limits(call=10, cell=20, total=300)
    assert [task.name for task in found.by_hand] == ["week3.1"]
    assert sum(row["max_points"] for row in assignment.criteria(found)) == 16
    assert proving.left_over(found) == ""
    with pytest.raises(FileExistsError, match="not an empty folder"):
        making.new(tmp_path / "week3")


@pytest.mark.parametrize("name", ["week 3", "3rd", "a-b", "A2", "과제"])
def test_a_name_that_tasks_cannot_have_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match="name"):
        making.new(tmp_path / name)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("# # mine · One neuron", "# One neuron", "no heading like"),
        ("# ## mine.2 Forward (3 points)", "# ## Forward", "has no heading above it"),
        ("# ## mine.3 Backward (6 points)", "# ## mine.2 Backward (6 points)", "two headings"),
        ("# ## mine.3 Backward (6 points)", "# ## A.3 Backward (6 points)", "no heading above"),
        ("# ## mine.2 F", "# ## mine.9 Nothing (1 point)\n# ## mine.2 F", "has no solution"),
    ],
)
def test_a_source_that_does_not_say_what_it_must_is_refused_in_words(old, new, words, tmp_path):
    making.new(tmp_path / "mine")
    edit(tmp_path / "mine" / "mine.py", old, new)
    with pytest.raises(ValueError, match=words):
        assignment.find(tmp_path / "mine")


def test_a_folder_that_is_no_assignment_is_refused_in_words(tmp_path):
    with pytest.raises(ValueError, match="must hold checks.py and one source"):
        assignment.find(tmp_path)
    with pytest.raises(ValueError, match=r"choose from A1, .*grade new"):
        assignment.find("A99")


@pytest.mark.slow
def test_the_proof_names_what_is_wrong_with_an_assignment(tmp_path):
    making.new(tmp_path / "mine")
    wrong = tmp_path / "mine" / "wrong.py"
    wrong.write_text(
        'WRONG = {("mine.2", "neuron_forward"): [("return np.tanh(x @ w)", 0, "x")]}', "utf-8"
    )
    found = assignment.find(tmp_path / "mine")
    assert "mine.3 has no wrong answer" in proving._gaps(found)
    task = ("mine.2", "neuron_forward")
    assert proving.fault_of(found, *task, "return np.tanh(x @ w)", 0, "x") == "it loses no points"
    assert proving.fault_of(found, *task, "return x @ w", 0, "left out") == ""
    assert "0 points are left, not 1" in proving.fault_of(found, *task, "return x @ w", 1, "left")
    assert "does not say 'zebra'" in proving.fault_of(found, *task, "return x @ w", 0, "zebra")


def test_checks_that_read_the_solutions_are_not_given_to_students(tmp_path):
    with pytest.raises(ValueError, match="students must not get"):
        release.checks_for_students("A3", tmp_path / "check")
    assert not (tmp_path / "check").exists()


def test_points_of_a_task_are_shared_by_the_weights_of_its_criteria(tmp_path):
    making.new(tmp_path / "mine")
    edit(tmp_path / "mine" / "mine.py", "Backward (6 points)", "Backward (9 points)")
    edit(
        tmp_path / "mine" / "checks.py",
        '@task("mine.3", title="dx")',
        '@task("mine.3", weight=2, title="dx")',
    )
    points = {r["title"]: r["max_points"] for r in assignment.criteria(tmp_path / "mine")}
    assert (points["dx"], points["dw"]) == (6, 3)
    checks = tmp_path / "mine" / "checks.py"
    second = checks.stat().st_mtime_ns // 10**9 * 10**9
    os.utime(checks, ns=(second, second))
    assignment.criteria(tmp_path / "mine")
    edit(checks, '@task("mine.2"', '@task("mine.7"')
    os.utime(checks, ns=(second + 1, second + 1))  # another file of the same second and size
    with pytest.raises(ValueError, match=r"asks for mine\.7"):
        assignment.criteria(tmp_path / "mine")


def test_limits_are_read_from_the_source():
    text = "# **Limits**: 5 s a call, 2 s a cell, 60 s in all, 2 GB, 8 MB a file, 30 s for fit."
    assert Limits.read(text) == Limits(5, 2, 60, 2 << 30, 8 << 20, {"fit": 30})
    assert Limits.read("") == Limits()
