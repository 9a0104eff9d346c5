"""A step in K blocks: the same bits whoever walks them, and the same step as a whole."""

import contextlib
import itertools
import operator
import threading
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import minidlrm as md
from minidlrm import blocks as module
from minidlrm import kernels
from minidlrm.blocks import Blocks, Team, blocks, blocks_for, cut, ends_of
from minidlrm.kernels import parts
from minidlrm.machine import _blas, one_blas_thread
from minidlrm.watching import watched
from tests.fixtures.record import MODELS, digest, rows_for


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 8 rows and more, and of any work; arrays of any size are shared out."""
    monkeypatch.setattr(module, "_FIRST", 16)
    monkeypatch.setattr(module, "_ROWS", 8)
    monkeypatch.setattr(module, "_LIGHT", 0.0)
    monkeypatch.setattr(parts, "_MANY", 0)


def trained(name, optimizer, workers, batch_size=72, **options):
    """The digest of a model after an epoch of three batches; the last one is shorter."""
    cls, arguments, _, _ = MODELS[name]
    model, rows = cls(**arguments, seed=3), rows_for(name)[:200]
    weight = np.linspace(0.5, 1.5, len(rows)).astype(np.float32)
    rows = md.Batch(rows.dense, rows.sparse, rows.label, weight)
    rule = md.OPTIMIZERS[optimizer](lr=0.05)
    md.fit(
        model,
        rows,
        optimizer=rule,
        loss=md.BCEWithLogits(),
        batch_size=batch_size,
        progress=False,
        workers=workers,
        **options,
    )
    return digest(model, rule)


def blas_threads():
    """Threads of the BLAS libraries that were loaded first: NumPy's (SciPy may bring its own)."""
    return [library["num_threads"] for library in _blas().info()]


# How a batch is cut


def test_the_number_of_blocks_is_a_power_of_two_that_depends_on_the_rows_alone():
    counts = [blocks(rows) for rows in range(1, 70_000, 7)]
    assert all(k & (k - 1) == 0 for k in counts)
    assert counts == sorted(counts)
    assert blocks(1) == blocks(100) == 1
    assert blocks(65_536) > blocks(2048) > blocks(128) > 1


@pytest.mark.parametrize("count", [1, 2, 4, 8, 64])
def test_blocks_are_of_nearly_equal_sizes_and_never_empty(count):
    for rows in (count, count + 1, 32 * count, 1000 * count + 5):
        sizes = np.diff(ends_of(rows, count))
        assert sizes.sum() == rows
        assert sizes.min() >= 1
        assert np.abs(sizes - rows / count).max() <= 1 + rows / count / 32
    if count < 4:
        assert np.ptp(np.diff(ends_of(1001, count))) <= 1
    else:  # a thread that takes every other block is ahead, until the end
        sizes = np.diff(ends_of(1024 * count, count))
        assert [*sizes[:2], *sizes[-2:]] == [1056, 992, 1056, 992]
        assert set(sizes[2:-2]) <= {1024}


def test_a_batch_is_cut_where_blocks_end():
    batch = md.Batch(np.arange(11.0)[:, None], np.zeros((11, 1), int))
    parts = cut(batch, 4)
    assert [len(part) for part in parts] == [2, 3, 3, 3]
    np.testing.assert_array_equal(np.concatenate([part.dense for part in parts]), batch.dense)


# Replicas


def test_a_replica_shares_values_and_has_gradients_and_caches_of_its_own():
    model = md.DLRM(2, [5, 6], 4, (3,), (3,))
    replica = model.replica()
    batch = md.Batch(np.ones((3, 2), np.float32), np.ones((3, 2), int))
    replica.backward(np.ones_like(replica.forward(batch)))
    assert all(p.grad is None for p in model.parameters())
    with pytest.raises(RuntimeError, match="without a forward"):
        model.backward(np.ones(3))
    for p, shared in zip(model.parameters(), replica.parameters(), strict=True):
        assert shared.value is p.value
        assert shared.grad.shape == p.value.shape
        p.value = p.value + 1  # a new array
        assert shared.value is p.value
        shared.value = shared.value - 1
        assert shared.value is p.value


def test_tied_weights_are_tied_in_a_replica():
    model = md.MLP([3, 3, 3], rng=np.random.default_rng(0))
    model.layers[1].weight = model.layers[0].weight
    replica = model.replica()
    assert replica.layers[1].weight is replica.layers[0].weight


def test_a_copy_of_a_replica_shares_nothing():
    replica = md.Linear(2, 1, rng=np.random.default_rng(0)).replica()
    assert type(replica.astype(np.float64).weight) is md.Parameter


# Bits


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("name", "optimizer"), [("dlrm-bags", "rowwise-adagrad"), ("deepfm", "adam"), ("mf", "ftrl")]
)
def test_bits_do_not_depend_on_the_number_of_workers(name, optimizer):
    assert len({trained(name, optimizer, workers) for workers in (1, 2, 3, 4, None)}) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("name", MODELS)
def test_bits_of_every_model_and_optimizer_do_not_depend_on_the_workers(name):
    for optimizer, workers in zip(md.OPTIMIZERS, itertools.cycle((2, 3, 4))):
        alone = trained(name, optimizer, 1, max_grad_norm=0.01)
        assert trained(name, optimizer, workers, max_grad_norm=0.01) == alone, (optimizer, workers)


def test_bits_do_not_depend_on_the_threads_of_blas():
    data, found = md.data.synthetic_clicks(1200, 0), set()
    for threads in (1, 2):
        model = md.DLRM(13, data.table_sizes, 8, (128,), (256, 128), dtype=np.float64)
        with threadpool_limits(threads, user_api="blas"):
            md.fit(model, data, batch_size=512, max_grad_norm=0.01, progress=False)
            found.add(md.predict(model, data.train).tobytes())
            assert set(blas_threads()) == {threads}
    assert len(found) == 1  # the norm is a long product of two vectors: two threads cut it


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("dlrm-bags", md.BCEWithLogits(pos_weight=2.0)),
        ("neumf", md.MSE("sum")),
        pytest.param("deepfm", md.MSE(), marks=pytest.mark.slow),
        pytest.param("xdeepfm", md.BCEWithLogits("sum"), marks=pytest.mark.slow),
        pytest.param("dcn-v2", md.BCEWithLogits(), marks=pytest.mark.slow),
    ],
)
def test_a_step_in_blocks_is_the_whole_step(name, loss):
    """In float64, after a hundred steps."""
    cls, arguments, _, _ = MODELS[name]
    whole, parts = (cls(**arguments, seed=3, dtype=np.float64) for _ in range(2))
    rows, rate = rows_for(name), 0.01 if loss.reduction == "mean" else 1e-4
    rules = md.SGD(rate), md.SGD(rate)
    with Team(2) as team:
        step = Blocks(parts, loss, team)
        for batch in itertools.islice(itertools.cycle(md.data.minibatches(rows, 61)), 100):
            assert blocks(len(batch)) > 1
            whole.zero_grad()
            value = loss.forward(whole.forward(batch), batch.label)
            whole.backward(loss.backward())
            assert step.take(batch) == pytest.approx(value, rel=1e-10)
            for model, rule in zip((whole, parts), rules, strict=True):
                rule.step(model.parameters())
    for name, value in parts.state_dict().items():
        np.testing.assert_allclose(value, whole.state_dict()[name], rtol=0, atol=1e-10)


@pytest.mark.usefixtures("small_blocks")
def test_predictions_do_not_depend_on_the_number_of_workers(monkeypatch):
    monkeypatch.setattr("minidlrm.predicting._WORTH_THREADS", 0.0)
    data = md.data.synthetic_clicks(3000, 0)
    model = md.DLRM(13, data.table_sizes, 8, (16,), (16,))
    outputs = [md.predict(model, data.train, 500, workers=w) for w in (1, 2, 3, None)]
    assert len({y.tobytes() for y in outputs}) == 1
    np.testing.assert_allclose(outputs[0], md.predict(model, data.train, 7), rtol=1e-5)


@pytest.mark.usefixtures("small_blocks")
def test_a_run_that_is_resumed_inside_an_epoch_has_the_same_bits(tmp_path):
    data, found = md.data.synthetic_clicks(2000, 0), []
    for stop in (False, True):
        path = tmp_path / f"{stop}.safetensors"
        model = md.DLRM(13, data.table_sizes, 4, (8,), (8,))
        options = {"batch_size": 256, "epochs": 2, "checkpoint": path, "checkpoint_every": 3}
        if stop:

            def interrupt(record):
                raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                md.fit(model, data, eval_every=5, callback=interrupt, progress=False, **options)
            model = md.DLRM(13, data.table_sizes, 4, (8,), (8,), seed=9)
        md.fit(model, data, eval_every=5, progress=False, resume=stop, workers=1 + stop, **options)
        found.append(b"".join(value.tobytes() for value in model.state_dict().values()))
    assert found[0] == found[1]


# What is not cut


class Centred(md.models.Model):
    """Takes the batch's mean from the dense features: a row's output depends on the others."""

    by_row = False

    def __init__(self):
        self.config = {}
        self.linear = md.Linear(1, 1, rng=np.random.default_rng(0))

    def forward(self, batch):
        return self.linear.forward(batch.dense - batch.dense.mean())[:, 0]

    def backward(self, dy):
        self.linear.backward(dy[:, None])


class MeanSquare:
    """A loss of a reader's own: what it makes of the rows is not known."""

    def forward(self, prediction, label):
        self.difference = prediction - label
        return float((self.difference**2).mean())

    def backward(self):
        return 2 * self.difference / len(self.difference)


def test_a_light_model_is_not_cut_by_its_work_and_not_by_a_clock():
    light, heavy = md.GMF([10, 20], 8), md.DLRM(13, [10, 20], 16)
    assert blocks_for(light, 2048) == 1
    assert blocks_for(heavy, 2048) == blocks(2048)
    assert blocks_for(light, 2**24) == blocks(2**24)


class Fickle(md.models.Model):
    """A table whose gradient is of a few rows in one step, and of all rows in the next."""

    def __init__(self):
        self.config, self.steps = {}, 0
        self.table = md.EmbeddingBag(5, 2, rng=np.random.default_rng(0), include_last_offset=True)
        self.last = md.Linear(2, 1, rng=np.random.default_rng(1))

    def forward(self, batch):
        self.rows = batch.sparse[:, 0]
        whole = self.table.weight.value[self.rows]
        return self.last.forward(whole)[:, 0]

    def backward(self, dlogits):
        dy = self.last.backward(dlogits[:, None])
        unique, sums = kernels.scatter_add(self.rows, dy, None, None, 5)
        grad = md.SparseGrad(unique, sums, (5, 2))
        self.steps += 1
        self.table.weight.add_grad(grad if self.steps % 2 else grad.to_dense())


@pytest.mark.usefixtures("small_blocks")
def test_a_gradient_may_be_sparse_in_one_step_and_dense_in_the_next():
    rows = md.Batch(np.zeros((128, 0)), np.arange(128)[:, None] % 5, np.arange(128) % 2.0)
    states = []
    for workers in (1, 2, 3):
        model = Fickle()
        options = {"optimizer": md.SGD(0.1), "epochs": 3, "batch_size": 32, "progress": False}
        md.fit(model, rows, loss=md.BCEWithLogits(), workers=workers, **options)
        states.append({name: value.tobytes() for name, value in model.state_dict().items()})
    assert states == states[:1] * 3


@pytest.mark.usefixtures("small_blocks")
def test_models_and_losses_that_are_not_by_row_are_not_cut():
    plain = md.LogisticRegression(1, [2])
    assert blocks_for(plain, 64) == 8
    assert blocks_for(Centred(), 64) == 1
    with watched([("linear", plain.linear)], print):
        assert blocks_for(plain, 64) == 1
    with Team(2) as team:
        assert Blocks(plain, md.MSE(), team).by_row
        assert not Blocks(plain, MeanSquare(), team).by_row
    rows = md.Batch(np.arange(64.0)[:, None], np.zeros((64, 1), int), np.ones(64))
    by_fit, by_hand = Centred(), Centred()
    md.fit(by_fit, rows, optimizer=md.SGD(1e-4), loss=MeanSquare(), batch_size=64, progress=False)
    loss, batch = MeanSquare(), next(iter(md.data.minibatches(rows, 64, (0, 0))))
    loss.forward(by_hand.forward(batch), batch.label)
    by_hand.backward(loss.backward())
    md.SGD(1e-4).step(by_hand.parameters())
    assert by_fit.linear.weight.value == by_hand.linear.weight.value


class Noisy(md.models.Model):
    """Adds noise to the dense feature, from a generator that it holds."""

    def __init__(self):
        self.config = {}
        self.rng = np.random.default_rng(0)
        self.linear = md.Linear(1, 1, rng=np.random.default_rng(0))
        self.seen = []

    def forward(self, batch):
        noise = self.rng.normal(size=batch.dense.shape)
        self.seen.append(noise[0, 0])
        return self.linear.forward(batch.dense + noise)[:, 0]

    def backward(self, dy):
        self.linear.backward(dy[:, None])


@pytest.mark.usefixtures("small_blocks")
def test_noise_differs_from_block_to_block_but_not_with_the_workers():
    rows = md.Batch(np.ones((64, 1)), np.zeros((64, 1), int), np.arange(64.0))
    found = []
    for workers in (1, 3):
        model = Noisy()
        with Team(workers) as team:
            step = Blocks(model, md.MSE(), team)
            step.take(rows)
            found.append([part[0].seen for part in step.parts])
    assert found[0] == found[1]
    assert len({noise for (noise,) in found[0]}) == blocks(64) == 8


@pytest.mark.usefixtures("small_blocks")
def test_what_a_callback_changes_in_the_model_holds_in_all_blocks():
    model = md.MatrixFactorization([3, 4], 2)
    rows = md.Batch(np.zeros((128, 0)), np.ones((128, 2), int), np.full(128, 4.0))

    def shift(record):
        model.config["mean"] = 4.0

    history = md.fit(
        model,
        rows,
        optimizer=md.SGD(0.0),
        batch_size=64,
        eval_every=1,
        progress=False,
        callback=shift,
        workers=2,
    )
    assert history.records[0]["train_loss"] > 15
    assert history.records[1]["train_loss"] < 0.1


# Errors, and what is left behind


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_an_error_names_the_row_of_the_batch_and_leaves_the_weights(workers):
    ids = np.zeros((64, 1), int)
    ids[37], ids[50] = 7, 8
    model = md.LogisticRegression(0, [3])
    rows = md.Batch(np.zeros((64, 0)), ids, np.ones(64))
    with Team(workers) as team, pytest.raises(IndexError, match="id 7 out of range .* sample 37"):
        Blocks(model, md.BCEWithLogits(), team).take(rows)
    with pytest.raises(IndexError, match="id 7 out of range .* sample 37"):
        md.predict(model, rows, workers=workers)
    assert not model.linear.bias.value.any()


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("grad", [1.0, np.float32(1), [1.0], "1"])
def test_a_gradient_that_is_no_array_is_refused_in_blocks_too(grad):
    class Odd(md.LogisticRegression):
        def backward(self, dlogits):
            super().backward(dlogits)
            self.linear.bias.grad = grad

    rows = md.Batch(np.zeros((64, 0)), np.zeros((64, 1), int), np.ones(64, np.float32))
    with Team(2) as team, pytest.raises(TypeError, match="must be .*SparseGrad"):
        Blocks(Odd(0, [3]), md.BCEWithLogits(), team).take(rows)


@pytest.mark.usefixtures("small_blocks")
def test_an_infinite_loss_in_one_block_stops_the_run_before_the_step():
    dense = np.ones((64, 1), np.float32)
    dense[40] = 3e38
    model = md.LogisticRegression(1, [2])
    model.linear.fields.dense.value[:] = 1e30
    rows = md.Batch(dense, np.zeros((64, 1), int), np.ones(64, np.float32))
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="step 1: the loss"):
        md.fit(model, rows, loss=md.MSE(), batch_size=64, progress=False, workers=2)
    assert model.linear.fields.dense.value == np.float32(1e30)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("error", [None, ValueError("no"), KeyboardInterrupt()])
def test_no_thread_and_no_setting_of_blas_is_left_behind(error):
    def callback(record):
        if error is not None:
            raise error

    data, before = md.data.synthetic_clicks(1000, 0), set(threading.enumerate())
    model = md.LogisticRegression.for_data(data)
    expected = pytest.raises(type(error)) if error else contextlib.nullcontext()
    with threadpool_limits(2, user_api="blas"):
        with expected:
            md.fit(model, data, batch_size=256, progress=False, callback=callback, workers=3)
        assert set(blas_threads()) == {2}
    assert set(threading.enumerate()) == before


def test_ctrl_c_inside_a_block_lets_the_others_finish_theirs():
    caller, taken, before = threading.current_thread(), [], set(threading.enumerate())

    def leaf(k):
        taken.append(k)
        if threading.current_thread() is caller:
            raise KeyboardInterrupt
        time.sleep(0.001)
        return k

    with pytest.raises(KeyboardInterrupt), Team(2) as team:
        team.tree(1024, leaf, operator.add).total()
    assert len(taken) < 1024
    assert set(threading.enumerate()) == before


def test_a_walk_takes_no_more_threads_than_its_team_has():
    with Team(2) as team:
        team.walk(range(8), lambda k: None, 6)
        assert len(team.helpers) == 1


def test_what_ends_a_program_is_not_lost_in_a_helper():
    caller, met = threading.current_thread(), threading.Event()

    def visit(k):
        if threading.current_thread() is not caller:
            met.set()
            raise SystemExit(3)
        met.wait(10)

    with pytest.raises(SystemExit), Team(2) as team:
        team.walk(range(2), visit, 2)


@pytest.mark.parametrize("allowed", [0, 1])
def test_all_is_done_where_the_system_allows_few_threads(monkeypatch, allowed):
    class Few(threading.Thread):
        def start(self):
            if len(team.helpers) >= allowed:
                raise RuntimeError("can't start new thread")
            super().start()

    monkeypatch.setattr(module, "Thread", Few)
    before = set(threading.enumerate())
    with Team(4) as team:
        assert team.tree(64, lambda k: k, operator.add).total() == 64 * 63 // 2
        assert len(team.helpers) == allowed
    assert set(threading.enumerate()) == before


def test_settings_of_numpy_hold_in_all_threads():
    def leaf(k):
        return {np.geterr()["over"]}

    with np.errstate(over="ignore"), Team(4) as team:
        assert team.tree(64, leaf, operator.or_).total() == {"ignore"}


def test_blas_is_held_at_one_thread_until_the_last_block_closes():
    with threadpool_limits(2, user_api="blas"):
        first, second = one_blas_thread(), one_blas_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert set(blas_threads()) == {1}
        second.__exit__(None, None, None)
        assert set(blas_threads()) == {2}


@pytest.mark.parametrize(("workers", "error"), [(0, ValueError), (1.5, TypeError)])
def test_workers_must_be_a_number_of_at_least_one(workers, error):
    with pytest.raises(error, match="workers is"):
        Team(workers)
