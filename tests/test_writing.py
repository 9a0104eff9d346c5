"""Results as files: whole, or as they were."""

import json

import pytest

from minidlrm import writing
from minidlrm.interrupts import is_interrupt


def test_numbers_that_json_does_not_have_are_null(tmp_path):
    writing.write_json(tmp_path / "a.json", {"x": [1.5, float("nan")], "y": float("-inf")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": [1.5, None], "y": None}


def test_a_figure_that_fails_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.png"
    writing.write_figure(path, lambda ax: ax.plot([0, 1]))
    before = path.read_bytes()
    assert before[:4] == b"\x89PNG"
    with pytest.raises(ZeroDivisionError):
        writing.write_figure(path, lambda ax: 1 / 0)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_the_files_are_named_with_their_folder(tmp_path):
    assert (
        writing.wrote(tmp_path, "a.png", "b.json", "c.md")
        == f"wrote a.png, b.json and c.md in {tmp_path}"
    )
    assert writing.wrote(tmp_path, "a.png") == f"wrote a.png in {tmp_path}"


def chained(error, **links):
    for name, other in links.items():
        setattr(error, name, other)
    return error


def test_an_interrupt_is_found_behind_a_system_error_and_nowhere_else():
    interrupt = KeyboardInterrupt()
    assert is_interrupt(interrupt)
    assert is_interrupt(chained(SystemError(), __cause__=interrupt))
    assert is_interrupt(chained(SystemError(), __context__=interrupt))
    assert is_interrupt(
        chained(SystemError(), __cause__=chained(SystemError(), __cause__=interrupt))
    )
    assert not is_interrupt(SystemError())
    assert not is_interrupt(chained(ValueError(), __context__=interrupt))
    assert not is_interrupt(None)
