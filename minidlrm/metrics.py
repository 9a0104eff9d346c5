"""Metrics of click models, rating models and rankings.

Click metrics take logits where the argument is called `logit`, and are computed without
overflow. All are of whole arrays: an AUC averaged over batches is not an AUC.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidlrm.arrays import as_flag, as_size, doubles, paired, row_weights, shuffling

_BLOCK = 1 << 18  # rows that are drawn at a time: a bound of memory, without effect on the draws


def log_loss(
    label: np.ndarray, logit: np.ndarray, sample_weight: np.ndarray | None = None
) -> float:
    r"""Return the mean of :math:`-[y \log p + (1 - y) \log(1 - p)]`, p = 1 / (1 + exp(-x)).

    Parameters
    ----------
    label : array (B,)
        y, 0 or 1, or a click rate between them.
    logit : array (B,)
        x.
    sample_weight : array (B,), optional
        How much each row counts. The default is 1 for all.

    Returns
    -------
    float
        In nats.

    Raises
    ------
    ValueError
        When shapes differ, there are no rows, a value is NaN, or a label is outside [0, 1].

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> round(md.metrics.log_loss(np.array([0, 1]), np.array([0.0, 0.0])), 6)   # ln 2
    0.693147
    """
    label, logit = _clicks(label, logit, "logit")
    # One exponent with the label's sign: exact for large logits, and inf - inf cannot arise.
    terms = np.logaddexp(0, np.where(label == 1, -logit, logit))  # (B,)
    rate = (label > 0) & (label < 1)
    y, x = label[rate], logit[rate]
    terms[rate] = y * np.logaddexp(0, -x) + (1 - y) * np.logaddexp(0, x)
    return _mean(terms, sample_weight)


def auc(label: np.ndarray, score: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
    """Return the probability that a click scores higher than a non-click; ties count half.

    The area under the ROC curve, by counting pairs in sorted scores. A row with a click rate y
    counts as y clicks and 1 - y non-clicks.

    Parameters
    ----------
    label : array (B,)
        0 or 1, or a rate between them.
    score : array (B,)
        Anything that orders: logits or probabilities.
    sample_weight : array (B,), optional
        How much each row counts. The default is 1 for all.

    Returns
    -------
    float
        0.5 for a random order, 1 for a perfect one; nan when only one class is there.

    Raises
    ------
    ValueError
        As in `log_loss`.

    References
    ----------
    Mann and Whitney 1947, "On a test of whether one of two random variables is stochastically
    larger than the other"; Hanley and McNeil 1982, "The meaning and use of the area under a
    receiver operating characteristic (ROC) curve".

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> md.metrics.auc(np.array([0, 1, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4]))
    0.75
    """
    label, score = _clicks(label, score, "score")
    if sample_weight is not None:
        weight = row_weights("sample_weight", sample_weight, label.shape)
        clicks, others = weight * label, weight * (1 - label)
        pairs = float(clicks.sum() * others.sum())
        return _ordered(score, clicks, others) / pairs if pairs else float("nan")
    positives = label.sum()
    negatives = len(label) - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    if not ((label == 0) | (label == 1)).all():
        return _ordered(score, label, 1 - label) / float(positives * negatives)
    clicks, others = np.sort(score[label == 1]), np.sort(score[label == 0])
    below, not_above = (np.searchsorted(others, clicks, side).sum() for side in ("left", "right"))
    return float((int(below) + int(not_above)) / 2 / (positives * negatives))


def _ordered(score: np.ndarray, clicks: np.ndarray, others: np.ndarray) -> float:
    """Return the weight of the pairs (click, non-click) in the right order; ties count half."""
    _, group = np.unique(score, return_inverse=True)  # (B,)
    clicks, others = np.bincount(group, clicks), np.bincount(group, others)  # (scores,)
    return float(np.sum(clicks * (np.cumsum(others) - others / 2)))


def _mean(values: np.ndarray, weight: np.ndarray | None) -> float:
    if weight is None:
        return float(np.mean(values))
    return float(np.average(values, weights=row_weights("sample_weight", weight, values.shape)))


def normalized_entropy(
    label: np.ndarray, logit: np.ndarray, sample_weight: np.ndarray | None = None
) -> float:
    """Return the log loss divided by that of always predicting the mean label.

    Below 1, the features say something. nan when only one class is there.

    Parameters
    ----------
    label, logit, sample_weight : array (B,)
        As in `log_loss`.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        As in `log_loss`.

    References
    ----------
    He et al. 2014, "Practical lessons from predicting clicks on ads at Facebook", section 2.1.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> md.metrics.normalized_entropy(np.array([0, 1]), np.array([0.0, 0.0]))
    1.0
    """
    return log_loss(label, logit, sample_weight) / entropy(label, sample_weight)


def entropy(label: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
    """Return the log loss of always predicting the mean label, in nats.

    Parameters
    ----------
    label : array (B,)
        0 or 1, or rates.
    sample_weight : array (B,), optional
        How much each row counts. The default is 1 for all.

    Returns
    -------
    float
        nan when only one class is there, as the other metrics.

    Raises
    ------
    ValueError
        When there are no rows, or a label is outside [0, 1].

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> round(md.metrics.entropy(np.array([0, 1])), 6)   # ln 2
    0.693147
    """
    rate = _mean(_clicks(label, label, "label")[0], sample_weight)
    if rate in (0.0, 1.0):
        return float("nan")
    return float(-(rate * np.log(rate) + (1 - rate) * np.log1p(-rate)))


def accuracy(
    label: np.ndarray, logit: np.ndarray, sample_weight: np.ndarray | None = None
) -> float:
    """Return the share of rows where (logit > 0) is the label; of a rate, the share of clicks.

    Parameters
    ----------
    label, logit, sample_weight : array (B,)
        As in `log_loss`.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        As in `log_loss`.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> md.metrics.accuracy(np.array([0, 1]), np.array([-1.0, -1.0]))
    0.5
    """
    label, logit = _clicks(label, logit, "logit")
    return _mean(np.where(logit > 0, label, 1 - label), sample_weight)


def calibration(
    label: np.ndarray, logit: np.ndarray, sample_weight: np.ndarray | None = None
) -> float:
    """Return the expected number of clicks over the observed one; 1 is right on average.

    Parameters
    ----------
    label, logit, sample_weight : array (B,)
        As in `log_loss`.

    Returns
    -------
    float
        nan when there is no click.

    Raises
    ------
    ValueError
        As in `log_loss`.

    References
    ----------
    He et al. 2014, "Practical lessons from predicting clicks on ads at Facebook", section 2.1.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> md.metrics.calibration(np.array([0, 1]), np.array([0.0, 0.0]))
    1.0
    """
    label, logit = _clicks(label, logit, "logit")
    expected = np.exp(-np.logaddexp(0, -logit))
    if sample_weight is not None:
        weight = row_weights("sample_weight", sample_weight, label.shape)
        label, expected = weight * label, weight * expected
    clicks = label.sum()
    return float(expected.sum() / clicks) if clicks else float("nan")


def rmse(
    target: np.ndarray, prediction: np.ndarray, sample_weight: np.ndarray | None = None
) -> float:
    """Return the root of the mean squared error.

    Parameters
    ----------
    target, prediction : array (B,)
        Ratings.
    sample_weight : array (B,), optional
        How much each row counts. The default is 1 for all.

    Returns
    -------
    float
        In units of the rating.

    Raises
    ------
    ValueError
        When shapes differ, there are no rows, or a value is NaN.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> md.metrics.rmse(np.array([3.0, 5.0]), np.array([4.0, 4.0]))
    1.0
    """
    target, prediction = paired("target", target, "prediction", prediction)
    return float(np.sqrt(_mean((target - prediction) ** 2, sample_weight)))


def hit_rate(scores: np.ndarray, k: int = 10) -> float:
    """Return the share of users whose own item is among the k best of their list.

    Parameters
    ----------
    scores : array (U, 1 + n)
        For each user the score of the item that was left out, in column 0, and of n items
        that the user has not met.
    k : int
        Length of the recommended list.

    Returns
    -------
    float
        HR@k. Among ties every order is equally likely,
        and the mean over them counts: constant scores get k / (1 + n), as a guess would.

    Raises
    ------
    ValueError
        When `scores` is not an array of that shape, has NaN, or k < 1.

    References
    ----------
    He et al. 2017, "Neural collaborative filtering", section 4.1.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> md.metrics.hit_rate(np.array([[0.9, 0.1, 0.2], [0.1, 0.2, 0.3]]), k=1)
    0.5
    """
    return _mean_gain(scores, k, np.ones_like)


def ndcg(scores: np.ndarray, k: int = 10) -> float:
    """Return the mean of 1 / log2(place + 2) for left-out items among the k best, else 0.

    Parameters
    ----------
    scores, k
        As `hit_rate`; `place` is 0 for the best item.

    Returns
    -------
    float
        NDCG@k for one relevant item, ties as `hit_rate`.

    Raises
    ------
    ValueError
        As in `hit_rate`.

    References
    ----------
    He et al. 2017, "Neural collaborative filtering", section 4.1.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> md.metrics.ndcg(np.array([[0.9, 0.1, 0.2], [0.1, 0.2, 0.0]]), k=1)
    0.5
    """
    return _mean_gain(scores, k, lambda place: 1 / np.log2(place + 2))


def _mean_gain(scores: np.ndarray, k: int, gain: Callable[[np.ndarray], np.ndarray]) -> float:
    """Return the mean of gain(place) of column 0, 0 from place k on; tied places share theirs."""
    scores, k = doubles("scores", scores), as_size("k", k)
    if scores.ndim != 2 or scores.shape[0] == 0 or scores.shape[1] < 2:
        raise ValueError(f"scores has shape {scores.shape}: expected (U, 1 + n), not empty")
    if np.isnan(scores).any():
        raise ValueError("scores has NaN")
    own, others = scores[:, :1], scores[:, 1:]
    first = (others > own).sum(axis=1)  # (U,) the best place that ties allow
    count = (others == own).sum(axis=1) + 1  # (U,) how many places are tied, its own included
    place = np.arange(scores.shape[1], dtype=np.float64)  # (1 + n,)
    total = np.concatenate([[0.0], np.cumsum(np.where(place < k, gain(place), 0))])  # (2 + n,)
    return float(np.mean((total[first + count] - total[first]) / count))


def paired_interval(
    first: np.ndarray, second: np.ndarray, seed: int = 0, root: bool = False
) -> tuple[float, float]:
    """Return a 95% interval of the difference of two mean losses, by a paired bootstrap.

    Parameters
    ----------
    first, second : array (n,)
        Losses of two models on the same rows; or gains of two on the same users.
    seed : int
        Seed of the resamples.
    root : bool
        Whether to compare the roots of the means: RMSE, given squared errors.

    Returns
    -------
    (float, float)
        When it holds 0, the rows do not tell the two models apart.

    Raises
    ------
    ValueError
        When shapes differ, there are no rows, or a value is NaN.

    References
    ----------
    Efron and Tibshirani 1993, "An introduction to the bootstrap", chapter 13.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.metrics import paired_interval
    >>> paired_interval(np.ones(100), np.zeros(100))
    (1.0, 1.0)
    """
    first, second = paired("first", first, "second", second)
    root = as_flag("root", root)
    rng, n = shuffling(seed), len(first)
    at_once = max(1, _BLOCK // n)  # resamples
    sizes = [min(at_once, 1000 - start) for start in range(0, 1000, at_once)]
    blocks = (rng.integers(0, n, (size, n)) for size in sizes)
    means = np.concatenate(
        [np.stack([first[rows].mean(axis=1), second[rows].mean(axis=1)], axis=1) for rows in blocks]
    )
    if root:
        means = np.sqrt(means)
    low, high = np.percentile(means[:, 0] - means[:, 1], [2.5, 97.5])
    return float(low), float(high)


def _clicks(label: Any, score: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    label, score = paired("label", label, name, score)
    wrong = (label < 0) | (label > 1)
    if wrong.any():
        place = int(wrong.argmax())
        raise ValueError(f"label[{place}] is {label[place]}: it must lie in [0, 1]")
    return label, score
