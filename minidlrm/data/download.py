"""download: public data sets, downloaded with a checksum and unpacked. Nothing is bundled."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minidlrm.languages import Message


@dataclass(frozen=True)
class Source:
    """Where a data set comes from.

    Parameters
    ----------
    url : str
        Address of the archive.
    checksum : str
        "sha256:..." or "md5:...", as the publisher or many users give it.
    result : str
        The path that the readers take, inside the folder of all data sets.
    size : str
        The size of the archive, for the message to the user.
    page : str
        The page with its terms of use.
    in_folder : bool
        Whether the archive holds one folder of the name of `result`; else its files go into
        the folder above `result`.
    """

    url: str
    checksum: str
    result: str
    size: str
    page: str
    in_folder: bool = True


_GROUPLENS = "https://files.grouplens.org/datasets/movielens"
_TERMS = "https://grouplens.org/datasets/movielens/"
SOURCES = {
    "movielens-latest-small": Source(
        f"{_GROUPLENS}/ml-latest-small.zip",
        "sha256:696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
        "ml-latest-small",
        "1 MB",
        _TERMS,
    ),
    "movielens-100k": Source(
        f"{_GROUPLENS}/ml-100k.zip",
        "sha256:50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
        "ml-100k",
        "5 MB",
        _TERMS,
    ),
    "movielens-1m": Source(
        f"{_GROUPLENS}/ml-1m.zip",
        "sha256:a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
        "ml-1m",
        "6 MB",
        _TERMS,
    ),
    "criteo-kaggle": Source(
        "https://criteostorage.blob.core.windows.net/criteo-research-datasets/"
        "kaggle-display-advertising-challenge-dataset.tar.gz",
        "md5:df9b1b3766d9ff91d5ca3eb3d23bed27",
        "criteo-kaggle/train.txt",
        Message("4.6 GB; unpacked, 13 GB"),
        "https://ailab.criteo.com/ressources/",
        in_folder=False,
    ),
}


def fetch(name: str, folder: str | os.PathLike | None = None, *, progress: bool = True) -> Path:
    """Download a data set, check it, and unpack it, unless it is there already.

    An archive that was downloaded by hand is used when it lies in the folder under its own
    name. It is checked too, and it is removed when it is unpacked.

    Parameters
    ----------
    name : str
        A key of ``SOURCES``, such as "movielens-100k".
    folder : path, optional
        The folder of all data sets. The default is the variable MINIDLRM_DATA, or else the
        user's cache folder.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Path
        The path to give to the reader, such as `movielens_ratings` or `read_criteo`.

    Raises
    ------
    ValueError
        When the name is unknown, or the archive does not have the published checksum.
    ConnectionError
        When the archive cannot be downloaded; the message says where to get it and where to
        put it.
    FileExistsError
        When the data set's folder exists, but not the file that the readers take.

    Examples
    --------
    >>> from minidlrm.data import fetch
    >>> fetch("movielens-100k")  # doctest: +SKIP
    PosixPath('/home/ada/.cache/minidlrm/ml-100k')

    A data set that is already there is not downloaded again:

    >>> import pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> (folder / "ml-100k").mkdir()
    >>> fetch("movielens-100k", folder) == folder / "ml-100k"
    True
    """
    if name not in SOURCES:
        raise ValueError(
            Message(
                "data set {name} is not known: {names}", name=repr(name), names=", ".join(SOURCES)
            )
        )
    source, folder = SOURCES[name], _folder(folder)
    result = folder / source.result
    if not result.exists():
        target = folder / Path(source.result).parts[0]
        if target.exists():  # before gigabytes are downloaded for nothing
            raise FileExistsError(
                Message(
                    "{target} exists, but {result} does not: move the folder away, and fetch again",
                    target=target,
                    result=result,
                )
            )
        folder.mkdir(parents=True, exist_ok=True)
        archive = _download(source, folder, progress)
        _unpack(archive, source, folder)
        archive.unlink()
    return result


def _folder(folder: str | os.PathLike | None) -> Path:
    import pooch

    chosen = folder or os.environ.get("MINIDLRM_DATA") or pooch.os_cache("minidlrm")
    return Path(chosen).expanduser()


def _download(source: Source, folder: Path, progress: bool) -> Path:
    """Return the archive; one with another checksum is not kept."""
    import pooch
    import requests

    file = source.url.rpartition("/")[2]
    arguments: dict[str, Any] = {"fname": file, "path": folder, "progressbar": progress}
    pooch.get_logger().setLevel("WARNING")
    try:
        return Path(pooch.retrieve(source.url, source.checksum, **arguments))
    except requests.RequestException as error:
        words = Message(
            "{url} cannot be reached ({error}). Get it by hand ({size}; terms at {page}), put "
            "{file} into {folder}, and run this again",
            url=source.url,
            error=type(error).__name__,
            size=source.size,
            page=source.page,
            file=file,
            folder=folder,
        )
        if (folder / file).exists():
            bad = Message(
                "{path} does not have the checksum {checksum}, and ",
                path=folder / file,
                checksum=source.checksum,
            )
            words = bad + words
        raise ConnectionError(words) from None
    except ValueError as error:  # pooch has removed its temporary file
        found = str(error).partition("but got ")[2].partition(".")[0]
        raise ValueError(
            Message(
                "{url}: the archive does not have the published checksum {checksum}, but {found}; "
                "nothing of it was kept",
                url=source.url,
                checksum=source.checksum,
                found=found,
            )
        ) from None


def _unpack(archive: Path, source: Source, folder: Path) -> None:
    """Unpack into a folder of its own, then move it to its place: all of it, or nothing."""
    target = folder / Path(source.result).parts[0]
    safely: dict[str, Any] = {} if archive.suffix == ".zip" else {"filter": "data"}
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unpacking-") as temporary:
        unpacked = Path(temporary) / target.name
        shutil.unpack_archive(archive, temporary if source.in_folder else unpacked, **safely)
        if not (Path(temporary) / source.result).exists():
            raise ValueError(
                Message(
                    "{archive} does not contain {result}",
                    archive=archive.name,
                    result=source.result,
                )
            )
        os.replace(unpacked, target)
