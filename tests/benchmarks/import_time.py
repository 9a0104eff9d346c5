"""What `import minidlrm` costs beyond `import numpy, numba`: the ratio of their times.

python tests/benchmarks/import_time.py
"""

import statistics
import subprocess
import sys
import time


def seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def main():
    codes = ("pass", "import numpy, numba", "import minidlrm")
    times = [[seconds(code) for code in codes] for _ in range(11)][1:]
    empty, base, ours = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"numpy, numba {base - empty:.2f} s; minidlrm {ours - empty:.2f} s")
    print(f"ratio {(ours - empty) / (base - empty):.2f}")


if __name__ == "__main__":
    main()
