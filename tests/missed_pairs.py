"""Wrong code whose mistake is easy to miss: state, form, a rare entry, a branch, a hidden limit.

`tests/wrong_pairs.py` holds wrong formulas, for the diagnosis; here the question is only whether
the checker sees that something is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import minidlrm as md

Rng = np.random.Generator
MISSED: dict[str, Callable[[Rng], tuple[Any, ...]]] = {}


def wrong(make):
    """Enter a case."""
    MISSED[make.__name__] = make
    return make


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def affine(backward, rng, rows=5, n=4, m=3, dtype=np.float64):
    def forward(x, w, b):
        return x @ w + b, (x, w)

    sizes = (rows, n), (n, m), (m,)
    return (forward, backward), *(rng.normal(size=s).astype(dtype) for s in sizes)


# Branches that usual inputs do not reach


@wrong
def hard_tanh_without_its_upper_limit(rng):
    x = rng.uniform(-2.9, 1.9, (5, 4))
    return (lambda x: (np.clip(x, -3, 2), x), lambda dy, x: dy * (x > -3)), x


@wrong
def huber_with_the_square_alone(rng):
    def forward(x):
        a = np.abs(x)
        return np.where(a < 2, x * x / 2, 2 * a - 2).sum(), x

    return (forward, lambda d, x: d * x), rng.uniform(-1.9, 1.9, 8)


@wrong
def inputs_clipped_in_backward(rng):
    def backward(dy, c):
        x, w = np.clip(c[0], -20, 20), c[1]
        return dy @ w.T, x.T @ dy, dy.sum(0)

    return affine(backward, rng)


@wrong
def large_gradients_cut(rng):
    def backward(dy, c):
        return dy @ c[1].T, np.clip(c[0].T @ dy, -1e3, 1e3), dy.sum(0)

    return affine(backward, rng)


@wrong
def the_norm_of_the_gradient_limited(rng):
    def backward(dy, c):
        dw = c[0].T @ dy
        return dy @ c[1].T, dw * min(1, 200 / np.linalg.norm(dw)), dy.sum(0)

    return affine(backward, rng)


@wrong
def large_dy_replaced(rng):
    return (np.sin, lambda dy, x: np.nan_to_num(np.where(np.abs(dy) > 1e4, 0, dy)) * np.cos(x)), (
        rng.normal(size=(4, 3))
    )


# Gradients that are not returned


@wrong
def the_second_factor_forgotten(rng):
    return (
        (lambda a, b: (a @ b, (a, b)), lambda dy, c: dy @ c[1].T),
        (rng.normal(size=(4, 3))),
        rng.normal(size=(3, 2)),
    )


@wrong
def a_placeholder_left_for_the_bias(rng):
    return affine(lambda dy, c: (dy @ c[1].T, c[0].T @ dy, None), rng)


@wrong
def a_loss_that_forgets_the_bias(rng):
    def forward(x, w, b, t):
        e = x @ w + b - t
        return (e * e).mean(), (x, w, e)

    def backward(d, c):
        x, w, e = c
        g = d * 2 * e / e.size
        return g @ w.T, x.T @ g

    sizes = (6, 4), (4, 3), (3,), (6, 3)
    return (forward, backward), *(rng.normal(size=s) for s in sizes)


@wrong
def one_table_of_two_forgotten(rng):
    def forward(p, q, u, i):
        return (p[u] * q[i]).sum(1), (p, q, u, i)

    def backward(dy, c):
        p, q, u, i = c
        dp = np.zeros_like(p)
        np.add.at(dp, u, dy[:, None] * q[i])
        return dp

    return (
        (forward, backward),
        rng.normal(size=(7, 2)),
        rng.normal(size=(9, 2)),
        np.array([6, 0, 3]),
        np.array([2, 8, 2]),
    )


@wrong
def a_key_missing_in_the_dict(rng):
    return affine(lambda dy, c: {"x": dy @ c[1].T, "w": c[0].T @ dy}, rng)


@wrong
def the_second_output_of_a_dict_forgotten(rng):
    x = rng.normal(size=5)
    return (lambda x: {"a": x**2, "b": x**3}, lambda d: 2 * d["a"] * x), x


@wrong
def a_list_of_outputs_whose_last_is_forgotten(rng):
    def forward(x):
        return [np.sin(x), np.exp(x)], x

    return (forward, lambda d, x: d[0] * np.cos(x)), rng.normal(size=(3, 2))


# State


@wrong
def an_accumulator_outside(rng):
    total = np.zeros((4, 3))

    def backward(dy, c):
        nonlocal total
        total = total + c[0].T @ dy
        return dy @ c[1].T, total, dy.sum(0)

    return affine(backward, rng)


@wrong
def a_zero_grad_that_does_nothing(rng):
    class Scale(md.Module):
        def __init__(self):
            self.s = md.Parameter(rng.normal(size=3), "s")

        def zero_grad(self):
            pass

        def forward(self, x):
            self.x = x
            return x * self.s.value

        def backward(self, dy):
            self.s.add_grad((dy * self.x).sum(0))
            return dy * self.s.value

    return Scale(), rng.normal(size=(4, 3))


@wrong
def a_mask_of_the_first_batch(rng):
    class Relu(md.Module):
        def __init__(self):
            self.mask = None

        def forward(self, x):
            if self.mask is None:
                self.mask = x > 0
            return np.maximum(x, 0)

        def backward(self, dy):
            return dy * self.mask

    return Relu(), rng.normal(size=(4, 3))


@wrong
def a_gradient_kept_between_calls(rng):
    class Affine(md.Module):
        def __init__(self):
            self.w, self.sum = md.Parameter(rng.normal(size=(3, 2)), "w"), 0.0

        def forward(self, x):
            self.x = x
            return x @ self.w.value

        def backward(self, dy):
            self.sum = self.sum + self.x.T @ dy
            self.w.grad = self.sum
            return dy @ self.w.value.T

    return Affine(), rng.normal(size=(4, 3))


@wrong
def dropout_drawn_again_in_backward(rng):
    class Dropout(md.Module):
        def __init__(self):
            self.generator = np.random.default_rng(0)

        def forward(self, x):
            return x * (self.generator.random(x.shape) < 0.5)

        def backward(self, dy):
            return dy * (self.generator.random(dy.shape) < 0.5)

    return Dropout(), rng.normal(size=(5, 4))


@wrong
def dropout_with_a_generator_in_both(rng):
    def forward(x, generator):
        return x * (generator.random(x.shape) < 0.5), generator

    return (
        (forward, lambda dy, g: dy * (g.random(dy.shape) < 0.5)),
        rng.normal(size=(5, 4)),
        np.random.default_rng(1),
    )


@wrong
def a_plain_class_whose_dW_is_wrong(rng):
    class Affine:
        def __init__(self):
            self.W = rng.normal(size=(3, 3))

        def forward(self, x):
            self.x = x
            return x @ self.W

        def backward(self, dy):
            self.dW = dy.T @ self.x
            return dy @ self.W.T

    return Affine(), rng.normal(size=(4, 3))


@wrong
def a_plain_class_that_overwrites_its_input(rng):
    class Relu:
        def forward(self, x):
            x[x < 0] = 0
            self.x = x
            return x

        def backward(self, dy):
            return dy * (self.x > 0)

    return Relu(), rng.normal(size=(4, 3))


# One among many


@wrong
def the_last_row_of_many_without_complex_numbers(rng):
    def forward(x):
        return np.linalg.norm(x, axis=1), x

    def backward(dy, x):
        dx = dy[:, None] * x / np.linalg.norm(x, axis=1, keepdims=True)
        dx[-1] = 0
        return dx

    return (forward, backward), rng.normal(size=(400, 6))


@wrong
def one_entry_of_many_in_single_precision(rng):
    def forward(x):
        return np.tanh(x), x

    def backward(dy, x):
        dx = dy * (1 - np.tanh(x) ** 2)
        dx[37, 11] *= -1
        return dx

    return (forward, backward), rng.normal(size=(60, 50)).astype(np.float32)


@wrong
def one_sign_of_many_maxima(rng):
    def forward(x):
        return np.maximum(x, 0.1 * x).sum(0), x

    def backward(dy, x):
        dx = dy * np.where(x > 0, 1, 0.1)
        dx[123, 3] *= 2
        return dx

    return (forward, backward), rng.normal(size=(500, 8))


@wrong
def the_last_column_off(rng):
    def forward(x):
        return (np.abs(x) ** 1.5).sum(1), x

    def backward(dy, x):
        dx = 1.5 * dy[:, None] * np.sign(x) * np.sqrt(np.abs(x))
        dx[:, -1] = 0
        return dx

    return (forward, backward), rng.normal(size=(30, 40))


# Repeats


@wrong
def repeats_lost_with_distinct_ids(rng):
    def backward(dy, c):
        w, ids = c
        d = np.zeros_like(w)
        d[ids] += dy
        return d

    return (
        (lambda w, ids: (w[ids], (w, ids)), backward),
        rng.normal(size=(9, 2)),
        np.array([7, 2, 5, 0]),
    )


@wrong
def repeats_inside_a_bag_lost(rng):
    def backward(dy, c):
        w, ids = c
        d = np.zeros_like(w)
        for row, g in zip(ids, dy, strict=True):
            d[row] += g
        return d

    ids = np.array([[7, 2, 5], [0, 3, 8]])
    return (lambda w, ids: (w[ids].sum(1), (w, ids)), backward), rng.normal(size=(9, 2)), ids


@wrong
def repeats_of_a_list_of_ids_lost(rng):
    def backward(dy, c):
        w, ids = c
        d = np.zeros_like(w)
        d[ids] = dy
        return d

    return (lambda w, ids: (w[ids] ** 1, (w, ids)), backward), rng.normal(size=(9, 2)), [7, 2, 5]


# Precision


@wrong
def dy_through_single_precision(rng):
    def backward(dy, c):
        dy = dy.astype(np.float32).astype(np.float64)
        return dy @ c[1].T, c[0].T @ dy, dy.sum(0)

    return affine(backward, rng)


@wrong
def a_cache_in_single_precision(rng):
    def forward(x):
        y = np.tanh(x)
        return y, y.astype(np.float32)

    return (forward, lambda dy, y: dy * (1 - y.astype(np.float64) ** 2)), rng.normal(size=(4, 3))


@wrong
def an_update_in_half_precision(rng):
    def backward(dy, c):
        dw = (c[0].T @ dy).astype(np.float16).astype(np.float64)
        return dy @ c[1].T, dw, dy.sum(0)

    return affine(backward, rng)


@wrong
def an_epsilon_as_large_as_the_numbers(rng):
    def forward(x):
        return np.log(x + 1e-3), x

    return (forward, lambda dy, x: dy / x), rng.uniform(0.5, 2, 6)


# Forms


@wrong
def complex_without_its_conjugate_in_one_factor(rng):
    def z(*shape):
        return rng.normal(size=shape) + 1j * rng.normal(size=shape)

    pair = (lambda a, b: (a * b, (a, b))), (lambda dy, c: (dy * c[1].conj(), dy * c[0]))
    return pair, z(4), z(4)


@wrong
def two_outputs_with_their_gradients_exchanged(rng):
    def forward(x):
        return [np.sin(x), np.exp(x)], x

    return (forward, lambda d, x: d[1] * np.cos(x) + d[0] * np.exp(x)), rng.normal(size=(3, 2))


@wrong
def parameters_of_a_dict_exchanged(rng):
    def forward(x, p):
        return x * p["a"] + p["b"] ** 2, (x, p)

    def backward(dy, c):
        x, p = c
        return dy * p["a"], {"b": (dy * x).sum(0), "a": (2 * dy * p["b"]).sum(0)}

    params = {"a": rng.normal(size=3), "b": rng.normal(size=3)}
    return (forward, backward), rng.normal(size=(4, 3)), params


@wrong
def an_exception_in_backward(rng):
    return affine(lambda dy, c: (dy @ c[1], c[0].T @ dy, dy.sum(0)), rng)


@wrong
def a_slope_that_only_holds_for_positive_numbers(rng):
    return (lambda x: (np.abs(x), x), lambda dy, x: dy), rng.normal(size=(4, 3))


@wrong
def a_loss_that_ignores_dy(rng):
    def forward(x, t):
        return ((x - t) ** 2).mean(), x - t

    return (forward, lambda d, e: 2 * e / e.size), rng.normal(size=6), rng.normal(size=6)
