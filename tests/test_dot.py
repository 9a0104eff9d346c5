"""DotInteraction."""

import numpy as np
import pytest
from conftest import complex_step
from hypothesis import given
from hypothesis import strategies as st

import minidlrm as md


def test_pairs_come_row_by_row_from_the_lower_triangle():
    z = np.diag([1.0, 1, 1, 1])[None]
    z[0, :, 0] = [1, 2, 3, 4]
    y = md.DotInteraction(4, 4).forward(z)
    np.testing.assert_array_equal(y, [[2, 3, 6, 4, 8, 12]])  # (1,0) (2,0) (2,1) (3,0) (3,1) (3,2)


def test_the_diagonal_stands_at_the_end_of_each_row():
    z = np.array([[[1.0], [2.0], [3.0]]])
    y = md.DotInteraction(3, 1, self_interaction=True).forward(z)
    np.testing.assert_array_equal(y, [[1, 2, 4, 3, 6, 9]])


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 5),
    st.integers(1, 6),
    st.integers(1, 4),
    st.booleans(),
)
def test_gradients_by_differences(seed, batch_size, num_features, dim, diagonal):
    if num_features == 1 and not diagonal:
        return
    z = np.random.default_rng(seed).normal(size=(batch_size, num_features, dim))
    layer = md.DotInteraction(num_features, dim, diagonal)
    md.gradcheck(layer, z, verbose=False).raise_if_failed()


@pytest.mark.parametrize("diagonal", [False, True])
def test_gradients_by_complex_step(diagonal, rng):
    layer, z = md.DotInteraction(4, 3, diagonal), rng.normal(size=(2, 4, 3))
    r = rng.normal(size=layer.forward(z).shape)
    dz = layer.backward(r)
    numeric = complex_step(lambda moved: np.sum(r * layer.forward(moved)), z)
    np.testing.assert_allclose(dz, numeric, rtol=1e-13, atol=1e-14)


@pytest.mark.oracle
@pytest.mark.parametrize("diagonal", [False, True])
def test_pytorch_agrees(diagonal, torch, rng):
    layer, z = md.DotInteraction(5, 3, diagonal), rng.normal(size=(4, 5, 3))
    tensor = torch.tensor(z, requires_grad=True)
    i, j = torch.tril_indices(5, 5, 0 if diagonal else -1)
    expected = torch.bmm(tensor, tensor.transpose(1, 2))[:, i, j]
    y = layer.forward(z)
    dy = rng.normal(size=y.shape)
    expected.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(layer.backward(dy), tensor.grad.numpy(), rtol=1e-12, atol=1e-14)


def test_cost_is_that_of_the_triangle():
    assert md.DotInteraction(27, 16).num_outputs == 351
    assert md.DotInteraction(27, 16).flops_per_sample() == 27 * 26 * 16


def test_bad_shapes_are_named():
    with pytest.raises(ValueError, match=r"z has shape \(2, 3, 5\), expected \(B, 3, 4\)"):
        md.DotInteraction(3, 4).forward(np.ones((2, 3, 5)))
    with pytest.raises(ValueError, match="num_features is 0: it must be at least 1"):
        md.DotInteraction(0, 4)


def test_one_vector_alone_has_no_pairs_but_its_square():
    z = np.array([[[3.0, 4.0]]])
    assert md.DotInteraction(1, 2).forward(z).shape == (1, 0)
    layer = md.DotInteraction(1, 2, self_interaction=True)
    np.testing.assert_array_equal(layer.forward(z), [[25]])
    np.testing.assert_array_equal(layer.backward(np.ones((1, 1))), 2 * z)


def test_each_pair_sends_its_gradient_to_both_vectors():
    layer, z = md.DotInteraction(3, 2), np.array([[[1.0, 2], [3, 4], [5, 6]]])
    layer.forward(z)
    dz = layer.backward(np.array([[0.0, 10.0, 0.0]]))  # the pair (2, 0) alone
    np.testing.assert_array_equal(dz, [[[50, 60], [0, 0], [10, 20]]])


def test_a_dy_of_another_shape_is_named():
    layer = md.DotInteraction(3, 2)
    layer.forward(np.ones((2, 3, 2)))
    with pytest.raises(ValueError, match=r"dy has shape \(2, 6\), the output had \(2, 3\)"):
        layer.backward(np.ones((2, 6)))


def test_bytes_are_those_of_what_goes_in_and_comes_out():
    assert md.DotInteraction(4, 3).bytes_per_sample() == 4 * (4 * 3 + 6)
    assert md.DotInteraction(4, 3, True).bytes_per_sample() == 4 * (4 * 3 + 10)
