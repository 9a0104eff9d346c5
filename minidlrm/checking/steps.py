"""The steps that `optimcheck` lets two optimizers take: the same problem, the same gradients."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidlrm.checking.raised import described
from minidlrm.languages import Message
from minidlrm.module import Parameter, SparseGrad

_TABLE = (8, 3)
_SHAPES = {"weight": (3, 4), "bias": (4,), "weight 2": (3, 4), "table": _TABLE, "frozen": (2,)}
EVERY = tuple(_SHAPES)
DENSE = ("weight", "bias", "weight 2")
# Large gradients show a hidden clip, small ones where eps is added.
SCALES: dict[str, float] = {
    "": 1.0,
    Message(", gradients × 10,000"): 1e4,
    Message(", gradients × 0.00001"): 1e-5,
}

Paths = dict[str, np.ndarray]  # the values of each parameter after 0, 1, 2, ... steps


class Stopped(Exception):
    """The learner's step raised: what and where, and in which step."""

    def __init__(self, text: Message, step: int = 1):
        super().__init__(text)
        self.text, self.step = text, step


@dataclass(frozen=True)
class Trial:
    """A problem for an optimizer.

    Parameters
    ----------
    seed : int
        Seed of the parameters and gradients.
    steps : int
        How many steps are taken.
    names : tuple of str
        Which parameters there are.
    scale : float
        How large the gradients are.
    """

    seed: int
    steps: int
    names: tuple[str, ...] = EVERY
    scale: float = 1.0

    def parameters(self) -> dict[str, Parameter]:
        """Make the parameters."""
        rng = np.random.default_rng(self.seed)
        values = {name: rng.normal(size=shape) for name, shape in _SHAPES.items()}
        return {name: Parameter(values[name], name) for name in self.names}

    def gradients(self) -> Iterator[dict[str, Any]]:
        """Yield the gradients of each step; in the table, rows come and go."""
        rng = np.random.default_rng((self.seed, 1))
        for _ in range(self.steps):
            rows = np.sort(rng.choice(_TABLE[0] - 1, 3, replace=False))  # the last row: never
            grads: dict[str, Any] = {
                name: self.scale * rng.normal(size=_SHAPES[name])
                for name in ("weight", "bias", "weight 2")
            }
            if self.scale < 1:
                grads["bias"][0] = 0.0  # 0 / 0 where eps is missing
            values = self.scale * rng.normal(size=(3, _TABLE[1]))
            grads["table"] = SparseGrad(rows, values, _TABLE)
            yield {name: grad for name, grad in grads.items() if name in self.names}


@dataclass(frozen=True)
class Walk:
    """What an optimizer did: the paths, and the rules that it broke as (key, text)."""

    paths: Paths
    faults: tuple[tuple[str, str], ...]


def walk(optimizer: Any, trial: Trial) -> Walk:
    """Let a copy of an optimizer take the steps of a trial.

    Raises
    ------
    Stopped
        When a step raises.
    """
    optimizer, parameters = copy.deepcopy(optimizer), trial.parameters()
    paths = {name: [p.value.copy()] for name, p in parameters.items()}
    faults = []
    for number, grads in enumerate(trial.gradients(), 1):
        _step(optimizer, parameters, grads, number)
        for name, p in parameters.items():
            paths[name].append(_copied(name, p, paths[name][0]))
            if not _same(p.grad, grads.get(name)):
                text = Message("the gradient of {name} is changed in place", name=name)
                if p.grad is None:
                    text = Message("the gradient of {name} is None after the step", name=name)
                faults.append(("modified", text))
    frozen = paths.get("frozen", [0])
    if not np.array_equal(frozen[0], frozen[-1]):
        faults.append(("no_gradient", Message("a parameter whose grad is None has changed")))
    arrays = {name: np.array(values) for name, values in paths.items()}
    return Walk(arrays, tuple(dict.fromkeys(faults)))


def _step(optimizer: Any, parameters: dict[str, Parameter], grads: dict, number: int) -> None:
    for name, p in parameters.items():
        p.grad = copy.deepcopy(grads.get(name))
    try:
        with np.errstate(all="ignore"):
            optimizer.step(list(parameters.values()))
    except Exception as error:
        raise Stopped(described(error, Message("step {number}", number=number)), number) from error


def _copied(name: str, p: Parameter, before: np.ndarray) -> np.ndarray:
    value = np.array(p.value, dtype=np.float64)
    if value.shape != before.shape:
        text = Message(
            "{name} has the shape {before} before the step, {after} after",
            name=name,
            before=before.shape,
            after=value.shape,
        )
        raise Stopped(text)
    return value


def _same(grad: Any, before: Any) -> bool:
    if isinstance(before, SparseGrad) and isinstance(grad, SparseGrad):
        return np.array_equal(grad.values, before.values) and np.array_equal(grad.rows, before.rows)
    if before is None or isinstance(before, SparseGrad) or grad is None:
        return grad is before
    return np.array_equal(grad, before)


def follows(rule: Callable[[], Any], trial: Trial, paths: Paths) -> bool:
    """Whether the steps of a rule are those that were taken; stop at the first that is not."""
    optimizer, parameters = rule(), trial.parameters()
    for step, grads in enumerate(trial.gradients(), 1):
        for name, p in parameters.items():
            p.grad = copy.copy(grads.get(name))
        try:
            with np.errstate(all="ignore"):
                optimizer.step(list(parameters.values()))
        except (IndexError, KeyError, ValueError):  # two changes that do not go together
            return False
        for name, p in parameters.items():
            if not alike(p.value, paths[name][step]):
                return False
    return True


def alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two values of a parameter are the same, rounding apart."""
    size = np.max(np.abs(b), initial=0, where=np.isfinite(b))
    return np.allclose(a, b, rtol=1e-8, atol=1e-8 * size, equal_nan=True)


# Optimizers of other forms


class Plain:
    """A learner's optimizer that takes arrays: ``step(params, grads)`` or ``update(w, g)``.

    It changes the arrays in place, or returns the new ones.

    Parameters
    ----------
    optimizer : object
        The learner's.
    """

    def __init__(self, optimizer: Any):
        self.optimizer = optimizer
        self.single = takes(optimizer, "update", 2)
        self.own: dict[int, Any] = {}  # update(w, g) keeps the state of one array
        self.keyed = False

    def step(self, parameters: list[Parameter]) -> None:
        """Update the parameters that have a gradient."""
        chosen = {p.name: p for p in parameters if p.grad is not None}
        if self.single:
            for p in chosen.values():
                one = self.own.setdefault(id(p), copy.deepcopy(self.optimizer))
                self._take(p, one.update(p.value, p.grad))
            return
        for p, new in zip(chosen.values(), self._all(chosen), strict=True):
            self._take(p, new)

    def _all(self, chosen: dict[str, Parameter]) -> list:
        values = {name: p.value for name, p in chosen.items()}
        grads = {name: p.grad for name, p in chosen.items()}
        if not self.keyed:
            try:
                result = copy.deepcopy(self.optimizer)
                lists = [v.copy() for v in values.values()], [g.copy() for g in grads.values()]
                result.step(*lists)
            except (AttributeError, IndexError, KeyError, TypeError):
                self.keyed = True  # it asks for dicts
        held = (values, grads) if self.keyed else (list(values.values()), list(grads.values()))
        result = self.optimizer.step(*held)
        new = held[0] if result is None else result
        return list(new.values()) if isinstance(new, dict) else list(new)

    def __repr__(self) -> str:
        plain = type(self.optimizer).__repr__ is object.__repr__
        return type(self.optimizer).__name__ if plain else repr(self.optimizer)

    @staticmethod
    def _take(p: Parameter, new: Any) -> None:
        if new is not None and new is not p.value:
            p.value = np.array(new)


class Made:
    """An optimizer of PyTorch's form: it is made from the parameters, and has ``step()``.

    Parameters
    ----------
    make : callable
        ``make(parameters) -> optimizer``.
    """

    def __init__(self, make: Callable):
        self.make = make
        self.optimizer: Any = None

    def step(self, parameters: list[Parameter]) -> None:
        """Make the optimizer in the first step; then let it step."""
        if self.optimizer is None:
            self.optimizer = self.make(parameters)
        self.optimizer.step()

    def __repr__(self) -> str:
        name = getattr(self.make, "__name__", repr(self.make))
        return Message("the optimizer") if name == "<lambda>" else name


def takes(optimizer: Any, name: str, number: int) -> bool:
    """Whether a method can be called with this many positional arguments."""
    method = getattr(optimizer, name, None)
    if not callable(method):
        return False
    try:
        inspect.signature(method).bind(*[None] * number)
    except TypeError:
        return False
    except ValueError:  # it has no signature that Python can tell
        return number == 1
    return True
