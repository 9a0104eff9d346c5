"""The text of Criteo's files, block by block: labels, integers, hexadecimal categories.

The layout is read from the first line. A malformed row is an error that names line, column and
text, or it is skipped and counted.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minidlrm.data.encode import log_transform, parse_hex
from minidlrm.data.sources import TextSource

NUM_DENSE, NUM_TABLES = 13, 26
DENSE = [f"I{k + 1}" for k in range(NUM_DENSE)]
SPARSE = [f"C{t + 1}" for t in range(NUM_TABLES)]
_LABELS = ("label", "click", "clicked", "target")  # names of its column in a header
_INTEGER = r"^(-?[0-9]+(\.0*)?)?$"
_BLOCK_BYTES = 8 << 20  # of text at a time
_LINE_BYTES = 1 << 16  # of the first line at most


@dataclass(frozen=True)
class Layout:
    """What the first line says of the file."""

    delimiter: str
    names: list[str]
    header: bool
    label: str | None  # the name of its column
    has_mark: bool = False  # a byte order mark of UTF-8 comes first

    @property
    def has_label(self) -> bool:
        """Whether the rows have labels."""
        return self.label is not None


def read_layout(path: Path) -> Layout:
    """Tell from the first line what the columns are; ValueError where they are not Criteo's."""
    if path.is_dir():
        raise FileNotFoundError(f"no file at {path}: it is a folder; give the file in it")
    if not path.is_file():
        raise FileNotFoundError(f"no file at {path}")
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as file:
            line = file.readline(_LINE_BYTES)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} cannot be unpacked: {error}") from None
    first = line.decode("utf-8-sig", "replace").rstrip("\r\n")
    has_mark = line.startswith(codecs.BOM_UTF8)
    if not first:
        raise ValueError(f"{path} is empty, or its first line is")
    delimiter = "\t" if "\t" in first else ","
    fields = first.split(delimiter)
    features = [*DENSE, *SPARSE]
    if set(features) <= set(fields):
        twice = sorted({name for name in fields if fields.count(name) > 1})
        if twice:
            raise ValueError(f"{path} has the column {', '.join(twice)} more than once")
        found = [name for name in fields if name.lower() in _LABELS]
        others = [name for name in fields if name not in features]
        if len(found) > 1 or (not found and others):
            raise ValueError(
                f"{path}: which column is the label? There are {', '.join(others)} beside the "
                f"features; call it {_LABELS[0]!r}, or leave them out where there is none"
            )
        return Layout(delimiter, fields, True, found[0] if found else None, has_mark)
    if len(fields) not in (NUM_DENSE + NUM_TABLES, 1 + NUM_DENSE + NUM_TABLES):
        raise ValueError(
            f"{path}: line 1 has {len(fields)} fields: expected 40 (label, 13 integers, 26 "
            "categories), 39 without the label, or a header with I1 ... I13 and C1 ... C26"
        )
    label = ["label"] if len(fields) == 1 + NUM_DENSE + NUM_TABLES else []
    return Layout(delimiter, label + features, False, "label" if label else None, has_mark)


class Reader:
    """Blocks of parsed rows, with the line number of every row that is malformed."""

    def __init__(self, path: Path, layout: Layout, on_bad_line: str):
        self.path, self.layout, self.on_bad_line = path, layout, on_bad_line
        self.position: int  # bytes of the file that have been read, with each block
        self.num_bad = 0  # rows with a malformed field
        self.num_rows = 0  # rows the CSV reader has returned
        self.wrong_width: list[int] = []  # numbers of the lines of the wrong width, in order
        self.fault = ""  # the line of the wrong width that stopped it

    def blocks(self) -> Iterator[tuple[np.ndarray | None, np.ndarray, list[np.ndarray]]]:
        """Yield labels or None, dense features (n, 13), and 26 columns of categories (n,)."""
        import pyarrow as pa

        with pa.OSFile(str(self.path)) as file:
            try:
                reader = self._open(file)
                for table in reader:
                    self.position = file.tell()
                    yield self._convert(table)
            except (pa.ArrowInvalid, OSError) as error:
                raise ValueError(
                    f"{self.path}{self.fault or f' cannot be read: {error}'}"
                ) from None

    def _open(self, file: Any) -> Any:
        import pyarrow as pa
        from pyarrow import csv

        text = pa.CompressedInputStream(file, "gzip") if self.path.suffix == ".gz" else file
        if self.layout.has_mark:
            text.read(len(codecs.BOM_UTF8))
        names = self.layout.names
        wanted = [name for name in names if name in {self.layout.label, *DENSE, *SPARSE}]
        return csv.open_csv(
            text,
            read_options=csv.ReadOptions(
                column_names=names,
                skip_rows=int(self.layout.header),
                block_size=_BLOCK_BYTES,
                encoding="latin-1",  # every byte is a letter: a malformed one has its line
                use_threads=False,  # or else the reader does not know line numbers
            ),
            parse_options=csv.ParseOptions(
                delimiter=self.layout.delimiter,
                quote_char=False,
                ignore_empty_lines=False,
                invalid_row_handler=self._on_wrong_width,
            ),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=False,
                include_columns=wanted,
            ),
        )

    def _on_wrong_width(self, row: Any) -> str:
        if self.on_bad_line == "error":
            self.fault = (
                f": line {row.number} has {row.actual_columns} fields, expected "
                f"{row.expected_columns}: {row.text[:80]!r}"
            )
            return "error"
        self.wrong_width.append(row.number)
        return "skip"

    def _line(self, row: int) -> int:
        """Return the line number of a row that the CSV reader has returned."""
        line = row + 1 + self.layout.header
        for skipped in self.wrong_width:
            line += skipped <= line
        return line

    def _convert(self, table: Any) -> Any:
        columns = {name: table.column(name) for name in table.schema.names}
        bad = np.zeros(len(table), bool)
        label = None
        if self.layout.label is not None:
            label, wrong = _parse_label(columns[self.layout.label])
            self._note(bad, wrong, columns, self.layout.label, "not 0 or 1")
        dense = np.empty((len(table), NUM_DENSE), np.float32)
        empty = np.ones(len(table), bool)
        for k, name in enumerate(DENSE):
            numbers, wrong, missing = _parse_integers(columns[name])
            self._note(bad, wrong, columns, name, "not an integer")
            dense[:, k] = log_transform(numbers)
            empty &= missing
        raw = []
        for name in SPARSE:
            codes, wrong, missing = _parse_categories(columns[name])
            self._note(bad, wrong, columns, name, "not 1 to 8 hexadecimal digits")
            raw.append(codes)
            empty &= missing
        if label is None:
            self._note(bad, empty, columns, DENSE[0], "part of an empty line")
        self.num_rows += len(table)
        self.num_bad += int(bad.sum())
        if bad.any():
            keep = ~bad
            label = None if label is None else label[keep]
            return label, dense[keep], [column[keep] for column in raw]
        return label, dense, raw

    def _note(self, bad: np.ndarray, wrong: np.ndarray, columns: Any, name: str, what: str) -> None:
        """Mark the wrong rows; in the mode "error", raise for the first one."""
        if not wrong.any():
            return
        if self.on_bad_line == "error":
            row = int(wrong.argmax())
            line, text = self._line(self.num_rows + row), columns[name][row].as_py()
            raise ValueError(f"{self.path}: line {line}, column {name}: {text!r} is {what}")
        bad |= wrong


def _parse_label(column: Any) -> tuple[np.ndarray, np.ndarray]:
    text, offsets = _bytes(column)
    lengths = np.diff(offsets)
    first = np.frombuffer(text.tobytes() + b"-", np.uint8)[offsets[:-1]]  # the last may be empty
    label = (first == ord("1")).astype(np.float32)
    return label, (lengths != 1) | ((first != ord("0")) & (first != ord("1")))


def _parse_integers(column: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return float64 numbers (0 where missing), which are malformed, and which are missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    missing = np.asarray(pc.equal(column, ""))
    wrong = np.zeros(len(column), bool)
    text, _ = _bytes(column)
    filled = pc.if_else(pa.array(missing), "0", column)
    try:
        if ((text | 32) == ord("x")).any():  # Arrow reads 0x1F as 31
            raise pa.ArrowInvalid
        numbers = np.asarray(pc.cast(filled, pa.int64()), np.float64)
    except pa.ArrowInvalid:  # 260.0, or a malformed one: the slow way
        wrong = ~np.asarray(pc.match_substring_regex(column, _INTEGER))
        numbers = np.asarray(pc.cast(pc.if_else(pa.array(wrong), "0", filled), pa.float64()))
    return numbers, wrong, missing


def _parse_categories(column: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    text, offsets = _bytes(column)
    codes, wrong = parse_hex(text, offsets)
    return codes, wrong, np.diff(offsets) == 0


def _bytes(column: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the characters of a string column, and the offsets (n + 1,)."""
    _, offsets, text = column.buffers()
    places = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    return np.frombuffer(text or b"", np.uint8), places.astype(np.int64)


def as_source(path: Path) -> TextSource:
    """Open a Criteo file as raw rows, for the schema of a model that was trained on one."""
    layout = read_layout(path)
    names = None if layout.header else layout.names
    return TextSource([path], layout.delimiter, column_names=names)
