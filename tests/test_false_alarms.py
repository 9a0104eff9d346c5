"""Correct code raises no false alarm: random layers, sizes, scales, precisions and methods.

MINIDLRM_CASES says how many cases are run: 200 by default, 1,000 in
the project's check, 10,000 in its long form.
"""

import os

import numpy as np

import minidlrm as md
from minidlrm.checking import cases
from minidlrm.data import Batch

CASES = int(os.environ.get("MINIDLRM_CASES", 200))
METHODS = ["auto", "auto", "richardson", "central"]


def draw(case):
    """Make one case: the target with its inputs, and the method."""
    rng = np.random.default_rng(case)
    make = MAKERS[case % len(MAKERS)]
    rows, n, m = int(rng.integers(1, 7)), int(rng.integers(1, 6)), int(rng.integers(1, 6))
    dtype = [np.float32, np.float64][int(rng.integers(0, 2))]

    def x(*shape):
        return (rng.normal(size=shape) * 10 ** rng.uniform(-2, 1.5)).astype(dtype)

    return make(rng, x, rows, n, m), METHODS[int(rng.integers(0, 4))]


def linear(rng, x, rows, n, m):
    return md.Linear(n, m, activation=[None, "relu"][int(rng.integers(0, 2))], rng=rng), x(rows, n)


def mlp(rng, x, rows, n, m):
    return md.MLP([n, int(rng.integers(1, 20)), int(rng.integers(1, 20)), m], rng=rng), x(rows, n)


def activation(rng, x, rows, n, m):
    return [md.ReLU, md.Sigmoid][int(rng.integers(0, 2))](), x(rows, n)


def dot(rng, x, rows, n, m):
    return md.DotInteraction(n + 1, m, bool(rng.integers(0, 2))), x(rows, n + 1, m)


def fm(rng, x, rows, n, m):
    return [md.FMInteraction, md.BiInteraction][int(rng.integers(0, 2))](n, m), x(rows, n, m)


def cross(rng, x, rows, n, m):
    kind = ["vector", "matrix"][int(rng.integers(0, 2))]
    return md.CrossNetwork(n, m, kind, rng=rng), x(rows, n) / 10


def cin(rng, x, rows, n, m):
    return md.CIN(n, m, (2, 2), rng=rng), x(rows, n, m) / 5


def bag(rng, x, rows, n, m):
    lengths = rng.integers(0, 4, rows)
    last = {"include_last_offset": True, "rng": rng}
    ids, offsets = rng.integers(0, 9, lengths.sum()), np.concatenate([[0], np.cumsum(lengths)])
    if rng.integers(0, 2):
        return md.EmbeddingBag(9, m, mode="sum", **last), ids, offsets, rng.normal(size=len(ids))
    mode = ["sum", "mean"][int(rng.integers(0, 2))]
    return md.EmbeddingBag(9, m, mode=mode, **last), ids, offsets


def tables(rng, x, rows, n, m):
    sizes = [3, n, m]
    ids = np.stack([rng.integers(0, size, rows) for size in sizes], axis=1)
    return md.EmbeddingBagCollection(sizes, 2, rng=rng), ids


def bce(rng, x, rows, n, m):
    reduction = ["mean", "sum", "none"][int(rng.integers(0, 3))]
    label = (rng.random(rows) < 0.5).astype(float)
    return md.BCEWithLogits(reduction, [None, 2.5][int(rng.integers(0, 2))]), x(rows), label


def mse(rng, x, rows, n, m):
    return md.MSE(["mean", "sum", "none"][int(rng.integers(0, 3))]), x(rows), x(rows)


def model(rng, x, rows, n, m):
    ids = np.stack([rng.integers(0, 4, rows), rng.integers(0, 5, rows)], axis=1)
    batch = Batch(x(rows, 3).astype(np.float32), ids)
    kind = [md.DLRM, md.DeepFM, md.DCN, md.XDeepFM][int(rng.integers(0, 4))]
    seed = int(rng.integers(0, 1000))
    if kind is md.DLRM:
        return kind(3, [4, 5], 2, (4,), (5,), seed=seed), batch
    return kind(3, [4, 5], 2, mlp=(5,), seed=seed), batch


def functions(rng, x, rows, n, m):
    """Functions as a learner writes them, with corners, in either precision."""
    pairs = [
        (
            lambda u, v: (u * np.maximum(v, 0), (u, v)),
            lambda dy, c: (dy * np.maximum(c[1], 0), dy * c[0] * (c[1] > 0)),
        ),
        (
            lambda u, v: (np.abs(u) + np.exp(-v * v), (u, v)),
            lambda dy, c: (dy * np.sign(c[0]), -2 * dy * c[1] * np.exp(-(c[1] ** 2))),
        ),
        (
            lambda u, v: (np.tanh(u) @ v.T, (u, v)),
            lambda dy, c: ((dy @ c[1]) * (1 - np.tanh(c[0]) ** 2), dy.T @ np.tanh(c[0])),
        ),
        (
            lambda u, v: (np.maximum(u, v), (u, v)),
            lambda dy, c: (dy * (c[0] >= c[1]), dy * (c[1] > c[0])),
        ),
    ]
    return pairs[int(rng.integers(0, 4))], x(rows, n), x(rows, n)


def listed(rng, x, rows, n, m):
    """Any case of the one list, so that a new layer enters unasked."""
    choices = list(cases.everything(int(rng.integers(0, 1000))))
    _, target, inputs = choices[int(rng.integers(0, len(choices)))]
    return target, *inputs


MAKERS = [
    linear,
    mlp,
    activation,
    dot,
    fm,
    cross,
    cin,
    bag,
    tables,
    bce,
    mse,
    model,
    functions,
    listed,
]


def test_right_code_raises_no_false_alarm():
    alarms = []
    for case in range(CASES):
        target, method = draw(case)
        report = md.gradcheck(*target, method=method, seed=case, max_checks=20, verbose=False)
        if not report.passed:
            alarms.append((case, method, str(report)))
    assert not alarms, f"{len(alarms)} of {CASES}:\n" + "\n".join(map(str, alarms[:3]))
