"""Files are put in place whole."""

import os
import subprocess
import sys
import threading

import pytest

from minidlrm.files import replacing


def write(path, text="new"):
    with replacing(path) as temporary:
        temporary.write_text(text)


def test_the_file_is_put_in_place_at_the_end(tmp_path):
    path = tmp_path / "a.json"
    with replacing(path) as temporary:
        temporary.write_text("1")
        assert not path.exists()
        assert temporary.parent == tmp_path
    assert path.read_text() == "1"


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    write(tmp_path / "a", "old")

    def fail():
        with replacing(tmp_path / "a") as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a"):
        pass  # nothing is written
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_what_a_killed_process_left_is_removed_and_nothing_of_a_living_one(tmp_path):
    code = """
import os, sys
from minidlrm.files import replacing
with replacing(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=False)
    (dead,) = tmp_path.iterdir()
    start = dead.name.partition("-")[0]
    for name in (f"{start}-{os.getppid()}-0.tmp", f"{start}-x-0.tmp", ".a.txt"):
        (tmp_path / name).write_text("of somebody else")
    write(tmp_path / "a")
    assert not dead.exists()
    assert len(list(tmp_path.iterdir())) == 4


def test_a_symbolic_link_stays_one(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "file")
    write(tmp_path / "link", "1")
    write(tmp_path / "link", "2")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "deep" / "file").read_text() == "2"
    assert len(list(tmp_path.rglob("*"))) == 3


def test_the_mode_of_the_old_file_stays(tmp_path):
    write(tmp_path / "a")
    (tmp_path / "a").chmod(0o600)
    write(tmp_path / "a")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_threads_that_write_to_one_path_do_not_meet(tmp_path):
    texts = [letter * 100_000 for letter in "abcdefgh"]
    threads = [threading.Thread(target=write, args=(tmp_path / "a", text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a").read_text() in texts
    assert len(list(tmp_path.iterdir())) == 1


def test_long_names_are_written(tmp_path):
    write(tmp_path / ("n" * 250))
    assert len(list(tmp_path.iterdir())) == 1
