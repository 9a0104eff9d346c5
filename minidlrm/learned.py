"""importance and similar: what a trained model has learned, column by column and pair by pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from minidlrm import plots
from minidlrm.arrays import as_flag, as_size, check_type, checked_axes, floats, shuffling
from minidlrm.data.batch import Batch, Jagged
from minidlrm.data.schema import Schema, jagged
from minidlrm.languages import Message
from minidlrm.layers.activation import sigmoid
from minidlrm.layers.embedding import EmbeddingBagCollection
from minidlrm.module import Module
from minidlrm.printing import as_html, as_text
from minidlrm.training import predict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FALSE = 0.01  # chance that a column, or a pair, without effect is called real in one report
_BINS = 10
_BARS = 15  # of a picture


@dataclass(frozen=True)
class Effect:
    """How much the loss grows without a column, or without what two columns do together.

    Parameters
    ----------
    names : tuple of str
        One column, or two.
    growth : float
        Growth of the mean loss.
    noise : float
        Its standard error, over the rows and over the shuffles.
    real : bool
        Whether the growth is more than noise, allowing for the number of columns or pairs that
        were looked at.

    Examples
    --------
    >>> from minidlrm.learned import Effect
    >>> Effect(("user", "item"), 0.2, 0.01, True).title
    'user × item'
    """

    names: tuple[str, ...]
    growth: float
    noise: float
    real: bool

    @property
    def title(self) -> str:
        """The names of the columns."""
        return " × ".join(self.names)


@dataclass(frozen=True, eq=False)
class Importance:
    """What matters to a model: columns, pairs, and how well its numbers are calibrated.

    Parameters
    ----------
    columns, pairs : list of Effect
        The largest growth first.
    calibration : list of (float, float, int)
        For rows in order of the prediction, a tenth of them at a time: mean prediction, mean
        label, rows.
    loss : float
        The mean loss of the rows as they are: log loss, or squared error.
    num_rows, repeats : int
        Rows, and shuffles of each column.
    task : str
        "clicks" or "ratings".

    Examples
    --------
    >>> import minidlrm as md
    >>> clicks = md.data.synthetic_clicks(rows=2000, seed=0, num_dense=1, num_tables=2, order=1)
    >>> model = md.LogisticRegression.for_data(clicks)
    >>> report = md.importance(model, clicks.test, clicks.feature_names, repeats=2)
    >>> len(report.columns), len(report.pairs)
    (3, 3)
    """

    columns: list[Effect]
    pairs: list[Effect]
    calibration: list[tuple[float, float, int]]
    loss: float
    num_rows: int
    repeats: int
    task: str

    def rows(self, most: int | None = None) -> list[tuple[str, ...]]:
        """Return the table: a line for each column, then for each pair, at most `most` of each."""
        most = None if most is None else as_size("most", most, 0)
        growth_of = Message("growth of the squared error")
        if self.task == "clicks":
            growth_of = Message("growth of the log loss")
        lines: list[tuple[str, ...]] = [(Message("column or pair"), growth_of, "")]
        for effect in (*self.columns[:most], *self.pairs[:most]):
            growth = f"{effect.growth:+.5f} ± {effect.noise:.5f}"
            lines.append((effect.title, growth, "" if effect.real else Message("noise")))
        return lines

    def calibration_rows(self) -> list[tuple[str, ...]]:
        """Return the calibration as a table of text."""
        lines: list[tuple[str, ...]] = [
            (Message("predicted"), Message("observed"), Message("rows"))
        ]
        lines += [(f"{p:.4f}", f"{y:.4f}", f"{n:,}") for p, y, n in self.calibration]
        return lines

    def plot(self, axes: Sequence[Axes] | None = None) -> Sequence[Axes]:
        """Draw the columns, the pairs and the calibration on three axes; new ones by default.

        ValueError when `axes` does not hold three matplotlib Axes.
        """
        if axes is None:
            import matplotlib.pyplot as plt

            axes = plt.subplots(1, 3, figsize=(12.8, 4.4), layout="constrained")[1]
        axes = checked_axes("axes", axes, 3)
        both = ((self.columns, "columns, shuffled"), (self.pairs, "what two do together, removed"))
        for ax, (effects, title) in zip(axes[:2], both, strict=True):
            shown = list(effects[:_BARS])[::-1]
            colors = [plots.color(0) if effect.real else "0.75" for effect in shown]
            places = range(len(shown))
            errors = [2 * effect.noise for effect in shown]
            ax.barh(places, [effect.growth for effect in shown], color=colors, xerr=errors)
            ax.set_yticks(places, [effect.title for effect in shown])
            ax.axvline(0, color="black", linewidth=0.8)
            ax.set(xlabel="growth of the loss (gray: noise)", title=title)
            ax.locator_params(axis="x", nbins=5)
        predicted, observed, _ = zip(*self.calibration, strict=True)
        ends = [min(*predicted, *observed), max(*predicted, *observed)]
        axes[2].plot(ends, ends, color="0.6", linestyle="--", label="right")
        axes[2].plot(
            predicted, observed, marker="o", color=plots.color(0), label="a tenth of the rows"
        )
        axes[2].set(xlabel="predicted", ylabel="observed", title="calibration")
        axes[2].legend(fontsize="small")
        return axes

    def __repr__(self) -> str:
        head = f"{self.num_rows:,} rows, {self.repeats} shuffles, loss {self.loss:.5f}"
        return "\n\n".join([head, as_text(self.rows(20)), as_text(self.calibration_rows())])

    def _repr_html_(self) -> str:
        return as_html(self.rows(20)) + as_html(self.calibration_rows())


def importance(
    model: Module,
    data: Batch,
    names: Sequence[str] | Schema,
    *,
    repeats: int = 5,
    pairs: bool = True,
    seed: int = 0,
) -> Importance:
    r"""Measure what each column, and each pair of columns, is worth to a model on held-out rows.

    Column a: its values are shuffled over the rows, and the growth of the mean loss is measured.

    Columns a and b: what the two do together in a row i is what remains of the output when each
    is changed alone, to the values of a random row j,
    :math:`d_i = f(a_i, b_i) - f(a_j, b_i) - f(a_i, b_j) + f(a_j, b_j)`, all other columns as
    they are. It is 0 in every row when f is a sum of a function without a and one without b. The
    mean of d over the shuffles is taken off the output, and the growth of the loss is measured.
    So an interaction counts as far as it is right: one that the model has made up lowers nothing.

    Parameters
    ----------
    model : Module
        Its outputs are logits, or ratings.
    data : Batch
        Rows with labels that the model was not trained on.
    names : sequence of str, or Schema
        Names of the dense features, then of the tables.
    repeats : int
        Shuffles, 2 or more.
    pairs : bool
        Whether to look at pairs, too. They cost as many passes over the rows as there are pairs,
        for each shuffle.
    seed : int
        Seed of the shuffles.

    Returns
    -------
    Importance
        An effect is `real` when its growth is so many standard errors above 0 that no more than
        one report in a hundred calls any effect real where none is.

    Raises
    ------
    TypeError
        When `data` is not a Batch, or `names` no list.
    ValueError
        When there are no labels, too few rows, names do not fit, or repeats is below 2.

    References
    ----------
    Breiman 2001, "Random forests", section 10; Friedman and Popescu 2008, "Predictive learning
    via rule ensembles", section 8.1.

    Examples
    --------
    >>> import minidlrm as md
    >>> clicks = md.data.synthetic_clicks(rows=2000, seed=0, num_dense=1, num_tables=2, order=1)
    >>> model = md.LogisticRegression.for_data(clicks)
    >>> md.importance(model, clicks.test, clicks.feature_names, repeats=2, pairs=False).pairs
    []
    """
    if not isinstance(data, Batch):
        raise TypeError(f"data is a {type(data).__name__}: choose rows, such as dataset.test")
    if not isinstance(names, (Schema, list, tuple)):
        raise TypeError(f"names is a {type(names).__name__}: give a list of names, or a Schema")
    check_type("model", model, Module)
    repeats, pairs = as_size("repeats", repeats), as_flag("pairs", pairs)
    names = list(names.feature_names if isinstance(names, Schema) else names)
    width = data.dense.shape[1] + data.num_tables
    if len(names) != width:
        raise ValueError(f"names holds {len(names)} names: the data have {width} columns")
    if data.label is None:
        raise ValueError("data has no labels: they are needed to measure the loss")
    if len(data) < 2 or repeats < 2:
        raise ValueError(f"there are {len(data)} rows and {repeats} repeats: at least 2 are needed")
    task = str(getattr(model, "task", "clicks"))
    label = floats("label", data.label, 1).astype(np.float64)
    rng = shuffling(seed)
    f = _output(model, data)  # (B,)
    base = _losses(label, f, task)
    others = [rng.permutation(len(data)) for _ in range(repeats)]

    def moved(*columns: int) -> np.ndarray:  # (repeats, B)
        return np.stack([_output(model, with_columns(data, j, columns)) for j in others])

    alone = [moved(c) for c in range(width)]
    single = [_losses(label, each, task) - base for each in alone]
    couples = [(a, b) for a in range(width) for b in range(a)] if pairs else []
    joint = (
        _without(f - alone[a] - alone[b] + moved(a, b), label, f, base, task) for a, b in couples
    )
    columns = _effects([(name,) for name in names], single)
    effects = _effects([(names[b], names[a]) for a, b in couples], joint)
    prediction = sigmoid(f) if task == "clicks" else f
    curve = _calibration(label, prediction)
    return Importance(columns, effects, curve, float(base.mean()), len(data), repeats, task)


def _output(model: Module, data: Batch) -> np.ndarray:
    return predict(model, data, logits=True).astype(np.float64)


def _losses(label: np.ndarray, output: np.ndarray, task: str) -> np.ndarray:
    if task == "ratings":
        return (output - label) ** 2
    return np.logaddexp(0, output) - label * output


def _without(
    d: np.ndarray, label: np.ndarray, f: np.ndarray, base: np.ndarray, task: str
) -> np.ndarray:
    """Return the growth of each row's loss without d (repeats, B), all shuffles but one each."""
    mean = d.mean(axis=0)
    whole = _losses(label, f - mean, task) - base  # (B,)
    folds = [(len(d) * mean - each) / (len(d) - 1) for each in d]
    left = np.stack([_losses(label, f - fold, task) - base for fold in folds])
    # jackknife over the shuffles: pseudo-values, whose mean and spread are those of the estimate
    return len(d) * whole - (len(d) - 1) * left


def _effects(names: Sequence[tuple[str, ...]], growth: Any) -> list[Effect]:
    """Return the mean growth of each, given those of rows (repeats, B), with the noise of both."""
    bound = -NormalDist().inv_cdf(_FALSE / max(1, len(names)))
    found = []
    for name, each in zip(names, growth, strict=True):
        rows = each.mean(axis=0)  # (B,)
        shuffles = each.mean(axis=1)  # (repeats,)
        variance = rows.var(ddof=1) / len(rows) + shuffles.var(ddof=1) / len(shuffles)
        mean, noise = float(rows.mean()), float(np.sqrt(variance))
        found.append(Effect(name, mean, noise, bool(mean > bound * noise)))
    return sorted(found, key=lambda effect: -effect.growth)


def _calibration(label: np.ndarray, prediction: np.ndarray) -> list[tuple[float, float, int]]:
    order = np.array_split(np.argsort(prediction, kind="stable"), min(_BINS, len(label)))
    return [(float(prediction[r].mean()), float(label[r].mean()), len(r)) for r in order]


def with_columns(data: Batch, other: np.ndarray, columns: Sequence[int]) -> Batch:
    """Return rows that have some columns, dense features first, from the rows `other` (B,)."""
    num_dense = data.dense.shape[1]
    dense = np.array(data.dense)
    k = [c for c in columns if c < num_dense]
    dense[:, k] = data.dense[other][:, k]
    tables = [c - num_dense for c in columns if c >= num_dense]
    if not isinstance(data.sparse, Jagged):
        ids = np.array(data.sparse)
        ids[:, tables] = data.sparse[other][:, tables]
        return replace(data, dense=dense, sparse=ids)
    if not tables:
        return replace(data, dense=dense)
    moved = data[other]
    columns_ = [(moved if t in tables else data).bags_of(t) for t in range(data.num_tables)]
    return replace(data, dense=dense, sparse=jagged(*zip(*columns_, strict=True)))


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The rows of a table that are nearest to one of them.

    Parameters
    ----------
    column, value : str
        Whose neighbours these are.
    names : list of str
        The nearest values, the nearest first.
    cosine : float array (k,)
        The cosine of the angle between the vectors.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.learned import Neighbours
    >>> print(Neighbours("city", "Ulm", ["Rom"], np.array([0.5])))
    near city Ulm  cosine
    Rom            +0.500
    """

    column: str
    value: str
    names: list[str]
    cosine: np.ndarray

    def rows(self) -> list[tuple[str, ...]]:
        """Return the table of text."""
        lines: list[tuple[str, ...]] = [(f"near {self.column} {self.value}", "cosine")]
        return lines + [(n, f"{c:+.3f}") for n, c in zip(self.names, self.cosine, strict=True)]

    def __repr__(self) -> str:
        return as_text(self.rows())

    def _repr_html_(self) -> str:
        return as_html(self.rows())


def similar(model: Module, schema: Schema, column: str, value: Any, k: int = 10) -> Neighbours:
    """Return the values of a column whose vectors are nearest to that of one value.

    Parameters
    ----------
    model : Module
        A model with embedding tables, in the order of the schema.
    schema : Schema
        What the ids mean; see `minidlrm.load_with_schema`.
    column : str
        A column of ids, or a bag.
    value : str or int
        One of its values, as the data write it.
    k : int
        How many.

    Returns
    -------
    Neighbours
        By the cosine of the vectors; of equal ones the lower id comes first. Ids of unseen and
        missing values are left out.

    Raises
    ------
    TypeError
        When `schema` is not a Schema.
    KeyError
        When the column, or the value, is not known.
    ValueError
        When the column has no table, the model has none, or k is below 1.

    Examples
    --------
    >>> import minidlrm as md
    >>> rows = {"click": [0, 1] * 20, "city": ["Ulm", "Rom"] * 20}
    >>> data = md.data.read_table(rows, label="click", sparse=["city"], progress=False)
    >>> model = md.FactorizationMachine.for_data(data, embedding_dim=4)
    >>> md.similar(model, data.schema, "city", "Ulm", 1).names
    ['Rom']
    """
    k = as_size("k", k)
    check_type("model", model, Module)
    check_type("column", column, str)
    if not isinstance(schema, Schema):
        raise TypeError(f"schema is a {type(schema).__name__}: see md.load_with_schema")
    described = schema[column]
    if described.role == "dense" or described.categories is None:
        raise ValueError(f"column {column!r} is a number: it has no table")
    categories = described.categories
    place = categories.find(value)
    if place < 0:
        raise KeyError(f"column {column}: {value!r} is not among the {categories.size:,} values")
    vectors = _table(model, schema, schema.sparse.index(described)).astype(np.float64)  # (N, D)
    lengths = np.linalg.norm(vectors, axis=1)
    cosine = vectors @ vectors[place] / np.maximum(lengths * lengths[place], 1e-30)
    cosine[: categories.first] = cosine[place] = -np.inf
    nearest = np.argsort(-cosine, kind="stable")[:k]
    nearest = nearest[np.isfinite(cosine[nearest])]
    return Neighbours(column, str(value), categories.values(nearest), cosine[nearest])


def _table(model: Module, schema: Schema, t: int) -> np.ndarray:
    """Return the values of a table of vectors."""
    for _, part in model.named_modules():
        if isinstance(part, EmbeddingBagCollection) and part.weight.value.shape[1] > 1:
            sizes = np.diff(part.starts).tolist()
            if sizes == schema.table_sizes:
                return part.table(t)
    raise ValueError(
        f"{type(model).__name__} has no embedding tables of the sizes of the schema: "
        f"{schema.table_sizes}"
    )


__all__ = ["Effect", "Importance", "Neighbours", "importance", "similar"]
