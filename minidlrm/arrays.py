"""Arrays from elsewhere: made fit for the kernels, or refused by name.

A compiled kernel takes the machine's own numbers, aligned, and of a few types. Files, Fortran
programs and other libraries give others. Every door of the package (a `Batch`, a `Parameter`, a
gradient) lets arrays in through these functions.
"""

from __future__ import annotations

import numbers
import operator
from typing import Any

import numpy as np

_FLOATS = "it must be float32 (or float64)"


def native(name: str, array: Any) -> np.ndarray:
    """Return an array of the machine's byte order, aligned, without a mask; not copied if it is.

    Parameters
    ----------
    name : str
        What the user calls it, for the error.
    array : array_like
        Anything that NumPy makes an array of.

    Raises
    ------
    ValueError
        When entries are masked, or the rows of a list differ in length.
    """
    if type(array) is np.ndarray and array.dtype.isnative and array.flags.aligned:
        return array  # the usual case
    if isinstance(array, np.ma.MaskedArray):
        masked = int(np.ma.count_masked(array))
        if masked:
            raise ValueError(
                f"{name} is a masked array with {masked} masked entries: "
                "choose their values first, such as with array.filled(0)"
            )
        array = array.data
    try:
        array = np.asarray(array)
    except ValueError as error:
        raise ValueError(f"{name} is not an array: {error}") from None
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array if array.flags.aligned else array.copy()


def floats(name: str, array: Any, ndim: int | None = None) -> np.ndarray:
    """Return `array` as float or complex numbers that the kernels know.

    Parameters
    ----------
    name : str
        What the user calls it.
    array : array_like
        Numbers. A long double becomes a double; integers are refused.
    ndim : int, optional
        How many dimensions it must have.

    Raises
    ------
    TypeError
        When it does not hold float or complex numbers.
    ValueError
        As `native`; or when it has another number of dimensions.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.arrays import floats
    >>> floats("x", np.ones(2, ">f4"), 1).dtype.isnative
    True
    """
    array = native(name, array)
    if array.dtype.kind not in "fc":
        raise TypeError(f"{name} has dtype {array.dtype}: {_FLOATS}")
    if array.dtype.char in "gG":  # long double
        array = array.astype(np.float64 if array.dtype.kind == "f" else np.complex128)
    return _with_ndim(name, array, ndim)


def integers(name: str, array: Any, ndim: int | None = None) -> np.ndarray:
    """Return `array` as integers that the kernels know; see `floats`.

    uint64 becomes int64, and a value beyond int64 is a ValueError.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.arrays import integers
    >>> integers("ids", np.array([1, 2], np.uint64)).dtype
    dtype('int64')
    """
    array = native(name, array)
    if array.size == 0 and array.dtype == np.float64:  # [] has no dtype of its own
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} has dtype {array.dtype}: ids and offsets must be integers (int64)")
    if array.dtype == np.uint64:
        if array.size and array.max() > np.iinfo(np.int64).max:
            raise ValueError(f"{name} holds {array.max()}: it must fit into int64")
        array = array.astype(np.int64)
    return _with_ndim(name, array, ndim)


def check_finite(name: str, array: np.ndarray) -> None:
    """Raise ValueError when an entry is NaN or infinite; it names the first.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.arrays import check_finite
    >>> check_finite("label", np.array([0.0, np.nan]))
    Traceback (most recent call last):
        ...
    ValueError: label[1] is nan: it must be finite
    """
    finite = np.isfinite(array)
    if not finite.all():
        place = np.unravel_index(int(np.argmin(finite)), array.shape)
        index = ", ".join(map(str, place))
        raise ValueError(f"{name}[{index}] is {array[place]}: it must be finite")


def _with_ndim(name: str, array: np.ndarray, ndim: int | None) -> np.ndarray:
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} has shape {array.shape}: it must have {ndim} dimension(s)")
    return array


def as_size(name: str, value: Any, least: int = 1) -> int:
    """Return a size as a Python integer, which JSON can hold; it must be at least `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}: it must be an integer") from None
    if number < least:
        raise ValueError(f"{name} is {number}: it must be at least {least}")
    return number


def check_number(name: str, value: Any) -> None:
    """Raise TypeError unless a value is one real number, of Python or of NumPy."""
    if not isinstance(value, numbers.Real):
        raise TypeError(f"{name} is {value!r}: it must be a number")
