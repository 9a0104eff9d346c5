"""Does the gradient hold elsewhere? Larger inputs, and of the other sign, reach other branches.

At twice the inputs a difference is a mistake. Much farther out, or on the other side of 0, the
domain may end, and a forward may guard itself against overflow: where it no longer moves, a
difference is a remark; where it does move, and backward says otherwise, backward is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minidlrm.checking import points, protocol
from minidlrm.checking.comparing import Tolerance, compare
from minidlrm.checking.numeric import Differences
from minidlrm.checking.protocol import Fault
from minidlrm.checking.report import ArrayCheck
from minidlrm.checking.subject import Subject

_CLEAR = 0.02  # a difference of this share of the largest entry is no rounding
_FAR = 1000.0
_JUMP = 1e-5
_APART = 3e-8  # of the inputs: half a digit of float32
_NEAR = 1.01  # wrong here too: backward does not follow the inputs, it takes arrays from outside


@dataclass
class Prober:
    """Repeats a check that passed at other inputs.

    Parameters
    ----------
    subject : Subject
        In float64.
    analytic : Subject
        At the precision of the code; the same one where that is float64.
    differences : Differences
        At the given inputs.
    r : array
        The gradient that arrived.
    grads : dict
        The gradients at the given inputs.
    eps : float
        The rounding of the code.
    rng : numpy.random.Generator
        Draws directions.
    """

    subject: Subject
    analytic: Subject
    differences: Differences
    r: np.ndarray
    grads: dict[str, Any]
    eps: float
    rng: np.random.Generator

    def faults_and_remarks(self) -> tuple[list[Fault], list[str]]:
        """Return what is wrong elsewhere, and what may be."""
        moved = [n for n in self.analytic.input_names if n in self.grads]
        if not moved or self.subject.complex_names:
            return [], []
        near = 1.9 ** (1 / min(2, len(moved)))  # of a product both factors grow
        self.far_fits = False
        wrong_far = self._wrong_at(_FAR, moved, alone=True)
        wrong = [] if self.far_fits else self._wrong_at(near, moved, alone=False)
        text = "with inputs {:.3g} times as large the gradient of {{}} is wrong: {{}}"
        if wrong:
            return [Fault("unreached", c.name, _said(text.format(near), c)) for c in wrong], []
        wrong, text = wrong_far, text.format(_FAR)
        clear = [c for c in wrong if _moves_there(c)]
        if clear:
            return [Fault("unreached", c.name, _said(text, c)) for c in clear], []
        remarks = [_said("not seen at these inputs: " + text, c) for c in wrong[:1]]
        one_sided = [n for n in moved if _has_one_sign(self.analytic.arrays[n])]
        if one_sided and not remarks:
            text = "not seen at these inputs: with the other sign the gradient of {} is wrong: {}"
            remarks += [_said(text, c) for c in self._wrong_at(-1.0, one_sided, alone=True)[:1]]
        return [], remarks

    def _wrong_at(self, factor: float, moved: list[str], alone: bool) -> list[ArrayCheck]:
        """Return the checks that fail at other inputs; none where the code does not bear them."""
        try:
            wrong = self._compared_at(factor, moved, alone, _CLEAR)
            if wrong and not self._compared_at(_NEAR, moved, alone, 1e-4):
                return wrong
        except Exception:  # these inputs are outside the domain
            pass
        return []

    def _compared_at(
        self, factor: float, moved: list[str], alone: bool, share: float
    ) -> list[ArrayCheck]:
        these = {id(self.analytic.arrays[name]) for name in moved}
        inputs = points.scaled(self.analytic.inputs, lambda a: id(a) in these, factor)
        analytic = self.analytic.elsewhere(inputs)
        same = self.analytic is self.subject
        subject = analytic if same else analytic.astype(np.float64)
        found, y = analytic.gradients(self.r.copy())
        found = {n: g for n, g in found.items() if n in self.grads}
        grads, faults = protocol.gradient_faults(analytic, found, [])
        analytic.forget()
        if faults or y.shape != self.r.shape or not np.isfinite(y).all():
            return []
        d = self.differences
        there = Differences(subject, d.r, d.method, self.rng, grads, y if same else None, like=d)
        fits = there.fits(grads, max(1e-6, 100 * self.eps))
        if factor == _FAR:  # and nothing is flat there
            self.far_fits = bool(fits) and all(np.any(grads[name]) for name in moved)
        if fits or (fits is None and alone):
            return []
        there.doubt()
        tolerance = Tolerance(max(share, 50 * self.eps), share, self.eps)
        checks = []
        for name, grad in grads.items():
            limit = None if fits is False and same else 12
            checks.append(compare(there, name, grad, tolerance, limit, same, self.rng))
        return [c for c in checks if not c.passed and self._is_clear(c)]

    def _is_clear(self, check: ArrayCheck) -> bool:
        """Whether a difference is more than rounding, where all slopes are nearly 0."""
        grad = self.grads[check.name]
        usual = np.abs(getattr(grad, "values", grad)).max(initial=0)
        off = abs(check.analytic - check.numeric)
        return bool(np.isfinite(check.numerics).all() and off > 1e-4 * usual)


def _said(text: str, check: ArrayCheck) -> str:
    place = f"at {check.index} it is" if check.index else "it is"
    numbers = f"{place} {check.analytic:.4g}, and the function's slope {check.numeric:.4g}"
    return text.format(check.name, numbers)


def _moves_there(check: ArrayCheck) -> bool:
    """Whether the function moves where the two differ most: it is not guarded there."""
    return abs(check.numeric) > 0.1 * abs(check.analytic)


def _has_one_sign(array: np.ndarray) -> bool:
    return bool(array.size) and bool((array > 0).all() or (array < 0).all())


def rounding_faults(
    analytic: Subject, r: np.ndarray, names: list[str], rng: np.random.Generator
) -> list[Fault]:
    """Look for float32 inside a float64 backward: its noise over inputs very near each other.

    Over points 3e-8 apart a smooth gradient is straight, and its third differences vanish;
    those of float32 stay at 6e-8 of its size. A forward that is as noisy has no digits to lose.
    """
    inputs = {n: analytic.arrays[n] for n in analytic.input_names}
    before = {n: a.copy() for n, a in inputs.items()}
    slopes = {n: rng.uniform(-1, 1, a.shape) for n, a in before.items()}
    turn = rng.uniform(-1, 1, r.shape)
    runs: dict[str, list[np.ndarray]] = {name: [] for name in (*names, "")}
    try:
        for k in range(7):
            for n, array in inputs.items():
                array[...] = before[n] * (1 + _APART * k * slopes[n])
            grads, y = analytic.gradients((r * (1 + _APART * k * turn)).astype(r.dtype))
            runs[""].append(np.array(y, dtype=float))
            for name in names:
                grad = grads.get(name)
                runs[name].append(np.array(getattr(grad, "values", grad), dtype=float))
        noisy = {name: _noise(values) for name, values in runs.items()}
    except Exception:
        return []
    finally:
        for n, array in inputs.items():
            array[...] = before[n]
        analytic.forget()
    text = "the gradient of {} has the rounding of float32, its forward that of float64"
    return [
        Fault("dtype", name, text.format(name))
        for name in names
        if noisy[name] > 1e-9 and noisy[""] < 1e-11
    ]


def _noise(values: list[np.ndarray]) -> float:
    """Return the noise over near points; an entry that jumps, at a corner, is left out."""
    every = np.array(values).reshape(len(values), -1)
    size = float(np.sqrt(np.mean(np.square(every)))) or 1.0
    noise = np.abs(np.diff(every, 3, axis=0)).max(axis=0) / size / np.sqrt(20)
    calm = noise[noise < _JUMP]
    return float(np.sqrt(np.mean(np.square(calm)))) if calm.size else 0.0
