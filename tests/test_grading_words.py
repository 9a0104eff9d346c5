"""Every wrong answer, judged in this process: quick, so that all of them are in each run.

`test_grading.py` grades them as a student's file is graded, in a process of its own; that takes
seconds each, and in most runs it takes a tenth of them.
"""

import copy
import inspect
import os

import numpy as np
import pytest

pytest.importorskip("jupytext")

from minidlrm.grading import assignment, proving
from minidlrm.grading.assignment import with_body
from minidlrm.grading.judge import Wrong
from minidlrm.grading.reading import StudentError

ALL = {name: proving.wrong_answers(name) for name in assignment.names()}
TOLD_ELSEWHERE = (proving.TESTS[0], proving.NUMBERS[0])  # parts without a formula
LEFT_OUT = {"A5.4"}  # it trains a model
SLOW = {"A4.3", "A5.3", "A6.3", "A6.4"}  # seconds each
SEEDS = [0, 1] if "MINIDLRM_LONG" in os.environ else [0]
TASKS = [
    pytest.param(name, task, function, id=task, marks=[pytest.mark.slow] * (task in SLOW))
    for name, parts in ALL.items()
    for (task, function), wrongs in parts.items()
    if task not in LEFT_OUT and not any(answer in wrongs for answer in TOLD_ELSEWHERE)
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


def judged(name, task, student, seed):
    """Return the points of the task, and the feedback."""
    found = assignment.find(name)
    checks = assignment.module(found.checks)
    points = {row["title"]: row["max_points"] for row in assignment.criteria(found)}
    earned, feedback = 0.0, ""
    for number, test in enumerate(vars(checks).values()):
        mark = next((m for m in getattr(test, "pytestmark", []) if m.args[:1] == (task,)), None)
        if mark is None:
            continue
        given = {"student": student, "rng": np.random.default_rng((seed, number))}
        try:
            test(**arguments(checks, test, given))
            earned += points[mark.kwargs["title"]]
        except (Wrong, StudentError) as error:
            feedback += f"{error} "
    return earned, feedback


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
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("name", "task", "function"), TASKS)
def test_every_wrong_answer_gets_its_points_and_its_name(name, task, function, seed):
    text = assignment.find(name).text()
    most, feedback = judged(name, task, InProcess(text), seed)
    assert feedback == ""
    for body, left, words in ALL[name][task, function]:
        if words == "loop":  # stopped by its time limit alone
            continue
        student = InProcess(with_body(text, function, body))
        points, feedback = judged(name, task, student, seed)
        assert points == left < most, (body, feedback)
        assert words in feedback, body
        assert "no simple cause" not in feedback, body
