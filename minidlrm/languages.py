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


def joined(separator: str, parts: Iterable[str]) -> Message:
    r"""Return messages, joined: each is translated by itself.

    Examples
    --------
    >>> from minidlrm.languages import Message, joined
    >>> joined("\n", [Message("no sample"), "x = 3"])
    'no sample\nx = 3'
    """
    values: dict[str, Any] = {f"part{k}": part for k, part in enumerate(parts)}
    pattern = separator.join(f"{{{name}}}" for name in values)
    return _made(separator.join(values.values()), pattern, values)


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


def spoken(lang: str | None = None) -> str:
    """Return the language in which `say` says things: "en" where there is no catalogue.

    Parameters
    ----------
    lang : str, optional
        Such as "ko". By default the user's language.

    Examples
    --------
    >>> from minidlrm.languages import spoken
    >>> spoken("ko")
    'ko'
    """
    found = gettext.find("minidlrm", str(FOLDER), [_code(lang)])
    return Path(found).parents[1].name if found else "en"


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
        What is put into the pattern; a `Message` among them is translated, too.

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
    code = _code(lang)
    if isinstance(message, Message):
        said = {
            name: say(v, lang) if isinstance(v, str) else v for name, v in message.values.items()
        }
        return say(message.pattern, lang).format(**said)
    found = _catalogue(code).gettext(message)
    found = found if message else ""  # gettext answers "" with the head of the catalogue
    if not values:
        return found
    return found.format(
        **{name: say(v, lang) if isinstance(v, Message) else v for name, v in values.items()}
    )


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


def _code(lang: str | None) -> str:
    if lang is not None and not (isinstance(lang, str) and lang in languages()):
        raise ValueError(f"lang is {lang!r}: it must be one of {', '.join(languages())}")
    return lang or os.environ.get("MINIDLRM_LANG") or _of_locale()


def _of_locale() -> str:
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    return next(filter(None, map(os.environ.get, names)), "en")


@lru_cache(maxsize=8)
def _catalogue(lang: str) -> gettext.NullTranslations:
    return gettext.translation("minidlrm", FOLDER, [lang], fallback=True)
