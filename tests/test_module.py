"""Module, Parameter and SparseGrad: the contract."""

import numpy as np
import pytest

import minidlrm as md
from minidlrm.checking import cases
from minidlrm.data import Batch, Jagged


def model():
    return md.DLRM(2, [5, 6], 4, bottom_mlp=(3,), top_mlp=(3,))


CASES = {
    name: (target, inputs)
    for name, target, inputs in cases.everything(1)
    if not isinstance(target, md.Loss)  # it returns a number
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def make(case, dtype=np.float32):
    """A layer or a model in this dtype, and what its forward takes."""
    layer, inputs = case
    return layer.astype(dtype), tuple(cast(value, dtype) for value in inputs)


def cast(value, dtype):
    if isinstance(value, Batch):
        return Batch(value.dense.astype(np.float32), cast(value.sparse, np.float32), value.label)
    if isinstance(value, Jagged):
        weights = None if value.weights is None else value.weights.astype(dtype)
        return Jagged(value.values, value.offsets, weights)
    return value.astype(dtype) if value.dtype.kind == "f" else value


def arrays(value):
    """All arrays in an input, an output or a gradient."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, (tuple, list)):
        return [array for item in value for array in arrays(item)]
    return arrays(list(vars(value).values())) if hasattr(value, "__dict__") else []


def copies(value):
    return [array.copy() for array in arrays(value)]


def gradients(layer):
    return arrays([parameter.grad for parameter in layer.parameters()])


@every_case
def test_each_backward_wants_a_forward_of_its_own(case):
    layer, inputs = make(case)
    with pytest.raises(RuntimeError, match=r"backward\(\) without a forward\(\) before it"):
        layer.backward(np.ones((8, 4)))
    dy = np.ones_like(layer.forward(*inputs))
    layer.backward(dy)
    before = copies(gradients(layer))
    with pytest.raises(RuntimeError, match="backward once for each forward"):
        layer.backward(dy)
    assert_equal(gradients(layer), before)


@every_case
def test_forward_and_backward_return_fresh_arrays_and_do_not_change_their_inputs(case):
    layer, inputs = make(case)
    given = copies(inputs)
    y = layer.forward(*inputs)
    dy = np.full_like(y, 0.5)
    dx = layer.backward(dy)
    kept = copies([y, dx])
    assert (dy == 0.5).all()
    layer.forward(*inputs)
    layer.backward(3 * dy)
    assert_equal(arrays([y, dx]), kept)  # a learner who keeps two results keeps two results
    assert_equal(arrays(inputs), given)
    assert not any(np.shares_memory(a, b) for a in arrays([y, dx]) for b in arrays([inputs, dy]))
    assert not any(np.shares_memory(a, dy) for a in gradients(layer))


@every_case
def test_gradients_of_each_case_add_up_until_zero_grad(case):
    layer, inputs = make(case)
    for count in (1, 2, 3):
        layer.backward(np.ones_like(layer.forward(*inputs)))
        if count == 1:
            once = copies([p.grad for p in layer.parameters()])
    for three, one in zip(gradients(layer), once, strict=True):
        factor = 1 if three.dtype == np.int64 else 3  # the rows of a SparseGrad stay
        np.testing.assert_allclose(three, factor * one, rtol=1e-6, atol=1e-7)
    layer.zero_grad()
    assert gradients(layer) == []


@every_case
def test_a_dy_of_the_wrong_shape_changes_nothing(case):
    layer, inputs = make(case)
    y = layer.forward(*inputs)
    before = copies(list(layer.state_dict().values()))
    with pytest.raises(ValueError, match=r"backward: dy has shape .*, the output had"):
        layer.backward(np.ones((len(y) + 1, *y.shape[1:]), np.float32))
    assert gradients(layer) == []
    assert_equal(arrays(list(layer.state_dict().values())), before)


@every_case
def test_the_same_call_gives_the_same_bits_in_float32(case):
    results = []
    for _ in range(2):
        layer, inputs = make(case)
        y = layer.forward(*inputs)
        results.append(arrays([y, layer.backward(np.ones_like(y))]) + gradients(layer))
    assert_equal(*results)
    assert {a.dtype for a in results[0]} <= {np.dtype(np.float32), np.dtype(np.int64)}


@every_case
def test_complex_numbers_flow_through(case):
    layer, inputs = make(case, np.complex128)
    y = layer.forward(*inputs)
    layer.backward(1j * np.ones_like(y))
    assert y.dtype == np.complex128
    assert all(a.dtype in (np.complex128, np.int64) for a in gradients(layer))


def assert_equal(ours, theirs):
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other)


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
        md.Linear(2, 3, rng=np.random.default_rng(0)).backward(np.ones((1, 3)))


def test_backward_twice_for_one_forward_raises():
    linear = md.Linear(2, 3, rng=np.random.default_rng(0))
    linear.forward(np.ones((1, 2), np.float32))
    linear.backward(np.ones((1, 3)))
    with pytest.raises(RuntimeError, match="backward once for each forward"):
        linear.backward(np.ones((1, 3)))


def test_gradients_add_up_until_zero_grad():
    linear, x, dy = (
        md.Linear(2, 3, rng=np.random.default_rng(0)),
        np.ones((1, 2), np.float32),
        np.ones((1, 3), np.float32),
    )
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
    linear = md.Linear(2, 3, rng=np.random.default_rng(0))
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


@pytest.mark.parametrize("value", ["text", np.complex128(1j)])
def test_a_state_of_the_wrong_dtype_changes_nothing(value):
    linear = md.Linear(2, 3, rng=np.random.default_rng(0))
    state = {"weight": linear.weight.value + 1, "bias": np.full(3, value)}
    before = copies(list(linear.state_dict().values()))
    with pytest.raises((ValueError, TypeError), match="bias"):
        linear.load_state_dict(state)
    assert_equal(list(linear.state_dict().values()), before)


def test_modules_in_lists_are_walked_in_order_and_counted():
    class Pair(md.Module):
        def __init__(self):
            self.scale = md.Parameter(np.ones(2), "scale")
            self.parts = (
                md.Linear(2, 3, rng=np.random.default_rng(0)),
                md.Linear(3, 1, bias=False, rng=np.random.default_rng(0)),
            )
            self.last = md.ReLU()

    names = ["scale", "parts.0.weight", "parts.0.bias", "parts.1.weight"]
    assert [name for name, _ in Pair().named_parameters()] == names
    assert [name for name, _ in Pair().named_children()] == ["parts.0", "parts.1", "last"]
    assert Pair().num_parameters() == 2 + 6 + 3 + 3
