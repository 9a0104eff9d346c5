"""More wrong pairs, layers and losses, written before the rules were changed after the first ones.

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


# Linear layers in many styles


def affine(backward, r, B=7, D=4, M=3):
    def forward(x, W, b):
        return x @ W + b, {"x": x, "W": W, "b": b}

    return (forward, backward), normal(r, B, D), normal(r, D, M), normal(r, M)


@wrong("dW is divided by the square root of the number of inputs", "factor")
def lin_root(r):
    def backward(dy, c):
        return dy @ c["W"].T, c["x"].T @ dy / np.sqrt(c["W"].shape[0]), dy.sum(axis=0)

    return affine(backward, r)


@wrong("dW and db are means over the batch, dx is not", "batch_twice", "factor")
def lin_two_means(r):
    def backward(dy, c):
        n = len(dy)
        return dy @ c["W"].T, c["x"].T @ dy / n, dy.sum(axis=0) / n

    return affine(backward, r)


@wrong("db adds up x W, too", "term extra_term operand not_linear upstream_ignored")
def lin_output_in_bias(r):
    def backward(dy, c):
        y = c["x"] @ c["W"] + c["b"]
        return dy @ c["W"].T, c["x"].T @ dy, (dy + y).sum(axis=0)

    return affine(backward, r)


@wrong("the loop over samples returns inside: only sample 0 is in dW and db", "one_sample samples")
def lin_return_in_loop(r):
    def backward(dy, c):
        dW, db = np.zeros_like(c["W"]), np.zeros_like(c["b"])
        for i in range(len(dy)):
            dW += np.outer(c["x"][i], dy[i])
            db += dy[i]
            return dy @ c["W"].T, dW, db

    return affine(backward, r)


@wrong("in the loop over samples dx[i] uses dy[0]", "one_sample pairing")
def lin_first_dy(r):
    def backward(dy, c):
        dx = np.stack([c["W"] @ dy[0] for _ in dy])
        return dx, c["x"].T @ dy, dy.sum(axis=0)

    return affine(backward, r)


@wrong("sign of dx alone", "sign")
def lin_minus_dx(r):
    def backward(dy, c):
        return -dy @ c["W"].T, c["x"].T @ dy, dy.sum(axis=0)

    return affine(backward, r)


@wrong("dx uses |W|", "function_left operand")
def lin_abs_w(r):
    def backward(dy, c):
        return dy @ np.abs(c["W"]).T, c["x"].T @ dy, dy.sum(axis=0)

    return affine(backward, r)


@wrong("dW is x^T dy with the samples of x in another order", "pairing shifted")
def lin_shuffled(r):
    def backward(dy, c):
        order = np.array([2, 0, 1, 3, 6, 5, 4])
        return dy @ c["W"].T, c["x"][order].T @ dy, dy.sum(axis=0)

    return affine(backward, r)


@wrong("dW is accumulated with =+ : only the last sample stays", "one_sample samples")
def lin_equals_plus(r):
    def backward(dy, c):
        dW = np.zeros_like(c["W"])
        for i in range(len(dy)):
            dW = +np.outer(c["x"][i], dy[i])
        return dy @ c["W"].T, dW, dy.sum(axis=0)

    return affine(backward, r)


# Ridge, logistic and factorization losses


def ridge(backward, r, lam=0.3):
    def forward(w, b, X, t):
        e = X @ w + b - t
        return (e @ e) / len(t) + lam * (w @ w), (w, X, e)

    inputs = normal(r, 5), normal(r, 1), normal(r, 8, 5), normal(r, 8)
    return (forward, lambda d, c: backward(d, *c)), *inputs


@wrong("ridge: the penalty's gradient is added to db, too", "term penalty regularization")
def ridge_penalty_in_bias(r):
    def backward(d, w, X, e):
        return (
            d * (2 * X.T @ e / len(e) + 0.6 * w),
            d * (np.array([2 * e.mean()]) + 0.6 * w.sum()),
            d * 2 * np.outer(e, w) / len(e),
        )

    return ridge(backward, r)


@wrong("ridge: the penalty is divided by B in backward", "term regularization")
def ridge_penalty_over_B(r):
    def backward(d, w, X, e):
        n = len(e)
        return (
            d * (2 * X.T @ e + 0.6 * w) / n,
            d * np.array([2 * e.mean()]),
            d * 2 * np.outer(e, w) / n,
        )

    return ridge(backward, r)


@wrong(
    "ridge: the penalty is |w| and its gradient that of |w|^2",
    "term regularization function_left operand",
)
def root_penalty(r):
    def forward(w, X, t):
        e = X @ w - t
        return (e @ e) / 2 + 0.5 * np.sqrt(w @ w), (w, X, e)

    def backward(d, c):
        w, X, e = c
        return (d * (X.T @ e + 0.5 * w),)

    return (forward, backward), normal(r, 5), normal(r, 8, 5), normal(r, 8)


@wrong(
    "logistic regression: the weights of the samples are in the loss, not in the gradient",
    "operand_left row_factor local_factor",
)
def weighted_logistic(r):
    def forward(w, X, t, k):
        p = sigmoid(X @ w)
        return -(k * (t * np.log(p) + (1 - t) * np.log(1 - p))).sum(), (X, t, p)

    def backward(d, c):
        X, t, p = c
        return (d * X.T @ (p - t),)

    t = (r.random(9) > 0.5).astype(float)
    return (forward, backward), normal(r, 4), normal(r, 9, 4), t, r.random(9) + 0.5


@wrong("matrix factorization: dQ misses the residual's minus", "sign")
def mf_sign(r):
    def forward(P, Q, R):
        E = R - P @ Q.T
        return (E**2).sum() / 2, (P, Q, E)

    def backward(d, c):
        P, Q, E = c
        return -d * E @ Q, d * E.T @ P

    return (forward, backward), normal(r, 5, 3), normal(r, 4, 3), normal(r, 5, 4)


@wrong(
    "matrix factorization with a mask: the mask is forgotten in dP",
    "mask_forgotten operand_left",
    "extra_term",
)
def mf_mask(r):
    def forward(P, Q, R, M):
        E = M * (P @ Q.T - R)
        return (E**2).sum() / 2, (P, Q, R, E)

    def backward(d, c):
        P, Q, R, E = c
        return d * (P @ Q.T - R) @ Q, d * E.T @ P

    M = (r.random((5, 4)) > 0.4).astype(float)
    return (forward, backward), normal(r, 5, 3), normal(r, 4, 3), normal(r, 5, 4), M


@wrong(
    "hinge of several classes: the true class gets -1, however many are wrong",
    "term part_missing factor",
)
def multi_hinge(r):
    def forward(s, y):
        i = np.arange(len(s))
        m = np.maximum(0, s - s[i, y][:, None] + 1)
        m[i, y] = 0
        return m.sum(), (m, y)

    def backward(d, c):
        m, y = c
        g = (m > 0).astype(float)
        g[np.arange(len(g)), y] = -1
        return (d * g,)

    return (forward, backward), normal(r, 8, 5), r.integers(0, 5, 8)


@wrong("label smoothing: subtracts 1 at the label and eps elsewhere", "term")
def smoothing_wrong(r):
    eps = 0.2

    def forward(x, y):
        p = softmax(x)
        t = np.full(x.shape, eps / x.shape[1])
        t[np.arange(len(x)), y] += 1 - eps
        return -(t * np.log(p)).sum(), (p, y)

    def backward(d, c):
        p, y = c
        g = p - eps
        g[np.arange(len(p)), y] -= 1
        return (d * g,)

    return (forward, backward), normal(r, 6, 4), r.integers(0, 4, 6)


@wrong("log loss of probabilities: p - t without 1 / (p (1 - p))", "local_factor")
def log_loss_p(r):
    def forward(p, t):
        return -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean(), (p, t)

    def backward(d, c):
        p, t = c
        return (d * (p - t) / len(p),)

    return (forward, backward), r.random(10) * 0.8 + 0.1, (r.random(10) > 0.5).astype(float)


@wrong("focal-like p^2 log p: the derivative of p^2 is left out", "product_rule term second_path")
def squared_entropy(r):
    def forward(p):
        return -(p**2 * np.log(p)).sum(axis=1), p

    def backward(dy, p):
        return -dy[:, None] * p

    return (forward, backward), r.random((5, 4)) * 0.9 + 0.05


# Tables


@wrong("the gradient of each id is divided by the number of ids", "batch_twice factor")
def emb_mean(r):
    def backward(dy, c):
        E, ids = c
        return scatter(E, ids, dy / ids.size)

    return (lambda E, ids: (E[ids], (E, ids)), backward), normal(r, 8, 3), r.integers(0, 8, 7)


@wrong("the gradient of row 0 is added to the last row: ids - 1", "index_shift shifted")
def emb_one_less(r):
    def backward(dy, c):
        E, ids = c
        return scatter(E, ids - 1, dy)

    return (lambda E, ids: (E[ids], (E, ids)), backward), normal(r, 8, 3), r.integers(0, 8, 7)


@wrong("the gradient of a table in a bag: the mean's 1/n is applied twice", "factor mean_missing")
def bag_mean_twice(r):
    def forward(E, ids):
        return E[ids].mean(axis=1), (E, ids)

    def backward(dy, c):
        E, ids = c
        n = ids.shape[1]
        return scatter(E, ids, np.repeat(dy[:, None], n, axis=1) / n**2)

    return (forward, backward), normal(r, 9, 2), r.integers(0, 9, (5, 3))


@wrong("sum of a bag: the last id of each bag is left out", "part_missing first_of_bag samples")
def bag_without_last(r):
    def forward(E, ids):
        return E[ids].sum(axis=1), (E, ids)

    def backward(dy, c):
        E, ids = c
        return scatter(E, ids[:, :-1], np.repeat(dy[:, None], ids.shape[1] - 1, axis=1))

    return (forward, backward), normal(r, 20, 2), r.permutation(20)[:15].reshape(5, 3)


@wrong(
    "gradient of a table through unique ids without counts: grad[unique] = dy[:n]",
    "pairing shifted duplicates",
)
def emb_unique(r):
    def backward(dy, c):
        E, ids = c
        g = np.zeros_like(E)
        u = np.unique(ids)
        g[u] = dy[: len(u)]
        return g

    return (lambda E, ids: (E[ids], (E, ids)), backward), normal(r, 8, 3), r.permutation(8)[:6]


@wrong(
    "attention over a bag: the scores' path to the table is left out",
    "second_path part_missing term statistic",
)
def attentive_bag(r):
    def forward(E, ids, q):
        z = E[ids]
        a = softmax(z @ q)
        return (a[:, :, None] * z).sum(axis=1), (E, ids, q, z, a)

    def backward(dy, c):
        E, ids, _, z, a = c
        da = np.einsum("bd,bld->bl", dy, z)
        ds = a * (da - (da * a).sum(axis=1, keepdims=True))
        return scatter(E, ids, a[:, :, None] * dy[:, None]), np.einsum("bl,bld->d", ds, z)

    return (forward, backward), normal(r, 30, 3), r.permutation(30)[:15].reshape(5, 3), normal(r, 3)


# Classes


def module(r, forward, backward, **shapes):
    class Layer(md.Module):
        def __init__(self):
            for name, shape in shapes.items():
                setattr(self, name, md.Parameter(normal(r, *shape), name))

    Layer.forward, Layer.backward = forward, backward
    return Layer()


@wrong("a gate: dgate lacks the sigmoid's slope", "slope_forgotten local_factor", "operand_left")
def cls_gate(r):
    def forward(self, x):
        self.x, self.g = x, sigmoid(x @ self.G.value)
        return x * self.g

    def backward(self, dy):
        dg = dy * self.x
        self.G.add_grad(self.x.T @ dg)
        return dy * self.g + (dg * self.g * (1 - self.g)) @ self.G.value.T

    return module(r, forward, backward, G=(4, 4)), normal(r, 6, 4)


@wrong("a scale and a shift: each has the other's gradient", "order operand")
def cls_scale_shift(r):
    def forward(self, x):
        self.x = x
        return x * self.s.value + self.b.value

    def backward(self, dy):
        self.b.add_grad((dy * self.x).sum(axis=0))
        self.s.add_grad(dy.sum(axis=0))
        return dy * self.s.value

    return module(r, forward, backward, s=(4,), b=(4,)), normal(r, 6, 4)


@wrong("two towers: the gradient of the second tower's input is that of the first", "operand order")
def cls_towers(r):
    def forward(self, u, v):
        self.u, self.v = u, v
        self.a, self.b = u @ self.A.value, v @ self.B.value
        return (self.a * self.b).sum(axis=1)

    def backward(self, dy):
        d = dy[:, None]
        self.A.add_grad(self.u.T @ (d * self.b))
        self.B.add_grad(self.v.T @ (d * self.a))
        return (d * self.b) @ self.A.value.T, (d * self.b) @ self.A.value.T

    return module(r, forward, backward, A=(4, 3), B=(4, 3)), normal(r, 6, 4), normal(r, 6, 4)


@wrong("residual block: y = x + tanh(x W) V, dV with x for h", "operand")
def cls_residual(r):
    def forward(self, x):
        self.x = x
        self.h = np.tanh(x @ self.W.value)
        return x + self.h @ self.V.value

    def backward(self, dy):
        self.V.add_grad(self.x.T @ dy)
        da = (dy @ self.V.value.T) * (1 - self.h**2)
        self.W.add_grad(self.x.T @ da)
        return dy + da @ self.W.value.T

    return module(r, forward, backward, W=(4, 4), V=(4, 4)), normal(r, 6, 4)


@wrong("a layer that adds its gradient twice", "added_twice factor")
def cls_twice(r):
    def forward(self, x):
        self.x = x
        return x @ self.W.value

    def backward(self, dy):
        self.W.add_grad(self.x.T @ dy)
        self.W.add_grad(self.x.T @ dy)
        return dy @ self.W.value.T

    return module(r, forward, backward, W=(4, 3)), normal(r, 6, 4)


@wrong(
    "deep net: the mask of the first ReLU is used for the second, of one width",
    "operand slope_place other_mask branch mask_forgotten",
)
def cls_masks(r):
    def forward(self, x):
        self.x = x
        self.h = np.maximum(x @ self.U.value, 0)
        self.k = np.maximum(self.h @ self.V.value, 0)
        return self.k

    def backward(self, dy):
        d = dy * (self.h > 0)
        self.V.add_grad(self.h.T @ d)
        d = (d @ self.V.value.T) * (self.h > 0)
        self.U.add_grad(self.x.T @ d)
        return d @ self.U.value.T

    return module(r, forward, backward, U=(4, 5), V=(5, 5)), normal(r, 6, 4)


@wrong("the layer divides dy by B before all else", "batch_twice", "factor")
def cls_over_batch(r):
    def forward(self, x):
        self.x = x
        self.h = np.tanh(x @ self.W.value + self.b.value)
        return self.h

    def backward(self, dy):
        d = dy / len(dy) * (1 - self.h**2)
        self.W.add_grad(self.x.T @ d)
        self.b.add_grad(d.sum(axis=0))
        return d @ self.W.value.T

    return module(r, forward, backward, W=(4, 3), b=(3,)), normal(r, 6, 4)


@wrong("cross layer x0 (x w) + b + x: dw uses the output of the layer", "operand")
def cls_cross(r):
    def forward(self, x0, x):
        self.x0, self.x = x0, x
        self.s = (x @ self.w.value)[:, None]
        self.y = x0 * self.s + self.b.value + x
        return self.y

    def backward(self, dy):
        ds = (dy * self.x0).sum(axis=1)
        self.w.add_grad(self.y.T @ ds)
        self.b.add_grad(dy.sum(axis=0))
        return dy * self.s, dy + np.outer(ds, self.w.value)

    return module(r, forward, backward, w=(4,), b=(4,)), normal(r, 6, 4), normal(r, 6, 4)


@wrong("forward stores x of the first call only", "stale leftover")
def cls_kept(r):
    def forward(self, x):
        self.x = getattr(self, "x", x)
        return np.sin(x) * self.s.value

    def backward(self, dy):
        self.s.add_grad((dy * np.sin(self.x)).sum(axis=0))
        return dy * np.cos(self.x) * self.s.value

    return module(r, forward, backward, s=(4,)), normal(r, 6, 4)


# Models


def batch(r):
    ids = np.stack([r.integers(0, n, 7) for n in (5, 4, 6)], axis=1)
    return md.Batch(normal(r, 7, 3), ids, np.zeros(7))


@wrong("a model: dy is averaged over the batch", "batch_twice axis broadcast", "joining factor")
def model_mean(r):
    class Model(md.DLRM):
        def backward(self, d):
            super().backward(np.full_like(d, d.mean()))

    return Model(3, [5, 4, 6], 3, (4,), (5,), seed=1), batch(r)


@wrong("a model: every gradient is divided by the batch size", "batch_twice", "factor joining")
def model_over_batch(r):
    class Model(md.DLRM):
        def backward(self, d):
            super().backward(d / len(d))

    return Model(3, [5, 4, 6], 3, (4,), (5,), seed=1), batch(r)


# Elementwise functions, softmax, norms, attention


@wrong("log-sigmoid: the slope is sigmoid(x) (1 - sigmoid(x))", "local_factor")
def log_sigmoid(r):
    def backward(dy, x):
        return dy * sigmoid(x) * (1 - sigmoid(x))

    return (lambda x: (np.log(sigmoid(x)), x), backward), normal(r, 6, 4)


@wrong("x tanh(x): the product's second term has tanh for its slope", "term product_rule")
def x_tanh(r):
    def backward(dy, x):
        return dy * (np.tanh(x) + x * np.tanh(x))

    return (lambda x: (x * np.tanh(x), x), backward), normal(r, 6, 4)


@wrong("cos: the minus is missing", "sign")
def cosine_sign(r):
    return (lambda x: (np.cos(x), x), lambda dy, x: dy * np.sin(x)), normal(r, 6, 4)


@wrong("1 / (1 + x^2): the inner 2 x is missing", "local_factor")
def cauchy(r):
    return (lambda x: (1 / (1 + x**2), x), lambda dy, x: -dy / (1 + x**2) ** 2), normal(r, 6, 4)


@wrong(
    "softmax of x / sqrt(d): the sum of dy y is not weighted by y: means",
    "statistic term axis factor",
)
def softmax_mean(r):
    def forward(x):
        y = softmax(x / 2)
        return y, y

    def backward(dy, y):
        return y * (dy - dy.mean(axis=1, keepdims=True)) / 2

    return (forward, backward), normal(r, 5, 4)


@wrong("softmax with two axes: the sum runs over both", "axis statistic")
def softmax_of_images(r):
    def forward(x):
        y = softmax(x)
        return y, y

    def backward(dy, y):
        return y * (dy - (dy * y).sum(axis=(1, 2), keepdims=True))

    return (forward, backward), normal(r, 3, 4, 3)


@wrong(
    "layer norm: the centred x in place of the normalized one in the variance term",
    "operand statistic term local_factor",
)
def ln_centred(r):
    def forward(x, g):
        s = np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
        z = x - x.mean(axis=1, keepdims=True)
        return g * z / s, (z, s, g)

    def backward(dy, c):
        z, s, g = c
        d = dy * g
        dx = (d - d.mean(1, keepdims=True) - z * (d * z).mean(1, keepdims=True)) / s
        return dx, (dy * z / s).sum(axis=0)

    return (forward, backward), 2 * normal(r, 6, 5), normal(r, 5)


@wrong(
    "batch norm with a momentum average in forward's cache: dx divides by the variance",
    "row_factor local_factor",
)
def bn_variance(r):
    def forward(x):
        v = x.var(axis=0) + 1e-5
        h = (x - x.mean(axis=0)) / np.sqrt(v)
        return h, (h, v)

    def backward(dy, c):
        h, v = c
        return (dy - dy.mean(axis=0) - h * (dy * h).mean(axis=0)) / v

    return (forward, backward), 2 * normal(r, 7, 3)


@wrong(
    "attention in a batch: dK sums over keys in place of queries (equal lengths)", "transpose axis"
)
def attention_axes(r):
    def forward(Q, K, V):
        A = softmax(Q @ K.transpose(0, 2, 1))
        return A @ V, (Q, K, V, A)

    def backward(dO, c):
        Q, K, V, A = c
        dA = dO @ V.transpose(0, 2, 1)
        dS = A * (dA - (dA * A).sum(axis=-1, keepdims=True))
        return dS @ K, dS @ Q, A.transpose(0, 2, 1) @ dO

    return (forward, backward), normal(r, 2, 3, 4), normal(r, 2, 3, 4), normal(r, 2, 3, 4)


@wrong(
    "self-attention of x: only the values' path goes back to x",
    "second_path part_missing term statistic",
)
def self_attention(r):
    def forward(x):
        A = softmax(x @ x.T)
        return A @ x, (x, A)

    return (forward, lambda dO, c: c[1].T @ dO), normal(r, 5, 3)


@wrong("dropout: the mask of forward, scaled by 1 - p in backward", "factor")
def dropout_scale(r):
    mask = r.random((6, 4)) > 0.4

    def forward(x):
        return x * mask / 0.6, mask

    return (forward, lambda dy, mask: dy * mask * 0.6), normal(r, 6, 4)


@wrong(
    "an LSTM's cell: dc lacks the part that comes through the output",
    "second_path part_missing term",
)
def lstm_cell(r):
    def forward(f, i, g, o, c):
        n = f * c + i * g
        return np.concatenate([o * np.tanh(n), n], axis=1), (f, i, g, o, c, n)

    def backward(dy, cache):
        f, i, g, _, c, n = cache
        k = f.shape[1]
        dh, dn = dy[:, :k], dy[:, k:]
        return dn * c, dn * g, dn * i, dh * np.tanh(n), dn * f

    gates = (sigmoid(normal(r, 5, 3)) for _ in range(4))
    return (forward, backward), *gates, normal(r, 5, 3)


@wrong(
    "max pooling in time: the gradient goes to the first step",
    "shifted index_shift extra_term part_missing",
)
def pool_first(r):
    def forward(x):
        return x.max(axis=1), x

    def backward(dy, x):
        g = np.zeros_like(x)
        g[:, 0] = dy
        return g

    return (forward, backward), normal(r, 5, 4, 2)


@wrong("causal sum: backward adds up what came before, not after", "transpose pairing axis shifted")
def causal(r):
    L = np.tril(np.ones((5, 5)))

    return (lambda x: np.tanh(L @ x), lambda dy, x: L @ (dy * (1 - np.tanh(L @ x) ** 2))), (
        0.3 * normal(r, 5, 3)
    )
