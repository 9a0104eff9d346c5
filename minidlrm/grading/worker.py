"""The process of one submission: runs its code, and answers calls of its functions.

Started by `sandbox` as ``python -m minidlrm.grading.worker``. All modules that a student may
need are imported first; then rights, memory, processes and network are taken away; then the
student's code runs. It can do here what it likes: the points are counted elsewhere.
"""

from __future__ import annotations

import ctypes
import importlib.abc
import os
import sys
import traceback
import types
import warnings
from typing import Any

import numpy as np

from minidlrm.grading import wire

_PRELOADED = (
    "bisect collections copy dataclasses fractions functools heapq itertools json math numbers "
    "operator random re statistics string textwrap time typing zlib numpy.fft numpy.linalg "
    "numpy.random numpy.testing"
)

_NEW_MOUNTS, _NEW_USER, _NEW_NETWORK = 0x20000, 0x10000000, 0x40000000  # of unshare
_MOUNT_SETATTR = 442  # the same number on all processors


class Blocked(importlib.abc.MetaPathFinder):
    """The library is not the student's own code."""

    def find_spec(self, name, path=None, target=None):
        """Refuse minidlrm."""
        if name.split(".")[0] == "minidlrm":
            raise ImportError(
                "minidlrm cannot be imported in an assignment: what is graded is your own code"
            )


def main() -> None:
    """Serve calls until the pipe is closed."""
    source, sink = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    reader, writer = os.fdopen(source, "rb"), os.fdopen(sink, "wb")

    def read(size: int) -> bytes:
        data = reader.read(size)
        if len(data) < size:
            os._exit(0)  # the grader has gone
        return data

    def write(data: bytes) -> None:
        writer.write(data)
        writer.flush()

    start = wire.receive(read)
    _preload()
    held = _confine(start["limits"])
    for name in [name for name in sys.modules if name.split(".")[0] == "minidlrm"]:
        del sys.modules[name]
    sys.meta_path.insert(0, Blocked())
    warnings.simplefilter("ignore")  # a warning costs nothing
    module, notes = _run(start["cells"], start["name"])
    wire.send(write, {"notes": notes, "protections": held})
    while True:
        call = wire.receive(read, lambda number: _back(number, read, write))
        _answer(call, module, write)


def _preload() -> None:
    for name in _PRELOADED.split():
        __import__(name)
    try:
        import numba

        numba.njit(lambda a: a.sum())(np.ones(1))  # imports the compiler
    except ImportError:
        pass


def _confine(limits: dict[str, Any]) -> list[str]:
    """Give up what the code does not need; return what the system let be taken away."""
    held: list[str] = []
    try:
        import resource
    except ImportError:  # Windows
        return held
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        root = os.geteuid() == 0
        spaces = _NEW_NETWORK | _NEW_MOUNTS | (0 if root else _NEW_USER)
        if libc.unshare(spaces) == 0:
            held.append("network")
            held += ["files"] * _read_only(libc, os.getcwd(), limits["hidden"])
        if root:
            os.setgroups([])
            os.setgid(limits["uid"])
            os.setuid(limits["uid"])
        libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        libc.prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG: it does not outlive the grader
        libc.prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE: no core, and none of its own looks in
    for kind, size in (
        ("RLIMIT_AS", limits["memory"]),
        ("RLIMIT_FSIZE", limits["file"]),
        ("RLIMIT_CPU", limits["cpu"]),
        ("RLIMIT_NOFILE", 64),
        ("RLIMIT_NPROC", 0),  # neither processes nor threads
        ("RLIMIT_CORE", 0),
    ):
        if hasattr(resource, kind) and sys.platform != "darwin":
            resource.setrlimit(getattr(resource, kind), (size, size))
            held.append(kind)
    return held


def _read_only(libc: ctypes.CDLL, home: str, hidden: list[str]) -> bool:
    """Make all files read-only but a small home, and hide the grader's own from this process."""
    private, recursive, no_devices = 1 << 18, 0x4000, 0x6
    libc.mount(None, b"/", None, private | recursive, None)
    read_only = (ctypes.c_uint64 * 4)(1, 0, 0, 0)  # struct mount_attr: MOUNT_ATTR_RDONLY
    size = ctypes.sizeof(read_only)
    done = libc.syscall(_MOUNT_SETATTR, -100, b"/", 0x8000, read_only, size) == 0
    for folder in hidden:
        libc.mount(b"tmpfs", folder.encode(), b"tmpfs", no_devices | 1, b"size=4k")
    libc.mount(b"tmpfs", home.encode(), b"tmpfs", no_devices, b"size=64m,mode=777")
    os.chdir(home)
    return done


def _run(cells: list[str], name: str) -> tuple[types.ModuleType, list[str]]:
    """Run cell by cell: what fails in one does not take the others along."""
    module, notes = types.ModuleType("submission"), []
    sys.modules["submission"] = module
    for number, cell in enumerate(cells, 1):
        try:
            exec(compile(cell, f"<{name}, cell {number}>", "exec"), module.__dict__)
        except BaseException as error:  # sys.exit() too
            notes.append(f"cell {number}: {_words(error)}")
    return module, notes


def _answer(call: dict[str, Any], module: types.ModuleType, write: Any) -> None:
    name = call["name"]
    try:
        if not hasattr(module, name):
            raise AttributeError(f"there is no {name} in the submission")
        value = getattr(module, name)
        if "arguments" in call:
            value = value(*call["arguments"])
        wire.send(write, {"value": value})
    except BaseException as error:
        what = {"error": type(error).__name__, "words": _words(error), "message": str(error)}
        wire.send(write, what)


def _words(error: BaseException) -> str:
    """Say an error in a line: where in the student's code, and what."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename[:1] == "<"
    ]
    lines = [frame for frame in frames if "cell" in frame.filename]
    place = f" ({lines[-1].filename.strip('<>')}, line {lines[-1].lineno})" if lines else ""
    if isinstance(error, SyntaxError):
        place = f" (line {error.lineno})"
    return f"{type(error).__name__}: {str(error)[:300]}{place}"


def _back(number: int, read: Any, write: Any) -> Any:
    """Return a function that runs in the grader."""

    def call(*arguments: Any) -> Any:
        wire.send(write, {"call": number, "arguments": arguments})
        answer = wire.receive(read)
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer["value"]

    return call


if __name__ == "__main__":
    main()
