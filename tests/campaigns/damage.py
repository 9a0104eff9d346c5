"""Damage a checkpoint in every way that one byte allows, and see that `load` refuses it.

    python -m tests.campaigns.damage                  # every byte, every length
    python -m tests.campaigns.damage --count 2000     # as many of them, at random

Every byte of the file is changed to another value, and the file is cut at every length. Each
must be refused with ValueError or OSError, with a model to load into, and without, with the
schema; and the model and the optimizer must be what they were.
"""

from __future__ import annotations

import argparse
import collections
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import minidlrm as md

from . import common


def checkpoint(path: Path) -> None:
    """Train for some steps and save the model with its optimizers, and a schema."""
    model, optimizer = common.fresh()
    md.fit(model, common.data(64), optimizer=optimizer, batch_size=16, progress=False)
    md.save(model, path, optimizer, common.schema())


def fault_of(path: Path, model: md.Module, optimizer: Any, before: str) -> str:
    """Load a damaged file, and say what is wrong: "" when it is refused and nothing changed."""
    for how in (lambda: md.load(path, model, optimizer), lambda: md.load_with_schema(path)):
        try:
            how()
        except (ValueError, OSError):
            pass
        except BaseException as error:
            return f"{type(error).__name__} in the place of ValueError"
        else:
            return "loaded"
        if common.digest(model, optimizer) != before:
            return "refused, but the model or the optimizer has changed"
    return ""


def damages(content: bytes, rng: random.Random) -> list[tuple[str, int, int]]:
    """Return (kind, place, new value) of every change of a byte and every cut."""
    changed = [("byte", k, old ^ rng.randrange(1, 256)) for k, old in enumerate(content)]
    return changed + [("cut", k, 0) for k in range(len(content))]


def main() -> None:
    """Damage, load, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, help="damages, drawn at random; all by default")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start, rng = time.monotonic(), random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, path = Path(folder) / "whole.safetensors", Path(folder) / "m.safetensors"
        checkpoint(whole)
        content = whole.read_bytes()
        model, optimizer = common.fresh(seed=4)
        md.fit(model, common.data(32), optimizer=optimizer, batch_size=16, progress=False)
        before = common.digest(model, optimizer)
        todo = damages(content, rng)
        if options.count is not None and options.count < len(todo):
            todo = rng.sample(todo, options.count)
        found = collections.defaultdict(list)
        for kind, place, value in todo:
            new = content[:place]
            if kind == "byte":
                new += bytes([value]) + content[place + 1 :]
            path.write_bytes(new)
            fault = fault_of(path, model, optimizer, before)
            if fault:
                found[kind, fault].append(place)
                model, optimizer = common.fresh(seed=4)
                before = common.digest(model, optimizer)
        left = sorted(each.name for each in Path(folder).iterdir())
        md.load(whole, *common.fresh())  # the file as it was is taken
    for (kind, fault), at in found.items():
        print(f"{len(at):6} x {kind}: {fault}, first at {at[0]} of {len(content)}")
    counts = collections.Counter(kind for kind, _, _ in todo)
    faults = sum(map(len, found.values())) + (left != ["m.safetensors", "whole.safetensors"])
    print(
        f"damage: {counts['byte']} changes of a byte and {counts['cut']} cuts of "
        f"{len(content)} bytes, {faults} not refused; seed {options.seed}, "
        f"{time.monotonic() - start:.0f} s"
    )
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
