"""BCEWithLogits and MSE."""

import numpy as np
import pytest
from conftest import complex_step

import minidlrm as md

LOSSES = [
    md.BCEWithLogits(),
    md.BCEWithLogits("sum"),
    md.BCEWithLogits("none"),
    md.BCEWithLogits(pos_weight=3.0),
    md.BCEWithLogits("none", pos_weight=0.2),
    md.MSE(),
    md.MSE("sum"),
    md.MSE("none"),
]


def case(rng, n=9):
    return 3 * rng.normal(size=n), (rng.random(n) < 0.4).astype(np.float64)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_gradients_by_differences(loss, rng):
    md.gradcheck(loss, *case(rng), verbose=False).raise_if_failed()


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_gradients_by_complex_step(loss, rng):
    x, y = case(rng)
    r = rng.normal(size=np.shape(loss.forward(x, y)))
    dx = loss.backward(r if r.ndim else float(r))
    numeric = complex_step(lambda moved: np.sum(r * loss.forward(moved, y)), x)
    np.testing.assert_allclose(dx, numeric, rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_logits_neither_overflow_nor_vanish(dtype):
    loss = md.BCEWithLogits("none")
    with np.errstate(all="raise", under="ignore"):
        value = loss.forward(np.array([1000, -1000, 1000, -1000], dtype), np.array([1.0, 1, 0, 0]))
        np.testing.assert_array_equal(value, [0, 1000, 1000, 0])
        np.testing.assert_array_equal(loss.backward(np.ones(4)), [0, -1, 1, 0])


def test_the_gradient_is_sigmoid_minus_label():
    loss = md.BCEWithLogits("sum")
    loss.forward(np.array([0.0, 0.0]), np.array([1.0, 0.0]))
    np.testing.assert_array_equal(loss.backward(), [-0.5, 0.5])


@pytest.mark.parametrize("kernels", [md.kernels.backend, "numpy"])
@pytest.mark.parametrize("pos_weight", [None, 3.0])
def test_a_sure_and_right_prediction_has_a_slope_that_no_rounding_makes_zero(kernels, pos_weight):
    logits = np.array([20, -20, 40, -40, 80, -80], np.float32)
    with md.kernels.using(kernels):
        loss = md.BCEWithLogits("sum", pos_weight)
        loss.forward(logits, (logits > 0).astype(np.float32))
        slopes = loss.backward()
    size = np.exp(-np.abs(logits.astype(np.float64)))
    expected = np.where(logits > 0, -(pos_weight or 1) * size, size)
    np.testing.assert_allclose(slopes, expected, rtol=1e-6)


def test_dtype_of_the_gradient_is_that_of_the_logits():
    loss = md.BCEWithLogits()
    loss.forward(np.zeros(3, np.float32), np.ones(3))
    assert loss.backward().dtype == np.float32


def test_the_mean_of_many_float32_terms_is_exact():
    value = md.MSE().forward(np.full(10_000_000, 0.1, np.float32), np.zeros(10_000_000, np.float32))
    assert abs(value / np.float32(0.1) ** 2 - 1) < 1e-6


@pytest.mark.oracle
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("pos_weight", [None, 3.0, "mse"])
def test_pytorch_agrees(reduction, pos_weight, torch, rng):
    x, y = case(rng)
    tensor = torch.tensor(x, requires_grad=True)
    if pos_weight == "mse":
        loss, oracle = md.MSE(reduction), torch.nn.MSELoss(reduction=reduction)
    else:
        loss = md.BCEWithLogits(reduction, pos_weight)
        weight = None if pos_weight is None else torch.tensor(pos_weight, dtype=torch.float64)
        oracle = torch.nn.BCEWithLogitsLoss(reduction=reduction, pos_weight=weight)
    expected = oracle(tensor, torch.from_numpy(y))
    value = loss.forward(x, y)
    np.testing.assert_allclose(value, expected.detach().numpy(), rtol=1e-12)
    dy = rng.normal(size=np.shape(value))
    expected.backward(torch.tensor(dy))
    np.testing.assert_allclose(
        loss.backward(dy if dy.ndim else float(dy)), tensor.grad.numpy(), rtol=1e-12
    )


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"prediction has shape \(2,\), label \(3,\)"):
        md.MSE().forward(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="nothing to average"):
        md.BCEWithLogits().forward(np.zeros(0), np.zeros(0))
    with pytest.raises(ValueError, match=r"label\[1\] is 5.0: it must lie in \[0, 1\]"):
        md.BCEWithLogits().forward(np.zeros(2), np.array([1.0, 5.0]))
    with pytest.raises(ValueError, match=r"label\[0\] is nan"):
        md.BCEWithLogits().forward(np.zeros(1), np.array([np.nan]))
    with pytest.raises(ValueError, match="reduction is 'avg'"):
        md.MSE("avg")
    with pytest.raises(ValueError, match="pos_weight is -1"):
        md.BCEWithLogits(pos_weight=-1)
    with pytest.raises(RuntimeError, match="without a forward"):
        md.MSE().backward()


def test_click_rates_are_labels_of_the_cross_entropy(rng):
    x, rates = 3 * rng.normal(size=9), rng.random(9)
    loss = md.BCEWithLogits("none")
    p = 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(
        loss.forward(x, rates), -(rates * np.log(p) + (1 - rates) * np.log(1 - p)), rtol=1e-12
    )
    np.testing.assert_allclose(loss.backward(np.ones(9)), p - rates, rtol=1e-12)


@pytest.mark.parametrize("edge", [0.0, 1.0, 0.5])
def test_the_ends_of_the_interval_are_labels(edge):
    md.BCEWithLogits().check_label(np.array([edge, 0.0]))
    for beyond in (-1e-9, 1 + 1e-9, np.nan):
        with pytest.raises(ValueError, match=r"label\[1\] is .*: it must lie in \[0, 1\]"):
            md.BCEWithLogits().check_label(np.array([edge, beyond]))


def test_ratings_are_any_finite_numbers():
    md.MSE().check_label(np.array([-3.0, 1e6]))
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match=r"label\[1\] is (nan|inf): it must be finite"):
            md.MSE().forward(np.zeros(2), np.array([0.0, bad]))


def test_what_is_no_number_is_refused_by_name():
    for loss, name in ((md.MSE(), "prediction"), (md.BCEWithLogits(), "logits")):
        with pytest.raises(TypeError, match="label has dtype object: it must hold numbers"):
            loss.forward(np.zeros(1), np.array([None]))
        with pytest.raises(TypeError, match=f"{name} has dtype <U1"):
            loss.forward(np.array(["a"]), np.zeros(1))
        with pytest.raises(ValueError, match="label is a masked array with 1 masked"):
            loss.forward(np.zeros(2), np.ma.masked_less([0.0, 1.0], 1))


def test_a_loss_says_what_its_predictions_are():
    assert (md.MSE().task, md.BCEWithLogits().task) == ("ratings", "clicks")


def test_weights_multiply_the_terms_and_the_mean_divides_by_the_rows(rng):
    x, y = case(rng)
    weight = rng.random(9)
    weight[0] = 0
    for loss in (md.BCEWithLogits, md.MSE):
        terms, none = loss("none").forward(x, y), loss("none")
        np.testing.assert_allclose(none.forward(x, y, weight), weight * terms, rtol=1e-12)
        assert loss("sum").forward(x, y, weight) == pytest.approx((weight * terms).sum())
        assert loss().forward(x, y, weight) == pytest.approx((weight * terms).mean())
        mean, plain = loss(), loss("none")
        mean.forward(x, y, weight)
        plain.forward(x, y)
        np.testing.assert_allclose(mean.backward(), weight * plain.backward(np.ones(9)) / 9)
        for wrong, message in [(-1.0, r"weight\[2\] is -1"), (np.inf, r"weight\[2\] is inf")]:
            bad = weight.copy()
            bad[2] = wrong
            with pytest.raises(ValueError, match=message):
                loss().forward(x, y, bad)
        with pytest.raises(ValueError, match=r"weight has shape \(8,\)"):
            loss().forward(x, y, weight[1:])


def test_whole_numbers_are_predictions_too():
    assert md.MSE().forward(np.array([3, 1]), np.array([1, 1])) == 2
    assert md.MSE().forward(np.array([True]), np.array([0])) == 1


def test_pos_weight_is_a_positive_number():
    for bad in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match="pos_weight is"):
            md.BCEWithLogits(pos_weight=bad)
    loss = md.BCEWithLogits("none", pos_weight=2)
    np.testing.assert_allclose(
        loss.forward(np.zeros(2), np.array([1.0, 0])), [np.log(4), np.log(2)]
    )


def test_a_loss_of_several_columns_divides_by_all_entries():
    loss = md.MSE()
    assert loss.forward(np.array([[1.0, 2], [3, 0]]), np.zeros((2, 2))) == 3.5
    np.testing.assert_array_equal(loss.backward(), [[0.5, 1], [1.5, 0]])
    np.testing.assert_array_equal(_again(loss).backward(2.0), [[1, 2], [3, 0]])


def _again(loss):
    loss.forward(np.array([[1.0, 2], [3, 0]]), np.zeros((2, 2)))
    return loss


def test_the_complex_step_holds_at_a_logit_of_zero():
    for label, slope in ((0.0, 0.5), (1.0, -0.5), (0.25, 0.25)):
        value = md.BCEWithLogits("sum").forward(np.array([1e-30j]), np.array([label]))
        assert value.imag / 1e-30 == pytest.approx(slope)
