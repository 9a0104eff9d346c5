"""Parameter, SparseGrad and Module: the contract between forward and backward.

A layer keeps what its backward pass needs when it runs forward, and adds into
``parameter.grad`` when it runs backward. There is no graph and no autograd: a model
calls the layers it is made of, forward in one order and backward in the other.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from minidlrm.arrays import as_dtype, as_sizes, check_type, floats, is_usual, native
from minidlrm.parameter import Parameter, SparseGrad

__all__ = ["Module", "Parameter", "SparseGrad"]


class Module:
    """A layer or a model: parameters, and a forward and a backward pass.

    A subclass sets parameters and other modules (or lists of modules) as attributes, and
    writes `forward` and `backward`. Parameters are walked in the order of definition.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> layer = md.Linear(2, 3, rng=np.random.default_rng(0))
    >>> [(name, p.value.shape) for name, p in layer.named_parameters()]
    [('weight', (3, 2)), ('bias', (3,))]
    >>> layer.num_parameters()
    9
    """

    equation = ""  # what forward computes, in LaTeX; shown by trace and show
    config: dict[str, Any]  # of a model: the arguments that make another of its sizes
    task = "clicks"  # of a model: its outputs are logits; or "ratings". `fit` sets it by the loss
    by_row = True  # whether a row's output depends on this row alone; batch statistics: False
    _kept: tuple | None = None

    def forward(self, *inputs: Any) -> Any:
        """Compute the output from the inputs, and keep what `backward` needs."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, dy: Any) -> Any:
        """Add dL/dparameter to each parameter's `grad`; return dL/dinput.

        `dy` is dL/doutput, of the output's shape: another one raises ValueError. A backward needs a
        forward of its own before it, or it raises RuntimeError.
        """
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    # What forward keeps for backward

    def keep(self, *values: Any) -> None:
        """Keep values for one backward pass."""
        self._kept = values

    def kept(self) -> tuple:
        """Return what `keep` was given, once; RuntimeError when there is nothing."""
        if self._kept is None:
            raise RuntimeError(
                f"{type(self).__name__}.backward() without a forward() before it: "
                "call forward first, and backward once for each forward"
            )
        kept, self._kept = self._kept, None
        return kept

    def check_dy(self, dy: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Return `dy` as floats; ValueError when its shape is not the output's."""
        if not is_usual(dy):
            dy = native("dy", dy)
            if dy.dtype.kind in "biu":  # ones that a reader wrote as integers
                dy = dy.astype(np.float64)
            dy = floats("dy", dy)
        if type(shape) is not tuple or {*map(type, shape)} != {int}:
            shape = tuple(as_sizes("shape", shape, 0))
        if dy.shape != shape:
            raise ValueError(
                f"{type(self).__name__}.backward: dy has shape {dy.shape}, the output had {shape}"
            )
        return dy

    # Walking the tree

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield (name, module) for the modules directly inside, also those in lists and dicts."""
        for name, value in _members(self):
            if isinstance(value, Module):
                yield name, value

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yield (dotted name, module) for this module, called `prefix`, and all inside it."""
        check_type("prefix", prefix, str)
        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def all_names(self) -> Iterator[tuple[str, Parameter]]:
        """Yield (dotted name, parameter), in the order of definition.

        A parameter that is reached in two ways (tied weights) comes twice.
        """
        for prefix, module in self.named_modules():
            for name, value in _members(module):
                if isinstance(value, Parameter):
                    yield (f"{prefix}.{name}" if prefix else name), value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield (dotted name, parameter), each parameter once, under its first name."""
        seen: set[Parameter] = set()
        for name, parameter in self.all_names():
            if parameter not in seen:
                seen.add(parameter)
                yield name, parameter

    def parameters(self) -> list[Parameter]:
        """Return all parameters, each once, in the order of definition."""
        return [parameter for _, parameter in self.named_parameters()]

    def is_by_row(self) -> bool:
        """Whether a batch may be cut: all parts are `by_row`, and none is watched."""
        return all(
            part.by_row and not {"forward", "backward"} & vars(part).keys()
            for _, part in self.named_modules()
        )

    def zero_grad(self) -> None:
        """Forget all gradients. Without this they add up from step to step, as in PyTorch."""
        _forget_gradients(vars(self).values())

    # Size and cost

    def num_parameters(self) -> int:
        """Return how many numbers are learned."""
        return sum(parameter.value.size for parameter in self.parameters())

    def flops_per_sample(self) -> int:
        """Return the FLOPs of one sample's forward pass; a multiply-add counts as two."""
        return sum(child.flops_per_sample() for _, child in self.named_children())

    def bytes_per_sample(self) -> int:
        """Return the bytes of one sample's inputs and outputs; weights are not counted."""
        return sum(child.bytes_per_sample() for _, child in self.named_children())

    # Moving weights

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return the values of all parameters, not copied; tied ones under each of their names."""
        return {name: parameter.value for name, parameter in self.all_names()}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Copy values into the parameters.

        Parameters
        ----------
        state : dict of str to array
            A value for each parameter, under the names of `state_dict`.

        Raises
        ------
        ValueError
            When a name is missing, not expected, or has another shape, or when the names of tied
            weights have different values. All are listed, and nothing has been changed.
        """
        for parameter in self.parameters():
            parameter.check()
        copy_state(self.state_dict(), state, type(self).__name__)

    def astype(self, dtype: Any) -> Any:
        """Return a copy with every parameter cast to `dtype`, without gradients.

        float64 is for gradient checks by differences, complex128 for the complex step. TypeError
        when `dtype` is none of those that a Parameter takes.
        """
        dtype = as_dtype(dtype)
        cast = {id(p): Parameter(p.value.astype(dtype), p.name) for p in self.parameters()}
        return copy.deepcopy(self, cast)

    def replica(self) -> Any:
        """Return a module with the same parameter values, and its own gradients and caches.

        The values are shared, not copied: an update of one is an update of both. Two threads may
        go forward and backward at the same time, each with a replica. A random generator that a
        module holds is not shared: the replica's is spawned from it.

        Examples
        --------
        >>> import numpy as np, minidlrm as md
        >>> layer = md.Linear(2, 1, rng=np.random.default_rng(0))
        >>> other = layer.replica()
        >>> layer.bias.value[0] = 5.0
        >>> other.bias.value, other.bias is layer.bias
        (array([5.], dtype=float32), False)
        """
        memo: dict[int, Any] = {}
        for parameter in self.parameters():
            memo[id(parameter)] = parameter.replica()
            memo[id(parameter.value)] = parameter.value
        for _, module in self.named_modules():
            for value in vars(module).values():
                if isinstance(value, np.random.Generator):
                    memo[id(value)] = value.spawn(1)[0]
        return copy.deepcopy(self, memo)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Copy everything but what forward has kept for backward."""
        clone = memo[id(self)] = object.__new__(type(self))
        for name, value in self.__getstate__().items():
            vars(clone)[name] = copy.deepcopy(value, memo)
        return clone

    def __getstate__(self) -> dict[str, Any]:
        """Pickle everything but what forward has kept for backward: the last batch."""
        return {name: value for name, value in vars(self).items() if name != "_kept"}


def _forget_gradients(values: Iterable[Any]) -> None:
    """Walk down all parts, as `named_parameters`, but without names: it is done in each step."""
    for value in values:
        if isinstance(value, Parameter):
            value.grad = None
        elif isinstance(value, Module):
            value.zero_grad()
        elif isinstance(value, (list, tuple)):
            _forget_gradients([item for item in value if isinstance(item, (Parameter, Module))])
        elif isinstance(value, dict):
            parts = value.values()
            _forget_gradients([item for item in parts if isinstance(item, (Parameter, Module))])


def _members(module: Module) -> Iterator[tuple[str, Module | Parameter]]:
    """Yield (name, value) of what is learned or a module, also inside of lists and dicts."""
    kinds = (Module, Parameter)
    for name, value in vars(module).items():
        if isinstance(value, kinds):
            yield name, value
        elif name == "_kept":
            continue
        elif isinstance(value, dict):
            yield from ((f"{name}.{key}", x) for key, x in value.items() if isinstance(x, kinds))
        elif isinstance(value, (list, tuple)):
            yield from ((f"{name}.{i}", x) for i, x in enumerate(value) if isinstance(x, kinds))


def copy_state(own: dict[str, np.ndarray], state: dict[str, np.ndarray], what: str) -> None:
    """Copy `state` into the arrays of `own`, or change nothing.

    Parameters
    ----------
    own : dict of str to array
        The arrays that are written to.
    state : dict of str to array
        A value for each of them.
    what : str
        What they belong to, for the error.

    Raises
    ------
    ValueError
        When a name is missing or not expected, or a shape or dtype does not fit; it lists all.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.module import copy_state
    >>> own = {"weight": np.zeros(2)}
    >>> copy_state(own, {"weight": np.ones(2)}, "Linear"); own["weight"]
    array([1., 1.])
    """
    for word, arrays in (("own", own), ("state", state)):
        check_type(word, arrays, dict)
    state = {name: native(f"state[{name!r}]", value) for name, value in state.items()}
    faults = [f"missing: {name}" for name in own if name not in state]
    faults += [f"unexpected: {name}" for name in state if name not in own]
    faults += [
        f"{name}: shape {np.shape(state[name])}, expected {value.shape}"
        for name, value in own.items()
        if name in state and np.shape(state[name]) != value.shape
    ]
    faults += [
        f"{name}: dtype {np.asarray(state[name]).dtype}, expected {value.dtype}"
        for name, value in own.items()
        if name in state
        and not np.can_cast(np.asarray(state[name]).dtype, value.dtype, "same_kind")
    ]
    first: dict[int, str] = {}  # tied arrays have two names and one value
    for name, value in own.items():
        other = first.setdefault(id(value), name)
        if other != name and not faults and not np.array_equal(state[name], state[other]):
            faults.append(f"{other} and {name} are one array: they need the same values")
    if faults:
        raise ValueError(f"the state does not fit this {what}:\n  " + "\n  ".join(faults))
    for name, value in own.items():
        value[...] = state[name]
