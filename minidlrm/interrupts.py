"""Ctrl-C, also where it arrives inside a compiled kernel.

A KeyboardInterrupt that is raised while Numba converts the arguments of a kernel comes out as
``SystemError: CPUDispatcher(...) returned a result with an exception set``, with the
KeyboardInterrupt as its cause. To the user it is the same key.
"""

from __future__ import annotations


def is_interrupt(error: BaseException | None) -> bool:
    """Return whether an error is a KeyboardInterrupt, or a SystemError that hides one.

    Examples
    --------
    >>> from minidlrm.interrupts import is_interrupt
    >>> is_interrupt(KeyboardInterrupt()), is_interrupt(SystemError("a bug in a C extension"))
    (True, False)
    """
    if not isinstance(error, SystemError):  # any other error that hides one stays what it is
        return isinstance(error, KeyboardInterrupt)
    return is_interrupt(error.__cause__) or is_interrupt(error.__context__)
