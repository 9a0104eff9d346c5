"""Causes by arithmetic alone: how many wrong pairs are named rightly, and what is said of them."""

import collections

import blind_pairs_1  # noqa: F401  they enter their pairs
import blind_pairs_2  # noqa: F401
import blind_pairs_3  # noqa: F401
import blind_pairs_4  # noqa: F401
import more_wrong_pairs  # noqa: F401
import numpy as np
import pytest
from corpus_truth import TRUTH
from wrong_pairs import PAIRS

import minidlrm as md
from minidlrm.checking import CATALOGUE


def judged(report, right, vague):
    """Return "missed", "right", "vague", "none" or "misleading"."""
    if report.passed:
        return "missed"
    key = report.diagnosis[0].key
    if key in right:
        return "right"
    if key == "random":
        return "none"
    return "vague" if key in vague else "misleading"


def score(cases):
    """Count the verdicts; name what is not right, for the message of a failure."""
    counts, names = collections.Counter(), collections.defaultdict(list)
    for name, (target, *inputs), right, vague in cases:
        with np.errstate(all="ignore"):
            verdict = judged(md.gradcheck(target, *inputs, verbose=False), right, vague)
        counts[verdict] += 1
        if verdict != "right":
            names[verdict].append(name)
    return counts, dict(names)


def test_every_truth_names_keys_of_the_catalogue():
    for wrong in PAIRS.values():
        assert wrong.right | wrong.vague <= set(CATALOGUE), wrong.truth
    for right, vague in TRUTH.values():
        assert {*right.split(), *vague.split()} & set(CATALOGUE)


def cases_of(module):
    of_it = {name: w for name, w in PAIRS.items() if w.make.__module__ == module}
    return [(n, w.make(np.random.default_rng(1)), w.right, w.vague) for n, w in of_it.items()]


MORE = ("more_wrong_pairs", *(f"blind_pairs_{k}" for k in (1, 2, 3, 4)))


@pytest.mark.parametrize(
    "module", ["wrong_pairs", *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)]
)
def test_own_pairs_are_caught_and_named(module):
    cases = cases_of(module)
    assert len(cases) > 40
    counts, names = score(cases)
    assert counts["missed"] == 0, names
    assert counts["right"] >= 0.88 * len(cases), names
    assert counts["misleading"] <= 0.04 * len(cases), names


# What is said


def first(forward, backward, *inputs):
    report = md.gradcheck((forward, backward), *inputs, verbose=False)
    assert not report.passed
    return report.diagnosis[0]


X = np.random.default_rng(1).normal(size=(6, 4))


def test_a_factor_is_not_read_off_one_number():
    """Two numbers always have a ratio."""

    def forward(w, b):
        return (X @ w + b - 1) ** 2, (w, b)

    def backward(dy, cache):
        w, b = cache
        e = 2 * dy * (X @ w + b - 1)
        return X.T @ e, np.array([e.sum()]) + 0.1 * b * dy.sum()

    w, b = np.random.default_rng(2).normal(size=4), np.array([0.7])
    assert first(forward, backward, w, b).key == "term"


def test_a_factor_stands_below_what_is_not_linear():
    def backward(dy):
        dx = dy * np.cos(X)
        return dx / np.linalg.norm(dx)

    cause = first(np.sin, backward, X)
    assert cause.key == "not_linear"


def test_clipping_is_told_from_a_factor():
    cause = first(np.sin, lambda dy: np.clip(dy * np.cos(X), -0.2, 0.2), X)
    assert cause.key == "not_linear"
    assert "It is clipped" in cause.evidence


def test_random_numbers_in_backward_are_not_called_an_earlier_forward():
    rng = np.random.default_rng(0)
    cause = first(lambda x: 2 * x, lambda dy: 2 * dy * (rng.random(dy.shape) > 0.5), X)
    assert cause.key == "noise"
    assert "draws its own random numbers" in cause.evidence


def test_a_weight_of_a_dense_layer_is_not_called_a_table():
    """Its rows 0 to 3 are wrong, and the ids 0 to 3 occur more than once."""

    class DLRM(md.DLRM):
        def backward(self, dy):
            super().backward(dy / len(dy))

    rng = np.random.default_rng(1)
    batch = md.Batch(rng.normal(size=(6, 3)), rng.integers(0, 4, (6, 3)))
    report = md.gradcheck(DLRM(3, [5, 4, 6], 3, (4,), (5,), seed=1), batch, verbose=False)
    assert report.diagnosis[0].key == "batch_twice"
    assert "duplicates" not in [cause.key for cause in report.diagnosis]


@pytest.mark.parametrize("wrong", ["2 x", lambda dy: dy.sum(), np.full((6, 4), np.nan)])
def test_a_wrong_form_is_not_called_zero(wrong):
    report = md.gradcheck(
        (np.square, lambda dy: wrong(dy) if callable(wrong) else wrong), X, verbose=False
    )
    assert report.diagnosis[0].key in ("shape", "nan")
    assert "zero" not in [cause.key for cause in report.diagnosis]


def test_gradients_in_another_order_are_told_by_their_shapes():
    def backward(dy, cache):
        x, w = cache
        return x.T @ dy, dy @ w.T

    w = np.random.default_rng(2).normal(size=(4, 3))
    cause = first(lambda x, w: (x @ w, (x, w)), backward, X, w)
    assert cause.key == "order"
    assert "is right for w, x, in this order" in cause.evidence


def test_a_penalty_with_the_wrong_sign_is_not_called_missing():
    def forward(w, x):
        return np.sum(np.tanh(x @ w)) + 0.05 * np.sum(w**2), (w, x)

    def backward(dy, cache):
        w, x = cache
        slope = dy * (1 - np.tanh(x @ w) ** 2)
        return x.T @ slope - dy * 0.1 * w, np.outer(slope, w)

    cause = first(forward, backward, np.random.default_rng(2).normal(size=4), X)
    assert cause.key == "term"
    assert "-1 of the right one" in cause.evidence


def test_what_explains_all_wrong_arrays_comes_before_what_explains_one():
    """Both are divided by B; of the square W alone one could say something else, too."""

    def backward(dy, cache):
        x, w = cache
        return dy @ w.T / len(dy), x.T @ dy / len(dy)

    cause = first(lambda x, w: (x @ w, (x, w)), backward, X, np.eye(4) + 0.1)
    assert cause.key == "batch_twice"


@pytest.mark.parametrize(
    ("key", "words", "backward"),
    [
        ("branch", "exactly where x is below 0", lambda dy, x: dy * np.where(x > 0, 1, 0.3)),
        ("mask_inverted", "the branches are exchanged", lambda dy, x: dy * np.where(x > 0, 0.1, 1)),
        ("slope_forgotten", "dy itself", lambda dy, x: dy),
    ],
)
def test_a_leaky_relu(key, words, backward):
    cause = first(lambda x: (np.where(x > 0, x, 0.1 * x), x), backward, X)
    assert cause.key == key
    assert words in cause.evidence


def test_the_formula_that_was_computed_is_written_down():
    def forward(x, w, v):
        h = np.tanh(x @ w)
        return h @ v, (x, w, v, h)

    def backward(dy, cache):
        _, w, v, h = cache
        d = (dy @ v.T) * (1 - h * h)
        return d @ w.T, h.T @ d, h.T @ dy

    rng = np.random.default_rng(3)
    cause = first(forward, backward, X, rng.normal(size=(4, 4)), rng.normal(size=(4, 3)))
    assert cause.key == "operand"
    assert "right is x.T @ [(dy @ v.T)" in cause.evidence


# Where nothing fits


def off_in_a_column(dy, cache):
    x, w = cache
    dw = x.T @ dy
    dw[:, 2] = np.random.default_rng(9).normal(size=(4, 4)) @ dw[:, 2]
    return dy @ w.T, dw


def test_when_nothing_fits_the_report_says_where_it_is_wrong():
    cause = first(lambda x, w: (x @ w, (x, w)), off_in_a_column, X, np.eye(4) + 0.3)
    assert cause.key == "random"
    assert "The gradient of x is right." in cause.evidence
    assert "Along axis 1 only 2 are wrong, of 4." in cause.evidence
    assert "The dy of the outputs 2 along axis 1 are sent back wrong" in cause.evidence


def test_when_nothing_fits_the_smallest_example_is_shown():
    """Any size fails, so one sample with one feature is enough."""
    matrix = np.random.default_rng(9).normal(size=(4, 4))

    def backward(dy, cache):
        x, w = cache
        return dy @ w.T @ matrix[: len(w), : len(w)], x.T @ dy

    w = np.random.default_rng(2).normal(size=(4, 3))
    cause = first(lambda x, w: (x @ w, (x, w)), backward, X, w)
    assert cause.key == "random"
    assert "It fails with x (1, 1), w (1, 1) already" in cause.evidence


# What is chance


def keys(forward, backward, *inputs):
    report = md.gradcheck((forward, backward), *inputs, verbose=False)
    assert not report.passed
    return [cause.key for cause in report.diagnosis]


def test_what_fits_at_the_given_inputs_alone_is_left_out():
    """The wrong entries lie between two numbers of p by chance: the labels decide."""

    def forward(p, t):
        return -np.mean(t * np.log(p) + (1 - t) * np.log(1 - p)), (p, t)

    def backward(dy, c):
        p, t = c
        return dy * (-t / p - (1 - t) / (1 - p)) / len(p)

    p = np.random.default_rng(1).random(8) * 0.8 + 0.1
    cause = first(forward, backward, p, np.array([0, 1, 1, 0, 1, 0, 0, 1.0]))
    assert cause.key == "branch"
    assert "exactly where t is 0" in cause.evidence


def test_a_factor_that_follows_the_inputs_is_not_called_a_constant():
    def forward(x):
        return np.sqrt((x * x).mean()), x

    cause = first(forward, lambda dy, x: dy * x / x.size, X)
    assert cause.key == "factor"
    assert "on other inputs it is" in cause.evidence
    cause = first(lambda x: (x * x).mean(), lambda dy: dy * X / X.size, X)
    assert "on other inputs" not in cause.evidence


def test_backward_that_is_linear_has_not_used_updated_weights():
    """The part that is missing is a multiple of another gradient: no step was taken."""

    def forward(a, p, n):
        u, v = a - p, a - n
        return ((u * u).sum(1) - (v * v).sum(1) + 9).sum(), (u, v)

    def backward(dy, c):
        u, v = c
        return 2 * dy * u, -2 * dy * u, 2 * dy * v

    a, p, n = np.random.default_rng(1).normal(size=(3, 6, 4))
    assert "updated" not in keys(forward, backward, a, p, n)


def test_slopes_that_differ_by_one_number_are_no_branches():
    t = np.array([0.0, 1, 1, 0, 1, 0, 0, 1])

    def forward(p):
        return 1 - 2 * (p * t).sum() / (p.sum() + t.sum())

    def backward(dy, p):
        return -2 * dy * t / (p.sum() + t.sum())

    p = np.random.default_rng(1).random(8)
    assert keys(lambda p: (forward(p), p), backward, p)[0] == "term"


def test_of_changed_ids_that_nothing_explains_the_given_ones_are_asked():
    """An id that is twice in a bag hides that every id gets the gradient of the largest."""

    def backward(dy, c):
        table, ids = c
        grad = np.zeros_like(table)
        np.add.at(grad, ids, np.repeat(dy[:, None], ids.shape[1], axis=1))
        return grad

    rng = np.random.default_rng(1)
    table, ids = rng.normal(size=(12, 3)), rng.permutation(12).reshape(4, 3)
    found = keys(lambda table, ids: (table[ids].max(1), (table, ids)), backward, table, ids)
    assert found[0] in ("mask_forgotten", "extra_term")


def test_the_places_of_a_missing_factor_are_written_down():
    def forward(x, A):
        return np.einsum("bi,kij,bj->bk", x, A, x), (x, A)

    def backward(dy, c):
        x, A = c
        dx = np.einsum("bk,kij,bj->bi", dy, A, x) + np.einsum("bk,kij,bi->bj", dy, A, x)
        return dx, np.einsum("bk,bi->ki", dy, x)[:, :, None] * np.ones(A.shape)

    rng = np.random.default_rng(1)
    cause = first(forward, backward, rng.normal(size=(6, 3)), rng.normal(size=(2, 3, 3)))
    assert cause.key == "operand_left"
    assert "by A[i, j, k], yours lacks the factor x[b, k]" in cause.evidence


def test_of_two_terms_the_wrong_one_is_written_down():
    def backward(dy, x):
        return dy * (np.tanh(x) + x * np.tanh(x))

    cause = first(lambda x: (x * np.tanh(x), x), backward, X)
    assert cause.key == "term"
    assert "x (1 - tanh(x)^2)" in cause.evidence
