"""Hostile submissions: none gains a point, reaches another, stops the grader or leaves a trace."""

import contextlib
import csv
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile

import hostile_submissions as hostile
import numpy as np
import pytest

pytest.importorskip("jupytext")

from minidlrm.grading import assignment, entries, plugin, runner, tables
from minidlrm.grading.assignment import Limits, with_body
from minidlrm.grading.judging import Judge
from minidlrm.grading.reading import NotWritten, text_of
from minidlrm.grading.sandbox import StudentError, Submission

LINUX = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="calls by their numbers"
)
PYTHON_HOME = os.path.realpath(sys.base_prefix)
AS_USER = """set -e
mount --make-rprivate /
mkdir -p "$1"; mount --bind "$2" "$1"
mount -t tmpfs -o mode=755 tmpfs /root
mkdir -p "$2"; mount --move "$1" "$2"; shift 2
exec setpriv --reuid 12345 --regid 12345 --clear-groups "$@"
"""


def solution(name="A1"):
    return assignment.find(name).text()


def command_of(user, folder):
    """Return how the hostile code is run: as we are, or as an ordinary user where we are root."""
    script = [sys.executable, hostile.__file__, str(folder)]
    if user == "ourselves":
        return script
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "setpriv", "mount"))):
        pytest.skip("only root can also be somebody else")
    os.chown(folder, 12345, 12345)
    if not PYTHON_HOME.startswith("/root/"):
        return ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", *script]
    place = tempfile.mkdtemp()  # Python's own folder is moved to where the user may look
    return ["unshare", "-m", "sh", "-c", AS_USER, "sh", place, PYTHON_HOME, *script]


@LINUX
@pytest.mark.parametrize(
    "user", ["ourselves", pytest.param("an ordinary user", marks=pytest.mark.slow)]
)
def test_hostile_code_reaches_no_process_file_terminal_or_object(user):
    with tempfile.TemporaryDirectory() as folder:  # that of pytest is closed to others
        environment = {**os.environ, "HOME": folder, "NUMBA_DISABLE_JIT": "1"}
        done = subprocess.run(
            command_of(user, folder), capture_output=True, timeout=120, env=environment
        )
    if not done.stdout and (b"ermission" in done.stderr or b"ModuleNotFound" in done.stderr):
        pytest.skip(f"the other user cannot run Python: {done.stderr[-200:]}")
    came = json.loads(done.stdout)
    if not {"files", "processes", "calls"} <= set(came["protections"]):
        pytest.skip("this machine allows no namespaces")
    for name in hostile.REFUSED:
        refused = str(came[name]).startswith("refused: ")
        assert refused or set(np.ravel(came[name])) == {-1}, (name, came[name])
    for name in hostile.EMPTY:
        assert came[f"sees {name}"] == [], name
    assert came["left"] == []


FORGED = """
def f(*arguments):
    import sys
    main = sys._getframe(1)
    send, write = main.f_globals["wire"].send, main.f_locals["write"]
    send(write, {answer!r})
    send(write, {{"value": 7}})
def g():
    return 1
"""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (k > 0))
        for k, name in enumerate(hostile.ANSWERS)
    ],
)
def test_a_forged_answer_is_words_and_the_grader_goes_on(name, tmp_path):
    file = tmp_path / "a.py"
    file.write_text(FORGED.format(answer=hostile.ANSWERS[name]))
    with Submission(file, seconds=2) as submission:
        with contextlib.suppress(StudentError):
            submission.call("f", lambda x: x)
        submission.close()
        assert submission.call("g") == 1


def test_what_a_process_says_after_its_code_ran_is_not_believed(tmp_path):
    file = tmp_path / "a.py"
    file.write_text(
        "import sys\nmain = sys._getframe(2)\n"
        "send, write = main.f_globals['wire'].send, main.f_locals['write']\n"
        "send(write, {'protections': ['files', 'forged'], 'notes': ['x' * 10**6] * 3})\n"
        "raise ValueError('y' * 10**6)\n"
    )
    with Submission(file, seconds=2) as submission:
        with pytest.raises(StudentError):
            submission.call("f")
        assert "forged" not in submission.protections
        assert sum(map(len, submission.notes)) < 20_000


def test_functions_passed_to_and_fro_without_end_are_words(tmp_path):
    file = tmp_path / "a.py"
    file.write_text("def f(g):\n    def again(x):\n        return g(again)\n    return g(again)\n")
    with Submission(file, seconds=5) as submission:
        with pytest.raises(StudentError):
            submission.call("f", lambda function: function(1))
        file.write_text("")


def test_a_function_of_the_graders_takes_functions_of_the_submission(tmp_path):
    file = tmp_path / "a.py"
    file.write_text("def area(f): ...\ndef g(c):\n    return area(lambda x: c(x) + 1)\n")
    with Submission(file, replaced={"area": lambda f: f(2.0) * 10}) as submission:
        assert submission.call("g", lambda x: 3 * x) == 70


@pytest.mark.slow
def test_a_process_finds_nothing_of_the_one_before_it(tmp_path):
    file = tmp_path / "a.py"
    file.write_text(
        "import os\ndef keep():\n    open('kept', 'w').write('x')\n    os._exit(0)\n"
        "def look():\n    return os.listdir('.')\n"
    )
    with Submission(file, folder=tmp_path) as submission:
        with pytest.raises(StudentError, match="process ended"):
            submission.call("keep")
        assert submission.call("look") == []
    assert [path.name for path in tmp_path.iterdir()] == ["a.py"]


@pytest.mark.slow
def test_an_error_named_like_a_blank_is_not_a_blank_without_words(tmp_path):
    file = tmp_path / "a.py"
    file.write_text("def f():\n    raise NotImplementedError('x' * 10**6)\n")
    with Submission(file) as submission, pytest.raises(NotWritten) as error:
        submission.call("f")
    assert len(str(error.value)) < 3000


# Files


def test_an_endless_cell_costs_that_cell_alone(tmp_path):
    file = tmp_path / "a.py"
    file.write_text("def f():\n    return 1\n# %%\nwhile True:\n    pass\n# %%\nx = 2\n")
    with Submission(file, limits=Limits(cell=0.5)) as submission:
        assert submission.call("f") == 1
        assert submission.get("x") == 2
        assert "cell 2 runs longer than 0.5 seconds" in submission.notes[0]


@pytest.mark.slow
def test_a_file_of_endless_cells_is_given_up(tmp_path):
    file = tmp_path / "a.py"
    file.write_text("# %%\nimport os; os._exit(0)\n" * 9)
    with Submission(file) as submission, pytest.raises(StudentError, match="does not run"):
        submission.call("f")


@pytest.mark.parametrize("encoding", ["cp949", "latin-1", "utf-16"])
def test_a_declared_encoding_is_read_and_another_one_is_words(encoding, tmp_path):
    file = tmp_path / "a.py"
    word = "한글" if encoding == "cp949" else "café"
    file.write_bytes(f"# -*- coding: {encoding} -*-\nSTUDENT = '{word}'\n".encode(encoding))
    if encoding == "utf-16":
        with pytest.raises(StudentError, match="declare its encoding"):
            text_of(file)
        return
    with Submission(file) as submission:
        assert submission.get("STUDENT") == word


@pytest.mark.slow
def test_a_file_that_gives_nothing_says_why(tmp_path):
    file = tmp_path / "a.py"
    for content in (b"\xff\xfe\x00", b"\x00\x01", b"def (", b"import os; os._exit(0)"):
        file.write_bytes(content)
        result = runner.grade("A6", file)
        assert result.points == 0
        assert result.problem


@pytest.mark.slow
def test_an_archive_is_bounded_in_its_entries_and_its_size(tmp_path):
    found = assignment.find("A1")
    for name, fill in (
        ("folders", lambda archive: [archive.writestr(f"{k}/", b"") for k in range(60_000)]),
        ("files", lambda archive: [archive.writestr(f"{k}.txt", b"") for k in range(3000)]),
        ("bomb", lambda archive: archive.writestr("a1_gradients.py", bytes(60 << 20))),
    ):
        path = tmp_path / f"{name}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            fill(archive)
        start = time.monotonic()
        with pytest.raises(ValueError, match=r"too many|more than|too large"):
            entries.the_file(found, path, tmp_path)
        assert time.monotonic() - start < 5


def test_an_archive_that_names_files_outside_writes_none(tmp_path):
    inside, path = tmp_path / "inside", tmp_path / "a.zip"
    inside.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../a1_gradients.py", "x = 1")
        archive.writestr("../evil.txt", "x")
    with pytest.raises(ValueError, match="0 files"):
        entries.the_file(assignment.find("A1"), path, inside)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.zip", "inside"]


# Points


@pytest.mark.slow
def test_a_right_function_in_the_place_of_a_wrong_one_gives_no_answer_away(tmp_path):
    """A mistake on purpose: the right function that the grader lends must not be kept."""
    text = with_body(solution(), "numeric_gradient", "return 0 * x")
    body = "open('kept', 'w').write('x')\n    return bool(numeric_gradient(lambda m: 1.0, x).any())"
    file = tmp_path / "a.py"
    file.write_text(with_body(text, "is_right", body), encoding="utf-8")
    by_task = runner.grade("A1", file).by_task()
    assert by_task["A1.5"][0] == 0
    assert by_task["A1.7"][0] == 0


def test_the_order_of_questions_is_not_told_by_the_questions():
    class Item:
        nodeid = "checks.py::test_x"

        class config:
            getoption = staticmethod(lambda name: 2**127 + 5)

    one, two = (plugin._random(Item, what).random(4) for what in ("questions", "order"))
    assert not np.array_equal(one, two)
    assert np.array_equal(one, plugin._random(Item, "questions").random(4))


def test_a_class_has_a_seed_that_cannot_be_tried_out(tmp_path):
    from minidlrm.grading.commands import _drawn

    assert max(_drawn(tmp_path / f"{k}.txt") for k in range(4)) >= 2**120
    assert (tmp_path / "0.txt").stat().st_mode & 0o077 == 0 or sys.platform == "win32"


# Tables


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "x;=1",
        "x\n=1",
        "＝1",
        "x\r\n＋1",
        " =1",
        "﹣1",
    ],
)
def test_no_cell_is_a_formula_in_any_locale(text, tmp_path):
    path = tmp_path / "a.csv"
    tables.write(path, [["a", "b"], [text, f"x{text}"]])
    content = path.read_text(encoding="utf-8-sig")
    cells = [cell for row in csv.reader(content.splitlines()) for cell in row]
    for separator in (";", "\t", "|"):  # where these are the locale's: quotes hold nothing there
        cells += [cell for line in content.splitlines() for cell in line.split(separator)]
    for cell in cells:
        start = cell.lstrip(' "')[:1]
        assert start not in tuple("=+@＝＋－＠﹣-"), cell


# The end of a run


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="signals are those of POSIX")
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_a_signal_ends_leaves_nothing_behind(number, tmp_path):
    folder, temporary = tmp_path / "class", tmp_path / "tmp"
    folder.mkdir()
    temporary.mkdir()
    (folder / "ann.py").write_text("import time\ntime.sleep(30)\n")
    code = "from minidlrm.cli import main; main()"
    arguments = ["grade", "run", "A1", str(folder), "--out", str(tmp_path / "out")]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    options = {"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "cwd": tmp_path}
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], env=environment, **options)
    deadline = time.monotonic() + 60
    while not list(temporary.rglob("submission-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(number)
    process.wait(30)
    while list(temporary.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(temporary.iterdir()) == []


def test_a_judge_that_is_closed_says_so(tmp_path):
    judge = Judge()
    judge.close()
    with pytest.raises(OSError, match="stopped"):
        judge.run([], tmp_path, 1.0)
