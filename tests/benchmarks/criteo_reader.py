"""Speed and memory of read_criteo on a large file made from a small one.

    python tests/benchmarks/criteo_reader.py SAMPLE [--lines 2000000]

SAMPLE is some lines of the Criteo data in the original format. They are repeated; integers
and a share of the categories are replaced by random ones, so that vocabularies grow.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np


def write_large(sample: Path, path: Path, lines: int) -> None:
    rows = [line.split("\t") for line in sample.read_text().splitlines()]
    rng = np.random.default_rng(0)
    with open(path, "w") as file:
        for start in range(0, lines, len(rows)):
            fresh = rng.integers(0, 1 << 32, size=(len(rows), 4))
            counts = rng.integers(0, 1000, size=len(rows))
            columns = rng.integers(14, 40, size=(len(rows), 4))
            for row, codes, count, places in zip(rows, fresh, counts, columns, strict=True):
                row = row.copy()
                row[1 + count % 13] = str(count)
                for place, code in zip(places, codes, strict=True):
                    row[place] = f"{code:08x}"
                file.write("\t".join(row) + "\n")
                start += 1
                if start == lines:
                    return


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sample", type=Path)
    parser.add_argument("--lines", type=int, default=2_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.txt"
        write_large(options.sample, path, options.lines)
        size = path.stat().st_size / 1e6

        import minidlrm as md

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        start = time.perf_counter()
        clicks = md.data.read_criteo(path, cache_dir=folder, progress=False)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        words = sum(v.nbytes for v in (*clicks.vocabulary.values, *clicks.vocabulary.ids)) / 1e6
        print(f"{options.lines:,} lines, {size:.0f} MB: {seconds:.1f} s, {size / seconds:.0f} MB/s")
        print(
            f"peak memory {peak:.0f} MiB (imports alone {before:.0f}), vocabulary {words:.0f} MB, "
            f"{sum(clicks.table_sizes):,} ids"
        )
        start = time.perf_counter()
        md.data.read_criteo(path, cache_dir=folder, progress=False)
        print(f"read again from the cache: {time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    main()
