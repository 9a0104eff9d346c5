"""Values between the grader and a submission's process: numbers, texts and arrays, no code.

A message is the length of its header, the header as JSON, and the bytes of its arrays. Nothing
is unpickled: what a submission sends can be a wrong number, and nothing worse.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

_LARGEST = 1 << 27  # bytes of a message
_LONGEST = 1 << 22  # of its header: a million empty lists are few bytes here, and much memory there
_KINDS = "biufc"


def encode(value: Any, function: Callable[[Any], int] | None = None) -> bytes:
    """Turn a value into bytes.

    Parameters
    ----------
    value : None, bool, number, str, array, or a list, tuple or dict of these
        A tuple arrives as a list. A dict's keys are texts.
    function : callable, optional
        Gives a function a number, so that the other side can call it back.

    Raises
    ------
    TypeError
        When a part of the value is something else.

    Examples
    --------
    >>> from minidlrm.grading import wire
    >>> wire.decode(wire.encode({"x": np.arange(3), "y": (1.5, "a")}))
    {'x': array([0, 1, 2]), 'y': [1.5, 'a']}
    """
    buffers: list[bytes] = []

    def plain(part: Any) -> Any:
        if part is None or isinstance(part, (bool, int, str)):
            return part
        if isinstance(part, float):
            return {"float": part.hex()}
        if isinstance(part, (np.ndarray, np.generic)):
            array = np.asarray(part)
            if array.dtype.kind not in _KINDS:
                raise TypeError(f"an array of dtype {array.dtype}: only numbers can be returned")
            buffers.append(array.tobytes())
            return {"array": list(array.shape), "dtype": array.dtype.str}
        if isinstance(part, (list, tuple)):
            return [plain(each) for each in part]
        if isinstance(part, dict):
            return {"dict": [[str(key), plain(each)] for key, each in part.items()]}
        if callable(part) and function is not None:
            return {"function": function(part)}
        if part is Ellipsis:
            raise TypeError("'...' was returned: it is not written yet")
        raise TypeError(f"a {type(part).__name__}: only numbers and arrays can be returned")

    header = json.dumps(plain(value)).encode()
    if len(header) > _LONGEST:
        raise TypeError(f"{len(header):,} bytes of lists and texts: return an array instead")
    return struct.pack("<Q", len(header)) + header + b"".join(buffers)


def decode(data: bytes, function: Callable[[int], Any] | None = None) -> Any:
    """Turn bytes into a value again; ValueError when they are not a message."""
    (length,) = struct.unpack_from("<Q", data)
    if length > _LONGEST:
        raise ValueError("the header is too long")
    header = json.loads(data[8 : 8 + length])
    at = 8 + length

    def value(part: Any) -> Any:
        nonlocal at
        if isinstance(part, list):
            return [value(each) for each in part]
        if not isinstance(part, dict):
            return part
        if "float" in part:
            return float.fromhex(part["float"])
        if "function" in part and function is not None:
            return function(part["function"])
        if "dict" in part:
            return {key: value(each) for key, each in part["dict"]}
        dtype, shape = np.dtype(part["dtype"]), tuple(part["array"])
        if dtype.kind not in _KINDS or any(size < 0 for size in shape):
            raise ValueError("not an array of numbers")
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        array = np.frombuffer(data[at : at + size], dtype).reshape(shape).copy()
        at += size
        return array

    return value(header)


def send(write: Callable[[bytes], Any], value: Any, function: Any = None) -> None:
    """Write one message."""
    data = encode(value, function)
    if len(data) > _LARGEST:
        raise TypeError(f"{len(data):,} bytes: too large to be returned")
    write(struct.pack("<Q", len(data)) + data)


def receive(read: Callable[[int], bytes], function: Any = None) -> Any:
    """Read one message; EOFError at the end, ValueError when it is not a message."""
    (length,) = struct.unpack("<Q", read(8))
    if length > _LARGEST:
        raise ValueError("the message is too large")
    try:
        return decode(read(length), function)
    except EOFError:
        raise
    except Exception as error:
        raise ValueError(f"not a message: {error}") from None
