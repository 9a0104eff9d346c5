"""importance and similar: planted columns and pairs are found, and nothing else."""

import numpy as np
import pytest

import minidlrm as md
from minidlrm.checkpoint import save
from minidlrm.learned import with_columns


class Formula(md.Module):
    """A model whose output is a given function of the batch."""

    def __init__(self, function, task="clicks"):
        self.function, self.task = function, task

    def forward(self, batch):
        return self.function(batch)


def rows_of(rng, function, task="clicks", n=3000):
    """Rows of two numbers and three tables, labelled by a formula."""
    dense = rng.normal(size=(n, 2))
    ids = rng.integers(0, 4, (n, 3))
    logit = function(md.Batch(dense, ids))
    noisy = logit + rng.normal(size=n) if task == "ratings" else None
    label = noisy if task == "ratings" else rng.random(n) < 1 / (1 + np.exp(-logit))
    return md.Batch(dense, ids, np.asarray(label, np.float64))


NAMES = ["price", "age", "user", "item", "city"]
SIGNS = np.array([1.0, -1.0, 1.0, -1.0])


def additive(batch):
    return batch.dense[:, 0] + SIGNS[batch.sparse[:, 1]]


def with_a_pair(batch):
    return additive(batch) + 1.5 * SIGNS[batch.sparse[:, 0]] * SIGNS[batch.sparse[:, 1]]


def with_a_made_up_pair(batch):
    return with_a_pair(batch) + 0.7 * batch.dense[:, 1] * SIGNS[batch.sparse[:, 2]]


@pytest.mark.parametrize("task", ["clicks", "ratings"])
def test_the_columns_and_the_pair_of_a_formula_are_found(rng, task):
    data = rows_of(rng, with_a_pair, task)
    report = md.importance(Formula(with_a_pair, task), data, NAMES)
    assert {e.title for e in report.columns if e.real} == {"price", "item", "user"}
    assert [e.title for e in report.pairs if e.real] == ["user × item"]
    others = [e for e in report.pairs if e.title != "user × item"]
    np.testing.assert_allclose([e.growth for e in others], 0, atol=1e-12)


def test_a_sum_has_no_pairs(rng):
    report = md.importance(Formula(additive), rows_of(rng, additive), NAMES)
    np.testing.assert_allclose([e.growth for e in report.pairs], 0, atol=1e-12)


def test_a_pair_that_the_model_made_up_is_not_real(rng):
    data = rows_of(rng, with_a_pair)
    report = md.importance(Formula(with_a_made_up_pair), data, NAMES)
    assert [e.title for e in report.pairs if e.real] == ["user × item"]
    made_up = next(e for e in report.pairs if e.title == "age × city")
    assert made_up.growth < 0  # the loss falls without it


def test_the_growth_is_what_shuffling_by_hand_gives(rng):
    data = rows_of(rng, additive)
    model = Formula(additive)
    report = md.importance(model, data, NAMES, repeats=2, pairs=False, seed=3)
    shuffles = np.random.default_rng(3)
    base = md.metrics.log_loss(data.label, additive(data))
    growth = []
    for _ in range(2):
        other = shuffles.permutation(len(data))
        moved = md.Batch(data.dense, np.array(data.sparse))
        moved.sparse[:, 1] = moved.sparse[other, 1]
        growth.append(md.metrics.log_loss(data.label, additive(moved)) - base)
    item = next(e for e in report.columns if e.title == "item")
    assert item.growth == pytest.approx(np.mean(growth))
    assert report.loss == pytest.approx(base)
    assert report.pairs == []


def test_pure_noise_is_rarely_called_real(rng):
    wrong = 0
    for _ in range(20):
        data = rows_of(rng, lambda batch: 0 * batch.dense[:, 0], n=400)
        report = md.importance(Formula(with_a_made_up_pair), data, NAMES, repeats=3)
        wrong += any(e.real for e in (*report.columns, *report.pairs))
    assert wrong <= 1


@pytest.mark.parametrize("order", [1, 2])
def test_a_trained_model_shows_the_order_of_its_clicks(order):
    clicks = md.data.synthetic_clicks(
        40_000, 0, order=order, num_dense=1, num_tables=5, max_table_size=20
    )
    model = md.DLRM.for_data(clicks, embedding_dim=8, bottom_mlp=(8,), top_mlp=(32,), seed=0)
    md.fit(model, clicks.train, optimizer=md.Adam(0.003), epochs=4, batch_size=256, progress=False)
    report = md.importance(model, clicks.test, clicks.feature_names)
    real = [e.names for e in report.pairs if e.real]
    columns = {e.title for e in report.columns if e.real}
    if order == 1:
        assert real == []
        assert columns == set(clicks.feature_names)
    else:
        planted = [pair for pair in ALL_PAIRS if _interacts(clicks, *pair)]
        assert sorted(real) == sorted((f"C{a + 1}", f"C{b + 1}") for a, b in planted)
        assert columns == {f"C{t + 1}" for pair in planted for t in pair}


ALL_PAIRS = [(a, b) for a in range(5) for b in range(a + 1, 5)]


def _interacts(clicks, a, b):
    """Whether the true logit is no sum over tables a and b: a table of means tells."""
    ids = clicks.test.sparse[:, a], clicks.test.sparse[:, b]
    logit = np.log(clicks.probability / (1 - clicks.probability))
    sums, counts = np.zeros((20, 20)), np.zeros((20, 20))
    np.add.at(sums, ids, logit)
    np.add.at(counts, ids, 1)
    often = counts[:2, :2] > 20  # the most frequent ids
    mean = sums[:2, :2] / np.maximum(counts[:2, :2], 1)
    return bool(often.all() and abs(mean[0, 0] - mean[0, 1] - mean[1, 0] + mean[1, 1]) > 1)


def test_columns_of_other_rows_are_taken_whole(rng):
    bags = md.Jagged([1, 2, 3, 0, 1, 1, 5], [0, 2, 2, 3, 4, 5, 7])  # 2 tables, 3 rows
    data = md.Batch(np.arange(3.0)[:, None], bags, np.ones(3))
    moved = with_columns(data, np.array([2, 0, 1]), [0, 1])
    assert moved.dense[:, 0].tolist() == [2, 0, 1]
    assert [moved.bags_of(0)[k].tolist() for k in (0, 1)] == [[3, 1, 2], [1, 2, 0]]
    assert [moved.bags_of(1)[k].tolist() for k in (0, 1)] == [[0, 1, 1, 5], [1, 1, 2]]


def test_the_calibration_is_that_of_tenths(rng):
    data = rows_of(rng, additive)
    curve = md.importance(Formula(additive), data, NAMES, pairs=False).calibration
    assert [n for _, _, n in curve] == [300] * 10
    predicted, observed, _ = np.array(curve).T
    assert (np.diff(predicted) > 0).all()
    np.testing.assert_allclose(predicted, observed, atol=0.12)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"names": ["a"]}, "names holds 1 names: the data have 5 columns"),
        ({"repeats": 1}, "1 repeats"),
        ({"data": md.Batch(np.zeros((3, 2)), np.zeros((3, 3), int))}, "data has no labels"),
    ],
)
def test_what_cannot_be_measured_is_refused(rng, change, words):
    given = {"data": rows_of(rng, additive), "names": NAMES, **change}
    with pytest.raises(ValueError, match=words):
        md.importance(Formula(additive), **given)


# Neighbours


def a_model_of_cities():
    rows = {
        "click": [0, 1] * 40,
        "city": ["Ulm", "Rom", "Bonn", "Kiel"] * 20,
        "price": [1.0, 2] * 40,
    }
    data = md.data.read_table(rows, label="click", sparse=["city"], dense=["price"], progress=False)
    return md.DLRM.for_data(data, embedding_dim=2, bottom_mlp=(2,), top_mlp=(2,)), data.schema


def test_neighbours_are_those_of_the_cosine():
    model, schema = a_model_of_cities()
    city = schema["city"].categories
    table = model.embeddings.table(0)
    vectors = {"Ulm": (1, 0), "Rom": (3, 0.3), "Bonn": (0, 1), "Kiel": (-1, 0)}
    for name, vector in vectors.items():
        table[city.find(name)] = vector
    table[0] = (1, 0)  # the unseen id is no neighbour
    found = md.similar(model, schema, "city", "Ulm", 3)
    assert found.names == ["Rom", "Bonn", "Kiel"]
    np.testing.assert_allclose(found.cosine, [3 / np.hypot(3, 0.3), 0, -1], atol=1e-7)
    assert "Bonn" in repr(found)
    assert "<td>Kiel</td>" in found._repr_html_()


def test_what_has_no_neighbours_is_refused():
    model, schema = a_model_of_cities()
    with pytest.raises(KeyError, match="'Rome' is not among"):
        md.similar(model, schema, "city", "Rome")
    with pytest.raises(ValueError, match="is a number"):
        md.similar(model, schema, "price", 1)
    with pytest.raises(KeyError, match="no column has the name 'town'"):
        md.similar(model, schema, "town", 1)
    with pytest.raises(ValueError, match="k is 0"):
        md.similar(model, schema, "city", "Ulm", 0)


# The command line


def test_inspect_prints_a_table_and_writes_a_figure(tmp_path):
    from typer.testing import CliRunner

    from minidlrm.cli.app import make_app

    model, schema = a_model_of_cities()
    save(model, tmp_path / "m.safetensors", schema=schema)
    lines = ["click,city,price", *(f"{k % 2},{'Ulm' if k % 3 else 'Rom'},{k}" for k in range(60))]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    words = ["inspect", tmp_path / "m.safetensors", tmp_path / "rows.csv"]
    words += ["--out", tmp_path / "figure.png"]
    result = CliRunner().invoke(make_app(), list(map(str, words)), env={"COLUMNS": "120"})
    assert result.exit_code == 0, result.output
    for text in ("price × city", "growth of the log loss", "observed", "60 rows"):
        assert text in result.output
    assert (tmp_path / "figure.png").stat().st_size > 5000
