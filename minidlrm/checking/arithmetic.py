"""Hypotheses about one wrong gradient, each tested by arithmetic on its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minidlrm.checking.catalogue import make_cause
from minidlrm.checking.confirming import at_other_inputs
from minidlrm.checking.evidence import TOL, Evidence, Whole
from minidlrm.checking.ids import may_be_offsets
from minidlrm.checking.report import Cause
from minidlrm.checking.subject import Subject
from minidlrm.data.batch import Jagged
from minidlrm.languages import Message, sentence
from minidlrm.module import Module, SparseGrad


def _zero(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    if not w.analytic.any() and w.numeric.any():
        yield make_cause("zero", w.name, f"Every entry of the gradient of {w.name} is 0.", 0.93)


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
        yield make_cause("added_twice", w.name, f"{ours}.", 0.91 if alone else 0.6)
    note = f", and that is {length}" if length else ""
    note = f", and 1/{1 / size:g} is one over {inverse}" if inverse else note
    note = _that_moves(evidence, w, c) or note
    yield make_cause("factor", w.name, f"{ours}, {sign}with no exception{note}.", 0.9)


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
    text = f"; but on other inputs it is {d:.4g}: so it is no constant, but a number that is "
    return text + "computed from the inputs, such as a sum, a norm or the output"


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
                text = f"The gradient of {w.name} is the right one of {other}"
                both = evidence.same(whole.analytic, w.numeric)
                key = "order" if both or w.name in evidence.subject.parameters else "operand"
                text += ", and the other way round." if both else "."
                yield make_cause(key, w.name, text, 0.95)


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
    what = "sample" if axis == 0 else f"index of axis {axis} of dy"
    kept = np.abs(weights) > 1e-6
    if axis and not (kept.sum() > 1 and np.abs(weights[kept] - 1).max() >= 1e-4):
        return _of_outputs(w, axis, live[kept], live[~kept], count)
    if kept.sum() == 1:
        text = f"It is the part of {what} {live[kept][0]} alone; there are {count}."
        return make_cause("one_sample", w.name, text, 0.95)
    if not kept.all() and np.abs(weights[kept] - 1).max() < 1e-4:
        gone = live[~kept].tolist()
        text = f"It is the sum without {what} {', '.join(map(str, gone[:5]))}, of {count}."
        return make_cause("samples", w.name, text, 0.955)
    shown = ", ".join(f"{weight:.4g}" for weight in weights[:5])
    text = f"It is the sum over each {what} with a factor of its own: {shown}"
    return make_cause("row_factor", w.name, text + (", ..." if len(weights) > 5 else "."), 0.9)


def _of_outputs(w: Whole, axis: int, kept: np.ndarray, gone: np.ndarray, count: int) -> Cause:
    """Along another axis than that of the samples, say which outputs send nothing back."""
    listed = ", ".join(map(str, gone[:5].tolist())) + (", ..." if len(gone) > 5 else "")
    text = f"What the outputs at index {listed} of axis {axis}, of {count}, send back is left out; "
    if len(kept) == 1:
        text = f"Only what the outputs at index {kept[0]} of axis {axis}, of {count}, send back is "
        text += "counted; "
    return make_cause("part_missing", w.name, text + "all that is there is right.", 0.95)


def _broadcast(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """One number everywhere: the sum of all."""
    flat = w.analytic.ravel()
    if flat.size > 1 and flat.any() and np.ptp(flat) <= TOL * abs(flat[0]):
        same = abs(flat[0] - w.numeric.sum()) <= TOL * max(abs(flat[0]), 1e-300)
        if np.ptp(np.abs(w.numeric)) <= TOL * abs(flat[0]):
            return  # every entry has one size: only their signs differ
        what = "the sum of the right ones" if same else f"{flat[0]:.4g}"
        yield make_cause("broadcast", w.name, f"Every entry is {what}.", 0.94 if same else 0.5)
    elif w.numeric.ndim > 1:
        yield from _broadcast_along(evidence, w)


def _broadcast_along(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Along one axis every entry is the sum, or the mean, of the right ones there."""
    for axis, length in enumerate(w.numeric.shape):
        for what, one in (
            ("sum", w.numeric.sum(axis=axis, keepdims=True)),
            ("mean", w.numeric.mean(axis=axis, keepdims=True)),
        ):
            if length > 1 and evidence.same(w.analytic, np.broadcast_to(one, w.numeric.shape)):
                text = f"All along axis {axis} of {w.name} every entry is the {what} of the right "
                text += "ones there."
                yield make_cause("broadcast", w.name, text, 0.94)
                return


def _shifted(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """The right numbers, at other places."""
    n, a = w.numeric, w.analytic
    if w.rows is not None or n.size < 4 or evidence.same(a, n):
        return
    for axis in range(n.ndim):
        if evidence.same(a, np.flip(n, axis)):
            text = f"The right numbers, in the reverse order along axis {axis}."
            yield make_cause("shifted", w.name, text, 0.965)
            return
        for step in range(1, n.shape[axis]):
            if evidence.same(a, np.roll(n, step, axis)):
                step = min(step, step - n.shape[axis], key=abs)
                text = f"The right numbers, shifted by {step} along axis {axis}."
                yield make_cause("shifted", w.name, text, 0.965)
                return
    different = len(np.unique(np.round(n[n != 0] / np.abs(n).max(), 6)))
    if different > 3 and evidence.same(np.sort(a, axis=None), np.sort(n, axis=None)):
        moved = np.argwhere(np.abs(a - n) > evidence.tol * np.abs(n).max())
        place = tuple(map(int, moved[0]))
        text = f"The right numbers, {len(moved)} of them at wrong places; the first is at {place}."
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
        text = f"It keeps axis {ours[0]} of dy and adds up over the others; {w.name} belongs to "
        yield make_cause("axis", w.name, text + f"axis {right[0]}.", 0.975)


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
                text = f"Index {alive[0]} of axis {axis} is right, and all others are 0."
                yield make_cause("one_part", w.name, text, 0.93)


def _lost_uses(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Wrong rows against rows looked up twice, or twice within one bag."""
    if evidence.subject.arrays[w.name].ndim not in (1, 2) or not w.numeric.size:
        return
    rows = np.arange(len(w.numeric)) if w.rows is None else w.rows
    size = np.max(np.abs(w.numeric), initial=0)
    off = np.abs(w.analytic - w.numeric).reshape(len(rows), -1).max(axis=1) > TOL * size
    wrong = set(rows[off].tolist())
    for uses in _uses(evidence.subject):
        twice = {row for row, bags in uses.items() if len(bags) > 1}
        inside = {row for row, bags in uses.items() if len(bags) > len(set(bags))}
        if not wrong or wrong not in (twice, inside):
            continue  # rows that are used more than once are right, or others wrong
        # without a row that is used once, or a table's form, nothing else tells them apart
        plain = w.numeric.ndim == 2 and len(twice) < len(uses) and _is_table(evidence, w, uses)
        if not plain and not _is_one_use(evidence, w, np.flatnonzero(off)):
            continue
        if not _are_parts(evidence, w, np.flatnonzero(off)):
            continue
        first = min(wrong)
        text = f"{len(wrong)} rows are wrong, and each of them is looked up more than once "
        if len(wrong) == 1:
            text = "One row is wrong, and it is looked up more than once "
        if wrong <= inside and twice - inside:
            text += f"within one bag (row {first}); rows that are repeated across bags are right."
            yield make_cause("bag_repeat", w.name, text, 0.97)
        else:
            text += f"(row {first}: {len(uses[first])} times); rows that are used once are right."
            yield make_cause("duplicates", w.name, text, 0.965)
        return


def _is_table(evidence: Evidence, w: Whole, uses: dict[int, list[int]]) -> bool:
    """Whether these may be the rows of a table: one that is not looked up has no gradient."""
    if isinstance(evidence.grads[w.name], SparseGrad):
        return True
    unused = [row for row in range(len(w.numeric)) if row not in uses]
    if w.numeric[unused].any() or max(uses) >= len(w.value):
        return False
    if isinstance(evidence.subject.target, Module):
        return bool(unused)
    return _is_looked_up(evidence, w, uses)


def _is_looked_up(evidence: Evidence, w: Whole, uses: dict[int, list[int]]) -> bool:
    """Whether each row reaches the outputs of the samples that look it up, and no others."""
    samples = len(evidence.r) if evidence.r.ndim else 0
    if samples <= max(bag for bags in uses.values() for bag in bags):
        return True  # nothing is known of which output belongs to which id
    reached = np.abs(w.jacobian.reshape(samples, -1, len(w.numeric), w.numeric[0].size))
    reached = reached.max(axis=(1, 3)) > 1e-9 * reached.max()  # (samples, rows)
    return all(
        set(np.flatnonzero(reached[:, row])) <= set(uses.get(row, ()))
        for row in range(len(w.numeric))
    )


def _is_one_use(evidence: Evidence, w: Whole, rows: np.ndarray) -> bool:
    """Whether each of these rows has the gradient of one sample that uses it, alone."""
    if evidence.r.ndim == 0:
        return False
    parts, ours = _parts_of_rows(evidence, w), w.analytic.reshape(len(w.numeric), -1)
    return all(any(evidence.same(ours[k], part) for part in parts[:, k]) for k in rows)


def _are_parts(evidence: Evidence, w: Whole, rows: np.ndarray) -> bool:
    """Whether each of these rows holds some of its uses, and nothing else."""
    if evidence.r.ndim == 0:
        return True
    parts, ours = _parts_of_rows(evidence, w), w.analytic.reshape(len(w.numeric), -1)
    for k in rows:
        its = parts[np.abs(parts[:, k]).max(axis=1) > 0, k]  # (uses, D)
        if not ours[k].any() or _is_scaled(ours[k], its.sum(axis=0)):
            return False  # no use is left, or all are, with one factor
        if len(its) >= its.shape[1]:
            continue  # any row is a sum of this many
        weights = np.linalg.lstsq(its.T, ours[k], rcond=None)[0]
        off = np.abs(weights @ its - ours[k]).max(initial=0)
        if off > 1e-4 * np.abs(its).max(initial=0) or (weights > 1 + 1e-4).any():
            return False
    return True


def _is_scaled(ours: np.ndarray, right: np.ndarray) -> bool:
    """Whether two rows have one ratio that is not that of a use out of two, three, four."""
    if len(right) < 2 or not right.any():
        return False
    c = float(ours @ right) / float(right @ right)
    one_of = any(abs(c * n - 1) < 1e-4 for n in (2, 3, 4))
    return not one_of and bool(np.abs(ours - c * right).max() <= 1e-6 * np.abs(right).max())


def _parts_of_rows(evidence: Evidence, w: Whole) -> np.ndarray:
    """Return what each sample sends to each row (B, rows, D)."""
    samples, n = len(evidence.r), len(w.numeric)
    per_sample = evidence.r.reshape(samples, -1)
    outputs = w.jacobian.reshape(samples, per_sample.shape[1], n, -1)
    return np.einsum("bo,bond->bnd", per_sample, outputs)


def _uses(subject: Subject) -> Iterator[dict[int, list[int]]]:
    """Yield the bags in which each row is looked up, for each input that holds ids."""
    starts = (
        next((m.starts for _, m in subject.target.named_modules() if hasattr(m, "starts")), None)
        if isinstance(subject.target, Module)
        else None
    )
    values = [getattr(value, "sparse", value) for value in subject.inputs]
    for k, value in enumerate(values):
        found = _row_and_bag(value, starts, values[k + 1 :])
        if found is not None:
            uses: dict[int, list[int]] = {}
            for row, bag in zip(*(part.tolist() for part in found), strict=True):
                uses.setdefault(row, []).append(bag)
            yield uses


def _row_and_bag(value: Any, starts: Any, rest: list[Any]) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the row and the bag of each id of one input."""
    if isinstance(value, Jagged):
        bag = np.repeat(np.arange(len(value.offsets) - 1), np.diff(value.offsets))
        num_tables = 1 if starts is None else len(starts) - 1
        per_table = max(1, (len(value.offsets) - 1) // num_tables)
        shift = 0 if starts is None else np.asarray(starts)[bag // per_table]
        return value.values + shift, bag
    if not (isinstance(value, np.ndarray) and value.dtype.kind in "iu" and value.size):
        return None
    if value.ndim == 2 and starts is not None and len(starts) - 1 == value.shape[1]:
        return (value + np.asarray(starts)[:-1]).ravel(), np.arange(value.size)
    if value.ndim == 2:
        return value.ravel(), np.repeat(np.arange(len(value)), value.shape[1])
    offsets = next((v for v in rest if may_be_offsets(v, len(value))), None)
    if offsets is None:
        return value, np.arange(len(value))
    return value, np.searchsorted(offsets, np.arange(len(value)), side="right")


def _exchanged(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Two arrays have each other's gradient, and these are multiples: no factor is wrong."""
    if not any(_scale(evidence, w)):
        return
    for other in evidence.failed:
        whole = None if other == w.name or evidence.broken(other) else evidence.whole(other)
        if whole is None or not evidence.same(w.analytic, whole.numeric):
            continue
        if evidence.same(whole.analytic, w.numeric) and not evidence.same(w.numeric, -w.analytic):
            text = f"The gradient of {w.name} is the right one of {other}, and the other way round."
            yield make_cause("order", w.name, text, 0.96)


PLAIN = (_zero, _scale, _exchanged)
TESTS = (
    _transposed,
    _swapped,
    _samples,
    _broadcast,
    _shifted,
    _sum_over_axis,
    _one_part,
    _lost_uses,
)
