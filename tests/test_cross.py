"""VectorCross, MatrixCross and CrossNetwork."""

import numpy as np
import pytest
from conftest import complex_step

import minidlrm as md
from minidlrm.layers import MatrixCross, VectorCross

FORMS = [("vector", None), ("matrix", None), ("matrix", 2)]


def network(form, rank, num_layers=3, rng=None):
    net = md.CrossNetwork(4, num_layers, form, rank, rng=rng, dtype=np.float64)
    for k, layer in enumerate(net.layers):
        layer.bias.value[...] = 0.1 * (k + 1)
    return net


@pytest.mark.parametrize(("form", "rank"), FORMS)
def test_gradients(form, rank, rng):
    net, x = network(form, rank, rng=rng), rng.normal(size=(5, 4))
    md.gradcheck(net, x, verbose=False).raise_if_failed()
    r = rng.normal(size=(5, 4))
    net.forward(x)
    dx = net.backward(r)
    other = net.astype(np.complex128)
    numeric = complex_step(lambda moved: np.sum(r * other.forward(moved)), x)
    np.testing.assert_allclose(dx, numeric, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("form", "rank"), FORMS)
def test_the_definition_sample_by_sample(form, rank, rng):
    layer = network(form, rank, 1, rng).layers[0]
    layer.bias.value[...] = rng.normal(size=4)
    x0, x = rng.normal(size=(2, 5, 4))
    w, b = layer.weight.value, layer.bias.value
    for row, y in enumerate(layer.forward(x0, x)):
        if form == "vector":
            expected = np.outer(x0[row], x[row]) @ w[0] + b + x[row]
        else:
            matrix = w if rank is None else w @ layer.down.value
            expected = x0[row] * (matrix @ x[row] + b) + x[row]
        np.testing.assert_allclose(y, expected)


def test_version_1_is_version_2_with_equal_rows(rng):
    """x0 <x, w> is x0 * (W x) where every row of W is w: a matrix of rank one."""
    first = VectorCross(4, rng=rng, dtype=np.float64)
    second = MatrixCross(4, dtype=np.float64, rng=rng)
    second.weight.value[...] = np.ones((4, 1)) @ first.weight.value
    x0, x = rng.normal(size=(2, 5, 4))
    np.testing.assert_allclose(first.forward(x0, x), second.forward(x0, x))
    low_rank = MatrixCross(4, 1, dtype=np.float64, rng=rng)
    low_rank.weight.value[...], low_rank.down.value[...] = 1, first.weight.value
    np.testing.assert_allclose(first.forward(x0, x), low_rank.forward(x0, x))


def test_costs_are_the_published_formulas(rng):
    d = 39 * 16
    for form, rank, flops in (
        ("vector", None, 5 * d),
        ("matrix", None, 2 * d * d + 3 * d),
        ("matrix", 64, 4 * d * 64 + 3 * d),
    ):
        assert md.CrossNetwork(d, 3, form, rank, rng=rng).flops_per_sample() == 3 * flops


def test_the_factors_of_a_low_rank_matrix_have_their_own_scales(rng):
    layer = MatrixCross(400, 100, rng=rng)
    assert layer.down.value.std() == pytest.approx(1 / np.sqrt(400), rel=0.02)
    assert layer.weight.value.std() == pytest.approx(1 / np.sqrt(100), rel=0.02)


def test_the_vector_begins_around_zero_with_products_of_size_one(rng):
    weight = VectorCross(40_000, rng=rng).weight.value
    assert abs(weight.mean()) < 4 / 40_000
    assert weight.std() == pytest.approx(1 / np.sqrt(40_000), rel=0.02)


def test_bad_arguments_are_named():
    for arguments, message in [
        ((4, 0), "num_cross_layers is 0"),
        ((4, 1, "tensor"), "cross is 'tensor'"),
        ((4, 1, "matrix", 5), r"rank is 5: it must lie in \[1, in_features = 4\]"),
        ((4, 1, "vector", 2), "rank is 2"),
    ]:
        with pytest.raises(ValueError, match=message):
            md.CrossNetwork(*arguments, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"expected \(B, 4\)"):
        md.CrossNetwork(4, 1, rng=np.random.default_rng(0)).forward(np.zeros((2, 5)))
    for layer in (
        VectorCross(4, rng=np.random.default_rng(0)),
        MatrixCross(4, rng=np.random.default_rng(0)),
    ):
        for x0, x in [
            ((2, 4), (3, 4)),
            ((2, 5), (2, 5)),
            ((4,), (4,)),
            ((2, 4, 1), (2, 4, 1)),
            ((2, 4), (2, 5)),
        ]:
            with pytest.raises(ValueError, match=r"expected \(B, 4\)"):
                layer.forward(np.zeros(x0), np.zeros(x))


def test_a_matrix_begins_around_zero(rng):
    layer = MatrixCross(200, 100, rng=rng)
    for value in (MatrixCross(200, rng=rng).weight.value, layer.weight.value, layer.down.value):
        assert abs(value.mean()) < 4 * value.std() / np.sqrt(value.size)
    assert not layer.bias.value.any()
    assert not VectorCross(3, rng=rng).bias.value.any()


def test_bytes_are_those_of_two_inputs_and_the_output(rng):
    for layer in (VectorCross(5, rng=rng), MatrixCross(5, rng=rng), MatrixCross(5, 2, rng=rng)):
        assert layer.bytes_per_sample() == 4 * 3 * 5


def test_inputs_of_another_shape_are_named(rng):
    for layer in (VectorCross(4, rng=rng), MatrixCross(4, rng=rng)):
        for x0, x in [((2, 5), (2, 5)), ((2, 4), (3, 4)), ((2, 4, 1), (2, 4, 1)), ((4,), (4,))]:
            with pytest.raises(ValueError, match=r"expected \(B, 4\)"):
                layer.forward(np.zeros(x0), np.zeros(x))


def test_every_rank_up_to_the_size_is_taken(rng):
    assert MatrixCross(4, 1, rng=rng).down.value.shape == (1, 4)
    assert MatrixCross(4, 4, rng=rng).down.value.shape == (4, 4)
    assert md.CrossInteraction(2, 3, cross_rank=1, rng=rng).config["cross_rank"] == 1
    assert md.CrossInteraction(2, 3, cross_rank=6, rng=rng).config["cross_rank"] == 6
    for rank in (0, 7):
        with pytest.raises(ValueError, match=rf"cross_rank is {rank}"):
            md.CrossInteraction(2, 3, cross_rank=rank, rng=rng)


def test_a_rank_above_the_size_names_what_makes_the_size(rng):
    with pytest.raises(ValueError, match=r"\[1, in_features = 1\]"):
        md.CrossNetwork(1, 2, rank=2, rng=rng)
    with pytest.raises(ValueError, match=r"\[1, num_features \* embedding_dim = 6\]"):
        md.CrossInteraction(2, 3, cross_rank=7, rng=rng)
    assert md.DCN(0, [5, 5], 2, mlp=(), rank=4).config["rank"] == 4
    with pytest.raises(ValueError, match="F \\* embedding_dim = 4.*num_dense and table_sizes"):
        md.DCN(0, [5, 5], 2, mlp=(), rank=5)


def test_the_interaction_is_the_network_on_all_vectors_in_a_row(rng):
    layer = md.CrossInteraction(3, 2, 2, 4, rng=rng, dtype=np.float64)
    z, dy = rng.normal(size=(5, 3, 2)), rng.normal(size=(5, 6))
    other = layer.cross.astype(np.float64)
    np.testing.assert_array_equal(layer.forward(z), other.forward(z.reshape(5, 6)))
    np.testing.assert_array_equal(layer.backward(dy), other.backward(dy).reshape(5, 3, 2))
    assert layer.num_outputs == 6
    assert layer.keeps_dense
    assert [part.down.value.shape for part in layer.cross.layers] == [(4, 6)] * 2
    layer.forward(z)
    with pytest.raises(ValueError, match=r"dy has shape \(5, 5\), the output had \(5, 6\)"):
        layer.backward(dy[:, 1:])


def test_a_rank_is_for_matrices_alone(rng):
    assert str(md.CrossNetwork(4, 2, "vector", rng=rng)) == "CrossNetwork(2 × VectorCross(4))"
    assert "rank=2" in str(md.CrossNetwork(4, 2, "matrix", 2, rng=rng))
    assert "rank" not in str(md.CrossNetwork(4, 2, rng=rng))


@pytest.mark.parametrize("cross", ["vector", "matrix"])
def test_more_layers_than_memory_are_refused_before_any_is_made(cross):
    with pytest.raises(ValueError, match="num_cross_layers or in_features: an array .* memory"):
        md.CrossNetwork(2, 10**12, cross, rng=np.random.default_rng(0))
