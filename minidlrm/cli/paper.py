"""minidlrm paper: the sections of the paper that can be run, and what became of their claims."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from minidlrm.languages import Message, say, say_if_message
from minidlrm.paper import SECTIONS, Findings, Options, Section, not_run
from minidlrm.paper.rows import found
from minidlrm.printing import as_rich, said_rows, width_of
from minidlrm.writing import write_text, wrote

_SENTENCE = 40  # longer cells are read, and not compared: they are aligned to the left


def _takers(option: str) -> str:
    return ", ".join(number for number, section in SECTIONS.items() if option in section.takes)


def paper(
    section: Annotated[
        str | None, typer.Argument(help="A section, such as 4.2.", show_default="list them")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Run all sections; what is finished is kept.")
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(
            help=Message("Real rows, as SCHEME:PATH ({sections}).", sections=_takers("data"))
        ),
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(
            help=Message("Rows to make, or to read at most ({data}).", data=_takers("rows"))
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all that is drawn.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("runs/paper"),
) -> None:
    """Run a section of the paper, or list them."""
    console = Console()
    if everything and section is not None:
        raise ValueError(Message("--all and section {section} exclude each other", section=section))
    if section is None and not everything:
        console.print(_list())
        return
    options = Options(seed, data, rows, folder=out)
    numbers = list(SECTIONS) if everything else [str(section)]
    for k, number in enumerate(numbers, 1):
        if everything:
            place = say("[{k} of {count}]", k=k, count=len(numbers))
            console.print(place, end=" ", markup=False)
        _run(console, number, options, out, everything)
    if everything:
        pages = [(out / f"{number}.md").read_text(encoding="utf-8") for number in SECTIONS]
        title = say("The paper, section by section")
        page = "\n".join([f"# {title}\n", *pages, not_run()])
        write_text(out / "paper.md", page)
        console.print(wrote(out, "paper.md"))


def _run(console: Console, number: str, options: Options, out: Path, resume: bool) -> None:
    if number not in SECTIONS:
        raise ValueError(
            Message(
                "section {number} cannot be run: {sections} can",
                number=repr(number),
                sections=", ".join(SECTIONS),
            )
        )
    section = SECTIONS[number]
    for name in ("data", "rows"):
        if getattr(options, name) is not None and name not in section.takes and not resume:
            raise ValueError(
                Message(
                    "{option} has no meaning for section {number}",
                    option=f"--{name}",
                    number=number,
                )
            )
    options = _taken(section, options, resume)
    given: dict[str, Any] = {"seed": options.seed, "data": options.data, "rows": options.rows}
    given["found"] = [name for name in section.finds if options.data is None and found(name)]
    title = f"{number} {say(section.title)}"
    if resume and _finished(out / f"{number}.json") == given:
        console.print(say("{title}: kept, {page}", title=title, page=out / f"{number}.md"))
        return
    if resume:
        minutes = f"{section.minutes:g}"
        console.print(
            say("{title}: about {minutes} min on two cores", title=title, minutes=minutes)
        )
    findings = section.run(options)
    _print(console, title, findings)
    files = findings.write(out, number, section.title, given)
    console.print(wrote(out, *files), soft_wrap=True)


def _taken(section: Section, options: Options, everything: bool) -> Options:
    """Leave out what a section does not take; of --all, data of a scheme that it cannot read."""
    scheme = (options.data or "").partition(":")[0]
    fits = not section.schemes or scheme in section.schemes or not everything
    return replace(
        options,
        data=options.data if "data" in section.takes and fits else None,
        rows=options.rows if "rows" in section.takes else None,
    )


def _finished(path: Path) -> dict[str, Any] | None:
    """Return the options of a finished run of a section; None when there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))["options"]
    except (OSError, ValueError, KeyError):
        return None


def _print(console: Console, title: str, findings: Findings) -> None:
    console.print(as_rich(title, findings.claim_rows(), left=3))
    for caption, rows in findings.tables.items():
        rows = said_rows(rows)
        sentences = any(width_of(cell) > _SENTENCE for row in rows for cell in row)
        console.print(as_rich(caption, rows, left=len(rows[0]) if sentences else 1))
    for note in findings.notes:
        console.print(say_if_message(note))


def _list() -> Any:
    lines: list[tuple[str, ...]] = [
        (Message("section"), "", Message("what a run shows"), Message("minutes"))
    ]
    lines += [(n, s.title, s.shows, f"{s.minutes:g}") for n, s in SECTIONS.items()]
    return as_rich(say("The paper, arXiv 1906.00091, by sections that run"), lines, left=3)
