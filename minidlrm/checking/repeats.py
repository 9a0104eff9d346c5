"""Hypotheses about the rows of a table that are used more than once: which of the uses count."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minidlrm.checking.catalogue import make_cause
from minidlrm.checking.evidence import Evidence, Whole
from minidlrm.checking.report import Cause


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
    text = f"{len(lost)} rows of {w.name} are used more than once, and of each of them only the "
    text += "last use is counted; rows that are used once are right."
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
    text = f"{int(wrong.sum())} entries of {w.name} are used more than once, and of each of them "
    text += "one use alone is counted; those that are used once are right."
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
