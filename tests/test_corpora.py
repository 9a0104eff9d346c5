"""Code that was not written for the checker: what is caught, and what is said of it.

The folder of the pieces is not part of the project; see `corpora`.
"""

import corpora
import pytest

from minidlrm.checking.catalogue import CATALOGUE
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
    assert not alarms


@needs_pieces
def test_wrong_pieces_are_caught_and_the_first_cause_is_right():
    judged = corpora.of_wrong(FOLDER)
    counts = corpora.count(judged)
    assert set(judged) == set(corpora.TRUTH)
    assert counts["missed"] <= 2, told(judged, "missed")
    assert counts["right"] >= 65, told(judged, "misleading", "vague", "none fits")
    assert counts["misleading"] == 0, told(judged, "misleading")
    assert counts["vague"] <= 8, told(judged, "vague")
    assert counts["none fits"] <= 8, told(judged, "none fits")


@needs_pieces
def test_wrong_optimizers_are_caught_and_named_and_right_ones_pass():
    judged, number, alarms = corpora.of_optimizers(FOLDER)
    counts = corpora.count(judged)
    assert set(judged) == set(corpora.OPTIMIZERS)
    assert number >= 6
    assert not alarms
    assert counts["missed"] <= 1, told(judged, "missed")
    assert counts["right"] >= 26, told(judged, "misleading", "none fits")


def test_the_causes_that_are_right_are_in_the_catalogue():
    pairs = {key for right, vague in corpora.TRUTH.values() for key in f"{right} {vague}".split()}
    assert pairs <= set(CATALOGUE), pairs - set(CATALOGUE)
    optimizers = {key for text in corpora.OPTIMIZERS.values() for key in text.split()}
    assert optimizers <= set(OPTIMIZER_CATALOGUE), optimizers - set(OPTIMIZER_CATALOGUE)
