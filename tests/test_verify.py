"""The run that the README of facebookresearch/dlrm prints."""

import pytest

from minidlrm import verify


def test_the_three_published_losses_to_six_digits():
    losses = verify.replay().losses
    assert [f"{loss:.6f}" for loss in losses] == ["0.451893", "0.402002", "0.275460"]


def test_every_printed_parameter_to_the_last_digit(real_data):
    ours, published = (
        verify.replay(),
        verify.read_trace(real_data / "dlrm-readme-trace" / "trace.txt"),
    )
    assert len(published.before) == len(published.after) == 90
    assert verify.agreeing(ours.before, published.before, 5) == 90
    assert verify.agreeing(ours.after, published.after, 5) == 90
    assert verify.agreeing(ours.before, published.after, 5) < 90  # the steps did change them


def test_a_file_that_is_no_trace(tmp_path):
    with pytest.raises(FileNotFoundError, match="no trace at"):
        verify.read_trace(tmp_path / "none.txt")
    (tmp_path / "other.txt").write_text("loss 0.5\n")
    with pytest.raises(ValueError, match="does not hold the reference's printed run"):
        verify.read_trace(tmp_path / "other.txt")
