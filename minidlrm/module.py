"""Parameter, SparseGrad and Module: the contract between forward and backward.

A layer keeps what its backward pass needs when it runs forward, and adds into
``parameter.grad`` when it runs backward. There is no graph and no autograd: a model
calls the layers it is made of, forward in one order and backward in the other.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidlrm import kernels


@dataclass(frozen=True, eq=False)
class SparseGrad:
    """The gradient of an embedding table: only the rows that a batch looked up.

    Parameters
    ----------
    rows : int64 array (n,)
        The rows, sorted, each once.
    values : float array (n, D)
        The gradient of each of these rows.
    shape : tuple of int
        The shape (N, D) of the table. All other rows have gradient zero.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm import SparseGrad
    >>> grad = SparseGrad(np.array([1]), np.array([[0.5, 2.0]]), shape=(3, 2))
    >>> grad.to_dense()
    array([[0. , 0. ],
           [0.5, 2. ],
           [0. , 0. ]])
    """

    rows: np.ndarray
    values: np.ndarray
    shape: tuple[int, int]

    def to_dense(self) -> np.ndarray:
        """Return the same gradient as an array (N, D), zeros included. For small tables."""
        dense = np.zeros(self.shape, self.values.dtype)  # (N, D)
        dense[self.rows] = self.values
        return dense

    def __add__(self, other: SparseGrad) -> SparseGrad:
        rows, values = kernels.scatter_add(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.values, other.values]),
            None,
            None,
            self.shape[0],
        )
        return SparseGrad(rows, values, self.shape)

    def __repr__(self) -> str:
        return f"SparseGrad({len(self.rows):,} of {self.shape[0]:,} rows, D={self.shape[1]})"


class Parameter:
    """An array that is learned, and its gradient.

    Parameters
    ----------
    value : float array
        The numbers, of any shape.
    name : str
        What the layer calls it: "weight", "bias".

    Attributes
    ----------
    grad : None, ndarray or SparseGrad
        dL/dvalue, of the value's shape, summed over the backward passes since `zero_grad`.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm import Parameter
    >>> bias = Parameter(np.zeros(2), "bias")
    >>> bias.add_grad(np.ones(2)); bias.add_grad(np.ones(2)); bias.grad
    array([2., 2.])
    """

    def __init__(self, value: np.ndarray, name: str = ""):
        self.value = np.ascontiguousarray(value)  # optimizers update flat views
        self.name = name
        self.grad: Any = None

    def add_grad(self, grad: np.ndarray | SparseGrad) -> None:
        """Add `grad` to what is there already; ValueError when its shape is not the value's."""
        if grad.shape != self.value.shape:
            raise ValueError(
                f"the gradient of {self.name} has shape {grad.shape}, "
                f"the parameter {self.value.shape}"
            )
        self.grad = grad if self.grad is None else self.grad + grad

    def __repr__(self) -> str:
        return f"Parameter({self.name}, shape={self.value.shape}, {self.value.dtype})"


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

    def keep(self, *values) -> None:
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

    def check_dy(self, dy, shape: tuple[int, ...]) -> np.ndarray:
        """Return `dy` as an array; ValueError when it has not the output's shape."""
        dy = np.asarray(dy)
        if dy.shape != shape:
            raise ValueError(
                f"{type(self).__name__}.backward: dy has shape {dy.shape}, the output had {shape}"
            )
        return dy

    # Walking the tree

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield (name, module) for the modules directly inside this one."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, (list, tuple)):
                for i, item in enumerate(value):
                    if isinstance(item, Module):
                        yield f"{name}.{i}", item

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yield (dotted name, module) for this module, called `prefix`, and all inside it."""
        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield (dotted name, parameter), in the order of definition."""
        for prefix, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Parameter):
                    yield (f"{prefix}.{name}" if prefix else name), value

    def parameters(self) -> list[Parameter]:
        """Return all parameters, in the order of definition."""
        return [parameter for _, parameter in self.named_parameters()]

    def zero_grad(self) -> None:
        """Forget all gradients. Without this they add up from step to step, as in PyTorch."""
        for parameter in self.parameters():
            parameter.grad = None

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
        """Return the values of all parameters by dotted name, not copied."""
        return {name: parameter.value for name, parameter in self.named_parameters()}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Copy values into the parameters.

        Parameters
        ----------
        state : dict of str to array
            A value for each parameter, under the names of `state_dict`.

        Raises
        ------
        ValueError
            When a name is missing, not expected, or has another shape. All such names are
            listed, and nothing has been changed.
        """
        copy_state(self.state_dict(), state, type(self).__name__)

    def astype(self, dtype) -> Any:
        """Return a copy with every parameter cast to `dtype`, without gradients.

        float64 is for gradient checks by differences, complex128 for the complex step.
        """
        cast = {id(p): Parameter(p.value.astype(dtype), p.name) for p in self.parameters()}
        return copy.deepcopy(self, cast)

    def __deepcopy__(self, memo) -> Any:
        """Copy everything but what forward has kept for backward."""
        clone = memo[id(self)] = object.__new__(type(self))
        for name, value in vars(self).items():
            vars(clone)[name] = None if name == "_kept" else copy.deepcopy(value, memo)
        return clone


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
    if faults:
        raise ValueError(f"the state does not fit this {what}:\n  " + "\n  ".join(faults))
    for name, value in own.items():
        value[...] = state[name]
