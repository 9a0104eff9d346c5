"""Grade one file, or a class: each submission by a pytest of its own, in parallel, resumable."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from minidlrm.files import replacing
from minidlrm.grading import entries
from minidlrm.grading.assignment import Assignment, criteria, find
from minidlrm.grading.judging import Judge, Judges
from minidlrm.grading.reading import student_of
from minidlrm.grading.words import cleaned, first_line, of_messages, with_messages
from minidlrm.languages import Message, joined, words_of

Which = str | Path | Assignment


@dataclass(frozen=True)
class Grade:
    """What one submission earned by machine.

    Parameters
    ----------
    student : str
        The student's id.
    results : list of dict
        For each criterion: task, title, points, max_points, feedback, mistake, note.
    problem : str
        Why the file earned nothing; "" when it earned something.
    notes : list of str
        Cells that failed when the file was run.
    key : str
        A hash of file, seed, assignment and grader: the same key is not graded again.
    protections : list of str
        What the submission's process was kept from; [] when no process ran.
    file : str
        A hash of what was handed in.
    remarks : list of str
        What the teacher should look at; students do not see it.
    """

    student: str
    results: list[dict[str, Any]] = field(default_factory=list)
    problem: str = ""
    notes: list[str] = field(default_factory=list)
    key: str = ""
    protections: list[str] = field(default_factory=list)
    file: str = ""
    remarks: list[str] = field(default_factory=list)

    @property
    def points(self) -> float:
        """The sum of the points."""
        return round(sum(r["points"] for r in self.results), 4)

    @property
    def max_points(self) -> float:
        """What could be earned by machine."""
        return round(sum(r["max_points"] for r in self.results), 4)

    def by_task(self) -> dict[str, tuple[float, float]]:
        """Return (points, max_points) of each task, in order."""
        tasks: dict[str, tuple[float, float]] = {}
        for r in self.results:
            points, most = tasks.get(r["task"], (0.0, 0.0))
            sums = points + r["points"], most + r["max_points"]
            tasks[r["task"]] = round(sums[0], 4), round(sums[1], 4)
        return tasks


_judge = Judge()  # of this process; loaded when it is first needed
atexit.register(_judge.close)


def grade(
    which: Which,
    path: Path,
    student: str = "",
    seed: int = 0,
    seconds: float | None = None,
    judge: Judge | None = None,
    under: str | Path | None = None,
) -> Grade:
    """Grade one file.

    Parameters
    ----------
    which : str, Path or Assignment
        "A1", "A2", ..., or the folder of an assignment.
    path : Path
        A .py or .ipynb, or a folder or .zip that holds one.
    student : str
        The student's id; by default the STUDENT of the file.
    seed : int
        Seed of the questions. Students check themselves with 0.
    seconds : float, optional
        Time limit of each call of a function; by default the one in the source.
    judge : Judge
        The process that does it; by default one that all calls share.
    under : path, optional
        The folder for what is made on the way.

    Returns
    -------
    Grade
        A submission that cannot be graded has no points and a `problem`; nothing is raised.
    """
    assignment, path = find(which), Path(path)
    key, file = _key(assignment, path, seed), ""
    with tempfile.TemporaryDirectory(prefix="grading-", dir=under) as name:
        folder = Path(name)
        folder.chmod(0o711)  # the submission's own user passes through it to its home
        try:
            copy = entries.the_file(assignment, path, folder)
            file = entries.digest(path)
        except Exception as error:  # zipfile raises many: a password, an unknown method, ...
            why = Message("it cannot be opened: {error}", error=words_of(error))
            return ungraded(assignment, student, why, key)
        arguments = _arguments(assignment, copy, student, seed, seconds)
        try:
            (judge or _judge).run(arguments, folder, assignment.limits.total)
            content = _read(folder / "results.json")
        except TimeoutError:
            seconds_in_all = f"{assignment.limits.total:g}"
            why = Message(
                "the checks took longer than {seconds} seconds in all", seconds=seconds_in_all
            )
            return ungraded(assignment, student, why, key, file)
        except (OSError, ValueError) as error:
            log = _log(folder) or words_of(error)
            why = Message("the grader stopped: {error}", error=log)
            return ungraded(assignment, student, why, key, file)
        written = student_of(copy)
    name = student or content["student"] or written
    return Grade(
        name,
        content["results"],
        _problem(content),
        content["notes"],
        key,
        content["protections"],
        file,
        _foreign(name, written),
    )


def _arguments(
    assignment: Assignment, file: Path, student: str, seed: int, seconds: float | None
) -> list[str]:
    """Return what pytest is told."""
    arguments = ["-q", "-c", os.devnull, "-p", "minidlrm.grading.plugin", "-p", "no:cacheprovider"]
    arguments += ["--noconftest", f"--rootdir={assignment.folder}", "--import-mode=importlib"]
    arguments += [str(assignment.checks), "--submission", str(file), f"--student={student}"]
    arguments += ["--results", str(file.parent / "results.json"), "--homes", str(file.parent)]
    arguments += ["--grading-seed", str(seed)]
    return arguments if seconds is None else [*arguments, "--seconds", str(seconds)]


def _read(path: Path) -> dict[str, Any]:
    return of_messages(json.loads(path.read_text(encoding="utf-8")))


def _log(folder: Path) -> str:
    with contextlib.suppress(OSError):
        return (folder / "log.txt").read_text(encoding="utf-8", errors="replace")[-500:].strip()
    return ""


def _problem(content: dict[str, Any]) -> str:
    """Say in a line why a file earned nothing."""
    results = content["results"]
    if not results:
        return Message("the checks asked nothing: see checks.py")
    if any(r["points"] for r in results):
        return ""
    never: str = content["never"]
    if never:
        return never
    if all(r["mistake"] == "not written" for r in results):
        return Message("nothing is written yet")
    first = next(r for r in results if r["mistake"] != "not written")
    return joined([first_line(first["feedback"]), *content["notes"][:1]], "; ")


def _foreign(student: str, written: str) -> list[str]:
    """Return a remark when the file names another student than the entry does."""
    same = student.casefold().strip() == written.casefold().strip()
    if same or written in ("", "your-id"):
        return []
    return [Message("its STUDENT is {name}", name=repr(written))]


def _key(assignment: Assignment, path: Path, seed: int) -> str:
    parts = [assignment.name, str(seed), entries.grader_digest(), entries.digest(path)]
    total = hashlib.sha256(":".join(parts).encode())
    for part in (assignment.checks, assignment.source):
        total.update(part.read_bytes())  # what graded it
    return total.hexdigest()[:16]


def ungraded(which: Which, student: str, why: str, key: str = "", file: str = "") -> Grade:
    """Return a grade with no points, and why."""
    why = cleaned(why)
    lost = {"points": 0.0, "feedback": why, "mistake": "not graded", "note": ""}
    rows = [{**row, **lost} for row in criteria(which)]
    return Grade(student, rows, why, key=key, file=file)


def grade_class(
    which: Which,
    folder: Path,
    out: Path,
    seed: int = 1,
    seconds: float | None = None,
    jobs: int | None = None,
    progress: Callable[[Iterable, int], Iterable] | None = None,
    again: Collection[str] = (),
) -> list[Grade]:
    """Grade every submission of a folder; results of earlier runs are kept.

    Parameters
    ----------
    which : str, Path or Assignment
        "A1", "A2", ..., or the folder of an assignment.
    folder : Path
        See `entries.submissions`.
    out : Path
        Grades are written there one by one, as JSON: a run that was stopped goes on there.
    seed, seconds
        As `grade`. Another seed than the students' asks the same with other numbers.
    jobs : int, optional
        Submissions at a time; as many as there are cores by default.
    progress : callable, optional
        Wraps the finished ones, as tqdm does: ``progress(iterable, total)``.
    again : collection of str
        Students whose results are not kept.

    Returns
    -------
    list of Grade
        In the order of the students' names.
    """
    assignment, found = find(which), entries.submissions(folder)
    unknown = sorted(set(again) - set(found))
    if unknown:
        raise ValueError(
            Message(
                "{student!r} has handed in nothing: there is no such entry in {folder}",
                student=unknown[0],
                folder=folder,
            )
        )
    out.mkdir(parents=True, exist_ok=True)
    done = {}
    for student, path in found.items():
        kept = kept_grade(out, student)
        if kept and kept.key == _key(assignment, path, seed) and student not in again:
            done[student] = kept
    todo = {student: path for student, path in found.items() if student not in done}
    most = max(1, min(jobs or os.cpu_count() or 1, len(todo)))
    with contextlib.ExitStack() as stack:
        under = stack.enter_context(tempfile.TemporaryDirectory(prefix="class-"))
        Path(under).chmod(0o711)
        judges = stack.enter_context(Judges(most, under))

        def graded(student: str) -> Grade:
            try:
                with judges.one() as judge:
                    return grade(assignment, todo[student], student, seed, seconds, judge, under)
            except Exception as error:  # one submission must not stop the others
                why = Message("the grader stopped: {error}", error=words_of(error))
                return ungraded(assignment, student, why)

        pool = ThreadPoolExecutor(most)
        stack.callback(pool.shutdown)
        running = {pool.submit(graded, student): student for student in todo}
        finished: Iterable = as_completed(running)
        try:
            for each in progress(finished, len(running)) if progress else finished:
                done[running[each]] = each.result()
                _keep(out, each.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            judges.close()
            raise
    return [done[student] for student in sorted(done)]


def file_name(student: str, suffix: str) -> str:
    """Return the name of a student's file: no longer than a file system takes, and not "index"."""
    if len(student.encode()) <= 200 and student.lower() not in ("index", "derivations"):
        return student + suffix
    start = student.encode()[:150].decode(errors="ignore")
    return f"{start}-{hashlib.sha256(student.encode()).hexdigest()[:8]}{suffix}"


def _keep(out: Path, result: Grade) -> None:
    with replacing(out / file_name(result.student, ".json")) as part:
        content = with_messages(asdict(result))
        part.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def kept_grade(out: Path, student: str) -> Grade | None:
    """Return the grade of an earlier run, or None."""
    try:
        return Grade(**_read(out / file_name(student, ".json")))
    except (OSError, ValueError, TypeError):
        return None
