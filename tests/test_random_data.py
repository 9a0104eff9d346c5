"""random_bags: ids, bags and labels are what was asked for, and two known mistakes are not made."""

import hashlib

import numpy as np
import pytest

from minidlrm.data import random_bags


def test_the_same_seed_gives_the_same_bits():
    first, second, third = (random_bags(100, seed) for seed in (1, 1, 2))
    assert first.train.dense.tobytes() == second.train.dense.tobytes()
    assert first.test.sparse.values.tobytes() == second.test.sparse.values.tobytes()
    assert first.train.sparse.values.tobytes() != third.train.sparse.values.tobytes()


@pytest.mark.parametrize("distribution", ["uniform", "normal", "zipf"])
@pytest.mark.parametrize("fixed", [True, False])
def test_every_id_lies_in_its_table_and_counts_once_a_bag(distribution, fixed):
    sizes = [1, 3, 40]
    data = random_bags(
        200, table_sizes=sizes, ids_per_bag=6, fixed=fixed, distribution=distribution
    )
    for part in (data.train, data.valid, data.test):
        part.check(13, 3)
        for t, size in enumerate(sizes):
            ids, counts, _ = part.bags_of(t)
            assert 0 <= ids.min() <= ids.max() < size
            assert 1 <= counts.min() <= counts.max() <= min(size, 6)
            for bag in np.split(ids, np.cumsum(counts)[:-1]):
                assert (np.diff(bag) > 0).all()


def test_normal_ids_beyond_a_table_are_its_first_and_last_row():
    data = random_bags(
        50, table_sizes=[7], ids_per_bag=1, distribution="normal", mean=3, deviation=100
    )
    ids = data.train.ids_of(0)
    assert (ids.min(), ids.max()) == (0, 6)


def test_the_two_parameters_of_normal_ids():
    data = random_bags(
        5000, table_sizes=[1000], ids_per_bag=1, distribution="normal", mean=200, deviation=10
    )
    ids = data.train.ids_of(0)
    assert abs(ids.mean() - 200) < 1
    assert abs(ids.std() - 10) < 0.5


def test_zipf_follows_its_exponent():
    ids = random_bags(50_000, table_sizes=[100], ids_per_bag=1, distribution="zipf", exponent=2.0)
    counts = np.bincount(ids.train.ids_of(0), minlength=100)
    assert counts[0] / counts[1] == pytest.approx(4, rel=0.1)
    assert counts[0] / counts[2] == pytest.approx(9, rel=0.15)


def test_dense_numbers_and_labels():
    plain = random_bags(5000, num_dense=3)
    assert 0 <= plain.train.dense.min() <= plain.train.dense.max() < 1
    assert abs(plain.train.label.mean() - 0.5) < 0.05
    assert len(np.unique(plain.train.label)) > 3000
    other = random_bags(5000, num_dense=3, dense="normal", round_labels=True)
    assert abs(other.train.dense.std() - 1) < 0.05
    assert set(other.train.label) == {0, 1}


def test_no_test_row_is_a_training_row():
    data = random_bags(1000)
    rows = np.concatenate([part.dense for part in (data.train, data.valid, data.test)])
    assert len(np.unique(rows, axis=0)) == 1000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 9}, "rows is 9"),
        ({"table_sizes": []}, "table_sizes is empty"),
        ({"table_sizes": [3, 0]}, r"table_sizes\[1\] is 0"),
        ({"ids_per_bag": 0}, "ids_per_bag is 0"),
        ({"distribution": "gauss"}, "distribution is 'gauss'"),
        ({"dense": "zipf"}, "dense is 'zipf'"),
        ({"mean": 3}, "mean is 3: it has no meaning for uniform ids"),
        ({"distribution": "normal", "deviation": -1}, "deviation is -1"),
        ({"exponent": float("nan")}, "exponent is nan"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        random_bags(**{"rows": 100, **options})


def test_a_deviation_of_zero_draws_one_id():
    options = {"table_sizes": [100], "ids_per_bag": 1, "distribution": "normal"}
    data = random_bags(50, **options, mean=7, deviation=0)
    assert set(data.train.sparse.values.tolist()) == {7}


@pytest.mark.parametrize(
    ("options", "known"),
    [
        ({}, "efd98f07e0b6bb81"),
        ({"seed": [1, 2], "fixed": True, "num_dense": 0, "round_labels": True}, "d0cffa679a5917be"),
        (
            {"distribution": "normal", "table_sizes": [5, 1, 100], "dense": "normal"},
            "1ae1b0b4afb83314",
        ),
        (
            {"distribution": "normal", "mean": 3, "deviation": 2.5, "ids_per_bag": 4},
            "5e0a9010286df5a9",
        ),
        ({"distribution": "zipf", "table_sizes": [7, 90], "ids_per_bag": 3}, "24c707032279ef36"),
    ],
)
def test_the_rows_of_a_seed_stay_what_they_were(options, known):
    data, digest = random_bags(50, **options), hashlib.sha256()
    for rows in (data.train, data.valid, data.test):
        digest.update(rows.sparse.values.astype("<i8").tobytes())
        digest.update(rows.sparse.offsets.astype("<i8").tobytes())
        digest.update(rows.label.astype("<f4").tobytes())
        digest.update((rows.dense * 1000).round().astype("<i8").tobytes())
    assert digest.hexdigest()[:16] == known


def test_splits_and_names():
    data = random_bags(29, num_dense=1, table_sizes=[3, 4])
    assert [len(part) for part in (data.train, data.valid, data.test)] == [25, 2, 2]
    assert data.feature_names == ["dense0", "table0", "table1"]
    assert len(random_bags(10, num_dense=0).test) == 1
    with pytest.raises(ValueError, match="num_dense is -1"):
        random_bags(10, num_dense=-1)


@pytest.mark.parametrize("name", ["ids_per_bag", "num_dense"])
def test_what_does_not_fit_into_memory_is_refused_at_once(name):
    with pytest.raises(ValueError, match="does not fit into memory"):
        random_bags(100, **{name: 10**14})
    with pytest.raises(ValueError, match="table_sizes: .*does not fit into memory"):
        random_bags(100, table_sizes=[3, 10**14, 3])


def test_the_room_that_is_needed_is_that_of_numbers_and_ids(monkeypatch):
    needed = 10 * (13 + 6 * 8) * 4
    for memory, fits in ((needed, True), (needed - 1, False)):
        monkeypatch.setattr("minidlrm.arrays._memory", lambda memory=memory: memory)
        if fits:
            assert len(random_bags(10, table_sizes=[3] * 8, ids_per_bag=6).train) == 8
        else:
            with pytest.raises(ValueError, match="rows, num_dense or ids_per_bag: an array"):
                random_bags(10, table_sizes=[3] * 8, ids_per_bag=6)
