"""The body of docs/paper.md: a section of the paper each, with statement, code, test and result.

The list of sections is that of `minidlrm.paper.SECTIONS`. What each gave is in
`docs/measured/paper/`, which ``MINIDLRM_LANG=en minidlrm paper --all --out docs/measured/paper``
writes.
"""

import re
from pathlib import Path

from minidlrm.paper import SECTIONS, not_run

FOLDER = "measured/paper"


def write(docs: Path) -> None:
    """Write the body of the page into `docs/_generated/`, which git ignores.

    Parameters
    ----------
    docs : Path
        The folder of the site's sources.
    """
    path, text = docs / "_generated" / "paper.md", body(docs)
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def body(docs: Path) -> str:
    """Return all sections, and what is not run."""
    return "\n".join([*(section(docs, number) for number in SECTIONS), not_run("en")])


def section(docs: Path, number: str) -> str:
    """Return one section: where its code and its tests are, and what a run of it gave."""
    title, home = SECTIONS[number].title, SECTIONS[number].home
    links = [f"Code: [minidlrm/paper/{home}.py](code/minidlrm/paper/{home}.rst)"]
    tests = [f"[tests/{name}.py](code/tests/{name}.rst)" for name in tests_of(docs, number)]
    links.append(f"Tests: {', '.join(tests)}")
    links.append(f"Run: `minidlrm paper {number}`")
    head = f"## {number} {title}"
    measured = docs / FOLDER / f"{number}.md"
    if not measured.exists():
        result = f"Not measured yet: `minidlrm paper {number} --out docs/{FOLDER}`\n"
    else:
        result = measured.read_text(encoding="utf-8").removeprefix(head).lstrip()
        result = re.sub(r"!\[(.*?)\]\(", rf"![\1]({FOLDER}/", result)
    shows = SECTIONS[number].shows
    return f"{head}\n\n{shows[0].upper()}{shows[1:]}.\n\n{' · '.join(links)}\n\n{result}"


def tests_of(docs: Path, number: str) -> list[str]:
    """Return the names of the test files that name a section, or its module; not this page's."""
    found, home = [], SECTIONS[number].home
    files = sorted((docs.parent / "tests").glob("test_paper*.py"))
    for path in files:
        if path.stem == "test_paper_page":
            continue
        text = path.read_text(encoding="utf-8")
        imports = "\n".join(re.findall(r"^from minidlrm\.paper.*", text, re.M))
        if re.search(rf"\b{home}\b", imports) or f'"{number}"' in text:
            found.append(path.stem)
    return found


def setup(app):
    """Write the page's body now, before Sphinx looks which files there are."""
    write(Path(app.srcdir))
    return {"parallel_read_safe": True}
