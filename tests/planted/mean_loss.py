"""A learner's two functions: the mean of the squared errors, and its gradient."""

import numpy as np


def forward(x, target):
    return np.mean((x - target) ** 2), (x, target)


def backward(dy, cache):
    x, target = cache
    return 2 * dy * (x - target)


def example():
    rng = np.random.default_rng(0)
    return (forward, backward), rng.normal(size=8), rng.normal(size=8)
