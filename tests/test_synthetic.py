"""Synthetic clicks: the planted truth is what it says."""

import numpy as np
import pytest

import minidlrm as md
from minidlrm.data.synthetic import CLICK_RATE, synthetic_clicks


def test_the_same_seed_gives_the_same_bits():
    a, b, c = (synthetic_clicks(2000, seed) for seed in (1, 1, 2))
    assert a.train.dense.tobytes() == b.train.dense.tobytes()
    assert a.train.sparse.tobytes() == b.train.sparse.tobytes()
    assert a.test.label.tobytes() == b.test.label.tobytes()
    assert a.train.sparse.tobytes() != c.train.sparse.tobytes()


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


def test_no_single_feature_knows_of_a_higher_order():
    assert one_feature_gain(synthetic_clicks(200_000, 0, order=1)) > 0.006
    for order in (2, 3):
        assert one_feature_gain(synthetic_clicks(200_000, 0, order=order)) < 0.0005


@pytest.mark.parametrize("order", [1, 2, 3, (1, 2, 3)])
def test_every_order_leaves_something_to_learn(order):
    clicks = synthetic_clicks(50_000, 0, order=order)
    assert clicks.bayes_log_loss < 0.52  # the entropy of the rate is 0.56
    assert clicks.bayes_auc > 0.7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 13}, "rows is 13"),
        ({"order": 4}, r"order is \(4,\)"),
        ({"order": ()}, r"order is \(\)"),
        ({"zipf": 0}, "zipf is 0"),
        ({"noise": 1.0}, "noise is 1.0"),
        ({"num_dense": 0, "num_tables": 0}, "no features"),
        ({"num_tables": 2, "order": 3}, "order 3 needs 3 tables; num_tables is 2"),
        ({"max_table_size": 3}, "max_table_size is 3"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        synthetic_clicks(**{"rows": 100, **options})
