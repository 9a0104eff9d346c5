"""Messages in other languages: the catalogues are current and whole, and nothing passes them by."""

import ast
import copy
import gettext
import pickle
import re
import string
from pathlib import Path

import numpy as np
import pytest
from conftest import untranslated
from korean_words import other_words

import minidlrm as md
from minidlrm import languages
from minidlrm.languages import Message, say

ROOT = Path(__file__).parent.parent
PO = sorted(languages.FOLDER.glob("*/LC_MESSAGES/minidlrm.po"))
# said alike in both: nothing to translate
SAME = {"movielens:FOLDER.", "{form} ({rows})", "{model}: {rows}", "{name} ({size})"}


def of_language(path):
    return path.parents[1].name


def test_the_language_is_that_of_the_variable_then_of_the_locale(monkeypatch):
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "MINIDLRM_LANG"):
        monkeypatch.delenv(name, raising=False)
    assert say("the matrix is transposed") == "the matrix is transposed"
    monkeypatch.setenv("LANG", "ko_KR.UTF-8")
    assert say("the matrix is transposed") == "행렬이 전치되었습니다"
    monkeypatch.setenv("MINIDLRM_LANG", "en")
    assert say("the matrix is transposed") == "the matrix is transposed"
    monkeypatch.setenv("MINIDLRM_LANG", "xx")  # no catalogue: English
    assert say("the matrix is transposed") == "the matrix is transposed"


@pytest.mark.parametrize(
    ("written", "code"),
    [("ko-KR", "ko"), ("KO", "ko"), ("ko@x", "ko"), ("C.UTF-8", "en"), ("ko/../ko", "en")],
)
def test_a_language_is_said_and_named_alike(monkeypatch, written, code):
    """The head of a page names the language that its words are in."""
    monkeypatch.setenv("MINIDLRM_LANG", written)
    assert languages.code_of() == code
    assert say("every array passed") == say("every array passed", code)


def test_a_language_that_is_asked_for_and_not_there_is_refused():
    with pytest.raises(ValueError, match="lang is 'xx': it must be one of en, ko"):
        say("the matrix is transposed", "xx")


def test_a_message_is_english_and_remembers_its_parts():
    inner = Message("every array passed")
    message = Message("note: {text}", text=inner)
    assert message == "note: every array passed"
    for same in (message, copy.deepcopy(message), pickle.loads(pickle.dumps(message))):
        assert say(same, "ko") == "참고: 모든 배열이 통과했습니다"
    assert say("", "ko") == ""


def test_the_template_has_all_messages_of_the_package(messages, template):
    """If not: python .ci/messages.py."""
    written = messages.read(languages.FOLDER / "minidlrm.pot", locale=None)
    assert {m.id for m in written} == {m.id for m in template}


@pytest.mark.parametrize("path", PO, ids=of_language)
def test_the_compiled_catalogue_is_that_of_the_text(path, messages):
    """If not: python .ci/messages.py."""
    with path.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for message in messages.read(path, of_language(path)):
        if message.id:
            assert compiled.gettext(message.id) == message.string


def test_no_message_passes_the_catalogue_by():
    """A pattern is written where it is used: a computed one is never found, nor translated."""
    found = 0
    for path in sorted((ROOT / "minidlrm").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Message":
                found += 1
                assert isinstance(node.args[0], ast.Constant), f"{path.name}, line {node.lineno}"
    assert found > 30


def fields_of(text):
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name is not None)


@pytest.mark.parametrize("path", PO, ids=of_language)
def test_every_message_is_translated_with_its_values(path, messages, template):
    wanted = {message.id for message in template if message.id}
    found = {
        message.id: message.string
        for message in messages.read(path, of_language(path))
        if message.id
    }
    assert found.keys() == wanted
    missing = [text for text, said in found.items() if not said or (said == text) != (text in SAME)]
    assert missing == []
    for text, said in found.items():
        if re.search(r"\{\w+(:[^{}]+)?\}", text):
            assert fields_of(said) == fields_of(text), text


@pytest.mark.parametrize("path", PO, ids=of_language)
def test_words_are_the_glossarys(path, messages):
    ours = "정규화 엔트로피|인수분해 기계"  # in which another word is found
    said = [
        re.sub(ours, "", message.string)
        for message in messages.read(path, of_language(path))
        if message.id
    ]
    used = [(word, text) for word in other_words() for text in said if word in text]
    assert used == []


def wrong_report():
    x, W = np.ones((4, 3)), np.arange(9.0).reshape(3, 3)
    pair = (lambda x, W: (x @ W.T, (x, W)), lambda dy, c: (dy @ c[1].T, dy.T @ c[0] / len(c[0])))
    return md.gradcheck(pair, x, W, verbose=False)


def test_a_report_is_said_in_korean_and_stays_english():
    report = wrong_report()
    text = report.to_text("ko")
    assert "배열 2개 가운데 2개 FAILED (상대 오차 1e-05 이하)" in text
    assert "가장 그럴듯한 원인" in text
    assert str(report) == report.to_text("en") != text
    assert "likeliest cause" in str(report)


def test_the_report_of_an_optimizer_is_said_in_korean():
    class Twice(md.SGD):
        def update(self, parameter, grad):
            super().update(parameter, 2 * grad)

    report = md.checking.optimcheck(Twice(0.1), like=md.SGD(0.1), verbose=False)
    assert not report.passed
    assert report.to_text("ko").splitlines()[0].split()[:3] == ["매개변수", "모양", "스텝"]


def test_columns_are_below_their_titles_in_korean():
    lines = wrong_report().to_text("ko").splitlines()
    width = md.printing.width_of
    place = width(lines[0][: lines[0].index("수치")])
    for line in lines[1:3]:
        assert width(line[: re.search(r"[+-]?\S+\s+FAILED", line).start()]) == place


def sine(x):
    return np.sin(x)


def test_nothing_of_a_report_passes_the_catalogue_by(pseudo):
    """But names of arrays, numbers, and the two verdicts of a row."""
    x = np.arange(1.0, 5.0)
    for pair in (
        (sine, lambda dy: dy * np.cos(x)),
        (sine, lambda dy: np.cos(x)),
        (sine, lambda dy: (dy * np.cos(x))[:2]),
        (lambda x: np.mean(x**2), lambda dy: 2 * dy * x),
        (lambda x: x**2, lambda dy: -2 * dy * x),
    ):
        text = md.gradcheck(pair, x, verbose=False).to_text(pseudo)
        assert untranslated(text) <= {"sine", "lambda", "ok", "FAILED", "dy"}, text
