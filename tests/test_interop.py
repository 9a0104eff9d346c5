"""Weights under the names of other implementations."""

import numpy as np
import pytest

import minidlrm as md


def test_reference_names_and_shapes():
    model = md.DLRM(4, [4, 3, 2], 2, (3,), (4, 2))
    shapes = {name: value.shape for name, value in md.interop.reference_state(model).items()}
    assert shapes == {
        "emb_l.0.weight": (4, 2),
        "emb_l.1.weight": (3, 2),
        "emb_l.2.weight": (2, 2),
        "bot_l.0.weight": (3, 4),
        "bot_l.0.bias": (3,),
        "bot_l.2.weight": (2, 3),
        "bot_l.2.bias": (2,),
        "top_l.0.weight": (4, 8),
        "top_l.0.bias": (4,),
        "top_l.2.weight": (2, 4),
        "top_l.2.bias": (2,),
        "top_l.4.weight": (1, 2),
        "top_l.4.bias": (1,),
    }


def test_reference_weights_travel_both_ways():
    first, second = (md.DLRM(4, [4, 3], 2, (3,), (4,), seed=seed) for seed in (0, 1))
    md.interop.load_reference_state(second, md.interop.reference_state(first))
    for name, value in second.state_dict().items():
        np.testing.assert_array_equal(value, first.state_dict()[name])


def test_a_foreign_state_is_named_and_changes_nothing():
    model = md.DLRM(4, [4, 3], 2, (3,), (4,))
    state = {k: v + 1 for k, v in md.interop.reference_state(model).items()}
    state["emb_l.2.weight"] = np.zeros((2, 2))
    before = model.embeddings.weight.value.copy()
    with pytest.raises(ValueError, match=r"unexpected: emb_l.2.weight"):
        md.interop.load_reference_state(model, state)
    np.testing.assert_array_equal(model.embeddings.weight.value, before)


def foreign_logits(model, batch, weight, layout):
    """The interactions of TorchRec and FuxiCTR, restated, on the model's other weights."""
    x = model.bottom.forward(batch.dense)
    e = model.embeddings.forward(batch.sparse)
    dense_last = layout == "fuxictr"
    z = np.concatenate([e, x[:, None]] if dense_last else [x[:, None], e], axis=1)
    i, j = np.triu_indices(z.shape[1], 1)
    if layout == "facebookresearch":
        i, j = np.tril_indices(z.shape[1], -1)
    pairs = np.einsum("bpd,bpd->bp", z[:, i], z[:, j])
    top = np.concatenate([pairs, x] if dense_last else [x, pairs], axis=1)
    hidden = np.maximum(top @ weight.T + model.top.layers[0].bias.value, 0)
    return model.top.layers[1].forward(hidden)[:, 0]


@pytest.mark.parametrize("layout", ["facebookresearch", "torchrec", "fuxictr"])
def test_the_three_layouts_of_the_triangle_give_equal_logits(layout, rng):
    model = md.DLRM(4, [4, 3, 5, 6], 2, (3,), (7,), dtype=np.float64)
    ids = np.stack([rng.integers(0, n, 6) for n in (4, 3, 5, 6)], axis=1)
    batch = md.data.Batch(rng.normal(size=(6, 4)), ids)
    weight = md.interop.to_layout(model, layout)
    expected = model.forward(batch)
    np.testing.assert_allclose(foreign_logits(model, batch, weight, layout), expected, rtol=1e-12)
    if layout != "facebookresearch":
        assert not np.array_equal(weight, model.top.layers[0].weight.value)
    before = model.top.layers[0].weight.value.copy()
    model.top.layers[0].weight.value[...] = 0
    md.interop.from_layout(model, weight, layout)
    np.testing.assert_array_equal(model.top.layers[0].weight.value, before)


def test_layouts_that_are_none():
    model = md.DLRM(4, [4, 3], 2, (3,), (7,))
    with pytest.raises(ValueError, match="layout 'keras' is not known"):
        md.interop.to_layout(model, "keras")
    with pytest.raises(ValueError, match=r"weight has shape \(2, 2\)"):
        md.interop.from_layout(model, np.zeros((2, 2)), "torchrec")
    with pytest.raises(ValueError, match="must have interaction='dot'"):
        md.interop.to_layout(md.DLRM(4, [4, 3], interaction="cat"), "torchrec")
