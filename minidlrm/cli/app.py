"""The app: all commands, and every error that a user can cause as one red line.

The exit code is 2 after an error, 130 after Ctrl-C, and 1 when a check did not pass. A command is
imported when it is asked for: most of them need much that the others do not.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import typer

from minidlrm.cli.helping import Speak, through, usage_error
from minidlrm.interrupts import is_interrupt
from minidlrm.languages import Message, say, say_if_message, words_of

_KNOWN = (
    *(ValueError, TypeError, LookupError, OSError),
    *(FloatingPointError, MemoryError, ImportError),
)

_INTERRUPTED = 130  # as a shell says of a process that SIGINT has ended

_COMMANDS = {  # name: its module, and examples
    "train": (
        "train",
        "train",
        "train --ranks 4",
        "train --data criteo:train.txt --epochs 1 --optimizer sgd --lr 0.1",
        "train --data table:clicks.csv --label click --dense price --sparse user,item",
    ),
    "predict": ("score", "predict runs/latest/dlrm.safetensors new.csv --out scores.csv"),
    "evaluate": ("score", "evaluate runs/latest/dlrm.safetensors labelled.csv"),
    "recommend": ("recommend", "recommend runs/latest/dlrm.safetensors --user 62"),
    "inspect": ("learned", "inspect runs/latest/dlrm.safetensors"),
    "explore": ("explore", "explore", "explore runs/latest/dlrm.safetensors --out page.html"),
    "recipe": ("recipe", "recipe mf --data movielens:FOLDER"),
    "compare": (
        "compare",
        "compare --rows 50000",
        "compare --experiment order",
        "compare --ranking --data movielens:FOLDER",
    ),
    "gradcheck": ("inspect", "gradcheck dlrm", "gradcheck my_layer.py:Linear", "gradcheck --all"),
    "show": (
        "inspect",
        "show dlrm --embedding-dim 32 --top-mlp 512,256",
        "show dlrm --trace --rows 4",
        "show dlrm --ranks 16",
    ),
    "verify": ("inspect", "verify --trace trace.txt"),
    "paper": ("paper", "paper", "paper 4.2", "paper --all"),
    "learn": ("course", "learn", "learn my-course --no-open"),
}
_FETCH = "data fetch movielens-latest-small", "data fetch criteo-kaggle --to /big/disk"


def make_app(wanted: str = "", speak: Speak = say) -> typer.Typer:
    """Make the app: with one command, where it is known which is wanted, or else with all.

    Parameters
    ----------
    wanted : str
        The first word after ``minidlrm``.
    speak : callable
        What turns every text of its help into the user's language.
    """
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode="rich",
        help="Learn how a deep recommender works by building one.",
    )
    app.callback()(lambda: None)  # commands, even when there is one
    known = wanted in (*_COMMANDS, "data", "grade")
    for name, (home, *examples) in _COMMANDS.items():
        if name == wanted or not known:
            command = getattr(import_module(f"minidlrm.cli.{home}"), name)
            app.command(epilog=_examples(*examples))(command)
    if wanted == "data" or not known:
        app.add_typer(_data_app(), name="data")
    if wanted == "grade" or not known:
        app.add_typer(import_module("minidlrm.grading.commands").app, name="grade")
    return through(app, speak)


def _data_app() -> typer.Typer:
    from minidlrm.cli.course import fetch

    app = typer.Typer(no_args_is_help=True, help="Get public data sets.")
    app.callback()(lambda: None)
    app.command(epilog=_examples(*_FETCH))(fetch)
    return app


def _examples(*lines: str) -> str:
    head = "Example" if len(lines) == 1 else "Examples"
    return f"{head}: " + "   ".join(f"[bold]minidlrm {line}[/bold]" for line in lines)


def main() -> None:
    """Run the command line, and turn errors into one red line."""
    warnings.filterwarnings("ignore", message=".*malformed lines were skipped")  # the table says it
    warnings.showwarning = _shown_as_ours(warnings.showwarning)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a locale may have no × and no →
    try:
        if "mpi4py.run" in sys.modules:  # one of several ranks
            import_module("minidlrm.cli.ranks").check_command("".join(sys.argv[1:2]))
        code = make_app("".join(sys.argv[1:2]))(standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    except Exception as error:
        if hasattr(error, "format_message") and not error.format_message():
            sys.exit(2)  # no command was given: the help has been printed
        if os.environ.get("MINIDLRM_TRACEBACK"):
            raise
        code = _INTERRUPTED if is_interrupt(error) else 2
        if code == 2:
            _print_error(_message(error))
    if code == _INTERRUPTED:
        _print_error(say("interrupted"))
    sys.exit(code if isinstance(code, int) else 0)


def _shown_as_ours(show: Callable[..., None]) -> Callable[..., None]:
    """Return a `warnings.showwarning` that prints a message as the commands print a warning."""

    def shown(found: Warning | str, *place: Any, **more: Any) -> None:
        words = words_of(found) if isinstance(found, Warning) else found
        if not isinstance(words, Message):
            return show(found, *place, **more)
        from rich.console import Console

        from minidlrm.cli.summary import warning

        line = warning(say(words))
        Console(stderr=True).print(line, style="yellow", markup=False, soft_wrap=True)

    return shown


def _message(error: Exception) -> str:
    if hasattr(error, "format_message"):  # usage errors of the command line itself
        return say("{text} (see minidlrm --help)", text=usage_error(error.format_message()))
    text = " ".join(say_if_message(words_of(error)).split()) or type(error).__name__
    if isinstance(error, _KNOWN):
        return text
    return say(
        "internal error, {kind}: {text} (MINIDLRM_TRACEBACK=1 shows where)",
        kind=type(error).__name__,
        text=text,
    )


def _print_error(message: str) -> None:
    from rich.console import Console

    if "mpi4py.run" in sys.modules:  # one of several ranks
        message = import_module("minidlrm.cli.ranks").voice() + message
    line = say("error: {text}", text=message)
    Console(stderr=True).print(line, style="red", markup=False, soft_wrap=True)
