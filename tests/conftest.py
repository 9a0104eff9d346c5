"""What all tests share."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("minidlrm", deadline=None, max_examples=30)
settings.load_profile("minidlrm")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; the test is skipped, and says so, without it."""
    folder = os.environ.get("MINIDLRM_DATA")
    if not folder:
        pytest.skip("MINIDLRM_DATA is not set: no real data")
    return Path(folder)


@pytest.fixture(scope="session")
def torch():
    """PyTorch in float64, as the oracle; the test is skipped, and says so, without it."""
    module = pytest.importorskip("torch", reason="PyTorch is not installed: no oracle")
    return module


def complex_step(function, array: np.ndarray, step: float = 1e-30) -> np.ndarray:
    """The gradient of function(array), a number, for an analytic function: no step to choose."""
    grad = np.empty(array.shape)
    moved = array.astype(np.complex128)
    for index in np.ndindex(array.shape):
        moved[index] += 1j * step
        grad[index] = np.imag(function(moved)) / step
        moved[index] = array[index]
    return grad
