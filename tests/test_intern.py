"""Interner: numbers of distinct texts, compiled and by a dict."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidlrm.data import intern, slots
from minidlrm.data.intern import Interner


def packed(words):
    text = np.frombuffer(b"".join(words), np.uint8)
    return text, np.concatenate([[0], np.cumsum([len(word) for word in words], dtype=np.int64)])


@pytest.fixture(params=["compiled", "dict"])
def either(request, monkeypatch):
    if request.param == "dict":
        monkeypatch.setattr(slots, "walk", None)
    return request.param


@given(st.lists(st.binary(max_size=12)), st.lists(st.binary(max_size=12)))
def test_numbers_go_by_first_occurrence(first, second):
    for walk in (slots.walk, None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(slots, "walk", walk)
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


@pytest.mark.parametrize("same", ["_hashed", "_place", "last place"])
def test_texts_with_one_hash_or_one_place_stay_apart(monkeypatch, same):
    if slots.njit is None:
        pytest.skip("Numba is not installed: no hash table")
    for name in ("_word", "_hashed", "_same", "_place", "walk", "move"):
        function = getattr(slots, name)
        monkeypatch.setattr(slots, name, getattr(function, "py_func", function))
    if same == "_hashed":
        monkeypatch.setattr(slots, same, lambda *_: np.uint64(7))
    elif same == "_place":
        monkeypatch.setattr(slots, same, lambda *_: 0)
    else:  # the next places are at the beginning
        monkeypatch.setattr(slots, "_place", lambda key, slots: len(slots) // 2 - 1)
    words = [b"ab", b"ba", b"cc", b"abc", b"", b"a" * 9, b"b" * 9, b"c" * 10, b"d" * 30]
    words += [b"e" * 8, b"f" * 8, b"g" * 16, b"g" * 15 + b"h"]
    known = Interner()
    with np.errstate(over="ignore"):  # as compiled code does
        assert known.add(*packed([*words, *words])).tolist() == list(range(len(words))) * 2
        assert known.find(*packed([b"ac", b"c" * 9])).tolist() == [-1, -1]
        known.add(*packed([b"%d" % k for k in range(300)]))
        if same != "_hashed":  # each lies in the next place that is free, in the larger table too
            taken = np.roll(known._slots[1::2] != 0, same == "last place")
            assert np.flatnonzero(taken).tolist() == list(range(len(known)))


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


def test_hashes_of_similar_texts_are_spread_over_the_table():
    """As many of 4096 places are hit as by chance: 63 of 100, with numbers, dates, long paths."""
    spread = []
    for form in ("{}", "{:06d}", "2026-11-{}", "x" * 20 + "{}" + "y" * 20, "{}" + "z" * 8):
        words = [form.format(k).encode() for k in range(4096)]
        text, offsets = packed(words)
        pairs = zip(offsets[:-1].astype(np.uint64), offsets[1:].astype(np.uint64), strict=True)
        with np.errstate(over="ignore"):
            hashes = np.array([slots._hashed(text, a, b) for a, b in pairs], np.uint64)
        assert len(np.unique(hashes)) == 4096
        spread += [len(np.unique(hashes % np.uint64(4096))) / 4096]
        spread += [len(np.unique(hashes >> np.uint64(52))) / 4096]
    assert min(spread) > 0.55


def test_the_table_is_never_fuller_than_half_and_never_much_larger_than_needed():
    known = Interner()
    assert sum(a.nbytes for a in (known._ends, known._bytes, known._slots)) < 15_000
    for k in range(0, 6000, 100):
        known.add(*packed([b"%d" % i for i in range(k, k + 100)]))
        assert slots.walk is None or 2 * len(known) <= len(known._slots) <= 8 * len(known) + 1024
        assert len(known._ends) <= max(256, 2 * len(known))
        assert len(known._bytes) <= max(4096, 2 * len(known.text))
    known.add(*packed([b"z" * 100_000]))
    assert len(known._bytes) < 150_000


def test_it_grows_by_doubling_and_not_before_it_is_full(either):
    known = Interner()
    known.add(*packed([b"z" * 4096]))
    assert len(known._bytes) == 4096
    known.add(*packed([b"%d" % k for k in range(255)]))
    assert (len(known._ends), len(known._slots), len(known._bytes)) == (256, 1024, 8192)
    known.add(*packed([b"new"]))
    assert (len(known._ends), len(known._bytes)) == (512, 8192)
    assert slots.walk is None or len(known._slots) == 2048
    known.add(*packed([b"y" * 20_000]))
    assert len(known._bytes) == len(known.text) > 24_000


def hashed(word):
    """The hash by its definition, in Python's integers: words of eight bytes, the last padded."""
    h = len(word)
    word += b"\0" * (8 - len(word) % 8)
    for k in range(0, len(word), 8):
        h = (h ^ int.from_bytes(word[k : k + 8], "little")) * int(slots._FACTOR) % 2**64
        h ^= h >> 32
    return h


def test_a_text_is_looked_for_where_its_definition_says(rng):
    words = [rng.bytes(n) for n in range(40)]
    text, offsets = packed(words)
    for word, a, b in zip(words, *np.uint64([offsets[:-1], offsets[1:]]), strict=True):
        with np.errstate(over="ignore"):
            assert int(slots._hashed(text, a, b)) == hashed(word)
    for key in (0, 1, 97, 2**40 + 3, 2**63 + 1, 2**64 - 1):
        h = key * int(slots._FACTOR) % 2**64
        for size in (8, 1024, 4096):
            with np.errstate(over="ignore"):
                place = slots._place(np.uint64(key), np.zeros(size, np.uint64))
            assert place == (h ^ h >> 32) % (size // 2)


def test_numbers_are_as_many_as_int32_holds():
    assert np.iinfo(np.int32).max == intern._MAX_TEXTS


def test_a_compiled_table_and_a_dict_say_the_same(rng):
    words = [b"%d" % i for i in rng.zipf(1.3, 500) % 1000]
    first = Interner()
    codes = first.add(*packed(words))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slots, "walk", None)
        second = Interner()
        assert second.add(*packed(words)).tolist() == codes.tolist()
        assert second.texts() == first.texts()


def test_more_texts_than_numbers_are_refused(either, monkeypatch):
    monkeypatch.setattr(intern, "_MAX_TEXTS", 256)
    known = Interner()
    known.add(*packed([b"%d" % k for k in range(256)]))
    known.add(*packed([b"7"]))
    with pytest.raises(MemoryError, match="more than 256 distinct values"):
        known.add(*packed([b"new"]))
    assert len(known) == 256
