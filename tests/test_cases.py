"""The list behind `minidlrm gradcheck --all`, and behind every test of "every layer"."""

import pytest

import minidlrm as md
from minidlrm import layers, losses, models, optim
from minidlrm.checking import cases


def test_every_name_of_the_lists_has_a_case():
    seen = {type(target) for _, target, _ in cases.everything(0)}
    bases = {layers.Interaction, losses.Loss}
    listed = [getattr(layers, name) for name in layers.__all__]
    listed += [getattr(losses, name) for name in losses.__all__]
    listed += [entry.cls for entry in models.MODELS.values()]
    modules = {cls for cls in listed if isinstance(cls, type) and issubclass(cls, md.Module)}
    assert not modules - seen - bases, "add a case of it to minidlrm/checking/cases.py"
    optimizers = {type(optimizer) for _, optimizer in cases.every_optimizer()}
    assert optimizers == set(optim.OPTIMIZERS.values())


def test_a_title_names_one_case():
    titles = [case.title for case in cases.everything(0)]
    assert len(set(titles)) == len(titles)


def test_all_pass():
    for name, target, inputs in cases.everything(1):
        report = md.gradcheck(target, *inputs, max_checks=10, seed=1, verbose=False)
        assert report.passed, f"{name}\n{report}"
        assert report.arrays


def test_an_unknown_model_is_named():
    with pytest.raises(ValueError, match="model 'bert' is not known: .*dlrm"):
        list(cases.model("bert", 0))
