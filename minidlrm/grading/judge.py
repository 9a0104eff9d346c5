"""How the checks judge: values, gradients, and tests that students wrote."""

from __future__ import annotations

import inspect
import re
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidlrm.checking import gradcheck
from minidlrm.grading.reading import StudentError
from minidlrm.languages import Message, as_message, joined


class Wrong(AssertionError):
    """A wrong answer: what is wrong in words, and the name of the mistake.

    Parameters
    ----------
    words, mistake : str
        The words for the student, and the name for the class: a `Message`, where it is ours.
    foreseen : bool
        Whether this is a slip that the checks know: what follows rightly from it is credited.
    """

    def __init__(self, words: str, mistake: str = "", foreseen: bool = False):
        super().__init__(words)
        self.mistake, self.foreseen = mistake, foreseen


def same(name: str, value: Any, expected: Any, rtol: float = 1e-6, tell: bool = True) -> None:
    """Compare an array or number with the right one; `Wrong` says where they differ.

    Parameters
    ----------
    name : str
        The name of what was computed.
    value, expected : array_like
        What came back, and what should have.
    rtol : float
        The tolerance, relative to the largest entry.
    tell : bool
        Whether the message may say the right value.
    """
    expected, name = np.asarray(expected), as_message(name)
    if value is None:
        words = Message("{name} returned nothing (None): does it end with return?", name=name)
        raise Wrong(words, Message("nothing returned"))
    value = numbers(name, value)
    if value.shape != expected.shape:
        shapes = {"shape": str(value.shape), "right": str(expected.shape)}
        words = Message("{name} has the shape {shape}; it should be {right}", name=name, **shapes)
        raise Wrong(words, Message("wrong shape"))
    if not np.isfinite(value).all():
        words = Message("{name} has entries that are nan or infinite", name=name)
        raise Wrong(words, Message("nan or infinite"))
    off = np.abs(value - expected)
    size = max(float(np.abs(expected).max(initial=0)), 1e-12)
    if off.max(initial=0) > rtol * size:
        place = tuple(map(int, np.unravel_index(off.argmax(), off.shape)))
        said = {"name": name, "value": f"{value[place]:.6g}"}
        words = Message("{name} is {value}", **said)
        if place:
            words = Message("{name} is {value} at {place}", **said, place=str(place))
        right = f"{expected[place]:.6g}"
        words = (
            Message("{words}; it should be {right}", words=words, right=right)
            if tell
            else Message("{words}, and that is not right", words=words)
        )
        raise Wrong(words, Message("wrong values"))


def numbers(name: str, value: Any) -> np.ndarray:
    """Return what came back as an array of real numbers, or raise `Wrong`."""
    name = as_message(name)
    try:
        array = np.asarray(value)
        if array.dtype.kind in "biuf":
            return array.astype(np.float64)
    except (TypeError, ValueError):  # rows of different lengths
        array = np.zeros(0)
    if array.dtype.kind == "c":
        words = Message("{name} has complex numbers; they should be real", name=name)
        raise Wrong(words, Message("complex numbers"))
    raise Wrong(Message("{name} is not an array of numbers", name=name), Message("no numbers"))


def gradient(
    student: Any,
    name: str,
    forward: Callable,
    *arrays: Any,
    only: Sequence[str] = (),
    fingerprints: Sequence[Any] = (),
    own: str | tuple[str, Callable] = "",
) -> None:
    """Check ``name(dy, *arrays)`` of the submission against differences of `forward`.

    Parameters
    ----------
    student, name
        The submission (anything with the method `call`) and the name of its function.
    forward : callable
        The right forward pass, ``forward(*arrays)``.
    *arrays
        Its arguments.
    only : sequence of str
        The arguments whose gradients count here; all by default.
    fingerprints : sequence of Fingerprint
        Known wrong formulas of this task.
    own : str or (str, callable)
        The student's own forward pass: its name; where its arguments differ, also
        ``adapt(*arrays)``, which returns them. When a foreseen slip is in it, the gradient of what
        the student computes is right as well.
    """
    try:
        _gradient(student, name, forward, *arrays, only=only, fingerprints=fingerprints)
    except (Wrong, StudentError):
        own_name, adapt = own if isinstance(own, tuple) else (own, lambda *inputs: inputs)
        slips = getattr(student, "slips", {})
        if own_name not in slips:
            raise
        try:
            mine = _own(student, own_name, adapt, forward)
            _gradient(student, name, mine, *arrays, only=only)
            follows = True
        except Exception:
            follows = False
        if not follows:  # wrong by itself, too: what the first look said is said
            raise
        student.credits.append(Message("it is the gradient of your own {name}", name=own_name))


def _own(student: Any, name: str, adapt: Callable, forward: Callable) -> Callable:
    """Return the student's forward pass, with the signature of the right one."""

    def mine(*inputs):
        if any(np.iscomplexobj(each) for each in inputs):
            raise TypeError("real numbers only")
        return numbers(name, student.call(name, *adapt(*inputs)))

    mine.__signature__ = inspect.signature(forward)  # type: ignore[attr-defined]
    return mine


def _gradient(
    student: Any,
    name: str,
    forward: Callable,
    *arrays: Any,
    only: Sequence[str] = (),
    fingerprints: Sequence[Any] = (),
) -> None:
    """Check one backward pass against the differences of one forward pass."""

    def with_inputs(*inputs):
        return forward(*inputs), inputs

    failure: list[Exception] = []
    signature = inspect.signature(forward)
    wanted = [
        argument
        for argument, value in zip(signature.parameters, arrays, strict=False)
        if np.asarray(value).dtype.kind == "f"
    ]

    def backward(dy, inputs):
        try:
            return _as_gradients(student.call(name, dy, *inputs), wanted)
        except (StudentError, Wrong) as error:
            failure.append(error)
            raise

    with_inputs.__name__ = name
    with_inputs.__signature__ = signature  # type: ignore[attr-defined]
    try:
        report = gradcheck(
            (with_inputs, backward), *arrays, fingerprints=fingerprints, verbose=False
        )
    except Exception:
        if failure:
            raise failure[0] from None
        raise
    if failure and any(cause.key == "raised" for cause in report.diagnosis):
        raise failure[0] from None
    bad = [check for check in report.arrays if not check.passed]
    if only:
        bad = [check for check in bad if check.name in only]
    general = [
        fault
        for fault in report.faults
        if not only or any(re.search(rf"\b{n}\b", fault) for n in only)
    ]
    if not bad and not (general if only else report.faults):
        return
    causes = [c for c in report.diagnosis if not only or c.array in (*only, "")]
    lines: list[str] = [_worst(check) for check in bad[:3]]
    lines += map(as_message, general[:2])
    if causes:
        cause = causes[0]
        lines = [line for line in lines if line.lower() not in cause.evidence.lower()]
        lines.insert(0, _headline(name, cause))
        lines += [as_message(cause.evidence), Message("Hint: {hint}", hint=as_message(cause.hint))]
    mistake = causes[0].title if causes else Message("wrong gradient")
    raise Wrong(joined(filter(None, lines), "\n"), mistake, bool(causes))


def _worst(check: Any) -> str:
    """Say the worst entry of an array."""
    return Message(
        "{entry}: yours is {yours}, the numeric gradient {numeric} (worst of {number} entries)",
        entry=f"{check.name}{list(check.index)}",
        yours=f"{check.analytic:.6g}",
        numeric=f"{check.numeric:.6g}",
        number=check.num_checked,
    )


def _headline(name: str, cause: Any) -> str:
    """Say which cause a function has."""
    where = f" ({cause.array})." if cause.array else "."
    return joined([f"{name}: ", as_message(cause.title), where])


def _as_gradients(value: Any, wanted: Sequence[str]) -> Any:
    if value is None:
        raise StudentError(Message("it returned nothing (None): does it end with return?"))
    parts = value if isinstance(value, list) else [value]
    if len(parts) != len(wanted):
        raise StudentError(
            Message(
                "it returned {number} arrays; it should return {wanted}: the gradients of {names}",
                number=len(parts),
                wanted=len(wanted),
                names=", ".join(wanted),
            )
        )
    missing = [name for name, part in zip(wanted, parts, strict=True) if part is None]
    if missing:
        raise StudentError(Message("the gradient of {name} is None", name=missing[0]))
    return tuple(
        numbers(Message("the gradient of {name}", name=name), part)
        for name, part in zip(wanted, parts, strict=True)
    )


def catches(
    verdict: Callable[..., Any],
    right: Sequence[Any],
    wrong: Sequence[tuple[str, Any]],
    rng: np.random.Generator,
    earn: Callable[[float], Any],
) -> None:
    """Give a student's test the share of the wrong functions that it finds.

    Right and wrong ones come in a random order, the right ones several times: a test that counts
    its calls, and looks at nothing, learns nothing from that.

    Parameters
    ----------
    verdict : callable
        ``verdict(candidate) -> bool``: whether the student's test passes it.
    right : sequence
        Right functions: a test that fails one of them earns nothing.
    wrong : sequence of (story, function)
        The planted bugs.
    rng : numpy.random.Generator
        Random numbers for the order: the fixture `order`, which no question tells.
    earn : callable
        Called with the share.

    Raises
    ------
    Wrong
        When a right function fails, or when a bug is not found: with what it was.
    """
    candidates = [("", each) for each in right for _ in range(3)] + list(wrong)
    missed = []
    for k in rng.permutation(len(candidates)):
        story, candidate = candidates[k]
        passes = _as_bool(verdict(candidate))
        if not story and not passes:
            words = Message("your test fails a function that is right")
            raise Wrong(words, Message("false alarm"))
        if story and passes:
            missed.append(story)
    share = 1 - len(missed) / len(wrong)
    if not share:
        words = Message("your test passes everything: it finds none of the planted mistakes")
        raise Wrong(words, Message("blind"))
    earn(share)
    if missed:
        words = Message(
            "your test finds {share} of the planted mistakes. It does not notice this one: "
            "{story}.",
            share=f"{share:.0%}",
            story=as_message(min(missed)),
        )
        raise Wrong(words, Message("a test too weak"))


def _as_bool(value: Any) -> bool:
    if value is None:
        words = Message("your test returned nothing (None): does it end with return?")
        raise Wrong(words, Message("no verdict"))
    if isinstance(value, (bool, int, float)) or (isinstance(value, np.ndarray) and not value.ndim):
        return bool(value)
    raise Wrong(Message("your test must return True or False"), Message("no verdict"))


def personal(student_id: str, task: str) -> np.random.Generator:
    """Return the random numbers of one student for one task: the same in every run."""
    return np.random.default_rng(zlib.crc32(f"{task}:{student_id}".encode()))
