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
# # 03 · Factorization machines
#
# [![Open in Colab](colab.svg)](https://colab.research.google.com/github/)
#
# Matrix factorization multiplies two embeddings: user and movie. A click has more: the user, the ad, the
# city, the hour. A **factorization machine** (Rendle 2010) multiplies every pair of them, and does so without
# paying for every pair.
#
# You need notebooks 00 to 02. Reading time: 45 minutes.
#
# **What you will have at the end**: the identity that makes it cheap, derived and drawn; its gradient, derived and
# checked; and a signal that a linear model cannot learn and an FM can.

# %%
# In Colab, or where minidlrm is not installed: pip install it first.
import importlib.util

if importlib.util.find_spec("minidlrm") is None:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "minidlrm"], check=True)

import matplotlib.pyplot as plt
import numpy as np

import minidlrm as md
from minidlrm.languages import say, tell

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. What a linear model cannot say
#
# Logistic regression gives each category one number, its weight, and adds the weights up. So "this ad works in
# this city" cannot be said: only "this ad works" and "this city clicks". What is missing is a weight for the
# **pair**.
#
# ### Your turn
#
# See what is missing. Let $Y$ be a table of scores, with a row for each ad and a column for each city. The linear model that
# comes nearest to it predicts, at each place, the mean of the row, plus the mean of the column, minus the mean of the whole
# table. Return what it misses, at each place. The blank subtracts only the mean of the table.


# %%
def unsaid(Y):
    return Y - Y.mean()  # your turn: ads and cities have weights, too


def check_unsaid(function):
    added = np.array([[1.0], [3.0]]) + np.array([0.0, 2.0, 4.0])  # an ad's weight, a city's weight
    pairs = np.array([[1.0, 0.0, -1.0], [-1.0, 0.0, 1.0]])
    for name, table, wanted in (
        (say("sums"), added, 0 * added),
        (say("sums and pairs"), added + pairs, pairs),
    ):
        wrong = md.checking.difference(function(table), wanted, "rest")
        if wrong:
            tell(
                "not yet: of the table of {name} {table}, {wrong}",
                name=name,
                table=table.tolist(),
                wrong=wrong,
            )
            return
    tell("right: a table of sums leaves nothing; another one leaves a number for each pair")


check_unsaid(unsaid)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Subtract the mean of the row and that of the column, and add the mean of the table, which was subtracted twice. The second
# table of the check leaves $[[1, 0, -1], [-1, 0, 1]]$. This is a product of a number for each ad, $1$ and $-1$, and a number
# for each city, $1$, $0$ and $-1$. This is the idea that comes next.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def unsaid_answer(Y):
    return Y - Y.mean(axis=1, keepdims=True) - Y.mean(axis=0) + Y.mean()


print("the answer:")
check_unsaid(unsaid_answer)

# %% [markdown]
# A weight for each pair of ids would be a table of $N^2$ numbers for $N$ ids, and most pairs never occur in the data. The
# idea of matrix factorization helps: let the weight of a pair be the product of two embeddings. The model's output is
#
# $$ y = b + \sum_{f=1}^{F} w_f + \sum_{i < j} \langle z_i, z_j \rangle . $$
#
# Here $F$ is the number of fields (user, ad, city, ...), $z_f$ the embedding of field $f$'s id, of size $D$, $w_f$ the weight of this
# id, and $b$ the bias. $\langle z_i, z_j \rangle = \sum_d z_{id} z_{jd}$ is the product of notebook 02. The larger $y$ is, the likelier the
# click; notebook 04 makes a probability of it. An ad and a city that never met in the data still have a product.

# %%
F, D = 5, 3
z = rng.normal(size=(F, D))  # the embeddings of one sample


def pairs_one_by_one(z):
    """Add up <z_i, z_j> over all i < j: F (F - 1) / 2 products of D numbers."""
    return sum(z[i] @ z[j] for i in range(len(z)) for j in range(i + 1, len(z)))


print(pairs_one_by_one(z))

# %% [markdown]
# ## 2. The identity
#
# $F = 39$ fields make 741 pairs. But look at the square of the sum of all vectors. (The square of a vector $v$ is
# $\|v\|^2 = \langle v, v \rangle$, one number.)
#
# $$ \Big\| \sum_i z_i \Big\|^2 = \sum_i \sum_j \langle z_i, z_j \rangle
#    = \sum_i \|z_i\|^2 + 2 \sum_{i<j} \langle z_i, z_j \rangle . $$
#
# It holds every pair twice, and every vector with itself once. Solve for the pairs:
#
# $$ \sum_{i<j} \langle z_i, z_j \rangle
#    = \tfrac12 \Big( \big\| \textstyle\sum_i z_i \big\|^2 - \sum_i \|z_i\|^2 \Big) . $$
#
# The right side visits each of the $F$ vectors **once**: $O(FD)$ and not $O(F^2 D)$. See it as areas: the whole square
# minus its diagonal, halved.

# %%
gram = z @ z.T  # (F, F): all products
fig, axes = plt.subplots(1, 3, figsize=(8.4, 2.8), layout="constrained")
limit = np.abs(gram).max()
parts = (
    (gram, "all products: |sum|²"),
    (np.diag(np.diag(gram)), "the diagonal: sum of |z|²"),
    (np.tril(gram, -1), "the pairs, once"),
)
for ax, (part, title) in zip(axes, parts, strict=True):
    image = ax.imshow(part, cmap="PuOr", vmin=-limit, vmax=limit)
    ax.set(title=title, xlabel="j", ylabel="i")
    for (i, j), value in np.ndenumerate(part):
        if value:
            color = "white" if abs(value) > 0.6 * limit else "black"
            ax.text(j, i, f"{value:.1f}", ha="center", va="center", fontsize=7, color=color)


# %%
def pairs_by_identity(z):
    total = z.sum(axis=0)  # (D,)
    return 0.5 * (total @ total - np.sum(z * z))


print(pairs_by_identity(z), "difference", abs(pairs_by_identity(z) - pairs_one_by_one(z)))

# %%
fields = np.array([2, 5, 10, 20, 40, 80, 160])
fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
ax.loglog(fields, fields * (fields - 1) * 16, "o-", label="pairs one by one: F (F - 1) D")
ax.loglog(fields, 4 * fields * 16, "s--", label="the identity: about 4 F D")
ax.set(xlabel="fields, F", ylabel="FLOPs a sample", title="D = 16")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# ### Your turn
#
# The same identity serves every product of the same kind. Write $\sum_{i<j} x_i x_j$ for plain numbers $x_1, \dots, x_n$, in one pass. The blank counts each pair
# twice, and each number with itself.


# %%
def sum_of_pairs(x):
    return x.sum() ** 2  # your turn


def check_pairs(function):
    x = np.arange(1.0, 6.0)
    said = function(x)
    tell(
        "right" if said == 85 else "not yet: {said:g} for 1 ... 5; 1·2 + 1·3 + ... + 4·5 is 85",
        said=said,
    )


check_pairs(sum_of_pairs)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `0.5 * (x.sum() ** 2 - np.sum(x * x))`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def sum_of_pairs_answer(x):
    return 0.5 * (x.sum() ** 2 - np.sum(x * x))


print("the answer:")
check_pairs(sum_of_pairs_answer)

# %% [markdown]
# ## 3. The gradient
#
# Write $s = \sum_i z_i$. Then $y = \frac12 (\langle s, s \rangle - \sum_i \langle z_i, z_i \rangle)$. Vector $z_k$ appears in $s$ and in
# one term of the second sum:
#
# $$ \frac{\partial y}{\partial z_k} = \tfrac12 (2 s - 2 z_k) = s - z_k . $$
#
# In words: the derivative by $z_k$ is **the sum of all the others**. That is what the pairs say too: $z_k$ meets each
# other vector once.
#
# ### Your turn
#
# For a batch, $z$ has the shape $(B, F, D)$, $y$ has $(B,)$, and $dy$ has $(B,)$. Write the backward pass.


# %%
def fm_forward(z):
    s = z.sum(axis=1)  # (B, D)
    return 0.5 * ((s * s).sum(axis=1) - (z * z).sum(axis=(1, 2))), z


def fm_backward(dy, z):
    s = z.sum(axis=1)  # (B, D)
    return dy[:, None, None] * np.broadcast_to(s[:, None], z.shape)  # your turn: not yet right


batch = rng.normal(size=(4, F, D))
report = md.gradcheck((fm_forward, fm_backward), batch)

# %% [markdown]
# <details><summary>Answer</summary>
#
# A vector does not meet itself: subtract $z$. `dy[:, None, None] * (s[:, None] - z)`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def fm_answer(dy, z):
    s = z.sum(axis=1)
    return dy[:, None, None] * (s[:, None] - z)


report = md.gradcheck((fm_forward, fm_answer), batch, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# The library's layer is `md.FMInteraction`. It gives the same numbers, forward and backward.

# %%
layer = md.FMInteraction(F, D)
dy = rng.normal(size=4)
print("forward: ", np.abs(layer.forward(batch) - fm_forward(batch)[0]).max())
print("backward:", np.abs(layer.backward(dy) - fm_answer(dy, batch)).max())

# %% [markdown]
# ## 4. It is matrix factorization, for any number of fields
#
# With two fields, user and movie, there is one pair, and the FM is $b + w_u + w_i + \langle z_u, z_i \rangle$: the biased matrix
# factorization of notebook 02, with $b$ in the place of $\mu$. See it: with the same numbers, both models give the same
# ratings.

# %%
fm = md.FactorizationMachine(0, [6, 8], embedding_dim=3)
mf = md.MatrixFactorization([6, 8], embedding_dim=3, mean=3.5)
fm.load_state_dict(
    {
        **fm.state_dict(),
        "fields.tables.weight": mf.factors.weight.value,
        "linear.fields.tables.weight": mf.biases.weight.value,
        "linear.bias": np.array([3.5], np.float32),
    }
)
ids = np.stack([rng.integers(0, 6, 5), rng.integers(0, 8, 5)], axis=1)
rows = md.data.Batch(np.zeros((5, 0), np.float32), ids)
print("largest difference:", np.abs(fm.forward(rows) - mf.forward(rows)).max())

# %% [markdown]
# ### Numbers are fields, too
#
# A dense feature $x_j$ (an age, a price) gets one vector $V_j$, and enters as $z_j = x_j V_j$: its value times its vector.
# Then it meets every other field in the same sum.
#
# ### Your turn
#
# Its gradient. In sample $k$, $z_{kj} = x_{kj} V_j$. So $V_j$ is used once in each sample, and $dV_j = \sum_k x_{kj}\, dz_{kj}$. The blank takes
# the mean over the samples.


# %%
def dense_fields(x, V):
    return x[:, :, None] * V, (x, V)  # (B, n, D) for n dense features


def dense_fields_backward(dz, cache):
    x, V = cache
    dV = (x[:, :, None] * dz).mean(axis=0)  # your turn
    return (dz * V).sum(axis=2), dV


check_rng = np.random.default_rng(1)
report = md.gradcheck(
    (dense_fields, dense_fields_backward),
    check_rng.normal(size=(4, 3)),
    check_rng.normal(size=(3, 2)),
)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `(x[:, :, None] * dz).sum(axis=0)`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def dense_fields_answer(dz, cache):
    x, V = cache
    return (dz * V).sum(axis=2), (x[:, :, None] * dz).sum(axis=0)


arrays = check_rng.normal(size=(4, 3)), check_rng.normal(size=(3, 2))
report = md.gradcheck((dense_fields, dense_fields_answer), *arrays, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# ## 5. A signal of second order
#
# We use synthetic clicks (`order=2`) whose signal is only in **pairs**: every single id has the same click rate. Logistic
# regression can learn nothing from them. We know the best possible loss (the Bayes limit), because we planted the truth. The loss is the log loss, in nats: the mean of $-\log$ (probability of what happened); notebook 04 derives it.
#
# ### Your turn
#
# Before you train: how many weights has each model? Let $S$ be the number of ids of all tables. LR has one for each id, and a
# bias. An FM has an embedding of $D$ numbers for each id as well. The blank counts LR only.


# %%
def fm_parameters(S, D):
    return S + 1  # your turn


def check_fm_parameters(function):
    said, wanted = function(14, 3), md.FactorizationMachine(0, [6, 8], 3).num_parameters()
    tell(
        "right" if said == wanted else "not yet: {said}; with 14 ids and D = 3 it has {wanted}",
        said=said,
        wanted=wanted,
    )


check_fm_parameters(fm_parameters)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `S * (D + 1) + 1`. A weight for every pair of ids would need about $S^2 / 2$.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def fm_parameters_answer(S, D):
    return S * (D + 1) + 1


print("the answer:")
check_fm_parameters(fm_parameters_answer)

# %%
clicks = md.data.synthetic_clicks(
    60_000, seed=0, order=2, num_dense=0, num_tables=8, max_table_size=12
)


def train(model):
    history = md.fit(
        model,
        clicks.train,
        clicks.valid,
        optimizer=md.Adam(0.01),
        epochs=4,
        batch_size=256,
        eval_every=50,
        progress=False,
    )
    return history.column("epoch"), history.column("valid_log_loss")


curves = {
    "logistic regression": train(md.LogisticRegression(0, clicks.table_sizes)),
    "factorization machine": train(md.FactorizationMachine(0, clicks.table_sizes, 4)),
}

# %%
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for (name, (epochs, losses)), style in zip(curves.items(), ("--", "-"), strict=True):
    ax.plot(epochs, losses, style, label=name)
ax.axhline(clicks.bayes_log_loss, color="0.3", ls=":", label="Bayes limit (of the test rows)")
ax.set(xlabel="epoch", ylabel="validation log loss (nats)", title="A signal made of pairs")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# The line of logistic regression (LR) is flat: it has learned the mean click rate. The FM goes most of the way to
# the limit. (The rest is what it costs to learn a weight for each pair from a finite number of clicks.)
#
# ## 6. The museum of this chapter
#
# Two wrong backward passes of the identity. Find the mistakes, then run the cells below. Which one trains?

# %%
from minidlrm.checking import museum

bugs = museum.exhibits("SelfTermLeftInTheSum", "HalfLost")
museum.show(bugs)

# %%
museum.explain(bugs)

# %%
layers = {"right": md.FMInteraction} | {bug.cls.__name__: bug.cls for bug in bugs}
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for (name, layer_class), style in zip(layers.items(), ("-", "--", ":"), strict=True):
    model = md.FactorizationMachine(0, clicks.table_sizes, 4)
    model.fm.__class__ = layer_class
    ax.plot(*train(model), style, label=name)
ax.axhline(clicks.bayes_log_loss, color="0.3", ls=":")
ax.set(xlabel="epoch", ylabel="validation log loss (nats)", title="Which of them train?")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# All three reach the same loss. `HalfLost` is exactly on the right curve: Adam divides each gradient by its usual size, and
# a constant factor cancels. The self term costs only the first epoch. So a curve that falls, even to the right place, proves
# nothing about the gradient.
#
# ## What to remember
#
# 1. The weight of a pair is the product of two embeddings, so that pairs that were never seen have one, too.
# 2. $\sum_{i<j} \langle z_i, z_j \rangle = \frac12 (\|s\|^2 - \sum \|z_i\|^2)$: all pairs for the price of all vectors.
# 3. The gradient of $z_k$ is the sum of the others.
# 4. Two fields: matrix factorization.
#
# Next: 04, multilayer perceptrons and neural collaborative filtering.
