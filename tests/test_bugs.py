"""The corpus of planted bugs: each is caught, and its cause named."""

import collections

import numpy as np
import pytest

import minidlrm as md
from minidlrm.checking.bugs import CORPUS
from minidlrm.checking.catalogue import CATALOGUE

SEEDS = range(3)


def check(bug, cls, seed):
    return md.gradcheck(*bug.make(cls, np.random.default_rng(seed)), seed=seed, verbose=False)


@pytest.fixture(scope="module")
def reports():
    return {(bug.name, seed): check(bug, bug.cls, seed) for bug in CORPUS for seed in SEEDS}


def test_there_are_forty_over_all_layers():
    assert len(CORPUS) >= 40
    assert len({bug.name for bug in CORPUS}) == len(CORPUS)
    assert {bug.cause for bug in CORPUS} <= set(CATALOGUE)
    assert all(bug.story for bug in CORPUS)
    assert len({bug.correct for bug in CORPUS}) >= 15


@pytest.mark.parametrize("bug", CORPUS, ids=lambda bug: bug.name)
def test_the_correct_layer_passes(bug):
    for seed in SEEDS:
        check(bug, bug.correct, seed).raise_if_failed()


@pytest.mark.parametrize("bug", CORPUS, ids=lambda bug: bug.name)
def test_the_bug_is_caught_and_its_cause_is_in_the_top_two(bug, reports):
    for seed in SEEDS:
        report = reports[bug.name, seed]
        assert not report.passed
        assert bug.cause in [cause.key for cause in report.diagnosis[:2]], str(report)


def test_the_right_cause_comes_first_in_nine_of_ten(reports, capsys):
    table = collections.Counter(
        (bug.cause, reports[bug.name, seed].diagnosis[0].key) for bug in CORPUS for seed in SEEDS
    )
    first = sum(count for (planted, named), count in table.items() if planted == named)
    total = sum(table.values())
    with capsys.disabled():
        print(f"\nplanted cause -> named first, {total} checks")
        for (planted, named), count in sorted(table.items()):
            print(
                f"  {planted:18} {named:18} {count}{'' if planted == named else '   <- not first'}"
            )
    assert first >= 0.9 * total


@pytest.mark.slow
def test_without_fingerprints_arithmetic_names_what_it_can(monkeypatch):
    """Each bug that is not marked as a fingerprint is named without any."""
    monkeypatch.setattr("minidlrm.checking.diagnosis.known", lambda target: iter(()))
    for bug in CORPUS:
        report = check(bug, bug.cls, 0)
        assert not report.passed, bug
        if not bug.fingerprint:
            assert bug.cause in [cause.key for cause in report.diagnosis[:2]], str(report)


@pytest.mark.slow
def test_every_fingerprint_is_needed(monkeypatch):
    monkeypatch.setattr("minidlrm.checking.diagnosis.known", lambda target: iter(()))
    for bug in CORPUS:
        if bug.fingerprint:
            keys = [cause.key for cause in check(bug, bug.cls, 0).diagnosis[:1]]
            assert keys != [bug.cause], f"{bug}: arithmetic names it, drop the mark"
