"""Hypotheses about the formula that was computed: simple formulas for ours and for the right one.

A gradient is often a product: what arrives, a slope, and an operand, joined by a product or a
sum. Where such a formula gives our numbers, and another gives the right ones, their difference
is the mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from minidlrm.checking.catalogue import make_cause
from minidlrm.checking.evidence import Evidence, Whole, derived_arrays
from minidlrm.checking.report import Cause
from minidlrm.checking.slopes import slopes_of
from minidlrm.checking.words import in_words
from minidlrm.languages import Message

_MOST = 4000  # formulas that are tried
_MOST_PARTS = 60  # of which one may stand for another in a sum


@dataclass(frozen=True)
class Formula:
    """A product that a gradient may be: an upstream, a slope, an operand, and how they join."""

    upstream: str
    slope: str
    operand: str
    join: str
    value: np.ndarray

    def __str__(self) -> str:
        flow = f"({self.upstream}) {self.slope}" if self.slope else self.upstream
        join, comma, where = self.join.partition(",")
        parts = {"D": f"[{flow}]", "K": self.operand}
        return re.sub(r"\b[DK]\b", lambda found: parts[found[0]], join) + comma + where


def formula(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Find simple formulas for both gradients, and see in what they differ."""
    if evidence.r.ndim == 0 or w.rows is not None or w.numeric.size < 2:
        return
    s = slopes_of(evidence, w)
    if s is not None and s.y is not None:
        return  # the slopes of single entries say more
    formulas = list(islice(_formulas(evidence, w), _MOST))
    ours = _multiples(evidence, formulas, w.analytic)
    theirs = _multiples(evidence, formulas, w.numeric)
    pairs = [
        (_distance(a, n), k, a, n, c)
        for k, (a, c) in enumerate(ours)
        for n, d in theirs
        if abs(c - d) <= 1e-6 * abs(d)
    ]
    if pairs:
        steps, _, a, n, c = min(pairs, key=lambda pair: pair[:2])
        key = _edit(a, n, evidence.known)
        if key:
            text = Message(
                "Yours is {ours}; right is {right}.",
                ours=in_words(f"{_times(c)}{a}"),
                right=in_words(f"{_times(c)}{n}"),
            )
            mean = key == "function_left" and "less its mean" in text
            yield make_cause(key, w.name, text, 0.885 if mean else 0.96 - 0.01 * steps)
        if key == "mask_forgotten":  # of a rectifier it is the slope
            yield make_cause("slope_forgotten", w.name, text, 0.955 - 0.01 * steps)
        return
    found = list(_two_formulas(evidence, w, formulas))
    if found or not ours or theirs:
        yield from found
    elif "@" in ours[0][0].upstream and not ours[0][0].slope and _is_curved(evidence, w):
        text = Message(
            "Yours is {ours}: one matrix follows another, and the derivative of what lies between "
            "is left out.",
            ours=in_words(f"{_times(ours[0][1])}{ours[0][0]}"),
        )
        yield make_cause("slope_forgotten", w.name, text, 0.86)


def of_one_index(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Of a sequence (B, T, D), look for the formula of its last or first step alone."""
    if w.numeric.ndim != 3 or w.rows is not None or evidence.r.ndim == 3:
        return
    for t in (w.numeric.shape[1] - 1, 0):
        parts = (w.analytic[:, t], w.numeric[:, t], w.jacobian[:, :, t], w.value[:, t])
        step = Whole(w.name, *parts, None)
        if not step.analytic.any() or evidence.same(step.analytic, step.numeric):
            continue
        for cause in formula(evidence, step):
            text = Message("At index {k} of axis 1: {text}", k=t, text=cause.evidence)
            yield replace(cause, evidence=text, score=cause.score - 0.005)
            return


def _is_curved(evidence: Evidence, w: Whole) -> bool:
    """Whether the output is neither a straight line nor a parabola in the array: it is no product.

    A product may hold the array twice; a function that lies between leaves third differences.
    """
    step = np.random.default_rng(3).normal(size=w.value.shape) * (
        1 + np.abs(w.value).max(initial=0)
    )
    ys = [evidence.output_where({w.name: w.value + k * step}) for k in range(4)]
    if any(y is None for y in ys):
        return False
    third = np.diff(np.array(ys), 3, axis=0)
    return bool(np.abs(third).max() > 1e-6 * np.abs(np.array(ys)).max())


def _multiples(
    evidence: Evidence, formulas: list[Formula], grad: np.ndarray
) -> list[tuple[Formula, float]]:
    """Return the formulas of which a gradient is a multiple, and the factor."""
    found = []
    size = float((grad * grad).sum())
    for each in formulas:
        c = float((each.value * grad).sum())
        square = float((each.value * each.value).sum())
        if c * c >= (1 - 1e-6) * square * size > 0 and evidence.same(grad, c / square * each.value):
            found.append((each, c / square))
    return found


def _times(c: float) -> str:
    return "" if abs(c - 1) < 1e-6 else f"{c:.4g} times "


def _two_formulas(evidence: Evidence, w: Whole, formulas: list[Formula]) -> Iterator[Cause]:
    """The right gradient is a sum of two, and ours has one of them, or one of them twice."""
    a, n = w.analytic, w.numeric
    values = np.array([each.value for each in formulas]).reshape(len(formulas), a.size)
    for k in _equal(evidence, values, n - a):
        each = formulas[k]
        path = each.join not in ("D", "D * K")
        text = Message(
            "What is missing from the gradient of {name} is {what}",
            name=w.name,
            what=in_words(str(each)),
        )
        text += Message(": {name} is used twice.", name=w.name) if path else "."
        yield make_cause("second_path" if path else "term", w.name, text, 0.94)
        return
    yield from _one_for_another(evidence, w, formulas, values)
    for k in _equal(evidence, 2 * values, a):
        for j in _equal(evidence, values[k] + values, n):
            if j == k:
                continue
            one, other = formulas[k], formulas[j]
            turned = _edit(one, other, evidence.known) == "transpose"
            parts = {"one": in_words(str(one)), "other": in_words(str(other))}
            text = Message("Right is {one} + {other}; yours is 2 {one}.", **parts)
            yield make_cause("transpose" if turned else "second_path", w.name, text, 0.94)
            return


def _equal(evidence: Evidence, values: np.ndarray, grad: np.ndarray) -> np.ndarray:
    """Return which rows are a gradient."""
    k = grad.ravel()
    size = np.abs(k).max(initial=0)
    return np.flatnonzero((np.abs(values - k) <= evidence.tol * size).all(axis=1) & (size > 0))


def _one_for_another(evidence: Evidence, w: Whole, formulas, values) -> Iterator[Cause]:
    """Right minus yours is one formula less another: of a sum one part is wrong."""
    some = values[:_MOST_PARTS]
    for k, right in enumerate(formulas[:_MOST_PARTS]):
        for j in _equal(evidence, some[k] - some, w.numeric - w.analytic):
            key = "" if j == k else _edit(formulas[j], right, evidence.known)
            if key:
                text = Message(
                    "In a sum, {ours} stands where {right} belongs.",
                    ours=in_words(str(formulas[j])),
                    right=in_words(str(right)),
                )
                yield make_cause(key, w.name, text, 0.935)
                return


def _distance(a: Formula, n: Formula) -> int:
    parts = ("upstream", "slope", "operand", "join")
    return sum(getattr(a, part) != getattr(n, part) for part in parts)


def _edit(a: Formula, n: Formula, known: Iterable[str]) -> str:
    """Name the first difference between two formulas."""
    if "first" in (a.slope, n.slope):
        return "first_of_bag"
    if a.upstream != n.upstream:
        if a.upstream == "dy" and n.upstream.startswith("dy * "):
            return "operand_left"
        bare = a.upstream.replace(".T", "") == n.upstream.replace(".T", "")
        return "transpose" if bare else "operand"
    if a.slope != n.slope:
        return _edited_slope(a.slope, n.slope, known)
    if a.operand != n.operand:
        if not a.operand:
            return "operand_left"
        same = a.operand.split(" along axis")[0] == n.operand.split(" along axis")[0]
        if same:
            return "axis"
        return "function_left" if is_function(a.operand, n.operand) else "operand"
    if "added to the rows" in a.join and "added to the rows" in n.join:
        return "shifted"
    return "axis" if "sum" in a.join + n.join else "transpose"


def is_function(one: str, other: str) -> bool:
    """Whether one name is that of a function of the other."""
    return one != other and any(
        inner in outer.replace("(", " ").replace(")", " ").replace("^", " ").split()
        for inner, outer in ((one, other), (other, one))
    )


def _edited_slope(ours: str, right: str, known: Iterable[str]) -> str:
    if not ours:
        if "> 0" in right or "<= 0" in right:
            return "mask_forgotten"
        return "operand_left" if right in known else "slope_forgotten"
    if not right:
        return "local_factor"
    inside = [slope.replace(" > 0", "").replace(" <= 0", "") for slope in (ours, right)]
    if inside[0] == inside[1]:
        return "mask_inverted"
    first, second = (
        slope.strip("()").replace("1 - ", "").split("^")[0].split(" (1")[0]
        for slope in (ours, right)
    )
    return "local_factor" if first == second else "slope_place"


def _formulas(evidence: Evidence, w: Whole) -> Iterator[Formula]:
    shape, known = w.numeric.shape, evidence.known
    flows = list(_upstreams(evidence))
    yield from _scattered(evidence, shape)
    for upstream, flow in flows:
        yield from _alone(upstream, "", flow, shape)
        yield from _with_operands(upstream, "", flow, known, shape)
    derived = {**dict(derived_arrays(evidence)), **dict(_products(known))}
    for upstream, flow in flows:
        for slope, d in _with_slopes(flow, known):
            yield from _alone(upstream, slope, d, shape)
            yield from _with_operands(upstream, slope, d, known, shape)
        yield from _with_operands(upstream, "", flow, derived, shape)


def _products(known) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the products of a matrix with another, or with a vector."""
    for m, a in known.items():
        for n, b in known.items():
            if a.ndim == 2 and b.ndim in (1, 2) and a.shape[1] == b.shape[0] and m != n:
                product = a @ b
                yield f"({m} @ {n})", product
                if b.ndim == 1:
                    yield f"({m} @ {n})[:, None]", product[:, None]


def _alone(upstream: str, slope: str, d: np.ndarray, shape) -> Iterator[Formula]:
    if d.shape == shape:
        yield Formula(upstream, slope, "", "D", d)
    for axis in range(d.ndim):
        if d.sum(axis=axis).shape == shape:
            yield Formula(upstream, slope, "", f"D.sum({axis})", d.sum(axis=axis))


def _scattered(evidence: Evidence, shape: tuple[int, ...]) -> Iterator[Formula]:
    """Yield what a table gets whose rows are looked up by one of the integer inputs."""
    looked_up = {
        f"{name}[{of}]": table[ids]
        for of, ids in evidence.integers.items()
        for name, table in evidence.known.items()
        if table.ndim == 2 and _are_rows(ids, len(table))
    }
    for of, ids in evidence.integers.items():
        if len(shape) != 2 or not _are_rows(ids, shape[0]):
            continue
        r, where = evidence.r, f"added to the rows {of}"
        parts = ids.T if ids.ndim == 2 else ids[None]
        for operand, k in {"": np.ones(1), **looked_up, **evidence.known}.items():
            each = [
                _in_rows(rows, r, k[:, j] if k.ndim == 3 else k, shape)
                for j, rows in enumerate(parts)
            ]
            added = [part for part in each if part is not None]
            if len(added) < len(each):
                continue  # the shapes do not fit
            join = f"{'[D * K]' if operand else '[D]'}, {where}"
            yield Formula("dy", "", operand, join, np.sum(added, axis=0))
            if len(added) > 1:
                yield Formula("dy", "first", operand, f"{join}, the first of each", added[0])


def _are_rows(ids: np.ndarray, length: int) -> bool:
    return ids.ndim in (1, 2) and ids.size > 0 and ids.min() >= 0 and ids.max() < length


def _in_rows(rows, r: np.ndarray, k: np.ndarray, shape) -> np.ndarray | None:
    """Add dy times an operand to the rows of an array; None where the shapes do not fit."""
    if r.ndim not in (1, 2) or len(r) != len(rows):
        return None
    if k.ndim == 1 and len(k) == len(r) and r.ndim == 2 and len(k) != r.shape[1]:
        k = k[:, None]
    try:
        values = np.broadcast_to((r[:, None] if r.ndim == 1 else r) * k, (len(rows), shape[1]))
    except ValueError:
        return None
    total = np.zeros(shape)
    np.add.at(total, rows, values)
    return total


def _with_operands(upstream, slope, d, operands, shape) -> Iterator[Formula]:
    for operand, k in operands.items():
        for join, value in _joins(d, k):
            if value.shape == shape:
                yield Formula(upstream, slope, operand, join, value)


def _upstreams(evidence: Evidence) -> Iterator[tuple[str, np.ndarray]]:
    """Yield dy, and what arrives behind one matrix or one factor."""
    r = evidence.r
    yield "dy", r
    for name, k in evidence.known.items():
        if k.ndim == r.ndim == 2 and k.shape != r.shape:
            if k.shape[1] == r.shape[1]:
                yield f"dy @ {name}.T", r @ k.T
            if k.shape[0] == r.shape[1]:
                yield f"dy @ {name}", r @ k
        elif k.ndim == r.ndim == 2 and k.shape[0] == k.shape[1]:
            yield f"dy @ {name}.T", r @ k.T
            yield f"dy @ {name}", r @ k
        if k.ndim == 2 and r.ndim == 1:
            if k.shape[1] == len(r):
                yield f"{name} @ dy", k @ r
            if k.shape[0] == len(r):
                yield f"dy @ {name}", r @ k
        if k.ndim == 1 and r.ndim == 1 and k.shape != r.shape:
            yield f"dy outer {name}", np.outer(r, k)
        if k.shape == r.shape[1:] or k.shape == r.shape:
            yield f"dy * {name}", r * k
        if r.ndim == 1 and k.ndim == 2 and len(k) == len(r):
            yield f"dy[:, None] * {name}", r[:, None] * k


def _with_slopes(flow: np.ndarray, known) -> Iterator[tuple[str, np.ndarray]]:
    for name, h in known.items():
        if h.shape == flow.shape:
            yield f"(1 - {name}^2)", flow * (1 - h * h)
            yield f"{name} (1 - {name})", flow * h * (1 - h)
            yield name, flow * h
            yield f"(1 - {name})", flow * (1 - h)
            if (h > 0).any() and (h <= 0).any():
                yield f"({name} > 0)", flow * (h > 0)
                yield f"({name} <= 0)", flow * (h <= 0)


def _joins(d: np.ndarray, k: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the products and sums in which a gradient joins what arrives and an operand."""
    if d.shape == k.shape or d.shape[1:] == k.shape:
        yield "D * K", d * k
        for axis in range(d.ndim):
            yield f"(D * K).sum({axis})", (d * k).sum(axis=axis)
    if d.ndim == k.ndim == 1:
        yield "outer(D, K)", np.outer(d, k)
        yield "outer(K, D)", np.outer(k, d)
    if d.ndim == 1 and k.ndim == 2 and len(d) == len(k):
        yield "D[:, None] * K", d[:, None] * k
        yield "K.T @ D", k.T @ d
    if d.ndim == k.ndim == 2:
        if len(d) == len(k):
            yield "K.T @ D", k.T @ d
            yield "D.T @ K", d.T @ k
        if d.shape[1] == k.shape[1]:
            yield "D @ K.T", d @ k.T
        if d.shape[1] == k.shape[0]:
            yield "D @ K", d @ k
        if k.shape[1] == d.shape[0]:
            yield "K @ D", k @ d
    if d.ndim == k.ndim == 3 and len(d) == len(k):
        for turned, other in (("K^T", k.transpose(0, 2, 1)), ("K", k)):
            if d.shape[2] == other.shape[1]:
                yield f"D @ {turned}", d @ other
            if other.shape[2] == d.shape[1]:
                yield f"{turned} @ D", other @ d


TESTS = (formula, of_one_index)
