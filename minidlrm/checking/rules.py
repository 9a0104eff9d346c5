"""Causes from the rules that were broken: what form, state or a second dy tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, permutations
from typing import Any

import numpy as np

from minidlrm.checking.catalogue import make_cause
from minidlrm.checking.evidence import Evidence
from minidlrm.checking.protocol import Fault
from minidlrm.checking.report import Cause
from minidlrm.checking.subject import as_dense
from minidlrm.languages import Message, sentence

_SCORES = {"leftover": 0.7, "not_linear": 0.97, "missing": 0.97, "shape": 0.96}


def from_faults(faults: Sequence[Fault]) -> tuple[Cause, ...]:
    """Return a cause for each rule that was broken.

    A backward that gives another result the second time, or changes an array, shows as one that
    depends on an earlier forward, too: only the first says something.
    """
    keys = {fault.key for fault in faults}
    causes = []
    for fault in faults:
        if fault.key == "stale" and keys & {"leftover", "modified"}:
            continue
        text = sentence(fault.text)
        key = "transpose" if fault.key == "transposed_shape" else fault.key
        score = _SCORES.get(fault.key, 0.98)
        score -= 0.02 * (key == "missing" and "shape" in keys)  # it may be inside of another
        causes.append(make_cause(key, fault.array, text, score))
    return tuple(causes)


def causes(evidence: Evidence) -> Iterator[Cause]:
    """Yield the causes of the broken rules, and what asking once more tells of them."""
    keys = {fault.key for fault in evidence.faults}
    yield from from_faults(evidence.faults)
    if "shape" in keys:
        yield from _order(evidence)
    if "leftover" in keys:
        yield from _updated_by_itself(evidence)
        yield from _drawn(evidence)
    if "not_linear" in keys:
        for name in evidence.failed or list(evidence.grads):
            yield from _not_linear(evidence, name)
    for name in evidence.failed:
        yield from _single(evidence, name)
    if not keys & {"shape", "missing"}:
        yield from _not_returned(evidence)


def _not_returned(evidence: Evidence) -> Iterator[Cause]:
    """None is given for a gradient that is not zero."""
    grads, _ = evidence.subject.gradients(evidence.r.copy())
    for name in evidence.failed:
        if grads.get(name) is None:
            text = Message(
                "backward returns no gradient of {name}, and the output depends on it.", name=name
            )
            yield make_cause("missing", name, text, 0.955)


def _order(evidence: Evidence) -> Iterator[Cause]:
    """The gradients that were returned fit the inputs in another order."""
    inputs = evidence.subject.input_names
    if not 2 <= len(inputs) <= 5:
        return
    grads, _ = evidence.subject.gradients(evidence.r.copy())
    returned = [grads.get(name) for name in inputs]
    if any(grad is None or isinstance(grad, dict) for grad in returned):
        return
    for order in permutations(range(len(inputs))):
        pairs = [(inputs[k], np.asarray(returned[j])) for k, j in enumerate(order)]
        if order == tuple(sorted(order)) or not all(_fits(evidence, *pair) for pair in pairs):
            continue
        names = ", ".join(inputs[order.index(k)] for k in range(len(inputs)))
        text = Message(
            "What backward returns is right for {names}, in this order; the arguments of forward "
            "are {inputs}.",
            names=names,
            inputs=", ".join(inputs),
        )
        yield make_cause("order", "", text, 0.99)
        return


def _fits(evidence: Evidence, name: str, grad: np.ndarray) -> bool:
    if grad.dtype.kind not in "fiu" or grad.shape != evidence.subject.arrays[name].shape:
        return False
    whole = evidence.whole(name)
    return whole is not None and evidence.same(grad, whole.numeric)


def _updated_by_itself(evidence: Evidence) -> Iterator[Cause]:
    """Backward changes a parameter, so that the second time all is different."""
    before = evidence.subject.snapshot()
    parameters = evidence.subject.parameters
    values = {name: p.value.copy() for name, p in parameters.items()}
    evidence.subject.gradients(evidence.r.copy())
    changed = [name for name, p in parameters.items() if not np.array_equal(p.value, values[name])]
    changed = changed or evidence.subject.changed(before)
    for name, value in values.items():
        parameters[name].value[...] = value
    evidence.subject.restore(before)
    if changed:
        text = Message(
            "Backward changes {names} in place, so the second time all differs.",
            names=", ".join(changed),
        )
        yield make_cause("modified", changed[0], text, 0.99)


def _drawn(evidence: Evidence) -> Iterator[Cause]:
    """Backward that draws random numbers: it never gives the same, and does not grow either."""
    seen = [_all(evidence, evidence.r) for _ in range(4)]
    steps = [b - a for a, b in pairwise(seen)]
    if all(step.any() for step in steps) and not np.allclose(steps[1], steps[2], atol=1e-9):
        text = Message(
            "On the same input and the same dy backward gives a different result each time: it "
            "draws its own random numbers."
        )
        yield make_cause("noise", "", text, 0.985)


def _all(evidence: Evidence, dy: np.ndarray) -> np.ndarray:
    """Run both passes, and return all gradients in one flat array."""
    grads, _ = evidence.subject.gradients(np.array(dy))
    flat = [as_dense(grads[name]).ravel() for name in evidence.grads if grads.get(name) is not None]
    return np.concatenate(flat).astype(float)


def _of(evidence: Evidence, name: str, dy: np.ndarray) -> np.ndarray:
    grads, _ = evidence.subject.gradients(np.array(dy))
    return np.asarray(as_dense(grads[name]), float)


def _not_linear(evidence: Evidence, name: str) -> Iterator[Cause]:
    """See how a gradient that is not linear in dy depends on it."""
    r = evidence.r
    one, two, none = (_of(evidence, name, dy) for dy in (r, 2 * r, 0 * r))
    if not one.any():
        return
    if _is_whole(one) and not _is_whole(evidence.subject.arrays[name]):
        text = Message(
            "Every entry of the gradient of {name} is a whole number: it was stored in integers, "
            "which cut off the rest.",
            name=name,
        )
        yield make_cause("dtype", name, text, 0.985)
    elif evidence.same(two, 4 * one):
        text = Message(
            "backward(2 dy) is 4 backward(dy), for {name}: dy is there twice.", name=name
        )
        yield make_cause("not_linear", name, text, 0.975)
    elif evidence.same(one, none):
        text = Message("The gradient of {name} is the same whatever dy is.", name=name)
        yield make_cause("upstream_ignored", name, text, 0.975)
    elif np.abs(none).max() > 1e-6 * np.abs(one).max():
        text = Message(
            "backward(0) is not 0: a part of the gradient of {name} has no factor dy.", name=name
        )
        yield make_cause("not_linear", name, text, 0.972)
    else:
        yield from _limited(evidence, name, one)


def _is_whole(values: Any) -> bool:
    values = np.asarray(values, float)
    return bool(np.abs(values).max(initial=0) >= 1 and (values == np.round(values)).all())


def _limited(evidence: Evidence, name: str, one: np.ndarray) -> Iterator[Cause]:
    """Ask with a large dy: a gradient that is cut off does not grow with it."""
    large = _of(evidence, name, 1e6 * evidence.r)
    most = np.abs(large).max()
    if evidence.same(large, one):
        text = Message(
            "With a dy 1,000,000 times as large the gradient of {name} is the same: it follows the "
            "direction of dy, and not its size. It is divided by a norm.",
            name=name,
        )
        yield make_cause("not_linear", name, text, 0.976)
    elif most < 1e5 * np.abs(one).max():
        norm = np.sqrt((large**2).sum())
        at_limit = int((np.abs(large) >= most * (1 - 1e-9)).sum())
        limit = Message("its norm is {norm}", norm=f"{norm:.4g}")
        if at_limit > 1:
            limit = Message("{count} entries are at {most}", count=at_limit, most=f"{most:.4g}")
        text = Message(
            "With a dy 1,000,000 times as large the gradient of {name} does not grow: {limit}. It "
            "is clipped.",
            name=name,
            limit=limit,
        )
        yield make_cause("not_linear", name, text, 0.976)


def _single(evidence: Evidence, name: str) -> Iterator[Cause]:
    """Every number is exactly one of float32, where the arrays are float64."""
    grad = evidence.grads[name]
    if evidence.broken(name) or evidence.r.dtype.itemsize < 8 or not isinstance(grad, np.ndarray):
        return
    whole = evidence.whole(name)
    if whole is None or whole.rows is not None or grad.size < 2 or not grad.any():
        return
    off = np.abs(grad - whole.numeric).max() / np.abs(whole.numeric).max(initial=1e-300)
    for dtype, near in ((np.float16, 1e-2), (np.float32, 1e-5)):
        if off <= near and (grad == grad.astype(dtype)).all() and not _is_whole(grad):
            text = Message(
                "Each number of the gradient of {name} is one of {dtype}: it was computed in that "
                "precision, and turned into float64.",
                name=name,
                dtype=dtype.__name__,
            )
            yield make_cause("dtype", name, text, 0.98)
            return
