"""Hypotheses about a factor in the derivative of each output by each entry.

Where y[b, k] depends on A[k, i, j], the derivative is a product, and its factors are entries of
arrays: x[b, i], x[b, j]. So each known array is laid along every choice of the axes of output and
entry that has its shape; where ours times it is the right derivative, that factor is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from minidlrm.checking.catalogue import make_cause
from minidlrm.checking.evidence import Evidence, Whole, derived_arrays
from minidlrm.checking.factors import times
from minidlrm.checking.report import Cause
from minidlrm.checking.slopes import is_constant, slopes_of
from minidlrm.checking.words import in_words
from minidlrm.languages import Message

_LEAST = 12  # derivatives that are not 0
_SAMPLE = 1500  # of which are looked at first
_MOST = 150  # layouts
_LETTERS = "bcdefg", "ijklmn"  # of the axes of the output, and of the array


@dataclass(frozen=True, eq=False)
class Laid:
    """An array along some axes of (outputs, entries): what it is called there, and its values."""

    array: str
    name: str
    values: np.ndarray


def factor_of_places(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Find an array that ours lacks, has too often, or has in the place of another."""
    both = evidence.jacobians(w)
    if both is None or w.rows is not None or evidence.r.ndim == 0:
        return
    if slopes_of(evidence, w) is not None:
        return  # entry by entry: `products` says it
    ours, theirs = both
    size = evidence.tol * np.abs(theirs).max(initial=0)
    live = np.flatnonzero((np.abs(ours) > size) | (np.abs(theirs) > size))
    if len(live) < _LEAST or evidence.same(ours, theirs):
        return
    live = live[:: max(1, len(live) // _SAMPLE)]
    mine, right = ours.ravel()[live], theirs.ravel()[live]
    laid = list(_layouts(evidence, w, live))
    what = Message(
        "the derivative of output [{axes}] by {entry}",
        axes=_axes(0, evidence.r.ndim),
        entry=f"{w.name}[{_axes(1, w.numeric.ndim)}]",
    )
    for each in laid:
        c = _multiple(mine * each.values, right, evidence.tol)
        if c:
            text = Message(
                "For {what}, yours lacks the factor {factor}.",
                what=what,
                factor=in_words(times(c, each.name)),
            )
            yield make_cause(_what_is_lacking(each.array), w.name, text, 0.92)
            return
        c = _multiple(right * each.values, mine, evidence.tol)
        if c:
            text = Message(
                "For {what}, yours has a factor {factor} that does not belong.",
                what=what,
                factor=in_words(times(c, each.name)),
            )
            yield make_cause("local_factor", w.name, text, 0.92)
            return
    yield from _in_the_place_of(evidence, w, mine, right, laid, what)


def _in_the_place_of(evidence, w, mine, right, laid, what) -> Iterator[Cause]:
    plain = [each for each in laid if each.array in evidence.known]
    for one in plain:
        for other in plain:
            if one is other:
                continue
            c = _multiple(mine * other.values, right * one.values, evidence.tol)
            if c and abs(c - 1) < 1e-6:
                text = Message(
                    "For {what}, yours has {ours} where {right} belongs.",
                    what=what,
                    ours=in_words(one.name),
                    right=in_words(other.name),
                )
                key = "transpose" if one.array == other.array else "operand"
                yield make_cause(key, w.name, text, 0.915)
                return


def _what_is_lacking(array: str) -> str:
    if array.endswith(" > 0)"):
        return "mask_forgotten"
    return "slope_forgotten" if "1 - " in array else "operand_left"


def _axes(side: int, count: int) -> str:
    return ", ".join(_LETTERS[side][:count])


def _multiple(ours: np.ndarray, theirs: np.ndarray, tol: float) -> float:
    """Return c with theirs = c ours; 0 where there is none, or both are 0."""
    square = float(ours @ ours)
    c = float(ours @ theirs) / square if square else 0.0
    fits = np.abs(c * ours - theirs).max() <= 10 * tol * np.abs(theirs).max()
    return c if fits and np.count_nonzero(theirs) >= _LEAST / 2 else 0.0


def _layouts(evidence: Evidence, w: Whole, live: np.ndarray) -> Iterator[Laid]:
    """Yield the known arrays, and functions of them, at the places that are looked at."""
    shape = (*evidence.r.shape, *w.numeric.shape)
    index = np.unravel_index(live, (evidence.r.size, w.numeric.size))
    places = (
        *np.unravel_index(index[0], evidence.r.shape),
        *np.unravel_index(index[1], w.numeric.shape),
    )
    letters = [_LETTERS[0][k] for k in range(evidence.r.ndim)]
    letters += [_LETTERS[1][k] for k in range(w.numeric.ndim)]
    count = 0
    for array, t in {**evidence.known, **dict(_functions(evidence))}.items():
        if t.ndim > 3 or not np.isfinite(t).all():
            continue
        for axes in permutations(range(len(shape)), t.ndim):
            if any(t.shape[k] != shape[axis] for k, axis in enumerate(axes)):
                continue
            values = t[tuple(places[axis] for axis in axes)]
            if is_constant(values) or count == _MOST:
                continue
            count += 1
            name = f"{array}[{', '.join(letters[axis] for axis in axes)}]"
            yield Laid(array, name, values)


def _functions(evidence: Evidence) -> Iterator[tuple[str, np.ndarray]]:
    for name, t in evidence.known.items():
        yield f"(1 - {name}^2)", 1 - t * t
        yield f"{name} (1 - {name})", t * (1 - t)
        yield f"({name} > 0)", (t > 0).astype(float)
    yield from derived_arrays(evidence)


def scaled_mask(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Each derivative is 0 where ours is not, or ours times one number: a mask is forgotten."""
    both = evidence.jacobians(w)
    if both is None or len(both[0]) < 2:
        return
    ours, theirs = both
    size = evidence.tol * np.abs(theirs).max(initial=0)
    there, mine = np.abs(theirs) > size, np.abs(ours) > size
    if (there & ~mine).any() or not (mine & ~there).any() or there.sum() < _LEAST:
        return
    if (there.sum(axis=1) <= 1).all():
        return  # of one entry, dy is spread over several
    ratio = theirs[there] / ours[there]
    if not is_constant(ratio) or abs(ratio[0] - 1) <= 1e-6:
        return
    text = Message(
        "{count} of the derivatives of the outputs by {name} must be 0, and all others are {c} "
        "times yours: a mask with that factor, as of dropout, is forgotten.",
        count=int((mine & ~there).sum()),
        name=w.name,
        c=f"{ratio[0]:.4g}",
    )
    yield make_cause("mask_forgotten", w.name, text, 0.93)


def groups(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Along an axis the entries meet in groups, and in ours they all meet."""
    both = evidence.jacobians(w)
    if both is None or w.rows is not None or w.numeric.shape != evidence.r.shape:
        return
    size = evidence.tol * np.abs(both[1]).max(initial=0)
    ours, theirs = ((np.abs(jac) > size).reshape(*w.numeric.shape * 2) for jac in both)
    for axis, length in enumerate(w.numeric.shape):
        mine, right = (_meet_along(jac, axis, w.numeric.ndim) for jac in (ours, theirs))
        count = right.sum(axis=1)
        if not mine.all() or not 1 < count[0] < length or (count != count[0]).any():
            continue
        if (right[right.argmax(axis=1)] == right).all():  # who meets is in one group
            text = Message(
                "Along axis {axis} of {name} the entries meet in groups of {count}; in the "
                "gradient all {length} of them meet: a sum or a mean runs too far.",
                axis=axis,
                name=w.name,
                count=count[0],
                length=length,
            )
            yield make_cause("axis", w.name, text, 0.92)
            return


def _meet_along(jac: np.ndarray, axis: int, ndim: int) -> np.ndarray:
    """Return which indices of an axis meet, of outputs and entries (n, n)."""
    rest = tuple(k for k in range(2 * ndim) if k not in (axis, axis + ndim))
    return np.any(jac, axis=rest)


def both_orders(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """The outputs (i, j) and (j, i) are one, and the dy of one of them is sent back twice."""
    both, shape = evidence.jacobians(w), evidence.r.shape
    if both is None or len(shape) < 2 or shape[-1] != shape[-2] or shape[-1] < 2:
        return
    ours, theirs = (jac.reshape(*shape, -1) for jac in both)
    turned = np.swapaxes(ours, len(shape) - 1, len(shape) - 2)
    for factor, words in (
        (2, Message("twice the dy of one of them")),
        (1, Message("the dy of one of them alone")),
    ):
        if evidence.same(ours + turned, factor * theirs) and not evidence.same(ours, theirs):
            text = Message(
                "The outputs [i, j] and [j, i] are one number. Yours sends back {what}; each "
                "belongs once: dy + dy^T. {name} is in both factors of a product.",
                what=words,
                name=w.name,
            )
            yield make_cause("second_path", w.name, text, 0.95)


TESTS = (both_orders, scaled_mask, groups, factor_of_places)
