"""optimcheck: right rules pass, planted mistakes are caught and named."""

import blind_optimizers
import numpy as np
import pytest

import minidlrm as md
from minidlrm.checking import optimcheck
from minidlrm.checking.bugs import OPTIMIZERS
from minidlrm.checking.optimizers import CATALOGUE
from minidlrm.checking.update_rules import Rule
from minidlrm.checking.wrong_updates import variants


@pytest.mark.parametrize("bug", OPTIMIZERS, ids=lambda bug: bug.name)
def test_a_planted_mistake_is_caught_and_named_first(bug):
    for seed in range(5):
        (optimizer,) = bug.make(bug.cls, np.random.default_rng(seed))
        report = optimcheck(optimizer, seed=seed, verbose=False)
        assert not report.passed
        assert report.diagnosis[0].key == bug.cause, str(report)
        (right,) = bug.make(bug.correct, np.random.default_rng(seed))
        assert optimcheck(right, seed=seed, verbose=False).passed


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


def walk(change, **attributes):
    """Make an optimizer from what it does with one parameter that has a gradient."""

    class Walker:
        def step(self, parameters):
            self.t = getattr(self, "t", 0) + 1
            for p in parameters:
                if p.grad is not None:
                    sparse = isinstance(p.grad, md.SparseGrad)
                    rows = p.grad.rows if sparse else slice(None)
                    change(self, p, rows, p.grad.values if sparse else p.grad)

    walker = Walker()
    vars(walker).update(attributes)
    return walker


def first_cause(optimizer, like):
    report = optimcheck(optimizer, like=like, verbose=False)
    assert not report.passed
    return report.diagnosis[0].key


def test_parameters_that_do_not_move_are_told():
    def rebind(self, p, rows, g):
        w = p.value[rows]
        w = w - 0.1 * g

    def dense_only(self, p, rows, g):
        if isinstance(rows, slice):
            p.value -= 0.1 * g

    assert first_cause(walk(rebind), md.SGD(0.1)) == "stuck"
    assert first_cause(walk(dense_only), md.SGD(0.1)) == "some_stuck"


def test_an_averaged_velocity_is_not_taken_for_a_rate_that_is_applied_twice():
    class Averaged(md.Momentum):
        def _update(self, weight, rows, grad, state, lr):
            v = state.setdefault("v", np.zeros_like(weight))
            v[rows] = self.momentum * v[rows] + (1 - self.momentum) * grad
            weight[rows] -= lr * v[rows]

    assert first_cause(Averaged(lr=0.1, momentum=0.9), None) == "averaged"


@pytest.mark.parametrize("limit", [1.0, 5.0, 700.0])
def test_a_hidden_clip_is_found_however_large_its_limit(limit):
    def clipped(self, p, rows, g):
        p.value[rows] -= 0.1 * np.clip(g, -limit, limit)

    assert first_cause(walk(clipped), md.SGD(0.1)) == "clipped"


def test_eps_inside_the_root_is_found_although_gradients_of_ordinary_size_hide_it():
    class Inside(md.Adagrad):
        def _update(self, weight, rows, grad, state, lr):
            h = state.setdefault("h", np.zeros_like(weight))
            h[rows] += grad * grad
            weight[rows] -= lr * grad / np.sqrt(h[rows] + self.eps)

    assert first_cause(Inside(0.1), None) == "eps_inside"


def test_the_paper_gives_adam_two_places_for_eps_and_both_pass():
    class Second(md.Adam):
        def _update(self, weight, rows, grad, state, lr):
            (b1, b2), t = self.betas, self.num_steps
            m, v = (state.setdefault(name, np.zeros_like(weight)) for name in "mv")
            m[rows] = b1 * m[rows] + (1 - b1) * grad
            v[rows] = b2 * v[rows] + (1 - b2) * grad**2
            rate = lr * np.sqrt(1 - b2**t) / (1 - b1**t)
            weight[rows] -= rate * m[rows] / (np.sqrt(v[rows]) + self.eps)

    assert optimcheck(Second(0.02), verbose=False).passed


def test_a_state_that_parameters_of_one_shape_share_is_told():
    def shared(self, p, rows, g):
        v = self.v.setdefault(p.value.shape, np.zeros_like(p.value))
        v[rows] = 0.9 * v[rows] + g
        p.value[rows] -= 0.1 * v[rows]

    assert first_cause(walk(shared, v={}), md.Momentum(0.1)) == "shared"


def test_two_mistakes_at_once_are_both_told():
    def both(self, p, rows, g):
        h = self.h.setdefault(id(p), np.zeros_like(p.value))
        h[rows] += np.abs(g)
        p.value[rows] -= 0.1 * g / (h[rows] + 1e-10)

    report = optimcheck(walk(both, h={}), like=md.Adagrad(0.1), verbose=False)
    assert {cause.key for cause in report.diagnosis[:2]} == {"square_missing", "root_missing"}


def test_when_nothing_fits_the_report_says_where_it_is_right():
    def odd(self, p, rows, g):
        p.value[rows] -= 0.1 * (np.tanh(g) if p.name == "bias" else g)

    report = optimcheck(walk(odd), like=md.SGD(0.1), verbose=False)
    assert report.diagnosis[0].key == "random"
    assert "in bias; weight, weight 2, table: right in every step" in report.diagnosis[0].evidence


def test_a_wrong_rule_of_some_parameters_is_named_with_them():
    def tables_uphill(self, p, rows, g):
        p.value[rows] -= 0.1 * (g if isinstance(rows, slice) else -g)

    report = optimcheck(walk(tables_uphill), like=md.SGD(0.1), verbose=False)
    assert report.diagnosis[0].key == "uphill"
    assert report.diagnosis[0].evidence.endswith("in table; weight, bias, weight 2: right.")


def test_steps_that_change_nothing_and_rounded_weights_are_told():
    def every_second(self, p, rows, g):
        p.value[rows] -= 0.1 * g * (self.t % 2)

    def rounded(self, p, rows, g):
        p.value[rows] = (p.value[rows] - 0.1 * g).astype(np.float16)

    assert first_cause(walk(every_second), md.SGD(0.1)) == "idle"
    assert first_cause(walk(rounded), md.SGD(0.1)) == "precision"


def test_random_steps_are_told():
    rng = np.random.default_rng()

    def noisy(self, p, rows, g):
        p.value[rows] -= 0.1 * g + rng.normal(0, 1e-3, g.shape)

    walker = walk(noisy)
    type(walker).__deepcopy__ = lambda self, memo: walker
    assert first_cause(walker, md.SGD(0.1)) == "not_repeatable"


def test_an_exception_is_shown_with_its_line_and_a_grad_of_none_is_named():
    class Careless:
        def step(self, parameters):
            for p in parameters:
                g = p.grad.to_dense() if isinstance(p.grad, md.SparseGrad) else p.grad
                p.value -= 0.1 * g

    class Broken:
        def step(self, parameters):
            raise NotImplementedError("not written yet")

    report = optimcheck(Careless(), like=md.SGD(0.1), verbose=False)
    assert report.diagnosis[0].key == "no_gradient"
    assert "test_optimcheck.py, line" in report.faults[0]
    assert "p.value -= 0.1 * g" in report.faults[0]
    report = optimcheck(Broken(), like=md.SGD(0.1), verbose=False)
    assert report.diagnosis[0].key == "stopped"
    assert 'raise NotImplementedError("not written yet")' in report.faults[0]


def test_a_step_that_knows_no_sparse_gradient_is_told_so():
    def plain(parameters):
        for p in parameters:
            if p.grad is not None:
                p.value -= 0.1 * p.grad

    optimizer = walk(None)
    type(optimizer).step = lambda self, parameters: plain(parameters)
    assert first_cause(optimizer, md.SGD(0.1)) == "sparse"


class OfLists:
    """Keeps a velocity for each place of the list."""

    def __init__(self, damping=0.9):
        self.damping, self.v = damping, None

    def step(self, params, grads):
        self.v = self.v or [np.zeros_like(p) for p in params]
        for p, g, v in zip(params, grads, self.v, strict=True):
            v *= self.damping
            v += g
            p -= 0.1 * v


class OfDicts:
    def __init__(self, damping=0.9):
        self.damping, self.v = damping, {}

    def step(self, params, grads):
        for key in params:
            self.v[key] = self.damping * self.v.get(key, 0) + grads[key]
            params[key] = params[key] - 0.1 * self.v[key]


class OfOneArray:
    def __init__(self, damping=0.9):
        self.damping, self.v = damping, 0

    def update(self, w, g):
        self.v = self.damping * self.v + g
        return w - 0.1 * self.v


@pytest.mark.parametrize("cls", [OfLists, OfDicts, OfOneArray])
def test_optimizers_that_take_arrays_are_checked(cls):
    assert optimcheck(cls(), like=md.Momentum(0.1), verbose=False).passed
    assert first_cause(cls(1.0), md.Momentum(0.1)) == "momentum_missing"


def test_an_optimizer_that_holds_its_parameters_is_checked_by_what_makes_it():
    class Holding:
        def __init__(self, parameters, lr=0.1):
            self.parameters, self.lr = parameters, lr

        def step(self):
            Learners(self.lr).step(self.parameters)

    assert optimcheck(Holding, like=md.SGD(0.1), verbose=False).passed
    make = lambda parameters: Holding(parameters, 0.01)  # noqa: E731
    assert first_cause(make, md.SGD(0.1)) == "rate_twice"
    with pytest.raises(TypeError, match="lambda parameters: Holding"):
        optimcheck(Holding([]), like=md.SGD(0.1))


@pytest.mark.parametrize("name", ["update", "_update"])
def test_a_rule_may_replace_its_state_and_have_the_older_name(name):
    def rule(self, weight, rows, grad, state, lr):
        v = state.get("v", np.zeros_like(weight)).copy()
        v[rows] = self.momentum * v[rows] + grad
        state["v"] = v
        weight[rows] -= lr * v[rows]

    assert optimcheck(type("Mine", (md.Momentum,), {name: rule})(0.1), verbose=False).passed


def test_a_rule_keeps_what_it_likes_under_a_name_of_its_base_and_no_kernel_takes_it():
    class Largest(md.RowwiseAdagrad):
        def update(self, weight, rows, grad, state, lr):
            h = state.setdefault("square_mean", np.zeros(len(weight)))
            h[rows] += (grad * grad).max(axis=1)
            weight[rows] -= lr * grad / (np.sqrt(h[rows]) + self.eps)[:, None]

    class Passing(md.Momentum):
        def update(self, weight, rows, grad, state, lr):
            state["velocity"] = np.zeros(2)
            super().update(weight, rows, grad, state, lr)

    assert first_cause(Largest(0.1), None) == "max_for_mean"
    assert "it must have (1, 12)" in optimcheck(Passing(0.1), verbose=False).faults[0]


def test_a_rule_written_out_is_the_optimizer_of_minidlrm():
    for like in (
        md.SGD(0.1, 0.2),
        md.Momentum(0.1, 0.8, 0.2),
        md.Adagrad(0.1, 0.2),
        md.RowwiseAdagrad(0.1, 0.2),
        md.Adam(0.02, weight_decay=0.2),
        md.FTRL(0.1, 0.2, 0.3),
        md.SGD(lambda t: 0.1 / t),
    ):
        assert optimcheck(Rule(like), like=like, verbose=False).passed


LIKE = [
    *(cls(0.05) for cls in (md.SGD, md.Momentum, md.Adagrad, md.RowwiseAdagrad, md.Adam)),
    md.FTRL(0.1, 0.2, 0.3),
    md.SGD(0.05, weight_decay=0.2),
    md.Adam(0.05, weight_decay=0.2),
]


def wrong_rules():
    """Give one rule for each cause that wrong rules have."""
    found = {}
    for like in LIKE:
        for key, text, parts in variants(like):
            if not like.weight_decay or "decay" in text:  # which hides a wrong eps
                found.setdefault(key, (like, key, text, parts))
    return list(found.values())


def test_every_kind_of_wrong_rule_is_caught_and_named():
    rules = wrong_rules()
    assert len(rules) > 40
    for like, key, text, parts in rules:
        report = optimcheck(Rule(like, **parts), like=like, verbose=False)
        assert not report.passed, text
        assert key in {cause.key for cause in report.diagnosis[:4]}, f"{text}\n{report}"


def test_the_optimizer_is_not_changed_and_the_report_is_readable(capsys):
    optimizer = md.Adam(0.1)
    report = optimcheck(optimizer)
    assert optimizer.num_steps == 0
    assert optimizer.state == {}
    assert "yours" in capsys.readouterr().out
    assert "every array passed" in str(report)
    assert "<table>" in report._repr_html_()


@pytest.mark.parametrize("name", blind_optimizers.WRONG)
def test_a_wrong_optimizer_of_a_learner_is_named(name):
    make, like, truth, causes = blind_optimizers.WRONG[name]
    report = optimcheck(make(), like=like, verbose=False)
    assert not report.passed
    assert report.diagnosis[0].key in causes.split(), truth


@pytest.mark.parametrize("name", blind_optimizers.RIGHT)
def test_a_right_optimizer_of_a_learner_passes(name):
    make, like = blind_optimizers.RIGHT[name]
    report = optimcheck(make(), like=like, verbose=False)
    assert report.passed, str(report)
