"""read_criteo: the Criteo click logs, read as a stream, encoded, and cached on disk.

The text is parsed once, block by block, into flat files of numbers: labels, dense
features, and one file of raw categories for each column. The vocabulary is then counted
from the training rows, one column at a time, and the categories become ids. So memory
holds one block, or one column, and the vocabulary; the result is memory-mapped.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minidlrm.data.batch import Batch, Dataset, split_in_time, split_rows
from minidlrm.data.encode import Vocabulary, hash_ids, log_transform, parse_hex

NUM_DENSE, NUM_TABLES = 13, 26
_DENSE = [f"I{k + 1}" for k in range(NUM_DENSE)]
_SPARSE = [f"C{t + 1}" for t in range(NUM_TABLES)]
_INTEGER = r"^(-?[0-9]+(\.0*)?)?$"
_BLOCK_BYTES = 8 << 20  # of text at a time
_CHUNK_ROWS = 1 << 18  # encoded at a time
_VERSION = 1  # of the cache's format


def read_criteo(
    path: str | os.PathLike,
    *,
    min_count: int = 2,
    hash_size: int | None = None,
    vocabulary: Dataset | Vocabulary | None = None,
    rows: int | None = None,
    on_bad_line: str = "error",
    cache_dir: str | os.PathLike | None = None,
    progress: bool = True,
) -> Dataset:
    r"""Read a file of the Criteo Display Advertising Challenge.

    Each line has a label, 13 integers and 26 hexadecimal categories, with tabs between
    and nothing where a value is missing. A comma-separated file with a header (label,
    I1 ... I13, C1 ... C26, in any order), a file without labels, and ``.gz`` are read too.

    Integers become log(1 + max(x, 0)), a missing one 0. A missing category is the
    category 0. The rows are split in the order of the file: six sevenths to train, and
    the last seventh halved into validation and test rows.

    Parameters
    ----------
    path : path
        The file.
    min_count : int
        Categories that occur less often in the training rows share the id 0 with those
        that do not occur there. With 1, nothing trains the vector of id 0.
    hash_size : int, optional
        Hash the categories of each column to so many ids instead of counting them.
    vocabulary : Dataset or Vocabulary, optional
        Of an earlier file: the ids mean the same then, and all rows go to ``.test``.
    rows : int, optional
        Read only so many rows.
    on_bad_line : "error" or "skip"
        Stop at a malformed line; or skip and count them, and warn of the count.
    cache_dir : path, optional
        Where the encoded data are kept. The default is the user's cache folder.
    progress : bool
        Whether to show progress bars.

    Returns
    -------
    Dataset
        Memory-mapped. Its `vocabulary` reads further files. The ids are int32 on disk.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When a line is malformed (file, line, column and text are named), the file is empty
        or truncated, an option is out of range, or a file without labels comes without a
        vocabulary.
    TypeError
        When `vocabulary` is neither a Dataset nor a Vocabulary.
    OSError
        When the encoded data cannot be written to `cache_dir`.

    Examples
    --------
    >>> import os, tempfile, minidlrm as md
    >>> folder = tempfile.mkdtemp()
    >>> line = "\t".join(["1", *["5"] * 13, *["68fd1e64"] * 26])
    >>> path = os.path.join(folder, "train.txt")
    >>> _ = open(path, "w").write(f"{line}\n" * 28)
    >>> clicks = md.data.read_criteo(path, cache_dir=folder, progress=False)
    >>> len(clicks.train), len(clicks.valid), len(clicks.test), clicks.table_sizes[:3]
    (24, 2, 2, [2, 2, 2])
    """
    path = Path(path)
    known = vocabulary.vocabulary if isinstance(vocabulary, Dataset) else vocabulary
    _check_options(min_count, hash_size, known, rows, on_bad_line)
    layout = _layout(path)
    if not layout.has_label and known is None and hash_size is None:
        raise ValueError(
            f"{path} has no labels: give vocabulary=, the Dataset of the training file, "
            "or hash_size="
        )
    if cache_dir is None:
        import pooch

        cache_dir = pooch.os_cache("minidlrm")
    options = {
        "min_count": min_count,
        "hash_size": hash_size,
        "vocabulary": known.digest() if known is not None else None,
        "rows": rows,
        "on_bad_line": on_bad_line,
    }
    entry = Path(cache_dir) / f"criteo-{_key(path, options)}"
    if not (entry / "meta.json").is_file():
        _build(path, layout, options, known, entry, progress)
    dataset, skipped = _open(path, layout, entry, known)
    if skipped:
        warnings.warn(f"{path}: {skipped} malformed lines were skipped", stacklevel=2)
    return dataset


def _check_options(min_count, hash_size, known, rows, on_bad_line) -> None:
    for name, value in (("min_count", min_count), ("hash_size", hash_size), ("rows", rows)):
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}: it must be at least 1")
    if on_bad_line not in ("error", "skip"):
        raise ValueError(f"on_bad_line is {on_bad_line!r}: it must be 'error' or 'skip'")
    if known is not None and not isinstance(known, Vocabulary):
        raise TypeError(f"vocabulary is {type(known).__name__}: give a Dataset or a Vocabulary")
    if known is not None and hash_size is not None:
        raise ValueError("vocabulary and hash_size exclude each other")


@dataclass(frozen=True)
class _Layout:
    """What the first line says of the file."""

    delimiter: str
    names: list[str]
    header: bool

    @property
    def has_label(self) -> bool:
        return "label" in self.names


def _layout(path: Path) -> _Layout:
    if not path.is_file():
        raise FileNotFoundError(f"no file at {path}")
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as file:
            first = file.readline(1 << 16).decode("utf-8", "replace").rstrip("\r\n")
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} cannot be unpacked: {error}") from None
    if not first:
        raise ValueError(f"{path} is empty, or its first line is")
    delimiter = "\t" if "\t" in first else ","
    fields = first.split(delimiter)
    features = [*_DENSE, *_SPARSE]
    if set(features) <= set(fields):
        return _Layout(delimiter, fields, header=True)
    if len(fields) not in (NUM_DENSE + NUM_TABLES, 1 + NUM_DENSE + NUM_TABLES):
        raise ValueError(
            f"{path}: line 1 has {len(fields)} fields: expected 40 (label, 13 integers, 26 "
            "categories), 39 without the label, or a header with I1 ... I13 and C1 ... C26"
        )
    label = ["label"] if len(fields) == 1 + NUM_DENSE + NUM_TABLES else []
    return _Layout(delimiter, label + features, header=False)


def _key(path: Path, options: dict[str, Any]) -> str:
    stat = path.stat()
    parts = [_VERSION, str(path.resolve()), stat.st_size, stat.st_mtime_ns, options]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


def _build(path, layout, options, known, entry: Path, progress: bool) -> None:
    """Write a cache entry in a temporary folder, and rename it when it is whole."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".criteo-", dir=entry.parent))
    try:
        count, skipped = _parse(path, layout, options, folder, progress)
        if count == 0:
            raise ValueError(f"{path} has no rows")
        sizes = _encode(folder, count, options, known, progress)
        meta = {"rows": count, "skipped": skipped, "table_sizes": sizes}
        (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
        with contextlib.suppress(OSError):  # another process has finished the same entry first
            os.rename(folder, entry)
        if not (entry / "meta.json").is_file():
            raise OSError(f"the cache entry {entry} could not be written")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _open(path, layout, entry: Path, known) -> tuple[Dataset, int]:
    meta = json.loads((entry / "meta.json").read_text(encoding="utf-8"))
    count = meta["rows"]

    def mapped(name: str, dtype, *shape: int) -> np.ndarray:
        return np.memmap(entry / name, dtype, mode="r", shape=(count, *shape))

    dense = mapped("dense.bin", np.float32, NUM_DENSE)
    sparse = mapped("sparse.bin", np.int32, NUM_TABLES)
    label = mapped("label.bin", np.float32) if layout.has_label else None
    data = Batch(dense, sparse, label)
    vocabulary = known
    if known is None and (entry / "vocabulary.npz").is_file():
        vocabulary = Vocabulary.load(entry / "vocabulary.npz")
    only_test = known is not None or not layout.has_label
    train, valid, test = (data[:0], data[:0], data) if only_test else split_in_time(data)
    skipped = f", {meta['skipped']} malformed lines skipped" if meta["skipped"] else ""
    description = f"Criteo: {count:,} rows of {path.name}{skipped}"
    names = [*_DENSE, *_SPARSE]
    sizes = meta["table_sizes"]
    dataset = Dataset(train, valid, test, sizes, names, description, vocabulary=vocabulary)
    return dataset, meta["skipped"]


# The text, block by block


def _parse(path: Path, layout: _Layout, options, folder: Path, progress: bool) -> tuple[int, int]:
    """Write label.bin, dense.bin and raw0.bin ... raw25.bin; return the rows, and those skipped."""
    reader = _Reader(path, layout, options["on_bad_line"])
    limit, count = options["rows"], 0
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(_bar(path.stat().st_size, "reading", "B", progress))
        open_ = lambda name: stack.enter_context(open(folder / name, "wb"))  # noqa: E731
        dense_file, label_file = open_("dense.bin"), open_("label.bin")
        raw_files = [open_(f"raw{t}.bin") for t in range(NUM_TABLES)]
        for label, dense, raw in reader.blocks():
            keep = slice(None if limit is None else limit - count)
            dense[keep].tofile(dense_file)
            if label is not None:
                label[keep].tofile(label_file)
            for file, column in zip(raw_files, raw, strict=True):
                column[keep].tofile(file)
            count += len(dense[keep])
            bar.update(reader.position - bar.n)
            if count == limit:
                break
    return count, reader.num_bad + len(reader.wrong_width)


class _Reader:
    """Blocks of parsed rows, with the line number of every row that is malformed."""

    def __init__(self, path: Path, layout: _Layout, on_bad_line: str):
        self.path, self.layout, self.on_bad_line = path, layout, on_bad_line
        self.position = 0  # bytes of the file that have been read
        self.num_bad = 0  # rows with a malformed field
        self.num_rows = 0  # rows the CSV reader has returned
        self.wrong_width: list[int] = []  # lines it has not, in order
        self.fault = ""  # the line of the wrong width that stopped it

    def blocks(self) -> Iterator[tuple[np.ndarray | None, np.ndarray, list[np.ndarray]]]:
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

    def _open(self, file):
        import pyarrow as pa
        from pyarrow import csv

        text = pa.CompressedInputStream(file, "gzip") if self.path.suffix == ".gz" else file
        names = self.layout.names
        wanted = [name for name in names if name in {"label", *_DENSE, *_SPARSE}]
        return csv.open_csv(
            text,
            read_options=csv.ReadOptions(
                column_names=names,
                skip_rows=int(self.layout.header),
                block_size=_BLOCK_BYTES,
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

    def _on_wrong_width(self, row) -> str:
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

    def _convert(self, table):
        columns = {name: table.column(name) for name in table.schema.names}
        bad = np.zeros(len(table), bool)
        label = None
        if self.layout.has_label:
            label, wrong = _parse_label(columns["label"])
            self._note(bad, wrong, columns, "label", "not 0 or 1")
        dense = np.empty((len(table), NUM_DENSE), np.float32)
        empty = np.ones(len(table), bool)
        for k, name in enumerate(_DENSE):
            numbers, wrong, missing = _parse_integers(columns[name])
            self._note(bad, wrong, columns, name, "not an integer")
            dense[:, k] = log_transform(numbers)
            empty &= missing
        raw = []
        for name in _SPARSE:
            codes, wrong, missing = _parse_categories(columns[name])
            self._note(bad, wrong, columns, name, "not 1 to 8 hexadecimal digits")
            raw.append(codes)
            empty &= missing
        if label is None:
            self._note(bad, empty, columns, _DENSE[0], "part of an empty line")
        self.num_rows += len(table)
        self.num_bad += int(bad.sum())
        if bad.any():
            keep = ~bad
            label = None if label is None else label[keep]
            return label, dense[keep], [column[keep] for column in raw]
        return label, dense, raw

    def _note(self, bad: np.ndarray, wrong: np.ndarray, columns, name: str, what: str) -> None:
        """Mark the wrong rows; in the mode "error", raise for the first one."""
        if not wrong.any():
            return
        if self.on_bad_line == "error":
            row = int(wrong.argmax())
            line, text = self._line(self.num_rows + row), columns[name][row].as_py()
            raise ValueError(f"{self.path}: line {line}, column {name}: {text!r} is {what}")
        bad |= wrong


def _parse_label(column) -> tuple[np.ndarray, np.ndarray]:
    text, offsets = _bytes(column)
    lengths = np.diff(offsets)
    first = text[np.minimum(offsets[:-1], max(0, len(text) - 1))] if len(text) else lengths * 0
    label = (first == ord("1")).astype(np.float32)
    return label, (lengths != 1) | ((first != ord("0")) & (first != ord("1")))


def _parse_integers(column) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return float64 numbers (0 where missing), which are malformed, and which are missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    missing = np.asarray(pc.equal(column, ""))
    wrong = np.zeros(len(column), bool)
    filled = pc.if_else(pa.array(missing), "0", column)
    try:
        numbers = np.asarray(pc.cast(filled, pa.int64()), np.float64)
    except pa.ArrowInvalid:  # 260.0, or a malformed one: the slow way
        wrong = ~np.asarray(pc.match_substring_regex(column, _INTEGER))
        numbers = np.asarray(pc.cast(pc.if_else(pa.array(wrong), "0", filled), pa.float64()))
    return numbers, wrong, missing


def _parse_categories(column) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    text, offsets = _bytes(column)
    codes, wrong = parse_hex(text, offsets)
    return codes, wrong, np.diff(offsets) == 0


def _bytes(column) -> tuple[np.ndarray, np.ndarray]:
    """Return the characters of a string column, and the offsets (n + 1,)."""
    _, offsets, text = column.buffers()
    places = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    return np.frombuffer(text or b"", np.uint8), places.astype(np.int64)


# The ids


def _encode(folder: Path, count: int, options, known, progress: bool) -> list[int]:
    """Turn raw*.bin into sparse.bin; return the table sizes."""

    def raw(t: int, start: int, stop: int) -> np.ndarray:  # read, not mapped: memory stays free
        place = folder / f"raw{t}.bin"
        return np.fromfile(place, np.uint32, count=stop - start, offset=4 * start)

    vocabulary, hash_size = known, options["hash_size"]
    if known is None and hash_size is None:
        first_valid = split_rows(count)[0]
        with _bar(NUM_TABLES, "counting categories", "column", progress) as bar:
            columns = (_told(bar, raw(t, 0, first_valid)) for t in range(NUM_TABLES))
            vocabulary = Vocabulary.fit(columns, options["min_count"])
        vocabulary.save(folder / "vocabulary.npz")
    with (
        open(folder / "sparse.bin", "wb") as file,
        _bar(count, "encoding", "row", progress) as bar,
    ):
        for start in range(0, count, _CHUNK_ROWS):
            stop = min(start + _CHUNK_ROWS, count)
            ids = np.empty((stop - start, NUM_TABLES), np.int32)
            for t in range(NUM_TABLES):
                codes = raw(t, start, stop)
                if hash_size is None:
                    ids[:, t] = vocabulary.encode(t, codes)
                else:
                    ids[:, t] = hash_ids(codes, t, hash_size)
            ids.tofile(file)
            bar.update(len(ids))
    for t in range(NUM_TABLES):
        (folder / f"raw{t}.bin").unlink()
    return [hash_size] * NUM_TABLES if hash_size is not None else vocabulary.sizes


def _told(bar, value):
    bar.update()
    return value


def _bar(total: int, what: str, unit: str, show: bool):
    from tqdm.auto import tqdm

    return tqdm(total=total, desc=what, unit=unit, unit_scale=True, disable=not show, leave=False)
