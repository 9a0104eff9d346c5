"""More right code of every domain, precision and form, written without a look at the rules.

`right_pairs` holds the first pieces; `test_right_code` runs both.
"""

from __future__ import annotations

import numpy as np
from right_pairs import elementwise, right, sigmoid, softmax

import minidlrm as md


def scatter(table, ids, values):
    grad = np.zeros_like(table)
    np.add.at(grad, ids, values)
    return grad


# Domains and scales


@right
def log2_and_log10(rng):
    def slope(x):
        return 1 / (x * np.log(2)) + 1 / (x * np.log(10))

    return elementwise(lambda x: np.log2(x) + np.log10(x), slope), rng.uniform(1e-6, 1e6, 8)


@right
def power_with_a_negative_exponent(rng):
    return elementwise(lambda x: x**-2.5, lambda x: -2.5 * x**-3.5), rng.uniform(0.01, 3, (4, 2))


@right
def expm1_near_zero(rng):
    return elementwise(np.expm1, np.exp), 1e-7 * rng.normal(size=7)


@right
def tangent_between_its_poles(rng):
    return elementwise(np.tan, lambda x: 1 / np.cos(x) ** 2), rng.uniform(-1.5, 1.5, 9)


@right
def arcsine_near_its_ends(rng):
    x = rng.choice([-1, 1], 6) * rng.uniform(0.9, 0.9999, 6)
    return elementwise(np.arcsin, lambda x: 1 / np.sqrt(1 - x * x)), x


@right
def beta_entropy_of_three_domains(rng):
    def forward(p, t, w):
        return -(w * (t * np.log(p) + (1 - t) * np.log1p(-p))).sum() / w.sum(), (p, t, w)

    def backward(d, c):
        p, t, w = c
        return d * w * (p - t) / (p * (1 - p)) / w.sum(), None, None

    return (
        (forward, lambda d, c: backward(d, c)[:1]),
        rng.uniform(0.01, 0.99, 8),
        (rng.random(8) > 0.5).astype(float),
        np.ones(8),
    )


@right
def huge_logits(rng):
    def forward(x):
        m = x.max(axis=1, keepdims=True)
        return (m + np.log(np.exp(x - m).sum(axis=1, keepdims=True)))[:, 0], softmax(x)

    return (forward, lambda dy, p: dy[:, None] * p), 300 * rng.normal(size=(4, 5))


@right
def tiny_weights_in_single_precision(rng):
    def forward(x, w):
        return x @ w, (x, w)

    sizes = (5, 4), (4, 3)
    return (forward, lambda dy, c: (dy @ c[1].T, c[0].T @ dy)), *(
        (1e-6 * rng.normal(size=s)).astype(np.float32) for s in sizes
    )


@right
def softplus_in_half_precision(rng):
    x = rng.normal(size=(4, 3)).astype(np.float16)
    return elementwise(lambda x: np.log1p(np.exp(x)), lambda x: 1 / (1 + np.exp(-x))), x


@right
def layer_norm_in_half_precision(rng):
    def forward(x):
        s = np.sqrt(x.var(axis=1, keepdims=True) + np.float16(1e-2))
        h = (x - x.mean(axis=1, keepdims=True)) / s
        return h, (h, s)

    def backward(dy, c):
        h, s = c
        return (dy - dy.mean(1, keepdims=True) - h * (dy * h).mean(1, keepdims=True)) / s

    return (forward, backward), rng.normal(size=(4, 8)).astype(np.float16)


@right
def complex_phase(rng):
    z = rng.normal(size=5) + 1j * rng.normal(size=5)
    return (lambda z: z * z, lambda dy, z: 2 * dy * np.conj(z)), z


@right
def complex_in_single_precision(rng):
    def z(*shape):
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)

    def forward(a, b):
        return a @ b, (a, b)

    return (forward, lambda dy, c: (dy @ c[1].conj().T, c[0].conj().T @ dy)), z(3, 4), z(4, 2)


# Corners and ties


@right
def maximum_of_equal_numbers(rng):
    def backward(dy, c):
        x, y = c
        first = x >= y
        return dy * first, dy * ~first

    x = np.array([1.0, 2.0, 0.0, -1.0])
    return (lambda x, y: (np.maximum(x, y), (x, y)), backward), x, x.copy()


@right
def absolute_value_at_zero(rng):
    return elementwise(np.abs, np.sign), np.array([0.0, -1.0, 2.0, 0.0])


@right
def top_two_of_a_row(rng):
    def forward(x):
        k = np.argsort(-x, axis=1)[:, :2]
        return np.take_along_axis(x, k, axis=1), (x, k)

    def backward(dy, c):
        x, k = c
        g = np.zeros_like(x)
        np.put_along_axis(g, k, dy, axis=1)
        return g

    return (forward, backward), rng.normal(size=(5, 6))


@right
def median_of_an_odd_number(rng):
    def backward(dy, x):
        return dy[:, None] * (x == np.median(x, axis=1, keepdims=True))

    return (lambda x: (np.median(x, axis=1), x), backward), rng.normal(size=(4, 5))


@right
def hard_swish(rng):
    def slope(x):
        return np.where(x < -3, 0, np.where(x > 3, 1, (2 * x + 3) / 6))

    x = np.concatenate([[-3.0, 3.0, 0.0], 3 * rng.normal(size=9)])
    return elementwise(lambda x: x * np.clip(x + 3, 0, 6) / 6, slope), x


@right
def all_units_off(rng):
    def forward(x, W):
        h = np.maximum(x @ W, 0)
        return h.sum(axis=1), (x, W, h)

    def backward(dy, c):
        x, W, h = c
        d = dy[:, None] * (h > 0)
        return d @ W.T, x.T @ d

    return (forward, backward), -rng.random((4, 3)), rng.random((3, 5))


# Ids, bags, masks


@right
def bags_of_which_some_are_empty(rng):
    ids, offsets = np.array([3, 3, 0, 5]), np.array([0, 0, 2, 2, 4])

    def forward(E, ids, offsets):
        bag = np.repeat(np.arange(4), np.diff(offsets))
        y = np.zeros((4, E.shape[1]), E.dtype)
        np.add.at(y, bag, E[ids])
        n = np.maximum(np.diff(offsets), 1)[:, None]
        return y / n, (E, ids, bag, n)

    def backward(dy, c):
        E, ids, bag, n = c
        return scatter(E, ids, (dy / n)[bag])

    return (forward, backward), rng.normal(size=(7, 2)), ids, offsets


@right
def no_ids_at_all(rng):
    def forward(x, E, ids):
        return x + E[ids].sum(axis=0), (E, ids)

    def backward(dy, c):
        E, ids = c
        return dy, scatter(E, ids, np.broadcast_to(dy.sum(axis=0), (len(ids), E.shape[1])))

    return (forward, backward), rng.normal(size=(3, 2)), rng.normal(size=(4, 2)), np.zeros(0, int)


@right
def padding_with_minus_one(rng):
    def forward(E, ids):
        keep = (ids >= 0)[..., None]
        return (E[np.maximum(ids, 0)] * keep).sum(axis=1), (E, ids, keep)

    def backward(dy, c):
        E, ids, keep = c
        return scatter(E, np.maximum(ids, 0), dy[:, None] * keep)

    return (
        (forward, backward),
        rng.normal(size=(6, 2)),
        np.array([[0, 3, -1], [5, -1, -1], [2, 2, 1]]),
    )


@right
def boolean_attention_mask_in_a_batch(rng):
    def forward(Q, K, V, mask):
        S = np.where(mask, Q @ K.transpose(0, 2, 1), -1e30)
        A = softmax(S)
        return A @ V, (Q, K, V, A)

    def backward(dO, c):
        Q, K, V, A = c
        dA = dO @ V.transpose(0, 2, 1)
        dS = A * (dA - (dA * A).sum(axis=-1, keepdims=True))
        return dS @ K, dS.transpose(0, 2, 1) @ Q, A.transpose(0, 2, 1) @ dO

    mask = np.tril(np.ones((2, 4, 4), bool))
    return (forward, backward), *(rng.normal(size=(2, 4, 3)) for _ in range(3)), mask


@right
def one_hot_rows_of_floats(rng):
    def forward(x, t):
        p = softmax(x)
        return -(t * np.log(p)).sum(axis=1).mean(), (p, t)

    return (
        (forward, lambda d, c: d * (c[0] - c[1]) / len(c[1])),
        rng.normal(size=(5, 3)),
        np.eye(3)[rng.integers(0, 3, 5)],
    )


@right
def ranks_as_integers(rng):
    def forward(s, rank):
        return (s / np.log2(rank + 2)).sum(), rank

    return (forward, lambda d, rank: d / np.log2(rank + 2)), rng.normal(size=6), np.arange(6)


@right
def timestamps(rng):
    def forward(x, w, days):
        decay = np.exp(-w * (days - days[0]) / 7)
        return x * decay, (x, w, days, decay)

    def backward(dy, c):
        x, _, days, decay = c
        return dy * decay, np.array([(-dy * x * decay * (days - days[0]) / 7).sum()])

    return (
        (forward, backward),
        rng.normal(size=5),
        np.array([0.4]),
        np.array([18000, 18001, 18005, 18009, 18030]),
    )


@right
def gather_along_an_axis(rng):
    def forward(x, k):
        return np.take_along_axis(x, k, axis=1), (x, k)

    def backward(dy, c):
        x, k = c
        g = np.zeros_like(x)
        np.add.at(g, (np.arange(len(x))[:, None], k), dy)
        return g

    return (forward, backward), rng.normal(size=(4, 5)), rng.integers(0, 5, (4, 3))


@right
def graph_convolution_by_edges(rng):
    edges = np.array([[0, 1], [1, 2], [2, 0], [3, 0], [3, 3]])

    def forward(x, W, edges):
        m = (x @ W)[edges[:, 0]]
        y = np.zeros((len(x), W.shape[1]), m.dtype)
        np.add.at(y, edges[:, 1], m)
        return y, (x, W, edges)

    def backward(dy, c):
        x, W, edges = c
        dh = scatter(np.zeros((len(x), W.shape[1])), edges[:, 0], dy[edges[:, 1]])
        return dh @ W.T, x.T @ dh

    return (forward, backward), rng.normal(size=(4, 3)), rng.normal(size=(3, 2)), edges


# Forms


@right
def gradients_in_a_list(rng):
    def forward(x, W, b):
        return x @ W + b, [x, W]

    def backward(dy, c):
        return [dy @ c[1].T, c[0].T @ dy, dy.sum(axis=0)]

    return (forward, backward), rng.normal(size=(5, 4)), rng.normal(size=(4, 3)), rng.normal(size=3)


@right
def gradients_in_a_dict_with_d_before_the_name(rng):
    def forward(x, W, b):
        return np.tanh(x @ W + b), {"x": x, "W": W, "y": np.tanh(x @ W + b)}

    def backward(dy, cache):
        d = dy * (1 - cache["y"] ** 2)
        return {"dx": d @ cache["W"].T, "dW": cache["x"].T @ d, "db": d.sum(axis=0)}

    return (forward, backward), rng.normal(size=(5, 4)), rng.normal(size=(4, 3)), rng.normal(size=3)


@right
def a_scalar_output_as_an_array_of_one(rng):
    return (lambda x: (np.array([np.dot(x, x)]), x), lambda dy, x: 2 * dy[0] * x), rng.normal(
        size=6
    )


@right
def three_outputs_and_three_upstreams(rng):
    def forward(x):
        return np.sin(x), x.sum(axis=1), x.mean()

    def run(x):
        def backward(da, db, dc):
            return da * np.cos(x) + db[:, None] + dc / x.size

        return (forward, backward), x

    return run(rng.normal(size=(3, 4)))


@right
def a_view_returned_as_the_gradient(rng):
    def forward(x):
        return x.transpose(1, 0, 2)

    return (forward, lambda dy: dy.transpose(1, 0, 2)), rng.normal(size=(2, 3, 4))


@right
def a_read_only_gradient(rng):
    def backward(dy, x):
        return np.broadcast_to(dy, x.shape)

    return (lambda x: (x.sum(), x), backward), rng.normal(size=(3, 4))


@right
def a_fortran_ordered_input(rng):
    def forward(x, W):
        return x @ W, (x, W)

    W = np.asfortranarray(rng.normal(size=(4, 3)))
    return (forward, lambda dy, c: (dy @ c[1].T, c[0].T @ dy)), rng.normal(size=(5, 4)), W


@right
def strided_and_reversed_inputs(rng):
    x = rng.normal(size=(8, 6))[::-2, ::2]
    return elementwise(np.sin, np.cos), x


@right
def a_float_and_an_array(rng):
    def forward(x, alpha):
        return np.where(x > 0, x, alpha * (np.exp(x) - 1)), (x, alpha)

    def backward(dy, c):
        x, alpha = c
        return dy * np.where(x > 0, 1, alpha * np.exp(x))

    return (forward, backward), rng.normal(size=(5, 4)), 0.7


@right
def arrays_of_no_axes(rng):
    def forward(a, b):
        return a * np.exp(b), (a, b)

    def backward(d, c):
        return d * np.exp(c[1]), d * c[0] * np.exp(c[1])

    return (forward, backward), np.array(1.3), np.array(-0.4)


@right
def a_closure_over_its_cache(rng):
    kept = {}

    def forward(x):
        kept["x"] = x
        return x**3

    return (forward, lambda dy: 3 * dy * kept["x"] ** 2), rng.normal(size=5)


@right
def a_module_with_a_list_of_layers(rng):
    class Stack(md.Module):
        def __init__(self):
            self.layers = [md.Linear(4, 5, rng=rng), md.ReLU(), md.Linear(5, 2, rng=rng)]

        def forward(self, x):
            for layer in self.layers:
                x = layer.forward(x)
            return x

        def backward(self, dy):
            for layer in reversed(self.layers):
                dy = layer.backward(dy)
            return dy

    return Stack(), rng.normal(size=(6, 4))


@right
def a_plain_class_with_slots(rng):
    class Scale:
        __slots__ = ("ds", "s", "x")

        def __init__(self):
            self.s = rng.normal(size=3)

        def forward(self, x):
            self.x = x
            return x * self.s

        def backward(self, dy):
            self.ds = (dy * self.x).sum(axis=0)
            return dy * self.s

    return Scale(), rng.normal(size=(4, 3))


@right
def a_plain_class_with_caches_of_two_calls(rng):
    class Shared:
        def __init__(self):
            self.W = rng.normal(size=(3, 3))

        def forward(self, u, v):
            self.kept = [(u, np.tanh(u @ self.W)), (v, np.tanh(v @ self.W))]
            return self.kept[0][1] * self.kept[1][1]

        def backward(self, dy):
            (u, a), (v, b) = self.kept
            da, db = dy * b * (1 - a**2), dy * a * (1 - b**2)
            self.dW = u.T @ da + v.T @ db
            return da @ self.W.T, db @ self.W.T

    return Shared(), rng.normal(size=(5, 3)), rng.normal(size=(5, 3))


@right
def a_batch_of_one_in_batch_norm_of_images(rng):
    def forward(x, g, b):
        m, v = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
        h = (x - m) / np.sqrt(v + 1e-5)
        return g[:, None, None] * h + b[:, None, None], (h, v, g)

    def backward(dy, c):
        h, v, g = c
        d, axes = dy * g[:, None, None], (0, 2, 3)
        dx = d - d.mean(axes, keepdims=True) - h * (d * h).mean(axes, keepdims=True)
        return dx / np.sqrt(v + 1e-5), (dy * h).sum(axes), dy.sum(axes)

    return (
        (forward, backward),
        rng.normal(size=(1, 2, 3, 3)),
        rng.normal(size=2),
        rng.normal(size=2),
    )


@right
def a_ragged_list_of_sequences(rng):
    def forward(xs, w):
        return np.array([(x @ w).mean() for x in xs]), (xs, w)

    def backward(dy, c):
        xs, w = c
        dxs = [np.full((len(x), 1), d / len(x)) * w for x, d in zip(xs, dy, strict=True)]
        return dxs, sum(d * x.mean(axis=0) for x, d in zip(xs, dy, strict=True))

    return (forward, backward), [rng.normal(size=(n, 3)) for n in (2, 5, 1)], rng.normal(size=3)


@right
def an_lstm_cell(rng):
    def forward(x, h, c, W):
        z = np.concatenate([x, h], axis=1) @ W
        i, f, o, g = (
            f(part)
            for f, part in zip((sigmoid,) * 3 + (np.tanh,), np.split(z, 4, axis=1), strict=True)
        )
        n = f * c + i * g
        return (o * np.tanh(n), n), (x, h, c, W, i, f, o, g, n)

    def backward(grads, cache):
        dh, dn = grads
        x, h, c, W, i, f, o, g, n = cache
        t = np.tanh(n)
        dn = dn + dh * o * (1 - t**2)
        dz = np.concatenate(
            [dn * g * i * (1 - i), dn * c * f * (1 - f), dh * t * o * (1 - o), dn * i * (1 - g**2)],
            axis=1,
        )
        dxh = dz @ W.T
        k = x.shape[1]
        return dxh[:, :k], dxh[:, k:], dn * f, np.concatenate([x, h], axis=1).T @ dz

    sizes = (4, 3), (4, 2), (4, 2), (5, 8)
    return (forward, backward), *(rng.normal(size=s) for s in sizes)
