"""How all kernels are compiled, and whether what was compiled can be kept."""

import sys

from numba import njit  # an ImportError also where only a folder of Numba is left

from minidlrm.languages import say


def _can_cache() -> bool:
    """Whether Numba finds a folder for compiled kernels; says so when there is none."""
    try:
        njit(cache=True)(_can_cache)
    except RuntimeError:
        print(
            say(
                "minidlrm: no folder for compiled kernels can be written: they are compiled anew "
                "in each process (set NUMBA_CACHE_DIR to keep them)."
            ),
            file=sys.stderr,
        )
        return False
    return True


CACHE = _can_cache()
compiled = njit(cache=CACHE, error_model="numpy", nogil=True)
