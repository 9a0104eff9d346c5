"""Hypotheses about a number that comes from many entries: a mean, a variance, a norm, a maximum."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minidlrm.checking.catalogue import make_cause
from minidlrm.checking.evidence import Evidence, Whole
from minidlrm.checking.jacobians import joined_axes, shared_axes
from minidlrm.checking.report import Cause
from minidlrm.checking.words import in_words
from minidlrm.languages import Message


def statistic(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """What is missing goes through one or two numbers that come from many entries."""
    both = evidence.jacobians(w)
    if both is None or w.numeric.shape != evidence.r.shape or w.numeric.size < 3:
        return
    axes = shared_axes(evidence, w)
    theirs = joined_axes(both[1], evidence, w, axes)
    if not theirs or joined_axes(both[0], evidence, w, axes) - theirs:
        return
    mine, right, values = (_blocks(a, evidence, theirs) for a in (*both, w.here))
    rest = right - mine  # (groups, n, n)
    rank = _rank(rest, evidence.tol * np.abs(right).max())
    filled = np.mean(np.abs(rest) > evidence.tol * np.abs(rest).max())
    n = rest.shape[1]
    if not 1 <= rank <= min(2, n - 2):
        return
    name = _name(rest, values)
    if filled < 0.3 and "entry" not in name:
        return
    along = Message("over the whole array")
    if len(theirs) < w.numeric.ndim:
        along = Message("along axis {axis}", axis=min(theirs))
    constant = not (np.abs(mine) * ~np.eye(n, dtype=bool) > evidence.tol * np.abs(mine).max()).any()
    if rank == 1:
        formula = _rank_one(evidence, rest, theirs)
        if formula:
            text = Message(
                "Right minus yours is, {along}, {formula}.", along=along, formula=in_words(formula)
            )
            yield make_cause("term", w.name, text, 0.915)
            return
    text = Message(
        "What is wrong goes through {what} taken {along}: it depends on every entry of {name} "
        "there, ",
        what=name or Message("a number"),
        along=along,
        name=w.name,
    )
    text += (
        Message("and is treated as a constant.")
        if constant
        else Message("and its path is missing, or scaled.")
    )
    yield make_cause("statistic", w.name, text, 0.91 if name else 0.78)


def _rank_one(evidence: Evidence, rest: np.ndarray, axes: set[int]) -> str:
    """Write u v^T of each group as a known form times the sum of dy times another."""
    u, v = [], []
    for block in rest:
        left, sizes, right = np.linalg.svd(block)
        k = int(np.argmax(np.abs(right[0])))
        u.append(left[:, 0] * sizes[0] * right[0][k])
        v.append(right[0] / right[0][k])
    found = []
    for vectors in (np.array(u), np.array(v)):
        names = (_form_of(vectors, _blocks(t, evidence, axes), n) for n, t in _same(evidence))
        found.append(next((name for name in names if name), ""))
    if not all(found) or not any("1 - " in name for name in found):
        return ""
    return f"({found[1]}) times the sum of dy ({found[0]})"


def _same(evidence: Evidence) -> Iterator[tuple[str, np.ndarray]]:
    for name, value in evidence.known.items():
        if value.shape == evidence.r.shape:
            yield name, value


def _form_of(vectors: np.ndarray, t: np.ndarray, name: str) -> str:
    """Name a form of t that each group's vector is a multiple of."""
    for form, value in (("¤", t), ("1 - ¤", 1 - t), ("¤ (1 - ¤)", t * (1 - t)), ("¤^2", t * t)):
        c = (vectors * value).sum(axis=1) / np.maximum((value * value).sum(axis=1), 1e-300)
        if np.abs(vectors - c[:, None] * value).max() <= 1e-6 * np.abs(vectors).max():
            return form.replace("¤", name)
    return ""


def _blocks(a: np.ndarray, evidence: Evidence, axes: set[int]) -> np.ndarray:
    """Cut into groups whose entries meet along the axes: (groups, n) or (groups, n, n)."""
    shape = evidence.r.shape
    last = sorted(axes)
    first = [k for k in range(len(shape)) if k not in axes]
    n = int(np.prod([shape[k] for k in last]))
    if a.size == evidence.r.size:
        return a.reshape(shape).transpose(first + last).reshape(-1, n)
    full = a.reshape(*shape, *shape)
    order = first + last
    full = full.transpose(order + [k + len(shape) for k in order])
    groups = evidence.r.size // n
    full = full.reshape(groups, n, groups, n)
    return full[np.arange(groups), :, np.arange(groups)]


def _rank(blocks: np.ndarray, size: float) -> int:
    return max(int((np.linalg.svd(block, compute_uv=False) > 10 * size).sum()) for block in blocks)


def _name(rest: np.ndarray, values: np.ndarray) -> str:
    """Name the numbers of the entries by their own derivative: ones, x, or x less its mean."""
    names = {
        Message("a mean or sum"): np.ones_like(values),
        Message("a variance"): values - values.mean(axis=1, keepdims=True),
        Message("a norm or a sum of squares"): values,
        Message("the largest entry"): values == values.max(axis=1, keepdims=True),
        Message("the smallest entry"): values == values.min(axis=1, keepdims=True),
    }
    found = [name for name, rows in names.items() if _spans(rest, rows.astype(float))]
    if len(found) > 1:
        return Message("{one} and {other}", one=found[0], other=found[1])
    return found[0] if found else ""


def _spans(rest: np.ndarray, rows: np.ndarray) -> bool:
    """Whether each row lies in the space that its block's rows span."""
    for block, row in zip(rest, rows, strict=True):
        _, sizes, right = np.linalg.svd(block)
        basis = right[sizes > 1e-6 * sizes.max()]
        if np.abs(row - (row @ basis.T) @ basis).max() > 1e-4 * max(np.abs(row).max(), 1e-300):
            return False
    return True


TESTS = (statistic,)
