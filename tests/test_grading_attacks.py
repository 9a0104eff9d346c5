"""Attacks on the grader: what a submission tries, and what does not come of it."""

import contextlib
import json
import os
import struct
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import psutil
import pytest

pytest.importorskip("jupytext")

from minidlrm.grading import assignment, classroom, judge, release, runner, wire
from minidlrm.grading.sandbox import StudentError, Submission, plain

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="these limits are Linux's")


def solution(name="A1"):
    return assignment.find(name).text()


@pytest.fixture
def attack(tmp_path):
    """Run ``def f(*arguments): BODY`` as a submission, and return what f gives."""

    def run(body, *arguments, needs="", seconds=5.0):
        file = tmp_path / "attack.py"
        file.write_text("import os, sys\ndef f(*arguments):\n    " + body.replace("\n", "\n    "))
        with Submission(file, seconds) as submission:
            submission.get("__name__")
            if needs and needs not in submission.protections:
                pytest.skip(f"this machine does not hold back {needs}")
            return submission.call("f", *arguments)

    return run


# Answers out of the library


@LINUX
def test_the_library_is_not_found_when_the_finder_is_taken_off(attack):
    body = "sys.meta_path.pop(0)\nfrom minidlrm.layers import linear\nreturn 1"
    with pytest.raises(StudentError, match="ModuleNotFoundError"):
        attack(body, needs="files")


def test_no_layer_of_the_library_is_in_memory(attack):
    body = "import gc\nnames = {c.__module__ for c in object.__subclasses__()}\n"
    body += "names |= {getattr(o, '__module__', '') for o in gc.get_objects() if callable(o)}\n"
    body += "return sorted(n for n in names if isinstance(n, str) and n.startswith('minidlrm'))"
    ours = {"minidlrm.grading.worker", "minidlrm.grading.wire", "minidlrm.grading.confine"}
    assert set(attack(body)) <= ours


@LINUX
def test_no_solution_lies_in_a_folder_that_python_imports_from(attack):
    body = "return [os.path.join(at, n) for p in sys.path if p for at, _, names in os.walk(p)\n"
    body += "        if 'minidlrm' in at for n in names if n.endswith(('.py', '.ipynb'))]"
    assert attack(body, needs="files", seconds=20) == []


# What belongs to others


@LINUX
def test_other_submissions_and_results_cannot_be_read(attack, tmp_path):
    other = tmp_path / "ann.py"
    other.write_text("def linear_backward(): ...")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.parent != folder and os.access(folder, os.W_OK) and folder != Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o055)
    with pytest.raises(StudentError, match="No such file"):
        attack(f"return open({str(other)!r}).read()", needs="files")


@LINUX
@pytest.mark.parametrize(
    "body",
    [
        "os.kill(-1, 9)",
        "os.kill(os.getppid(), 9)",
        "os.setsid()",
        "import resource\nresource.prlimit(os.getppid(), resource.RLIMIT_CPU, (0, 0))",
        "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
    ],
)
def test_no_process_is_signalled_limited_or_left(attack, body):
    with pytest.raises(StudentError, match="PermissionError"):
        attack(body, needs="calls")


@LINUX
def test_system_calls_below_python_are_refused_too(attack):
    """Not to outlive the grader, no look into it, no mount undone: each gives -1."""
    body = "import ctypes\nlibc = ctypes.CDLL(None)\nreturn [libc.prctl(1, 0, 0, 0, 0),\n"
    body += "    libc.ptrace(16, os.getppid(), 0, 0), libc.umount2(b'/proc', 2), libc.fork()]"
    assert attack(body, needs="calls") == [-1, -1, -1, -1]


@LINUX
def test_the_graders_memory_and_arguments_are_out_of_sight(attack):
    for name in ("mem", "cmdline", "environ"):
        with pytest.raises(StudentError, match="No such file"):
            attack(
                f"return len(open(f'/proc/{{os.getppid()}}/{name}', 'rb').read(9))", needs="files"
            )


@LINUX
def test_nothing_is_left_when_the_judge_is_done(tmp_path):
    file = tmp_path / "a.py"
    file.write_text(
        "import os, signal\nfor n in range(1, 32):\n    try: signal.signal(n, 1)\n"
        "    except Exception: pass\ndef f(): return os.getpid()\n"
    )
    with Submission(file) as submission:
        submission.call("f")
        outer = psutil.Process(submission._process.pid)
        processes = [outer, *outer.children(recursive=True)]
    for each in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # or it waits to be buried by its parent
            assert each.status() == psutil.STATUS_ZOMBIE


# What is said to the judge


def test_a_process_that_does_not_read_does_not_hold_up_the_grader(tmp_path):
    file = tmp_path / "a.py"
    file.write_text(
        "import time\ndef f(g, x):\n    import sys\n    main = sys._getframe(1)\n"
        "    send, write = main.f_globals['wire'].send, main.f_locals['write']\n"
        "    send(write, {'call': 0, 'arguments': [x]})\n"
        "    time.sleep(60)\n"
    )
    start = time.monotonic()
    with Submission(file, seconds=2) as submission, pytest.raises(StudentError, match="endless"):
        submission.call("f", lambda x: np.zeros(1_000_000), 1.0)
    assert time.monotonic() - start < 30


def test_a_process_that_did_not_start_is_no_fault_of_the_student(tmp_path, monkeypatch):
    file, begun, launch = tmp_path / "a.py", [], Submission._launch
    file.write_text("def f(x): return x + 1\n")

    def slowly(self):
        begun.append(1)
        if len(begun) == 1:
            raise StudentError("the process did not start")
        launch(self)

    monkeypatch.setattr(Submission, "_launch", slowly)
    with Submission(file) as submission:
        assert submission.call("f", 1) == 2


def test_a_call_back_that_asks_for_too_much_is_words(tmp_path):
    file = tmp_path / "a.py"
    file.write_text("def f(g): return g(1)\n")
    with Submission(file) as submission:
        with pytest.raises(StudentError, match="too much"):
            submission.call("f", lambda x: np.zeros(1 << 25))
        assert submission.call("f", lambda x: x + 1) == 2


@pytest.mark.slow
def test_a_small_message_that_is_large_when_read_is_refused():
    header = b"[" + b"[]," * 2_000_000 + b"[]]"
    with pytest.raises(ValueError, match="too long"):
        wire.decode(struct.pack("<Q", len(header)) + header)
    with pytest.raises(TypeError, match="array"):
        wire.encode([[]] * 2_000_000)


@pytest.mark.parametrize(
    "body",
    [
        "class A(np.ndarray):\n    def __array__(self, *a, **k): raise SystemExit\n"
        "    def __array_ufunc__(self, *a, **k): return 1\nreturn np.ones(3).view(A)",
        "return np.array([object()])",
        *(
            pytest.param(body, marks=pytest.mark.slow)
            for body in (
                "return np.zeros(2, [('a', 'f8')])",
                "class A:\n    def __eq__(self, other): return True\n"
                "    def __array__(self, *a): return np.ones(3)\nreturn A()",
                "class A:\n    def __reduce__(self): return exit, ()\nreturn A()",
                "class A(dict):\n    def items(self): return [('call', 0)]\nreturn A(x=1)",
                "class A(float):\n    def hex(self): return 'nan'\nreturn A(1)",
                "return np.ones(3) * 1j + np.ones(3)",
                "return 'ones'",
                "return [[1, 2], [3]]",
            )
        ),
    ],
)
def test_an_odd_value_is_wrong_in_words_and_never_right(attack, body):
    with pytest.raises((StudentError, judge.Wrong)) as error:
        judge.same("y", attack("import numpy as np\n" + body), 7 * np.ones(3))
    assert str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("value", ["'x'", "{'a': 1}", "[[1, 2], [3]]", "np.ones(3) * 1j"])
@pytest.mark.parametrize("function", ["linear_backward", "is_right", "sigmoid_backward"])
def test_the_check_itself_does_not_stop_for_an_odd_value(value, function, tmp_path):
    text = solution().replace(f"def {function}(", f"def old_{function}(")
    parts = f"{value}, {value}, {value}" if function == "linear_backward" else value
    file = tmp_path / "a.py"
    file.write_text(f"{text}\ndef {function}(*arguments):\n    return {parts}\n", encoding="utf-8")
    result = runner.grade("A1", file)
    assert all("check itself" not in r["feedback"] for r in result.results), result.results
    assert result.points < result.max_points


def test_what_a_submission_says_is_fit_for_a_page():
    assert plain("a\x1b[31m\ud800\x00b") == "a[31m?b"
    assert len(plain("x" * 10**6)) < 3000


# A class with bad names and files


@pytest.mark.slow
def test_no_name_and_no_file_of_one_stops_the_class(tmp_path):
    folder, out = tmp_path / "class", tmp_path / "out"
    folder.mkdir()
    blank = release.strip(solution())
    for name in ("ann", "index", "-x", "a#b?c%d", "n" * 240):
        (folder / f"{name}.py").write_text(blank, encoding="utf-8")
    if sys.platform == "linux":  # 한글 in the Korean code page, as an old zip program leaves it
        with open(os.fsencode(folder) + b"/\xc7\xd1\xb1\xdb.py", "w", encoding="utf-8") as file:
            file.write(blank)
    with zipfile.ZipFile(folder / "locked.zip", "w") as archive:
        archive.writestr("a1_gradients.py", blank)
    data = bytearray((folder / "locked.zip").read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + at] |= 1  # encrypted
    (folder / "locked.zip").write_bytes(data)
    (folder / "torn.zip").write_bytes(data[:60])
    grades = runner.grade_class("A1", folder, out)
    assert len(grades) == len(list(folder.iterdir()))
    problems = {g.student: g.problem for g in grades}
    assert "cannot be opened" in problems["locked"]
    assert problems["torn"]
    assert problems["-x"] == "nothing is written yet"
    pages = tmp_path / "pages"
    classroom.grade_all(assignment.find("A1"), folder, pages, classroom.Settings(1))
    text = (pages / "index.html").read_text(encoding="utf-8")
    assert 'href="a%23b%3Fc%25d.html"' in text
    assert len(list(pages.glob("*.html"))) == len(grades) + 2  # the class, and its derivations
    assert runner.grade_class("A1", folder, out) == grades  # from what was kept


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_to_the_solutions_or_to_another_is_not_followed(tmp_path):
    folder = tmp_path / "class"
    (folder / "eve").mkdir(parents=True)
    (folder / "ann.py").write_text(solution(), encoding="utf-8")
    (folder / "eve" / "a1_gradients.py").symlink_to(assignment.find("A1").source)
    (folder / "mallory.py").symlink_to("ann.py")
    (folder / "trent").symlink_to(folder)
    (folder / "void.py").symlink_to("nowhere")
    os.mkfifo(folder / "eve" / "pipe.py")
    grades = {g.student: g for g in runner.grade_class("A1", folder, tmp_path / "out")}
    assert grades["ann"].points > 0
    for name in ("eve", "mallory", "trent", "void"):
        assert grades[name].points == 0
        assert grades[name].problem


@pytest.mark.slow
def test_a_deeply_nested_notebook_is_words(tmp_path):
    file = tmp_path / "a.ipynb"
    file.write_text('{"cells": ' + "[" * 100_000 + "]" * 100_000 + "}")
    result = runner.grade("A1", file)
    assert result.points == 0
    assert "not a notebook" in result.problem
    first, *others = result.results
    assert "not a notebook" in first["feedback"]
    assert all(r["feedback"].startswith("The same cause as in A1.2") for r in others)


def test_the_seed_of_a_class_is_drawn_and_kept(tmp_path):
    from minidlrm.grading.commands import _drawn

    first = _drawn(tmp_path / "a" / "seed.txt")
    assert first == _drawn(tmp_path / "a" / "seed.txt")
    assert first != _drawn(tmp_path / "b" / "seed.txt")


def test_results_say_what_was_held_back(tmp_path):
    file = tmp_path / "a.py"
    file.write_text("")
    result = runner.grade("A1", file)
    assert json.loads(json.dumps(result.protections)) == result.protections
    if sys.platform == "linux":
        assert "RLIMIT_AS" in result.protections
