"""An assignment is a folder: its source, its checks, and wrong answers that prove them.

    mine/
      mine.py      the source: tasks, points, limits, and solutions between two comments
      checks.py    the tests, run by pytest
      wrong.py     WRONG: wrong answers, the points that are left, words of the feedback
      ko/mine.py   the source in Korean, if there is one: other texts, the same code

The name, the title, the tasks, their points and the limits are in the source, and nowhere else::

    # # A2 · Embeddings
    # ## A2.1 The gradient, on paper (4 points)
    # **Limits**: 20 s a call, 40 s a cell, 900 s in all, 4 GB, 16 MB a file, 60 s for train.

A task whose solution is in a text cell is read by a human.
"""

from __future__ import annotations

import importlib.util
import re
import runpy
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from minidlrm import tutorials
from minidlrm.languages import Message

NAME = r"[A-Za-z]\w*"
_HEAD = re.compile(rf"^# # ({NAME}) · (.+)$")
_TASK = re.compile(rf"^# ## ({NAME}\.\d+) (.+?) \((\d+(?:\.\d+)?) points?\b[^)]*\)$")
_TITLE = re.compile(rf"^# ##? ({NAME}(?:\.\d+)?) (?:· )?(.+?)(?: \(\d[^)]*\))?$", re.M)
_REGION = re.compile(  # in the source; in what students get, two other forms are in its place
    rf"^\s*(?:# BEGIN SOLUTION |raise NotImplementedError\(\"|# \*)({NAME}\.\d+): .+$"
)
_LIMIT = re.compile(r"(\d+(?:\.\d+)?) (s a call|s a cell|s in all|GB|MB a file|s for (\w+))")
_PARTS = {"checks.py", "wrong.py"}


@dataclass(frozen=True)
class Task:
    """One task: its name, title and points, and whether a human reads it."""

    name: str
    title: str
    points: float
    by_human: bool


@dataclass(frozen=True)
class Limits:
    """What a submission may take: seconds and bytes.

    Parameters
    ----------
    call, cell, total : float
        Seconds of a call of a function, of a cell of the file, and of all checks together.
    memory, file : int
        Bytes of its process, and of a file that it writes.
    calls : dict
        Seconds of the calls of single functions.
    """

    call: float = 20.0
    cell: float = 40.0
    total: float = 900.0
    memory: int = 4 << 30
    file: int = 16 << 20
    calls: dict[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> Limits:
        """Take the limits out of a source; what it does not name is as here."""
        line = next((each for each in text.splitlines() if "**Limits**:" in each), "")
        scale = {"GB": ("memory", 1 << 30), "MB a file": ("file", 1 << 20)}
        given: dict[str, Any] = {"calls": {}}
        for number, what, function in _LIMIT.findall(line):
            if function:
                given["calls"][function] = float(number)
            elif what in scale:
                given[scale[what][0]] = int(float(number) * scale[what][1])
            else:
                key = {"s a call": "call", "s a cell": "cell", "s in all": "total"}[what]
                given[key] = float(number)
        return cls(**given)


@dataclass(frozen=True)
class Assignment:
    """What the source of an assignment says, and where its files are."""

    name: str
    title: str
    source: Path
    tasks: tuple[Task, ...]
    limits: Limits

    @property
    def folder(self) -> Path:
        """The folder that holds all of it."""
        return self.source.parent

    @property
    def checks(self) -> Path:
        """The tests."""
        return self.folder / "checks.py"

    @property
    def wrong(self) -> Path:
        """The wrong answers."""
        return self.folder / "wrong.py"

    @property
    def own(self) -> bool:
        """Whether it is a teacher's, and not one of minidlrm's."""
        return self.name not in names() or find(self.name).folder != self.folder

    @property
    def by_hand(self) -> tuple[Task, ...]:
        """The tasks that a human reads."""
        return tuple(task for task in self.tasks if task.by_human)

    @property
    def most(self) -> float:
        """All points, by machine and by hand."""
        return sum(task.points for task in self.tasks)

    @property
    def languages(self) -> list[str]:
        """The languages that the source is written in, English first."""
        return ["en", *sorted(p.parent.name for p in self.folder.glob(f"??/{self.source.name}"))]

    def titles(self, lang: str) -> dict[str, str]:
        """Return its title and those of its tasks, by their names, where it has this language."""
        found = {self.name: self.title, **{task.name: task.title for task in self.tasks}}
        if lang in self.languages:
            found |= dict(_TITLE.findall(self.text(lang)))
        return found

    def text(self, lang: str = "en") -> str:
        """Return the source in a language; ValueError when it is not written in it."""
        if lang not in self.languages:
            found = ", ".join(self.languages)
            raise ValueError(
                Message(
                    "lang is {lang!r}: {assignment} is written in {found}",
                    lang=lang,
                    assignment=self.name,
                    found=found,
                )
            )
        path = self.source if lang == "en" else self.folder / lang / self.source.name
        return path.read_text(encoding="utf-8")


def _folder() -> Path:
    return tutorials.source() / "assignments"


def names() -> list[str]:
    """Return the names of minidlrm's own assignments: "A1", "A2", ..."""
    try:
        return sorted(path.parent.name.upper() for path in _folder().glob("*/checks.py"))
    except FileNotFoundError:
        return []


def find(which: str | Path | Assignment) -> Assignment:
    """Return an assignment by its name, such as "A2", or by its folder.

    Raises
    ------
    ValueError
        When it does not exist, or its source does not say what it must.
    """
    if isinstance(which, Assignment):
        return which
    folder = _folder() / str(which).lower() if str(which) in names() else Path(which)
    if not folder.is_dir():
        raise ValueError(
            Message(
                "assignment {name!r} does not exist; choose from {names}, or give a "
                "folder of your own: minidlrm grade new FOLDER makes one",
                name=str(which),
                names=", ".join(names()),
            )
        )
    sources = [path for path in sorted(folder.glob("*.py")) if path.name not in _PARTS]
    if len(sources) != 1 or not (folder / "checks.py").exists():
        found = ", ".join(path.name for path in sources) or Message("none")
        raise ValueError(
            Message(
                "{folder} is not an assignment: it must hold checks.py and one source ({found})",
                folder=folder,
                found=found,
            )
        )
    return read(sources[0].resolve())


def read(source: Path) -> Assignment:
    """Read name, title, tasks and limits out of a source; ValueError says what is missing."""
    text = source.read_text(encoding="utf-8")
    head = next(filter(None, map(_HEAD.match, text.splitlines())), None)
    if head is None:
        raise ValueError(f"{source.name}: no heading like '# # A2 · Embeddings'")
    tasks = _tasks(source.name, text, head[1])
    return Assignment(head[1], head[2].strip(), source, tasks, Limits.read(text))


def _tasks(file: str, text: str, name: str) -> tuple[Task, ...]:
    found: dict[str, tuple[str, float]] = {}
    human: dict[str, bool] = {}
    markdown = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("# %%"):
            markdown = "[markdown]" in line
        head, region = _TASK.match(line), _REGION.match(line)
        where = f"{file}, line {number}"
        if head and head[1] in found:
            raise ValueError(f"{where}: task {head[1]} has two headings")
        if head:
            found[head[1]] = head[2], float(head[3])
        if region and region[1] not in found:
            raise ValueError(
                f"{where}: the solution of {region[1]} has no heading above it, such as "
                f"'# ## {region[1]} Forward (3 points)'"
            )
        if region:
            human[region[1]] = markdown
    for task in found:
        if task.partition(".")[0] != name:
            raise ValueError(f"{file}: task {task} does not begin with the name {name}")
        if task not in human:
            raise ValueError(f"{file}: task {task} has no solution: add '# BEGIN SOLUTION {task}:'")
    if not found:
        raise ValueError(f"{file}: no task like '# ## {name}.1 Forward (3 points)'")
    return tuple(Task(task, *found[task], human[task]) for task in found)


def solutions(beside: str | Path) -> SimpleNamespace:
    """Return the functions of an assignment, with their solutions, by name.

    The checks compare with these, so that a solution is written once.

    Parameters
    ----------
    beside : str or Path
        The folder, or a file in it: ``solutions(__file__)``.
    """
    folder = Path(beside)
    source = find(folder if folder.is_dir() else folder.parent).source
    return SimpleNamespace(**runpy.run_path(str(source)))


@lru_cache(maxsize=32)
def _module(path: Path, changed: int) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"_{path.parent.name}_{path.stem}", path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    # not by the loader: a .pyc is taken for current when size and second are those of the source
    exec(compile(path.read_bytes(), str(path), "exec"), vars(module))
    return module


def module(path: Path) -> ModuleType:
    """Return the checks, or the wrong answers, as a module."""
    return _module(path, path.stat().st_mtime_ns)


def shares(assignment: Assignment, marks: list[Any]) -> list[float]:
    """Return the points of criteria: those of a task, divided by the weights of its criteria."""
    weights: dict[str, float] = {}
    points = {task.name: task.points for task in assignment.tasks if not task.by_human}
    for mark in marks:
        if mark.args[0] not in points:
            raise ValueError(f"checks.py asks for {mark.args[0]}, which the source does not have")
        weights[mark.args[0]] = weights.get(mark.args[0], 0) + mark.kwargs.get("weight", 1)
    return [points[m.args[0]] * m.kwargs.get("weight", 1) / weights[m.args[0]] for m in marks]


def criteria(which: str | Path | Assignment) -> list[dict[str, Any]]:
    """Return what the machine asks: task, title and max_points of every test."""
    assignment = find(which)
    marks = [
        mark
        for value in vars(module(assignment.checks)).values()
        for mark in getattr(value, "pytestmark", [])
        if mark.name == "task"
    ]
    return [
        {"task": mark.args[0], "title": mark.kwargs["title"], "max_points": round(points, 4)}
        for mark, points in zip(marks, shares(assignment, marks), strict=True)
    ]


def _inside(function: str) -> re.Pattern:
    return re.compile(
        rf"(def {function}\(.*?# BEGIN SOLUTION [^\n]*\n)(.*?)(    # END SOLUTION)", re.S
    )


def body_of(text: str, function: str) -> str:
    """Return the solution inside a function, as `with_body` takes it."""
    found = _inside(function).search(text)
    if found is None:
        raise ValueError(f"the source has no function {function} with a solution in it")
    return found[2].strip()


def with_body(text: str, function: str, body: str) -> str:
    """Replace the solution inside a function; the first line of `body` is not indented."""
    body_of(text, function)
    return _inside(function).sub(lambda m: f"{m[1]}    {body}\n{m[3]}", text, count=1)
