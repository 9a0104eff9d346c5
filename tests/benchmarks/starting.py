"""How long it takes until something runs: an import, a first training run, a first check.

Every run is a process of its own; what is compared takes turns. "First": nothing is compiled.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

IMPORTS = {  # the first is what the others are divided by
    "`import numpy, numba`": "import numpy, numba",
    "`import minidlrm`": "import minidlrm",
    "`import minidlrm`, and the kernels": "import minidlrm; minidlrm.kernels.backend",
}
COMMANDS = {
    "minidlrm --help": ["--help"],
    "minidlrm gradcheck": ["gradcheck"],
    "minidlrm train": ["train", "--out", "run"],
}


def seconds(command: list[str], cache: str | None = None) -> tuple[float, float]:
    """Run a command in a folder of its own; return its wall time and its CPU time."""
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *sys.path[1:]])}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    if cache is not None:
        environment["NUMBA_CACHE_DIR"] = cache
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(command, check=True, cwd=folder, env=environment, capture_output=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu


def measured(rounds: int) -> list[tuple[str, ...]]:
    """Return the rows of the table, titles first."""
    rows: list[tuple[str, ...]] = [("", "wall, s", "CPU, s")]
    laps: dict[str, list[tuple[float, float]]] = {name: [] for name in IMPORTS}
    for code in IMPORTS.values():
        seconds([sys.executable, "-c", code])
    for _ in range(2 * rounds + 1):
        for name, code in IMPORTS.items():
            laps[name].append(seconds([sys.executable, "-c", code]))
    medians = {name: _medians(each) for name, each in laps.items()}
    rows += [(name, *(f"{x:.2f}" for x in pair)) for name, pair in medians.items()]
    base, *others = IMPORTS
    for name in others:
        turns = zip(laps[name], laps[base], strict=True)  # one after the other
        ratios = [(mine[0] / its[0], mine[1] / its[1]) for mine, its in turns]  # wall, CPU
        rows.append((f"{name}: ratio", *(f"{x:.2f}" for x in _medians(ratios))))
    for name, words in COMMANDS.items():
        command = [sys.executable, "-m", "minidlrm", *words]
        with tempfile.TemporaryDirectory() as cache:
            first = seconds(command, cache)
            later = _medians([seconds(command, cache) for _ in range(3)])
        if words != ["--help"]:
            rows.append((f"`{name}`, first", *(f"{x:.1f}" for x in first)))
        rows.append((f"`{name}`, later", *(f"{x:.1f}" for x in later)))
    return rows


def _medians(laps: list[tuple[float, float]]) -> tuple[float, float]:
    wall, cpu = (statistics.median(column) for column in zip(*laps, strict=True))
    return wall, cpu
