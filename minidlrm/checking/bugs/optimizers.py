"""Wrong update rules: each is a right optimizer with one classic mistake.

They are written for tables (N, D) and their rows; a dense parameter is a table of one row.
"""

from __future__ import annotations

import numpy as np

from minidlrm.checking.bugs.record import Bug
from minidlrm.optim import SGD, Adagrad, Adam, Momentum, RowwiseAdagrad


class StepUphill(SGD):
    """w + lr g: the loss grows."""

    def update(self, weight, rows, grad, state, lr):
        weight[rows] += lr * (grad - self.weight_decay * weight[rows])


class RateTwice(SGD):
    """The learning rate is applied two times."""

    def update(self, weight, rows, grad, state, lr):
        super().update(weight, rows, grad, state, lr * lr)


class DecayGrows(SGD):
    """The weight decay has the wrong sign: weights grow."""

    def update(self, weight, rows, grad, state, lr):
        weight[rows] -= lr * (grad - self.weight_decay * weight[rows])


class DecayForgotten(SGD):
    """The weight decay is left out."""

    def update(self, weight, rows, grad, state, lr):
        weight[rows] -= lr * grad


class WholeTableDecays(SGD):
    """Every row decays in every step, and not the rows of the batch alone."""

    def update(self, weight, rows, grad, state, lr):
        decay = lr * self.weight_decay * weight
        weight[rows] -= lr * grad
        weight -= decay


class VelocityForgotten(Momentum):
    """The velocity is made anew in each step: plain SGD."""

    def update(self, weight, rows, grad, state, lr):
        super().update(weight, rows, grad, {}, lr)


class VelocityNotDamped(Momentum):
    """v <- v + g, without the factor mu."""

    def update(self, weight, rows, grad, state, lr):
        velocity = state.setdefault("velocity", np.zeros_like(weight))
        velocity[rows] += grad + self.weight_decay * weight[rows]
        weight[rows] -= lr * velocity[rows]


class SquaresNotSummed(Adagrad):
    """h <- g^2: the squares of the steps before are lost."""

    def update(self, weight, rows, grad, state, lr):
        super().update(weight, rows, grad, {}, lr)


class RootForgotten(Adagrad):
    """w - lr g / h, without the square root."""

    def update(self, weight, rows, grad, state, lr):
        h = state.setdefault("square_sum", np.zeros_like(weight))
        g = grad + self.weight_decay * weight[rows]
        h[rows] += g * g
        weight[rows] -= lr * g / (h[rows] + self.eps)


class SumForMean(RowwiseAdagrad):
    """The squares of a row are summed over D, and not averaged."""

    def update(self, weight, rows, grad, state, lr):
        if len(weight) == 1:
            super().update(weight, rows, grad, state, lr)
            return
        h = state.setdefault("square_mean", np.zeros(len(weight), weight.dtype))
        g = grad + self.weight_decay * weight[rows]
        h[rows] += (g * g).sum(axis=1)
        weight[rows] -= lr * g / (np.sqrt(h[rows]) + self.eps)[:, None]


class BiasNotCorrected(Adam):
    """m and v are used as they are: the first steps are far too small or too large."""

    def update(self, weight, rows, grad, state, lr):
        for name in ("m", "v"):
            state.setdefault(name, np.zeros_like(weight))
        (b1, b2), m, v = self.betas, state["m"], state["v"]
        g = grad + self.weight_decay * weight[rows]
        m[rows] = b1 * m[rows] + (1 - b1) * g
        v[rows] = b2 * v[rows] + (1 - b2) * g * g
        weight[rows] -= lr * m[rows] / (np.sqrt(v[rows]) + self.eps)


class BetasSwapped(Adam):
    """The two betas are exchanged."""

    def update(self, weight, rows, grad, state, lr):
        betas = self.betas
        try:
            self.betas = betas[::-1]
            super().update(weight, rows, grad, state, lr)
        finally:
            self.betas = betas


class StepsCountedFromZero(Adam):
    """t is one too small in the bias correction (and 1 in the first step, to divide by it)."""

    def update(self, weight, rows, grad, state, lr):
        steps = self.num_steps
        try:
            self.num_steps = max(1, steps - 1)
            super().update(weight, rows, grad, state, lr)
        finally:
            self.num_steps = steps


def _make(**options):
    return lambda cls, rng: (cls(**options),)


_DECAYING = _make(lr=0.1, weight_decay=0.3)

BUGS = (
    Bug(StepUphill, "uphill", _make(lr=0.1)),
    Bug(RateTwice, "rate_twice", _make(lr=0.1)),
    Bug(DecayGrows, "decay_sign", _DECAYING),
    Bug(DecayForgotten, "decay_missing", _DECAYING),
    Bug(WholeTableDecays, "other_rows", _DECAYING),
    Bug(VelocityForgotten, "state_lost", _make(lr=0.1, momentum=0.9)),
    Bug(VelocityNotDamped, "momentum_missing", _make(lr=0.1, momentum=0.9)),
    Bug(SquaresNotSummed, "state_lost", _make(lr=0.1)),
    Bug(RootForgotten, "root_missing", _make(lr=0.1)),
    Bug(SumForMean, "sum_for_mean", _make(lr=0.1)),
    Bug(BiasNotCorrected, "not_corrected", _make(lr=0.1)),
    Bug(BetasSwapped, "betas_swapped", _make(lr=0.1)),
    Bug(StepsCountedFromZero, "step_number", _make(lr=0.1)),
)
