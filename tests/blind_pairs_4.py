"""Wrong pairs, layers and losses of a fourth batch, for the rules as they are after the third.

As `blind_pairs_1`: the truths were frozen before the checker was asked.
"""

from __future__ import annotations

import numpy as np
from wrong_pairs import sigmoid, softmax, wrong

import minidlrm as md


def normal(r, *shape):
    return r.normal(size=shape)


def scatter(table, ids, values):
    grad = np.zeros_like(table)
    np.add.at(grad, ids, values)
    return grad


@wrong("two linear layers: dU uses V, not V^T (square)", "transpose")
def two_linear(r):
    def forward(x, U, V):
        return x @ U @ V, (x, U, V)

    def backward(dy, c):
        x, U, V = c
        return dy @ V.T @ U.T, x.T @ (dy @ V), (x @ U).T @ dy

    return (forward, backward), normal(r, 7, 4), normal(r, 4, 3), normal(r, 3, 3)


@wrong("the bias is added twice in forward, its gradient is counted once", "factor second_path")
def bias_twice(r):
    def forward(x, W, b):
        return x @ W + b + b, (x, W)

    def backward(dy, c):
        return dy @ c[1].T, c[0].T @ dy, dy.sum(axis=0)

    return (forward, backward), normal(r, 6, 4), normal(r, 4, 3), normal(r, 3)


@wrong("batched product: dB is summed over the batch and copied", "broadcast axis extra_term")
def batched_sum(r):
    def forward(A, B):
        return A @ B, (A, B)

    def backward(dy, c):
        A, B = c
        dB = (A.transpose(0, 2, 1) @ dy).sum(axis=0)
        return dy @ B.transpose(0, 2, 1), np.broadcast_to(dB, B.shape).copy()

    return (forward, backward), normal(r, 3, 4, 2), normal(r, 3, 2, 5)


@wrong(
    "scale per channel of (B, C, T): summed over the batch only at the first step",
    "part_missing one_part samples one_sample",
)
def channel_scale(r):
    def forward(x, s):
        return x * s[:, None], (x, s)

    def backward(dy, c):
        x, s = c
        return dy * s[:, None], (dy * x)[:, :, 0].sum(axis=0)

    return (forward, backward), normal(r, 4, 3, 5), normal(r, 3)


@wrong(
    "scale per channel: summed over the channels' batch with mean over time", "factor mean_missing"
)
def channel_mean(r):
    def forward(x, s):
        return x * s[:, None], (x, s)

    def backward(dy, c):
        x, s = c
        return dy * s[:, None], (dy * x).mean(axis=2).sum(axis=0)

    return (forward, backward), normal(r, 4, 3, 5), normal(r, 3)


@wrong(
    "hidden layer: dW1 is made of dy, W2 is passed over (equal widths)",
    "operand_left operand local_factor second_path",
    "random",
)
def passed_over(r):
    def forward(x, W1, W2):
        h = np.tanh(x @ W1)
        return h @ W2, (x, W1, W2, h)

    def backward(dy, c):
        x, W1, W2, h = c
        da = (dy @ W2.T) * (1 - h**2)
        return da @ W1.T, x.T @ (dy * (1 - h**2)), h.T @ dy

    return (forward, backward), normal(r, 7, 4), normal(r, 4, 3), normal(r, 3, 3)


@wrong("the ReLU's mask is taken from the gradient behind the weights", "not_linear")
def mask_of_dh(r):
    def forward(x, W, V):
        h = np.maximum(x @ W, 0)
        return h @ V, (x, W, V, h)

    def backward(dy, c):
        x, W, V, h = c
        dh = dy @ V.T
        da = dh * (dh > 0)
        return da @ W.T, x.T @ da, h.T @ dy

    return (forward, backward), normal(r, 6, 4), normal(r, 4, 5), normal(r, 5, 2)


@wrong("gradient of x is taken through x + dx (x was changed before it was used)", "modified")
def x_changed(r):
    def forward(x, W):
        return x @ W, (x, W)

    def backward(dy, c):
        x, W = c
        dx = dy @ W.T
        x += 0.1 * dx
        return dx, x.T @ dy

    return (forward, backward), normal(r, 6, 4), normal(r, 4, 3)


@wrong("half of the samples are dropped in the loop: range(B // 2)", "samples")
def half(r):
    def forward(x, W):
        return x @ W, (x, W)

    def backward(dy, c):
        x, W = c
        dW = np.zeros_like(W)
        for i in range(len(x) // 2):
            dW += np.outer(x[i], dy[i])
        return dy @ W.T, dW

    return (forward, backward), normal(r, 6, 4), normal(r, 4, 3)


@wrong("dx is written to the wrong sample: dx[i - 1]", "shifted pairing index_shift")
def previous_sample(r):
    def forward(x, W):
        return x @ W, (x, W)

    def backward(dy, c):
        x, W = c
        dx, dW = np.zeros_like(x), np.zeros_like(W)
        for i in range(len(x)):
            dx[i - 1] = W @ dy[i]
            dW += np.outer(x[i], dy[i])
        return dx, dW

    return (forward, backward), normal(r, 6, 4), normal(r, 4, 3)


@wrong("the gradient is returned for y = x W alone: b has zeros", "zero missing")
def zero_bias(r):
    def forward(x, W, b):
        return np.maximum(x @ W + b, 0), (x, W, b)

    def backward(dy, c):
        x, W, b = c
        d = dy * (x @ W + b > 0)
        return d @ W.T, x.T @ d, np.zeros_like(b)

    return (forward, backward), normal(r, 6, 4), normal(r, 4, 3), normal(r, 3)


@wrong("d log softmax: 1/B as well, though the output is no mean", "batch_twice", "factor")
def log_softmax_over_batch(r):
    def forward(x):
        p = softmax(x)
        return np.log(p), p

    def backward(dy, p):
        return (dy - p * dy.sum(axis=1, keepdims=True)) / len(p)

    return (forward, backward), normal(r, 6, 4)


@wrong("log softmax: p is replaced by its log", "function_left operand slope_place term")
def log_for_p(r):
    def forward(x):
        y = np.log(softmax(x))
        return y, y

    def backward(dy, y):
        return dy - y * dy.sum(axis=1, keepdims=True)

    return (forward, backward), normal(r, 6, 4)


@wrong("negative log likelihood: the wrong sign, and the mean", "sign batch_missing factor")
def nll(r):
    def forward(logp, y):
        return -logp[np.arange(len(y)), y].mean(), (logp, y)

    def backward(d, c):
        logp, y = c
        g = np.zeros_like(logp)
        g[np.arange(len(y)), y] = d
        return (g,)

    return (forward, backward), np.log(softmax(normal(r, 7, 3))), r.integers(0, 3, 7)


@wrong(
    "cross entropy of several labels: divided by the labels of a row in forward only",
    "row_factor local_factor operand_left",
)
def several_labels(r):
    def forward(x, T):
        p = sigmoid(x)
        bce = -(T * np.log(p) + (1 - T) * np.log(1 - p))
        return (bce.sum(axis=1) / T.sum(axis=1)).sum(), (p, T)

    return (
        (forward, lambda d, c: (d * (c[0] - c[1]),)),
        normal(r, 5, 4),
        np.array([[1.0, 0, 0, 1], [1, 0, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1], [1, 1, 1, 1]]),
    )


@wrong(
    "hinge loss: the label is forgotten in the gradient", "operand_left local_factor branch sign"
)
def hinge_label(r):
    def forward(s, y):
        return np.maximum(0, 1 - y * s).sum(), (s, y)

    def backward(d, c):
        s, y = c
        return (-d * (y * s < 1),)

    return (forward, backward), normal(r, 12), np.where(r.random(12) > 0.5, 1.0, -1.0)


@wrong(
    "epsilon-insensitive loss: slope between the limits is not 0",
    "mask_forgotten branch",
    "extra_term",
)
def insensitive(r):
    def forward(y, t):
        return np.maximum(np.abs(y - t) - 0.5, 0).sum(), y - t

    return (forward, lambda d, e: d * np.sign(e)), normal(r, 14), normal(r, 14)


@wrong("mean absolute percentage error: 1/|t| is missing", "operand_left local_factor row_factor")
def percentage(r):
    def forward(y, t):
        return (np.abs(y - t) / np.abs(t)).mean(), (y, t)

    return (
        (forward, lambda d, c: (d * np.sign(c[0] - c[1]) / len(c[0]),)),
        normal(r, 9),
        normal(r, 9),
    )


@wrong("squared log error: log(y + 1) without its 1 / (y + 1)", "local_factor")
def log_error(r):
    def forward(y, t):
        e = np.log1p(y) - np.log1p(t)
        return (e**2).mean(), (y, t, e)

    return (forward, lambda d, c: (d * 2 * c[2] / len(c[2]),)), 3 * r.random(9), 3 * r.random(9)


@wrong(
    "cosine similarity loss: the norm of v is missing for u",
    "row_factor factor local_factor",
    "random",
)
def cosine_norm(r):
    def forward(u, v):
        a = np.sqrt((u**2).sum(axis=1))
        b = np.sqrt((v**2).sum(axis=1))
        return (u * v).sum(axis=1) / (a * b), (u, v, a, b)

    def backward(dy, c):
        u, v, a, b = (k if k.ndim == 2 else k[:, None] for k in c)
        y, d = (u * v).sum(axis=1, keepdims=True) / (a * b), dy[:, None]
        return d * (v / a - y * b * u / a**2), d * (u / (a * b) - y * v / b**2)

    return (forward, backward), normal(r, 6, 3), normal(r, 6, 3)


@wrong("in-batch negatives: the diagonal is subtracted with 1 / B missing", "term")
def in_batch(r):
    def forward(U, V):
        p = softmax(U @ V.T)
        return -np.log(np.diag(p)).mean(), (U, V, p)

    def backward(d, c):
        U, V, p = c
        g = p / len(p) - np.eye(len(p))
        return d * g @ V, d * g.T @ U

    return (forward, backward), normal(r, 5, 3), normal(r, 5, 3)


@wrong("in-batch negatives: dV is made with g, not g^T", "transpose")
def in_batch_transposed(r):
    def forward(U, V):
        p = softmax(U @ V.T)
        return -np.log(np.diag(p)).mean(), (U, V, p)

    def backward(d, c):
        U, V, p = c
        g = (p - np.eye(len(p))) / len(p)
        return d * g @ V, d * g @ U

    return (forward, backward), normal(r, 5, 3), normal(r, 5, 3)


@wrong("factorization machine: the linear weights get x dy, averaged", "batch_twice", "factor")
def fm_linear(r):
    def forward(x, w, V):
        s = x @ V
        y = x @ w + 0.5 * ((s**2).sum(axis=1) - ((x**2) @ (V**2)).sum(axis=1))
        return y, (x, w, V, s)

    def backward(dy, c):
        x, w, V, s = c
        d = dy[:, None]
        dx = d * (w + s @ V.T - x * (V**2).sum(axis=1))
        dV = x.T @ (d * s) - V * ((x**2).T @ d)
        return dx, x.T @ dy / len(dy), dV

    return (forward, backward), normal(r, 7, 4), normal(r, 4), normal(r, 4, 2)


@wrong("factorization machine: dV lacks the square term", "self_term term second_path part_missing")
def fm_square(r):
    def forward(x, V):
        s = x @ V
        return 0.5 * ((s**2).sum(axis=1) - ((x**2) @ (V**2)).sum(axis=1)), (x, V, s)

    def backward(dy, c):
        x, V, s = c
        d = dy[:, None]
        return d * (s @ V.T - x * (V**2).sum(axis=1)), x.T @ (d * s)

    return (forward, backward), normal(r, 7, 4), normal(r, 4, 2)


@wrong(
    "embedding: ids of the second column get the gradient of the first",
    "pairing shifted operand part_missing",
)
def second_column(r):
    def forward(E, ids):
        return E[ids].reshape(len(ids), -1), (E, ids)

    def backward(dy, c):
        E, ids = c
        d = dy[:, : E.shape[1]]
        return scatter(E, ids, np.stack([d, d], axis=1))

    return (forward, backward), normal(r, 20, 3), r.permutation(20)[:10].reshape(5, 2)


@wrong("embedding: the gradient is scaled by the learning rate 0.05", "factor")
def table_rate(r):
    def backward(dy, c):
        E, ids = c
        return scatter(E, ids, 0.05 * dy)

    return (lambda E, ids: (E[ids], (E, ids)), backward), normal(r, 9, 3), r.integers(0, 9, 6)


@wrong("embedding of a bag: sum in forward, mean in backward", "factor row_factor mean_missing")
def mean_for_sum(r):
    def forward(E, ids):
        return E[ids].sum(axis=1), (E, ids)

    def backward(dy, c):
        E, ids = c
        return scatter(E, ids, np.repeat(dy[:, None], 4, axis=1) / 4)

    return (forward, backward), normal(r, 9, 2), r.integers(0, 9, (5, 4))


@wrong("embedding: a dict of rows keeps the last gradient of each id", "duplicates")
def dict_of_rows(r):
    def backward(dy, c):
        E, ids = c
        rows = dict(zip(ids.tolist(), dy, strict=True))
        g = np.zeros_like(E)
        for i, row in rows.items():
            g[i] = row
        return g

    return (lambda E, ids: (E[ids], (E, ids)), backward), normal(r, 7, 3), r.integers(0, 7, 9)


@wrong(
    "gelu as x sigmoid(1.702 x): the 1.702 of the inner function is missing",
    "term factor product_rule",
)
def quick_gelu(r):
    def backward(dy, x):
        s = sigmoid(1.702 * x)
        return dy * (s + x * s * (1 - s))

    return (lambda x: (x * sigmoid(1.702 * x), x), backward), normal(r, 6, 4)


@wrong("tanh(x)^3: 3 tanh^2, the inner slope is missing", "local_factor slope_forgotten")
def tanh_cubed(r):
    def forward(x):
        t = np.tanh(x)
        return t**3, t

    return (forward, lambda dy, t: 3 * dy * t**2), normal(r, 6, 4)


@wrong("exp(sin x): cos is missing", "local_factor")
def exp_of_sine(r):
    def forward(x):
        y = np.exp(np.sin(x))
        return y, y

    return (forward, lambda dy, y: dy * y), normal(r, 6, 4)


@wrong(
    "x / (x + 1): -x / (x + 1)^2 is left out",
    "term second_path local_factor product_rule part_missing",
)
def saturation(r):
    return (lambda x: (x / (x + 1), x), lambda dy, x: dy / (x + 1)), r.random((6, 4)) * 3


@wrong("floor is treated as the identity: y = x - floor(x) has slope 0", "zero")
def fraction(r):
    return (lambda x: (x - np.floor(x.real), x), lambda dy, x: 0 * dy), 3 * normal(r, 6, 4)


@wrong("group softmax over (B, G, K): the sum runs over the groups", "axis")
def group_softmax(r):
    def forward(x):
        y = softmax(x)
        return y, y

    return (forward, lambda dy, y: y * (dy - (dy * y).sum(axis=1, keepdims=True))), normal(
        r, 3, 4, 4
    )


@wrong("instance norm of (B, T, D) over T: mean(dy) over D", "axis statistic", "random")
def instance_norm(r):
    def forward(x):
        s = x.std(axis=1, keepdims=True)
        h = (x - x.mean(axis=1, keepdims=True)) / s
        return h, (h, s)

    def backward(dy, c):
        h, s = c
        return (dy - dy.mean(2, keepdims=True) - h * (dy * h).mean(1, keepdims=True)) / s

    return (forward, backward), normal(r, 3, 5, 4)


@wrong(
    "layer norm: mean(dy) is subtracted after the division by s",
    "row_factor term statistic",
    "random",
)
def late_mean(r):
    def forward(x):
        s = x.std(axis=1, keepdims=True)
        h = (x - x.mean(axis=1, keepdims=True)) / s
        return h, (h, s)

    def backward(dy, c):
        h, s = c
        return (dy - h * (dy * h).mean(1, keepdims=True)) / s - dy.mean(1, keepdims=True)

    return (forward, backward), normal(r, 5, 6)


@wrong(
    "rotation of pairs (cos, sin): the inverse rotation has the wrong sign of sin", "transpose sign"
)
def rotation(r):
    a = 0.7 * np.arange(1, 4)
    c, s = np.cos(a), np.sin(a)

    def turn(x, s):
        u, v = x[:, ::2], x[:, 1::2]
        return np.stack([u * c - v * s, u * s + v * c], axis=2).reshape(x.shape)

    return (lambda x: turn(x, s), lambda dy: turn(dy, s)), normal(r, 4, 6)


@wrong("conv with stride 2: dk uses stride 1", "operand shifted pairing")
def stride_of_k(r):
    def forward(x, k):
        return sum(k[j] * x[:, j : j + 7 : 2] for j in range(3)), (x, k)

    def backward(dy, c):
        x, k = c
        dx = np.zeros_like(x)
        for j in range(3):
            dx[:, j : j + 7 : 2] += k[j] * dy
        return dx, np.array([(dy * x[:, j : j + dy.shape[1]]).sum() for j in range(3)])

    return (forward, backward), normal(r, 3, 9), normal(r, 3)


@wrong(
    "exponential smoothing: the way back decays with 1 - a",
    "factor local_factor row_factor",
    "random",
)
def smoothing_back(r):
    def forward(x):
        h, out = np.zeros(len(x), x.dtype), []
        for t in range(x.shape[1]):
            h = 0.8 * h + x[:, t]
            out.append(h)
        return np.stack(out, axis=1)

    def backward(dy):
        g, d = np.zeros(dy.shape), np.zeros(len(dy))
        for t in reversed(range(dy.shape[1])):
            d = dy[:, t] + 0.2 * d
            g[:, t] = d
        return g

    return (forward, backward), normal(r, 3, 5)


@wrong("module: dropout's mask of an eval pass (all ones) is used", "mask_forgotten", "extra_term")
def dropout_module(r):
    keep = r.random((6, 4)) > 0.5

    class Dropout(md.Module):
        def forward(self, x):
            self.mask = np.ones_like(x)
            return x * keep / 0.5

        def backward(self, dy):
            return dy * self.mask / 0.5

    return Dropout(), normal(r, 6, 4)


@wrong("module: one of two heads sends nothing back", "second_path part_missing term")
def two_heads(r):
    class Heads(md.Module):
        def __init__(self):
            self.A, self.B = (md.Parameter(normal(r, 4, 2), name) for name in "AB")

        def forward(self, x):
            self.x = x
            return np.concatenate([x @ self.A.value, x @ self.B.value], axis=1)

        def backward(self, dy):
            self.A.add_grad(self.x.T @ dy[:, :2])
            self.B.add_grad(self.x.T @ dy[:, 2:])
            return dy[:, :2] @ self.A.value.T

    return Heads(), normal(r, 6, 4)


@wrong("module: the gradient of A is divided by the norm of A", "factor row_factor")
def over_its_norm(r):
    class Linear(md.Module):
        def __init__(self):
            self.A = md.Parameter(normal(r, 4, 3), "A")

        def forward(self, x):
            self.x = x
            return x @ self.A.value

        def backward(self, dy):
            A = self.A.value
            self.A.add_grad(self.x.T @ dy / np.sqrt((A**2).sum()))
            return dy @ A.T

    return Linear(), normal(r, 6, 4)
