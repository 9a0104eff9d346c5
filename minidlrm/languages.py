"""What is said to a user in her language: gettext, with catalogues in `minidlrm/locale/`.

English is the source: a message without a translation is said in English. The language is that of
the variable MINIDLRM_LANG, or of the locale (LC_ALL, LC_MESSAGES, LANG). Exceptions stay English.
"""

from __future__ import annotations

import gettext
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "locale"


class Message(str):
    """A sentence in English that remembers its pattern and its values, to be said in others.

    Parameters
    ----------
    pattern : str
        With the names of values in braces, as for `str.format`.
    **values
        What is put in; a `Message` among them is translated, too.

    Examples
    --------
    >>> from minidlrm.languages import Message
    >>> Message("{count} samples look it up", count=3)
    '3 samples look it up'
    """

    pattern: str
    values: dict[str, Any]

    __slots__ = ("pattern", "values")

    def __new__(cls, pattern: str, **values: Any) -> Message:
        """Put the values in."""
        return _made(pattern.format(**values), pattern, values)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what makes it again: a copy remembers, too."""
        return _made, (str(self), self.pattern, self.values)


def _made(text: str, pattern: str, values: dict[str, Any]) -> Message:
    made = str.__new__(Message, text)
    made.pattern, made.values = pattern, values
    return made


def sentence(message: str) -> Message:
    """Return a message with a capital letter and a full stop.

    Examples
    --------
    >>> from minidlrm.languages import sentence
    >>> sentence("the output is empty"), sentence("")
    ('The output is empty.', '')
    """
    end = "" if not message or message.endswith((".", "?")) else "."
    values = {"text": message, "end": end}
    return _made(f"{message[:1].upper()}{message[1:]}{end}", "{text}{end}", values)


def joined(parts: Iterable[str], between: str = ", ") -> Message:
    """Return parts as one message; those that are messages are said in other languages.

    Examples
    --------
    >>> from minidlrm.languages import Message, joined, say
    >>> say(joined([Message("every array passed"), "W"], "; "), "ko")
    '모든 배열이 통과했습니다; W'
    """
    values = {f"part{k}": part for k, part in enumerate(parts)}
    text, pattern = between.join(values.values()), between.join(f"{{{name}}}" for name in values)
    return _made(text, pattern, values)


def first_part(message: str, between: str = ", ") -> str:
    """Return the first part of a message that `joined` has made, or that one like it has.

    Examples
    --------
    >>> from minidlrm.languages import first_part, joined
    >>> first_part(joined(["100 rows", "seed 0"]))
    '100 rows'
    """
    if isinstance(message, Message) and "part0" in message.values:
        return message.values["part0"]
    return message.partition(between)[0]


def languages() -> list[str]:
    """Return the languages that there are: "en" and those of the catalogues.

    Examples
    --------
    >>> from minidlrm.languages import languages
    >>> languages()
    ['en', 'ko']
    """
    return ["en", *sorted(path.parents[1].name for path in FOLDER.glob("*/LC_MESSAGES/*.mo"))]


def say(message: str, lang: str | None = None, **values: Any) -> str:
    """Return a message in a language, with its values.

    Parameters
    ----------
    message : str or Message
        In English; a pattern, if there are `values`.
    lang : str, optional
        Such as "ko". By default the user's language.
    **values
        What is put into the pattern.

    Raises
    ------
    ValueError
        When there is no catalogue for `lang`.

    Examples
    --------
    >>> from minidlrm.languages import say
    >>> say("the matrix is transposed", "ko")
    '행렬이 전치되었습니다'
    >>> say("no such message", "ko")
    'no such message'
    """
    if lang is not None and not (isinstance(lang, str) and lang in languages()):
        raise ValueError(f"lang is {lang!r}: it must be one of {', '.join(languages())}")
    if isinstance(message, Message):
        said = {
            name: say(v, lang) if isinstance(v, str) else v for name, v in message.values.items()
        }
        return say(message.pattern, lang).format(**said)
    found = _catalogue(lang or os.environ.get("MINIDLRM_LANG") or _of_locale()).gettext(message)
    found = found if message else ""  # gettext answers "" with the head of the catalogue
    return found.format(**values) if values else found


def _of_locale() -> str:
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    return next(filter(None, map(os.environ.get, names)), "en")


@lru_cache(maxsize=8)
def _catalogue(lang: str) -> gettext.NullTranslations:
    return gettext.translation("minidlrm", FOLDER, [lang], fallback=True)
