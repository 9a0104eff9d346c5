"""Columns of raw values: texts, numbers, times and bags, and errors that name the row."""

import numpy as np
import pytest

from minidlrm.data import columns
from minidlrm.data.columns import Texts, bag_texts, hex_values, hex_words, joined, numbers, of_words
from minidlrm.data.intern import Interner

pa = pytest.importorskip("pyarrow")


def words(texts):
    assert len(texts.offsets) == len(texts) + 1
    assert texts.offsets[-1] == len(texts.text) or not len(texts)
    return [None if gone else texts.word(k) for k, gone in enumerate(texts.missing)]


def test_texts_are_cut_and_chosen():
    texts = of_words(["Köln", "", "b"])
    assert words(texts) == ["Köln", None, "b"]
    assert words(texts.chosen(np.array([True, False, True]))) == ["Köln", "b"]
    assert texts.as_arrow().to_pylist() == ["Köln", "", "b"]
    known = Interner(texts.text, texts.offsets[1:])
    assert words(columns.of_interner(known)) == ["Köln", None, "b"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_arrow_strings_are_taken_whole_sliced_and_empty(kind):
    array = pa.array(["aa", None, "", "b"], kind)
    assert words(columns.of_strings(array)) == ["aa", None, None, "b"]
    assert words(columns.of_strings(array.slice(2))) == [None, "b"]
    for empty in (array.slice(4), pa.array([], kind)):
        texts = columns.of_strings(empty)
        assert (len(texts), len(texts.text), texts.offsets.tolist()) == (0, 0, [0])


def test_only_points_followed_by_zeros_alone_are_dropped():
    texts = of_words(["7.0", "-7.00", "+1.0", "7.5", "a.0", "7.", ".0"]).without_point_zero()
    assert words(texts) == ["7", "-7", "+1", "7.5", "a.0", "7.", ".0"]


def test_hexadecimal_values_and_their_words():
    texts = of_words(["FF", "0000000f", "", "ffffffff"])
    values = hex_values(texts)
    assert values.tolist() == [255, 15, 0, 2**32 - 1]
    assert words(hex_words(values)) == ["000000ff", "0000000f", "00000000", "ffffffff"]
    with pytest.raises(ValueError, match="row 2, column c: 'xy' is not 1 to 8"):
        hex_values(of_words(["1", "xy"]), "c")


def test_a_column_is_one_array_however_it_is_cut():
    for chunks in ([], [["a"]], [["a"], ["b", "a"]]):
        expected = [word for chunk in chunks for word in chunk]
        chunked = pa.chunked_array([pa.array(c, pa.string()) for c in chunks], pa.string())
        assert columns.one_array(chunked).to_pylist() == expected
        assert columns.one_array(chunked.dictionary_encode()).to_pylist() == expected


def test_ids_of_every_type():
    for array, expected in [
        (pa.array([1, None]), ["1", None]),
        (pa.array([True, False, None]), ["True", "False", None]),
        (pa.array([None, None]), [None, None]),
        (pa.array([2.0, float("nan"), -(2.0**53)]), ["2", None, str(-(2**53))]),
    ]:
        assert words(columns.texts(array, "c")) == expected
    with pytest.raises(ValueError, match="row 2, column c: .*read the column as int64"):
        columns.texts(pa.array([1.0, -(2.0**53) - 2]), "c")
    with pytest.raises(ValueError, match=r"row 1, column c: 1\.5: an id must be a whole"):
        columns.texts(pa.array([1.5]), "c")
    with pytest.raises(ValueError, match="its rows must be text or whole numbers"):
        columns.texts(pa.array([[1]]), "c")


def test_numbers_of_every_type():
    nan = np.nan
    for array, expected in [
        (pa.array([1, None]), [1, nan]),
        (pa.array([True, False, None]), [1, 0, nan]),
        (pa.array([" 1.5 ", "TRUE", "False", "", None]), [1.5, 1, 0, nan, nan]),
    ]:
        np.testing.assert_array_equal(numbers(array, "c"), expected)
    with pytest.raises(ValueError, match="row 2, column c: -inf is not a finite"):
        numbers(pa.array([1.0, -np.inf]), "c")
    with pytest.raises(ValueError, match="its rows must be numbers"):
        numbers(pa.array([[1]]), "c")


@pytest.mark.parametrize(
    ("text", "advice"),
    [("yes", "write 1 and 0"), ("N/A", "must be empty"), ("1,5", "must be a point"), ("x", "er$")],
)
def test_a_text_that_is_no_number_is_named_with_advice(text, advice):
    with pytest.raises(ValueError, match=f"row 3, column c: '{text}' is not a numb.*{advice}"):
        numbers(pa.array(["1", "", text, "other"]), "c")


def test_times_count_microseconds():
    def place(row):
        return f"line {row + 2}"

    when = pa.array(["1970-01-01 00:00:01", "1970-01-01T00:00:02"])
    assert columns.times(when, "t", place).tolist() == [1e6, 2e6]
    assert columns.times(when.cast(pa.timestamp("s")), "t", place).tolist() == [1e6, 2e6]
    assert columns.times(pa.array(["5", "7.5"]), "t", place).tolist() == [5, 7.5]
    assert columns.times(pa.array([5, 7]), "t", place).tolist() == [5, 7]
    for gap in (pa.array([1.0, None]), pa.array(["1", ""]), pa.array([0, None], pa.timestamp("s"))):
        with pytest.raises(ValueError, match="line 3, column t: the time is missing"):
            columns.times(gap, "t", place)


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a|b", "", None, "c||"]),
        pa.array([["a", "b"], [], None, ["c", "", None]]),
        pa.array([["a", "b"], [], None, ["c", "", None]], pa.large_list(pa.string())),
    ],
)
def test_entries_of_bags_without_the_empty_ones(column):
    texts, lengths, weights = bag_texts(column, "tags", "|")
    assert words(texts) == ["a", "b", "c"]
    assert lengths.tolist() == [2, 0, 0, 1]
    assert weights is None


def test_a_bag_may_be_one_value_or_of_fixed_size():
    texts, lengths, _ = bag_texts(pa.array([3, 4]), "tags", None)
    assert (words(texts), lengths.tolist()) == (["3", "4"], [1, 1])
    fixed = pa.array([["a", "b"], ["c", "d"]], pa.list_(pa.string(), 2))
    texts, lengths, _ = bag_texts(fixed, "tags", None)
    assert (words(texts), lengths.tolist()) == (["a", "b", "c", "d"], [2, 2])
    texts, lengths, _ = bag_texts(pa.array([None, None]), "tags", None)
    assert (len(texts), lengths.tolist()) == (0, [0, 0])
    with pytest.raises(ValueError, match="say what stands between"):
        bag_texts(pa.array(["a"]), "tags", None)


def test_an_empty_bag_has_an_empty_weight():
    texts, lengths, weights = bag_texts(
        pa.array(["a", "", None]), "t", "|", pa.array(["2", "", None])
    )
    assert (words(texts), lengths.tolist(), weights.tolist()) == (["a"], [1, 0, 0], [2])


def test_weights_belong_to_the_entries_that_are_kept():
    texts, lengths, weights = bag_texts(
        pa.array(["a||b", "c"]), "tags", "|", pa.array(["1|2|3", "4"])
    )
    assert (words(texts), lengths.tolist(), weights.tolist()) == (
        ["a", "b", "c"],
        [2, 1],
        [1, 3, 4],
    )
    with pytest.raises(ValueError, match="row 2, column tags has 1 entries and 2 weights"):
        bag_texts(pa.array(["a", "b"]), "tags", "|", pa.array(["1", "2|3"]))
    with pytest.raises(ValueError, match="row 2, column tags: an entry has no weight"):
        bag_texts(pa.array(["a|b", "c"]), "tags", "|", pa.array(["1|2", " "]))


def test_a_bag_of_columns_leaves_out_the_padding():
    parts = [of_words(["a", "00", ""]), of_words(["0", "b0", "0"]), of_words(["x", "", "y"])]
    texts, lengths = joined(parts, "0")
    assert (words(texts), lengths.tolist()) == (["a", "x", "00", "b0", "y"], [2, 2, 1])
    texts, lengths = joined(parts, None)
    assert lengths.tolist() == [3, 2, 2]
    empty = Texts(np.zeros(0, np.uint8), np.zeros(2, np.int64), np.ones(1, bool))
    texts, lengths = joined([empty], "0")
    assert (len(texts), lengths.tolist()) == (0, [0])
    texts, lengths = joined([of_words(["ab", "ac", "b"])], "ab")
    assert words(texts) == ["ac", "b"]
