"""fit: the training loop, its guard, and early stopping.

The loop takes the five lines a reader would write by hand, and watches them: it stops on the
first number that is not finite, and names the array. How a run is interrupted and goes on is
told in `resuming`.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from minidlrm.across import RankBlocks, threads_of
from minidlrm.arrays import (
    as_flag,
    as_path,
    as_seed,
    as_size,
    check_finite,
    check_number,
    check_type,
    check_word,
)
from minidlrm.blocks import Blocks, Team
from minidlrm.data.batch import TASKS, Batch, Dataset, as_batch
from minidlrm.data.cutting import Rows, unread
from minidlrm.guard import bad_number, grad_norm, scale_grads
from minidlrm.history import History
from minidlrm.languages import say
from minidlrm.losses import MSE, BCEWithLogits, Loss
from minidlrm.machine import keep_memory
from minidlrm.models.model import Model
from minidlrm.module import Module
from minidlrm.optim import Adagrad, Optimizer, OptimizerGroup
from minidlrm.parallel.sharding import comm_of
from minidlrm.predicting import evaluate, metrics_of, predict
from minidlrm.resuming import Best, Interrupts, Run

__all__ = [
    "History",
    "begin_at_the_mean",
    "evaluate",
    "fit",
    "grad_norm",
    "metrics_of",
    "predict",
    "scale_grads",
]

_LARGE_LABEL = 1000.0  # a rating above it needs a scale, or a tiny rate


def fit(
    model: Module,
    train: Batch | Dataset,
    valid: Batch | None = None,
    *,
    optimizer: Optimizer | OptimizerGroup | None = None,
    loss: Loss | None = None,
    epochs: int = 1,
    batch_size: int = 2048,
    seed: int = 0,
    eval_every: int | None = None,
    patience: int | None = None,
    max_grad_norm: float | None = None,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    progress: bool = True,
    callback: Callable[[dict[str, float]], None] | None = None,
    workers: int | None = None,
) -> History:
    """Train a model.

    A large batch is computed in blocks of rows, by several threads (see `minidlrm.blocks`); BLAS
    has one thread in each. The bits do not depend on the number of threads.

    Parameters
    ----------
    model : Module
        Trained in place.
    train : Batch or Dataset
        The rows to learn from, shuffled anew in each epoch. Of a Dataset, the validation rows, the
        task, and the schema for the checkpoint are taken too.
    valid : Batch, optional
        Rows for the evaluations.
    optimizer : Optimizer or OptimizerGroup, optional
        The default is ``Adagrad(lr=0.02)``.
    loss : Loss, optional
        The default is `MSE` for ratings (``Dataset.task``, or else ``model.task``), and
        `BCEWithLogits` for clicks. It decides ``model.task``: what `predict` gives.
    epochs, batch_size : int
        Passes over `train`, and rows a step.
    seed : int
        The seed of the shuffles: epoch e uses (seed, e).
    eval_every : int, optional
        Steps between evaluations, counted from the beginning of each epoch. The end of an
        epoch is always evaluated, and nothing else by default.
    patience : int, optional
        Stop after this many evaluations without a lower validation log loss (or RMSE). With
        it, model and optimizer get back what they were at the best evaluation in the end,
        whether the run was stopped or not: a copy of them is held.
    max_grad_norm : float, optional
        Scale the gradients down when their joint norm is larger.
    checkpoint : path, optional
        Where model, optimizer and position are written: every `checkpoint_every` steps (by
        default after each epoch), at the end, and on Ctrl-C and SIGTERM, after the step at hand.
    checkpoint_every : int, optional
        Steps between checkpoints.
    resume : bool
        Go on from `checkpoint`, with the bits of a run that was not interrupted. Without the
        file the run begins anew, and says so. `epochs` may be higher than it was.
    progress : bool
        Whether to show a progress bar, in a terminal or a notebook.
    callback : callable, optional
        Called with each new record.
    workers : int, optional
        Threads for the blocks of a batch. The default is one for each core; 1 turns threads off.

    Returns
    -------
    History

    Raises
    ------
    FloatingPointError
        When a loss or a gradient is not finite; it names the step and the first array. The
        weights are those before that step.
    ValueError
        When there are no rows, a label does not suit the loss, an option is out of range, or a
        run to resume had other options; before anything is changed.
    TypeError
        When the rows are neither a Batch nor a Dataset, an option is of the wrong type, or what is
        to be saved cannot be.
    OSError
        When the checkpoint cannot be written or read.

    Examples
    --------
    >>> import minidlrm as md
    >>> clicks = md.data.synthetic_clicks(rows=2000, seed=0)
    >>> model = md.DLRM(13, clicks.table_sizes, 8, (16,), (16,))
    >>> history = md.fit(model, clicks.train, epochs=2, batch_size=256, progress=False)
    >>> first, last = history.column("train_loss")
    >>> last < first
    True
    """
    schema = train.schema if isinstance(train, Dataset) else None
    train, valid, task = _rows(model, train, valid)
    loss = (MSE() if task == "ratings" else BCEWithLogits()) if loss is None else loss
    optimizer = Adagrad(lr=0.02) if optimizer is None else optimizer
    _check_parts(loss, optimizer)
    epochs, batch_size = as_size("epochs", epochs), as_size("batch_size", batch_size)
    eval_every, patience = _at_least_1("eval_every", eval_every), _at_least_1("patience", patience)
    checkpoint_every = _at_least_1("checkpoint_every", checkpoint_every)
    seed = as_seed(seed)
    max_grad_norm = _as_norm(max_grad_norm)
    if callback is not None and not callable(callback):
        raise TypeError(f"callback is {callback!r}: it must be a function")
    resume, progress = as_flag("resume", resume), as_flag("progress", progress)
    checkpoint = None if checkpoint is None else as_path("checkpoint", checkpoint)
    if (resume or checkpoint_every is not None) and checkpoint is None:
        raise ValueError("checkpoint is None: resume and checkpoint_every need the path of a file")
    _check_labels(loss, train, valid, patience)
    team = Team(threads_of(model, workers))
    steps = _Steps(model, loss, optimizer, max_grad_norm, team)
    watch = _Watch(steps, valid, patience, callback)
    run = Run(steps, watch, checkpoint, schema)
    if checkpoint is not None:
        options: dict[str, Any] = {"batch_size": batch_size, "seed": seed, "eval_every": eval_every}
        options["max_grad_norm"] = max_grad_norm
        run.describe(train, valid, epochs, options)
    if resume and run.restore(epochs):
        return watch.history
    model.task = getattr(loss, "task", "clicks")
    keep_memory()
    with team:
        _train(run, train, epochs, batch_size, seed, eval_every, checkpoint_every, progress)
    return watch.history


def _train(
    run: Run,
    train: Batch,
    epochs: int,
    batch_size: int,
    seed: int,
    eval_every: int | None,
    checkpoint_every: int | None,
    progress: bool,
) -> None:
    """Take the steps that are left, evaluate, and write checkpoints."""
    steps, watch, per_epoch = run.steps, run.watch, -(-len(train) // batch_size)
    done = run.epoch * per_epoch + run.batches
    shown = progress and steps.blocks.is_first()
    with _progress_bar(per_epoch * epochs, done, shown) as bar, Interrupts(run) as interrupts:
        while run.epoch < epochs and not watch.history.stopped_early:
            shuffle = (seed, run.epoch)
            for rows in unread(train, batch_size, shuffle, start=run.batches):
                steps.take(rows)
                bar.update()
                k = run.batches + 1
                if k == per_epoch or (eval_every and k % eval_every == 0):
                    watch.record(run.epoch + k / per_epoch)
                    bar.set_postfix_str(watch.summary())
                run.advance(per_epoch)
                if watch.history.stopped_early:
                    break
                due = steps.count % checkpoint_every == 0 if checkpoint_every else k == per_epoch
                interrupts.settle(save=due)
        watch.restore_best()
        run.save(finished=True)


def _rows(
    model: Module, train: Batch | Dataset, valid: Batch | None
) -> tuple[Batch, Batch | None, str]:
    """Return the training rows, the validation rows, and the task, checked."""
    check_type("model", model, Module)
    check_word("task", model.task, *TASKS)
    task = model.task
    if isinstance(train, Dataset):
        task = train.task
        valid = train.valid if valid is None and len(train.valid) else valid
        train = train.train
    if not isinstance(train, Batch):
        raise TypeError(f"train is a {type(train).__name__}: it must be a Batch or a Dataset")
    if valid is not None:
        as_batch("valid", valid)
    if train.label is None:
        raise ValueError("train has no labels: there is nothing to learn from")
    if len(train) == 0:
        raise ValueError("train has no rows: there is nothing to learn from")
    return train, valid, task


def _at_least_1(name: str, value: int | None) -> int | None:
    return None if value is None else as_size(name, value)


def _as_norm(max_grad_norm: float | None) -> float | None:
    if max_grad_norm is None:
        return None
    check_number("max_grad_norm", max_grad_norm)
    if not max_grad_norm > 0:
        raise ValueError(f"max_grad_norm is {max_grad_norm}: it must be above 0")
    return float(max_grad_norm)


def _check_parts(loss: Any, optimizer: Any) -> None:
    """Raise TypeError unless a loss and an optimizer, also of one's own, can be called."""
    for name, part, methods in (
        ("loss", loss, ("forward", "backward")),
        ("optimizer", optimizer, ("step",)),
    ):
        if isinstance(part, (type, Model)) or not all(
            callable(getattr(part, m, None)) for m in methods
        ):
            raise TypeError(f"{name} is {part!r}: it must have {' and '.join(methods)}")


def _check_labels(loss: Any, train: Batch, valid: Batch | None, patience: int | None) -> None:
    """Refuse labels before the first step, and not at the first evaluation."""
    if patience is not None and (valid is None or len(valid) == 0):
        raise ValueError("patience needs validation rows: give valid")
    check = getattr(loss, "check_label", None)
    for name, rows in (("train", train), ("valid", valid)):
        if rows is None or len(rows) == 0:
            continue
        if rows.label is None:
            raise ValueError(f"the rows of {name} have no labels")
        try:
            if check:
                check(np.asarray(rows.label))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


class _Steps:
    """The five lines of a training step, their sums, and their guard."""

    def __init__(
        self,
        model: Module,
        loss: Any,
        optimizer: Any,
        max_grad_norm: float | None,
        team: Team,
    ):
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.max_grad_norm = max_grad_norm
        self.blocks = RankBlocks(model, loss, team) if comm_of(model) else Blocks(model, loss, team)
        self.parameters = model.parameters()
        self.count, self.seconds = 0, 0.0
        self.recent: list[tuple[float, float, int]] = []  # loss, gradient norm, rows

    def take(self, rows: Rows) -> None:
        start = time.perf_counter()
        value = self.blocks.take(rows)  # zero_grad, forward and backward
        self._guard("the loss", value, rows, gradients=False)
        norm = self.blocks.grad_norm(exact=self.max_grad_norm is not None)
        self._guard("the gradient norm", norm, rows, gradients=True)
        if self.max_grad_norm is not None and norm > self.max_grad_norm:
            scale_grads(self.parameters, self.max_grad_norm / norm)
        self.blocks.step(self.optimizer)
        self.count += 1
        self.recent.append((value, norm, len(rows)))
        self.seconds += time.perf_counter() - start

    def _guard(self, what: str, value: float, rows: Rows, gradients: bool) -> None:
        if math.isfinite(value):
            return
        batch = rows[:]
        advice = "Try a smaller lr, or max_grad_norm"
        largest = float(np.abs(batch.label).max()) if batch.label is not None else 0.0
        if self.count == 0 and not gradients:
            advice = "No step has been taken: look at the weights that the model began with"
        elif largest > _LARGE_LABEL:
            advice += f"; or scale the labels, which go up to {largest:g}"
        raise bad_number(f"step {self.count + 1}: {what} is {value}", self.model, gradients, advice)


class _Watch:
    """Evaluations: the records, the best weights, and when to give up."""

    def __init__(
        self,
        steps: _Steps,
        valid: Batch | None,
        patience: int | None,
        callback: Callable[[dict[str, float]], None] | None,
    ):
        self.steps, self.valid, self.patience = steps, valid, patience
        self.callback = callback
        self.history = History()
        self.best: Best | None = None  # since `patience` is given: what to go back to
        self.since_best = 0

    def record(self, epoch: float) -> None:
        values, norms, rows = np.array(self.steps.recent).T
        self.steps.recent.clear()
        record = {
            "step": self.steps.count,
            "epoch": epoch,
            "seconds": self.steps.seconds,
            "train_loss": float(np.average(values, weights=rows)),
            "grad_norm": float(np.mean(norms)),
        }
        if self.valid is not None and len(self.valid):
            for name, value in evaluate(self.steps.model, self.valid).items():
                record[f"valid_{name}"] = value
        self.history.records.append(record)
        if self.patience is not None:
            self._keep_best(self.patience)
        if self.callback:
            self.callback(record)
            self.steps.blocks.forget()

    def _keep_best(self, patience: int) -> None:
        if self.history.best is self.history.records[-1]:
            self.since_best = 0
            self.best = self.best or Best()
            self.best.keep(self.steps.model, self.steps.optimizer)
        else:
            self.since_best += 1
        self.history.stopped_early = self.since_best >= patience

    def restore_best(self) -> None:
        if self.best and self.since_best:  # else model and optimizer are the best ones
            self.best.restore(self.steps.model, self.steps.optimizer)

    def summary(self) -> str:
        record = self.history.records[-1]
        text = say("loss {loss:.4f}", loss=record["train_loss"])
        if "valid_log_loss" in record:
            loss, auc = record["valid_log_loss"], record["valid_auc"]
            text += say(", valid {loss:.4f}, AUC {auc:.4f}", loss=loss, auc=auc)
        if "valid_rmse" in record:
            text += say(", valid RMSE {rmse:.4f}", rmse=record["valid_rmse"])
        return text


def _progress_bar(total: int, done: int, show: bool) -> Any:
    from tqdm.auto import tqdm

    class Bar(tqdm):
        monitor_interval = 0  # no thread that stays: with miniters=1 there is nothing to watch

    return Bar(
        total=total,
        initial=done,
        disable=not show,
        unit=say("step"),
        desc=say("training"),
        leave=True,
        miniters=1,
    )


def begin_at_the_mean(model: Module, train: Batch) -> None:
    """Add the mean of the labels to a model's outputs, so that it need not learn it first.

    The last bias of the model takes it; or the constant, where a model has one.

    Parameters
    ----------
    model : Module
        A model that has not been trained.
    train : Batch
        The training ratings.

    Raises
    ------
    ValueError
        When the model has neither, or the rows have no labels.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> model = md.LogisticRegression(0, [3, 4])
    >>> train = md.Batch(np.zeros((2, 0)), [[0, 1], [2, 3]], np.array([3.0, 5.0]))
    >>> md.training.begin_at_the_mean(model, train)
    >>> model.linear.bias.value.tolist()
    [4.0]
    """
    check_type("model", model, Module)
    check_type("train", train, Batch)
    if train.label is None or len(train) == 0:
        raise ValueError("train has no labels: a mean needs at least one")
    check_finite("label", train.label)
    mean = float(np.asarray(train.label).mean(dtype=np.float64))
    biases = [p for p in model.parameters() if p.name == "bias" and p.value.size == 1]
    if "mean" in model.config:
        model.config["mean"] += mean
    elif biases:
        biases[-1].value += biases[-1].value.dtype.type(mean)
    else:
        raise ValueError(f"{type(model).__name__} has no bias: it cannot begin at the mean rating")
