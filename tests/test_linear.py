"""Linear, with and without its ReLU."""

import numpy as np
import pytest
from conftest import complex_step

import minidlrm as md
from minidlrm import kernels


def layer(activation=None, bias=True, dtype=np.float64):
    rng = np.random.default_rng(1)
    return md.Linear(4, 3, bias, activation=activation, rng=rng, dtype=dtype)


def test_known_answer():
    linear = layer()
    linear.load_state_dict({"weight": np.arange(12.0).reshape(3, 4), "bias": np.array([1.0, 2, 3])})
    np.testing.assert_array_equal(linear.forward(np.ones((1, 4))), [[7, 24, 41]])


def test_the_fused_relu_is_linear_then_relu(rng):
    fused, plain, relu = layer("relu"), layer(), md.ReLU()
    x, dy = rng.normal(size=(6, 4)), rng.normal(size=(6, 3))
    np.testing.assert_array_equal(fused.forward(x), relu.forward(plain.forward(x)))
    np.testing.assert_array_equal(fused.backward(dy), plain.backward(relu.backward(dy)))
    np.testing.assert_array_equal(fused.weight.grad, plain.weight.grad)
    np.testing.assert_array_equal(fused.bias.grad, plain.bias.grad)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", [None, "relu"])
def test_gradients_by_differences(activation, bias, rng):
    md.gradcheck(layer(activation, bias), rng.normal(size=(5, 4)), verbose=False).raise_if_failed()


@pytest.mark.parametrize("batch_size", [1, 5])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", [None, "relu"])
def test_gradients_by_complex_step(activation, bias, batch_size, rng):
    linear, x = layer(activation, bias), rng.normal(size=(batch_size, 4))
    r = rng.normal(size=(batch_size, 3))
    linear.forward(x)
    dx = linear.backward(r)
    other = linear.astype(np.complex128)
    numeric = complex_step(lambda moved: np.sum(r * other.forward(moved)), x)
    np.testing.assert_allclose(dx, numeric, rtol=1e-13, atol=1e-14)
    for name, parameter in linear.named_parameters():
        other = linear.astype(np.complex128)

        def total(value, other=other, name=name):
            getattr(other, name).value = value
            return np.sum(r * other.forward(x))

        numeric = complex_step(total, parameter.value)
        np.testing.assert_allclose(parameter.grad, numeric, rtol=1e-13, atol=1e-14)


@pytest.mark.oracle
@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("bias", [True, False])
def test_pytorch_agrees(bias, activation, torch, rng):
    linear, x, dy = layer(activation, bias), rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
    oracle = torch.nn.Linear(4, 3, bias=bias, dtype=torch.float64)
    oracle.load_state_dict({k: torch.from_numpy(v) for k, v in linear.state_dict().items()})
    tensor = torch.tensor(x, requires_grad=True)
    expected = torch.relu(oracle(tensor)) if activation else oracle(tensor)
    np.testing.assert_allclose(linear.forward(x), expected.detach().numpy(), rtol=1e-12)
    expected.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(linear.backward(dy), tensor.grad.numpy(), rtol=1e-12, atol=1e-15)
    for name, parameter in linear.named_parameters():
        grad = getattr(oracle, name).grad.numpy()
        np.testing.assert_allclose(parameter.grad, grad, rtol=1e-12, atol=1e-15)


def test_initial_values_are_those_of_the_reference():
    linear = md.Linear(300, 500, rng=np.random.default_rng(0))
    assert abs(linear.weight.value.std() - np.sqrt(2 / 800)) < 1e-3
    assert abs(linear.bias.value.std() - np.sqrt(1 / 500)) < 4e-3
    assert linear.weight.value.dtype == np.float32


def test_forward_returns_fresh_arrays_and_leaves_its_input(rng):
    linear, x = layer("relu"), rng.normal(size=(5, 4))
    before = x.copy()
    first = linear.forward(x)
    kept = first.copy()
    linear.forward(2 * x)
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(x, before)


def test_float32_stays_float32(rng):
    linear = layer("relu", dtype=np.float32)
    y = linear.forward(rng.normal(size=(5, 4)).astype(np.float32))
    assert y.dtype == linear.backward(y).dtype == linear.weight.grad.dtype == np.float32


def test_bad_shapes_are_named():
    with pytest.raises(ValueError, match=r"x has shape \(2, 5\), expected \(B, 4\)"):
        layer().forward(np.ones((2, 5)))
    linear = layer()
    linear.forward(np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"dy has shape \(3, 3\), the output had \(2, 3\)"):
        linear.backward(np.ones((3, 3)))
    with pytest.raises(ValueError, match="in_features is 0: it must be at least 1"):
        md.Linear(0, 3, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="activation is 'tanh'"):
        md.Linear(2, 3, activation="tanh", rng=np.random.default_rng(0))


def test_the_bias_gradient_is_summed_over_the_batch():
    linear = layer()
    linear.forward(np.ones((3, 4)))
    linear.backward(np.array([[1.0, 2, 3], [10, 20, 30], [100, 200, 300]]))
    np.testing.assert_array_equal(linear.bias.grad, [111, 222, 333])


def test_initial_values_lie_around_zero():
    linear = md.Linear(300, 500, rng=np.random.default_rng(0))
    for value in (linear.weight.value, linear.bias.value):
        assert abs(value.mean()) < 4 * value.std() / np.sqrt(value.size)


def test_costs(rng):
    linear = md.Linear(4, 3, rng=rng)
    assert linear.flops_per_sample() == 2 * 4 * 3
    assert linear.bytes_per_sample() == 4 * (4 + 3)
    assert str(md.Linear(4, 3, activation="relu", rng=rng)) == "Linear(4, 3, activation='relu')"
    assert str(linear) == "Linear(4, 3)"


def test_only_a_matrix_is_taken():
    for x in (np.ones(4), np.ones((2, 4, 1))):
        with pytest.raises(ValueError, match=r"expected \(B, 4\)"):
            layer().forward(x)


def test_a_relu_without_bias_is_zero_at_zero():
    linear = md.Linear(1, 2, False, activation="relu", rng=np.random.default_rng(0))
    linear.load_state_dict({"weight": np.array([[1.0], [-1.0]])})
    np.testing.assert_array_equal(
        linear.forward(np.array([[2.0], [0], [-3]])), [[2, 0], [0, 0], [0, 3]]
    )


@pytest.mark.parametrize("rows", [0, 1, 2, 3])
def test_only_one_row_takes_the_kernel_of_outer_products(rows, rng, monkeypatch):
    calls, outer = [], kernels.outer
    monkeypatch.setattr(kernels, "outer", lambda *given: calls.append(1) or outer(*given))
    layer = md.Linear(3, 2, rng=rng)
    layer.forward(rng.normal(size=(rows, 3)))
    layer.backward(np.ones((rows, 2)))
    assert len(calls) == (rows == 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("rows", [0, 1, 5])
def test_one_output_has_the_bits_of_the_product(rows, dtype, rng):
    layer = md.Linear(7, 1, rng=rng, dtype=dtype)
    layer.forward(rng.normal(size=(rows, 7)).astype(dtype))
    dy = rng.normal(size=(rows, 1)).astype(dtype)
    dx = layer.backward(dy)
    assert dx.dtype == dtype
    np.testing.assert_array_equal(dx, dy @ layer.weight.value)
