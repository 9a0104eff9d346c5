"""The roofline of this machine, and where the operations of a DLRM step stand under it.

    python tests/benchmarks/roofline.py [PICTURE.png]

The roof: the most FLOPs a second (a large matrix product) and the most bytes a second (a copy of an
array that fits in no cache). Each operation: its FLOPs and the least bytes it must move, over its
median time. DLRM in the Criteo Kaggle configuration, B = 2048, tables of 100,000 rows. Prints the
table of docs/performance.md, and draws its figure.
"""

import argparse
import os
import platform
import time

import numpy as np

import minidlrm as md

B, T, D, ROWS = 2048, 26, 16, 100_000
F = T + 1


def seconds(function, repeats=15):
    """Return the median time of a call; the first one warms up."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:]))


def roof():
    """Return the most FLOPs a second, and the most bytes a second."""
    square = np.random.default_rng(0).normal(size=(2048, 2048)).astype(np.float32)
    source, target = np.ones(30_000_000, np.float32), np.empty(30_000_000, np.float32)
    product = seconds(lambda: square @ square)
    copy = seconds(lambda: np.copyto(target, source))
    return 2 * 2048**3 / product, 2 * source.nbytes / copy


def operations():
    """Yield (name, FLOPs, bytes moved at least, seconds) of the parts of a step."""
    rng = np.random.default_rng(0)
    bags = md.layers.EmbeddingBagCollection([ROWS] * T, D, rng=np.random.default_rng(0))
    ids = rng.integers(0, ROWS, (B, T))
    z = rng.normal(size=(B, F, D)).astype(np.float32)
    dy = rng.normal(size=(B, T, D)).astype(np.float32)
    dot = md.DotInteraction(F, D)
    pairs = dot.num_pairs
    x = rng.normal(size=(B, D + pairs)).astype(np.float32)
    top = md.Linear(D + pairs, 512, rng=np.random.default_rng(0))
    dtop = rng.normal(size=(B, 512)).astype(np.float32)

    def both(layer, data, upstream):
        layer.zero_grad()
        layer.forward(data)
        layer.backward(upstream)

    rows = 4 * B * T * D
    look_up = seconds(lambda: bags.forward(ids))
    yield "look-up", 0, 8 * B * T + 2 * rows, look_up
    yield (
        "scatter-add",
        B * T * D,
        8 * B * T + 3 * rows,
        seconds(lambda: both(bags, ids, dy)) - look_up,
    )
    yield (
        "dot, forward",
        2 * B * pairs * D,
        4 * (z.size + B * pairs),
        seconds(lambda: dot.forward(z)),
    )
    width = D + pairs
    flops, moved = 2 * B * width * 512, 4 * (B * width + 512 * width + B * 512)
    forward = seconds(lambda: top.forward(x))
    yield "linear 367-512, forward", flops, moved, forward
    yield (
        "linear 367-512, backward",
        2 * flops,
        2 * moved,
        seconds(lambda: both(top, x, dtop)) - forward,
    )


def draw(peak, bandwidth, points, path):
    from matplotlib.figure import Figure

    fig = Figure(figsize=(7, 4.2), layout="constrained")
    ax = fig.subplots()
    intensity = np.geomspace(0.03, 1000, 200)
    ax.loglog(intensity, np.minimum(peak, intensity * bandwidth) / 1e9, color="0.3", label="roof")
    for (name, flops, moved, took), marker in zip(points, "os^D", strict=True):
        ax.loglog(flops / moved, flops / took / 1e9, marker, ms=9, label=name)
    ax.set(xlabel="arithmetic intensity (FLOPs a byte)", ylabel="billion FLOPs a second")
    ax.legend()
    ax.grid(alpha=0.3, which="both")
    fig.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", nargs="?")
    path = parser.parse_args().picture
    peak, bandwidth = roof()
    found = list(operations())
    cores = os.cpu_count()
    print(f"roof: {peak / 1e9:.0f} GFLOP/s, {bandwidth / 1e9:.1f} GB/s")
    print(f"{platform.machine()}, {cores} cores, NumPy {np.__version__}, minidlrm {md.__version__}")
    print("| operation | FLOPs a byte | GFLOP/s | GB/s | of its roof |")
    print("| --- | --- | --- | --- | --- |")
    for name, flops, moved, took in found:
        best = max(flops / peak, moved / bandwidth)
        numbers = f"{flops / moved:.2f} | {flops / took / 1e9:.1f} | {moved / took / 1e9:.1f}"
        print(f"| {name} | {numbers} | {best / took:.0%} |")
    if path:
        draw(peak, bandwidth, [point for point in found if point[1]], path)


if __name__ == "__main__":
    main()
