"""fit, evaluate, predict: the training loop, and what it remembers.

`fit` does no more than the five lines a reader would write by hand, and watches them: it
stops on the first number that is not finite, and names the array.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from minidlrm import metrics
from minidlrm.data.batch import Batch, minibatches
from minidlrm.losses import MSE, BCEWithLogits, Loss
from minidlrm.module import Module, SparseGrad
from minidlrm.optim import Adagrad, Optimizer, OptimizerGroup


@dataclass
class History:
    """What `fit` saw: one record for each evaluation.

    Parameters
    ----------
    records : list of dict
        Each with ``step``, ``epoch`` (a fraction), ``seconds`` (training only),
        ``train_loss`` and ``grad_norm`` (means since the record before), and, with
        validation rows, the metrics of `evaluate` as ``valid_log_loss`` and so on.
    stopped_early : bool
        Whether `patience` ran out.

    Examples
    --------
    >>> import minidlrm as md
    >>> clicks = md.data.synthetic_clicks(rows=2000, seed=0)
    >>> model = md.DLRM(13, clicks.table_sizes, 8, (16,), (16,))
    >>> history = md.fit(model, clicks.train, clicks.valid, batch_size=256, progress=False)
    >>> len(history.records), history.records[-1]["step"]
    (1, 7)
    """

    records: list[dict[str, float]] = field(default_factory=list)
    stopped_early: bool = False

    def column(self, name: str) -> list[float]:
        """Return the number called `name` from each record, such as ``"valid_log_loss"``."""
        return [record[name] for record in self.records]

    @property
    def best(self) -> dict[str, float]:
        """The record with the lowest validation log loss or RMSE (training loss without one)."""
        names = ("valid_log_loss", "valid_rmse", "train_loss")
        key = next(name for name in names if name in self.records[0])
        return min(self.records, key=lambda record: record[key])

    def plot(self, ax=None, **options):
        """Draw the learning curve on the Axes `ax`; return the Axes.

        The `options` are those of `minidlrm.plots.learning_curve`.
        """
        from minidlrm.plots import learning_curve

        return learning_curve(self, ax=ax, **options)

    def _repr_html_(self) -> str:
        names = list(self.records[-1]) if self.records else []
        head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in names)
        rows = "".join(
            "<tr>" + "".join(f"<td>{record[name]:.5g}</td>" for name in names) + "</tr>"
            for record in self.records
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def fit(
    model: Module,
    train: Batch,
    valid: Batch | None = None,
    *,
    optimizer: Optimizer | OptimizerGroup | None = None,
    loss: Loss | None = None,
    epochs: int = 1,
    batch_size: int = 2048,
    seed: int = 0,
    start_epoch: int = 0,
    eval_every: int | None = None,
    patience: int | None = None,
    max_grad_norm: float | None = None,
    progress: bool = True,
    callback: Callable[[dict[str, float]], None] | None = None,
) -> History:
    """Train a model.

    Parameters
    ----------
    model : Module
        Trained in place.
    train : Batch
        The rows to learn from, shuffled anew in each epoch.
    valid : Batch, optional
        Rows for the evaluations.
    optimizer : Optimizer, optional
        The default is ``Adagrad(lr=0.02)``.
    loss : Module, optional
        The default is `BCEWithLogits`; with `MSE`, labels are ratings.
    epochs, batch_size : int
        Passes over `train`, and rows a step.
    seed : int
        Of the shuffles: epoch e uses the seed (seed, e).
    start_epoch : int
        Epochs done before, in a run that is resumed: their shuffles are skipped.
    eval_every : int, optional
        Steps between evaluations, counted from the beginning of each epoch. The end of an
        epoch is always evaluated, and nothing else by default.
    patience : int, optional
        Stop after so many evaluations without a lower validation log loss (or RMSE). With
        it, the model gets back the weights of its best evaluation in the end, whether the
        run was stopped or not: a copy of them is held.
    max_grad_norm : float, optional
        Scale the gradients down when their joint norm is larger.
    progress : bool
        Whether to show a progress bar, in a terminal or a notebook.
    callback : callable, optional
        Called with each new record.

    Returns
    -------
    History

    Raises
    ------
    FloatingPointError
        When a loss or a gradient is not finite; it names the step and the first array.
    ValueError
        When there are no rows, or an option is out of range.

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
    if epochs <= start_epoch:
        raise ValueError(f"epochs is {epochs}: it must be above start_epoch, {start_epoch}")
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}: it must be at least 1")
    if train.label is None:
        raise ValueError("the training rows have no labels")
    if patience is not None and (valid is None or len(valid) == 0):
        raise ValueError("patience needs validation rows")
    steps = _Steps(model, loss or BCEWithLogits(), optimizer or Adagrad(lr=0.02), max_grad_norm)
    steps_per_epoch = -(-len(train) // batch_size)
    total = steps_per_epoch * (epochs - start_epoch)
    task = "ratings" if isinstance(loss, MSE) else "clicks"
    watch = _Watch(model, valid, patience, callback, task)
    with _progress_bar(total, progress) as bar:
        for epoch in range(start_epoch, epochs):
            for k, batch in enumerate(minibatches(train, batch_size, seed=(seed, epoch)), 1):
                steps.take(batch)
                bar.update()
                if k == steps_per_epoch or (eval_every and k % eval_every == 0):
                    watch.record(steps, epoch + k / steps_per_epoch)
                    bar.set_postfix_str(watch.summary())
                    if watch.gives_up():
                        watch.restore_best()
                        return watch.history
    watch.restore_best()
    return watch.history


class _Steps:
    """The five lines of a training step, their sums, and their guard."""

    def __init__(self, model, loss, optimizer, max_grad_norm):
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.max_grad_norm = max_grad_norm
        self.parameters = model.parameters()
        self.count, self.seconds = 0, 0.0
        self.recent: list[tuple[float, float, int]] = []  # loss, gradient norm, rows

    def take(self, batch: Batch) -> None:
        start = time.perf_counter()
        self.count += 1
        self.model.zero_grad()
        value = self.loss.forward(self.model.forward(batch), batch.label)
        self._guard("the loss", value, lambda p: p.value)
        self.model.backward(self.loss.backward())
        norm = grad_norm(self.parameters)
        self._guard("the gradient norm", norm, lambda p: p.grad)
        if self.max_grad_norm is not None and norm > self.max_grad_norm:
            scale_grads(self.parameters, self.max_grad_norm / norm)
        self.optimizer.step(self.parameters)
        self.recent.append((value, norm, len(batch)))
        self.seconds += time.perf_counter() - start

    def _guard(self, what: str, value: float, array_of) -> None:
        if not math.isfinite(value):
            raise _bad_number(f"step {self.count}: {what} is {value}", self.model, array_of)


def _bad_number(what: str, model: Module, array_of) -> FloatingPointError:
    """Make an error that names the first array, in the order of the parameters, that went bad."""
    for name, parameter in model.named_parameters():
        array = array_of(parameter)
        if array is not None and not np.isfinite(_stored(array)).all():
            kind = "" if array is parameter.value else "the gradient of "
            what += f"; the first array that went bad is {kind}{name}"
            break
    return FloatingPointError(f"{what}. Try a smaller lr, or max_grad_norm")


class _Watch:
    """Evaluations: the records, the best weights, and when to give up."""

    def __init__(self, model, valid, patience, callback, task):
        self.task = task
        self.model, self.valid, self.patience = model, valid, patience
        self.callback = callback
        self.history = History()
        self.best_state: dict[str, np.ndarray] = {}
        self.since_best = 0

    def record(self, steps: _Steps, epoch: float) -> None:
        values, norms, rows = np.array(steps.recent).T
        steps.recent.clear()
        record = {
            "step": steps.count,
            "epoch": epoch,
            "seconds": steps.seconds,
            "train_loss": float(np.average(values, weights=rows)),
            "grad_norm": float(np.mean(norms)),
        }
        if self.valid is not None and len(self.valid):
            for name, value in evaluate(self.model, self.valid, task=self.task).items():
                record[f"valid_{name}"] = value
        self.history.records.append(record)
        if self.patience is not None:
            self._keep_best()
        if self.callback:
            self.callback(record)

    def _keep_best(self) -> None:
        if self.history.best is not self.history.records[-1]:
            self.since_best += 1
            return
        self.since_best = 0
        for name, value in self.model.state_dict().items():
            if name in self.best_state:
                self.best_state[name][...] = value
            else:
                self.best_state[name] = value.copy()

    def gives_up(self) -> bool:
        self.history.stopped_early = self.patience is not None and self.since_best >= self.patience
        return self.history.stopped_early

    def restore_best(self) -> None:
        if self.since_best:  # else the weights are the best ones
            self.model.load_state_dict(self.best_state)

    def summary(self) -> str:
        record = self.history.records[-1]
        text = f"loss {record['train_loss']:.4f}"
        if "valid_log_loss" in record:
            text += f", valid {record['valid_log_loss']:.4f}, AUC {record['valid_auc']:.4f}"
        if "valid_rmse" in record:
            text += f", valid RMSE {record['valid_rmse']:.4f}"
        return text


def _stored(array: np.ndarray | SparseGrad) -> np.ndarray:
    """Return the numbers that a value or a gradient, dense or sparse, holds."""
    return array.values if isinstance(array, SparseGrad) else array


def grad_norm(parameters) -> float:
    """Return the joint Euclidean norm of all gradients.

    Parameters
    ----------
    parameters : iterable of Parameter
        Those without a gradient count as 0.

    Returns
    -------
    float
        The root of the sum of all squares.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> w = md.Parameter(np.zeros(2)); w.grad = np.array([3.0, 4.0])
    >>> md.training.grad_norm([w])
    5.0
    """
    total = 0.0
    for parameter in parameters:
        grad = parameter.grad
        if grad is not None:
            flat = _stored(grad).ravel()
            total += float(np.dot(flat, flat))
    return math.sqrt(total)


def scale_grads(parameters, factor: float) -> None:
    """Multiply all gradients by `factor`, in place.

    Parameters
    ----------
    parameters : iterable of Parameter
        Those without a gradient are passed over.
    factor : float
        What to multiply by.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> w = md.Parameter(np.zeros(2)); w.grad = np.array([3.0, 4.0])
    >>> md.training.scale_grads([w], 0.5); w.grad
    array([1.5, 2. ])
    """
    for parameter in parameters:
        if parameter.grad is not None:
            values = _stored(parameter.grad)
            values *= values.dtype.type(factor)


def predict(model: Module, data: Batch, batch_size: int = 8192) -> np.ndarray:
    """Compute the outputs of a model, batch by batch.

    Parameters
    ----------
    model : Module
        Any model.
    data : Batch
        The rows; labels are not needed.
    batch_size : int
        Rows at a time: bounds the memory.

    Returns
    -------
    array (B,)
        Logits of click models, ratings of rating models.

    Examples
    --------
    >>> import minidlrm as md
    >>> clicks = md.data.synthetic_clicks(rows=2000, seed=0)
    >>> model = md.DLRM(13, clicks.table_sizes, 8, (16,), (16,))
    >>> md.predict(model, clicks.test).shape == (len(clicks.test),)
    True
    """
    return np.concatenate([model.forward(batch) for batch in minibatches(data, batch_size)])


def evaluate(
    model: Module, data: Batch, batch_size: int = 8192, task: str = "clicks"
) -> dict[str, float]:
    """Compute the metrics of a click model, or of a rating model, on labelled rows.

    Parameters
    ----------
    model : Module
        A model whose outputs are logits; or ratings.
    data : Batch
        Rows with labels 0 and 1; or ratings.
    batch_size : int
        Rows at a time.
    task : "clicks" or "ratings"
        What the labels are.

    Returns
    -------
    dict
        For ratings, rmse. For clicks log_loss, auc, normalized_entropy, accuracy,
        calibration; see `minidlrm.metrics`.
        All are of the whole data, not averages over batches.

    Raises
    ------
    ValueError
        When there are no rows or no labels.
    FloatingPointError
        When an output is not finite; it names the first array that is to blame.

    Examples
    --------
    >>> import minidlrm as md
    >>> clicks = md.data.synthetic_clicks(rows=2000, seed=0)
    >>> model = md.DLRM(13, clicks.table_sizes, 8, (16,), (16,))
    >>> list(md.evaluate(model, clicks.test))
    ['log_loss', 'auc', 'normalized_entropy', 'accuracy', 'calibration']
    """
    if task not in ("clicks", "ratings"):
        raise ValueError(f"task is {task!r}: it must be 'clicks' or 'ratings'")
    if data.label is None:
        raise ValueError("the rows have no labels: use predict for the outputs alone")
    label, logit = np.asarray(data.label), predict(model, data, batch_size)
    if not np.isfinite(logit).all():
        raise _bad_number("an output of the model is not finite", model, lambda p: p.value)
    if task == "ratings":
        return {"rmse": metrics.rmse(label, logit)}
    names = ("log_loss", "auc", "normalized_entropy", "accuracy", "calibration")
    return {name: getattr(metrics, name)(label, logit) for name in names}


def _progress_bar(total: int, show: bool):
    from tqdm.auto import tqdm

    return tqdm(total=total, disable=not show, unit="step", desc="training", leave=True)


def loss_of(task: str) -> Loss:
    """Return the loss that a task is trained with: BCEWithLogits for clicks, MSE for ratings.

    Parameters
    ----------
    task : "clicks" or "ratings"
        The task of a `Dataset`.

    Examples
    --------
    >>> import minidlrm as md
    >>> md.training.loss_of("ratings")
    MSE(reduction='mean')
    """
    return {"clicks": BCEWithLogits, "ratings": MSE}[task]()


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
    if train.label is None:
        raise ValueError("the training rows have no labels")
    mean = float(np.asarray(train.label).mean(dtype=np.float64))
    biases = [p for p in model.parameters() if p.name == "bias" and p.value.size == 1]
    if "mean" in model.config:
        model.config["mean"] += mean
    elif biases:
        biases[-1].value += biases[-1].value.dtype.type(mean)
    else:
        raise ValueError(f"{type(model).__name__} has no bias: it cannot begin at the mean rating")
