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
# # A6 · A model from its paper
#
# **Goals**: read a paper; derive its layer; check, build and compare it. **Time**: about 10 hours. **Points**: 20. **Needs**: notebook 07.
#
# The paper: Wang et al. (2021), "DCN V2: improved deep & cross network", sections 3.1 to 3.3. (If you prefer the CIN of Lian et al. (2018), do the same with it in the report;
# the machine checks the cross layer.)
#
# Check yourself as often as you like: `minidlrm grade check A6 a6_cross.py`
#
# Keep the names of the functions. Write experiments under `if __name__ == "__main__":`. Only your own code is graded: `minidlrm` cannot be
# imported here.

# %%
import zlib

import numpy as np

STUDENT = "your-id"  # as your teacher knows you

# %% [markdown]
# ## A6.1 Derivation and report (8 points, read by a human)
#
# 1. Derive the gradients of $y = x_0 \odot (W x + b) + x$ by $x_0$, $x$, $W$ and $b$ (3 points).
# 2. Derive the gradient by $x_0$ of a network of $L$ layers: list every place where $x_0$ appears (2 points).
# 3. Train a model with and without cross layers on data of order 2 and 3 (`minidlrm.data.synthetic_clicks`), three seeds each. Plot the results. Say what you see, and what it does not show (3 points).
#
# BEGIN SOLUTION A6.1: write your derivations and your report here
# With $g = W x + b$: $dx_0 = dy \odot g$, $dg = dy \odot x_0$, $dW = \sum_b dg\, x^\top$, $db = \sum_b dg$, $dx = W^\top dg + dy$. In a network $x_0$ appears in every layer, and once more as the first
# $x$: its gradients add up.
# END SOLUTION

# %% [markdown]
# ## A6.2 The cross layer, forward (2 points)


# %%
def cross_forward(x0, x, W, b):
    """Return y (B, d) for x0 and x (B, d), W (d, d), b (d,)."""
    # BEGIN SOLUTION A6.2: return y (B, d)
    return x0 * (x @ W.T + b) + x
    # END SOLUTION


# %% [markdown]
# ## A6.3 The cross layer, backward (4 points)


# %%
def cross_backward(dy, x0, x, W, b):
    """Return dx0, dx (B, d), dW (d, d) and db (d,)."""
    # BEGIN SOLUTION A6.3: return dx0, dx, dW, db
    dg = dy * x0
    return dy * (x @ W.T + b), dg @ W + dy, dg.T @ x, dg.sum(axis=0)
    # END SOLUTION


# %% [markdown]
# ## A6.4 A network of two layers, backward (3 points)
#
# $x_1$ is the first layer of $(x_0, x_0)$, and $y$ the second of $(x_0, x_1)$.


# %%
def network_backward(dy, x0, W1, b1, W2, b2):
    """Return dx0 (B, d), dW1, db1, dW2, db2."""
    # BEGIN SOLUTION A6.4: return dx0, dW1, db1, dW2, db2
    x1 = cross_forward(x0, x0, W1, b1)
    second, dx1, dW2, db2 = cross_backward(dy, x0, x1, W2, b2)
    first, dx, dW1, db1 = cross_backward(dx1, x0, x0, W1, b1)
    return first + second + dx, dW1, db1, dW2, db2
    # END SOLUTION


# %% [markdown]
# ## A6.5 A number (1 point)
#
# These sizes are only yours. How many numbers do $L$ full cross layers on $F$ fields of size $D$ have?


# %%
def my_sizes():
    own = np.random.default_rng(zlib.crc32(f"A6.5:{STUDENT}".encode()))
    return int(own.integers(2, 6)), int(own.integers(10, 40)), int(own.integers(4, 33))


def my_parameters():
    """Return the number: computed here, or typed in. L, F, D = my_sizes()."""
    # BEGIN SOLUTION A6.5: return the number of weights and biases of the cross layers
    L, F, D = my_sizes()
    return L * ((F * D) ** 2 + F * D)
    # END SOLUTION


# %% [markdown]
# ## A6.6 Test the tests (2 points)
#
# Write a test of cross layers: `backward(dy, x0, x, W, b)` returns dx0, dx, dW and db. It chooses its own inputs. Your points are the share of planted mistakes that it finds.


# %%
def is_cross(backward):
    """Return True when backward is that of the cross layer."""
    # BEGIN SOLUTION A6.6: return True or False
    rng = np.random.default_rng(7)
    x0, x, dy, W, b = (rng.normal(size=s) for s in ((5, 3), (5, 3), (5, 3), (3, 3), (3,)))
    dg = dy * x0
    expected = dy * (x @ W.T + b), dg @ W + dy, dg.T @ x, dg.sum(axis=0)
    got = backward(dy, x0, x, W, b)
    return len(got) == 4 and all(
        np.shape(a) == e.shape and np.allclose(a, e) for a, e in zip(got, expected, strict=True)
    )
    # END SOLUTION
