"""Rules that a backward pass must keep, checked without any difference quotient.

A backward pass is linear in the gradient that arrives: backward(0) = 0, and
backward(2 dy) = 2 backward(dy). It changes neither its inputs nor its parameters, gives the
same result twice, adds into gradients that are there, and forgets the forward pass before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minidlrm.checking import points
from minidlrm.checking.nearness import (
    Near,
    is_near,
    is_sum,
    same,
    same_array,
    size_of,
)
from minidlrm.checking.subject import FunctionPair, Subject
from minidlrm.languages import Message
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
        text = Message(
            "there is nothing to check: no input is a float array ({kinds})", kinds=kinds
        )
        return [Fault("no_floats", "", text)], np.zeros(0)
    first = subject.output().copy()  # the code may write its next output there
    faults = _changed(subject, before, "forward")
    if first.dtype.kind != "f":
        faults.append(
            Fault(
                "dtype", "", Message("the output has dtype {dtype}: not a float", dtype=first.dtype)
            )
        )
    elif first.size == 0:
        faults.append(
            Fault("empty", "", Message("the output is empty: shape {shape}", shape=first.shape))
        )
    elif not np.isfinite(first).all():
        place = tuple(map(int, np.argwhere(~np.isfinite(first))[0]))
        faults.append(
            Fault(
                "not_finite",
                "",
                Message("the output is {value} at {place}", value=first[place], place=place),
            )
        )
    return faults, first


def noise_faults(subject: Subject, first: np.ndarray) -> list[Fault]:
    """Check that forward gives the output once more that it gave at first."""
    if np.array_equal(first, subject.output()):
        return []
    text = Message(
        "forward gives another output for the same input: it is random, or keeps a state"
    )
    return [Fault("noise", "", text)]


def _changed(subject: Subject, before: Arrays, what: str) -> list[Fault]:
    """Report arrays that a pass has changed, and put them back."""
    names = subject.changed(before)
    subject.restore(before)
    return [
        Fault("modified", name, Message("{what} changes {name} in place", what=what, name=name))
        for name in names
    ]


def gradient_faults(
    subject: Subject, grads: dict[str, Any], forgotten: list[str]
) -> tuple[dict[str, Any], list[Fault]]:
    """Check form: that each gradient is there, in its array's shape, in floats.

    Parameters
    ----------
    subject : Subject
        What was run.
    grads : dict
        What backward gave; None, or nothing, for an array that has no gradient.
    forgotten : list of str
        The inputs whose gradient should be there and is not.

    Returns
    -------
    (dict, list of Fault)
        The gradients, mended where it can be told how; zeros where there is none.
    """
    mended, faults = {}, []
    for name, array in subject.arrays.items():
        grad = grads.get(name)
        if grad is not None:
            mended[name], fault = _in_form(name, array, grad)
            faults += [fault] if fault else []
        elif name in subject.parameters:
            mended[name] = np.zeros(array.shape)
            text = Message("{name} has no gradient after backward", name=name)
            faults.append(Fault("missing", name, text))
        elif name in forgotten:
            mended[name] = np.zeros(array.shape)
            text = Message("backward returned no gradient of {name}", name=name)
            faults.append(Fault("missing", name, text))
    return mended, faults


def _in_form(name: str, array: np.ndarray, grad: Any) -> tuple[Any, Fault | None]:
    if isinstance(grad, SparseGrad):
        if tuple(grad.shape) != array.shape:
            return np.zeros(array.shape), Fault("shape", name, _shapes(name, grad, array))
        return grad, None
    if grad is Ellipsis:
        text = Message("the gradient of {name} is still '...': it is not written yet", name=name)
        return np.zeros(array.shape), Fault("missing", name, text)
    kind = type(grad).__name__
    try:
        grad = np.asarray(grad)
        values = grad.astype(np.float64)
    except (TypeError, ValueError):
        text = Message(
            "the gradient of {name} is not an array of numbers: {kind}", name=name, kind=kind
        )
        return np.zeros(array.shape), Fault("shape", name, text)
    if not np.isfinite(values).all():
        place = tuple(map(int, np.argwhere(~np.isfinite(values))[0]))
        found = {"name": name, "value": values[place], "place": place}
        text = Message("the gradient of {name} is {value} at {place}", **found)
        return np.zeros(array.shape), Fault("nan", name, text)
    if grad.shape != array.shape:
        values, fault = _in_shape(name, array, values)
        if fault:
            return values, fault
    if grad.dtype.itemsize < array.dtype.itemsize and grad.dtype.kind == "f":
        found = {"name": name, "dtype": grad.dtype, "right": array.dtype}
        text = Message("the gradient of {name} has dtype {dtype}, {name} has {right}", **found)
        return values, Fault("dtype", name, text)
    if grad.dtype.kind not in "f":
        text = Message("the gradient of {name} has dtype {dtype}", name=name, dtype=grad.dtype)
        return values, Fault("dtype", name, text)
    return values, None


def _in_shape(name: str, array: np.ndarray, grad: np.ndarray) -> tuple[np.ndarray, Fault | None]:
    """Mend a gradient of another shape where it is plain how; say what is wrong with it."""
    text = _shapes(name, grad, array)
    if grad.size == array.size and "weights" in name:
        return grad.reshape(array.shape), None  # of bags: one number for each id, flat
    if grad.shape == array.shape[::-1]:
        return grad.T, Fault(
            "transposed_shape", name, Message("{shapes}: it is transposed", shapes=text)
        )
    if grad.size == array.size:
        return grad.reshape(array.shape), Fault("shape", name, text)
    extra = grad.ndim - array.ndim
    if extra > 0 and grad.shape[extra:] == array.shape:
        summed = grad.sum(axis=tuple(range(extra)))
        return summed, Fault(
            "not_summed", name, Message("{shapes}: sum it over the batch", shapes=text)
        )
    return np.zeros(array.shape), Fault("shape", name, text)


def _shapes(name: str, grad: Any, array: np.ndarray) -> Message:
    found = {"name": name, "shape": tuple(grad.shape), "right": array.shape}
    return Message("the gradient of {name} has shape {shape}, {name} has {right}", **found)


def backward_faults(
    subject: Subject,
    fresh: Subject | None,
    y: np.ndarray,
    dy: np.ndarray,
    grads: dict[str, Any],
    before: Arrays,
    rng: np.random.Generator,
    tol: Near,
) -> list[Fault]:
    """Check linearity, purity, repetition, accumulation and stale state of the backward pass.

    First that forward is not random: then nothing else is said.

    Parameters
    ----------
    subject : Subject
        It has just run forward and backward, from zero.
    fresh : Subject, optional
        A copy that has seen nothing. None leaves stale state out.
    y, dy, grads : array, array, dict
        The output, what arrived then, and the gradients that left.
    before : dict of str to array
        A snapshot of the subject from before that.
    """
    other = None if fresh is None else _elsewhere(fresh, dy, rng)
    if other and _all_hold(subject, other, dy, grads, before, tol):
        return []
    subject.restore(before)
    subject.forget()
    noise = noise_faults(subject, y)
    if noise:
        return noise
    subject.gradients(dy.copy())
    kept = _not_cleared(subject)
    given = dy.copy()
    again, _ = subject.gradients(dy)
    faults = kept + _changed(subject, before, "backward")
    if not np.array_equal(dy, given):
        faults.append(Fault("modified", "dy", Message("backward changes dy in place")))
        dy[...] = given
    if not same(grads, again, tol):
        text = Message(
            "backward gives another result the second time: something is left from the first"
        )
        return [*faults, Fault("leftover", "", text)]
    stale = stale_faults(subject, other, dy, tol) if other else []
    not_added = _accumulation(subject, dy, grads, tol)
    return faults + _linearity(subject, dy, grads, rng, tol) + not_added + stale


def _not_cleared(subject: Subject) -> list[Fault]:
    """Check that zero_grad of the target forgets all gradients; then forget them."""
    if subject.parameters:
        subject.zero_grad()
    held = [name for name, p in subject.parameters.items() if size_of(p.grad) > 0]
    subject.forget()
    faults = []
    for name in held:
        text = Message(
            "zero_grad leaves the gradient of {name} as it was: the next one adds to it", name=name
        )
        faults.append(Fault("leftover", name, text))
    return faults


@dataclass(frozen=True)
class _Elsewhere:
    """Other inputs, and what a copy that has seen nothing gives there."""

    inputs: tuple[Any, ...]
    grads: dict[str, Any]
    y: np.ndarray


def _elsewhere(fresh: Subject, dy: np.ndarray, rng: np.random.Generator) -> _Elsewhere | None:
    """Run a fresh copy on other inputs, in the domain: where all that comes out is finite."""
    for inputs in points.others(fresh.inputs, rng):
        try:
            grads, y = fresh.gradients(dy.copy(), inputs)
            found = _Elsewhere(inputs, {n: _copied(g) for n, g in grads.items()}, y.copy())
            if y.shape == dy.shape and _is_finite(y) and all(map(_is_finite, grads.values())):
                return found
        except Exception:  # these inputs do not fit, and say nothing
            continue
    return None


def _copied(grad: Any) -> Any:
    return grad.copy() if isinstance(grad, np.ndarray) else grad


def _is_finite(grad: Any) -> bool:
    if grad is None:
        return True
    values = grad.values if isinstance(grad, SparseGrad) else np.asarray(grad)
    return values.dtype.kind not in "fc" or bool(np.isfinite(values).all())


def _large(dy: np.ndarray) -> float:
    """Return a factor of dy at which a hidden limit shows; a power of two, so without rounding."""
    return 8.0 if dy.dtype.itemsize < 4 else 2.0**20


def _all_hold(subject, other: _Elsewhere, dy, grads, before, tol) -> bool:
    """Ask for all rules at once; only when this fails, each is asked for on its own.

    Both run on other inputs. The fresh one gives g'(dy); the one that was used must give
    -c g'(dy) for -c dy, with a c so large that a hidden limit shows. (A function such as |dy| or
    max(dy, 0) keeps a positive factor, but not a negative one.) Its parameters add this to what
    they are given: not to the g(dy) of the first pass, which the code may have kept itself.
    """
    factor, held = -_large(dy), subject.parameters
    if abs(factor) * tol.share > 1e-5:
        return False  # in the rounding of the sum g(dy) would be lost
    scaled, expected = (factor * dy).astype(dy.dtype), other.grads
    given = scaled.copy()
    try:
        if _not_cleared(subject):
            return False
        for name in held.keys() & grads.keys():
            held[name].grad = _doubled(grads[name])
        run = subject.more_gradients if held else subject.gradients
        total, y = run(scaled, other.inputs)
        add_up = all(
            is_sum(total.get(n), (2.0 * (n in held), g), (factor, expected.get(n)), tol)
            for n, g in grads.items()
        )
        if not add_up or not is_near(y, other.y, tol):
            return False
    except Exception:
        return False
    finally:
        subject.forget()
    return np.array_equal(scaled, given) and not subject.changed(before)


def _doubled(grad: Any) -> Any:
    if isinstance(grad, SparseGrad):
        return SparseGrad(grad.rows, 2 * grad.values, grad.shape)
    return 2 * grad


def _linearity(subject, dy, grads, rng, tol) -> list[Fault]:
    """Check that backward(c dy + more) = c backward(dy) + backward(more); if not, tell which."""
    more = rng.normal(size=dy.shape).astype(dy.dtype)
    other, _ = subject.gradients(more.copy())
    if all(size_of(grad) <= 10 * tol.floor for grad in grads.values()):
        return []
    if same(grads, other, tol):
        text = Message("the gradients are the same whatever dy is: backward ignores it")
        return [Fault("upstream_ignored", "", text)]
    return next(
        filter(
            None, (_not_linear(subject, dy, grads, more, other, c, tol) for c in (2.0, _large(dy)))
        ),
        [],
    )


def _not_linear(subject, dy, grads, more, other, factor: float, tol) -> list[Fault]:
    mixed, _ = subject.gradients((factor * dy + more).astype(dy.dtype))
    names = [name for name, grad in grads.items() if grad is not None]
    if not all(map(_is_finite, mixed.values())):
        return []
    if all(is_sum(mixed.get(n), (factor, grads[n]), (1, other.get(n)), tol) for n in names):
        return []
    zero, _ = subject.gradients(np.zeros_like(dy))
    double, _ = subject.gradients((factor * dy).astype(dy.dtype))
    for name in names:
        if size_of(zero.get(name)) > tol.share * size_of(grads[name]) + tol.floor:
            text = Message(
                "backward(0) is not 0: the gradient of {name} has a part without dy", name=name
            )
            return [Fault("not_linear", name, text)]
        if not same_array(double.get(name), grads[name], tol, factor):
            text = Message(
                "backward({c} dy) is not {c} backward(dy), for {name}", c=f"{factor:.0f}", name=name
            )
            return [Fault("not_linear", name, text)]
    text = Message("backward(dy1 + dy2) is not backward(dy1) + backward(dy2)")
    return [Fault("not_linear", "", text)]


def _accumulation(subject, dy, grads, tol) -> list[Fault]:
    """Run backward once more without zero_grad: the parameters' gradients must double."""
    if not subject.parameters:
        return []
    subject.more_gradients(dy)
    faults = []
    for name, parameter in subject.parameters.items():
        grad = parameter.grad
        if size_of(grads.get(name)) <= 10 * tol.floor:
            continue
        if grad is None or same_array(grad, grads[name], tol):
            text = Message(
                "a second backward overwrites the gradient of {name}; it must add to it", name=name
            )
            faults.append(Fault("overwritten", name, text))
        elif not same_array(grad, grads[name], tol, 2.0):
            text = Message(
                "a second backward does not add the same gradient to {name} once more", name=name
            )
            faults.append(Fault("leftover", name, text))
    subject.zero_grad()
    return faults


def cache_remarks(subject: Subject, dy: np.ndarray, tol: Near) -> list[str]:
    """Say when a second backward on the same cache gives another result."""
    if not isinstance(subject.target, FunctionPair):
        return []
    _, form = subject.forward_again()
    first = {n: _copied(g) for n, g in subject.collect(subject.backward(dy.copy(), form)).items()}
    try:
        second = subject.collect(subject.backward(dy.copy(), form))
    except Exception:
        second = {}
    if same(first, second, tol):
        return []
    return [
        Message(
            "backward changes what forward kept: called a second time on the same cache, it gives "
            "another result"
        )
    ]


def stale_faults(subject, other: _Elsewhere, dy: np.ndarray, tol: Near) -> list[Fault]:
    """Compare with a copy that has seen nothing: the forward pass before must not matter."""
    try:
        found, y = subject.gradients(dy, other.inputs)
    except Exception:
        return []  # the other inputs do not fit, and say nothing
    if not is_near(y, other.y, tol):
        text = Message(
            "forward gives another output after a forward of other inputs: it keeps something"
        )
        return [Fault("stale", "", text)]
    for name in other.grads:
        if not same_array(found.get(name), other.grads[name], tol):
            text = Message("the gradient of {name} depends on an earlier forward pass", name=name)
            return [Fault("stale", name, text)]
    return []
