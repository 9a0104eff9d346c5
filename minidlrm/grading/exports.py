"""The grades of a class as tables: grades.csv, and those that Canvas and Moodle import."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minidlrm.grading import tables
from minidlrm.grading.assignment import Assignment
from minidlrm.grading.marking import Total
from minidlrm.languages import say


def grades(assignment: Assignment, totals: list[Total], path: Path) -> None:
    """Write a line for each student: the total, the points of each task, and what to look at."""
    tasks = [task.name for task in assignment.tasks]
    head = ["student", "points", "max_points", "machine", "late_days", "late_costs", *tasks]
    rows: list[list[Any]] = [[*head, "not_marked", "problem", "notes", "remarks"]]
    for each in totals:
        row = [each.student, each.points, assignment.most, each.grade.points]
        row += [each.late_days, each.late_points]
        row += [each.tasks.get(task) for task in tasks]
        remarks = [*each.grade.remarks, *each.remarks]
        rows.append(
            [
                *row,
                " ".join(each.not_marked),
                each.grade.problem,
                "; ".join(each.grade.notes),
                "; ".join(remarks),
            ]
        )
    tables.write(path, rows)


_CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
_CANVAS_KEYS = ("SIS Login ID", "SIS User ID", "ID", "Student")
_MOODLE_KEYS = ("Username", "Email address", "ID number", "Identifier", "Full name")


def _by_name(totals: list[Total]) -> dict[str, Total]:
    return {each.student.casefold(): each for each in totals}


def _of(row: dict[str, str], keys: Sequence[str], found: dict[str, Total]) -> Total | None:
    for key in keys:
        total = found.get(tables.plain_name(row.get(key, "")).casefold())
        if total is not None:
            return total
    return None


def canvas(
    assignment: Assignment, totals: list[Total], path: Path, roster: Path | None = None
) -> list[str]:
    """Write a table that Canvas imports; return the students that the roster does not have.

    A student whose derivation is not read yet has an empty cell, which Canvas leaves as it is.

    Parameters
    ----------
    assignment, totals, path
        What to write, and where.
    roster : Path, optional
        Canvas's own export of its gradebook: its columns that say who a student is are kept.
        Without it, the entries' names are the SIS login ids.
    """
    title = f"{assignment.name} {assignment.title}"
    columns = [*_CANVAS]
    if roster is None:
        rows = [{"Student": t.student, "SIS Login ID": t.student} for t in totals]
    else:
        rows = tables.read(roster, ["Student", "ID"])
        columns = [name for name in _CANVAS if rows and name in rows[0]] or columns
        rows = [row for row in rows if "Points Possible" not in row["Student"]]
    found, used = _by_name(totals), set()
    lines: list[list[Any]] = [[*columns, title]]
    lines.append(["    Points Possible", *[""] * (len(columns) - 1), assignment.most])
    for row in rows:
        total = _of(row, _CANVAS_KEYS, found)
        if total:
            used.add(total.student)
        points = total.points if total and not total.not_marked else ""
        lines.append([*(row.get(name, "") for name in columns), points])
    tables.write(path, lines)
    return [t.student for t in totals if t.student not in used]


def moodle(
    assignment: Assignment,
    totals: list[Total],
    path: Path,
    roster: Path | None = None,
    lang: str = "en",
) -> list[str]:
    """Write a table that Moodle imports; return the students that the roster does not have.

    Parameters
    ----------
    assignment, totals, path
        What to write, and where.
    roster : Path, optional
        Moodle's own grading worksheet: it comes back with grades and feedback. Without it, the
        entries' names are user names.
    lang : str
        The language of the feedback.
    """
    if roster is None:
        rows = [{"Username": t.student} for t in totals]
        columns = ["Username"]
    else:
        rows = tables.read(roster, ["Grade"])
        columns = list(rows[0]) if rows else ["Username"]
    extra = ("Grade", "Maximum grade", "Feedback comments")
    columns += [name for name in extra if name not in columns]
    found, used = _by_name(totals), set()
    lines: list[list[Any]] = [columns]
    for row in rows:
        total = _of(row, _MOODLE_KEYS, found)
        cells: dict[str, Any] = dict(row)
        if total:
            used.add(total.student)
            cells["Feedback comments"] = say(total.feedback(), lang)
            cells["Maximum grade"] = assignment.most
            cells["Grade"] = "" if total.not_marked else total.points
        lines.append([cells.get(name, "") for name in columns])
    tables.write(path, lines)
    return [t.student for t in totals if t.student not in used]
