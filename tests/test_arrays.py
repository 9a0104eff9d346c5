"""Arguments of the wrong kind: the error names the argument, and nothing is changed before."""

import numpy as np
import pytest

import minidlrm as md
from minidlrm.arrays import as_flag, as_size, as_sizes, doubles, paired

ROWS = {"click": [0, 1] * 20, "city": ["Ulm", "Rom"] * 20}


def rows(count=4):
    label = np.arange(count, dtype=np.float32) % 2
    return md.Batch(np.zeros((count, 2), np.float32), np.zeros((count, 2), int), label)


def model():
    return md.LogisticRegression(2, [3, 4])


def table():
    return md.Parameter(np.zeros((4, 2)), "weight")


def few(rows=(1,)):
    return md.SparseGrad(np.array(rows), np.ones((len(rows), 2)), (4, 2))


CALLS = {
    "epochs": lambda: md.fit(model(), rows(), epochs="2", progress=False),
    "batch_size": lambda: md.fit(model(), rows(), batch_size=[2], progress=False),
    "eval_every": lambda: md.fit(model(), rows(), eval_every=np.array([2, 3]), progress=False),
    "patience": lambda: md.fit(model(), rows(), rows(), patience=1.5, progress=False),
    "checkpoint_every": lambda: md.fit(model(), rows(), checkpoint="m", checkpoint_every="1"),
    "max_grad_norm": lambda: md.fit(model(), rows(), max_grad_norm=[1.0], progress=False),
    "seed": lambda: md.fit(model(), rows(), seed="sum", progress=False),
    "callback": lambda: md.fit(model(), rows(), callback=-1, progress=False),
    "logits": lambda: md.predict(model(), rows(), logits=np.array([True, False])),
    "k": lambda: md.metrics.hit_rate(np.ones((2, 3)), k=[1]),
    "scores": lambda: md.metrics.hit_rate([["a", "b"]]),
    "label": lambda: md.metrics.auc(["a", "b"], [0.1, 0.2]),
    "sample_weight": lambda: md.metrics.auc([0, 1], [0.1, 0.2], [None, "x"]),
    "SparseGrad.shape": lambda: md.SparseGrad(np.array([0]), np.ones((1, 2)), "ab"),
    "SparseGrad.shape[0]": lambda: md.SparseGrad(np.array([0]), np.ones((1, 2)), (2.5, 2)),
    "other": lambda: few() + 1,
    "grad": lambda: table().add_grad((1.0, 2.0)),
    "crosses": lambda: md.WideDeep(2, [3, 4], 2, (4,), crosses=0),
    "mlp": lambda: md.NeuMF([3, 4], 2, mlp=-0.5),
    "table_sizes": lambda: md.LogisticRegression(2, np.uint8(3)),
    "cross_rank": lambda: md.layers.CrossInteraction(2, 3, 2, "", rng=np.random.default_rng(0)),
    "num_dense": lambda: md.DLRM(None, [3, 4], 2, (4,), (4,)),
    "threshold": lambda: md.layers.ComposedTables(
        [3], 2, threshold=(1,), rng=np.random.default_rng(0)
    ),
    "test_share": lambda: md.data.movielens_ratings("none", test_share="sum"),
    "ax": lambda: md.diagram(md.DLRM(2, [3, 4], 2, (4,), (4,)), ax=0.5),
    "self_interaction": lambda: md.DLRM(2, [3, 4], 2, (4,), (4,), self_interaction=[1, 2]),
    "rows": lambda: rows()["a"],
    "t": lambda: rows().ids_of([0.5]),
    "which": lambda: rows().tables(["a"]),
    "data": lambda: next(md.data.minibatches([1, 2], 1)),
    "lr": lambda: md.warmup_decay(1, [0.1]),
    "step": lambda: md.warmup_decay({}, 0.1),
    "factor": lambda: md.training.scale_grads([], ()),
    "train": lambda: md.training.begin_at_the_mean(model(), [1.0]),
    "wanted": lambda: md.checking.difference(1.0, None),
    "hash_size": lambda: md.data.read_criteo("train.txt", hash_size=[1, 2]),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_value_of_the_wrong_type_is_a_type_error_that_names_the_argument(name):
    with pytest.raises(TypeError) as error:
        CALLS[name]()
    assert str(error.value).startswith(name)


WORDS = {
    "mode": lambda: md.EmbeddingBagCollection([3], 2, ["sum"], rng=np.random.default_rng(0)),
    "reduction": lambda: md.BCEWithLogits(np.array([2, 3])),
    "structure": lambda: md.DCN(2, [3], 2, (4,), structure=np.array(["parallel", "stacked"])),
    "cross": lambda: md.CrossNetwork(3, 1, np.array([1, 2]), rng=np.random.default_rng(0)),
    "qr_operation": lambda: md.DLRM(2, [3], 2, (4,), (4,), "cat", qr_operation=float("nan")),
    "task": lambda: md.evaluate(model(), rows(), task=np.array(["clicks", "ratings"])),
}


@pytest.mark.parametrize("name", WORDS)
def test_what_is_no_word_of_the_list_is_refused_with_the_list(name):
    with pytest.raises(ValueError, match=f"{name} is .*: it must be '"):
        WORDS[name]()


@pytest.mark.parametrize("picked", [[4], [-5], [True] * 3, np.array([2**40])])
@pytest.mark.parametrize("bags", [False, True])
def test_row_numbers_out_of_range_are_named(picked, bags):
    batch = rows()
    if bags:
        jagged = md.Jagged(np.zeros(8, int), np.arange(9))
        batch = md.Batch(batch.dense, jagged, batch.label)
    with pytest.raises(IndexError, match=r"rows .*: there are 4 to choose from"):
        batch[picked]
    assert len(batch[[-4, 3]]) == 2
    assert len(batch[[True, False, False, True]]) == 2


@pytest.mark.parametrize("t", [-1, 2])
def test_there_are_as_many_tables_as_there_are(t):
    with pytest.raises(ValueError, match=f"t is {t}"):
        rows().ids_of(t)
    with pytest.raises(IndexError, match="which has 2"):
        rows().tables([2])


@pytest.mark.parametrize("name", ["schema", "source"])
def test_rows_are_scored_by_a_schema_from_a_source(name):
    data = md.data.read_table(ROWS, label="click", sparse=["city"], progress=False)
    given = {"schema": data.schema, "source": md.data.open_source(ROWS), name: ["a"]}
    for function in (md.scoring.evaluate_rows, lambda *a, **k: list(md.scoring.scores(*a, **k))):
        with pytest.raises(TypeError, match=f"{name} is of type list"):
            function(md.LogisticRegression.for_data(data), **given)


def test_only_a_schema_is_saved_as_one(tmp_path):
    with pytest.raises(TypeError, match="schema is of type tuple"):
        md.save(model(), tmp_path / "m.safetensors", schema=())
    assert not list(tmp_path.iterdir())


def test_the_metrics_of_outputs_name_the_array_that_is_wrong():
    label = np.array([0.0, 1.0])
    for output, weight, words in [
        (1.5, None, "output"),
        ([0.1, np.nan], None, r"output\[1\] is NaN"),
        ([0.1, 0.2], [1.0], "weight has shape"),
        ([0.1, 0.2], [0.0, 0.0], "weight must hold"),
    ]:
        with pytest.raises(ValueError, match=words):
            md.training.metrics_of(label, output, "clicks", weight)


def test_gradients_of_a_few_rows_and_of_all_add_up():
    for order in (1, -1):
        parameter = table()
        for grad in [few(), np.full((4, 2), 2.0)][::order]:
            parameter.add_grad(grad)
        assert parameter.grad.tolist() == [[2, 2], [3, 3], [2, 2], [2, 2]]
    with pytest.raises(ValueError, match=r"other is of a table \(5, 2\)"):
        few() + md.SparseGrad(np.array([1]), np.ones((1, 2)), (5, 2))


def test_a_size_is_a_python_integer_within_its_bounds():
    assert type(as_size("n", np.int32(3))) is int
    assert as_size("n", 0, 0, 0) == 0
    assert as_sizes("n", np.array([2, 3])) == [2, 3]
    for value, words in [(0, "at least 1"), (10**20, "at most")]:
        with pytest.raises(ValueError, match=f"n is {value}: it must be {words}"):
            as_size("n", value)
    with pytest.raises(TypeError, match="n is 'ab': it must be a list"):
        as_sizes("n", "ab")


def test_a_seed_may_be_larger_than_a_size():
    assert md.LogisticRegression(2, [3], seed=10**20).num_parameters() == 6


def test_a_switch_is_true_or_false():
    assert [as_flag("f", x) for x in (1, 0, np.True_, False)] == [True, False, True, False]
    for value in ("yes", 2, None, [1]):
        with pytest.raises(TypeError, match="f is .*: it must be True or False"):
            as_flag("f", value)


def test_numbers_for_a_metric_become_float64():
    assert doubles("x", [True, False]).tolist() == [1.0, 0.0]
    assert doubles("x", np.array([1, 2.5], object)).dtype == np.float64
    for array in (np.array([1j]), np.array([None, "a"], object)):
        with pytest.raises(TypeError, match="x has dtype"):
            doubles("x", array)
    given = np.ones(2)
    assert paired("a", given, "b", [2, 3])[0] is not given
