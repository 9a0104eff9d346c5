"""watched: each call is recorded as it was, and the modules are left as they were."""

import numpy as np
import pytest

import minidlrm as md
from minidlrm.watching import watched


@pytest.fixture
def mlp(rng):
    return md.MLP([3, 4, 2], rng=rng)


def test_both_passes_are_recorded_in_their_order(mlp, rng):
    calls = []
    with watched(mlp.named_children(), calls.append, ("forward", "backward")):
        y = mlp.forward(rng.normal(size=(5, 3)))
        mlp.backward(np.ones_like(y))
    assert [(call.phase, call.name) for call in calls] == [
        ("forward", "layers.0"),
        ("forward", "layers.1"),
        ("backward", "layers.1"),
        ("backward", "layers.0"),
    ]
    np.testing.assert_array_equal(calls[1].output, y)
    np.testing.assert_array_equal(calls[1].inputs[0], calls[0].output)


def test_what_is_recorded_is_a_copy(rng):
    relu, calls, x = md.ReLU(), [], rng.normal(size=4)
    with watched([("relu", relu)], calls.append):
        y = relu.forward(x)
    before = calls[0].inputs[0].copy(), calls[0].output.copy()
    x[:], y[:] = 7, 7
    np.testing.assert_array_equal(calls[0].inputs[0], before[0])
    np.testing.assert_array_equal(calls[0].output, before[1])


def test_the_modules_are_left_as_they_were_even_after_an_error(mlp):
    with pytest.raises(ValueError, match="shape"), watched(mlp.named_children(), print):
        mlp.forward(np.ones((5, 9)))
    assert all("forward" not in vars(child) for _, child in mlp.named_children())


def test_a_watch_within_a_watch_sees_and_leaves_the_outer_one(mlp, rng):
    outer, inner, x = [], [], rng.normal(size=(2, 3))
    with watched(mlp.named_children(), outer.append):
        with watched(mlp.named_children(), inner.append):
            mlp.forward(x)
        mlp.forward(x)
    assert len(inner) == 2
    assert len(outer) == 4
    assert all("forward" not in vars(child) for _, child in mlp.named_children())


def test_a_part_under_two_names_is_recorded_once(rng):
    relu, calls = md.ReLU(), []
    with watched([("first", relu), ("second", relu)], calls.append):
        relu.forward(np.ones(2))
    assert [call.name for call in calls] == ["first"]
