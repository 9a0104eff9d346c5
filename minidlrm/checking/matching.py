"""Inputs and gradients in the forms in which people write them.

Arrays, numbers, lists and dicts go in; gradients come back as one array, in a tuple, a list or a
dict, with None in some places or with some left out. `match` says which belongs to which input.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np


def as_input(value: Any) -> Any:
    """Return an input with arrays in place of floats and of lists of floats."""
    if isinstance(value, (float, np.floating)) and not isinstance(value, np.ndarray):
        return np.array(value)
    if isinstance(value, complex) or getattr(value, "dtype", np.dtype(bool)).kind == "c":
        return np.array(value, order="C")
    if isinstance(value, dict):
        return {key: as_input(part) for key, part in value.items()}
    if isinstance(value, list) and value:
        try:
            array = np.array(value)
        except ValueError:  # arrays of several shapes
            array = np.array(None)
        if array.dtype.kind == "f" and not any(isinstance(part, np.ndarray) for part in value):
            return array
        return [as_input(part) for part in value]
    if type(value) is tuple:
        return tuple(as_input(part) if _holds_arrays(part) else part for part in value)
    return value


def _holds_arrays(value: Any) -> bool:
    return isinstance(value, (np.ndarray, list, dict, tuple))


def leaves_of(name: str, value: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name and the array of each float array that an input holds."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "fc":
            yield name, value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from leaves_of(f"{name}[{key!r}]", part)
    elif isinstance(value, (tuple, list)):
        for k, part in enumerate(value):
            yield from leaves_of(f"{name}[{k}]", part)


def match(
    returned: Any, inputs: list[tuple[str, Any]], masks: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Say which gradient belongs to which float array.

    Parameters
    ----------
    returned : Any
        What backward returned: an array, or several in a tuple, a list or a dict, of all inputs
        or of the float ones alone, and perhaps not of the last ones.
    inputs : list of (str, Any)
        The inputs of forward, with their names.
    masks : set of str
        Inputs that may be passed over: zeros and ones.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.checking.matching import match
    >>> inputs = [("ids", np.array([1])), ("W", np.ones((2, 3))), ("b", np.ones(3))]
    >>> sorted(match((None, np.ones((2, 3)), np.ones(3)), inputs))
    ['W', 'b']
    """
    if type(returned) is np.ndarray and len(inputs) == 1 and _is_float(inputs[0][1]):
        return {inputs[0][0]: returned}
    leaves = [(name, dict(leaves_of(name, value)), value) for name, value in inputs]
    float_ones = [each for each in leaves if each[1]]
    if isinstance(returned, dict):
        named = _by_name(returned, float_ones)
        if named is not None:
            return named
        returned = tuple(returned.values())
    if isinstance(returned, (tuple, list)) and not _is_one(returned, float_ones):
        parts = list(returned)
    else:
        parts = [returned]
    chosen = leaves if len(parts) == len(leaves) else float_ones
    grads: dict[str, Any] = {}
    for (name, arrays, value), part in _in_order(parts, chosen, float_ones, masks):
        grads.update(_spread(name, arrays, value, part))
    return grads


def _is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fc"


def _is_one(returned: Any, float_ones: list) -> bool:
    """Whether a list or tuple is the gradient of one array, number by number."""
    if len(float_ones) != 1 or not isinstance(float_ones[0][2], np.ndarray):
        return False
    shape = float_ones[0][2].shape
    if len(returned) == 1 and np.shape(returned[0]) == shape:
        return False
    try:
        return np.shape(returned) == shape
    except ValueError:
        return False


def _by_name(returned: dict, float_ones: list) -> dict[str, Any] | None:
    """Take the gradients by the names of the arguments, where all keys name one."""
    grads: dict[str, Any] = {}
    for key, part in returned.items():
        forms = (key, f"{key}"[1:], f"{key}".removeprefix("d_"), f"{key}".removeprefix("grad_"))
        found = next((each for form in forms for each in float_ones if each[0] == form), None)
        if found is None or found[0] in grads:
            return None
        name, arrays, value = found
        grads.update(_spread(name, arrays, value, part))
    return grads


def _in_order(
    parts: list, chosen: list, float_ones: list, masks: frozenset[str]
) -> Iterator[tuple[Any, Any]]:
    """Pair gradients with inputs in their order; where shapes tell, some may be left out."""
    placed = list(zip(chosen, parts, strict=False))
    if len(parts) < len(float_ones):  # a mask, or a label, is passed over
        numbers = [each for each in float_ones if each[0] not in masks]
        other = list(zip(numbers, parts, strict=False))
        if len(numbers) >= len(parts) and all(_fits(each, part) for each, part in other):
            placed = other
    if len(parts) < len(float_ones) and not all(_fits(each, part) for each, part in placed):
        rest, found = iter(float_ones), []
        for part in parts:
            each = next((e for e in rest if _fits(e, part)), None)
            if each is None:
                break
            found.append((each, part))
        if len(found) == len(parts):
            placed = found
    yield from placed


def is_mask(value: Any) -> bool:
    """Whether an array holds zeros and ones, and both."""
    if not isinstance(value, np.ndarray) or value.size < 2:
        return False
    ones = value == 1
    return bool(((value == 0) | ones).all() and ones.any() and not ones.all())


def _fits(each: tuple, part: Any) -> bool:
    value = each[2]
    shape = getattr(part, "shape", None)
    if shape is None and isinstance(part, (float, int, list)):
        try:
            shape = np.shape(part)
        except ValueError:
            return False
    return part is None or not isinstance(value, np.ndarray) or shape == value.shape


def _spread(name: str, arrays: dict[str, np.ndarray], value: Any, part: Any) -> dict[str, Any]:
    """Return the gradient of each array that an input holds."""
    if not arrays:
        return {}
    if list(arrays) == [name] or part is None:
        return dict.fromkeys(arrays, part) if part is None else {name: part}
    if isinstance(value, dict) and isinstance(part, dict):
        pairs = [(f"{name}[{key!r}]", value[key], part.get(key)) for key in value]
    elif isinstance(part, (tuple, list)) and isinstance(value, (tuple, list)):
        pairs = [(f"{name}[{k}]", v, p) for k, (v, p) in enumerate(zip(value, part, strict=False))]
    else:
        return dict(zip(arrays, [part], strict=False))
    grads: dict[str, Any] = {}
    for inner, held, each in pairs:
        grads.update(_spread(inner, dict(leaves_of(inner, held)), held, each))
    return grads
