"""The rows that a section runs on: real ones that the user names or has, or rows made here.

Real data that a section may use are looked for in the folder that MINIDLRM_DATA names.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from minidlrm.data import READERS
from minidlrm.data.batch import Dataset
from minidlrm.data.synthetic import synthetic_clicks
from minidlrm.languages import Message, as_message
from minidlrm.paper import Options
from minidlrm.writing import write_json

FOUND = {  # scheme: a place in the folder
    "criteo": "criteo-sample/train_2000.txt",
    "movielens": "ml-latest-small",
}


def found(scheme: str) -> Path | None:
    """Return the place of the data of a scheme in MINIDLRM_DATA, where it exists."""
    folder = os.environ.get("MINIDLRM_DATA", "")
    path = Path(folder) / FOUND[scheme]
    return path if folder and path.exists() else None


def kept(folder: Path | None, parts: Sequence[Any], run: Callable[[], Any]) -> Any:
    """Return what `run` gives, or gave: it is kept in the folder under a name of these parts."""
    if folder is None:
        return run()
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    path = folder / "cells" / f"{parts[0]}-{key}.json"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"found": run()})
    return json.loads(path.read_text(encoding="utf-8"))["found"]


def clicks(options: Options, rows: int) -> Dataset:
    """Read `options.data`, or make synthetic clicks, `rows` of them by default.

    Raises
    ------
    ValueError
        When the data cannot be named so, or are not clicks, or cannot be cut to a number of rows.
    """
    if options.data is None:
        return synthetic_clicks(options.rows or rows, options.seed)
    scheme, _, path = options.data.partition(":")
    if scheme not in READERS:
        raise ValueError(
            Message(
                "data is {data}: it must be SCHEME:PATH, {schemes}",
                data=repr(options.data),
                schemes=", ".join(READERS),
            )
        )
    reader = READERS[scheme]
    if options.rows is not None and "rows" not in reader.arguments:
        raise ValueError(Message("rows has no meaning for data {scheme}", scheme=scheme))
    limit = {} if options.rows is None else {"rows": options.rows}
    dataset = reader.function(*[path] * bool(reader.path), **limit)
    if dataset.task != "clicks":
        raise ValueError(
            Message(
                "data {data} gives {task}: this section takes clicks",
                data=repr(options.data),
                task=as_message(dataset.task),
            )
        )
    return dataset
