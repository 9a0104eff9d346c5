"""Make the folder of a new assignment: a small one that works, to be changed bit by bit."""

from __future__ import annotations

import re
from pathlib import Path

from minidlrm.grading.assignment import NAME, names
from minidlrm.grading.release import write
from minidlrm.languages import Message


def new(folder: str | Path) -> list[Path]:
    """Write an assignment that passes `minidlrm grade test`; it is called like its folder.

    Parameters
    ----------
    folder : path
        Created; it must not exist, or be empty.

    Returns
    -------
    list of Path
        Its source, its checks and its wrong answers.

    Raises
    ------
    ValueError
        When the folder's name cannot be that of tasks, or is one of minidlrm's.
    FileExistsError
        When there is something in the folder.
    """
    folder = Path(folder)
    name = folder.resolve().name
    if not re.fullmatch(NAME, name) or not name.isascii():
        raise ValueError(
            Message(
                "{name!r} cannot be the name of tasks: use letters, digits and _, such as 'week3'",
                name=name,
            )
        )
    if name.upper() in names():
        raise ValueError(
            Message("{name!r} is an assignment of minidlrm: choose another name", name=name)
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(
            Message("{folder} exists already, and is not an empty folder", folder=folder)
        )
    here = Path(__file__).parent / "template"
    written = []
    for part, goal in (("source", name), ("checks", "checks"), ("wrong", "wrong")):
        text = (here / f"{part}.py").read_text(encoding="utf-8")
        path = folder / f"{goal}.py"
        write(path, re.sub(r"\bNAME\b", name, text))
        written.append(path)
    return written
