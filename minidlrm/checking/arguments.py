"""Arguments for a learner's functions and classes, made from names, annotations and defaults.

All sizes differ, so that a transposed product does not fit by accident: B = 6 samples, 4
numbers in, 3 out, 5 inside, tables of 7 rows.
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable, Iterator
from itertools import islice, product
from typing import Any

import numpy as np

from minidlrm.checking.raised import described

_B, _IN, _OUT, _INSIDE, _ROWS = 6, 4, 3, 5, 7
_TRIED = 400  # combinations


def required(function: Callable) -> list[str]:
    """Name the arguments without a default."""
    return [p.name for p in _parameters(function) if p.default is p.empty]


def _parameters(function: Callable) -> list[inspect.Parameter]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


# Of a constructor

_SIZES = {  # how a name begins or ends, and the numbers that it may mean
    r"^(n_?)?(in|input|fan_?in|d_?in|num_?in)|_in$|in_(dim|features|size)$": (_IN,),
    r"^(n_?)?(out|output|fan_?out|d_?out|num_?out|classes|num_classes)|_out$": (_OUT,),
    r"hidden|inside|units|width": (_INSIDE,),
    r"num_embeddings|rows|vocab|items|users|buckets|num_categories": (_ROWS,),
    r"embedding_?dim|^dim$|^d$|^k$|factors": (_OUT, _IN),
    r"layers|depth|steps|order": (2,),
    r"fields|features|^f$|heads|channels|size|^n": (_IN, 1),
}
_RATES = (
    r"^(lr|eps|alpha|beta|rate|learning_rate|p|slope|momentum|decay|weight_decay|gamma|lam|l1|l2)"
)


def for_constructor(cls: type, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield arguments for a class, the likelier ones first."""
    given: dict[str, list[Any]] = {}
    for p in _parameters(cls):
        name = p.name.lower()
        if name in ("rng", "generator", "random_state"):
            given[p.name] = [rng]
        elif name == "seed":
            given[p.name] = [0]
        elif p.default is p.empty:
            given[p.name] = _for_a_size(p, rng)
    for values in islice(product(*given.values()), 50):
        yield dict(zip(given, copy.deepcopy(values), strict=True))


def _for_a_size(p: inspect.Parameter, rng: np.random.Generator) -> list[Any]:
    name, annotation = p.name.lower(), str(p.annotation)
    if (
        re.search(r"sizes|dims|layers$|shape", name)
        or "list" in annotation
        or "Sequence" in annotation
    ):
        return [[_IN, _INSIDE, _OUT], (_IN, _OUT), 2]
    if "float" in annotation or re.search(_RATES, name):
        return [0.1]
    if "bool" in annotation:
        return [False, True]
    if re.search(r"^(w|weights?|table|kernel)$", name):
        return [rng.normal(size=(_IN, _OUT)), rng.normal(size=(_OUT, _IN))]
    if re.search(r"^(b|bias)$", name):
        return [rng.normal(size=_OUT), rng.normal(size=_IN)]
    for pattern, numbers in _SIZES.items():
        if re.search(pattern, name):
            return list(numbers)
    return [_IN, _OUT, 0.5]


# Of forward


def inputs_for(target: Any, rng: np.random.Generator) -> tuple[tuple[Any, ...] | None, str]:
    """Return inputs on which forward and backward run, or why there are none.

    Inputs on which forward alone runs are taken when no others do: then the check says where
    backward stops.
    """
    tried = target if isinstance(target, tuple) else copy.deepcopy(target)  # it may keep inputs
    forward, backward = tried if isinstance(tried, tuple) else (tried.forward, tried.backward)
    candidates = [_values(p, rng) for p in _parameters(forward) if p.default is p.empty]
    if not candidates:
        return None, "it takes nothing"
    found: dict[tuple[bool, bool], tuple[Any, ...]] = {}  # the first whose y is finite, ...
    error = ""
    for inputs in islice(_nearest_first(candidates), _TRIED):
        try:
            with np.errstate(all="ignore"):
                result = forward(*copy.deepcopy(inputs))
        except Exception as stopped:
            error = error or described(stopped, "forward")
            continue
        back = _runs_back(backward, result, inputs, isinstance(target, tuple))
        good = _is_finite(result), back and not _is_square(inputs)
        found.setdefault(good, inputs)
        if all(good):
            break
    return (found[max(found)], "") if found else (None, error)


def _is_square(inputs: tuple[Any, ...]) -> bool:
    """Whether a float input is square: on it alone, a transposed product may run."""
    floats = [a for a in inputs if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
    return any(a.ndim == 2 and a.shape[0] == a.shape[1] for a in floats)


def _nearest_first(candidates: list[list[Any]]) -> Iterator[tuple[Any, ...]]:
    """Yield combinations; those near the beginning of every list come first."""
    places = product(*(range(len(each)) for each in candidates))
    for place in sorted(places, key=lambda place: (sum(place), place)):
        yield tuple(each[k] for each, k in zip(candidates, place, strict=True))


def _is_finite(result: Any) -> bool:
    y = result[0] if isinstance(result, (tuple, list)) and len(result) else result
    try:
        return bool(np.isfinite(np.asarray(y, dtype=float)).all())
    except (TypeError, ValueError):
        return True


def _runs_back(backward: Callable, result: Any, inputs: tuple[Any, ...], is_pair: bool) -> bool:
    """Whether backward runs, and returns gradients of the shapes of inputs."""
    y, *cache = result if isinstance(result, tuple) else (result,)
    dy = np.ones_like(np.asarray(y, dtype=float))
    ways = [(dy, *cache), (dy,), ()] if is_pair else [(dy,), ()]
    for given in ways:
        try:
            with np.errstate(all="ignore"):
                returned = backward(*copy.deepcopy(given))
        except Exception:
            continue
        return _have_shapes_of(returned, inputs)
    return False


def _have_shapes_of(returned: Any, inputs: tuple[Any, ...]) -> bool:
    parts = returned if isinstance(returned, (tuple, list)) else [returned]
    shapes = {np.shape(value) for value in inputs}
    arrays = [part for part in parts if isinstance(part, (np.ndarray, float))]
    return all(np.shape(array) in shapes for array in arrays)


def _values(p: inspect.Parameter, rng: np.random.Generator) -> list[Any]:
    """Return what an argument of forward may be, the likelier first."""
    name, annotation = p.name.lower(), str(p.annotation)
    if re.search(r"\bint\b", annotation) and "array" not in annotation:
        return [2, _IN]
    if re.search(r"\bfloat\b", annotation) and not re.search("array|list", annotation):
        return [0.5]
    for pattern, make in _INPUTS.items():
        if re.search(pattern, name):
            return make(rng)
    return _floats(rng)


def _floats(rng: np.random.Generator) -> list[Any]:
    x = rng.normal(size=(_B, _IN))
    shapes = [(_B,), (_B, _OUT, _IN), (_IN,), (2, _OUT, _INSIDE, _INSIDE), (), (_INSIDE, _INSIDE)]
    inside = 1 / (1 + np.exp(-x))  # where a logarithm or a root is at home
    return [x, inside, *(rng.normal(size=shape) for shape in shapes)]


def _labels(rng: np.random.Generator) -> list[Any]:
    classes = rng.integers(0, _OUT, _B)
    clicks = (rng.random((_B, _IN)) < 0.5).astype(float)
    one_hot = np.eye(_IN)[rng.integers(0, _IN, _B)]
    return [classes, clicks, clicks[:, 0], one_hot, rng.normal(size=(_B, _IN)), *_floats(rng)]


def _weights(rng: np.random.Generator) -> list[Any]:
    shapes = [(_IN, _OUT), (_OUT, _IN), (_IN,), (_ROWS, _OUT), (_B,), (_IN, _IN), ()]
    return [rng.normal(size=shape) for shape in shapes]


def _vectors(rng: np.random.Generator) -> list[Any]:
    return [rng.normal(size=shape) for shape in [(_OUT,), (_IN,), (_B,), (_B, _IN), ()]]


def _ids(rng: np.random.Generator) -> list[Any]:
    ids = rng.integers(0, _OUT, _B)
    ids[1] = ids[0]
    return [ids, rng.integers(0, _OUT, (_B, 2)), rng.integers(0, _OUT, 8)]


def _masks(rng: np.random.Generator) -> list[Any]:
    x = rng.random((_B, _IN)) < 0.6
    square = np.tril(np.ones((_INSIDE, _INSIDE), bool))
    return [x.astype(float), x, square, x[:, 0].astype(float), np.tril(np.ones((_B, _B), bool))]


_INPUTS: dict[str, Callable[[np.random.Generator], list[Any]]] = {
    r"^(ids?|idx|indices|index|users?|items?|tokens?|rows|sparse)$|_ids?$": _ids,
    r"offsets?$": lambda rng: [np.array([0, 2, 2, 5, 8]), np.array([0, 2, 2, 5])],
    r"lengths?$": lambda rng: [np.array([2, 0, 3, 3]), np.array([1, 2, 3])],
    r"^(y|t|labels?|targets?|y_true|clicks?|truth)$": _labels,
    r"mask|keep": _masks,
    r"^(w|weights?|w\d|kernel|table|emb(edding)?s?|theta|e)$": _weights,
    r"^(b|bias|b\d|gamma|beta|scale|shift|g)$": _vectors,
    r"^(q|k|v|query|key|value)$": lambda rng: [
        rng.normal(size=shape) for shape in [(_INSIDE, _IN), (_B, _IN), (_IN,)]
    ],
    r"^(p|probs?|probabilit\w*|y_hat)$": lambda rng: [
        1 / (1 + np.exp(-rng.normal(size=shape))) for shape in [(_B, _IN), (_B,)]
    ],
}
