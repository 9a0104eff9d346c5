"""The whole grade of a class: hand points, late days, decisions, changes, files that are alike."""

import json
from datetime import datetime

import pytest

pytest.importorskip("jupytext")

from minidlrm.grading import (
    assignment,
    classroom,
    derivations,
    exports,
    likeness,
    marking,
    release,
    reports,
    runner,
    tables,
)
from minidlrm.grading.marking import Late

A6 = assignment.find("A6")


def a_grade(student="ann", points=12.0, **options):
    """All of A6's machine points are 12, and those of a human 8."""
    rows = [
        {"task": "A6.2", "title": "t", "points": points, "max_points": 12.0, "feedback": "f"},
    ]
    return runner.Grade(student, [{**row, "mistake": "", "note": ""} for row in rows], **options)


def a_total(hand=None, decided=(), handed_in=None, late=Late(), **options):  # noqa: B008
    known = {} if hand is None else {("ann", "A6.1"): (hand, "")}
    return marking.total(A6, a_grade(**options), known, list(decided), handed_in, late)


# By hand


def test_points_of_a_human_are_added_and_missing_ones_are_said():
    assert (a_total(hand=5.5).points, a_total(hand=5.5).not_marked) == (17.5, [])
    assert (a_total().points, a_total().not_marked) == (12, ["A6.1"])


def test_a_table_that_a_human_fills_in_is_kept_over_runs(tmp_path):
    path = tmp_path / "hand.csv"
    marking.write_hand(A6, path, ["ann", "=bob"], {})
    text = path.read_text(encoding="utf-8-sig").replace(
        "=bob,A6.1,,8.0,", "=bob,A6.1,7.5,8.0,'=well"
    )
    path.write_text(text, encoding="utf-8")
    known = marking.hand_points(A6, path)
    assert known == {("ann", "A6.1"): (None, ""), ("=bob", "A6.1"): (7.5, "=well")}
    marking.write_hand(A6, path, ["ann", "=bob", "new"], known)
    assert marking.hand_points(A6, path) == {**known, ("new", "A6.1"): (None, "")}


def test_a_table_of_another_locale_is_read(tmp_path):
    path = tmp_path / "hand.csv"
    path.write_text("\ufeffstudent;task;points;max_points;comment\nann;A6.1;3,5;8;\n", "utf-8")
    assert marking.hand_points(A6, path) == {("ann", "A6.1"): (3.5, "")}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ann,A6.1,9", "line 2: points are '9'; they must be a number from 0 to 8"),
        ("ann,A6.1,-1", "from 0 to 8"),
        ("ann,A6.1,nan", "from 0 to 8"),
        ("ann,A6.2,1", "no human reads 'A6.2'; it must be A6.1"),
        ("ann,A6.1,1\nann,A6.1,2", "line 3: 'ann' has a second line"),
    ],
)
def test_a_bad_line_of_hand_points_is_words(line, words, tmp_path):
    path = tmp_path / "hand.csv"
    path.write_text(f"student,task,points\n{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        marking.hand_points(A6, path)


def test_the_page_of_derivations_shows_what_was_written_and_no_more(tmp_path):
    blank = release.strip(A6.text())
    file = tmp_path / "a.py"
    done = blank.replace(
        "# *A6.1: write your", "# With $g < h$\n#\n# <script>\n# *A6.1: write your"
    )
    file.write_text(done, encoding="utf-8")
    text = derivations.derivation(file, "A6.1", blank)
    assert text == "With $g < h$\n\n<script>"
    notebook = tmp_path / "a.ipynb"
    notebook.write_text(release.as_notebook(done), encoding="utf-8")
    assert derivations.derivation(notebook, "A6.1", blank) == text
    file.write_text(blank, encoding="utf-8")
    assert derivations.derivation(file, "A6.1", blank) == ""
    page = derivations.derivations_page(
        A6, {"<ann>": {"A6.1": text}}, {("<ann>", "A6.1"): (7, '"good"')}
    )
    assert "&lt;script&gt;" in page
    assert 'data-student="&lt;ann&gt;"' in page
    assert 'value="7"' in page
    assert "&quot;good&quot;" in page


def test_a_derivation_is_shown_as_it_was_written_though_a_message_reads_alike():
    page = derivations.derivations_page(A6, {"ann": {"A6.1": "dy was transposed"}}, {}, "ko")
    assert "<pre>dy was transposed</pre>" in page


# Late days, and what a teacher decides

DEADLINE = datetime(2026, 11, 30, 23, 59)


@pytest.mark.parametrize(
    ("when", "days"),
    [
        (datetime(2026, 11, 30, 23, 59), 0),
        (datetime(2026, 12, 1, 0, 0), 1),
        (datetime(2026, 12, 1, 23, 59), 1),
        (datetime(2026, 12, 3, 0, 0), 3),
        (None, 0),
    ],
)
def test_a_late_day_counts_from_its_first_minute(when, days):
    total = a_total(hand=8, handed_in=when, late=Late(DEADLINE, 2, 1))
    assert total.late_days == days
    assert total.points == 20 - 2 * max(0, days - 1)


def test_late_days_cost_no_more_than_there_is():
    total = a_total(points=1.0, handed_in=datetime(2027, 1, 1), late=Late(DEADLINE, 2))
    assert total.points == 0


def test_times_are_read_from_a_table(tmp_path):
    path = tmp_path / "times.csv"
    path.write_text("student,time\nann,2026-12-01 10:00\n", encoding="utf-8")
    assert marking.times(path) == {"ann": datetime(2026, 12, 1, 10)}
    path.write_text("student,time\nann,yesterday\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 2: the time is 'yesterday'"):
        marking.times(path)


def test_what_a_teacher_decides_replaces_points_and_needs_a_reason(tmp_path):
    path = tmp_path / "overrides.csv"
    assert marking.overrides(A6, path) == {}
    assert path.exists()
    path.write_text("student,task,points,reason\nann,A6.2,2,oral\nann,total,19,ill\n", "utf-8")
    decided = marking.overrides(A6, path)["ann"]
    assert decided == [("A6.2", 2, "oral"), ("total", 19, "ill")]
    assert a_total(hand=8, decided=decided[:1]).points == 10
    assert a_total(decided=decided).points == 19
    assert "ill" in reports.student_page(A6, a_total(decided=decided))
    path.write_text("student,task,points,reason\nann,A6.2,2,\n", "utf-8")
    with pytest.raises(ValueError, match="the reason is missing"):
        marking.overrides(A6, path)


# Platforms


def test_a_grade_that_is_not_whole_is_not_exported(tmp_path):
    exports.canvas(A6, [a_total()], tmp_path / "canvas.csv")
    exports.moodle(A6, [a_total()], tmp_path / "moodle.csv")
    assert tables.read(tmp_path / "moodle.csv", ["Grade"])[0]["Grade"] == ""
    assert tables.read(tmp_path / "canvas.csv", ["Student"])[1][f"A6 {A6.title}"] == ""


def test_moodles_worksheet_comes_back_with_grades(tmp_path):
    sheet, out = tmp_path / "sheet.csv", tmp_path / "moodle.csv"
    sheet.write_text(
        "Identifier,Full name,Email address,Status,Grade,Maximum grade,Feedback comments\n"
        "Participant 7,Ann Lee,ANN,,,20.00,\nParticipant 8,Bob Kim,bob,,,20.00,\n",
        encoding="utf-8",
    )
    assert exports.moodle(A6, [a_total(hand=8)], out, sheet) == []
    ann, bob = tables.read(out, ["Identifier"])
    assert (ann["Full name"], ann["Grade"], bob["Grade"]) == ("Ann Lee", "20.0", "")


# What a teacher should look at


def test_equal_and_nearly_equal_files_are_remarked_and_short_ones_are_not():
    pytest.importorskip("rapidfuzz")
    first = [f"name{k % 17}" if k % 3 else "=" for k in range(200)]
    renamed = [token.replace("name", "other") for token in first]
    near = [*first[:195], *["a", "+", "b", "-", "c"]]
    far = [f"x{k}" if k % 2 else "+" for k in range(200)]
    found = likeness.alike({"a": first, "b": renamed, "c": near, "d": far, "e": list(first)})
    pairs = {frozenset(pair[:2]): pair[2] for pair in found}
    assert "but for its names" in pairs[frozenset("ab")]
    assert "the same tokens as" in pairs[frozenset("ae")]
    assert "%" in pairs[frozenset("ac")]
    assert not any("d" in pair for pair in pairs)
    assert likeness.alike({"a": first[:50], "b": first[:50]}) == []


def test_comments_layout_and_the_released_text_do_not_count(tmp_path):
    blank = release.strip(A6.text())
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    body = 'raise NotImplementedError("A6.2: return y (B, d)")'
    one.write_text(blank.replace(body, "return x0 * x  # mine"), encoding="utf-8")
    two.write_text(blank.replace(body, "\n    return  x0*x"), encoding="utf-8")
    assert likeness.tokens_of(one, blank) == likeness.tokens_of(two, blank)
    assert likeness.tokens_of(one, blank) == ["return", "x0", "*", "x"]


def test_mistakes_link_to_their_students_and_blanks_are_none():
    row = {"task": "A6.2", "title": "t", "points": 0.0, "max_points": 12.0, "feedback": "f"}
    totals = [
        marking.total(A6, runner.Grade(s, [{**row, "mistake": m}]), {}, [], None, Late())
        for s, m in (("ann", "a sign"), ("bob", "a sign"), ("eve", "not written"))
    ]
    page = reports.class_page(A6, totals)
    assert '2: <a href="ann.html">ann</a>, <a href="bob.html">bob</a>' in page
    assert "not written" not in page


# Runs


@pytest.fixture
def three(tmp_path):
    """A class with one right answer to A6, a slip in the first function, and two slips."""
    folder = tmp_path / "class"
    folder.mkdir()
    right = A6.text()
    one = assignment.with_body(right, "cross_forward", "return x0 * (x @ W.T + b)")
    two = assignment.with_body(one, "my_parameters", "return 1")
    for name, text in (("right", right), ("one", one), ("two", two)):
        (folder / f"{name}.py").write_text(text.replace("your-id", name), encoding="utf-8")
    return folder


@pytest.mark.slow
def test_one_slip_costs_one_deduction_and_two_cost_two(three, tmp_path):
    run = classroom.grade_all(A6, three, tmp_path / "out", classroom.Settings(7))
    lost = {
        t.student: [task for task, (p, most) in t.grade.by_task().items() if p < most]
        for t in run.totals
    }
    assert lost == {"one": ["A6.2"], "right": [], "two": ["A6.2", "A6.5"]}
    one = next(t.grade for t in run.totals if t.student == "one")
    notes = [r["note"] for r in one.results if r["note"]]
    assert any("the mistake of A6.2 costs nothing more" in note for note in notes)
    assert run.changes == []

    # the same again, without a second look; and with one, after a check was mended
    kept = {path: path.read_text() for path in (tmp_path / "out" / "results").iterdir()}
    again = classroom.grade_all(A6, three, tmp_path / "out", classroom.Settings(7))
    assert again.totals == run.totals
    path = tmp_path / "out" / "results" / "right.json"
    old = json.loads(kept[path])
    old["results"][0]["points"] -= 1
    path.write_text(json.dumps({**old, "key": "of an older check"}))
    mended = classroom.grade_all(A6, three, tmp_path / "out", classroom.Settings(7))
    assert mended.changes == [("right", "A6.2", 1.0, 2.0)]
    assert "right,A6.2,1.0,2.0" in (tmp_path / "out" / "changes.csv").read_text("utf-8-sig")
    before = path.stat().st_mtime_ns
    settings = classroom.Settings(7, again=("right",))
    classroom.grade_all(A6, three, tmp_path / "out", settings)
    assert path.stat().st_mtime_ns > before
    with pytest.raises(ValueError, match="'nobody' has handed in nothing"):
        classroom.grade_all(A6, three, tmp_path / "out", classroom.Settings(7, again=("nobody",)))


@pytest.mark.slow
def test_a_backward_pass_of_ones_own_wrong_forward_is_right(tmp_path):
    """Without the straight path in both: the second is what follows from the first."""
    text = assignment.with_body(A6.text(), "cross_forward", "return x0 * (x @ W.T + b)")
    body = "g = dy * x0\n    return dy * (x @ W.T + b), g @ W, g.T @ x, g.sum(axis=0)"
    file = tmp_path / "a.py"
    file.write_text(assignment.with_body(text, "cross_backward", body), encoding="utf-8")
    by_task = runner.grade("A6", file, seed=3).by_task()
    assert by_task["A6.2"] == (0, 2)
    assert by_task["A6.3"] == (4, 4)
    # but nothing follows from a function that was left empty on purpose
    text = assignment.with_body(A6.text(), "cross_forward", "return 0 * x")
    body = "return 0 * x0, 0 * x, 0 * W, 0 * b"
    file.write_text(assignment.with_body(text, "cross_backward", body), encoding="utf-8")
    assert runner.grade("A6", file, seed=3).by_task()["A6.3"] == (0, 4)
