"""What is said to a user in her language: gettext, with catalogues in `minidlrm/locale/`.

English is the source: a message without a translation is said in English. The language is that of
the variable MINIDLRM_LANG, or of the locale (LC_ALL, LC_MESSAGES, LANG). Exceptions are in English;
one that holds a `Message` is said by the command line, and by the grader.
"""

from __future__ import annotations

import gettext
import os
import re
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
        return filled(pattern, **values)

    def __add__(self, more: str) -> Message:
        """Put more behind it: a `Message` in it is translated, too."""
        return joined((self, more))

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what makes it again: a copy remembers, too."""
        return from_parts, (str(self), self.pattern, self.values)


def from_parts(text: str, pattern: str, values: dict[str, Any]) -> Message:
    """Return a message from its text in English, and what that was made of.

    Examples
    --------
    >>> from minidlrm.languages import from_parts, say
    >>> say(from_parts("right: 2", "{what}: 2", {"what": from_parts("right", "right", {})}), "ko")
    '옳은 값: 2'
    """
    made = str.__new__(Message, text)
    made.pattern, made.values = pattern, values
    return made


def filled(pattern: str, **values: Any) -> Message:
    """Return a message whose pattern stands in a table, or needs no translation: "({formula})".

    Examples
    --------
    >>> from minidlrm.languages import filled
    >>> filled("{x} @ {y}", x="dy", y="W.T")
    'dy @ W.T'
    """
    pattern = str(pattern)  # in a table it may be a message, without its values
    return from_parts(pattern.format(**values) if values else pattern, pattern, values)


def as_message(text: str) -> Message:
    """Return a text that stands in a table as a message.

    Examples
    --------
    >>> from minidlrm.languages import as_message, say
    >>> say(as_message("every array passed"), "ko")
    '모든 배열이 통과했습니다'
    """
    return text if isinstance(text, Message) else from_parts(text, text, {})


def joined(parts: Iterable[str], separator: str = "") -> Message:
    """Return several messages as one.

    Examples
    --------
    >>> from minidlrm.languages import Message, joined, say
    >>> said = joined([Message("right"), "x"], ": ")
    >>> said, say(said, "ko")
    ('right: x', '옳은 값: x')
    """
    values = {f"part{k}": part for k, part in enumerate(parts)}
    return filled(separator.join(f"{{{name}}}" for name in values), **values)


def recognized(text: str, patterns: Iterable[str]) -> str:
    """Return a text that one of the patterns has made as a message; another one as it is.

    Examples
    --------
    >>> from minidlrm.languages import recognized, say
    >>> say(recognized("wrote a.png", ["wrote {path}"]), "ko")
    'a.png 파일을 썼습니다'
    >>> recognized("read a.png", ["wrote {path}"])
    'read a.png'
    """
    for pattern in patterns:
        found = re.fullmatch(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(pattern)), text)
        if found:
            return filled(pattern, **found.groupdict())
    return text


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
    return from_parts(f"{message[:1].upper()}{message[1:]}{end}", "{text}{end}", values)


def first_part(message: str, between: str = ", ") -> str:
    """Return the first part of a message that `joined` has made, or that one like it has.

    Examples
    --------
    >>> from minidlrm.languages import first_part, joined
    >>> first_part(joined(["100 rows", "seed 0"], ", "))
    '100 rows'
    """
    if isinstance(message, Message) and "part0" in message.values:
        return message.values["part0"]
    return message.partition(between)[0]


def words_of(error: BaseException) -> str:
    """Return what an error says: the `Message` that it was raised with, if it is one.

    Examples
    --------
    >>> from minidlrm.languages import words_of
    >>> words_of(ValueError("no sample"))
    'no sample'
    """
    first = error.args[0] if error.args else ""
    return first if isinstance(first, Message) else str(error)


def languages() -> list[str]:
    """Return the languages that there are: "en" and those of the catalogues.

    Examples
    --------
    >>> from minidlrm.languages import languages
    >>> languages()
    ['en', 'ko']
    """
    return ["en", *_found(FOLDER)]


@lru_cache(maxsize=2)
def _found(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.parents[1].name for path in folder.glob("*/LC_MESSAGES/*.mo")))


def code_of(lang: str | None = None) -> str:
    """Return the code of the language that `say` speaks, for the head of a page.

    Examples
    --------
    >>> from minidlrm.languages import code_of
    >>> code_of("ko")
    'ko'
    """
    place = re.split("[.@]", _asked(lang).replace("-", "_"))[0]
    codes, known = (place, place.split("_")[0].lower()), languages()
    return next((code for code in codes if code in known), "en")


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
    catalogue = _catalogue(_asked(lang))
    return _said(message, values, catalogue)


def say_if_message(text: str, lang: str | None = None) -> str:
    """Return a `Message` in a language, and any other text, such as a name, as it is.

    Parameters
    ----------
    text : str
        A message, or what is said alike in every language.
    lang : str, optional
        As for `say`.

    Raises
    ------
    ValueError
        When there is no catalogue for `lang`, and the text is a message.

    Examples
    --------
    >>> from minidlrm.languages import Message, say_if_message
    >>> say_if_message(Message("right"), "ko"), say_if_message("right", "ko")
    ('옳은 값', 'right')
    """
    return say(text, lang) if isinstance(text, Message) else text


def tell(message: str, **values: Any) -> None:
    """Print a message in the user's language: the checks of the tutorials do.

    Parameters
    ----------
    message, **values
        As for `say`.

    Examples
    --------
    >>> from minidlrm.languages import tell
    >>> tell("not yet: error {error:.1e}", error=0.25)
    not yet: error 2.5e-01
    """
    print(say(message, **values))


def _said(message: str, values: dict[str, Any], catalogue: gettext.NullTranslations) -> str:
    if isinstance(message, Message):
        return _said(message.pattern, message.values, catalogue)
    found = catalogue.gettext(message) if message else ""  # of "" it knows the catalogue's head
    if not values:
        return found
    parts = values.items()
    return found.format(
        **{n: _said(v, {}, catalogue) if isinstance(v, Message) else v for n, v in parts}
    )


def _asked(lang: str | None) -> str:
    names = ("MINIDLRM_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
    return lang or next(filter(None, map(os.environ.get, names)), "en")


@lru_cache(maxsize=8)
def _catalogue(lang: str) -> gettext.NullTranslations:
    return gettext.translation("minidlrm", FOLDER, [code_of(lang)], fallback=True)
