"""The page of the checker: its tables are made from the lists, and it names no count itself."""

import importlib
import re
import sys
from pathlib import Path

import pytest

from minidlrm.checking.bugs import CORPUS, OPTIMIZERS
from minidlrm.checking.catalogue import CATALOGUE
from minidlrm.checking.optimizers import CATALOGUE as OPTIMIZER_CATALOGUE

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "gradcheck.md").read_text(encoding="utf-8")
sys.path.insert(0, str(DOCS / "_ext"))
checker_tables = importlib.import_module("checker_tables")


@pytest.mark.parametrize(
    ("causes", "bugs"), [(CATALOGUE, CORPUS), (OPTIMIZER_CATALOGUE, OPTIMIZERS)]
)
def test_every_cause_and_every_bug_is_in_a_table(causes, bugs):
    rows = checker_tables.catalogue(causes, bugs).splitlines()
    assert len(rows) == len(causes) + 2
    for (title, hint), row in zip(causes.values(), rows[2:], strict=True):
        assert title in row
        assert hint.replace("|", r"\|") in row
    planted = " ".join(rows)
    assert all(bug.cls.__name__ in planted for bug in bugs)


def test_every_table_of_the_page_is_made_or_measured(tmp_path, monkeypatch):
    for name in ("museum", "error_sizes"):  # which take seconds
        monkeypatch.setattr(checker_tables, name, lambda *_: "")
    monkeypatch.setattr(checker_tables, "transcript", lambda *_: "")
    checker_tables.write(tmp_path)
    included = re.findall(r"\{include\} (\S+)", PAGE)
    assert included
    for name in included:
        folder = tmp_path if name.startswith("_generated/") else DOCS
        assert (folder / name).is_file(), name


def test_a_transcript_is_what_the_command_line_says():
    text = checker_tables.transcript(DOCS.parent, "mean_loss.py:example")
    assert text.startswith("```\n$ minidlrm gradcheck tests/planted/mean_loss.py:example\narray")
    assert "the division by the batch size is missing" in text


def test_the_text_has_no_count_of_mistakes_or_checks():
    text = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    assert not re.search(r"\b(thirty|forty|fifty|sixty|hundred)\b", text)
    assert not re.search(r"\b\d+(,\d{3})* (bugs|mistakes|checks|cases|layers|causes|runs)\b", text)
