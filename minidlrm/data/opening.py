"""open_source: anything that holds rows, as a Source."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidlrm.arrays import as_path
from minidlrm.data.sources import ParquetSource, Source, TableSource, TextSource, unique

_PARQUET = (".parquet", ".pq")


def open_source(
    rows: Any,
    *,
    delimiter: str | None = None,
    encoding: str = "utf-8",
    column_names: Sequence[str] | None = None,
) -> Source:
    """Return the source of anything that holds rows.

    Parameters
    ----------
    rows : path, glob, list of paths, DataFrame, Arrow table, dict of arrays, or list of dicts
        Files of one kind: text (CSV, TSV; .gz, .zst, .bz2, .lz4) or Parquet. Of objects,
        anything with the Arrow capsule: pandas, polars, pyarrow, DuckDB.
    delimiter, encoding, column_names
        For text files.

    Returns
    -------
    Source
        `rows` itself, when it is one.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    IsADirectoryError
        When a path is a folder.
    TypeError
        When `rows` is none of these.
    ValueError
        When a file is empty, or files do not have the same columns.

    Examples
    --------
    >>> import minidlrm as md
    >>> type(md.data.open_source({"price": [1.0, 2.5]})).__name__
    'TableSource'
    """
    return opened("rows", rows, delimiter, encoding, column_names)


def opened(
    name: str,
    rows: Any,
    delimiter: str | None,
    encoding: str,
    column_names: Sequence[str] | None,
) -> Source:
    """Open `rows`, which the caller's argument `name` holds; errors as `open_source`."""
    if isinstance(rows, Source):
        return rows
    if isinstance(rows, (str, os.PathLike)):
        return _files(_matching(name, rows), delimiter, encoding, column_names)
    if isinstance(rows, (list, tuple)) and rows and isinstance(rows[0], (str, os.PathLike)):
        paths = [path for item in rows for path in _matching(name, item)]
        return _files(paths, delimiter, encoding, column_names)
    table = _as_table(name, rows)
    if not table.column_names:
        raise ValueError(f"{name} has no columns")
    return TableSource(table)


def _matching(name: str, path: Any) -> list[Path]:
    path = as_path(name, path)
    if path.is_file():
        return [path]
    if path.is_dir():
        raise IsADirectoryError(
            f"{name}: {path} is a folder: give a file, or a glob such as {path}/*.csv"
        )
    found = sorted(Path(name) for name in glob.glob(str(path)) if Path(name).is_file())
    if not found:
        raise FileNotFoundError(f"{name}: no file at {path}")
    return found


def _files(
    paths: list[Path],
    delimiter: str | None,
    encoding: str,
    column_names: Sequence[str] | None,
) -> Source:
    parquet = {path.suffix.lower() in _PARQUET for path in paths}
    if len(parquet) > 1:
        raise ValueError(f"{paths[0]} and others are text and Parquet: give files of one kind")
    if parquet == {True}:
        if delimiter is not None or column_names is not None:
            raise ValueError(f"{paths[0]} is Parquet: delimiter and column_names are for text")
        return ParquetSource(paths)
    return TextSource(paths, delimiter, encoding, column_names)


def _as_table(name: str, rows: Any) -> Any:
    import pyarrow as pa

    try:
        if isinstance(rows, pa.Table):
            return rows
        if isinstance(rows, (list, tuple)) and all(isinstance(row, dict) for row in rows):
            if not rows:
                raise ValueError(f"{name} is an empty list")
            keys = dict.fromkeys(key for row in rows for key in row)
            return pa.table({key: _plain([row.get(key) for row in rows]) for key in keys})
        if isinstance(rows, dict):
            for key, column in rows.items():
                if isinstance(column, str) or not np.iterable(column):
                    raise ValueError(
                        f"{name}: column {key} is {column!r}: give a list of values; one row alone "
                        "is a list of one dict"
                    )
            return pa.table({key: _plain(column) for key, column in rows.items()})
        if _is_pandas(rows):
            unique([str(key) for key in rows.columns], "the table")
            columns = {str(key): rows[key] for key in rows.columns}
            return pa.table({key: _from_pandas(column) for key, column in columns.items()})
        if hasattr(rows, "__arrow_c_stream__"):
            return pa.table(rows)
        if hasattr(rows, "__arrow_c_array__"):
            return pa.Table.from_batches([pa.record_batch(rows)])
        if type(rows).__name__ == "LazyFrame":
            raise TypeError(f"{name} is a LazyFrame: call its collect() first")
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"{name} cannot be read as a table: {error}") from None
    raise TypeError(
        f"{name} is a {type(rows).__name__}: give a path, a DataFrame, an Arrow table, "
        "a dict of columns, or a list of dicts"
    )


def _is_pandas(rows: Any) -> bool:
    return type(rows).__module__.split(".")[0] == "pandas" and hasattr(rows, "columns")


def _from_pandas(column: Any) -> Any:
    import pyarrow as pa

    try:
        return pa.array(column, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):  # a column of texts and numbers
        return pa.array([None if x is None or x != x else str(x) for x in column])


def _plain(column: Any) -> Any:
    import pyarrow as pa

    if isinstance(column, np.ndarray) and column.dtype.kind in "biuf":
        return pa.array(np.ascontiguousarray(column).astype(column.dtype.newbyteorder("=")))
    if isinstance(column, (pa.Array, pa.ChunkedArray)):
        return column
    try:
        return pa.array(list(column))
    except (pa.ArrowInvalid, TypeError, OverflowError):  # texts too, or above 64 bits
        return pa.array([None if x is None else str(x) for x in column])
