"""The tutorials: where they are, and copies of them for a reader to write in."""

from __future__ import annotations

import shutil
from pathlib import Path


def source() -> Path:
    """Return the folder of the originals: in the installed package, or in the repository.

    Raises
    ------
    FileNotFoundError
        When the package was installed without them.
    """
    package = Path(__file__).parent
    for folder in (package / "notebooks", package.parent / "notebooks"):
        if any(folder.glob("[0-9]*.ipynb")):
            return folder
    raise FileNotFoundError(
        "the tutorials were not installed: install minidlrm from its repository or its wheel"
    )


def copy_to(folder: str | Path) -> tuple[list[Path], list[Path]]:
    """Copy the tutorials, translations included; files that exist already stay as they are.

    Parameters
    ----------
    folder : path
        Created if needed.

    Returns
    -------
    (list of Path, list of Path)
        The files that were copied, and those that existed already.

    Raises
    ------
    NotADirectoryError
        When `folder` is a file.

    Examples
    --------
    >>> import tempfile
    >>> from minidlrm import tutorials
    >>> copied, kept = tutorials.copy_to(tempfile.mkdtemp())
    >>> copied[0].name, kept
    ('00_how_to_check_a_gradient.ipynb', [])
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file: the tutorials need a folder")
    copied, kept = [], []
    originals = source()
    for original in [*sorted(originals.glob("*.*")), *sorted(originals.glob("??/*.*"))]:
        if original.suffix not in (".ipynb", ".md", ".svg"):
            continue
        copy = folder / original.relative_to(originals)
        if copy.exists():
            kept.append(copy)
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        part = copy.with_suffix(".part")
        shutil.copyfile(original, part)
        part.replace(copy)  # a copy is complete, or does not exist
        copied.append(copy)
    return copied, kept
