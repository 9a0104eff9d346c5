"""ReLU and Sigmoid."""

import numpy as np
import pytest
from conftest import complex_step

import minidlrm as md
from minidlrm.layers import sigmoid


@pytest.mark.parametrize("layer", [md.ReLU(), md.Sigmoid()])
@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 2)])
def test_gradients_by_differences(layer, shape, rng):
    md.gradcheck(layer, rng.normal(size=shape), verbose=False).raise_if_failed()


@pytest.mark.parametrize("layer", [md.ReLU(), md.Sigmoid()])
def test_gradients_by_complex_step(layer, rng):
    x, r = rng.normal(size=9), rng.normal(size=9)
    layer.forward(x)
    dx = layer.backward(r)
    numeric = complex_step(lambda moved: np.sum(r * layer.forward(moved)), x)
    np.testing.assert_allclose(dx, numeric, rtol=1e-13)


def test_relu_has_slope_zero_at_its_corner():
    relu = md.ReLU()
    relu.forward(np.zeros(1))
    assert relu.backward(np.ones(1)) == 0


def test_relu_keeps_a_nan():
    assert np.isnan(md.ReLU().forward(np.array([np.nan]))).all()


def test_sigmoid_does_not_overflow():
    with np.errstate(over="raise", invalid="raise"):
        np.testing.assert_array_equal(sigmoid(np.array([-1e4, 0, 1e4])), [0, 0.5, 1])


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["ReLU", "Sigmoid"])
def test_pytorch_agrees(name, torch, rng):
    x, dy = rng.normal(size=20), rng.normal(size=20)
    layer, tensor = getattr(md, name)(), torch.tensor(x, requires_grad=True)
    expected = getattr(torch.nn, name)()(tensor)
    expected.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(layer.forward(x), expected.detach().numpy(), rtol=1e-14)
    np.testing.assert_allclose(layer.backward(dy), tensor.grad.numpy(), rtol=1e-12)


def test_known_answers():
    np.testing.assert_array_equal(md.ReLU().forward(np.array([-2.0, 0, 3])), [0, 0, 3])
    np.testing.assert_allclose(md.Sigmoid().forward(np.log([1.0, 3.0])), [0.5, 0.75])


@pytest.mark.parametrize("layer", [md.ReLU(), md.Sigmoid()])
def test_a_dy_of_another_shape_is_named(layer):
    layer.forward(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"dy has shape \(3,\), the output had \(2, 3\)"):
        layer.backward(np.ones(3))
