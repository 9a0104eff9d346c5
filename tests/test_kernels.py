"""Each fast kernel under the same tests as its definition."""

import contextlib
import inspect
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidlrm import kernels
from minidlrm.kernels import reference

try:
    from minidlrm.kernels import jit
except ImportError:
    jit = None

needs_numba = pytest.mark.skipif(jit is None, reason="Numba is not installed")
both_backends = pytest.mark.parametrize(
    "backend", [reference, pytest.param(jit, marks=needs_numba)], ids=["numpy", "numba"]
)

DTYPES = [np.float32, np.float64, np.complex128]


def agree(a, b):
    assert a.shape == b.shape
    assert a.dtype == b.dtype
    tolerance = 1e-5 if a.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def numbers(rng, shape, dtype=np.float64):
    values = rng.normal(size=shape)
    if dtype == np.complex128:
        values = values + 1j * rng.normal(size=shape)
    return values.astype(dtype)


@st.composite
def bags(draw):
    """Bags of ids of T tables: empty ones, repeats, one row, one column."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    batch_size = draw(st.integers(1, 6))
    lengths = rng.integers(0, 4, len(sizes) * batch_size)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    table = np.repeat(np.repeat(np.arange(len(sizes)), batch_size), lengths)
    values = rng.integers(0, np.array(sizes)[table]) if len(table) else np.zeros(0, np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    return rng, values, offsets, starts, draw(st.integers(1, 5))


@needs_numba
@given(bags(), st.booleans())
def test_bags_gather_and_scatter_as_defined(case, weighted):
    rng, values, offsets, starts, dim = case
    num_tables = len(starts) - 1
    rows, bad, _ = jit.bag_rows(values, offsets, starts)
    expected, expected_bad, _ = reference.bag_rows(values, offsets, starts)
    assert bad == expected_bad == -1
    np.testing.assert_array_equal(rows, expected)
    weight = numbers(rng, (starts[-1], dim))
    scale = rng.normal(size=len(rows)) if weighted else None
    agree(
        jit.gather_bags(weight, rows, offsets, scale, num_tables),
        reference.gather_bags(weight, rows, offsets, scale, num_tables),
    )
    bag = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    dy = numbers(rng, (len(offsets) - 1, dim))
    ours = jit.scatter_add(rows, dy, bag, scale, int(starts[-1]))
    theirs = reference.scatter_add(rows, dy, bag, scale, int(starts[-1]))
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_array_equal(ours[1], theirs[1])  # in the same order: the same bits
    agree(
        jit.bag_weight_grad(weight, rows, bag, dy), reference.bag_weight_grad(weight, rows, bag, dy)
    )


@needs_numba
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_large_sums_have_the_bits_of_small_ones(monkeypatch, weighted, dtype):
    rng = np.random.default_rng(0)
    rows, source = rng.integers(0, 9, 50), rng.integers(0, 6, 50)
    dy, scale = numbers(rng, (6, 5)).astype(dtype), rng.normal(size=50) if weighted else None
    _, small = jit.scatter_add(rows, dy, source, scale, 9)
    monkeypatch.setattr(jit, "_LARGE_PAGES", 0)
    _, large = jit.scatter_add(rows, dy, source, scale, 9)
    assert large.dtype == small.dtype == dtype
    np.testing.assert_array_equal(large, small)


@both_backends
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 40),
    st.integers(1, 4),
    st.integers(1, 9),
    st.booleans(),
    st.booleans(),
)
def test_scatter_add_has_the_bits_of_add_at(backend, seed, n, dim, num_rows, shared, weighted):
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, num_rows, n)
    dy = rng.normal(size=(6 if shared else n, dim))
    source = rng.integers(0, 6, n) if shared else None
    scale = rng.normal(size=n) if weighted else None
    terms = (dy[source] if shared else dy) * (scale[:, None] if weighted else 1)
    dense = np.zeros((num_rows, dim))
    np.add.at(dense, rows, terms)
    unique, sums = backend.scatter_add(rows, dy, source, scale, num_rows)
    assert unique.dtype == np.int64
    np.testing.assert_array_equal(unique, np.unique(rows))  # sorted, each row once
    assert sums.tobytes() == dense[unique].tobytes()


@needs_numba
@pytest.mark.parametrize("num_rows", [1, 2, 2**11, 2**11 + 1, 2**22, 2**22 + 1, 2**35])
def test_scatter_add_sorts_rows_of_any_size(num_rows, rng):
    few = np.concatenate([rng.integers(0, num_rows, 20), [0, num_rows - 1]])
    rows, dy = rng.choice(few, 200), rng.normal(size=(200, 2))  # about ten of each
    ours = jit.scatter_add(rows, dy, None, None, num_rows)
    theirs = reference.scatter_add(rows, dy, None, None, num_rows)
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_array_equal(ours[1], theirs[1])


@both_backends
def test_scatter_add_gives_the_same_bits_twice(backend, rng):
    rows, dy = rng.integers(0, 7, 1000), rng.normal(size=(1000, 3)).astype(np.float32)
    first, second = (backend.scatter_add(rows, dy, None, None, 7)[1] for _ in range(2))
    assert first.tobytes() == second.tobytes()


@needs_numba
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
def test_lookups_in_other_dtypes(dtype, weighted, rng):
    weight, dy = numbers(rng, (5, 3), dtype), numbers(rng, (4, 3), dtype)
    rows, offsets = np.array([1, 0, 1, 4, 2, 2]), np.array([0, 3, 3, 4, 6])
    bag = np.array([0, 0, 0, 2, 3, 3])
    scale = numbers(rng, 6, dtype) if weighted else None
    agree(jit.gather(weight, rows), reference.gather(weight, rows))
    for name, arguments in (
        ("gather_bags", (weight, rows, offsets, scale, 2)),
        ("bag_weight_grad", (weight, rows, bag, dy)),
    ):
        agree(getattr(jit, name)(*arguments), getattr(reference, name)(*arguments))
    ours, theirs = (k.scatter_add(rows, dy, bag, scale, 5) for k in (jit, reference))
    np.testing.assert_array_equal(ours[0], theirs[0])
    agree(ours[1], theirs[1])


@both_backends
@given(bags(), st.integers(0, 2**32 - 1))
def test_bag_rows_finds_the_first_bad_id(backend, case, seed):
    rng, values, offsets, starts, _ = case
    values = values.copy()
    wrong = np.random.default_rng(seed).random(len(values)) < 0.2
    values[wrong] = rng.choice([-1, 5, 2**40], wrong.sum())  # no table has more than 5 rows
    expected = int(wrong.argmax()) if wrong.any() else -1
    assert backend.bag_rows(values, offsets, starts)[1] == expected


@needs_numba
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 4))
def test_table_rows_finds_the_first_bad_id(seed, batch_size, num_tables):
    rng = np.random.default_rng(seed)
    starts = np.concatenate([[0], np.cumsum(rng.integers(1, 4, num_tables))])
    ids = rng.integers(-1, 4, (batch_size, num_tables))
    rows, bad = jit.table_rows(ids, starts)
    expected, expected_bad = reference.table_rows(ids, starts)
    assert bad == expected_bad
    if bad < 0:
        np.testing.assert_array_equal(rows, expected)
        agree(
            jit.gather(np.eye(9), rows.ravel() % 9), reference.gather(np.eye(9), rows.ravel() % 9)
        )


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 4, 1), (5, 1, 3), (33, 4, 3), (16, 27, 16)])
def test_pairs(shape, diagonal, dtype, rng):
    z = numbers(rng, shape, dtype)
    expected = reference.pairs(z, diagonal)
    agree(jit.pairs(z, diagonal), expected)
    dy = numbers(rng, expected.shape, dtype)
    agree(jit.pairs_backward(dy, z, diagonal), reference.pairs_backward(dy, z, diagonal))


@both_backends
def test_pairs_backward_takes_a_slice_of_a_larger_array(backend, rng):
    z, dy = numbers(rng, (3, 4, 2)), numbers(rng, (3, 9))  # as DLRM cuts [dense, pairs]
    expected = reference.pairs_backward(dy[:, 3:].copy(), z, False)
    agree(backend.pairs_backward(dy[:, 3:], z, False), expected)


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(0, 3, 2), (1, 1, 1), (4, 1, 3), (5, 2, 50), (3, 7, 19)])
def test_the_sum_over_pairs_of_vectors(shape, dtype, rng):
    z = numbers(rng, shape, dtype)
    y, total = jit.bi_interaction(z)
    for ours, theirs in zip((y, total), reference.bi_interaction(z), strict=True):
        agree(ours, theirs)
    for width in (1, shape[2]):  # a gradient for a sample, or one for each entry
        dy = numbers(rng, (shape[0], width), dtype)
        ours = jit.bi_interaction_backward(dy, z, total)
        agree(ours, reference.bi_interaction_backward(dy, z, total))


@needs_numba
@pytest.mark.parametrize("dtype", [np.float16, *DTYPES])
@pytest.mark.parametrize("shape", [(0,), (1,), (50,), (6, 1), (3, 4)])
@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_terms_of_cross_entropy(shape, dtype, weight, rng):
    x, y = numbers(rng, shape, dtype), rng.random(shape).astype(np.dtype(dtype).char.lower())
    for logits in (x, 1000 * x, np.zeros_like(x), x[::-1], x.T):
        labels = y.reshape(logits.shape)
        agree(jit.bce(logits, labels, weight), reference.bce(logits, labels, weight))
        for w in (weight, 1 + weight * labels):  # one for all, or one for each label
            ours = jit.bce_backward(logits, labels, w)
            agree(ours, reference.bce_backward(logits, labels, w))


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1, 2, 1), (5, 3, 3, 1), (4, 0, 2, 3), (6, 2, 5, 4)])
def test_vectors_of_dense_features(shape, dtype, rng):
    b, n, fields, dim = shape
    x, v = numbers(rng, (b, n), dtype), numbers(rng, (n, dim), dtype)
    dz = numbers(rng, (b, fields, dim), dtype)
    ours, theirs = dz.copy(), dz.copy()
    jit.dense_fields(ours, x, v)
    reference.dense_fields(theirs, x, v)
    agree(ours, theirs)
    np.testing.assert_array_equal(ours[:, n:], dz[:, n:])  # the tables' part is not touched
    for a, expected in zip(
        jit.dense_fields_backward(dz, x, v), reference.dense_fields_backward(dz, x, v), strict=True
    ):
        agree(a, expected)


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(0,), (1,), (3, 5), (2, 3, 4)])
def test_the_sum_of_four_has_the_bits_of_three_additions(shape, dtype, rng):
    four = [numbers(rng, shape, dtype) for _ in range(4)]
    np.testing.assert_array_equal(jit.sum_of_four(*four), reference.sum_of_four(*four))
    assert jit.sum_of_four(*four).shape == shape


@needs_numba
@pytest.mark.parametrize(
    ("count", "num_rows"),
    [(0, 1), (1, 1), (50, 1), (300, 2), (300, 2048), (300, 2049), (3000, 1 << 22), (3000, 1 << 23)],
)
def test_rows_are_grouped_as_defined(count, num_rows, rng):
    rows = rng.integers(0, num_rows, count)
    rows[count // 2 :] = rows[: count - count // 2]  # some of them twice
    for ours, theirs in zip(
        jit.group_rows(rows, num_rows), reference.group_rows(rows, num_rows), strict=True
    ):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@needs_numba
@pytest.mark.parametrize("num_rows", [(1 << 60) - 1, 1 << 60, 1 << 62])
def test_rows_whose_places_do_not_fit_into_one_number_are_grouped_all_the_same(num_rows):
    rows = np.array([num_rows - 1, 0, 5, num_rows - 1, 1 << 59, 0, 7, 3])  # 60 bits and 3, or more
    unique, order, ends = jit.group_rows(rows, num_rows)
    assert unique.tolist() == sorted(set(rows.tolist()))
    assert order.tolist() == [1, 5, 7, 2, 6, 4, 0, 3]
    assert ends.tolist() == [0, 2, 3, 4, 5, 6, 8]


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (7, 1), (6, 9)])
def test_bias_and_relu(shape, relu, dtype, rng):
    y, bias, dy = (numbers(rng, s, dtype) for s in (shape, shape[1], shape))
    ours, theirs = y.copy(), y.copy()
    jit.add_bias(ours, bias, relu)
    reference.add_bias(theirs, bias, relu)
    agree(ours, theirs)
    for a, b in zip(
        jit.bias_backward(dy, ours, relu), reference.bias_backward(dy, ours, relu), strict=True
    ):
        agree(a, b)


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
def test_outer_product_of_one_sample(dtype, rng):
    dz, x = numbers(rng, (1, 4), dtype), numbers(rng, (1, 3), dtype)
    agree(jit.outer(dz, x), reference.outer(dz, x))
    agree(jit.outer(dz, x), dz.T @ x)


@needs_numba
def test_bias_backward_of_a_wider_dy_has_the_same_dtype_in_both(rng):
    y, dy = numbers(rng, (4, 3), np.float32), numbers(rng, (4, 3))
    for a, b in zip(
        jit.bias_backward(dy, y, False), reference.bias_backward(dy, y, False), strict=True
    ):
        agree(a, b)


@both_backends
def test_relu_keeps_a_nan(backend):
    y = np.array([[np.nan, -1.0]])
    backend.add_bias(y, np.zeros(2), True)
    assert np.isnan(y[0, 0])
    assert y[0, 1] == 0


@both_backends
def test_relu_gives_a_zero_without_a_sign(backend):
    y = np.array([[-0.0, -1.0]])
    backend.add_bias(y, np.array([-0.0, 0.0]), True)
    assert not np.signbit(y).any()


@both_backends
def test_a_bad_id_is_placed_in_its_table(backend):
    starts, offsets = np.array([0, 2, 5]), np.array([0, 1, 2, 3, 5])  # tables of 2 and 3 rows
    for values, where in [
        ([1, 0, 2, 0, 1], (-1, -1)),
        ([2, 0, 2, 0, 1], (0, 0)),
        ([1, -1, 3, 0, 1], (1, 0)),
        ([1, 0, 2, 3, 0], (3, 1)),
        ([1, 0, 0, 0, -1], (4, 1)),
    ]:
        assert backend.bag_rows(np.array(values), offsets, starts)[1:] == where


@both_backends
def test_ids_begin_at_zero_and_end_before_the_size(backend):
    starts = np.array([0, 2, 5])
    for ids, bad in [
        ([[0, 2], [1, 0]], -1),
        ([[0, 3], [2, 0]], 1),
        ([[2, 0], [0, 0]], 0),
        ([[0, 0], [0, -1]], 3),
    ]:
        rows, found = backend.table_rows(np.array(ids), starts)
        assert found == bad
        if bad < 0:
            assert rows.tolist() == [[0, 4], [1, 2]]


@both_backends
def test_ftrl_keeps_what_has_no_gradient_at_zero_without_dividing(backend):
    weight, z, n = np.zeros((1, 2)), np.array([[0.0, 0.5]]), np.zeros((1, 2))
    with np.errstate(all="ignore"):
        backend.ftrl_rows(weight, z, n, np.array([0]), np.zeros((1, 2)), 0.1, 0.5, 0.0, 0.0)
    assert weight.tolist() == [[0, 0]]


UPDATES = {
    "sgd_rows": (0, (0.1, 0.01)),
    "momentum_rows": (1, (0.1, 0.9, 0.01)),
    "adagrad_rows": (1, (0.1, 1e-10, 0.01)),
    "rowwise_adagrad_rows": (1, (0.1, 1e-10, 0.01)),
    "ftrl_rows": (2, (0.1, 0.01, 0.02, 1.0)),
    "adam_rows": (2, (0.1, 0.9, 0.999, 1e-8, 0.01, 0.1, 0.001)),
}


@needs_numba
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", UPDATES)
@pytest.mark.parametrize("shape", [(1, 1), (6, 1), (6, 5)])
def test_row_updates_touch_their_rows_only(shape, name, dtype, rng):
    num_states, options = UPDATES[name]
    rows = np.array([0, 2, 5]) % shape[0] if shape[0] > 1 else np.array([0])
    state_shape = shape[:1] if name.startswith("rowwise") else shape
    arrays = [numbers(rng, shape, dtype)]
    arrays += [np.abs(numbers(rng, state_shape, dtype)) for _ in range(num_states)]
    grad = numbers(rng, (len(rows), shape[1]), dtype)
    scalars = [dtype(option) for option in options]
    ours, theirs = [a.copy() for a in arrays], [a.copy() for a in arrays]
    getattr(jit, name)(*ours, rows, grad, *scalars)
    getattr(reference, name)(*theirs, rows, grad, *scalars)
    untouched = np.setdiff1d(np.arange(shape[0]), rows)
    for mine, other, before in zip(ours, theirs, arrays, strict=True):
        agree(mine, other)
        np.testing.assert_array_equal(mine[untouched], before[untouched])
        assert not np.array_equal(mine[rows], before[rows])


@needs_numba
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("kind", ["vector", "matrix"])
def test_cross_layers(kind, dtype, rng):
    x0, x, dy, g = (numbers(rng, (5, 3), dtype) for _ in range(4))
    bias, weight, dg = (numbers(rng, shape, dtype) for shape in (3, (1, 3), (5, 1)))
    g = g[:, :1].copy() if kind == "vector" else g
    ours, theirs = g.copy(), g.copy()
    forward, backward = f"cross_{kind}", f"cross_{kind}_backward"
    agree(
        getattr(jit, forward)(x0, x, ours, bias), getattr(reference, forward)(x0, x, theirs, bias)
    )
    agree(ours, theirs)
    rest = (g, dg, weight) if kind == "vector" else (x0, g)
    pairs = zip(
        getattr(jit, backward)(dy, *rest), getattr(reference, backward)(dy, *rest), strict=True
    )
    for mine, other in pairs:
        agree(mine, other)


@needs_numba
def test_sequential_sgd_of_matrix_factorization(rng):
    rows = np.stack([rng.integers(0, 5, 40), rng.integers(5, 9, 40)], axis=1)
    ratings, order = rng.normal(size=40), rng.permutation(40)
    for biases in (rng.normal(size=9), np.zeros(0)):
        start = numbers(rng, (9, 3)), biases
        ours, theirs = [a.copy() for a in start], [a.copy() for a in start]
        first = jit.mf_epoch(*ours, rows, ratings, order, 0.5, 0.1, 0.02)
        second = reference.mf_epoch(*theirs, rows, ratings, order, 0.5, 0.1, 0.02)
        assert first == pytest.approx(second)
        for mine, other in zip(ours, theirs, strict=True):
            agree(mine, other)
    ratings[order[0]] = np.nan  # the kernel adds up in lanes, but knows that there is NaN
    assert np.isnan(jit.mf_epoch(*start, rows, ratings, order, 0.5, 0.1, 0.02))


def kernel_names():
    return [name for name in kernels.__all__ if name not in ("backend", "use", "using")]


@needs_numba
@pytest.mark.parametrize("name", kernel_names())
def test_every_kernel_has_a_twin_of_the_same_arguments(name):
    twin = getattr(jit, name)
    arguments = inspect.signature(getattr(twin, "py_func", twin)).parameters
    assert list(arguments) == list(inspect.signature(getattr(reference, name)).parameters)


@both_backends
def test_use_switches_all_kernels(backend):
    before = kernels.backend
    try:
        name = "numpy" if backend is reference else "numba"
        kernels.use(name)
        assert kernels.backend == name
        for kernel in kernel_names():
            assert getattr(kernels, kernel) is getattr(backend, kernel)
    finally:
        kernels.use(before)


def test_use_of_an_unknown_name_changes_nothing():
    before = kernels.backend, kernels.pairs
    with pytest.raises(ValueError, match="'cuda' are not known: choose 'numba' or 'numpy'"):
        kernels.use("cuda")
    assert (kernels.backend, kernels.pairs) == before


def run_python(code, **variables):
    environment = {k: v for k, v in os.environ.items() if k != "MINIDLRM_KERNELS"}
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment | variables,
        timeout=120,
    )


BACKEND = "from minidlrm import kernels; print(kernels.backend)"
NO_NUMBA = "import sys; sys.modules['numba'] = None\n"


def test_the_variable_chooses_the_kernels():
    assert run_python(BACKEND, MINIDLRM_KERNELS="numpy").stdout == "numpy\n"
    wrong = run_python(BACKEND, MINIDLRM_KERNELS="fortran")
    assert wrong.returncode != 0
    assert "MINIDLRM_KERNELS: kernels 'fortran' are not known" in wrong.stderr


@needs_numba
def test_without_the_variable_numba_serves():
    result = run_python(BACKEND)
    assert (result.stdout, result.stderr) == ("numba\n", "")


@needs_numba
def test_numba_is_imported_with_the_first_kernel_and_not_before():
    loaded = "print('numba' in sys.modules)\n"
    code = "import sys, minidlrm as md\n" + loaded + "md.kernels.gather\n" + loaded
    assert run_python(code).stdout == "False\nTrue\n"


@pytest.mark.parametrize("words", ["--help", "gradcheck mlp"])
def test_commands_that_need_no_numba_do_not_import_it(words):
    code = (
        f"import sys; sys.argv = 'minidlrm {words}'.split()\n"
        "from minidlrm.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    print('numba' in sys.modules)"
    )
    done = run_python(code)
    assert done.stdout.splitlines()[-1] == "False", done.stderr


@needs_numba
def test_threads_that_ask_at_once_get_one_kernel():
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from minidlrm import kernels\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    found = list(pool.map(lambda k: getattr(kernels, 'gather'), range(8)))\n"
        "print(len({id(f) for f in found}), kernels.gather is found[0], kernels.backend)"
    )
    assert run_python(code).stdout == "1 True numba\n"


def test_kernels_for_a_while_leave_what_was_before():
    before = kernels.backend, kernels.pairs
    with kernels.using("numpy"):
        assert (kernels.backend, kernels.pairs) == ("numpy", reference.pairs)
    assert (kernels.backend, kernels.pairs) == before
    with contextlib.suppress(KeyError), kernels.using("numpy"):
        raise KeyError
    assert (kernels.backend, kernels.pairs) == before
    code = (
        "import sys; from minidlrm import kernels\n"
        "with kernels.using('numpy'):\n    print(kernels.backend)\n"
        "print('backend' in vars(kernels), 'numba' in sys.modules, 'pairs' in dir(kernels))"
    )
    assert run_python(code).stdout == "numpy\nFalse False True\n"


def test_without_numba_one_line_says_so():
    result = run_python(NO_NUMBA + BACKEND)
    assert result.stdout == "numpy\n"
    assert result.stderr == "minidlrm: Numba is not installed; the NumPy kernels serve.\n"


def test_asking_for_a_numba_that_is_not_there_is_an_error():
    result = run_python(NO_NUMBA + BACKEND, MINIDLRM_KERNELS="numba")
    assert result.returncode != 0
    assert "numba" in result.stderr.splitlines()[-1]


def test_a_folder_that_numba_has_left_is_not_numba():
    left = "import sys, types; sys.modules['numba'] = types.ModuleType('numba')\n"
    result = run_python(left + BACKEND)
    assert result.stdout.split() == ["numpy"], result.stderr


@needs_numba
def test_kernels_can_be_stepped_through_in_a_debugger():
    code = (
        "import numpy as np; from minidlrm.kernels import jit\n"
        "assert not hasattr(jit.bag_rows, 'py_func')\n"
        "print(jit.scatter_add(np.array([3, 1, 3]), np.eye(3), None, None, 4))"
    )
    result = run_python(code, NUMBA_DISABLE_JIT="1")
    assert "(array([1, 3]), array([[0., 1., 0.]," in result.stdout, result.stderr
