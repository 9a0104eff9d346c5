"""An exception of the code that is checked, in one line that leads to it."""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Callable
from pathlib import Path

from minidlrm.languages import Message

_HERE = str(Path(__file__).parent)


def described(error: BaseException, what: str, functions: tuple[Callable, ...] = ()) -> Message:
    """Say what was raised, and where in the user's own code: file, line, and the line's text.

    Parameters
    ----------
    error : BaseException
        It was caught.
    what : str
        Which pass, such as "backward".
    functions : tuple of callable
        The code that is checked; a line of its files is preferred.

    Examples
    --------
    >>> from minidlrm.checking.raised import described
    >>> described(ZeroDivisionError("division by zero"), "forward")
    'forward raises ZeroDivisionError: division by zero'
    """
    files = {getattr(getattr(f, "__code__", None), "co_filename", "") for f in functions}
    frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_foreign(f.filename)]
    own = [frame for frame in frames if frame.filename in files]
    message = str(error).strip().splitlines()
    said = type(error).__name__ + (f": {message[0]}" if message else "")
    text = Message("{what} raises {error}", what=what, error=said)
    if not frames:
        return text
    frame = (own or frames)[-1]
    line = (linecache.getline(frame.filename, frame.lineno or 0) or frame.line or "").strip()
    file, code = Path(frame.filename).name, f": `{line}`" if line else ""
    return text + Message(
        " ({file}, line {number}{code})", file=file, number=frame.lineno, code=code
    )


def _is_foreign(filename: str) -> bool:
    """Whether a file is none of the checker's own."""
    return not filename.startswith(_HERE) or "bugs" in filename[len(_HERE) :]
