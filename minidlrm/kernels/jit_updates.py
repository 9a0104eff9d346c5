"""The row updates of the optimizers, compiled by Numba: as in `jit`, which has their names."""

import numpy as np

from minidlrm.kernels.compiler import compiled as _compile
from minidlrm.kernels.parts import rows_in_parts


@rows_in_parts
@_compile
def sgd_rows(weight, rows, grad, lr, weight_decay):
    """See `reference.sgd_rows`."""
    for k in range(len(rows)):
        r = rows[k]
        for d in range(weight.shape[1]):
            weight[r, d] -= lr * (grad[k, d] + weight_decay * weight[r, d])


@rows_in_parts
@_compile
def momentum_rows(weight, velocity, rows, grad, lr, momentum, weight_decay):
    """See `reference.momentum_rows`."""
    for k in range(len(rows)):
        r = rows[k]
        for d in range(weight.shape[1]):
            v = momentum * velocity[r, d] + (grad[k, d] + weight_decay * weight[r, d])
            velocity[r, d] = v
            weight[r, d] -= lr * v


@rows_in_parts
@_compile
def adagrad_rows(weight, square_sum, rows, grad, lr, eps, weight_decay):
    """See `reference.adagrad_rows`."""
    for k in range(len(rows)):
        r = rows[k]
        for d in range(weight.shape[1]):
            g = grad[k, d] + weight_decay * weight[r, d]
            h = square_sum[r, d] + g * g
            square_sum[r, d] = h
            weight[r, d] -= lr * (g / (np.sqrt(h) + eps))


@rows_in_parts
@_compile
def rowwise_adagrad_rows(weight, square_mean, rows, grad, lr, eps, weight_decay):
    """See `reference.rowwise_adagrad_rows`."""
    dim = weight.shape[1]
    for k in range(len(rows)):
        r = rows[k]
        total = weight[r, 0] * 0
        for d in range(dim):
            g = grad[k, d] + weight_decay * weight[r, d]
            total += g * g
        h = square_mean[r] + total / dim
        square_mean[r] = h
        root = np.sqrt(square_mean[r]) + eps
        for d in range(dim):
            g = grad[k, d] + weight_decay * weight[r, d]
            weight[r, d] -= lr * (g / root)


@rows_in_parts
@_compile
def adam_rows(weight, m, v, rows, grad, lr, beta1, beta2, eps, weight_decay, bias1, bias2):
    """See `reference.adam_rows`."""
    for k in range(len(rows)):
        r = rows[k]
        for d in range(weight.shape[1]):
            g = grad[k, d] + weight_decay * weight[r, d]
            m[r, d] = beta1 * m[r, d] + (1 - beta1) * g
            v[r, d] = beta2 * v[r, d] + (1 - beta2) * (g * g)
            weight[r, d] -= lr * ((m[r, d] / bias1) / (np.sqrt(v[r, d] / bias2) + eps))


@rows_in_parts
@_compile
def ftrl_rows(weight, z, n, rows, grad, lr, l1, l2, beta):
    """See `reference.ftrl_rows`."""
    for k in range(len(rows)):
        r = rows[k]
        for d in range(weight.shape[1]):
            g = grad[k, d]
            old = np.sqrt(n[r, d])
            n[r, d] += g * g
            root = np.sqrt(n[r, d])
            z[r, d] += g - (root - old) / lr * weight[r, d]
            if abs(z[r, d]) <= l1:
                weight[r, d] = 0
            else:
                weight[r, d] = (np.sign(z[r, d]) * l1 - z[r, d]) / ((beta + root) / lr + l2)
