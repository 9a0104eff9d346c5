"""MLP."""

import numpy as np
import pytest
from conftest import complex_step

import minidlrm as md


@pytest.mark.parametrize("last_activation", [True, False])
@pytest.mark.parametrize("sizes", [[3, 2], [3, 5, 2], [3, 5, 4, 1]])
def test_gradients_by_differences(sizes, last_activation, rng):
    mlp = md.MLP(sizes, last_activation=last_activation, rng=rng)
    md.gradcheck(mlp, rng.normal(size=(6, 3)), verbose=False).raise_if_failed()


def test_relu_after_every_layer_or_all_but_the_last():
    activations = [
        layer.activation for layer in md.MLP([3, 4, 5], rng=np.random.default_rng(0)).layers
    ]
    assert activations == ["relu", "relu"]
    top = md.MLP([3, 4, 5], last_activation=False, rng=np.random.default_rng(0))
    assert [layer.activation for layer in top.layers] == ["relu", None]


def test_known_answer():
    mlp = md.MLP([1, 2, 1], last_activation=False, dtype=np.float64, rng=np.random.default_rng(0))
    values = [[[1.0], [-1.0]], [0.0, 0.0], [[2.0, 3.0]], [1.0]]
    for parameter, value in zip(mlp.parameters(), values, strict=True):
        parameter.value[...] = value
    np.testing.assert_array_equal(mlp.forward(np.array([[4.0], [-4.0]])), [[9], [13]])
    np.testing.assert_array_equal(mlp.backward(np.ones((2, 1))), [[2], [-3]])


@pytest.mark.parametrize("last_activation", [True, False])
def test_gradients_by_complex_step(last_activation, rng):
    mlp = md.MLP([3, 5, 4, 2], last_activation=last_activation, rng=rng, dtype=np.float64)
    x, r = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    mlp.forward(x)
    dx = mlp.backward(r)
    other = mlp.astype(np.complex128)
    numeric = complex_step(lambda moved: np.sum(r * other.forward(moved)), x)
    np.testing.assert_allclose(dx, numeric, rtol=1e-12, atol=1e-14)
    for k, parameter in enumerate(mlp.parameters()):
        other = mlp.astype(np.complex128)

        def total(value, other=other, k=k):
            other.parameters()[k].value = value
            return np.sum(r * other.forward(x))

        numeric = complex_step(total, parameter.value)
        np.testing.assert_allclose(parameter.grad, numeric, rtol=1e-12, atol=1e-14)


@pytest.mark.oracle
@pytest.mark.parametrize("last_activation", [True, False])
def test_pytorch_agrees(last_activation, torch, rng):
    mlp = md.MLP([3, 5, 2], last_activation=last_activation, rng=rng, dtype=np.float64)
    nn = torch.nn
    last = nn.ReLU() if last_activation else nn.Identity()
    oracle = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2), last).double()
    for k, layer in enumerate(mlp.layers):
        oracle[2 * k].weight.data = torch.from_numpy(layer.weight.value)
        oracle[2 * k].bias.data = torch.from_numpy(layer.bias.value)
    x, dy = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    tensor = torch.tensor(x, requires_grad=True)
    expected = oracle(tensor)
    expected.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(mlp.forward(x), expected.detach().numpy(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(mlp.backward(dy), tensor.grad.numpy(), rtol=1e-12, atol=1e-14)
    for ours, theirs in zip(mlp.parameters(), oracle.parameters(), strict=True):
        np.testing.assert_allclose(ours.grad, theirs.grad.numpy(), rtol=1e-12, atol=1e-14)


def test_one_size_is_no_mlp():
    with pytest.raises(ValueError, match="needs an input and an output size"):
        md.MLP([3], rng=np.random.default_rng(0))


def test_bad_shapes_are_named():
    with pytest.raises(ValueError, match=r"x has shape \(2, 4\), expected \(B, 3\)"):
        md.MLP([3, 2], rng=np.random.default_rng(0)).forward(np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"sizes\[1\] is 0"):
        md.MLP([3, 0, 2], rng=np.random.default_rng(0))


def test_the_sizes_are_shown(rng):
    assert repr(md.MLP([2, 5, 3], rng=rng)) == "MLP(2-5-3)"


def test_two_sizes_are_one_layer(rng):
    assert len(md.MLP([2, 3], rng=rng).layers) == 1
    assert len(md.MLP([2, 3, 4], rng=rng).layers) == 2
    for sizes in ([], [2]):
        with pytest.raises(ValueError, match="needs an input and an output size"):
            md.MLP(sizes, rng=rng)
