"""The kernels of a loss, compiled by Numba: as in `jit`, which has their names."""

import math

import numpy as np

from minidlrm.kernels import reference
from minidlrm.kernels.compiler import compiled


def bce(x, y, p):
    """See `reference.bce`, which serves the dtypes that no training run has."""
    if x.dtype.char not in "fd":
        return reference.bce(x, y, p)
    return _bce(x.ravel(), y.ravel(), p).reshape(x.shape)


@compiled
def _bce(x, y, p):
    terms = np.empty_like(x)
    for b in range(len(x)):
        logit, label = np.float64(x[b]), np.float64(y[b])
        softplus = math.log1p(math.exp(-abs(logit))) - (logit if logit < 0 else 0.0)
        terms[b] = (1 - label) * logit + (1 + (p - 1) * label) * softplus
    return terms


def bce_backward(x, y, w):
    """See `reference.bce_backward`, which serves the dtypes that no training run has."""
    if x.dtype.char not in "fd":
        return reference.bce_backward(x, y, w)
    return _bce_backward(x.ravel(), y.ravel(), np.ravel(w)).reshape(x.shape)


@compiled
def _bce_backward(x, y, w):
    slopes = np.empty_like(x)
    for b in range(len(x)):
        logit, other = np.float64(x[b]), 1 - np.float64(y[b])
        e = math.exp(-abs(logit))
        near, far = 1 / (1 + e), e / (1 + e)
        sigma, rest = (far, near) if logit < 0 else (near, far)
        slopes[b] = other * sigma - (np.float64(w[b if len(w) > 1 else 0]) - other) * rest
    return slopes
