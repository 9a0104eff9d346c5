"""gradcheck: is the backward pass the derivative of the forward pass?

The outputs y are reduced to one number L = sum(r * y) with random r, so that the analytic
gradient is backward(r). Each entry x of each array is then moved by h, and
(L(x + h) - L(x - h)) / 2h must agree with it. All is done on a float64 copy.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from minidlrm.checking.report import ArrayCheck, GradCheckReport
from minidlrm.data.batch import Batch, Jagged
from minidlrm.module import Module, SparseGrad

_STEP = np.cbrt(np.finfo(np.float64).eps)  # balances the truncation and the rounding error


def gradcheck(
    target: Module,
    *inputs: Any,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    max_checks: int = 100,
    seed: int = 0,
    verbose: bool = True,
) -> GradCheckReport:
    """Check every parameter and every differentiable input by central differences.

    The ids in `inputs` are changed so that they collide, inside a bag and across bags: a
    backward pass that loses the repeats of an id would pass on distinct ids. All rows of a
    table that its gradient leaves out are moved at once: the output must not change.

    Parameters
    ----------
    target : Module
        A layer, a loss, or a model. It is copied, and not changed.
    *inputs
        What its `forward` takes: arrays, a `Jagged`, or a `Batch`. `backward` returns the
        gradients of the float arrays in their order; the last ones may be left out (a loss
        has none for its labels), but not all.
    rtol, atol : float
        An entry passes when |a - n| <= rtol max(|a|, |n|) + atol.
    max_checks : int
        Entries checked in each array; larger arrays are sampled.
    seed : int
        Of the random r, and of the sample.
    verbose : bool
        Whether to print the table.

    Returns
    -------
    GradCheckReport
        `passed`, and a line for each array with the worst error and where it is.

    Raises
    ------
    ValueError
        When the output is not finite, or has no entries.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> x = np.random.default_rng(0).normal(size=(4, 3))
    >>> md.gradcheck(md.Linear(3, 2), x, verbose=False).passed
    True
    """
    rng = np.random.default_rng(seed)
    target = target.astype(np.float64)
    inputs = tuple(_double(_collide(value, target, k == 0)) for k, value in enumerate(inputs))
    output = np.asarray(target.forward(*inputs))
    if output.size == 0 or not np.isfinite(output).all():
        raise ValueError(f"{target!r}: the output (shape {output.shape}) is empty or not finite")
    r = rng.normal(size=output.shape)

    target.zero_grad()
    target.forward(*inputs)
    returned = target.backward(r if r.ndim else float(r))

    def scalar() -> float:
        return float(np.sum(r * target.forward(*inputs)))

    checks = []
    for name, value, grad in _arrays(target, inputs, returned):
        indices = _indices(value, grad, max_checks, rng)
        if isinstance(grad, SparseGrad):
            indices += _forgotten(value, grad, scalar, rng)
        checks.append(_check(name, value, grad, indices, scalar, rtol, atol))
    report = GradCheckReport(repr(target), tuple(checks), rtol)
    if verbose:
        print(report)
    return report


def _check(name, value, grad, indices, scalar, rtol, atol) -> ArrayCheck:
    worst = (-1.0, (), 0.0, 0.0)
    for index in indices:
        analytic = _entry(grad, index)
        for shrink in (1, 16, 256):  # a ReLU's corner inside the step: come closer
            numeric = _difference(value, index, _STEP / shrink, scalar)
            error = abs(analytic - numeric) / (max(abs(analytic), abs(numeric)) + atol / rtol)
            if error <= rtol:
                break
        if not error <= worst[0]:  # also true for NaN
            worst = (error, index, analytic, numeric)
    return ArrayCheck(name, value.shape, len(indices), *worst, passed=bool(worst[0] <= rtol))


def _difference(value: np.ndarray, index: tuple, step: float, scalar) -> float:
    """(L(x + h) - L(x - h)) / 2h at one entry, with the step that survived rounding."""
    x = value[index]
    up, down = x + step * max(1.0, abs(x)), x - step * max(1.0, abs(x))
    value[index] = up
    above = scalar()
    value[index] = down
    below = scalar()
    value[index] = x
    return (above - below) / (up - down)


def _arrays(target: Module, inputs: tuple, returned: Any):
    """Yield (name, value, gradient) for all parameters, then for the differentiable inputs."""
    for name, parameter in target.named_parameters():
        grad = parameter.grad
        yield name, parameter.value, np.zeros_like(parameter.value) if grad is None else grad
    grads = list(returned) if isinstance(returned, tuple) else [returned]
    floats = []
    for k, value in enumerate(inputs):
        if isinstance(value, Jagged) and value.weights is not None:
            floats.append((f"input {k} weights", value.weights))
        elif isinstance(value, np.ndarray) and value.dtype.kind == "f":
            floats.append((f"input {k}", value))
    for (name, value), grad in zip(floats, grads, strict=False):
        missing = grad is None  # then it must be zero
        yield name, value, np.zeros_like(value) if missing else np.reshape(grad, value.shape)


def _indices(value: np.ndarray, grad: Any, max_checks: int, rng) -> list[tuple[int, ...]]:
    if not isinstance(grad, SparseGrad):
        picked = np.arange(value.size)
        if value.size > max_checks:
            picked = rng.choice(value.size, max_checks, replace=False)
        return [tuple(map(int, np.unravel_index(flat, value.shape))) for flat in picked]
    dim = value.shape[1]
    size = grad.rows.size * dim
    picked = np.arange(size) if size <= max_checks else rng.choice(size, max_checks, replace=False)
    indices: list[tuple[int, ...]] = [
        (int(grad.rows[flat // dim]), int(flat % dim)) for flat in picked
    ]
    return indices


def _forgotten(value: np.ndarray, grad: SparseGrad, scalar, rng) -> list[tuple[int, ...]]:
    """Find a row that the output depends on, and the gradient has not: by halving, if any."""
    rows = np.setdiff1d(np.arange(len(value)), grad.rows)
    before = scalar()

    def matters(some: np.ndarray) -> bool:
        kept = value[some]
        value[some] += rng.normal(size=kept.shape)
        changed = scalar() != before  # a row that is not read cannot change a bit
        value[some] = kept
        return changed

    if len(rows) == 0 or not matters(rows):
        return []
    while len(rows) > 1:
        half = rows[: len(rows) // 2]
        rows = half if matters(half) else rows[len(rows) // 2 :]
    return [(int(rows[0]), d) for d in range(value.shape[1])]


def _entry(grad: Any, index: tuple[int, ...]) -> float:
    if not isinstance(grad, SparseGrad):
        return float(grad[index])
    k = int(np.searchsorted(grad.rows, index[0]))
    stored = k < len(grad.rows) and grad.rows[k] == index[0]
    return float(grad.values[k, index[1]]) if stored else 0.0


def _collide(value: Any, target: Module, first: bool) -> Any:
    """Make ids repeat, inside a bag and across bags, never across tables."""
    if isinstance(value, Batch):
        return replace(value, sparse=_collide(value.sparse, target, first))
    counts = (getattr(module, "num_tables", 0) for _, module in target.named_modules())
    num_tables = next((count for count in counts if count), 1)
    if isinstance(value, Jagged):
        ids = value.values.copy()
        bounds = value.offsets[:: max(1, (len(value.offsets) - 1) // num_tables)]
        for start, stop in pairwise(bounds):
            _repeat_first(ids[start:stop])
        return Jagged(ids, value.offsets, value.weights)
    if not (isinstance(value, np.ndarray) and value.dtype.kind in "iu"):
        return value
    ids = value.copy()
    if ids.ndim == 2:
        if num_tables == 1:  # a row is a bag, and not one id a table
            ids[:1, 1:2] = ids[:1, :1]
        ids[1:2] = ids[:1]
    elif ids.ndim == 1 and first:  # a later one holds offsets
        _repeat_first(ids)
    return ids


def _repeat_first(ids: np.ndarray) -> None:
    """Repeat the first id next to it, in its bag or the next one, and at the end."""
    ids[:3] = ids[:1]
    ids[-1:] = ids[:1]


def _double(value: Any) -> Any:
    """Copy floats to float64; leave ids as they are."""
    if isinstance(value, Batch):
        label = None if value.label is None else value.label.astype(np.float64)
        return Batch(value.dense.astype(np.float64), _double(value.sparse), label)
    if isinstance(value, Jagged) and value.weights is not None:
        return Jagged(value.values, value.offsets, value.weights.astype(np.float64))
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return value.astype(np.float64)
    return value
