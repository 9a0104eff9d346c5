"""A sharded checkpoint: a folder with a file for each rank, and an index that is written last.

The index holds the header of a checkpoint, the digest of each file, and which rows and columns of
which arrays are in which file. So any number of ranks can read the folder, or one process. Its
``content`` digest is that of a checkpoint in one file: both are over whole arrays, which travel to
rank 0 a few rows at a time. Until the index is replaced, the files that it names are left alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from minidlrm.digested import Arrays, check_digest, content_digest, write
from minidlrm.files import replacing
from minidlrm.module import Module
from minidlrm.parallel.comm import Communicator
from minidlrm.parallel.parts import Part
from minidlrm.parallel.sharding import ShardedEmbeddings, comm_of

__all__ = ["Pieces", "content", "index_of", "own_arrays", "read_folder", "write_folder"]

_FORMAT, _INDEX = "minidlrm sharded 1", "index.json"
_ROWS = 1 << 16  # that travel at a time


def content(model: Module, header: dict[str, str], arrays: Arrays) -> str:
    """Return the content digest of a checkpoint: on ranks that of the whole, on rank 0.

    Parameters
    ----------
    model : Module
        Sharded or not.
    header, arrays : dict
        As `minidlrm.checkpoint.pack` returns them, on each rank.
    """
    tables = {name: _table_of(model, name) for name in arrays}
    whole = {n: _Whole(t, arrays[n]) if t else arrays[n] for n, t in tables.items()}
    return content_digest(header, whole)


def write_folder(
    path: str | os.PathLike, model: Module, header: dict[str, str], arrays: Arrays
) -> None:
    """Write a checkpoint of all ranks.

    OSError when it cannot be written; RuntimeError when the ranks' copies of what is not shared
    out, such as the MLPs, are not equal.
    """
    comm, folder = comm_of(model), Path(path)
    assert comm is not None
    tables = {n: _table_of(model, n) for n in arrays}
    _check_copies(comm, header, {n: a for n, a in arrays.items() if tables[n] is None})
    name = f"rank-{{}}{_letter(comm, folder)}.safetensors"
    own = {n: a for n, a in arrays.items() if tables[n] is not None or comm.rank == 0}
    about = {key: header[key] for key in ("model", "config")}
    mine = write(folder / name.format(comm.rank), {"format": _FORMAT, **about}, own)
    digests = comm.gather(np.frombuffer(mine.encode(), np.uint8))
    whole = content(model, header, arrays)
    if comm.rank == 0:
        files = {name.format(r): bytes(d).decode() for r, d in enumerate(digests)}
        index = {
            "format": _FORMAT,
            "content": whole,
            "files": files,
            "header": header,
            "arrays": {n: _described(t, arrays[n]) for n, t in tables.items() if t is not None},
        }
        with replacing(folder / _INDEX) as temporary:
            temporary.write_text(json.dumps(index, indent=1), encoding="utf-8")
        for old in folder.glob("rank-*.safetensors"):
            if old.name not in files:
                old.unlink()
    comm.barrier()


def _check_copies(comm: Communicator, header: dict[str, str], copies: Arrays) -> None:
    """Raise RuntimeError, on all ranks, unless all have the same."""
    mine = np.frombuffer(content_digest(header, copies).encode(), np.uint8)
    for rank, theirs in enumerate(comm.all_gather(mine, [len(mine)] * comm.size, "digests")):
        if not np.array_equal(theirs, mine):
            raise RuntimeError(
                f"ranks {comm.rank} and {rank} have other weights outside the tables: a sum was "
                "taken in another order, or one of them was changed; nothing is saved"
            )


def _letter(comm: Communicator, folder: Path) -> str:
    """Make the folder; return what tells its new files from those that its index names."""
    taken = np.array([False])
    if comm.rank == 0:
        if folder.is_file():
            raise NotADirectoryError(f"{folder} is a file: a sharded checkpoint is a folder")
        folder.mkdir(exist_ok=True)
        with suppress(OSError, ValueError, LookupError):  # there is no index, or it is damaged
            index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
            taken[0] = "rank-0.safetensors" in index["files"]
    return "-b" if comm.broadcast(taken)[0] else ""


def _described(table: ShardedEmbeddings, array: np.ndarray) -> dict[str, Any]:
    """Return the shape and dtype of a whole array, and which part of it is on which rank."""
    shape = list(table.shape[: array.ndim])
    columns = array.ndim == 2
    parts = [[list(map(list, p.rows)), list(p.columns) if columns else None] for p in table.parts]
    return {"shape": shape, "dtype": array.dtype.str, "parts": parts}


def _table_of(model: Module, name: str) -> ShardedEmbeddings | None:
    """Return the sharded table that an array of a checkpoint belongs to."""
    name = name.removeprefix("best.")
    if name.startswith("optimizer."):
        name = name.removeprefix("optimizer.").rpartition(".")[0]
    part: Any = dict(model.named_modules()).get(name.removesuffix(".weight"))
    return part if isinstance(part, ShardedEmbeddings) else None


class _Whole:
    """A sharded array (S, D), or one number a row, as rank 0 sees it: rows after rows."""

    def __init__(self, table: ShardedEmbeddings, array: np.ndarray):
        self.table, self.array = table, array
        self.dtype, self.shape = array.dtype, table.shape[: array.ndim]

    def __iter__(self) -> Iterator[np.ndarray]:
        table, comm = self.table, self.table.comm
        once = self.array.ndim == 1 and table.by == "column"  # all ranks have the same
        parts = table.parts[:1] if once else table.parts
        for first in range(0, self.shape[0], _ROWS):
            last = min(first + _ROWS, self.shape[0])
            mine = table.parts[comm.rank].within(first, last) if comm.rank < len(parts) else ()
            rows = [self.array[place] for _, place in mine]
            got = comm.gather(np.concatenate(rows or [self.array[:0]]).ravel())
            if comm.rank == 0:
                yield self._joined(first, last, got, parts)

    def _joined(
        self, first: int, last: int, got: list[np.ndarray], parts: list[Part]
    ) -> np.ndarray:
        whole = np.empty((last - first, *self.shape[1:]), self.dtype)
        for part, values in zip(parts, got, strict=False):
            columns = (slice(*part.columns),) if len(self.shape) == 2 else ()
            width, place = (part.shape[1] if columns else 1), 0
            for row, held in part.within(first, last):
                n = held.stop - held.start
                rows = slice(row - first, row - first + n)
                piece = values[place * width : (place + n) * width]
                whole[(rows, *columns)] = piece.reshape(whole[(rows, *columns)].shape)
                place += n
        return whole


# Reading


def index_of(path: str | os.PathLike) -> Path | None:
    """Return the index of a folder, or of itself; None when there is no sharded checkpoint."""
    path = Path(path)
    index = path if path.name == _INDEX else path / _INDEX
    return index if index.is_file() else None


class Pieces:
    """An array whose parts are in the files of several ranks, not read yet.

    Parameters
    ----------
    folder : Path
        Where the files are.
    name : str
        Of the array.
    described : dict
        What the index says of it.
    files : list of str
        Names of the files, in the order of the ranks.
    """

    def __init__(self, folder: Path, name: str, described: dict[str, Any], files: list[str]):
        self.folder, self.name, self.files = folder, name, files
        self.shape = tuple(int(n) for n in described["shape"])
        self.dtype = np.dtype(described["dtype"])
        self.parts = [
            Part(tuple((int(a), int(b)) for a, b in rows), tuple(columns or (0, 1)))
            for rows, columns in described["parts"]
        ]

    @classmethod
    def of_file(cls, path: Path, name: str, opened: Any) -> Pieces | np.ndarray:
        """Return an array of a checkpoint in one file: not read yet, if a table may be in it."""
        stored = opened.get_slice(name)
        shape = stored.get_shape()
        if len(shape) not in (1, 2) or 0 in shape:
            return np.asarray(opened.get_tensor(name))
        part = [[[0, shape[0]]], [0, shape[1]] if len(shape) == 2 else None]
        described = {"shape": shape, "dtype": stored[:0].dtype, "parts": [part]}
        return cls(path.parent, name, described, [path.name])

    def read(self, wanted: Part | None = None) -> np.ndarray:
        """Return the array, or a part of it: one file after the other is looked at."""
        from safetensors import safe_open

        plane = len(self.shape) == 2
        rows = ((0, self.shape[0]),) if wanted is None else wanted.rows
        columns = wanted.columns if wanted else (0, self.shape[-1])
        wanted = Part(rows, columns if plane else (0, 1))
        out = np.empty(wanted.shape[: len(self.shape)], self.dtype)
        for file, part in zip(self.files, self.parts, strict=True):
            overlap = _overlap(wanted, part)
            if overlap:
                with safe_open(self.folder / file, framework="numpy") as opened:
                    stored = opened.get_slice(self.name)
                    for here, there in overlap:
                        out[here[: out.ndim]] = stored[there[: out.ndim]]
        return out


def _overlap(wanted: Part, part: Part) -> list[tuple[Any, Any]]:
    """Return pairs of places, in what is wanted and in a part, that are the same rows."""
    low, high = (
        max(wanted.columns[0], part.columns[0]),
        min(wanted.columns[1], part.columns[1]),
    )
    if low >= high:
        return []
    columns = [slice(low - p.columns[0], high - p.columns[0]) for p in (wanted, part)]
    pairs = []
    for first, last in part.rows:
        for row, here in wanted.within(first, last):
            (_, there), *_ = part.within(row, row + here.stop - here.start)
            pairs.append(((here, columns[0]), (there, columns[1])))
    return pairs


def read_folder(index: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the header, the arrays that rank 0 holds, and `Pieces` of the others.

    ValueError when the index or a file is damaged or missing.
    """
    from safetensors import SafetensorError, safe_open

    try:
        content = json.loads(index.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise ValueError(f"its format is {content['format']}")
        files, header = dict(content["files"]), dict(content["header"])
        for name, digest in files.items():
            with open(index.parent / Path(name).name, "rb") as file:
                if check_digest(index.parent / name, file) != digest:
                    raise ValueError(f"{name} is not the file that the index names")
        arrays: dict[str, Any] = {
            name: Pieces(index.parent, name, described, list(files))
            for name, described in content["arrays"].items()
        }
        with safe_open(index.parent / next(iter(files)), framework="numpy") as opened:
            for name in set(opened.keys()).difference(arrays):
                arrays[name] = opened.get_tensor(name)
    except (LookupError, TypeError, ValueError, AttributeError, OSError, SafetensorError) as error:
        raise ValueError(
            f"{index.parent} is no sharded checkpoint, or is damaged: {error}"
        ) from None
    return header, arrays


def own_arrays(model: Module, arrays: dict[str, Any]) -> Arrays:
    """Return of each array what a model, sharded or not, holds."""
    comm, own = comm_of(model), {}
    for name, array in arrays.items():
        table = _table_of(model, name) if comm else None
        part = None if table is None or comm is None else table.parts[comm.rank]
        if isinstance(array, Pieces):
            fits = table is None or array.shape == table.shape[: len(array.shape)]
            own[name] = array.read(part if fits else None)
        else:
            fits = table is not None and array.shape == table.shape[: array.ndim]
            own[name] = part.of(array) if part is not None and fits else array
    return own
