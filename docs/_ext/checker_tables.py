"""The tables of docs/gradcheck.md: made from the catalogues and the museum, when the site is built.

They are written into `docs/_generated/`, which git ignores. What takes long, or needs other
packages or data, is measured by scripts of `tests/benchmarks/`, which write `docs/measured/`.
"""

import sys
from collections import Counter
from pathlib import Path

import museum as reports

from minidlrm.checking import student
from minidlrm.checking.bugs import CORPUS, OPTIMIZERS
from minidlrm.checking.catalogue import CATALOGUE
from minidlrm.checking.optimizers import CATALOGUE as OPTIMIZER_CATALOGUE
from minidlrm.languages import say

SEEDS = range(3)
TRANSCRIPTS = {
    "transposed": "linear_transposed.py:Linear",
    "duplicates": "embedding_duplicates.py:example",
    "mean_loss": "mean_loss.py:example",
    "one_side": "dot_one_side.py:DotInteraction",
}
HEADS = {
    "en": ("what is wrong", "what to look at", "planted"),
    "ko": ("무엇이 틀렸나", "무엇을 볼까", "박물관의 버그"),
}


def write(docs: Path) -> None:
    """Write all tables.

    Parameters
    ----------
    docs : Path
        The folder of the site's sources.
    """
    made = docs / "_generated"
    (made / "ko").mkdir(parents=True, exist_ok=True)
    tables = {"museum": museum(), "error_sizes": error_sizes(docs.parent)}
    for lang, folder in (("en", ""), ("ko", "ko/")):
        tables[f"{folder}catalogue"] = catalogue(CATALOGUE, CORPUS, lang)
        tables[f"{folder}optimizers"] = catalogue(OPTIMIZER_CATALOGUE, OPTIMIZERS, lang)
        for name, file in TRANSCRIPTS.items():
            tables[folder + name] = transcript(docs.parent, file, lang)
    for name, text in tables.items():
        path = made / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def catalogue(causes, bugs, lang: str = "en") -> str:
    """Return a row for each cause: what is wrong, what to look at, and who shows it."""
    rows = []
    for key, (title, hint) in causes.items():
        planted = [bug.cls.__name__ for bug in bugs if bug.cause == key]
        rows.append((say(title, lang), say(hint, lang), ", ".join(planted) or "-"))
    return _table(HEADS[lang], rows)


def museum() -> str:
    """Return what the checker says of the museum's bugs and of the correct classes."""
    said = Counter()
    for bug in CORPUS:
        for seed in SEEDS:
            said[bug.cause, _first(bug, bug.cls, seed)] += 1
    checks = len(CORPUS) * len(SEEDS)
    named = sum(n for (planted, first), n in said.items() if planted == first)
    correct = {bug.correct for bug in CORPUS}
    alarms = sum(_first(b, b.correct, seed) is not None for b in CORPUS for seed in SEEDS)
    formulas = sum(bug.fingerprint for bug in CORPUS)
    rows = [
        ("planted bugs", f"{len(CORPUS)}, in {len(correct)} layers, losses and models"),
        ("checks", f"{checks}: each with {len(SEEDS)} seeds"),
        ("caught", f"{checks - sum(n for (_, first), n in said.items() if first is None)}"),
        ("planted cause named first", f"{named}"),
        ("bugs that are recognized by their own formula", f"{formulas}"),
        ("false alarms on the correct classes", f"{alarms} of {checks}"),
    ]
    text = _table(("the museum", ""), rows)
    others = [(a, b or "missed", n) for (a, b), n in sorted(said.items(), key=str) if a != b]
    if others:
        text += "\n" + _table(("planted", "named first", "checks"), others)
    return text


def _first(bug, cls, seed: int) -> str | None:
    """Return the first cause of a check; None when it passes."""
    report = reports.report(bug, cls, seed)
    return None if report.passed else report.diagnosis[0].key


def transcript(root: Path, target: str, lang: str = "en") -> str:
    """Return what the command line says of one of the planted files."""
    report = student.check(str(root / "tests" / "planted" / target), verbose=False)
    text = report.to_text(lang)
    return f"```\n$ minidlrm gradcheck tests/planted/{target}\n{text}\n```\n"


def error_sizes(root: Path) -> str:
    """Return how often an error of a known size is seen, in each precision."""
    sys.path.insert(0, str(root / "tests" / "benchmarks"))
    import error_sizes

    return error_sizes.table(error_sizes.measure(seeds=2)) + "\n"


def _table(head, rows) -> str:
    lines = [head, ["---"] * len(head), *rows]
    cells = [[str(cell).replace("|", r"\|") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def setup(app):
    """Write the tables now, before Sphinx reads the pages."""
    write(Path(app.srcdir))
    return {"parallel_read_safe": True}
