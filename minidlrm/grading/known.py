"""Name the mistake behind a wrong value: a known wrong formula, or simple arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minidlrm.grading.judge import Wrong, same
from minidlrm.languages import Message, as_message, joined, words_of

Mistakes = Sequence[tuple[str, Any]]
_NOTHING = Message("every value is 0")


def compare(
    name: str,
    value: Any,
    right: Any,
    wrong: Mistakes = (),
    rtol: float = 1e-6,
    near: str = "",
    tell: bool = True,
) -> None:
    """Compare as `same` does; name the known mistake that gives this value.

    Parameters
    ----------
    name : str
        The name of what was computed.
    value, right : array_like
        What came back, and what should have.
    wrong : sequence of (str, array_like)
        Known mistakes, and what each of them gives.
    rtol : float
        The tolerance, relative to the largest entry.
    near : str
        What a value within a tenth of the right one means; "" where it means nothing.
    tell : bool
        Whether the message may say the right value.
    """
    try:
        same(name, value, right, rtol, tell)
    except Wrong as error:
        mistake = _mistake(value, np.asarray(right), wrong, near, max(rtol, 1e-6))
        if not mistake or (mistake.startswith("the values are") and not tell):
            raise
        known = Message("This looks like a known mistake: {mistake}.", mistake=as_message(mistake))
        raise Wrong(joined([words_of(error), known], "\n"), mistake, mistake != _NOTHING) from None


def _mistake(value: Any, right: np.ndarray, wrong: Mistakes, near: str, rtol: float) -> str:
    try:
        got = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return ""
    if near and _equal(got, right, 0.1):
        return near
    for mistake, other in (*wrong, *_simple(got, right)):
        if _equal(got, np.asarray(other), rtol):
            return mistake
    return ""


def _simple(got: np.ndarray, right: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the mistakes that need no knowledge of the task."""
    yield _NOTHING, np.zeros(right.shape)
    yield Message("the sign is wrong"), -right
    if right.ndim > 1:
        yield Message("the array is transposed"), right.T
    if got.shape == right.shape and right.any():
        factor = float(np.sum(got * right) / np.sum(right * right))
        if abs(factor - 1) > 1e-3:
            times = f"{factor:.4g}"
            yield (
                Message("the values are {times} times the right ones", times=times),
                factor * right,
            )


def _equal(got: np.ndarray, other: np.ndarray, rtol: float) -> bool:
    if got.shape != other.shape or not got.size or not np.isfinite(got).all():
        return False
    return bool(np.abs(got - other).max() <= rtol * np.abs(other).max())
