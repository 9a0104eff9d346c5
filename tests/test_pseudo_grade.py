"""Nothing that the grader and the notebooks' checks say passes the catalogue by."""

import ast
import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import untranslated
from test_notebook_checks import check_of
from typer.testing import CliRunner

pytest.importorskip("jupytext")

from minidlrm.grading import assignment, commands, marking, reports, runner
from minidlrm.grading.judge import Wrong, catches, numbers, same
from minidlrm.grading.known import compare
from minidlrm.grading.words import cleaned, error_of, of_messages, with_messages
from minidlrm.languages import Message, joined, say, spoken

A2 = assignment.find("A2")
NAMES = {"alpha", "bag_backward", "bag_forward", "dW", "dalpha", "dy", "offsets", "values"}
CODE = {"return", "np", "sum", "axis", "None", "log", "float", "division", "by", "zero"}
CODE |= {"ZeroDivisionError", "ko", "FAILED", "ok", "mina", "bag", "no", "number"}


def answers(folder):
    """Write a file with a right, a wrong, a raising and a blank answer."""
    text = A2.text().replace('STUDENT = "your-id"', 'STUDENT = "mina"')
    text = assignment.with_body(text, "bag_backward", "return -dy, None")
    text = assignment.with_body(text, "my_share", "return 1 / 0")
    text = assignment.with_body(
        text, "is_scatter_add", 'raise NotImplementedError("A2.6: True or False")'
    )
    path = folder / "a2.py"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """The file, and its grade: graded once, said in all languages."""
    path = answers(tmp_path_factory.mktemp("pseudo"))
    return path, runner.grade(A2, path)
