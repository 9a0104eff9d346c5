"""A step in K blocks: forward and backward by parts of a batch, on one thread or on several.

A batch of B rows is cut into K = `blocks` (B) parts, if there is work enough. Each part goes
forward and backward by itself, with a replica of the model. The gradients of dense parameters are
summed as a balanced binary tree over the blocks (`summing`); those of a table are merged row by
row, in the order of the batch. K depends on B and on the model, never on the machine, and the tree
on K alone. So it does not matter which thread walks which block: the sum has the same bits.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any

from minidlrm.arrays import as_size
from minidlrm.data.batch import Batch
from minidlrm.data.cutting import Rows
from minidlrm.guard import square_of
from minidlrm.kernels.parts import at_once
from minidlrm.losses import Loss
from minidlrm.machine import cores, one_blas_thread, resting, set_blas_threads
from minidlrm.module import Module
from minidlrm.parameter import SparseGrad, numbers_of
from minidlrm.summing import Gradient, TreeSum, add_both, balanced, gradient_of

__all__ = ["Blocks", "Team", "block_of", "blocks", "blocks_for", "cut", "ends_of"]

# Measured on two threads and on one; see docs/blocks.md.
_FIRST = 128  # rows of a batch that is cut in two
_ROWS = 512  # of a block, about, where there are more than two
_MANY = 8  # blocks of so many rows; larger batches have blocks of twice as many
_MOST = 64  # blocks
_LIGHT = 1e-3  # seconds: a block of less work is not worth its calls, about 0.2 ms


def blocks(rows: int) -> int:
    """Return K, the number of blocks of a batch: a power of two that depends on its size alone.

    Parameters
    ----------
    rows : int
        B.

    Examples
    --------
    >>> from minidlrm.blocks import blocks
    >>> [blocks(rows) for rows in (1, 127, 128, 1024, 2048, 4096, 8192, 65536)]
    [1, 1, 2, 2, 4, 8, 8, 64]
    """
    rows = as_size("rows", rows, 0)
    if rows < _FIRST:
        return 1
    whole = max(2, min(_MANY, rows // _ROWS), min(_MOST, rows // (2 * _ROWS)))
    return 1 << (whole.bit_length() - 1)


def blocks_for(model: Module, rows: int) -> int:
    """Return `blocks` (B), or 1 for a model that is not cut.

    It is not cut when a row's output depends on other rows (`Module.by_row`), or when it is
    light: when the work of a block, by its FLOPs and bytes and not by a clock, is too little.

    Examples
    --------
    >>> import minidlrm as md
    >>> from minidlrm.blocks import blocks_for
    >>> light, heavy = md.LogisticRegression(13, [10]), md.DLRM(13, [10, 10])
    >>> blocks_for(light, 2048), blocks_for(heavy, 2048)
    (1, 4)
    """
    count = blocks(rows)
    if count == 1 or not model.is_by_row():
        return 1
    seconds = model.flops_per_sample() / 30e9 + model.bytes_per_sample() / 2e9  # both passes
    return count if seconds * rows / count >= _LIGHT else 1


def ends_of(rows: int, count: int) -> list[int]:
    """Return where each of `count` blocks of a batch ends, after a 0; their sizes are nearly equal.

    Of four or more, the first and the last but one are longer by 1/32, their neighbours shorter. So
    two threads are not in step: they would ask for the interpreter at the same moments.

    Examples
    --------
    >>> from minidlrm.blocks import ends_of
    >>> ends_of(10, 4), ends_of(2048, 4)
    ([0, 2, 5, 7, 10], [0, 528, 1024, 1552, 2048])
    """
    later = (1, count - 1) if count >= 4 else ()
    return [rows * (32 * k + (k in later)) // (32 * count) for k in range(count + 1)]


def block_of(rows: Batch | Rows, k: int, count: int) -> Batch:
    """Return block k of `count`; of rows that are not read yet it reads these alone."""
    first, last = ends_of(len(rows), count)[k : k + 2]
    return rows[first:last]


def cut(batch: Batch, count: int) -> list[Batch]:
    """Cut a batch into `count` parts, as `ends_of` says."""
    if count == 1:
        return [batch]
    return [batch[first:last] for first, last in itertools.pairwise(ends_of(len(batch), count))]


class Team:
    """Threads that walk blocks, each with BLAS at one thread, while the ``with`` block is open.

    The thread that calls is one of them. The others are started when there is work for them, and
    have ended when the block ends, also after an error or Ctrl-C.

    Parameters
    ----------
    workers : int, optional
        How many threads at most. The default is the number of cores.

    Raises
    ------
    TypeError, ValueError
        When `workers` is not a number of at least 1.

    Examples
    --------
    >>> import operator
    >>> from minidlrm.blocks import Team
    >>> with Team(2) as team:
    ...     team.tree(4, lambda k: [k], operator.add).total()
    [0, 1, 2, 3]
    """

    def __init__(self, workers: int | None = None):
        self.workers = cores() if workers is None else as_size("workers", workers)
        self.helpers: list[Thread] = []
        self.tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self.limit = one_blas_thread()
        self.before: Team | None = None  # of the same thread, opened before

    def __enter__(self) -> Team:
        self.limit.__enter__()
        self.before, resting.team = resting.team, self
        return self

    def __exit__(self, *error: Any) -> None:
        resting.team = self.before
        try:
            for _ in self.helpers:
                self.tasks.put(None)
            for helper in self.helpers:
                helper.join()
        finally:
            self.helpers = []
            self.limit.__exit__(None, None, None)

    def tree(
        self, count: int, leaf: Callable[[int], Any], add: Callable[[Any, Any], Any]
    ) -> TreeSum:
        """Return the `TreeSum` of leaf(0), leaf(1), ...; `count` of them; errors as `walk`."""
        tree = TreeSum(count, add)
        self.walk(range(count), lambda k: tree.put(k, leaf(k)), self.workers)
        return tree

    def walk(self, items: Sequence[int], visit: Callable[[int], Any], workers: int) -> None:
        """Visit all items, on at most this many threads, and no more than the team has.

        When visits fail, the error of the first item is raised, as one thread would have met it.
        """
        left, errors = list(reversed(items)), {}
        ended: SimpleQueue[None] = SimpleQueue()  # not futures: a short walk takes a third longer

        def work() -> None:
            while left:
                try:
                    k = left.pop()
                except IndexError:  # another thread was faster
                    return
                try:
                    visit(k)
                except BaseException as error:  # a SystemExit too: no item is lost
                    errors[k] = error
                    left.clear()

        def help_out() -> None:
            try:
                work()
            finally:
                ended.put(None)

        before, resting.team = resting.team, None
        count = self._call(min(workers, self.workers, len(items)) - 1)
        for _ in range(count):  # np.errstate of the thread that calls holds in all of them
            self.tasks.put(partial(copy_context().run, help_out))
        try:
            work()
        finally:
            left.clear()  # after Ctrl-C nobody takes another one
            resting.team = before
            for _ in range(count):
                ended.get()
        if errors:
            raise errors[min(errors)]

    def _call(self, count: int) -> int:
        """Have this many helpers, or as many as the system allows threads; return how many."""
        while len(self.helpers) < count:
            helper = Thread(target=self._serve, name=f"minidlrm_{len(self.helpers)}", daemon=True)
            try:
                helper.start()
            except RuntimeError:  # the system allows no more threads: those that there are do it
                break
            self.helpers.append(helper)
        return min(count, len(self.helpers))

    def _serve(self) -> None:
        """Do tasks until there is a None."""
        set_blas_threads()
        while (task := self.tasks.get()) is not None:
            task()
            del task  # it holds the arrays of a step


class Blocks:
    """The forward and the backward pass of a training step, in blocks.

    Parameters
    ----------
    model : Module
        It walks the first block, and has the gradients of the whole batch in the end.
    loss : Loss
        A mean or a sum over the rows. With another one K is 1, and so it is with a model that is
        not computed row by row (`Module.by_row`).
    team : Team
        Who walks the blocks.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> from minidlrm.blocks import Blocks, Team
    >>> model = md.LogisticRegression(1, [3])
    >>> batch = md.Batch(np.ones((4096, 1)), np.ones((4096, 1), int), np.ones(4096))
    >>> with Team() as team:
    ...     value = Blocks(model, md.BCEWithLogits(), team).take(batch)
    >>> round(value, 4), model.linear.bias.grad.tolist()
    (0.6931, [-0.5])
    """

    lockstep = False  # other ranks wait for the backward pass, whatever the loss is

    def __init__(self, model: Module, loss: Any, team: Team):
        self.team = team
        self.by_row = isinstance(loss, Loss) and loss.is_by_row()
        self.counts: dict[int, int] = {}  # K of each size of batch
        self.parts = [(model, loss, model.parameters())]
        self.squares: list[float] | None = None  # of the gradients of a batch that was cut

    def take(self, rows: Batch | Rows) -> float:
        """Return the loss of a batch, and leave its gradients in the model.

        Of a batch that is not read yet, whoever walks a block reads its rows. Where the loss is not
        finite, some of the gradients are missing.
        """
        count, self.squares = self.count(len(rows)), None
        if count == 1:
            return self._pass(0, rows[:])
        try:
            left = self._walk(rows, count)
        except Exception:
            self._pass(0, rows[:])  # the same error, which names a row of the batch
            raise
        self._add_up([gradients for _, gradients in left])
        return balanced([value for value, _ in left], operator.add)

    def count(self, rows: int) -> int:
        """Return K of a batch of this many rows."""
        if rows not in self.counts:
            self.counts[rows] = blocks_for(self.parts[0][0], rows) if self.by_row else 1
        return self.counts[rows]

    def replicate(self, count: int) -> None:
        """Have a replica for each of K blocks."""
        while len(self.parts) < count:
            model, loss, _ = self.parts[0]
            replica = model.replica()
            self.parts.append((replica, loss.replica(), replica.parameters()))

    def _walk(self, rows: Batch | Rows, count: int) -> list[tuple[float, list[Gradient]]]:
        """Walk the blocks; return the sums of losses and gradients that the tree leaves."""
        self.replicate(count)
        mean = self.parts[0][1].reduction == "mean"

        def leaf(k: int) -> tuple[float, list[Gradient]]:
            part = block_of(rows, k, count)
            share = len(part) / len(rows) if mean else 1.0  # dlogits are divided by B
            value = self._pass(k, part, share)
            return value * share, [_taken(p) for p in self.parts[k][2]]

        return self.team.tree(count, leaf, add_both).left()

    def _add_up(self, left: list[list[Gradient]]) -> None:
        """Give each parameter the sum of its gradients, and keep the square of its norm."""
        parameters, terms = self.parts[0][2], list(zip(*left, strict=True))
        squares = self.squares = [0.0] * len(parameters)

        def add_up(n: int) -> None:
            parameters[n].grad = gradient_of(terms[n])
            squares[n] = square_of(parameters[n])

        # a table's term is the list of its blocks' gradients
        flat = [[g for t in each for g in (t if isinstance(t, list) else [t])] for each in terms]
        at_once([numbers_of(*each) for each in flat], add_up)

    def _pass(self, k: int, batch: Batch, *dy: float) -> float:
        """Go forward and backward with replica k, as one would by hand."""
        model, loss, parameters = self.parts[k]
        for p in parameters:
            p.grad = None
        weight = () if batch.weight is None else (batch.weight,)
        value: float = loss.forward(model.forward(batch), batch.label, *weight)
        if self.lockstep or math.isfinite(value):
            model.backward(loss.backward(*dy))
        return value

    # What else of a step is different across ranks

    def is_first(self) -> bool:
        """Whether this is the rank that speaks for all."""
        return True

    def grad_norm(self, exact: bool) -> float:
        """Return the norm of the gradients of the whole batch."""
        return math.sqrt(sum(self.squares or map(square_of, self.parts[0][2])))

    def step(self, optimizer: Any) -> None:
        """Let the optimizer update all parameters."""
        optimizer.step(self.parts[0][2])

    def forget(self) -> None:
        """Drop the replicas: someone may have changed the model."""
        del self.parts[1:]
        self.counts.clear()


def _taken(parameter: Any) -> Gradient:
    """Take the gradient out of a parameter."""
    grad, parameter.grad = parameter.grad, None
    return [grad] if isinstance(grad, SparseGrad) else grad
