"""MovieLens in its three forms: ratings, clicks, rankings."""

import numpy as np
import pytest

import minidlrm as md
from minidlrm.data import movielens_clicks, movielens_ranking, movielens_ratings

MOVIES = {
    10: ("Heat, The (1995)", ["Action", "Crime"]),
    20: ("Sabrina (1995)", ["Comedy"]),
    30: ("Nixon", []),
    40: ("Casino (1990)", ["Crime"]),
}


def ratings_rows(users=5):
    rng = np.random.default_rng(0)
    return [
        (user, movie, int(rng.integers(1, 6)), 900_000_000 + 3600 * int(rng.integers(0, 10_000)))
        for user in range(1, users + 1)
        for movie in MOVIES
    ]


def write(folder, form, rows):
    if form == "ratings.csv":
        text = "userId,movieId,rating,timestamp\n"
        text += "".join(",".join(map(str, row)) + "\n" for row in rows)
        movies = "movieId,title,genres\n"
        for movie, (title, genres) in MOVIES.items():
            movies += f'{movie},"{title}",{"|".join(genres) or "(no genres listed)"}\n'
        (folder / "movies.csv").write_text(movies)
    elif form == "u.data":
        text = "".join("\t".join(map(str, row)) + "\n" for row in rows)
        from minidlrm.data.movielens import _GENRES_100K

        items = ""
        for movie, (title, genres) in MOVIES.items():
            flags = "|".join(str(int(name in genres)) for name in _GENRES_100K)
            items += f"{movie}|{title}|01-Jan-1995||http://x|{flags}\n"
        (folder / "u.item").write_text(items, encoding="latin-1")
    else:
        text = "".join("::".join(map(str, row)) + "\n" for row in rows)
        movies = [f"{m}::{title}::{'|'.join(g) or 'None'}" for m, (title, g) in MOVIES.items()]
        (folder / "movies.dat").write_text("\n".join(movies) + "\n", encoding="latin-1")
    (folder / form).write_text(text)
    return folder


FORMS = ["ratings.csv", "u.data", "ratings.dat"]


@pytest.mark.parametrize("form", FORMS)
def test_ratings_of_every_form(form, tmp_path):
    rows = ratings_rows()
    for path in (write(tmp_path, form, rows), tmp_path / form):
        data = movielens_ratings(path, split="time")
        assert data.table_sizes == [5, 4]
        parts = (data.train, data.valid, data.test)
        assert [len(part) for part in parts] == [17, 1, 2]
        ids = np.concatenate([part.sparse for part in parts])
        label = np.concatenate([part.label for part in parts])
        order = np.argsort([row[3] for row in rows], kind="stable")
        expected = [(rows[k][0] - 1, list(MOVIES).index(rows[k][1])) for k in order]
        np.testing.assert_array_equal(ids, expected)
        np.testing.assert_array_equal(label, [rows[k][2] for k in order])


def test_the_random_split_is_by_seed(tmp_path):
    write(tmp_path, "u.data", ratings_rows(20))
    a, b, c = (movielens_ratings(tmp_path, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a.test.sparse, b.test.sparse)
    assert not np.array_equal(a.test.sparse, c.test.sparse)


@pytest.mark.parametrize("form", FORMS)
def test_clicks_with_genres_and_time(form, tmp_path):
    rows = sorted(ratings_rows(7), key=lambda row: row[3])
    data = movielens_clicks(write(tmp_path, form, rows))
    assert data.table_sizes[:2] == [7, 4]
    assert data.feature_names == ["hour", "weekday", "age", "user", "movie", "genres"]
    batch = data.train
    for b, (user, movie, rating, time) in enumerate(rows[: len(batch)]):
        row = batch[b : b + 1]
        assert row.label[0] == (rating >= 4)
        bags = np.split(row.sparse.values, row.sparse.offsets[1:-1])
        assert bags[0].tolist() == [user - 1]
        assert bags[1].tolist() == [list(MOVIES).index(movie)]
        stamp = np.datetime64(time, "s").item()
        np.testing.assert_allclose(
            row.dense[0, :2], [stamp.hour / 23, stamp.weekday() / 6], rtol=1e-6
        )
        title = MOVIES[movie][0]
        if "(" in title:
            year = int(title[-5:-1])
            assert row.dense[0, 2] == pytest.approx((stamp.year - year) / 100)
            assert len(bags[2]) == len(MOVIES[movie][1])
    model = md.DLRM(3, data.table_sizes, 4, (4,), (4,))
    assert np.isfinite(model.forward(batch)).all()


def test_ranking_leaves_the_last_item_of_each_user_out(tmp_path):
    rows = [row for row in ratings_rows(6) if (row[0] + row[1] // 10) % 4]  # three of four each
    data = movielens_ranking(write(tmp_path, "u.data", rows), num_negatives=5)
    assert len(data.test) == len(data.valid) == 6 * 6
    items = data.test.sparse[:, 1].reshape(6, 6)
    for user in range(6):
        own = sorted((r for r in rows if r[0] == user + 1), key=lambda r: r[3])
        assert items[user, 0] == list(MOVIES).index(own[-1][1])
        rated = {list(MOVIES).index(r[1]) for r in own}
        assert not rated & set(items[user, 1:].tolist())
    assert data.test.label.reshape(6, 6).sum(axis=1).tolist() == [1] * 6
    batch = data.with_negatives(2, seed=(0, 1))
    assert len(batch) == 3 * len(data.train)
    negatives = batch.sparse[batch.label == 0]
    assert not data.rated[negatives[:, 0], negatives[:, 1]].any()
    other = data.with_negatives(2, seed=(0, 2)).sparse
    assert not np.array_equal(batch.sparse, other) or len(MOVIES) == 4
    assert data.scores(np.arange(36.0)).shape == (6, 6)


def test_an_unknown_user_is_named(tmp_path):
    data = movielens_ratings(write(tmp_path, "u.data", ratings_rows()))
    assert data.vocabulary.encode([2], [20]).tolist() == [[1, 1]]
    with pytest.raises(IndexError, match="user 77 is not among the 5 known ones"):
        data.vocabulary.encode([2, 77], [20, 20])
    with pytest.raises(IndexError, match="item 21 is not among the 4"):
        data.vocabulary.encode([2], [21])


def test_files_that_do_not_fit(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds none of ratings.csv, u.data"):
        movielens_ratings(tmp_path)
    with pytest.raises(FileNotFoundError, match="no ratings at"):
        movielens_ratings(tmp_path / "ratings.csv")
    path = tmp_path / "ratings.csv"
    path.write_text("userId,movieId,timestamp\n1,2,3\n")
    with pytest.raises(ValueError, match="has no column rating; it has userId, movieId, timestamp"):
        movielens_ratings(path)
    path.write_text("userId,movieId,rating,timestamp\n1,2,good,3\n")
    with pytest.raises(ValueError, match="good"):
        movielens_ratings(path)
    path.write_text("userId,movieId,rating,timestamp\n1,2,3,4\n1,3,nan,4\n")
    with pytest.raises(ValueError, match="rating of rating 2 is nan"):
        movielens_ratings(path)
    path.write_text("")
    with pytest.raises(ValueError, match="is empty"):
        movielens_ratings(path)
    path.write_text("userId,movieId,rating,timestamp\n1,2,3,4\n")
    with pytest.raises(FileNotFoundError, match="no movies at"):
        movielens_clicks(path)
    with pytest.raises(ValueError, match="fewer than 3 ratings"):
        movielens_ranking(path)
    with pytest.raises(ValueError, match="split is 'user'"):
        movielens_ratings(path, split="user")
    with pytest.raises(ValueError, match="test_share is 0.9"):
        movielens_ratings(path, test_share=0.9)


def test_a_user_who_rated_every_item_leaves_no_negative(tmp_path):
    lines = [f"{user},{movie},3,{movie}" for user in (7, 8) for movie in range(4 + (user == 8))]
    path = tmp_path / "ratings.csv"
    path.write_text("\n".join(["userId,movieId,rating,timestamp", *lines]))
    with pytest.raises(ValueError, match="user 8 has rated all 5 items"):
        movielens_ranking(path, num_negatives=1)
