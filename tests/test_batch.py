"""Batch, Jagged, minibatches."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidlrm as md
from minidlrm.data import Batch, Dataset, Jagged, minibatches
from minidlrm.data.cutting import split_in_time, split_rows


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
            "not a multiple of the 2 rows",
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
    with pytest.raises(ValueError, match="data has no rows"):
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


# Arrays from elsewhere


def odd(array):
    """The same numbers, at an address that is not a multiple of their size."""
    data = np.frombuffer(b"x" + array.tobytes(), array.dtype, offset=1)
    return data.reshape(array.shape)


FROM_ELSEWHERE = {
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "Fortran order": np.asfortranarray,
    "every second row": lambda a: np.repeat(a, 2, axis=0)[::2],
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "not aligned": odd,
    "masked, nothing hidden": lambda a: np.ma.array(a, mask=False),
    "memory-mapped": lambda a: mapped(a),
    "unsigned or long": lambda a: a.astype(np.uint64 if a.dtype.kind == "i" else np.longdouble),
    "narrow": lambda a: a.astype(np.int8 if a.dtype.kind == "i" else np.float16),
    "lists": lambda a: a.tolist(),
}


def mapped(array):
    import tempfile

    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(array.tobytes())
    return np.memmap(file.name, array.dtype, "r", shape=array.shape)


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("make", FROM_ELSEWHERE.values(), ids=FROM_ELSEWHERE.keys())
def test_arrays_from_elsewhere_train_as_ones_own(make, backend):
    from minidlrm import kernels

    if backend == "numba":
        pytest.importorskip("numba", reason="Numba is not installed")
    dense = np.array([[1, 2], [3, 4], [5, 6]], np.float64) / 8
    ids, label = np.array([[0, 1], [2, 3], [4, 0]]), np.array([0.0, 1.0, 1.0])
    bags = ids.T.ravel().copy(), np.arange(7), np.arange(6) / 8
    before, results = kernels.backend, []
    try:
        kernels.use(backend)
        for change in (lambda a: a.copy(), make):
            for sparse in (change(ids), Jagged(*(change(a) for a in bags))):
                model = md.DLRM(2, [5, 5], 4, (4,), (4,), dtype=np.float64)
                data = Batch(change(dense), sparse, change(label))
                md.fit(model, data, optimizer=md.Adam(0.1), batch_size=2, epochs=2, progress=False)
                results.append(md.predict(model, data))
    finally:
        kernels.use(before)
    np.testing.assert_allclose(results[2:], results[:2], rtol=1e-9)


@pytest.mark.parametrize(
    ("dense", "sparse", "label", "error", "message"),
    [
        (np.ma.masked_less([[0.0], [1]], 1), [[0], [0]], None, ValueError, "dense is a masked"),
        (
            np.zeros((2, 1)),
            np.ma.masked_less([[0], [1]], 1),
            None,
            ValueError,
            "sparse is a masked",
        ),
        (np.zeros((2, 1)), [[0], [0]], np.ma.masked_less([0.0, 1], 1), ValueError, "1 masked entr"),
        (np.zeros((2, 1)), np.array([[2**63], [0]], np.uint64), None, ValueError, "sparse holds 9"),
        (np.zeros((2, 1), object), [[0], [0]], None, TypeError, "dense has dtype object"),
        (np.zeros((2, 1)), np.array([["a"], ["b"]]), None, TypeError, "sparse has dtype <U1"),
        (np.zeros((2, 1)), [[0], [0]], [True, False], TypeError, "label has dtype bool"),
        (np.zeros((2, 1)), [[0], [0, 1]], None, ValueError, "Batch.sparse is not an array"),
        (np.zeros((2, 1), "M8[s]"), [[0], [0]], None, TypeError, "dense has dtype datetime64"),
    ],
)
def test_arrays_that_cannot_be_meant_are_refused_by_name(dense, sparse, label, error, message):
    with pytest.raises(error, match=message):
        Batch(dense, sparse, label)


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ([1, 2, 4], "offsets run from 1 to 4: they must begin at 0 and end at len.values. = 4"),
        ([0, 2, 3], "offsets run from 0 to 3"),
        ([0, 2, 5], "offsets run from 0 to 5"),
        ([0, 3, 2, 4], r"offsets\[2\] = 2 is below offsets\[1\] = 3"),
        ([0, 2**62, 0, 2**62, 4], r"offsets\[2\] = 0 is below offsets\[1\]"),
        ([0, -1, 4], r"offsets\[1\] = -1 is below offsets\[0\] = 0"),
        (np.array([0, 2**63, 4], np.uint64), "must fit into int64"),
    ],
)
def test_offsets_that_do_not_rise_from_0_to_the_end_make_no_jagged(offsets, message):
    with pytest.raises(ValueError, match=message):
        Jagged([0, 1, 2, 1], np.array(offsets))


def test_a_fall_in_a_later_block_of_offsets_is_found(monkeypatch):
    monkeypatch.setattr("minidlrm.data.batch._BLOCK", 2)
    for fall in range(1, 7):
        offsets = np.arange(8)
        offsets[fall] = offsets[fall - 1] - 1
        with pytest.raises(ValueError, match=rf"offsets\[{fall}\] = {fall - 2} is below"):
            Jagged(np.zeros(7, int), offsets)
    assert Jagged(np.zeros(7, int), np.arange(8)).check(1) == 7


def test_the_pieces_of_memory_mapped_bags_are_not_checked_again(monkeypatch):
    bags = Jagged(np.arange(7), [0, 1, 2, 3, 4, 5, 6, 7, 7])
    monkeypatch.setattr(Jagged, "_check_offsets", lambda self: 1 / 0)
    assert bags[1:3, 4].values.tolist() == [1, 2, 5, 6]
    assert bags[:, 4].values.tolist() == [0, 1, 2, 3, 4, 5, 6]
    batch = Batch(np.zeros((4, 0)), bags)
    assert [batch.ids_of(t).tolist() for t in (0, 1)] == [[0, 1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(("k", "offset"), [(1, -1), (1, 4), (3, 9), (0, -1), (2, 0)], ids=str)
def test_offsets_that_were_changed_in_place_are_found_where_bags_are_cut(k, offset):
    bags = Jagged(np.arange(3), [0, 1, 2, 3])
    bags.offsets[k] = offset
    batch = Batch(np.zeros((3, 0)), bags)
    with pytest.raises(ValueError, match="^offsets"):
        batch.ids_of(0)
    with pytest.raises(ValueError, match="^offsets"):
        batch[np.arange(3)]


def test_one_bag_is_enough_to_check():
    assert Jagged([0], [0, 1]).check(1) == 1
    assert Jagged([0, 0], [0, 1, 2]).check(2) == 1
    with pytest.raises(ValueError, match="offsets has 2 entries"):
        Jagged([0], [0, 1]).check(2)


def test_a_mask_has_as_many_entries_as_there_are_rows_or_none():
    batch = Batch(np.arange(3.0)[:, None], [[0], [1], [2]])
    assert len(batch[np.zeros(0, bool)]) == 0
    with pytest.raises(IndexError, match="a mask of 1: there are 3"):
        batch[np.array([True])]


def test_check_gives_the_batch_size_and_looks_at_the_arrays_again():
    bags = Jagged([0, 1, 2, 1], [0, 1, 2, 3, 4], np.ones(4))
    assert (bags.check(1), bags.check(2), bags.check(4)) == (4, 2, 1)
    with pytest.raises(
        ValueError, match=r"offsets has 5 entries: expected T \* B \+ 1, with T = num_tables = 3"
    ):
        bags.check(3)
    with pytest.raises(ValueError, match="offsets has 1 entries"):
        Jagged([], [0]).check(1)
    bags.weights[2] = np.inf
    with pytest.raises(ValueError, match=r"per_sample_weights\[2\] is inf"):
        bags.check(2)
    bags.weights[2] = 1
    bags.offsets[1] = 9
    with pytest.raises(ValueError, match=r"offsets\[2\] = 2 is below offsets\[1\] = 9"):
        bags.check(2)


@pytest.mark.parametrize("batch_size", [0, 3, -1, -1000])
def test_bags_of_another_batch_size_are_not_picked(batch_size):
    with pytest.raises(ValueError, match=f"{batch_size}.*there are 4 bags"):
        Jagged([0, 1, 2, 1], [0, 1, 2, 3, 4])[0:1, batch_size]


def test_a_dataset_is_three_batches_of_the_same_tables():
    one, two = (Batch(np.zeros((2, 0)), np.zeros((2, t), int)) for t in (1, 2))
    none = one[:0]
    assert Dataset(one, none, none, [4], ["t"], "", task="ratings").task == "ratings"
    for arguments, error, message in [
        ((one, one, one, [4], [], "", "sales"), ValueError, "task is 'sales'"),
        ((one, two, one, [4], [], ""), ValueError, "valid has 2 tables, table_sizes 1"),
        ((one, one, [[0]], [4], [], ""), TypeError, "test is a list: it must be a Batch"),
    ]:
        with pytest.raises(error, match=message):
            Dataset(*arguments)


@pytest.mark.parametrize(
    ("rows", "valid", "test"),
    [(28, 24, 26), (7, 6, 6), (8, 6, 7), (10, 8, 9), (1, 0, 0), (0, 0, 0)],
)
def test_six_sevenths_are_to_train_on_and_the_rest_is_halved(rows, valid, test):
    assert split_rows(rows) == (valid, test)
    data = Batch(np.arange(rows, dtype=float)[:, None], np.zeros((rows, 1), int))
    parts = split_in_time(data)
    assert [len(part) for part in parts] == [valid, test - valid, rows - test]
    np.testing.assert_array_equal(np.concatenate([p.dense for p in parts]), data.dense)


def test_no_bags_of_no_samples_are_no_bags():
    none = Jagged(np.zeros(0, int), [0])
    assert len(none[0:0, 0].offsets) == 1
    with pytest.raises(ValueError, match="there are 1 bags"):
        Jagged([2], [0, 1])[0:1, 0]


def test_ids_and_bags_of_one_table():
    bags = Batch(np.zeros((2, 0)), Jagged([5, 7, 0, 1, 2], [0, 2, 2, 3, 5], np.arange(5.0)))
    assert [bags.ids_of(t).tolist() for t in (0, 1)] == [[5, 7], [0, 1, 2]]
    ids, lengths, weights = bags.bags_of(1)
    assert (ids.tolist(), lengths.tolist(), weights.tolist()) == ([0, 1, 2], [1, 2], [2, 3, 4])
    one = Batch(np.zeros((2, 0)), np.array([[0, 1], [2, 3]]))
    assert [one.ids_of(t).tolist() for t in (0, 1)] == [[0, 2], [1, 3]]
    ids, lengths, weights = one.bags_of(1)
    assert (ids.tolist(), lengths.tolist(), weights) == ([1, 3], [1, 1], None)
    assert Batch(np.zeros((1, 0)), Jagged([5], [0, 1])).bags_of(0)[2] is None
    for batch in (one, bags):
        for t in (-1, 2):
            with pytest.raises(ValueError, match=f"t is {t}"):
                batch.ids_of(t)


def test_weights_of_rows_are_cut_with_them():
    batch = Batch(np.zeros((3, 0)), [[0], [1], [2]], None, np.array([1.0, 2, 3]))
    assert batch[1:].weight.tolist() == [2, 3]
    assert batch[1:].label is None
    for weight, error in [(np.zeros(2), "Batch.weight has 2 rows"), (np.zeros((3, 1)), "weight")]:
        with pytest.raises(ValueError, match=error):
            Batch(np.zeros((3, 0)), [[0], [1], [2]], None, weight)


def test_rows_may_be_counted_from_the_end_but_not_past_it():
    batch = Batch(np.arange(3.0)[:, None], [[0], [1], [2]])
    assert batch[np.array([-3, 2])].dense[:, 0].tolist() == [0, 2]
    assert len(batch[[]]) == 0
    for rows, bad in [([3], 3), ([-4, 0], -4), ([0, 5], 5)]:
        with pytest.raises(IndexError, match=f"rows has {bad}: there are 3"):
            batch[rows]
    with pytest.raises(IndexError, match="a mask of 2: there are 3"):
        batch[np.array([True, False])]
    for rows in ([0.5], [[0]], "a"):
        with pytest.raises(TypeError, match="it must be a slice, a mask or numbers"):
            batch[rows]
    for row in (1, np.int64(1)):
        with pytest.raises(TypeError, match=r"write batch\[1:2\]"):
            batch[row]


def test_arrays_of_another_rank_are_refused():
    for dense, sparse, label in [
        (np.zeros((2, 1, 1)), [[0], [0]], None),
        (np.zeros((2, 1)), [0, 0], None),
        (np.zeros((2, 1)), [[0], [0]], np.zeros((2, 1))),
    ]:
        with pytest.raises(ValueError, match=r"Batch\.\w+ has shape"):
            Batch(dense, sparse, label)
    for arguments in ([[[0]], [0, 1]], [[0], [[0, 1]]], [[0], [0, 1], [[1.0]]]):
        with pytest.raises(ValueError, match=r"Jagged\.\w+ has shape"):
            Jagged(*arguments)


def test_an_empty_batch_has_no_bags_and_no_tables_of_them():
    none = Batch(np.zeros((0, 1)), Jagged([], [0]))
    assert none.num_tables == 0
    assert repr(Batch(np.zeros((0, 1)), np.zeros((0, 2), int), np.zeros(0))).endswith("no labels)")
    with pytest.raises(ValueError, match="has 1 bags, which is not a multiple"):
        Batch(np.zeros((0, 1)), Jagged([1], [0, 1]))
    assert Batch(np.zeros((1, 1)), Jagged([1, 2], [0, 1, 2])).num_tables == 2


def test_a_jagged_is_cut_by_rows_and_the_batch_size():
    bags = Jagged([0, 1, 2, 1], [0, 1, 2, 3, 4])
    assert bags[1:, 2].values.tolist() == [1, 1]
    assert bags[np.array([0]), 4].values.tolist() == [0]
    assert bags[1:2, 2].weights is None
    for key in (1, (slice(None),), [slice(None), 2], (slice(None), 2, 2)):
        with pytest.raises(TypeError, match=r"write jagged\[rows, B\]"):
            bags[key]


def test_sizes_of_zero_and_below():
    batch = Batch(np.zeros((1, 0)), np.zeros((1, 0), int))
    batch.check(0, 0)
    for sizes, name in [((-1, 0), "num_dense"), ((0, -1), "num_tables")]:
        with pytest.raises(ValueError, match=f"{name} is -1"):
            batch.check(*sizes)
    assert Dataset(batch, batch, batch, [], [], "").table_sizes == []
    one = Batch(np.zeros((1, 0)), [[0]])
    assert Dataset(one, one, one, [0], [], "").table_sizes == [0]
    with pytest.raises(ValueError, match=r"table_sizes\[0\] is -1"):
        Dataset(one, one, one, [-1], [], "")
    for splits, name in [((one, one, [0]), "test"), ((one, [0], one), "valid")]:
        with pytest.raises(TypeError, match=f"{name} is a list"):
            Dataset(*splits, [1], [], "")


@pytest.mark.parametrize(
    "rows",
    [slice(3, -3), slice(None, None, -2), np.array([-1, 2, -9], np.int8), np.array([7], np.uint64)],
)
def test_rows_of_a_jagged_are_picked_as_those_of_an_array(rows):
    jagged = Jagged(np.arange(18), np.arange(19))
    picked = jagged[rows, 9]
    assert picked.values.tolist() == np.arange(18).reshape(2, 9)[:, rows].ravel().tolist()
    assert picked.offsets.dtype == np.int64


def test_a_few_rows_of_many_bags_are_picked_without_a_pass_over_all():
    jagged = Jagged(np.zeros(10**6, int), np.arange(10**6 + 1))
    tracemalloc.start()
    try:
        jagged[np.array([5, -1]), 10**6]
        jagged[10:20, 10**6]
        assert tracemalloc.get_traced_memory()[1] < 10**5
    finally:
        tracemalloc.stop()


def test_a_piece_of_a_batch_is_checked_like_the_batch_but_not_again(monkeypatch):
    batch = Batch(np.zeros((9, 2)), np.zeros((9, 1), int), np.zeros(9), np.ones(9))
    monkeypatch.setattr(Batch, "__post_init__", lambda self: pytest.fail("checked again"))
    piece = batch[np.array([1, -1])]
    assert [len(piece), piece.label.shape, piece.weight.shape] == [2, (2,), (2,)]
    with pytest.raises(IndexError, match="rows has 9: there are 9 to choose from"):
        batch[np.array([9])]
