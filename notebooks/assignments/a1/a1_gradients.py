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
# # A1 · Gradients by hand
#
# **Goals**: derive the backward pass of a linear layer, a sigmoid and a loss; write a gradient checker; find out what a checker
# misses. **Time**: about 4 hours. **Points**: 20. **Needs**: notebook 00.
#
# Fill in the functions. Each says what it takes and returns. Check yourself as often as you like:
#
# `minidlrm grade check A1 a1_gradients.py`
#
# Keep the names of the functions. Write experiments under `if __name__ == "__main__":`. Only your own code is graded: `minidlrm` cannot be
# imported here. Symbols: $B$ is the batch size, $dy = \partial L / \partial y$ is the gradient that arrives.

# %%
import zlib

import numpy as np

STUDENT = "your-id"  # as your teacher knows you

# %% [markdown]
# ## A1.1 The linear layer, on paper (4 points)
#
# $y = x W^\top + b$ with $x$ of shape $(B, n)$, $W$ of shape $(m, n)$ and $b$ of shape $(m,)$. Derive $dW$, $db$ and $dx$ from $dy$, index by index.
#
# BEGIN SOLUTION A1.1: write your derivation here, in LaTeX
# $y_{bk} = \sum_j x_{bj} W_{kj} + b_k$. So $\partial y_{bk} / \partial W_{kj} = x_{bj}$, and $dW_{kj} = \sum_b dy_{bk}\, x_{bj}$, that is $dW = dy^\top x$. In the same way
# $db_k = \sum_b dy_{bk}$, and $dx_{bj} = \sum_k dy_{bk} W_{kj}$, that is $dx = dy\, W$.
# END SOLUTION

# %% [markdown]
# ## A1.2 The linear layer, in code (3 points)


# %%
def linear_backward(dy, x, W, b):
    """Return dx (B, n), dW (m, n) and db (m,) of y = x @ W.T + b, given dy (B, m)."""
    # BEGIN SOLUTION A1.2: return dx (B, n), dW (m, n), db (m,)
    return dy @ W, dy.T @ x, dy.sum(axis=0)
    # END SOLUTION


# %% [markdown]
# ## A1.3 The sigmoid (2 points)
#
# $y = 1 / (1 + e^{-x})$, entry by entry.


# %%
def sigmoid_backward(dy, x):
    """Return dx, of the shape of x, given dy."""
    # BEGIN SOLUTION A1.3: return dx, of the shape of x
    y = 1 / (1 + np.exp(-x))
    return dy * y * (1 - y)
    # END SOLUTION


# %% [markdown]
# ## A1.4 The log loss (3 points)
#
# With logits $z$ and labels $t$, both of shape $(B,)$: $L = \frac1B \sum_b \left[\log(1 + e^{z_b}) - t_b z_b\right]$. Here $L$ is one number, and so is $dL$, the gradient that
# arrives (1 in training).


# %%
def log_loss_backward(dL, z, t):
    """Return dz (B,), given the number dL."""
    # BEGIN SOLUTION A1.4: return dz (B,)
    return dL * (1 / (1 + np.exp(-z)) - t) / len(z)
    # END SOLUTION


# %% [markdown]
# ## A1.5 A gradient checker (3 points)
#
# Central differences: $\partial f / \partial x_k \approx (f(x + h e_k) - f(x - h e_k)) / 2h$, where $e_k$ is 1 at place $k$ and 0 elsewhere. A relative error of 1e-7 is good enough.
# $x$ must be unchanged at the end.


# %%
def numeric_gradient(f, x):
    """Return the gradient of the function f (array -> number) at x; any shape."""
    # BEGIN SOLUTION A1.5: return an array of the shape of x
    grad = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        h = 6e-6 * max(1.0, abs(x[place]))
        up, down = x.copy(), x.copy()
        up[place] += h
        down[place] -= h
        grad[place] = (f(up) - f(down)) / (up[place] - down[place])
    return grad
    # END SOLUTION


# %% [markdown]
# ## A1.6 A number (1 point)
#
# These logits and labels are only yours: they are drawn from your `STUDENT`. What is the log loss, to 6 digits?


# %%
def my_clicks():
    own = np.random.default_rng(zlib.crc32(f"A1.6:{STUDENT}".encode()))
    return own.normal(size=50), own.integers(0, 2, 50)


def my_log_loss():
    """Return the number: computed here, or typed in."""
    # BEGIN SOLUTION A1.6: return the log loss of my_clicks(), a number
    z, t = my_clicks()
    return float(np.mean(np.log1p(np.exp(z)) - t * z))
    # END SOLUTION


# %% [markdown]
# ## A1.7 Test the tests (4 points)
#
# Write a test of backward passes. It gets `forward(x)` and `backward(dy, x)` of an unknown layer, and an example `x`. It returns True if backward is right.
# We give it right layers (it must pass them), and layers with mistakes. Your points are the share of mistakes that it finds.
# Beware: some of them ignore `dy`, some are wrong in one entry only, some mix up the samples.


# %%
def is_right(forward, backward, x):
    """Return True when backward(dy, x) is the gradient of forward(x)."""
    # BEGIN SOLUTION A1.7: return True or False
    dy = np.random.default_rng(7).normal(size=np.shape(forward(x)))
    numeric = numeric_gradient(lambda moved: float(np.sum(dy * forward(moved))), x)
    analytic = np.asarray(backward(dy, x))
    if analytic.shape != x.shape:
        return False
    return bool(np.abs(analytic - numeric).max() <= 1e-6 * np.abs(numeric).max())
    # END SOLUTION
