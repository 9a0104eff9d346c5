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
# # A4 · The MLP and the dot interaction
#
# **Goals**: run a multilayer perceptron forward and backward; derive the gradient of all pair products. **Time**: about 5 hours. **Points**: 20.
# **Needs**: notebooks 04 and 05.
#
# Check yourself as often as you like: `minidlrm grade check A4 a4_mlp_and_dot.py`
#
# Keep the names of the functions. Write experiments under `if __name__ == "__main__":`. Only your own code is graded: `minidlrm` cannot be
# imported here.

# %%
import zlib
from itertools import pairwise

import numpy as np

STUDENT = "your-id"  # as your teacher knows you

# %% [markdown]
# ## A4.1 The interaction, on paper (4 points)
#
# $z$ has the shape $(F, D)$, and $y$ holds the products $\langle z_i, z_j \rangle$ for all $i > j$. Write $dy$ into a matrix $G$ of shape $(F, F)$, zero on and above the
# diagonal. Derive $dz = (G + G^\top) z$.
#
# BEGIN SOLUTION A4.1: write your derivation here, in LaTeX
# $L$ depends on $z_k$ through $\langle z_k, z_j \rangle$ for $j < k$ and $\langle z_i, z_k \rangle$ for $i > k$: $dz_k = \sum_{j<k} G_{kj} z_j + \sum_{i>k} G_{ik} z_i$. As matrices: $G z + G^\top z$.
# END SOLUTION

# %% [markdown]
# ## A4.2 An MLP, forward (2 points)
#
# `weights` and `biases` are lists: layer $l$ is $x W_l^\top + b_l$, with $W_l$ of shape (out, in). ReLU follows every layer but the last.


# %%
def mlp_forward(x, weights, biases):
    """Return y (B, out) for x (B, in)."""
    # BEGIN SOLUTION A4.2: return y (B, out), ReLU after every layer but the last
    for k, (W, b) in enumerate(zip(weights, biases, strict=True)):
        x = x @ W.T + b
        if k < len(weights) - 1:
            x = np.maximum(x, 0)
    return x
    # END SOLUTION


# %% [markdown]
# ## A4.3 An MLP of two layers, backward (5 points)


# %%
def mlp_backward(dy, x, W1, b1, W2, b2):
    """Return dx, dW1, db1, dW2, db2 of y = relu(x @ W1.T + b1) @ W2.T + b2, given dy (B, out)."""
    # BEGIN SOLUTION A4.3: return dx, dW1, db1, dW2, db2
    a = np.maximum(x @ W1.T + b1, 0)
    da = dy @ W2 * (a > 0)
    return da @ W1, da.T @ x, da.sum(axis=0), dy.T @ a, dy.sum(axis=0)
    # END SOLUTION


# %% [markdown]
# ## A4.4 The dot interaction, forward (2 points)
#
# The strict lower triangle, row by row: (1, 0), (2, 0), (2, 1), (3, 0), ...


# %%
def dot_forward(z):
    """Return the products (B, F (F - 1) / 2) for z (B, F, D)."""
    # BEGIN SOLUTION A4.4: return the products (B, F (F - 1) / 2), row by row
    i, j = np.tril_indices(z.shape[1], -1)
    return (z @ z.transpose(0, 2, 1))[:, i, j]
    # END SOLUTION


# %% [markdown]
# ## A4.5 The dot interaction, backward (3 points)


# %%
def dot_backward(dy, z):
    """Return dz (B, F, D), given dy (B, F (F - 1) / 2)."""
    # BEGIN SOLUTION A4.5: return dz (B, F, D)
    i, j = np.tril_indices(z.shape[1], -1)
    G = np.zeros((len(z), z.shape[1], z.shape[1]))
    G[:, i, j] = dy
    return (G + G.transpose(0, 2, 1)) @ z
    # END SOLUTION


# %% [markdown]
# ## A4.6 A number (1 point)
#
# A DLRM with sizes of your own: how many numbers does its top MLP have, weights and biases together? Its input is the dense vector of size $D$ and all pair products of
# $F$ vectors; then come hidden layers, and a last layer with one output.


# %%
def my_sizes():
    own = np.random.default_rng(zlib.crc32(f"A4.6:{STUDENT}".encode()))
    return int(own.integers(10, 40)), int(own.integers(4, 65)), own.integers(20, 300, 2).tolist()


def my_parameters():
    """Return the number: computed here, or typed in. F, D, hidden = my_sizes()."""
    # BEGIN SOLUTION A4.6: return the number of weights and biases of the top MLP
    F, D, hidden = my_sizes()
    sizes = [D + F * (F - 1) // 2, *hidden, 1]
    return sum(n * m + m for n, m in pairwise(sizes))
    # END SOLUTION


# %% [markdown]
# ## A4.7 Test the tests (3 points)
#
# Write a test of dot interactions: `forward(z)` and `backward(dy, z)`, right or wrong. It chooses its own inputs and returns True when both are right. Your
# points are the share of planted mistakes that it finds.


# %%
def is_dot(forward, backward):
    """Return True when forward and backward are those of the dot interaction."""
    # BEGIN SOLUTION A4.7: return True or False
    rng = np.random.default_rng(7)
    for B, F, D in ((3, 4, 2), (2, 5, 3)):
        z = rng.normal(size=(B, F, D))
        pairs = [(i, j) for i in range(F) for j in range(i)]
        y = np.stack([np.sum(z[:, i] * z[:, j], axis=1) for i, j in pairs], axis=1)
        dy, dz = rng.normal(size=y.shape), np.zeros_like(z)
        for k, (i, j) in enumerate(pairs):
            dz[:, i] += dy[:, k, None] * z[:, j]
            dz[:, j] += dy[:, k, None] * z[:, i]
        for got, right in ((forward(z), y), (backward(dy, z), dz)):
            if np.shape(got) != right.shape or not np.allclose(got, right):
                return False
    return True
    # END SOLUTION
