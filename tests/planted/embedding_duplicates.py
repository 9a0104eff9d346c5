"""A learner's embedding table: of a repeated id the last write wins."""

import numpy as np

import minidlrm as md


class Embedding(md.Module):
    def __init__(self, num_embeddings, embedding_dim, *, rng):
        self.weight = md.Parameter(rng.normal(size=(num_embeddings, embedding_dim)), "weight")

    def forward(self, ids):
        self.keep(ids)
        return self.weight.value[ids]

    def backward(self, dy):
        (ids,) = self.kept()
        grad = np.zeros_like(self.weight.value)
        grad[ids] += dy
        self.weight.add_grad(grad)


def example():
    """What to check, and on which ids."""
    rng = np.random.default_rng(0)
    return Embedding(50, 3, rng=rng), rng.integers(0, 50, 12)
