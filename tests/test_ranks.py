"""minidlrm train --ranks: the same run over MPI; and how it ends when a rank does."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import minidlrm as md
from minidlrm.cli import ranks as command

ROOT = Path(__file__).parent.parent
LONG = "MINIDLRM_LONG" in os.environ
TRAIN = ["train", "--rows", "3000", "--batch-size", "512", "--embedding-dim", "4"]


def needs_mpi():
    pytest.importorskip("mpi4py")
    psutil = pytest.importorskip("psutil")
    try:
        command.mpiexec()
    except OSError:
        pytest.skip("mpiexec is not installed")
    return psutil


def minidlrm(*arguments, python=(), **options):
    """Run the command in a process of its own, from the folder of the tests."""
    line = [sys.executable, *python, "-m", "minidlrm", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(line, cwd=ROOT, **pipes, **options)


def on_mpi(ranks, *arguments):
    line = [command.mpiexec(), "-n", str(ranks), sys.executable, "-m", "mpi4py", *arguments]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=600)


# Without MPI


def test_a_number_of_ranks_that_is_no_power_of_two_is_refused_before_anything_starts(monkeypatch):
    monkeypatch.setattr(command, "_start", lambda *_: pytest.fail("started"))
    with pytest.raises(ValueError, match=r"ranks is 6: .* 4 or 8"):
        command.communicator(6)


def test_without_mpi4py_ranks_are_refused_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ImportError, match=r'ranks need MPI .* pip install "minidlrm\[mpi\]"'):
        command.communicator(2)
    with pytest.raises(ImportError, match=r"minidlrm\.parallel\.run has ranks in one process"):
        md.parallel.mpi()


def test_on_windows_ranks_are_refused_by_name_whatever_is_installed(monkeypatch):
    monkeypatch.setattr(command.platform, "system", lambda: "Windows")
    monkeypatch.setattr(command, "check_mpi", lambda: pytest.fail("looked for MPI"))
    with pytest.raises(OSError, match=r"--ranks needs Linux or macOS: .*minidlrm\.parallel\.run"):
        command.communicator(2)


def test_mpiexec_without_the_module_mpi4py_is_refused(monkeypatch):
    monkeypatch.setenv("PMI_RANK", "0")
    with pytest.raises(ValueError, match="python -m mpi4py -m minidlrm"):
        command.communicator(None)


def test_one_process_is_the_default():
    assert command.communicator(None) is None


def test_the_banner_of_mpiexec_is_read_and_not_shown(capsys):
    lines = [b"before\n", b"====\n", b"=   BAD TERMINATION\n", b"====\n"]
    lines += [b"YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Killed (signal 9)\n"]
    lines += [b"Please see the FAQ page\n", b"after\n", b"[mpiexec@host] Sending Ctrl-C\n"]
    assert command._passed_on(lines) == "Killed (signal 9)"
    assert capsys.readouterr().out == "before\nafter\n"


# Over MPI


@pytest.mark.slow
def test_the_command_gives_one_hash_one_table_and_one_set_of_files(tmp_path):
    needs_mpi()
    hashes = set()
    for ranks in (1, 2, 4) if LONG else (1, 4):
        out = tmp_path / str(ranks)
        done = minidlrm(*TRAIN, "--ranks", ranks, "--out", out)
        told, errors = done.communicate(timeout=120)
        assert done.returncode == 0, errors
        assert told.count("wrote learning_curve.png, metrics.json and dlrm in") == 1
        (line,) = [x for x in told.splitlines() if x.startswith("SHA-256 of the parameters: ")]
        hashes.add(line)
        files = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
        parts = [f"dlrm/rank-{r}.safetensors" for r in range(ranks)]
        assert files == ["dlrm/index.json", *parts, "learning_curve.png", "metrics.json"]
    assert len(hashes) == 1
    out = tmp_path / "alone"
    assert minidlrm(*TRAIN, "--out", out).wait(120) == 0
    stored = json.loads((tmp_path / "4" / "dlrm" / "index.json").read_text())["content"]
    from safetensors import safe_open

    with safe_open(out / "dlrm.safetensors", framework="numpy") as opened:
        assert opened.metadata()["content"] == stored
    assert hashes == {f"SHA-256 of the parameters: {stored}"}
    scores = [json.loads((tmp_path / x / "metrics.json").read_text()) for x in ("4", "alone")]
    assert scores[0]["results"] == scores[1]["results"]


@pytest.mark.slow
def test_hashes_over_mpi_are_those_of_one_process():
    needs_mpi()
    from tests import rank_program

    want = rank_program.hashes(None)
    for ranks in (1, 2, 4) if LONG else (4,):
        done = on_mpi(ranks, "-m", "tests.rank_program", "hashes")
        assert json.loads(done.stdout) == want, done.stderr


@pytest.mark.slow
def test_an_error_on_all_ranks_is_told_once_with_code_2(tmp_path):
    needs_mpi()
    done = minidlrm(*TRAIN, "--lr", "1e30", "--no-decay", "--ranks", "2", "--out", tmp_path)
    start = time.monotonic()
    _, errors = done.communicate(timeout=120)
    assert done.returncode == 2
    assert errors.count("error: ") == 1
    what = r"step \d+: the (loss|gradient norm)|the output of row \d+"
    assert re.search(rf"error: ({what}) is (nan|inf)", errors), errors
    assert time.monotonic() - start < 100
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.slow
def test_an_error_on_one_rank_ends_all_and_is_told_by_it():
    needs_mpi()
    done = on_mpi(2, "-m", "tests.rank_program", "fail")
    took = time.time() - float(re.search(r"fails at ([\d.]+)", done.stderr)[1])
    assert took < 5
    assert done.returncode == 2
    assert "error: rank 1: only here" in done.stderr
    assert "error: only here" not in done.stderr


@pytest.mark.slow
def test_a_command_that_knows_no_ranks_is_refused_once():
    needs_mpi()
    done = on_mpi(2, "-m", "minidlrm", "compare", "--rows", "100")
    assert done.returncode == 2
    assert done.stderr.count("error: ") == 1
    assert "error: compare runs in one process, and mpiexec has started 2: " in done.stderr
    assert done.stdout.count("log loss") == 0


def started(tmp_path, psutil):
    """Start a long run on two ranks; return it, and its ranks, when a checkpoint is written."""
    more = ["--epochs", "500", "--checkpoint-every", "2", "--ranks", "2", "--out", tmp_path]
    done, index = minidlrm(*TRAIN, *more), tmp_path / "training" / "index.json"
    while not index.is_file():
        assert done.poll() is None, done.communicate()
        time.sleep(0.05)
    below = psutil.Process(done.pid).children(recursive=True)
    ranks = [p for p in below if p.cmdline()[1:3] == ["-m", "mpi4py"]]
    assert len(ranks) == 2
    return done, ranks


def all_ended(ranks, seconds, psutil):
    _, alive = psutil.wait_procs(ranks, timeout=seconds)
    return [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.slow
def test_a_killed_rank_ends_all_and_the_checkpoint_loads(tmp_path):
    psutil, rng, took = needs_mpi(), random.Random(18), []
    for k in range(20 if LONG else 2):
        out = tmp_path / str(k)
        done, ranks = started(out, psutil)
        time.sleep(rng.uniform(0, 1))
        ranks[k % 2].kill()
        start = time.monotonic()
        assert all_ended(ranks, 5, psutil)
        took.append(time.monotonic() - start)
        _, errors = done.communicate(timeout=5)
        assert done.returncode == 2
        assert "error: a rank has ended: Killed (signal 9); all have ended" in errors
        assert md.load(out / "training").num_parameters() > 0
        assert sorted(p.name for p in out.iterdir()) == ["training"]
    print(f"after a kill the others lived {max(took):.2f} s at most")


@pytest.mark.slow
def test_ctrl_c_saves_and_ends_all(tmp_path):
    psutil = needs_mpi()
    done, ranks = started(tmp_path, psutil)
    done.send_signal(signal.SIGINT)
    assert all_ended(ranks, 5, psutil)
    _, errors = done.communicate(timeout=5)
    assert done.returncode == 130
    assert errors.count("error: interrupted") == 1
    assert errors.count("--resume goes on from there") == 1
    assert md.load(tmp_path / "training").num_parameters() > 0


@pytest.mark.slow
@pytest.mark.skipif(not LONG, reason="4 GB of memory and a minute: MINIDLRM_LONG")
def test_a_rank_holds_its_rows_of_a_model_of_four_gigabytes():
    needs_mpi()
    done = on_mpi(4, "-m", "tests.rank_program", "memory")
    held, own, _ = json.loads(done.stdout)
    print(f"of {own:.0f} MiB of rows, a rank held {held:.0f} MiB in all")
    assert 950 < own < 960  # MiB: a quarter of 62.5 million rows of 16 numbers
    assert held < own + 400  # Python, the libraries, the MLPs and a batch
