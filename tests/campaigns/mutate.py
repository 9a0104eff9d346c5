"""Change one token of the package at random, and see whether the tests of that file notice.

    python -m tests.campaigns.mutate --count 300 --seed 0

A change is an operator, a comparison, a number 0, 1 or 2, `not`, or `and` and `or`. Each is made
in a copy of the package, and run against ``tests/test_FILE.py`` and the file's own examples, up to
the first test that fails. Survivors are printed: each is a missing test, or a change without an
effect that a test could see. `argued.toml` lists those that are known, each with its reason; they
count as not noticed all the same.

What is not changed:

- annotations: ``from __future__ import annotations`` keeps Python from evaluating them;
- f-strings: nearly all are the words of messages, and no test should freeze a sentence;
- a token whose change compiles to the same bytecode, such as a number in a docstring;
- ``reshape(-1)`` to ``reshape(-2)``: NumPy takes every negative number as "the rest";
- constants that say how much is done at a time (`AT_ONCE`): they bound memory, and no result
  depends on them, which tests show by setting them to small numbers.

All else counts, such as what `__repr__` returns, defaults, estimates of costs, and the conditions
under which a message appears. A file without tests counts as one that notices nothing.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import functools
import gc
import importlib
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
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

ROOT = Path(__file__).parent.parent.parent
AREAS = [
    *("layers/*.py", "losses.py", "optim.py", "metrics.py", "data/*.py", "models/*.py"),
    *("optimizer.py", "checkpoint.py", "digested.py", "training.py", "kernels/*.py"),
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
    "cutting": ["batch"],
    "described": ["frame"],
    "digested": ["checkpoint"],
    "features": ["frame", "batch"],
    "fitting": ["frame"],
    "inputs": ["arrays", "dtypes"],
    "interaction": ["cross", "dot"],
    "jit_losses": ["losses"],
    "jit_traces": ["traces"],
    "jit_updates": ["kernels", "optim", "parts"],
    "movies": ["movielens"],
    "opening": ["frame"],
    "rankings": ["movielens"],
    "optimizer": ["optim"],
    "slots": ["intern"],
    "reference": ["traces"],
    "roles": ["frame"],
    "schema": ["frame", "own_data"],
    "sources": ["frame"],
    "splitting": ["fitting", "frame"],
    "spool": ["criteo", "frame"],
}
AT_ONCE = {
    *("_BLOCK", "_BLOCK_BYTES", "_BLOCK_ROWS", "_CHUNK_BYTES", "_CHUNK_ROWS", "_GROUP", "_WORKERS"),
    *("_BUFFER", "_HEADER", "_LINE_BYTES"),
}
NO_TESTS = 5  # pytest's exit code
LIMIT = 8 << 30  # bytes of memory of a child
SECONDS = 20  # CPU time of a test: more is an endless loop
LONG = ["test_a_generated_trace_reaches_its_profile"]  # minutes, where nothing is compiled
PATIENCE = 300  # seconds after which a child that waits for something is ended
TOOLS = [  # what the package and its tests import, imported once
    *("numba", "scipy.special", "scipy.stats", "pyarrow.csv", "pyarrow.parquet"),
    *("safetensors.numpy", "matplotlib.pyplot", "tqdm.auto", "typer", "rich.console"),
    *("rich.table", "pooch", "hypothesis.extra.numpy", "pytest", "psutil", "torch"),
    *("sklearn.metrics", "pandas", "polars"),
]


@dataclass(frozen=True)
class Change:
    """One token: where it is, and what it becomes."""

    path: Path  # relative to the root
    line: int
    start: int  # offsets into the text
    stop: int
    old: str
    new: str
    names: frozenset[str]  # the functions and classes around it, and those that use them

    def apply(self, text: str) -> str:
        """Return the text of the file with the change in it."""
        return text[: self.start] + self.new + text[self.stop :]

    def matters(self) -> bool:
        """Whether the file compiles to other bytecode."""
        text = (ROOT / self.path).read_text(encoding="utf-8")
        before, after = (compile(t, "file", "exec") for t in (text, self.apply(text)))
        return _bytecode(before) != _bytecode(after)

    def lines(self) -> tuple[str, str]:
        """Return the line of the file, and the line with the change in it."""
        text = _source(ROOT / self.path)
        first, last = text.rfind("\n", 0, self.start) + 1, text.index("\n", self.stop)
        changed = text[first : self.start] + self.new + text[self.stop : last]
        return text[first:last].strip(), changed.strip()

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.old!r} -> {self.new!r}   in: {self.lines()[0]}"


@functools.cache
def _source(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def places(path: Path) -> Iterator[Change]:
    """Yield every change of a file, in order."""
    text = _source(path)
    lines, starts = text.splitlines(keepends=True), [0]
    for line in lines:
        starts.append(starts[-1] + len(line))

    def place(row: int, column: int) -> int:  # the tree counts bytes, the text characters
        return starts[row - 1] + len(lines[row - 1].encode()[:column].decode())

    tree = ast.parse(text)
    tokens = [(starts[t.start[0] - 1] + t.start[1], t) for t in _tokens(text)]
    users, rests = _Users(tree), set(_rests(tree))
    for node in _code(tree):
        for first, last in _gaps(node):
            begin, end = place(*first), place(*last)
            words = [(at, t) for at, t in tokens if begin <= at < end and t.string in SWAPS]
            old = " ".join(t.string for _, t in words)
            for new in SWAPS.get(old, []):
                if node in rests and new == "2":
                    continue
                start, stop = words[0][0], words[-1][0] + len(words[-1][1].string)
                row = words[0][1].start[0]
                where = path.relative_to(ROOT)
                yield Change(where, row, start, stop, old, new, users.around(row))


def argued(changes: list[Change]) -> dict[tuple[str, str, str], str]:
    """Return why some changes may survive; an entry that is no change of a file is an error."""
    text = Path(__file__).with_name("argued.toml").read_text(encoding="utf-8")
    reasons = {(e["file"], e["was"], e["is"]): e["why"] for e in tomllib.loads(text)["change"]}
    files = {file for file, _, _ in reasons}
    left = reasons.keys() - {(str(c.path), *c.lines()) for c in changes if str(c.path) in files}
    seen = {str(change.path) for change in changes}
    for file, was, now in sorted(left):
        if file in seen:
            sys.exit(f"argued.toml: {file} has no change of {was!r} to {now!r}")
    return reasons


def _tokens(text: str) -> list[tokenize.TokenInfo]:
    kinds = (tokenize.OP, tokenize.NAME, tokenize.NUMBER)
    return [t for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type in kinds]


def _code(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk what is computed: no annotations, no words of messages."""
    notes = {"annotation", "returns"}
    if isinstance(tree, ast.Assign) and getattr(tree.targets[0], "id", "") in AT_ONCE:
        return
    for name, value in ast.iter_fields(tree):
        for child in value if isinstance(value, list) else [value]:
            words = name in notes or isinstance(child, ast.JoinedStr)
            if isinstance(child, ast.AST) and not words:
                yield child
                yield from _code(child)


def _rests(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the 1 of each ``reshape(..., -1)``."""
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "reshape":
            for argument in call.args:
                if isinstance(argument, ast.UnaryOp) and isinstance(argument.op, ast.USub):
                    yield argument.operand


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


def _bytecode(code: CodeType) -> tuple:
    """Return what a code object does: no lines, columns or docstring."""
    consts = [
        _bytecode(c) if isinstance(c, CodeType) else (type(c), repr(c)) for c in code.co_consts
    ]
    return code.co_code, code.co_names, code.co_varnames, code.co_freevars, tuple(consts)


class _Users:
    """Which functions and classes of a file stand around a line, and which of them use those."""

    def __init__(self, tree: ast.Module) -> None:
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        self.nodes = [node for node in ast.walk(tree) if isinstance(node, kinds)]
        self.used = {
            node.name: {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            | {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
            for node in self.nodes
        }

    def around(self, row: int) -> frozenset[str]:
        """Return the names around a line; those of private functions lead on to their users."""
        found = {n.name for n in self.nodes if n.lineno <= row <= n.end_lineno}
        todo = {name for name in found if name.startswith("_")}
        while todo:
            name = todo.pop()
            new = {user for user, used in self.used.items() if name in used} - found
            found |= new
            todo |= {name for name in new if name.startswith("_")}
        return frozenset(found)


def tests_of(path: Path) -> list[str]:
    """Return what is run for a file of the package: its tests, and its examples."""
    stems = [path.stem, *ELSEWHERE.get(path.stem, [])]
    names = [f"test_{stem}{more}.py" for stem in stems for more in ("", "_attacks")]
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
    waited: float = 0.0  # seconds, without those in which this program was stopped as well
    looked: float = 0.0
    process: int = 0

    def start(self) -> None:
        """Write the change, and fork."""
        self.looked = time.monotonic()
        if self.change:
            file = self.folder / self.path
            file.write_text(self.change.apply(file.read_text(encoding="utf-8")), encoding="utf-8")
        self.process = os.fork()
        if self.process == 0:
            try:
                os._exit(_child(self.folder, self.path, self.change))
            finally:
                os._exit(99)

    def ended(self) -> int | None:
        """Return the exit code, or None while it runs; one that waits for ever is ended."""
        now = time.monotonic()
        self.waited, self.looked = self.waited + min(now - self.looked, 1), now
        process, status = os.waitpid(self.process, os.WNOHANG)
        if process == 0 and self.waited > PATIENCE:
            os.killpg(self.process, signal.SIGKILL)
            process, status = os.waitpid(self.process, 0)
        if process == 0:
            return None
        with contextlib.suppress(ProcessLookupError):  # what it began, and left behind
            os.killpg(self.process, signal.SIGKILL)
        if self.change:
            shutil.copy2(ROOT / self.path, self.folder / self.path)
        return os.waitstatus_to_exitcode(status)


class _Order:
    """A plugin of pytest: the likeliest tests first, each with a limit of CPU time."""

    def __init__(self, names: frozenset[str], compiled: bool) -> None:
        self.names, self.compiled = names, compiled

    def pytest_collection_modifyitems(self, items: list) -> None:
        if not self.compiled:
            items[:] = [item for item in items if getattr(item, "originalname", "") not in LONG]
        items.sort(key=self._rank)

    def _rank(self, item) -> tuple[bool, bool, bool]:
        """Tests that speak of the change's function before others, quick ones before slow ones."""
        said = set(item.name.replace("[", ".").rstrip("]").split("."))
        if hasattr(item, "function"):
            said |= _said(item.function.__code__)
        oracle = "torch" in getattr(item, "fixturenames", ())
        drawn = hasattr(getattr(item, "function", None), "hypothesis")
        return self.names.isdisjoint(said), oracle, drawn

    def pytest_runtest_setup(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # ends the process

    def pytest_runtest_logreport(self, report) -> None:
        if report.failed:  # all is known: the rest of pytest's work is not needed
            print(report.longreprtext, flush=True)
            os._exit(1)


def _said(code: CodeType) -> set[str]:
    inner = [_said(c) for c in code.co_consts if isinstance(c, CodeType)]
    return set(code.co_names).union(*inner)


def _child(folder: Path, path: Path, change: Change | None) -> int:
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    output = os.open(folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(folder)
    os.environ["PYTHONPATH"] = str(folder)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # two changes in a second have one time stamp
    sys.dont_write_bytecode = True
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(folder / "hypothesis")
    text = (ROOT / path).read_text(encoding="utf-8")
    compiled = not ("njit" in text or "@compiled" in text)
    if not compiled:
        os.environ["NUMBA_DISABLE_JIT"] = "1"  # compiling for each change would take a minute
        with contextlib.suppress(ImportError):
            import numba

            numba.config.DISABLE_JIT = True
    sys.path[:] = [str(folder), *(at for at in sys.path if at not in ("", str(ROOT)))]
    import pytest

    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    plugins = ["-p", "no:cacheprovider", "-p", "_hypothesis_pytestplugin"]
    order = _Order(change.names if change else frozenset(), compiled)
    return int(pytest.main(["-x", "-q", *plugins, *tests_of(path)], [order]))


def warm() -> None:
    """Import what all tests import, once; the package itself is imported by each child."""
    for tool in TOOLS:
        with contextlib.suppress(ImportError):
            importlib.import_module(tool)
    assert not any(name.partition(".")[0] == "minidlrm" for name in sys.modules)
    gc.freeze()  # children do not search all of it for garbage


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
            run.folder = free.pop()
            run.start()
            running.append(run)
        for run in list(running):
            code = run.ended()
            if code is not None:
                running.remove(run)
                free.append(run.folder)
                yield run, code
        time.sleep(0.02)


def untested(paths: list[Path], folders: list[Path]) -> set[Path]:
    """Run the tests of each file without a change: they pass. Return the files without tests."""
    none = set()
    for run, code in run_all([Run(folders[0], None, path) for path in paths], folders):
        if code == NO_TESTS:
            none.add(run.path)
        elif code:
            text = (run.folder / "output.txt").read_text(encoding="utf-8", errors="replace")
            sys.exit(f"the tests of {run.path} fail without a change:\n{text[-3000:]}")
    return none


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
    reasons = argued(everything)
    drawn = random.Random(options.seed).sample(everything, len(everything))
    changes = list(itertools.islice((c for c in drawn if c.matters()), options.count))
    warm()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        folders = copies(Path(folder), options.jobs)
        used = sorted({change.path for change in changes})
        if not options.trust:
            print("no tests:", *map(str, untested(used, folders)), flush=True)
        print(f"{len(changes)} of {len(everything)} changes in {len(used)} files", flush=True)
        work = [Run(folders[0], c, c.path) for c in changes]
        survivors, total, noticed = [], Counter(), Counter()
        for run, code in run_all(work, folders):
            total[run.path] += 1
            if sum(total.values()) % 20 == 0:
                print(f"{sum(total.values())} of {len(changes)} done", flush=True)
            noticed[run.path] += code not in (0, NO_TESTS)
            if run.change and code in (0, NO_TESTS):
                why = reasons.get((str(run.path), *run.change.lines()), "")
                survivors.append(why)
                print(f"survives: {run.change}{why and f'   because {why}'}", flush=True)
    for path in sorted(total):
        print(f"{noticed[path]:4} of {total[path]:4} noticed  {path}")
    share = sum(noticed.values()) / sum(total.values())
    seconds = time.monotonic() - start
    print(
        f"mutate: {sum(noticed.values())} of {sum(total.values())} changes noticed ({share:.1%}), "
        f"{len(survivors)} survive, {sum(map(bool, survivors))} of them argued; "
        f"seed {options.seed}, {seconds:.0f} s"
    )
    sys.exit(share < options.least)


if __name__ == "__main__":
    main()
