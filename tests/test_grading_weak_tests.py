"""Weak tests and wrong numbers: what the parts without a formula cost, and what they say."""

import os
import sys

import pytest

pytest.importorskip("jupytext")

sys.path.insert(0, os.path.dirname(__file__))
from test_grading import EVERY
from wrong_submissions.source import solution, with_body

from minidlrm.grading import runner

BAD_TESTS = [  # of every part that asks for a test: body, words; no points are left
    ("return True", "none of the planted mistakes"),
    ("return False", "fails a function that is right"),
    ("pass", "nothing"),
    ("return 'yes'", "True or False"),
    ("return np.array([True, True])", "True or False"),
    ("return nothing", "NameError"),
    ("return 1 / 0 > 0", "ZeroDivisionError"),
    ("while True: pass", "endless loop"),
    ("import sys; sys.exit(0)", "SystemExit"),
    ("import minidlrm; return True", "your own code"),
]
WEAK_TESTS = {  # what they find: points left, words
    ("A1.7", "is_right"): [
        (
            "dy = np.ones_like(forward(x))\n"
            "    n = numeric_gradient(lambda m: float(np.sum(forward(m))), x)\n"
            "    return bool(np.allclose(backward(dy, x), n))",
            3.2,
            "finds 80% of the planted mistakes. It does not notice",
        ),
        (
            "dy = np.random.default_rng(7).normal(size=np.shape(forward(x)))\n"
            "    n = numeric_gradient(lambda m: float(np.sum(dy * forward(m))), x)\n"
            "    return bool(np.allclose(np.sum(backward(dy, x)), np.sum(n)))",
            3.6,
            "finds 90% of the planted mistakes. It does not notice",
        ),
    ],
    ("A2.6", "is_scatter_add"): [
        (
            "t, r = np.ones((6, 3)), np.arange(1, 5)\n    x = np.ones((4, 3))\n"
            "    right = t.copy()\n    right[r] += x\n"
            "    return bool(np.allclose(scatter(t, r, x), right))",
            1.6,
            "finds 40% of the planted mistakes. It does not notice",
        ),
        (
            "return bool(scatter(np.ones((6, 3)), np.arange(6), np.ones((6, 3))).sum() == 36)",
            2.4,
            "finds 60% of the planted mistakes. It does not notice",
        ),
    ],
    ("A3.7", "is_fm"): [
        (
            "return bool(np.allclose(forward(np.ones((1, 3, 2))), 6))",
            0.9,
            "finds 30% of the planted mistakes. It does not notice",
        ),
        ("return np.shape(backward(np.ones(2), np.ones((2, 3, 4)))) == (2, 3, 4)", 0, "finds none"),
    ],
    ("A4.7", "is_dot"): [
        ("return bool(np.allclose(forward(np.ones((1, 3, 1))), 1))", 0, "finds none"),
        (
            "return np.shape(forward(np.ones((2, 3, 4)))) == (2, 3)",
            0.3,
            "finds 10% of the planted mistakes. It does not notice",
        ),
    ],
    ("A5.6", "is_step"): [
        (
            "return bool(np.all(step(np.zeros((3, 2)), np.arange(3), np.ones((3, 2)), 1.0) == -1))",
            1.2,
            "finds 60% of the planted mistakes. It does not notice",
        ),
        (
            "got = step(np.zeros((3, 2)), np.array([1]), np.full((1, 2), 0.1), 0.5)\n"
            "    return bool(np.allclose(got[1], -0.05))",
            1.0,
            "finds 50% of the planted mistakes. It does not notice",
        ),
    ],
    ("A6.6", "is_cross"): [
        (
            "x0, x, dy, W, b = (np.random.default_rng(7).normal(size=s) for s in "
            "((5, 3), (5, 3), (5, 3), (3, 3), (3,)))\n    got = backward(dy, x0, x, W, 0 * b)\n"
            "    return bool(np.allclose(got[0], dy * (x @ W.T)))",
            0.4,
            "finds 20% of the planted mistakes. It does not notice",
        ),
        (
            "shapes = (5, 3), (5, 3), (5, 3), (3, 3), (3,)\n"
            "    got = backward(*(np.ones(s) for s in shapes))\n"
            "    return [np.shape(g) for g in got] == list(shapes[1:])",
            0,
            "finds none",
        ),
    ],
}
BAD_NUMBERS = [  # of every part that asks for a number: body, words; no point is left
    ("return -1.5", "not right"),
    ("pass", "nothing"),
    ("return 'x'", "not an array of numbers"),
    ("return [1.0]", "shape"),
    ("return float('nan')", "nan"),
]
NUMBERS = {
    "A1.6": "my_log_loss",
    "A2.5": "my_share",
    "A3.6": "my_sum_of_pairs",
    "A4.6": "my_parameters",
    "A5.5": "my_entropy",
    "A6.5": "my_parameters",
}
CASES = [
    (task, function, *wrong)
    for (task, function), weak in WEAK_TESTS.items()
    for wrong in [*weak, *((body, 0, words) for body, words in BAD_TESTS)]
]
CASES += [
    (task, function, body, 0, words)
    for task, function in NUMBERS.items()
    for body, words in BAD_NUMBERS
]


@pytest.mark.slow
@pytest.mark.parametrize(("task", "function", "body", "left", "words"), CASES[:: min(EVERY, 5)])
def test_a_weak_test_or_a_wrong_number_loses_its_points_and_no_others(
    task, function, body, left, words, tmp_path
):
    assignment = task[:2]
    text = solution(assignment)
    if assignment == "A5":  # training takes long, and is not asked here
        text = with_body(text, "train_and_predict", "return 0 * test_ids[:, 0]")
    file = tmp_path / "weak.py"
    file.write_text(with_body(text, function, body), encoding="utf-8")
    result = runner.grade(assignment, file, seed=2, seconds=3)
    lost = {name for name, (points, most) in result.by_task().items() if points < most}
    assert lost - {"A5.4"} == {task}
    assert result.by_task()[task][0] == left
    feedback = " ".join(r["feedback"] for r in result.results if r["task"] == task)
    assert words in feedback


@pytest.mark.slow
def test_a_number_of_another_student_is_wrong(tmp_path):
    file = tmp_path / "copied.py"
    file.write_text(solution("A2"), encoding="utf-8")
    own = runner.grade("A2", file).by_task()
    other = runner.grade("A2", file, student="someone-else").by_task()
    assert (own["A2.5"][0], other["A2.5"][0]) == (1, 0)
    assert {k: v for k, v in own.items() if k != "A2.5"} == {
        k: v for k, v in other.items() if k != "A2.5"
    }


def test_every_part_has_its_wrong_answers():
    """With those in wrong_submissions, no part that the machine counts is left out."""
    from wrong_submissions import ALL

    for assignment, parts in ALL.items():
        named = {task for task, _ in [*parts, *WEAK_TESTS]} | set(NUMBERS)
        assert {row["task"] for row in runner.criteria(assignment)} <= named
