"""save and load: whole, or not at all."""

import json

import numpy as np
import pytest

import minidlrm as md
from minidlrm import checkpoint


def model(**options):
    return md.DLRM(2, [5, 6], 4, (3,), (3,), seed=1, **options)


@pytest.mark.parametrize(
    "options", [{}, {"interaction": "cat"}, {"self_interaction": True}, {"dtype": np.float64}]
)
def test_a_model_comes_back_as_it_was(options, tmp_path):
    first = model(**options)
    md.save(first, tmp_path / "m.safetensors")
    second = md.load(tmp_path / "m.safetensors")
    assert repr(second) == repr(first)
    for name, value in second.state_dict().items():
        np.testing.assert_array_equal(value, first.state_dict()[name])
        assert value.dtype == first.state_dict()[name].dtype


def test_it_loads_into_a_model_of_the_same_sizes(tmp_path):
    first, second = model(), md.DLRM(2, [5, 6], 4, (3,), (3,), seed=9)
    md.save(first, tmp_path / "m.safetensors")
    assert md.load(tmp_path / "m.safetensors", second) is second
    np.testing.assert_array_equal(second.embeddings.weight.value, first.embeddings.weight.value)


def test_another_model_is_refused_and_unchanged(tmp_path):
    md.save(model(), tmp_path / "m.safetensors")
    other = md.DLRM(2, [5, 7], 4, (3,), (3,))
    before = other.embeddings.weight.value.copy()
    with pytest.raises(ValueError, match="holds another model"):
        md.load(tmp_path / "m.safetensors", other)
    np.testing.assert_array_equal(other.embeddings.weight.value, before)


def test_files_that_are_no_checkpoints(tmp_path):
    from safetensors.numpy import save_file

    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        md.load(tmp_path / "none.safetensors")
    save_file({"x": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="is no checkpoint of this version"):
        md.load(tmp_path / "other.safetensors")
    md.save(model(), tmp_path / "m.safetensors")
    data = (tmp_path / "m.safetensors").read_bytes()
    for size in (0, 4, 200, len(data) - 10):
        (tmp_path / "cut.safetensors").write_bytes(data[:size])
        with pytest.raises(ValueError, match="is no checkpoint, or is damaged"):
            md.load(tmp_path / "cut.safetensors")


def test_another_optimizer_is_refused(tmp_path):
    md.save(model(), tmp_path / "m.safetensors", md.Adam())
    with pytest.raises(ValueError, match="its optimizer is Adam, yours SGD"):
        md.load(tmp_path / "m.safetensors", optimizer=md.SGD(0.1))


def test_a_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    md.save(model(), path)
    before = path.read_bytes()

    def crash(tensors, temporary, metadata):
        temporary.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("safetensors.numpy.save_file", crash)
    with pytest.raises(OSError, match="disk full"):
        md.save(md.DLRM(2, [5, 6], 4, (3,), (3,), seed=2), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_replacing_puts_the_file_in_place_at_the_end(tmp_path):
    path = tmp_path / "a.json"
    with checkpoint.replacing(path) as temporary:
        temporary.write_text(json.dumps(1))
        assert not path.exists()
    assert path.read_text() == "1"


def test_only_models_can_be_saved(tmp_path):
    with pytest.raises(TypeError, match="Linear cannot be saved"):
        md.save(md.Linear(2, 3, rng=np.random.default_rng(0)), tmp_path / "m.safetensors")


@pytest.mark.oracle
def test_pytorch_opens_the_file(torch, tmp_path):
    from safetensors.torch import load_file

    network = model()
    md.save(network, tmp_path / "m.safetensors")
    state = load_file(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(
        state["embeddings.weight"].numpy(), network.embeddings.weight.value
    )
