"""The list behind `minidlrm gradcheck --all`."""

import pytest

import minidlrm as md
from minidlrm import layers, models
from minidlrm.checking import cases


def test_every_layer_and_model_is_in_the_list():
    seen = {type(target) for _, target, _ in cases.everything(0)}
    assert {entry.cls for entry in models.MODELS.values()} <= seen
    for name in layers.__all__:
        if name not in ("sigmoid", "CINLayer", "CrossLayer"):  # parts of CIN and CrossNetwork
            assert getattr(layers, name) in seen


def test_all_pass():
    for name, target, inputs in cases.everything(1):
        report = md.gradcheck(target, *inputs, max_checks=10, seed=1, verbose=False)
        assert report.passed, f"{name}\n{report}"
        assert report.arrays


def test_an_unknown_model_is_named():
    with pytest.raises(ValueError, match="model 'bert' is not known: dlrm, lr"):
        list(cases.model("bert", 0))
