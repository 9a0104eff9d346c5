"""Section 2.3: each statement has its row, and a number decides it, this way or that."""

import itertools

import numpy as np
import pytest

from minidlrm.comparison import Budget, Result
from minidlrm.models import MODELS as ENTRIES
from minidlrm.paper import Options, prior_models
from minidlrm.paper.probes import order, probe, probes
from minidlrm.paper.statements import MODELS, STATEMENTS, Measured, verdict

NAMES = {ENTRIES[name].title: ENTRIES[name] for name in prior_models._NAMES}


def measured(share=1.0, flops=(3, 3, 1, 2, 4, 5, 0), speeds=None):
    """Return made-up measures: every share is the same, and FLOPs are in the order of NAMES."""
    results = {
        title: Result(entry, 0, f, 0.0, f, 0.0, np.ones(3) * f, np.ones(3), np.ones(5), [])
        for (title, entry), f in zip(NAMES.items(), flops, strict=True)
    }
    speeds = speeds or {title: 10.0 - result.flops for title, result in results.items()}
    weights = {"Wide & Deep": 20, "DeepFM": 0, "DCN": 1000, "xDeepFM": 30_000, "DLRM": 0}
    learned = {title: [share] * 3 for title in NAMES}
    sums = dict.fromkeys(("Wide & Deep", "DeepFM"), 0.0)
    return Measured(results, learned, speeds, weights, probes(), sums)


def words(m):
    return {(s.aspect, s.model): verdict(s.judge(m)[1]) for s in STATEMENTS}


def test_every_statement_of_the_table_has_its_row():
    aspects = list(dict.fromkeys(s.aspect for s in STATEMENTS))
    assert len(aspects) == 9
    expected = set(itertools.product(aspects, MODELS)) - {("beside DLRM", "DLRM")}
    assert [(s.aspect, s.model) for s in STATEMENTS] == sorted(
        expected, key=lambda cell: (aspects.index(cell[0]), MODELS.index(cell[1]))
    )
    assert all(s.text for s in STATEMENTS)


def test_what_is_learned_decides():
    all_learned, nothing = words(measured(1.0)), words(measured(0.0))
    assert all_learned["the idea", "DLRM"] == "holds in part"  # it learns more than it computes
    assert nothing["the idea", "DLRM"] == "holds in part"  # nobody shows that it can be learned
    mixed = measured(0.0)
    mixed.learned["xDeepFM"][2] = 0.9
    assert words(mixed)["the idea", "DLRM"] == "holds"
    assert all_learned["the idea", "xDeepFM"] == "holds"
    assert nothing["the idea", "xDeepFM"] == "holds in part"
    assert all_learned["bad at", "Wide & Deep"] == "does not hold"
    assert nothing["bad at", "Wide & Deep"] == "holds"
    assert nothing["beside DLRM", "Wide & Deep"] == "does not hold"


def test_what_it_costs_decides():
    cheap, dear = words(measured()), words(measured(flops=(3, 3, 1, 2, 4, 0, 5)))
    assert cheap["complexity", "DLRM"] == "holds"
    assert cheap["efficiency", "DLRM"] == "holds"
    assert cheap["efficiency", "xDeepFM"] == "holds"
    assert dear["complexity", "DLRM"] == "holds in part"
    assert dear["efficiency", "DLRM"] == "does not hold"
    assert dear["bad at", "xDeepFM"] == "does not hold"


@pytest.mark.parametrize(
    ("f", "degree", "within", "rotated"),
    [
        (lambda z: z.sum(axis=2), 1, False, True),
        (lambda z: (z[:, :1] * z[:, 1:]).sum(axis=2), 2, False, False),
        (lambda z: z[:, 0] * z[:, 1] * z[:, 2], 3, False, True),
        (lambda z: z[:, :, 0] * z[:, :, 1], 2, True, True),
        (lambda z: np.ones((len(z), 1)), 0, False, False),
    ],
)
def test_a_probe_finds_order_and_unit(f, degree, within, rotated):
    found = probe(f)
    assert found.order == degree
    assert (found.within > 1e-9) == within
    assert (found.rotated > 1e-9) == rotated


def test_the_order_is_that_of_the_highest_term():
    z = np.random.default_rng(0).normal(size=(2, 3, 2))
    assert order(lambda z: (z + z**5).sum(axis=2), z) == 5


def test_the_probes_of_the_models():
    found = probes()
    assert {name: each.order for name, each in found.items()} == {
        "DeepFM": 2,
        "DCN": 4,
        "xDeepFM": 3,
        "DLRM": 2,
    }
    assert max(found[name].rotated for name in ("DeepFM", "DLRM")) < 1e-9 < found["xDeepFM"].rotated
    assert found["xDeepFM"].reordered < 1e-9 < found["DCN"].within


def test_a_section_that_is_interrupted_ends(monkeypatch, tmp_path):
    """`trained` returns what is finished: less than all is nothing to judge."""
    asked = []
    monkeypatch.setattr(prior_models, "trained", lambda data, *_: asked.append(data) or [])
    with pytest.raises(KeyboardInterrupt):
        prior_models.run(Options(rows=600, folder=tmp_path, progress=False))
    assert len(asked) == 1  # it does not go on with the next data


@pytest.mark.slow
def test_the_section_runs_and_goes_on_where_it_was(tmp_path, monkeypatch):
    budget = Budget(epochs=1, batch_size=256, learning_rates=(0.003,), seeds=1)
    monkeypatch.setattr(prior_models, "_BUDGET", budget)
    options = Options(rows=600, folder=tmp_path, progress=False)
    findings = prior_models.run(options)
    assert [claim.holds for claim in findings.claims[:3]] == [True] * 3
    (table,) = findings.tables.values()
    assert len(table) == 1 + len(STATEMENTS)
    assert {row[-1] for row in table[1:]} <= {"holds", "holds in part", "does not hold"}
    cells = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    assert len(cells) == 4 * len(NAMES)
    prior_models.run(options)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")} == cells
