"""Roles: which column is what, given or inferred, and what contradicts itself."""

import numpy as np
import pytest

import minidlrm as md
from minidlrm.data import sources

pa = pytest.importorskip("pyarrow")


def read(rows, **options):
    options = {"min_count": 1, "progress": False, **options}
    if "schema" not in options:
        options = {"split": "order", "fractions": (1, 0, 0), **options}
    return md.data.read_table(rows, **options)


def rows(n=4, **columns):
    return {"label": [0, 1] * (n // 2), **columns}


def test_a_later_file_may_lack_label_and_weight():
    first = rows(x=[1.0, 2, 3, 4], w=[1.0, 2, 3, 4])
    data = read(first, label="label", dense=["x"], sample_weight="w")
    test = read(first, schema=data).test
    assert (test.label.tolist(), test.weight.tolist()) == ([0, 1, 0, 1], [1, 2, 3, 4])
    test = read({"x": [1.0]}, schema=data).test
    assert (test.label, test.weight) == (None, None)
    plain = read(first, label="label", dense=["x"])
    assert read(first, schema=plain).test.weight is None
    assert plain.schema.ignored == ("w",)


@pytest.mark.parametrize(
    ("name", "role"),
    [("user_id", "sparse"), ("itemId", "sparse"), ("ID", "sparse"), ("zip_code", "sparse"),
     ("hash", "sparse"), ("paid", "dense"), ("idle", "dense"), ("codes", "dense")],
)  # fmt: skip
def test_whole_numbers_are_ids_by_their_name(name, role, capsys):
    data = read(rows(**{name: [1, 2, 3, 4]}))
    assert data.schema[name].role == role
    assert name in capsys.readouterr().out


def test_other_types_say_what_they_are(capsys):
    money = pa.array([1, 2, 3, 4]).cast(pa.decimal128(21, 2))
    table = pa.table(rows(price_id=[0.5] * 4, word=["a"] * 4, tags=[["x"]] * 4, on=[True] * 4))
    table = table.append_column("money", money)
    data = read(table)
    roles = {c.name: c.role for c in data.schema.columns}
    assert roles == {
        "price_id": "dense",
        "word": "sparse",
        "tags": "bag",
        "on": "sparse",
        "money": "dense",
    }
    assert data.schema.label == "label"
    capsys.readouterr()
    read(table, label="label", dense=["price_id"])
    assert capsys.readouterr().out == ""


def test_the_label_is_found_by_its_name_where_one_column_has_it():
    assert read({"Clicked": [0, 1], "x": [0.5, 1]}).schema.label == "Clicked"
    for columns in ({"x": [1.0]}, {"label": [1], "click": [1], "x": [1.0]}):
        with pytest.raises(ValueError, match="which column is the label"):
            read(columns)
    both = {"label": [1, 0], "click": [1, 0], "x": [1.0, 2]}
    assert [c.name for c in read(both, label="click").schema.columns] == ["label", "x"]
    with pytest.raises(ValueError, match="label is missing"):
        read(both, dense=["x"])
    with pytest.raises(ValueError, match="no column has a role"):
        read(both, label="click", dense=[])


def test_a_column_that_splits_or_weighs_is_no_feature():
    table = rows(x=[0.5] * 4, w=[1.0] * 4, when=[1, 2, 3, 4])
    data = read(table, sample_weight="w", split=None, time="when")
    assert [c.name for c in data.schema.columns] == ["x"]
    assert data.schema.ignored == ()


def test_roles_that_contradict_each_other():
    table = rows(a=["1"] * 4, b=["2"] * 4, x=[0.5] * 4)
    for options, match in [
        ({"sparse": ["a", "a"]}, "column 'a' has two roles, sparse and sparse"),
        ({"dense": ["x"], "sample_weight": "x"}, "two roles, sample_weight and dense"),
        ({"sparse": ["label"]}, "two roles, label and sparse"),
        ({"sparse": ["a", "b"], "share": {"a": "a"}}, "share: 'a' must share"),
        ({"sparse": ["a", "b"], "share": {"a": "b", "b": "a"}}, "share: 'a' must share"),
        ({"sparse": ["a"], "dense": ["x"], "share": {"a": "x"}}, "share names 'x'"),
        ({"dense": ["x"], "transform": {"x": "cube"}}, "transform is 'cube'"),
        ({"dense": ["x"], "transform": {"a": "log"}}, "transform names 'a'"),
        ({"bags": {"t": ["a", "b"]}, "bag_weights": {"t": "x"}}, "has a column for each entry"),
        ({"bags": {"a": "|"}, "padding": 0}, "padding is given, but no bag"),
    ]:
        with pytest.raises(ValueError, match=match):
            read(table, label="label", **options)
    for options, match in [
        ({"dense": "x"}, "dense is 'x': it must be a list of names"),
        ({"bags": "a"}, "bags is 'a': give a list"),
        ({"bags": [7]}, r"bags is \[7\]: give a list"),
        ({"bags": {7: "|"}}, "bags is .*: give a list"),
        ({"bags": {"a": 7}}, r"bags\['a'\] is 7"),
        ({"bags": {"t": ["a", 7]}}, r"bags\['t'\] is \['a', 7\]"),
        ({"sparse": ["a"], "share": {"a": 1}}, "share is .*: give a dict"),
        ({"sparse": ["a"], "share": {1: "a"}}, "share is .*: give a dict"),
        ({"sample_weight": ["x"], "dense": ["x"]}, "sample_weight is of type list"),
        ({"sparse": ["a"], "share": ["a"]}, "share is .*: give a dict"),
        ({"bags": {"a": "|"}, "bag_weights": "x"}, "bag_weights is 'x': give a dict"),
    ]:
        with pytest.raises(TypeError, match=match):
            read(table, label="label", **options)


def test_transforms_by_column_and_for_all():
    table = rows(x=[1.0, 2, 3, 4], z=[1.0, 2, 3, 4])
    schema = read(table, label="label", dense=["x", "z"], transform={"x": "log"}).schema
    assert [c.transform for c in schema.columns] == ["log", "standardize"]
    schema = read(table, label="label", dense=["x", "z"], transform="none").schema
    assert [c.transform for c in schema.columns] == ["none", "none"]


def test_padding_is_for_bags_in_columns():
    table = rows(a=["1", "0"] * 2, b=["2", "2"] * 2, t=["1|0"] * 4)
    data = read(table, label="label", bags={"ab": ["a", "b"], "t": "|"}, padding=0)
    assert data.train.sparse.offsets.tolist() == [0, 2, 3, 5, 6, 8, 10, 12, 14]
    none = read(table, label="label", bags={"ab": ["a", "b"]})
    assert len(none.train.sparse.values) == 8


def test_rows_to_encode_are_placed_beyond_the_first_block(monkeypatch):
    schema = read(rows(x=[1.0] * 4, u=["a"] * 4), label="label", dense=["x"], sparse=["u"]).schema
    monkeypatch.setattr(sources, "_BLOCK_ROWS", 3)
    more = {"x": ["1"] * 7, "u": ["b"] * 7}
    assert len(schema.encode(more)) == 7
    more["x"][5] = "z"
    with pytest.raises(ValueError, match="row 6, column x: 'z' is not a number"):
        schema.encode(more)
    grown = schema.grown({"x": [1.0] * 7, "u": list("bbcddde")}, min_count=2)
    assert [grown["u"].categories.find(w) for w in "bcde"] == [2, -1, 3, -1]
    bad = {"x": [1.0] * 7, "u": [1.0, 2, 3, 4, 5, 6.5, 7]}
    with pytest.raises(ValueError, match="row 6, column u: 6.5: an id"):
        schema.grown(bad)
    np.testing.assert_array_equal(schema.encode(rows(x=[2.0] * 4, u=["a"] * 4)).sparse, [[1]] * 4)
