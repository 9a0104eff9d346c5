"""Synthetic clicks: the planted truth is what it says."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

import minidlrm as md
from minidlrm.data.synthetic import (
    _PARTS,
    CLICK_RATE,
    STRENGTH,
    _carriers,
    _features,
    _ids,
    _shares,
    _standardize,
    synthetic_clicks,
)


def test_the_same_seed_gives_the_same_bits():
    a, b, c = (synthetic_clicks(2000, seed) for seed in (1, 1, 2))
    assert a.train.dense.tobytes() == b.train.dense.tobytes()
    assert a.train.sparse.tobytes() == b.train.sparse.tobytes()
    assert a.test.label.tobytes() == b.test.label.tobytes()
    assert a.train.sparse.tobytes() != c.train.sparse.tobytes()


@pytest.mark.parametrize(
    ("size", "zipf"), [(1, 1.0), (4, 1.1), (1000, 1.1), (9000, 0.01), (50, 10)]
)
def test_ids_are_those_of_a_search_for_each_number(size, zipf):
    share = _shares(size, zipf)
    limits = np.cumsum(share)[:-1]
    parts = np.arange(_PARTS) / _PARTS
    edges = np.concatenate([limits, parts, np.nextafter(limits, 0), np.nextafter(parts, 1)])
    numbers = np.concatenate([np.random.default_rng(0).random(5000), edges[edges < 1]])
    assert np.array_equal(_ids(numbers, share), np.searchsorted(limits, numbers))


def test_it_has_the_shape_of_criteo():
    clicks = synthetic_clicks(7000, 0)
    assert (len(clicks.train), len(clicks.valid), len(clicks.test)) == (6000, 500, 500)
    assert clicks.num_dense == 13
    assert len(clicks.table_sizes) == 26
    assert clicks.train.dense.dtype == np.float32
    assert (clicks.train.dense >= 0).all()
    assert (clicks.train.sparse >= 0).all()
    assert (clicks.train.sparse < clicks.table_sizes).all()
    assert abs(clicks.train.label.mean() - CLICK_RATE) < 0.03
    assert len(clicks.feature_names) == 39


def test_ids_follow_zipf():
    clicks = synthetic_clicks(100_000, 0, zipf=1.5)
    t = int(np.argmax(clicks.table_sizes))
    counts = np.bincount(clicks.train.sparse[:, t], minlength=clicks.table_sizes[t])
    expected = np.arange(1, len(counts) + 1) ** -1.5
    expected *= counts.sum() / expected.sum()
    np.testing.assert_allclose(counts[:20], expected[:20], rtol=0.2)


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_labels_come_with_the_probability_that_is_told(noise):
    clicks = synthetic_clicks(400_000, 0, noise=noise)
    p, label = clicks.probability, clicks.test.label
    for low, high in ((0, 0.1), (0.1, 0.2), (0.2, 0.4), (0.4, 0.7), (0.7, 1)):
        inside = (p > low) & (p <= high)
        if inside.sum() > 200:
            error = abs(label[inside].mean() - p[inside].mean())
            assert error < 4 * 0.5 / np.sqrt(inside.sum())
    logit = np.log(p / (1 - p))
    assert clicks.bayes_log_loss == pytest.approx(md.metrics.log_loss(label, logit))
    assert clicks.bayes_auc == pytest.approx(md.metrics.auc(label, logit))


def test_noise_raises_the_bayes_limit():
    limits = [synthetic_clicks(50_000, 0, noise=noise).bayes_log_loss for noise in (0, 0.5)]
    assert limits[0] + 0.03 < limits[1]


def one_feature_gain(clicks):
    """What the best single table explains of the label's variance, beyond chance."""
    label = clicks.train.label - clicks.train.label.mean()
    gains = []
    for t, size in enumerate(clicks.table_sizes):
        ids = clicks.train.sparse[:, t]
        counts = np.bincount(ids, minlength=size)
        sums = np.bincount(ids, label, minlength=size)
        explained = (sums**2 / np.maximum(counts, 1)).sum() / (label**2).sum()
        gains.append(explained - (counts > 0).sum() / len(label))
    return max(gains)


def test_a_single_feature_knows_of_the_first_order():
    assert one_feature_gain(synthetic_clicks(200_000, 0, order=1)) > 0.006


@pytest.mark.slow
@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("zipf", [0.3, 0.8, 1.1, 1.5])
def test_no_single_feature_knows_of_a_higher_order(order, zipf):
    for seed in range(2):
        assert one_feature_gain(synthetic_clicks(200_000, seed, order=order, zipf=zipf)) < 0.0007


def test_no_dense_feature_knows_of_a_higher_order():
    for order, knows in ((1, True), (2, False), (3, False)):
        train = synthetic_clicks(200_000, 0, order=order).train
        r = [np.corrcoef(column, train.label)[0, 1] for column in train.dense.T]
        assert (max(map(abs, r)) > 0.02) == knows


def test_pairs_of_tables_know_of_order_2_but_not_of_order_3():
    for order, low, high in ((2, 0.03, 1), (3, -1, 0.002)):
        clicks = synthetic_clicks(100_000, 0, order=order, num_tables=10, max_table_size=12)
        sizes, pairs = clicks.table_sizes, [(i, j) for i in range(10) for j in range(i)]
        splits = {}
        for name in ("train", "valid", "test"):
            rows = getattr(clicks, name)
            columns = [rows.sparse[:, i] * sizes[j] + rows.sparse[:, j] for i, j in pairs]
            splits[name] = md.Batch(rows.dense, np.stack(columns, axis=1), rows.label)
        table_sizes = [sizes[i] * sizes[j] for i, j in pairs]
        gain = one_feature_gain(replace(clicks, **splits, table_sizes=table_sizes))
        assert low < gain < high


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 2, 3, (1, 2), (1, 2, 3)])
def test_the_logit_has_the_strength_and_the_rate_that_are_told(order):
    p = synthetic_clicks(400_000, 0, order=order).probability
    assert np.std(np.log(p / (1 - p))) == pytest.approx(STRENGTH, rel=0.05)
    assert p.mean() == pytest.approx(CLICK_RATE, abs=0.005)


def test_latents_have_mean_0_and_variance_1(rng):
    latents = _features(rng, 100_000, 5, np.array([4, 5, 8, 30, 300]), 1.1)[2]
    np.testing.assert_allclose(latents.mean(axis=1), 0, atol=0.03)
    np.testing.assert_allclose(latents.var(axis=1), 1, atol=0.1)


def test_noise_mixes_the_probability_with_the_rate():
    clean, noisy = (synthetic_clicks(7000, 0, noise=noise).probability for noise in (0, 0.3))
    np.testing.assert_allclose(noisy, 0.7 * clean + 0.3 * CLICK_RATE)


def test_only_small_tables_whose_signs_balance_carry_a_product():
    sizes = np.array([500, 4, 6, 20, 8])
    assert _carriers(2, sizes, 1.5).tolist() == [4, 3]  # 4 and 6 ids cannot balance
    assert _carriers(3, sizes, 1.5).tolist() == [4, 3, 0]  # nor are there three small ones


@pytest.mark.parametrize("order", [1, 2, 3, (1, 2, 3)])
def test_every_order_leaves_something_to_learn(order):
    clicks = synthetic_clicks(50_000, 0, order=order)
    assert clicks.bayes_log_loss < 0.52  # the entropy of the rate is 0.56
    assert clicks.bayes_auc > 0.7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 13}, "rows is 13"),
        ({"order": 4}, "order is 4"),
        ({"order": ()}, r"order is \(\)"),
        ({"order": 2.0}, "order is 2.0"),
        ({"zipf": 0}, "zipf is 0"),
        ({"zipf": 2000}, r"zipf is 2000: it must lie in \(0, 10\]"),
        ({"zipf": 2.0, "order": 2}, "zipf is 2.0: the signs balance in 0 of 26 tables"),
        ({"noise": float("nan")}, "noise is nan"),
        ({"seed": -1}, "seed is -1"),
        ({"num_dense": -1}, "num_dense is -1"),
        ({"noise": 1.0}, "noise is 1.0"),
        ({"num_dense": 0, "num_tables": 0}, "at least one feature is needed"),
        ({"num_tables": 2, "order": 3}, "order 3 needs 3 tables; num_tables is 2"),
        ({"max_table_size": 3}, "max_table_size is 3"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        synthetic_clicks(**{"rows": 100, **options})


@pytest.mark.parametrize("name", ["rows", "seed", "num_tables", "max_table_size", "zipf", "noise"])
def test_arguments_of_the_wrong_type_are_named(name):
    with pytest.raises(TypeError, match=f"{name} is '9': it must be a"):
        synthetic_clicks(**{"rows": 100, name: "9"})


def test_the_fewest_rows_make_three_splits():
    clicks = synthetic_clicks(14, 0)
    assert (len(clicks.train), len(clicks.valid), len(clicks.test)) == (12, 1, 1)
    assert np.isnan(clicks.bayes_auc)  # one row has one class


def test_the_rows_of_a_seed_stay_what_they_were():
    """Results name a data set by its seed: another release must draw the same rows."""
    others = {"order": (3, 1), "noise": 0.2, "zipf": 0.8, "num_dense": 2, "num_tables": 9}
    others |= {"seed": 3, "max_table_size": 60}
    for options, known, rate, loss in [
        ({}, "9a8afd57aa24a9a4", 0.2831460589731899, 0.4916997256856906),
        (others, "3f9b094401c52f2f", 0.24067718543151512, 0.4118448234415634),
    ]:
        clicks, digest = synthetic_clicks(1400, **options), hashlib.sha256()
        for rows in (clicks.train, clicks.valid, clicks.test):
            digest.update(rows.sparse.astype("<i8").tobytes() + rows.label.astype("<f4").tobytes())
            digest.update(np.expm1(rows.dense).round().astype("<i8").tobytes())  # counts
        assert digest.hexdigest()[:16] == known
        assert clicks.probability.mean() == pytest.approx(rate, rel=1e-9)
        assert clicks.bayes_log_loss == pytest.approx(loss, rel=1e-9)


def test_names_and_words_say_how_it_was_made():
    clicks = synthetic_clicks(100, num_dense=2, num_tables=3, order=(2, 1), noise=0.25)
    assert clicks.feature_names == ["I1", "I2", "C1", "C2", "C3"]
    assert "signal of order 2, 1, noise 0.25, seed 0" in clicks.description


def test_arguments_may_reach_their_bounds():
    for options in (
        {"zipf": 10, "order": 1},
        {"max_table_size": 4, "order": 1},
        {"num_dense": 0, "num_tables": 1, "order": 1},
        {"num_tables": 0, "num_dense": 1, "order": 1},
    ):
        assert len(synthetic_clicks(100, **options).train) == 85


def test_a_constant_column_is_standardized_to_zero():
    np.testing.assert_array_equal(_standardize(np.full(4, 7.0)), 0)


def test_a_table_of_thirty_ids_is_still_small():
    assert sorted(_carriers(2, np.array([30, 8, 20]), 1.1).tolist()) == [0, 1, 2]
    assert sorted(_carriers(2, np.array([31, 8, 20]), 1.1).tolist()) == [1, 2]


def test_what_does_not_fit_into_memory_is_refused_at_once():
    for options in (
        {"num_dense": 10**13, "num_tables": 10**13},
        {"rows": 10**14},
        {"max_table_size": 10**14},
    ):
        with pytest.raises(ValueError, match="does not fit into memory"):
            synthetic_clicks(**{"rows": 100, **options})


def test_the_room_that_is_needed_is_that_of_all_features(monkeypatch):
    options = {"num_dense": 2, "num_tables": 3, "order": 1, "max_table_size": 4}
    needed = 14 * (2 + 3) * 8
    monkeypatch.setattr("minidlrm.arrays._memory", lambda: needed)
    assert len(synthetic_clicks(14, **options).train) == 12
    monkeypatch.setattr("minidlrm.arrays._memory", lambda: needed - 1)
    with pytest.raises(ValueError, match="rows, num_dense or num_tables: an array"):
        synthetic_clicks(14, **options)
