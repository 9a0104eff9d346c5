"""The ranking study: models beside popularity and chance, seen items left out and ranked.

Each user's last film is held out, and ranked among all films. A model learns from the other
rows, and from random films that the user has not rated there.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minidlrm import plots
from minidlrm.comparison.report import stamp
from minidlrm.comparison.result import Budget, deviation
from minidlrm.data.batch import Batch
from minidlrm.data.movielens import read_ratings
from minidlrm.data.movies import read_movies
from minidlrm.data.rankings import RankingDataset, movielens_ranking
from minidlrm.files import replacing
from minidlrm.languages import Message, filled, first_part, joined, recognized, say
from minidlrm.metrics import paired_interval
from minidlrm.models import MODELS, Model, ModelEntry
from minidlrm.optim import Adam
from minidlrm.printing import as_markdown
from minidlrm.recommending import Catalogue, ProtocolWarning, RankMetrics, rank_metrics
from minidlrm.recommending.catalogue import blocks
from minidlrm.recommending.lists import TIES
from minidlrm.recommending.ranks import TITLES
from minidlrm.recommending.task import PROTOCOL
from minidlrm.training import fit
from minidlrm.writing import write_figure, write_json, write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STUDIED = ("mf", "fm", "wide-deep", "deepfm", "dcn", "xdeepfm", "dlrm")
NEGATIVES = 5  # random films for each rated one, new ones in each epoch
LR = 1e-3
SEEN = {"out": Message("seen items left out"), "in": Message("seen items ranked")}
SHOWN = ("hit_rate", "ndcg")
_SPLIT = Message("each user's last row")
_BESIDE = Message("popularity"), Message("random")  # rankers that need no training
_FORMAT = 1  # of a cell
_HELD = 50_000_000  # scores of float32 that are held


@dataclass(frozen=True)
class Ranked:
    """What one ranker reached over the seeds, with seen items left out, and in.

    Parameters
    ----------
    title : str
        Its name in tables.
    scores : dict
        For "out" and "in" a dict of lists: each metric, for each seed.
    above : dict
        For "out" and "in" the 95% interval of NDCG minus popularity's, over the users; the
        mean over the seeds is compared.
    """

    title: str
    scores: dict[str, dict[str, list[float]]]
    above: dict[str, tuple[float, float] | None]


@dataclass(frozen=True)
class RankingStudy:
    """The study: a line for each model, for popularity, and for chance."""

    ranked: list[Ranked]
    description: str
    protocol: dict[str, str]
    budget: Budget
    k: int

    def rows(self, seen: str) -> list[tuple[str, ...]]:
        """Return the table for seen items "out" or "in", the best NDCG first."""
        titles = [filled(TITLES[metric], k=self.k) for metric in (*SHOWN, "mrr", "coverage")]
        lines: list[tuple[str, ...]] = [
            (Message("model"), *titles, Message("NDCG - popularity, 95%"))
        ]
        order = sorted(self.ranked, key=lambda each: -np.mean(each.scores[seen]["ndcg"]))
        for each in order:
            values = (each.scores[seen][metric] for metric in (*SHOWN, "mrr", "coverage"))
            cells = (f"{np.mean(v):.3f} ± {deviation(v):.3f}" for v in values)
            bounds = each.above[seen]
            interval = ""
            if bounds is not None:
                low, high = (f"{bound:+.4f}" for bound in bounds)
                interval = Message("{low} to {high}", low=low, high=high)
            lines.append((each.title, *cells, interval))
        return lines

    def markdown(self) -> str:
        """Return the study as Markdown, stamped with data, protocol, version and machine."""
        text = [f"Data: {self.description}. {stamp(self.budget)}"]
        text += [f"{name}: {value}." for name, value in self.protocol.items()]
        for seen, title in SEEN.items():
            text += [f"## {title.capitalize()}", as_markdown(self.rows(seen))]
        return "\n\n".join(text) + "\n"

    def write(self, folder: Path) -> list[str]:
        """Write figure, tables and numbers; return the names of the files."""
        means = {
            each.title: [float(np.mean(each.scores[seen]["ndcg"])) for seen in SEEN]
            for each in self.ranked
        }
        write_figure(folder / "ranking.png", lambda ax: _draw(means, f"NDCG@{self.k}", ax))
        write_text(folder / "ranking.md", self.markdown())
        records = [vars(each) for each in self.ranked]
        content = {"data": self.description, "protocol": self.protocol, "k": self.k}
        write_json(folder / "ranking.json", {**content, "ranked": records})
        return ["ranking.png", "ranking.md", "ranking.json"]


@dataclass(frozen=True, eq=False)
class RankingRows:
    """What the study ranks: pairs, the features of users and films, and what is held out."""

    items: RankingDataset  # train: all rows but each user's last one
    held_out: np.ndarray  # (U, 2)
    catalogue: Catalogue  # user, film, the film's main genre; its year

    @classmethod
    def read(cls, path: str | os.PathLike, drop_users: bool = False) -> RankingRows:
        """Read a MovieLens folder."""
        items = movielens_ranking(path, num_negatives=1, drop_users=drop_users)
        last_but_one, last = (
            np.asarray(part.sparse)[np.asarray(part.label) == 1]
            for part in (items.valid, items.test)
        )
        pairs = np.concatenate([np.asarray(items.train.sparse), last_but_one])
        empty = np.zeros((len(pairs), 0), np.float32)
        train = Batch(empty, pairs, np.ones(len(pairs), np.float32))
        keys = np.sort(pairs[:, 0] * items.table_sizes[1] + pairs[:, 1])
        return cls(replace(items, train=train, rated=keys), last, _catalogue(path, items))

    def for_model(self, entry: ModelEntry) -> Catalogue:
        """Return the catalogue that a model reads."""
        if entry.pairs_only:
            return Catalogue.of_pairs(*self.items.table_sizes)
        return self.catalogue


def _catalogue(path: str | os.PathLike, items: RankingDataset) -> Catalogue:
    """Give each film its year, and the one of its genres that most films have."""
    num_users, num_items = items.table_sizes
    file = read_ratings(path).path
    years, bags, genres = read_movies(file, items.vocabulary.items)
    film = np.repeat(np.arange(num_items), np.diff(bags.offsets))
    common = np.bincount(bags.values, minlength=len(genres))
    order = np.argsort(common[bags.values], kind="stable")  # the last that is written stays
    genre = np.full(num_items, len(genres))  # one more: none
    genre[film[order]] = bags.values[order]
    zeros = np.zeros(num_items, np.int64)
    dense = ((years - years.mean()) / years.std()).astype(np.float32)[:, None]
    users = np.stack([np.arange(num_users), *[np.zeros(num_users, np.int64)] * 2], axis=1)
    return Catalogue(
        Batch(np.zeros((num_users, 1), np.float32), users),
        Batch(dense, np.stack([zeros, np.arange(num_items), genre], axis=1)),
        item_tables=(1, 2),
        item_dense=(0,),
    )


def compare_rankings(
    path: str | os.PathLike,
    budget: Budget,
    folder: str | os.PathLike,
    k: int = 20,
    names: Sequence[str] = STUDIED,
    drop_users: bool = False,
    progress: bool = True,
) -> RankingStudy:
    """Train models to rank films; measure them with seen items left out, and ranked.

    Parameters
    ----------
    path : path
        A MovieLens folder, as `movielens_ranking` reads it.
    budget : Budget
        What every model gets; of its learning rates, the first.
    folder : path
        Where finished cells are kept.
    k : int
        Length of the lists.
    names : sequence of str
        The models, by their names in `minidlrm.models.MODELS`.
    drop_users : bool
        As `movielens_ranking`.
    progress : bool
        Whether to show a progress bar over the cells.

    Returns
    -------
    RankingStudy
    """
    from tqdm.auto import tqdm

    rows = RankingRows.read(path, drop_users)
    cells: dict[str, list[dict[str, Any]]] = {}
    with tqdm(total=len(names) * budget.seeds, disable=not progress, unit=say("cell")) as bar:
        for name in names:
            bar.set_description(f"{MODELS[name].title:12}")
            for seed in range(budget.seeds):
                cells.setdefault(name, []).append(_cell(name, seed, rows, budget, k, Path(folder)))
                bar.update()
    ranked = [_ranked(MODELS[name].title, "model", runs) for name, runs in cells.items()]
    first = next(iter(cells.values()))
    ranked += [_ranked(title, title, first) for title in _BESIDE]
    description = joined(
        [first_part(rows.items.description), Message("each user's last film held out")], ", "
    )
    patterns = *PROTOCOL.values(), _SPLIT, TIES
    protocol = {n: recognized(text, patterns) for n, text in first[0]["protocol"].items()}
    protocol["seen items"] = Message("left out, and ranked")
    return RankingStudy(ranked, description, protocol, budget, k)


def _ranked(title: str, ranker: str, runs: list[dict[str, Any]]) -> Ranked:
    """Put the seeds of one ranker together."""
    scores = {
        seen: {m: [run[seen]["values"][ranker][m] for run in runs] for m in TITLES} for seen in SEEN
    }
    above: dict[str, tuple[float, float] | None] = {}
    for seen in SEEN:
        own = np.mean([run[seen]["ndcg"][ranker] for run in runs], axis=0)  # (U,)
        popular = np.array(runs[0][seen]["ndcg"]["popularity"])
        above[seen] = None if ranker == "popularity" else paired_interval(own, popular)
    return Ranked(title, scores, above)


def _cell(
    name: str, seed: int, rows: RankingRows, budget: Budget, k: int, folder: Path
) -> dict[str, Any]:
    """Train and rank one model with one seed; a finished cell is read."""
    parts = [_FORMAT, rows.items.description, len(rows.items.train), name, seed, k, NEGATIVES]
    parts += [budget.embedding_dim, budget.mlp, budget.epochs, budget.batch_size]
    parts += [budget.learning_rates[0]]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    path = folder / "cells" / f"ranking-{name}-{key}.json"
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    model = train_ranker(MODELS[name], rows, budget, seed)
    cell: dict[str, Any] = {}
    for seen, result in _both(model, MODELS[name], rows, k, seed).items():
        ndcg = {ranker: each["ndcg"].tolist() for ranker, each in result.per_user.items()}
        cell[seen] = {"values": result.values, "ndcg": ndcg}
        cell["protocol"] = result.protocol
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(cell), encoding="utf-8")
    return cell


def train_ranker(entry: ModelEntry, rows: RankingRows, budget: Budget, seed: int) -> Model:
    """Train a model on the rated films and new random others in each epoch."""
    catalogue = rows.for_model(entry)
    sizes = [*rows.items.table_sizes]
    if not entry.pairs_only:
        sizes.append(int(catalogue.items.ids_of(2).max()) + 1)
    num_dense = catalogue.items.dense.shape[1]
    model = entry.build(num_dense, sizes, budget.embedding_dim, budget.mlp, seed=seed)
    optimizer = Adam(budget.learning_rates[0])
    for epoch in range(budget.epochs):
        drawn = rows.items.with_negatives(NEGATIVES, seed=(seed, epoch))
        pairs = catalogue.pairs(drawn.ids_of(0), drawn.ids_of(1))
        fit(
            model,
            replace(pairs, label=drawn.label),
            optimizer=optimizer,
            batch_size=budget.batch_size,
            seed=budget.epochs * seed + epoch,
            progress=False,
        )
    return model


def _both(
    model: Model, entry: ModelEntry, rows: RankingRows, k: int, seed: int
) -> dict[str, RankMetrics]:
    catalogue = rows.for_model(entry)
    score = catalogue.scorer(model)
    users, num_items = np.unique(rows.held_out[:, 0]), catalogue.num_items
    if len(users) * num_items <= _HELD:  # score once, and rank twice
        scores = np.zeros((catalogue.num_users, num_items), np.float32)
        for block in blocks(users, num_items):
            scores[block] = score(block)
        score = scores.__getitem__
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ProtocolWarning)  # the study breaks it on purpose
        for seen in SEEN:
            found[seen] = rank_metrics(
                score,
                rows.held_out,
                rows.items.train,
                k=k,
                seen=seen,
                catalogue=catalogue,
                split=_SPLIT,
                seed=seed,
            )
    return found


def _draw(means: dict[str, list[float]], metric: str, ax: Axes) -> None:
    """Draw what each ranker reaches under both protocols, popularity as a line for each."""
    protocols = list(SEEN.values())
    order = sorted(means, key=lambda title: means[title][0])
    height = 0.8 / len(protocols)
    for k, protocol in enumerate(protocols):
        values = [means[title][k] for title in order]
        places = [place - k * height for place in range(len(order))]
        ax.barh(places, values, height, color=plots.color(k), label=protocol)
        if "popularity" in means:
            ax.axvline(means["popularity"][k], color=plots.color(k), linestyle="--", linewidth=1)
    ax.set_yticks([place - height / 2 for place in range(len(order))], order)
    ax.set(xlabel=metric, title="The protocol decides who wins (dashed: popularity)")
    ax.legend(fontsize="small", loc="lower right")
