"""Other inputs, in the domain of the function: what holds at one point must hold at a second.

Nobody says what a function's domain is. So the values move in the direction and the scale that
they have: positive ones stay positive, those of [0, 1] stay there, and zeros stay zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from minidlrm.data.batch import Batch, Jagged

Inputs = tuple[Any, ...]


def others(inputs: Inputs, rng: np.random.Generator) -> Iterator[Inputs]:
    """Yield other inputs of the same shapes, the most different first."""
    yield tuple(
        _mapped(value, lambda a: _free(a, rng), lambda ids: ids[::-1].copy()) for value in inputs
    )
    yield tuple(_mapped(value, lambda a: a[::-1].copy() if a.ndim else a) for value in inputs)
    yield tuple(_mapped(value, lambda a: _near(a, rng)) for value in inputs)


def _free(value: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if value.size == 0:
        return value.copy()
    low, high = value.min(), value.max()
    if low >= 0 and high <= 1:
        return (1 - value).astype(value.dtype)  # labels and rates stay such
    if low > 0:
        return (value * rng.uniform(0.5, 1.5, value.shape)).astype(value.dtype)
    size = float(np.sqrt(np.mean(np.square(value, dtype=np.float64))))
    return (value + size * rng.normal(size=value.shape)).astype(value.dtype)


def _near(value: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (value * rng.uniform(0.97, 1.03, value.shape)).astype(value.dtype)


def scaled(inputs: Inputs, moved: Callable[[np.ndarray], bool], factor: float) -> Inputs:
    """Return the inputs with the chosen float arrays times a factor; [-1, 1] is not left."""

    def scale(value: np.ndarray) -> np.ndarray:
        largest = float(np.abs(value).max(initial=0))
        if not moved(value) or largest == 0:
            return value.copy()
        size = min(abs(factor), 0.999 / largest) if largest <= 1 else abs(factor)
        return (value * (np.sign(factor) * size)).astype(value.dtype)

    return tuple(_mapped(value, scale) for value in inputs)


def _mapped(
    value: Any,
    change: Callable[[np.ndarray], np.ndarray],
    change_ids: Callable[[np.ndarray], np.ndarray] = lambda ids: ids,
) -> Any:
    """Change the float arrays that an input holds, and its rows of ids."""
    if isinstance(value, Batch):
        sparse = _mapped(value.sparse, change, change_ids)
        return replace(value, dense=change(value.dense), sparse=sparse)
    if isinstance(value, Jagged):
        if value.weights is None:
            return value
        return Jagged(value.values, value.offsets, change(value.weights))
    if isinstance(value, dict):
        return {key: _mapped(part, change, change_ids) for key, part in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(_mapped(part, change, change_ids) for part in value)
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return change(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "iu" and value.ndim == 2:
        return change_ids(value)
    return value
