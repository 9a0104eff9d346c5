"""download: from a server of this machine; nothing here needs the network."""

import dataclasses
import hashlib
import io
import logging
import os
import tarfile
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pooch
import pytest

from minidlrm.data.download import SOURCES, fetch


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Serve a zip and a tar as two of the sources, with their checksums."""
    site = tmp_path / "site"
    site.mkdir()
    with zipfile.ZipFile(site / "ml-100k.zip", "w") as archive:
        archive.writestr("ml-100k/u.data", "1\t2\t3\t4\n")
    with tarfile.open(site / "criteo.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("train.txt")
        member.size = 5
        archive.addfile(member, io.BytesIO(b"0\t1\t2"))
    handler = partial(SimpleHTTPRequestHandler, directory=str(site))
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, file in (("movielens-100k", "ml-100k.zip"), ("criteo-kaggle", "criteo.tar.gz")):
        digest = hashlib.sha256((site / file).read_bytes()).hexdigest()
        url = f"http://127.0.0.1:{server.server_port}/{file}"
        replace(monkeypatch, name, url=url, checksum=f"sha256:{digest}")
    yield server
    server.shutdown()
    server.server_close()


def replace(monkeypatch, name, **changes):
    monkeypatch.setitem(SOURCES, name, dataclasses.replace(SOURCES[name], **changes))


def stop(server):
    server.shutdown()
    server.server_close()


def test_an_archive_is_unpacked_and_removed(served, tmp_path):
    data = tmp_path / "data"
    path = fetch("movielens-100k", data, progress=False)
    assert path == data / "ml-100k"
    assert (path / "u.data").read_text() == "1\t2\t3\t4\n"
    path = fetch("criteo-kaggle", data, progress=False)
    assert path == data / "criteo-kaggle" / "train.txt"
    assert path.read_text() == "0\t1\t2"
    assert sorted(os.listdir(data)) == ["criteo-kaggle", "ml-100k"]


def test_what_is_there_needs_no_network(served, tmp_path):
    fetch("movielens-100k", tmp_path, progress=False)
    stop(served)
    assert fetch("movielens-100k", tmp_path, progress=False) == tmp_path / "ml-100k"


def test_an_archive_put_there_by_hand_is_used(served, tmp_path):
    stop(served)
    (tmp_path / "ml-100k.zip").write_bytes((tmp_path / "site" / "ml-100k.zip").read_bytes())
    assert (fetch("movielens-100k", tmp_path, progress=False) / "u.data").is_file()


def test_without_network_it_says_where_to_get_it_and_where_to_put_it(served, tmp_path):
    stop(served)
    with pytest.raises(ConnectionError) as caught:
        fetch("movielens-100k", tmp_path / "data", progress=False)
    for text in (SOURCES["movielens-100k"].url, f"put ml-100k.zip into {tmp_path / 'data'}"):
        assert text in str(caught.value)
    assert list((tmp_path / "data").iterdir()) == []


def test_a_server_that_has_no_such_file(served, tmp_path, monkeypatch):
    replace(monkeypatch, "movielens-100k", url=SOURCES["movielens-100k"].url + ".gone")
    with pytest.raises(ConnectionError, match="HTTPError"):
        fetch("movielens-100k", tmp_path / "data", progress=False)


def test_a_wrong_checksum_is_refused_and_nothing_kept(served, tmp_path, monkeypatch):
    replace(monkeypatch, "movielens-100k", checksum="sha256:" + "0" * 64)
    with pytest.raises(ValueError, match="does not have the published checksum sha256:0000"):
        fetch("movielens-100k", tmp_path / "data", progress=False)
    assert list((tmp_path / "data").iterdir()) == []


def test_a_crash_while_unpacking_leaves_no_half_of_it(served, tmp_path, monkeypatch):
    def crash(archive, folder, **_):
        os.makedirs(os.path.join(folder, "ml-100k"))
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("shutil.unpack_archive", crash)
        with pytest.raises(OSError, match="disk full"):
            fetch("movielens-100k", tmp_path / "data", progress=False)
    assert os.listdir(tmp_path / "data") == ["ml-100k.zip"]
    assert (fetch("movielens-100k", tmp_path / "data", progress=False) / "u.data").is_file()


def test_the_folder_comes_from_the_environment(served, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIDLRM_DATA", str(tmp_path / "mine"))
    assert fetch("movielens-100k", progress=False) == tmp_path / "mine" / "ml-100k"


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'netflix' is not known: movielens-latest-small, movie"):
        fetch("netflix")


def test_the_checksum_that_was_found_is_told(served, tmp_path, monkeypatch):
    found = SOURCES["movielens-100k"].checksum.removeprefix("sha256:")
    replace(monkeypatch, "movielens-100k", checksum="sha256:" + "0" * 64)
    with pytest.raises(ValueError, match=f"but {found}; nothing of it was kept"):
        fetch("movielens-100k", tmp_path / "data", progress=False)


def test_a_damaged_archive_put_there_by_hand_is_named(served, tmp_path):
    stop(served)
    (tmp_path / "ml-100k.zip").write_bytes(b"cut short")
    with pytest.raises(ConnectionError, match="ml-100k.zip does not have the checksum sha256:"):
        fetch("movielens-100k", tmp_path, progress=False)


def test_a_folder_in_the_way_is_named_before_the_download(served, tmp_path):
    stop(served)
    (tmp_path / "criteo-kaggle").mkdir()
    with pytest.raises(FileExistsError, match="criteo-kaggle exists, but .*train.txt does not"):
        fetch("criteo-kaggle", tmp_path, progress=False)


def test_a_tilde_is_the_home_folder(served, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    assert fetch("movielens-100k", "~/data", progress=False) == tmp_path / "home/data/ml-100k"


def test_it_is_silent_without_progress(served, tmp_path):
    text = io.StringIO()  # pooch's handler holds the stderr of its import: capsys would miss it
    handler = logging.StreamHandler(text)
    pooch.get_logger().addHandler(handler)
    try:
        fetch("movielens-100k", tmp_path, progress=False)
    finally:
        pooch.get_logger().removeHandler(handler)
    assert text.getvalue() == ""


def test_a_tar_cannot_write_outside_its_folder(served, tmp_path, monkeypatch):
    file = tmp_path / "site" / "criteo.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../../evil"))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    replace(monkeypatch, "criteo-kaggle", checksum=f"sha256:{digest}")
    with pytest.raises(tarfile.FilterError):
        fetch("criteo-kaggle", tmp_path / "data", progress=False)
    assert not (tmp_path / "data" / "evil").exists()


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_has_a_checksum(name):
    kind, _, digest = SOURCES[name].checksum.partition(":")
    assert len(bytes.fromhex(digest)) == {"sha256": 32, "md5": 16}[kind]
    assert SOURCES[name].url.startswith("https://")
    assert SOURCES[name].page.startswith("https://")
