"""How large an error must be to be seen: right function pairs whose gradient is wrong by a little.

    python tests/benchmarks/error_sizes.py

Each pair is given an error of a known relative size, in all entries of its first gradient or in
one entry alone, and run in each precision. The site shows the table.
"""

import argparse

import numpy as np

import minidlrm as md

SIZES = (1e-2, 1e-4, 1e-7, 1e-12, 0.0)
DTYPES = (np.float64, np.float32, np.float16)


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


PAIRS = {
    "linear": (
        lambda x, w: (x @ w, (x, w)),
        lambda dy, c: (dy @ c[1].T, c[0].T @ dy),
        ((6, 4), (4, 3)),
    ),
    "tanh": (lambda x: (np.tanh(x), x), lambda dy, x: dy * (1 - np.tanh(x) ** 2), ((6, 4),)),
    "square": (lambda x: (x * x, x), lambda dy, x: 2 * dy * x, ((6, 4),)),
    "softmax": (
        lambda x: (softmax(x), softmax(x)),
        lambda dy, y: y * (dy - (dy * y).sum(axis=1, keepdims=True)),
        ((6, 4),),
    ),
    "mean square": (
        lambda x: ((x * x).mean(), x),
        lambda dy, x: np.asarray(2 * dy, x.dtype) * x / np.asarray(x.size, x.dtype),
        ((6, 4),),
    ),
}


def spoiled(backward, error, at):
    """Return backward with a relative error in its first gradient: of all entries, or of one."""

    def wrong(dy, cache):
        result = backward(dy, cache)
        first, *rest = result if isinstance(result, tuple) else (result,)
        factor = np.ones(first.shape)
        factor[... if at is None else at] += error
        first = (first * factor).astype(first.dtype)
        return (first, *rest) if rest else first

    return wrong


def caught(dtype, error, one, seeds):
    """Return the share of the pairs in which an error of this size is seen."""
    found = []
    for seed in range(seeds):
        for forward, backward, shapes in PAIRS.values():
            rng = np.random.default_rng(seed)
            inputs = [rng.normal(size=shape).astype(dtype) for shape in shapes]
            wrong = spoiled(backward, error, (1, 2) if one else None)
            report = md.gradcheck((forward, wrong), *inputs, seed=seed, verbose=False)
            found.append(not report.passed)
    return float(np.mean(found))


def measure(seeds=5):
    """Return a row for each size: the size, and the shares for each dtype, all entries and one."""
    return [
        (error, *(caught(dtype, error, one, seeds) for dtype in DTYPES for one in (False, True)))
        for error in SIZES
    ]


def table(rows):
    """Return the rows as a Markdown table."""
    names = [np.dtype(dtype).name for dtype in DTYPES]
    head = [f"{name}, {which}" for name in names for which in ("all entries", "one entry")]
    lines = [f"| relative error | {' | '.join(head)} |", "| --- " * (len(head) + 1) + "|"]
    for error, *shares in rows:
        cells = " | ".join(f"{share:.0%}" for share in shares)
        lines.append(f"| {'none' if error == 0 else f'{error:g}'} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    print(table(measure(parser.parse_args().seeds)))
