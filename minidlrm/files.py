"""Files are put in place whole: a crash leaves the old one, or the new one, and no litter."""

from __future__ import annotations

import itertools
import os
import platform
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_count = itertools.count()  # several threads of a process may write to one path
_HOST = f"{zlib.crc32(platform.node().encode()):08x}"  # process numbers are those of a machine


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a path to write to, and put the file in the place of `path` when all is written.

    Parameters
    ----------
    path : path
        The file. Its folder must exist. Of a symbolic link, the file that it names is replaced.

    Yields
    ------
    Path
        A name beside it, to write to. When the block raises, what was written is removed, and
        `path` is as it was. What a killed process has left there is removed first.

    Raises
    ------
    OSError
        When the file cannot be written, or the block has written nothing.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from minidlrm.files import replacing
    >>> goal = pathlib.Path(tempfile.mkdtemp()) / "metrics.json"
    >>> with replacing(goal) as temporary:
    ...     _ = temporary.write_text("{}")
    >>> goal.read_text()
    '{}'
    """
    path = Path(os.path.realpath(path))
    check_writable(path)
    start = f".{path.name[:50]}.{_HOST}-"
    _remove_left_over(path.parent, start)
    temporary = path.with_name(f"{start}{os.getpid()}-{next(_count)}.tmp")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Raise OSError when a file cannot be put there: the folder is missing or is read-only."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder {path.parent} does not exist: {path} is not written")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: a file cannot take its place")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"the folder {path.parent} is read-only: {path} is not written")


def _remove_left_over(folder: Path, start: str) -> None:
    """Remove the temporary files of processes of this machine that have ended."""
    with suppress(OSError):  # the folder cannot be listed, or another process was faster
        for entry in os.scandir(folder):
            number = entry.name.removeprefix(start).partition("-")[0]
            mine = entry.name.startswith(start) and entry.name.endswith(".tmp")
            if mine and number.isdecimal() and not _is_alive(int(number)):
                os.unlink(entry.path)


def _is_alive(number: int) -> bool:
    if os.name == "nt":  # there, signal 0 ends a process
        return True
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it belongs to somebody else
        return True
    return True


def _sync_folder(folder: Path) -> None:
    """Let the new name reach the disk; not every system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
