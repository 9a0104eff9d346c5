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
