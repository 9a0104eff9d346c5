"""Spool: columns in memory and in files, what is kept of them, and cache entries."""

import json
import os

import numpy as np
import pytest

from minidlrm.data import spool as spools
from minidlrm.data.spool import Spool, cached, open_entry


@pytest.fixture(params=["memory", "files"])
def spool(request, tmp_path):
    made = Spool(tmp_path if request.param == "files" else None)
    yield made
    made.clear()


def test_blocks_of_a_column_are_one_array(spool):
    for block in ([1, 2], [3], [4, 5]):
        spool.append("a", np.array(block, np.int32))
    assert spool.column("a").tolist() == [1, 2, 3, 4, 5]
    assert spool.column("a").dtype == np.int32
    for block in ([6], [7]):
        spool.append("d", np.array(block))
    assert spool.column("d").tolist() == [6, 7]
    assert spool.column("b").tolist() == []
    spool.append("c", np.zeros(0, np.int8))
    assert spool.column("c").dtype == np.int8


def test_one_block_in_memory_is_not_copied():
    spool, block = Spool(), np.arange(3)
    spool.append("a", block)
    assert spool.column("a") is block


def test_an_output_is_kept_in_a_file_unless_it_is_empty_or_in_memory(tmp_path):
    files = Spool(tmp_path)
    for shape, mapped in (((2, 1), True), ((1,), True), ((0,), False), ((3, 0), False)):
        assert isinstance(files.output(f"a{shape}", np.int8, shape), np.memmap) == mapped
    assert type(Spool().output("a", np.int8, (2, 1))) is np.ndarray


def test_a_column_is_kept_as_it_is(spool):
    spool.append("a", np.arange(6.0))
    spool.keep("a", (3, 2))
    assert spool.outputs["a"].tolist() == [[0, 1], [2, 3], [4, 5]]


def test_a_kept_column_of_files_is_a_file_and_one_without_rows_is_not(tmp_path):
    spool = Spool(tmp_path)
    spool.append("a", np.arange(3))
    spool.keep("a", (3, 1))
    spool.keep("b", (0, 2))
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]
    assert isinstance(spool.outputs["a"], np.memmap)
    assert spool.outputs["b"].shape == (0, 2)


def filled(spool):
    spool.output("train.ids", np.int32, (2, 1))[...] = [[3], [4]]
    spool.output("train.dense", np.float32, (2, 0))
    spool.append("rest", np.arange(3))


def test_an_entry_is_written_once_and_read_back(tmp_path):
    calls = []
    for _ in range(2):
        cached(tmp_path / "entry", lambda spool: (calls.append(1), filled(spool)))
    assert calls == [1]
    stored = open_entry(tmp_path / "entry")
    assert stored.arrays["train.ids"].tolist() == [[3], [4]]
    assert isinstance(stored.arrays["train.ids"], np.memmap)
    assert stored.arrays["train.dense"].shape == (2, 0)
    assert sorted(os.listdir(tmp_path / "entry")) == ["meta.json", "train.ids.bin"]
    assert os.listdir(tmp_path) == ["entry"]


def remove(entry):
    (entry / "train.ids.bin").unlink()


def change(entry):
    (entry / "train.ids.bin").write_bytes(bytes(8))


def redescribe(entry):
    whole = json.loads((entry / "meta.json").read_text())
    text = whole["text"].replace("<i4", "<u4")
    (entry / "meta.json").write_text(json.dumps({**whole, "text": text}))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (remove, "train.ids.bin is missing"),
        (change, "train.ids.bin has changed"),
        (redescribe, "meta.json: its description has changed"),
        (lambda entry: (entry / "meta.json").unlink(), "meta.json: .*No such file"),
    ],
    ids=["removed", "changed", "redescribed", "undescribed"],
)
def test_a_damaged_entry_is_made_anew(tmp_path, damage, words):
    cached(tmp_path / "entry", filled)
    damage(tmp_path / "entry")
    with pytest.warns(UserWarning, match=words):
        cached(tmp_path / "entry", filled)
    assert open_entry(tmp_path / "entry").arrays["train.ids"].tolist() == [[3], [4]]


def test_what_dead_processes_left_is_removed_and_what_living_ones_have_is_not(tmp_path):
    dead, alive, other = ".999999999-x-table", f".{os.getpid()}-x-table", ".mine-table"
    for name in (dead, alive, other):
        (tmp_path / name).mkdir()
    assert spools._alive(1)
    cached(tmp_path / "entry", filled)
    assert sorted(os.listdir(tmp_path)) == sorted([alive, other, "entry"])
