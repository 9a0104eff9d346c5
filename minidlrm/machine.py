"""What a training run sets on the machine: BLAS at one thread a worker, and memory that is kept.

Two BLAS threads wait for each other inside every product. Where they are small, or another
program runs beside them, waiting takes longer than the work: so each of our own threads computes
its products alone. Then the bits of a product do not depend on the number of cores either.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # of mallopt, in malloc.h
_LARGE = 64 << 20  # bytes: a larger array is given back to the system when it is freed
_KEPT = 512 << 20  # bytes that are free at the end of the heap, and stay with the process

_lock = threading.Lock()
_inside = 0  # how many blocks of `one_blas_thread` are open, in all threads
_before: list[int] = []  # threads of each library, before the first of them


class _Resting(threading.local):
    """The `Team` that a thread has opened, while it walks nothing: it may help a kernel."""

    team: Any = None


resting = _Resting()


@cache
def _blas() -> Any:
    """Return the BLAS libraries of this process: NumPy's is loaded when NumPy is."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


def set_blas_threads(numbers: list[int] | None = None) -> None:
    """Set the threads of each BLAS library, for the process; one thread when no number is given.

    Where BLAS is built with OpenMP, a setting holds for the thread that makes it alone: each
    thread of a `Team` sets its own.
    """
    libraries = _blas().lib_controllers
    for library, number in zip(libraries, numbers or [1] * len(libraries), strict=True):
        # threadpoolctl lets one thread of a process set anything; our lock does it better.
        release = getattr(library, "clear_controlling_thread", lambda force: None)
        release(force=True)
        library.set_num_threads(number)
        release(force=True)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let every matrix product run on the thread that asks for it, until the block ends.

    The number of BLAS threads belongs to the process. The first block that opens keeps it, and
    the last one that closes restores it: blocks may be nested, and may be open in several threads.

    Examples
    --------
    >>> from minidlrm.machine import one_blas_thread
    >>> with one_blas_thread():
    ...     pass
    """
    global _inside, _before
    with _lock:
        if _inside == 0:
            _before = [library.get_num_threads() for library in _blas().lib_controllers]
        set_blas_threads()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                set_blas_threads(_before)


def cores() -> int:
    """Return how many cores this process may use."""
    if sys.platform == "emscripten":  # no threads in a browser
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_cores() -> int:
    """Return how many cores one large operation may take: one within `one_blas_thread`.

    There others work on the rest of them, or nobody should.

    Examples
    --------
    >>> from minidlrm.machine import free_cores, one_blas_thread
    >>> with one_blas_thread():
    ...     free_cores()
    1
    """
    return 1 if _inside else cores()


@cache
def processor() -> dict[str, str]:
    """Return what the system tells of the processor; at least its "model name"."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            first = file.read().partition("\n\n")[0]
    except OSError:
        first = ""
    pairs = (line.partition(":") for line in first.splitlines())
    told = {name.strip(): value.strip() for name, _, value in pairs}
    return {"model name": platform.processor() or platform.machine()} | told


@cache
def keep_memory() -> bool:
    """Tell glibc to keep the memory that a training step frees for the next step.

    A step makes arrays of megabytes. By default glibc gives them back to the system when they are
    freed, and the system clears each page before it hands it out again: a page fault for each 4
    KiB, hundreds of them in a step (docs/blocks.md counts them). One call changes the two
    thresholds behind it, for the rest of the process; glibc does not tell what they were. Arrays
    above 64 MiB are still given back.

    Returns
    -------
    bool
        Whether the thresholds were changed. Nothing is done under another C library, or when the
        variable MINIDLRM_MALLOPT is "0".
    """
    if os.environ.get("MINIDLRM_MALLOPT") == "0" or not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):  # musl has another allocator
        return False
    return bool(libc.mallopt(_MMAP_THRESHOLD, _LARGE) and libc.mallopt(_TRIM_THRESHOLD, _KEPT))
