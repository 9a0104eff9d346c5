"""Section 1: the two views from which DLRM comes.

The first is that of recommenders: by the content of what is recommended, by what people did, or
by both. The second is that of prediction: from linear regression over logistic regression to deep
networks, which need embeddings to read categories.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from minidlrm import metrics
from minidlrm.data.batch import Batch, Dataset
from minidlrm.data.synthetic import synthetic_clicks
from minidlrm.languages import Message, as_message, say
from minidlrm.losses import MSE, BCEWithLogits
from minidlrm.models import DLRM, FactorizationMachine, LogisticRegression, MLPModel
from minidlrm.models.model import Model
from minidlrm.optim import Adam
from minidlrm.paper import Options
from minidlrm.paper.films import Films, Split, View, dataset, planted_films, read_films, split
from minidlrm.paper.findings import Claim, Findings
from minidlrm.paper.rows import found
from minidlrm.printing import Rows
from minidlrm.training import begin_at_the_mean, fit, predict

VIEWS: dict[str, View] = {
    Message("content"): View(content=True, number=False),
    Message("collaborative"): View(content=False, number=True),
    Message("both"): View(content=True, number=True),
    Message("both, a tenth hidden"): View(content=True, number=True, hidden=0.1),
}
GROUPS: dict[str, tuple[int, int]] = {
    Message("no ratings"): (0, 0),
    Message("1 to 9"): (1, 9),
    Message("10 to 49"): (10, 49),
    Message("50 or more"): (50, 10**9),
}
SEEDS, DIM = 3, 8
_RATINGS, _CLICKS = 60_000, 100_000
_EPOCHS, _BATCH, _LR, _DECAY = 12, 256, 0.003, 0.001
Errors = dict[str, np.ndarray]  # losses of the test rows, (seeds, rows)


def run(options: Options) -> Findings:
    """Measure both views.

    Parameters
    ----------
    options : Options
        `data`: movielens:FOLDER. Otherwise the MovieLens ratings in MINIDLRM_DATA are read, where
        it names a folder that has them; or ratings are planted.
    """
    films = _films(options)
    parts = split(films, options.seed)
    cells = [(name, seed) for name in VIEWS for seed in range(SEEDS)]
    errors: dict[str, list[np.ndarray]] = {}
    for name, seed in tqdm(cells, unit=say("run"), disable=None if options.progress else True):
        errors.setdefault(name, []).append(_squared_errors(films, parts, VIEWS[name], seed))
    views = {name: np.array(runs) for name, runs in errors.items()}
    count = parts.known[films.film[parts.test]]
    clicks = synthetic_clicks(options.rows or _CLICKS, options.seed)
    losses, outside = predictions(clicks)
    rmse = Message("RMSE (stars) by how often a film was rated; {data}", data=films.description)
    loss = Message("Test log loss; {data}", data=clicks.description)
    tables: dict[str, Rows] = {rmse: _rmses(views, count)}
    tables[loss] = _log_losses(clicks, losses, outside)
    note = Message(
        "All views are factorization machines, trained alike; only what they read differs. Films "
        "without ratings are held out with all of their ratings. A film that the training rows do "
        "not have, or hide, has no number: only its content is read."
    )
    figures = {
        "views": lambda ax: draw_views(views, count, ax),
        "predictions": lambda ax: draw_predictions(clicks, losses, ax),
    }
    return Findings(
        [*_recommending(views, count), *_predicting(losses, outside)], tables, figures, [note]
    )


# The first view


def _films(options: Options) -> Films:
    if options.data is not None:
        scheme, _, path = options.data.partition(":")
        if scheme != "movielens" or not path:
            raise ValueError(
                Message("data is {data}: section 1 takes movielens:FOLDER", data=repr(options.data))
            )
        return read_films(Path(path))
    folder = found("movielens")
    if folder is None:
        return planted_films(options.seed, options.rows or _RATINGS)
    return read_films(folder)


def _squared_errors(films: Films, parts: Split, view: View, seed: int) -> np.ndarray:
    """Train a factorization machine on what a view shows; return the error of each test row."""
    data = dataset(films, parts, view, seed)
    options = {"embedding_dim": DIM, "seed": seed, "bag_mode": "mean"}
    model = FactorizationMachine.for_data(data, **options)
    begin_at_the_mean(model, data.train)
    rule = Adam(_LR, weight_decay=_DECAY)
    fit(
        model, data, optimizer=rule, epochs=_EPOCHS, batch_size=_BATCH, seed=seed, patience=4,
        progress=False,
    )  # fmt: skip
    stars = np.clip(predict(model, data.test), films.rating.min(), films.rating.max())
    return (stars - np.asarray(data.test.label)) ** 2


def _within(count: np.ndarray, group: str) -> np.ndarray:
    low, high = GROUPS[group]
    return (low <= count) & (count <= high)


def _rmse(squares: np.ndarray) -> np.ndarray:
    """Return the RMSE of each seed."""
    return np.sqrt(squares.mean(axis=1))


def _recommending(views: Errors, count: np.ndarray) -> list[Claim]:
    none, few, many = ("no ratings",), ("1 to 9", "10 to 49"), ("50 or more",)
    hidden = "both, a tenth hidden"
    pairs = [
        (Message("content filtering recommends what nobody has rated yet"),
         none, "content", "collaborative"),
        (Message("collaborative filtering learns more from what people did than content tells"),
         many, "collaborative", "content"),
        (Message("the union of both is better than content alone"), few, "both", "content"),
        (Message("the union of both is better than collaborative filtering alone"),
         few, "both", "collaborative"),
        (Message("the union of both knows new films by their content, if it learned to do without "
                 "numbers"),
         none, hidden, "collaborative"),
    ]  # fmt: skip
    return [_better(views, count, *pair) for pair in pairs]


def _better(
    views: Errors, count: np.ndarray, text: str, groups: Sequence[str], first: str, second: str
) -> Claim:
    """Judge by a 95% interval over the test rows, of the means over the seeds."""
    rows = np.any([_within(count, group) for group in groups], axis=0)
    a, b = (views[name][:, rows].mean(axis=0) for name in (first, second))
    low, high = metrics.paired_interval(a, b, root=True)
    which, *more = map(as_message, groups)
    if more:
        which = Message("{first} or {second}", first=which, second=more[0])
    ours = Message(
        "films with {which}: RMSE of {first} minus that of {second} is {low:+.3f} to {high:+.3f}",
        which=which,
        first=as_message(first),
        second=as_message(second),
        low=low,
        high=high,
    )
    return Claim(text, ours, high < 0, Message("the interval is not below 0"))


def _rmses(views: Errors, count: np.ndarray) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = [(Message("view"), *GROUPS)]
    for name, squares in views.items():
        cells = []
        for group in GROUPS:
            scores = _rmse(squares[:, _within(count, group)])
            cells.append(f"{scores.mean():.3f} ± {scores.std(ddof=1):.3f}")
        lines.append((name, *cells))
    lines.append(
        (Message("test ratings"), *(f"{_within(count, group).sum():,}" for group in GROUPS))
    )
    return lines


def draw_views(views: Errors, count: np.ndarray, ax: Any) -> None:
    """Draw the RMSE of each view against how often a film was rated."""
    place = np.arange(len(GROUPS))
    for (name, squares), style in zip(views.items(), ("o-", "s-", "^-", "v:"), strict=True):
        scores = np.array([_rmse(squares[:, _within(count, group)]) for group in GROUPS])
        ax.errorbar(place, scores.mean(axis=1), scores.std(axis=1, ddof=1), fmt=style, label=name)
    ax.set_xticks(place, list(GROUPS))
    ax.set(
        xlabel="ratings of the film among the training rows",
        ylabel="test RMSE (stars)",
        title="Where content wins, and where people do",
    )
    ax.grid(alpha=0.3)
    ax.legend()


# The second view


def predictions(clicks: Dataset) -> tuple[Errors, dict[str, float]]:
    """Train each kind of model; return losses (seeds, test rows), and shares beyond [0, 1]."""
    losses: dict[str, list[np.ndarray]] = {}
    outside = {}
    for name, (make, numbers) in _MODELS.items():
        data = _as_numbers(clicks) if numbers else clicks
        for seed in range(SEEDS):
            model = make(data, seed)
            linear = name == "linear regression"
            fit(
                model, data.train, data.valid, optimizer=Adam(_LR), batch_size=_BATCH, seed=seed,
                loss=MSE() if linear else BCEWithLogits(), epochs=3, patience=12, progress=False,
                eval_every=-(-len(data.train) // (4 * _BATCH)),
            )  # fmt: skip
            p = predict(model, data.test).astype(np.float64)  # a linear model's: any number
            outside[name] = float(((p < 0) | (p > 1)).mean())
            p, label = np.clip(p, 1e-3, 1 - 1e-3), np.asarray(data.test.label)
            losses.setdefault(name, []).append(-np.log(np.where(label > 0, p, 1 - p)))
    return {name: np.array(runs) for name, runs in losses.items()}, outside


def _linear(data: Dataset, seed: int) -> Model:
    return LogisticRegression.for_data(data)


def _deep(data: Dataset, seed: int) -> Model:
    return MLPModel.for_data(data, embedding_dim=DIM, mlp=(64, 32), seed=seed)


def _dlrm(data: Dataset, seed: int) -> Model:
    sizes = {"bottom_mlp": (64, 32), "top_mlp": (64, 32)}
    return DLRM.for_data(data, embedding_dim=DIM, seed=seed, **sizes)


_MODELS: dict[str, tuple[Callable[[Dataset, int], Model], bool]] = {
    Message("linear regression"): (_linear, False),
    Message("logistic regression"): (_linear, False),
    Message("deep, ids as numbers"): (_deep, True),
    Message("deep, embeddings"): (_deep, False),
    "DLRM": (_dlrm, False),
}


def _as_numbers(clicks: Dataset) -> Dataset:
    """Give a model each id as a number from 0 to 1, as if the order of the ids had a meaning."""
    sizes = np.maximum(np.array(clicks.table_sizes) - 1, 1)

    def plain(rows: Batch) -> Batch:
        dense = np.concatenate([np.asarray(rows.dense), np.asarray(rows.sparse) / sizes], axis=1)
        none = np.zeros((len(rows), 0), np.int64)
        return Batch(dense.astype(np.float32), none, rows.label)

    train, valid, test = map(plain, (clicks.train, clicks.valid, clicks.test))
    return replace(clicks, train=train, valid=valid, test=test, table_sizes=[])


def _predicting(losses: Errors, outside: Mapping[str, float]) -> list[Claim]:
    linear, logistic = "linear regression", "logistic regression"
    pairs = [
        (Message("logistic regression predicts events better than linear regression"),
         logistic, linear),
        (Message("deep networks need embeddings to process categorical data"),
         "deep, embeddings", "deep, ids as numbers"),
        (Message("deep networks with embeddings predict better than logistic regression"),
         "deep, embeddings", logistic),
        (Message("explicit interactions add to an MLP on embeddings"), "DLRM", "deep, embeddings"),
    ]  # fmt: skip
    claims = [
        Claim(
            Message("logistic regression gives probabilities, linear regression any number"),
            Message(
                "beyond 0 and 1: {linear:.1%} of the predictions of linear regression, "
                "{logistic:.1%} of those of logistic regression",
                linear=outside[linear],
                logistic=outside[logistic],
            ),
            outside[linear] > 0 == outside[logistic],
            Message("the shares are others"),
        )
    ]
    for text, first, second in pairs:
        a, b = (losses[name].mean(axis=0) for name in (first, second))
        low, high = metrics.paired_interval(a, b)
        ours = Message(
            "log loss of {first} minus that of {second}: {low:+.4f} to {high:+.4f}",
            first=as_message(first),
            second=as_message(second),
            low=low,
            high=high,
        )
        claims.append(Claim(text, ours, high < 0, Message("the interval is not below 0")))
    return claims


def _log_losses(
    clicks: Dataset, losses: Errors, outside: Mapping[str, float]
) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = [
        (Message("model"), Message("log loss"), Message("predictions beyond 0 and 1"))
    ]
    for name, each in losses.items():
        scores = each.mean(axis=1)
        loss = f"{scores.mean():.4f} ± {scores.std(ddof=1):.4f}"
        lines.append((name, loss, f"{outside[name]:.1%}"))
    lines.append((Message("the Bayes limit"), f"{clicks.bayes_log_loss:.4f}", ""))
    return lines


def draw_predictions(clicks: Dataset, losses: Errors, ax: Any) -> None:
    """Draw the log loss of each model, a dot for each seed, and the Bayes limit."""
    place = np.arange(len(losses))
    scores = np.array([each.mean(axis=1) for each in losses.values()])  # (models, seeds)
    ax.plot(scores.mean(axis=1), place, "D", color="#0072b2", ms=9, label="mean of the seeds")
    ax.plot(scores, np.repeat(place[:, None], scores.shape[1], axis=1), "k.", ms=5)
    ax.axvline(clicks.bayes_log_loss, color="0.3", ls=":", label="Bayes limit")
    ax.set_yticks(place, list(losses))
    ax.invert_yaxis()
    ax.set(
        xlabel="test log loss (nats per row)",
        title="From linear regression to DLRM",
    )
    ax.grid(axis="x", alpha=0.3)
    ax.legend()
