"""Parameter and SparseGrad: an array that is learned, and its gradient."""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidlrm import kernels
from minidlrm.arrays import DTYPES, SEVERAL, as_size, check_type, floats, integers, native

__all__ = ["Parameter", "SparseGrad"]


@dataclass(frozen=True, eq=False)
class SparseGrad:
    """The gradient of an embedding table: only the rows that a batch looked up.

    Parameters
    ----------
    rows : int64 array (n,)
        The rows, each once. They are sorted, with their values.
    values : float array (n, D)
        The gradient of each of these rows.
    shape : tuple of int
        The shape (N, D) of the table. All other rows have gradient zero.

    Raises
    ------
    TypeError
        When `rows` are not integers, or `values` are not floats.
    ValueError
        When a row is out of range or occurs twice, or a shape does not fit.

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

    def __post_init__(self) -> None:
        if not isinstance(self.shape, (tuple, list)):
            raise TypeError(f"SparseGrad.shape is {self.shape!r}: it must be the table's (N, D)")
        shape = tuple(as_size(f"SparseGrad.shape[{k}]", n, 0) for k, n in enumerate(self.shape))
        rows = np.ascontiguousarray(integers("SparseGrad.rows", self.rows, 1), np.int64)
        values = np.ascontiguousarray(floats("SparseGrad.values", self.values, 2))
        rise = bool((rows[1:] > rows[:-1]).all())
        if len(rows) == len(values) and not rise:
            order = np.argsort(rows, kind="stable")
            rows, values = rows[order], values[order]
        for name, value in (("rows", rows), ("values", values), ("shape", shape)):
            object.__setattr__(self, name, value)
        self._check(rise)

    def check(self) -> None:
        """Raise ValueError unless rows are sorted, each once, in range, and fit the values."""
        self._check(bool((self.rows[1:] > self.rows[:-1]).all()))

    def _check(self, rise: bool) -> None:
        rows, expected = self.rows, (len(self.rows), *self.shape[1:])
        if len(self.shape) != 2 or self.values.shape != expected:
            raise ValueError(
                f"SparseGrad.values has shape {self.values.shape}, but there are {len(rows)} rows "
                f"of a table {self.shape}: one gradient (D,) for each row"
            )
        if len(rows) == 0:
            return
        if not rise and not (rows[1:] > rows[:-1]).all():
            k = int((rows[1:] <= rows[:-1]).argmax())
            raise ValueError(
                f"SparseGrad.rows[{k + 1}] = {rows[k + 1]} does not follow rows[{k}] = {rows[k]}: "
                "rows must be sorted, each once (kernels.scatter_add makes them so)"
            )
        if rows[0] < 0 or rows[-1] >= self.shape[0]:
            bad = rows[0] if rows[0] < 0 else rows[-1]
            raise ValueError(
                f"SparseGrad.rows: row {bad} is out of range [0, {self.shape[0]}), "
                f"by the shape {self.shape}"
            )

    def to_dense(self) -> np.ndarray:
        """Return the same gradient as an array (N, D), zeros included. For small tables."""
        dense = np.zeros(self.shape, self.values.dtype)  # (N, D)
        dense[self.rows] = self.values
        return dense

    def __add__(self, other: SparseGrad) -> SparseGrad:
        check_type("other", other, SparseGrad)
        if other.shape != self.shape:
            raise ValueError(f"other is of a table {other.shape}, this gradient of {self.shape}")
        return SparseGrad.sum([self, other])

    @staticmethod
    def sum(parts: list[SparseGrad]) -> SparseGrad:
        """Add gradients of one table; the terms of a row are added in the order of `parts`.

        TypeError unless `parts` is a list of SparseGrad, ValueError when there is none.
        """
        check_type("parts", parts, list, tuple)
        if not parts:
            raise ValueError("parts is empty: a sum needs at least one gradient")
        for part in parts:
            check_type("one of parts", part, SparseGrad)
            if part.shape != parts[0].shape:
                raise ValueError(
                    f"parts have the shapes {parts[0].shape} and {part.shape}: they must be of "
                    "one table"
                )
        if len(parts) == 1:
            return parts[0]
        rows = np.concatenate([part.rows for part in parts])  # (n,)
        values = np.concatenate([part.values for part in parts])  # (n, D)
        shape = parts[0].shape
        unique, order, ends = grouped(rows, shape[0])  # (u,), (n,), (u + 1,)
        sums = kernels.add_groups(order, ends, values, None, None)  # (u, D)
        return SparseGrad(unique, sums, shape)

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
    value : array
        Always contiguous, writeable, and of the shape and dtype it was made with: an array that
        is assigned is copied and converted, or refused.
    grad : None, ndarray or SparseGrad
        dL/dvalue, of the value's shape, summed over the backward passes since `zero_grad`.

    Raises
    ------
    TypeError
        When the numbers are not float32, float64, complex64 or complex128.
    ValueError
        When a value of another shape is assigned.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm import Parameter
    >>> bias = Parameter(np.zeros(2), "bias")
    >>> bias.add_grad(np.ones(2)); bias.add_grad(np.ones(2)); bias.grad
    array([2., 2.])
    """

    _value: np.ndarray

    def __init__(self, value: np.ndarray, name: str = ""):
        check_type("name", name, str)
        value = native(f"the value of the parameter {name}", value)
        if value.dtype not in DTYPES:
            raise TypeError(
                f"the value of the parameter {name} has dtype {value.dtype}: it must be {SEVERAL}"
            )
        self._value = _owned(value, value.dtype)
        self._form = self._value.shape, self._value.dtype
        self.name = name
        self.grad: Any = None

    @property
    def value(self) -> np.ndarray:
        """The numbers, of any shape; see the class."""
        return self._value

    @value.setter
    def value(self, value: np.ndarray) -> None:
        value, (shape, dtype) = np.atleast_1d(native(self.name, value)), self._form
        if value.shape != shape:
            raise ValueError(
                f"{self.name} has shape {shape}: a value of shape {value.shape} needs a new "
                "parameter, and a layer of that size"
            )
        if not np.can_cast(value.dtype, dtype, "same_kind"):
            raise TypeError(f"{self.name} is of {dtype}: a value of {value.dtype} does not fit")
        if value is self._value and value.dtype == dtype and value.flags.carray:
            return  # after p.value -= step: the array is its own already
        self._value = np.array(value, dtype, order="C")  # its own: no two parameters share one

    def check(self) -> None:
        """Raise ValueError unless the value is still as it was made.

        Its flags, shape, strides and dtype can be changed from outside, in place.
        """
        value, (shape, dtype) = self._value, self._form
        if value.shape != shape or value.dtype != dtype or not value.flags.carray:
            raise ValueError(
                f"the array of {self.name} was changed in place: it must be contiguous, writeable, "
                f"of shape {shape} and {dtype}; assign it to .value to make it so"
            )

    def check_grad(self) -> None:
        """Raise TypeError or ValueError unless the gradient can be subtracted from the value."""
        grad, value = self.grad, self._value
        form = value.shape, value.dtype
        if grad is None or (type(grad) is np.ndarray and (grad.shape, grad.dtype) == form):
            return  # as nearly always
        check_type(f"the gradient of {self.name}", grad, np.ndarray, SparseGrad)
        if type(grad) not in (np.ndarray, SparseGrad):  # a mask would be lost
            grad = self.grad = native(f"the gradient of {self.name}", grad)
        if grad.shape != value.shape:
            raise ValueError(
                f"the gradient of {self.name} has shape {grad.shape}, the parameter {value.shape}"
            )
        if isinstance(grad, SparseGrad):
            grad.check()
        dtype = grad.values.dtype if isinstance(grad, SparseGrad) else grad.dtype
        if dtype != value.dtype and not np.can_cast(dtype, value.dtype, "same_kind"):
            raise TypeError(
                f"the parameter {self.name} is of {value.dtype}: a gradient of {dtype} does not fit"
            )

    def add_grad(self, grad: np.ndarray | SparseGrad) -> None:
        """Add `grad` to what is there already.

        TypeError unless it is an array or a SparseGrad; ValueError when its shape is not the
        value's.
        """
        check_type("grad", grad, np.ndarray, SparseGrad)
        if isinstance(grad, np.ndarray) and grad.dtype.kind not in "fciub":
            raise TypeError(f"the gradient of {self.name} has dtype {grad.dtype}: no numbers")
        if grad.shape != self.value.shape:
            raise ValueError(
                f"the gradient of {self.name} has shape {grad.shape}, "
                f"the parameter {self.value.shape}"
            )
        if self.grad is None:
            self.grad = grad
        elif type(self.grad) is type(grad):
            self.grad = self.grad + grad
        else:  # one use of a table gave the gradient of a few rows, another that of all
            self.grad = _as_dense(self.grad) + _as_dense(grad)

    def replica(self) -> Parameter:
        """Return a parameter that always has this one's value, and a gradient of its own."""
        return _Replica(self)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the value and the name: a gradient belongs to a batch."""
        return {"value": self.value, "name": self.name}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # the arrays of a pickle may be read-only

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        clone = memo[id(self)] = Parameter(self.value.copy(), self.name)
        clone.grad = copy.deepcopy(self.grad, memo)
        return clone

    def __repr__(self) -> str:
        return f"Parameter({self.name}, shape={self.value.shape}, {self.value.dtype})"


class _Replica(Parameter):
    """See `Parameter.replica`. A value that is assigned to either is that of both."""

    def __init__(self, owner: Parameter):
        self.owner, self.name, self.grad = owner, owner.name, None
        self._form = owner._form

    @property
    def _value(self) -> np.ndarray:
        return self.owner._value

    @_value.setter
    def _value(self, value: np.ndarray) -> None:
        self.owner._value = value

    def __reduce__(self) -> tuple[Any, ...]:
        return Parameter, (self.value, self.name)


def numbers_of(*gradients: Any) -> tuple[int, int]:
    """Return how many numbers gradients have in arrays, and how many in rows of tables."""
    in_arrays = in_rows = 0
    for grad in gradients:
        if isinstance(grad, SparseGrad):
            in_rows += grad.values.size
        elif isinstance(grad, np.ndarray):
            in_arrays += grad.size
    return in_arrays, in_rows


def as_parameters(parameters: Any, name: str = "parameters") -> list[Parameter]:
    """Return parameters as a list, each once; TypeError unless all of them are."""
    if not np.iterable(parameters):
        raise TypeError(f"{name} is {parameters!r}: it must be a list of Parameter")
    given = list(parameters)
    for each in given:
        check_type(f"one of {name}", each, Parameter)
    return list(dict.fromkeys(given))


def _as_dense(grad: np.ndarray | SparseGrad) -> np.ndarray:
    return grad.to_dense() if isinstance(grad, SparseGrad) else grad


def _owned(value: np.ndarray, dtype: Any) -> np.ndarray:
    """Return `value` in C order and writeable, copied only when it is not."""
    if type(value) is np.ndarray and value.ndim and value.dtype == dtype and value.flags.carray:
        return value
    return np.atleast_1d(np.require(value, dtype, ["C_CONTIGUOUS", "ALIGNED", "WRITEABLE"]))


_Groups = tuple[np.ndarray, np.ndarray, np.ndarray]
_Sorted = tuple[np.ndarray, int, _Groups]
_sorted = threading.local()


def grouped(rows: np.ndarray, num_rows: int) -> _Groups:
    """Return `kernels.group_rows`; without a sort for one of the last two that this thread sorted.

    The linear and the vector part of a model look up the same rows of tables of one size, and
    between them may be another table.
    """
    known: list[_Sorted] = getattr(_sorted, "last", [])
    for known_rows, size, groups in known:
        beginning = size == num_rows and np.array_equal(known_rows[:8], rows[:8])
        if beginning and np.array_equal(known_rows, rows):
            return groups
    groups = kernels.group_rows(rows, num_rows)
    _sorted.last = [(rows, num_rows, groups), *known[:1]]
    return groups
