"""Wrong and right optimizers, as learners write them, with their truths.

They were written without a look at the rules; docs/gradcheck.md has what was said at first.
WRONG holds for each: what makes it, the right one, the truth, and the causes that name it.
"""

from __future__ import annotations

import numpy as np

import minidlrm as md

WRONG = {}
RIGHT = {}


def wrong(truth, causes, like):
    """Enter a wrong one."""

    def enter(make):
        WRONG[make.__name__] = (make, like, truth, causes)
        return make

    return enter


def right(like):
    """Enter a right one."""

    def enter(make):
        RIGHT[make.__name__] = (make, like)
        return make

    return enter


def parts(parameter):
    """Return the rows of a parameter's gradient, and their values."""
    grad = parameter.grad
    if isinstance(grad, md.SparseGrad):
        return grad.rows, grad.values
    return slice(None), grad


class Stepping:
    """Calls `update` for each parameter that has a gradient, with a state of its own."""

    def __init__(self):
        self.states, self.t = {}, 0

    def step(self, parameters):
        self.t += 1
        for p in parameters:
            if p.grad is not None:
                rows, g = parts(p)
                state = self.states.setdefault(id(p), {})
                self.update(p.value, rows, g, state)

    @staticmethod
    def zeros(state, name, like):
        return state.setdefault(name, np.zeros_like(like))


@wrong("the step is divided by the number of rows", "factor whole_array rate_changes", md.SGD(0.1))
class MeanOfRows(Stepping):
    def update(self, w, rows, g, state):
        w[rows] -= 0.1 * g / len(w)


@wrong("the rate falls as 1 / sqrt(t)", "rate_changes step_number", md.SGD(0.1))
class FallingRate(Stepping):
    def update(self, w, rows, g, state):
        w[rows] -= 0.1 / np.sqrt(self.t) * g


@wrong(
    "the velocity is kept for all parameters of one shape together",
    "shared",
    md.Momentum(0.1, momentum=0.9),
)
class SharedVelocity(Stepping):
    def update(self, w, rows, g, state):
        v = self.states.setdefault(w.shape, np.zeros_like(w))
        v[rows] = 0.9 * v[rows] + g
        w[rows] -= 0.1 * v[rows]


@wrong(
    "the velocity begins anew in each step",
    "state_lost momentum_missing",
    md.Momentum(0.1, momentum=0.9),
)
class LostVelocity(Stepping):
    def update(self, w, rows, g, state):
        v = np.zeros_like(w)
        v[rows] = 0.9 * v[rows] + g
        w[rows] -= 0.1 * v[rows]


@wrong("Adagrad without the square root", "root_missing", md.Adagrad(0.1))
class NoRoot(Stepping):
    def update(self, w, rows, g, state):
        h = self.zeros(state, "h", w)
        h[rows] += g**2
        w[rows] -= 0.1 * g / (h[rows] + 1e-10)


@wrong("Adam without any bias correction", "not_corrected", md.Adam(0.01))
class Uncorrected(Stepping):
    def update(self, w, rows, g, state):
        m, v = self.zeros(state, "m", w), self.zeros(state, "v", w)
        m[rows] = 0.9 * m[rows] + 0.1 * g
        v[rows] = 0.999 * v[rows] + 0.001 * g**2
        w[rows] -= 0.01 * m[rows] / (np.sqrt(v[rows]) + 1e-8)


@wrong("Adam: v is corrected with beta1", "correction_beta", md.Adam(0.01))
class OtherBeta(Stepping):
    def update(self, w, rows, g, state):
        m, v = self.zeros(state, "m", w), self.zeros(state, "v", w)
        m[rows] = 0.9 * m[rows] + 0.1 * g
        v[rows] = 0.999 * v[rows] + 0.001 * g**2
        m_hat, v_hat = m[rows] / (1 - 0.9**self.t), v[rows] / (1 - 0.9**self.t)
        w[rows] -= 0.01 * m_hat / (np.sqrt(v_hat) + 1e-8)


@wrong("the decay is added to the step with a plus", "decay_sign", md.SGD(0.1, weight_decay=0.3))
class GrowingWeights(Stepping):
    def update(self, w, rows, g, state):
        w[rows] -= 0.1 * (g - 0.3 * w[rows])


@wrong("a table is updated as if its rows were 0, 1, 2, ...", "wrong_rows other_rows", md.SGD(0.1))
class FirstRows(Stepping):
    def update(self, w, rows, g, state):
        w[: len(g)] -= 0.1 * g


@wrong("the gradient's sign alone is used", "sign_only", md.SGD(0.1))
class SignOnly(Stepping):
    def update(self, w, rows, g, state):
        w[rows] -= 0.1 * np.sign(g)


@wrong("each gradient is scaled to norm 1", "normalized", md.SGD(0.1))
class UnitNorm(Stepping):
    def update(self, w, rows, g, state):
        w[rows] -= 0.1 * g / np.sqrt((g**2).sum())


@right(md.Adam(0.01))
class AdamWithOneRate(Stepping):
    """Both corrections in the rate, as in the paper's last lines, with eps scaled along."""

    def update(self, w, rows, g, state):
        m, v = self.zeros(state, "m", w), self.zeros(state, "v", w)
        m[rows] += 0.1 * (g - m[rows])
        v[rows] += 0.001 * (g * g - v[rows])
        root = np.sqrt(1 - 0.999**self.t)
        rate = 0.01 * root / (1 - 0.9**self.t)
        w[rows] -= rate * m[rows] / (np.sqrt(v[rows]) + 1e-8 * root)


@right(md.Adagrad(0.1))
class AdagradInPlace(Stepping):
    def update(self, w, rows, g, state):
        h = self.zeros(state, "h", w)
        h[rows] += np.square(g)
        np.subtract.at(w, rows, 0.1 * g / (np.sqrt(h[rows]) + 1e-10))


@right(md.SGD(0.1, weight_decay=0.3))
class DecayFirst(Stepping):
    def update(self, w, rows, g, state):
        w[rows] = (1 - 0.1 * 0.3) * w[rows] - 0.1 * g


@right(md.Momentum(0.1, momentum=0.9))
class VelocityInADict:
    def __init__(self):
        self.velocity = {}

    def step(self, parameters):
        for p in parameters:
            if p.grad is None:
                continue
            rows, g = parts(p)
            if p.name not in self.velocity:
                self.velocity[p.name] = np.zeros(p.value.shape)
            v = self.velocity[p.name]
            v[rows] = 0.9 * v[rows] + g
            p.value[rows] -= 0.1 * v[rows]
