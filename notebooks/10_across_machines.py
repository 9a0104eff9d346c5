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
# # 10 · Across machines
#
# [![Open in Colab](colab.svg)](https://colab.research.google.com/github/)
#
# DLRM was made for tables that do not fit into one machine. Section 3 of its paper says how it is trained: each machine has some of the tables,
# and a copy of the MLPs. In each step the machines exchange vectors, *all to all*, and add up gradients. Here you do this by hand, on
# ranks that live in this notebook, and then on processes of their own.
#
# You need notebook 05, and section 4 of notebook 09. Reading time: 70 minutes. You need one machine.
#
# **What you will have at the end**: an all-to-all and its backward pass; a sum with the same bits on every rank; a whole step on four ranks
# that equals the step of one; every byte of it counted; and five mistakes that train.

# %%
# In Colab, or where minidlrm is not installed: pip install it first.
import importlib.util

if importlib.util.find_spec("minidlrm") is None:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "minidlrm"], check=True)

import hashlib
import subprocess
import sys
import tempfile

import matplotlib.pyplot as plt
import numpy as np

import minidlrm as md
from minidlrm.languages import say, tell

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. Who has what
#
# A *rank* is one of $R$ processes that work together, on one machine or on many. They share no memory: all that one knows of another
# is what the other has sent. We split the model in two ways at once, as the paper does (it calls this *hybrid*).
#
# | part | size | how it is split |
# | --- | --- | --- |
# | tables | too large for one machine | *model parallel*: rank $r$ has some tables, alone |
# | MLPs | small | *data parallel*: every rank has a copy |
# | samples of a batch | | rank $r$ has about $B / R$ of the $B$ samples |
#
# Four ranks, four tables, eight samples, and vectors of size 2. Row $i$ of table $t$ has numbers that say where they are from:
# table 2, row 5 is $(2.5, 5.2)$.

# %%
R, T, D, B = 4, 4, 2, 8
table_sizes = [6, 9, 8, 7]
tables = [
    np.stack([t + np.arange(n) / 10, np.arange(n) + t / 10], axis=1)
    for t, n in enumerate(table_sizes)
]
ids = np.stack([rng.integers(0, n, B) for n in table_sizes], axis=1)  # (B, T)
print("table 2, row 5:", tables[2][5])
print(f"ids of the {B} samples, a column for each table:\n{ids}")

# %% [markdown]
# ### Your turn
#
# Which samples has rank $r$? All of them must belong to one rank, and the numbers of two ranks must not differ by more than one. (The last
# batch of an epoch is short.) Return the first, and the one after the last. The blank forgets the remainder.


# %%
def part(B, R, r):
    size = B // R
    return r * size, (r + 1) * size  # your turn: 10 samples, 4 ranks


def check_part(function):
    for B, R in ((8, 4), (10, 4), (3, 4)):
        parts = [tuple(map(int, function(B, R, r))) for r in range(R)]
        found = [b for first, end in parts for b in range(first, end)]
        sizes = [end - first for first, end in parts]
        if found != list(range(B)) or max(sizes) - min(sizes) > 1:
            tell("not yet: {B} samples on {R} ranks are {parts}", B=B, R=R, parts=parts)
            return
    tell("right: every sample has one rank")


check_part(part)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Cut at `B * r // R` and `B * (r + 1) // R`: the remainder is spread out, and where one part ends the next one begins.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def part_answer(B, R, r):
    return B * r // R, B * (r + 1) // R


print("the answer:")
check_part(part_answer)

# %% [markdown]
# ## 2. All to all
#
# Rank $r$ has table $r$, and can look up its vectors *for all samples*. The interaction needs the vectors of *all tables*, for its own samples. So
# everyone has what everyone else needs: rank $s$ cuts its vectors into $R$ parts, and part $r$ goes to rank $r$.
#
# `md.parallel.run(R, work)` calls `work(comm)` on $R$ ranks. Here each is a thread of this process. They talk through `comm` alone, a *communicator*:
# `comm.rank` says which one this is, and `comm.all_to_all(parts)` sends `parts[r]` to rank $r$, and returns what has come from each.


# %%
def look_up(comm):
    mine = tables[comm.rank][ids[:, comm.rank]]  # (B, D): one table, all samples
    parts = np.split(mine, comm.size)  # each (B / R, D)
    got = comm.all_to_all(parts)
    return parts, got


ranks = md.parallel.run(R, look_up)
before = [[part.round(1) for part in parts] for parts, _ in ranks]  # before[s][r]
after = [got for _, got in ranks]  # after[r][s]
whole = np.stack([tables[t][ids[:, t]] for t in range(T)], axis=1)  # (B, T, D), without ranks
together = np.concatenate([np.stack(got, axis=1) for got in after])
print("the ranks together have what one process has:", np.array_equal(together, whole))

# %%
shades = ("#ffffff", "#dddddd", "#bbbbbb", "#999999")


def draw_blocks(ax, blocks, shade_of, title, columns):
    """Draw a row for each rank, and in it its blocks: two samples with two numbers each."""
    for i, row in enumerate(blocks):
        for j, block in enumerate(row):
            ax.add_patch(plt.Rectangle((j, i), 1, 1, fc=shades[shade_of(i, j)], ec="0.2"))
            text = "\n".join("  ".join(f"{number:.1f}" for number in vector) for vector in block)
            ax.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=8)
    ax.set(xlim=(0, R), ylim=(R, 0), title=title, frame_on=False)
    ax.set_xticks(np.arange(R) + 0.5, [f"{columns} {j}" for j in range(R)], fontsize=8)
    ax.set_yticks(np.arange(R) + 0.5, [f"rank {i}\nhas" for i in range(R)])
    ax.tick_params(length=0)


# %%
fig, axes = plt.subplots(1, 2, figsize=(10.4, 3.7), layout="constrained")
fig.get_layout_engine().set(wspace=0.22)
draw_blocks(axes[0], before, lambda s, r: s, "before: one table, all samples", "for rank")
draw_blocks(axes[1], after, lambda r, s: s, "after: all tables, own samples", "from rank")
axes[1].yaxis.tick_right()
axes[1].tick_params(length=0)
frame = {"fill": False, "ec": "#d55e00", "lw": 2.5, "clip_on": False, "zorder": 3}
axes[0].add_patch(plt.Rectangle((1, 0), 1, R, **frame))
axes[1].add_patch(plt.Rectangle((0, 1), R, 1, **frame))
for s in range(R):  # what rank 1 gets
    style = {"arrowstyle": "-|>", "lw": 1.5, "color": "0.4" if s == 1 else "#d55e00"}
    style |= {"ls": ":" if s == 1 else "-", "shrinkA": 6, "shrinkB": 6}
    ends = {"xy": (0, 1.2 + 0.2 * s), "xytext": (R, s + 0.5)}
    axes[1].annotate("", **ends, xycoords="data", textcoords=axes[0].transData, arrowprops=style)

# %% [markdown]
# Each block has two samples, a vector a line. The shade says whose table the numbers come from. Left, a rank has one shade; right, it has all. Framed is what
# rank 1 gets: the second column on the left becomes the second row on the right, one block from each rank. So it is for every rank: **an all-to-all turns the square of blocks
# about its diagonal**. The diagonal stays where it is, and nothing is sent for it (the dotted arrow). Of each rank's numbers, $(R - 1) / R$ travel.
# (The paper calls this exchange a *butterfly shuffle*. It is not the butterfly of section 5.)
#
# ### Your turn
#
# Play the network. `parts[s][r]` is what rank $s$ has for rank $r$. Return what each rank gets, in the order of the senders.


# %%
def exchange(parts):
    return [list(mine) for mine in parts]  # your turn: nothing moves here


def check_exchange(function):
    got = function([[f"{s} to {r}" for r in range(3)] for s in range(3)])
    for r in range(3):
        wanted = [f"{s} to {r}" for s in range(3)]
        if list(got[r]) != wanted:
            tell(
                "not yet: rank {r} has {got}, and should have {wanted}",
                r=r,
                got=list(got[r]),
                wanted=wanted,
            )
            return
    tell("right: every part has arrived")


check_exchange(exchange)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Rank $r$ gets part $r$ of every rank: `[[mine[r] for mine in parts] for r in range(len(parts))]`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def exchange_answer(parts):
    return [[mine[r] for mine in parts] for r in range(len(parts))]


print("the answer:")
check_exchange(exchange_answer)

# %% [markdown]
# ## 3. What backward sends
#
# Put the vectors of all ranks below each other: $x$ before the exchange, $y$ after it. Each row of $y$ is one row of $x$, in another place. So
#
# $$ y = \Pi x, $$
#
# where $\Pi$ is a *permutation*: in each of its rows and columns is one 1, and zeros elsewhere. The loss $L$ depends on $x$ through $y$ alone:
#
# $$ dx = \Pi^\top dy, \qquad \Pi^\top = \Pi^{-1} . $$
#
# In words: **each gradient goes back to where its vector came from**. Backward sends as many numbers as forward. Rank $r$ sends $dy$ of its samples
# to the owner of each table: again an all-to-all. Nothing is added up on the way.
#
# Then the owner does the scatter-add of notebook 01, with the gradients of *all* samples. A row that is used on two ranks is a repeat like any other.
#
# ### Your turn
#
# The forward pass below has all tables in one array of shape $(R, N, D)$, and $R$ blocks of ids, one for each rank: `ids[r, b, t]` is the id of its sample $b$ in
# table $t$. Write the backward pass. In the blank nothing is sent: an owner takes its own samples, and no others. (`alone` describes this mistake to the checker.)


# %%
def vectors(tables, ids):
    """Return y (R, B / R, T, D): what each rank has after the exchange."""
    R = len(tables)
    before = [[tables[s][ids[r, :, s]] for r in range(R)] for s in range(R)]
    after = exchange_answer(before)
    return np.stack([np.stack(got, axis=1) for got in after]), (tables.shape, ids)


def own_samples(target, dy, tables, ids):
    dtables = np.zeros_like(tables)
    for r in range(len(tables)):
        np.add.at(dtables[r], ids[r, :, r], dy[r, :, r])
    return {"tables": dtables}


title = "an owner has the gradients of its own samples alone"
hint = "Which ranks have looked up rows of table s? Each must send dy of these vectors to rank s."
alone = md.checking.Fingerprint("alone", own_samples, "dy of other ranks is not sent", title, hint)


# %%
def vectors_backward(dy, cache):
    shape, ids = cache
    dtables = np.zeros(shape, dy.dtype)  # (R, N, D)
    for s in range(len(dtables)):  # your turn: here s takes the samples of rank s only
        np.add.at(dtables[s], ids[s, :, s], dy[s, :, s])
    return dtables


source = np.random.default_rng(3)
four, blocks_of_ids = source.normal(size=(R, 3, D)), source.integers(0, 3, (R, 2, R))
report = md.gradcheck((vectors, vectors_backward), four, blocks_of_ids, fingerprints=[alone])

# %% [markdown]
# <details><summary>Answer</summary>
#
# Rank $r$ sends `dy[r, :, s]` to rank $s$, which adds what comes from every rank:
# `for r in range(len(dy)): np.add.at(dtables[s], ids[r, :, s], dy[r, :, s])`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def vectors_backward_answer(dy, cache):
    shape, ids = cache
    dtables = np.zeros(shape, dy.dtype)
    back = exchange_answer([[dy[r, :, s] for s in range(len(dy))] for r in range(len(dy))])
    for s, got in enumerate(back):
        for r, terms in enumerate(got):
            np.add.at(dtables[s], ids[r, :, s], terms)
    return dtables


report = md.gradcheck((vectors, vectors_backward_answer), four, blocks_of_ids, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# ## 4. The copies of the MLPs
#
# The loss is the mean over the whole batch. Rank $r$ has $B_r$ of the samples; let $L_r$ be their mean loss, and $G_r$ its gradient by a weight $W$:
#
# $$ L = \frac{1}{B} \sum_r B_r L_r, \qquad dW = \sum_r \frac{B_r}{B}\, G_r . $$
#
# Every rank needs this sum, so that all copies take the same step: an *all-reduce*. If all $B_r$ are equal, it is the mean of the $G_r$. If they are not, the mean of the means
# is the gradient of another loss, in which the samples of a small block count more. So each rank divides by $B$ in its loss, and not by its own $B_r$; then
# the gradients only need to be added.
#
# ### Your turn
#
# Put the gradients of three ranks together. `grads[r]` is $G_r$, the gradient of rank $r$'s own mean, and `rows[r]` is $B_r$. The blank takes the mean of the means.


# %%
def together_from(grads, rows):
    return sum(grads) / len(grads)  # your turn: the ranks have 5, 2 and 1 samples


def check_together(function):
    x, y, rows = rng.normal(size=(8, 3)), rng.normal(size=8), np.array([5, 2, 1])
    ends = np.cumsum(rows)
    grads = [x[e - n : e].T @ y[e - n : e] / n for e, n in zip(ends, rows, strict=True)]
    wrong = md.checking.difference(function(grads, rows), x.T @ y / 8, "dW")
    tell(
        "not yet: {wrong}" if wrong else "right: the gradient of the mean of all samples",
        wrong=wrong,
    )


check_together(together_from)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `sum(n * grad for n, grad in zip(rows, grads)) / sum(rows)`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def together_answer(grads, rows):
    return sum(n * grad for n, grad in zip(rows, grads, strict=True)) / sum(rows)


print("the answer:")
check_together(together_answer)

# %% [markdown]
# ## 5. One order for all
#
# In floating point the order of a sum matters:

# %%
a, b, c = 0.1, 0.2, 0.3
print((a + b) + c, "and", a + (b + c))
print("but a + b == b + a:", a + b == b + a)

# %% [markdown]
# If two ranks add in different orders, their copies of $W$ differ in the last bit after the first step. Then they see different
# gradients, and drift apart. Nobody notices, since each copy is a good model. So we ask for more than *nearly equal*: **the same bits on every rank**.
#
# The **butterfly** gives them. It has $\log_2 R$ rounds. Let $\oplus$ turn over one bit: $r \oplus d$ is in Python `r ^ d`. In round $d = 1, 2, 4, \dots$ the ranks $r$ and $r \oplus d$ swap
# what they have, and both add. Here the sums of four ranks grow, round by round:

# %%
fig, ax = plt.subplots(figsize=(8.6, 3.1), layout="constrained")
names = [f"$x_{r}$" for r in range(R)]
for k, d in enumerate((0, 1, 2)):
    if d:
        pairs = [(min(r, r ^ d), max(r, r ^ d)) for r in range(R)]
        names = [f"({names[i]} + {names[j]})".replace("$", "") for i, j in pairs]
        names = [f"${name}$" for name in names]
    for r in range(R):
        ax.text(3 * k, r, names[r], ha="center", va="center", bbox={"fc": "0.93", "ec": "0.4"})
        for other in (r, r ^ (1, 2)[k]) if k < 2 else ():
            style = {"arrowstyle": "-|>", "color": "0.5" if other == r else "#d55e00"}
            ends = (3 * k + 2.05 - 0.15 * k, other), (3 * k + 0.45 + 0.4 * k, r)
            ax.annotate("", *ends, arrowprops={**style, "ls": ":" if other == r else "-"})
ax.set(xlim=(-0.6, 7.2), ylim=(R - 0.5, -0.5), frame_on=False)
ax.set_xticks([0, 3, 6], ["before", "after round d = 1", "after round d = 2"])
ax.set_yticks(range(R), [f"rank {r}" for r in range(R)])
_ = ax.tick_params(length=0)

# %% [markdown]
# All ranks end with the same tree, $(x_0 + x_1) + (x_2 + x_3)$. One of two ranks adds `a + b` and the other one `b + a`, and these have the same bits.
#
# Better still: cut a batch into eight blocks, and let one process, or two ranks, or four add up the blocks as this tree. The result is the same. A rank
# takes a whole subtree, and the butterfly does the rest. This is why `fit` gives the same bits on any number of ranks (and of threads).
#
# ### Your turn
#
# Write an all-reduce. `comm.swap({other: mine}, {other: theirs}, "sum")` sends the array `mine` to the rank `other`, and fills `theirs` with
# what it sends. In the blank every rank begins with its own array: nearly right.


# %%
def all_reduce(comm, x):
    total = x  # your turn: one order for all ranks
    everyones = comm.all_gather(x)
    for k in range(1, comm.size):
        total = total + everyones[(comm.rank + k) % comm.size]
    return total


def check_all_reduce(function):
    x = np.random.default_rng(4).normal(size=(R, 1000))
    sums = md.parallel.run(R, lambda comm: function(comm, x[comm.rank]))
    tree = (x[0] + x[1]) + (x[2] + x[3])
    off = [int(np.sum(each != tree)) for each in sums]
    if not all(np.allclose(each, tree) for each in sums):
        tell("not yet: these are not the sums")
    elif any(off):
        tell(
            "not yet: of 1,000 numbers, those with other bits than the tree's, by rank: {off}",
            off=off,
        )
    else:
        tell("right: the same bits on every rank")


check_all_reduce(all_reduce)

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# d = 1
# while d < comm.size:
#     theirs = np.empty_like(x)
#     comm.swap({comm.rank ^ d: x}, {comm.rank ^ d: theirs}, "sum")
#     x, d = x + theirs, 2 * d
# return x
# ```
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def all_reduce_answer(comm, x):
    d = 1
    while d < comm.size:
        theirs = np.empty_like(x)
        comm.swap({comm.rank ^ d: x}, {comm.rank ^ d: theirs}, "sum")
        x, d = x + theirs, 2 * d
    return x


print("the answer:")
check_all_reduce(all_reduce_answer)

# %% [markdown]
# ## 6. A whole step
#
# Now put it together. A `Rank` has table $r$, its part of the samples, and a copy of the MLPs. Its forward pass is a DLRM with an
# all-to-all in the middle; its backward pass has the same one, turned round. (Python can add a method to a class later. So each cell is short.)


# %%
class Rank:
    """One rank of a DLRM: one table, some of the samples, and a copy of the MLPs."""

    def __init__(self, comm, make, rule):
        self.comm, self.model, self.rule = comm, make(), rule()
        self.mlps = [*self.model.bottom.parameters(), *self.model.top.parameters()]

    def cuts(self, B):
        return [B * r // self.comm.size for r in range(self.comm.size + 1)]

    def scale(self, rows, B):  # what a sample's gradient of the loss is divided by
        return B

    def forward(self, batch):
        model, r, cuts = self.model, self.comm.rank, self.cuts(len(batch))
        self.mine = batch[cuts[r] : cuts[r + 1]]
        vectors = model.embeddings.table(r)[batch.sparse[:, r]]  # (B, D)
        parts = np.split(vectors, cuts[1:-1])
        got = self.comm.all_to_all(parts, [len(self.mine)] * len(parts), "vectors")
        z = np.stack(got, axis=1)  # (B_r, T, D)
        x = model.bottom.forward(self.mine.dense)  # (B_r, D)
        z = np.concatenate([x[:, None], z], axis=1)  # (B_r, F, D)
        top_in = np.concatenate([x, model.interaction.forward(z)], axis=1)
        return model.top.forward(top_in)[:, 0]  # (B_r,)


# %%
def backward(self, logits, batch):
    model, dim = self.model, self.model.embeddings.shape[1]
    error = 1 / (1 + np.exp(-logits)) - self.mine.label  # (B_r,)
    dlogits = error / self.scale(len(self.mine), len(batch))
    dtop = model.top.backward(dlogits[:, None])  # (B_r, D + P)
    dz = model.interaction.backward(dtop[:, dim:])  # (B_r, F, D)
    model.bottom.backward(dtop[:, :dim] + dz[:, 0])
    parts = [dz[:, 1 + t] for t in range(self.comm.size)]  # of each table's vectors
    sizes = np.diff(self.cuts(len(batch)))
    return np.concatenate(self.comm.all_to_all(parts, sizes, "gradients"))  # (B, D)


def table_gradient(self, ids, terms):
    rows, place = np.unique(ids, return_inverse=True)
    sums = np.zeros((len(rows), terms.shape[1]), terms.dtype)
    np.add.at(sums, place, terms)
    start, table = self.model.embeddings.starts[self.comm.rank], self.model.embeddings
    return md.SparseGrad(rows + start, sums, table.weight.value.shape)


Rank.backward, Rank.table_gradient = backward, table_gradient


# %%
def reduced(self, k, grad):
    """Return the sum of the ranks' gradients of MLP parameter k."""
    return self.comm.all_reduce(grad, what="all reduce")


def gradients(self, batch):
    """Go forward and backward, and leave the gradients of the whole batch in the model."""
    self.model.zero_grad()
    terms = self.backward(self.forward(batch), batch)
    ids = batch.sparse[:, self.comm.rank]
    self.model.embeddings.weight.grad = self.table_gradient(ids, terms)
    for k, p in enumerate(self.mlps):
        p.grad = self.reduced(k, p.grad)


Rank.reduced, Rank.gradients = reduced, gradients

# %%
clicks = md.data.synthetic_clicks(24_000, seed=1, num_tables=4, max_table_size=300, num_dense=3)


def make():
    return md.DLRM(3, clicks.table_sizes, 8, (16,), (16,), dtype=np.float64)


def one_step(comm):
    rank = Rank(comm, make, lambda: md.SGD(0.5))
    rank.gradients(clicks.train[:500])
    return rank.model.embeddings.weight.grad, [p.grad for p in rank.mlps], comm.totals()


ranks = md.parallel.run(R, one_step)
one, loss = make(), md.BCEWithLogits()
loss.forward(one.forward(clicks.train[:500]), clicks.train[:500].label)
one.backward(loss.backward())
print("largest difference to the step of one process:")
table_grad = md.SparseGrad.sum([grad for grad, _, _ in ranks])
off = np.abs(table_grad.to_dense() - one.embeddings.weight.grad.to_dense()).max()
print(f"  tables   {off:.0e}, {len(table_grad.rows)} rows")
mlps = [*one.bottom.parameters(), *one.top.parameters()]
for name, k in (("bottom", 0), ("top", len(one.bottom.layers) * 2)):
    off = max(np.abs(grads[k] - mlps[k].grad).max() for _, grads, _ in ranks)
    print(f"  {name:8} {off:.0e}, on all ranks")

# %% [markdown]
# What is sent is counted, in bytes. `comm.totals()` adds up all ranks:

# %%
totals = ranks[0][2]
for what, sent in totals.items():
    print(f"{what:10} {sent.messages:4} messages {sent.bytes:9,} bytes")

# %% [markdown]
# ### Your turn
#
# Predict these numbers. $P$ is the number of parameters of the MLPs (in other chapters, of pairs). A number has 8 bytes here, float64. Return the bytes that all ranks together send:
# vectors (forward), gradients (backward) and the all-reduce. The blank forgets two things.


# %%
def bytes_of_step(B, T, D, P, R):
    vectors = 8 * B * T * D  # your turn: does all of it travel?
    all_reduce = 8 * P * R  # and how many rounds has a butterfly?
    return vectors, vectors, all_reduce


def check_bytes(function):
    P = sum(p.value.size for p in mlps)
    said = function(500, T, 8, P, R)
    counted = [totals[what].bytes for what in ("vectors", "gradients", "all reduce")]
    for what, mine, right in zip(
        (say("vectors"), say("gradients"), say("all-reduce")), said, counted, strict=True
    ):
        if mine != right:
            tell(
                "not yet: {what}: you say {mine:,.0f} bytes, and {right:,} were counted",
                what=what,
                mine=mine,
                right=right,
            )
            return
    tell("right: to the byte")


check_bytes(bytes_of_step)

# %% [markdown]
# <details><summary>Answer</summary>
#
# A rank keeps one of its $R$ parts, so $\frac{R - 1}{R}$ of the vectors travel. In each of the $\log_2 R$ rounds every rank sends all $P$ numbers.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def bytes_of_step_answer(B, T, D, P, R):
    vectors = 8 * B * T * D * (R - 1) // R
    return vectors, vectors, 8 * P * R * int(np.log2(R))


print("the answer:")
check_bytes(bytes_of_step_answer)

# %% [markdown]
# ## 7. By table, by row, by column
#
# Whole tables cannot be shared out evenly (notebook 09), and a table may be larger than a machine. So the library splits in three ways. In the block `with md.parallel.sharded(comm, by="row")`
# models are made with their tables on all ranks. Nothing else changes: `fit`, `evaluate`, `predict` and `save` are called on all of them.
#
# - *By table*: ids go to the owner of the table, and vectors come back.
# - *By column*: ids go to everyone, and pieces of vectors come back.
# - *By row*: ids go to the owners of the rows. They send **rows**, each of them once, and not sums of bags: the rank of the sample adds them up, in the order of the bag. Partial sums of
#   bags would often be fewer bytes, and give other bits.
#
# So the *same bits* are asked of nine runs: three ways, on one, two and four ranks.


# %%
def digest(arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()[
        :12
    ]


def trained(comm, by):
    with md.parallel.sharded(comm, by=by):
        model = md.DLRM.for_data(clicks, embedding_dim=8, bottom_mlp=(64,), top_mlp=(256, 64))
    comm.sent.clear()
    train = clicks.train[:8192]
    md.fit(model, train, optimizer=md.Adagrad(0.02), batch_size=2048, progress=False)
    totals = comm.totals()
    sent = sum(totals[what].bytes for what in ("ids", "vectors", "gradients") if what in totals)
    mlps = [*model.bottom.parameters(), *model.top.parameters()]
    logits = md.predict(model, clicks.test[:1000], logits=True)
    return digest([logits, *(p.value for p in mlps)]), model.embeddings.weight.value.nbytes, sent


ways, numbers = ("table", "row", "column"), (1, 2, 4)
runs = {(by, r): md.parallel.run(r, trained, by) for by in ways for r in numbers}

# %%
print(f"{'by':6} ranks  hash of logits and MLPs  tables on a rank    sent for tables")
for (by, r), out in runs.items():
    sizes = [size for _, size, _ in out]
    print(f"{by:6} {r:5}  {out[0][0]:23}  {max(sizes):8,} bytes  {out[0][2]:11,} bytes")
print("different hashes:", len({name for out in runs.values() for name, _, _ in out}))

# %% [markdown]
# One hash: the model does not depend on how many ranks there are, nor on the way. What does depend on it is the memory of a rank, and what is sent. By row is cheap here, since a batch uses the few rows of these
# small tables again and again, and each row is sent once.
#
# ### Your turn
#
# You have the rows of one table on $R$ ranks: row $i$ on rank $i \bmod R$, at place `i // R`. For the ids of your samples, return what you send: for each rank the places
# that you need there, each **once**, and sorted. The blank sends repeats, too.


# %%
def places_to_ask(ids, R):
    return [ids[ids % R == r] // R for r in range(R)]  # your turn: rows travel once


def check_places(function):
    got = function(np.array([9, 4, 1, 4, 13, 9, 2, 6]), 4)
    wanted = [[1], [0, 2, 3], [0, 1], []]
    for r in range(4):
        if np.asarray(got[r]).tolist() != wanted[r]:
            tell(
                "not yet: you ask rank {r} for {got}, and need {wanted}",
                r=r,
                got=np.asarray(got[r]),
                wanted=wanted[r],
            )
            return
    tell("right: every row is asked for once")


check_places(places_to_ask)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `np.unique` sorts, and keeps each one once: `[np.unique(ids[ids % R == r]) // R for r in range(R)]`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def places_to_ask_answer(ids, R):
    return [np.unique(ids[ids % R == r]) // R for r in range(R)]


print("the answer:")
check_places(places_to_ask_answer)

# %% [markdown]
# ## 8. Processes of their own
#
# Threads of one process share a memory. To show that our ranks do not need that, start four processes. They talk by MPI, the library in which clusters talk (`pip install "minidlrm[mpi]"` brings
# it). `minidlrm train --ranks 4` starts them; on a cluster, `mpiexec` starts them on many machines.

# %% tags=["timing"]
folder = tempfile.TemporaryDirectory()
command = [sys.executable, "-m", "minidlrm", "train", "--rows", "4000", "--batch-size", "2048"]
command += ["--bottom-mlp", "16", "--top-mlp", "256", "--embedding-dim", "8"]
for more in (["--ranks", "4"], []) if importlib.util.find_spec("mpi4py") else ():
    out = f"{folder.name}/{len(more)}"
    done = subprocess.run([*command, *more, "--out", out], capture_output=True, text=True)
    print(" ".join(more) or "without --ranks")
    for line in (done.stdout + done.stderr).splitlines():
        if line.strip().startswith(("tables by", "log loss", "error")):
            print("  ", line.strip())
    if done.returncode == 0:
        saved = md.load(f"{out}/dlrm" if more else f"{out}/dlrm.safetensors")
        print("   hash of all parameters:", digest(saved.state_dict().values()))
if not importlib.util.find_spec("mpi4py"):
    print('mpi4py is not installed: skipped. pip install "minidlrm[mpi]" brings it')

# %% [markdown]
# The same hash at the end: the model of four processes is that of one, to the last bit. The ranks wrote one folder, with a file each, and `md.load` reads it on any number of ranks.
# (Four processes on a laptop are not faster than one: they share its cores, and each does the imports again.)
#
# ### Your turn
#
# When do more machines pay? Let a step on one machine take `work` seconds. $R$ machines share it evenly. Each rank sends and receives at the same time, and a message of $n$ bytes takes
# $\alpha + n \beta$ seconds: $\alpha$ for each message, $\beta$ for each byte. Count, for one rank, the two all-to-alls ($R - 1$ messages each, and a part of $4 B T D / R^2$ bytes in each)
# and the butterfly ($\log_2 R$ messages of $4 P$ bytes). The blank has no messages, only bytes.


# %%
def seconds_of_step(R, work, B, T, D, P, alpha, beta):
    parts = 2 * (R - 1) * 4 * B * T * D / R**2 * beta
    butterfly = np.log2(R) * 4 * P * beta
    return work / R + parts + butterfly  # your turn: each message costs alpha, too


def check_seconds(function):
    said = function(8, 0.4, 2048, 26, 16, 475_985, 1e-5, 1e-9)
    wanted = 0.05 + 14 * (1e-5 + 53_248e-9) + 3 * (1e-5 + 4 * 475_985e-9)
    right = abs(said - wanted) < 1e-9
    tell(
        "right" if right else "not yet: {said:.4f} ms; it is {wanted:.4f} ms",
        said=1e3 * said,
        wanted=1e3 * wanted,
    )


check_seconds(seconds_of_step)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `2 * (R - 1) * (alpha + 4 * B * T * D / R**2 * beta)` and `np.log2(R) * (alpha + 4 * P * beta)`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def seconds_of_step_answer(R, work, B, T, D, P, alpha, beta):
    parts = 2 * (R - 1) * (alpha + 4 * B * T * D / R**2 * beta)
    butterfly = np.log2(R) * (alpha + 4 * P * beta)
    return work / R + parts + butterfly


print("the answer:")
check_seconds(seconds_of_step_answer)

# %%
counts = 2 ** np.arange(11)
fig, ax = plt.subplots(figsize=(6.8, 3.6), layout="constrained")
ax.loglog(counts, counts, color="0.7", lw=1, label="ideal")
for batch_size, style in ((2048, "o-"), (16_384, "s--"), (131_072, "^:")):
    work = 40e-6 * batch_size  # 40 microseconds a sample
    shape = (batch_size, 26, 16, 475_985, 1e-5, 1e-9)
    times = [seconds_of_step_answer(r, work, *shape) for r in counts.tolist()]
    ax.loglog(counts, times[0] / np.array(times), style, ms=4, label=f"B = {batch_size:,}")
ax.set(
    xlabel="ranks R", ylabel="speed-up", title="Computed: 40 µs a sample, 10 µs a message, 1 GB/s"
)
ax.set_xticks(counts, counts)
ax.minorticks_off()
ax.grid(alpha=0.3)
_ = ax.legend(fontsize="small")

# %% [markdown]
# This is a formula with three assumed numbers, not a measurement. (`minidlrm show dlrm --ranks 16` computes a step with more terms, and numbers that were measured.) With a small batch, messages soon cost more than the work that is left; and the butterfly's bytes do not
# shrink when $R$ grows. So large machines train with large batches.
#
# ## 9. The museum of this chapter
#
# Five parallel programs that run without an error and are wrong. Each is a `Rank` with one change. Read it, predict what its curve
# will look like, and then look.
#
# ### Exhibit 1: the forgotten average
#
# Each rank divides by the number of *its own* samples, and then the gradients are added up.


# %%
class ForgottenAverage(Rank):
    def scale(self, rows, B):
        return rows


# %% [markdown]
# ### Exhibit 2: the mean of means
#
# Each rank reads a file of its own, and the files are not equally long: 5/8 of the rows are on rank 0. (The rows are sorted: those without a click come first.) `Uneven` is right. `MeanOfMeans` divides each rank's sum by
# its own rows, and the whole by $R$.


# %%
class Uneven(Rank):
    def cuts(self, B):
        return [0, B * 5 // 8, B * 6 // 8, B * 7 // 8, B]


class MeanOfMeans(Uneven):
    def scale(self, rows, B):
        return rows * self.comm.size


# %% [markdown]
# ### Exhibit 3: one bias stays at home
#
# Of all parameters of the MLPs, one is not in the list of what is added up: the bias of the first top layer.


# %%
class BiasAtHome(Rank):
    def reduced(self, k, grad):
        first_top = len(self.model.bottom.layers) * 2
        return grad * self.comm.size if k == first_top + 1 else super().reduced(k, grad)


# %% [markdown]
# (Times $R$, so that it has the size of the sum.)
#
# ### Exhibit 4: a shared table, twice
#
# Columns 0 and 1 hold ids of the same users, and share one table. Ranks 0 and 1 have a copy each, and exchange their gradients, so that both add
# both: `Shared`. In `SharedTwice` another part of the program does the same once more: it adds up
# whatever several ranks hold. So each term counts twice.


# %%
class Shared(Rank):
    times = 1

    def table_gradient(self, ids, terms):
        everyones = self.comm.all_gather(ids), self.comm.all_gather(terms)
        if self.comm.rank < 2:
            ids, terms = (np.concatenate(parts[:2]) for parts in everyones)
        return super().table_gradient(ids, self.times * terms)


class SharedTwice(Shared):
    times = 2


def make_shared():
    size = max(clicks.table_sizes[:2])
    model = md.DLRM(3, [size, size, *clicks.table_sizes[2:]], 8, (16,), (16,), dtype=np.float64)
    model.embeddings.table(1)[:] = model.embeddings.table(0)
    return model


# %% [markdown]
# ### Exhibit 5: everyone in their own order
#
# The all-reduce of section 5's blank: all terms are there, each once.


# %%
class OwnOrder(Rank):
    def reduced(self, k, grad):
        everyones = self.comm.all_gather(grad)
        for other in range(1, self.comm.size):
            grad = grad + everyones[(self.comm.rank + other) % self.comm.size]
        return grad


# %% [markdown]
# ### Which of them train?
#
# Each is trained beside its right twin, for 32 steps, from the same start: 1 and 4 by SGD, the others by Adam. Every eight steps we take the log loss of validation rows, on all ranks together,
# and look at the copies of the MLPs: what is the largest difference between two ranks?


# %%
valid = clicks.valid[:1024]


def loss_of(rank):
    logits = rank.forward(valid)
    mean = md.metrics.log_loss(rank.mine.label, logits)
    return float(rank.comm.all_reduce(np.array([mean * len(logits)]))[0]) / len(valid)


def spread_of(rank):
    mine = np.concatenate([p.value.ravel() for p in rank.mlps])
    copies = np.stack(rank.comm.all_gather(mine))
    return float(np.ptp(copies, axis=0).max())


# %%
def sgd():
    return md.SGD(0.5)


def adam():
    return md.Adam(0.01)


def train(comm, kind, make=make, rule=adam, by_label=False, B=256):
    rank = kind(comm, make, rule)
    curve = [(0, loss_of(rank), 0.0)]
    for step in range(1, 33):
        batch = clicks.train[B * (step - 1) : B * step]
        if by_label:
            batch = batch[np.argsort(batch.label, kind="stable")]
        rank.gradients(batch)
        rank.rule.step(rank.model.parameters())
        if step % 8 == 0:
            curve.append((step, loss_of(rank), spread_of(rank)))
    return np.array(curve)


# %%
twins = {
    "1: the forgotten average": [(kind, {"rule": sgd}) for kind in (Rank, ForgottenAverage)],
    "2: the mean of means": [(kind, {"by_label": True}) for kind in (Uneven, MeanOfMeans)],
    "3: one bias at home": ((Rank, {}), (BiasAtHome, {})),
    "4: a shared table, twice": [
        (kind, {"make": make_shared, "rule": sgd}) for kind in (Shared, SharedTwice)
    ],
    "5: an order of one's own": ((Rank, {}), (OwnOrder, {})),
}


def curve_of(kind, options):
    return md.parallel.run(R, lambda comm: train(comm, kind, **options))[0]


curves = {name: [curve_of(*run) for run in pair] for name, pair in twins.items()}
for name, (right, wrong) in curves.items():
    print(f"{name:25} log loss {right[-1, 1]:.4f}, wrong {wrong[-1, 1]:.4f};", end="")
    print(f" copies differ by {right[-1, 2]:.0e}, wrong {wrong[-1, 2]:.0e}")
print("the same mistakes, hidden:")
right = curves["3: one bias at home"][0]  # by Adam, shuffled
for name, kind in (("1 with Adam", ForgottenAverage), ("2 with shuffled rows", MeanOfMeans)):
    print(f"{name:25} log loss {right[-1, 1]:.4f}, wrong {curve_of(kind, {})[-1, 1]:.4f}")

# %%
fig, axes = plt.subplots(2, 3, figsize=(9.6, 5.2), layout="constrained")
for ax, (name, (right, wrong)) in zip(axes.flat, curves.items(), strict=False):
    ax.plot(*right.T[:2], "-", color="0.6", lw=3, label="right")
    ax.plot(*wrong.T[:2], "--", color="0.0", label="wrong")
    ax.set(title=name, xlabel="step", ylabel="log loss (nats)")
axes[0, 0].legend(fontsize="small")
for name, mark in (("3: one bias at home", "o-"), ("5: an order of one's own", "s--")):
    step, _, spread = curves[name][1][1:].T
    axes[1, 2].semilogy(step, spread, mark, ms=4, label=name)
axes[1, 2].set(title="The copies drift apart", xlabel="step", ylabel="largest difference")
axes[1, 2].legend(fontsize="small")
for ax in axes.flat:
    ax.grid(alpha=0.3)

# %% [markdown]
# All of them train.
#
# - 1 takes steps that are $R$ times too long. With SGD the curve is restless, and looks like a learning rate that is too large. Adam divides by the size of the gradient, and hides it (see the last lines).
# - 2 is the only one that looks broken, and only because the rows are sorted. With shuffled rows little is left of it, which one would call noise (the last line).
# - 3 has a curve like its twin's. But now there are four models, and the checkpoint has one of them.
# - 4 looks *better* than its twin: its table has a larger learning rate.
# - 5 is its twin, until one looks at the bits. A difference of $10^{-16}$ is harmless by itself. But then equal bits are no test any more, and a copy that is wrong for another reason, as in exhibit 3, is not
#   found.
#
# What finds them is not a curve. Compare with **one process**, in float64, after several steps, with unequal blocks and with ids that repeat
# across ranks; and compare the **bits** of all copies.
#
# ## 10. Reading list
#
# - Naumov et al. 2019, "Deep learning recommendation model for personalization and recommendation systems", section 3.
# - Naumov et al. 2020, "Deep learning training in facebook data centers: Design of scale-up and scale-out systems".
# - Kalamkar et al. 2020, "Optimizing deep learning recommender systems training on CPU cluster architectures": DLRM by MPI, with the bytes of each step.
# - Mudigere et al. 2022, "Software-hardware co-design for fast and scalable training of deep learning recommendation models".
# - Thakur, Rabenseifner and Gropp 2005, "Optimization of collective communication operations in MPICH": butterflies, rings and trees.
#
# ## What to remember
#
# 1. Tables are split, MLPs are copied; in each step vectors go all to all, and their gradients the same way back.
# 2. An all-to-all is a permutation: its backward pass is its inverse.
# 3. Divide by the samples of the whole batch, on every rank; then add.
# 4. One order of adding on all ranks gives the same bits, and equal bits can be tested.
# 5. Bytes have formulas. Count them.
#
# Next: assignment A7, or a model of your own on more than one machine.
