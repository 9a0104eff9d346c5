"""minidlrm recipe: MF and FM on ratings, GMF and NeuMF on rankings, as the papers train them."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from tqdm.auto import tqdm

from minidlrm import recipes
from minidlrm.cli import options as given
from minidlrm.data.rankings import RankingDataset
from minidlrm.languages import Message, first_part, joined, say
from minidlrm.printing import as_rich
from minidlrm.recipes import RECIPES

_SPLITS = 5
_RMSE_TARGET = 0.875  # of biased MF on MovieLens latest-small, the mean of five random splits
_FM_MARGIN = 0.005  # an FM on user and item is biased MF


def recipe(
    name: Annotated[str, typer.Argument(help=Message("One of {names}.", names=", ".join(RECIPES)))],
    data: Annotated[str, typer.Option("--data", help="movielens:FOLDER.")],
    drop_users: given.DropUsersOption = None,
    seed: Annotated[int, typer.Option(help="Seed of splits, parameters and shuffles.")] = 0,
) -> None:
    """Train a model with the settings of its paper, and compare with the published quality.

    mf and fm: sixty epochs on each of five random splits of the ratings. gmf and neumf: ten
    epochs, ranking the item that was left out. Nothing is written; `train` writes.
    """
    if name not in RECIPES:
        raise ValueError(
            Message(
                "recipe {name} is not known: {known}", name=repr(name), known=", ".join(RECIPES)
            )
        )
    scheme, _, path = data.partition(":")
    if scheme != "movielens" or not path:
        raise ValueError(
            Message("--data is {data}: a recipe takes movielens:FOLDER", data=repr(data))
        )
    if RECIPES[name] == "rankings":
        _rankings(Console(), name, f"movielens-ranking:{path}", seed, drop_users)
        return
    if drop_users:
        takers = [other for other, gives in RECIPES.items() if gives == "rankings"]
        given.refuse("drop_users", Message("recipe {name}", name=name), takers)
    _ratings(Console(), name, f"movielens-ratings:{path}", seed)


def _ratings(console: Console, name: str, data: str, seed: int) -> None:
    """Train MF, and FM beside it, on random splits with 10% test rows."""
    train = {"mf": recipes.train_mf} | ({"fm": recipes.train_fm} if name == "fm" else {})
    rows: list[tuple[str, ...]] = [(Message("split"), *train)]
    scores = []
    for split in tqdm(range(seed, seed + _SPLITS), desc=say("training"), unit=say("split")):
        ratings = given.read(data, shared={"seed": split})
        scores.append([recipes.rating_rmse(f(ratings, split), ratings) for f in train.values()])
        rows.append((str(split), *(f"{value:.4f}" for value in scores[-1])))
    what = first_part(ratings.description)
    console.print(say(joined([what, Message("10% random test rows")], ", ")))
    console.print(as_rich(say("RMSE of the test rows, five random splits"), rows))
    means, spread = np.mean(scores, axis=0), np.std(scores, axis=0, ddof=1)
    reached = [
        f"{mean:.4f} ± {deviation:.4f}" for mean, deviation in zip(means, spread, strict=True)
    ]
    line = say(
        "mf: test RMSE {reached}; target {target}: {met}",
        reached=reached[0],
        target=_RMSE_TARGET,
        met=_met(means[0] <= _RMSE_TARGET),
    )
    console.print(line)
    if name == "fm":
        console.print(say("fm: test RMSE {reached}", reached=reached[1]))
        line = say(
            "fm - mf: {difference}; target, at most {target}: {met}",
            difference=f"{means[1] - means[0]:+.4f}",
            target=_FM_MARGIN,
            met=_met(means[1] - means[0] <= _FM_MARGIN),
        )
        console.print(line)


def _met(is_met: bool) -> str:
    return say("met") if is_met else say("missed")


def _rankings(console: Console, name: str, data: str, seed: int, drop_users: bool | None) -> None:
    """Train GMF or NeuMF; the epoch that is best on the validation items counts."""
    items = given.read(data, shared={"seed": seed}, drop_users=drop_users)
    assert isinstance(items, RankingDataset)
    console.print(say(items.description))
    records = list(recipes.train_ncf(recipes.ncf_model(name, items, seed), items, seed))
    rows: list[tuple[str, ...]] = [
        (
            *(Message("epoch"), Message("training loss"), Message("valid HR@10")),
            *(Message("test HR@10"), Message("test NDCG@10")),
        )
    ]
    for record in records:
        epoch, *scores = record.values()
        rows.append((str(epoch), *(f"{score:.4f}" for score in scores)))
    title = say("{name}: the item left out among 99 others", name=name)
    console.print(as_rich(title, rows, left=0))
    best = max(records, key=lambda record: record["valid_hit_rate"])
    console.print(
        say(
            "HR@10 {rate}, NDCG@10 {ndcg} (epoch {epoch}, chosen by the validation items)",
            rate=f"{best['test_hit_rate']:.4f}",
            ndcg=f"{best['test_ndcg']:.4f}",
            epoch=best["epoch"],
        )
    )
