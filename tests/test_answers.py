"""difference: what is wrong with a learner's answer, in words."""

import numpy as np
import pytest

from minidlrm.checking import difference

RIGHT = np.array([[1.0, 2.0], [0.0, 0.0], [3.0, 4.0]])


def test_a_right_answer_has_no_difference():
    assert difference(RIGHT, RIGHT) == ""
    assert difference(RIGHT.tolist(), RIGHT) == ""
    assert difference((2, RIGHT), (2, RIGHT), "n, y") == ""
    assert difference(0.82, 0.82) == ""


def test_the_row_that_is_shown_is_wrong():
    wrong = RIGHT.copy()
    wrong[1] = 7.5
    assert difference(wrong, RIGHT, "y") == "y[1] is [7.5 7.5], and should be [0. 0.]"


def test_an_entry_of_a_long_row_is_named_by_its_place():
    right, wrong = np.zeros((2, 20)), np.zeros((2, 20))
    wrong[1, 13] = 1
    assert difference(wrong, right, "y") == "y[1, 13] is 1., and should be 0."


def test_nan_is_a_difference():
    assert "nan" in difference(np.nan * RIGHT, RIGHT, "y")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (None, "does the function end with return"),
        (..., "still the blank"),
        (np.where([0, 1, 1]), "take its [0]"),
        ((1, 2), "tuple of length 2"),
        ([1, 2], "the shape (2,), and should have (3,)"),
        ([[1], [2], [3]], "the shape (3, 1), and should have (3,)"),
        (np.array([4, 5, 6]) / 2, "whole numbers (try //)"),
        ("abc", "str, and should hold real numbers"),
        ([[1], [2, 3]], "list, and should hold real numbers"),
        ([1j, 2, 3], "real numbers only"),
        ([1, 2, 4], "is 4, and should be 3"),
    ],
)
def test_what_a_person_may_return_is_explained(said, words):
    assert words in difference(said, np.array([1, 2, 3]), "ids")


def test_of_several_values_the_wrong_one_is_named():
    assert difference((1, 2), (1, 3), "table, id") == "id is 2, and should be 3"
    assert difference(1, (1, 3), "table, id") == "the function should return 2 values: table, id"
