"""A submission, run in a process of its own, and called from the grader.

The grader sends arguments and gets values back. What the process says about itself does
not count: points are given here, for the values.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minidlrm.grading import wire

LIMITS = {"memory": 4 << 30, "file": 16 << 20, "cpu": 300}
_START = 40.0  # seconds: imports, and what the file itself computes
_BOOT = """import sys, types
for name, path in zip(("minidlrm", "minidlrm.grading"), sys.argv[1:]):
    sys.modules[name] = types.ModuleType(name)  # the package without its layers
    sys.modules[name].__path__ = [path]
from minidlrm.grading import worker
worker.main()
"""


class StudentError(Exception):
    """What went wrong in a submission, in words for its author."""


class NotWritten(StudentError):
    """A blank that is not filled in."""


def plain(text: Any, longest: int = 2000) -> str:
    r"""Make a submission's text safe for a page and a terminal: short, no control characters.

    Examples
    --------
    >>> plain("a\x1b[31m" + 5000 * "b", 9)
    'a[31mbbb...'
    """
    text = str(text)
    kept = text[:longest].encode("utf-8", "replace").decode()
    kept = "".join(each for each in kept if each.isprintable() or each in "\n\t")
    return kept + "..." * (len(text) > longest)


def cells_of(path: Path) -> list[str]:
    """Return the code cells of a .py or .ipynb file.

    Raises
    ------
    StudentError
        When the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise StudentError(f"{path.name} cannot be read: {error}") from None
    if path.suffix == ".ipynb":
        try:
            parsed = json.loads(text)["cells"]
            sources = ["".join(c["source"]) for c in parsed if c["cell_type"] == "code"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise StudentError(
                f"{path.name} is not a notebook ({type(error).__name__}: {str(error)[:100]}): "
                "save it again, or hand in the .py"
            ) from None
        return [
            "\n".join("" if line.lstrip()[:1] in "%!" and line.strip() else line for line in s)
            for s in (source.splitlines() for source in sources)
        ]
    cells: list[str] = []
    cell: list[str] = []
    markdown = False
    for line in text.splitlines():
        if line.startswith("# %%"):
            cells.append("\n".join(cell))
            cell, markdown = [], "[markdown]" in line
        cell.append("" if markdown else line)
    return [each for each in [*cells, "\n".join(cell)] if each.strip()]


class Submission:
    """The functions of one file, each called in a process that can be lost.

    Parameters
    ----------
    path : Path
        A .py or .ipynb file; it is read, and never run in place.
    seconds : float
        Time limit of each call.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp(), "mine.py")
    >>> _ = file.write_text("def double(x): return 2 * x")
    >>> with Submission(file) as mine:
    ...     mine.call("double", 21)
    42
    """

    def __init__(self, path: Path, seconds: float = 20.0):
        self.path, self.seconds = Path(path), seconds
        self.notes: list[str] = []
        self.protections: list[str] = []
        self._process: subprocess.Popen | None = None
        self._cells: list[str] | None = None
        self._never = ""  # why it cannot be started
        self._functions: list[Callable] = []

    def __enter__(self) -> Submission:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function of the submission; StudentError when it gives no value.

        Arguments may be functions: the submission can call them, and they run here.
        """
        return self._ask({"name": name, "arguments": arguments})

    def get(self, name: str) -> Any:
        """Return a variable of the submission."""
        return self._ask({"name": name})

    def _ask(self, question: dict[str, Any]) -> Any:
        if self._process is None:
            if self._never:
                raise StudentError(self._never)  # once is enough
            try:
                self._start()
            except StudentError as error:
                self._never = str(error)
                raise
        self._functions = []
        deadline = time.monotonic() + self.seconds
        try:
            self._send(question, deadline)
            while True:
                answer = self._receive(deadline)
                if not isinstance(answer, dict) or "call" not in answer:
                    break
                self._send(self._called_back(answer), deadline)
        except TimeoutError:
            self.close()
            raise StudentError(
                f"{question['name']} gave no answer within {self.seconds:g} seconds: "
                "does it have an endless loop?"
            ) from None
        except TypeError as error:  # a value that is too large to be sent back
            self.close()
            raise StudentError(f"{question['name']} called back with too much: {error}") from None
        except (EOFError, OSError, ValueError):
            self.close()
            raise StudentError(
                f"the process ended in {question['name']}: it left Python, ran out of memory, "
                "or used up its time"
            ) from None
        return self._value(answer)

    def _value(self, answer: Any) -> Any:
        if not isinstance(answer, dict):
            raise StudentError("the process gave an answer that cannot be read")
        if "error" in answer:
            error = NotWritten if answer["error"] == "NotImplementedError" else StudentError
            text = answer.get("message" if error is NotWritten else "words", "")
            if answer["error"] == "AttributeError" and "there is no" in str(answer.get("message")):
                text = f"{answer['message']}{self._why_missing()}"
            raise error(plain(text))
        return answer.get("value")

    def _why_missing(self) -> str:
        failed = "; ".join(self.notes[:2])
        return f": was it renamed or deleted?{' What failed: ' + failed if failed else ''}"

    def _called_back(self, answer: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"value": self._functions[int(answer["call"])](*answer["arguments"])}
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"[:300]}

    # The process

    def _start(self) -> None:
        if self._cells is None:
            self._cells = cells_of(self.path)
        self._home = tempfile.mkdtemp(prefix="submission-")
        os.chmod(self._home, 0o777)
        environment = {
            "HOME": self._home,
            "TMPDIR": self._home,
            "PATH": os.defpath,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUTF8": "1",
            "MPLBACKEND": "agg",
            "NUMBA_CACHE_DIR": self._home,
            **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")},
        }
        if sys.platform == "win32":
            environment["SYSTEMROOT"] = os.environ["SYSTEMROOT"]
        here, package = Path(__file__).parent, Path(__file__).parent.parent
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BOOT, str(package), str(here)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._home,
            env=environment,
            start_new_session=True,
        )
        self._uid = 200_000 + self._process.pid % 1_000_000
        hidden = [package, *(package.parent / name for name in ("notebooks", "tests", "docs"))]
        hidden = hidden if (package.parent / "pyproject.toml").exists() else [package]
        limits = {**LIMITS, "uid": self._uid, "hidden": [str(folder) for folder in hidden]}
        deadline = time.monotonic() + _START
        try:
            self._send({"cells": self._cells, "name": self.path.name, "limits": limits}, deadline)
            ready = self._receive(deadline)
            self.notes = [plain(note, 500) for note in ready["notes"][:20]]
            self.protections = [str(each) for each in ready["protections"]]
        except TimeoutError:
            self.close()
            raise StudentError(
                f"the file itself runs longer than {_START:g} seconds: put experiments under "
                "if __name__ == '__main__'"
            ) from None
        except (EOFError, OSError, ValueError, TypeError, KeyError):
            self.close()
            raise StudentError("the process ended while the file was read") from None

    def _send(self, value: Any, deadline: float) -> None:
        def number(function: Callable) -> int:
            self._functions.append(function)
            return len(self._functions) - 1

        assert self._process is not None
        assert self._process.stdin is not None
        descriptor = self._process.stdin.fileno()

        def write(data: bytes) -> None:
            left = memoryview(data)
            while left:  # a process that does not read must not hold up the grader
                _wait(descriptor, deadline, selectors.EVENT_WRITE)
                left = left[os.write(descriptor, left[:4096]) :]

        wire.send(write, value, number)

    def _receive(self, deadline: float) -> Any:
        assert self._process is not None
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()

        def read(size: int) -> bytes:
            parts, left = [], size
            while left:
                _wait(descriptor, deadline, selectors.EVENT_READ)
                part = os.read(descriptor, min(left, 1 << 20))
                if not part:
                    raise EOFError
                parts.append(part)
                left -= len(part)
            return b"".join(parts)

        return wire.receive(read)

    def close(self) -> None:
        """End the process, and everything it may have started."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError, AttributeError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
        if hasattr(os, "fork") and os.geteuid() == 0:
            _kill_all_of(self._uid)
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        shutil.rmtree(self._home, ignore_errors=True)


def _wait(descriptor: int, deadline: float, event: int) -> None:
    if sys.platform == "win32":  # pipes cannot be waited for
        return
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, event)
        if not selector.select(max(0.0, deadline - time.monotonic())):
            raise TimeoutError


def _kill_all_of(uid: int) -> None:
    """Kill every process of this user, those that left the group as well."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(OSError):
            os.setuid(uid)
            os.kill(-1, signal.SIGKILL)
        os._exit(0)
    os.waitpid(child, 0)
