"""Numeric derivatives, each with an estimate of its own error.

Three methods. The complex step has no step size to choose: Im f(x + ih) / h with h = 1e-20
loses no digit, but needs code that carries complex numbers. Central differences take a step
that balances truncation and rounding. Richardson's extrapolation combines three of them, and
the disagreement of its last two values tells the error.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from minidlrm.checking.subject import Subject, cast
from minidlrm.module import SparseGrad

METHODS = ("auto", "central", "complex", "richardson")
_TINY = 1e-20
SAME = 1e-12  # relative: two ways to compute the same number, up to rounding
_SHRINK = (1, 16, 256)  # a corner inside the step: come closer
_MAX_COMPLEX = 5_000_000  # numbers: a larger model is not copied once more


@dataclass(frozen=True)
class Slope:
    """A derivative by one entry.

    Parameters
    ----------
    value : float
        The derivative of the projected output, sum(r y).
    error : float
        How far off it may be.
    kink : bool
        Whether the function has a corner there: then no difference means anything.
    low, high : float
        The slopes to the left and to the right, in order of size. Equal without a corner.
    """

    value: float
    error: float
    kink: bool = False
    low: float = 0.0
    high: float = 0.0


class Differences:
    """Derivatives of sum(r * forward()) by single entries of the subject's arrays.

    Parameters
    ----------
    subject : Subject
        In float64 (float32 code inside shows in the dtype of its output).
    r : array
        The weights of the outputs.
    method : str
        One of `METHODS`. "auto" takes the complex step for each array where it agrees with
        Richardson's extrapolation along one random direction, which is then used elsewhere.
    rng : numpy.random.Generator
        Draws these directions. Not the caller's own random numbers.
    grads : dict, optional
        The gradients of the arrays that have one; by default, all arrays have. Of a table with a
        SparseGrad only its rows are moved.
    output : array, optional
        What forward gives, when it is known already.
    like : Differences, optional
        Of the same target at another point: whether it carries complex numbers is known then.
    """

    def __init__(
        self,
        subject: Subject,
        r: np.ndarray,
        method: str,
        rng: np.random.Generator,
        grads: dict[str, Any] | None = None,
        output: np.ndarray | None = None,
        like: Differences | None = None,
    ):
        self.subject, self.r, self.method = subject, r, method
        self.grads = dict.fromkeys(subject.arrays) if grads is None else grads
        self.output = subject.output() if output is None else output
        self.base = self._project(self.output)
        kind = self.output.dtype if self.output.dtype.kind == "f" else np.dtype(np.float64)
        self.eps = float(np.finfo(kind).eps)
        self._like = like
        self.complex = self._complex_copy() if method in ("auto", "complex") else None
        self._rng = rng
        self._all_analytic: bool | None = None
        self._analytic: dict[str, bool] = {}
        if like is not None:
            self._all_analytic, self._analytic = like._all_analytic, dict(like._analytic)
        self._along: dict[str, tuple[np.ndarray, float]] = {}
        self._together: Any = None  # a direction of all arrays, and the derivative along it
        self._noise: dict[tuple[str, bool], float] = {}
        if method == "complex" and like is None and not self._carries_complex():
            raise ValueError(
                f"method 'complex': {subject.target!r} does not carry complex numbers; "
                "take 'auto', 'central' or 'richardson'"
            )

    @cached_property
    def size_inside(self) -> float:
        """What may cancel on the way to the outputs: the largest r times the largest number."""
        largest = max(float(np.abs(a).max(initial=1)) for a in self.subject.arrays.values())
        return float(np.abs(self.r).max()) * largest

    @cached_property
    def size(self) -> float:
        """What rounding is relative to."""
        return float(np.abs(self.r * self.output).sum()) + self.size_inside

    def _project(self, y: np.ndarray) -> float:
        return float(np.vdot(self.r, y))

    # The complex step

    def _complex_copy(self) -> Subject | None:
        if sum(array.size for array in self.subject.arrays.values()) > _MAX_COMPLEX:
            return None
        try:
            if self._like is None:
                return self.subject.astype(np.complex128)
            if self._like.complex is None:
                return None
            return self._like.complex.elsewhere(cast(self.subject.inputs, np.complex128))
        except Exception:
            return None

    def _carries_complex(self) -> bool:
        """Whether the complex copy runs, and gives the same real output."""
        try:
            return self.complex is not None and self._is_same_output(self._complex_output({}))
        except Exception:
            return False

    def _is_same_output(self, y: np.ndarray) -> bool:
        if y.shape != self.output.shape:
            return False
        near = 1e-8 * np.abs(self.output) + 1e-10
        return bool((np.abs(y.real - self.output) <= near).all())

    def _complex_output(self, moves: dict[str, tuple[Any, Any]]) -> np.ndarray:
        """Return y when array[where] moves along i times a direction: {name: (where, d)}."""
        assert self.complex is not None
        arrays = self.complex.arrays
        before = {name: arrays[name][where].copy() for name, (where, _) in moves.items()}
        for name, (where, direction) in moves.items():
            arrays[name][where] += 1j * _TINY * direction
        try:
            return self.complex.output()
        finally:
            for name, (where, _) in moves.items():
                arrays[name][where] = before[name]

    def _complex_derivatives(self, moves: dict[str, tuple[Any, Any]]) -> np.ndarray:
        return np.imag(self._complex_output(moves)) / _TINY

    def is_analytic(self, name: str) -> bool:
        """Whether the complex step may be trusted with this array."""
        if self.complex is None:
            return False
        if self._all_analytic is None:
            self._all_analytic = self.method == "complex" or self._is_confirmed(list(self.grads))
        if name not in self._analytic:
            self._analytic[name] = self._all_analytic or self._is_confirmed([name])
        return self._analytic[name]

    def agree(self, name: str, grad: Any, some: np.ndarray | None = None) -> bool:
        """Whether a gradient, whole or `some` entries, fits along one random direction d.

        <grad, d> = d/dt f(x + t d): a wrong entry shows in the sum, whichever it is, up to
        rounding. One forward pass, where entry by entry takes one for each.
        """
        where, values = _where(grad)
        if values.size == 0 or not self.is_analytic(name):
            return False
        if some is None and name in self._along:
            direction, exact = self._along[name]
        else:
            direction = self._rng.normal(size=values.shape)
            if some is not None:
                direction *= np.isin(np.arange(values.size), some).reshape(values.shape)
            exact = self._project(self._complex_derivatives({name: (where, direction)}))
        terms = values * direction
        return bool(abs(terms.sum() - exact) <= SAME * np.abs(terms).sum())

    def fits(self, grads: dict[str, Any], tolerance: float) -> bool | None:
        """Whether all gradients together fit along one random direction; None: it cannot tell."""
        off = self.misfit(grads)
        return None if off is None else off <= tolerance

    def misfit(self, grads: dict[str, Any], rounding: float = 0.0) -> float | None:
        """Return how far all gradients together are off along one random direction, relatively.

        Each entry may be off by `rounding`. None: it cannot tell.
        """
        live = [name for name, grad in grads.items() if _where(grad)[1].size]
        if self.complex is None or not live or not all(map(self.is_analytic, live)):
            return None
        if not self._together:
            self._together = self._along_all(live)
        moves, exact = self._together
        if list(moves) != list(grads) or exact is None:
            return None
        pairs = [(_where(grads[name])[1], d) for name, (_, d) in moves.items()]
        terms = np.concatenate([(values * d).ravel() for values, d in pairs])
        off = abs(terms.sum() - exact)
        if rounding:
            off -= rounding * sum(float(np.abs(d).sum()) for _, d in pairs)
        return max(0.0, float(off)) / max(float(np.abs(terms).sum()), 1e-300)

    def _along_all(self, names: list[str]) -> tuple[dict[str, tuple[Any, Any]], float | None]:
        """Draw a direction of all arrays; return the derivative along it, if it is one."""
        moves = {}
        for name in names:
            where, values = _where(self.grads[name])
            moves[name] = where, self._rng.normal(size=values.shape)
        y = self._complex_output(moves)
        exact = self._project(np.imag(y) / _TINY)
        usable = np.isfinite(exact) and self._is_same_output(y)
        return moves, exact if usable else None

    def doubt(self) -> None:
        """Ask anew for each array whether the complex step may be trusted."""
        self._all_analytic, self._analytic = None, {}

    def _is_confirmed(self, names: list[str]) -> bool:
        """Whether real differences give what the complex step gives, along one direction."""
        directions = {}
        for name in names:
            where, _ = _where(self.grads.get(name))
            direction = self._rng.normal(size=self.subject.arrays[name][where].shape)
            directions[name] = where, direction / max(1, direction.size) ** 0.5
        if self._is_confirmed_along(directions):
            return True
        near = {}  # in the scale of each entry: a logarithm or a root bears no other
        for name, (where, direction) in directions.items():
            size = np.abs(self.subject.arrays[name][where])
            near[name] = where, direction * np.where(size > 0, size, 1)
        return self._is_confirmed_along(near)

    def _is_confirmed_along(self, moves: dict[str, tuple[Any, np.ndarray]]) -> bool:
        line = self._line(moves)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # ComplexWarning: the imaginary part was dropped
                y = self._complex_output(moves)
            if not self._is_same_output(y):
                return False
            exact = self._project(np.imag(y) / _TINY)
            if len(moves) == 1:
                ((name, (_, direction)),) = moves.items()
                self._along[name] = direction, exact
            h = self.eps ** (1 / 3)
            central = (line(h)[0] - line(-h)[0]) / (2 * h)
            if abs(exact - central) <= 1e-6 * (abs(exact) + abs(central)):
                self._together = (moves, exact) if len(moves) == len(self.grads) else None
                return True
            slope = self._richardson(line, self._noise_of(line))
        except Exception:  # it takes no complex numbers, or not these inputs
            return False
        near = 1e-6 * (abs(exact) + abs(slope.value)) + 10 * slope.error
        return not slope.kink and abs(exact - slope.value) <= near

    def _line(self, moves: dict[str, tuple[Any, np.ndarray]]) -> Callable:
        """Return f(t) along directions, as (value, t)."""
        arrays = self.subject.arrays
        start = {name: arrays[name][where].copy() for name, (where, _) in moves.items()}

        def line(t: float) -> tuple[float, float]:
            for name, (where, direction) in moves.items():
                arrays[name][where] += t * direction
            try:
                return self._project(self.subject.output()), t
            finally:
                for name, (where, _) in moves.items():
                    arrays[name][where] = start[name]

        return line

    def real_along(self, name: str, where: Any, direction: np.ndarray) -> tuple[float, float]:
        """Return the derivative along a direction by real differences, and its error.

        Of several steps that is taken at which rounding and the change to the next step are
        least: many corners may lie within a large one.
        """
        line = self._line({name: (where, direction)})
        level = self._noise_of(line)
        steps = self.eps ** (1 / 3) * 4.0 ** -np.arange(9)
        slopes = np.array([(line(h)[0] - line(-h)[0]) / (2 * h) for h in steps])
        errors = 4 * level / steps[1:] + np.abs(np.diff(slopes))
        errors[~np.isfinite(errors)] = np.inf
        best = int(errors.argmin())
        return float(slopes[best + 1]), float(errors[best])

    # Differences

    def slope(self, name: str, index: tuple[int, ...]) -> Slope:
        """Return the derivative by one entry of one array."""
        if self.is_analytic(name):
            value = self._project(self._complex_derivatives({name: (index, 1.0)}))
            return Slope(value, 16 * self.eps * abs(value), False, value, value)
        return self.real_slope(name, index)

    def real_slope(self, name: str, index: tuple[int, ...]) -> Slope:
        """Return the derivative by differences of real numbers, whatever the method."""
        x = abs(float(self.subject.arrays[name][index]))
        slope = self._slope_in_scale(name, index, max(1.0, x))
        rough = slope.kink or not slope.error <= 1e-4 * abs(slope.value)
        if rough and 0 < x < 1:  # the domain may end near: log, sqrt
            nearer = self._slope_in_scale(name, index, x)
            if not nearer.kink and (slope.kink or not slope.error <= nearer.error):
                slope = nearer
        if not np.isfinite(slope.value):
            return Slope(0.0, np.inf, True, -np.inf, np.inf)
        return slope

    def _slope_in_scale(self, name: str, index: tuple[int, ...], scale: float) -> Slope:
        array = self.subject.arrays[name]
        x = array[index]

        def line(t: float) -> tuple[float, float]:
            array[index] = x + t * scale
            moved = float(array[index] - x)  # the step that survived rounding
            try:
                return self._project(self.subject.output()), moved
            finally:
                array[index] = x

        key = (name, scale < 1)
        if key not in self._noise:
            self._noise[key] = self._noise_of(line)
        how = self._central if self.method == "central" else self._richardson
        return how(line, self._noise[key] / min(1.0, scale))

    def _noise_of(self, line) -> float:
        """Measure the rounding noise of the function along a line.

        Over points so near to each other a smooth function is straight, and its third
        differences vanish; those of noise have a deviation of sqrt(20) times the noise's.
        """
        values = np.array([line(k * self.eps**0.6)[0] for k in range(7)])
        measured = float(np.max(np.abs(np.diff(values, 3)))) / np.sqrt(20)
        return self.eps * self.size + (measured if np.isfinite(measured) else 0.0)

    def jacobian(self, name: str, index: tuple[int, ...]) -> np.ndarray:
        """Return the derivatives of all outputs by one entry."""
        if self.is_analytic(name):
            return self._complex_derivatives({name: (index, 1.0)})
        array, h = self.subject.arrays[name], self.eps ** (1 / 3)
        x = array[index]
        for scale in (max(1.0, abs(x)), abs(x)):
            try:
                array[index] = x + h * scale
                up, above = float(array[index]), self.subject.output().astype(float)
                array[index] = x - h * scale
                slopes = (above - self.subject.output()) / (up - float(array[index]))
            finally:
                array[index] = x
            if np.isfinite(slopes).all() or x == 0:
                break
        return slopes

    def _central(self, line, noise: float) -> Slope:
        """(f(x + h) - f(x - h)) / 2h, at the largest of three steps without a corner."""

        def last(d: list[float]) -> tuple[float, float]:
            return d[1], abs(d[1] - d[0])

        return self._best(line, noise, self.eps ** (1 / 3), (1, 0.5), last)

    def _richardson(self, line, noise: float) -> Slope:
        """Two extrapolations of three central differences; they differ by about the error."""

        def extrapolate(d: list[float]) -> tuple[float, float]:
            first, second = (4 * d[1] - d[0]) / 3, (4 * d[2] - d[1]) / 3
            return second, abs(second - first)

        return self._best(line, noise, self.eps ** (1 / 5), (1, 0.5, 0.25), extrapolate)

    def _best(self, line, level: float, step: float, parts: tuple[float, ...], combine) -> Slope:
        best, first = None, None
        for shrink in _SHRINK:
            central, right, left = [], [], []
            for part in parts:
                (above, up), (below, down) = (
                    line(sign * part * step / shrink) for sign in (1.0, -1.0)
                )
                central.append((above - below) / (up - down))
                right.append((above - self.base) / up)
                left.append((below - self.base) / down)
            value, error = combine(central)
            noise = 4 * level * shrink / (step * parts[-1])
            jumps = [abs(b - a) for a, b in zip(left, right, strict=True)]
            first = error if first is None else first
            rough = error > 0.05 * first + 8 * noise  # a smaller step did not help
            slope = self._judged(value, error + noise, noise, jumps, right[-1], left[-1], rough)
            if best is None or slope.error < best.error or np.isnan(best.error):
                best = slope
            if not best.kink and best.error <= 1e-7 * abs(value) + 2 * noise:
                break
        assert best is not None
        return best

    def _judged(self, value, error, noise, jumps, right, left, rough) -> Slope:
        """Tell a corner: to the left and to the right the slopes differ, however small the step.

        Without one their difference is h f'', and falls with h.
        """
        size = abs(right) + abs(left)
        corner = jumps[-1] > 0.75 * jumps[0] and jumps[-1] > 1e-4 * size + 8 * noise
        rough = rough and error > 1e-3 * size + 8 * noise
        low, high = min(left, right), max(left, right)
        return Slope(value, error, bool(corner or rough), low, high)


def _where(grad: Any) -> tuple[Any, np.ndarray]:
    """Return where in its array the entries of a gradient are, and the entries."""
    if isinstance(grad, SparseGrad):
        return grad.rows, grad.values
    return ..., np.asarray(0.0 if grad is None else grad)
