"""What watches the numbers of a step: the gradients' norm, and which array is not finite."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from minidlrm.arrays import check_number
from minidlrm.module import Module, Parameter, SparseGrad
from minidlrm.parameter import as_parameters


def bad_number(
    what: str, model: Module, gradients: bool = False, advice: str = "Try a smaller lr"
) -> FloatingPointError:
    """Make the error for a number that is not finite; it names the first array to blame.

    Parameters
    ----------
    what : str
        What was found, and where.
    model : Module
        Its arrays are looked at, in the order of the parameters.
    gradients : bool
        Whether to look at the gradients, and not at the values.
    advice : str
        What to do about it.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> from minidlrm.guard import bad_number
    >>> layer = md.Linear(2, 3, rng=np.random.default_rng(0)); layer.bias.value[1] = np.nan
    >>> print(bad_number("step 3: the loss is nan", layer))
    step 3: the loss is nan; the first array that went bad is bias. Try a smaller lr
    """
    for name, parameter in model.named_parameters():
        array = parameter.grad if gradients else parameter.value
        numbers = array.values if isinstance(array, SparseGrad) else array
        if numbers is not None and not np.isfinite(numbers).all():
            of = "the gradient of " if gradients else ""
            return FloatingPointError(
                f"{what}; the first array that went bad is {of}{name}. {advice}"
            )
    return FloatingPointError(f"{what}, though all weights are finite. {advice}")


def _stored(parameter: Parameter) -> np.ndarray:
    """Return the numbers that a gradient, dense or sparse, holds; errors as `check_grad`."""
    parameter.check_grad()
    grad = parameter.grad
    return grad.values if isinstance(grad, SparseGrad) else grad


def grad_norm(parameters: Iterable[Parameter]) -> float:
    """Return the joint Euclidean norm of all gradients.

    Parameters
    ----------
    parameters : iterable of Parameter
        Those without a gradient count as 0.

    Returns
    -------
    float
        The root of the sum of all squares.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> w = md.Parameter(np.zeros(2)); w.grad = np.array([3.0, 4.0])
    >>> md.training.grad_norm([w])
    5.0
    """
    return math.sqrt(sum(map(square_of, as_parameters(parameters))))


def square_of(parameter: Parameter) -> float:
    """Return the square of the norm of a gradient, 0 without one; errors as `check_grad`."""
    return 0.0 if parameter.grad is None else _square(_stored(parameter))


def norm_of(arrays: Iterable[np.ndarray]) -> float:
    """Return the joint Euclidean norm of arrays: the root of the sum of all squares."""
    return math.sqrt(sum(map(_square, arrays)))


def _square(array: np.ndarray) -> float:
    flat = array.ravel()
    return float(np.vdot(flat, flat).real)


def scale_grads(parameters: Iterable[Parameter], factor: float) -> None:
    """Multiply all gradients by `factor`, in place.

    Parameters
    ----------
    parameters : iterable of Parameter
        Those without a gradient are passed over.
    factor : float
        What to multiply by.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> w = md.Parameter(np.zeros(2)); w.grad = np.array([3.0, 4.0])
    >>> md.training.scale_grads([w], 0.5); w.grad
    array([1.5, 2. ])
    """
    check_number("factor", factor)
    for parameter in as_parameters(parameters):
        if parameter.grad is not None:
            values, grad = _stored(parameter), parameter.grad
            if values.dtype.kind in "fc" and values.flags.writeable:
                values *= values.dtype.type(factor)
                continue
            scaled = values * factor  # integers of a reader, or read-only
            sparse = isinstance(grad, SparseGrad)
            parameter.grad = SparseGrad(grad.rows, scaled, grad.shape) if sparse else scaled
