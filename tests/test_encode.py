"""Hexadecimal categories, vocabularies, hashing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidlrm.data.encode import Vocabulary, hash_ids, log_transform, parse_hex


def packed(words):
    text = np.frombuffer("".join(words).encode(), np.uint8)
    return text, np.concatenate([[0], np.cumsum([len(word) for word in words])])


@given(st.lists(st.one_of(st.just(""), st.integers(0, 2**32 - 1).map("{:x}".format))))
def test_hexadecimal_words_of_any_length(words):
    values, bad = parse_hex(*packed(words))
    assert values.tolist() == [int(word or "0", 16) for word in words]
    assert not bad.any()


@given(st.lists(st.one_of(st.just(""), st.integers(0, 2**32 - 1).map("{:08X}".format)), min_size=1))
def test_hexadecimal_words_of_eight_digits(words):
    values, bad = parse_hex(*packed(["ff", *words]))  # as written, the first is read the slow way
    assert values[1:].tolist() == [int(word or "0", 16) for word in words]
    text, offsets = packed(["ff", *words])
    values, bad = parse_hex(text, offsets[1:])  # a slice of a longer text
    assert values.tolist() == [int(word or "0", 16) for word in words]
    assert not bad.any()


@pytest.mark.parametrize("word", ["xy", "123456789", "0000000g", "-1", "1.0"])
def test_words_that_are_no_number_are_marked(word):
    _, bad = parse_hex(*packed(["0a", word, ""]))
    assert bad.tolist() == [False, True, False]
    _, bad = parse_hex(*packed(["68fd1e64", word, "68fd1e64"]))
    assert bad.tolist() == [False, True, False]


def test_log_transform():
    np.testing.assert_allclose(log_transform(np.array([-3.0, 0, 9])), [0, 0, np.log(10)], rtol=1e-6)


def test_ids_go_by_falling_count():
    column = np.array([5, 5, 5, 9, 9, 2, 2, 7], np.uint32)
    vocabulary = Vocabulary.fit([column, column[:2]], min_count=2)
    assert vocabulary.sizes == [4, 2]
    np.testing.assert_array_equal(
        vocabulary.encode(0, np.array([5, 2, 9, 7, 1, 99], np.uint32)), [1, 2, 3, 0, 0, 0]
    )


def test_a_column_without_known_categories():
    vocabulary = Vocabulary.fit([np.array([1, 2], np.uint32)], min_count=2)
    np.testing.assert_array_equal(vocabulary.encode(0, np.array([1, 2], np.uint32)), [0, 0])


def test_a_vocabulary_on_disk(tmp_path):
    vocabulary = Vocabulary.fit([np.array([1, 1, 3], np.uint32), np.array([4], np.uint32)])
    vocabulary.save(tmp_path / "v.npz")
    other = Vocabulary.load(tmp_path / "v.npz")
    assert other.digest() == vocabulary.digest()
    assert other.digest() != Vocabulary.fit([np.array([1], np.uint32)]).digest()


def test_hashed_ids_spread_evenly_and_differ_by_column():
    values = np.arange(100_000, dtype=np.uint32)
    ids = hash_ids(values, 0, 10)
    assert np.bincount(ids, minlength=10).min() > 9_500
    assert (ids != hash_ids(values, 1, 10)).mean() > 0.8


def test_the_bits_are_mixed_as_published():
    """The first outputs of SplitMix64 for the seed 1234567 (Vigna's splitmix64.c)."""
    known = [
        *(6457827717110365317, 3203168211198807973, 9817491932198370423),
        *(4593380528125082431, 16408922859458223821),
    ]
    column, size = 2, 2**31 - 1
    state = 1234567 + 0x9E3779B97F4A7C15 * np.arange(1, 6, dtype=object)
    values = np.array([(s - ((column + 1) << 32)) % 2**64 for s in state], dtype=np.uint64)
    assert hash_ids(values, column, size).tolist() == [each % size for each in known]


def test_every_category_is_known_by_default_and_the_count_may_be_just_enough():
    column = np.array([1, 1, 3], np.uint32)
    assert Vocabulary.fit([column]).sizes == [3]
    assert Vocabulary.fit([column], min_count=2).sizes == [2]


def test_a_vocabulary_keeps_values_and_ids_apart_on_disk(tmp_path):
    columns = [np.array([3, 3, 1], np.uint32), np.array([4, 9, 9, 9, 4, 2], np.uint32)]
    vocabulary = Vocabulary.fit(columns)
    vocabulary.save(tmp_path / "v.npz")
    other = Vocabulary.load(tmp_path / "v.npz")
    for mine, same in zip(
        [*vocabulary.values, *vocabulary.ids], [*other.values, *other.ids], strict=True
    ):
        np.testing.assert_array_equal(mine, same)
    for k, column in enumerate(columns):
        np.testing.assert_array_equal(other.encode(k, column), vocabulary.encode(k, column))
    assert Vocabulary(vocabulary.values, vocabulary.ids[::-1]).digest() != vocabulary.digest()


def test_sizes_of_a_hash_table():
    values = np.arange(9, dtype=np.uint32)
    assert hash_ids(values, 0, 1).tolist() == [0] * 9
    assert hash_ids(values, 0, 2**31 - 1).min() >= 0
    for size in (0, 2**31):
        with pytest.raises(ValueError, match=f"size is {size}"):
            hash_ids(values, 0, size)


def test_hexadecimal_words_of_nothing():
    values, bad = parse_hex(*packed(["", ""]))
    assert (values.tolist(), bad.tolist()) == ([0, 0], [False, False])
    values, bad = parse_hex(np.zeros(0, np.uint8), np.zeros(1, int))
    assert (len(values), len(bad)) == (0, 0)
    _, bad = parse_hex(*packed(["68fd1e64", "", "68fd1e6g"]))
    assert bad.tolist() == [False, False, True]
    values, bad = parse_hex(*packed(["68fd1e64", "1234567", "123456789"]))  # as many on average
    assert (values[:2].tolist(), bad.tolist()) == ([0x68FD1E64, 0x1234567], [False, False, True])


def test_words_of_eight_digits_and_gaps_take_the_quick_way_and_others_do_not(monkeypatch):
    from minidlrm.data import encode

    calls = []
    monkeypatch.setattr(encode, "_of_any_length", lambda *given: calls.append(1))
    text = np.frombuffer(b"68fd1e64000000ff", np.uint8)
    for offsets in ([0, 8, 16], [0, 0, 8, 8, 16, 16], [0, 8], [8, 16]):
        encode.parse_hex(text, np.array(offsets))
    assert not calls
    for offsets in ([0, 7, 16], [0, 4, 16], [0, 0, 16], [1, 9, 15]):
        encode.parse_hex(text, np.array(offsets))
    assert len(calls) == 4
