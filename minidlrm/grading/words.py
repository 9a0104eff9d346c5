"""Messages of the grader on their way through files: the English text, and beside it its parts.

The judge is a process of its own, and results are kept from run to run. In both files a text is
English, whatever the user's language is; `messages` lists what each was made of, so that it can be
said in any language later. Nothing of a submission is ever taken for a pattern.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from minidlrm.grading.reading import plain
from minidlrm.languages import Message, filled, from_parts, joined

_ERROR = re.compile(r"(\w+): (.*?)(?: \((?:cell (\d+), )?line (\d+)\))?", re.S)
# what the process of a submission says: it has no messages, as nothing of minidlrm is loaded there
_OWN: dict[str, Callable[..., Message]] = {
    r"minidlrm cannot be imported in an assignment: only your own code is graded": lambda: Message(
        "minidlrm cannot be imported in an assignment: only your own code is graded"
    ),
    r"an array of dtype (?P<dtype>\S+): only numbers can be returned": lambda **values: Message(
        "an array of dtype {dtype}: only numbers can be returned", **values
    ),
    r"'\.\.\.' was returned: it is not written yet": lambda: Message(
        "'...' was returned: it is not written yet"
    ),
    r"a (?P<type>\w+): only numbers and arrays can be returned": lambda **values: Message(
        "a {type}: only numbers and arrays can be returned", **values
    ),
    r"(?P<size>[\d,]+) bytes of lists and texts: return an array instead": lambda **values: Message(
        "{size} bytes of lists and texts: return an array instead", **values
    ),
    r"(?P<size>[\d,]+) bytes: too large to be returned": lambda **values: Message(
        "{size} bytes: too large to be returned", **values
    ),
}


def cleaned(text: str, longest: int = 2000) -> str:
    """Return a text, or a message, that is fit for a page; see `reading.plain`."""
    if not isinstance(text, Message) or len(text) > longest:
        return plain(text, longest)
    values = {name: cleaned(v) if isinstance(v, str) else v for name, v in text.values.items()}
    return from_parts(plain(text, longest), text.pattern, values)


def first_line(text: str) -> str:
    """Return the first line of a text, or of messages that were joined line by line."""
    while isinstance(text, Message) and text.pattern.startswith("{part0}\n"):
        text = text.values["part0"]
    return text if text.splitlines() == [text] else text.splitlines()[0]


def error_of(words: str, known: dict[str, str]) -> str:
    """Return what a submission's process says of an error, as a message: "KIND: TEXT (line 3)".

    The process chooses the words, so only those that the grader knows are taken for its own.

    Parameters
    ----------
    words : str
        What arrived.
    known : dict
        Texts of the grader's functions, which the process may repeat, by their English.
    """
    parts = _ERROR.fullmatch(words)
    if parts is None:
        return words
    kind, text, cell, line = parts.groups()
    error = joined([kind, known.get(text) or _own_text(text)], ": ")
    if line is None:
        return error
    if cell is None:
        return Message("{error} (line {line})", error=error, line=line)
    return Message("{error} (cell {cell}, line {line})", error=error, cell=cell, line=line)


def _own_text(text: str) -> str:
    """Return the message of `worker` or `wire` that a text is; others stay as they are."""
    for form, message in _OWN.items():
        found = re.fullmatch(form, text)
        if found:
            return message(**found.groupdict())
    return text


def with_messages(content: dict[str, Any]) -> dict[str, Any]:
    """Return what is to be written as JSON: the content, and the parts of its messages."""
    return content | {"messages": {str(text): _parts(text) for text in _messages_in(content)}}


def of_messages(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content that `with_messages` was given; ValueError for what it does not make."""
    parts = content.get("messages", {}) if isinstance(content, dict) else None
    if not isinstance(parts, dict):
        raise ValueError("these are not results of the grader")

    def read(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: read(each) for key, each in value.items()}
        if isinstance(value, list):
            return [read(each) for each in value]
        return _message(value, parts[value]) if isinstance(value, str) and value in parts else value

    return {key: read(value) for key, value in content.items() if key != "messages"}


def _messages_in(value: Any) -> list[Message]:
    if isinstance(value, Message):
        return [value]
    inside = value.values() if isinstance(value, dict) else value
    return [m for v in inside for m in _messages_in(v)] if isinstance(value, (dict, list)) else []


def _parts(text: Message) -> dict[str, Any]:
    return {"pattern": text.pattern, "values": {k: _plain(v) for k, v in text.values.items()}}


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return {"text": str(value), **_parts(value)}
    return value if isinstance(value, (str, bool, int, float)) else str(value)


def _message(text: str, parts: dict[str, Any]) -> Message:
    try:
        values = {
            name: _message(v["text"], v) if isinstance(v, dict) else v
            for name, v in parts["values"].items()
        }
        filled(parts["pattern"], **values)
    except (LookupError, AttributeError, TypeError) as error:
        raise ValueError(f"the parts of {text!r} are damaged: {error!r}") from None
    return from_parts(text, parts["pattern"], values)
