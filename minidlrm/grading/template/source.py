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
# # NAME · One neuron
#
# **Goals**: derive and write the gradient of a neuron, and let it learn. **Points**: 20.
#
# **Limits**: 10 s a call, 20 s a cell, 300 s in all, 4 GB.
#
# Keep the names of the functions. Write experiments under `if __name__ == "__main__":`.

# %%
import zlib

import numpy as np

STUDENT = "your-id"  # as your teacher knows you

# %% [markdown]
# ## NAME.1 The gradient, on paper (4 points)
#
# $y_b = \tanh(\sum_j x_{bj} w_j)$, with $x$ of shape $(B, n)$. Derive $dx$ and $dw$ from $dy$.
#
# BEGIN SOLUTION NAME.1: write your derivation here, in LaTeX
# With $g_b = dy_b (1 - y_b^2)$: $dx_{bj} = g_b w_j$, and $dw_j = \sum_b g_b x_{bj}$.
# END SOLUTION

# %% [markdown]
# ## NAME.2 Forward (3 points)


# %%
def neuron_forward(x, w):
    """Return y (B,) for x (B, n) and w (n,)."""
    # BEGIN SOLUTION NAME.2: return y (B,)
    return np.tanh(x @ w)
    # END SOLUTION


# %% [markdown]
# ## NAME.3 Backward (6 points)


# %%
def neuron_backward(dy, x, w):
    """Return dx (B, n) and dw (n,), given dy (B,)."""
    # BEGIN SOLUTION NAME.3: return dx (B, n) and dw (n,)
    g = dy * (1 - np.tanh(x @ w) ** 2)
    return g[:, None] * w, g @ x
    # END SOLUTION


# %% [markdown]
# ## NAME.4 One step (3 points)
#
# The loss is $\frac{1}{2B} \sum_b (y_b - t_b)^2$. Use your two functions.


# %%
def step(x, w, t, rate):
    """Return w after one step of gradient descent."""
    # BEGIN SOLUTION NAME.4: return the new w (n,)
    dy = (neuron_forward(x, w) - t) / len(t)
    return w - rate * neuron_backward(dy, x, w)[1]
    # END SOLUTION


# %% [markdown]
# ## NAME.5 A number (1 point)
#
# These numbers are only yours. What is the mean of their squares?


# %%
def my_numbers():
    own = np.random.default_rng(zlib.crc32(f"NAME.5:{STUDENT}".encode()))
    return own.normal(size=40)


def my_mean_square():
    """Return the number: computed here, or typed in."""
    # BEGIN SOLUTION NAME.5: return the mean of the squares of my_numbers()
    return float(np.mean(my_numbers() ** 2))
    # END SOLUTION


# %% [markdown]
# ## NAME.6 Test the tests (3 points)
#
# `forward(x, w)` may be right or wrong. Your points are the share of wrong ones that you find.


# %%
def is_neuron(forward):
    """Return True when forward(x, w) is that of a neuron."""
    # BEGIN SOLUTION NAME.6: return True or False
    x, w = np.array([[1.0, 2.0], [-1.0, 0.5], [0.3, 0.1]]), np.array([0.4, -0.7])
    got = np.asarray(forward(x, w))
    return bool(got.shape == (3,) and np.allclose(got, np.tanh(x @ w)))
    # END SOLUTION
