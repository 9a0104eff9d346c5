"""trace: every operation, and not a bit changed."""

import numpy as np
import pytest

import minidlrm as md


@pytest.fixture
def setting():
    clicks = md.data.synthetic_clicks(1000, 0)
    return md.DLRM(13, clicks.table_sizes, 4, (8,), (8,)), clicks.train[:4]


def test_forward_then_backward_in_reverse(setting):
    steps = md.trace(*setting)
    forward = [op.name for op in steps.operations if op.phase == "forward"]
    backward = [op.name for op in steps.operations if op.phase == "backward"]
    assert forward == [
        "embeddings",
        "bottom.layers.0",
        "bottom.layers.1",
        "interaction",
        "top.layers.0",
        "top.layers.1",
        "loss",
    ]
    assert set(backward) == set(forward)
    assert backward[:4] == ["loss", "top.layers.1", "top.layers.0", "interaction"]
    assert all(op.equation for op in steps.operations)


def test_the_values_are_those_of_the_model(setting):
    model, batch = setting
    loss = md.BCEWithLogits()
    value = loss.forward(model.forward(batch), batch.label)
    model.backward(loss.backward())
    steps = md.trace(model, batch)
    assert steps.loss == value
    for name, parameter in model.named_parameters():
        mine, theirs = parameter.grad, steps.grads[name]
        if isinstance(mine, md.SparseGrad):
            mine, theirs = mine.to_dense(), theirs.to_dense()
        assert mine.tobytes() == theirs.tobytes()


def test_the_model_is_left_as_it_was(setting):
    model, batch = setting
    model.top.layers[0].weight.grad = grad = np.ones((8, 355), np.float32)
    before = [value.copy() for value in model.state_dict().values()]
    md.trace(model, batch)
    assert model.top.layers[0].weight.grad is grad
    assert model.embeddings.weight.grad is None
    for value, old in zip(model.state_dict().values(), before, strict=True):
        np.testing.assert_array_equal(value, old)
    for _, module in model.named_modules():
        assert "forward" not in vars(module)
        assert "backward" not in vars(module)


def test_a_failure_takes_the_wrappers_off(setting):
    model, batch = setting
    bad = md.data.Batch(batch.dense, batch.sparse + 10_000, batch.label)
    with pytest.raises(IndexError):
        md.trace(model, bad)
    assert all("forward" not in vars(module) for _, module in model.named_modules())


def test_it_prints_a_table(setting):
    steps = md.trace(*setting)
    assert "embeddings" in str(steps)
    assert "4×27×4" in str(steps)
    assert "x 4×13" in str(steps)
    assert "<section" in steps._repr_html_()


def test_arrays_have_the_names_of_the_arguments(setting):
    steps = md.trace(*setting)
    forward = {op.name: op for op in steps.operations if op.phase == "forward"}
    backward = {op.name: op for op in steps.operations if op.phase == "backward"}
    assert list(forward["interaction"].inputs) == ["z"]
    assert list(forward["loss"].inputs) == ["logits", "label"]
    assert list(backward["bottom.layers.0"].inputs) == ["dy"]
    assert list(backward["bottom.layers.0"].outputs) == ["dx", "dweight", "dbias"]
    assert list(backward["embeddings"].outputs) == ["dweight.rows", "dweight.values"]
    assert backward["interaction"].partner is forward["interaction"]
    dweight = backward["top.layers.0"].outputs["dweight"]
    np.testing.assert_array_equal(dweight, steps.grads["top.layers.0.weight"])


@pytest.mark.parametrize(
    "model",
    [
        md.FactorizationMachine(13, [9, 8], 3),
        md.DeepFM(13, [9, 8], 3, (4,)),
        md.DCN(13, [9, 8], 3, 2, "vector", (4,)),
        md.XDeepFM(13, [9, 8], 3, (2, 2), (4,)),
        md.WideDeep(13, [9, 8], 3, (4,), crosses=[(0, 1)]),
        md.LogisticRegression(13, [9, 8]),
        md.DLRM(13, [9, 8], 3, (4,), (4,), interaction="cross"),
    ],
    ids=lambda model: type(model).__name__,
)
def test_every_model_is_traced_and_shown(model, rng):
    ids = np.stack([rng.integers(0, 9, 3), rng.integers(0, 8, 3)], axis=1)
    batch = md.data.Batch(rng.normal(size=(3, 13)).astype(np.float32), ids, np.array([0.0, 1, 1]))
    steps = md.trace(model, batch)
    assert str(steps)
    for sample in range(3):
        assert steps.to_html(sample=sample).count("<section") == len(steps.operations)


def test_a_batch_without_labels(setting):
    model, batch = setting
    with pytest.raises(ValueError, match="no labels"):
        md.trace(model, md.data.Batch(batch.dense, batch.sparse))
