"""Module, Parameter and SparseGrad: the contract."""

import copy
import pickle
import warnings

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


# What a value and a gradient are, whatever is assigned

SCRAMBLED = {
    "transposed": lambda v: np.ascontiguousarray(v.T).T,
    "reversed": lambda v: np.ascontiguousarray(v[::-1])[::-1],
    "a slice": lambda v: np.repeat(v, 2, axis=1)[:, ::2],
    "big-endian": lambda v: v.astype(v.dtype.newbyteorder(">")),
    "read-only": lambda v: read_only(v.copy()),
    "not aligned": lambda v: np.frombuffer(b"x" + v.tobytes(), v.dtype, offset=1).reshape(v.shape),
    "double": lambda v: v.astype(np.float64),
    "long double": lambda v: v.astype(np.longdouble),
    "a list": lambda v: v.tolist(),
    "masked, nothing hidden": lambda v: np.ma.masked_invalid(v),
    "a matrix": np.asmatrix,
}


def read_only(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("make", SCRAMBLED.values(), ids=SCRAMBLED.keys())
def test_an_array_that_is_assigned_is_made_fit_and_learns(make):
    layers = [md.Linear(3, 4, rng=np.random.default_rng(0)) for _ in range(2)]
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    layers[0].weight.value, layers[1].weight.value = make(values), values.copy()
    for layer in layers:
        value = layer.weight.value
        assert type(value) is np.ndarray
        assert value.flags.carray
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, np.arange(12).reshape(4, 3))
        assert not np.shares_memory(value, values)
        layer.forward(np.ones((2, 3), np.float32))
        layer.backward(np.ones((2, 4), np.float32))
        md.SGD(0.1).step(layer.parameters())
    np.testing.assert_array_equal(layers[0].weight.value, layers[1].weight.value)
    assert (layers[0].weight.value != values).all()


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (np.zeros((3, 2)), ValueError, r"weight has shape \(2, 3\): a value of shape \(3, 2\)"),
        (np.zeros((2, 3), complex), TypeError, "weight is of float32: a value of complex128"),
        (np.full((2, 3), "a"), TypeError, "weight is of float32"),
        (np.zeros((2, 3), object), TypeError, "weight is of float32"),
        (np.ma.masked_less(np.zeros((2, 3)), 1), ValueError, "weight is a masked array with 6"),
        ([[1.0], [1.0, 2.0]], ValueError, "weight is not an array"),
    ],
)
def test_an_array_that_cannot_be_the_value_is_refused(value, error, message):
    parameter = md.Parameter(np.ones((2, 3), np.float32), "weight")
    with pytest.raises(error, match=message):
        parameter.value = value
    np.testing.assert_array_equal(parameter.value, 1)


@pytest.mark.parametrize("dtype", [int, bool, np.float16, np.longdouble, object, "U1"])
def test_a_parameter_holds_numbers_that_the_kernels_know(dtype):
    with pytest.raises(TypeError, match="the parameter w has dtype"):
        md.Parameter(np.ones(2).astype(dtype), "w")


def change_flags(value):
    value.flags.writeable = False


def change_shape(value):
    value.shape = (3, 2)


def change_strides(value):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        value.strides = (4, 8)


@pytest.mark.parametrize("change", [change_flags, change_shape, change_strides])
def test_an_array_that_is_changed_in_place_is_not_stepped_or_loaded_into(change):
    layer = md.Linear(3, 2, rng=np.random.default_rng(0))
    layer.weight.grad = np.ones((2, 3), np.float32)
    layer.bias.grad = np.ones(2, np.float32)
    state = {name: value.copy() for name, value in layer.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        change(layer.weight.value)
    bias = layer.bias.value.copy()
    for use in (
        lambda: md.SGD(0.1).step(layer.parameters()),
        lambda: layer.load_state_dict(state),
    ):
        with pytest.raises(ValueError, match="the array of weight was changed in place"):
            use()
    np.testing.assert_array_equal(layer.bias.value, bias)


@pytest.mark.parametrize(
    ("rows", "values", "shape", "error", "message"),
    [
        ([3], np.ones((1, 2)), (3, 2), ValueError, r"row 3 is out of range \[0, 3\)"),
        ([-1], np.ones((1, 2)), (3, 2), ValueError, r"row -1 is out of range"),
        ([0, 1, 1], np.ones((3, 2)), (3, 2), ValueError, r"rows\[2\] = 1 does not follow"),
        ([0, 1], np.ones((1, 2)), (3, 2), ValueError, r"values has shape \(1, 2\), but .* 2 rows"),
        ([0], np.ones((1, 3)), (3, 2), ValueError, r"one gradient \(D,\) for each row"),
        ([0], np.ones((1, 2)), (3,), ValueError, "one gradient"),
        ([0], np.ones(2), (3, 2), ValueError, r"values has shape \(2,\)"),
        ([0.5], np.ones((1, 2)), (3, 2), TypeError, "rows has dtype float64"),
        ([0], np.ones((1, 2), int), (3, 2), TypeError, "values has dtype int64"),
        (np.array([2**63], np.uint64), np.ones((1, 2)), (3, 2), ValueError, "must fit into int64"),
    ],
)
def test_a_sparse_gradient_is_valid_from_its_making_on(rows, values, shape, error, message):
    with pytest.raises(error, match=message):
        md.SparseGrad(np.array(rows), values, shape)


def test_a_sparse_gradient_of_the_first_and_the_last_row_and_of_none_is_right():
    grad = md.SparseGrad(np.array([0, 2], ">i2"), np.ones((2, 1), ">f4"), (3, 1))
    assert grad.to_dense().ravel().tolist() == [1, 0, 1]
    assert (grad.rows.dtype, grad.values.dtype) == (np.int64, np.float32)
    assert grad.values.dtype.isnative
    assert md.SparseGrad([], np.zeros((0, 1)), (3, 1)).to_dense().sum() == 0


def test_rows_that_are_changed_later_are_found_by_the_step():
    table = md.Parameter(np.zeros((3, 2)), "table")
    table.grad = md.SparseGrad([0, 1], np.ones((2, 2)), (3, 2))
    table.grad.rows[1] = 10**9
    with pytest.raises(ValueError, match="row 1000000000 is out of range"):
        md.SGD(0.1).step([table])


# Tied weights


class Tied(md.Module):
    """Two layers with one weight, and a list, a tuple and a dict of parts."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.a, self.b = (md.Linear(4, 4, rng=rng, dtype=np.float64) for _ in range(2))
        self.b.weight = self.a.weight
        self.scales = [md.Parameter(np.ones(2), "scale"), self.a.bias]
        self.parts = {"last": md.Linear(4, 1, bias=False, rng=rng)}

    def forward(self, x):
        return self.b.forward(self.a.forward(x))

    def backward(self, dy):
        return self.a.backward(self.b.backward(dy))


def test_a_parameter_under_two_names_is_one_parameter_with_two_names():
    model = Tied()
    names = ["scales.0", "scales.1", "a.weight", "b.bias", "parts.last.weight"]
    assert [name for name, _ in model.named_parameters()] == names
    assert model.num_parameters() == 16 + 4 + 4 + 2 + 4
    assert {"a.weight", "b.weight"} < model.state_dict().keys()


def test_a_tied_weight_is_stepped_once_and_clipped_once():
    model, x = Tied(), np.ones((2, 4))
    model.backward(np.ones_like(model.forward(x)))
    before, grad = model.a.weight.value.copy(), model.a.weight.grad.copy()
    everything = [p for _, p in model.all_names()]
    assert len(everything) > len(model.parameters())
    md.SGD(0.1).step(everything)
    np.testing.assert_allclose(model.a.weight.value, before - 0.1 * grad)
    report = md.gradcheck(Tied(), np.random.default_rng(0).normal(size=(3, 4)), verbose=False)
    assert all(check.passed for check in report.arrays if check.name == "a.weight")


def test_tied_weights_of_two_values_are_refused():
    model = Tied()
    state = {name: value.copy() for name, value in model.state_dict().items()}
    model.load_state_dict(state)
    state["b.weight"] += 1
    with pytest.raises(ValueError, match=r"a.weight and b.weight are one array"):
        model.load_state_dict(state)


# Copies


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), lambda m: m.astype("f8")]
)
def test_every_copy_has_its_own_arrays_and_keeps_what_is_tied(duplicate):
    model = Tied()
    other = duplicate(model)
    assert other.b.weight is other.a.weight
    for (name, mine), (again, theirs) in zip(
        model.named_parameters(), other.named_parameters(), strict=True
    ):
        assert name == again
        assert theirs.value.flags.carray
        np.testing.assert_array_equal(mine.value, theirs.value)
        assert not np.shares_memory(mine.value, theirs.value)


def test_a_pickle_holds_neither_the_last_batch_nor_its_gradients():
    network, x = md.Linear(3, 2, rng=np.random.default_rng(0)), np.ones((1000, 3), np.float32)
    fresh = len(pickle.dumps(network))
    y = network.forward(x)
    assert len(pickle.dumps(network)) == fresh
    network.backward(y)
    again = pickle.loads(pickle.dumps(network))
    assert again.weight.grad is None
    assert network.weight.grad is not None
    with pytest.raises(RuntimeError, match=r"without a forward\(\)"):
        again.backward(y)


def test_a_pickle_of_read_only_buffers_can_be_trained():
    parts = []
    data = pickle.dumps(
        md.Linear(3, 2, rng=np.random.default_rng(0)), protocol=5, buffer_callback=parts.append
    )
    again = pickle.loads(data, buffers=[bytes(part.raw()) for part in parts])
    assert again.weight.value.flags.carray


def test_a_deepcopy_keeps_gradients():
    layer = md.Linear(3, 2, rng=np.random.default_rng(0))
    layer.weight.grad = np.ones((2, 3), np.float32)
    other = copy.deepcopy(layer)
    other.weight.grad += 1
    np.testing.assert_array_equal(layer.weight.grad, 1)


def test_integers_as_dy_are_numbers():
    for dy in (np.ones((1, 2), int), np.ones((1, 2), bool), np.ones((1, 2), np.longdouble)):
        bag = md.EmbeddingBag(5, 2, mode="mean", rng=np.random.default_rng(0))
        bag.forward(np.array([[1, 2]]))
        bag.backward(dy)
        np.testing.assert_array_equal(bag.weight.grad.values, 0.5)


def test_rows_of_a_sparse_gradient_are_sorted_with_their_values():
    grad = md.SparseGrad(np.array([2, 0]), np.array([[1.0, 2.0], [3.0, 4.0]]), (3, 2))
    assert grad.rows.tolist() == [0, 2]
    assert grad.values.tolist() == [[3, 4], [1, 2]]
