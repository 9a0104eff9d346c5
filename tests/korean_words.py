"""The words of the Korean glossary that other books use, and we do not."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
KO = ROOT / "notebooks" / "ko"


def other_words():
    """Return the words of other books that we do not use."""
    text = (KO / "glossary.md").read_text(encoding="utf-8")
    table = text.split("## 다른 책에서 만나는 말")[1]
    rows = re.findall(r"^\| [a-z][^|]* \| [^|]* \| ([^|]*) \|", table, re.M)
    return [word.strip() for row in rows for word in row.split(",")]
