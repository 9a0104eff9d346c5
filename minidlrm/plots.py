"""Figures. Every function draws on Axes (new ones when none are given) and returns them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from minidlrm.arrays import (
    as_flag,
    as_names,
    as_pairs,
    as_size,
    as_sizes,
    check_keys,
    check_number,
    check_numbers,
    check_parts,
    check_type,
    checked_axes,
    doubles,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_CELLS = 20_000  # of a picture of an array
_PALETTE = (  # Okabe and Ito's, which colour-blind readers can tell apart, and a few more
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"),
    *("#7f7f7f", "#b2182b", "#5e3c99", "#8c510a", "#bdbdbd"))  # fmt: skip


class _History(Protocol):
    """What is drawn of a `minidlrm.History`."""

    records: list[dict[str, float]]


class _Result(Protocol):
    """What is drawn of a `minidlrm.comparison.Result`."""

    @property
    def title(self) -> str: ...
    @property
    def curve(self) -> Sequence[tuple[float, float]]: ...


class _Entry(Protocol):
    """What is drawn of an entry of `minidlrm.models.MODELS`."""

    @property
    def title(self) -> str: ...
    @property
    def build(self) -> Callable[..., Any]: ...


class _Check(Protocol):
    """What is drawn of one line of a `GradCheckReport`."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def indices(self) -> np.ndarray: ...
    @property
    def analytics(self) -> np.ndarray: ...
    @property
    def numerics(self) -> np.ndarray: ...


def learning_curve(
    history: _History, ax: Axes | None = None, bayes_log_loss: float | None = None
) -> Axes:
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
    check_parts("history", [history], "records")
    if not history.records:
        raise ValueError("the history is empty: there is nothing to draw")
    check_keys("history", history.records, "epoch", "train_loss")
    first = history.records[0]
    drawn = [n for n in ("epoch", "train_loss", "valid_log_loss", "valid_rmse") if n in first]
    check_numbers("history", history.records, *drawn)
    ax = _axes(ax, bayes_log_loss)
    columns = {name: [record[name] for record in history.records] for name in drawn}
    ax.plot(columns["epoch"], columns["train_loss"], "o-", color="#0072b2", ms=4, label="training")
    ratings = "valid_rmse" in first
    valid = columns.get("valid_log_loss", [])
    if ratings:
        valid = [rmse**2 for rmse in columns["valid_rmse"]]  # the loss is the mean squared error
    if valid:
        ax.plot(columns["epoch"], valid, "s--", color="#d55e00", ms=4, label="validation")
    if bayes_log_loss is not None:
        ax.axhline(bayes_log_loss, color="0.3", ls=":", label=f"Bayes limit {bayes_log_loss:.4f}")
    loss = "mean squared error" if ratings else "log loss (nats per row)"
    ax.set(xlabel="epoch", ylabel=loss, title="Learning curve")
    ax.grid(alpha=0.3)
    ax.legend()
    return ax


def quality_against_cost(
    records: Sequence[Mapping[str, Any]],
    ax: Axes | None = None,
    bayes_log_loss: float | None = None,
    score: str = "log loss (nats per row)",
) -> Axes:
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

    Raises
    ------
    TypeError, ValueError
        When a record lacks a key, or holds no number where one is drawn.

    Examples
    --------
    >>> import minidlrm as md
    >>> from matplotlib.figure import Figure
    >>> record = {"model": "DLRM", "flops": 9, "score": 0.5, "score_std": 0.01, "noise": False}
    >>> md.plots.quality_against_cost([record], ax=Figure().subplots()).get_xscale()
    'log'
    """
    check_keys("records", records, "noise", "model")
    check_numbers("records", records, "flops", "score")
    check_numbers("records", records, "score_std", least=0)
    check_type("score", score, str)
    noise = [as_flag(f"records[{k}]['noise']", r["noise"]) for k, r in enumerate(records)]
    ax = _axes(ax, bayes_log_loss)
    for k, record in enumerate(records):
        x, y = max(1, record["flops"]), record["score"]
        shape = "o" if noise[k] else "s"
        bar = {"yerr": record["score_std"], "capsize": 3}
        ax.errorbar(x, y, fmt=shape, color=color(k), label=record["model"], **bar)
    if bayes_log_loss is not None:
        ax.axhline(bayes_log_loss, color="0.3", ls=":", label="Bayes limit")
    ax.set(
        xscale="log",
        xlabel="FLOPs of one forward pass, per sample",
        ylabel=f"test {score}",
        title="Quality against cost; circles: not distinguishable from the best",
    )
    ax.grid(alpha=0.3)
    ax.legend(fontsize="small", ncols=2)
    return ax


def learning_curves(
    results: Sequence[_Result],
    ax: Axes | None = None,
    bayes_log_loss: float | None = None,
    score: str = "log loss (nats per row)",
) -> Axes:
    """Draw the validation log loss (or RMSE) of each model's first seed against the epoch.

    Parameters
    ----------
    results : list of Result
        What `minidlrm.comparison.compare` returned.
    ax, bayes_log_loss, score
        As in `quality_against_cost`.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> from types import SimpleNamespace as Record
    >>> import minidlrm as md
    >>> from matplotlib.figure import Figure
    >>> result = Record(title="DLRM", curve=[(1.0, 0.6), (2.0, 0.5)])
    >>> ax = md.plots.learning_curves([result], ax=Figure().subplots())
    >>> ax.get_legend_handles_labels()[1]
    ['DLRM']
    """
    check_parts("results", results, "curve", "title")
    check_type("score", score, str)
    as_names("the titles of results", [result.title for result in results])
    curves = [as_pairs(f"results[{k}].curve", result.curve) for k, result in enumerate(results)]
    ax = _axes(ax, bayes_log_loss)
    for k, (result, (epochs, losses)) in enumerate(zip(results, curves, strict=True)):
        ls = ("-", "--", "-.")[k % 3]
        ax.plot(epochs, losses, ls=ls, marker="o", ms=3, color=color(k), label=result.title)
    if bayes_log_loss is not None:
        ax.axhline(bayes_log_loss, color="0.3", ls=":", label="Bayes limit")
    ax.set(xlabel="epoch", ylabel=f"validation {score}", title="Learning curves")
    ax.grid(alpha=0.3)
    ax.legend(fontsize="small", ncols=2)
    return ax


def cost_against_fields(
    entries: Sequence[_Entry], embedding_dim: int, mlp: Sequence[int], ax: Axes | None = None
) -> Axes:
    """Draw each model's FLOPs per sample against the number of categorical fields.

    Parameters
    ----------
    entries : sequence of ModelEntry
        Models from `minidlrm.models.MODELS`.
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
    >>> entries = [md.models.MODELS["dlrm"]]
    >>> ax = md.plots.cost_against_fields(entries, 4, (8,), ax=Figure().subplots())
    >>> ax.get_xlabel()
    'categorical fields'
    """
    check_parts("entries", entries, "build", "title")
    embedding_dim = as_size("embedding_dim", embedding_dim)
    mlp = as_sizes("mlp", mlp)
    ax = _axes(ax)
    fields = (2, 5, 10, 20, 40, 80)
    for k, entry in enumerate(entries):
        models = [entry.build(0, [2] * n, embedding_dim, mlp) for n in fields]
        flops = [model.flops_per_sample() for model in models]
        ls = ("-", "--", "-.")[k % 3]
        ax.plot(fields, flops, ls=ls, marker="o", ms=3, color=color(k), label=entry.title)
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


def order_heat_map(
    shares: Sequence[Sequence[float]] | np.ndarray,
    models: Sequence[str],
    orders: Sequence[str],
    ax: Axes | None = None,
) -> Axes:
    """Draw what each model has learned of a signal of each order, 0 to 1.

    Parameters
    ----------
    shares : array (models, orders)
        The share of the learnable signal that each model has learned: 0 for predicting the
        mean rate, 1 at the Bayes limit.
    models, orders : list of str
        Names of the rows and of the columns.
    ax : matplotlib Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        When `shares` has another shape than there are models and orders.

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
    shares = doubles("shares", shares)
    models, orders = as_names("models", models), as_names("orders", orders)
    if shares.shape != (len(models), len(orders)):
        wanted = f"({len(models)} models, {len(orders)} orders)"
        raise ValueError(f"shares has shape {shares.shape}: it must be {wanted}")
    ax = _axes(ax)
    image = ax.imshow(shares, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    for i, row in enumerate(shares):
        for j, value in enumerate(row):
            text = f"{round(float(value), 2) + 0.0:.2f}"  # no minus before 0.00
            shade = "black" if value > 0.55 else "white"
            ax.text(j, i, text, ha="center", va="center", color=shade)
    ax.set_xticks(range(len(orders)), orders)
    ax.set_yticks(range(len(models)), models)
    ax.set(xlabel="order of the planted signal", title="Share of the learnable signal learned")
    ax.figure.colorbar(image, ax=ax, label="0: mean rate, 1: Bayes limit")
    return ax


def _axes(ax: Any, limit: Any = None) -> Any:
    if limit is not None:
        check_number("bayes_log_loss", limit)
    return new_axes() if ax is None else checked_axes("ax", ax)


def new_axes() -> Axes:
    """Return new Axes of the usual size.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> from minidlrm import plots
    >>> plots.new_axes().get_title()
    ''
    """
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(6.4, 4.4), layout="constrained")[1]


def color(k: int) -> str:
    """Return colour k of the palette.

    Parameters
    ----------
    k : int
        Any number; the palette begins anew after its last colour.

    Returns
    -------
    str

    Examples
    --------
    >>> from minidlrm import plots
    >>> plots.color(0)
    '#0072b2'
    """
    return _PALETTE[as_size("k", k, float("-inf")) % len(_PALETTE)]


def gradient_errors(check: _Check, axes: Sequence[Axes] | None = None) -> Sequence[Axes]:
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
    >>> layer = md.Linear(3, 2, rng=np.random.default_rng(0))
    >>> report = md.gradcheck(layer, np.ones((4, 3)), verbose=False)
    >>> axes = md.plots.gradient_errors(report.arrays[0], axes=Figure().subplots(1, 2))
    >>> len(axes)
    2
    """
    if axes is None:
        import matplotlib.pyplot as plt

        axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")[1]
    check_parts("check", [check], "numerics", "analytics", "indices", "shape", "name")
    left, right = np.ravel(checked_axes("axes", axes, 2))
    ends = [min(check.numerics, default=0), max(check.numerics, default=1)]
    left.plot(ends, ends, color="0.6", lw=1, label="analytic = numeric")
    left.plot(check.numerics, check.analytics, "o", ms=5, alpha=0.7, color="#0072b2")
    left.set(xlabel="numeric gradient", ylabel="analytic gradient", title=check.name)
    left.grid(alpha=0.3)
    left.legend(fontsize="small")
    errors, note = _error_picture(check)
    image = right.imshow(errors, cmap="cividis", aspect="auto", interpolation="nearest")
    title = f"|analytic - numeric|, {'×'.join(map(str, check.shape)) or 'one number'}{note}"
    right.set(xlabel="last index", ylabel="other indices", title=title)
    right.figure.colorbar(image, ax=right)
    return axes


def _error_picture(check: _Check) -> tuple[np.ndarray, str]:
    """Return the errors as a matrix, NaN where nothing was checked, and what to add to the title.

    Of a large table it holds only the rows that were checked.
    """
    indices, shape, note = check.indices, check.shape, ""
    if len(shape) > 1 and np.prod(shape) > _MAX_CELLS:
        rows, place = np.unique(indices[:, 0], return_inverse=True)
        indices = np.column_stack([place.ravel(), indices[:, 1:]])
        note, shape = f"; {len(rows)} rows checked", (len(rows), *shape[1:])
    columns = shape[-1] if shape else 1
    errors = np.full((int(np.prod(shape)) // max(1, columns), columns), np.nan)
    if len(indices) != len(check.analytics) or (shape and indices.size == 0):
        return errors, note  # an optimizer's steps are compared as a whole
    places = np.ravel_multi_index(tuple(indices.T), shape) if shape else [0]
    errors.flat[places] = np.abs(check.analytics - check.numerics)
    return errors, note
