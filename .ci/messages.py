"""Take the messages out of the package, and compile what is translated.

    python .ci/messages.py

Writes `minidlrm/locale/minidlrm.pot`, brings the catalogues of all languages up to date with it,
and compiles them. A message is the first argument of `say` or `Message`, a text of the
catalogues of mistakes, or one of --help: the docstring of a command, and the help of an option.
"""

from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract

ROOT = Path(__file__).parent.parent
LOCALE = ROOT / "minidlrm" / "locale"
KEYWORDS = {"say": None, "Message": None}


def template() -> Catalog:
    """Return all messages of the package, without translations."""
    from minidlrm.checking import catalogue, optimizer_catalogue

    made = Catalog(project="minidlrm", fuzzy=False)
    for path in sorted(ROOT.glob("minidlrm/**/*.py")):
        if path.name == "languages.py":
            continue  # its examples are no messages
        with path.open("rb") as file:
            for _, message, *_ in extract("python", file, KEYWORDS):
                made.add(message, locations=[(path.relative_to(ROOT).as_posix(), None)])
    for module in (catalogue, optimizer_catalogue):
        place = f"minidlrm/checking/{module.__name__.split('.')[-1]}.py"
        for texts in module.CATALOGUE.values():
            for text in texts:
                made.add(text, locations=[(place, None)])
