"""The commands of the grader: minidlrm grade check | new | release | run | test."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import secrets
import signal
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from minidlrm.files import replacing
from minidlrm.grading import adapters, classroom, exports, making, proving, release, runner
from minidlrm.grading.assignment import find, names
from minidlrm.grading.marking import Late
from minidlrm.languages import Message, joined, languages, say

app = typer.Typer(no_args_is_help=True, help="Check, release and grade assignments.")
AssignmentName = Annotated[
    str,
    typer.Argument(help=Message("One of {names}; or a FOLDER.", names=", ".join(names()))),
]
*_MOST, _LAST = languages()
_LANGUAGES = Message("{first} or {second}", first=", ".join(_MOST), second=_LAST)
LangOption = Annotated[
    str | None,
    typer.Option(
        help=Message(
            "The language of what is said: {languages}. By default MINIDLRM_LANG's.",
            languages=_LANGUAGES,
        )
    ),
]
SecondsOption = Annotated[
    float | None,
    typer.Option(help="Time limit of each call of a function. By default as the source says."),
]


@app.command(epilog="Example: [bold]minidlrm grade check A2 a2_embeddings.py[/bold]")
def check(
    assignment: AssignmentName,
    file: Annotated[Path, typer.Argument(help="Your .py or .ipynb.")],
    task: Annotated[str, typer.Option(help="This task alone, such as A2.3.")] = "",
    seconds: SecondsOption = None,
    gradescope: Annotated[
        Path | None, typer.Option(help="Also write a results.json of Gradescope.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the questions.")] = 0,
    again: Annotated[bool, typer.Option("--again", help="Ask with fresh numbers.")] = False,
    student: Annotated[
        str, typer.Option(help="The student's id; by default the STUDENT of the file.")
    ] = "",
    lang: LangOption = None,
) -> None:
    """Check your own work: points, and for each loss what to look at.

    The exit code is 0 when all points are earned, and 1 otherwise.
    """
    _needs("pytest")
    say("", lang)  # one that does not exist is refused before the work
    if not file.exists():
        raise FileNotFoundError(Message("{file} does not exist", file=file))
    if again and seed:
        raise ValueError(Message("--again draws a seed: give it, or --seed, but not both"))
    console, points, most = Console(), 0.0, 0.0
    if again:
        seed = 1 + secrets.randbelow(10**6)
        words = say(
            "fresh numbers; {option} asks with the same ones", lang, option=f"--seed {seed}"
        )
        console.print(words, style="dim")
    with _stopped_by_signals():
        result = runner.grade(assignment, file, student, seed, seconds)
    if gradescope is not None:
        content = adapters.gradescope(result, lang or "en")
        text = json.dumps(content, ensure_ascii=False, indent=1)
        gradescope.write_text(text, encoding="utf-8")
    for r in result.results:
        if task not in ("", r["task"]):
            continue
        points, most = points + r["points"], most + r["max_points"]
        colour = "green" if r["points"] == r["max_points"] else "yellow" if r["points"] else "red"
        share = _share(r["points"], r["max_points"], lang)
        title = escape(say(r["title"], lang))
        console.print(f"[{colour}]{share}[/]  {r['task']}  {title}", highlight=False)
        for line in say(r["feedback"] or r.get("note", ""), lang).splitlines():
            console.print(
                f"             {escape(line)}", style="dim", highlight=False, soft_wrap=True
            )
    if most == 0:
        raise ValueError(
            Message("{assignment} has no task {task!r}", assignment=assignment, task=task)
        )
    share = _share(points, most, lang)
    console.print(f"{share}  {say('by machine', lang)}", style="bold", highlight=False)
    if result.problem:
        console.print(say(result.problem, lang), style="yellow", markup=False, highlight=False)
    for note in result.notes:
        words = say(Message("a cell failed: {note}", note=note), lang)
        console.print(words, style="dim", markup=False, highlight=False)
    raise typer.Exit(0 if points == most else 1)


def _share(points: float, most: float, lang: str | None) -> str:
    return say("{points} of {most}", lang, points=f"{points:5.2f}", most=f"{most:g}")


@app.command(epilog="Example: [bold]minidlrm grade new week3[/bold]")
def new(
    folder: Annotated[Path, typer.Argument(help="The folder of your assignment; its name.")],
) -> None:
    """Begin an assignment of your own: a small one that works, to be changed bit by bit."""
    for path in making.new(folder):
        Console().print(say("wrote {path}", path=path), highlight=False, markup=False)


@app.command("test", epilog="Example: [bold]minidlrm grade test week3[/bold]")
def prove(
    assignment: AssignmentName,
    every: Annotated[int, typer.Option(help="Only every so-many-th wrong answer.", min=1)] = 1,
    jobs: Annotated[int | None, typer.Option(help="Submissions at a time.")] = None,
    lang: LangOption = None,
) -> None:
    """Prove an assignment before a class sees it.

    The reference must earn all points and the released file none; each wrong answer must lose its
    points, and the feedback name it. The exit code is 1 when anything fails.
    """
    from tqdm.auto import tqdm

    _needs("pytest")
    say("", lang)

    def bar(faults, total):
        return tqdm(faults, total=total, desc=say("wrong answers", lang), leave=False)

    console, failed, count = Console(), 0, 0
    proofs = contextlib.closing(proving.prove(assignment, every, jobs, bar))
    with _stopped_by_signals(), proofs as each:
        for count, proof in enumerate(each, 1):  # noqa: B007
            failed += bool(proof.fault)
            sign = say("fails", lang) if proof.fault else say("holds", lang)
            style, claim = "red" if proof.fault else "green", escape(say(proof.claim, lang))
            console.print(f"[{style}]{sign}[/]  {claim}", highlight=False, soft_wrap=True)
            if proof.fault:
                fault = say(proof.fault, lang)
                console.print(f"       {fault}", style="dim", markup=False, highlight=False)
    words = say("{number} of {all} hold", lang, number=count - failed, all=count)
    console.print(words, style="bold", highlight=False)
    raise typer.Exit(1 if failed else 0)


@app.command("release", epilog="Example: [bold]minidlrm grade release A2 ../a2[/bold]")
def release_command(
    assignment: AssignmentName,
    out: Annotated[Path, typer.Argument(help="The folder that the students get.")],
    platform: Annotated[
        str, typer.Option("--for", help="Add a platform's files: github, gradescope or nbgrader.")
    ] = "",
    checks: Annotated[
        Path | None,
        typer.Option(help="Also this folder, by which students check themselves: for your own."),
    ] = None,
    lang: Annotated[
        str,
        typer.Option(help=Message("The language of the texts: {languages}.", languages=_LANGUAGES)),
    ] = "en",
) -> None:
    """Write the students' files: the source without its solutions, as script and notebook."""
    if platform not in ("", "github", "gradescope", "nbgrader"):
        raise ValueError(
            Message(
                "--for is {platform!r}: it must be github, gradescope or nbgrader",
                platform=platform,
            )
        )
    written = release.release(assignment, out, lang)
    if platform:
        written += adapters.files_of(platform, assignment, out, lang)
    if checks is not None:
        written += release.checks_for_students(assignment, checks)
    for path in written:
        Console().print(say("wrote {path}", path=path), highlight=False, markup=False)


@app.command(epilog="Example: [bold]minidlrm grade run A2 submissions/ --csv grades.csv[/bold]")
def run(
    assignment: AssignmentName,
    folder: Annotated[Path, typer.Argument(help="A file, folder or zip for each student.")],
    csv: Annotated[Path, typer.Option(help="The table of grades.")] = Path("grades.csv"),
    out: Annotated[
        Path, typer.Option(help="Pages, partial results, and your hand.csv and overrides.csv.")
    ] = Path("grading"),
    seed: Annotated[
        int | None,
        typer.Option(help="Of the questions. By default drawn once, and kept in OUT/seed.txt."),
    ] = None,
    seconds: SecondsOption = None,
    jobs: Annotated[int | None, typer.Option(help="Submissions at a time.")] = None,
    regrade: Annotated[
        list[str] | None, typer.Option(help="Grade this student again; may be given repeatedly.")
    ] = None,
    deadline: Annotated[
        datetime | None, typer.Option(help="Such as 2026-11-30T23:59:00, local time.")
    ] = None,
    times: Annotated[
        Path | None,
        typer.Option(help="CSV with student and time; by default the times of the entries."),
    ] = None,
    per_day: Annotated[float, typer.Option(help="Points that a late day costs.", min=0)] = 0.0,
    free_days: Annotated[int, typer.Option(help="Late days that cost nothing.", min=0)] = 0,
    canvas: Annotated[Path | None, typer.Option(help="Also a table for Canvas.")] = None,
    moodle: Annotated[Path | None, typer.Option(help="Also a table for Moodle.")] = None,
    roster: Annotated[
        Path | None, typer.Option(help="The platform's own export: it comes back with grades.")
    ] = None,
    lang: LangOption = None,
) -> None:
    """Grade a class: a CSV, a page for each student, a summary. Stopped, it goes on from there."""
    from tqdm.auto import tqdm

    _needs("pytest")
    _needs("rapidfuzz")
    if deadline is None and (per_day or free_days or times):
        raise ValueError(Message("--per-day, --free-days and --times need a --deadline"))
    if roster is not None and (canvas is None) == (moodle is None):
        raise ValueError(Message("--roster belongs to one of --canvas and --moodle"))
    say("", lang)

    def bar(finished, total):
        words = {"desc": say("grading", lang), "unit": say("submission", lang)}
        return tqdm(finished, total=total, **words)

    which, late = find(assignment), Late(deadline, per_day, free_days)
    seed = _drawn(out / "seed.txt") if seed is None else seed
    settings = classroom.Settings(seed, seconds, jobs, tuple(regrade or ()), late, times, lang)
    with _stopped_by_signals():
        done = classroom.grade_all(which, folder, out, settings, bar)
    exports.grades(which, done.totals, csv)
    not_in_roster: list[str] = []
    if canvas:
        not_in_roster += exports.canvas(which, done.totals, canvas, roster)
    if moodle:
        not_in_roster += exports.moodle(which, done.totals, moodle, roster, lang or "en")
    _report(done, csv, out, not_in_roster, lang)


def _report(
    done: classroom.Run, csv: Path, out: Path, not_in_roster: list[str], lang: str | None
) -> None:
    """Say where everything is, and what a teacher should look at."""
    console = Console()
    files, number = f"{csv}, {out / 'index.html'}", len(done.totals)
    words = say("{number} submissions: {files}", lang, number=number, files=files)
    console.print(words, highlight=False, markup=False)
    warnings = [*_to_read(done, out), *_changed(done, out)]
    grades = [total.grade for total in done.totals]
    if any(g.protections and "files" not in g.protections for g in grades):
        warnings.append(
            Message(
                "This machine let the files of other submissions be read or written by a "
                "submission: see 'What the grader protects against' in docs/teaching.md."
            )
        )
    for total in done.totals:
        remarks = filter(None, [total.grade.problem, *total.grade.remarks, *total.remarks])
        warnings += [joined([total.student, each], ": ") for each in remarks]
    warnings += [Message("{student}: not in the roster", student=each) for each in not_in_roster]
    for each in warnings:
        words = say(each, lang)
        console.print(words, style="yellow", soft_wrap=True, highlight=False, markup=False)


def _to_read(done: classroom.Run, out: Path) -> list[str]:
    unread = sum(bool(total.not_marked) for total in done.totals)
    words = Message(
        "{number} derivations are to be read: {page}. Points go into {table}; then run this again.",
        number=unread,
        page=out / "derivations.html",
        table=out / "hand.csv",
    )
    return [words] * bool(unread)


def _changed(done: classroom.Run, out: Path) -> list[str]:
    if not done.changes:
        return []
    head = Message("{number} points are other ones than before:", number=len(done.changes))
    lines = [
        Message(
            "  {student}, {task}: {old}, now {new}",
            student=student,
            task=task,
            old=f"{old:g}",
            new=f"{new:g}",
        )
        for student, task, old, new in done.changes
    ]
    return [head, *lines, Message("(also in {table})", table=out / "changes.csv")]


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Let a signal that ends the run end it as Ctrl-C does: nothing is left behind."""

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), stop) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def _drawn(path: Path) -> int:
    """Return the seed of a class. Anyone who knows it can try the questions in advance."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            part.touch(0o600)
            part.write_text(f"{secrets.randbits(128)}\n", encoding="utf-8")
    return int(path.read_text(encoding="utf-8"))


def _needs(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise ImportError(
            Message('grading needs {package}: pip install "minidlrm[teach]"', package=package)
        )
