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
from minidlrm.checking.nearness import Near, same
from minidlrm.checking.numeric import Differences
from minidlrm.checking.protocol import Fault
from minidlrm.checking.report import ArrayCheck
from minidlrm.checking.subject import Subject, as_dense
from minidlrm.languages import Message

_CLEAR = 0.02  # a difference of this share of the largest entry is not rounding
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
        exact = self.analytic is self.subject
        wrong_far = self._wrong_at(_FAR, moved, alone=True) if exact else []
        wrong = [] if self.far_fits else self._wrong_at(near, moved, alone=False)
        if wrong:
            return [Fault("unreached", c.name, _at_times(near, c)) for c in wrong], []
        clear = [c for c in wrong_far if _moves_there(c)]
        if clear:
            return [Fault("unreached", c.name, _at_times(_FAR, c)) for c in clear], []
        remarks: list[str] = [_not_seen(_at_times(_FAR, c)) for c in wrong_far[:1]]
        one_sided = [n for n in moved if _has_one_sign(self.analytic.arrays[n])]
        if one_sided and not remarks:
            wrong = self._wrong_at(-1.0, one_sided, alone=False)
            remarks += [_not_seen(_at_other_sign(c)) for c in wrong[:1]]
        return [], remarks

    def _wrong_at(self, factor: float, moved: list[str], alone: bool) -> list[ArrayCheck]:
        """Return the checks that fail at other inputs; none where the code does not bear them."""
        try:
            wrong = self._compared_at(factor, moved, alone, _CLEAR)
            if wrong and self._is_steady(factor, moved):
                return [] if self._compared_at(_NEAR, moved, alone, 1e-4) else wrong
        except Exception:  # these inputs are outside the domain
            pass
        return []

    def _is_steady(self, factor: float, moved: list[str]) -> bool:
        """Whether rounding of the inputs leaves the gradient: that of sin(1e15) is noise."""
        grads = []
        for more in (0.0, 100 * self.eps):
            grads.append(self._moved_to(factor * (1 + more), moved).gradients(self.r.copy())[0])
            self.analytic.forget()
        near = Near(1e-3, 0.0)
        return same({n: grads[0].get(n) for n in moved}, grads[1], near)

    def _moved_to(self, factor: float, moved: list[str]) -> Subject:
        these = {id(self.analytic.arrays[name]) for name in moved}
        inputs = points.scaled(self.analytic.inputs, lambda a: id(a) in these, factor)
        return self.analytic.elsewhere(inputs)

    def _compared_at(
        self, factor: float, moved: list[str], alone: bool, share: float
    ) -> list[ArrayCheck]:
        analytic = self._moved_to(factor, moved)
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
        limit = max(1e-6, 100 * self.eps)
        fits = there.fits(grads, limit)
        if factor == _FAR:  # and nothing is flat there
            self.far_fits = bool(fits) and all(np.any(grads[name]) for name in moved)
        if fits or (fits is None and alone):
            return []
        off = there.misfit(grads, self._rounding)
        if off is not None and off <= limit:
            return []  # it is nearly flat
        there.doubt()
        tolerance = Tolerance(max(share, 50 * self.eps), share, self.eps)
        checks = []
        for name, grad in grads.items():
            at_most = None if fits is False and same else 12
            checks.append(compare(there, name, grad, tolerance, at_most, same, self.rng))
        share_of = 1e-3 if share == _CLEAR else 1e-6  # the control looks closely
        return [c for c in checks if not c.passed and self._is_clear(c, share_of)]

    @property
    def _rounding(self) -> float:
        """What an entry may be off by where all slopes are nearly 0."""
        return 1000 * self.eps * float(np.abs(self.r).max())

    def _is_clear(self, check: ArrayCheck, share: float) -> bool:
        """Whether a difference is more than rounding."""
        grad = self.grads[check.name]
        usual = np.abs(getattr(grad, "values", grad)).max(initial=0)
        off = abs(check.analytic - check.numeric)
        least = max(share * usual, self._rounding)
        return bool(np.isfinite(check.numerics).all() and off > least)


def _at_times(factor: float, check: ArrayCheck) -> Message:
    return Message(
        "with inputs {factor} times as large the gradient of {name} is wrong: {numbers}",
        factor=f"{factor:.3g}",
        name=check.name,
        numbers=_both(check),
    )


def _at_other_sign(check: ArrayCheck) -> Message:
    return Message(
        "with the other sign the gradient of {name} is wrong: {numbers}",
        name=check.name,
        numbers=_both(check),
    )


def _not_seen(text: Message) -> Message:
    return Message("not seen at these inputs: {text}", text=text)


def _both(check: ArrayCheck) -> Message:
    numbers = {"ours": f"{check.analytic:.4g}", "slope": f"{check.numeric:.4g}"}
    if not check.index:
        return Message("it is {ours}, and the function's slope {slope}", **numbers)
    return Message(
        "at {place} it is {ours}, and the function's slope {slope}", place=check.index, **numbers
    )


def _moves_there(check: ArrayCheck) -> bool:
    """Whether the function moves where the two differ most: it is not guarded there."""
    return abs(check.numeric) > 0.1 * abs(check.analytic)


def _has_one_sign(array: np.ndarray) -> bool:
    return bool(array.size) and bool((array > 0).all() or (array < 0).all())


def lookup_remarks(differences: Differences, grads: dict[str, Any]) -> list[str]:
    """Say when rows of an array are looked up, and none of them twice: lost repeats do not show."""
    for name, grad in grads.items():
        if not isinstance(grad, np.ndarray) or grad.ndim != 2 or differences.output.ndim == 0:
            continue
        rows = np.flatnonzero(grad.any(axis=1))
        if len(rows) in (0, 1, len(grad)) or len(grad) > 200:
            continue
        used = [differences.jacobian(name, (int(row), 0)) for row in rows[:20]]
        touched = [np.count_nonzero(j.reshape(len(j), -1).any(axis=1)) for j in used]
        if set(touched) == {1}:
            return [
                Message(
                    "of {name} {count} rows are used, and none twice: a backward that loses the "
                    "repeats of an id would pass. Give the ids to forward, so that they are "
                    "repeated",
                    name=name,
                    count=len(rows),
                )
            ]
    return []


def rounding_faults(
    analytic: Subject, r: np.ndarray, names: list[str], floor: float, rng: np.random.Generator
) -> list[Fault]:
    """Look for float32 inside a float64 backward: its noise over inputs very near each other.

    Over points 3e-8 apart a smooth gradient is straight, and its third differences vanish;
    those of float32 stay at 6e-8 of its size. A forward that is as noisy has no digits to lose,
    and what is left where all cancels, less than `floor`, is not a gradient.
    """
    shifts = _APART * np.arange(7)
    turns = {n: rng.uniform(-1, 1, analytic.arrays[n].shape) for n in analytic.input_names}
    turn = rng.uniform(-1, 1, r.shape)
    try:
        runs = [_shifted(analytic, r, names, turns, turn, shift) for shift in shifts]
    except Exception:
        return []
    sizes = {name: _size(runs[0][name]) for name in (*names, "")}
    noise = {name: _noise([run[name] for run in runs], sizes[name]) for name in sizes}
    return [
        Fault("dtype", name, _rounded(name))
        for name in names
        if noise[name] > 1e-9 and noise[name] * sizes[name] > 10 * floor and noise[""] < 1e-11
    ]


def _rounded(name: str) -> Message:
    return Message(
        "the gradient of {name} has the rounding of float32, its forward that of float64", name=name
    )


def spread(
    analytic: Subject, r: np.ndarray, names: list[str], eps: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return how far each entry of a gradient moves when the inputs move by their rounding.

    Where much cancels, right code is off by this, and nothing is to be learnt from the difference.
    """
    found = []
    for k in range(5):
        turns = {n: rng.uniform(-1, 1, analytic.arrays[n].shape) for n in analytic.input_names}
        turn = rng.uniform(-1, 1, r.shape)
        found.append(_shifted(analytic, r, names, turns, turn, 4 * eps * (k > 0)))
    return {n: np.ptp([run[n] for run in found], axis=0) for n in names}


def _shifted(
    analytic: Subject,
    r: np.ndarray,
    names: list[str],
    turns: dict[str, np.ndarray],
    turn: np.ndarray,
    shift: float,
) -> dict[str, np.ndarray]:
    """Run both passes at inputs and a dy that are a little off; "" is the output."""
    before = {n: analytic.arrays[n].copy() for n in turns}
    try:
        for n, each in turns.items():
            analytic.arrays[n][...] = before[n] * (1 + shift * each)
        grads, y = analytic.gradients((r * (1 + shift * turn)).astype(r.dtype))
        run = {n: np.array(as_dense(grads.get(n)), dtype=float) for n in names}
        return run | {"": np.array(y, dtype=float)}
    finally:
        for n, array in before.items():
            analytic.arrays[n][...] = array
        analytic.forget()


def _size(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0


def _noise(values: list[np.ndarray], size: float) -> float:
    """Return the noise over near points; an entry that jumps, at a corner, is left out."""
    every = np.array(values).reshape(len(values), -1)
    noise = np.abs(np.diff(every, 3, axis=0)).max(axis=0) / (size or 1.0) / np.sqrt(20)
    calm = noise[noise < _JUMP]
    return float(np.sqrt(np.mean(np.square(calm)))) if calm.size else 0.0
