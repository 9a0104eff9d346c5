"""Wrong backward passes of the embedding layers: most lose some use of an id."""

from __future__ import annotations

import numpy as np

from minidlrm.checking.bugs.record import Bug
from minidlrm.data.batch import Jagged
from minidlrm.layers import EmbeddingBagCollection, QREmbeddingBag
from minidlrm.module import SparseGrad


class _Uses(EmbeddingBagCollection):
    """The right backward pass, use by use: what the wrong ones below vary."""

    def backward(self, dy):
        shape, rows, source, scale = self.kept()
        flat = np.asarray(dy).reshape(-1, shape[2])  # (B T, D)
        places = np.arange(len(rows)) if source is None else source
        terms = flat[places]  # (nnz, D): the gradient of each use
        if scale is not None:
            terms = terms * scale[:, None]
        dense = np.zeros(self.weight.value.shape, terms.dtype)
        self.scatter(dense, rows, places, terms)
        kept = np.unique(np.concatenate([rows, np.flatnonzero(dense.any(axis=1))]))
        self.weight.add_grad(SparseGrad(kept, dense[kept], dense.shape))

    def scatter(self, dense, rows, places, terms):
        np.add.at(dense, rows, terms)


def _wrong(cls: type) -> type:
    """Give a class built on `_Uses` the public layer as its base, for reports."""
    return type(cls.__name__, (EmbeddingBagCollection,), {**_public(_Uses), **_public(cls)})


def _public(cls: type) -> dict:
    return {k: v for k, v in vars(cls).items() if k not in ("__dict__", "__weakref__")}


@_wrong
class LastWriteWins(_Uses):
    """grad[rows] += terms: the buffered assignment keeps the last write of a repeated row."""

    def scatter(self, dense, rows, places, terms):
        dense[rows] += terms


@_wrong
class RepeatInsideABagLost(_Uses):
    """Each bag is added by itself with dense[rows] += ...: a repeat inside it counts once."""

    def scatter(self, dense, rows, places, terms):
        for place in np.unique(places):
            chosen = places == place
            dense[rows[chosen]] += terms[chosen]


@_wrong
class FirstOfTheBag(_Uses):
    """Only the first id of each bag gets a gradient."""

    def scatter(self, dense, rows, places, terms):
        _, first = np.unique(places, return_index=True)
        np.add.at(dense, rows[first], terms[first])


@_wrong
class NextTable(_Uses):
    """The rows are numbered as if the tables began one table later."""

    def scatter(self, dense, rows, places, terms):
        size = int(self.starts[1])
        np.add.at(dense, (rows + size) % len(dense), terms)


@_wrong
class NothingAdded(_Uses):
    """The gradient is computed, and never stored."""

    def scatter(self, dense, rows, places, terms):
        pass


class MeanNotDivided(EmbeddingBagCollection):
    """mode="mean": each id of a bag gets the bag's whole gradient."""

    def backward(self, dy):
        shape, rows, source, _ = self.kept()
        assert self.mode == "mean"  # else there is nothing to forget
        self.keep(shape, rows, source, None)
        return super().backward(dy)


class WeightsForgotten(EmbeddingBagCollection):
    """The row of an id gets dy, and not alpha_i dy."""

    def backward(self, dy):
        shape, rows, source, scale = self.kept()
        assert scale is not None  # else there is nothing to forget
        self.keep(shape, rows, source, np.ones_like(scale))
        return super().backward(dy)


class OwnTableForTheOther(QREmbeddingBag):
    """q r is derived by q as q, and by r as r."""

    def backward(self, dy):
        (z,) = self.kept()
        self.tables.backward(dy[:, None] * z)


def _one_hot(cls, rng):
    return cls([7, 5, 6], 3, rng=rng), rng.integers(0, 5, (6, 3))


def _bags(cls, rng, mode="sum", weighted=False):
    lengths = np.array([3, 2, 3, 1, 4, 2])
    ids = np.concatenate([rng.permutation(9)[:n] for n in lengths])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    weights = rng.normal(size=len(ids)) if weighted else None
    return cls([9], 3, mode, rng=rng), Jagged(ids, offsets, weights)


def _means(cls, rng):
    return _bags(cls, rng, "mean")


def _weighted(cls, rng):
    return _bags(cls, rng, weighted=True)


def _composed(cls, rng):
    return cls(20, 3, 4, rng=rng), rng.integers(0, 20, (5, 2))


BUGS = (
    Bug(LastWriteWins, "duplicates", _one_hot),
    Bug(RepeatInsideABagLost, "bag_repeat", _bags),
    Bug(FirstOfTheBag, "first_of_bag", _bags, fingerprint=True),
    Bug(MeanNotDivided, "mean_missing", _means, fingerprint=True),
    Bug(WeightsForgotten, "weight_missing", _weighted, fingerprint=True),
    Bug(NextTable, "table_shift", _one_hot, fingerprint=True),
    Bug(NothingAdded, "zero", _one_hot),
    Bug(OwnTableForTheOther, "operand", _composed, fingerprint=True),
)
