"""Rules that a backward pass must keep, checked without any difference quotient.

A backward pass is linear in the gradient that arrives: backward(0) = 0, and
backward(2 dy) = 2 backward(dy). It changes neither its inputs nor its parameters, gives the
same result twice, adds into gradients that are there, and forgets the forward pass before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minidlrm.checking.subject import Subject, as_dense, rows_of
from minidlrm.module import SparseGrad


@dataclass(frozen=True)
class Fault:
    """A rule that was broken.

    Parameters
    ----------
    key : str
        Its name in the catalogue of mistakes.
    array : str
        Whose gradient shows it; "" for all.
    text : str
        One sentence.
    """

    key: str
    array: str
    text: str


def forward_faults(subject: Subject) -> list[Fault]:
    """Check that there is something to check: finite outputs, the same ones twice."""
    if not subject.arrays:
        kinds = ", ".join(str(getattr(value, "dtype", type(value))) for value in subject.inputs)
        return [
            Fault(
                "no_floats", "", f"there is nothing to check: no input is a float array ({kinds})"
            )
        ]
    before = {name: array.copy() for name, array in subject.arrays.items()}
    first = subject.output()
    faults = _changed(subject, before, "forward")
    if first.dtype.kind != "f":
        return [*faults, Fault("dtype", "", f"the output has dtype {first.dtype}: no float")]
    if first.size == 0:
        return [*faults, Fault("empty", "", f"the output is empty: shape {first.shape}")]
    if not np.isfinite(first).all():
        place = tuple(map(int, np.argwhere(~np.isfinite(first))[0]))
        value = first[place]
        return [*faults, Fault("not_finite", "", f"the output is {value} at {place}")]
    if not np.array_equal(first, subject.output()):
        text = "forward gives another output for the same input: it is random, or keeps a state"
        faults.append(Fault("noise", "", text))
    return faults


def _changed(subject: Subject, before: dict[str, np.ndarray], what: str) -> list[Fault]:
    """Report arrays that a pass has changed, and put them back."""
    faults = []
    for name, array in subject.arrays.items():
        if not np.array_equal(array, before[name], equal_nan=True):
            faults.append(Fault("modified", name, f"{what} changes {name} in place"))
            array[...] = before[name]
    return faults


def gradient_faults(subject: Subject, grads: dict[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """Check form: that each gradient is there, in its array's shape, in floats.

    Returns
    -------
    (dict, list of Fault)
        The gradients, mended where it can be told how; zeros where there is none.
    """
    mended, faults = {}, []
    returned_none = all(grads.get(name) is None for name in subject.input_names)
    for name, array in subject.arrays.items():
        if name not in grads:  # a loss returns none for its labels
            continue
        grad = grads[name]
        if grad is None:
            mended[name] = np.zeros(array.shape)
            if name in subject.parameters:
                text = f"{name} has no gradient after backward"
                faults.append(Fault("missing", name, text))
            elif returned_none:
                faults.append(Fault("missing", name, f"backward returned no gradient of {name}"))
            continue
        mended[name], fault = _in_form(name, array, grad)
        if fault:
            faults.append(fault)
    return mended, faults


def _in_form(name: str, array: np.ndarray, grad: Any) -> tuple[Any, Fault | None]:
    if isinstance(grad, SparseGrad):
        if grad.shape != array.shape:
            text = f"the gradient of {name} has shape {grad.shape}, {name} has {array.shape}"
            return np.zeros(array.shape), Fault("shape", name, text)
        return grad, None
    if grad is Ellipsis:
        text = f"the gradient of {name} is still '...': it is not written yet"
        return np.zeros(array.shape), Fault("missing", name, text)
    try:
        grad = np.asarray(grad)
        values = grad.astype(np.float64)
    except (TypeError, ValueError):
        text = f"the gradient of {name} is no array of numbers: {type(grad).__name__}"
        return np.zeros(array.shape), Fault("shape", name, text)
    if grad.shape != array.shape:
        values, fault = _in_shape(name, array, values)
        if fault:
            return values, fault
    if grad.dtype.itemsize < array.dtype.itemsize and grad.dtype.kind == "f":
        text = f"the gradient of {name} has dtype {grad.dtype}, {name} has {array.dtype}"
        return values, Fault("dtype", name, text)
    if grad.dtype.kind not in "f":
        return values, Fault("dtype", name, f"the gradient of {name} has dtype {grad.dtype}")
    return values, None


def _in_shape(name: str, array: np.ndarray, grad: np.ndarray) -> tuple[np.ndarray, Fault | None]:
    """Mend a gradient of another shape where it is plain how; say what is wrong with it."""
    text = f"the gradient of {name} has shape {grad.shape}, {name} has {array.shape}"
    if grad.size == array.size and "weights" in name:
        return grad.reshape(array.shape), None  # of bags: one number for each id, flat
    if grad.shape == array.shape[::-1]:
        return grad.T, Fault("transposed_shape", name, text + ": it is transposed")
    if grad.size == array.size:
        return grad.reshape(array.shape), Fault("shape", name, text)
    extra = grad.ndim - array.ndim
    if extra > 0 and grad.shape[extra:] == array.shape:
        summed = grad.sum(axis=tuple(range(extra)))
        return summed, Fault("not_summed", name, text + ": sum it over the batch")
    return np.zeros(array.shape), Fault("shape", name, text)


def backward_faults(
    subject: Subject, dy: np.ndarray, grads: dict[str, Any], rng: np.random.Generator, tol: float
) -> list[Fault]:
    """Check linearity, purity, repetition, accumulation and stale state of the backward pass."""
    before = {name: array.copy() for name, array in subject.arrays.items()}
    given = dy.copy()
    again, _ = subject.gradients(dy)
    faults = _changed(subject, before, "backward")
    if not np.array_equal(dy, given):
        faults.append(Fault("modified", "dy", "backward changes dy in place"))
        dy[...] = given
    if not _same(grads, again, tol):
        text = "backward gives another result the second time: something is left from the first"
        return [*faults, Fault("leftover", "", text)]
    not_added = _accumulation(subject, dy, grads, tol)
    return faults + _linearity(subject, dy, grads, rng, tol) + not_added


def _linearity(subject, dy, grads, rng, tol) -> list[Fault]:
    """Check that backward(2 dy + more) = 2 backward(dy) + backward(more); if not, tell which."""
    more = rng.normal(size=dy.shape).astype(dy.dtype)
    other, _ = subject.gradients(more.copy())
    if _all_zero(grads):
        return []
    if _same(grads, other, tol):
        text = "the gradients are the same whatever dy is: backward ignores it"
        return [Fault("upstream_ignored", "", text)]
    mixed, _ = subject.gradients(2 * dy + more)
    names = [name for name, grad in grads.items() if grad is not None]
    if all(_is_sum(mixed.get(n), grads[n], other.get(n), tol, 2.0) for n in names):
        return []
    zero, _ = subject.gradients(np.zeros_like(dy))
    double, _ = subject.gradients(2 * dy)
    for name in names:
        if _size(zero.get(name)) > tol * _size(grads[name]):
            text = f"backward(0) is not 0: the gradient of {name} has a part without dy"
            return [Fault("not_linear", name, text)]
        if not _same_array(double.get(name), grads[name], tol, 2.0):
            text = f"backward(2 dy) is not 2 backward(dy), for {name}"
            return [Fault("not_linear", name, text)]
    text = "backward(dy1 + dy2) is not backward(dy1) + backward(dy2)"
    return [Fault("not_linear", "", text)]


def _is_sum(total: Any, a: Any, b: Any, tol: float, factor: float) -> bool:
    """Whether total = factor a + b, up to rounding."""
    if isinstance(a, SparseGrad) and isinstance(b, SparseGrad) and isinstance(total, SparseGrad):
        rows = np.unique(np.concatenate([total.rows, a.rows, b.rows]))
        total, a, b = (rows_of(grad, rows) for grad in (total, a, b))
    if b is None or total is None:
        return False
    total, a, b = as_dense(total), as_dense(a), as_dense(b)
    if not total.shape == a.shape == b.shape:
        return False
    limit = tol * factor * max(_size(a), _size(b))
    return bool(np.abs(total - factor * a - b).max(initial=0) <= limit)


def _accumulation(subject, dy, grads, tol) -> list[Fault]:
    """Run backward once more without zero_grad: the parameters' gradients must double."""
    if not subject.parameters:
        return []
    subject.target.forward(*subject.inputs)
    subject.target.backward(dy if dy.ndim else float(dy))
    faults = []
    for name, parameter in subject.parameters.items():
        grad = parameter.grad
        if _size(grads.get(name)) == 0:
            continue
        if grad is None or _same_array(grad, grads[name], tol):
            text = f"a second backward overwrites the gradient of {name}; it must add to it"
            faults.append(Fault("overwritten", name, text))
        elif not _same_array(grad, grads[name], tol, 2.0):
            text = f"a second backward does not add the same gradient to {name} once more"
            faults.append(Fault("leftover", name, text))
    subject.zero_grad()
    return faults


def stale_faults(subject: Subject, fresh: Subject, dy: np.ndarray, rng, tol: float) -> list[Fault]:
    """Compare with a copy that has seen nothing: the forward pass before must not matter.

    Parameters
    ----------
    subject, fresh : Subject
        The one that was used, and its copy; both are run on other inputs.
    """
    inputs = tuple(_other(value, rng) for value in subject.inputs)
    try:
        expected, y = Subject(fresh.target, inputs, fresh.names).gradients(dy)
        found, z = Subject(subject.target, inputs, fresh.names).gradients(dy)
    except Exception:
        return []  # the other inputs do not fit, and say nothing
    if np.shape(y) != np.shape(z) or not np.all(np.abs(y - z) <= tol * (1 + np.abs(z))):
        text = "forward gives another output after a forward of other inputs: it keeps something"
        return [Fault("stale", "", text)]
    for name in expected:
        if not _same_array(found.get(name), expected[name], tol):
            text = f"the gradient of {name} depends on an earlier forward pass"
            return [Fault("stale", name, text)]
    return []


def _other(value: Any, rng: np.random.Generator) -> Any:
    """Return other inputs of the same shapes; ids change places within their column."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        inside = bool(((value >= 0) & (value <= 1)).all())  # labels and rates stay such
        return 1 - value if inside else value + rng.normal(size=value.shape)
    if isinstance(value, np.ndarray) and value.ndim == 2:
        return value[::-1].copy()
    return value


def _same(first: dict[str, Any], second: dict[str, Any], tol: float) -> bool:
    return all(_same_array(first[name], second.get(name), tol) for name in first)


def _same_array(a: Any, b: Any, tol: float, factor: float = 1.0) -> bool:
    """Whether a is factor * b, up to rounding. Two sparse gradients are never made dense."""
    if a is None or b is None:
        return a is None and b is None
    if isinstance(a, SparseGrad) and isinstance(b, SparseGrad):
        rows = np.union1d(a.rows, b.rows)
        a, b = rows_of(a, rows), rows_of(b, rows)
    a, b = as_dense(a), as_dense(b)
    if a.shape != b.shape:
        return False
    limit = tol * max(1.0, factor) * float(np.abs(b).max(initial=1e-300))
    return bool(np.abs(a - factor * b).max(initial=0) <= limit)


def _size(grad: Any) -> float:
    if grad is None:
        return 0.0
    values = grad.values if isinstance(grad, SparseGrad) else np.asarray(grad)
    return float(np.abs(values).max(initial=0))


def _all_zero(grads: dict[str, Any]) -> bool:
    return all(_size(grad) == 0 for grad in grads.values())
