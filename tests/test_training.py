"""fit, evaluate, predict, History."""

import time

import numpy as np
import pytest

import minidlrm as md
from minidlrm.machine import one_blas_thread


@pytest.fixture(scope="module")
def clicks():
    return md.data.synthetic_clicks(7000, 0)


def model(clicks, seed=0):
    return md.DLRM(13, clicks.table_sizes, 4, (8,), (8,), seed=seed)


def bits(network):
    return b"".join(value.tobytes() for value in network.state_dict().values())


def test_fit_is_the_five_lines_by_hand(clicks):
    by_fit, by_hand = model(clicks), model(clicks)
    md.fit(
        by_fit,
        clicks.train,
        optimizer=md.SGD(0.1),
        batch_size=500,
        epochs=2,
        seed=7,
        progress=False,
    )
    loss, optimizer = md.BCEWithLogits(), md.SGD(0.1)
    with one_blas_thread():
        for epoch in range(2):
            for batch in md.data.minibatches(clicks.train, batch_size=500, seed=(7, epoch)):
                by_hand.zero_grad()
                loss.forward(by_hand.forward(batch), batch.label)
                by_hand.backward(loss.backward())
                optimizer.step(by_hand.parameters())
    assert bits(by_fit) == bits(by_hand)


def test_it_learns(clicks):
    network = model(clicks)
    before = md.evaluate(network, clicks.test)["auc"]
    history = md.fit(network, clicks.train, clicks.valid, epochs=2, batch_size=128, progress=False)
    assert md.evaluate(network, clicks.test)["auc"] > before + 0.05
    assert history.column("train_loss")[1] < history.column("train_loss")[0]


def test_records(clicks):
    seen = []
    history = md.fit(
        model(clicks),
        clicks.train,
        clicks.valid,
        batch_size=1000,
        eval_every=4,
        epochs=2,
        progress=False,
        callback=seen.append,
    )
    assert history.column("step") == [4, 6, 10, 12]
    assert history.column("epoch") == pytest.approx([4 / 6, 1, 10 / 6, 2])
    assert seen == history.records
    assert set(history.records[0]) == {
        "step",
        "epoch",
        "seconds",
        "train_loss",
        "grad_norm",
        "valid_log_loss",
        "valid_auc",
        "valid_normalized_entropy",
        "valid_accuracy",
        "valid_calibration",
    }
    assert "<table>" in history._repr_html_()


def test_early_stopping_gives_back_the_best_weights(clicks):
    network = model(clicks)
    history = md.fit(
        network,
        clicks.train[:500],
        clicks.valid,
        optimizer=md.Adam(0.02),
        batch_size=50,
        epochs=40,
        patience=3,
        progress=False,
    )
    assert history.stopped_early
    assert len(history.records) < 40
    assert history.best is history.records[-4]
    assert md.evaluate(network, clicks.valid)["log_loss"] == history.best["valid_log_loss"]


def test_clipping_bounds_the_norm_of_a_step(clicks):
    network = model(clicks)
    before = {name: value.copy() for name, value in network.state_dict().items()}
    md.fit(
        network,
        clicks.train[:100],
        optimizer=md.SGD(1.0),
        batch_size=100,
        max_grad_norm=0.01,
        progress=False,
    )
    moved = sum(((v - before[n]) ** 2).sum() for n, v in network.state_dict().items())
    assert np.sqrt(moved) == pytest.approx(0.01, rel=1e-3)


def test_a_nan_stops_the_run_and_is_named(clicks):
    network = model(clicks)
    network.top.layers[0].weight.value[0, 0] = np.nan
    network.top.layers[1].weight.value[0, 0] = np.nan
    with pytest.raises(FloatingPointError, match="step 1: the loss is nan; .* top.layers.0.weight"):
        md.fit(network, clicks.train, progress=False)


def test_a_gradient_that_overflows_is_named(clicks):
    network = model(clicks)

    class Overflow(md.BCEWithLogits):
        def backward(self, dy=1.0):
            return super().backward(dy) * np.float32(np.inf)

    before = bits(network)
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(
            FloatingPointError, match="the gradient norm is .* the gradient of embeddings"
        ),
    ):
        md.fit(network, clicks.train, loss=Overflow(), progress=False)
    assert bits(network) == before


def test_divergence_is_an_error_and_not_a_result(clicks):
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="Try a smaller lr"):
        md.fit(model(clicks), clicks.train, optimizer=md.SGD(1e20), progress=False, epochs=5)


def test_an_output_that_is_not_finite_is_no_metric(clicks):
    network = model(clicks)
    network.top.layers[1].bias.value[0] = np.inf
    with pytest.raises(FloatingPointError, match="went bad is top.layers.1.bias"):
        md.evaluate(network, clicks.test)


def test_predictions_do_not_depend_on_the_batch_size(clicks):
    network = model(clicks)
    small, large = (md.predict(network, clicks.test, batch_size=n) for n in (7, 10_000))
    np.testing.assert_allclose(small, large, rtol=1e-4, atol=1e-5)


def test_bad_arguments_are_named(clicks):
    network = model(clicks)
    unlabelled = md.data.Batch(clicks.train.dense, clicks.train.sparse)
    for call, message in [
        (lambda: md.fit(network, clicks.train, epochs=0), "epochs is 0"),
        (lambda: md.fit(network, clicks.train, eval_every=0), "eval_every is 0"),
        (lambda: md.fit(network, clicks.train, clicks.valid, patience=0), "patience is 0"),
        (lambda: md.fit(network, clicks.train, max_grad_norm=0), "max_grad_norm is 0"),
        (lambda: md.fit(network, clicks.train, unlabelled), "the rows of valid have no labels"),
        (lambda: md.fit(network, clicks.train, batch_size=0), "batch_size is 0"),
        (lambda: md.fit(network, unlabelled), "train has no labels"),
        (lambda: md.fit(network, clicks.train, patience=2), "patience needs validation rows"),
        (lambda: md.fit(network, clicks.train[:0]), "train has no rows"),
        (lambda: md.evaluate(network, unlabelled), "use predict"),
        (lambda: md.evaluate(network, clicks.test[:0]), "has no rows"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


class Half:
    """A part that has one of the two methods of a loss."""

    def __init__(self, method):
        setattr(self, method, len)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": md.MSE}, "loss is <class .*: it must have forward and backward"),
        ({"loss": md.LogisticRegression(1, [2])}, "loss is LogisticRegression.*must have forward"),
        ({"loss": Half("forward")}, "loss is .*: it must have forward and backward"),
        ({"loss": Half("backward")}, "loss is .*: it must have forward and backward"),
        ({"loss": "mse"}, "loss is 'mse'"),
        ({"optimizer": md.Adagrad}, "optimizer is <class .*: it must have step"),
        ({"optimizer": md.LogisticRegression(1, [2])}, "optimizer is .*: it must have step"),
        ({"optimizer": Half("update")}, "optimizer is .*: it must have step"),
        ({"callback": 3}, "callback is 3: it must be a function"),
        ({"resume": "yes"}, "resume is 'yes'"),
        ({"checkpoint": 3}, "checkpoint"),
        ({"workers": "2"}, "workers"),
        ({"train": [1]}, "train is a list: it must be a Batch or a Dataset"),
        ({"valid": [1]}, "valid"),
        ({"model": md.Linear}, "model"),
    ],
)
def test_parts_that_cannot_be_used_are_named_before_the_first_step(options, message, clicks):
    network = model(clicks)
    before = bits(network)
    arguments = {"model": network, "train": clicks.train[:9], "progress": False, **options}
    with pytest.raises(TypeError, match=message):
        md.fit(**arguments)
    assert bits(network) == before


def rating_rows(rng, rows=200):
    ids = np.stack([rng.integers(0, 9, rows), rng.integers(0, 8, rows)], axis=1)
    label = 3 + rng.normal(size=rows).astype(np.float32)
    return md.data.Batch(np.zeros((rows, 0), np.float32), ids, label)


def test_predictions_are_probabilities_and_logits_where_asked(clicks):
    network = model(clicks)
    logits = md.predict(network, clicks.test, logits=True)
    np.testing.assert_array_equal(logits, network.forward(clicks.test))
    np.testing.assert_allclose(md.predict(network, clicks.test), 1 / (1 + np.exp(-logits)), 1e-6)


def test_predictions_of_a_model_of_ratings_are_ratings(rng, tmp_path):
    rows = rating_rows(rng)
    fm, mf = md.FactorizationMachine(0, [9, 8], 3), md.MatrixFactorization([9, 8], 3)
    assert (fm.task, mf.task) == ("clicks", "ratings")
    md.fit(fm, rows, loss=md.MSE(), progress=False)
    md.save(fm, tmp_path / "m.safetensors")
    for network in (fm, mf, md.load(tmp_path / "m.safetensors")):
        np.testing.assert_array_equal(md.predict(network, rows), network.forward(rows))
        assert list(md.evaluate(network, rows)) == ["rmse"]
    md.fit(mf, rows, progress=False)  # the loss of ratings, unasked
    assert mf.task == "ratings"


def test_a_dataset_says_what_its_labels_are(rng, clicks):
    rows = rating_rows(rng)
    ratings = md.data.Dataset(rows, rows[:50], rows[50:], [9, 8], [], "", task="ratings")
    network = md.FactorizationMachine(0, [9, 8], 3)
    history = md.fit(network, ratings, progress=False)
    assert "valid_rmse" in history.records[0]
    assert md.evaluate(network, ratings) == md.evaluate(network, rows[50:], task="ratings")
    network.task = "clicks"
    assert list(md.evaluate(network, ratings)) == ["rmse"]
    with pytest.raises(ValueError, match="task is 'sales'"):
        md.evaluate(network, rows, task="sales")
    with pytest.raises(TypeError, match="choose its rows, such as dataset.test"):
        md.predict(network, ratings)


def test_a_dataset_trains_as_its_rows_do(clicks):
    one, two, three = (model(clicks) for _ in range(3))
    history = md.fit(one, clicks, batch_size=1000, progress=False)
    md.fit(two, clicks.train, clicks.valid, batch_size=1000, progress=False)
    assert bits(one) == bits(two)
    assert "valid_auc" in history.records[0]
    other = md.fit(three, clicks, clicks.test, batch_size=1000, progress=False)
    assert other.records[0]["valid_auc"] != history.records[0]["valid_auc"]
    with pytest.raises(TypeError, match="train is a list: it must be a Batch or a Dataset"):
        md.fit(one, [clicks.train])
    with pytest.raises(TypeError, match="valid is a list"):
        md.fit(one, clicks.train, [clicks.valid])


def relabelled(rows, label):
    return md.data.Batch(rows.dense, rows.sparse, np.asarray(label, np.float32))


def test_click_rates_train_and_are_evaluated(clicks, rng):
    train, valid = (relabelled(b, rng.random(len(b))) for b in (clicks.train, clicks.valid))
    history = md.fit(model(clicks), train, valid, progress=False)
    assert np.isfinite(history.records[0]["valid_log_loss"])


@pytest.mark.parametrize("where", ["train", "valid"])
@pytest.mark.parametrize(
    ("loss", "value", "message"),
    [
        (md.BCEWithLogits(), 2.0, r"label\[7\] is 2.0: it must lie in \[0, 1\]"),
        (md.BCEWithLogits(), np.nan, r"label\[7\] is nan"),
        (md.MSE(), np.nan, r"label\[7\] is nan: it must be finite"),
        (md.MSE(), np.inf, r"label\[7\] is inf"),
    ],
)
def test_labels_are_checked_before_the_first_step(where, loss, value, message, clicks):
    network, splits = model(clicks), {"train": clicks.train[:50], "valid": clicks.valid[:50]}
    label = np.array(splits[where].label)
    label[7] = value
    splits[where] = relabelled(splits[where], label)
    before = bits(network)
    with pytest.raises(ValueError, match=f"{where}: {message}"):
        md.fit(network, splits["train"], splits["valid"], loss=loss, progress=False)
    assert bits(network) == before
    assert network.task == "clicks"


def test_ratings_that_are_too_large_are_named_with_what_to_do(rng):
    rows = rating_rows(rng)
    plays = relabelled(rows, 10 ** rng.uniform(0, 5.5, len(rows)))
    network = md.FactorizationMachine(0, [9, 8], 3)
    options = {"loss": md.MSE(), "optimizer": md.SGD(1.0), "epochs": 50, "progress": False}
    with (
        np.errstate(all="ignore"),
        pytest.raises(
            FloatingPointError,
            match=r"smaller lr, or max_grad_norm; or scale the labels, which go up",
        ),
    ):
        md.fit(network, plays, batch_size=10, **options)


def test_a_model_that_is_bad_from_the_start_is_not_blamed_on_the_rate(clicks):
    network = model(clicks)
    network.bottom.layers[0].bias.value[0] = np.nan
    with pytest.raises(FloatingPointError, match="bottom.layers.0.bias. No step has been taken"):
        md.fit(network, clicks.train, progress=False)


def test_a_prediction_that_is_not_finite_is_refused_and_its_row_named(clicks):
    network = model(clicks)
    network.embeddings.table(0)[clicks.test.sparse[3, 0]] = np.nan
    with pytest.raises(FloatingPointError, match="the output of row [0-3] is nan; .* embeddings.w"):
        md.predict(network, clicks.test)


def test_one_bad_rating_changes_nothing_in_sgd_epoch(rng):
    rows = rating_rows(rng)
    label = np.array(rows.label)
    label[7] = np.nan
    mf = md.MatrixFactorization([9, 8], 3)
    before = bits(mf)
    with pytest.raises(ValueError, match=r"label\[7\] is nan: it must be finite"):
        mf.sgd_epoch(relabelled(rows, label), 0.01, 0.1, 0)
    assert bits(mf) == before


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_ratings_that_diverge_stop_sgd_epoch_while_weights_are_numbers(backend, rng):
    from minidlrm import kernels

    if backend == "numba":
        pytest.importorskip("numba", reason="Numba is not installed")
    rows, before = rating_rows(rng), kernels.backend
    plays = relabelled(rows, 10 ** rng.uniform(0, 5.5, len(rows)))
    mf = md.MatrixFactorization([9, 8], 3)
    try:
        kernels.use(backend)
        with (
            np.errstate(all="ignore"),
            pytest.raises(
                FloatingPointError,
                match=r"sgd_epoch: .* ratings go up to \d.*smaller lr, or ratings of",
            ),
        ):
            [mf.sgd_epoch(plays, 0.01, 0.1, epoch) for epoch in range(9)]
    finally:
        kernels.use(before)
    finite = [np.isfinite(p.value).all(axis=1).mean() for p in mf.parameters()]
    assert min(finite) > 0.8


@pytest.mark.parametrize("show", [True, False])
def test_the_progress_bar_is_shown_or_not(show, clicks, capsys):
    md.fit(model(clicks), clicks.train[:100], batch_size=50, progress=show)
    assert ("training" in capsys.readouterr().err) is show


def test_a_step_counts_once_and_the_record_is_the_mean_since_the_last(clicks):
    losses = []

    class Seen(md.BCEWithLogits):
        def forward(self, logits, label):
            losses.append((super().forward(logits, label), len(label)))
            return losses[-1][0]

    rows = clicks.train[:110]
    history = md.fit(model(clicks), rows, loss=Seen(), batch_size=50, eval_every=2, progress=False)
    assert history.column("step") == [2, 3]
    values, sizes = np.array(losses[:2]).T
    first = np.average(values, weights=sizes)
    assert history.column("train_loss") == pytest.approx([first, losses[2][0]])


def test_the_plot_has_both_curves_and_the_limit(clicks):
    from matplotlib.figure import Figure

    history = md.fit(model(clicks), clicks.train, clicks.valid, epochs=2, progress=False)
    ax = history.plot(ax=Figure().subplots(), bayes_log_loss=0.4)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["training", "validation", "Bayes limit 0.4000"]
    with pytest.raises(ValueError, match="the history is empty"):
        md.History().plot()


def test_progress_is_shown_unless_it_is_turned_off(clicks, capsys):
    md.fit(model(clicks), clicks.train, batch_size=500)
    assert "training" in capsys.readouterr().err
    md.fit(model(clicks), clicks.train, batch_size=500, progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("epochs", [1, 2])
def test_the_progress_bar_counts_the_steps_of_all_epochs(epochs, clicks, capsys):
    options = {"epochs": epochs, "batch_size": 100, "progress": True}
    md.fit(model(clicks), clicks.train[:250], **options)
    assert f"{3 * epochs}/{3 * epochs}" in capsys.readouterr().err


def test_a_norm_is_that_of_all_gradients_and_is_scaled_with_them():
    weight, table, alone = (md.Parameter(np.zeros((3, 2))) for _ in range(3))
    weight.grad = np.full((3, 2), 2.0)
    table.grad = md.SparseGrad([1], np.array([[0.0, 5.0]]), (3, 2))
    parameters = [weight, table, alone]
    assert md.training.grad_norm(parameters) == 7
    assert md.training.grad_norm([alone]) == 0
    md.training.scale_grads(parameters, 2)
    assert md.training.grad_norm(parameters) == 14
    assert alone.grad is None


def test_a_model_begins_at_the_mean_of_the_labels():
    train = md.Batch(np.zeros((2, 0)), [[0, 1], [2, 3]], np.array([3.0, 5.0], np.float32))
    mf = md.MatrixFactorization([3, 4], 2, mean=0.5)
    md.training.begin_at_the_mean(mf, train)
    assert mf.config["mean"] == 4.5
    dlrm = md.DLRM(0, [3, 4], 2, (), (1,))  # two biases of size 1
    before = [layer.bias.value.copy() for layer in dlrm.top.layers]
    md.training.begin_at_the_mean(dlrm, train)
    np.testing.assert_allclose(dlrm.top.layers[-1].bias.value, before[-1] + 4)
    np.testing.assert_array_equal(dlrm.top.layers[0].bias.value, before[0])
    with pytest.raises(ValueError, match="train has no labels"):
        md.training.begin_at_the_mean(dlrm, md.Batch(train.dense, train.sparse))
    with pytest.raises(ValueError, match="train has no labels"):
        md.training.begin_at_the_mean(dlrm, train[:0])


def test_evaluations_fall_at_their_steps_and_at_the_end_of_each_epoch():
    rows = md.Batch(np.ones((20, 1)), np.zeros((20, 1), int), np.tile([0.0, 1], 10))

    def evaluated(**options):
        model = md.LogisticRegression(1, [2])
        options = {"batch_size": 4, "progress": False, **options}
        records = md.fit(model, rows, **options).records
        return [(r["step"], r["epoch"]) for r in records]

    assert evaluated() == [(5, 1)]
    assert evaluated(epochs=2) == [(5, 1), (10, 2)]
    assert evaluated(epochs=2, eval_every=2) == [
        (2, 0.4),
        (4, 0.8),
        (5, 1),
        (7, 1.4),
        (9, 1.8),
        (10, 2),
    ]
    assert evaluated(eval_every=5, batch_size=3) == [(5, pytest.approx(5 / 7)), (7, 1)]
    assert evaluated(eval_every=1, batch_size=20) == [(1, 1)]


def test_the_default_seed_of_the_shuffles_is_zero(clicks):
    def weights(**seed):
        model = md.LogisticRegression(13, clicks.table_sizes)
        md.fit(model, clicks.train[:300], batch_size=7, progress=False, **seed)
        return model.linear.fields.dense.value

    np.testing.assert_array_equal(weights(), weights(seed=0))
    assert (weights() != weights(seed=1)).any()


def test_options_at_their_bounds(clicks):
    model = md.LogisticRegression(13, clicks.table_sizes)
    rows = clicks.train[:4]
    for options, message in [
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"eval_every": 0}, "eval_every is 0"),
        ({"patience": 0}, "patience is 0"),
        ({"checkpoint_every": 0}, "checkpoint_every is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"max_grad_norm": 0}, "max_grad_norm is 0"),
        ({"max_grad_norm": float("nan")}, "max_grad_norm is nan"),
        ({"patience": 1}, "patience needs validation rows"),
        ({"patience": 1, "valid": rows[:0]}, "patience needs validation rows"),
        ({"resume": True}, "checkpoint is None"),
        ({"checkpoint_every": 1}, "checkpoint is None"),
    ]:
        with pytest.raises(ValueError, match=message):
            md.fit(model, rows, progress=False, **options)
    with pytest.raises(ValueError, match="train has no rows"):
        md.fit(model, rows[:0], progress=False)
    with pytest.raises(TypeError, match="callback is 3"):
        md.fit(model, rows, progress=False, callback=3)
    options = {"eval_every": 1, "patience": 1, "valid": rows, "max_grad_norm": 1e-9}
    assert len(md.fit(model, rows, progress=False, batch_size=1, **options).records) >= 1


def test_the_seconds_of_a_record_are_those_of_the_steps_so_far(clicks):
    model, start = md.LogisticRegression(13, clicks.table_sizes), time.perf_counter()
    history = md.fit(model, clicks.train, epochs=3, batch_size=500, progress=False)
    seconds = history.column("seconds")
    assert 0 < seconds[0] < seconds[1] < seconds[2] < time.perf_counter() - start


def test_only_a_bias_takes_the_mean():
    train = md.Batch(np.ones((2, 1)), [[0, 1], [2, 3]], np.array([3.0, 5.0], np.float32))
    fm = md.FactorizationMachine(1, [3, 4], embedding_dim=1)  # a vector of size 1 comes last
    before = fm.fields.dense.value.copy()
    md.training.begin_at_the_mean(fm, train)
    assert fm.linear.bias.value.tolist() == [4]
    np.testing.assert_array_equal(fm.fields.dense.value, before)

    class WithoutBias(md.Model):
        def __init__(self):
            self.config = {}
            self.weight = md.Parameter(np.zeros(1), "weight")

    with pytest.raises(ValueError, match="WithoutBias has no bias"):
        md.training.begin_at_the_mean(WithoutBias(), train)


def test_the_progress_bar_shows_each_record(clicks, capsys):
    options = {"epochs": 3, "batch_size": 100, "progress": True}
    history = md.fit(model(clicks), clicks.train[:200], clicks.valid, **options)
    shown = capsys.readouterr().err
    for record in history.records:
        assert f"loss {record['train_loss']:.4f}, valid {record['valid_log_loss']:.4f}" in shown


@pytest.mark.parametrize(
    ("every", "steps"), [(None, [3, 6, 6]), (1, [1, 2, 3, 4, 5, 6, 6]), (4, [4, 6]), (3, [3, 6, 6])]
)
def test_checkpoints_are_written_at_their_steps_and_at_the_end(
    every, steps, clicks, tmp_path, monkeypatch
):
    from minidlrm.resuming import Run

    seen, save = [], Run.save
    monkeypatch.setattr(
        Run, "save", lambda run, **k: (seen.append(run.steps.count), save(run, **k))
    )
    options = {"checkpoint": tmp_path / "m.safetensors", "checkpoint_every": every}
    rows = clicks.train[:300]
    md.fit(model(clicks), rows, epochs=2, batch_size=100, progress=False, **options)
    assert seen == steps
