"""EmbeddingBag and EmbeddingBagCollection."""

import tracemalloc

import numpy as np
import pytest
from conftest import complex_step
from hypothesis import given
from hypothesis import strategies as st

import minidlrm as md
from minidlrm import kernels
from minidlrm.data import Jagged
from minidlrm.parameter import grouped

OFFSETS = np.array([0, 3, 3, 4, 6])  # four bags, the second is empty
IDS = np.array([1, 0, 1, 4, 2, 2])  # a repeat inside a bag, and across bags


def bag(mode="sum"):
    rng = np.random.default_rng(1)
    last = {"include_last_offset": True}
    return md.EmbeddingBag(5, 3, mode=mode, rng=rng, dtype=np.float64, **last)


def test_three_guises_of_a_product_with_a_sparse_vector(rng):
    layer = bag()
    table = layer.weight.value
    e = np.zeros((3, 5))
    e[0, 4] = 1  # one-hot
    e[1, [0, 2]] = 1  # multi-hot
    e[2, [1, 3]] = 0.5, -2.0  # weighted
    weights = np.array([1, 1, 1, 0.5, -2.0])
    y = layer.forward(np.array([4, 0, 2, 1, 3]), np.array([0, 1, 3, 5]), weights)
    np.testing.assert_allclose(y, e @ table)


def test_an_empty_bag_gives_zeros():
    for mode in ("sum", "mean"):
        assert (bag(mode).forward(IDS, OFFSETS)[1] == 0).all()


def test_mean_divides_by_the_ids_of_the_bag():
    layer = bag("mean")
    np.testing.assert_allclose(
        layer.forward(IDS, OFFSETS)[0], layer.weight.value[[1, 0, 1]].mean(axis=0)
    )


@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_bags_without_weights_return_no_gradient(mode):
    layer = bag(mode)
    layer.forward(IDS, OFFSETS)
    assert layer.backward(np.ones((4, 3))) is None


def test_ids_in_rows_need_no_offsets():
    np.testing.assert_array_equal(
        bag().forward(np.array([[1, 2], [2, 2]])),
        bag().forward(np.array([1, 2, 2, 2]), np.array([0, 2, 4])),
    )


def test_scatter_add_keeps_repeats_inside_a_bag_and_across_bags():
    layer = bag()
    layer.forward(np.array([1, 1, 1, 2]), np.array([0, 2, 4]))
    layer.backward(np.array([[1.0, 2, 3], [10, 20, 30]]))
    expected = np.zeros((5, 3))
    expected[1] = 2 * np.array([1.0, 2, 3]) + [10, 20, 30]
    expected[2] = [10, 20, 30]
    np.testing.assert_array_equal(layer.weight.grad.to_dense(), expected)


def test_backward_of_the_three_guises_is_the_transposed_product(rng):
    layer, ids, dy = bag(), np.array([4, 0, 0, 1, 3]), rng.normal(size=(3, 3))
    weights = np.array([1, 1, 1, 0.5, -2.0])
    e = np.zeros((3, 5))
    np.add.at(e, (np.array([0, 1, 1, 2, 2]), ids), weights)
    np.testing.assert_allclose(
        layer.forward(ids, np.array([0, 1, 3, 5]), weights), e @ layer.weight.value
    )
    layer.backward(dy)
    np.testing.assert_allclose(layer.weight.grad.to_dense(), e.T @ dy)


def test_only_empty_bags_give_zeros_and_a_gradient_without_rows():
    layer = md.EmbeddingBagCollection([3, 4], 2, rng=np.random.default_rng(0))
    assert (layer.forward(Jagged([], [0] * 7)) == np.zeros((3, 2, 2))).all()
    layer.backward(np.ones((3, 2, 2), np.float32))
    assert len(layer.weight.grad.rows) == 0
    assert (layer.weight.grad.to_dense() == 0).all()


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.uint64])
def test_ids_of_any_integer_dtype_and_layout_are_the_same_ids(dtype):
    layer, ids = (
        md.EmbeddingBagCollection([9, 9], 2, rng=np.random.default_rng(0)),
        np.array([[1, 2], [3, 4], [8, 0]]),
    )
    other = np.asfortranarray(ids.astype(dtype))
    other.setflags(write=False)  # as a memory-mapped file
    np.testing.assert_array_equal(layer.forward(other), layer.forward(ids))
    np.testing.assert_array_equal(layer.forward(other[::2]), layer.forward(ids[::2]))


def test_untouched_rows_are_not_in_the_gradient():
    layer = bag()
    layer.forward(IDS, OFFSETS)
    layer.backward(np.ones((4, 3)))
    np.testing.assert_array_equal(layer.weight.grad.rows, [0, 1, 2, 4])


@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_gradients_by_differences(mode):
    assert md.gradcheck(bag(mode), IDS, OFFSETS, verbose=False).passed


def test_gradients_of_weighted_bags_by_differences(rng):
    report = md.gradcheck(bag(), IDS, OFFSETS, rng.normal(size=6), verbose=False)
    assert [check.name for check in report.arrays] == ["weight", "per_sample_weights"]
    report.raise_if_failed()


@pytest.mark.parametrize("kind", ["sum", "mean", "weighted"])
def test_gradients_by_complex_step(kind, rng):
    layer, r = bag("mean" if kind == "mean" else "sum"), rng.normal(size=(4, 3))
    weighted = kind == "weighted"
    weights = rng.normal(size=6) if weighted else None
    layer.forward(IDS, OFFSETS, weights)
    dweights = layer.backward(r)
    other = layer.astype(np.complex128)

    def total(table):
        other.weight.value = table
        return np.sum(r * other.forward(IDS, OFFSETS, weights))

    numeric = complex_step(total, layer.weight.value)
    np.testing.assert_allclose(layer.weight.grad.to_dense(), numeric, rtol=1e-13, atol=1e-14)
    if weighted:
        other = layer.astype(np.complex128)
        numeric = complex_step(lambda w: np.sum(r * other.forward(IDS, OFFSETS, w)), weights)
        np.testing.assert_allclose(dweights, numeric, rtol=1e-13, atol=1e-14)


def test_gradients_add_up_until_zero_grad():
    layer = bag()
    for ids in (IDS, IDS[::-1].copy()):
        layer.forward(ids, OFFSETS)
        layer.backward(np.ones((4, 3)))
    both = layer.weight.grad.to_dense()
    single = np.zeros((5, 3))
    for ids in (IDS, IDS[::-1].copy()):
        layer.zero_grad()
        layer.forward(ids, OFFSETS)
        layer.backward(np.ones((4, 3)))
        single += layer.weight.grad.to_dense()
    np.testing.assert_array_equal(both, single)


@st.composite
def collections(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=5))
    batch_size, dim = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    lengths = rng.integers(0, 4, (len(sizes), batch_size))
    values = np.concatenate(
        [rng.integers(0, n, k.sum()) for n, k in zip(sizes, lengths, strict=True)]
    )
    weights = rng.normal(size=len(values)) if draw(st.booleans()) else None
    jagged = Jagged(values, np.concatenate([[0], np.cumsum(lengths)]), weights)
    return rng, sizes, batch_size, dim, jagged


@given(collections())
def test_a_collection_is_its_tables_one_by_one(case):
    rng, sizes, batch_size, dim, jagged = case
    layer = md.EmbeddingBagCollection(sizes, dim, rng=rng, dtype=np.float64)
    y = layer.forward(jagged)
    dy = rng.normal(size=y.shape)
    dweights = layer.backward(dy)
    grad = layer.weight.grad.to_dense()
    for t, size in enumerate(sizes):
        options = {"dtype": np.float64, "rng": rng, "include_last_offset": True}
        single = md.EmbeddingBag(size, dim, mode="sum", **options)
        single.weight.value[...] = layer.table(t)
        span = jagged.offsets[t * batch_size : (t + 1) * batch_size + 1]
        part = slice(span[0], span[-1])
        weights = None if jagged.weights is None else jagged.weights[part]
        np.testing.assert_array_equal(
            y[:, t], single.forward(jagged.values[part], span - span[0], weights)
        )
        dw = single.backward(dy[:, t])
        np.testing.assert_array_equal(
            grad[layer.starts[t] : layer.starts[t + 1]], single.weight.grad.to_dense()
        )
        if weights is not None:
            np.testing.assert_array_equal(dweights[part], dw)


def test_one_id_a_table_is_a_bag_of_one(rng):
    layer = md.EmbeddingBagCollection([4, 7, 2], 3, dtype=np.float64, rng=np.random.default_rng(0))
    ids = np.stack([rng.integers(0, n, 6) for n in (4, 7, 2)], axis=1)
    dy = rng.normal(size=(6, 3, 3))
    y = layer.forward(ids)
    layer.backward(dy)
    grad = layer.weight.grad.to_dense()
    layer.zero_grad()
    np.testing.assert_array_equal(layer.forward(Jagged(ids.T.ravel(), np.arange(19))), y)
    layer.backward(dy)
    np.testing.assert_array_equal(layer.weight.grad.to_dense(), grad)


@pytest.mark.oracle
@pytest.mark.parametrize("kind", ["sum", "mean", "weighted"])
def test_pytorch_agrees(kind, torch, rng):
    layer = bag("mean" if kind == "mean" else "sum")
    oracle = torch.nn.EmbeddingBag(
        5, 3, mode=layer.mode, include_last_offset=True, dtype=torch.float64
    )
    oracle.weight.data = torch.from_numpy(layer.weight.value.copy())
    weights = rng.normal(size=6) if kind == "weighted" else None
    tensor = None if weights is None else torch.tensor(weights, requires_grad=True)
    y = layer.forward(IDS, OFFSETS, weights)
    expected = oracle(torch.from_numpy(IDS), torch.from_numpy(OFFSETS), tensor)
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-12)
    dy = rng.normal(size=y.shape)
    dweights = layer.backward(dy)
    expected.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(
        layer.weight.grad.to_dense(), oracle.weight.grad.numpy(), rtol=1e-12, atol=1e-15
    )
    if weights is not None:
        np.testing.assert_allclose(dweights, tensor.grad.numpy(), rtol=1e-12)


@pytest.mark.oracle
@pytest.mark.parametrize("kind", ["ids", "sum", "mean", "weighted"])
def test_pytorch_agrees_on_26_tables(kind, torch, rng):
    sizes, batch_size = rng.integers(1, 50, 26), 7
    mode = "mean" if kind == "mean" else "sum"
    layer = md.EmbeddingBagCollection(sizes, 4, mode, rng=rng, dtype=np.float64)
    lengths = rng.integers(0, 4, (26, batch_size)) if kind != "ids" else np.ones((26, 7), int)
    values = [rng.integers(0, n, k.sum()) for n, k in zip(sizes, lengths, strict=True)]
    weights = [rng.normal(size=len(v)) if kind == "weighted" else None for v in values]
    sparse = np.stack(values, axis=1) if kind == "ids" else None
    if sparse is None:
        every = np.concatenate(weights) if kind == "weighted" else None
        sparse = Jagged(np.concatenate(values), np.append(0, np.cumsum(lengths)), every)
    y = layer.forward(sparse)
    dy = rng.normal(size=y.shape)
    dweights, grad, tensors = layer.backward(dy), layer.weight.grad.to_dense(), []
    for t, size in enumerate(sizes):
        oracle = torch.nn.EmbeddingBag(size, 4, mode=mode, include_last_offset=True).double()
        oracle.weight.data = torch.from_numpy(layer.table(t).copy())
        tensor = None if weights[t] is None else torch.tensor(weights[t], requires_grad=True)
        offsets = torch.from_numpy(np.append(0, np.cumsum(lengths[t])))
        expected = oracle(torch.from_numpy(values[t]), offsets, tensor)
        expected.backward(torch.from_numpy(dy[:, t]))
        np.testing.assert_allclose(y[:, t], expected.detach().numpy(), rtol=1e-12, atol=1e-14)
        span = slice(layer.starts[t], layer.starts[t + 1])
        np.testing.assert_allclose(grad[span], oracle.weight.grad.numpy(), rtol=1e-12, atol=1e-14)
        tensors.append(tensor)
    if kind == "weighted":
        expected = np.concatenate([tensor.grad.numpy() for tensor in tensors])
        np.testing.assert_allclose(dweights, expected, rtol=1e-12, atol=1e-14)


def test_initial_values_are_uniform_for_each_table():
    layer = md.EmbeddingBagCollection([4, 10_000], 16, rng=np.random.default_rng(0))
    for t, size in enumerate((4, 10_000)):
        bound = 1 / np.sqrt(size)
        assert 0.9 * bound < np.abs(layer.table(t)).max() <= bound
    assert abs(layer.table(1).std() - 0.01 / np.sqrt(3)) < 1e-4


def test_a_large_table_is_drawn_in_pieces_that_a_rank_can_hold():
    rows, shapes = 2**17 + 5, []
    layer = md.EmbeddingBagCollection([rows], 1, rng=np.random.default_rng(0))

    def draw(shape):
        shapes.append(shape)
        return np.full(shape, len(shapes))

    layer.fill(draw)
    assert shapes == [(2**16, 1), (2**16, 1), (5, 1)]
    assert np.unique(layer.weight.value, return_counts=True)[1].tolist() == [2**16, 2**16, 5]


def test_rows_are_filled_from_the_first_to_the_last_and_no_others():
    for first, last, filled in [
        (0, 0, []), (0, 1, [0]), (2, 4, [2, 3]), (5, 5, []), (3, None, [3, 4]), (0, 5, range(5)),
    ]:  # fmt: skip
        layer = md.EmbeddingBagCollection([2, 3], 2, rng=np.random.default_rng(0))
        layer.weight.value[...] = 7
        layer.fill(np.zeros, first, last)
        for column in layer.weight.value.T:
            assert np.flatnonzero(column == 0).tolist() == list(filled)
    for arguments, message in [
        ((np.zeros, -1), "first is -1"),
        ((np.zeros, 3, 2), "last is 2"),
        ((np.zeros, 0, 6), "last is 6"),
        ((lambda shape: np.zeros((shape[0] + 1, shape[1])),), r"draw gave the shape \(6, 2\)"),
        ((lambda shape: np.zeros(2),), r"draw gave the shape \(2,\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            layer.fill(*arguments)
    with pytest.raises(TypeError, match="draw"):
        layer.fill(3)


@pytest.fixture(scope="module")
def ten_million_rows():
    return md.EmbeddingBagCollection([10_000_000], 2, rng=np.random.default_rng(0))


def peak_bytes(action):
    tracemalloc.start()
    action()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("name", ["SGD", "Momentum", "Adagrad", "RowwiseAdagrad", "Adam", "FTRL"])
def test_a_step_on_a_large_table_makes_nothing_of_its_size_but_the_state_once(
    name, ten_million_rows
):
    layer, optimizer = ten_million_rows, getattr(md, name)(lr=0.1)

    def step():
        layer.zero_grad()
        layer.forward(np.array([[0], [9_999_999], [0]]))
        layer.backward(np.ones((3, 1, 2), np.float32))
        np.testing.assert_array_equal(layer.weight.grad.rows, [0, 9_999_999])
        optimizer.step(layer.parameters())

    small = md.EmbeddingBagCollection([3], 2, rng=np.random.default_rng(0))  # compiles the kernels
    small.forward(np.array([[0]]))
    small.backward(np.ones((1, 1, 2), np.float32))
    getattr(md, name)(lr=0.1).step(small.parameters())
    first, second = peak_bytes(step), peak_bytes(step)
    state = sum(array.nbytes for array in optimizer.state[layer.weight].values())
    assert first < state + 1_000_000  # the table has 80 MB
    assert second < 1_000_000


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ({}, (IDS, OFFSETS[:-1])),
        ({"mode": "sum"}, (IDS, OFFSETS[:-1])),
        ({"mode": "sum"}, (IDS, OFFSETS)),  # B + 1 offsets are B + 1 bags, the last one empty
        ({"include_last_offset": True}, (IDS, OFFSETS)),
        ({}, (IDS.reshape(3, 2),)),
        ({"mode": "sum"}, (IDS, OFFSETS[:-1], np.linspace(-1, 1, 6))),
        ({"mode": "sum"}, (IDS.reshape(2, 3), None, np.linspace(-1, 1, 6).reshape(2, 3))),
    ],
)
def test_a_call_of_pytorchs_layer_runs_unchanged(options, arguments, torch):
    ours = md.EmbeddingBag(5, 3, **options, rng=np.random.default_rng(0), dtype=np.float64)
    theirs = torch.nn.EmbeddingBag(5, 3, **options, dtype=torch.float64)
    theirs.weight.data = torch.from_numpy(ours.weight.value.copy())
    tensors = [None if a is None else torch.from_numpy(a) for a in arguments]
    expected = theirs(*tensors).detach().numpy()
    np.testing.assert_allclose(ours.forward(*arguments), expected, rtol=1e-12)


@pytest.mark.parametrize("option", ["max_norm", "padding_idx", "scale_grad_by_freq", "sparse"])
def test_an_option_of_pytorch_that_does_not_exist_here_is_refused_by_name(option):
    with pytest.raises(TypeError, match=option):
        md.EmbeddingBag(5, 3, **{option: 1}, rng=np.random.default_rng(0))


BAD = [
    (IDS, OFFSETS + 1, None, ValueError, "offsets run from 1 to 7: they must begin at 0"),
    (IDS, np.array([1, 3, 3, 4, 6]), None, ValueError, "offsets run from 1 to 6: they must begin"),
    (IDS, OFFSETS[:-1], None, ValueError, r"end at len\(values\) = 6"),
    (IDS[:2], OFFSETS, None, ValueError, r"offsets run from 0 to 6: .*; input has shape \(2,\)"),
    (IDS, np.array([0, 4, 3, 6]), None, ValueError, r"offsets\[2\] = 3 is below offsets\[1\] = 4"),
    (np.array([0, 5]), np.array([0, 2]), None, IndexError, r"table 0: id 5 out of range \[0, 5\)"),
    (np.array([0, -1]), np.array([0, 2]), None, IndexError, r"id -1 out of range .* values\[1\]"),
    (np.array([0.0, 1.0]), np.array([0, 2]), None, TypeError, "must be integers"),
    (IDS, OFFSETS, np.ones(5), ValueError, "one weight for each id"),
    (IDS, OFFSETS, np.full(6, np.nan), ValueError, r"weights\[0\] is nan"),
    (IDS, None, None, ValueError, "give ids"),
    (IDS[None, None], OFFSETS, None, ValueError, r"input has shape \(1, 1, 6\)"),
    (IDS, np.array([0]), None, ValueError, "offsets run from 0 to 0"),
    (IDS, OFFSETS.astype(float), None, TypeError, "offsets has dtype float64"),
    (IDS, OFFSETS, np.array([1, 1, 1, 1, 1, np.inf]), ValueError, r"weights\[5\] is inf"),
    (IDS, OFFSETS, np.ones(6, int), TypeError, "weights has dtype int64"),
    (
        np.array([2**63], np.uint64),
        np.array([0, 1]),
        None,
        ValueError,
        "9223372036854775808: it must fit",
    ),
]


@pytest.mark.parametrize(("ids", "offsets", "weights", "error", "message"), BAD)
def test_bad_bags_are_named(ids, offsets, weights, error, message):
    layer = bag()
    before = layer.weight.value.copy()
    with pytest.raises(error, match=message):
        layer.forward(ids, offsets, weights)
    np.testing.assert_array_equal(layer.weight.value, before)
    assert layer.weight.grad is None


def test_bad_ids_of_a_collection_are_named():
    layer = md.EmbeddingBagCollection([3, 10], 2, rng=np.random.default_rng(0))
    with pytest.raises(IndexError, match=r"table 1: id 10 out of range \[0, 10\), at sample 1"):
        layer.forward(np.array([[0, 1], [2, 10]]))
    with pytest.raises(IndexError, match=r"table 1: id 3 out of range \[0, 2\), at values\[1\]"):
        md.EmbeddingBagCollection([9, 2], 2, rng=np.random.default_rng(0)).forward(
            Jagged([3, 3], [0, 1, 2])
        )
    with pytest.raises(IndexError, match="table 0: id -1"):
        layer.forward(np.array([[-1, 1]]))
    with pytest.raises(TypeError, match="ids has dtype float64: ids and offsets must be"):
        layer.forward(np.array([[0.0, 1.0]]))
    with pytest.raises(ValueError, match=r"shape \(1, 3\), expected \(B, 2\)"):
        layer.forward(np.array([[0, 1, 2]]))
    with pytest.raises(ValueError, match="expected T"):
        layer.forward(Jagged([0], [0, 1]))


def test_weights_need_the_mode_sum():
    with pytest.raises(ValueError, match="mode='sum'"):
        bag("mean").forward(IDS, OFFSETS, np.ones(6))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], 2), "table_sizes is empty"),
        (([3, 0], 2), r"table_sizes\[1\] is 0"),
        (([3], 0), "embedding_dim is 0"),
        (([3], 2, "max"), "mode is 'max'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        md.EmbeddingBagCollection(*arguments, rng=np.random.default_rng(0))


def test_weights_of_ids_in_rows_have_their_shape():
    ids, weights = np.array([[1, 2, 3], [4, 0, 1]]), np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(
        bag().forward(ids, per_sample_weights=weights),
        bag().forward(ids.ravel(), np.array([0, 3, 6]), weights.ravel()),
    )


def test_weights_of_another_shape_than_the_ids_are_named():
    with pytest.raises(ValueError, match=r"\(3, 2\)"):
        bag().forward(np.zeros((2, 3), int), per_sample_weights=np.ones((3, 2)))


def test_no_samples_give_no_vectors():
    layer = md.EmbeddingBagCollection([3, 4], 2, rng=np.random.default_rng(0))
    assert layer.forward(np.zeros((0, 2), int)).shape == (0, 2, 2)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4, 2), "dy has shape"),
        ((3, 3), "dy has shape"),
        ((4,), r"dy has shape \(4,\), the output had \(4, 3\)"),
    ],
)
def test_a_dy_of_another_shape_is_named(shape, message):
    layer = bag()
    layer.forward(IDS, OFFSETS)
    with pytest.raises(ValueError, match=message):
        layer.backward(np.ones(shape))
    assert layer.weight.grad is None


# Tables that two columns share


@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_columns_that_share_a_table_give_its_rows_and_add_up_their_gradients(mode):
    rng = np.random.default_rng(0)
    options = {"mode": mode, "dtype": np.float64}
    shared = md.EmbeddingBagCollection([4, 5, 4], 3, shared=[(2, 0)], rng=rng, **options)
    apart = md.EmbeddingBagCollection([4, 5, 4], 3, rng=rng, **options)
    assert shared.weight.value.shape == (9, 3)
    for t in range(3):
        apart.table(t)[...] = shared.table(t)
    lengths = rng.integers(0, 4, 3 * 6)
    values = np.concatenate([rng.integers(0, n, lengths[k * 6 : k * 6 + 6].sum())
                             for k, n in enumerate([4, 5, 4])])  # fmt: skip
    bags = md.Jagged(values, np.concatenate([[0], np.cumsum(lengths)]))
    for sparse in (rng.integers(0, 4, (6, 3)), bags):
        np.testing.assert_array_equal(shared.forward(sparse), apart.forward(sparse))
        dy = rng.normal(size=(6, 3, 3))
        for layer in (shared, apart):
            layer.zero_grad()
            layer.backward(dy)
        both, each = shared.weight.grad.to_dense(), apart.weight.grad.to_dense()
        np.testing.assert_allclose(both[:4], each[:4] + each[9:], atol=1e-14)
        np.testing.assert_allclose(both[4:], each[4:9], atol=1e-14)


@pytest.mark.parametrize(
    ("shared", "match"),
    [
        ([(1, 0)], "sizes are 5 and 4"),
        ([(2, 3)], "two of the 3 tables"),
        ([(2, 0), (0, 2)], "does not share that of another"),
        ([(2, 2)], "does not share that of another"),
        ([(2, 0), (2, 0)], "occurs twice"),
        ([(2,)], "two of the 3 tables"),
    ],
)
def test_tables_that_cannot_be_shared_are_refused(shared, match):
    with pytest.raises(ValueError, match=match):
        md.EmbeddingBagCollection([4, 5, 4], 3, shared=shared, rng=np.random.default_rng(0))


def test_a_matrix_of_ids_takes_no_offsets(rng):
    bag = md.EmbeddingBag(5, 2, rng=rng)
    with pytest.raises(ValueError, match=r"input has shape \(2, 3\)"):
        bag.forward(np.zeros((2, 3), int), [0, 3])
    with pytest.raises(ValueError, match=r"input has shape \(3,\)"):
        bag.forward(np.zeros(3, int))


def test_a_lookup_costs_no_arithmetic_and_reads_ids_rows_and_writes_its_output(rng):
    tables = md.EmbeddingBagCollection([3, 10], 4, rng=rng)
    assert tables.flops_per_sample() == 0
    assert tables.bytes_per_sample() == 2 * (8 + 4 * 4 + 4 * 4)
    assert md.EmbeddingBag(3, 2, rng=rng).bytes_per_sample() == 8 + 2 * 2 * 4


def test_tables_are_views_of_their_rows_shared_or_not(rng):
    tables = md.EmbeddingBagCollection([3, 4, 3], 2, shared=[(2, 0)], rng=rng)
    assert tables.weight.value.shape == (7, 2)
    assert [tables.table(t).shape for t in range(3)] == [(3, 2), (4, 2), (3, 2)]
    assert np.shares_memory(tables.table(0), tables.table(2))
    for t in (-1, 3):
        with pytest.raises(ValueError, match=f"t is {t}: it must be at "):
            tables.table(t)
    tables.table(2)[1] = 7
    assert tables.weight.value[1].tolist() == [7, 7]
    tables.table(1)[0] = 9
    assert tables.weight.value[3].tolist() == [9, 9]
    assert "3 tables, 7 rows, D=2" in str(tables)


def test_the_first_id_out_of_range_is_named(rng):
    tables = md.EmbeddingBagCollection([3, 4], 2, rng=rng)
    for ids, where in [
        ([[0, 0], [3, 9]], "table 0: id 3 .*at sample 1"),
        ([[0, 4], [3, 9]], "table 1: id 4 .*at sample 0"),
        ([[-1, 0]], "table 0: id -1 .*at sample 0"),
    ]:
        with pytest.raises(IndexError, match=where):
            tables.forward(np.array(ids))
    for values, where in [([3, 0], r"table 0: id 3 .*values\[0\]"), ([0, 4], r"table 1.*\[1\]")]:
        with pytest.raises(IndexError, match=where):
            tables.forward(md.Jagged(values, [0, 1, 2]))
    for shape in ((2,), (2, 3), (2, 2, 1)):
        with pytest.raises(ValueError, match=r"expected \(B, 2\)"):
            tables.forward(np.zeros(shape, int))


def test_options_of_an_embedding_bag(rng):
    bag = md.EmbeddingBag(5, 2, rng=rng)
    assert bag.mode == "mean"
    last = md.EmbeddingBag(5, 2, include_last_offset=True, rng=rng)
    last.load_state_dict(bag.state_dict())
    ids = np.array([0, 1, 2])
    np.testing.assert_array_equal(bag.forward(ids, [0, 1]), last.forward(ids, [0, 1, 3]))
    with pytest.raises(ValueError, match=r"give ids \(nnz,\) with B \+ 1 offsets"):
        last.forward(ids)
    with pytest.raises(ValueError, match=r"give ids \(nnz,\) with B offsets"):
        bag.forward(ids)
    assert str(bag) == "EmbeddingBag(5, 2, mode='mean')"


def test_rows_are_sorted_once_also_with_another_table_between(monkeypatch, rng):
    calls, group_rows = [], kernels.group_rows
    monkeypatch.setattr(kernels, "group_rows", lambda *given: calls.append(1) or group_rows(*given))
    first, second, third = (rng.integers(0, 9, 20) for _ in range(3))
    for rows in (first, second, first.copy(), second, first):
        unique, order, ends = grouped(rows, 9)
        np.testing.assert_array_equal(np.repeat(unique, np.diff(ends)), rows[order])
    assert len(calls) == 2
    grouped(first, 10)  # of a larger table
    assert len(calls) == 3
    grouped(third, 9)
    grouped(second, 9)
    assert len(calls) == 5  # the last two alone are kept
