"""A6: the cross layers of DCN v2."""

from itertools import combinations

import numpy as np
import pytest

from minidlrm.checking import Fingerprint
from minidlrm.grading.assignment import solutions
from minidlrm.grading.judge import catches, gradient, personal
from minidlrm.grading.known import compare
from minidlrm.languages import Message, as_message

task = pytest.mark.task
LAYER = "cross_forward cross_backward"
_SOURCE = solutions(__file__)
cross_forward, cross_backward = _SOURCE.cross_forward, _SOURCE.cross_backward


def network(x0, W1, b1, W2, b2):
    return cross_forward(x0, cross_forward(x0, x0, W1, b1), W2, b2)


def _without_x0(target, dy, x0, x, W, b):
    return {"x": dy @ W + dy, "W": dy.T @ x, "b": dy.sum(axis=0)}


CROSS = [
    Fingerprint(
        "weights_turned",
        lambda target, dy, x0, x, W, b: {"x": (dy * x0) @ W.T + dy},
        "dx has W transposed",
        title="W is transposed on the way back",
        hint="W is square, so the shapes do not warn you: write out one entry of W x, and see "
        "which entries of W meet dx.",
    ),
    Fingerprint(
        "no_x0",
        _without_x0,
        "dy goes into W x + b as it is",
        title="the factor x0 is left out",
        hint="W x + b is one factor of a product. What arrives at it when dy arrives there?",
    ),
    Fingerprint(
        "no_bias",
        lambda target, dy, x0, x, W, b: {"x0": dy * (x @ W.T)},
        "dx0 is dy times W x",
        title="the bias is left out",
        hint="The derivative of a product by one factor is the whole other factor.",
    ),
    Fingerprint(
        "residual_sign",
        lambda target, dy, x0, x, W, b: {"x": (dy * x0) @ W - dy},
        "dx takes dy off",
        title="the sign of the straight path's term is wrong",
        hint="x is added to the output as it is. What does that term send back?",
    ),
    Fingerprint(
        "wrong_input",
        lambda target, dy, x0, x, W, b: {"W": (dy * x0).T @ x0},
        "dW has x0 where forward multiplies W by x",
        title="W meets the wrong input, x0 for x",
        hint="Only in the first layer are x0 and x the same. Which of them does W multiply?",
    ),
]


def network_mistakes():
    """Return the wrong formulas of a network of two layers."""
    places = (
        "x0 as the factor of the first layer",
        "x0 as the factor of the second layer",
        "x0 as the x of the first layer",
    )

    def lacks(missing):
        if len(missing) == 1:
            return Message("dx0 lacks the term of {place}", place=as_message(missing[0]))
        return Message(
            "dx0 lacks the term of {first} and {second}",
            first=as_message(missing[0]),
            second=as_message(missing[1]),
        )

    def terms(dy, x0, W1, b1, W2, b2):
        x1 = cross_forward(x0, x0, W1, b1)
        second, dx1, *_ = cross_backward(dy, x0, x1, W2, b2)
        first, dx, *_ = cross_backward(dx1, x0, x0, W1, b1)
        return first, second, dx

    def only(kept):
        return lambda target, dy, *arrays: {"x0": sum(terms(dy, *arrays)[k] for k in kept)}

    def skipped(target, dy, x0, W1, b1, W2, b2):
        x1 = cross_forward(x0, x0, W1, b1)
        second = cross_backward(dy, x0, x1, W2, b2)[0]
        first, dx, dW1, db1 = cross_backward(dy, x0, x0, W1, b1)
        return {"x0": first + second + dx, "W1": dW1, "b1": db1}

    def same_input(target, dy, x0, W1, b1, W2, b2):
        second, dx1, dW2, _ = cross_backward(dy, x0, x0, W2, b2)
        first, dx, *_ = cross_backward(dx1, x0, x0, W1, b1)
        return {"x0": first + second + dx, "W2": dW2}

    paths = [
        Fingerprint(
            "places",
            only(kept),
            lacks([place for k, place in enumerate(places) if k not in kept]),
            title="x0 appears in several places, and one or more of its terms are missing",
            hint="Mark each x0 in y = layer2(x0, layer1(x0, x0)). Each one sends back a term of "
            "its own, and they add up.",
        )
        for kept in [*combinations(range(3), 1), *combinations(range(3), 2)]
    ]
    return [
        *paths,
        Fingerprint(
            "skipped",
            skipped,
            "the first layer's backward is given dy of the network",
            title="the first layer gets dy, and not what the second layer sends back",
            hint="Walk back one layer at a time: what arrives at the output of the first layer?",
        ),
        Fingerprint(
            "same_input",
            same_input,
            "the second layer's backward is given x0 for its x",
            title="the second layer's input is taken to be x0",
            hint="Which x did the second layer see in forward? Its backward needs the same.",
        ),
    ]


@pytest.fixture
def layer(rng):
    """Inputs of one layer."""
    return tuple(rng.normal(size=shape) for shape in ((5, 3), (5, 3), (3, 3), (3,)))


def forward_mistakes(x0, x, W, b):
    """Return what known mistakes make of the cross layer's output."""
    g = x @ W.T + b
    return [
        ("the straight path + x is left out", x0 * g),
        ("the bias is left out", x0 * (g - b) + x),
        ("W is transposed", x0 * (x @ W + b) + x),
        ("the factor is x, where x0 belongs", x * g + x),
        ("W multiplies x0, where x belongs", x0 * (x0 @ W.T + b) + x),
        ("x0 is added at the end, where x belongs", x0 * g + x0),
        ("the factor x0 is left out", g + x),
        ("the bias is outside the product", x0 * (g - b) + b + x),
        ("there is a ReLU that does not belong", x0 * np.maximum(g, 0) + x),
        ("x0 is multiplied as a matrix, not entry by entry", x0 @ g.T + x[:, :1]),
    ]


@task("A6.2", weight=2, title="the cross layer, forward")
def test_forward(student, layer):
    answer = student.call("cross_forward", *layer)
    compare("y", answer, cross_forward(*layer), forward_mistakes(*layer))


def _layer(student, layer, only):
    names = "cross_backward", cross_forward
    gradient(student, *names, *layer, only=only, fingerprints=CROSS, own="cross_forward")


@task("A6.3", title="dx0")
def test_dx0(student, layer):
    _layer(student, layer, ["x0"])


@task("A6.3", weight=2, title="dx: two arrows")
def test_dx(student, layer):
    _layer(student, layer, ["x"])


@task("A6.3", title="dW and db")
def test_parameters(student, layer):
    _layer(student, layer, ["W", "b"])


@pytest.fixture
def two(rng):
    """Inputs of a network of two layers."""
    return tuple(rng.normal(size=shape) for shape in ((5, 3), (3, 3), (3,), (3, 3), (3,)))


@task("A6.4", weight=2, title="dx0: every place where it appears", builds_on=LAYER)
def test_network_dx0(student, two):
    wrong = network_mistakes()
    gradient(student, "network_backward", network, *two, only=["x0"], fingerprints=wrong)


@task("A6.4", title="the parameters of both layers", builds_on=LAYER)
def test_network_parameters(student, two):
    only, wrong = ["W1", "b1", "W2", "b2"], network_mistakes()
    gradient(student, "network_backward", network, *two, only=only, fingerprints=wrong)


@task("A6.5", title="your own number")
def test_my_parameters(student, student_id):
    own = personal(student_id, "A6.5")
    L, F, D = int(own.integers(2, 6)), int(own.integers(10, 40)), int(own.integers(4, 33))
    right = L * ((F * D) ** 2 + F * D)
    wrong = [
        ("the biases are left out", L * (F * D) ** 2),
        ("only one layer is counted", right // L),
        ("each field has a matrix of its own", L * (F * D * D + F * D)),
        ("the layer acts on fields, not on all their numbers", L * (F * F + F)),
        ("W is taken for a vector, as in the first version of the paper", L * 2 * F * D),
        ("each layer has one bias, a number", L * ((F * D) ** 2 + 1)),
    ]
    compare("the number", student.call("my_parameters"), right, wrong, 1e-9, tell=False)


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


@task("A6.6", weight=2, title="your test finds planted mistakes")
def test_the_test(student, order, earn):
    catches(lambda f: student.call("is_cross", f), [cross_backward], _planted(), order, earn)
