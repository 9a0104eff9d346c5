"""A6: the cross layers of DCN v2."""

import pytest

from minidlrm.grading.judge import catches, gradient, personal, same

task = pytest.mark.task


def cross_forward(x0, x, W, b):
    return x0 * (x @ W.T + b) + x


def cross_backward(dy, x0, x, W, b):
    dg = dy * x0
    return dy * (x @ W.T + b), dg @ W + dy, dg.T @ x, dg.sum(axis=0)


def network(x0, W1, b1, W2, b2):
    return cross_forward(x0, cross_forward(x0, x0, W1, b1), W2, b2)


@pytest.fixture
def layer(rng):
    """Inputs of one layer."""
    return tuple(rng.normal(size=shape) for shape in ((5, 3), (5, 3), (3, 3), (3,)))


@task("A6.2", points=2, title="the cross layer, forward")
def test_forward(student, layer):
    same("y", student.call("cross_forward", *layer), cross_forward(*layer))


@task("A6.3", points=1, title="dx0")
def test_dx0(student, layer):
    gradient(student, "cross_backward", cross_forward, *layer, only=["x0"])


@task("A6.3", points=2, title="dx: two arrows")
def test_dx(student, layer):
    gradient(student, "cross_backward", cross_forward, *layer, only=["x"])


@task("A6.3", points=1, title="dW and db")
def test_parameters(student, layer):
    gradient(student, "cross_backward", cross_forward, *layer, only=["W", "b"])


@pytest.fixture
def two(rng):
    """Inputs of a network of two layers."""
    return tuple(rng.normal(size=shape) for shape in ((5, 3), (3, 3), (3,), (3, 3), (3,)))


@task("A6.4", points=2, title="dx0: every place where it stands")
def test_network_dx0(student, two):
    gradient(student, "network_backward", network, *two, only=["x0"])


@task("A6.4", points=1, title="the parameters of both layers")
def test_network_parameters(student, two):
    gradient(student, "network_backward", network, *two, only=["W1", "b1", "W2", "b2"])


@task("A6.5", points=1, title="your own number")
def test_my_parameters(student, student_id):
    own = personal(student_id, "A6.5")
    L, F, D = int(own.integers(2, 6)), int(own.integers(10, 40)), int(own.integers(4, 33))
    right = L * ((F * D) ** 2 + F * D)
    same("the number", student.call("my_parameters"), right, 1e-9, tell=False)


def _planted():
    def changed(place, change):
        def backward(*arrays):
            grads = list(cross_backward(*arrays))
            grads[place] = change(grads[place], *arrays)
            return grads

        return backward

    return [
        ("the residual is forgotten", changed(1, lambda g, dy, *_: g - dy)),
        ("W is not transposed", changed(1, lambda g, dy, x0, x, W, b: (dy * x0) @ W.T + dy)),
        ("x0 is forgotten in dx", changed(1, lambda g, dy, x0, x, W, b: dy @ W + dy)),
        ("the bias is forgotten in dx0", changed(0, lambda g, dy, x0, x, W, b: dy * (x @ W.T))),
        ("dx0 has the residual", changed(0, lambda g, dy, *_: g + dy)),
        ("dy is ignored in dx0", changed(0, lambda g, dy, x0, x, W, b: x @ W.T + b)),
        ("dW is transposed", changed(2, lambda g, *_: g.T)),
        ("dW has x0 for x", changed(2, lambda g, dy, x0, *_: (dy * x0).T @ x0)),
        ("db is a mean", changed(3, lambda g, dy, *_: g / len(dy))),
        ("db forgets x0", changed(3, lambda g, dy, *_: dy.sum(axis=0))),
    ]


@task("A6.6", points=2, title="your test finds planted mistakes")
def test_the_test(student, rng, earn):
    catches(lambda f: student.call("is_cross", f), [cross_backward], _planted(), rng, earn)
