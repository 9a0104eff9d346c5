"""The diagnosis of a learner's own functions, where no fingerprint of a layer applies."""

import numpy as np
import pytest

import minidlrm as md
from minidlrm.checking import Fingerprint

X = np.random.default_rng(1).normal(size=(6, 4))
W = np.random.default_rng(2).normal(size=(4, 4))
B = np.random.default_rng(3).normal(size=4)


def affine(x, w, b):
    return x @ w.T + b, (x, w)


def cause(forward, backward, *arrays):
    report = md.gradcheck((forward, backward), *arrays, verbose=False)
    assert not report.passed
    return report.diagnosis[0]


def test_the_right_functions_pass():
    def backward(dy, cache):
        x, w = cache
        return dy @ w, dy.T @ x, dy.sum(axis=0)

    report = md.gradcheck((affine, backward), X, W, B, verbose=False)
    report.raise_if_failed()
    assert [check.name for check in report.arrays] == ["x", "w", "b"]
    assert report.arrays[0].method == "complex"
    assert max(check.error for check in report.arrays) < 1e-12


WRONG = {
    "transpose": lambda dy, c: (dy @ c[1], c[0].T @ dy, dy.sum(axis=0)),
    "batch_twice": lambda dy, c: (dy @ c[1], dy.T @ c[0] / len(dy), dy.mean(axis=0)),
    "batch_missing": lambda dy, c: (dy @ c[1], len(dy) * dy.T @ c[0], dy.sum(axis=0)),
    "sign": lambda dy, c: (-dy @ c[1], dy.T @ c[0], dy.sum(axis=0)),
    "not_summed": lambda dy, c: (dy @ c[1], dy.T @ c[0], dy),
    "broadcast": lambda dy, c: (dy @ c[1], dy.T @ c[0], np.full(4, dy.sum())),
    "missing": lambda dy, c: None,
    "upstream_ignored": lambda dy, c: (
        np.ones_like(dy) @ c[1],
        np.ones_like(dy).T @ c[0],
        np.ones(4),
    ),
    "zero": lambda dy, c: (dy @ c[1], np.zeros((4, 4)), dy.sum(axis=0)),
    "not_linear": lambda dy, c: (dy @ c[1], dy.T @ c[0], dy.sum(axis=0) + 1),
    "dtype": lambda dy, c: (dy @ c[1], (dy.T @ c[0]).astype(np.float32), dy.sum(axis=0)),
    "shape": lambda dy, c: (dy @ c[1], dy.T @ c[0], dy.sum(axis=0)[None]),
    "random": lambda dy, c: (
        dy @ c[1],
        np.tanh(c[1] + c[1].T) * (dy.T @ c[0]),
        dy.sum(axis=0),
    ),
}


@pytest.mark.parametrize("key", WRONG)
def test_a_learners_affine_map(key):
    assert cause(affine, WRONG[key], X, W, B).key == key


def test_one_sample_needs_a_parameter_and_is_told_of_arrays_too():
    def backward(dy, c):
        return dy @ c[1], np.outer(dy[0], c[0][0]), dy.sum(axis=0)

    assert not md.gradcheck((affine, backward), X, W, B, verbose=False).passed


def test_swapped_operands():
    def forward(u, v):
        return u * v, (u, v)

    u, v = X, X[::-1].copy()
    assert cause(forward, lambda dy, c: (dy * c[0], dy * c[0]), u, v).key == "operand"
    assert cause(forward, lambda dy, c: (dy * c[0], dy * c[1]), u, v).key == "order"


def test_a_penalty_without_gradient():
    def forward(x):
        return np.sum(x**3) + 0.5 * np.sum(x**2), x

    found = cause(forward, lambda dy, x: 3 * dy * x**2, X)
    assert found.key == "regularization"
    assert "times x itself" in found.evidence


def test_a_residual_that_is_left_out_is_dy_itself():
    def forward(x):
        return np.tanh(x) + x, x

    def backward(dy, x):
        return dy * (1 - np.tanh(x) ** 2)

    found = cause(forward, backward, X)
    assert found.key == "second_path"
    assert "dy itself" in found.evidence


def test_outputs_in_another_order():
    pair = (lambda x: x[:, ::-1] ** 2, lambda dy: 2 * X * dy)
    assert cause(*pair, X).key == "pairing"


def test_a_learners_dot_interaction_that_forgets_one_vector_of_each_pair():
    i, j = np.tril_indices(4, -1)

    def backward(dy, z):
        g = np.zeros((len(z), 4, 4))
        g[:, i, j] = dy
        return g @ z

    z = np.random.default_rng(0).normal(size=(3, 4, 2))
    found = cause(lambda z: ((z @ z.transpose(0, 2, 1))[:, i, j], z), backward, z)
    assert found.key == "part_missing"
    assert "50% are 0 and should not be" in found.evidence


def test_one_row_only():
    def backward(dy):
        dx = np.zeros_like(dy)
        dx[2] = dy[2] * np.cos(X[2])
        return dx

    found = cause(np.sin, backward, X)
    assert found.key == "one_part"
    assert "Index 2 of axis 0" in found.evidence


@pytest.mark.parametrize(
    ("factor", "words"),
    [(0.5, "1/2 of the right one"), (10, "10 times the right one"), (-3, "with the wrong sign")],
)
def test_a_factor_is_named(factor, words):
    found = cause(np.sin, lambda dy: factor * dy * np.cos(X), X)
    assert found.key == "factor"
    assert words in found.evidence


def test_lost_repeats_of_ids_without_a_layer():
    ids = np.array([3, 3, 0, 5, 5, 1])

    def backward(dy):
        grad = np.zeros((8, 2))
        grad[ids] += dy
        return grad

    table = np.random.default_rng(0).normal(size=(8, 2))
    report = md.gradcheck((lambda w: w[ids], backward), table, verbose=False)
    assert not report.passed
    pair = (lambda i, w: (w[i], i), lambda dy, i: _buffered(dy, i))
    report = md.gradcheck(pair, ids, table, verbose=False)
    assert report.diagnosis[0].key == "duplicates"
    assert "np.add.at" in report.diagnosis[0].hint


def _buffered(dy, ids):
    grad = np.zeros((8, 2))
    grad[ids] += dy
    return (grad,)


def test_an_exercise_brings_its_own_fingerprints():
    mine = Fingerprint(
        "hint A1.3",
        lambda target, dy, x: {"x": dy * np.exp(x)},
        "dy exp(x)",
        title="exp and sin are mixed up",
        hint="See page 3.",
    )
    report = md.gradcheck(
        (lambda x: np.sin(x), lambda dy: dy * np.exp(X)), X, fingerprints=[mine], verbose=False
    )
    assert report.diagnosis[0].title == "exp and sin are mixed up"
    assert "dy exp(x)" in str(report)


def test_a_wrong_layer_inside_is_named():
    from minidlrm.checking.bugs.linear import OutputForInput

    mlp = md.MLP([4, 4, 4], rng=np.random.default_rng(0))
    mlp.layers[0].__class__ = OutputForInput
    report = md.gradcheck(mlp, X, verbose=False)
    inner = next(c for c in report.diagnosis if c.key == "inner")
    assert inner.array == "layers.0"


def test_rows_of_a_large_table_are_compared_alone():
    from minidlrm.checking.bugs.embedding import LastWriteWins

    report = md.gradcheck(
        LastWriteWins([100_000], 16, rng=np.random.default_rng(0)),
        np.arange(8)[:, None],
        verbose=False,
        max_checks=400,
    )
    assert report.diagnosis[0].key == "duplicates"
