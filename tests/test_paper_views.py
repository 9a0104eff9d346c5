"""Section 1: films as each view sees them, and claims that a planted truth makes true."""

import numpy as np
import pytest

import minidlrm as md
from minidlrm.paper import Options, views
from minidlrm.paper.films import View, dataset, planted_films, read_films, split


@pytest.fixture(scope="module")
def films():
    return planted_films(seed=0, ratings=4000)


def test_a_new_film_has_no_rating_to_learn_from(films):
    parts = split(films, seed=1)
    new = np.setdiff1d(np.arange(films.sizes[1]), films.film[np.r_[parts.train, parts.valid]])
    assert (parts.known[new] == 0).all()
    tested = films.film[parts.test]
    assert len(set(tested[parts.known[tested] == 0])) > 0.05 * films.sizes[1]
    rows = np.concatenate([parts.train, parts.valid, parts.test])
    assert sorted(rows) == list(range(len(films.film)))


def test_a_view_shows_content_or_number_or_both(films):
    parts = split(films, seed=1)
    made = {name: dataset(films, parts, view, 0) for name, view in views.VIEWS.items()}
    assert made["content"].feature_names == ["user", "decade", "genres"]
    assert made["collaborative"].feature_names == ["user", "film"]
    assert made["both"].feature_names == ["user", "film", "decade", "genres"]
    content = made["content"].test
    assert (content.ids_of(1) == films.decade[films.film[parts.test]]).all()
    genres = [films.genres[film] for film in films.film[parts.test]]
    assert (content.ids_of(2) == np.concatenate(genres)).all()


def test_a_film_that_is_new_or_hidden_has_no_number(films):
    parts = split(films, seed=1)
    data = dataset(films, parts, View(content=False, number=True, hidden=0.25), 0)
    shown = data.train.bags_of(1)[1]
    assert abs(shown.mean() - 0.75) < 0.05
    known = parts.known[films.film[parts.test]] > 0
    assert (data.test.bags_of(1)[1] == known).all()


def test_movielens_is_read_as_films(tmp_path):
    lines = [f"{user},{film},{film % 5 + 0.5},0" for user in range(4) for film in range(1, 6)]
    (tmp_path / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *lines]))
    rows = [f"{film},Film {film} (199{film}),A|B" for film in range(1, 5)]
    rows.append("5,Old film (1921),C")
    (tmp_path / "movies.csv").write_text("\n".join(["movieId,title,genres", *rows]))
    films = read_films(tmp_path)
    assert films.sizes == (4, 5, 3)
    assert films.decade.tolist() == [9, 9, 9, 9, 2]
    assert [genres.tolist() for genres in films.genres] == [[0, 1]] * 4 + [[2]]
    assert films.rating[0] == 1.5


def test_a_claim_follows_the_errors(films):
    """The errors of two views, the first smaller; then the other way round."""
    parts = split(films, seed=1)
    count = parts.known[films.film[parts.test]]
    rng = np.random.default_rng(0)
    low, high = rng.random((2, len(count))), 1 + rng.random((2, len(count)))
    errors = {"content": low, "collaborative": high}
    claim = views._better(errors, count, "", ("no ratings",), "content", "collaborative")
    assert claim.holds
    claim = views._better(errors, count, "", ("no ratings",), "collaborative", "content")
    assert not claim.holds


def test_ids_as_numbers_lose_nothing_but_their_names():
    clicks = md.data.synthetic_clicks(200, num_dense=2, num_tables=3)
    plain = views._as_numbers(clicks)
    assert plain.num_dense == 5
    assert plain.table_sizes == []
    back = plain.train.dense[:, 2:] * (np.array(clicks.table_sizes) - 1)
    assert (np.rint(back) == clicks.train.sparse).all()


@pytest.mark.slow
def test_each_view_wins_where_its_truth_lies(monkeypatch):
    monkeypatch.setattr(views, "SEEDS", 2)
    monkeypatch.setattr(views, "_EPOCHS", 6)
    monkeypatch.delenv("MINIDLRM_DATA", raising=False)
    findings = views.run(Options(rows=20_000, progress=False))
    new, many, *_ = findings.claims
    assert new.holds
    assert many.holds
    probabilities = findings.claims[5]
    assert probabilities.text.startswith("logistic regression gives probabilities")
    assert probabilities.holds
    table, losses = findings.tables.values()
    assert len(table) == 2 + len(views.VIEWS)
    assert [row[2] for row in losses[2:6]] == ["0.0%"] * 4
