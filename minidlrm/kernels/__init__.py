"""The inner loops, twice: `reference` (NumPy, the definition) and `jit` (Numba, fast).

The layers call ``kernels.gather(...)`` and so on. Which twin answers is chosen when a kernel is
first asked for, since Numba takes longer to import than all of minidlrm: Numba's, unless the
variable MINIDLRM_KERNELS is "numpy" or Numba is not installed.
`use` and `using` change it later; `backend` is the name of the one that serves.
"""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from minidlrm.kernels import reference
from minidlrm.languages import say

if TYPE_CHECKING:  # the names that `__getattr__` finds
    from minidlrm.kernels.reference import *

    backend: str

__all__ = ["backend", "use", "using"]
__all__ += reference.__all__

_HOMES = {"numba": "minidlrm.kernels.jit", "numpy": "minidlrm.kernels.reference"}
_LATER = ("backend", *reference.__all__)  # no name of this module before a choice


def use(name: str) -> None:
    """Choose the kernels for all models of this process.

    Parameters
    ----------
    name : "numba" or "numpy"
        The compiled kernels, or the reference ones.

    Raises
    ------
    ValueError
        When `name` is neither.
    ImportError
        When Numba is asked for and is not installed.

    Examples
    --------
    >>> from minidlrm import kernels
    >>> before = kernels.backend
    >>> kernels.use("numpy"); kernels.backend
    'numpy'
    >>> kernels.use(before)
    """
    _check(name)
    module = importlib.import_module(_HOMES[name])
    globals().update({kernel: getattr(module, kernel) for kernel in reference.__all__})
    globals()["backend"] = name


@contextmanager
def using(name: str) -> Iterator[None]:
    """Choose the kernels for a while: those that served before, if any did, serve again after it.

    Parameters
    ----------
    name : "numba" or "numpy"
        As in `use`, and with its errors.

    Examples
    --------
    >>> from minidlrm import kernels
    >>> with kernels.using("numpy"):
    ...     kernels.backend
    'numpy'
    """
    before = {later: globals()[later] for later in _LATER if later in globals()}
    use(name)
    try:
        yield
    finally:
        globals().update(before)
        for later in () if before else _LATER:
            del globals()[later]


def _check(name: str) -> None:
    if name not in _HOMES:
        raise ValueError(f"kernels {name!r} are not known: choose 'numba' or 'numpy'")


def _wanted() -> str | None:
    """Return what the variable asks for."""
    wanted = os.environ.get("MINIDLRM_KERNELS")
    try:
        if wanted:
            _check(wanted)
    except ValueError as error:
        raise ValueError(f"MINIDLRM_KERNELS: {error}") from None
    return wanted


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    wanted = _wanted()
    try:
        use(wanted or "numba")
    except ImportError:
        if wanted:
            raise
        line = say("minidlrm: Numba is not installed; the NumPy kernels serve.")
        print(line, file=sys.stderr)
        use("numpy")
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


_wanted()  # a variable that is wrong is said at once
