"""The page of the paper: every section with its code, its tests and its result."""

import importlib
import re
import sys
from pathlib import Path

import pytest

from minidlrm.paper import SECTIONS, Claim, Findings

DOCS = Path(__file__).parent.parent / "docs"
sys.path.insert(0, str(DOCS / "_ext"))
paper_page = importlib.import_module("paper_page")


@pytest.mark.parametrize("number", SECTIONS)
def test_a_section_names_its_code_its_tests_and_its_command(number):
    text = paper_page.section(DOCS, number)
    assert text.startswith(f"## {number} {SECTIONS[number].title}\n")
    assert f"`minidlrm paper {number}`" in text
    linked = re.findall(r"\(code/(\S+?)\.rst\)", text)
    assert len(linked) >= 2
    for name in linked:
        assert (DOCS.parent / f"{name}.py").is_file(), name


@pytest.mark.parametrize("number", SECTIONS)
def test_a_section_shows_what_was_measured(number):
    """If not: minidlrm paper --all --out docs/measured/paper."""
    text = paper_page.section(DOCS, number)
    assert "| the paper | here |  |" in text
    for picture in re.findall(r"!\[.*?\]\((\S+?)\)", text):
        assert (DOCS / picture).is_file(), picture


def test_results_are_put_below_one_heading(tmp_path):
    docs = tmp_path / "docs"
    (docs / "measured" / "paper").mkdir(parents=True)
    (tmp_path / "tests").mkdir()
    findings = Findings([Claim("a", "b", True)], figures={"f": lambda ax: ax.plot([0, 1])})
    findings.write(docs / "measured" / "paper", "4.1", SECTIONS["4.1"].title, {})
    text = paper_page.section(docs, "4.1")
    assert text.count("## 4.1") == 1
    assert "![Random data: f](measured/paper/4.1_f.png)" in text
    assert "Not measured yet" in paper_page.section(docs, "4.2")
