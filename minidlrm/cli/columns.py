"""The options of --data table:FILE: which column of the table is what."""

from __future__ import annotations

from typing import Annotated, Any

import typer

_FOR = "(table)."

LabelOption = Annotated[str | None, typer.Option(help=f"The column with the labels {_FOR}")]
DenseOption = Annotated[
    str | None, typer.Option(help=f"Columns of numbers, such as price,age {_FOR}")
]
SparseOption = Annotated[str | None, typer.Option(help=f"Columns of ids, such as user,item {_FOR}")]
BagsOption = Annotated[
    list[str] | None,
    typer.Option(
        help="A column with any number of ids and what stands between them, such as genres:'|'; "
        f"may be given more than once {_FOR}"
    ),
]
TransformOption = Annotated[
    str | None,
    typer.Option(
        help=f"How numbers are scaled: standardize, log or none {_FOR}", show_default="standardize"
    ),
]
SampleWeightOption = Annotated[
    str | None, typer.Option("--sample-weight", help=f"The column with the rows' weights {_FOR}")
]
TaskOption = Annotated[
    str | None, typer.Option(help=f"What the labels are: clicks or ratings {_FOR}")
]
SplitOption = Annotated[
    str | None,
    typer.Option(
        help="random, order, time, user or column: how rows go to training, validation and test "
        f"{_FOR}",
        show_default="random",
    ),
]
TimeOption = Annotated[
    str | None, typer.Option(help=f"The column that orders the rows, for a split by time {_FOR}")
]
UserOption = Annotated[
    str | None, typer.Option(help=f"The column with the users, who stay together {_FOR}")
]
SplitColumnOption = Annotated[
    str | None,
    typer.Option("--split-column", help=f"The column that says train, valid or test {_FOR}"),
]
DelimiterOption = Annotated[
    str | None, typer.Option(help=f"The separator between the fields of a text file {_FOR}")
]
EncodingOption = Annotated[
    str | None, typer.Option(help=f"The encoding of a text file {_FOR}", show_default="utf-8")
]


def parsed(**given: Any) -> dict[str, Any]:
    """Turn texts of the command line into arguments of `read_table`; None stays None.

    Raises
    ------
    ValueError
        When a bag has no separator.
    """
    options = {name: value for name, value in given.items() if value not in (None, [])}
    for name in ("dense", "sparse"):
        if name in options:
            options[name] = [column.strip() for column in options[name].split(",")]
    if "bags" in options:
        options["bags"] = dict(_bag(text) for text in options["bags"])
    return options


def _bag(text: str) -> tuple[str, str | None]:
    name, colon, separator = text.partition(":")
    if not name or (colon and not separator):
        raise ValueError(f"--bags is {text!r}: give a column and what stands between its entries")
    return name, separator or None
