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
# [![Open in Colab](colab.svg)](https://colab.research.google.com/github/)
#
# So far the model said *how* features meet: by products. A **multilayer perceptron** (MLP) is not told. It gets numbers,
# and learns a function of them. This notebook builds one, derives its gradients, and uses it to
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
from minidlrm.languages import say, tell

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. The linear layer
#
# A layer with $n$ inputs and $m$ outputs has a matrix $W$ of shape $(m, n)$ and a bias $b$ of shape $(m,)$. For a
# batch $x$ of shape $(B, n)$:
#
# $$ y = x W^\top + b, \qquad y_{ko} = \sum_i x_{ki} W_{oi} + b_o , $$
#
# for sample $k$, input $i$ and output $o$. Let $dy = \partial L / \partial y$, where $L$ is the loss. Look at where each number goes.
#
# - $W_{oi}$ meets $x_{ki}$ in **every** sample $k$, so the samples add up: $dW_{oi} = \sum_k dy_{ko}\, x_{ki}$, that is
#   $dW = dy^\top x$.
# - $b_o$ is added in every sample: $db_o = \sum_k dy_{ko}$.
# - $x_{ki}$ goes to every output $o$: $dx_{ki} = \sum_o dy_{ko} W_{oi}$, that is $dx = dy\, W$.
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
print("the answer: passed =", report.passed)

# %% [markdown]
# ## 2. ReLU, and why it is needed
#
# Two linear layers, one after the other, are one linear layer: $(x W_1^\top) W_2^\top = x (W_2 W_1)^\top$. Something must bend. **ReLU**
# is the simplest bend: $y = \max(0, x)$. Its slope is 1 where $x > 0$ and 0 elsewhere, so
#
# $$ dx = dy \cdot [x > 0] , $$
#
# entry by entry, where $[x > 0]$ is 1 if $x > 0$ and 0 if not.
#
# With it, a network can express "and", "or", and "one of the two, but not both". The last is called XOR. No linear model
# can express it: the two features matter **only together**.

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
print("the answer: passed =", report.passed)

# %% [markdown]
# ## 3. The loss takes the logit
#
# A click has a probability. The network's output is a **logit**: it may be any number. It is the input of the loss, so we
# call it $x$ here. The probability is $\sigma(x) = 1 / (1 + e^{-x})$. The label $y$ is 1 for a click, and 0 for none. The
# loss $\ell$ of one sample is the negative log of the probability of what happened (the loss $L$ of a batch is the mean of
# its $\ell$):
#
# $$ \ell = -\left[ y \log \sigma(x) + (1 - y) \log (1 - \sigma(x)) \right] . $$
#
# Computed like this, it breaks: $\sigma(800)$ is 1 in floating point, and $\log(1 - 1) = -\infty$. Since
# $-\log \sigma(x) = \log(1 + e^{-x})$ and $-\log(1 - \sigma(x)) = x + \log(1 + e^{-x})$, the loss is
#
# $$ \ell = (1 - y)\, x + \log(1 + e^{-x}) . $$
#
# Nothing is subtracted from 1 any more. One trap is left: at $x = -800$, $e^{-x}$ is too large for floating point. For $x < 0$ take $e^{-x}$ out
# of the bracket: $\log(1 + e^{-x}) = -x + \log(1 + e^{x})$. Both cases in one formula, which is safe at any $x$:
#
# $$ \log(1 + e^{-x}) = \max(-x, 0) + \log(1 + e^{-|x|}) . $$
#
# Now the derivative: $\frac{d}{dx} \log(1 + e^{-x}) = \frac{-e^{-x}}{1 + e^{-x}} = \sigma(x) - 1$, and so
#
# $$ \frac{d\ell}{dx} = (1 - y) + \sigma(x) - 1 = \sigma(x) - y . $$
#
# This is the simplest formula of the course: **what was predicted minus what happened**. No $\sigma'$ is left. That is why
# our models return logits, and the loss takes them.

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
# ### Your turn
#
# Write the loss of one sample so that it is right at any logit. The blank is right near 0, and infinite at $-800$: which
# `exp` is too large?


# %%
def safe_loss(x, y):
    return (1 - y) * x + np.log1p(np.exp(-x))  # your turn


def check_safe_loss(function):
    x, y = np.array([-800.0, -2.0, 3.0, 800.0]), np.array([1.0, 0.0, 1.0, 0.0])
    with np.errstate(over="ignore"):
        said = function(x, y)
    wanted = [md.BCEWithLogits().forward(x[k : k + 1], y[k : k + 1]) for k in range(4)]
    wrong = md.checking.difference(said, wanted, "loss")
    if wrong:
        tell("not yet: at the logits {x} with the labels {y}, {wrong}", x=x, y=y, wrong=wrong)
    else:
        tell("right: as the library")


check_safe_loss(safe_loss)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `(1 - y) * x + np.maximum(-x, 0) + np.log1p(np.exp(-np.abs(x)))`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def safe_loss_answer(x, y):
    return (1 - y) * x + np.maximum(-x, 0) + np.log1p(np.exp(-np.abs(x)))


print("the answer:")
check_safe_loss(safe_loss_answer)

# %% [markdown]
# ## 4. A network by hand
#
# Two layers with a ReLU between them: $h = x W_1^\top + b_1$, $a = \max(0, h)$, logit $= a W_2^\top + b_2$. Backward goes the
# same way from the end: the last layer gives $da$, ReLU turns it into $dh$, the first layer takes $dh$.
#
# ### Your turn
#
# Put the pieces together. `linear_answer`, of section 1, returns the gradients of a linear layer. The blank leaves
# out the ReLU. In its report $W_2$ and $b_2$ are right, and everything before them is wrong.


# %%
def two_layers_backward(dy, x, h, a, W1, W2):
    da, dW2, db2 = linear_answer(dy, (a, W2))
    dh = da  # your turn: ReLU lies between a and h
    _, dW1, db1 = linear_answer(dh, (x, W1))
    return dW1, db1, dW2, db2


def check_two_layers(function):
    def forward(W1, b1, W2, b2):
        h = x @ W1.T + b1  # (6, 4)
        a = np.maximum(h, 0)
        return a @ W2.T + b2, (x, h, a, W1, W2)

    draw = np.random.default_rng(1).normal
    arrays = [draw(size=shape) for shape in ((4, 3), (4,), (2, 4), (2,))]
    md.gradcheck((forward, lambda dy, cache: function(dy, *cache)), *arrays)


check_two_layers(two_layers_backward)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `dh = da * (h > 0)`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def two_layers_backward_answer(dy, x, h, a, W1, W2):
    da, dW2, db2 = linear_answer(dy, (a, W2))
    dh = da * (h > 0)
    _, dW1, db1 = linear_answer(dh, (x, W1))
    return dW1, db1, dW2, db2


print("the answer:")
check_two_layers(two_layers_backward_answer)

# %% [markdown]
# With the loss and gradient descent, nothing else is needed for XOR.

# %%
W1, b1 = rng.normal(size=(8, 2)), np.zeros(8)
W2, b2 = rng.normal(size=(1, 8)), np.zeros(1)
losses = []
for _ in range(300):
    h = corners @ W1.T + b1  # (4, 8)
    a = np.maximum(h, 0)
    logit = (a @ W2.T + b2)[:, 0]  # (4,)
    losses.append(np.mean(safe_loss_answer(logit, clicked)))

    dlogit = (1 / (1 + np.exp(-logit)) - clicked) / 4  # the mean over four samples
    gradients = two_layers_backward_answer(dlogit[:, None], corners, h, a, W1, W2)
    for array, gradient in zip((W1, b1, W2, b2), gradients, strict=True):
        array -= 0.5 * gradient
print(f"loss: {losses[0]:.2f} at first, {losses[-1]:.3f} nats at last")
print("click probabilities:", (1 / (1 + np.exp(-logit))).round(2))

# %% [markdown]
# The same with the library: `md.MLP` is a list of `md.Linear` with ReLU. With our weights it gives our logits, and
# its backward pass our gradients.

# %%
mlp = md.MLP([2, 8, 1], last_activation=False, dtype=np.float64, rng=np.random.default_rng(0))
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
# Neural collaborative filtering (NCF, He et al. 2017) asks: why should user and movie meet in a product? Let an MLP decide.
#
# Let $p_u$ and $q_i$ be the embeddings of user $u$ and movie $i$, as in notebook 02.
#
# - **GMF** (generalized matrix factorization): $\mathrm{logit} = w^\top (p_u \odot q_i) + b$. The product, entry by entry
#   ($\odot$), with a vector $w$ of weights, one for each factor.
# - **MLP**: the two vectors side by side, through a network.
# - **NeuMF**: both, with embeddings of their own, put together by a last linear layer.
#
# The task is different, too: not "how many stars?", but "which movie next?". What a user has rated is a 1, and random other
# movies are 0. For the test, each user's **last** movie is hidden among 99 that she has not seen. HR@10 is the
# share of users for whom it is among the first ten of the hundred. Chance gives 0.10.
# NDCG@10 counts a hit at place $k$ as $1 / \log_2(k + 1)$: 1 for the first place, 0.29 for the tenth.

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
        train_ncf(model, items, epochs=5 if len(items.train) > 50_000 else 50, progress=False)
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
# On MovieLens both are far above chance after one epoch, and NeuMF is ahead. On the made-up tastes GMF stays at chance for a
# long while: in $w^\top (p_u \odot q_i)$ the gradient of each factor is a product of the two others, and all are small at
# first. NeuMF can also learn through its MLP. Then GMF begins to catch up. So the order of the two is not a law: Rendle et
# al. (2020) found that a plain product, tuned with the same care, beats NeuMF.
#
# ### Your turn
#
# Compute HR@10 from scores. Row $u$ holds the scores of 100 movies for user $u$; column 0 is the hidden one. It is a hit
# when fewer than 10 others score higher. The blank asks for the first place.


# %%
def hit_rate(scores):
    return np.mean(scores[:, 0] > scores[:, 1:].max(axis=1))  # your turn


def check_hits(function):
    scores = np.random.default_rng(1).normal(size=(1000, 100))
    scores[:, 0] += 1.5
    higher = np.sort(scores[:, 1:])[:, -10] > scores[:, 0]  # the tenth best other is higher
    wanted, said = 1 - higher.mean(), function(scores)
    text = say(
        "you say {said:.3f}, it should be {wanted:.3f}: the hidden movie may have up to 9 above it",
        said=said,
        wanted=wanted,
    )
    tell("right" if abs(said - wanted) < 1e-12 else "not yet: {text}", text=text)


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


print("the answer:")
check_hits(hit_rate_answer)

# %% [markdown]
# ### A known answer
#
# When the MLP part of NeuMF is zero, NeuMF *is* GMF:

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
# ## 6. How a right model loses to popularity
#
# A hundred movies are a sample. A recommender ranks *all* movies, and should beat the simplest one: the list of what most
# people have rated. Whether it does is decided by a detail. The model was trained to put what a user **has rated** at the
# top. Leave these movies in the list, and they take the first places, where the hidden movie cannot be.
#
# Made-up users show it. Each likes two of six tastes; some movies are popular with all. One movie of each user is hidden.

# %%
rng, num_users, num_items = np.random.default_rng(4), 300, 240
popular = 1 / (rng.permutation(num_items) + 5.0)
films = np.empty((num_users, 31), int)
for user in range(num_users):
    liked = np.isin(np.arange(num_items) % 6, rng.choice(6, 2, replace=False))
    weight = popular * np.where(liked, 20, 1)
    films[user] = rng.permutation(rng.choice(num_items, 31, False, weight / weight.sum()))
hidden = np.stack([np.arange(num_users), films[:, -1]], axis=1)
rated = np.stack([np.repeat(np.arange(num_users), 30), films[:, :-1].ravel()], axis=1)

# %%
tastes = md.FactorizationMachine(0, [num_users, num_items], 16, seed=0)
adam = md.Adam(0.01)
for epoch in range(20):
    others = np.stack([np.repeat(rated[:, 0], 4), rng.integers(0, num_items, 4 * len(rated))], 1)
    keys = [pairs[:, 0] * num_items + pairs[:, 1] for pairs in (others, rated)]
    others = others[~np.isin(*keys)]  # a rated movie is no negative
    label = np.r_[np.ones(len(rated)), np.zeros(len(others))]
    rows = md.Batch(np.zeros((len(label), 0)), np.concatenate([rated, others]), label)
    md.fit(tastes, rows, optimizer=adam, batch_size=512, seed=epoch, progress=False)

# %%
right = md.rank_metrics(tastes, hidden, rated, k=10, split="a random movie of each user")
right

# %% [markdown]
# The model is ahead of popularity, and the interval in the last column does not hold 0. Now break the protocol: rank the rated
# movies, too. The same model, the same users; the winner changes, and `rank_metrics` says why.

# %%
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # they are in the result, too
    wrong = md.rank_metrics(tastes, hidden, rated, k=10, seen="in")
for name, result in (("left out", right), ("ranked", wrong)):
    hits = {ranker: result.values[ranker]["hit_rate"] for ranker in ("model", "popularity")}
    print(f"rated movies {name:8} HR@10 " + ", ".join(f"{r} {h:.3f}" for r, h in hits.items()))
print(*wrong.mistakes, sep="\n")

# %%
fig, ax = plt.subplots(figsize=(5.4, 3.0), layout="constrained")
for k, ranker in enumerate(("model", "popularity")):
    heights = [result.values[ranker]["hit_rate"] for result in (right, wrong)]
    ax.bar(np.arange(2) + 0.35 * k, heights, 0.35, label=ranker)
ax.set_xticks(np.arange(2) + 0.17, ["rated left out", "rated ranked"])
ax.set(ylabel="HR@10", title="The protocol decides who wins")
ax.legend()

# %% [markdown]
# ### Your turn
#
# Make a user's list: the ten movies with the highest scores, of those that she has not rated. The blank forgets the second
# half. `scores` (I,) holds a score for each movie, `seen` the ids of the rated ones. Of equal scores the lower id comes
# first.


# %%
def check_best(function):
    draw = np.random.default_rng(2)
    scores, seen = draw.normal(size=60).round(1), draw.permutation(60)[:30]
    before = scores.copy()
    said = np.asarray(function(scores, seen))
    free = np.setdiff1d(np.arange(60), seen)
    wanted = free[np.argsort(-before[free], kind="stable")[:10]]
    if np.isin(said, seen).any():
        tell(
            "not yet: movie {said} is in the list, and she has rated it",
            said=said[np.isin(said, seen)][0],
        )
    elif said.shape != (10,) or (said != wanted).any():
        tell(
            "not yet: the list is {said}, and should be {wanted}",
            said=said.tolist(),
            wanted=wanted.tolist(),
        )
    elif (scores != before).any():
        tell("not yet: the list is right, but your function has changed the scores")
    else:
        tell("right")


# %%
def best_ten(scores, seen):
    return np.argsort(-scores, kind="stable")[:10]  # your turn


check_best(best_ten)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Give the rated ones a score that cannot win, in a copy: `free = scores.copy()`, `free[seen] = -np.inf`, then sort.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def best_ten_answer(scores, seen):
    free = scores.copy()
    free[seen] = -np.inf
    return np.argsort(-free, kind="stable")[:10]


print("the answer:")
check_best(best_ten_answer)

# %% [markdown]
# ## 7. The museum of this chapter
#
# Three mistakes around the network. Find them, then run the next cell.

# %%
from minidlrm.checking import museum

bugs = museum.exhibits("FusedMaskForgotten", "SigmoidTwice", "BiasBroadcast")
museum.show(bugs)

# %%
museum.explain(bugs)

# %% [markdown]
# Which of them train? Two are layers, one is a loss. We put each into an MLP on synthetic clicks.

# %%
clicks = md.data.synthetic_clicks(40_000, seed=0, num_tables=8, order=1)


def curve_of(part):
    model = md.MLPModel(13, clicks.table_sizes, 8, mlp=(32, 16), seed=0)
    for _, module in model.named_modules():
        if type(module) is md.Linear and issubclass(part, md.Linear):
            module.__class__ = part
    loss = part() if issubclass(part, md.BCEWithLogits) else md.BCEWithLogits()
    options = {"optimizer": md.SGD(lr=0.05), "epochs": 3, "batch_size": 256, "eval_every": 48}
    history = md.fit(model, clicks.train, clicks.valid, loss=loss, progress=False, **options)
    return history.column("epoch"), history.column("valid_log_loss")


# %%
parts = {"right": md.BCEWithLogits} | {bug.cls.__name__: bug.cls for bug in bugs}
fig, ax = plt.subplots(figsize=(6.0, 3.6), layout="constrained")
for (name, part), style in zip(parts.items(), ("-", "--", "-.", ":"), strict=True):
    ax.plot(*curve_of(part), style, label=name)
ax.axhline(md.metrics.entropy(clicks.valid.label), color="0.5", lw=1, label="mean rate for all")
ax.set(xlabel="epoch", ylabel="validation log loss (nats)", title="Which of them train?")
ax.legend(fontsize="small")
ax.grid(alpha=0.3)

# %% [markdown]
# All of them do, and two of the wrong ones are even *ahead* of the right one: their gradients are too large, which at this
# learning rate happens to help. A curve does not show whether a gradient is right.
#
# `SigmoidTwice` multiplies each gradient by $\sigma (1 - \sigma) \leq \frac14$: the sign is right, the size is not. It learns,
# slowly; where the network is sure and wrong, it hardly learns at all.
#
# ## What to remember
#
# 1. Linear: $dW = dy^\top x$, $db = \sum_k dy_k$, over the samples, $dx = dy\, W$.
# 2. ReLU lets the gradient through where $x > 0$.
# 3. Log loss on logits: $d\ell / dx = \sigma(x) - y$, stable at any size.
# 4. NCF uses an MLP in the place of the product, or beside it.
# 5. Leave what a user has seen out of the list, in use and in the test; and measure popularity beside the model.
#
# Next: 05, the DLRM: embeddings, products and MLPs, assembled.
