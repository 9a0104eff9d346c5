"""Traces: the reference's example exactly, LRU caches of every size, and traces drawn anew."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidlrm import kernels
from minidlrm.data import Profile, lru_misses, read_trace, stack_distances, write_trace
from minidlrm.kernels import reference

REFERENCE = [1, 2, 3, 4, 5, 3, 4, 1, 1, 6, 3]
TRACES = st.lists(st.integers(0, 2**62), max_size=8).flatmap(
    lambda rows: st.lists(st.sampled_from(rows or [0]), max_size=60)
)


def test_the_reference_s_example():
    profile = Profile.of(REFERENCE)
    assert profile.accesses.tolist() == [1, 2, 3, 4, 5, 6]
    assert profile.distances.tolist() == [0, 1, 3, 4, 5]
    assert [f"{share:.2f}" for share in profile.shares] == ["0.55", "0.64", "0.82", "0.91", "1.00"]


@given(trace=TRACES)
@settings(max_examples=100, deadline=None)
def test_an_lru_cache_of_any_size_misses_what_the_distances_say(trace):
    distances = stack_distances(trace)
    seen = []
    for row, distance in zip(trace, distances.tolist(), strict=True):
        different = set(seen[len(seen) - seen[::-1].index(row) :]) if row in seen else None
        assert distance == (0 if different is None else len(different | {row}))
        seen.append(row)
    for size in range(len(set(trace)) + 2):
        misses = ((distances == 0) | (distances > size)).sum()
        assert lru_misses(trace, size) == misses
        if trace:
            assert Profile.of(trace).miss_rate(size) * len(trace) == pytest.approx(misses)


@pytest.mark.parametrize("lru", [True, False])
@pytest.mark.parametrize("padding", [True, False])
def test_the_compiled_kernels_do_what_the_definition_does(lru, padding, rng):
    ids = np.unique(rng.zipf(1.3, 400) % 50, return_inverse=True)[1].astype(np.int64)
    assert (kernels.stack_distances(ids) == reference.stack_distances(ids)).all()
    for size in (0, 1, 7, 100):
        assert kernels.lru_misses(ids, size) == reference.lru_misses(ids, size)
    profile = Profile.of(ids)
    given = (rng.random(500), profile.distances, profile.shares, len(profile.accesses))
    drawn = kernels.draw_trace(*given, lru, padding)
    assert (drawn == reference.draw_trace(*given, lru, padding)).all()


@pytest.mark.parametrize("exponent", [1.1, 1.5, 3.0])
def test_a_generated_trace_reaches_its_profile(exponent, rng):
    """In the limit: at first only distances that are seen can be drawn, and then chance is left."""
    measured = Profile.of(rng.zipf(exponent, 5000) % 100)
    rows = len(measured.accesses)
    warm_up = (1 - measured.miss_rate(np.arange(rows))).sum() / measured.shares[0]  # in the mean
    places = np.arange(1, rows)
    for n in (100_000, 400_000):
        bound = 1.5 * (warm_up + rows) / n + 2 / np.sqrt(n)
        differences = [
            np.abs(measured.miss_rate(places) - Profile.of(drawn).miss_rate(places)).max()
            for lru in (True, False)
            for drawn in [measured.generate(n, seed=3, lru=lru, padding=True)]
        ]
        assert differences[0] < bound + measured.shares[0]  # nothing is new after the warm-up
    assert differences[1] > 2 * differences[0]


def test_the_same_seed_draws_the_same_trace():
    profile = Profile.of(REFERENCE)
    first, second, third = (profile.generate(100, seed) for seed in (1, 1, 2))
    assert (first == second).all()
    assert (first != third).any()
    assert set(first) <= set(REFERENCE)


def test_a_draw_above_all_shares_has_the_largest_distance():
    profile = Profile([5, 6, 7], [0, 1, 3], [0.5, 0.7, 1 - 1e-7])  # as near to 1 as is asked for
    draws = np.array([0.1, 0.1, 0.1, 1 - 1e-9, 1 - 1e-9])
    for kernel in (kernels.draw_trace, reference.draw_trace):
        drawn = kernel(draws, profile.distances, profile.shares, 3, True, False)
        assert drawn.tolist() == [0, 1, 2, 0, 1]


def test_padding_adds_first_accesses():
    plain, padded = Profile.of([1, 2, 1, 2, 1, 2]), Profile.of([1, 2, 1, 2, 1, 2], padding=True)
    assert plain.shares[0] == pytest.approx(2 / 6)
    assert padded.shares[0] == pytest.approx((2 + 3) / (6 + 3))


def test_files_are_those_of_the_reference(tmp_path):
    profile = Profile.of(REFERENCE)
    profile.write(tmp_path / "dist.log")
    lines = (tmp_path / "dist.log").read_text().splitlines()
    assert lines[:2] == ["1, 2, 3, 4, 5, 6", "0, 1, 3, 4, 5"]
    again = Profile.read(tmp_path / "dist.log")
    assert (again.shares == profile.shares).all()
    assert (again.accesses == profile.accesses).all()
    write_trace(tmp_path / "trace.log", REFERENCE)
    assert (tmp_path / "trace.log").read_text() == "1, 2, 3, 4, 5, 3, 4, 1, 1, 6, 3"
    write_trace(tmp_path / "trace.bin", REFERENCE, binary=True)
    assert (tmp_path / "trace.bin").read_bytes() == np.array(REFERENCE, "<u8").tobytes()
    for name, binary in (("trace.log", False), ("trace.bin", True)):
        assert read_trace(tmp_path / name, binary).tolist() == REFERENCE


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1, 2\n0", "has 2 lines"),
        ("1, x\n0\n1.0", "line 1: invalid literal"),
        ("1, 1\n0, 1\n.5, 1", "accesses must be different rows"),
        ("1, 2\n1, 2\n.5, 1", "must begin with 0"),
        ("1, 2\n0, 3\n.5, 1", "distances holds 3: there are only 2 accesses"),
        ("1, 2\n0, 1\n.5", "shares has shape"),
        ("1, 2\n0, 1\n.5, .4", "it must ascend"),
        ("1, 2\n0, 1\n.5, .9", "from above 0 to 1"),
    ],
)
def test_a_file_that_is_no_profile_is_named(text, words, tmp_path):
    (tmp_path / "dist.log").write_text(text)
    with pytest.raises(ValueError, match="dist.log.*" + words):
        Profile.read(tmp_path / "dist.log")


def test_bad_arguments_are_named(tmp_path):
    with pytest.raises(TypeError, match="trace has dtype float64"):
        stack_distances([1.5])
    with pytest.raises(ValueError, match="trace is empty"):
        Profile.of([])
    with pytest.raises(ValueError, match="rows is -1"):
        lru_misses([1], -1)
    with pytest.raises(ValueError, match="rows is -1"):
        Profile.of([1]).miss_rate(-1)
    with pytest.raises(ValueError, match="trace holds -1: rows count from 0"):
        write_trace(tmp_path / "trace", [-1])
    (tmp_path / "trace").write_bytes(b"123")
    with pytest.raises(ValueError, match="has 3 bytes"):
        read_trace(tmp_path / "trace", binary=True)


def test_a_trace_of_nothing_is_kept_as_nothing(tmp_path):
    for binary in (False, True):
        write_trace(tmp_path / "trace", [], binary)
        assert read_trace(tmp_path / "trace", binary).tolist() == []
    (tmp_path / "trace").write_text("3, 1\n")
    assert read_trace(tmp_path / "trace").tolist() == [3, 1]
    assert Profile.of([7]).generate(0).tolist() == []


def test_bounds_of_a_profile():
    assert Profile([5], [0, 1], [0.5, 1]).miss_rate([0, 1]).tolist() == [1, 0.5]
    assert Profile([5], [0], [1]).miss_rate(3) == 1
    for accesses, distances, shares in [
        ([], [0], [1]),
        ([1, 2], [], []),
        ([1, 2], [0, 1, 1], [0.5, 0.7, 1]),
        ([1, 2], [0, 1], [0, 1]),
        ([1, 2], [0, 1], [0.5, 1.00001]),
        ([1, 2], [0, 1, 2], [0.5, 0.4, 1]),
    ]:
        with pytest.raises(ValueError, match="accesses|distances|shares"):
            Profile(accesses, distances, shares)


def test_the_third_line_and_lines_that_are_missing_are_named(tmp_path):
    (tmp_path / "dist.log").write_text("1, 2\n0, 1\nx, 1")
    with pytest.raises(ValueError, match=r"dist\.log, line 3: could not convert"):
        Profile.read(tmp_path / "dist.log")
    (tmp_path / "dist.log").write_text("1, 2\ny\n0.5, 1")
    with pytest.raises(ValueError, match=r"dist\.log, line 2: invalid"):
        Profile.read(tmp_path / "dist.log")
    write_trace(tmp_path / "trace", [0])  # rows count from 0
    (tmp_path / "trace").write_text("0, z")
    with pytest.raises(ValueError, match="trace, line 1: invalid"):
        read_trace(tmp_path / "trace")


def test_the_default_seed_is_zero_and_nothing_is_padded():
    profile = Profile.of(REFERENCE)
    assert profile.generate(50).tolist() == profile.generate(50, 0).tolist()
    assert profile.generate(50).tolist() != profile.generate(50, 1).tolist()
    with pytest.raises(ValueError, match="n is -1"):
        profile.generate(-1)
    assert Profile.of([1, 2, 3], padding=True).shares.tolist() == [1]
    first = Profile.of([4, 4, 4], padding=True)
    assert first.shares.tolist() == pytest.approx([(1 + 3) / (3 + 3), 1])


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 16, 17])
def test_a_fenwick_tree_counts_and_finds_as_a_list_does(size, rng):
    jit = pytest.importorskip("minidlrm.kernels.jit_traces", reason="Numba is not installed")
    numbers, tree = rng.integers(0, 3, size), np.zeros(size + 1, np.int64)
    for place, number in enumerate(numbers):
        jit._add(tree, place, number)
    sums = np.cumsum(numbers)
    for end in range(size + 1):
        assert jit._count_to(tree, end) == numbers[:end].sum()
    for count in range(sums[-1]):
        assert jit._find(tree, count) == np.flatnonzero(sums > count)[0]
