"""Which entries of a gradient are compared with a numeric derivative, one by one.

A random direction in which every entry takes part comes first: where the gradient fits, its
largest entry alone is compared, for the report. Where it does not, an entry that is wrong is
found by halving, and comes before a random sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidlrm.checking.numeric import Differences
from minidlrm.module import SparseGrad


@dataclass(frozen=True)
class Choice:
    """The entries to compare.

    Parameters
    ----------
    indices : list of tuple of int
        In this order; more than are needed, since some may be corners.
    size : int
        How many entries the gradient has; of a SparseGrad, those of its rows.
    all_agree : bool
        Whether all of them fit along one random direction.
    """

    indices: list[tuple[int, ...]]
    size: int
    all_agree: bool


def choose(
    differences: Differences,
    name: str,
    grad: Any,
    limit: int,
    at_once: bool,
    rng: np.random.Generator,
    rtol: float = 0.0,
    known: bool = False,
) -> Choice:
    """Choose the entries of one gradient.

    Parameters
    ----------
    differences : Differences
        Numeric derivatives.
    name : str
        Which array.
    grad : array or SparseGrad
        Its analytic gradient.
    limit : int
        How many entries are compared where they do not all agree.
    at_once : bool
        Whether to ask a random direction first.
    rng : numpy.random.Generator
        Draws the sample.
    rtol : float
        What the code's own rounding may amount to; 0 where it runs in the precision of the
        differences.
    known : bool
        Whether all arrays together fit along one direction already.
    """
    values = grad.values if isinstance(grad, SparseGrad) else grad
    lost = _forgotten(differences, name, grad, rng) if isinstance(grad, SparseGrad) else []
    if at_once and not rtol and not lost and (known or differences.agree(name, grad)):
        return Choice([_place(grad, np.abs(values).argmax())], values.size, True)
    flat = np.arange(values.size)
    if values.size > limit:
        flat = rng.choice(values.size, min(values.size, 3 * limit), replace=False)
        if at_once and not rtol and differences.is_analytic(name):
            everything = np.arange(values.size)
            wrong = _halved(everything, lambda some: not differences.agree(name, grad, some))
            flat = np.append(wrong, flat[flat != wrong])
        elif at_once:
            suspect = _suspect(differences, name, grad, rng, rtol)
            flat = np.append(suspect, flat[~np.isin(flat, suspect)])
    return Choice(lost + [_place(grad, k) for k in flat], values.size, False)


def _forgotten(
    differences: Differences, name: str, grad: SparseGrad, rng: np.random.Generator
) -> list[tuple[int, ...]]:
    """Find a row that the output depends on, and the gradient has not: by halving, if any."""
    subject = differences.subject
    table = subject.arrays[name]
    left_out = np.ones(len(table), bool)
    left_out[grad.rows] = False
    rows = np.flatnonzero(left_out)

    def matters(some: np.ndarray) -> bool:
        kept = table[some]
        table[some] += rng.random(kept.shape)
        changed = not np.array_equal(subject.output(), differences.output)
        table[some] = kept
        return changed  # a row that is not read cannot change a bit

    if len(rows) == 0 or not matters(rows):
        return []
    row = int(_halved(rows, matters))
    return [(row, d) for d in range(table.shape[1])]


def _suspect(
    differences: Differences, name: str, grad: Any, rng: np.random.Generator, rtol: float
) -> np.ndarray:
    """Find one entry that may be wrong among many, by real differences along directions of 1, -1.

    One wrong entry changes <grad, d> by as much as it is wrong, whichever it is. Where the sum
    does not fit, halves are asked; the entry that is left is compared like any other.
    """
    where, values = (grad.rows, grad.values) if isinstance(grad, SparseGrad) else (..., grad)
    signs = rng.choice([-1.0, 1.0], values.size)

    def excess(some: np.ndarray) -> float:
        direction = np.zeros(values.size)
        direction[some] = signs[some]
        direction = direction.reshape(values.shape)
        slope, error = differences.real_along(name, where, direction)
        rounding = rtol * float(np.sqrt(np.square(values.ravel()[some]).sum()))
        return abs(float((values * direction).sum()) - slope) - 3 * error - 3 * rounding

    some = np.arange(values.size)
    if not excess(some) > 1e-6 * np.abs(values).max(initial=0):
        return some[:0]
    while len(some) > 1:
        halves = some[: len(some) // 2], some[len(some) // 2 :]
        some = max(halves, key=excess)
    return some


def _halved(some: np.ndarray, matters: Callable[[np.ndarray], bool]) -> Any:
    """Return one that matters, of some that do: one of two halves has it."""
    while len(some) > 1:
        half = some[: len(some) // 2]
        some = half if matters(half) else some[len(some) // 2 :]
    return some[0]


def _place(grad: Any, flat: Any) -> tuple[int, ...]:
    """Return the index in the array of the gradient's entry number `flat`."""
    sparse = isinstance(grad, SparseGrad)
    shape = grad.values.shape if sparse else grad.shape
    place = tuple(map(int, np.unravel_index(flat, shape)))
    return (int(grad.rows[place[0]]), *place[1:]) if sparse else place


def entry(grad: Any, index: tuple[int, ...]) -> float:
    """Return one entry of a gradient; 0 in the rows that a SparseGrad leaves out."""
    if not isinstance(grad, SparseGrad):
        return float(grad[index])
    k = int(np.searchsorted(grad.rows, index[0]))
    stored = k < len(grad.rows) and grad.rows[k] == index[0]
    return float(grad.values[(k, *index[1:])]) if stored else 0.0
