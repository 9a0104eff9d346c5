"""Wrong backward passes of the losses."""

from __future__ import annotations

import numpy as np

from minidlrm.checking.bugs.record import Bug
from minidlrm.layers import sigmoid
from minidlrm.losses import MSE, BCEWithLogits


class SigmoidTwice(BCEWithLogits):
    """The slope of the sigmoid is applied to what has it in already."""

    def backward(self, dy=1.0):
        x = self._kept[0]
        return super().backward(dy) * sigmoid(x) * (1 - sigmoid(x))


class BatchMissing(BCEWithLogits):
    """The mean's 1/B is left out."""

    def backward(self, dy=1.0):
        size = len(self._kept[0])
        return super().backward(dy) * size


class BatchTwice(BCEWithLogits):
    """1/B is applied two times."""

    def backward(self, dy=1.0):
        size = len(self._kept[0])
        return super().backward(dy) / size


class LabelMinusRate(BCEWithLogits):
    """y - sigmoid(x): the sign of the gradient is lost."""

    def backward(self, dy=1.0):
        return -super().backward(dy)


class SoftplusSign(BCEWithLogits):
    """The slope of log(1 + e^-x) is taken as 1 - sigmoid(x)."""

    def backward(self, dy=1.0):
        x, label, weight, *_ = self.kept()
        slope = (1 - label) + weight * (1 - sigmoid(x))
        return self._spread(dy, slope)


class WeightOfClicksMissing(BCEWithLogits):
    """pos_weight is in forward, and not in backward."""

    def backward(self, dy=1.0):
        x, label, *_ = self.kept()
        return self._spread(dy, sigmoid(x) - label)


class OneMinusRate(BCEWithLogits):
    """A factor 1 - sigmoid(x) is left from a chain rule that was not cancelled."""

    def backward(self, dy=1.0):
        x = self._kept[0]
        return super().backward(dy) * (1 - sigmoid(x))


class UpstreamIgnoredByTheLoss(BCEWithLogits):
    """dy is taken for 1: right until the loss is a part of something larger."""

    def backward(self, dy=1.0):
        return super().backward(1.0)


class TwoMissing(MSE):
    """d(x - y)^2 = (x - y), without the 2."""

    def backward(self, dy=1.0):
        return super().backward(dy) / 2


class RidgeMSE(MSE):
    """Squared error plus 0.3 |x|^2, whose gradient is right."""

    def forward(self, prediction, label, weight=None):
        self.penalized = np.asarray(prediction)
        return super().forward(prediction, label, weight) + 0.3 * (self.penalized**2).sum().item()

    def backward(self, dy=1.0):
        return super().backward(dy) + 0.6 * dy * self.penalized


class PenaltyForgotten(RidgeMSE):
    """The penalty is in the loss, and not in its gradient."""

    def backward(self, dy=1.0):
        return MSE.backward(self, dy)


def _clicks(cls, rng):
    return cls(), rng.normal(size=7), (rng.random(7) < 0.5).astype(float)


def _weighted(cls, rng):
    label = np.array([1.0, 0, 1, 0, 1, 0, 0])
    return cls(pos_weight=3.0), rng.normal(size=7), label


def _ratings(cls, rng):
    return cls(), rng.normal(size=7), rng.normal(size=7)


BUGS = (
    Bug(SigmoidTwice, "sigmoid_twice", _clicks, fingerprint=True),
    Bug(BatchMissing, "batch_missing", _clicks),
    Bug(BatchTwice, "batch_twice", _clicks),
    Bug(LabelMinusRate, "sign", _clicks),
    Bug(SoftplusSign, "softplus_sign", _clicks, fingerprint=True),
    Bug(WeightOfClicksMissing, "pos_weight", _weighted, fingerprint=True),
    Bug(OneMinusRate, "one_minus_p", _clicks, fingerprint=True),
    Bug(UpstreamIgnoredByTheLoss, "upstream_ignored", _clicks),
    Bug(TwoMissing, "factor", _ratings),
    Bug(PenaltyForgotten, "regularization", _ratings),
)
