"""What the paper's sections and the ranking study say is translated; what programs read is not."""

import json
import re
from dataclasses import replace
from functools import partial

import pytest
from conftest import untranslated
from test_cli import run
from test_paper_statements import measured
from test_recommending import a_folder_of_films

from minidlrm.comparison import Budget
from minidlrm.comparison.ranking import compare_rankings
from minidlrm.languages import say
from minidlrm.models import MODELS
from minidlrm.paper import (
    SECTIONS,
    Options,
    accuracy,
    locality,
    operators,
    prior_models,
    ranks,
    views,
)
from minidlrm.paper.statements import STATEMENTS, verdict

PICTURE = re.compile(r"!\[.*?\]\(.*?\)")  # the name of a figure, and of its file


def words(text):
    return set(re.findall(r"[A-Za-z]{2,}", text))


TITLES = words(" ".join(entry.title for entry in MODELS.values()))
NAMES = TITLES | {"uniform", "normal", "zipf", "SGD", "Adagrad", "PyTorch", "ms", "MB", "GFLOP"}


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    for place in ("paper.findings", "comparison.ranking"):
        monkeypatch.setattr(f"minidlrm.{place}.write_figure", lambda path, draw: None)


def test_nothing_of_the_list_of_sections_passes_the_catalogue_by(pseudo):
    assert untranslated(run("paper", MINIDLRM_LANG=pseudo).stdout) == set()


def test_nothing_of_a_section_passes_the_catalogue_by(pseudo, tmp_path):
    result = run("paper", "4.1", "--out", tmp_path, MINIDLRM_LANG=pseudo)
    assert result.returncode == 0, result.stderr
    files = words(f"{tmp_path} ids png md json")
    assert untranslated(result.stdout) - files <= NAMES, result.stdout
    page = PICTURE.sub("", (tmp_path / "4.1.md").read_text(encoding="utf-8"))
    assert untranslated(page) <= NAMES, page
    claims = json.loads((tmp_path / "4.1.json").read_text())["claims"]
    assert {claim["verdict"] for claim in claims} == {"reproduced"}


def test_what_was_begun_in_english_goes_on_in_another_language(pseudo, tmp_path, monkeypatch):
    monkeypatch.setattr("minidlrm.cli.paper.SECTIONS", {"4.1": SECTIONS["4.1"]})
    assert run("paper", "--all", "--out", tmp_path).returncode == 0
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("4.1*")}
    result = run("paper", "--all", "--out", tmp_path, MINIDLRM_LANG=pseudo)
    assert result.returncode == 0, result.stderr
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("4.1*")} == written
    kept = (tmp_path / "4.1.md").read_text(encoding="utf-8")
    page = (tmp_path / "paper.md").read_text(encoding="utf-8")
    assert kept in page  # as it was written
    assert untranslated(page.replace(kept, "")) == set(), page


def check(findings, lang):
    """What a section says is translated, and would be if a claim did not hold, or was not run."""
    page = PICTURE.sub("", findings.page("0", "", [], lang))
    assert untranslated(page) <= NAMES, page
    for claim in findings.claims:
        for holds in (True, False, None):
            text = say(replace(claim, holds=holds).verdict, lang)
            assert untranslated(text) <= NAMES, text
            assert holds or claim.because


def test_nothing_of_the_statements_passes_the_catalogue_by(pseudo):
    numbers = measured(0.0)
    for statement in STATEMENTS:
        number, parts = statement.judge(numbers)
        for text in (statement.aspect, statement.text, number, verdict(parts)):
            assert untranslated(say(text, pseudo)) <= NAMES, text


def in_small(monkeypatch):
    few = Budget(epochs=1, batch_size=256, learning_rates=(0.003,), seeds=1)
    sizes = {"BATCH": 64, "IDS": 4, "TOP": (32,), "BOTTOM": (16,), "DENSE": 20}
    for module, values in (
        (locality, {"_TIMED": 10_000}),
        (operators, {**sizes, "_roof": lambda: (1e11, 1e10), "_machine": lambda: "1"}),
        (accuracy, {"SEEDS": 2, "POINTS": 2}),
        (views, {"SEEDS": 2, "_EPOCHS": 1}),
        (prior_models, {"_BUDGET": few}),
        (ranks, {"STEPS": 1}),
    ):
        for name, value in values.items():
            monkeypatch.setattr(module, name, value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "rows"),
    [
        *(("1", 3000), ("2.2", None), ("2.3", 600), ("3", None)),
        *(("4.1", None), ("4.2", 2000), ("5.1", 1500), ("5.2", 100)),
    ],
)
def test_nothing_that_a_claim_can_say_passes_the_catalogue_by(number, rows, pseudo, monkeypatch):
    monkeypatch.delenv("MINIDLRM_DATA", raising=False)
    in_small(monkeypatch)
    check(SECTIONS[number].run(Options(rows=rows, progress=False)), pseudo)


def test_nothing_of_the_ranking_study_passes_the_catalogue_by(pseudo, tmp_path, rng, monkeypatch):
    few = partial(compare_rankings, names=("mf", "dlrm"))
    monkeypatch.setattr("minidlrm.cli.compare.compare_rankings", few)
    told = ("compare", "--ranking", "--data", a_folder_of_films(tmp_path, rng), "--epochs", 1)
    told += ("--seeds", 1, "-k", 3, "--mlp", 4, "--embedding-dim", 2, "--out", tmp_path)
    english = run(*told)
    assert english.returncode == 0, english.stderr
    files = {path: path.read_bytes() for path in tmp_path.glob("ranking.[jm]*")}
    result = run(*told, MINIDLRM_LANG=pseudo)  # from the cells that were written in English
    assert result.returncode == 0, result.stderr
    names = TITLES | words(f"{tmp_path} ranking png md json") | {"HR", "NDCG", "MRR"}
    assert untranslated(result.stdout) <= names, result.stdout
    assert {path: path.read_bytes() for path in tmp_path.glob("ranking.[jm]*")} == files
