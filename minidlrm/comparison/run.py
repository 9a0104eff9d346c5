"""compare: every model on the same data, under the same budget.

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
from minidlrm.comparison.result import Budget, Result
from minidlrm.comparison.speed import rows_per_second
from minidlrm.data.batch import Dataset
from minidlrm.files import replacing
from minidlrm.interrupts import is_interrupt
from minidlrm.languages import say
from minidlrm.models import MODELS, Model, ModelEntry
from minidlrm.models.model import shared_tables
from minidlrm.optim import Adam
from minidlrm.training import begin_at_the_mean, fit, predict

_FORMAT = 3  # of a cell: files of another format are not read


@dataclass(frozen=True)
class Cell:
    """One run of the comparison."""

    entry: ModelEntry
    lr: float
    seed: int

    def path(self, dataset: Dataset, budget: Budget, folder: Path) -> Path:
        """Return the file of this cell; other data, or another budget, have other files."""
        parts = [_FORMAT, dataset.description, self.entry.title, self.lr, self.seed]
        parts += [budget.embedding_dim, budget.mlp, budget.epochs, budget.batch_size]
        parts += [len(dataset.train), len(dataset.test)]
        key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
        title = self.entry.title.lower().replace(" ", "-")
        return folder / "cells" / f"{title}-{key}.npz"


def compare(
    dataset: Dataset,
    budget: Budget,
    folder: str | os.PathLike,
    entries: Sequence[ModelEntry] = tuple(MODELS.values()),
    progress: bool = True,
) -> list[Result]:
    """Train and score every model; finished cells are read from `folder`.

    Parameters
    ----------
    dataset : Dataset
        Labelled clicks, or ratings.
    budget : Budget
        What every model gets.
    folder : path
        Where cells are kept.
    entries : sequence of ModelEntry
        The models; all of `minidlrm.models.MODELS` by default. Those that do not fit the data
        are left out.
    progress : bool
        Whether to show a progress bar over the cells.

    Returns
    -------
    list of Result
        In the order of the entries. After Ctrl-C, those that were finished.
    """
    results = trained(dataset, budget, folder, entries, progress)
    models = [_model(result.entry, 0, dataset, budget) for result in results]
    speeds = rows_per_second(models, dataset.train, budget.batch_size)
    return [replace(r, rows_per_second=speed) for r, speed in zip(results, speeds, strict=True)]


def trained(
    dataset: Dataset,
    budget: Budget,
    folder: str | os.PathLike,
    entries: Sequence[ModelEntry] = tuple(MODELS.values()),
    progress: bool = True,
) -> list[Result]:
    """Do what `compare` does, but for the speed of each model, which is NaN."""
    from tqdm.auto import tqdm

    entries = [entry for entry in entries if entry.fits(dataset)]
    runs = len(budget.learning_rates) + budget.seeds - 1
    results = []
    with tqdm(total=len(entries) * runs, disable=not progress, unit=say("cell")) as bar:

        def run(cell: Cell) -> dict[str, Any]:
            found = _read_or_run(cell, dataset, budget, Path(folder))
            bar.update()
            return found

        try:
            for entry in entries:
                bar.set_description(f"{entry.title:12}")
                results.append(_result(entry, budget, run))
        except (KeyboardInterrupt, SystemError) as error:
            if not is_interrupt(error):
                raise
            bar.write(say("interrupted: the finished models follow; run again to go on"))
    return results


def _result(entry: ModelEntry, budget: Budget, run: Callable[[Cell], dict[str, Any]]) -> Result:
    cells = [run(Cell(entry, lr, 0)) for lr in budget.learning_rates]
    best = min(cells, key=lambda cell: cell["valid_score"])
    runs = [best, *(run(Cell(entry, best["lr"], seed)) for seed in range(1, budget.seeds))]
    return Result(
        entry,
        best["parameters"],
        best["flops"],
        float("nan"),  # measured when all are finished
        best["memory"],
        best["lr"],
        np.array([run["score"] for run in runs]),
        np.array([run["auc"] for run in runs]),
        np.mean([run["losses"] for run in runs], axis=0),
        [(epoch, score) for epoch, score in best["curve"]],
    )


def _read_or_run(cell: Cell, dataset: Dataset, budget: Budget, folder: Path) -> dict[str, Any]:
    path = cell.path(dataset, budget, folder)
    if path.is_file():
        with np.load(path, allow_pickle=False) as file:
            return {**json.loads(str(file["meta"])), "losses": file["losses"]}
    path.parent.mkdir(parents=True, exist_ok=True)
    meta, losses = run_cell(cell, dataset, budget)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, meta=np.array(json.dumps(meta)), losses=losses)
    return {**meta, "losses": losses}


def _model(entry: ModelEntry, seed: int, dataset: Dataset, budget: Budget) -> Model:
    sizes = (dataset.num_dense, dataset.table_sizes, budget.embedding_dim, budget.mlp)
    shared: dict[str, Any] = {"shared": shared_tables(dataset)} if shared_tables(dataset) else {}
    model = entry.build(*sizes, seed=seed, **shared)
    model.task = dataset.task
    return model


def run_cell(cell: Cell, dataset: Dataset, budget: Budget) -> tuple[dict[str, Any], np.ndarray]:
    """Train and score one model; return what is kept of it, and the loss of each test row."""
    model, optimizer = _model(cell.entry, cell.seed, dataset, budget), Adam(cell.lr)
    if dataset.task == "ratings":
        begin_at_the_mean(model, dataset.train)
    steps = -(-len(dataset.train) // budget.batch_size)
    history = fit(
        model,
        dataset,
        optimizer=optimizer,
        epochs=budget.epochs,
        batch_size=budget.batch_size,
        seed=cell.seed,
        eval_every=-(-steps // 4),
        patience=4 * budget.epochs,  # never gives up, but goes back to the best weights
        progress=False,
    )
    arrays = [p.value for p in model.parameters()]
    arrays += [array for state in optimizer.state.values() for array in state.values()]
    output = predict(model, dataset.test, logits=True).astype(np.float64)
    score, auc, losses = _scored(dataset.task, np.asarray(dataset.test.label, np.float64), output)
    valid = {"clicks": "valid_log_loss", "ratings": "valid_rmse"}[dataset.task]
    meta = {
        "lr": cell.lr,
        "seed": cell.seed,
        "parameters": int(model.num_parameters()),
        "flops": int(model.flops_per_sample()),
        "memory": int(sum(array.nbytes for array in arrays)),
        "valid_score": history.best[valid],
        "score": score,
        "auc": auc,
        "curve": list(zip(history.column("epoch"), history.column(valid), strict=True)),
    }
    return meta, losses


def _scored(task: str, label: np.ndarray, output: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Return the log loss or RMSE of all rows, the AUC, and the loss of each row."""
    if task == "ratings":
        return metrics.rmse(label, output), float("nan"), (output - label) ** 2
    losses = np.logaddexp(0, output) - label * output
    return metrics.log_loss(label, output), metrics.auc(label, output), losses
