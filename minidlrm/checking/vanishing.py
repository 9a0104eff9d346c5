"""Where does the mistake go away? Both gradients once more, with parts of the inputs set to 0.

Where the gradient is right as soon as one time step, row or input is 0, the mistake is in what
that part sends back; where it is right with that part alone, it is in all others.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minidlrm.checking.catalogue import make_cause
from minidlrm.checking.evidence import Evidence, Whole
from minidlrm.checking.report import Cause
from minidlrm.languages import Message

Pair = tuple[np.ndarray, np.ndarray] | None  # ours, and the right one

_MOST_INDICES = 12
_MOST_ENTRIES = 400


def one_index(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Only what one index of an axis of an input adds is wrong, or only that is right."""
    if w.rows is not None or w.numeric.size > _MOST_ENTRIES or not evidence.is_linear:
        return
    for name in evidence.subject.input_names:
        x = evidence.subject.arrays[name]
        if name == w.name or x.ndim < 2 or not np.any(x):
            continue
        for axis in range(x.ndim):
            if 2 <= x.shape[axis] <= _MOST_INDICES:
                cause = _along(evidence, w, name, axis)
                if cause is not None:
                    yield cause
                    return


def _along(evidence: Evidence, w: Whole, name: str, axis: int) -> Cause | None:
    """Set each index of one axis to 0, and each but one."""
    x = evidence.subject.arrays[name].copy()
    indices = range(x.shape[axis])
    without = [evidence.both_where(w, {name: _zeroed(x, axis, [k])}) for k in indices]
    right = [k for k in indices if _fits(evidence, without[k])]
    alone = [
        evidence.both_where(w, {name: _zeroed(x, axis, [j for j in indices if j != k])})
        for k in (right if len(right) == 1 else indices)
    ]
    if len(right) == 1 and len(indices) > 2:
        where = Message("index {k} of axis {axis} of {name}", k=right[0], axis=axis, name=name)
        return _one_is_wrong(w, where, alone[0])
    fits = [k for k, pair in enumerate(alone) if _fits(evidence, pair)]
    lost = sum(pair is not None and not pair[0].any() for pair in alone)
    if len(fits) == 1 and lost == len(indices) - 1:
        text = Message(
            "The gradient of {name} is right where all of {other} but index {k} of axis {axis} is "
            "0, and it is 0 with any other alone: only that one is counted.",
            name=w.name,
            other=name,
            k=fits[0],
            axis=axis,
        )
        return make_cause("one_sample", w.name, text, 0.89)
    return None


def _one_is_wrong(w: Whole, where: str, alone: Pair) -> Cause:
    text = Message(
        "The gradient of {name} is right as soon as {where} is 0, and not when another is: ",
        name=w.name,
        where=where,
    )
    if alone is not None and not alone[0].any() and alone[1].any():
        return make_cause("samples", w.name, text + Message("what it adds is left out."), 0.89)
    return make_cause("part", w.name, text + Message("what it adds is wrong."), 0.6)


def _zeroed(x: np.ndarray, axis: int, indices: list[int]) -> np.ndarray:
    other = x.copy()
    np.moveaxis(other, axis, 0)[indices] = 0
    return other


def _fits(evidence: Evidence, pair: Pair) -> bool:
    return pair is not None and bool(pair[1].any()) and evidence.same(*pair)


TESTS = (one_index,)
