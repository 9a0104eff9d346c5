"""minidlrm learn and minidlrm data fetch: what a reader needs to begin."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from minidlrm import tutorials
from minidlrm.data import READERS
from minidlrm.data.download import SOURCES
from minidlrm.data.download import fetch as download
from minidlrm.languages import Message, joined, say

_SETS = joined(
    [Message("{name} ({size})", name=name, size=source.size) for name, source in SOURCES.items()],
    ", ",
)


def learn(
    folder: Annotated[Path, typer.Argument(help="The folder of your copies.")] = Path(
        "minidlrm-course"
    ),
    open_lab: Annotated[
        bool, typer.Option("--open/--no-open", help="Whether to open Jupyter Lab on them.")
    ] = True,
) -> None:
    """Copy the tutorials to a folder of yours, and open Jupyter Lab there.

    Notebooks that are in the folder already are kept as they are, with all that you wrote.
    """
    console = Console()
    copied, kept = tutorials.copy_to(folder)
    line = say(
        "{copied} files copied to {folder}, {kept} of yours kept",
        copied=len(copied),
        folder=folder,
        kept=len(kept),
    )
    console.print(line, style="dim")
    if not open_lab:
        return
    if importlib.util.find_spec("jupyterlab") is None:
        raise ImportError(
            Message('Jupyter Lab is not installed: pip install "minidlrm[notebooks]"')
        )
    command = [sys.executable, "-m", "jupyterlab", f"--notebook-dir={folder.resolve()}"]
    raise typer.Exit(subprocess.call(command))


def fetch(
    name: Annotated[str, typer.Argument(help=Message("One of {names}.", names=_SETS))],
    to: Annotated[
        Path | None,
        typer.Option(help="Folder of all data sets; default: MINIDLRM_DATA, or the user's cache."),
    ] = None,
) -> None:
    """Download a data set, check it, unpack it, and say how to train on it."""
    path = download(name, to)
    console = Console()
    console.print(say("{name} is in {path}", name=name, path=path), soft_wrap=True)
    scheme = next(scheme for scheme in READERS if name.startswith(scheme))
    console.print(f"minidlrm train --data {scheme}:{path}", soft_wrap=True)
