"""Speed and memory of read_table and of `minidlrm predict` on a large CSV file that is made.

    python tests/benchmarks/own_data.py [--rows 2000000]

The file has 13 columns of numbers, 26 of text and a bag. The first line says how long Arrow
alone takes to stream it; reading, counting, encoding and caching should take at most twice that.
Seconds of the processor are printed beside those of the clock: on a busy machine compare these.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

DENSE, SPARSE = [f"I{k}" for k in range(1, 14)], [f"C{k}" for k in range(1, 27)]
ROLES = {"label": "click", "dense": DENSE, "sparse": SPARSE, "bags": {"tags": "|"}}
BLOCK = 200_000


def block(rng: np.random.Generator, n: int, sizes: np.ndarray) -> pa.Table:
    data = {"row": np.arange(n), "click": rng.integers(0, 2, n)}
    for name in DENSE:
        data[name] = pa.array(rng.lognormal(2, 1.5, n).round(2), mask=rng.random(n) < 0.1)
    for k, (name, size) in enumerate(zip(SPARSE, sizes, strict=True)):
        ids = (size * rng.random(n) ** 3).astype(np.int64)  # few are frequent
        words = np.char.mod("%08x", (ids * 2654435761 + k) & 0xFFFFFFFF)
        data[name] = pa.array(words, mask=rng.random(n) < 0.03)
    tags, number = np.array([f"tag{k}" for k in range(200)]), rng.integers(0, 4, n)
    picks = tags[(200 * rng.random((n, 3)) ** 2).astype(int)]
    data["tags"] = ["|".join(pick[:k]) for pick, k in zip(picks, number, strict=True)]
    return pa.table(data)


def write(path: Path, rows: int) -> None:
    rng, sizes = np.random.default_rng(0), np.geomspace(4, rows // 4, len(SPARSE)).astype(int)
    first = block(rng, min(BLOCK, rows), sizes)
    with csv.CSVWriter(path, first.schema) as writer:
        writer.write_table(first)
        for start in range(BLOCK, rows, BLOCK):
            writer.write_table(block(rng, min(BLOCK, rows - start), sizes))


@contextmanager
def timed(what: str, who: int = resource.RUSAGE_SELF):
    before, start = resource.getrusage(who), time.perf_counter()
    yield
    wall, after = time.perf_counter() - start, resource.getrusage(who)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{what:32s} {wall:7.2f} s, of the processor {cpu:6.2f} s", flush=True)


def stream(path: Path) -> None:
    with csv.open_csv(path, read_options=csv.ReadOptions(block_size=8 << 20)) as reader:
        for _ in reader:
            pass


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    rows = parser.parse_args().rows
    import minidlrm as md

    with tempfile.TemporaryDirectory() as folder:
        path, small = Path(folder) / "clicks.csv", Path(folder) / "small.csv"
        write(small, 1000)
        options = {"cache_dir": folder, "progress": False}
        md.data.read_table(small, **ROLES, **options)  # compiles
        write(path, rows)
        print(f"{rows:,} rows, {path.stat().st_size / 1e6:.0f} MB")
        with timed("Arrow alone"):
            stream(path)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        with timed("read_table"):
            data = md.data.read_table(path, **ROLES, **options)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"peak memory {peak:.0f} MiB, before it {before:.0f}; {sum(data.table_sizes):,} ids")
        with timed("read_table, from the cache"):
            md.data.read_table(path, **ROLES, **options)
        with timed("Arrow alone"):
            stream(path)
        model = md.DLRM.for_data(data, bottom_mlp=(64, 32), top_mlp=(128, 64))
        md.save(model, Path(folder) / "m.safetensors", schema=data.schema)
        call = [sys.executable, "-m", "minidlrm", "predict", f"{folder}/m.safetensors", str(path)]
        with timed("minidlrm predict", resource.RUSAGE_CHILDREN):
            subprocess.run([*call, "--out", f"{folder}/scores.csv", "--ids", "row"], check=True)


if __name__ == "__main__":
    main()
