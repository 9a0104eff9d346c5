"""Spool and cache: columns on their way to a data set, on disk or in memory, and what is kept.

A cache entry is a folder with one flat file an array and a `meta.json` that holds a digest of
each. It is written under another name and renamed when it is whole. A damaged one is made anew.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minidlrm.data.batch import Batch, Jagged
from minidlrm.data.digests import digests_of
from minidlrm.data.schema import Schema
from minidlrm.languages import Message

SPLITS = ("train", "valid", "test")


class Spool:
    """Columns that grow block by block, and the arrays made from them.

    Parameters
    ----------
    folder : Path or None
        Where files are written; None keeps all in memory.
    """

    def __init__(self, folder: Path | None = None):
        self.folder = folder
        self._parts: dict[str, list[np.ndarray]] = {}
        self._files: dict[str, Any] = {}
        self._dtypes: dict[str, np.dtype] = {}
        self.outputs: dict[str, np.ndarray] = {}
        self.meta: dict[str, Any] = {}

    def append(self, name: str, array: np.ndarray) -> None:
        """Add values to the end of a column."""
        self._dtypes[name] = array.dtype
        if self.folder is None:
            self._parts.setdefault(name, []).append(array)
            return
        if name not in self._files:
            self._files[name] = open(self.folder / f"{name}.column", "wb")  # noqa: SIM115
        np.ascontiguousarray(array).tofile(self._files[name])

    def column(self, name: str) -> np.ndarray:
        """Return a whole column."""
        if name not in self._dtypes:
            return np.zeros(0)
        if self.folder is None:
            if len(self._parts[name]) > 1:
                self._parts[name] = [np.concatenate(self._parts[name])]
            return self._parts[name][0]
        self._files[name].flush()
        path = self.folder / f"{name}.column"
        if path.stat().st_size == 0:
            return np.zeros(0, self._dtypes[name])
        return np.memmap(path, self._dtypes[name], "r")

    def clear(self) -> None:
        """Forget all columns."""
        for file in self._files.values():
            file.close()
        self._parts, self._files, self._dtypes = {}, {}, {}

    def output(self, name: str, dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Make an array that stays, to be filled."""
        if self.folder is None or 0 in shape:
            made: np.ndarray = np.zeros(shape, dtype)
        else:
            made = np.memmap(self.folder / f"{name}.bin", dtype, "w+", shape=shape)
        self.outputs[name] = made
        return made

    def keep(self, name: str, shape: tuple[int, ...]) -> None:
        """Make a column an array that stays, as it is."""
        if self.folder is None or name not in self._files:
            self.outputs[name] = self.column(name).reshape(shape)
            return
        self._files.pop(name).close()
        path = self.folder / f"{name}.bin"
        os.replace(self.folder / f"{name}.column", path)
        self.outputs[name] = np.memmap(path, self._dtypes[name], "r", shape=shape)

    def close(self) -> None:
        """Write what is pending, and remove the columns."""
        names = list(self._files)
        self.clear()
        if self.folder is not None:
            for name in names:
                (self.folder / f"{name}.column").unlink(missing_ok=True)


class Stored:
    """The arrays of a data set, and what they are."""

    def __init__(self, meta: dict[str, Any], arrays: dict[str, np.ndarray]):
        self.meta, self.arrays = meta, arrays

    def schema_arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of the schema."""
        own = {n.removeprefix("schema."): a for n, a in self.arrays.items() if n[:7] == "schema."}
        return {name: np.asarray(array) for name, array in own.items()}

    def batch(self, split: str, schema: Schema) -> Batch:
        """Return the rows of a split."""
        own = {n.removeprefix(f"{split}."): a for n, a in self.arrays.items()}
        bags = schema.has_bags
        sparse = Jagged(own["values"], own["offsets"], own.get("weights")) if bags else own["ids"]
        return Batch(own["dense"], sparse, own.get("label"), own.get("weight"))


def in_memory(fill: Callable[[Spool], None]) -> Stored:
    """Fill a spool in memory, and return its arrays."""
    spool = Spool()
    fill(spool)
    return Stored(spool.meta, spool.outputs)


def cached(entry: Path, fill: Callable[[Spool], None]) -> None:
    """Make a cache entry, where it does not exist or is damaged.

    Raises
    ------
    OSError
        When the entry cannot be written.
    """
    if entry.exists():
        fault = _fault(entry)
        if fault is None:
            return
        words = Message(
            "the cache {entry} is damaged ({fault}): it is made anew", entry=entry, fault=fault
        )
        warnings.warn(words, stacklevel=_outside())
        shutil.rmtree(entry, ignore_errors=True)
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(entry.parent)
        folder = Path(
            tempfile.mkdtemp(prefix=f".{os.getpid()}-", suffix="-table", dir=entry.parent)
        )
    except OSError as error:
        raise OSError(
            f"the cache folder {entry.parent} cannot be written ({error.strerror}): "
            "give another as cache_dir=, or in the environment as XDG_CACHE_HOME"
        ) from None
    spool = Spool(folder)
    try:
        fill(spool)
        spool.close()
        _write_meta(folder, spool)
        with contextlib.suppress(OSError):  # another process has finished the same entry first
            os.rename(folder, entry)
        if not (entry / "meta.json").is_file():
            raise OSError(f"the cache entry {entry} could not be written")
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise OSError(
                f"the disk of the cache folder {entry.parent} is full: give another as "
                "cache_dir=, or in the environment as XDG_CACHE_HOME"
            ) from None
        raise
    finally:
        spool.clear()
        shutil.rmtree(folder, ignore_errors=True)


def _outside() -> int:
    """Return the stacklevel of the line that called the package, for a warning of the caller."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("minidlrm."):
        frame, level = frame.f_back, level + 1
    return level


def _remove_abandoned(folder: Path) -> None:
    """Remove what processes that have ended left unfinished."""
    for path in folder.glob(".*-table"):
        owner = path.name[1:].partition("-")[0]
        if owner.isdigit() and not _alive(int(owner)):
            shutil.rmtree(path, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _write_meta(folder: Path, spool: Spool) -> None:
    arrays = {n: {"dtype": a.dtype.str, "shape": list(a.shape)} for n, a in spool.outputs.items()}
    stored = [name for name in arrays if (folder / f"{name}.bin").is_file()]
    found = digests_of([folder / f"{name}.bin" for name in stored], quick=True)
    for name, digest in zip(stored, found, strict=True):
        arrays[name]["digest"] = digest
    text = json.dumps({**spool.meta, "arrays": arrays}, sort_keys=True)
    whole = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "text": text}
    (folder / "meta.json").write_text(json.dumps(whole), encoding="utf-8")


def _meta(entry: Path) -> dict[str, Any]:
    whole = json.loads((entry / "meta.json").read_text(encoding="utf-8"))
    if hashlib.sha256(whole["text"].encode()).hexdigest() != whole["sha256"]:
        raise ValueError("its description has changed")
    return json.loads(whole["text"])


def _fault(entry: Path) -> str | None:
    """Say what is wrong with an entry."""
    try:
        arrays = _meta(entry)["arrays"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"meta.json: {error}"
    stored = [name for name in arrays if "digest" in arrays[name]]
    for name in stored:
        if not (entry / f"{name}.bin").is_file():
            return Message("{name}.bin is missing", name=name)
    try:
        found = digests_of([entry / f"{name}.bin" for name in stored], quick=True)
    except OSError as error:
        return str(error)
    for name, digest in zip(stored, found, strict=True):
        if digest != arrays[name]["digest"]:
            return Message("{name}.bin has changed", name=name)
    return None


def open_entry(entry: Path) -> Stored:
    """Map the arrays of a cache entry into memory."""
    meta = _meta(entry)
    arrays = {}
    for name, form in meta["arrays"].items():
        shape, dtype = tuple(form["shape"]), np.dtype(form["dtype"])
        if 0 in shape:
            arrays[name] = np.zeros(shape, dtype)
        else:
            arrays[name] = np.memmap(entry / f"{name}.bin", dtype, "r", shape=shape)
    return Stored(meta, arrays)
