"""Figures. Every function draws on Axes (new ones when none are given) and returns them."""

from __future__ import annotations

from typing import Any


def learning_curve(history: Any, ax: Any = None, bayes_log_loss: float | None = None) -> Any:
    """Draw the training and validation loss of a `History` against the epoch.

    Parameters
    ----------
    history : History
        What `fit` returned.
    ax : matplotlib Axes, optional
        Where to draw.
    bayes_log_loss : float, optional
        The limit that no model can expect to pass: drawn as a line.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        When the history has no records.

    Examples
    --------
    >>> import minidlrm as md
    >>> from matplotlib.figure import Figure
    >>> history = md.training.History([{"epoch": 1.0, "train_loss": 0.6},
    ...                                {"epoch": 2.0, "train_loss": 0.5}])
    >>> md.plots.learning_curve(history, ax=Figure().subplots()).get_xlabel()
    'epoch'
    """
    if not history.records:
        raise ValueError("the history is empty: there is nothing to draw")
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots(figsize=(6.4, 4.0), layout="constrained")[1]
    epochs = history.column("epoch")
    ax.plot(epochs, history.column("train_loss"), "o-", color="#0072b2", ms=4, label="training")
    if "valid_log_loss" in history.records[0]:
        valid = history.column("valid_log_loss")
        ax.plot(epochs, valid, "s--", color="#d55e00", ms=4, label="validation")
    if bayes_log_loss is not None:
        ax.axhline(bayes_log_loss, color="0.3", ls=":", label=f"Bayes limit {bayes_log_loss:.4f}")
    ax.set(xlabel="epoch", ylabel="log loss (nats per row)", title="Learning curve")
    ax.grid(alpha=0.3)
    ax.legend()
    return ax
