"""minidlrm paper: every section runs, its claims are judged by numbers, and files say the same."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import minidlrm as md
from minidlrm.cli.app import make_app
from minidlrm.data import random_bags
from minidlrm.paper import (
    NOT_RUN,
    SECTIONS,
    Claim,
    Findings,
    Options,
    accuracy,
    locality,
    operators,
    random_data,
)
from minidlrm.paper.clock import Clock

QUICK = {"2.2": Options(), "4.1": Options(), "4.2": Options(rows=3000)}


@pytest.fixture(autouse=True)
def no_data_of_this_machine(monkeypatch):
    monkeypatch.delenv("MINIDLRM_DATA", raising=False)
    monkeypatch.setattr(locality, "_TIMED", 10_000)  # ten million take seconds


def run(*words):
    return CliRunner().invoke(make_app(), ["paper", *map(str, words)], catch_exceptions=True)


def test_the_list_has_every_section():
    words = run().stdout.split()
    assert set(SECTIONS) <= set(words)


@pytest.mark.parametrize("number", QUICK)
def test_a_section_is_reproduced(number):
    findings = SECTIONS[number].run(QUICK[number])
    assert {claim.verdict for claim in findings.claims} == {"reproduced"}


@pytest.mark.parametrize("torch_is_there", [True, False])
def test_time_by_operator(torch_is_there, tmp_path, monkeypatch):
    """In small: the sizes of the paper take gigabytes."""
    if torch_is_there:
        pytest.importorskip("torch")
    else:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name, value in {"BATCH": 64, "IDS": 4, "TOP": (32,), "BOTTOM": (16,), "DENSE": 20}.items():
        monkeypatch.setattr(operators, name, value)
    monkeypatch.setattr(operators, "_roof", lambda: (1e11, 1e10))  # it takes a second to measure
    result = run("5.2", "--rows", 100, "--out", tmp_path)
    assert result.exit_code == 0, result.stdout
    written = json.loads((tmp_path / "5.2.json").read_text())
    assert (written["claims"][2]["holds"] is not None) == torch_is_there
    (rows,) = written["tables"].values()
    shares = {name: float(share.rstrip("%")) for name, _, share, *_ in rows[1:]}
    parts = [share for name, share in shares.items() if " " in name or name == "rest"]
    names = ("all MLPs", "all embeddings", "all interaction", "all optimizer", "loss and rest")
    assert sum(shares[name] for name in names) == pytest.approx(100, abs=3)
    assert len(parts) > len(names)


def test_the_costs_of_an_operation_are_counted_by_hand(rng):
    batch = random_bags(16, num_dense=operators.DENSE, table_sizes=[50, 60], ids_per_bag=2).train
    found = operators.costs([50, 60], batch)
    n = len(batch)
    flops = 2 * n * (512 * 512 + 512 * 64)
    assert found["bottom forward"][0] == flops
    assert found["bottom backward"][0] == 2 * flops
    assert found["interaction forward"][0] == 2 * n * 3 * 64  # three pairs of vectors of size 64
    ids = [batch.ids_of(t) for t in range(2)]
    touched = sum(len(set(each.tolist())) for each in ids)
    rows = 512 * 512 + 512 * 64 + (64 + 3) * 1024 + 2 * 1024 * 1024 + 1024 + 64 * touched
    assert found["optimizer"] == (2 * rows, 12 * rows)


@pytest.mark.slow
def test_accuracy_beside_dcn(tmp_path, monkeypatch):
    """In small; on rows that nobody can learn from, both are as accurate as the mean rate."""
    monkeypatch.setattr("minidlrm.paper.accuracy.SEEDS", 2)
    monkeypatch.setattr("minidlrm.paper.accuracy.POINTS", 2)
    assert run("5.1", "--rows", 1500, "--out", tmp_path).exit_code == 0
    first = (tmp_path / "5.1.json").read_text()
    monkeypatch.setattr("minidlrm.paper.accuracy._curve", lambda *_: 1 / 0)  # not run again
    assert run("5.1", "--rows", 1500, "--out", tmp_path).exit_code == 0
    assert (tmp_path / "5.1.json").read_text() == first
    written = json.loads((tmp_path / "5.1.json").read_text())
    verdicts = [claim["verdict"].split(",")[0] for claim in written["claims"]]
    assert verdicts[0] == "reproduced"
    assert verdicts[1] in ("differs", "reproduced", "not to be run here")
    assert verdicts[-1] == "not to be run here"
    (rows,) = written["tables"].values()
    limit = float(rows[-1][-1].rstrip("%"))
    for row in rows[1:-1]:
        assert float(row[-1].split("%")[0]) < limit + 8  # of 107 test rows


def test_models_that_have_learned_nothing_are_not_compared():
    def ahead(dlrm, dcn):
        none = np.empty(0)
        curves = {
            ("DLRM", "SGD"): accuracy.Curve(none, none, none, np.array(dlrm)),
            ("DCN", "SGD"): accuracy.Curve(none, none, none, np.array(dcn)),
        }
        return accuracy._ahead(curves, "SGD", 0.75)

    assert ahead([0.78, 0.79, 0.79], [0.76, 0.77, 0.76]).holds is True
    assert ahead([0.76, 0.77, 0.76], [0.78, 0.79, 0.79]).holds is False
    assert "do not tell from 0" in ahead([0.76, 0.76, 0.76], [0.76, 0.76, 0.76]).verdict
    # two standard errors would tell them apart: with three seeds, Student's t does not
    assert "do not tell from 0" in ahead([0.77, 0.76, 0.77], [0.76, 0.7595, 0.76]).verdict
    same = ahead([0.75, 0.75, 0.75], [0.75, 0.75, 0.75])
    assert same.holds is None
    assert same.because == "no run beats the commoner label, 75.00%: it needs more rows"


def test_a_clock_changes_no_bit():
    batch = random_bags(20, num_dense=3, table_sizes=[5, 6]).train
    plain, timed = (md.DLRM(3, [5, 6], 4, (8,), (8,), seed=1) for _ in range(2))
    clock = Clock(timed)
    for _ in range(2):
        clock.step(batch, md.SGD(lr=0.1))
    rule = md.SGD(lr=0.1)
    for _ in range(2):
        plain.zero_grad()
        loss = md.BCEWithLogits()
        loss.forward(plain.forward(batch), batch.label)
        plain.backward(loss.backward())
        rule.step(plain.parameters())
    for name, value in plain.state_dict().items():
        assert (value == timed.state_dict()[name]).all()
    assert not any("forward" in vars(part) for _, part in timed.named_children())
    assert clock.total() >= max(clock.medians().values())


def test_what_is_printed_is_what_was_written(tmp_path):
    result = run("4.2", "--rows", 2000, "--out", tmp_path)
    assert result.exit_code == 0, result.stdout
    written = json.loads((tmp_path / "4.2.json").read_text())
    assert written["options"] == {"seed": 0, "data": None, "rows": 2000, "found": []}
    shares = written["tables"]["The reference's trace"][1:]
    assert [share for _, share in shares] == ["0.55", "0.64", "0.82", "0.91", "1.00"]
    page = (tmp_path / "4.2.md").read_text()
    for claim in written["claims"]:
        assert claim["verdict"] == "reproduced"
        assert claim["ours"] in page
    assert (tmp_path / "4.2_miss_curves_zipf.png").stat().st_size > 1000


def test_a_bound_decides():
    assert Claim("a", "b", holds=True, because="c").verdict == "reproduced"
    assert Claim("a", "b", holds=False, because="c").verdict == "differs, because c"
    assert Claim("a", "b", holds=None, because="c").verdict == "not to be run here, because c"


def test_a_wrong_kernel_is_seen(monkeypatch):
    """The claims can fail: an LRU cache that is one row too small is counted."""
    right = locality.lru_misses
    monkeypatch.setattr(locality, "lru_misses", lambda trace, rows: right(trace, rows - 1))
    findings = locality.run(Options(rows=2000))
    assert [claim.holds for claim in findings.claims] == [True, False, True, True, True]
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
    chosen = {number: SECTIONS[number] for number in ("4.1", "4.2")}
    monkeypatch.setattr("minidlrm.cli.paper.SECTIONS", chosen)
    assert run("--all", "--rows", 50, "--out", tmp_path).exit_code == 0
    folder = {"folder": tmp_path}
    assert calls == [Options(**folder), Options(rows=50, **folder)]  # none for 4.1
    again = run("--all", "--rows", 50, "--out", tmp_path)
    assert len(calls) == 2
    assert "kept" in again.stdout
    assert run("--all", "--rows", 60, "--out", tmp_path).exit_code == 0
    assert len(calls) == 3
    page = (tmp_path / "paper.md").read_text()
    assert all(f"## {number} " in page for number in chosen)
    assert all(f"- **{part}**: not to be run here, because" in page for part in NOT_RUN)


def test_all_gives_data_to_the_sections_that_read_them(tmp_path, monkeypatch):
    given = {}

    def kept(number):
        def run_section(options):
            given[number] = options.data
            return Findings([Claim("a", "b", True)])

        return run_section

    for number, home in (("1", "views"), ("4.2", "locality")):
        monkeypatch.setattr(f"minidlrm.paper.{home}.run", kept(number))
    chosen = {number: SECTIONS[number] for number in ("1", "4.2")}
    monkeypatch.setattr("minidlrm.cli.paper.SECTIONS", chosen)
    assert run("--all", "--data", "criteo:a.txt", "--out", tmp_path).exit_code == 0
    assert given == {"1": None, "4.2": "criteo:a.txt"}
    assert run("--all", "--data", "movielens:b", "--out", tmp_path).exit_code == 0
    assert given == {"1": "movielens:b", "4.2": "movielens:b"}


def test_a_section_runs_again_when_other_data_are_found(tmp_path, monkeypatch):
    calls = []

    def once(options):
        calls.append(options)
        return Findings([Claim("a", "b", True)])

    monkeypatch.setattr("minidlrm.paper.locality.run", once)
    monkeypatch.setattr("minidlrm.cli.paper.SECTIONS", {"4.2": SECTIONS["4.2"]})
    (tmp_path / "data" / "ml-latest-small").mkdir(parents=True)
    for _ in range(2):
        assert run("--all", "--out", tmp_path).exit_code == 0
    assert len(calls) == 1
    monkeypatch.setenv("MINIDLRM_DATA", str(tmp_path / "data"))
    assert run("--all", "--out", tmp_path).exit_code == 0
    assert len(calls) == 2
    assert json.loads((tmp_path / "4.2.json").read_text())["options"]["found"] == ["movielens"]


def test_figure_3_needs_the_adjustment():
    """A trace that is drawn without it has not seen all rows yet."""
    figure = locality._figure_3(0)
    assert locality._adjusted(figure).holds
    assert len(figure["drawn, adjusted"].accesses) == len(figure["original"].accesses) == 100
    wrong = figure | {"drawn, adjusted": figure["drawn"]}
    assert not locality._adjusted(wrong).holds


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("3.9",), "section '3.9' cannot be run"),
        (("4.1", "--rows", "5"), "--rows has no meaning for section 4.1"),
        (("4.2", "--all"), "--all and section 4.2 exclude each other"),
        (("4.2", "--data", "nowhere"), "it must be SCHEME:PATH"),
        (("1", "--data", "criteo:a.txt"), "section 1 takes movielens:FOLDER"),
        (("4.2", "--data", "synthetic", "--rows", "3"), "rows is 3"),
    ],
)
def test_what_cannot_be_run_is_refused(words, message, tmp_path):
    result = run(*words, "--out", tmp_path)
    assert message in str(result.exception)
    assert not list(tmp_path.iterdir())
