"""The inner loops, twice: `reference` (NumPy, the definition) and `jit` (Numba, fast).

The layers call ``kernels.gather(...)`` and so on. Which twin answers is chosen at import:
Numba's, unless the variable MINIDLRM_KERNELS is "numpy" or Numba is not installed.
`use` changes it later; `backend` is the name of the one that serves.
"""

import importlib
import os
import sys

from minidlrm.kernels import reference
from minidlrm.kernels.reference import *
from minidlrm.languages import say

__all__ = ["backend", "use"]
__all__ += reference.__all__

backend = "numpy"


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
    modules = {"numba": "minidlrm.kernels.jit", "numpy": "minidlrm.kernels.reference"}
    if name not in modules:
        raise ValueError(f"kernels {name!r} are not known: choose 'numba' or 'numpy'")
    module = importlib.import_module(modules[name])
    globals().update({kernel: getattr(module, kernel) for kernel in reference.__all__})
    globals()["backend"] = name


def _choose() -> None:
    wanted = os.environ.get("MINIDLRM_KERNELS")
    try:
        use(wanted or "numba")
    except ImportError:
        if wanted:
            raise
        line = say("minidlrm: Numba is not installed; the NumPy kernels serve.")
        print(line, file=sys.stderr)
    except ValueError as error:
        raise ValueError(f"MINIDLRM_KERNELS: {error}") from None


_choose()
