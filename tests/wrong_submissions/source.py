"""The assignments' sources, and the solutions inside them."""

import re

from minidlrm.grading import release


def solution(assignment):
    return release.source_of(assignment).read_text(encoding="utf-8")


def _inside(function):
    return re.compile(
        rf"(def {function}\(.*?# BEGIN SOLUTION [^\n]*\n)(.*?)(    # END SOLUTION)", re.S
    )


def body_of(text, function):
    """Return the solution inside a function, as `with_body` takes it."""
    return _inside(function).search(text)[2].strip()


def with_body(text, function, body):
    """Replace the solution inside a function."""
    new = _inside(function).sub(lambda m: f"{m[1]}    {body}\n{m[3]}", text, count=1)
    assert new != text
    return new
