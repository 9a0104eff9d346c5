"""What every model gets, what it reaches, and which differences are more than noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minidlrm.languages import Message
from minidlrm.models import ModelEntry

SCORES = {"clicks": Message("log loss"), "ratings": "RMSE"}  # what is minimized, by the task


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
        The same for all; the optimizer is Adam for all. The epoch that is best on the
        validation rows counts.
    learning_rates : tuple of float
        The rates that are tried.
    seeds : int
        Runs of each model.

    Examples
    --------
    >>> from minidlrm.comparison import Budget
    >>> print(Budget(mlp=(8,), epochs=1))
    D = 8, MLP (8,), 1 epochs, batches of 512, Adam at the best of 0.001, 0.003, 0.01 on the \
validation rows, 3 seeds
    """

    embedding_dim: int = 8
    mlp: tuple[int, ...] = (64, 32)
    epochs: int = 2
    batch_size: int = 512
    learning_rates: tuple[float, ...] = (0.001, 0.003, 0.01)
    seeds: int = 3

    def __str__(self) -> str:
        return str(self.told())

    def told(self) -> Message:
        """Return the budget as a line, to be said in the user's language."""
        *rest, last = map(str, self.learning_rates)
        rates = last
        if rest:
            rates = Message(
                "the best of {rates} on the validation rows", rates=", ".join([*rest, last])
            )
        return Message(
            "D = {dim}, MLP {mlp}, {epochs} epochs, batches of {rows}, Adam at {rates}, "
            "{seeds} seeds",
            dim=self.embedding_dim,
            mlp=self.mlp,
            epochs=self.epochs,
            rows=self.batch_size,
            rates=rates,
            seeds=self.seeds,
        )


@dataclass(frozen=True)
class Result:
    """What one model reached: its size, its cost, and its score over the seeds.

    Parameters
    ----------
    entry : ModelEntry
        The model.
    parameters, flops, memory : int
        Numbers that are learned; FLOPs of one sample; bytes of weights and optimizer.
    rows_per_second : float
        Rows that are trained in a second of CPU time; see `speed`.
    lr : float
        The learning rate that was best on the validation rows.
    score : array (seeds,)
        Log loss, or RMSE, on the test rows.
    auc : array (seeds,)
        AUC on the test rows; NaN for ratings.
    losses : array (test rows,)
        The loss of each test row, the mean over the seeds; for ratings, squared errors.
    curve : list of (float, float)
        Epoch and validation score, of the first seed.
    """

    entry: ModelEntry
    parameters: int
    flops: int
    rows_per_second: float
    memory: int
    lr: float
    score: np.ndarray
    auc: np.ndarray
    losses: np.ndarray
    curve: list[tuple[float, float]]

    @property
    def title(self) -> str:
        """The name of the model in tables."""
        return self.entry.title


def is_noise(result: Result, best: Result, interval: tuple[float, float]) -> bool:
    """Return whether a result is not distinguishable from the best one.

    The rows must tell the two apart (`interval`, from `paired_interval`, does not hold 0), and
    so must the seeds (the difference of the means exceeds twice its standard error).
    """
    low, high = interval
    if low <= 0 <= high:
        return True
    if len(result.score) < 2:
        return False
    variance = result.score.var(ddof=1) + best.score.var(ddof=1)
    error = np.sqrt(variance / len(result.score))
    return bool(result.score.mean() - best.score.mean() <= 2 * error)


def deviation(values: Sequence[float] | np.ndarray) -> float:
    """Return the sample standard deviation over the seeds; 0 for a single one."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def explained(log_loss: float, entropy: float, bayes: float) -> float:
    """Return the share of what can be learned that was: 0 for the mean rate, 1 at the limit."""
    return round((entropy - log_loss) / (entropy - bayes), 12)
