"""Wrong backward passes of whole models: each layer is right, and they are joined wrongly."""

from __future__ import annotations

import numpy as np

from minidlrm.checking.bugs.record import Bug
from minidlrm.data.batch import Batch
from minidlrm.layers import MLP
from minidlrm.models import DLRM, DeepFM, MatrixFactorization, WideDeep


class DenseShortcutForgotten(DLRM):
    """The dense vector also goes straight to the top MLP; that way is left out."""

    def backward(self, dlogits):
        ((_, width),) = self.kept()
        dtop = self.top.backward(dlogits[:, None])
        dz = self.interaction.backward(dtop[:, width:])
        self.bottom.backward(dz[:, 0])
        self.embeddings.backward(dz[:, 1:])


class DenseInteractionForgotten(DLRM):
    """The dense vector's part in the interaction is left out."""

    def backward(self, dlogits):
        ((_, width),) = self.kept()
        dtop = self.top.backward(dlogits[:, None])
        dz = self.interaction.backward(dtop[:, width:])
        self.bottom.backward(dtop[:, :width])
        self.embeddings.backward(dz[:, 1:])


class SharedEmbeddingsForgotten(DeepFM):
    """FM and MLP share the embeddings; the FM's gradient is left out."""

    def backward(self, dlogits):
        (shape,) = self.kept()
        self.linear.backward(dlogits)
        self.fm.backward(dlogits)
        self.fields.backward(self.mlp.backward(dlogits[:, None]).reshape(shape))


class CrossesForgotten(WideDeep):
    """The crossed features are in forward, and get no gradient."""

    def backward(self, dlogits):
        (shape,) = self.kept()
        self.linear.backward(dlogits)
        self.fields.backward(self.mlp.backward(dlogits[:, None]).reshape(shape))


class OwnVectorForTheOther(MatrixFactorization):
    """dp = dr p and dq = dr q."""

    def backward(self, dratings):
        (shape,) = self.kept()
        dz = self.product.backward(dratings)
        self.factors.backward(dz[:, ::-1].copy())
        if self.biases:
            self.biases.backward(np.broadcast_to(dratings[:, None, None], (shape[0], 2, 1)))


class LayerSkipped(MLP):
    """The first layer is left out on the way back."""

    def backward(self, dy):
        for layer in reversed(self.layers[1:]):
            dy = layer.backward(dy)
        return dy @ self.layers[0].weight.value


def _batch(rng, num_dense=3, tables=3):
    return Batch(rng.normal(size=(6, num_dense)), rng.integers(0, 4, (6, tables)))


def _dlrm(cls, rng):
    return cls(3, [5, 4, 6], 3, (4,), (5,), seed=int(rng.integers(99))), _batch(rng)


def _deepfm(cls, rng):
    return cls(3, [5, 4, 6], 3, (4,), seed=int(rng.integers(99))), _batch(rng)


def _wide(cls, rng):
    model = cls(3, [5, 4, 6], 3, (4,), crosses=[(0, 1)], seed=int(rng.integers(99)))
    return model, _batch(rng)


def _pairs(cls, rng):
    return cls([5, 6], 3, seed=int(rng.integers(99))), _batch(rng, 0, 2)


def _mlp(cls, rng):
    return cls([4, 4, 3], rng=rng), rng.normal(size=(6, 4))


BUGS = (
    Bug(DenseShortcutForgotten, "second_path", _dlrm, fingerprint=True),
    Bug(DenseInteractionForgotten, "second_path", _dlrm, fingerprint=True),
    Bug(SharedEmbeddingsForgotten, "second_path", _deepfm, fingerprint=True),
    Bug(CrossesForgotten, "missing", _wide),
    Bug(OwnVectorForTheOther, "operand", _pairs, fingerprint=True),
    Bug(LayerSkipped, "missing", _mlp),
)
