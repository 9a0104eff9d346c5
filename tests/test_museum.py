"""museum: planted bugs by name, their code, and what the checker says about them."""

import pytest

from minidlrm.checking import museum
from minidlrm.checking.bugs import CORPUS, OPTIMIZERS


def test_every_bug_can_be_shown_without_its_docstring(capsys):
    for bug in (*CORPUS, *OPTIMIZERS):
        museum.show([bug])
        text = capsys.readouterr().out
        assert "    def " in text, bug
        assert bug.story not in text


def test_the_checker_names_the_mistake(capsys):
    museum.explain(museum.exhibits("LastWriteWins", "SquaresNotSummed"))
    text = capsys.readouterr().out
    first, evidence, second, _ = text.splitlines()
    assert first.startswith("LastWriteWins: ")
    assert "rows are wrong" in evidence
    assert second.startswith("SquaresNotSummed: ")


def test_an_unknown_name_is_refused():
    with pytest.raises(KeyError, match="Nobody is not in the museum"):
        museum.exhibits("Nobody")
