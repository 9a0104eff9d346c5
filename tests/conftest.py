"""What all tests share."""

import os
from pathlib import Path

import numpy as np
import pytest


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
