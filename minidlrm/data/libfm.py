"""read_libfm: the sparse text format of libFM and libSVM, one feature a field in each line."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from minidlrm.data.batch import Batch, Dataset, Jagged, split_in_time


def read_libfm(
    train: str | os.PathLike,
    valid: str | os.PathLike | None = None,
    test: str | os.PathLike | None = None,
) -> Dataset:
    r"""Read lines such as ``1 17:1 203:1 451:0.5``: a label, then index:value for each field.

    Every line must have the same number of fields, in the same order (as Frappe and the
    like have them): the k-th field becomes table k. Within a table, id 0 stands for an index
    that the training rows do not have; the others are numbered from 1, in rising order.
    Values other than 1 become the weights of the ids. Labels -1 and 1 become 0 and 1; others,
    such as ratings, stay as they are.

    Parameters
    ----------
    train : path
        The training file.
    valid, test : path, optional
        The others. Without both, the last seventh of `train` is halved into them.

    Returns
    -------
    Dataset
        Without dense features. Its `vocabulary` is a list of the known indices of each table.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When a file is empty, or a line is malformed (file and line are named); or when only
        one of `valid` and `test` is given.

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
    paths = (
        [Path(train)] if valid is None or test is None else [Path(train), Path(valid), Path(test)]
    )
    files = [_read(path) for path in paths]
    num_fields = files[0][1].shape[1]
    for path, (_, indices, _) in zip(paths, files, strict=True):
        if indices.shape[1] != num_fields:
            raise ValueError(
                f"{path} has {indices.shape[1]} fields a line, {paths[0]} {num_fields}"
            )
    count = len(files[0][0]) if len(files) > 1 else len(files[0][0]) * 6 // 7
    known = [np.unique(files[0][1][:count, k]) for k in range(num_fields)]
    weighted = any((values != 1).any() for _, _, values in files)
    clicks = {-1.0, 1.0} >= {float(x) for label, _, _ in files for x in np.unique(label)}
    batches = [_batch(file, known, weighted, clicks) for file in files]
    splits = batches if len(batches) == 3 else split_in_time(batches[0])
    rows = sum(map(len, batches))
    return Dataset(
        splits[0],
        splits[1],
        splits[2],
        [len(values) + 1 for values in known],
        [f"field{k}" for k in range(num_fields)],
        f"libfm: {rows:,} rows of {', '.join(path.name for path in paths)}, {num_fields} fields",
        task="clicks" if {0.0, 1.0} >= set(np.asarray(splits[0].label).tolist()) else "ratings",
        vocabulary=known,
    )


def _batch(file, known: list[np.ndarray], weighted: bool, clicks: bool) -> Batch:
    label, indices, values = file
    ids = np.empty(indices.shape, np.int64)  # (n, T)
    for k, column in enumerate(known):
        place = np.minimum(np.searchsorted(column, indices[:, k]), len(column) - 1)
        ids[:, k] = np.where(column[place] == indices[:, k], place + 1, 0)
    sparse: np.ndarray | Jagged = ids
    if weighted:
        offsets = np.arange(ids.size + 1)
        sparse = Jagged(ids.T.ravel(), offsets, values.T.ravel().astype(np.float32))
    if clicks:
        label = (label > 0).astype(np.float64)
    return Batch(np.zeros((len(ids), 0), np.float32), sparse, label.astype(np.float32))


def _read(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels (n,), indices (n, T) and values (n, T)."""
    if not path.is_file():
        raise FileNotFoundError(f"no file at {path}")
    lines = path.read_text(encoding="utf-8").splitlines()
    if not lines:
        raise ValueError(f"{path} is empty")
    width = lines[0].count(":")
    if width == 0:
        raise ValueError(f"{path}: line 1 has no index:value pair: {lines[0][:60]!r}")
    for k, line in enumerate(lines, 1):
        if line.count(":") != width or len(line.split()) != width + 1:
            raise ValueError(
                f"{path}: line {k} has not a label and {width} index:value pairs: {line[:60]!r}"
            )
    try:
        numbers = np.array(" ".join(lines).replace(":", " ").split(), np.float64)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    table = numbers.reshape(len(lines), 1 + 2 * width)
    indices = table[:, 1::2]
    bad = ~np.isfinite(table).all(axis=1) | (indices < 0).any(axis=1)
    bad |= (indices != np.floor(indices)).any(axis=1)
    if bad.any():
        k = int(bad.argmax())
        raise ValueError(f"{path}: line {k + 1} has a bad number: {lines[k][:60]!r}")
    return table[:, 0], indices.astype(np.int64), table[:, 2::2]
