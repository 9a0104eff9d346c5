"""rows_per_second: the cost of a training step of each model, measured so that it can be compared.

A run of the comparison has other work beside it, and no two runs have the same. So all models take
turns, several times, and what counts is the median of the CPU time of all threads.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from minidlrm.data.batch import Batch
from minidlrm.models import Model
from minidlrm.optim import Adam
from minidlrm.training import fit

_ROUNDS = 5
_STEPS = 10  # of a round


def rows_per_second(
    models: Sequence[Model], rows: Batch, batch_size: int, rounds: int = _ROUNDS
) -> list[float]:
    """Return how many rows each model trains in a second of CPU time.

    Parameters
    ----------
    models : sequence of Model
        They are trained.
    rows : Batch
        Labelled rows; the first few batches are used.
    batch_size : int
        Rows a step.
    rounds : int
        Turns of each model, after a first one that warms up.

    Returns
    -------
    list of float
        In the order of the models.

    Examples
    --------
    >>> import minidlrm as md
    >>> from minidlrm.comparison.speed import rows_per_second
    >>> clicks = md.data.synthetic_clicks(rows=700, seed=0)
    >>> models = [md.LogisticRegression.for_data(clicks) for _ in range(2)]
    >>> [speed > 0 for speed in rows_per_second(models, clicks.train, 256, rounds=3)]
    [True, True]
    """
    rows = rows[: _STEPS * batch_size]
    laps: list[list[float]] = [[] for _ in models]
    for _ in range(rounds + 1):
        for model, taken in zip(models, laps, strict=True):
            start = time.process_time()
            fit(model, rows, optimizer=Adam(0.0001), batch_size=batch_size, progress=False)
            taken.append(time.process_time() - start)
    return [len(rows) / max(statistics.median(taken[1:]), 1e-9) for taken in laps]
