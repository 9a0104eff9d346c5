"""Change one token of the package at random, and see whether the tests of that file notice.

    python -m tests.campaigns.mutate --count 300 --seed 0

A change is an operator, a comparison, a number 0, 1 or 2, `not`, or `and` and `or`. Each is made
in a copy of the package, and run against ``tests/test_FILE.py`` and the file's own examples.
Survivors are printed: each is a missing test, or changes nothing that matters.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import itertools
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
AREAS = [
    *("layers/*.py", "losses.py", "optim.py", "metrics.py", "data/*.py", "models/*.py"),
    *("checkpoint.py", "training.py", "kernels/*.py"),
]
SWAPS = {
    **{"+": ["-"], "-": ["+"], "*": ["/", "+"], "/": ["*"], "//": ["/"], "%": ["*"]},
    **{"**": ["*"], "@": ["*"], "&": ["|"], "|": ["&"], "<<": [">>"], ">>": ["<<"], "^": ["|"]},
    **{"+=": ["-="], "-=": ["+="], "*=": ["/="], "/=": ["*="]},
    **{"<": ["<=", ">"], "<=": ["<", ">="], ">": [">=", "<"], ">=": [">", "<="]},
    **{"==": ["!="], "!=": ["=="], "is": ["is not"], "is not": ["is"]},
    **{"in": ["not in"], "not in": ["in"], "and": ["or"], "or": ["and"], "not": [""]},
    **{"0": ["1"], "1": ["0", "2"], "2": ["1", "3"]},
}
ELSEWHERE = {  # files whose tests do not bear their name
    "bag": ["embedding"],
    "columns": ["frame", "intern"],
    "criteo_text": ["criteo"],
    "described": ["frame"],
    "fitting": ["frame"],
    "inputs": ["arrays", "dtypes"],
    "interaction": ["cross", "dot"],
    "rankings": ["movielens"],
    "roles": ["frame"],
    "schema": ["frame", "own_data"],
    "sources": ["frame"],
    "spool": ["criteo", "frame"],
}
LIMIT = 8 << 30  # bytes of memory of a child


@dataclass(frozen=True)
class Change:
    """One token: where it is, and what it becomes."""

    path: Path  # relative to the root
    line: int
    start: int  # offsets into the text
    stop: int
    old: str
    new: str

    def apply(self, text: str) -> str:
        """Return the text of the file with the change in it."""
        return text[: self.start] + self.new + text[self.stop :]

    def __str__(self) -> str:
        line = (ROOT / self.path).read_text(encoding="utf-8").splitlines()[self.line - 1].strip()
        return f"{self.path}:{self.line}: {self.old!r} -> {self.new!r}   in: {line}"


def places(path: Path) -> Iterator[Change]:
    """Yield every change of a file, in order."""
    text = path.read_text(encoding="utf-8")
    lines, starts = text.splitlines(keepends=True), [0]
    for line in lines:
        starts.append(starts[-1] + len(line))

    def place(row: int, column: int) -> int:  # the tree counts bytes, the text characters
        return starts[row - 1] + len(lines[row - 1].encode()[:column].decode())

    tokens = [(starts[t.start[0] - 1] + t.start[1], t) for t in _tokens(text)]
    for node in _code(ast.parse(text)):
        for first, last in _gaps(node):
            begin, end = place(*first), place(*last)
            words = [(at, t) for at, t in tokens if begin <= at < end and t.string in SWAPS]
            old = " ".join(t.string for _, t in words)
            for new in SWAPS.get(old, []):
                start, stop = words[0][0], words[-1][0] + len(words[-1][1].string)
                line = words[0][1].start[0]
                yield Change(path.relative_to(ROOT), line, start, stop, old, new)


def _tokens(text: str) -> list[tokenize.TokenInfo]:
    kinds = (tokenize.OP, tokenize.NAME, tokenize.NUMBER)
    return [t for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type in kinds]


def _code(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk what is computed: no annotations, no words of messages."""
    notes = {"annotation", "returns"}
    for name, value in ast.iter_fields(tree):
        for child in value if isinstance(value, list) else [value]:
            words = name in notes or isinstance(child, ast.JoinedStr)
            if isinstance(child, ast.AST) and not words:
                yield child
                yield from _code(child)


def _gaps(node: ast.AST) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield where the node's own tokens are: between its parts."""

    def end(part) -> tuple[int, int]:
        return part.end_lineno, part.end_col_offset

    def begin(part) -> tuple[int, int]:
        return part.lineno, part.col_offset

    match node:
        case ast.BinOp():
            yield end(node.left), begin(node.right)
        case ast.AugAssign():
            yield end(node.target), begin(node.value)
        case ast.Compare():
            parts = [node.left, *node.comparators]
            yield from ((end(a), begin(b)) for a, b in itertools.pairwise(parts))
        case ast.BoolOp():
            yield end(node.values[0]), begin(node.values[1])
        case ast.UnaryOp(op=ast.Not()):
            yield begin(node), begin(node.operand)
        case ast.Constant() if type(node.value) is int:
            yield begin(node), end(node)


def tests_of(path: Path) -> list[str]:
    """Return what is run for a file of the package: its tests, and its examples."""
    names = [f"test_{stem}.py" for stem in [path.stem, *ELSEWHERE.get(path.stem, [])]]
    if path.parent.name in ("models", "kernels"):
        names.append(f"test_{path.parent.name}.py")
    if path.stem == "__init__":
        names = [f"test_{path.parent.name}.py"]
    found = [f"tests/{name}" for name in names if (ROOT / "tests" / name).exists()]
    return [*found, str(path)]


@dataclass
class Run:
    """A child that runs the tests of one file, with or without a change."""

    folder: Path
    change: Change | None
    path: Path
    limit: float
    started: float = field(default_factory=time.monotonic)
    process: int = 0

    def start(self) -> None:
        """Write the change, and fork."""
        if self.change:
            file = self.folder / self.path
            file.write_text(self.change.apply(file.read_text(encoding="utf-8")), encoding="utf-8")
        self.process = os.fork()
        if self.process == 0:
            try:
                os._exit(_child(self.folder, self.path))
            finally:
                os._exit(99)

    def ended(self) -> int | None:
        """Return the exit code, or None while it runs; one that takes too long is ended."""
        process, status = os.waitpid(self.process, os.WNOHANG)
        if process == 0 and time.monotonic() - self.started > self.limit:
            os.killpg(self.process, signal.SIGKILL)
            process, status = os.waitpid(self.process, 0)
        if process == 0:
            return None
        if self.change:
            shutil.copy2(ROOT / self.path, self.folder / self.path)
        return os.waitstatus_to_exitcode(status)


def _child(folder: Path, path: Path) -> int:
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    output = os.open(folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(folder)
    os.environ["PYTHONPATH"] = str(folder)
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(folder / "hypothesis")
    if path.name == "jit.py":  # compiling all of it for each change would take a minute
        os.environ["NUMBA_DISABLE_JIT"] = "1"
        import numba

        numba.config.DISABLE_JIT = True
    sys.path[:] = [str(folder), *(at for at in sys.path if at not in ("", str(ROOT)))]
    import pytest

    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests_of(path)]))


def warm() -> None:
    """Import what all tests import, once; the package itself is imported by each child."""
    with contextlib.suppress(ImportError):
        import numba  # noqa: F401
    assert not any(name.partition(".")[0] == "minidlrm" for name in sys.modules)


def copies(folder: Path, jobs: int) -> list[Path]:
    """Copy what the tests need, once for each job. Times of files are kept: caches stay valid."""
    made = []
    for k in range(jobs):
        copy = folder / str(k)
        copy.mkdir()
        for name in ("minidlrm", "tests", "docs", "notebooks"):
            ignore = shutil.ignore_patterns("node_modules", "_build", "campaigns")
            shutil.copytree(ROOT / name, copy / name, ignore=ignore)
        for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"):
            shutil.copy2(ROOT / name, copy / name)
        made.append(copy)
    return made


def run_all(work: list[Run], folders: list[Path]) -> Iterator[tuple[Run, int]]:
    """Run every child, as many at once as there are copies; yield each with its exit code."""
    waiting, free, running = list(reversed(work)), list(folders), []
    while waiting or running:
        while waiting and free:
            run = waiting.pop()
            run.folder, run.started = free.pop(), time.monotonic()
            run.start()
            running.append(run)
        for run in list(running):
            code = run.ended()
            if code is not None:
                running.remove(run)
                free.append(run.folder)
                yield run, code
        time.sleep(0.02)


def baseline(paths: list[Path], folders: list[Path]) -> dict[Path, float]:
    """Run the tests of each file without a change; return the seconds that each may take."""
    work, limits = [Run(folders[0], None, path, 600) for path in paths], {}
    for run, code in run_all(work, folders):
        if code:
            text = (run.folder / "output.txt").read_text(encoding="utf-8", errors="replace")
            sys.exit(f"the tests of {run.path} fail without a change:\n{text[-3000:]}")
        limits[run.path] = 20 + 4 * (time.monotonic() - run.started)
    return limits


def main() -> None:
    """Draw the changes, run them, print the survivors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="files whose path has this")
    parser.add_argument("--trust", action="store_true", help="the tests pass without a change")
    parser.add_argument("--least", type=float, default=0.95, help="exit 1 when fewer are noticed")
    options = parser.parse_args()
    files = sorted({path for area in AREAS for path in (ROOT / "minidlrm").glob(area)})
    files = [path for path in files if options.only in str(path)]
    everything = [change for path in files for change in places(path)]
    changes = random.Random(options.seed).sample(everything, min(options.count, len(everything)))
    warm()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        folders = copies(Path(folder), options.jobs)
        used = sorted({change.path for change in changes})
        limits = dict.fromkeys(used, 120.0) if options.trust else baseline(used, folders)
        print(f"{len(changes)} of {len(everything)} changes in {len(limits)} files", flush=True)
        work = [Run(folders[0], c, c.path, limits[c.path]) for c in changes]
        survivors, total, noticed = [], Counter(), Counter()
        for run, code in run_all(work, folders):
            total[run.path] += 1
            if sum(total.values()) % 50 == 0:
                print(f"{sum(total.values())} of {len(changes)} done", flush=True)
            noticed[run.path] += code != 0
            if code == 0:
                survivors.append(run.change)
                print(f"survives: {run.change}", flush=True)
    for path in sorted(total):
        print(f"{noticed[path]:4} of {total[path]:4} noticed  {path}")
    share = sum(noticed.values()) / sum(total.values())
    seconds = time.monotonic() - start
    print(
        f"mutate: {sum(noticed.values())} of {sum(total.values())} changes noticed ({share:.1%}), "
        f"{len(survivors)} survive; seed {options.seed}, {seconds:.0f} s"
    )
    sys.exit(share < options.least)


if __name__ == "__main__":
    main()
