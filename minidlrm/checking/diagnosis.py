"""Why is a gradient wrong? Hypotheses, tested by arithmetic on the arrays.

Most wrong backward passes are wrong in one of the ways that teachers see again and again. Each
leaves a trace in the numbers: a constant ratio (`arithmetic`), rows that lose a use (`repeats`),
dy that reaches the wrong entries (`jacobians`), a number that comes from many (`statistic`), a
slope of a branch (`slopes`), a factor at each entry (`factors`), a missing term (`terms`,
`products`), a formula that gives our numbers (`formulas`, `chains`), inputs or kept arrays for
which they would be right (`elsewhere`, `doctored`), parts of the inputs without which they are
right (`vanishing`). None reads a name.
Where the numbers alone cannot tell, `fingerprints` hold the wrong formulas of known layers; and
where nothing fits, `whereabouts` says where the gradient is right and where it is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidlrm.checking import (
    arithmetic,
    chains,
    doctored,
    elsewhere,
    exchanged,
    factors,
    formulas,
    jacobians,
    places,
    products,
    repeats,
    rules,
    slopes,
    statistic,
    sums,
    terms,
    vanishing,
)
from minidlrm.checking.catalogue import CATALOGUE, make_cause
from minidlrm.checking.confirming import Confirmer, Test
from minidlrm.checking.evidence import Evidence
from minidlrm.checking.fingerprints import Fingerprint, known
from minidlrm.checking.report import Cause, GradCheckReport
from minidlrm.checking.subject import Subject, rows_of
from minidlrm.checking.whereabouts import nothing_fits, smaller
from minidlrm.languages import Message, as_message
from minidlrm.module import Module, SparseGrad
from minidlrm.watching import Call, watched

SHOWN = 3  # causes that a report shows
_TOGETHER = 0.03  # for a cause that explains every wrong array


def diagnose(
    evidence: Evidence,
    fingerprints: Sequence[Fingerprint] = (),
    check: Callable[..., GradCheckReport] | None = None,
) -> tuple[Cause, ...]:
    """Rank what may be wrong.

    Parameters
    ----------
    evidence : Evidence
        A failed check.
    fingerprints : sequence of Fingerprint
        Beside those of the known layers.
    check : callable, optional
        `gradcheck`, for the layers inside; without it they are not checked by themselves.

    Returns
    -------
    tuple of Cause
        The likeliest first; never empty. Other arrays that show the same cause come last.
    """
    causes = [*rules.causes(evidence), *_from_fingerprints(evidence, fingerprints)]
    causes += _from_inside(evidence, check) if check else []
    if check and not any(evidence.whole(name) for name in evidence.failed):
        causes += smaller(evidence, fingerprints, check)
    found = [Found(cause) for cause in causes]
    for name in evidence.failed:
        found += _of_array(evidence, name)
    ranked = _confirmed(_ranked(found, evidence), evidence)
    return ranked or (nothing_fits(evidence),)


@dataclass(frozen=True)
class Found:
    """A cause, and the test of an array that has found it; None of one that is a fact."""

    cause: Cause
    test: Test | None = None
    name: str = ""


def _confirmed(ranked: tuple[Found, ...], evidence: Evidence) -> tuple[Cause, ...]:
    """Leave out what does not hold at other inputs, among the causes that are shown."""
    confirmer = Confirmer(evidence)
    kept: list[Cause] = []
    for each in ranked:
        shown = len({cause.key for cause in kept}) < SHOWN
        if each.test is None or not shown or confirmer.stands(each.cause, each.test, each.name):
            kept.append(each.cause)
    return _grouped(kept)


TESTS = (
    *arithmetic.TESTS,
    repeats.lost_uses,
    *jacobians.TESTS,
    *statistic.TESTS,
    *repeats.TESTS,
    *places.TESTS,
    *slopes.TESTS,
    *factors.TESTS,
    *products.TESTS,
    *chains.TESTS,
    *terms.TESTS,
    *formulas.TESTS,
    *exchanged.TESTS,
    *elsewhere.TESTS,
    *doctored.TESTS,
)


def _of_array(evidence: Evidence, name: str) -> list[Found]:
    """Put every question to one wrong gradient."""
    whole = None if evidence.broken(name) else evidence.whole(name)
    if whole is None:
        return []
    with np.errstate(all="ignore"):
        found = [each for test in arithmetic.PLAIN for each in _asked(test, evidence, whole)]
        if found and whole.numeric.size > 1:
            return found  # one factor explains every entry: nothing simpler can
        for test in TESTS:
            found += _asked(test, evidence, whole)
        if not any(each.cause.score >= 0.9 for each in found):
            for test in (*sums.TESTS, *vanishing.TESTS):  # slow, and the least plain words
                found += _asked(test, evidence, whole)
    return found


def _asked(test: Test, evidence: Evidence, whole: Any) -> list[Found]:
    try:
        return [Found(cause, test, whole.name) for cause in test(evidence, whole)]
    except (ValueError, IndexError, np.linalg.LinAlgError):
        return []  # the question does not fit these arrays


def _ranked(found: list[Found], evidence: Evidence) -> tuple[Found, ...]:
    """Sort: what explains all wrong arrays at once comes before what explains one of them."""
    arrays: dict[str, set[str]] = {}
    for each in found:
        arrays.setdefault(each.cause.key, set()).add(each.cause.array)
    wrong = max(1, len(evidence.failed))

    def rank(each: Found) -> float:
        cause = each.cause
        share = len(arrays[cause.key] & set(evidence.failed)) / wrong if cause.array else 1
        return -cause.score - _TOGETHER * share

    return tuple(sorted(found, key=rank))


def _grouped(causes: list[Cause]) -> tuple[Cause, ...]:
    """Put first of each cause the array that shows it best; then the others."""
    best: dict[str, Cause] = {}
    others: dict[tuple[str, str], Cause] = {}
    for cause in causes:
        if cause.key not in best:
            best[cause.key] = cause
        elif cause.array != best[cause.key].array:
            others.setdefault((cause.key, cause.array), cause)
    return (*best.values(), *others.values())


# Fingerprints


def _from_fingerprints(evidence: Evidence, more: Sequence[Fingerprint]) -> Iterator[Cause]:
    target = evidence.subject.target
    for fingerprint in (*more, *known(target)):
        try:
            wrong = fingerprint.formula(target, evidence.r, *evidence.subject.inputs)
        except Exception:
            continue  # it does not apply here
        explained = [name for name in evidence.failed if name in (wrong or {})]
        if not explained or not wrong:
            continue
        if all(_equals(evidence, name, wrong[name]) for name in explained):
            title, hint = CATALOGUE.get(fingerprint.key, (fingerprint.title, fingerprint.hint))
            share = len(explained) / len(evidence.failed)
            evidence_of_it = as_message(fingerprint.evidence)
            text = Message("The gradient equals the wrong formula: {text}.", text=evidence_of_it)
            where = explained[0] if len(explained) == 1 else ""
            yield Cause(fingerprint.key, title, where, text, hint, 0.93 + 0.06 * share)


def _equals(evidence: Evidence, name: str, wrong: np.ndarray) -> bool:
    grad = evidence.grads[name]
    wrong = np.asarray(wrong)
    if isinstance(grad, SparseGrad):
        rows = np.union1d(grad.rows, np.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=1)))
        return evidence.same(rows_of(grad, rows), wrong[rows])
    return evidence.same(np.asarray(grad), wrong)


# Layers inside


def _from_inside(evidence: Evidence, check: Callable[..., GradCheckReport]) -> Iterator[Cause]:
    """Check every layer inside by itself, on what it was given."""
    target = evidence.subject.target
    if not isinstance(target, Module) or not evidence.failed:
        return
    if not any(target.named_children()):
        return
    wrong, first = _wrong_inside(evidence.subject, check)
    if wrong:
        text = Message("By itself, {name} fails: {text}", name=wrong[0], text=first)
        yield make_cause("inner", wrong[0], text, 0.55)
    else:
        text = Message("Each layer passes by itself, on the same inputs.")
        yield make_cause("joining", "", text, 0.5)


def _wrong_inside(subject: Subject, check: Callable[..., GradCheckReport]) -> tuple[list[str], str]:
    """Return the names of the direct children that fail by themselves, and what is said."""
    target = subject.target
    children = list(target.named_children())
    calls: list[Call] = []
    with watched(children, calls.append):
        subject.output()
    seen = {call.name: call.inputs for call in calls}
    wrong, first = [], ""
    for name, child in children:
        if name not in seen:
            continue
        try:
            report = check(child, *seen[name], verbose=False, max_checks=40)
        except Exception:
            continue
        if not report.passed:
            wrong.append(name)
            first = first or (report.diagnosis[0].text if report.diagnosis else "")
    return wrong, first
