"""What train read: it is written beside the checkpoint, so that later commands need not be told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minidlrm.cli import options as given
from minidlrm.data import Batch, Dataset
from minidlrm.data.schema import Schema
from minidlrm.languages import Message

_FILE = "metrics.json"


def as_told(
    data: str, model: str, seed: int, drop_users: bool | None, reading: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what `train` was told about its data, as JSON can hold it."""
    scheme, colon, path = data.partition(":")
    if colon:
        data = f"{scheme}:{Path(path).expanduser().absolute()}"
    options = {name: value for name, value in reading.items() if value is not None}
    return {"data": data, "model": model, "seed": seed, "drop_users": drop_users} | {
        "options": options
    }


def told(checkpoint: Path) -> dict[str, Any]:
    """Return what `train` was told about the data of a checkpoint.

    ValueError when it was not written by `train`, or has been moved away from its `metrics.json`.
    """
    path = checkpoint.expanduser().parent / _FILE
    try:
        written: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["source"]
        if checkpoint.name in (written["model"], f"{written['model']}.safetensors"):
            return written
    except (OSError, ValueError, LookupError, TypeError):
        pass
    raise ValueError(
        Message(
            "data is not given, and {path} does not say what {name} was trained on: name the data",
            path=path,
            name=checkpoint.name,
        )
    )


def dataset_of(checkpoint: Path) -> Dataset:
    """Read the data of a checkpoint as `train` did."""
    source = told(checkpoint)
    shared = {"seed": source["seed"], "drop_users": source["drop_users"]}
    return given.read(source["data"], source["model"], shared, **source["options"])


def test_rows(checkpoint: Path, schema: Schema) -> Batch:
    """Return the test rows of what `train` read, by the schema of the checkpoint."""
    dataset = dataset_of(checkpoint)
    if dataset.schema is None or len(dataset.test) == 0:
        raise ValueError(
            Message("{data} has no test rows to look at: name the data", data=dataset.description)
        )
    return schema.encode(dataset.schema.decode(dataset.test))
