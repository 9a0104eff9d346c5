"""Hypotheses about the rows of a table that are used more than once: which of the uses count."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minidlrm.checking.catalogue import make_cause
from minidlrm.checking.evidence import TOL, Evidence, Whole
from minidlrm.checking.ids import may_be_offsets
from minidlrm.checking.report import Cause
from minidlrm.checking.subject import Subject
from minidlrm.data.batch import Jagged
from minidlrm.languages import Message
from minidlrm.module import Module, SparseGrad


def lost_uses(evidence: Evidence, w: Whole) -> Iterator[Cause]:
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
        rows_are = Message("One row is wrong, and it is looked up more than once ")
        if len(wrong) > 1:
            rows_are = Message(
                "{count} rows are wrong, and each of them is looked up more than once ",
                count=len(wrong),
            )
        if wrong <= inside and twice - inside:
            text = Message(
                "within one bag (row {row}); rows that are repeated across bags are right.",
                row=first,
            )
            yield make_cause("bag_repeat", w.name, rows_are + text, 0.97)
        else:
            text = Message(
                "(row {row}: {count} times); rows that are used once are right.",
                row=first,
                count=len(uses[first]),
            )
            yield make_cause("duplicates", w.name, rows_are + text, 0.965)
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


def last_use(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Of the outputs that use a row, the last alone sends its dy back: a write lost the others."""
    both = _of_a_table(evidence, w)
    if both is None:
        return
    rows = len(w.numeric)
    ours, theirs = (jac.reshape(len(jac), rows, -1) for jac in both)
    size = evidence.tol * np.abs(theirs).max(initial=0)
    samples = len(evidence.r)
    used, kept, right = (
        each.reshape(samples, -1, rows).any(axis=1)
        for each in (
            (np.abs(theirs) > size).any(axis=2),
            (np.abs(ours) > size).any(axis=2),
            (np.abs(ours) > size).any(axis=2) & (np.abs(ours - theirs) <= size).all(axis=2),
        )
    )
    wrong = used & ~kept
    lost = np.flatnonzero(wrong.any(axis=0))
    if not len(lost) or not (kept[:, lost].sum(axis=0) == 1).all() or (kept & ~right).any():
        return
    last = samples - 1 - used[::-1, lost].argmax(axis=0)
    if not kept[last, lost].all() or (len(np.unique(last)) < 2 and used.sum(axis=0).min() > 1):
        return
    text = Message(
        "{count} rows of {name} are used more than once, and of each of them only the last use is "
        "counted; rows that are used once are right.",
        count=len(lost),
        name=w.name,
    )
    yield make_cause("duplicates", w.name, text, 0.955)


def lost_counts(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """The same where the numbers are counts: an id may be used twice by one output."""
    both = _of_a_table(evidence, w)
    if both is None:
        return
    ours, theirs = (jac / np.abs(both[1]).max() for jac in both)
    if not evidence.same(np.round(theirs, 6), theirs) or not _is_count(ours) & _is_count(theirs):
        return
    wrong = (np.abs(ours - theirs) > 1e-6).any(axis=0)
    uses, kept = (_count_uses(jac) for jac in (theirs, ours))
    if not (wrong == (uses > 1)).all() or not (kept[wrong] == 1).all() or (uses == 1).sum() == 0:
        return
    text = Message(
        "{count} entries of {name} are used more than once, and of each of them one use alone is "
        "counted; those that are used once are right.",
        count=int(wrong.sum()),
        name=w.name,
    )
    yield make_cause("duplicates", w.name, text, 0.96)


def _of_a_table(evidence: Evidence, w: Whole) -> tuple[np.ndarray, np.ndarray] | None:
    """Return both Jacobians of an array that can be a table; None for another one."""
    both = evidence.jacobians(w)
    if both is None or w.numeric.ndim not in (1, 2) or len(both[0]) < 3:
        return None
    own_outputs = w.numeric.shape == evidence.r.shape  # each entry has one: no table
    return None if own_outputs else both


def _in_units(jac: np.ndarray) -> np.ndarray:
    """Return a Jacobian in units of its smallest number."""
    return jac / np.abs(jac[np.abs(jac) > 1e-9]).min(initial=1.0)


def _is_count(jac: np.ndarray) -> bool:
    whole = _in_units(jac)
    return bool((np.abs(whole - np.round(whole)) < 1e-6).all() and (whole > -1e-6).all())


def _count_uses(jac: np.ndarray) -> np.ndarray:
    return np.round(_in_units(jac)).sum(axis=0)


TESTS = (last_use, lost_counts)
