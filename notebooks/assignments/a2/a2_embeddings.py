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
# # A2 · Embeddings
#
# **Goals**: look up bags of ids with weights; derive and write the backward pass, with ids that repeat; write a scatter-add that Numba can
# compile; test one. **Time**: about 5 hours. **Points**: 20. **Needs**: notebook 01.
#
# Check yourself as often as you like: `minidlrm grade check A2 a2_embeddings.py`
#
# Keep the names of the functions. Write experiments under `if __name__ == "__main__":`. Only your own code is graded: `minidlrm` cannot be
# imported here.
#
# A *bag* is the list of ids of one sample. All ids of a batch are in `values`, one after the other; bag $b$ is `values[offsets[b]:offsets[b + 1]]`. There are $B$ bags and $B + 1$
# offsets. A bag may be empty; then its sum is 0. An id may occur twice in a bag, and in several bags.

# %%
import zlib

import numpy as np

try:
    from numba import njit
except ImportError:  # without Numba the loop runs as plain Python

    def njit(function):
        return function


STUDENT = "your-id"  # as your teacher knows you

# %% [markdown]
# ## A2.1 The gradient, on paper (4 points)
#
# $y_b = \sum_{i \in \text{bag } b} \alpha_i\, W_{v_i}$, where $v_i$ is id number $i$, $W$ the table of shape $(N, D)$, and $\alpha_i$ a weight. Derive $dW$ and $d\alpha$ from $dy$. Say where repeats of an
# id matter.
#
# BEGIN SOLUTION A2.1: write your derivation here, in LaTeX
# $y_{bd} = \sum_{i \in b} \alpha_i W_{v_i d}$. Row $n$ of $W$ appears in a term for every $i$ with $v_i = n$, so $dW_{nd} = \sum_{i: v_i = n} \alpha_i\, dy_{b(i) d}$, with $b(i)$ the bag of $i$:
# each repeat adds a term. $\alpha_i$ appears in one term: $d\alpha_i = \sum_d dy_{b(i) d} W_{v_i d} = \langle dy_{b(i)}, W_{v_i} \rangle$.
# END SOLUTION

# %% [markdown]
# ## A2.2 Forward (3 points)


# %%
def bag_forward(W, values, offsets, alpha):
    """Return y (B, D), the weighted sum of each bag.

    W is (N, D), values (n,) ids, offsets (B + 1,), alpha (n,).
    """
    # BEGIN SOLUTION A2.2: return y (B, D), the weighted sums; zeros for an empty bag
    bag = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    y = np.zeros((len(offsets) - 1, W.shape[1]))
    np.add.at(y, bag, alpha[:, None] * W[values])
    return y
    # END SOLUTION


# %% [markdown]
# ## A2.3 Backward (5 points)


# %%
def bag_backward(dy, W, values, offsets, alpha):
    """Return dW (N, D) and dalpha (n,), given dy (B, D)."""
    # BEGIN SOLUTION A2.3: return dW (N, D) and dalpha (n,)
    bag = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    dW = np.zeros_like(W)
    np.add.at(dW, values, alpha[:, None] * dy[bag])
    return dW, np.sum(dy[bag] * W[values], axis=1)
    # END SOLUTION


# %% [markdown]
# ## A2.4 A scatter-add for Numba (3 points)
#
# Write loops, as in C. Numba compiles them. Do not call `np.add.at`, and do not make temporary arrays.


# %%
@njit
def scatter_loop(table, rows, terms):
    """Add terms[i] (D,) to row rows[i] of table (N, D), in place."""
    # BEGIN SOLUTION A2.4: for each i, add terms[i] to table[rows[i]], number by number
    for i in range(len(rows)):
        for d in range(table.shape[1]):
            table[rows[i], d] += terms[i, d]
    # END SOLUTION


def scatter_add(table, rows, terms):
    """Return table with the terms added (given: it calls your loop)."""
    table = table.copy()
    scatter_loop(table, rows, terms)
    return table


# %% [markdown]
# ## A2.5 A number (1 point)
#
# A click log of your own: ids drawn by Zipf's law. What share of the rows that occur at all occurs *exactly once*? To 6 digits.


# %%
def my_ids():
    own = np.random.default_rng(zlib.crc32(f"A2.5:{STUDENT}".encode()))
    return np.minimum(own.zipf(1.3, 2000) - 1, 999)


def my_share():
    """Return the number: computed here, or typed in."""
    # BEGIN SOLUTION A2.5: return the share of the distinct ids of my_ids() that occur once
    count = np.unique(my_ids(), return_counts=True)[1]
    return float(np.mean(count == 1))
    # END SOLUTION


# %% [markdown]
# ## A2.6 Test the tests (4 points)
#
# Write a test of scatter-adds. It gets a function `scatter(table, rows, terms)` that returns a new table. It chooses its own inputs, and returns True when the
# function is right. Your points are the share of the planted mistakes that it finds. (A test on distinct rows finds few.)


# %%
def is_scatter_add(scatter):
    """Return True when scatter(table, rows, terms) adds each term to its row."""
    # BEGIN SOLUTION A2.6: return True or False
    rng = np.random.default_rng(7)
    for n in (0, 9):
        table, rows = rng.normal(size=(6, 3)), np.array([5, 0, 2, 2, 0, 2, 4, 4, 0])[:n]
        terms = rng.normal(size=(n, 3))
        expected = table.copy()
        for i, row in enumerate(rows):
            expected[row] += terms[i]
        given = table.copy()
        if not np.allclose(scatter(given, rows, terms), expected):
            return False
    return True
    # END SOLUTION
