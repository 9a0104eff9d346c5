"""How a run of `fit` is written down, interrupted, and resumed with the same bits.

Between two steps a run is: the weights, the optimizer's state, the place in the epoch, and what
the evaluations have seen. The shuffles follow from the seed and the epoch. All of it is in the
checkpoint, so that a run goes on anywhere as if nothing had happened.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from minidlrm.checkpoint import pack, parts, read, state_arrays, store, unpack
from minidlrm.data.batch import Batch
from minidlrm.digested import Arrays
from minidlrm.files import check_writable
from minidlrm.interrupts import is_interrupt
from minidlrm.languages import say
from minidlrm.module import Module
from minidlrm.optim import Optimizer, OptimizerGroup
from minidlrm.parallel.folder import index_of, own_arrays
from minidlrm.parallel.sharding import comm_of

_BEST, _STATE = "best.", "optimizer."
_RECENT = "training.recent"
_SAMPLE = 1024  # rows that stand for all, in the digest of the data


class Best:
    """A copy of a model and its optimizer, taken at the best evaluation.

    Parameters
    ----------
    arrays : dict of str to array
        Weights, and the optimizer's state, under the names of a checkpoint.
    num_steps : list of int
        The steps of each optimizer.
    """

    def __init__(self, arrays: Arrays | None = None, num_steps: list[int] | None = None):
        self.arrays = arrays or {}
        self.num_steps = num_steps or []

    def keep(self, model: Module, optimizer: Any) -> None:
        """Copy the arrays, into those of the copy before."""
        known = isinstance(optimizer, (Optimizer, OptimizerGroup))
        self.num_steps = [part.num_steps for part, _ in parts(optimizer)] if known else []
        now = model.state_dict() | (state_arrays(model, optimizer) if known else {})
        for name, array in now.items():
            if name in self.arrays:
                self.arrays[name][...] = array
            else:
                self.arrays[name] = array.copy()

    def restore(self, model: Module, optimizer: Any) -> None:
        """Give model and optimizer the arrays back."""
        weights = {k: v for k, v in self.arrays.items() if not k.startswith(_STATE)}
        model.load_state_dict(weights)
        if not self.num_steps:
            return
        for (part, _), num_steps in zip(parts(optimizer), self.num_steps, strict=True):
            part.num_steps = num_steps
        for name, array in state_arrays(model, optimizer).items():
            array[...] = self.arrays.get(name, 0)  # made after the best step: as it began


class Run:
    """Where a run of `fit` is, and its checkpoint.

    Parameters
    ----------
    steps, watch : object
        The model with its optimizer, and what the evaluations have seen.
    path : path, optional
        The checkpoint. None: nothing is written.
    schema : Schema, optional
        Of the data; it is written with the model.
    """

    def __init__(self, steps: Any, watch: Any, path: str | os.PathLike | None, schema: Any = None):
        self.schema = schema
        self.steps, self.watch, self.path = steps, watch, path
        self.epoch, self.batches = 0, 0  # done: whole epochs, and batches of the next
        self.options: dict[str, Any] = {}
        self.epochs = 0

    def describe(
        self, train: Batch, valid: Batch | None, epochs: int, options: dict[str, Any]
    ) -> None:
        """Take down the options: a run that is resumed must have the same."""
        steps, self.epochs = self.steps, epochs
        described = [
            (type(part).__name__, {k: _plain(v) for k, v in part.options().items()})
            for part, _ in parts(steps.optimizer)
        ]
        self.options = {
            **options,
            "patience": self.watch.patience,
            "loss": repr(steps.loss),
            "optimizer": json.loads(json.dumps(described)),
            "train": _data_digest(train),
            "valid": None if valid is None else _data_digest(valid),
        }
        pack(steps.model, steps.optimizer)  # refuses what cannot be saved before the first step
        folder = comm_of(steps.model) is not None  # then a folder, of files of all ranks
        path = Path(os.path.realpath(self.path or ""))
        check_writable(path / "index.json" if folder and path.is_dir() else path)

    def advance(self, per_epoch: int) -> None:
        """Count one more batch."""
        self.batches += 1
        if self.batches == per_epoch:
            self.epoch, self.batches = self.epoch + 1, 0

    def save(self, finished: bool = False) -> None:
        """Write the checkpoint, when there is a path."""
        if self.path is None:
            return
        steps, watch = self.steps, self.watch
        header, arrays = pack(steps.model, steps.optimizer, self.schema)
        arrays[_RECENT] = np.array(steps.recent, np.float64).reshape(-1, 3)
        if watch.best and not finished:
            arrays.update({_BEST + name: array for name, array in watch.best.arrays.items()})
        position = {
            "epoch": self.epoch,
            "batches": self.batches,
            "step": steps.count,
            "seconds": steps.seconds,
            "records": watch.history.records,
            "since_best": watch.since_best,
            "best_steps": watch.best.num_steps if watch.best else [],
            "stopped_early": watch.history.stopped_early,
            "finished": finished,
            "epochs": self.epochs,
            "options": self.options,
        }
        header["training"] = json.dumps(position)
        store(self.path, steps.model, header, arrays)

    def restore(self, epochs: int) -> bool:
        """Go to where the checkpoint is; return whether there is nothing left to do.

        ValueError when the run that was saved had other options; nothing has been changed then.
        """
        assert self.path is not None
        if not Path(self.path).is_file() and index_of(self.path) is None:
            if self.steps.blocks.is_first():
                line = say("no checkpoint at {path}: the run begins anew", path=self.path)
                print(line, file=sys.stderr)
            return False
        header, arrays = read(self.path)
        position = self._position(header)
        self._check_options(position, epochs)
        recent = [(float(a), float(b), int(n)) for a, b, n in arrays.get(_RECENT, ())]
        arrays = own_arrays(self.steps.model, arrays)
        own = {k.removeprefix(_BEST): v for k, v in arrays.items() if k.startswith(_BEST)}
        steps, watch = self.steps, self.watch
        unpack(self.path, header, arrays, steps.model, steps.optimizer)
        self.epoch, self.batches = position["epoch"], position["batches"]
        steps.count, steps.seconds = position["step"], position["seconds"]
        steps.recent = recent
        watch.history.records[:] = position["records"]
        watch.history.stopped_early = position["stopped_early"]
        watch.since_best = position["since_best"]
        watch.best = Best(own, position["best_steps"]) if own else None
        return bool(position["finished"] and (position["stopped_early"] or epochs == self.epoch))

    def _position(self, header: dict[str, str]) -> dict[str, Any]:
        if "training" not in header:
            raise ValueError(
                f"{self.path} was not written by fit: md.load reads it, resume cannot go on"
            )
        try:
            position: dict[str, Any] = json.loads(header["training"])
            for name in ("epoch", "batches", "step", "seconds", "records", "since_best", "epochs"):
                position[name]
        except (LookupError, ValueError, TypeError) as error:
            raise ValueError(f"{self.path}: its position is damaged: {error}") from None
        return position

    def _check_options(self, position: dict[str, Any], epochs: int) -> None:
        saved = position["options"]
        differ = [
            f"{name}: {saved.get(name)} in the file, {value} here"
            for name, value in self.options.items()
            if saved.get(name) != value
        ]
        if epochs < position["epoch"] + (position["batches"] > 0):
            differ.append(f"epochs: {position['epoch']} are done, {epochs} are asked for")
        went_back = position["finished"] and not position["stopped_early"]
        if went_back and self.options["patience"] is not None and epochs > position["epochs"]:
            differ.append(f"epochs: {position['epochs']}, and the best weights were restored then")
        if differ:
            raise ValueError(
                f"{self.path} cannot be resumed, it had other options:\n  " + "\n  ".join(differ)
            )


class Interrupts:
    """Ctrl-C and SIGTERM wait for the end of a step: then the checkpoint is written.

    The signal is handed on to whoever had it before `fit`, which by default ends the run. A
    second Ctrl-C does not wait. Handlers are set in the main thread only, and only for a run with
    a checkpoint; they are restored.

    Parameters
    ----------
    run : Run
        What is saved.
    """

    def __init__(self, run: Run):
        self.run = run
        self.comm = comm_of(run.steps.model)
        self.before: dict[int, Any] = {}
        self.waiting: int | None = None

    def __enter__(self) -> Interrupts:
        if self.run.path is not None and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                handler = signal.getsignal(number)
                if handler not in (signal.SIG_IGN, None):
                    self.before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: Any) -> None:
        if self.waiting is not None:
            self._restore()
            signal.raise_signal(number)
        self.waiting = number

    def settle(self, save: bool) -> None:
        """Save when it is due, or when a signal waits; then hand the signal on."""
        number = self._agreed()  # not kept as `waiting`: one's own is the first yet, and no second
        if save or number is not None:
            self.run.save()
        if number is not None:
            self.waiting = None
            self._restore()
            signal.raise_signal(number)
            self.__enter__()  # the handler of before has returned: the run goes on

    def _agreed(self) -> int | None:
        """Return the signal that any rank has seen: all of them save after the same step."""
        if self.run.path is None or self.comm is None:
            return self.waiting
        seen = self.comm.all_reduce(np.array([self.waiting or 0]), what="signals", add=np.maximum)
        return int(seen[0]) or None

    def _restore(self) -> None:
        while self.before:
            signal.signal(*self.before.popitem())

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._restore()
        if self.waiting is not None and not isinstance(error, KeyboardInterrupt):
            signal.raise_signal(self.waiting)
        if isinstance(error, SystemError) and is_interrupt(error):
            raise KeyboardInterrupt from error


def _plain(value: Any) -> Any:
    """Describe an option, such as a schedule, so that it can be compared with one in a file."""
    if isinstance(value, functools.partial):
        named = {key: _plain(item) for key, item in value.keywords.items()}
        return [_plain(value.func), [_plain(item) for item in value.args], named]
    if callable(value):
        return f"{value.__module__}.{value.__qualname__}" if hasattr(value, "__qualname__") else "?"
    return value.item() if isinstance(value, np.generic) else value


def _data_digest(rows: Batch) -> str:
    """Return the number of rows, and a digest of the first of them."""
    digest, first = hashlib.sha256(), rows[:_SAMPLE]
    sparse = first.sparse if isinstance(first.sparse, np.ndarray) else first.sparse.values
    for array in (first.dense, sparse, first.label, first.weight):
        if array is not None:
            digest.update(np.ascontiguousarray(array))  # type: ignore[arg-type]
    return f"{len(rows)} rows, {digest.hexdigest()[:16]}"
