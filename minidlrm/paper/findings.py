"""What running a section of the paper gives: claims that a bound has judged, tables, figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minidlrm.languages import Message, say_if_message
from minidlrm.printing import Rows, as_markdown, said_rows
from minidlrm.writing import write_figure, write_json, write_text


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, and what became of it here.

    Parameters
    ----------
    text : str
        What the paper says, or what follows from it.
    ours : str
        What was measured.
    holds : bool or None
        Whether the number lies within its bound; None when it was not measured.
    because : str
        Why it does not hold, or is not to be run here; "" when it holds.

    Examples
    --------
    >>> from minidlrm.paper.findings import Claim
    >>> Claim("both reach about 79%", "78.8%", abs(78.8 - 79) < 0.5).verdict
    'reproduced'
    """

    text: str
    ours: str
    holds: bool | None
    because: str = ""

    @property
    def verdict(self) -> str:
        """The bound's word on it."""
        if self.holds:
            return Message("reproduced")
        head = Message("differs")
        if self.holds is None:
            head = Message("not to be run here")
        if not self.because:
            return head
        return Message("{verdict}, because {because}", verdict=head, because=self.because)


@dataclass(frozen=True)
class Findings:
    """All that one section gives.

    Parameters
    ----------
    claims : sequence of Claim
        In the order of the paper.
    tables : dict of str to rows
        Caption and cells; the first row holds the titles.
    figures : dict of str to callable
        Name of the file, without its ending, and what draws it on Axes.
    notes : sequence of str
        What a reader needs to read the tables.
    """

    claims: Sequence[Claim]
    tables: Mapping[str, Rows] = field(default_factory=dict)
    figures: Mapping[str, Callable[[Any], object]] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def claim_rows(self) -> list[tuple[str, ...]]:
        """Return the claims as a table."""
        rows = [(claim.text, claim.ours, claim.verdict) for claim in self.claims]
        return [(Message("the paper"), Message("here"), ""), *rows]

    def write(self, folder: Path, number: str, title: str, options: Mapping[str, Any]) -> list[str]:
        """Write figures, page and numbers of a section; return the names of the files.

        The page is in the user's language; the numbers, and what was found, are in English. They
        come last: where they are, the section is finished.
        """
        folder.mkdir(parents=True, exist_ok=True)
        pictures = [f"{number}_{name}.png" for name in self.figures]
        for name, draw in zip(pictures, self.figures.values(), strict=True):
            write_figure(folder / name, draw)
        write_text(folder / f"{number}.md", self.page(number, title, pictures))
        claims = [vars(claim) | {"verdict": claim.verdict} for claim in self.claims]
        tables = {caption: list(map(list, rows)) for caption, rows in self.tables.items()}
        content = {"section": number, "options": dict(options), "claims": claims, "tables": tables}
        write_json(folder / f"{number}.json", content)
        return [*pictures, f"{number}.md", f"{number}.json"]

    def page(
        self, number: str, title: str, pictures: Sequence[str], lang: str | None = None
    ) -> str:
        """Return the section as Markdown, in a language, such as "ko"; see `say`."""
        title = say_if_message(title, lang)
        parts = [f"## {number} {title}", as_markdown(said_rows(self.claim_rows(), lang))]
        for caption, rows in self.tables.items():
            parts.append(f"**{say_if_message(caption, lang)}**")
            parts.append(as_markdown(said_rows(rows, lang)))
        for name in pictures:
            words = name.removesuffix(".png").removeprefix(f"{number}_").replace("_", " ")
            parts.append(f"![{title}: {words}]({name})")
        notes = (say_if_message(note, lang) for note in self.notes)
        return "\n\n".join([*parts, *notes]) + "\n"
