"""Grade one file, or a class: each submission by a pytest of its own, in parallel, resumable."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from minidlrm.grading.release import source_of
from minidlrm.grading.sandbox import plain

_LONGEST = 900.0  # seconds for all checks of one submission
_LARGEST = 50 << 20  # bytes of a file that is handed in


@dataclass(frozen=True)
class Grade:
    """What one submission earned.

    Parameters
    ----------
    student : str
        The student's id.
    results : list of dict
        For each criterion: task, title, points, max_points, feedback, mistake.
    problem : str
        Why it could not be graded; "" when it was.
    notes : list of str
        Cells that failed when the file was run.
    key : str
        A hash of file, seed and assignment: the same key is not graded again.
    protections : list of str
        What the submission's process was kept from; [] when no process ran.
    """

    student: str
    results: list[dict[str, Any]] = field(default_factory=list)
    problem: str = ""
    notes: list[str] = field(default_factory=list)
    key: str = ""
    protections: list[str] = field(default_factory=list)

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
            tasks[r["task"]] = round(points + r["points"], 4), most + r["max_points"]
        return tasks


def checks_of(assignment: str) -> Path:
    """Return the tests of an assignment."""
    source_of(assignment)
    return Path(__file__).parent / "checks" / f"{assignment.lower()}.py"


def grade(
    assignment: str, path: Path, student: str = "", seed: int = 0, seconds: float = 20.0
) -> Grade:
    """Grade one file.

    Parameters
    ----------
    assignment : str
        "A1", "A2", ...
    path : Path
        A .py or .ipynb, or a folder or .zip that holds one.
    student : str
        The student's id; by default the STUDENT of the file.
    seed : int
        Seed of the questions. Students check themselves with 0.
    seconds : float
        Time limit of each call of a function.

    Returns
    -------
    Grade
        A submission that cannot be graded has no points and a `problem`; nothing is raised.
    """
    path = Path(path)
    checks = checks_of(assignment)
    key = _key(assignment, path, seed)
    with tempfile.TemporaryDirectory(prefix="grading-") as folder:
        try:
            file = _the_file(assignment, path, Path(folder))
        except Exception as error:  # zipfile raises many: a password, an unknown method, ...
            return ungraded(assignment, student, f"it cannot be opened: {error}", key)
        results = Path(folder) / "results.json"
        command = [sys.executable, "-P", "-m", "pytest", "-q", "-c", os.devnull]
        command += ["-p", "minidlrm.grading.plugin", "-p", "no:cacheprovider", "--noconftest"]
        command += [f"--rootdir={checks.parent}", "--import-mode=importlib", str(checks)]
        command += ["--submission", str(file), "--results", str(results), f"--student={student}"]
        command += ["--grading-seed", str(seed), "--seconds", str(seconds)]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
        package = str(Path(__file__).parent.parent.parent)
        environment |= {"PYTHONPATH": package, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        try:
            run = subprocess.run(
                command, capture_output=True, cwd=folder, env=environment, timeout=_LONGEST
            )
            content = json.loads(results.read_text(encoding="utf-8"))
        except subprocess.TimeoutExpired:
            problem = f"the checks took longer than {_LONGEST:g} seconds in all"
            return ungraded(assignment, student, problem, key)
        except (OSError, ValueError):
            problem = f"the grader stopped: {run.stdout.decode(errors='replace')[-500:]}"
            return ungraded(assignment, student, problem, key)
    name = student or content["student"]
    return Grade(name, content["results"], "", content["notes"], key, content["protections"])


def _key(assignment: str, path: Path, seed: int) -> str:
    digest = hashlib.sha256(os.fsencode(f"{assignment}:{seed}:{path.name}"))
    here = Path(__file__).parent
    for part in [*sorted(here.glob("checks/*.py")), here / "judge.py", source_of(assignment)]:
        digest.update(part.read_bytes())  # what graded it
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    for file in files:
        digest.update(os.fsencode(file.name))
        with contextlib.suppress(OSError):  # what cannot be read is said by `grade`
            if file.is_file() and file.stat().st_size <= _LARGEST:
                digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _the_file(assignment: str, path: Path, folder: Path) -> Path:
    """Find the one file to grade, and copy it: the original is never run."""
    if not path.exists():
        raise ValueError(f"{path} does not exist")
    if path.is_symlink():  # to the solutions, or to what another has handed in
        raise ValueError(f"{path.name} is a link: hand in the file itself")
    if path.suffix == ".zip":
        path = _unzipped(path, folder / "unzipped")
    if path.is_dir():
        prefix = source_of(assignment).stem
        found = [
            file
            for suffix in (".py", ".ipynb")
            for file in sorted(path.rglob(f"*{suffix}"))
            if not any(part.startswith((".", "__")) for part in file.relative_to(path).parts)
            and file.is_file()
            and not file.is_symlink()
        ]
        named = [file for file in found if file.stem.lower().startswith(prefix)]
        if not named and len(found) != 1:
            raise ValueError(f"{path.name} holds {len(found)} files; none is named {prefix}.py")
        path = (named or found)[0]
    if path.suffix not in (".py", ".ipynb") or not path.is_file():
        raise ValueError(f"{path.name} is neither a .py nor a .ipynb")
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path.name} has {path.stat().st_size:,} bytes: too large")
    copy = folder / f"submission{path.suffix}"
    copy.write_bytes(path.read_bytes())
    return copy


def _unzipped(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path) as archive:
        if sum(each.file_size for each in archive.infolist()) > _LARGEST:
            raise ValueError(f"{path.name} is too large when unpacked")
        archive.extractall(folder)  # zipfile keeps names inside the folder
    return folder


def criteria(assignment: str) -> list[dict[str, Any]]:
    """Return what is asked: task, title and max_points of every test."""
    module = importlib.import_module(f"minidlrm.grading.checks.{checks_of(assignment).stem}")
    rows = []
    for value in vars(module).values():
        for mark in getattr(value, "pytestmark", []):
            if mark.name == "task":
                row = {"task": mark.args[0], "title": mark.kwargs["title"]}
                rows.append({**row, "max_points": float(mark.kwargs["points"])})
    return rows


def ungraded(assignment: str, student: str, why: str, key: str = "") -> Grade:
    """Return a grade with no points, and why."""
    why = plain(why)
    lost = {"points": 0.0, "feedback": why, "mistake": "not graded"}
    return Grade(student, [{**row, **lost} for row in criteria(assignment)], why, key=key)


def submissions(folder: Path) -> dict[str, Path]:
    """Return the submissions of a class by student: a file or a folder each.

    Raises
    ------
    ValueError
        When it is not a folder, is empty, or two entries have the same name.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder of submissions")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "__")):
            continue
        name = path.name if path.is_dir() else path.stem
        name = os.fsencode(name).decode("utf-8", "backslashreplace")  # of another encoding
        if name in found:
            raise ValueError(
                f"{folder}: {found[name].name} and {path.name} belong to the same student"
            )
        found[name] = path
    if not found:
        raise ValueError(f"{folder} is empty: put a file or a folder for each student into it")
    return found


def grade_class(
    assignment: str,
    folder: Path,
    out: Path,
    seed: int = 1,
    seconds: float = 20.0,
    jobs: int | None = None,
    progress: Callable[[Iterable, int], Iterable] | None = None,
) -> list[Grade]:
    """Grade every submission of a folder; results of earlier runs are kept.

    Parameters
    ----------
    assignment : str
        "A1", "A2", ...
    folder : Path
        See `submissions`.
    out : Path
        Grades are written there one by one, as JSON: a run that was stopped goes on there.
    seed, seconds
        As `grade`. Another seed than the students' asks the same with other numbers.
    jobs : int, optional
        Submissions at a time; as many as there are cores by default.
    progress : callable, optional
        Wraps the finished ones, as tqdm does: ``progress(iterable, total)``.

    Returns
    -------
    list of Grade
        In the order of the students' names.
    """
    todo, done = {}, {}
    out.mkdir(parents=True, exist_ok=True)
    for student, path in submissions(folder).items():
        kept = _kept(out / file_name(student, ".json"), _key(assignment, path, seed))
        if kept:
            done[student] = kept
        else:
            todo[student] = path
    with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        running = {
            pool.submit(grade, assignment, path, student, seed, seconds): student
            for student, path in todo.items()
        }
        finished: Iterable = as_completed(running)
        try:
            for each in progress(finished, len(running)) if progress else finished:
                student = running[each]
                try:
                    done[student] = each.result()
                except Exception as error:  # one submission must not stop the others
                    done[student] = ungraded(assignment, student, f"the grader stopped: {error}")
                _keep(out / file_name(student, ".json"), done[student])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [done[student] for student in sorted(done)]


def file_name(student: str, suffix: str) -> str:
    """Return the name of a student's file: no longer than a file system takes, and not "index"."""
    if len(student.encode()) <= 200 and student.lower() != "index":
        return student + suffix
    start = student.encode()[:150].decode(errors="ignore")
    return f"{start}-{hashlib.sha256(student.encode()).hexdigest()[:8]}{suffix}"


def _keep(path: Path, result: Grade) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(asdict(result), ensure_ascii=False, indent=1), encoding="utf-8")
    part.replace(path)


def _kept(path: Path, key: str) -> Grade | None:
    try:
        result = Grade(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return result if result.key == key else None


def write_csv(grades: list[Grade], path: Path) -> None:
    """Write a line for each student: the total, the points of each task, and the notes."""
    tasks = list(dict.fromkeys(task for g in grades for task in g.by_task()))
    part = path.with_name(path.name + ".part")
    with part.open("w", newline="", encoding="utf-8-sig") as file:  # Excel wants the mark
        writer = csv.writer(file)
        writer.writerow(["student", "points", "max_points", *tasks, "problem", "notes"])
        for g in grades:
            earned = g.by_task()
            row = [no_formula(g.student), g.points, g.max_points]
            row += [earned.get(task, (0.0, 0.0))[0] for task in tasks]
            writer.writerow([*row, no_formula(g.problem), no_formula("; ".join(g.notes))])
    part.replace(path)


def no_formula(value: str) -> str:
    """Keep a spreadsheet from taking a text for a formula."""
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t") else value
