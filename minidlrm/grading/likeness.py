"""Files that are equal, or nearly so: a remark for the teacher, and no more than that.

Compared are the tokens of what students wrote themselves: comments, layout and the text of the
released file do not count. Short files are not compared: there right answers are alike.
"""

from __future__ import annotations

import io
import keyword
import tokenize
from collections.abc import Sequence
from pathlib import Path

from minidlrm.grading.reading import StudentError, cells_of
from minidlrm.languages import Message

_SHORTEST = 80  # tokens
_NEAR = 0.95  # share of tokens that two files have in common, in the same order
_DROPPED = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
    tokenize.INDENT,
    tokenize.DEDENT,
}


def tokens_of(path: Path, released: str) -> list[str]:
    """Return the tokens of the lines that are not in the released file."""
    given = {line.strip() for line in released.splitlines()}
    try:
        cells = cells_of(path)
    except StudentError:
        return []
    lines = [line for cell in cells for line in cell.splitlines() if line.strip() not in given]
    found: list[str] = []
    for line in lines:
        try:
            parts = list(tokenize.generate_tokens(io.StringIO(line.strip() + "\n").readline))
        except (tokenize.TokenError, SyntaxError):  # a part of a longer statement
            found += line.split()
            continue
        found += [part.string for part in parts if part.type not in _DROPPED]
    return found


def _renamed(tokens: Sequence[str]) -> list[str]:
    """Return the tokens with names by the order in which they first occur."""
    numbers: dict[str, str] = {}
    return [
        numbers.setdefault(token, f"n{len(numbers)}")
        if token.isidentifier() and not keyword.iskeyword(token)
        else token
        for token in tokens
    ]


def alike(files: dict[str, Sequence[str]]) -> list[tuple[str, str, str]]:
    """Return the pairs of students whose tokens are alike, and in what way.

    Parameters
    ----------
    files : dict
        The tokens of each student's file, by the student.

    Returns
    -------
    list of (student, student, words)
    """
    from rapidfuzz import process
    from rapidfuzz.distance import Indel

    names = [name for name, tokens in files.items() if len(tokens) >= _SHORTEST]
    if len(names) < 2:
        return []
    numbers: dict[str, int] = {}
    coded = [
        [numbers.setdefault(token, len(numbers)) for token in _renamed(files[name])]
        for name in names
    ]
    near = process.cdist(
        coded, coded, scorer=Indel.normalized_similarity, score_cutoff=_NEAR, processor=None
    )
    found: list[tuple[str, str, str]] = []
    for i, first in enumerate(names):
        for j in range(i):
            if near[i, j] < _NEAR:
                continue
            words = Message("{share} or more of its tokens are those of", share=f"{_NEAR:.0%}")
            if coded[i] == coded[j]:
                words = Message("it has the same tokens as")
                if files[first] != files[names[j]]:
                    words = Message("but for its names it has the same tokens as")
            found.append((first, names[j], words))
    return found
