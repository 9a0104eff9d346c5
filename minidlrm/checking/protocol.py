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

Arrays = dict[str, np.ndarray]


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


def forward_faults(subject: Subject, before: Arrays) -> tuple[list[Fault], np.ndarray]:
    """Check that there is something to check: finite outputs.

    Returns
    -------
    (list of Fault, array)
        The rules that were broken, and the output.
    """
    if not subject.arrays:
        kinds = ", ".join(str(getattr(value, "dtype", type(value))) for value in subject.inputs)
        text = f"there is nothing to check: no input is a float array ({kinds})"
        return [Fault("no_floats", "", text)], np.zeros(0)
    first = subject.output().copy()  # the code may write its next output there
    faults = _changed(subject, before, "forward")
    if first.dtype.kind != "f":
        faults.append(Fault("dtype", "", f"the output has dtype {first.dtype}: no float"))
    elif first.size == 0:
        faults.append(Fault("empty", "", f"the output is empty: shape {first.shape}"))
    elif not np.isfinite(first).all():
        place = tuple(map(int, np.argwhere(~np.isfinite(first))[0]))
        faults.append(Fault("not_finite", "", f"the output is {first[place]} at {place}"))
    return faults, first


def noise_faults(first: np.ndarray, second: np.ndarray) -> list[Fault]:
    """Check that forward gives the same output twice."""
    if np.array_equal(first, second):
        return []
    text = "forward gives another output for the same input: it is random, or keeps a state"
    return [Fault("noise", "", text)]


def _changed(subject: Subject, before: Arrays, what: str) -> list[Fault]:
    """Report arrays that a pass has changed, and put them back."""
    names = subject.changed(before)
    subject.restore(before)
    return [Fault("modified", name, f"{what} changes {name} in place") for name in names]


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
    if not np.isfinite(values).all():
        place = tuple(map(int, np.argwhere(~np.isfinite(values))[0]))
        text = f"the gradient of {name} is {values[place]} at {place}"
        return np.zeros(array.shape), Fault("nan", name, text)
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
    subject: Subject,
    fresh: Subject | None,
    dy: np.ndarray,
    grads: dict[str, Any],
    before: Arrays,
    rng: np.random.Generator,
    tol: float,
) -> list[Fault]:
    """Check linearity, purity, repetition, accumulation and stale state of the backward pass.

    Parameters
    ----------
    subject : Subject
        It has just run forward and backward, from zero.
    fresh : Subject, optional
        A copy that has seen nothing. None leaves stale state out.
    dy, grads : array, dict
        What arrived then, and the gradients that left.
    before : dict of str to array
        A snapshot of the subject from before that.
    """
    others = tuple(_other(value, rng) for value in subject.inputs)
    if fresh is not None and _all_hold(subject, fresh, others, dy, grads, before, tol):
        return []
    subject.restore(before)
    given = dy.copy()
    again, _ = subject.gradients(dy)
    faults = _changed(subject, before, "backward")
    if not np.array_equal(dy, given):
        faults.append(Fault("modified", "dy", "backward changes dy in place"))
        dy[...] = given
    stale = stale_faults(subject, fresh, others, dy, tol) if fresh is not None else []
    if not _same(grads, again, tol):
        text = "backward gives another result the second time: something is left from the first"
        return [*faults, Fault("leftover", "", text), *stale]
    not_added = _accumulation(subject, dy, grads, tol)
    return faults + _linearity(subject, dy, grads, rng, tol) + not_added + stale


def _all_hold(subject, fresh, others, dy, grads, before, tol) -> bool:
    """Ask for all rules at once; only when this fails, each is asked for on its own.

    Both run on other inputs. The fresh one gives g'(dy); the one that was used must give
    g'(-2 dy) = -2 g'(dy), which its parameters add to the g(dy) that they have. (A function
    such as |dy| or max(dy, 0) keeps a positive factor, but not a negative one.)
    """
    scaled = -2 * dy
    given = scaled.copy()
    try:
        total, y = subject.more_gradients(scaled, others)
        once, z = fresh.gradients(dy.copy(), others)
    except Exception:
        return False  # the other inputs do not fit
    finally:
        subject.zero_grad()
    if not np.array_equal(scaled, given) or not _near(y, z, tol) or subject.changed(before):
        return False
    held = subject.parameters
    return all(
        _is_sum(total.get(n), (n in held, g), (-2, once.get(n)), tol) for n, g in grads.items()
    )


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
    if all(_is_sum(mixed.get(n), (2, grads[n]), (1, other.get(n)), tol) for n in names):
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


def _is_sum(total: Any, first: tuple[int, Any], second: tuple[int, Any], tol: float) -> bool:
    """Whether total is the sum of two terms (factor, gradient), up to rounding."""
    (m, a), (n, b) = first, second
    if total is None or a is None or b is None:
        return False
    if isinstance(a, SparseGrad) and isinstance(b, SparseGrad) and isinstance(total, SparseGrad):
        rows = np.unique(np.concatenate([total.rows, a.rows, b.rows]))
        total, a, b = (rows_of(grad, rows) for grad in (total, a, b))
    total, a, b = as_dense(total), as_dense(a), as_dense(b)
    if not total.shape == a.shape == b.shape:
        return False
    return _size(total - m * a - n * b) <= 2 * tol * max(_size(a), _size(b))


def _accumulation(subject, dy, grads, tol) -> list[Fault]:
    """Run backward once more without zero_grad: the parameters' gradients must double."""
    if not subject.parameters:
        return []
    subject.more_gradients(dy)
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


def stale_faults(subject, fresh, others, dy: np.ndarray, tol: float) -> list[Fault]:
    """Compare with a copy that has seen nothing: the forward pass before must not matter."""
    try:
        expected, y = fresh.gradients(dy, others)
        found, z = subject.gradients(dy, others)
    except Exception:
        return []  # the other inputs do not fit, and say nothing
    if not _near(y, z, tol):
        text = "forward gives another output after a forward of other inputs: it keeps something"
        return [Fault("stale", "", text)]
    for name in expected:
        if not _same_array(found.get(name), expected[name], tol):
            text = f"the gradient of {name} depends on an earlier forward pass"
            return [Fault("stale", name, text)]
    return []


def _near(y: Any, z: Any, tol: float) -> bool:
    return np.shape(y) == np.shape(z) and bool((np.abs(y - z) <= tol * (1 + np.abs(z))).all())


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
