"""minidlrm explore: a saved DLRM as a page that can be touched."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from minidlrm.checkpoint import load_with_schema
from minidlrm.cli import options as given
from minidlrm.cli import trained
from minidlrm.cli.score import DATA_HELP, source_of
from minidlrm.exploring import Explorable
from minidlrm.exploring import explore as made
from minidlrm.exploring.cinema import demonstration
from minidlrm.languages import Message, say


def explore(
    checkpoint: Annotated[
        Path | None,
        typer.Argument(
            help="A DLRM that train, or md.save with a schema, has written.",
            show_default="a small cinema that we made up",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Argument(help=DATA_HELP, show_default="the test rows of what train read"),
    ] = None,
    rows: Annotated[
        int | None, typer.Option(help="Examples of the page, drawn at random.", show_default="6")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the draw.", show_default="0")] = None,
    out: Annotated[Path, typer.Option(help="The page, an .html.")] = Path("explore.html"),
) -> None:
    """Write a page in which a DLRM is alive: forward, backward, steps, mistakes. No network."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise ValueError(
            Message("--out is {out}: its name must end in {endings}", out=out, endings=".html")
        )
    if checkpoint is None:
        for option, value in (("--rows", rows), ("--seed", seed)):
            if value is not None:
                raise ValueError(
                    Message("{option} has no meaning without a checkpoint", option=option)
                )
        page = demonstration()
    else:
        page = _page(checkpoint, data, 6 if rows is None else rows, 0 if seed is None else seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    page.to_html(out)
    console = Console()
    for note in page.content["notes"]:
        console.print(say(note), soft_wrap=True)
    console.print(say("wrote {out}: open it in a browser", out=out), soft_wrap=True)


def _page(checkpoint: Path, data: str | None, rows: int, seed: int) -> Explorable:
    """Make the page of a checkpoint, and of some rows that its schema has read."""
    given.positive("--rows", rows)
    model, schema = load_with_schema(checkpoint)
    if data is None:
        batch = trained.test_rows(checkpoint, schema)
    else:
        batch = schema.encode(source_of(data, schema))
    chosen = np.random.default_rng(seed).permutation(len(batch))[:rows]
    return made(model, batch[np.sort(chosen)], schema)
