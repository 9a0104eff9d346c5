"""Wrong function pairs of many kinds, each with its truth: what the diagnosis is measured on.

The pairs are as a learner writes them, and of kinds that no class of this library has. `right`
holds the keys of the catalogue that name the truth, `vague` those that are true and say little.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Rng = np.random.Generator


@dataclass(frozen=True)
class Wrong:
    """A wrong pair.

    Parameters
    ----------
    make : callable
        ``make(rng) -> (forward, backward), *inputs``.
    truth : str
        What is wrong.
    right, vague : frozenset of str
        Keys of the catalogue.
    """

    make: Callable[[Rng], tuple[Any, ...]]
    truth: str
    right: frozenset[str]
    vague: frozenset[str]


PAIRS: dict[str, Wrong] = {}


def wrong(truth: str, right: str, vague: str = ""):
    """Enter a pair, with its truth."""

    def enter(make):
        PAIRS[make.__name__] = Wrong(
            make, truth, frozenset(right.split()), frozenset(vague.split())
        )
        return make

    return enter


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


# Tables and bags


@wrong("dW[ids] = dy: the last write of a repeated id stays", "duplicates")
def lookup_last_write(rng):
    def backward(dy, cache):
        table, ids = cache
        grad = np.zeros_like(table)
        grad[ids] = dy
        return (grad,)

    return (lambda table, ids: (table[ids], (table, ids)), backward), *_table(rng)


def _table(rng):
    return rng.normal(size=(9, 3)), np.array([4, 1, 1, 7, 0, 4, 4])


@wrong("divided by how often each id occurs", "count row_factor")
def lookup_count(rng):
    def backward(dy, cache):
        table, ids = cache
        grad = np.zeros_like(table)
        np.add.at(grad, ids, dy)
        return (grad / np.maximum(np.bincount(ids, minlength=len(table)), 1)[:, None],)

    return (lambda table, ids: (table[ids], (table, ids)), backward), *_table(rng)


@wrong("the gradient goes to the row after each id", "shifted index_shift")
def lookup_shifted(rng):
    def backward(dy, cache):
        table, ids = cache
        grad = np.zeros_like(table)
        np.add.at(grad, (ids + 1) % len(table), dy)
        return (grad,)

    return (lambda table, ids: (table[ids], (table, ids)), backward), *_table(rng)


@wrong("row 0 is taken for padding in backward only", "part_missing samples")
def lookup_padding(rng):
    def backward(dy, cache):
        table, ids = cache
        grad = np.zeros_like(table)
        np.add.at(grad, ids, dy)
        grad[0] = 0
        return (grad,)

    return (lambda table, ids: (table[ids], (table, ids)), backward), *_table(rng)


@wrong("a bag's mean: 1/n is missing", "mean_missing factor")
def bag_mean(rng):
    def forward(table, ids):
        return table[ids].mean(axis=1), (table, ids)

    def backward(dy, cache):
        table, ids = cache
        grad = np.zeros_like(table)
        np.add.at(grad, ids, dy[:, None])
        return (grad,)

    return (forward, backward), rng.normal(size=(9, 3)), rng.integers(0, 9, (5, 4))


@wrong("a repeat of an id within its bag is lost", "bag_repeat duplicates")
def bag_buffered(rng):
    def forward(table, ids):
        return table[ids].sum(axis=1), (table, ids)

    def backward(dy, cache):
        table, ids = cache
        grad = np.zeros_like(table)
        for bag, upstream in zip(ids, dy, strict=True):
            grad[bag] += upstream
        return (grad,)

    ids = np.array([[1, 1, 2, 3], [4, 5, 6, 4], [0, 2, 5, 8], [3, 7, 0, 6]])
    return (forward, backward), rng.normal(size=(9, 3)), ids


# Reductions and shapes


@wrong("mean over axis 1: the 1/n is missing", "factor mean_missing")
def mean_factor(rng):
    def forward(x):
        return x.mean(axis=1), x

    return (forward, lambda dy, x: np.repeat(dy[:, None], 7, axis=1)), rng.normal(size=(5, 7))


@wrong("cumsum: backward runs in the same direction", "transpose pairing axis shifted")
def cumsum_forward(rng):
    return (lambda x: np.cumsum(x, axis=1), lambda dy: np.cumsum(dy, axis=1)), rng.normal(
        size=(4, 5)
    )


@wrong("max over axis 1: every entry gets dy, not the largest alone", "extra_term mask_forgotten")
def max_everywhere(rng):
    def forward(x):
        return x.max(axis=1), x

    return (forward, lambda dy, x: dy[:, None] * np.ones_like(x)), rng.normal(size=(5, 4))


@wrong("product of a row: the row's entry is not divided out", "local_factor")
def product_of_row(rng):
    def forward(x):
        y = x.prod(axis=1)
        return y, (x, y)

    return (forward, lambda dy, c: (dy * c[1])[:, None] * np.ones_like(c[0])), rng.normal(
        size=(5, 3)
    ) + 2


@wrong("standard deviation: n where n - 1 belongs", "factor")
def std_ddof(rng):
    def forward(x):
        return x.std(axis=1, ddof=1), x

    def backward(dy, x):
        centred = x - x.mean(axis=1, keepdims=True)
        return dy[:, None] * centred / (x.shape[1] * x.std(axis=1, ddof=1)[:, None])

    return (forward, backward), rng.normal(size=(5, 6))


@wrong("concatenation: the two parts of dy are exchanged", "operand pairing order")
def concat_exchanged(rng):
    def forward(a, b):
        return np.concatenate([a, b], axis=1), None

    def backward(dy, _):
        return dy[:, 3:], dy[:, :3]

    return (forward, backward), rng.normal(size=(4, 3)), rng.normal(size=(4, 3))


@wrong("a slice's gradient is written one column too far right", "shifted pairing")
def slice_shifted(rng):
    def backward(dy, x):
        grad = np.zeros_like(x)
        grad[:, 2:5] = dy
        return grad

    return (lambda x: (x[:, 1:4] * 1.0, x), backward), rng.normal(size=(4, 6))


@wrong("reshape in Fortran order in backward", "pairing shifted")
def reshape_order(rng):
    def forward(x):
        return x.reshape(6, 4)

    return (forward, lambda dy: dy.reshape(4, 6, order="F")), rng.normal(size=(4, 6))


@wrong("x.T reshaped back in place of transposed back", "pairing shifted")
def transpose_reshaped(rng):
    return (lambda x: x.T.copy(), lambda dy: dy.reshape(5, 3)), rng.normal(size=(5, 3))


@wrong("a bias of a sequence is summed over time, of the first sample alone", "one_sample samples")
def bias_of_first_sample(rng):
    def forward(x, b):
        return x + b, None

    def backward(dy, _):
        return dy, dy[0].sum(axis=0)

    return (forward, backward), rng.normal(size=(4, 5, 3)), rng.normal(size=3)


@wrong("a bias of a sequence is summed over the batch, and averaged over time", "factor")
def bias_time_mean(rng):
    def forward(x, b):
        return x + b, None

    return (
        (forward, lambda dy, _: (dy, dy.mean(axis=1).sum(axis=0))),
        rng.normal(size=(4, 5, 3)),
        rng.normal(size=3),
    )


@wrong("a bias along axis 0 is summed over axis 0 (square)", "axis")
def row_bias_axis(rng):
    def forward(x, b):
        return x * 2 + b[:, None], None

    return (
        (forward, lambda dy, _: (2 * dy, dy.sum(axis=0))),
        rng.normal(size=(4, 4)),
        rng.normal(size=4),
    )


# Products and quotients


@wrong("quotient: du is divided by v twice", "local_factor")
def quotient_twice(rng):
    def forward(u, v):
        return u / v, (u, v)

    def backward(dy, c):
        u, v = c
        return dy / v**2, -dy * u / v**2

    return (forward, backward), rng.normal(size=(4, 3)), rng.random((4, 3)) + 0.5


@wrong("quotient: dv has lost its minus", "sign")
def quotient_sign(rng):
    def forward(u, v):
        return u / v, (u, v)

    def backward(dy, c):
        u, v = c
        return dy / v, dy * u / v**2

    return (forward, backward), rng.normal(size=(4, 3)), rng.random((4, 3)) + 0.5


@wrong("a gate: the path through the gate is missing", "product_rule second_path term part_missing")
def gate_half(rng):
    def forward(x):
        s = sigmoid(x)
        return x * x * s, (x, s)

    return (forward, lambda dy, c: dy * 2 * c[0] * c[1]), rng.normal(size=(5, 3))


@wrong("gated linear unit: sigma(v) for its slope in dv", "slope_forgotten local_factor")
def glu_slope(rng):
    def forward(u, v):
        s = sigmoid(v)
        return u * s, (u, s)

    def backward(dy, c):
        u, s = c
        return dy * s, dy * u

    return (forward, backward), rng.normal(size=(4, 3)), rng.normal(size=(4, 3))


@wrong("bilinear form: dx with W for its transpose", "transpose")
def bilinear_transposed(rng):
    def forward(x, w, z):
        return ((x @ w) * z).sum(axis=1), (x, w, z)

    def backward(dy, c):
        x, w, z = c
        d = dy[:, None]
        return (d * z) @ w, x.T @ (d * z), d * (x @ w)

    return (
        (forward, backward),
        rng.normal(size=(5, 4)),
        rng.normal(size=(4, 4)),
        rng.normal(size=(5, 4)),
    )


@wrong("batched product: dA with B for its transpose", "transpose")
def batched_product(rng):
    def forward(a, b):
        return a @ b, (a, b)

    def backward(dy, c):
        a, b = c
        return dy @ b, a.transpose(0, 2, 1) @ dy

    return (forward, backward), rng.normal(size=(3, 2, 4)), rng.normal(size=(3, 4, 4))


@wrong("quadratic form: W + W^T is needed, 2 W is used", "transpose")
def quadratic_form(rng):
    def forward(x, w):
        return ((x @ w) * x).sum(axis=1), (x, w)

    def backward(dy, c):
        x, w = c
        return 2 * dy[:, None] * (x @ w), (dy[:, None] * x).T @ x

    return (forward, backward), rng.normal(size=(5, 4)), rng.normal(size=(4, 4))


@wrong("tied weights: only the second use is counted", "second_path part_missing term operand_left")
def tied_weights(rng):
    def forward(x, w):
        h = np.tanh(x @ w)
        return h @ w.T, (x, w, h)

    def backward(dy, c):
        _x, w, h = c
        dh = (dy @ w) * (1 - h * h)
        return dh @ w.T, dy.T @ h

    return (forward, backward), rng.normal(size=(6, 4)), rng.normal(size=(4, 3))


@wrong("residual block: the straight path is missing in dx", "second_path")
def residual(rng):
    def forward(x, w):
        h = np.tanh(x @ w)
        return x + h, (x, w, h)

    def backward(dy, c):
        x, w, h = c
        d = dy * (1 - h * h)
        return d @ w.T, x.T @ d

    return (forward, backward), rng.normal(size=(5, 4)), rng.normal(size=(4, 4))


@wrong("two layers: the slope of the hidden layer is forgotten", "slope_forgotten", "random")
def hidden_slope(rng):
    def forward(x, w, v):
        h = np.tanh(x @ w)
        return h @ v, (x, w, v, h)

    def backward(dy, c):
        x, w, v, h = c
        d = dy @ v.T
        return d @ w.T, x.T @ d, h.T @ dy

    return (
        (forward, backward),
        rng.normal(size=(6, 4)),
        rng.normal(size=(4, 5)),
        rng.normal(size=(5, 3)),
    )


@wrong("two layers: the ReLU's mask is taken from the other layer's input", "slope_place", "random")
def hidden_mask(rng):
    def forward(x, w):
        h = np.maximum(x @ w, 0)
        return h, (x, w, h)

    def backward(dy, c):
        x, w, _h = c
        d = dy * (x > 0)
        return d @ w.T, x.T @ d

    return (forward, backward), rng.normal(size=(6, 4)), rng.normal(size=(4, 4))


# Elementwise


@wrong("log(1 + x^2): the 2 x of the inner function is missing", "local_factor")
def log_inner(rng):
    return (lambda x: (np.log1p(x * x), x), lambda dy, x: dy / (1 + x * x)), rng.normal(size=(5, 3))


@wrong("sin: -cos", "sign")
def sin_sign(rng):
    return (lambda x: (np.sin(x), x), lambda dy, x: -dy * np.cos(x)), rng.normal(size=(5, 3))


@wrong("exp(-x): the inner minus is missing", "sign")
def exp_minus(rng):
    return (lambda x: (np.exp(-x), x), lambda dy, x: dy * np.exp(-x)), rng.normal(size=(5, 3))


@wrong("arctan: 1 - x^2 for 1 + x^2", "", "random local_factor")
def arctan_sign(rng):
    return (lambda x: (np.arctan(x), x), lambda dy, x: dy / (1 - x * x)), rng.normal(
        size=(5, 3)
    ) * 0.4


@wrong("hard tanh: the gradient passes beyond the limits", "mask_forgotten slope_forgotten branch")
def hard_tanh(rng):
    return (lambda x: np.clip(x, -1, 1), lambda dy: dy), 2 * rng.normal(size=(6, 4))


@wrong("abs: the sign is forgotten", "slope_forgotten branch local_factor")
def absolute(rng):
    return (lambda x: np.abs(x), lambda dy: dy), rng.normal(size=(6, 4))


@wrong("SELU: the scale is missing where x > 0", "branch")
def selu_scale(rng):
    def forward(x):
        return 1.05 * np.where(x > 0, x, 1.67 * (np.exp(x) - 1)), x

    return (forward, lambda dy, x: dy * np.where(x > 0, 1, 1.05 * 1.67 * np.exp(x))), rng.normal(
        size=(6, 4)
    )


@wrong("power: n x^n in place of n x^(n-1)", "local_factor")
def power(rng):
    return (lambda x: (x**4, x), lambda dy, x: 4 * dy * x**4), rng.normal(size=(5, 3))


@wrong("sigmoid: s in place of s (1 - s)", "local_factor slope_forgotten")
def sigmoid_half(rng):
    def forward(x):
        s = sigmoid(x)
        return s, s

    return (forward, lambda dy, s: dy * s), rng.normal(size=(5, 3))


@wrong("the slope is squared", "local_factor")
def slope_squared(rng):
    def forward(x):
        s = np.tanh(x)
        return s, s

    return (forward, lambda dy, s: dy * (1 - s * s) ** 2), rng.normal(size=(5, 3))


# Norms and softmax


@wrong("RMS norm: the mean square is a constant", "statistic second_path")
def rms_norm(rng):
    def forward(x, g):
        r = np.sqrt((x * x).mean(axis=1, keepdims=True))
        return g * x / r, (x, g, r)

    def backward(dy, c):
        x, g, r = c
        return dy * g / r, (dy * x / r).sum(axis=0)

    return (forward, backward), rng.normal(size=(5, 4)), rng.normal(size=4)


@wrong("mean subtraction: the mean is a constant", "statistic second_path")
def centred(rng):
    return (
        lambda x: x - x.mean(axis=1, keepdims=True),
        lambda dy: dy,
    ), rng.normal(size=(5, 4))


@wrong("batch normalization: only the variance is a constant", "statistic second_path")
def batch_norm(rng):
    def forward(x):
        sd = np.sqrt(x.var(axis=0) + 1e-5)
        return (x - x.mean(axis=0)) / sd, sd

    return (forward, lambda dy, sd: (dy - dy.mean(axis=0)) / sd), rng.normal(size=(6, 4))


@wrong("softmax over axis 0: backward sums over axis 1", "axis")
def softmax_columns(rng):
    def forward(x):
        y = softmax(x, axis=0)
        return y, y

    return (
        forward,
        lambda dy, y: y * (dy - (dy * y).sum(axis=1, keepdims=True)),
    ), rng.normal(size=(5, 4))


@wrong("softmax: the sum over dy y is forgotten: y dy", "statistic part_missing second_path term")
def softmax_no_sum(rng):
    def forward(x):
        y = softmax(x)
        return y, y

    return (forward, lambda dy, y: y * dy), rng.normal(size=(5, 4))


@wrong("normalized by the sum: the path through the sum is missing", "statistic second_path")
def by_the_sum(rng):
    def forward(x):
        s = x.sum(axis=1, keepdims=True)
        return x / s, s

    return (forward, lambda dy, s: dy / s), rng.random((5, 4)) + 0.1


# Losses


@wrong("mean squared error: the 2 is missing", "factor")
def mse_two(rng):
    def forward(x, t):
        return ((x - t) ** 2).mean(), (x, t)

    return (
        (forward, lambda dy, c: (dy * (c[0] - c[1]) / c[0].size,)),
        rng.normal(size=(5, 3)),
        rng.normal(size=(5, 3)),
    )


@wrong("mean squared error: divided by B, and not by B times M", "factor")
def mse_count(rng):
    def forward(x, t):
        return ((x - t) ** 2).mean(), (x, t)

    return (
        (forward, lambda dy, c: (2 * dy * (c[0] - c[1]) / len(c[0]),)),
        rng.normal(size=(5, 3)),
        rng.normal(size=(5, 3)),
    )


@wrong("Huber: the limit of the linear part is forgotten", "branch mask_forgotten")
def huber(rng):
    def forward(e):
        a = np.abs(e)
        return np.where(a < 1, 0.5 * e * e, a - 0.5).sum(), e

    return (forward, lambda dy, e: dy * e), 2 * rng.normal(size=(6, 4))


@wrong("hinge: the margin is forgotten, the mask is s < 0", "branch part_missing", "random")
def hinge(rng):
    t = np.where(rng.random(12) > 0.5, 1.0, -1.0)

    def forward(s):
        return np.maximum(0, 1 - t * s).sum(), s

    return (forward, lambda dy, s: dy * np.where(t * s < 0, -t, 0)), rng.normal(size=12)


@wrong("binary cross entropy: 1 for p - t at the clicks", "one_minus_p branch", "random")
def bce_clicks(rng):
    def forward(x, t):
        return np.mean(np.log1p(np.exp(x)) - t * x), (x, t)

    def backward(dy, c):
        x, t = c
        return (dy * np.where(t > 0, -1, sigmoid(x)) / len(x),)

    return (forward, backward), rng.normal(size=8), np.array([0, 1, 1, 0, 1, 0, 0, 1.0])


@wrong("BPR: the negative's minus is missing", "sign")
def bpr(rng):
    def forward(p, n):
        return np.log1p(np.exp(n - p)).mean(), (p, n)

    def backward(dy, c):
        p, n = c
        d = -dy * sigmoid(n - p) / len(p)
        return d, d

    return (forward, backward), rng.normal(size=7), rng.normal(size=7)


@wrong("cross entropy: one-hot along the wrong label: labels + 1", "index_shift shifted")
def ce_next_label(rng):
    def forward(x, t):
        p = softmax(x)
        return -np.log(p[np.arange(len(x)), t]).mean(), (p, t)

    def backward(dy, c):
        p, t = c
        d = p.copy()
        d[np.arange(len(p)), (t + 1) % p.shape[1]] -= 1
        return (dy * d / len(p),)

    return (forward, backward), rng.normal(size=(6, 5)), rng.integers(0, 4, 6)


@wrong("cross entropy: the one-hot is not subtracted", "term", "extra_term")
def ce_no_label(rng):
    def forward(x, t):
        p = softmax(x)
        return -np.log(p[np.arange(len(x)), t]).mean(), p

    return (
        (forward, lambda dy, p: (dy * p / len(p),)),
        rng.normal(size=(6, 5)),
        rng.integers(0, 5, 6),
    )


@wrong("KL divergence: log q's slope is 1, not 1/q", "local_factor")
def kl(rng):
    def forward(q, p):
        return (p * (np.log(p) - np.log(q))).sum(), (q, p)

    return (
        (forward, lambda dy, c: (-dy * c[1],)),
        rng.random((4, 3)) + 0.2,
        rng.random((4, 3)) + 0.2,
    )


@wrong("L2 penalty: lambda w in place of 2 lambda w", "term regularization")
def penalty_two(rng):
    def forward(x, w):
        return (np.tanh(x @ w)).sum() + 0.3 * (w * w).sum(), (x, w)

    def backward(dy, c):
        x, w = c
        d = dy * (1 - np.tanh(x @ w) ** 2)
        return np.outer(d, w), x.T @ d + dy * 0.3 * w

    return (forward, backward), rng.normal(size=(6, 4)), rng.normal(size=4)


# Sequences, convolutions, attention


@wrong("recurrent: only the last step is sent back", "part_missing one_part", "random")
def recurrent_truncated(rng):
    def forward(x, h):
        for t in range(x.shape[1]):
            h = 0.5 * h + np.tanh(x[:, t])
        return h, x

    def backward(dy, x):
        grad = np.zeros_like(x)
        grad[:, -1] = dy * (1 - np.tanh(x[:, -1]) ** 2)
        return grad, dy * 0.5 ** x.shape[1]

    return (forward, backward), rng.normal(size=(3, 4, 2)), rng.normal(size=(3, 2))


@wrong("recurrent: the decay is missing on the way back", "row_factor")
def recurrent_decay(rng):
    def forward(x):
        h = 0
        for t in range(x.shape[1]):
            h = 0.5 * h + x[:, t]
        return h, x

    return (forward, lambda dy, x: np.repeat(dy[:, None], x.shape[1], axis=1)), rng.normal(
        size=(3, 4, 2)
    )


@wrong("convolution: the kernel is not flipped in dx", "shifted transpose pairing")
def convolution_flip(rng):
    def forward(x, k):
        return np.stack([x[:, i : i + 5] @ k for i in range(4)], axis=1), (x, k)

    def backward(dy, c):
        x, k = c
        dx, dk = np.zeros_like(x), np.zeros_like(k)
        for i in range(4):
            dx[:, i : i + 5] += dy[:, i : i + 1] * k[::-1]
            dk += dy[:, i] @ x[:, i : i + 5]
        return dx, dk

    return (forward, backward), rng.normal(size=(3, 8)), rng.normal(size=5)


@wrong("convolution: overlaps are overwritten, not added", "duplicates part_missing", "random")
def convolution_overwritten(rng):
    def forward(x, k):
        return np.stack([x[:, i : i + 3] @ k for i in range(4)], axis=1), (x, k)

    def backward(dy, c):
        x, k = c
        dx, dk = np.zeros_like(x), np.zeros_like(k)
        for i in range(4):
            dx[:, i : i + 3] = dy[:, i : i + 1] * k
            dk += dy[:, i] @ x[:, i : i + 3]
        return dx, dk

    return (forward, backward), rng.normal(size=(3, 6)), rng.normal(size=3)


@wrong("average pooling: the 1/2 is missing", "factor")
def average_pool(rng):
    def forward(x):
        return x.reshape(4, 3, 2).mean(axis=2)

    return (forward, lambda dy: np.repeat(dy, 2, axis=1)), rng.normal(size=(4, 6))


@wrong("linear attention: dK misses the transpose", "transpose")
def linear_attention(rng):
    def forward(q, k, v):
        return (q @ k.T) @ v, (q, k, v)

    def backward(dy, c):
        q, k, v = c
        ds = dy @ v.T
        return ds @ k, ds @ q, (q @ k.T).T @ dy

    return (forward, backward), *(rng.normal(size=(4, 4)) for _ in range(3))


@wrong("FM: the sum of squares is not differentiated", "self_term statistic term second_path")
def fm_pairs(rng):
    def forward(z):
        s = z.sum(axis=1)
        return 0.5 * (s * s - (z * z).sum(axis=1)).sum(axis=1), (z, s)

    def backward(dy, c):
        z, s = c
        return dy[:, None, None] * np.repeat(s[:, None], z.shape[1], axis=1)

    return (forward, backward), rng.normal(size=(4, 3, 2))


@wrong("cross layer: x0's own path is missing", "second_path part_missing term statistic")
def cross_layer(rng):
    def forward(x, w):
        s = x @ w
        return x * s[:, None] + x, (x, w, s)

    def backward(dy, c):
        x, w, _s = c
        along = (dy * x).sum(axis=1)
        return dy + along[:, None] * w, x.T @ along

    return (forward, backward), rng.normal(size=(5, 4)), rng.normal(size=4)


@wrong("weighted mean: the weights are not normalized in backward", "row_factor")
def weighted_mean(rng):
    def forward(x, w):
        return (w[:, :, None] * x).sum(axis=1) / w.sum(axis=1)[:, None], (x, w)

    def backward(dy, c):
        x, w = c
        y = (w[:, :, None] * x).sum(axis=1) / w.sum(axis=1)[:, None]
        dw = ((x - y[:, None]) * dy[:, None]).sum(axis=2) / w.sum(axis=1)[:, None]
        return w[:, :, None] * dy[:, None], dw

    return (forward, backward), rng.normal(size=(4, 3, 2)), rng.random((4, 3)) + 0.2


@wrong("a mask is applied in forward, and not in backward", "mask_forgotten operand_left")
def mask_in_forward(rng):
    def forward(x, m):
        return np.tanh(x) * m, x

    mask = np.array([[1, 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 1]])
    return (forward, lambda dy, x: (dy * (1 - np.tanh(x) ** 2),)), rng.normal(size=(3, 4)), mask
