"""A1: gradients by hand."""

import numpy as np
import pytest

from minidlrm.checking import Fingerprint
from minidlrm.grading.judge import Wrong, catches, gradient, personal, same
from minidlrm.grading.known import compare
from minidlrm.languages import Message

task = pytest.mark.task


def linear(x, W, b):
    return x @ W.T + b


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def log_loss(z, t):
    return np.mean(np.log1p(np.exp(z)) - t * z)


def _with_slope(slope):
    """Return the formula dx = dy slope(x, y)."""
    return lambda target, dy, x: {"x": dy * slope(x, sigmoid(x))}


def _with_terms(terms):
    """Return the formula dz = dL terms(z, p, t) / B."""
    return lambda target, dL, z, t: {"z": dL * terms(z, sigmoid(z), t) / len(z)}


SIGMOID = [
    Fingerprint("slope_forgotten", _with_slope(lambda x, y: 1.0), "dx is dy alone"),
    Fingerprint(
        "slope_place",
        _with_slope(lambda x, y: x * (1 - x)),
        "dx is dy x (1 - x), with the input x where the output y belongs",
    ),
    Fingerprint(
        "half_slope",
        _with_slope(lambda x, y: y),
        "dx is dy y",
        title="the slope of the sigmoid has lost one of its two factors",
        hint="Differentiate 1 / (1 + e^-x) by the quotient rule, and write it with y alone.",
    ),
    Fingerprint(
        "same_factor",
        _with_slope(lambda x, y: (1 - y) ** 2),
        "dx is dy times the square of 1 / (1 + e^x)",
        title="the slope of the sigmoid has the same factor twice",
        hint="Check y by itself: that of a large x is near 1. The slope has two factors, and they "
        "differ.",
    ),
]
LOG_LOSS = [
    Fingerprint(
        "no_click",
        _with_terms(lambda z, p, t: 1 - p - t),
        "dz compares the label with 1 / (1 + e^z)",
        title="the probability of no click is in the place of that of a click",
        hint="Check the probability by itself: that of a large logit is near 1. Is the sign in the "
        "exponent right?",
    ),
    Fingerprint(
        "label_sign",
        _with_terms(lambda z, p, t: p + t),
        "dz adds the label to the probability",
        title="the sign of the label's term is wrong",
        hint="Differentiate the two terms of the loss one by one; then ask what the gradient of a "
        "click should do to its logit.",
    ),
    Fingerprint(
        "logit_for_probability",
        _with_terms(lambda z, p, t: z - t),
        "dz compares the label with the logit z itself",
        title="the logit is in the place of the probability",
        hint="What is the derivative of log(1 + e^z)? It lies between 0 and 1; z does not.",
    ),
    Fingerprint(
        "slope_twice",
        _with_terms(lambda z, p, t: (p - t) * p * (1 - p)),
        "dz has the slope p (1 - p) once more",
        title="the slope of the sigmoid is applied once more",
        hint="Multiply dL/dp by dp/dz on paper, and cancel what is both above and below the line.",
    ),
]


def _sizes(rng):
    return rng.permutation([3, 4, 5, 6])[:3]


@pytest.fixture
def layer(rng):
    """Inputs of a linear layer, with sizes that all differ."""
    B, n, m = _sizes(rng)
    return rng.normal(size=(B, n)), rng.normal(size=(m, n)), rng.normal(size=m)


@task("A1.2", title="dx of the linear layer")
def test_linear_dx(student, layer):
    gradient(student, "linear_backward", linear, *layer, only=["x"])


@task("A1.2", title="dW of the linear layer")
def test_linear_dw(student, layer):
    gradient(student, "linear_backward", linear, *layer, only=["W"])


@task("A1.2", title="db of the linear layer")
def test_linear_db(student, layer):
    gradient(student, "linear_backward", linear, *layer, only=["b"])


@task("A1.3", weight=2, title="the sigmoid's gradient")
def test_sigmoid(student, rng):
    gradient(student, "sigmoid_backward", sigmoid, rng.normal(size=(4, 3)), fingerprints=SIGMOID)


@task("A1.4", weight=2, title="the gradient of the log loss")
def test_log_loss(student, rng):
    B = int(rng.integers(5, 12))
    labels = rng.integers(0, 2, B)
    labels[:2] = 0, 1
    inputs = rng.normal(size=B), labels
    gradient(student, "log_loss_backward", log_loss, *inputs, fingerprints=LOG_LOSS)


@task("A1.4", title="large logits give no nan")
def test_log_loss_of_large_logits(student):
    z, t = np.array([900.0, -900.0, 900.0, 0.0]), np.array([1, 0, 0, 1])
    same("dz", student.call("log_loss_backward", 1.0, z, t), [0, 0, 0.25, -0.125])


NEAR = "differences to one side of x, or with a step that is too small or too large"


@task("A1.5", title="differences of a vector function")
def test_numeric_gradient(student, rng):
    x, a = rng.normal(size=7), rng.normal(size=7)
    got = student.call("numeric_gradient", lambda x: float(a @ np.sin(x)), x)
    compare("the gradient", got, a * np.cos(x), rtol=1e-7, near=NEAR)


@task("A1.5", title="arrays of two dimensions, large and small entries")
def test_numeric_gradient_of_a_matrix(student, rng):
    x = rng.normal(size=(3, 4)) * np.array([1e-3, 1, 30, 1e3])
    a = rng.uniform(0.5, 2, x.shape)  # drawn: an answer that is written down does not know it
    got = student.call("numeric_gradient", lambda x: float(np.sum(a * x * x)), x)
    whole_rows = np.broadcast_to(2 * (a * x).sum(axis=1, keepdims=True), x.shape)
    wrong = [("the entries of a row are moved together, not one by one", whole_rows)]
    compare("the gradient", got, 2 * a * x, wrong, near=NEAR)


@task("A1.5", title="x stays as it was between calls of f")
def test_numeric_gradient_moves_one_entry_at_a_time(student, rng):
    x, a, seen = rng.normal(size=5), rng.uniform(0.5, 2, 5), []

    def f(moved):
        seen.append(np.count_nonzero(moved != x))
        return float(np.sum(a * moved**3))

    right = 3 * a * x * x
    compare("the gradient", student.call("numeric_gradient", f, x), right, near=NEAR)
    if max(seen) > 1:
        raise Wrong(
            Message(
                "f was called with {number} entries moved at once; move one at a time",
                number=max(seen),
            )
        )


@task("A1.6", title="your own number")
def test_my_log_loss(student, student_id):
    own = personal(student_id, "A1.6")
    z, t = own.normal(size=50), own.integers(0, 2, 50)
    right, p = log_loss(z, t), sigmoid(z)
    wrong = [
        ("the losses are added up, not averaged", 50 * right),
        ("clicks and no clicks are exchanged", log_loss(z, 1 - t)),
        ("the sign of the logit is wrong", log_loss(-z, t)),
        ("the label's term is left out", np.mean(np.log1p(np.exp(z)))),
        ("only the clicks are counted", -np.mean(t * np.log(p))),
        ("the logarithm has base 2", right / np.log(2)),
        ("the logarithm has base 10", right / np.log(10)),
        ("the probability is in the place of the logit", log_loss(p, t)),
    ]
    compare("the log loss", student.call("my_log_loss"), right, wrong, 1e-5, tell=False)


def _planted():
    """Return right layers, and wrong ones with their story: (forward, backward) pairs."""
    mix = np.random.default_rng(3).normal(size=(3, 3))

    def square(x):
        return x * x

    def rows(x):
        return x @ mix

    def one_entry(dy, x):
        grad = 2 * dy * x
        grad.flat[-1] *= 1.01
        return grad

    right = [
        (square, lambda dy, x: 2 * dy * x),
        (rows, lambda dy, x: dy @ mix.T),
        (np.tanh, lambda dy, x: dy * (1 - np.tanh(x) ** 2)),
    ]
    wrong = [
        ("a factor 2 is missing", square, lambda dy, x: dy * x),
        ("the sign is wrong", square, lambda dy, x: -2 * dy * x),
        ("dy is ignored", square, lambda dy, x: 2 * x),
        ("the matrix is not transposed", rows, lambda dy, x: dy @ mix),
        ("the samples are in another order", rows, lambda dy, x: (dy @ mix.T)[::-1]),
        ("one entry is 1% off", square, one_entry),
        ("the mean was taken over the batch", rows, lambda dy, x: dy @ mix.T / len(x)),
        ("the derivative is taken at the output", np.tanh, lambda dy, x: dy * (1 - x**2)),
        ("the gradient is 0", square, lambda dy, x: 0 * x),
        ("every sample gets the sum", rows, lambda dy, x: 0 * x + (dy @ mix.T).sum(axis=0)),
    ]
    return right, wrong


@task("A1.7", builds_on="numeric_gradient", title="your test finds planted mistakes")
def test_the_test(student, rng, order, earn):
    right, wrong = _planted()
    x = rng.normal(size=(4, 3))

    def verdict(pair):
        return student.call("is_right", *pair, x)

    catches(verdict, right, [(story, pair) for story, *pair in wrong], order, earn)
