"""What a run sets on the machine: the threads of BLAS, and the memory that it keeps."""

import ctypes
import subprocess
import sys
import threading

import pytest
from threadpoolctl import threadpool_limits

from minidlrm import machine

needs_glibc = pytest.mark.skipif(
    not (sys.platform == "linux" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")),
    reason="mallopt is of glibc",
)

STEPS = """
import resource, numpy as np, minidlrm as md
rng = np.random.default_rng(0)
sizes = [50] * 20
rows = md.Batch(rng.random((2048, 4), np.float32), rng.integers(0, 50, (2048, 20)), np.ones(2048))
faults = []
md.fit(
    md.DLRM(4, sizes, 16, (64,), (128,)), rows, epochs=30, progress=False, workers=2,
    callback=lambda record: faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt),
)
print((faults[-1] - faults[9]) / 20)
"""


def faults_a_step(monkeypatch, setting):
    monkeypatch.setenv("MINIDLRM_MALLOPT", setting)
    done = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True)
    return float(done.stdout)


@needs_glibc
@pytest.mark.slow
def test_a_step_has_no_page_faults_unless_the_memory_may_be_given_back(monkeypatch):
    assert faults_a_step(monkeypatch, "1") <= 50
    assert faults_a_step(monkeypatch, "0") > 200


@needs_glibc
def test_the_allocator_is_left_alone_where_the_user_says_so(monkeypatch):
    monkeypatch.setenv("MINIDLRM_MALLOPT", "0")
    assert not machine.keep_memory.__wrapped__()
    monkeypatch.delenv("MINIDLRM_MALLOPT")
    assert machine.keep_memory.__wrapped__()


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(machine.sys, "platform", "darwin")
    assert not machine.keep_memory.__wrapped__()


def test_the_thread_that_leaves_last_restores_it():
    first, last = machine.one_blas_thread(), machine.one_blas_thread()
    with threadpool_limits(2, user_api="blas"):
        for call in (first.__enter__, last.__enter__):
            in_a_thread(call)
        for block in (first, last):
            in_a_thread(block.__exit__, None, None, None)
        assert {library["num_threads"] for library in machine._blas().info()} == {2}


def in_a_thread(call, *arguments):
    thread = threading.Thread(target=call, args=arguments)
    thread.start()
    thread.join()


def test_threads_that_hold_blas_at_one_thread_restore_what_was_there():
    def hold():
        for _ in range(200):
            with machine.one_blas_thread():
                seen.update(library["num_threads"] for library in machine._blas().info())

    seen: set[int] = set()
    threads = [threading.Thread(target=hold) for _ in range(4)]
    with threadpool_limits(2, user_api="blas"):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == {1}
        assert {library["num_threads"] for library in machine._blas().info()} == {2}
