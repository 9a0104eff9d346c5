"""minidlrm recommend: the best items for a user, from a saved model."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

import minidlrm as md
from minidlrm.checkpoint import load_with_schema
from minidlrm.cli import trained
from minidlrm.cli.score import CheckpointArgument, source_of
from minidlrm.data import Dataset
from minidlrm.data.movies import movie_names
from minidlrm.data.schema import Schema
from minidlrm.languages import Message, say
from minidlrm.printing import as_rich
from minidlrm.recommending import Catalogue
from minidlrm.recommending.lists import NEW_USER, TIES

_MOVIES = ("movielens", "movielens-ratings", "movielens-ranking")


def recommend(
    checkpoint: CheckpointArgument,
    user: Annotated[list[str], typer.Option(help="A user, as the data call it; any number.")],
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            help="What users have seen: a file, or SCHEME:PATH as for train. It also tells the "
            "features of the items, and with movielens:FOLDER their names.",
            show_default="what train read",
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Length of the list.")] = 10,
    seen: Annotated[str, typer.Option(help="out, or in: rank what a user has seen, too.")] = "out",
    user_column: Annotated[
        str | None,
        typer.Option("--user-column", help="The column of the users.", show_default="the first"),
    ] = None,
    item_column: Annotated[
        str | None,
        typer.Option("--item-column", help="The column of the items.", show_default="the second"),
    ] = None,
    item_columns: Annotated[
        str | None,
        typer.Option(
            "--item-columns",
            help="Other columns that belong to the item, such as genre,price.",
            show_default="those that the item explains better than the user",
        ),
    ] = None,
) -> None:
    """Recommend items to users: the best of all that they have not seen."""
    if seen not in ("in", "out"):
        raise ValueError(Message("--seen is {seen}: it must be in or out", seen=repr(seen)))
    model, schema = load_with_schema(checkpoint)
    data = trained.told(checkpoint)["data"] if data is None else data
    rows = _dataset(data, schema)
    columns = None if item_columns is None else item_columns.split(",")
    catalogue = Catalogue.of(rows, user_column, item_column, columns)
    names, titles = _names(data, schema, catalogue)
    ids = [_user_id(name, schema, catalogue.user_table) for name in user]
    pairs = np.stack(
        [rows.train.ids_of(t) for t in (catalogue.user_table, catalogue.item_table)], 1
    )
    lists = md.recommend(model, ids, k, seen=pairs if seen == "out" else None, catalogue=catalogue)
    _print(Console(), lists, user, names, titles, rows, catalogue)


def _dataset(data: str, schema: Schema) -> Dataset:
    """Read all rows by the schema of the checkpoint, as training rows."""
    if len(schema.sparse) < 2:
        raise ValueError(
            Message("the model reads fewer than two columns of ids: users and items need two")
        )
    scheme, colon, path = data.partition(":")
    if scheme in _MOVIES and colon and schema.label == "rating":
        data = f"movielens-ratings:{path}"  # users and items alone
    rows = schema.encode(source_of(data, schema))
    return Dataset(
        rows, rows[:0], rows[:0], schema.table_sizes, schema.feature_names, data,
        task=schema.task, schema=schema,
    )  # fmt: skip


def _names(data: str, schema: Schema, catalogue: Catalogue) -> tuple[list[str], list[str]]:
    """Return what the data call the items, and their titles where a file has them."""
    categories = schema.sparse[catalogue.item_table].categories
    assert categories is not None
    names = [categories.value(i) for i in range(catalogue.num_items)]
    scheme, _, path = data.partition(":")
    titles: dict[str, str] = {}
    if scheme in _MOVIES:
        with contextlib.suppress(FileNotFoundError):
            titles = movie_names(path)
    return names, [titles.get(name, "") for name in names] if titles else []


def _user_id(name: str, schema: Schema, table: int) -> int:
    """Return the id of a user; that of a new one where the model does not know the name."""
    categories = schema.sparse[table].categories
    assert categories is not None
    place = categories.find(name)
    return NEW_USER if place < 0 else place


def _print(
    console: Console,
    lists: Any,
    users: list[str],
    names: list[str],
    titles: list[str],
    rows: Dataset,
    catalogue: Catalogue,
) -> None:
    what = say("rating") if rows.task == "ratings" else say("logit")
    named = (say("name"),) if titles else ()
    for name, user, items, scores in zip(
        users, lists.users, lists.items, lists.scores, strict=True
    ):
        new = user == NEW_USER
        counts = new and not catalogue.first_user  # popularity: how many rows
        by = say("rows") if counts else what
        table: list[tuple[str, ...]] = [(say("place"), say("item"), *named, by)]
        for place, (item, score) in enumerate(zip(items, scores, strict=True), 1):
            if item >= 0:
                title = (titles[item],) if titles else ()
                text = f"{score:.0f}" if counts else f"{score:.3f}"
                table.append((str(place), names[item], *title, text))
        head = say("for user {name}", name=name)
        if new:
            head = say("for user {name}, who is new", name=name)
        console.print(as_rich(head, table, left=2 + len(named)))
    own = [rows.feature_names[rows.num_dense + t] for t in catalogue.item_tables]
    own += [rows.feature_names[k] for k in catalogue.item_dense]
    line = say("columns of the item: {columns}; {ties}", columns=", ".join(own), ties=say(TIES))
    console.print(line, soft_wrap=True)
