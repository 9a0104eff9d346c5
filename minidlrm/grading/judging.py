"""A judge: a process that has loaded pytest and the checker, and forks for each submission.

Loading takes a second, forking a hundredth. A judge ends when the one who asked it has ended, in
whatever way, and takes the submission that it is at, and its folder, along.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minidlrm.languages import Message

_FORKS = sys.platform == "linux"  # elsewhere a fork after the imports is not safe
_SERVE = "from minidlrm.grading.judging import serve; serve()"


class Judge:
    """Runs pytest on one submission at a time.

    Use it as a context, or call `close`. It may be asked by several threads, one after another.

    Parameters
    ----------
    of_all : path, optional
        The folder of the whole run, which goes when the one who asked is killed.
    """

    def __init__(self, of_all: str | Path | None = None) -> None:
        self._of_all = of_all
        self._process: subprocess.Popen | None = None
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def run(self, arguments: list[str], folder: Path, seconds: float) -> None:
        """Run pytest with these arguments; what it prints goes to FOLDER/log.txt.

        Raises
        ------
        TimeoutError
            When it takes longer than `seconds`.
        OSError
            When the judge was closed, or has ended.
        """
        with self._lock:
            if self._closed:
                raise OSError(Message("it was stopped"))
            if not _FORKS:
                self._run_once(arguments, folder, seconds)
                return
            self._start()
            remove = str(self._of_all or folder)
            order = json.dumps({"arguments": arguments, "folder": str(folder), "remove": remove})
            process = self._process
            assert process is not None
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(order.encode() + b"\n")
                process.stdin.flush()
                ready = bool(select.select([process.stdout], [], [], seconds)[0])
                answer = process.stdout.readline() if ready else b""
            except (OSError, ValueError):
                answer, ready = b"", True
            if answer:
                return
            self._end()
            if self._closed:
                raise OSError(Message("it was stopped"))
            raise OSError(Message("the judge has ended")) if ready else TimeoutError

    def _start(self) -> None:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _SERVE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,
            )

    def _run_once(self, arguments: list[str], folder: Path, seconds: float) -> None:
        command = [sys.executable, "-P", "-m", "pytest", *arguments]
        options: dict[str, Any] = {"cwd": folder, "env": _environment()}
        with open(folder / "log.txt", "wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, **options)
            self._process = process
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                raise TimeoutError from None
            finally:
                self._end()

    def close(self) -> None:
        """End the process, and what it runs; may be called while another thread waits."""
        self._closed = True
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            if _FORKS:
                os.killpg(process.pid, signal.SIGKILL)  # with the one it has forked
            process.kill()
        process.wait()
        for pipe in filter(None, (process.stdin, process.stdout)):
            with contextlib.suppress(OSError, ValueError):
                pipe.close()


class Judges:
    """Some judges, for threads to borrow: ``with judges.one() as judge``."""

    def __init__(self, number: int, of_all: str | Path | None = None):
        self._all = [Judge(of_all) for _ in range(number)]
        self._free: queue.Queue[Judge] = queue.Queue()
        for judge in self._all:
            self._free.put(judge)

    def __enter__(self) -> Judges:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @contextlib.contextmanager
    def one(self) -> Iterator[Judge]:
        """Wait for a judge that is free."""
        judge = self._free.get()
        try:
            yield judge
        finally:
            self._free.put(judge)

    def close(self) -> None:
        """End all of them, and what they run."""
        for judge in self._all:
            judge.close()


def _environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    package = str(Path(__file__).parent.parent.parent)
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS")}
    # plugins that happen to be installed take a second to load, and are not asked for
    return kept | threads | {"PYTHONPATH": package, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def serve() -> None:
    """Fork for every order that comes in, one a line; end when there is nobody to give any."""
    import minidlrm.grading.plugin  # noqa: F401  (what every submission needs, loaded once)
    from minidlrm import kernels

    kernels.backend  # noqa: B018  (and Numba, which comes with the first kernel)
    while line := sys.stdin.buffer.readline():
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _judge(order)
        while not os.waitpid(child, os.WNOHANG)[0]:
            if _alone():
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                time.sleep(0.1)  # the submission's own process ends with it
                shutil.rmtree(order["remove"], ignore_errors=True)
                return
        sys.stdout.buffer.write(b"done\n")
        sys.stdout.buffer.flush()


def _alone() -> bool:
    """Wait a moment; whether the one who asked has gone. Nobody asks before the answer."""
    return bool(select.select([sys.stdin.buffer], [], [], 0.01)[0])


def _judge(order: dict[str, Any]) -> None:
    """Run pytest in this process, and end it."""
    import pytest

    code = 1
    try:
        os.chdir(order["folder"])
        log = os.open("log.txt", os.O_WRONLY | os.O_CREAT, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for descriptor, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(descriptor, target)
        code = int(pytest.main(order["arguments"]))
        sys.stdout.flush()
    finally:
        os._exit(code)
