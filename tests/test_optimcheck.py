"""optimcheck: right rules pass, planted mistakes are caught and named."""

import numpy as np
import pytest

import minidlrm as md
from minidlrm.checking import optimcheck
from minidlrm.checking.bugs import OPTIMIZERS
from minidlrm.checking.optimizers import CATALOGUE


@pytest.mark.parametrize("bug", OPTIMIZERS, ids=lambda bug: bug.name)
def test_a_planted_mistake_is_caught_and_named_first(bug):
    for seed in range(5):
        (optimizer,) = bug.make(bug.cls, np.random.default_rng(seed))
        report = optimcheck(optimizer, seed=seed, verbose=False)
        assert not report.passed
        assert report.diagnosis[0].key == bug.cause, str(report)
        (right,) = bug.make(bug.correct, np.random.default_rng(seed))
        assert optimcheck(right, seed=seed, verbose=False).passed


@pytest.mark.parametrize("bug", [bug for bug in OPTIMIZERS if not bug.fingerprint])
def test_arithmetic_alone_names_it(bug, monkeypatch):
    monkeypatch.setattr("minidlrm.checking.bugs.optimizers.BUGS", ())
    (optimizer,) = bug.make(bug.cls, np.random.default_rng(0))
    assert optimcheck(optimizer, verbose=False).diagnosis[0].key == bug.cause


def test_every_cause_is_in_the_catalogue():
    assert {bug.cause for bug in OPTIMIZERS} <= set(CATALOGUE)
    assert len(OPTIMIZERS) >= 10


def test_right_rules_raise_no_false_alarm():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        lr, decay = 10 ** rng.uniform(-4, 0), [0.0, rng.uniform(0, 0.5)][seed % 2]
        for optimizer in (
            md.SGD(lr, decay),
            md.Momentum(lr, rng.uniform(0, 0.99), decay),
            md.Adagrad(lr, weight_decay=decay),
            md.RowwiseAdagrad(lr, weight_decay=decay),
            md.Adam(lr, weight_decay=decay),
            md.FTRL(lr, rng.uniform(0, 1), rng.uniform(0, 1)),
        ):
            assert optimcheck(optimizer, seed=seed, verbose=False).passed


class Learners:
    """An optimizer of a learner: it knows nothing of minidlrm's classes."""

    def __init__(self, rate):
        self.rate = rate

    def step(self, parameters):
        for p in parameters:
            if isinstance(p.grad, md.SparseGrad):
                p.value[p.grad.rows] -= self.rate * p.grad.values
            elif p.grad is not None:
                p.value -= self.rate * p.grad


def test_a_learners_own_class_is_compared_with_what_it_should_be_like():
    assert optimcheck(Learners(0.1), like=md.SGD(0.1), verbose=False).passed
    report = optimcheck(Learners(0.01), like=md.SGD(0.1), verbose=False)
    assert report.diagnosis[0].key == "rate_twice"
    with pytest.raises(TypeError, match="give like="):
        optimcheck(Learners(0.1))
    with pytest.raises(TypeError, match="it has no step"):
        optimcheck(3)


class Clipping(Learners):
    def step(self, parameters):
        for p in parameters:
            if isinstance(p.grad, md.SparseGrad):
                np.clip(p.grad.values, -1, 1, out=p.grad.values)
        super().step(parameters)


class Restless(Learners):
    def step(self, parameters):
        super().step(parameters)
        for p in parameters:
            if p.grad is None:
                p.value += 1


class DenseMomentum(md.Momentum):
    """It walks over the whole table: a row that was looked up once rolls on."""

    def step(self, parameters):
        for p in parameters:
            if p.grad is not None:
                dense = p.grad.to_dense() if hasattr(p.grad, "to_dense") else p.grad
                v = self.state.setdefault(p.name, np.zeros_like(p.value))
                v *= self.momentum
                v += dense
                p.value -= self.lr * v


def test_a_velocity_of_the_whole_table_is_named():
    report = optimcheck(DenseMomentum(0.1), verbose=False)
    assert report.diagnosis[0].key == "other_rows"
    assert "was not in the batch of step" in report.diagnosis[0].evidence


def test_broken_rules_are_told():
    report = optimcheck(Clipping(0.1), like=md.SGD(0.1), verbose=False)
    assert "the gradient of table is changed in place" in report.faults
    report = optimcheck(Restless(0.1), like=md.SGD(0.1), verbose=False)
    assert "a parameter whose grad is None has changed" in report.faults
    assert report.diagnosis[0].key == "no_gradient"


def test_the_optimizer_is_not_changed_and_the_report_is_readable(capsys):
    optimizer = md.Adam(0.1)
    report = optimcheck(optimizer)
    assert optimizer.num_steps == 0
    assert optimizer.state == {}
    assert "yours" in capsys.readouterr().out
    assert "every array passed" in str(report)
    assert "<table>" in report._repr_html_()
