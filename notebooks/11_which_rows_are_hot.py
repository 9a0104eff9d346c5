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
# # 11 · Which rows are hot
#
# [![Open in Colab](colab.svg)](https://colab.research.google.com/github/)
#
# Nearly all of a DLRM is in its tables, and each batch reads only a few rows of them. If the *same* few rows come again and
# again, a small fast memory can serve most look-ups, and the rest of the table may be far away. How small? The DLRM paper
# measures it in section 4.2 by **stack distances**. Here you compute them by hand, simulate a cache, and see why one pass
# over the look-ups tells the misses of caches of all sizes at once.
#
# You need notebook 01. Reading time: 40 minutes.
#
# **What you will have at the end**: stack distances, an LRU cache and its miss curve, each in a few lines; a program that
# draws look-ups like those that it has seen; and the number of rows of a table that are worth fast memory.

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
from minidlrm.data import Profile, lru_misses, stack_distances
from minidlrm.languages import say, tell

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. A trace
#
# A **trace** is the list of the rows of one table, in the order in which they are looked up. The reference implementation of
# DLRM ships this one, with eleven look-ups:

# %%
TRACE = [1, 2, 3, 4, 5, 3, 4, 1, 1, 6, 3]
print(len(TRACE), "look-ups of", len(set(TRACE)), "different rows:", *TRACE)

# %% [markdown]
# A cache begins empty. So the first look-up of a row always misses, however large the cache is.
#
# ### Your turn
#
# Which share of the look-ups is the first of its row? No cache can miss less. The blank takes the rows that occur once.


# %%
def first_share(trace):
    once = [row for row in trace if trace.count(row) == 1]
    return len(once) / len(trace)  # your turn: a row that comes back was new at first, too


def check_first_share(function):
    for trace, wanted in ((TRACE, 6 / 11), ([7, 7, 7, 7], 1 / 4), ([1, 2, 3], 1)):
        said = function(trace)
        if abs(said - wanted) > 1e-12:
            tell(
                "not yet: for {trace} you say {said:.2f}, and it should be {wanted:.2f}",
                trace=trace,
                said=said,
                wanted=wanted,
            )
            return
    tell("right: {share:.2f} of the eleven look-ups find a row for the first time", share=6 / 11)


check_first_share(first_share)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `len(set(trace)) / len(trace)`: each different row is new exactly once.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def first_share_answer(trace):
    return len(set(trace)) / len(trace)


print("the answer:")
check_first_share(first_share_answer)

# %% [markdown]
# ## 2. Stack distances, by hand
#
# Put the rows on a stack. At each look-up take the row out of the stack, wherever it is, and lay it on top. The **stack
# distance** of the look-up is the place where the row was found, counted from the top: 1 is the top. A row that was not
# there has distance 0.
#
# | look-up | 1 | 2 | 3 | 4 | 5 | 3 | 4 | 1 | 1 | 6 | 3 |
# | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
# | the stack before it, top first | | 1 | 2 1 | 3 2 1 | 4 3 2 1 | 5 4 3 2 1 | 3 5 4 2 1 | 4 3 5 2 1 | 1 4 3 5 2 | 1 4 3 5 2 | 6 1 4 3 5 2 |
# | distance | 0 | 0 | 0 | 0 | 0 | 3 | 3 | 5 | 1 | 0 | 4 |
#
# In other words: the distance is the number of **different** rows that were looked up since the last look-up of this row,
# this row included.
#
# ### Your turn
#
# Write it with a list whose first entry is the top. `stack.index(row)` is the place counted from 0; `stack.remove(row)` takes
# the row out; `stack.insert(0, row)` lays it on top. The blank counts the top as 0, so that it looks like a new row.


# %%
def distances_of(trace):
    stack, distances = [], []
    for row in trace:
        if row in stack:
            distances.append(stack.index(row))  # your turn: the top has distance 1
            stack.remove(row)
        else:
            distances.append(0)
        stack.insert(0, row)
    return distances


def check_distances(function):
    for trace in (TRACE, [5, 5, 5], list(rng.integers(0, 8, 60))):
        said, wanted = function(list(trace)), stack_distances(trace)
        wrong = md.checking.difference(np.asarray(said), wanted, "distances")
        if wrong:
            tell(
                "not yet: for {trace}: {wrong}", trace=[int(row) for row in trace[:11]], wrong=wrong
            )
            return
    tell("right: the distances of the library, for three traces")


check_distances(distances_of)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `1 + stack.index(row)`. The distance is also the size of the smallest cache that still has the row: with a cache of one row, a
# look-up of the same row as before is served, and that is distance 1.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def distances_answer(trace):
    stack, distances = [], []
    for row in trace:
        if row in stack:
            distances.append(1 + stack.index(row))
            stack.remove(row)
        else:
            distances.append(0)
        stack.insert(0, row)
    return distances


print("the answer:")
check_distances(distances_answer)
print(distances_answer(TRACE))

# %% [markdown]
# ## 3. A cache
#
# A cache holds a few rows. When it is full and a new row comes, one must go. **LRU** (least recently used) throws out the
# row whose last use is longest ago. The stack of section 2 is the cache: its rows are the top of the stack.
#
# ### Your turn
#
# Simulate a cache of `size` rows, and count the misses. The list holds the row used last at its front. The blank never
# moves a row that is found, so it throws out the row that *came in* first: that is another cache, FIFO.


# %%
def check_misses(function):
    long = list(rng.zipf(1.3, 300) % 40)
    for trace in (TRACE, [1, 2, 1, 3, 1], long):
        for size in (1, 2, 3, 5, 10, 40):
            said, wanted = function(list(trace), size), lru_misses(trace, size)
            if said != wanted:
                shown = [int(row) for row in trace[:11]]
                tell(
                    "not yet: {shown} with a cache of {size} has {wanted} misses, not {said}",
                    shown=shown,
                    size=size,
                    wanted=wanted,
                    said=said,
                )
                return
    tell("right: the misses of an LRU cache of every size")


# %%
def misses_of(trace, size):
    cache, misses = [], 0
    for row in trace:
        if row not in cache:
            misses += 1
            cache.insert(0, row)
            del cache[size:]  # your turn: what if the row is found?
    return misses


check_misses(misses_of)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Take a row that is found out of its place, and lay every row on top: `if row in cache: cache.remove(row)`, else count a miss;
# then `cache.insert(0, row)` and `del cache[size:]` in both cases.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def misses_answer(trace, size):
    cache, misses = [], 0
    for row in trace:
        if row in cache:
            cache.remove(row)
        else:
            misses += 1
        cache.insert(0, row)
        del cache[size:]
    return misses


print("the answer:")
check_misses(misses_answer)

# %% [markdown]
# ## 4. All sizes at once
#
# To try every size, one would simulate every size. But a cache of $n$ rows is the top $n$ of the *same* stack, whatever $n$ is.
# So it has a row exactly if the row's distance is from 1 to $n$:
#
# $$ \mathrm{misses}(n) = \text{number of look-ups whose distance is } 0 \text{ or above } n . $$
#
# One pass gives the distances, and their counts give the whole **miss curve**. (FIFO does not have this property: a larger
# FIFO cache can miss *more*.)
#
# ### Your turn
#
# From the distances of a trace, return the share of misses for each size 0, 1, 2, ..., up to `largest`. The blank counts
# distance 0 as a hit of every cache.


# %%
def miss_curve(distances, largest):
    shares = []
    for n in range(largest + 1):
        shares.append(np.mean(distances > n))  # your turn: what is distance 0?
    return np.array(shares)


def check_miss_curve(function):
    distances = stack_distances(TRACE)
    said, wanted = function(distances, 6), [lru_misses(TRACE, n) / 11 for n in range(7)]
    wrong = md.checking.difference(np.asarray(said), np.array(wanted), say("share of misses"))
    tell(
        "not yet: {wrong}" if wrong else "right: what the simulated caches miss, for every size",
        wrong=wrong,
    )


check_miss_curve(miss_curve)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `np.mean((distances == 0) | (distances > n))`: a row that comes for the first time is in no cache.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def miss_curve_answer(distances, largest):
    shares = []
    for n in range(largest + 1):
        shares.append(np.mean((distances == 0) | (distances > n)))
    return np.array(shares)


print("the answer:")
check_miss_curve(miss_curve_answer)

# %% [markdown]
# A longer trace: 5,000 look-ups in a table of 200 rows, where a few rows are much more frequent than the others (Zipf's law).
# The line is computed from the distances, the points are simulated.

# %%
zipf = np.minimum(rng.zipf(1.3, 5000), 200)
sizes = np.arange(201)
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
ax.plot(sizes, miss_curve_answer(stack_distances(zipf), 200), label="from the distances")
points = sizes[::20]
ax.plot(
    points, [misses_answer(zipf.tolist(), n) / len(zipf) for n in points], "o", label="simulated"
)
ax.set(xlabel="rows in the cache", ylabel="share of misses", title="One pass tells all sizes")
ax.grid(alpha=0.3)
ax.legend()

# %% [markdown]
# ## 5. Fast
#
# `stack.index` walks through the stack: with $u$ different rows, a trace of $n$ look-ups takes up to $n\,u$ steps. The tables of
# the Criteo data have millions of rows, and their traces have millions of look-ups.
#
# There is another way to count different rows. Write a mark at the time of each row's **last** look-up, and at no other. When
# a row comes again, the marks *after* its own mark belong to the rows that were looked up since: one mark each.
#
# ### Your turn
#
# `marks[t]` is 1 if look-up `t` is the last one of its row so far; `last[row]` says when that was. Keep the marks right. The
# blank never takes an old mark away, so it counts look-ups and not rows.


# %%
def distances_by_marks(trace):
    marks, last = np.zeros(len(trace), int), {}
    distances = np.zeros(len(trace), int)
    for t, row in enumerate(trace):
        if row in last:
            distances[t] = 1 + marks[last[row] + 1 :].sum()
            # your turn: which mark is no longer right?
        marks[t], last[row] = 1, t
    return distances


def check_marks(function):
    for trace in (TRACE, list(rng.integers(0, 9, 80))):
        wrong = md.checking.difference(function(trace), stack_distances(trace), "distances")
        if wrong:
            tell(
                "not yet: for {trace}: {wrong}", trace=[int(row) for row in trace[:11]], wrong=wrong
            )
            return
    tell("right: the distances, from marks alone")


check_marks(distances_by_marks)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `marks[last[row]] = 0` before the new mark is written.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def distances_by_marks_answer(trace):
    marks, last = np.zeros(len(trace), int), {}
    distances = np.zeros(len(trace), int)
    for t, row in enumerate(trace):
        if row in last:
            distances[t] = 1 + marks[last[row] + 1 :].sum()
            marks[last[row]] = 0
        marks[t], last[row] = 1, t
    return distances


print("the answer:")
check_marks(distances_by_marks_answer)

# %% [markdown]
# The sum is still slow: up to $n$ additions. But a **Fenwick tree** keeps sums of marks over blocks of 1, 2, 4, 8, ...
# places. It sums any range, and changes any mark, in $\log n$ steps. `md.data.stack_distances` does so, compiled:

# %% tags=["timing"]
import time

many = np.minimum(rng.zipf(1.2, 200_000), 50_000)
stack_distances(many[:100])  # compiles
start = time.perf_counter()
stack_distances(many)
print(f"{len(many):,} look-ups in {1e3 * (time.perf_counter() - start):.0f} ms")

# %% [markdown]
# ## 6. A trace like another
#
# The distances of a trace, and how often each occurs, are its **profile**. It tells nothing about *which* rows were read. So
# one can give it away where the trace is a secret, and others can draw a trace that behaves alike in a cache.
#
# To draw a look-up, draw a distance $d$ from the profile. Is it 0? Then read the next row that was not read before. Is it
# above 0? Then read the row at place $d$ of the stack. Then the row goes to the top.
#
# ### Your turn
#
# Write the step. `stack` is a list, top first; `new` holds the rows that were not read before; `d` is the distance. Return the
# row, and leave `stack` and `new` as they are afterwards. The blank leaves the row where it is.


# %%
def check_draw(function):
    stack, new = [], [1, 2, 3, 4, 5, 6]
    drawn = [function(d, stack, new) for d in stack_distances(TRACE)]
    if drawn == TRACE:
        tell("right: the distances of the eleven look-ups give the eleven look-ups")
    else:
        k = next(k for k in range(11) if drawn[k] != TRACE[k])
        tell(
            "not yet: look-up {k} reads row {drawn}, and should read {TRACE}: {drawn2}",
            k=k,
            drawn=drawn[k],
            TRACE=TRACE[k],
            drawn2=drawn,
        )


# %%
def draw_row(d, stack, new):
    if d == 0:
        row = new.pop(0)
        stack.insert(0, row)
    else:
        row = stack[d - 1]  # your turn: and then?
    return row


check_draw(draw_row)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `row = stack.pop(d - 1)`, and `stack.insert(0, row)` in both cases.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def draw_row_answer(d, stack, new):
    row = new.pop(0) if d == 0 else stack.pop(d - 1)
    stack.insert(0, row)
    return row


print("the answer:")
check_draw(draw_row_answer)

# %% [markdown]
# At first only the rows that were read already can be at a distance above 0, so the draw is held to these. `Profile.generate`
# does that. Its `padding` is the paper's adjustment: without it, the first look-ups of rows are too rare in a long trace of few
# rows, and the drawn trace waits long for them. This is Figure 3 of the paper, for 100 rows that are equally likely:

# %%
original = rng.integers(0, 100, 100_000)
profile, padded = Profile.of(original), Profile.of(original, padding=True)
traces = {
    "original": original,
    "drawn": profile.generate(100_000, seed=1),
    "drawn, adjusted": padded.generate(100_000, seed=1, padding=True),
}
fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
for (name, trace), style in zip(traces.items(), ("k-", ":", "--"), strict=True):
    counts = np.bincount(stack_distances(trace), minlength=101)
    ax.plot(np.arange(1, 101), counts[1:] / len(trace), style, label=name)
ax.set(xlabel="stack distance", ylabel="share of the look-ups", ylim=(0, None))
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# ## 7. What are your tables like?
#
# The ids of the Criteo data and the films of MovieLens, where this notebook finds them (the folder that `MINIDLRM_DATA` names);
# and synthetic clicks, whose ids follow Zipf's law.

# %%
clicks = md.data.synthetic_clicks(20_000, seed=0)
largest = int(np.argmax(clicks.table_sizes))
tables = {"synthetic": clicks.train.ids_of(largest)}
folder = Path(os.environ.get("MINIDLRM_DATA", ""))
if (folder / "criteo-sample" / "train_2000.txt").is_file():
    criteo = md.data.read_criteo(folder / "criteo-sample" / "train_2000.txt")
    tables["Criteo, C3"] = criteo.train.ids_of(2)
if (folder / "ml-latest-small").is_dir():
    films = md.data.movielens_clicks(folder / "ml-latest-small")
    tables["MovieLens, movie"] = films.train.ids_of(1)

# %%
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for (name, ids), style in zip(tables.items(), ("-", "--", "-."), strict=False):
    profile = Profile.of(ids)
    sizes = np.unique(np.geomspace(1, len(profile.accesses), 200).astype(int))
    rows = f"{name}: {len(profile.accesses):,} rows read"
    ax.semilogx(sizes, profile.miss_rate(sizes), style, label=rows)
ax.set(xlabel="rows in the cache", ylabel="share of misses", ylim=(0, 1))
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# ### Your turn
#
# How many rows are worth fast memory? Of the look-ups that *can* be served (distance above 0), let a share `goal` be served.
# Return the size of the smallest cache that does. The blank takes the share of the rows.


# %%
def check_rows(function):
    distances = np.repeat([0, 1, 2, 50], [10, 80, 15, 5])  # 100 look-ups can be served
    for goal, wanted in ((0.8, 1), (0.9, 2), (0.95, 2), (0.96, 50)):
        said = function(distances, goal)
        if said != wanted:
            tell(
                "not yet: with goal {goal} you say {said}, and it should be {wanted}: of 100",
                goal=goal,
                said=said,
                wanted=wanted,
            )
            tell("   look-ups above 0, 80 have distance 1, 15 have 2, and 5 have 50")
            return
    for name, ids in tables.items():
        found, rows = function(stack_distances(ids), 0.9), len(set(ids.tolist()))
        tell(
            "right; {name}: {found:,} of {rows:,} rows serve nine of ten look-ups",
            name=name,
            found=found,
            rows=rows,
        )


# %%
def rows_worth_it(distances, goal=0.9):
    return int(np.ceil(goal * distances.max()))  # your turn: sort the distances above 0


check_rows(rows_worth_it)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Sort the distances above 0. The one at place `ceil(goal * number)`, counted from 1, is the size.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def rows_worth_it_answer(distances, goal=0.9):
    seen = np.sort(distances[distances > 0])
    place = int(np.ceil(goal * len(seen) - 1e-9))
    return int(seen[place - 1])


print("the answer:")
check_rows(rows_worth_it_answer)

# %% [markdown]
# ## 8. The museum of this chapter
#
# Three ways to measure distances, each wrong. For each, find out what goes wrong before you run the next cells.


# %%
def wrong_1(trace):
    stack, distances = [], []
    for row in trace:
        distances.append(1 + stack.index(row) if row in stack else 0)
        if row not in stack:
            stack.insert(0, row)
    return distances


def wrong_2(trace):
    last, distances = {}, []
    for t, row in enumerate(trace):
        distances.append(t - last[row] if row in last else 0)
        last[row] = t
    return distances


def wrong_3(trace):
    stack, distances = [], []
    for row in trace:
        distances.append(stack.index(row) if row in stack else len(stack))
        stack = [row, *(other for other in stack if other != row)]
    return distances


# %%
print("right:  ", distances_answer(TRACE))
for function in (wrong_1, wrong_2, wrong_3):
    print(f"{function.__name__}:", function(TRACE))

# %% [markdown]
# 1. `wrong_1` does not move a row to the top when it is found. It gives places in the order of the *first* look-ups. The rows
#    read most often may stay at the bottom for ever.
# 2. `wrong_2` counts look-ups, and not different rows. A row that comes twice in between counts twice. So caches seem to need
#    more rows than they do.
# 3. `wrong_3` counts from 0, and gives a new row the size of the stack. Now 0 stands for the row at the top, the surest hit,
#    and the rule of section 4 takes it for a miss; and a new row seems to be served if the cache is large enough.
#
# On a long trace, all three give a curve that looks like a miss curve. Only the simulation shows which one is right:

# %%
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
trace = zipf[:2000].tolist()
styles = {distances_answer: "k-", wrong_1: "--", wrong_2: "-.", wrong_3: ":"}
for function, style in styles.items():
    curve = miss_curve_answer(np.array(function(trace)), 200)
    ax.plot(curve, style, label=function.__name__.replace("distances_answer", "right"))
points = np.arange(0, 201, 20)
ax.plot(points, [lru_misses(trace, n) / len(trace) for n in points], "o", label="simulated")
ax.set(xlabel="rows in the cache", ylabel="share of misses", title="Which of them is a miss curve?")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# `minidlrm paper 4.2` measures every table of a data set in this way, `minidlrm paper 4.2 --data criteo:FILE` the tables of
# yours.
#
# ## What to remember
#
# 1. The stack distance counts the *different* rows since the last look-up of a row, the row included.
# 2. An LRU cache of $n$ rows misses the look-ups with distance 0 or above $n$: one pass tells every size.
# 3. Marks in a Fenwick tree take $n \log n$ steps.
# 4. A profile is enough to draw a trace that behaves alike, and it does not give the trace away.
# 5. A few rows serve most look-ups: put these where memory is fast.
