"""digest_of: a SHA-256 of files, several pieces at a time; it tells whether content has changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_PIECE = 16 << 20  # bytes that one thread reads
_BUFFER = 1 << 18
_WORKERS = 2


def digests_of(paths: Sequence[Path]) -> list[str]:
    """Return a digest of the content of each file: the SHA-256 of those of its pieces.

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
        hashes = list(pool.map(lambda piece: _piece(paths[piece[0]], piece[1]), pieces))
    totals = [hashlib.sha256(str(size).encode()) for size in sizes]
    for (number, _), digest in zip(pieces, hashes, strict=True):
        totals[number].update(digest)
    return [total.hexdigest() for total in totals]


def _piece(path: Path, start: int) -> bytes:
    total, view = hashlib.sha256(), memoryview(bytearray(_BUFFER))
    with open(path, "rb", buffering=0) as file:
        file.seek(start)
        left = _PIECE
        while left > 0 and (count := file.readinto(view[:left])):
            total.update(view[:count])
            left -= count
    return total.digest()
