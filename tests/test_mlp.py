"""MLP."""

import numpy as np
import pytest

import minidlrm as md


@pytest.mark.parametrize("last_activation", [True, False])
@pytest.mark.parametrize("sizes", [[3, 2], [3, 5, 2], [3, 5, 4, 1]])
def test_gradients_by_differences(sizes, last_activation, rng):
    mlp = md.MLP(sizes, last_activation=last_activation, rng=rng)
    md.gradcheck(mlp, rng.normal(size=(6, 3)), verbose=False).raise_if_failed()


def test_relu_after_every_layer_or_all_but_the_last():
    activations = [layer.activation for layer in md.MLP([3, 4, 5]).layers]
    assert activations == ["relu", "relu"]
    top = md.MLP([3, 4, 5], last_activation=False)
    assert [layer.activation for layer in top.layers] == ["relu", None]


@pytest.mark.oracle
def test_pytorch_agrees(torch, rng):
    mlp = md.MLP([3, 5, 2], rng=rng, dtype=np.float64)
    nn = torch.nn
    oracle = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2), nn.ReLU()).double()
    for k, layer in enumerate(mlp.layers):
        oracle[2 * k].weight.data = torch.from_numpy(layer.weight.value)
        oracle[2 * k].bias.data = torch.from_numpy(layer.bias.value)
    x, dy = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    tensor = torch.tensor(x, requires_grad=True)
    expected = oracle(tensor)
    expected.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(mlp.forward(x), expected.detach().numpy(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(mlp.backward(dy), tensor.grad.numpy(), rtol=1e-12, atol=1e-14)


def test_one_size_is_no_mlp():
    with pytest.raises(ValueError, match="at least an input and an output size"):
        md.MLP([3])
