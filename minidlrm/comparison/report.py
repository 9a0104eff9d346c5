"""A comparison as records, as tables, and as figures."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minidlrm import plots
from minidlrm.comparison.result import (
    SCORES,
    Budget,
    Result,
    deviation,
    is_noise,
)
from minidlrm.data.batch import Dataset
from minidlrm.languages import Message, as_message, say
from minidlrm.metrics import paired_interval
from minidlrm.printing import as_markdown, as_rich, said_rows
from minidlrm.writing import write_figure, write_json, write_text

if TYPE_CHECKING:
    from rich.table import Table

NOISE = Message('"noise": not distinguishable from the best model, given these rows or these seeds')
Records = Sequence[dict[str, Any]]


def as_records(results: Sequence[Result], dataset: Dataset) -> list[dict[str, Any]]:
    """Return the comparison as plain records, for JSON and for printing.

    Parameters
    ----------
    results : sequence of Result
        What `compare` returned.
    dataset : Dataset
        The data that were compared on.

    Returns
    -------
    list of dict
        A record for each model: model, unit, order, parameters, flops, rows_per_second,
        memory, lr; score and auc, each with its deviation over the seeds; above_best, a 95%
        interval, and noise; above_bayes.
    """
    best = min(results, key=lambda result: result.score.mean())
    return [_record(result, best, dataset) for result in results]


def _record(result: Result, best: Result, dataset: Dataset) -> dict[str, Any]:
    interval, bayes = (0.0, 0.0), dataset.bayes_log_loss
    if result is not best:
        root = dataset.task == "ratings"
        interval = paired_interval(result.losses, best.losses, root=root)
    score = float(result.score.mean())
    return {
        "model": result.title,
        "unit": result.entry.unit,
        "order": result.entry.order,
        "parameters": result.parameters,
        "flops": result.flops,
        "rows_per_second": result.rows_per_second,
        "memory": result.memory,
        "lr": result.lr,
        "score": score,
        "score_std": deviation(result.score),
        "auc": float(result.auc.mean()),
        "auc_std": deviation(result.auc),
        "above_best": list(interval),
        "noise": is_noise(result, best, interval),
        "above_bayes": None if bayes is None else score / bayes - 1,
    }


def _cost_rows(records: Records) -> list[tuple[str, ...]]:
    titles = (
        *(Message("model"), Message("unit"), Message("order"), Message("parameters")),
        *(Message("FLOPs a sample"), Message("rows/s, CPU"), Message("memory, MB")),
    )
    rows: list[tuple[str, ...]] = [(*titles, "lr")]
    for r in records:
        numbers = (r["parameters"], r["flops"], round(r["rows_per_second"]))
        memory = f"{r['memory'] / 1e6:.1f}"
        texts = (r["model"], as_message(r["unit"]), as_message(r["order"]))
        rows.append((*texts, *(f"{n:,}" for n in numbers), memory, f"{r['lr']:g}"))
    return rows


def _quality_rows(records: Records, dataset: Dataset) -> list[tuple[str, ...]]:
    """Return a line for each model; AUC and the Bayes limit appear only where they exist."""
    clicks, bayes = dataset.task == "clicks", dataset.bayes_log_loss is not None
    titles = [SCORES[dataset.task]] + ["AUC"] * clicks + [Message("above Bayes")] * bayes
    rows: list[tuple[str, ...]] = [(Message("model"), *titles, Message("above the best, 95%"), "")]
    for r in records:
        low, high = r["above_best"]
        interval = Message("{low} to {high}", low=f"{low:+.4f}", high=f"{high:+.4f}")
        if low == high == 0:
            interval = Message("lowest mean")
        cells = [f"{r['score']:.4f} ± {r['score_std']:.4f}"]
        cells += [f"{r['auc']:.4f} ± {r['auc_std']:.4f}"] * clicks
        if bayes:
            cells.append(f"{100 * r['above_bayes']:+.2f}%")
        rows.append((r["model"], *cells, interval, Message("noise") if r["noise"] else ""))
    return rows


def stamp(budget: Budget) -> str:
    """Return the budget, the versions and the machine, in a line."""
    from minidlrm import __version__

    versions = f"minidlrm {__version__}, NumPy {np.__version__}"
    return f"Budget: {budget}. {versions}, {platform.machine()}, {os.cpu_count()} cores."


def markdown_page(records: Records, dataset: Dataset, budget: Budget) -> str:
    """Return the comparison as Markdown tables, stamped with version, data and machine.

    Parameters
    ----------
    records : sequence of dict
        What `as_records` returned.
    dataset : Dataset
        The data that were compared on.
    budget : Budget
        What every model got.
    """
    head = f"Data: {dataset.description}. {stamp(budget)}"
    cost, quality = as_markdown(_cost_rows(records)), as_markdown(_quality_rows(records, dataset))
    return f"{head}\n\n{cost}\n\n{quality}\n\n{NOISE}.\n"


def rich_tables(records: Records, dataset: Dataset) -> list[Table]:
    """Return the two tables for the terminal.

    A line is bold only where one model is clearly better than all others.
    """
    alone = sum(r["noise"] for r in records) == 1
    bold = {k for k, r in enumerate(records) if r["noise"] and alone}
    head, *body = _quality_rows(records, dataset)
    body = [(*row[:-1], Message("best alone")) if k in bold else row for k, row in enumerate(body)]
    scores = say(SCORES[dataset.task])
    if dataset.task == "clicks":
        scores = say("{score} and AUC", score=scores)
    title = say(
        "test {scores}, mean ± deviation over the seeds; {rows} rows",
        scores=scores,
        rows=f"{len(dataset.test):,}",
    )
    return [
        as_rich(say("what interacts, and what it costs"), _narrow(_cost_rows(records)), left=3),
        as_rich(title, _narrow([head, *body]), bold=bold),
    ]


def _narrow(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Write ± 0.0123 as ±.0123, and break the titles, so that the table fits into 80 columns."""
    head, *body = said_rows(rows)
    titles = tuple(re.sub(", | (?=a )", "\n", title) for title in head)
    cells = [tuple(re.sub(r"([±+-]) ?0\.(?!\d+%)", r"\1.", c) for c in row) for row in body]
    return [titles, *cells]


def write_comparison(
    folder: Path, results: Sequence[Result], dataset: Dataset, budget: Budget
) -> list[str]:
    """Write figures, tables and numbers; return the names of the files."""
    records = as_records(results, dataset)
    bayes, unit = dataset.bayes_log_loss, {"clicks": "nats per row", "ratings": "stars"}
    score = f"{SCORES[dataset.task]} ({unit[dataset.task]})"
    on_fields = [result.entry for result in results if not result.entry.pairs_only]
    figures = {
        "quality_against_cost": lambda ax: plots.quality_against_cost(records, ax, bayes, score),
        "learning_curves": lambda ax: plots.learning_curves(results, ax, bayes, score),
        "cost_against_fields": lambda ax: plots.cost_against_fields(
            on_fields, budget.embedding_dim, budget.mlp, ax
        ),
    }
    for name, draw in figures.items():
        write_figure(folder / f"{name}.png", draw)
    write_text(folder / "comparison.md", markdown_page(records, dataset, budget))
    write_json(folder / "comparison.json", {"data": dataset.description, "models": records})
    return [*(f"{name}.png" for name in figures), "comparison.md", "comparison.json"]
