"""Call the whole public API with random and hostile arguments, on both backends.

    python -m tests.campaigns.inputs --count 100000 --seed 0
    python -m tests.campaigns.inputs --seed 0 --case 4711     # one case again, with its traceback
    python -m tests.campaigns.inputs --all                    # every value in every place: every.py

What is called is drawn from `minidlrm.checking.cases` and from every ``__all__``: a new public
name is called without being asked for. Every case runs in a child process, on the compiled and
on the NumPy kernels; the second half of the cases runs with NUMBA_DISABLE_JIT=1, where an index
out of bounds raises. A fault is a crash, a hang, an index out of bounds, a difference between the
two backends, an input that is written to, or an error that no statement of ours raised or that
does not name the argument to blame.
"""

from __future__ import annotations

import argparse
import ast
import collections
import functools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent.parent
CHUNK, HANG = 1000, 120  # cases a child; seconds without a new case
LIMIT = 12 << 30  # bytes of memory of a child
ERRORS = (ValueError, TypeError, LookupError, RuntimeError, ArithmeticError, OSError)
ERRORS += (AssertionError,)  # the checker's reports; a failed assert is no statement that raises


# In the child


def judge(seed: int, case: int) -> tuple[str, dict[str, str] | None]:
    """Run one case on both backends; return "returned" or "refused", and the fault."""
    from minidlrm import kernels

    from . import calls

    def run(tame: bool = False) -> Any:
        return calls.run(np.random.default_rng([seed, case]), tame)

    kernels.use("numba")
    return _judged(run(), run)


def _judged(mine: Any, run: Any) -> tuple[str, dict[str, str] | None]:
    """Judge what came of a case on compiled kernels, and what comes of it on NumPy's."""
    from minidlrm import kernels

    kernels.use("numpy")
    other = run()
    kernels.use("numba")
    word = "refused" if mine.error else "returned"
    for outcome in (mine, other):
        kind = fault_of(outcome)
        if kind == "no name in error":
            kind = _excused(outcome, run(True))
        if kind:
            return word, {"kind": kind, "what": outcome.what, **_said(outcome.error)}
    difference = _difference(mine, other)
    if difference:
        return word, {"kind": "difference", "what": mine.what, "place": "", "error": difference}
    return word, None


def judge_place(seed: int, place: int) -> Iterator[tuple[str, dict[str, str] | None]]:
    """Try every hostile value in one place; yield what `judge` returns."""
    from . import every

    for mine, run in every.cases(seed, place):
        yield _judged(mine, run)


def _excused(outcome: Any, tame: Any) -> str:
    """Judge again where the right values alone give an error: they may be to blame as well."""
    if tame.error is not None:
        outcome.hostile = set()
    return fault_of(outcome)


def _said(error: BaseException | None) -> dict[str, str]:
    if error is None:
        return {"place": "", "error": ""}
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = Path(frame.filename)
    near = place.relative_to(ROOT) if place.is_relative_to(ROOT) else Path(*place.parts[-2:])
    return {"place": f"{near}:{frame.lineno}", "error": f"{type(error).__name__}: {error}"[:300]}


def fault_of(outcome: Any) -> str:
    """Say what is wrong with what came of a case: "" when nothing is."""
    from . import calls

    if outcome.changed:
        return "input written to"
    error = outcome.error
    if error is None:
        return ""
    frames = traceback.extract_tb(error.__traceback__)
    last = Path(frames[-1].filename)
    if last.name == "jit.py" and isinstance(error, IndexError):
        return "out of bounds"
    ours = last.is_relative_to(ROOT / "minidlrm") and _raises(last, frames[-1].lineno or 0)
    if not ours or not isinstance(error, ERRORS):
        return "foreign error"
    if isinstance(error, (RuntimeError, FileNotFoundError, AssertionError)):
        return ""  # called out of turn, or not written; a path, which says which file; a report
    if any(path and path in str(error) for path in outcome.paths):
        return ""
    wrong = outcome.hostile - calls.OF_PARTS  # one of them is to blame, when all are plain
    names = outcome.names
    if wrong and wrong == outcome.hostile:
        names = wrong | {calls.SAID[name] for name in wrong & calls.SAID.keys()}
    words = {word.rstrip("s") for word in re.findall(r"\w+", str(error))}
    known = {name.removeprefix("num_").rstrip("s") for name in names}
    return "" if words & (known | {name.rstrip("s") for name in names}) else "no name in error"


def _raises(path: Path, line: int) -> bool:
    """Say whether the line is within a raise statement."""
    return any(first <= line <= last for first, last in _statements(path))


@functools.cache
def _statements(path: Path) -> list[tuple[int, int]]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [(n.lineno, n.end_lineno or n.lineno) for n in nodes if isinstance(n, ast.Raise)]


def _difference(mine: Any, other: Any) -> str:
    """Say how two outcomes differ: in an error's words, a dtype, a shape, or the numbers."""
    if (mine.error is None) != (other.error is None):
        return f"compiled: {mine.error!r}, NumPy: {other.error!r}"[:300]
    if mine.error is not None:
        first, second = (_without_paths(each) for each in (mine, other))
        same = type(mine.error) is type(other.error) and first == second
        return "" if same else f"compiled: {mine.error!r}, NumPy: {other.error!r}"[:300]
    pairs = zip(_leaves(mine.value), _leaves(other.value), strict=True)
    return next((words for a, b in pairs if (words := _unlike(a, b))), "")


def _without_paths(outcome: Any) -> str:
    text = str(outcome.error)
    for path in outcome.paths:
        text = text.replace(path, "PATH")
    return re.sub("0x[0-9a-f]+", "0x", text)  # addresses, which a path may look like


def _leaves(value: Any) -> Iterator[Any]:
    """Yield the numbers and arrays inside a result."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield str(key)
            if key != "seconds":
                yield from _leaves(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _leaves(each)
    elif isinstance(value, (np.ndarray, np.generic, float, int, complex)):
        yield np.asarray(value)
    elif isinstance(value, type):
        yield value.__name__
    elif hasattr(value, "state_dict"):
        yield from _leaves(value.state_dict())
    elif type(value).__module__.startswith("minidlrm.") and hasattr(value, "__dict__"):
        yield from _leaves({k: v for k, v in vars(value).items() if k[0] != "_"})


def _unlike(a: Any, b: Any) -> str:
    if isinstance(a, str) or isinstance(b, str):
        return "" if isinstance(a, str) and isinstance(b, str) and a == b else f"{a} and {b}"
    if a.dtype != b.dtype or a.shape != b.shape:
        return f"compiled: {a.dtype} {a.shape}, NumPy: {b.dtype} {b.shape}"
    if a.dtype.kind not in "fc":
        return "" if a.dtype.hasobject or np.array_equal(a, b) else f"{a} and {b}"[:200]
    single = a.ndim == 0  # a loss, a metric: a Python float, also where the model is of float32
    finite = np.isfinite(a) & np.isfinite(b)
    if not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return f"finite at other places: {a} and {b}"[:200]
    a, b = a[finite], b[finite]
    scale = max(float(np.abs(a).max(initial=0)), 1.0 if a.size < 2 else 1e-30)
    error = float(np.abs(a - b).max(initial=0)) / scale
    bound = 1e-3 if np.finfo(a.dtype).eps > 1e-10 else 1e-7 if single else 1e-9
    return "" if error <= bound else f"off by {error:.3g} of the largest: {a} and {b}"[:300]


def child(seed: int, first: int, last: int, folder: str, places: bool) -> None:
    """Run cases, and write to files: the number of the case, each fault, and the counts."""
    import faulthandler
    import warnings

    import matplotlib.pyplot as plt

    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    except (ImportError, ValueError):
        pass
    faulthandler.enable()
    warnings.simplefilter("ignore")
    os.chdir(folder)
    np.seterr(all="ignore")
    counts: collections.Counter = collections.Counter()
    with open("at", "wb", buffering=0) as at, open("faults", "a", encoding="utf-8") as faults:
        for case in range(first, last):
            os.pwrite(at.fileno(), b"%012d %06d" % (case, 0), 0)
            found = judge_place(seed, case) if places else [judge(seed, case)]
            for done, (word, fault) in enumerate(found, 1):
                os.pwrite(at.fileno(), b"%012d %06d" % (case, done), 0)
                counts[word] += 1
                if fault:
                    faults.write(json.dumps({"case": case, **fault}) + "\n")
                    faults.flush()
                plt.close("all")
    Path("counts").write_text(json.dumps(counts))


# In the parent


class Child:
    """A process that runs some cases; after a crash or a hang another one goes on."""

    def __init__(self, seed: int, first: int, last: int, jit: bool, places: bool):
        self.seed, self.first, self.last, self.jit = seed, first, last, jit
        self.places = places
        self.start()

    def start(self) -> None:
        """Start the process in a folder of its own."""
        self.folder = tempfile.TemporaryDirectory(prefix="inputs-")
        module = [sys.executable, "-m", "tests.campaigns.inputs", "--child", self.folder.name]
        cases = ["--seed", self.seed, "--case", self.first, "--last", self.last]
        cases += ["--all"] if self.places else []
        environment = {**os.environ, "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
        environment |= {"OPENBLAS_NUM_THREADS": "1", "TMPDIR": self.folder.name}
        environment["XDG_CACHE_HOME"] = self.folder.name  # caches of readers
        environment["NUMBA_DISABLE_JIT"] = "0" if self.jit else "1"
        self.errors = open(Path(self.folder.name) / "stderr", "wb")  # noqa: SIM115
        self.process = subprocess.Popen(
            [*module, *map(str, cases)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=self.errors,
        )
        self.at, self.seen = "", time.monotonic()

    def _read(self, name: str) -> str:
        path = Path(self.folder.name) / name
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def poll(self) -> tuple[bool, list[dict], dict]:
        """Return whether it is done, and the faults and counts that are new."""
        now = self._read("at")  # the case, and how many of a place are done
        if now != self.at:
            self.at, self.seen = now, time.monotonic()
        hangs = time.monotonic() - self.seen > HANG
        if self.process.poll() is None and not hangs:
            return False, [], {}
        if hangs:
            self.process.kill()
        code = self.process.wait()
        self.errors.close()
        faults = [json.loads(line) for line in self._read("faults").splitlines()]
        counts = json.loads(self._read("counts") or "{}")
        if not counts:
            words = self._read("stderr")[-600:]
            at = int(self._read("at")[:12] or self.first)
            fault = {"case": at, "kind": "hang" if hangs else "crash", "place": ""}
            faults.append({**fault, "what": f"exit code {code}", "error": words})
        self.folder.cleanup()
        if not counts and at + 1 < self.last:
            counts = {"returned": at - self.first}
            self.first = at + 1
            self.start()
            return False, faults, counts
        return True, faults, counts


def campaign(
    count: int, seed: int, jobs: int, places: bool
) -> Iterator[tuple[Child, list[dict], dict]]:
    """Run all cases, `jobs` children at a time; yield what each of them found."""
    size = min(100 if places else CHUNK, -(-count // (2 * jobs)))  # both halves of a short run
    starts = range(0, count, size)
    waiting = [(first, min(first + size, count), 2 * first < count) for first in starts]
    waiting.reverse()
    running: list[Child] = []
    while waiting or running:
        while waiting and len(running) < jobs:
            first, last, jit = waiting.pop()
            running.append(Child(seed, first, last, jit, places))
        for each in list(running):
            done, faults, counts = each.poll()
            if done:
                running.remove(each)
            if faults or counts:
                yield each, faults, counts
        time.sleep(0.1)


def report(found: list[dict]) -> None:
    """Print each kind of fault once, with how often it came and the first case."""
    groups = collections.defaultdict(list)
    for fault in found:
        called = fault["what"].partition(";")[0]
        groups[fault["kind"], fault["place"] or called].append(fault)
    for (kind, place), faults in sorted(groups.items(), key=lambda item: -len(item[1])):
        first = faults[0]
        jit = "" if first["jit"] else ", NUMBA_DISABLE_JIT=1"
        print(f"{len(faults):6} x {kind} at {place}")
        print(f"         case {first['case']}{jit}: {first['what']}\n         {first['error']}")


def main() -> None:
    """Run the campaign, or one case again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--case", type=int, help="run this one alone")
    parser.add_argument("--all", action="store_true", help="every value in every place")
    parser.add_argument("--last", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.seed, options.case, options.last, options.child, options.all)
    elif options.case is not None and options.all:
        print(*filter(None, (fault for _, fault in judge_place(options.seed, options.case))))
    elif options.case is not None:
        one(options.seed, options.case)
    else:
        sys.exit(whole(options.count, options.seed, options.jobs, options.all))


def one(seed: int, case: int) -> None:
    """Run one case, and show its error wholly."""
    from . import calls

    outcome = calls.run(np.random.default_rng([seed, case]))
    print(outcome.what)
    print(sorted(outcome.names))
    if outcome.error:
        traceback.print_exception(outcome.error)
    print(judge(seed, case))


def whole(count: int, seed: int, jobs: int, places: bool) -> int:
    """Run the campaign and print its figures; return 1 when there is a fault."""
    start, found, counts = time.monotonic(), [], collections.Counter()
    if places:
        from . import every

        count = len(every.places())
        print(f"{count} places")
    for each, faults, more in campaign(count, seed, jobs, places):
        found += [{**fault, "jit": each.jit} for fault in faults]
        counts.update(more)
    report(found)
    kinds = collections.Counter(fault["kind"] for fault in found)
    names = ["crash", "hang", "out of bounds", "difference", "input written to"]
    names += ["foreign error", "no name in error"]
    print(
        f"inputs: {sum(counts.values())} cases, {counts['returned']} returned, "
        f"{counts['refused']} refused; "
        + ", ".join(f"{name}: {kinds[name]}" for name in names)
        + f"; seed {seed}, {time.monotonic() - start:.0f} s"
    )
    return int(bool(found))


if __name__ == "__main__":
    main()
