"""Scores for raw rows, block by block: what `minidlrm predict` and `minidlrm evaluate` do.

The rows are read by the schema that was saved with the model, so that memory holds one block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from minidlrm.arrays import as_flag, check_type
from minidlrm.data.batch import Batch, as_batch
from minidlrm.data.schema import Schema
from minidlrm.data.sources import Source
from minidlrm.languages import Message
from minidlrm.module import Module
from minidlrm.training import metrics_of, predict


@dataclass(frozen=True, eq=False)
class Block:
    """Some rows and their scores.

    Parameters
    ----------
    batch : Batch
        The rows as the model takes them.
    output : float array (b,)
        Probabilities, logits, or ratings.
    kept : Arrow array or None
        The values of the column that tells the rows apart.
    """

    batch: Batch
    output: np.ndarray
    kept: Any = None


def scores(
    model: Module,
    schema: Schema,
    source: Source,
    *,
    keep: str | None = None,
    logits: bool = False,
    labelled: bool = False,
) -> Iterator[Block]:
    """Yield the rows of a source with what the model predicts for them.

    Parameters
    ----------
    model, schema
        As `minidlrm.load_with_schema` returns them.
    source : Source
        Raw rows; see `minidlrm.data.open_source`.
    keep : str, optional
        A column to give back with the scores, such as the id of the row.
    logits : bool
        As `predict`.
    labelled : bool
        Whether to read labels and weights of the rows, where the source has them.

    Yields
    ------
    Block

    Raises
    ------
    ValueError
        When the source has no rows, or lacks a column.

    Examples
    --------
    >>> import minidlrm as md
    >>> rows = {"click": [0, 1] * 20, "city": ["Ulm", "Rom"] * 20}
    >>> data = md.data.read_table(rows, label="click", sparse=["city"], progress=False)
    >>> model = md.LogisticRegression.for_data(data)
    >>> source = md.data.open_source({"city": ["Ulm", "Bonn"]})
    >>> [block.output.shape for block in md.scoring.scores(model, data.schema, source)]
    [(2,)]
    """
    _check_rows(schema, source)
    logits, labelled = as_flag("logits", logits), as_flag("labelled", labelled)
    if keep is not None:
        source.need([keep], "keep")
    if not labelled:
        schema = replace(schema, label=None, sample_weight=None)
    first = 0
    for data in source.blocks(schema, [keep] if keep else []):
        batch = schema.encode_block(data, partial(source.after, first))
        first += len(batch)
        if len(batch):
            output = predict(model, batch, logits=logits)
            yield Block(batch, output, data[keep] if keep else None)
    if first == 0:
        raise ValueError(f"{source.description} has no rows")


def _check_rows(schema: Any, source: Any) -> None:
    check_type("schema", schema, Schema)
    check_type("source", source, Source)


class Unseen:
    """Counts, column by column, values that the training rows did not have.

    Examples
    --------
    >>> import minidlrm as md
    >>> rows = {"click": [0, 1] * 20, "city": ["Ulm", "Rom"] * 20}
    >>> data = md.data.read_table(rows, label="click", sparse=["city"], progress=False)
    >>> unseen = md.scoring.Unseen(data.schema)
    >>> unseen.add(data.schema.encode({"city": ["Ulm", "Bonn", "Bonn", "Bonn"]}))
    >>> unseen.warnings()
    ['city: 75.0% of the values are not known to the model (0.0% when it was trained)']
    """

    HIGH = 0.2  # a share that deserves a word

    def __init__(self, schema: Schema):
        check_type("schema", schema, Schema)
        self.num_tables = len(schema.sparse)
        self.columns = [c for c in schema.sparse if c.categories and c.categories.has_unseen]
        self.places = [schema.sparse.index(column) for column in self.columns]
        self.unseen = np.zeros(len(self.columns))
        self.values = np.zeros(len(self.columns))

    def add(self, batch: Batch) -> None:
        """Count the values of a batch; TypeError when it is none, ValueError for other columns."""
        if as_batch("batch", batch).num_tables != self.num_tables:
            raise ValueError(
                f"batch has {batch.num_tables} tables, the schema {self.num_tables} columns of ids"
            )
        for k, t in enumerate(self.places):
            ids = batch.ids_of(t)
            self.unseen[k] += (ids == 0).sum()
            self.values[k] += len(ids)

    def warnings(self) -> list[str]:
        """Return a line for each column with a high share, above that of the held-out rows."""
        lines: list[str] = []
        for column, unseen, count in zip(self.columns, self.unseen, self.values, strict=True):
            share = unseen / max(1, count)
            if share > max(self.HIGH, 1.5 * column.unseen):
                lines.append(
                    Message(
                        "{column}: {share}% of the values are not known to the model ({before}% "
                        "when it was trained)",
                        column=column.name,
                        share=f"{100 * share:.1f}",
                        before=f"{100 * column.unseen:.1f}",
                    )
                )
        return lines


def evaluate_rows(model: Module, schema: Schema, source: Source) -> dict[str, float]:
    """Return the metrics of a model on labelled raw rows; see `minidlrm.evaluate`.

    Raises
    ------
    ValueError
        When the rows have no labels, or as `scores`.

    Examples
    --------
    >>> import minidlrm as md
    >>> rows = {"click": [0, 1] * 20, "city": ["Ulm", "Rom"] * 20}
    >>> data = md.data.read_table(rows, label="click", sparse=["city"], progress=False)
    >>> model = md.LogisticRegression.for_data(data)
    >>> list(md.scoring.evaluate_rows(model, data.schema, md.data.open_source(rows)))[0]
    'log_loss'
    """
    _check_rows(schema, source)
    if schema.label is None or schema.label not in source.names:
        name = schema.label or "label"
        raise ValueError(
            f"{source.description} has no column {name!r}: labels are needed to evaluate; "
            "use predict for the scores alone"
        )
    label: list[np.ndarray] = []
    output: list[np.ndarray] = []
    weight: list[np.ndarray] = []
    for block in scores(model, schema, source, logits=True, labelled=True):
        if block.batch.label is None:
            raise ValueError(f"the column {schema.label!r} of {source.description} has a gap")
        label.append(block.batch.label)
        output.append(block.output)
        if block.batch.weight is not None:
            weight.append(block.batch.weight)
    weights = np.concatenate(weight) if weight else None
    return metrics_of(np.concatenate(label), np.concatenate(output), schema.task, weights)


__all__ = ["Block", "Unseen", "evaluate_rows", "scores"]
