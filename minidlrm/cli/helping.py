"""--help and the command line's own errors in the user's language.

Commands are written in English: a docstring, and a help for each option. `through` hands all of
these texts to a function: `say` when a command runs, or what gathers them for the catalogues.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from copy import copy
from types import FunctionType
from typing import Annotated, Any, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from minidlrm.languages import recognized, say, say_if_message

Speak = Callable[[str], str]

USAGE_ERRORS = (  # what the CLI library says, as it says it; other words of it stay English
    "No such command {name}. Did you mean {others}?",
    "No such command {name}.",
    "No such option: {name} Did you mean {others}?",
    "No such option: {name} (Possible options: {others})",
    "No such option: {name}",
    "Missing argument {name}.",
    "Missing option {name}.",
    "Missing command.",
    "Option {name} requires an argument.",
    "Invalid value for {name}: Input should be a valid number, unable to parse string as a number",
    "Invalid value for {name}: Input should be a valid integer, unable to parse string as an "
    "integer",
    "Invalid value for {name}: Value {value} is not a valid {kind}.",
    "Invalid value for {name}: {value} is not a valid float.",  # in an older Typer
    "Invalid value for {name}: {value} is not a valid integer.",
    "Invalid value for {name}: {why}",
    "Got unexpected extra argument(s) ({name})",
    "Got unexpected extra argument ({name})",
    "Got unexpected extra arguments ({name})",
)
WORDS = ("Example", "Examples", "Show this message and exit.")


def through(app: typer.Typer, speak: Speak = say) -> typer.Typer:
    """Return the app with every text of its help as `speak` returns it."""
    made = copy(app)
    made.info = copy(app.info)
    made.info.cls = _Group
    if isinstance(app.info.help, str):
        made.info.help = speak(app.info.help)
    made.registered_commands = [_command(info, speak) for info in app.registered_commands]
    made.registered_groups = [copy(info) for info in app.registered_groups]
    for info in made.registered_groups:
        if info.typer_instance is not None:
            info.typer_instance = through(info.typer_instance, speak)
    return made


def _command(info: Any, speak: Speak) -> Any:
    made = copy(info)
    made.cls = _Command
    made.help = speak(info.help or inspect.getdoc(info.callback) or "")
    if info.epilog:
        head, colon, lines = info.epilog.partition(": ")
        made.epilog = speak(head) + colon + lines
    made.callback = _function(info.callback, speak)
    return made


def _function(function: FunctionType, speak: Speak) -> FunctionType:
    """Return the function with other helps in its annotations."""
    parts = (function.__code__, function.__globals__, function.__name__)
    made = FunctionType(*parts, function.__defaults__, function.__closure__)
    made.__kwdefaults__ = function.__kwdefaults__
    hints = get_type_hints(function, include_extras=True)
    made.__annotations__ = {name: _hint(hint, speak) for name, hint in hints.items()}
    return made


def _hint(hint: Any, speak: Speak) -> Any:
    told = [copy(info) for info in getattr(hint, "__metadata__", ())]
    for info in told:
        info.help = speak(info.help)
        if isinstance(info.show_default, str) and " " in info.show_default:  # else it is a value
            info.show_default = speak(info.show_default)
    return Annotated[(hint.__origin__, *told)] if told else hint


class _Said:
    """A command of the CLI library whose own words are in the user's language."""

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None:
            option.help = say("Show this message and exit.")
        return option

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        pieces = self.collect_usage_pieces(ctx)  # type: ignore[attr-defined]
        formatter.write_usage(ctx.command_path, " ".join(pieces), say("Usage: "))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        from typer import rich_utils

        for name, word in _titles().items():
            setattr(rich_utils, name, word)
        rich_utils.highlighter = _folding(rich_utils.OptionHighlighter())
        super().format_help(ctx, formatter)  # type: ignore[misc]


class _Command(_Said, TyperCommand):
    pass


class _Group(_Said, TyperGroup):
    pass


def _titles() -> dict[str, str]:
    return {
        "ARGUMENTS_PANEL_TITLE": say("Arguments"),
        "OPTIONS_PANEL_TITLE": say("Options"),
        "COMMANDS_PANEL_TITLE": say("Commands"),
        "DEFAULT_STRING": say("[default: {}]"),
        "REQUIRED_LONG_STRING": say("[required]"),
    }


def _folding(highlighter: Any) -> Any:
    """Return a highlighter whose texts are never cut: Rich miscounts lines of wide letters."""

    def highlight(text: Any) -> Any:
        made = highlighter(text)
        if hasattr(made, "overflow"):
            made.overflow = "fold"
        return made

    return highlight


def usage_error(text: str) -> str:
    """Return an error of the CLI library in the user's language, where its words are known."""
    return say_if_message(recognized(text, USAGE_ERRORS))
