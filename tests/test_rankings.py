"""Rankings: who is left out, what is drawn beside it, and the same draws for a seed."""

import numpy as np
import pytest

from minidlrm.data import movielens_ranking


def write(path, rows):
    head = "userId,movieId,rating,timestamp"
    path.write_text("\n".join([head, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


@pytest.fixture
def path(tmp_path):
    """Users 1 and 2 rate films 0 to 3 and 2 to 4 of 7, in falling order of their time."""
    rows = [(1, m, 5, 100 - m) for m in range(4)] + [(2, m, 5, 50 + m) for m in (2, 3, 4)]
    return write(tmp_path / "r.csv", [*rows, *((3, m, 5, 7 + m) for m in (4, 5, 6))])


def test_the_last_two_items_are_held_out_and_the_others_trained_on(path):
    data = movielens_ranking(path, num_negatives=2)
    assert data.table_sizes == [3, 7]
    assert data.train.sparse.tolist() == [[0, 3], [0, 2], [1, 2], [2, 4]]
    assert data.train.label.tolist() == [1] * 4
    for part, first in ((data.valid, [1, 3, 5]), (data.test, [0, 4, 6])):
        users, items = part.sparse.reshape(3, 3, 2).transpose(2, 0, 1)
        assert users.tolist() == [[0] * 3, [1] * 3, [2] * 3]
        assert items[:, 0].tolist() == first
        assert part.label.reshape(3, 3).tolist() == [[1, 0, 0]] * 3
        assert not data.is_rated(users[:, 1:], items[:, 1:]).any()
        assert (items[:, 1] != items[:, 2]).all()
    assert "10 ratings of " in data.description
    assert data.description.endswith("leave one out of 3")


def test_is_rated_knows_every_pair(path):
    data = movielens_ranking(path, num_negatives=1)
    users, items = np.mgrid[0:3, 0:7]
    rated = {(0, 0), (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (1, 4), (2, 4), (2, 5), (2, 6)}
    expected = [[(u, i) in rated for i in range(7)] for u in range(3)]
    assert data.is_rated(users, items).tolist() == expected
    assert data.rated.tolist() == [7 * u + i for u, i in sorted(rated)]


def test_one_user_alone_has_a_last_item(tmp_path):
    rows = [(1, m, 5, m) for m in range(3)]
    rows += [(2, m, 5, m) for m in (3, 4)]
    data = movielens_ranking(write(tmp_path / "r.csv", rows), num_negatives=1, drop_users=True)
    assert data.test.sparse[0].tolist() == [0, 2]
    assert data.train.sparse.tolist() == [[0, 0]]


def test_negatives_stand_behind_the_positives_each_beside_its_user(path):
    data = movielens_ranking(path, num_negatives=1)
    batch = data.with_negatives(3, seed=0)
    assert batch.sparse[:4].tolist() == data.train.sparse.tolist()
    for part in (batch, data.train, data.valid, data.test):
        assert part.dense.shape == (len(part), 0)
    assert batch.label.tolist() == [1] * 4 + [0] * 12
    assert batch.sparse[4:, 0].tolist() == np.repeat([0, 0, 1, 2], 3).tolist()
    assert not data.is_rated(*batch.sparse[4:].T).any()
    drawn = data.with_negatives(30, seed=0).sparse[4:, 1]
    assert set(drawn.tolist()) == set(range(7))  # the first and the last too


def test_lists_of_all_unrated_items_are_complete(tmp_path):
    rows = [(u, m, 5, m) for u in range(9) for m in range(9) if (u + m) % 3]
    data = movielens_ranking(write(tmp_path / "r.csv", rows), num_negatives=3)
    for user, row in enumerate(data.test.sparse[:, 1].reshape(9, 4).tolist()):
        assert sorted(row[1:]) == [m for m in range(9) if (user + m) % 3 == 0]


def test_the_default_seed_is_zero_and_another_draws_others(tmp_path):
    rows = [(u, (7 * u + m) % 60, 5, m) for u in range(9) for m in range(4)]
    path = write(tmp_path / "r.csv", rows)
    lists = [movielens_ranking(path, num_negatives=9, **seed).test.sparse.tolist()
             for seed in ({}, {"seed": 0}, {"seed": 1})]  # fmt: skip
    assert lists[0] == lists[1] != lists[2]


def test_the_last_of_repeated_pairs_counts(tmp_path):
    rows = [(1, m, 5, t) for t, m in enumerate([4, 5, 6, 4])] + [(2, m, 5, m) for m in (5, 6, 7)]
    data = movielens_ranking(write(tmp_path / "r.csv", rows), num_negatives=1)
    assert data.test.sparse[0].tolist() == [0, 0]
    assert data.train.sparse.tolist() == [[0, 1], [1, 1]]
    assert data.description.endswith("1 repeated pairs dropped")


def test_users_just_large_enough_stay_and_others_are_named_or_dropped(path, tmp_path):
    assert len(movielens_ranking(path, num_negatives=3).test) == 3 * 4  # user 1 has 3 unrated
    with pytest.raises(ValueError, match=r"user 1 has rated 4 of 7 items: 4 unrated.*users \(1\)"):
        movielens_ranking(path, num_negatives=4)
    data = movielens_ranking(path, num_negatives=4, drop_users=True)
    assert np.unique(data.test.sparse[:, 0]).tolist() == [1, 2]
    assert data.description.endswith("1 users with too few rows dropped")
    with pytest.raises(ValueError, match="no user has 3 ratings and 5 unrated"):
        movielens_ranking(path, num_negatives=5, drop_users=True)
    two = write(
        tmp_path / "two.csv", [(1, m, 5, m) for m in (1, 2)] + [(2, m, 5, m) for m in (3, 4, 5)]
    )
    with pytest.raises(ValueError, match="user 1 has rated 2 of 5 items: leave-one-out needs 3"):
        movielens_ranking(two, num_negatives=1)
    for number in (0, -1):
        with pytest.raises(ValueError, match=f"num_negatives is {number}"):
            movielens_ranking(path, num_negatives=number)
