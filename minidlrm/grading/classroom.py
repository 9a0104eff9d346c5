"""A whole run: grade a class, put all points together, and write what people read."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from minidlrm.grading import derivations, entries, likeness, marking, reports, runner, tables
from minidlrm.grading.assignment import Assignment
from minidlrm.grading.marking import Late, Total
from minidlrm.grading.release import released_text, write
from minidlrm.grading.runner import Grade
from minidlrm.languages import joined, words_of

CHANGES = ("student", "task", "old", "new")


@dataclass(frozen=True)
class Settings:
    """What a teacher sets for a run; see `minidlrm grade run --help`."""

    seed: int
    seconds: float | None = None
    jobs: int | None = None
    again: tuple[str, ...] = ()
    late: Late = field(default_factory=Late)
    times: Path | None = None
    lang: str | None = None


@dataclass(frozen=True)
class Run:
    """What came of a run.

    Parameters
    ----------
    totals : list of Total
        All points, in the order of the students' names.
    changes : list of (student, task, old, new)
        Points that are other ones than in the last run, though the same file was handed in.
    """

    totals: list[Total]
    changes: list[tuple[str, str, float, float]]


def grade_all(
    assignment: Assignment,
    folder: Path,
    out: Path,
    settings: Settings,
    progress: Callable[[Iterable, int], Iterable] | None = None,
) -> Run:
    """Grade a class, and write its pages and the teacher's tables into a folder."""
    hand = marking.hand_points(assignment, out / "hand.csv")  # a bad line stops before the work
    out.mkdir(parents=True, exist_ok=True)
    decided = marking.overrides(assignment, out / "overrides.csv")
    found = entries.submissions(folder)
    handed_in = {s: datetime.fromtimestamp(entries.time_of(path)) for s, path in found.items()}
    if settings.times is not None:
        handed_in |= marking.times(settings.times)
    before = {s: runner.kept_grade(out / "results", s) for s in found}
    grades = runner.grade_class(
        assignment,
        folder,
        out / "results",
        settings.seed,
        settings.seconds,
        settings.jobs,
        progress,
        settings.again,
    )
    written, remarks = _look_into(assignment, found)
    totals = [
        marking.total(
            assignment,
            grade,
            hand,
            decided.get(grade.student, []),
            handed_in.get(grade.student),
            settings.late,
            remarks.get(grade.student, []),
        )
        for grade in grades
    ]
    if assignment.by_hand:
        marking.write_hand(assignment, out / "hand.csv", list(found), hand)
        page = derivations.derivations_page(assignment, written, hand, settings.lang)
        write(out / "derivations.html", page)
    changes = [change for grade in grades for change in _changes(before[grade.student], grade)]
    if changes:
        tables.write(out / "changes.csv", [CHANGES, *changes])
    reports.write_all(assignment, totals, out, settings.lang)
    return Run(totals, changes)


def _changes(old: Grade | None, new: Grade) -> list[tuple[str, str, float, float]]:
    if old is None or old.file != new.file or not new.file:
        return []
    before, after = old.by_task(), new.by_task()
    return [
        (new.student, task, before.get(task, (0.0, 0.0))[0], after.get(task, (0.0, 0.0))[0])
        for task in dict.fromkeys([*before, *after])
        if before.get(task, (0.0, 0.0))[0] != after.get(task, (0.0, 0.0))[0]
    ]


def _look_into(
    assignment: Assignment, found: dict[str, Path]
) -> tuple[dict[str, dict[str, str]], dict[str, list[str]]]:
    """Return what students wrote for a human, and remarks on files that are alike."""
    released = released_text(assignment)
    written: dict[str, dict[str, str]] = {}
    tokens: dict[str, Sequence[str]] = {}
    for student, path in found.items():
        with tempfile.TemporaryDirectory(prefix="reading-") as folder:
            try:
                file = entries.the_file(assignment, path, Path(folder))
            except Exception as error:  # said by `grade`, too
                written[student] = {task.name: words_of(error) for task in assignment.by_hand}
                continue
            written[student] = derivations.read(assignment, file, released)
            tokens[student] = likeness.tokens_of(file, released)
    return written, _remarks(likeness.alike(tokens))


def _remarks(pairs: list[tuple[str, str, str]]) -> dict[str, list[str]]:
    """Return one remark for each way in which a student's file is like others."""
    found: dict[str, dict[str, list[str]]] = {}
    for one, other, words in pairs:
        found.setdefault(one, {}).setdefault(words, []).append(other)
        found.setdefault(other, {}).setdefault(words, []).append(one)
    return {
        student: [joined([words, ", ".join(sorted(others))], " ") for words, others in ways.items()]
        for student, ways in found.items()
    }
