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
