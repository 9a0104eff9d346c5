"""One training step of DLRM against PyTorch eager, in the Criteo Kaggle configuration.

    python tests/benchmarks/dlrm_step.py [--rows 33762577] [--seconds 10]

Both run with everything at its defaults: threads, kernels, allocator. The two take turns
in one process, so that a noisy machine is noisy for both; the median of each is reported,
and their ratio.
"""

import argparse
import statistics
import time

import numpy as np
import torch

import minidlrm as md

# The vocabulary of the Criteo Kaggle data as the reference implementation counts it: 33,762,577.
KAGGLE = [
    1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194,
    27, 14992, 5461306, 10, 5652, 2173, 4, 7046547, 18, 15, 286181, 105, 142572,
]  # fmt: skip


class TorchDLRM(torch.nn.Module):
    """The reference's model: one EmbeddingBag a table, sparse gradients."""

    def __init__(self, sizes, dim, bottom, top):
        super().__init__()
        self.tables = torch.nn.ModuleList(
            torch.nn.EmbeddingBag(n, dim, mode="sum", sparse=True) for n in sizes
        )
        self.bottom = self._mlp([13, *bottom, dim], last=True)
        num_features = len(sizes) + 1
        self.top = self._mlp([dim + num_features * (num_features - 1) // 2, *top, 1], last=False)
        self.triangle = torch.tril_indices(num_features, num_features, -1)

    @staticmethod
    def _mlp(sizes, last):
        layers = []
        for k in range(len(sizes) - 1):
            layers.append(torch.nn.Linear(sizes[k], sizes[k + 1]))
            if last or k < len(sizes) - 2:
                layers.append(torch.nn.ReLU())
        return torch.nn.Sequential(*layers)

    def forward(self, dense, sparse, offsets):
        x = self.bottom(dense)
        tables = [table(sparse[t], offsets) for t, table in enumerate(self.tables)]
        z = torch.stack([x, *tables], dim=1)  # (B, F, D)
        square = torch.bmm(z, z.transpose(1, 2))
        pairs = square[:, self.triangle[0], self.triangle[1]]
        return self.top(torch.cat([x, pairs], dim=1))[:, 0]


def our_step(sizes, batch):
    model = md.DLRM(13, sizes, 16, (512, 256, 64), (512, 256))
    loss, optimizer = md.BCEWithLogits(), md.SGD(lr=0.1)

    def step():
        model.zero_grad()
        value = loss.forward(model.forward(batch), batch.label)
        model.backward(loss.backward())
        optimizer.step(model.parameters())
        return value

    return step


def torch_step(sizes, batch):
    model = TorchDLRM(sizes, 16, (512, 256, 64), (512, 256))
    loss, optimizer = torch.nn.BCEWithLogitsLoss(), torch.optim.SGD(model.parameters(), lr=0.1)
    dense, label = torch.from_numpy(batch.dense), torch.from_numpy(batch.label)
    sparse, offsets = torch.from_numpy(batch.sparse.T.copy()), torch.arange(len(batch))

    def step():
        optimizer.zero_grad()
        value = loss(model(dense, sparse, offsets), label)
        value.backward()
        optimizer.step()
        return value.item()

    return step


def take_turns(steps, seconds, burst=10):
    """Time bursts of each step in turn, after a warm-up; return the medians in seconds."""
    times = {name: [] for name in steps}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or min(map(len, times.values())) < 3 * burst:
        for name, step in steps.items():
            step()
            for _ in range(burst):
                start = time.perf_counter()
                step()
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=sum(KAGGLE), help="rows of all tables")
    parser.add_argument("--seconds", type=float, default=10, help="per batch size")
    options = parser.parse_args()
    sizes = [max(2, round(n * options.rows / sum(KAGGLE))) for n in KAGGLE]
    rng = np.random.default_rng(0)
    print(f"{sum(sizes):,} rows, kernels: {md.kernels.backend}, torch {torch.__version__}")
    for batch_size in (128, 2048):
        batch = md.data.Batch(
            rng.random((batch_size, 13), dtype=np.float32),
            np.stack([rng.integers(0, n, batch_size) for n in sizes], axis=1),
            (rng.random(batch_size) < 0.25).astype(np.float32),
        )
        steps = {"minidlrm": our_step(sizes, batch), "PyTorch": torch_step(sizes, batch)}
        ms = {name: 1e3 * t for name, t in take_turns(steps, options.seconds).items()}
        ratio = ms["minidlrm"] / ms["PyTorch"]
        print(
            f"B = {batch_size:5}: minidlrm {ms['minidlrm']:7.2f} ms, "
            f"PyTorch {ms['PyTorch']:7.2f} ms, ratio {ratio:.2f}"
        )


if __name__ == "__main__":
    main()
