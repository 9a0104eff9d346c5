"""A step in K blocks: forward and backward by parts of a batch, on one thread or on several.

A batch of B rows is cut into K = `blocks` (B) parts, if there is work enough. Each part goes
forward and backward by itself, with a replica of the model. The gradients of dense parameters are
summed as a balanced binary tree over the blocks; those of a table are merged row by row, in the
order of the batch. K depends on B and on the model, never on the machine, and the tree on K alone.
So it does not matter which thread walks which block: the sum has the same bits.

    ((g_0 + g_1) + (g_2 + g_3))        K = 4; each + is done by whoever brings its second part
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from threading import Lock
from typing import Any

import numpy as np

from minidlrm.arrays import as_size
from minidlrm.data.batch import Batch
from minidlrm.data.cutting import Rows
from minidlrm.guard import grad_norm
from minidlrm.losses import Loss
from minidlrm.machine import cores, one_blas_thread, resting, set_blas_threads
from minidlrm.module import Module
from minidlrm.parameter import SparseGrad

__all__ = [
    "Blocks",
    "Team",
    "TreeSum",
    "add_both",
    "add_gradients",
    "block_of",
    "blocks",
    "blocks_for",
    "cut",
    "ends_of",
    "merged",
]

# Measured with DLRM, on two threads and on one; see docs/blocks.md.
_FIRST = 128  # rows of a batch that is cut in two
_ROWS = 512  # of a block, at least, where there are more than two
_MOST = 64  # blocks
_LIGHT = 1e-3  # seconds: a block of less work is not worth its calls, about 0.2 ms

Gradient = None | np.ndarray | list[SparseGrad]  # of a table: those of its blocks, in their order


def blocks(rows: int) -> int:
    """Return K, the number of blocks of a batch: a power of two that depends on its size alone.

    Parameters
    ----------
    rows : int
        B.

    Examples
    --------
    >>> from minidlrm.blocks import blocks
    >>> [blocks(rows) for rows in (1, 127, 128, 1024, 2048, 8192, 65536)]
    [1, 1, 2, 2, 4, 16, 64]
    """
    rows = as_size("rows", rows, 0)
    if rows < _FIRST:
        return 1
    whole = max(2, min(_MOST, rows // _ROWS))
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
    """Return where each of `count` blocks of a batch ends, after a 0; their sizes differ by one.

    Examples
    --------
    >>> from minidlrm.blocks import ends_of
    >>> ends_of(10, 4)
    [0, 2, 5, 7, 10]
    """
    return [rows * k // count for k in range(count + 1)]


def block_of(rows: Batch | Rows, k: int, count: int) -> Batch:
    """Return block k of `count`; of rows that are not read yet it reads these alone."""
    first, last = ends_of(len(rows), count)[k : k + 2]
    return rows[first:last]


def cut(batch: Batch, count: int) -> list[Batch]:
    """Cut a batch into `count` parts, whose sizes differ by one at most."""
    if count == 1:
        return [batch]
    return [batch[first:last] for first, last in itertools.pairwise(ends_of(len(batch), count))]


class TreeSum:
    """The sum of `count` leaves as a balanced binary tree, whoever brings them, in any order.

    The nodes have the numbers of a heap: 1 is the root, node n has the children 2 n and 2 n + 1,
    and leaf k is the node `count` + k.

    Parameters
    ----------
    count : int
        A power of two.
    add : callable
        The sum of two values, the left one first.

    Examples
    --------
    >>> from minidlrm.blocks import TreeSum
    >>> tree = TreeSum(4, lambda a, b: f"({a} + {b})")
    >>> for k in (2, 0, 3, 1):
    ...     tree.put(k, k)
    >>> tree.total()
    '((0 + 1) + (2 + 3))'
    """

    def __init__(self, count: int, add: Callable[[Any, Any], Any]):
        self.count, self.add = as_size("count", count), add
        if count & (count - 1):
            raise ValueError(f"count is {count}: it must be a power of two")
        self.lock = Lock()
        self.waiting: dict[int, Any] = {}  # values whose neighbour is still to come

    def put(self, leaf: int, value: Any) -> None:
        """Take the value of a leaf, and add all that is complete with it."""
        node = self.count + leaf
        while node > 1:
            with self.lock:
                if node ^ 1 not in self.waiting:
                    self.waiting[node] = value
                    return
                other = self.waiting.pop(node ^ 1)
            value = self.add(other, value) if node % 2 else self.add(value, other)
            node //= 2
        self.waiting[1] = value

    def total(self) -> Any:
        """Return the sum of all leaves."""
        return self.waiting[1]


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
    ...     team.sum(4, lambda k: [k], operator.add)
    [0, 1, 2, 3]
    """

    def __init__(self, workers: int | None = None):
        self.workers = cores() if workers is None else as_size("workers", workers)
        self.pool: ThreadPoolExecutor | None = None
        self.limit = one_blas_thread()
        self.before: Team | None = None  # of the same thread, opened before

    def __enter__(self) -> Team:
        self.limit.__enter__()
        self.before, resting.team = resting.team, self
        return self

    def __exit__(self, *error: Any) -> None:
        resting.team = self.before
        try:
            if self.pool is not None:
                self.pool.shutdown()
        finally:
            self.pool = None
            self.limit.__exit__(None, None, None)

    def sum(self, count: int, leaf: Callable[[int], Any], add: Callable[[Any, Any], Any]) -> Any:
        """Return the `TreeSum` of leaf(0), leaf(1), ...; `count` of them; errors as `walk`."""
        tree = TreeSum(count, add)
        self.walk(range(count), lambda k: tree.put(k, leaf(k)), self.workers)
        return tree.total()

    def walk(self, items: Sequence[int], visit: Callable[[int], Any], workers: int) -> None:
        """Visit all items, on at most this many threads.

        When visits fail, the error of the first item is raised, as one thread would have met it.
        """
        left, errors = list(reversed(items)), {}

        def work() -> None:
            while left:
                try:
                    k = left.pop()
                except IndexError:  # another thread was faster
                    return
                try:
                    visit(k)
                except Exception as error:
                    errors[k] = error
                    left.clear()

        before, resting.team = resting.team, None
        helpers = self._start(work, min(workers, len(items)) - 1)
        try:
            work()
        finally:
            left.clear()  # after Ctrl-C nobody takes another one
            wait(helpers)
            resting.team = before
        if errors:
            raise errors[min(errors)]

    def _start(self, work: Callable[[], None], count: int) -> list[Future[None]]:
        if count < 1:
            return []
        if self.pool is None:
            self.pool = ThreadPoolExecutor(self.workers - 1, "minidlrm", set_blas_threads)
        helpers = []
        for _ in range(count):
            try:  # np.errstate of the thread that calls holds in all of them
                helpers.append(self.pool.submit(copy_context().run, work))
            except RuntimeError:  # the system allows no more threads: those that there are do it
                break
        return helpers


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

    def take(self, rows: Batch | Rows) -> float:
        """Return the loss of a batch, and leave its gradients in the model.

        Of a batch that is not read yet, whoever walks a block reads its rows. Where the loss is not
        finite, some of the gradients are missing.
        """
        count = self.count(len(rows))
        if count == 1:
            return self._pass(0, rows[:])
        try:
            value, gradients = self._sum(rows, count)
        except Exception:
            self._pass(0, rows[:])  # the same error, which names a row of the batch
            raise
        for p, grad in zip(self.parts[0][2], gradients, strict=True):
            p.grad = merged(grad)
        return value

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

    def _sum(self, rows: Batch | Rows, count: int) -> tuple[float, list[Gradient]]:
        self.replicate(count)
        mean = self.parts[0][1].reduction == "mean"

        def leaf(k: int) -> tuple[float, list[Gradient]]:
            part = block_of(rows, k, count)
            share = len(part) / len(rows) if mean else 1.0  # dlogits are divided by B
            value = self._pass(k, part, share)
            return value * share, [_taken(p) for p in self.parts[k][2]]

        total: tuple[float, list[Gradient]] = self.team.sum(count, leaf, add_both)
        return total

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
        return grad_norm(self.parts[0][2])

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


def add_both(
    first: tuple[float, list[Gradient]], second: tuple[float, list[Gradient]]
) -> tuple[float, list[Gradient]]:
    """Add two subtrees' losses and gradients."""
    return first[0] + second[0], add_gradients(first[1], second[1])


def add_gradients(first: list[Gradient], second: list[Gradient]) -> list[Gradient]:
    """Add two subtrees' gradients, parameter by parameter; those of a table are only joined.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.blocks import add_gradients
    >>> add_gradients([np.ones(2), None], [np.ones(2), np.ones(1)])
    [array([2., 2.]), array([1.])]
    """
    return [_add(a, b) for a, b in zip(first, second, strict=True)]


def _add(a: Gradient, b: Gradient) -> Gradient:
    if a is None or b is None:
        return a if b is None else b
    if isinstance(a, list) != isinstance(b, list):  # a table that one block has used as a whole
        a, b = (merged(x).to_dense() if isinstance(x, list) else x for x in (a, b))
    return a + b


def merged(grad: Gradient) -> Any:
    """Return a sum of gradients as an optimizer takes it: None, an array or a `SparseGrad`.

    The terms of a table's row are added in the order of the blocks.
    """
    return SparseGrad.sum(grad) if isinstance(grad, list) else grad
