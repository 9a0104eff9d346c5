"""Numeric derivatives: their values, their own errors, and corners."""

import numpy as np
import pytest

import minidlrm as md
from minidlrm.checking.numeric import Differences
from minidlrm.checking.subject import FunctionPair, Subject


def differences(function, x, method, r=None):
    subject = Subject(FunctionPair(function, None), (np.asarray(x, float),))
    r = np.ones(np.shape(function(subject.inputs[0]))) if r is None else r
    return Differences(subject, r, method, np.random.default_rng(0))


@pytest.mark.parametrize("method", ["auto", "complex", "richardson", "central"])
@pytest.mark.parametrize(
    ("function", "slope"),
    [
        (lambda x: np.sin(x), np.cos),
        (lambda x: np.exp(x), np.exp),
        (lambda x: x**5, lambda x: 5 * x**4),
        (lambda x: 1 / (1 + np.exp(-x)), lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
    ],
)
def test_the_error_is_within_its_estimate(method, function, slope):
    for x in np.random.default_rng(0).normal(size=50) * 3:
        found = differences(function, [x], method).slope("x", (0,))
        assert not found.kink
        assert abs(found.value - slope(x)) <= found.error + 1e-14 * abs(slope(x))
        assert found.error <= 1e-4 * abs(slope(x)) + 1e-8


def test_the_complex_step_loses_no_digit():
    found = differences(lambda x: np.exp(x), [1.0], "complex").slope("x", (0,))
    assert found.value == pytest.approx(np.e, rel=1e-15)


def test_auto_takes_the_complex_step_where_it_may():
    assert differences(lambda x: np.sin(x), [1.0], "auto").is_analytic("x")
    assert not differences(lambda x: np.abs(x), [1.0], "auto").is_analytic(
        "x"
    )  # |x| of a complex x is real
    assert not differences(lambda x: x.real**2, [1.0], "auto").is_analytic("x")
    assert not differences(lambda x: np.floor(x) + x, [0.5], "auto").is_analytic("x")


@pytest.mark.parametrize("method", ["richardson", "central"])
@pytest.mark.parametrize("x", [0.0, 1e-9, -1e-7])
def test_a_corner_is_seen_or_passed_by(method, x):
    found = differences(lambda x: np.maximum(x, 0), [x], method).slope("x", (0,))
    assert found.kink or found.value == pytest.approx(float(x > 0), abs=1e-6)
    if x == 0:
        assert found.kink
        assert (found.low, found.high) == pytest.approx((0, 1))


# Lambdas give the name x: NumPy's own functions tell the names of arguments in new versions only.
SMOOTH = [
    lambda x: np.tanh(x),
    lambda x: x**3,
    lambda x: 1e-6 * x + 5,
    lambda x: np.cos(x),
]


@pytest.mark.parametrize("method", ["richardson", "central"])
def test_smooth_functions_have_no_corner(method):
    for x in np.linspace(-4, 4, 81):
        for function in SMOOTH:
            assert not differences(function, [x], method).slope("x", (0,)).kink


def test_rounding_inside_is_measured():
    """(x + 1e6) - 1e6 loses ten digits, and its size does not show it."""
    found = differences(lambda x: 1e-6 * ((x + 1e6) - 1e6), [0.3], "richardson").slope("x", (0,))
    assert abs(found.value - 1e-6) <= found.error + 1e-9


def test_single_precision_takes_larger_steps():
    found = differences(lambda x: np.sin(x.astype(np.float32)), [0.7], "auto").slope("x", (0,))
    assert found.value == pytest.approx(np.cos(0.7), abs=2e-3)


def test_the_array_is_as_before():
    x = np.random.default_rng(0).normal(size=(3, 2))
    d = differences(lambda x: np.sin(x), x, "richardson")
    for index in np.ndindex(3, 2):
        d.slope("x", index)
        d.jacobian("x", index)
    np.testing.assert_array_equal(d.subject.arrays["x"], x)


def test_a_jacobian_holds_every_output():
    for method in ("complex", "richardson"):
        d = differences(lambda x: x @ np.array([[1.0, 2.0], [3.0, 4.0]]), [[1.0, 5.0]], method)
        np.testing.assert_allclose(d.jacobian("x", (0, 1)), [[3.0, 4.0]], rtol=1e-6)


def test_kinks_are_counted_and_others_drawn():
    x = np.concatenate([np.zeros(5), np.linspace(-2, 2, 40)])
    pair = (lambda x: np.maximum(x, 0).astype(float), lambda dy: dy * (x > 0))
    for method in ("auto", "richardson", "central"):
        report = md.gradcheck(pair, x, method=method, max_checks=30, verbose=False)
        assert report.passed, str(report)
    (check,) = report.arrays
    assert check.num_checked == 30
    everything = md.gradcheck(pair, x, method="richardson", verbose=False).arrays[0]
    assert everything.kinks == 5
    assert everything.num_checked == 40


def test_corners_hide_no_wrong_gradient():
    x = np.concatenate([np.zeros(5), np.linspace(-2, 2, 41)[:20]])
    wrong = (lambda x: np.maximum(x, 0) + 0.0, lambda dy: 1.0 * dy)
    assert not md.gradcheck(wrong, x, method="richardson", verbose=False).passed
    zeros = np.zeros(4)  # corners only: the slope must lie between that of the two sides
    for slope, right in ((0.0, True), (1.0, True), (0.5, True), (2.0, False), (-0.5, False)):
        pair = (lambda x: np.maximum(x, 0), lambda dy, s=slope: s * dy)
        assert md.gradcheck(pair, zeros, verbose=False, method="richardson").passed is right


def test_relu_at_exactly_zero_passes():
    assert md.gradcheck(md.ReLU(), np.zeros((2, 2)), verbose=False).passed
    assert md.gradcheck(
        md.MLP([3, 4, 1], rng=np.random.default_rng(0)), np.zeros((2, 3)), verbose=False
    ).passed
