"""FMInteraction, BiInteraction, and the factorization machine."""

import numpy as np
import pytest
from conftest import complex_step
from hypothesis import given
from hypothesis import strategies as st

import minidlrm as md


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 6), st.integers(1, 4))
def test_the_identity_is_the_double_sum(seed, batch_size, num_features, dim):
    z = np.random.default_rng(seed).normal(size=(batch_size, num_features, dim))
    vector, number = np.zeros((batch_size, dim)), np.zeros(batch_size)
    for i in range(num_features):
        for j in range(i + 1, num_features):
            vector += z[:, i] * z[:, j]
            number += (z[:, i] * z[:, j]).sum(axis=1)
    np.testing.assert_allclose(md.BiInteraction(num_features, dim).forward(z), vector, atol=1e-12)
    np.testing.assert_allclose(md.FMInteraction(num_features, dim).forward(z), number, atol=1e-12)


def test_it_is_the_sum_of_the_dot_products(rng):
    z = rng.normal(size=(3, 5, 4))
    pairs = md.DotInteraction(5, 4).forward(z)
    np.testing.assert_allclose(md.FMInteraction(5, 4).forward(z), pairs.sum(axis=1))


@pytest.mark.parametrize("layer", [md.BiInteraction(4, 3), md.FMInteraction(4, 3)])
def test_gradients(layer, rng):
    z = rng.normal(size=(5, 4, 3))
    md.gradcheck(layer, z, verbose=False).raise_if_failed()
    r = rng.normal(size=layer.forward(z).shape)
    dz = layer.backward(r)
    numeric = complex_step(lambda moved: np.sum(r * layer.forward(moved)), z)
    np.testing.assert_allclose(dz, numeric, rtol=1e-12, atol=1e-14)


def test_the_self_term_is_not_in_the_gradient():
    layer = md.FMInteraction(1, 2)
    layer.forward(np.ones((1, 1, 2)))
    np.testing.assert_array_equal(layer.backward(np.ones(1)), np.zeros((1, 1, 2)))


def test_on_users_and_items_it_is_matrix_factorization(rng):
    fm = md.FactorizationMachine(0, [5, 7], 3, dtype=np.float64)
    mf = md.MatrixFactorization([5, 7], 3, dtype=np.float64)
    mf.factors.weight.value[...] = fm.fields.tables.weight.value
    mf.biases.weight.value[...] = rng.normal(size=(12, 1))
    fm.linear.fields.tables.weight.value[...] = mf.biases.weight.value
    batch = md.data.Batch(np.zeros((9, 0)), rng.integers(0, 5, (9, 2)))
    np.testing.assert_allclose(fm.forward(batch), mf.forward(batch))


def test_a_dy_of_another_shape_is_named_as_the_user_gave_it():
    layer = md.FMInteraction(3, 2)
    layer.forward(np.ones((4, 3, 2)))
    with pytest.raises(ValueError, match=r"dy has shape \(5,\), the output had \(4,\)"):
        layer.backward(np.ones(5))


def test_bad_shapes_are_named():
    with pytest.raises(ValueError, match=r"FMInteraction: z has shape \(2, 3\)"):
        md.FMInteraction(3, 2).forward(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="num_features is 0: it must be at least 1"):
        md.BiInteraction(0, 2)


def test_bytes_are_those_of_what_goes_in_and_comes_out():
    assert md.FMInteraction(4, 3).bytes_per_sample() == 4 * (4 * 3 + 1)
    assert md.BiInteraction(4, 3).bytes_per_sample() == 4 * (4 * 3 + 3)


def test_cost_is_linear_in_the_vectors():
    """The sum takes F D, its square D, the squares' sum 2 F D: about 4 F D are promised."""
    assert md.BiInteraction(5, 3).flops_per_sample() == 4 * 5 * 3
    assert (md.BiInteraction(5, 3).num_outputs, md.FMInteraction(5, 3).num_outputs) == (3, 1)
