"""Arrays from elsewhere: made fit for the kernels, or refused by name.

A compiled kernel takes the machine's own numbers, aligned, and of a few types. Files, Fortran
programs and other libraries give others. Every door of the package (a `Batch`, a `Parameter`, a
gradient) lets arrays in through these functions.
"""

from __future__ import annotations

import functools
import math
import numbers
import operator
import os
from collections.abc import Mapping, Set, ValuesView
from pathlib import Path
from typing import Any

import numpy as np

DTYPES = frozenset(map(np.dtype, (np.float32, np.float64, np.complex64, np.complex128)))
_FLOATS = "it must be float32 (or float64)"
SEVERAL = "float32, float64, complex64 or complex128"  # DTYPES, as errors word them


def is_usual(array: Any) -> bool:
    """Whether it is an array of `DTYPES` that `floats` takes as it is.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.arrays import is_usual
    >>> is_usual(np.ones(2)), is_usual(np.ones(2, ">f8")), is_usual([1.0])
    (True, False, False)
    """
    return type(array) is np.ndarray and array.dtype in DTYPES and array.flags.aligned


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
    if getattr(getattr(array, "dtype", None), "kind", "") == "V":
        raise TypeError(f"{name} has dtype {array.dtype}: it must hold plain numbers, not records")
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
    except (ValueError, TypeError, LookupError) as error:
        raise type(error)(f"{name} is not an array: {error}") from None
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
        if array.ndim == 0:
            raise ValueError(f"{name} is {array}: it must be finite")
        place = np.unravel_index(int(np.argmin(finite)), array.shape)
        index = ", ".join(map(str, place))
        raise ValueError(f"{name}[{index}] is {array[place]}: it must be finite")


def _with_ndim(name: str, array: np.ndarray, ndim: int | None) -> np.ndarray:
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} has shape {array.shape}: it must have {ndim} dimension(s)")
    return array


def doubles(name: str, array: Any) -> np.ndarray:
    """Return a copy of `array` as float64; TypeError names it when it does not hold real numbers.

    Examples
    --------
    >>> from minidlrm.arrays import doubles
    >>> doubles("label", ["a"])
    Traceback (most recent call last):
        ...
    TypeError: label has dtype <U1: it must hold numbers
    """
    array = native(name, array)
    try:
        if array.dtype.kind in "biufO":
            return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        pass  # objects that are not numbers, or that no float holds
    raise TypeError(f"{name} has dtype {array.dtype}: it must hold numbers")


def paired(name1: str, first: Any, name2: str, second: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return two arrays (B,) as float64; ValueError names the one with another shape, or NaN."""
    first, second = doubles(name1, first), doubles(name2, second)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(
            f"{name1} has shape {first.shape}, {name2} {second.shape}: both must be (B,)"
        )
    if len(first) == 0:
        raise ValueError(f"{name1} is empty: a metric needs at least one row")
    for name, array in ((name1, first), (name2, second)):
        if np.isnan(array).any():
            raise ValueError(f"{name}[{int(np.isnan(array).argmax())}] is NaN")
    return first, second


def row_weights(name: str, weight: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return how much each row counts, as float64; ValueError names it when it is not right."""
    weight = doubles(name, weight)
    if weight.shape != shape:
        raise ValueError(f"{name} has shape {weight.shape}, the labels {shape}")
    if not (np.isfinite(weight) & (weight >= 0)).all() or weight.sum() == 0:
        raise ValueError(f"{name} must hold numbers of at least 0, and not only 0")
    return weight


def as_size(name: str, value: Any, least: float = 1, most: float = 2**62) -> int:
    """Return a size as a Python integer, which JSON can hold, of `least` to `most`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}: it must be an integer") from None
    if number < least:
        raise ValueError(f"{name} is {number}: it must be at least {least}")
    if number > most:
        raise ValueError(f"{name} is {number}: it must be at most {most}")
    return number


def as_sizes(name: str, values: Any, least: float = 1) -> list[int]:
    """Return sizes as Python integers; the error names the one that is wrong."""
    wrong = isinstance(values, (str, bytes, Mapping, Set)) or hasattr(values, "__next__")
    if wrong or not np.iterable(values):  # read once, or in any order
        raise TypeError(f"{name} is {values!r}: it must be a list of integers")
    return [as_size(f"{name}[{k}]", value, least) for k, value in enumerate(values)]


def check_rate(name: str, value: Any, wanted: str = "at least 0") -> None:
    """Raise TypeError or ValueError unless an option is a finite number of at least 0."""
    check_number(name, value)
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} is {value}: it must be {wanted}")


def as_names(name: str, values: Any) -> list[str]:
    """Return names as a list; TypeError when it is no list of texts.

    Examples
    --------
    >>> from minidlrm.arrays import as_names
    >>> as_names("column_names", ("user", "item"))
    ['user', 'item']
    """
    if not isinstance(values, (list, tuple)) or not all(isinstance(x, str) for x in values):
        such = f", such as [{values!r}]" if isinstance(values, str) else ""
        raise TypeError(f"{name} is {values!r}: it must be a list of names{such}")
    return list(values)


def check_room(name: str, *shape: int, itemsize: int = 4) -> None:
    """Raise ValueError when an array of this shape is larger than the memory of the machine.

    Examples
    --------
    >>> from minidlrm.arrays import check_room
    >>> check_room("table_sizes", 10**15, 16)
    Traceback (most recent call last):
        ...
    ValueError: table_sizes: an array (1000000000000000, 16) does not fit into memory
    """
    if math.prod(shape) * itemsize > _memory():
        raise ValueError(f"{name}: an array {shape} does not fit into memory")


@functools.cache
def _memory() -> int:
    """Return the bytes of memory that a process may have, as far as the system tells."""
    try:
        import resource

        physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        allowed = resource.getrlimit(resource.RLIMIT_AS)[0]
    except (ImportError, AttributeError, ValueError, OSError):
        return 1 << 40  # Windows
    return physical if allowed == resource.RLIM_INFINITY else min(physical, allowed)


def as_flag(name: str, value: Any) -> bool:
    """Return a switch as a bool; TypeError when it is neither a bool nor 0 or 1."""
    if isinstance(value, (bool, np.bool_)) or (isinstance(value, numbers.Real) and value in (0, 1)):
        return bool(value)
    raise TypeError(f"{name} is {value!r}: it must be True or False")


def check_word(name: str, value: Any, *words: str) -> None:
    """Raise ValueError unless a value is one of the words.

    Examples
    --------
    >>> from minidlrm.arrays import check_word
    >>> check_word("mode", "max", "sum", "mean")
    Traceback (most recent call last):
        ...
    ValueError: mode is 'max': it must be 'sum' or 'mean'
    """
    if not (isinstance(value, str) and value in words):
        *most, last = map(repr, words)
        raise ValueError(f"{name} is {value!r}: it must be {', '.join(most)} or {last}")


def check_type(name: str, value: Any, *kinds: type) -> None:
    """Raise TypeError unless a value is of one of the classes.

    Examples
    --------
    >>> from minidlrm.arrays import check_type
    >>> check_type("rows", 3, list, tuple)
    Traceback (most recent call last):
        ...
    TypeError: rows is of type int: it must be list or tuple
    """
    if not isinstance(value, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{name} is of type {type(value).__name__}: it must be {wanted}")


def check_number(name: str, value: Any) -> None:
    """Raise TypeError unless a value is one real number, of Python or of NumPy.

    ValueError when it is an integer that no float holds.
    """
    if not isinstance(value, numbers.Real):
        raise TypeError(f"{name} is {value!r}: it must be a number")
    try:
        float(value)
    except OverflowError:
        raise ValueError(f"{name} is above 1e308: it must fit into a float") from None


def as_path(name: str, path: Any) -> Path:
    """Return a path, with ``~`` as the home; TypeError unless it is a text or a path.

    Examples
    --------
    >>> from minidlrm.arrays import as_path
    >>> as_path("path", 3)
    Traceback (most recent call last):
        ...
    TypeError: path is 3: it must be the path of a file, as text or a Path
    """
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise TypeError(f"{name} is {path!r}: it must be the path of a file, as text or a Path")
    return Path(os.fsdecode(path)).expanduser()


def as_dtype(dtype: Any) -> np.dtype:
    """Return the dtype of parameters; TypeError unless kernels know it."""
    try:
        known = np.dtype("O" if dtype is None else dtype)
    except (TypeError, ValueError):
        known = np.dtype("O")
    if known not in DTYPES:
        raise TypeError(f"dtype is {dtype!r}: it must be {SEVERAL}")
    return known


def as_seed(seed: Any) -> int:
    """Return a seed as a Python integer, of at most 128 bits; TypeError or ValueError names it."""
    return as_size("seed", seed, 0, 2**128)


def shuffling(seed: Any) -> np.random.Generator:
    """Return the generator of a shuffle or a draw, of one seed or several; the error names it."""
    if isinstance(seed, np.random.Generator):
        return seed
    seeds = seed if isinstance(seed, (tuple, list)) else [seed]
    numbers = [as_seed(each) for each in seeds]
    return np.random.default_rng(numbers if seeds is seed else numbers[0])


def check_parts(name: str, values: Any, *needed: str) -> None:
    """Raise TypeError unless values are a list of objects with these attributes."""
    check_type(name, values, list, tuple, ValuesView)
    for value in values:
        missing = [part for part in needed if not hasattr(value, part)]
        if missing:
            raise TypeError(f"{name}: a {type(value).__name__} has no {missing[0]}")


def check_keys(name: str, records: Any, *needed: str) -> None:
    """Raise TypeError or ValueError unless records are a list of dicts with these keys."""
    check_type(name, records, list, tuple)
    for record in records:
        check_type(f"one of {name}", record, dict)
        missing = [key for key in needed if key not in record]
        if missing:
            raise ValueError(f"{name}: a record has no {missing[0]!r}")


def check_numbers(name: str, records: Any, *keys: str, least: float = -math.inf) -> None:
    """Raise TypeError or ValueError unless records hold a number, not below `least`, under keys.

    Examples
    --------
    >>> from minidlrm.arrays import check_numbers
    >>> check_numbers("records", [{"score": 0.5}, {"score": [1, 2]}], "score")
    Traceback (most recent call last):
        ...
    TypeError: records[1]['score'] is [1, 2]: it must be a number
    """
    check_keys(name, records, *keys)
    for k, record in enumerate(records):
        for key in keys:
            check_number(f"{name}[{k}][{key!r}]", record[key])
            if record[key] < least:
                raise ValueError(
                    f"{name}[{k}][{key!r}] is {record[key]}: it must be at least {least}"
                )


def as_pairs(name: str, points: Any) -> np.ndarray:
    """Return points (x, y) as two rows of float64; TypeError or ValueError names what is none."""
    points = doubles(name, points)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"{name} has shape {points.shape}: it must be a list of pairs")
    return points.T


def checked_axes(name: str, axes: Any, count: int = 0) -> Any:
    """Return matplotlib Axes as they are, one or `count` of them; else ValueError or TypeError."""
    from matplotlib.axes import Axes

    if count == 0:
        check_type(name, axes, Axes)
        return axes
    check_type(name, axes, list, tuple, np.ndarray)
    for ax in np.ravel(axes):
        check_type(f"one of {name}", ax, Axes)
    if np.size(axes) != count:
        raise ValueError(f"{name} holds {np.size(axes)} Axes: {count} are needed")
    return axes
