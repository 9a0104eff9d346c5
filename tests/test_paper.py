"""minidlrm paper: every section runs, its claims are judged by numbers, and files say the same."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from minidlrm.cli.app import make_app
from minidlrm.paper import SECTIONS, Claim, Findings, Options, locality, random_data

QUICK = {"4.1": Options(), "4.2": Options(rows=3000)}


def run(*words):
    return CliRunner().invoke(make_app(), ["paper", *map(str, words)], catch_exceptions=True)


def test_the_list_has_every_section():
    words = run().stdout.split()
    assert set(SECTIONS) <= set(words)


@pytest.mark.parametrize("number", QUICK)
def test_a_section_is_reproduced(number):
    findings = SECTIONS[number].run(QUICK[number])
    assert {claim.verdict for claim in findings.claims} == {"reproduced"}


def test_what_is_printed_is_what_was_written(tmp_path):
    result = run("4.2", "--rows", 2000, "--out", tmp_path)
    assert result.exit_code == 0, result.stdout
    written = json.loads((tmp_path / "4.2.json").read_text())
    assert written["options"] == {"seed": 0, "data": None, "rows": 2000}
    shares = written["tables"]["The reference's trace"][1:]
    assert [share for _, share in shares] == ["0.55", "0.64", "0.82", "0.91", "1.00"]
    page = (tmp_path / "4.2.md").read_text()
    for claim in written["claims"]:
        assert claim["verdict"] == "reproduced"
        assert claim["ours"] in page
    assert (tmp_path / "4.2_miss_curves.png").stat().st_size > 1000


def test_a_bound_decides():
    assert Claim("a", "b", holds=True, because="c").verdict == "reproduced"
    assert Claim("a", "b", holds=False, because="c").verdict == "differs, because c"
    assert Claim("a", "b", holds=None, because="c").verdict == "not to be run here, because c"


def test_a_wrong_kernel_is_seen(monkeypatch):
    """The claims can fail: an LRU cache that is one row too small is counted."""
    right = locality.lru_misses
    monkeypatch.setattr(locality, "lru_misses", lambda trace, rows: right(trace, rows - 1))
    findings = locality.run(Options(rows=2000))
    assert [claim.holds for claim in findings.claims] == [True, False, True]
    monkeypatch.setattr(random_data, "probabilities", lambda name: np.full(50, 1 / 50))
    findings = random_data.run(Options())
    assert [claim.holds for claim in findings.claims] == [True, False, True, True]


def test_all_keeps_what_is_finished(tmp_path, monkeypatch):
    calls = []

    def once(options):
        calls.append(options)
        return Findings([Claim("a", "b", True)])

    monkeypatch.setattr("minidlrm.paper.locality.run", once)
    monkeypatch.setattr("minidlrm.paper.random_data.run", once)
    chosen = {number: SECTIONS[number] for number in QUICK}
    monkeypatch.setattr("minidlrm.cli.paper.SECTIONS", chosen)
    assert run("--all", "--rows", 50, "--out", tmp_path).exit_code == 0
    assert calls == [Options(), Options(rows=50)]  # rows have no meaning for 4.1
    again = run("--all", "--rows", 50, "--out", tmp_path)
    assert len(calls) == 2
    assert "kept" in again.stdout
    assert run("--all", "--rows", 60, "--out", tmp_path).exit_code == 0
    assert len(calls) == 3
    page = (tmp_path / "paper.md").read_text()
    assert all(f"## {number} " in page for number in QUICK)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("3.9",), "section '3.9' cannot be run"),
        (("4.1", "--rows", "5"), "--rows has no meaning for section 4.1"),
        (("4.2", "--all"), "--all and section 4.2 exclude each other"),
        (("4.2", "--data", "nowhere"), "it must be SCHEME:PATH"),
        (("4.2", "--data", "synthetic", "--rows", "3"), "rows is 3"),
    ],
)
def test_what_cannot_be_run_is_refused(words, message, tmp_path):
    result = run(*words, "--out", tmp_path)
    assert message in str(result.exception)
    assert not list(tmp_path.iterdir())
