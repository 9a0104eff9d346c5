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
# # 00 · How to check a gradient
#
# [![Open in Colab](colab.svg)](https://colab.research.google.com/github/)
#
# A backward pass is a formula that somebody derived and somebody typed. Both make mistakes. A wrong gradient rarely
# crashes: the loss still falls, only not as far. So every gradient in this course is *checked*, and this notebook
# shows how.
#
# You need NumPy and the derivative of a function of one variable. Reading time: 55 minutes.
#
# **What you will have at the end**: a gradient checker of your own in ten lines, the reasons why it is not
# enough, and `md.gradcheck`, which explains what it finds.

# %%
# In Colab, or where minidlrm is not installed: pip install it first.
import importlib.util

if importlib.util.find_spec("minidlrm") is None:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "minidlrm"], check=True)

import copy

import matplotlib.pyplot as plt
import numpy as np

import minidlrm as md
from minidlrm.languages import say, tell

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. A slope by a difference
#
# The derivative of $f$ at $x$ is the limit of $\frac{f(x+h) - f(x-h)}{2h}$ as $h$ goes to 0. On a
# computer, $h$ must not go all the way:
#
# - a large $h$ has a **truncation error**: by Taylor's formula it is about $\frac{h^2}{6} f'''(x)$;
# - a small $h$ has a **rounding error**: $f$ is known to about $\varepsilon = 2\cdot 10^{-16}$ of its size, and the
#   difference is divided by $2h$.
#
# The sum of both, about $h^2 + \varepsilon / h$, is smallest where the two are equally large: near
# $h = \sqrt[3]{\varepsilon} \approx 6\cdot 10^{-6}$. Let us see it.


# %%
def central(f, x, h):
    return (f(x + h) - f(x - h)) / (2 * h)


def error_of(method, x=1.0):
    """The relative error of a method for f = exp, whose derivative is exp."""
    return abs(method(x) - np.exp(x)) / np.exp(x)


steps = 10.0 ** np.arange(-13, 0, 0.25)
errors = [error_of(lambda x, h=h: central(np.exp, x, h)) for h in steps]

# %%
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
ax.loglog(steps, errors, "o-", ms=3, color="#0072b2", label="central difference")
ax.axvline(np.cbrt(np.finfo(float).eps), color="0.4", ls=":", label=r"$h = \sqrt[3]{\varepsilon}$")
ax.set(xlabel="step h", ylabel="relative error", title="Too small is as bad as too large")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# ### The complex step: no step to choose
#
# Put $x + ih$ into Taylor's formula: $f(x + ih) = f(x) + i h f'(x) - \frac{h^2}{2} f''(x) - \dots$ The
# imaginary part is $h f'(x)$, up to a remainder of size $h^3$, and **nothing is subtracted**. So $h$ may be as small as
# $10^{-20}$: the remainder vanishes, and the derivative is right to the last digit:
#
# $$f'(x) \approx \frac{\operatorname{Im} f(x + ih)}{h}$$
#
# (Here $i = \sqrt{-1}$.) It needs code that works with complex numbers. NumPy's `exp`, `log`, products and sums do; `abs` does not.


# %%
def complex_step(f, x, h=1e-20):
    return np.imag(f(x + 1j * h)) / h


print(f"central difference: {error_of(lambda x: central(np.exp, x, 6e-6)):.1e}")
print(f"complex step:       {error_of(lambda x: complex_step(np.exp, x)):.1e}")

# %% [markdown]
# ### Your turn
#
# Richardson's trick: the error of a central difference $c(h)$ is nearly $a h^2$, with some number $a$. So the error of $c(h/2)$ is a quarter of that, and a
# combination of both has almost none. Find the combination. The blank takes the mean.


# %%
def richardson(f, x, h=1e-2):
    first, second = central(f, x, h), central(f, x, h / 2)
    return (first + second) / 2  # your turn


def check_richardson(function):
    error = error_of(lambda x: function(np.exp, x))
    verdict = say("right" if error < 1e-9 else "not yet")
    tell(
        "{verdict}: error {error:.1e}; one difference has {one:.1e}",
        verdict=verdict,
        error=error,
        one=error_of(lambda x: central(np.exp, x, 1e-2)),
    )


check_richardson(richardson)

# %% [markdown]
# <details><summary>Answer</summary>
#
# $c(h) - a h^2 = c(h/2) - a h^2 / 4$, so the value without error is `(4 * second - first) / 3`. `gradcheck` uses it where the code does not work with complex
# numbers.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def richardson_answer(f, x, h=1e-2):
    first, second = central(f, x, h), central(f, x, h / 2)
    return (4 * second - first) / 3


print("the answer:")
check_richardson(richardson_answer)

# %% [markdown]
# ## 2. From one number to a layer
#
# A layer maps an array $x$ to an array $y$. What comes after it turns $y$ into one number, the loss $L$, which training
# makes small. The layer's backward pass gets $dy = \partial L / \partial y$, the gradient that arrives from above, and
# must return $dx = \partial L / \partial x$. $dy$ has an entry for each entry of $y$, and $dx$ one for each entry of $x$.
#
# To check a layer by itself we need an $L$ of our own. Choose fixed numbers $r$, one for each output, and let
#
# $$L = \sum_k r_k\, y_k .$$
#
# Then $\partial L / \partial y_k = r_k$: the gradient that arrives *is* $r$. So `backward(r)` must equal the slopes
# of $L$, entry by entry. Here is a whole checker:


# %%
def check(forward, backward, x, r):
    """Return the worst relative error of backward(r) against central differences."""
    analytic, numeric = backward(r), np.empty_like(x)
    for index in np.ndindex(x.shape):
        kept, h = x[index], 6e-6
        x[index] = kept + h
        above = np.sum(r * forward(x))
        x[index] = kept - h
        below = np.sum(r * forward(x))
        x[index] = kept
        numeric[index] = (above - below) / (2 * h)
    return np.max(np.abs(analytic - numeric)) / np.max(np.abs(numeric))


# %% [markdown]
# Try it on the sigmoid, $y = 1 / (1 + e^{-x})$. Its derivative is $y (1 - y)$.

# %%
x = rng.normal(size=(4, 3))
r = rng.normal(size=(4, 3))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def sigmoid_backward(dy):
    y = sigmoid(x)
    return dy * y * (1 - y)


print(f"worst relative error: {check(sigmoid, sigmoid_backward, x, r):.1e}")

# %% [markdown]
# ### Why r must be random
#
# It is tempting to take $L = \sum_k y_k$, that is, $r = 1$. Many checkers do. Look at a backward pass that
# **forgets `dy`**:


# %%
def forgets_dy(dy):
    y = sigmoid(x)
    return y * (1 - y)


ones = np.ones_like(x)
print(f"with r = 1:       {check(sigmoid, forgets_dy, x, ones):.1e}   <- passes")
print(f"with random r:    {check(sigmoid, forgets_dy, x, r):.1e}   <- caught")

# %% [markdown]
# One more trap, which we fell into ourselves. If $r$ comes from the same random stream as $x$ (the same
# seed!) and has its shape, then $r = x$. A linear layer $y = x W^\top$ has $dW = r^\top x$ (notebook 04 derives it). It
# is then $x^\top x$, which is symmetric, and a transposed $dW$ passes.
# `md.gradcheck` draws $r$ from a stream of its own.
#
# ### Your turn
#
# Derive the backward pass of $y = \tanh(x)$. Its derivative is $1 - y^2$. The blank forgets the square. Ask the checker that we
# have just written.


# %%
def tanh_backward(dy):
    y = np.tanh(x)
    return dy * (1 - y)  # your turn


def check_tanh(backward):
    error = check(np.tanh, backward, x, r)
    if error < 1e-8:
        tell("right: error {error:.1e}", error=error)
    else:
        said, wanted = backward(r), r * central(np.tanh, x, 6e-6)
        k = np.unravel_index(np.abs(said - wanted).argmax(), x.shape)
        tell("not yet: error {error:.1e}; a right one has about 1e-10", error=error)
        tell(
            "   at x = {x:.3f}, dy = {dy:.3f} you say {said:.3f}; it is {wanted:.3f}",
            x=x[k],
            dy=r[k],
            said=said[k],
            wanted=wanted[k],
        )


check_tanh(tanh_backward)

# %% [markdown]
# <details><summary>Answer</summary>
#
# `dy * (1 - y * y)`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def tanh_backward_answer(dy):
    y = np.tanh(x)
    return dy * (1 - y * y)


print("the answer:")
check_tanh(tanh_backward_answer)

# %% [markdown]
# ## 3. The same with `md.gradcheck`
#
# It takes a pair of functions, a layer, a loss, or a whole model. `forward` may return `(y, cache)`; then
# `backward` gets `(dy, cache)`.


# %%
def affine(x, W, b):
    return x @ W.T + b, (x, W)


def affine_backward(dy, cache):
    x, W = cache
    return dy @ W, dy.T @ x, dy.sum(axis=0)


W, b = rng.normal(size=(2, 3)), rng.normal(size=2)
report = md.gradcheck((affine, affine_backward), x, W, b)

# %% [markdown]
# Each line is an array. The errors are near $10^{-15}$, since `gradcheck` found that the code works with complex numbers.
# It also tests rules that need no differences. A backward pass is linear in `dy`: `backward(0)` is 0, and backward of a sum
# is the sum. And it must not change its inputs.
#
# Now a mistake that every teacher has seen: a mean over the batch in the place of a sum.


# %%
def mean_for_sum(dy, cache):
    x, W = cache
    return dy @ W, dy.T @ x / len(x), dy.mean(axis=0)


report = md.gradcheck((affine, mean_for_sum), x, W, b)

# %% [markdown]
# It does not only say *wrong*: it says what the mistake looks like. Draw the two gradients against each other: if all
# points lie on one line through 0, but not on the diagonal, a factor is wrong.

# %%
_ = report.plot("W")

# %% [markdown]
# ### Your turn
#
# Derive the backward pass of $y = x \odot x \odot v$ (entry by entry), for $x$ and for $v$. Write it in the place of the
# dots, and run the cell. The checker tells you what is wrong.


# %%
def square_forward(x, v):
    return x * x * v, (x, v)


def square_backward(dy, cache):
    x, v = cache
    dx = ...  # your turn
    dv = ...  # your turn
    return dx, dv


report = md.gradcheck((square_forward, square_backward), x, rng.normal(size=(4, 3)))

# %% [markdown]
# <details><summary>Answer</summary>
#
# $y = x^2 v$, so $\partial y / \partial x = 2 x v$ and $\partial y / \partial v = x^2$. The next cell has the code.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def square_answer(dy, cache):
    x, v = cache
    return 2 * dy * x * v, dy * x * x


report = md.gradcheck((square_forward, square_answer), x, rng.normal(size=(4, 3)), verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# ## 4. Corners
#
# ReLU, $y = \max(0, x)$, has no derivative at 0. A difference across this corner mixes both slopes, and means nothing. A
# checker must notice this, set the entry aside, and never fail a right gradient because of it. It must decide by the
# function alone: if it also looked at the gradient, it could hide a wrong one.

# %%
x_corner = np.array([-1.0, 0.0, 1e-7, 0.5, 2.0])
relu = (lambda x: np.maximum(x, 0) + 0.0, lambda dy: dy * (x_corner > 0))
report = md.gradcheck(relu, x_corner, method="richardson")

# %% [markdown]
# Two entries are counted as kinks, and set aside: 0, and $10^{-7}$, which is nearer to the corner than
# the smallest step. With the complex step (`method="auto"`) only 0 itself is a corner.
#
# ### Your turn
#
# Leaky ReLU lets a tenth of the negative side through: $y = x$ where $x > 0$, and $y = x / 10$ elsewhere. The blank looks
# at the sign of the wrong array.


# %%
def leaky(x):
    return np.where(x > 0, x, 0.1 * x), x


def leaky_backward(dy, x):
    return dy * np.where(dy > 0, 1, 0.1)  # your turn


report = md.gradcheck((leaky, leaky_backward), x_corner, method="richardson")

# %% [markdown]
# <details><summary>Answer</summary>
#
# The slope is 1 or 0.1: `dy * np.where(x > 0, 1, 0.1)`
#
# With few entries the blank's numbers may agree by luck. The rule of section 3, linearity in `dy`, catches it anyway.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def leaky_answer(dy, x):
    return dy * np.where(x > 0, 1, 0.1)


report = md.gradcheck((leaky, leaky_answer), x_corner, method="richardson", verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# ## 5. Ids that collide
#
# An embedding table is a matrix $W$ with a row for each id; a lookup is `W[ids]`. When an id occurs twice,
# its row gets **two** gradients, and they add up. This is where NumPy sets a trap:

# %%
ids = np.array([5, 2, 5])
grad = np.zeros(8)
grad[ids] += 1.0
print("grad[ids] += 1      row 5 has", grad[5])

grad = np.zeros(8)
np.add.at(grad, ids, 1.0)
print("np.add.at(grad, ...) row 5 has", grad[5])

# %% [markdown]
# `grad[ids] += 1` means `grad[ids] = grad[ids] + 1`. The right side is computed into a **buffer**: it holds
# 1 for each place. Then the buffer is written back, and of the two writes to row 5 the last one wins. No
# threads are involved.
#
# Would a test with random ids find this? Only if two of them happen to be equal:

# %%
rows = np.array([20, 100, 500, 2000, 10_000])
share = [np.mean([len(np.unique(rng.integers(0, n, 24))) < 24 for _ in range(500)]) for n in rows]
fig, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
ax.semilogx(rows, share, "o-", color="#d55e00")
ax.set(
    xlabel="rows of the table",
    ylabel="share of draws with a repeat",
    title="24 random ids: a test sees the bug only when an id repeats",
    ylim=(-0.05, 1.05),
)
ax.grid(alpha=0.3)

# %% [markdown]
# In a table of 2,000 rows such a test misses the bug about six times in seven. So for a layer or a model `gradcheck`
# does not leave it to chance: it changes your ids so that they repeat inside a bag and across bags, and so that the first
# and the last id occur. (For a pair of functions, it repeats one id in each list of distinct ids.)

# %%
from minidlrm.checking.bugs.embedding import LastWriteWins

table = LastWriteWins([2000], embedding_dim=3, rng=rng)
distinct = np.array([[11], [500], [42], [7], [1234], [99], [3], [640]])
report = md.gradcheck(table, distinct)

# %% [markdown]
# ### Your turn
#
# A lookup: sample $b$ has the id $v_b$, and its output is the row of this id, $y_b = W_{v_b}$. The blank loses repeats. Fix
# it, and ask the checker.


# %%
def look_up(W, v):
    return W[v], (W, v)


def look_up_backward(dy, cache):
    W, v = cache
    dW = np.zeros_like(W)
    dW[v] = dy  # your turn
    return dW


report = md.gradcheck((look_up, look_up_backward), rng.normal(size=(5, 2)), np.array([1, 3, 1, 4]))

# %% [markdown]
# <details><summary>Answer</summary>
#
# Each use of a row adds to its gradient: `np.add.at(dW, v, dy)`.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def look_up_answer(dy, cache):
    W, v = cache
    dW = np.zeros_like(W)
    np.add.at(dW, v, dy)
    return dW


report = md.gradcheck(
    (look_up, look_up_answer), rng.normal(size=(5, 2)), np.array([1, 3, 1, 4]), verbose=False
)
print("the answer: passed =", report.passed)

# %% [markdown]
# ## 6. The bug museum
#
# `minidlrm.checking.bugs` is a museum of wrong backward passes that look right. Some of them even train. Here are three
# wrong ways to derive the interaction of DLRM, the products of all pairs of vectors,
# $y_{ij} = \langle z_i, z_j \rangle = \sum_d z_{id} z_{jd}$ for places $i$ and $j$ with $i > j$. (Notebook 05 derives it. `_as_matrix` writes `dy`
# into a square matrix $G$, at the places given; the right answer is $(G + G^\top) z$, with $G$ filled below the diagonal.)
# **Find each mistake before you run the cell below.**

# %%
from minidlrm.checking import museum

bugs = museum.exhibits("UpperForLower", "OneTriangle", "PairsAveraged")
museum.show(bugs)

# %%
museum.explain(bugs)

# %% [markdown]
# ### Which of them still "train"?
#
# Put each into a small DLRM and train it on synthetic clicks. The *log loss* is what training makes small: the mean of
# $-\log$ (probability that the model gave to what happened), in *nats*, since the log is natural. Less is better.

# %%
clicks = md.data.synthetic_clicks(20_000, seed=0)


def curve_of(layer):
    model = md.DLRM(13, clicks.table_sizes, 8, (16,), (32,), seed=0)
    model.interaction.__class__ = layer  # the same layer, with this backward pass
    history = md.fit(
        model,
        clicks.train,
        clicks.valid,
        optimizer=md.Adagrad(lr=0.02),
        batch_size=256,
        epochs=2,
        eval_every=16,
        progress=False,
    )
    return history.column("epoch"), history.column("valid_log_loss")


# %%
fig, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
styles = ("-", "--", "-.", ":")
layers = {"right": md.DotInteraction} | {bug.cls.__name__: bug.cls for bug in bugs}
for (name, layer), style in zip(layers.items(), styles, strict=True):
    ax.plot(*curve_of(layer), style, label=name)
ax.set(xlabel="epoch", ylabel="validation log loss (nats)", title="Wrong gradients train, too")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# All four curves fall, and two of the wrong ones look just like the right one. (Adagrad
# divides each gradient by its usual size, so a wrong constant factor hardly matters to it. With SGD it
# would.) `UpperForLower` stops improving early; without a check you would look for the reason in the data, the learning
# rate, the weather.
#
# ### Your turn
#
# Write the right one, without a matrix. Number the pairs: pair $p$ is $(i, j)$, with $y_p = \langle z_i, z_j \rangle$. Its derivative by
# $z_i$ is $z_j$, and by $z_j$ it is $z_i$. So each pair adds to **two** vectors: $dy_p\, z_j$ to $dz_i$, and $dy_p\, z_i$ to $dz_j$. For a
# batch of $B$ samples with $F$ vectors of $D$ numbers there are $P = F (F - 1) / 2$ pairs.


# %%
def pairs_forward(z):
    i, j = np.tril_indices(z.shape[1], -1)  # pair p is (i[p], j[p])
    return (z[:, i] * z[:, j]).sum(axis=2), z  # (B, P)


def pairs_backward(dy, z):
    i, j = np.tril_indices(z.shape[1], -1)
    dz = np.zeros_like(z)  # (B, F, D)
    for p in range(len(i)):
        pass  # your turn: each pair adds to two vectors, in every sample
    return dz


z = rng.normal(size=(5, 4, 3))  # (B, F, D)
report = md.gradcheck((pairs_forward, pairs_backward), z)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Two lines in the loop; the next cell has them. Without the loop, `dz[:, i] += dy[:, :, None] * z[:, j]` meets each vector in
# several pairs, and keeps the last: section 5 again. Try it, and read the diagnosis.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def pairs_answer(dy, z):
    i, j = np.tril_indices(z.shape[1], -1)
    dz = np.zeros_like(z)
    for p in range(len(i)):
        dz[:, i[p]] += dy[:, p, None] * z[:, j[p]]
        dz[:, j[p]] += dy[:, p, None] * z[:, i[p]]
    return dz


report = md.gradcheck((pairs_forward, pairs_answer), z, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# The library's layer computes it with the square matrix, and gives the same numbers:

# %%
layer = md.DotInteraction(4, 3)
print("forward: ", np.abs(layer.forward(z) - pairs_forward(z)[0]).max())
dy = rng.normal(size=(5, 6))
print("backward:", np.abs(layer.backward(dy) - pairs_answer(dy, z)).max())

# %% [markdown]
# ## 7. float32
#
# float32 has seven digits. A difference with $h = 6\cdot 10^{-6}$ leaves one or two of them. `gradcheck` runs *your* code
# in float32, computes the numeric gradient in float64, and uses the tolerance that seven digits allow.

# %%
x32 = rng.normal(size=(4, 3)).astype(np.float32)
pair = (lambda x: (np.tanh(x), x), lambda dy, x: dy * (1 - np.tanh(x) ** 2))
report = md.gradcheck(pair, x32)

# %% [markdown]
# ### Your turn
#
# Teach your own checker to do the same. `backward` must run in float32, as it will in training. The differences, and
# `forward` for them, need float64. The blank gives float32 to both.


# %%
def check_check32(function):
    seen, r32 = [], r.astype(np.float32)

    def backward(dy):
        seen.append(dy.dtype)
        return dy * (1 - np.tanh(x32) ** 2)

    right = function(np.tanh, backward, x32.copy(), r32)
    wrong = function(np.tanh, lambda dy: 1.001 * backward(dy), x32.copy(), r32)
    if any(dtype != np.float32 for dtype in seen):
        tell("not yet: backward got float64; in training it gets float32")
    elif right > 1e-6:
        tell(
            "not yet: error {right:.1e} for a right gradient; in which precision is h added?",
            right=right,
        )
    elif not 5e-4 < wrong < 2e-3:
        tell("not yet: a gradient that is 0.1% too large has the error {wrong:.1e}", wrong=wrong)
    else:
        tell(
            "right: error {right:.1e}, and {wrong:.1e} for a gradient 0.1% too large",
            right=right,
            wrong=wrong,
        )


# %%
def check32(forward, backward, x, r):
    return check(forward, backward, x, r)  # your turn: x and r arrive in float32


check_check32(check32)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Call `backward` first. Then give `check` a copy of $x$ in float64, and the gradient that you already have. With float32
# throughout, an error of 0.1% drowns in the rounding.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def check32_answer(forward, backward, x, r):
    analytic = backward(r)
    return check(forward, lambda _: analytic, x.astype(np.float64), r.astype(np.float64))


print("the answer:")
check_check32(check32_answer)

# %% [markdown]
# ## 8. A whole model
#
# A model is checked like a layer: each parameter by itself, on a float64 copy, with ids that collide. Each number that is
# moved costs one or two forward passes.

# %%
model = md.DLRM(13, clicks.table_sizes, embedding_dim=7, bottom_mlp=(16,), top_mlp=(12,))
report = md.gradcheck(model, clicks.train[:6])

# %% [markdown]
# When a model fails, the best clue is *which* lines of the report fail. Gradients travel from the loss back to the inputs.
# So the mistake is between the arrays that are right and those that are wrong.
#
# ### Your turn
#
# A tiny recommender. Dense features $x$ make a vector $h = x W^\top$; an id looks up a row $e$ of a table $E$. Their product entry by
# entry is $a = h \odot e$, and the numbers $c$ weight its entries: $\mathrm{logit} = \sum_d a_d c_d$. **One** line of its backward pass is
# wrong. Read the report: which arrays fail, and which line do all of them need? Then fix it.


# %%
def tiny(x, ids, W, E, c):
    h, e = x @ W.T, E[ids]  # both (B, D)
    a = h * e  # (B, D)
    return a @ c, (x, ids, W, E, c, h, e, a)  # the logits: (B,)


draw = np.random.default_rng(2).normal
tiny_inputs = draw(size=(6, 4)), np.array([0, 2, 1, 2, 4, 4])
tiny_weights = draw(size=(3, 4)), draw(size=(5, 3)), draw(size=3)


# %%
def tiny_backward(dy, cache):
    x, ids, W, E, c, h, e, a = cache
    dc = a.T @ dy
    da = dy[:, None] * c
    de = da * h
    dh = da * a  # your turn: this line, or another?
    dE = np.zeros_like(E)
    np.add.at(dE, ids, de)
    dW = dh.T @ x
    dx = dh @ W
    return dx, dW, dE, dc


report = md.gradcheck((tiny, tiny_backward), *tiny_inputs, *tiny_weights)

# %% [markdown]
# <details><summary>Answer</summary>
#
# $E$ and $c$ are right, so `da` and `de` are right, too. $x$ and $W$ are wrong, and both come from `dh`. In a product each
# factor gets the *other* one: `dh = da * e`.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def tiny_answer(dy, cache):
    x, ids, W, E, c, h, e, a = cache
    da = dy[:, None] * c
    dh, de = da * e, da * h
    dE = np.zeros_like(E)
    np.add.at(dE, ids, de)
    return dh @ W, dh.T @ x, dE, a.T @ dy


report = md.gradcheck((tiny, tiny_answer), *tiny_inputs, *tiny_weights, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# ## 9. See the slope
#
# A gradient is a prediction: *if this number grows by a little, the loss grows by this times as much*. `md.trace` runs one
# step and keeps every operation. `perturb` changes one number, and follows the change through the model to the loss.

# %%
steps = md.trace(model, clicks.train[:4])
gradient = np.abs(steps.grads["bottom.layers.0.weight"])
largest = np.unravel_index(gradient.argmax(), gradient.shape)
what_if = steps.perturb("bottom.layers.0.weight", largest, eps=0.1)
print(what_if)

# %%
_ = what_if.plot()

# %% [markdown]
# The slope of the loss approaches the gradient as the step gets smaller. This is the difference of section 1, taken in
# the middle of a model.
#
# ### Your turn
#
# A step of gradient descent moves *every* number at once: a number $w$ with the gradient $g$ becomes $w - \eta g$, where $\eta$ (`lr`) is
# the learning rate. Predict how much the loss changes, before the step is taken. `gradients` is a list of arrays. The
# blank adds up the gradients, and forgets how far each number moves.


# %%
def check_predicted(function):
    gradients = [getattr(g, "values", g) for g in steps.grads.values()]  # of a table: its rows
    for lr in (0.1, 0.01, 0.001):
        said, true = function(gradients, lr), loss_after(lr) - steps.loss
        tell(
            "lr = {lr:<6g} predicted {said:+.6f}   measured {true:+.6f}",
            lr=lr,
            said=said,
            true=true,
        )
    text = say("the last two must agree to 1%. A number with the gradient g moves by -lr g")
    tell("right" if abs(said / true - 1) < 0.01 else "not yet: {text}", text=text)


# %%
def predicted(gradients, lr):
    return -lr * sum(np.sum(g) for g in gradients)  # your turn


def loss_after(lr):
    moved = copy.deepcopy(model)
    for name, parameter in moved.named_parameters():
        parameter.grad = steps.grads[name]
    md.SGD(lr).step(moved.parameters())
    return md.trace(moved, clicks.train[:4]).loss


check_predicted(predicted)

# %% [markdown]
# <details><summary>Answer</summary>
#
# A number that moves by $-\eta g$ changes the loss by about $-\eta g \cdot g$. The changes add up to $-\eta \sum g^2$. This
# is never positive: it is why gradient descent goes down. With the large step the loss falls less than predicted, because
# the slope changes on the way.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def predicted_answer(gradients, lr):
    return -lr * sum(np.sum(g * g) for g in gradients)


print("the answer:")
check_predicted(predicted_answer)

# %% [markdown]
# The model itself, drawn from its code:

# %%
fig, ax = plt.subplots(figsize=(6, 6))
_ = md.diagram(model, ax=ax)

# %% [markdown]
# And every operation of the step, with its numbers. Press *Next*, or use the arrow keys.

# %%
steps

# %% [markdown]
# ## What to remember
#
# 1. Reduce the outputs with **random** numbers, from a stream of their own.
# 2. The complex step has no step size to choose. Where the code does not work with complex numbers,
#    Richardson's trick is next best.
# 3. Test the rules that need no difference: backward(0) = 0, linear in dy, nothing changed in place.
# 4. Make ids **collide**.
# 5. Set corners aside; decide by the function alone.
# 6. A falling loss proves nothing.
#
# Next: 01, embeddings.
