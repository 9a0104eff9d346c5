"""What a diagnosis may look at: both gradients of an array, whole, and the Jacobians."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from minidlrm.checking import objects
from minidlrm.checking.numeric import Differences
from minidlrm.checking.protocol import Fault
from minidlrm.checking.report import ArrayCheck
from minidlrm.checking.subject import Subject, rows_of
from minidlrm.languages import Message
from minidlrm.module import SparseGrad

TOL = 1e-4  # relative, for "the same" in float32
_TOL = {True: 1e-7, False: 1e-5}  # in float64, by whether the complex step carried
_LIMIT = 1500  # entries of an array that is compared whole
_MOST = 3_000_000  # derivatives of outputs by entries
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
        self._once: dict[str, Any] = {}

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what `make` returns, computed on the first call."""
        if name not in self._once:
            self._once[name] = make()
        return self._once[name]

    @cached_property
    def tol(self) -> float:
        """Relative: what counts as the same number, with the errors of the differences."""
        if self.r.dtype.itemsize < 8 or self.subject.output().dtype.itemsize < 8:
            return TOL
        return _TOL[all(self.differences.is_analytic(name) for name in self.failed)]

    def same(self, a: Any, b: Any) -> bool:
        """Whether two gradients are equal, and not all zero."""
        return close(np.asarray(a), np.asarray(b), self.tol)

    @cached_property
    def is_linear(self) -> bool:
        """Whether backward may be asked for one output after another."""
        odd = {"not_linear", "upstream_ignored", "leftover", "stale", "noise", "modified"}
        return not odd & {fault.key for fault in self.faults}

    def broken(self, name: str) -> bool:
        """Whether the form of a gradient is wrong, so that its numbers say nothing."""
        form = ("shape", "nan", "missing")
        return any(fault.array == name and fault.key in form for fault in self.faults)

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
        if self.r.size * int(np.prod(shape)) > _MOST:
            return None
        analytic = _part(grad, rows, value)
        jacobian = np.empty((self.r.size, *shape))
        for index in np.ndindex(shape):
            place = index if rows is None else (int(rows[index[0]]), *index[1:])
            jacobian[(slice(None), *index)] = self.differences.jacobian(name, place).ravel()
        numeric = np.tensordot(self.r.ravel(), jacobian, 1)
        return Whole(name, np.asarray(analytic, float), numeric, jacobian, value, rows)

    def analytic_jacobian(self, w: Whole) -> np.ndarray | None:
        """Return backward(e_k) for each output k (outputs, entries); None when there are many."""
        if not 1 < self.r.size <= _MAX_OUTPUTS or not self.is_linear:
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

    def jacobians(self, w: Whole) -> tuple[np.ndarray, np.ndarray] | None:
        """Return ours and theirs (outputs, entries); of one output, ours is divided by dy."""
        theirs = w.jacobian.reshape(len(w.jacobian), -1)
        if self.r.size == 1:
            return w.analytic.reshape(1, -1) / float(self.r.item()), theirs
        ours = self.analytic_jacobian(w)
        return None if ours is None else (ours, theirs)

    @cached_property
    def known(self) -> dict[str, np.ndarray]:
        """All float arrays that backward may use, by what they are called to the reader."""
        found = {name: np.asarray(a, float) for name, a in self.subject.arrays.items()}
        found["y"] = np.asarray(self.subject.output(), float)
        for name, item in _kept(self.subject):
            if isinstance(item, np.ndarray) and item.dtype.kind in "fb" and item.ndim:
                value = item.astype(float)
                if not any(_is_equal(value, other) for other in found.values()):
                    found[name] = value
        return {name: a for name, a in found.items() if np.isfinite(a).all()}

    @cached_property
    def integers(self) -> dict[str, np.ndarray]:
        """The inputs that have no gradient: ids, labels, masks."""
        pairs = zip(self.subject.names, self.subject.inputs, strict=False)
        return {n: v for n, v in pairs if isinstance(v, np.ndarray) and v.dtype.kind in "iub"}

    def elsewhere(self, w: Whole, changes: Mapping[str, np.ndarray]) -> bool:
        """Whether our gradient is the right one where other inputs are as in `changes`.

        One random direction first: most guesses are wrong, and that takes one forward pass.
        """
        if not w.analytic.any() or w.rows is not None or w.value.size < 2:
            return False
        found = self.right_where(w, changes, w.analytic)
        return found is not None and self.same(w.analytic, found)

    def right_where(
        self, w: Whole, changes: Mapping[str, np.ndarray], like: np.ndarray | None = None
    ) -> np.ndarray | None:
        """Return the right gradient at other inputs; None where the code does not take them.

        With `like`, None as well where it differs along one random direction.
        """
        if w.rows is not None:
            return None
        try:
            with _changed(self.subject, changes), _changed(self.differences.complex, changes):
                if like is not None and not self._fits(w, like):
                    return None
                places = np.ndindex(w.value.shape)
                right = [self._project(self.differences.jacobian(w.name, at)) for at in places]
        except Exception:
            return None
        return np.reshape(right, w.value.shape)

    def both_where(
        self, w: Whole, changes: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Return ours and the right gradient at other inputs; None where they are not taken."""
        right = self.right_where(w, changes)
        if right is None:
            return None
        before = self.subject.snapshot()
        try:
            with _changed(self.subject, changes):
                grads, _ = self.subject.gradients(np.array(self.r))
            ours = np.array(_part(grads[w.name], None, w.value), float)
        except Exception:
            return None
        finally:
            self.subject.restore(before)
        return (ours, right) if ours.shape == right.shape and np.isfinite(right).all() else None

    def factor_without_last(self, name: str, length: int) -> float | None:
        """Return ours divided by the right gradient with all arrays of a length one shorter."""
        inputs = tuple(
            v[:-1].copy() if isinstance(v, np.ndarray) and v.ndim and len(v) == length else v
            for v in self.subject.inputs
        )
        if all(new is old for new, old in zip(inputs, self.subject.inputs, strict=True)):
            return None
        try:
            other = self.subject.elsewhere(inputs)
            y = other.output()
            r = np.random.default_rng(7).normal(size=y.shape)
            ours = np.asarray(other.gradients(np.array(r))[0][name], float)
            slopes = Differences(other, r, "auto", np.random.default_rng(8), None, y)
            k = tuple(map(int, np.unravel_index(int(np.abs(ours).argmax()), ours.shape)))
            right = slopes.slope(name, k).value
        except Exception:
            return None
        return float(ours[k]) / right if right else None

    def output_where(self, changes: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Return the output at other inputs; None where the code does not take them."""
        try:
            with _changed(self.subject, changes):
                return np.array(self.subject.output(), float)
        except Exception:
            return None

    def _fits(self, w: Whole, grad: np.ndarray) -> bool:
        direction = np.random.default_rng(0).normal(size=w.value.shape)
        terms = grad * direction
        off = abs(self._along(w.name, direction) - terms.sum())
        return bool(off <= 10 * self.tol * np.abs(terms).sum())

    def _project(self, outputs: np.ndarray) -> float:
        return float(np.sum(self.r * outputs.reshape(self.r.shape)))

    def _along(self, name: str, direction: np.ndarray) -> float:
        if self.differences.is_analytic(name):
            return self._project(self.differences._complex_derivatives({name: (..., direction)}))
        array, h = self.subject.arrays[name], 1e-6
        start = array.copy()
        try:
            array[...] = start + h * direction
            above = self._project(self.subject.output())
            array[...] = start - h * direction
            return (above - self._project(self.subject.output())) / (2 * h)
        finally:
            array[...] = start

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
                text = Message("the length of axis {axis} of {name}", axis=axis, name=name)
                found.setdefault(float(n), text)
        for name, array in self.subject.arrays.items():
            text = Message("the number of entries of {name}", name=name)
            found.setdefault(float(array.size), text)
        found.setdefault(float(y.size), Message("the number of outputs"))
        if y.ndim > 1:
            n = y.shape[1]
            found[float(n)] = Message("the number of outputs of a sample, {number}", number=n)
        if self.batch_size > 1:
            size = self.batch_size
            found[float(size)] = Message("B = {number}, the batch size", number=size)
        return found

    def is_usual(self, c: float) -> bool:
        """Whether a factor is 1, 2, a length, or one over it, with any sign."""
        usual = (1.0, *self.lengths)
        sizes = (abs(c), 1 / max(abs(c), 1e-300))
        return any(abs(size - v) <= TOL * v for size in sizes for v in usual)

    @cached_property
    def batch_size(self) -> int:
        """The rows of the output; for a loss, of most of its inputs."""
        y = self.differences.output
        if y.ndim:
            return len(y)
        inputs = [v for v in self.subject.inputs if isinstance(v, np.ndarray)]
        rows = [len(a) for a in (inputs or self.subject.arrays.values()) if a.ndim]
        return max(rows, key=rows.count, default=1)  # the first, of those that are as frequent


@dataclass(frozen=True, eq=False)
class Whole:
    """Both gradients of one array, every entry.

    Parameters
    ----------
    name : str
        Name of the array.
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


def derived_arrays(evidence: Evidence) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the usual functions of what is known."""
    with np.errstate(all="ignore"):
        for name, t in evidence.known.items():
            yield f"sigmoid({name})", 1 / (1 + np.exp(-t))
            yield f"tanh({name})", np.tanh(t)
            yield f"exp({name})", np.exp(t)
            yield f"log({name})", np.log(t)
            yield f"sinh({name})", np.sinh(t)
            yield f"cos({name})", np.cos(t)
            yield f"sin({name})", np.sin(t)
            yield f"{name}^2", t * t
            if (t > 0).all() and (t < 1).all():
                yield f"({name} > 0.5)", (t > 0.5).astype(float)
            if np.ptp(np.sign(t)):
                yield f"sign({name})", np.sign(t)
                yield f"|{name}|", np.abs(t)
            if t.ndim > 1:
                for axis in range(t.ndim):
                    e = np.exp(t - t.max(axis=axis, keepdims=True))
                    yield f"softmax({name}) along axis {axis}", e / e.sum(axis=axis, keepdims=True)
                    mean = t.mean(axis=axis, keepdims=True)
                    yield f"({name} less its mean) along axis {axis}", t - mean


def _kept(subject: Subject) -> Iterator[tuple[str, Any]]:
    """Yield what forward has kept for backward: in a cache, or in the object."""
    target = subject.target
    calls = getattr(subject, "calls", target)
    cache = getattr(calls, "_caches", getattr(calls, "_cache", ()))
    for k, item in enumerate(_flat(cache)):
        yield f"item {k} of the cache", item
    for name, value in objects.attributes(target).items():
        for k, item in enumerate(_flat(value)):
            yield f"self.{name}" + (f"[{k}]" if item is not value else ""), item


def _flat(cache: Any) -> Iterator[Any]:
    """Yield what a cache holds, however it is nested."""
    if isinstance(cache, dict):
        cache = tuple(cache.values())
    if isinstance(cache, (tuple, list)):
        for item in cache:
            yield from _flat(item)
    else:
        yield cache


def _is_equal(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool((a == b).all())


@contextmanager
def _changed(subject: Subject | None, changes: Mapping[str, np.ndarray]) -> Iterator[None]:
    """Let arrays have other numbers for a while."""
    if subject is None:
        yield
        return
    floats = {n: v for n, v in changes.items() if n in subject.arrays}
    kept = {name: subject.arrays[name].copy() for name in floats}
    inputs = subject.inputs
    subject.inputs = tuple(
        changes.get(name, value) if name not in floats else value
        for name, value in zip(subject.names, inputs, strict=True)
    )
    try:
        for name, value in floats.items():
            subject.arrays[name][...] = value
        yield
    finally:
        subject.inputs = inputs
        for name, value in kept.items():
            subject.arrays[name][...] = value


def close(a: np.ndarray, b: np.ndarray, tol: float = TOL) -> bool:
    """Whether two gradients are the same, up to the errors of differences; not both zero."""
    if np.shape(a) != np.shape(b):
        return False
    size = float(np.max(np.abs(b), initial=0))
    return bool(np.all(np.abs(np.asarray(a) - b) <= tol * size)) and size > 0
