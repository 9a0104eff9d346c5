"""Row-wise Adagrad on columns: the mean of a row's squares needs the whole row.

The rule itself stays where it is. The ranks gather the gradients of the rows of a batch, and each
lets the optimizer update a small table (u, D) of these rows: in place of its own columns, which are
then copied back. So the order of the sum, and its bits, are those of one process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minidlrm.module import Parameter, SparseGrad
from minidlrm.optim import Optimizer, OptimizerGroup, RowwiseAdagrad
from minidlrm.parallel.sharding import ShardedEmbeddings

Tables = Mapping[Parameter, ShardedEmbeddings]


def step(optimizer: Any, parameters: list[Parameter], tables: Tables) -> None:
    """Let an optimizer, or a group of them, update parameters, of which some are sharded tables."""
    split = any(table.by == "column" and table.comm.size > 1 for table in tables.values())
    if not split or not isinstance(optimizer, (Optimizer, OptimizerGroup)):
        optimizer.step(parameters)
        return
    alone = isinstance(optimizer, Optimizer)
    groups = [(optimizer, parameters)] if alone else optimizer.groups  # type: ignore[union-attr]
    for part, own in groups:
        given = [p for p in own if p in parameters]
        if isinstance(part, RowwiseAdagrad):
            _step_whole(part, given, tables)
        else:
            part.step(given)


def _step_whole(optimizer: RowwiseAdagrad, parameters: list[Parameter], tables: Tables) -> None:
    """Let small tables of whole rows take the step in the place of columns."""
    small = {p: _small(optimizer, p, tables[p]) for p in parameters if p in tables}
    optimizer.step([small.get(p, p) for p in parameters])
    for p, whole in small.items():
        rows, mean = p.grad.rows, optimizer.state.pop(whole)["square_mean"]
        if p.value.size:
            columns = tables[p].parts[tables[p].comm.rank].columns
            p.value[rows] = whole.value[:, slice(*columns)]
        optimizer.state[p]["square_mean"][rows] = mean[: len(rows)]


def _small(optimizer: RowwiseAdagrad, p: Parameter, table: ShardedEmbeddings) -> Parameter:
    """Make the table (u, D) of the rows of this step, with their gradient and state."""
    grad, dim = table.gathered(), table.shape[1]
    value = np.zeros((len(grad.rows), dim), p.value.dtype)  # (u, D)
    own = optimizer.state.setdefault(p, {})
    mean = own.setdefault("square_mean", np.zeros(len(p.value), p.value.dtype))
    state = np.zeros(len(value), p.value.dtype)  # (u,)
    if p.value.size:
        value[:, slice(*table.parts[table.comm.rank].columns)] = p.value[p.grad.rows]
        state = mean[p.grad.rows]
    if optimizer.weight_decay:  # it is part of the squares
        value = _whole_values(value, table)
    whole = Parameter(value, p.name)
    whole.grad = SparseGrad(np.arange(len(value)), grad.values, value.shape)
    optimizer.state[whole] = {"square_mean": state}
    return whole


def _whole_values(value: np.ndarray, table: ShardedEmbeddings) -> np.ndarray:
    """Fill in the columns that the other ranks hold."""
    got = table.comm.all_gather(value, [len(value)] * table.comm.size, "rows")
    return np.hstack(
        [v[:, slice(*part.columns)] for v, part in zip(got, table.parts, strict=True) if part.rows]
    )
