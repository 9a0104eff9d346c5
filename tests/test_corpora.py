"""Code that was not written for the checker: what is caught, and what is said of it.

The bounds are the figures reached so far: they may rise, and not fall. See `corpora`.
"""

import corpora
import pytest

from minidlrm.checking.optimizers import CATALOGUE as OPTIMIZER_CATALOGUE

FOLDER = corpora.folder()
needs_pieces = pytest.mark.skipif(
    FOLDER is None, reason="the corpora are not here: name their folder in MINIDLRM_CASES_DIR"
)


def told(judged, *judgements):
    return {name: each for name, each in judged.items() if each[1] in judgements}


@needs_pieces
def test_no_right_piece_is_failed_or_refused():
    number, alarms = corpora.of_right(FOLDER)
    assert number >= 61
    assert len(alarms) <= 12, alarms


@needs_pieces
def test_wrong_pieces_are_caught_and_the_first_cause_is_right():
    judged = corpora.of_wrong(FOLDER)
    counts = corpora.count(judged)
    assert set(judged) == set(corpora.TRUTH)
    assert counts["missed"] <= 5, told(judged, "missed")
    assert counts["right"] >= 25, told(judged, "misleading", "vague", "none fits")
    assert counts["misleading"] <= 6, told(judged, "misleading")


@needs_pieces
def test_wrong_optimizers_are_caught_and_named_and_right_ones_pass():
    judged, number, alarms = corpora.of_optimizers(FOLDER)
    counts = corpora.count(judged)
    assert set(judged) == set(corpora.OPTIMIZERS)
    assert number >= 6
    assert not alarms
    assert counts["missed"] == 0, told(judged, "missed")
    assert counts["right"] >= 26, told(judged, "misleading", "none fits")


def test_the_causes_that_are_right_are_in_the_catalogue():
    for causes, catalogue in ((corpora.OPTIMIZERS, OPTIMIZER_CATALOGUE),):
        named = {key for text in causes.values() for key in text.split()}
        assert named <= set(catalogue), named - set(catalogue)
