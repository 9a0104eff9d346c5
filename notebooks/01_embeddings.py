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
# # 01 · Embeddings
#
# [![Open in Colab](colab.svg)](https://colab.research.google.com/github/)
#
# A click log is full of **categories**: a user, an ad, a city. A category has no size and no order. To
# compute with it, we give each one a vector of numbers, its *embedding*, and learn the vectors.
#
# You need NumPy, matrix products, and notebook 00. Reading time: 50 minutes.
#
# **What you will have at the end**: an embedding layer of your own, forward and backward, with several ids
# a sample and a weight for each; the reason why duplicates must add up; and the same numbers from
# `md.EmbeddingBag`.

# %%
# In Colab, or where minidlrm is not installed: pip install it first.
import importlib.util

if importlib.util.find_spec("minidlrm") is None:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "minidlrm"], check=True)

import time

import matplotlib.pyplot as plt
import numpy as np

import minidlrm as md
from minidlrm.languages import tell

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. A lookup is a matrix product
#
# Take $N$ categories, numbered $0 \dots N-1$. Category $i$ can be written as a **one-hot** vector $e_i$: all zeros, with a
# 1 at place $i$. Let $W$ be a matrix of shape $(N, D)$: one row of $D$ numbers for each category. Then
#
# $$ e_i^\top W = W_i , $$
#
# row $i$ of $W$. The product multiplies $N D$ numbers, and all but $D$ of them by zero. So nobody
# computes it: we **look the row up**.

# %%
N, D = 7, 4
W = rng.normal(size=(N, D))
i = 4
one_hot = np.zeros(N)
one_hot[i] = 1

print("e^T W:", one_hot @ W)
print("W[i]: ", W[i])

# %% [markdown]
# For a batch of $B$ samples, the ids are an array of shape `(B,)`, and `W[ids]` has the shape `(B, D)`. This is
# a **gather**. This is what it saves:

# %%
rows = 10 ** np.arange(2, 9)
batch, dim = 256, 16

fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
ax.loglog(rows, batch * rows * dim, "o-", label="one-hot times W: multiply-adds")
ax.loglog(rows, np.full(len(rows), batch * dim), "s--", label="W[ids]: numbers copied")
ax.set(xlabel="rows of the table, N", ylabel="operations", title="256 samples, D = 16")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# The product grows with $N$; the lookup does not. Real tables have millions of rows.
#
# ### Your turn
#
# Write the one-hot vectors of a whole batch, one below the other: a matrix $E$ of shape $(B, N)$, with a single 1 in each
# row. Then $E W$ must be `W[ids]`. The blank returns zeros only.


# %%
def one_hots(ids, N):
    E = np.zeros((len(ids), N))  # (B, N)
    return E  # your turn: put the ones in


def check_one_hots(function):
    wanted = [[0, 0, 0, 0, 1, 0, 0], [1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0, 0]]
    wrong = md.checking.difference(function(np.array([4, 0, 4]), N), np.array(wanted, float), "E")
    tell("not yet: for the ids [4 0 4], {wrong}" if wrong else "right: E W is W[ids]", wrong=wrong)


check_one_hots(one_hots)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `E[np.arange(len(ids)), ids] = 1`: in row $b$, at place `ids[b]`.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def one_hots_answer(ids, N):
    E = np.zeros((len(ids), N))
    E[np.arange(len(ids)), ids] = 1
    return E


print("the answer:")
check_one_hots(one_hots_answer)

# %% [markdown]
# ## 2. Several ids, and weights
#
# A movie has several genres. Its sample holds a **bag** of ids, and the layer adds up their rows:
#
# $$ y_b = \sum_{i \in \mathrm{bag}(b)} \alpha_i\, W_{v_i} $$
#
# From here on $i$ counts the *places* in the list of all ids. The id at place $i$ is $v_i$, and $\alpha_i$ is its weight (1
# without weights; $1/n$ for the mean of a bag of $n$ ids). $\mathrm{bag}(b)$ is the set of places of sample $b$. In the
# language of section 1 this is a **multi-hot** vector times $W$: at place $r$ it holds the sum of the weights of id $r$.
#
# How are bags of different lengths stored? All ids go into one list, and **offsets** say where each bag begins. With $B$
# bags we write $B + 1$ offsets; the last is the number of all ids, `nnz`. Bag $b$ is `values[offsets[b] : offsets[b + 1]]`,
# and it may be empty.

# %%
values = np.array([0, 2, 5, 2, 2, 1])
offsets = np.array([0, 3, 3, 6])  # bag 0: 0 2 5; bag 1: empty; bag 2: 2 2 1


def bags_forward(W, values, offsets):
    bag_of = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))  # (nnz,)
    y = np.zeros((len(offsets) - 1, W.shape[1]))  # (B, D)
    np.add.at(y, bag_of, W[values])
    return y


y = bags_forward(W, values, offsets)
print("the empty bag gives", y[1])
print("bag 2:", y[2], "=", 2 * W[2] + W[1])

# %% [markdown]
# The library's layer gives the same numbers. It has PyTorch's arguments: by default the mode is "mean", and there are only $B$
# offsets.

# %%
options = {"mode": "sum", "include_last_offset": True, "dtype": np.float64}
layer = md.EmbeddingBag(N, D, **options, rng=np.random.default_rng(0))
layer.load_state_dict({"weight": W})
print("largest difference:", np.abs(layer.forward(values, offsets) - y).max())

# %% [markdown]
# ### Your turn
#
# Write the forward pass with a weight for each id: `alpha` has the shape of `values`. The check compares with the
# library.


# %%
def weighted_forward(W, values, offsets, alpha):
    return ...  # your turn


alpha = rng.normal(size=len(values))


def check_weighted(function):
    expected = layer.forward(values, offsets, alpha)  # (B, D): one row for each bag
    wrong = md.checking.difference(function(W, values, offsets, alpha), expected, "y")
    tell("not yet: {wrong}" if wrong else "right: as the library", wrong=wrong)


check_weighted(weighted_forward)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Multiply each row by its weight before you add it. The next cell has the code.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def weighted_answer(W, values, offsets, alpha):
    bag_of = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    y = np.zeros((len(offsets) - 1, W.shape[1]))
    np.add.at(y, bag_of, alpha[:, None] * W[values])
    return y


print("the answer:")
check_weighted(weighted_answer)

# %% [markdown]
# ## 3. The backward pass
#
# The gradient $dy = \partial L / \partial y$ arrives, of shape $(B, D)$. We want $dW = \partial L / \partial W$.
#
# Let $\mathrm{bag}(i)$ be the bag in which place $i$ lies. Row $r$ of the table, $W_r$, is used at every place with $v_i = r$, in
# any bag. At such a place, $y_{\mathrm{bag}(i)}$ contains $\alpha_i W_r$: its derivative by $W_r$ is the number $\alpha_i$. So this use
# contributes $\alpha_i$ times the gradient of its bag. By the chain rule, the uses add up:
#
# $$ dW_r = \sum_{i:\, v_i = r} \alpha_i\, dy_{\mathrm{bag}(i)} $$
#
# This is a **scatter-add**: the gather, run backwards. Rows that do not occur in the batch have gradient zero, and are
# never touched. So the gradient of a table with ten million rows need not cost more than that of a small one. (Section 6
# makes use of this; here we still write the zeros out.)
#
# The weights get a gradient as well. $\alpha_i$ scales one row in one bag, so the derivative of $y_{\mathrm{bag}(i)}$ by
# $\alpha_i$ is that row, $W_{v_i}$. The chain rule multiplies it with $dy$ and adds up the $D$ entries:
#
# $$ d\alpha_i = \langle W_{v_i}, dy_{\mathrm{bag}(i)} \rangle . $$
#
# ### Your turn
#
# Write the gradient of the table, $dW$. The blank overwrites a row where it should add to it; its `dalpha` is right.


# %%
def bag_forward(W, values, alpha):
    bag_of = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    y = np.zeros((len(offsets) - 1, W.shape[1]), np.result_type(W, alpha))
    np.add.at(y, bag_of, alpha[:, None] * W[values])
    return y, (W, values, alpha, bag_of)


def bag_backward(dy, cache):
    W, values, alpha, bag_of = cache
    dW = np.zeros_like(W)
    dW[values] = alpha[:, None] * dy[bag_of]  # your turn: a row may be used more than once
    dalpha = np.einsum("id,id->i", W[values], dy[bag_of])  # for each place i, the sum over d
    return dW, dalpha


report = md.gradcheck((bag_forward, bag_backward), W, values, alpha)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `np.add.at(dW, values, alpha[:, None] * dy[bag_of])` adds each term to its row, repeats included.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def bag_backward_answer(dy, cache):
    W, values, alpha, bag_of = cache
    dW = np.zeros_like(W)
    np.add.at(dW, values, alpha[:, None] * dy[bag_of])
    dalpha = np.einsum("id,id->i", W[values], dy[bag_of])
    return dW, dalpha


report = md.gradcheck((bag_forward, bag_backward_answer), W, values, alpha, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# The library's layer has the same gradient for the table:

# %%
dy = rng.normal(size=(3, D))
_, cache = bag_forward(W, values, alpha)
dW, _ = bag_backward_answer(dy, cache)
layer.zero_grad()
layer.forward(values, offsets, alpha)
layer.backward(dy)
print("largest difference:", np.abs(layer.weight.grad.to_dense() - dW).max())

# %% [markdown]
# See where the gradient is: in the rows that were looked up.

# %%
uses = np.bincount(values, minlength=N)

fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.2), layout="constrained")
limit = 1.5 * np.abs(dW).max()  # pale enough for the numbers
image = axes[0].imshow(dW, cmap="PuOr", vmin=-limit, vmax=limit)
axes[0].set(xlabel="entry d", ylabel="row of the table", title="dW")
fig.colorbar(image, ax=axes[0], label="gradient")
for (r, d), value in np.ndenumerate(dW):
    axes[0].text(d, r, f"{value:.1f}", ha="center", va="center", fontsize=7)
axes[1].barh(range(N), uses, color="#0072b2")
_ = axes[1].set(
    xlabel="times looked up",
    ylabel="row of the table",
    title="uses in this batch",
    ylim=(N - 0.5, -0.5),
    xticks=range(4),
)

# %% [markdown]
# ## 4. Why duplicates must add up
#
# Three of our six ids are id 2. Its row enters the loss three times, so its gradient has three terms. With plain
# NumPy indexing two of them are lost:

# %%
lost = np.zeros_like(W)
bag_of = cache[3]
lost[values] += alpha[:, None] * dy[bag_of]
print("row 2, scatter-add:       ", dW[2].round(3))
print("row 2, dW[values] += ...: ", lost[2].round(3))

# %% [markdown]
# `lost[values] += terms` is `lost[values] = lost[values] + terms`. NumPy computes the right side into a buffer, which
# holds the old row plus *one* term, three times. Then it writes the buffer back: row 2 is written three times, and each
# write replaces the one before. The last one stays. Threads play no part in this.
#
# ### Your turn
#
# Play NumPy: write with plain loops what `g[ids] += terms` does. First fill the whole buffer, then write it back. The
# blank does what one might expect, and what `np.add.at` does: it adds one term after the other.


# %%
def buffered(g, ids, terms):
    for i in range(len(ids)):
        g[ids[i]] += terms[i]  # your turn: NumPy reads every old row before it writes one


def check_buffered(function):
    ids, terms = np.array([1, 0, 1, 1]), np.array([[1.0], [2.0], [4.0], [8.0]])
    numpy, mine = np.full((3, 1), 100.0), np.full((3, 1), 100.0)
    numpy[ids] += terms
    function(mine, ids, terms)
    if np.array_equal(mine, numpy):
        tell("right: row 1 is 108, and the terms 1 and 4 are lost")
    else:
        tell("not yet: rows {mine}; NumPy leaves {numpy}", mine=mine[:, 0], numpy=numpy[:, 0])
        tell("   every row is 100 at first, and row 1 gets the terms 1, 4 and 8")


check_buffered(buffered)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Two loops. The first reads: `buffer[i]` is the old row `g[ids[i]]` plus `terms[i]`. The second writes: `g[ids[i]] = buffer[i]`.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def buffered_answer(g, ids, terms):
    buffer = [g[ids[i]] + terms[i] for i in range(len(ids))]
    for i in range(len(ids)):
        g[ids[i]] = buffer[i]


print("the answer:")
check_buffered(buffered_answer)

# %% [markdown]
# Does such a layer train? Yes, and that is the danger. Rows that are used once in a batch are right. The
# others still move in a direction that one of their samples wants.
#
# ### The museum of this chapter
#
# Three wrong backward passes of an embedding layer. Find the mistakes first; then run the cell below.

# %%
from minidlrm.checking import museum

bugs = museum.exhibits("LastWriteWins", "RepeatInsideABagLost", "FirstOfTheBag")
museum.show(bugs)

# %%
museum.explain(bugs, seed=1)

# %% [markdown]
# Which of them still train? We need clicks whose bags hold more than one id. So each bag gets a random id, and then the
# right one twice, as if a user came back to an ad.

# %%
clicks = md.data.synthetic_clicks(40_000, seed=0, num_tables=8, order=1)


def with_bags(rows):
    """Each bag: one random id, and then the id of the sample, twice."""
    ids = np.asarray(rows.sparse)  # (B, T)
    other = np.random.default_rng(1).integers(0, clicks.table_sizes, ids.shape)
    bags = np.stack([other, ids, ids], axis=2).transpose(1, 0, 2)  # (T, B, 3)
    jagged = md.data.Jagged(bags.ravel(), np.arange(0, bags.size + 1, 3))
    return md.data.Batch(rows.dense, jagged, rows.label)


def curve_of(layer):
    model = md.DLRM(13, clicks.table_sizes, 8, (16,), (32,), seed=0)
    model.embeddings.__class__ = layer
    options = {"optimizer": md.SGD(lr=0.1), "batch_size": 256, "epochs": 2, "eval_every": 32}
    train, valid = with_bags(clicks.train), with_bags(clicks.valid)
    history = md.fit(model, train, valid, progress=False, **options)
    return history.column("epoch"), history.column("valid_log_loss")


# %%
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
layers = {"right": md.EmbeddingBagCollection} | {bug.cls.__name__: bug.cls for bug in bugs}
for (name, layer_class), style in zip(layers.items(), ("-", "--", "-.", ":"), strict=True):
    ax.plot(*curve_of(layer_class), style, label=name)
ax.set(xlabel="epoch", ylabel="validation log loss (nats)", title="All of them train")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# All four curves fall. The right one is ahead, by about as much as a better learning rate would bring. Seen alone, none of
# the others looks odd.
#
# ## 5. Many tables in one array
#
# A click has many categories: user, ad, city. Each has a table of its own, $W^{(0)}, W^{(1)}, \dots$ DLRM's
# Kaggle model has 26. We keep them in **one** array, one below the other, and remember where each begins. Row $v$ of
# table $t$ is then row $\mathrm{start}_t + v$. One gather serves all tables.

# %%
sizes = [4, 3, 2]
starts = np.concatenate([[0], np.cumsum(sizes)])
tables = md.EmbeddingBagCollection(sizes, 5, dtype=np.float64, rng=np.random.default_rng(0))
ids = np.array([[3, 0, 1], [0, 2, 1]])  # (B, T)

by_hand = tables.weight.value[ids + starts[:-1]]  # (B, T, D)
print("shape", by_hand.shape, " largest difference", np.abs(tables.forward(ids) - by_hand).max())

# %% [markdown]
# ### Your turn
#
# Now the other way round: given rows of the one array, find the table and the id of each. The blank takes all of them for
# rows of table 0.


# %%
def table_and_id(rows, starts):
    return np.zeros_like(rows), rows  # your turn


def check_table_and_id(function):
    rows, wanted = np.array([0, 3, 4, 6, 7, 8]), (np.array([0, 0, 1, 1, 2, 2]), [0, 3, 0, 2, 0, 1])
    wrong = md.checking.difference(function(rows, starts), wanted, "table, id")
    tell("not yet: for rows = {rows}, {wrong}" if wrong else "right", rows=rows, wrong=wrong)


check_table_and_id(table_and_id)

# %% [markdown]
# <details><summary>Answer</summary>
#
# The table is the last one that begins at this row or before it: `table = np.searchsorted(starts, rows, side="right") - 1`.
# The id is `rows - starts[table]`.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def table_and_id_answer(rows, starts):
    table = np.searchsorted(starts, rows, side="right") - 1
    return table, rows - starts[table]


print("the answer:")
check_table_and_id(table_and_id_answer)

# %% [markdown]
# What if an id is too large? In C, and in a compiled kernel, the program would read a wrong row: one of the next table, or
# memory that does not belong to the table. So ids are checked first, and the error names table, id and place:

# %%
try:
    tables.forward(np.array([[3, 3, 1]]))
except IndexError as error:
    print("IndexError:", error)

# %% [markdown]
# ## 6. The gradient is never dense
#
# After `backward`, the table's gradient is a `SparseGrad`: the rows of this batch, sorted, each once, and the sum for each.

# %%
tables.zero_grad()
tables.forward(ids)
tables.backward(np.ones((2, 3, 5)))
grad = tables.weight.grad
print(grad)
print("rows", grad.rows)
print("values", grad.values.tolist())

# %% [markdown]
# Table 2 is looked up at id 1 by both samples: row $7 + 1 = 8$ has the gradient 2.
#
# An optimizer visits only these rows. The Kaggle tables have 33.8 million rows of 16 numbers: a dense gradient would have
# 540 million numbers. A batch of 2,048 looks up $26 \cdot 2048 = 53{,}248$ rows at most; all the others would be zeros.
#
# ### Your turn
#
# Make such a gradient from the terms of the uses: the distinct rows in ascending order, and the sum of the terms of each.
# The blank keeps the repeats. The check first compares a small example, and then takes your two arrays as the gradient of a
# lookup, `W[rows]`.


# %%
def check_coalesce(function):
    rows, terms = np.array([8, 3, 8, 5]), np.arange(8.0).reshape(4, 2)
    wanted = np.array([3, 5, 8]), [[2.0, 3.0], [6.0, 7.0], [4.0, 6.0]]
    wrong = md.checking.difference(function(rows, terms), wanted, "rows, sums")
    if wrong:
        tell(
            "not yet: of the rows {rows} with terms {terms}, {wrong}",
            rows=rows,
            terms=terms.tolist(),
            wrong=wrong,
        )

    def look_up(W, rows):
        return W[rows], (W, rows)

    def backward(dy, cache):
        W, rows = cache
        return md.SparseGrad(*function(rows, dy), W.shape)

    if not wrong:
        both_samples = (ids + starts[:-1]).ravel()  # [3 4 8 0 6 8]
        md.gradcheck((look_up, backward), tables.weight.value, both_samples)


# %%
def coalesce(rows, terms):
    order = np.argsort(rows, kind="stable")
    return rows[order], terms[order]  # your turn: row 8 appears twice


check_coalesce(coalesce)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `np.unique` gives the distinct rows, and for each use its place among them. Then it is a scatter-add again, into a small array.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def coalesce_answer(rows, terms):
    unique, place = np.unique(rows, return_inverse=True)
    sums = np.zeros((len(unique), terms.shape[1]))
    np.add.at(sums, place, terms)
    return unique, sums


print("the answer:")
check_coalesce(coalesce_answer)

# %% [markdown]
# ## 7. What Numba does with it
#
# `np.add.at` is right, but slow: it calls its inner loop once for every single number. A loop in Python would be even
# slower. **Numba** compiles a Python loop to machine code. The library has each kernel twice, in `kernels/reference.py`
# (NumPy, the definition) and in `kernels/jit.py` (the loop), under the same tests. Time them on 40,000 lookups:

# %% tags=["timing"]
from minidlrm.kernels import reference

n, dim, num_rows = 40_000, 64, 100_000
lookups, terms = rng.integers(0, num_rows, n), rng.normal(size=(n, dim)).astype(np.float32)


def milliseconds(scatter):
    scatter(lookups, terms, None, None, num_rows)  # compiles, the first time
    laps = []
    for _ in range(5):
        start = time.perf_counter()
        scatter(lookups, terms, None, None, num_rows)
        laps.append(time.perf_counter() - start)
    return 1e3 * min(laps)


print(f"NumPy (np.add.at): {milliseconds(reference.scatter_add):.1f} ms")
print(f"{md.kernels.backend} (in use):    {milliseconds(md.kernels.scatter_add):.1f} ms")

# %% [markdown]
# Both sort the rows first, so that the terms of a row are added in the order of the ids. The result is the same in every
# run, to the last bit.
#
# ### Your turn
#
# With Numba you write the loop that you would write in C. Fill in the body: for each id `i`, add `terms[i]`
# to row `ids[i]` of `out`. The check uses it as the backward pass of a lookup. (Without Numba the loop runs as plain
# Python, slower.)

# %%
try:
    from numba import njit
except ImportError:

    def njit(function):
        return function


# %%
@njit
def scatter(out, ids, terms):
    for i in range(len(ids)):
        pass  # your turn


def check_scatter(function):
    def look_up(W, ids):
        return W[ids], (W, ids)

    def backward(dy, cache):
        W, ids = cache
        dW = np.zeros_like(W)
        function(dW, ids, dy)
        return dW

    md.gradcheck((look_up, backward), np.ones((6, 2)), np.array([1, 4, 1]))


check_scatter(scatter)

# %% [markdown]
# <details><summary>Answer</summary>
#
# One more loop, over the D numbers of a row. The next cell has the code.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
@njit
def scatter_answer(out, ids, terms):
    for i in range(len(ids)):
        for d in range(out.shape[1]):
            out[ids[i], d] += terms[i, d]


print("the answer:")
check_scatter(scatter_answer)

# %% [markdown]
# ## What to remember
#
# 1. A lookup is a product with a one-hot vector, without the multiplications.
# 2. Its backward pass is a scatter-add: the uses of a row **add up**, inside a bag and across bags.
# 3. `dW[ids] += ...` keeps the last write. Use `np.add.at`, or a compiled loop.
# 4. The gradient holds the rows of the batch and nothing else.
#
# Next: 02, matrix factorization.
