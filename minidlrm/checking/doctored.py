"""Hypotheses of the form: backward would be right if it got another array than it gets.

Forward keeps arrays for backward, in a cache or in the object. Here backward is run once more
with one of them replaced: by its transpose, by another array of its shape, by a function of it.
Where every gradient that was wrong is right then, that array is what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minidlrm.checking import objects
from minidlrm.checking.catalogue import make_cause
from minidlrm.checking.evidence import Evidence, Whole
from minidlrm.checking.report import Cause
from minidlrm.checking.words import in_words
from minidlrm.languages import Message

_MOST_ARRAYS = 12  # of a cache that are replaced
_MOST_ENTRIES = 20_000

Map = Callable[[np.ndarray], np.ndarray]
Change = tuple[str, Map, str, float]


def other_array(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Yield the likeliest replacement that makes all wrong gradients right."""
    if w.name != evidence.failed[0]:
        return  # it is about all of them
    yield from evidence.once("doctored", lambda: list(_causes(evidence)))


def _causes(evidence: Evidence) -> Iterator[Cause]:
    wholes = [evidence.whole(n) for n in evidence.failed if not evidence.broken(n)]
    wanted = {w.name: w for w in wholes if w is not None and w.rows is None}
    if not wanted or not evidence.is_linear or len(wanted) < len(evidence.failed):
        return
    found: list[tuple[float, Cause]] = []
    for place, name, array in _kept(evidence):
        for key, change, words, score in _changes(evidence, name, array):
            grads = _gradients(evidence, place, change(array))
            right = [n for n, w in wanted.items() if _is_right(evidence, grads, w)]
            if len(right) < len(wanted):
                continue
            text = Message(
                "Backward is right if it gets {other} in the place of {name}.",
                other=in_words(words),
                name=in_words(name),
            )
            array_name = right[0] if len(right) == 1 else ""
            if key == "penalty" and name != array_name:
                key = "term"
            found.append((score, make_cause(key, array_name, text, score)))
    if found:
        yield max(found, key=lambda pair: pair[0])[1]


def _is_right(evidence: Evidence, grads: dict[str, Any], w: Whole) -> bool:
    grad = grads.get(w.name)
    return isinstance(grad, np.ndarray) and evidence.same(grad, w.numeric)


# What may be replaced

Place = tuple[Any, ...]  # the keys that lead to an array: first "cache", or an attribute


def _kept(evidence: Evidence) -> list[tuple[Place, str, np.ndarray]]:
    """Return what forward has kept for backward: where it is, its name, the array."""
    subject = evidence.subject
    subject.output()
    found: list[tuple[Place, str, np.ndarray]] = []
    cache = getattr(subject.calls, "_cache", ())
    for place, array in _leaves(cache, ("cache",)):
        found.append((place, _name(evidence, place, array), array))
    reading = getattr(subject.calls, "reading", None)
    if reading is not None and reading.is_unusual:
        for place, array in _leaves(subject.calls._inputs, ("inputs",)):
            found.append((place, _name(evidence, place, array), array))
    if not found:
        for name, value in objects.attributes(
            subject.target
        ).items():  # a compiled kernel trusts its ids
            floats = [(p, a) for p, a in _leaves(value, (name,)) if a.dtype.kind == "f"]
            found += [(p, f"self.{name}", a) for p, a in floats]
    return found[:_MOST_ARRAYS]


def _leaves(value: Any, place: Place) -> Iterator[tuple[Place, np.ndarray]]:
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "fiub" and 0 < value.size <= _MOST_ENTRIES:
            yield place, value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _leaves(part, (*place, key))
    elif isinstance(value, (tuple, list)):
        for k, part in enumerate(value):
            yield from _leaves(part, (*place, k))


def _name(evidence: Evidence, place: Place, array: np.ndarray) -> str:
    for name, known in {**evidence.known, **evidence.integers}.items():
        if known.shape == array.shape and (known == array).all():
            return name
    return f"item {place[-1]} of the cache"


# What it may be replaced by


def _changes(evidence: Evidence, name: str, t: np.ndarray) -> Iterator[Change]:
    if t.dtype.kind in "iu" and not np.isin(t, (0, 1)).all():
        yield from _other_ids(evidence, name, t)
        return
    if t.ndim > 1 and t.shape[-1] == t.shape[-2] > 1:
        yield "transpose", lambda a: np.swapaxes(a, -1, -2).copy(), f"{name} transposed", 0.962
    if np.isin(t, (0, 1)).all():
        if t.dtype.kind in "iu" and (np.diff(t.ravel().astype(int)) >= 0).all():
            return  # they may be offsets
        yield "mask_inverted", lambda a: (1 - a).astype(a.dtype), f"1 - {name}", 0.955
        return
    yield from _others_of_its_shape(evidence, name, t)
    for axis in range(t.ndim):
        if t.shape[axis] > 2:
            yield "shifted", _flipped(axis), f"{name} reversed along axis {axis}", 0.948
            for step in (1, -1):
                text = f"{name} shifted by {step} along axis {axis}"
                yield "shifted", _rolled(step, axis), text, 0.948
    yield "sign", lambda a: -a, f"-{name}", 0.943
    yield "penalty", np.zeros_like, "0 everywhere", 0.925
    yield "local_factor", np.ones_like, "1 everywhere", 0.93
    yield from _functions(name, t)


def _others_of_its_shape(evidence: Evidence, name: str, t: np.ndarray) -> Iterator[Change]:
    for other, values in evidence.known.items():
        if other == name or values.shape != t.shape or (values == t).all():
            continue
        place = {name, other} == {"y", *evidence.failed}
        key = "slope_place" if place else "operand"
        score = 0.93 if key == "operand" and "y" in (name, other) else 0.95
        yield key, _always(values), other, score


def _other_ids(evidence: Evidence, name: str, t: np.ndarray) -> Iterator[Change]:
    """Yield other ids, all of them between 0 and the largest."""
    if t.min() < 0:
        return
    for other, values in evidence.integers.items():
        fits = values.shape == t.shape and values.dtype.kind in "iu"
        if other != name and fits and values.min() >= 0 and values.max() <= t.max():
            yield "shifted", _always(values), other, 0.955
    for step in (1, -1):  # never out of the range: a kernel may write there unchecked
        text = f"{name} {'+' if step > 0 else '-'} 1"
        yield "index_shift", _moved(step, int(t.max()) + 1), text, 0.955


def _always(values: np.ndarray) -> Map:
    return lambda _: values.copy()


def _moved(step: int, size: int) -> Map:
    return lambda a: (a + step) % size


def _centred(axis: int) -> Map:
    return lambda a: a - a.mean(axis=axis, keepdims=True)


def _flipped(axis: int) -> Map:
    return lambda a: np.flip(a, axis).copy()


def _rolled(step: int, axis: int) -> Map:
    return lambda a: np.roll(a, step, axis)


def _softmax(axis: int) -> Map:
    def function(a: np.ndarray) -> np.ndarray:
        e = np.exp(a - a.max(axis=axis, keepdims=True))
        return e / e.sum(axis=axis, keepdims=True)

    return function


def _functions(name: str, t: np.ndarray) -> Iterator[Change]:
    """Yield the usual functions of one array."""
    forms: dict[str, Map] = {
        f"sigmoid({name})": lambda a: 1 / (1 + np.exp(-a)),
        f"tanh({name})": np.tanh,
        f"exp({name})": np.exp,
        f"the square of {name}": np.square,
        f"max({name}, 0)": lambda a: np.maximum(a, 0),
        f"|{name}|": np.abs,
    }
    if (np.abs(t) < 1).all():
        forms[f"artanh({name})"] = np.arctanh
    if (t > 0).all():
        forms |= {f"log({name})": np.log, f"the root of {name}": np.sqrt}
        forms |= {f"1 / {name}": lambda a: 1 / a}
        if (t < 1).all():
            forms[f"the logit of {name}"] = lambda a: np.log(a / (1 - a))
            yield "mask_inverted", lambda a: 1 - a, f"1 - {name}", 0.94
    for axis in range(t.ndim):
        forms[f"softmax({name}) along axis {axis}"] = _softmax(axis)
        forms[f"{name} less its mean along axis {axis}"] = _centred(axis)
    for words, function in forms.items():
        mean = "less its mean" in words  # a term through a mean says more
        yield "function_left", function, words, 0.885 if mean else 0.925


# Backward with another array


def _gradients(evidence: Evidence, place: Place, array: np.ndarray) -> dict[str, Any]:
    """Run both passes, with one of the kept arrays replaced between them."""
    subject, calls = evidence.subject, evidence.subject.calls
    before = subject.snapshot()
    try:
        subject.zero_grad()
        _, form = subject.forward_again()
        with _replaced(subject, calls, place, array):
            returned = subject.backward(np.array(evidence.r), form)
        return {n: np.array(g, float) for n, g in subject.collect(returned).items() if _is_array(g)}
    except Exception:
        return {}
    finally:
        subject.restore(before)


def _is_array(grad: Any) -> bool:
    return isinstance(grad, (np.ndarray, np.floating)) and grad.dtype.kind in "fiu"


@contextmanager
def _replaced(subject: Any, calls: Any, place: Place, array: np.ndarray) -> Iterator[None]:
    owners = {"cache": (calls, "_cache"), "inputs": (calls, "_inputs")}
    owner, attribute = owners.get(place[0], (subject.target, place[0]))
    first = getattr(owner, attribute)
    try:
        setattr(owner, attribute, _with(first, place[1:], array))
        yield
    finally:
        setattr(owner, attribute, first)


def _with(value: Any, place: Place, array: np.ndarray) -> Any:
    """Return nested parts with another array at one place."""
    if not place:
        return array
    if isinstance(value, dict):
        return {**value, place[0]: _with(value[place[0]], place[1:], array)}
    parts = list(value)
    parts[place[0]] = _with(parts[place[0]], place[1:], array)
    return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)


TESTS = (other_array,)
