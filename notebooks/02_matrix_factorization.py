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
# # 02 · Matrix factorization
#
# [![Open in Colab](colab.svg)](https://colab.research.google.com/github/)
#
# People rate movies. Nobody has seen them all, so most of the matrix (users × movies) is empty. We want to guess the empty
# places. The model of this notebook became famous in the Netflix prize, and every model of this course descends from it: **a rating is the product of two embeddings**.
#
# You need notebook 01. Reading time: 75 minutes.
#
# **What you will have at the end**: matrix factorization trained by hand and by the library, on real
# ratings if you have them; an idea of what the factors mean; and a gradient that you derived.

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
# ## 1. The ratings
#
# This notebook uses MovieLens if it finds it (`minidlrm data fetch movielens-latest-small`, or the folder named by
# `MINIDLRM_DATA`). Otherwise it makes ratings from a planted truth: users and movies with three hidden factors, and noise.

# %%
folder = Path(os.environ.get("MINIDLRM_DATA", "")) / "ml-latest-small"


def planted_ratings(users=600, movies=800, count=60_000):
    p, q = planted = rng.normal(size=(users, 3)), rng.normal(size=(movies, 3))
    popular = (movies * rng.random(count) ** 2).astype(int)  # a few movies get many ratings
    ids = np.stack([rng.integers(0, users, count), popular], axis=1)
    mean = 3.5 + 0.3 * p[ids[:, 0], 0] + 0.3 * q[ids[:, 1], 0]
    rating = mean + 0.3 * (p[ids[:, 0]] * q[ids[:, 1]]).sum(axis=1) + rng.normal(0, 0.6, count)
    label = np.clip(np.round(2 * rating) / 2, 0.5, 5).astype(np.float32)
    rows = md.data.Batch(np.zeros((count, 0), np.float32), ids, label)
    cut = int(0.85 * count), int(0.9 * count)
    parts = rows[: cut[0]], rows[cut[0] : cut[1]], rows[cut[1] :]
    data = md.data.Dataset(*parts, [users, movies], ["user", "movie"], "planted ratings")
    return data, planted


real = folder.is_dir()
data, planted = (md.data.movielens_ratings(folder), None) if real else planted_ratings()
train, test = data.train, data.test
num_users, num_movies = data.table_sizes
print(data.description)
print(f"{len(train):,} ratings to learn from, {len(test):,} to test")

# %%
fig, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
values, counts = np.unique(train.label, return_counts=True)
axes[0].bar(values, counts, width=0.4, color="#0072b2")
axes[0].set(xlabel="rating (stars)", ylabel="ratings", title="What people give")
per_movie = np.sort(np.bincount(train.sparse[:, 1], minlength=num_movies))[::-1]
axes[1].loglog(1 + np.arange(num_movies), np.maximum(per_movie, 0.5), color="#d55e00")
_ = axes[1].set(
    xlabel="rank of the movie", ylabel="ratings", title="A few movies have many of them"
)

# %% [markdown]
# ### Your turn
#
# How uneven is it? Let `ids` name the movie of each rating, and let there be `N` movies. Which share of all ratings
# goes to the most rated tenth of the movies? The blank takes the first tenth of the ids, as if they were sorted.


# %%
def head_share(ids, N):
    return np.mean(ids < N // 10)  # your turn: count, sort, add up


def check_head_share(function):
    ids = np.repeat(np.arange(20), [1] * 9 + [41, 41] + [1] * 9)
    said = function(ids, 20)
    if abs(said - 0.82) < 1e-12:
        share = function(train.sparse[:, 1], num_movies)
        tell(
            "right; a tenth of our {num_movies:,} movies has {share:.0%} of the ratings",
            num_movies=num_movies,
            share=share,
        )
    else:
        tell(
            "not yet: {said:.2f}, and it should be 0.82: of 20 movies two have 41 ratings,",
            said=said,
        )
        tell("   the others one each, so a tenth of the movies has 82 of the 100 ratings")


check_head_share(head_share)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Count with `np.bincount`, sort with the largest first, and add up the first $N / 10$ counts. A model can learn much about
# these movies, and little about the others.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def head_share_answer(ids, N):
    counts = np.bincount(ids, minlength=N)
    largest = np.sort(counts)[::-1]
    return largest[: N // 10].sum() / len(ids)


print("the answer:")
check_head_share(head_share_answer)

# %% [markdown]
# ## 2. Two views of a film
#
# A recommender can look at a film in two ways. **Content filtering** asks what the film *is*: its genres, say. If you liked
# comedies, here is another one. **Collaborative filtering** asks what *people* did with it: those who rated it gave so many
# stars. The paper of DLRM begins with these two, because DLRM is their union.
#
# Content: row $i$ of `G` holds the genres of film $i$, as shares that add up to 1. For planted ratings, the sign of the second
# hidden factor serves as a genre, beside one that means nothing.

# %%
if real:
    from minidlrm.data.movies import read_movies

    _, bags, genre_names = read_movies(folder / "ratings.csv", data.vocabulary.items)
    G = np.zeros((num_movies, len(genre_names)))
    G[np.repeat(np.arange(num_movies), np.diff(bags.offsets)), bags.values] = 1
else:
    genre_names = [f"genre {k}" for k in range(4)]
    G = np.eye(4)[(planted[1][:, 1] > 0) + 2 * (np.arange(num_movies) % 2)]
G /= np.maximum(G.sum(axis=1, keepdims=True), 1)
print(f"{len(genre_names)} genres:", ", ".join(genre_names)[:100])

# %% [markdown]
# ### Your turn
#
# What does each user $u$ think of each genre $g$? Take `rest`, what is left of the user's ratings after the mean, and give each
# rating to the genres of its film, by their shares. Divide by 5 plus the sum of the shares, so that few ratings say little.
# With $k$ for the ratings of user $u$, and $i_k$ for the film of each:
#
# $$ \mathrm{taste}_{ug} = \frac{\sum_k \mathrm{rest}_k\, G_{i_k g}}{5 + \sum_k G_{i_k g}} . $$
#
# The blank gives a rating to all genres alike: it learns which users are strict, and no taste. (`np.add.at` adds up rows that
# occur more than once, as in notebook 01.)


# %%
def tastes(u, i, rest, G, num_users):
    total = np.zeros((num_users, G.shape[1]))
    weight = np.zeros((num_users, G.shape[1]))
    np.add.at(weight, u, G[i])
    np.add.at(total, u, np.broadcast_to(rest[:, None], (len(u), G.shape[1])))  # your turn
    return total / (5 + weight)


def check_tastes(function):
    shares = np.array([[1.0, 0], [0.5, 0.5], [0, 1]])
    rest = np.array([1.0, 2, -1, 3])
    said = function(np.array([0, 0, 0, 1]), np.array([0, 1, 2, 2]), rest, shares, 2)
    wanted = np.array([[(1 + 1) / 6.5, (1 - 1) / 6.5], [0, 3 / 6]])
    wrong = md.checking.difference(said, wanted, "taste")
    tell(
        "not yet: {wrong}" if wrong else "right: each genre gets its share of a rating", wrong=wrong
    )


check_tastes(tastes)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `np.add.at(total, u, rest[:, None] * G[i])`: the share of each genre weighs the rating.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def tastes_answer(u, i, rest, G, num_users):
    total = np.zeros((num_users, G.shape[1]))
    weight = np.zeros((num_users, G.shape[1]))
    np.add.at(weight, u, G[i])
    np.add.at(total, u, rest[:, None] * G[i])
    return total / (5 + weight)


print("the answer:")
check_tastes(tastes_answer)

# %% [markdown]
# Now compare the views. Some films are **new**: we hide a tenth of them, with all their ratings. Collaborative filtering, in its
# simplest form, takes the mean of what others gave the film; content takes the tastes; both takes the tastes for what the mean
# of the film leaves. (All of them know how strict each user is.)

# %%
is_new = np.random.default_rng(5).random(num_movies) < 0.1
u, i = train.sparse[~is_new[train.sparse[:, 1]]].T
stars = train.label[~is_new[train.sparse[:, 1]]]
count = np.bincount(i, minlength=num_movies)
strict = np.bincount(u, stars - stars.mean(), num_users) / (5 + np.bincount(u, minlength=num_users))
rest = stars - stars.mean() - strict[u]
liked = np.bincount(i, rest, num_movies) / (5 + count)  # 0 for a new film
test_u, test_i = test.sparse.T
base = stars.mean() + strict[test_u]


def by_taste(what_is_left):
    taste = tastes_answer(u, i, what_is_left, G, num_users)
    return (taste[test_u] * G[test_i]).sum(axis=1)


views = {
    "content": base + by_taste(rest),
    "collaborative": base + liked[test_i],
    "both": base + liked[test_i] + by_taste(rest - liked[i]),
}

# %%
groups = {"new": (0, 0), "1 to 49": (1, 49), "50 or more": (50, 10**6)}
fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
for (name, guess), style in zip(views.items(), ("o-", "s-", "^-"), strict=True):
    errors = []
    for low, high in groups.values():
        rows = (count[test_i] >= low) & (count[test_i] <= high)
        errors.append(np.sqrt(np.mean((test.label - guess)[rows] ** 2)))
    ax.plot(list(groups), errors, style, label=name)
    print(f"{name:14}", *(f"{group}: {e:.3f}  " for group, e in zip(groups, errors, strict=True)))
ax.set(
    xlabel="ratings of the film that we know",
    ylabel="RMSE (stars)",
    title="Each view has its films",
)
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# For a new film, people have nothing to say, and content does. For a film that many have rated, what they said tells more than
# its genres. Both together are best where there is something to learn from both. The library's `minidlrm paper 1` measures the
# same with vectors, trained alike, over several seeds.
#
# ## 3. From a line to a network
#
# The second view of the paper is that of **prediction**: the probability of an event, from features. Let a rating of 4 stars or
# more be the event "likes it". The simplest model is a line: a number for every user, one for every film, and their sum $s$. But
# a sum can be any number, and a probability cannot. Logistic regression puts the sum through the sigmoid $\sigma$:
#
# $$ p = \sigma(s) = \frac{1}{1 + e^{-s}} . $$
#
# ### Your turn
#
# Turn scores into probabilities. For large scores, $e^{-s}$ or $e^{s}$ is more than a float can hold: let `np.exp` see only
# negative numbers. The blank is the line itself.


# %%
def probability(s):
    return s  # your turn


def check_probability(function):
    scores = np.array([-1000.0, -2, 0, 2, 1000])
    with np.errstate(over="raise"):
        try:
            p = np.asarray(function(scores))
        except FloatingPointError:
            tell("not yet: np.exp got a large number; exp(s) / (1 + exp(s)) is the same sigmoid")
            return
    wrong = md.checking.difference(
        p, np.array([0, 0.11920292202211755, 0.5, 0.8807970779778823, 1]), "p"
    )
    tell("not yet: {wrong}" if wrong else "right: from 0 to 1, and 0.5 in the middle", wrong=wrong)


check_probability(probability)

# %% [markdown]
# <details><summary>Answer</summary>
#
# $\sigma(s) = e^{s} / (1 + e^{s})$, too. Let `small` be `np.exp(-np.abs(s))`, which is never above 1; then take `1 / (1 + small)`
# where $s$ is not negative, and `small / (1 + small)` elsewhere.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def probability_answer(s):
    small = np.exp(-np.abs(s))
    return np.where(s >= 0, 1, small) / (1 + small)


print("the answer:")
check_probability(probability_answer)

# %% [markdown]
# A line adds users and films up, and cannot say that *this* user likes *that* film. A deep network can, if it can read
# the ids. But an id is a name: film 17 is not "more" than film 16. Give the network ids as numbers, and it must bend its
# planes around every single film. Give each id a vector that is learned, an **embedding**, and similar films can have similar
# vectors. Four models, the same ratings:

# %%
likes = {
    name: md.data.Batch(part.dense, part.sparse, (part.label >= 4).astype(np.float32))
    for name, part in (("train", train), ("test", test))
}
as_numbers = {
    name: md.data.Batch(
        (part.sparse / data.table_sizes).astype(np.float32), part.sparse[:, :0], part.label
    )
    for name, part in likes.items()
}
contenders = {
    "line": (md.LogisticRegression(0, data.table_sizes), likes, md.MSE()),
    "logistic": (md.LogisticRegression(0, data.table_sizes), likes, None),
    "deep, ids as numbers": (md.MLPModel(2, [], 8, (32, 16)), as_numbers, None),
    "deep, embeddings": (md.MLPModel(0, data.table_sizes, 8, (32, 16)), likes, None),
}

# %%
for name, (network, rows, loss) in contenders.items():
    options = {"optimizer": md.Adam(0.01), "batch_size": 512, "progress": False}
    md.fit(network, rows["train"], loss=loss, epochs=3, **options)
    p = md.predict(network, rows["test"]).astype(float)
    beyond = np.mean((p < 0) | (p > 1))
    score = md.metrics.auc(rows["test"].label, p)
    print(f"{name:21} AUC {score:.3f}, beyond 0 and 1: {beyond:.1%}")

# %% [markdown]
# AUC is the share of pairs, one liked and one not, that are put in the right order (notebook 06). With ids as numbers a network
# is little better than a coin. With embeddings it is as good as logistic regression or better, with thousands of numbers that it
# has learned of users and films. What an embedding *is* is the subject of the rest of this notebook.

# %% [markdown]
# ## 4. How far do simple guesses go?
#
# Let $r_{ui}$ be the rating that user $u$ gives to movie $i$, and $\hat r_{ui}$ our guess. We measure the **root mean squared error**,
# $\mathrm{RMSE} = \sqrt{\frac1n \sum (r_{ui} - \hat r_{ui})^2}$, in stars, over the $n$ ratings of the test.
#
# 1. The mean of all ratings, $\mu$.
# 2. The mean and two **biases**: $\hat r_{ui} = \mu + b_u + b_i$. Some users are strict, some movies are good.


# %%
def rmse(truth, guess):
    return float(np.sqrt(np.mean((truth - np.clip(guess, 0.5, 5)) ** 2)))


mean = float(train.label.mean())
users, movies = train.sparse.T
print(f"the mean alone: RMSE {rmse(test.label, mean):.4f}")

movie_bias = np.bincount(movies, train.label - mean, num_movies)
movie_bias /= 5 + np.bincount(movies, minlength=num_movies)  # 5: one rating says little
rest = train.label - mean - movie_bias[movies]
user_bias = np.bincount(users, rest, num_users) / (5 + np.bincount(users, minlength=num_users))
guess = mean + user_bias[test.sparse[:, 0]] + movie_bias[test.sparse[:, 1]]
print(f"with biases:    RMSE {rmse(test.label, guess):.4f}")

# %% [markdown]
# ### Your turn
#
# The bias of a movie is nearly the mean of its ratings, minus $\mu$. But a film with a single rating of 5 need not be the
# best film of all. So we divide by the number of ratings plus 5: few ratings give a small bias. The blank takes the plain
# mean.


# %%
def bias_of(ratings, mu):
    return np.mean(ratings - mu)  # your turn


def check_bias(function):
    one, many = function(np.array([5.0]), 3.5), function(np.full(95, 5.0), 3.5)
    right = abs(one - 0.25) < 1e-12 and abs(many - 1.425) < 1e-12
    text = say(
        "one rating of 5 gives {one:.3f}, and 95 give {many:.3f}; wanted are 0.250 and 1.425",
        one=one,
        many=many,
    )
    tell("right" if right else "not yet: {text}", text=text)


check_bias(bias_of)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `np.sum(ratings - mu) / (5 + len(ratings))`. One rating gives 0.25, and 95 give 1.43: nearly the mean, 1.5.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def bias_answer(ratings, mu):
    return np.sum(ratings - mu) / (5 + len(ratings))


print("the answer:")
check_bias(bias_answer)

# %% [markdown]
# ## 5. The model, and its gradient
#
# Each user $u$ has a vector $p_u$ of $D$ numbers, each movie $i$ a vector $q_i$. Think of a factor as a taste
# (action, say): $q_{id}$ says how much of it the movie has, $p_{ud}$ how much the user likes it.
#
# $$ \hat r_{ui} = \mu + b_u + b_i + \langle p_u, q_i \rangle , \qquad \langle p_u, q_i \rangle = \sum_d p_{ud}\, q_{id} . $$
#
# For one rating let $e = r_{ui} - \hat r_{ui}$ be the error, and $\lambda$ a small number that we choose. We minimize
#
# $$ L = e^2 + \lambda \left( |p_u|^2 + |q_i|^2 + b_u^2 + b_i^2 \right) . $$
#
# The second term keeps the vectors small: without it, a movie with two ratings would fit them exactly, and learn nothing
# that holds for others. ($|p|^2$ is the sum of the squares of the entries.) Now derive. $\partial e / \partial p_u = -q_i$, so
#
# $$ \frac{\partial L}{\partial p_u} = -2 e\, q_i + 2 \lambda p_u, \qquad
#    \frac{\partial L}{\partial q_i} = -2 e\, p_u + 2 \lambda q_i, \qquad
#    \frac{\partial L}{\partial b_u} = -2 e + 2 \lambda b_u , $$
#
# and likewise for $b_i$. A step of gradient descent goes against the gradient, with a small rate $\eta$ that absorbs the 2:
#
# $$ p_u \leftarrow p_u + \eta\, (e\, q_i - \lambda p_u), \qquad q_i \leftarrow q_i + \eta\, (e\, p_u - \lambda q_i). $$
#
# **Both sides use the old vectors.** Code that writes $p_u$ first and then reads it for $q_i$ follows a different rule.
#
# ### Your turn
#
# Write $L$'s gradient for one rating, without the biases to keep it short (`lam` is $\lambda$). The checker compares with the
# function itself.


# %%
def one_rating(p, q, r=4.0, lam=0.1):
    e = r - mean - p @ q
    return e**2 + lam * (p @ p + q @ q), (p, q, e, lam)


def one_rating_backward(dy, cache):
    p, q, e, lam = cache
    dp = -2 * dy * e * q  # your turn: something is missing here,
    dq = -2 * dy * e * p  # and here
    return dp, dq


p, q = rng.normal(size=3), rng.normal(size=3)
report = md.gradcheck((one_rating, one_rating_backward), p, q)

# %% [markdown]
# <details><summary>Answer</summary>
#
# The penalty has a gradient, too: add $2\lambda p$ and $2 \lambda q$, times dy.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def one_rating_answer(dy, cache):
    p, q, e, lam = cache
    return dy * (2 * lam * p - 2 * e * q), dy * (2 * lam * q - 2 * e * p)


report = md.gradcheck((one_rating, one_rating_answer), p, q, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# ## 6. SGD by hand
#
# One rating after the other, in random order. This is the whole training program. (`lr`, the learning rate, is $\eta$; row $u$ of
# `P` is $p_u$, row $i$ of `Q` is $q_i$.)

# %%
D, lr, lam = 10, 0.01, 0.1
P, Q = rng.normal(0, 0.1, (num_users, D)), rng.normal(0, 0.1, (num_movies, D))
bu, bi = np.zeros(num_users), np.zeros(num_movies)


def epoch(order):
    for k in order:
        u, i = users[k], movies[k]
        p, q = P[u].copy(), Q[i].copy()
        e = train.label[k] - mean - bu[u] - bi[i] - p @ q
        bu[u] += lr * (e - lam * bu[u])
        bi[i] += lr * (e - lam * bi[i])
        P[u] += lr * (e * q - lam * p)
        Q[i] += lr * (e * p - lam * q)


def predict(rows):
    u, i = rows.sparse.T
    return mean + bu[u] + bi[i] + (P[u] * Q[i]).sum(axis=1)


for number in range(3):
    epoch(np.random.default_rng(number).permutation(len(train)))
    print(f"epoch {number + 1}: test RMSE {rmse(test.label, predict(test)):.4f}")

# %% [markdown]
# ### Your turn
#
# One step for one rating, by the two rules above. The blank uses the new $p$ for $q$. Both sides must use the old vectors.


# %%
def one_step(p, q, e, eta=0.1, lam=0.02):
    p = p + eta * (e * q - lam * p)
    q = q + eta * (e * p - lam * q)  # your turn: which p is this?
    return p, q


def check_step(function):
    said = function(np.array([1.0, 2.0]), np.array([0.5, -1.0]), e=2.0)
    wrong = md.checking.difference(said, ([1.098, 1.796], [0.699, -0.598]), "p, q")
    tell("not yet: from p = [1 2], q = [0.5 -1], e = 2, {wrong}" if wrong else "right", wrong=wrong)


check_step(one_step)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `return p + eta * (e * q - lam * p), q + eta * (e * p - lam * q)`: nothing is changed before both are computed.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def one_step_answer(p, q, e, eta=0.1, lam=0.02):
    return p + eta * (e * q - lam * p), q + eta * (e * p - lam * q)


print("the answer:")
check_step(one_step_answer)

# %% [markdown]
# ## 7. The library's class
#
# `md.MatrixFactorization` is the same model; its `sgd_epoch` is this loop, compiled: it takes milliseconds, not a second.
# First see that both are the same. We give it our numbers, and let both do the same steps.

# %%
model = md.MatrixFactorization([num_users, num_movies], D, mean=mean, dtype=np.float64)
state = {"factors.weight": np.vstack([P, Q]), "biases.weight": np.concatenate([bu, bi])[:, None]}
model.load_state_dict(state)

some = train[:2000]
order = np.random.default_rng(7).permutation(len(some))  # as sgd_epoch shuffles, with seed 7
model.sgd_epoch(some, lr, lam, seed=7)
epoch(order)
same = np.abs(model.factors.weight.value - np.vstack([P, Q])).max()
print(f"largest difference after the same 2,000 steps: {same:.1e}")

# %% [markdown]
# ### Your turn
#
# SGD had one loss and one rating. Now write the backward pass of the model for a batch and for **any** loss: $dy$, of shape $(B,)$,
# is the gradient that arrives at the predictions $y_k = \mu + b_{u_k} + b_{i_k} + \langle p_{u_k}, q_{i_k} \rangle$. Sample $k$ uses a row of
# each array. A user or a movie may occur in several samples. The blank returns zeros only.


# %%
def mf_forward(P, Q, bu, bi, u, i):
    y = mean + bu[u] + bi[i] + (P[u] * Q[i]).sum(axis=1)  # (B,)
    return y, (P, Q, bu, bi, u, i)


def mf_backward(dy, cache):
    P, Q, bu, bi, u, i = cache
    dP, dQ, dbu, dbi = (np.zeros_like(array) for array in (P, Q, bu, bi))
    # your turn: what does each sample add, and to which row?
    return dP, dQ, dbu, dbi


draw = np.random.default_rng(2).normal
tables = draw(size=(4, 3)), draw(size=(7, 3)), draw(size=4), draw(size=7)
u, i = np.array([0, 3, 3, 1, 0, 3]), np.array([2, 2, 5, 2, 1, 2])  # some occur more than once
report = md.gradcheck((mf_forward, mf_backward), *tables, u, i)

# %% [markdown]
# <details><summary>Answer</summary>
#
# The derivative by a factor is the other factor, and by a bias it is 1. Rows that are used twice add up: four scatter-adds.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def mf_backward_answer(dy, cache):
    P, Q, bu, bi, u, i = cache
    dP, dQ, dbu, dbi = (np.zeros_like(array) for array in (P, Q, bu, bi))
    np.add.at(dP, u, dy[:, None] * Q[i])
    np.add.at(dQ, i, dy[:, None] * P[u])
    np.add.at(dbu, u, dy)
    np.add.at(dbi, i, dy)
    return dP, dQ, dbu, dbi


report = md.gradcheck((mf_forward, mf_backward_answer), *tables, u, i, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# The library's `backward` gives the same numbers. It keeps users and movies in one table, one below the other:

# %%
twin = md.MatrixFactorization([4, 7], 3, mean=mean, dtype=np.float64)
twin.load_state_dict(
    {
        "factors.weight": np.vstack(tables[:2]),
        "biases.weight": np.concatenate(tables[2:])[:, None],
    }
)
y, cache = mf_forward(*tables, u, i)
dy = draw(size=6)
rows = md.data.Batch(np.zeros((6, 0)), np.stack([u, i], axis=1))
print("forward: ", np.abs(twin.forward(rows) - y).max())
twin.backward(dy)
dP, dQ, _, _ = mf_backward_answer(dy, cache)
print("backward:", np.abs(twin.factors.weight.grad.to_dense() - np.vstack([dP, dQ])).max())

# %% [markdown]
# And it passes the check:

# %%
small = md.MatrixFactorization([8, 9], 3, mean=mean)
batch = md.data.Batch(np.zeros((6, 0)), np.stack([np.arange(6), np.arange(6)], axis=1))
report = md.gradcheck(small, batch)

# %% [markdown]
# ## 8. Sixty epochs, and what the penalty is for


# %%
def curve(lam, epochs=60, dim=20):
    model = md.MatrixFactorization([num_users, num_movies], dim, mean=mean, seed=0)
    scores = []
    for number in range(epochs):
        model.sgd_epoch(train, lr, lam, seed=number)
        if number % 3 == 2:
            guesses = (rmse(part.label, md.predict(model, part)) for part in (train, test))
            scores.append((number + 1, *guesses))
    return model, np.array(scores)


model, with_penalty = curve(0.1)
_, without = curve(0.0)

# %%
fig, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
looks = ((with_penalty, "λ = 0.1", "#0072b2", "o"), (without, "λ = 0", "#d55e00", "s"))
for scores, name, color, marker in looks:
    options = {"color": color, "marker": marker, "markevery": 3}
    ax.plot(scores[:, 0], scores[:, 2], "-", label=f"test, {name}", **options)
    ax.plot(scores[:, 0], scores[:, 1], ":", label=f"training, {name}", **options)
ax.axhline(rmse(test.label, guess), color="0.4", ls="--", label="biases alone, test")
ax.set(xlabel="epoch", ylabel="RMSE (stars)", title="Without the penalty it memorizes")
ax.legend(fontsize="small")
ax.grid(alpha=0.3)
print(f"best test RMSE with the penalty: {with_penalty[:, 2].min():.4f}")

# %% [markdown]
# Without a penalty the training error keeps falling, and the test error turns up: the model memorizes the noise. With the
# penalty the training error falls more slowly, and the test error stays near its best. On MovieLens latest-small (2016) the full recipe
# (50 factors, all ratings but the test) reaches 0.869, as the mean of five splits.
#
# ### Your turn
#
# See it for one user who rated $n = 2$ movies, with the movies' vectors fixed. They are the rows of `q`, of shape $(n, D)$;
# `rest` holds the ratings minus the mean and the biases. The loss of section 5, added up over the ratings, is
#
# $$ L = \sum_{k=1}^{n} (\mathrm{rest}_k - \langle p, q_k \rangle)^2 + n \lambda |p|^2 . $$
#
# Its gradient is $-2 q^\top (\mathrm{rest} - q\, p) + 2 n \lambda p$. At the best $p$ it is zero. Solve for $p$. The
# blank leaves the penalty out: three numbers fit two ratings exactly.


# %%
def best_vector(q, rest, lam):
    return np.linalg.lstsq(q, rest, rcond=None)[0]  # your turn: where is lam?


def check_best_vector(function):
    draw, lam = np.random.default_rng(1).normal, 0.1
    q, rest = draw(size=(2, 3)), draw(size=2)
    p = function(q, rest, lam)
    errors = rest - q @ p
    slope = -2 * q.T @ errors + 2 * len(q) * lam * p
    size = say("|p|² = {p:.2f}, largest error {error:.2f}", p=p @ p, error=np.abs(errors).max())
    if np.abs(slope).max() < 1e-10:
        tell("right: the gradient is zero; {size}", size=size)
    else:
        tell(
            "not yet: the gradient at your p is {slope}, and should be 0; {size}",
            slope=slope.round(2),
            size=size,
        )


check_best_vector(best_vector)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Zero means $(q^\top q + n \lambda I)\, p = q^\top \mathrm{rest}$, where $I$ is the unit matrix: $D$ equations for $D$ numbers. The vector is
# shorter, and misses both ratings by a little: it has not memorized them. (To solve for all users, then for all movies, and so on, is
# *alternating least squares*: another way to train this model.)
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def best_vector_answer(q, rest, lam):
    n, D = q.shape
    return np.linalg.solve(q.T @ q + n * lam * np.eye(D), q.T @ rest)


print("the answer:")
check_best_vector(best_vector_answer)

# %% [markdown]
# ## 9. A known answer
#
# When **no** place is empty, the best factorization is known: the singular value decomposition, cut off after $D$ terms
# (Eckart and Young). So on a small full matrix, without biases, we must reach its error. Here $D = 3$.
#
# ### Your turn
#
# The RMSE of the best factorization, from the singular values $s_1 \geq s_2 \geq \dots$ alone: what is cut off is the
# error, and its squares, summed over all places of the matrix, are $\sum_{k > D} s_k^2$. The blank adds up what is kept.


# %%
def best_rmse(s, D, places):
    return float(np.sqrt(np.sum(s[:D] ** 2) / places))  # your turn


def check_best(function):
    A = np.random.default_rng(1).normal(size=(5, 4))
    u, s, vt = np.linalg.svd(A, full_matrices=False)
    wanted = np.sqrt(np.mean((A - (u[:, :2] * s[:2]) @ vt[:2]) ** 2))
    said = function(s, 2, A.size)
    text = say(
        "{said:.4f}; the first two terms leave an error of {wanted:.4f}", said=said, wanted=wanted
    )
    tell("right" if abs(said - wanted) < 1e-12 else "not yet: {text}", text=text)


check_best(best_rmse)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `float(np.sqrt(np.sum(s[D:] ** 2) / places))`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def best_rmse_answer(s, D, places):
    return float(np.sqrt(np.sum(s[D:] ** 2) / places))


print("the answer:")
check_best(best_rmse_answer)

# %%
full = rng.normal(size=(12, 9))
best = best_rmse_answer(np.linalg.svd(full)[1], 3, full.size)

places = np.array(list(np.ndindex(full.shape)))
rows = md.data.Batch(np.zeros((len(places), 0)), places, full.ravel())
plain = md.MatrixFactorization(full.shape, 3, biases=False, dtype=np.float64, seed=0)
reached = []
for number in range(2000):
    rate = 0.05 * 0.998**number  # the rate must fall, or SGD keeps shaking
    reached.append(np.sqrt(plain.sgd_epoch(rows, rate, 0.0, seed=number)))
print(f"SVD: {best:.4f}   ours: {reached[-1]:.4f}")

# %% [markdown]
# ## 10. What do the factors mean?
#
# The model was never told about genres. Take the movies with many ratings, and the directions in which their vectors
# differ most (principal components). With MovieLens you see the titles at both ends. With planted data we know the hidden
# factors, and ask how well a linear map of the learned vectors reproduces them.

# %%
often = np.flatnonzero(np.bincount(movies, minlength=num_movies) >= (60 if real else 40))
Q_often = model.factors.table(1)[often].astype(float)
centred = Q_often - Q_often.mean(axis=0)
_, _, axes_of_q = np.linalg.svd(centred, full_matrices=False)
place = centred @ axes_of_q[:2].T  # (movies, 2)
if not real:
    hidden = planted[1][often] - planted[1][often].mean(axis=0)
    left = hidden - centred @ np.linalg.lstsq(centred, hidden, rcond=None)[0]
    print("share of the hidden factors that was found:", (1 - left.var(0) / hidden.var(0)).round(2))

fig, ax = plt.subplots(figsize=(6.4, 4.6), layout="constrained")
ax.plot(*place.T, ".", color="0.6", ms=4)
titles = {}
if real:
    import csv

    with open(folder / "movies.csv", encoding="utf-8", newline="") as file:
        titles = {int(row["movieId"]): row["title"] for row in csv.DictReader(file)}
ends = {int(k) for axis in range(2) for k in (*place[:, axis].argsort()[[0, 1, -2, -1]],)}
for k in ends:
    name = titles.get(int(data.vocabulary.items[often[k]])) if real else f"movie {often[k]}"
    ax.annotate(name[:28], place[k], (0, 5), textcoords="offset points", fontsize=7, ha="center")
    ax.plot(*place[k], "o", color="#d55e00", ms=4)
_ = ax.set(xlabel="first direction", ylabel="second direction", title="Movies by their vectors")
ax.margins(0.2)

# %% [markdown]
# Do not read too much into *one* number of a vector, though.
#
# ### Your turn
#
# Take any invertible matrix $M$ of shape $(D, D)$, and give all users new vectors: $P' = P M$. Which $Q'$ gives the
# **same ratings**, $P' Q'^\top = P Q^\top$? The blank changes the movies in the same way as the users, which
# is right for a rotation only.


# %%
def other_factors(P, Q, M):
    return P @ M, Q @ M  # your turn: the second of them


def check_other_factors(function):
    draw = np.random.default_rng(1).normal
    P, Q, M = draw(size=(5, 3)), draw(size=(4, 3)), draw(size=(3, 3))
    P_new, Q_new = function(P, Q, M)
    wrong = md.checking.difference((P_new, Q_new), (P @ M, Q_new), "P', Q'")
    wrong = wrong or md.checking.difference(P_new @ np.transpose(Q_new), P @ Q.T, "(P' Q'ᵀ)")
    tell("not yet: {wrong}" if wrong else "right: other vectors, the same ratings", wrong=wrong)


check_other_factors(other_factors)

# %% [markdown]
# <details><summary>Answer</summary>
#
# What the users gain, the movies must give back: $Q' = Q (M^{-1})^\top$, because
# $P M (Q (M^{-1})^\top)^\top = P M M^{-1} Q^\top$. So training may end at any of these. The penalty prefers short vectors,
# but a rotation changes no length, and stays free. "Factor 3 is action" can be true in one run, and false in the next. Only
# the angles between vectors, and their lengths, have a meaning.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def other_factors_answer(P, Q, M):
    return P @ M, Q @ np.linalg.inv(M).T


print("the answer:")
check_other_factors(other_factors_answer)

# %% [markdown]
# ## 11. The museum of this chapter
#
# Three mistakes. Two are in the gradient: a vector is multiplied by itself and not by the other one, and the sign of the
# error is lost. One is in the *step*: $p_u$ is written before $q_i$ reads it. Which is which, and which of them trains?


# %%
def right(p, q, e):
    return p + rate * (e * q - lam * p), q + rate * (e * p - lam * q)


def wrong_1(p, q, e):
    return p + rate * (e * p - lam * p), q + rate * (e * q - lam * q)


def wrong_2(p, q, e):
    p = p + rate * (e * q - lam * p)
    return p, q + rate * (e * p - lam * q)


def wrong_3(p, q, e):
    return p + rate * (abs(e) * q - lam * p), q + rate * (abs(e) * p - lam * q)


# %%
def fit_by(step, epochs=2, points=8):
    """Return the training RMSE as the ratings go by; all steps begin at the same numbers."""
    start = np.random.default_rng(0)
    P, Q = start.normal(0, 0.3, (num_users, D)), start.normal(0, 0.3, (num_movies, D))
    scores = []
    for part in np.array_split(np.tile(start.permutation(len(train)), epochs), points):
        for k in part:
            u, i = users[k], movies[k]
            P[u], Q[i] = step(P[u], Q[i], train.label[k] - mean - P[u] @ Q[i])
        guesses = np.nan_to_num(mean + (P[users] * Q[movies]).sum(axis=1), nan=np.inf)
        scores.append(rmse(train.label, guesses))
    return np.arange(1, points + 1) * epochs / points, scores


# %%
rate = 0.02
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
with np.errstate(all="ignore"):
    for step, style in zip((right, wrong_1, wrong_2, wrong_3), ("-", "--", ":", "-."), strict=True):
        ax.plot(*fit_by(step), style, label=step.__name__)
ax.axhline(rmse(train.label, mean), color="0.5", lw=1, label="the mean alone")
ax.set(xlabel="epoch", ylabel="training RMSE (stars)", title="Which of them train?")
ax.set_ylim(top=1.3)
ax.legend(fontsize="small")
ax.grid(alpha=0.3)

# %% [markdown]
# `wrong_1` multiplies each vector by itself, and gets worse and worse. `wrong_3` has lost the sign of the error: it gets a
# little better, and then worse. `wrong_2` writes $p_u$ first, and follows the right curve: the change of the rule is small,
# and only a check that knows the rule can notice it. The gradient checker names the first:

# %%
from minidlrm.checking.bugs.models import OwnVectorForTheOther

report = md.gradcheck(OwnVectorForTheOther([8, 9], 3), batch, verbose=False)
print(report.diagnosis[0].title)
print(report.diagnosis[0].evidence)

# %% [markdown]
# ## What to remember
#
# 1. A rating is $\mu + b_u + b_i + \langle p_u, q_i \rangle$: two embeddings and their product.
# 2. The derivative by one factor of a product is the other factor.
# 3. Penalties are part of the loss, so they are part of the gradient.
# 4. On a full matrix the truth is the SVD.
# 5. Content knows new films, people know rated ones; categories need embeddings.
#
# Next: 03, factorization machines: the same idea for any number of features.
