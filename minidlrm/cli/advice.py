"""What an untrained eye does not see: scale, labels, time."""

from __future__ import annotations

import time

import numpy as np

from minidlrm import metrics
from minidlrm.cli.summary import title_of
from minidlrm.data import Dataset
from minidlrm.data.cutting import minibatches
from minidlrm.languages import say
from minidlrm.losses import MSE, BCEWithLogits, Loss
from minidlrm.models import Model

_LOOKED_AT = 10_000  # rows
_LARGE = 10.0  # a number that an MLP does not take well
_WORSE = 1.05  # times the entropy of the mean rate


def seconds_an_epoch(network: Model, dataset: Dataset, batch_size: int, steps: int = 3) -> float:
    """Return about how long an epoch takes: a few steps are run, and nothing is changed."""
    loss: Loss = MSE() if dataset.task == "ratings" else BCEWithLogits()
    taken = []
    for batch in minibatches(dataset.train[: (steps + 1) * batch_size], batch_size):
        start = time.perf_counter()
        loss.forward(network.forward(batch), batch.label)
        network.backward(loss.backward())
        taken.append((time.perf_counter() - start) / len(batch))
        network.zero_grad()
    return float(np.median(taken[1:] or taken)) * len(dataset.train)  # the first one compiles


def warnings_before(dataset: Dataset) -> list[str]:
    """Return what is odd about the training rows."""
    lines = []
    rows = dataset.train[:_LOOKED_AT]
    for k, name in enumerate(dataset.feature_names[: dataset.num_dense]):
        x = np.asarray(rows.dense[:, k], np.float64)
        if len(x) and max(abs(x.mean()), x.std()) > _LARGE:
            lines.append(
                say(
                    "{name} is not scaled: its mean is {mean}, its standard deviation {deviation}; "
                    "transform='standardize' or 'log' brings it near 1",
                    name=name,
                    mean=f"{x.mean():.3g}",
                    deviation=f"{x.std():.3g}",
                )
            )
    label = np.asarray(dataset.train.label)
    if dataset.task == "clicks" and len(label) and label.min() == label.max():
        lines.append(
            say(
                "all labels of the training rows are {label}: there is nothing to learn",
                label=f"{label[0]:g}",
            )
        )
    return lines


def warnings_after(results: dict[str, dict[str, float]], dataset: Dataset) -> list[str]:
    """Return what is odd about the results."""
    rows = {"valid": dataset.valid, "test": dataset.test}
    for name, scores in results.items():
        if "log_loss" not in scores or name not in rows:
            continue
        entropy = metrics.entropy(np.asarray(rows[name].label))
        if scores["log_loss"] > _WORSE * entropy:
            return [
                say(
                    "the log loss of the {name} rows is {loss}, above that of their mean rate "
                    "alone, {entropy}: try fewer epochs, or a smaller lr",
                    name=title_of(name),
                    loss=f"{scores['log_loss']:.4f}",
                    entropy=f"{entropy:.4f}",
                )
            ]
    return []
