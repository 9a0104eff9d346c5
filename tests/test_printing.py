"""One way to render rows: as text, HTML, Markdown, and in the terminal."""

import io

import pytest
from rich.console import Console

from minidlrm.printing import as_html, as_markdown, as_rich, as_text

ROWS = [("layer", "cost", ""), ("a|b", "1,234", "ok"), ("<i>x</i>", "5", "")]


def test_text_has_columns_and_no_blanks_at_the_end():
    assert as_text(ROWS) == "layer     cost\na|b       1,234  ok\n<i>x</i>  5"


def test_html_is_escaped_and_marks_rows():
    text = as_html(ROWS, bold=[1])
    assert "&lt;i&gt;x&lt;/i&gt;" in text
    assert text.count('style="font-weight:bold"') == 1
    assert text.index("font-weight") > text.index("1,234")


def test_markdown_escapes_what_would_be_a_column():
    lines = as_markdown(ROWS).splitlines()
    assert lines[2] == r"| a\|b | 1,234 | ok |"
    assert all(line.replace(r"\|", "").count("|") == 4 for line in lines)


def test_the_terminal_shows_text_as_it_is():
    console = Console(file=io.StringIO(), width=60)
    console.print(as_rich("title", [("name", "x"), ("[bold]1[/bold]", "2")]))
    assert "[bold]1[/bold]" in console.file.getvalue()


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="zip"):
        as_text([("a", "b"), ("1",)])
