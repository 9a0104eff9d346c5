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
# # 09 · Where to go next
#
# You have built a DLRM, and you know every number in it. Two ways lead on: to the tools that others use, and to the scale
# at which such models run.
#
# You need notebooks 05, 06 and 08. Reading time: 45 minutes. PyTorch is used if it is there (`pip install torch`); without it, its cells
# say so, and the rest runs.
#
# **What you will have at the end**: your DLRM in PyTorch on one page, with the same numbers; and four things that
# change when a table no longer fits in one machine, each computed.

# %%
# In Colab, or where minidlrm is not installed: pip install it first.
import importlib.util

if importlib.util.find_spec("minidlrm") is None:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "minidlrm"], check=True)

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import minidlrm as md

try:
    import torch
except ImportError:
    torch = None
    print("PyTorch is not installed: the cells that need it are skipped")

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. PyTorch in one page
#
# The names are the same, since we took PyTorch's:
#
# | minidlrm | PyTorch | note |
# | --- | --- | --- |
# | `md.Linear(3, 2)` | `torch.nn.Linear(3, 2)` | `weight` is (out, in) in both |
# | `md.EmbeddingBag(10, 4)` | `torch.nn.EmbeddingBag(10, 4, mode="sum")` | PyTorch's default mode is "mean" |
# | `md.BCEWithLogits()` | `torch.nn.BCEWithLogitsLoss()` | mean over the batch |
# | `model.backward(dy)` | `loss.backward()` | ours is derived, theirs is recorded |
# | `model.zero_grad()` | `optimizer.zero_grad()` | gradients add up in both |
# | `md.SGD(0.1).step(model.parameters())` | `torch.optim.SGD(model.parameters(), 0.1).step()` | |
#
# What PyTorch has and we do not: it writes the backward pass for you (*autograd*). It records every operation of the
# forward pass, and walks the record backwards, with a derivative for each operation that somebody derived by hand, as
# you did.

# %%
table_sizes, D = [50, 30, 40], 4
ours = md.DLRM(5, table_sizes, D, bottom_mlp=(8,), top_mlp=(6,), dtype=np.float64)
batch = md.data.Batch(
    rng.normal(size=(8, 5)),
    np.stack([rng.integers(0, n, 8) for n in table_sizes], axis=1),
    rng.integers(0, 2, 8).astype(float),
)

# %%
if torch is not None:

    class TorchDLRM(torch.nn.Module):
        def __init__(self):
            super().__init__()
            nn, F = torch.nn, 1 + len(table_sizes)
            self.emb_l = nn.ModuleList(
                nn.EmbeddingBag(n, D, mode="sum", sparse=True) for n in table_sizes
            )
            self.bot_l = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, D), nn.ReLU())
            width = D + F * (F - 1) // 2
            self.top_l = nn.Sequential(nn.Linear(width, 6), nn.ReLU(), nn.Linear(6, 1))
            self.pairs = torch.tril_indices(F, F, -1)

        def forward(self, dense, sparse):
            x = self.bot_l(dense)  # (B, D)
            vectors = [table(sparse[:, t : t + 1]) for t, table in enumerate(self.emb_l)]
            z = torch.stack([x, *vectors], dim=1)  # (B, F, D)
            products = (z @ z.transpose(1, 2))[:, self.pairs[0], self.pairs[1]]  # (B, P)
            return self.top_l(torch.cat([x, products], dim=1))[:, 0]


# %% [markdown]
# The weights are carried over under the names of the reference implementation: `md.interop.reference_state`. Then
# logits, loss and every gradient must be the same.

# %%
if torch is not None:
    theirs = TorchDLRM().double()
    state = md.interop.reference_state(ours)
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    dense, sparse, label = map(torch.from_numpy, (batch.dense, batch.sparse, batch.label))

    loss = md.BCEWithLogits()
    value = loss.forward(ours.forward(batch), batch.label)
    ours.zero_grad()
    ours.backward(loss.backward())
    logits = theirs(dense, sparse)
    torch_value = torch.nn.BCEWithLogitsLoss()(logits, label)
    torch_value.backward()
    difference = np.abs(logits.detach().numpy() - ours.forward(batch)).max()
    print(f"logits: {difference:.1e}   loss: {abs(torch_value.item() - value):.1e}")
    table = torch.cat([t.weight.grad.to_dense() for t in theirs.emb_l]).numpy()
    mine = ours.embeddings.weight.grad.to_dense()
    print(f"gradient of the tables: {np.abs(table - mine).max():.1e}")
    mine = ours.bottom.layers[0].weight.grad
    print(f"of the first layer:     {np.abs(theirs.bot_l[0].weight.grad.numpy() - mine).max():.1e}")

# %% [markdown]
# ### Three steps together

# %%
if torch is not None:
    theirs = TorchDLRM().double()
    theirs.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    sgd, torch_sgd = md.SGD(0.5), torch.optim.SGD(theirs.parameters(), 0.5)
    for step in range(3):
        ours.zero_grad()
        value = loss.forward(ours.forward(batch), batch.label)
        ours.backward(loss.backward())
        sgd.step(ours.parameters())
        torch_sgd.zero_grad()
        torch_value = torch.nn.BCEWithLogitsLoss()(theirs(dense, sparse), label)
        torch_value.backward()
        torch_sgd.step()
        print(f"step {step}: ours {value:.12f}, PyTorch {torch_value.item():.12f}")

# %% [markdown]
# A checkpoint is a *safetensors* file: names and arrays, and no code. PyTorch users open it with `safetensors.torch`.

# %%
from safetensors.numpy import load_file

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "dlrm.safetensors"
    md.save(ours, path)
    again = md.load(path)
    print("the same logits:", np.array_equal(again.forward(batch), ours.forward(batch)))
    for name, array in list(load_file(path).items())[:3]:
        print(f"{name:24} {array.shape}")

# %% [markdown]
# ## 2. Memory: how far does one machine go?
#
# Tables take *rows × D × 4 bytes*. Row-wise Adagrad needs 4 bytes more for each row, Adam twice as much again as the table.

# %%
rows = np.geomspace(1e6, 1e11, 50)
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for dim, style in ((16, ":"), (64, "--"), (128, "-")):
    ax.loglog(rows, rows * dim * 4 / 1e9, style, color="0.2", label=f"D = {dim}")
for name, size in (("a laptop: 16 GB", 16), ("a large server: 2,000 GB", 2000)):
    ax.axhline(size, color="0.6", lw=1)
    ax.text(1.2e6, size * 1.2, name, fontsize="small")
ax.axvline(33_762_577, color="0.6", lw=1)
ax.text(33_762_577 * 1.2, 0.1, "Criteo Kaggle", fontsize="small")
ax.set(xlabel="rows of all tables", ylabel="memory of the tables (GB)")
ax.legend(loc="lower right")
ax.grid(alpha=0.3)

# %% [markdown]
# Internet companies have tables with billions of rows (Mudigere et al. 2022 train models of trillions of parameters). Three answers:
# spread the tables over machines, use fewer rows, use fewer bytes.
#
# ## 3. Spread them: model parallel and data parallel
#
# The MLPs are small, and every machine has a copy: **data parallel**. Each works on its part of the batch. Then the gradients are
# averaged (*all-reduce*), and all take the same step. Let $K$ machines have $B / K$ samples each, and let the loss be a mean. Then
#
# $$ \frac{\partial L}{\partial W} = \frac1B \sum_{b=1}^{B} g_b = \frac1K \sum_{k=1}^{K} \Big( \frac{K}{B} \sum_{b \in k} g_b \Big), $$
#
# where $g_b$ is the gradient of sample $b$: **the mean of the machines' gradients is the gradient of the whole batch**.
#
# ### Your turn
#
# For an embedding table, each machine has a `SparseGrad`: sorted rows and their values. Merge them. The blank takes the mean over those
# machines that have the row, and that is not the mean over all.

# %%
model = md.DLRM(5, [9, 9, 9], D, bottom_mlp=(8,), top_mlp=(6,), dtype=np.float64)
big = md.data.Batch(
    rng.normal(size=(32, 5)), rng.integers(0, 9, (32, 3)), rng.integers(0, 2, 32).astype(float)
)


def table_gradient(rows):
    loss = md.BCEWithLogits()
    loss.forward(model.forward(rows), rows.label)
    model.zero_grad()
    model.backward(loss.backward())
    return model.embeddings.weight.grad


whole = table_gradient(big)
parts = [table_gradient(big[k : k + 8]) for k in range(0, 32, 8)]  # four machines


# %%
def all_reduce(grads):
    rows = np.unique(np.concatenate([grad.rows for grad in grads]))
    sums, count = np.zeros((len(rows), D)), np.zeros(len(rows))
    for grad in grads:
        place = np.searchsorted(rows, grad.rows)
        sums[place] += grad.values  # rows are distinct within a gradient
        count[place] += 1
    return md.SparseGrad(rows, sums / count[:, None], grads[0].shape)  # your turn


def check_reduce(function):
    wrong = np.abs(function(parts).to_dense() - whole.to_dense()).max(axis=1) > 1e-12
    print(f"not yet: {wrong.sum()} rows are wrong" if wrong.any() else "right: the whole batch's")


check_reduce(all_reduce)

# %% [markdown]
# <details><summary>Answer</summary>
#
# A machine without the row has the gradient 0 there, and counts: divide by `len(grads)`.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def all_reduce_answer(grads):
    rows = np.unique(np.concatenate([grad.rows for grad in grads]))
    sums = np.zeros((len(rows), D))
    for grad in grads:
        sums[np.searchsorted(rows, grad.rows)] += grad.values
    return md.SparseGrad(rows, sums / len(grads), grads[0].shape)


check_reduce(all_reduce_answer)

# %% [markdown]
# The tables do not fit in every machine. So they are spread: **model parallel**. Each machine looks up its rows for the *whole* batch,
# and sends the vectors to the machines that own the samples (*all-to-all*). DLRM is trained in this mixed way.
#
# Who gets what? Ids are not equally frequent. Give whole tables to 8 machines in turn, or spread all rows by a hash, and
# count the look-ups:

# %%
num_machines, sizes = 8, np.geomspace(10, 100_000, 26).astype(int)
per_table = rng.integers(1, 20, 26)  # some features are bags with many ids
load = {"tables in turn": np.zeros(num_machines), "rows by a hash": np.zeros(num_machines)}
for t, size in enumerate(sizes):
    n = int(2000 * per_table[t])
    ids = np.minimum(rng.zipf(1.3, n) - 1, size - 1)
    load["tables in turn"][t % num_machines] += n
    machine = md.data.encode.hash_ids(ids, t, num_machines)
    load["rows by a hash"] += np.bincount(machine, minlength=num_machines)
fig, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
for k, (name, counts) in enumerate(load.items()):
    place = np.arange(num_machines) + 0.4 * k
    ax.bar(place, counts / 1e3, 0.4, color=("0.4", "0.8")[k], edgecolor="0.2", label=name)
ax.set(xlabel="machine", ylabel="look-ups (thousands)", xticks=np.arange(num_machines))
ax.legend()
for name, counts in load.items():
    print(f"{name}: the busiest machine has {counts.max() / counts.mean():.1f} times the mean")

# %% [markdown]
# All wait for the busiest. Neither way is even: some tables are asked more than others, and some *ids* are. In practice a planner measures,
# splits the hot tables, and keeps the hottest rows in a cache.
#
# ## 4. Fewer rows: hashing
#
# No vocabulary, just `hash(id) % M`: $M$ rows, whatever comes (Weinberger et al. 2009). Ids that fall together share a vector. What does it cost?

# %%
clicks = md.data.synthetic_clicks(60_000, seed=0, num_dense=4, num_tables=8, max_table_size=400)


def hashed(rows, M):
    columns = [md.data.encode.hash_ids(rows.sparse[:, t], t, M) for t in range(8)]
    return md.data.Batch(rows.dense, np.stack(columns, axis=1), rows.label)


def loss_with(M):
    split = [hashed(rows, M) for rows in (clicks.train, clicks.valid, clicks.test)]
    network = md.FactorizationMachine(4, [M] * 8, 8)
    options = {"optimizer": md.Adam(0.005), "batch_size": 256, "progress": False}
    md.fit(network, split[0], split[1], epochs=3, **options)
    return md.evaluate(network, split[2])["log_loss"]


sizes = [4, 16, 64, 256, 1024]
losses = [loss_with(M) for M in sizes]
fig, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
ax.semilogx(sizes, losses, "o-", base=2, label="hashed")
ax.axhline(clicks.bayes_log_loss, color="0.4", ls=":", label="Bayes limit")
ax.set(xlabel="rows of each table, M", ylabel="test log loss (nats)", title="The price of sharing")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# ### Your turn
#
# How many ids have a vector of their own? Each of $N$ ids falls into one of $M$ rows, all equally likely. The chance that no other id is in the
# same row is $(1 - 1/M)^{N - 1}$. Write the expected **share** of ids that are alone. The blank is a common guess.


# %%
def share_alone(N, M):
    return 1 - N / M  # your turn


def check_share(function):
    N, M = 800, 1000
    row = md.data.encode.hash_ids(np.arange(N * 50), 0, M).reshape(50, N)  # 50 trials
    alone = np.mean([(np.bincount(r, minlength=M) == 1).sum() / N for r in row])
    said = function(N, M)
    verdict = "right" if abs(said - alone) < 0.02 else "not yet"
    print(f"{verdict}: {alone:.3f} was counted, {said:.3f} was said (N = {N}, M = {M})")


check_share(share_alone)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `(1 - 1 / M) ** (N - 1)`. With as many rows as ids, only 37% are alone. Yet the loss moves little: most ids are rare, and share with ids that
# are rare too. (Two hashes for each id, as in `md.QREmbeddingBag`, tell them apart again.)
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def share_alone_answer(N, M):
    return (1 - 1 / M) ** (N - 1)


check_share(share_alone_answer)

# %% [markdown]
# ## 5. Fewer bytes: quantization
#
# For serving, a row of $D$ floats becomes $D$ bytes and one scale: $q = \mathrm{round}(w / s)$ with $s = \max |w| / 127$, and back $w \approx s\, q$. That is a quarter of the
# memory, and a quarter of the traffic.
#
# ### Your turn
#
# One scale for the whole table is poor: one large row spoils all others. Give every row its own.


# %%
def quantize(table):
    s = np.full((len(table), 1), np.abs(table).max() / 127)  # your turn: one scale a row
    return np.round(table / s).astype(np.int8), s


def check_quantize(function):
    table = np.random.default_rng(5).normal(size=(200, 16))
    table *= np.geomspace(0.01, 10, 200)[:, None]  # frequent ids have grown
    q, s = function(table)
    error = np.abs(q * s - table).max(axis=1) / np.abs(table).max(axis=1)
    verdict = "right" if error.max() < 0.005 else "not yet"
    print(f"{verdict}: the largest error of a row is {error.max():.1%} of its largest number")


check_quantize(quantize)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `s = np.abs(table).max(axis=1, keepdims=True) / 127`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def quantize_answer(table):
    s = np.abs(table).max(axis=1, keepdims=True) / 127
    return np.round(table / s).astype(np.int8), s


check_quantize(quantize_answer)

# %% [markdown]
# What does it do to a trained model?

# %%
network = md.FactorizationMachine(4, clicks.table_sizes, 8)
options = {"optimizer": md.Adam(0.005), "batch_size": 256, "progress": False}
md.fit(network, clicks.train, clicks.valid, epochs=3, **options)
before = md.evaluate(network, clicks.test)["log_loss"]
table = network.fields.tables.weight.value
q, s = quantize_answer(table)
table[...] = q * s
after = md.evaluate(network, clicks.test)["log_loss"]
print(f"log loss with float32 {before:.5f}, with int8 rows {after:.5f}")

# %% [markdown]
# ## 6. The museum of this chapter
#
# Ports that run, and are wrong. Each line has one mistake; the numbers show it. Find the reason first.

# %%
if torch is not None:
    values, offsets = torch.tensor([1, 2, 3]), torch.tensor([0, 2])
    bag = torch.nn.EmbeddingBag(5, 2, _weight=torch.arange(10.0).reshape(5, 2))
    library = md.EmbeddingBag(5, 2)
    library.weight.value[...] = np.arange(10.0).reshape(5, 2)
    print("ours:   ", library.forward(values.numpy(), np.array([0, 2, 3])).tolist())
    print("PyTorch:", bag(values, offsets).tolist())

# %%
if torch is not None:
    logit = torch.tensor([2.0, -1.0])
    label = torch.tensor([1.0, 0.0])
    once = torch.nn.BCEWithLogitsLoss()(logit, label)
    twice = torch.nn.BCEWithLogitsLoss()(torch.sigmoid(logit), label)
    print(f"the loss {once:.4f}, and of sigmoid(logit) {twice:.4f}")
    layer = torch.nn.Linear(2, 2, bias=False)
    W = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    layer.weight.data = torch.from_numpy(W.T.copy())
    x = np.array([[1.0, 10.0]], np.float32)
    print("x @ W.T:", (x @ W.T).tolist(), "the port:", layer(torch.from_numpy(x)).tolist())

# %% [markdown]
# 1. PyTorch's `EmbeddingBag` takes the **mean** if you do not say `mode="sum"`. Its offsets begin the bags; ours have the end of the last bag too.
# 2. A sigmoid too many: `BCEWithLogits` applies its own. The loss cannot come near 0, and it still trains.
# 3. Both libraries keep `weight` as (out, in). Who transposes a square weight "to be sure" gets no error.
#
# ## 7. Read on
#
# - Naumov et al. 2019, "Deep learning recommendation model for personalization and recommendation systems": the DLRM.
# - Cheng et al. 2016, "Wide & deep learning"; Guo et al. 2017, "DeepFM"; Wang et al. 2017 and 2021, DCN and "DCN V2"; Lian et al. 2018, "xDeepFM".
# - Rendle 2010, "Factorization machines"; He et al. 2017, "Neural collaborative filtering"; Rendle et al. 2020, "Neural collaborative
#   filtering vs. matrix factorization revisited": simple models, tuned with care, are hard to beat.
# - Weinberger et al. 2009, "Feature hashing for large scale multitask learning"; Shi et al. 2020, "Compositional embeddings".
# - Mudigere et al. 2022, "Software-hardware co-design for fast and scalable training of deep learning recommendation models".
#
# And read the library: `minidlrm/layers/` has a page for each layer, with the derivation in the docstring of `backward`.
#
# ## What to remember
#
# 1. PyTorch does what you did by hand: for each operation, a derivative that somebody wrote.
# 2. The mean of the machines' gradients is the gradient of the whole batch; a machine without the row counts as zero.
# 3. MLPs are copied, tables are spread. The busiest machine sets the pace.
# 4. Hash for fewer rows, quantize for fewer bytes; measure what each costs.
#
# This is the end of the course. Go and build something.
