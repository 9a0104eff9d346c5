"""Fitting: how rows are split, what the schema counts, and what is written, by known answers."""

import numpy as np
import pytest

import minidlrm as md

pa = pytest.importorskip("pyarrow")

ALL = {"split": "order", "fractions": (1, 0, 0)}


def read(rows, **options):
    options = {"min_count": 1, "label": "y", **options}
    return md.data.read_table(rows, progress=False, **options)


def table(n, **columns):
    return {"y": [k % 2 for k in range(n)], "x": [float(k) for k in range(n)], **columns}


def lengths(data):
    return [len(part) for part in (data.train, data.valid, data.test)]


def numbers(part):
    return part.dense[:, 0].tolist()


# Splits


@pytest.mark.parametrize(
    ("rows", "fractions", "expected"),
    [
        (10, (0.8, 0.1, 0.1), [8, 1, 1]),
        (10, (0.5, 0.5, 0), [5, 5, 0]),
        (7, (0.5, 0.25, 0.25), [4, 1, 2]),
        (1, (0.8, 0.1, 0.1), [1, 0, 0]),
    ],
)
@pytest.mark.parametrize("split", ["order", "random"])
def test_rows_are_shared_out_by_rounded_fractions(split, rows, fractions, expected):
    data = read(table(rows), dense=["x"], transform="none", split=split, fractions=fractions)
    assert lengths(data) == expected
    every = numbers(data.train) + numbers(data.valid) + numbers(data.test)
    assert sorted(every) == list(range(rows))
    for part in (data.train, data.valid, data.test):  # in their old order
        assert numbers(part) == sorted(numbers(part))


def test_a_split_at_random_goes_by_its_seed():
    options = {"dense": ["x"], "transform": "none", "split": "random"}
    first, same, default, other = (
        numbers(read(table(40), **options, **seed).test)
        for seed in ({"seed": 0}, {"seed": 0}, {}, {"seed": 1})
    )
    assert first == same == default
    assert first != other


def test_no_row_to_train_on_is_an_error():
    with pytest.raises(ValueError, match="1 rows are too few: none is left to train on"):
        read(table(1), dense=["x"], split="order", fractions=(0.4, 0.3, 0.3))
    with pytest.raises(ValueError, match="no row is left to train on"):
        read(table(2, part=["test", "valid"]), dense=["x"], split_column="part")
    with pytest.raises(ValueError, match="has no rows"):
        read({"y": [], "x": []}, dense=["x"])


def test_users_are_shared_out_whole_and_one_is_always_trained_on():
    rows = table(40, user=[k % 10 for k in range(40)])
    data = read(rows, dense=["x"], transform="none", user="user", fractions=(0.5, 0.3, 0.2))
    own = [{int(k) % 10 for k in numbers(part)} for part in (data.train, data.valid, data.test)]
    assert [len(users) for users in own] == [5, 3, 2]
    assert len(set.union(*own)) == 10
    few = table(40, user=[k % 4 for k in range(40)])
    assert lengths(read(few, dense=["x"], user="user", fractions=(0.1, 0.4, 0.5))) == [10, 10, 20]
    assert lengths(read(few, dense=["x"], user="user", fractions=(0.1, 0.0, 0.9))) == [10, 0, 30]
    for seed in range(6):
        one = {"user": "user", "fractions": (0.5, 0.5, 0.0), "seed": seed}
        assert lengths(read(table(4, user=[7] * 4), dense=["x"], **one)) == [4, 0, 0]


def test_rows_of_a_later_file_are_all_test_rows():
    from minidlrm.data.splitting import chunks, rows_of

    rows = rows_of(None, 3, True, np.zeros(0), [])
    assert [list(range(*rows[name].indices(3))) for name in rows] == [[], [], [0, 1, 2]]
    assert [(first, part.tolist()) for first, part in chunks(rows["test"], 3)] == [(0, [0, 1, 2])]


def test_a_split_by_a_column_takes_the_splits_in_any_order():
    rows = table(4, part=["valid", "train", "test", "train"])
    data = read(rows, dense=["x"], transform="none", split_column="part")
    assert [numbers(part) for part in (data.train, data.valid, data.test)] == [[1, 3], [0], [2]]


def test_equal_times_keep_the_order_of_the_rows():
    rows = table(10, when=[1, 0] * 5)
    data = read(rows, dense=["x"], transform="none", time="when")
    assert numbers(data.train) == [1, 3, 5, 7, 9, 0, 2, 4]


@pytest.mark.parametrize(
    ("times", "fit"),
    [
        ([1e8, 1e10], True),
        ([1e8, 1e10 + 1], False),
        ([1e8 - 1, 1e12], True),  # counts, and no moments
        ([1.7e9, 1.7e12], False),
    ],
)
def test_times_of_two_units_are_refused(times, fit):
    rows = {"y": [0, 1], "x": [1.0, 2.0], "when": times}
    options = {"dense": ["x"], "time": "when", "fractions": (1, 0, 0)}
    if fit:
        assert len(read(rows, **options).train) == 2
    else:
        with pytest.raises(ValueError, match="row 2, column when: .* is a time in another unit"):
            read(rows, **options)


def test_a_split_without_a_value_names_the_row():
    for option in ("user", "split_column"):
        rows = table(4, part=["train", "train", "", "test"])
        with pytest.raises(ValueError, match="row 3, column part: the value is missing"):
            read(rows, dense=["x"], **{option: "part"})


# What is counted


def test_shares_of_missing_and_unseen_values():
    words = ["a", "b", None, "a", "a", "b", "c", "d", None, "a"]
    data = read(table(10, word=words), sparse=["word"], dense=["x"], split="order", min_count=2,
                fractions=(0.6, 0.2, 0.2))  # fmt: skip
    column = data.schema["word"]
    assert (column.distinct, column.missing) == (2, 0.2)
    assert column.unseen == pytest.approx(2 / 3)  # of c, d and a; the missing one is not asked
    assert data.train.sparse[:, 0].tolist() == [2, 3, 1, 2, 2, 3]
    assert data.test.sparse[:, 0].tolist() == [1, 2]
    assert data.schema["x"].distinct == 6
    once = read(table(3, word=["a", "a", "b"]), sparse=["word"], **ALL, min_count=3)
    assert (once.table_sizes, once.schema["word"].distinct) == ([1], 2)
    assert once.schema["word"].unseen == 0


def test_bags_are_counted_entry_by_entry():
    tags = ["a|a", "", "b|c", "a", "d", ""]
    data = read(table(6, tags=tags), bags={"tags": "|"}, split="order", fractions=(0.5, 0.25, 0.25))
    column = data.schema["tags"]
    assert (column.distinct, column.missing) == (3, pytest.approx(2 / 6))
    assert column.unseen == 0.5
    assert not column.categories.has_missing
    assert data.train.sparse.values.tolist() == [1, 1, 2, 3]
    assert data.train.sparse.offsets.tolist() == [0, 2, 2, 4]
    assert data.test.sparse.values.tolist() == [0]


def test_numbers_are_measured_on_the_training_rows_without_gaps():
    x = [1.0, None, 3.0, 5.0, None, 100.0]
    data = read({"y": [0, 1] * 3, "x": x}, dense=["x"], transform="standardize", split="order",
                fractions=(4 / 6, 0, 2 / 6))  # fmt: skip
    column = data.schema["x"]
    assert (column.mean, column.std) == (3, pytest.approx(np.sqrt(8 / 3)))
    assert (column.distinct, column.missing) == (3, pytest.approx(2 / 6))
    constant = read({"y": [0, 1], "x": [1e6, 1e6 * (1 + 1e-13)]}, dense=["x"], **ALL)
    assert constant.schema["x"].std == 1
    nothing = read({"y": [0, 1], "x": [None, None]}, dense=["x"], sparse=[], **ALL)
    assert (nothing.schema["x"].mean, nothing.schema["x"].std) == (0, 1)


def test_whole_numbers_have_one_form_only_where_all_are_whole():
    def forms(*words):
        return (
            read(table(len(words), word=list(words)), sparse=["word"], **ALL)
            .schema["word"]
            .categories.integers
        )

    assert forms("7", "-8", "0", "9.0")
    assert not forms("7", "07")
    assert not forms("7", "7.5")
    assert not forms("7", "7.0")  # they would become one
    assert not forms("-", "7")


@pytest.mark.parametrize(
    ("labels", "task"),
    [([0, 1], "clicks"), ([0, 2], "ratings"), ([-0.5, 1], "ratings"), ([0.5, 0.5], "clicks"),
     ([-1, 0], "ratings"), ([-1, 0, 1], None), ([-1, 1], None), ([-1, 0.5, 1], "ratings")],
)  # fmt: skip
def test_labels_between_0_and_1_are_clicks(labels, task):
    rows = {"y": labels * 2, "x": [1.0] * 2 * len(labels)}
    if labels == [-1, 0, 1]:
        assert read(rows, dense=["x"], **ALL).task == "ratings"
    elif task is None:
        with pytest.raises(ValueError, match="holds -1 and 1: for clicks write 0 and 1"):
            read(rows, dense=["x"], **ALL)
        assert read(rows, dense=["x"], task="ratings", **ALL).task == "ratings"
    else:
        assert read(rows, dense=["x"], **ALL).task == task
    for bad, value in (([-2, 1], -2), ([0, 3], 3)):
        with pytest.raises(ValueError, match=f"column y holds {value}: labels of clicks"):
            read({"y": bad, "x": [1.0, 2]}, dense=["x"], task="clicks", **ALL)


def test_weights_of_rows_may_be_zero_but_not_missing():
    rows = table(3, w=[0.0, 1.0, 2.0])
    assert read(rows, dense=["x"], sample_weight="w", **ALL).train.weight.tolist() == [0, 1, 2]
    rows["w"][2] = None
    with pytest.raises(ValueError, match="row 3, column w: nan: a weight must be"):
        read(rows, dense=["x"], sample_weight="w", **ALL)


# Writing, part by part


@pytest.mark.parametrize("bags", [False, True])
@pytest.mark.parametrize("split", ["order", "random"])
def test_the_size_of_a_part_does_not_matter(split, bags, monkeypatch):
    rows = table(23, word=[f"w{k % 5}" for k in range(23)], tags=["a|b", "", "c"] * 7 + ["a", ""])
    options = {"dense": ["x"], "sparse": ["word"], "split": split}
    options |= {"bags": {"tags": "|"}} if bags else {}
    expected = read(rows, **options)
    monkeypatch.setattr("minidlrm.data.splitting._CHUNK_ROWS", 4)
    got = read(rows, **options)
    for name in ("train", "valid", "test"):
        mine, other = getattr(got, name), getattr(expected, name)
        np.testing.assert_array_equal(mine.dense, other.dense)
        np.testing.assert_array_equal(mine.label, other.label)
        if bags:
            np.testing.assert_array_equal(mine.sparse.values, other.sparse.values)
            np.testing.assert_array_equal(mine.sparse.offsets, other.sparse.offsets)
        else:
            np.testing.assert_array_equal(mine.sparse, other.sparse)


def test_bags_beside_ids_weigh_one_and_stay_in_their_rows():
    rows = {"y": [0, 1, 1], "u": ["p", "q", "p"], "t": ["a|b", "", "b"], "w": ["2|3", "", "5"]}
    data = read(rows, sparse=["u"], bags={"t": "|"}, bag_weights={"t": "w"}, **ALL)
    bags = data.train.sparse
    assert bags.values.tolist() == [1, 2, 1, 2, 1, 1]  # b is more frequent than a
    assert bags.offsets.tolist() == [0, 1, 2, 3, 5, 5, 6]
    assert bags.weights.tolist() == [1, 1, 1, 2, 3, 5]


def test_labels_of_a_later_file_may_all_be_missing_but_not_some():
    data = read(table(4), dense=["x"], **ALL)
    rows = {"y": [None, None], "x": [1.0, 2.0]}
    assert md.data.read_table(rows, schema=data, progress=False).test.label is None
    rows["y"][1] = 1
    with pytest.raises(ValueError, match="some rows have no y, others have one"):
        md.data.read_table(rows, schema=data, progress=False)


@pytest.mark.parametrize("show", [True, False])
def test_progress_is_shown_or_not(show, capsys):
    md.data.read_table(table(4), label="y", dense=["x"], progress=show, **ALL)
    assert ("reading" in capsys.readouterr().err) == show
