"""Interner: numbers of distinct texts, compiled and by a dict."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidlrm.data import intern
from minidlrm.data.intern import Interner


def packed(words):
    text = np.frombuffer(b"".join(words), np.uint8)
    return text, np.concatenate([[0], np.cumsum([len(word) for word in words], dtype=np.int64)])


@pytest.fixture(params=["compiled", "dict"])
def either(request, monkeypatch):
    if request.param == "dict":
        monkeypatch.setattr(intern, "_walk", None)
    return request.param


@given(st.lists(st.binary(max_size=12)), st.lists(st.binary(max_size=12)))
def test_numbers_go_by_first_occurrence(first, second):
    for walk in (intern._walk, None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(intern, "_walk", walk)
            known, expected = Interner(), {}
            for words in (first, second):
                codes = [expected.setdefault(word, len(expected)) for word in words]
                assert known.add(*packed(words)).tolist() == codes
            assert known.text.tobytes() == b"".join(expected)
            assert len(known) == len(expected)


def test_it_grows_past_every_table(either):
    words = [str(k).encode() * (1 + k % 40) for k in range(3000)]
    known = Interner()
    assert known.add(*packed(words)).tolist() == list(range(3000))
    assert known.add(*packed(words[::-1])).tolist() == list(range(3000))[::-1]


def test_a_text_that_is_not_known_is_found_nowhere(either):
    known = Interner()
    known.add(*packed([b"a", b"", b"ab"]))
    assert known.find(*packed([b"b", b"", b"a", b"abc", b"ab"])).tolist() == [-1, 1, 0, -1, 2]
    assert len(known) == 3


@pytest.mark.parametrize("same", ["_hashed", "_place"])
def test_texts_with_one_hash_or_one_place_stay_apart(monkeypatch, same):
    if intern.njit is None:
        pytest.skip("Numba is not installed: no hash table")
    for name in ("_word", "_hashed", "_same", "_place", "_walk", "_move"):
        monkeypatch.setattr(intern, name, getattr(intern, name).py_func)
    answer = np.uint64(7) if same == "_hashed" else 0
    monkeypatch.setattr(intern, same, lambda *_: answer)
    words = [b"ab", b"ba", b"cc", b"abc", b"", b"a" * 9, b"b" * 9, b"c" * 10, b"d" * 30]
    known = Interner()
    with np.errstate(over="ignore"):  # as compiled code does
        assert known.add(*packed([*words, *words])).tolist() == list(range(len(words))) * 2
        assert known.find(*packed([b"ac", b"c" * 9])).tolist() == [-1, -1]


def test_an_empty_text_is_left_out_where_it_is_asked_for(either):
    known = Interner()
    assert known.add(*packed([b"", b"a", b"", b"b"]), empty=False).tolist() == [-1, 0, -1, 1]
    assert known.texts() == ["a", "b"]


def test_it_begins_with_what_it_is_given(either):
    text, offsets = packed([b"red", b"blue"])
    known = Interner(text, offsets[1:])
    assert known.texts() == ["red", "blue"]
    assert known.add(*packed([b"blue", b"green"])).tolist() == [1, 2]


def test_texts_that_differ_in_one_byte_or_in_length_are_told_apart():
    """Texts are compared eight bytes at a time: try every length, and every place of a change."""
    words = [b"\0" * n for n in range(20)]
    for n in range(1, 20):
        for k in range(n):
            words += [bytes(1 if i == k else 0 for i in range(n))]
            words += [bytes(128 if i == k else 97 for i in range(n))]
    words = list(dict.fromkeys(words))
    offsets = np.concatenate([[0], np.cumsum([len(word) for word in words])])
    text = np.frombuffer(b"".join(words), np.uint8)
    known = Interner()
    assert known.add(text, offsets).tolist() == list(range(len(words)))
    assert known.find(text, offsets).tolist() == list(range(len(words)))
    last = np.frombuffer(words[-1], np.uint8)  # no byte follows it
    assert known.find(last, np.array([0, len(last)])).tolist() == [len(words) - 1]
