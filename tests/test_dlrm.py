"""DLRM as a whole."""

import numpy as np
import pytest
from conftest import assert_complex_step
from hypothesis import given, settings
from hypothesis import strategies as st

import minidlrm as md
from minidlrm.data import Batch, Jagged

SIZES = [7, 5, 9]
OPTIONS = [
    {},
    {"interaction": "cat"},
    {"self_interaction": True},
    {"interaction": "cross"},
    {"interaction": "cross", "cross_rank": 2},
    {"num_dense": 0},
    {"num_dense": 0, "interaction": "cat"},
    {"bottom_mlp": (), "top_mlp": ()},
]


PAPER = [o for o in OPTIONS if o.get("interaction") != "cross"]  # what the oracle restates


def build(num_dense=4, seed=0, dtype=np.float64, **options):
    sizes = {"bottom_mlp": (6,), "top_mlp": (5, 4), **options}
    return md.DLRM(num_dense, SIZES, 3, seed=seed, dtype=dtype, **sizes)


def one_hot(rng, rows=6, num_dense=4):
    ids = np.stack([rng.integers(0, n, rows) for n in SIZES], axis=1)
    label = (rng.random(rows) < 0.5).astype(np.float64)
    return Batch(rng.normal(size=(rows, num_dense)), ids, label)


def multi_hot(rng, rows=6, weighted=False):
    lengths = rng.integers(0, 4, (len(SIZES), rows))
    values = np.concatenate(
        [rng.integers(0, n, k.sum()) for n, k in zip(SIZES, lengths, strict=True)]
    )
    weights = rng.normal(size=len(values)) if weighted else None
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    label = (rng.random(rows) < 0.5).astype(np.float64)
    return Batch(rng.normal(size=(rows, 4)), Jagged(values, offsets, weights), label)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_gradients_by_differences(options, rng):
    batch = one_hot(rng, num_dense=options.get("num_dense", 4))
    md.gradcheck(build(**options), batch, verbose=False).raise_if_failed()


@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_of_multi_hot_input_by_differences(weighted, rng):
    md.gradcheck(build(), multi_hot(rng, weighted=weighted), verbose=False).raise_if_failed()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_gradients_by_complex_step(options, rng):
    assert_complex_step(build(**options), one_hot(rng, num_dense=options.get("num_dense", 4)), rng)


def torch_reference(torch, model):
    """The forward pass of facebookresearch/dlrm, on copies of the model's weights."""
    state = {k: torch.tensor(v.copy()) for k, v in md.interop.reference_state(model).items()}
    for tensor in state.values():
        tensor.requires_grad_(True)
    config = model.config

    def mlp(x, name, last):
        layers = sorted(int(k.split(".")[1]) for k in state if k.startswith(name) and "bias" in k)
        for k in layers:
            x = x @ state[f"{name}.{k}.weight"].T + state[f"{name}.{k}.bias"]
            if k != layers[-1] or last:
                x = torch.relu(x)
        return x

    def forward(dense, bags):
        tables = [
            torch.nn.functional.embedding_bag(
                ids, state[f"emb_l.{t}.weight"], offsets, mode="sum", include_last_offset=True
            )
            for t, (ids, offsets) in enumerate(bags)
        ]
        x = [mlp(dense, "bot_l", last=True)] if config["num_dense"] else []
        z = torch.stack([*x, *tables], dim=1)
        if config["interaction"] == "cat":
            return mlp(z.flatten(1), "top_l", last=False)[:, 0]
        n, offset = z.shape[1], int(config["self_interaction"])
        i = [i for i in range(n) for j in range(i + offset)]
        j = [j for i in range(n) for j in range(i + offset)]
        pairs = torch.bmm(z, z.transpose(1, 2))[:, i, j]
        return mlp(torch.cat([*x, pairs], dim=1), "top_l", last=False)[:, 0]

    return state, forward


def torch_bags(torch, batch):
    if isinstance(batch.sparse, Jagged):
        values, offsets, rows = batch.sparse.values, batch.sparse.offsets, len(batch)
        spans = [offsets[t * rows : (t + 1) * rows + 1] for t in range(len(SIZES))]
        return [(torch.from_numpy(values[s[0] : s[-1]]), torch.from_numpy(s - s[0])) for s in spans]
    return [
        (torch.from_numpy(column.copy()), torch.arange(len(batch) + 1)) for column in batch.sparse.T
    ]


OPTIMIZERS = {
    "sgd": (lambda: md.SGD(0.1), lambda torch, p: torch.optim.SGD(p, 0.1)),
    "adagrad": (lambda: md.Adagrad(0.05), lambda torch, p: torch.optim.Adagrad(p, 0.05)),
}


@pytest.mark.oracle
@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize(
    ("options", "multi"),
    [*((o, False) for o in PAPER), *((o, True) for o in PAPER[:3])],
    ids=str,
)
def test_the_reference_in_pytorch_agrees(options, multi, kind, torch, rng):
    num_dense = options.get("num_dense", 4)
    model = build(**options)
    state, forward = torch_reference(torch, model)
    ours, theirs = OPTIMIZERS[kind]
    optimizer, oracle = ours(), theirs(torch, list(state.values()))
    loss, loss_oracle = md.BCEWithLogits(), torch.nn.BCEWithLogitsLoss()
    for step in range(10):
        batch = multi_hot(rng) if multi else one_hot(rng, num_dense=num_dense)
        model.zero_grad()
        oracle.zero_grad()
        logits = model.forward(batch)
        expected = forward(torch.from_numpy(batch.dense), torch_bags(torch, batch))
        np.testing.assert_allclose(logits, expected.detach().numpy(), rtol=1e-6, atol=1e-9)
        loss.forward(logits, batch.label)
        model.backward(loss.backward())
        loss_oracle(expected, torch.from_numpy(batch.label)).backward()
        if step == 0:
            compare_gradients(model, state)
        optimizer.step(model.parameters())
        oracle.step()
    for name, value in md.interop.reference_state(model).items():
        np.testing.assert_allclose(value, state[name].detach().numpy(), rtol=1e-6, atol=1e-9)


def compare_gradients(model, state):
    grads = model.astype(np.float64)  # a copy, to hold gradients under the reference's names
    for mine, copy in zip(model.parameters(), grads.parameters(), strict=True):
        sparse = isinstance(mine.grad, md.SparseGrad)
        copy.value[...] = mine.grad.to_dense() if sparse else mine.grad
    for name, grad in md.interop.reference_state(grads).items():
        np.testing.assert_allclose(grad, state[name].grad.numpy(), rtol=1e-6, atol=1e-12)


@settings(max_examples=15)
@given(
    st.integers(0, 1000),
    st.integers(1, 9),
    st.integers(0, 5),
    st.integers(1, 6),
    st.lists(st.integers(1, 12), min_size=2, max_size=6),
)
def test_gradients_in_sizes_of_all_kinds(seed, rows, num_dense, dim, sizes):
    rng = np.random.default_rng(seed)
    ids = np.stack([rng.integers(0, n, rows) for n in sizes], axis=1)
    batch = Batch(rng.normal(size=(rows, num_dense)), ids)
    model = md.DLRM(num_dense, sizes, dim, (4,), (4,), seed=seed)
    md.gradcheck(model, batch, seed=seed, max_checks=10, verbose=False).raise_if_failed()


def test_parameters_of_the_kaggle_configuration():
    model = md.DLRM(13, [2] * 26, 16, (512, 256, 64), (512, 256))
    assert model.bottom.num_parameters() == 155_984
    assert model.top.num_parameters() == 320_001
    assert model.top.layers[0].weight.value.shape == (512, 367)
    assert model.num_parameters() == 26 * 2 * 16 + 155_984 + 320_001
    assert model.bottom.flops_per_sample() == 2 * (13 * 512 + 512 * 256 + 256 * 64 + 64 * 16)
    assert model.interaction.flops_per_sample() == 27 * 26 * 16


def test_the_same_seed_gives_the_same_bits(rng):
    batch = one_hot(rng)
    assert build(seed=3).forward(batch).tobytes() == build(seed=3).forward(batch).tobytes()
    assert build(seed=3).forward(batch).tobytes() != build(seed=4).forward(batch).tobytes()


def test_rows_do_not_mix(rng):
    batch, order = one_hot(rng), rng.permutation(6)
    logits = build().forward(batch)
    np.testing.assert_allclose(build().forward(batch[order]), logits[order], rtol=1e-12)
    np.testing.assert_allclose(build().forward(batch[2:3]), logits[2:3], rtol=1e-12)


def test_it_learns_an_exclusive_or():
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 2, (256, 2))
    label = (ids[:, 0] ^ ids[:, 1]).astype(np.float32)
    data = Batch(np.zeros((256, 1), np.float32), ids, label)
    model = md.DLRM(1, [2, 2], 4, (4,), (8,))
    md.fit(model, data, optimizer=md.Adam(0.02), epochs=60, batch_size=64, progress=False)
    assert md.evaluate(model, data)["log_loss"] < 0.05


def test_a_batch_that_does_not_fit_is_named(rng):
    model, batch = build(), one_hot(rng)
    dense = batch.dense.copy()
    dense[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"dense\[2, 1\] is nan: it must be finite"):
        model.forward(Batch(dense, batch.sparse))
    with pytest.raises(ValueError, match="the batch is empty"):
        model.forward(batch[:0])
    with pytest.raises(ValueError, match="the batch has 3 dense features, the model 4"):
        model.forward(Batch(batch.dense[:, :3], batch.sparse))
    with pytest.raises(ValueError, match="the batch has 2 tables, the model 3"):
        model.forward(Batch(batch.dense, batch.sparse[:, :2]))
    ids = batch.sparse.copy()
    ids[4, 1] = 5
    with pytest.raises(IndexError, match=r"table 1: id 5 out of range \[0, 5\), at sample 4"):
        model.forward(Batch(batch.dense, ids))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="interaction is 'sum'"):
        build(interaction="sum")
    with pytest.raises(ValueError, match="num_dense is -1"):
        build(num_dense=-1)


# An interaction of one's own


class LargestEntry(md.Interaction):
    """The largest entry of each vector: not in the list of layers, and without a config."""

    def __init__(self, num_features, embedding_dim):
        super().__init__(num_features, embedding_dim)
        self.num_outputs = num_features

    def forward(self, z):
        z = self.check_z(z)
        self.keep(z.shape, z.argmax(axis=2))
        return z.max(axis=2)

    def backward(self, dy):
        shape, place = self.kept()
        dz = np.zeros(shape, dy.dtype)
        np.put_along_axis(dz, place[:, :, None], self.check_dy(dy, shape[:2])[:, :, None], axis=2)
        return dz


def test_an_interaction_of_ones_own_trains_and_is_checked(rng):
    model = build(interaction=LargestEntry(len(SIZES) + 1, 3))
    assert model.top.layers[0].weight.value.shape[1] == 3 + len(SIZES) + 1
    md.gradcheck(model, one_hot(rng), verbose=False).raise_if_failed()


@pytest.mark.parametrize(
    "make",
    [
        lambda f, rng: md.DotInteraction(f, 3, self_interaction=True),
        lambda f, rng: md.BiInteraction(f, 3),
        lambda f, rng: md.CIN(f, 3, (4, 2), rng=rng),
        lambda f, rng: md.CrossInteraction(f, 3, 1, cross_rank=2, rng=rng),
        lambda f, rng: md.Flatten(f, 3),
    ],
)
def test_a_listed_layer_given_as_interaction_is_saved_with_the_model(make, rng, tmp_path):
    model = build(interaction=make(len(SIZES) + 1, rng), dtype=np.float32)
    md.save(model, tmp_path / "m.safetensors")
    again, batch = md.load(tmp_path / "m.safetensors"), one_hot(rng)
    np.testing.assert_array_equal(again.forward(batch), model.forward(batch))


def test_an_interaction_that_is_not_listed_is_refused_by_save(tmp_path):
    model = build(interaction=LargestEntry(len(SIZES) + 1, 3))
    with pytest.raises(TypeError, match="interaction is LargestEntry.*: it cannot be saved"):
        md.save(model, tmp_path / "m.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_module_that_is_no_interaction_is_named():
    with pytest.raises(ValueError, match="it must say as num_outputs"):
        build(interaction=md.ReLU())
    model = build(interaction=md.FMInteraction(len(SIZES) + 1, 3))  # it gives (B,), and not (B, 1)
    with pytest.raises(ValueError, match=r"gave shape \(5,\) .* it must be \(5, 1\)"):
        model.forward(one_hot(np.random.default_rng(0), 5))


@pytest.mark.parametrize(
    "options",
    [
        {"interaction": "cat", "self_interaction": True},
        {"interaction": "dot", "cross_rank": 3},
    ],
)
def test_an_option_of_another_interaction_is_refused(options):
    with pytest.raises(ValueError, match="interaction"):
        build(**options)


def test_defaults_are_those_of_the_published_kaggle_script():
    model = md.DLRM(13, [5, 6])
    assert model.config["bottom_mlp"] == [512, 256, 64]
    assert model.config["top_mlp"] == [512, 256]
    assert model.config["embedding_dim"] == 16
    assert model.top.layers[0].weight.value.shape == (512, 16 + 3)
    assert model.top.layers[-1].activation is None
    assert [layer.activation for layer in model.bottom.layers] == ["relu"] * 4


def test_what_the_top_reads_in_each_form():
    def width(num_dense, sizes, **options):
        return (
            md.DLRM(num_dense, sizes, 4, (3,), (5,), **options).top.layers[0].weight.value.shape[1]
        )

    assert width(2, [3, 3]) == 4 + 3
    assert width(0, [3, 3]) == 1
    assert width(2, [3, 3], self_interaction=True) == 4 + 6
    assert width(2, [3, 3], interaction="cat") == 12
    assert width(0, [3], self_interaction=True) == 1
    assert width(0, [3], interaction="cat") == 4
    assert width(0, [3, 3], interaction="cross") == 8
    assert width(2, [3]) == 4 + 1
    with pytest.raises(ValueError, match="one vector alone has no pairs"):
        width(0, [3])


def test_tables_are_composed_above_the_threshold_alone():
    def parts(threshold, **options):
        tables = md.DLRM(2, [9, 8], 4, (3,), (5,), qr_threshold=threshold, **options).embeddings
        return type(tables).__name__, len(getattr(tables, "composed", ()))

    assert parts(None) == ("EmbeddingBagCollection", 0)
    assert parts(9) == ("EmbeddingBagCollection", 0)
    assert parts(8) == ("ComposedTables", 1)
    assert parts(7) == ("ComposedTables", 2)
    for options in ({"shared": [(1, 0)]}, {"bag_mode": "mean"}):
        with pytest.raises(ValueError, match="composed tables are not shared, and sum"):
            md.DLRM(2, [9, 9], 4, (3,), (5,), qr_threshold=8, **options)
    composed = md.DLRM(2, [9, 9], 4, (3,), (5,), qr_threshold=8, qr_collisions=2).embeddings
    assert [part.num_collisions for part in composed.composed] == [2, 2]
    assert str(md.DLRM(0, [9], 4, (), (5,), interaction="cat")).count("MLP") == 1


def test_an_interaction_that_lies_about_its_outputs_is_named(rng):
    liar = LargestEntry(len(SIZES) + 1, 3)
    model = build(interaction=liar)
    liar.num_outputs += 1
    with pytest.raises(ValueError, match="with its num_outputs it must be"):
        model.forward(one_hot(rng))
    none = LargestEntry(len(SIZES) + 1, 3)
    none.num_outputs = "4"
    with pytest.raises(ValueError, match="it must say as num_outputs"):
        build(interaction=none)
