"""read_criteo: the Criteo click logs, read as a stream, encoded, and cached on disk.

The text is parsed once, block by block, into flat files of numbers: labels, dense
features, and one file of raw categories for each column. The vocabulary is then counted
from the training rows, one column at a time, and the categories become ids. So memory
holds one block, or one column, and the vocabulary; the result is memory-mapped.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from minidlrm.arrays import as_flag, as_path, as_size, check_word
from minidlrm.data.batch import Batch, Dataset
from minidlrm.data.columns import hex_words
from minidlrm.data.criteo_text import (
    DENSE,
    NUM_DENSE,
    NUM_TABLES,
    SPARSE,
    Reader,
    read_layout,
)
from minidlrm.data.cutting import split_in_time, split_rows
from minidlrm.data.digests import digests_of
from minidlrm.data.encode import MAX_IDS, Vocabulary, hash_ids
from minidlrm.data.features import Categories, Column
from minidlrm.data.intern import Interner
from minidlrm.data.schema import Schema
from minidlrm.data.spool import Spool, cached, open_entry
from minidlrm.languages import Message, joined, say
from minidlrm.machine import cores

_CHUNK_ROWS = 1 << 18  # encoded at a time
_VERSION = 3  # of the cache's format


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
        Hash the categories of each column to this many ids instead of counting them.
    vocabulary : Dataset or Vocabulary, optional
        Of an earlier file: the ids mean the same then, and all rows go to ``.test``.
    rows : int, optional
        Read only this many rows.
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
        When the file does not exist.
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
    path, progress = as_path("path", path), as_flag("progress", progress)
    known = vocabulary.vocabulary if isinstance(vocabulary, Dataset) else vocabulary
    min_count, hash_size, rows = _sizes(min_count, hash_size, rows)
    _check_options(hash_size, known, on_bad_line)
    layout = read_layout(path)
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
        "has_label": layout.has_label,
    }
    entry = as_path("cache_dir", cache_dir) / f"criteo-{_key(path, options)}"
    cached(entry, lambda spool: _fill(path, layout, options, known, spool, progress))
    dataset, skipped = _open(path, layout, entry, known)
    if skipped:
        warnings.warn(f"{path}: {skipped} malformed lines were skipped", stacklevel=2)
    return dataset


def _sizes(
    min_count: int, hash_size: int | None, rows: int | None
) -> tuple[int, int | None, int | None]:
    """Return the sizes as Python integers, which the key of the cache can hold."""
    return (
        as_size("min_count", min_count),
        None if hash_size is None else as_size("hash_size", hash_size),
        None if rows is None else as_size("rows", rows),
    )


def _check_options(hash_size: int | None, known: Any, on_bad_line: str) -> None:
    check_word("on_bad_line", on_bad_line, "error", "skip")
    if known is not None and not isinstance(known, Vocabulary):
        raise TypeError(f"vocabulary is {type(known).__name__}: give a Dataset or a Vocabulary")
    if known is not None and hash_size is not None:
        raise ValueError("vocabulary and hash_size exclude each other")
    if hash_size is not None and hash_size > MAX_IDS:
        raise ValueError(f"hash_size is {hash_size}: ids are int32, so at most {MAX_IDS} fit")


def _key(path: Path, options: dict[str, Any]) -> str:
    parts = [_VERSION, path.suffix == ".gz", *digests_of([path]), options]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


def _fill(
    path: Path, layout: Any, options: dict[str, Any], known: Any, spool: Spool, progress: bool
) -> None:
    """Parse, count and encode the rows."""
    count, skipped = _parse(path, layout, options, spool, progress)
    if count == 0:
        raise ValueError(f"{path} has no rows")
    spool.meta = {"rows": count, "skipped": skipped}
    spool.meta["table_sizes"] = _encode(spool, count, options, known, progress)


def _open(path: Path, layout: Any, entry: Path, known: Any) -> tuple[Dataset, int]:
    stored = open_entry(entry)
    meta, arrays = stored.meta, stored.arrays
    data = Batch(arrays["dense"], arrays["sparse"], arrays.get("label"))
    vocabulary = known
    if known is None and "values0" in arrays:
        values = [np.array(arrays[f"values{t}"]) for t in range(NUM_TABLES)]
        vocabulary = Vocabulary(values, [np.array(arrays[f"ids{t}"]) for t in range(NUM_TABLES)])
    only_test = known is not None or not layout.has_label
    train, valid, test = (data[:0], data[:0], data) if only_test else split_in_time(data)
    count, skipped = f"{meta['rows']:,}", meta["skipped"]
    told = [Message("Criteo: {count} rows of {file}", count=count, file=path.name)]
    if skipped:
        told.append(Message("{count} malformed lines skipped", count=skipped))
    dataset = Dataset(
        train,
        valid,
        test,
        meta["table_sizes"],
        [*DENSE, *SPARSE],
        joined(told, ", "),
        vocabulary=vocabulary,
        schema=None if vocabulary is None else _schema(vocabulary),
    )
    return dataset, skipped


def _schema(vocabulary: Vocabulary) -> Schema:
    """Describe the columns: counts of which the logarithm is taken, and hexadecimal categories."""
    columns = [Column(name, "dense", "log") for name in DENSE]
    for name, values, ids in zip(SPARSE, vocabulary.values, vocabulary.ids, strict=True):
        words = hex_words(values[np.argsort(ids)])
        known = Interner(words.text, words.offsets[1:])
        columns.append(
            Column(
                name, "sparse", categories=Categories(known, hexadecimal=True), distinct=len(ids)
            )
        )
    return Schema(tuple(columns), "label")


def _parse(
    path: Path, layout: Any, options: dict[str, Any], spool: Spool, progress: bool
) -> tuple[int, int]:
    """Spool labels, dense features and raw categories; return the rows, and those skipped."""
    reader = Reader(path, layout, options["on_bad_line"])
    limit, count = options["rows"], 0
    with _bar(path.stat().st_size, say("reading"), "B", progress) as bar:
        for label, dense, raw in reader.blocks():
            keep = slice(None if limit is None else limit - count)
            spool.append("dense", dense[keep])
            if label is not None:
                spool.append("label", label[keep])
            for t, column in enumerate(raw):
                spool.append(f"raw{t}", column[keep])
            count += len(dense[keep])
            bar.update(reader.position - bar.n)
            if count == limit:
                break
    return count, reader.num_bad + len(reader.wrong_width)


# The ids


def _encode(
    spool: Spool, count: int, options: dict[str, Any], known: Any, progress: bool
) -> list[int]:
    """Turn raw categories into ids; return the table sizes."""
    spool.keep("dense", (count, NUM_DENSE))
    if options["has_label"]:
        spool.keep("label", (count,))
    vocabulary, hash_size = known, options["hash_size"]
    if known is None and hash_size is None:
        first_valid = split_rows(count)[0]
        vocabulary = Vocabulary([], [])
        for t in _columns(progress):
            own = Vocabulary.fit([spool.column(f"raw{t}")[:first_valid]], options["min_count"])
            for key, array in (("values", own.values[0]), ("ids", own.ids[0])):
                getattr(vocabulary, key).append(array)
                spool.output(f"{key}{t}", array.dtype, array.shape)[...] = array
    ids = spool.output("sparse", np.int32, (count, NUM_TABLES))
    with (
        _bar(count, say("encoding"), say("row"), progress) as bar,
        ThreadPoolExecutor(cores()) as pool,
    ):
        for start in range(0, count, _CHUNK_ROWS):
            stop = min(start + _CHUNK_ROWS, count)

            def encode(t: int, start: int = start, stop: int = stop) -> None:
                codes = np.asarray(spool.column(f"raw{t}")[start:stop])
                if hash_size is None:
                    ids[start:stop, t] = vocabulary.encode(t, codes)
                else:
                    ids[start:stop, t] = hash_ids(codes, t, hash_size)

            list(pool.map(encode, range(NUM_TABLES)))  # a search leaves the lock of Python
            bar.update(stop - start)
    return [hash_size] * NUM_TABLES if hash_size is not None else vocabulary.sizes


def _columns(progress: bool) -> Any:
    """Count the tables with a progress bar."""
    from tqdm.auto import tqdm

    hide = not progress
    return tqdm(
        range(NUM_TABLES), say("counting categories"), unit=say("column"), disable=hide, leave=False
    )


def _bar(total: int, what: str, unit: str, show: bool) -> Any:
    from tqdm.auto import tqdm

    return tqdm(total=total, desc=what, unit=unit, unit_scale=True, disable=not show, leave=False)
