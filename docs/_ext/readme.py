"""The part of README.md that is made from the code: ``python docs/_ext/readme.py`` writes it."""

import re
from pathlib import Path

from minidlrm.models import MODELS

README = Path(__file__).parent.parent.parent / "README.md"


def models() -> str:
    """Return the table of `models.MODELS`."""
    rows = [
        f"| `{name}` | {entry.title} | `md.{entry.cls.__name__}` | {entry.unit} | {entry.order} |"
        for name, entry in MODELS.items()
    ]
    head = ["| `--model` | model | class | unit | order |", "| --- | --- | --- | --- | --- |"]
    return "\n".join(head + rows)


def with_tables(text: str) -> str:
    """Return a README with its made part as the code says today."""
    made = f"<!-- models: made by docs/_ext/readme.py -->\n\n{models()}\n\n<!-- models end -->"
    return re.sub(r"<!-- models: .*<!-- models end -->", lambda _: made, text, flags=re.S)


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")
