"""What a gradient check moves and asks: a layer, a model, a loss, or a pair of functions.

A `Subject` names all arrays that have a gradient, lets them be moved in place, and runs the
forward and the backward pass. The rest of `checking` knows nothing of layers.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidlrm.checking import objects
from minidlrm.checking.forms import Calls, Form, Reading, pack
from minidlrm.checking.matching import is_mask, leaves_of, match
from minidlrm.data.batch import Batch, Jagged
from minidlrm.languages import Message
from minidlrm.module import Module, Parameter, SparseGrad


class FunctionPair(Calls):
    """A student's two functions, seen as a layer without parameters.

    Parameters
    ----------
    forward : callable
        ``forward(*arrays) -> y``, or ``-> (y, cache)``, or several outputs.
    backward : callable
        ``backward(dy) -> gradients``, or ``backward(dy, cache)`` when forward gives a cache:
        one array for each float input, in their order.
    """

    equation = ""

    def __init__(self, forward: Callable, backward: Callable, reading: Reading | None = None):
        super().__init__(forward, backward, reading)

    def __repr__(self) -> str:
        return getattr(self.forward_function, "__name__", Message("the function pair"))


def _arguments(function: Callable) -> tuple[str, ...]:
    """Name the positional arguments of a function; none where Python cannot tell."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ()
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(p.name for p in parameters if p.kind in kinds)


_kept_arguments = functools.lru_cache(maxsize=256)(_arguments)  # of the layers' methods


@dataclass(eq=False)
class Subject:
    """A target with its inputs, at one precision.

    Parameters
    ----------
    target : Module, FunctionPair or any object
        What has `forward` and `backward`.
    inputs : tuple
        What `forward` takes.
    names : list of str, optional
        What the inputs are called; by default, as the arguments of `forward`.
    keywords : tuple of str
        The names by which forward takes the last inputs.
    reading : Reading, optional
        What forward's values mean; found on the first call by default.
    watched : bool
        Whether a Module, too, is watched for numbers that it draws from np.random. Its state is
        slow to read, and hardly any layer draws from it.
    """

    target: Any
    inputs: tuple[Any, ...]
    names: list[str] = field(default_factory=list)
    keywords: tuple[str, ...] = ()
    reading: Reading | None = None
    watched: bool = False
    step: bool = False  # whether the floats are complex for the complex step

    def __post_init__(self) -> None:
        target = self.target
        pair = isinstance(target, FunctionPair)
        self.calls = target if pair else Calls(target.forward, target.backward, self.reading)
        self.form: Form | None = None
        self.random = _Random([self.inputs, None if pair else target])
        if isinstance(target, Module) and not self.watched:
            self.random.common = None
        self.names = self.names or self._argument_names()
        self.places: dict[str, objects.Path] = {}
        self.gradient_places: dict[str, objects.Path] | None = None
        self.parameters = dict(target.named_parameters()) if isinstance(target, Module) else {}
        self._hold_arrays()
        if not pair and not self.parameters:
            found = objects.parameters_of(target, lambda: self.forward_again()[0])
            self.places = {n: path for n, path in found.items() if not self._is_input(path)}
            self._hold_arrays()
        taken = set(self.arrays)
        self.names = [f"input {name}" if name in taken else name for name in self.names]
        pairs = zip(self.names, self.inputs, strict=True)
        self.masks = frozenset(name for name, value in pairs if is_mask(value))
        self._add_inputs()

    def _is_input(self, path: objects.Path) -> bool:
        """Whether an array is an input that an earlier forward has kept."""
        array = objects.get(self.target, path)
        held = [leaf for value in self.inputs for _, leaf in leaves_of("", value)]
        return any(np.may_share_memory(array, leaf) for leaf in held)

    def _hold_arrays(self) -> None:
        self.arrays = {name: p.value for name, p in self.parameters.items()}
        self.arrays |= {n: objects.get(self.target, path) for n, path in self.places.items()}

    def _add_inputs(self) -> None:
        """Name the float arrays of the inputs."""
        self.input_names: list[str] = []
        self.complex_names: set[str] = set()
        for name, value in zip(self.names, self.inputs, strict=True):
            if isinstance(value, Jagged):
                name, value = f"{name} weights", value.weights
            for leaf, array in leaves_of(name, value):
                self.input_names.append(leaf)
                if array.dtype.kind == "c" and not self.step:  # moved by its two parts
                    self.complex_names.add(leaf)
                    real = np.float32 if array.dtype.itemsize == 8 else np.float64
                    array = array[..., None].view(real)
                self.arrays[leaf] = array

    def _argument_names(self) -> list[str]:
        function = self.calls.forward_function
        if inspect.ismethod(function):
            names = list(_kept_arguments(function.__func__)[1:])
        else:
            names = list(_arguments(function))
        count = len(self.inputs) - len(self.keywords)
        names += [f"input {k}" for k in range(len(names), count)]
        return [*names[:count], *self.keywords]

    def forward_again(self) -> tuple[np.ndarray, Form | None]:
        """Run forward; return the output as one array, and the form that it had."""
        return self._forward(self.inputs)

    def astype(self, dtype: Any) -> Subject:
        """Return a copy with all floats in `dtype`; a pair of functions is the same one."""
        other = self._copied()
        other.inputs, other.step = cast(self.inputs, dtype), np.dtype(dtype).kind == "c"
        if other.step and self.complex_names:
            raise TypeError("complex inputs leave no room for a complex step")
        if not isinstance(self.target, FunctionPair):
            other._take_cast_target(dtype)
        other._hold_arrays()
        other._add_inputs()
        if self.random.own:
            other.random = _Random([other.inputs, other.target], self.random)
        return other

    def _take_cast_target(self, dtype: Any) -> None:
        if self.parameters:
            held = self.parameters.values()
            memo = {id(p): Parameter(p.value.astype(dtype), p.name) for p in held}
            self.parameters = {name: memo[id(p)] for name, p in self.parameters.items()}
            self.target = copy.deepcopy(self.target, memo)
        elif self.places:
            self.target = objects.cast(self.target, dtype)
        else:
            self.target = copy.deepcopy(self.target)
        self.calls = self.calls.of(self.target.forward, self.target.backward)

    def _copied(self) -> Subject:
        """Return what copy.copy does, in a fifth of its time."""
        other = object.__new__(Subject)
        vars(other).update(vars(self))
        return other

    def elsewhere(self, inputs: tuple[Any, ...]) -> Subject:
        """Return the same target with other inputs, of the same precision."""
        other = self._copied()
        other.inputs = inputs
        other.arrays = {n: self.arrays[n] for n in (*self.parameters, *self.places)}
        other._add_inputs()
        return other

    def snapshot(self) -> dict[str, np.ndarray]:
        """Copy all arrays."""
        return {name: array.copy() for name, array in self.arrays.items()}

    def restore(self, before: dict[str, np.ndarray]) -> None:
        """Write the numbers of a snapshot back."""
        for name, array in self.arrays.items():
            array[...] = before[name]

    def changed(self, before: dict[str, np.ndarray]) -> list[str]:
        """Name the arrays that are not as they were."""
        return [name for name, a in self.arrays.items() if not _is_same(a, before[name])]

    def output(self) -> np.ndarray:
        """Run forward; outputs of any form are one array."""
        y, self.form = self._forward(self.inputs)
        return y

    def draws(self) -> bool:
        """Whether forward draws from np.random, when it is watched now and was not before."""
        self.random.common = "unknown"
        try:
            self.output()
        except Exception:  # it told so before
            self.random.common = None
        return self.random.common is not None

    def _forward(self, inputs: tuple[Any, ...]) -> tuple[np.ndarray, Form | None]:
        k = len(inputs) - len(self.keywords)
        named = dict(zip(self.keywords, inputs[k:], strict=True)) if self.keywords else {}
        y = self.random.repeat(self.calls.forward, inputs[:k], named)
        return pack(y, not self.step, self._conjugate)

    @property
    def _conjugate(self) -> bool:
        return self.calls.reading is not None and self.calls.reading.conjugate

    def gradients(self, dy: np.ndarray, inputs: Any = None) -> tuple[dict[str, Any], Any]:
        """Run forward and backward from zero; return the gradient of each array, and y."""
        self.zero_grad()
        return self.more_gradients(dy, inputs)

    def more_gradients(self, dy: np.ndarray, inputs: Any = None) -> tuple[dict[str, Any], Any]:
        """Run both, on other inputs if given, adding to what the parameters have."""
        y, form = self._forward(self.inputs if inputs is None else inputs)
        return self.collect(self.backward(dy, form)), y

    def backward(self, dy: np.ndarray, form: Form | None = None) -> Any:
        """Run backward after a forward; return what it returns."""
        before = self._before_backward()
        whole = form.unpack(dy) if form is not None else dy if dy.ndim else float(dy)
        returned = self.calls.backward(whole)
        if before is not None:
            after = objects.arrays_of(self.target)
            self.gradient_places = objects.where_gradients_go(self.places, before, after)
            self._at_first = {p: before.get(p) for p in self.gradient_places.values()}
        return returned

    def _before_backward(self) -> dict[objects.Path, np.ndarray] | None:
        if not self.places or self.gradient_places is not None:
            return None
        return objects.snapshot(objects.arrays_of(self.target))

    def zero_grad(self) -> None:
        """Forget the gradients of the parameters, as the target does it."""
        if self.parameters and type(self.target).zero_grad is Module.zero_grad:
            self.forget()
        elif self.parameters:
            self.target.zero_grad()
        for path in (self.gradient_places or {}).values():
            first = getattr(self, "_at_first", {}).get(path)
            objects.put(self.target, path, None if first is None else first.copy())

    def forget(self) -> None:
        """Forget the gradients of the parameters, whatever the target does."""
        for parameter in self.parameters.values():
            parameter.grad = None

    def collect(self, returned: Any) -> dict[str, Any]:
        """Return the gradients: those of the parameters, and what backward returned."""
        grads: dict[str, Any] = {name: p.grad for name, p in self.parameters.items()}
        for name, path in (self.gradient_places or {}).items():
            grads[name] = objects.get(self.target, path)
        inputs = [
            (f"{name} weights", value.weights) if isinstance(value, Jagged) else (name, value)
            for name, value in zip(self.names, self.inputs, strict=True)
        ]
        for name, grad in match(returned, inputs, self.masks).items():
            grads[name] = self._in_parts(grad) if name in self.complex_names else grad
        return grads

    def _in_parts(self, grad: Any) -> Any:
        """Return the gradient of a complex array as that of its two parts."""
        if grad is None:
            return None
        grad = np.asarray(grad)
        return np.stack([grad.real, -grad.imag if self._conjugate else grad.imag], axis=-1)


class _Random:
    """Random generators among the inputs and in the target: each forward begins with the same."""

    def __init__(self, things: list[Any], like: _Random | None = None):
        found = [each for thing in things for each in _generators(thing, 0)]
        states: list[Any] = [state for _, state in like.own] if like is not None else []
        if len(states) != len(found):
            states = [copy.deepcopy(g.bit_generator.state) for g in found]
        self.own: list[tuple[np.random.Generator, Any]] = list(zip(found, states, strict=True))
        self.common: Any = "unknown" if like is None else like.common

    def repeat(self, forward: Callable, inputs: tuple, named: dict[str, Any]) -> Any:
        """Call forward with all generators as they were at first; np.random is one of them."""
        for generator, state in self.own:
            generator.bit_generator.state = state
        if self.common is None:
            return forward(*inputs, **named)
        if isinstance(self.common, str):
            first: Any = np.random.get_state()  # noqa: NPY002  (a student's np.random.rand)
            y = forward(*inputs, **named)
            after: Any = np.random.get_state()  # noqa: NPY002
            drawn = first[2:] != after[2:] or not np.array_equal(first[1], after[1])
            self.common = first if drawn else None
            return y
        np.random.set_state(self.common)  # noqa: NPY002
        return forward(*inputs, **named)


def _generators(value: Any, depth: int) -> Iterator[np.random.Generator]:
    if isinstance(value, np.random.Generator):
        yield value
    elif depth < 4:
        parts: Any = ()
        if isinstance(value, (tuple, list)):
            parts = value if len(value) < 50 else ()
        elif isinstance(value, dict):
            parts = value.values()
        elif isinstance(value, Module) or hasattr(value, "forward"):
            parts = getattr(value, "__dict__", {}).values()
        for part in parts:
            yield from _generators(part, depth + 1)


def _is_same(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a == b).all()) or np.array_equal(a, b, equal_nan=True)


def cast(value: Any, dtype: Any) -> Any:
    """Copy floats to `dtype`; leave ids as they are."""
    if isinstance(value, Batch):
        dense = value.dense.astype(dtype)
        label = value.label
        if label is not None and np.dtype(dtype).kind == "f":
            label = label.astype(dtype)
        return Batch(dense, cast(value.sparse, dtype), label)
    if isinstance(value, Jagged) and value.weights is not None:
        return Jagged(value.values, value.offsets, value.weights.astype(dtype))
    if isinstance(value, np.ndarray) and value.dtype.kind == "c" and np.dtype(dtype).kind == "f":
        return value.astype(np.result_type(dtype, np.complex64), order="C")
    if isinstance(value, np.ndarray) and value.dtype.kind in "fc":
        return value.astype(dtype)
    if isinstance(value, dict):
        return {key: cast(part, dtype) for key, part in value.items()}
    if type(value) in (tuple, list):
        return type(value)(cast(part, dtype) for part in value)
    return value


def as_dense(grad: Any) -> np.ndarray:
    """Return a gradient as an array, zeros of a sparse one included."""
    return grad.to_dense() if isinstance(grad, SparseGrad) else np.asarray(grad)


def rows_of(grad: Any, rows: np.ndarray) -> np.ndarray:
    """Return the given rows of a table's gradient (n, D); rows that it does not hold are zero."""
    if not isinstance(grad, SparseGrad):
        return np.asarray(grad)[rows]
    values = np.zeros((len(rows), *grad.values.shape[1:]), grad.values.dtype)
    place = np.searchsorted(grad.rows, rows)
    there = place < len(grad.rows)
    there[there] = grad.rows[place[there]] == rows[there]
    values[there] = grad.values[place[there]]
    return values
