"""ShardedEmbeddings: the tables of a model, each rank with a part of them.

It takes and gives what `EmbeddingBagCollection` does, so that a model does not know of it. Each
rank brings its own samples. They visit the ranks that hold their rows, and come back as vectors:

    forward    ids to the owners           vectors back       (all to all, twice)
    backward   gradients to the owners                        (all to all, once)

All sums keep the order that they have in one process. By table and by column an owner pools whole
bags. By row an owner sends rows, and not partial sums: the rank of the sample adds them, in the
order of the bag.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from minidlrm import kernels
from minidlrm.arrays import check_room, check_type, check_word
from minidlrm.data.batch import Jagged
from minidlrm.layers.embedding import EmbeddingBagCollection, Lookup, bag_places, made_by
from minidlrm.layers.inputs import converted
from minidlrm.module import Module, SparseGrad
from minidlrm.parallel.comm import Communicator
from minidlrm.parallel.parts import WAYS, shared_out
from minidlrm.parameter import grouped

__all__ = ["ShardedEmbeddings", "collections", "comm_of", "sharded"]

Grads = list[SparseGrad]


@contextmanager
def sharded(comm: Communicator, by: str = "table") -> Iterator[None]:
    """Share out the tables of all models that are made, or loaded, in this block.

    `fit`, `predict`, `evaluate` and `save` of such a model are collective: all ranks call them
    with the same arguments, and get the same results.

    Parameters
    ----------
    comm : Communicator
        The ranks.
    by : "table", "row" or "column"
        Whether a rank holds whole tables, some rows of each table, or some columns of all.

    Examples
    --------
    >>> import minidlrm as md
    >>> clicks = md.data.synthetic_clicks(rows=2000, seed=0)
    >>> def work(comm):
    ...     with md.parallel.sharded(comm, by="row"):
    ...         model = md.DLRM.for_data(clicks, embedding_dim=8)
    ...     md.fit(model, clicks, batch_size=256, progress=False)
    ...     return md.evaluate(model, clicks)["auc"], model.embeddings.weight.value.shape[0]
    >>> (auc, rows), (same, others) = md.parallel.run(2, work)
    >>> auc == same, rows + others == sum(clicks.table_sizes)
    (True, True)
    """
    check_type("comm", comm, Communicator)
    check_word("by", by, *WAYS)
    with made_by(partial(ShardedEmbeddings, comm=comm, by=by)):
        yield


def collections(model: Module) -> list[ShardedEmbeddings]:
    """Return the sharded tables of a model, in the order of definition."""
    parts = (part for _, part in model.named_modules())
    return [part for part in parts if isinstance(part, ShardedEmbeddings)]


def comm_of(model: Module) -> Communicator | None:
    """Return the ranks that a model's tables are on; None when it is whole.

    ValueError when some of its tables are sharded, and others not.
    """
    mine = collections(model)
    for name, part in model.named_modules():
        whole = isinstance(part, EmbeddingBagCollection) and part not in mine
        if mine and whole:
            raise ValueError(f"{name} is not sharded: make it in the same block as the others")
    return mine[0].comm if mine else None


class ShardedEmbeddings(EmbeddingBagCollection):
    """An `EmbeddingBagCollection` of which each rank holds a part; `sharded` makes it.

    Parameters
    ----------
    table_sizes, embedding_dim, mode, shared, rng, dtype
        As `EmbeddingBagCollection`: of the whole. The values are the same.
    comm : Communicator
        The ranks.
    by : "table", "row" or "column"
        How the rows are shared out.

    Attributes
    ----------
    weight : Parameter
        What this rank holds.
    parts : list of Part
        What each rank holds.
    by_rank : list of SparseGrad, or None
        While blocks are walked (`collect`), the gradients of this rank's rows by the samples of
        each rank: `weight.grad` is left alone.
    """

    collect = False  # while blocks are walked: gradients are left in by_rank
    idle = False  # this rank has no samples in this step: it answers the others
    by_rank: Grads | None = None

    def forward(self, sparse: np.ndarray | Jagged) -> np.ndarray:
        """Look up this rank's samples -> y (B, T, D); errors as `EmbeddingBagCollection`."""
        lookup = self.lookup(sparse)
        batch_size = len(lookup[0] if lookup[1] is None else lookup[1][1:]) // self.num_tables
        shape = batch_size, self.num_tables, self.shape[1]
        if self.idle:
            nothing = np.zeros(0, np.int64), None if lookup[1] is None else np.zeros(1, np.int64)
            lookup, batch_size = (*nothing, None), 0
        if self.by == "row":
            y, kept = self._rows_from_owners(lookup)
        else:
            y, kept = self._vectors_from_owners(lookup, batch_size)
        self.keep(shape, kept)
        return np.zeros(shape, y.dtype) if self.idle else y

    def backward(self, dy: np.ndarray) -> None:
        """Add dL/dW to the gradients of the rows' owners.

        The terms are those of `EmbeddingBagCollection.backward`, and so is their order: first by
        rank, then by sample. By table and by column dy travels to the owners, who do the
        scatter-add. By row the rank of the samples does it, and sends each owner the sums of its
        rows. No gradient of per_sample_weights is returned: they are data here.
        """
        shape, kept = self.kept()
        dy = converted("dy", self.check_dy(dy, shape), self.weight.value.dtype)
        dy = dy[:0] if self.idle else dy
        grads = self._sums_to_owners(dy, kept) if self.by == "row" else self._to_owners(dy, kept)
        if self.collect:
            before = self.by_rank
            self.by_rank = [a + b for a, b in zip(before, grads, strict=True)] if before else grads
        else:
            self.weight.add_grad(SparseGrad.sum(grads))

    # By table, by column: vectors travel

    def _vectors_from_owners(self, lookup: Lookup, batch_size: int) -> tuple[np.ndarray, Any]:
        """Send ids to the owners of their tables; get their vectors."""
        asked = self._ask(lookup, batch_size)
        table, (_, dim) = self.weight.value, self.parts[self.comm.rank].shape
        mine = len(self.tables_of[self.comm.rank])
        answers = []
        for rows, offsets, scale in asked:
            if offsets is None:
                answers.append(kernels.gather(table, rows).ravel())
            elif len(rows) or mine:
                answers.append(kernels.gather_bags(table, rows, offsets, scale, mine).ravel())
            else:
                answers.append(table[:0, 0])
        widths = [
            len(t) * part.shape[1] for t, part in zip(self.tables_of, self.parts, strict=True)
        ]
        got = self.comm.all_to_all(answers, [batch_size * w for w in widths], "vectors")
        y = np.empty((batch_size, self.num_tables, self.shape[1]), table.dtype)  # (B, T, D)
        for r, vectors in enumerate(got):
            tables, part = self.tables_of[r], self.parts[r]
            shape = batch_size, len(tables), part.shape[1]
            y[:, tables, slice(*part.columns)] = vectors.reshape(shape)
        return y, (asked, mine, dim)

    def _ask(self, lookup: Lookup, batch_size: int) -> list[Lookup]:
        """Send each owner the lookups of its tables; return those that this rank is asked for."""
        bags, weighted = lookup[1] is not None, lookup[2] is not None
        picked = [self._of_tables(lookup, tables, batch_size) for tables in self.tables_of]
        heads = [np.array([[len(p[0]), batch_size, bags, weighted]], np.int64) for p in picked]
        got = np.concatenate(self.comm.all_to_all(heads, [1] * self.comm.size, "headers"))
        numbers, sizes = got[:, 0].tolist(), got[:, 1]
        asked = self.comm.all_to_all([p[0] for p in picked], numbers, "ids")
        mine = len(self.tables_of[self.comm.rank])
        ends: list[Any] = [None] * self.comm.size
        if got[:, 2].any():
            lengths = [np.diff([] if p[1] is None else p[1]).astype(np.int64) for p in picked]
            there = self.comm.all_to_all(lengths, (mine * sizes).tolist(), "bags")
            ends = [np.concatenate([[0], np.cumsum(x)]).astype(np.int64) for x in there]
        scales: list[Any] = [None] * self.comm.size
        if got[:, 3].any():
            dtype = self.weight.value.dtype
            factors = [np.zeros(0, dtype) if p[2] is None else p[2] for p in picked]
            scales = self.comm.all_to_all(factors, numbers, "weights")
        return [(self._local(x), o, s) for x, o, s in zip(asked, ends, scales, strict=True)]

    def _of_tables(self, lookup: Lookup, tables: list[int], batch_size: int) -> Lookup:
        """Return the lookup of some tables alone; its rows are those of the whole array."""
        rows, offsets, scale = lookup
        if offsets is None:
            return rows.reshape(-1, self.num_tables)[:, tables].ravel(), None, None
        bags = (np.array(tables, np.int64)[:, None] * batch_size + np.arange(batch_size)).ravel()
        lengths = np.diff(offsets)[bags]
        ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        index = np.arange(ends[-1]) + np.repeat(offsets[:-1][bags] - ends[:-1], lengths)
        return rows[index], ends, None if scale is None else scale[index]

    def _to_owners(self, dy: np.ndarray, kept: Any) -> Grads:
        """Send gradients of vectors (B, T, D) to the owners; return those of this rank's rows."""
        asked, mine, dim = kept
        sends = [
            dy[:, tables, slice(*part.columns)].ravel()
            for tables, part in zip(self.tables_of, self.parts, strict=True)
        ]
        numbers = [len(r) if o is None else len(o) - 1 for r, o, _ in asked]  # vectors
        got = self.comm.all_to_all(sends, [n * dim for n in numbers], "gradients")
        grads, shape = [], self.weight.value.shape
        for (rows, offsets, scale), dvectors in zip(asked, got, strict=True):
            unique, order, ends = grouped(rows, max(1, shape[0]))
            source = None if offsets is None else bag_places(offsets, max(1, mine))
            sums = kernels.add_groups(order, ends, dvectors.reshape(-1, shape[1]), source, scale)
            grads.append(SparseGrad(unique, sums, shape))
        return grads

    # By row: rows travel

    def _rows_from_owners(self, lookup: Lookup) -> tuple[np.ndarray, Any]:
        """Get each row that the samples name, once, and pool here."""
        rows, offsets, scale = lookup
        unique, order, ends = grouped(rows, self.shape[0])  # (u,), (n,), (u + 1,)
        owner = self._owner(unique)  # (u,)
        places = [np.flatnonzero(owner == r) for r in range(self.comm.size)]
        asked = self.comm.all_to_all([unique[p] for p in places], what="ids")
        asked = [self._local(x) for x in asked]
        table = self.weight.value
        answers = [kernels.gather(table, x).ravel() for x in asked]
        got = self.comm.all_to_all(answers, [len(p) * self.shape[1] for p in places], "vectors")
        small = np.empty((len(unique), self.shape[1]), table.dtype)  # (u, D): rows of the samples
        for place, values in zip(places, got, strict=True):
            small[place] = values.reshape(-1, self.shape[1])
        inverse = np.empty(len(rows), np.int64)  # (n,): the row of each id, in small
        inverse[order] = np.repeat(np.arange(len(unique)), np.diff(ends))
        source = None
        if offsets is None or self.idle:
            y = kernels.gather(small, inverse).reshape(-1, self.num_tables, self.shape[1])
        else:
            y = kernels.gather_bags(small, inverse, offsets, scale, self.num_tables)
            source = bag_places(offsets, self.num_tables)
        return y, (order, ends, source, scale, places, asked)

    def _sums_to_owners(self, dy: np.ndarray, kept: Any) -> Grads:
        """Add up the gradients of each row, and send the sums to its owner."""
        order, ends, source, scale, places, asked = kept
        sums = kernels.add_groups(order, ends, dy.reshape(-1, self.shape[1]), source, scale)
        sends = [sums[place].ravel() for place in places]
        got = self.comm.all_to_all(sends, [len(x) * self.shape[1] for x in asked], "gradients")
        shape = self.weight.value.shape
        pairs = zip(asked, got, strict=True)
        return [SparseGrad(rows, values.reshape(-1, shape[1]), shape) for rows, values in pairs]

    def _owner(self, rows: np.ndarray) -> np.ndarray:
        """Return the rank of each row of the whole array."""
        return self._owners[np.searchsorted(self._firsts, rows, "right") - 1]

    def _local(self, rows: np.ndarray) -> np.ndarray:
        """Return the place, on this rank, of rows that it holds."""
        return rows - self._shifts[np.searchsorted(self._own_firsts, rows, "right") - 1]

    def gathered(self) -> SparseGrad:
        """Return the gradient of the whole array, to all ranks, rows in order."""
        grad, part = self.weight.grad, self.parts[self.comm.rank]
        lengths = [b - a for a, b in part.rows]
        shifts = self._own_firsts - np.cumsum([0, *lengths])[:-1].astype(np.int64)
        ends = np.cumsum(lengths).astype(np.int64)
        rows = grad.rows + shifts[np.searchsorted(ends, grad.rows, "right")]
        numbers = self.comm.all_gather(rows, what="rows")
        widths = [each.shape[1] for each in self.parts]
        sizes = [len(n) * w for n, w in zip(numbers, widths, strict=True)]
        values = self.comm.all_gather(grad.values.ravel(), sizes, "rows")
        pairs = zip(values, numbers, strict=True)
        blocks = [v.reshape(len(n), -1) for v, n in pairs if len(n)] or [grad.values]
        if self.by == "column":
            return SparseGrad(rows if len(rows) else numbers[0], np.hstack(blocks), self.shape)
        return SparseGrad(np.concatenate(numbers), np.concatenate(blocks), self.shape)

    # Making it

    def __init__(self, *arguments: Any, comm: Communicator, by: str, **options: Any):
        self.comm, self.by = comm, by
        super().__init__(*arguments, **options)

    def _storage(self, own: list[int], dim: int, dtype: Any) -> np.ndarray:
        """Return the array of this rank's part."""
        self._shape = sum(own), dim
        self.parts = shared_out(self.by, own, dim, self.comm.size)
        ranges = sorted((a, b, r) for r, part in enumerate(self.parts) for a, b in part.rows)
        self._firsts = np.array([a for a, _, _ in ranges], np.int64)
        self._owners = np.array([r for _, _, r in ranges], np.int64)
        part = self.parts[self.comm.rank]
        lengths = [b - a for a, b in part.rows]
        self._own_firsts = np.array([a for a, _ in part.rows], np.int64)
        self._shifts = self._own_firsts - np.cumsum([0, *lengths])[:-1].astype(np.int64)
        first = self.starts[:-1] + self._shift  # (T,): the first row of each table, or its other's
        self.tables_of = [
            [t for t in range(len(first)) if any(a <= first[t] < b for a, b in each.rows)]
            for each in self.parts
        ]
        check_room("table_sizes or embedding_dim", *part.shape)
        return np.empty(part.shape, dtype)

    def _put(self, first: int, values: np.ndarray) -> None:
        part = self.parts[self.comm.rank]
        for row, place in part.within(first, first + len(values)):
            rows = values[row - first : row - first + place.stop - place.start]
            self.weight.value[place] = rows[:, slice(*part.columns)]

    @property
    def shape(self) -> tuple[int, int]:
        """(S, D): of the whole."""
        return self._shape

    def table(self, t: int) -> np.ndarray:
        """Raise ValueError: a table may be on other ranks. `minidlrm.load` reads it whole."""
        raise ValueError(f"table {t} is shared out by {self.by}: save the model, and load it whole")

    def __repr__(self) -> str:
        return f"Sharded{super().__repr__()[:-1]}, by {self.by} on {self.comm.size} ranks)"
