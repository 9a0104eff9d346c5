"""Hypotheses about one wrong gradient, each tested by arithmetic on its numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minidlrm.checking.catalogue import make_cause
from minidlrm.checking.confirming import at_other_inputs
from minidlrm.checking.evidence import TOL, Evidence, Whole
from minidlrm.checking.report import Cause
from minidlrm.languages import Message, sentence


def _zero(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    if not w.analytic.any() and w.numeric.any():
        text = Message("Every entry of the gradient of {name} is 0.", name=w.name)
        yield make_cause("zero", w.name, text, 0.93)


def _scale(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Test a = c n, with one c for the whole array."""
    a, n = w.analytic.ravel(), w.numeric.ravel()
    c = float(a @ n) / max(float(n @ n), 1e-300)
    if np.count_nonzero(n) < 2 and not evidence.is_usual(c):
        return  # two numbers always have a ratio
    if not evidence.same(a, c * n) or abs(c - 1) <= evidence.tol:
        return
    ours = _times(w.name, c)
    if abs(c + 1) <= TOL:
        yield make_cause("sign", w.name, sentence(ours), 0.92)
        return
    sign = Message("with the wrong sign, ") if c < 0 else ""
    size = abs(c)
    length = _named(evidence.lengths, size)
    inverse = _named(evidence.lengths, 1 / size)
    batch = float(evidence.batch_size)
    if batch > 1 and _is_about(size, batch) and not _goes_with_batch(evidence, w, c):
        batch = 0.0  # another number of that size
    if abs(size - batch) <= TOL * size and batch > 1:
        text = Message("{ours}, {sign}and {length}.", ours=ours, sign=sign, length=length)
        yield make_cause("batch_missing", w.name, text, 0.92)
        return
    if abs(1 / size - batch) <= TOL / size and batch > 1:
        text = Message("{ours}, {sign}and {length}.", ours=ours, sign=sign, length=inverse)
        yield make_cause("batch_twice", w.name, text, 0.92)
        return
    alone = len(evidence.failed) < len(evidence.checks) and w.name in evidence.subject.parameters
    if abs(c - 2) <= TOL:
        yield make_cause("added_twice", w.name, ours + ".", 0.91 if alone else 0.6)
    note = Message(", and that is {length}", length=length) if length else ""
    if inverse:
        note = Message(", and {c} is one over {length}", c=f"1/{1 / size:g}", length=inverse)
    note = _that_moves(evidence, w, c) or note
    text = Message("{ours}, {sign}with no exception{note}.", ours=ours, sign=sign, note=note)
    yield make_cause("factor", w.name, text, 0.9)


def _that_moves(evidence: Evidence, w: Whole, c: float) -> str:
    """Say whether the factor is another one at other inputs; "" where it is not."""
    other = at_other_inputs(evidence)
    whole = None if other is None else other.whole(w.name)
    if other is None or whole is None or not whole.numeric.any():
        return ""
    a, n = whole.analytic.ravel(), whole.numeric.ravel()
    d = float(a @ n) / float(n @ n)
    if not other.same(a, d * n) or abs(d / c - 1) <= 1e-3:
        return ""
    return Message(
        "; but on other inputs it is {d}: so it is no constant, but a number that is computed from "
        "the inputs, such as a sum, a norm or the output",
        d=f"{d:.4g}",
    )


def _is_about(size: float, n: float) -> bool:
    """Whether a number is near n, or near 1/n."""
    return min(abs(size / n - 1), abs(size * n - 1)) <= TOL


def _goes_with_batch(evidence: Evidence, w: Whole, c: float) -> bool:
    """Whether the factor is another one with one sample less; True where nobody can tell."""
    B = evidence.batch_size
    if any(array.ndim and B in array.shape[1:] for array in evidence.subject.arrays.values()):
        return True
    found = evidence.factor_without_last(w.name, B)
    return found is None or abs(found / c - 1) > 1e-3


def _named(lengths: dict[float, str], size: float) -> str:
    return next((text for n, text in lengths.items() if abs(n - size) <= TOL * size), "")


def _ratio(c: float) -> str:
    if abs(c) >= 1 - TOL:
        return f"{c:.6g} times"
    return f"{'-' if c < 0 else ''}1/{1 / abs(c):.6g} of"


def _times(name: str, c: float) -> Message:
    number, _, unit = _ratio(c).partition(" ")
    if unit == "times":
        return Message("The gradient of {name} is {c} times the right one", name=name, c=number)
    return Message("The gradient of {name} is {c} of the right one", name=name, c=number)


def _transposed(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    n = w.numeric
    square = n.ndim == 2 and n.shape[0] == n.shape[1] > 1
    if square and evidence.same(w.analytic, n.T) and not evidence.same(n, n.T):
        yield make_cause(
            "transpose", w.name, Message("It equals the transpose of the right one."), 0.97
        )


def _swapped(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """The gradient of one array is that of another."""
    for other in evidence.failed:
        if other != w.name and evidence.subject.arrays[other].shape == w.value.shape:
            whole = evidence.whole(other)
            if whole is not None and evidence.same(w.analytic, whole.numeric):
                both = evidence.same(whole.analytic, w.numeric)
                key = "order" if both or w.name in evidence.subject.parameters else "operand"
                text = _is_of(w.name, other)
                if not both:
                    text = Message(
                        "The gradient of {name} is the right one of {other}.",
                        name=w.name,
                        other=other,
                    )
                yield make_cause(key, w.name, text, 0.95)


def _is_of(name: str, other: str) -> Message:
    return Message(
        "The gradient of {name} is the right one of {other}, and the other way round.",
        name=name,
        other=other,
    )


def _samples(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Test a = sum of c_b times the part of sample b: some are left out, or weighted."""
    if evidence.r.ndim == 0 or not w.analytic.any():
        return
    for axis in range(evidence.r.ndim):
        parts = _parts(evidence, w, axis)  # (samples, entries)
        live = np.flatnonzero(np.abs(parts).max(axis=1) > 0)
        if len(live) < 2 or not _meet(parts[live]):
            continue
        weights = _weights(evidence, w.analytic.ravel(), parts[live])
        if weights is not None:
            yield _of_samples(evidence, w, axis, live, weights, len(parts))
            return


def _parts(evidence: Evidence, w: Whole, axis: int) -> np.ndarray:
    """Return what the outputs at each index of one axis contribute (index, entries)."""
    r = np.moveaxis(evidence.r, axis, 0)
    outputs = w.jacobian.reshape(*evidence.r.shape, -1)
    outputs = np.moveaxis(outputs, axis, 0).reshape(len(r), -1, w.numeric.size)
    return np.einsum("bo,boi->bi", r.reshape(len(r), -1), outputs)


def _meet(parts: np.ndarray) -> bool:
    """Whether all samples reach all entries, as they do of a parameter."""
    reached = np.abs(parts) > 1e-9 * np.abs(parts).max()
    return bool((reached.sum(axis=0) > 1).any())


def _weights(evidence: Evidence, ours: np.ndarray, parts: np.ndarray) -> np.ndarray | None:
    """Return the weight of each sample; None where weights do not explain it."""
    total = parts.sum(axis=0)
    for k, part in enumerate(parts):  # with few entries, any weights would fit
        for value, weight, rest in ((part, 1, 0), (total - part, 0, 1)):
            if len(ours) > 1 and evidence.same(ours, value):
                weights = np.full(len(parts), rest, float)
                weights[k] = weight
                return weights
    if len(ours) <= len(parts) or np.linalg.matrix_rank(parts) < len(parts):
        return None
    weights = np.linalg.lstsq(parts.T, ours, rcond=None)[0]
    fits = evidence.same(ours, weights @ parts) and np.ptp(weights) > 1e-4 * np.abs(weights).max()
    return weights if fits else None


def _of_samples(evidence, w, axis, live, weights, count) -> Cause:
    what = Message("sample")
    if axis:
        what = Message("index of axis {axis} of dy", axis=axis)
    kept = np.abs(weights) > 1e-6
    if axis and not (kept.sum() > 1 and np.abs(weights[kept] - 1).max() >= 1e-4):
        return _of_outputs(w, axis, live[kept], live[~kept], count)
    if kept.sum() == 1:
        text = Message(
            "It is the part of {what} {k} alone; there are {count}.",
            what=what,
            k=live[kept][0],
            count=count,
        )
        return make_cause("one_sample", w.name, text, 0.95)
    if not kept.all() and np.abs(weights[kept] - 1).max() < 1e-4:
        gone = ", ".join(map(str, live[~kept].tolist()[:5]))
        text = Message(
            "It is the sum without {what} {gone}, of {count}.", what=what, gone=gone, count=count
        )
        return make_cause("samples", w.name, text, 0.955)
    shown = ", ".join(f"{weight:.4g}" for weight in weights[:5])
    shown += ", ..." if len(weights) > 5 else "."
    text = Message(
        "It is the sum over each {what} with a factor of its own: {shown}", what=what, shown=shown
    )
    return make_cause("row_factor", w.name, text, 0.9)


def _of_outputs(w: Whole, axis: int, kept: np.ndarray, gone: np.ndarray, count: int) -> Cause:
    """Along another axis than that of the samples, say which outputs send nothing back."""
    listed = ", ".join(map(str, gone[:5].tolist())) + (", ..." if len(gone) > 5 else "")
    text = Message(
        "What the outputs at index {k} of axis {axis}, of {count}, send back is left out; all "
        "that is there is right.",
        k=listed,
        axis=axis,
        count=count,
    )
    if len(kept) == 1:
        text = Message(
            "Only what the outputs at index {k} of axis {axis}, of {count}, send back is counted; "
            "all that is there is right.",
            k=kept[0],
            axis=axis,
            count=count,
        )
    return make_cause("part_missing", w.name, text, 0.95)


def _broadcast(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """One number everywhere: the sum of all."""
    flat = w.analytic.ravel()
    if flat.size > 1 and flat.any() and np.ptp(flat) <= TOL * abs(flat[0]):
        same = abs(flat[0] - w.numeric.sum()) <= TOL * max(abs(flat[0]), 1e-300)
        if np.ptp(np.abs(w.numeric)) <= TOL * abs(flat[0]):
            return  # every entry has one size: only their signs differ
        what = Message("the sum of the right ones") if same else f"{flat[0]:.4g}"
        text = Message("Every entry is {what}.", what=what)
        yield make_cause("broadcast", w.name, text, 0.94 if same else 0.5)
    elif w.numeric.ndim > 1:
        yield from _broadcast_along(evidence, w)


def _broadcast_along(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Along one axis every entry is the sum, or the mean, of the right ones there."""
    for axis, length in enumerate(w.numeric.shape):
        for what, one in (
            (Message("sum"), w.numeric.sum(axis=axis, keepdims=True)),
            (Message("mean"), w.numeric.mean(axis=axis, keepdims=True)),
        ):
            if length > 1 and evidence.same(w.analytic, np.broadcast_to(one, w.numeric.shape)):
                text = Message(
                    "All along axis {axis} of {name} every entry is the {what} of the right ones "
                    "there.",
                    axis=axis,
                    name=w.name,
                    what=what,
                )
                yield make_cause("broadcast", w.name, text, 0.94)
                return


def _shifted(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """The right numbers, at other places."""
    n, a = w.numeric, w.analytic
    if w.rows is not None or n.size < 4 or evidence.same(a, n):
        return
    for axis in range(n.ndim):
        if evidence.same(a, np.flip(n, axis)):
            text = Message("The right numbers, in the reverse order along axis {axis}.", axis=axis)
            yield make_cause("shifted", w.name, text, 0.965)
            return
        for step in range(1, n.shape[axis]):
            if evidence.same(a, np.roll(n, step, axis)):
                step = min(step, step - n.shape[axis], key=abs)
                text = Message(
                    "The right numbers, shifted by {step} along axis {axis}.", step=step, axis=axis
                )
                yield make_cause("shifted", w.name, text, 0.965)
                return
    different = len(np.unique(np.round(n[n != 0] / np.abs(n).max(), 6)))
    if different > 3 and evidence.same(np.sort(a, axis=None), np.sort(n, axis=None)):
        moved = np.argwhere(np.abs(a - n) > evidence.tol * np.abs(n).max())
        place = tuple(map(int, moved[0]))
        text = Message(
            "The right numbers, {count} of them at wrong places; the first is at {place}.",
            count=len(moved),
            place=place,
        )
        yield make_cause("shifted", w.name, text, 0.965)


def _sum_over_axis(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Each output uses one entry of a vector: ours adds up over another axis of the outputs."""
    shape = evidence.r.shape
    vector = w.value.squeeze()
    if len(shape) < 2 or vector.ndim != 1 or w.rows is not None:
        return
    of_one = w.jacobian.reshape(evidence.r.size, -1)
    if ((np.abs(of_one) > 1e-9 * np.abs(of_one).max(initial=0)).sum(axis=1) > 1).any():
        return
    parts = (evidence.r.ravel() * of_one.sum(axis=1)).reshape(shape)
    sums = {}
    for axis in range(len(shape)):
        sums[axis] = parts.sum(axis=tuple(k for k in range(len(shape)) if k != axis))
    right = [axis for axis, total in sums.items() if evidence.same(w.numeric.ravel(), total)]
    ours = [axis for axis, total in sums.items() if evidence.same(w.analytic.ravel(), total)]
    if right and ours and right != ours:
        text = Message(
            "It keeps axis {ours} of dy and adds up over the others; {name} belongs to axis "
            "{right}.",
            ours=ours[0],
            name=w.name,
            right=right[0],
        )
        yield make_cause("axis", w.name, text, 0.975)


def _one_part(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Right in one row or column, zero elsewhere."""
    if w.numeric.ndim < 2 or not w.analytic.any():
        return
    for axis in range(w.numeric.ndim):
        others = tuple(k for k in range(w.numeric.ndim) if k != axis)
        alive = np.flatnonzero(np.abs(w.analytic).max(axis=others) > 0)
        wanted = np.flatnonzero(np.abs(w.numeric).max(axis=others) > 0)
        if len(alive) == 1 and len(wanted) > 1:
            right = evidence.same(w.analytic.take(alive[0], axis), w.numeric.take(alive[0], axis))
            if right:
                text = Message(
                    "Index {k} of axis {axis} is right, and all others are 0.",
                    k=alive[0],
                    axis=axis,
                )
                yield make_cause("one_part", w.name, text, 0.93)


def _exchanged(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Two arrays have each other's gradient, and these are multiples: no factor is wrong."""
    if not any(_scale(evidence, w)):
        return
    for other in evidence.failed:
        whole = None if other == w.name or evidence.broken(other) else evidence.whole(other)
        if whole is None or not evidence.same(w.analytic, whole.numeric):
            continue
        if evidence.same(whole.analytic, w.numeric) and not evidence.same(w.numeric, -w.analytic):
            yield make_cause("order", w.name, _is_of(w.name, other), 0.96)


PLAIN = (_zero, _scale, _exchanged)
TESTS = (
    _transposed,
    _swapped,
    _samples,
    _broadcast,
    _shifted,
    _sum_over_axis,
    _one_part,
)
