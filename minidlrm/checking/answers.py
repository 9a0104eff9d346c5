"""Where a learner's answer differs from the right one, in words: the checks of the tutorials."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidlrm.arrays import check_rate, check_type, native
from minidlrm.languages import Message, joined

_SHOWN = 8  # a row with more numbers than this is not shown whole


def difference(said: Any, wanted: Any, names: str = "the answer", atol: float = 1e-9) -> str:
    """Say how an answer differs from the right one; "" when it does not.

    The entry that is shown is always one that is wrong.

    Parameters
    ----------
    said : object
        The answer: anything that a person may return.
    wanted : array_like, or tuple of array_like
        What is right.
    names : str
        The name of the answer; of a tuple all names, such as "rows, sums".
    atol : float
        The largest difference that is still right.

    Returns
    -------
    str

    Raises
    ------
    TypeError
        When `wanted` does not hold numbers.

    Examples
    --------
    >>> import minidlrm as md
    >>> md.checking.difference([[1.0, 2.0], [0.5, 0.5]], [[1.0, 2.0], [0.0, 0.0]], "y")
    'y[1] is [0.5 0.5], and should be [0. 0.]'
    >>> md.checking.difference([1.0, 2.0], [[1.0, 2.0]], "y")
    'y has the shape (2,), and should have (1, 2)'
    >>> md.checking.difference(None, 1.0, "y")
    'y is None: does the function end with return?'
    """
    check_rate("atol", atol)
    check_type("names", names, str)
    parts = [native("wanted", p) for p in (wanted if isinstance(wanted, tuple) else (wanted,))]
    if any(part.dtype.kind not in "biufc" for part in parts):
        raise TypeError(f"wanted is {wanted!r}: it must hold numbers")
    if not isinstance(wanted, tuple):
        return _of_one(said, np.asarray(wanted), names, atol)
    several = names.split(", ")
    if not isinstance(said, (tuple, list)) or len(said) != len(wanted):
        number = len(wanted)
        return Message(
            "the function should return {number} values: {names}", number=number, names=names
        )
    each = (
        _of_one(one, np.asarray(right), name, atol)
        for one, right, name in zip(said, wanted, several, strict=True)
    )
    return next(filter(None, each), "")


def _of_one(said: Any, wanted: np.ndarray, name: str, atol: float) -> str:
    problem = _not_an_array(said, wanted, name)
    if problem:
        return problem
    array = np.asarray(said)
    if array.shape != wanted.shape:
        shapes = {"shape": str(array.shape), "right": str(wanted.shape)}
        return Message("{name} has the shape {shape}, and should have {right}", name=name, **shapes)
    if wanted.dtype.kind in "iu" and array.dtype.kind not in "iub":
        return Message(
            "{name} has numbers of type {dtype}; these must be whole numbers (try //)",
            name=name,
            dtype=str(array.dtype),
        )
    wrong = ~(np.abs(array.astype(float) - wanted) <= atol)
    if not wrong.any():
        return ""
    place = tuple(int(k) for k in np.argwhere(wrong)[0])
    if wanted.ndim > 1 and wanted.shape[-1] <= _SHOWN:
        place = place[:-1]  # the whole row
    where = f"[{', '.join(map(str, place))}]" if place else ""
    return Message(
        "{entry} is {said}, and should be {right}",
        entry=joined([name, where]),
        said=_short(array[place]),
        right=_short(wanted[place]),
    )


def _not_an_array(said: Any, wanted: np.ndarray, name: str) -> str:
    if said is None:
        return Message("{name} is None: does the function end with return?", name=name)
    if said is Ellipsis:
        return Message("{name} is still the blank, '...'", name=name)
    if isinstance(said, tuple) and wanted.ndim and len(said) != len(wanted):
        length = {"name": name, "length": len(said)}
        words = Message("{name} is a tuple of length {length}, and should be an array", **length)
        if len(said) != 1:
            return words
        return Message("{words}: np.where and np.nonzero return one; take its [0]", words=words)
    try:
        numbers = np.asarray(said).dtype.kind in "biuf"
    except ValueError:  # rows of different lengths
        numbers = False
    if numbers:
        return ""
    kind = type(said).__name__
    return Message("{name} is {kind}, and should hold real numbers only", name=name, kind=kind)


def _short(value: Any) -> str:
    return np.array2string(np.asarray(value), precision=3, suppress_small=True, max_line_width=200)
