"""Figures. Every function draws on Axes (new ones when none are given) and returns them."""

from __future__ import annotations

from typing import Any

_MAX_CELLS = 20_000  # of a picture of an array


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
    ax = ax or new_axes()
    epochs = history.column("epoch")
    ax.plot(epochs, history.column("train_loss"), "o-", color="#0072b2", ms=4, label="training")
    ratings = "valid_rmse" in history.records[0]
    if ratings or "valid_log_loss" in history.records[0]:
        valid = history.column("valid_rmse" if ratings else "valid_log_loss")
        if ratings:
            valid = [rmse**2 for rmse in valid]  # the loss is the mean squared error
        ax.plot(epochs, valid, "s--", color="#d55e00", ms=4, label="validation")
    if bayes_log_loss is not None:
        ax.axhline(bayes_log_loss, color="0.3", ls=":", label=f"Bayes limit {bayes_log_loss:.4f}")
    loss = "mean squared error" if ratings else "log loss (nats per row)"
    ax.set(xlabel="epoch", ylabel=loss, title="Learning curve")
    ax.grid(alpha=0.3)
    ax.legend()
    return ax


def quality_against_cost(
    records: Any,
    ax: Any = None,
    bayes_log_loss: float | None = None,
    score: str = "log loss (nats per row)",
) -> Any:
    """Draw the log loss (or RMSE) of each model, and its deviation, against its FLOPs.

    Parameters
    ----------
    records : list of dict
        What `minidlrm.comparison.as_records` returned.
    ax : matplotlib Axes, optional
        Where to draw.
    bayes_log_loss : float, optional
        The limit: drawn as a line.
    score : str
        What is drawn, for the label of the axis.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import minidlrm as md
    >>> from matplotlib.figure import Figure
    >>> record = {"model": "DLRM", "flops": 9, "score": 0.5, "score_std": 0.01, "noise": False}
    >>> md.plots.quality_against_cost([record], ax=Figure().subplots()).get_xscale()
    'log'
    """
    ax = ax or new_axes()
    for k, record in enumerate(records):
        x, y = max(1, record["flops"]), record["score"]
        style = {"fmt": "o" if record["noise"] else "s", "color": _color(k), "capsize": 3}
        ax.errorbar(x, y, yerr=record["score_std"], label=record["model"], **style)
    if bayes_log_loss is not None:
        ax.axhline(bayes_log_loss, color="0.3", ls=":", label="Bayes limit")
    ax.set(
        xscale="log",
        xlabel="FLOPs of one forward pass, per sample",
        ylabel=f"test {score}",
        title="Quality against cost; circles: not told from the best",
    )
    ax.grid(alpha=0.3)
    ax.legend(fontsize="small", ncols=2)
    return ax


def learning_curves(
    rows: Any,
    ax: Any = None,
    bayes_log_loss: float | None = None,
    score: str = "log loss (nats per row)",
) -> Any:
    """Draw the validation log loss (or RMSE) of each model's first seed against the epoch.

    Parameters
    ----------
    rows : list of Row
        What `minidlrm.comparison.compare` returned.
    ax, bayes_log_loss, score
        As `quality_against_cost`.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> from types import SimpleNamespace as Record
    >>> import minidlrm as md
    >>> from matplotlib.figure import Figure
    >>> row = Record(contender=Record(name="DLRM"), curve=[(1.0, 0.6), (2.0, 0.5)])
    >>> ax = md.plots.learning_curves([row], ax=Figure().subplots())
    >>> ax.get_legend_handles_labels()[1]
    ['DLRM']
    """
    ax = ax or new_axes()
    for k, row in enumerate(rows):
        epochs, losses = zip(*row.curve, strict=True)
        ls = ("-", "--", "-.")[k % 3]
        ax.plot(epochs, losses, ls=ls, marker="o", ms=3, color=_color(k), label=row.contender.name)
    if bayes_log_loss is not None:
        ax.axhline(bayes_log_loss, color="0.3", ls=":", label="Bayes limit")
    ax.set(xlabel="epoch", ylabel=f"validation {score}", title="Learning curves")
    ax.grid(alpha=0.3)
    ax.legend(fontsize="small", ncols=2)
    return ax


def cost_against_fields(contenders: Any, embedding_dim: int, mlp: Any, ax: Any = None) -> Any:
    """Draw each model's FLOPs per sample against the number of categorical fields.

    Parameters
    ----------
    contenders : sequence of Contender
        The models.
    embedding_dim : int
        D.
    mlp : tuple of int
        Hidden sizes.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import minidlrm as md
    >>> from matplotlib.figure import Figure
    >>> from minidlrm.comparison import CONTENDERS
    >>> ax = md.plots.cost_against_fields(CONTENDERS[:1], 4, (8,), ax=Figure().subplots())
    >>> ax.get_xlabel()
    'categorical fields'
    """
    ax = ax or new_axes()
    fields = (2, 5, 10, 20, 40, 80)
    for k, contender in enumerate(contenders):
        flops = [
            contender.build(0, [2] * n, embedding_dim, mlp, 0).flops_per_sample() for n in fields
        ]
        ls = ("-", "--", "-.")[k % 3]
        ax.plot(fields, flops, ls=ls, marker="o", ms=3, color=_color(k), label=contender.name)
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="categorical fields",
        ylabel="FLOPs of one forward pass, per sample",
        title=f"Cost against the number of fields, D = {embedding_dim}",
    )
    ax.set_xticks(fields, [str(n) for n in fields])
    ax.minorticks_off()
    ax.grid(alpha=0.3)
    ax.legend(fontsize="small", ncols=2)
    return ax


def order_heat_map(shares: Any, models: Any, orders: Any, ax: Any = None) -> Any:
    """Draw what each model has learned of a signal of each order, 0 to 1.

    Parameters
    ----------
    shares : array (models, orders)
        See `minidlrm.comparison.explained`.
    models, orders : list of str
        Names of the rows and of the columns.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    One model that learns a signal of order 1, and none of order 2:

    >>> import minidlrm as md
    >>> from matplotlib.figure import Figure
    >>> shares = [[0.9, 0.1]]
    >>> ax = md.plots.order_heat_map(shares, ["LR"], ["1", "2"], ax=Figure().subplots())
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['LR']
    """
    ax = ax or new_axes()
    image = ax.imshow(shares, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    for i, row in enumerate(shares):
        for j, value in enumerate(row):
            ax.text(
                j,
                i,
                f"{round(float(value), 2) + 0.0:.2f}",  # no minus before 0.00
                ha="center",
                va="center",
                color="black" if value > 0.55 else "white",
            )
    ax.set_xticks(range(len(orders)), orders)
    ax.set_yticks(range(len(models)), models)
    ax.set(xlabel="order of the planted signal", title="Share of the learnable signal learned")
    ax.figure.colorbar(image, ax=ax, label="0: mean rate, 1: Bayes limit")
    return ax


def new_axes() -> Axes:
    """Return new Axes of the usual size."""
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(6.4, 4.4), layout="constrained")[1]


def _color(k: int) -> str:
    """Colours of Okabe and Ito, told apart by colour-blind readers, and a few more."""
    palette = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
    return (*palette, "#7f7f7f", "#b2182b", "#5e3c99", "#8c510a", "#bdbdbd")[k % 12]


def gradient_errors(check: Any, axes: Any = None) -> Any:
    """Draw a gradient check: analytic against numeric, and where in the array they differ.

    Parameters
    ----------
    check : ArrayCheck
        One line of a `GradCheckReport`.
    axes : pair of matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    array of two matplotlib Axes

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> from matplotlib.figure import Figure
    >>> report = md.gradcheck(md.Linear(3, 2), np.ones((4, 3)), verbose=False)
    >>> axes = md.plots.gradient_errors(report.arrays[0], axes=Figure().subplots(1, 2))
    >>> len(axes)
    2
    """
    import numpy as np

    if axes is None:
        import matplotlib.pyplot as plt

        axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")[1]
    left, right = axes
    ends = [min(check.numerics, default=0), max(check.numerics, default=1)]
    left.plot(ends, ends, color="0.6", lw=1, label="analytic = numeric")
    left.plot(check.numerics, check.analytics, "o", ms=5, alpha=0.7, color="#0072b2")
    left.set(xlabel="numeric gradient", ylabel="analytic gradient", title=check.name)
    left.grid(alpha=0.3)
    left.legend(fontsize="small")
    indices, shape = check.indices, check.shape
    title = f"|analytic - numeric|, {'×'.join(map(str, shape)) or 'one number'}"
    if (
        len(shape) > 1 and np.prod(shape) > _MAX_CELLS
    ):  # a large table: the rows that were looked at
        rows, place = np.unique(indices[:, 0], return_inverse=True)
        indices = np.column_stack([place.ravel(), indices[:, 1:]])
        title, shape = f"{title}; {len(rows)} rows checked", (len(rows), *shape[1:])
    columns = shape[-1] if shape else 1
    errors = np.full(
        (int(np.prod(shape)) // max(1, columns), columns), np.nan
    )  # empty: not checked
    errors.flat[np.ravel_multi_index(tuple(indices.T), shape) if shape else [0]] = np.abs(
        check.analytics - check.numerics
    )
    image = right.imshow(errors, cmap="cividis", aspect="auto", interpolation="nearest")
    right.set(xlabel="last index", ylabel="other indices", title=title)
    right.figure.colorbar(image, ax=right)
    return axes
