"""The rows that a section runs on: real ones that the user names, or clicks made here."""

from __future__ import annotations

from minidlrm.data import READERS
from minidlrm.data.batch import Dataset
from minidlrm.data.synthetic import synthetic_clicks
from minidlrm.paper import Options


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
        raise ValueError(f"data is {options.data!r}: it must be SCHEME:PATH, {', '.join(READERS)}")
    reader = READERS[scheme]
    if options.rows is not None and "rows" not in reader.arguments:
        raise ValueError(f"rows has no meaning for data {scheme}")
    limit = {} if options.rows is None else {"rows": options.rows}
    dataset = reader.function(*[path] * bool(reader.path), **limit)
    if dataset.task != "clicks":
        raise ValueError(f"data {options.data!r} gives {dataset.task}: this section takes clicks")
    return dataset
