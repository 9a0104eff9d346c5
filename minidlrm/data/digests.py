"""Digests of files, made of several pieces at a time; they tell whether content has changed."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_PIECE = 16 << 20  # bytes that one thread reads
_BUFFER = 1 << 18
_WORKERS = 2


def digests_of(paths: Sequence[Path], quick: bool = False) -> list[str]:
    """Return a digest of the content of each file: the SHA-256 of those of its pieces.

    Parameters
    ----------
    paths : sequence of Path
        The files.
    quick : bool
        Whether a piece counts by its CRC-32: enough to find damage, and several times as fast.

    Raises
    ------
    OSError
        When a file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from minidlrm.data.digests import digests_of
    >>> paths = [Path(tempfile.mkdtemp()) / name for name in "ab"]
    >>> [path.write_bytes(b"same") for path in paths]
    [4, 4]
    >>> len(set(digests_of(paths)))
    1
    """
    sizes = [os.stat(path).st_size for path in paths]
    pieces = [
        (number, start)
        for number, size in enumerate(sizes)
        for start in range(0, max(size, 1), _PIECE)
    ]
    with ThreadPoolExecutor(_WORKERS) as pool:
        hashes = list(pool.map(lambda piece: _piece(paths[piece[0]], piece[1], quick), pieces))
    totals = [hashlib.sha256(str(size).encode()) for size in sizes]
    for (number, _), digest in zip(pieces, hashes, strict=True):
        totals[number].update(digest)
    return [total.hexdigest() for total in totals]


def _piece(path: Path, start: int, quick: bool) -> bytes:
    total, check, left = hashlib.sha256(), 0, _PIECE
    view = memoryview(bytearray(_BUFFER))
    with open(path, "rb", buffering=0) as file:
        file.seek(start)
        while count := file.readinto(view[:left]):  # 0 where nothing is left
            if quick:
                check = zlib.crc32(view[:count], check)
            else:
                total.update(view[:count])
            left -= count
    return check.to_bytes(4, "little") if quick else total.digest()
