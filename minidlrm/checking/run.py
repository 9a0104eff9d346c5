"""Run: one reading of a target's code, checked on one set of inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minidlrm.checking import probing, protocol
from minidlrm.checking.catalogue import make_cause
from minidlrm.checking.comparing import Tolerance, compare
from minidlrm.checking.diagnosis import diagnose
from minidlrm.checking.evidence import Evidence
from minidlrm.checking.fingerprints import Fingerprint
from minidlrm.checking.forms import Reading
from minidlrm.checking.nearness import Near
from minidlrm.checking.numeric import SAME, Differences
from minidlrm.checking.protocol import Fault
from minidlrm.checking.raised import described
from minidlrm.checking.report import ArrayCheck, Cause, GradCheckReport
from minidlrm.checking.roles import unreturned
from minidlrm.checking.rules import from_faults
from minidlrm.checking.subject import FunctionPair, Subject
from minidlrm.languages import Message
from minidlrm.module import Module

# With the caller's own seed, r could be the caller's x: then r^T x is symmetric, and a
# transposed gradient passes.
_STREAM = 7_919_003
Check = Callable[..., GradCheckReport]  # gradcheck, for the layers inside
_NO_VERDICT = {"raised", "not_finite", "nan", "empty", "shape"}


@dataclass(frozen=True)
class Options:
    """The options of `gradcheck`."""

    method: str
    rtol: float | None
    atol: float | None
    max_checks: int | None
    seed: int


@dataclass(frozen=True)
class Question:
    """What is checked.

    Parameters
    ----------
    target : Module, FunctionPair or any object
        What has forward and backward.
    name : str
        What it is called in the report.
    inputs : tuple
        Of forward, the positional ones first.
    keywords : tuple of str
        The names of the last inputs.
    settings : tuple of int
        Which inputs were given as plain numbers.
    watched : bool
        Of the `Subject`.
    """

    target: Any
    name: str
    inputs: tuple[Any, ...]
    keywords: tuple[str, ...]
    settings: tuple[int, ...]
    watched: bool = False


class Run:
    """One reading of the code on one set of inputs: float64, and the code's own precision."""

    def __init__(self, question: Question, options: Options, reading: Reading | None):
        self.question, self.options = question, options
        target = question.target
        if isinstance(target, FunctionPair):
            target = FunctionPair(target.forward_function, target.backward_function, reading)
        self.target, self.reading = target, reading
        self.rng = np.random.default_rng((_STREAM, options.seed))
        self.faults: list[Fault] = []
        self.checks: tuple[ArrayCheck, ...] = ()
        self.remarks: list[str] = []
        self.others: dict[str, str] = {}
        self.tolerance = Tolerance(options.rtol or 1e-5, 1e-3, 2e-16, options.atol)
        self.evidence: Evidence | None = None
        self.as_given: Run | None = None  # on the ids as given, where this one is not
        self.ran = False  # forward, at least once

    # What came out

    def has(self, key: str) -> bool:
        """Whether a rule was broken."""
        return any(fault.key == key for fault in self.faults)

    @property
    def passed(self) -> bool:
        """Whether every array passed, and no rule was broken."""
        return not self.faults and all(check.passed for check in self.checks)

    @property
    def gives_no_verdict(self) -> bool:
        """Whether the inputs did not suit the code."""
        return any(fault.key in _NO_VERDICT for fault in self.faults)

    @property
    def is_flat(self) -> bool:
        """Whether the function does not move where the gradient is wrong: writes were lost."""
        wrong = [check for check in self.checks if not check.passed]
        faults = any(f.key != "unreached" for f in self.faults)
        return bool(wrong) and not faults and all(map(_is_flat, wrong))

    @property
    def first_wrong(self) -> str:
        """An array that failed."""
        names = [c.name for c in self.checks if not c.passed] + [f.array for f in self.faults]
        return next(filter(None, names), Message("an array"))

    def other_readings(self) -> Iterator[Reading]:
        """Yield what else the code may mean."""
        if not self.ran or self.reading is not None:
            return
        calls, form = self.analytic.calls, self.analytic.form
        yield from calls.possible[1:]
        if self.analytic.complex_names or (form is not None and any(form.complex_ones)):
            yield from (replace(reading, conjugate=True) for reading in calls.possible)

    @property
    def draws_unwatched(self) -> bool:
        """Whether forward draws from np.random, although it was not watched for that."""
        watched = self.question.watched or not isinstance(self.target, Module)
        return self.ran and not watched and self.subject.draws()

    def leave_random_numbers(self) -> None:
        """Set np.random back to where the caller had it."""
        if self.ran and isinstance(self.analytic.random.common, tuple):
            np.random.set_state(self.analytic.random.common)  # noqa: NPY002

    # Looking

    def look(self, quick: bool = False) -> None:
        """Check; quick: stop as soon as it is wrong."""
        if not self._run_forward():
            return
        grads = self._run_backward()
        if grads is None:
            return
        differences = self._differences(grads)
        if not quick:
            self.remarks += self.analytic.calls.remarks()
        if quick and (self.faults or differences.fits(grads, 1e-4) is False):
            self.faults = self.faults or [Fault("random", "", Message("it does not fit"))]
            return
        limits = self.options.max_checks, self.analytic is self.subject, self.rng
        known = self._known(differences, grads)
        self.checks = tuple(
            compare(differences, name, grad, self.tolerance, *limits, name in known)
            for name, grad in grads.items()
        )
        if not quick and any(not check.passed for check in self.checks):
            self.checks = tuple(map(self._with_rounding, self.checks))
        right = {check.name for check in self.checks if check.passed}  # of no use, so no gradient
        self.faults = [f for f in self.faults if f.key != "missing" or f.array not in right]
        if self.passed:
            self._look_further(differences, grads)
        if not self.passed:
            faults = tuple(self.faults)
            row = (self.subject, differences, self.r, grads, self.checks, faults)
            self.evidence = Evidence(*row)

    def _run_forward(self) -> bool:
        """Run forward in float64, and in the code's own precision; False: nothing to check."""
        question = self.question
        try:
            row = (question.keywords, self.reading, question.watched)
            given = Subject(self.target, question.inputs, [], *row)
            self.subject = self.analytic = given.astype(np.float64)
            floats = [array.dtype.itemsize for array in given.arrays.values()]
            if isinstance(self.target, FunctionPair) and floats and max(floats) < 8:
                self.analytic = given.astype(given.arrays[given.input_names[0]].dtype)
            self.same = self.analytic is self.subject
            self.before = self.subject.snapshot()
            self.fresh = self.subject.astype(np.float64) if self.same else None
            self.faults, self.output = protocol.forward_faults(self.subject, self.before)
            if any(fault.key != "modified" for fault in self.faults):
                return False
            self.ran = True
            self.y = self.output if self.same else self.analytic.output().copy()
        except Exception as error:
            self._raised(error, "forward")
            return False
        return True

    def _run_backward(self) -> dict[str, Any] | None:
        """Run backward, and check its rules; None: there is no gradient to compare."""
        analytic, y = self.analytic, self.y
        before = self.before if self.same else analytic.snapshot()
        lowest = min((y, *analytic.arrays.values()), key=lambda a: a.dtype.itemsize)
        coarse = y if self.same else lowest
        self.tolerance = Tolerance.of(coarse, self.options.rtol, self.options.atol)
        self.r = r = self.rng.normal(size=y.shape).astype(y.dtype)
        self.near = Near.of(self.tolerance.eps, r, analytic.arrays)
        try:
            if self.faults:  # forward has changed its inputs, and perhaps what it keeps
                analytic.output()
            returned = analytic.collect(analytic.backward(r.copy(), analytic.form))
        except Exception as error:
            self._raised(error, "backward")
            return None
        settings = frozenset(analytic.names[k] for k in self.question.settings)
        row = (self.subject, self.output, returned, settings, self.options.seed)
        forgotten, self.others = unreturned(*row)
        grads, faults = protocol.gradient_faults(analytic, returned, forgotten)
        there = {n: g for n, g in grads.items() if returned.get(n) is not None}
        in_form = all(returned.get(fault.array) is None for fault in faults)
        broken = self._broken_rules(there, before, in_form)
        is_random = any(fault.key == "noise" for fault in broken)
        self.faults += broken if is_random else faults + broken
        return None if is_random else grads

    def _broken_rules(self, grads: dict[str, Any], before: Any, in_form: bool) -> list[Fault]:
        analytic, y, r, tol = self.analytic, self.y, self.r, self.near
        try:
            if not in_form:
                return protocol.noise_faults(analytic, y)
            row = (r, grads, before, self.rng, tol)
            broken = protocol.backward_faults(analytic, self.fresh, y, *row)
            self.remarks += protocol.cache_remarks(analytic, r, tol)
        except Exception as error:
            return [self._fault_of(error, Message("a second pass of"))]
        return broken

    def _known(self, differences: Differences, grads: dict[str, Any]) -> set[str]:
        """Name the arrays that fit along one direction of all; a small one is asked alone."""
        if self.options.max_checks is not None or not self.same:
            return set()
        if not differences.fits(grads, SAME):
            return set()
        sizes = {n: float(np.abs(getattr(g, "values", g)).sum()) for n, g in grads.items()}
        return {n for n, size in sizes.items() if size > 1e-3 * sum(sizes.values())}

    def _differences(self, grads: dict[str, Any]) -> Differences:
        weights = self.r.astype(np.float64)
        row = (self.subject, weights, self.options.method, self.rng, grads, self.output)
        return Differences(*row)

    def _with_rounding(self, check: ArrayCheck) -> ArrayCheck:
        """Pass an array that is off by no more than the rounding of its inputs explains."""
        if check.passed:
            return check
        largest = np.maximum(np.abs(check.analytics), np.abs(check.numerics))
        if self.same and (largest <= self._unseen(check)).all():
            return replace(check, passed=True)
        if self.same and not check.error < 0.5:
            return check
        rng = np.random.default_rng((_STREAM, self.options.seed, 2))
        row = (self.analytic, self.r, [check.name], self.tolerance.eps, rng)
        try:
            moves = probing.spread(*row)[check.name][tuple(check.indices.T)]
        except Exception:
            return check
        largest = np.abs(check.numerics).max()  # a jump, at a corner, is not rounding
        moves = np.minimum(moves, (1e-3 if self.same else 0.01) * largest)
        if check.error < 0.15 or not self.same:
            moves = moves + 0.1 * self._unseen(check)
        return replace(check, passed=True) if _is_within(check, moves, self.tolerance) else check

    def _unseen(self, check: ArrayCheck) -> np.ndarray:
        """Return the slopes at which a move of the whole entry is lost in the output's rounding."""
        values = np.abs(self.subject.arrays[check.name][tuple(check.indices.T)])
        rounding = 100 * self.tolerance.eps * float(np.abs(self.r * self.y).max())
        return rounding / np.clip(values, 1e-3, 1)

    def _look_further(self, differences: Differences, grads: dict[str, Any]) -> None:
        """Look at what may be wrong although every entry passed."""
        if not any(map(_holds_integers, self.question.inputs)):
            self.remarks += probing.lookup_remarks(differences, grads)
        prober = probing.Prober(
            self.subject, self.analytic, differences, self.r, grads, self.tolerance.eps, self.rng
        )
        self.faults, remarks = prober.faults_and_remarks()
        self.remarks += remarks
        if self.same and self.tolerance.eps < 1e-10:
            names = [c.name for c in self.checks if _may_hide_rounding(c)]
            if names:
                self.faults += probing.rounding_faults(
                    self.analytic, self.r, names, self.near.floor, self.rng
                )
            self.remarks += [
                _approximate(c) for c in self.checks if c.name in names and _is_near(c)
            ]

    def _raised(self, error: Exception, what: str) -> None:
        self.faults.append(self._fault_of(error, what))

    def _fault_of(self, error: Exception, what: str) -> Fault:
        names = ("forward_function", "backward_function")
        functions = [getattr(self.target, name, None) for name in names]
        text = described(error, what, tuple(filter(None, functions)))
        return Fault("raised", "", text)

    # The report

    def report(self, fingerprints: tuple[Fingerprint, ...], check: Check) -> GradCheckReport:
        """Return the report, with causes where something is wrong."""
        causes: tuple[Cause, ...] = ()
        if self.evidence is not None:
            causes = _diagnosed(self.evidence, fingerprints, check)
        elif self.faults:
            causes = from_faults(self.faults)
        if self.as_given is not None and _say_nothing(causes):
            plain = self.as_given.report(fingerprints, check)
            if not _say_nothing(plain.diagnosis):
                return plain
        texts = tuple(dict.fromkeys(fault.text for fault in self.faults))
        others = tuple((n, self.analytic.arrays[n].shape, r) for n, r in self.others.items())
        row = (self.question.name, self.checks, self.tolerance.rtol, texts, tuple(causes))
        return GradCheckReport(*row, tuple(dict.fromkeys(self.remarks)), others)


def _say_nothing(causes: tuple[Cause, ...]) -> bool:
    return all(cause.key == "random" for cause in causes)


def _holds_integers(value: Any) -> bool:
    value = getattr(value, "sparse", value)
    if isinstance(value, (list, tuple)):
        return any(map(_holds_integers, value))
    return getattr(value, "values", value) is not value or (
        getattr(value, "dtype", np.dtype(float)).kind in "iu" and np.ndim(value) > 0
    )


def _is_within(check: ArrayCheck, moves: np.ndarray, tolerance: Tolerance) -> bool:
    off = np.abs(check.analytics - check.numerics)
    size = np.maximum(np.abs(check.analytics), np.abs(check.numerics))
    usual = tolerance.rtol * (size + tolerance.floor_of(float(np.abs(check.numerics).max())))
    return bool((off <= usual + check.numeric_error + 10 * moves).all())


def _is_flat(check: ArrayCheck) -> bool:
    off = np.abs(check.analytics - check.numerics) > 1e-4 * np.abs(check.analytics).max(initial=0)
    return bool(off.any()) and not check.numerics[off].any()


def _may_hide_rounding(check: ArrayCheck) -> bool:
    """Whether a gradient that passed is farther off than float64 explains, or nobody knows."""
    return check.num_checked > 0 and (check.error > 1e-10 or check.method != "complex")


def _is_near(check: ArrayCheck) -> bool:
    return check.method == "complex" and check.error > 1e-8


def _approximate(check: ArrayCheck) -> str:
    return Message(
        "the gradient of {name} agrees to {error} and not better, although the numeric one is "
        "exact: is there an approximation, such as an epsilon in one pass alone?",
        name=check.name,
        error=f"{check.error:.0e}",
    )


def _diagnosed(
    evidence: Evidence, fingerprints: tuple[Fingerprint, ...], check: Check
) -> tuple[Cause, ...]:
    """Diagnose; code that fails under the questions of the diagnosis still gets its report."""
    try:
        return diagnose(evidence, fingerprints, check)
    except Exception as error:
        text = Message(
            "The code stopped when it was asked more: {error}.",
            error=f"{type(error).__name__}: {error}",
        )
        return (*from_faults(evidence.faults), make_cause("random", "", text, 0.1))
