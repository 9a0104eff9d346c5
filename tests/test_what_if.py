"""trace.perturb: a change of one number, followed to the loss."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import minidlrm as md


@pytest.fixture(scope="module")
def steps():
    clicks = md.data.synthetic_clicks(1000, 0)
    return md.trace(md.DLRM(13, clicks.table_sizes, 4, (8,), (8,)), clicks.train[:4])


def test_the_slope_goes_to_the_gradient(steps):
    for param, index in (("top.layers.0.bias", 2), ("bottom.layers.0.weight", (2, 3))):
        what = steps.perturb(param, index, 0.1)
        differences = [abs(slope - what.gradient) for _, slope in what.slopes]
        assert differences[2] < 0.05 * differences[0]
        recorded = np.asarray(steps.grads[param])[index]
        assert what.gradient == pytest.approx(recorded, rel=1e-4)


def test_only_what_comes_after_moves(steps):
    what = steps.perturb("top.layers.1.bias", 0, 1)
    moved = {name: change for name, change, _ in what.moved}
    assert moved["bottom.layers.0"] == moved["interaction"] == moved["top.layers.0"] == 0
    assert moved["top.layers.1"] == pytest.approx(1)
    assert moved["loss"] > 0


def test_a_row_of_a_table(steps):
    row = int(steps.grads["embeddings.weight"].rows[0])
    what = steps.perturb("embeddings.weight", (row, 1), 0.5)
    assert {n: c for n, _, c in what.moved}["embeddings"] >= 1
    assert abs(what.slopes[2][1] - what.gradient) < 1e-3


def test_the_model_is_as_before(steps):
    before = {name: value.copy() for name, value in steps.model.state_dict().items()}
    steps.perturb("top.layers.0.weight", (0, 0), 3.0)
    for name, value in steps.model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_it_prints_shows_and_draws(steps):
    what = steps.perturb("top.layers.0.bias", 2, 0.1)
    assert "top.layers.0.bias[2] += 0.1" in str(what)
    assert "slope of the loss" in str(what)
    assert what._repr_html_().count("<table>") == 2
    ax = what.plot(Figure().subplots())
    assert len(ax.patches) == len(what.moved)


def test_what_cannot_be_changed(steps):
    with pytest.raises(KeyError, match="no parameter 'top.weight'"):
        steps.perturb("top.weight", 0, 0.1)
    with pytest.raises(IndexError, match=r"has shape \(8,\): it has no entry \[8\]"):
        steps.perturb("top.layers.0.bias", 8, 0.1)
    with pytest.raises(IndexError, match="it has no entry"):
        steps.perturb("top.layers.0.weight", 3, 0.1)
    with pytest.raises(ValueError, match="eps is 0"):
        steps.perturb("top.layers.0.bias", 0, 0)
