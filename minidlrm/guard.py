"""The guard against NaN and infinity: which array is to blame, and what to do about it."""

from __future__ import annotations

import numpy as np

from minidlrm.module import Module, SparseGrad


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
