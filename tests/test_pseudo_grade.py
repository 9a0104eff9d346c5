"""Nothing that the grader and the notebooks' checks say passes the catalogue by."""

import ast
import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import untranslated
from test_notebook_checks import check_of
from typer.testing import CliRunner

pytest.importorskip("jupytext")

from minidlrm import languages
from minidlrm.grading import assignment, commands, marking, reports, runner
from minidlrm.grading.judge import Wrong, catches
from minidlrm.grading.known import compare
from minidlrm.grading.words import cleaned, error_of, of_messages, with_messages
from minidlrm.languages import Message, code_of, joined, say, words_of

ROOT = Path(__file__).parent.parent
A2 = assignment.find("A2")
# names, the student's own code, and words of Python
NAMES = {"dW", "dalpha", "dy", "alpha", "return", "ZeroDivisionError", "division", "by", "zero"}
NAMES |= {"mina"}


def left_in(text):
    """Return the words of a text that were not translated, but names and tasks."""
    words = untranslated(re.sub(r"\w*_\w*", " ", re.sub(r"\b[A-Z]\d+\.\d+\b", " ", text)))
    words = {word.rstrip("x") for word in words}  # the language has an x after each value
    return {word for word in words if len(word) > 1} - NAMES


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A file with right, wrong, raising and blank answers, and its grade."""
    text = A2.text().replace('STUDENT = "your-id"', 'STUDENT = "mina"')
    text = text.replace("from numba import njit", "njit = abs").replace("@njit\n", "")  # slow
    blank = 'raise NotImplementedError("")'
    for name, body in (
        ("bag_backward", "return -dy @ W.T @ W, alpha"),
        ("my_share", "return 1 / 0"),
        ("is_scatter_add", blank),
    ):
        text = assignment.with_body(text, name, body)
    path = tmp_path_factory.mktemp("pseudo") / "a2.py"
    path.write_text(text, encoding="utf-8")
    return path, runner.grade(A2, path)


def checked(monkeypatch, graded, *options):
    """Run `minidlrm grade check` on what is graded already."""
    path, grade = graded
    monkeypatch.setattr(runner, "grade", lambda *_: grade)
    return CliRunner().invoke(commands.app, ["check", "A2", str(path), *options])


def test_every_line_of_grade_check_is_translated(monkeypatch, graded, pseudo):
    text = checked(monkeypatch, graded, "--lang", pseudo).output
    assert "ZeroDivisionError" in text
    assert left_in(text) == set()


def test_grade_check_is_korean_and_its_english_stays(monkeypatch, graded):
    monkeypatch.setenv("MINIDLRM_LANG", "ko")
    korean, english = (
        checked(monkeypatch, graded, *each).output for each in ((), ("--lang", "en"))
    )
    assert "A2.2  길이가 다른 백" in korean
    assert "아직 쓰지 않았습니다" in korean
    assert "1.00 of 1  A2.2  bags of different lengths" in english
    assert "ZeroDivisionError: division by zero (line" in english
    refused = checked(monkeypatch, graded, "--lang", "xx")
    assert "lang is 'xx': it must be one of en, ko" in str(refused.exception)


def test_every_word_of_the_pages_is_translated(monkeypatch, graded, pseudo):
    grade = graded[1]
    total = marking.total(A2, grade, {}, [("A2.2", 1.0, "...")], None, marking.Late())
    monkeypatch.setattr(reports, "_STYLE", "")
    for page in (reports.student_page(A2, total, pseudo), reports.class_page(A2, [total], pseudo)):
        assert f'<html lang="{code_of(pseudo)}">' in page
        shown = re.sub(r"<[^>]+>", " ", page)
        for title in A2.titles("en").values():  # the source has them in each language
            shown = shown.replace(title, " ")
        assert left_in(shown) == set()


def test_a_page_has_the_titles_of_the_korean_source(graded):
    total = marking.total(A2, graded[1], {}, [], None, marking.Late())
    page = reports.student_page(A2, total, "ko")
    assert "<h1>A2 · 임베딩</h1>" in page
    assert "기울기, 종이에" in page


def test_results_are_english_and_remember_what_they_were_made_of(graded):
    grade = graded[1]
    text = json.dumps(with_messages({"results": grade.results}), ensure_ascii=False)
    assert "길이" not in text
    back = of_messages(json.loads(text))["results"]
    assert back == grade.results
    assert [say(r["feedback"], "ko") for r in back] == [
        say(r["feedback"], "ko") for r in grade.results
    ]


def test_a_file_that_is_missing_is_said_in_korean():
    error = CliRunner().invoke(commands.app, ["check", "A2", "none.py"]).exception
    assert say(words_of(error), "ko") == "none.py 파일이 없습니다"


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"messages": []},
        {"messages": {"mina": {}}},
        {"messages": {"mina": {"pattern": "{name}", "values": []}}},
        {"messages": {"mina": {"pattern": "{name}", "values": {"other": 1}}}},
        {"messages": {"mina": {"pattern": "{", "values": {"name": 1}}}},
    ],
)
def test_a_damaged_file_of_results_is_as_none(content, tmp_path):
    """It is graded anew: no other submission waits for it."""
    whole = content if isinstance(content, list) else {"student": "mina", "results": [], **content}
    (tmp_path / "mina.json").write_text(json.dumps(whole), encoding="utf-8")
    assert runner.kept_grade(tmp_path, "mina") is None


def test_what_a_submission_says_is_never_a_pattern():
    words = "ValueError: {0.__class__} {name} (cell 2, line 3)"
    said = error_of(words, {})
    assert said == words
    assert say(said, "ko") == "ValueError: {0.__class__} {name} (셀 2, 3번째 줄)"
    message = Message("{file} does not exist", file="\x1b[31m{x}")
    assert say(cleaned(message), "ko") == "[31m{x} 파일이 없습니다"
    kept = of_messages(json.loads(json.dumps(with_messages({"notes": [said, joined(["a"], " ")]}))))
    assert [say(each, "ko") for each in kept["notes"]] == [say(said, "ko"), "a"]


@pytest.mark.parametrize(
    "answer", [None, "x", 1j, [1.0], np.nan, 0.5, -1.0, 2.0, 0.0, np.full((2, 2), 3.0)]
)
def test_every_word_of_a_comparison_is_translated(answer, pseudo):
    right = np.array([[1.0, 2.0], [3.0, 4.0]]) if np.shape(answer) == (2, 2) else 1.0
    for tell in (True, False):
        with pytest.raises(Wrong) as caught:
            compare("y", answer, right, [("the share", 0.5)], tell=tell)
        for words in (caught.value.args[0], caught.value.mistake):
            assert left_in(say(words, pseudo)) <= {"nan"}


def test_every_word_about_a_students_test_is_translated(pseudo):
    rng, earned = np.random.default_rng(0), []
    for verdict in (lambda f: None, lambda f: "yes", lambda f: False, lambda f: True, abs):
        wrong = [("the table", 1), ("the share", 0)]
        with pytest.raises(Wrong) as caught:
            catches(verdict, [2], wrong, rng, earned.append)
        assert left_in(say(caught.value.args[0], pseudo)) <= {"None", "return", "True", "False"}
    assert earned == [0.5]


def test_no_text_of_an_assignments_checks_passes_the_catalogue_by(messages):
    """What is put together is a `Message`: an f-string with words is never found."""
    known = {m.id for m in messages.read(languages.FOLDER / "minidlrm.pot", locale=None)}
    for path in sorted(ROOT.glob("notebooks/assignments/a?/checks.py")):
        texts = messages.texts_of(path)
        assert len(texts) > 20
        assert set(texts) <= known
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                fixed = "".join(p.value for p in node.values if isinstance(p, ast.Constant))
                assert " " not in fixed.strip(), f"{path}, line {node.lineno}"
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Message":
                assert isinstance(node.args[0], ast.Constant), f"{path}, line {node.lineno}"


def test_every_word_of_a_notebooks_check_is_translated(monkeypatch, capsys, pseudo):
    monkeypatch.setenv("MINIDLRM_LANG", pseudo)
    check = check_of("01", "check_coalesce")
    for answer in (lambda rows, terms: (rows, terms), lambda rows, terms: None):
        check(answer)
    check = check_of("02", "check_probability")
    for answer in (
        lambda s: np.exp(s) / (1 + np.exp(s)),
        lambda s: s,
        lambda s: 0.5 + np.tanh(s / 2) / 2,
    ):
        check(answer)
    assert left_in(capsys.readouterr().out) <= {"np", "exp", "rows", "sums", "SparseGrad"}


@pytest.mark.parametrize("path", sorted(ROOT.glob("notebooks/[0-9]*.py")), ids=lambda p: p.stem)
def test_no_check_of_a_notebook_prints_past_the_catalogue(path):
    """A check tells; it prints what has no words, or what was said already."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not (isinstance(node, ast.FunctionDef) and node.name.startswith("check_")):
            continue
        for call in ast.walk(node):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "print":
                for text in call.args:
                    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
                    fixed = [p.value for p in parts if isinstance(p, ast.Constant)]
                    assert not re.search("[A-Za-z]{2}", " ".join(map(str, fixed))), call.lineno


def test_a_notebooks_check_is_korean(monkeypatch, capsys):
    monkeypatch.setenv("MINIDLRM_LANG", "ko")
    check_of("02", "check_probability")(lambda s: s)
    assert "아직 아닙니다: p[0]: 여러분의 값 -1000., 옳은 값 0." in capsys.readouterr().out
