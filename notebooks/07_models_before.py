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
# # 07 · The models before it
#
# [![Open in Colab](colab.svg)](https://colab.research.google.com/github/)
#
# Between matrix factorization (2009) and DLRM (2019) came a series of models, each a short step from the one before: FM,
# Wide & Deep, DeepFM, DCN, xDeepFM. All answer one question: **how do features meet?** Here they form one chain of code:
# each model is the one before it with a few lines changed, and we print these lines.
#
# You need notebooks 00 to 05. Reading time: 60 minutes.
#
# **What you will have at the end**: two new layers derived, the cross layer and the CIN; six models in one chain,
# with the library's numbers; and an experiment that shows which of them can learn which products.

# %%
# In Colab, or where minidlrm is not installed: pip install it first.
import importlib.util

if importlib.util.find_spec("minidlrm") is None:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "minidlrm"], check=True)

import difflib
import inspect

import matplotlib.pyplot as plt
import numpy as np

import minidlrm as md
from minidlrm.languages import say, tell

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. What can meet, and how
#
# A sample has $F$ fields. Each has a vector $z_i$ of size $D$ (its embedding). Models differ in three things:
#
# - the **order**: how many fields one product has. $\langle z_1, z_2 \rangle$ is of order 2;
# - the **unit**: whole vectors meet (*vector-wise*), or single numbers of them (*bit-wise*);
# - **explicit or implicit**: the product is in the formula, or a multilayer perceptron (MLP) may find it.
#
# Why not leave everything to the MLP? A product of two numbers is hard for it: it can only bend planes. See how many hidden
# units it needs to draw $x_1 x_2$:

# %%
square = rng.uniform(-1, 1, (4000, 2)).astype(np.float32)
target = (square[:, 0] * square[:, 1]).astype(np.float32)


def error_of(hidden):
    mlp = md.MLP([2, hidden, 1], last_activation=False, rng=np.random.default_rng(1))
    loss, optimizer = md.MSE(), md.Adam(0.01)
    for _ in range(400):
        mlp.zero_grad()
        value = loss.forward(mlp.forward(square)[:, 0], target)
        mlp.backward(loss.backward()[:, None])
        optimizer.step(mlp.parameters())
    return np.sqrt(value / target.var())


sizes = [1, 2, 4, 8, 16, 32, 64]
errors = [error_of(hidden) for hidden in sizes]
fig, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
ax.loglog(sizes, errors, "o-")
ax.set(
    xlabel="hidden units", ylabel="error (1: no better than 0)", title="An MLP learns one product"
)
ax.grid(alpha=0.3)

# %% [markdown]
# One product costs a dozen hidden units and hundreds of passes. An explicit product costs one multiplication. And a sample
# with 26 fields has 325 pairs.
#
# ### Your turn
#
# The highest order: each field has one number $x_i$, and the output is the product of all. For $B$ samples, $x$ has the
# shape $(B, F)$:
#
# $$ y = x_1 x_2 \cdots x_F . $$
#
# Write $dx$ from $dy = \partial L / \partial y$, where $L$ is the loss. For $x_i$, all the *other* numbers are a constant factor. The
# blank gives $x_i$ the product of all numbers, its own included. (Do not divide $y$ by $x_i$: some numbers are 0, as they are
# after a ReLU.)


# %%
def product_of_all(x):
    return x.prod(axis=1), x  # (B,)


def product_of_all_backward(dy, x):
    dx = np.zeros_like(x)  # (B, F)
    for i in range(x.shape[1]):
        dx[:, i] = dy * x.prod(axis=1)  # your turn: leave x_i out
    return dx


numbers = np.random.default_rng(2).normal(size=(6, 4))
numbers[0, 1] = numbers[1, 2] = 0
own_number = md.checking.Fingerprint(
    "own_number",
    lambda target, dy, x: {"x": (dy * x.prod(axis=1))[:, None] + 0 * x},
    "x_i gets dy times the product of all numbers",
    title="a number's own value is a factor of its gradient",
    hint="d(x_1 x_2)/dx_1 is x_2: without x_1.",
)
pair = (product_of_all, product_of_all_backward)
report = md.gradcheck(pair, numbers, fingerprints=[own_number])

# %% [markdown]
# <details><summary>Answer</summary>
#
# `np.delete(x, i, axis=1)` leaves column `i` out: `dx[:, i] = dy * np.delete(x, i, axis=1).prod(axis=1)`.
#
# The gradient of a product of order $F$ is a product of order $F - 1$. Where two of its numbers are near 0, all its gradients are near 0, too.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def product_of_all_answer(dy, x):
    dx = np.zeros_like(x)
    for i in range(x.shape[1]):
        dx[:, i] = dy * np.delete(x, i, axis=1).prod(axis=1)
    return dx


report = md.gradcheck((product_of_all, product_of_all_answer), numbers, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# ## 2. The chain begins: MF, then FM
#
# All models of the chain share one frame. `fields` gives $z$, shape $(B, F, D)$ for $B$ samples. `logits_of` turns $z$ into one number a
# sample; `dz_of` is its backward pass: from $dy = \partial L / \partial y$, shape $(B,)$, to $dz$, shape $(B, F, D)$. The
# names of the parts are the library's, so that its weights fit.


# %%
class Frame(md.Module):
    def __init__(self, num_dense, table_sizes, D, seed=0):
        options = {"rng": np.random.default_rng(seed), "dtype": np.float64}
        self.fields = md.layers.FieldEmbeddings(num_dense, table_sizes, D, **options)
        self.F, self.D = self.fields.num_fields, D
        self.build(num_dense, table_sizes, options)

    def forward(self, batch):
        z = self.fields.forward(batch.dense, batch.sparse)  # (B, F, D)
        return self.logits_of(z, batch)

    def backward(self, dy):
        self.fields.backward(self.dz_of(dy))


# %% [markdown]
# Biased matrix factorization: two fields, a user and an item, and one product. A *linear term* holds the bias $b$ and
# a number $w$ for every id.
#
# ### Your turn
#
# The product alone: $y = \langle z_0, z_1 \rangle$, for $z$ of shape $(B, 2, D)$. Each vector gets the *other* one. The blank
# gives each its own. (`own` describes this wrong answer to the checker, which can then recognize it.)


# %%
def product(z):
    return (z[:, 0] * z[:, 1]).sum(axis=1), z


def product_backward(dy, z):
    return dy[:, None, None] * z  # your turn


def own_vector(target, dy, z):
    return {"z": dy[:, None, None] * z}


own = md.checking.Fingerprint("operand", own_vector, "each vector gets dy times itself")
some_z = np.random.default_rng(1).normal(size=(4, 2, 3))
report = md.gradcheck((product, product_backward), some_z, fingerprints=[own])

# %% [markdown]
# <details><summary>Answer</summary>
#
# `dy[:, None, None] * z[:, ::-1]`: the two vectors, swapped.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def product_answer(dy, z):
    return dy[:, None, None] * z[:, ::-1]


report = md.gradcheck((product, product_answer), some_z, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# The first model of the chain:


# %%
class MF(Frame):
    def build(self, num_dense, table_sizes, options):
        self.linear = md.layers.LinearTerm(num_dense, table_sizes, dtype=np.float64)

    def logits_of(self, z, batch):
        self.z = z
        y = self.linear.forward(batch.dense, batch.sparse)
        return y + (z[:, 0] * z[:, 1]).sum(axis=1)

    def dz_of(self, dy):
        self.linear.backward(dy)
        return dy[:, None, None] * self.z[:, ::-1]


# %% [markdown]
# The factorization machine: any number of fields, all pairs. One part is new, `fm`; its formula and its gradient
# are those of notebook 03.


# %%
class FM(Frame):
    def build(self, num_dense, table_sizes, options):
        self.linear = md.layers.LinearTerm(num_dense, table_sizes, dtype=np.float64)
        self.fm = md.FMInteraction(self.F, self.D)

    def logits_of(self, z, batch):
        y = self.linear.forward(batch.dense, batch.sparse)
        return y + self.fm.forward(z)

    def dz_of(self, dy):
        self.linear.backward(dy)
        return self.fm.backward(dy)


# %%
def show_step(old, new):
    """Print the lines that change from one model to the next."""
    methods = ("build", "logits_of", "dz_of")
    a, b = (
        [line for m in methods for line in inspect.getsource(getattr(model, m)).splitlines()]
        for model in (old, new)
    )
    changed = [line for line in difflib.ndiff(a, b) if line[0] in "+-" and line[1:].strip()]
    print(f"{old.__name__} -> {new.__name__}", *changed, sep="\n")


show_step(MF, FM)

# %% [markdown]
# A test bench: a batch with two dense features and three tables, a check of every gradient, and a comparison with the
# library's class, with the same weights.

# %%
table_sizes = [7, 5, 6]
dense = rng.normal(size=(6, 2))
ids = np.stack([rng.integers(0, n, 6) for n in table_sizes], axis=1)
batch = md.data.Batch(dense, ids, np.array([1.0, 0, 0, 1, 0, 1]))
pair_batch = md.data.Batch(dense[:, :0], ids[:, :2], batch.label)


def bench(mine, library, rows=batch):
    report = md.gradcheck(mine, rows, verbose=False)
    library = library.astype(np.float64)
    for parameter in library.parameters():  # some begin at 0, and a product with 0 hides a mistake
        parameter.value[...] = np.random.default_rng(1).normal(0, 0.3, parameter.value.shape)
    mine.load_state_dict(library.state_dict())
    difference = np.abs(mine.forward(rows) - library.forward(rows)).max()
    print(f"gradients right: {report.passed}; from {type(library).__name__}: {difference:.1e}")


bench(MF(0, [7, 5], 3), md.FactorizationMachine(0, [7, 5], 3), pair_batch)
bench(FM(2, table_sizes, 3), md.FactorizationMachine(2, table_sizes, 3))

# %% [markdown]
# With two fields, FM *is* MF: the first line compares ours with the library's FM.
#
# ## 3. Wide & Deep: memory beside an MLP
#
# Cheng et al. (2016) train two models as one: the sum of a deep part and a wide part. **Deep**: the vectors $z$, one after
# the other, into an MLP. It generalizes. **Wide**: a linear model on *crosses*. A cross of table $i$ and table $j$ gives every
# pair of ids a weight of its own:
#
# $$ y = \mathrm{MLP}([z_1, \dots, z_F]) + \mathrm{linear}(x) + w_{(v_i, v_j)} . $$
#
# Here $v_i$ is the sample's id in table $i$, and $\mathrm{linear}(x)$ the linear term of MF: a number for every id and every dense
# feature. The cross remembers exceptions ("this user, this film"), but a pair that was never seen has weight 0. And
# somebody must choose which tables to cross.
#
# The two ids become one: $v_i N_j + v_j$, with $N_j$ the rows of table $j$. That numbers all pairs, each once.
#
# ### Your turn
#
# The blank gives different pairs the same number. Fix it, so that every pair has its own.


# %%
def check_crosses(function):
    said = np.asarray(function(every_i, every_j))
    numbers, uses = np.unique(said, return_counts=True)
    if uses.max() > 1:
        a, b = np.flatnonzero(said == numbers[uses.argmax()])[:2]
        pairs = f"({every_i[a]}, {every_j[a]}) and ({every_i[b]}, {every_j[b]})"
        tell("not yet: the pairs {pairs} have the same number, {said}", pairs=pairs, said=said[a])
    elif not np.array_equal(np.sort(said), np.arange(N_i * N_j)):
        tell(
            "not yet: the numbers must be 0 to {last}; you have {said}",
            last=N_i * N_j - 1,
            said=said,
        )
    else:
        tell("right: every pair has a number of its own, from 0 to {last}", last=N_i * N_j - 1)


# %%
N_i, N_j = 4, 3
every_i, every_j = np.divmod(np.arange(N_i * N_j), N_j)


def cross_id(v_i, v_j):
    return v_i + v_j  # your turn: not every pair has its own number


check_crosses(cross_id)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `v_i * N_j + v_j`, as the digits of a number are counted.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def cross_id_answer(v_i, v_j):
    return v_i * N_j + v_j


print("the answer:")
check_crosses(cross_id_answer)

# %% [markdown]
# The library's class numbers the pairs in the same way. With all other numbers 0, the logit is the weight of the cross:

# %%
wide = md.WideDeep(0, [N_i, N_j], 2, mlp=(4,), crosses=[(0, 1)], dtype=np.float64)
for parameter in wide.parameters():
    parameter.value[...] = 0
wide.crosses.weight.value[:, 0] = rng.normal(size=N_i * N_j)
every_pair = md.data.Batch(np.zeros((N_i * N_j, 0)), np.stack([every_i, every_j], axis=1))
by_hand = wide.crosses.weight.value[cross_id_answer(every_i, every_j), 0]
print("largest difference:", np.abs(wide.forward(every_pair) - by_hand).max())

# %% [markdown]
# ## 4. DeepFM: no more choosing
#
# Guo et al. (2017) put the FM in the place of the wide part. It has all pairs, and nobody needs to choose. FM and MLP **share** the
# vectors $z$. So $z$ has two arrows, and its gradient is the sum of both. (The MLP has a bias; a second $b$ is not needed.)
#
# ### Your turn
#
# A small DeepFM: no linear term, and one hidden layer of four units. Write $\bar z$ for $z_1, \dots, z_F$ one after the other, $F D$ numbers:
#
# $$ h = \mathrm{ReLU}(W \bar z), \qquad y = \sum_{i < j} \langle z_i, z_j \rangle + \langle u, h \rangle . $$
#
# $W$ has the shape $(4, F D)$, and $u$ has four numbers. The blank has the FM's arrow. Write the MLP's: first $du$, then $dW$,
# then what $z$ gets. (`forgotten` describes the blank's wrong $dz$ to the checker: the FM's arrow without the MLP's.)


# %%
def deepfm(z, W, u):
    s = z.sum(axis=1)  # (B, D)
    fm = (s**2 - (z**2).sum(axis=1)).sum(axis=1) / 2  # (B,)
    h = np.maximum(z.reshape(len(z), -1) @ W.T, 0)  # (B, 4)
    return fm + h @ u, (z, W, u, s, h)


def fm_alone(target, dy, z, W, u):
    return {"z": dy[:, None, None] * (z.sum(axis=1, keepdims=True) - z)}


forgotten = md.checking.Fingerprint("second_path", fm_alone, "dz has the FM's part only")
shapes = ((5, 3, 2), (4, 6), (4,))  # of z, W and u: B = 5, F = 3, D = 2
deep_arrays = [np.random.default_rng(4).normal(size=shape) for shape in shapes]


# %%
def deepfm_backward(dy, cache):
    z, W, u, s, h = cache
    dz = dy[:, None, None] * (s[:, None] - z)  # the FM's arrow
    du = np.zeros_like(u)  # your turn: du, dW, and the second arrow into z
    dW = np.zeros_like(W)
    return dz, dW, du


report = md.gradcheck((deepfm, deepfm_backward), *deep_arrays, fingerprints=[forgotten])

# %% [markdown]
# <details><summary>Answer</summary>
#
# Go backwards through the MLP. $u$ meets $h$: $du = \sum dy\, h$ over the batch. Before the ReLU the gradient is
# $da = dy\, u$ where $h > 0$, and 0 elsewhere. Then $dW = \sum da\, \bar z^\top$, and $W^\top da$ goes to $z$: it is **added**
# to the FM's.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def deepfm_answer(dy, cache):
    z, W, u, s, h = cache
    dz = dy[:, None, None] * (s[:, None] - z)
    du = h.T @ dy  # (4,)
    da = dy[:, None] * u * (h > 0)  # (B, 4)
    dW = da.T @ z.reshape(len(z), -1)  # (4, F D)
    dz = dz + (da @ W).reshape(z.shape)  # (B, F, D)
    return dz, dW, du


report = md.gradcheck((deepfm, deepfm_answer), *deep_arrays, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# The model of the chain does the same, with the library's parts:


# %%
class DeepFM(Frame):
    def build(self, num_dense, table_sizes, options):
        self.linear = md.layers.LinearTerm(num_dense, table_sizes, bias=False, dtype=np.float64)
        self.fm = md.FMInteraction(self.F, self.D)
        self.mlp = md.MLP([self.F * self.D, 8, 1], last_activation=False, **options)

    def logits_of(self, z, batch):
        y = self.linear.forward(batch.dense, batch.sparse)
        y = y + self.mlp.forward(z.reshape(len(z), -1))[:, 0]
        return y + self.fm.forward(z)

    def dz_of(self, dy):
        self.linear.backward(dy)
        deep = self.mlp.backward(dy[:, None]).reshape(-1, self.F, self.D)
        return self.fm.backward(dy) + deep


show_step(FM, DeepFM)
bench(DeepFM(2, table_sizes, 3), md.DeepFM(2, table_sizes, 3, mlp=(8,)))

# %% [markdown]
# ## 5. DCN: products of growing order
#
# FM stops at pairs. Wang et al. (2017) let the order grow by one with each **cross layer**. Write $x_0 = [z_1, \dots, z_F]$, all numbers
# of a sample in one vector of size $d = F D$. A layer multiplies $x_0$ with a linear map of what came before, and adds what came before:
#
# $$ y = x_0 \odot (W x + b) + x \qquad (\odot: \text{entry by entry}) . $$
#
# That is version 2 (2021), with a matrix $W$ of shape $(d, d)$. Version 1 has a vector $w$ in its place: $y = x_0 \langle w, x \rangle + b + x$.
# With $x = x_0$ the first layer holds all products of two numbers, the second of three, and so on.
#
# ### Its gradient
#
# Name the bracket: $g = W x + b$, so $y = x_0 \odot g + x$. For one sample:
#
# 1. $dx_0 = dy \odot g$, since $x_0$ is multiplied by $g$.
# 2. $dg = dy \odot x_0$.
# 3. $dW = dg\, x^\top$ and $db = dg$ (over a batch: the sum of all samples').
# 4. $x$ has two arrows, through $g$ and straight: $dx = W^\top dg + dy$.
#
# ### Your turn
#
# The blank follows one arrow of $x$ only.


# %%
def cross(x0, x, W, b):
    g = x @ W.T + b  # (B, d)
    return x0 * g + x, (x0, x, W, g)


def cross_backward(dy, cache):
    x0, x, W, g = cache
    dg = dy * x0  # (B, d)
    return dy * g, dg @ W, dg.T @ x, dg.sum(axis=0)  # your turn: dx0, dx, dW, db


d = 5
arrays = [rng.normal(size=shape) for shape in ((4, d), (4, d), (d, d), (d,))]
report = md.gradcheck((cross, cross_backward), *arrays)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `dx` is `dg @ W + dy`.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def cross_answer(dy, cache):
    x0, x, W, g = cache
    dg = dy * x0
    return dy * g, dg @ W + dy, dg.T @ x, dg.sum(axis=0)


report = md.gradcheck((cross, cross_answer), *arrays, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# The library's layer is `md.MatrixCross`. It gives the same numbers:

# %%
layer = md.MatrixCross(d, dtype=np.float64, rng=np.random.default_rng(0))
layer.weight.value[...], layer.bias.value[...] = arrays[2], arrays[3]
y, cache = cross(*arrays)
dy = rng.normal(size=y.shape)
print("forward:", np.abs(layer.forward(*arrays[:2]) - y).max())
pairs = zip(layer.backward(dy), cross_answer(dy, cache)[:2], strict=True)
print("dx0, dx:", *(np.abs(theirs - ours).max() for theirs, ours in pairs))

# %% [markdown]
# In a network of cross layers, $x_0$ goes into **every** layer, and once more as the first layer's $x$. Its gradient is the
# sum over all of these: see `md.CrossNetwork.backward`.
#
# Now see the order grow. Scale the input by $t$. A polynomial of order $k$ grows like $t^k$: on log axes, a line of slope $k$.

# %%
t = np.geomspace(1e2, 1e4, 20)
x = rng.normal(size=(1, 4))
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for num_layers, style in ((1, "-"), (2, "--"), (3, ":")):
    network = md.CrossNetwork(4, num_layers, dtype=np.float64, rng=np.random.default_rng(0))
    size = np.abs(network.forward(t[:, None] * x)).max(axis=1)
    slope = np.polyfit(np.log(t), np.log(size), 1)[0]
    ax.loglog(t, size, style, label=f"layers: {num_layers}, slope {slope:.2f}")
ax.set(xlabel="t: x0 is multiplied by t", ylabel="largest output", title="Order = layers + 1")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# Now the model. The cross network replaces the linear term and the FM. A last linear layer reads the cross part and the deep
# part side by side.


# %%
class DCN(Frame):
    def build(self, num_dense, table_sizes, options):
        self.cross = md.CrossNetwork(self.F * self.D, 2, "matrix", **options)
        self.deep = md.MLP([self.F * self.D, 8], **options)
        self.last = md.Linear(self.F * self.D + 8, 1, **options)

    def logits_of(self, z, batch):
        x0 = z.reshape(len(z), -1)  # (B, d)
        both = [self.cross.forward(x0), self.deep.forward(x0)]
        return self.last.forward(np.concatenate(both, axis=1))[:, 0]

    def dz_of(self, dy):
        dboth = self.last.backward(dy[:, None])
        dcross, ddeep = np.split(dboth, [self.F * self.D], axis=1)
        dx0 = self.cross.backward(dcross) + self.deep.backward(ddeep)
        return dx0.reshape(-1, self.F, self.D)


show_step(DeepFM, DCN)
bench(DCN(2, table_sizes, 3), md.DCN(2, table_sizes, 3, num_cross_layers=2, mlp=(8,)))

# %% [markdown]
# ## 6. xDeepFM: order grows, and vectors stay whole
#
# A cross layer mixes single numbers of different vectors: it is bit-wise. The **compressed interaction network** (CIN) of
# Lian et al. (2018) keeps whole vectors. Its layer takes $M$ vectors $x_1, \dots, x_M$ and the embeddings $z_1, \dots, z_F$. It
# multiplies every pair entry by entry, and gives $H$ weighted sums of these products:
#
# $$ y_h = \sum_{i=1}^{M} \sum_{j=1}^{F} W_{hij}\, (x_i \odot z_j) + b_h, \qquad h = 1, \dots, H . $$
#
# Every $y_h$ is a vector of size $D$. The next layer has $x = y$. At the end each vector is *pooled*: its $D$ entries are added up.
#
# ### Its gradient
#
# The $D$ entries do not mix. So take one sample and one entry: $x_i$, $z_j$ and $y_h$ are numbers.
#
# 1. $dW_{hij} = dy_h\, x_i\, z_j$ and $db_h = dy_h$ (sums over samples and entries).
# 2. $x_i$ is multiplied by every $z_j$: $dx_i = \sum_h \sum_j dy_h W_{hij} z_j$.
# 3. In the same way $dz_j = \sum_h \sum_i dy_h W_{hij} x_i$.
#
# In code, `np.einsum` writes such sums letter by letter: `n` counts samples and entries together.
#
# ### Your turn
#
# Write the third one, $dz$.


# %%
def cin(x, z, W, b):
    return np.einsum("hij,ni,nj->nh", W, x, z) + b, (x, z, W)


def cin_backward(dy, cache):
    x, z, W = cache
    dx = np.einsum("nh,hij,nj->ni", dy, W, z)
    dz = np.zeros_like(z)  # your turn: the sum over h and i
    return dx, dz, np.einsum("nh,ni,nj->hij", dy, x, z), dy.sum(axis=0)


M, F, H = 3, 4, 2
cin_arrays = [rng.normal(size=shape) for shape in ((6, M), (6, F), (H, M, F), (H,))]
report = md.gradcheck((cin, cin_backward), *cin_arrays)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `np.einsum("nh,hij,ni->nj", dy, W, x)`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def cin_answer(dy, cache):
    x, z, W = cache
    dx = np.einsum("nh,hij,nj->ni", dy, W, z)
    dz = np.einsum("nh,hij,ni->nj", dy, W, x)
    return dx, dz, np.einsum("nh,ni,nj->hij", dy, x, z), dy.sum(axis=0)


report = md.gradcheck((cin, cin_answer), *cin_arrays, verbose=False)
print("the answer: passed =", report.passed)

# %%
layer = md.layers.CINLayer(M, F, H, dtype=np.float64, rng=np.random.default_rng(0))
layer.weight.value[...], layer.bias.value[...] = cin_arrays[2], cin_arrays[3]
y, cache = cin(*cin_arrays)
dy = rng.normal(size=y.shape)
print("forward:", np.abs(layer.forward(*cin_arrays[:2]) - y).max())
pairs = zip(layer.backward(dy), cin_answer(dy, cache)[:2], strict=True)
print("dx, dz: ", *(np.abs(theirs - ours).max() for theirs, ours in pairs))


# %% [markdown]
# The model is DeepFM again, with the CIN in the place of the FM. The CIN gives many numbers; `cin_last` makes one number of
# them.


# %%
class XDeepFM(Frame):
    def build(self, num_dense, table_sizes, options):
        self.linear = md.layers.LinearTerm(num_dense, table_sizes, bias=False, dtype=np.float64)
        self.cin = md.CIN(self.F, self.D, (4, 4), **options)
        self.cin_last = md.Linear(self.cin.num_outputs, 1, **options)
        self.mlp = md.MLP([self.F * self.D, 8, 1], last_activation=False, **options)

    def logits_of(self, z, batch):
        y = self.linear.forward(batch.dense, batch.sparse)
        y = y + self.mlp.forward(z.reshape(len(z), -1))[:, 0]
        return y + self.cin_last.forward(self.cin.forward(z))[:, 0]

    def dz_of(self, dy):
        self.linear.backward(dy)
        deep = self.mlp.backward(dy[:, None]).reshape(-1, self.F, self.D)
        return self.cin.backward(self.cin_last.backward(dy[:, None])) + deep


show_step(DeepFM, XDeepFM)
bench(XDeepFM(2, table_sizes, 3), md.XDeepFM(2, table_sizes, 3, cin_layers=(4, 4), mlp=(8,)))

# %% [markdown]
# ## 7. DLRM: back to pairs, and further
#
# DLRM is simple again. All dense features together become **one** vector (by the bottom MLP). The products of pairs are not
# added up, but go through an MLP (the top): order 2 is explicit, and higher orders are left to the MLP.


# %%
class DLRMFrame(Frame):
    def __init__(self, num_dense, table_sizes, D, seed=0):  # z comes from two places
        options = {"rng": np.random.default_rng(seed), "dtype": np.float64}
        self.F, self.D = 1 + len(table_sizes), D
        self.embeddings = md.EmbeddingBagCollection(table_sizes, D, **options)
        self.bottom = md.MLP([num_dense, 8, D], **options)
        self.build(num_dense, table_sizes, options)

    def forward(self, batch):
        x = self.bottom.forward(batch.dense)  # (B, D)
        z = self.embeddings.forward(batch.sparse)  # (B, T, D)
        return self.logits_of(np.concatenate([x[:, None], z], axis=1), batch)  # (B,)

    def backward(self, dy):
        dz = self.dz_of(dy)  # (B, F, D)
        self.bottom.backward(dz[:, 0])
        self.embeddings.backward(dz[:, 1:])


# %% [markdown]
# This makes $z$: its vector 0 comes from the bottom MLP. What follows replaces the FM, and is as short:


# %%
class DLRM(DLRMFrame):
    def build(self, num_dense, table_sizes, options):
        self.dot = md.DotInteraction(self.F, self.D)
        top_in = self.D + self.F * (self.F - 1) // 2
        self.top = md.MLP([top_in, 8, 1], last_activation=False, **options)

    def logits_of(self, z, batch):
        pairs = self.dot.forward(z)  # (B, P)
        return self.top.forward(np.concatenate([z[:, 0], pairs], axis=1))[:, 0]

    def dz_of(self, dy):
        dx, dpairs = np.split(self.top.backward(dy[:, None]), [self.D], axis=1)
        dz = self.dot.backward(dpairs)
        dz[:, 0] += dx  # two arrows
        return dz


show_step(FM, DLRM)
bench(DLRM(2, table_sizes, 3), md.DLRM(2, table_sizes, 3, bottom_mlp=(8,), top_mlp=(8,)))

# %% [markdown]
# ### Your turn
#
# A DLRM can be an FM: the top MLP only has to add up the pairs. Let the top be one linear layer, $y = W x + b$, of
# shape $(1, D + P)$, where $P = F (F - 1) / 2$ is the number of pairs. It reads the vector $z_0$, then the products $\langle z_i, z_j \rangle$ with $i > j$, in the order of
# `np.tril_indices(F, -1)`. Choose $W$ so that $y$ is the FM of the **tables** alone, $z_1, \dots, z_{F-1}$: the bottom MLP's vector $z_0$ takes no part. The blank
# adds up everything.


# %%
def check_top(function, F=4, D=3):
    z, P = np.random.default_rng(5).normal(size=(8, F, D)), F * (F - 1) // 2
    W, pairs = np.asarray(function(F, D)), md.DotInteraction(F, D).forward(z)  # (8, P)
    if W.shape != (1, D + P):
        shapes = {"shape": W.shape, "wanted": (1, D + P)}
        tell("not yet: W has the shape {shape}, and should have {wanted}", **shapes)
        return
    y = (np.concatenate([z[:, 0], pairs], axis=1) @ W.T)[:, 0]
    wanted = md.FMInteraction(F - 1, D).forward(z[:, 1:])
    if np.allclose(y, wanted):
        tell("right: a DLRM that is an FM")
        return
    k = np.abs(y - wanted).argmax()
    said = {"k": k, "y": y[k], "wanted": wanted[k]}
    tell("not yet: sample {k} gives y = {y:.3f}, the FM {wanted:.3f};", **said)
    j = np.tril_indices(F, -1)[1]
    own, pairs = np.count_nonzero(W[0, :D]), np.count_nonzero(W[0, D:][j == 0])
    read = {"own": own, "D": D, "pairs": pairs, "most": F - 1}
    tell(
        "  {own} of {D} weights read z0 itself, and {pairs} of {most} a pair of z0: make them 0;",
        **read,
    )
    others = {"wrong": np.sum(W[0, D:][j > 0] != 1), "others": np.sum(j > 0)}
    tell("  {wrong} of {others} other pairs need the weight 1", **others)


# %%
def top_of_an_fm(F, D):
    P = F * (F - 1) // 2
    W = np.ones((1, D + P))  # your turn: which of these numbers must be 0?
    return W


check_top(top_of_an_fm)

# %% [markdown]
# <details><summary>Answer</summary>
#
# The first $D$ numbers are 0, and so are those of the pairs with $j = 0$. All others are 1. So a DLRM can do what
# an FM can do: an FM fixes these weights, a DLRM learns them.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def top_of_an_fm_answer(F, D):
    j = np.tril_indices(F, -1)[1]  # (P,)
    return np.concatenate([np.zeros(D), j > 0])[None]  # (1, D + P)


print("the answer:")
check_top(top_of_an_fm_answer)

# %% [markdown]
# The chain at a glance ($n$ cross or CIN layers):
#
# | model | explicit products | unit | what changed |
# | --- | --- | --- | --- |
# | MF | order 2, one pair | vector | |
# | FM | order 2, all pairs | vector | any number of fields |
# | Wide & Deep | chosen pairs | ids | memory, and an MLP |
# | DeepFM | order 2, all pairs | vector | FM in the place of the chosen pairs |
# | DCN | up to order $n + 1$ | bit | cross layers in the place of the FM |
# | xDeepFM | up to order $n + 1$ | vector | CIN in the place of the FM |
# | DLRM | order 2, all pairs | vector | pairs kept apart, and read by the MLP |
#
# Two of them as figures, drawn from the library's classes:

# %%
fig, axes = plt.subplots(1, 2, figsize=(11, 6), layout="constrained")
md.diagram(md.DCN(2, table_sizes, 3, num_cross_layers=2, mlp=(8,)), ax=axes[0])
_ = md.diagram(md.XDeepFM(2, table_sizes, 3, cin_layers=(4, 4), mlp=(8,)), ax=axes[1])

# %% [markdown]
# ## 8. Which products does each model learn?
#
# An experiment with a planted truth. In the first data set the clicks depend on products of **two** hidden signs of different
# tables, in the second on products of **three**. In both, every single id has the same click rate.
#
# We measure the share of what can be learned: 0 for predicting the mean rate, 1 for the Bayes limit, the best possible log
# loss.
#
# Guess first: what will logistic regression (LR) get? FM with the second data set? Who learns order 3?


# %%
def share_learned(model, clicks):
    options = {"optimizer": md.Adam(0.01), "batch_size": 256, "progress": False}
    md.fit(model, clicks.train, clicks.valid, epochs=4, **options)
    entropy = md.metrics.entropy(clicks.test.label)
    loss = md.evaluate(model, clicks.test)["log_loss"]
    return (entropy - loss) / (entropy - clicks.bayes_log_loss)


def contenders(sizes, seed):
    common = {"num_dense": 2, "table_sizes": sizes, "embedding_dim": 8, "seed": seed}
    return {
        "LR": md.LogisticRegression(2, sizes),
        "FM": md.FactorizationMachine(**common),
        "MLP": md.MLPModel(**common, mlp=(64, 32)),
        "DeepFM": md.DeepFM(**common, mlp=(64, 32)),
        "DCN": md.DCN(**common, num_cross_layers=3, mlp=(64, 32)),
        "xDeepFM": md.XDeepFM(**common, cin_layers=(8, 8), mlp=(64, 32)),
        "DLRM": md.DLRM(**common, bottom_mlp=(32,), top_mlp=(64, 32)),
    }


# %%
shares = {}  # (model, order) -> the shares of three seeds
for order in (2, 3):
    clicks = md.data.synthetic_clicks(
        100_000, seed=0, order=order, num_dense=2, num_tables=8, max_table_size=16
    )
    for seed in range(3):
        for name, model in contenders(clicks.table_sizes, seed).items():
            shares.setdefault((name, order), []).append(share_learned(model, clicks))

# %%
names = list(dict.fromkeys(name for name, _ in shares))
place = np.arange(len(names))
fig, ax = plt.subplots(figsize=(7.2, 3.4), layout="constrained")
for order, hatch, color, shift in ((2, "", "0.6", -0.2), (3, "//", "0.9", 0.2)):
    values = np.array([shares[name, order] for name in names])  # (models, seeds)
    bars = {"color": color, "hatch": hatch, "edgecolor": "0.3", "label": f"order {order}"}
    ax.bar(place + shift, values.mean(axis=1), 0.4, **bars)
    ax.plot(np.repeat(place + shift, 3), values.ravel(), "k.", ms=5)
ax.set(ylabel="share learned (1: Bayes limit)", xticks=place, xticklabels=names)
ax.legend(title="dots: seeds")
ax.grid(axis="y", alpha=0.3)

# %% [markdown]
# LR learns nothing, as expected: single ids tell nothing. FM learns order 2, and nothing of order 3: its formula has no
# products of three. The dots of order 3 are near multiples of a third: the data contain three products of three, and a model
# has found none, one, two or all of them. Models with products of higher order (DCN, xDeepFM), and a model that reads the
# pairs one by one (DLRM), find more of them than an MLP alone, or than pairs that are added up (DeepFM).
#
# A single learning rate for all models proves little. `minidlrm compare --experiment order` chooses the rate of each model on
# validation rows, and has larger tables. `minidlrm paper 2.3` takes what is commonly said of these models, statement by
# statement, and holds a measured number against each.
#
# ### Your turn
#
# What does a model cost? Count the multiplications of a sample in the explicit part, forward, for $F$ fields and
# $D$ numbers in each: the pair products of DLRM, one full cross layer, one CIN layer with $H$ vectors from $F$. The first is
# given; fix the other two.


# %%
def multiplications(F, D, H):
    pairs = F * (F - 1) // 2 * D
    cross = F * D  # your turn: W x has a matrix
    cin = F * F * D  # your turn: the products, and then the sums with W
    return {"DLRM's pairs": pairs, "cross layer": cross, "CIN layer": cin}


def check_counts(function):
    F, D, H = 26, 16, 16
    right = {"DLRM's pairs": 5200, "cross layer": 173_472, "CIN layer": 183_872}
    known = {F * D: say("W x has a matrix of F D rows and F D columns")}
    known |= {(F * D) ** 2: say("the product with x0 is missing")}
    known |= {
        F * F * D: say("the sums with W multiply, too"),
        F * F * D * H: say("the products are missing"),
    }
    for name, count in function(F, D, H).items():
        why = known.get(count, say("count again"))
        wrong = say("not yet: {count}: {why}", count=f"{count:,}", why=why)
        print(f"{name:13} {say('right') if count == right[name] else wrong}")


print("F = 26, D = 16, H = 16")
check_counts(multiplications)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Cross layer: the matrix has $(F D)^2$ entries, and the product with $x_0$ takes $F D$ more. CIN layer: $F^2 D$ products, and each of them is
# multiplied with a weight for each of the $H$ vectors: $F^2 D (1 + H)$.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def multiplications_answer(F, D, H):
    pairs = F * (F - 1) // 2 * D
    return {
        "DLRM's pairs": pairs,
        "cross layer": (F * D) ** 2 + F * D,
        "CIN layer": F * F * D * (1 + H),
    }


print("the answer:")
check_counts(multiplications_answer)

# %% [markdown]
# ## 9. The museum of this chapter
#
# What is new in these models is **sharing**: $x_0$ goes into every cross layer, $z$ into the FM and the MLP. So the classic
# mistake is a forgotten arrow. Find it in each, then ask the checker.

# %%
from minidlrm.checking import museum

bugs = museum.exhibits("FirstInputForgotten", "ResidualForgotten", "SharedEmbeddingsForgotten")
museum.show(bugs)

# %%
museum.explain(bugs)

# %% [markdown]
# Do they train? We put the first two into a DCN, and the third into a DeepFM, on the clicks of order 3.


# %%
def curve_of(model, wrong=None):
    for _, module in model.named_modules():
        if wrong and type(module) is wrong.correct:
            module.__class__ = wrong.cls
    options = {"optimizer": md.Adam(0.01), "batch_size": 256, "eval_every": 50}
    history = md.fit(model, clicks.train, clicks.valid, epochs=3, progress=False, **options)
    return history.column("epoch"), history.column("valid_log_loss")


fig, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True, layout="constrained")
for ax, right, name in zip(axes, (md.DCN, md.DeepFM), ("DCN", "DeepFM"), strict=True):
    wrong = [bug for bug in bugs if (bug.correct is md.DeepFM) == (right is md.DeepFM)]
    for bug, style in zip((None, *wrong), ("-", "--", ":"), strict=False):
        model = right(2, clicks.table_sizes, 8, mlp=(64, 32))
        label = bug.cls.__name__ if bug else "right"
        ax.plot(*curve_of(model, bug), style, label=label)
    ax.set(xlabel="epoch", ylabel="validation log loss (nats)", title=name)
    ax.legend(fontsize="small")
    ax.grid(alpha=0.3)

# %% [markdown]
# A right curve falls in steps: at each step the model has found one of the products. When this happens is a matter of luck,
# and a wrong gradient may well be ahead for a while. In the DeepFM the wrong one turns up after a good start, but so does
# overfitting. You cannot see from such curves which model is right. The checker can.
#
# ## What to remember
#
# 1. One chain: each model changes how features meet, and little else.
# 2. Cross layer: $y = x_0 \odot (W x + b) + x$. One more order a layer, bit-wise.
# 3. CIN: weighted sums of products of whole vectors. One more order a layer, vector-wise.
# 4. What is used twice has a gradient with two terms. A model with a forgotten arrow still trains.
# 5. Explicit products learn their order. An MLP may find others, or may not.
#
# Next: 08, making it fast.
