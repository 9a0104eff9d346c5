"""Traces of accesses to the rows of a table: stack distances, and the caches that follow from them.

The stack distance of an access is how many different rows were read since this row was last read,
itself included: 1 when it is the same as the access before, and 0 when it is seen for the first
time. A cache that keeps the n rows used last (LRU) has a row exactly if its distance lies in 1 to
n. So one pass over a trace tells the miss rate of a cache of every size.

Naumov et al. 2019, arXiv 1906.00091, section 4.2: a profile of distances, and random traces that
have it. Mattson et al. 1970, "Evaluation techniques for storage hierarchies": why it holds for
every size at once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minidlrm import kernels
from minidlrm.arrays import as_flag, as_size, integers, shuffling
from minidlrm.files import replacing

__all__ = ["Profile", "lru_misses", "read_trace", "stack_distances", "write_trace"]


def stack_distances(trace: Any) -> np.ndarray:
    """Return the stack distance of each access.

    A Fenwick tree over time counts the rows whose last access lies after that of the present one:
    O(n log n) for n accesses, where a search in a list takes O(n u) for u different rows.

    Parameters
    ----------
    trace : int array (n,)
        Rows in the order in which they are read.

    Returns
    -------
    int64 array (n,)
        0 for a row that is seen for the first time, else 1 or more.

    Raises
    ------
    TypeError
        When `trace` does not hold integers.

    Examples
    --------
    The trace that the reference ships:

    >>> from minidlrm.data import stack_distances
    >>> stack_distances([1, 2, 3, 4, 5, 3, 4, 1, 1, 6, 3])
    array([0, 0, 0, 0, 0, 3, 3, 5, 1, 0, 4])
    """
    return kernels.stack_distances(_numbered(trace)[1])


def lru_misses(trace: Any, rows: int) -> int:
    """Simulate a cache that keeps the rows used last, and count the accesses that miss it.

    Parameters
    ----------
    trace : int array (n,)
        Rows in the order in which they are read.
    rows : int
        How many rows the cache holds; 0 for none.

    Returns
    -------
    int

    Examples
    --------
    >>> from minidlrm.data import lru_misses
    >>> lru_misses([1, 2, 1, 3, 2], rows=2)  # 2 is gone when it is read again
    4
    """
    return int(kernels.lru_misses(_numbered(trace)[1], as_size("rows", rows, 0)))


@dataclass(frozen=True, eq=False)
class Profile:
    """The stack distances that occur in a trace, and how often.

    Parameters
    ----------
    accesses : int64 array (u,)
        The different rows, in the order of their first access.
    distances : int64 array (m,)
        The distances that occur, ascending; the first is 0.
    shares : float64 array (m,)
        The share of the accesses whose distance is at most that; the last is 1.

    Examples
    --------
    >>> from minidlrm.data import Profile
    >>> profile = Profile.of([1, 2, 3, 4, 5, 3, 4, 1, 1, 6, 3])
    >>> profile.distances
    array([0, 1, 3, 4, 5])
    >>> profile.shares.round(2)
    array([0.55, 0.64, 0.82, 0.91, 1.  ])
    """

    accesses: np.ndarray
    distances: np.ndarray
    shares: np.ndarray

    def __post_init__(self) -> None:
        for name in ("accesses", "distances"):
            object.__setattr__(self, name, integers(name, getattr(self, name), 1).astype(np.int64))
        shares = np.asarray(self.shares, np.float64)
        object.__setattr__(self, "shares", shares)
        self._check()

    def _check(self) -> None:
        accesses, distances, shares = self.accesses, self.distances, self.shares
        if len(accesses) == 0 or len(np.unique(accesses)) < len(accesses):
            raise ValueError("accesses must be different rows, at least one")
        if len(distances) == 0 or distances[0] != 0 or (np.diff(distances) <= 0).any():
            raise ValueError(f"distances is {distances}: it must begin with 0 and ascend")
        if distances[-1] > len(accesses):
            raise ValueError(
                f"distances holds {distances[-1]}: there are only {len(accesses)} accesses"
            )
        if shares.shape != distances.shape:
            raise ValueError(f"shares has shape {shares.shape}, distances {distances.shape}")
        if not shares[0] > 0 or (np.diff(shares) < 0).any() or abs(shares[-1] - 1) > 1e-6:
            raise ValueError(f"shares is {shares}: it must ascend, from above 0 to 1")

    @classmethod
    def of(cls, trace: Any, padding: bool = False) -> Profile:
        """Measure a trace.

        Parameters
        ----------
        trace : int array (n,)
            Rows in the order in which they are read.
        padding : bool
            Count n / m (rounded up) first accesses more, where m is the largest distance. In a
            long trace of few rows first accesses are rare, and a trace that is drawn from the
            profile would wait long for them.

        Raises
        ------
        ValueError
            When the trace is empty.
        """
        rows, numbers = _numbered(trace)
        if len(numbers) == 0:
            raise ValueError("trace is empty: a profile needs at least one access")
        counts = np.bincount(kernels.stack_distances(numbers))
        if as_flag("padding", padding):
            counts[0] += -(-len(numbers) // max(len(counts) - 1, 1))
        distances = np.flatnonzero(counts)
        shares = np.cumsum(counts[distances] / counts.sum())
        return cls(rows, distances, shares)

    def miss_rate(self, rows: Any) -> np.ndarray:
        """Return the share of the accesses that miss an LRU cache.

        Parameters
        ----------
        rows : int or int array
            Sizes of the cache, in rows of the table.

        Returns
        -------
        float64 array, shaped as `rows`
                What `lru_misses` counts, divided by n, to rounding.

        Raises
        ------
        ValueError
            When a size is negative.

        Examples
        --------
        >>> from minidlrm.data import Profile
        >>> Profile.of([1, 2, 1, 1, 3, 2]).miss_rate([0, 1, 2, 3])
        array([1.        , 0.83333333, 0.66666667, 0.5       ])
        """
        rows = integers("rows", rows)
        if (rows < 0).any():
            raise ValueError(f"rows is {rows}: a cache holds at least 0 rows")
        found = self.shares[np.searchsorted(self.distances, rows, "right") - 1] - self.shares[0]
        return np.asarray(1 - found)

    def generate(
        self, n: int, seed: Any = 0, *, lru: bool = True, padding: bool = False
    ) -> np.ndarray:
        """Draw a trace that has this profile, the more nearly the longer it is.

        Parameters
        ----------
        n : int
            How many accesses.
        seed : int or list of int
            Seed of the draws.
        lru : bool
            Whether a row moves to the top of the stack when it is read again. Without it
            distances count from the order of first accesses, which is faster to draw by hand, and
            does not keep the profile.
        padding : bool
            Draw no first accesses after all rows were seen. Otherwise the row that was used least
            recently is read in the place of a new one; that is an access of the largest distance.

        Returns
        -------
        int64 array (n,)

        Notes
        -----
        Before i first accesses have been drawn, no distance above i can be: the draw is shrunk to
        those that can. This is the rule of the reference.

        Examples
        --------
        >>> from minidlrm.data import Profile
        >>> Profile.of([7, 8, 7, 7, 9, 8]).generate(6, seed=1).shape
        (6,)
        """
        n = as_size("n", n, 0)
        draws = shuffling(seed).random(n)
        lru, padding = as_flag("lru", lru), as_flag("padding", padding)
        places = kernels.draw_trace(
            draws, self.distances, self.shares, len(self.accesses), lru, padding
        )
        return self.accesses[places]

    def write(self, path: str | os.PathLike) -> None:
        """Write the reference's file to `path`: accesses, distances, shares, a line each."""
        lines = (self.accesses.tolist(), self.distances.tolist(), self.shares.tolist())
        with replacing(path) as temporary:
            text = "".join(", ".join(map(repr, line)) + "\n" for line in lines)
            temporary.write_text(text, encoding="ascii")

    @classmethod
    def read(cls, path: str | os.PathLike) -> Profile:
        """Read the reference's file.

        Raises
        ------
        ValueError
            When it does not have three lines of numbers that are a profile; it names file and
            line.
        """
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        if len(lines) < 3:
            raise ValueError(f"{path} has {len(lines)} lines: accesses, distances, shares are 3")
        accesses, distances = (_numbers(path, k, lines[k], int) for k in (0, 1))
        try:
            return cls(accesses, distances, _numbers(path, 2, lines[2], float))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def read_trace(path: str | os.PathLike, binary: bool = False) -> np.ndarray:
    """Read the reference's trace file.

    Parameters
    ----------
    path : path
        One line of numbers with commas between, or, with `binary`, numbers of 8 bytes
        (unsigned, the lowest byte first).
    binary : bool
        Which of the two.

    Returns
    -------
    int64 array (n,)

    Raises
    ------
    ValueError
        When it holds anything else.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from minidlrm.data import read_trace, write_trace
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "trace.log"
    >>> write_trace(path, [3, 1, 3])
    >>> path.read_text(), read_trace(path)
    ('3, 1, 3', array([3, 1, 3]))
    """
    if not as_flag("binary", binary):
        text = " ".join(Path(path).read_text(encoding="utf-8").split("\n")).strip()
        return _numbers(path, 0, text, int) if text else np.empty(0, np.int64)
    data = Path(path).read_bytes()
    if len(data) % 8:
        raise ValueError(f"{path} has {len(data)} bytes: numbers of a binary trace take 8 each")
    return integers(str(path), np.frombuffer(data, "<u8"))


def write_trace(path: str | os.PathLike, trace: Any, binary: bool = False) -> None:
    """Write a trace as the reference does; see `read_trace`.

    Parameters
    ----------
    path : path
        The file.
    trace : int array (n,)
        Rows, from 0 on.
    binary : bool
        Whether numbers of 8 bytes are written; otherwise text.

    Raises
    ------
    ValueError
        When a row is negative.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from minidlrm.data import write_trace
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "trace.bin"
    >>> write_trace(path, [3, 1, 3], binary=True)
    >>> path.stat().st_size
    24
    """
    trace = integers("trace", trace, 1)
    if len(trace) and trace.min() < 0:
        raise ValueError(f"trace holds {trace.min()}: rows count from 0")
    with replacing(path) as temporary:
        if as_flag("binary", binary):
            temporary.write_bytes(trace.astype("<u8").tobytes())
        else:
            temporary.write_text(", ".join(map(str, trace.tolist())), encoding="ascii")


def _numbered(trace: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the different rows, in the order of their first access, and the trace as numbers."""
    trace = integers("trace", trace, 1).astype(np.int64)
    rows, first, numbers = np.unique(trace, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(rows), np.int64)
    place[order] = np.arange(len(rows))
    return rows[order], place[numbers]


def _numbers(path: str | os.PathLike, line: int, text: str, kind: type) -> np.ndarray:
    try:
        return np.array([kind(word) for word in text.split(",")])
    except ValueError as error:
        raise ValueError(f"{path}, line {line + 1}: {error}") from None
