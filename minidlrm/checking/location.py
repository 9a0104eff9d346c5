"""Where a learner's code stopped: the file, the line, and the line's text."""

from __future__ import annotations

import linecache
import sysconfig
import traceback
from pathlib import Path

_OURS = str(Path(__file__).parents[1])
_LIBRARIES = tuple(sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib"))


def located(error: BaseException) -> str:
    """Return an exception in words, with the innermost line that is the learner's own.

    Examples
    --------
    >>> try:
    ...     {}["a"]
    ... except KeyError as error:
    ...     located(error)
    "KeyError: 'a'"
    """
    words = f"{type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, SyntaxError) and error.filename:
        text = (error.text or "").strip()
        return f"{words}\n  at {error.filename}, line {error.lineno}: {text}"
    place = _place(error)
    return f"{words}\n  at {place}" if place else words


def is_theirs(error: BaseException) -> bool:
    """Whether the learner's own code raised it, or called what did."""
    return bool(_place(error))


def _place(error: BaseException) -> str:
    """Name the innermost line outside of minidlrm and of the libraries; "" when there is none.

    What minidlrm itself raises is not theirs: it says what is wrong with its arguments.
    """
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = frame.filename
        if path.startswith((_OURS, *_LIBRARIES)) or path.startswith("<frozen"):
            continue
        text = frame.line or linecache.getline(path, frame.lineno or 0).strip()
        if text and not path.startswith("<doctest"):
            return f"{path}, line {frame.lineno}, in {frame.name}: {text}"
    return ""
