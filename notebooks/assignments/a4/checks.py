"""A4: the MLP and the dot interaction."""

from itertools import pairwise

import numpy as np
import pytest

from minidlrm.checking import Fingerprint
from minidlrm.grading.assignment import solutions
from minidlrm.grading.judge import catches, gradient, personal
from minidlrm.grading.known import compare

task = pytest.mark.task
_SOURCE = solutions(__file__)
mlp_forward = _SOURCE.mlp_forward
dot_forward, dot_backward = _SOURCE.dot_forward, _SOURCE.dot_backward


def two_layers(x, W1, b1, W2, b2):
    a = x @ W1.T + b1
    return a * (a.real > 0) @ W2.T + b2


OWN = "mlp_forward", lambda x, W1, b1, W2, b2: (x, [W1, W2], [b1, b2])


def _without_mask(target, dy, x, W1, b1, W2, b2):
    da = dy @ W2
    return {"x": da @ W1, "W1": da.T @ x, "b1": da.sum(axis=0)}


def _before_relu(target, dy, x, W1, b1, W2, b2):
    return {"W2": dy.T @ (x @ W1.T + b1)}


def _mask_of_dy(target, dy, x, W1, b1, W2, b2):
    da = dy @ W2 * (dy @ W2 > 0)
    return {"x": da @ W1, "W1": da.T @ x, "b1": da.sum(axis=0)}


HIDDEN = [
    Fingerprint("slope_forgotten", _without_mask, "units that are off pass dy on like all others"),
    Fingerprint(
        "mask_of_dy",
        _mask_of_dy,
        "a unit passes on what arrives at it where that is above 0",
        title="the ReLU's mask comes from the gradient, and not from the units of forward",
        hint="A unit is on or off in forward, whatever gradient arrives later.",
    ),
]
LAST = [
    Fingerprint(
        "before_relu",
        _before_relu,
        "dW2 has the hidden layer as it is before its ReLU",
        title="the second layer's input is taken before the ReLU",
        hint="Which array does the second layer multiply by W2 in forward?",
    )
]


def _one_side(first):
    """Return the gradient of the first, or the second, vector of each pair alone."""

    def formula(target, dy, z):
        i, j = np.tril_indices(z.shape[1], -1)
        G = np.zeros((len(z), z.shape[1], z.shape[1]))
        G[:, i, j] = dy
        return {"z": (G if first else G.transpose(0, 2, 1)) @ z}

    return formula


def _buffered(target, dy, z):
    i, j = np.tril_indices(z.shape[1], -1)
    dz = np.zeros_like(z)
    dz[:, i] += dy[:, :, None] * z[:, j]
    dz[:, j] += dy[:, :, None] * z[:, i]
    return {"z": dz}


def _first_sample(target, dy, z):
    return {"z": dot_backward(dy[0], z)}


_SIDE = {
    "title": "only one of the two vectors of each pair gets a gradient",
    "hint": "A product depends on both of its vectors. What does each of them receive?",
}
DOT = [
    Fingerprint("one_side", _one_side(True), "z_i of a pair i > j gets z_j, z_j nothing", **_SIDE),
    Fingerprint("one_side", _one_side(False), "z_j of a pair i > j gets z_i, z_i nothing", **_SIDE),
    Fingerprint(
        "buffered",
        _buffered,
        "where an index occurs more than once, only its last pair counts",
        title="an index that repeats is counted once",
        hint="a[i] += b with an index array writes each place once, though i names it many times. "
        "Add up in a way that counts every pair.",
    ),
    Fingerprint(
        "one_dy",
        _first_sample,
        "every sample uses the dy of sample 0",
        title="the gradient that arrives at one sample serves the whole batch",
        hint="dy has a row for each sample; row b belongs to sample b alone.",
    ),
]


def _network(rng, sizes):
    weights = [rng.normal(size=(m, n)) for n, m in pairwise(sizes)]
    x, biases = rng.normal(size=(4, sizes[0])), [rng.normal(size=m) for m in sizes[1:]]
    biases[-1] -= np.median(mlp_forward(x, weights, biases), axis=0)  # outputs of both signs
    return x, weights, biases


def relu(x):
    return np.maximum(x, 0)


def mlp_mistakes(x, weights, biases):
    """Return what known mistakes make of the MLP's output."""

    def with_hidden(activation, x=x, sign=1):
        for W, b in zip(weights[:-1], biases[:-1], strict=True):
            x = activation(x @ W.T + sign * b)
        return x @ weights[-1].T + sign * biases[-1]

    return [
        ("there is a ReLU after the last layer", relu(with_hidden(relu))),
        ("the ReLUs are left out", with_hidden(lambda x: x)),
        ("the biases are left out", with_hidden(relu, sign=0)),
        ("both the biases and the ReLUs are left out", with_hidden(lambda x: x, sign=0)),
        ("the biases are taken off, not added", with_hidden(relu, sign=-1)),
        ("a ReLU is applied to the input", with_hidden(relu, relu(x))),
        ("the absolute value is in the place of the ReLU", with_hidden(np.abs)),
        ("the ReLU keeps what is below 0, not what is above", with_hidden(lambda x: x - relu(x))),
        ("tanh is in the place of the ReLU", with_hidden(np.tanh)),
        ("only the first layer is applied", x @ weights[0].T + biases[0]),
    ]


def _compare_mlp(student, *network):
    answer = student.call("mlp_forward", *network)
    compare("y", answer, mlp_forward(*network), mlp_mistakes(*network))


@task("A4.2", title="one layer: no ReLU after the last")
def test_one_layer(student, rng):
    _compare_mlp(student, *_network(rng, [3, 5]))


@task("A4.2", title="three layers")
def test_three_layers(student, rng):
    _compare_mlp(student, *_network(rng, [3, 6, 5, 2]))


@pytest.fixture
def two(rng):
    """The arrays of two layers, all sizes different; some units are on, and some off."""
    B, n, h, m = rng.permutation([3, 4, 5, 6])
    x, W1 = rng.normal(size=(B, n)), rng.normal(size=(h, n))
    b1, W2, b2 = rng.normal(size=h), rng.normal(size=(m, h)), rng.normal(size=m)
    return x, W1, b1, W2, b2


def _two(student, two, only, wrong):
    gradient(student, "mlp_backward", two_layers, *two, only=only, fingerprints=wrong, own=OWN)


@task("A4.3", title="dW2 and db2")
def test_last_layer(student, two):
    _two(student, two, ["W2", "b2"], LAST)


@task("A4.3", title="dW1")
def test_dw1(student, two):
    _two(student, two, ["W1"], HIDDEN)


@task("A4.3", title="db1")
def test_db1(student, two):
    _two(student, two, ["b1"], HIDDEN)


@task("A4.3", weight=2, title="dx")
def test_dx(student, two):
    _two(student, two, ["x"], HIDDEN)


def dot_mistakes(z):
    """Return what known mistakes make of the products."""
    right, products = dot_forward(z), z @ z.transpose(0, 2, 1)
    i, j = np.tril_indices(z.shape[1], -1)
    a, b = np.triu_indices(z.shape[1], 1)
    c, d = np.tril_indices(z.shape[1])
    return [
        ("the pairs are in the order of the upper triangle", products[:, a, b]),
        ("the product of each vector with itself is included", products[:, c, d]),
        ("the whole matrix is returned, not each pair once", products),
        ("the products of all pairs are added up", right.sum(axis=1)),
        ("products below 0 are cut off", np.maximum(right, 0)),
        ("the product is a mean over the entries, not a sum", right / z.shape[2]),
        ("the pairs are in reverse order", right[:, ::-1]),
        ("the sum over the entries is missing", z[:, i] * z[:, j]),
    ]


@task("A4.4", weight=2, title="all products, in order")
def test_dot_forward(student, rng):
    z = rng.normal(size=(3, 5, 4))
    compare("y", student.call("dot_forward", z), dot_forward(z), dot_mistakes(z))


@task("A4.5", weight=3, title="the gradient of the interaction")
def test_dot_backward(student, rng):
    z, own = rng.normal(size=(3, 5, 4)), "dot_forward"
    gradient(student, "dot_backward", dot_forward, z, fingerprints=DOT, own=own)


@task("A4.6", title="your own number")
def test_my_parameters(student, student_id):
    own = personal(student_id, "A4.6")
    F, D = int(own.integers(10, 40)), int(own.integers(4, 65))
    sizes = [D + F * (F - 1) // 2, *own.integers(20, 300, 2).tolist(), 1]

    def numbers_of(*sizes):
        return sum(n * m + m for n, m in pairwise(sizes))

    right, (first, *others) = numbers_of(*sizes), sizes
    wrong = [
        ("the biases are left out", sum(n * m for n, m in pairwise(sizes))),
        ("the last layer is left out", numbers_of(*sizes[:-1])),
        ("the dense vector is not in the input", numbers_of(first - D, *others)),
        ("the pairs are not in the input, but all vectors", numbers_of(F * D, *others)),
        ("each vector is paired with itself, too", numbers_of(first + F, *others)),
        ("each pair is counted twice", numbers_of(D + F * (F - 1), *others)),
        ("all F F products are in the input", numbers_of(D + F * F, *others)),
    ]
    compare("the number", student.call("my_parameters"), right, wrong, 1e-9, tell=False)


def _planted():
    def upper(z):
        i, j = np.triu_indices(z.shape[1], 1)
        return (z @ z.transpose(0, 2, 1))[:, i, j]

    def with_diagonal(z):
        i, j = np.tril_indices(z.shape[1])
        return (z @ z.transpose(0, 2, 1))[:, i, j]

    def one_side(dy, z):
        i, j = np.tril_indices(z.shape[1], -1)
        G = np.zeros((len(z), z.shape[1], z.shape[1]))
        G[:, i, j] = dy
        return G @ z

    def in_upper_order(dy, z):
        i, j = np.triu_indices(z.shape[1], 1)
        G = np.zeros((len(z), z.shape[1], z.shape[1]))
        G[:, i, j] = dy
        return (G + G.transpose(0, 2, 1)) @ z

    def first_sample(dy, z):
        return dot_backward(np.broadcast_to(dy[:1], dy.shape), z)

    def ignored(dy, z):
        return dot_backward(np.ones_like(dy), z)

    def last_pair(dy, z):
        dy = dy.copy()
        dy[:, -1] = 0
        return dot_backward(dy, z)

    return [
        ("the upper triangle in forward", upper, dot_backward),
        ("the diagonal is included", with_diagonal, dot_backward),
        ("products divided by D", lambda z: dot_forward(z) / z.shape[2], dot_backward),
        ("one side of each pair", dot_forward, one_side),
        ("dy in the upper triangle's order", dot_forward, in_upper_order),
        ("dy of the first sample serves all", dot_forward, first_sample),
        ("dy is ignored", dot_forward, ignored),
        ("the last pair has no gradient", dot_forward, last_pair),
        ("half of it", dot_forward, lambda dy, z: dot_backward(dy, z) / 2),
        ("the sign", dot_forward, lambda dy, z: -dot_backward(dy, z)),
    ]


@task("A4.7", weight=3, title="your test finds planted mistakes")
def test_the_test(student, order, earn):
    def verdict(pair):
        return student.call("is_dot", *pair)

    wrong = [(story, pair) for story, *pair in _planted()]
    catches(verdict, [(dot_forward, dot_backward)], wrong, order, earn)
