"""save and load: whole, or not at all."""

import hashlib
import json
import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import minidlrm as md
from minidlrm import checkpoint, digested

FORMAT_1 = Path(__file__).parent / "fixtures" / "format1"


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
    with pytest.raises(ValueError, match="is not a checkpoint of this version"):
        md.load(tmp_path / "other.safetensors")
    md.save(model(), tmp_path / "m.safetensors")
    data = (tmp_path / "m.safetensors").read_bytes()
    for size in (0, 4, 200, len(data) - 10):
        (tmp_path / "cut.safetensors").write_bytes(data[:size])
        with pytest.raises(ValueError, match="is not a checkpoint, or is damaged"):
            md.load(tmp_path / "cut.safetensors")


def test_another_optimizer_is_refused(tmp_path):
    md.save(model(), tmp_path / "m.safetensors", md.Adam())
    with pytest.raises(ValueError, match="its optimizer is Adam, yours SGD"):
        md.load(tmp_path / "m.safetensors", optimizer=md.SGD(0.1))


def trained(make=md.Adam, steps=3, **options):
    """A model and its optimizer after some steps, every parameter with a state."""
    network, optimizer = model(**options), make(lr=0.05)
    rng = np.random.default_rng(0)
    for _ in range(steps):
        network.zero_grad()
        for parameter in network.parameters():
            parameter.grad = rng.normal(size=parameter.value.shape).astype(parameter.value.dtype)
        rows = md.SparseGrad([0, 3], rng.normal(size=(2, 4)).astype(np.float32), (11, 4))
        network.embeddings.weight.grad = rows
        optimizer.step(network.parameters())
    return network, optimizer


def everything(network, optimizer):
    """All that a load could change, as bytes."""
    found = {name: value.tobytes() for name, value in network.state_dict().items()}
    found["steps"] = optimizer.num_steps
    for name, parameter in network.named_parameters():
        for key, array in optimizer.state.get(parameter, {}).items():
            found[name, key] = array.tobytes()
    return found


def rewritten(path, change):
    """Write a file whose digest is right, after a change of its header and arrays."""
    header, arrays = checkpoint.read(path)
    header = {k: v for k, v in header.items() if k not in ("file", "content")}
    change(header, arrays)
    digested.write(path, header, arrays)


@pytest.mark.parametrize("make", md.optim.OPTIMIZERS.values())
def test_each_parameter_gets_its_own_state_back(make, tmp_path):
    network, optimizer = trained(make)
    md.save(network, tmp_path / "m.safetensors", optimizer)
    other = make(lr=0.05)
    again = md.load(tmp_path / "m.safetensors", optimizer=other)
    assert everything(again, other) == everything(network, optimizer)
    assert [list(state) for state in other.state.values()] == [
        sorted(state) for state in optimizer.state.values()
    ]


def test_a_group_comes_back(tmp_path):
    def make():
        network = md.WideDeep(2, [5, 6], 4, mlp=(3,), seed=1)
        wide, deep = md.FTRL(0.1), md.Adagrad(0.1)
        parts = [(wide, network.wide_parameters()), (deep, network.deep_parameters())]
        return network, md.OptimizerGroup(parts)

    network, group = make()
    for _ in range(3):
        for parameter in network.parameters():
            parameter.grad = np.ones_like(parameter.value)
        group.step(network.parameters())
    md.save(network, tmp_path / "m.safetensors", group)
    again, other = make()
    md.load(tmp_path / "m.safetensors", again, other)
    for (mine, _), (theirs, _) in zip(group.groups, other.groups, strict=True):
        assert mine.num_steps == theirs.num_steps == 3
        states = zip(mine.state.values(), theirs.state.values(), strict=True)
        for a, b in states:
            for key in a:
                np.testing.assert_array_equal(a[key], b[key])
    with pytest.raises(ValueError, match="its optimizer is FTRL, Adagrad, yours FTRL"):
        md.load(tmp_path / "m.safetensors", optimizer=md.FTRL(0.1))
    again, other = make()
    (_, mine), (deep, theirs) = other.groups
    for own in (mine, theirs):  # parameters of the file that the optimizer does not have
        lost, other.groups[1] = own[0], (deep, theirs if own is mine else theirs[1:])
        other.groups[0] = other.groups[0][0], mine[1:] if own is mine else mine
        with pytest.raises(ValueError, match="the state of .* belongs to no parameter of yours"):
            md.load(tmp_path / "m.safetensors", again, other)
        assert lost not in other.groups[0][0].state


@pytest.mark.parametrize("name", ["other", "embeddings", ""])
def test_a_state_of_a_parameter_that_the_model_does_not_have_is_refused(name, tmp_path):
    def change(header, arrays):
        stored = json.loads(header["optimizer"])
        stored["parts"][0]["parameters"].append(name)
        header["optimizer"] = json.dumps(stored)

    network, optimizer = trained()
    md.save(network, tmp_path / "m.safetensors", optimizer)
    rewritten(tmp_path / "m.safetensors", change)
    before = everything(network, optimizer)
    with pytest.raises(ValueError, match=f"the state of {name} belongs to no parameter of yours"):
        md.load(tmp_path / "m.safetensors", network, optimizer)
    assert everything(network, optimizer) == before


def test_a_load_forgets_what_the_optimizer_had_before(tmp_path):
    network, optimizer = trained()
    md.save(network, tmp_path / "m.safetensors", optimizer)
    _, used = trained(steps=5)
    again = md.load(tmp_path / "m.safetensors", optimizer=used)
    assert used.num_steps == 3
    assert set(used.state) == set(again.parameters())


@pytest.mark.parametrize("name", sorted(path.stem for path in FORMAT_1.glob("*.safetensors")))
def test_files_of_format_1_are_read(name):
    from safetensors.numpy import load_file

    from tests.fixtures.record import MODELS

    cls, _, make, _ = MODELS[name]
    optimizer = make(lr=0.05)
    network = md.load(FORMAT_1 / f"{name}.safetensors", optimizer=optimizer)
    stored = load_file(FORMAT_1 / f"{name}.safetensors")
    assert type(network) is cls
    for key, parameter in network.named_parameters():
        np.testing.assert_array_equal(parameter.value, stored.pop(key))
        for part, array in optimizer.state[parameter].items():
            np.testing.assert_array_equal(
                array.ravel(), stored.pop(f"optimizer.{key}.{part}").ravel()
            )
    assert stored == {}
    assert optimizer.num_steps == 22


def test_every_changed_byte_is_refused_and_nothing_is_changed(tmp_path):
    network, optimizer = trained()
    path = tmp_path / "m.safetensors"
    md.save(network, path, optimizer)
    data, (other, fresh) = path.read_bytes(), trained(steps=1)
    before = everything(other, fresh)
    rng = np.random.default_rng(0)
    head = 8 + struct.unpack("<Q", data[:8])[0]
    places = [*range(120), *rng.integers(0, head, 150), *rng.integers(head, len(data), 60)]
    for place in map(int, places):
        bad = bytearray(data)
        bad[place] ^= int(rng.integers(1, 256))
        path.write_bytes(bad)
        with pytest.raises(ValueError, match=r"m\.safetensors"):
            md.load(path, other, fresh)
    assert everything(other, fresh) == before
    path.write_bytes(data)
    md.load(path, other, fresh)
    assert everything(other, fresh) == everything(network, optimizer)


WEIGHT = "optimizer.embeddings.weight.m"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda h, a: a.update({WEIGHT: a[WEIGHT][:1]}),
            r"embeddings.weight: its state is .*\(1, 4",
        ),
        (lambda h, a: a.update({WEIGHT: a[WEIGHT].astype(float)}), "m is of float64"),
        (lambda h, a: a.pop(WEIGHT), "embeddings.weight: its state is"),
        (lambda h, a: a.update({WEIGHT + "x": a[WEIGHT]}), "embeddings.weight: its state is"),
        (
            lambda h, a: a.update({"optimizer.other.m": a[WEIGHT]}),
            "unexpected state: optimizer.oth",
        ),
        (
            lambda h, a: a.update({"top.layers.0.bias": np.zeros(9, np.float32)}),
            r"top.layers.0.bias",
        ),
        (lambda h, a: a.update({"top.layers.0.bias": np.zeros(3)}), "float64"),
        (lambda h, a: a.pop("top.layers.0.bias"), "missing: top.layers.0.bias"),
        (lambda h, a: a.update({"more": np.zeros(3, np.float32)}), "unexpected: more"),
        (lambda h, a: h.update(config="{"), "header is damaged"),
        (lambda h, a: h.update(config="[]"), "header is damaged"),
        (lambda h, a: h.update(task="sales"), "header is damaged"),
        (lambda h, a: h.update(format="minidlrm 9"), "of this version"),
        (lambda h, a: h.update(model="Linear"), "of this version"),
        (lambda h, a: h.update(optimizer="[1]"), "header is damaged"),
        (
            lambda h, a: h.update(optimizer='{"group": false, "parts": [{"class": "Adam"}]}'),
            "header",
        ),
    ],
)
def test_a_file_of_the_right_digest_and_another_content_changes_nothing(change, message, tmp_path):
    network, optimizer = trained()
    md.save(network, tmp_path / "m.safetensors", optimizer)
    rewritten(tmp_path / "m.safetensors", change)
    other, fresh = trained(steps=1)
    before = everything(other, fresh)
    with pytest.raises(ValueError, match=message) as error:
        md.load(tmp_path / "m.safetensors", other, fresh)
    assert "m.safetensors" in str(error.value)
    assert everything(other, fresh) == before


def test_a_config_that_makes_no_model_is_refused(tmp_path):
    md.save(model(), tmp_path / "m.safetensors")
    rewritten(tmp_path / "m.safetensors", lambda h, a: h.update(config='{"sizes": 3}'))
    with pytest.raises(ValueError, match="no DLRM can be made of it"):
        md.load(tmp_path / "m.safetensors")


def test_another_precision_is_refused(tmp_path):
    md.save(model(), tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="embeddings.weight: float32 .* in the file, float64"):
        md.load(tmp_path / "m.safetensors", model(dtype=np.float64))


def test_the_digests_are_what_they_say(tmp_path):
    network, optimizer = trained()
    path = tmp_path / "m.safetensors"
    md.save(network, path, optimizer)
    header, arrays = checkpoint.read(path)
    data = path.read_bytes().replace(header["file"].encode(), b"0" * 64)
    assert hashlib.sha256(data).hexdigest() == header["file"]
    assert digested.content_digest(header, dict(reversed(arrays.items()))) == header["content"]
    arrays["top.layers.0.bias"][0] += 1
    assert digested.content_digest(header, arrays) != header["content"]
    md.save(network, tmp_path / "again.safetensors", optimizer)
    assert path.read_bytes() == (tmp_path / "again.safetensors").read_bytes()


def test_a_weight_that_was_changed_in_place_is_not_saved(tmp_path):
    network = model()
    network.top.layers[0].weight.value.flags.writeable = False
    with pytest.raises(ValueError, match="weight was changed in place"):
        md.save(network, tmp_path / "m.safetensors")


def test_state_that_no_name_is_given_to_is_not_saved(tmp_path):
    class Silent(md.SGD):
        def update(self, weight, rows, grad, state, lr):
            state["count"] = np.ones(3)

    network, _ = trained()
    optimizer = Silent(0.1)
    network.top.layers[0].bias.grad = np.ones(3, np.float32)
    optimizer.step([network.top.layers[0].bias])
    with pytest.raises(ValueError, match="Silent cannot be saved: top.layers.0.bias"):
        md.save(network, tmp_path / "m.safetensors", optimizer)


class Columns:
    """A schema of two columns."""

    def __init__(self, names, values):
        self.names, self.values = names, values

    def state(self):
        return {"names": self.names}, {"values": self.values}

    @classmethod
    def from_state(cls, plain, arrays):
        return cls(plain["names"], arrays["values"])


def test_a_schema_is_kept_with_its_model(tmp_path, monkeypatch):
    monkeypatch.setattr(md.data, "Schema", Columns, raising=False)
    schema, first = Columns(["price", "user"], np.arange(3)), model()
    md.save(first, tmp_path / "m.safetensors", schema=schema)
    second, again = checkpoint.load_with_schema(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(second.embeddings.weight.value, first.embeddings.weight.value)
    assert again.names == schema.names
    np.testing.assert_array_equal(again.values, schema.values)
    md.load(tmp_path / "m.safetensors", first)
    rewritten(tmp_path / "m.safetensors", lambda h, a: a.pop("schema.values"))
    with pytest.raises(ValueError, match="its schema cannot be read"):
        checkpoint.load_with_schema(tmp_path / "m.safetensors")
    md.save(first, tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="holds no schema"):
        checkpoint.load_with_schema(tmp_path / "m.safetensors")


def test_what_the_outputs_are_is_kept(tmp_path):
    network = model()
    network.task = "ratings"
    md.save(network, tmp_path / "m.safetensors")
    assert md.load(tmp_path / "m.safetensors").task == "ratings"


def test_a_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    md.save(model(), path)
    before = path.read_bytes()
    failing = SimpleNamespace(**{**vars(digested.struct), "pack": lambda *_: 1 / 0})
    monkeypatch.setattr(digested, "struct", failing)  # not for the others who pack
    with pytest.raises(ZeroDivisionError):
        md.save(md.DLRM(2, [5, 6], 4, (3,), (3,), seed=2), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("goal", ["none/m.safetensors", "folder"])
def test_a_path_that_cannot_be_written_is_an_os_error(goal, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=goal.partition("/")[0]):
        md.save(model(), tmp_path / goal)


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


@pytest.mark.parametrize(
    "header",
    [
        {"format": "minidlrm 1", "more": ""},  # format 1 had no other entries
        {"format": "minidlrm 2"},  # and format 2 always has a digest
        {"format": "minidlrm 3"},
        {"format": "minidlrm 1", "model": "Transformer"},
    ],
)
def test_headers_that_no_release_wrote_are_refused(header, tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "m.safetensors"
    header = {"model": "FactorizationMachine", "config": "{}", **header}
    save_file({"a": np.zeros(1)}, path, header)
    with pytest.raises(ValueError, match="not a checkpoint of this version"):
        md.load(path)
    for name in ("model", "config"):
        save_file({"a": np.zeros(1)}, path, {k: v for k, v in header.items() if k != name})
        with pytest.raises(ValueError, match="not a checkpoint of this version"):
            md.load(path)


@pytest.mark.parametrize("config", ["[]", "{", "3"])
def test_a_config_that_is_no_dict_is_damage(config, tmp_path):
    from safetensors.numpy import save_file

    header = {"format": "minidlrm 1", "model": "FactorizationMachine", "config": config}
    save_file({"a": np.zeros(1)}, tmp_path / "m.safetensors", header)
    with pytest.raises(ValueError, match="its header is damaged"):
        md.load(tmp_path / "m.safetensors")
