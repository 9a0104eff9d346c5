"""Invariants that hold also after an object was made: options, gradients, states, offsets."""

import numpy as np
import pytest

import minidlrm as md
from minidlrm import kernels
from minidlrm.arrays import as_dtype, as_names, as_path, as_sizes, check_room, native


def parameter():
    weight = md.Parameter(np.ones((3, 2)), "weight")
    weight.grad = np.ones((3, 2))
    return weight


@pytest.mark.parametrize(
    ("optimizer", "name", "value"),
    [
        (md.SGD(0.1), "lr", "sum"),
        (md.SGD(0.1), "weight_decay", -1),
        (md.Momentum(0.1), "momentum", 2),
        (md.Adagrad(0.1), "eps", [0.1]),
        (md.RowwiseAdagrad(0.1), "eps", -1),
        (md.Adam(0.1), "betas", 0.9),
        (md.Adam(0.1), "eps", None),
        (md.FTRL(0.1), "l1", np.nan),
        (md.FTRL(0.1), "beta", "1"),
    ],
)
def test_an_option_that_is_assigned_is_checked_by_the_next_step(optimizer, name, value):
    weight = parameter()
    setattr(optimizer, name, value)
    with pytest.raises((TypeError, ValueError), match=name):
        optimizer.step([weight])
    assert optimizer.num_steps == 0
    assert (weight.value == 1).all()


@pytest.mark.parametrize("rate", [np.nan, -0.1, "0.1", None])
def test_a_rate_that_a_function_returns_is_checked_before_the_step(rate):
    optimizer, weight = md.SGD(lambda step: rate), parameter()
    with pytest.raises((TypeError, ValueError), match="lr is"):
        optimizer.step([weight])
    assert optimizer.num_steps == 0
    assert (weight.value == 1).all()


def test_a_state_with_a_mask_is_refused():
    optimizer, weight = md.Momentum(0.1), parameter()
    optimizer.step([weight])
    velocity = optimizer.state[weight]["velocity"]
    optimizer.state[weight]["velocity"] = np.ma.masked_array(velocity, velocity > 0)
    with pytest.raises(TypeError, match="the state 'velocity' of weight is a MaskedArray"):
        optimizer.step([weight])


@pytest.mark.parametrize("use", [md.training.grad_norm, md.SGD(0.1).step])
@pytest.mark.parametrize(
    ("grad", "message"),
    [
        (1.0, "the gradient of weight is of type float"),
        ([[1.0]], "the gradient of weight is of type list"),
        (np.ones(2), r"the gradient of weight has shape \(2,\)"),
        (np.full((3, 2), "a"), "a gradient of <U1 does not fit"),
        (np.ma.masked_array(np.ones((3, 2)), True), "the gradient of weight is a masked array"),
    ],
)
def test_a_gradient_that_is_assigned_is_checked_where_it_is_used(use, grad, message):
    weight = parameter()
    weight.grad = grad
    with pytest.raises((TypeError, ValueError), match=message):
        use([weight])


def test_scaled_gradients_of_integers_are_not_cut():
    weight = parameter()
    weight.grad = np.ones((3, 2), int)
    md.training.scale_grads([weight], 0.5)
    assert (weight.grad == 0.5).all()
    weight.grad = md.SparseGrad([1], np.ones((1, 2)), (3, 2))
    weight.grad.values.flags.writeable = False
    md.training.scale_grads([weight], 0.5)
    assert weight.grad.to_dense().sum() == 1.0


@pytest.mark.parametrize("offset", [-1, 7, 2**62, -(2**62)])
def test_offsets_that_were_changed_in_place_are_found_before_a_cut(offset):
    bags = md.Jagged([0, 1, 2, 0], np.arange(5))
    batch = md.Batch(np.zeros((2, 0), np.float32), bags)
    bags.offsets[1] = offset
    for use in (lambda: batch[:1], lambda: batch.ids_of(0), lambda: batch.tables([0])):
        with pytest.raises(ValueError, match="offsets"):
            use()


@pytest.mark.parametrize("rows", [slice("a"), slice(None, None, 0), slice(1.5)])
def test_a_slice_of_no_numbers_is_named(rows):
    batch = md.Batch(np.zeros((2, 0), np.float32), [[0], [1]])
    with pytest.raises((TypeError, ValueError), match="rows is slice"):
        batch[rows]


@pytest.mark.parametrize(
    ("make", "sizes"), [(md.EmbeddingBag, (4, 2)), (md.QREmbeddingBag, (4, 2, 2))]
)
def test_weights_that_are_no_floats_are_named_as_the_caller_names_them(make, sizes):
    bag = make(*sizes, mode="sum", rng=np.random.default_rng(0))
    with pytest.raises(TypeError, match="per_sample_weights has dtype int64"):
        bag.forward([[0, 1]], per_sample_weights=[[1, 2]])


@pytest.mark.parametrize("name", md.MODELS)
@pytest.mark.parametrize("given", [None, [0, 1], "dataset"])
def test_a_model_takes_a_batch_alone(name, given):
    if given == "dataset":
        rows = md.Batch(np.zeros((2, 0), np.float32), [[0, 0], [1, 1]])
        given = md.Dataset(rows, rows, rows, [2, 2], ["a", "b"], "")
    model = md.MODELS[name].build(0, [2, 2], embedding_dim=2, mlp=(2,))
    with pytest.raises(TypeError, match="batch is a"):
        model.forward(given)


def test_the_task_of_a_model_is_checked_where_it_is_used(tmp_path):
    model = md.LogisticRegression(0, [2, 2])
    rows = md.Batch(np.zeros((2, 0), np.float32), [[0, 0], [1, 1]], np.array([0.0, 1.0]))
    for task in ("clicks ", 3, None, np.array(["clicks", "ratings"])):
        model.task = task
        for use in (
            lambda: md.predict(model, rows),
            lambda: md.fit(model, rows, progress=False),
            lambda: md.save(model, tmp_path / "m"),
        ):
            with pytest.raises(ValueError, match="task is"):
                use()
    assert not list(tmp_path.iterdir())


def test_options_of_numpy_can_be_written_into_a_checkpoint(tmp_path):
    rows = md.Batch(np.zeros((2, 0), np.float32), [[0, 0], [1, 1]], np.array([0.0, 1.0]))
    options = {"epochs": np.int64(2), "batch_size": np.uint8(1), "seed": np.int32(3)}
    options |= {"max_grad_norm": np.float32(5), "eval_every": np.int16(1), "progress": False}
    for resume in (False, True):
        model = md.LogisticRegression(0, [2, 2])
        md.fit(model, rows, checkpoint=tmp_path / "m", resume=resume, **options)


@pytest.mark.parametrize("name", md.MODELS)
def test_a_size_of_eight_bits_makes_the_model_that_an_integer_makes(name):
    entry = md.MODELS[name]
    tables = [3, 3] if entry.pairs_only else [3] * 40
    small = entry.build(0, tables, embedding_dim=np.uint8(16), mlp=(np.int8(8),))
    plain = entry.build(0, tables, embedding_dim=16, mlp=(8,))
    assert small.config == plain.config
    assert small.num_parameters() == plain.num_parameters()


@pytest.mark.parametrize("seed", [np.array(2), np.uint8(2)])
def test_a_seed_of_numpy_is_that_of_python(seed):
    x = np.ones((2, 3))
    reports = [md.gradcheck(md.Sigmoid(), x, seed=s, verbose=False) for s in (seed, 2)]
    assert str(reports[0]) == str(reports[1])
    reports = [md.checking.optimcheck(md.SGD(0.1), seed=s, verbose=False) for s in (seed, 2)]
    assert str(reports[0]) == str(reports[1])


@pytest.mark.parametrize("kernel", [kernels.reference.mf_epoch, kernels.mf_epoch])
def test_an_error_whose_square_is_infinite_is_told_by_both_backends(kernel, monkeypatch):
    monkeypatch.setattr(kernels, "mf_epoch", kernel)
    model = md.MatrixFactorization([2, 2], 1, dtype=np.float64)
    rows = md.Batch(np.zeros((1, 0), np.float32), [[0, 1]], np.array([1e200]))
    with pytest.raises(FloatingPointError, match="sgd_epoch: the error"):
        model.sgd_epoch(rows, 0.1, 0.0, 0)


def test_users_and_items_are_no_bags():
    bags = md.Jagged([0, 1, 1, 0, 1], [0, 1, 2, 4, 5])
    rows = md.Batch(np.zeros((2, 0), np.float32), bags, np.array([0.0, 1.0]))
    data = md.Dataset(rows, rows, rows, [2, 2], ["user", "tags"], "")
    with pytest.raises(ValueError, match="item: table 1 holds bags"):
        md.recommending.Catalogue.of(data)


@pytest.mark.parametrize("ids", [[0, -1, 0], [0, 0, 2**40], [3, 0, 0], [0, 0, -(2**62)]])
@pytest.mark.parametrize("bags", [False, True])
def test_a_catalogue_is_made_of_ids_that_the_tables_have(ids, bags):
    sparse = md.Jagged(ids, [0, 1, 2, 3]) if bags else np.array([ids])
    rows = md.Batch(np.zeros((1, 0), np.float32), sparse)
    data = md.Dataset(rows, rows, rows, [2, 2, 2], ["user", "item", "other"], "")
    with pytest.raises(IndexError, match=r"data.train.sparse, table \d: id .* out of range"):
        md.recommending.Catalogue.of(data)


def test_a_user_is_not_folded_in_by_a_reg_that_is_lost_in_rounding():
    model = md.MatrixFactorization([2, 2], 3, dtype=np.float64)
    model.factors.weight.value[...] = 1
    with pytest.raises(ValueError, match="reg is 1e-30: it is lost beside the items' vectors"):
        md.fold_in(model, [0], [3.0], reg=1e-30)


def test_a_catalogue_fits_into_memory():
    rows = md.Batch(np.zeros((1, 0), np.float32), [[0, 0]])
    data = md.Dataset(rows, rows, rows, [2, 10**13], ["user", "item"], "")
    with pytest.raises(ValueError, match=r"data.table_sizes\[1\]: an array"):
        md.recommending.Catalogue.of(data)


def test_scores_of_another_catalogue_are_refused():
    catalogue = md.recommending.Catalogue.of_pairs(3, 4)
    with pytest.raises(ValueError, match=r"model is an array of shape \(2, 4\): catalogue has 3"):
        md.rank_metrics(np.zeros((2, 4)), [[0, 1]], [[0, 2]], catalogue=catalogue)


def test_the_report_of_an_optimizer_can_be_drawn():
    from matplotlib.figure import Figure

    report = md.checking.optimcheck(md.SGD(0.1), verbose=False)
    assert len(report.plot(axes=Figure().subplots(1, 2))) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: as_path("path", 3), "path is 3"),
        (lambda: as_path("path", ""), "path is ''"),
        (lambda: as_dtype(None), "dtype is None"),
        (lambda: as_dtype("i4"), "dtype is 'i4'"),
        (lambda: as_names("names", "ab"), "names is 'ab'"),
        (lambda: as_sizes("mlp", {4, 2}), "mlp is {"),
        (lambda: as_sizes("mlp", iter([4, 2])), "mlp is <"),
        (lambda: check_room("rows", 2**40, 2**20), "rows: an array"),
        (lambda: native("x", np.ma.zeros(2, [("a", "f4")])), "x has dtype"),
        (lambda: native("x", [[1.0], [1.0, 2.0]]), "x is not an array"),
        (lambda: md.Linear(10**13, 10, rng=np.random.default_rng(0)), "in_features or out"),
        (lambda: md.MLP([3, 10**13], rng=np.random.default_rng(0)), "sizes .of an mlp, bottom"),
        (lambda: md.EmbeddingBag(10**13, 8, rng=np.random.default_rng(0)), "num_embeddings"),
        (
            lambda: md.CIN(3, 2, [10**13], rng=np.random.default_rng(0)),
            "cin_layers or num_features: an",
        ),
        (lambda: md.MatrixCross(10**13, 2, rng=np.random.default_rng(0)), "in_features: an array"),
        (lambda: md.DLRM(1, [3], interaction=np.array([2, 3])), "interaction is array"),
        (lambda: md.DLRM(1, [3], interaction={"layer": np.array([2])}), "interaction is {'layer'"),
        (lambda: md.DLRM(1, [3], interaction={"layer": "sigmoid"}), "'sigmoid' is not a layer"),
        (
            lambda: md.DLRM(1, [3], interaction={"layer": "Flatten", "a": 1}),
            "missing a required argument",
        ),
        (lambda: md.LogisticRegression(1, [3], seed="abc"), "seed is 'abc'"),
        (lambda: md.WideDeep(1, [3, 4], 2, (2,), [(0, 1)], 10**13), "crosses or cross_buckets: an"),
        (lambda: md.OptimizerGroup([(md.SGD(0.1), 3)]), r"groups\[0\]\[1\] is 3"),
        (lambda: md.OptimizerGroup([(md.SGD(0.1), [3])]), r"groups\[0\]\[1\] is of type int"),
    ],
)
def test_what_an_argument_cannot_be_is_refused_by_its_name(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
