"""Schema: bags put together, blocks joined, stored and grown, shown as a table."""

import numpy as np
import pytest

import minidlrm as md
from minidlrm.data import Batch, Jagged
from minidlrm.data.schema import Schema, _checked, concatenated, jagged

pa = pytest.importorskip("pyarrow")


def read(rows, **options):
    options = {"label": "y", "min_count": 1, "split": "order", "fractions": (1, 0, 0), **options}
    return md.data.read_table(rows, progress=False, **options)


def test_tables_without_weights_weigh_one_beside_those_with():
    values = [np.array([5, 6]), np.array([7])]
    lengths = [np.array([1, 1]), np.array([0, 1])]
    bags = jagged(values, lengths, [None, np.array([0.5], np.float32)])
    assert bags.values.tolist() == [5, 6, 7]
    assert bags.offsets.tolist() == [0, 1, 2, 2, 3]
    assert bags.weights.tolist() == [1, 1, 0.5]
    assert jagged(values, lengths, [None, None]).weights is None


def test_blocks_join_to_the_rows_one_after_another():
    rows = np.arange(5)
    ids = Batch(rows[:, None] / 2, np.stack([rows, rows + 5], axis=1), rows * 1.0, rows + 0.5)
    bags = Batch(
        rows[:, None] / 2,
        Jagged([9, 8, 7, 6, 5, 4], [0, 1, 1, 3, 3, 4, 4, 5, 5, 5, 6], np.arange(6.0)),
    )
    for batch in (ids, bags):
        joined = concatenated([batch[:2], batch[2:3], batch[3:]])
        np.testing.assert_array_equal(joined.dense, batch.dense)
        if batch is ids:
            np.testing.assert_array_equal(joined.sparse, batch.sparse)
            np.testing.assert_array_equal(joined.label, batch.label)
            np.testing.assert_array_equal(joined.weight, batch.weight)
        else:
            for name in ("values", "offsets", "weights"):
                np.testing.assert_array_equal(
                    getattr(joined.sparse, name), getattr(bags.sparse, name)
                )
            assert joined.label is None
            assert joined.weight is None
    assert concatenated([ids]) is ids
    plain = Batch(np.zeros((2, 0)), Jagged([1, 2], [0, 1, 2]))
    assert concatenated([plain, plain]).sparse.weights is None
    for parts in ([bags[:0], bags], [bags, bags[:0]], [bags[:2], bags[:0], bags[2:]]):
        np.testing.assert_array_equal(concatenated(parts).sparse.offsets, bags.sparse.offsets)


def test_bags_of_a_table_and_ids_as_bags_of_one():
    batch = Batch(np.zeros((2, 0)), Jagged([5, 6, 7], [0, 1, 2, 2, 3], np.arange(3.0)))
    ids, lengths, weights = batch.bags_of(1)
    assert (ids.tolist(), lengths.tolist(), weights.tolist()) == ([7], [0, 1], [2])
    ids, lengths, weights = Batch(np.zeros((2, 0)), [[1, 2], [3, 4]]).bags_of(1)
    assert (ids.tolist(), lengths.tolist(), weights) == ([2, 4], [1, 1], None)


def test_stored_values_that_cannot_be_such_are_refused():
    text, ends = np.frombuffer(b"abc", np.uint8), np.array([1, 3])
    assert _checked(text, ends, "c").texts() == ["a", "bc"]
    assert len(_checked(text[:0], ends[:0], "c")) == 0
    for wrong in [
        (None, ends), (text, None), (text[None], ends), (text, ends[None]),
        (text.astype(np.int8), ends), (text, ends.astype(np.int32)), (text, ends[::-1]),
        (text, ends[:1]), (text, ends[:0]), (text[:2], ends), (text, np.array([-1, 3])),
        (np.frombuffer(b"aba", np.uint8), np.array([1, 2, 3])),
    ]:  # fmt: skip
        with pytest.raises(
            ValueError, match="the stored values of column c, by plain, are damaged"
        ):
            _checked(*wrong, "c")


def test_a_schema_is_stored_and_made_again():
    rows = {"y": [0, 1] * 4, "x": [1.0, 2] * 4, "u": list("abca") * 2, "last": list("bbcd") * 2,
            "t": ["a|b", "c"] * 4, "w": [1.0] * 8, "other": [0] * 8}  # fmt: skip
    schema = read(rows, dense=["x"], sparse=["u", "last"], bags={"t": "|"}, share={"last": "u"},
                  sample_weight="w").schema  # fmt: skip
    plain, parts = schema.state()
    assert plain["format"] == 1  # what is stored today is read by the next release
    assert sorted(parts) == ["1.ends", "1.text", "3.ends", "3.text"]  # one of those that share
    again = Schema.from_state(plain, parts)
    assert (again.label, again.task, again.sample_weight) == ("y", "clicks", "w")
    assert again.ignored == ("other",)
    assert again.rows() == schema.rows()
    assert again.shared == schema.shared == [(1, 0)]
    assert again["last"].categories is again["u"].categories
    assert again.has_bags
    assert again.feature_names == ["x", "u", "last", "t"]
    assert again.table_sizes == schema.table_sizes == [5, 5, 4]
    one, other = schema.encode(rows), again.encode(rows)
    np.testing.assert_array_equal(one.sparse.values, other.sparse.values)
    np.testing.assert_array_equal(one.weight, np.ones(8))


def test_a_stored_schema_holds_what_json_can_hold():
    plain, arrays = read({"y": [0, 1], "u": ["a", "b"]}, sparse=["u"]).schema.state()
    for wrong in ({"format": np.array([1])}, {"ignored": np.zeros(0)}, {"label": {1, 2}}):
        with pytest.raises(TypeError, match="plain is not what `state` returns"):
            Schema.from_state({**plain, **wrong}, arrays)
    for name, array in arrays.items():
        with pytest.raises(ValueError, match="arrays: the stored values of column u"):
            Schema.from_state(plain, {**arrays, name: np.ma.masked_array(array, array > 0)})


@pytest.mark.parametrize("name", ["dense", "label"])
def test_a_batch_of_complex_numbers_has_no_raw_values(name):
    data = read({"y": [0, 1], "x": [1.0, 2.0]}, dense=["x"])
    parts = {"dense": data.train.dense, "sparse": data.train.sparse, "label": data.train.label}
    batch = Batch(**{**parts, name: parts[name].astype(complex)})
    with pytest.raises(TypeError, match=f"{name} has dtype complex128"):
        data.schema.decode(batch)


def test_unseen_values_are_counted_in_batches_of_the_schema():
    unseen = md.scoring.Unseen(read({"y": [0, 1], "u": ["a", "b"]}, sparse=["u"]).schema)
    with pytest.raises(ValueError, match="batch has 2 tables, the schema 1 columns of ids"):
        unseen.add(Batch(np.zeros((2, 0)), [[0, 1], [0, 1]]))


def test_the_table_of_a_schema():
    rows = {"y": [0, 1, 1, 0], "x": [1.0, None, 3, 4], "u": list("aaab"), "v": list("abaa"),
            "w": [1.0] * 4}  # fmt: skip
    schema = read(rows, dense=["x"], sparse=["u", "v"], share={"v": "u"}, sample_weight="w",
                  transform="log", split="order", fractions=(0.75, 0, 0.25)).schema  # fmt: skip
    assert schema.rows() == [
        ("column", "role", "transform", "distinct", "missing", "unseen"),
        ("y", "label (clicks)", "", "", "", ""),
        ("w", "weight of the row", "", "", "", ""),
        ("x", "dense", "log", "2", "25.0%", ""),
        ("u", "sparse", "", "2", "0.0%", "0.0%"),
        ("v", "sparse", "table of u", "2", "0.0%", "0.0%"),
    ]
    lines = repr(schema).splitlines()
    assert lines[0] == "column  role               transform   distinct  missing  unseen"
    assert lines[3] == "x       dense              log                2    25.0%"


def test_new_values_need_to_occur_often_enough():
    rows = {"y": [0, 1], "u": ["a", "b"], "v": ["b", "b"], "t": ["p|q", "p"]}
    schema = read(rows, sparse=["u", "v"], bags={"t": "|"}, share={"v": "u"}).schema
    more = {"u": ["c", "d", None], "v": ["c", "a", "e"], "t": ["r|p", "r", "s"]}
    grown = schema.grown(more)
    assert [grown["u"].categories.find(w) for w in "abcde"] == [2, 1, 3, 4, 5]
    assert grown["v"].categories is grown["u"].categories
    assert grown.table_sizes == [6, 6, 5]
    twice = schema.grown(more, min_count=2)
    assert [twice["u"].categories.find(w) for w in "cde"] == [3, -1, -1]
    assert [twice["t"].categories.find(w) for w in "rs"] == [3, -1]
    assert schema.table_sizes == [3, 3, 3]


def test_labels_are_used_where_all_or_none_are_there():
    schema = read({"y": [0, 1], "x": [1.0, 2]}, dense=["x"]).schema
    assert schema.encode({"x": [1.0]}).label is None
    assert schema.encode({"x": [1.0, 2], "y": [1, 0]}).label.tolist() == [1, 0]
    assert schema.encode({"x": [1.0, 2], "y": [None, None]}).label is None
    with pytest.raises(ValueError, match="row 2, column y: the label is missing, and other"):
        schema.encode({"x": [1.0, 2, 3], "y": [1, None, None]})
    with pytest.raises(ValueError, match="has no rows"):
        schema.encode({"x": []})


def test_a_decoded_batch_shows_raw_values():
    rows = {"y": [0, 1], "x": [1.0, 5.0], "u": ["a", "b"], "t": ["p|q", ""]}
    schema = read(rows, dense=["x"], sparse=["u"], bags={"t": "|"}, transform="log").schema
    batch = schema.encode({**rows, "u": ["b", "new"]})
    table = schema.decode(batch).to_pydict()
    np.testing.assert_allclose(table.pop("x"), [1, 5], rtol=1e-6)
    assert table == {"u": ["b", None], "t": [["p", "q"], []], "y": [0, 1]}
    plain = read({"y": [0, 1], "u": ["a", "b"]}, sparse=["u"]).schema
    assert plain.decode(plain.encode({"u": ["b", "x", "a"]})).to_pydict() == {"u": ["b", None, "a"]}


def test_a_row_of_a_later_block_is_named_by_its_line(tmp_path, monkeypatch):
    from minidlrm.data import sources

    rows = {"y": [0, 1], "x": [1.0, 2], "u": [1, 2], "w": [1.0, 2.0]}
    schema = read(rows, dense=["x"], sparse=["u"], sample_weight="w").schema
    lines = ["y,x,u,w", *(f"{k % 2},{k},{k},1" for k in range(60))]
    monkeypatch.setattr(sources, "_BLOCK_BYTES", 64)
    monkeypatch.setattr(sources, "_BLOCK_ROWS", 7)
    for bad in (1, 2, 30, 60):
        for wrong, message in [(",1,1,1", "the label is missing"), ("1,1,1,many", "'many' is not")]:
            path = tmp_path / "a.csv"
            path.write_text("\n".join([*lines[:bad], wrong, *lines[bad + 1 :]]) + "\n")
            with pytest.raises(ValueError, match=f"a.csv: line {bad + 1}, column .: {message}"):
                schema.encode(path)
        table = pa.table({"u": pa.array([k + (k == bad - 1) / 2 for k in range(60)])})
        for read_ in (schema.grown, lambda t: schema.encode(t.append_column("x", t["u"]))):
            with pytest.raises(ValueError, match=f"row {bad}, column u: .*must be a whole"):
                read_(table.append_column("x", table["u"]) if read_ == schema.grown else table)
