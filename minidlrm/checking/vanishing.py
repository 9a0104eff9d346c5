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
    x = evidence.subject.arrays[name].copy()
    count = x.shape[axis]
    where = f"index {{}} of axis {axis} of {name}"
    without = [evidence.both_where(w, {name: _zeroed(x, axis, [k])}) for k in range(count)]
    right = [k for k, pair in enumerate(without) if _fits(evidence, pair)]
    if len(right) == 1 and count > 2:
        k = right[0]
        others = [j for j in range(count) if j != k]
        ours, theirs = evidence.both_where(w, {name: _zeroed(x, axis, others)}) or (None, None)
        text = f"The gradient of {w.name} is right as soon as {where.format(k)} is 0, and as soon "
        text += "as no other is: "
        if ours is not None and not ours.any() and theirs.any():
            text += "what it adds is left out."
            return make_cause("samples", w.name, text, 0.89)
        return make_cause("part", w.name, text + "what it adds is wrong.", 0.6)
    alone = [
        evidence.both_where(w, {name: _zeroed(x, axis, [j for j in range(count) if j != k])})
        for k in range(count)
    ]
    right = [k for k, pair in enumerate(alone) if _fits(evidence, pair)]
    lost = [k for k, pair in enumerate(alone) if pair is not None and not pair[0].any()]
    if len(right) == 1 and len(lost) == count - 1 and count > 1:
        text = f"The gradient of {w.name} is right where all of {name} but {where.format(right[0])}"
        text += " is 0, and it is 0 with any other alone: only that one is counted."
        return make_cause("one_sample", w.name, text, 0.89)
    return None


def _zeroed(x: np.ndarray, axis: int, indices: list[int]) -> np.ndarray:
    other = x.copy()
    np.moveaxis(other, axis, 0)[indices] = 0
    return other


def _fits(evidence: Evidence, pair: tuple[np.ndarray, np.ndarray] | None) -> bool:
    return pair is not None and pair[1].any() and evidence.same(*pair)


TESTS = (one_index,)
