"""A kernel in parts: the same bits on any number of threads, and one thread where others work."""

import contextlib
import threading
import time

import numpy as np
import pytest

import minidlrm as md
from minidlrm import predicting, training
from minidlrm.blocks import Team
from minidlrm.kernels import parts
from minidlrm.machine import cores, free_cores, one_blas_thread, resting

jit = pytest.importorskip("minidlrm.kernels.jit", reason="Numba is not installed")

STATES = {"sgd_rows": 0, "momentum_rows": 1, "adagrad_rows": 1, "rowwise_adagrad_rows": 1}
STATES |= {"adam_rows": 2, "ftrl_rows": 2}
OPTIONS = {"sgd_rows": 2, "momentum_rows": 3, "adagrad_rows": 3, "rowwise_adagrad_rows": 3}
OPTIONS |= {"adam_rows": 7, "ftrl_rows": 4}


@pytest.fixture(params=[1, 2, 3, 8])
def threads(request, monkeypatch):
    monkeypatch.setattr(parts, "_MUCH", 0)
    monkeypatch.setattr(parts, "free_cores", lambda: request.param)
    monkeypatch.setattr(jit, "_LARGE_PAGES", 0)
    return request.param


def test_all_is_done_once_by_as_many_threads_as_are_free(threads):
    done, barrier = [], threading.Barrier(threads)

    def work(part):
        done.extend(range(10)[part])
        barrier.wait(10)  # the others run at the same time

    parts.in_parts(10, 100, work)
    assert sorted(done) == list(range(10))


@pytest.mark.parametrize(("numbers", "count"), [(parts._MUCH - 1, 1), (parts._MUCH, 3)])
def test_a_small_call_stays_whole(numbers, count, monkeypatch):
    monkeypatch.setattr(parts, "free_cores", lambda: 3)
    called = []
    parts.in_parts(5, numbers, called.append)
    assert len(called) == count


def test_an_error_of_a_part_is_raised(threads):
    with pytest.raises(ZeroDivisionError):
        parts.in_parts(4, 9, lambda part: 1 // 0)


def threads_of(count, numbers):
    """Which threads a call takes, and which of range(count) they do."""
    seen, done = set(), []

    def work(part):
        seen.add(threading.current_thread().name)
        done.extend(range(count)[part])
        if numbers >= parts._SOME:
            time.sleep(0.05)  # so that one thread cannot do all

    parts.in_parts(count, numbers, work)
    assert sorted(done) == list(range(count))
    return len(seen)


def test_the_threads_of_a_team_help_while_they_rest():
    with Team(3):
        assert threads_of(9, parts._SOME) == 3
        assert threads_of(9, parts._SOME - 1) == 1
        with Team(1):  # as a rank has it
            assert threads_of(9, parts._SOME) == 1
        assert threads_of(9, parts._SOME) == 3
    assert resting.team is None


def test_no_thread_of_a_team_helps_while_blocks_are_walked():
    with Team(2) as team:
        found = []
        team.walk(range(4), lambda k: found.append(threads_of(9, parts._SOME)), 2)
        assert found == [1] * 4
        assert threads_of(9, parts._SOME) == 2


def test_a_team_rests_again_after_an_error():
    with Team(2) as team:
        with contextlib.suppress(KeyError):
            team.walk(range(2), {}.__getitem__, 2)
        assert resting.team is team
        with contextlib.suppress(ZeroDivisionError):
            parts.in_parts(2, parts._SOME, lambda part: 1 // 0)
        assert resting.team is team
    assert resting.team is None


def who_works(sizes):
    """Which threads work on each array of a size, and the order in which one thread takes them."""
    done = []

    def work(k):
        done.append((k, threading.current_thread().name))
        time.sleep(0.01)

    parts.at_once(sizes, work)
    assert sorted(k for k, _ in done) == list(range(len(sizes)))
    return [k for k, _ in done], len({name for _, name in done})


def test_the_arrays_of_a_step_are_shared_out_where_there_are_many_numbers():
    few, many = [(3, 0), (5, 0), (0, 2), (1, 0)], [(parts._MANY, 0)] * 6
    assert who_works(few) == ([2, 1, 0, 3], 1)  # rows of a table count thrice
    assert who_works(many)[1] == 1  # there is no team
    with Team(2) as team:
        assert who_works(few) == ([2, 1, 0, 3], 1)
        assert who_works(many)[1] == 2
        assert resting.team is team
    with Team(1):
        assert who_works(many)[1] == 1


def test_a_large_table_comes_before_and_has_all_threads():
    seen = []
    with Team(2) as team:
        parts.at_once(
            [(parts._MANY, 0), (0, parts._SOME), (parts._MANY, 0)],
            lambda k: seen.append((k, resting.team)),
        )
    assert seen[0] == (1, team)
    assert {(k, helps) for k, helps in seen[1:]} == {(0, None), (2, None)}


def test_no_core_is_free_where_blas_has_one_thread():
    assert free_cores() == cores()
    with one_blas_thread():
        assert free_cores() == 1
    assert free_cores() == cores()


@pytest.mark.parametrize("weighted", [False, True])
def test_sums_have_the_bits_of_one_thread(threads, weighted, monkeypatch, rng):
    weight = rng.normal(size=(9, 3)).astype(np.float32)
    lengths = rng.integers(0, 5, 2 * 7)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    rows = rng.integers(0, 9, offsets[-1])
    scale = rng.normal(size=len(rows)).astype(np.float32) if weighted else None
    dy = rng.normal(size=(14, 3)).astype(np.float32)
    source = np.repeat(np.arange(14), lengths)
    found = [jit.gather_bags(weight, rows, offsets, scale, 2)]
    found += jit.scatter_add(rows, dy, source, scale, 9)
    monkeypatch.setattr(parts, "free_cores", lambda: 1)
    alone = [jit.gather_bags(weight, rows, offsets, scale, 2)]
    alone += jit.scatter_add(rows, dy, source, scale, 9)
    assert [x.tobytes() for x in found] == [x.tobytes() for x in alone]


@pytest.mark.parametrize("name", STATES)
def test_row_updates_have_the_bits_of_one_thread(threads, name, monkeypatch, rng):
    weight, rows = rng.normal(size=(11, 3)), np.array([0, 1, 4, 5, 8, 10])
    shape = (11,) if name.startswith("rowwise") else (11, 3)
    arrays = [weight, *(rng.random(shape) for _ in range(STATES[name]))]
    grad, options = rng.normal(size=(6, 3)), rng.uniform(0.1, 0.9, OPTIONS[name])
    found, alone = [a.copy() for a in arrays], [a.copy() for a in arrays]
    getattr(jit, name)(*found, rows, grad, *options)
    monkeypatch.setattr(parts, "free_cores", lambda: 1)
    getattr(jit, name)(*alone, rows, grad, *options)
    assert [x.tobytes() for x in found] == [x.tobytes() for x in alone]
    assert found[0].tobytes() != weight.tobytes()


def test_a_step_that_its_team_helps_with_has_the_same_bits(monkeypatch):
    clicks = md.data.synthetic_clicks(600, 0, num_dense=2, num_tables=3, max_table_size=200)
    states = []
    for some, workers in ((parts._SOME, 1), (1, 1), (1, 2), (1, 3)):
        monkeypatch.setattr(parts, "_SOME", some)
        monkeypatch.setattr(parts, "_MANY", some)
        model = md.FactorizationMachine(2, clicks.table_sizes, 4)
        options = {"batch_size": 64, "progress": False, "workers": workers}
        md.fit(model, clicks.train, optimizer=md.Adagrad(lr=0.1), **options)
        states.append({name: value.tobytes() for name, value in model.state_dict().items()})
    assert states == states[:1] * 4


def test_a_model_on_ranks_has_one_thread_a_rank(monkeypatch):
    clicks = md.data.synthetic_clicks(200, 0, num_dense=2, num_tables=3, max_table_size=20)
    teams = []

    def team(workers):
        teams.append(workers)
        return Team(workers)

    monkeypatch.setattr(training, "Team", team)
    monkeypatch.setattr(predicting, "Team", team)

    def work(comm=None):
        with md.parallel.sharded(comm) if comm else contextlib.nullcontext():
            model = md.FactorizationMachine(2, clicks.table_sizes, 4)
        md.fit(model, clicks.train, batch_size=64, progress=False)
        md.predict(model, clicks.test)

    md.parallel.run(2, work)
    work()
    assert teams == [1, 1, 1, 1, None, None]
