"""What the checker and the tracer print, in a language of x: no English word passes it by."""

import ast
import re
from pathlib import Path

import blind_optimizers
import blind_pairs_1  # noqa: F401  they enter their pairs
import blind_pairs_2  # noqa: F401
import blind_pairs_3  # noqa: F401
import blind_pairs_4  # noqa: F401
import more_wrong_pairs  # noqa: F401
import numpy as np
import pytest
from conftest import untranslated
from wrong_pairs import PAIRS

import minidlrm as md
from minidlrm.checking.bugs import CORPUS, OPTIMIZERS
from minidlrm.checking.words import in_words
from minidlrm.languages import Message, say

CHECKING = Path(md.checking.__file__).parent
VERDICTS = {"ok", "FAILED"}
# functions and arrays in formulas, dtypes, and what a message takes over from Python
CODE = """
    dy dys dW dx dz db np sum outer sigmoid tanh artanh softmax sinh exp log cos sin sign root max
    arange labels cache self None nan inf backward forward float int SparseGrad lr beta eps mu sqrt
    weight_decay momentum Adam AMSGrad Adamax Adagrad RMSprop SGD Nesterov lambda
    ids users items label list
    """


def words(text):
    return set(re.findall(r"[A-Za-z]+", text))


def left_in(report, lang, names=""):
    """Return the words of a report that were not translated, and are no names and no code."""
    shown = [report.target, *(check.name for check in report.arrays)]
    shown += [name for name, *_ in report.unchecked]
    text = re.sub(r"self\.\w+", " ", report.to_text(lang))  # what the object keeps
    return left_of(text, CODE, "ok FAILED", names, *shown)


def left_of(text, *known):
    """Return the words of a text in the language of x, but those that are known."""
    left = words(" ".join(untranslated(text))) - set().union(*map(words, known))
    return {word for word in left if len(word) > 1}


# What is written in the code


def texts_of(tree):
    """Yield (line, text) of each text that is no message: not docstrings, not exceptions."""
    passed = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Raise, ast.Assert)):
            passed |= set(ast.walk(node))
        elif isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            passed |= {node.body[0].value} if ast.get_docstring(node) else set()
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Message", "say"):
            passed.add(node.args[0])
    for node in ast.walk(tree):
        if node in passed:
            continue
        if isinstance(node, ast.JoinedStr):
            passed |= {part for part in node.values if isinstance(part, ast.Constant)}
            values = (getattr(part, "value", "") for part in node.values)
            yield node.lineno, "".join(v if isinstance(v, str) else "0" for v in values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def plain(message):
    """Return what of a formula is left as it is, without the words that are translated."""
    if not isinstance(message, Message):
        return message
    if not message.pattern.startswith("{part0}"):
        return " "
    return "".join(map(plain, message.values.values()))


# programs and formulas by form: these hold words and are no sentences
FORMS = re.compile(
    r"""[<>]|->|\#|\^|\(\?|xlink|xmlns|^role=|^\w+,\w+->|class=|data-|aria-   # HTML, patterns
    | ^(other|right\ at\ other|chains|forms)\b                                 # keys of `once`
    """,
    re.X,
)
# compared, cut up, or a name: never printed
UNSEEN = {" is on one side", " is (above|below|between) .*", "0 times", "0 weights"}
UNSEEN |= {" along axis", "added to the rows"}


def test_no_sentence_of_the_checker_is_written_past_the_catalogue():
    """Each text in its code is a message, a formula with known words, or not a sentence."""
    elsewhere = {"answers", "arguments", "cases", "student"}  # exceptions, names of cases
    elsewhere |= {"catalogue", "optimizer_catalogue"}  # all of their texts are messages
    found, seen = [], 0
    for path in sorted(CHECKING.glob("*.py")):
        if path.stem in elsewhere:
            continue
        for line, text in texts_of(ast.parse(path.read_text(encoding="utf-8"))):
            seen += 1
            left = plain(in_words(f" {text}"))
            known = text in UNSEEN or FORMS.search(text)
            if not known and left_of(left, CODE) and re.search(r"[a-z] +[a-z(]", left):
                found.append((path.name, line, text))
    assert found == []
    assert seen > 500


# What is printed

SOME = sorted(PAIRS)[::23]


def swept(name):
    target, *inputs = PAIRS[name].make(np.random.default_rng(1))
    with np.errstate(all="ignore"):
        return md.gradcheck(target, *inputs, verbose=False)


@pytest.mark.parametrize("name", SOME)
def test_no_word_about_a_wrong_pair_passes_the_catalogue_by(name, pseudo):
    report = swept(name)
    assert left_in(report, pseudo) == set(), report.to_text(pseudo)


@pytest.mark.slow
def test_no_word_about_the_museum_or_an_optimizer_passes_the_catalogue_by(pseudo):
    left = {}
    for bug in CORPUS[::6] + OPTIMIZERS[::6]:
        target, *inputs = bug.make(bug.cls, np.random.default_rng(0))
        check = md.checking.optimcheck if bug in OPTIMIZERS else md.gradcheck
        left[bug.name] = left_in(check(target, *inputs, verbose=False), pseudo)
    for name, (make, like, *_) in list(blind_optimizers.WRONG.items())[::6]:
        left[name] = left_in(md.checking.optimcheck(make(), like, verbose=False), pseudo)
    assert {name: rest for name, rest in left.items() if rest} == {}


class Stopping(md.SGD):
    def step(self, parameters):
        raise ArithmeticError


def test_no_word_about_code_that_stops_passes_the_catalogue_by(pseudo):
    def forward(x):
        raise ArithmeticError

    for report in (
        md.gradcheck((forward, forward), np.ones(3), verbose=False),
        md.checking.optimcheck(Stopping(0.1), md.SGD(0.1), verbose=False),
    ):
        known = "raise ArithmeticError test_pseudo_checker.py"
        assert left_in(report, pseudo, known) == set(), report.to_text(pseudo)


@pytest.fixture(scope="module")
def steps():
    clicks = md.data.synthetic_clicks(rows=100, seed=0)
    model = md.DLRM(13, clicks.table_sizes, 2, (2,), (2,))
    return md.trace(model, clicks.train[:2])


def arrays_of(steps):
    arrays = [name for op in steps.operations for name in (*op.inputs, *op.outputs)]
    layers = [name for op in steps.operations for name in (op.name, op.layer)]
    return " ".join([*arrays, *layers])


def test_no_word_of_the_tracers_tables_passes_the_catalogue_by(pseudo, steps):
    what = steps.perturb("top.layers.0.bias", 0, 0.1)
    for text in (steps.to_text(pseudo), what.to_text(pseudo)):
        assert left_of(text, arrays_of(steps), "bias") == set(), text


def test_no_word_of_the_tracers_page_passes_the_catalogue_by(pseudo, steps, monkeypatch):
    monkeypatch.setenv("MINIDLRM_LANG", pseudo)
    page = re.sub(r"<(svg|style|script).*?</\1>", " ", steps.to_html(), flags=re.S)
    labels = " ".join(re.findall(r'(?:aria-label|data-said)="([^"]*)"', page))
    page = re.sub(r"<[^>]*>|&\w+;|\{\w+\}", " ", f"{page} {labels}")
    assert left_of(page, arrays_of(steps), CODE, "bag bt td ij") == set()  # of equations


def test_the_page_in_korean_says_so(steps, tmp_path):
    steps.to_html(tmp_path / "steps.html", lang="ko")
    page = (tmp_path / "steps.html").read_text(encoding="utf-8")
    assert page.startswith('<!doctype html><html lang="ko">')
    assert "학습의 한 스텝" in page
    assert "역전파: 기울기는 거꾸로 갑니다" in page


def test_words_in_formulas_are_translated():
    said = say(in_words("0.5 * (item 0 of the cache less its mean along axis 1)"), "ko")
    assert said == "0.5 * (cache의 항목 0 - 평균, 축 1)"
