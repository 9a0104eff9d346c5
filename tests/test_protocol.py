"""The checker before an adversary: each gets a plain sentence, and none an exception."""

import numpy as np
import pytest

import minidlrm as md

X = np.random.default_rng(0).normal(size=(4, 3))
RNG = np.random.default_rng(1)


def faults(forward, backward, *arrays):
    report = md.gradcheck((forward, backward), *arrays, verbose=False)
    assert not report.passed
    assert report.diagnosis
    return report.faults


def test_a_random_function():
    (fault,) = faults(lambda x: x + RNG.normal(), lambda dy: dy, X)
    assert "another output for the same input" in fault


def test_a_forward_that_changes_its_input():
    def forward(x):
        x *= 2
        return x.copy()

    assert "forward changes x in place" in faults(forward, lambda dy: 2 * dy, X)


def test_a_backward_that_changes_its_input():
    kept = {}

    def forward(x):
        kept["x"] = x
        return x**2

    def backward(dy):
        kept["x"] *= 2
        return dy * kept["x"]

    found = faults(forward, backward, X)
    assert any("backward changes x in place" in fault for fault in found)


def test_a_backward_that_changes_its_input_once():
    """The second backward would change nothing more."""
    kept = {}

    def forward(x):
        kept["x"] = x
        return np.maximum(x, 0)

    def backward(dy):
        x = kept["x"]
        np.maximum(x, 0, out=x)
        return dy * (x > 0)

    found = faults(forward, backward, X)
    assert any("backward changes x in place" in fault for fault in found)


class FirstMeanAdded(md.Module):
    """Its gradients are right, and its output depends on the first batch."""

    def __init__(self):
        super().__init__()
        self.first = None

    def forward(self, x):
        if self.first is None:
            self.first = x.mean()
        return 2 * x + self.first

    def backward(self, dy):
        return 2 * dy


def test_a_forward_that_keeps_a_number_of_the_first_batch():
    report = md.gradcheck(FirstMeanAdded(), X, verbose=False)
    assert any("after a forward of other inputs" in fault for fault in report.faults)


def test_a_backward_that_changes_dy():
    def backward(dy):
        dy *= 2
        return dy

    assert "backward changes dy in place" in faults(lambda x: 2 * x, backward, X)


def test_dots_that_wait_for_the_learner():
    def backward(dy):
        return ...

    (fault,) = faults(lambda x: np.sin(x), backward, X)
    assert fault == "the gradient of x is still '...': it is not written yet"


def test_none_is_returned():
    (fault,) = faults(lambda x: np.sin(x), lambda dy: None, X)
    assert fault == "backward returned no gradient of x"


@pytest.mark.parametrize(
    ("grad", "words"),
    [
        (lambda dy: dy.T.copy(), "it is transposed"),
        (lambda dy: dy[0], "shape (3,), x has (4, 3)"),
        (lambda dy: np.stack([dy, dy]), "sum it over the batch"),
        (lambda dy: dy.ravel(), "shape (12,), x has (4, 3)"),
        (lambda dy: "dx", "not an array of numbers"),
        (lambda dy: dy.astype(np.float32), "dtype float32"),
    ],
)
def test_wrong_forms(grad, words):
    found = faults(lambda x: 1.0 * x, grad, X)
    assert any(words in fault for fault in found), found


def test_integer_arrays():
    (fault,) = faults(lambda x: x * 2, lambda dy: 2 * dy, np.arange(6))
    assert "no input is a float array (int64)" in fault


def test_an_integer_output():
    (fault,) = faults(lambda x: np.round(x).astype(int), lambda dy: dy, X)
    assert "the output has dtype int64" in fault


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_output_that_is_not_finite(value):
    (fault,) = faults(lambda x: np.where(x > 0, value, x), lambda dy: dy, X)
    assert f"the output is {value}" in fault


def test_a_gradient_that_is_not_finite_is_no_leftover():
    (fault,) = faults(lambda x: 2 * x, lambda dy: dy * np.where(dy == dy[1, 2], np.nan, 2), X)
    assert fault == "the gradient of x is nan at (1, 2)"


def test_a_gradient_that_is_not_finite():
    report = md.gradcheck((np.sin, lambda dy: dy * np.nan), X, verbose=False)
    assert not report.passed


def test_no_output():
    (fault,) = faults(lambda x: x[:0], lambda dy: np.zeros((4, 3)), X)
    assert "the output is empty: shape (0, 3)" in fault


def test_an_input_of_size_zero_is_no_reason_to_fail():
    pair = (lambda x, y: np.sin(x) + y.sum(), lambda dy: (dy * np.cos(X), np.zeros((0, 2))))
    assert md.gradcheck(pair, X, np.zeros((0, 2)), verbose=False).passed


def test_a_scalar_output_and_a_scalar_input():
    pair = (lambda x: np.sum(x**2), lambda dy: 2 * dy * X)
    assert md.gradcheck(pair, X, verbose=False).passed
    pair = (lambda x: x**2, lambda dy: 2 * dy * 3.0)
    assert md.gradcheck(pair, np.array(3.0), verbose=False).passed


def test_dy_is_linear_in_more_than_its_length():
    """A mask of dy scales with 2 dy, and is not additive."""
    found = faults(lambda x: np.maximum(x, 0), lambda dy: np.where(dy > 0, dy, 0), X)
    assert any("backward(dy1 + dy2)" in fault for fault in found)


def test_code_that_fails_when_it_is_asked_more_still_gets_its_report():
    """A backward that refuses one-hot gradients: the diagnosis asks for them."""

    def backward(dy):
        if np.count_nonzero(dy) == 1:
            raise RuntimeError("too sparse")
        return 2 * dy * np.roll(X, 1)

    report = md.gradcheck((np.sin, backward), X, verbose=False)
    assert not report.passed
    assert "RuntimeError: too sparse" in report.diagnosis[-1].evidence


def test_a_target_of_another_kind():
    with pytest.raises(TypeError, match="the target is a int: give a Module, or a pair"):
        md.gradcheck(3, X)
    with pytest.raises(TypeError, match="pair"):
        md.gradcheck(np.sin, X)


def test_options_out_of_range():
    with pytest.raises(ValueError, match="method is 'newton'"):
        md.gradcheck(md.ReLU(), X, method="newton")
    with pytest.raises(ValueError, match="max_checks is 0"):
        md.gradcheck(md.ReLU(), X, max_checks=0)
    with pytest.raises(ValueError, match="does not carry complex numbers"):
        md.gradcheck((lambda x: np.floor(x) * 0 + x, lambda dy: dy), X, method="complex")


class Frozen(md.Module):
    """A layer with a parameter that forward does not use."""

    def __init__(self):
        self.weight = md.Parameter(np.ones(3), "weight")
        self.spare = md.Parameter(np.ones(2), "spare")

    def forward(self, x):
        self.keep(x)
        return x * self.weight.value

    def backward(self, dy):
        (x,) = self.kept()
        self.weight.add_grad((dy * x).sum(axis=0))
        return dy * self.weight.value


def test_a_parameter_that_is_not_used_needs_no_gradient():
    assert md.gradcheck(Frozen(), X, verbose=False).passed
