"""What a gradient check moves and asks: a layer, a model, a loss, or a pair of functions.

A `Subject` names all arrays that have a gradient, lets them be moved in place, and runs the
forward and the backward pass. The rest of `checking` knows nothing of layers.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from minidlrm.data.batch import Batch, Jagged
from minidlrm.module import Module, SparseGrad


class FunctionPair:
    """A student's two functions, seen as a layer without parameters.

    Parameters
    ----------
    forward : callable
        ``forward(*arrays) -> y``, or ``-> (y, cache)``.
    backward : callable
        ``backward(dy) -> gradients``, or ``backward(dy, cache)`` when forward gives a cache:
        one array for each float input, in their order.
    """

    equation = ""

    def __init__(self, forward: Callable, backward: Callable):
        self._forward, self._backward = forward, backward
        self._cache: tuple[Any, ...] = ()

    def forward(self, *inputs: Any) -> Any:
        """Call the first function, and keep its cache."""
        result = self._forward(*inputs)
        self._cache = ()
        if isinstance(result, tuple) and len(result) == 2:
            result, self._cache = result[0], result[1:]
        return result

    def backward(self, dy: Any) -> Any:
        """Call the second function."""
        return self._backward(dy, *self._cache)

    def __repr__(self) -> str:
        return getattr(self._forward, "__name__", "the function pair")


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
    target : Module or FunctionPair
        What has `forward` and `backward`.
    inputs : tuple
        What `forward` takes.
    names : list of str, optional
        What the inputs are called; by default, as the arguments of `forward`.
    """

    target: Any
    inputs: tuple[Any, ...]
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        module = isinstance(self.target, Module)
        self.parameters = dict(self.target.named_parameters()) if module else {}
        self.arrays = {name: p.value for name, p in self.parameters.items()}
        self.input_names = []
        self.names = self.names or self._argument_names()
        for name, value in zip(self.names, self.inputs, strict=True):
            if isinstance(value, Jagged):
                name, value = f"{name} weights", value.weights
            if isinstance(value, np.ndarray) and value.dtype.kind in "fc":
                self.input_names.append(name)
                self.arrays[name] = value

    def _argument_names(self) -> list[str]:
        function = getattr(self.target, "_forward", None) or self.target.forward
        if inspect.ismethod(function):
            names = list(_kept_arguments(function.__func__)[1:])
        else:
            names = list(_arguments(function))
        taken = set(self.arrays)
        names += [f"input {k}" for k in range(len(names), len(self.inputs))]
        names = [f"input {name}" if name in taken else name for name in names]
        return names[: len(self.inputs)]

    def astype(self, dtype: Any) -> Subject:
        """Return a copy with all floats in `dtype`; a pair of functions is the same one."""
        target = self.target.astype(dtype) if isinstance(self.target, Module) else self.target
        inputs = tuple(_cast(value, dtype) for value in self.inputs)
        return Subject(target, inputs, self.names)

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
        """Run forward."""
        return np.asarray(self.target.forward(*self.inputs))

    def gradients(self, dy: np.ndarray, inputs: Any = None) -> tuple[dict[str, Any], Any]:
        """Run forward and backward from zero; return the gradient of each array, and y."""
        self.zero_grad()
        return self.more_gradients(dy, inputs)

    def more_gradients(self, dy: np.ndarray, inputs: Any = None) -> tuple[dict[str, Any], Any]:
        """Run both, on other inputs if given, adding to what the parameters have."""
        y = self.target.forward(*(self.inputs if inputs is None else inputs))
        return self.collect(self.target.backward(dy if dy.ndim else float(dy))), y

    def zero_grad(self) -> None:
        """Forget the gradients of the parameters."""
        for parameter in self.parameters.values():
            parameter.grad = None

    def collect(self, returned: Any) -> dict[str, Any]:
        """Return the gradients: those of the parameters, and what backward returned."""
        grads: dict[str, Any] = {name: p.grad for name, p in self.parameters.items()}
        parts = list(returned) if isinstance(returned, (tuple, list)) else [returned]
        for name, grad in zip(self.input_names, parts, strict=False):
            grads[name] = grad
        return grads


def _is_same(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a == b).all()) or np.array_equal(a, b, equal_nan=True)


def _cast(value: Any, dtype: Any) -> Any:
    """Copy floats to `dtype`; leave ids as they are."""
    if isinstance(value, Batch):
        dense = value.dense.astype(dtype)
        label = value.label
        if label is not None and np.dtype(dtype).kind == "f":
            label = label.astype(dtype)
        return Batch(dense, _cast(value.sparse, dtype), label)
    if isinstance(value, Jagged) and value.weights is not None:
        return Jagged(value.values, value.offsets, value.weights.astype(dtype))
    if isinstance(value, np.ndarray) and value.dtype.kind in "fc":
        return value.astype(dtype)
    return value


# Ids that collide


def collide(value: Any, target: Any, first: bool = True) -> Any:
    """Make ids repeat inside a bag and across bags; use id 0 and the last id; empty a bag."""
    if isinstance(value, Batch):
        return replace(value, sparse=collide(value.sparse, target))
    if isinstance(value, Jagged):
        return _collide_bags(value, _table_sizes(target))
    if not (isinstance(value, np.ndarray) and value.dtype.kind in "iu"):
        return value
    sizes, ids = _table_sizes(target), value.copy()
    if ids.ndim == 2:
        if len(sizes) <= 1:  # a row is a bag, and not one id a table
            ids[:1, 1:2] = ids[:1, :1]
        ids[1:2] = ids[:1]
        ids[3:4] = 0
        if len(ids) > 4 and len(sizes) == ids.shape[1]:
            ids[4] = np.array(sizes) - 1
    elif ids.ndim == 1 and first:  # a later one holds offsets
        _repeat_first(ids)
        if len(ids) > 5 and len(sizes) == 1:
            ids[3], ids[4] = 0, sizes[0] - 1
    return ids


def collide_all(inputs: tuple[Any, ...], target: Any) -> tuple[Any, ...]:
    """Let the ids of all inputs collide.

    Of a pair of functions any argument may hold ids: where all of them differ, the first stands
    twice. What may be offsets stays; labels, which repeat, stay as well.
    """
    if not isinstance(target, FunctionPair):
        return tuple(collide(value, target, k == 0) for k, value in enumerate(inputs))
    changed: list[Any] = []
    lengths: list[int] = []
    for k, value in enumerate(inputs):
        if not _is_list_of_ids(value) or k == 0:
            changed.append(collide(value, target, k == 0))
        elif len(np.unique(value)) < max(3, len(value)) or any(
            may_be_offsets(value, n) for n in lengths
        ):
            changed.append(value)
        else:
            changed.append(np.concatenate([value[:1], value[:1], value[2:]]))
        if _is_list_of_ids(value):
            lengths.append(len(value))
    return tuple(changed)


def may_be_offsets(value: Any, num_ids: int) -> bool:
    """Whether an array may say where each bag begins in a list of `num_ids` ids."""
    if not _is_list_of_ids(value) or len(value) == 0:
        return False
    return bool(value[0] == 0 and value[-1] <= num_ids and (np.diff(value) >= 0).all())


def _is_list_of_ids(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "iu" and value.ndim == 1


def _collide_bags(bags: Jagged, sizes: Sequence[int]) -> Jagged:
    num_tables = max(1, len(sizes))
    ids, offsets = bags.values.copy(), bags.offsets.copy()
    per_table = max(1, (len(offsets) - 1) // num_tables)
    starts = offsets[::per_table]
    for t, (start, stop) in enumerate(pairwise(starts)):
        _repeat_first(ids[start:stop])
        if stop - start > 5 and t < len(sizes):
            ids[start + 3], ids[start + 4] = 0, sizes[t] - 1
        if per_table > 2:  # the table's last bag but one goes to the last
            offsets[(t + 1) * per_table - 1] = offsets[(t + 1) * per_table - 2]
    return Jagged(ids, offsets, bags.weights)


def _repeat_first(ids: np.ndarray) -> None:
    """Repeat the first id next to it, in its bag or the next one, and at the end."""
    ids[:3] = ids[:1]
    ids[-1:] = ids[:1]


def _table_sizes(target: Any) -> list[int]:
    """Return the rows of each table, as the target or its first module with tables says."""
    if not isinstance(target, Module):
        return []
    sizes = getattr(target, "config", {}).get("table_sizes")
    if sizes is None:
        starts = (getattr(module, "starts", None) for _, module in target.named_modules())
        found = next((each for each in starts if each is not None), [0])
        sizes = np.diff(found)
    return [int(size) for size in sizes]


def as_dense(grad: Any) -> np.ndarray:
    """Return a gradient as an array, zeros of a sparse one included."""
    return grad.to_dense() if isinstance(grad, SparseGrad) else np.asarray(grad)


def rows_of(grad: Any, rows: np.ndarray) -> np.ndarray:
    """Return the given rows of a table's gradient (n, D); rows that it has not are zero."""
    if not isinstance(grad, SparseGrad):
        return np.asarray(grad)[rows]
    values = np.zeros((len(rows), *grad.values.shape[1:]), grad.values.dtype)
    place = np.searchsorted(grad.rows, rows)
    there = place < len(grad.rows)
    there[there] = grad.rows[place[there]] == rows[there]
    values[there] = grad.values[place[there]]
    return values
