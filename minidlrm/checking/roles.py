"""Inputs whose gradient backward does not return: forgotten, or a label that needs none?

Numbers decide, and no names. Zeros and ones are a label or a mask. What a loss gets for each
sample beside its predictions, and what is never negative (a weight, a probability), is a label.
Everything else on which the output depends should have a gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidlrm.checking.subject import Subject
from minidlrm.languages import Message


def unreturned(
    subject: Subject, y: np.ndarray, grads: dict[str, Any], settings: frozenset[str], seed: int
) -> tuple[list[str], dict[str, str]]:
    """Return the inputs whose gradient is forgotten, and the others with what they are.

    Parameters
    ----------
    subject : Subject
        In float64.
    y : array
        Its output.
    grads : dict
        What backward returned.
    settings : set of str
        Inputs that were given as plain Python numbers.
    seed : int
        Of how they are moved.
    """
    left = [name for name in subject.input_names if grads.get(name) is None]
    returned = len(subject.input_names) - len(left)
    forgotten: list[str] = []
    others: dict[str, str] = {}
    rng = np.random.default_rng((1, seed)) if left else None
    for name in left:
        if not _depends(subject, y, name, rng):
            continue
        role = Message("a number") if name in settings else _role(subject, name, y, returned == 1)
        rest = [n for n in left if n not in subject.masks and n not in settings]
        if not role and y.size == 1 and rest == [name] == subject.names[-1:]:
            role = Message(
                "taken for a label"
            )  # the last argument of a loss, and the only one left out
        if role and (returned or role == _ZEROS_AND_ONES):
            others[name] = role
        else:
            forgotten.append(name)
    return forgotten, others


def _depends(subject: Subject, y: np.ndarray, name: str, rng: Any) -> bool:
    """Whether the output changes when the array moves a little, in either direction."""
    array = subject.arrays[name]
    before = array.copy()
    for sign in (1, -1):
        array[...] = before * (1 + sign * rng.uniform(0.01, 0.02, array.shape))
        array[before == 0] = sign * 0.01
        try:
            moved = subject.output()
            if moved.shape == y.shape and np.isfinite(moved).all():
                return not np.array_equal(moved, y)
        except Exception:
            continue
        finally:
            array[...] = before
    return False


_ZEROS_AND_ONES = Message("zeros and ones: a label or a mask")


def _role(subject: Subject, name: str, y: np.ndarray, alone: bool) -> str:
    """Return why an input needs no gradient; "" when it does.

    `alone`: backward returns one gradient, so it does not go through all inputs and forget one.
    """
    value = subject.arrays[name]
    if name in subject.masks:
        return _ZEROS_AND_ONES
    lengths = [np.shape(v)[0] for v in _arrays(subject.inputs) if np.ndim(v)]
    shared = value.ndim > 0 and lengths.count(len(value)) > 1
    if y.size == 1:
        for_each = shared or value.ndim == 0
    else:  # a loss of each sample is not negative
        of_samples = y.ndim == 1 and bool((y >= 0).all())
        for_each = of_samples and value.ndim > 0 and len(value) == len(y)
        if not of_samples:
            return ""
    if for_each:
        return Message("taken for a label")
    return Message("taken for a weight") if alone and (value >= 0).all() else ""


def _arrays(value: Any) -> list[Any]:
    if isinstance(value, (tuple, list)):
        return [each for part in value for each in _arrays(part)]
    if isinstance(value, dict):
        return _arrays(list(value.values()))
    return [value] if isinstance(value, np.ndarray) else []
