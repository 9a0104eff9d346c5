"""More wrong pairs, layers and losses, each in a few lines, with its truth.

They were written before the tests of arithmetic that name them, as learners write them.
"""

from __future__ import annotations

import numpy as np
from wrong_pairs import sigmoid, softmax, wrong

import minidlrm as md
from minidlrm.data.batch import Batch


def normal(r, *shape):
    return r.normal(size=shape)


def lin(bwd, r, B=6, D=4, M=3):
    return (
        (lambda x, W, b: (x @ W + b, (x, W)), bwd),
        normal(r, B, D),
        normal(r, D, M),
        normal(r, M),
    )


@wrong("dW = outer summed with first sample only skipping odd samples", "samples")
def skip_odd(r):
    return lin(lambda dy, c: (dy @ c[1].T, c[0][::2].T @ dy[::2], dy.sum(0)), r)


@wrong("dx forgotten: zeros", "zero missing")
def dx_zero(r):
    return lin(lambda dy, c: (np.zeros_like(c[0]), c[0].T @ dy, dy.sum(0)), r)


@wrong("dW = x.T @ y not dy (output for dy)", "upstream_ignored operand")
def dW_y(r):
    return lin(lambda dy, c: (dy @ c[1].T, c[0].T @ (c[0] @ c[1]), dy.sum(0)), r)


@wrong("db = dy[0]", "one_sample")
def db0(r):
    return lin(lambda dy, c: (dy @ c[1].T, c[0].T @ dy, dy[0]), r)


@wrong("db minus", "sign")
def dbminus(r):
    return lin(lambda dy, c: (dy @ c[1].T, c[0].T @ dy, -dy.sum(0)), r)


@wrong("dW divided by B", "batch_twice")
def dWB(r):
    return lin(lambda dy, c: (dy @ c[1].T, c[0].T @ dy / len(dy), dy.sum(0)), r)


@wrong("dW uses abs dy", "not_linear")
def absdy(r):
    return lin(lambda dy, c: (dy @ c[1].T, c[0].T @ abs(dy), dy.sum(0)), r)


@wrong("dW adds weight decay not in forward", "term regularization not_linear extra_term")
def decay(r):
    return lin(lambda dy, c: (dy @ c[1].T, c[0].T @ dy + 0.01 * c[1], dy.sum(0)), r)


@wrong("dx, dW normalised by norm of dy", "not_linear")
def unitdy(r):
    return lin(lambda dy, c: (dy @ c[1].T, c[0].T @ dy / np.linalg.norm(dy), dy.sum(0)), r)


@wrong("x centred in dW but not forward", "operand term statistic function_left")
def centred_x(r):
    return lin(lambda dy, c: (dy @ c[1].T, (c[0] - c[0].mean(0)).T @ dy, dy.sum(0)), r)


@wrong("dW first row zero (treats as bias row)", "part_missing row_factor")
def row0(r):
    def b(dy, c):
        g = c[0].T @ dy
        g[0] = 0
        return dy @ c[1].T, g, dy.sum(0)

    return lin(b, r)


@wrong("dW last column doubled", "row_factor", "factor")
def lastcol(r):
    def b(dy, c):
        g = c[0].T @ dy
        g[:, -1] *= 2
        return dy @ c[1].T, g, dy.sum(0)

    return lin(b, r)


@wrong("bias added per position (T,M), gradient summed over time too and spread", "broadcast axis")
def posbias(r):
    return (
        (
            lambda x, p: (x + p, None),
            lambda dy, _: (dy, np.broadcast_to(dy.sum((0, 1)), dy.shape[1:]).copy()),
        ),
        normal(r, 4, 5, 3),
        normal(r, 5, 3),
    )


@wrong("ELU: alpha exp(x) missing alpha", "branch")
def elu_a(r):
    return (
        lambda x: (np.where(x > 0, x, 0.7 * (np.exp(x) - 1)), x),
        lambda dy, x: dy * np.where(x > 0, 1, np.exp(x)),
    ), normal(r, 6, 4)


@wrong("softsign: 1/(1+|x|) instead of squared", "local_factor product_rule")
def softsign(r):
    return (lambda x: (x / (1 + abs(x)), x), lambda dy, x: dy / (1 + abs(x))), normal(r, 6, 4)


@wrong("mish-like x tanh(softplus): inner derivative missing", "random product_rule local_factor")
def mish(r):
    def sp(x):
        return np.log1p(np.exp(x))

    return (
        lambda x: (x * np.tanh(sp(x)), x),
        lambda dy, x: dy * (np.tanh(sp(x)) + x * (1 - np.tanh(sp(x)) ** 2)),
    ), normal(r, 6, 4)


@wrong("hard sigmoid: slope 1/6 everywhere", "mask_forgotten slope_forgotten")
def hardsig(r):
    return (lambda x: np.clip(x / 6 + 0.5, 0, 1), lambda dy: dy / 6), 5 * normal(r, 6, 4)


@wrong("log: 1/x -> 1/log x", "local_factor slope_place")
def log_y(r):
    return (lambda x: (np.log(x), np.log(x)), lambda dy, y: dy / y), r.random((5, 4)) + 1.5


@wrong("sqrt: 1/(2x) for 1/(2 sqrt x)", "local_factor slope_place")
def sqrtx(r):
    return (lambda x: (np.sqrt(x), x), lambda dy, x: dy / (2 * x)), r.random((5, 4)) + 0.5


@wrong("exp: dy*x", "local_factor slope_place operand")
def expx(r):
    return (lambda x: (np.exp(x), x), lambda dy, x: dy * x), normal(r, 5, 4)


@wrong("cos(x)^2: inner factor 2cos missing -sin", "local_factor")
def cos2(r):
    return (lambda x: (np.cos(x) ** 2, x), lambda dy, x: 2 * dy * np.cos(x)), normal(r, 5, 4)


@wrong("tanh(2x): 2 missing", "factor")
def tanh2(r):
    return (lambda x: (np.tanh(2 * x), x), lambda dy, x: dy * (1 - np.tanh(2 * x) ** 2)), normal(
        r, 5, 4
    )


@wrong("max(x, y): ties fine; gradient mask x<y", "mask_inverted order")
def maximum(r):
    def b(dy, c):
        m = c[0] < c[1]
        return dy * m, dy * ~m

    return (lambda x, y: (np.maximum(x, y), (x, y)), b), normal(r, 5, 4), normal(r, 5, 4)


@wrong("where(mask, a, b): exchanged", "mask_inverted operand order")
def where(r):
    m = np.array(r.random((5, 4)) > 0.5)
    return (
        (lambda a, b: (np.where(m, a, b), m), lambda dy, m: (dy * ~m, dy * m)),
        normal(r, 5, 4),
        normal(r, 5, 4),
    )


@wrong("outer product: dv uses u wrong: dy@u for u (square)", "transpose")
def outer(r):
    return (
        (lambda u, v: (np.outer(u, v), (u, v)), lambda dy, c: (dy @ c[1], dy @ c[0])),
        normal(r, 4),
        normal(r, 4),
    )


@wrong("einsum bij,bj->bi : dx without transpose", "transpose")
def bmv(r):
    return (
        (
            lambda A, x: (np.einsum("bij,bj->bi", A, x), (A, x)),
            lambda dy, c: (dy[:, :, None] * c[1][:, None], np.einsum("bij,bj->bi", c[0], dy)),
        ),
        normal(r, 3, 4, 4),
        normal(r, 3, 4),
    )


@wrong("dot product of rows: dv = dy v", "operand")
def dots(r):
    return (
        (
            lambda u, v: ((u * v).sum(1), (u, v)),
            lambda dy, c: (dy[:, None] * c[1], dy[:, None] * c[1]),
        ),
        normal(r, 5, 3),
        normal(r, 5, 3),
    )


@wrong("squared distance: dv sign same as du", "sign")
def dist(r):
    return (
        (
            lambda u, v: (((u - v) ** 2).sum(1), u - v),
            lambda dy, d: (2 * dy[:, None] * d, 2 * dy[:, None] * d),
        ),
        normal(r, 5, 3),
        normal(r, 5, 3),
    )


@wrong("euclid distance: division by distance missing", "row_factor local_factor")
def euclid(r):
    def f(u, v):
        d = u - v
        n = np.sqrt((d * d).sum(1))
        return n, (d, n)

    return (
        (f, lambda dy, c: (dy[:, None] * c[0], -dy[:, None] * c[0])),
        normal(r, 5, 3),
        normal(r, 5, 3),
    )


@wrong("l1 norm: sign missing (ones)", "slope_forgotten branch local_factor term")
def l1(r):
    return (lambda x: (abs(x).sum(1), x), lambda dy, x: dy[:, None] * np.ones_like(x)), normal(
        r, 5, 4
    )


@wrong("min over axis 1: gradient at argmax", "shifted index_shift extra_term")
def minmax(r):
    def b(dy, x):
        g = np.zeros_like(x)
        g[np.arange(len(x)), x.argmax(1)] = dy
        return g

    return (lambda x: (x.min(1), x), b), normal(r, 6, 4)


@wrong("var over axis 1 : 2(x-mean) without 1/n", "factor")
def var(r):
    return (
        lambda x: (x.var(1), x),
        lambda dy, x: 2 * dy[:, None] * (x - x.mean(1, keepdims=True)),
    ), normal(r, 5, 4)


@wrong("var over axis: mean of axis 0 subtracted", "axis statistic")
def varaxis(r):
    return (
        lambda x: (x.var(1), x),
        lambda dy, x: 2 * dy[:, None] * (x - x.mean(0)) / x.shape[1],
    ), normal(r, 5, 4)


@wrong("var: x without subtracting mean", "statistic term function_left")
def varraw(r):
    return (lambda x: (x.var(1), x), lambda dy, x: 2 * dy[:, None] * x / x.shape[1]), normal(
        r, 5, 4
    )


@wrong("instance norm over all entries: constants", "statistic")
def innorm(r):
    def f(x):
        m = x.mean((1, 2), keepdims=True)
        s = x.std((1, 2), keepdims=True)
        return (x - m) / s, s

    return (f, lambda dy, s: dy / s), normal(r, 3, 4, 2)


@wrong("layernorm no affine: -mean(dy) missing", "statistic")
def lnmean(r):
    def f(x):
        m = x.mean(1, keepdims=True)
        s = x.std(1, keepdims=True)
        return (x - m) / s, ((x - m) / s, s)

    def b(dy, c):
        h, s = c
        return (dy - h * (dy * h).mean(1, keepdims=True)) / s

    return (f, b), normal(r, 5, 6)


@wrong("layernorm: divided by variance not std", "row_factor")
def lnvar(r):
    def f(x):
        m = x.mean(1, keepdims=True)
        s = x.std(1, keepdims=True)
        return (x - m) / s, ((x - m) / s, s)

    def b(dy, c):
        h, s = c
        return (dy - dy.mean(1, keepdims=True) - h * (dy * h).mean(1, keepdims=True)) / s**2

    return (f, b), normal(r, 5, 6)


@wrong("softmax temperature: 1/T missing", "factor")
def smT(r):
    def f(x):
        y = softmax(x / 2.5)
        return y, y

    return (f, lambda dy, y: y * (dy - (dy * y).sum(1, keepdims=True))), normal(r, 5, 4)


@wrong("softmax: y*(1 - sum)", "random term axis statistic")
def smw(r):
    def f(x):
        y = softmax(x)
        return y, y

    return (f, lambda dy, y: y * (dy - dy.sum(1, keepdims=True))), normal(r, 5, 4)


@wrong("logsumexp: softmax over axis 0", "axis")
def lseax(r):
    return (
        lambda x: (np.log(np.exp(x).sum(1)), x),
        lambda dy, x: dy[:, None] * softmax(x, 0),
    ), normal(r, 5, 4)


@wrong("BCE from probs: (1-t)/(1-p) sign", "sign branch term")
def bcep(r):
    def f(p, t):
        return -np.mean(t * np.log(p) + (1 - t) * np.log(1 - p)), (p, t)

    return (
        (f, lambda dy, c: (dy * (-c[1] / c[0] - (1 - c[1]) / (1 - c[0])) / len(c[0]),)),
        r.random(8) * 0.8 + 0.1,
        np.array([0, 1, 1, 0, 1, 0, 0, 1.0]),
    )


@wrong("BCE logits: t - p", "sign")
def bcel(r):
    def f(x, t):
        return np.mean(np.log1p(np.exp(x)) - t * x), (x, t)

    return (
        (f, lambda dy, c: (dy * (c[1] - sigmoid(c[0])) / len(c[0]),)),
        normal(r, 8),
        np.array([0, 1, 1, 0, 1, 0, 0, 1.0]),
    )


@wrong(
    "BCE logits: sigmoid forgotten: x - t",
    "slope_forgotten slope_place local_factor term function_left",
    "random",
)
def bcex(r):
    def f(x, t):
        return np.mean(np.log1p(np.exp(x)) - t * x), (x, t)

    return (
        (f, lambda dy, c: (dy * (c[0] - c[1]) / len(c[0]),)),
        normal(r, 8),
        np.array([0, 1, 1, 0, 1, 0, 0, 1.0]),
    )


@wrong("MAE: no 1/n", "factor batch_missing")
def mae(r):
    return (
        (lambda x, t: (abs(x - t).mean(), (x, t)), lambda dy, c: (dy * np.sign(c[0] - c[1]),)),
        normal(r, 7),
        normal(r, 7),
    )


@wrong("MAE: sign forgotten: x - t", "local_factor")
def mae2(r):
    return (
        (lambda x, t: (abs(x - t).mean(), (x, t)), lambda dy, c: (dy * (c[0] - c[1]) / 7,)),
        normal(r, 7),
        normal(r, 7),
    )


@wrong("weighted loss: sample weights forgotten", "operand_left row_factor local_factor")
def wmse(r):
    return (
        (
            lambda x, t, w: ((w * (x - t) ** 2).mean(), (x, t, w)),
            lambda dy, c: (2 * dy * (c[0] - c[1]) / len(c[0]),),
        ),
        normal(r, 7),
        normal(r, 7),
        r.random(7) + 0.3,
    )


@wrong("triplet hinge: mask missing", "mask_forgotten")
def trip(r):
    def f(p, n):
        return np.maximum(0, 1 - p + n).sum(), (p, n)

    return (
        (f, lambda dy, c: (-dy * np.ones(9), dy * np.ones(9))),
        2 * normal(r, 9),
        2 * normal(r, 9),
    )


@wrong("CE with smoothing: eps forgotten in backward", "term", "random")
def smooth(r):
    def f(x, t):
        p = softmax(x)
        q = np.full_like(p, 0.1 / 5)
        q[np.arange(6), t] += 0.9
        return -(q * np.log(p)).sum() / 6, (p, t)

    def b(dy, c):
        p, t = c
        d = p.copy()
        d[np.arange(6), t] -= 1
        return (dy * d / 6,)

    return (f, b), normal(r, 6, 5), r.integers(0, 5, 6)


@wrong("CE sum instead of mean", "batch_missing factor")
def cesum(r):
    def f(x, t):
        p = softmax(x)
        return -np.log(p[np.arange(6), t]).mean(), (p, t)

    def b(dy, c):
        p, t = c
        d = p.copy()
        d[np.arange(6), t] -= 1
        return (dy * d,)

    return (f, b), normal(r, 6, 5), r.integers(0, 5, 6)


@wrong("CE softmax over axis 0 in backward", "axis", "random")
def ceax(r):
    def f(x, t):
        p = softmax(x)
        return -np.log(p[np.arange(6), t]).mean(), (x, t)

    def b(dy, c):
        x, t = c
        d = softmax(x, 0)
        d[np.arange(6), t] -= 1
        return (dy * d / 6,)

    return (f, b), normal(r, 6, 5), r.integers(0, 5, 6)


@wrong("embedding: padding id 0 not masked in backward", "mask_forgotten extra_term", "random")
def pad(r):
    def f(W, i):
        return W[i] * (i > 0)[:, None], (W, i)

    def b(dy, c):
        g = np.zeros_like(c[0])
        np.add.at(g, c[1], dy)
        return (g,)

    return (f, b), normal(r, 8, 3), np.array([1, 0, 3, 3, 0, 5, 7])


@wrong("embedding scaled sqrt(d) missing", "factor")
def embs(r):
    def f(W, i):
        return W[i] * np.sqrt(3), (W, i)

    def b(dy, c):
        g = np.zeros_like(c[0])
        np.add.at(g, c[1], dy)
        return (g,)

    return (f, b), normal(r, 8, 3), np.array([1, 0, 3, 3, 0, 5, 7])


@wrong("embedding: first write wins (unique return_index)", "duplicates")
def first(r):
    def b(dy, c):
        g = np.zeros_like(c[0])
        u, k = np.unique(c[1], return_index=True)
        g[u] = dy[k]
        return (g,)

    return (lambda W, i: (W[i], (W, i)), b), normal(r, 8, 3), np.array([1, 0, 3, 3, 0, 5, 7])


@wrong("segment mean: divided by total not segment", "row_factor count")
def segmean(r):
    ids = np.array([0, 0, 1, 2, 2, 2, 1, 0])

    def f(x, i):
        n = np.bincount(i)
        s = np.zeros((3, 2), x.dtype)
        np.add.at(s, i, x)
        return s / n[:, None], (i,)

    return (f, lambda dy, c: (dy[c[0]] / 8,)), normal(r, 8, 2), ids


@wrong("gather pairs: only i side gets gradient", "part_missing second_path")
def pairs(r):
    first, second = np.array([0, 1, 2, 0]), np.array([1, 2, 3, 3])

    def f(z):
        return (z[first] * z[second]).sum(1), z

    def b(dy, z):
        g = np.zeros_like(z)
        np.add.at(g, first, dy[:, None] * z[second])
        return g

    return (f, b), normal(r, 4, 3)


@wrong("RNN: Wh gradient uses h_t instead of h_{t-1}", "operand shifted", "random")
def rnn(r):
    def f(x, U, V):
        h = [np.zeros((3, 4), x.dtype)]
        for t in range(4):
            h.append(np.tanh(x[:, t] @ U + h[-1] @ V))
        return h[-1], (x, U, V, h)

    def b(dy, c):
        x, U, V, h = c
        dU = np.zeros_like(U)
        dV = np.zeros_like(V)
        dx = np.zeros_like(x)
        d = dy
        for t in range(3, -1, -1):
            a = d * (1 - h[t + 1] ** 2)
            dU += x[:, t].T @ a
            dV += h[t + 1].T @ a
            dx[:, t] = a @ U.T
            d = a @ V.T
        return dx, dU, dV

    return (f, b), normal(r, 3, 4, 2), normal(r, 2, 4), normal(r, 4, 4)


@wrong("RNN: V not transposed in time", "transpose")
def rnnT(r):
    def f(x, U, V):
        h = [np.zeros((3, 4), x.dtype)]
        for t in range(3):
            h.append(np.tanh(x[:, t] @ U + h[-1] @ V))
        return h[-1], (x, U, V, h)

    def b(dy, c):
        x, U, V, h = c
        dU = np.zeros_like(U)
        dV = np.zeros_like(V)
        dx = np.zeros_like(x)
        d = dy
        for t in range(2, -1, -1):
            a = d * (1 - h[t + 1] ** 2)
            dU += x[:, t].T @ a
            dV += h[t].T @ a
            dx[:, t] = a @ U.T
            d = a @ V
        return dx, dU, dV

    return (f, b), normal(r, 3, 3, 2), normal(r, 2, 4), normal(r, 4, 4)


@wrong(
    "attention 2: dV without A (dO itself)", "slope_forgotten operand_left second_path term operand"
)
def attV(r):
    def f(Q, K, V):
        A = softmax(Q @ K.T / 2)
        return A @ V, (Q, K, V, A)

    def b(dO, c):
        Q, K, V, A = c
        dA = dO @ V.T
        dS = A * (dA - (dA * A).sum(1, keepdims=True)) / 2
        return dS @ K, dS.T @ Q, dO.copy()

    return (f, b), normal(r, 4, 4), normal(r, 4, 4), normal(r, 4, 4)


@wrong("attention: softmax derivative forgotten: dS = dA", "slope_forgotten", "random")
def attS(r):
    def f(Q, K, V):
        A = softmax(Q @ K.T / 2)
        return A @ V, (Q, K, V, A)

    def b(dO, c):
        Q, K, V, A = c
        dS = dO @ V.T / 2
        return dS @ K, dS.T @ Q, A.T @ dO

    return (f, b), normal(r, 4, 4), normal(r, 4, 4), normal(r, 4, 4)


@wrong("attention: dQ and dK swapped operands", "operand")
def attQK(r):
    def f(Q, K, V):
        A = softmax(Q @ K.T / 2)
        return A @ V, (Q, K, V, A)

    def b(dO, c):
        Q, K, V, A = c
        dA = dO @ V.T
        dS = A * (dA - (dA * A).sum(1, keepdims=True)) / 2
        return dS @ Q, dS.T @ K, A.T @ dO

    return (f, b), normal(r, 4, 4), normal(r, 4, 4), normal(r, 4, 4)


@wrong(
    "conv1d stride 2: gradient written at stride 1",
    "shifted pairing duplicates index_shift",
    "random",
)
def stride(r):
    def f(x, k):
        return np.stack([x[:, 2 * i : 2 * i + 2] @ k for i in range(3)], 1), (x, k)

    def b(dy, c):
        x, k = c
        dx = np.zeros_like(x)
        dk = np.zeros_like(k)
        for i in range(3):
            dx[:, i : i + 2] += dy[:, i : i + 1] * k
            dk += dy[:, i] @ x[:, 2 * i : 2 * i + 2]
        return dx, dk

    return (f, b), normal(r, 4, 6), normal(r, 2)


@wrong("max pool: gradient to first of pair", "shifted extra_term", "random")
def pool(r):
    def f(x):
        return x.reshape(4, 3, 2).max(2), x

    def b(dy, x):
        g = np.zeros((4, 3, 2))
        g[:, :, 0] = dy
        return g.reshape(4, 6)

    return (f, b), normal(r, 4, 6)


@wrong("avg pool overlapping border count", "row_factor", "random")
def avgb(r):
    def f(x):
        return np.stack([x[:, i : i + 3].mean(1) for i in range(4)], 1)

    def b(dy):
        g = np.zeros((3, 6))
        for i in range(4):
            g[:, i : i + 3] += dy[:, i : i + 1] / 3
        n = np.array([1, 2, 3, 3, 2, 1])
        return g / n

    return (f, b), normal(r, 3, 6)


@wrong("flip in forward, none in backward", "shifted pairing")
def flip(r):
    return (lambda x: x[:, ::-1] * 3.0, lambda dy: dy * 3.0), normal(r, 4, 5)


@wrong("roll: same direction", "shifted pairing")
def roll(r):
    return (lambda x: np.roll(x, 2, 1), lambda dy: np.roll(dy, 2, 1)), normal(r, 4, 5)


@wrong("sort: gradient not unsorted", "shifted pairing")
def sort(r):
    return (lambda x: np.sort(x, 1), lambda dy: dy.copy()), normal(r, 4, 5)


@wrong("stack of two: second gets first's dy", "operand pairing")
def stack(r):
    return (
        (lambda a, b: (np.stack([a, b], 1), None), lambda dy, _: (dy[:, 0], dy[:, 0])),
        normal(r, 4, 3),
        normal(r, 4, 3),
    )


@wrong("pad by 1: crop at wrong side", "shifted pairing")
def padc(r):
    return (lambda x: np.pad(x, ((0, 0), (1, 1))), lambda dy: dy[:, :-2]), normal(r, 4, 5)


@wrong("tile: only the first copy", "part_missing one_sample samples second_path")
def tile(r):
    return (lambda x: np.tile(x, (1, 3)), lambda dy: dy[:, :4]), normal(r, 4, 4)


@wrong("diff: backward misses the minus part", "part_missing")
def diff(r):
    def b(dy):
        g = np.zeros((4, 5))
        g[:, 1:] = dy
        return g

    return (lambda x: np.diff(x, axis=1), b), normal(r, 4, 5)


@wrong("cumprod: dy * y/x without reverse cumsum", "part_missing")
def cprod(r):
    return (lambda x: (np.cumprod(x, 1), x), lambda dy, x: dy * np.cumprod(x, 1) / x), r.random(
        (4, 4)
    ) + 0.5


@wrong("skip connection sum of three, one missed: y = x + relu + x^2", "second_path")
def three(r):
    return (
        lambda x: (x + np.maximum(x, 0) + x * x, x),
        lambda dy, x: dy * ((x > 0) + 2 * x),
    ), normal(r, 5, 4)


@wrong("highway gate: dT lacks -x part", "term second_path part_missing operand")
def highway(r):
    def f(x, h, t):
        return t * h + (1 - t) * x, (x, h, t)

    return (
        (f, lambda dy, c: (dy * (1 - c[2]), dy * c[2], dy * c[1])),
        normal(r, 4, 3),
        normal(r, 4, 3),
        r.random((4, 3)),
    )


@wrong("deep: first layer W1 gradient uses x of wrong layer h", "operand", "random")
def deep(r):
    def f(x, W, V):
        h = np.tanh(x @ W)
        return h @ V, (x, W, V, h)

    def b(dy, c):
        _x, W, V, h = c
        d = (dy @ V.T) * (1 - h * h)
        return d @ W.T, h.T @ d, h.T @ dy

    return (f, b), normal(r, 6, 4), normal(r, 4, 4), normal(r, 4, 3)


@wrong("deep sigmoid: h instead of h(1-h)", "slope_forgotten slope_place local_factor", "random")
def deepsig(r):
    def f(x, W, V):
        h = sigmoid(x @ W)
        return h @ V, (x, W, V, h)

    def b(dy, c):
        x, W, V, h = c
        d = (dy @ V.T) * h
        return d @ W.T, x.T @ d, h.T @ dy

    return (f, b), normal(r, 6, 4), normal(r, 4, 5), normal(r, 5, 3)


@wrong("deep: second layer's V not transposed (square)", "transpose", "random")
def deepT(r):
    def f(x, W, V):
        h = np.tanh(x @ W)
        return h @ V, (x, W, V, h)

    def b(dy, c):
        x, W, V, h = c
        d = (dy @ V) * (1 - h * h)
        return d @ W.T, x.T @ d, h.T @ dy

    return (f, b), normal(r, 6, 4), normal(r, 4, 3), normal(r, 3, 3)


@wrong("scalar times vector: ds is vector mean", "factor batch_twice")
def scal(r):
    return (
        (lambda x, s: (x * s, (x, s)), lambda dy, c: (dy * c[1], np.array([(dy * c[0]).mean()]))),
        normal(r, 5, 4),
        normal(r, 1),
    )


@wrong("scale g: dg = sum dy (x forgotten)", "operand_left")
def scalex(r):
    return (
        (lambda x, g: (x * g, (x, g)), lambda dy, c: (dy * c[1], dy.sum(0))),
        normal(r, 5, 4),
        normal(r, 4),
    )


@wrong("MC: prelu da sums over x>0", "branch mask_inverted", "random")
def prelu(r):
    return (
        (
            lambda x, a: (np.where(x > 0, x, a * x), (x, a)),
            lambda dy, c: (dy * np.where(c[0] > 0, 1, c[1]), (dy * c[0] * (c[0] > 0)).sum(0)),
        ),
        normal(r, 7, 3),
        r.random(3),
    )


# embeddings
def emb(bwd, r, n=7):
    return (lambda W, ids: (W[ids], (W, ids)), bwd), normal(r, 8, 3), r.integers(0, 8, n)


@wrong("emb: += buffered", "duplicates")
def emb_buf(r):
    def b(dy, c):
        W, i = c
        g = np.zeros_like(W)
        g[i] += dy
        return (g,)

    return emb(b, r)


@wrong("emb: gradient divided by number of ids", "factor batch_twice")
def emb_n(r):
    def b(dy, c):
        W, i = c
        g = np.zeros_like(W)
        np.add.at(g, i, dy)
        return (g / len(i),)

    return emb(b, r)


@wrong("emb: np.add.at with ids-1", "shifted index_shift")
def emb_m1(r):
    def b(dy, c):
        W, i = c
        g = np.zeros_like(W)
        np.add.at(g, i - 1, dy)
        return (g,)

    return emb(b, r)


@wrong("emb: dy reversed", "pairing")
def emb_rev(r):
    def b(dy, c):
        W, i = c
        g = np.zeros_like(W)
        np.add.at(g, i, dy[::-1])
        return (g,)

    return emb(b, r)


@wrong("emb: gradient accumulates in ones (counts)", "upstream_ignored")
def emb_cnt(r):
    def b(dy, c):
        W, i = c
        g = np.zeros_like(W)
        np.add.at(g, i, 1.0)
        return (g,)

    return emb(b, r)


@wrong("emb: dy averaged over columns", "broadcast axis")
def emb_col(r):
    def b(dy, c):
        W, i = c
        g = np.zeros_like(W)
        np.add.at(g, i, dy.mean(1, keepdims=True))
        return (g,)

    return emb(b, r)


@wrong("emb bag mean: divided by bag size twice", "factor mean_missing")
def bag2(r):
    def b(dy, c):
        W, i = c
        g = np.zeros_like(W)
        np.add.at(g, i, dy[:, None] / 16)
        return (g,)

    return (lambda W, i: (W[i].mean(1), (W, i)), b), normal(r, 8, 3), r.integers(0, 8, (5, 4))


@wrong("emb bag: first id only", "first_of_bag part_missing one_part")
def bagfirst(r):
    def b(dy, c):
        W, i = c
        g = np.zeros_like(W)
        np.add.at(g, i[:, 0], dy)
        return (g,)

    return (lambda W, i: (W[i].sum(1), (W, i)), b), normal(r, 8, 3), r.integers(0, 8, (5, 4))


@wrong("weighted bag: weights forgotten in dW", "weight_missing operand_left")
def bagw(r):
    def f(W, w, i):
        return (w[:, :, None] * W[i]).sum(1), (W, w, i)

    def b(dy, c):
        W, _w, i = c
        g = np.zeros_like(W)
        np.add.at(g, i, dy[:, None])
        return g, (W[i] * dy[:, None]).sum(2)

    return (f, b), normal(r, 8, 3), r.random((5, 4)), r.integers(0, 8, (5, 4))


# MF, ridge
def mf(bwd, r):
    def f(U, V, i, j):
        return (U[i] * V[j]).sum(1), (U, V, i, j)

    return (f, bwd), normal(r, 6, 3), normal(r, 5, 3), r.integers(0, 6, 8), r.integers(0, 5, 8)


@wrong("MF: both gradients with V", "operand")
def mf_V(r):
    def b(dy, c):
        U, V, i, j = c
        gu = np.zeros_like(U)
        gv = np.zeros_like(V)
        np.add.at(gu, i, dy[:, None] * V[j])
        np.add.at(gv, j, dy[:, None] * V[j])
        return gu, gv

    return mf(b, r)


@wrong("MF: dU uses updated V", "updated", "not_linear")
def mf_upd(r):
    def b(dy, c):
        U, V, i, j = c
        gv = np.zeros_like(V)
        np.add.at(gv, j, dy[:, None] * U[i])
        V2 = V - 0.05 * gv
        gu = np.zeros_like(U)
        np.add.at(gu, i, dy[:, None] * V2[j])
        return gu, gv

    return mf(b, r)


@wrong("MF: ids exchanged for item gradient", "index_shift shifted operand", "random")
def mf_ids(r):
    def b(dy, c):
        U, V, i, j = c
        gu = np.zeros_like(U)
        gv = np.zeros_like(V)
        np.add.at(gu, i, dy[:, None] * V[j])
        np.add.at(gv, i % 5, dy[:, None] * U[i])
        return gu, gv

    return mf(b, r)


def ridge(bwd, r):
    def f(W, b, x, t):
        e = x @ W + b - t
        return (e**2).mean() + 0.05 * (W**2).sum(), (W, b, x, e)

    return (f, lambda d, c: bwd(d, *c)), normal(r, 4), normal(r, 1), normal(r, 6, 4), normal(r, 6)


@wrong("ridge: penalty gradient missing", "regularization")
def rg_miss(r):
    return ridge(lambda d, W, b, x, e: (d * 2 * x.T @ e / 6, d * np.array([2 * e.mean()])), r)


@wrong("ridge: 1/B missing in data part", "term", "random")
def rg_B(r):
    return ridge(
        lambda d, W, b, x, e: (d * (2 * x.T @ e + 0.1 * W), d * np.array([2 * e.mean()])), r
    )


@wrong("ridge: db sum instead of mean", "batch_missing")
def rg_db(r):
    return ridge(
        lambda d, W, b, x, e: (d * (2 * x.T @ e / 6 + 0.1 * W), d * np.array([2 * e.sum()])), r
    )


@wrong("ridge: upstream ignored", "upstream_ignored")
def rg_up(r):
    return ridge(lambda d, W, b, x, e: ((2 * x.T @ e / 6 + 0.1 * W), np.array([2 * e.mean()])), r)


@wrong("ridge: 2 missing in data part only", "term", "random")
def rg_two(r):
    return ridge(
        lambda d, W, b, x, e: (d * (x.T @ e / 6 + 0.1 * W), d * np.array([2 * e.mean()])), r
    )


@wrong("ridge: penalty 2*lambda twice (0.2)", "term")
def rg_lam(r):
    return ridge(
        lambda d, W, b, x, e: (d * (2 * x.T @ e / 6 + 0.2 * W), d * np.array([2 * e.mean()])), r
    )


@wrong("lasso: penalty sign(w) uses w", "term function_left operand")
def lasso(r):
    def f(W, x, t):
        e = x @ W - t
        return (e**2).mean() + 0.3 * abs(W).sum(), (W, x, e)

    return (
        (f, lambda d, c: (d * (2 * c[1].T @ c[2] / 6 + 0.3 * c[0]),)),
        normal(r, 4),
        normal(r, 6, 4),
        normal(r, 6),
    )


# conv/pool
@wrong("conv2d: bias summed over batch and height only -> mean over width", "factor")
def convb(r):
    return (
        (lambda x, b: (x + b[:, None, None], None), lambda dy, _: (dy, dy.mean(3).sum((0, 2)))),
        normal(r, 2, 3, 4, 5),
        normal(r, 3),
    )


@wrong("conv1d: dk last tap forgotten", "part_missing")
def convk(r):
    def f(x, k):
        return sum(k[j] * x[:, j : j + 4] for j in range(3)), (x, k)

    def b(dy, c):
        x, k = c
        dk = np.zeros(3)
        dx = np.zeros_like(x)
        for j in range(3):
            dx[:, j : j + 4] += k[j] * dy
        for j in range(2):
            dk[j] = (dy * x[:, j : j + 4]).sum()
        return dx, dk

    return (f, b), normal(r, 3, 6), normal(r, 3)


@wrong("conv1d: dx same-size correlation without padding shift", "shifted pairing")
def convs(r):
    def f(x, k):
        return sum(k[j] * x[:, j : j + 4] for j in range(3)), (x, k)

    def b(dy, c):
        x, k = c
        dk = np.array([(dy * x[:, j : j + 4]).sum() for j in range(3)])
        dx = np.zeros_like(x)
        for j in range(3):
            dx[:, 2 - j : 6 - j] += k[j] * dy
        return dx, dk

    return (f, b), normal(r, 3, 6), normal(r, 3)


@wrong("maxpool: ties no; gradient spread over window", "extra_term factor term", "random")
def mpsp(r):
    return (
        lambda x: (x.reshape(4, 3, 2).max(2), x),
        lambda dy, x: np.repeat(dy, 2, axis=1) / 2,
    ), normal(r, 4, 6)


@wrong("global avg pool: divided by channels, not positions", "factor")
def gap(r):
    return (
        lambda x: (x.mean(2), x),
        lambda dy, x: np.repeat(dy[:, :, None], x.shape[2], 2) / x.shape[1],
    ), normal(r, 3, 4, 5)


@wrong("upsample nearest: takes first only", "part_missing one_sample samples")
def ups(r):
    return (lambda x: np.repeat(x, 2, 1), lambda dy: dy[:, ::2]), normal(r, 3, 4)


# RNN
def recurrent(r, how):
    def f(x, U, V):
        h = np.zeros((3, 4), x.dtype)
        hs = [h]
        for t in range(3):
            h = np.tanh(x[:, t] @ U + h @ V)
            hs.append(h)
        return h, (x, U, V, hs)

    def b(dy, c):
        x, U, V, hs = c
        dU = np.zeros_like(U)
        dV = np.zeros_like(V)
        dx = np.zeros_like(x)
        d = dy
        for t in (2, 1, 0):
            a = d * (1 - hs[t + 1] ** 2)
            if how != "lastU" or t == 2:
                dU += x[:, t].T @ a
            dV += hs[t].T @ a
            dx[:, t] = a @ U.T
            d = a @ V.T
            if how == "slope":
                d = d * 1
        if how == "sign":
            dV = -dV
        if how == "firstx":
            dx[:, 1:] = 0
        if how == "rev":
            dx = dx[:, ::-1]
        return dx, dU, dV

    return (f, b), normal(r, 3, 3, 2), normal(r, 2, 4), normal(r, 4, 4)


@wrong("rnn: dU only last step", "samples one_sample part_missing", "random term")
def rnn_lastU(r):
    return recurrent(r, "lastU")


@wrong("rnn: dV sign", "sign")
def rnn_sign(r):
    return recurrent(r, "sign")


@wrong("rnn: dx only first step", "one_part part_missing")
def rnn_first(r):
    return recurrent(r, "firstx")


@wrong("rnn: dx reversed in time", "shifted")
def rnn_rev(r):
    return recurrent(r, "rev")


@wrong("GRU-like: dz lacks (h~ - h): uses h~ only", "term operand second_path")
def gru(r):
    return (
        (
            lambda z, h, c: ((1 - z) * h + z * c, (z, h, c)),
            lambda dy, k: (dy * k[2], dy * (1 - k[0]), dy * k[0]),
        ),
        r.random((4, 3)),
        normal(r, 4, 3),
        normal(r, 4, 3),
    )


@wrong("LSTM: df uses c new instead of c_prev", "operand", "local_factor")
def lstm(r):
    def f(fg, i, g, c):
        n = fg * c + i * g
        return n, (fg, i, g, c, n)

    return (
        (f, lambda dy, k: (dy * k[4], dy * k[2], dy * k[1], dy * k[0])),
        r.random((4, 3)),
        r.random((4, 3)),
        normal(r, 4, 3),
        normal(r, 4, 3),
    )


# norms
@wrong("groupnorm-like: eps forgotten in backward (1e-2)", "epsilon")
def gn(r):
    def f(x):
        m = x.mean(1, keepdims=True)
        v = x.var(1, keepdims=True)
        return (x - m) / np.sqrt(v + 1e-2), (x - m, v)

    def b(dy, c):
        xm, v = c
        s = np.sqrt(v)
        h = xm / np.sqrt(v + 1e-2)
        return (dy - dy.mean(1, keepdims=True) - h * (dy * h).mean(1, keepdims=True)) / s

    return (f, b), normal(r, 5, 6)


@wrong("batchnorm: gamma forgotten in dx", "operand_left")
def bng(r):
    def f(x, g, b):
        mu = x.mean(0)
        s = np.sqrt(x.var(0) + 1e-5)
        h = (x - mu) / s
        return g * h + b, (h, s, g)

    def bw(dy, c):
        h, s, _g = c
        d = dy
        return (d - d.mean(0) - h * (d * h).mean(0)) / s, (dy * h).sum(0), dy.sum(0)

    return (f, bw), normal(r, 6, 4), normal(r, 4), normal(r, 4)


@wrong("batchnorm: dgamma without xhat", "operand_left")
def bngam(r):
    def f(x, g, b):
        mu = x.mean(0)
        s = np.sqrt(x.var(0) + 1e-5)
        h = (x - mu) / s
        return g * h + b, (h, s, g)

    def bw(dy, c):
        h, s, g = c
        d = dy * g
        return (d - d.mean(0) - h * (d * h).mean(0)) / s, dy.sum(0), dy.sum(0)

    return (f, bw), normal(r, 6, 4), normal(r, 4), normal(r, 4)


@wrong("batchnorm: xhat forgotten in the var path: + instead of -", "statistic term sign")
def bnplus(r):
    def f(x):
        mu = x.mean(0)
        s = np.sqrt(x.var(0) + 1e-5)
        return (x - mu) / s, ((x - mu) / s, s)

    def bw(d, c):
        h, s = c
        return (d - d.mean(0) + h * (d * h).mean(0)) / s

    return (f, bw), normal(r, 6, 4)


@wrong("unit vector: uses squared norm", "row_factor")
def unit2(r):
    def f(x):
        n = np.sqrt((x * x).sum(1, keepdims=True))
        return x / n, (x, n)

    def b(dy, c):
        x, n = c
        u = x / n
        return (dy - u * (dy * u).sum(1, keepdims=True)) / n**2

    return (f, b), normal(r, 5, 4)


@wrong("minmax scale: range constant", "statistic second_path part_missing")
def mm(r):
    def f(x):
        a = x.min(1, keepdims=True)
        b = x.max(1, keepdims=True)
        return (x - a) / (b - a), b - a

    return (f, lambda dy, w: dy / w), normal(r, 5, 4)


# classes
def lay(r, bw):
    class L(md.Module):
        def __init__(s, rng):
            s.W = md.Parameter(rng.normal(size=(4, 3)))
            s.b = md.Parameter(rng.normal(size=3))

        def forward(s, x):
            s.x = x
            return x @ s.W.value + s.b.value

        def backward(s, dy):
            return bw(s, dy)

    return L(r), normal(r, 6, 4)


@wrong("class: b gets mean", "batch_twice")
def c_mean(r):
    def bw(s, dy):
        s.W.add_grad(s.x.T @ dy)
        s.b.add_grad(dy.mean(0))
        return dy @ s.W.value.T

    return lay(r, bw)


@wrong("class: W.grad assigned", "overwritten")
def c_over(r):
    def bw(s, dy):
        s.W.grad = s.x.T @ dy
        s.b.add_grad(dy.sum(0))
        return dy @ s.W.value.T

    return lay(r, bw)


@wrong("class: forgets dx (returns dy@W.T of W+grad)", "updated", "not_linear")
def c_upd(r):
    def bw(s, dy):
        g = s.x.T @ dy
        s.W.add_grad(g)
        s.b.add_grad(dy.sum(0))
        return dy @ (s.W.value - 0.1 * g).T

    return lay(r, bw)


@wrong("class: bias gradient missing", "missing")
def c_nob(r):
    def bw(s, dy):
        s.W.add_grad(s.x.T @ dy)
        return dy @ s.W.value.T

    return lay(r, bw)


@wrong("class: dW from first two samples", "samples")
def c_two(r):
    def bw(s, dy):
        s.W.add_grad(s.x[:2].T @ dy[:2])
        s.b.add_grad(dy.sum(0))
        return dy @ s.W.value.T

    return lay(r, bw)


@wrong("class: keeps x of the first forward", "stale")
def c_stale(r):
    class L(md.Module):
        def __init__(s, rng):
            s.W = md.Parameter(rng.normal(size=(4, 3)))

        def forward(s, x):
            if not hasattr(s, "x"):
                s.x = x
            return x @ s.W.value

        def backward(s, dy):
            s.W.add_grad(s.x.T @ dy)
            return dy @ s.W.value.T

    return L(r), normal(r, 6, 4)


@wrong("MLP class: relu between forgotten in backward", "slope_forgotten joining", "mask_forgotten")
def c_mlp(r):
    class M(md.Module):
        def __init__(s, rng):
            s.a = md.Linear(4, 5, rng=rng)
            s.c = md.Linear(5, 2, rng=rng)

        def forward(s, x):
            return s.c.forward(np.maximum(s.a.forward(x), 0))

        def backward(s, dy):
            return s.a.backward(s.c.backward(dy))

    return M(r), normal(r, 6, 4)


def batch(r):
    return Batch(r.normal(size=(6, 3)), r.integers(0, 4, (6, 3)))


@wrong("DLRM: the gradients of the bottom MLP are halved", "factor")
def dlrm_halved(r):
    class DLRM(md.DLRM):
        def backward(self, dl):
            super().backward(dl)
            for _n, p in self.bottom.named_parameters():
                p.grad = p.grad * 0.5

    return DLRM(3, [5, 4, 6], 3, (4,), (5,), seed=1), batch(r)


# forms
@wrong("returns None for W", "missing")
def f_none(r):
    return (
        (lambda x, W: (x @ W, (x, W)), lambda dy, c: (dy @ c[1].T, None)),
        normal(r, 5, 4),
        normal(r, 4, 3),
    )


@wrong("returns list nested", "shape")
def f_nest(r):
    return (
        (lambda x, W: (x @ W, (x, W)), lambda dy, c: [[dy @ c[1].T, c[0].T @ dy]]),
        normal(r, 5, 4),
        normal(r, 4, 3),
    )


@wrong("flattened gradient", "shape")
def f_flat(r):
    return (
        (lambda x, W: (x @ W, (x, W)), lambda dy, c: (dy @ c[1].T, (c[0].T @ dy).ravel())),
        normal(r, 5, 4),
        normal(r, 4, 3),
    )


@wrong("nan in gradient 0/0", "nan")
def f_nan(r):
    return (lambda x: (np.maximum(x, 0), x), lambda dy, x: dy * np.where(x > 0, 1, np.nan)), normal(
        r, 5, 4
    )


@wrong("object: returns float sum", "shape")
def f_float(r):
    return (lambda x: (x * 2, x), lambda dy, x: float(dy.sum())), normal(r, 5, 4)


@wrong("dx per-sample, not summed for W (3-D)", "not_summed shape")
def f_3d(r):
    return (
        (
            lambda x, W: (x @ W, (x, W)),
            lambda dy, c: (dy @ c[1].T, c[0][:, :, None] * dy[:, None, :]),
        ),
        normal(r, 5, 4),
        normal(r, 4, 3),
    )


@wrong("transposed shape of dW", "transpose shape")
def f_T(r):
    return (
        (lambda x, W: (x @ W, (x, W)), lambda dy, c: (dy @ c[1].T, dy.T @ c[0])),
        normal(r, 5, 4),
        normal(r, 4, 3),
    )


# misc
@wrong(
    "BPR loss: log-sigmoid slope sigma(x) vs 1 - sigma",
    "softplus_sign mask_inverted sign local_factor",
)
def bpr_slope(r):
    return (
        lambda s: (-np.log(sigmoid(s)).mean(), s),
        lambda dy, s: -dy * sigmoid(s) / len(s),
    ), normal(r, 9)


@wrong(
    "focal: (1-p)^2 factor's derivative ignored",
    "product_rule term second_path local_factor",
    "random",
)
def focal(r):
    return (
        lambda x: (-((1 - sigmoid(x)) ** 2 * np.log(sigmoid(x))).sum(), x),
        lambda dy, x: -dy * (1 - sigmoid(x)) ** 3,
    ), normal(r, 9)


@wrong("InfoNCE: diagonal not subtracted", "term part_missing")
def nce(r):
    def f(S):
        p = softmax(S)
        return -np.log(np.diag(p)).mean(), p

    return (f, lambda dy, p: dy * p / len(p)), normal(r, 5, 5)


@wrong("poly: coefficients gradient in reverse order", "shifted pairing")
def poly(r):
    return (
        (
            lambda c, x: ((np.vander(x, 4) @ c), (c, x)),
            lambda dy, k: (
                (np.vander(k[1], 4, increasing=True).T @ dy),
                dy * np.polyval(np.polyder(k[0]), k[1]) if k[0].dtype.kind == "f" else None,
            ),
        ),
        normal(r, 4),
        normal(r, 6),
    )


@wrong("matrix trace product tr(AB): dA = B not B.T", "transpose")
def trace(r):
    return (
        (lambda A, B: (np.trace(A @ B), (A, B)), lambda dy, c: (dy * c[1], dy * c[0].T)),
        normal(r, 4, 4),
        normal(r, 4, 4),
    )


@wrong("frobenius norm: not divided by norm", "factor", "random")
def frob(r):
    return (lambda A: (np.sqrt((A * A).sum()), A), lambda dy, A: dy * A), normal(r, 4, 3)


@wrong("gaussian kernel: factor -1/s^2 missing", "factor sign")
def gk(r):
    return (
        lambda x: (np.exp(-x * x / (2 * 0.49)), x),
        lambda dy, x: -dy * x * np.exp(-x * x / (2 * 0.49)),
    ), normal(r, 4, 3)


@wrong("dropout inverted mask", "mask_inverted")
def dinv(r):
    m = r.random((5, 4)) > 0.4
    return (lambda x: x * m / 0.6, lambda dy: dy * ~m / 0.6), normal(r, 5, 4)


@wrong(
    "causal mask: gradient through masked scores in linear attention",
    "mask_forgotten extra_term",
    "slope_forgotten random",
)
def linatt(r):
    M = np.tril(np.ones((4, 4)))

    def f(q, k, v):
        return ((q @ k.T) * M) @ v, (q, k, v)

    def b(d, c):
        q, k, v = c
        ds = d @ v.T
        return ds @ k, ds.T @ q, ((q @ k.T) * M).T @ d

    return (f, b), normal(r, 4, 4), normal(r, 4, 4), normal(r, 4, 4)


@wrong("clip by value 1e3 inside", "not_linear")
def clipv(r):
    return (lambda x: (np.sinh(x), x), lambda dy, x: np.clip(dy * np.cosh(x), -1.5, 1.5)), normal(
        r, 5, 4
    )


@wrong("square root of dy", "not_linear")
def sqdy(r):
    return (
        lambda x: (np.sin(x), x),
        lambda dy, x: np.sign(dy) * np.sqrt(abs(dy)) * np.cos(x),
    ), normal(r, 5, 4)


@wrong("dx of W sliced: last feature zero", "part_missing one_part row_factor")
def linear_1(r):
    def b(dy, c):
        g = dy @ c[1].T
        g[:, -1] = 0
        return g, c[0].T @ dy, dy.sum(0)

    return lin(b, r)


@wrong("dW loop starts at 1", "samples")
def linear_2(r):
    def b(dy, c):
        g = 0
        for i in range(1, len(dy)):
            g = g + np.outer(c[0][i], dy[i])
        return dy @ c[1].T, g, dy.sum(0)

    return lin(b, r)


@wrong("db for (1,M) bias: (M,)", "shape")
def linear_3(r):
    return (
        (lambda x, W, b: (x @ W + b, (x, W)), lambda dy, c: (dy @ c[1].T, c[0].T @ dy, dy.sum(0))),
        normal(r, 6, 4),
        normal(r, 4, 3),
        normal(r, 1, 3),
    )


@wrong("dW averaged over features D", "factor")
def linear_4(r):
    return lin(lambda dy, c: (dy @ c[1].T, c[0].T @ dy / 4, dy.sum(0)), r)


@wrong("dW with x shuffled by one sample", "one_sample operand shifted pairing index_shift")
def linear_5(r):
    return lin(lambda dy, c: (dy @ c[1].T, np.roll(c[0], 1, 0).T @ dy, dy.sum(0)), r)


@wrong("dy rounded to 2 digits", "not_linear dtype")
def linear_6(r):
    return lin(lambda dy, c: ((np.round(dy, 2)) @ c[1].T, c[0].T @ dy, dy.sum(0)), r)


@wrong("dx plus dy padded (residual not in forward)", "extra_term term")
def linear_7(r):
    return lin(
        lambda dy, c: (dy @ c[1].T + np.pad(dy, ((0, 0), (0, 1))), c[0].T @ dy, dy.sum(0)), r
    )


@wrong("all three divided by B", "batch_twice")
def linear_8(r):
    return lin(lambda dy, c: (dy @ c[1].T / 6, c[0].T @ dy / 6, dy.mean(0)), r)


@wrong("dW in float16", "dtype")
def linear_9(r):
    return lin(
        lambda dy, c: (dy @ c[1].T, (c[0].T @ dy).astype(np.float16).astype(float), dy.sum(0)), r
    )


@wrong("relu: mask x >= 1", "branch part_missing")
def elementwise_1(r):
    return (lambda x: (np.maximum(x, 0), x), lambda dy, x: dy * (x >= 1)), 2 * normal(r, 6, 4)


@wrong(
    "relu squared: 2 relu(x) missing, mask only",
    "local_factor branch operand_left function_left operand",
)
def elementwise_2(r):
    return (lambda x: (np.maximum(x, 0) ** 2, x), lambda dy, x: dy * (x > 0)), normal(r, 6, 4)


@wrong("sigmoid: (1-s) only", "local_factor")
def elementwise_3(r):
    return (lambda x: (sigmoid(x), sigmoid(x)), lambda dy, s: dy * (1 - s)), normal(r, 6, 4)


@wrong("sigmoid: s^2(1-s)", "local_factor")
def elementwise_4(r):
    return (lambda x: (sigmoid(x), sigmoid(x)), lambda dy, s: dy * s * s * (1 - s)), normal(r, 6, 4)


@wrong("log sigmoid: s instead of 1-s", "mask_inverted softplus_sign")
def elementwise_5(r):
    return (lambda x: (np.log(sigmoid(x)), x), lambda dy, x: dy * sigmoid(x)), normal(r, 6, 4)


@wrong("silu: y + s instead of y + s(1-y)", "term local_factor product_rule operand function_left")
def elementwise_6(r):
    return (
        lambda x: (x * sigmoid(x), x),
        lambda dy, x: dy * (x * sigmoid(x) + sigmoid(x)),
    ), normal(r, 6, 4)


@wrong("arcsinh: 1/sqrt(1-x^2)", "local_factor epsilon", "random")
def elementwise_7(r):
    return (lambda x: (np.arcsinh(x), x), lambda dy, x: dy / np.sqrt(1 - x * x)), 0.6 * r.random(
        (6, 4)
    )


@wrong("exp(x^2): missing 2x", "local_factor")
def elementwise_8(r):
    return (lambda x: (np.exp(x * x), x), lambda dy, x: dy * np.exp(x * x)), normal(r, 6, 4)


@wrong("log1p(exp): exp only", "local_factor row_factor")
def elementwise_9(r):
    return (lambda x: (np.log1p(np.exp(x)), x), lambda dy, x: dy * np.exp(x)), normal(r, 6, 4)


@wrong("cubic: x^3-2x, forgets -2", "term")
def elementwise_10(r):
    return (lambda x: (x**3 - 2 * x, x), lambda dy, x: dy * 3 * x * x), normal(r, 6, 4)


@wrong("tanh shrink x - tanh x: 1 - y^2", "slope_place local_factor term", "random")
def elementwise_11(r):
    return (lambda x: (x - np.tanh(x), x - np.tanh(x)), lambda dy, y: dy * (1 - y * y)), normal(
        r, 6, 4
    )


@wrong("threshold at 0.5: mask at 0", "branch mask_forgotten")
def elementwise_12(r):
    return (lambda x: (np.where(x > 0.5, x, 0), x), lambda dy, x: dy * (x > 0)), normal(r, 6, 4)


@wrong(
    "pow with learnable p: dp = dy x^p (log x missing)",
    "local_factor operand_left function_left operand",
)
def elementwise_13(r):
    return (
        (
            lambda x, p: (x**p, (x, p)),
            lambda dy, c: (dy * c[1] * c[0] ** (c[1] - 1), dy * c[0] ** c[1]),
        ),
        r.random((5, 4)) + 0.5,
        r.random((5, 4)) + 1,
    )


@wrong("softmax then scale: dg uses x", "operand function_left")
def softmaxes_1(r):
    return (
        (
            lambda x, g: (softmax(x) * g, (x, g, softmax(x))),
            lambda dy, c: (
                c[2] * (dy * c[1] - (dy * c[1] * c[2]).sum(1, keepdims=True)),
                (dy * c[0]).sum(0),
            ),
        ),
        normal(r, 6, 4),
        normal(r, 4),
    )


@wrong("softmax backward without upstream scaling by g", "operand_left")
def softmaxes_2(r):
    return (
        (
            lambda x, g: (softmax(x) * g, (x, g, softmax(x))),
            lambda dy, c: (c[2] * (dy - (dy * c[2]).sum(1, keepdims=True)), (dy * c[2]).sum(0)),
        ),
        normal(r, 6, 4),
        normal(r, 4),
    )


@wrong("softmax sum over all entries", "axis")
def softmaxes_3(r):
    def f(x):
        y = softmax(x)
        return y, y

    return (f, lambda dy, y: y * (dy - (dy * y).sum())), normal(r, 5, 4)


@wrong("softmax: mean for sum", "term statistic factor")
def softmaxes_4(r):
    def f(x):
        y = softmax(x)
        return y, y

    return (f, lambda dy, y: y * (dy - (dy * y).mean(1, keepdims=True))), normal(r, 5, 4)


@wrong("softmax: plus sign", "sign term statistic")
def softmaxes_5(r):
    def f(x):
        y = softmax(x)
        return y, y

    return (f, lambda dy, y: y * (dy + (dy * y).sum(1, keepdims=True))), normal(r, 5, 4)


@wrong("log-softmax: exp(x) not normalized", "local_factor row_factor statistic term")
def softmaxes_6(r):
    def f(x):
        y = x - np.log(np.exp(x).sum(1, keepdims=True))
        return y, x

    return (f, lambda dy, x: dy - np.exp(x) * dy.sum(1, keepdims=True)), normal(r, 5, 4)


@wrong("log-softmax: sum(dy) missing (uses dy)", "local_factor term statistic part_missing")
def softmaxes_7(r):
    def f(x):
        y = x - np.log(np.exp(x).sum(1, keepdims=True))
        return y, y

    return (f, lambda dy, y: dy - np.exp(y) * dy), normal(r, 5, 4)


@wrong("CE weights per class forgotten", "operand_left row_factor local_factor")
def loss_1(r):
    def f(x, w, t):
        p = softmax(x)
        return -(w[t] * np.log(p[np.arange(6), t])).sum() / 6, (p, t, w)

    def b(d, c):
        p, t, _w = c
        g = p.copy()
        g[np.arange(6), t] -= 1
        return d * g / 6, d * (np.bincount(t, -np.log(p[np.arange(6), t]), minlength=5)) / 6

    return (f, b), normal(r, 6, 5), r.random(5) + 0.5, r.integers(0, 5, 6)


@wrong("CE ignore_index: ignored rows still get gradient", "mask_forgotten extra_term")
def loss_2(r):
    t = np.array([1, -1, 2, 0, -1, 3])

    def f(x, t):
        p = softmax(x)
        k = t >= 0
        return -np.log(p[np.arange(6)[k], t[k]]).sum() / 4, (p, t)

    def b(d, c):
        p, t = c
        g = p.copy()
        k = t >= 0
        g[np.arange(6)[k], t[k]] -= 1
        return (d * g / 4,)

    return (f, b), normal(r, 6, 5), t


@wrong("NLL of log-probs: gradient for all classes", "extra_term mask_forgotten")
def loss_3(r):
    def f(q, t):
        return -q[np.arange(6), t].mean(), (q, t)

    return (f, lambda d, c: (-d * np.ones_like(c[0]) / 6,)), normal(r, 6, 5), r.integers(0, 5, 6)


@wrong("NLL sign", "sign")
def loss_4(r):
    def f(q, t):
        return -q[np.arange(6), t].mean(), (q, t)

    def b(d, c):
        g = np.zeros_like(c[0])
        g[np.arange(6), c[1]] = d / 6
        return (g,)

    return (f, b), normal(r, 6, 5), r.integers(0, 5, 6)


@wrong("MSE with mask: divided by all not masked count", "factor")
def loss_5(r):
    m = np.array([1, 0, 1, 1, 0, 1, 1])
    return (
        (
            lambda x, t, m: ((m * (x - t) ** 2).sum() / m.sum(), (x, t, m)),
            lambda d, c: (2 * d * c[2] * (c[0] - c[1]) / 7,),
        ),
        normal(r, 7),
        normal(r, 7),
        m,
    )


@wrong("RMSE: root's derivative forgotten", "factor row_factor", "random")
def loss_6(r):
    return (
        (
            lambda x, t: (np.sqrt(((x - t) ** 2).mean()), (x, t)),
            lambda d, c: (2 * d * (c[0] - c[1]) / 7,),
        ),
        normal(r, 7),
        normal(r, 7),
    )


@wrong("log-cosh: uses sinh", "local_factor function_left operand")
def loss_7(r):
    return (lambda x: (np.log(np.cosh(x)).sum(), x), lambda d, x: d * np.sinh(x)), normal(r, 8)


@wrong("cosine loss: sign missing", "sign")
def loss_8(r):
    return (
        (lambda u, v: (1 - (u * v).sum(), (u, v)), lambda d, c: (d * c[1], d * c[0])),
        normal(r, 7),
        normal(r, 7),
    )


@wrong("Poisson: exp(x) - t, forgets exp -> x - t", "function_left operand term slope_forgotten")
def loss_9(r):
    return (
        (lambda x, t: ((np.exp(x) - t * x).mean(), (x, t)), lambda d, c: (d * (c[0] - c[1]) / 8,)),
        normal(r, 8),
        r.integers(0, 4, 8).astype(float),
    )


@wrong(
    "LN: gamma applied after instead of before",
    "operand_left operand local_factor",
    "random statistic",
)
def norm_1(r):
    def f(x, g):
        m = x.mean(1, keepdims=True)
        s = x.std(1, keepdims=True)
        return g * (x - m) / s, ((x - m) / s, s, g)

    def b(dy, c):
        h, s, g = c
        return g * (dy - dy.mean(1, keepdims=True) - h * (dy * h).mean(1, keepdims=True)) / s, (
            dy * h
        ).sum(0)

    return (f, b), normal(r, 5, 4), normal(r, 4)


@wrong("LN: sums instead of means", "statistic term factor")
def norm_2(r):
    def f(x):
        m = x.mean(1, keepdims=True)
        s = x.std(1, keepdims=True)
        return (x - m) / s, ((x - m) / s, s)

    def b(dy, c):
        h, s = c
        return (dy - dy.sum(1, keepdims=True) - h * (dy * h).sum(1, keepdims=True)) / s

    return (f, b), normal(r, 5, 6)


@wrong("LN: std missing", "row_factor")
def norm_3(r):
    def f(x):
        m = x.mean(1, keepdims=True)
        s = x.std(1, keepdims=True)
        return (x - m) / s, ((x - m) / s, s)

    def b(dy, c):
        h, _s = c
        return dy - dy.mean(1, keepdims=True) - h * (dy * h).mean(1, keepdims=True)

    return (f, b), normal(r, 5, 6)


@wrong("BN eval mode in backward (running stats)", "statistic")
def norm_4(r):
    def f(x, g):
        m = x.mean(0)
        s = np.sqrt(x.var(0) + 1e-5)
        return g * (x - m) / s, ((x - m) / s, s, g)

    return (f, lambda dy, c: (dy * c[2] / c[1], (dy * c[0]).sum(0))), normal(r, 6, 4), normal(r, 4)


@wrong("weight norm: g v/|v|: dv lacks projection", "statistic")
def norm_5(r):
    def f(v, x):
        n = np.sqrt((v * v).sum(1, keepdims=True))
        return x @ (v / n).T, (v, x, n)

    return (
        (f, lambda dy, c: (dy.T @ c[1] / c[2], dy @ (c[0] / c[2]))),
        normal(r, 3, 5),
        normal(r, 6, 5),
    )


@wrong("emb: mask for id 0 in dW but not in forward", "part_missing row_factor samples")
def table_1(r):
    def b(dy, c):
        g = np.zeros_like(c[0])
        np.add.at(g, c[1], dy)
        g[c[1][2]] = 0
        return (g,)

    return (lambda W, i: (W[i], (W, i)), b), normal(r, 8, 3), np.array([5, 1, 2, 2, 7, 4, 0])


@wrong("emb: gradient clipped rows by count sqrt", "row_factor count")
def table_2(r):
    def b(dy, c):
        g = np.zeros_like(c[0])
        np.add.at(g, c[1], dy)
        n = np.bincount(c[1], minlength=8)
        return (g / np.sqrt(np.maximum(n, 1))[:, None],)

    return (lambda W, i: (W[i], (W, i)), b), normal(r, 8, 3), np.array([5, 1, 2, 2, 7, 2, 0])


@wrong("two tables: gradients exchanged", "operand order")
def table_3(r):
    def f(A, B, i):
        return A[i] + 2 * B[i], (A, i)

    def b(dy, c):
        g = np.zeros_like(c[0])
        np.add.at(g, c[1], dy)
        return 2 * g, g

    return (f, b), normal(r, 8, 3), normal(r, 8, 3), np.array([5, 1, 2, 2, 7, 4, 0])


@wrong("FM: only cross with sum, factor .5", "factor self_term statistic term")
def interaction_1(r):
    def f(z):
        s = z.sum(1)
        return 0.5 * ((s * s).sum(1) - (z * z).sum((1, 2))), (z, s)

    return (f, lambda dy, c: 0.5 * dy[:, None, None] * (c[1][:, None] - c[0])), normal(r, 4, 3, 2)


@wrong(
    "DCN: dw uses x_l not x_0... x0 (w.x): dx misses w path",
    "second_path term part_missing statistic",
)
def interaction_2(r):
    return (
        (
            lambda x, w: ((x @ w)[:, None] * x, (x, w)),
            lambda dy, c: (dy * (c[0] @ c[1])[:, None], c[0].T @ (dy * c[0]).sum(1)),
        ),
        normal(r, 5, 4),
        normal(r, 4),
    )


@wrong("inner product of pairs: j<i order", "pairing shifted", "random")
def interaction_3(r):
    i, j = np.triu_indices(3, 1)
    k, m = np.tril_indices(3, -1)

    def f(z):
        return (z @ z.transpose(0, 2, 1))[:, i, j], z

    def b(dy, z):
        g = np.zeros((len(z), 3, 3))
        g[:, k, m] = dy[:, ::-1]
        return (g + g.transpose(0, 2, 1)) @ z

    return (f, b), normal(r, 4, 3, 2)


@wrong("conv2d: dx with kernel not flipped", "shifted")
def convolution__1(r):
    def f(x, k):
        return sum(k[a, b] * x[:, a : a + 3, b : b + 3] for a in range(2) for b in range(2)), (x, k)

    def bw(dy, c):
        x, k = c
        dx = np.zeros_like(x)
        dk = np.zeros_like(k)
        for a in range(2):
            for b in range(2):
                dx[:, a : a + 3, b : b + 3] += k[1 - a, 1 - b] * dy
                dk[a, b] = (dy * x[:, a : a + 3, b : b + 3]).sum()
        return dx, dk

    return (f, bw), normal(r, 2, 4, 4), normal(r, 2, 2)


@wrong("conv: dk transposed", "transpose")
def convolution__2(r):
    def f(x, k):
        return sum(k[a, b] * x[:, a : a + 3, b : b + 3] for a in range(2) for b in range(2)), (x, k)

    def bw(dy, c):
        x, k = c
        dx = np.zeros_like(x)
        dk = np.zeros_like(k)
        for a in range(2):
            for b in range(2):
                dx[:, a : a + 3, b : b + 3] += k[a, b] * dy
                dk[b, a] = (dy * x[:, a : a + 3, b : b + 3]).sum()
        return dx, dk

    return (f, bw), normal(r, 2, 4, 4), normal(r, 2, 2)


@wrong("EMA over time: (1-a) missing", "factor")
def time_1(r):
    def f(x):
        h = 0
        o = []
        for t in range(4):
            h = 0.7 * h + 0.3 * x[:, t]
            o.append(h)
        return np.stack(o, 1)

    def b(dy):
        g = np.zeros((3, 4))
        d = 0
        for t in (3, 2, 1, 0):
            d = dy[:, t] + 0.7 * d
            g[:, t] = d
        return g

    return (f, b), normal(r, 3, 4)


@wrong("EMA: recurrence not sent back", "part_missing statistic")
def time_2(r):
    def f(x):
        h = 0
        o = []
        for t in range(4):
            h = 0.7 * h + 0.3 * x[:, t]
            o.append(h)
        return np.stack(o, 1)

    return (f, lambda dy: 0.3 * dy), normal(r, 3, 4)


@wrong("time mean: only the last step", "one_part part_missing one_sample samples")
def time_3(r):
    def b(dy, x):
        g = np.zeros_like(x)
        g[:, -1] = dy / 4
        return g

    return (lambda x: (x.mean(1), x), b), normal(r, 3, 4, 2)


def layer(r, fw, bw, *shape):
    class L(md.Module):
        def __init__(s, rng):
            s.W = md.Parameter(rng.normal(size=shape or (4, 4)))
            s.b = md.Parameter(rng.normal(size=(shape or (4, 4))[1]))

        def forward(s, x):
            return fw(s, x)

        def backward(s, dy):
            return bw(s, dy)

    return L(r), normal(r, 6, (shape or (4, 4))[0])


@wrong("class tanh layer: slope forgotten for W and b", "slope_forgotten", "operand")
def layer_1(r):
    def fw(s, x):
        s.x = x
        s.y = np.tanh(x @ s.W.value + s.b.value)
        return s.y

    def bw(s, dy):
        d = dy * (1 - s.y**2)
        s.W.add_grad(s.x.T @ dy)
        s.b.add_grad(dy.sum(0))
        return d @ s.W.value.T

    return layer(r, fw, bw, 4, 3)


@wrong("class: W not transposed in dx", "transpose")
def layer_2(r):
    def fw(s, x):
        s.x = x
        return x @ s.W.value + s.b.value

    def bw(s, dy):
        s.W.add_grad(s.x.T @ dy)
        s.b.add_grad(dy.sum(0))
        return dy @ s.W.value

    return layer(r, fw, bw)


@wrong("class: relu mask from dy", "not_linear")
def layer_3(r):
    def fw(s, x):
        s.x = x
        return np.maximum(x @ s.W.value + s.b.value, 0)

    def bw(s, dy):
        d = dy * (dy > 0)
        s.W.add_grad(s.x.T @ d)
        s.b.add_grad(d.sum(0))
        return d @ s.W.value.T

    return layer(r, fw, bw, 4, 3)


@wrong("class: grads scaled lr", "factor")
def layer_4(r):
    def fw(s, x):
        s.x = x
        return x @ s.W.value + s.b.value

    def bw(s, dy):
        s.W.add_grad(0.01 * s.x.T @ dy)
        s.b.add_grad(0.01 * dy.sum(0))
        return dy @ s.W.value.T

    return layer(r, fw, bw, 4, 3)


@wrong("class: weight decay added", "term not_linear regularization")
def layer_5(r):
    def fw(s, x):
        s.x = x
        return x @ s.W.value + s.b.value

    def bw(s, dy):
        s.W.add_grad(s.x.T @ dy + 0.01 * s.W.value)
        s.b.add_grad(dy.sum(0))
        return dy @ s.W.value.T

    return layer(r, fw, bw, 4, 3)


@wrong("class: two layers, gradients of W1 and W2 exchanged (same shape)", "order operand")
def layer_6(r):
    class L(md.Module):
        def __init__(s, rng):
            s.A = md.Parameter(rng.normal(size=(4, 4)))
            s.B = md.Parameter(rng.normal(size=(4, 4)))

        def forward(s, x):
            s.x = x
            s.h = np.tanh(x @ s.A.value)
            return s.h @ s.B.value

        def backward(s, dy):
            d = (dy @ s.B.value.T) * (1 - s.h**2)
            s.B.add_grad(s.x.T @ d)
            s.A.add_grad(s.h.T @ dy)
            return d @ s.A.value.T

    return L(r), normal(r, 6, 4)


@wrong("DLRM subclass: upstream sign lost", "sign")
def dlrm_1(r):
    class DLRM(md.DLRM):
        def backward(self, dl):
            super().backward(-dl)

    return DLRM(3, [5, 4, 6], 3, (4,), (5,), seed=1), batch(r)


@wrong("DLRM subclass: ignores upstream", "upstream_ignored")
def dlrm_2(r):
    class DLRM(md.DLRM):
        def backward(self, dl):
            super().backward(np.ones_like(dl))

    return DLRM(3, [5, 4, 6], 3, (4,), (5,), seed=1), batch(r)


@wrong("DLRM subclass: only the first sample", "one_sample samples", "joining")
def dlrm_3(r):
    class DLRM(md.DLRM):
        def backward(self, dl):
            d = np.zeros_like(dl)
            d[0] = dl[0]
            super().backward(d)

    return DLRM(3, [5, 4, 6], 3, (4,), (5,), seed=1), batch(r)


@wrong("DLRM subclass: dl reversed", "pairing", "joining")
def dlrm_4(r):
    class DLRM(md.DLRM):
        def backward(self, dl):
            super().backward(dl[::-1].copy())

    return DLRM(3, [5, 4, 6], 3, (4,), (5,), seed=1), batch(r)
