"""compare: cells, noise, and what the order experiment must show."""

import dataclasses

import numpy as np
import pytest

import minidlrm as md
from minidlrm import comparison
from minidlrm.comparison import CONTENDERS, Budget, Row, compare, is_noise, paired_interval

BUDGET = Budget(4, (8,), epochs=1, batch_size=256, learning_rates=(0.01,), seeds=2)


@pytest.fixture(scope="module")
def clicks():
    return md.data.synthetic_clicks(3000, 0)


def test_every_model_has_a_line(clicks, tmp_path):
    rows = compare(clicks, BUDGET, tmp_path, progress=False)
    assert [row.contender.name for row in rows] == [c.name for c in CONTENDERS if not c.pairs_only]
    records = comparison.as_records(rows, clicks)
    for row, record in zip(rows, records, strict=True):
        model = row.contender.build(13, clicks.table_sizes, 4, (8,), 0)
        assert record["parameters"] == model.num_parameters()
        assert record["flops"] == model.flops_per_sample()
        assert record["score"] > 0
        assert row.score.shape == (2,)
        assert row.memory >= 3 * 4 * record["parameters"] * 0.2  # weights, and Adam's two states
    assert sum(record["above_best"] == [0.0, 0.0] for record in records) == 1


def test_a_finished_cell_is_not_run_again(clicks, tmp_path, monkeypatch):
    first = compare(clicks, BUDGET, tmp_path, CONTENDERS[:2], progress=False)
    monkeypatch.setattr(comparison.run, "_run", None)
    second = compare(clicks, BUDGET, tmp_path, CONTENDERS[:2], progress=False)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.losses, b.losses)
        np.testing.assert_array_equal(a.score, b.score)


def test_other_data_are_other_cells(clicks, tmp_path):
    compare(clicks, BUDGET, tmp_path, CONTENDERS[:1], progress=False)
    other = md.data.synthetic_clicks(3000, 1)
    compare(other, BUDGET, tmp_path, CONTENDERS[:1], progress=False)
    assert len(list((tmp_path / "cells").iterdir())) == 4


def test_ctrl_c_gives_what_is_done(clicks, tmp_path, monkeypatch):
    run = comparison.run._run

    def interrupt(dataset, budget, contender, lr, seed):
        if contender.name == "MLP":
            raise KeyboardInterrupt
        return run(dataset, budget, contender, lr, seed)

    monkeypatch.setattr(comparison.run, "_run", interrupt)
    rows = compare(clicks, BUDGET, tmp_path, progress=False)
    assert [row.contender.name for row in rows] == ["LR", "FM"]


def test_the_learning_rate_is_chosen_on_the_validation_rows(clicks, tmp_path):
    budget = Budget(4, (8,), 1, 256, learning_rates=(1e-6, 0.01), seeds=1)
    (row,) = compare(clicks, budget, tmp_path, CONTENDERS[:1], progress=False)
    assert row.lr == 0.01


def row(losses, log_loss):
    log_loss = np.array(log_loss)
    return Row(CONTENDERS[0], 1, 1, 1.0, 1, 0.01, log_loss, log_loss, losses, [])


def test_what_is_noise(rng):
    base = rng.random(2000)
    best = row(base, [0.500, 0.501, 0.499])
    assert is_noise(best, best)
    assert is_noise(row(base + rng.normal(0, 0.1, 2000), [0.501, 0.502, 0.500]), best)
    assert not is_noise(row(base + 0.1, [0.600, 0.601, 0.599]), best)
    wide = row(base + 0.1, [0.60, 0.35, 0.85])  # the rows tell them apart, the seeds do not
    assert is_noise(wide, best)


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
        for contender in CONTENDERS[:2]:
            budget = Budget(4, (8,), epochs=4, batch_size=256)
            meta, _ = comparison.run._run(data, budget, contender, 0.01, 0)
            shares[contender.name, order] = comparison.explained(
                meta["score"], entropy, data.bayes_log_loss
            )
    assert shares["LR", 1] > 0.9
    assert abs(shares["LR", 2]) < 0.1
    assert abs(shares["LR", 3]) < 0.1
    assert shares["FM", 2] > 0.8
    assert shares["FM", 3] < 0.1


def test_the_figures_name_every_model(clicks, tmp_path):
    from matplotlib.figure import Figure

    rows = compare(clicks, BUDGET, tmp_path, CONTENDERS[:3], progress=False)
    records = comparison.as_records(rows, clicks)
    names = {"LR", "FM", "MLP"}
    for ax in (
        md.plots.quality_against_cost(records, Figure().subplots(), 0.4),
        md.plots.learning_curves(rows, Figure().subplots(), 0.4),
        md.plots.cost_against_fields(CONTENDERS[:3], 4, (8,), Figure().subplots()),
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
    return md.data.Dataset(*parts, [20, 30], ["user", "item"], "planted user means")


def test_ratings_are_compared_by_rmse_and_pairs_models_join(ratings, tmp_path):
    budget = Budget(4, (8,), epochs=3, batch_size=64, learning_rates=(0.01,), seeds=2)
    rows = compare(ratings, budget, tmp_path, progress=False)
    assert [row.contender.name for row in rows] == [c.name for c in CONTENDERS]
    assert comparison.metric(ratings) == "RMSE"
    records = {record["model"]: record for record in comparison.as_records(rows, ratings)}
    assert records["LR"]["score"] < 0.3  # the deviation of the ratings is 1: biases explain them
    assert np.isnan(records["LR"]["auc"])
    page = comparison.as_markdown(list(records.values()), ratings, budget)
    assert "| model | RMSE |" in page
    assert "nan" not in page


def test_bags_leave_out_the_model_that_needs_one_id_a_table(clicks):
    bags = md.data.Jagged(np.zeros(6, int), np.arange(7))
    rows = md.data.Batch(np.zeros((2, 13), np.float32), bags, np.array([0.0, 1.0]))
    some = dataclasses.replace(clicks, train=rows, valid=rows, test=rows, table_sizes=[4, 4, 4])
    left_out = [c.name for c in CONTENDERS if not c.fits(some)]
    assert left_out == ["Wide & Deep", "MF", "GMF", "NeuMF"]


def test_the_best_epoch_counts(ratings, tmp_path, rng):
    """There is nothing to learn from noise: each epoch is worse than the one before."""
    noise = dataclasses.replace(ratings.train[:200], label=rng.normal(3, 1, 200).astype(np.float32))
    few = dataclasses.replace(ratings, train=noise)
    budget = Budget(16, (64,), epochs=20, batch_size=16, learning_rates=(0.03,), seeds=1)
    (row,) = compare(few, budget, tmp_path, [c for c in CONTENDERS if c.name == "MF"], False)
    scores = [score for _, score in row.curve]
    assert row.score[0] == pytest.approx(min(scores), rel=0.1)
    assert scores[-1] > 1.2 * min(scores)


def test_a_root_is_taken_of_the_means(rng):
    low, high = paired_interval(np.full(50, 4.0), np.full(50, 1.0), root=True)
    assert low == high == 1.0
