"""Metrics: known answers, bad input, and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidlrm import metrics

CLICK_METRICS = [
    metrics.log_loss,
    metrics.auc,
    metrics.normalized_entropy,
    metrics.accuracy,
    metrics.calibration,
]


def case(seed, n=200):
    rng = np.random.default_rng(seed)
    logit = rng.normal(size=n).round(1)  # rounded, so that there are ties
    return (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(float), logit


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(5))
def test_scikit_learn_agrees(seed):
    sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    label, logit = case(seed)
    p = 1 / (1 + np.exp(-logit))
    assert metrics.log_loss(label, logit) == pytest.approx(sklearn.log_loss(label, p), rel=1e-12)
    assert metrics.auc(label, logit) == pytest.approx(sklearn.roc_auc_score(label, p), rel=1e-12)
    assert metrics.accuracy(label, logit) == sklearn.accuracy_score(label, p > 0.5)
    assert metrics.rmse(label, logit) == pytest.approx(
        sklearn.root_mean_squared_error(label, logit), rel=1e-12
    )
    scores = np.random.default_rng(seed).normal(size=(30, 20))
    relevance = np.zeros((30, 20))
    relevance[:, 0] = 1
    assert metrics.ndcg(scores, k=5) == pytest.approx(sklearn.ndcg_score(relevance, scores, k=5))


@given(st.integers(0, 2**32 - 1))
def test_auc_is_the_share_of_ordered_pairs(seed):
    label, logit = case(seed, 30)
    if 0 < label.sum() < 30:
        difference = logit[label == 1][:, None] - logit[label == 0]
        share = np.mean((difference > 0) + 0.5 * (difference == 0))
        assert metrics.auc(label, logit) == pytest.approx(share)


def test_large_logits_do_not_overflow():
    with np.errstate(over="raise"):
        assert metrics.log_loss(np.array([1, 0]), np.array([1000.0, -1000.0])) == 0
        assert metrics.log_loss(np.array([0, 1]), np.array([1000.0, -1000.0])) == 1000


def test_normalized_entropy_of_the_mean_label_is_one():
    label = np.array([1.0, 0, 0, 0])
    assert metrics.normalized_entropy(label, np.full(4, np.log(1 / 3))) == pytest.approx(1)


def test_calibration_of_twice_the_rate_is_two():
    label = np.array([1.0, 0, 0, 0])
    assert metrics.calibration(label, np.zeros(4)) == pytest.approx(2)


def test_one_class_has_no_auc():
    assert np.isnan(metrics.auc(np.ones(3), np.arange(3.0)))
    assert np.isnan(metrics.normalized_entropy(np.ones(3), np.arange(3.0)))
    assert np.isnan(metrics.calibration(np.zeros(3), np.arange(3.0)))


def test_ranking_by_hand():
    scores = np.array([[3.0, 1, 2], [1, 2, 3], [2, 3, 1]])  # places 0, 2, 1
    assert metrics.hit_rate(scores, 1) == pytest.approx(1 / 3)
    assert metrics.hit_rate(scores, 2) == pytest.approx(2 / 3)
    assert metrics.ndcg(scores, 2) == pytest.approx((1 + 1 / np.log2(3)) / 3)


def test_constant_scores_do_not_win():
    assert metrics.hit_rate(np.zeros((5, 100)), k=10) == 0


@pytest.mark.parametrize("metric", CLICK_METRICS)
def test_bad_clicks_are_named(metric):
    with pytest.raises(ValueError, match=r"label has shape \(2,\)"):
        metric(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="label is empty"):
        metric(np.zeros(0), np.zeros(0))
    with pytest.raises(ValueError, match=r"(logit|score)\[1\] is NaN"):
        metric(np.zeros(2), np.array([0, np.nan]))
    with pytest.raises(ValueError, match=r"label\[0\] is 4.0: it must be 0 or 1"):
        metric(np.array([4.0, 1]), np.zeros(2))


def test_bad_rankings_are_named():
    with pytest.raises(ValueError, match="expected"):
        metrics.hit_rate(np.zeros((2, 1)))
    with pytest.raises(ValueError, match="k is 0"):
        metrics.ndcg(np.zeros((2, 3)), 0)
    with pytest.raises(ValueError, match="NaN"):
        metrics.ndcg(np.array([[np.nan, 1.0]]))
