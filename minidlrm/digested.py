"""Safetensors files with two digests: over all bytes of the file, and over its content."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from minidlrm.files import replacing

Arrays = dict[str, np.ndarray]

_START = b'{"__metadata__":{"file":"'  # of the header; the digest follows
_BLANK = b"0" * 64
_DTYPES = {"f8": "F64", "f4": "F32", "i8": "I64", "i4": "I32", "u4": "U32", "u1": "U8"}


def write(path: str | os.PathLike, header: dict[str, str], arrays: Arrays) -> str:
    """Write a safetensors file of format 2 in the place of `path`; return its own digest."""
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))  # all are aligned
    table, place = {}, 0
    for name in order:
        array = arrays[name]
        dtype = _DTYPES.get(array.dtype.str[1:]) if array.dtype.isnative else None
        if dtype is None:
            raise ValueError(f"{name} is of {array.dtype}: it cannot be stored")
        offsets = [place, place + array.nbytes]
        table[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": offsets}
        place += array.nbytes
    about = {"file": _BLANK.decode(), **header, "content": content_digest(header, arrays)}
    text = json.dumps({"__metadata__": about, **table}, separators=(",", ":")).encode()
    head = text + b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    with replacing(path) as temporary, open(temporary, "wb") as file:
        for piece in (struct.pack("<Q", len(head)), head, *(_bytes(arrays[n]) for n in order)):
            file.write(piece)
            digest.update(piece)
        file.seek(8 + len(_START))
        file.write(digest.hexdigest().encode())
    return digest.hexdigest()


def content_digest(header: dict[str, str], arrays: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the config, and of name, dtype, shape and bytes of every array.

    An array may come as an object with a dtype and a shape that yields it rows after rows.
    """
    digest = hashlib.sha256(f"{header.get('model')} {header.get('config')}\n".encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        for piece in [array] if isinstance(array, np.ndarray) else array:
            digest.update(_bytes(piece))
    return digest.hexdigest()


def _bytes(array: np.ndarray) -> Any:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def check_digest(path: str | os.PathLike, file: BinaryIO) -> str:
    """Return the file's digest of itself, or ""; ValueError when it should be another."""
    start = file.read(8 + len(_START) + len(_BLANK))
    stored = start[8 + len(_START) :]
    if start[8 : 8 + len(_START)] != _START:
        return ""
    digest = hashlib.sha256(start[: 8 + len(_START)] + _BLANK)
    for piece in _pieces(file):
        digest.update(piece)
    if digest.hexdigest().encode() != stored:
        raise ValueError(f"{path} is not a checkpoint, or is damaged: its digest does not fit")
    return stored.decode()


def _pieces(file: BinaryIO, size: int = 1 << 20) -> Iterator[bytes]:
    while piece := file.read(size):
        yield piece
