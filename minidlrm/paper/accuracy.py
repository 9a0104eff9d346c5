"""Section 5.1: accuracy of DLRM beside DCN along one epoch, with SGD and with Adagrad.

The sizes are the paper's: vectors of size 16; DLRM with a bottom MLP of 512-256-64 and a top MLP
of 512-256; DCN with six cross layers and a deep part of 512-256. No regularization.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from minidlrm import metrics
from minidlrm.data.batch import Batch, Dataset
from minidlrm.data.synthetic import SyntheticClicks
from minidlrm.languages import Message, joined, say
from minidlrm.models import DCN, DLRM
from minidlrm.models.model import Model
from minidlrm.optim import SGD, Adagrad, Optimizer
from minidlrm.paper import Options
from minidlrm.paper.architecture import KAGGLE_ROWS
from minidlrm.paper.findings import Claim, Findings
from minidlrm.paper.rows import clicks, kept
from minidlrm.training import fit, predict

DIM, BATCH, SEEDS, POINTS = 16, 128, 3, 10
_STUDENT = 4.303  # the 97.5% point of Student's t with SEEDS - 1 degrees of freedom
_ROWS = 100_000
_SAMPLE = 20_000  # training rows whose accuracy is followed
_RULES: dict[str, tuple[type[Optimizer], float]] = {"SGD": (SGD, 0.1), "Adagrad": (Adagrad, 0.02)}
_SIZES_EQUAL, _CLOSE = 0.01, 0.005


@dataclass(frozen=True)
class Curve:
    """Accuracies of one model with one rule: arrays (seeds, points), at shares of the epoch."""

    epoch: np.ndarray
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray  # (seeds,), at the end


def run(options: Options) -> Findings:
    """Train both models with both rules, on three seeds each.

    Parameters
    ----------
    options : Options
        Without `data`, synthetic clicks, whose best accuracy is known. Finished runs are kept in
        `folder`.
    """
    dataset = clicks(options, _ROWS)
    curves = {}
    cells = [(name, rule, seed) for name in ("DLRM", "DCN") for rule in _RULES
             for seed in range(options.seed, options.seed + SEEDS)]  # fmt: skip
    found: dict[tuple[str, str], list[Any]] = {}
    for name, rule, seed in tqdm(
        cells, unit=say("run"), disable=None if options.progress else True
    ):
        parts = ["5.1", dataset.description, len(dataset.train), POINTS, name, rule, seed]
        one = partial(_curve, dataset, name, rule, seed)
        found.setdefault((name, rule), []).append(kept(options.folder, parts, one))
    for key, runs in found.items():
        epoch, train, valid, test = zip(*runs, strict=True)
        curves[key] = Curve(np.array(epoch[0]), np.array(train), np.array(valid), np.array(test))
    bayes = _bayes(dataset)
    clicked = float(np.asarray(dataset.test.label).mean())
    ahead = [_ahead(curves, rule, max(clicked, 1 - clicked)) for rule in _RULES]
    claims = [_sizes(), *ahead, _level(dataset, curves, bayes)]
    table = _rows(curves, bayes)
    rates = ", ".join(f"{rule} {lr:g}" for rule, (_, lr) in _RULES.items())
    note = Message(
        "Data: {data}. One epoch, batches of {batch}, {seeds} seeds; learning rates {rates}. "
        "Training accuracy is that of {sample:,} rows at most. The ± of a difference is a 95% "
        "interval over the seeds, of Student's t with two degrees of freedom.",
        data=dataset.description,
        batch=BATCH,
        seeds=SEEDS,
        rates=rates,
        sample=_SAMPLE,
    )
    return Findings(
        claims,
        {Message("Accuracy after one epoch, mean ± deviation over the seeds"): table},
        {"accuracy": lambda ax: draw(curves, bayes, ax)},
        [note],
    )


def build(name: str, num_dense: int, table_sizes: Sequence[int], seed: int) -> Model:
    """Return one of the two models in the paper's sizes."""
    if name == "DLRM":
        return DLRM(num_dense, table_sizes, DIM, (512, 256, 64), (512, 256), seed=seed)
    return DCN(num_dense, table_sizes, DIM, 6, "vector", (512, 256), seed=seed)


def _curve(
    dataset: Dataset, name: str, rule: str, seed: int
) -> tuple[list[float], list[float], list[float], float]:
    model, (kind, lr) = build(name, dataset.num_dense, dataset.table_sizes, seed), _RULES[rule]
    sample, train = dataset.train[: min(_SAMPLE, len(dataset.train))], []

    def follow(record: Mapping[str, float]) -> None:
        train.append(accuracy(model, sample))

    steps = -(-len(dataset.train) // BATCH)
    history = fit(
        model,
        dataset,
        optimizer=kind(lr=lr),
        batch_size=BATCH,
        seed=seed,
        eval_every=-(-steps // POINTS),
        progress=False,
        callback=follow,
    )
    valid = history.column("valid_accuracy")
    return history.column("epoch"), train, valid, accuracy(model, dataset.test)


def accuracy(model: Model, rows: Batch) -> float:
    """Return the share of rows whose label is the likelier one."""
    return metrics.accuracy(np.asarray(rows.label), predict(model, rows, logits=True))


def _bayes(dataset: Dataset) -> float | None:
    """Return the accuracy of one who knows the probabilities, where they are known."""
    if not isinstance(dataset, SyntheticClicks) or dataset.probability is None:
        return None
    p = dataset.probability
    return float(np.maximum(p, 1 - p).mean())


def _sizes() -> Claim:
    """Count the parameters at the table sizes of the Criteo Kaggle data."""
    rest = {
        name: build(name, 13, [1] * 26, 0).num_parameters() + DIM * (KAGGLE_ROWS - 26)
        for name in ("DLRM", "DCN")
    }
    ratio = rest["DLRM"] / rest["DCN"]
    return Claim(
        Message("both models have about 540 million parameters"),
        joined([_millions(name, count) for name, count in rest.items()], ", "),
        abs(ratio - 1) < _SIZES_EQUAL and abs(rest["DLRM"] / 540e6 - 1) < _SIZES_EQUAL,
        Message("the counts are others"),
    )


def _millions(name: str, count: int) -> Message:
    return Message("{name} {count:.1f} million", name=name, count=count / 1e6)


def _ahead(curves: Mapping[tuple[str, str], Curve], rule: str, commoner: float) -> Claim:
    """Compare the two models, where one is more accurate than the share of the commoner label."""
    gains = curves["DLRM", rule].test - curves["DCN", rule].test
    noise = _STUDENT * gains.std(ddof=1) / np.sqrt(len(gains))
    mean = gains.mean()
    text = Message("with {rule}, DLRM is slightly more accurate than DCN", rule=rule)
    ours = Message("{mean:+.2f} ± {noise:.2f} points", mean=100 * mean, noise=100 * noise)
    if not any((curves[name, rule].test > commoner).any() for name in ("DLRM", "DCN")):
        because = Message(
            "no run beats the commoner label, {share:.2%}: it needs more rows", share=commoner
        )
        return Claim(text, ours, None, because)
    because = Message("the difference on these rows is {mean:+.2f} points", mean=100 * mean)
    if abs(mean) <= noise:
        because += Message(", which the seeds do not tell from 0")
    return Claim(text, ours, bool(mean > noise), because)


def _level(dataset: Dataset, curves: Mapping[tuple[str, str], Curve], bayes: float | None) -> Claim:
    means = [curve.test.mean() for curve in curves.values()]
    text = Message("all four reach about 79% on the Criteo Kaggle data")
    ours = Message("{low:.2%} to {high:.2%} on the test rows", low=min(means), high=max(means))
    if bayes is not None:
        most = Message("the most that can be reached on these is {bayes:.2%}", bayes=bayes)
        because = Message(
            "it needs the Criteo data: minidlrm data fetch criteo-kaggle, then --data criteo:FILE"
        )
        return Claim(text, joined([ours, most], "; "), None, because)
    because = Message("the rows, or how many of them there are, differ")
    return Claim(text, ours, all(abs(mean - 0.79) < _CLOSE for mean in means), because)


def _rows(curves: Mapping[tuple[str, str], Curve], bayes: float | None) -> list[tuple[str, ...]]:
    def cell(values: Sequence[float] | np.ndarray) -> str:
        return f"{np.mean(values):.2%} ± {100 * np.std(values, ddof=1):.2f}"

    parts = Message("training"), Message("validation"), Message("test")
    lines: list[tuple[str, ...]] = [(Message("model"), Message("rule"), *parts)]
    for (name, rule), curve in curves.items():
        cells = (cell(curve.train[:, -1]), cell(curve.valid[:, -1]), cell(curve.test))
        lines.append((name, rule, *cells))
    if bayes is not None:
        lines.append((Message("the Bayes limit"), "", "", "", f"{bayes:.2%}"))
    return lines


def draw(curves: Mapping[tuple[str, str], Curve], bayes: float | None, ax: Any) -> None:
    """Draw accuracy along the epoch: training rows solid, validation rows dashed."""
    colours = iter(("#0072b2", "#56b4e9", "#d55e00", "#e69f00"))
    for (name, rule), curve in curves.items():
        colour = next(colours)
        for values, style in ((curve.train, "-"), (curve.valid, "--")):
            mean, spread = values.mean(axis=0), values.std(axis=0, ddof=1)
            label = f"{name}, {rule}" if style == "-" else None
            ax.plot(curve.epoch, mean, style, color=colour, lw=1.5, label=label)
            ax.fill_between(curve.epoch, mean - spread, mean + spread, color=colour, alpha=0.12)
    if bayes is not None:
        ax.axhline(bayes, color="0.3", ls=":", label=f"Bayes limit {bayes:.2%}")
    ax.set(
        xlabel="share of the epoch",
        ylabel="accuracy",
        title="Training (solid) and validation (dashed) accuracy",
    )
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8)
