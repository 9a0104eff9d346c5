"""fit, evaluate, predict, History."""

import numpy as np
import pytest

import minidlrm as md


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
        (lambda: md.fit(network, clicks.train, batch_size=0), "batch_size is 0"),
        (lambda: md.fit(network, unlabelled), "the training rows have no labels"),
        (lambda: md.fit(network, clicks.train, patience=2), "patience needs validation rows"),
        (lambda: md.fit(network, clicks.train[:0]), "the data have no rows"),
        (lambda: md.evaluate(network, unlabelled), "use predict"),
        (lambda: md.evaluate(network, clicks.test[:0]), "the data have no rows"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_the_plot_has_both_curves_and_the_limit(clicks):
    from matplotlib.figure import Figure

    history = md.fit(model(clicks), clicks.train, clicks.valid, epochs=2, progress=False)
    ax = history.plot(ax=Figure().subplots(), bayes_log_loss=0.4)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["training", "validation", "Bayes limit 0.4000"]
    with pytest.raises(ValueError, match="the history is empty"):
        md.History().plot()
