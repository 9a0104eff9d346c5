"""Clock: how long each part of a model takes in a training step, seen from outside."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minidlrm.data.batch import Batch
from minidlrm.losses import BCEWithLogits
from minidlrm.models.model import Model
from minidlrm.optim import Optimizer


class Clock:
    """Seconds of each operation, of each step.

    Parameters
    ----------
    model : Model
        Its parts are the operations, forward and backward apart; what lies between them is "rest".

    Examples
    --------
    >>> import minidlrm as md
    >>> from minidlrm.paper.clock import Clock
    >>> batch = md.data.random_bags(100, num_dense=2, table_sizes=[5, 6]).train
    >>> clock = Clock(md.DLRM(2, [5, 6], 4, (8,), (8,)))
    >>> clock.step(batch, md.SGD(lr=0.1))
    >>> sorted(clock.medians())[:4]
    ['bottom backward', 'bottom forward', 'embeddings backward', 'embeddings forward']
    """

    def __init__(self, model: Model):
        self.model, self.loss = model, BCEWithLogits()
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def step(self, batch: Batch, optimizer: Optimizer) -> None:
        """Take one training step, and keep the time of each of its operations."""
        taken: dict[str, float] = defaultdict(float)
        model, parameters = self.model, self.model.parameters()
        with _timed(model, taken):
            start = time.perf_counter()
            model.zero_grad()
            logits = model.forward(batch)
            forward = time.perf_counter()
            self.loss.forward(logits, batch.label)
            dlogits = self.loss.backward()
            loss = time.perf_counter()
            model.backward(dlogits)
            backward = time.perf_counter()
            optimizer.step(parameters)
            end = time.perf_counter()
        parts = sum(taken.values())
        taken["loss"], taken["optimizer"] = loss - forward, end - backward
        taken["rest"] = (forward - start) + (backward - loss) - parts
        for name, seconds in taken.items():
            self.seconds[name].append(seconds)

    def medians(self) -> dict[str, float]:
        """Return the median seconds of each operation over the steps."""
        return {name: float(np.median(seconds)) for name, seconds in self.seconds.items()}

    def total(self) -> float:
        """Return the median seconds of a step."""
        return float(np.median(np.sum(list(self.seconds.values()), axis=0)))


@contextmanager
def _timed(model: Model, taken: dict[str, float]) -> Iterator[None]:
    """Add to `taken` what `forward` and `backward` of each direct part take, until the end."""
    parts = list(model.named_children())
    try:
        for name, part in parts:
            for phase in ("forward", "backward"):
                vars(part)[phase] = _clocked(getattr(part, phase), f"{name} {phase}", taken)
        yield
    finally:
        for _, part in parts:
            for phase in ("forward", "backward"):
                vars(part).pop(phase, None)


def _clocked(call: Callable[..., Any], name: str, taken: dict[str, float]) -> Callable[..., Any]:
    def clocked(*inputs: Any) -> Any:
        start = time.perf_counter()
        output = call(*inputs)
        taken[name] += time.perf_counter() - start
        return output

    return clocked
