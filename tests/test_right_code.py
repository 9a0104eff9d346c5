"""No false alarm on right code that is not ours: a corpus of many forms, and random compositions.

MINIDLRM_CASES says how many random pairs are run: 150 by default, 1,000 in
the project's check, 10,000 in its long form.
"""

import os

import numpy as np
import pytest
import right_pairs_2  # noqa: F401  it enters its pieces
from generated_pairs import pair
from missed_pairs import MISSED
from right_pairs import RIGHT

import minidlrm as md

CASES = min(int(os.environ.get("MINIDLRM_CASES", 150)), 10_000)


@pytest.mark.parametrize("name", RIGHT)
def test_right_code_of_any_form_passes(name):
    for seed in range(3):
        target, *inputs = RIGHT[name](np.random.default_rng(seed))
        md.gradcheck(target, *inputs, seed=seed, verbose=False).raise_if_failed()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name == "the_last_column_off" else name
        for name in MISSED
    ],
)
def test_a_mistake_that_is_easy_to_miss_is_caught(name):
    for seed in range(3):
        target, *inputs = MISSED[name](np.random.default_rng(seed))
        report = md.gradcheck(target, *inputs, seed=seed, verbose=False)
        assert not report.passed
        assert report.diagnosis


def test_random_compositions_raise_no_alarm():
    alarms = []
    with np.errstate(all="ignore"):
        for seed in range(CASES):
            target, *inputs = pair(seed)
            report = md.gradcheck(target, *inputs, seed=seed, verbose=False)
            if not report.passed:
                alarms.append((seed, str(report)))
    assert not alarms, f"{len(alarms)} of {CASES}:\n" + "\n".join(map(str, alarms[:3]))


def test_a_random_composition_with_one_wrong_number_is_caught():
    """The generator's pairs are not trivial: what is wrong in them shows."""
    caught = tried = 0
    with np.errstate(all="ignore"):
        for seed in range(60):
            (forward, backward), *inputs = pair(seed)

            def wrong(dy, *kept, backward=backward):
                grads = backward(dy, *kept)
                first = grads
                while not isinstance(first, np.ndarray):
                    values = first.values() if isinstance(first, dict) else first
                    first = next(each for each in values if each is not None)
                first *= np.where(np.abs(first) == np.abs(first).max(), 1.1, 1)
                return grads

            wrong.__signature__ = __import__("inspect").signature(backward)
            report = md.gradcheck((forward, wrong), *inputs, seed=seed, verbose=False)
            largest = max((np.abs(c.numerics).max(initial=0) for c in report.arrays), default=0)
            if largest > 1e-3 and report.arrays[0].numerics.any():
                tried += 1
                caught += not report.passed
    assert tried > 30
    assert caught == tried
