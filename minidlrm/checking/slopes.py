"""Hypotheses about the slope of a function that treats each entry by itself: its branches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb

import numpy as np

from minidlrm.checking.catalogue import make_cause
from minidlrm.checking.evidence import Evidence, Whole
from minidlrm.checking.report import Cause

FEW = 4  # entries: with fewer, many formulas fit


@dataclass(frozen=True)
class Slopes:
    """The factor in front of dy, entry by entry: ours and theirs, flat; y where it has them."""

    ours: np.ndarray
    theirs: np.ndarray
    x: np.ndarray
    y: np.ndarray | None


def slopes_of(evidence: Evidence, w: Whole) -> Slopes | None:
    """Of a function in which each entry reaches one output, as in a loss; None of any other."""
    both = evidence.jacobians(w)
    if both is None or w.numeric.size < 2:
        return None
    ours, theirs = both
    if len(theirs) == 1:
        return Slopes(ours[0], theirs[0], w.here.ravel(), None)
    sizes = np.maximum(*(np.abs(jac) / max(np.abs(jac).max(), 1e-300) for jac in both))
    its, entries = sizes.argmax(axis=0), np.arange(w.numeric.size)  # the output of each entry
    reached = sizes.max(axis=0) > evidence.tol
    sizes[its, entries] = 0
    if (sizes > evidence.tol).any():
        return None  # an entry reaches two outputs
    y = None
    if w.numeric.shape == evidence.r.shape:
        if (its != entries)[reached].any():
            return None
        its, y = entries, np.asarray(evidence.known["y"]).ravel()
    return Slopes(ours[its, entries], theirs[its, entries], w.here.ravel(), y)


def slope_forgotten(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Test a = c dy, where the slope of the function is not the same everywhere."""
    s = slopes_of(evidence, w)
    if s is None or s.y is None or not s.ours.any():
        return
    values = distinct(s.theirs)
    mask = len(values) == 2 and 0.0 in np.round(values, 9)  # then another word is plainer
    c = float(s.ours[0])
    if evidence.same(s.ours, np.full_like(s.ours, c)) and not evidence.same(s.ours, s.theirs):
        what = "dy itself" if abs(c - 1) <= evidence.tol else f"{c:.4g} times dy"
        text = f"The gradient of {w.name} is {what}, whatever {w.name} is."
        yield make_cause("slope_forgotten", w.name, text, 0.95 if mask else 0.965)


def slope_of_another_place(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Find a polynomial p with theirs = p(y) and ours = p(x): the formula wants the output."""
    s = slopes_of(evidence, w)
    if s is None or s.y is None or len(s.x) < 8:
        return
    for degree in (1, 2, 3):
        powers = np.vander(s.y, degree + 1)
        p = np.linalg.lstsq(powers, s.theirs, rcond=None)[0]
        if not evidence.same(powers @ p, s.theirs):
            continue
        if evidence.same(s.ours, np.vander(s.x, degree + 1) @ p):
            text = f"The slope is a formula of the output y; {w.name} is put into it."
            yield make_cause("slope_place", w.name, text, 0.95)
        return


def inverted(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Test a + n = c dy: the other branch, or 1 - slope."""
    s = slopes_of(evidence, w)
    if s is None or len(s.ours) < FEW:
        return
    total = s.ours + s.theirs
    c = float(total[0])
    if not c or not evidence.same(total, np.full_like(total, c)) or is_constant(s.theirs):
        return
    values = distinct(s.theirs)
    if len(values) == 2:
        text = f"Where the slope is {values[0]:.4g}, yours is {values[1]:.4g}, and the other way "
        text += "round: the branches are exchanged."
    else:
        text = f"Your slope is {c:.4g} less the right one, at every entry."
    yield make_cause("mask_inverted", w.name, text, 0.955)


def is_constant(a: np.ndarray) -> bool:
    """Whether all numbers are the same, up to the errors of differences."""
    return bool(np.ptp(a) <= 1e-6 * np.abs(a).max(initial=0))


def distinct(a: np.ndarray) -> list[float]:
    """Return the different values, the largest first, up to the errors of differences.

    Parameters
    ----------
    a : array (n,)
    """
    found: list[float] = []
    for value in a.tolist():
        if all(abs(value - v) > 1e-6 * max(np.abs(a).max(), 1e-300) for v in found):
            found.append(value)
    return sorted(found, reverse=True)


def branch(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Right on one side of a limit of x (or of another input), and wrong on the other."""
    s = slopes_of(evidence, w)
    if s is None or len(s.ours) < 6:
        return
    off = np.abs(s.ours - s.theirs) > evidence.tol * np.abs(s.theirs).max(initial=0)
    wrong, count = int(off.sum()), len(off)
    if not 0 < wrong < count or count - wrong < 2:
        return
    causes = list(_sides(evidence, w, s, off))
    yield from causes or _other_mask(evidence, w, s)


def _sides(evidence: Evidence, w: Whole, s: Slopes, off: np.ndarray) -> Iterator[Cause]:
    """Yield each array with a limit where the wrong entries end: by chance there may be two.

    Entries at which both slopes are 0 may lie on either side.
    """
    size = evidence.tol * np.abs(s.theirs).max(initial=0)
    live = (np.abs(s.ours) > size) | (np.abs(s.theirs) > size)
    asked = [(np.ones_like(live), "")]
    if not live.all() and (live & ~off).sum() > 1:
        asked.append((live, ", of those where it is not 0"))
    for some, words in asked:
        for name, values in _places(evidence, w):
            if words and len(np.unique(values)) != 2:
                continue  # of fewer entries, a limit is found by chance
            side = _side(values[some], off[some])
            if side:
                text = f"The gradient of {w.name} is wrong exactly where {name} {side}{words}. "
                text += f"There {_what_differs(evidence, s, off, w.name)}"
                score = 0.94 if comb(int(some.sum()), int(off.sum())) >= 50 else 0.9
                yield make_cause("branch", w.name, text, score)


def steps(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Both slopes take a few values: say which of ours stands where which is right."""
    s = slopes_of(evidence, w)
    if s is None or len(s.ours) < 6 or not s.ours.any():
        return
    right, ours = distinct(s.theirs), distinct(s.ours)
    if not (2 <= len(right) <= 3 and 2 <= len(ours) <= 3 and len(s.ours) >= 2 * len(right)):
        return
    size = evidence.tol * np.abs(s.theirs).max()
    pairs = []
    for value in right:
        mine = s.ours[np.abs(s.theirs - value) <= 10 * size]
        if len(mine) == 0 or np.ptp(mine) > 10 * size:
            return
        pairs.append((value, float(mine[0])))
    if any(abs(value) <= size and abs(mine) > size for value, mine in pairs):
        return  # a mask
    if np.ptp([value - mine for value, mine in pairs]) <= 10 * size:
        return  # one number is missing everywhere: a term
    text = ", ".join(f"{mine:.4g} where {value:.4g} is right" for value, mine in pairs)
    yield make_cause(
        "branch", w.name, f"The slope of {w.name} is one of few numbers: {text}.", 0.938
    )


def _other_mask(evidence: Evidence, w: Whole, s: Slopes) -> Iterator[Cause]:
    """Both slopes are 0 or one number, and at different places."""
    size = evidence.tol * np.abs(s.theirs).max()
    ours, theirs = (np.abs(slope) > size for slope in (s.ours, s.theirs))
    if not ((ours & ~theirs).any() and (theirs & ~ours).any() and (ours & theirs).any()):
        return
    both = np.concatenate([s.ours[ours], s.theirs[theirs]])
    if not evidence.same(both, np.full_like(both, both[0])):
        return
    text = f"Both gradients are 0 or {both[0]:.4g} dy. At {int((ours & ~theirs).sum())} entries "
    text += f"yours goes on where it must be 0, and at {int((theirs & ~ours).sum())} it is 0 where "
    yield make_cause("other_mask", w.name, text + "it must go on.", 0.9)


def _places(evidence: Evidence, w: Whole) -> Iterator[tuple[str, np.ndarray]]:
    """Yield what may decide between two branches: x itself, |x|, and other inputs of its shape."""
    yield w.name, w.here.ravel()
    yield f"|{w.name}|", np.abs(w.here.ravel())
    for name, value in {**evidence.known, **evidence.integers}.items():
        if name not in (w.name, "y") and value.shape == w.numeric.shape:
            yield name, value.astype(float).ravel()


def _side(values: np.ndarray, off: np.ndarray) -> str:
    """Say on which side of a limit the wrong ones lie; "" if there is no limit."""
    if len(np.unique(values)) == 2 and len(np.unique(values[off])) == 1:
        return f"is {values[off][0]:g}" if len(np.unique(values[~off])) == 1 else ""
    for high, word in ((off, "is above"), (~off, "is below")):
        low_end, high_end = values[~high].max(), values[high].min()
        if low_end < high_end:
            inside = low_end < 0 < high_end or low_end == 0 or high_end == 0
            limit = 0.0 if inside else (low_end + high_end) / 2
            return f"{word} {'' if inside else 'about '}{limit:.3g}"
    low_end, high_end = values[off].min(), values[off].max()
    if low_end < high_end and not ((values[~off] > low_end) & (values[~off] < high_end)).any():
        return f"is between {low_end:.3g} and {high_end:.3g}"
    return ""


def _what_differs(evidence: Evidence, s: Slopes, off: np.ndarray, name: str) -> str:
    ours, theirs = s.ours[off], s.theirs[off]
    size = evidence.tol * np.abs(s.theirs).max()
    if (np.abs(ours) <= size).all():
        return "it is 0, and should not be."
    if (np.abs(theirs) <= size).all():
        return "it should be 0."
    rest = theirs - ours
    if is_constant(rest):
        return f"{rest[0]:.4g} times dy is missing."
    both = np.abs(ours) > size
    if both.all() and is_constant(ours / theirs):
        return f"it is {ours[0] / theirs[0]:.4g} times the right one."
    k = int(np.argmax(np.abs(rest)))
    at = f"{name} = {s.x[off][k]:.3g}"
    return f"your slope is, for example, {ours[k]:.4g} at {at}, and should be {theirs[k]:.4g}."


def product_rule(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Test a = c y / x, and n - a = c y / x: one factor of a product is taken as constant."""
    s = slopes_of(evidence, w)
    if s is None or s.y is None or len(s.x) < FEW or (s.x == 0).any():
        return
    quotient = s.y / s.x
    if is_constant(quotient) or is_constant(s.theirs / np.where(quotient, quotient, np.inf)):
        return
    for mine, text in (
        (s.ours, f"it is that of {w.name} alone, and the other factor is taken as constant."),
        (s.theirs - s.ours, f"the part of {w.name} itself is missing."),
    ):
        c = float(mine @ quotient / max(quotient @ quotient, 1e-300))
        if abs(c - round(c)) < 1e-6 and round(c) and evidence.same(mine, c * quotient):
            words = f"The output is a product with {w.name}; of its derivative "
            yield make_cause("product_rule", w.name, words + text, 0.945)
            return


TESTS = (
    slope_forgotten,
    slope_of_another_place,
    inverted,
    branch,
    steps,
    product_rule,
)
