"""predict and evaluate: a model on rows it need not have seen, batch by batch."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from minidlrm import metrics
from minidlrm.across import forward_on_ranks, threads_of
from minidlrm.arrays import as_flag, check_type, check_word, paired, row_weights
from minidlrm.blocks import Team, blocks_for, cut
from minidlrm.data.batch import TASKS, Batch, Dataset
from minidlrm.data.cutting import minibatches, unread
from minidlrm.guard import bad_number
from minidlrm.layers.activation import sigmoid
from minidlrm.module import Module
from minidlrm.parallel.sharding import comm_of

_WORTH_THREADS = 0.02  # seconds of work


def predict(
    model: Module,
    data: Batch,
    batch_size: int = 8192,
    *,
    logits: bool = False,
    workers: int | None = None,
) -> np.ndarray:
    """Compute what a model predicts, batch by batch.

    Parameters
    ----------
    model : Module
        Any model. Its attribute ``task``, "clicks" or "ratings", says what its outputs are: `fit`
        sets it by the loss; it is saved with the model.
    data : Batch
        The rows; labels are not needed.
    batch_size : int
        Rows at a time: bounds the memory.
    logits : bool
        Whether to return the outputs as they are.
    workers : int, optional
        Threads at most; the bits do not depend on it. The default is one for each core, where
        there is enough work.

    Returns
    -------
    array (B,)
        Click probabilities (or their logits); or ratings.

    Raises
    ------
    TypeError
        When `data` is not a Batch.
    ValueError
        When there are no rows.
    FloatingPointError
        When an output is not finite; it names the first array that is to blame.

    Examples
    --------
    >>> import minidlrm as md
    >>> clicks = md.data.synthetic_clicks(rows=2000, seed=0)
    >>> model = md.DLRM(13, clicks.table_sizes, 8, (16,), (16,))
    >>> p = md.predict(model, clicks.test)
    >>> p.shape == (len(clicks.test),), bool((0 < p).all() and (p < 1).all())
    (True, True)
    """
    check_type("model", model, Module)
    check_word("task", model.task, *TASKS)
    if isinstance(data, Dataset):
        raise TypeError("data is a Dataset: choose its rows, such as dataset.test")
    if not isinstance(data, Batch):
        raise TypeError(
            f"data is a {type(data).__name__}: give a Batch; schema.encode(rows) makes one of rows"
        )
    logits = as_flag("logits", logits)
    with Team(threads_of(model, workers)) as team:
        if comm_of(model):
            y = np.concatenate([forward_on_ranks(model, b) for b in unread(data, batch_size)])
        else:
            y = np.concatenate([_forward(model, b, team) for b in minibatches(data, batch_size)])
    if not np.isfinite(y).all():
        k = int(np.isfinite(y).argmin())
        raise bad_number(
            f"the output of row {k} is {y[k]}", model, advice="Train it anew, with a smaller lr"
        )
    return y if logits or model.task == "ratings" else sigmoid(y)


def _forward(model: Module, batch: Batch, team: Team) -> np.ndarray:
    """Go forward in blocks: the first one tells whether threads pay for the others."""
    parts = cut(batch, blocks_for(model, len(batch)))
    outputs: list[Any] = [None] * len(parts)
    free = [model]  # replicas that no thread works with

    def visit(k: int) -> None:
        own = free.pop()
        outputs[k] = own.forward(parts[k])
        free.append(own)

    start = time.perf_counter()
    try:
        visit(0)
        left = range(1, len(parts))
        pays = (time.perf_counter() - start) * len(left) > _WORTH_THREADS
        workers = min(team.workers, len(left)) if pays else 1
        free += [model.replica() for _ in range(workers - 1)]
        team.walk(left, visit, workers)
    except Exception:
        model.forward(batch)  # the same error, which names a row of the batch
        raise
    return np.concatenate(outputs)


def evaluate(
    model: Module,
    data: Batch | Dataset,
    batch_size: int = 8192,
    task: str | None = None,
    *,
    workers: int | None = None,
) -> dict[str, float]:
    """Compute the metrics of a click model, or of a rating model, on labelled rows.

    Parameters
    ----------
    model : Module
        A model whose outputs are logits; or ratings.
    data : Batch or Dataset
        Rows with labels in [0, 1]; or ratings. Of a Dataset, the test rows.
    batch_size : int
        Rows at a time.
    task : "clicks" or "ratings", optional
        What the labels are. The default is that of the Dataset, or else of the model.
    workers : int, optional
        As `predict`.

    Returns
    -------
    dict
        For ratings, rmse. For clicks log_loss, auc, normalized_entropy, accuracy,
        calibration; see `minidlrm.metrics`.
        All are of the whole data, not averages over batches; the rows' weights count.

    Raises
    ------
    ValueError
        When there are no rows or no labels.
    FloatingPointError
        As `predict`.

    Examples
    --------
    >>> import minidlrm as md
    >>> clicks = md.data.synthetic_clicks(rows=2000, seed=0)
    >>> model = md.DLRM(13, clicks.table_sizes, 8, (16,), (16,))
    >>> list(md.evaluate(model, clicks.test))
    ['log_loss', 'auc', 'normalized_entropy', 'accuracy', 'calibration']
    """
    check_type("model", model, Module)
    if isinstance(data, Dataset):
        task, data = data.task if task is None else task, data.test
    check_type("data", data, Batch)
    task = model.task if task is None else task
    check_word("task", task, *TASKS)
    if data.label is None:
        raise ValueError("data has no labels: use predict for the outputs alone")
    output = predict(model, data, batch_size, logits=True, workers=workers)
    return metrics_of(np.asarray(data.label), output, task, data.weight)


def metrics_of(
    label: np.ndarray, output: np.ndarray, task: str, weight: np.ndarray | None = None
) -> dict[str, float]:
    """Return the metrics of outputs (B,): logits of clicks, or ratings.

    Parameters
    ----------
    label, output, weight : array (B,)
        The labels, the model's outputs, and how much each row counts.
    task : "clicks" or "ratings"
        What the labels are.

    Returns
    -------
    dict of str to float
        Five metrics of clicks, or the error of ratings.

    Raises
    ------
    ValueError
        When `task` is not known, there are no rows, or the shapes or the numbers are not right.
    TypeError
        When an array does not hold numbers.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> md.training.metrics_of(np.array([3.0, 5.0]), np.array([4.0, 4.0]), "ratings")
    {'rmse': 1.0}
    """
    label, output = paired("label", label, "output", output)
    if weight is not None:
        weight = row_weights("weight", weight, label.shape)
    check_word("task", task, *TASKS)
    clicks = ("log_loss", "auc", "normalized_entropy", "accuracy", "calibration")
    names = ("rmse",) if task == "ratings" else clicks
    return {name: getattr(metrics, name)(label, output, weight) for name in names}
