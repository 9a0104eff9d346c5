"""When two gradients are the same, up to the rounding of the code that computes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minidlrm.checking.subject import as_dense, rows_of
from minidlrm.module import SparseGrad


@dataclass(frozen=True)
class Near:
    """What counts as the same number, up to rounding.

    Parameters
    ----------
    share : float
        A share of the largest entry.
    floor : float
        What may be left of dy = 1 where everything cancels.
    """

    share: float
    floor: float

    @classmethod
    def of(cls, eps: float, dy: np.ndarray, arrays: dict[str, np.ndarray]) -> Near:
        """Follow the precision of the code and the size of what goes in."""
        largest = max((float(np.abs(a).max(initial=1)) for a in arrays.values()), default=1.0)
        floor = 20 * eps * float(np.abs(dy).max(initial=0)) * min(largest, 1e6)
        return cls(min(1000 * eps, 0.05), floor)


def is_sum(total: Any, first: tuple[float, Any], second: tuple[float, Any], tol: Near) -> bool:
    """Whether total is the sum of two terms (factor, gradient), up to rounding."""
    (m, a), (n, b) = first, second
    if total is None or a is None or b is None:
        return False
    total, a, b = _side_by_side(total, a, b)
    if not total.shape == a.shape == b.shape:
        return False
    size = max(max(1, abs(m)) * size_of(a), max(1, abs(n)) * size_of(b))
    return size_of(total - m * a - n * b) <= 2 * tol.share * size + (abs(m) + abs(n)) * tol.floor


def _side_by_side(*grads: Any) -> list[np.ndarray]:
    """Return gradients as arrays of the same rows. Sparse ones alone are never made dense."""
    if not all(isinstance(grad, SparseGrad) for grad in grads):
        return [as_dense(grad) for grad in grads]
    first, *others = (grad.rows for grad in grads)
    if all(np.array_equal(first, other) for other in others):
        return [grad.values for grad in grads]
    rows = np.unique(np.concatenate([first, *others]))
    return [rows_of(grad, rows) for grad in grads]


def is_near(y: Any, z: Any, tol: Near) -> bool:
    """Whether two outputs are the same, up to rounding."""
    if np.shape(y) != np.shape(z):
        return False
    size = float(np.abs(z).max(initial=0))
    return bool((np.abs(y - z) <= tol.share * (size + np.abs(z))).all())


def same(first: dict[str, Any], second: dict[str, Any], tol: Near) -> bool:
    """Whether all gradients are the same, up to rounding."""
    return all(same_array(first[name], second.get(name), tol) for name in first)


def same_array(a: Any, b: Any, tol: Near, factor: float = 1.0) -> bool:
    """Whether a is factor * b, up to rounding."""
    if a is None or b is None:
        return a is None and b is None
    a, b = _side_by_side(a, b)
    if a.shape != b.shape or a.dtype == object:
        return a.shape == b.shape
    limit = max(1.0, factor) * (tol.share * float(np.abs(b).max(initial=1e-300)) + tol.floor)
    return bool(np.abs(a - factor * b).max(initial=0) <= limit)


def size_of(grad: Any) -> float:
    """Return the largest entry of a gradient, without its sign."""
    if grad is None:
        return 0.0
    values = grad.values if isinstance(grad, SparseGrad) else np.asarray(grad)
    return float(np.maximum.reduce(np.abs(values), axis=None, initial=0))
