"""compare: cells, noise, and what the order experiment must show."""

import dataclasses

import numpy as np
import pytest

import minidlrm as md
from minidlrm import comparison
from minidlrm.comparison import Budget, Result, compare, paired_interval
from minidlrm.comparison.result import explained, is_noise
from minidlrm.comparison.run import Cell, run_cell
from minidlrm.models import MODELS

LR, FM, MLP = (MODELS[name] for name in ("lr", "fm", "mlp"))

BUDGET = Budget(4, (8,), epochs=1, batch_size=256, learning_rates=(0.01,), seeds=2)


@pytest.fixture(scope="module")
def clicks():
    return md.data.synthetic_clicks(3000, 0)


def test_every_model_has_a_line(clicks, tmp_path):
    results = compare(clicks, BUDGET, tmp_path, progress=False)
    assert [result.entry for result in results] == [e for e in MODELS.values() if not e.pairs_only]
    records = comparison.as_records(results, clicks)
    for result, record in zip(results, records, strict=True):
        model = result.entry.build(13, clicks.table_sizes, 4, (8,), 0)
        assert record["parameters"] == model.num_parameters()
        assert record["flops"] == model.flops_per_sample()
        assert record["score"] > 0
        assert result.score.shape == (2,)
        assert result.memory >= 3 * 4 * record["parameters"] * 0.2  # weights, and Adam's two states
    assert sum(record["above_best"] == [0.0, 0.0] for record in records) == 1


def test_a_finished_cell_is_not_run_again(clicks, tmp_path, monkeypatch):
    first = compare(clicks, BUDGET, tmp_path, [LR, FM], progress=False)
    monkeypatch.setattr(comparison.run, "run_cell", None)
    second = compare(clicks, BUDGET, tmp_path, [LR, FM], progress=False)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.losses, b.losses)
        np.testing.assert_array_equal(a.score, b.score)


def test_other_data_are_other_cells(clicks, tmp_path):
    compare(clicks, BUDGET, tmp_path, [LR], progress=False)
    other = md.data.synthetic_clicks(3000, 1)
    compare(other, BUDGET, tmp_path, [LR], progress=False)
    assert len(list((tmp_path / "cells").iterdir())) == 4


def interrupted_kernel():
    """Raise what Numba makes of Ctrl-C while it converts the arguments of a kernel."""
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt as error:
        raise SystemError("CPUDispatcher(...) returned a result with an exception set") from error


def plain_interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize("interrupt", [plain_interrupt, interrupted_kernel])
def test_ctrl_c_gives_what_is_done(clicks, tmp_path, monkeypatch, interrupt):
    def run_until_mlp(cell, dataset, budget):
        return interrupt() if cell.entry is MLP else run_cell(cell, dataset, budget)

    monkeypatch.setattr(comparison.run, "run_cell", run_until_mlp)
    results = compare(clicks, BUDGET, tmp_path, progress=False)
    assert [result.title for result in results] == ["LR", "FM"]


def test_a_system_error_that_is_no_interrupt_is_raised(clicks, tmp_path, monkeypatch):
    def fail(cell, dataset, budget):
        raise SystemError("a bug in an extension")

    monkeypatch.setattr(comparison.run, "run_cell", fail)
    with pytest.raises(SystemError, match="a bug"):
        compare(clicks, BUDGET, tmp_path, progress=False)


def test_the_learning_rate_is_chosen_on_the_validation_rows(clicks, tmp_path):
    budget = Budget(4, (8,), 1, 256, learning_rates=(1e-6, 0.01), seeds=1)
    (row,) = compare(clicks, budget, tmp_path, [LR], progress=False)
    assert row.lr == 0.01


def result(losses, log_loss):
    log_loss = np.array(log_loss)
    return Result(LR, 1, 1, 1.0, 1, 0.01, log_loss, log_loss, losses, [])


def test_a_difference_counts_when_rows_and_seeds_tell_it(rng):
    base = rng.random(2000)
    best = result(base, [0.500, 0.501, 0.499])

    def noise(other):
        return is_noise(other, best, paired_interval(other.losses, best.losses))

    assert is_noise(best, best, (0.0, 0.0))
    assert noise(result(base + rng.normal(0, 0.1, 2000), [0.501, 0.502, 0.500]))
    assert not noise(result(base + 0.1, [0.600, 0.601, 0.599]))
    assert noise(result(base + 0.1, [0.60, 0.35, 0.85]))  # the rows tell, the seeds do not


def test_the_interval_holds_the_true_difference(rng):
    hits = 0
    for seed in range(100):
        noise = np.random.default_rng(seed).normal(0.05, 1, 300)
        low, high = paired_interval(noise, np.zeros(300), seed)
        hits += low <= 0.05 <= high
    assert 88 <= hits <= 100


def test_each_order_is_learned_by_those_that_can():
    """Pure signals: LR learns order 1 alone; an FM order 2, not 3."""
    shares = {}
    for order in (1, 2, 3):
        data = md.data.synthetic_clicks(
            30_000, 0, order=order, num_dense=0, num_tables=8, max_table_size=10
        )
        rate = data.test.label.mean()
        entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
        for entry in (LR, FM):
            budget = Budget(4, (8,), epochs=4, batch_size=256)
            meta, _ = run_cell(Cell(entry, 0.01, 0), data, budget)
            shares[entry.title, order] = explained(meta["score"], entropy, data.bayes_log_loss)
    assert shares["LR", 1] > 0.9
    assert abs(shares["LR", 2]) < 0.1
    assert abs(shares["LR", 3]) < 0.1
    assert shares["FM", 2] > 0.8
    assert shares["FM", 3] < 0.1


def test_the_figures_name_every_model(clicks, tmp_path):
    from matplotlib.figure import Figure

    rows = compare(clicks, BUDGET, tmp_path, [LR, FM, MLP], progress=False)
    records = comparison.as_records(rows, clicks)
    names = {"LR", "FM", "MLP"}
    for ax in (
        md.plots.quality_against_cost(records, Figure().subplots(), 0.4),
        md.plots.learning_curves(rows, Figure().subplots(), 0.4),
        md.plots.cost_against_fields([LR, FM, MLP], 4, (8,), Figure().subplots()),
    ):
        assert names <= {text.get_text() for text in ax.get_legend().get_texts()}
    ax = md.plots.order_heat_map(np.eye(3), sorted(names), ["1", "2", "3"], Figure().subplots())
    assert [label.get_text() for label in ax.get_yticklabels()] == sorted(names)


@pytest.fixture(scope="module")
def ratings():
    rng = np.random.default_rng(0)
    ids = np.stack([rng.integers(0, 20, 3000), rng.integers(0, 30, 3000)], axis=1)
    means = rng.normal(0, 1, 20)
    label = (3.5 + means[ids[:, 0]] + rng.normal(0, 0.1, 3000)).astype(np.float32)
    rows = md.data.Batch(np.zeros((3000, 0), np.float32), ids, label)
    parts = rows[:2000], rows[2000:2500], rows[2500:]
    return md.data.Dataset(*parts, [20, 30], ["user", "item"], "planted user means", "ratings")


def test_ratings_are_compared_by_rmse_and_pairs_models_join(ratings, tmp_path):
    budget = Budget(4, (8,), epochs=3, batch_size=64, learning_rates=(0.01,), seeds=2)
    rows = compare(ratings, budget, tmp_path, progress=False)
    assert [result.entry for result in rows] == list(MODELS.values())
    records = {record["model"]: record for record in comparison.as_records(rows, ratings)}
    assert records["LR"]["score"] < 0.3  # the deviation of the ratings is 1: biases explain them
    assert np.isnan(records["LR"]["auc"])
    page = comparison.markdown_page(list(records.values()), ratings, budget)
    assert "| model | RMSE |" in page
    assert "nan" not in page


def test_bags_leave_out_the_model_that_needs_one_id_a_table(clicks):
    bags = md.data.Jagged(np.zeros(6, int), np.arange(7))
    rows = md.data.Batch(np.zeros((2, 13), np.float32), bags, np.array([0.0, 1.0]))
    some = dataclasses.replace(clicks, train=rows, valid=rows, test=rows, table_sizes=[4, 4, 4])
    left_out = [name for name, entry in MODELS.items() if not entry.fits(some)]
    assert left_out == ["wide-deep", "mf", "gmf", "neumf"]


def test_the_best_epoch_counts(ratings, tmp_path, rng):
    """There is nothing to learn from noise: each epoch is worse than the one before."""
    noise = dataclasses.replace(ratings.train[:200], label=rng.normal(3, 1, 200).astype(np.float32))
    few = dataclasses.replace(ratings, train=noise)
    budget = Budget(16, (64,), epochs=20, batch_size=16, learning_rates=(0.03,), seeds=1)
    (row,) = compare(few, budget, tmp_path, [MODELS["mf"]], False)
    scores = [score for _, score in row.curve]
    assert row.score[0] == pytest.approx(min(scores), rel=0.1)
    assert scores[-1] > 1.2 * min(scores)


def test_a_root_is_taken_of_the_means(rng):
    low, high = paired_interval(np.full(50, 4.0), np.full(50, 1.0), root=True)
    assert low == high == 1.0


RECORD = {"model": "DLRM", "flops": 9, "score": 0.5, "score_std": 0.0, "noise": False}


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("score_std", [1, 2], r"records\[1\]\['score_std'\] is \[1, 2\]: it must be a number"),
        ("score_std", -0.1, r"records\[1\]\['score_std'\] is -0.1: it must be at least 0"),
        ("score", None, r"records\[1\]\['score'\] is None"),
        ("flops", "9", r"records\[1\]\['flops'\] is '9'"),
        ("noise", np.zeros(2), r"records\[1\]\['noise'\]"),
    ],
)
def test_a_figure_names_the_entry_that_cannot_be_drawn(key, value, words):
    from matplotlib.figure import Figure

    with pytest.raises((TypeError, ValueError), match=words):
        md.plots.quality_against_cost([RECORD, {**RECORD, key: value}], Figure().subplots())


def test_a_figure_names_the_curve_that_cannot_be_drawn():
    from types import SimpleNamespace

    from matplotlib.figure import Figure

    good = SimpleNamespace(title="LR", curve=[(1.0, 0.5)])
    for curve in ([(1.0,)], [1.0, 0.5], [(1.0, "a")], [], None):
        bad = SimpleNamespace(title="FM", curve=curve)
        with pytest.raises((TypeError, ValueError), match=r"results\[1\]\.curve"):
            md.plots.learning_curves([good, bad], Figure().subplots())
    with pytest.raises(TypeError, match="the titles of results"):
        md.plots.learning_curves([SimpleNamespace(title=[1], curve=[(1.0, 0.5)])])
    history = md.training.History([{"epoch": 1.0, "train_loss": 0.6}, {"epoch": 2.0}])
    with pytest.raises(ValueError, match="history: a record has no 'train_loss'"):
        md.plots.learning_curve(history, Figure().subplots())
    history.records[1]["train_loss"] = [0.5]
    with pytest.raises(TypeError, match=r"history\[1\]\['train_loss'\]"):
        md.plots.learning_curve(history, Figure().subplots())
