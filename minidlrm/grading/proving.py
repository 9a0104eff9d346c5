"""Prove an assignment before a class sees it.

The reference earns all points, the released file none; every wrong answer loses its points, and the
feedback names the mistake; nothing of a solution is left in what students get.
"""

from __future__ import annotations

import ast
import os
import re
import tempfile
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from minidlrm.grading import release
from minidlrm.grading.assignment import Assignment, criteria, find, module, with_body
from minidlrm.grading.judging import Judge, Judges
from minidlrm.grading.runner import grade
from minidlrm.languages import Message, as_message, joined

Answers = dict[tuple[str, str], list[tuple[str, float, str]]]

# wrong answers to every part that asks for a number or for a test: no point is left
NUMBERS = [
    ("return -1.5", 0, "not right"),
    ("pass", 0, "nothing"),
    ("return 'x'", 0, "not an array of numbers"),
    ("return [1.0]", 0, "shape"),
    ("return float('nan')", 0, "nan"),
]
TESTS = [
    ("return True", 0, "none of the planted mistakes"),
    ("return False", 0, "fails a function that is right"),
    ("pass", 0, "nothing"),
    ("return 'yes'", 0, "True or False"),
    ("return np.array([True, True])", 0, "True or False"),
    ("return nothing", 0, "NameError"),
    ("return 1 / 0 > 0", 0, "ZeroDivisionError"),
    ("while True: pass", 0, "endless loop"),
    ("import sys; sys.exit(0)", 0, "SystemExit"),
    ("import minidlrm; return True", 0, "your own code"),
]
_HEADING = r"^# ## (\w+\.\d+) .+?\((\d+(?:\.\d+)?)(?: point|점)"
_SECONDS = 3.0  # of a call of a wrong answer: some of them never end


@dataclass(frozen=True)
class Proof:
    """One claim about an assignment, and what speaks against it; "" when it holds."""

    claim: str
    fault: str


def wrong_answers(which: str | Path | Assignment) -> Answers:
    """Return WRONG of wrong.py: {(task, function): [(body, points left, words), ...]}.

    The body replaces the solution of the function; everything else of the submission is right.
    """
    assignment = find(which)
    if not assignment.wrong.exists():
        raise ValueError(
            Message("{file} does not exist: it holds the wrong answers", file=assignment.wrong)
        )
    found = getattr(module(assignment.wrong), "WRONG", None)
    if not isinstance(found, dict):
        raise ValueError(
            Message("{file} has no WRONG: {{(task, function): [...]}}", file=assignment.wrong)
        )
    return found


def prove(
    which: str | Path | Assignment,
    every: int = 1,
    jobs: int | None = None,
    progress: Callable[[Iterable, int], Iterable] | None = None,
) -> Generator[Proof, None, None]:
    """Yield what is claimed about an assignment, and whether it holds.

    Parameters
    ----------
    which : str, Path or Assignment
        "A1", "A2", ..., or a folder.
    every : int
        Grade every so-many-th wrong answer of a task; the first one always.
    jobs : int, optional
        Submissions at a time; as many as there are cores by default.
    progress : callable, optional
        Wraps the wrong answers, as tqdm does.
    """
    assignment = find(which)
    yield Proof(Message("every task has criteria and wrong answers"), _gaps(assignment))
    yield Proof(Message("no solution is left in the released file"), left_over(assignment))
    for lang in assignment.languages[1:]:
        claim = Message("the source in {language} has the same code", language=repr(lang))
        yield Proof(claim, translation(assignment, lang))
    with tempfile.TemporaryDirectory(prefix="proof-") as name, Judge() as judge:
        folder = Path(name)
        yield Proof(Message("the reference earns all points"), _reference(assignment, judge))
        yield Proof(Message("the untouched file earns nothing"), _blank(assignment, folder, judge))
    cases = [
        (task, function, *case)
        for (task, function), answers in wrong_answers(assignment).items()
        for case in answers[::every]
    ]
    number = jobs or os.cpu_count() or 1
    with ThreadPoolExecutor(number) as pool, Judges(number) as judges:

        def tried(case: tuple[str, str, str, float, str]) -> tuple[Any, str]:
            with judges.one() as judge:
                return case, fault_of(assignment, *case, seed=1, judge=judge)

        faults: Iterable = pool.map(tried, cases)
        for (task, _, body, *_), fault in progress(faults, len(cases)) if progress else faults:
            first = body.splitlines()[0][:60]
            answer = {"task": task, "answer": repr(first)}
            yield Proof(Message("{task}: {answer} loses its points, and is named", **answer), fault)


def _gaps(assignment: Assignment) -> str:
    tasks = {task.name for task in assignment.tasks if not task.by_human}
    asked = {row["task"] for row in criteria(assignment)}
    for task in sorted(tasks - asked):
        return Message("{task} has no criterion in checks.py", task=task)
    planted = {task for task, _ in wrong_answers(assignment)}
    for task in sorted(tasks - planted):
        return Message("{task} has no wrong answer in wrong.py", task=task)
    return ""


def left_over(which: str | Path | Assignment) -> str:
    """Say what of a solution is left in the released file; "" when nothing is.

    By syntax tree: no statement of a solution, in whatever layout.
    """
    source = find(which).text()
    text = release.strip(source)
    if "SOLUTION" in text:
        return Message("the word SOLUTION is left")
    solved = {
        node.name: node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)
    }
    blanks = 0
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef) or not isinstance(node.body[-1], ast.Raise):
            continue
        blanks += 1
        given = {ast.dump(part) for part in node.body[:-1]}
        left = _statements(node) & _statements(solved[node.name]) - given
        if left:
            return Message("{name} still has a part of its solution", name=node.name)
    machine = sum(not task.by_human for task in find(which).tasks)
    if blanks >= machine:
        return ""
    return Message("{number} tasks have no blank to fill in", number=machine - blanks)


def translation(which: str | Path | Assignment, lang: str) -> str:
    """Say how a source in another language differs from the English one; "" when it is the same.

    The code but for docstrings, the tasks with their points, and the regions.
    """
    assignment = find(which)
    texts = assignment.text(), assignment.text(lang)
    code = [_without_docstrings(ast.parse(text)) for text in texts]
    for first, second in zip_longest(*code):
        if first != second:
            return Message("the code differs: {code}", code=(second or first)[:200])
    heads = [re.findall(_HEADING, text, re.M) for text in texts]
    if heads[0] != heads[1]:
        words = {"found": str(heads[1]), "wanted": str(heads[0])}
        return Message("the tasks and points are {found}, not {wanted}", **words)
    regions = [re.findall(r"(?:BEGIN SOLUTION (\S+):|END SOLUTION)", text) for text in texts]
    same = regions[0] == regions[1]
    return "" if same else Message("the solutions are not in the same places")


def _without_docstrings(tree: ast.Module) -> list[str]:
    """Return each statement of a file; a docstring counts as empty."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body[0] = ast.Expr(ast.Constant(""))
    return [ast.dump(node) for node in tree.body]


def _statements(node: ast.FunctionDef) -> set[str]:
    return {ast.dump(part) for part in ast.walk(node) if isinstance(part, ast.stmt)} - {
        ast.dump(node)
    }


def _reference(assignment: Assignment, judge: Judge) -> str:
    for seed in (0, 1):
        result = grade(assignment, assignment.source, seed=seed, judge=judge)
        lost = [r for r in result.results if r["points"] < r["max_points"]]
        if result.problem:
            return result.problem
        if lost:
            return joined([*_where(lost[0]), lost[0]["feedback"]])
    return ""


def _blank(assignment: Assignment, folder: Path, judge: Judge) -> str:
    script, _ = release.release(assignment, folder)
    for r in grade(assignment, script, judge=judge).results:
        if r["points"] or not re.match(r"Not written yet\. ", r["feedback"]):
            points = f"{r['points']:g}"
            earned = Message("{points} points", points=points)
            return joined([*_where(r), earned, "; ", r["feedback"]])
    return ""


def _where(r: dict[str, Any]) -> list[str]:
    return [r["task"], ", ", as_message(r["title"]), ": "]


def fault_of(
    which: str | Path | Assignment,
    task: str,
    function: str,
    body: str,
    left: float,
    words: str,
    seed: int = 1,
    judge: Judge | None = None,
) -> str:
    """Grade one wrong answer; say what is not as it is claimed to be, or ""."""
    assignment = find(which)
    with tempfile.TemporaryDirectory(prefix="wrong-") as folder:
        file = Path(folder) / f"wrong{assignment.source.suffix}"
        file.write_text(with_body(assignment.text(), function, body), encoding="utf-8")
        result = grade(assignment, file, seed=seed, seconds=_SECONDS, judge=judge)
    by_task = result.by_task()
    feedback = joined((r["feedback"] for r in result.results if r["task"] == task), " ")
    others = [name for name, (points, most) in by_task.items() if points < most and name != task]
    points, most = by_task[task]
    if points >= most:
        return Message("it loses no points")
    if abs(points - left) > 1e-3:
        return Message(
            "{points} points are left, not {left}: {feedback}",
            points=f"{points:g}",
            left=f"{left:g}",
            feedback=feedback,
        )
    if others:
        return Message(
            "it also loses points of {tasks}: one mistake is paid for once",
            tasks=", ".join(others),
        )
    if words not in feedback:
        return Message(
            "the feedback does not say {words}: {feedback}", words=repr(words), feedback=feedback
        )
    if "check itself" in feedback or "Traceback" in feedback:
        return Message("the check stops: {feedback}", feedback=feedback)
    return ""
