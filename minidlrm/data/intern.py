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

njit: Any
try:
    from numba import njit

    from minidlrm.kernels.compiler import CACHE  # whether a folder for compiled code can be written
except ImportError:
    njit, CACHE = None, False

_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd: a product with it spreads the bits of a word
_ONE, _EIGHT, _HALF = np.uint64(1), np.uint64(8), np.uint64(32)
_LOW, _HIGH = np.uint64(0xFFFFFFFF), np.uint64(0xFFFFFFFF00000000)
_UNKNOWN = -1
_GROUP = 64  # texts whose places in memory are asked for at once
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
        codes = np.empty(len(offsets) - 1, np.int32)
        if _walk is None:
            return self._from_dict(text, offsets, add, empty, codes)
        row = 0
        while row < len(codes):
            row, self._count, _ = _walk(
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
        if self._count == len(self._ends):
            if self._count >= _MAX_TEXTS:
                raise MemoryError(f"more than {_MAX_TEXTS:,} distinct values in one column")
            self._ends = np.resize(self._ends, 2 * len(self._ends))
            if _walk is not None:
                self._slots, old = np.zeros(4 * len(self._ends), np.uint64), self._slots
                _move(old, self._slots)
        used = int(self._ends[self._count - 1]) if self._count else 0
        if used + needed > len(self._bytes):
            more = max(len(self._bytes), used + needed - len(self._bytes))
            self._bytes = np.concatenate([self._bytes, np.zeros(more, np.uint8)])


def _hashed_source(text: Any, start: Any, stop: Any) -> Any:
    """Mix the bytes of a text, eight at a time."""
    h = stop - start
    while stop - start >= _EIGHT:
        h = (h ^ _word(text, start, _EIGHT)) * _FACTOR
        h ^= h >> _HALF
        start += _EIGHT
    h = (h ^ _word(text, start, stop - start)) * _FACTOR
    return h ^ (h >> _HALF)


def _same_source(first: Any, i: Any, second: Any, j: Any, length: Any) -> bool:
    """Compare two texts of this many bytes."""
    while length >= _EIGHT:
        if _word(first, i, _EIGHT) != _word(second, j, _EIGHT):
            return False
        i, j, length = i + _EIGHT, j + _EIGHT, length - _EIGHT
    return _word(first, i, length) == _word(second, j, length)


def _word_source(text: Any, start: Any, length: Any) -> Any:
    """Return up to eight bytes as one number. Where eight exist, the compiler makes one load."""
    word = np.uint64(0)
    if start + _EIGHT <= np.uint64(len(text)):
        for k in range(8):
            word |= np.uint64(text[start + np.uint64(k)]) << np.uint64(8 * k)
        return word if length == _EIGHT else word & ((_ONE << (_EIGHT * length)) - _ONE)
    for k in range(length):
        word |= np.uint64(text[start + np.uint64(k)]) << np.uint64(8 * k)
    return word


def _place_source(key: Any, slots: Any) -> Any:
    """Return the pair of slots at which to look for a text first."""
    h = key * _FACTOR
    return np.int64(h ^ (h >> _HALF)) & (len(slots) // 2 - 1)


def _walk_source(
    text: Any,
    offsets: Any,
    row: int,
    slots: Any,
    stored: Any,
    ends: Any,
    count: int,
    add: bool,
    empty: bool,
    codes: Any,
) -> tuple[int, int, Any]:
    """Number texts from `row` on; stop where something must grow.

    Return the row, the count, and a number that means nothing: it keeps the reads of the second
    loop alive. They wait for memory side by side, so that the last loop need not wait.
    """
    keys = np.empty(_GROUP, np.uint64)
    places = np.empty(_GROUP, np.int64)
    touched = np.uint64(0)
    for first in range(row, len(codes), _GROUP):
        last = min(first + _GROUP, len(codes))
        for k in range(first, last):
            start, stop = np.uint64(offsets[k]), np.uint64(offsets[k + 1])
            if stop - start <= _EIGHT:
                key = _word(text, start, stop - start)
            else:
                key = _hashed(text, start, stop)
            keys[k - first], places[k - first] = key, _place(key, slots)
        for k in range(first, last):
            touched ^= slots[2 * places[k - first]]
        for k in range(first, last):
            start, length = offsets[k], offsets[k + 1] - offsets[k]
            key, slot = keys[k - first], places[k - first]
            tag = np.uint64(length) << _HALF
            found = np.int64(_UNKNOWN)
            while slots[2 * slot + 1] != 0:
                entry = slots[2 * slot + 1]
                if slots[2 * slot] == key and entry & _HIGH == tag:
                    code = np.int64(entry & _LOW) - 1
                    if length <= 8 or _same(
                        stored,
                        np.uint64(ends[code] - length),
                        text,
                        np.uint64(start),
                        np.uint64(length),
                    ):
                        found = code
                        break
                slot = (slot + 1) & (len(slots) // 2 - 1)
            if found < 0 and add and (empty or length > 0):
                begin = ends[count - 1] if count else 0
                if count == len(ends) or begin + length > len(stored):
                    return k, count, touched
                for i in range(length):
                    stored[begin + i] = text[start + i]
                ends[count] = begin + length
                slots[2 * slot], slots[2 * slot + 1] = key, tag | np.uint64(count + 1)
                found = np.int64(count)
                count += 1
            codes[k] = found
    return len(codes), count, touched


def _move_source(old: Any, new: Any) -> None:
    """Put all pairs of slots into a larger table."""
    for k in range(0, len(old), 2):
        if old[k + 1] != 0:
            slot = _place(old[k], new)
            while new[2 * slot + 1] != 0:
                slot = (slot + 1) & (len(new) // 2 - 1)
            new[2 * slot], new[2 * slot + 1] = old[k], old[k + 1]


_word = njit(cache=CACHE, nogil=True, inline="always")(_word_source) if njit else _word_source
_hashed = njit(cache=CACHE, nogil=True)(_hashed_source) if njit else _hashed_source
_same = njit(cache=CACHE, nogil=True)(_same_source) if njit else _same_source
_place = njit(cache=CACHE, nogil=True, inline="always")(_place_source) if njit else _place_source
_walk = njit(cache=CACHE, nogil=True)(_walk_source) if njit else None
_move = njit(cache=CACHE, nogil=True)(_move_source) if njit else _move_source
