"""read_libfm: the sparse text formats of libFM, libSVM and libFFM, a list of features a line."""

from __future__ import annotations

import gzip
import os
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from minidlrm.arrays import as_path
from minidlrm.data.batch import Batch, Dataset, Jagged
from minidlrm.data.columns import of_words
from minidlrm.data.cutting import split_in_time, split_rows
from minidlrm.data.features import Categories, Column
from minidlrm.data.intern import Interner
from minidlrm.data.schema import Schema
from minidlrm.languages import Message

_DIGITS = 40  # of an index: of a hash of 128 bits, and one more


def read_libfm(
    train: str | os.PathLike,
    valid: str | os.PathLike | None = None,
    test: str | os.PathLike | None = None,
) -> Dataset:
    r"""Read lines such as ``1 17:1 203:1 451:0.5``: a label, then index:value for each feature.

    Three kinds of lines are told apart by the training file:

    - The same number of features in each line, in the same order (as Frappe and the like have
      them): the k-th becomes table k. An index that moves from one place to another is an error.
    - Any number of features: all indices share one table, and a line is a bag.
    - libFFM's ``field:index:value``: each field becomes a table, and holds a bag.

    Within a table, id 0 stands for an index that the training rows do not have; the others are
    numbered from 1, in rising order. Indices of 2^63 and more, such as hashes, are read as text:
    then all are numbered in the order of text. Values other than 1 become the weights of the ids.
    Where the training labels are -1 and 1, every label above 0 becomes 1 and the others 0; other
    labels, such as ratings, stay as they are. Empty lines, and what follows a #, are left out.

    Parameters
    ----------
    train : path
        The training file.
    valid, test : path, optional
        The others. Without both, the last seventh of `train` is halved into them.

    Returns
    -------
    Dataset
        Without dense features. Its `task` is "clicks" where all training labels lie in [0, 1].

    Raises
    ------
    FileNotFoundError
        When the file does not exist.
    ValueError
        When a file is empty or is not text, or a line is malformed (file and line are named); or
        when only one of `valid` and `test` is given.

    Examples
    --------
    >>> import os, tempfile, minidlrm as md
    >>> path = os.path.join(tempfile.mkdtemp(), "train.libfm")
    >>> _ = open(path, "w").write("1 3:1 17:1\n-1 4:1 17:1\n" * 14)
    >>> clicks = md.data.read_libfm(path)
    >>> clicks.table_sizes, clicks.train.sparse[:2].tolist(), clicks.train.label[:2].tolist()
    ([3, 2], [[1, 1], [2, 1]], [1.0, 0.0])
    """
    if (valid is None) != (test is None):
        raise ValueError("give both valid and test, or neither")
    others = {name: path for name, path in (("valid", valid), ("test", test)) if path is not None}
    files = [_read(as_path(name, path)) for name, path in {"train": train, **others}.items()]
    if any(file.index.dtype.kind == "U" for file in files):
        files = [replace(file, index=file.index.astype(str)) for file in files]
    first = files[0]
    in_order = all(file.in_order for file in files)
    for file in files:
        if in_order and file.width != first.width:
            wide = f"{file.path} has {file.width} fields a line"
            raise ValueError(f"{wide}, {first.path} {first.width}")
    fields = _fields(files, in_order)
    count = split_rows(first.rows)[0] if valid is None else first.rows
    if count == 0:
        raise ValueError(f"{first.path} has {first.rows} rows: none is left to train on")
    known = [np.unique(first.index[(first.field == k) & (first.row < count)]) for k in fields]
    weighted = any((file.value != 1).any() for file in files)
    minus = {-1.0, 1.0} >= set(np.unique(first.label[:count]).tolist())
    batches = [_batch(file, fields, known, in_order, weighted, minus) for file in files]
    splits = split_in_time(batches[0]) if valid is None else batches
    label = np.asarray(splits[0].label)
    task = "clicks" if ((label >= 0) & (label <= 1)).all() else "ratings"
    names = [f"field{k}" for k in fields] if len(fields) > 1 or in_order else ["features"]
    rows = sum(map(len, batches))
    paths = ", ".join(file.path.name for file in files)
    return Dataset(
        splits[0],
        splits[1],
        splits[2],
        [len(values) + 1 for values in known],
        names,
        Message(
            "libfm: {rows} rows of {files}, {fields} fields",
            rows=f"{rows:,}",
            files=paths,
            fields=len(fields),
        ),
        task=task,
        vocabulary=known,
        schema=_schema(names, known, in_order and not weighted, task),
    )


def _schema(names: list[str], known: list[np.ndarray], one_each: bool, task: str) -> Schema:
    """Describe the tables: a column of indices each; bags are lists, or text with spaces."""
    columns = []
    for name, values in zip(names, known, strict=True):
        words = of_words(map(str, values.tolist()))
        whole = values.dtype.kind == "i"
        categories = Categories(Interner(words.text, words.offsets[1:]), integers=whole)
        column = Column(name, "sparse", categories=categories, distinct=len(values))
        columns.append(column if one_each else replace(column, role="bag", separator=" "))
    return Schema(tuple(columns), "label", task)


@dataclass(frozen=True, eq=False)
class _File:
    """A file: a label for each row, and for each feature its row, field, index and value."""

    path: Path
    lines: list[int]  # the number of each row's line
    label: np.ndarray
    row: np.ndarray
    field: np.ndarray
    index: np.ndarray
    value: np.ndarray
    triples: bool  # whether the fields are named, as libFFM has them
    width: int  # features of the first line

    @property
    def rows(self) -> int:
        return len(self.label)

    @property
    def in_order(self) -> bool:
        """Whether every line has the same number of features, and fields are places."""
        counts = np.bincount(self.row, minlength=self.rows)
        return not self.triples and bool((counts == self.width).all())


def _fields(files: list[_File], in_order: bool) -> list[int]:
    """Return the fields that become tables; check that each index keeps to its place."""
    if files[0].triples:
        return np.unique(files[0].field).tolist()
    if not in_order:
        for file in files:
            file.field[:] = 0
        return [0]
    for file in files:
        _check_places(file)
    return list(range(files[0].width))


def _check_places(file: _File) -> None:
    """Refuse an index that moves: one that no place has in each line where it occurs."""
    index, code = np.unique(file.index, return_inverse=True)
    pairs = np.unique(code * file.width + file.field)  # each index with each of its places
    for k in np.unique(pairs[1:][np.diff(pairs // file.width) == 0] // file.width):
        own = code == k
        usual = np.bincount(file.field[own]).argmax()
        moved = own & ~np.isin(file.row, file.row[own & (file.field == usual)])
        if not moved.any():  # once more beside its place, as in 7:1 7:1
            continue
        at = int(moved.argmax())
        raise ValueError(
            f"{file.path}: line {file.lines[file.row[at]]}: index {index[k]} is feature "
            f"{file.field[at] + 1} here, and feature {usual + 1} elsewhere: features must come in "
            "one order (or name their fields, as libFFM's field:index:value does)"
        )


def _batch(
    file: _File, fields: Any, known: Any, in_order: bool, weighted: bool, minus: bool
) -> Batch:
    label = (file.label > 0).astype(np.float64) if minus else file.label
    ids, counts, weights = [], [], []
    for k, column in zip(fields, known, strict=True):
        own = file.field == k
        index = file.index[own]
        ids.append(np.where(np.isin(index, column), np.searchsorted(column, index) + 1, 0))
        counts.append(np.bincount(file.row[own], minlength=file.rows))
        weights.append(file.value[own].astype(np.float32))
    dense = np.zeros((file.rows, 0), np.float32)
    if in_order and not weighted:
        return Batch(dense, np.stack(ids, axis=1), label.astype(np.float32))
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    bags = Jagged(np.concatenate(ids), offsets, np.concatenate(weights) if weighted else None)
    return Batch(dense, bags, label.astype(np.float32))


def _read(path: Path) -> _File:
    if not path.is_file():
        raise FileNotFoundError(f"no file at {path}")
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as file:
            text = file.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} cannot be unpacked: {error}") from None
    lines = [
        (number, line.partition("#")[0].split())
        for number, line in enumerate(text.split("\n"), 1)
        if line.partition("#")[0].strip()
    ]
    if not lines:
        raise ValueError(f"{path} is empty")
    first = lines[0][1]
    colons = {token.count(":") for token in first[1:]}
    if not colons or colons - {1, 2} or len(colons) > 1:
        shown = " ".join(first)[:60]
        raise ValueError(f"{path}: line {lines[0][0]} has no index:value pair: {shown!r}")
    triples = colons == {2}
    for number, tokens in lines:
        form = "field:index:value triples" if triples else "index:value pairs"
        if ":" in tokens[0] or any(token.count(":") != 1 + triples for token in tokens[1:]):
            shown = " ".join(tokens)[:60]
            raise ValueError(f"{path}: line {number}: expected a label and {form}: {shown!r}")
    counts = np.array([len(tokens) - 1 for _, tokens in lines])
    row = np.repeat(np.arange(len(lines)), counts)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    parts = [token.split(":") for _, tokens in lines for token in tokens[1:]]
    where = [number for number, _ in lines]
    label = _floats(path, [tokens[0] for _, tokens in lines], where)
    of = [where[k] for k in row]
    index = _whole(path, [part[-2] for part in parts], of)
    value = _floats(path, [part[-1] for part in parts], of)
    field = _whole(path, [part[0] for part in parts], of, 9) if triples else place
    return _File(path, where, label, row, field, index, value, triples, int(counts[0]))


def _floats(path: Path, words: list[str], lines: list[int]) -> np.ndarray:
    try:
        numbers = np.array(words, np.float64) if words else np.zeros(0)
        wrong = ~np.isfinite(numbers)
    except ValueError:
        wrong = np.array([not _is_number(word) for word in words])
    if wrong.any():
        k = int(wrong.argmax())
        raise ValueError(f"{path}: line {lines[k]}: {words[k]!r} is not a number")
    return numbers


def _is_number(word: str) -> bool:
    try:
        return bool(np.isfinite(float(word)))
    except ValueError:
        return False


def _whole(path: Path, words: list[str], lines: list[int], digits: int = _DIGITS) -> np.ndarray:
    """Read indices exactly: int64, or text where one has no int64."""
    for k, word in enumerate(words):
        if not (word.isascii() and word.isdigit() and len(word) <= digits):
            raise ValueError(
                f"{path}: line {lines[k]}: {word!r} is not an index: "
                f"it must be a whole number of at most {digits} digits"
            )
    numbers = [int(word) for word in words]
    return np.array(numbers, np.int64 if max(numbers, default=0) < 2**63 else str)
