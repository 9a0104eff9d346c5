"""Codes of some rows, counted and mapped: compiled, and by NumPy."""

import numpy as np
import pytest

from minidlrm.data import picking


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_codes_are_counted_and_mapped_as_a_loop_does(monkeypatch, compiled, dtype):
    if not compiled:
        monkeypatch.setattr(picking, "_compiled", lambda: None)
    rng = np.random.default_rng(0)
    codes = rng.integers(-1, 5, 100).astype(np.int32)
    rows = rng.integers(0, 100, 60).astype(dtype)
    counts, out = np.full(6, 10), np.zeros((60, 2), np.int32)
    ids = rng.integers(0, 50, 6).astype(np.int32)
    picking.count_codes(codes, rows, counts)
    picking.map_codes(codes, rows, ids, out[:, 1])
    chosen = [codes[row] for row in rows]
    assert counts.tolist() == [10 + chosen.count(code) for code in range(-1, 5)]
    assert out.tolist() == [[0, ids[code + 1]] for code in chosen]
