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
# # 04 · Multilayer perceptrons and neural collaborative filtering
#
# So far the model said *how* features meet: by products. A **multilayer perceptron** (MLP) is told nothing. It
# gets numbers, and finds a function of them. This notebook builds one, derives its gradients, and uses it to
# recommend movies.
#
# You need notebooks 00 to 03. Reading time: 45 minutes.
#
# **What you will have at the end**: a linear layer, ReLU and the log loss, each derived and checked; an MLP
# trained by hand; and NeuMF, ranked against chance.

# %%
# In Colab, or where minidlrm is not installed: pip install it first.
import importlib.util

if importlib.util.find_spec("minidlrm") is None:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "minidlrm"], check=True)

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import minidlrm as md

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. The linear layer
#
# A layer with $n$ inputs and $m$ outputs has a matrix $W$ of shape $(m, n)$ and a bias $b$ of shape $(m,)$. For a
# batch $x$ of shape $(B, n)$:
#
# $$ y = x W^\top + b, \qquad y_{bo} = \sum_i x_{bi} W_{oi} + b_o . $$
#
# Let $dy = \partial L / \partial y$. Look at where each number goes.
#
# - $W_{oi}$ meets $x_{bi}$ in **every** sample $b$, so the samples add up: $dW_{oi} = \sum_b dy_{bo}\, x_{bi}$, that is
#   $dW = dy^\top x$.
# - $b_o$ is added in every sample: $db_o = \sum_b dy_{bo}$.
# - $x_{bi}$ goes to every output $o$: $dx_{bi} = \sum_o dy_{bo} W_{oi}$, that is $dx = dy\, W$.
#
# ### Your turn
#
# Write the three formulas. Shapes are a good guide, and not a proof: on a square $W$ the wrong formula fits, too.


# %%
def linear(x, W, b):
    return x @ W.T + b, (x, W)


def linear_backward(dy, cache):
    x, W = cache
    dx = dy @ W.T  # your turn: these three fit in shape, and are wrong
    dW = x.T @ dy
    db = dy.mean(axis=0)
    return dx, dW, db


x, W, b = rng.normal(size=(6, 3)), rng.normal(size=(3, 3)), rng.normal(size=3)
report = md.gradcheck((linear, linear_backward), x, W, b)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `dy @ W`, `dy.T @ x`, `dy.sum(axis=0)`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def linear_answer(dy, cache):
    x, W = cache
    return dy @ W, dy.T @ x, dy.sum(axis=0)


report = md.gradcheck((linear, linear_answer), x, W, b, verbose=False)
print("the answer passes:", report.passed)

# %% [markdown]
# ## 2. ReLU, and why it is there
#
# Two linear layers, one after the other, are one linear layer: $(x W_1^\top) W_2^\top = x (W_2 W_1)^\top$. Something must bend. **ReLU**
# is the simplest bend: $y = \max(0, x)$. Its slope is 1 where $x > 0$ and 0 elsewhere, so
#
# $$ dx = dy \cdot [x > 0] . $$
#
# With it, a network can say "and", "or", and "one of both, but not both". The last, called XOR, is what no linear
# model can say: two features that matter **only together**.

# %%
corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)
clicked = np.array([0.0, 1, 1, 0])
fig, ax = plt.subplots(figsize=(3.4, 3.2), layout="constrained")
for value, marker, name in ((0, "o", "no click"), (1, "s", "click")):
    ax.plot(*corners[clicked == value].T, marker, ms=12, label=name)
ax.set(xlabel="feature 1", ylabel="feature 2", title="XOR: no line separates them")
ax.legend(loc="center")
ax.margins(0.3)

# %% [markdown]
# ### Your turn
#
# Write ReLU's backward pass. The blank looks at the sign of the wrong array.


# %%
def relu(x):
    return np.maximum(x, 0), x


def relu_backward(dy, x):
    return dy * (dy > 0)  # your turn


report = md.gradcheck((relu, relu_backward), np.random.default_rng(1).normal(size=(4, 3)))

# %% [markdown]
# <details><summary>Answer</summary>
#
# What was cut forward gets nothing back: `dy * (x > 0)`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def relu_answer(dy, x):
    return dy * (x > 0)


some_x = np.random.default_rng(1).normal(size=(4, 3))
report = md.gradcheck((relu, relu_answer), some_x, verbose=False)
print("the answer passes:", report.passed)

# %% [markdown]
# ## 3. The loss takes the logit
#
# A click has a probability. The network's output is a **logit** $x$, any number, and the probability is
# $\sigma(x) = 1 / (1 + e^{-x})$. The loss of a label $y \in \{0, 1\}$ is the negative log of the probability of what
# happened:
#
# $$ \ell = -\left[ y \log \sigma(x) + (1 - y) \log (1 - \sigma(x)) \right] . $$
#
# Computed like this, it breaks: $\sigma(800)$ is 1 in floating point, and $\log(1 - 1) = -\infty$. Since
# $-\log \sigma(x) = \log(1 + e^{-x})$ and $-\log(1 - \sigma(x)) = x + \log(1 + e^{-x})$, the loss is
# $(1 - y)\, x + \log(1 + e^{-x})$: a sum that can be computed safely at any $x$.
#
# Now the derivative: $\frac{d}{dx} \log(1 + e^{-x}) = \frac{-e^{-x}}{1 + e^{-x}} = \sigma(x) - 1$, and so
#
# $$ \frac{d\ell}{dx} = (1 - y) + \sigma(x) - 1 = \sigma(x) - y . $$
#
# The simplest formula of the course: **what was said less what happened**. No $\sigma'$ is left over. That is
# why models here return logits, and the loss takes them.

# %%
with np.errstate(divide="ignore"):
    print("log(1 - sigmoid(800)) =", np.log(1 - 1 / (1 + np.exp(-800.0))))
loss = md.BCEWithLogits()
print("the library's loss:    ", loss.forward(np.array([800.0]), np.array([0.0])))
print("its gradient:          ", loss.backward())

# %%
logits = np.linspace(-6, 6, 121)
fig, axes = plt.subplots(1, 2, figsize=(7.6, 3), layout="constrained")
for label, style in ((1.0, "-"), (0.0, "--")):
    axes[0].plot(
        logits, (1 - label) * logits + np.log1p(np.exp(-logits)), style, label=f"y = {label:.0f}"
    )
    axes[1].plot(logits, 1 / (1 + np.exp(-logits)) - label, style, label=f"y = {label:.0f}")
axes[0].set(xlabel="logit x", ylabel="loss (nats)", title="The loss")
axes[1].set(xlabel="logit x", ylabel="dl/dx", title="Its derivative: sigmoid(x) - y")
for ax in axes:
    ax.legend()
    ax.grid(alpha=0.3)

# %% [markdown]
# ## 4. A network by hand
#
# Two layers with a ReLU between them, the loss, and gradient descent. Nothing else is needed for XOR.

# %%
W1, b1 = rng.normal(size=(8, 2)), np.zeros(8)
W2, b2 = rng.normal(size=(1, 8)), np.zeros(1)
losses = []
for _ in range(300):
    h = corners @ W1.T + b1  # (4, 8)
    a = np.maximum(h, 0)
    logit = (a @ W2.T + b2)[:, 0]  # (4,)
    losses.append(np.mean((1 - clicked) * logit + np.log1p(np.exp(-logit))))

    dlogit = (1 / (1 + np.exp(-logit)) - clicked) / 4  # the mean over four samples
    da, dW2, db2 = linear_answer(dlogit[:, None], (a, W2))
    dh = da * (h > 0)
    _, dW1, db1 = linear_answer(dh, (corners, W1))
    for array, gradient in ((W1, dW1), (b1, db1), (W2, dW2), (b2, db2)):
        array -= 0.5 * gradient
print("click probabilities:", (1 / (1 + np.exp(-logit))).round(2))

# %% [markdown]
# The same with the library: `md.MLP` is a list of `md.Linear` with ReLU. With our weights it gives our logits, and
# its backward pass our gradients.

# %%
mlp = md.MLP([2, 8, 1], last_activation=False, dtype=np.float64)
names = ("layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias")
mlp.load_state_dict(dict(zip(names, (W1, b1, W2, b2), strict=True)))
a = np.maximum(corners @ W1.T + b1, 0)
print("forward: ", np.abs(mlp.forward(corners) - (a @ W2.T + b2)).max())
dy = rng.normal(size=(4, 1))
mlp.backward(dy)
_, dW1, _ = linear_answer((dy @ W2) * (a > 0), (corners, W1))
print("backward:", np.abs(mlp.layers[0].weight.grad - dW1).max())

# %% [markdown]
# ## 5. Neural collaborative filtering
#
# NCF (He et al. 2017) asks: why should user and movie meet in a product? Let an MLP decide.
#
# - **GMF**: $\hat y = w^\top (p_u \odot q_i) + b$. The product, entry by entry, with a weight for each factor.
# - **MLP**: the two vectors side by side, through a network.
# - **NeuMF**: both, with embeddings of their own, put together by a last linear layer.
#
# The task is another one, too. Not "how many stars?", but "which movie next?": what a user has rated is a 1, and
# random other movies are 0. For the test, each user's **last** movie is hidden among 99 that she has not seen. HR@10 is
# the share of users for whom it comes among the first ten of the hundred. Chance gives 0.10.

# %%
folder = Path(os.environ.get("MINIDLRM_DATA", "")) / "ml-latest-small"


def planted_file(path):
    """Write ratings of 300 users, each with two of six tastes."""
    lines, movie = ["userId,movieId,rating,timestamp"], np.arange(240)
    for user in range(300):
        liked = movie[np.isin(movie % 6, rng.choice(6, 2, replace=False))]
        seen = rng.choice(liked, 25, replace=False)
        lines += [f"{user},{m},5,{1000 * user + k}" for k, m in enumerate(seen)]
    path.write_text("\n".join(lines))


if not folder.is_dir():
    import tempfile

    temporary = tempfile.TemporaryDirectory()
    folder = Path(temporary.name) / "planted tastes"
    folder.mkdir()
    planted_file(folder / "ratings.csv")
items = md.data.movielens_ranking(folder)
print(items.description)

# %%
from minidlrm.recipes import train_ncf  # negatives drawn anew each epoch, Adam, as in the paper

curves = {}
for name, model in (
    ("GMF", md.GMF(items.table_sizes, 8)),
    ("NeuMF", md.NeuMF(items.table_sizes, 8, mlp=(32, 16))),
):
    records = list(
        train_ncf(model, items, epochs=5 if len(items.train) > 50_000 else 15, progress=False)
    )
    curves[name] = [record["test_hit_rate"] for record in records]
    print(f"{name:6} HR@10 {curves[name][-1]:.3f}, NDCG@10 {records[-1]['test_ndcg']:.3f}")

# %%
fig, ax = plt.subplots(figsize=(6.0, 3.4), layout="constrained")
for (name, scores), style in zip(curves.items(), ("o--", "s-"), strict=True):
    ax.plot(range(1, len(scores) + 1), scores, style, label=name)
ax.axhline(0.1, color="0.4", ls=":", label="chance")
ax.set(xlabel="epoch", ylabel="HR@10 of the test movies", title="Which movie next?")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# ### Your turn
#
# HR@10 from scores. Row $u$ holds the scores of 100 movies for user $u$; column 0 is the hidden one. It is a hit when fewer than 10 others score higher. The
# blank asks for the first place.


# %%
def hit_rate(scores):
    return np.mean(scores[:, 0] > scores[:, 1:].max(axis=1))  # your turn


def check_hits(function):
    scores = np.random.default_rng(1).normal(size=(1000, 100))
    scores[:, 0] += 1.5
    higher = np.sort(scores[:, 1:])[:, -10] > scores[:, 0]  # the tenth best other is higher
    wanted, said = 1 - higher.mean(), function(scores)
    print(
        "right" if abs(said - wanted) < 1e-12 else f"not yet: {said:.3f}, it should be {wanted:.3f}"
    )


check_hits(hit_rate)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Count the others that are higher: `np.mean((scores[:, 1:] > scores[:, :1]).sum(axis=1) < 10)`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def hit_rate_answer(scores):
    return np.mean((scores[:, 1:] > scores[:, :1]).sum(axis=1) < 10)


check_hits(hit_rate_answer)

# %% [markdown]
# ### A known answer
#
# When the MLP part of NeuMF is zero, NeuMF *is* GMF. See it:

# %%
gmf, neumf = md.GMF([9, 7], 4), md.NeuMF([9, 7], 4, mlp=(8, 4))
state = {name: np.zeros_like(value) for name, value in neumf.state_dict().items()}
state["gmf_tables.weight"] = gmf.tables.weight.value
state["last.weight"] = np.concatenate([gmf.last.weight.value, np.zeros((1, 4), np.float32)], axis=1)
state["last.bias"] = gmf.last.bias.value
neumf.load_state_dict(state)
pairs = np.stack([rng.integers(0, 9, 5), rng.integers(0, 7, 5)], axis=1)
rows = md.data.Batch(np.zeros((5, 0), np.float32), pairs)
print("largest difference:", np.abs(gmf.forward(rows) - neumf.forward(rows)).max())

# %% [markdown]
# ## 6. The museum of this chapter
#
# Three mistakes around the network. Find them; then run the next cell.

# %%
import inspect

from minidlrm.checking.bugs import CORPUS
from minidlrm.checking.bugs.losses import SigmoidTwice

names = ("FusedMaskForgotten", "SigmoidTwice", "BiasBroadcast")
museum = [bug for bug in CORPUS if bug.kind.__name__ in names]
for bug in museum:
    print(f"class {bug.kind.__name__}({bug.correct.__name__}):")
    print(inspect.getsource(bug.kind.backward))

# %%
for bug in museum:
    report = md.gradcheck(*bug.make(bug.kind, np.random.default_rng(0)), verbose=False)
    print(f"{bug.kind.__name__}: {report.diagnosis[0].title}.")

# %%
clicks = md.data.synthetic_clicks(20_000, seed=0)
losses = {"right": md.BCEWithLogits, "SigmoidTwice": SigmoidTwice}
fig, ax = plt.subplots(figsize=(6.0, 3.4), layout="constrained")
for (name, kind), style in zip(losses.items(), ("-", "--"), strict=True):
    model = md.MLPModel(13, clicks.table_sizes, 8, mlp=(32,), seed=0)
    options = {"optimizer": md.SGD(lr=0.5), "epochs": 3, "batch_size": 256, "eval_every": 20}
    history = md.fit(model, clicks.train, clicks.valid, loss=kind(), progress=False, **options)
    ax.plot(history.column("epoch"), history.column("valid_log_loss"), style, label=name)
ax.set(xlabel="epoch", ylabel="validation log loss (nats)", title="It trains, more slowly")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# `SigmoidTwice` multiplies each gradient by $\sigma (1 - \sigma) \leq \frac14$: the sign is right, the size is not. It learns,
# slowly; where the network is sure and wrong, it hardly learns at all.
#
# ## What to remember
#
# 1. Linear: $dW = dy^\top x$, $db = \sum_b dy$, $dx = dy\, W$.
# 2. ReLU lets the gradient through where $x > 0$.
# 3. Log loss on logits: $d\ell / dx = \sigma(x) - y$, stable at any size.
# 4. NCF puts an MLP in the place of the product, or beside it.
#
# Next: 05, the DLRM: embeddings, products and MLPs, assembled.
