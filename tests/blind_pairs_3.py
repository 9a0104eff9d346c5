"""Wrong pairs, layers and losses of a third batch: written before the rules last changed for it.

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


# Bags and tables


@wrong(
    "bags with offsets: the gradient of the next bag goes to each id", "shifted pairing index_shift"
)
def next_bag(r):
    lengths = np.array([2, 1, 3, 2])

    def forward(E, ids):
        bag = np.repeat(np.arange(4), lengths)
        y = np.zeros((4, E.shape[1]), E.dtype)
        np.add.at(y, bag, E[ids])
        return y, (E, ids, bag)

    def backward(dy, cache):
        E, ids, bag = cache
        return scatter(E, ids, dy[(bag + 1) % 4])

    return (forward, backward), normal(r, 30, 3), r.permutation(30)[:8]


@wrong("weighted bag: da is multiplied by a once more", "local_factor operand")
def weight_of_a_bag(r):
    def forward(E, ids, a):
        return (a[..., None] * E[ids]).sum(axis=1), (E, ids, a)

    def backward(dy, cache):
        E, ids, a = cache
        da = a * np.einsum("bd,bld->bl", dy, E[ids])
        return scatter(E, ids, a[..., None] * dy[:, None]), da

    return (forward, backward), normal(r, 9, 3), r.integers(0, 9, (5, 4)), normal(r, 5, 4)


@wrong(
    "two tables are added: the second gets its gradient at the ids of the first",
    "shifted operand index_shift pairing",
)
def second_table_first_ids(r):
    def forward(A, B, i, j):
        return np.tanh(A[i] + B[j]), (A, B, i, j, np.tanh(A[i] + B[j]))

    def backward(dy, cache):
        A, B, i, _, y = cache
        d = dy * (1 - y**2)
        return scatter(A, i, d), scatter(B, i, d)

    i, j = r.integers(0, 7, 9), r.integers(0, 7, 9)
    return (forward, backward), normal(r, 7, 2), normal(r, 7, 2), i, j


@wrong(
    "position-weighted sum of a history: the decay is forgotten for the table",
    "operand_left row_factor local_factor",
)
def decayed_history(r):
    decay = 0.6 ** np.arange(4)

    def forward(E, ids):
        return np.einsum("l,bld->bd", decay, E[ids]), (E, ids)

    def backward(dy, cache):
        E, ids = cache
        return scatter(E, ids, np.repeat(dy[:, None], 4, axis=1))

    return (forward, backward), normal(r, 40, 2), r.permutation(40)[:20].reshape(5, 4)


@wrong("dot product of a user and an item: the item's bias gets 2 dy", "factor added_twice")
def item_bias(r):
    def forward(P, Q, b, u, i):
        return (P[u] * Q[i]).sum(axis=1) + b[i], (P, Q, b, u, i)

    def backward(dy, cache):
        P, Q, b, u, i = cache
        d = dy[:, None]
        db = scatter(b, i, dy)
        np.add.at(db, i, dy)
        return scatter(P, u, d * Q[i]), scatter(Q, i, d * P[u]), db

    inputs = normal(r, 6, 3), normal(r, 8, 3), normal(r, 8)
    return (forward, backward), *inputs, r.integers(0, 6, 9), r.integers(0, 8, 9)


@wrong("the loop over ids begins at 1", "samples one_sample")
def first_id_left_out(r):
    def backward(dy, cache):
        E, ids = cache
        g = np.zeros_like(E)
        for k in range(1, len(ids)):
            g[ids[k]] += dy[k]
        return g

    return (lambda E, ids: (E[ids], (E, ids)), backward), normal(r, 6, 3), r.integers(0, 6, 8)


@wrong(
    "rows scaled to norm 1 after the lookup: the norm is a constant",
    "statistic second_path part_missing term",
)
def normalized_rows(r):
    def forward(E, ids):
        z = E[ids]
        n = np.sqrt((z**2).sum(axis=1, keepdims=True))
        return z / n, (E, ids, n)

    def backward(dy, cache):
        E, ids, n = cache
        return scatter(E, ids, dy / n)

    return (forward, backward), normal(r, 20, 3), r.permutation(20)[:6]


# Interactions


@wrong(
    "squared sum minus sum of squares: 2 s - z, in place of 2 (s - z)",
    "term self_term factor statistic",
)
def bi_interaction(r):
    def forward(z):
        s = z.sum(axis=1)
        return s**2 - (z**2).sum(axis=1), (z, s)

    def backward(dy, cache):
        z, s = cache
        return dy[:, None] * (2 * s[:, None] - z)

    return (forward, backward), normal(r, 5, 4, 3)


@wrong(
    "Gram matrix of the fields: one side of the product alone",
    "second_path part_missing transpose triangle",
)
def gram(r):
    def forward(z):
        return np.einsum("bid,bjd->bij", z, z), z

    return (forward, lambda dy, z: np.einsum("bij,bjd->bid", dy, z)), normal(r, 3, 4, 2)


@wrong("Hadamard product of three: dw of the third lacks the second factor", "operand_left")
def three_factors(r):
    def forward(a, b, c):
        return (a * b * c).sum(axis=1), (a, b, c)

    def backward(dy, cache):
        a, b, c = cache
        d = dy[:, None]
        return d * b * c, d * a * c, d * a

    return (forward, backward), normal(r, 5, 3), normal(r, 5, 3), normal(r, 5, 3)


@wrong(
    "concatenate dense and embedding, then a product: the cut is one column off", "shifted pairing"
)
def cut_off_by_one(r):
    def forward(x, e, W):
        z = np.concatenate([x, e], axis=1)
        return z @ W, (x, z, W)

    def backward(dy, cache):
        x, z, W = cache
        dz = dy @ W.T
        k = x.shape[1]
        return dz[:, 1 : k + 1], dz[:, k:], z.T @ dy

    return (forward, backward), normal(r, 5, 3), normal(r, 5, 4), normal(r, 7, 2)


@wrong("a wide and a deep part are added: the wide part's W gets the deep part's input", "operand")
def wide_and_deep(r):
    def forward(x, W, U, V):
        h = np.maximum(x @ U, 0)
        return x @ W + h @ V, (x, W, U, V, h)

    def backward(dy, cache):
        x, W, U, V, h = cache
        dh = (dy @ V.T) * (h > 0)
        return dy @ W.T + dh @ U.T, h.T @ dy, x.T @ dh, h.T @ dy

    return (forward, backward), normal(r, 6, 4), normal(r, 4, 2), normal(r, 4, 4), normal(r, 4, 2)


@wrong(
    "deep net: dx misses the first matrix' part through the skip connection",
    "second_path part_missing term",
)
def skip_to_output(r):
    def forward(x, U, V):
        h = np.tanh(x @ U)
        return h @ V + x, (x, U, V, h)

    def backward(dy, cache):
        x, U, V, h = cache
        da = (dy @ V.T) * (1 - h**2)
        return da @ U.T, x.T @ da, h.T @ dy

    return (forward, backward), normal(r, 6, 4), normal(r, 4, 3), normal(r, 3, 4)


@wrong(
    "low-rank cross layer: the gate's slope is forgotten in dV",
    "slope_forgotten local_factor",
    "random",
)
def low_rank_cross(r):
    def forward(x, U, V):
        h = np.tanh(x @ V)
        return x * (h @ U), (x, U, V, h)

    def backward(dy, cache):
        x, U, V, h = cache
        dh = (dy * x) @ U.T
        da = dh * (1 - h**2)
        return dy * (h @ U) + da @ V.T, h.T @ (dy * x), x.T @ dh

    return (forward, backward), normal(r, 6, 4), normal(r, 2, 4), normal(r, 4, 2)


# Losses


@wrong("MSE of a linear model: the residual has the wrong sign in dw", "sign")
def residual_sign(r):
    def forward(w, X, t):
        e = t - X @ w
        return (e**2).mean(), (X, e)

    return (
        (forward, lambda d, c: (d * 2 * c[0].T @ c[1] / len(c[1]),)),
        normal(r, 4),
        normal(r, 7, 4),
        normal(r, 7),
    )


@wrong("MSE over (B, M): divided by B alone", "factor")
def mse_of_rows(r):
    def forward(y, t):
        return ((y - t) ** 2).mean(), y - t

    return (forward, lambda d, e: d * 2 * e / len(e)), normal(r, 6, 3), normal(r, 6, 3)


@wrong(
    "log-cosh: tanh is taken of the prediction, not of the residual",
    "operand function_left local_factor slope_place",
)
def log_cosh_place(r):
    def forward(y, t):
        return np.log(np.cosh(y - t)).sum(), (y, t)

    return (forward, lambda d, c: (d * np.tanh(c[0]),)), normal(r, 9), normal(r, 9)


@wrong(
    "binary cross entropy with logits and pos_weight: the weight is missing",
    "pos_weight branch operand_left local_factor row_factor",
)
def positive_weight(r):
    def forward(x, t):
        p = sigmoid(x)
        return -(3 * t * np.log(p) + (1 - t) * np.log(1 - p)).sum(), (p, t)

    return (forward, lambda d, c: (d * (c[0] - c[1]),)), normal(r, 12), (r.random(12) > 0.5) * 1.0


@wrong("softmax cross entropy with temperature: 1/T is missing", "factor")
def temperature(r):
    def forward(x, y):
        p = softmax(x / 0.5)
        return -np.log(p[np.arange(len(x)), y]).sum(), (p, y)

    def backward(d, c):
        p, y = c
        g = p.copy()
        g[np.arange(len(p)), y] -= 1
        return (d * g,)

    return (forward, backward), normal(r, 6, 4), r.integers(0, 4, 6)


@wrong(
    "softmax cross entropy: 1 is subtracted at the largest probability", "index_shift shifted term"
)
def largest_for_label(r):
    def forward(x, y):
        p = softmax(x)
        return -np.log(p[np.arange(len(x)), y]).mean(), p

    def backward(d, p):
        g = p.copy()
        g[np.arange(len(p)), p.argmax(axis=1)] -= 1
        return (d * g / len(p),)

    return (forward, backward), normal(r, 7, 4), r.integers(0, 4, 7)


@wrong("Huber with delta: beyond it the slope is sign(e), delta is missing", "branch")
def huber_delta(r):
    def forward(e):
        a = np.abs(e)
        return np.where(a < 2, e * e / 2, 2 * a - 2).sum(), e

    return (forward, lambda d, e: d * np.where(np.abs(e) < 2, e, np.sign(e))), 3 * normal(r, 14)


@wrong("pairwise ranking loss: the negative's gradient is that of the positive", "sign operand")
def pairwise(r):
    def forward(p, n):
        m = p - n
        return np.log1p(np.exp(-m)).mean(), m

    def backward(d, m):
        g = -d * sigmoid(-m) / len(m)
        return g, g

    return (forward, backward), normal(r, 8), normal(r, 8)


@wrong(
    "KL of two softmaxes: q is right, for p the path through log p is left out",
    "second_path part_missing term product_rule",
)
def kl_first(r):
    def forward(p, q):
        return (p * (np.log(p) - np.log(q))).sum(axis=1), (p, q)

    def backward(dy, c):
        p, q = c
        return dy[:, None] * (np.log(p) - np.log(q)), -dy[:, None] * p / q

    return (forward, backward), r.random((5, 4)) + 0.1, r.random((5, 4)) + 0.1


@wrong("variance penalty: the mean of the scores is a constant with its own 1/n missing", "factor")
def variance_penalty(r):
    def forward(s):
        return s.var() * 0.5, s - s.mean()

    return (forward, lambda d, z: d * z), normal(r, 9)


@wrong(
    "elastic net: the l1 part has the gradient of the l2 part",
    "term regularization function_left operand",
)
def elastic_net(r):
    def forward(w, X, t):
        e = X @ w - t
        return (e**2).sum() + 0.4 * np.abs(w).sum() + 0.2 * (w**2).sum(), (w, X, e)

    def backward(d, c):
        w, X, e = c
        return (d * (2 * X.T @ e + 0.4 * w + 0.4 * w),)

    return (forward, backward), normal(r, 6), normal(r, 8, 6), normal(r, 8)


# Elementwise


@wrong("softsign x / (1 + |x|): 1 / (1 + |x|)", "local_factor product_rule term")
def soft_sign(r):
    return (lambda x: (x / (1 + np.abs(x)), x), lambda dy, x: dy / (1 + np.abs(x))), normal(r, 6, 4)


@wrong("sigmoid(x)^2: the 2 sigmoid(x) is missing", "local_factor")
def sigmoid_squared(r):
    def forward(x):
        s = sigmoid(x)
        return s**2, s

    return (forward, lambda dy, s: dy * s * (1 - s)), normal(r, 6, 4)


@wrong("sqrt(1 + x^2): x is missing", "local_factor")
def hyperbola(r):
    def forward(x):
        y = np.sqrt(1 + x**2)
        return y, y

    return (forward, lambda dy, y: dy / y), normal(r, 6, 4)


@wrong("x e^-x: e^-x (1 + x)", "term sign product_rule")
def x_exp(r):
    def backward(dy, x):
        return dy * np.exp(-x) * (1 + x)

    return (lambda x: (x * np.exp(-x), x), backward), normal(r, 6, 4)


@wrong("arctan(x / 2): the 1/2 is missing", "factor")
def arctan_half(r):
    return (lambda x: (np.arctan(x / 2), x), lambda dy, x: dy / (1 + x**2 / 4)), normal(r, 6, 4)


@wrong("log(1 + x^2): divided by x^2, the 1 is missing", "local_factor epsilon", "random")
def log_square(r):
    return (lambda x: (np.log(1 + x**2), x), lambda dy, x: 2 * dy * x / x**2), normal(r, 6, 4)


@wrong("clipped ReLU: the lower side passes the gradient", "mask_forgotten branch", "extra_term")
def clipped_relu(r):
    return (lambda x: (np.clip(x, 0, 1), x), lambda dy, x: dy * (x < 1)), 2 * normal(r, 6, 4)


@wrong("max(x, y): both get the gradient", "mask_forgotten extra_term")
def maximum_both(r):
    return (
        (lambda x, y: np.maximum(x, y), lambda dy: (dy, dy.copy())),
        normal(r, 6, 4),
        normal(r, 6, 4),
    )


@wrong("x^y: dy by the exponent lacks log x", "operand_left local_factor")
def power_of_power(r):
    def forward(x, y):
        z = x**y
        return z, (x, y, z)

    def backward(dz, c):
        x, y, z = c
        return dz * y * z / x, dz * z

    return (forward, backward), r.random((5, 3)) + 0.5, normal(r, 5, 3)


@wrong(
    "product of x and a mask from x > 0.5: the mask of x > 0",
    "branch mask_forgotten other_mask extra_term",
)
def other_threshold(r):
    return (lambda x: (x * (x > 0.5), x), lambda dy, x: dy * (x > 0)), 2 * normal(r, 6, 5)


# Norms, softmax, attention


@wrong("layer norm over (T, D): the statistics' path runs over D alone", "axis statistic")
def norm_over_two_axes(r):
    def forward(x):
        m, s = x.mean((1, 2), keepdims=True), x.std((1, 2), keepdims=True)
        return (x - m) / s, ((x - m) / s, s)

    def backward(dy, c):
        h, s = c
        return (dy - dy.mean(2, keepdims=True) - h * (dy * h).mean(2, keepdims=True)) / s

    return (forward, backward), normal(r, 3, 4, 5)


@wrong("batch norm: dgamma uses dy times x", "operand local_factor term function_left")
def bn_gamma_x(r):
    def forward(x, g):
        m, s = x.mean(axis=0), x.std(axis=0)
        h = (x - m) / s
        return g * h, (x, h, g, s)

    def backward(dy, c):
        x, h, g, s = c
        d = dy * g
        return (d - d.mean(0) - h * (d * h).mean(0)) / s, (dy * x).sum(axis=0)

    return (forward, backward), normal(r, 7, 3), normal(r, 3)


@wrong(
    "softmax with sigmoid gate: the gate's path is missing",
    "second_path part_missing term product_rule",
)
def gated_softmax(r):
    def forward(x):
        p, g = softmax(x), sigmoid(x)
        return p * g, (p, g)

    def backward(dy, c):
        p, g = c
        d = dy * g
        return p * (d - (d * p).sum(axis=1, keepdims=True))

    return (forward, backward), normal(r, 5, 4)


@wrong(
    "softmax: (1 - y) is left out of the diagonal: y (1 - sum)", "statistic term axis part_missing"
)
def softmax_own_term(r):
    def forward(x):
        y = softmax(x)
        return y, y

    return (forward, lambda dy, y: -y * (dy * y).sum(axis=1, keepdims=True)), normal(r, 5, 4)


@wrong("attention: dQ lacks 1/sqrt(d), dK has it", "factor")
def scale_in_one(r):
    def forward(Q, K, V):
        A = softmax(Q @ K.T / 2)
        return A @ V, (Q, K, V, A)

    def backward(dO, c):
        Q, K, V, A = c
        dA = dO @ V.T
        dS = A * (dA - (dA * A).sum(axis=1, keepdims=True))
        return dS @ K, dS.T @ Q / 2, A.T @ dO

    return (forward, backward), normal(r, 5, 4), normal(r, 3, 4), normal(r, 3, 4)


@wrong("attention: dQ is made of Q", "operand")
def queries_for_keys(r):
    def forward(Q, K, V):
        A = softmax(Q @ K.T)
        return A @ V, (Q, K, V, A)

    def backward(dO, c):
        Q, _, V, A = c
        dA = dO @ V.T
        dS = A * (dA - (dA * A).sum(axis=1, keepdims=True))
        return dS @ Q, dS.T @ Q, A.T @ dO

    return (forward, backward), normal(r, 4, 3), normal(r, 4, 3), normal(r, 4, 3)


@wrong("projection of the queries: dWq lacks the softmax", "slope_forgotten statistic", "random")
def projection(r):
    def forward(x, Wq, K):
        A = softmax(x @ Wq @ K.T)
        return A, (x, Wq, K, A)

    def backward(dA, c):
        x, Wq, K, A = c
        dS = A * (dA - (dA * A).sum(axis=1, keepdims=True))
        return dS @ K @ Wq.T, x.T @ (dA @ K), dS.T @ (x @ Wq)

    return (forward, backward), normal(r, 5, 3), normal(r, 3, 2), normal(r, 4, 2)


# Sequences and images


@wrong("causal convolution: dx without the shift", "shifted pairing")
def causal_convolution(r):
    def forward(x, k):
        p = np.pad(x, ((0, 0), (2, 0)))
        return sum(k[j] * p[:, j : j + x.shape[1]] for j in range(3)), (x, p, k)

    def backward(dy, c):
        x, p, k = c
        T = x.shape[1]
        dx = sum(k[j] * np.pad(dy, ((0, 0), (0, 2)))[:, j : j + T] for j in range(3))
        return dx, np.array([(dy * p[:, j : j + T]).sum() for j in range(3)])

    return (forward, backward), normal(r, 3, 6), normal(r, 3)


@wrong("average pooling with stride: 1/size is missing and dx is spread", "factor mean_missing")
def average_pooling(r):
    def forward(x):
        return x.reshape(len(x), -1, 3).mean(axis=2)

    return (forward, lambda dy: np.repeat(dy, 3, axis=1)), normal(r, 4, 9)


@wrong(
    "a simple recurrent net: dW uses x of the last step in every step", "operand shifted", "random"
)
def recurrent_last_x(r):
    def forward(x, W, U):
        h = [np.zeros((len(x), 3), x.dtype)]
        for t in range(4):
            h.append(np.tanh(x[:, t] @ W + h[-1] @ U))
        return h[-1], (x, W, U, h)

    def backward(dh, c):
        x, W, U, h = c
        dx, dW, dU = np.zeros_like(x), np.zeros_like(W), np.zeros_like(U)
        for t in range(3, -1, -1):
            da = dh * (1 - h[t + 1] ** 2)
            dW += x[:, -1].T @ da
            dU += h[t].T @ da
            dx[:, t] = da @ W.T
            dh = da @ U.T
        return dx, dW, dU

    return (forward, backward), normal(r, 3, 4, 2), normal(r, 2, 3), normal(r, 3, 3)


@wrong(
    "a recurrent net: tanh's slope is forgotten on the way back",
    "slope_forgotten local_factor",
    "random",
)
def recurrent_no_slope(r):
    def forward(x, U):
        h = [np.zeros((len(x), 3), x.dtype)]
        for t in range(3):
            h.append(np.tanh(x[:, t] + h[-1] @ U))
        return h[-1], (x, U, h)

    def backward(dh, c):
        x, U, h = c
        dx, dU = np.zeros_like(x), np.zeros_like(U)
        for t in range(2, -1, -1):
            dx[:, t] = dh
            dU += h[t].T @ dh
            dh = dh @ U.T
        return dx, dU

    return (forward, backward), normal(r, 4, 3, 3), normal(r, 3, 3)


@wrong("masked mean over time: divided by T, not by the number of steps", "row_factor")
def masked_mean(r):
    mask = (np.arange(5) < np.array([5, 2, 3, 1])[:, None]).astype(float)

    def forward(x, mask):
        n = mask.sum(axis=1)[:, None]
        return (x * mask[..., None]).sum(axis=1) / n, (x, mask)

    def backward(dy, c):
        x, mask = c
        return dy[:, None] * mask[..., None] / x.shape[1]

    return (forward, backward), normal(r, 4, 5, 2), mask


# Classes and forms


@wrong(
    "a class: grad of the bias is summed without the activation's mask",
    "slope_forgotten mask_forgotten operand_left",
)
def bias_without_mask(r):
    class Layer(md.Module):
        def __init__(self):
            self.W, self.b = md.Parameter(normal(r, 4, 3), "W"), md.Parameter(normal(r, 3), "b")

        def forward(self, x):
            self.x, self.z = x, x @ self.W.value + self.b.value
            return np.maximum(self.z, 0)

        def backward(self, dy):
            d = dy * (self.z > 0)
            self.W.add_grad(self.x.T @ d)
            self.b.add_grad(dy.sum(axis=0))
            return d @ self.W.value.T

    return Layer(), normal(r, 8, 4)


@wrong("a plain class: dx is computed with the weights after the step", "modified updated leftover")
def step_in_backward(r):
    class Layer:
        def __init__(self):
            self.W = normal(r, 4, 3)

        def forward(self, x):
            self.x = x
            return x @ self.W

        def backward(self, dy):
            self.dW = self.x.T @ dy
            self.W -= 0.01 * self.dW
            return dy @ self.W.T

    return Layer(), normal(r, 6, 4)


@wrong("gradients of two parameters in a dict, one under the other's name", "order operand")
def keys_exchanged(r):
    def forward(x, gamma, beta):
        return x * gamma + beta, (x, gamma)

    def backward(dy, c):
        x, gamma = c
        return {"x": dy * gamma, "beta": (dy * x).sum(axis=0), "gamma": dy.sum(axis=0)}

    return (forward, backward), normal(r, 6, 4), normal(r, 4), normal(r, 4)


@wrong("the bias' gradient is returned for every sample", "not_summed shape")
def bias_of_each_sample(r):
    def forward(x, b):
        return np.tanh(x + b), np.tanh(x + b)

    def backward(dy, y):
        d = dy * (1 - y**2)
        return d, d

    return (forward, backward), normal(r, 6, 4), normal(r, 4)


@wrong("noise is added to the gradient", "noise leftover")
def noisy(r):
    g = np.random.default_rng(0)

    def backward(dy, x):
        return dy * np.cos(x) + 1e-3 * g.normal(size=x.shape)

    return (lambda x: (np.sin(x), x), backward), normal(r, 6, 4)


@wrong("dy is rescaled to norm 1 row by row", "not_linear")
def unit_rows(r):
    def backward(dy, x):
        return dy / np.sqrt((dy**2).sum(axis=1, keepdims=True)) * np.cos(x)

    return (lambda x: (np.sin(x), x), backward), normal(r, 6, 4)
