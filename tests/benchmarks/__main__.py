"""The tables of docs/performance.md: a step of every model beside its peers, and starting.

    pip install -e ".[bench]"
    python -m tests.benchmarks [PART ...] [--rounds 9] [--keep results.json]
                               [--out docs/measured/performance.md]

Parts: dlrm, models, load, starting; all by default. Ours is `fit` with default options; nothing is
set in the environment. Each side is a process of its own; they take turns, round after round. A
time is the median of the rounds, wall time and CPU time of all threads; a ratio is the median of
the rounds' ratios, since the speed of a machine changes within minutes. A peer that is not
installed is named. With --keep, what a file holds already is not measured again, so that a table
can be made of several short runs.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import minidlrm as md
from minidlrm.machine import processor
from minidlrm.printing import as_markdown
from tests.benchmarks import starting
from tests.benchmarks.cases import MORE, Case
from tests.benchmarks.sides import SIDES
from tests.benchmarks.turns import Measured, busy, measure

BATCHES = (128, 512, 2048, 8192)
PEERS = ("each", "one", "compiled")
LOAD = (2048,)
Rows = list[tuple[str, ...]]


class Results:
    """What has been measured, by what it is; kept in a file where one is given."""

    def __init__(self, path: Path | None):
        self.path = path
        self.found = json.loads(path.read_text()) if path and path.is_file() else {}

    def of(self, key: str, run: Callable[[], Any]) -> Any:
        """Return what was measured; measure it when it is missing."""
        if key not in self.found:
            print(f"measuring {key}", flush=True)
            self.found[key] = run()
            if self.path:
                self.path.write_text(json.dumps(self.found, indent=1) + "\n", encoding="utf-8")
        return self.found[key]


def machine() -> str:
    """Return processor, cores and versions, in a line."""
    cpu = processor()
    name = cpu["model name"]
    if "cpu family" in cpu:
        name += f" (family {cpu['cpu family']}, model {cpu['model']})"
    flags = [flag for flag in ("avx2", "avx512f", "avx512_bf16") if flag in cpu.get("flags", "")]
    versions = [f"Python {platform.python_version()}", f"minidlrm {md.__version__}"]
    for package in ("numpy", "numba", "torch", "jax"):
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"no {package}")
    return f"{name}, {' '.join(flags)}; {os.cpu_count()} cores. {', '.join(versions)}."


def ms(side: Measured, key: str = "wall") -> str:
    """Return milliseconds with three digits."""
    time = median(side[key])
    return f"{time:.3g}" if time < 100 else f"{time:.0f}"


def ratio(ours: Measured, peer: Measured | str, key: str = "wall") -> str:
    """Return the median of ours / peer in the same round, or a dash for a peer that is missing."""
    if isinstance(peer, str):
        return "-"
    return f"{median(a / b for a, b in zip(ours[key], peer[key], strict=True)):.2f}"


def times_as_long(beside: Measured | str, alone: Measured | str) -> str:
    """Return the ratio of the medians: these two were not measured in the same rounds."""
    if isinstance(beside, str) or isinstance(alone, str):
        return "-"
    return f"{median(beside['wall']) / median(alone['wall']):.1f}"


def missing(found: list[dict[str, Any]]) -> str:
    """Say which peers are missing, and why."""
    lines = {f"{SIDES[k][0]}: {v}" for each in found for k, v in each.items() if isinstance(v, str)}
    return "".join(f"\nMissing: {line}.\n" for line in sorted(lines))


def dlrm(results: Results, rounds: int) -> str:
    """A DLRM at several batch sizes beside all peers, its products alone, and its floor."""
    peers = (*PEERS, "jax", "products")
    sides = ("ours", *peers, "floor")
    titles = [SIDES[name][0] for name in peers]
    rows: Rows = [("B", "", "minidlrm, ms", *(f"/ {title}" for title in titles), "faults")]
    found = []
    for size in BATCHES:
        case = Case("dlrm", size)
        got = results.of(f"dlrm {size}", lambda case=case: measure(case, sides, rounds))
        found.append(got)
        ours = got["ours"]
        for key in ("wall", "cpu"):
            cells = [ratio(ours, got[name], key) for name in peers]
            faults = f"{median(ours['faults']):.0f}" if key == "wall" else ""
            rows.append((f"{size}" if key == "wall" else "", key, ms(ours, key), *cells, faults))
        for title, floor in (("products alone", got["products"]), ("its floor", got["floor"])):
            cells = [ratio(floor, got[name]) for name in peers]
            rows.append(("", f"{title}, wall", ms(floor), *cells, ""))
    times: Rows = [("B", *titles)]
    for size, got in zip(BATCHES, found, strict=True):
        cells = ["-" if isinstance(got[name], str) else ms(got[name]) for name in peers]
        times.append((f"{size}", *cells))
    text = f"{as_markdown(rows)}\n\nTheir milliseconds, wall time:\n\n{as_markdown(times)}\n"
    return text + missing(found)


def models(results: Results, rounds: int) -> str:
    """Every model at B = 2048 beside PyTorch, and beside the floor of our step."""
    titles = [SIDES[name][0] for name in PEERS]
    columns = (*(f"/ {title}" for title in titles), "the same, CPU", "its floor, ms")
    rows: Rows = [("model", "minidlrm, ms", *columns, f"floor / {titles[0]}")]
    found = []
    for name, entry in md.MODELS.items():
        case = Case(name, 2048)
        sides = ("ours", *PEERS, "floor")
        got = results.of(f"model {name}", lambda case=case, s=sides: measure(case, s, rounds))
        found.append(got)
        ours, floor = got["ours"], got["floor"]
        cells = [ratio(ours, got[peer]) for peer in PEERS]
        cpu = ", ".join(ratio(ours, got[peer], "cpu") for peer in PEERS)
        rows.append((entry.title, ms(ours), *cells, cpu, ms(floor), ratio(floor, got[PEERS[0]])))
    return as_markdown(rows) + "\n" + missing(found)


def load(results: Results, rounds: int) -> str:
    """A DLRM beside two busy processes: what a step takes, and how often it takes longer."""
    names = ("ours", *PEERS, "jax")
    rows: Rows = [("B", "", *(SIDES[name][0] for name in names))]
    for size in LOAD:
        case = Case("dlrm", size)
        alone = results.of(f"alone {size}", lambda case=case: measure(case, names, rounds))

        def loaded(case: Case = case) -> Any:
            with busy(2):
                return measure(case, names, rounds)

        beside = results.of(f"load {size}", loaded)
        for title, got in (("alone", alone), ("beside two busy processes", beside)):
            cells = ["-" if isinstance(got[name], str) else f"{ms(got[name])} ms" for name in names]
            rows.append((f"{size}" if title == "alone" else "", title, *cells))
        slower = [times_as_long(beside[name], alone[name]) for name in names]
        rows.append(("", "times as long", *slower))
    return as_markdown(rows) + "\n"


def starts(results: Results, rounds: int) -> str:
    """Until something runs."""
    return as_markdown(results.of("starting", lambda: starting.measured(rounds))) + "\n"


PARTS = {
    "dlrm": ("### A step of DLRM, ours / peer", dlrm),
    "models": ("### A step of every model, B = 2048, ours / peer", models),
    "load": ("### Beside other work", load),
    "starting": ("### Starting", starts),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(PARTS)}")
    parser.add_argument(
        "--rounds",
        type=int,
        default=9,
        help=f"rounds of each side; light models take {MORE} times as many",
    )
    parser.add_argument("--keep", type=Path, help="a JSON file for what has been measured")
    parser.add_argument("--out", type=Path, help="a file for the tables, beside the screen")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"{', '.join(sorted(unknown))}: not known; give some of {', '.join(PARTS)}")
    results = Results(given.keep)
    text = f"Measured on {results.of('machine', machine)}\n"
    for name in given.parts or PARTS:
        title, part = PARTS[name]
        text += f"\n{title}\n\n{part(results, given.rounds)}"
    print(f"\n{text}", end="")
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
