"""How the pages that are made are written."""

from pathlib import Path


def put(path: Path, text: str) -> None:
    """Write a text file, unless it is there already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def heading(text: str, line: str) -> str:
    """Return a title in reStructuredText."""
    return f"{text}\n{line * max(4, 2 * len(text))}\n\n"
