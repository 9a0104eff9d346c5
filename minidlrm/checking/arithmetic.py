"""Hypotheses about one wrong gradient, each tested by arithmetic on its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minidlrm.checking.catalogue import make_cause
from minidlrm.checking.evidence import TOL, Evidence, Whole, close
from minidlrm.checking.report import Cause
from minidlrm.checking.ids import may_be_offsets
from minidlrm.checking.subject import Subject
from minidlrm.data.batch import Jagged
from minidlrm.module import Module


def _zero(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    if not w.analytic.any() and w.numeric.any():
        yield make_cause("zero", w.name, f"Every entry of the gradient of {w.name} is 0.", 0.93)


def _scale(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Test a = c n, with one c for the whole array."""
    a, n = w.analytic.ravel(), w.numeric.ravel()
    if n.size < 2 and len(evidence.checks) == 1 and evidence.differences.output.ndim:
        return  # two numbers always have a ratio
    c = float(a @ n) / max(float(n @ n), 1e-300)
    if not close(a, c * n) or abs(c - 1) <= TOL:
        return
    ours = f"The gradient of {w.name} is {_ratio(c)} the right one"
    if abs(c + 1) <= TOL:
        yield make_cause("sign", w.name, f"{ours}.", 0.92)
        return
    sign = "with the wrong sign, " if c < 0 else ""
    size = abs(c)
    length = _named(evidence.lengths, size)
    inverse = _named(evidence.lengths, 1 / size)
    batch = float(evidence.batch_size)
    if abs(size - batch) <= TOL * size and batch > 1:
        yield make_cause("batch_missing", w.name, f"{ours}, {sign}and {length}.", 0.92)
        return
    if abs(1 / size - batch) <= TOL / size and batch > 1:
        yield make_cause("batch_twice", w.name, f"{ours}, {sign}and {inverse}.", 0.92)
        return
    alone = len(evidence.failed) < len(evidence.checks) and w.name in evidence.subject.parameters
    if abs(c - 2) <= TOL:
        yield make_cause("added_twice", w.name, f"{ours}.", 0.91 if alone else 0.6)
    note = f", and that is {length}" if length else ""
    note = f", and 1/{1 / size:g} is one over {inverse}" if inverse else note
    yield make_cause("factor", w.name, f"{ours}, {sign}with no exception{note}.", 0.9)


def _named(lengths: dict[float, str], size: float) -> str:
    return next((text for n, text in lengths.items() if abs(n - size) <= TOL * size), "")


def _ratio(c: float) -> str:
    if abs(c) >= 1:
        return f"{c:.6g} times"
    return f"{'-' if c < 0 else ''}1/{1 / abs(c):.6g} of"


def _transposed(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    n = w.numeric
    square = n.ndim == 2 and n.shape[0] == n.shape[1] > 1
    if square and close(w.analytic, n.T) and not close(n, n.T):
        yield make_cause("transpose", w.name, "It equals the transpose of the right one.", 0.95)


def _swapped(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """The gradient of one array is that of another."""
    for other in evidence.failed:
        if other != w.name and evidence.subject.arrays[other].shape == w.value.shape:
            whole = evidence.whole(other)
            if whole is not None and close(w.analytic, whole.numeric):
                text = f"The gradient of {w.name} is the right one of {other}."
                yield make_cause("operand", w.name, text, 0.95)


def _one_sample(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    batch = evidence.batch_size
    if batch < 2 or evidence.r.ndim == 0 or w.name not in evidence.subject.parameters:
        return
    per_sample = evidence.r.reshape(batch, -1)  # (B, outputs of one)
    outputs = w.jacobian.reshape(batch, per_sample.shape[1], -1)
    parts = np.einsum("bo,boi->bi", per_sample, outputs)  # (B, entries)
    flat = w.analytic.ravel()
    for sample in range(batch):
        if parts[sample].any() and close(flat, parts[sample]) and len(flat) > 1:
            text = f"It is the part of sample {sample} alone; there are {batch}."
            yield make_cause("one_sample", w.name, text, 0.95)
            return


def _broadcast(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """One number everywhere: the sum of all."""
    flat = w.analytic.ravel()
    if flat.size > 1 and flat.any() and np.ptp(flat) <= TOL * abs(flat[0]):
        same = abs(flat[0] - w.numeric.sum()) <= TOL * max(abs(flat[0]), 1e-300)
        what = "the sum of the right ones" if same else f"{flat[0]:.4g}"
        yield make_cause("broadcast", w.name, f"Every entry is {what}.", 0.94 if same else 0.5)


def _regularized(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Test n - a = c x: a penalty c x^2 / 2 of the array itself has no gradient."""
    rest, x = (w.numeric - w.analytic).ravel(), w.here.ravel()
    if x.size < 2 or not x.any():
        return
    c = float(rest @ x) / float(x @ x)
    penalty = c / float(evidence.r) if evidence.r.ndim == 0 else c
    if penalty > 0 and close(rest, c * x) and w.analytic.any():
        text = f"What is missing from the gradient of {w.name} is {penalty:.6g} times {w.name}"
        text += " itself" + (", times dy." if evidence.r.ndim == 0 else ".")
        yield make_cause("regularization", w.name, text, 0.94)


def _with_itself(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Test n - a = -dy_b x_b: each sample's vector times dy is too much in the gradient."""
    r, n = evidence.r, w.numeric
    if r.ndim != 1 or n.ndim < 2 or len(n) != len(r) or w.rows is not None:
        return
    excess = (w.analytic - n).reshape(len(r), -1)
    if close(excess, r[:, None] * w.here.reshape(len(r), -1)):
        text = f"What is too much in the gradient of {w.name} is dy times {w.name} itself."
        yield make_cause("self_term", w.name, text, 0.95)


def _straight_path(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Test n - a = dy: y = f(x) + x, and the second x has no gradient."""
    r = evidence.r
    same_shape = r.ndim and r.shape == w.numeric.shape
    if same_shape and w.analytic.any() and close(w.numeric - w.analytic, r):
        text = f"What is missing from the gradient of {w.name} is dy itself: {w.name} is also "
        yield make_cause("second_path", w.name, text + "added to the output as it is.", 0.95)


def _one_part(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Right in one row or column, zero elsewhere."""
    if w.numeric.ndim < 2 or not w.analytic.any():
        return
    for axis in range(w.numeric.ndim):
        others = tuple(k for k in range(w.numeric.ndim) if k != axis)
        alive = np.flatnonzero(np.abs(w.analytic).max(axis=others) > 0)
        wanted = np.flatnonzero(np.abs(w.numeric).max(axis=others) > 0)
        if len(alive) == 1 and len(wanted) > 1:
            right = close(w.analytic.take(alive[0], axis), w.numeric.take(alive[0], axis))
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
        if not wrong or not wrong <= twice:
            continue
        # without a row that is used once, or a table's form, nothing else tells them apart
        plain = w.numeric.ndim == 2 and len(twice) < len(uses)
        if not plain and not _is_one_use(evidence, w, np.flatnonzero(off)):
            continue
        first = min(wrong)
        text = f"{len(wrong)} rows are wrong, and each of them is looked up more than once "
        if len(wrong) == 1:
            text = "One row is wrong, and it is looked up more than once "
        if wrong <= inside and twice - inside:
            text += f"within one bag (row {first}); rows that are repeated across bags are right."
            yield make_cause("bag_repeat", w.name, text, 0.95)
        else:
            text += f"(row {first}: {len(uses[first])} times); rows that are used once are right."
            yield make_cause("duplicates", w.name, text, 0.94)
        return


def _is_one_use(evidence: Evidence, w: Whole, rows: np.ndarray) -> bool:
    """Whether each of these rows has the gradient of one sample that uses it, alone."""
    if evidence.r.ndim == 0:
        return False
    samples, n = len(evidence.r), len(w.numeric)
    per_sample = evidence.r.reshape(samples, -1)
    outputs = w.jacobian.reshape(samples, per_sample.shape[1], n, -1)
    parts = np.einsum("bo,bond->bnd", per_sample, outputs)  # (B, rows, D)
    ours = w.analytic.reshape(n, -1)
    return all(any(close(ours[k], part) for part in parts[:, k]) for k in rows)


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


def _paired(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Outputs matched to each other: backward(e_k) is the derivative of another output."""
    ours = evidence.analytic_jacobian(w)
    if ours is None:
        return
    theirs = w.jacobian.reshape(len(ours), -1)
    partner = [next((j for j, row in enumerate(theirs) if close(mine, row)), -1) for mine in ours]
    moved = [k for k, j in enumerate(partner) if j not in (-1, k)]
    if -1 not in partner and moved and len(set(partner)) == len(partner):
        k = moved[0]
        text = (
            f"The entry {k} of dy goes where output {partner[k]} belongs; {len(moved)} are moved."
        )
        yield make_cause("pairing", w.name, text, 0.95)


def _part_missing(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """In the derivative of each output some entries are right, and the others are 0."""
    ours = evidence.analytic_jacobian(w)
    if ours is None:
        return
    theirs = w.jacobian.reshape(len(ours), -1)
    size = np.abs(theirs).max(initial=0)
    right, zero = np.abs(ours - theirs) <= TOL * size, np.abs(ours) <= TOL * size
    there = np.abs(theirs) > TOL * size
    if (right | zero).all() and (right & there).any() and (zero & there).any():
        share = (zero & there).sum() / there.sum()
        text = (
            f"Of the derivatives of the outputs by {w.name}, {share:.0%} are 0 and should not be; "
        )
        yield make_cause("part_missing", w.name, text + "all others are right.", 0.8)


def _matrix_transposed(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """For each sample, the analytic Jacobian is the transpose of the right one."""
    ours, shape = evidence.analytic_jacobian(w), evidence.r.shape
    if ours is None or len(shape) != 2 or w.numeric.shape != shape or shape[1] < 2:
        return
    (batch, n), sample = shape, np.arange(shape[0])
    blocks = (batch, n, batch, n)
    mine, right = (j.reshape(blocks)[sample, :, sample] for j in (ours, w.jacobian))  # (B, n, n)
    if close(mine, right.transpose(0, 2, 1)) and not close(mine, right):
        text = "Where the gradient needs a matrix, its transpose is used: for each sample the "
        text += "derivatives of output i by input j and of output j by input i are exchanged."
        yield make_cause("transpose", w.name, text, 0.95)


TESTS = (
    _zero,
    _scale,
    _transposed,
    _swapped,
    _one_sample,
    _broadcast,
    _regularized,
    _with_itself,
    _straight_path,
    _one_part,
    _lost_uses,
    _matrix_transposed,
    _part_missing,
    _paired,
)
