"""From raw values to features: the log transform, hexadecimal categories, vocabularies, hashing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_NOT_HEX = 255
MAX_IDS = 2**31 - 1  # of a column: ids are int32
_NIBBLE = np.full(256, _NOT_HEX, np.uint8)  # the value of each ASCII hexadecimal digit
for _digit in b"0123456789abcdefABCDEF":
    _NIBBLE[_digit] = int(chr(_digit), 16)


def log_transform(x: np.ndarray) -> np.ndarray:
    """Return log(1 + max(x, 0)) as float32: counts of all sizes become numbers of a few units.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.data.encode import log_transform
    >>> log_transform(np.array([-2.0, 0.0, np.e - 1]))
    array([0., 0., 1.], dtype=float32)
    """
    return np.log1p(np.maximum(x, 0)).astype(np.float32)


def parse_hex(text: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Read hexadecimal numbers that follow one another in a byte array.

    Parameters
    ----------
    text : uint8 array
        The characters of all of them.
    offsets : integer array (n + 1,)
        Where each begins, and where the last ends. An empty one counts as 0.

    Returns
    -------
    values : uint32 array (n,)
        The numbers.
    bad : bool array (n,)
        Which of them are not 1 to 8 hexadecimal digits (an empty one is not bad).

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.data.encode import parse_hex
    >>> text = np.frombuffer(b"68fd1e64ffx1", np.uint8)
    >>> values, bad = parse_hex(text, np.array([0, 8, 10, 10, 12]))
    >>> [f"{v:x}" for v in values[:3]], bad.tolist()
    (['68fd1e64', 'ff', '0'], [False, False, False, True])
    """
    starts, lengths = offsets[:-1], np.diff(offsets)  # (n,)
    values = np.zeros(len(starts), np.uint32)  # (n,)
    bad = lengths > 8  # (n,)
    if len(text) == 0:
        return values, bad
    filled = lengths > 0
    if (lengths[filled] == 8).all():  # the usual case
        digits = _NIBBLE[text[starts[0] : offsets[-1]].reshape(-1, 8)]  # (filled, 8)
        bad[filled] = (digits == _NOT_HEX).any(axis=1)
        pairs = (digits[:, ::2] << 4) | (digits[:, 1::2] & 15)  # (filled, 4) bytes, highest first
        values[filled] = pairs.view(">u4")[:, 0]
        return values, bad
    return _of_any_length(text, starts, lengths, bad)


def _of_any_length(
    text: np.ndarray, starts: np.ndarray, lengths: np.ndarray, bad: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Read numbers digit by digit."""
    values = np.zeros(len(starts), np.uint32)  # (n,)
    for k in range(min(8, int(lengths.max()))):
        inside = k < lengths  # (n,)
        digit = _NIBBLE[text[np.minimum(starts + k, len(text) - 1)]]  # (n,)
        bad |= inside & (digit == _NOT_HEX)
        values = np.where(inside, (values << np.uint32(4)) | (digit & 15), values)
    return values, bad


def hash_ids(values: np.ndarray, column: int, size: int) -> np.ndarray:
    """Hash categories of a column to ids 0 ... size - 1, without a vocabulary.

    The bits are mixed first (the finalizer of SplitMix64): a plain remainder would keep the
    patterns of the raw values.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.data.encode import hash_ids
    >>> ids = hash_ids(np.arange(1000, dtype=np.uint32), column=3, size=10)
    >>> int(ids.min()), int(ids.max())
    (0, 9)
    """
    if not 1 <= size <= MAX_IDS:
        raise ValueError(f"size is {size}: ids are int32, so it must lie in [1, {MAX_IDS}]")
    x = values.astype(np.uint64) + np.uint64((column + 1) << 32)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((x ^ (x >> np.uint64(31))) % np.uint64(size)).astype(np.int32)


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The known categories of each column, and their ids.

    Id 0 stands for every category that is not known, and for the rare ones. The others
    are numbered from 1, the most frequent first; equally frequent ones by value.

    Parameters
    ----------
    values : list of uint32 arrays
        For each column the known categories, sorted.
    ids : list of int32 arrays
        Their ids.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.data.encode import Vocabulary
    >>> column = np.array([7, 9, 9, 5, 7, 9], np.uint32)
    >>> vocabulary = Vocabulary.fit([column], min_count=2)
    >>> vocabulary.encode(0, np.array([5, 7, 9, 1], np.uint32))
    array([0, 2, 1, 0], dtype=int32)
    >>> vocabulary.sizes
    [3]
    """

    values: list[np.ndarray]
    ids: list[np.ndarray]

    @classmethod
    def fit(cls, columns: Iterable[np.ndarray], min_count: int = 1) -> Vocabulary:
        """Count the categories of each column, one column in memory at a time."""
        values, ids = [], []
        for column in columns:
            unique, counts = np.unique(column, return_counts=True)
            unique, counts = unique[counts >= min_count], counts[counts >= min_count]
            rank = np.empty(len(unique), np.int32)
            rank[np.argsort(-counts, kind="stable")] = np.arange(1, len(unique) + 1)
            values.append(unique)
            ids.append(rank)
        return cls(values, ids)

    @property
    def sizes(self) -> list[int]:
        """Number of ids of each column, the id 0 included."""
        return [len(values) + 1 for values in self.values]

    def encode(self, column: int, raw: np.ndarray) -> np.ndarray:
        """Turn categories of a column into ids, int32."""
        known, ids = self.values[column], self.ids[column]
        if len(known) == 0:
            return np.zeros(len(raw), np.int32)
        place = np.minimum(np.searchsorted(known, raw), len(known) - 1)  # (n,)
        return np.where(known[place] == raw, ids[place], 0).astype(np.int32)

    def digest(self) -> str:
        """Return a hash of all its content."""
        total = hashlib.sha256()
        for array in (*self.values, *self.ids):
            total.update(np.ascontiguousarray(array).tobytes())
            total.update(b"|")
        return total.hexdigest()

    def save(self, path: str | Path) -> None:
        """Write to an .npz file."""
        np.savez(path, *self.values, *self.ids)

    @classmethod
    def load(cls, path: str | Path) -> Vocabulary:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            arrays = [file[f"arr_{k}"] for k in range(len(file.files))]
        count = len(arrays) // 2
        return cls(arrays[:count], arrays[count:])
