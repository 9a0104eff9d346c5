"""Planning: what each way to share out the tables costs, before any table is made.

A model is outlined: all its parts, with tables that have a size and no numbers. From it follow the
memory of a rank, and the bytes and messages of a step, by the formulas below. A run counts the same
bytes (`Communicator.totals`).

With B rows, T columns of one id each, D numbers of s bytes, R ranks with equally many rows, and P
parameters outside the tables, all ranks together send in a step:

    by table, by column    vectors, and gradients, each    s B T D (R - 1) / R
    by row, at most        vectors, and gradients, each    s B T D (R - 1) / R
    by table, by row       ids                             8 B T (R - 1) / R
    by column              ids                             8 B T (R - 1)
    all                    sum of the dense gradients      s P R log2 R      (a butterfly)
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidlrm.arrays import check_word
from minidlrm.languages import Message, joined
from minidlrm.layers.embedding import EmbeddingBagCollection, made_by
from minidlrm.module import Module
from minidlrm.optim import Optimizer
from minidlrm.parallel.comm import as_ranks
from minidlrm.parallel.parts import WAYS, Part, shared_out

__all__ = ["Outline", "Plan", "choose", "memory", "outline", "plans"]


class Outline(EmbeddingBagCollection):
    """Tables that have a size and no numbers; what a plan needs to know of them."""

    def _storage(self, own: list[int], dim: int, dtype: Any) -> np.ndarray:
        self.own, self._shape = own, (sum(own), dim)
        return np.empty((0, dim), dtype)

    def fill(self, *arguments: Any, **options: Any) -> None:
        """Leave all as it is."""

    @property
    def shape(self) -> tuple[int, int]:
        """(S, D)."""
        return self._shape

    def tables_of(self, part: Part) -> int:
        """Return how many columns of ids a part has the rows of."""
        first = self.starts[:-1] + self._shift
        return sum(any(a <= row < b for a, b in part.rows) for row in first.tolist())


def outline(make: Callable[[], Module]) -> Module:
    """Return the model that `make` makes, with an `Outline` in the place of its tables.

    Examples
    --------
    >>> import minidlrm as md
    >>> from minidlrm.parallel.planning import outline
    >>> outline(lambda: md.DLRM(13, [10**9] * 26)).embeddings
    EmbeddingBagCollection(26 tables, 26,000,000,000 rows, D=16)
    """
    with made_by(Outline):
        return make()


@dataclass(frozen=True)
class Plan:
    """What a way to share out the tables costs.

    Parameters
    ----------
    by : str
        The way.
    memory : int
        Bytes of the rank that holds most: its part of the tables, all other parameters and their
        gradients, and the optimizer's state.
    sent : dict of str to int
        Bytes of a step, of all ranks, by what they are for: the names of `Communicator.sent`.
    busiest : int
        Bytes that the rank with most of them sends or gets in a step; where the tables are not
        even, more than its share.
    messages : int
        Messages that a rank sends in a step.
    """

    by: str
    memory: int
    sent: dict[str, int]
    busiest: int
    messages: int

    @property
    def bytes(self) -> int:
        """Bytes of a step, of all ranks."""
        return sum(self.sent.values())


def plans(
    model: Module,
    ranks: int,
    batch_size: int,
    blocks: int,
    optimizer: Optimizer | None = None,
    per_bag: float = 1.0,
) -> list[Plan]:
    """Return the plan of each way, for a model that is outlined.

    Parameters
    ----------
    model : Module
        From `outline`.
    ranks, batch_size : int
        R and B.
    blocks : int
        K; ranks beyond it hold rows, and have no samples.
    optimizer : Optimizer, optional
        Whose state is part of the memory; row-wise Adagrad has one number for a row of a table.
    per_bag : float
        Ids a bag, on average: more than one id makes bytes an estimate.

    Examples
    --------
    >>> import minidlrm as md
    >>> from minidlrm.parallel.planning import outline, plans
    >>> model = outline(lambda: md.DLRM(13, [1000] * 8, 16, (64,), (64,)))
    >>> table, row, column = plans(model, ranks=4, batch_size=1024, blocks=4)
    >>> table.sent["vectors"] == 4 * 1024 * 8 * 16 * 3 // 4, column.sent["ids"] == 8 * 1024 * 8 * 3
    (True, True)
    """
    as_ranks(ranks)
    return [_plan(by, model, ranks, batch_size, blocks, optimizer, per_bag) for by in WAYS]


def _plan(
    by: str,
    model: Module,
    ranks: int,
    batch: int,
    blocks: int,
    optimizer: Optimizer | None,
    per_bag: float,
) -> Plan:
    tables = [part for _, part in model.named_modules() if isinstance(part, Outline)]
    own = {part.weight for part in tables}
    outside = [p.value for p in model.parameters() if p not in own]
    dense = sum(value.nbytes for value in outside)
    always = 2 * dense  # with gradients
    always += sum(value.itemsize * _state(optimizer, value.shape, 0) for value in outside)
    rows = _rows_of_ranks(ranks, batch, blocks)
    rounds, others = max(1, blocks // ranks), ranks - 1
    sent = {"headers" if by != "row" else "lengths": 0, "ids": 0, "vectors": 0, "gradients": 0}
    held: Any = np.zeros(ranks, np.int64)  # bytes of the tables, on each rank
    moved: Any = np.zeros(ranks, np.int64)  # bytes that it sends or gets
    for table in tables:
        size = table.weight.value.itemsize
        parts = shared_out(by, table.own, table.shape[1], ranks)
        shapes = [part.shape for part in parts]
        held += np.array([size * (math.prod(s) + _state(optimizer, s, -1)) for s in shapes])
        ids, numbers = _travelling(by, table, parts, rows)  # (R, R), (R, R)
        if per_bag != 1:  # an owner pools a bag, but by row it sends each row
            ids = np.rint(ids * per_bag).astype(np.int64)
            numbers = ids * table.shape[1] if by == "row" else numbers
        sent["ids"] += 8 * int(ids.sum())
        sent["vectors"] += size * int(numbers.sum())
        sent["gradients"] += size * int(numbers.sum())
        both = [8 * ids.sum(axis) + 2 * size * numbers.sum(axis) for axis in (0, 1)]
        moved += np.maximum(*both)
        sent["headers" if by != "row" else "lengths"] += (
            (32 if by != "row" else 8) * rounds * ranks * others
        )
    depth = ranks.bit_length() - 1  # log2 R
    sent |= {"all reduce": dense * ranks * depth}
    sent |= {"loss": 8 * ranks * depth, "norm": 8 * ranks * depth}
    messages = 4 * rounds * len(tables) * others + 3 * depth
    return Plan(by, int(held.max()) + always, sent, int(moved.max()) + dense * depth, messages)


def _state(optimizer: Optimizer | None, shape: tuple[int, ...], kind: int) -> int:
    """Return how many numbers an optimizer keeps: of the first kind of state, or of the last."""
    if optimizer is None:
        return 0
    return sum(math.prod(each) for each in optimizer.state_shapes(shape)[kind].values())


def _rows_of_ranks(ranks: int, batch: int, blocks: int) -> list[int]:
    """Return how many rows of a batch each rank has."""
    busy = min(ranks, blocks)
    ends = [batch * r // busy for r in range(busy + 1)]
    return [ends[r + 1] - ends[r] if r < busy else 0 for r in range(ranks)]


def _travelling(
    by: str, table: Outline, parts: Sequence[Part], rows: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many ids go from rank q to rank r, and numbers of vectors back: (R, R) each."""
    samples, ranks = np.array(rows, np.int64)[:, None], len(parts)  # (R, 1)
    columns, dim = table.num_tables, table.shape[1]
    if by == "row":  # at most: each id is asked for once, and 1 / R of the rows are at home
        ids = np.repeat(samples * columns // ranks, ranks, axis=1)
        numbers = ids * dim
    else:
        all_of_them = [columns if part.rows else 0 for part in parts]
        some = [table.tables_of(part) for part in parts] if by == "table" else all_of_them
        held = np.array(some, np.int64)  # (R,): columns of ids that a rank looks up
        ids = samples * held
        numbers = ids * np.array([part.shape[1] for part in parts], np.int64)
    away = 1 - np.eye(ranks, dtype=np.int64)  # what a rank asks of itself does not travel
    return ids * away, numbers * away


def memory() -> int:
    """Return the bytes of memory of this machine."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 1 << 40  # Windows


def choose(candidates: Sequence[Plan], room: int, by: str | None = None) -> tuple[Plan, str]:
    """Return the plan of the least bytes among those that fit into memory, and why it is that.

    Parameters
    ----------
    candidates : sequence of Plan
        From `plans`.
    room : int
        Bytes that a rank may have.
    by : str, optional
        The way that was asked for.

    Raises
    ------
    ValueError
        When none fits, or the one that was asked for does not.

    Examples
    --------
    >>> import minidlrm as md
    >>> from minidlrm.parallel.planning import choose, outline, plans
    >>> model = outline(lambda: md.DLRM(13, [10**7, 100, 100], 16, (64,), (64,)))
    >>> small, why = choose(plans(model, ranks=4, batch_size=1024, blocks=4), room=200 * 2**20)
    >>> small.by, why
    ('row', 'by table a rank would need 610.4 MiB of 200.0; by row it needs 152.6 MiB and a step \
sends 0.4 MB; by column 152.6 MiB and 0.5 MB')
    """
    if by is not None:
        check_word("shard", by, *WAYS)
    fits = [plan for plan in candidates if plan.memory <= room and by in (None, plan.by)]
    if not fits:
        asked = [plan for plan in candidates if by in (None, plan.by)]
        least = min(asked, key=lambda plan: plan.memory)
        raise ValueError(
            f"a rank would need {least.memory / 2**20:,.1f} MiB by {least.by}, and has "
            f"{room / 2**20:,.1f}: take more ranks, on more machines"
        )
    chosen = min(fits, key=lambda plan: plan.bytes)
    return chosen, joined((_reason(plan, chosen, room) for plan in candidates), "; ")


def _reason(plan: Plan, chosen: Plan, room: int) -> str:
    size, sent = f"{plan.memory / 2**20:,.1f} MiB", f"{plan.bytes / 1e6:,.1f} MB"
    if plan.memory > room:
        most = f"{room / 2**20:,.1f}"
        return Message(
            "by {way} a rank would need {size} of {most}", way=plan.by, size=size, most=most
        )
    if plan is chosen:
        return Message(
            "by {way} it needs {size} and a step sends {sent}", way=plan.by, size=size, sent=sent
        )
    return Message("by {way} {size} and {sent}", way=plan.by, size=size, sent=sent)
