"""Is a cause more than a coincidence? What holds at the given inputs must hold at others.

A wrong gradient has few numbers, and many formulas are tried on them: some fit by chance. So the
question that found a cause is put once more, at other inputs of the same shapes and with another
dy. A cause stands where the answer is the same; and where the gradient is right there, or the
code does not bear them, nothing is known, and it stands as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidlrm.checking.evidence import Evidence
from minidlrm.checking.numeric import Differences
from minidlrm.checking.report import Cause
from minidlrm.checking.subject import Subject

Test = Callable[..., Any]
_NUMBERS = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?%?")
_SIDES = re.compile(r" is (above|below|between) .*")  # where a branch ends; what is wrong there


class Confirmer:
    """Asks the questions of a diagnosis once more, at other inputs.

    Parameters
    ----------
    evidence : Evidence
        At the given inputs.
    """

    def __init__(self, evidence: Evidence):
        self.evidence = evidence
        self._answers: dict[tuple[Test, str], list[Cause]] = {}

    def stands(self, cause: Cause, test: Test, name: str) -> bool:
        """Whether the test that found a cause of an array finds it at other inputs, too."""
        other = at_other_inputs(self.evidence)
        if other is None or self.evidence.once(
            f"right at other {name}", lambda: _right(other, name)
        ):
            return True
        if (test, name) not in self._answers:
            with np.errstate(all="ignore"):
                self._answers[test, name] = list(_asked(test, other, name))
        return any(_is_same(cause, each) for each in self._answers[test, name])


def _asked(test: Test, evidence: Evidence, name: str) -> Iterator[Cause]:
    try:
        yield from test(evidence, evidence.whole(name))
    except (ValueError, IndexError, np.linalg.LinAlgError):
        return  # the question does not fit these arrays


def _is_same(cause: Cause, other: Cause) -> bool:
    """Whether two answers are one; of a branch, whether it ends at a number of the same array.

    Other words may say the same: where y = log p, a factor y is a factor log p.
    """
    same_words = cause.key != "branch" or _plain(cause.evidence) == _plain(other.evidence)
    return cause.key == other.key and same_words


def _plain(text: str) -> str:
    """Leave out the numbers of a sentence: they follow the inputs."""
    text = _SIDES.sub(" is on one side", text)
    return re.sub(r"(\[?#\]?,? ?)+", "# ", _NUMBERS.sub("#", text))


def _right(other: Evidence, name: str) -> bool:
    """Whether nothing is known of an array at other inputs: it is right there, or nothing moves."""
    whole = other.whole(name) if name in other.grads else None
    if whole is None or whole.analytic.shape != whole.numeric.shape:
        return True
    same = np.abs(whole.analytic - whole.numeric) <= other.tol * np.abs(whole.numeric).max(
        initial=0
    )
    return bool(same.all()) or not np.isfinite(whole.numeric).all()


def at_other_inputs(evidence: Evidence) -> Evidence | None:
    """Return what is seen at other inputs with another dy; None where the code bears none.

    Parameters
    ----------
    evidence : Evidence
        At the given inputs.
    """
    return evidence.once("other inputs", lambda: _elsewhere(evidence))


def _elsewhere(evidence: Evidence) -> Evidence | None:
    for share in (0.4, 0.03):
        try:
            found = _at(evidence, np.random.default_rng(11), share)
        except Exception:
            continue  # these are outside of the domain
        if found is not None:
            return found
    return None


def _at(evidence: Evidence, rng: np.random.Generator, share: float) -> Evidence | None:
    subject = evidence.subject.astype(np.float64)
    before = subject.snapshot()
    subject.restore({n: moved(a, rng, share) for n, a in subject.arrays.items()})
    if _same_gradients(evidence, subject):  # it does not look at them: another dy, then
        subject.restore(before)
    y = subject.output().copy()
    r = rng.normal(size=y.shape)
    grads = _gradients(subject, r)
    if y.shape != evidence.r.shape or not np.isfinite(y).all() or set(grads) < set(evidence.grads):
        return None
    differences = Differences(subject, r, evidence.differences.method, rng, grads, y)
    return Evidence(subject, differences, r, grads, evidence.checks, evidence.faults)


def _same_gradients(evidence: Evidence, subject: Subject) -> bool:
    """Whether backward gives at other inputs what it gave: it takes its arrays from outside."""
    grads = _gradients(subject, np.array(evidence.r, float))
    return all(
        np.array_equal(grads[name], evidence.grads[name])
        for name in evidence.failed
        if name in grads and isinstance(evidence.grads[name], np.ndarray)
    )


def _gradients(subject: Subject, dy: np.ndarray) -> dict[str, Any]:
    grads, _ = subject.gradients(dy.copy())
    return {
        name: np.array(grad, float) if isinstance(grad, np.ndarray) else grad
        for name, grad in grads.items()
        if grad is not None
    }


def moved(value: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """Return other numbers of the same signs; zeros, ones and shares of 1 stay such.

    Parameters
    ----------
    value : array
    rng : numpy.random.Generator
    share : float
        By how much each number moves at most, of its size.
    """
    if np.isin(value, (0, 1)).all():
        return value.copy()
    factors = rng.uniform(1 - share, 1 + share, value.shape)
    if value.size and value.min() >= 0 and value.max() <= 1:
        return value**factors
    if value.size and np.abs(value).max() <= 1:
        return np.sign(value) * np.abs(value) ** factors
    return value * factors
