"""Optimizer: what every update rule shares, and what a rule of one's own is made from.

The state is kept inside the optimizer, one dict a parameter, made at first use. A dense and a
sparse gradient find the same state: arrays of the parameter's shape, which the kernels see as
the rows of a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from minidlrm.arrays import check_rate
from minidlrm.kernels.parts import at_once
from minidlrm.module import Parameter, SparseGrad
from minidlrm.parameter import as_parameters, numbers_of

__all__ = ["Optimizer"]

Array = np.ndarray
LearningRate = float | Callable[[int], float]
State = dict[str, np.ndarray]

FIRST_ROW = np.zeros(1, np.int64)  # a dense parameter is updated as a table of one row


class Optimizer:
    """What all optimizers share: `step`, the learning rate, and the state.

    Parameters
    ----------
    lr : float or callable
        The learning rate; or a function of the step (1 for the first) that returns it,
        such as a `functools.partial` of `warmup_decay`.
    weight_decay : float
        λ: adds λ w to each gradient (L2). In an embedding table it reaches only the rows of
        the batch: a rare id is decayed rarely. The full penalty would need a pass over the
        whole table in each step.

    Attributes
    ----------
    num_steps : int
        Steps taken.
    state : dict of Parameter to dict of str to array
        The state of each parameter that has been updated.
    state_names : tuple of str
        Names of the arrays of a state, each of the parameter's shape and zero at first.

    Raises
    ------
    ValueError
        When `lr` is negative or not finite, or `weight_decay` is negative.

    Examples
    --------
    A rule of one's own overrides `update`, and names the arrays that it keeps.

    >>> import numpy as np, minidlrm as md
    >>> from minidlrm.optim import Optimizer
    >>> class SignMomentum(Optimizer):
    ...     state_names = ("velocity",)
    ...     def update(self, weight, rows, grad, state, lr):
    ...         (velocity,) = self.arrays(state, weight)
    ...         velocity[rows] += grad
    ...         weight[rows] -= lr * np.sign(velocity[rows])
    >>> w = md.Parameter(np.array([1.0, 2.0])); w.grad = np.array([5.0, -0.1])
    >>> SignMomentum(lr=0.5).step([w]); w.value
    array([0.5, 2.5])
    """

    state_names: tuple[str, ...] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        """Take a rule under `_update`, too: rules were written before it was public."""
        super().__init_subclass__(**options)
        rule = vars(cls).get("_update", vars(cls).get("update"))
        if rule is not None:
            cls.update = cls._update = rule  # type: ignore[method-assign, attr-defined]

    def __init__(self, lr: LearningRate, weight_decay: float = 0.0):
        self.lr = lr
        self.weight_decay = weight_decay
        Optimizer.check_options(self)  # a subclass has set no options of its own yet
        self.num_steps = 0
        self.state: dict[Parameter, State] = {}

    def step(self, parameters: Iterable[Parameter]) -> None:
        """Update each of the parameters that has a gradient, once.

        TypeError and ValueError, before anything is changed, when a gradient or a state does not
        fit its parameter, or when the optimizer has only met other parameters so far.
        """
        parameters = self.check(parameters)
        lr = self.lr(self.num_steps + 1) if callable(self.lr) else self.lr
        check_rate("lr", lr)
        self.num_steps += 1
        for p in parameters:
            self.state.setdefault(p, {})  # in their order, whoever is first
        if self._is_ours():  # a rule of one's own may remember what it met before
            at_once(
                [numbers_of(p.grad) for p in parameters], lambda k: self._change(parameters[k], lr)
            )
        else:
            for p in parameters:
                self._change(p, lr)

    def _change(self, p: Parameter, lr: Any) -> None:
        by_rows = isinstance(p.grad, SparseGrad)
        width = p.value.shape[1] if by_rows else p.value.size
        rows, grad = (p.grad.rows, p.grad.values) if by_rows else (FIRST_ROW, p.grad)
        grad = np.ascontiguousarray(grad, p.value.dtype).reshape(-1, width)
        own = self.state[p]
        seen = {k: v.reshape(-1, width) if v.shape == p.value.shape else v for k, v in own.items()}
        given = dict(seen)
        self.update(p.value.reshape(-1, width), rows, grad, seen, lr)
        for name, made in seen.items():
            if made is not given.get(name):  # made in this step, or replaced by a new array
                whole = np.shape(made) == (p.value.size // width, width)  # not one a row
                own[name] = made.reshape(p.value.shape) if whole else made

    def _is_ours(self) -> bool:
        return type(self).update.__module__ == "minidlrm.optim"

    def check(self, parameters: Iterable[Parameter]) -> list[Parameter]:
        """Return those of `parameters` that have a gradient, each once; errors as `step`.

        ValueError and TypeError when one cannot be updated.
        """
        self.check_options()
        given = as_parameters(parameters)
        used = [p for p in given if p.grad is not None]
        for p in used:
            p.check()
            p.check_grad()
            for name, array in self.state.get(p, {}).items():
                if type(array) not in (np.ndarray, np.memmap):  # a mask would be lost
                    kind = type(array).__name__
                    raise TypeError(f"the state {name!r} of {p.name} is a {kind}, and no array")
                form = array.shape, array.dtype
                if form != (p.value.shape, p.value.dtype) or not array.flags.carray:
                    self._check_state(p, name, array)
        remembers = callable(self.lr) or any(self.state.values())
        if used and remembers and self.state and self.state.keys().isdisjoint(given):
            raise ValueError(
                f"this {type(self).__name__} has taken {self.num_steps} steps with other "
                "parameters, and would go on from there: make a new optimizer for a new model, "
                "or call its reset()"
            )
        return used

    def _check_state(self, p: Parameter, name: str, array: np.ndarray) -> None:
        """Raise ValueError unless a state of this name may look like that.

        A rule of one's own keeps what it likes; `arrays` lets no kernel take it.
        """
        if not self._is_ours():
            return
        shapes = [s[name] for s in self.state_shapes(p.value.shape) if name in s]
        fits = array.dtype == p.value.dtype and array.flags.carray and array.shape in shapes
        if shapes and not fits:
            raise ValueError(
                f"the state {name!r} of {p.name} has shape {array.shape} and dtype "
                f"{array.dtype}: it must have {shapes[0]} and {p.value.dtype}"
            )

    def check_options(self) -> None:
        """Raise TypeError or ValueError when an option is not right; `step` looks again."""
        if not callable(self.lr):
            check_rate("lr", self.lr, "a number of at least 0, or a function")
        check_rate("weight_decay", self.weight_decay)

    def state_shapes(self, shape: tuple[int, ...]) -> tuple[dict[str, tuple[int, ...]], ...]:
        """Return the states that a parameter of this shape may have: the shape of each array."""
        return (dict.fromkeys(self.state_names, shape),)

    def arrays(self, state: State, weight: np.ndarray) -> list[np.ndarray]:
        """Return the arrays `state_names` of `state`, zeros (N, D) like `weight` when new.

        ValueError when one does not fit `weight`.
        """
        for name in self.state_names:
            if name not in state:
                state[name] = np.zeros_like(weight)
            check_fits(state[name], weight.shape, weight.dtype, name)
        return [state[name] for name in self.state_names]

    def update(self, weight: Array, rows: Array, grad: Array, state: State, lr: Any) -> None:
        """Change `weight` (N, D) at `rows` (n,) in place, given their gradients `grad` (n, D).

        A dense parameter comes as a table of one row. `state` is the parameter's own dict; arrays
        of the parameter's shape have the shape of `weight` in it. `lr` is the rate of this step.
        """
        raise NotImplementedError(f"{type(self).__name__} has no update")

    def reset(self) -> None:
        """Forget all steps and states: a fresh start, for another model."""
        self.num_steps = 0
        self.state.clear()

    def options(self) -> dict[str, Any]:
        """Return what the optimizer was made with, by name."""
        return {k: v for k, v in vars(self).items() if k not in ("num_steps", "state")}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in self.options().items())})"


def check_fits(array: np.ndarray, shape: tuple[int, ...], dtype: Any, name: str) -> None:
    """Let no kernel take a state that it would leave: a rule of one's own may have made it."""
    if array.shape != shape or array.dtype != dtype or not array.flags.carray:
        raise ValueError(
            f"the state {name!r} has shape {array.shape} and dtype {array.dtype}: it must have "
            f"{shape} and {dtype}"
        )
