"""The recipes of ratings and rankings."""

import numpy as np
import pytest

import minidlrm as md
from minidlrm import recipes
from minidlrm.data.batch import Batch, Dataset
from minidlrm.training import begin_at_the_mean


@pytest.fixture
def ratings(rng):
    """Make 4,000 ratings of which a planted factorization of rank one is the truth."""
    users, items = rng.normal(0, 1, 60), rng.normal(0, 1, 40)
    ids = np.stack([rng.integers(0, 60, 4000), rng.integers(0, 40, 4000)], axis=1)
    truth = 3 + users[ids[:, 0]] * items[ids[:, 1]]
    label = (truth + rng.normal(0, 0.1, 4000)).astype(np.float32)
    data = Batch(np.zeros((4000, 0), np.float32), ids, label)
    return Dataset(data[:3000], data[3000:3500], data[3500:], [60, 40], ["user", "item"], "planted")


def test_validation_ratings_are_trained_on_too(ratings):
    rows = recipes.all_training_rows(ratings)
    assert len(rows) == 3500
    np.testing.assert_array_equal(rows.sparse[3000:], ratings.valid.sparse)
    np.testing.assert_array_equal(rows.label[:3000], ratings.train.label)


@pytest.mark.parametrize("train", [recipes.train_mf, recipes.train_fm])
def test_a_planted_factorization_is_found(train, ratings, monkeypatch):
    monkeypatch.setattr(recipes, "_REG", 0.01)
    spread = float(np.std(ratings.test.label))
    rmse = recipes.rating_rmse(train(ratings, epochs=30), ratings)
    assert rmse < 0.3 * spread


def test_the_same_seed_gives_the_same_model(ratings):
    for train in (recipes.train_mf, recipes.train_fm):
        first, second = (train(ratings, seed=3, epochs=2).state_dict() for _ in range(2))
        assert all(np.array_equal(first[name], second[name]) for name in first)


def test_predictions_stay_in_the_range_of_the_ratings(ratings):
    model = md.MatrixFactorization([60, 40], 2, mean=100.0)
    highest = ratings.train.label.max()
    expected = md.metrics.rmse(ratings.test.label, np.full(500, highest))
    assert recipes.rating_rmse(model, ratings) == pytest.approx(expected)


def test_ncf_ranks_the_item_left_out_better_than_chance(tmp_path):
    lines = ["userId,movieId,rating,timestamp"]
    for user in range(30):  # two tastes: even users rate even items
        items = range(user % 2, 40, 2)
        lines += [f"{user},{item},5,{100 * user + item}" for item in items if (user + item) % 5]
    (tmp_path / "ratings.csv").write_text("\n".join(lines))
    items = md.data.movielens_ranking(tmp_path, num_negatives=9)
    model = md.GMF(items.table_sizes, 8, seed=0)
    records = list(recipes.train_ncf(model, items, epochs=12))
    assert [record["epoch"] for record in records] == list(range(1, 13))
    assert records[-1]["train_loss"] < records[0]["train_loss"]
    assert set(records[0]) == {
        "epoch",
        "train_loss",
        "valid_hit_rate",
        "test_hit_rate",
        "test_ndcg",
    }


@pytest.mark.parametrize("name", md.MODELS)
def test_every_model_can_begin_at_the_mean_rating(name, ratings, rng):
    model = md.MODELS[name].build(0, ratings.table_sizes, 4, (6,), seed=1)
    before = model.forward(ratings.test)
    begin_at_the_mean(model, ratings.train)
    mean = float(np.mean(ratings.train.label))
    np.testing.assert_allclose(model.forward(ratings.test), before + mean, rtol=1e-4)
    assert type(model)(**model.config) is not None  # what is saved can be made again
