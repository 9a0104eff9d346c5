# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 08 · Making it fast
#
# [![Open in Colab](colab.svg)](https://colab.research.google.com/github/)
#
# The formulas are right. But why does one way to compute them take a hundred times as long as another? The reason is almost
# never the arithmetic. It is the memory, the loops, and the calls.
#
# You need notebooks 01 and 05. Reading time: 50 minutes. Times differ from machine to machine, and from run to run. So
# we compare **ratios**, measured side by side.
#
# **What you will have at the end**: a way to measure that does not fool you; four scatter-adds and their speeds; a step of a
# DLRM, taken apart; the roofline of your own machine; and the road of a step: memory, blocks, workers.

# %%
# In Colab, or where minidlrm is not installed: pip install it first.
import importlib.util

if importlib.util.find_spec("minidlrm") is None:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "minidlrm"], check=True)

import os
import subprocess
import sys
import time
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np

import minidlrm as md
from minidlrm.languages import say, tell

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. How to measure
#
# Three rules.
#
# 1. **Warm up.** The first call compiles, fills caches, and allocates memory. Do not count it.
# 2. **Repeat, and take the median.** Other programs disturb single runs.
# 3. **Compare in one run.** Run both programs in turns, on the same machine. Report the ratio.


# %%
def seconds(*functions, repeats=7):
    """Return the median time of each function; they take turns."""
    laps = [[] for _ in functions]
    for lap in range(repeats + 1):
        for k, function in enumerate(functions):
            start = time.perf_counter()
            function()
            laps[k].append(time.perf_counter() - start)
    return [float(np.median(times[1:])) for times in laps]  # the first one warms up


# %% [markdown]
# ### Your turn
#
# Two programs took turns, and these are their times, the first lap included. How many times faster is the second? The blank
# takes the means, and a single disturbed lap spoils it.


# %%
def times_faster(slow, fast):
    return np.mean(slow) / np.mean(fast)  # your turn


def check_times_faster(function):
    ratio = function([9.0, 2.0, 2.1, 1.9, 2.0, 8.0], [7.0, 1.0, 1.0, 1.1, 0.9, 1.0])
    tell(
        "right: 2 times" if abs(ratio - 2) < 1e-9 else "not yet: {ratio:.2f} times; it is 2",
        ratio=ratio,
    )


check_times_faster(times_faster)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Drop the first lap, and take medians: `np.median(slow[1:]) / np.median(fast[1:])`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def times_faster_answer(slow, fast):
    return np.median(slow[1:]) / np.median(fast[1:])


print("the answer:")
check_times_faster(times_faster_answer)

# %% [markdown]
# ## 2. Four scatter-adds
#
# The gradient of an embedding table is a **scatter-add** (notebook 01): for each $i$, add the vector `terms[i]` to the row `ids[i]`.
# We write it four times. Only the rows that occur are returned, each once, with its sum.


# %%
def by_loop(ids, terms):
    sums = {}
    for i, row in enumerate(ids.tolist()):
        sums[row] = sums.get(row, 0) + terms[i]
    rows = np.array(sorted(sums))
    return rows, np.array([sums[row] for row in rows.tolist()])


def by_add_at(ids, terms):
    rows, group = np.unique(ids, return_inverse=True)
    sums = np.zeros((len(rows), terms.shape[1]), terms.dtype)
    np.add.at(sums, group, terms)
    return rows, sums


def by_sorting(ids, terms):
    order = np.argsort(ids, kind="stable")
    rows, start = np.unique(ids[order], return_index=True)
    return rows, np.add.reduceat(terms[order], start, axis=0)


def by_kernel(ids, terms):
    return md.kernels.scatter_add(ids, terms, None, None, num_rows)


# %%
num_rows, n, D = 100_000, 20_000, 16
ids = np.minimum(rng.zipf(1.2, n) - 1, num_rows - 1)  # a few ids are very frequent
terms = rng.normal(size=(n, D)).astype(np.float32)
ways = {
    "loop over ids": by_loop,
    "np.add.at": by_add_at,
    "sort, then reduceat": by_sorting,
    f"the library ({md.kernels.backend})": by_kernel,
}
right = by_loop(ids, terms)
for name, way in ways.items():
    rows, sums = way(ids, terms)
    same = np.array_equal(rows, right[0]) and np.allclose(sums, right[1], rtol=1e-3, atol=1e-3)
    print(f"{name:24} the same rows and sums: {same}")

# %% tags=["timing"]
times = seconds(*(lambda way=way: way(ids, terms) for way in ways.values()), repeats=3)
fig, ax = plt.subplots(figsize=(6.4, 2.6), layout="constrained")
ratio = np.array(times) / times[-1]
bars = ax.barh(list(ways), ratio, color="0.6", edgecolor="0.3")
ax.bar_label(bars, labels=[f" {r:.0f}×" if r > 1.5 else " 1×" for r in ratio])
ax.set(xscale="log", xlabel="time, as multiples of the library's", xlim=(0.5, 6 * ratio.max()))
ax.invert_yaxis()

# %% [markdown]
# Why? The Python loop makes an array object for every id. `np.add.at` calls its inner loop again for every single number.
# Sorting brings equal rows together, so that each row is written once. The library sorts, too (by radix, without
# comparisons), and adds in a compiled loop that reads memory in order.
#
# ### Your turn
#
# This is fast, and wrong: `sums[group] += terms`. NumPy first reads all `sums[group]`, adds, then writes all back: fancy-index assignment is
# **buffered**. Of several terms for one row, the last write wins. No threads are involved. Write a fast one that is right,
# with `np.bincount(group, weights=...)`, one column at a time. It is the backward pass of a lookup, so the gradient checker can
# check it.


# %%
def gather_with(scatter):
    """Return the pair (forward, backward) of a lookup, for the checker."""

    def look_up(table, ids):
        return table[ids], (ids, table.shape)

    def backward(dy, cache):
        ids, shape = cache
        return md.SparseGrad(*scatter(ids, dy), shape)

    return look_up, backward


# %%
def by_bincount(ids, terms):
    rows, group = np.unique(ids, return_inverse=True)
    sums = np.zeros((len(rows), terms.shape[1]), terms.dtype)
    sums[group] += terms  # your turn
    return rows, sums


source = np.random.default_rng(1)
small_table, some_ids = source.normal(size=(9, 2)), source.integers(0, 9, 12)
report = md.gradcheck(gather_with(by_bincount), small_table, some_ids)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `bincount` adds the weights of equal numbers: `sums[:, d] = np.bincount(group, weights=terms[:, d])` for each column `d`.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def by_bincount_answer(ids, terms):
    rows, group = np.unique(ids, return_inverse=True)
    columns = [np.bincount(group, weights=terms[:, d]) for d in range(terms.shape[1])]
    return rows, np.stack(columns, axis=1).astype(terms.dtype)


report = md.gradcheck(gather_with(by_bincount_answer), small_table, some_ids, verbose=False)
print("the answer: passed =", report.passed)
rows, sums = by_bincount_answer(ids, terms)
print("all", len(rows), "rows of before, the same:", np.allclose(sums, right[1], atol=1e-2))

# %% [markdown]
# ## 3. Never go through the whole table
#
# A batch uses a few thousand rows. The table may have millions. A *dense* step makes a gradient as large as the table, full
# of zeros, and goes through all of it. A *sparse* step (`md.SparseGrad`: rows and values) touches only the rows of the batch.


# %%
def dense_step(table, rows, values):
    grad = np.zeros_like(table)
    grad[rows] = values
    table -= 0.1 * grad


def sparse_step(table, rows, values):
    table[rows] -= 0.1 * values


rows, values = by_sorting(rng.integers(0, 1000, 2000), terms[:2000])
one = rng.normal(size=(1000, D)).astype(np.float32)
two = one.copy()
dense_step(one, rows, values)
sparse_step(two, rows, values)
print("the same table:", np.array_equal(one, two))

# %% tags=["timing"]
table_sizes = [1_000, 10_000, 100_000, 1_000_000]
measured = []
for size in table_sizes:
    table = np.zeros((size, D), np.float32)
    steps = [lambda f=f, t=table: f(t, rows, values) for f in (dense_step, sparse_step)]
    measured.append(seconds(*steps, repeats=3))
fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
dense_time, sparse_time = 1e3 * np.array(measured).T
ax.loglog(table_sizes, dense_time, "s--", label="dense: grows with the table")
ax.loglog(table_sizes, sparse_time, "o-", label="sparse: the rows of the batch")
ax.set(xlabel="rows of the table", ylabel="time of a step (ms)", title="2,000 lookups, D = 16")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# ### Your turn
#
# Momentum keeps a velocity $v$ of the table's shape: $v \leftarrow \mu v + g$, $w \leftarrow w - \eta v$, where $w$ is the table, $g$ its gradient, $\mu$ the momentum and $\eta$ the learning rate.
# The blank goes through the whole table. Write the *lazy* form: only the rows of the batch decay and move.


# %%
def lazy_momentum(w, v, rows, g, lr=0.1, mu=0.9):
    v *= mu  # your turn: this is the whole table
    v[rows] += g
    w -= lr * v


def check_lazy(function):
    w, v, rows = np.ones((6, 3)), np.ones((6, 3)), np.array([1, 4])
    function(w, v, rows, np.array([[0.5] * 3, [-0.5] * 3]))
    right_w, right_v = np.ones((6, 3)), np.ones((6, 3))
    right_v[1], right_v[4], right_w[1], right_w[4] = 1.4, 0.4, 0.86, 0.96
    wrong = md.checking.difference((w, v), (right_w, right_v), "w, v")
    tell(
        "not yet: all of w and v were 1, the batch has the rows {rows}, and now {wrong}"
        if wrong
        else "right",
        rows=rows,
        wrong=wrong,
    )


check_lazy(lazy_momentum)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `v[rows] = mu * v[rows] + g`, then `w[rows] -= lr * v[rows]`. The rows are distinct, so buffered assignment does no harm here.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def lazy_momentum_answer(w, v, rows, g, lr=0.1, mu=0.9):
    v[rows] = mu * v[rows] + g
    w[rows] -= lr * v[rows]


print("the answer:")
check_lazy(lazy_momentum_answer)

# %% [markdown]
# ## 4. Where a step's time goes
#
# Take a DLRM with 26 tables, and a batch of 2,048. We time every part, forward and backward:

# %%
sizes = [40_000] * 26
model = md.DLRM(13, sizes, 16, bottom_mlp=(512, 256, 64), top_mlp=(512, 256))
batch = md.data.Batch(
    rng.normal(size=(2048, 13)).astype(np.float32),
    np.minimum(rng.zipf(1.2, (2048, 26)) - 1, 39_999),
    rng.integers(0, 2, 2048).astype(np.float32),
)
parts = {"embeddings": model.embeddings, "bottom MLP": model.bottom}
parts |= {"interaction": model.interaction, "top MLP": model.top}


# %% tags=["timing"]
def timed_step(spent):
    """One step; the time of each part's forward and backward is added to spent."""

    def timed(name, phase, function):
        def run(*arguments):
            start = time.perf_counter()
            result = function(*arguments)
            spent[name, phase] = spent.get((name, phase), 0) + time.perf_counter() - start
            return result

        return run

    for name, part in parts.items():
        part.forward = timed(name, "forward", type(part).forward.__get__(part))
        part.backward = timed(name, "backward", type(part).backward.__get__(part))
    optimizer.step(model.parameters())
    model.zero_grad()
    loss.forward(model.forward(batch), batch.label)
    model.backward(loss.backward())


loss, optimizer, spent = md.BCEWithLogits(), md.SGD(0.01), {}
timed_step({})
for _ in range(5):
    timed_step(spent)

# %% tags=["timing"]
fig, ax = plt.subplots(figsize=(6.4, 2.6), layout="constrained")
total, left = sum(spent.values()), np.zeros(len(parts))
for phase, color in (("forward", "0.75"), ("backward", "0.4")):
    width = np.array([100 * spent[name, phase] / total for name in parts])
    ax.barh(list(parts), width, left=left, color=color, edgecolor="0.2", label=phase)
    left += width
ax.set(xlabel="share of the time of a step (%)")
ax.legend()
ax.invert_yaxis()

# %% [markdown]
# Backward does about twice the arithmetic of forward: each matrix product of the forward pass becomes two, one for $dW$ and one
# for $dx$. The MLPs take most of the time *at this size*. With larger tables or small batches, the embeddings take more.
#
# ### Your turn
#
# Could we have known? Count the **multiplications** of each part, forward, for $B$ samples, $F$ vectors of size $D$, and the widths of both MLPs.
# Three hints: a layer from $n$ to $m$ numbers has a matrix of $n m$ weights, and each multiplies once per sample; there are
# $P = F (F - 1) / 2$ pairs, and one inner product for each; a lookup with one id in each bag only copies. The blank counts the
# *outputs* of each part.


# %%
def check_work(function):
    """Compare with the sizes of the model above."""
    bottom, top = (13, 512, 256, 64, 16), (16 + 351, 512, 256, 1)  # 351 pairs
    right = dict(zip(parts, (0, 155_136, 5_616, 319_232), strict=True))  # a sample
    counted = function(2048, 27, 16, bottom, top)
    total = max(1, sum(counted.values()))
    for name, count in counted.items():
        said = say(
            "{count} a sample, {share} of all",
            count=f"{count / 2048:,.0f}",
            share=f"{100 * count / total:.1f}%",
        )
        if count == 2048 * right[name]:
            tell("{name:12} right: {said}", name=name, said=said)
        else:
            tell(
                "{name:12} not yet: {said}; it is {right:,} a sample",
                name=name,
                said=said,
                right=right[name],
            )


# %%
def work_of(B, F, D, bottom, top):
    P = F * (F - 1) // 2  # pairs
    return {
        "embeddings": B * (F - 1) * D,  # your turn: these are outputs, not multiplications
        "bottom MLP": B * sum(bottom[1:]),
        "interaction": B * P,
        "top MLP": B * sum(top[1:]),
    }


check_work(work_of)

# %% [markdown]
# <details><summary>Answer</summary>
#
# A lookup multiplies nothing. A pair is an inner product of $D$ numbers: $P D$. An MLP has $\sum n m$ over its layers. (The library's
# interaction computes all $F^2$ products $\langle z_i, z_j \rangle$ and keeps half of them: more arithmetic, but in one large
# call.)
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def work_of_answer(B, F, D, bottom, top):
    P = F * (F - 1) // 2
    return {
        "embeddings": 0,
        "bottom MLP": B * sum(n * m for n, m in pairwise(bottom)),
        "interaction": B * P * D,
        "top MLP": B * sum(n * m for n, m in pairwise(top)),
    }


print("the answer:")
check_work(work_of_answer)

# %% [markdown]
# Compare these shares with the picture. They do not agree: the embeddings multiply nothing in the forward pass, and still
# take time. Arithmetic is not the whole story. The rest of it is memory.
#
# ## 5. Arithmetic or memory? The roofline
#
# A processor does two things: it computes (FLOPs: additions and multiplications) and it moves bytes. The **arithmetic
# intensity** of an operation is the ratio of both:
#
# $$ I = \frac{\text{FLOPs}}{\text{bytes moved}} . $$
#
# Let the machine do at most $R$ FLOPs a second, and move at most $\beta$ bytes a second. Then no operation does more than
# $\min(R, I \beta)$ FLOPs a second. On log axes, this line looks like a roof.
#
# ### Your turn
#
# Count for a lookup with sum pooling. $B$ samples look up $n$ rows each, of $D$ numbers of 4 bytes, and add them up. Every row
# is read, every sum is written once; ids have 8 bytes each. The blank forgets the output and the ids.


# %%
def traffic(B, n, D):
    flops = B * (n - 1) * D
    moved = 4 * B * n * D  # your turn: bytes
    return flops, moved


def check_traffic(function):
    wrong = md.checking.difference(function(B=100, n=4, D=16), (4800, 35_200), "flops, bytes")
    tell("not yet: for B = 100, n = 4, D = 16, {wrong}" if wrong else "right", wrong=wrong)


check_traffic(traffic)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `4 * B * n * D + 4 * B * D + 8 * B * n`: rows read, sums written, ids read. The intensity is below 1/4, whatever $D$ is.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def traffic_answer(B, n, D):
    return B * (n - 1) * D, 4 * B * n * D + 4 * B * D + 8 * B * n


print("the answer:")
check_traffic(traffic_answer)

# %% [markdown]
# Now measure the roof of this machine: $R$ with a large matrix product, $\beta$ with a copy of an array that fits in no cache.

# %% tags=["timing"]
square = rng.normal(size=(1024, 1024)).astype(np.float32)
large, target = np.ones(20_000_000, np.float32), np.empty(20_000_000, np.float32)
product, copy = seconds(lambda: square @ square, lambda: np.copyto(target, large), repeats=5)
peak, bandwidth = 2 * 1024**3 / product, 2 * large.nbytes / copy
points = {}
for name, width in (("matrix product, B = 2048", 2048), ("matrix product, B = 16", 16)):
    x, W = np.ones((width, 512), np.float32), np.ones((512, 512), np.float32)
    (took,) = seconds(lambda x=x, W=W: x @ W.T, repeats=9)
    flops, moved = 2 * width * 512 * 512, 4 * (2 * width * 512 + 512 * 512)
    points[name] = flops / moved, flops / took
table = np.ones((1_000_000, 16), np.float32)
bags = md.EmbeddingBag(1_000_000, 16, mode="sum", rng=np.random.default_rng(0))
lookups, offsets = rng.integers(0, 1_000_000, 80_000), np.arange(0, 80_000, 4)
(took,) = seconds(lambda: bags.forward(lookups, offsets), repeats=5)
flops, moved = traffic_answer(20_000, 4, 16)
points["lookup and sum"] = flops / moved, flops / took
peak = max(peak, *(rate for _, rate in points.values()))

# %% tags=["timing"]
fig, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
intensity = np.geomspace(0.05, 1000, 100)
ax.loglog(intensity, np.minimum(peak, intensity * bandwidth) / 1e9, "-", color="0.3", label="roof")
for (name, (x, y)), marker in zip(points.items(), "os^", strict=True):
    ax.loglog(x, y / 1e9, marker, label=name, ms=9)
ax.set(xlabel="arithmetic intensity (FLOPs a byte)", ylabel="billion FLOPs a second")
ax.legend()
ax.grid(alpha=0.3, which="both")

# %% [markdown]
# Left of the bend, memory is the limit; right of it, arithmetic. A lookup is far to the left: a faster processor would not
# help it, and rows at random places cost more than neighbouring ones. A product of large matrices is to the right. With a small
# batch it moves to the left: the matrix $W$ is read for only a few samples. A mark above the slanting line is not a mistake: its
# numbers came from a cache, which is faster than memory.
#
# ### Half the bytes
#
# float32 has half the bytes of float64: twice as many numbers come from memory in a second, and twice as many fit in a
# register. Gradient checks need float64; training does not.

# %% tags=["timing"]
double = square.astype(np.float64)
single, twice = seconds(lambda: square @ square, lambda: double @ double)
print(f"a matrix product in float64 takes {twice / single:.1f} times as long as in float32")

# %% [markdown]
# ## 6. Large calls
#
# One call on a large array beats many calls on small ones: every call from Python has a fixed cost. So the library keeps all
# tables of a model in one array, and looks them all up in one call. See the cost of a training step, per sample:

# %% tags=["timing"]
small = md.DLRM(13, [1000] * 26, 16, bottom_mlp=(64,), top_mlp=(64,))
batch_sizes = [1, 4, 16, 64, 256, 1024, 4096]


def step(rows):
    small.zero_grad()
    loss.forward(small.forward(rows), rows.label)
    small.backward(loss.backward())
    optimizer.step(small.parameters())


per_sample = []
for B in batch_sizes:
    label = np.ones(B, np.float32)
    rows = md.data.Batch(np.ones((B, 13), np.float32), rng.integers(0, 1000, (B, 26)), label)
    per_sample.append(1e6 * seconds(lambda rows=rows: step(rows))[0] / B)
fig, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
ax.loglog(batch_sizes, per_sample, "o-")
ax.set(xlabel="batch size, B", ylabel="time a sample (µs)", title="The cost of a call is shared")
ax.grid(alpha=0.3)

# %% [markdown]
# To the right it may rise again: the arrays of the batch no longer fit in the caches, or the products become large enough
# for threads, but no core is free for them (section 7).
#
# ### Your turn
#
# Let a step of $B$ samples take $c + B s$: a cost $c$ for its calls, and $s$ for each sample. Find $c$ and $s$ from the times
# of two batch sizes. The blank attributes all the time to the samples.


# %%
def cost_of_a_call(B1, time1, B2, time2):
    s = time2 / B2
    return 0.0, s  # your turn: c and s


def check_cost_of_a_call(function):
    c, s = function(10, 230.0, 1000, 3200.0)  # µs
    for B, took in ((10, 230), (1000, 3200)):
        if abs(c + B * s - took) > 1e-6:
            tell(
                "not yet: with your c and s, B = {B} takes {said:.0f} µs; measured: {took}",
                B=B,
                said=c + B * s,
                took=took,
            )
            return
    tell("right: c = 200 µs, s = 3 µs")


check_cost_of_a_call(cost_of_a_call)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Two equations: `s = (time2 - time1) / (B2 - B1)`, and `c = time1 - B1 * s`.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def cost_of_a_call_answer(B1, time1, B2, time2):
    s = (time2 - time1) / (B2 - B1)
    return time1 - B1 * s, s


print("the answer:")
check_cost_of_a_call(cost_of_a_call_answer)

# %% [markdown]
# ## 7. Threads
#
# Matrix products run on all cores by themselves: NumPy hands them to a BLAS library (basic linear algebra subprograms), which has threads.
# It reads the number of threads from the environment, once, when NumPy is imported. So we start a new Python for each number of
# threads, and time the product of two matrices of shape $(n, n)$.

# %%
PROGRAM = """
import sys, time
import numpy as np
for n in map(int, sys.argv[1:]):
    x, W, laps = np.ones((n, n), np.float32), np.ones((n, n), np.float32), []
    for _ in range(6):
        start = time.perf_counter()
        x @ W.T
        laps.append(time.perf_counter() - start)
    print(np.median(laps[1:]))
"""
NAMES = ["OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"]


def product_times(threads, sizes):
    """Time products in a new process, in which BLAS has this many threads."""
    environment = os.environ | dict.fromkeys(NAMES, str(threads))
    command = [sys.executable, "-c", PROGRAM, *map(str, sizes)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return np.array(done.stdout.split(), float)


# %% tags=["timing"]
cores, widths = os.cpu_count() or 1, [16, 32, 64, 128, 256, 512, 1024]
one_thread, all_cores = product_times(1, widths), product_times(cores, widths)
fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
ax.loglog(widths, 1e3 * one_thread, "o-", color="0.2", label="1 thread")
ax.loglog(widths, 1e3 * all_cores, "s--", color="0.55", label=f"all cores: {cores}")
ax.set(xlabel="n: width of both matrices", ylabel="time of a product (ms)")
ax.set_xticks(widths, widths, minor=False)
ax.minorticks_off()
ax.set_title("Threads of BLAS")
ax.legend()
ax.grid(alpha=0.3)
for k in (1, -1):
    gain = one_thread[k] / all_cores[k]
    print(f"n = {widths[k]:4}: 1 thread takes {gain:.2f} times as long as {cores}")

# %% [markdown]
# A thread must be woken and waited for. This costs microseconds, as much as a small product. So threads can only speed up large
# products, at most by the number of cores, and only if the cores are *free*. While other programs use them, each thread waits
# for its turn, and all threads wait for the last one: then the dashed line may be far **above** the other.
#
# The library's own kernels use one core. Why not all? Numba would start threads of *its own*. Then two teams work in turns, and
# the idle team spins while it waits: on some machines a step takes 3 to 30 times as long. One team is enough, since lookups
# wait for memory, not for arithmetic.
#
# ### Your turn
#
# How much can threads give? With one thread a step takes the time 1. The share $p$ of it is matrix products, and they run
# $m$ times as fast with $m$ threads. The rest stays as it is. How many times faster is the step with $m$ threads, and with as
# many threads as you like? The blank makes everything $m$ times as fast.


# %%
def check_threads(function):
    with_m, at_most = function(4, 0.9)
    if abs(with_m - 1 / 0.325) < 1e-9 and abs(at_most - 10) < 1e-9:
        tell(
            "right: with p = 0.9, 4 threads make a step 3.08 times as fast, and no number more than 10"
        )
        return
    tell(
        "not yet: with p = 0.9, 4 threads give {with_m:.2f} times, at most {at_most:.2f} times",
        with_m=with_m,
        at_most=at_most,
    )
    took = 1 / with_m
    tell(
        "  so your step takes {took:.3f}; but the part without threads alone takes 0.1, and the "
        "products take 0.9 / 4 = 0.225",
        took=took,
    )


# %%
def times_faster_with(m, p):
    with_m = m  # your turn
    at_most = np.inf  # your turn
    return with_m, at_most


check_threads(times_faster_with)

# %% [markdown]
# <details><summary>Answer</summary>
#
# The step takes $(1 - p) + p / m$, and never less than $1 - p$. So it is $1 / (1 - p + p / m)$ times faster, and at most
# $1 / (1 - p)$ times. This is Amdahl's law: the part that you do not make faster is soon all that is left.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def times_faster_with_answer(m, p):
    with_m = 1 / (1 - p + p / m)
    at_most = 1 / (1 - p)
    return with_m, at_most


print("the answer:")
check_threads(times_faster_with_answer)

# %% [markdown]
# ## 8. The road of one step
#
# Here is the road that the library's own training step has gone, at $B = 2048$. Each stage is a new Python, since the number of
# threads and what is kept of memory belong to a process.
#
# 1. **By hand**: the five lines, the whole batch at once. BLAS takes all cores for each product.
# 2. **Memory kept.** A step makes arrays of megabytes. The system takes them back when they are freed, and clears every page of 4 KiB
#    before it hands it out again: a *page fault*. One call tells the C library (glibc, on Linux) to keep the memory.
# 3. **BLAS with one thread.** Its threads wait for each other in every product, also in the small ones.
# 4. **Blocks.** A batch is cut into blocks of some hundred rows, so that the arrays of a block stay in a cache.
# 5. **Workers.** Each core takes blocks of its own; they meet once a step, and not once a product. This is what `fit` does.

# %%
SET_UP = """
import sys, time
import numpy as np
import minidlrm as md
from minidlrm import machine

stage, B = sys.argv[1], 2048
rng, sizes = np.random.default_rng(0), [10_000] * 26
dense, ids = rng.normal(size=(4 * B, 13)), rng.integers(0, 10_000, (4 * B, 26))
rows = md.data.Batch(dense.astype(np.float32), ids, np.ones(4 * B, np.float32))
model = md.DLRM(13, sizes, 16, bottom_mlp=(512, 256, 64), top_mlp=(512, 256))
loss, optimizer = md.BCEWithLogits(), md.SGD(0.01)
"""

# %% [markdown]
# The two ways to take the four steps of an epoch:

# %%
WAYS = """
def by_hand():
    for batch in md.data.minibatches(rows, B):
        model.zero_grad()
        loss.forward(model.forward(batch), batch.label)
        model.backward(loss.backward())
        optimizer.step(model.parameters())

def in_blocks():
    workers = 1 if stage == "blocks" else None
    md.fit(model, rows, optimizer=optimizer, batch_size=B, workers=workers, progress=False)
"""

# %% [markdown]
# And what is measured, after a first epoch that warms up: seconds and page faults of a step.

# %%
MEASURE = """
def faults():
    try:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    except ImportError:  # Windows
        return 0

def run(epoch):
    laps = []
    for _ in range(3):
        before, start = faults(), time.perf_counter()
        epoch()
        laps.append((time.perf_counter() - start, faults() - before))
    print(*(np.median(laps[1:], axis=0) / 4))

if stage in ("memory", "one thread"):
    machine.keep_memory()
if stage == "one thread":
    machine.set_blas_threads()
run(by_hand if stage in ("by hand", "memory", "one thread") else in_blocks)
"""

# %%
STAGES = {
    "by hand": "by hand",
    "memory": "+ memory kept",
    "one thread": "+ BLAS with one thread",
    "blocks": "+ blocks",
    "workers": "+ workers: fit",
}


def stage_of_the_road(stage):
    """Return seconds and page faults of a step, measured in a new process."""
    command = [sys.executable, "-c", SET_UP + WAYS + MEASURE, stage]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


# %% tags=["timing"]
road = np.array([stage_of_the_road(stage) for stage in STAGES])
ratios = road[:, 0] / road[0, 0]
fig, ax = plt.subplots(figsize=(6.4, 2.8), layout="constrained")
bars = ax.barh(list(STAGES.values()), ratios, color="0.7", edgecolor="0.3")
ax.bar_label(
    bars,
    labels=[f" {r:.2f}, {f:,.0f} page faults" for r, f in zip(ratios, road[:, 1], strict=True)],
)
ax.set(xlabel="time of a step; by hand = 1", xlim=(0, 1.7 * ratios.max()))
ax.invert_yaxis()

# %% [markdown]
# On a quiet machine the third bar may be the longest: all products run on one core there. While other programs are running, the
# first two are, for each product waits for a thread that has no core. Threads that meet once a step wait less than threads
# that meet in every product.
#
# A gradient from blocks must be that of the batch. And it must have the same bits with any number of workers. Floating-point
# sums depend on their order, so the library adds the blocks up as a tree whose shape depends on $B$ alone:
# $((g_0 + g_1) + (g_2 + g_3))$. It does not matter who brings a part, nor when.
#
# ### Your turn
#
# The loss of a batch is a mean over its rows. Each block gives the gradient $g_k$ of the mean over *its* $B_k$ rows. What is the
# gradient of the whole? The blank takes the mean of all $g_k$: right only for blocks of one size.


# %%
def gradient_of_the_batch(gradients, sizes):
    return sum(gradients) / len(gradients)  # your turn


def check_gradient_of_the_batch(function):
    found = function([np.array([1.0, 2.0]), np.array([4.0, -1.0])], [6, 2])
    wrong = md.checking.difference(found, np.array([1.75, 1.25]), say("the gradient"))
    text = say("not yet: for g = [1, 2] of 6 rows and [4, -1] of 2 rows,")
    print(f"{text} {wrong}" if wrong else "right")


check_gradient_of_the_batch(gradient_of_the_batch)

# %% [markdown]
# <details><summary>Answer</summary>
#
# $\frac{1}{B} \sum_k B_k g_k$: `sum(n * g for n, g in zip(sizes, gradients)) / sum(sizes)`. The library divides the loss's
# gradient by $B$ before it goes back, so that the blocks have only to be added.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def gradient_of_the_batch_answer(gradients, sizes):
    return sum(n * g for n, g in zip(sizes, gradients, strict=True)) / sum(sizes)


print("the answer:")
check_gradient_of_the_batch(gradient_of_the_batch_answer)


# %%
def weight_gradient(rows):
    model.zero_grad()
    loss.forward(model.forward(rows), rows.label)
    model.backward(loss.backward())
    return model.top.layers[0].weight.grad.copy()


whole, cuts = weight_gradient(batch), [0, 700, 1400, 2048]
parts_of_it = [weight_gradient(batch[first:last]) for first, last in pairwise(cuts)]
joined = gradient_of_the_batch_answer(parts_of_it, np.diff(cuts))
print("three blocks give the gradient of the batch:", np.allclose(joined, whole, atol=1e-6))

# %% [markdown]
# ### One sort
#
# A factorization machine has two numbers of rows for each id: a weight, and a vector of $D$ numbers. Their gradients have the
# same ids. To scatter them one after the other sorts the same ids twice; side by side, as $D + 1$ columns, once. What it gains
# depends on $D$: the additions grow with it, and the sort does not.


# %%
def two_sorts(ids, vectors, weights):
    return by_kernel(ids, vectors)[1], by_kernel(ids, weights)[1]


def one_sort(ids, vectors, weights):
    rows, sums = by_kernel(ids, np.hstack([vectors, weights]))
    return sums[:, :-1], sums[:, -1:]


weights = rng.normal(size=(n, 1)).astype(np.float32)
one, two = one_sort(ids, terms, weights), two_sorts(ids, terms, weights)
print("the same sums:", all(np.allclose(a, b) for a, b in zip(one, two, strict=True)))

# %% tags=["timing"]
twice, once = seconds(lambda: two_sorts(ids, terms, weights), lambda: one_sort(ids, terms, weights))
print(f"two sorts take {twice / once:.2f} times as long as one")

# %% [markdown]
# ## 9. The museum of this chapter
#
# These are fast, and wrong. For each, say what goes wrong before you run the next cell.


# %%
def sum_in_half(terms):
    """Add up in float16: a quarter of the bytes of float64."""
    total = np.float16(0)
    for term in terms.astype(np.float16):
        total = np.float16(total + term)
    return float(total)


def scatter_in_two_threads(ids, terms, num_rows):
    """What two threads without a lock can do: both read a row before one has written."""
    table = np.zeros(num_rows)
    for i in range(0, len(ids) - 1, 2):
        read = table[ids[i]], table[ids[i + 1]]  # both read
        table[ids[i]] = read[0] + terms[i]
        table[ids[i + 1]] = read[1] + terms[i + 1]  # and one write is lost
    return table


# %%
print("4,096 ones, added up in float16:", sum_in_half(np.ones(4096)))
small_ids = np.array([3, 3, 1, 2, 2, 0])
print("right:      ", np.bincount(small_ids, weights=np.ones(6)))
print("two threads:", scatter_in_two_threads(small_ids, np.ones(6), 4))
buffered = np.zeros(4)
buffered[small_ids] += 1
print("buffered:   ", buffered)

# %% [markdown]
# 1. float16 has 11 digits in base 2. At 2,048 the next number is 2,050, so adding 1 changes nothing. Sum in float32.
# 2. Two threads lose an addition when they meet in a row. It happens now and then, so each run gives a different result.
#    Above it happens whenever two neighbours have the same id.
# 3. The buffered form always loses repeats, even in one thread.
#
# Do they train? Put each in the place of the library's sums (the second half of its scatter-add), in a DLRM on synthetic
# clicks. (Two threads: each takes half of the lookups, so lookup $i$ meets lookup $i + n/2$.)


# %%
def wrong_sums(mistake):
    def add_groups(order, ends, dy, source, scale):  # the places of one row are a group of order
        group = np.empty(len(order), int)
        group[order] = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
        sums, half = np.zeros((len(ends) - 1, dy.shape[1]), dy.dtype), len(order) // 2
        if mistake == "float16":
            sums = sums.astype(np.float16)
            np.add.at(sums, group, dy.astype(np.float16))
        elif mistake == "two threads":
            lost = np.zeros(len(order), bool)
            lost[:half] = group[:half] == group[half : 2 * half]
            np.add.at(sums, group[~lost], dy[~lost])
        else:
            sums[group] += dy
        return sums.astype(dy.dtype)

    return add_groups


# %%
clicks = md.data.synthetic_clicks(40_000, seed=0, num_tables=8, order=1)
kept, mistakes = md.kernels.add_groups, ("right", "float16", "two threads", "buffered")
last_losses = []
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for mistake, style in zip(mistakes, ("-", "--", "-.", ":"), strict=True):
    md.kernels.add_groups = kept if mistake == "right" else wrong_sums(mistake)
    network = md.DLRM(13, clicks.table_sizes, 8, (16,), (32,), seed=0)
    options = {"optimizer": md.SGD(lr=0.3), "batch_size": 1024, "epochs": 4, "eval_every": 16}
    history = md.fit(network, clicks.train, clicks.valid, progress=False, **options)
    ax.plot(history.column("epoch"), history.column("valid_log_loss"), style, label=mistake)
    last_losses.append(history.column("valid_log_loss")[-1])
md.kernels.add_groups = kept
assert len(set(last_losses)) == 4  # each mistake changes what is learned
ax.set(xlabel="epoch", ylabel="validation log loss (nats)", title="Fast, wrong, and trains")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# All four train, and their order changes along the curves. Such a curve does not show that additions are lost.
#
# The fourth mistake is one of measuring: without a warm-up, the first call of a Numba function is timed with its
# compilation, and a kernel of a millisecond seems to take a second.
#
# ## What to remember
#
# 1. Warm up, repeat, take the median, compare in one run.
# 2. Sort, then write each row once. Never go through the whole table.
# 3. Lookups wait for memory, MLPs for arithmetic; the roofline shows which limit holds.
# 4. Large calls; one team of threads; float32.
# 5. Keep memory, cut a batch into blocks, and let threads meet once a step.
#
# Next: 09, where to go from here.
