"""Wrong backward passes of the interactions: dot, FM, product, cross, CIN."""

from __future__ import annotations

import numpy as np

from minidlrm.checking.bugs.record import Bug
from minidlrm.layers import (
    CIN,
    BiInteraction,
    CrossNetwork,
    DotInteraction,
    ElementwiseProduct,
    FMInteraction,
    MatrixCross,
)


def _as_matrix(dy: np.ndarray, i: np.ndarray, j: np.ndarray, size: int) -> np.ndarray:
    g = np.zeros((len(dy), size, size), dy.dtype)  # (B, F, F)
    g[:, i, j] = dy
    return g


class UpperForLower(DotInteraction):
    """Forward writes the lower triangle row by row, backward reads the upper one."""

    def backward(self, dy):
        (z,) = self.kept()
        g = _as_matrix(dy, *np.triu_indices(z.shape[1], 1), z.shape[1])
        return (g + g.transpose(0, 2, 1)) @ z


class OneTriangle(DotInteraction):
    """dz = G z: the second vector of each pair gets nothing."""

    def backward(self, dy):
        (z,) = self.kept()
        return _as_matrix(dy, *np.tril_indices(z.shape[1], -1), z.shape[1]) @ z


class DiagonalOnce(DotInteraction):
    """d<z, z> is taken as z, without the 2."""

    def backward(self, dy):
        (z,) = self.kept()
        g = _as_matrix(dy, *np.tril_indices(z.shape[1]), z.shape[1])
        lower = np.tril(g, -1)
        return (g + lower.transpose(0, 2, 1)) @ z


class DiagonalDoubled(DotInteraction):
    """The 2 of the diagonal is applied to G + G^T, which has it in already."""

    def backward(self, dy):
        (z,) = self.kept()
        g = _as_matrix(dy, *np.tril_indices(z.shape[1]), z.shape[1])
        diagonal = np.einsum("bii->bi", g)[:, :, None]  # (B, F, 1)
        return (g + g.transpose(0, 2, 1)) @ z + 2 * diagonal * z


class PairsAveraged(DotInteraction):
    """The gradient is divided by the number of pairs."""

    def backward(self, dy):
        return super().backward(dy) / self.num_outputs


class OtherSample(DotInteraction):
    """The samples of the batch are taken in reverse order."""

    def backward(self, dy):
        return super().backward(dy)[::-1].copy()


class SelfTermLeft(BiInteraction):
    """dz = dy s: a vector's product with itself is not taken out."""

    def backward(self, dy):
        z, total = self.kept()
        return np.broadcast_to(dy[:, None] * total[:, None], z.shape).copy()


class SelfTermLeftInTheSum(FMInteraction):
    """dz = dy s: a vector's product with itself is not taken out."""

    def backward(self, dy):
        z, total = self.kept()
        return dy[:, None, None] * np.broadcast_to(total[:, None], z.shape)


class HalfLost(FMInteraction):
    """The 1/2 of the identity is in forward, and not in backward."""

    def backward(self, dy):
        return 2 * super().backward(dy)


class OperandsSwapped(ElementwiseProduct):
    """du = dy u and dv = dy v."""

    def backward(self, dy):
        du, dv = super().backward(dy)
        return dv, du


class ResidualForgotten(MatrixCross):
    """y = x_0 (W x + b) + x: the last x gets no gradient."""

    def backward(self, dy):
        dx0, dx = super().backward(dy)
        return dx0, dx - dy


class FirstInputForgotten(CrossNetwork):
    """x_0 goes into every layer; only its way as the first x is followed."""

    def backward(self, dy):
        for layer in reversed(self.layers):
            _, dy = layer.backward(dy)
        return dy


class LastLayerOnly(CrossNetwork):
    """Of the gradients of x_0, the last layer's alone is added."""

    def backward(self, dy):
        dx0, dy = self.layers[-1].backward(dy)
        for layer in reversed(self.layers[:-1]):
            _, dy = layer.backward(dy)
        return dx0 + dy


class FirstOperandOnly(CIN):
    """z enters every layer, and its gradient is taken from its way as x alone."""

    def backward(self, dy):
        calls = [layer.backward for layer in self.layers]
        for layer, call in zip(self.layers, calls, strict=True):
            layer.backward = lambda dy, call=call: _without_second(call(dy))
        try:
            return super().backward(dy)
        finally:
            for layer in self.layers:
                del layer.backward


def _without_second(grads):
    return grads[0], np.zeros_like(grads[1])


class PoolingAveraged(CIN):
    """Sum pooling is derived as if it were a mean over the D entries."""

    def backward(self, dy):
        return super().backward(dy / self.embedding_dim)


def _vectors(cls, rng, **options):
    return cls(4, 3, **options), rng.normal(size=(5, 4, 3))


def _with_diagonal(cls, rng):
    return _vectors(cls, rng, self_interaction=True)


def _two(cls, rng):
    return cls(), rng.normal(size=(5, 3)), rng.normal(size=(5, 3))


def _crossed(cls, rng):
    return cls(4, rng=rng), rng.normal(size=(5, 4)), rng.normal(size=(5, 4))


def _network(cls, rng):
    return cls(4, 3, rng=rng), rng.normal(size=(5, 4))


def _cin(cls, rng):
    return cls(4, 3, (4, 2), rng=rng), rng.normal(size=(5, 4, 3))


BUGS = (
    Bug(UpperForLower, "pairing", _vectors),
    Bug(OneTriangle, "triangle", _vectors, fingerprint=True),
    Bug(DiagonalOnce, "diagonal", _with_diagonal, fingerprint=True),
    Bug(DiagonalDoubled, "diagonal", _with_diagonal, fingerprint=True),
    Bug(PairsAveraged, "factor", _vectors),
    Bug(OtherSample, "shifted", _vectors),
    Bug(SelfTermLeft, "self_term", _vectors, fingerprint=True),
    Bug(SelfTermLeftInTheSum, "self_term", _vectors),
    Bug(HalfLost, "factor", _vectors),
    Bug(OperandsSwapped, "operand", _two),
    Bug(ResidualForgotten, "second_path", _crossed),
    Bug(FirstInputForgotten, "second_path", _network, fingerprint=True),
    Bug(LastLayerOnly, "second_path", _network, fingerprint=True),
    Bug(FirstOperandOnly, "second_path", _cin, fingerprint=True),
    Bug(PoolingAveraged, "factor", _cin),
)
