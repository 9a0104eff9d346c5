"""The hash table of an `Interner`, compiled by Numba; without Numba `walk` is None.

A module of its own, since Numba takes long to import: an `Interner` asks for it when its first
texts come.
"""

from __future__ import annotations

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
_GROUP = 64  # texts whose places in memory are asked for at once


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
            found = np.int64(-1)
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
walk = njit(cache=CACHE, nogil=True)(_walk_source) if njit else None
move = njit(cache=CACHE, nogil=True)(_move_source) if njit else _move_source
