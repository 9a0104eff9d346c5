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

_MARK = "<submission>"  # at the end of the file name of the student's code


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
    _preload(start["numba"])
    held = confine.confine(start["limits"])
    wire.send(write, {"protections": held})  # before the student's code runs: none can forge it
    for name in [name for name in sys.modules if name.split(".")[0] == "minidlrm"]:
        del sys.modules[name]
    sys.meta_path.insert(0, Blocked())
    warnings.simplefilter("ignore")  # a warning costs nothing
    module = types.ModuleType("submission")
    vars(module)["display"] = print  # as in a notebook
    sys.modules["submission"] = module
    while True:
        order = wire.receive(read, lambda number: _back(number, read, write))
        if "cell" in order:
            wire.send(write, {"words": _run(order["cell"], order["file"], module)})
        elif "replace" in order:
            vars(module).update(order["replace"])
            wire.send(write, {})
        else:
            _answer(order, module, write)


def _preload(with_numba: bool) -> None:
    for name in _PRELOADED.split():
        __import__(name)
    if not with_numba:
        return
    try:
        import numba

        numba.njit(lambda a: a.sum())(np.ones(1))  # imports the compiler
    except ImportError:
        pass


def _run(cell: str, file: str, module: types.ModuleType) -> str:
    """Run one cell: what fails in it does not take the others along."""
    try:
        exec(compile(cell, file + _MARK, "exec"), module.__dict__)
    except BaseException as error:  # sys.exit() too
        return _words(error)
    return ""


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


def _answer_with(function: Any, arguments: list[Any], write: Any) -> None:
    try:
        answer = {"value": function(*arguments)}
    except BaseException as error:
        answer = {"error": type(error).__name__, "words": _words(error), "message": str(error)}
    wire.send(write, answer)


def _words(error: BaseException) -> str:
    """Say an error in a line: where in the student's code, and what."""
    trace = traceback.extract_tb(error.__traceback__)
    lines = [frame for frame in trace if frame.filename.endswith(_MARK)]
    if isinstance(error, SyntaxError) and not lines:  # its own text names the file, too
        return f"{type(error).__name__}: {error.msg} (line {error.lineno})"
    name = lines[-1].filename.removesuffix(_MARK) if lines else ""
    place = f" ({name}line {lines[-1].lineno})" if lines else ""
    return f"{type(error).__name__}: {str(error)[:300]}{place}"


def _back(number: int, read: Any, write: Any) -> Any:
    """Return a function that runs in the grader."""

    def call(*arguments: Any) -> Any:
        given: list[Any] = []  # functions among the arguments: they are called back here

        def numbered(function: Any) -> int:
            given.append(function)
            return len(given) - 1

        wire.send(write, {"call": number, "arguments": arguments}, numbered)
        while "invoke" in (answer := wire.receive(read)):
            _answer_with(given[answer["invoke"]], answer["arguments"], write)
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer["value"]

    return call
