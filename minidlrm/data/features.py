"""Column and Categories: how the raw values of one column become numbers, ids, or bags of ids.

A value that the training rows do not have gets the id 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minidlrm.data.columns import (
    Place,
    Texts,
    at,
    bag_texts,
    hex_values,
    hex_words,
    joined,
    of_interner,
    of_words,
    texts,
)
from minidlrm.data.intern import Interner

TRANSFORMS = ("standardize", "log", "none")
FLAGS = (
    "has_missing",
    "integers",
    "has_unseen",
    "hexadecimal",
)  # of Categories, in the order of its arguments
_UNSEEN = 0  # the id of values that the training rows do not have, or have too rarely


@dataclass(frozen=True, eq=False)
class Categories:
    """The known values of a categorical column, and their ids.

    The id 0 stands for values that are not known. Where the training rows have missing values,
    these have the id 1. The known values follow, the most frequent first, and equally frequent
    ones in the order in which they come.

    Parameters
    ----------
    known : Interner
        The known values, in the order of their ids.
    has_missing : bool
        Whether missing values have an id of their own.
    integers : bool
        Whether all known values are whole numbers: then "7", "7.0" and 7 are one value.
    has_unseen : bool
        Whether values that are not known have the id 0. Without it they are an error, and a
        table has no row for them: the readers of ratings have it so.
    hexadecimal : bool
        Whether values are hexadecimal numbers: "FF" and "000000ff" are one, a missing one is 0.

    Examples
    --------
    >>> import minidlrm as md
    >>> rows = {"click": [1, 0, 1, 0], "city": ["Ulm", "Rom", "Ulm", None]}
    >>> data = md.data.read_table(rows, label="click", sparse=["city"], split="order",
    ...                           fractions=(1, 0, 0), min_count=1)
    >>> city = data.schema["city"].categories
    >>> city.size, city.value(0), city.value(1), city.value(2)
    (4, '(unseen)', '(missing)', 'Ulm')
    """

    known: Interner
    has_missing: bool = False
    integers: bool = False
    has_unseen: bool = True
    hexadecimal: bool = False

    @property
    def first(self) -> int:
        """The id of the first known value."""
        return self.has_unseen + self.has_missing

    @property
    def missing(self) -> int:
        """The id of a missing value."""
        return int(self.has_unseen) if self.has_missing else _UNSEEN

    @property
    def size(self) -> int:
        """Number of ids."""
        return self.first + len(self.known)

    def value(self, i: int) -> str:
        """Return the value that has the id `i`, as text; IndexError when there is none."""
        if not 0 <= i < self.size:
            raise IndexError(f"id {i} is out of range [0, {self.size})")
        if i < self.first:
            return "(missing)" if i == self.first - 1 and self.has_missing else "(unseen)"
        return self.values([i])[0]

    def values(self, ids: Iterable[int]) -> list[str]:
        """Return the known values that have these ids, as text."""
        ends, data = self.known.ends, self.known.text
        starts = np.concatenate([[0], ends])
        places = [int(i) - self.first for i in ids]
        return [data[starts[k] : ends[k]].tobytes().decode("utf-8", "replace") for k in places]

    def find(self, value: Any) -> int:
        """Return the id of one known value, as the data write it, or -1."""
        words = self.plain(of_words([str(value)]))
        code = int(self.known.find(words.text, words.offsets)[0])
        return code if code < 0 else code + self.first

    def ids(self, column: Texts, name: str = "", place: Place = None) -> np.ndarray:
        """Return the ids of values -> int32 (n,); IndexError where one must be known and is not."""
        if self.hexadecimal:
            column = hex_words(hex_values(column, name, place))
        else:
            column = self.plain(column)
        codes = self.known.find(column.text, column.offsets)
        ids = np.where(codes >= 0, codes + np.int32(self.first), np.int32(_UNSEEN))
        ids[column.missing] = self.missing
        if not self.has_unseen:
            self._check(codes, column, name, place)
        return ids

    def plain(self, column: Texts) -> Texts:
        """Return values in the one form in which they are known."""
        if self.integers:
            return column.without_point_zero()
        return hex_words(hex_values(column)) if self.hexadecimal else column

    def words(self, ids: np.ndarray) -> Any:
        """Return the values that have these ids as an Arrow array; null where there is none."""
        import pyarrow as pa

        known = of_interner(self.known).as_arrow()
        codes = np.asarray(ids, np.int64) - self.first
        return known.take(pa.array(np.maximum(codes, 0), mask=codes < 0))

    def with_more(self, words: Texts) -> Categories:
        """Return categories that know these values too, after the others."""
        known = Interner(self.known.text, self.known.ends)
        known.add(words.text, words.offsets)
        return replace(self, known=known)

    def _check(self, codes: np.ndarray, column: Texts, name: str, place: Place) -> None:
        wrong = (codes < 0) & ~(column.missing & self.has_missing)
        if wrong.any():
            row = int(wrong.argmax())
            raise IndexError(
                f"{at(place, row)}column {name}: {column.word(row)!r} is not among the "
                f"{len(self.known):,} known values"
            )


@dataclass(frozen=True, eq=False)
class Column:
    """One feature of a table: how its raw values become a number, an id, or a bag of ids.

    Parameters
    ----------
    name : str
        The name of the column; for a bag in several columns, the name of the bag.
    role : "dense", "sparse" or "bag"
        A number, an id, or any number of ids.
    transform : "standardize", "log" or "none"
        For a number x: (x - mean) / std of the training rows, log(1 + max(x, 0)), or x itself.
        A missing one becomes 0 after the transform.
    mean, std : float
        Mean and standard deviation of the training rows.
    categories : Categories, optional
        The ids of a sparse column, or of a bag's entries.
    separator : str, optional
        The separator between the entries of a bag that is text.
    parts : tuple of str
        The columns of a bag that has several columns, with an entry in each.
    padding : str, optional
        The entry that means "none" in these columns.
    weights : str, optional
        The column with a weight for each entry of a bag.
    table : str, optional
        The column whose table this one shares.
    distinct : int
        Distinct values among the training rows.
    missing, unseen : float
        Share of rows without a value; share of validation and test rows whose value the
        training rows do not have, or have fewer than `min_count` times.
    """

    name: str
    role: str
    transform: str = "none"
    mean: float = 0.0
    std: float = 1.0
    categories: Categories | None = None
    separator: str | None = None
    parts: tuple[str, ...] = ()
    padding: str | None = None
    weights: str | None = None
    table: str | None = None
    distinct: int = 0
    missing: float = 0.0
    unseen: float = 0.0

    @property
    def sources(self) -> tuple[str, ...]:
        """The columns of the table that it reads."""
        own = self.parts or (self.name,)
        return (*own, self.weights) if self.weights else own

    def scale(self, raw: np.ndarray) -> np.ndarray:
        """Transform numbers, NaN where missing -> float32."""
        with np.errstate(over="ignore"):
            if self.transform == "standardize":
                x = (raw - self.mean) / self.std
            elif self.transform == "log":
                x = np.log1p(np.maximum(raw, 0))
            else:
                x = raw
            x = x.astype(np.float32)
        if np.isinf(x).any():
            k = int(np.isinf(x).argmax())
            raise ValueError(
                f"column {self.name}: {raw[k]} is too large for float32: "
                "choose transform='log' or 'standardize'"
            )
        return np.where(np.isnan(raw), np.float32(0), x)

    def unscale(self, x: np.ndarray) -> np.ndarray:
        """Undo `scale`."""
        if self.transform == "standardize":
            return x * self.std + self.mean
        return np.expm1(x) if self.transform == "log" else x

    def words(self, data: dict[str, Any], place: Any) -> Texts:
        """Return the values of a sparse column, or all entries of a bag."""
        if self.role == "sparse":
            return texts(data[self.name], self.name, place)
        return self.entries(data, place)[0]

    def entries(self, data: dict[str, Any], place: Any) -> tuple[Texts, np.ndarray, Any]:
        """Return a bag's entries, row after row, the number in each row, and their weights."""
        weights = data[self.weights] if self.weights else None
        if self.parts:
            return (*joined([texts(data[p], p, place) for p in self.parts], self.padding), None)
        return bag_texts(data[self.name], self.name, self.separator, weights, place)

    def as_json(self) -> dict[str, Any]:
        """Return all but the known values, for a header."""
        plain = {k: v for k, v in vars(self).items() if k != "categories"}
        if self.categories is not None:
            plain.update({flag: getattr(self.categories, flag) for flag in FLAGS})
        return plain
