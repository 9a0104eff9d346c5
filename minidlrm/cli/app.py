"""The app: all commands, and every error that a user can cause as one red line.

The exit code is 2 after an error, 130 after Ctrl-C, and 1 when a check did not pass.
"""

from __future__ import annotations

import io
import os
import sys
import warnings

import typer
from rich.console import Console

from minidlrm.cli import compare, course, inspect, learned, paper, recipe, recommend, score, train
from minidlrm.grading.commands import app as grade_app
from minidlrm.interrupts import is_interrupt

_KNOWN = (
    *(ValueError, TypeError, LookupError, OSError),
    *(FloatingPointError, MemoryError, ImportError),
)

_INTERRUPTED = 130  # as a shell says of a process that SIGINT has ended

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Learn how a deep recommender works by building one.",
)
data_app = typer.Typer(no_args_is_help=True, help="Get public data sets.")


def _examples(*lines: str) -> str:
    head = "Example" if len(lines) == 1 else "Examples"
    return f"{head}: " + "   ".join(f"[bold]minidlrm {line}[/bold]" for line in lines)


app.command(
    epilog=_examples(
        "train",
        "train --data criteo:train.txt --epochs 1 --optimizer sgd --lr 0.1",
        "train --data table:clicks.csv --label click --dense price --sparse user,item",
    )
)(train.train)
app.command(epilog=_examples("predict runs/latest/dlrm.safetensors new.csv --out scores.csv"))(
    score.predict
)
app.command(epilog=_examples("evaluate runs/latest/dlrm.safetensors labelled.csv"))(score.evaluate)
app.command(
    epilog=_examples("recommend runs/latest/dlrm.safetensors --data movielens:FOLDER --user 62")
)(recommend.recommend)
app.command(epilog=_examples("inspect runs/latest/dlrm.safetensors held_out.csv"))(learned.inspect)
app.command(epilog=_examples("recipe mf --data movielens:FOLDER"))(recipe.recipe)
app.command(
    epilog=_examples(
        "compare --rows 50000",
        "compare --experiment order",
        "compare --ranking --data movielens:FOLDER",
    )
)(compare.compare)
app.command(epilog=_examples("gradcheck dlrm", "gradcheck my_layer.py:Linear", "gradcheck --all"))(
    inspect.gradcheck
)
app.command(
    epilog=_examples("show dlrm --embedding-dim 32 --top-mlp 512,256", "show dlrm --trace --rows 4")
)(inspect.show)
app.command(epilog=_examples("verify --trace trace.txt"))(inspect.verify)
app.command(epilog=_examples("paper", "paper 4.2", "paper --all"))(paper.paper)
app.command(epilog=_examples("learn", "learn my-course --no-open"))(course.learn)
data_app.command(
    epilog=_examples("data fetch movielens-latest-small", "data fetch criteo-kaggle --to /big/disk")
)(course.fetch)
app.add_typer(data_app, name="data")
app.add_typer(grade_app, name="grade")


def main() -> None:
    """Run the command line, and turn errors into one red line."""
    warnings.filterwarnings("ignore", message=".*malformed lines were skipped")  # the table says it
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a locale may have no × and no →
    try:
        code = app(standalone_mode=False)
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
        _print_error("interrupted")
    sys.exit(code if isinstance(code, int) else 0)


def _message(error: Exception) -> str:
    if hasattr(error, "format_message"):  # usage errors of the command line itself
        return f"{error.format_message()} (see minidlrm --help)"
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, _KNOWN):
        return text
    return f"internal error, {type(error).__name__}: {text} (MINIDLRM_TRACEBACK=1 shows where)"


def _print_error(message: str) -> None:
    Console(stderr=True).print(f"error: {message}", style="red", markup=False, soft_wrap=True)
