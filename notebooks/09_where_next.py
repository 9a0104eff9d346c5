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
# [![Open in Colab](colab.svg)](https://colab.research.google.com/github/)
#
# You have built a DLRM and know where each of its numbers comes from. There are two ways to go on. One leads to PyTorch, in
# which most people write such models. The other leads to tables that do not fit into one machine.
#
# You need notebooks 05 and 06. Reading time: 60 minutes. PyTorch is optional.
#
# **What you will have at the end**: your DLRM in PyTorch, with the same logits, loss, gradients and steps; a
# checkpoint that both can open; and the things that change with size, each computed or measured.

# %%
# In Colab, or where minidlrm is not installed: pip install it first.
import importlib.util

if importlib.util.find_spec("minidlrm") is None:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "minidlrm"], check=True)

import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import minidlrm as md
from minidlrm.languages import say, tell

# %%
try:
    import torch
except ImportError:
    torch = None
    print("PyTorch is not installed: these cells are skipped (pip install torch)")

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. The same model in PyTorch
#
# minidlrm uses PyTorch's names where PyTorch has the layer. So porting is mostly reading.
#
# | minidlrm | PyTorch | what to know |
# | --- | --- | --- |
# | `md.Linear(3, 2, rng=rng)` | `torch.nn.Linear(3, 2)` | `weight` has the shape (out, in) in both |
# | `md.Linear(..., activation="relu")` | `torch.nn.ReLU()` after it | a module of its own |
# | `md.EmbeddingBag(9, 4)` | `torch.nn.EmbeddingBag(9, 4)` | the mode is "mean" by default; DLRM needs "sum" |
# | `md.EmbeddingBagCollection` | `torch.nn.ModuleList` of bags | ours are one array, table below table |
# | `md.SparseGrad` | a sparse tensor, with `sparse=True` | without it the gradient is dense |
# | `md.BCEWithLogits()` | `torch.nn.BCEWithLogitsLoss()` | a mean over the batch in both |
# | `model.backward(loss.backward())` | `loss.backward()` | ours is derived, theirs is recorded |
# | `model.zero_grad()` | `optimizer.zero_grad()` | gradients add up until then |
# | `md.SGD(0.1)`, `.step(model.parameters())` | `torch.optim.SGD(model.parameters(), 0.1)`, `.step()` | |
#
# What PyTorch adds is **autograd**: it records each operation of the forward pass, and goes through this record backwards.
# For each operation somebody derived the backward formula by hand, as you did.
#
# A small DLRM and a batch, in float64:

# %%
table_sizes, D = [50, 30, 40], 2
ours = md.DLRM(5, table_sizes, D, bottom_mlp=(11,), top_mlp=(7,), dtype=np.float64)
batch = md.data.Batch(
    rng.normal(size=(9, 5)),
    np.stack([rng.integers(0, n, 9) for n in table_sizes], axis=1),
    rng.integers(0, 2, 9).astype(float),
)
print(ours)
print(batch)

# %% [markdown]
# The whole model, in PyTorch. There is no `backward`.

# %%
if torch is not None:

    class TorchDLRM(torch.nn.Module):
        def __init__(self):
            super().__init__()
            nn, F = torch.nn, 1 + len(table_sizes)
            bags = [nn.EmbeddingBag(n, D, mode="sum", sparse=True) for n in table_sizes]
            self.emb_l = nn.ModuleList(bags)
            self.bot_l = nn.Sequential(nn.Linear(5, 11), nn.ReLU(), nn.Linear(11, D), nn.ReLU())
            top_in = D + F * (F - 1) // 2
            self.top_l = nn.Sequential(nn.Linear(top_in, 7), nn.ReLU(), nn.Linear(7, 1))
            self.i, self.j = torch.tril_indices(F, F, -1)

        def forward(self, dense, sparse):
            x = self.bot_l(dense)  # (B, D)
            vectors = [bag(sparse[:, t : t + 1]) for t, bag in enumerate(self.emb_l)]
            z = torch.stack([x, *vectors], dim=1)  # (B, F, D)
            pairs = (z @ z.transpose(1, 2))[:, self.i, self.j]  # (B, P)
            return self.top_l(torch.cat([x, pairs], dim=1))[:, 0]  # (B,)


# %% [markdown]
# ### Carry the weights over
#
# The attributes are called `emb_l`, `bot_l` and `top_l`, as in the reference implementation of DLRM. For these names
# minidlrm has a function, `md.interop.reference_state`. (ReLUs have no weights but take a number each: 0, 2, 4, ...)

# %%
state = md.interop.reference_state(ours)
for name, array in state.items():
    print(f"{name:16} {array.shape}")


def ported(model, dtype):
    network = TorchDLRM().to(dtype)
    arrays = md.interop.reference_state(model).items()
    network.load_state_dict({name: torch.tensor(array) for name, array in arrays})
    return network


# %% [markdown]
# ### Compare, number by number
#
# With the same weights and the same batch, compare logits, loss, and the gradient of every array. `to_dense` writes out a
# sparse gradient, zeros included, so that the two can be subtracted.


# %%
def our_pass():
    loss = md.BCEWithLogits()
    logits = ours.forward(batch)
    value = loss.forward(logits, batch.label)
    ours.zero_grad()
    ours.backward(loss.backward())
    return logits, value


def our_gradients():
    whole = ours.embeddings.weight.grad.to_dense()  # all tables, one below the other
    ends = np.cumsum(table_sizes)[:-1]
    grads = {f"emb_l.{t}.weight": part for t, part in enumerate(np.split(whole, ends))}
    for name, mlp in (("bot_l", ours.bottom), ("top_l", ours.top)):
        for k, layer in enumerate(mlp.layers):
            grads[f"{name}.{2 * k}.weight"] = layer.weight.grad
            grads[f"{name}.{2 * k}.bias"] = layer.bias.grad
    return grads


logits, value = our_pass()
print(f"ours: loss {value:.6f}, {len(our_gradients())} gradients")

# %%
if torch is not None:
    theirs = ported(ours, torch.float64)
    dense, sparse, label = map(torch.from_numpy, (batch.dense, batch.sparse, batch.label))
    torch_logits = theirs(dense, sparse)
    torch_loss = torch.nn.functional.binary_cross_entropy_with_logits(torch_logits, label)
    torch_loss.backward()

    print("largest difference of")
    print(f"  logits           {np.abs(torch_logits.detach().numpy() - logits).max():.0e}")
    print(f"  loss             {abs(torch_loss.item() - value):.0e}")
    grads = our_gradients()
    for name, parameter in theirs.named_parameters():
        grad = parameter.grad.to_dense().numpy()
        print(f"  d {name:16} {np.abs(grad - grads[name]).max():.0e} {grad.shape}")

# %% [markdown]
# The differences are of the size of float64's rounding, about $10^{-16}$. Autograd and your derivation agree.
#
# ### Three steps together

# %%
if torch is not None:
    ours_sgd, torch_sgd = md.SGD(0.5), torch.optim.SGD(theirs.parameters(), 0.5)
    for step in range(3):
        _, value = our_pass()
        ours_sgd.step(ours.parameters())
        torch_sgd.zero_grad()
        torch_loss = torch.nn.functional.binary_cross_entropy_with_logits(
            theirs(dense, sparse), label
        )
        torch_loss.backward()
        torch_sgd.step()
        print(f"step {step}: ours {value:.15f}")
        print(f"    PyTorch {torch_loss.item():.15f}")

# %% [markdown]
# ### Your turn
#
# Not every library stores a weight as (out, in). Others, Keras for one, have a *kernel* $K$ of shape (in, out), and
# compute $x K + b$ where we compute $x W^\top + b$. Carry an MLP over. The blank copies the arrays; the
# layers are square, so that no shape reveals the mistake.

# %%
square = md.MLP([4, 4, 4], rng=np.random.default_rng(1), dtype=np.float64)


def to_kernels(mlp):
    return [(layer.weight.value, layer.bias.value) for layer in mlp.layers]  # your turn


def check_kernels(function):
    x = np.random.default_rng(2).normal(size=(6, 4))
    h = x
    for kernel, bias in function(square):
        h = np.maximum(h @ np.asarray(kernel) + bias, 0)  # (6, 4), as the other library does it
    wrong = md.checking.difference(h, square.forward(x), "y")
    tell("not yet: {wrong}" if wrong else "right", wrong=wrong)


check_kernels(to_kernels)

# %% [markdown]
# <details><summary>Answer</summary>
#
# $x K = x W^\top$ for all $x$, so $K = W^\top$: `(layer.weight.value.T, layer.bias.value)`.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def to_kernels_answer(mlp):
    return [(layer.weight.value.T, layer.bias.value) for layer in mlp.layers]


print("the answer:")
check_kernels(to_kernels_answer)

# %% [markdown]
# ## 2. A checkpoint that both can open
#
# `md.save` writes a *safetensors* file. It is simple enough to read by hand: eight bytes with the length of a header,
# the header in JSON (name, type, shape and place of each array), then the bytes of the arrays. It
# contains no code.
#
# PyTorch's own `torch.save` and `torch.load` use *pickle*, which can run code while it loads. Do not load a pickle
# that you do not trust.

# %%
folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "dlrm.safetensors"
md.save(ours, path)

raw = path.read_bytes()
length = int.from_bytes(raw[:8], "little")
header = json.loads(raw[8 : 8 + length])
print("made by:", header["__metadata__"]["format"], "/", header["__metadata__"]["model"])
entry = header["bottom.layers.0.weight"]
begin, end = (8 + length + place for place in entry["data_offsets"])
by_hand = np.frombuffer(raw[begin:end], np.float64).reshape(entry["shape"])  # F64 is float64
print("bottom.layers.0.weight:", entry["dtype"], entry["shape"])
print("read by hand, the same:", np.array_equal(by_hand, ours.bottom.layers[0].weight.value))
print("md.load, same logits:  ", np.array_equal(md.load(path).forward(batch), ours.forward(batch)))

# %% [markdown]
# The library `safetensors` does this for NumPy and for PyTorch. The names in the file are minidlrm's, with all tables
# in one array; `load_reference_state` and `reference_state` translate in both directions.

# %%
from safetensors.numpy import load_file

print("NumPy:  ", {name: array.shape for name, array in list(load_file(path).items())[:2]})
if torch is not None:
    from safetensors.torch import load_file as torch_load_file

    tensors = torch_load_file(path)
    print("PyTorch:", {name: tuple(tensor.shape) for name, tensor in list(tensors.items())[:2]})
    back = md.DLRM(5, table_sizes, D, bottom_mlp=(11,), top_mlp=(7,), dtype=np.float64, seed=1)
    trained = {name: tensor.numpy() for name, tensor in theirs.state_dict().items()}
    md.interop.load_reference_state(back, trained)
    difference = np.abs(back.forward(batch) - theirs(dense, sparse).detach().numpy()).max()
    print(f"PyTorch's weights, back in minidlrm: logits differ by {difference:.0e}")

# %% [markdown]
# ### Your turn
#
# Write such a file. One line of the blank is wrong: find it. All arrays here are float64, type `"F64"`. Remember what the
# two `data_offsets` of an array are: the places in the data where its bytes begin and end.

# %%
import safetensors
from safetensors.numpy import load


def check_file(function):
    arrays = {"weight": np.arange(6.0).reshape(2, 3), "bias": np.array([0.5, -1.0])}
    raw = function(arrays)
    try:
        found = load(raw)
    except safetensors.SafetensorError as error:
        print(say("not yet. The library says:"), error)
        length = int.from_bytes(raw[:8], "little")
        for name, entry in json.loads(raw[8 : 8 + length]).items():
            tell("  {name}: shape {shape}, offsets {data_offsets}", name=name, **entry)
        tell("  after the header come {left} bytes, for 8 numbers", left=len(raw) - 8 - length)
        return
    for name, array in arrays.items():
        wrong = md.checking.difference(found.get(name), array, name)
        if wrong:
            tell("not yet: read back, {wrong}", wrong=wrong)
            return
    tell("right: the file gives back the same arrays")


# %%
def to_bytes(arrays):
    header, begin = {}, 0  # your turn: one line is wrong
    for name, array in arrays.items():
        end = begin + array.size
        header[name] = {"dtype": "F64", "shape": array.shape, "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header).encode()
    length = len(text).to_bytes(8, "little")
    return length + text + b"".join(array.tobytes() for array in arrays.values())


check_file(to_bytes)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `end = begin + array.nbytes`: offsets count bytes, and a number has eight of them. Before the library makes an array, it
# checks that the offsets fit the shapes and the length of the file. So a truncated file gives an error, not wrong weights.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def to_bytes_answer(arrays):
    header, begin = {}, 0
    for name, array in arrays.items():
        end = begin + array.nbytes
        header[name] = {"dtype": "F64", "shape": array.shape, "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header).encode()
    length = len(text).to_bytes(8, "little")
    return length + text + b"".join(array.tobytes() for array in arrays.values())


print("the answer:")
check_file(to_bytes_answer)

# %% [markdown]
# ## 3. Memory: when is one machine too small?
#
# Let $S$ be the rows of all tables. They take
#
# $$ \text{bytes} = S \times D \times 4 $$
#
# in float32. The optimizer adds its state: Adagrad as much again, Adam twice as much again, row-wise Adagrad one
# number for each row. This is what training needs, besides the MLPs, which are small.

# %%
STATE = {"SGD": lambda D: 0, "row-wise Adagrad": lambda D: 1, "Adagrad": lambda D: D}
STATE["Adam"] = lambda D: 2 * D


def gigabytes(rows, D, rule):
    return rows * (D + STATE[rule](D)) * 4 / 1e9


examples = {"1 million, D = 16": (10**6, 16), "Criteo Kaggle, D = 16": (33_762_577, 16)}
examples |= {"1 billion, D = 64": (10**9, 64), "10 billion, D = 128": (10**10, 128)}
fig, ax = plt.subplots(figsize=(7.4, 3.8), layout="constrained")
for k, (rule, shade) in enumerate(zip(STATE, ("0.9", "0.65", "0.4", "0.15"), strict=True)):
    sizes = [gigabytes(rows, dim, rule) for rows, dim in examples.values()]
    place = np.arange(len(examples)) + 0.2 * (k - 1.5)
    ax.barh(place, sizes, 0.2, color=shade, edgecolor="0.2", label=rule)
for name, memory, style in (("16 GB", 16, ":"), ("80 GB", 80, "--"), ("1,000 GB", 1000, "-.")):
    ax.axvline(memory, color="#d55e00", ls=style, label=name)
ax.set(xscale="log", xlabel="memory of tables and optimizer state (GB)", xlim=(0.03, 1e5))
ax.set_yticks(range(len(examples)), list(examples))
_ = ax.legend(ncols=2, fontsize="small", loc="lower right")
for name, (rows, dim) in examples.items():
    print(f"{name:22} {gigabytes(rows, dim, 'SGD'):>9,.2f} GB, with Adam ", end="")
    print(f"{gigabytes(rows, dim, 'Adam'):>9,.2f} GB")

# %% [markdown]
# ### Your turn
#
# How many rows fit in `memory` GB, with the optimizer's state? The blank forgets the state.


# %%
def rows_that_fit(memory, D, rule):
    return int(memory * 1e9 / (4 * D))  # your turn


def check_rows(function):
    said = function(80, 64, "Adam")
    wanted = 104_166_666
    tell(
        "right"
        if said == wanted
        else "not yet: {said:,}; with D = 64 and Adam, 80 GB hold {wanted:,}",
        said=said,
        wanted=wanted,
    )


check_rows(rows_that_fit)

# %% [markdown]
# <details><summary>Answer</summary>
#
# A row takes `4 * (D + state)` bytes, where `state` is what the function `STATE[rule]` gives for `D`. With Adam a third as many rows fit.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def rows_that_fit_answer(memory, D, rule):
    return int(memory * 1e9 / (4 * (D + STATE[rule](D))))


print("the answer:")
check_rows(rows_that_fit_answer)

# %% [markdown]
# The lines are a laptop, a large accelerator, and a large server. A model of a billion rows with Adam needs the server; ten
# billion rows do not fit into any of them. Mudigere et al. (2022) report training a model with 12 trillion
# parameters: at 4 bytes each, 48 TB.
#
# Three answers follow: spread the tables (section 4), have fewer rows (5), use fewer bytes (6).
#
# ## 4. Sharding: which machine has which numbers?
#
# To *shard* a table is to cut it into parts, one for each of $R$ machines (also called *ranks*). There are three ways.
#
# | way | a machine has | what travels in a step |
# | --- | --- | --- |
# | by table | whole tables | ids to the table's machine, vectors back |
# | by row | some rows of every table | ids to the row's machine, vectors (or parts of a bag's sum) back |
# | by column | some of the $D$ columns of every row | all ids to all machines, pieces of vectors back |
#
# All machines wait for the slowest. So two things should be even: memory, and lookups. Ids follow Zipf's law
# (notebook 06), which makes this hard. We take the table sizes of Criteo Kaggle and four machines.

# %%
KAGGLE = [1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194]
KAGGLE += [27, 14992, 5461306, 10, 5652, 2173, 4, 7046547, 18, 15, 286181, 105, 142572]
R, B = 4, 20_000
sizes = np.array(KAGGLE)


def zipf_ids(size, count, s=1.1):
    """Draw ids; id k has a probability of about (k + 1) ** -s."""
    u = rng.random(count)
    return (1 + u * ((size + 1) ** (1 - s) - 1)) ** (1 / (1 - s)) - 1


ids = np.stack([zipf_ids(n, B) for n in sizes], axis=1).astype(np.int64)  # (B, T)
ids = np.minimum(ids, sizes - 1)
shares = np.bincount(ids[:, 2])[:3] / B
print("the three most frequent ids of the largest table have", shares.round(3), "of its lookups")

# %% [markdown]
# Compare four plans. *By table*: the largest table first, each to the machine with the fewest rows so far. *By row, in
# blocks*: the first quarter of each table to machine 0, and so on. *By row, hashed*: a hash of the id says which
# machine. *By column*: a quarter of each row to every machine.

# %%
rows_of = {"by table": np.zeros(R), "by row, blocks": np.full(R, sizes.sum() / R)}
rows_of |= {"by row, hashed": np.zeros(R), "by column": np.full(R, sizes.sum() / R)}
reads_of = {plan: np.zeros(R) for plan in rows_of}
reads_of["by column"] += B * len(sizes) / R  # in whole vectors: four quarters are one
for t in np.argsort(-sizes):
    least = rows_of["by table"].argmin()
    rows_of["by table"][least] += sizes[t]
    reads_of["by table"][least] += B
    reads_of["by row, blocks"] += np.bincount(ids[:, t] * R // sizes[t], minlength=R)
    machine = md.data.encode.hash_ids(ids[:, t], t, R)
    reads_of["by row, hashed"] += np.bincount(machine, minlength=R)
    all_ids = md.data.encode.hash_ids(np.arange(sizes[t]), t, R)
    rows_of["by row, hashed"] += np.bincount(all_ids, minlength=R)
for plan in rows_of:
    worst = [a[plan].max() / a[plan].mean() for a in (rows_of, reads_of)]
    print(f"{plan:15} busiest machine / mean: memory {worst[0]:.2f}, lookups {worst[1]:.2f}")

# %%
fig, axes = plt.subplots(1, 2, figsize=(8.4, 3.4), layout="constrained", sharey=True)
for ax, parts, unit in ((axes[0], rows_of, "memory"), (axes[1], reads_of, "lookups")):
    for r, shade in enumerate(("0.9", "0.65", "0.4", "0.15")):
        share = [100 * parts[plan][r] / parts[plan].sum() for plan in parts]
        place = np.arange(len(parts)) + 0.2 * (r - 1.5)
        ax.bar(place, share, 0.2, color=shade, edgecolor="0.2", label=f"machine {r}")
    ax.axhline(100 / R, color="#d55e00", ls="--", lw=1)
    ax.set(title=f"Share of {unit}", ylabel=f"share of all {unit} (%)")
    ax.set_xticks(range(len(parts)), [plan.replace(", ", ",\n") for plan in parts])
_ = axes[1].legend(fontsize="small")

# %% [markdown]
# - Whole tables cannot be even in memory: the largest has 30% of all rows. Lookups are far worse. Each table has one for
#   each sample, whatever its size, and the machine with the many small tables gets nearly all of them.
# - Blocks of rows are even in memory, and just as bad in lookups: frequent ids have small numbers here, as in many
#   vocabularies, and all of them are on machine 0.
# - A hash is even in memory, and much better in lookups, but not perfect: the most frequent id of a table is *one* row on
#   one machine, and in the tiny tables this row has a large share of all lookups.
# - Columns are perfectly even. The price is in the last column of the table above: every id goes to every machine.
#
# Real systems mix the ways, table by table. Mudigere et al. (2022) combine all of them. Notebook 10 trains with split tables.
#
# ### Your turn
#
# Cut a table by row, forward and backward. Row $i$ is on machine $i \bmod R$, at place `i // R`. All shards together are an
# array of shape $(R, N / R, D)$, for a table of $N$ rows. Each machine looks up the ids that it has. Backward, every machine
# gets all of $dy$ and all ids. What does each add to its shard? (`known` describes three wrong answers to the checker, which
# can then recognize them.)


# %%
def sharded(shards, ids):
    y = np.zeros((len(ids), shards.shape[2]), shards.dtype)  # (B, D)
    for r in range(R):
        mine = ids % R == r  # (B,)
        y[mine] = shards[r, ids[mine] // R]
    return y, (shards, ids)


def buffered(array, rows, terms):
    array[rows] += terms


def formula(all_ids, add):
    def wrong(target, dy, shards, ids):
        dshards = np.zeros_like(shards)
        for r in range(R):
            mine = (ids % R == r) | all_ids
            add(dshards[r], ids[mine] // R, dy[mine])
        return {"shards": dshards}

    return wrong


# %%
def sharded_backward(dy, cache):
    shards, ids = cache
    dshards = np.zeros_like(shards)  # (R, N / R, D)
    for r in range(R):
        dshards[r, ids // R] += dy  # your turn: whose ids are these, and how often do they occur?
    return dshards


title, hint = "machines add up gradients of ids that they do not have", "Keep ids with id % R == r."
known = [
    md.checking.Fingerprint("foreign", formula(True, add), "each takes all ids", title, hint)
    for add in (buffered, np.add.at)
]
known += [md.checking.Fingerprint("duplicates", formula(False, buffered), "dshards[r, ...] += dy")]
shards = np.random.default_rng(7).normal(size=(R, 3, 2))  # N = 12
some_ids = np.random.default_rng(8).integers(0, 12, 15)
report = md.gradcheck((sharded, sharded_backward), shards, some_ids, fingerprints=known)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Two things: each machine uses only its own ids, and repeats must add up.
# `mine = ids % R == r`, then `np.add.at(dshards[r], ids[mine] // R, dy[mine])`.
#
# No machine needs the gradient of another: with tables cut by row, only $dy$ is sent backward.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def sharded_answer(dy, cache):
    shards, ids = cache
    dshards = np.zeros_like(shards)
    for r in range(R):
        mine = ids % R == r
        np.add.at(dshards[r], ids[mine] // R, dy[mine])
    return dshards


report = md.gradcheck((sharded, sharded_answer), shards, some_ids, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# ## 5. The hashing trick: fewer rows than ids
#
# Choose a number of rows $M$, and send id $i$ to row $h(i) \bmod M$, where $h$ is a hash (Weinberger et al. 2009).
# It needs no vocabulary, and ids may be any numbers. Ids with the same row share a vector: a *collision*. How many do? Let $N$
# ids fall into $M$ rows at random. Another id misses mine with probability $1 - 1/M$; all $N - 1$ others miss it with
# probability
#
# $$ \Pr(\text{alone}) = \left(1 - \tfrac{1}{M}\right)^{N - 1} \approx e^{-N/M}. $$
#
# With as many rows as ids, $M = N$, only 37% are alone. What does that cost? We train on clicks with a known limit.
# There are two ways: `id % M`, and a hash. Ids are numbered by frequency here, so the remainder keeps the $M$ most frequent ids
# apart, and a hash does not.

# %%
clicks = md.data.synthetic_clicks(100_000, seed=0, max_table_size=2000)
sizes_of_clicks = np.array(clicks.table_sizes)


def folded(rows, M, how):
    """Squeeze the ids of all tables with more than M of them into M rows."""
    ids = np.asarray(rows.sparse).copy()
    for t in np.flatnonzero(sizes_of_clicks > M):
        ids[:, t] = ids[:, t] % M if how == "id % M" else md.data.encode.hash_ids(ids[:, t], t, M)
    return md.data.Batch(rows.dense, ids, rows.label)


def losses_with(M, how):
    train, test = folded(clicks.train, M, how), folded(clicks.test, M, how)
    options = {"epochs": 1, "batch_size": 512, "progress": False}
    losses = []
    for seed in range(3):  # three runs: a training is random, too
        network = md.DLRM(13, np.minimum(sizes_of_clicks, M), 8, (32,), (64,), seed=seed)
        md.fit(network, train, optimizer=md.Adam(0.006), seed=seed, **options)
        losses.append(md.evaluate(network, test)["log_loss"])
    return losses, network


# %%
Ms = [2, 8, 32, 128, 512, 2000]
losses = {how: [losses_with(M, how)[0] for M in Ms[:-1]] for how in ("id % M", "hash % M")}
full, network = losses_with(Ms[-1], "no id is folded")
print(f"all rows {np.mean(full):.4f}, the limit {clicks.bayes_log_loss:.4f}")

# %%
N = 2000
grid = np.geomspace(2, 20_000, 60)
fig, axes = plt.subplots(1, 2, figsize=(8.6, 3.4), layout="constrained")
axes[0].semilogx(grid, 100 * (1 - (1 - 1 / grid) ** (N - 1)), "-", color="0.4", label="formula")
for k, M in enumerate((8, 128, 512, 2000, 6000, 20_000)):
    row = md.data.encode.hash_ids(np.arange(N), 0, M)
    shared = np.bincount(row, minlength=M)[row] > 1
    axes[0].plot(M, 100 * shared.mean(), "o", color="0.1", label="counted" if k == 0 else None)
axes[0].set(xlabel="rows of the table, M", ylabel=f"ids that share a row (% of {N:,})")
for (how, values), style in zip(losses.items(), ("o-", "s--"), strict=True):
    runs = np.array([*values, full])  # (len(Ms), 3)
    axes[1].semilogx(Ms, runs.mean(axis=1), style, label=f"{how}, mean of three runs")
    axes[1].vlines(Ms, runs.min(axis=1), runs.max(axis=1), color="0.5")
axes[1].axhline(clicks.bayes_log_loss, color="0.3", ls=":", label="Bayes limit")
axes[1].set(xlabel="rows of each table, at most M", ylabel="test log loss (nats)")
for ax, title in zip(axes, ("How many collide", "What it costs"), strict=True):
    ax.set_title(title)
    ax.legend(fontsize="small")
    ax.grid(alpha=0.3)

# %% [markdown]
# The limit was computed on the test rows, so the loss is measured there, too; a grey bar goes from the best of three runs to
# the worst. At $M = 128$ nearly all ids of the largest table collide, and the loss hardly changes: most ids are rare, have
# learned little, and matter little. At $M = 8$ and below it hurts: now frequent ids share rows, and the tables of up to 30 ids,
# which carry the planted products, are folded, too. Remainder or hash? Three runs cannot tell which is better.
#
# ### Your turn
#
# Often there is **one** hashed table for all features. Give each id of each table its row. The blank gives id 0
# of all tables the same row; and 0 is the most frequent id of each.


# %%
def check_one_table(function):
    M, T = 5000, 20
    ids = np.tile(np.arange(100)[:, None], (1, T))  # 100 ids in each of 20 tables
    rows = function(ids, M)
    if np.shape(rows) != ids.shape:
        tell(
            "not yet: the rows have the shape {shape}, and should have {wanted}",
            shape=np.shape(rows),
            wanted=ids.shape,
        )
        return
    used = len(np.unique(rows))
    expected = M * (1 - (1 - 1 / M) ** (100 * T))  # 2,000 ids, thrown into M rows at random
    verdict = say("right" if abs(used - expected) < 60 else "not yet")
    tell(
        "{verdict}: 2,000 ids use {used} rows; a good hash uses about {expected:.0f}",
        verdict=verdict,
        used=used,
        expected=expected,
    )


# %%
def one_table(ids, M):
    return md.data.encode.hash_ids(ids, 0, M)  # your turn: the table's number is not in it


check_one_table(one_table)

# %% [markdown]
# <details><summary>Answer</summary>
#
# The number of the table goes into the hash: `hash_ids(ids[:, t], t, M)` for each table $t$.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def one_table_answer(ids, M):
    columns = [md.data.encode.hash_ids(ids[:, t], t, M) for t in range(ids.shape[1])]
    return np.stack(columns, axis=1)


print("the answer:")
check_one_table(one_table_answer)

# %% [markdown]
# ## 6. Quantized tables: fewer bytes
#
# To answer requests, a model needs no gradient, and a row can be stored in small integers. Let $w$ be a row, $k$ the bits
# and $m = 2^{k-1} - 1$ the largest integer (127 for 8 bits). Keep a *scale* $s$ and integers $q$:
#
# $$ s = \frac{\max_d |w_d|}{m}, \qquad q_d = \mathrm{round}(w_d / s), \qquad w_d \approx s\, q_d . $$
#
# Rounding moves $w_d$ by at most $s / 2$. With $k = 8$ a row takes $D + 4$ bytes where it took $4 D$.
#
# ### Your turn
#
# Each row has its own scale. The blank takes one for the whole table: a single row with large numbers then makes all others
# coarse.


# %%
def check_quantize(function):
    table = np.random.default_rng(3).normal(size=(200, 16)) * 0.1
    table[7] *= 100  # one frequent row has grown
    q, s = function(table)
    if np.shape(s) != (200, 1):
        tell(
            "not yet: s has the shape {shape}, and should have (200, 1): one for each row",
            shape=np.shape(s),
        )
        return
    error = np.abs(q * s - table).max(axis=1) / np.abs(table).max(axis=1)
    verdict = say("right" if error.max() < 0.5 / 127 + 1e-9 else "not yet")
    tell(
        "{verdict}: error of a row, in % of its largest number: {error:.1f}",
        verdict=verdict,
        error=100 * error.max(),
    )


# %%
def quantize(table, bits=8):
    m = 2 ** (bits - 1) - 1
    s = np.abs(table).max() / m  # your turn: one scale for each row, of shape (N, 1)
    q = np.round(table / s).astype(np.int8)
    return q, np.broadcast_to(s, (len(table), 1))


check_quantize(quantize)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `s = np.abs(table).max(axis=1, keepdims=True) / m`
#
# (A row of zeros would divide by zero; the answer gives it the scale 1.)
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def quantize_answer(table, bits=8):
    m = 2 ** (bits - 1) - 1
    s = np.abs(table).max(axis=1, keepdims=True) / m  # (N, 1)
    s = np.where(s == 0, 1, s).astype(table.dtype)
    return np.round(table / s).astype(np.int8), s


print("the answer:")
check_quantize(quantize_answer)

# %% [markdown]
# What does this do to a trained model? We quantize the tables of the model of section 5, from 8 bits down to 2, with a
# scale for each row and with a single one, and look at the logits.

# %%
table = network.embeddings.weight.value
saved = table.copy()
exact = md.predict(network, clicks.test, logits=True)
errors, losses_q = {"a scale for each row": [], "one scale for all": []}, {}
for bits in (8, 6, 4, 3, 2):
    m = 2 ** (bits - 1) - 1
    q, s = quantize_answer(saved, bits)
    one = np.abs(saved).max() / m
    for name, coarse in zip(errors, (q * s, np.round(saved / one) * one), strict=True):
        table[...] = coarse
        logits_q = md.predict(network, clicks.test, logits=True)
        errors[name].append(np.sqrt(np.mean((logits_q - exact) ** 2)))
        losses_q[name, bits] = md.metrics.log_loss(clicks.test.label, logits_q)
table[...] = saved
print(f"float32: log loss {md.metrics.log_loss(clicks.test.label, exact):.5f}")
for name in errors:
    print(f"{name:20} 8 bits {losses_q[name, 8]:.5f}, 4 bits {losses_q[name, 4]:.5f}", end="")
    print(f", 2 bits {losses_q[name, 2]:.5f}")

# %%
fig, ax = plt.subplots(figsize=(6.2, 3.5), layout="constrained")
for (name, values), style in zip(errors.items(), ("o-", "s--"), strict=True):
    ax.semilogy((8, 6, 4, 3, 2), values, style, label=name)
ax.axhline(exact.std(), color="0.4", ls=":", label="spread of the logits themselves")
ax.set(xlabel="bits of a number", ylabel="error of the logits (root mean square)")
ax.set(title="Quantized tables", xticks=(2, 3, 4, 6, 8))
ax.legend(fontsize="small")
ax.grid(alpha=0.3)

# %% [markdown]
# At 8 bits the logits move by less than a hundredth, and the log loss hardly at all; if it is a little *below* that of
# float32, this is chance. With few bits, a scale for each row makes the difference. (Below 8 bits, several integers would
# have to be packed into one byte to save memory.)
#
# ## 7. Many workers, one gradient
#
# The MLPs are small: every machine can have a copy. Each of $R$ machines, now called workers, takes a part of the batch. Worker $r$
# computes the gradient $g_r$ of the mean loss of *its* $B / R$ samples. Let $g$ be the gradient of the whole batch, and
# $\ell_n$ the loss of sample $n$:
#
# $$ g = \frac{1}{B} \sum_{n} \frac{\partial \ell_n}{\partial \theta}
#      = \frac{1}{R} \sum_{r} \Big( \frac{R}{B} \sum_{n \in r} \frac{\partial \ell_n}{\partial \theta} \Big)
#      = \frac{1}{R} \sum_{r} g_r , $$
#
# where $\theta$ stands for all parameters, and $n \in r$ for the samples of worker $r$. **The mean of the workers' gradients is the gradient of the big batch**,
# if the parts are of one size. The operation that gives everyone this mean is called *all-reduce*. Let us see it.

# %%
R = 4
fresh = md.DLRM(13, clicks.table_sizes, 8, (32,), (64,), dtype=np.float64)
big = clicks.train[:512]


def gradients(rows):
    loss = md.BCEWithLogits()
    loss.forward(fresh.forward(rows), rows.label.astype(float))
    fresh.zero_grad()
    fresh.backward(loss.backward())
    return {name: parameter.grad for name, parameter in fresh.named_parameters()}


whole = gradients(big)
workers = [gradients(big[r * 128 : (r + 1) * 128]) for r in range(R)]
for name in ("bottom.layers.0.weight", "top.layers.1.bias"):
    mean = sum(grads[name] for grads in workers) / R
    print(f"{name:24} mean of workers - big batch: {np.abs(mean - whole[name]).max():.0e}")

# %% [markdown]
# A table's gradient is sparse: it has the rows that the worker looked up. Workers have some rows in common, above all the
# frequent ones. So the sum is over the **union** of the rows.

# %%
name = "embeddings.weight"
found = [set(grads[name].rows.tolist()) for grads in workers]
union, common = set.union(*found), set.intersection(*found)
print("rows of each worker:", [len(rows) for rows in found])
print(f"in all: {len(union)} distinct rows; with every worker: {len(common)}")
print("big batch:", whole[name])

# %% [markdown]
# ### Your turn
#
# Write the sparse all-reduce. The blank *overwrites* where it should *add*: if several workers have a row, only the gradient of
# the last one is left.


# %%
def all_reduce(grads):
    rows = np.unique(np.concatenate([g.rows for g in grads]))  # the union, sorted
    values = np.zeros((len(rows), grads[0].shape[1]))
    for g in grads:
        values[np.searchsorted(rows, g.rows)] = g.values / len(grads)  # your turn
    return md.SparseGrad(rows, values, grads[0].shape)


def check_reduce(function):
    result = function([grads["embeddings.weight"] for grads in workers])
    if not isinstance(result, md.SparseGrad):
        tell("not yet: a SparseGrad is wanted, and you return {kind}", kind=type(result).__name__)
        return
    expected = whole["embeddings.weight"]
    wrong = np.abs(result.to_dense() - expected.to_dense()).max(axis=1) > 1e-12
    count = say("{number} of {all} rows are wrong", number=wrong.sum(), all=len(expected.rows))
    tell("not yet: {count}" if wrong.any() else "right: the gradient of the big batch", count=count)


check_reduce(all_reduce)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `+=` in the place of `=`. (The rows of one gradient are distinct, so `+=` loses nothing here.) Divide by the number of *all*
# workers: a worker without this row has the gradient 0 there.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def all_reduce_answer(grads):
    rows = np.unique(np.concatenate([g.rows for g in grads]))
    values = np.zeros((len(rows), grads[0].shape[1]))
    for g in grads:
        values[np.searchsorted(rows, g.rows)] += g.values / len(grads)
    return md.SparseGrad(rows, values, grads[0].shape)


print("the answer:")
check_reduce(all_reduce_answer)

# %% [markdown]
# ## 8. The world moves
#
# New ads come, tastes change, and today's click rate of an id is not last month's: this is *drift*. So a recommender is never
# finished. It learns **online**: each day it is first tested on the new clicks, then trained on them. (In this order; otherwise
# it would be tested on what it has seen.)
#
# A small world: 200 ads, and each day the true logit of each ad takes a small random step. One model was trained on
# the first ten days and is left alone. The other goes on.

# %%
days, ads, per_day = 60, 200, 4000
truth = rng.normal(-1, 1, ads)
frozen, online = (md.LogisticRegression(0, [ads]) for _ in range(2))
rules = {frozen: md.Adagrad(0.2), online: md.Adagrad(0.2)}
curves = {"frozen after day 10": [], "online": [], "the truth": []}
for day in range(days):
    shown = rng.integers(0, ads, (per_day, 1))
    label = (rng.random(per_day) < 1 / (1 + np.exp(-truth[shown[:, 0]]))).astype(np.float32)
    today = md.data.Batch(np.zeros((per_day, 0), np.float32), shown, label)
    scores = [md.predict(learner, today, logits=True) for learner in (frozen, online)]
    scores.append(truth[shown[:, 0]])
    for curve, logit in zip(curves.values(), scores, strict=True):  # test first
        curve.append(md.metrics.log_loss(label, logit))
    for learner, rule in rules.items():  # then learn
        if learner is online or day < 10:
            md.fit(learner, today, optimizer=rule, epochs=2, batch_size=100, progress=False)
    truth = truth + 0.15 * rng.normal(size=ads)
best = np.array(curves["the truth"])
for name in ("frozen after day 10", "online"):
    gap = curves[name] - best
    print(f"{name:20} above the truth by {gap[10:20].mean():.4f} on days 11 to 20, ", end="")
    print(f"{gap[-10:].mean():.4f} on the last ten days")

# %%
fig, ax = plt.subplots(figsize=(6.4, 3.5), layout="constrained")
for (name, curve), style in zip(curves.items(), ("--", "-", ":"), strict=True):
    ax.plot(range(1, days + 1), curve, style, label=name)
ax.axvline(10.5, color="0.7", lw=1)
ax.set(xlabel="day", ylabel="log loss of the day's clicks (nats)", title="Drift")
ax.legend(fontsize="small")
ax.grid(alpha=0.3)

# %% [markdown]
# The online model follows, some way behind. Is its distance growing? Adagrad's steps keep shrinking, which is
# right for a fixed truth and wrong for a moving one. Try more days, or `md.SGD(3.0)`.
#
# ### Your turn
#
# Write the loop: the log loss of each day, honestly measured. The blank learns from all days, and then tests on them.
#
# The check uses days on which no model can be better than a guess: every click is the toss of a coin. A guess has the log loss
# $\log 2 = 0.693$. A model with less has seen the answers.


# %%
def check_honest(function):
    learner, rule = md.LogisticRegression(0, [num_ads]), md.Adagrad(0.2)
    learn = {"optimizer": rule, "epochs": 2, "batch_size": 100, "progress": False}
    got = function(learner, coin_days, lambda today: md.fit(learner, today, **learn))
    print(say("log loss of each day:"), np.round(got, 3))
    if np.mean(got) < np.log(2):
        tell(
            "not yet: the mean is {mean:.3f}, less than 0.693: you tested on days it had seen",
            mean=np.mean(got),
        )
    elif len(got) != 5 or not np.any(md.predict(learner, coin_days[0], logits=True)):
        tell("not yet: return five losses, and let the learner learn from each day")
    elif not np.isclose(got[0], np.log(2)):
        tell(
            "not yet: the first day has {first:.3f}; before it has learned anything it has 0.693",
            first=got[0],
        )
    else:
        tell("right: no better than a guess, as it must be")


# %%
toss, num_ads = np.random.default_rng(6), 300
no_dense, each_ad = np.zeros((num_ads, 0), np.float32), np.arange(num_ads)[:, None]
coin_days = [
    md.data.Batch(no_dense, each_ad, toss.integers(0, 2, num_ads).astype(np.float32))
    for _ in range(5)
]


# %%
def honest_losses(learner, days, learn):
    for today in days:
        learn(today)
    losses = []
    for today in days:  # your turn: when is a day tested, and when is it learned?
        losses.append(md.metrics.log_loss(today.label, md.predict(learner, today, logits=True)))
    return losses


check_honest(honest_losses)

# %% [markdown]
# <details><summary>Answer</summary>
#
# One loop: test today, then learn from it.
#
# (The right losses are a little *above* 0.693: the learner believes in yesterday's tosses.)
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def honest_losses_answer(learner, days, learn):
    losses = []
    for today in days:
        losses.append(md.metrics.log_loss(today.label, md.predict(learner, today, logits=True)))
        learn(today)
    return losses


print("the answer:")
check_honest(honest_losses_answer)

# %% [markdown]
# ## 9. The museum of this chapter
#
# Five ports that run without an error and are wrong. Read each cell, predict, and then look.
#
# ### Exhibit 1: the default mode
#
# `EmbeddingBag` takes the *mean* of a bag by default, in PyTorch and here, and DLRM needs the sum. With one id in each bag they are the
# same! So a test with one id passes.

# %%
by_sum, by_mean = (
    md.EmbeddingBag(9, 2, mode=mode, rng=np.random.default_rng(0)) for mode in ("sum", "mean")
)
single = (np.array([3, 5]), np.array([0, 1]))  # ids, offsets: bags {3} and {5}
several = (np.array([3, 5, 8]), np.array([0, 1]))  # bags {3} and {5, 8}
for name, bags in (("one id a bag", single), ("several", several)):
    print(f"{name}: sum {by_sum.forward(*bags)[1]}, mean {by_mean.forward(*bags)[1]}")
if torch is not None:
    print("PyTorch's default mode is", repr(torch.nn.EmbeddingBag(9, 2).mode))

# %% [markdown]
# ### Exhibit 2: one sigmoid too many
#
# `BCEWithLogits` applies the sigmoid itself. If you give it probabilities $p$, the sigmoid is applied twice. The inner one maps
# to $[0, 1]$; so the loss of a click, $\log(1 + e^{-p})$, cannot fall below 0.313, however sure the model is.

# %%
loss = md.BCEWithLogits()
clicked = np.ones(1)
for logit in (0.0, 2.0, 20.0):
    probability = 1 / (1 + np.exp(-np.array([logit])))
    right, wrong = loss.forward(np.array([logit]), clicked), loss.forward(probability, clicked)
    print(f"logit {logit:4.0f}: loss {right:.4f}, with two sigmoids {wrong:.4f}")

# %% [markdown]
# ### Exhibit 3: float32 hides it
#
# A port of Adam has the $\epsilon$ inside the root, $\sqrt{v + \epsilon^2}$ and not $\sqrt{v} + \epsilon$, where $v$ is the running mean of squared gradients. We compare
# one step, from gradients near 0.01. In float32 the mistake is as small as rounding, and invisible. In
# float64 it is obvious.

# %%
start, g = rng.normal(size=1000), 0.01 * (1 + rng.random(1000))
for dtype in (np.float32, np.float64):
    weight = md.Parameter(start.astype(dtype))
    weight.grad = g.astype(dtype)
    md.Adam(lr=0.01, eps=1e-8).step([weight])
    slope = g.astype(dtype)  # after one step m' = g and v' = g * g
    for name, root in (("right", np.abs(slope) + 1e-8), ("wrong", np.sqrt(slope**2 + 1e-16))):
        port = start.astype(dtype) - 0.01 * slope / root
        difference = np.abs(port - weight.value).max()
        print(f"{dtype.__name__}: the {name} port differs by {difference:.0e}")

# %% [markdown]
# ### Exhibit 4: where Adagrad begins
#
# Adagrad divides by the root of $h$, a sum of squared gradients. Ours and PyTorch's begin with $h = 0$. TensorFlow's
# begin with $h = 0.1$ by default. A table's gradients are small, so its first steps differ by far.

# %%
for size in (1.0, 0.1, 0.001):
    steps = []
    for h in (0.0, 0.1):
        weight = md.Parameter(np.zeros(1))
        weight.grad = np.array([size])
        rule = md.Adagrad(lr=0.01)
        rule.state[weight] = {"square_sum": np.full(1, h)}
        rule.step([weight])
        steps.append(-weight.value[0])
    print(f"gradient {size:5}: first step {steps[0]:.6f} from 0, {steps[1]:.6f} from 0.1", end="")
    print(f" ({steps[0] / steps[1]:.2f} times)")

# %% [markdown]
# ### Exhibit 5: the other triangle
#
# Some libraries read the pairs from the *upper* triangle, row by row. The products are the same, in another order, so
# the columns of the first top layer must be permuted. With $F = 3$ vectors both orders agree, and a test of this size passes.

# %%
for tables in (2, 3, 10):
    small = md.DLRM(2, [5] * tables, 4, (), (), dtype=np.float64)
    rows = md.data.Batch(rng.normal(size=(50, 2)), rng.integers(0, 5, (50, tables)))
    x, z = small.bottom.forward(rows.dense), small.embeddings.forward(rows.sparse)
    z = np.concatenate([x[:, None], z], axis=1)  # (50, F, 4)
    i, j = np.triu_indices(tables + 1, 1)  # as the other library orders its pairs
    other = np.concatenate([x, (z[:, i] * z[:, j]).sum(axis=2)], axis=1)
    bias = small.top.layers[0].bias.value
    copied = (other @ small.top.layers[0].weight.value.T + bias)[:, 0]
    moved = (other @ md.interop.to_layout(small, "torchrec").T + bias)[:, 0]
    for name, logits_p in (("copied", copied), ("to_layout", moved)):
        error = np.abs(logits_p - small.forward(rows)).max()
        print(f"F = {tables + 1:2}, {name:9}: logits differ by {error:.0e}")

# %% [markdown]
# ### Which of them train?
#
# We train each exhibit beside its right twin: the same weights at the start, the same clicks. Guess first: which of the five
# fall?
#
# 1: a small world with bags of one to eight ids, in which every id adds something to the logit. 2 to 4: a new DLRM on the clicks of section 5.
# 5: the trained DLRM of section 5, ported, and trained further.


# %%
import copy


def bags_of(count, seed):
    """Two tables of 100 ids; the logit of a sample is a sum over both of its bags."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(1, 9, 2 * count)  # (T count,)
    ids = draw.integers(0, 100, lengths.sum())
    bags = md.data.Jagged(ids, np.concatenate([[0], np.cumsum(lengths)]))
    bag_of = np.repeat(np.arange(2 * count), lengths)
    part = np.bincount(bag_of, weights=np.sin(ids) + 0.5).reshape(2, count)
    logit = part.sum(axis=0) - 4.5  # (count,)
    label = (draw.random(count) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    return md.data.Batch(np.ones((count, 1), np.float32), bags, label)


def by_mean(network):
    network.embeddings.mode = "mean"


# %%
class TwoSigmoids(md.BCEWithLogits):
    def forward(self, logits, label):
        self.p = 1 / (1 + np.exp(-logits))  # (B,)
        return super().forward(self.p, label)

    def backward(self, dy=1.0):
        return super().backward(dy) * self.p * (1 - self.p)


class AdagradFromTenth(md.Adagrad):
    def update(self, weight, rows, grad, state, lr):
        state.setdefault("square_sum", np.full_like(weight, 0.1))
        super().update(weight, rows, grad, state, lr)


# %%
class EpsInRoot(md.Adam):
    def update(self, weight, rows, grad, state, lr):
        m = state.setdefault("m", np.zeros_like(weight))
        v = state.setdefault("v", np.zeros_like(weight))
        (beta1, beta2), t = self.betas, self.num_steps
        m[rows] = beta1 * m[rows] + (1 - beta1) * grad
        v[rows] = beta2 * v[rows] + (1 - beta2) * grad**2
        root = np.sqrt(v[rows] / (1 - beta2**t) + self.eps**2)
        weight[rows] -= lr * m[rows] / (1 - beta1**t) / root


class UpperTriangle(md.DotInteraction):
    def forward(self, z):
        i, j = np.triu_indices(z.shape[1], 1)
        self.order = j * (j - 1) // 2 + i  # where the lower triangle, row by row, has the pair
        return super().forward(z)[:, self.order]

    def backward(self, dy):
        return super().backward(dy[:, np.argsort(self.order)])


# %%
def new(tables=clicks.table_sizes, num_dense=13):
    return md.DLRM(num_dense, tables, 8, (32,), (64,), seed=0)


def curve(model, rows, valid, optimizer, loss=md.BCEWithLogits, change=None):
    """Train for 64 steps; return the steps, and the true log loss of valid."""
    if change:
        change(model)
    first = md.evaluate(model, valid)["log_loss"]
    options = {"optimizer": optimizer, "loss": loss(), "batch_size": 256, "eval_every": 8}
    history = md.fit(model, rows, valid, progress=False, **options)
    return [0, *history.column("step")], [first, *history.column("valid_log_loss")]


def upper(network):
    network.interaction.__class__ = UpperTriangle


trained = network
bags, bags_valid = bags_of(16_384, 1), bags_of(3000, 2)
some, valid = clicks.train[:16_384], clicks.valid[:3000]

# %%
twins = {  # exhibit: (right, wrong)
    "1: the mean of a bag": [
        curve(new([100, 100], 1), bags, bags_valid, md.Adagrad(0.05), change=change)
        for change in (None, by_mean)
    ],
    "2: two sigmoids": [
        curve(new(), some, valid, md.Adagrad(0.02), loss)
        for loss in (md.BCEWithLogits, TwoSigmoids)
    ],
    "3: Adam, eps in the root": [
        curve(new(), some, valid, rule(0.006)) for rule in (md.Adam, EpsInRoot)
    ],
    "4: Adagrad from 0.1": [
        curve(new(), some, valid, rule(0.02)) for rule in (md.Adagrad, AdagradFromTenth)
    ],
    "5: the other triangle": [
        curve(copy.deepcopy(trained), some, valid, md.Adagrad(0.02), change=change)
        for change in (None, upper)
    ],
}

# %%
fig, axes = plt.subplots(2, 3, figsize=(9.6, 5.2), layout="constrained")
for ax, (name, (right, wrong)) in zip(axes.flat, twins.items(), strict=False):
    ax.plot(*right, "-", color="0.6", lw=3, label="right")
    ax.plot(*wrong, "--", color="0.0", label="wrong")
    ax.set(title=name, xlabel="step", ylabel="log loss (nats)")
    ax.grid(alpha=0.3)
axes[1, 2].axis("off")
axes[1, 2].legend(
    *axes[0, 0].get_legend_handles_labels(), loc="center", title="log loss of validation rows"
)
for name, (right, wrong) in twins.items():
    print(f"{name:25} last: right {right[1][-1]:.3f}, wrong {wrong[1][-1]:.3f}")

# %% [markdown]
# Four of the five fall, and look like training.
#
# - 1 stays above: a mean does not know how many ids a bag has. Seen alone, it looks like data that are hard to learn.
# - 2 is the only one that shows. The model cannot predict a rate below $\sigma(0) = \frac12$. Most rows are not clicks, so it
#   pushes all logits down: the loss that *it* sees falls towards $\log 2$, and the true log loss, which is drawn here, grows.
# - 3 looks exactly like its twin.
# - 4 is slower: it looks like a learning rate that is too small.
# - 5 begins far off, and then the top MLP learns the new order of the pairs. If you look only at the last loss, you see a good
#   model. (Its right twin rises a little at first: a new Adagrad begins with large steps.)
#
# Such mistakes show up in a test with bags of several ids, more than two tables, float64, random biases, and three steps of
# the optimizer, not one forward pass.
#
# ## 10. Reading list
#
# - Rendle 2010, "Factorization machines".
# - Cheng et al. 2016, "Wide & deep learning for recommender systems".
# - Guo et al. 2017, "DeepFM: A factorization-machine based neural network for CTR prediction".
# - He et al. 2017, "Neural collaborative filtering".
# - Wang et al. 2017, "Deep & cross network for ad click predictions".
# - Lian et al. 2018, "xDeepFM: Combining explicit and implicit feature interactions for recommender systems".
# - Naumov et al. 2019, "Deep learning recommendation model for personalization and recommendation systems".
# - Wang et al. 2021, "DCN V2: Improved deep & cross network and practical lessons for web-scale learning to rank
#   systems".
# - Weinberger et al. 2009, "Feature hashing for large scale multitask learning".
# - Mudigere et al. 2022, "Software-hardware co-design for fast and scalable training of deep learning recommendation
#   models".
#
# ## What to remember
#
# 1. PyTorch records and replays what you derived: same weights, same logits, same gradients.
# 2. Compare a port in float64, with bags, several tables and several steps.
# 3. Tables take rows × D × 4 bytes, and more with the optimizer: spread them, fold them, or round them.
# 4. A hash spreads lookups well; only the most frequent rows stay uneven.
# 5. The mean of the workers' gradients is the gradient of the big batch, over the union of the rows.
#
# Next: [Across machines](10_across_machines.ipynb), or a model of your own, on your own clicks.
