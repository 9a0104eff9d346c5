"""ElementwiseProduct."""

import numpy as np
import pytest

import minidlrm as md


def test_gradients_of_both_factors(rng):
    u, v = rng.normal(size=(2, 4, 3))
    report = md.gradcheck(md.ElementwiseProduct(), u, v, verbose=False)
    assert [check.name for check in report.arrays] == ["u", "v"]
    report.raise_if_failed()


def test_shapes_that_differ():
    with pytest.raises(ValueError, match=r"u has shape \(2, 3\), v \(3, 3\)"):
        md.ElementwiseProduct().forward(np.zeros((2, 3)), np.zeros((3, 3)))


def test_the_product_entry_by_entry():
    layer = md.ElementwiseProduct()
    y = layer.forward(np.array([[1.0, 2], [3, 4]]), np.array([[5.0, 6], [7, 8]]))
    np.testing.assert_array_equal(y, [[5, 12], [21, 32]])
    du, dv = layer.backward(np.array([[1.0, 10], [100, 1000]]))
    np.testing.assert_array_equal(du, [[5, 60], [700, 8000]])
    np.testing.assert_array_equal(dv, [[1, 20], [300, 4000]])
