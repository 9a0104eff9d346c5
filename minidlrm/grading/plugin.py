"""The pytest plugin: tasks and their points, and a submission to call.

    pytest -p minidlrm.grading.plugin mine/checks.py --submission answer.py

A test is one criterion of a task: ``@pytest.mark.task("A2.2", title="empty bags")``. The points of
the task are in the source; its criteria share them, by ``weight=2`` unequally. A test gives all its
points or none; with the fixture `earn`, a share of them. ``builds_on="forward"`` names functions of
earlier tasks: where they are wrong, the criterion is judged a second time, with right ones in their
place, so that one mistake is paid for once.

The same seeds give the same questions; an instructor's seed gives others.
"""

from __future__ import annotations

import ctypes
import hashlib
import inspect
import json
import sys
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minidlrm.files import replacing
from minidlrm.grading import assignment as assignments
from minidlrm.grading.judge import Wrong
from minidlrm.grading.reading import NotWritten, StudentError, plain, return_of
from minidlrm.grading.sandbox import Submission
from minidlrm.grading.words import with_messages
from minidlrm.languages import Message, as_message, joined, say, words_of

_STATE = pytest.StashKey[dict[str, Any]]()
_POINTS = pytest.StashKey[float]()
_MEMORY = 6 << 30  # bytes for the grader of one submission: it answers the calls of the submission


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the command-line options of a grading run."""
    group = parser.getgroup("minidlrm", "grading of assignments")
    group.addoption("--submission", type=Path, help="the .py or .ipynb to grade")
    group.addoption(
        "--student", default="", help="the student's id; by default the STUDENT of the file"
    )
    group.addoption("--grading-seed", type=int, default=0, help="seed of the questions")
    group.addoption("--seconds", type=float, help="time limit of each call")
    group.addoption("--tasks", default="", help="this task alone, such as A2.3")
    group.addoption("--results", type=Path, help="write them here, as JSON")
    group.addoption("--homes", type=Path, help="where a submission's empty home is made")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and limit the memory of a grading run."""
    config.addinivalue_line(
        "markers", "task(name, title, weight, builds_on): a criterion of a task"
    )
    config.stash[_STATE] = {
        "results": [],
        "earned": {},
        "notes": [],
        "student": "",
        "protections": [],
        "never": "",
        "lost": {},  # the functions that lost points, and the task of each
    }
    if config.getoption("--submission") is not None and sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE: no submission looks in


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give every criterion its points, and keep those of one task."""
    graded = [item for item in items if item.get_closest_marker("task")]
    if graded:
        marks = [item.get_closest_marker("task") for item in graded]
        points = assignments.shares(assignments.find(graded[0].path.parent), marks)
        for item, share in zip(graded, points, strict=True):
            item.stash[_POINTS] = share
    only = config.getoption("--tasks")
    if only:
        items[:] = [item for item in items if _task(item) == only]


def _task(item: pytest.Item) -> str:
    mark = item.get_closest_marker("task")
    return mark.args[0] if mark else ""


def _submission(config: pytest.Config, folder: Path, replaced: dict[str, Any]) -> Submission:
    """Return the submission, with the limits of the assignment in this folder."""
    return Submission(
        config.getoption("--submission"),
        config.getoption("--seconds"),
        assignments.find(folder).limits,
        config.getoption("--homes"),
        [str(folder)],
        replaced,
    )


@pytest.fixture(scope="session")
def student(request):
    """Call the functions of the submission: ``student.call("name", *arguments)``."""
    for plugin in request.config.pluginmanager.get_plugins():
        if type(plugin).__name__ == "Kernel":  # a running notebook
            yield plugin
            return
    if request.config.getoption("--submission") is None:
        pytest.skip("no --submission")
    with _submission(request.config, request.session.items[0].path.parent, {}) as submission:
        yield submission
        state = request.config.stash[_STATE]
        state["notes"], state["never"] = submission.notes, submission.never
        state["protections"] = submission.protections


@pytest.fixture(scope="session")
def student_id(request, student):
    """The student's id: what the grader was told, or else the STUDENT of the file."""
    name = request.config.getoption("--student")
    if not name:
        name = plain(student.get("STUDENT"), 100)
    request.config.stash[_STATE]["student"] = name
    return name


def _random(item: pytest.Item, what: str) -> np.random.Generator:
    """Return random numbers; what they are does not tell the seed, nor other ones."""
    name = item.nodeid.rpartition("/")[2]
    text = f"{what}:{item.config.getoption('--grading-seed')}:{name}"
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest(), "big"))


@pytest.fixture
def rng(request):
    """Random numbers for the questions of one test."""
    return _random(request.node, "questions")


@pytest.fixture
def order(request):
    """Random numbers for the order of questions: those of `rng` do not tell them."""
    return _random(request.node, "order")


@pytest.fixture
def earn(request):
    """Give a share of the points: ``earn(0.75)``."""
    earned = request.config.stash[_STATE]["earned"]
    return lambda share: earned.__setitem__(request.node.nodeid, float(share))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Any:
    """Judge once more what builds on wrong functions: with right ones in their place."""
    state, student = pyfuncitem.config.stash[_STATE], pyfuncitem.funcargs.get("student")
    if isinstance(student, Submission):
        student.called, student.credits = [], []
    try:
        return (yield)
    except (Wrong, StudentError):
        mark = pyfuncitem.get_closest_marker("task")
        names = str(mark.kwargs.get("builds_on", "")).split() if mark else []
        wrong = [name for name in names if name in state["lost"]]
        if not wrong or not isinstance(student, Submission):
            raise
    folder = pyfuncitem.path.parent
    right = vars(assignments.solutions(folder))
    with _submission(pyfuncitem.config, folder, {name: right[name] for name in wrong}) as other:
        asked = inspect.signature(pyfuncitem.obj).parameters
        given = {name: pyfuncitem.funcargs[name] for name in asked}
        again = {"student": other, "rng": _random(pyfuncitem, "questions")}
        again["order"] = _random(pyfuncitem, "order")
        pyfuncitem.obj(**{name: again.get(name, value) for name, value in given.items()})
    tasks = dict.fromkeys(state["lost"][name] for name in wrong)
    several = reduce(lambda a, b: Message("{first} and {second}", first=a, second=b), tasks)
    student.credits.append(Message("the mistake of {tasks} costs nothing more", tasks=several))
    return True


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Record the points of a test, and why some were lost."""
    outcome = yield
    report = outcome.get_result()
    mark = item.get_closest_marker("task")
    failed_before = call.when == "setup" and call.excinfo is not None
    if mark is None or not (call.when == "call" or failed_before) or report.skipped:
        return
    state, points = item.config.stash[_STATE], item.stash[_POINTS]
    student = item.funcargs.get("student") if hasattr(item, "funcargs") else None
    share = state["earned"].get(item.nodeid, 1.0 if report.passed else 0.0)
    whole = report.passed and share == 1
    result = {
        "task": mark.args[0],
        "title": mark.kwargs.get("title", item.name),
        "points": round(points * share, 4),
        "max_points": round(points, 4),
        "feedback": "" if whole else _feedback(call.excinfo, student),
        "mistake": "" if whole else _mistake(call.excinfo),
        "note": joined(dict.fromkeys(getattr(student, "credits", [])), "; ") if whole else "",
    }
    if not whole:
        _remember(state, student, mark.args[0], call.excinfo)
        _say_once(result, state["results"])
    state["results"].append(result)


def _remember(state: dict[str, Any], student: Any, task: str, excinfo: Any) -> None:
    """Keep which functions lost points, and in which of them a foreseen slip was found."""
    called = getattr(student, "called", [])
    for name in called[:1]:
        state["lost"].setdefault(name, task)
        if getattr(getattr(excinfo, "value", None), "foreseen", False):
            student.slips.setdefault(name, str(excinfo.value.mistake))


def _say_once(result: dict[str, Any], before: list[dict[str, Any]]) -> None:
    """Say one cause once: where the same words were said, name the place."""
    for other in before:
        if other["feedback"] == result["feedback"] != "" and result["mistake"] != "not written":
            quote = '"' if "'" in other["title"] else "'"
            title = joined([quote, as_message(other["title"]), quote])
            words = Message(
                "The same cause as in {task}, {title}.", task=other["task"], title=title
            )
            result["feedback"] = words
            return


def _mistake(excinfo: Any) -> str:
    error = getattr(excinfo, "value", None)
    if isinstance(error, NotWritten):
        return Message("not written")
    if isinstance(error, StudentError):
        name = str(error).partition(":")[0]
        stopped = Message("stopped: {name}", name=name)
        return stopped if name.isidentifier() else Message("gave no value")
    return getattr(error, "mistake", Message("stopped with an error"))


def _feedback(excinfo: Any, student: Any) -> str:
    if excinfo is None:
        return ""
    error = excinfo.value
    if isinstance(error, NotWritten):
        return Message("Not written yet. {task}", task=words_of(error))
    if isinstance(error, StudentError):
        return _before_assert(error)
    if isinstance(error, AssertionError):
        words, line = _before_assert(error), _own_line(student)
        return joined([words, line], "\n") if line else words
    stopped = f"{type(error).__name__}: {error}"
    return Message("The check itself stopped ({error}): tell your teacher.", error=stopped)


def _before_assert(error: BaseException) -> str:
    """Return the words of an error, without those that pytest adds."""
    words = words_of(error)
    return words if isinstance(words, Message) else words.split("\nassert ")[0]


def _own_line(student: Any) -> str:
    """Return what the function that was asked returns, as its author wrote it."""
    if not isinstance(student, Submission) or not student.called:
        return ""
    line = return_of(student.path, student.called[0])
    return Message("Your {line}", line=line) if line else ""


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the results: all of them, or nothing."""
    path = session.config.getoption("--results")
    if path is not None:
        state = session.config.stash[_STATE]
        keys = ("student", "results", "notes", "protections", "never")
        content = with_messages({key: state[key] for key in keys})
        with replacing(path) as part:
            part.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print points and feedback, in the order of the tasks."""
    results = config.stash[_STATE]["results"]
    if not results:
        return
    terminalreporter.section(say("points"))
    for r in results:
        points, most = f"{r['points']:5.2f}", f"{r['max_points']:g}"
        share = say("{points} of {most}", points=points, most=most)
        terminalreporter.write_line(f"{share}  {r['task']}  {say(r['title'])}")
        for line in say(r["feedback"]).splitlines():
            terminalreporter.write_line(f"        {line}")
    total, most = (sum(r[key] for r in results) for key in ("points", "max_points"))
    share = say("{points} of {most}", points=f"{total:5.2f}", most=f"{most:g}")
    terminalreporter.write_line(f"{share}  {say('in total')}")
