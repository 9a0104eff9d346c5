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
