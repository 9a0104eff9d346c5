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
# # A3 · Matrix factorization and factorization machines
#
# **Goals**: derive the gradient of one rating and of an FM; see why the FM costs $O(FD)$; train on ratings by SGD. **Time**: about 5 hours. **Points**: 20.
# **Needs**: notebooks 02 and 03.
#
# Check yourself as often as you like: `minidlrm grade check A3 a3_factorization.py`
#
# Keep the names of the functions. Write experiments under `if __name__ == "__main__":`. Only your own code is graded: `minidlrm` cannot be
# imported here.

# %%
import zlib

import numpy as np

STUDENT = "your-id"  # as your teacher knows you

# %% [markdown]
# ## A3.1 The gradient of an FM, on paper (4 points)
#
# $y = \sum_{i<j} \langle z_i, z_j \rangle$ for $F$ vectors $z_i$ of size $D$. Show that $y = \frac12 (\|s\|^2 - \sum_i \|z_i\|^2)$ with $s = \sum_i z_i$, and derive
# $\partial y / \partial z_k$ from either form.
#
# BEGIN SOLUTION A3.1: write your derivation here, in LaTeX
# $\|s\|^2 = \sum_{ij} \langle z_i, z_j \rangle = \sum_i \|z_i\|^2 + 2 \sum_{i<j} \langle z_i, z_j \rangle$. Then $\partial y / \partial z_k = \frac12 (2 s - 2 z_k) = s - z_k$.
# END SOLUTION

# %% [markdown]
# ## A3.2 The loss of one rating (3 points)
#
# $L = (r - \mu - \langle p, q \rangle)^2 + \lambda (\|p\|^2 + \|q\|^2)$, with $p$ and $q$ of size $D$. Give its gradients with respect to $p$ and $q$; $dL$ is the gradient that arrives.


# %%
def rating_backward(dL, p, q, r, mu, lam):
    """Return dp (D,) and dq (D,); r, mu and lam are plain numbers."""
    # BEGIN SOLUTION A3.2: return dp (D,) and dq (D,)
    e = r - mu - p @ q
    return dL * 2 * (lam * p - e * q), dL * 2 * (lam * q - e * p)
    # END SOLUTION


# %% [markdown]
# ## A3.3 The FM, forward (3 points)
#
# In $O(FD)$ a sample: no loop and no matrix over pairs. The check also uses $F = 2000$.


# %%
def fm_forward(z):
    """Return y (B,), the sum over all pairs i < j of <z_i, z_j>, for z (B, F, D)."""
    # BEGIN SOLUTION A3.3: return y (B,), in O(F D) a sample
    s = z.sum(axis=1)
    return 0.5 * (np.sum(s * s, axis=1) - np.sum(z * z, axis=(1, 2)))
    # END SOLUTION


# %% [markdown]
# ## A3.4 The FM, backward (3 points)


# %%
def fm_backward(dy, z):
    """Return dz (B, F, D), given dy (B,)."""
    # BEGIN SOLUTION A3.4: return dz (B, F, D)
    return dy[:, None, None] * (z.sum(axis=1, keepdims=True) - z)
    # END SOLUTION


# %% [markdown]
# ## A3.5 SGD on ratings (3 points)
#
# One pass over the ratings, in the order given. For each rating: $e = r - \mu - \langle p_u, q_i \rangle$, then
# $p_u \leftarrow p_u + \eta (e\, q_i - \lambda p_u)$ and $q_i \leftarrow q_i + \eta (e\, p_u - \lambda q_i)$. Both sides use the old vectors.


# %%
def sgd_epoch(P, Q, users, items, ratings, mu, eta, lam):
    """Return the new P (users, D) and Q (items, D); P and Q themselves stay as they are."""
    # BEGIN SOLUTION A3.5: return the new P and Q
    P, Q = P.copy(), Q.copy()
    for u, i, r in zip(users, items, ratings, strict=True):
        p, q = P[u].copy(), Q[i].copy()
        e = r - mu - p @ q
        P[u] = p + eta * (e * q - lam * p)
        Q[i] = q + eta * (e * p - lam * q)
    return P, Q
    # END SOLUTION


# %% [markdown]
# ## A3.6 A number (1 point)
#
# These vectors are only yours. What is the sum over all pairs, to 6 digits?


# %%
def my_vectors():
    own = np.random.default_rng(zlib.crc32(f"A3.6:{STUDENT}".encode()))
    return own.normal(size=(30, 4))


def my_sum_of_pairs():
    """Return the number: computed here, or typed in."""
    # BEGIN SOLUTION A3.6: return the sum over i < j of <z_i, z_j> of my_vectors()
    z = my_vectors()
    return float(np.sum(np.tril(z @ z.T, -1)))
    # END SOLUTION


# %% [markdown]
# ## A3.7 Test the tests (3 points)
#
# Write a test of FM layers. It gets `forward(z)` and `backward(dy, z)` and chooses its own inputs. It returns True when both are right. Your points are the
# share of planted mistakes that it finds. Some are in forward, some in backward, some need sizes that all differ.


# %%
def is_fm(forward, backward):
    """Return True when forward and backward are those of an FM."""
    # BEGIN SOLUTION A3.7: return True or False
    rng = np.random.default_rng(7)
    for B, F, D in ((3, 4, 2), (2, 5, 3)):
        z, dy = rng.normal(size=(B, F, D)), rng.normal(size=B)
        pairs = [(i, j) for i in range(F) for j in range(i)]
        y = sum(np.sum(z[:, i] * z[:, j], axis=1) for i, j in pairs)
        got, grad = np.asarray(forward(z)), np.asarray(backward(dy, z))
        if got.shape != y.shape or not np.allclose(got, y):
            return False
        expected = dy[:, None, None] * (z.sum(axis=1, keepdims=True) - z)
        if grad.shape != z.shape or not np.allclose(grad, expected):
            return False
    return True
    # END SOLUTION
