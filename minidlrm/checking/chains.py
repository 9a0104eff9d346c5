"""Hypotheses about a chain: dy times several slopes, joined with an operand by a product or a sum.

A gate, a cell or a hidden layer sends back dy times a product: z, 1 - z, 1 - c^2, h - c. Where
one such product gives our numbers, and another the right ones, their factors are compared.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import combinations_with_replacement

import numpy as np

from minidlrm.checking.catalogue import make_cause
from minidlrm.checking.evidence import Evidence, Whole
from minidlrm.checking.report import Cause
from minidlrm.checking.slopes import is_constant, slopes_of
from minidlrm.checking.words import in_words
from minidlrm.languages import Message

_MOST_FORMS = 30
_MOST_FLOWS = 4
_MOST_ENTRIES = 400


Map = Callable[[np.ndarray], np.ndarray]


def chain(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Compare the products that give ours, the right ones, and their difference."""
    if w.rows is not None or not 4 <= w.numeric.size <= _MOST_ENTRIES or evidence.r.ndim < 1:
        return
    s = slopes_of(evidence, w)
    if s is not None and s.y is not None:
        return  # `products` says it
    for flow, d in _flows(evidence):
        forms = evidence.once(f"chains {flow}", functools.partial(_products, evidence, d.shape))
        for join, function in _joins(evidence, d.shape, w.numeric.shape):
            cause = _compared(evidence, w, flow, join, function(d * forms[1]), forms[0])
            if cause is not None:
                yield cause
                return


def _compared(evidence, w, flow, join, values, names) -> Cause | None:
    flat = values.reshape(len(names), -1)
    ours, theirs = (_found(flat, names, k, evidence.tol) for k in (w.analytic, w.numeric))
    pairs = [(_apart(a, n), k, a, n) for k, a in enumerate(ours) for n in theirs]
    if pairs:
        _, _, a, n = min(pairs, key=lambda pair: pair[:2])
        key = _edit(a, n)
        if key:
            text = Message(
                "Yours is {ours}; right is {right}.",
                ours=in_words(_written(join, flow, a)),
                right=in_words(_written(join, flow, n)),
            )
            return make_cause(key, w.name, text, 0.945)
    rest = _found(flat, names, w.numeric - w.analytic, evidence.tol)
    if rest and _is_round(rest[0][1]) and w.analytic.any():
        text = Message(
            "Right minus yours is {what}: that term is missing, or has a wrong factor.",
            what=in_words(_written(join, flow, rest[0])),
        )
        return make_cause("term", w.name, text, 0.93)
    return None


def _is_round(c: float) -> bool:
    return any(abs(abs(c) - v) < 1e-6 for v in (0.5, 1, 2, 3))


def _apart(ours: tuple[tuple[str, ...], float], theirs: tuple[tuple[str, ...], float]) -> int:
    mine, right = Counter(ours[0]), Counter(theirs[0])
    return (mine - right).total() + (right - mine).total()


def _written(join: str, flow: str, found: tuple[tuple[str, ...], float]) -> str:
    factors, c = found
    times = "" if abs(c - 1) < 1e-6 else "-" if abs(c + 1) < 1e-6 else f"{c:.4g} "
    return times + join.replace("¤", "[" + " * ".join((flow, *factors)) + "]")


def _found(flat, names, wanted, tol) -> list[tuple[tuple[str, ...], float]]:
    """Return the first products of which an array is a multiple, and the factors."""
    k = wanted.ravel()
    if not k.any():
        return []
    c = (flat @ k) / np.maximum((flat * flat).sum(axis=1), 1e-300)
    off = np.abs(c[:, None] * flat - k).max(axis=1)
    fits = np.flatnonzero(off <= tol * np.abs(k).max())
    return [(names[j], float(c[j])) for j in fits[:20]]


def _edit(ours: tuple[tuple[str, ...], float], theirs: tuple[tuple[str, ...], float]) -> str:
    """Name the difference between two products."""
    mine, right = Counter(ours[0]), Counter(theirs[0])
    more, less = list((mine - right).elements()), list((right - mine).elements())
    if not more and not less:
        return ""  # a factor: the plain test says it
    if not more:
        return "slope_forgotten" if all(map(_is_slope, less)) else "operand_left"
    if not less:
        return "local_factor"
    if len(more) == len(less) == 1:
        return _replaced(more[0], less[0])
    return "local_factor"


def _replaced(ours: str, right: str) -> str:
    arrays = [_arrays(each) for each in (ours, right)]
    if " - " in right[2:] and " + " in ours and set(arrays[0]) == set(arrays[1]):
        return "sign"
    if set(arrays[0]) != set(arrays[1]) and set(arrays[0]) & set(arrays[1]):
        return "term"
    if set(arrays[0]) == set(arrays[1]):
        inverted = {ours, right} == {arrays[0][0], f"(1 - {arrays[0][0]})"}
        return "mask_inverted" if inverted else "local_factor"
    return "slope_place" if _is_slope(ours) and _is_slope(right) else "operand"


def _is_slope(form: str) -> bool:
    return form.startswith("(1 - ") or "(1 - " in form or "> 0" in form


def _arrays(form: str) -> list[str]:
    """Return the arrays that a form is of."""
    bare = form.replace("^2", "").replace("(1 - ", "").replace(" > 0", "").strip("()")
    for sign in (" - ", " + "):
        if sign in bare:
            return [part.strip("() ") for part in bare.split(sign)]
    return [bare.split(" (")[0].strip("() ")]


def _flows(evidence: Evidence) -> Iterator[tuple[str, np.ndarray]]:
    r = evidence.r
    yield "dy", r if r.ndim > 1 else r[:, None]
    found = 0
    for name, k in evidence.known.items():
        if r.ndim == k.ndim == 2 and k.shape[1] == r.shape[1] and len(k) != len(r):
            yield f"(dy @ {name}.T)", r @ k.T
            found += 1
        elif r.ndim == 1 and k.ndim == 1 and k.shape != r.shape:
            yield f"(dy outer {name})", np.outer(r, k)
            found += 1
        if found == _MOST_FLOWS:
            return


def _joins(evidence: Evidence, d: tuple[int, ...], shape) -> Iterator[tuple[str, Map]]:
    """Yield what leads from (n, *d) to (n, *shape)."""
    if d == shape:
        yield "¤", np.asarray
    for axis in range(len(d)):
        if d[:axis] + d[axis + 1 :] == shape:
            yield f"¤.sum({axis})", functools.partial(np.sum, axis=axis + 1)
    if len(d) != 2 or len(shape) != 2:
        return
    for name, k in evidence.known.items():
        if k.ndim != 2:
            continue
        if len(k) == d[0] and (k.shape[1], d[1]) == shape:
            yield f"{name}.T @ ¤", functools.partial(np.einsum, "bi,nbo->nio", k)
        if k.shape[1] == d[1] and (d[0], len(k)) == shape:
            yield f"¤ @ {name}.T", functools.partial(np.einsum, "io,nbo->nbi", k)


def _products(evidence: Evidence, shape) -> tuple[list[tuple[str, ...]], np.ndarray]:
    """Return all products of up to three forms: their names, and values (n, *shape)."""
    forms = dict(list(_forms(evidence, shape))[:_MOST_FORMS])
    names: list[tuple[str, ...]] = [()]
    values = [np.ones(shape)]
    for degree in (1, 2, 3):
        for some in combinations_with_replacement(forms, degree):
            names.append(some)
            values.append(np.prod([forms[name] for name in some], axis=0))
    return names, np.array(values)


def _forms(evidence: Evidence, shape) -> Iterator[tuple[str, np.ndarray]]:
    same = {n: t for n, t in evidence.known.items() if t.shape == shape}
    for name, t in same.items():
        yield name, t
        if (t > 0).all() and (t < 1).all():
            yield f"(1 - {name})", 1 - t
            yield f"{name} (1 - {name})", t * (1 - t)
        elif (np.abs(t) < 1).all():
            yield f"(1 - {name}^2)", 1 - t * t
            yield f"(1 - {name})", 1 - t
        elif (t > 0).any() and (t <= 0).any():
            yield f"({name} > 0)", (t > 0).astype(float)
    yield from _hidden(evidence, shape)
    pairs = list(same.items())
    for k, (m, u) in enumerate(pairs):
        for n, v in pairs[k + 1 :]:
            for sign, value in ((" - ", u - v), (" + ", u + v)):
                if not is_constant(value):
                    yield f"({m}{sign}{n})", value


def _hidden(evidence: Evidence, shape) -> Iterator[tuple[str, np.ndarray]]:
    """Yield what a hidden layer may be, and its slopes: a product of two arrays, and a bias."""
    known = evidence.known
    for m, a in known.items():
        for n, b in known.items():
            if not (a.ndim == b.ndim == 2 and (len(a), b.shape[1]) == shape):
                continue
            if a.shape[1] != len(b):
                continue
            yield from _functions(f"{m} @ {n}", a @ b)
            for k, c in known.items():
                if c.shape == shape[1:]:
                    yield from _functions(f"{m} @ {n} + {k}", a @ b + c)
            return


def _functions(name: str, t: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    s = 1 / (1 + np.exp(-t))
    yield f"({name})", t
    yield f"(1 - tanh({name})^2)", 1 - np.tanh(t) ** 2
    yield f"sigmoid({name})", s
    yield f"(1 - sigmoid({name}))", 1 - s
    yield f"({name} > 0)", (t > 0).astype(float)


TESTS = (chain,)
