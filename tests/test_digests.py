"""Digests of files: every byte counts, in whatever piece it is."""

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
