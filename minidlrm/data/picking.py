"""Some rows of a column: their codes counted, or turned into ids, without a copy between.

Numba makes one pass of each; without Numba NumPy serves, with the same numbers.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np


def count_codes(codes: np.ndarray, rows: np.ndarray, counts: np.ndarray) -> None:
    """Add how often each code from -1 on occurs in these rows to `counts`, -1 first.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.data.picking import count_codes
    >>> counts = np.zeros(3, np.int64)
    >>> count_codes(np.array([1, 0, -1, 1]), np.array([0, 2, 3]), counts)
    >>> counts
    array([1, 0, 2])
    """
    compiled = _compiled()
    if compiled:
        compiled[0](np.asarray(codes), rows, counts)
    else:
        counts += np.bincount(codes[rows].astype(np.int64) + 1, minlength=len(counts))


def map_codes(codes: np.ndarray, rows: np.ndarray, ids: np.ndarray, out: np.ndarray) -> None:
    """Write the id of the code in each of these rows to `out`; ``ids[0]`` is that of -1.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.data.picking import map_codes
    >>> out = np.zeros(3, np.int32)
    >>> map_codes(np.array([1, 0, -1, 1]), np.array([0, 2, 3]), np.array([7, 8, 9]), out)
    >>> out
    array([9, 7, 9], dtype=int32)
    """
    compiled = _compiled()
    if compiled:
        compiled[1](np.asarray(codes), rows, ids, np.asarray(out))
    else:
        out[...] = ids[codes[rows] + 1]


def _count(codes: Any, rows: Any, counts: Any) -> None:
    for row in rows:
        counts[codes[row] + 1] += 1


def _map(codes: Any, rows: Any, ids: Any, out: Any) -> None:
    for k in range(len(rows)):
        out[k] = ids[codes[rows[k]] + 1]


@cache
def _compiled() -> tuple[Any, Any] | None:
    """Return both loops compiled; None without Numba, which takes long to import."""
    try:
        from numba import njit

        from minidlrm.kernels.compiler import CACHE  # whether a folder for them can be written
    except ImportError:
        return None
    compiled = njit(cache=CACHE, nogil=True)
    return compiled(_count), compiled(_map)
