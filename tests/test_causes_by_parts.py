"""Causes from products of slopes, from other kept arrays, and from parts that are set to 0."""

import numpy as np
import pytest

import minidlrm as md

RNG = np.random.default_rng


def normal(*shape, seed=1):
    return RNG(seed).normal(size=shape)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def first(forward, backward, *inputs):
    report = md.gradcheck((forward, backward), *inputs, verbose=False)
    assert not report.passed
    return report.diagnosis[0]


# Products of slopes


def focal(x):
    p = sigmoid(x)
    return -((1 - p) ** 2 * np.log(p)).mean(), p


def test_a_missing_term_of_a_product_is_written_down():
    cause = first(focal, lambda dy, p: -dy * (1 - p) ** 3 / len(p), normal(8))
    assert cause.key == "term"
    assert "log(" in cause.evidence


def gate(x, a):
    g = sigmoid(a)
    return g * x + (1 - g) * x**2, (x, g)


def test_a_ratio_that_is_a_difference_is_a_missing_term_and_no_factor():
    """Yours is the right one over 1 - x; nobody forgets a factor 1 - x."""

    def backward(dy, cache):
        x, g = cache
        return dy * (g + (1 - g) * 2 * x), dy * x * g * (1 - g)

    assert first(gate, backward, normal(5, 3), normal(5, 3, seed=2)).key == "term"


def test_a_missing_second_path_is_not_called_a_slope_at_zero():
    def backward(dy, cache):
        x, g = cache
        return dy * g, dy * (x - x**2) * g * (1 - g)

    assert first(gate, backward, normal(5, 3), normal(5, 3, seed=2)).key == "term"


def cell(x, h, w, u):
    z, c = sigmoid(x @ w), np.tanh(x @ u)
    return z * h + (1 - z) * c, (x, h, w, u, z, c)


def cell_backward(dy, cache, of_z=lambda h, c: h - c, of_c=lambda z, c: (1 - z) * (1 - c * c)):
    x, h, w, u, z, c = cache
    dz, dc = dy * of_z(h, c) * z * (1 - z), dy * of_c(z, c)
    return dz @ w.T + dc @ u.T, dy * z, x.T @ dz, x.T @ dc


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("slope_forgotten", {"of_c": lambda z, c: 1 - z}),
        ("mask_inverted", {"of_c": lambda z, c: z * (1 - c * c)}),
        ("sign", {"of_z": lambda h, c: h + c}),
        ("term", {"of_z": lambda h, c: h}),
    ],
)
def test_the_factors_of_a_gated_cell_are_compared(key, wrong):
    inputs = normal(5, 3), normal(5, 4, seed=2), normal(3, 4, seed=3), normal(3, 4, seed=4)
    cause = first(cell, lambda dy, cache: cell_backward(dy, cache, **wrong), *inputs)
    assert cause.key == key
    assert "right is x.T @ [dy" in cause.evidence or "Backward is right if" in cause.evidence


# Other kept arrays


def test_a_matrix_used_in_every_step_is_found_by_its_transpose():
    """No formula of one product has it: it comes in again with each time step."""

    def forward(x, u, v):
        states = [np.zeros((len(x), len(v)))]
        for t in range(x.shape[1]):
            states.append(np.tanh(x[:, t] @ u + states[-1] @ v))
        return states[-1], (x, u, v, states)

    def backward(dy, cache):
        x, u, v, states = cache
        dx, du, dv = np.zeros_like(x), np.zeros_like(u), np.zeros_like(v)
        for t in reversed(range(x.shape[1])):
            d = dy * (1 - states[t + 1] ** 2)
            dx[:, t], du, dv, dy = d @ u.T, du + x[:, t].T @ d, dv + states[t].T @ d, d @ v
        return dx, du, dv

    cause = first(forward, backward, normal(4, 5, 3), normal(3, 2, seed=2), normal(2, 2, seed=3))
    assert cause.key == "transpose"
    assert "if it gets v transposed in the place of v" in cause.evidence


def test_a_penalty_on_an_array_of_one_entry_is_told_from_a_factor():
    x, t = normal(6, 4), normal(6, seed=2)

    def forward(b):
        return ((x.sum(axis=1) + b - t) ** 2).mean(), b

    def backward(dy, b):
        return dy * (np.array([2 * (x.sum(axis=1) + b - t).mean()]) + 0.1 * b)

    assert first(forward, backward, normal(1)).key == "penalty"


# Parts that are set to 0


@pytest.mark.parametrize(("key", "steps"), [("samples", (4, 3, 2, 1)), ("one_sample", (4,))])
def test_a_time_step_that_is_left_out_is_named(key, steps):
    def forward(x, u):
        h = np.zeros((len(x), u.shape[1]))
        for t in range(5):
            h = np.tanh(x[:, t] @ u + 0.5 * h)
        return h, (x, u)

    def backward(dy, cache):
        x, u = cache
        states = [np.zeros((len(x), u.shape[1]))]
        for t in range(5):
            states.append(np.tanh(x[:, t] @ u + 0.5 * states[-1]))
        dx, du = np.zeros_like(x), np.zeros_like(u)
        for t in reversed(range(5)):
            d = dy * (1 - states[t + 1] ** 2)
            dx[:, t], dy = d @ u.T, 0.5 * d
            du += x[:, t].T @ d if t in steps else 0
        return dx, du

    assert first(forward, backward, normal(4, 5, 3), normal(3, 2, seed=2)).key == key


# Masks, branches, places


def test_another_mask_than_that_of_forward_is_named():
    mine, right = normal(6, 4, seed=8) > 0, normal(6, 4, seed=9) > 0
    assert (
        first(lambda x: 2 * x * right, lambda dy: 2 * dy * mine, normal(6, 4)).key == "other_mask"
    )


def test_a_sign_that_differs_from_entry_to_entry_is_no_sum_over_all():
    y = np.where(normal(9, seed=4) > 0, 1.0, -1.0)
    cause = first(lambda x: (y * x).mean(), lambda dy: dy * np.ones(9) / 9, normal(9))
    assert cause.key == "local_factor"
    assert "right up to its sign" in cause.evidence


def test_writes_that_go_to_wrong_places_are_shown():
    def forward(x, k):
        return np.stack([x[:, 2 * i : 2 * i + 3] @ k for i in range(3)], axis=1), (x, k)

    def backward(dy, cache):
        x, k = cache
        dx = np.zeros_like(x)
        for i in range(3):
            dx[:, i : i + 3] += dy[:, i : i + 1] * k  # the stride is forgotten
        return dx, sum(x[:, 2 * i : 2 * i + 3].T @ dy[:, i] for i in range(3))

    cause = first(forward, backward, normal(4, 8), normal(3, seed=2))
    assert cause.key == "shifted"
    assert "the dy of output (0, 1) goes to x[0, 1], where it belongs to x[0, 2]" in cause.evidence


def test_a_second_use_of_a_matrix_is_not_called_a_slope():
    def forward(x, w):
        return x @ w @ w.T, (x, w)

    def backward(dy, cache):
        x, w = cache
        return dy @ w @ w.T, x.T @ (dy @ w)

    assert first(forward, backward, normal(6, 3), normal(3, 5, seed=2)).key == "second_path"


def test_rows_of_ids_from_outside_lose_all_writes_but_the_last():
    ids = np.array([0, 3, 3, 1, 4, 2, 0, 5, 1])

    def backward(dy):
        grad = np.zeros((6, 3))
        grad[ids] += dy
        return grad

    assert first(lambda table: table[ids], backward, normal(6, 3)).key == "duplicates"


def test_a_layer_that_updates_itself_in_backward_is_named():
    class Layer(md.Linear):
        def backward(self, dy):
            dx = super().backward(dy)
            self.weight.value -= 0.1 * self.weight.grad
            return dx

    layer = Layer(4, 3, rng=RNG(0))
    report = md.gradcheck(layer, normal(6, 4), verbose=False)
    assert report.diagnosis[0].key == "modified"
    assert "Backward changes weight in place" in report.diagnosis[0].evidence


# What the numbers do not single out


def test_a_multiple_of_a_row_is_a_norm_only_where_the_row_is_a_direction():
    """Of a factorization machine it is the term x^2 v."""

    def forward(x, v):
        return 0.5 * ((x @ v) ** 2 - (x**2) @ (v**2)).sum(axis=1), (x, v)

    def backward(dy, cache):
        x, v = cache
        dx = dy[:, None] * (x @ v @ v.T - x * (v**2).sum(axis=1))
        return dx, (x * dy[:, None]).T @ (x @ v)

    assert first(forward, backward, normal(5, 4), normal(4, 3, seed=2)).key == "term"


def test_a_quarter_is_not_called_the_batch_where_it_stays_with_fewer_samples():
    def forward(x):
        return 4 * np.sin(x).mean(), x

    cause = first(forward, lambda dy, x: dy * np.cos(x) / x.size, normal(4, 3))
    assert cause.key == "factor"


def test_exchanged_indices_of_two_tables_are_not_called_a_transpose():
    def forward(u, v, i, j):
        return (u[i] * v[j]).sum(axis=1), (u, v, i, j)

    def backward(dy, cache):
        u, v, i, j = cache
        du, dv = np.zeros_like(u), np.zeros_like(v)
        np.add.at(du, i, dy[:, None] * v[j])
        np.add.at(dv, i, dy[:, None] * u[i])
        return du, dv

    ids = RNG(5).integers(0, 6, (2, 9))
    cause = first(forward, backward, normal(6, 3), normal(6, 3, seed=2), *ids)
    assert cause.key == "shifted"
    assert "right is [[dy] * u[i]], added to the rows j" in cause.evidence
