"""A submission, run in a process of its own, and called from the grader.

The grader sends arguments and gets values back. What the process says about itself does
not count: points are given here, for the values.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from minidlrm.grading import wire
from minidlrm.grading.assignment import Limits
from minidlrm.grading.reading import NotWritten, StudentError, cells_of, plain
from minidlrm.grading.words import error_of
from minidlrm.languages import Message, joined, words_of

_CPU = 300  # seconds of processor time of one process
_START = 60.0  # seconds: the imports of the process
_LEFT_OUT = 3  # cells that do not end, before the file is given up
_BOOT = """import sys, types
for name, path in zip(("minidlrm", "minidlrm.grading"), sys.argv[1:]):
    sys.modules[name] = types.ModuleType(name)  # the package without its layers
    sys.modules[name].__path__ = [path]
from minidlrm.grading import worker
worker.main()
"""


class Submission:
    """The functions of one file, each called in a process that can be lost.

    Parameters
    ----------
    path : Path
        A .py or .ipynb file; it is read, and never run in place.
    seconds : float, optional
        Time limit of each call; by default that of `limits`.
    limits : Limits
        What it may take.
    folder : str or Path, optional
        Where its empty home is made; by default the system's folder for temporary files.
    hidden : sequence of str
        Folders that it must not see, beside those of the grader.
    replaced : dict
        Functions that take the place of the submission's own, by name. They run here.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp(), "mine.py")
    >>> _ = file.write_text("def double(x): return 2 * x")
    >>> with Submission(file) as mine:
    ...     mine.call("double", 21)
    42
    """

    def __init__(
        self,
        path: Path,
        seconds: float | None = None,
        limits: Limits | None = None,
        folder: str | Path | None = None,
        hidden: Sequence[str] = (),
        replaced: dict[str, Callable] | None = None,
    ):
        self.path, self.limits = Path(path), limits or Limits()
        self.seconds = self.limits.call if seconds is None else seconds
        self.folder, self.hidden = folder, tuple(hidden)
        self.replaced = replaced or {}
        self.notes: list[str] = []
        self.protections: list[str] = []
        self.called: list[str] = []  # the functions that were asked for, in order
        self.slips: dict[str, str] = {}  # foreseen mistakes, by the function that has them
        self.credits: list[str] = []  # what an earlier mistake does not cost again
        self.never: str = ""  # why it cannot be started
        self._process: subprocess.Popen | None = None
        self._cells: list[str] | None = None
        self._left_out: set[int] = set()  # cells that did not end
        self._functions: list[Callable] = []
        self._kept: list[Callable] = []
        self._deadline = 0.0
        self._sent: dict[str, str] = {}  # what errors of the grader's functions say, by the English

    def __enter__(self) -> Submission:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function of the submission; StudentError when it gives no value.

        Arguments may be functions: the submission can call them, and they run here.
        """
        self.called.append(name)
        return self._ask({"name": name, "arguments": arguments})

    def get(self, name: str) -> Any:
        """Return a variable of the submission."""
        return self._ask({"name": name})

    def _seconds_of(self, name: str) -> float:
        return max(self.seconds, self.limits.calls.get(name, 0.0))

    def _ask(self, question: dict[str, Any]) -> Any:
        if self._process is None:
            self._begin()
        self._functions = [*self._kept]
        seconds = self._seconds_of(question["name"])
        try:
            answer = self._answer(question, time.monotonic() + seconds)
        except TimeoutError:
            self.close()
            raise StudentError(
                Message(
                    "{name} gave no answer within {seconds} seconds: does it have an endless loop?",
                    name=question["name"],
                    seconds=f"{seconds:g}",
                )
            ) from None
        except TypeError as error:  # a value that is too large to be sent back
            self.close()
            raise StudentError(
                Message(
                    "{name} called back with too much: {error}",
                    name=question["name"],
                    error=str(error),
                )
            ) from None
        except (EOFError, OSError, ValueError):
            self.close()
            raise StudentError(
                Message(
                    "the process ended in {name}: it left Python, ran out of memory, or used up "
                    "its time",
                    name=question["name"],
                )
            ) from None
        return self._value(answer)

    def _answer(self, question: dict[str, Any], deadline: float) -> Any:
        """Send a question; call what it calls back, until there is an answer."""
        self._deadline = deadline
        self._send(question, deadline)
        while True:
            answer = self._receive(deadline)
            if not isinstance(answer, dict) or "call" not in answer:
                return answer
            self._send(self._called_back(answer), deadline)

    def _value(self, answer: Any) -> Any:
        if not isinstance(answer, dict) or not {"value", "error"} & set(answer):
            raise StudentError(Message("the process gave an answer that cannot be read"))
        if "error" not in answer:
            return answer["value"]
        kind, message, words = (str(answer.get(key)) for key in ("error", "message", "words"))
        if kind == "NotImplementedError":
            raise NotWritten(plain(message))
        if kind == "AttributeError" and message.startswith("there is no "):
            raise StudentError(self._why_missing(plain(message)))
        line = self._line_of(words)
        said = error_of(plain(words), self._sent)
        raise StudentError(joined([said, line], "\n") if line else said)

    def _line_of(self, words: str) -> str:
        """Return the student's own line that an error names."""
        place = re.search(r"\((?:cell (\d+), )?line (\d+)\)$", words)
        if place is None or self._cells is None:
            return ""
        number = int(place[2][:7])
        cells = [self._cells[int(place[1]) - 1]] if place[1] else self._cells
        for cell in cells:
            lines = cell.splitlines()
            if number <= len(lines) and lines[number - 1].strip():
                return Message("Your line: {code}", code=plain(lines[number - 1].strip(), 120))
        return ""

    def _why_missing(self, words: str) -> str:
        known = re.fullmatch(r"there is no (\w+) in the submission", words)
        missing = Message("there is no {name} in the submission", name=known[1]) if known else words
        why = Message("{missing}: was it renamed or deleted?", missing=missing)
        if not self.notes:
            return why
        return Message("{why} What failed: {notes}", why=why, notes=joined(self.notes[:2], "; "))

    def _called_back(self, answer: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"value": self._functions[int(answer["call"])](*answer["arguments"])}
        except Exception as error:
            kind, words = type(error).__name__, words_of(error)
            if isinstance(words, Message) and len(self._sent) < 1000:
                self._sent[f"{kind}: {words}"] = joined([kind, words], ": ")
            return {"error": f"{kind}: {words}"[:300]}

    # The process

    def _begin(self) -> None:
        """Start the process, and run the file cell by cell; StudentError says why it cannot."""
        if self.never:
            raise StudentError(self.never)  # once is enough
        try:
            if self._cells is None:
                self._cells = cells_of(self.path)
            while not self._run_cells():
                if len(self._left_out) > _LEFT_OUT:
                    notes = joined(self.notes[:3], "; ")
                    raise StudentError(Message("the file does not run. {notes}", notes=notes))
        except StudentError as error:
            self.close()
            self.never = words_of(error)
            raise

    def _run_cells(self) -> bool:
        """Run all cells that end; False when one ended the process: it is left out next time."""
        assert self._cells is not None
        self._start()
        notes = [note for note in self.notes if "is left out" in note]
        for k, cell in enumerate(self._cells):
            if k in self._left_out:
                continue
            file = f"cell {k + 1}, " if self.path.suffix == ".ipynb" else ""
            try:
                deadline = time.monotonic() + self.limits.cell
                answer = self._answer({"cell": cell, "file": file}, deadline)
                if not isinstance(answer, dict):
                    raise ValueError
                words = str(answer.get("words") or "")
            except (TimeoutError, EOFError, OSError, ValueError, TypeError) as error:
                notes.append(self._left_out_because(error, k + 1))
                self._left_out.add(k)
                self.notes = notes
                self.close()
                return False
            if words and len(notes) < 20:
                said = error_of(plain(words, 500), self._sent)
                notes.append(Message("cell {number}: {error}", number=k + 1, error=said))
        self.notes = notes
        self._replace()
        return True

    def _left_out_because(self, error: Exception, cell: int) -> str:
        if not isinstance(error, TimeoutError):
            return Message(
                "cell {number} ends the process, and is left out: put experiments under "
                "if __name__ == '__main__'",
                number=cell,
            )
        return Message(
            "cell {number} runs longer than {seconds} seconds, and is left out: put experiments "
            "under if __name__ == '__main__'",
            number=cell,
            seconds=f"{self.limits.cell:g}",
        )

    def _replace(self) -> None:
        """Put the grader's functions into the place of the submission's."""
        if not self.replaced:
            return
        self._functions = []
        try:
            self._answer({"replace": self.replaced}, time.monotonic() + self.limits.call)
        except (TimeoutError, EOFError, OSError, ValueError, TypeError):
            raise StudentError(Message("the process ended after the file was read")) from None
        self._kept = self._functions

    def _start(self) -> None:
        try:
            self._launch()
        except StudentError:  # no code of the student has run: a machine that slept, or is full
            self._launch()

    def _launch(self) -> None:
        self._home = tempfile.mkdtemp(prefix="submission-", dir=self.folder)
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
        limits: dict[str, Any] = {"memory": self.limits.memory, "file": self.limits.file}
        limits |= {"cpu": _CPU, "uid": self._uid, "hidden": [*map(str, hidden), *self.hidden]}
        deadline = time.monotonic() + _START
        numba = any("numba" in cell for cell in self._cells or [])
        try:
            self._send({"limits": limits, "numba": numba}, deadline)
            ready = self._receive(deadline)  # no code of the student has run yet
            self.protections = list(map(str, ready["protections"]))
        except (TimeoutError, EOFError, OSError, ValueError, TypeError, KeyError):
            self.close()
            raise StudentError(Message("the process did not start")) from None

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

        return wire.receive(read, self._theirs)

    def _theirs(self, number: Any) -> Callable:
        """Return a function of the submission, which it gave to one that runs here."""

        def call(*arguments: Any) -> Any:
            return self._value(
                self._answer({"invoke": int(number), "arguments": arguments}, self._deadline)
            )

        return call

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
        self._kept = []
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
