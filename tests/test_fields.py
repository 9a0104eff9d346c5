"""FieldEmbeddings and LinearTerm."""

import numpy as np
import pytest

import minidlrm as md
from minidlrm.layers import FieldEmbeddings, LinearTerm


@pytest.mark.parametrize(("num_dense", "sizes"), [(3, [4, 5]), (0, [4, 5]), (3, [])])
@pytest.mark.parametrize("kind", ["fields", "linear", "linear without bias"])
def test_gradients(num_dense, sizes, kind, rng):
    if kind == "fields":
        layer = FieldEmbeddings(num_dense, sizes, 2, rng=rng)
    else:
        layer = LinearTerm(num_dense, sizes, bias=kind == "linear")
    x, ids = rng.normal(size=(6, num_dense)), rng.integers(0, 4, (6, len(sizes)))
    md.gradcheck(layer, x, ids, verbose=False).raise_if_failed()


def test_a_dense_feature_is_its_value_times_its_vector(rng):
    layer = FieldEmbeddings(2, [3], 4, rng=rng, dtype=np.float64)
    z = layer.forward(np.array([[2.0, -1.0]]), np.array([[1]]))
    np.testing.assert_array_equal(z[0, 0], 2 * layer.dense.value[0])
    np.testing.assert_array_equal(z[0, 1], -layer.dense.value[1])
    np.testing.assert_array_equal(z[0, 2], layer.tables.table(0)[1])


def test_no_fields_at_all():
    with pytest.raises(ValueError, match="no fields"):
        FieldEmbeddings(0, [], 4, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="embedding_dim is 0"):
        md.layers.FieldEmbeddings(2, [], 0, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"x has shape \(1, 3\), expected \(B, 2\)"):
        FieldEmbeddings(2, [3], 4, rng=np.random.default_rng(0)).forward(
            np.zeros((1, 3)), np.array([[1]])
        )


def test_multi_hot_and_weighted_bags_flow(rng):
    bags = md.data.Jagged([0, 1, 1, 2], [0, 2, 2, 3, 4], rng.normal(size=4))
    layer = LinearTerm(1, [3, 3])
    layer.fields.tables.weight.value[...] = rng.normal(size=(6, 1))
    md.gradcheck(layer, rng.normal(size=(2, 1)), bags, verbose=False)


def test_all_vectors_begin_near_zero(rng):
    layer = FieldEmbeddings(100, [200], 50, rng=rng)
    for value in (layer.dense.value, layer.tables.weight.value):
        assert value.std() == pytest.approx(0.05, rel=0.03)
        assert abs(value.mean()) < 0.003
    assert not any(p.value.any() for p in LinearTerm(3, [4]).parameters())


def test_costs_count_the_products_and_sums(rng):
    assert FieldEmbeddings(3, [4, 5], 2, rng=rng).flops_per_sample() == 3 * 2
    assert LinearTerm(3, [4, 5]).flops_per_sample() == 2 * 3 + 2
    assert LinearTerm(0, [4, 5]).flops_per_sample() == 2


def test_one_field_is_enough_and_none_is_not(rng):
    assert FieldEmbeddings(1, [], 2, rng=rng).num_tables == 0
    assert FieldEmbeddings(0, [3], 2, rng=rng).num_tables == 1
    assert str(LinearTerm(1, [])) == "LinearTerm(1 dense, 0 tables)"
    assert str(FieldEmbeddings(1, [], 2, rng=rng)).endswith("(1 dense, 0 tables, 0 rows, D=2)")
    with pytest.raises(ValueError, match="num_dense is -1"):
        FieldEmbeddings(-1, [3], 2, rng=rng)


def test_fields_of_tables_alone_are_not_copied(rng, monkeypatch):
    layer, answer = FieldEmbeddings(0, [3], 2, rng=rng), np.zeros((4, 1, 2), np.float32)
    monkeypatch.setattr(layer.tables, "forward", lambda sparse: answer)
    assert layer.forward(np.zeros((4, 0)), np.zeros((4, 1), int)) is answer


def test_features_of_another_shape_are_named(rng):
    layer = FieldEmbeddings(2, [3], 4, rng=rng)
    for x in (np.zeros(2), np.zeros((1, 2, 1))):
        with pytest.raises(ValueError, match=r"expected \(B, 2\)"):
            layer.forward(x, np.array([[1]]))
    with pytest.raises(ValueError, match="x has 1 rows, sparse 2"):
        layer.forward(np.zeros((1, 2)), np.array([[1], [1]]))


def test_a_linear_term_is_the_weighted_sum(rng):
    layer = LinearTerm(2, [3], dtype=np.float64)
    layer.load_state_dict(
        {
            "fields.dense": np.array([[2.0], [3]]),
            "fields.tables.weight": np.array([[10.0], [20], [30]]),
            "bias": np.array([0.5]),
        }
    )
    x, ids = np.array([[1.0, 1], [0, -1]]), np.array([[2], [0]])
    np.testing.assert_array_equal(layer.forward(x, ids), [35.5, 7.5])
    layer.backward(np.array([1.0, 10]))
    np.testing.assert_array_equal(layer.bias.grad, [11])
    assert LinearTerm(2, [3], bias=False).bias is None


@pytest.mark.parametrize(("num_dense", "copied"), [(0, False), (1, True)])
def test_the_rows_of_tables_alone_are_not_copied(num_dense, copied, rng, monkeypatch):
    layer = FieldEmbeddings(num_dense, [4, 5], 2, rng=rng)
    ids, found = np.zeros((3, 2), int), []
    forward = layer.tables.forward
    monkeypatch.setattr(layer.tables, "forward", lambda ids: found.append(forward(ids)) or found[0])
    z = layer.forward(np.ones((3, num_dense)), ids)
    assert np.shares_memory(z, found[0]) != copied
