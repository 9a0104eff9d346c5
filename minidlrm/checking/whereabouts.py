"""When no cause fits: where a gradient is right and where it is wrong, on the smallest example."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from minidlrm.checking.catalogue import make_cause
from minidlrm.checking.evidence import Evidence, Whole
from minidlrm.checking.jacobians import do_not_meet
from minidlrm.checking.numeric import Differences
from minidlrm.checking.report import Cause, GradCheckReport
from minidlrm.checking.subject import FunctionPair, Subject, as_dense
from minidlrm.languages import Message, joined

_SMALL = 8  # the length to which long axes are cut
_TRIES = 40  # smaller inputs that are tried


def nothing_fits(evidence: Evidence) -> Cause:
    """Return the cause "no simple cause fits", with all that can be said.

    Parameters
    ----------
    evidence : Evidence
        A failed check that no hypothesis explains.
    """
    name = evidence.failed[0] if evidence.failed else ""
    whole = evidence.whole(name) if name and not evidence.broken(name) else None
    said: list[str] = []
    right = [check.name for check in evidence.checks if check.passed]
    if right and name:
        said.append(Message("The gradient of {names} is right.", names=", ".join(right)))
    if whole is not None:
        with np.errstate(all="ignore"):
            said += list(_where(evidence, whole))
        said.append(_smallest(evidence, name))
    text = joined(filter(None, said), " ")
    return make_cause("random", name, text, 0.1)


def _where(evidence: Evidence, w: Whole) -> Iterator[str]:
    """Say where it is right: rows, columns, signs, and dy of which outputs."""
    off = np.abs(w.analytic - w.numeric) > evidence.tol * np.abs(w.numeric).max(initial=0)
    wrong, count = int(off.sum()), off.size
    if wrong == count:
        yield Message("Every entry of the gradient of {name} is wrong.", name=w.name)
    else:
        yield Message(
            "{wrong} of the {count} entries of the gradient of {name} are wrong.",
            wrong=wrong,
            count=count,
            name=w.name,
        )
        yield from _by_index(w, off)
        yield from _by_sign(w, off)
    both = evidence.jacobians(w)
    yield do_not_meet(evidence, w)
    if both is not None and len(both[0]) > 1:
        yield from _by_output(evidence, w, *both)


def _by_index(w: Whole, off: np.ndarray) -> Iterator[str]:
    for axis in range(off.ndim):
        others = tuple(k for k in range(off.ndim) if k != axis)
        some = np.flatnonzero(off.any(axis=others))
        if len(some) < off.shape[axis]:
            yield Message(
                "Along axis {axis} only {some} are wrong, of {count}.",
                axis=axis,
                some=_list(some),
                count=off.shape[axis],
            )


def _by_sign(w: Whole, off: np.ndarray) -> Iterator[str]:
    x = w.here
    for inside, words in ((x > 0, "> 0"), (x < 0, "< 0")):
        if inside.any() and not inside.all() and not off[inside].any():
            yield Message("It is right wherever {condition}.", condition=f"{w.name} {words}")


def _by_output(evidence: Evidence, w: Whole, ours, theirs) -> Iterator[str]:
    """Ask which outputs send back the right gradient."""
    size = evidence.tol * np.abs(theirs).max()
    bad = (np.abs(ours - theirs) > size).any(axis=1).reshape(evidence.r.shape)
    if bad.all():
        return
    for axis in range(bad.ndim):
        others = tuple(k for k in range(bad.ndim) if k != axis)
        some = np.flatnonzero(bad.any(axis=others))
        if len(some) < bad.shape[axis]:
            yield Message(
                "The dy of the outputs {some} along axis {axis} are sent back wrong; those of the "
                "others right.",
                some=_list(some),
                axis=axis,
            )
            return
    place = tuple(map(int, np.argwhere(bad)[0]))
    yield Message(
        "The dy of {some} of {count} outputs are sent back wrong, first {place}.",
        some=int(bad.sum()),
        count=bad.size,
        place=place,
    )


def _list(some: np.ndarray) -> str:
    return ", ".join(map(str, some[:6].tolist())) + (", ..." if len(some) > 6 else "")


# Smaller inputs


def smaller(
    evidence: Evidence, fingerprints: Sequence[Any], check: Callable[..., GradCheckReport]
) -> Iterator[Cause]:
    """Diagnose arrays that are too large to compare whole: on inputs that are cut.

    Parameters
    ----------
    evidence : Evidence
        A failed check.
    fingerprints : sequence of Fingerprint
        As in `diagnose`.
    check : callable
        `gradcheck`.
    """
    subject = evidence.subject
    if not isinstance(subject.target, FunctionPair):
        return
    if any(not isinstance(value, np.ndarray) for value in subject.inputs):
        return
    inputs = tuple(subject.inputs)
    lengths = sorted({n for value in inputs for n in value.shape if n > _SMALL}, reverse=True)
    for k, length in enumerate(lengths):  # lengths that differ stay different
        inputs = tuple(_cut(value, length, max(2, _SMALL - k)) for value in inputs)
    if not lengths:
        return
    try:
        target = subject.target
        pair = target.forward_function, target.backward_function
        report = check(pair, *inputs, fingerprints=fingerprints, verbose=False)
    except Exception:
        return  # the code does not take them
    if not report.passed and all(cause.key != "raised" for cause in report.diagnosis[:1]):
        shapes = ", ".join(f"{n} {v.shape}" for n, v in zip(subject.names, inputs, strict=True))
        for cause in report.diagnosis[:3]:
            text = Message(
                "On the inputs cut to {shapes}: {text}", shapes=shapes, text=cause.evidence
            )
            yield replace(cause, evidence=text)


# The smallest example


def _smallest(evidence: Evidence, name: str) -> str:
    """Cut the inputs while the gradient stays wrong, and show the first wrong number."""
    subject = evidence.subject
    if any(not isinstance(value, np.ndarray) for value in subject.inputs):
        return ""
    inputs, found = tuple(subject.inputs), None
    lengths = sorted({n for value in inputs for n in value.shape}, reverse=True)
    tries = 0
    for length in lengths:
        for shorter in range(1, length):
            tries += 1
            if tries > _TRIES:
                break
            cut = tuple(_cut(value, length, shorter) for value in inputs)
            wrong = _first_wrong(subject, cut, name, evidence.tol)
            if wrong:
                inputs, found = cut, wrong
                break
    if found is None:
        return ""
    shapes = ", ".join(f"{n} {v.shape}" for n, v in zip(subject.names, inputs, strict=True))
    place, ours, theirs = found
    where = f"{name}{list(place)}" if place else name
    return Message(
        "It fails with {shapes} already: there the gradient of {name} is {ours}, and should be "
        "{right}. Work this one out on paper.",
        shapes=shapes,
        name=where,
        ours=f"{ours:.5g}",
        right=f"{theirs:.5g}",
    )


def _cut(value: np.ndarray, length: int, shorter: int) -> np.ndarray:
    return value[tuple(slice(shorter if n == length else n) for n in value.shape)].copy()


def _first_wrong(subject: Subject, inputs: tuple[Any, ...], name: str, tol: float):
    """Return (place, ours, theirs) of the worst number on these inputs; None if it is right."""
    try:
        elsewhere = getattr(subject, "elsewhere", None)
        small = elsewhere(inputs) if elsewhere else Subject(subject.target, inputs, subject.names)
        y = small.output()
        if y.size == 0 or not np.isfinite(y).all():
            return None
        rng = np.random.default_rng(5)
        r = rng.normal(size=y.shape)
        grads, _ = small.gradients(r.copy())
        ours = np.asarray(as_dense(grads[name]), float)
        differences = Differences(small, r, "auto", rng, None, y)
        shape = small.arrays[name].shape
        theirs = np.array([differences.slope(name, at).value for at in np.ndindex(shape)])
    except Exception:
        return None  # these sizes do not fit together
    if ours.shape != shape or not theirs.size:
        return None
    off = np.abs(ours.ravel() - theirs)
    k = int(np.argmax(off))
    if not off[k] > 10 * tol * np.abs(theirs).max():
        return None
    place = tuple(map(int, np.unravel_index(k, shape)))
    return place, float(ours.ravel()[k]), float(theirs[k])
