"""read_described: a table whose file and roles are in a small TOML file."""

from __future__ import annotations

import inspect
import os
import tomllib
from pathlib import Path
from typing import Any

from minidlrm.arrays import as_path
from minidlrm.data.batch import Dataset
from minidlrm.data.frame import read_table

_OWN = ("cache_dir", "progress", "schema")  # arguments of read_table that are not for the file


def read_described(
    path: str | os.PathLike,
    *,
    cache_dir: str | os.PathLike | None = None,
    progress: bool = True,
) -> Dataset:
    r"""Read a table that a TOML file describes: `source`, and the arguments of `read_table`.

    Parameters
    ----------
    path : path
        The TOML file. A relative path in it starts from its folder.
    cache_dir, progress
        As in `read_table`.

    Returns
    -------
    Dataset

    Raises
    ------
    FileNotFoundError
        When the file does not exist.
    ValueError
        When it is not TOML, has no `source`, or has a key that `read_table` does not take; and as
        `read_table`.

    Examples
    --------
    >>> import pathlib, tempfile, minidlrm as md
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "clicks.csv").write_text("click,city,tags\n" + "1,Ulm,a|b\n0,Rom,b\n" * 10)
    >>> _ = (folder / "clicks.toml").write_text('''
    ... source = "clicks.csv"
    ... label = "click"
    ... sparse = ["city"]
    ... split = "order"
    ... [bags]
    ... tags = "|"
    ... ''')
    >>> data = md.data.read_described(folder / "clicks.toml", cache_dir=folder, progress=False)
    >>> data.feature_names, len(data.train)
    (['city', 'tags'], 16)
    """
    path = as_path("path", path)
    if not path.is_file():
        raise FileNotFoundError(f"no file at {path}")
    try:
        described = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from None
    known = [name for name in inspect.signature(read_table).parameters if name not in _OWN]
    wrong = [key for key in described if key not in known]
    if wrong:
        raise ValueError(f"{path}: {wrong[0]!r} is not known; there are {', '.join(known)}")
    if "source" not in described:
        raise ValueError(f"{path} has no 'source': name the file, or the files, with the table")
    source = _beside(path, described.pop("source"))
    return read_table(source, **described, cache_dir=cache_dir, progress=progress)


def _beside(path: Path, source: Any) -> Any:
    if not isinstance(source, (str, list)):
        raise ValueError(f"{path}: source is {source!r}: give the name of a file, or a list")
    if isinstance(source, list):
        return [_beside(path, item) for item in source]
    return str(path.parent / Path(source).expanduser())
