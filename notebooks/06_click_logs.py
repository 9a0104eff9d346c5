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
# # 06 · Training on click logs
#
# [![Open in Colab](colab.svg)](https://colab.research.google.com/github/)
#
# The model is ready. Now the data: what a click log looks like, how to read it, what to measure, and what to expect. Most
# problems of a recommender are here.
#
# You need notebook 05. Reading time: 55 minutes.
#
# **What you will have at the end**: a Criteo file, read and encoded; log loss, AUC and calibration, computed by hand; the
# optimizers, compared on rows that come and go; the limit that no model can beat; and a model of your own table.

# %%
# In Colab, or where minidlrm is not installed: pip install it first.
import importlib.util

if importlib.util.find_spec("minidlrm") is None:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "minidlrm"], check=True)

import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import minidlrm as md
from minidlrm.languages import say, tell

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. A line of a click log
#
# The Criteo challenge of 2014 published seven days of ads. A line has a label (clicked or not), 13 counts, and 26
# categories, hashed to eight hexadecimal digits. Fields are separated by tabs; an empty field is missing.
#
# This notebook reads the first lines of that file, if it finds them in the folder named by `MINIDLRM_DATA`. Otherwise it
# writes a file of the same form, with random numbers.

# %%
path = Path(os.environ.get("MINIDLRM_DATA", "")) / "criteo-sample" / "train_2000.txt"
if not path.is_file():
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / "made_up.txt"
    lines = []
    for _ in range(2000):
        counts = [str(int(n)) if rng.random() > 0.2 else "" for n in rng.exponential(20, 13)]
        ids = [f"{int(n):08x}" if rng.random() > 0.1 else "" for n in rng.zipf(1.5, 26) % 2**32]
        lines.append("\t".join([str(int(rng.random() < 0.25)), *counts, *ids]))
    path.write_text("\n".join(lines) + "\n")
print(path.name)
print(path.read_text().splitlines()[0][:120], "...")

# %% [markdown]
# ### Your turn
#
# Parse one line: the label as an int, a list of 13 counts, and a list of 26 ids. A category of eight hexadecimal digits is
# a number, too: `int("000000ff", 16)` is 255. A missing field becomes `None`. Keep every field in its place: any of them may
# be empty, also the last.


# %%
def check_parse(function):
    fields = ["1", "3", "", "-1", *["0"] * 10, "000000ff", "", *["0000000a"] * 23, ""]
    parts = function("\t".join(fields) + "\n")
    right = 1, [3, None, -1, *[0] * 10], [255, None, *[10] * 23, None]
    if (len(parts[1]), len(parts[2])) != (13, 26):
        tell(
            "not yet: {counts} counts and {ids} ids, but a line has 13 and 26. Where did the empty "
            "fields go?",
            counts=len(parts[1]),
            ids=len(parts[2]),
        )
        return
    said, wanted = ([part[0], *part[1], *part[2]] for part in (parts, right))
    for k, (mine, field) in enumerate(zip(said, wanted, strict=True)):
        if mine != field:
            tell(
                "not yet: field {k} {fields!r} should become {field!r}; you have {mine!r}",
                k=k,
                fields=fields[k],
                field=field,
                mine=mine,
            )
            return
    tell("right: 1 label, 13 counts, 26 ids")


# %%
def parse(line):
    fields = line.split()  # your turn: look at this line first
    label, counts, ids = fields[0], fields[1:14], fields[14:]
    return label, counts, ids


check_parse(parse)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `split()` without an argument takes several tabs for one, and drops empty fields at the end: all later fields move to the
# left, into places where they do not belong. `split("\t")` keeps every field. Remove the end of the line with
# `rstrip("\n")`: `strip()` would also remove tabs at the end.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def parse_answer(line):
    label, *fields = line.rstrip("\n").split("\t")
    counts = [int(c) if c else None for c in fields[:13]]
    ids = [int(v, 16) if v else None for v in fields[13:]]
    return int(label), counts, ids


print("the answer:")
check_parse(parse_answer)

# %%
parsed = [parse_answer(line) for line in path.read_text().splitlines()]
print(f"{len(parsed):,} lines, clicked: {np.mean([label for label, _, _ in parsed]):.1%}")
for name, place in (("counts", 1), ("ids", 2)):
    missing = np.mean([[v is None for v in parts[place]] for parts in parsed])
    print(f"{name} that are missing: {missing:.1%}")

# %% [markdown]
# ## 2. From text to numbers
#
# Three decisions, each with a trap.
#
# - **Counts** have a long tail: most are small, some are 10,000. A network wants numbers near 1. So a count $c$ becomes
#   $\log(1 + \max(c, 0))$: the counts of Criteo are sometimes negative. A missing count becomes 0.
# - **Categories** become ids: the row of a table. The vocabulary (the list of known categories) is made from the **training** rows
#   only. Ids that are new in the test rows, or too rare to learn, share the id 0. (Test rows in the vocabulary would be a leak.)
# - **The split** is by time: the last day is for the test. A random split would let the model see the future.

# %%
clicks = md.data.read_criteo(path, min_count=2, progress=False)
print(clicks.description)
print("dense", clicks.train.dense.shape, "  ids", np.asarray(clicks.train.sparse).shape)
print("rows of the tables:", clicks.table_sizes)
ours = np.log1p([[max(c or 0, 0) for c in counts] for _, counts, _ in parsed])
theirs = clicks.train.dense
print(f"dense, largest difference from ours: {np.abs(ours[: len(theirs)] - theirs).max():.1e}")

# %%
counts = np.arange(0, 2001)
fig, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
axes[0].plot(counts, np.log1p(counts), color="#0072b2")
axes[0].set(xlabel="count c", ylabel="log(1 + c)", title="What the network gets")
axes[0].grid(alpha=0.3)
ids = np.asarray(clicks.train.sparse)
for t, style in ((0, "-"), (2, "--"), (8, ":")):
    often = np.sort(np.bincount(ids[:, t]))[::-1]
    often = often[often > 0]
    axes[1].loglog(1 + np.arange(len(often)), often, style, label=f"table {t}")
axes[1].set(
    xlabel="rank of the id",
    ylabel="times in the training rows",
    title="A few ids make up most of it",
)
_ = axes[1].legend()

# %% [markdown]
# The right picture is **Zipf's law**: the second most frequent id comes about half as often as the first, the tenth a
# tenth as often. So most rows of a table are seen a few times, and must be learned from that.
#
# ### Your turn
#
# Rare ids share one row. Write the encoder of one column: ids that occur at least `min_count` times in the *training* rows
# get 1, 2, ... in ascending order, all others get 0. The blank makes the vocabulary from the training and the test rows
# together: it has seen the future.


# %%
def check_encode(function):
    train, test = np.array([7, 7, 9, 4, 4, 4]), np.array([9, 7, 9, 5])
    wanted = np.array([2, 2, 0, 1, 1, 1]), np.array([0, 2, 0, 0])
    wrong = md.checking.difference(function(train, test), wanted, "train, test")
    if wrong:
        tell(
            "not yet: with {train} in training and {test} in the test, {wrong}.",
            train=train,
            test=test,
            wrong=wrong,
        )
        tell("In training, 4 occurs three times, 7 twice, 9 once, and 5 never.")
    else:
        tell("right")


# %%
def encode(train, test, min_count=2):
    values, count = np.unique(np.concatenate([train, test]), return_counts=True)  # your turn
    known = values[count >= min_count]
    place = {value: k + 1 for k, value in enumerate(known.tolist())}
    return [np.array([place.get(v, 0) for v in part.tolist()]) for part in (train, test)]


check_encode(encode)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `np.unique(train, return_counts=True)`: what is unknown at the time of training must not be used.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def encode_answer(train, test, min_count=2):
    values, count = np.unique(train, return_counts=True)
    known = values[count >= min_count]
    place = {value: k + 1 for k, value in enumerate(known.tolist())}
    return [np.array([place.get(v, 0) for v in part.tolist()]) for part in (train, test)]


print("the answer:")
check_encode(encode_answer)

# %% [markdown]
# ## 3. What to measure
#
# Two thousand lines are too few to learn from. From here on we use synthetic clicks: 26 tables, Zipf ids, and a
# **planted truth**, so that we know the best possible score.

# %%
data = md.data.synthetic_clicks(200_000, seed=0)
print(data.description)
model = md.DLRM(13, data.table_sizes, embedding_dim=16, bottom_mlp=(64, 32), top_mlp=(128, 64))
history = md.fit(
    model,
    data.train,
    data.valid,
    optimizer=md.Adam(0.002),
    epochs=1,
    batch_size=512,
    eval_every=40,
    progress=False,
)
label, logit = np.asarray(data.test.label), md.predict(model, data.test, logits=True)
rate = 1 / (1 + np.exp(-logit))

# %% [markdown]
# **Log loss**: the mean of $-\log$ (probability of what happened). This is what we minimize. Its unit is the nat, because
# the logarithm is natural. Predicting the mean click rate $\bar p$ for everyone costs the *entropy* of that rate,
# $-\bar p \log \bar p - (1 - \bar p) \log (1 - \bar p)$; a model must do better.
#
# ### Your turn
#
# Compute the log loss from labels and rates. The blank counts the clicks only.


# %%
def log_loss(label, rate):
    return float(-np.mean(label * np.log(rate)))  # your turn: and what does a non-click cost?


def check_log_loss(function):
    said, wanted = function(label, rate.astype(float)), md.metrics.log_loss(label, logit)
    close = abs(said - wanted) < 1e-5
    tell(
        "right" if close else "not yet: {said:.4f}; the library says {wanted:.4f}",
        said=said,
        wanted=wanted,
    )


check_log_loss(log_loss)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `float(-np.mean(label * np.log(rate) + (1 - label) * np.log(1 - rate)))`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def log_loss_answer(label, rate):
    return float(-np.mean(label * np.log(rate) + (1 - label) * np.log(1 - rate)))


print("the answer:")
check_log_loss(log_loss_answer)

# %% [markdown]
# **AUC** (the area under a curve that we do not need here): take a random click and a random non-click. How often does the
# click have the higher score? 0.5 is chance. AUC depends on the order of the scores, and not on their size.
#
# ### Your turn
#
# Compute the AUC from this definition, with all pairs of a click and a non-click. `positive` holds the scores of the clicks,
# `negative` those of the others. A tie counts half. The blank guesses.


# %%
def auc_of_pairs(positive, negative):
    return 0.5  # your turn: compare every positive with every negative


def check_auc(function):
    positive, negative = logit[label == 1][:300], logit[label == 0][:300]
    some = np.concatenate([positive, negative])
    pairs = (positive, negative), (np.array([1.0, 2.0]), np.array([1.0, 0.0]))
    wanted = md.metrics.auc(np.repeat([1.0, 0.0], 300), some), 3.5 / 4
    names = say("300 clicks and 300 non-clicks"), say("two and two, one pair of them a tie")
    for name, pair, value in zip(names, pairs, wanted, strict=True):
        said = function(*pair)
        verdict = say(
            "right" if abs(said - value) < 1e-9 else "not yet: {said:.6f}; it is {value:.6f}",
            said=said,
            value=value,
        )
        print(f"{name}: {verdict}")


check_auc(auc_of_pairs)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `np.mean(positive[:, None] > negative)`, with half a point for a tie.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def auc_answer(positive, negative):
    higher, tie = positive[:, None] > negative, positive[:, None] == negative
    return float(np.mean(higher + 0.5 * tie))


print("the answer:")
check_auc(auc_answer)

# %% [markdown]
# **Calibration**: ads with a predicted click rate of 5% should be clicked in 5% of the cases. Money depends on it: the price
# of an ad is its value times its rate. AUC does not see it: if you add 3 to every logit, the order is the same.

# %%
edges = np.quantile(rate, np.linspace(0, 1, 11))
place = np.clip(np.searchsorted(edges, rate, side="right") - 1, 0, 9)
said = np.array([rate[place == k].mean() for k in range(10)])
happened = np.array([label[place == k].mean() for k in range(10)])
shifted = 1 / (1 + np.exp(-(logit + 1)))

fig, ax = plt.subplots(figsize=(4.6, 4.2), layout="constrained")
ax.plot([0, 1], [0, 1], color="0.6", lw=1, label="perfect")
ax.plot(said, happened, "o-", label="the model")
ax.plot([shifted[place == k].mean() for k in range(10)], happened, "s--", label="logits + 1")
ax.set(xlabel="predicted click rate", ylabel="observed click rate", title="Calibration")
ax.legend()
ax.grid(alpha=0.3)
for name, scores in (("the model", logit), ("logits + 1", logit + 1)):
    print(
        f"{name:11} AUC {md.metrics.auc(label, scores):.4f}, "
        f"log loss {md.metrics.log_loss(label, scores):.4f}"
    )

# %% [markdown]
# ## 4. The limit
#
# Clicks are random. Even if you know the true rate $p$ of every row, you cannot say whether *this* one will be clicked. The
# expected log loss of the true rates is the **Bayes limit**. A model can get below it only by luck.
#
# ### Your turn
#
# Compute it from the true rates $p$. A row is a click with probability $p$, and then it costs $-\log p$; otherwise it costs
# $-\log(1 - p)$. The blank takes the cost of a click for all.


# %%
def bayes_limit(p):
    return float(np.mean(-np.log(p)))  # your turn: the mean over what can happen


def check_bayes(function):
    said, wanted = function(np.array([0.5, 0.5, 0.2])), 0.628899
    tell(
        "right" if abs(said - wanted) < 1e-5 else "not yet: {said:.4f}; it is {wanted:.4f}",
        said=said,
        wanted=wanted,
    )


check_bayes(bayes_limit)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `float(np.mean(-p * np.log(p) - (1 - p) * np.log(1 - p)))`: the entropy, row by row.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def bayes_limit_answer(p):
    return float(np.mean(-p * np.log(p) - (1 - p) * np.log(1 - p)))


print("the answer:")
check_bayes(bayes_limit_answer)

# %%
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
_ = history.plot(ax=ax, bayes_log_loss=data.bayes_log_loss)
test = md.evaluate(model, data.test)
entropy = md.metrics.entropy(label)
print(f"mean rate for all {entropy:.4f}, the model {test['log_loss']:.4f}, ", end="")
print(f"the limit {data.bayes_log_loss:.4f}")
share = (entropy - test["log_loss"]) / (entropy - data.bayes_log_loss)
print(f"the model has learned {share:.0%} of what can be learned")

# %% [markdown]
# On real data the limit is unknown. That is why people compare models, and why a difference in the third digit matters:
# there is not much left to gain.
#
# ## 5. Optimizers on rows that come and go
#
# A batch touches few rows of a table. What should happen to the others?
#
# - **SGD**: nothing. A row without gradient does not move. But a rare id gets few steps, all of the same size.
# - **Adagrad** divides each step by the root of the sum of its squared gradients: rare rows keep large steps, frequent
#   ones slow down. It was made for this.
# - **Row-wise Adagrad** keeps one such sum for each row, and not for each number: a sixteenth of the memory at
#   $D = 16$. Large recommenders use it. (Below, $D = 8$, and the MLPs keep a sum for each of their numbers.)
# - **Adam** keeps two moving means for each number. *Lazy* Adam updates them only when the row is in the batch.


# %%
def run(optimizer):
    network = md.DLRM(13, data.table_sizes, 8, (32,), (64,), seed=0)
    history = md.fit(
        network,
        data.train[:100_000],
        data.valid,
        optimizer=optimizer,
        epochs=1,
        batch_size=512,
        eval_every=28,
        progress=False,
    )
    numbers = sum(a.size for state in optimizer.state.values() for a in state.values())
    return history.column("epoch"), history.column("valid_log_loss"), numbers


# %%
rules = {
    "SGD": md.SGD(0.3),
    "Adagrad": md.Adagrad(0.03),
    "row-wise Adagrad": md.RowwiseAdagrad(0.03),
    "Adam (lazy)": md.Adam(0.003),
}
curves = {}
fig, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
for (name, optimizer), style in zip(rules.items(), ("-", "--", "-.", ":"), strict=True):
    *curves[type(optimizer)], numbers = run(optimizer)
    ax.plot(*curves[type(optimizer)], style, label=f"{name}: {numbers:,} numbers of state")
ax.axhline(data.bayes_log_loss, color="0.3", ls=(0, (1, 4)), label="Bayes limit")
ax.set(xlabel="epoch", ylabel="validation log loss (nats)", title="Four rules, one epoch")
fig.legend(loc="outside lower center", ncols=2, fontsize="small")
ax.grid(alpha=0.3)

# %% [markdown]
# The rates were chosen in a few trials; another choice gives another picture. A fair comparison searches the best rate for
# each rule, and repeats it with several seeds.
#
# ### Your turn
#
# One step of Adagrad on one row. $w$ is the row, $g$ its gradient, $\eta$ the learning rate, and $\epsilon$ a tiny number that prevents
# a division by 0. $h$ is the sum of squared gradients so far: $h \leftarrow h + g^2$, then $w \leftarrow w - \eta\, g / (\sqrt{h} + \epsilon)$. The
# blank divides by the *old* sum.


# %%
def check_adagrad(function):
    class Yours(md.Adagrad):
        def update(self, weight, rows, grad, state, lr):
            h = state.setdefault("square_sum", np.zeros_like(weight))
            weight[rows], h[rows] = function(weight[rows], h[rows], grad, lr, self.eps)

    report = md.checking.optimcheck(Yours(lr=0.1), verbose=False)
    if report.passed:
        tell("right: the steps of md.Adagrad, on a matrix, a bias and a table")
        return
    example = function(np.array([1.0]), np.array([9.0]), np.array([-4.0]))
    wrong = md.checking.difference(example, ([1.08], [25.0]), "w, h")
    wrong = wrong and say(": from w = 1, h = 9 and the gradient g = -4, {wrong}", wrong=wrong)
    tell("not yet{wrong}", wrong=wrong)
    if report.diagnosis[0].key != "random":
        tell(
            "It looks as if {cause}. {hint}",
            cause=say(report.diagnosis[0].title),
            hint=say(report.diagnosis[0].hint),
        )


# %%
def adagrad_step(w, h, g, eta=0.1, eps=1e-10):
    w = w - eta * g / (np.sqrt(h) + eps)  # your turn: which h?
    return w, h + g * g


check_adagrad(adagrad_step)

# %% [markdown]
# <details><summary>Answer</summary>
#
# First `h = h + g * g`, then the step. The first step of a row then has the size $\eta$, whatever the gradient is.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def adagrad_step_answer(w, h, g, eta=0.1, eps=1e-10):
    h = h + g * g
    return w - eta * g / (np.sqrt(h) + eps), h


print("the answer:")
check_adagrad(adagrad_step_answer)

# %% [markdown]
# ## 6. The museum of this chapter
#
# Update rules have their classic mistakes, too. They have no derivative to check; `md.checking.optimcheck` compares their
# steps with those of the right rule. Find the mistakes first.

# %%
from minidlrm.checking import museum

bugs = museum.exhibits("SquaresNotSummed", "SumForMean", "BiasNotCorrected")
museum.show(bugs)

# %%
museum.explain(bugs)

# %% [markdown]
# Do they train? Here is each beside the right rule, with the same learning rate. (The right curves are those of section 5.)

# %%
fig, axes = plt.subplots(1, 3, figsize=(9, 3), sharey=True, layout="constrained")
for ax, bug, lr in zip(axes, bugs, (0.03, 0.03, 0.003), strict=True):
    epochs, losses, _ = run(bug.cls(lr=lr))
    ax.plot(*curves[bug.correct], "-", label="right")
    ax.plot(epochs, losses, "--", label="wrong")
    ax.set(xlabel="epoch", title=bug.cls.__name__)
    ax.legend(fontsize="small")
    ax.grid(alpha=0.3)
_ = axes[0].set(ylabel="validation log loss (nats)")

# %% [markdown]
# All six curves fall. `SquaresNotSummed` never slows down, so it shakes. `SumForMean` only takes steps that are smaller by
# $\sqrt{D}$: another learning rate would hide it. `BiasNotCorrected` begins with larger steps, and is *ahead* most of the
# way. Seen alone, none looks wrong.

# %% [markdown]
# ## 7. A table of your own
#
# All this works for your own rows. Here is a CSV file as a shop might write it: a price, a user, an item, its tags with a
# bar between them, and whether the user clicked. Some prices are missing. Put your own file in its place when you like.

# %%
import csv

shop = tempfile.TemporaryDirectory()
table, saved = Path(shop.name) / "shop.csv", Path(shop.name) / "shop.safetensors"
taste = rng.normal(size=(40, 25))  # how much each of 40 users likes each of 25 items
columns = ["click", "price", "user", "item", "tags"]
rows = []
for _ in range(8000):
    user, item, price = rng.integers(40), rng.integers(25), rng.lognormal(2, 1)
    p = 1 / (1 + np.exp(1 - 1.5 * taste[user, item] + 0.3 * (np.log(price) - 2)))
    tags = "|".join(rng.choice(["new", "red", "wool", "sale"], rng.integers(4), replace=False))
    shown = "" if rng.random() < 0.1 else f"{price:.2f}"
    rows.append([int(rng.random() < p), shown, f"u{user}", f"i{item}", tags])

with open(table, "w", newline="") as file:
    csv.writer(file).writerows([columns, *rows])
for line in rows[:3]:
    print(line)

# %% [markdown]
# `read_table` is told what each column is. It makes the vocabularies and scales the prices, from the training rows only;
# what it learned is the *schema*. The model takes its sizes from the data, and the schema is saved with the model.

# %%
roles = {"label": "click", "dense": ["price"], "sparse": ["user", "item"], "bags": {"tags": "|"}}
options = {"cache_dir": shop.name, "progress": False}
clicks = md.data.read_table(table, **roles, **options)
print(clicks.schema)

own = md.DLRM.for_data(clicks, embedding_dim=8, bottom_mlp=(16,), top_mlp=(32,))
md.fit(own, clicks, epochs=3, batch_size=64, optimizer=md.Adagrad(0.05), progress=False)
md.save(own, saved, schema=clicks.schema)
found = md.evaluate(own, clicks.test)
print(f"\ntest rows: log loss {found['log_loss']:.4f}, AUC {found['auc']:.4f}")

# %%
p = md.predict(own, clicks.test)
item = clicks.test.ids_of(1)
fig, ax = plt.subplots(figsize=(4.2, 3.6), layout="constrained")
for k in np.unique(item):
    ax.plot(p[item == k].mean(), clicks.test.label[item == k].mean(), "o", color="C0")
ax.axline((0, 0), slope=1, color="0.5", ls="--")
ax.set(xlabel="mean prediction", ylabel="share of clicks", title="A point for each item")
ax.grid(alpha=0.3)

# %% [markdown]
# The predictions of items lie along the diagonal, as far as so few rows can tell.
#
# ### Your turn
#
# Tomorrow, new rows come. The function loads the model, and gives each row a probability. The blank makes a schema from
# the new rows: then `u7` has another id than it had in training, and the model looks up the row of another user.


# %%
def score(path, new):
    model, schema = md.load_with_schema(path)
    schema = md.data.read_table(new, **roles, progress=False).schema  # your turn
    return md.predict(model, schema.encode(new))


def check_score(function):
    new = [dict(zip(columns, row, strict=True)) for row in rows[:50]]
    new.append({**new[0], "user": "nobody", "item": "nothing"})
    right = md.predict(own, clicks.schema.encode(new))
    wrong = md.checking.difference(function(saved, new), right, "p")
    if wrong:
        tell("not yet: {wrong}", wrong=wrong)
        return
    tell(
        "right: the probabilities of before saving; for an unknown user, {probability:.2f}",
        probability=right[-1],
    )


check_score(score)

# %% [markdown]
# <details><summary>Answer</summary>
#
# The ids of a table mean something only with the vocabulary that the model was trained with: leave the line out. A value
# that this vocabulary does not have gets the id 0.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def score_answer(path, new):
    model, schema = md.load_with_schema(path)
    return md.predict(model, schema.encode(new))


print("the answer:")
check_score(score_answer)

# %% [markdown]
# On the command line: `minidlrm train` with `--data table:FILE` does the same, and `minidlrm predict` scores a file.
#
# ## What to remember
#
# 1. Vocabulary from the training rows only; rare and new ids share a row; split by time.
# 2. Log loss is the goal; AUC measures the order, calibration the size.
# 3. The Bayes limit is above 0: clicks are random.
# 4. Rows come and go, so steps should differ from row to row: Adagrad.
# 5. A model without its vocabulary is worth nothing: save both in one file.
#
# Next: 07, the models before DLRM, derived and compared.
