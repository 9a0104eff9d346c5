"""Sources of rows: text files, Parquet files, and tables in memory, read block by block as Arrow.

`minidlrm.data.open_source` tells them apart. A source knows its columns, gives blocks of those
that are asked for, and words the place of a row for an error.
"""

from __future__ import annotations

import csv as plain_csv
import io
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from minidlrm.arrays import as_names, check_type
from minidlrm.data.columns import numbers
from minidlrm.data.digests import digests_of
from minidlrm.languages import Message

_BLOCK_BYTES = 8 << 20  # of text at a time
_BLOCK_ROWS = 1 << 16  # of a table at a time
_MAGIC = {  # how files begin that are not plain text
    b"\x1f\x8b": "packed by gzip: its name must end in .gz",
    b"\x28\xb5\x2f\xfd": "packed by zstd: its name must end in .zst",
    b"BZh": "packed by bzip2: its name must end in .bz2",
    b"PK\x03\x04": "a ZIP archive or an Excel file: unpack it, or save it as CSV",
    b"PAR1": "Parquet: its name must end in .parquet",
    b"\xff\xfe": "UTF-16 text: give encoding='utf-16'",
    b"\xfe\xff": "UTF-16 text: give encoding='utf-16'",
}
_HEADER = 1 << 20  # characters that a header may have
_PACKED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".lz4": "lz4"}


class Source:
    """Rows that can be read block by block, more than once.

    Attributes
    ----------
    names : list of str
        The columns.
    description : str
        What it is, in a few words.
    paths : sequence of Path
        Its files.
    named_by : str
        The argument that names the columns, where the source itself does not.
    """

    names: list[str]
    description: str
    paths: Sequence[Path] = ()
    named_by = ""

    def place(self, row: int) -> str:
        """Word a row of the whole source, counted from 0."""
        return f"row {row + 1}"

    def after(self, first: int, row: int) -> str:
        """Word a row of a block that begins at row `first`."""
        return self.place(first + row)

    def types(self) -> dict[str, Any]:
        """Return the Arrow type of each column, as far as the first rows show it."""
        raise NotImplementedError

    def read(self, wanted: Sequence[str], numeric: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield blocks of the wanted columns; those in `numeric` may come as numbers."""
        raise NotImplementedError

    def digest(self) -> str | None:
        """Return a hash of the content, or None where none is needed: nothing is cached."""
        return None

    def reading(self) -> str:
        """Return the options that decide how the content is read, for the key of a cache."""
        return ""

    def need(self, wanted: Sequence[str], option: str = "") -> None:
        """Raise ValueError when a column does not exist; the error lists those that do.

        `option` is the argument that names the columns.
        """
        by = f"{option}: " if option else ""
        wrong = [name for name in wanted if not isinstance(name, str)]
        if wrong:
            raise TypeError(f"{by}a column is named {wrong[0]!r}: give its name as text")
        lost = [name for name in dict.fromkeys(wanted) if name not in self.names]
        if lost:
            told = f" by {self.named_by}" if self.named_by else ""
            raise ValueError(
                f"{by}{self.description} has no column {', '.join(map(repr, lost))}; "
                f"it has {', '.join(self.names)}{told}"
            )

    def blocks(self, schema: Any, also: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
        """Yield blocks with the columns that a schema needs, `also`, and labels where they exist.

        Numbers are parsed once more as text where they are none: the error can say where.
        """
        inputs = [name for column in schema.columns for name in column.sources]
        self.need(inputs)
        others = (schema.label, schema.sample_weight)
        present = [n for n in others if n in self.names]
        wanted = list(dict.fromkeys([*inputs, *present, *also]))
        dense = [column.name for column in schema.dense]
        try:
            yield from self.read(wanted, dense)
        except NotNumbers:
            first = 0
            for block in self.read(wanted, []):  # ends in an error that names the place
                for name in dense:
                    numbers(block[name], name, partial(self.after, first))
                first += len(block[wanted[0]])


class TableSource(Source):
    """A table in memory."""

    def __init__(self, table: Any):
        self.table = table
        self.names = list(table.column_names)
        unique(self.names, "the table")
        self.description = Message("the table of {count} rows", count=f"{table.num_rows:,}")

    def types(self) -> dict[str, Any]:
        """Return the types of the columns."""
        return {field.name: field.type for field in self.table.schema}

    def read(self, wanted: Sequence[str], numeric: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield slices of the wanted columns."""
        table = self.table.select(list(wanted))
        for start in range(0, table.num_rows, _BLOCK_ROWS):
            part = table.slice(start, _BLOCK_ROWS)
            yield {name: part.column(name) for name in wanted}


class ParquetSource(Source):
    """Parquet files with the same columns."""

    def __init__(self, paths: list[Path]):
        import pyarrow as pa
        from pyarrow import parquet

        self.paths = paths
        try:
            self._schema = parquet.read_schema(paths[0])
            self._counts = [parquet.read_metadata(path).num_rows for path in paths]
            for path in paths:
                if set(parquet.read_schema(path).names) != set(self._schema.names):
                    raise ValueError(f"{path} does not have the columns of {paths[0]}")
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(f"{paths[0]} cannot be read as Parquet: {error}") from None
        self.names = list(self._schema.names)
        self.description = _described(paths)

    def types(self) -> dict[str, Any]:
        """Return the types that the first file states."""
        return {field.name: field.type for field in self._schema}

    def place(self, row: int) -> str:
        """Word a row: its file, and its number there."""
        for path, count in zip(self.paths, self._counts, strict=True):
            if row < count:
                return f"{path}: row {row + 1}"
            row -= count
        return f"{self.paths[-1]}: row {row + 1}"

    def read(self, wanted: Sequence[str], numeric: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield blocks of the wanted columns."""
        import pyarrow as pa
        from pyarrow import parquet

        for path in self.paths:
            try:
                with parquet.ParquetFile(path) as file:
                    for batch in file.iter_batches(_BLOCK_ROWS, columns=list(wanted)):
                        yield {name: batch.column(name) for name in wanted}
            except (pa.ArrowInvalid, OSError) as error:
                raise ValueError(f"{path} cannot be read as Parquet: {error}") from None

    def digest(self) -> str:
        """Return a hash of all bytes of all files."""
        return "".join(digests_of(self.paths))


class TextSource(Source):
    """Text files with a delimiter and the same header."""

    def __init__(
        self,
        paths: list[Path],
        delimiter: str | None = None,
        encoding: str = "utf-8",
        column_names: Sequence[str] | None = None,
    ):
        check_type("encoding", encoding, str)
        if delimiter is not None:
            check_type("delimiter", delimiter, str)
        if column_names is not None:
            column_names = as_names("column_names", column_names)
        self.paths, self.encoding = paths, encoding
        try:
            "".encode(encoding)
        except LookupError:
            raise ValueError(f"encoding {encoding!r} is not known") from None
        if delimiter is not None and len(delimiter) != 1:
            raise ValueError(f"delimiter is {delimiter!r}: it must be one character")
        self._header = column_names is None
        self.named_by = "" if self._header else "column_names"
        first = _first_line(paths[0], encoding)
        self.delimiter = delimiter or _guess_delimiter(paths[0], first)
        self.names = list(column_names) if column_names else _fields(first, self.delimiter)
        if self._header and delimiter is not None and len(self.names) == 1:  # it splits nothing
            self.named_by = f"the delimiter {delimiter!r}"
        unique(self.names, str(paths[0]))
        for path in paths:
            own = _fields(_first_line(path, encoding), self.delimiter)
            if self._header and sorted(own) != sorted(self.names):
                raise ValueError(f"{path} has the columns {own}, {paths[0]} {self.names}")
        self.description = _described(paths)
        self._counts: list[int] = []  # rows of the files that have been read

    def reading(self) -> str:
        """Return delimiter, encoding and columns."""
        return repr((self.delimiter, self.encoding, self._header, self.names))

    def types(self) -> dict[str, Any]:
        """Return the types of the first block, as Arrow guesses them."""
        import pyarrow as pa

        try:
            return {f.name: f.type for f in self._open(self.paths[0], {}, self.names).schema}
        except (pa.ArrowInvalid, OSError, UnicodeError) as error:
            raise self._fault(self.paths[0], error) from None

    def read(self, wanted: Sequence[str], numeric: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield blocks; ids are text, and numbers are parsed by Arrow where all are numbers."""
        import pyarrow as pa

        kinds = dict.fromkeys(wanted, pa.string()) | {
            name: pa.float64() for name in numeric if name in wanted
        }
        last = self.names[-1]  # of the columns: a quote that is not closed ends there
        kinds.setdefault(last, pa.binary())
        self._counts = []
        for path in self.paths:
            count, final = 0, None
            try:
                for batch in self._open(path, kinds, list(kinds)):
                    count += len(batch)
                    final = batch.column(last)[-1] if len(batch) else final
                    yield {name: batch.column(name) for name in wanted}
            except (pa.ArrowInvalid, OSError, UnicodeError) as error:
                if "conversion error to double" in str(error):
                    raise NotNumbers from None
                raise self._fault(path, error) from None
            self._check_quotes(path, final, count)
            self._counts.append(count)

    def _check_quotes(self, path: Path, final: Any, count: int) -> None:
        """Raise ValueError where the last field of a file began with a quote and never ends."""
        field = final.as_buffer() if hasattr(final, "as_buffer") else None
        text = "" if field is None else field.to_pybytes().decode(errors="replace")
        if "\n" not in text:
            return
        end = ""
        with _text(path, self.encoding) as file:
            while part := file.read(_BLOCK_BYTES):
                end = (end + part)[-len(text) - 8 :]
        value = text.rstrip("\r\n")
        if value and end.rstrip("\r\n").endswith('"' + value):
            raise ValueError(
                f"{path}: line {self._line(path, count - 1)}, column {self.names[-1]}: "
                f"a quote is not closed: {value[:40]!r}"
            )

    def stream(self, path: Path) -> Any:
        """Open a file, unpacked."""
        import pyarrow as pa

        packed = _PACKED.get(path.suffix.lower())
        return pa.input_stream(str(path), packed) if packed else pa.OSFile(str(path))

    def _open(self, path: Path, kinds: dict, wanted: Sequence[str]) -> Any:
        from pyarrow import csv

        return csv.open_csv(
            self.stream(path),
            read_options=csv.ReadOptions(
                column_names=None if self._header else self.names,
                block_size=_BLOCK_BYTES,
                encoding=self.encoding,
            ),
            parse_options=csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types=kinds,
                null_values=[""],
                strings_can_be_null=True,
                include_columns=list(wanted),
                auto_dict_encode=False,
            ),
        )

    def place(self, row: int) -> str:
        """Word a row: its file and line. The file is read again up to it."""
        for path, count in zip(self.paths, self._counts, strict=False):
            if row < count:
                return f"{path}: line {self._line(path, row)}"
            row -= count
        path = self.paths[min(len(self._counts), len(self.paths) - 1)]
        return f"{path}: line {self._line(path, row)}"

    def _line(self, path: Path, row: int) -> int:
        with _text(path, self.encoding) as file:
            reader = plain_csv.reader(file, delimiter=self.delimiter)
            seen, begin = -1 if self._header else 0, 1
            for fields in reader:
                if fields:  # Arrow leaves empty lines out
                    if seen == row:
                        return begin
                    seen += 1
                begin = reader.line_num + 1
        return begin

    def _fault(self, path: Path, error: Exception) -> ValueError:
        """Find the line that stopped Arrow, and say what is wrong with it."""
        text = str(error)
        if "Expected" in text:
            with _text(path, self.encoding) as file:
                reader = plain_csv.reader(file, delimiter=self.delimiter)
                begin = 1
                for fields in reader:
                    if fields and len(fields) != len(self.names):
                        short = self.delimiter.join(fields)[:80]
                        return ValueError(
                            f"{path}: line {begin} has {len(fields)} fields, expected "
                            f"{len(self.names)}: {short!r}"
                        )
                    begin = reader.line_num + 1
        if "UTF8" in text or isinstance(error, UnicodeError):
            return _not_text(path, self.encoding)
        return ValueError(f"{path} cannot be read: {text}")

    def digest(self) -> str:
        """Return a hash of all bytes of all files."""
        return "".join(digests_of(self.paths))


class NotNumbers(Exception):
    """A column that should hold numbers does not, somewhere: read it as text to find out where."""


def _text(path: Path, encoding: str) -> Any:
    import pyarrow as pa

    raw = pa.input_stream(str(path), compression=_PACKED.get(path.suffix.lower()))
    return io.TextIOWrapper(io.BufferedReader(raw), _with_bom(encoding), "replace", newline="")


def _with_bom(encoding: str) -> str:
    return "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding


def _first_line(path: Path, encoding: str) -> str:
    """Return the first line with text; more than one where a quoted field has line breaks."""
    found = ""
    try:
        with _text(path, encoding) as file:
            for line in file:
                found = found + line if found or line.strip() else ""
                if "\ufffd" in line or "\0" in line:
                    raise _not_text(path, encoding)
                if found and (found.count('"') % 2 == 0 or len(found) > _HEADER):
                    break
    except (OSError, EOFError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    if not found:
        raise ValueError(f"{path} is empty")
    return found.rstrip("\r\n")


def _not_text(path: Path, encoding: str) -> ValueError:
    with open(path, "rb") as file:
        start = file.read(4)
    for magic, what in _MAGIC.items():
        if start.startswith(magic):
            return ValueError(f"{path} is {what}")
    return ValueError(
        f"{path} is not {encoding} text: name its encoding, such as encoding='latin-1'"
    )


def _fields(line: str, delimiter: str) -> list[str]:
    return next(plain_csv.reader(io.StringIO(line, newline=""), delimiter=delimiter))


def _guess_delimiter(path: Path, line: str) -> str:
    """Take the tab of a .tsv file, or the most frequent of the usual ones in the first line."""
    stem = path.with_suffix("") if path.suffix.lower() in _PACKED else path
    if stem.suffix.lower() in (".tsv", ".tab"):
        return "\t"
    return max(",\t;|", key=line.count)


def unique(names: list[str], where: str) -> None:
    """Raise ValueError when a column occurs twice."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{where} has the column {', '.join(map(repr, twice))} more than once")


def _described(paths: list[Path]) -> str:
    if len(paths) == 1:
        return paths[0].name
    return Message("{file} and {count} more files", file=paths[0].name, count=len(paths) - 1)
