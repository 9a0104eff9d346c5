"""Interner: numbers distinct texts 0, 1, 2, ... in the order in which they come.

A column of a table is text of which every distinct value needs a number, and new rows need the
numbers that were given before. The texts are kept one after another as UTF-8 bytes, found
through a hash table with linear probing. Numba walks a block of texts without making a Python
object of any; without Numba a dict serves, with the same numbers.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

_UNKNOWN = -1
_MAX_TEXTS = 2**31 - 1  # numbers are int32


class Interner:
    """Distinct texts and their numbers.

    Parameters
    ----------
    text : uint8 array, optional
        UTF-8 bytes of texts that are known from the beginning, one after another.
    ends : int64 array (n,), optional
        Where each of them ends.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.data.intern import Interner
    >>> known = Interner()
    >>> block = np.frombuffer(b"redbluered", np.uint8)
    >>> known.add(block, np.array([0, 3, 7, 10]))
    array([0, 1, 0], dtype=int32)
    >>> known.find(np.frombuffer(b"bluegreen", np.uint8), np.array([0, 4, 9]))
    array([ 1, -1], dtype=int32)
    >>> known.texts()
    ['red', 'blue']
    """

    def __init__(self, text: Any = (), ends: Any = ()):
        self._count = 0
        self._ends = np.zeros(1 << 8, np.int64)  # of each text in _bytes
        self._bytes = np.zeros(1 << 12, np.uint8)
        # pairs: the text itself or, of more than 8 bytes, its hash; its length above, and its
        # number + 1 below, 0 where the pair is free; at least half of them are free
        self._slots = np.zeros(4 * len(self._ends), np.uint64)
        self._dict: dict[bytes, int] = {}
        self.add(np.asarray(text, np.uint8), np.concatenate([[0], ends]))

    def __len__(self) -> int:
        return self._count

    @property
    def text(self) -> np.ndarray:
        """All texts as bytes, one after another."""
        return self._bytes[: self.ends[-1] if self._count else 0]

    @property
    def ends(self) -> np.ndarray:
        """Where each text ends (n,)."""
        return self._ends[: self._count]

    def texts(self) -> list[str]:
        """Return all texts in the order of their numbers. For few."""
        data, starts = self.text.tobytes(), np.concatenate([[0], self.ends])
        pairs = itertools.pairwise(starts)
        return [data[a:b].decode("utf-8", "replace") for a, b in pairs]

    def add(self, text: np.ndarray, offsets: np.ndarray, empty: bool = True) -> np.ndarray:
        """Number the texts ``text[offsets[k] : offsets[k + 1]]``, new ones too -> int32 (n,).

        Without `empty`, an empty text gets -1. MemoryError when there are more than 2^31 - 1
        distinct texts.
        """
        return self._numbers(text, np.asarray(offsets, np.int64), True, empty)

    def find(self, text: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Return the numbers of texts -> int32 (n,); -1 where a text is not known."""
        return self._numbers(text, np.asarray(offsets, np.int64), False, True)

    @np.errstate(over="ignore")  # products of hashes wrap around, also where nothing is compiled
    def _numbers(self, text: np.ndarray, offsets: np.ndarray, add: bool, empty: bool) -> np.ndarray:
        from minidlrm.data import slots

        codes = np.empty(len(offsets) - 1, np.int32)
        if slots.walk is None:
            return self._from_dict(text, offsets, add, empty, codes)
        row = 0
        while row < len(codes):
            row, self._count, _ = slots.walk(
                text,
                offsets,
                row,
                self._slots,
                self._bytes,
                self._ends,
                self._count,
                add,
                empty,
                codes,
            )
            if row < len(codes):
                self._grow(int(offsets[row + 1] - offsets[row]))
        return codes

    def _from_dict(
        self, text: np.ndarray, offsets: np.ndarray, add: bool, empty: bool, codes: np.ndarray
    ) -> np.ndarray:
        data, bounds = text.tobytes(), offsets.tolist()
        for k in range(len(codes)):
            word = data[bounds[k] : bounds[k + 1]]
            code = self._dict.get(word, _UNKNOWN)
            if code == _UNKNOWN and add and (word or empty):
                self._grow(len(word))
                begin = int(self._ends[self._count - 1]) if self._count else 0
                self._bytes[begin : begin + len(word)] = np.frombuffer(word, np.uint8)
                self._ends[self._count] = begin + len(word)
                code = self._dict[word] = self._count
                self._count += 1
            codes[k] = code
        return codes

    def _grow(self, needed: int) -> None:
        """Double what is full, so that one more text of `needed` bytes fits."""
        from minidlrm.data import slots

        if self._count == len(self._ends):
            if self._count >= _MAX_TEXTS:
                raise MemoryError(f"more than {_MAX_TEXTS:,} distinct values in one column")
            self._ends = np.resize(self._ends, 2 * len(self._ends))
            if slots.walk is not None:
                self._slots, old = np.zeros(4 * len(self._ends), np.uint64), self._slots
                slots.move(old, self._slots)
        used = int(self._ends[self._count - 1]) if self._count else 0
        if used + needed > len(self._bytes):
            more = max(len(self._bytes), used + needed - len(self._bytes))
            self._bytes = np.concatenate([self._bytes, np.zeros(more, np.uint8)])
