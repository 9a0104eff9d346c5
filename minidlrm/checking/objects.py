"""Classes that are no `Module`: which of their arrays are parameters, and where gradients go.

A parameter is a float array that the object holds before forward and on which the output depends.
Its gradient is what backward writes, in the same shape, beside it: `dW`, `grads["W"]`, `W.grad`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

_DEPTH = 4
_MOST = 60  # arrays that are tried

Path = tuple[Any, ...]


def arrays_of(thing: Any) -> dict[Path, np.ndarray]:
    """Return the float arrays that an object holds, in its attributes and in theirs."""
    return dict(_walk(thing, (), set()))


def _walk(value: Any, path: Path, seen: set[int]) -> Iterator[tuple[Path, np.ndarray]]:
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "fc" and value.size:
            yield path, value
        return
    if id(value) in seen or len(path) > _DEPTH or isinstance(value, type):
        return
    seen.add(id(value))
    for key, part in _parts(value):
        yield from _walk(part, (*path, key), seen)


def _parts(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, (list, tuple)):
        return list(enumerate(value))
    is_thing = not callable(value) or hasattr(value, "forward")
    return list(attributes(value).items()) if is_thing else []


def attributes(thing: Any) -> dict[str, Any]:
    """Return what an object holds, in its dictionary and in its slots.

    Parameters
    ----------
    thing : Any

    Examples
    --------
    >>> class Point:
    ...     __slots__ = ("x", "y")
    >>> point = Point()
    >>> point.x = 1
    >>> attributes(point)
    {'x': 1}
    """
    slots: list[str] = []
    for kind in type(thing).__mro__:
        named = vars(kind).get("__slots__", ())
        slots += [named] if isinstance(named, str) else list(named)
    held = {name: getattr(thing, name) for name in slots if hasattr(thing, name)}
    return {**held, **getattr(thing, "__dict__", {})}


def get(thing: Any, path: Path) -> Any:
    """Return what is at a path; None when nothing is."""
    for key in path:
        try:
            thing = thing[key] if isinstance(thing, (dict, list, tuple)) else attributes(thing)[key]
        except (KeyError, IndexError, TypeError):
            return None
    return thing


def put(thing: Any, path: Path, value: Any) -> None:
    """Write to a path, or remove what is there when there was nothing."""
    holder = get(thing, path[:-1])
    if isinstance(holder, tuple) or holder is None:
        return
    key = path[-1]
    if value is None and (
        isinstance(holder, list) or not isinstance(get(holder, (key,)), np.ndarray)
    ):
        return
    if isinstance(holder, (dict, list)):
        holder[key] = value
    else:
        setattr(holder, key, value)


def parameters_of(thing: Any, run: Callable[[], np.ndarray]) -> dict[str, Path]:
    """Find the arrays on which the output depends.

    Parameters
    ----------
    thing : Any
        The object.
    run : callable
        Runs forward, and returns the output.
    """
    held = arrays_of(thing)
    if not held or len(held) > _MOST:
        return {}
    rng, found = np.random.default_rng(0), {}
    base = run().copy()
    for path, array in held.items():
        before = array.copy()
        array += 0.1 * (1 + np.abs(array)) * rng.uniform(0.5, 1, array.shape)
        try:
            moved = run()
            if moved.shape != base.shape or not np.array_equal(moved, base, equal_nan=True):
                found[_name(path)] = path
        except Exception:  # its value must be what it is
            pass
        finally:
            array[...] = before
    return found


def _name(path: Path) -> str:
    parts = [str(part) for part in path]
    if len(parts) > 1 and parts[-1] in ("value", "data"):
        parts = parts[:-1]
    return ".".join(parts)


def where_gradients_go(
    paths: dict[str, Path], before: dict[Path, np.ndarray], after: dict[Path, np.ndarray]
) -> dict[str, Path]:
    """Say which array, new or changed by backward, is the gradient of each parameter."""
    own = set(paths.values())
    new = {
        path: array
        for path, array in after.items()
        if path not in own and not _is_same(array, before.get(path))
    }
    found: dict[str, Path] = {}
    for name, path in paths.items():
        shape = after[path].shape if path in after else None
        fits = [each for each in new if new[each].shape == shape and each not in found.values()]
        if fits:
            best = max(fits, key=lambda each: _likeness(path, each))
            if _likeness(path, best) > 0 or len(fits) == 1:
                found[name] = best
    return found


def _is_same(array: np.ndarray, before: np.ndarray | None) -> bool:
    return before is not None and np.array_equal(array, before, equal_nan=True)


def _likeness(path: Path, other: Path) -> int:
    """How much a place looks like the gradient's place of a parameter: wiring, no verdict."""
    if len(path) == len(other) and path[-1] == other[-1]:
        return 3  # params["W"] and grads["W"]
    if path[:-1] == other[:-1]:
        a, b = str(path[-1]), str(other[-1])
        return 2 if a in b or (a in ("value", "data") and "grad" in b) else 0
    return 1 if str(path[-1]) in str(other[-1]) else 0


def snapshot(arrays: dict[Path, np.ndarray]) -> dict[Path, np.ndarray]:
    """Copy arrays."""
    return {path: array.copy() for path, array in arrays.items()}


def cast(thing: Any, dtype: Any) -> Any:
    """Return a copy of an object with its float arrays in `dtype`; itself when it has none."""
    other = copy.deepcopy(thing)
    for path, array in arrays_of(other).items():
        put(other, path, array.astype(dtype))
    return other
