"""Hypotheses about a function that treats each entry by itself: which products give its slope.

The slope of such a function is a sum of products of simple functions: p, 1 - p, log p, exp x.
Where right minus yours is one such product, that term is missing; where their ratio is one, a
factor is. A product has one free number, and must fit every entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement, zip_longest

import numpy as np

from minidlrm.checking.catalogue import make_cause
from minidlrm.checking.evidence import Evidence, Whole
from minidlrm.checking.factors import times
from minidlrm.checking.report import Cause
from minidlrm.checking.slopes import is_constant, slopes_of
from minidlrm.checking.words import in_words
from minidlrm.languages import Message

_LEAST = 4  # entries: with fewer, many products fit
_MOST_ENTRIES = 200
_MOST_BASES = 5
_MOST_FORMS = 48
LEAST_OF_TWO = 8  # entries, where a sum of two products is asked for
_MOST_OF_TWO = 26  # forms of which a sum is made


@dataclass(frozen=True)
class Product:
    """A product of simple functions: its factors, and its multiple."""

    factors: tuple[str, ...]
    times: float

    def __str__(self) -> str:
        return times(self.times, " ".join(map(_bracketed, self.factors)))


def missing_product(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Right minus yours, or their ratio, is a product of known functions."""
    s = slopes_of(evidence, w)
    if s is None or len(s.ours) < _LEAST or not s.ours.any():
        return
    some = slice(None, _MOST_ENTRIES)
    ours, theirs = s.ours[some], s.theirs[some]
    forms = evidence.once(f"forms {w.name}", lambda: _forms(evidence, w, some))
    rest = _product(theirs - ours, forms, evidence.tol)
    ratio = _ratio(ours, theirs, forms, evidence.tol)
    quotient = None
    if ratio is None or len(ratio.factors) > 1:
        quotient = _quotient(ours, theirs, forms, evidence.tol)
    if quotient is not None and (rest is None or len(rest.factors) > 1):
        yield _of_quotient(w, forms, *quotient)
    elif ratio is not None and (rest is None or len(ratio.factors) <= len(rest.factors)):
        text = Message(
            "At each entry of {name} yours is the right one times {factor}. So a factor is "
            "missing, or is there once too often.",
            name=w.name,
            factor=in_words(str(ratio)),
        )
        yield make_cause("local_factor", w.name, text, 0.933)
    elif rest is not None:
        whole = _product(ours, forms, evidence.tol)
        text = Message(
            "Right minus yours is {what}: that term is missing, or has a wrong factor.",
            what=in_words(f"dy times {rest}"),
        )
        if whole is not None:
            text += Message(" Yours is {what}.", what=in_words(f"dy times {whole}"))
        yield make_cause("term", w.name, text, 0.936 if len(rest.factors) < 3 else 0.895)
    else:
        yield from _two_numbers(evidence, w, theirs - ours)


def _quotient(ours, theirs, forms, tol) -> tuple[str, str, float] | None:
    """Return f, g and c with ours = c theirs f / g."""
    names, columns = list(forms), _columns(forms)
    if not names or is_constant(np.abs(theirs)):
        return None
    mine, right = columns[:, None] * theirs, columns * ours  # (f, g): ours g = c theirs f
    size = np.maximum((mine * mine).sum(axis=2), 1e-300)
    c = (mine * right).sum(axis=2) / size
    off = np.abs(c[..., None] * mine - right).max(axis=2)
    fits = np.argwhere(off <= tol * np.abs(right).max(axis=1))
    for k, j in fits.tolist():
        if k != j and c[k, j] and _is_plain(float(c[k, j]), len(ours)):
            return names[k], names[j], float(c[k, j])
    return None


def _of_quotient(w: Whole, forms: dict[str, Form], mine: str, right: str, c: float) -> Cause:
    """Say which function stands where another belongs."""
    one, other = forms[mine], forms[right]
    key = "local_factor"
    if one.function == other.function:
        key = "slope_place" if {one.array, other.array} == {w.name, "y"} else "operand"
    elif one.array == other.array and "¤" in (one.function, other.function):
        key = "function_left"
    text = Message(
        "At each entry of {name} your factor has {ours} where {right} belongs.",
        name=w.name,
        ours=in_words(times(c, mine)),
        right=in_words(right),
    )
    return make_cause(key, w.name, text, 0.932)


def _two_numbers(evidence: Evidence, w: Whole, rest: np.ndarray) -> Iterator[Cause]:
    """Right minus yours is one of two numbers, as of two classes."""
    quantum = np.abs(rest[np.abs(rest) > evidence.tol * np.abs(rest).max()]).min()
    counts = rest / quantum
    whole = np.abs(counts - np.round(counts)).max() < 1e-4 and np.abs(counts).max() < 12
    if len(rest) >= 6 and whole and 3 <= len(np.unique(np.round(counts))) <= len(rest) / 1.5:
        text = Message(
            "Right minus yours is {c} times a small whole number, times dy, at each entry of "
            "{name}: the part of a label or a count is missing, or wrong.",
            c=f"{quantum:.4g}",
            name=w.name,
        )
        yield make_cause("term", w.name, text, 0.8)
        return
    low, high = rest.min(), rest.max()
    size = evidence.tol * np.abs(rest).max()
    ends = (np.abs(rest - low) <= size) | (np.abs(rest - high) <= size)
    far = min(abs(low), abs(high), high - low) > 10 * size
    if len(rest) >= 6 and ends.all() and far:
        text = Message(
            "Right minus yours is {low} or {high}, times dy, at each entry of {name}: a number "
            "that depends on a class or a mask is missing, or wrong.",
            low=f"{low:.4g}",
            high=f"{high:.4g}",
            name=w.name,
        )
        yield make_cause("term", w.name, text, 0.86)


def _ratio(ours, theirs, forms, tol) -> Product | None:
    """Return the product of which ours is a multiple of theirs; not one of branches."""
    size = tol * np.abs(theirs).max()
    if (np.abs(theirs) <= size).any() or (np.abs(ours) <= size).any():
        return None
    ratio = ours / theirs
    if is_constant(np.abs(ratio)):
        return None
    found = _product(ratio, forms, 10 * tol)
    below = _product(1 / ratio, forms, 10 * tol)
    if below is not None and (found is None or len(below.factors) < len(found.factors)):
        under = " ".join(map(_bracketed, below.factors))
        under = f"({under})" if len(below.factors) > 1 else under
        return Product((f"1 / {under}",), 1 / below.times)
    return found


@dataclass(frozen=True, eq=False)
class Products:
    """All products of up to two simple functions, and 1: names, and values (products, entries)."""

    names: list[str]
    values: np.ndarray

    @property
    def entries(self) -> int:
        """How many entries of the array are looked at."""
        return self.values.shape[1]

    def is_plain(self, c: float) -> bool:
        """Whether a number is small and whole, or one over such a number."""
        return bool(c) and _is_plain(c, self.entries)

    def multiple(self, k: np.ndarray, tol: float) -> tuple[int, float] | None:
        """Return a product, and the factor with which it is k."""
        size = np.abs(k).max(initial=0)
        c = (self.values @ k) / (self.values**2).sum(axis=1)
        off = np.abs(c[:, None] * self.values - k).max(axis=1)
        fits = np.flatnonzero(off <= tol * size).tolist() if size else []
        return next(((j, float(c[j])) for j in fits if self.is_plain(float(c[j]))), None)


def products_of(evidence: Evidence, w: Whole) -> Products:
    """Return the products that a slope may be made of, the shortest first.

    Parameters
    ----------
    evidence : Evidence
    w : Whole
        Of an array whose entries are treated one by one.
    """
    some = slice(None, _MOST_ENTRIES)
    forms = evidence.once(f"forms {w.name}", lambda: _forms(evidence, w, some))
    named = [(name, form.value) for name, form in forms.items()][:_MOST_OF_TWO]
    one = np.ones(min(w.numeric.size, _MOST_ENTRIES))
    rows = [("1", one), *((_bracketed(name), value) for name, value in named)]
    for (m, u), (n, v) in combinations_with_replacement(named, 2):
        if not is_constant(u * v):
            rows.append((f"{_bracketed(m)} {_bracketed(n)}", u * v))
    return Products([name for name, _ in rows], np.array([value for _, value in rows]))


def _bracketed(form: str) -> str:
    return f"({form})" if " " in form and not form.startswith("1 / ") else form


def _columns(forms: dict[str, Form]) -> np.ndarray:
    return np.array([form.value for form in forms.values()])


def _product(k: np.ndarray, forms: dict[str, Form], tol: float) -> Product | None:
    """Return the product with the fewest factors of which k is a multiple."""
    if not forms or not k.any():
        return None
    names, columns = list(forms), _columns(forms)
    for degree in (1, 2, 3):
        found = _of_degree(k, names, columns, degree, tol)
        if found is not None:
            return found
    return None


def _of_degree(k, names, columns, degree: int, tol: float) -> Product | None:
    choices = np.array(list(combinations_with_replacement(range(len(names)), degree)))
    for start in range(0, len(choices), 4000):
        some = choices[start : start + 4000]
        values = columns[some].prod(axis=1)
        c = (values @ k) / np.maximum((values * values).sum(axis=1), 1e-300)
        off = np.abs(c[:, None] * values - k).max(axis=1)
        for j in np.flatnonzero(off <= tol * np.abs(k).max()).tolist():
            if degree > 1 and is_constant(values[j]):
                continue
            if degree < 3 or _is_plain(float(c[j]), len(k)):
                return Product(tuple(names[i] for i in some[j]), float(c[j]))
    return None


def _is_plain(c: float, n: int) -> bool:
    """Whether a number is a small whole one, or one over it, perhaps over the entries."""
    sizes = (abs(c), 1 / abs(c), abs(c) * n, n / abs(c), abs(c) * 10, abs(c) * 100)
    return any(abs(v - round(v)) < 1e-6 and 1 <= round(v) <= 12 for v in sizes)


@dataclass(frozen=True, eq=False)
class Form:
    """A simple function of an array: the function, with ¤ for the array, and its values."""

    array: str
    function: str
    value: np.ndarray


def _forms(evidence: Evidence, w: Whole, some: slice) -> dict[str, Form]:
    """Return the simple functions of the arrays of this shape."""
    forms: dict[str, Form] = {}
    bases = _bases(evidence, w)
    of_each = [_functions(t.ravel()[some].astype(float)) for t in bases.values()]
    for row in zip_longest(*of_each):  # the plain functions of all arrays come first
        for name, found in zip(bases, row, strict=True):
            form, value = found or ("", np.zeros(1))
            usable = np.isfinite(value).all() and value.any() and not is_constant(value)
            if usable and not any(np.array_equal(value, each.value) for each in forms.values()):
                forms[form.replace("¤", name)] = Form(name, form, value)
    return dict(list(forms.items())[:_MOST_FORMS])


def _bases(evidence: Evidence, w: Whole) -> dict[str, np.ndarray]:
    arrays = {w.name: w.here} if w.rows is not None else dict(evidence.known)
    if w.rows is None:
        arrays |= evidence.integers
    same = {n: t for n, t in arrays.items() if t.shape == w.numeric.shape}
    spread = {n: _spread(t, w.numeric.shape) for n, t in arrays.items() if n not in same}
    same |= {n: t for n, t in spread.items() if t is not None}
    return dict(list(same.items())[:_MOST_BASES])


def _spread(t: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """Spread one number of each row, or of each column, over an array."""
    if t.ndim == 0 or t.size == 1 or len(shape) < 2:
        return None
    for form in (t, t.reshape(t.shape + (1,) * (len(shape) - t.ndim))):
        try:
            return np.broadcast_to(form, shape)
        except ValueError:
            continue
    return None


def _functions(t: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    yield "¤", t
    yield "¤^2", t * t
    if (t != 0).all():
        yield "1 / ¤", 1 / t
        yield "1 / ¤^2", 1 / (t * t)
    if np.isin(t, (0, 1)).all():
        yield "1 - ¤", 1 - t
        return
    share = bool((t >= 0).all() and (t <= 1).all())
    if share:
        yield "1 - ¤", 1 - t
        yield "¤ (1 - ¤)", t * (1 - t)
        yield "log(1 - ¤)", np.log1p(-t)
    if (t > 0).all():
        yield "log(¤)", np.log(t)
        yield "1 / root(¤)", 1 / np.sqrt(t)
    if (np.abs(t) <= 1).all():
        yield "1 - ¤^2", 1 - t * t
    s = 1 / (1 + np.exp(-t))
    if not share:
        yield "sigmoid(¤)", s
        yield "1 - sigmoid(¤)", 1 - s
        yield "sigmoid(¤) (1 - sigmoid(¤))", s * (1 - s)
        yield "log(sigmoid(¤))", np.log(s)
        yield "log(1 - sigmoid(¤))", np.log(1 - s)
        yield "tanh(¤)", np.tanh(t)
        yield "1 - tanh(¤)^2", 1 - np.tanh(t) ** 2
        yield "exp(¤)", np.exp(t)
        yield "exp(-¤)", np.exp(-t)
        yield "exp(-¤^2)", np.exp(-t * t)
        yield "exp(-¤^2 / 2)", np.exp(-t * t / 2)
        yield "cos(¤)", np.cos(t)
        yield "sin(¤)", np.sin(t)
        yield "sign(¤)", np.sign(t)
        yield "(¤ > 0)", (t > 0).astype(float)
        yield "|¤|", np.abs(t)
    yield "1 / (1 + ¤^2)", 1 / (1 + t * t)


TESTS = (missing_product,)
