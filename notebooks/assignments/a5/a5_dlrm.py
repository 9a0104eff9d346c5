# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A5 · Build and train a DLRM
#
# **Goals**: put the parts together; see the two arrows of the dense vector; train your own model, with your own steps, close to the best that is possible. **Time**: about 8
# hours. **Points**: 20. **Needs**: notebooks 05 and 06, assignments A2 and A4.
#
# Check yourself as often as you like: `minidlrm grade check A5 a5_dlrm.py`
#
# **Limits**: 20 s a call, 40 s a cell, 900 s in all, 60 s for train_and_predict.
#
# Keep the names of the functions. Write experiments under `if __name__ == "__main__":`. Only your own code is graded: `minidlrm` cannot be
# imported here.
#
# The model: $x_1 = \mathrm{relu}(x W_1^\top + b_1)$, of size $D$ (bottom). The ids (B, T) look up rows of one `table` that stacks all tables; table $t$ begins at
# row `starts[t]`. $z = [x_1, \text{the } T \text{ rows}]$ has $F = T + 1$ vectors. Their products, strict lower triangle, row by row, and $x_1$ before them: $u = [x_1, \text{products}]$. Then
# $a = \mathrm{relu}(u W_2^\top + b_2)$ and the logit is $a W_3^\top + b_3$, with $W_3$ of shape (1, h).

# %%
import zlib

import numpy as np

STUDENT = "your-id"  # as your teacher knows you

# %% [markdown]
# ## A5.1 The dense vector, on paper (4 points)
#
# Write $dx_1$ in terms of $du$: which two terms does it have, and why? Write $dz$ for the rows of the tables.
#
# BEGIN SOLUTION A5.1: write your derivation here, in LaTeX
# $x_1$ appears in $u$ directly, and as $z_0$ in the products. With $G$ holding the products' part of $du$ below the diagonal, $dz = (G + G^\top) z$ and
# $dx_1 = du_{:D} + dz_0$. The rows $z_1, \dots, z_T$ have $dz_1, \dots, dz_T$, added up where rows repeat.
# END SOLUTION

# %% [markdown]
# ## A5.2 Forward (3 points)


# %%
def dlrm_forward(dense, ids, starts, table, W1, b1, W2, b2, W3, b3):
    """Return the logits (B,). dense (B, n), ids (B, T), starts (T,), table (S, D)."""
    # BEGIN SOLUTION A5.2: return the logits (B,)
    x1 = np.maximum(dense @ W1.T + b1, 0)
    z = np.concatenate([x1[:, None], table[ids + starts]], axis=1)
    i, j = np.tril_indices(z.shape[1], -1)
    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, j]], axis=1)
    return (np.maximum(u @ W2.T + b2, 0) @ W3.T + b3)[:, 0]
    # END SOLUTION


# %% [markdown]
# ## A5.3 Backward (5 points)


# %%
def dlrm_backward(dlogits, dense, ids, starts, table, W1, b1, W2, b2, W3, b3):
    """Return dtable, dW1, db1, dW2, db2, dW3, db3, given dlogits (B,)."""
    # BEGIN SOLUTION A5.3: return dtable, dW1, db1, dW2, db2, dW3, db3
    D = table.shape[1]
    x1 = np.maximum(dense @ W1.T + b1, 0)
    rows = ids + starts
    z = np.concatenate([x1[:, None], table[rows]], axis=1)
    i, j = np.tril_indices(z.shape[1], -1)
    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, j]], axis=1)
    a = np.maximum(u @ W2.T + b2, 0)
    da = dlogits[:, None] * W3 * (a > 0)
    du = da @ W2
    G = np.zeros((len(z), z.shape[1], z.shape[1]))
    G[:, i, j] = du[:, D:]
    dz = (G + G.transpose(0, 2, 1)) @ z
    dx1 = (du[:, :D] + dz[:, 0]) * (x1 > 0)
    dtable = np.zeros_like(table)
    np.add.at(dtable, rows, dz[:, 1:])
    dW1, db1 = dx1.T @ dense, dx1.sum(axis=0)
    dW2, db2 = da.T @ u, da.sum(axis=0)
    return dtable, dW1, db1, dW2, db2, dlogits[None] @ a, dlogits.sum(keepdims=True)
    # END SOLUTION


# %% [markdown]
# ## A5.4 Train it (5 points)
#
# `next_batch()` gives `dense` (256, n), `ids` (256, T) and `label` (256,), new ones in each call. You may call it **600 times**; after that it raises an error. Train, then return the
# logits of the test rows. The clicks are synthetic, so we know the Bayes limit: the best possible log loss. One point for a log loss below that of the mean rate; two more when you close half of the gap
# between the mean rate and the limit; two more for 75% of it. You choose sizes, start values, learning rate and optimizer.


# %%
def train_and_predict(next_batch, num_dense, table_sizes, test_dense, test_ids):
    """Return the logits (n,) of the test rows, after at most 600 calls of next_batch."""
    # BEGIN SOLUTION A5.4: return the logits of the test rows
    rng, D, h = np.random.default_rng(0), 8, 32
    starts = np.cumsum([0, *table_sizes[:-1]])
    width = D + (len(table_sizes) + 1) * len(table_sizes) // 2

    def layer(n, m):
        return rng.normal(0, np.sqrt(2 / n), (m, n))

    params = [rng.normal(0, 0.3, (sum(table_sizes), D))]
    params += [layer(num_dense, D), np.zeros(D), layer(width, h), np.zeros(h)]
    params += [layer(h, 1), np.zeros(1)]
    first, second = [0 * p for p in params], [0 * p for p in params]
    for step in range(1, 601):
        dense, ids, label = next_batch()
        logits = dlrm_forward(dense, ids, starts, *params)
        dlogits = (1 / (1 + np.exp(-logits)) - label) / len(label)
        grads = dlrm_backward(dlogits, dense, ids, starts, *params)
        for p, g, m, v in zip(params, grads, first, second, strict=True):
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            rate = 0.01 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            p -= rate * m / (np.sqrt(v) + 1e-8)
    return dlrm_forward(test_dense, test_ids, starts, *params)
    # END SOLUTION


# %% [markdown]
# ## A5.5 A number (1 point)
#
# These clicks are only yours. What is the log loss of predicting their mean rate for everyone? (It is the entropy of the rate.)


# %%
def my_labels():
    own = np.random.default_rng(zlib.crc32(f"A5.5:{STUDENT}".encode()))
    return (own.random(500) < own.uniform(0.1, 0.4)).astype(float)


def my_entropy():
    """Return the number: computed here, or typed in."""
    # BEGIN SOLUTION A5.5: return the log loss of the mean rate of my_labels(), in nats
    p = my_labels().mean()
    return float(-p * np.log(p) - (1 - p) * np.log(1 - p))
    # END SOLUTION


# %% [markdown]
# ## A5.6 Test the tests (2 points)
#
# Write a test of sparse steps. `step(table, rows, values, lr)` returns a new table in which row `rows[k]` (rows are distinct) has moved by `-lr * values[k]`, and no other row has moved. Your
# points are the share of planted mistakes that your test finds.


# %%
def is_step(step):
    """Return True when step(table, rows, values, lr) is a right sparse step of SGD."""
    # BEGIN SOLUTION A5.6: return True or False
    rng = np.random.default_rng(7)
    table, rows, values = rng.normal(size=(6, 3)), np.array([0, 5, 2]), rng.normal(size=(3, 3))
    expected = table.copy()
    expected[rows] -= 0.3 * values
    got = step(table.copy(), rows, values, 0.3)
    return bool(np.shape(got) == expected.shape and np.allclose(got, expected, 1e-12, 1e-12))
    # END SOLUTION
