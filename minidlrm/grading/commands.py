"""The commands of the grader: minidlrm grade check | release | run."""

from __future__ import annotations

import importlib.util
import json
import secrets
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from minidlrm.grading import adapters, release, reports, runner

app = typer.Typer(no_args_is_help=True, help="Check, release and grade assignments.")
AssignmentName = Annotated[str, typer.Argument(help=f"One of {', '.join(release.TITLES)}.")]
SecondsOption = Annotated[float, typer.Option(help="Time limit of each call of a function.")]


@app.command(epilog="Example: [bold]minidlrm grade check A2 a2_embeddings.py[/bold]")
def check(
    assignment: AssignmentName,
    file: Annotated[Path, typer.Argument(help="Your .py or .ipynb.")],
    task: Annotated[str, typer.Option(help="This task alone, such as A2.3.")] = "",
    seconds: SecondsOption = 20.0,
    gradescope: Annotated[
        Path | None, typer.Option(help="Also write a results.json of Gradescope.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the questions.")] = 0,
    student: Annotated[
        str, typer.Option(help="The student's id; by default the STUDENT of the file.")
    ] = "",
) -> None:
    """Check your own work: points, and for each loss what to look at.

    The exit code is 0 when all points are earned, and 1 otherwise.
    """
    _needs("pytest")
    if not file.exists():
        raise FileNotFoundError(f"{file} does not exist")
    result = runner.grade(assignment, file, student, seed, seconds)
    if gradescope is not None:
        text = json.dumps(adapters.gradescope(result), ensure_ascii=False, indent=1)
        gradescope.write_text(text, encoding="utf-8")
    console, points, most = Console(), 0.0, 0.0
    for r in result.results:
        if task not in ("", r["task"]):
            continue
        points, most = points + r["points"], most + r["max_points"]
        colour = "green" if r["points"] == r["max_points"] else "yellow" if r["points"] else "red"
        head = f"[{colour}]{r['points']:5.2f} of {r['max_points']:g}[/]  {r['task']}  "
        console.print(head + escape(r["title"]), highlight=False)
        for line in r["feedback"].splitlines():
            console.print(
                f"             {escape(line)}", style="dim", highlight=False, soft_wrap=True
            )
    if most == 0:
        raise ValueError(f"{assignment} has no task {task!r}")
    console.print(f"{points:5.2f} of {most:g}  by machine", style="bold", highlight=False)
    for note in result.notes:
        console.print(f"a cell failed: {note}", style="dim", markup=False, highlight=False)
    raise typer.Exit(0 if points == most else 1)


@app.command("release", epilog="Example: [bold]minidlrm grade release A2 ../a2[/bold]")
def release_command(
    assignment: AssignmentName,
    out: Annotated[Path, typer.Argument(help="The folder that the students get.")],
    platform: Annotated[
        str, typer.Option("--for", help="Add a platform's files: github, gradescope or nbgrader.")
    ] = "",
) -> None:
    """Write the students' files: the source without its solutions, as script and notebook."""
    if platform not in ("", "github", "gradescope", "nbgrader"):
        raise ValueError(f"--for is {platform!r}: it must be github, gradescope or nbgrader")
    written = release.release(assignment, out)
    if platform:
        written += adapters.files_of(platform, assignment, out)
    for path in written:
        Console().print(f"wrote {path}", highlight=False, markup=False)


@app.command(epilog="Example: [bold]minidlrm grade run A2 submissions/ --csv grades.csv[/bold]")
def run(
    assignment: AssignmentName,
    folder: Annotated[Path, typer.Argument(help="A file, folder or zip for each student.")],
    csv: Annotated[Path, typer.Option(help="The table of grades.")] = Path("grades.csv"),
    out: Annotated[
        Path, typer.Option(help="Pages of students and class, and partial results.")
    ] = Path("grading"),
    seed: Annotated[
        int | None,
        typer.Option(help="Of the questions. By default drawn once, and kept in OUT/seed.txt."),
    ] = None,
    seconds: SecondsOption = 20.0,
    jobs: Annotated[int | None, typer.Option(help="Submissions at a time.")] = None,
    canvas: Annotated[Path | None, typer.Option(help="Also a table for Canvas.")] = None,
    moodle: Annotated[Path | None, typer.Option(help="Also a table for Moodle.")] = None,
) -> None:
    """Grade a class: a CSV, a page for each student, a summary. Stopped, it goes on from there."""
    from tqdm.auto import tqdm

    _needs("pytest")

    def bar(finished, total):
        return tqdm(finished, total=total, desc="grading", unit="submission")

    seed = _drawn(out / "seed.txt") if seed is None else seed
    grades = runner.grade_class(assignment, folder, out / "results", seed, seconds, jobs, bar)
    runner.write_csv(grades, csv)
    if canvas:
        adapters.write_canvas(assignment, grades, canvas)
    if moodle:
        adapters.write_moodle(grades, moodle)
    index = reports.write(assignment, release.TITLES[assignment], grades, out)
    console = Console()
    console.print(f"{len(grades)} submissions: {csv}, {index}", highlight=False, markup=False)
    if any(g.protections and "files" not in g.protections for g in grades):
        warning = "This machine let the files of other submissions be read or written by a "
        warning += "submission: see 'What the grader protects against' in docs/teaching.md."
        console.print(warning, style="yellow", highlight=False)
    for student, problem in ((g.student, g.problem) for g in grades if g.problem):
        console.print(f"{student}: {problem}", style="yellow", highlight=False, markup=False)


def _drawn(path: Path) -> int:
    """Return the seed of a class. Anyone who knows it can try the questions in advance."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{secrets.randbelow(2**31)}\n", encoding="utf-8")
        path.chmod(0o600)
    return int(path.read_text(encoding="utf-8"))


def _needs(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise ImportError(f'grading needs {package}: pip install "minidlrm[teach]"')
