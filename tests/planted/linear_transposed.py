"""A learner's linear layer: on a square W the wrong formula has the right shape."""

import numpy as np

import minidlrm as md


class Linear(md.Module):
    def __init__(self, in_features, out_features, *, rng):
        self.weight = md.Parameter(rng.normal(size=(out_features, in_features)), "weight")
        self.bias = md.Parameter(np.zeros(out_features), "bias")

    def forward(self, x):
        self.keep(x)
        return x @ self.weight.value.T + self.bias.value

    def backward(self, dy):
        (x,) = self.kept()
        self.weight.add_grad(dy.T @ x)
        self.bias.add_grad(dy.sum(axis=0))
        return dy @ self.weight.value.T
