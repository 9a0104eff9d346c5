"""What every model gets, what it reaches, and which differences are more than noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minidlrm.models import ModelEntry

SCORES = {"clicks": "log loss", "ratings": "RMSE"}  # what is minimized, by the task
_RESAMPLES = 1000


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
        rates = ", ".join(map(str, self.learning_rates))
        return (
            f"D = {self.embedding_dim}, MLP {self.mlp}, {self.epochs} epochs, batches of "
            f"{self.batch_size}, Adam at the best of {rates} on the validation rows, "
            f"{self.seeds} seeds"
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
    samples_per_second : float
        The speed of training.
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
    samples_per_second: float
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


def paired_interval(
    first: np.ndarray, second: np.ndarray, seed: int = 0, root: bool = False
) -> tuple[float, float]:
    """Return a 95% interval of the difference of two mean losses, by a paired bootstrap.

    Parameters
    ----------
    first, second : array (n,)
        Losses of two models on the same rows.
    seed : int
        Seed of the resamples.
    root : bool
        Whether to compare the roots of the means: RMSE, given squared errors.

    Returns
    -------
    (float, float)
        When the interval holds 0, the rows do not tell the two models apart.

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
