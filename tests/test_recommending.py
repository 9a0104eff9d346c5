"""recommend, rank_metrics and fold_in: lists by a stated rule, and protocols that are named."""

import os
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import minidlrm as md
from minidlrm.recommending import MISTAKES, Catalogue, ProtocolWarning
from minidlrm.recommending.lists import top

CASES = int(os.environ.get("MINIDLRM_CASES", 50))


def pairs_of(rng, num_users, num_items, low, high):
    """Draw some items for each user, all different; return pairs (n, 2) in a random order."""
    rows = [
        np.stack([np.full(n, user), rng.permutation(num_items)[:n]], axis=1)
        for user, n in enumerate(rng.integers(low, high, num_users))
    ]
    return rng.permutation(np.concatenate(rows))


def right_evaluation(rng):
    """Random data, evaluated right: every held-out item, and user, has training rows."""
    num_users, num_items = int(rng.integers(5, 30)), int(rng.integers(40, 90))
    every = pairs_of(rng, num_users, num_items, 4, 9)
    first = np.unique(every[:, 0], return_index=True)[1]  # one row of each user is held out
    train = np.delete(every, first, axis=0)
    rest = np.setdiff1d(np.arange(num_items), train[:, 1])
    more = np.stack([rng.integers(0, num_users, len(rest)), rest], axis=1)
    train = np.concatenate([train, more])
    held_out = every[first][~_same(every[first], train)]
    return {
        "model": rng.normal(size=(num_users, num_items)).astype(np.float32),
        "held_out": held_out,
        "train": train,
        "k": int(rng.integers(1, 11)),
        "times": (rng.random(len(train)), 1 + rng.random(len(held_out))),
    }


def _same(pairs, others):
    return np.isin(pairs[:, 0] * 1000 + pairs[:, 1], others[:, 0] * 1000 + others[:, 1])


def brute_force(scores, held_out, train, k, seen="out"):
    """The metrics by loops over sorted lists of Python."""
    found = {"hit_rate": [], "ndcg": [], "recall": [], "mrr": []}
    listed, ranked = set(), set()
    for user in sorted(set(held_out[:, 0].tolist())):
        own = set(held_out[held_out[:, 0] == user, 1].tolist())
        known = set(train[train[:, 0] == user, 1].tolist()) if seen == "out" else set()
        items = [i for i in range(scores.shape[1]) if i not in known]
        items.sort(key=lambda i: (-scores[user, i], i))
        listed |= set(items[:k])
        ranked |= set(items)
        places = [place for place, item in enumerate(items, 1) if item in own]
        found["hit_rate"].append(float(any(place <= k for place in places)))
        gain = sum(1 / np.log2(place + 1) for place in places if place <= k)
        ideal = sum(1 / np.log2(place + 1) for place in range(1, min(len(own), k) + 1))
        found["ndcg"].append(gain / ideal)
        found["recall"].append(sum(place <= k for place in places) / len(own))
        found["mrr"].append(1 / places[0] if places else 0.0)
    means = {name: np.mean(values) for name, values in found.items()}
    return means | {"coverage": len(listed) / len(ranked)}


@pytest.mark.parametrize("seen", ["out", "in"])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.filterwarnings("ignore::minidlrm.recommending.ProtocolWarning")
def test_the_metrics_are_those_of_a_loop(rng, seen, ties):
    for _ in range(10):
        every = pairs_of(rng, 12, 30, 3, 9)
        held_out, train = every[:30], every[30:]
        scores = rng.normal(size=(12, 30))
        scores = scores.round() if ties else scores
        result = md.rank_metrics(scores, held_out, train, k=4, seen=seen)
        assert result.values["model"] == pytest.approx(
            brute_force(scores, held_out, train, 4, seen)
        )
        popular = np.tile(np.bincount(train[:, 1], minlength=30), (12, 1))
        assert result.values["popularity"] == pytest.approx(
            brute_force(popular, held_out, train, 4, seen)
        )


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore::minidlrm.recommending.ProtocolWarning")
def test_ndcg_is_that_of_scikit_learn(rng):
    ranking = pytest.importorskip("sklearn.metrics")
    held_out = pairs_of(rng, 20, 40, 1, 6)
    scores = rng.normal(size=(20, 40))
    relevant = np.zeros((20, 40))
    relevant[held_out[:, 0], held_out[:, 1]] = 1
    result = md.rank_metrics(scores, held_out, np.zeros((0, 2), int), k=7)
    assert result["ndcg"] == pytest.approx(ranking.ndcg_score(relevant, scores, k=7))


@pytest.mark.filterwarnings("ignore::minidlrm.recommending.ProtocolWarning")
def test_random_scores_find_what_chance_does(rng):
    held_out = np.stack([np.arange(3000), rng.integers(0, 50, 3000)], axis=1)
    result = md.rank_metrics(rng.normal(size=(3000, 50)), held_out, [[0, 1]], k=5)
    assert result.values["random"]["hit_rate"] == pytest.approx(0.1, abs=0.02)


@pytest.mark.filterwarnings("ignore::minidlrm.recommending.ProtocolWarning")
def test_the_interval_tells_a_good_model_from_popularity(rng):
    every = pairs_of(rng, 60, 40, 5, 9)
    first = np.unique(every[:, 0], return_index=True)[1]
    held_out, train = every[first], np.delete(every, first, axis=0)
    scores = rng.normal(size=(60, 40))
    noise = md.rank_metrics(scores, held_out, train, k=5)
    scores[held_out[:, 0], held_out[:, 1]] += 5
    good = md.rank_metrics(scores, held_out, train, k=5)
    assert noise.above_popularity["ndcg"][0] < 0.05
    assert good.above_popularity["ndcg"][0] > 0.5


def test_the_protocol_is_written_into_the_result(rng):
    given = right_evaluation(rng)
    result = md.rank_metrics(**given, split="each user's last row")
    assert list(result.protocol) == [
        "candidates",
        "seen items",
        "held out",
        "split",
        "ties",
        "popularity",
    ]
    text = repr(result)
    for each in (*result.protocol.values(), f"NDCG@{given['k']}", "random"):
        assert each in text
    assert "<table>" in result._repr_html_()


# Lists


def a_model_of_five_columns(rng, bags=False):
    """User, item, the user's city, the item's genre; an hour of the user, a price of the item."""
    n, sizes = 400, [9, 30, 4, 5]
    user, item = rng.integers(0, 9, n), rng.integers(0, 30, n)
    hour = rng.random(9)[user]
    price = rng.random(30)[item]
    city, genre = rng.integers(0, 4, 9)[user], rng.integers(0, 5, 30)[item]
    ids = np.stack([user, item, city, genre], axis=1)
    sparse = md.Jagged(ids.T.ravel(), np.arange(4 * n + 1)) if bags else ids
    dense = np.stack([hour, price], axis=1).astype(np.float32)
    rows = md.Batch(dense, sparse, np.ones(n, np.float32))
    names = ["hour", "price", "user", "item", "city", "genre"]
    data = md.Dataset(rows, rows[:0], rows[:0], sizes, names, "drawn")
    return md.DLRM(2, sizes, 4, (8,), (8,), seed=1), data


@pytest.mark.parametrize("bags", [False, True])
def test_the_best_items_are_those_of_a_loop(rng, bags):
    model, data = a_model_of_five_columns(rng, bags)
    lists = md.recommend(model, np.arange(9), 6, seen=data, catalogue=data)
    catalogue = Catalogue.of(data)
    known = set(map(tuple, np.stack([data.train.ids_of(0), data.train.ids_of(1)], 1).tolist()))
    for user, items, best in zip(lists.users, lists.items, lists.scores, strict=True):
        scores = md.predict(model, catalogue.pairs(np.full(30, user), np.arange(30)), logits=True)
        order = [i for i in np.argsort(-scores, kind="stable") if (user, i) not in known][:6]
        assert items[items >= 0].tolist() == order
        np.testing.assert_allclose(best[: len(order)], scores[order], rtol=1e-5)


@pytest.mark.parametrize("bags", [False, True])
def test_a_catalogue_finds_out_what_belongs_to_the_item(rng, bags):
    _, data = a_model_of_five_columns(rng, bags)
    catalogue = Catalogue.of(data)
    assert (catalogue.item_tables, catalogue.item_dense) == ([1, 3], [1])
    u, i = data.train.ids_of(0), data.train.ids_of(1)
    again = catalogue.pairs(u, i)  # the training rows come back
    np.testing.assert_array_equal(again.dense, data.train.dense)
    for t in range(4):
        np.testing.assert_array_equal(again.ids_of(t), data.train.ids_of(t))


def test_seen_items_never_appear(rng):
    for _ in range(20):
        scores_of = md.MatrixFactorization([8, 25], 3, seed=int(rng.integers(99)))
        seen = pairs_of(rng, 8, 25, 0, 26)
        lists = md.recommend(scores_of, np.arange(8), 10, seen=seen)
        for user, items in zip(lists.users, lists.items, strict=True):
            own = seen[seen[:, 0] == user, 1]
            assert not np.isin(items, own).any()
            assert (items >= 0).sum() == min(10, 25 - len(own))
            assert len(set(items[items >= 0].tolist())) == (items >= 0).sum()


def test_of_equal_scores_the_lower_id_comes_first():
    items, scores = top(np.zeros((2, 7), np.float32), 3)
    assert items.tolist() == [[0, 1, 2]] * 2
    items, _ = top(np.array([[1.0, 3.0, 2.0, 3.0, 2.0, 2.0]]), 4)
    assert items.tolist() == [[1, 3, 2, 4]]
    items, scores = top(np.array([[-np.inf, 3.0, -np.inf]]), 2)
    assert items.tolist() == [[1, -1]]
    assert np.isnan(scores[0, 1])


def test_a_list_is_the_same_in_blocks_of_any_size(rng, monkeypatch):
    model = md.GMF([40, 30], 4, seed=0)
    seen = pairs_of(rng, 40, 30, 0, 20)
    whole = md.recommend(model, np.arange(40), 5, seen=seen)
    monkeypatch.setattr("minidlrm.recommending.catalogue._BLOCK", 70)
    blocks = md.recommend(model, np.arange(40), 5, seen=seen)
    np.testing.assert_array_equal(whole.items, blocks.items)


def test_a_new_user_gets_what_is_popular_or_the_id_of_unseen_users(rng):
    model, data = a_model_of_five_columns(rng)
    lists = md.recommend(model, [-1, 2], 3, seen=None, catalogue=data)
    counts = np.bincount(data.train.ids_of(1), minlength=30)
    assert lists.items[0].tolist() == np.argsort(-counts, kind="stable")[:3].tolist()
    table = {
        "click": [0, 1] * 40,
        "user": [f"u{k % 7}" for k in range(80)],
        "item": [f"i{k % 9}" for k in range(80)],
    }
    own = md.data.read_table(table, label="click", sparse=["user", "item"], progress=False)
    model = md.FactorizationMachine.for_data(own, embedding_dim=3)
    new, known = (md.recommend(model, [u], 3, seen=None, catalogue=own) for u in (-1, 0))
    assert new.items.tolist() == known.items.tolist()
    assert 0 not in new.items  # the id of items that are not known
    with pytest.raises(ValueError, match=r"users holds -1"):
        md.recommend(md.GMF([3, 4], 2), [-1], seen=None)


def test_names_are_printed():
    catalogue = Catalogue.of_pairs(2, 3)
    catalogue = Catalogue(catalogue.users, catalogue.items, names=["Heat", "Big", "Alien"])
    lists = md.recommend(md.GMF([2, 3], 2), [1], 2, seen=[[1, 0]], catalogue=catalogue)
    assert "Alien" in repr(lists)
    assert "Heat" not in repr(lists)
    assert "<td>Big</td>" in lists._repr_html_()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"users": [5]}, IndexError, r"users: id 5 is out of range \[0, 3\)"),
        ({"users": [0.5]}, TypeError, "users has dtype float64"),
        ({"k": 0}, ValueError, "k is 0"),
        ({"seen": [[0, 9]]}, IndexError, "seen items: id 9"),
        ({"seen": [[0, 1, 2]]}, ValueError, r"seen has shape \(1, 3\)"),
        ({"catalogue": 3}, TypeError, "catalogue is a int"),
    ],
)
def test_what_cannot_be_recommended_is_refused_by_name(change, error, words):
    given = {"model": md.GMF([3, 4], 2), "users": [0], "k": 2, "seen": None, **change}
    with pytest.raises(error, match=words):
        md.recommend(**given)


def test_a_model_of_more_columns_needs_a_catalogue():
    with pytest.raises(ValueError, match="reads more than users and items"):
        md.recommend(md.DLRM(1, [3, 4], 2, (2,), (2,)), [0], seen=None)


# Folding in


@pytest.mark.parametrize("biases", [True, False])
def test_folding_in_is_the_least_squares_solution(rng, biases):
    model = md.MatrixFactorization([5, 30], 4, biases, mean=3.5, seed=2)
    if biases:
        model.biases.weight.value[...] = rng.normal(size=(35, 1))
    items, ratings, reg = rng.permutation(30)[:9], rng.integers(1, 6, 9), 0.3
    larger = md.fold_in(model, items, ratings, reg)
    x = model.factors.table(1)[items].astype(np.float64)
    y = ratings - 3.5
    if biases:
        x = np.concatenate([x, np.ones((9, 1))], axis=1)
        y = y - model.biases.table(1)[items, 0]
    width = x.shape[1]
    x = np.concatenate([x, np.sqrt(reg) * np.eye(width)])
    expected = np.linalg.lstsq(x, np.concatenate([y, np.zeros(width)]), rcond=None)[0]
    found = larger.factors.table(0)[5]
    if biases:
        found = np.concatenate([found, larger.biases.table(0)[5]])
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_folding_in_leaves_all_other_scores_as_they_were(rng):
    model = md.MatrixFactorization([5, 30], 4, mean=3.5, seed=2)
    before = model.state_dict()["factors.weight"].copy()
    larger = md.fold_in(model, [3, 4], [1.0, 5.0])
    rows = Catalogue.of_pairs(5, 30).pairs(np.repeat(np.arange(5), 30), np.tile(np.arange(30), 5))
    np.testing.assert_array_equal(md.predict(model, rows), md.predict(larger, rows))
    np.testing.assert_array_equal(model.state_dict()["factors.weight"], before)


def test_what_cannot_be_folded_in_is_refused():
    model = md.MatrixFactorization([2, 3], 2)
    with pytest.raises(TypeError, match="only MatrixFactorization"):
        md.fold_in(md.GMF([2, 3], 2), [0], [1.0])
    with pytest.raises(ValueError, match="1 items and 2 ratings"):
        md.fold_in(model, [0], [1.0, 2.0])
    with pytest.raises(ValueError, match="reg is 0"):
        md.fold_in(model, [0], [1.0], reg=0)
    with pytest.raises(IndexError, match="items: id 3"):
        md.fold_in(model, [3], [1.0])
    with pytest.raises(ValueError, match=r"ratings\[0\] is nan"):
        md.fold_in(model, [1], [np.nan])


# Protocols


def test_right_evaluations_of_random_data_raise_no_warning():
    for case in range(CASES):
        with warnings.catch_warnings():
            warnings.simplefilter("error", ProtocolWarning)
            result = md.rank_metrics(**right_evaluation(np.random.default_rng(case)))
        assert result.mistakes == [], case


def as_batch(pairs, label):
    return md.Batch(np.zeros((len(pairs), 0)), pairs, np.asarray(label, float))


def seen_ranked(g, rng):
    g["seen"] = "in"


def held_out_in_training(g, rng):
    g["train"] = np.concatenate([g["train"], g["held_out"][:1]])
    g["times"] = None


def time_reversed(g, rng):
    g["times"] = g["times"][::-1]
    g["times"] = (np.ones(len(g["train"])), np.zeros(len(g["held_out"])))


def sampled_candidates(g, rng):
    users = np.repeat(g["held_out"][:, 0], 15)
    drawn = np.concatenate([rng.permutation(g["model"].shape[1])[:15] for _ in g["held_out"]])
    g["candidates"] = np.unique(
        np.concatenate([np.stack([users, drawn], axis=1), g["held_out"]]), axis=0
    )
    g["k"] = 1


def sampled_for_all(g, rng):
    g["candidates"] = np.unique(g["held_out"][:, 1])
    g["model"] = np.pad(g["model"], ((0, 0), (0, 90)), constant_values=-9.0)
    g["k"] = 1


def user_without_candidates(g, rng):
    n = g["model"].shape[1]
    pairs = np.stack(np.meshgrid(np.arange(len(g["model"])), np.arange(n)), axis=-1).reshape(-1, 2)
    g["candidates"] = pairs[pairs[:, 0] != g["held_out"][0, 0]]


def not_a_candidate(g, rng):
    g["candidates"] = np.setdiff1d(np.arange(g["model"].shape[1]), g["held_out"][:1, 1])


def constant_scores(g, rng):
    g["model"] = np.zeros_like(g["model"])


def rounded_scores(g, rng):
    g["model"] = g["model"].round(1)


def k_too_large(g, rng):
    g["k"] = g["model"].shape[1]


def users_of_one_row(g, rng):
    own = g["train"][:, 0] == g["held_out"][0, 0]
    g["train"] = g["train"].copy()
    g["train"][own, 0] = g["held_out"][1, 0]  # another user has rated them
    g["held_out"] = g["held_out"][~_same(g["held_out"], g["train"])]
    g["times"] = None


def popularity_of_all_rows(g, rng):
    every = np.concatenate([g["train"], g["held_out"]])[:, 1]
    g["popularity"] = np.bincount(every, minlength=g["model"].shape[1])


def popularity_of_the_test(g, rng):
    g["popularity"] = np.bincount(g["held_out"][:, 1], minlength=g["model"].shape[1])


def negative_is_positive(g, rng):
    label = np.r_[np.ones(len(g["train"])), 0]
    g["train"], g["times"] = as_batch(np.r_[g["train"], g["train"][:1]], label), None


def repeated_candidate(g, rng):
    g["candidates"] = np.r_[np.arange(g["model"].shape[1]), 0]


def repeated_held_out(g, rng):
    g["held_out"], g["times"] = np.r_[g["held_out"], g["held_out"][:1]], None


def item_without_training_rows(g, rng):
    g["train"], g["times"] = g["train"][g["train"][:, 1] != g["held_out"][0, 1]], None


def only_held_out_candidates(g, rng):
    g["candidates"] = g["held_out"]


PLANTED = {
    seen_ranked: "seen-ranked",
    held_out_in_training: "held-out-in-training",
    time_reversed: "time-reversed",
    sampled_candidates: "sampled-candidates",
    sampled_for_all: "sampled-candidates",
    user_without_candidates: "user-without-candidates",
    not_a_candidate: "not-a-candidate",
    constant_scores: "ties",
    rounded_scores: "ties",
    k_too_large: "k-too-large",
    users_of_one_row: "user-without-training-rows",
    popularity_of_all_rows: "popularity-of-test",
    popularity_of_the_test: "popularity-of-test",
    negative_is_positive: "negative-is-positive",
    repeated_candidate: "repeated-candidate",
    repeated_held_out: "repeated-held-out",
    item_without_training_rows: "item-without-training-rows",
    only_held_out_candidates: "only-held-out-candidates",
}


def test_every_kind_of_mistake_is_planted():
    assert set(PLANTED.values()) == set(MISTAKES)
    assert len(MISTAKES) >= 12


def test_the_page_names_every_kind_of_mistake():
    page = Path(__file__).parent.parent / "docs" / "recommending.md"
    assert set(re.findall(r"`([a-z-]+)`", page.read_text(encoding="utf-8"))) >= set(MISTAKES)


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
@pytest.mark.filterwarnings("ignore::minidlrm.recommending.ProtocolWarning")
def test_a_planted_mistake_is_named(plant):
    for case in range(10):
        rng = np.random.default_rng(case)
        given = right_evaluation(rng)
        plant(given, rng)
        with pytest.warns(ProtocolWarning, match=PLANTED[plant]):
            result = md.rank_metrics(**given)
        kinds = [mistake.kind for mistake in result.mistakes]
        assert PLANTED[plant] in kinds, case
        if plant is not only_held_out_candidates:  # they are a sample, too
            assert len(kinds) == 1, kinds  # and nothing else is
        assert f"mistake, {PLANTED[plant]}" in repr(result)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"seen": "maybe"}, ValueError, "seen is 'maybe'"),
        ({"k": 0}, ValueError, "k is 0"),
        ({"held_out": []}, ValueError, "held_out has no pairs"),
        ({"held_out": [[0, 99]]}, IndexError, "held_out, items: id 99"),
        ({"train": [[7, 0]]}, IndexError, "train, users: id 7"),
        ({"candidates": [9]}, IndexError, "candidates, items: id 9"),
        ({"popularity": [1]}, ValueError, r"popularity has shape \(1,\)"),
        ({"times": 3}, ValueError, "times must be two arrays"),
        ({"times": ([1.0], [1.0, 2.0])}, ValueError, r"times of held_out have shape \(2,\)"),
        ({"model": np.full((2, 3), np.nan)}, ValueError, "a score is not finite"),
        ({"model": np.zeros(3)}, ValueError, r"model is an array of shape \(3,\)"),
    ],
)
def test_what_cannot_be_ranked_is_refused_by_name(change, error, words):
    given = {"model": np.eye(2, 3), "held_out": [[0, 1]], "train": [[1, 1]], **change}
    with pytest.raises(error, match=words):
        md.rank_metrics(**given)


# The command line and the study


def a_folder_of_films(tmp_path, rng, users=8, films=40):
    """MovieLens ratings: each user rates ten films or more, one after another."""
    lines = ["userId,movieId,rating,timestamp"]
    for user in range(1, users + 1):
        for when, film in enumerate(rng.permutation(films)[: int(rng.integers(10, 20))]):
            lines.append(f"{user},{film + 100},{rng.integers(1, 6)},{1000 * when + user}")
    (tmp_path / "ratings.csv").write_text("\n".join(lines))
    films = [f"{film + 100},Film {film} ({1950 + film}),Drama|War" for film in range(films)]
    (tmp_path / "movies.csv").write_text("\n".join(["movieId,title,genres", *films]))
    return f"movielens:{tmp_path}"


def run(*words):
    from typer.testing import CliRunner

    from minidlrm.cli.app import make_app

    result = CliRunner().invoke(make_app(), list(map(str, words)), env={"COLUMNS": "120"})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


@pytest.mark.parametrize("name", ["dlrm", "mf"])
def test_a_saved_model_recommends_films_by_name(tmp_path, rng, name):
    data = a_folder_of_films(tmp_path, rng)
    run("train", "--data", data, "--model", name, "--epochs", 1, "--out", tmp_path / "m")
    checkpoint = tmp_path / "m" / f"{name}.safetensors"
    shown = run("recommend", checkpoint, "--data", data, "--user", 3, "--user", 77, "-k", 4)
    assert "for user 77, who is new" in shown
    lines = (tmp_path / "ratings.csv").read_text().splitlines()[1:]
    rated = {line.split(",")[1] for line in lines if line.startswith("3,")}
    films = [
        line.split()[1] for line in shown.split("for user 77")[0].splitlines() if "Film" in line
    ]
    assert len(films) == 4
    assert not rated & set(films)
    assert run("recommend", checkpoint, "--user", 3, "--user", 77, "-k", 4) == shown
    everything = run("recommend", checkpoint, "--data", data, "--user", 3, "-k", 40, "--seen", "in")
    assert everything.count("Film") == len({line.split(",")[1] for line in lines})


def test_what_train_read_need_not_be_named_again(tmp_path, rng):
    data = a_folder_of_films(tmp_path, rng, users=20)
    run("train", "--data", data, "--epochs", 1, "--out", tmp_path / "m")
    checkpoint, figure = tmp_path / "m" / "dlrm.safetensors", tmp_path / "seen.png"
    held_out = len(md.data.movielens_clicks(tmp_path).test)
    assert f"on {held_out} rows" in run("inspect", checkpoint, "--out", figure)
    assert figure.stat().st_size > 1000
    (tmp_path / "m" / "metrics.json").unlink()
    for words in (["recommend", checkpoint, "--user", 3], ["inspect", checkpoint, "--out", figure]):
        with pytest.raises(ValueError, match="data is not given, and .* name the data"):
            run(*words)


def test_the_study_ranks_models_beside_popularity(tmp_path, rng):
    data = a_folder_of_films(tmp_path, rng)
    words = ["compare", "--ranking", "--data", data, "--epochs", 1, "--seeds", 2, "-k", 3]
    words += ["--mlp", 4, "--embedding-dim", 2, "--out", tmp_path / "study"]
    shown = run(*words)
    for title in ("MF", "DLRM", "xDeepFM", "popularity", "random", "left out", "seen items ranked"):
        assert title in shown
    for name in ("ranking.md", "ranking.json", "ranking.png"):
        assert (tmp_path / "study" / name).stat().st_size > 500
    cells = {p: p.stat().st_mtime_ns for p in (tmp_path / "study" / "cells").iterdir()}
    assert len(cells) == 14
    again = run(*words)  # finished cells are read
    tables = [[x for x in text.splitlines() if "cell/s" not in x] for text in (shown, again)]
    assert tables[0] == tables[1]
    assert cells == {p: p.stat().st_mtime_ns for p in (tmp_path / "study" / "cells").iterdir()}


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--ranking"], "--ranking takes movielens:FOLDER"),
        (["--ranking", "--rows", "9"], "no meaning with --ranking"),
        (["-k", "9"], "no meaning without --ranking"),
    ],
)
def test_options_of_the_study_are_obeyed_or_refused(words, error):
    with pytest.raises(ValueError, match=error):
        run("compare", *words)
