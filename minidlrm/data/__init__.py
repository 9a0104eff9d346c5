"""Data: what models eat, and where it comes from.

`READERS` lists the sources of rows, by the name that the command line gives each. Readers are
imported when they are first used: most programs need one, or none.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from minidlrm.data.batch import Batch, Dataset, Jagged
from minidlrm.data.cutting import minibatches
from minidlrm.languages import Message


@dataclass(frozen=True)
class Reader:
    """A source of rows, which the command line takes as SCHEME:PATH.

    Parameters
    ----------
    home : str
        Module and function, such as "criteo.read_criteo".
    path : str
        What the function takes first, in capitals: "PATH", "FOLDER"; "" when it reads nothing.
    gives : str
        What its rows are, in a few words.

    Examples
    --------
    >>> from minidlrm.data import READERS
    >>> READERS["criteo"].function.__name__, "rows" in READERS["criteo"].arguments
    ('read_criteo', True)
    """

    home: str
    path: str
    gives: str

    @property
    def function(self) -> Callable[..., Dataset]:
        """The function that reads; its module is imported now."""
        module, name = self.home.split(".")
        return getattr(import_module(f"minidlrm.data.{module}"), name)

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of the arguments that the function takes."""
        return tuple(inspect.signature(self.function).parameters)


READERS = {
    "synthetic": Reader("synthetic.synthetic_clicks", "", Message("clicks whose truth is known")),
    "criteo": Reader("criteo.read_criteo", "PATH", Message("clicks of the Criteo challenge")),
    "libfm": Reader("libfm.read_libfm", "PATH", Message("clicks or ratings in libFM's format")),
    "table": Reader("frame.read_table", "FILE", Message("a table of your own: CSV, Parquet")),
    "toml": Reader(
        "described.read_described", "FILE", Message("a table that a TOML file describes")
    ),
    "movielens": Reader("movielens.movielens_clicks", "FOLDER", Message("clicks")),
    "movielens-ratings": Reader("movielens.movielens_ratings", "FOLDER", Message("ratings")),
    "movielens-ranking": Reader("rankings.movielens_ranking", "FOLDER", Message("rankings")),
}

_HOMES = {reader.home.split(".")[1]: reader.home.split(".")[0] for reader in READERS.values()}
_HOMES |= {"Schema": "schema", "fetch": "download", "open_source": "opening"}
_HOMES |= {"random_bags": "random_data"}
_HOMES |= dict.fromkeys(
    ("Profile", "lru_misses", "read_trace", "stack_distances", "write_trace"), "traces"
)

__all__ = ["READERS", "Batch", "Dataset", "Jagged", "Reader", "minibatches", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"minidlrm.data.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
