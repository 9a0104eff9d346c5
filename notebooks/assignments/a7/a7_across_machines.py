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
# # A7 · Across machines
#
# **Goals**: move vectors between ranks, and gradients back; add up in one order on all of them; split a table by row; test an average of gradients. **Time**: about 8
# hours. **Points**: 20. **Needs**: notebooks 01 and 10.
#
# Check yourself as often as you like: `minidlrm grade check A7 a7_across_machines.py`
#
# Keep the names of the functions. Write experiments under `if __name__ == "__main__":`. Only your own code is graded: `minidlrm` cannot be
# imported here.
#
# There are $R$ ranks, 0 to $R - 1$. You need no second machine and no MPI. In A7.2 to A7.4 and A7.8 a function plays all ranks at once: it takes a list of $R$
# arrays, entry $r$ is what rank $r$ has, and it returns such a list. In A7.5 and A7.6 you write what *one* rank does.

# %%
import zlib

import numpy as np

STUDENT = "your-id"  # as your teacher knows you

# %% [markdown]
# ## A7.1 What backward sends, on paper (4 points)
#
# 1. Rank $s$ has the rows of $x_s$. The first $C_{s0}$ of them go to rank 0, the next $C_{s1}$ to rank 1, and so on. Rank $r$ has $y_r$ afterwards: the rows from rank 0, then those from
#    rank 1, ... Derive what backward sends, given $dy_r$ on each rank $r$. What are its counts (2 points)?
# 2. The loss is the mean over all $B$ samples. Rank $r$ has $B_r$ of them, a copy of the weight $W$, and the gradient $G_r$ of the mean loss of its own samples. Derive $dW$ (1 point).
# 3. A table is split by row. On which ranks does the gradient of one row come into being, where must it go, and where do repeats matter (1 point)?
#
# BEGIN SOLUTION A7.1: write your derivation here, in LaTeX
# 1. Put the rows of all $x_s$ below each other, and so those of all $y_r$. Then $y = \Pi x$, where $\Pi$ is a permutation: one 1 in each row and in each column. $L$ depends on $x$ through $y$ alone, so
# $dx = \Pi^\top dy$, and $\Pi^\top = \Pi^{-1}$: each row of $dy$ goes back to the place that its row of $x$ came from. From rank $r$ to rank $s$ go $C_{sr}$ rows, so the counts are $C^\top$. Nothing
# is added up.
# 2. $L = \frac1B \sum_r B_r L_r$ with $L_r$ the mean of rank $r$. So $dW = \sum_r \frac{B_r}{B} G_r$. Only with equal $B_r$ is it the mean of the $G_r$.
# 3. $y_b = W_{v_b}$ for sample $b$, so $dW_n = \sum_{b: v_b = n} dy_b$ over the samples of all ranks. Each rank has the terms of its samples; they go to the owner of row $n$, which adds up all of them:
# repeats inside a rank and across ranks.
# END SOLUTION

# %% [markdown]
# ## A7.2 All to all (2 points)
#
# `counts[s, r]` rows go from rank $s$ to rank $r$: the first `counts[s, 0]` rows of `x[s]` to rank 0, the next `counts[s, 1]` to rank 1, ... Rank $r$ then has the rows from rank 0, below
# them those from rank 1, ... What $s$ sends to itself is among them.


# %%
def all_to_all(x, counts):
    """Return y: y[r] has the rows that rank r gets, in the order of the senders.

    x is a list of R arrays (n_s, D), counts is (R, R).
    """
    # BEGIN SOLUTION A7.2: return y, a list of R arrays
    ranks, ends = range(len(x)), np.cumsum(counts, axis=1)
    parts = [np.split(x[s], ends[s, :-1]) for s in ranks]
    return [np.concatenate([parts[s][r] for s in ranks]) for r in ranks]
    # END SOLUTION


# %% [markdown]
# ## A7.3 All to all, backward (2 points)


# %%
def all_to_all_backward(dy, counts):
    """Return dx, a list of R arrays, given dy, a list of R arrays; counts as in forward."""
    # BEGIN SOLUTION A7.3: return dx, a list of R arrays
    return all_to_all(dy, np.transpose(counts))
    # END SOLUTION


# %% [markdown]
# ## A7.4 The butterfly (3 points)
#
# In round $d = 1, 2, 4, \dots$ rank $r$ and rank $r \oplus d$ (in Python: `r ^ d`) swap what they have, and both add. In the end all have the sum, as a balanced tree: for $R = 4$ it is
# $(x_0 + x_1) + (x_2 + x_3)$. The checks use numbers that show the order: in floating point $(2^{60} + 3) - 2^{60}$ is 0. And all ranks must have *the same bits*. $R$ is a power of two.


# %%
def butterfly(x):
    """Return the sum, once for each rank: a list of R arrays. x is a list of R arrays."""
    # BEGIN SOLUTION A7.4: return a list of R arrays, each the sum as a balanced tree
    d = 1
    while d < len(x):
        x = [x[r] + x[r ^ d] for r in range(len(x))]
        d *= 2
    return x
    # END SOLUTION


# %% [markdown]
# ## A7.5 A table that is split by row, forward (3 points)
#
# Now you are one of $R$ ranks. Row $i$ of the table is on rank $i \bmod R$, at place $\lfloor i / R \rfloor$ of its `shard`. You have the ids of your own samples and your own shard, and nothing else. The others run the same
# function. You talk to them by `exchange(parts)`: `parts[r]` goes to rank $r$, and you get the list of what all ranks, you included, have sent to you. Call it twice: for places (ask
# each owner for the rows that you need, in the order of your ids, repeats included), and for rows (answer what you were asked).


# %%
def rowwise_forward(ids, shard, R, exchange):
    """Return y (n, D), the rows of ids (n,). shard is (rows, D): your part of the table."""
    # BEGIN SOLUTION A7.5: ask the owners, answer what you are asked, and return y (n, D)
    asked = exchange([ids[ids % R == r] // R for r in range(R)])
    rows = exchange([shard[places] for places in asked])
    y = np.empty((len(ids), shard.shape[1]))
    for r in range(R):
        y[ids % R == r] = rows[r]
    return y
    # END SOLUTION


# %% [markdown]
# ## A7.6 Split by row, backward (3 points)
#
# The same ranks; each has $dy$ of its own samples. Call `exchange` twice again: for places, as in A7.5, and for gradients.


# %%
def rowwise_backward(dy, ids, shard, R, exchange):
    """Return dshard (rows, D), the gradient of your shard, given dy (n, D)."""
    # BEGIN SOLUTION A7.6: send places and gradients to the owners, and return dshard (rows, D)
    asked = exchange([ids[ids % R == r] // R for r in range(R)])
    grads = exchange([dy[ids % R == r] for r in range(R)])
    dshard = np.zeros_like(shard)
    for places, terms in zip(asked, grads, strict=True):
        np.add.at(dshard, places, terms)
    return dshard
    # END SOLUTION


# %% [markdown]
# ## A7.7 A number (1 point)
#
# These sizes are only yours. A DLRM is trained on $R$ ranks: $T$ tables split by table, $T / R$ on each rank, and a batch of $B$ samples, $B / R$ on each. How many bytes do all ranks *together* send in one step? Count
# the vectors, forward, and their gradients, backward, all to all, in float32; and the gradients of the MLPs, $P$ numbers, by the butterfly. What a rank keeps for itself is
# not sent. (Ids are read where they are needed.)


# %%
def my_sizes():
    own = np.random.default_rng(zlib.crc32(f"A7.7:{STUDENT}".encode()))
    R = 2 ** int(own.integers(2, 6))
    B, T = R * int(own.integers(16, 200)), R * int(own.integers(1, 5))
    return B, T, int(own.integers(4, 65)), R, int(own.integers(10_000, 900_000))


def my_bytes():
    """Return the number: computed here, or typed in. B, T, D, R, P = my_sizes()."""
    # BEGIN SOLUTION A7.7: return the bytes that all ranks together send in a step
    B, T, D, R, P = my_sizes()
    vectors = 4 * B * T * D * (R - 1) // R
    rounds = R.bit_length() - 1  # log2 R
    return 2 * vectors + 4 * P * R * rounds
    # END SOLUTION


# %% [markdown]
# ## A7.8 Test the tests (2 points)
#
# Write a test of averages. `average(grads, rows)` gets what each rank has: `grads[r]` is the gradient of the mean loss of its own `rows[r]` samples. It returns, for each rank, the gradient of the mean loss of *all*
# samples, and all ranks must have *the same bits*. (Or their copies of the weights drift apart.) In which order it adds does not matter. Your test chooses its own inputs. Your
# points are the share of planted mistakes that it finds.


# %%
def is_average(average):
    """Return True when average(grads, rows) is right on every rank, with the same bits."""
    # BEGIN SOLUTION A7.8: return True or False
    rng = np.random.default_rng(7)
    rows = np.array([5, 1, 3, 7])
    grads = [rng.normal(size=50) for _ in rows]
    right = sum(n * grad for n, grad in zip(rows, grads, strict=True)) / rows.sum()
    got = average(grads, rows)
    if len(got) != 4 or any(np.shape(each) != right.shape for each in got):
        return False
    equal = all(np.array_equal(each, got[0]) for each in got)
    return bool(equal and np.allclose(got[0], right, rtol=1e-10))
    # END SOLUTION
