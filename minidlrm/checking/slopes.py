"""Hypotheses about the slope of a function that treats each entry by itself: its branches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb

import numpy as np

from minidlrm.checking.catalogue import make_cause
from minidlrm.checking.evidence import Evidence, Whole
from minidlrm.checking.report import Cause
from minidlrm.checking.words import in_words
from minidlrm.languages import Message, joined

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
        what = Message("{c} times dy", c=f"{c:.4g}")
        if abs(c - 1) <= evidence.tol:
            what = Message("dy itself")
        text = Message(
            "The gradient of {name} is {what}, whatever {name} is.", name=w.name, what=what
        )
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
            text = Message(
                "The slope is a formula of the output y; {name} is put into it.", name=w.name
            )
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
        text = Message(
            "Where the slope is {one}, yours is {other}, and the other way round: the branches are "
            "exchanged.",
            one=f"{values[0]:.4g}",
            other=f"{values[1]:.4g}",
        )
    else:
        text = Message("Your slope is {c} less the right one, at every entry.", c=f"{c:.4g}")
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
    asked: list[tuple[np.ndarray, str]] = [(np.ones_like(live), "")]
    if not live.all() and (live & ~off).sum() > 1:
        asked.append((live, Message(", of those where it is not 0")))
    for some, words in asked:
        for name, values in _places(evidence, w):
            if words and len(np.unique(values)) != 2:
                continue  # of fewer entries, a limit is found by chance
            side = _side(values[some], off[some])
            if side:
                text = Message(
                    "The gradient of {name} is wrong exactly where {what} {side}{words}. There "
                    "{differs}",
                    name=w.name,
                    what=in_words(name),
                    side=side,
                    words=words,
                    differs=_what_differs(evidence, s, off, w.name),
                )
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
    numbers = (
        Message("{ours} where {right} is right", ours=f"{mine:.4g}", right=f"{value:.4g}")
        for value, mine in pairs
    )
    text = Message(
        "The slope of {name} is one of few numbers: {numbers}.",
        name=w.name,
        numbers=joined(numbers, ", "),
    )
    yield make_cause("branch", w.name, text, 0.938)


def _other_mask(evidence: Evidence, w: Whole, s: Slopes) -> Iterator[Cause]:
    """Both slopes are 0 or one number, and at different places."""
    size = evidence.tol * np.abs(s.theirs).max()
    ours, theirs = (np.abs(slope) > size for slope in (s.ours, s.theirs))
    if not ((ours & ~theirs).any() and (theirs & ~ours).any() and (ours & theirs).any()):
        return
    both = np.concatenate([s.ours[ours], s.theirs[theirs]])
    if not evidence.same(both, np.full_like(both, both[0])):
        return
    text = Message(
        "Both gradients are 0 or {c} dy. At {more} entries yours goes on where it must be 0, and "
        "at {less} it is 0 where it must go on.",
        c=f"{both[0]:.4g}",
        more=int((ours & ~theirs).sum()),
        less=int((theirs & ~ours).sum()),
    )
    yield make_cause("other_mask", w.name, text, 0.9)


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
        if len(np.unique(values[~off])) > 1:
            return ""
        return Message("is {value}", value=f"{values[off][0]:g}")
    for high, above in ((off, True), (~off, False)):
        low_end, high_end = values[~high].max(), values[high].min()
        if low_end < high_end:
            inside = low_end < 0 < high_end or low_end == 0 or high_end == 0
            limit = 0.0 if inside else (low_end + high_end) / 2
            about = "" if inside else Message("about ")
            if above:
                return Message("is above {about}{limit}", about=about, limit=f"{limit:.3g}")
            return Message("is below {about}{limit}", about=about, limit=f"{limit:.3g}")
    low_end, high_end = values[off].min(), values[off].max()
    if low_end < high_end and not ((values[~off] > low_end) & (values[~off] < high_end)).any():
        return Message("is between {low} and {high}", low=f"{low_end:.3g}", high=f"{high_end:.3g}")
    return ""


def _what_differs(evidence: Evidence, s: Slopes, off: np.ndarray, name: str) -> str:
    ours, theirs = s.ours[off], s.theirs[off]
    size = evidence.tol * np.abs(s.theirs).max()
    if (np.abs(ours) <= size).all():
        return Message("it is 0, and should not be.")
    if (np.abs(theirs) <= size).all():
        return Message("it should be 0.")
    rest = theirs - ours
    if is_constant(rest):
        return Message("{c} times dy is missing.", c=f"{rest[0]:.4g}")
    both = np.abs(ours) > size
    if both.all() and is_constant(ours / theirs):
        return Message("it is {c} times the right one.", c=f"{ours[0] / theirs[0]:.4g}")
    k = int(np.argmax(np.abs(rest)))
    return Message(
        "your slope is, for example, {ours} at {place}, and should be {right}.",
        ours=f"{ours[k]:.4g}",
        place=f"{name} = {s.x[off][k]:.3g}",
        right=f"{theirs[k]:.4g}",
    )


def product_rule(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Test a = c y / x, and n - a = c y / x: one factor of a product is taken as constant."""
    s = slopes_of(evidence, w)
    if s is None or s.y is None or len(s.x) < FEW or (s.x == 0).any():
        return
    quotient = s.y / s.x
    if is_constant(quotient) or is_constant(s.theirs / np.where(quotient, quotient, np.inf)):
        return
    alone = Message(
        "The output is a product with {name}; of its derivative it is that of {name} alone, and "
        "the other factor is taken as constant.",
        name=w.name,
    )
    itself = Message(
        "The output is a product with {name}; of its derivative the part of {name} itself is "
        "missing.",
        name=w.name,
    )
    for mine, text in ((s.ours, alone), (s.theirs - s.ours, itself)):
        c = float(mine @ quotient / max(quotient @ quotient, 1e-300))
        if abs(c - round(c)) < 1e-6 and round(c) and evidence.same(mine, c * quotient):
            yield make_cause("product_rule", w.name, text, 0.945)
            return


TESTS = (
    slope_forgotten,
    slope_of_another_place,
    inverted,
    branch,
    steps,
    product_rule,
)
