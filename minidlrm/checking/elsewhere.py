"""Hypotheses of the form: your gradient would be right, if ...

Either other inputs were there (all ones, the transpose, the output, the next label), or another
dy arrived. A forward pass at those inputs tells.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minidlrm.checking.catalogue import make_cause
from minidlrm.checking.evidence import Evidence, Whole
from minidlrm.checking.report import Cause
from minidlrm.languages import Message

Guess = tuple[str, dict[str, np.ndarray], str, float]


def other_inputs(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Try other inputs, the likeliest first; the first that fits is the cause."""
    for key, changes, words, score in _guesses(evidence, w):
        if evidence.elsewhere(w, changes) and _only_there(evidence, w, changes):
            if key in _OF_ALL and not _of_all(evidence, w, changes):
                continue
            text = _if(w.name, words)
            yield make_cause(key, w.name, text, score)
            return


def _if(name: str, words: str) -> Message:
    return Message(
        "Your gradient of {name} would be the right one if {condition}.", name=name, condition=words
    )


_OF_ALL = ("sign", "term", "slope_place")  # guesses that fit by chance: all that is wrong must


def _of_all(evidence: Evidence, w: Whole, changes: dict[str, np.ndarray]) -> bool:
    """Whether the gradients of all other wrong arrays are right there, too."""
    for name in evidence.failed:
        other = None if name == w.name or evidence.broken(name) else evidence.whole(name)
        if other is not None and not evidence.elsewhere(other, changes):
            return False
    return True


def _only_there(evidence: Evidence, w: Whole, changes: dict[str, np.ndarray]) -> bool:
    """Whether it is this place: near it, too, a function without curvature has that gradient."""
    rng = np.random.default_rng(1)
    near = {
        name: value + 0.05 * (1 + np.abs(value)) * rng.random(value.shape)
        for name, value in changes.items()
        if value.dtype.kind == "f"
    }
    return not near or not evidence.elsewhere(w, near)


def _guesses(evidence: Evidence, w: Whole) -> Iterator[Guess]:
    yield from _at_the_output(evidence, w)
    for name, value in evidence.integers.items():
        yield from _other_integers(name, value)
    arrays = evidence.subject.arrays
    for name, value in arrays.items():
        if value.ndim == 2 and value.shape[0] == value.shape[1] > 1:
            yield (
                "transpose",
                {name: value.T.copy()},
                Message("{name} was transposed", name=name),
                0.955,
            )
    for name, value in arrays.items():
        for other, values in arrays.items():
            if other != name and values.shape == value.shape:
                text = Message("{other} stood in the place of {name}", other=other, name=name)
                yield "operand", {name: values.copy()}, text, 0.94
    for name, value in arrays.items():
        if name != w.name:
            ones = np.ones_like(value)
            yield "operand_left", {name: ones}, Message("{name} was 1 everywhere", name=name), 0.96
            yield (
                "term",
                {name: 0 * ones},
                Message("{name} was 0 everywhere: it is left out", name=name),
                0.885,
            )
            yield "sign", {name: -value}, Message("{name} had the other sign", name=name), 0.93
            yield "operand", {name: value * value}, Message("{name} was squared", name=name), 0.92
            yield from _moved(name, value)
    yield from _updated(evidence, w)
    x = w.here
    for factor in (2.0, 0.5):
        text = Message("{name} was {c} times as large", name=w.name, c=f"{factor:g}")
        yield "slope_place", {w.name: factor * x}, text, 0.938
    yield "sign", {w.name: -x}, Message("{name} had the other sign", name=w.name), 0.93
    text = Message(
        "{name} was 0 everywhere, so it lacks each term that grows with {name}", name=w.name
    )
    yield "term", {w.name: 0 * x}, text, 0.92


def _moved(name: str, value: np.ndarray) -> Iterator[Guess]:
    if value.ndim > 1:
        text = Message("{name} was reversed along every axis", name=name)
        yield "shifted", {name: np.flip(value).copy()}, text, 0.945
    for axis in range(value.ndim):
        if value.shape[axis] > 1:
            text = Message("{name} was reversed along axis {axis}", name=name, axis=axis)
            yield "shifted", {name: np.flip(value, axis).copy()}, text, 0.945
        if value.shape[axis] > 2:
            for step in (1, -1):
                text = Message(
                    "{name} was shifted by {step} along axis {axis}",
                    name=name,
                    step=step,
                    axis=axis,
                )
                yield "shifted", {name: np.roll(value, step, axis)}, text, 0.94


def _at_the_output(evidence: Evidence, w: Whole) -> Iterator[Guess]:
    y = np.asarray(evidence.known["y"])
    if y.shape == w.value.shape:
        text = Message("the output was put into the function in the place of {name}", name=w.name)
        yield "slope_place", {w.name: y.copy()}, text, 0.942


def _other_integers(name: str, value: np.ndarray) -> Iterator[Guess]:
    if value.size and np.isin(value, (0, 1)).all():
        text = Message("{name} was 1 everywhere", name=name)
        yield "mask_forgotten", {name: np.ones_like(value)}, text, 0.95
        flipped = (~value) if value.dtype.kind == "b" else 1 - value
        yield "mask_inverted", {name: flipped}, Message("{name} was inverted", name=name), 0.955
    if value.dtype.kind == "b":
        return
    top = int(value.max(initial=0)) + 1
    for step in (1, -1):
        moved = value + step
        text = Message("every number in {name} was one less", name=name)
        if step == 1:
            text = Message("every number in {name} was one more", name=name)
        yield "index_shift", {name: moved}, text, 0.955
        text += Message(" (the end wraps around)")
        for size in (top, top + 1, top + 2):
            yield "index_shift", {name: moved % size}, text, 0.95


def _updated(evidence: Evidence, w: Whole) -> Iterator[Guess]:
    """Weights that have taken their step already: W - c grad, with the c of the difference.

    A step in backward goes with dy, and so does what flows back: together they are quadratic.
    """
    if evidence.is_linear:
        return
    for name in evidence.subject.arrays:
        if name == w.name or name not in evidence.grads or name in evidence.failed:
            continue
        grad, value = evidence.grads[name], evidence.subject.arrays[name]
        if not isinstance(grad, np.ndarray) or grad.shape != value.shape or not grad.any():
            continue
        c = _step(evidence, w, name, value, grad)
        if c:
            text = Message(
                "{name} had taken a step of {c} times its gradient already", name=name, c=f"{c:.4g}"
            )
            yield "updated", {name: value - c * grad}, text, 0.975


def _step(evidence: Evidence, w: Whole, name: str, value: np.ndarray, grad: np.ndarray) -> float:
    """Return the c with which ours fits along a line through the weights."""
    moved = evidence.right_where(w, {name: value - 1e-3 * grad})
    if moved is None:
        return 0.0
    change, rest = ((moved - w.numeric) / 1e-3).ravel(), (w.analytic - w.numeric).ravel()
    if not change.any():
        return 0.0
    c = float(change @ rest / (change @ change))
    return round(c, 9) if np.abs(rest - c * change).max() < 0.3 * np.abs(rest).max() else 0.0


def other_upstream(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Try other gradients that may have arrived: of another order, without the batch, shared."""
    r = evidence.r
    if r.ndim == 0 or r.size < 3 or w.numeric.size < 2 or not w.analytic.any():
        return
    for key, other, words, score in _upstreams(r):
        if other.shape != r.shape or evidence.same(other, r):
            continue
        right = np.tensordot(other.ravel(), w.jacobian.reshape(r.size, *w.numeric.shape), 1)
        if evidence.same(w.analytic, right) and not evidence.same(w.numeric, right):
            text = _if(w.name, words)
            yield make_cause(key, w.name, text, score)
            return


def _upstreams(r: np.ndarray) -> Iterator[tuple[str, np.ndarray, str, float]]:
    for axis in range(r.ndim):
        yield (
            "pairing",
            np.flip(r, axis),
            Message("dy was reversed along axis {axis}", axis=axis),
            0.945,
        )
        for step in (1, -1):
            text = Message("dy was shifted by {step} along axis {axis}", step=step, axis=axis)
            yield "pairing", np.roll(r, step, axis), text, 0.945
        mean = np.broadcast_to(r.mean(axis=axis, keepdims=True), r.shape)
        yield (
            "axis",
            mean,
            Message("dy was replaced by its mean along axis {axis}", axis=axis),
            0.93,
        )
        total = np.broadcast_to(r.sum(axis=axis, keepdims=True), r.shape)
        yield (
            "axis",
            total,
            Message("dy was replaced by its sum along axis {axis}", axis=axis),
            0.93,
        )
        first = np.broadcast_to(r.take([0], axis), r.shape)
        yield (
            "one_sample",
            first,
            Message("every dy along axis {axis} was the first", axis=axis),
            0.93,
        )
        last = np.broadcast_to(r.take([-1], axis), r.shape)
        yield (
            "one_sample",
            last,
            Message("every dy along axis {axis} was the last", axis=axis),
            0.93,
        )
    if r.ndim == 2:
        yield "transpose", r.T, Message("dy was transposed"), 0.965
        yield (
            "pairing",
            r.reshape(r.shape[::-1]).T,
            Message("dy was reshaped, and not transposed"),
            0.94,
        )
        other = np.asarray(r).reshape(r.shape, order="F")
        yield "pairing", other, Message("dy was read in the other order"), 0.94
    yield "not_linear", np.abs(r), Message("dy was |dy|"), 0.97
    yield "not_linear", np.maximum(r, 0), Message("dy was cut off at 0"), 0.97
    yield "not_linear", r * r, Message("dy was squared"), 0.975


TESTS = (other_inputs, other_upstream)
