"""compare: every model on the same data, under the same budget, with its noise.

A comparison is made of cells: one model, one learning rate, one seed. The learning rate is
chosen on the validation rows with the first seed; the other seeds use it. A finished cell
is a file, and is not run again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from minidlrm import metrics
from minidlrm.checkpoint import replacing
from minidlrm.data.batch import Batch, Dataset, Jagged
from minidlrm.losses import MSE, BCEWithLogits
from minidlrm.models import (
    DCN,
    DLRM,
    GMF,
    DeepFM,
    FactorizationMachine,
    LogisticRegression,
    MatrixFactorization,
    MLPModel,
    NeuMF,
    WideDeep,
    XDeepFM,
)
from minidlrm.optim import Adam
from minidlrm.training import fit, predict

LEARNING_RATES = (0.001, 0.003, 0.01)
_RESAMPLES = 1000


@dataclass(frozen=True)
class Contender:
    """A model of the comparison.

    Parameters
    ----------
    name : str
        As the tables call it.
    unit : str
        What interacts: single numbers ("bit"), whole vectors ("vector"), features.
    order : str
        The highest order of interaction that it computes by design; "any" is what an MLP
        may find.
    build : callable
        (num_dense, table_sizes, embedding_dim, mlp, seed) -> model.
    pairs_only : bool
        Whether it takes two tables, users and items, and nothing else.
    one_hot_only : bool
        Whether it takes one id a table, and no bags.
    """

    name: str
    unit: str
    order: str
    build: Callable[..., Any]
    pairs_only: bool = False
    one_hot_only: bool = False

    def fits(self, dataset: Dataset) -> bool:
        """Whether the model can take these features."""
        pairs = dataset.num_dense == 0 and len(dataset.table_sizes) == 2
        bags = isinstance(dataset.train.sparse, Jagged)
        return (pairs or not self.pairs_only) and not (bags and self.one_hot_only)


def _top_pair(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """The cross that one would choose without knowing better: the two smallest tables."""
    small = np.argsort(sizes, kind="stable")[:2]
    return [(int(small[0]), int(small[1]))] if len(small) == 2 else []


CONTENDERS = (
    Contender("LR", "feature", "1", lambda n, t, d, m, s: LogisticRegression(n, t, seed=s)),
    Contender("FM", "vector", "2", lambda n, t, d, m, s: FactorizationMachine(n, t, d, seed=s)),
    Contender("MLP", "bit", "any", lambda n, t, d, m, s: MLPModel(n, t, d, m, seed=s)),
    Contender(
        "Wide & Deep",
        "pairs, bit",
        "2, any",
        lambda n, t, d, m, s: WideDeep(n, t, d, m, crosses=_top_pair(t), seed=s),
        one_hot_only=True,
    ),
    Contender(
        "DeepFM",
        "vector, bit",
        "2, any",
        lambda n, t, d, m, s: DeepFM(n, t, d, m, seed=s),
    ),
    Contender("DCN", "bit", "4, any", lambda n, t, d, m, s: DCN(n, t, d, 3, "vector", m, seed=s)),
    Contender(
        "DCN v2",
        "bit",
        "4, any",
        lambda n, t, d, m, s: DCN(n, t, d, 3, "matrix", m, seed=s),
    ),
    Contender(
        "xDeepFM",
        "vector, bit",
        "3, any",
        lambda n, t, d, m, s: XDeepFM(n, t, d, (16, 16), m, seed=s),
    ),
    Contender(
        "DLRM",
        "vector",
        "2, any",
        lambda n, t, d, m, s: DLRM(n, t, d, m[-1:], m, seed=s),
    ),
    Contender("MF", "vector", "2", lambda n, t, d, m, s: MatrixFactorization(t, d, seed=s), True),
    Contender("GMF", "vector", "2", lambda n, t, d, m, s: GMF(t, d, seed=s), True),
    Contender("NeuMF", "vector, bit", "2, any", lambda n, t, d, m, s: NeuMF(t, d, m, seed=s), True),
)


@dataclass(frozen=True)
class Budget:
    """What every model gets.

    Parameters
    ----------
    embedding_dim : int
        D.
    mlp : tuple of int
        Hidden sizes of every MLP.
    epochs, batch_size : int
        The same for all; the optimizer is Adam for all. Of the epochs, the one that is best
        on the validation rows counts.
    learning_rates : tuple of float
        The grid.
    seeds : int
        Runs of each model.
    """

    embedding_dim: int = 8
    mlp: tuple[int, ...] = (64, 32)
    epochs: int = 2
    batch_size: int = 512
    learning_rates: tuple[float, ...] = LEARNING_RATES
    seeds: int = 3


@dataclass(frozen=True)
class Row:
    """One model's line: its size, its cost, and its score over the seeds."""

    contender: Contender
    parameters: int
    flops: int
    samples_per_second: float
    memory: int
    lr: float
    score: np.ndarray  # (seeds,), log loss or RMSE
    auc: np.ndarray  # (seeds,), NaN for ratings
    losses: np.ndarray  # (test rows,), the mean over the seeds; of ratings, squared errors
    curve: list[tuple[float, float]]  # (epoch, validation score) of the first seed


def metric(dataset: Dataset) -> str:
    """Return what a comparison on these data minimizes: clicks are labels 0 and 1.

    Examples
    --------
    >>> import minidlrm as md
    >>> from minidlrm.comparison import metric
    >>> metric(md.data.synthetic_clicks(100))
    'log loss'
    """
    label = np.asarray(dataset.train.label)
    return "log loss" if ((label == 0) | (label == 1)).all() else "RMSE"


def compare(
    dataset: Dataset,
    budget: Budget,
    folder: str | os.PathLike,
    contenders: Sequence[Contender] = CONTENDERS,
    progress: bool = True,
) -> list[Row]:
    """Train and score every contender; finished cells are read from `folder`.

    Parameters
    ----------
    dataset : Dataset
        Labelled clicks, or ratings.
    budget : Budget
        What every model gets.
    folder : path
        Where cells are kept.
    contenders : sequence of Contender
        The models. Those that do not fit the data are left out.
    progress : bool
        Whether to show a progress bar over the cells.

    Returns
    -------
    list of Row
        In the order of the contenders. After Ctrl-C, those that were finished.
    """
    from tqdm.auto import tqdm

    contenders = [contender for contender in contenders if contender.fits(dataset)]
    dataset = _centred(dataset)
    runs = len(budget.learning_rates) + budget.seeds - 1
    rows = []
    with tqdm(total=len(contenders) * runs, disable=not progress, unit="cell") as bar:
        try:
            for contender in contenders:
                bar.set_description(f"{contender.name:12}")
                rows.append(_row(dataset, budget, Path(folder), contender, bar))
        except KeyboardInterrupt:
            bar.write("interrupted: the finished models follow; run again to go on")
    return rows


def _centred(dataset: Dataset) -> Dataset:
    """Take the mean training rating from all ratings: no model has to find it first."""
    if metric(dataset) == "log loss":
        return dataset
    mean = np.asarray(dataset.train.label).mean(dtype=np.float64)

    def less_the_mean(rows: Batch) -> Batch:
        return replace(rows, label=(np.asarray(rows.label) - mean).astype(np.float32))

    train, valid, test = map(less_the_mean, (dataset.train, dataset.valid, dataset.test))
    return replace(dataset, train=train, valid=valid, test=test)


def _row(dataset: Dataset, budget: Budget, folder: Path, contender: Contender, bar) -> Row:
    cells = []
    for lr in budget.learning_rates:
        cells.append(_cell(dataset, budget, folder, contender, lr, 0))
        bar.update()
    best = min(cells, key=lambda cell: cell["valid_score"])
    runs = [best]
    for seed in range(1, budget.seeds):
        runs.append(_cell(dataset, budget, folder, contender, best["lr"], seed))
        bar.update()
    return Row(
        contender,
        best["parameters"],
        best["flops"],
        float(np.median([run["samples_per_second"] for run in runs])),
        best["memory"],
        best["lr"],
        np.array([run["score"] for run in runs]),
        np.array([run["auc"] for run in runs]),
        np.mean([run["losses"] for run in runs], axis=0),
        [tuple(point) for point in best["curve"]],
    )


def _cell(dataset, budget: Budget, folder: Path, contender: Contender, lr: float, seed: int):
    """Run one cell, or read it when the same one has been run on the same data."""
    parts = [2, dataset.description, contender.name, lr, seed, budget.embedding_dim, budget.mlp]
    parts += [budget.epochs, budget.batch_size, len(dataset.train), len(dataset.test)]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    path = folder / "cells" / f"{contender.name.lower().replace(' ', '-')}-{key}.npz"
    if path.is_file():
        with np.load(path, allow_pickle=False) as file:
            return {**json.loads(str(file["meta"])), "losses": file["losses"]}
    path.parent.mkdir(parents=True, exist_ok=True)
    meta, losses = _run(dataset, budget, contender, lr, seed)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, meta=np.array(json.dumps(meta)), losses=losses)
    return {**meta, "losses": losses}


def _run(dataset, budget: Budget, contender: Contender, lr: float, seed: int):
    model = contender.build(
        dataset.num_dense, dataset.table_sizes, budget.embedding_dim, budget.mlp, seed
    )
    optimizer = Adam(lr)
    ratings = metric(dataset) == "RMSE"
    steps = -(-len(dataset.train) // budget.batch_size)
    history = fit(
        model,
        dataset.train,
        dataset.valid,
        optimizer=optimizer,
        loss=MSE() if ratings else BCEWithLogits(),
        epochs=budget.epochs,
        batch_size=budget.batch_size,
        seed=seed,
        eval_every=-(-steps // 4),
        patience=4 * budget.epochs,  # never gives up, but goes back to the best weights
        progress=False,
    )
    arrays = [p.value for p in model.parameters()]
    arrays += [array for state in optimizer.state.values() for array in state.values()]
    output = predict(model, dataset.test, logits=True).astype(np.float64)
    losses, score, auc = _scored(np.asarray(dataset.test.label, np.float64), output, ratings)
    valid = "valid_rmse" if ratings else "valid_log_loss"
    meta = {
        "lr": lr,
        "seed": seed,
        "parameters": int(model.num_parameters()),
        "flops": int(model.flops_per_sample()),
        "samples_per_second": budget.epochs * len(dataset.train) / history.records[-1]["seconds"],
        "memory": int(sum(array.nbytes for array in arrays)),
        "valid_score": history.best[valid],
        "score": score,
        "auc": auc,
        "curve": list(zip(history.column("epoch"), history.column(valid), strict=True)),
    }
    return meta, losses


def _scored(label: np.ndarray, output: np.ndarray, ratings: bool):
    """Return the loss of each row, the log loss or RMSE of all, and the AUC."""
    if ratings:
        return (output - label) ** 2, metrics.rmse(label, output), float("nan")
    losses = np.logaddexp(0, output) - label * output
    return losses, metrics.log_loss(label, output), metrics.auc(label, output)


def paired_interval(
    first: np.ndarray, second: np.ndarray, seed: int = 0, root: bool = False
) -> tuple[float, float]:
    """Return a 95% interval of the difference of two mean losses, by a paired bootstrap.

    Parameters
    ----------
    first, second : array (n,)
        Losses of two models on the same rows.
    seed : int
        Of the resamples.
    root : bool
        Whether to compare the roots of the means: RMSE, given squared errors.

    Returns
    -------
    (float, float)
        An interval that holds 0 means: the rows do not tell the two models apart.

    References
    ----------
    Efron and Tibshirani 1993, "An introduction to the bootstrap", chapter 13.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.comparison import paired_interval
    >>> low, high = paired_interval(np.ones(100), np.zeros(100))
    >>> low, high
    (1.0, 1.0)
    """
    rng = np.random.default_rng(seed)
    n = len(first)
    resamples = (rng.integers(0, n, n) for _ in range(_RESAMPLES))
    means = np.array([(first[rows].mean(), second[rows].mean()) for rows in resamples])
    if root:
        means = np.sqrt(means)
    low, high = np.percentile(means[:, 0] - means[:, 1], [2.5, 97.5])
    return float(low), float(high)


def is_noise(row: Row, best: Row) -> bool:
    """Whether a model's log loss (or RMSE) cannot be told from the best one's.

    The rows must tell them apart (paired bootstrap), and so must the seeds (the difference of
    the means exceeds twice its standard error).

    Parameters
    ----------
    row, best : Row
        Two lines of one comparison.
    """
    return row is best or _is_noise(row, best, paired_interval(row.losses, best.losses))


def _is_noise(row: Row, best: Row, interval: tuple[float, float]) -> bool:
    low, high = interval
    if low <= 0 <= high:
        return True
    if len(row.score) < 2:
        return False
    variance = row.score.var(ddof=1) + best.score.var(ddof=1)
    error = np.sqrt(variance / len(row.score))
    return bool(row.score.mean() - best.score.mean() <= 2 * error)


def deviation(values: Sequence[float] | np.ndarray) -> float:
    """Return the sample standard deviation over the seeds; 0 for a single one.

    Examples
    --------
    >>> from minidlrm.comparison import deviation
    >>> deviation([1.0, 3.0]) ** 2, deviation([1.0])
    (2.0000000000000004, 0.0)
    """
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def explained(log_loss: float, entropy: float, bayes: float) -> float:
    """Return the share of what can be learned that was: 0 for the mean rate, 1 at the limit.

    Examples
    --------
    >>> from minidlrm.comparison import explained
    >>> explained(0.5, entropy=0.6, bayes=0.4)
    0.5
    """
    return round((entropy - log_loss) / (entropy - bayes), 12)


def as_records(rows: Sequence[Row], dataset: Dataset) -> list[dict[str, Any]]:
    """Return the table as plain records, for JSON and for printing.

    Parameters
    ----------
    rows : sequence of Row
        What `compare` returned.
    dataset : Dataset
        Its data.
    """
    best = min(rows, key=lambda row: row.score.mean())
    bayes, root = dataset.bayes_log_loss, metric(dataset) == "RMSE"
    records = []
    for row in rows:
        interval = (0.0, 0.0)
        if row is not best:
            interval = paired_interval(row.losses, best.losses, root=root)
        records.append(
            {
                "model": row.contender.name,
                "unit": row.contender.unit,
                "order": row.contender.order,
                "parameters": row.parameters,
                "flops": row.flops,
                "samples_per_second": row.samples_per_second,
                "memory": row.memory,
                "lr": row.lr,
                "score": float(row.score.mean()),
                "score_std": deviation(row.score),
                "auc": float(row.auc.mean()),
                "auc_std": deviation(row.auc),
                "above_best": list(interval),
                "noise": _is_noise(row, best, interval),
                "above_bayes": None if bayes is None else float(row.score.mean() / bayes - 1),
            }
        )
    return records


def as_markdown(records: Sequence[dict[str, Any]], dataset: Dataset, budget: Budget) -> str:
    """Return the comparison as Markdown tables, stamped with version, data and machine.

    Parameters
    ----------
    records : sequence of dict
        What `as_records` returned.
    dataset : Dataset
        Its data.
    budget : Budget
        What every model got.
    """
    lines = [
        f"Data: {dataset.description}. {_stamp(budget)}",
        "",
        "| model | unit | order | parameters | FLOPs a sample | rows/s | memory, MB | lr |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for r in records:
        lines.append(
            f"| {r['model']} | {r['unit']} | {r['order']} | {r['parameters']:,} | {r['flops']:,} "
            f"| {r['samples_per_second']:,.0f} | {r['memory'] / 1e6:.1f} | {r['lr']:g} |"
        )
    lines += [
        "",
        f"| model | {metric(dataset)} | AUC | above Bayes | above the best, 95% | |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for r in records:
        low, high = r["above_best"]
        interval = "lowest mean" if low == high == 0 else f"{low:+.4f} to {high:+.4f}"
        auc = "" if np.isnan(r["auc"]) else f"{r['auc']:.4f} ± {r['auc_std']:.4f}"
        bayes = "" if r["above_bayes"] is None else f"{100 * r['above_bayes']:+.2f}%"
        lines.append(
            f"| {r['model']} | {r['score']:.4f} ± {r['score_std']:.4f} | {auc} | {bayes} "
            f"| {interval} | {'noise' if r['noise'] else ''} |"
        )
    lines += ["", '"noise": not told from the lowest mean, by the rows or by the seeds.']
    return "\n".join(lines) + "\n"


def order_markdown(shares: dict[str, list[tuple[float, float]]], rows: int, budget: Budget) -> str:
    """Return the order experiment as a Markdown table.

    Parameters
    ----------
    shares : dict of str to list of (mean, deviation)
        For each model and order, the share that `explained` returns.
    rows : int
        Rows of each data set.
    budget : Budget
        What every model got.
    """
    lines = [
        f"Data: synthetic clicks of one pure order, {rows:,} rows. {_stamp(budget)}",
        "",
        "| model | order 1 | order 2 | order 3 |",
        "| --- | --- | --- | --- |",
    ]
    for name, values in shares.items():
        cells = (f"{mean:+.3f} ± {spread:.3f}" for mean, spread in values)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _stamp(budget: Budget) -> str:
    import platform

    from minidlrm import __version__

    rates = ", ".join(map(str, budget.learning_rates))
    return (
        f"Budget: D = {budget.embedding_dim}, MLP {budget.mlp}, {budget.epochs} epochs, batches of "
        f"{budget.batch_size}, Adam at the best of {rates} on the validation rows, "
        f"{budget.seeds} seeds. minidlrm {__version__}, NumPy {np.__version__}, "
        f"{platform.machine()}, {os.cpu_count()} cores."
    )
