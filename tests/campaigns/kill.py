"""Kill training and saving at random moments, fill the disk, let two writers write one file.

    python -m tests.campaigns.kill --count 50 --seed 0

A training run with checkpoints is killed with SIGKILL, inside its epochs and inside its saves,
and resumed until it ends: the bits must be those of an uninterrupted run, and no file but the
checkpoint may be left. A file that is saved over and over must be one of the saved ones,
whatever killed the writer, and so when the disk is full and when several write it at once.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import select
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import minidlrm as md

from . import common

ROWS, BATCH, EPOCHS = 2000, 50, 3
NAME = "m.safetensors"


def fork(work: Callable[[], str | None]) -> tuple[int, int]:
    """Run `work` in a child; return its process and a pipe that gives the text it returns."""
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        code = 1
        try:
            os.close(reader)
            os.write(writer, (work() or "").encode())
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writer)
    return process, reader


def join(process: int, reader: int, kill_after: float | None = None) -> tuple[int, str]:
    """Wait for a child, or kill it after some seconds; return its exit code and its text."""
    if not select.select([reader], [], [], kill_after if kill_after is not None else 300)[0]:
        os.kill(process, signal.SIGKILL)
    text = b"".join(iter(lambda: os.read(reader, 65536), b"")).decode()
    os.close(reader)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), text


def train(folder: Path, every: int, patience: int | None, resume: bool) -> str:
    """Train with checkpoints; return the digest of the model, its optimizers and its history."""
    model, optimizer = common.fresh()
    rows = common.data(ROWS + 300)
    history = md.fit(
        model,
        rows[:ROWS],
        rows[ROWS:],
        optimizer=optimizer,
        epochs=EPOCHS,
        batch_size=BATCH,
        seed=1,
        eval_every=7,
        patience=patience,
        progress=False,
        checkpoint=folder / NAME,
        checkpoint_every=every,
        resume=resume,
    )
    kept = [{k: v for k, v in record.items() if k != "seconds"} for record in history.records]
    return f"{common.digest(model, optimizer)} {kept}"


def training(count: int, rng: random.Random) -> tuple[int, list[str]]:
    """Kill `count` runs, and resume each until it ends; return the kills and the faults."""
    kills, faults = 0, []
    whole: dict[tuple[int, int | None], tuple[str, float]] = {}
    while kills < count:
        every, patience = rng.choice([1, 5, 11]), rng.choice([None, 3])
        if (every, patience) not in whole:
            with tempfile.TemporaryDirectory() as folder:
                start = time.monotonic()
                code, text = join(*fork(lambda: train(Path(folder), every, patience, False)))  # noqa: B023
                if code:
                    return kills, [f"an uninterrupted run ends with exit code {code}"]
                whole[every, patience] = text, time.monotonic() - start
        expected, seconds = whole[every, patience]
        with tempfile.TemporaryDirectory() as name:
            folder, resume, here = Path(name), False, 0
            while True:
                again = here == 0 or (here < 4 and rng.random() < 0.6)
                wait = rng.random() * seconds if again else None
                code, text = join(*fork(lambda: train(folder, every, patience, resume)), wait)  # noqa: B023
                if code != -signal.SIGKILL:
                    break
                kills, here, resume = kills + 1, here + 1, True
            case = f"checkpoint_every={every}, patience={patience}, killed {here} times"
            if code:
                faults.append(f"{case}: the resumed run ends with exit code {code}")
            elif text != expected:
                faults.append(f"{case}: the resumed run ends with other numbers")
            faults += [f"{case}: {each} is left behind" for each in left(folder)]
    return kills, faults


def left(folder: Path) -> list[str]:
    """Return what lies in a folder beside the checkpoint."""
    return sorted(path.name for path in folder.iterdir() if path.name != NAME)


def saver(path: Path, models: list[tuple[Any, Any]], times: int) -> Callable[[], None]:
    """Return a function that saves the models in turn."""

    def work() -> None:
        for k in range(times):
            model, optimizer = models[k % len(models)]
            md.save(model, path, optimizer)

    return work


def digest_of(path: Path) -> str:
    """Return the digest of what a file holds."""
    model, optimizer = common.fresh()
    md.load(path, model, optimizer)
    return common.digest(model, optimizer)


def two_models() -> tuple[list[tuple[Any, Any]], set[str]]:
    """Make two trained models of one size, and their digests."""
    models = [common.fresh(seed=seed) for seed in (1, 2)]
    for model, optimizer in models:
        md.fit(model, common.data(100), optimizer=optimizer, batch_size=50, progress=False)
    return models, {common.digest(*each) for each in models}


def saving(count: int, rng: random.Random) -> list[str]:
    """Kill a process that saves over and over; the file is whole, and the next save cleans up."""
    models, known = two_models()
    faults = []
    for _ in range(count):
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / NAME
            md.save(models[0][0], path, models[0][1])
            join(*fork(saver(path, models, 10**6)), rng.random() * 0.05)
            try:
                if digest_of(path) not in known:
                    faults.append("after a kill the file holds other numbers")
            except (ValueError, OSError) as error:
                faults.append(f"after a kill the file is not whole: {error}")
            join(*fork(saver(path, models, 1)))
            faults += [f"{each} is left behind after the next save" for each in left(Path(name))]
    return faults


def full_disk(count: int, rng: random.Random) -> list[str]:
    """Let a save end in the middle, as on a full disk: OSError, and the old file is whole."""
    models, _ = two_models()
    faults = []
    for _ in range(count):
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / NAME
            md.save(models[0][0], path, models[0][1])
            before, limit = path.read_bytes(), rng.randrange(path.stat().st_size)

            def work(path: Path = path, limit: int = limit) -> str:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
                try:
                    md.save(models[1][0], path, models[1][1])
                except OSError:
                    return "OSError"
                except Exception as error:
                    return type(error).__name__
                return "no error"

            _, text = join(*fork(work))
            if text != "OSError":
                faults.append(f"the disk is full at {limit} bytes: {text}")
            if path.read_bytes() != before:
                faults.append(f"the disk is full at {limit} bytes: the old file is lost")
            faults += [f"full disk: {each} is left behind" for each in left(Path(name))]
    return faults


def two_writers(count: int) -> list[str]:
    """Let two processes of two threads each save to one path, and read it meanwhile."""
    models, known = two_models()
    with tempfile.TemporaryDirectory() as name:
        path, faults = Path(name) / NAME, []
        md.save(models[0][0], path, models[0][1])

        def work() -> None:
            errors: list[BaseException] = []

            def guarded() -> None:
                try:
                    saver(path, models, count)()
                except BaseException as error:
                    errors.append(error)

            threads = [threading.Thread(target=guarded) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if errors:
                raise errors[0]

        children = [fork(work) for _ in range(2)]
        for _ in range(count):
            try:
                if digest_of(path) not in known:
                    faults.append("two writers: the file holds other numbers")
            except (ValueError, OSError) as error:
                faults.append(f"two writers: the file is not whole: {error}")
        codes = [join(*each)[0] for each in children]
        faults += [f"two writers: one ends with exit code {code}" for code in codes if code]
        faults += [f"two writers: {each} is left behind" for each in left(Path(name))]
    return faults


def main() -> None:
    """Run all four, and print what they found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start, rng = time.monotonic(), random.Random(options.seed)
    two_models()  # compiles what all children need
    faults = saving(options.count, rng)
    faults += full_disk(options.count, rng)
    faults += two_writers(options.count)
    kills, more = training(options.count, rng)
    faults += more
    for fault in sorted(set(faults)):
        print(f"{faults.count(fault):6} x {fault}")
    print(
        f"kill: {kills} kills of a training run, {options.count} of a save, {options.count} full "
        f"disks, {options.count} saves by each of 4 writers: {len(faults)} faults; "
        f"seed {options.seed}, {time.monotonic() - start:.0f} s"
    )
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
