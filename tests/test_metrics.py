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
    for ranked in (scores, scores.round()):  # rounded, so that there are ties
        ours = metrics.ndcg(ranked, k=5)
        assert ours == pytest.approx(sklearn.ndcg_score(relevance, ranked, k=5))


@given(st.integers(0, 2**32 - 1))
def test_auc_is_the_share_of_ordered_pairs(seed):
    label, logit = case(seed, 30)
    if 0 < label.sum() < 30:
        difference = logit[label == 1][:, None] - logit[label == 0]
        share = np.mean((difference > 0) + 0.5 * (difference == 0))
        assert metrics.auc(label, logit) == pytest.approx(share)


@given(st.integers(0, 2**32 - 1))
def test_auc_sees_only_the_order(seed):
    label, logit = case(seed, 30)
    if 0 < label.sum() < 30:
        area = metrics.auc(label, logit)
        assert metrics.auc(label, np.exp(logit)) == area
        assert metrics.auc(1 - label, logit) == pytest.approx(1 - area)


@given(st.integers(0, 2**32 - 1))
def test_swapping_the_classes_keeps_the_losses(seed):
    label, logit = case(seed, 30)
    assert metrics.log_loss(1 - label, -logit) == metrics.log_loss(label, logit)
    if 0 < label.sum() < 30:
        swapped = metrics.normalized_entropy(1 - label, -logit)
        assert swapped == pytest.approx(metrics.normalized_entropy(label, logit))


def test_float32_input_is_summed_in_float64():
    label, logit = np.zeros(300_000, np.float32), np.full(300_000, 0.1, np.float32)
    expected = np.log1p(np.exp(np.float64(logit[0])))
    assert metrics.log_loss(label, logit) == pytest.approx(expected, rel=1e-12)
    for metric in (*CLICK_METRICS, metrics.rmse):
        assert type(metric(label, logit)) is float
    for metric in (metrics.hit_rate, metrics.ndcg):
        assert type(metric(np.zeros((2, 3), np.float32))) is float


def test_accuracy_and_rmse_by_hand():
    assert metrics.accuracy(np.array([1, 1, 0, 0]), np.array([2.0, -1, -3, -4])) == 0.75
    assert metrics.rmse(np.array([1.0, 2, 3]), np.array([1.0, 2, 6])) == pytest.approx(np.sqrt(3))


def test_a_small_loss_is_not_rounded_to_zero():
    loss = metrics.log_loss(np.array([1]), np.array([40.0]))
    assert loss == pytest.approx(np.exp(-40), rel=1e-9, abs=0)


def test_infinite_logits_have_a_loss():
    logit = np.array([np.inf, -np.inf])
    with np.errstate(invalid="raise"):
        assert metrics.log_loss(np.array([1, 0]), logit) == 0
        assert metrics.log_loss(np.array([0, 0]), logit) == np.inf


def test_large_logits_do_not_overflow():
    with np.errstate(over="raise"):
        assert metrics.calibration(np.array([1, 0]), np.array([1000.0, -1000.0])) == 1
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


@pytest.mark.parametrize(("items", "k"), [(100, 10), (13, 10), (10, 5), (5, 10)])
def test_constant_scores_get_what_a_guess_gets(items, k):
    scores = np.zeros((3, items))
    gains = 1 / np.log2(np.arange(min(k, items)) + 2)
    assert metrics.hit_rate(scores, k) == pytest.approx(min(k, items) / items)
    assert metrics.ndcg(scores, k) == pytest.approx(gains.sum() / items)


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_ties_are_the_mean_over_all_their_orders(seed, k):
    scores = np.random.default_rng(seed).integers(0, 3, (1, 6)).astype(float)
    above, ties = (scores[0, 1:] > scores[0, 0]).sum(), (scores[0, 1:] == scores[0, 0]).sum()
    places = range(above, above + ties + 1)
    assert metrics.hit_rate(scores, k) == pytest.approx(np.mean([p < k for p in places]))
    gains = [1 / np.log2(p + 2) if p < k else 0 for p in places]
    assert metrics.ndcg(scores, k) == pytest.approx(np.mean(gains))


@pytest.mark.parametrize("metric", CLICK_METRICS)
def test_bad_clicks_are_named(metric):
    with pytest.raises(ValueError, match=r"label has shape \(2,\)"):
        metric(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="label is empty"):
        metric(np.zeros(0), np.zeros(0))
    with pytest.raises(ValueError, match=r"(logit|score)\[1\] is NaN"):
        metric(np.zeros(2), np.array([0, np.nan]))
    with pytest.raises(ValueError, match=r"label\[0\] is 4.0: it must lie in \[0, 1\]"):
        metric(np.array([4.0, 1]), np.zeros(2))


def test_bad_ratings_are_named():
    with pytest.raises(ValueError, match=r"target has shape \(2,\)"):
        metrics.rmse(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match=r"prediction\[0\] is NaN"):
        metrics.rmse(np.zeros(1), np.array([np.nan]))


def test_bad_rankings_are_named():
    with pytest.raises(ValueError, match="expected"):
        metrics.hit_rate(np.zeros((2, 1)))
    with pytest.raises(ValueError, match="k is 0"):
        metrics.ndcg(np.zeros((2, 3)), 0)
    with pytest.raises(ValueError, match="NaN"):
        metrics.ndcg(np.array([[np.nan, 1.0]]))


def test_click_rates_count_as_many_clicks_and_non_clicks(rng):
    """A row with the rate k / 4 is four rows with k clicks."""
    clicks, score = rng.integers(0, 5, 30), rng.normal(size=30).round(1)
    repeated = np.array([[j < k for j in range(4)] for k in clicks], float).ravel()
    for metric in (metrics.log_loss, metrics.auc, metrics.normalized_entropy, metrics.accuracy):
        rates = metric(clicks / 4, score)
        assert rates == pytest.approx(metric(repeated, np.repeat(score, 4)), rel=1e-12)
    assert metrics.calibration(clicks / 4, score) == pytest.approx(
        metrics.calibration(repeated, np.repeat(score, 4))
    )
    assert metrics.entropy(clicks / 4) == pytest.approx(metrics.entropy(repeated))


def test_rates_at_endless_logits():
    assert metrics.log_loss(np.array([0.5]), np.array([np.inf])) == np.inf
    assert metrics.log_loss(np.array([1.0, 0.0]), np.array([np.inf, -np.inf])) == 0


@pytest.mark.parametrize(
    "name", ["log_loss", "auc", "normalized_entropy", "accuracy", "calibration", "rmse"]
)
def test_a_row_of_weight_k_counts_as_k_rows(name):
    rng, metric = np.random.default_rng(0), getattr(metrics, name)
    label, logit = rng.integers(0, 2, 50).astype(float), rng.normal(size=50).round(1)  # ties too
    k = rng.integers(0, 4, 50)
    expected = metric(np.repeat(label, k), np.repeat(logit, k))
    assert metric(label, logit, k.astype(float)) == pytest.approx(expected)
    assert metric(label, logit) != pytest.approx(expected)


@pytest.mark.parametrize("label", [[0.2, 0.7, 0.4], [0.2, 1.0, 0.4], [0.2, 0.0, 0.4]])
def test_a_rate_is_a_click_and_a_non_click_of_these_weights(label):
    score = np.array([0.3, 0.1, 0.9])
    rates = np.array(label)
    twice, weights = np.r_[score, score], np.r_[rates, 1 - rates]
    both = metrics.auc(np.r_[np.ones(3), np.zeros(3)], twice, weights)
    assert metrics.auc(rates, score) == pytest.approx(both)


def test_entropy_is_that_of_the_mean_label():
    label = np.array([1.0, 0, 0, 0])
    assert metrics.entropy(label) == pytest.approx(-(0.25 * np.log(0.25) + 0.75 * np.log(0.75)))
    for one_class in (np.zeros(3), np.ones(3)):
        assert np.isnan(metrics.entropy(one_class))
    for bad in (-0.1, 1.1):
        with pytest.raises(ValueError, match=r"label\[1\] is"):
            metrics.entropy(np.array([0.5, bad]))


def test_a_logit_of_zero_is_no_predicted_click():
    assert metrics.accuracy(np.array([0.0, 1]), np.zeros(2)) == 0.5
    assert metrics.accuracy(np.array([0.0]), np.zeros(1)) == 1


def test_one_class_alone_has_no_auc_with_weights_either():
    score, weight = np.arange(3.0), np.array([1.0, 2, 3])
    for label in (np.zeros(3), np.ones(3)):
        assert np.isnan(metrics.auc(label, score))
        assert np.isnan(metrics.auc(label, score, weight))
    one = np.array([0.0, 1, 1])
    assert metrics.auc(one, score, np.array([0.5, 0.2, 0.1])) == 1
    assert metrics.auc(one, score) == 1


def test_rankings_need_users_and_another_item():
    for shape in ((3,), (0, 3), (2, 1), (2, 2, 2)):
        with pytest.raises(ValueError, match=r"expected \(U, 1 \+ n\), not empty"):
            metrics.hit_rate(np.zeros(shape))
    assert metrics.hit_rate(np.array([[2.0, 1]]), 1) == 1
    assert metrics.hit_rate(np.array([np.arange(11.0)[::-1], np.arange(11.0)])) == 0.5  # k is 10
    assert metrics.ndcg(np.arange(11.0)[None]) == 0
    assert metrics.ndcg(np.r_[1.5, np.arange(10.0)][None]) == pytest.approx(1 / np.log2(10))


@pytest.mark.parametrize(("n", "block"), [(5, None), (700, None), (9, 3), (9, 30)])
def test_the_interval_is_the_percentiles_of_a_thousand_resamples(n, block, monkeypatch):
    monkeypatch.setattr(metrics, "_BLOCK", block or metrics._BLOCK)
    rng = np.random.default_rng(3)
    first, second = rng.random(n), rng.random(n)
    draws = np.random.default_rng(0)
    rows = np.concatenate([draws.integers(0, n, (1, n)) for _ in range(1000)])
    for root, shape in ((False, lambda mean: mean), (True, np.sqrt)):
        differences = shape(first[rows].mean(axis=1)) - shape(second[rows].mean(axis=1))
        expected = np.percentile(differences, [2.5, 97.5])
        got = metrics.paired_interval(first, second, root=root)
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert metrics.paired_interval(first, second) != metrics.paired_interval(first, second, 1)


def test_clicks_are_counted_and_only_rates_and_weights_take_the_slow_way(monkeypatch):
    calls = []
    monkeypatch.setattr(metrics, "_ordered", lambda *given: calls.append(1) or 1.0)
    for label in ([0, 1], [1, 0, 1], [False, True]):
        metrics.auc(label, np.arange(len(label)))
    assert not calls
    for label, weight in (([0, 0.5], None), ([1, 0.5], None), ([0, 1], [1.0, 2.0])):
        metrics.auc(label, np.arange(2), weight)
    assert len(calls) == 3
