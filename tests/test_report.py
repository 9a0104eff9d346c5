"""The report of a gradient check: for a terminal, for a notebook, and as a picture."""

import re

import numpy as np
import pytest
from matplotlib.figure import Figure

import minidlrm as md
from minidlrm.checking.bugs.embedding import LastWriteWins
from minidlrm.checking.bugs.linear import GradientTransposed, Overwritten

X = np.random.default_rng(0).normal(size=(5, 4))


@pytest.fixture
def wrong():
    return md.gradcheck(GradientTransposed(4, 4, rng=np.random.default_rng(0)), X, verbose=False)


def test_the_text_names_the_array_the_entry_and_the_cause(wrong):
    check = wrong.arrays[0]
    assert check.name == "weight"
    assert check.analytics[check.indices.tolist().index(list(check.index))] == check.analytic
    text = str(wrong)
    for words in ("weight", "FAILED", "1 of 3 arrays FAILED", "likeliest cause (weight)"):
        assert words in text
    assert max(map(len, text.splitlines())) <= 110
    with pytest.raises(AssertionError, match="the matrix is transposed"):
        wrong.raise_if_failed()
    with pytest.raises(AssertionError, match="the matrix is transposed"):
        md.checking.assert_gradients(GradientTransposed(4, 4, rng=np.random.default_rng(0)), X)


def test_a_broken_rule_fails_though_every_number_is_right():
    report = md.gradcheck(Overwritten(4, 3, rng=np.random.default_rng(0)), X, verbose=False)
    assert all(check.passed for check in report.arrays)
    assert not report.passed
    assert "a rule was broken" in str(report)
    assert "- a second backward overwrites the gradient of weight; it must add to it" in str(report)


def test_the_html_says_the_same_and_escapes_it():
    def less_than(x):
        return np.sin(x)

    less_than.__name__ = "a<b"
    report = md.gradcheck((less_than, lambda dy: dy), X, verbose=False)
    page = report._repr_html_()
    assert "a&lt;b" in page
    assert "a<b" not in page
    assert page.count("<tr") == 2
    words = re.sub(r"<[^>]*>", " ", page)
    assert "likeliest cause" in words


def test_the_picture_shows_both_gradients_and_where_they_differ(wrong):
    axes = wrong.plot(axes=Figure().subplots(1, 2))
    check = wrong.arrays[0]
    drawn = axes[0].lines[1].get_xydata()
    np.testing.assert_array_equal(drawn, np.stack([check.numerics, check.analytics], axis=1))
    errors = axes[1].images[0].get_array()
    np.testing.assert_allclose(errors, errors.T, atol=1e-12)  # of a transposed gradient
    assert axes[0].get_title() == "weight"
    assert wrong.plot("x", Figure().subplots(1, 2))[0].get_title() == "x"
    with pytest.raises(
        KeyError, match="name is 'b', an array that was not checked: weight, bias, x"
    ):
        wrong.plot("b")


def test_a_check_that_sees_nothing_says_so():
    report = md.gradcheck(md.ReLU(), -np.ones((2, 3)), verbose=False)
    assert report.passed
    assert "the true gradient is 0 at every entry checked of x" in str(report)
    assert "Are all ReLUs off" in report._repr_html_()
    assert md.gradcheck(md.ReLU(), np.ones((2, 3)), verbose=False).notes == ()


def test_a_large_table_is_drawn_by_the_rows_that_were_checked():
    table = LastWriteWins([100_000], 4, rng=np.random.default_rng(0))
    report = md.gradcheck(table, np.arange(9)[:, None], verbose=False)
    axes = report.plot(axes=Figure().subplots(1, 2))
    assert axes[1].images[0].get_array().shape[0] < 20
