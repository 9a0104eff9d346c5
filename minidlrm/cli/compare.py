"""minidlrm compare: every model under the same budget, or what order each of them learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from minidlrm import comparison
from minidlrm.cli import options as given
from minidlrm.comparison import Budget, report
from minidlrm.comparison.ranking import SEEN, compare_rankings
from minidlrm.data import Dataset
from minidlrm.data.rankings import RankingDataset
from minidlrm.languages import Message, say
from minidlrm.printing import as_rich, said_rows
from minidlrm.writing import wrote

_ROWS = 200_000  # of synthetic clicks, when none are named


def compare(
    data: given.DataOption = "synthetic",
    rows: given.RowsOption = None,
    experiment: Annotated[
        str, typer.Option(help="models, or order: a pure signal of order 1, 2, 3.")
    ] = "models",
    epochs: Annotated[int, typer.Option(help="Passes over the training rows.")] = 3,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Rows a step.")] = 256,
    embedding_dim: Annotated[int, typer.Option("--embedding-dim", help="For every model.")] = 8,
    mlp: Annotated[str, typer.Option(help="Hidden sizes of every MLP.")] = "64,32",
    seeds: Annotated[int, typer.Option(help="Runs of each model.")] = 3,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the data, where they are drawn.", show_default="0")
    ] = None,
    ranking: Annotated[
        bool,
        typer.Option(
            "--ranking",
            help="Rank films beside popularity, seen ones left out and in (movielens:FOLDER).",
        ),
    ] = False,
    k: Annotated[
        int | None,
        typer.Option("-k", help="Length of the lists, with --ranking.", show_default="20"),
    ] = None,
    drop_users: given.DropUsersOption = None,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("runs/compare"),
) -> None:
    """Train every model under the same budget, and tell differences from noise.

    The data are clicks or ratings. Finished runs are kept in the folder and not run again.
    """
    for option, value in (("--epochs", epochs), ("--batch-size", batch_size), ("--seeds", seeds)):
        given.positive(option, value)
    given.positive("--embedding-dim", embedding_dim)
    if experiment not in ("models", "order"):
        raise ValueError(
            Message("experiment {name} is not known: models, or order", name=repr(experiment))
        )
    sizes = given.sizes("--mlp", mlp)
    if not sizes:
        raise ValueError(Message("--mlp is empty: the deep models need at least one hidden layer"))
    budget = Budget(embedding_dim, sizes, epochs, batch_size, seeds=seeds)
    if ranking:
        if experiment != "models" or rows is not None or seed is not None:
            raise ValueError(
                Message("--experiment, --rows and --seed have no meaning with --ranking")
            )
        given.positive("-k", 20 if k is None else k)
        _compare_rankings(Console(), budget, data, 20 if k is None else k, bool(drop_users), out)
        return
    if k is not None or drop_users:
        raise ValueError(Message("-k and --drop-users have no meaning without --ranking"))
    if data == "synthetic" and rows is None:
        rows = _ROWS
    if experiment == "order":
        if data != "synthetic":
            raise ValueError(
                Message("--data {data}: the order experiment plants its own signal", data=data)
            )
        _compare_orders(Console(), budget, rows or _ROWS, seed or 0, out)
        return
    dataset = given.read(data, rows=rows, seed=seed)
    if isinstance(dataset, RankingDataset):
        raise ValueError(
            Message("--data {data}: compare takes clicks or ratings, and no rankings", data=data)
        )
    _compare_models(Console(), budget, dataset, out)


def _compare_models(console: Console, budget: Budget, dataset: Dataset, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    console.print(say(dataset.description))
    console.print(say("budget: {budget}", budget=say(budget.told())))
    results = comparison.compare(dataset, budget, out)
    if not results:
        raise ValueError(Message("no model was finished"))
    for table in report.rich_tables(comparison.as_records(results, dataset), dataset):
        console.print(table)
    console.print(say(report.NOISE))
    console.print(wrote(out, *report.write_comparison(out, results, dataset, budget)))


def _compare_rankings(
    console: Console, budget: Budget, data: str, k: int, drop_users: bool, out: Path
) -> None:
    scheme, _, path = data.partition(":")
    if scheme not in ("movielens", "movielens-ranking") or not path:
        raise ValueError(
            Message("--data is {data}: --ranking takes movielens:FOLDER", data=repr(data))
        )
    out.mkdir(parents=True, exist_ok=True)
    budget = replace(budget, learning_rates=budget.learning_rates[:1])
    study = compare_rankings(path, budget, out, k, drop_users=drop_users)
    console.print(say(study.description))
    for seen, title in SEEN.items():
        head, *body = said_rows(study.rows(seen))
        cells = [tuple(c.replace("± 0.", "±.").replace("0.", ".") for c in row) for row in body]
        titles = tuple(name.replace(" - ", "\n- ").replace("@", "\n@") for name in head)
        console.print(as_rich(title, [titles, *cells]))
    for name, text in study.protocol.items():
        console.print(f"{say(name)}: {say(text)}", soft_wrap=True)
    console.print(wrote(out, *study.write(out)), soft_wrap=True)


def _compare_orders(console: Console, budget: Budget, rows: int, seed: int, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    shares = comparison.compare_orders(budget, rows, seed, out)
    title = say("share of the learnable signal that was learned (1: the Bayes limit)")
    console.print(as_rich(title, shares.rows()))
    console.print(wrote(out, *shares.write(out)))
