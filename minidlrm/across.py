"""A step across ranks: the blocks of `minidlrm.blocks`, shared out, with the same bits.

Each rank walks K / R blocks of a batch, a whole subtree of the tree over the blocks, and sums it.
A butterfly between the ranks does the rest of the tree. The tables are on all ranks
(`minidlrm.parallel`): the ranks go through each block in step, since each pass of a table waits
for the others. A rank beyond K has no block. It goes through the first row, asks for no vectors,
and answers the others; what comes out is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minidlrm.arrays import as_size
from minidlrm.blocks import Blocks, block_of, blocks_for, ends_of
from minidlrm.data.cutting import Rows
from minidlrm.guard import grad_norm, norm_of
from minidlrm.module import Module, Parameter, SparseGrad
from minidlrm.parallel.comm import Communicator
from minidlrm.parallel.sharding import ShardedEmbeddings, collections, comm_of
from minidlrm.parallel.whole_rows import step
from minidlrm.summing import Gradient, TreeSum, add_both, gradient_of

__all__ = ["RankBlocks", "forward_on_ranks", "own_blocks", "threads_of"]


def own_blocks(comm: Communicator, count: int) -> range:
    """Return the blocks, of K, that this rank walks: K / R; or one, for ranks below K, or none.

    Examples
    --------
    >>> from minidlrm.across import own_blocks
    >>> from minidlrm.parallel import run
    >>> run(2, lambda comm: (own_blocks(comm, 4), own_blocks(comm, 1)))
    [(range(0, 2), range(0, 1)), (range(2, 4), range(1, 1))]
    """
    each = max(1, count // comm.size)
    return range(min(count, comm.rank * each), min(count, (comm.rank + 1) * each))


@contextmanager
def _idle(tables: list[ShardedEmbeddings]) -> Iterator[None]:
    """Let tables ask for nothing, and answer the other ranks."""
    for part in tables:
        part.idle = True
    try:
        yield
    finally:
        for part in tables:
            part.idle = False


def forward_on_ranks(model: Module, rows: Rows) -> np.ndarray:
    """Return the outputs (B,) of a batch, to all ranks: each goes forward with its blocks."""
    comm, count = _comm(model), blocks_for(model, len(rows))
    ends = ends_of(len(rows), count)
    mine = own_blocks(comm, count)
    if mine:
        y = np.concatenate([model.forward(block_of(rows, k, count)) for k in mine])
    else:
        with _idle(collections(model)):
            y = model.forward(rows[:1])[:0]
    each, last = max(1, count // comm.size), min(count, comm.size)
    lengths = [ends[(r + 1) * each] - ends[r * each] if r < last else 0 for r in range(comm.size)]
    return np.concatenate(comm.all_gather(y, lengths, "outputs"))


def threads_of(model: Module, workers: int | None) -> int | None:
    """Return `workers`, or 1 for a model on ranks; ValueError when it is to have several."""
    if comm_of(model) is None:
        return workers
    if workers is not None and as_size("workers", workers) > 1:
        raise ValueError(f"workers is {workers}: a rank has one thread; take more ranks")
    return 1


def _comm(model: Module) -> Communicator:
    comm = comm_of(model)
    if comm is None:
        raise ValueError("the model has no tables on ranks: make it in parallel.sharded")
    return comm


class RankBlocks(Blocks):
    """The forward and the backward pass of a training step, on all ranks.

    Parameters
    ----------
    model, loss, team
        As `Blocks`; the model's tables are sharded.
    """

    lockstep = True

    def __init__(self, model: Module, loss: Any, team: Any):
        super().__init__(model, loss, team)
        self.comm = _comm(model)
        self.tables = {part.weight: part for part in collections(model)}

    def take(self, rows: Any) -> float:
        """Return the loss of a batch, and leave in the model the gradients of its parameters.

        Of the batch's `Rows` each rank reads its own. The gradients of tables are of the rows
        that the rank holds.
        """
        count, mine = self.count(len(rows)), own_blocks(self.comm, self.count(len(rows)))
        self.replicate(count)
        tree, sums = TreeSum(max(1, len(mine)), add_both), []
        for j, k in enumerate(mine or [0]):
            total, by_rank = self._leaf(k, rows, count, idle=not mine)
            tree.put(j, total)
            sums.append(by_rank)
        busy = min(count, self.comm.size)
        value, gradients = tree.total()
        value = float(self.comm.all_reduce(np.array([value]), busy, "loss")[0])
        gradients = self._reduced(gradients, busy)
        for n, p in enumerate(self.parts[0][2]):
            p.grad = self._of_rows(p, sums) if p in self.tables else gradient_of([gradients[n]])
        return value

    def _leaf(
        self, k: int, rows: Rows, count: int, idle: bool
    ) -> tuple[tuple[float, list[Gradient]], dict[int, list[SparseGrad]]]:
        """Walk block k: return the loss and the dense gradients; and those of tables, by rank."""
        model, loss, parameters = self.parts[k]
        tables = collections(model)
        part = rows[:1] if idle else block_of(rows, k, count)
        mean = count > 1 and loss.reduction == "mean"
        share = len(part) / len(rows) if mean else 1.0
        for each in tables:
            each.collect, each.by_rank, each.idle = True, None, idle
        try:
            value = self._pass(k, part, *([share] if count > 1 else []))
            by_rank = {n: each.by_rank or [] for n, each in enumerate(tables)}
        finally:
            for each in tables:
                each.collect, each.by_rank, each.idle = False, None, False
        gradients: list[Gradient] = [p.grad for p in parameters]
        for p in parameters:
            p.grad = None
        if any(isinstance(grad, SparseGrad) for grad in gradients):
            raise TypeError("a table that is not sharded has a sparse gradient: make it in sharded")
        return (value * share, gradients), by_rank

    def _reduced(self, gradients: list[Gradient], busy: int) -> list[Gradient]:
        """Add up dense gradients over the ranks: one array of all of one dtype, as a butterfly."""
        reduced = list(gradients)
        arrays = {n: g for n, g in enumerate(gradients) if isinstance(g, np.ndarray)}
        for dtype in sorted({g.dtype.str for g in arrays.values()}):
            own = {n: g for n, g in arrays.items() if g.dtype.str == dtype}
            flat = np.concatenate([g.ravel() for g in own.values()])
            flat = self.comm.all_reduce(flat, busy)
            ends = np.cumsum([g.size for g in own.values()])
            for (n, g), piece in zip(own.items(), np.split(flat, ends[:-1]), strict=True):
                reduced[n] = piece.reshape(g.shape)
        return reduced

    def _of_rows(self, p: Parameter, sums: list[dict[int, list[SparseGrad]]]) -> SparseGrad:
        """Merge the gradients of a table's rows in the order of the blocks: rank by rank."""
        n = list(self.tables).index(p)
        ordered = [each[n][r] for r in range(self.comm.size) for each in sums if each[n]]
        filled = [grad for grad in ordered if len(grad.rows)]
        return SparseGrad.sum(filled or ordered[:1])

    def is_first(self) -> bool:
        """Whether this is rank 0."""
        return self.comm.rank == 0

    def grad_norm(self, exact: bool) -> float:
        """Return the norm of all gradients, on all ranks.

        With `exact`, all rows are gathered, and the bits are those of one process. Otherwise each
        rank's squares are added up, which is another order.
        """
        parameters = self.parts[0][2]
        if exact:
            used = [p for p in parameters if p.grad is not None]
            return norm_of(
                self.tables[p].gathered().values if p in self.tables else p.grad for p in used
            )
        dense = grad_norm([p for p in parameters if p not in self.tables])
        mine = np.array([norm_of(p.grad.values for p in self.tables) ** 2])
        return float(np.sqrt(dense**2 + self.comm.all_reduce(mine, what="norm")[0]))

    def step(self, optimizer: Any) -> None:
        """Let the optimizer update what this rank holds."""
        step(optimizer, self.parts[0][2], self.tables)
