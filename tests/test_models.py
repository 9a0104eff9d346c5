"""What holds for every model: gradients, PyTorch, published sizes, checkpoints, bad input."""

import numpy as np
import pytest
from conftest import assert_complex_step
from hypothesis import given, settings
from hypothesis import strategies as st

import minidlrm as md
from minidlrm import kernels
from minidlrm.data import Batch, Jagged

SIZES = [6, 4, 7]
PAIR = [6, 7]


def mlp(torch, state, name, x, last=False):
    count = len({key.split(".")[-2] for key in state if key.startswith(f"{name}.layers.")})
    for k in range(count):
        x = x @ state[f"{name}.layers.{k}.weight"].T + state[f"{name}.layers.{k}.bias"]
        if last or k < count - 1:
            x = torch.relu(x)
    return x


def lookup(torch, weight, ids, sizes):
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return weight[torch.from_numpy(ids + starts)]


def fields(torch, state, x, ids, sizes, name="fields"):
    z = lookup(torch, state[f"{name}.tables.weight"], ids, sizes)
    return torch.cat([x[:, :, None] * state[f"{name}.dense"], z], dim=1)


def linear(torch, state, x, ids, sizes):
    total = fields(torch, state, x, ids, sizes, "linear.fields").sum((1, 2))
    return total + state.get("linear.bias", 0)


def pairs(z):
    return sum((z[:, i] * z[:, j]).sum(1) for i in range(z.shape[1]) for j in range(i))


def fm_torch(torch, s, x, ids, sizes):
    return linear(torch, s, x, ids, sizes) + pairs(fields(torch, s, x, ids, sizes))


def mlp_torch(torch, s, x, ids, sizes):
    return mlp(torch, s, "mlp", fields(torch, s, x, ids, sizes).flatten(1))[:, 0]


def deepfm_torch(torch, s, x, ids, sizes):
    return fm_torch(torch, s, x, ids, sizes) + mlp_torch(torch, s, x, ids, sizes)


def wide_deep_torch(torch, s, x, ids, sizes):
    crossed = np.stack([ids[:, 0] * sizes[2] + ids[:, 2], ids[:, 1] * sizes[0] + ids[:, 0]], 1)
    cross_sizes = [sizes[0] * sizes[2], sizes[1] * sizes[0]]
    wide = lookup(torch, s["crosses.weight"], crossed, cross_sizes).sum((1, 2))
    return linear(torch, s, x, ids, sizes) + wide + mlp_torch(torch, s, x, ids, sizes)


def cross(torch, s, x0):
    x, k = x0, 0
    while f"cross.layers.{k}.weight" in s:
        w, b = s[f"cross.layers.{k}.weight"], s[f"cross.layers.{k}.bias"]
        if len(w) == 1:
            x = x0 * (x @ w.T) + b + x
        else:
            w = w @ s[f"cross.layers.{k}.down"] if f"cross.layers.{k}.down" in s else w
            x = x0 * (x @ w.T + b) + x
        k += 1
    return x


def dcn_torch(torch, s, x, ids, sizes):
    x0 = fields(torch, s, x, ids, sizes).flatten(1)
    top = torch.cat([cross(torch, s, x0), mlp(torch, s, "deep", x0, last=True)], dim=1)
    return (top @ s["last.weight"].T + s["last.bias"])[:, 0]


def stacked_torch(torch, s, x, ids, sizes):
    x0 = fields(torch, s, x, ids, sizes).flatten(1)
    top = mlp(torch, s, "deep", cross(torch, s, x0), last=True)
    return (top @ s["last.weight"].T + s["last.bias"])[:, 0]


def xdeepfm_torch(torch, s, x, ids, sizes):
    z = fields(torch, s, x, ids, sizes)
    h, pooled, k = z, [], 0
    while f"cin.layers.{k}.weight" in s:
        h = torch.einsum("hij,bid,bjd->bhd", s[f"cin.layers.{k}.weight"], h, z)
        h = h + s[f"cin.layers.{k}.bias"][:, None]
        pooled.append(h.sum(2))
        k += 1
    out = torch.cat(pooled, 1) @ s["cin_last.weight"].T + s["cin_last.bias"]
    return linear(torch, s, x, ids, sizes) + out[:, 0] + mlp_torch(torch, s, x, ids, sizes)


def mf_torch(torch, s, x, ids, sizes):
    p = lookup(torch, s["factors.weight"], ids, sizes)
    return 3.5 + pairs(p) + lookup(torch, s["biases.weight"], ids, sizes).sum((1, 2))


def gmf_torch(torch, s, x, ids, sizes):
    p = lookup(torch, s["tables.weight"], ids, sizes)
    return (p[:, 0] * p[:, 1] @ s["last.weight"].T + s["last.bias"])[:, 0]


def neumf_torch(torch, s, x, ids, sizes):
    p = lookup(torch, s["gmf_tables.weight"], ids, sizes)
    deep = lookup(torch, s["mlp_tables.weight"], ids, sizes).flatten(1)
    top = torch.cat([p[:, 0] * p[:, 1], mlp(torch, s, "mlp", deep, last=True)], dim=1)
    return (top @ s["last.weight"].T + s["last.bias"])[:, 0]


def on_fields(cls, **options):
    return lambda n, sizes, **more: cls(n, sizes, embedding_dim=3, **options, **more)


# name: (how to build it, the same in PyTorch, whether it takes users and items only)
MODELS = {
    "LR": (md.LogisticRegression, linear, False),
    "FM": (on_fields(md.FactorizationMachine), fm_torch, False),
    "MLP": (on_fields(md.MLPModel, mlp=(5, 4)), mlp_torch, False),
    "DeepFM": (on_fields(md.DeepFM, mlp=(5, 4)), deepfm_torch, False),
    "Wide & Deep": (
        on_fields(md.WideDeep, mlp=(5, 4), crosses=[(0, 2), (1, 0)]),
        wide_deep_torch,
        False,
    ),
    "DCN": (on_fields(md.DCN, num_cross_layers=2, cross="vector", mlp=(5, 4)), dcn_torch, False),
    "DCN v2": (on_fields(md.DCN, num_cross_layers=2, mlp=(5, 4)), dcn_torch, False),
    "DCN v2 low rank": (on_fields(md.DCN, num_cross_layers=2, rank=2, mlp=(5,)), dcn_torch, False),
    "DCN v2 stacked": (on_fields(md.DCN, structure="stacked", mlp=(5, 4)), stacked_torch, False),
    "xDeepFM": (on_fields(md.XDeepFM, cin_layers=(4, 3), mlp=(5, 4)), xdeepfm_torch, False),
    "MF": (
        lambda n, sizes, **more: md.MatrixFactorization(sizes, 3, mean=3.5, **more),
        mf_torch,
        True,
    ),
    "GMF": (lambda n, sizes, **more: md.GMF(sizes, 3, **more), gmf_torch, True),
    "NeuMF": (lambda n, sizes, **more: md.NeuMF(sizes, 3, mlp=(5, 4), **more), neumf_torch, True),
}


def build(name, dtype=np.float64, seed=0, sizes=None, num_dense=2):
    make, _, two = MODELS[name]
    model = make(0 if two else num_dense, sizes or (PAIR if two else SIZES), seed=seed, dtype=dtype)
    rng = np.random.default_rng(seed)
    for parameter in model.parameters():  # zeros would hide what they multiply
        if not parameter.value.any():
            parameter.value[...] = rng.normal(0, 0.3, parameter.value.shape)
    return model


def batch_for(name, rng, rows=8, sizes=None, num_dense=2):
    two = MODELS[name][2]
    sizes = sizes or (PAIR if two else SIZES)
    ids = np.stack([rng.integers(0, n, rows) for n in sizes], axis=1)
    label = (rng.random(rows) < 0.5).astype(np.float64)
    return Batch(rng.normal(size=(rows, 0 if two else num_dense)), ids, label)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_by_differences(name, rng):
    md.gradcheck(build(name), batch_for(name, rng), verbose=False).raise_if_failed()


@pytest.mark.parametrize("name", MODELS)
def test_gradients_by_complex_step(name, rng):
    assert_complex_step(build(name), batch_for(name, rng), rng)


@pytest.mark.oracle
@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=5)
@given(seed=st.integers(0, 1000), rows=st.integers(1, 9), size=st.integers(1, 6))
def test_pytorch_agrees_over_twenty_steps(name, torch, seed, rows, size):
    rng = np.random.default_rng(seed)
    sizes = [size, 3] if MODELS[name][2] else [size, 3, 5]
    model = build(name, seed=seed, sizes=sizes)
    state = {
        key: torch.tensor(value.copy(), requires_grad=True)
        for key, value in model.state_dict().items()
    }
    optimizer, oracle = md.Adagrad(0.02), torch.optim.Adagrad(state.values(), lr=0.02)
    loss, loss_oracle = md.BCEWithLogits(), torch.nn.BCEWithLogitsLoss()
    for _ in range(20):
        batch = batch_for(name, rng, rows, sizes)
        model.zero_grad()
        oracle.zero_grad()
        logits = model.forward(batch)
        expected = MODELS[name][1](torch, state, torch.from_numpy(batch.dense), batch.sparse, sizes)
        np.testing.assert_allclose(logits, expected.detach().numpy(), rtol=1e-6, atol=1e-9)
        loss.forward(logits, batch.label)
        model.backward(loss.backward())
        loss_oracle(expected, torch.from_numpy(batch.label)).backward()
        for key, parameter in model.named_parameters():
            grad = parameter.grad
            grad = grad.to_dense() if isinstance(grad, md.SparseGrad) else grad
            np.testing.assert_allclose(grad, state[key].grad.numpy(), rtol=1e-6, atol=1e-10)
        optimizer.step(model.parameters())
        oracle.step()


@pytest.mark.parametrize("name", MODELS)
def test_a_checkpoint_brings_it_back(name, rng, tmp_path):
    model, batch = build(name), batch_for(name, rng)
    md.save(model, tmp_path / "m.safetensors")
    again = md.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.forward(batch), model.forward(batch))


@pytest.mark.parametrize("name", [name for name in MODELS if not MODELS[name][2]])
def test_multi_hot_and_weighted_input(name, rng):
    if name == "Wide & Deep":
        with pytest.raises(ValueError, match="crosses need one id a table"):
            build(name).forward(Batch(np.zeros((1, 2)), Jagged([0, 0, 0], [0, 1, 2, 3])))
        return
    lengths = rng.integers(0, 3, (3, 4))
    values = np.concatenate(
        [rng.integers(0, n, k.sum()) for n, k in zip(SIZES, lengths, strict=True)]
    )
    bags = Jagged(values, np.concatenate([[0], np.cumsum(lengths)]), rng.normal(size=len(values)))
    batch = Batch(rng.normal(size=(4, 2)), bags)
    md.gradcheck(build(name), batch, verbose=False).raise_if_failed()


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_that_does_not_fit_is_named(name, rng):
    model, batch = build(name), batch_for(name, rng)
    with pytest.raises(ValueError, match="dense features, the model"):
        model.forward(Batch(np.zeros((8, 5)), batch.sparse))
    with pytest.raises(ValueError, match="the batch has 5 tables"):
        model.forward(Batch(batch.dense, np.zeros((8, 5), int)))
    with pytest.raises(IndexError, match=r"table 0: id \d+ out of range"):
        model.forward(Batch(batch.dense, batch.sparse + 99 * (np.arange(batch.num_tables) == 0)))
    with pytest.raises(RuntimeError, match="without a forward"):
        build(name).backward(np.zeros(8))


# The BARS benchmark's logged parameter counts (oracles: Criteo_x1 and MovieLensLatest_x1). The
# tables have one row here, and the rows that are missing are added: (rows, fields, dense).
CRITEO, MOVIELENS = (2_086_303, 26, 13), (90_239, 3, 0)
MLP400 = (400, 400, 400)
BATCH_NORM = 2 * sum(MLP400)  # in the logged models, not in ours


def count(model, setting, *, linear, embedded=True):
    rows, tables, _ = setting
    missing = rows - tables
    return model.num_parameters() + missing * (10 * embedded + linear)


@pytest.mark.parametrize(
    ("setting", "counts"),
    [
        (
            CRITEO,
            {
                "LR": 2_086_317,
                "FM": 22_949_477,
                "FFM": 398_486_357,
                "Wide & Deep": 23_429_477,
                "DCN": 21_343_491,
                "DCN v2": 22_018_021,
                "CIN": 23_158_213,
                "xDeepFM": 23_461_462,
                "DLRM": 21_664_241,
            },
        ),
        (
            MOVIELENS,
            {
                "LR": 90_240,
                "FM": 992_630,
                "FFM": 1_895_020,
                "Wide & Deep": 1_328_630,
                "DCN": 1_238_661,
                "DCN v2": 1_243_071,
                "CIN": 1_002_390,
                "xDeepFM": 1_351_767,
                "DLRM": 1_238_391,
            },
        ),
    ],
    ids=["Criteo_x1", "MovieLensLatest_x1"],
)
def test_parameter_counts_are_the_eighteen_published_ones(setting, counts):
    rows, tables, dense = setting
    criteo = setting is CRITEO
    args = (dense, [1] * tables)
    norm = 0 if criteo else BATCH_NORM  # BatchNorm is in the MovieLens DCNs only
    assert count(md.LogisticRegression(*args), setting, linear=1, embedded=False) == counts["LR"]
    fm = md.FactorizationMachine(*args, 10)
    assert count(fm, setting, linear=1) == counts["FM"]
    dim = 5 if criteo else 10  # a field-aware FM has a vector for each other field
    num_fields = dense + tables
    ffm = (rows + dense) * (1 + (num_fields - 1) * dim) + 1
    assert ffm == counts["FFM"]
    for model in (md.WideDeep(*args, 10, MLP400), md.DeepFM(*args, 10, MLP400)):
        assert count(model, setting, linear=1) + BATCH_NORM == counts["Wide & Deep"]
    dcn = md.DCN(*args, 10, 3 if criteo else 4, "vector", MLP400)
    assert count(dcn, setting, linear=0) + norm == counts["DCN"]
    deep = (500, 500, 500) if criteo else MLP400
    dcn2 = md.DCN(*args, 10, 3 if criteo else 5, "matrix", deep)
    assert count(dcn2, setting, linear=0) + norm == counts["DCN v2"]
    alone = md.XDeepFM(*args, 10, (32,) * (5 if criteo else 4), mlp=())
    assert count(alone, setting, linear=1) == counts["CIN"]
    xdeepfm = md.XDeepFM(*args, 10, (16, 16) if criteo else (64, 64, 64), MLP400)
    assert count(xdeepfm, setting, linear=1) == counts["xDeepFM"]
    interaction = "dot" if criteo else "cat"
    dlrm = md.DLRM(*args, 10, MLP400, MLP400, interaction)
    norms = BATCH_NORM * (2 if criteo else 1)  # in both MLPs
    assert count(dlrm, setting, linear=0) + norms == counts["DLRM"]


def test_flops_are_the_published_ones():
    """At F = 39 and D = 16; the oracles round to two or three figures."""
    args = (0, [1] * 39)
    linear = md.LogisticRegression(*args).flops_per_sample()
    fm = md.FactorizationMachine(*args, 16).flops_per_sample() - linear
    assert fm == 4 * 39 * 16 == 2496
    assert md.DotInteraction(27, 16).flops_per_sample() == 11_232
    assert (
        md.CrossNetwork(624, 3, "vector", rng=np.random.default_rng(0)).flops_per_sample() == 9_360
    )
    assert (
        round(md.CrossNetwork(624, 3, rng=np.random.default_rng(0)).flops_per_sample() / 1e6, 1)
        == 2.3
    )
    assert (
        round(
            md.CrossNetwork(624, 3, rank=64, rng=np.random.default_rng(0)).flops_per_sample() / 1e6,
            2,
        )
        == 0.48
    )
    mlp = md.MLPModel(*args, 16, MLP400).mlp.flops_per_sample()
    assert round(mlp / 1e6, 2) == 1.14


# Known answers


def test_neumf_with_a_zero_mlp_is_gmf(rng):
    neumf, gmf, batch = build("NeuMF"), build("GMF"), batch_for("NeuMF", rng)
    neumf.last.weight.value[0, 3:] = 0
    gmf.tables.weight.value[...] = neumf.gmf_tables.weight.value
    gmf.last.weight.value[...] = neumf.last.weight.value[:, :3]
    gmf.last.bias.value[...] = neumf.last.bias.value
    np.testing.assert_allclose(neumf.forward(batch), gmf.forward(batch), rtol=1e-12)


def test_deepfm_with_a_zero_mlp_is_fm(rng):
    deepfm, fm, batch = build("DeepFM"), build("FM"), batch_for("FM", rng)
    deepfm.mlp.layers[-1].weight.value[...] = 0
    deepfm.mlp.layers[-1].bias.value[...] = fm.linear.bias.value
    for mine, other in ((deepfm.linear.fields, fm.linear.fields), (deepfm.fields, fm.fields)):
        mine.load_state_dict(other.state_dict())
    np.testing.assert_allclose(deepfm.forward(batch), fm.forward(batch), rtol=1e-12)


def test_factorization_of_a_full_matrix_reaches_the_truncated_svd():
    rng = np.random.default_rng(0)
    ratings = rng.normal(size=(8, 6))
    s = np.linalg.svd(ratings, compute_uv=False)
    limit = np.sqrt((s[2:] ** 2).mean() * 4 / 48)  # root mean square of what rank 2 leaves
    ids = np.stack(np.meshgrid(range(8), range(6), indexing="ij"), axis=-1).reshape(-1, 2)
    data = Batch(np.zeros((48, 0)), ids, ratings.ravel())
    model = md.MatrixFactorization([8, 6], 2, biases=False, dtype=np.float64)
    loss, optimizer = md.MSE("sum"), md.SGD(0.02)
    for _ in range(3000):
        model.zero_grad()
        loss.forward(model.forward(data), data.label)
        model.backward(loss.backward())
        optimizer.step(model.parameters())
    assert md.metrics.rmse(data.label, model.forward(data)) == pytest.approx(limit, rel=1e-4)


def test_wide_weights_reach_the_pair_of_ids_they_are_for():
    model = md.WideDeep(0, [3, 4], 2, (2,), crosses=[(0, 1)])
    model.crosses.weight.value[2 * 4 + 1] = 5.0
    ids = np.array([[2, 1], [1, 2], [2, 2]])
    with_cross = model.forward(Batch(np.zeros((3, 0)), ids))
    model.crosses.weight.value[...] = 0
    without = model.forward(Batch(np.zeros((3, 0)), ids))
    np.testing.assert_allclose(with_cross - without, [5, 0, 0], atol=1e-6)
    hashed = md.WideDeep(0, [3, 4], 2, (2,), crosses=[(0, 1)], cross_buckets=5)
    assert hashed.crosses.weight.value.shape == (5, 1)
    hashed.forward(Batch(np.zeros((3, 0)), ids))


def test_two_optimizers_for_the_two_parts(rng):
    model, batch = build("Wide & Deep"), batch_for("Wide & Deep", rng)
    deep = [p.value.copy() for p in model.deep_parameters()]
    group = md.OptimizerGroup(
        [(md.FTRL(0.1, l1=100.0), model.wide_parameters()), (md.SGD(0.0), model.deep_parameters())]
    )
    model.forward(batch)
    model.backward(np.ones(8))
    group.step(model.parameters())
    rows = model.crosses.weight.grad.rows
    assert (model.crosses.weight.value[rows] == 0).all()  # L1 keeps them at zero
    for parameter, before in zip(model.deep_parameters(), deep, strict=True):
        np.testing.assert_array_equal(parameter.value, before)
    with pytest.raises(ValueError, match="belongs to no optimizer"):
        group.step([md.Parameter(np.zeros(1), "alone")])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: md.MatrixFactorization([3] * 26), "takes two tables, users and items; .* has 26"),
        (lambda: md.GMF([3]), "GMF takes two tables"),
        (lambda: md.NeuMF([3, 4], mlp=()), "NeuMF without an MLP is GMF"),
        (lambda: md.WideDeep(0, [3, 4], crosses=[(0, 2)]), r"crosses has \(0, 2\): it must"),
        (lambda: md.WideDeep(0, [3, 4], crosses=[(1, 1)]), r"crosses has \(1, 1\): it must"),
        (lambda: md.WideDeep(0, [3, 4], crosses=[(2, 0)]), r"crosses has \(2, 0\): it must"),
        (lambda: md.WideDeep(0, [3, 4], crosses=[(-1, 0)]), r"crosses has \(-1, 0\): it must"),
        (lambda: md.WideDeep(0, [3, 4], crosses=[(1, -1)]), r"crosses has \(1, -1\): it must"),
        (lambda: md.WideDeep(0, [3, 4], cross_buckets=0), "cross_buckets is 0"),
        (lambda: md.XDeepFM(0, [3, 4], cin_layers=(0,)), r"cin_layers\[0\] is 0"),
        (lambda: md.XDeepFM(0, [3, 4], cin_layers=()), "cin_layers is empty"),
        (lambda: md.DCN(0, [3, 4], structure="both"), "structure is 'both'"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_crosses_are_pairs_of_tables_or_none():
    for crosses in (0, "ab", {}, (0, 1), [(0,)], [(0, 1), (0, 1, 2)], [[]], [("a", "b")]):
        with pytest.raises(TypeError, match="crosses"):
            md.WideDeep(0, [3, 4], 2, (2,), crosses=crosses)
    for crosses in ((), [], np.zeros((0, 2), int)):
        assert md.WideDeep(0, [3, 4], 2, (2,), crosses=crosses).config["crosses"] == []
    for crosses in ([(0, 1), (1, 0)], np.array([[0, 1], [1, 0]])):
        model = md.WideDeep(0, [3, 4], 2, (2,), crosses=crosses)
        assert model.config["crosses"] == [[0, 1], [1, 0]]


@pytest.mark.parametrize("seed", [7, (7, 1)])
def test_sequential_sgd_is_the_rule_rating_by_rating(seed):
    rng = np.random.default_rng(0)
    model = md.MatrixFactorization([5, 4], 3, mean=3.0, dtype=np.float64)
    ids = np.stack([rng.integers(0, 5, 30), rng.integers(0, 4, 30)], axis=1)
    data = Batch(np.zeros((30, 0)), ids, rng.normal(3, 1, 30))
    p, q = model.factors.table(0).copy(), model.factors.table(1).copy()
    bu, bi = np.zeros(5), np.zeros(4)
    for k in np.random.default_rng(seed).permutation(30):
        u, i = ids[k]
        error = data.label[k] - (3.0 + bu[u] + bi[i] + p[u] @ q[i])
        bu[u] += 0.1 * (error - 0.02 * bu[u])
        bi[i] += 0.1 * (error - 0.02 * bi[i])
        p[u], q[i] = (
            p[u] + 0.1 * (error * q[i] - 0.02 * p[u]),
            q[i] + 0.1 * (error * p[u] - 0.02 * q[i]),
        )
    model.sgd_epoch(data, lr=0.1, reg=0.02, seed=seed)
    np.testing.assert_allclose(model.factors.weight.value, np.concatenate([p, q]), rtol=1e-12)
    np.testing.assert_allclose(
        model.biases.weight.value[:, 0], np.concatenate([bu, bi]), rtol=1e-12
    )


def test_sequential_sgd_checks_before_it_changes_anything():
    model = md.MatrixFactorization([5, 4], 3)
    before = model.factors.weight.value.copy()
    with pytest.raises(IndexError, match="table 1: id 4 out of range"):
        model.sgd_epoch(
            Batch(np.zeros((2, 0)), np.array([[0, 0], [1, 4]]), np.ones(2)), 0.1, 0.0, 0
        )
    with pytest.raises(ValueError, match="needs labels"):
        model.sgd_epoch(Batch(np.zeros((1, 0)), np.array([[0, 0]])), 0.1, 0.0, 0)
    with pytest.raises(ValueError, match="the data has 0 tables, the model 2"):
        model.sgd_epoch(Batch(np.zeros((1, 0)), np.zeros((1, 0), int), np.ones(1)), 0.1, 0.0, 0)
    np.testing.assert_array_equal(model.factors.weight.value, before)


def tables(count=2, num_dense=0, bags=False):
    ids = np.zeros((2, count), int)
    sparse = Jagged(ids.ravel(), np.arange(2 * count + 1)) if bags else ids
    rows = Batch(np.zeros((2, num_dense), np.float32), sparse, np.array([0.0, 1.0]))
    return md.Dataset(rows, rows, rows, [5] * count, [], "made here")


def test_a_model_of_pairs_takes_two_tables_and_no_numbers():
    entry = md.MODELS["gmf"]
    assert entry.pairs_only
    assert entry.cls.for_data(tables()).config["table_sizes"] == [5, 5]
    assert entry.fits(tables())
    for data in (tables(1), tables(3), tables(2, num_dense=1)):
        assert not entry.fits(data)
        with pytest.raises(ValueError, match="takes users and items"):
            entry.cls.for_data(data)


def test_other_models_take_any_features_but_some_no_bags():
    for data in (tables(1), tables(3, num_dense=1)):
        assert all(md.MODELS[name].fits(data) for name in ("fm", "wide-deep"))
    assert md.MODELS["fm"].fits(tables(bags=True))
    assert not md.MODELS["wide-deep"].fits(tables(bags=True))


def test_wide_deep_crosses_the_two_smallest_tables():
    build = md.MODELS["wide-deep"].build
    assert build(1, [9, 4, 5], 2, (3,)).config["crosses"] == [[1, 2]]
    assert build(1, [9], 2, (3,)).config["crosses"] == []


@pytest.mark.parametrize("name", md.MODELS)
def test_the_default_seed_is_zero(name):
    entry = md.MODELS[name]
    if entry.cls is md.LogisticRegression:
        return  # draws nothing
    sizes = {"table_sizes": [5, 6], "num_dense": 2}
    sizes = {key: value for key, value in sizes.items() if key in entry.arguments}

    def values(**seed):
        model = entry.cls(**sizes, **entry.options, **seed)
        return np.concatenate([p.value.ravel() for p in model.parameters()])

    np.testing.assert_array_equal(values(), values(seed=0))
    assert (values() != values(seed=1)).any()
    built = entry.build(0, [5, 6], 4, (3,))
    for mine, zero in zip(
        built.parameters(), entry.build(0, [5, 6], 4, (3,), seed=0).parameters(), strict=True
    ):
        np.testing.assert_array_equal(mine.value, zero.value)


def test_factors_begin_around_zero_and_biases_at_zero():
    model = md.MatrixFactorization([400, 600], 10)
    factors = model.factors.weight.value
    assert factors.std() == pytest.approx(0.1, rel=0.03)
    assert abs(factors.mean()) < 0.005
    assert not model.biases.weight.value.any()
    assert model.config["mean"] == 0
    assert md.MatrixFactorization([3, 4], biases=False).biases is None


def test_models_of_pairs_need_no_dense_features_and_two_tables():
    for cls in (md.MatrixFactorization, md.GMF, md.NeuMF):
        for sizes in ([3], [3, 4, 5]):
            with pytest.raises(ValueError, match=f"{cls.__name__} takes two tables"):
                cls(sizes)
        with pytest.raises(ValueError, match="dense features, the model"):
            cls([3, 4]).forward(Batch(np.zeros((2, 1)), np.zeros((2, 2), int)))


def test_one_table_and_one_number_have_no_pair_to_cross():
    build = md.MODELS["wide-deep"].build
    assert build(0, [4, 9], 2, (3,)).config["crosses"] == [[0, 1]]
    assert build(1, [5, 5, 5], 2, (3,)).config["crosses"] == [[0, 1]]  # the first of equals
    dlrm = md.MODELS["dlrm"].build(2, [4, 5], 3, (8, 7))
    assert (dlrm.config["bottom_mlp"], dlrm.config["top_mlp"]) == ([7], [8, 7])


def test_sequential_sgd_names_what_it_does_not_take():
    model = md.MatrixFactorization([5, 4], 3)
    bags = Jagged([0, 1], [0, 1, 2])
    for batch, message in [
        (Batch(np.zeros((1, 0)), bags, np.ones(1)), "these are bags"),
        (Batch(np.zeros((1, 1)), np.zeros((1, 2), int), np.ones(1)), "1 dense features"),
        (Batch(np.zeros((1, 0)), np.zeros((1, 3), int), np.ones(1)), "3 tables"),
        (Batch(np.zeros((1, 0)), np.zeros((1, 2), int), np.array([np.nan])), "label"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.sgd_epoch(batch, 0.1, 0.0, 0)


def test_sequential_sgd_without_biases_changes_factors_alone(monkeypatch):
    monkeypatch.setattr(kernels, "mf_epoch", kernels.reference.mf_epoch)  # it checks its bounds
    model = md.MatrixFactorization([2, 2], 1, biases=False, dtype=np.float64)
    model.factors.weight.value[...] = [[1.0], [0], [2.0], [0]]
    data = Batch(np.zeros((1, 0)), np.array([[0, 0]]), np.array([5.0]))
    assert model.sgd_epoch(data, 0.1, 0.0, 0) == 9  # (5 - 1 * 2)^2
    np.testing.assert_allclose(model.factors.weight.value, [[1.6], [0], [2.3], [0]])


def test_only_models_that_can_share_a_table_fit_data_whose_columns_share_one():
    pytest.importorskip("pyarrow")
    rows = {"y": [0, 1] * 4, "u": list("abca") * 2, "v": list("bbca") * 2}
    options = {"label": "y", "sparse": ["u", "v"], "min_count": 1, "progress": False}
    apart = md.data.read_table(rows, **options)
    shared = md.data.read_table(rows, share={"v": "u"}, **options)
    for name, can_share in (("fm", True), ("gmf", False)):
        assert md.MODELS[name].fits(apart)
        assert md.MODELS[name].fits(shared) == can_share
