"""Right code as learners and practitioners write it, in many forms: none of it may fail.

Each entry makes a target and its inputs: functions over a domain, outputs and gradients of any
form, caches of any form, classes that are no `Module`, every precision and scale.
"""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import minidlrm as md

Rng = np.random.Generator
RIGHT: dict[str, Callable[[Rng], tuple[Any, ...]]] = {}


def right(make):
    """Enter a case."""
    RIGHT[make.__name__] = make
    return make


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def elementwise(function, slope):
    return (lambda x: (function(x), x)), (lambda dy, x: dy * slope(x))


# Domains


@right
def arccos_inside_one(rng):
    return elementwise(np.arccos, lambda x: -1 / np.sqrt(1 - x * x)), rng.uniform(-0.99, 0.99, 7)


@right
def arctanh(rng):
    return elementwise(np.arctanh, lambda x: 1 / (1 - x * x)), rng.uniform(-0.9, 0.9, (3, 2))


@right
def arccosh_above_one(rng):
    return elementwise(np.arccosh, lambda x: 1 / np.sqrt(x * x - 1)), rng.uniform(1.2, 4, (3, 2))


@right
def log_of_log(rng):
    return elementwise(
        lambda x: np.log(np.log(x)), lambda x: 1 / (x * np.log(x))
    ), 1.5 + rng.random(6)


@right
def power_of_a_power(rng):
    def backward(dy, cache):
        x, p, y = cache
        return dy * p * y / x, dy * y * np.log(x)

    def forward(x, p):
        y = x**p
        return y, (x, p, y)

    return (forward, backward), rng.uniform(0.1, 3, 6), rng.normal(size=6)


@right
def entropy_of_probabilities(rng):
    def forward(p):
        return -(p * np.log(p)).sum(axis=1), p

    return (forward, lambda dy, p: -dy[:, None] * (np.log(p) + 1)), softmax(rng.normal(size=(4, 5)))


@right
def logit_of_rates(rng):
    return elementwise(lambda p: np.log(p / (1 - p)), lambda p: 1 / (p * (1 - p))), rng.uniform(
        0.01, 0.99, (4, 3)
    )


@right
def reciprocal_root_of_tiny_variances(rng):
    return elementwise(lambda v: 1 / np.sqrt(v), lambda v: -0.5 * v**-1.5), 10.0 ** rng.uniform(
        -12, -3, 6
    )


@right
def cholesky_log_determinant(rng):
    a = rng.normal(size=(4, 4))

    def forward(s):
        sym = (s + s.T) / 2
        return 2 * np.log(np.diag(np.linalg.cholesky(sym))).sum(), sym

    return (forward, lambda d, s: d * np.linalg.inv(s)), a @ a.T + 4 * np.eye(4)


@right
def linear_solve(rng):
    def forward(a, b):
        y = np.linalg.solve(a, b)
        return y, (a, y)

    def backward(dy, cache):
        a, y = cache
        db = np.linalg.solve(a.T, dy)
        return -np.outer(db, y), db

    return (forward, backward), rng.normal(size=(3, 3)) + 3 * np.eye(3), rng.normal(size=3)


# Integers that are not ids


@right
def multi_hot_labels(rng):
    y = (rng.random((5, 6)) < 0.4).astype(int)

    def forward(x, y):
        return (np.logaddexp(0, x) - y * x).mean(), (x, y)

    return (
        (forward, lambda d, c: d * (sigmoid(c[0]) - c[1]) / c[0].size),
        rng.normal(size=(5, 6)),
        y,
    )


@right
def padded_sequences_with_lengths(rng):
    lengths = np.array([4, 1, 3])

    def forward(x, lengths):
        mask = np.arange(x.shape[1]) < lengths[:, None]
        return (x * mask[..., None]).sum(1) / lengths[:, None], (mask, lengths)

    def backward(dy, cache):
        mask, lengths = cache
        return mask[..., None] * (dy / lengths[:, None])[:, None]

    return (forward, backward), rng.normal(size=(3, 5, 2)), lengths


@right
def segment_sum_of_sorted_segments(rng):
    segments = np.array([0, 0, 1, 1, 1, 3])

    def forward(x, s):
        y = np.zeros((4, x.shape[1]), x.dtype)
        np.add.at(y, s, x)
        return y, s

    return (forward, lambda dy, s: dy[s]), rng.normal(size=(6, 2)), segments


@right
def rows_scattered_to_distinct_places(rng):
    def forward(x, places):
        y = np.zeros((8, x.shape[1]), x.dtype)
        y[places] = x
        return y, places

    return (forward, lambda dy, p: dy[p]), rng.normal(size=(4, 2)), np.array([6, 1, 3, 0])


@right
def sorted_along_rows_by_a_given_order(rng):
    x = rng.normal(size=(3, 5))

    def forward(x, order):
        return np.take_along_axis(x, order, 1), order

    def backward(dy, order):
        dx = np.zeros_like(dy)
        np.put_along_axis(dx, order, dy, 1)
        return dx

    return (forward, backward), x, np.argsort(x, axis=1)


@right
def edges_of_a_graph(rng):
    edges = np.array([[0, 1, 2, 4], [1, 3, 0, 2]])

    def forward(x, edges):
        y = np.zeros_like(x)
        np.add.at(y, edges[1], x[edges[0]])
        return y, (edges, x.shape)

    def backward(dy, cache):
        edges, shape = cache
        dx = np.zeros(shape)
        np.add.at(dx, edges[0], dy[edges[1]])
        return dx

    return (forward, backward), rng.normal(size=(5, 2)), edges


@right
def pairs_of_ids_for_two_tables(rng):
    def forward(pairs, users, items):
        u, i = pairs.T
        return (users[u] * items[i]).sum(1), (u, i, users, items)

    def backward(dy, cache):
        u, i, users, items = cache
        du, di = np.zeros_like(users), np.zeros_like(items)
        np.add.at(du, u, dy[:, None] * items[i])
        np.add.at(di, i, dy[:, None] * users[u])
        return None, du, di

    pairs = np.array([[11, 0], [4, 1], [7, 2]])
    return (forward, backward), pairs, rng.normal(size=(12, 2)), rng.normal(size=(3, 2))


@right
def class_labels_all_different(rng):
    def forward(x, y):
        p = softmax(x)
        return -np.log(p[np.arange(len(x)), y]), (p, y)

    def backward(dy, cache):
        p, y = cache
        g = p.copy()
        g[np.arange(len(p)), y] -= 1
        return dy[:, None] * g

    return (forward, backward), rng.normal(size=(3, 5)), np.array([4, 0, 2])


# Forms of outputs, caches and gradients


@right
def outputs_in_a_dict(rng):
    def forward(x):
        return {"mean": x.mean(0), "scale": np.exp(x).sum()}

    x = rng.normal(size=(4, 3))

    def backward(d):
        return np.tile(d["mean"] / 4, (4, 1)) + d["scale"] * np.exp(x)

    return (forward, backward), x


@right
def outputs_in_a_list_with_a_cache(rng):
    def forward(x):
        return [np.sin(x), (x * x).sum(axis=1)], x

    def backward(dys, x):
        return dys[0] * np.cos(x) + 2 * x * dys[1][:, None]

    return (forward, backward), rng.normal(size=(3, 2))


@right
def two_states_and_a_cache(rng):
    def forward(h, c):
        h2, c2 = np.tanh(h * c), c + h
        return h2, c2, (h, c, h2)

    def backward(dh2, dc2, cache):
        h, c, h2 = cache
        d = dh2 * (1 - h2**2)
        return d * c + dc2, d * h + dc2

    return (forward, backward), rng.normal(size=(3, 2)), rng.normal(size=(3, 2))


@right
def values_and_their_indices(rng):
    def forward(x):
        return x.max(axis=1), x.argmax(axis=1), x.shape

    def backward(dy, index, shape):
        dx = np.zeros(shape)
        dx[np.arange(len(dx)), index] = dy
        return dx

    return (forward, backward), rng.normal(size=(4, 3))


@right
def a_cache_in_a_dict_by_keyword(rng):
    def forward(x, w):
        return x @ w, {"x": x, "w": w}

    def backward(dy, *, cache):
        return {"dx": dy @ cache["w"].T, "dw": cache["x"].T @ dy}

    return (forward, backward), rng.normal(size=(4, 3)), rng.normal(size=(3, 2))


@right
def a_backward_that_takes_the_inputs(rng):
    def forward(x, w, b):
        return np.tanh(x @ w + b)

    def backward(dy, x, w, b):
        d = dy * (1 - np.tanh(x @ w + b) ** 2)
        return d @ w.T, x.T @ d, d.sum(0)

    return (forward, backward), *(rng.normal(size=s) for s in ((4, 3), (3, 2), (2,)))


@right
def a_backward_that_takes_the_output(rng):
    return (sigmoid, lambda dy, y: dy * y * (1 - y)), rng.normal(size=(4, 3))


@right
def a_loss_whose_gradient_takes_no_dy(rng):
    def loss(p, t):
        return ((p - t) ** 2).mean()

    return (loss, lambda p, t: 2 * (p - t) / p.size), rng.normal(size=6), rng.normal(size=6)


@right
def parameters_in_a_dict(rng):
    def forward(x, params):
        return x @ params["W"] + params["b"], (x, params)

    def backward(dy, cache):
        x, params = cache
        return dy @ params["W"].T, {"W": x.T @ dy, "b": dy.sum(0)}

    params = {"W": rng.normal(size=(3, 2)), "b": rng.normal(size=2)}
    return (forward, backward), rng.normal(size=(4, 3)), params


@right
def weights_in_a_list(rng):
    def forward(x, weights):
        hidden = [x]
        for w in weights:
            hidden.append(np.tanh(hidden[-1] @ w))
        return hidden[-1], (hidden, weights)

    def backward(dy, cache):
        hidden, weights = cache
        grads = []
        for w, h, y in zip(weights[::-1], hidden[-2::-1], hidden[::-1], strict=False):
            d = dy * (1 - y * y)
            grads.insert(0, h.T @ d)
            dy = d @ w.T
        return dy, grads

    return (
        (forward, backward),
        rng.normal(size=(4, 3)),
        [
            rng.normal(size=(3, 5)),
            rng.normal(size=(5, 2)),
        ],
    )


@right
def a_named_tuple_of_outputs(rng):
    Moments = collections.namedtuple("Moments", "mean square")

    def backward(d):
        return np.full(5, d.mean / 5) + 2 * d.square * x

    x = rng.normal(size=5)
    return (lambda x: Moments(x.mean(), x @ x), backward), x


@right
def ridge_returns_the_weights_gradient_alone(rng):
    def forward(w, x, t):
        e = x @ w - t
        return (e @ e) / len(t) + 0.1 * w @ w, (w, x, e)

    def backward(d, cache):
        w, x, e = cache
        return d * (2 * x.T @ e / len(e) + 0.2 * w)

    return (forward, backward), rng.normal(size=3), rng.normal(size=(6, 3)), rng.normal(size=6)


@right
def data_first_then_the_weights_gradient(rng):
    def forward(x, t, w):
        e = x @ w - t
        return (e @ e) / len(t), (x, e)

    return (
        (forward, lambda d, c: d * 2 * c[0].T @ c[1] / len(c[1])),
        rng.normal(size=(6, 3)),
        rng.normal(size=6),
        rng.normal(size=3),
    )


@right
def weighted_cross_entropy(rng):
    def forward(x, y, weight):
        p = softmax(x)
        k = weight[y]
        return -(k * np.log(p[np.arange(len(y)), y])).sum() / k.sum(), (p, y, k)

    def backward(d, cache):
        p, y, k = cache
        g = p.copy()
        g[np.arange(len(y)), y] -= 1
        return d * g * k[:, None] / k.sum()

    return (forward, backward), rng.normal(size=(6, 4)), rng.integers(0, 4, 6), rng.random(4) + 0.5


@right
def a_float_mask_without_gradient(rng):
    mask = (rng.random((4, 3)) < 0.6).astype(float)
    return (lambda x, m: (x * m, m), lambda dy, m: dy * m), rng.normal(size=(4, 3)), mask


@right
def distillation_from_soft_labels(rng):
    def forward(x, target):
        p = softmax(x)
        return -(target * np.log(p)).sum() / len(x), (p, target)

    def backward(d, c):
        return d * (c[0] - c[1]) / len(c[0])

    return (forward, backward), rng.normal(size=(5, 3)), softmax(rng.normal(size=(5, 3)))


@right
def a_temperature_given_as_a_number(rng):
    def forward(x, temperature):
        p = softmax(x / temperature)
        return p, (p, temperature)

    def backward(dy, cache):
        p, t = cache
        return p * (dy - (dy * p).sum(1, keepdims=True)) / t

    return (forward, backward), rng.normal(size=(4, 3)), 2.5


# Random numbers


@right
def dropout_with_a_generator_argument(rng):
    def forward(x, generator):
        mask = (generator.random(x.shape) < 0.7) / 0.7
        return x * mask, mask

    return (forward, lambda dy, mask: dy * mask), rng.normal(size=(5, 4)), np.random.default_rng(1)


@right
def dropout_with_the_common_generator(rng):
    def forward(x):
        mask = np.random.rand(*x.shape) < 0.5  # noqa: NPY002
        return x * mask, mask

    return (forward, lambda dy, mask: dy * mask), rng.normal(size=(5, 4))


@right
def reparametrized_normal(rng):
    class Sample:
        def __init__(self):
            self.generator = np.random.default_rng(3)

        def forward(self, mean, log_scale):
            self.e, self.s = self.generator.normal(size=mean.shape), np.exp(log_scale)
            return mean + self.s * self.e

        def backward(self, dy):
            return dy, dy * self.e * self.s

    return Sample(), rng.normal(size=(4, 2)), rng.normal(size=(4, 2))


# Classes


@right
def a_plain_class_with_dW(rng):
    class Affine:
        def __init__(self):
            self.W, self.b = rng.normal(size=(3, 2)), rng.normal(size=2)

        def forward(self, x):
            self.x = x
            return x @ self.W + self.b

        def backward(self, dout):
            self.dW, self.db = self.x.T @ dout, dout.sum(0)
            return dout @ self.W.T

    return Affine(), rng.normal(size=(4, 3))


@right
def a_plain_class_with_params_and_grads(rng):
    class Affine:
        def __init__(self):
            self.params = [rng.normal(size=(3, 2)), rng.normal(size=2)]
            self.grads = [np.zeros((3, 2)), np.zeros(2)]

        def forward(self, x):
            self.x = x
            return x @ self.params[0] + self.params[1]

        def backward(self, dout):
            self.grads[0][...] = self.x.T @ dout
            self.grads[1][...] = dout.sum(0)
            return dout @ self.params[0].T

    return Affine(), rng.normal(size=(4, 3))


@right
def a_plain_net_of_plain_layers(rng):
    class Layer:
        def __init__(self, n, m):
            self.params = {"W": rng.normal(size=(n, m))}
            self.grads = {}

        def forward(self, x):
            self.x, self.y = x, np.tanh(x @ self.params["W"])
            return self.y

        def backward(self, dy):
            d = dy * (1 - self.y**2)
            self.grads["W"] = self.x.T @ d
            return d @ self.params["W"].T

    class Net:
        def __init__(self):
            self.layers = [Layer(3, 4), Layer(4, 2)]

        def forward(self, x):
            for layer in self.layers:
                x = layer.forward(x)
            return x

        def backward(self, dy):
            for layer in reversed(self.layers):
                dy = layer.backward(dy)
            return dy

    return Net(), rng.normal(size=(4, 3))


@right
def a_loss_class_whose_backward_takes_nothing(rng):
    class Loss:
        def forward(self, x, t):
            self.p, self.t = softmax(x), t
            return -np.log(self.p[np.arange(len(t)), t]).mean()

        def backward(self):
            g = self.p.copy()
            g[np.arange(len(g)), self.t] -= 1
            return g / len(g)

    return Loss(), rng.normal(size=(5, 3)), rng.integers(0, 3, 5)


@right
def a_module_that_starts_its_gradients_at_zero(rng):
    class Scale(md.Module):
        def __init__(self):
            self.s = md.Parameter(rng.normal(size=3), "s")

        def zero_grad(self):
            self.s.grad = np.zeros(3)

        def forward(self, x):
            self.x = x
            return x * self.s.value

        def backward(self, dy):
            self.s.add_grad((dy * self.x).sum(0))
            return dy * self.s.value

    return Scale(), rng.normal(size=(4, 3))


# Precision, scale, corners


@right
def half_precision(rng):
    return elementwise(np.tanh, lambda x: 1 - np.tanh(x) ** 2), rng.normal(size=(4, 3)).astype(
        np.float16
    )


@right
def single_precision_attention(rng):
    def forward(q, k, v):
        a = softmax(q @ k.T / np.float32(2))
        return a @ v, (q, k, v, a)

    def backward(dy, cache):
        q, k, v, a = cache
        da = dy @ v.T
        ds = a * (da - (da * a).sum(1, keepdims=True)) / np.float32(2)
        return ds @ k, ds.T @ q, a.T @ dy

    return (forward, backward), *(rng.normal(size=(5, 4)).astype(np.float32) for _ in range(3))


@right
def complex_matrix_product(rng):
    def z(*shape):
        return rng.normal(size=shape) + 1j * rng.normal(size=shape)

    def backward(dy, cache):
        a, b = cache
        return dy @ b.conj().T, a.conj().T @ dy

    return (lambda a, b: (a @ b, (a, b)), backward), z(3, 2), z(2, 2)


@right
def holomorphic_without_conjugate(rng):
    z = rng.normal(size=4) + 1j * rng.normal(size=4)
    return (lambda z: (np.exp(z), z), lambda dy, z: dy * np.exp(z)), z


@right
def spectrum_of_a_real_signal(rng):
    def backward(dy):
        n = np.arange(6)
        return np.real(dy @ np.exp(2j * np.pi * np.outer(n, n) / 6))

    return (np.fft.fft, backward), rng.normal(size=6)


@right
def long_double(rng):
    return elementwise(np.sin, np.cos), rng.normal(size=5).astype(np.longdouble)


@right
def huge_products(rng):
    def backward(dy, c):
        return dy * c[1], dy * c[0]

    return (lambda a, b: (a * b, (a, b)), backward), 1e120 * rng.normal(size=4), rng.normal(size=4)


@right
def soft_threshold_at_its_corners(rng):
    def forward(x):
        return np.sign(x) * np.maximum(np.abs(x) - 1, 0), x

    return (forward, lambda dy, x: dy * (np.abs(x) > 1)), np.array([-1.0, 1.0, 0.0, 2.5, -0.3, -4])


@right
def pinball_loss(rng):
    def forward(x, t):
        e = t - x
        return np.maximum(0.9 * e, -0.1 * e).mean(), e

    return (
        (forward, lambda d, e: d * np.where(e > 0, -0.9, 0.1) / len(e)),
        rng.normal(size=8),
        rng.normal(size=8),
    )


@right
def max_pooling(rng):
    def forward(x):
        blocks = x.reshape(len(x), -1, 2)
        return blocks.max(2), blocks

    def backward(dy, blocks):
        first = blocks.argmax(2)[..., None] == np.arange(2)
        return (dy[..., None] * first).reshape(len(dy), -1)

    return (forward, backward), rng.normal(size=(3, 8))


@right
def stable_sigmoid_of_large_numbers(rng):
    def forward(x):
        e = np.exp(-np.abs(x))
        y = np.where(x >= 0, 1 / (1 + e), e / (1 + e))
        return y, y

    return (forward, lambda dy, y: dy * y * (1 - y)), 30 * rng.normal(size=(4, 3))


@right
def clipped_cross_entropy(rng):
    def forward(x, t):
        p = np.clip(sigmoid(x), 1e-12, 1 - 1e-12)
        return -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean(), (p, t)

    t = (rng.random(8) < 0.5).astype(float)
    return (forward, lambda d, c: d * (c[0] - c[1]) / len(c[0])), rng.normal(size=8), t


@right
def mish_of_one_sample(rng):
    def forward(x):
        t = np.tanh(np.logaddexp(0, x))
        return x * t, (x, t)

    def backward(dy, c):
        x, t = c
        return dy * (t + x * (1 - t * t) * sigmoid(x))

    return (forward, backward), rng.normal(size=(1, 5))


@right
def convolution_in_a_loop(rng):
    def forward(x, w):
        n = len(x) - len(w) + 1
        return np.array([x[i : i + len(w)] @ w for i in range(n)]), (x, w)

    def backward(dy, c):
        x, w = c
        dx, dw = np.zeros_like(x), np.zeros_like(w)
        for i, d in enumerate(dy):
            dx[i : i + len(w)] += d * w
            dw += d * x[i : i + len(w)]
        return dx, dw

    return (forward, backward), rng.normal(size=9), rng.normal(size=3)


@right
def keyword_only_options(rng):
    def forward(x, *, power):
        return x**power, (x, power)

    pair = functools.partial(forward, power=3), lambda dy, c: 3 * dy * c[0] ** 2
    return pair, rng.normal(size=4)


@right
def lists_in_and_out(rng):
    def forward(x, w):
        return [sum(a * b for a, b in zip(row, w, strict=True)) for row in x], (x, w)

    def backward(dy, c):
        x, w = c
        dx = [[d * b for b in w] for d in dy]
        dw = [sum(d * row[j] for d, row in zip(dy, x, strict=True)) for j in range(len(w))]
        return dx, dw

    return (forward, backward), rng.normal(size=(3, 2)).tolist(), rng.normal(size=2).tolist()
