"""minidlrm inspect: what a saved model has learned, in a table and a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from minidlrm.checkpoint import load_with_schema
from minidlrm.cli import options as given
from minidlrm.cli import trained
from minidlrm.cli.score import DATA_HELP, CheckpointArgument, source_of
from minidlrm.data import Batch
from minidlrm.data.schema import Schema
from minidlrm.languages import Message, say
from minidlrm.learned import importance
from minidlrm.printing import as_rich
from minidlrm.writing import write_figure


def inspect(
    checkpoint: CheckpointArgument,
    data: Annotated[
        str | None,
        typer.Argument(
            help=DATA_HELP,
            show_default="the test rows of what train read",
        ),
    ] = None,
    rows: Annotated[int, typer.Option(help="Rows to look at, drawn at random.")] = 5000,
    repeats: Annotated[int, typer.Option(help="Shuffles of each column.")] = 5,
    pairs: Annotated[bool, typer.Option(help="Whether to look at pairs of columns.")] = True,
    seed: given.SeedOption = 0,
    out: Annotated[Path, typer.Option(help="The figure, a .png.")] = Path("inspect.png"),
) -> None:
    """Show what matters to a model on labelled rows: columns, pairs, and its calibration.

    Give rows that it was not trained on: on training rows, what it knows by heart matters, too.
    """
    given.positive("--rows", rows)
    if out.suffix.lower() != ".png":
        raise ValueError(
            Message("--out is {out}: its name must end in {endings}", out=out, endings=".png")
        )
    model, schema = load_with_schema(checkpoint)
    batch = _batch(checkpoint, data, schema)
    if batch.label is None:
        raise ValueError(
            Message(
                "{data} has no column {label}: labels are needed",
                data=data,
                label=repr(schema.label),
            )
        )
    if len(batch) > rows:
        batch = batch[np.sort(np.random.default_rng(seed).permutation(len(batch))[:rows])]
    report = importance(model, batch, schema, repeats=repeats, pairs=pairs, seed=seed)
    console = Console()
    title = say(
        "{model} on {rows} rows: loss {loss}",
        model=type(model).__name__,
        rows=f"{report.num_rows:,}",
        loss=f"{report.loss:.5f}",
    )
    console.print(as_rich(title, report.rows(20)))
    console.print(say("each ± is a standard error, over the rows and the shuffles"))
    title = say("calibration, a tenth of the rows each")
    console.print(as_rich(title, report.calibration_rows(), 0))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_figure(out, report.plot, columns=3)
    console.print(say("wrote {out}", out=out), soft_wrap=True)


def _batch(checkpoint: Path, data: str | None, schema: Schema) -> Batch:
    """Read rows by the schema of the checkpoint: those of a file, or the test rows of train."""
    if data is not None:
        return schema.encode(source_of(data, schema))
    return trained.test_rows(checkpoint, schema)
