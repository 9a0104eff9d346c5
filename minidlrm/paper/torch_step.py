"""The same model in PyTorch, step for step, for the times beside ours (the extra `bench`)."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np

from minidlrm.data.batch import Batch

_OPERATIONS = {  # PyTorch's own names: whole ones, or a word of them
    "optimizer": ("Optimizer", "aten::add", "aten::add_"),  # adds a sparse gradient to a table
    "embeddings": ("embedding", "Embedding", "sparse", "aten::index_select", "aten::cumsum"),
    "interaction": ("bmm", "Bmm", "index", "Index", "stack", "cat", "Cat", "slice", "Slice"),
    "MLPs": ("addmm", "Addmm", "aten::mm", "elu", "threshold", "aten::sum", "linear", "aten::t"),
}


class TorchStep:
    """DLRM in PyTorch eager: an `nn.EmbeddingBag` a table, with sparse gradients.

    Parameters
    ----------
    num_dense, table_sizes, embedding_dim, bottom_mlp, top_mlp
        As of `minidlrm.DLRM`.
    lr : float
        Of plain SGD.
    """

    def __init__(
        self,
        num_dense: int,
        table_sizes: list[int],
        embedding_dim: int,
        bottom_mlp: tuple[int, ...],
        top_mlp: tuple[int, ...],
        lr: float,
    ):
        import torch

        torch.manual_seed(0)
        features = len(table_sizes) + 1
        pairs = features * (features - 1) // 2
        self.tables = [
            torch.nn.EmbeddingBag(n, embedding_dim, mode="sum", sparse=True) for n in table_sizes
        ]
        self.bottom = _mlp([num_dense, *bottom_mlp, embedding_dim], torch.nn.ReLU())
        self.top = _mlp([embedding_dim + pairs, *top_mlp, 1], None)
        self.rows, self.columns = torch.tril_indices(features, features, -1)
        parts = [*self.tables, self.bottom, self.top]
        self.optimizer = torch.optim.SGD([p for part in parts for p in part.parameters()], lr=lr)
        self.loss = torch.nn.BCEWithLogitsLoss()

    def inputs(self, batch: Batch) -> tuple[Any, ...]:
        """Return a batch as tensors."""
        import torch

        bags = []
        for t in range(len(self.tables)):
            ids, counts, _ = batch.bags_of(t)
            offsets = np.concatenate([[0], np.cumsum(counts)[:-1]])
            bags.append((torch.from_numpy(np.array(ids)), torch.from_numpy(offsets)))
        return torch.from_numpy(batch.dense), bags, torch.from_numpy(batch.label)

    def step(self, dense: Any, bags: Any, label: Any) -> None:
        """Take one training step."""
        import torch

        self.optimizer.zero_grad(set_to_none=True)
        x = self.bottom(dense)
        vectors = [table(*bag) for table, bag in zip(self.tables, bags, strict=True)]
        z = torch.stack([x, *vectors], dim=1)  # (B, F, D)
        products = torch.bmm(z, z.transpose(1, 2))[:, self.rows, self.columns]
        logits = self.top(torch.cat([x, products], dim=1))[:, 0]
        self.loss(logits, label).backward()
        self.optimizer.step()

    def seconds(self, batch: Batch, steps: int) -> float:
        """Return the median seconds of a step."""
        given, taken = self.inputs(batch), []
        for _ in range(steps):
            start = time.perf_counter()
            self.step(*given)
            taken.append(time.perf_counter() - start)
        return float(np.median(taken))

    def shares(self, batch: Batch, steps: int = 2) -> dict[str, float]:
        """Return the share of each operation in a step, by PyTorch's own profiler."""
        from torch.profiler import ProfilerActivity, profile

        given = self.inputs(batch)
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            for _ in range(steps):
                self.step(*given)
        sums = dict.fromkeys([*_OPERATIONS, "rest"], 0.0)
        for event in profiler.key_averages():
            sums[_operation(event.key)] += event.self_cpu_time_total
        return {name: value / sum(sums.values()) for name, value in sums.items()}


def _mlp(sizes: list[int], last: Any) -> Any:
    import torch

    layers: list[Any] = []
    for inner, outer in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(inner, outer), torch.nn.ReLU()]
    layers[-1:] = [] if last is None else [last]
    return torch.nn.Sequential(*layers)


def _operation(name: str) -> str:
    for operation, words in _OPERATIONS.items():
        if any(word == name or (":" not in word and word in name) for word in words):
            return operation
    return "rest"
