"""Batch, Jagged, minibatches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidlrm.data import Batch, Dataset, Jagged, minibatches


def slow_pick(jagged, batch_size, rows):
    """The bags of some samples, one at a time."""
    num_tables = (len(jagged.offsets) - 1) // batch_size
    bags = []
    for t in range(num_tables):
        for b in rows:
            k = t * batch_size + b
            bags.append(jagged.values[jagged.offsets[k] : jagged.offsets[k + 1]])
    return bags


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 4), st.lists(st.integers(0, 5)))
def test_rows_of_a_jagged_are_their_bags(seed, batch_size, num_tables, rows):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 3, batch_size * num_tables)
    values = rng.integers(0, 9, lengths.sum())
    jagged = Jagged(values, np.concatenate([[0], np.cumsum(lengths)]), values.astype(float))
    batch = Batch(np.zeros((batch_size, 0)), jagged)
    rows = np.array([row % batch_size for row in rows], dtype=int)
    for key in (rows, slice(1, None), slice(None, None, 2)):
        picked = batch[key]
        expected = slow_pick(jagged, batch_size, np.arange(batch_size)[key])
        assert len(picked) == len(np.arange(batch_size)[key])
        got = np.split(picked.sparse.values, picked.sparse.offsets[1:-1])
        assert [g.tolist() for g in got[: len(expected)]] == [e.tolist() for e in expected]
        np.testing.assert_array_equal(picked.sparse.weights, picked.sparse.values)


def test_slices_are_views_and_rows_are_batches():
    batch = Batch(np.zeros((4, 2), np.float32), np.arange(8).reshape(4, 2), np.arange(4.0))
    assert np.shares_memory(batch[1:3].dense, batch.dense)
    np.testing.assert_array_equal(batch[np.array([3, 0])].label, [3, 0])
    with pytest.raises(TypeError, match=r"write batch\[2:3\]"):
        batch[2]


@pytest.mark.parametrize(
    ("dense", "sparse", "label", "error", "message"),
    [
        (np.zeros((2, 3), int), [[0], [0]], None, TypeError, "Batch.dense has dtype int64"),
        (np.zeros(3), [[0], [0]], None, ValueError, r"Batch.dense has shape \(3,\)"),
        (np.zeros((2, 3)), [[0.5], [1.0]], None, TypeError, "Batch.sparse has dtype float64"),
        (
            np.zeros((2, 3)),
            [[0]],
            None,
            ValueError,
            "Batch.sparse has 1 rows, but Batch.dense has 2",
        ),
        (np.zeros((2, 3)), [[0], [0]], np.zeros(3), ValueError, "Batch.label has 3 rows"),
        (np.zeros((2, 3)), [[0], [0]], np.zeros(2, int), TypeError, "Batch.label has dtype int64"),
        (
            np.zeros((2, 3)),
            Jagged([0], [0, 1]),
            None,
            ValueError,
            "no multiple of the batch size 2",
        ),
    ],
)
def test_wrong_arrays_are_named(dense, sparse, label, error, message):
    with pytest.raises(error, match=message):
        Batch(dense, sparse, label)


def test_wrong_bags_are_named():
    with pytest.raises(TypeError, match=r"Jagged.values has dtype float64"):
        Jagged([0.5], [0, 1])
    with pytest.raises(ValueError, match="one weight for each id"):
        Jagged([0, 1], [0, 2], [1.0])
    with pytest.raises(ValueError, match="Jagged.offsets is empty"):
        Jagged([], [])


def test_minibatches_shuffle_each_row_once_and_leave_the_global_generator():
    data = Batch(np.zeros((10, 0)), np.arange(10)[:, None])
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].tobytes()  # noqa: NPY002
    first = np.concatenate([b.sparse[:, 0] for b in minibatches(data, 3, seed=5)])
    again = np.concatenate([b.sparse[:, 0] for b in minibatches(data, 3, seed=5)])
    other = np.concatenate([b.sparse[:, 0] for b in minibatches(data, 3, seed=6)])
    assert np.random.get_state()[1].tobytes() == before  # noqa: NPY002
    np.testing.assert_array_equal(first, again)
    assert first.tolist() != other.tolist()
    assert sorted(first) == list(range(10))
    assert [len(b) for b in minibatches(data, 3)] == [3, 3, 3, 1]
    later = np.concatenate([b.sparse[:, 0] for b in minibatches(data, 3, seed=5, start=2)])
    np.testing.assert_array_equal(later, first[6:])


def test_minibatches_of_nothing():
    data = Batch(np.zeros((0, 0)), np.zeros((0, 2), int))
    with pytest.raises(ValueError, match="the data have no rows"):
        next(minibatches(data, 3))
    with pytest.raises(ValueError, match="batch_size is 0"):
        next(minibatches(Batch(np.zeros((1, 0)), [[0]]), 0))


def test_a_mask_picks_rows_and_a_slice_may_be_empty():
    jagged = Jagged([5, 7, 0, 1, 1], [0, 2, 2, 3, 5])
    batch = Batch(np.arange(2.0)[:, None], jagged, np.arange(2.0))
    second = batch[np.array([False, True])]
    assert (len(second), second.num_tables, second.sparse.values.tolist()) == (1, 2, [1, 1])
    assert second.label.tolist() == [1]
    assert len(batch[2:]) == 0
    with pytest.raises(IndexError):
        batch[np.array([2])]


def test_some_tables_of_all_rows():
    ids = np.array([[0, 1, 2], [3, 4, 5]])
    one_hot = Batch(np.zeros((2, 0)), ids)
    np.testing.assert_array_equal(one_hot.tables([2, 0]), [[2, 0], [5, 3]])
    bags = Batch(np.zeros((2, 0)), Jagged([0, 3, 1, 2, 5], [0, 1, 2, 3, 3, 4, 5]))
    picked = bags.tables([2, 1])
    assert picked.values.tolist() == [2, 5, 1]
    assert picked.offsets.tolist() == [0, 1, 2, 3, 3]


def test_a_batch_cannot_be_rebound():
    batch = Batch(np.zeros((1, 0)), [[0]])
    with pytest.raises(AttributeError):
        batch.dense = np.ones((1, 0))


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (Batch(np.zeros((0, 2)), np.zeros((0, 1), int)), "the batch is empty"),
        (Batch(np.zeros((1, 3)), [[0]]), "3 dense features, the model 2"),
        (Batch(np.zeros((1, 2)), [[0, 0]]), "2 tables, the model 1"),
        (Batch(np.zeros((1, 2)), Jagged([0], [0, 1, 1])), "2 tables, the model 1"),
        (Batch(np.array([[0, 0], [0, np.nan]]), [[0], [0]]), r"dense\[1, 1\] is nan"),
        (Batch(np.array([[-np.inf, 0]]), [[0]]), r"dense\[0, 0\] is -inf"),
    ],
)
def test_a_model_refuses_what_it_cannot_take(batch, message):
    with pytest.raises(ValueError, match=message):
        batch.check(num_dense=2, num_tables=1)


def test_a_batch_and_a_dataset_say_what_they_hold():
    batch = Batch(np.zeros((2, 3)), [[0], [0]], np.array([0.0, 1.0]))
    assert repr(batch) == "Batch(2 rows, 3 dense features, 1 tables, mean label 0.500)"
    assert repr(Batch(np.zeros((1, 0)), Jagged([0], [0, 1]))).endswith(
        "multi-hot tables, no labels)"
    )
    assert Dataset(batch, batch, batch, [1], ["a", "b", "c", "t"], "").num_dense == 3


def test_minibatches_keep_rows_together():
    rows = np.arange(20)
    jagged = Jagged(rows, np.arange(21))
    data = Batch(rows[:, None].astype(float), jagged, rows.astype(float))
    for batch in minibatches(data, 6, seed=[1, 2]):
        np.testing.assert_array_equal(batch.dense[:, 0], batch.label)
        np.testing.assert_array_equal(batch.sparse.values, batch.label)


def test_minibatches_without_a_seed_keep_the_order():
    data = Batch(np.zeros((5, 0)), np.arange(5)[:, None])
    assert [b.sparse[:, 0].tolist() for b in minibatches(data, 2)] == [[0, 1], [2, 3], [4]]
    assert list(minibatches(data, 2, start=3)) == []
