"""What a diagnosis may look at: both gradients of an array, whole, and the Jacobians."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from minidlrm.checking.numeric import Differences
from minidlrm.checking.protocol import Fault
from minidlrm.checking.report import ArrayCheck
from minidlrm.checking.subject import Subject, rows_of
from minidlrm.module import SparseGrad

TOL = 1e-4  # relative, for "the same up to the errors of differences"
_LIMIT = 1500  # entries of an array that is compared whole
_MAX_OUTPUTS = 120  # of which each gets a backward pass of its own


@dataclass(eq=False)
class Evidence:
    """All that a diagnosis may look at.

    Parameters
    ----------
    subject : Subject
        The target and its inputs, in float64.
    differences : Differences
        Numeric derivatives.
    r : array
        The gradient that arrived.
    grads : dict
        The analytic gradients.
    checks : tuple of ArrayCheck
        What was compared.
    faults : tuple of Fault
        Rules that were broken.
    """

    subject: Subject
    differences: Differences
    r: np.ndarray
    grads: dict[str, Any]
    checks: tuple[ArrayCheck, ...]
    faults: tuple[Fault, ...]

    def __post_init__(self) -> None:
        self.failed = [check.name for check in self.checks if not check.passed]
        self._whole: dict[str, Whole | None] = {}

    def whole(self, name: str) -> Whole | None:
        """Return the array's two gradients, every entry; None when it is too large."""
        if name not in self._whole:
            self._whole[name] = self._compare_whole(name)
        return self._whole[name]

    def _compare_whole(self, name: str) -> Whole | None:
        value, grad = self.subject.arrays[name], self.grads[name]
        rows = None
        shape: tuple[int, ...] = value.shape
        if value.size > _LIMIT:
            rows = self._rows(name)
            if rows is None:
                return None
            shape = (len(rows), *value.shape[1:])
        analytic = _part(grad, rows, value)
        jacobian = np.empty((self.r.size, *shape))
        for index in np.ndindex(shape):
            place = index if rows is None else (int(rows[index[0]]), *index[1:])
            jacobian[(slice(None), *index)] = self.differences.jacobian(name, place).ravel()
        numeric = np.tensordot(self.r.ravel(), jacobian, 1)
        return Whole(name, np.asarray(analytic, float), numeric, jacobian, value, rows)

    def analytic_jacobian(self, w: Whole) -> np.ndarray | None:
        """Return backward(e_k) for each output k (outputs, entries); None when there are many."""
        if not 1 < self.r.size <= _MAX_OUTPUTS:
            return None
        rows = []
        for grads in self._of_each_output:
            grad = grads.get(w.name)
            part = None if grad is None else _part(grad, w.rows, w.value)
            if part is None or part.shape != w.analytic.shape:
                return None
            rows.append(part.ravel())
        return np.array(rows)

    @cached_property
    def _of_each_output(self) -> list[dict[str, Any]]:
        """The gradients of all arrays when dy is 1 for one output, and 0 for all others."""
        found = []
        for k in range(self.r.size):
            unit = np.zeros(self.r.size)
            unit[k] = 1.0
            grads, _ = self.subject.gradients(unit.reshape(self.r.shape))
            found.append(
                {n: g.copy() if isinstance(g, np.ndarray) else g for n, g in grads.items()}
            )
        return found

    def _rows(self, name: str) -> np.ndarray | None:
        """Choose the rows of a large table to look at: those that matter here."""
        grad, value = self.grads[name], self.subject.arrays[name]
        check = next(c for c in self.checks if c.name == name)
        if value.ndim != 2 or len(check.indices) == 0:
            return None
        rows = grad.rows if isinstance(grad, SparseGrad) else np.unique(check.indices[:, 0])
        rows = np.union1d(rows, check.indices[:, 0])[: max(1, _LIMIT // value.shape[1])]
        return rows if rows.size * value.shape[1] <= _LIMIT else None

    @cached_property
    def lengths(self) -> dict[float, str]:
        """Numbers that a wrong factor may be, and what they are."""
        found: dict[float, str] = {2.0: "2", 3.0: "3", 4.0: "4"}
        y = self.differences.output
        for name, array in self.subject.arrays.items():
            for axis, n in enumerate(array.shape):
                found.setdefault(float(n), f"the length of axis {axis} of {name}")
        if y.ndim > 1:
            found[float(y.shape[1])] = f"the number of outputs of a sample, {y.shape[1]}"
        if self.batch_size > 1:
            found[float(self.batch_size)] = f"B = {self.batch_size}, the batch size"
        return found

    @cached_property
    def batch_size(self) -> int:
        """The rows of the output; for a loss, of its first input."""
        y = self.differences.output
        if y.ndim:
            return len(y)
        return next((len(a) for a in self.subject.arrays.values() if a.ndim), 1)


@dataclass(frozen=True, eq=False)
class Whole:
    """Both gradients of one array, every entry.

    Parameters
    ----------
    name : str
        Of the array.
    analytic, numeric : array
        What backward says, and what the function does.
    jacobian : array (outputs, *shape)
        The derivative of each output.
    value : array
        The array itself.
    rows : array or None
        Which rows of a large table these are.
    """

    name: str
    analytic: np.ndarray
    numeric: np.ndarray
    jacobian: np.ndarray
    value: np.ndarray
    rows: np.ndarray | None

    @property
    def here(self) -> np.ndarray:
        """The values, in the shape of the gradients."""
        return self.value if self.rows is None else self.value[self.rows]


def _part(grad: Any, rows: np.ndarray | None, value: np.ndarray) -> np.ndarray:
    """Return a gradient as an array: all of it, or the rows of a large table."""
    if isinstance(grad, SparseGrad) or rows is not None:
        return rows_of(grad, np.arange(len(value)) if rows is None else rows)
    return np.asarray(grad)


def close(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two gradients are the same, up to the errors of differences."""
    if np.shape(a) != np.shape(b):
        return False
    size = float(np.max(np.abs(b), initial=0))
    return bool(np.all(np.abs(np.asarray(a) - b) <= TOL * size)) and size > 0
