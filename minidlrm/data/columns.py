"""Columns of raw values, as Arrow holds them: as numbers, as texts, as bags of texts.

An id is text or a whole number, and never a float that has lost digits. Every error names the
column, the place and the value.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidlrm.data.encode import parse_hex
from minidlrm.data.intern import Interner

Place = Callable[[int], str] | None  # words a row, such as "clicks.csv: line 17"
_EXACT = 2**53  # floats above it do not hold every whole number


@dataclass(frozen=True, eq=False)
class Texts:
    """A block of texts: UTF-8 bytes, one text after another.

    Parameters
    ----------
    text : uint8 array
        The bytes.
    offsets : int64 array (n + 1,)
        Where each text begins, and where the last ends.
    missing : bool array (n,)
        Which are missing. An empty text is missing: in a text file the two look alike.
    """

    text: np.ndarray
    offsets: np.ndarray
    missing: np.ndarray

    def __len__(self) -> int:
        return len(self.missing)

    def word(self, k: int) -> str:
        """Return one text."""
        return self.text[self.offsets[k] : self.offsets[k + 1]].tobytes().decode("utf-8", "replace")

    def chosen(self, keep: np.ndarray) -> Texts:
        """Return some of the texts."""
        return _gathered(self.text, self.offsets[:-1][keep], self.offsets[1:][keep])

    def as_arrow(self) -> Any:
        """Return an Arrow array of strings."""
        import pyarrow as pa

        text = pa.py_buffer(np.ascontiguousarray(self.text))
        offsets = pa.py_buffer(np.ascontiguousarray(self.offsets))
        return pa.Array.from_buffers(pa.large_string(), len(self), [None, offsets, text])

    def without_point_zero(self) -> Texts:
        """Return whole numbers in one form: "7.0" as "7"."""
        if not (self.text == ord(".")).any():
            return self
        import pyarrow.compute as pc

        array = self.as_arrow()
        return of_strings(pc.replace_substring_regex(array, r"^([+-]?\d+)\.0+$", r"\1"))


def of_strings(array: Any) -> Texts:
    """Return an Arrow array of strings as Texts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wide = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    _, offsets, data = array.buffers()
    count, start = len(array), array.offset
    if count == 0:  # its buffers may be missing
        return Texts(np.zeros(0, np.uint8), np.zeros(1, np.int64), np.zeros(0, bool))
    kind = np.int64 if wide else np.int32
    places = np.frombuffer(offsets, kind)[start : start + count + 1].astype(np.int64)
    missing = places[1:] == places[:-1]
    if (array.is_null().to_numpy(zero_copy_only=False) & ~missing).any():
        return of_strings(pc.fill_null(array, ""))  # bytes that no text has
    text = np.frombuffer(b"" if data is None else data, np.uint8)
    return Texts(text[: places[-1]], places, missing)  # a buffer may be longer


def hex_words(values: np.ndarray) -> Texts:
    """Return numbers (n,) as eight hexadecimal digits each."""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    shifts = np.arange(28, -4, -4, dtype=np.uint32)  # (8,)
    text = digits[(values.astype(np.uint32)[:, None] >> shifts) & np.uint32(15)]  # (n, 8)
    return Texts(text.ravel(), 8 * np.arange(len(values) + 1), np.zeros(len(values), bool))


def hex_values(words: Texts, name: str = "", place: Place = None) -> np.ndarray:
    """Return hexadecimal texts as numbers, 0 where missing; ValueError where one is not such."""
    values, bad = parse_hex(words.text, words.offsets)
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"{at(place, row)}column {name}: {words.word(row)!r} is not 1 to 8 hexadecimal digits"
        )
    return values


def of_words(words: Iterable[str]) -> Texts:
    """Return texts of Python as Texts."""
    data = [word.encode() for word in words]
    offsets = np.concatenate([[0], np.cumsum([len(word) for word in data], dtype=np.int64)])
    text = np.frombuffer(b"".join(data), np.uint8)
    return Texts(text, offsets.astype(np.int64), offsets[1:] == offsets[:-1])


def of_interner(known: Interner) -> Texts:
    """Return the texts of an Interner, in the order of their numbers."""
    offsets = np.concatenate([[0], known.ends]).astype(np.int64)
    return Texts(known.text, offsets, offsets[1:] == offsets[:-1])


def one_array(column: Any) -> Any:
    """Return a column as one Arrow array, without dictionary and views."""
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        if isinstance(column, pa.ChunkedArray):  # older Arrow, and no chunk at all
            column = pa.concat_arrays(column.chunks) if column.chunks else pa.array([])
    if pa.types.is_dictionary(column.type):
        words = one_array(column.dictionary)  # without views, which Arrow cannot decode
        column = words.take(column.indices)
    if str(column.type) in ("string_view", "binary_view"):
        column = column.cast(pa.large_string())
    return column


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def texts(column: Any, name: str, place: Place = None) -> Texts:
    """Read ids: text as it is, whole numbers as their digits.

    Raises
    ------
    ValueError
        When a number is a fraction, or a float too large to be exact; or the type has no text.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    array = one_array(column)
    kind = array.type
    if _is_text(kind):
        return of_strings(array)
    if pa.types.is_null(kind):
        return of_strings(array.cast(pa.string()))
    if pa.types.is_boolean(kind):
        return of_strings(pc.if_else(array, "True", "False"))
    if pa.types.is_integer(kind):
        return of_strings(array.cast(pa.string()))
    if pa.types.is_floating(kind):
        return of_strings(_whole(array, name, place).cast(pa.string()))
    try:
        return of_strings(array.cast(pa.string()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise ValueError(
            f"column {name} has type {kind}: its rows must be text or whole numbers; lists are bags"
        ) from None


def _whole(array: Any, name: str, place: Place) -> Any:
    """Turn floats into int64 where each is whole, and exact."""
    import pyarrow as pa

    x = array.to_numpy(zero_copy_only=False).astype(np.float64)
    given = ~np.isnan(x)
    with np.errstate(invalid="ignore"):
        wrong = given & ((x != np.floor(x)) | (np.abs(x) > _EXACT))
    if wrong.any():
        k = int(wrong.argmax())
        what = (
            "a float does not hold ids above 2^53 exactly: read the column as int64 or text"
            if abs(x[k]) > _EXACT
            else "an id must be a whole number or text"
        )
        raise ValueError(f"{at(place, k)}column {name}: {float(x[k])!r}: {what}")
    return pa.array(np.where(given, x, 0).astype(np.int64), mask=~given)


def numbers(column: Any, name: str, place: Place = None) -> np.ndarray:
    """Read numbers -> float64 (n,), NaN where missing; true and false are 1 and 0.

    Raises
    ------
    ValueError
        When a value is not a number, or is infinite.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    array = one_array(column)
    kind = array.type
    if _is_text(kind):
        x = _parsed(array, name, place)
    elif pa.types.is_boolean(kind):
        x = array.cast(pa.int8()).cast(pa.float64()).to_numpy(zero_copy_only=False)
    else:
        try:
            x = pc.cast(array, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise ValueError(f"column {name} has type {kind}: its rows must be numbers") from None
    if np.isinf(x).any():
        k = int(np.isinf(x).argmax())
        raise ValueError(f"{at(place, k)}column {name}: {x[k]} is not a finite number")
    return x


def _parsed(array: Any, name: str, place: Place) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    trimmed = pc.utf8_trim_whitespace(pc.fill_null(array, ""))
    lower = pc.utf8_lower(trimmed)
    filled = pc.if_else(
        pc.equal(lower, "true"), "1", pc.if_else(pc.equal(lower, "false"), "0", trimmed)
    )
    filled = pc.if_else(pc.equal(filled, ""), "nan", filled)
    try:
        return filled.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        pass
    for k, text in enumerate(filled.to_pylist()):
        try:
            pa.scalar(text).cast(pa.float64())
        except pa.ArrowInvalid:
            raw = array[k].as_py()
            raise ValueError(
                f"{at(place, k)}column {name}: {raw!r} is not a number{_advice(raw)}"
            ) from None
    raise AssertionError("every text alone is a number, and all together are not")


def _advice(raw: str) -> str:
    """Say what may be wrong with a text that is not a number."""
    word = raw.strip().lower()
    if word in ("yes", "no", "y", "n", "t", "f", "clicked", "positive", "negative"):
        return ": write 1 and 0, or true and false"
    if word in ("na", "n/a", "null", "none", "nil", "-", "?", "#n/a"):
        return ": a field without a value must be empty"
    return ": the decimal sign must be a point" if re.fullmatch(r"[+-]?\d+,\d+", word) else ""


def times(column: Any, name: str, place: Any) -> np.ndarray:
    """Read moments: numbers, timestamps, or ISO text -> float64 (n,): microseconds
    since 1970 of times and text, numbers as they are.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_temporal(column.type):
        column = column.cast(pa.timestamp("us", getattr(column.type, "tz", None)), safe=False)
        values = pc.cast(column, pa.int64()).cast(pa.float64(), safe=False)
    elif _is_text(column.type):
        try:
            values = numbers(column, name, place)
        except ValueError as error:
            for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
                with contextlib.suppress(pa.ArrowInvalid):
                    return times(column.cast(kind), name, place)
            raise ValueError(f"{error}, and not a time such as 2026-11-26 10:30") from None
        return _given(values, name, place)
    else:
        values = pa.array(numbers(column, name, place))
    return _given(values.to_numpy(zero_copy_only=False), name, place)


def are_moments(column: Any) -> bool:
    """Whether `times` reads a column as moments, by its type or its first text; else as numbers."""
    import pyarrow as pa

    if _is_text(column.type):
        return bool(len(column) and re.search(r"\d[-:]", column[0].as_py() or ""))
    return bool(pa.types.is_temporal(column.type))


def _given(values: np.ndarray, name: str, place: Any) -> np.ndarray:
    if np.isnan(values).any():
        row = int(np.isnan(values).argmax())
        raise ValueError(f"{place(row)}, column {name}: the time is missing")
    return values.astype(np.float64)


def bag_texts(
    column: Any, name: str, separator: str | None, weights: Any = None, place: Place = None
) -> tuple[Texts, np.ndarray, np.ndarray | None]:
    """Read bags: lists, or text with a separator -> all entries, the number in each row, weights.

    An empty or missing entry is left out; so is its weight.

    Raises
    ------
    ValueError
        When the type is neither, or a row has another number of weights than of entries.
    """
    entries, lengths = _split(column, name, separator)
    words = texts(entries, name, place)
    values = None
    if weights is not None:
        own, counts = _split(weights, name, separator)
        if not np.array_equal(counts, lengths):
            k = int((counts != lengths).argmax())
            raise ValueError(
                f"{at(place, k)}column {name} has {lengths[k]} entries and {counts[k]} weights: "
                "one weight for each entry"
            )
        values = numbers(own, name, place)
        gaps = np.isnan(values) & ~words.missing
        if gaps.any():
            k = int(gaps.argmax())
            row = int(np.searchsorted(np.cumsum(lengths), k, side="right"))
            raise ValueError(f"{at(place, row)}column {name}: an entry has no weight")
        values = values.astype(np.float32)
    if not words.missing.any():
        return words, lengths, values
    keep = ~words.missing
    row = np.repeat(np.arange(len(lengths)), lengths)[keep]
    return (
        words.chosen(keep),
        np.bincount(row, minlength=len(lengths)),
        None if values is None else values[keep],
    )


def _split(column: Any, name: str, separator: str | None) -> tuple[Any, np.ndarray]:
    """Return all entries of lists or of separated text, and the number in each row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    array = one_array(column)
    kind = array.type
    if _is_text(kind):
        if separator is None:
            raise ValueError(
                f"column {name} is text: say what stands between the entries of a bag, "
                f"such as bags={{{name!r}: '|'}}"
            )
        array = pc.split_pattern(pc.fill_null(array, ""), separator)
    elif pa.types.is_null(kind):
        return pa.array([], pa.string()), np.zeros(len(array), np.int64)
    elif not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        if pa.types.is_fixed_size_list(kind) or "list_view" in str(kind):
            array = array.cast(pa.large_list(kind.value_type))
        else:  # a single number: a bag of one
            return array, np.ones(len(array), np.int64)
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    return pc.list_flatten(array), lengths.astype(np.int64)


def joined(parts: Sequence[Texts], padding: str | None) -> tuple[Texts, np.ndarray]:
    """Make a bag of several columns; an entry that is missing, or the padding, is left out."""
    count, width = len(parts[0]), len(parts)
    sizes = [len(part.text) for part in parts]
    shift = np.concatenate([[0], np.cumsum(sizes)])
    starts = np.stack([p.offsets[:-1] + s for p, s in zip(parts, shift, strict=False)], axis=1)
    stops = np.stack([p.offsets[1:] + s for p, s in zip(parts, shift, strict=False)], axis=1)
    text = np.concatenate([part.text for part in parts])
    keep = ~np.stack([part.missing for part in parts], axis=1)  # (n, width)
    if padding is not None:
        keep &= ~_equal(text, starts, stops, padding.encode())
    words = _gathered(text, starts[keep], stops[keep])
    row = np.repeat(np.arange(count), width).reshape(count, width)[keep]
    return words, np.bincount(row, minlength=count).astype(np.int64)


def _equal(text: np.ndarray, starts: np.ndarray, stops: np.ndarray, word: bytes) -> np.ndarray:
    same = stops - starts == len(word)
    for k, byte in enumerate(word):
        same[same] = text[starts[same] + k] == byte
    return same


def _gathered(text: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> Texts:
    lengths = stops - starts
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    index = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
    return Texts(text[index], offsets, lengths == 0)


def at(place: Place, row: int) -> str:
    """Word the beginning of an error about a row."""
    return f"{place(row)}, " if place is not None else f"row {row + 1}, "
