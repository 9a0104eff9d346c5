"""Take the messages out of the package, and compile what is translated.

    python .ci/messages.py

Writes `minidlrm/locale/minidlrm.pot`, brings the catalogues of all languages up to date with it,
and compiles them. A message is the first argument of `say`, `tell` or `Message`, in the package, in
a notebook or in the scripts of a page; a text of the catalogues of mistakes and of the museum; a
statement of the paper; a unit or an order in the list of models; one of an assignment's checks; or
one of --help: the docstring of a command, and the help of an option.
"""

import ast
import io
import sys
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parent.parent
LOCALE = ROOT / "minidlrm" / "locale"
KEYWORDS = {"say", "tell", "Message"}


def template() -> Catalog:
    """Return all messages of the package, without translations."""
    from minidlrm.checking import catalogue, fingerprints, optimizer_catalogue
    from minidlrm.cli import helping
    from minidlrm.cli.app import make_app
    from minidlrm.exploring.explorable import sentences
    from minidlrm.languages import Message
    from minidlrm.models import MODELS
    from minidlrm.paper.statements import STATEMENTS

    made = Catalog(project="minidlrm", fuzzy=False)
    places = ("minidlrm/**/*.py", "notebooks/[0-9]*.py", "notebooks/assignments/a?/checks.py")
    for path in (each for place in places for each in sorted(ROOT.glob(place))):
        if path.name == "languages.py":
            continue  # its examples are no messages
        for message in said_in(path):
            made.add(message, locations=[(path.relative_to(ROOT).as_posix(), None)])
    for message in sentences():
        made.add(message, locations=[("minidlrm/exploring/page", None)])
    for path in sorted(ROOT.glob("notebooks/assignments/a?/checks.py")):
        for text in texts_of(path):
            made.add(text, locations=[(path.relative_to(ROOT).as_posix(), None)])
    for module in (catalogue, optimizer_catalogue):
        place = f"minidlrm/checking/{module.__name__.split('.')[-1]}.py"
        for texts in module.CATALOGUE.values():
            for text in texts:
                made.add(text, locations=[(place, None)])
    for entry in MODELS.values():
        for text in (entry.unit, entry.order):
            if not text.isdigit():
                made.add(text, locations=[("minidlrm/models/__init__.py", None)])
    for statement in STATEMENTS:
        for text in (statement.aspect, statement.text):
            made.add(text, locations=[("minidlrm/paper/statements.py", None)])
    for text in fingerprints.texts():
        made.add(text, locations=[("minidlrm/checking/bugs", None)])

    def keep(text: str) -> str:
        if text and not isinstance(text, Message):  # else its pattern has been found
            made.add(text, locations=[("minidlrm/cli/helping.py", None)])
        return text

    make_app(speak=keep)
    for text in (*helping.USAGE_ERRORS, *helping.WORDS):
        keep(text)
    return made


def said_in(path: Path) -> list[str]:
    """Return the messages of a file, those inside of f-strings, too."""
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in KEYWORDS and node.args
    ]
    first = [node.args[0] for node in sorted(calls, key=lambda node: node.lineno)]
    chosen = [
        each
        for node in first
        for each in ([node.body, node.orelse] if isinstance(node, ast.IfExp) else [node])
    ]
    return [
        each.value
        for each in chosen
        if isinstance(each, ast.Constant) and isinstance(each.value, str) and each.value
    ]


def texts_of(path: Path) -> list[str]:
    """Return the texts of the checks of an assignment: what has words, but docstrings and names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    left_out: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):  # docstrings
            left_out.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            left_out |= {id(part) for part in node.values}
    found = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in left_out
    ]
    return [text for text in found if not all("_" in word for word in text.split()) and " " in text]


def as_po(catalog: Catalog) -> bytes:
    """Return a catalogue as the text of a file, without dates."""
    out = io.BytesIO()
    write_po(out, catalog, width=100, omit_header=False, sort_output=True, include_lineno=False)
    lines = out.getvalue().splitlines(keepends=True)
    dates = (b'"POT-Creation-Date', b'"PO-Revision-Date', b"# FIRST AUTHOR", b'"Generated-By')
    return b"".join(line for line in lines if not line.startswith(dates))


def as_mo(catalog: Catalog) -> bytes:
    """Return a catalogue compiled."""
    out = io.BytesIO()
    write_mo(out, catalog)
    return out.getvalue()


def read(path: Path, locale: str | None) -> Catalog:
    """Return the catalogue of a file; the template has no language."""
    with path.open("rb") as file:
        catalog = read_po(file, locale=locale)
    catalog.creation_date = catalog.revision_date = datetime(2000, 1, 1, tzinfo=UTC)  # not today
    return catalog


def main() -> None:
    """Write everything anew."""
    made = template()
    (LOCALE / "minidlrm.pot").write_bytes(as_po(made))
    for path in sorted(LOCALE.glob("*/LC_MESSAGES/minidlrm.po")):
        locale = path.parents[1].name
        catalog = read(path, locale)
        catalog.update(made, no_fuzzy_matching=True)
        catalog.obsolete.clear()
        path.write_bytes(as_po(catalog))
        path.with_suffix(".mo").write_bytes(as_mo(read(path, locale)))
        missing = sum(not message.string for message in catalog if message.id)
        print(f"{locale}: {len(catalog)} messages, {missing} without a translation")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
