"""What a class has handed in: an entry for each student, and the one file in it to grade.

An entry is a .py, an .ipynb, a .zip, or a folder. Links are not followed, and nothing is unpacked
but the one file that counts.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath

from minidlrm.grading.assignment import Assignment
from minidlrm.languages import Message

LARGEST = 50 << 20  # bytes of a file that is handed in
_MOST = 2000  # files of a folder or an archive
_DIRECTORY = 1 << 20  # bytes of the list of files in an archive
_SUFFIXES = (".py", ".ipynb")


def submissions(folder: Path) -> dict[str, Path]:
    """Return the submissions of a class by student: a file or a folder each.

    Raises
    ------
    ValueError
        When it is not a folder, is empty, or two entries have the same name.
    """
    if not folder.is_dir():
        raise ValueError(Message("{folder} is not a folder of submissions", folder=folder))
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "__")):
            continue
        name = path.name if path.is_dir() else path.stem
        name = os.fsencode(name).decode("utf-8", "backslashreplace")  # of another encoding
        if name in found:
            raise ValueError(
                Message(
                    "{folder}: {first} and {second} belong to the same student",
                    folder=folder,
                    first=found[name].name,
                    second=path.name,
                )
            )
        found[name] = path
    if not found:
        raise ValueError(
            Message(
                "{folder} is empty: put a file or a folder for each student into it", folder=folder
            )
        )
    return found


def the_file(assignment: Assignment, path: Path, folder: Path) -> Path:
    """Find the one file to grade, and copy it into a folder: the original is never run.

    Raises
    ------
    ValueError
        When there is no such file, or more than one.
    """
    if not path.exists():
        raise ValueError(Message("{file} does not exist", file=path))
    if path.is_symlink():  # to the solutions, or to what another has handed in
        raise ValueError(Message("{file} is a link: hand in the file itself", file=path.name))
    if path.suffix == ".zip":
        return _from_archive(assignment, path, folder)
    if path.is_dir():
        names = list(_files(path))
        path = path / _chosen(assignment, path.name, names)
    if path.suffix not in _SUFFIXES or not path.is_file():
        raise ValueError(Message("{file} is neither a .py nor a .ipynb", file=path.name))
    if path.stat().st_size > LARGEST:
        raise ValueError(_too_large(path))
    copy = folder / f"submission{path.suffix}"
    copy.write_bytes(path.read_bytes())
    return copy


def _too_large(path: Path) -> str:
    size = f"{path.stat().st_size:,}"
    return Message("{file} has {size} bytes: too large", file=path.name, size=size)


def _too_many(path: Path) -> str:
    return Message("{file} holds more than {most} files", file=path.name, most=f"{_MOST:,}")


def _files(folder: Path) -> Iterator[str]:
    """Yield the files of a folder that may be graded, by their paths in it."""
    seen = 0
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        seen += len(folders) + len(names)
        if seen > _MOST:
            raise ValueError(_too_many(folder))
        for name in sorted(names):
            path = Path(at, name)
            if path.suffix in _SUFFIXES and path.is_file() and not path.is_symlink():
                yield path.relative_to(folder).as_posix()


def _chosen(assignment: Assignment, where: str, names: list[str]) -> str:
    """Return the one file to grade: the one that is named like the assignment, or the only one."""
    prefix = assignment.source.stem
    found = [
        name
        for suffix in _SUFFIXES
        for name in sorted(names)
        if name.endswith(suffix)
        and not any(part.startswith((".", "__")) for part in PurePosixPath(name).parts)
    ]
    named = [name for name in found if PurePosixPath(name).stem.lower().startswith(prefix.lower())]
    if not named and len(found) != 1:
        raise ValueError(
            Message(
                "{folder} holds {number} files; none is named {name}",
                folder=where,
                number=len(found),
                name=f"{prefix}.py",
            )
        )
    return (named or found)[0]


def _from_archive(assignment: Assignment, path: Path, folder: Path) -> Path:
    """Read the one file out of an archive, after a look at how large the archive says it is."""
    if path.stat().st_size > LARGEST:
        raise ValueError(_too_large(path))
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (1 << 16) - 22))
        tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end >= 0 and int.from_bytes(tail[end + 12 : end + 16], "little") > _DIRECTORY:
        raise ValueError(Message("{file} holds too many files", file=path.name))
    with zipfile.ZipFile(path) as archive:
        if len(archive.infolist()) > _MOST:
            raise ValueError(_too_many(path))
        names = [each.filename for each in archive.infolist() if not each.is_dir()]
        name = _chosen(assignment, path.name, names)
        with archive.open(name) as file:
            data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(Message("{file} is too large when unpacked", file=path.name))
    copy = folder / f"submission{PurePosixPath(name).suffix}"
    copy.write_bytes(data)
    return copy


def digest(path: Path) -> str:
    """Return a hash of what was handed in."""
    total = hashlib.sha256(os.fsencode(path.name))
    try:
        names = [path / name for name in _files(path)] if path.is_dir() else [path]
    except ValueError:
        names = []
    for file in names:
        total.update(os.fsencode(file.name))
        try:
            if file.is_file() and not file.is_symlink() and file.stat().st_size <= LARGEST:
                total.update(file.read_bytes())
        except OSError:  # what cannot be read is said when it is graded
            pass
    return total.hexdigest()[:16]


def time_of(path: Path) -> float:
    """Return when an entry was handed in: the newest time of its files."""
    try:
        names = [path / name for name in _files(path)] if path.is_dir() else []
    except ValueError:
        names = []
    return max(each.lstat().st_mtime for each in names or [path])


@lru_cache(maxsize=1)
def grader_digest() -> str:
    """Return a hash of all that judges: the grader and the checker of gradients."""
    total = hashlib.sha256()
    package = Path(__file__).parent.parent
    for folder in ("grading", "checking"):
        for file in sorted((package / folder).rglob("*.py")):
            total.update(file.read_bytes())
    return total.hexdigest()[:16]
