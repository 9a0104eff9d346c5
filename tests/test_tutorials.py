"""`minidlrm learn`: copies for the reader, and nothing of the reader's is lost."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from minidlrm import tutorials


def learn(*arguments, cwd):
    command = [sys.executable, "-c", "from minidlrm.cli import main; main()", "learn"]
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, timeout=120
    )


def test_all_notebooks_are_copied(tmp_path):
    copied, kept = tutorials.copy_to(tmp_path / "new" / "course")
    assert kept == []
    names = {path.name for path in copied}
    assert names >= {path.name for path in tutorials.source().glob("*.ipynb")}
    assert not list(tmp_path.rglob("*.part"))


def test_links_between_the_copies_lead_somewhere(tmp_path):
    copied, _ = tutorials.copy_to(tmp_path)
    for path in copied:
        for target in re.findall(r"\]\(([^)#\s:]+)\)", path.read_text(encoding="utf-8")):
            if target.endswith((".md", ".ipynb")):
                assert (path.parent / target).exists(), (path, target)


def test_what_the_reader_wrote_is_kept(tmp_path):
    copied, _ = tutorials.copy_to(tmp_path)
    copied[0].write_text("mine")
    copied[1].unlink()
    again, kept = tutorials.copy_to(tmp_path)
    assert again == [copied[1]]
    assert len(kept) == len(copied) - 1
    assert copied[0].read_text() == "mine"


def test_the_originals_are_not_what_is_opened(tmp_path):
    copied, _ = tutorials.copy_to(tmp_path)
    before = (tutorials.source() / copied[0].name).read_bytes()
    copied[0].write_text("changed")
    assert (tutorials.source() / copied[0].name).read_bytes() == before


def test_a_file_in_the_way_is_an_error(tmp_path):
    (tmp_path / "course").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file"):
        tutorials.copy_to(tmp_path / "course")


def test_the_command_copies_and_says_so(tmp_path):
    result = learn("my course", "--no-open", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "copied to my course" in result.stdout
    assert (tmp_path / "my course" / "05_dlrm.ipynb").exists()


def test_the_command_opens_jupyter_lab_in_the_folder(tmp_path):
    fake = tmp_path / "jupyterlab"
    fake.mkdir()
    (fake / "__init__.py").touch()
    (fake / "__main__.py").write_text("import sys; print('opened', sys.argv[1:])")
    result = learn("course", cwd=tmp_path)  # the folder of the run comes first on the path
    assert result.returncode == 0, result.stderr
    assert f"--notebook-dir={Path(tmp_path, 'course').resolve()}" in result.stdout
