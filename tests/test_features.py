"""Categories and Column: from raw values to ids and numbers, and back."""

import numpy as np
import pytest

from minidlrm.data.columns import of_words
from minidlrm.data.features import Categories, Column
from minidlrm.data.intern import Interner

pa = pytest.importorskip("pyarrow")


def categories(values=("a", "b"), **flags):
    texts = of_words(values)
    return Categories(Interner(texts.text, texts.offsets[1:]), **flags)


@pytest.mark.parametrize(
    ("flags", "first", "missing", "words"),
    [
        ({}, 1, 0, ["(unseen)", "a", "b"]),
        ({"has_missing": True}, 2, 1, ["(unseen)", "(missing)", "a", "b"]),
        ({"has_unseen": False}, 0, 0, ["a", "b"]),
        ({"has_unseen": False, "has_missing": True}, 1, 0, ["(missing)", "a", "b"]),
    ],
)
def test_ids_without_a_value_come_first(flags, first, missing, words):
    known = categories(**flags)
    assert (known.first, known.missing, known.size) == (first, missing, len(words))
    assert [known.value(i) for i in range(known.size)] == words
    for i in (-1, known.size):
        with pytest.raises(IndexError, match=rf"id {i} is out of range \[0, {len(words)}\)"):
            known.value(i)
    assert (known.find("b"), known.find("c")) == (first + 1, -1)
    assert known.words(np.array([first, first + 1])).to_pylist() == ["a", "b"]
    if first:
        assert known.words(np.array([first - 1, first])).to_pylist() == [None, "a"]


def test_values_that_are_not_known_have_the_id_0_or_are_an_error():
    texts = of_words(["b", "new", "", "a"])
    assert categories().ids(texts).tolist() == [2, 0, 0, 1]
    assert categories(has_missing=True).ids(texts).tolist() == [3, 0, 1, 2]
    strict = categories(has_unseen=False, has_missing=True)
    assert strict.ids(of_words(["b", "", "a"])).tolist() == [2, 0, 1]
    with pytest.raises(IndexError, match="row 2, column c: 'new' is not among the 2 known"):
        strict.ids(texts, "c")
    with pytest.raises(IndexError, match="row 2, column c: '' is not among"):
        categories(has_unseen=False).ids(of_words(["b", ""]), "c")


def test_whole_and_hexadecimal_numbers_have_one_form():
    assert categories(["7"], integers=True).ids(of_words(["7.0", "7"])).tolist() == [1, 1]
    assert categories(["7"]).ids(of_words(["7.0"])).tolist() == [0]
    known = categories(["000000ff", "00000000"], hexadecimal=True)
    assert known.ids(of_words(["FF", "", "0ff", "1"])).tolist() == [1, 2, 1, 0]
    assert known.find("fF") == 1


def test_more_values_come_after_the_others():
    more = categories().with_more(of_words(["c", "a"]))
    assert [more.find(word) for word in "abc"] == [1, 2, 3]
    assert categories().find("c") == -1


@pytest.mark.parametrize(
    ("transform", "expected"),
    [("standardize", [-1.5, 0.5, 0]), ("log", [0, np.log(4), 0]), ("none", [-1, 3, 0])],
)
def test_numbers_are_scaled_and_a_missing_one_is_0(transform, expected):
    column = Column("c", "dense", transform, mean=2.0, std=2.0)
    raw = np.array([-1.0, 3.0, np.nan])
    scaled = column.scale(raw)
    np.testing.assert_allclose(scaled, expected, rtol=1e-6)
    assert scaled.dtype == np.float32
    if transform != "log":
        np.testing.assert_allclose(column.unscale(scaled[:2]), raw[:2], rtol=1e-6)
    np.testing.assert_allclose(column.unscale(scaled)[1], 3, rtol=1e-6)


def test_a_number_too_large_for_float32_is_named():
    with pytest.raises(ValueError, match=r"column c: 1e\+300 is too large"):
        Column("c", "dense").scale(np.array([1.0, 1e300, 2e300]))


def test_a_new_column_is_not_scaled_and_knows_nothing():
    column = Column("c", "dense")
    assert (column.transform, column.mean, column.std) == ("none", 0, 1)
    assert (column.distinct, column.missing, column.unseen) == (0, 0, 0)
    assert column.sources == ("c",)
    bag = Column("c", "bag", parts=("x", "y"), weights="w")
    assert bag.sources == ("x", "y", "w")
    assert "categories" not in bag.as_json()
    assert Column("c", "sparse", categories=categories()).as_json()["has_unseen"] is True


def test_the_words_of_a_column_are_its_values_or_all_its_entries():
    data = {
        "city": pa.array(["Ulm", "Rom|Bonn"]),
        "tags": pa.array(["a|b", "c"]),
        "w": pa.array(["1|2", "3"]),
        "x": pa.array(["p", "-"]),
        "y": pa.array(["q", "r"]),
    }

    def words(texts):
        return [texts.word(k) for k in range(len(texts))]

    bags = {
        "tags": Column("tags", "bag", separator="|"),
        "weighted": Column("tags", "bag", separator="|", weights="w"),
        "parts": Column("last", "bag", parts=("x", "y"), padding="-"),
    }
    assert words(Column("city", "sparse").words(data, None)) == ["Ulm", "Rom|Bonn"]
    for name, expected, lengths, weights in [
        ("tags", ["a", "b", "c"], [2, 1], None),
        ("weighted", ["a", "b", "c"], [2, 1], [1, 2, 3]),
        ("parts", ["p", "q", "r"], [2, 1], None),
    ]:
        texts, counts, own = bags[name].entries(data, None)
        assert words(texts) == words(bags[name].words(data, None)) == expected
        assert counts.tolist() == lengths
        assert (own if own is None else own.tolist()) == weights
