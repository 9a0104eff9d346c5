"""Digests of files: every byte counts, in whatever piece it is."""

import hashlib
import zlib

import pytest

from minidlrm.data import digests


@pytest.mark.parametrize("quick", [False, True])
def test_a_change_of_any_byte_of_the_length_or_of_the_order_shows(tmp_path, monkeypatch, quick):
    monkeypatch.setattr(digests, "_PIECE", 8)
    monkeypatch.setattr(digests, "_BUFFER", 3)
    content = bytes(range(20))
    others = [content[:k] + bytes([content[k] ^ 1]) + content[k + 1 :] for k in range(20)]
    others += [content[:-1], content + b"\0", content[8:16] + content[:8] + content[16:], b""]
    paths = [tmp_path / str(k) for k in range(1 + len(others))]
    for path, data in zip(paths, [content, *others], strict=True):
        path.write_bytes(data)
    found = digests.digests_of(paths, quick)
    assert len(set(found)) == len(found)
    assert found == [digests.digests_of([path], quick)[0] for path in paths]


@pytest.mark.parametrize("quick", [False, True])
def test_the_digest_is_what_it_was_so_that_caches_are_found_again(tmp_path, quick):
    piece = 16 << 20
    content = bytes(piece) + b"\1"  # one byte lies in the second piece
    (tmp_path / "a").write_bytes(content)
    total = hashlib.sha256(str(piece + 1).encode())
    for part in (content[:piece], content[piece:]):
        total.update(
            zlib.crc32(part).to_bytes(4, "little") if quick else hashlib.sha256(part).digest()
        )
    assert digests.digests_of([tmp_path / "a"], quick) == [total.hexdigest()]
