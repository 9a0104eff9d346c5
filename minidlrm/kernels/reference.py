"""Each kernel in a few lines of NumPy: the definition that `jit` is tested against.

Every function in `__all__` has a twin of the same name in `jit`. Kernels are internal, and trust
their inputs: the layers check them, and give all floats of a call in one dtype (`layers.inputs`).
A `rows` argument holds row numbers of one array that stacks all tables of a model. The numbers ①, ②
are steps of the derivation in the layer's `backward` that the kernel serves.
"""

import numpy as np

__all__ = [
    "adagrad_rows",
    "adam_rows",
    "add_bias",
    "add_groups",
    "bag_rows",
    "bag_weight_grad",
    "bce",
    "bce_backward",
    "bi_interaction",
    "bi_interaction_backward",
    "bias_backward",
    "cross_matrix",
    "cross_matrix_backward",
    "cross_vector",
    "cross_vector_backward",
    "dense_fields",
    "dense_fields_backward",
    "draw_trace",
    "ftrl_rows",
    "gather",
    "gather_bags",
    "group_rows",
    "lru_misses",
    "mf_epoch",
    "momentum_rows",
    "outer",
    "pairs",
    "pairs_backward",
    "rowwise_adagrad_rows",
    "scatter_add",
    "sgd_rows",
    "stack_distances",
    "sum_of_four",
    "table_rows",
]

# Embeddings


def table_rows(ids, starts):
    """Turn ids (B, T), one a table, into rows of the stacked tables.

    Table t begins at row starts[t]; `starts` (T + 1,) ends with the rows of all. Returns rows
    int64 (B, T) and the flat position of the first id that is out of range (-1 when there is
    none).
    """
    bad = (ids < 0) | (ids >= np.diff(starts))  # (B, T)
    rows = ids.astype(np.int64) + starts[:-1]  # (B, T)
    return rows, int(bad.argmax()) if bad.any() else -1


def bag_rows(values, offsets, starts):
    """Turn the ids of bags, table by table, into rows of the stacked tables.

    `values` (nnz,) and `offsets` (T * B + 1,) are those of a `Jagged`, `starts` (T + 1,) as in
    `table_rows`. Returns rows int64 (nnz,), and the first bad position and its table, or -1.
    """
    num_tables = len(starts) - 1
    batch_size = (len(offsets) - 1) // num_tables
    table = np.repeat(np.arange(num_tables), np.diff(offsets[::batch_size]))  # (nnz,)
    bad = (values < 0) | (values >= np.diff(starts)[table])  # (nnz,)
    rows = values.astype(np.int64) + starts[table]  # (nnz,)
    first = int(bad.argmax()) if bad.any() else -1
    return rows, first, int(table[first]) if first >= 0 else -1


def gather(weight, rows):
    """Look rows up: weight (S, D), rows (n,) -> (n, D)."""
    return weight[rows]  # ① (n, D)


def gather_bags(weight, rows, offsets, scale, num_tables):
    """Sum scale[i] * weight[rows[i]] over each bag -> (B, T, D); no scale means 1.

    `weight` is (S, D), `rows` and `scale` (nnz,), `offsets` (T * B + 1,), T is `num_tables`.
    """
    picked = weight[rows] if scale is None else scale[:, None] * weight[rows]  # ① (nnz, D)
    bag = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))  # (nnz,)
    bags = np.zeros((len(offsets) - 1, weight.shape[1]), picked.dtype)  # (T * B, D)
    np.add.at(bags, bag, picked)  # ①
    return bags.reshape(num_tables, -1, weight.shape[1]).transpose(1, 0, 2).copy()


def group_rows(rows, num_rows):
    """Sort `rows` (n,): return each row once (u,), the sorted places (n,), and the groups' ends.

    The places of unique[k] are order[ends[k] : ends[k + 1]], in their old order; `ends` is
    (u + 1,). No row is `num_rows` or more; the compiled twin sorts by it.
    """
    order = np.argsort(rows, kind="stable")  # (n,)
    unique, starts = np.unique(rows[order], return_index=True)  # (u,), (u,)
    return unique, order, np.append(starts, len(rows))


def add_groups(order, ends, dy, source, scale):
    """Add up the terms scale[i] * dy[source[i]] of each group of `group_rows` -> (u, D).

    `source` and `scale` are (n,), dy is (m, D): no source means i itself, no scale means 1. The
    terms of a row are added in the order of i: the same bits on every run.
    """
    terms = dy if source is None else dy[source]  # ② (n, D)
    if scale is not None:
        terms = scale[:, None] * terms
    sums = np.zeros((len(ends) - 1, dy.shape[1]), terms.dtype)  # (u, D)
    np.add.at(sums, np.repeat(np.arange(len(sums)), np.diff(ends)), terms[order])  # ②
    return sums


def scatter_add(rows, dy, source, scale, num_rows):
    """Add scale[i] * dy[source[i]] into row rows[i]; return the rows met, and their sums.

    The arguments are those of `group_rows` and `add_groups`. Returns rows (u,), sorted, each
    once, and sums (u, D).
    """
    unique, order, ends = group_rows(rows, num_rows)
    return unique, add_groups(order, ends, dy, source, scale)


def bag_weight_grad(weight, rows, source, dy):
    """Dot each looked-up row weight[rows[i]] with the gradient of its bag, dy[source[i]].

    weight (S, D), rows and source (nnz,), dy (bags, D) -> (nnz,).
    """
    return (weight[rows] * dy[source]).sum(axis=1)  # ③ (nnz,)


# Pairwise dot products


def pairs(z, diagonal):
    """Dot every vector with each one before it: z (B, F, D) -> (B, P).

    The pairs (i, j) with i > j (i >= j with the diagonal) in row-major order.
    """
    i, j = np.tril_indices(z.shape[1], 0 if diagonal else -1)  # (P,)
    return (z @ z.transpose(0, 2, 1))[:, i, j]  # ① (B, P)


def pairs_backward(dy, z, diagonal):
    """Gradient of `pairs`: dz_i = sum_j (dy_ij + dy_ji) z_j.

    dy (B, P), z (B, F, D), `diagonal` as it was in `pairs` -> (B, F, D).
    """
    num_features = z.shape[1]
    i, j = np.tril_indices(num_features, 0 if diagonal else -1)  # (P,)
    g = np.zeros((len(z), num_features, num_features), dy.dtype)  # (B, F, F)
    g[:, i, j] = dy  # ②
    return (g + g.transpose(0, 2, 1)) @ z  # ③ (B, F, D)


# The sum of all pairs of vectors


def bi_interaction(z):
    """Compute the sum over pairs (B, D), and the sum over vectors (B, D), of z (B, F, D)."""
    total = np.einsum("bfd->bd", z)  # (B, D)
    return 0.5 * (total * total - np.einsum("bfd,bfd->bd", z, z)), total  # ① (B, D), (B, D)


def bi_interaction_backward(dy, z, total):
    """Compute dz (B, F, D) from dy (B, D), or (B, 1) where all entries of a sample have one."""
    return dy[:, None] * (total[:, None] - z)  # ②③ (B, F, D)


# Vectors of dense features


def dense_fields(z, x, v):
    """Set the first n fields of z (B, F, D) to x (B, n), each number times its vector, v (n, D)."""
    z[:, : len(v)] = x[:, :, None] * v  # ①


def dense_fields_backward(dz, x, v):
    """Compute dv (n, D) and dx (B, n) from dz (B, F, D), of which the first n fields count."""
    dz = dz[:, : len(v)]
    return np.einsum("bj,bjd->jd", x, dz), np.einsum("bjd,jd->bj", dz, v)  # ③⑤


# A loss


def bce(x, y, p):
    """Compute the terms (B,) of logits x and labels y (B,), of which a click's weighs p.

    log(1 + e^-x) is log(1 + e^-|x|) - min(x, 0), which no x makes overflow.
    """
    below = x.real < 0
    softplus = np.log1p(np.exp(np.where(below, x, -x))) - np.where(below, x, 0)  # ①
    return (1 - y) * x + (1 + (p - 1) * y) * softplus  # ②


def bce_backward(x, y, w):
    """Compute the slopes (B,) of the terms at logits x, of labels y (B,), given w: 1, or (B,).

    w - (1 - y) is p y, and 1 - sigma(x) is sigma(-x), of which that difference would leave nothing
    at a large x.
    """
    e = np.exp(np.where(x.real < 0, x, -x))  # never above 1 in size
    near, far = 1 / (1 + e), e / (1 + e)
    sigma, rest = np.where(x.real < 0, far, near), np.where(x.real < 0, near, far)
    return (1 - y) * sigma - (w - (1 - y)) * rest  # ③④


# Gradients of four blocks


def sum_of_four(a, b, c, d):
    """Add four arrays of one shape, as a tree: it is one pass over them, where this has three."""
    return (a + b) + (c + d)


# Bias and activation


def add_bias(y, bias, relu):
    """Add the bias (n,) to y (B, n) in place, then apply ReLU when `relu` is true."""
    y += bias  # ①
    if relu:
        y[y.real <= 0] = 0  # ① not so for a NaN, which stays one


def bias_backward(dy, y, relu):
    """Compute the gradients before the activation (B, n), and of the bias (n,), from dy (B, n).

    With `relu`, the gradient is 0 where the output y (B, n) is 0.
    """
    dz = (np.where(y.real <= 0, 0, dy) if relu else dy).astype(y.dtype, copy=False)  # ② (B, n)
    return dz, dz.sum(axis=0)  # ④ (n,)


def outer(dz, x):
    """Compute dW = dz^T x (out, in) of one sample, dz (1, out) and x (1, in).

    BLAS and broadcasting take four times as long for it as a plain loop.
    """
    return dz.T * x  # ③ (out, in)


# Cross layers


def cross_vector(x0, x, g, bias):
    """Compute x0 g + bias + x (B, d), with one number g (B, 1) a sample.

    x0 and x are (B, d), the bias is (d,).
    """
    return x0 * g + bias + x  # ① (B, d)


def cross_vector_backward(dy, g, dg, weight):
    """Compute the gradients of x0 and x (B, d), and of the bias (d,), given that of g, dg (B, 1).

    dy is (B, d), g (B, 1); the weight w (d,) is there since g = <x, w>.
    """
    dx0 = dy * g  # ② (B, d)
    dx = dg * weight + dy  # ⑤ (B, d)
    return dx0, dx, dy.sum(axis=0)  # ② (d,)


def cross_matrix(x0, x, g, bias):
    """Compute x0 (g + bias) + x (B, d); the bias (d,) is added to g (B, d) in place."""
    g += bias  # ①
    return x0 * g + x  # ① (B, d)


def cross_matrix_backward(dy, x0, g):
    """Compute the gradients of x0 and g (B, d), and of the bias (d,), from dy (B, d).

    g is as `cross_matrix` left it: with the bias.
    """
    dx0 = dy * g  # ② (B, d)
    dg = dy * x0  # ② (B, d)
    return dx0, dg, dg.sum(axis=0)  # ③ (d,)


# Row updates of the optimizers: `weight` (and state) changes at `rows` only. The dense
# parameters come as a single row.


def sgd_rows(weight, rows, grad, lr, weight_decay):
    """Step w <- w - lr g.

    The `rows` (n,), each once, of a weight (N, D) change in place, given their gradients grad
    (n, D); g is grad + weight_decay w.
    """
    w = weight[rows]
    weight[rows] = w - lr * (grad + weight_decay * w)


def momentum_rows(weight, velocity, rows, grad, lr, momentum, weight_decay):
    """Step v <- momentum v + g;  w <- w - lr v.

    The `rows` (n,), each once, of a weight (N, D) change in place, given their gradients grad
    (n, D); g is grad + weight_decay w. v is `velocity` (N, D).
    """
    w = weight[rows]
    v = momentum * velocity[rows] + (grad + weight_decay * w)
    velocity[rows] = v
    weight[rows] = w - lr * v


def adagrad_rows(weight, square_sum, rows, grad, lr, eps, weight_decay):
    """Step h <- h + g^2;  w <- w - lr g / (sqrt(h) + eps).

    The `rows` (n,), each once, of a weight (N, D) change in place, given their gradients grad
    (n, D); g is grad + weight_decay w. h is `square_sum` (N, D).
    """
    w = weight[rows]
    g = grad + weight_decay * w
    h = square_sum[rows] + g * g
    square_sum[rows] = h
    weight[rows] = w - lr * (g / (np.sqrt(h) + eps))


def rowwise_adagrad_rows(weight, square_mean, rows, grad, lr, eps, weight_decay):
    """Step h <- h + mean(g^2), one h a row;  w <- w - lr g / (sqrt(h) + eps).

    The `rows` (n,), each once, of a weight (N, D) change in place, given their gradients grad
    (n, D); g is grad + weight_decay w. h is
    `square_mean` (N,).
    """
    w = weight[rows]
    g = grad + weight_decay * w
    square_mean[rows] = square_mean[rows] + (g * g).mean(axis=1, dtype=np.float64)
    root = np.sqrt(square_mean[rows]) + eps  # (n,)
    weight[rows] = w - lr * (g / root[:, None])


def adam_rows(weight, m, v, rows, grad, lr, beta1, beta2, eps, weight_decay, bias1, bias2):
    """Step m, v <- running means of g, g^2;  w <- w - lr (m / bias1) / (sqrt(v / bias2) + eps).

    The `rows` (n,), each once, of a weight (N, D) change in place, given their gradients grad
    (n, D); g is grad + weight_decay w. m and v are
    (N, D). The means decay by beta1 and beta2; bias1 is 1 - beta1^t, bias2 is 1 - beta2^t.
    """
    w = weight[rows]
    g = grad + weight_decay * w
    m_new = beta1 * m[rows] + (1 - beta1) * g
    v_new = beta2 * v[rows] + (1 - beta2) * (g * g)
    m[rows], v[rows] = m_new, v_new
    weight[rows] = w - lr * ((m_new / bias1) / (np.sqrt(v_new / bias2) + eps))


def ftrl_rows(weight, z, n, rows, grad, lr, l1, l2, beta):
    """Step n <- n + g^2, z <- z + g - s w with s = (sqrt(n_new) - sqrt(n)) / lr, and from them w.

    w <- 0 where ``|z| <= l1``, else (sign(z) l1 - z) / ((beta + sqrt(n)) / lr + l2). The `rows`
    (n,), each once, of a weight (N, D) change in place, given their gradients grad (n, D); z
    and n are (N, D).
    """
    n_new = n[rows] + grad * grad
    z_new = z[rows] + grad - (np.sqrt(n_new) - np.sqrt(n[rows])) / lr * weight[rows]
    z[rows], n[rows] = z_new, n_new
    w = (np.sign(z_new) * l1 - z_new) / ((beta + np.sqrt(n_new)) / lr + l2)
    weight[rows] = np.where(np.abs(z_new) <= l1, 0, w)


# Sequential SGD of matrix factorization


def mf_epoch(factors, biases, rows, ratings, order, mean, lr, reg):
    """Update the two rows of each rating, one rating after another; return the mean square error.

    Changes `factors` (S, D) and `biases` (S,) in place; `biases` may be empty. `rows` (n, 2)
    holds the user's and the item's row of each of the `ratings` (n,), `order` (n,) says which
    comes when. `mean` is the constant, `lr` the step, `reg` the weight of L2. It stops before the
    first error that is not finite, and returns NaN. The one kernel that is a loop in both twins:
    each step reads what the step before has written.
    """
    total = 0.0
    for k in order:
        u, i = rows[k]
        p, q = factors[u].copy(), factors[i].copy()
        error = ratings[k] - mean - p @ q
        if len(biases):
            error -= biases[u] + biases[i]
        if not np.isfinite(error):  # nothing is written any more
            return np.nan
        if len(biases):
            biases[u] += lr * (error - reg * biases[u])
            biases[i] += lr * (error - reg * biases[i])
        factors[u] += lr * (error * q - reg * p)
        factors[i] += lr * (error * p - reg * q)
        total += float(error) * float(error)  # a power raises where a product is infinite
    return total / len(order)


# Traces


def stack_distances(trace):
    """Return how deep each access lies in the stack of rows, last used on top; 0: not in it.

    `trace` (n,) holds rows that are numbered 0, 1, ... in the order of their first access.
    """
    stack: list[int] = []
    distances = np.zeros(len(trace), np.int64)
    for t, row in enumerate(trace.tolist()):
        if row in stack:
            distances[t] = len(stack) - stack.index(row)
            stack.remove(row)
        stack.append(row)
    return distances


def lru_misses(trace, size):
    """Count the accesses that miss a cache of the `size` rows used last; `trace` as above."""
    cache: list[int] = []
    misses = 0
    for row in trace.tolist():
        if row in cache:
            cache.remove(row)
        else:
            misses += 1
        cache = [*cache, row][-size:] if size else []
    return misses


def draw_trace(draws, distances, shares, num_rows, lru, padding):
    """Draw a trace (n,) of rows 0 to num_rows - 1, given uniform `draws` (n,).

    Distance `distances[j]` has the cumulative share `shares[j]`. See `data.traces.Profile`.
    """
    stack, new = list(range(num_rows)), 0  # the bottom: what is read as new, in turn
    trace = np.empty(len(draws), np.int64)
    for t, draw in enumerate(draws.tolist()):
        if new < distances[-1]:
            draw *= shares[np.searchsorted(distances, new, "right") - 1]  # no deeper than is seen
        elif padding:
            draw = (1 - shares[0]) * draw + shares[0]  # nothing new
        distance = distances[min(np.searchsorted(shares, draw), len(shares) - 1)]
        new += distance == 0
        place = num_rows - distance if distance else 0
        trace[t] = stack[place]
        if lru or distance == 0:
            stack.append(stack.pop(place))
    return trace
