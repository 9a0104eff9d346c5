"""The forms in which people write a forward and a backward pass.

Outputs come as an array, a tuple, a list or a dict; a cache comes after them, as one thing or
several; backward takes dy and the cache, the inputs, or nothing. `readings` lists what a pair may
mean, the commonest first; `pack` makes one array of what forward returns.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidlrm.languages import Message, joined

_PLAIN = (np.ndarray, np.generic, float, int, complex)


@dataclass(frozen=True)
class Reading:
    """What the values of forward mean, and what backward is called with.

    Parameters
    ----------
    outputs : int
        How many values of forward are outputs; 0: what it returns is the output, whole.
    parts : tuple of str
        What backward takes, in order: "dy", "(dy)" (with zeros for what is not an output), "dys"
        (one argument), "*dys", "*caches", "caches" (one argument), "*inputs", "inputs", "y".
    conjugate : bool
        Of complex numbers: whether dL/dz is dL/dx - i dL/dy. By default it has a plus, as in
        PyTorch.
    """

    outputs: int
    parts: tuple[str, ...]
    conjugate: bool = False

    @property
    def is_unusual(self) -> bool:
        """Whether backward takes something other than dy and a cache."""
        first = self.parts[0] if self.parts else ""
        return first not in ("dy", "dys", "*dys", "(dy)") or bool(
            {"*inputs", "inputs", "y"} & {*self.parts}
        )

    def __str__(self) -> str:
        return str(self.text)

    @property
    def text(self) -> Message:
        """How backward is called."""
        what: dict[str, str] = {
            "*dys": "dy1, dy2, ...",
            "dys": "(dy1, dy2, ...)",
            "*caches": "cache",
        }
        what |= {"*inputs": Message("the inputs"), "caches": "cache", "(dy)": "(dy, 0, ...)"}
        arguments = joined((what.get(part, part) for part in self.parts), ", ")
        return joined(("backward(", arguments, ")"))


def readings(result: Any, backward: Callable, num_inputs: int) -> list[Reading]:
    """Return what a pair may mean, the commonest first; never empty.

    Parameters
    ----------
    result : Any
        What forward has returned.
    backward : callable
        Its signature decides how many arguments it can get.
    num_inputs : int
        The arguments of forward.
    """
    n = len(result) if _is_tuple(result) else 1
    number = _is_number(result[0] if n > 1 else result)
    return list(_fitting(n, number, num_inputs, *_arity(backward)))


@functools.lru_cache(maxsize=256)
def _fitting(n: int, number: bool, num_inputs: int, least: int, most: float) -> tuple[Reading, ...]:
    """Return the forms that fit the arguments of backward."""
    sizes = {"*dys": 0, "*caches": 0, "*inputs": num_inputs}
    found: list[Reading] = []
    for reading in _forms(n, number, num_inputs):
        k = max(reading.outputs, 1)
        sizes["*dys"], sizes["*caches"] = k, n - k
        count = sum(sizes.get(part, 1) for part in reading.parts)
        if reading.is_unusual:  # it needs just these arguments, and there is no cache for them
            fits = count == least == most and not (found and n > 1 and "*inputs" in reading.parts)
        else:
            fits = least <= count <= most
        if fits:
            found.append(reading)
    usual = Reading(1, ("dy", "*caches")) if n > 1 else Reading(0, ("dy",))
    return tuple(found) or (usual,)


def _forms(n: int, number: bool, num_inputs: int) -> Iterator[Reading]:
    """Yield all forms of n values of forward."""
    if n == 1:
        yield Reading(0, ("dy",))
        yield Reading(0, ("dy", "*inputs"))
        yield Reading(0, ("*inputs", "dy"))
        yield Reading(0, ("dy", "inputs"))
        yield Reading(0, ("dy", "y"))
        yield Reading(0, ("dy", "*inputs", "y"))
        yield Reading(0, ("dy", "y", "*inputs"))
        if number:  # the gradient of a loss: dy is 1
            yield Reading(0, ())
            if num_inputs > 1:  # of a single argument nobody knows that it is not dy
                yield Reading(0, ("*inputs",))
        return
    yield Reading(1, ("dy",))
    for k in range(1, n + 1):
        heads = (("dy",),) if k == 1 else (("*dys",), ("dys",))
        tails = ((),) if k == n else (("*caches",),) if k == n - 1 else (("caches",), ("*caches",))
        for head in heads:
            yield from (Reading(k, (*head, *tail)) for tail in tails)
    for k in range(1, n):
        yield Reading(k, ("*caches", "*dys"))
    yield Reading(1, ("caches", "dy"))
    for k in range(2, n):
        yield Reading(k, ("*dys",))
        yield Reading(k, ("dys",))
    yield Reading(1, ("dy", "*inputs"))
    if number:
        yield Reading(1, ("*caches",))
        yield Reading(1, ("caches",))
    yield Reading(1, ("(dy)",))  # the others are not outputs: their gradients are 0


def _is_tuple(value: Any) -> bool:
    return isinstance(value, tuple) and not hasattr(value, "_fields") and len(value) > 1


def _is_number(value: Any) -> bool:
    return isinstance(value, _PLAIN) and np.ndim(value) == 0


def _arity(function: Callable) -> tuple[int, float]:
    """Return how many arguments a function needs at least, and takes at most."""
    least, most, _ = _signature(function)
    return least, most


def _signature(function: Callable) -> tuple[int, float, tuple[str, ...]]:
    """Return the least and most arguments, and those that must be given by their names."""
    if inspect.ismethod(function):
        least, most, named = _known_signature(function.__func__)
        return max(0, least - 1), most - 1, named
    return _read_signature(function)


def _read_signature(function: Callable) -> tuple[int, float, tuple[str, ...]]:
    try:
        every = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return 0, np.inf, ()
    by_place = [p for p in every if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    named = tuple(p.name for p in every if p.kind is p.KEYWORD_ONLY and p.default is p.empty)
    least = sum(p.default is p.empty for p in by_place) + len(named)
    more = any(p.kind is p.VAR_POSITIONAL for p in every)
    return least, np.inf if more else len(by_place) + len(named), named


_known_signature = functools.lru_cache(maxsize=256)(_read_signature)  # of the layers' methods


@dataclass(eq=False)
class Calls:
    """Two functions, called as one reading of them says.

    Parameters
    ----------
    forward, backward : callable
        As they were written.
    reading : Reading, optional
        By default the commonest that fits what forward returns.
    """

    forward_function: Callable
    backward_function: Callable
    reading: Reading | None = None
    possible: list[Reading] = field(default_factory=list)

    def of(self, forward: Callable, backward: Callable) -> Calls:
        """Return the same reading of two other functions."""
        return Calls(forward, backward, self.reading, self.possible)

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Call the first function; keep what the second is given."""
        result = self.forward_function(*inputs, **named)
        if self.reading is None:
            count = len(inputs) + len(named)
            self.possible = readings(result, self.backward_function, count)
            self.reading = self.possible[0]
        k = self.reading.outputs
        if k and not (isinstance(result, tuple) and len(result) >= k):
            k = 0
        values = result if k else (result,)
        self._inputs = (*inputs, *named.values())
        self._values, self._cache = values[: max(k, 1)], tuple(values[max(k, 1) :])
        return values[0] if k <= 1 else tuple(values[:k])

    def backward(self, dy: Any) -> Any:
        """Call the second function with dy, of the form of the output."""
        assert self.reading is not None
        dys = dy if self.reading.outputs > 1 else (dy,)
        rest = [0 * np.asarray(c) if _is_float(c) else None for c in self._cache]
        parts = {
            "dy": (dy,),
            "dys": (tuple(dys),),
            "*dys": tuple(dys),
            "(dy)": ((dy, *rest),),
            "*caches": self._cache,
            "caches": (self._cache,),
            "*inputs": self._inputs,
            "inputs": (self._inputs,),
            "y": (self._values[0],),
        }
        arguments = [value for part in self.reading.parts for value in parts[part]]
        return _call(self.backward_function, arguments, dy if not self._takes_dy else None)

    def remarks(self) -> list[str]:
        """Say what of forward's values backward is not given."""
        if not self._cache or self.reading is None or self.reading.parts != ("dy",):
            return []
        count = len(self._values) + len(self._cache)
        return [
            Message(
                "forward returns {count} values, and backward takes dy alone: the first was taken "
                "for the output. A cache needs an argument of its own: backward(dy, cache)",
                count=count,
            )
        ]

    @property
    def _takes_dy(self) -> bool:
        assert self.reading is not None
        return any("dy" in part for part in self.reading.parts)


def _call(function: Callable, arguments: list[Any], times: Any) -> Any:
    """Call it; the last arguments by their names where it takes them by name alone."""
    names, named = _signature(function)[2], {}
    if names:
        split = len(arguments) - len(names)
        named = dict(zip(names, arguments[split:], strict=True))
        arguments = arguments[:split]
    returned = function(*arguments, **named)
    return returned if times is None else scaled(returned, float(times))


def scaled(value: Any, factor: float) -> Any:
    """Multiply gradients of any form by a number."""
    if isinstance(value, dict):
        return {key: scaled(part, factor) for key, part in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(scaled(part, factor) for part in value)
    return None if value is None else factor * np.asarray(value)


# Outputs of any form


@dataclass
class Form:
    """How one array is laid out as what forward has returned.

    Parameters
    ----------
    tree : Any
        The output, with the number of its part in place of each array.
    shapes : list of tuple
        The shape of each part; None for one that has no gradient.
    """

    tree: Any
    shapes: list[tuple[int, ...] | None]
    complex_ones: tuple[bool, ...] = ()
    conjugate: bool = False

    def unpack(self, flat: np.ndarray) -> Any:
        """Return a flat array in the form of the output."""
        flat, start = flat.reshape(-1), 0
        parts: list[Any] = []
        for shape, split in zip(self.shapes, self.complex_ones, strict=True):
            if shape is None:
                parts.append(None)
                continue
            size = int(np.prod(shape)) * (1 + split)
            part = flat[start : start + size]
            if split:
                part = part[::2] + (-1j if self.conjugate else 1j) * part[1::2]
            parts.append(part.reshape(shape) if shape else part[0])
            start += size
        return _fill(self.tree, parts)


def pack(y: Any, split: bool = True, conjugate: bool = False) -> tuple[np.ndarray, Form | None]:
    """Return an output as one array of floats; and, unless it was one, how to undo that.

    Parameters
    ----------
    y : Any
        What forward returned: an array, a number, or a tuple, list or dict of them.
    split : bool
        Whether complex numbers become pairs of real ones.
    conjugate : bool
        Of the `Reading`.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.checking.forms import pack
    >>> flat, form = pack((np.ones(2), {"b": np.zeros((1, 2))}))
    >>> flat
    array([1., 1., 0., 0.])
    >>> form.unpack(np.arange(4.0))
    (array([0., 1.]), {'b': array([[2., 3.]])})
    """
    if not isinstance(y, (tuple, list, dict)):
        array = np.asarray(y)
        if array.dtype.kind != "c" or not split:
            return array, None
        leaves, tree = [array], 0
    else:
        leaves = []
        tree = _number(y, leaves)
        leaves = [np.asarray(leaf) for leaf in leaves]
        if isinstance(y, list) and all(a.ndim == 0 and a.dtype.kind in "fciub" for a in leaves):
            return np.array(leaves), None  # a list of numbers is an array
    kinds = [a.dtype.kind for a in leaves]
    if not set(kinds) & set("fc"):
        return np.asarray(leaves[0] if leaves else y), None
    shapes = [a.shape if kind in "fc" else None for a, kind in zip(leaves, kinds, strict=True)]
    apart = tuple(kind == "c" and split for kind in kinds)
    flat = [_flat(a, s) for a, k, s in zip(leaves, kinds, apart, strict=True) if k in "fc"]
    return np.concatenate(flat), Form(tree, shapes, apart, conjugate)


def _flat(array: np.ndarray, split: bool) -> np.ndarray:
    return np.stack([array.real, array.imag], axis=-1).ravel() if split else array.ravel()


def _number(value: Any, leaves: list[Any]) -> Any:
    if isinstance(value, dict):
        return {key: _number(part, leaves) for key, part in value.items()}
    if isinstance(value, (tuple, list)):
        parts = [_number(part, leaves) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    leaves.append(value)
    return len(leaves) - 1


def _fill(tree: Any, parts: list[Any]) -> Any:
    if isinstance(tree, dict):
        return {key: _fill(each, parts) for key, each in tree.items()}
    if isinstance(tree, (tuple, list)):
        filled = [_fill(each, parts) for each in tree]
        return type(tree)(*filled) if hasattr(tree, "_fields") else type(tree)(filled)
    return parts[tree]


def _is_float(value: Any) -> bool:
    return isinstance(value, (float, np.floating)) or (
        isinstance(value, np.ndarray) and value.dtype.kind == "f"
    )
