"""gradcheck: is the backward pass the derivative of the forward pass?

The outputs y are reduced to one number L = sum(r * y) with random r, so that the analytic
gradient is backward(r). First the rules that need no difference quotient are checked
(`protocol`); then each array is moved, along a direction and entry by entry (`entries`), and
the slope of L must agree (`numeric`); and when something is wrong, `diagnosis` says what it
looks like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from minidlrm.checking import protocol
from minidlrm.checking.catalogue import make_cause
from minidlrm.checking.diagnosis import Fingerprint, diagnose, from_faults
from minidlrm.checking.entries import choose, entry
from minidlrm.checking.evidence import Evidence
from minidlrm.checking.location import is_theirs, located
from minidlrm.checking.numeric import METHODS, Differences, Slope
from minidlrm.checking.report import ArrayCheck, Cause, GradCheckReport
from minidlrm.checking.subject import FunctionPair, Subject, collide_all
from minidlrm.module import Module

# With the caller's own seed, r could be the caller's x: then r^T x is symmetric, and a
# transposed gradient passes.
_STREAM = 7_919_003
_RTOL = {8: 1e-5, 4: 2e-3, 2: 0.1}  # by the bytes of the least precise float in play
_MANY = 100  # entries of an array, one by one
_FLOOR = {8: 1e-3, 4: 1e-2, 2: 0.1}  # entries below this share of the largest are noise


def gradcheck(
    target: Any,
    *inputs: Any,
    method: str = "auto",
    rtol: float | None = None,
    atol: float | None = None,
    max_checks: int | None = None,
    seed: int = 0,
    fingerprints: Sequence[Fingerprint] = (),
    verbose: bool = True,
) -> GradCheckReport:
    """Check every parameter and every differentiable input, and explain what is wrong.

    The gradient that arrives is random: a sum of the outputs would pass a backward that
    ignores it. The ids in `inputs` are changed so that they collide, inside a bag and across
    bags: a backward that loses the repeats of an id would pass on distinct ids. All rows of
    a table that its gradient leaves out are moved at once: the output must not change.

    Parameters
    ----------
    target : Module, or pair of functions
        A layer, a loss, or a model: it is copied in float64, and not changed. Or
        ``(forward, backward)``, as a student writes them: ``forward(*arrays)`` returns y, or
        y and a cache; ``backward(dy)``, or ``backward(dy, cache)``, returns a gradient for
        each float array.
    *inputs
        What forward takes: arrays, a `Jagged`, or a `Batch`. backward returns the gradients
        of the float arrays in their order; the last ones may be left out (a loss has none
        for its labels), but not all. A pair that is given float32 arrays is run in float32,
        and compared with numeric gradients in float64.
    method : "auto", "complex", "richardson" or "central"
        How the numeric gradient is made; see `minidlrm.checking.numeric`.
    rtol : float, optional
        An entry passes when ``|a - n| <= rtol (max(|a|, |n|) + floor)``, plus the numeric
        gradient's own error. The default follows the precision: 1e-5 for float64, 2e-3 for float32.
    atol : float, optional
        rtol times the floor. By default the floor is 1/1000 of the largest entry of the array
        (float32: 1/100).
    max_checks : int, optional
        Entries of each array that are checked one by one; larger arrays are sampled. By default
        100, or the largest alone where the whole gradient agrees with the complex step along a
        random direction, in which every entry takes part.
    seed : int
        Of the random r, and of the sample.
    fingerprints : sequence of Fingerprint
        Wrong formulas to compare with, beside those of the known layers.
    verbose : bool
        Whether to print the report.

    Returns
    -------
    GradCheckReport
        `passed`; a line for each array; the rules that were broken; likely causes.

    Raises
    ------
    TypeError
        When the target is neither a module nor a pair of functions.
    ValueError
        When the method is not known, or "complex" is asked of code that cannot carry it.

    Notes
    -----
    An exception in the target's own code ends the check; the report shows its line.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> x = np.random.default_rng(0).normal(size=(4, 3))
    >>> md.gradcheck(md.Linear(3, 2), x, verbose=False).passed
    True
    >>> report = md.gradcheck((np.sin, lambda dy: dy), x, verbose=False)
    >>> report.passed
    False
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}: it must be one of {', '.join(METHODS)}")
    if max_checks is not None and max_checks < 1:
        raise ValueError(f"max_checks is {max_checks}: it must be at least 1")
    try:
        run = _Run(target, inputs, rtol, atol, max_checks, seed)
        report = run.report(method, tuple(fingerprints))
    except Exception as error:
        report = _stopped(target, error)
    if verbose:
        print(report)
    return report


def assert_gradients(target: Any, *inputs: Any, **options: Any) -> GradCheckReport:
    """Check gradients in a test: AssertionError, with the whole report, when one is wrong.

    Parameters
    ----------
    target, *inputs, **options
        As `gradcheck`.

    Returns
    -------
    GradCheckReport

    Raises
    ------
    AssertionError
        When an array or a rule fails; its text is the report.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> report = md.checking.assert_gradients(md.ReLU(), np.array([-1.0, 2.0]))
    >>> report.passed
    True
    """
    report = gradcheck(target, *inputs, **{"verbose": False, **options})
    report.raise_if_failed()
    return report


def _stopped(target: Any, error: Exception) -> GradCheckReport:
    """Report an exception of the learner's code with its line; raise any other again."""
    if not is_theirs(error):
        raise error
    both = target if isinstance(target, tuple) else (target,)
    name = next((getattr(f, "__name__", "") for f in both), "") or type(target).__name__
    causes = (make_cause("stopped", "", "", 1.0),)
    return GradCheckReport(name, (), _RTOL[8], (f"it stops: {located(error)}",), causes)


class _Run:
    """One check: the subject in float64, and the analytic side at its own precision."""

    def __init__(self, target, inputs, rtol, atol, max_checks, seed):
        plain = type(target).__repr__ is object.__repr__
        self.name = type(target).__name__ if plain else repr(target)
        if isinstance(target, tuple) and len(target) == 2 and all(map(callable, target)):
            target = FunctionPair(*target)
            self.name = repr(target)
        elif not isinstance(target, Module):
            raise TypeError(
                f"the target is a {type(target).__name__}: give a Module, or a pair "
                "(forward, backward) of functions"
            )
        inputs = collide_all(inputs, target)
        given = Subject(target, inputs)
        self.subject = given.astype(np.float64)
        self.analytic = self.subject
        floats = [array.dtype.itemsize for array in given.arrays.values()]
        if isinstance(target, FunctionPair) and floats and max(floats) < 8:
            self.analytic = given.astype(given.arrays[given.input_names[0]].dtype)
        self.max_checks, self.atol, self._rtol = max_checks, atol, rtol
        self.rtol, self.floor = rtol or _RTOL[8], _FLOOR[8]
        self.rng = np.random.default_rng((_STREAM, seed))
        self.faults: list[protocol.Fault] = []

    def report(self, method: str, fingerprints: tuple[Fingerprint, ...]) -> GradCheckReport:
        before, same = self.subject.snapshot(), self.analytic is self.subject
        fresh = self.subject.astype(np.float64) if same else None
        self.faults, output = protocol.forward_faults(self.subject, before)
        if any(fault.key != "modified" for fault in self.faults):
            return self._closed((), from_faults(self.faults))
        y = output if same else self.analytic.output()
        before = before if same else self.analytic.snapshot()
        self._take_tolerance(y)
        r = self.rng.normal(size=y.shape).astype(y.dtype)
        grads, second = self.analytic.gradients(r.copy())
        noise = protocol.noise_faults(y, second)
        if noise:
            self.faults += noise
            return self._closed((), from_faults(self.faults))
        grads, faults = protocol.gradient_faults(self.analytic, grads)
        self.faults += faults or protocol.backward_faults(
            self.analytic, fresh, r, grads, before, self.rng, 1000 * self.eps
        )
        weights = r.astype(np.float64)
        differences = Differences(self.subject, weights, method, self.rng, grads, output)
        checks = tuple(self._check(name, grad, differences) for name, grad in grads.items())
        right = {check.name for check in checks if check.passed}  # of no use, so no gradient
        self.faults = [f for f in self.faults if f.key != "missing" or f.array not in right]
        causes: tuple[Cause, ...] = ()
        if self.faults or not all(check.passed for check in checks):
            evidence = Evidence(self.subject, differences, r, grads, checks, tuple(self.faults))
            causes = _diagnosed(evidence, fingerprints)
        return self._closed(checks, causes)

    def _take_tolerance(self, y: np.ndarray) -> None:
        """Follow the precision of the output, which is that of the code."""
        size = min(y.dtype.itemsize, 8)
        self.rtol = self._rtol or _RTOL[size]
        self.floor = _FLOOR[size]
        self.eps = float(np.finfo(y.dtype).eps)

    def _closed(self, checks, causes) -> GradCheckReport:
        texts = tuple(dict.fromkeys(fault.text for fault in self.faults))
        return GradCheckReport(self.name, checks, self.rtol, texts, tuple(causes))

    def _check(self, name: str, grad: Any, differences: Differences) -> ArrayCheck:
        value = self.subject.arrays[name]
        at_once = self.max_checks is None and self.analytic is self.subject
        choice = choose(differences, name, grad, self.max_checks or _MANY, at_once, self.rng)
        if choice.all_agree:
            return self._at_one_place(name, value, choice, grad, differences)
        limit = self.max_checks or _MANY
        checked: list[tuple[int, ...]] = []
        slopes: list[Slope] = []
        kinks: list[tuple[tuple[int, ...], Slope]] = []
        for index in choice.indices:
            if len(checked) >= limit:
                break
            slope = differences.slope(name, index)
            if self._is_kink(name, index, slope, entry(grad, index), differences):
                kinks.append((index, slope))
            else:
                checked.append(index)
                slopes.append(slope)
        if not checked and kinks:  # corners everywhere: the slope must lie between the two
            checked = [index for index, _ in kinks[:limit]]
            slopes = [_between(s, entry(grad, i)) for i, s in kinks[:limit]]
        how = "complex" if differences.is_analytic(name) else differences.method
        method = "richardson" if how == "auto" else how
        analytic = np.array([entry(grad, index) for index in checked])
        # rounding of the analytic side: 1 - tanh(x)^2 of a large x has no digit left
        self.rounding = 4 * self.eps * differences.size_inside
        return self._compared(name, value, checked, analytic, slopes, len(kinks), method)

    def _at_one_place(self, name, value, choice, grad, differences) -> ArrayCheck:
        """Show one entry of a gradient that agrees as a whole."""
        index = choice.indices[0]
        slope, analytic = differences.slope(name, index), entry(grad, index)
        size, difference = max(abs(analytic), abs(slope.value)), abs(analytic - slope.value)
        size += self._floor_of(abs(slope.value))
        error = difference / max(size, 1e-300)
        passed = bool(difference <= self.rtol * size + slope.error)
        place, a, n = np.array([index]), np.array([analytic]), np.array([slope.value])
        shape, many = value.shape, choice.size
        row = (name, shape, many, error, index, analytic, slope.value, passed, 0, "complex")
        return ArrayCheck(*row, slope.error, place, a, n)

    def _floor_of(self, largest: float) -> float:
        """Return the size below which an entry is noise."""
        return self.atol / self.rtol if self.atol is not None else self.floor * largest

    def _is_kink(self, name, index, slope, analytic, differences) -> bool:
        """Whether no difference can tell. A complex step takes one side; look at both."""
        if slope.kink or not differences.is_analytic(name):
            return slope.kink
        if abs(analytic - slope.value) <= self.rtol * max(abs(analytic), abs(slope.value)):
            return False
        real = differences.real_slope(name, index)
        return real.kink and real.low < real.high

    def _compared(self, name, value, checked, analytic, slopes, kinks, method) -> ArrayCheck:
        numeric = np.array([slope.value for slope in slopes])
        own = np.array([slope.error for slope in slopes])
        if len(checked) == 0:
            return ArrayCheck(name, value.shape, 0, 0.0, (), 0.0, 0.0, True, kinks, method)
        size = np.maximum(np.abs(analytic), np.abs(numeric))
        floor = self._floor_of(numeric_scale(numeric))
        difference = np.abs(analytic - numeric)
        error = difference / np.maximum(size + floor, 1e-300)
        good = difference <= self.rtol * (size + floor) + own + self.rounding
        error[np.isnan(error)] = np.inf
        worst = int(np.argmax(np.where(good, -1, error))) if not good.all() else int(error.argmax())
        return ArrayCheck(
            name,
            value.shape,
            len(checked),
            float(error[worst]),
            checked[worst],
            float(analytic[worst]),
            float(numeric[worst]),
            bool(good.all()),
            kinks,
            method,
            float(own.max()),
            np.array(checked, dtype=int).reshape(len(checked), value.ndim),
            analytic,
            numeric,
        )


def _diagnosed(evidence: Evidence, fingerprints: tuple[Fingerprint, ...]) -> tuple[Cause, ...]:
    """Diagnose; code that fails under the questions of the diagnosis still gets its report."""
    try:
        return diagnose(evidence, fingerprints)
    except Exception as error:
        text = f"The code stopped when it was asked more: {type(error).__name__}: {error}."
        return (*from_faults(evidence.faults), make_cause("random", "", text, 0.1))


def numeric_scale(numeric: np.ndarray) -> float:
    """Return the largest size of a numeric gradient: what an entry is small against."""
    return float(np.abs(numeric[np.isfinite(numeric)]).max(initial=0))


def _between(slope: Slope, analytic: float) -> Slope:
    """Take the nearest slope between the one to the left and the one to the right."""
    return replace(slope, value=float(np.clip(analytic, slope.low, slope.high)))
