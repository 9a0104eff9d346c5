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
# # 05 · The DLRM
#
# [![Open in Colab](colab.svg)](https://colab.research.google.com/github/)
#
# All parts are built: embeddings (01), products of embeddings (02, 03), multilayer perceptrons (04). The **deep learning
# recommendation model** (DLRM) of Naumov et al. (2019) puts them together. Models of its kind choose the ads and posts that
# billions of people see, and it fits on a page.
#
# You need notebooks 00 to 04. Reading time: 60 minutes.
#
# **What you will have at the end**: a DLRM of your own, forward and backward, with the same numbers as the
# library's; every number of a batch of four, seen; and the run that the paper's authors printed, replayed.

# %%
# In Colab, or where minidlrm is not installed: pip install it first.
import importlib.util

if importlib.util.find_spec("minidlrm") is None:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "minidlrm"], check=True)

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np

import minidlrm as md

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. The figure
#
# A click has **dense** features (counts, ages: numbers) and **sparse** features (ids, one for each of $T$ tables).
#
# 1. The dense features go through the *bottom MLP*. It ends with a vector $x$ of size $D$: as large as an embedding.
# 2. Each id is looked up: $T$ vectors of size $D$.
# 3. Now there are $F = T + 1$ vectors of one size. The *interaction* takes the dot product of every pair.
# 4. The dense vector and all products go through the *top MLP*. It ends with one number, the logit.
#
# This is the figure of the paper, drawn from the library's class:

# %%
model = md.DLRM(
    num_dense=4,
    table_sizes=[7, 5, 6],
    embedding_dim=3,
    bottom_mlp=(5,),
    top_mlp=(6,),
    dtype=np.float64,
)
fig, ax = plt.subplots(figsize=(6.6, 6.2), layout="constrained")
_ = md.diagram(model, ax=ax)

# %% [markdown]
# Four rows of data for it: four dense features, and an id for each of three tables.

# %%
dense = rng.normal(size=(4, 4))
ids = np.array([[2, 0, 5], [2, 4, 1], [6, 4, 5], [0, 1, 5]])
label = np.array([1.0, 0.0, 0.0, 1.0])
batch = md.data.Batch(dense, ids, label)
B, F, D = 4, 4, 3

# %% [markdown]
# ## 2. The interaction
#
# Let $z$ hold the $F$ vectors of a sample, shape $(F, D)$. All products at once are the matrix $z z^\top$, shape $(F, F)$. It is
# symmetric: below the diagonal stands what stands above. DLRM takes the **strict lower triangle**, row by row: (1, 0),
# (2, 0), (2, 1), (3, 0), ... These are $P = F (F - 1) / 2$ numbers.
#
# An FM (notebook 03) adds these products up. DLRM keeps them apart, and lets the top MLP decide what each of them means.


# %%
i, j = np.tril_indices(F, -1)  # row by row


def interact(z):
    products = z @ z.transpose(0, 2, 1)  # (B, F, F)
    return products[:, i, j], z  # (B, P)


z = rng.normal(size=(B, F, D))
pairs, _ = interact(z)
print("pairs:", list(zip(i.tolist(), j.tolist(), strict=True)))
print("added up:", pairs.sum(axis=1).round(4))
print("an FM:   ", md.FMInteraction(F, D).forward(z).round(4))

# %%
fig, axes = plt.subplots(1, 2, figsize=(7.2, 3), layout="constrained")
products = z[0] @ z[0].T
limit = np.abs(products).max()
for ax, values, title in (
    (axes[0], products, "z zᵀ of one sample"),
    (axes[1], np.where(np.tri(F, k=-1) > 0, products, np.nan), "what DLRM takes"),
):
    ax.imshow(values, cmap="PuOr", vmin=-1.5 * limit, vmax=1.5 * limit)
    ax.set(title=title, xlabel="vector j", ylabel="vector i", xticks=range(F), yticks=range(F))
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            ax.text(column, row, f"{value:.1f}", ha="center", va="center")

# %% [markdown]
# ### Its gradient
#
# Write $dy$ back into a matrix $G$ of shape $(F, F)$: zero above the diagonal. Vector $z_k$ stands in a product as the first
# factor ($y_{kj} = \langle z_k, z_j \rangle$, row $k$ of $G$) and as the second ($y_{ik} = \langle z_i, z_k \rangle$, column $k$). Both count:
#
# $$ dz_k = \sum_j G_{kj}\, z_j + \sum_i G_{ik}\, z_i, \qquad dz = (G + G^\top)\, z . $$
#
# ### Your turn
#
# Write it. The blank forgets one of the two.


# %%
def interact_backward(dy, z):
    G = np.zeros((len(z), F, F))
    G[:, i, j] = dy
    return G @ z  # your turn: half of it is missing


report = md.gradcheck((interact, interact_backward), z)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `(G + G.transpose(0, 2, 1)) @ z`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def interact_answer(dy, z):
    G = np.zeros((len(z), F, F))
    G[:, i, j] = dy
    return (G + G.transpose(0, 2, 1)) @ z


report = md.gradcheck((interact, interact_answer), z, verbose=False)
print("the answer passes:", report.passed)

# %% [markdown]
# ## 3. Forward, by hand
#
# We take the library's weights, so that we can compare. A linear layer is `x @ W.T + b`; ReLU follows every layer
# of the bottom MLP (the last one too), and every layer of the top MLP but its last: that one gives the logit.

# %%
weights = {name: value.copy() for name, value in model.state_dict().items()}
starts = np.array([0, 7, 12])  # where each table begins
for name, value in weights.items():
    print(f"{name:24} {value.shape}")

# %%
W1, b1 = weights["bottom.layers.0.weight"], weights["bottom.layers.0.bias"]
W2, b2 = weights["bottom.layers.1.weight"], weights["bottom.layers.1.bias"]
W3, b3 = weights["top.layers.0.weight"], weights["top.layers.0.bias"]
W4, b4 = weights["top.layers.1.weight"], weights["top.layers.1.bias"]
table = weights["embeddings.weight"]

h1 = np.maximum(dense @ W1.T + b1, 0)  # (B, 5)
x = np.maximum(h1 @ W2.T + b2, 0)  # (B, D): as large as an embedding
rows = ids + starts  # (B, T)
z = np.concatenate([x[:, None], table[rows]], axis=1)  # (B, F, D): the dense vector is vector 0
pairs, _ = interact(z)  # (B, P)
top_in = np.concatenate([x, pairs], axis=1)  # (B, D + P)
h3 = np.maximum(top_in @ W3.T + b3, 0)  # (B, 6)
logit = (h3 @ W4.T + b4)[:, 0]  # (B,)

print("ours:       ", logit.round(6))
print("the library:", model.forward(batch).round(6))

# %% [markdown]
# ## 4. Backward, by hand
#
# Walk the figure from the top to the bottom. Write `dh3` for the gradient by the *input* of the ReLU that gives `h3`, and so on:
# the gradient that arrives, times $[h_3 > 0]$. One place needs care: **the dense vector $x$ has two arrows**. It goes
# straight to the top MLP, and it is vector 0 of the interaction. Its gradient is the sum of both.
#
# ### Your turn
#
# `dtop` is the gradient of the top MLP's input, shape $(B, D + P)$: first $D$ numbers for $x$, then $P$ for the pairs. `dz`, shape
# $(B, F, D)$, is the gradient of the vectors of the interaction. Put $dx$ together. The blank follows one arrow only.


# %%
def both_arrows(dtop, dz):
    return dtop[:, :D]  # your turn: there is another arrow


def check_arrows(function):
    def forward(x):
        pairs, _ = interact(np.concatenate([x[:, None], z[:, 1:]], axis=1))
        return np.concatenate([x, pairs], axis=1)  # (B, D + P)

    def backward(dtop):
        return function(dtop, interact_answer(dtop[:, D:], z))

    return md.gradcheck((forward, backward), z[:, 0].copy(), verbose=function is both_arrows)


report = check_arrows(both_arrows)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `dtop[:, :D] + dz[:, 0]`: the straight way, and the way through vector 0.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def both_arrows_answer(dtop, dz):
    return dtop[:, :D] + dz[:, 0]


print("the answer passes:", check_arrows(both_arrows_answer).passed)

# %% [markdown]
# Now all the way down. Each line is a formula that an earlier notebook derived.

# %%
dlogit = (1 / (1 + np.exp(-logit)) - label) / B  # (B,): log loss (04), mean over B
dh3 = dlogit[:, None] * W4 * (h3 > 0)  # (B, 6)
dtop = dh3 @ W3  # (B, D + P)
dz = interact_answer(dtop[:, D:], z)  # (B, F, D)
dx = both_arrows_answer(dtop, dz)  # (B, D)
dx = dx * (x > 0)  # the ReLU of the bottom MLP's last layer
dh1 = (dx @ W2) * (h1 > 0)  # (B, 5)
dtable = np.zeros_like(table)
np.add.at(dtable, rows, dz[:, 1:])  # ids repeat: their gradients add up

by_hand = {
    "embeddings.weight": dtable,
    "bottom.layers.0.weight": dh1.T @ dense,
    "bottom.layers.0.bias": dh1.sum(axis=0),
    "bottom.layers.1.weight": dx.T @ h1,
    "bottom.layers.1.bias": dx.sum(axis=0),
    "top.layers.0.weight": dh3.T @ top_in,
    "top.layers.0.bias": dh3.sum(axis=0),
    "top.layers.1.weight": dlogit[None] @ h3,
    "top.layers.1.bias": dlogit.sum(keepdims=True),
}

# %%
loss = md.BCEWithLogits()
loss.forward(model.forward(batch), label)
model.zero_grad()
model.backward(loss.backward())
for name, parameter in model.named_parameters():
    grad = parameter.grad
    grad = grad.to_dense() if isinstance(grad, md.SparseGrad) else grad
    print(f"{name:24} largest difference {np.abs(grad - by_hand[name]).max():.1e}")

# %% [markdown]
# ### Your turn
#
# Count the weights and biases of an MLP from its sizes: a layer from $n$ to $m$ numbers has a matrix of $m \times n$ and $m$ biases. The blank forgets the biases.


# %%
def mlp_parameters(sizes):
    return sum(n * m for n, m in pairwise(sizes))  # your turn


def check_parameters(function):
    said, wanted = function([4, 5, 3]), model.bottom.num_parameters()
    print("right" if said == wanted else f"not yet: {said}; the bottom MLP has {wanted}")


check_parameters(mlp_parameters)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `sum(n * m + m for n, m in pairwise(sizes))`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def mlp_parameters_answer(sizes):
    return sum(n * m + m for n, m in pairwise(sizes))


check_parameters(mlp_parameters_answer)

# %% [markdown]
# ## 5. Every number of this batch
#
# Step through it: forward, loss, backward. Press *Next*, or use the arrow keys. The equation shows the numbers of
# the first sample.

# %%
steps = md.trace(model, batch)
steps

# %% [markdown]
# ### What if?
#
# Change one number of an embedding that two samples share (table 0, id 2), and follow it.

# %%
print(steps.perturb("embeddings.weight", (2, 0), eps=0.01))

# %% [markdown]
# ## 6. What the authors printed
#
# The README of the reference implementation prints a whole run: three steps of a tiny DLRM, with all inputs,
# parameters and losses. All of it comes from one seed of NumPy's old generator. So it can be replayed, number by number.
# It exercises everything: bags of ids, the order of the triangle, ReLU, the sigmoid, the scatter-add.

# %%
from minidlrm import verify

ours = verify.replay()
for step, (printed, replayed) in enumerate(
    zip(verify.PUBLISHED_LOSSES, ours.losses, strict=True), 1
):
    print(f"step {step}: printed {printed:.6f}, ours {replayed:.6f}")

# %% [markdown]
# ## 7. How large is a real one?
#
# The configuration for the Criteo Kaggle data: 13 dense features, 26 tables with 33.8 million rows, $D = 16$.

# %%
kaggle = {"bottom": [13, 512, 256, 64, 16], "top": [16 + 27 * 26 // 2, 512, 256, 1]}
mlps = {name: sum(n * m + m for n, m in pairwise(sizes)) for name, sizes in kaggle.items()}
parameters = {"embeddings": 33_762_577 * 16, "top MLP": mlps["top"], "bottom MLP": mlps["bottom"]}
flops = {"embeddings": 0, "interaction": 27 * 26 * 16}
flops |= {f"{name} MLP": 2 * sum(n * m for n, m in pairwise(s)) for name, s in kaggle.items()}

fig, axes = plt.subplots(1, 2, figsize=(8.4, 3), layout="constrained")
axes[0].barh(list(parameters), list(parameters.values()), color="#0072b2")
axes[0].set(xscale="log", xlabel="parameters", title="Nearly all are embeddings")
axes[1].barh(list(flops), [n / 1000 for n in flops.values()], color="#d55e00")
_ = axes[1].set(xlabel="thousand FLOPs of a sample, forward", title="Nearly all are in the MLPs")

# %% [markdown]
# (FLOPs: additions and multiplications. A multiply-add is two.) This is what makes DLRM hard to run: **memory** lies in the tables, **arithmetic** in the MLPs, and the two want
# different machines.
#
# ## 8. It learns
#
# Synthetic clicks with a known truth. The dotted line is the **Bayes limit**: the log loss of who knows the true probability of
# every click. No model can expect to be better.

# %%
clicks = md.data.synthetic_clicks(200_000, seed=0)
network = md.DLRM(13, clicks.table_sizes, embedding_dim=16, bottom_mlp=(64, 32), top_mlp=(128, 64))
history = md.fit(
    network,
    clicks.train,
    clicks.valid,
    optimizer=md.Adam(0.002),
    epochs=1,
    batch_size=512,
    eval_every=40,
    progress=False,
)
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
_ = history.plot(ax=ax, bayes_log_loss=clicks.bayes_log_loss)
md.evaluate(network, clicks.test)

# %% [markdown]
# ## 9. The museum of this chapter
#
# Two ways to lose a path: each layer is right, and they are joined wrongly. And one layer that is wrong: it reads the lower triangle
# forward, and the upper one backward. Find the mistakes; then ask the checker.

# %%
import inspect

from minidlrm.checking.bugs import CORPUS

names = ("DenseShortcutForgotten", "DenseInteractionForgotten", "UpperForLower")
museum = [bug for bug in CORPUS if bug.kind.__name__ in names]
for bug in museum:
    print(f"class {bug.kind.__name__}({bug.correct.__name__}):")
    print(inspect.getsource(bug.kind.backward))

# %%
for bug in museum:
    report = md.gradcheck(*bug.make(bug.kind, np.random.default_rng(0)), verbose=False)
    print(f"{bug.kind.__name__}: {report.diagnosis[0].title}.")


# %%
def curve_of(kind):
    small = md.DLRM(13, clicks.table_sizes, 8, (16,), (32,), seed=0)
    for part in (small, small.dot):  # the model or its interaction becomes the wrong one
        if issubclass(kind, type(part)):
            part.__class__ = kind
    options = {"optimizer": md.SGD(lr=0.3), "batch_size": 256, "eval_every": 30, "progress": False}
    history = md.fit(small, clicks.train[:30_000], clicks.valid[:5_000], epochs=2, **options)
    return history.column("epoch"), history.column("valid_log_loss")


fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
styles = ("-", "--", "-.", ":")
kinds = {"right": md.DLRM} | {bug.kind.__name__: bug.kind for bug in museum}
for (name, kind), style in zip(kinds.items(), styles, strict=True):
    ax.plot(*curve_of(kind), style, label=name)
ax.set(xlabel="epoch", ylabel="validation log loss (nats)", title="Wrong gradients still train")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# The curves of all four fall. Two of the wrong ones lie beside the right one: who does not have the right curve for comparison sees
# nothing. The third is behind, but a learning rate that is too small looks the same.
#
# ## What to remember
#
# 1. Bottom MLP, tables, products of all pairs, top MLP.
# 2. The dense vector has two arrows, so its gradient has two terms.
# 3. $dz = (G + G^\top) z$: both vectors of a pair get a gradient.
# 4. Memory is in the tables, arithmetic in the MLPs.
#
# Next: 06, training on click logs.
