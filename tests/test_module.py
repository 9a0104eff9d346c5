"""Module, Parameter and SparseGrad: the contract."""

import numpy as np
import pytest

import minidlrm as md


def model():
    return md.DLRM(2, [5, 6], 4, bottom_mlp=(3,), top_mlp=(3,))


def test_parameters_come_in_the_order_of_definition():
    assert [name for name, _ in model().named_parameters()] == [
        "embeddings.weight",
        "bottom.layers.0.weight",
        "bottom.layers.0.bias",
        "bottom.layers.1.weight",
        "bottom.layers.1.bias",
        "top.layers.0.weight",
        "top.layers.0.bias",
        "top.layers.1.weight",
        "top.layers.1.bias",
    ]


def test_backward_before_forward_raises():
    with pytest.raises(RuntimeError, match=r"Linear.backward\(\) without a forward\(\)"):
        md.Linear(2, 3).backward(np.ones((1, 3)))


def test_backward_twice_for_one_forward_raises():
    linear = md.Linear(2, 3)
    linear.forward(np.ones((1, 2), np.float32))
    linear.backward(np.ones((1, 3)))
    with pytest.raises(RuntimeError, match="backward once for each forward"):
        linear.backward(np.ones((1, 3)))


def test_gradients_add_up_until_zero_grad():
    linear, x, dy = md.Linear(2, 3), np.ones((1, 2), np.float32), np.ones((1, 3), np.float32)
    for count in (1, 2):
        linear.forward(x)
        linear.backward(dy)
        np.testing.assert_array_equal(linear.weight.grad, np.full((3, 2), count))
    linear.zero_grad()
    assert linear.weight.grad is None


def test_a_gradient_of_the_wrong_shape_raises():
    with pytest.raises(ValueError, match=r"gradient of w has shape \(2,\), the parameter \(3,\)"):
        md.Parameter(np.zeros(3), "w").add_grad(np.zeros(2))


def test_state_dict_round_trip():
    first, second = model(), md.DLRM(2, [5, 6], 4, (3,), (3,), seed=1)
    second.load_state_dict(first.state_dict())
    for name, value in second.state_dict().items():
        np.testing.assert_array_equal(value, first.state_dict()[name])
        assert value is not first.state_dict()[name]


def test_a_state_that_does_not_fit_names_all_faults_and_changes_nothing():
    network = model()
    before = {name: value.copy() for name, value in network.state_dict().items()}
    state = {name: value + 1 for name, value in before.items()}
    del state["top.layers.0.bias"]
    state["top.layers.9.bias"] = np.zeros(1)
    state["bottom.layers.0.bias"] = np.zeros(7)
    with pytest.raises(ValueError, match="does not fit this DLRM") as error:
        network.load_state_dict(state)
    assert "missing: top.layers.0.bias" in str(error.value)
    assert "unexpected: top.layers.9.bias" in str(error.value)
    assert "bottom.layers.0.bias: shape (7,), expected (3,)" in str(error.value)
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_astype_copies():
    network = model()
    double = network.astype(np.float64)
    assert {p.value.dtype for p in double.parameters()} == {np.dtype(np.float64)}
    double.top.layers[0].weight.value[...] = 0
    assert (network.top.layers[0].weight.value != 0).any()
    assert double.num_parameters() == network.num_parameters()


def test_astype_forgets_gradients_and_what_forward_kept():
    linear = md.Linear(2, 3)
    linear.forward(np.ones((1, 2), np.float32))
    copy = linear.astype(np.float64)
    assert copy.weight.grad is None
    with pytest.raises(RuntimeError):
        copy.backward(np.ones((1, 3)))
    linear.backward(np.ones((1, 3)))  # the original has kept its own


def test_sparse_gradients_add_and_become_dense(rng):
    a = md.SparseGrad(np.array([1, 4]), rng.normal(size=(2, 3)), (6, 3))
    b = md.SparseGrad(np.array([0, 4, 5]), rng.normal(size=(3, 3)), (6, 3))
    np.testing.assert_array_equal((a + b).to_dense(), a.to_dense() + b.to_dense())
    np.testing.assert_array_equal((a + b).rows, [0, 1, 4, 5])


def test_a_module_without_passes_says_so():
    with pytest.raises(NotImplementedError, match="Module has no forward"):
        md.Module().forward()
