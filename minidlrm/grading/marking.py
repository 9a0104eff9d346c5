"""The whole grade: points by machine and by hand, late days, and what a teacher has decided.

Three tables are a teacher's: ``hand.csv`` (points of the derivations), ``overrides.csv`` (points
that replace others, with a reason) and the times of the entries. They are read again in each run,
and what is in them is kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from minidlrm.grading import tables
from minidlrm.grading.assignment import Assignment
from minidlrm.grading.runner import Grade
from minidlrm.languages import Message, joined

HAND = ("student", "task", "points", "max_points", "comment")
OVERRIDES = ("student", "task", "points", "reason")
_ALL = "total"


@dataclass(frozen=True)
class Late:
    """How late days cost: points a day, after some days that are free."""

    deadline: datetime | None = None
    per_day: float = 0.0
    free_days: int = 0

    def days(self, handed_in: datetime | None) -> int:
        """Return the days after the deadline; a day that has begun counts."""
        if self.deadline is None or handed_in is None:
            return 0
        if self.deadline.tzinfo is None and handed_in.tzinfo is not None:
            handed_in = handed_in.astimezone().replace(tzinfo=None)
        if self.deadline.tzinfo is not None and handed_in.tzinfo is None:
            handed_in = handed_in.astimezone()
        return max(0, math.ceil((handed_in - self.deadline).total_seconds() / 86400))


@dataclass(frozen=True)
class Total:
    """All points of one student.

    Parameters
    ----------
    grade : Grade
        What the machine counted.
    tasks : dict
        The points of each task; None where a human has not read it yet.
    comments : dict
        What the human wrote, by task.
    overrides : list of (task, points, reason)
        What a teacher has decided; the task may be "total".
    late_days, late_points : int, float
        Days after the deadline, and what they cost.
    remarks : list of str
        What the teacher should look at.
    """

    grade: Grade
    tasks: dict[str, float | None]
    comments: dict[str, str] = field(default_factory=dict)
    overrides: list[tuple[str, float, str]] = field(default_factory=list)
    late_days: int = 0
    late_points: float = 0.0
    remarks: list[str] = field(default_factory=list)

    @property
    def student(self) -> str:
        """The student's id."""
        return self.grade.student

    @property
    def not_marked(self) -> list[str]:
        """The tasks that a human has not read yet; none when the total was decided."""
        if any(task == _ALL for task, _, _ in self.overrides):
            return []
        return [task for task, points in self.tasks.items() if points is None]

    @property
    def points(self) -> float:
        """The sum of all points that are known, less those of late days; or what was decided."""
        for task, points, _ in self.overrides:
            if task == _ALL:
                return points
        known = sum(points for points in self.tasks.values() if points is not None)
        return round(max(0.0, known - self.late_points), 4)

    def feedback(self) -> str:
        """Return all that a student should know, as text."""
        results = self.grade.results
        lost = [joined([r["task"], r["feedback"]], ": ") for r in results if r["feedback"]]
        said = [f"{task}: {words}" for task, words in self.comments.items() if words]
        decided = [
            Message(
                "{task}: {points} points: {reason}", task=task, points=f"{points:g}", reason=why
            )
            for task, points, why in self.overrides
        ]
        cost = f"{self.late_points:g}"
        late = [Message("{days} days late: -{points}", days=self.late_days, points=cost)]
        problem = [self.grade.problem] * bool(self.grade.problem)
        return joined([*problem, *lost, *said, *decided, *late * bool(self.late_points)], "\n\n")


def _place(path: Path, line: int) -> str:
    return Message("{path}, line {line}", path=path, line=line)


def _number(text: str, where: str, most: float) -> float:
    try:
        value = float(text.replace(",", "."))  # some locales write 3,5
    except ValueError:
        value = math.nan
    if not 0 <= value <= most:
        raise ValueError(
            Message(
                "{where}: points are {text!r}; they must be a number from 0 to {most:g}",
                where=where,
                text=text,
                most=most,
            )
        )
    return value


def hand_points(
    assignment: Assignment, path: Path
) -> dict[tuple[str, str], tuple[float | None, str]]:
    """Read hand.csv: {(student, task): (points or None, comment)}.

    Raises
    ------
    ValueError
        When a line names no task of a human, or its points are not among those of the task.
    """
    most = {task.name: task.points for task in assignment.by_hand}
    found: dict[tuple[str, str], tuple[float | None, str]] = {}
    if not path.exists():
        return found
    for number, row in enumerate(tables.read(path, HAND[:3]), 2):
        where, task = _place(path, number), row["task"]
        if task not in most:
            raise ValueError(
                Message(
                    "{where}: no human reads {task!r}; it must be {tasks}",
                    where=where,
                    task=task,
                    tasks=", ".join(most),
                )
            )
        key = tables.plain_name(row["student"]), task
        points = _number(row["points"], where, most[task]) if row["points"] else None
        if key in found:
            raise ValueError(
                Message(
                    "{where}: {student!r} has a second line for {task}",
                    where=where,
                    student=key[0],
                    task=task,
                )
            )
        found[key] = points, tables.plain_name(row.get("comment", ""))
    return found


def write_hand(
    assignment: Assignment,
    path: Path,
    students: Sequence[str],
    known: dict[tuple[str, str], tuple[float | None, str]],
) -> None:
    """Write hand.csv with a line for each student and task; what is known stays in it."""
    most = {task.name: task.points for task in assignment.by_hand}
    keys = dict.fromkeys([*((s, task) for s in students for task in most), *known])
    rows: list[Sequence[Any]] = [HAND]
    for student, task in keys:
        points, comment = known.get((student, task), (None, ""))
        rows.append([student, task, "" if points is None else points, most[task], comment])
    tables.write(path, rows)


def overrides(assignment: Assignment, path: Path) -> dict[str, list[tuple[str, float, str]]]:
    """Read overrides.csv: {student: [(task, points, reason)]}; made, empty, where it is missing.

    Raises
    ------
    ValueError
        When a line has no reason, no such task, or points that the task does not have.
    """
    most = {task.name: task.points for task in assignment.tasks} | {_ALL: assignment.most}
    found: dict[str, list[tuple[str, float, str]]] = {}
    if not path.exists():
        tables.write(path, [OVERRIDES])
    for number, row in enumerate(tables.read(path, OVERRIDES), 2):
        where, task = _place(path, number), row["task"]
        if task not in most:
            raise ValueError(
                Message(
                    "{where}: the task is {task!r}; it must be {tasks}",
                    where=where,
                    task=task,
                    tasks=", ".join(most),
                )
            )
        if not row["reason"]:
            raise ValueError(
                Message("{where}: the reason is missing: the student will ask for it", where=where)
            )
        decided = task, _number(row["points"], where, most[task]), row["reason"]
        found.setdefault(tables.plain_name(row["student"]), []).append(decided)
    return found


def times(path: Path) -> dict[str, datetime]:
    """Read when students handed in: a CSV with the columns student and time (ISO 8601)."""
    found = {}
    for number, row in enumerate(tables.read(path, ("student", "time")), 2):
        try:
            when = datetime.fromisoformat(row["time"])
        except ValueError:
            raise ValueError(
                Message(
                    "{path}, line {number}: the time is {time!r}; write 2026-11-30 23:59",
                    path=path,
                    number=number,
                    time=row["time"],
                )
            ) from None
        found[tables.plain_name(row["student"])] = when
    return found


def total(
    assignment: Assignment,
    grade: Grade,
    hand: dict[tuple[str, str], tuple[float | None, str]],
    decided: list[tuple[str, float, str]],
    handed_in: datetime | None,
    late: Late,
    remarks: Sequence[str] = (),
) -> Total:
    """Put together all points of one student."""
    tasks: dict[str, float | None] = {}
    comments: dict[str, str] = {}
    by_machine = grade.by_task()
    for task in assignment.tasks:
        if task.by_human:
            tasks[task.name], comments[task.name] = hand.get((grade.student, task.name), (None, ""))
        else:
            tasks[task.name] = by_machine.get(task.name, (0.0, 0.0))[0]
    for name, points, _ in decided:
        if name != _ALL:
            tasks[name] = points
    days = late.days(handed_in)
    cost = max(0, days - late.free_days) * late.per_day
    return Total(grade, tasks, comments, decided, days, cost, list(remarks))
