"""Wrong backward passes of `Linear`, `ReLU` and `Sigmoid`."""

from __future__ import annotations

import numpy as np

from minidlrm.checking.bugs.record import Bug
from minidlrm.layers import Linear, ReLU, Sigmoid, sigmoid


class WeightForItsTranspose(Linear):
    """dx = dy W^T: on a square W the shapes fit, and nothing complains."""

    def backward(self, dy):
        super().backward(dy)
        return dy @ self.weight.value.T


class GradientTransposed(Linear):
    """dW = x^T dy, where W is (out, in): it must be dy^T x."""

    def backward(self, dy):
        x, _ = self.kept()
        self.weight.add_grad(x.T @ dy)
        self.bias.add_grad(dy.sum(axis=0))
        return dy @ self.weight.value


class DividedByTheBatch(Linear):
    """The gradients of the parameters are divided by B, which the loss has done already."""

    def backward(self, dy):
        x, _ = self.kept()
        self.weight.add_grad(dy.T @ x / len(x))
        self.bias.add_grad(dy.mean(axis=0))
        return dy @ self.weight.value


class BiasOfOneSample(Linear):
    """db is taken from the last sample, and not summed."""

    def backward(self, dy):
        x, _ = self.kept()
        self.weight.add_grad(dy.T @ x)
        self.bias.add_grad(dy[-1])
        return dy @ self.weight.value


class BiasNotSummed(Linear):
    """db = dy, one row for each sample."""

    def backward(self, dy):
        x, _ = self.kept()
        self.weight.add_grad(dy.T @ x)
        self.bias.grad = dy.copy()
        return dy @ self.weight.value


class BiasBroadcast(Linear):
    """db = dy.sum() without an axis: one number for all outputs."""

    def backward(self, dy):
        x, _ = self.kept()
        self.weight.add_grad(dy.T @ x)
        self.bias.add_grad(np.full_like(self.bias.value, dy.sum()))
        return dy @ self.weight.value


class BiasForgotten(Linear):
    """The bias gets no gradient at all."""

    def backward(self, dy):
        x, _ = self.kept()
        self.weight.add_grad(dy.T @ x)
        return dy @ self.weight.value


class SignLost(Linear):
    """A minus too many: dW = -dy^T x."""

    def backward(self, dy):
        x, _ = self.kept()
        self.weight.add_grad(-dy.T @ x)
        self.bias.add_grad(dy.sum(axis=0))
        return dy @ self.weight.value


class Overwritten(Linear):
    """grad = ... in place of grad += ...: a layer used twice keeps its last use only."""

    def backward(self, dy):
        x, _ = self.kept()
        self.weight.grad = dy.T @ x
        self.bias.grad = dy.sum(axis=0)
        return dy @ self.weight.value


class AddedTwice(Linear):
    """dW is added two times."""

    def backward(self, dy):
        x, _ = self.kept()
        self.weight.add_grad(dy.T @ x)
        self.weight.add_grad(dy.T @ x)
        self.bias.add_grad(dy.sum(axis=0))
        return dy @ self.weight.value


class FirstInputKept(Linear):
    """The input of the first forward is kept for ever."""

    def forward(self, x):
        y = super().forward(x)
        self.first = getattr(self, "first", x)
        return y

    def backward(self, dy):
        self.kept()
        self.weight.add_grad(dy.T @ self.first)
        self.bias.add_grad(dy.sum(axis=0))
        return dy @ self.weight.value


class OutputForInput(Linear):
    """dW = dy^T y: the output in place of the input."""

    def backward(self, dy):
        _, y = self.kept()
        self.weight.add_grad(dy.T @ y)
        self.bias.add_grad(dy.sum(axis=0))
        return dy @ self.weight.value


class SinglePrecision(Linear):
    """dx is made in float32, whatever x is."""

    def backward(self, dy):
        return super().backward(dy).astype(np.float32)


class UpstreamIgnored(Linear):
    """dy is taken for ones, as if the output were summed."""

    def backward(self, dy):
        return super().backward(np.ones_like(dy))


class FirstColumnOnly(Linear):
    """dW is computed for the first input alone."""

    def backward(self, dy):
        x, _ = self.kept()
        grad = np.zeros_like(self.weight.value)
        grad[:, 0] = dy.T @ x[:, 0]
        self.weight.add_grad(grad)
        self.bias.add_grad(dy.sum(axis=0))
        return dy @ self.weight.value


class FusedMaskForgotten(Linear):
    """The ReLU behind the layer passes everything back."""

    def backward(self, dy):
        x, _ = self.kept()
        self.weight.add_grad(dy.T @ x)
        self.bias.add_grad(dy.sum(axis=0))
        return dy @ self.weight.value


class MaskForgotten(ReLU):
    """dx = dy, below zero as well."""

    def backward(self, dy):
        self.kept()
        return np.array(dy)


class MaskOfTheUpstream(ReLU):
    """The mask is made of dy, and not of x."""

    def backward(self, dy):
        self.kept()
        return np.where(dy <= 0, 0, dy)


class UpstreamMaskedInPlace(ReLU):
    """dy[x <= 0] = 0 changes the caller's array."""

    def backward(self, dy):
        flat, _ = self.kept()
        dy[flat] = 0
        return dy


class SlopeForgotten(Sigmoid):
    """dx = dy."""

    def backward(self, dy):
        self.kept()
        return np.array(dy)


class SlopeAtTheInput(Sigmoid):
    """dx = dy x (1 - x): the formula wants the output."""

    def forward(self, x):
        y = super().forward(x)
        self.keep(np.asarray(x))
        return y

    def backward(self, dy):
        (x,) = self.kept()
        return dy * x * (1 - x)


class SlopeOfTheOutput(Sigmoid):
    """The sigmoid is applied to the output once more before the formula."""

    def backward(self, dy):
        (y,) = self.kept()
        return dy * sigmoid(y) * (1 - sigmoid(y))


def _square(cls, rng):
    return cls(4, 4, rng=rng), rng.normal(size=(6, 4))


def _oblong(cls, rng):
    return cls(5, 3, rng=rng), rng.normal(size=(6, 5))


def _fused(cls, rng):
    return cls(5, 3, activation="relu", rng=rng), rng.normal(size=(6, 5))


def _elementwise(cls, rng):
    return cls(), rng.normal(size=(5, 4))


BUGS = (
    Bug(WeightForItsTranspose, "transpose", _square),
    Bug(GradientTransposed, "transpose", _square),
    Bug(DividedByTheBatch, "batch_twice", _oblong),
    Bug(BiasOfOneSample, "one_sample", _oblong),
    Bug(BiasNotSummed, "not_summed", _oblong),
    Bug(BiasBroadcast, "broadcast", _oblong),
    Bug(BiasForgotten, "missing", _oblong),
    Bug(SignLost, "sign", _oblong),
    Bug(Overwritten, "overwritten", _oblong),
    Bug(AddedTwice, "added_twice", _oblong),
    Bug(FirstInputKept, "stale", _oblong),
    Bug(OutputForInput, "operand", _square),
    Bug(SinglePrecision, "dtype", _oblong),
    Bug(UpstreamIgnored, "upstream_ignored", _oblong),
    Bug(FirstColumnOnly, "one_part", _oblong),
    Bug(FusedMaskForgotten, "slope_forgotten", _fused),
    Bug(MaskForgotten, "slope_forgotten", _elementwise),
    Bug(MaskOfTheUpstream, "not_linear", _elementwise),
    Bug(UpstreamMaskedInPlace, "modified", _elementwise),
    Bug(SlopeForgotten, "slope_forgotten", _elementwise),
    Bug(SlopeAtTheInput, "slope_place", _elementwise),
    Bug(SlopeOfTheOutput, "slope_place", _elementwise),
)
