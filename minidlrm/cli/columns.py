"""The options of --data table:FILE: which column of the table is what."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from minidlrm.languages import Message

LabelOption = Annotated[str | None, typer.Option(help="The column with the labels (table).")]
DenseOption = Annotated[
    str | None, typer.Option(help="Columns of numbers, such as price,age (table).")
]
SparseOption = Annotated[
    str | None, typer.Option(help="Columns of ids, such as user,item (table).")
]
BagsOption = Annotated[
    list[str] | None,
    typer.Option(
        help="A column with any number of ids and what stands between them, such as genres:'|'; "
        "may be given more than once (table)."
    ),
]
TransformOption = Annotated[
    str | None,
    typer.Option(
        help="How numbers are scaled: standardize, log or none (table).", show_default="standardize"
    ),
]
SampleWeightOption = Annotated[
    str | None, typer.Option("--sample-weight", help="The column with the rows' weights (table).")
]
TaskOption = Annotated[
    str | None, typer.Option(help="What the labels are: clicks or ratings (table).")
]
SplitOption = Annotated[
    str | None,
    typer.Option(
        help="random, order, time, user or column: how rows go to training, validation and test "
        "(table).",
        show_default="random",
    ),
]
TimeOption = Annotated[
    str | None, typer.Option(help="The column that orders the rows, for a split by time (table).")
]
UserOption = Annotated[
    str | None, typer.Option(help="The column with the users, who stay together (table).")
]
SplitColumnOption = Annotated[
    str | None,
    typer.Option("--split-column", help="The column that says train, valid or test (table)."),
]
DelimiterOption = Annotated[
    str | None, typer.Option(help="The separator between the fields of a text file (table).")
]
EncodingOption = Annotated[
    str | None, typer.Option(help="The encoding of a text file (table).", show_default="utf-8")
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
        raise ValueError(
            Message(
                "--bags is {given}: give a column and what stands between its entries",
                given=repr(text),
            )
        )
    return name, separator or None
