"""The order experiment: which order of interaction each model learns.

The clicks carry a signal of one pure order: products of 1, 2 or 3 hidden signs of different
tables. A share of 0 is what the mean rate explains, 1 is the Bayes limit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minidlrm import metrics, plots
from minidlrm.comparison.report import stamp
from minidlrm.comparison.result import Budget, deviation, explained
from minidlrm.comparison.run import trained
from minidlrm.data.synthetic import SyntheticClicks, synthetic_clicks
from minidlrm.languages import Message
from minidlrm.printing import as_markdown
from minidlrm.writing import write_figure, write_json, write_text

ORDERS = (1, 2, 3)


@dataclass(frozen=True)
class Shares:
    """The share of the learnable signal that each model learned: mean and deviation, by order."""

    of: dict[str, list[tuple[float, float]]]
    num_rows: int
    budget: Budget

    def rows(self) -> list[tuple[str, ...]]:
        """Return the table: a line for each model, a column for each order."""
        lines: list[tuple[str, ...]] = [
            (Message("model"), *(Message("order {k}", k=k) for k in ORDERS))
        ]
        for title, values in self.of.items():
            lines.append((title, *(f"{mean:+.3f} ± {spread:.3f}" for mean, spread in values)))
        return lines

    def write(self, folder: Path) -> list[str]:
        """Write figure, tables and numbers; return the names of the files."""
        matrix = np.array([[mean for mean, _ in values] for values in self.of.values()])
        names = [str(k) for k in ORDERS]
        write_figure(
            folder / "order.png", lambda ax: plots.order_heat_map(matrix, list(self.of), names, ax)
        )
        source = f"synthetic clicks of one pure order, {self.num_rows:,} rows"
        text = f"Data: {source}. {stamp(self.budget)}\n\n{as_markdown(self.rows())}\n"
        write_text(folder / "order.md", text)
        write_json(folder / "order.json", {"orders": ORDERS, "explained": self.of})
        return ["order.png", "order.md", "order.json"]


def order_data(num_rows: int, seed: int) -> Iterator[SyntheticClicks]:
    """Yield the clicks of each order."""
    for order in ORDERS:
        yield synthetic_clicks(
            num_rows, seed, order=order, num_dense=0, num_tables=12, max_table_size=30
        )


def compare_orders(
    budget: Budget, num_rows: int, seed: int, folder: str | os.PathLike, progress: bool = True
) -> Shares:
    """Compare all models on clicks of each order.

    Parameters
    ----------
    budget : Budget
        What every model gets.
    num_rows, seed : int
        Size and seed of each data set.
    folder : path
        Where finished cells are kept.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Shares
        After Ctrl-C, those of the models that were finished for every order.
    """
    shares: dict[str, list[tuple[float, float]]] = {}
    for dataset in order_data(num_rows, seed):
        entropy = metrics.entropy(np.asarray(dataset.test.label))
        assert dataset.bayes_log_loss is not None
        for result in trained(dataset, budget, folder, progress=progress):
            parts = [explained(x, entropy, dataset.bayes_log_loss) for x in result.score]
            shares.setdefault(result.title, []).append((float(np.mean(parts)), deviation(parts)))
    whole = {title: values for title, values in shares.items() if len(values) == len(ORDERS)}
    return Shares(whole, num_rows, budget)
