"""Every wrong answer, judged in this process: quick, so that all of them are in each run.

`test_grading.py` grades them as a student's file is graded, in a process of its own; that takes
seconds each, and in most runs it takes a tenth of them.
"""

import copy
import importlib
import inspect
import os
import sys

import numpy as np
import pytest

pytest.importorskip("jupytext")

sys.path.insert(0, os.path.dirname(__file__))
from wrong_submissions import ALL
from wrong_submissions.source import solution, with_body

from minidlrm.grading.judge import Wrong
from minidlrm.grading.sandbox import StudentError

SLOW = {"A5.4"}  # it trains a model
TASKS = [
    pytest.param(assignment, task, function, id=task)
    for assignment, parts in ALL.items()
    for task, function in parts
    if task not in SLOW
]


class InProcess:
    """A submission without its sandbox."""

    seconds = 10.0

    def __init__(self, text):
        self.names = {"__name__": "submission"}
        exec(compile(text, "submission.py", "exec"), self.names)
        for name, value in self.names.items():  # Numba's functions as plain ones
            self.names[name] = getattr(value, "py_func", value)

    def call(self, name, *inputs):
        try:
            answer = self.names[name](*copy.deepcopy(inputs))
        except Exception as error:
            raise StudentError(f"{type(error).__name__}: {error}") from error
        return list(answer) if isinstance(answer, tuple) else answer


def judged(assignment, task, student, seed):
    """Return the points of the task, and the feedback."""
    checks = importlib.import_module(f"minidlrm.grading.checks.{assignment.lower()}")
    points, feedback = 0, ""
    for number, test in enumerate(vars(checks).values()):
        mark = next((m for m in getattr(test, "pytestmark", []) if m.args[:1] == (task,)), None)
        if mark is None:
            continue
        given = {"student": student, "rng": np.random.default_rng((seed, number))}
        try:
            test(**arguments(checks, test, given))
            points += mark.kwargs["points"]
        except (Wrong, StudentError) as error:
            feedback += f"{error} "
    return points, feedback


def arguments(checks, function, given):
    """Return what pytest would give: the student, the rng, and what the fixtures make of it."""
    values = {}
    for name in inspect.signature(function).parameters:
        if name in given:
            values[name] = given[name]
        else:
            fixture = inspect.unwrap(getattr(checks, name))
            values[name] = fixture(**arguments(checks, fixture, given))
    return values


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("assignment", "task", "function"), TASKS)
def test_every_wrong_answer_gets_its_points_and_its_name(assignment, task, function, seed):
    text = solution(assignment)
    most, feedback = judged(assignment, task, InProcess(text), seed)
    assert feedback == ""
    for body, left, words in ALL[assignment][task, function]:
        if words == "loop":  # stopped by its time limit alone
            continue
        student = InProcess(with_body(text, function, body))
        points, feedback = judged(assignment, task, student, seed)
        assert points == left < most, (body, feedback)
        assert words in feedback, body
        assert "no simple cause" not in feedback, body
