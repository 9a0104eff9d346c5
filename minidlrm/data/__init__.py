"""Data: what models eat, and where it comes from.

The readers of files are imported when they are first used: most programs need one, or none.
"""

from importlib import import_module
from typing import Any

from minidlrm.data.batch import Batch, Dataset, Jagged, minibatches
from minidlrm.data.synthetic import synthetic_clicks

_READERS = {
    "fetch": "download",
    "movielens_clicks": "movielens",
    "movielens_ranking": "rankings",
    "movielens_ratings": "movielens",
    "read_criteo": "criteo",
    "Schema": "schema",
    "read_libfm": "libfm",
    "read_table": "frame",
}

__all__ = [
    "Batch",
    "Dataset",
    "Jagged",
    "Schema",
    "fetch",
    "minibatches",
    "movielens_clicks",
    "movielens_ranking",
    "movielens_ratings",
    "read_criteo",
    "read_libfm",
    "read_table",
    "synthetic_clicks",
]


def __getattr__(name: str) -> Any:
    if name in _READERS:
        return getattr(import_module(f"minidlrm.data.{_READERS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
