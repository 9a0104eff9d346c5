"""Wrong pairs, layers and losses, with their truths, written without a look at the rules.

They were frozen before the checker was asked about them: docs/gradcheck.md has what it said then.
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


# Products of matrices


@wrong("y = x A B: dA = x^T dy B, where B^T belongs (square)", "transpose")
def low_rank(r):
    def forward(x, A, B):
        h = x @ A
        return h @ B, (x, A, B, h)

    def backward(dy, cache):
        x, A, B, h = cache
        return dy @ B.T @ A.T, x.T @ dy @ B, h.T @ dy

    return (forward, backward), normal(r, 7, 4), normal(r, 4, 3), normal(r, 3, 3)


@wrong("a sequence: dW of the last time step alone", "samples one_part part_missing one_sample")
def last_step_only(r):
    def forward(x, W):
        return x @ W, (x, W)

    def backward(dy, cache):
        x, W = cache
        return dy @ W.T, x[:, -1].T @ dy[:, -1]

    return (forward, backward), normal(r, 5, 3, 4), normal(r, 4, 2)


@wrong(
    "y = x (W * mask): the mask is not applied to dW", "mask_forgotten operand_left", "extra_term"
)
def masked_weights(r):
    def forward(x, W, mask):
        return x @ (W * mask), (x, W, mask)

    def backward(dy, cache):
        x, W, mask = cache
        return dy @ (W * mask).T, x.T @ dy

    mask = (r.random((5, 4)) > 0.4).astype(float)
    return (forward, backward), normal(r, 6, 5), normal(r, 5, 4), mask


@wrong("weights are centred in forward; dW is not", "statistic second_path", "term")
def centred_weights(r):
    def forward(x, W):
        V = W - W.mean(axis=0)
        return x @ V, (x, V)

    def backward(dy, cache):
        x, V = cache
        return dy @ V.T, x.T @ dy

    return (forward, backward), normal(r, 6, 5), normal(r, 5, 4)


@wrong("y = x (W + W^T): dW of the first use alone", "second_path part_missing", "term")
def symmetric_weights(r):
    def forward(x, W):
        return x @ (W + W.T), (x, W)

    def backward(dy, cache):
        x, W = cache
        return dy @ (W + W.T), x.T @ dy

    return (forward, backward), normal(r, 6, 4), normal(r, 4, 4)


@wrong("inverse: -Y dY Y for -Y^T dY Y^T", "transpose")
def inverse(r):
    def forward(A):
        Y = np.linalg.inv(A)
        return Y, Y

    return (forward, lambda dY, Y: -Y @ dY @ Y), normal(r, 4, 4) + 3 * np.eye(4)


@wrong("covariance: 2 z dC / n, where dC + dC^T belongs", "transpose second_path part_missing term")
def covariance(r):
    def forward(x):
        z = x - x.mean(axis=0)
        return z.T @ z / len(x), z

    def backward(dC, z):
        return 2 * z @ dC / len(z)

    return (forward, backward), normal(r, 8, 4)


@wrong("y_k = x^T A_k x: dA without the second x", "operand_left")
def bilinear_tensor(r):
    def forward(x, A):
        return np.einsum("bi,kij,bj->bk", x, A, x), (x, A)

    def backward(dy, cache):
        x, A = cache
        dx = np.einsum("bk,kij,bj->bi", dy, A, x) + np.einsum("bk,kij,bi->bj", dy, A, x)
        dA = np.einsum("bk,bi->ki", dy, x)[:, :, None] * np.ones(A.shape)
        return dx, dA

    return (forward, backward), normal(r, 6, 3), normal(r, 2, 3, 3)


# Elementwise functions


@wrong("swish with a slope beta: dbeta lacks one x", "operand_left local_factor")
def swish_beta(r):
    def forward(x, beta):
        s = sigmoid(beta * x)
        return x * s, (x, beta, s)

    def backward(dy, cache):
        x, beta, s = cache
        dx = dy * (s + beta * x * s * (1 - s))
        return dx, (dy * x * s * (1 - s)).sum(axis=0)

    return (forward, backward), normal(r, 6, 3), normal(r, 3)


@wrong("logit log(p / (1 - p)): 1/p alone", "local_factor second_path term product_rule")
def logit(r):
    return (lambda p: (np.log(p / (1 - p)), p), lambda dy, p: dy / p), r.random((5, 3)) * 0.8 + 0.1


@wrong("arcsin: 1 / (1 - x^2), root forgotten", "local_factor")
def arcsin(r):
    return (np.arcsin, lambda dy, x: dy / (1 - x**2)), r.random((5, 3)) * 1.6 - 0.8


@wrong("tan: 1 + x^2 for 1 + tan(x)^2", "slope_place")
def tan(r):
    return (lambda x: (np.tan(x), x), lambda dy, x: dy * (1 + x**2)), r.random((5, 4)) * 2 - 1


@wrong("exp(-x^2 / 2): the inner -x is missing", "local_factor")
def bell(r):
    def forward(x):
        y = np.exp(-(x**2) / 2)
        return y, y

    return (forward, lambda dy, y: dy * y), normal(r, 5, 4)


@wrong("sin(x) / x: only sin is differentiated", "product_rule second_path term part_missing")
def sinc(r):
    return (lambda x: (np.sin(x) / x, x), lambda dy, x: dy * np.cos(x) / x), normal(r, 5, 4)


@wrong(
    "hard swish: (x + 3) / 6 in the middle, the other factor's term missing",
    "product_rule branch second_path",
)
def hard_swish(r):
    def forward(x):
        return x * np.clip(x + 3, 0, 6) / 6, x

    def backward(dy, x):
        slope = np.where(x < -3, 0, np.where(x > 3, 1, (x + 3) / 6))
        return dy * slope

    return (forward, backward), 3 * normal(r, 7, 5)


@wrong("PReLU: da sums over all x, not the negative ones", "mask_forgotten extra_term", "term")
def prelu_slope(r):
    def forward(x, a):
        return np.where(x > 0, x, a * x), (x, a)

    def backward(dy, cache):
        x, a = cache
        return np.where(x > 0, dy, a * dy), (dy * x).sum(axis=0)

    return (forward, backward), normal(r, 8, 3), r.random(3)


@wrong("soft shrink: the negative side gets 0", "branch part_missing")
def soft_shrink(r):
    def forward(x):
        return np.sign(x) * np.maximum(np.abs(x) - 0.5, 0), x

    return (forward, lambda dy, x: dy * (x > 0.5)), 2 * normal(r, 6, 4)


@wrong("1 / sqrt(x): the minus is missing", "sign")
def rsqrt(r):
    return (lambda x: (x**-0.5, x), lambda dy, x: 0.5 * dy * x**-1.5), r.random((5, 3)) + 0.3


@wrong("x + sin(x)^2: the 2 of the square is missing", "term factor", "second_path")
def snake(r):
    def backward(dy, x):
        return dy * (1 + np.sin(x) * np.cos(x))

    return (lambda x: (x + np.sin(x) ** 2, x), backward), normal(r, 6, 4)


@wrong("tanh(sin x): cos is taken at the output", "slope_place", "local_factor")
def tanh_of_sine(r):
    def forward(x):
        y = np.tanh(np.sin(x))
        return y, y

    return (forward, lambda dy, y: dy * (1 - y**2) * np.cos(y)), normal(r, 6, 4)


@wrong("softplus log(1 + e^(bx)) / b: b once too often", "factor")
def softplus_beta(r):
    b = 3.0

    def forward(x):
        return np.log1p(np.exp(b * x)) / b, x

    return (forward, lambda dy, x: b * dy * sigmoid(b * x)), normal(r, 6, 4)


@wrong("log(x)^2 + x: 2 log x, its 1/x missing", "term", "local_factor")
def log_squared(r):
    def backward(dy, x):
        return dy * (2 * np.log(x) + 1)

    return (lambda x: (np.log(x) ** 2 + x, x), backward), r.random((5, 4)) * 2 + 0.4


# Normalization


@wrong("x^2 / sum x^2: the sum is a constant", "statistic second_path part_missing")
def power_share(r):
    def forward(x):
        s = (x**2).sum(axis=1, keepdims=True)
        return x**2 / s, (x, s)

    def backward(dy, cache):
        x, s = cache
        return dy * 2 * x / s

    return (forward, backward), normal(r, 5, 4)


@wrong("x / max(x): the maximum is a constant", "statistic second_path part_missing")
def by_the_maximum(r):
    def forward(x):
        m = x.max(axis=1, keepdims=True)
        return x / m, m

    return (forward, lambda dy, m: dy / m), r.random((5, 4)) + 0.2


@wrong("RMS norm: dg = sum dy x, x not divided", "operand operand_left local_factor function_left")
def rms_gain(r):
    def forward(x, g):
        s = np.sqrt((x**2).mean(axis=1, keepdims=True) + 1e-6)
        return g * x / s, (x, g, s)

    def backward(dy, cache):
        x, g, s = cache
        d = dy * g
        dx = d / s - x * (d * x).mean(axis=1, keepdims=True) / s**3
        return dx, (dy * x).sum(axis=0)

    return (forward, backward), 2 * normal(r, 6, 4), normal(r, 4)


@wrong("group norm: backward takes means over all features", "axis statistic")
def group_norm(r):
    def forward(x):
        z = x.reshape(len(x), 3, 2 + 1)
        m, s = z.mean(axis=2, keepdims=True), z.std(axis=2, keepdims=True)
        h = ((z - m) / s).reshape(x.shape)
        return h, (h, np.repeat(s[:, :, 0], 3, axis=1))

    def backward(dy, cache):
        h, s = cache
        return (dy - dy.mean(1, keepdims=True) - h * (dy * h).mean(1, keepdims=True)) / s

    return (forward, backward), normal(r, 5, 9)


@wrong(
    "L1 normalization: sign(x) is forgotten in the path through the sum",
    "statistic term",
    "part_missing second_path",
)
def l1_share(r):
    def forward(x):
        s = np.abs(x).sum(axis=1, keepdims=True)
        return x / s, (x / s, s)

    def backward(dy, cache):
        y, s = cache
        return (dy - (dy * y).sum(axis=1, keepdims=True)) / s

    return (forward, backward), normal(r, 5, 4)


@wrong("weight norm: dg is not divided by |v|", "row_factor operand_left local_factor", "factor")
def weight_norm_gain(r):
    def forward(x, v, g):
        n = np.sqrt((v**2).sum(axis=0))
        return x @ (g * v / n), (x, v, g, n)

    def backward(dy, cache):
        x, v, g, n = cache
        dw = x.T @ dy
        u = v / n
        dv = g / n * (dw - u * (dw * u).sum(axis=0))
        return dy @ (g * u).T, dv, (dw * v).sum(axis=0)

    return (forward, backward), normal(r, 6, 4), normal(r, 4, 3), normal(r, 3)


@wrong(
    "batch norm: the normalized x is not multiplied in dx's variance term",
    "statistic term operand_left",
)
def batch_norm_no_xhat(r):
    def forward(x, g):
        s = np.sqrt(x.var(axis=0) + 1e-5)
        h = (x - x.mean(axis=0)) / s
        return g * h, (h, g, s)

    def backward(dy, cache):
        h, g, s = cache
        d = dy * g
        return (d - d.mean(axis=0) - (d * h).mean(axis=0)) / s, (dy * h).sum(axis=0)

    return (forward, backward), normal(r, 7, 4), normal(r, 4)


# Attention


@wrong("a bias of the scores, shared by the batch: mean for sum", "batch_twice", "factor")
def score_bias(r):
    def forward(Q, K, bias):
        A = softmax(Q @ K.transpose(0, 2, 1) + bias)
        return A, (Q, K, A)

    def backward(dA, cache):
        Q, K, A = cache
        dS = A * (dA - (dA * A).sum(axis=-1, keepdims=True))
        return dS @ K, dS.transpose(0, 2, 1) @ Q, dS.mean(axis=0)

    return (forward, backward), normal(r, 5, 3, 2), normal(r, 5, 4, 2), normal(r, 3, 4)


@wrong("two heads: dO is split without the transpose of heads and time", "pairing shifted")
def heads_not_transposed(r):
    def forward(V):
        B, T, D = V.shape
        return np.tanh(V.reshape(B, T, 2, D // 2).transpose(0, 2, 1, 3)), V

    def backward(dy, V):
        return dy.reshape(V.shape) * (1 - np.tanh(V) ** 2)

    return (forward, backward), normal(r, 2, 3, 4)


@wrong("dropout on the attention weights is forgotten in dV", "operand_left mask_forgotten operand")
def attention_dropout(r):
    mask = (r.random((5, 5)) > 0.3) / 0.7

    def forward(S, V):
        A = softmax(S)
        return (A * mask) @ V, (A, V)

    def backward(dO, cache):
        A, V = cache
        dA = (dO @ V.T) * mask
        return A * (dA - (dA * A).sum(axis=1, keepdims=True)), A.T @ dO

    return (forward, backward), normal(r, 5, 5), normal(r, 5, 3)


@wrong("additive attention: dv takes the input of tanh", "operand slope_place function_left")
def additive_attention(r):
    def forward(x, W, v):
        a = x @ W
        return np.tanh(a) @ v, (x, W, v, a)

    def backward(dy, cache):
        x, W, v, a = cache
        da = np.outer(dy, v) * (1 - np.tanh(a) ** 2)
        return da @ W.T, x.T @ da, a.T @ dy

    return (forward, backward), normal(r, 6, 4), normal(r, 4, 3), normal(r, 3)


@wrong("cross attention: dK and dV are returned in each other's place", "order operand")
def exchanged_keys_and_values(r):
    def forward(Q, K, V):
        A = softmax(Q @ K.T)
        return A @ V, (Q, K, V, A)

    def backward(dO, cache):
        Q, K, V, A = cache
        dA = dO @ V.T
        dS = A * (dA - (dA * A).sum(axis=1, keepdims=True))
        return dS @ K, A.T @ dO, dS.T @ Q

    return (forward, backward), normal(r, 4, 3), normal(r, 5, 3), normal(r, 5, 3)


@wrong(
    "a mixture with weights softmax(w): dw without the sum of the softmax",
    "statistic term part_missing second_path",
)
def mixture(r):
    def forward(w, x):
        p = softmax(w)
        return p @ x, (p, x)

    def backward(dy, cache):
        p, x = cache
        return p * (x @ dy), np.outer(p, dy)

    return (forward, backward), normal(r, 5), normal(r, 5, 3)


# Losses


@wrong("Dice: the denominator is a constant", "statistic second_path term part_missing")
def dice(r):
    def forward(p, t):
        n, d = 2 * (p * t).sum(), p.sum() + t.sum()
        return 1 - n / d, (t, d)

    def backward(g, cache):
        t, d = cache
        return -g * 2 * t / d

    return (forward, backward), r.random(9), (r.random(9) > 0.5).astype(float)


@wrong("pinball loss: the branches are exchanged", "mask_inverted branch")
def pinball(r):
    q = 0.8

    def forward(y, t):
        e = t - y
        return np.maximum(q * e, (q - 1) * e).mean(), e

    def backward(g, e):
        return -g * np.where(e > 0, q - 1, q) / e.size

    return (forward, backward), normal(r, 9), normal(r, 9)


@wrong("smooth L1 with beta: the inner part is not divided by beta", "branch")
def smooth_l1(r):
    beta = 0.4

    def forward(y, t):
        e = y - t
        a = np.abs(e)
        return np.where(a < beta, e * e / (2 * beta), a - beta / 2).sum(), e

    def backward(g, e):
        return g * np.where(np.abs(e) < beta, e, np.sign(e))

    return (forward, backward), normal(r, 20), 0.5 * normal(r, 20)


@wrong("KL of a Gaussian: the -1 in dlogvar is missing", "term part_missing")
def gaussian_kl(r):
    def forward(mu, logvar):
        return 0.5 * (np.exp(logvar) + mu**2 - 1 - logvar).sum(axis=1).mean(), (mu, logvar)

    def backward(g, cache):
        mu, logvar = cache
        return g * mu / len(mu), 0.5 * g * np.exp(logvar) / len(mu)

    return (forward, backward), normal(r, 6, 3), normal(r, 6, 3)


@wrong("reparametrization: 1/2 is missing in dlogvar", "factor")
def reparametrization(r):
    eps = normal(r, 6, 3)

    def forward(mu, logvar):
        std = np.exp(0.5 * logvar)
        return mu + std * eps, std

    return (forward, lambda dz, std: (dz, dz * eps * std)), normal(r, 6, 3), normal(r, 6, 3)


@wrong("contrastive loss: the minus of the far pairs is missing", "sign branch")
def contrastive(r):
    def forward(d, same):
        return (same * d**2 + (1 - same) * np.maximum(0, 2 - d) ** 2).mean(), (d, same)

    def backward(g, cache):
        d, same = cache
        return g * (2 * same * d + 2 * (1 - same) * np.maximum(0, 2 - d)) / len(d)

    same = (r.random(12) > 0.5).astype(float)
    return (forward, backward), 3 * r.random(12), same


@wrong(
    "gamma loss log m + t/m: 1/m - t/m, the square is missing", "term local_factor", "second_path"
)
def gamma_loss(r):
    def forward(m, t):
        return (np.log(m) + t / m).mean(), (m, t)

    def backward(g, cache):
        m, t = cache
        return g * (1 - t) / m / len(m)

    return (forward, backward), r.random(9) + 0.5, r.random(9) + 0.2


@wrong("squared hinge: the 2 is missing", "factor")
def squared_hinge(r):
    def forward(s, y):
        m = np.maximum(0, 1 - y * s)
        return (m**2).mean(), (m, y)

    def backward(g, cache):
        m, y = cache
        return -g * m * y / len(m)

    return (forward, backward), normal(r, 10), np.where(r.random(10) > 0.5, 1.0, -1.0)


@wrong("triplet: the anchor lacks the part of the negative", "second_path part_missing term")
def triplet_anchor(r):
    def forward(a, p, n):
        dp, dn = a - p, a - n
        m = (dp**2).sum(1) - (dn**2).sum(1) + 1
        return np.maximum(m, 0).sum(), (dp, dn, m > 0)

    def backward(g, cache):
        dp, dn, on = cache
        k = 2 * g * on[:, None]
        return k * dp, -k * dp, k * dn

    return (forward, backward), normal(r, 8, 3), normal(r, 8, 3), normal(r, 8, 3)


@wrong(
    "negative sampling: the user lacks the part of the negatives", "second_path part_missing term"
)
def negative_sampling(r):
    def forward(u, v, N):
        s, z = u @ v, N @ u
        return -np.log(sigmoid(s)) - np.log(sigmoid(-z)).sum(), (u, v, N, s, z)

    def backward(g, cache):
        u, v, _, s, z = cache
        ds, dz = -g * (1 - sigmoid(s)), g * sigmoid(z)
        return ds * v, ds * u, np.outer(dz, u)

    return (forward, backward), normal(r, 4), normal(r, 4), normal(r, 5, 4)


@wrong(
    "Pearson correlation: means and norms are constants", "statistic second_path part_missing term"
)
def correlation(r):
    def forward(x, y):
        a, b = x - x.mean(), y - y.mean()
        n = np.sqrt((a @ a) * (b @ b))
        return 1 - a @ b / n, (a, b, n)

    def backward(g, cache):
        a, b, n = cache
        return -g * b / n, -g * a / n

    return (forward, backward), normal(r, 8), normal(r, 8)


@wrong(
    "soft cross entropy with weights that do not sum to 1: p - t",
    "term row_factor statistic local_factor",
)
def unnormalized_targets(r):
    def forward(x, t):
        p = softmax(x)
        return -(t * np.log(p)).sum() / len(x), (p, t)

    def backward(g, cache):
        p, t = cache
        return g * (p - t) / len(p)

    return (forward, backward), normal(r, 6, 4), r.random((6, 4))


# Tables


@wrong("position embedding: the gradient of the first sample alone", "one_sample samples")
def positions(r):
    def forward(E, P, ids):
        return E[ids] + P, (E, ids)

    def backward(dy, cache):
        E, ids = cache
        return scatter(E, ids, dy), dy[0]

    return (forward, backward), normal(r, 9, 2), normal(r, 4, 2), r.integers(0, 9, (5, 4))


@wrong("maximum over a bag: every id gets the gradient", "extra_term mask_forgotten")
def bag_maximum(r):
    def forward(E, ids):
        return E[ids].max(axis=1), (E, ids)

    def backward(dy, cache):
        E, ids = cache
        return scatter(E, ids, np.repeat(dy[:, None], ids.shape[1], axis=1))

    return (forward, backward), normal(r, 12, 3), r.permutation(12).reshape(4, 3)


@wrong("quotient and remainder, multiplied: both take the quotient's row", "operand")
def composed_tables(r):
    def forward(Q, R, ids):
        q, m = Q[ids // 4], R[ids % 4]
        return q * m, (Q, R, ids, q, m)

    def backward(dy, cache):
        Q, R, ids, q, _ = cache
        return scatter(Q, ids // 4, dy * q), scatter(R, ids % 4, dy * q)

    return (forward, backward), normal(r, 5, 3), normal(r, 4, 3), r.integers(0, 20, 9)


@wrong("padded bags: the mean divides by the padded length", "row_factor mean_missing")
def padded_mean(r):
    def forward(E, ids, lengths):
        keep = np.arange(ids.shape[1]) < lengths[:, None]
        return (E[ids] * keep[:, :, None]).sum(1) / lengths[:, None], (E, ids, keep)

    def backward(dy, cache):
        E, ids, keep = cache
        return scatter(E, ids, dy[:, None] * keep[:, :, None] / ids.shape[1])

    ids = r.integers(0, 30, (6, 4))
    return (forward, backward), normal(r, 30, 2), ids, np.array([1, 4, 2, 3, 1, 2])


@wrong("weights of the ids: sum(dy), the row of the table is left out", "operand_left")
def weights_of_ids(r):
    def forward(E, ids, a):
        return (a[:, :, None] * E[ids]).sum(axis=1), (E, ids, a)

    def backward(dy, cache):
        E, ids, a = cache
        dE = scatter(E, ids, a[:, :, None] * dy[:, None])
        return dE, np.repeat(dy.sum(axis=1, keepdims=True), a.shape[1], axis=1)

    return (forward, backward), normal(r, 9, 3), r.integers(0, 9, (5, 4)), normal(r, 5, 4)


@wrong(
    "bias of users: its gradient is scattered with the items' ids",
    "index_shift shifted pairing operand",
)
def biases(r):
    def forward(bu, bi, users, items):
        return bu[users] + bi[items], (bu, bi, users, items)

    def backward(dy, cache):
        bu, bi, _, items = cache
        return scatter(bu, items, dy), scatter(bi, items, dy)

    users, items = r.integers(0, 7, 9), r.integers(0, 7, 9)
    return (forward, backward), normal(r, 7), normal(r, 7), users, items


@wrong("gradients of a repeated id are averaged in a loop over set(ids)", "count")
def averaged_repeats(r):
    def backward(dy, cache):
        E, ids = cache
        dE = np.zeros_like(E)
        for i in set(ids.tolist()):
            dE[i] = dy[ids == i].mean(axis=0)
        return dE

    return (lambda E, ids: (E[ids], (E, ids)), backward), normal(r, 6, 3), r.integers(0, 6, 11)


# Sequences


@wrong("dilated convolution: the dilation is forgotten in dx", "shifted pairing")
def dilation(r):
    def forward(x, k):
        T = x.shape[1] - 4
        return k[0] * x[:, :T] + k[1] * x[:, 2 : T + 2] + k[2] * x[:, 4:], (x, k)

    def backward(dy, cache):
        x, k = cache
        T = dy.shape[1]
        dx = np.zeros_like(x)
        for j in range(3):
            dx[:, j : j + T] += k[j] * dy
        return dx, np.array([(dy * x[:, 2 * j : 2 * j + T]).sum() for j in range(3)])

    return (forward, backward), normal(r, 3, 9), normal(r, 3)


@wrong("depthwise convolution: dk is summed over the channels, too", "broadcast axis")
def depthwise(r):
    def forward(x, k):
        return k[0] * x[:, :-1] + k[1] * x[:, 1:], (x, k)

    def backward(dy, cache):
        x, k = cache
        dx = np.zeros_like(x)
        dx[:, :-1] += k[0] * dy
        dx[:, 1:] += k[1] * dy
        dk = np.zeros_like(k)
        dk[0] += (dy * x[:, :-1]).sum()
        dk[1] += (dy * x[:, 1:]).sum()
        return dx, dk

    return (forward, backward), normal(r, 3, 5, 4), normal(r, 2, 4)


@wrong("cumsum from the right: dx is reversed once too often", "pairing shifted")
def from_the_right(r):
    def forward(x):
        return np.cumsum(x[:, ::-1], axis=1), None

    def backward(dy, _):
        return np.cumsum(dy[:, ::-1], axis=1)[:, ::-1]

    return (forward, backward), normal(r, 3, 5)


@wrong("reflected padding: the reflected ends are not added", "part_missing second_path")
def reflected(r):
    def forward(x):
        return np.concatenate([x[:, 1:2], x, x[:, -2:-1]], axis=1) ** 2, x

    def backward(dy, x):
        return 2 * x * dy[:, 1:-1]

    return (forward, backward), normal(r, 3, 6)


@wrong("linear interpolation: only the left neighbour gets a gradient", "part_missing second_path")
def interpolation(r):
    w = 0.3

    def forward(x):
        return (1 - w) * x[:, :-1] + w * x[:, 1:]

    def backward(dy):
        dx = np.zeros((len(dy), dy.shape[1] + 1))
        dx[:, :-1] += (1 - w) * dy
        return dx

    return (forward, backward), normal(r, 4, 6)


@wrong(
    "recurrent net with all outputs: what comes from later steps is dropped",
    "part_missing second_path statistic",
    "term",
)
def carry_dropped(r):
    def forward(x, U):
        h, hs = np.zeros(x[:, 0].shape, x.dtype), []
        for t in range(x.shape[1]):
            h = np.tanh(x[:, t] + h @ U)
            hs.append(h)
        return np.stack(hs, axis=1), (x, U, hs)

    def backward(dy, cache):
        x, U, hs = cache
        dx, dU = np.zeros_like(x), np.zeros_like(U)
        for t in reversed(range(x.shape[1])):
            da = dy[:, t] * (1 - hs[t] ** 2)
            dx[:, t] = da
            if t:
                dU += hs[t - 1].T @ da
        return dx, dU

    return (forward, backward), normal(r, 3, 4, 3), normal(r, 3, 3)


# Classes and state


@wrong(
    "one layer is used twice, and its second input is kept for both",
    "operand stale second_path",
    "joining",
)
def one_cache_for_two_calls(r):
    class Twice(md.Module):
        def __init__(self):
            self.W = md.Parameter(normal(r, 4, 4), "W")

        def use(self, x):
            self.x = x
            return np.tanh(x @ self.W.value)

        def forward(self, x):
            self.h = self.use(x)
            self.y = self.use(self.h)
            return self.y

        def back(self, dy, y):
            da = dy * (1 - y**2)
            self.W.add_grad(self.x.T @ da)
            return da @ self.W.value.T

        def backward(self, dy):
            return self.back(self.back(dy, self.y), self.h)

    return Twice(), normal(r, 6, 4)


@wrong("the mask of a ReLU only ever gains entries: it is or-ed with the old one", "stale leftover")
def gaining_mask(r):
    class Relu(md.Module):
        def __init__(self):
            self.mask = False

        def forward(self, x):
            self.mask = self.mask | (x > 0)
            return np.maximum(x, 0)

        def backward(self, dy):
            return dy * self.mask

    return Relu(), normal(r, 6, 4)


@wrong(
    "a plain class: dW of the second layer is divided by the batch, the others are not",
    "batch_twice",
    "factor",
)
def plain_two_layers(r):
    class Net:
        def __init__(self):
            self.W1, self.W2 = normal(r, 3, 5), normal(r, 5, 2)

        def forward(self, x):
            self.x = x
            self.h = np.maximum(x @ self.W1, 0)
            return self.h @ self.W2

        def backward(self, dy):
            self.dW2 = self.h.T @ dy / len(dy)
            dh = (dy @ self.W2.T) * (self.h > 0)
            self.dW1 = self.x.T @ dh
            return dh @ self.W1.T

    return Net(), normal(r, 7, 3)


@wrong("small gradients are set to 0", "not_linear")
def small_gradients(r):
    def backward(dy, x):
        dx = dy * np.cos(x)
        dx[np.abs(dx) < 0.2] = 0
        return dx

    return (lambda x: (np.sin(x), x), backward), normal(r, 6, 4)


@wrong("the input is centred in place", "modified")
def centred_in_place(r):
    def forward(x):
        x -= x.mean(axis=0)
        return x * x, x

    def backward(dy, x):
        d = 2 * dy * x
        return d - d.mean(axis=0)

    return (forward, backward), normal(r, 6, 3)
