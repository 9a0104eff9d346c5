"""The kernels of `reference`, compiled by Numba: the same names, the same results.

All are serial, and release the GIL: `fit` runs several blocks of a batch at once (docs/blocks.md).
Parallel Numba kernels would fight with these for the cores. Where no block is walked, very large
look-ups of bags, sums and updates of rows are cut into parts, a thread each (`parts`); no row is in
two of them, so the bits are the same. No kernel assumes that there is no NaN, and sums run in a
fixed order, but for one: `mf_epoch`. A kernel does no bounds checks, so the layers check every id
first.
"""

import numpy as np
from numba import njit

from minidlrm.kernels import reference
from minidlrm.kernels.compiler import CACHE
from minidlrm.kernels.compiler import compiled as _compile
from minidlrm.kernels.jit_losses import bce as bce
from minidlrm.kernels.jit_losses import bce_backward as bce_backward
from minidlrm.kernels.jit_traces import draw_trace as draw_trace
from minidlrm.kernels.jit_traces import lru_misses as lru_misses
from minidlrm.kernels.jit_traces import stack_distances as stack_distances
from minidlrm.kernels.jit_updates import adagrad_rows as adagrad_rows
from minidlrm.kernels.jit_updates import adam_rows as adam_rows
from minidlrm.kernels.jit_updates import ftrl_rows as ftrl_rows
from minidlrm.kernels.jit_updates import momentum_rows as momentum_rows
from minidlrm.kernels.jit_updates import rowwise_adagrad_rows as rowwise_adagrad_rows
from minidlrm.kernels.jit_updates import sgd_rows as sgd_rows
from minidlrm.kernels.parts import in_parts, threads_for

_RADIX_BITS = 11  # digits of the sort: 2,048 counters stay in the fastest cache
_LARGE_PAGES = 4 << 20  # bytes from which on NumPy asks for pages of 2 MiB, and Numba does not


# Embeddings


@_compile
def table_rows(ids, starts):
    """See `reference.table_rows`."""
    batch_size, num_tables = ids.shape
    rows = np.empty((batch_size, num_tables), np.int64)
    for b in range(batch_size):
        for t in range(num_tables):
            row = np.int64(ids[b, t])
            if row < 0 or row >= starts[t + 1] - starts[t]:
                return rows, b * num_tables + t
            rows[b, t] = row + starts[t]
    return rows, -1


@_compile
def bag_rows(values, offsets, starts):
    """See `reference.bag_rows`."""
    num_tables = len(starts) - 1
    batch_size = (len(offsets) - 1) // num_tables
    rows = np.empty(len(values), np.int64)
    for t in range(num_tables):
        for i in range(offsets[t * batch_size], offsets[(t + 1) * batch_size]):
            row = np.int64(values[i])
            if row < 0 or row >= starts[t + 1] - starts[t]:
                return rows, i, t
            rows[i] = row + starts[t]
    return rows, -1, -1


def gather(weight, rows):
    """See `reference.gather`."""
    return weight.take(rows, axis=0)  # faster than `weight[rows]`, and than a loop of ours


def gather_bags(weight, rows, offsets, scale, num_tables):
    """See `reference.gather_bags`."""
    bags, dim = len(offsets) - 1, weight.shape[1]
    out = np.zeros((bags // num_tables, num_tables, dim), weight.dtype)
    in_parts(
        bags,
        len(rows) * dim,
        lambda part: _gather_bags(out, weight, rows, offsets, scale, part.start, part.stop),
    )
    return out


@_compile
def _gather_bags(out, weight, rows, offsets, scale, first, last):
    """Add to `out` (B, T, D) the bags first, ..., last - 1, table by table."""
    batch_size, dim = out.shape[0], weight.shape[1]
    for bag in range(first, last):
        t, b = bag // batch_size, bag % batch_size
        for i in range(offsets[bag], offsets[bag + 1]):
            row = rows[i]
            if scale is None:
                for d in range(dim):
                    out[b, t, d] += weight[row, d]
            else:
                for d in range(dim):
                    out[b, t, d] += scale[i] * weight[row, d]


def group_rows(rows, num_rows):
    """See `reference.group_rows`."""
    place_bits, row_bits = (max(0, int(n) - 1).bit_length() for n in (len(rows), num_rows))
    if place_bits + row_bits > 63:
        return reference.group_rows(rows, num_rows)
    passes = max(1, -(-row_bits // _RADIX_BITS))
    return _group_rows(rows, place_bits, passes, -(-row_bits // passes))


@_compile
def _in_order(rows, place_bits, passes, digit_bits):
    """Sort numbers of two parts, a row and its place in `rows`: a radix sort by the rows alone.

    One number, and not two, moves in each pass. Equal rows stay in their old order.
    """
    n, mask = len(rows), (1 << digit_bits) - 1
    pairs, sorted_pairs = np.empty(n, np.int64), np.empty(n, np.int64)
    ends = np.zeros((passes, mask + 2), np.int64)  # where the pairs of each digit end, a pass each
    for k in range(n):
        pairs[k] = (rows[k] << place_bits) | k
        for i in range(passes):
            ends[i, ((rows[k] >> (i * digit_bits)) & mask) + 1] += 1
    for i in range(passes):
        end, shift = ends[i], place_bits + i * digit_bits
        for digit in range(mask):
            end[digit + 1] += end[digit]
        for k in range(n):
            digit = (pairs[k] >> shift) & mask
            sorted_pairs[end[digit]] = pairs[k]
            end[digit] += 1
        pairs, sorted_pairs = sorted_pairs, pairs
    return pairs


@_compile
def _group_rows(rows, place_bits, passes, digit_bits):
    n, mask = len(rows), (1 << place_bits) - 1
    pairs = _in_order(rows, place_bits, passes, digit_bits)
    unique, order, ends = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n + 1, np.int64)
    u, last = 0, -1
    for k in range(n):
        row, order[k] = pairs[k] >> place_bits, pairs[k] & mask
        if row != last:
            unique[u], ends[u], last = row, k, row
            u += 1
    ends[u] = n
    return unique[:u], order, ends[: u + 1]


def add_groups(order, ends, dy, source, scale):
    """See `reference.add_groups`."""
    groups, dim, numbers = len(ends) - 1, dy.shape[1], len(order) * dy.shape[1]
    places = order if source is None else source[order]  # known early: no row of dy is waited for
    scale = None if scale is None else scale[order]
    if groups * dim * dy.itemsize < _LARGE_PAGES and threads_for(groups, numbers) == 1:
        return _add_groups(None, ends, dy, places, scale, 0, groups)
    sums = np.zeros((groups, dim), dy.dtype)
    in_parts(
        groups,
        numbers,
        lambda part: _add_groups(sums, ends, dy, places, scale, part.start, part.stop),
    )
    return sums


@_compile
def _add_groups(out, ends, dy, places, scale, first, last):
    """Return in `out` (u, D) the sum of scale[k] * dy[places[k]] over groups of k."""
    dim = dy.shape[1]
    if out is None:
        sums = np.zeros((len(ends) - 1, dim), dy.dtype)
    else:
        sums = out
    for u in range(first, last):
        for k in range(ends[u], ends[u + 1]):
            j = places[k]
            if scale is None:
                for d in range(dim):
                    sums[u, d] += dy[j, d]
            else:
                for d in range(dim):
                    sums[u, d] += scale[k] * dy[j, d]
    return sums


def scatter_add(rows, dy, source, scale, num_rows):
    """See `reference.scatter_add`."""
    unique, order, ends = group_rows(rows, num_rows)
    return unique, add_groups(order, ends, dy, source, scale)


@_compile
def bag_weight_grad(weight, rows, source, dy):
    """See `reference.bag_weight_grad`."""
    out = np.zeros(len(rows), dy.dtype)
    for i in range(len(rows)):
        for d in range(weight.shape[1]):
            out[i] += weight[rows[i], d] * dy[source[i], d]
    return out


# Pairwise dot products: small matrix products by BLAS, packed and unpacked here


@_compile
def _pack_triangle(square, diagonal):
    batch_size, num_features, _ = square.shape
    num_pairs = num_features * (num_features - 1) // 2 + (num_features if diagonal else 0)
    out = np.empty((batch_size, num_pairs), square.dtype)
    for b in range(batch_size):
        p = 0
        for i in range(num_features):
            for j in range(i + 1 if diagonal else i):
                out[b, p] = square[b, i, j]
                p += 1
    return out


@_compile
def _unpack_symmetric(dy, num_features, diagonal):
    square = np.empty((len(dy), num_features, num_features), dy.dtype)
    for b in range(len(dy)):
        p = 0
        for i in range(num_features):
            for j in range(i):
                square[b, i, j] = square[b, j, i] = dy[b, p]
                p += 1
            square[b, i, i] = 2 * dy[b, p] if diagonal else 0
            p += 1 if diagonal else 0
    return square


@_compile
def _transposed(z):
    out = np.empty((z.shape[0], z.shape[2], z.shape[1]), z.dtype)
    for b in range(z.shape[0]):
        for d in range(z.shape[2]):
            for f in range(z.shape[1]):
                out[b, d, f] = z[b, f, d]
    return out


def pairs(z, diagonal):
    """See `reference.pairs`."""
    # A copy, not a view: z @ z^T of one array would be syrk, which is slow for small matrices.
    return _pack_triangle(z @ _transposed(z), diagonal)  # (B, F, F) -> (B, P)


def pairs_backward(dy, z, diagonal):
    """See `reference.pairs_backward`."""
    return _unpack_symmetric(dy, z.shape[1], diagonal) @ z


# The sum of all pairs of vectors, in one pass over them


@_compile
def bi_interaction(z):
    """See `reference.bi_interaction`."""
    batch_size, num_features, dim = z.shape
    y, total = np.zeros((batch_size, dim), z.dtype), np.zeros((batch_size, dim), z.dtype)
    for b in range(batch_size):
        for f in range(num_features):
            for d in range(dim):
                total[b, d] += z[b, f, d]
                y[b, d] += z[b, f, d] * z[b, f, d]
        for d in range(dim):
            y[b, d] = 0.5 * (total[b, d] * total[b, d] - y[b, d])
    return y, total


@_compile
def bi_interaction_backward(dy, z, total):
    """See `reference.bi_interaction_backward`."""
    dz = np.empty(z.shape, z.dtype)
    for b in range(z.shape[0]):
        for f in range(z.shape[1]):
            if dy.shape[1] == 1:
                for d in range(z.shape[2]):
                    dz[b, f, d] = dy[b, 0] * (total[b, d] - z[b, f, d])
            else:
                for d in range(z.shape[2]):
                    dz[b, f, d] = dy[b, d] * (total[b, d] - z[b, f, d])
    return dz


# Vectors of dense features; of size 1, in a linear term, they are NumPy's


def dense_fields(z, x, v):
    """See `reference.dense_fields`."""
    (reference.dense_fields if v.shape[1] == 1 else _dense_fields)(z, x, v)


def dense_fields_backward(dz, x, v):
    """See `reference.dense_fields_backward`."""
    one = v.shape[1] == 1
    return (reference.dense_fields_backward if one else _dense_fields_backward)(dz, x, v)


@_compile
def _dense_fields(z, x, v):
    for b in range(x.shape[0]):
        for j in range(x.shape[1]):
            for d in range(v.shape[1]):
                z[b, j, d] = x[b, j] * v[j, d]


@_compile
def _dense_fields_backward(dz, x, v):
    dv, dx = np.zeros(v.shape, v.dtype), np.zeros(x.shape, x.dtype)
    for b in range(x.shape[0]):
        for j in range(x.shape[1]):
            for d in range(v.shape[1]):  # a loop by itself: several numbers at once
                dv[j, d] += x[b, j] * dz[b, j, d]
            total = dx[b, j]
            for d in range(v.shape[1]):
                total += dz[b, j, d] * v[j, d]
            dx[b, j] = total
    return dv, dx


# Gradients of four blocks


def sum_of_four(a, b, c, d):
    """See `reference.sum_of_four`."""
    return _sum_of_four(a.ravel(), b.ravel(), c.ravel(), d.ravel()).reshape(a.shape)


@_compile
def _sum_of_four(a, b, c, d):
    total = np.empty(len(a), a.dtype)
    for i in range(len(a)):
        total[i] = (a[i] + b[i]) + (c[i] + d[i])
    return total


# Bias and activation


@_compile
def add_bias(y, bias, relu):
    """See `reference.add_bias`."""
    for b in range(y.shape[0]):
        for n in range(y.shape[1]):
            value = y[b, n] + bias[n]
            y[b, n] = 0 if relu and value.real <= 0 else value


@_compile
def bias_backward(dy, y, relu):
    """See `reference.bias_backward`."""
    dz = np.empty(y.shape, y.dtype)
    dbias = np.zeros(y.shape[1], y.dtype)
    for b in range(y.shape[0]):
        for n in range(y.shape[1]):
            flat = relu and y[b, n].real <= 0
            dz[b, n] = 0 if flat else dy[b, n]
            dbias[n] += dz[b, n]
    return dz, dbias


@_compile
def outer(dz, x):
    """See `reference.outer`."""
    dw = np.empty((dz.shape[1], x.shape[1]), dz.dtype)
    for o in range(dz.shape[1]):
        for i in range(x.shape[1]):
            dw[o, i] = dz[0, o] * x[0, i]
    return dw


# Cross layers


@_compile
def cross_vector(x0, x, g, bias):
    """See `reference.cross_vector`."""
    y = np.empty(x0.shape, x0.dtype)
    for b in range(x0.shape[0]):
        for i in range(x0.shape[1]):
            y[b, i] = x0[b, i] * g[b, 0] + bias[i] + x[b, i]
    return y


@_compile
def cross_vector_backward(dy, g, dg, weight):
    """See `reference.cross_vector_backward`."""
    dx0, dx = np.empty(dy.shape, dy.dtype), np.empty(dy.shape, dy.dtype)
    dbias = np.zeros(dy.shape[1], dy.dtype)
    for b in range(dy.shape[0]):
        for i in range(dy.shape[1]):
            dx0[b, i] = dy[b, i] * g[b, 0]
            dx[b, i] = dg[b, 0] * weight[0, i] + dy[b, i]
            dbias[i] += dy[b, i]
    return dx0, dx, dbias


@_compile
def cross_matrix(x0, x, g, bias):
    """See `reference.cross_matrix`."""
    y = np.empty(x0.shape, x0.dtype)
    for b in range(x0.shape[0]):
        for i in range(x0.shape[1]):
            g[b, i] += bias[i]
            y[b, i] = x0[b, i] * g[b, i] + x[b, i]
    return y


@_compile
def cross_matrix_backward(dy, x0, g):
    """See `reference.cross_matrix_backward`."""
    dx0, dg = np.empty(dy.shape, dy.dtype), np.empty(dy.shape, dy.dtype)
    dbias = np.zeros(dy.shape[1], dy.dtype)
    for b in range(dy.shape[0]):
        for i in range(dy.shape[1]):
            dx0[b, i] = dy[b, i] * g[b, i]
            dg[b, i] = dy[b, i] * x0[b, i]
            dbias[i] += dg[b, i]
    return dx0, dg, dbias


# Sequential SGD of matrix factorization


# The product of two vectors is all there is to it. Summed in lanes it is 1.6 times as fast.
@njit(cache=CACHE, error_model="numpy", nogil=True, fastmath={"reassoc"})
def mf_epoch(factors, biases, rows, ratings, order, mean, lr, reg):
    """See `reference.mf_epoch`."""
    dim, total = factors.shape[1], 0.0
    for k in order:
        u, i = rows[k, 0], rows[k, 1]
        error = ratings[k] - mean
        for d in range(dim):
            error -= factors[u, d] * factors[i, d]
        if len(biases):
            error -= biases[u] + biases[i]
        if not np.isfinite(error):
            return np.nan
        if len(biases):
            biases[u] += lr * (error - reg * biases[u])
            biases[i] += lr * (error - reg * biases[i])
        for d in range(dim):
            p, q = factors[u, d], factors[i, d]
            factors[u, d] = p + lr * (error * q - reg * p)
            factors[i, d] = q + lr * (error * p - reg * q)
        total += error * error
    return total / len(order)
