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
# # 05 · The DLRM
#
# [![Open in Colab](colab.svg)](https://colab.research.google.com/github/)
#
# You have built all the parts: embeddings (01), products of embeddings (02, 03), multilayer perceptrons (04). The **deep
# learning recommendation model** (DLRM) of Naumov et al. (2019) puts them together. Models of this kind choose the ads and
# posts that billions of people see, and a small one fits on a page.
#
# You need notebooks 00 to 04. Reading time: 60 minutes.
#
# **What you will have at the end**: a DLRM of your own, forward and backward, with the same numbers as the
# library's; every number of a small batch, on your screen; and a replay of the run that the paper's authors printed.

# %%
# In Colab, or where minidlrm is not installed: pip install it first.
import importlib.util

if importlib.util.find_spec("minidlrm") is None:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "minidlrm"], check=True)

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np

import minidlrm as md
from minidlrm.languages import say, tell

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. The figure
#
# A click has **dense** features (counts, ages: numbers) and **sparse** features (ids, one for each of $T$ tables).
#
# 1. The dense features go through the *bottom MLP*. It ends with a vector $x$ of size $D$: as large as an embedding.
# 2. Each id is looked up: $T$ vectors of size $D$.
# 3. Now there are $F = T + 1$ vectors of one size. The *interaction* takes the dot product of every pair.
# 4. The dense vector and all products go through the *top MLP*. It ends with one number, the logit.
#
# This is the figure of the paper, drawn from the library's class. In the box `interaction` each cell is the dot product of
# the two vectors whose colours it has. No vector is multiplied by itself, so the cells form a triangle.

# %%
model = md.DLRM(
    num_dense=9,
    table_sizes=[7, 5, 6],
    embedding_dim=2,
    bottom_mlp=(7,),
    top_mlp=(10,),
    dtype=np.float64,
)
fig, ax = plt.subplots(figsize=(4.6, 8), layout="constrained")
_ = md.diagram(model, ax=ax)

# %% [markdown]
# Here are five samples: nine dense features, and an id for each of three tables. The number of samples in a batch is the
# **batch size** $B$. All sizes differ, so that a mistake in a shape cannot hide.

# %%
dense = rng.normal(size=(5, 9))
ids = np.array([[2, 0, 5], [2, 4, 1], [6, 4, 5], [0, 1, 5], [5, 3, 0]])
label = np.array([1.0, 0.0, 0.0, 1.0, 0.0])
batch = md.data.Batch(dense, ids, label)
B, F, D = 5, 4, 2

# %% [markdown]
# ### Your turn
#
# Before you write a network, know the shape of every array in it. This check compares with the library, at other sizes.


# %%
def check_shapes(function):
    sizes = {"B": 5, "num_dense": 3, "T": 6, "D": 2}
    other = md.DLRM(3, [4, 9, 5, 2, 8, 7], 2, bottom_mlp=(6,), top_mlp=(8,))
    rows = md.data.Batch(np.ones((5, 3)), np.zeros((5, 6), dtype=int), np.ones(5))
    ops = {op.name: op for op in md.trace(other, rows).operations if op.phase == "forward"}
    right = {
        "x": (ops["bottom.layers.1"].outputs["y"], say("the bottom MLP ends with size D")),
        "z": (ops["interaction"].inputs["z"], say("the dense vector is one of the vectors, too")),
        "pairs": (ops["interaction"].outputs["y"], say("each vector with each other one, once")),
        "top input": (ops["top.layers.0"].inputs["x"], say("two arrows end there")),
        "logit": (other.forward(rows), say("one number for each sample")),
    }
    said = function(**sizes)
    for name, (array, hint) in right.items():
        guess = tuple(np.ravel(said[name]).tolist())
        whole = all(isinstance(size, int) for size in guess)
        if guess != array.shape or not whole:
            shapes = {"name": name, "shape": array.shape, "said": said[name]}
            tell("not yet: {name} has the shape {shape}, and you say {said}", **shapes)
            hint = say("a size is a whole number: divide with //") if guess == array.shape else hint
            tell("(with {sizes}). Hint: {hint}.", sizes=sizes, hint=hint)
            return
    tell("right: the shapes are the library's")


# %% [markdown]
# Predict them: put a shape in the place of each `None`. $z$ is the array of all vectors that interact.


# %%
def shapes(B, num_dense, T, D):
    return {
        "dense": (B, num_dense),  # this one is given
        "x": None,  # your turn: out of the bottom MLP
        "z": None,  # into the interaction
        "pairs": None,  # out of the interaction
        "top input": None,  # into the top MLP
        "logit": None,  # out of the model
    }


check_shapes(shapes)

# %% [markdown]
# <details><summary>Answer</summary>
#
# There are $F = T + 1$ vectors. The first has $F - 1$ partners, the next $F - 2$ new ones, and so on: $F (F - 1) / 2$ pairs. The top MLP
# gets the $D$ numbers of $x$ and all pairs.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def shapes_answer(B, num_dense, T, D):
    F = T + 1
    P = F * (F - 1) // 2
    return {
        "dense": (B, num_dense),
        "x": (B, D),
        "z": (B, F, D),
        "pairs": (B, P),
        "top input": (B, D + P),
        "logit": (B,),
    }


print("the answer:")
check_shapes(shapes_answer)

# %% [markdown]
# ## 2. The interaction
#
# Let $z$ hold the $F$ vectors of a sample, shape $(F, D)$. All products at once are the matrix $z z^\top$, shape $(F, F)$. It is
# symmetric: the part above the diagonal repeats the part below. DLRM takes the **strict lower triangle**, row by row:
# (1, 0), (2, 0), (2, 1), (3, 0), ... These are $P = F (F - 1) / 2$ numbers.
#
# An FM (notebook 03) adds these products up. DLRM keeps them apart, and lets the top MLP decide what each of them means.


# %%
i, j = np.tril_indices(F, -1)  # row by row


def interact(z):
    products = z @ z.transpose(0, 2, 1)  # (B, F, F)
    return products[:, i, j], z  # (B, P)


z = rng.normal(size=(B, F, D))
pairs, _ = interact(z)
print("pairs:", list(zip(i.tolist(), j.tolist(), strict=True)))
print("added up:", pairs.sum(axis=1).round(4))
print("an FM:   ", md.FMInteraction(F, D).forward(z).round(4))

# %%
fig, axes = plt.subplots(1, 2, figsize=(7.2, 3), layout="constrained")
products = z[0] @ z[0].T
limit = np.abs(products).max()
for ax, values, title in (
    (axes[0], products, "z zᵀ of one sample"),
    (axes[1], np.where(np.tri(F, k=-1) > 0, products, np.nan), "what DLRM takes"),
):
    ax.imshow(values, cmap="PuOr", vmin=-2.5 * limit, vmax=2.5 * limit)
    ax.set(title=title, xlabel="vector j", ylabel="vector i", xticks=range(F), yticks=range(F))
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            ax.text(column, row, f"{value:.1f}", ha="center", va="center")

# %% [markdown]
# ### Its gradient
#
# Write $dy$ back into a matrix $G$ of shape $(F, F)$: zero on the diagonal and above it. Vector $z_k$ appears in a product as the
# first factor ($y_{kj} = \langle z_k, z_j \rangle$, row $k$ of $G$) and as the second ($y_{ik} = \langle z_i, z_k \rangle$, column $k$). Both count:
#
# $$ dz_k = \sum_j G_{kj}\, z_j + \sum_i G_{ik}\, z_i, \qquad dz = (G + G^\top)\, z . $$
#
# ### Your turn
#
# Write it. The blank forgets one of the two.


# %%
def interact_backward(dy, z):
    G = np.zeros((len(z), F, F))
    G[:, i, j] = dy
    return G @ z  # your turn: half of it is missing


report = md.gradcheck((interact, interact_backward), z)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `(G + G.transpose(0, 2, 1)) @ z`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def interact_answer(dy, z):
    G = np.zeros((len(z), F, F))
    G[:, i, j] = dy
    return (G + G.transpose(0, 2, 1)) @ z


report = md.gradcheck((interact, interact_answer), z, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# ## 3. Forward, by hand
#
# We take the library's weights, so that we can compare. A linear layer is `x @ W.T + b`; ReLU follows every layer
# of the bottom MLP (the last one too), and every layer of the top MLP but its last: that one gives the logit. The layers are
# numbered 1 to 4; $h_1$ and $h_3$ are the outputs of the first layer of each MLP, after its ReLU.

# %%
weights = {name: value.copy() for name, value in model.state_dict().items()}
starts = np.array([0, 7, 12])  # where each table begins
for name, value in weights.items():
    print(f"{name:24} {value.shape}")

# %%
W1, b1 = weights["bottom.layers.0.weight"], weights["bottom.layers.0.bias"]
W2, b2 = weights["bottom.layers.1.weight"], weights["bottom.layers.1.bias"]
W3, b3 = weights["top.layers.0.weight"], weights["top.layers.0.bias"]
W4, b4 = weights["top.layers.1.weight"], weights["top.layers.1.bias"]
table = weights["embeddings.weight"]

h1 = np.maximum(dense @ W1.T + b1, 0)  # (B, 7)
x = np.maximum(h1 @ W2.T + b2, 0)  # (B, D): as large as an embedding
rows = ids + starts  # (B, T)
z = np.concatenate([x[:, None], table[rows]], axis=1)  # (B, F, D): the dense vector is vector 0
pairs, _ = interact(z)  # (B, P)
top_in = np.concatenate([x, pairs], axis=1)  # (B, D + P)
h3 = np.maximum(top_in @ W3.T + b3, 0)  # (B, 10)
logit = (h3 @ W4.T + b4)[:, 0]  # (B,)

print("ours:       ", logit.round(6))
print("the library:", model.forward(batch).round(6))

# %% [markdown]
# ### Your turn
#
# The arrays above hold all samples at once. Now compute, with loops, what goes into the top MLP for one sample $b$:
# $D + P$ numbers. The check looks for the first number that is wrong.


# %%
def check_top_input(function):
    for b in range(B):
        said, wanted = np.asarray(function(b)), top_in[b]
        if said.shape != wanted.shape:
            tell(
                "not yet: the shape is {said}, and should be {wanted}",
                said=said.shape,
                wanted=wanted.shape,
            )
            return
        wrong = np.flatnonzero(np.abs(said - wanted) > 1e-12)
        if len(wrong):
            k = wrong[0]
            name = (
                f"x[{k}]"
                if k < D
                else say("the product of z_{i} and z_{j}", i=i[k - D], j=j[k - D])
            )
            print(say("not yet: in sample {b}, place {k} is {name}:", b=b, k=k, name=name), end=" ")
            tell("{wanted:.4f}, and you have {said:.4f}", wanted=wanted[k], said=said[k])
            return
    tell("right: the numbers of all samples, in their places")


# %% [markdown]
# Two lines are wrong here. Both run, and give numbers of the right shape. Find them.


# %%
def top_input_of(b):
    vectors = [x[b]]
    for t in range(3):
        vectors.append(table[ids[b, t]])
    numbers = list(x[b])
    for first in range(F):
        for second in range(first + 1, F):
            numbers.append(vectors[first] @ vectors[second])
    return np.array(numbers)  # your turn: two lines above are wrong


check_top_input(top_input_of)

# %% [markdown]
# <details><summary>Answer</summary>
#
# All tables are in one array, so the row is `ids[b, t] + starts[t]`. And the strict lower triangle, row by row, needs
# `second in range(first)`: (1, 0), (2, 0), (2, 1), ... The blank goes through the upper triangle: the same products, in
# another order. A top MLP that is trained from scratch does not mind, but weights from elsewhere then meet the wrong numbers.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def top_input_answer(b):
    vectors = [x[b]]
    for t in range(3):
        vectors.append(table[ids[b, t] + starts[t]])
    numbers = list(x[b])
    for first in range(F):
        for second in range(first):
            numbers.append(vectors[first] @ vectors[second])
    return np.array(numbers)


print("the answer:")
check_top_input(top_input_answer)

# %% [markdown]
# ## 4. Backward, by hand
#
# Go through the figure from top to bottom. Write `dh3` for the gradient with respect to the *input* of the ReLU that gives
# `h3`, and so on: the gradient that arrives, times $[h_3 > 0]$ (1 where this is true, 0 elsewhere). One place needs care: **the dense vector $x$ has two arrows**. It goes
# straight to the top MLP, and it is vector 0 of the interaction. Its gradient is the sum of both.
#
# ### Your turn
#
# `dtop` is the gradient of the top MLP's input, shape $(B, D + P)$: first $D$ numbers for $x$, then $P$ for the pairs. `dz`, shape
# $(B, F, D)$, is the gradient of the vectors of the interaction. Combine them into $dx$. The blank follows one arrow only.


# %%
def both_arrows(dtop, dz):
    return dtop[:, :D]  # your turn: there is another arrow


def check_arrows(function):
    def forward(x):
        pairs, _ = interact(np.concatenate([x[:, None], z[:, 1:]], axis=1))
        return np.concatenate([x, pairs], axis=1)  # (B, D + P)

    def backward(dtop):
        return function(dtop, interact_answer(dtop[:, D:], z))

    return md.gradcheck((forward, backward), z[:, 0].copy(), verbose=function is both_arrows)


report = check_arrows(both_arrows)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `dtop[:, :D] + dz[:, 0]`: the straight way, and the way through vector 0.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def both_arrows_answer(dtop, dz):
    return dtop[:, :D] + dz[:, 0]


print("the answer: passed =", check_arrows(both_arrows_answer).passed)

# %% [markdown]
# Now all the way down. Each line is a formula that an earlier notebook derived.

# %%
dlogit = (1 / (1 + np.exp(-logit)) - label) / B  # (B,): log loss (04), mean over B
dh3 = dlogit[:, None] * W4 * (h3 > 0)  # (B, 10)
dtop = dh3 @ W3  # (B, D + P)
dz = interact_answer(dtop[:, D:], z)  # (B, F, D)
dx = both_arrows_answer(dtop, dz)  # (B, D)
dx = dx * (x > 0)  # the ReLU of the bottom MLP's last layer
dh1 = (dx @ W2) * (h1 > 0)  # (B, 7)
dtable = np.zeros_like(table)
np.add.at(dtable, rows, dz[:, 1:])  # ids repeat: their gradients add up

by_hand = {
    "embeddings.weight": dtable,
    "bottom.layers.0.weight": dh1.T @ dense,
    "bottom.layers.0.bias": dh1.sum(axis=0),
    "bottom.layers.1.weight": dx.T @ h1,
    "bottom.layers.1.bias": dx.sum(axis=0),
    "top.layers.0.weight": dh3.T @ top_in,
    "top.layers.0.bias": dh3.sum(axis=0),
    "top.layers.1.weight": dlogit[None] @ h3,
    "top.layers.1.bias": dlogit.sum(keepdims=True),
}

# %%
loss = md.BCEWithLogits()
loss.forward(model.forward(batch), label)
model.zero_grad()
model.backward(loss.backward())
for name, parameter in model.named_parameters():
    grad = parameter.grad
    grad = grad.to_dense() if isinstance(grad, md.SparseGrad) else grad
    print(f"{name:24} largest difference {np.abs(grad - by_hand[name]).max():.1e}")

# %% [markdown]
# ## 5. Every number of this batch
#
# Step through it: forward, loss, backward. Press *Next*, or use the arrow keys. The equation shows the numbers of
# the first sample.

# %%
steps = md.trace(model, batch)
steps

# %% [markdown]
# ### What if?
#
# Change one number of an embedding that two samples share (table 0, id 2), and follow it.

# %%
print(steps.perturb("embeddings.weight", (2, 0), eps=0.01))

# %% [markdown]
# The second table shows what a gradient is for: it **predicts** the change of the loss. A number that grows by a small $\epsilon$ moves
# the loss by $\epsilon$ times its gradient.
#
# ### Your turn
#
# Predict. Number `d` of the embedding of id `v` in table `t` grows by `eps`. Which samples look this row up? By how much does the loss
# change? You have `ids` $(B, T)$, and `dz` $(B, F, D)$ of section 4: the gradient of each vector of each sample. The library then
# makes the change, and measures.


# %%
def check_what_moves(function):
    for t, v in ((0, 2), (1, 4), (2, 5)):
        samples, change = function(t, v, d=1, eps=1e-4)
        made = steps.perturb("embeddings.weight", (starts[t] + v, 1), eps=1e-4)
        uses, wanted = made.moved[0][2], 1e-4 * made.slopes[0][1]
        print(say("table {t}, id {v}: ", t=t, v=v), end="")
        if isinstance(samples, tuple):
            tell("not yet: samples is a tuple, as np.where gives it: take its [0]")
        elif len(samples) != uses:
            number = {"uses": uses, "samples": len(samples)}
            tell("not yet: {uses} samples look it up, and you name {samples}", **number)
        elif abs(change - wanted) > 1e-3 * abs(wanted):
            moves = {"wanted": wanted, "change": change}
            tell("not yet: the loss moves by {wanted:.3e}, and you say {change:.3e}", **moves)
        else:
            moves = {"samples": list(map(int, samples)), "wanted": wanted}
            tell("right: samples {samples}, and the loss moves by {wanted:.3e}", **moves)


# %%
def what_moves(t, v, d, eps):
    samples = []  # your turn: the samples whose id in table t is v
    change = 0.0  # and the change that their gradients predict
    return samples, change


check_what_moves(what_moves)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Table $t$ is vector $t + 1$ of the interaction: vector 0 is the dense one. Each sample that uses the row adds its own part, as the
# scatter-add of section 4 does.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def what_moves_answer(t, v, d, eps):
    samples = np.flatnonzero(ids[:, t] == v)
    change = eps * dz[samples, t + 1, d].sum()
    return samples, change


print("the answer:")
check_what_moves(what_moves_answer)

# %% [markdown]
# ## 6. What the authors printed
#
# The README of the reference implementation prints a whole run: three steps of a tiny DLRM, with all inputs, parameters and
# losses. All of it comes from one seed of NumPy's old generator, so it can be replayed, number by number. It exercises
# everything: bags of ids, the order of the triangle, ReLU, the sigmoid, the scatter-add.

# %%
from minidlrm import verify

ours = verify.replay()
for step, (printed, replayed) in enumerate(
    zip(verify.PUBLISHED_LOSSES, ours.losses, strict=True), 1
):
    print(f"step {step}: printed {printed:.6f}, ours {replayed:.6f}")

# %% [markdown]
# ### Your turn
#
# One thing in that run is not as in section 4: its loss. It is not the log loss, but the mean squared error of the probability
# $p_b$ of each sample $b$. With the sigmoid $\sigma$:
#
# $$ L = \frac{1}{B} \sum_b (p_b - \text{label}_b)^2, \qquad p_b = \sigma(\text{logit}_b) . $$
#
# Derive the gradient of the logits on paper, then write it. `dy` is the gradient that arrives at $L$, one number. The blank has the
# gradient of the log loss. (The derivative of the sigmoid is $\sigma' = \sigma\,(1 - \sigma)$.)


# %%
def mistake(title, text, hint, formula):
    def wrong(target, dy, logit):
        return {"logit": formula(dy, 1 / (1 + np.exp(-logit)))}

    return md.checking.Fingerprint(title, wrong, text, title, hint)


mistakes = [  # two wrong formulas that the checker can then recognize
    mistake(
        "this is the gradient of the log loss",
        "(p - label) / B",
        "The square has a different slope, and the sigmoid's slope does not cancel.",
        lambda dy, p: dy * (p - label) / B,
    ),
    mistake(
        "this is the gradient of p",
        "2 (p - label) / B",
        "One step is left: from p to the logit.",
        lambda dy, p: dy * 2 * (p - label) / B,
    ),
]


# %%
def squared(logit):
    p = 1 / (1 + np.exp(-logit))  # (B,)
    return np.mean((p - label) ** 2), p


def squared_backward(dy, p):
    return dy * (p - label) / B  # your turn: first the gradient of p, then that of the logit


report = md.gradcheck((squared, squared_backward), logit, fingerprints=mistakes)

# %% [markdown]
# <details><summary>Answer</summary>
#
# $dp_b = 2\,(p_b - \text{label}_b) / B$, and the logit's gradient is $dp_b\; p_b (1 - p_b)$. Look at the last factor: for a sample that
# is confidently wrong, $p$ near 0 with label 1, it is nearly 0. The model learns almost nothing from such a sample. The log
# loss does not have this factor.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def squared_answer(dy, p):
    dp = dy * 2 * (p - label) / B
    return dp * p * (1 - p)


report = md.gradcheck((squared, squared_answer), logit, verbose=False)
print("the answer: passed =", report.passed)
sigmoid, mse = md.Sigmoid(), md.MSE()
mse.forward(sigmoid.forward(logit), label)
ours, theirs = squared_answer(1.0, squared(logit)[1]), sigmoid.backward(mse.backward())
print(f"largest difference from the library's two classes: {np.abs(ours - theirs).max():.1e}")

# %% [markdown]
# ## 7. How large is a real one?
#
# Two counts: the **parameters** (memory), and the **FLOPs** of the forward pass for one sample (arithmetic: additions and
# multiplications; a multiply-add is two). A layer from $n$ to $m$ numbers has a matrix of $m \times n$ weights and $m$ biases. It
# takes $m n$ multiply-adds (we do not count the biases here). A lookup takes none.
#
# ### Your turn
#
# Count. `rows` are the rows of all tables together; `bottom` and `top` are the sizes of the MLPs, such as `[9, 7, 2]`, of which `pairwise`
# gives (9, 7) and (7, 2).


# %%
def check_size(function):
    parameters, flops = function(18, F, D, [9, 7, 2], [8, 10, 1])
    forward = [op for op in steps.operations if op.phase == "forward"]
    names = {"embeddings": "embeddings", "top MLP": "top", "bottom MLP": "bottom"}
    for name, part in (names | {"interaction": "interaction"}).items():
        flop = sum(op.flops for op in forward if op.name.split(".")[0] == part) // B
        rows = [("FLOPs", flops[name], flop)]
        if name in parameters:
            rows.append(("parameters", parameters[name], getattr(model, part).num_parameters()))
        for unit, said, wanted in rows:
            print(f"{name:11} {unit:10} ", end="")
            tell(
                "right" if said == wanted else "not yet: {said}, and it should be {wanted}",
                said=said,
                wanted=wanted,
            )


# %%
def size_of(rows, F, D, bottom, top):
    parameters = {"embeddings": 0}  # your turn: every 0
    flops = {"embeddings": 0, "interaction": 0}  # the first stays 0
    for name, sizes in (("top MLP", top), ("bottom MLP", bottom)):
        parameters[name] = sum(0 for n, m in pairwise(sizes))
        flops[name] = sum(0 for n, m in pairwise(sizes))
    return parameters, flops


check_size(size_of)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `rows * D` numbers in the tables; `m * n + m` in a layer, which takes `2 * m * n` FLOPs; and $P$ pairs of $D$ multiply-adds.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def size_of_answer(rows, F, D, bottom, top):
    parameters = {"embeddings": rows * D}
    flops = {"embeddings": 0, "interaction": F * (F - 1) * D}
    for name, sizes in (("top MLP", top), ("bottom MLP", bottom)):
        parameters[name] = sum(m * n + m for n, m in pairwise(sizes))
        flops[name] = sum(2 * m * n for n, m in pairwise(sizes))
    return parameters, flops


print("the answer:")
check_size(size_of_answer)

# %% [markdown]
# Now the configuration for the Criteo Kaggle data: 13 dense features, 26 tables with 33.8 million rows, $D = 16$.

# %%
bottom, top = [13, 512, 256, 64, 16], [16 + 27 * 26 // 2, 512, 256, 1]
parameters, flops = size_of_answer(33_762_577, 27, 16, bottom, top)
fig, axes = plt.subplots(1, 2, figsize=(8.4, 3), layout="constrained")
for ax, counts, unit, color in (
    (axes[0], parameters, 1e6, "#0072b2"),
    (axes[1], flops, 1e3, "#d55e00"),
):
    bars = ax.barh(list(counts), [n / unit for n in counts.values()], color=color)
    ax.bar_label(bars, fmt="%.1f", padding=3)
    ax.margins(x=0.25)
axes[0].set(xlabel="million parameters", title="Nearly all are embeddings")
_ = axes[1].set(xlabel="thousand FLOPs of a sample, forward", title="Nearly all are in the MLPs")

# %% [markdown]
# This is what makes DLRM hard to run: the tables need **memory**, the MLPs need **arithmetic**, and the two call for different
# machines. `minidlrm paper 5.2` measures where the time of a step goes, and notebook 11 asks which rows of the tables are worth
# fast memory. (`minidlrm paper` lists all sections of the DLRM paper that you can run.)
#
# ## 8. It learns
#
# Synthetic clicks with a known truth. The dotted line is the **Bayes limit**: the log loss of the true
# probabilities. No model can expect to be better. (`md.evaluate`, in the last line, prints measures that notebook 06 explains.)

# %%
clicks = md.data.synthetic_clicks(200_000, seed=0)
network = md.DLRM(13, clicks.table_sizes, embedding_dim=16, bottom_mlp=(64, 32), top_mlp=(128, 64))
history = md.fit(
    network,
    clicks.train,
    clicks.valid,
    optimizer=md.Adam(0.002),
    epochs=1,
    batch_size=512,
    eval_every=40,
    progress=False,
)
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
_ = history.plot(ax=ax, bayes_log_loss=clicks.bayes_log_loss)
md.evaluate(network, clicks.test)

# %% [markdown]
# ### Your turn
#
# At its core, `md.fit` is a loop of five lines. Write them: clear the gradients, forward and loss, keep the loss, backward,
# step. You need `network.zero_grad()`, `loss.forward(logit, label)`, `loss.backward()`, `network.backward(dlogit)`, and
# `optimizer.step(network.parameters())`. The blank computes the losses, and learns nothing.


# %%
def train(network, batches, optimizer):
    loss, losses = md.BCEWithLogits(), []
    for batch in batches:
        losses.append(loss.forward(network.forward(batch), batch.label))  # your turn: more lines
    return losses


def check_train(function):
    first, second = (md.DLRM(13, clicks.table_sizes, 4, (8,), (8,), seed=0) for _ in range(2))
    rows, options = clicks.train[:2048], {"batch_size": 512, "eval_every": 1, "progress": False}
    wanted = md.fit(first, rows, optimizer=md.SGD(1.0), **options).column("train_loss")
    said = function(second, list(md.data.minibatches(rows, 512, seed=(0, 0))), md.SGD(1.0))
    hints = [say("forward, then the loss."), say("step 1 has not moved the weights as it should.")]
    hints += [say("are the gradients of the steps before still there?")] * 2
    for k, hint in enumerate(hints):
        if len(said) <= k or abs(said[k] - wanted[k]) > 1e-6:
            print(say("not yet: the losses are "), np.round(said, 5))
            print(say("and those of md.fit are "), np.round(wanted, 5))
            tell("They differ from step {step} on. Hint: {hint}", step=k + 1, hint=hint)
            return
    tell("right: the losses of md.fit, step by step")


check_train(train)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `backward` *adds* to the gradients, so that a parameter with two uses gets both. If you do not clear them, each step goes along
# the sum of all batches so far.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def train_answer(network, batches, optimizer):
    loss, losses = md.BCEWithLogits(), []
    for batch in batches:
        network.zero_grad()
        losses.append(loss.forward(network.forward(batch), batch.label))
        network.backward(loss.backward())
        optimizer.step(network.parameters())
    return losses


print("the answer:")
check_train(train_answer)

# %% [markdown]
# ## 9. The museum of this chapter
#
# Two ways to lose a path: each layer is right, but they are joined wrongly. And one layer that is wrong: it reads the lower
# triangle forward, and the upper one backward. Find the mistakes, then ask the checker.

# %%
from minidlrm.checking import museum

bugs = museum.exhibits("DenseShortcutForgotten", "DenseInteractionForgotten", "UpperForLower")
museum.show(bugs)

# %%
museum.explain(bugs)


# %%
def curve_of(wrong):
    small = md.DLRM(13, clicks.table_sizes, 8, (16,), (32,), seed=0)
    for part in (small, small.interaction):  # the model or its interaction becomes the wrong one
        if issubclass(wrong, type(part)):
            part.__class__ = wrong
    options = {"optimizer": md.SGD(lr=0.3), "batch_size": 512, "eval_every": 15, "progress": False}
    history = md.fit(small, clicks.train[:30_000], clicks.valid[:5_000], epochs=2, **options)
    return history.column("epoch"), history.column("valid_log_loss")


fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
styles = ("-", "--", "-.", ":")
classes = {"right": md.DLRM} | {bug.cls.__name__: bug.cls for bug in bugs}
for (name, wrong), style in zip(classes.items(), styles, strict=True):
    ax.plot(*curve_of(wrong), style, label=name)
ax.set(xlabel="epoch", ylabel="validation log loss (nats)", title="Wrong gradients still train")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# All four curves fall, with the same bump after the first epoch. Two of the wrong ones run beside the right one: without
# the right curve for comparison you would notice nothing. The third is behind, but a learning rate that is too small looks
# the same.
#
# ## What to remember
#
# 1. Bottom MLP, tables, products of all pairs, top MLP.
# 2. The dense vector has two arrows, so its gradient has two terms.
# 3. $dz = (G + G^\top) z$: both vectors of a pair get a gradient.
# 4. Memory is in the tables, arithmetic in the MLPs.
#
# Next: 06, training on click logs.
