"""One rule of dtypes for every layer and both backends, and arrays that come from elsewhere.

A layer computes in the dtype that NumPy gives for its input and its parameters together; data
(ids' weights, dense features) take the parameters' dtype; dy takes the output's.
"""

import json

import numpy as np
import pytest

import minidlrm as md
from minidlrm import kernels
from minidlrm.checking import cases

FLOATS = (np.float32, np.float64, np.complex128)
LAYERS = {
    name: (target, inputs)
    for name, target, inputs in cases.everything(2)
    if not isinstance(target, (md.Loss, md.Model))
}
DATA = (md.EmbeddingBagCollection, md.QREmbeddingBag, md.ComposedTables, md.FieldEmbeddings)
DATA += (md.LinearTerm,)
each_layer = pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS.keys())


@pytest.fixture(params=["numpy", "numba"])
def backend(request):
    if request.param == "numba":
        pytest.importorskip("numba", reason="Numba is not installed")
    before = kernels.backend
    kernels.use(request.param)
    yield request.param
    kernels.use(before)


def cast(value, dtype):
    if isinstance(value, md.Jagged):
        weights = None if value.weights is None else value.weights.astype(dtype)
        return md.Jagged(value.values, value.offsets, weights)
    return value.astype(dtype) if value.dtype.kind == "f" else value


def run(layer, inputs, dy_dtype):
    """Every array that a step gives, by name."""
    layer.zero_grad()
    y = layer.forward(*inputs)
    dy = np.arange(1, y.size + 1).reshape(y.shape).astype(dy_dtype)
    dx = layer.backward(dy)
    made = {"y": y}
    made |= {f"dx{k}": a for k, a in enumerate(dx if isinstance(dx, tuple) else (dx,))}
    for name, parameter in layer.named_parameters():
        grad = parameter.grad
        made[name] = grad.to_dense() if isinstance(grad, md.SparseGrad) else grad
    return {name: array for name, array in made.items() if array is not None}


@pytest.mark.parametrize("x_dtype", FLOATS)
@pytest.mark.parametrize("dtype", FLOATS)
@each_layer
def test_both_backends_give_the_promoted_dtype_and_the_same_numbers(case, dtype, x_dtype):
    pytest.importorskip("numba", reason="Numba is not installed")
    layer, inputs = case[0].astype(dtype), tuple(cast(value, x_dtype) for value in case[1])
    is_data = isinstance(layer, DATA)
    floats = [a for a in inputs if getattr(a, "dtype", np.dtype(int)).kind in "fc"]
    floats += [a for a in inputs if isinstance(a, md.Jagged) and a.weights is not None]
    if is_data and floats and x_dtype == np.complex128 and dtype != np.complex128:
        with pytest.raises(TypeError, match="complex128, which does not fit into float"):
            layer.forward(*inputs)
        return
    expected = np.result_type(dtype, x_dtype) if floats and not is_data else np.dtype(dtype)
    if not layer.parameters():
        expected = np.dtype(x_dtype)
    before, results = kernels.backend, []
    try:
        for name in ("numpy", "numba"):
            kernels.use(name)
            results.append([run(layer, inputs, kind) for kind in (np.float32, np.float64, int)])
    finally:
        kernels.use(before)
    for ours, theirs in zip(*results, strict=True):
        for name in ours:
            assert ours[name].dtype == theirs[name].dtype == expected, name
            scale = np.abs(theirs[name]).max(initial=1)
            tolerance = (1e-4 if expected == np.float32 else 1e-11) * scale
            np.testing.assert_allclose(ours[name], theirs[name], atol=tolerance, err_msg=name)


@each_layer
def test_all_floats_of_a_kernel_call_have_one_dtype_and_lie_row_by_row(case, monkeypatch):
    seen = []

    def watch(name, kernel):
        def watched(*arguments):
            arrays = [a for a in arguments if isinstance(a, np.ndarray) and a.dtype.kind in "fc"]
            seen.extend((name, a.dtype) for a in arrays)
            assert len({a.dtype for a in arrays}) <= 1, name
            assert all(a.flags.c_contiguous and a.dtype.isnative for a in arrays), name
            return kernel(*arguments)

        monkeypatch.setattr(kernels, name, watched)

    for name in kernels.reference.__all__:
        watch(name, getattr(kernels, name))
    for dtype in (np.float32, np.float64):
        for x_dtype in (np.float32, np.float64):
            for dy_dtype in (np.float32, np.float64, np.int64):
                run(case[0].astype(dtype), [cast(v, x_dtype) for v in case[1]], dy_dtype)


FOREIGN = {
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "Fortran order": np.asfortranarray,
    "every other row": lambda a: np.repeat(a, 2, axis=0)[::2],
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "a masked array without a mask": np.ma.asarray,
    "long double": lambda a: a.astype(np.longdouble) if a.dtype.kind == "f" else a,
    "unsigned": lambda a: a.astype(np.uint64) if a.dtype.kind == "i" else a,
    "small integers": lambda a: a.astype(np.int8) if a.dtype.kind == "i" else a,
}


@pytest.mark.parametrize("form", FOREIGN)
@each_layer
def test_arrays_from_elsewhere_give_the_same_numbers(case, form, backend):
    layer, inputs = case

    def foreign(value):
        if isinstance(value, md.Jagged):
            parts = (value.values, value.offsets, value.weights)
            return md.Jagged(*(a if a is None else FOREIGN[form](a) for a in parts))
        return FOREIGN[form](value)

    expected = run(layer, inputs, np.float64)
    given = run(layer, [foreign(value) for value in inputs], np.float64)
    for name, array in expected.items():
        assert given[name].dtype == array.dtype
        np.testing.assert_allclose(given[name], array, rtol=1e-12, atol=1e-12)


def test_a_memory_mapped_input_is_read(tmp_path, backend):
    x = np.linspace(-1, 1, 12).reshape(4, 3)
    np.save(tmp_path / "x.npy", x)
    net = md.CrossNetwork(3, 2, rng=np.random.default_rng(0), dtype=np.float64)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(net.forward(mapped), net.forward(x))


def test_integers_are_not_cut(backend):
    for cross in ("vector", "matrix"):
        net = md.CrossNetwork(2, 1, cross, rng=np.random.default_rng(0))
        x = np.array([[1, 2]])
        np.testing.assert_array_equal(net.forward(x), net.forward(x.astype(np.float32)))
    bag = md.EmbeddingBag(5, 2, mode="mean", rng=np.random.default_rng(0))
    bag.forward(np.array([[1, 2]]))
    bag.backward(np.ones((1, 2), int))
    np.testing.assert_array_equal(bag.weight.grad.values, np.full((2, 2), 0.5))


def test_half_precision_is_computed_in_float32(backend):
    net = md.CrossNetwork(2, 1, rng=np.random.default_rng(0))
    assert net.forward(np.ones((1, 2), np.float16)).dtype == np.float32
    assert md.DotInteraction(2, 2).forward(np.ones((1, 2, 2), np.float16)).dtype == np.float32


BAD = {
    "masked": (np.ma.masked_equal(np.ones((2, 3)), 1), ValueError, "x is a masked array with 6"),
    "text": (np.full((2, 3), "a"), TypeError, "x has dtype <U1"),
    "objects": (np.full((2, 3), None), TypeError, "x has dtype object"),
    "dates": (np.zeros((2, 3), "datetime64[D]"), TypeError, "x has dtype datetime64"),
}


@pytest.mark.parametrize(("x", "error", "message"), BAD.values(), ids=BAD.keys())
def test_what_is_not_numbers_is_refused_by_name(x, error, message):
    with pytest.raises(error, match=message):
        md.Linear(3, 2, rng=np.random.default_rng(0)).forward(x)


def test_a_complex_dy_of_a_real_output_is_refused():
    layer = md.DotInteraction(2, 2)
    layer.forward(np.ones((1, 2, 2)))
    with pytest.raises(TypeError, match="dy is of complex128, which does not fit into float64"):
        layer.backward(np.ones((1, 1), complex))


@pytest.mark.parametrize("name", md.MODELS)
def test_numpy_integers_as_sizes_are_kept_as_python_integers(name):
    entry = md.MODELS[name]
    sizes = np.array([9, 4] if entry.pairs_only else [9, 4, 5])
    model = entry.build(np.int64(0 if entry.pairs_only else 3), sizes, np.int32(4), np.array([6]))
    json.dumps(model.config)


def test_a_size_that_is_not_an_integer_is_named():
    with pytest.raises(TypeError, match="embedding_dim is 2.5: it must be an integer"):
        md.DLRM(0, [3, 4], 2.5)
