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
        from minidlrm.data.movies import _GENRES_100K

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
        assert [part.dense.shape[1] for part in (data.train, data.valid, data.test)] == [0, 0, 0]
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
    data = movielens_ranking(write(tmp_path, "u.data", rows), num_negatives=1)
    assert len(data.test) == len(data.valid) == 6 * 2
    items = data.test.sparse[:, 1].reshape(6, 2)
    for user in range(6):
        own = sorted((r for r in rows if r[0] == user + 1), key=lambda r: r[3])
        assert items[user, 0] == list(MOVIES).index(own[-1][1])
        rated = {list(MOVIES).index(r[1]) for r in own}
        assert not rated & set(items[user, 1:].tolist())
    assert data.test.label.reshape(6, 2).sum(axis=1).tolist() == [1] * 6
    batch = data.with_negatives(2, seed=(0, 1))
    assert len(batch) == 3 * len(data.train)
    negatives = batch.sparse[batch.label == 0]
    assert not data.is_rated(negatives[:, 0], negatives[:, 1]).any()
    other = data.with_negatives(2, seed=(0, 2)).sparse
    assert not np.array_equal(batch.sparse, other) or len(MOVIES) == 4
    assert data.scores(np.arange(12.0)).shape == (6, 2)


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
    missing = r"ratings.csv: line 3, column rating: the rating is missing"
    with pytest.raises(ValueError, match=missing):
        movielens_ratings(path)
    path.write_text("")
    with pytest.raises(ValueError, match="is empty"):
        movielens_ratings(path)
    path.write_text("userId,movieId,rating,timestamp\n1,2,3,4\n")
    with pytest.raises(FileNotFoundError, match="no movies at"):
        movielens_clicks(path)
    with pytest.raises(ValueError, match="user 1 has rated 1 of 1 items: leave-one-out needs 3"):
        movielens_ranking(path)
    with pytest.raises(ValueError, match="split is 'user'"):
        movielens_ratings(path, split="user")
    with pytest.raises(ValueError, match="test_share is 0.9"):
        movielens_ratings(path, test_share=0.9)


def test_a_user_who_rated_every_item_leaves_no_negative(tmp_path):
    lines = [f"{user},{movie},3,{movie}" for user in (7, 8) for movie in range(4 + (user == 8))]
    path = tmp_path / "ratings.csv"
    path.write_text("\n".join(["userId,movieId,rating,timestamp", *lines]))
    with pytest.raises(ValueError, match="user 8 has rated 5 of 5 items: 1 unrated are drawn"):
        movielens_ranking(path, num_negatives=1)


# Files as people have them


def text(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def test_times_are_not_needed_where_nothing_is_ordered(tmp_path):
    path = text(tmp_path / "r.csv", "userId,movieId,rating", "1,2,3", "1,3,4", "2,2,5", "2,3,1")
    assert movielens_ratings(path).table_sizes == [2, 2]
    with pytest.raises(ValueError, match="has no column timestamp; it has userId, movieId, rating"):
        movielens_ratings(path, split="time")


def test_dates_are_read_and_milliseconds_refused(tmp_path):
    head = "userId,movieId,rating,timestamp"
    rows = [f"1,{k},3,2005-04-0{k} 23:53:47" for k in (3, 2, 1)]
    data = movielens_ratings(text(tmp_path / "a.csv", head, *rows), split="time")
    assert data.train.sparse.tolist() == [[0, 0]]  # the earliest is movie 1
    rows = ["1,1,3,1700000000", "1,2,3,1700000000000", "1,3,3,1700000001"]
    with pytest.raises(ValueError, match=r"b\.csv: line 3, column timestamp: .*milliseconds"):
        movielens_ratings(text(tmp_path / "b.csv", head, *rows))


@pytest.mark.parametrize("head", ["user_id,item_id,rating,timestamp", "User,Item,Rating,Time"])
def test_columns_by_their_usual_names(tmp_path, head):
    path = text(tmp_path / "x.csv", head, "1,2,3,4", "1,3,4,5", "2,2,5,6")
    assert movielens_ratings(path).table_sizes == [2, 2]


def test_fold_files_and_byte_order_marks(tmp_path):
    path = text(tmp_path / "u1.base", *(f"{u}\t{m}\t4\t100" for u in (1, 2) for m in (5, 6)))
    assert movielens_ratings(path).table_sizes == [2, 2]
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert movielens_ratings(path).table_sizes == [2, 2]


@pytest.mark.parametrize("bad", ["1.5", "0.5"])
def test_an_id_is_no_fraction(tmp_path, bad):
    head = "userId,movieId,rating,timestamp"
    path = text(tmp_path / "r.csv", head, "1,2,3,4", f"{bad},3,4,5", "2,2,5,6")
    with pytest.raises(ValueError, match=rf"line 3, column userId: '{bad}': an id must be a whole"):
        movielens_ratings(path)


def test_large_ids_and_text_ids_stay_apart(tmp_path):
    head = "userId,movieId,rating,timestamp"
    big = [2**53, 2**53 + 1, 2**62, 2**62 + 1]
    path = text(tmp_path / "a.csv", head, *(f"{user},7,3,4" for user in big))
    data = movielens_ratings(path)
    assert data.vocabulary.users.tolist() == big
    assert data.vocabulary.encode([str(2**53 + 1)], [7]).tolist() == [[1, 0]]
    path = text(tmp_path / "b.csv", head, *(f"{user},7,3,4" for user in ("ann", "bob", "12")))
    data = movielens_ratings(path)
    assert data.vocabulary.encode("bob", 7).tolist() == [[2, 0]]
    assert data.schema.encode([{"user": "bob", "item": 7}]).sparse.tolist() == [[2, 0]]
    with pytest.raises(IndexError, match="column user: 'eve' is not among the 3 known values"):
        data.schema.encode([{"user": "eve", "item": 7}])


def test_known_ids_as_text_or_alone(tmp_path):
    ids = movielens_ratings(write(tmp_path, "u.data", ratings_rows())).vocabulary
    for users, items in (("2", "20"), (2, 20), (["2"], [20]), ([2.0], ["20.0"])):
        assert ids.encode(users, items).tolist() == [[1, 1]]


def test_the_schema_of_clicks_encodes_a_raw_row(tmp_path):
    data = movielens_clicks(write(tmp_path, "ratings.csv", ratings_rows(7)))
    row = {"hour": 23, "weekday": 3, "age": 50, "user": 3, "movie": 40, "genres": "Crime"}
    batch = data.schema.encode([row])
    np.testing.assert_allclose(batch.dense, [[1, 0.5, 0.5]])
    crime = data.schema["genres"].categories.value(int(batch.sparse.values[2]))
    assert (batch.sparse.values[:2].tolist(), crime) == ([2, 3], "Crime")


def test_movies_that_do_not_fit(tmp_path):
    write(tmp_path, "ratings.csv", ratings_rows())
    movies = tmp_path / "movies.csv"
    for content, match in [
        (b"movieId,title\n10,A\n", "must have the columns movieId, title and genres"),
        (b"movieId,title,genres\n10\n", "line 2 is too short"),
        (b"movieId,title,genres\n10,Am\xe9lie,B\n", "is not UTF-8 text"),
    ]:
        movies.write_bytes(content)
        with pytest.raises(ValueError, match=match):
            movielens_clicks(tmp_path)


# Rankings of logs as they are


def test_repeated_pairs_are_kept_once(tmp_path):
    rng = np.random.default_rng(0)
    lines = [f"{u},{rng.integers(0, 9)},1,{t}" for u in range(20) for t in range(40)]
    lines += [f"99,{m},1,{m}" for m in range(20)]
    path = text(tmp_path / "r.csv", "userId,movieId,rating,timestamp", *lines)
    data = movielens_ranking(path, num_negatives=3, drop_users=True)
    assert "repeated pairs dropped" in data.description
    train = set(map(tuple, np.asarray(data.train.sparse).tolist()))
    for part in (data.valid, data.test):
        held_out = np.asarray(part.sparse)[np.asarray(part.label) == 1]
        assert not train & set(map(tuple, held_out.tolist()))


def test_short_users_are_named_or_dropped_and_negatives_differ(tmp_path):
    lines = [f"{u},{m},1,{m}" for u in range(5) for m in range(12) if (u + m) % 3]
    path = text(tmp_path / "r.csv", "userId,movieId,rating,timestamp", *lines, "77,1,1,5")
    with pytest.raises(ValueError, match="user 77 has rated 1 of 12 items: leave-one-out needs 3"):
        movielens_ranking(path, num_negatives=4)
    data = movielens_ranking(path, num_negatives=4, drop_users=True)
    assert "1 users with too few rows dropped" in data.description
    lists = np.asarray(data.test.sparse)[:, 1].reshape(5, 5)
    assert all(len(set(row)) == 5 for row in lists.tolist())


def test_shares_of_the_test_and_validation_rows(tmp_path):
    head = "userId,movieId,rating"
    path = text(tmp_path / "r.csv", head, *(f"{k},1,3" for k in range(40)))

    def lengths(**options):
        data = movielens_ratings(path, **options)
        return [len(part) for part in (data.train, data.valid, data.test)]

    assert lengths() == [34, 2, 4]
    assert lengths(test_share=0.2) == [28, 4, 8]
    assert lengths(test_share=0.001) == [38, 1, 1]
    for share in (0, 0.5, -0.1, 1, float("nan")):
        with pytest.raises(ValueError, match=f"test_share is {share}"):
            movielens_ratings(path, test_share=share)
    three = text(tmp_path / "three.csv", head, "1,1,3", "1,2,3", "2,1,3")
    data = movielens_ratings(three)
    assert [len(part) for part in (data.train, data.valid, data.test)] == [1, 1, 1]
    with pytest.raises(ValueError, match="has 2 ratings: three splits need at least 3"):
        movielens_ratings(text(tmp_path / "two.csv", head, "1,1,3", "1,2,3"))


def test_the_default_split_is_by_the_seed_0_and_says_so(tmp_path):
    write(tmp_path, "u.data", ratings_rows(20))
    default, zero, one = (movielens_ratings(tmp_path, **s) for s in ({}, {"seed": 0}, {"seed": 1}))
    np.testing.assert_array_equal(default.test.sparse, zero.test.sparse)
    assert not np.array_equal(default.test.sparse, one.test.sparse)
    assert default.description.endswith("random split, seed 0")
    assert movielens_ratings(tmp_path, split="time").description.endswith("time split")


def test_pairs_of_users_and_items(tmp_path):
    ids = movielens_ratings(write(tmp_path, "u.data", ratings_rows())).vocabulary
    with pytest.raises(ValueError, match="2 users and 1 items: give pairs"):
        ids.encode([1, 2], [10])
    for user in ("1.5", "x", "99999999999999999999", "", 10**17):
        with pytest.raises(IndexError, match="is not among the 5 known ones"):
            ids.encode([user], [10])
    with pytest.raises(IndexError, match="user 0 is not"):
        ids.encode([0], [10])
    user, item = ids.columns()
    assert (user.distinct, item.distinct, user.categories.size) == (5, 4, 5)
    assert user.categories.integers


def test_a_click_is_a_rating_of_at_least_the_threshold(tmp_path):
    rows = [(1, 10, rating, 1000 + k) for k, rating in enumerate([3, 3.5, 4, 4.5, 5, 1, 2, 4])]
    write(tmp_path, "ratings.csv", rows)
    assert movielens_clicks(tmp_path).train.label.tolist() == [0, 0, 1, 1, 1, 0]
    assert movielens_clicks(tmp_path, threshold=4.5).train.label.tolist() == [0, 0, 0, 1, 1, 0]


def test_hours_weekdays_and_ages_of_known_moments(tmp_path):
    rows = [(1, 10, 5, 0), (1, 20, 5, 3600 * 25), (1, 30, 5, 86400 * 365), (1, 40, 5, 10**9)]
    write(tmp_path, "ratings.csv", [*rows, *((2, 10, 5, 2 * 10**9 + k) for k in range(3))])
    data = movielens_clicks(tmp_path)
    hour, weekday, age = data.train.dense.T
    np.testing.assert_allclose(hour * 23, [0, 1, 0, 1, 3, 3], atol=1e-5)
    np.testing.assert_allclose(weekday * 6, [3, 4, 4, 6, 2, 2], atol=1e-5)
    np.testing.assert_allclose(age * 100, [0, 0, 0, 11, 38, 38], atol=1e-5)  # 1990; 1995


def test_first_lines_of_every_form(tmp_path):
    for lines, users in [
        (["1,2,3", "1,3,4", "2,2,5"], 2),
        (["1\t2\t3\t4", "1\t3\t4\t4", "2\t2\t5\t4"], 2),
        (["1::2::3::4", "1::3::4::4", "2::2::5::4"], 2),
        (["a,2,3", "b,3,4", "c,2,5"], 3),
    ]:
        assert movielens_ratings(text(tmp_path / "r.csv", *lines)).table_sizes[0] == users
    for first, count in (("1,2", 2), ("1,2,3,4,5", 5)):
        with pytest.raises(ValueError, match=f"line 1 has {count} fields: expected user, item"):
            movielens_ratings(text(tmp_path / "r.csv", first))


def test_the_row_of_a_gap_is_named(tmp_path):
    head = "userId,movieId,rating,timestamp"
    for bad, message in [
        (",2,3,4", "line 3, column userId: the id is missing"),
        ("1,,3,4", "line 3, column movieId: the id is missing"),
        ("1,2,,4", "line 3, column rating: the rating is missing"),
        ("1,2,3,", "line 3, column timestamp: the time is missing"),
        ("1,2,3,95617584001", "line 3, column timestamp: .*beyond the year 5000"),
        ("1,2,3,-95617584001", "line 3, column timestamp: .*beyond the year 5000"),
    ]:
        path = text(tmp_path / "r.csv", head, "1,1,3,4", bad, "1,3,3,4", bad)
        with pytest.raises(ValueError, match=message):
            movielens_ratings(path, split="time")
    path = text(tmp_path / "r.csv", head, *(f"1,{k},3,95617584000" for k in range(3)))
    assert len(movielens_ratings(path, split="time").train) == 1
    with pytest.raises(ValueError, match="has no ratings"):
        movielens_ratings(text(tmp_path / "r.csv", head))


def test_ids_that_do_not_fit_into_64_bits_or_have_a_leading_zero_are_text(tmp_path):
    for users in (["9" * 19, "1", "2"], ["07", "7", "8"]):
        path = text(tmp_path / "r.csv", "userId,movieId,rating", *(f"{u},1,3" for u in users))
        assert sorted(movielens_ratings(path).vocabulary.users.tolist()) == sorted(users)
    path = text(tmp_path / "r.csv", "userId,movieId,rating", "-1,1,3", "0,1,3", f"{2**62},1,3")
    assert movielens_ratings(path).vocabulary.users.tolist() == [-1, 0, 2**62]


def test_numbers_among_text_ids_and_ids_of_several_digits():
    from minidlrm.data.movielens import RatingIds

    ids = RatingIds(np.array([3, 20, 100]), np.array(["12", "7", "ann"]))
    assert ids.encode([100, 3, 20], [7, 12, 7]).tolist() == [[2, 1], [0, 0], [1, 1]]
    assert ids.encode(["100", 3.0], ["ann", "12"]).tolist() == [[2, 2], [0, 0]]
