"""One array: its gradient beside a numeric one, entry by entry or along a direction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minidlrm.checking.entries import choose, entry
from minidlrm.checking.numeric import Differences, Slope
from minidlrm.checking.report import ArrayCheck

_RTOL = {8: 1e-5, 4: 2e-3, 2: 0.1}  # by the bytes of the least precise float in play
_FLOOR = {8: 1e-3, 4: 1e-2, 2: 0.1}  # entries below this share of the largest are noise
_MANY = 100  # entries of an array, one by one


@dataclass
class Tolerance:
    """How near is near enough.

    Parameters
    ----------
    rtol : float
        The relative error that passes.
    floor : float
        Entries below this share of the largest are noise.
    eps : float
        The rounding of the code that is checked.
    atol : float or None
        rtol times the floor, where the caller has given it.
    """

    rtol: float
    floor: float
    eps: float
    atol: float | None = None

    @classmethod
    def of(cls, y: np.ndarray, rtol: float | None, atol: float | None) -> Tolerance:
        """Follow the precision of the output, which is that of the code."""
        size = min(y.dtype.itemsize, 8)
        return cls(rtol or _RTOL[size], _FLOOR[size], float(np.finfo(y.dtype).eps), atol)

    def floor_of(self, largest: float) -> float:
        """Return the size below which an entry is noise."""
        return self.atol / self.rtol if self.atol is not None else self.floor * largest


def compare(
    differences: Differences,
    name: str,
    grad: Any,
    tolerance: Tolerance,
    max_checks: int | None,
    exact: bool,
    rng: np.random.Generator,
    known: bool = False,
) -> ArrayCheck:
    """Check the gradient of one array.

    Parameters
    ----------
    differences : Differences
        Numeric derivatives.
    name : str
        Name of the array.
    grad : array or SparseGrad
        Its analytic gradient.
    tolerance : Tolerance
        What passes.
    max_checks : int or None
        Entries that are compared one by one; None: whether all agree at once is asked first.
    exact : bool
        Whether both sides were run at the same precision.
    rng : numpy.random.Generator
        Draws the sample.
    known : bool
        Whether all arrays together fit along one direction already.
    """
    value, limit = differences.subject.arrays[name], max_checks or _MANY
    at_once = max_checks is None
    own = 0.0 if exact else 50 * tolerance.eps
    choice = choose(differences, name, grad, limit, at_once, rng, own, known and value.size > 0)
    if choice.all_agree:
        return _at_one_place(differences, name, grad, choice, tolerance)
    checked: list[tuple[int, ...]] = []
    slopes: list[Slope] = []
    kinks: list[tuple[tuple[int, ...], Slope]] = []
    for index in choice.indices:
        if len(checked) >= limit:
            break
        slope = _slope(name, index, entry(grad, index), differences, tolerance.rtol)
        if slope.kink:
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
    # rounding of the analytic side: 1 - tanh(x)^2 of a large x has lost its digits
    rounding = 4 * tolerance.eps * differences.size_inside
    row = (name, value, checked, analytic, slopes, len(kinks), method)
    return _compared(*row, tolerance, rounding)


def _at_one_place(differences, name, grad, choice, tolerance) -> ArrayCheck:
    """Show one entry of a gradient that agrees as a whole."""
    index, value = choice.indices[0], differences.subject.arrays[name]
    slope, analytic = differences.slope(name, index), entry(grad, index)
    size, difference = max(abs(analytic), abs(slope.value)), abs(analytic - slope.value)
    size += tolerance.floor_of(abs(slope.value))
    error = difference / max(size, 1e-300)
    rounding = 4 * tolerance.eps * differences.size_inside
    passed = bool(difference <= tolerance.rtol * size + slope.error + rounding)
    place, a, n = np.array([index]), np.array([analytic]), np.array([slope.value])
    shape, many = value.shape, choice.size
    row = (name, shape, many, error, index, analytic, slope.value, passed, 0, "complex")
    return ArrayCheck(*row, slope.error, place, a, n)


def _slope(name, index, analytic, differences, rtol) -> Slope:
    """Return the numeric slope; where a complex step disagrees, look at real ones as well.

    A complex step takes one side of a corner; and np.var, of complex numbers, forgets a part that
    may be too small for the first comparison of the two.
    """
    slope = differences.slope(name, index)
    off = abs(analytic - slope.value)
    if slope.kink or not differences.is_analytic(name):
        return slope
    if off <= rtol * max(abs(analytic), abs(slope.value)):
        return slope
    real = differences.real_slope(name, index)
    if real.kink and real.low < real.high:
        return replace(slope, kink=True)
    near = abs(analytic - real.value) <= rtol * abs(real.value) + real.error
    return real if near and real.error <= 0.1 * off else slope


def _compared(
    name, value, checked, analytic, slopes, kinks, method, tolerance: Tolerance, rounding: float
) -> ArrayCheck:
    numeric = np.array([slope.value for slope in slopes])
    own = np.array([slope.error for slope in slopes])
    if len(checked) == 0:
        return ArrayCheck(name, value.shape, 0, 0.0, (), 0.0, 0.0, True, kinks, method)
    size = np.maximum(np.abs(analytic), np.abs(numeric))
    largest = float(np.abs(numeric[np.isfinite(numeric)]).max(initial=0))
    floor = tolerance.floor_of(largest)  # what an entry is small against
    difference = np.abs(analytic - numeric)
    error = difference / np.maximum(size + floor, 1e-300)
    good = difference <= tolerance.rtol * (size + floor) + own + rounding
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


def _between(slope: Slope, analytic: float) -> Slope:
    """Take the nearest slope between the one to the left and the one to the right."""
    error = slope.error if np.isfinite(slope.error) else 0.0
    return replace(slope, value=float(np.clip(analytic, slope.low, slope.high)), error=error)
