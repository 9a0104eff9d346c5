"""Hypotheses about a factor that differs: from row to row, from entry to entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np

from minidlrm.checking.catalogue import make_cause
from minidlrm.checking.evidence import Evidence, Whole
from minidlrm.checking.report import Cause
from minidlrm.checking.slopes import FEW, distinct, is_constant, slopes_of
from minidlrm.checking.words import in_words
from minidlrm.languages import Message


def row_factor(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Each index of one axis is right up to a factor of its own."""
    n, a = w.numeric, w.analytic
    if n.ndim < 2:
        yield from _by_count(evidence, w)
        return
    for axis in range(n.ndim):
        theirs = np.moveaxis(n, axis, 0).reshape(n.shape[axis], -1)
        ours = np.moveaxis(a, axis, 0).reshape(n.shape[axis], -1)
        live = np.abs(theirs).max(axis=1) > evidence.tol * np.abs(theirs).max()
        if theirs.shape[1] < 2 or live.sum() < 2:
            continue
        c = (ours * theirs).sum(axis=1)[live] / (theirs * theirs).sum(axis=1)[live]
        fits = evidence.same(ours[live], c[:, None] * theirs[live]) and not is_constant(c)
        if fits and (np.abs(ours[~live]) <= evidence.tol * np.abs(theirs).max()).all():
            yield _named_row_factor(evidence, w, axis, np.flatnonzero(live), c)
            return


def _by_count(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Of a vector: each number is right up to how often its row is used."""
    live = np.flatnonzero(np.abs(w.numeric) > evidence.tol * np.abs(w.numeric).max(initial=0))
    if w.numeric.ndim != 1 or len(live) < 3 or w.analytic[w.numeric == 0].any():
        return
    c = w.analytic[live] / w.numeric[live]
    ids = (
        "" if is_constant(c) else _counted_by(evidence, live if w.rows is None else w.rows[live], c)
    )
    if ids:
        text = Message(
            "The factor of each entry of {name} goes by how often it occurs in {ids}: {numbers}.",
            name=w.name,
            ids=ids,
            numbers=", ".join(f"{value:.4g}" for value in c[:4]),
        )
        yield make_cause("count", w.name, text, 0.97)


def _named_row_factor(evidence, w, axis, live, c) -> Cause:
    shown = ", ".join(f"{value:.4g}" for value in c[:4]) + (", ..." if len(c) > 4 else "")
    text = Message(
        "Along axis {axis} of {name} each index is right up to a factor of its own: {numbers}.",
        axis=axis,
        name=w.name,
        numbers=shown,
    )
    rows = live if w.rows is None or axis else w.rows[live]
    ids = _counted_by(evidence, rows, c) if axis == 0 else ""
    if ids:
        text = Message(
            "The factor of each row goes by how often it occurs in {ids}: {numbers}.",
            ids=ids,
            numbers=shown,
        )
        return make_cause("count", w.name, text, 0.975)
    if set(np.round(c, 6).tolist()) == {0.0, 1.0}:
        gone = rows[np.abs(c) < 1e-6][:4].tolist()
        text = Message(
            "Along axis {axis} of {name} index {k} is 0; all others are right.",
            axis=axis,
            name=w.name,
            k=gone,
        )
        return make_cause("part_missing", w.name, text, 0.9)
    name = _name_factor(evidence, w, axis, live, c)
    if name:
        text += Message(" It is {what}.", what=in_words(name))
        return make_cause("row_factor", w.name, text, 0.945)
    return make_cause("row_factor", w.name, text, 0.88)


def _counted_by(evidence: Evidence, rows: np.ndarray, c: np.ndarray) -> str:
    """Name the ids whose counts are the factors of the rows; "" if there are none."""
    for name, ids in evidence.integers.items():
        if ids.min(initial=0) < 0:
            continue
        counts = np.bincount(ids.ravel(), minlength=int(rows.max()) + 1)[rows]
        used_twice = (counts > 0).all() and len(np.unique(counts)) > 1
        powers = (counts, np.sqrt(counts), counts.astype(float) ** 2)
        if used_twice and any(np.allclose(c * k, 1) or np.allclose(c, k) for k in powers):
            return name
    return ""


def _name_factor(evidence: Evidence, w: Whole, axis: int, live: np.ndarray, c: np.ndarray) -> str:
    """Name a number that each index has: of an input, the output, or sums and norms of them."""
    length = w.numeric.shape[axis]
    for name, value in evidence.known.items():
        for what, numbers in _numbers_of(name, value, axis, length):
            found = _is_multiple(c, numbers[live], evidence.tol)
            if found:
                return found.replace("¤", what)
    return ""


def _numbers_of(name, value, axis, length) -> Iterator[tuple[str, np.ndarray]]:
    if value.size == length:
        yield name, value.ravel()
    elif value.ndim > axis and value.shape[axis] == length:
        others = tuple(k for k in range(value.ndim) if k != axis)
        yield f"(the sum of {name})", value.sum(axis=others)
        yield f"(the norm of {name})", np.sqrt((value**2).sum(axis=others))
        yield f"(the deviation of {name})", value.std(axis=others)
        yield f"(the largest of {name})", value.max(axis=others)


_FORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "¤": lambda t: t,
    "1 - ¤": lambda t: 1 - t,
    "1 + ¤": lambda t: 1 + t,
    "¤^2": lambda t: t * t,
    "¤^3": lambda t: t**3,
    "¤ (1 - ¤)": lambda t: t * (1 - t),
    "1 - ¤^2": lambda t: 1 - t * t,
    "1 + ¤^2": lambda t: 1 + t * t,
    "(1 - ¤^2) / (1 + ¤^2)": lambda t: (1 - t * t) / (1 + t * t),
    "|¤|": np.abs,
    "sign ¤": np.sign,
    "exp(¤)": np.exp,
    "cos ¤": np.cos,
    "sin ¤": np.sin,
}


_SHARES = ("1 - ¤", "¤ (1 - ¤)")
_BOUNDED = (*_SHARES, "1 + ¤", "1 - ¤^2")


def times(c: float, text: str) -> str:
    """Write a multiple of what has a name.

    Parameters
    ----------
    c : float
    text : str

    Examples
    --------
    >>> times(1.0, "x"), times(-1.0, "x"), times(0.5, "1 / x")
    ('x', '-x', '0.5 / x')
    """
    if abs(abs(c) - 1) < 1e-4:
        return text if c > 0 else f"-{text}"
    return f"{c:.4g}{text[1:]}" if text.startswith("1 / ") else f"{c:.4g} * {text}"


def _is_multiple(k: np.ndarray, t: np.ndarray, tol: float) -> str:
    """Say which form of t, or one over it, is a multiple of k; "" if none."""
    if len(k) < 3:
        return ""
    with np.errstate(all="ignore"):
        for form, function in _FORMS.items():
            if form in _BOUNDED and not _may_be_in(form, t):
                continue  # 1 - t of a number beyond 1 is no factor: two terms were added
            f = function(t)
            for value, text in (
                (f, form),
                (1 / f, f"1 / {form}" if " " not in form else f"1 / ({form})"),
            ):
                if not np.isfinite(value).all() or is_constant(value):
                    continue
                c = float(k @ value / (value @ value))
                if np.abs(k - c * value).max() <= 10 * tol * np.abs(k).max():
                    return times(c, text)
                square = k * k
                c = float(square @ value / (value @ value))
                if np.abs(square - c * value).max() <= 20 * tol * np.abs(square).max():
                    return times(c**0.5, f"the root of {text}")
    return ""


def _may_be_in(form: str, t: np.ndarray) -> bool:
    """Whether 1 - t or 1 + t may be a factor: of shares, or of numbers that are never negative."""
    if form == "1 + ¤" and t.min() >= 0:
        return True
    return bool(np.abs(t).max() <= 1 and (form not in _SHARES or t.min() >= 0))


def local_factor(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Ours is the right one times a formula of an array: a factor is missing, or too much."""
    for k, shape, where in _ratios(evidence, w):
        live = np.isfinite(k)
        if live.sum() < FEW or len(distinct(np.abs(k[live]))) <= 2:
            continue  # what changes from branch to branch, or class to class, is not a factor
        for name, t in _candidates(evidence, w, shape):
            form = _is_multiple(k[live], t.ravel()[live], evidence.tol)
            if form and not _is_two_valued(t, live):
                text = Message(
                    "{where}, yours is the right one times {factor}. So a factor is missing, or "
                    "is there once too often.",
                    where=where,
                    factor=in_words(form.replace("¤", name)),
                )
                yield make_cause("local_factor", w.name, text, 0.935)
                return
    yield from _slope_as_factor(evidence, w)


def _is_two_valued(t: np.ndarray, live: np.ndarray) -> bool:
    """Whether an array is a mask or a label, or a function of it: it decides, and is no factor."""
    return len(np.unique(t.ravel()[live])) <= 2


def sign_by_entry(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Yours is plus or minus the right one."""
    a, n = w.analytic.ravel(), w.numeric.ravel()
    same, other = (np.abs(a - sign * n) <= evidence.tol * np.abs(n).max() for sign in (1, -1))
    if n.size < FEW or not (same | other).all() or same.all() or other.all():
        return
    text = Message(
        "Each entry of the gradient of {name} is right up to its sign; {some} of {count} have the "
        "other one: a factor of 1 or -1, such as a sign or a label, is missing, or is there too "
        "much.",
        name=w.name,
        some=int((~same).sum()),
        count=n.size,
    )
    yield make_cause("local_factor", w.name, text, 0.895)


def _slope_as_factor(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Ours is a power of the right slope."""
    s = slopes_of(evidence, w)
    if s is None or s.y is None or not (s.theirs > 0).all() or not (s.ours > 0).all():
        return
    if len(s.ours) < FEW or is_constant(s.theirs):
        return
    for power, what in (
        (2, Message("the square of the slope")),
        (-1, Message("1 over the slope")),
        (0.5, Message("its root")),
    ):
        if evidence.same(s.ours, s.theirs**power):
            text = Message("At each entry your factor is {what}.", what=what)
            yield make_cause("local_factor", w.name, text, 0.94)


def _ratios(evidence: Evidence, w: Whole) -> Iterator[tuple[np.ndarray, tuple[int, ...], str]]:
    """Yield a factor for each entry, and one for each output: nan where both are 0."""
    both = evidence.jacobians(w)
    if both is None:
        both = w.analytic.reshape(1, -1), w.numeric.reshape(1, -1)
    k = _ratio_of_rows(both[0].T, both[1].T, evidence.tol)
    if k is not None:
        yield k, w.numeric.shape, Message("At each entry of {name}", name=w.name)
    k = _ratio_of_rows(*both, evidence.tol) if len(both[0]) > 1 else None
    if k is not None:
        yield k, evidence.r.shape, Message("For the dy of each output")


def _ratio_of_rows(ours: np.ndarray, theirs: np.ndarray, tol: float) -> np.ndarray | None:
    """Return c with ours[i] = c[i] theirs[i]; None where it is not so."""
    square = (theirs * theirs).sum(axis=1)
    live = np.abs(theirs).max(axis=1) > tol * np.abs(theirs).max(initial=0)
    c = np.full(len(ours), np.nan)
    c[live] = (ours * theirs).sum(axis=1)[live] / square[live]
    rest = ours - np.where(live, np.nan_to_num(c), 0)[:, None] * theirs
    limit = 10 * tol * np.maximum(np.abs(ours).max(axis=1), 1e-3 * np.abs(ours).max(initial=0))
    return c if (np.abs(rest) <= limit[:, None]).all() else None


def _candidates(evidence: Evidence, w: Whole, shape: tuple[int, ...]):
    """Yield arrays that fit the shape, and the usual functions of x."""
    for name, value in evidence.known.items():
        fitted = _fitted(value, shape)
        if fitted is not None:
            yield name, fitted
    for name, value in evidence.known.items():
        if name in evidence.subject.arrays and value.shape == shape:
            with np.errstate(all="ignore"):
                yield f"sigmoid({name})", 1 / (1 + np.exp(-value))
                yield f"tanh({name})", np.tanh(value)
                if value.ndim > 1:
                    e = np.exp(value - value.max(axis=-1, keepdims=True))
                    yield f"softmax({name})", e / e.sum(axis=-1, keepdims=True)
    same = [(n, v) for n, v in evidence.known.items() if v.shape == shape]
    for (m, u), (n, v) in combinations(same, 2):
        yield f"({m} {n})", u * v
        yield f"({m} - {n})", u - v


def _fitted(value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """Spread an array over a shape, as NumPy would, or along the leading axes."""
    for form in (value, value.reshape(value.shape + (1,) * (len(shape) - value.ndim))):
        try:
            return np.broadcast_to(form, shape)
        except ValueError:
            continue
    return None


def epsilon(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """The factor is that of an epsilon outside a root that belongs inside it, or is left out."""
    for k, shape, _ in _ratios(evidence, w):
        live = np.isfinite(k)
        if live.sum() < 3 or is_constant(k[live] - 1) or len(shape) != w.here.ndim:
            continue
        for square in _squares(w.here, shape):
            e = _epsilon(k[live], square.ravel()[live], evidence.tol)
            if e:
                text = Message(
                    "Each number is off by a factor near 1, as if an epsilon of {epsilon} stood at "
                    "another place in the root than in forward (outside, or left out).",
                    epsilon=f"{e:.3g}",
                )
                yield make_cause("epsilon", w.name, text, 0.96)
                return


def _squares(x: np.ndarray, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    if x.shape != shape:
        return
    yield x * x
    for axis in range(x.ndim):
        for value in (
            x.var(axis=axis, keepdims=True),
            (x * x).mean(axis=axis, keepdims=True),
            (x * x).sum(axis=axis, keepdims=True),
        ):
            yield np.broadcast_to(value, shape)


def _epsilon(k: np.ndarray, s: np.ndarray, tol: float) -> float:
    """Return the e for which k is a known wrong form of sqrt(s + e); 0 if there is none."""
    if is_constant(s) or (s <= 0).any():
        return 0.0
    forms = (
        lambda e: np.sqrt(s + e) / (np.sqrt(s) + e),
        lambda e: np.sqrt(s + e) / np.sqrt(s),
        lambda e: (s + e) / s,
        lambda e: np.sqrt(s + e) / np.sqrt(s + e * e),
    )
    j = int(np.argmax(np.abs(k - 1)))
    steps = np.logspace(-12, 0, 121)
    for form in forms:
        for target in (k, 1 / k):
            off = np.array([form(e)[j] - target[j] for e in steps])
            for at in np.flatnonzero(np.sign(off[:-1]) != np.sign(off[1:])):
                e = _bisected(lambda e: form(e)[j] - target[j], steps[at], steps[at + 1])  # noqa: B023
                if np.abs(form(e) - target).max() <= max(1e-5 * np.abs(target - 1).max(), 1e-12):
                    return e
    return 0.0


def _bisected(f, low: float, high: float) -> float:
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if f(middle) * f(low) > 0 else (low, middle)
    return (low + high) / 2


TESTS = (row_factor, local_factor, sign_by_entry, epsilon)
