"""Checkpoints that the first release wrote load, and hold what the same training gives today."""

from pathlib import Path

import numpy as np
import pytest
from fixtures import record

import minidlrm as md

FOLDER = Path(record.__file__).parent / "format1"


def test_there_is_a_checkpoint_of_every_model_of_the_list():
    saved = {type(md.load(path)) for path in FOLDER.glob("*.safetensors")}
    assert saved == {entry.cls for entry in md.MODELS.values()}


@pytest.mark.parametrize("name", record.MODELS)
def test_a_checkpoint_of_format_1_is_the_model_trained_anew(name):
    cls, _, optimizer_class, _ = record.MODELS[name]
    optimizer = optimizer_class(lr=0.05)
    old = md.load(FOLDER / f"{name}.safetensors", optimizer=optimizer)
    new, trained = record.train(name)
    assert type(old) is cls
    assert old.config == new.config
    assert old.state_dict().keys() == new.state_dict().keys()
    for (key, mine), other in zip(new.named_parameters(), old.parameters(), strict=True):
        np.testing.assert_allclose(mine.value, other.value, rtol=1e-5, atol=1e-5, err_msg=key)
        for slot, state in trained.state.get(mine, {}).items():
            np.testing.assert_allclose(
                state, optimizer.state[other][slot], rtol=1e-5, atol=1e-5, err_msg=f"{key}.{slot}"
            )
