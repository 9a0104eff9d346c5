"""QREmbeddingBag."""

import numpy as np
import pytest

import minidlrm as md

IDS, OFFSETS = np.array([7, 3, 7, 9, 0]), np.array([0, 3, 3, 5])
LAST = {"include_last_offset": True}


@pytest.mark.parametrize("mode", ["sum", "mean"])
@pytest.mark.parametrize("operation", ["mult", "add", "concat"])
def test_gradients_by_differences(operation, mode, rng):
    bag = md.QREmbeddingBag(10, 4, 3, operation, mode=mode, rng=rng, **LAST)
    md.gradcheck(bag, IDS, OFFSETS, verbose=False).raise_if_failed()
    if mode == "sum":
        weights = rng.normal(size=5)
        report = md.gradcheck(bag, IDS, OFFSETS, weights, verbose=False)
        assert report.arrays[-1].name == "per_sample_weights"
        report.raise_if_failed()


@pytest.mark.parametrize("operation", ["mult", "add", "concat"])
def test_the_definition_bag_by_bag(operation, rng):
    bag = md.QREmbeddingBag(10, 4, 3, operation, rng=rng, dtype=np.float64, **LAST)
    q, r = bag.tables.table(0), bag.tables.table(1)
    assert q.shape[0] == 4
    assert r.shape[0] == 3
    y = bag.forward(IDS, OFFSETS)
    for b in range(3):
        ids = IDS[OFFSETS[b] : OFFSETS[b + 1]]
        left, right = q[ids // 3].sum(axis=0), r[ids % 3].sum(axis=0)
        expected = {"mult": left * right, "add": left + right}.get(operation)
        if expected is None:
            expected = np.concatenate([left, right])
        np.testing.assert_allclose(y[b], expected)


@pytest.mark.parametrize("operation", ["mult", "add", "concat"])
@pytest.mark.parametrize("collisions", [4, 100, 2500])
def test_the_result_has_the_variance_of_a_plain_table(operation, collisions):
    bag = md.QREmbeddingBag(
        10_000, 64, collisions, operation, dtype=np.float64, rng=np.random.default_rng(0)
    )
    y = bag.forward(np.arange(10_000)[:, None])
    assert y.var() == pytest.approx(1 / (3 * 10_000), rel=0.15)


def test_every_id_has_a_vector_of_its_own():
    y = md.QREmbeddingBag(50, 4, 7, rng=np.random.default_rng(0)).forward(np.arange(50)[:, None])
    assert len(np.unique(y, axis=0)) == 50


@pytest.mark.oracle
def test_pytorch_agrees(torch, rng):
    bag = md.QREmbeddingBag(10, 4, 3, rng=rng, dtype=np.float64, **LAST)
    tables = [torch.tensor(bag.tables.table(t).copy(), requires_grad=True) for t in range(2)]
    offsets = torch.from_numpy(OFFSETS)
    pooled = [
        torch.nn.functional.embedding_bag(
            torch.from_numpy(ids), table, offsets, mode="sum", include_last_offset=True
        )
        for ids, table in zip((IDS // 3, IDS % 3), tables, strict=True)
    ]
    expected = pooled[0] * pooled[1]
    dy = rng.normal(size=(3, 4))
    expected.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(bag.forward(IDS, OFFSETS), expected.detach().numpy())
    bag.backward(dy)
    grad = bag.tables.weight.grad.to_dense()
    np.testing.assert_allclose(grad[:4], tables[0].grad.numpy(), atol=1e-15)
    np.testing.assert_allclose(grad[4:], tables[1].grad.numpy(), atol=1e-15)


def test_bad_input_is_named():
    with pytest.raises(IndexError, match=r"id 10 out of range \[0, 10\), at values\[1\]"):
        md.QREmbeddingBag(10, 4, 3, rng=np.random.default_rng(0)).forward(
            np.array([0, 10]), np.array([0])
        )
    for arguments, message in [
        ((10, 4, 0), "num_collisions is 0: it must be at least 1"),
        ((10, 4, 11), r"num_collisions is 11: it must lie in \[1, num_categories = 10\]"),
        ((10, 4, 3, "max"), "operation is 'max'"),
        ((10, 5, 3, "concat"), "needs an even one"),
    ]:
        with pytest.raises(ValueError, match=message):
            md.QREmbeddingBag(*arguments, rng=np.random.default_rng(0))
    for operation in ("mult", "add"):
        layer = md.QREmbeddingBag(10, 5, 10, operation, rng=np.random.default_rng(0))
        assert layer.tables.shape == (1 + 10, 5)


# In DLRM


def batch(rng):
    ids = np.stack([rng.integers(0, n, 6) for n in (30, 5, 40)], axis=1)
    return md.data.Batch(rng.normal(size=(6, 4)), ids)


@pytest.mark.parametrize("operation", ["mult", "add", "concat"])
def test_large_tables_of_a_dlrm_are_composed(operation, rng, tmp_path):
    options = {"qr_threshold": 20, "qr_collisions": 4, "qr_operation": operation}
    model = md.DLRM(4, [30, 5, 40], 4, (6,), (5,), **options)
    assert [type(table).__name__ for table in model.embeddings.composed] == ["QREmbeddingBag"] * 2
    md.gradcheck(model, batch(rng), verbose=False).raise_if_failed()
    md.save(model, tmp_path / "m.safetensors")
    again = md.load(tmp_path / "m.safetensors")
    data = batch(rng)
    np.testing.assert_array_equal(again.forward(data), model.forward(data))


def test_multi_hot_ids_of_a_composed_table(rng):
    bags = md.data.Jagged([0, 29, 29, 4, 1, 39, 0, 0], [0, 2, 3, 4, 5, 8, 8])
    model = md.DLRM(4, [30, 5, 40], 4, (6,), (5,), qr_threshold=20)
    data = md.data.Batch(rng.normal(size=(2, 4)), bags)
    md.gradcheck(model, data, verbose=False).raise_if_failed()


def test_a_composed_table_names_its_bad_id(rng):
    model = md.DLRM(4, [30, 5, 40], 4, (6,), (5,), qr_threshold=20)
    data = batch(rng)
    data.sparse[3, 2] = 40
    with pytest.raises(IndexError, match=r"table 2: id 40 out of range \[0, 40\)"):
        model.forward(data)


def test_all_tables_may_be_composed(rng):
    model = md.DLRM(4, [30, 25, 40], 4, (6,), (5,), qr_threshold=20)
    md.gradcheck(model, batch(rng), verbose=False).raise_if_failed()


def test_cost_is_that_of_the_combination(rng):
    for operation, flops in [("mult", 6), ("add", 6), ("concat", 0)]:
        assert md.QREmbeddingBag(10, 6, 3, operation, rng=rng).flops_per_sample() == flops


def test_a_bag_is_a_sum_unless_told_otherwise(rng):
    one, mean = (md.QREmbeddingBag(10, 2, 3, "add", rng=rng, **m) for m in ({}, {"mode": "mean"}))
    mean.load_state_dict(one.state_dict())
    ids = np.array([[1, 5]])
    np.testing.assert_allclose(one.forward(ids), 2 * mean.forward(ids), rtol=1e-6)


def test_ids_at_the_edges(rng):
    bag = md.QREmbeddingBag(10, 2, 3, rng=rng)
    assert bag.forward(np.array([[0], [9]])).shape == (2, 2)
    with pytest.raises(IndexError, match=r"id -1 out of range \[0, 10\), at values\[2\]"):
        bag.forward(np.array([[9], [0], [-1], [10]]))
    assert md.QREmbeddingBag(10, 2, 1, rng=rng).tables.num_tables == 2
    assert md.QREmbeddingBag(10, 2, 10, rng=rng).num_parameters() == 11 * 2


def test_only_tables_above_the_threshold_are_composed(rng):
    tables = md.ComposedTables([21, 20, 3], 4, threshold=20, rng=rng)
    assert (tables.large, tables.plain, tables.num_tables) == ([0], [1, 2], 3)
    assert [part.num_collisions for part in tables.composed] == [4]
    small = md.ComposedTables([3, 2], 4, threshold=0, rng=rng)
    assert [part.num_collisions for part in small.composed] == [3, 2]  # at most its rows
    assert str(small).count("QREmbeddingBag") == 2
    for threshold, message in [(-1, "threshold is -1"), (3, "none of table_sizes is larger")]:
        with pytest.raises(ValueError, match=message):
            md.ComposedTables([3, 2], 4, threshold=threshold, rng=rng)


@pytest.mark.parametrize("sizes", [[30, 5, 40, 6], [30, 25, 40, 50]])
def test_composed_tables_are_their_parts_table_by_table(sizes, rng):
    tables = md.ComposedTables(sizes, 4, threshold=20, rng=rng, dtype=np.float64)
    ids = np.stack([rng.integers(0, n, 6) for n in sizes], axis=1)
    z = tables.forward(ids)
    for t, part in zip(tables.large, tables.composed, strict=True):
        np.testing.assert_array_equal(z[:, t], part.forward(ids[:, [t]]))
    if tables.plain:
        plain = tables.embeddings.forward(ids[:, tables.plain])
        np.testing.assert_array_equal(z[:, tables.plain], plain)


@pytest.mark.parametrize("sizes", [[30, 5, 40, 6], [30, 25, 40, 50]])
def test_gradients_of_bag_weights_through_composed_tables(sizes, rng):
    lengths = np.array([1, 3, 0, 2, 2, 0, 1, 1])
    ids = np.concatenate(
        [rng.integers(0, n, lengths[2 * t : 2 * t + 2].sum()) for t, n in enumerate(sizes)]
    )
    bags = md.Jagged(ids, np.cumsum([0, *lengths]), rng.normal(size=10))
    tables = md.ComposedTables(sizes, 4, threshold=20, rng=rng, dtype=np.float64)
    dz = rng.normal(size=tables.forward(bags).shape)
    dweights = tables.backward(dz)
    for k in range(10):
        weights = bags.weights.copy()
        weights[k] += 1e-6
        up = tables.forward(md.Jagged(ids, bags.offsets, weights))
        weights[k] -= 2e-6
        down = tables.forward(md.Jagged(ids, bags.offsets, weights))
        assert dweights[k] == pytest.approx(np.sum(dz * (up - down)) / 2e-6, rel=1e-6, abs=1e-9)
