"""The process of one submission: runs its code, and answers calls of its functions.

Started by `sandbox`, which sees to it that nothing of minidlrm is loaded but this file, `wire` and
`confine`: no layer is in memory for the student to find. All modules that a student may need are
imported first; then rights, memory, processes and network are taken away; then the student's code
runs. It may do anything here: the points are counted elsewhere.
"""

from __future__ import annotations

import importlib.abc
import os
import sys
import traceback
import types
import warnings
from typing import Any

import numpy as np

from minidlrm.grading import confine, wire

_PRELOADED = (
    "bisect collections copy dataclasses fractions functools heapq itertools json math numbers "
    "operator random re statistics string textwrap time typing zlib numpy.fft numpy.linalg "
    "numpy.random numpy.testing"
)


class Blocked(importlib.abc.MetaPathFinder):
    """The library is not the student's own code."""

    def find_spec(self, name, path=None, target=None):
        """Refuse minidlrm."""
        if name.split(".")[0] == "minidlrm":
            raise ImportError(
                "minidlrm cannot be imported in an assignment: only your own code is graded"
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
    held = confine.confine(start["limits"])
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


def _run(cells: list[str], name: str) -> tuple[types.ModuleType, list[str]]:
    """Run cell by cell: what fails in one does not take the others along."""
    module, notes = types.ModuleType("submission"), []
    vars(module)["display"] = print  # as in a notebook
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
        answer = {"error": type(error).__name__, "words": _words(error), "message": str(error)}
        wire.send(write, answer)


def _words(error: BaseException) -> str:
    """Say an error in a line: where in the student's code, and what."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename[:1] == "<"
    ]
    lines = [frame for frame in frames if "cell" in frame.filename]
    place = f" ({lines[-1].filename.strip('<>')}, line {lines[-1].lineno})" if lines else ""
    if isinstance(error, SyntaxError):  # its own text names the file, too
        return f"{type(error).__name__}: {error.msg} (line {error.lineno})"
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
