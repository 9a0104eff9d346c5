"""The pytest plugin: tasks and their points, and a submission to call.

    pytest -p minidlrm.grading.plugin minidlrm/grading/checks/a2.py --submission mine.py

A test is one criterion of a task: ``@pytest.mark.task("A2.2", points=2, title="empty bags")``. It
gives all its points or none; with the fixture `earn`, a share of them. The same seeds give the
same questions; an instructor's seed gives others.
"""

from __future__ import annotations

import ctypes
import json
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minidlrm.grading.sandbox import NotWritten, StudentError, Submission, plain

_STATE = pytest.StashKey[dict[str, Any]]()
_MEMORY = 6 << 30  # bytes for the grader of one submission: it answers the calls of the submission


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the command-line options of a grading run."""
    group = parser.getgroup("minidlrm", "grading of assignments")
    group.addoption("--submission", type=Path, help="the .py or .ipynb to grade")
    group.addoption(
        "--student", default="", help="the student's id; by default the STUDENT of the file"
    )
    group.addoption("--grading-seed", type=int, default=0, help="seed of the questions")
    group.addoption("--seconds", type=float, default=20.0, help="time limit of each call")
    group.addoption("--tasks", default="", help="this task alone, such as A2.3")
    group.addoption("--results", type=Path, help="write them here, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and limit the memory of a grading run."""
    config.addinivalue_line("markers", "task(name, points, title): a criterion of a task")
    config.stash[_STATE] = {
        "results": [],
        "earned": {},
        "notes": [],
        "student": "",
        "protections": [],
    }
    if config.getoption("--submission") is not None and sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE: no submission looks in


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of one task."""
    only = config.getoption("--tasks")
    if only:
        items[:] = [item for item in items if _task(item) == only]


def _task(item: pytest.Item) -> str:
    mark = item.get_closest_marker("task")
    return mark.args[0] if mark else ""


@pytest.fixture(scope="session")
def student(request):
    """Call the functions of the submission: ``student.call("name", *arguments)``."""
    for plugin in request.config.pluginmanager.get_plugins():
        if type(plugin).__name__ == "Kernel":  # a running notebook
            yield plugin
            return
    path = request.config.getoption("--submission")
    if path is None:
        pytest.skip("no --submission")
    with Submission(path, request.config.getoption("--seconds")) as submission:
        yield submission
        request.config.stash[_STATE]["notes"] = submission.notes
        request.config.stash[_STATE]["protections"] = submission.protections


@pytest.fixture(scope="session")
def student_id(request, student):
    """The student's id: what the grader was told, or else the STUDENT of the file."""
    name = request.config.getoption("--student")
    if not name:
        name = plain(student.get("STUDENT"), 100)
    request.config.stash[_STATE]["student"] = name
    return name


@pytest.fixture
def rng(request):
    """Random numbers for the questions of one test."""
    name = zlib.crc32(request.node.nodeid.rpartition("/")[2].encode())
    return np.random.default_rng((request.config.getoption("--grading-seed"), name))


@pytest.fixture
def earn(request):
    """Give a share of the points: ``earn(0.75)``."""
    earned = request.config.stash[_STATE]["earned"]
    return lambda share: earned.__setitem__(request.node.nodeid, float(share))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Record the points of a test, and why some were lost."""
    outcome = yield
    report = outcome.get_result()
    mark = item.get_closest_marker("task")
    failed_before = call.when == "setup" and call.excinfo is not None
    if mark is None or not (call.when == "call" or failed_before) or report.skipped:
        return
    state, points = item.config.stash[_STATE], float(mark.kwargs["points"])
    share = state["earned"].get(item.nodeid, 1.0 if report.passed else 0.0)
    result = {
        "task": mark.args[0],
        "title": mark.kwargs.get("title", item.name),
        "points": round(points * share, 4),
        "max_points": points,
        "feedback": "" if report.passed and share == 1 else _feedback(call.excinfo),
        "mistake": "" if report.passed and share == 1 else _mistake(call.excinfo),
    }
    state["results"].append(result)


def _mistake(excinfo: Any) -> str:
    error = getattr(excinfo, "value", None)
    if isinstance(error, NotWritten):
        return "not written"
    if isinstance(error, StudentError):
        name = str(error).partition(":")[0]
        return f"stopped: {name}" if name.isidentifier() else "gave no value"
    return getattr(error, "mistake", "stopped with an error")


def _feedback(excinfo: Any) -> str:
    if excinfo is None:
        return ""
    error = excinfo.value
    if isinstance(error, NotWritten):
        return f"Not written yet. {error}"
    if isinstance(error, (StudentError, AssertionError)):
        return str(error).split("\nassert ")[0]
    return f"The check itself stopped ({type(error).__name__}: {error}): tell your teacher."


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the results: all of them, or nothing."""
    path = session.config.getoption("--results")
    if path is not None:
        state = session.config.stash[_STATE]
        content = {key: state[key] for key in ("student", "results", "notes", "protections")}
        part = path.with_name(path.name + ".part")
        part.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
        part.replace(path)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print points and feedback, in the order of the tasks."""
    results = config.stash[_STATE]["results"]
    if not results:
        return
    terminalreporter.section("points")
    for r in results:
        terminalreporter.write_line(
            f"{r['points']:5.2f} of {r['max_points']:g}  {r['task']}  {r['title']}"
        )
        for line in r["feedback"].splitlines():
            terminalreporter.write_line(f"        {line}")
    total, most = (sum(r[key] for r in results) for key in ("points", "max_points"))
    terminalreporter.write_line(f"{total:5.2f} of {most:g}  in total")
