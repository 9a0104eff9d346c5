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
# # 01 · 임베딩
#
# [![Colab에서 열기](../colab.svg)](https://colab.research.google.com/github/)
#
# [English](../01_embeddings.ipynb) · [튜토리얼 안내](README.md) · [용어집](glossary.md)
#
# 클릭 로그(click log)에는 **범주**(category)가 가득합니다. 사용자, 광고, 도시가 모두 범주입니다. 범주에는 크기도
# 순서도 없습니다. 범주로 계산하려고 범주마다 숫자로 된 벡터를 하나씩 줍니다. 이것이 *임베딩*(embedding)입니다. 벡터의
# 값은 학습으로 정합니다.
#
# NumPy와 행렬 곱, 그리고 00장의 내용이 필요합니다. 읽는 시간은 약 50분입니다.
#
# **이 장을 마치면** 순전파(forward pass)와 역전파(backward pass)를 갖춘 임베딩 층(layer)을 직접 만들게 됩니다.
# 표본(sample)마다 아이디(id)가 여럿이고 아이디마다 가중치(weight)가 있는 층입니다. 겹치는 아이디의 기울기(gradient)를
# 왜 더해야 하는지 알게 되고, `md.EmbeddingBag`에서 같은 숫자를 얻게 됩니다.

# %%
# Colab처럼 minidlrm이 설치되지 않은 곳에서는 먼저 설치합니다.
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
# ## 1. 행 찾기는 행렬 곱입니다
#
# 범주가 $N$개 있고, 번호는 $0 \dots N-1$입니다. 범주 $i$를 **원-핫**(one-hot) 벡터 $e_i$로 쓸 수 있습니다. 자리 $i$만
# 1이고 나머지는 모두 0인 벡터입니다. 모양(shape)이 $(N, D)$인 행렬 $W$에는 범주마다 숫자 $D$개로 된 행이 하나씩
# 있습니다. 그러면 다음과 같습니다.
#
# $$ e_i^\top W = W_i , $$
#
# 오른쪽은 $W$의 행 $i$입니다. 이 곱은 숫자를 $N D$번 곱하는데, 그 가운데 $D$번을 빼면 모두 0을 곱하는 일입니다.
# 그래서 아무도 이 곱을 계산하지 않습니다. 그냥 **행을 찾아옵니다**(lookup).

# %%
N, D = 7, 4
W = rng.normal(size=(N, D))
i = 4
one_hot = np.zeros(N)
one_hot[i] = 1

print("e^T W:", one_hot @ W)
print("W[i]: ", W[i])

# %% [markdown]
# 표본이 $B$개인 배치(batch)에서 아이디는 모양이 `(B,)`인 배열이고, `W[ids]`의 모양은 `(B, D)`입니다. 이것을
# **모으기**(gather)라고 합니다. 얼마나 절약되는지 봅시다.

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
# 행렬 곱의 시간은 $N$과 함께 늘지만, 행 찾기의 시간은 늘지 않습니다. 실제 테이블(table)에는 행이 수백만 개 있습니다.
#
# ### 직접 해 보기
#
# 배치 전체의 원-핫 벡터를 차례로 쌓아 보세요. 모양이 $(B, N)$인 행렬 $E$이고, 행마다 1이 하나씩 있습니다. 그러면
# $E W$가 `W[ids]`와 같아야 합니다. 빈칸의 코드는 0만 돌려줍니다.


# %%
def one_hots(ids, N):
    E = np.zeros((len(ids), N))  # (B, N)
    return E  # 직접 해 보기 (your turn): 1을 넣으세요


def check_one_hots(function):
    wanted = [[0, 0, 0, 0, 1, 0, 0], [1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0, 0]]
    wrong = md.checking.difference(function(np.array([4, 0, 4]), N), np.array(wanted, float), "E")
    tell("not yet: for the ids [4 0 4], {wrong}" if wrong else "right: E W is W[ids]", wrong=wrong)


check_one_hots(one_hots)

# %% [markdown]
# <details><summary>답</summary>
#
# `E[np.arange(len(ids)), ids] = 1`: 행 $b$에서 자리 `ids[b]`에 1을 넣습니다.
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
# ## 2. 여러 개의 아이디와 가중치
#
# 영화 한 편에는 장르가 여럿 있습니다. 이런 표본에는 아이디가 **백**(bag)으로 들어 있고, 층은 그 행들을 더합니다.
#
# $$ y_b = \sum_{i \in \mathrm{bag}(b)} \alpha_i\, W_{v_i} $$
#
# 이제부터 $i$는 모든 아이디를 늘어놓은 목록에서의 *자리*입니다. 자리 $i$의 아이디가 $v_i$이고, $\alpha_i$는 그
# 가중치입니다. (가중치가 없으면 1이고, 아이디가 $n$개인 백의 평균을 낼 때는 $1/n$입니다.) $\mathrm{bag}(b)$는 표본
# $b$에 속한 자리의 집합입니다. 1절의 말로 하면, 이것은 **멀티-핫**(multi-hot) 벡터에 $W$를 곱한 것입니다. 이 벡터의
# 자리 $r$에는 아이디 $r$의 가중치를 모두 합한 값이 있습니다.
#
# 길이가 서로 다른 백은 어떻게 저장할까요? 모든 아이디를 한 목록에 이어 붙이고, 백마다 시작하는 자리를
# **오프셋**(offsets)으로 적습니다. 백이 $B$개면 오프셋은 $B + 1$개이고, 마지막 값은 모든 아이디의 수 `nnz`입니다. 백
# $b$는 `values[offsets[b] : offsets[b + 1]]`이고, 비어 있을 수도 있습니다.

# %%
values = np.array([0, 2, 5, 2, 2, 1])
offsets = np.array([0, 3, 3, 6])  # 백 0: 0 2 5; 백 1: 비어 있음; 백 2: 2 2 1


def bags_forward(W, values, offsets):
    bag_of = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))  # (nnz,)
    y = np.zeros((len(offsets) - 1, W.shape[1]))  # (B, D)
    np.add.at(y, bag_of, W[values])
    return y


y = bags_forward(W, values, offsets)
print("the empty bag gives", y[1])
print("bag 2:", y[2], "=", 2 * W[2] + W[1])

# %% [markdown]
# 라이브러리의 층도 같은 숫자를 냅니다. 인자(argument)는 PyTorch와 같습니다. 그래서 따로 정하지 않으면 방식(mode)은
# 평균("mean")이고, 오프셋은 $B$개만 씁니다.

# %%
options = {"mode": "sum", "include_last_offset": True, "dtype": np.float64}
layer = md.EmbeddingBag(N, D, **options, rng=np.random.default_rng(0))
layer.load_state_dict({"weight": W})
print("largest difference:", np.abs(layer.forward(values, offsets) - y).max())

# %% [markdown]
# ### 직접 해 보기
#
# 아이디마다 가중치가 있는 순전파를 써 보세요. `alpha`의 모양은 `values`와 같습니다. 검사는 라이브러리와 비교합니다.


# %%
def weighted_forward(W, values, offsets, alpha):
    return ...  # 직접 해 보기 (your turn)


alpha = rng.normal(size=len(values))


def check_weighted(function):
    expected = layer.forward(values, offsets, alpha)  # (B, D): 백마다 한 행
    wrong = md.checking.difference(function(W, values, offsets, alpha), expected, "y")
    tell("not yet: {wrong}" if wrong else "right: as the library", wrong=wrong)


check_weighted(weighted_forward)

# %% [markdown]
# <details><summary>답</summary>
#
# 행마다 가중치를 곱한 다음에 더합니다. 코드는 다음 셀(cell)에 있습니다.
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
# ## 3. 역전파
#
# 모양이 $(B, D)$인 기울기 $dy = \partial L / \partial y$가 들어옵니다. 구하려는 것은
# $dW = \partial L / \partial W$입니다.
#
# 자리 $i$가 속한 백을 $\mathrm{bag}(i)$라고 합시다. 테이블의 행 $r$, 곧 $W_r$은 어느 백에서든 $v_i = r$인 모든
# 자리에서 쓰입니다. 그런 자리에서 $y_{\mathrm{bag}(i)}$에는 $\alpha_i W_r$이 들어 있습니다. 이것을 $W_r$로 미분하면
# 숫자 $\alpha_i$입니다. 따라서 이 자리의 몫은 백의 기울기에 $\alpha_i$를 곱한 것입니다. 연쇄 법칙(chain rule)에 따라
# 모든 자리의 몫을 더합니다.
#
# $$ dW_r = \sum_{i:\, v_i = r} \alpha_i\, dy_{\mathrm{bag}(i)} $$
#
# 이것이 **산란-덧셈**(scatter-add)입니다. 모으기를 거꾸로 돌린 것입니다. 배치에 나오지 않은 행은 기울기가 0이고, 아예
# 건드리지 않습니다. 그래서 행이 천만 개인 테이블도 기울기를 구하는 비용은 작은 테이블과 다를 것이 없습니다. (6절에서
# 이 점을 이용합니다. 여기서는 아직 0까지 모두 씁니다.)
#
# 가중치에도 기울기가 있습니다. $\alpha_i$는 백 하나에서 행 하나에 곱해지므로, $y_{\mathrm{bag}(i)}$를 $\alpha_i$로
# 미분하면 그 행 $W_{v_i}$입니다. 연쇄 법칙에 따라 $dy$를 곱하고 원소 $D$개를 모두 더합니다.
#
# $$ d\alpha_i = \langle W_{v_i}, dy_{\mathrm{bag}(i)} \rangle . $$
#
# ### 직접 해 보기
#
# 테이블의 기울기 $dW$를 써 보세요. 빈칸의 코드는 더해야 할 자리에 덮어씁니다. `dalpha`는 맞습니다.


# %%
def bag_forward(W, values, alpha):
    bag_of = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    y = np.zeros((len(offsets) - 1, W.shape[1]), np.result_type(W, alpha))
    np.add.at(y, bag_of, alpha[:, None] * W[values])
    return y, (W, values, alpha, bag_of)


def bag_backward(dy, cache):
    W, values, alpha, bag_of = cache
    dW = np.zeros_like(W)
    dW[values] = (
        alpha[:, None] * dy[bag_of]
    )  # 직접 해 보기 (your turn): 한 행이 여러 번 쓰일 수 있습니다
    dalpha = np.einsum("id,id->i", W[values], dy[bag_of])  # 자리 i마다 d에 대한 합
    return dW, dalpha


report = md.gradcheck((bag_forward, bag_backward), W, values, alpha)

# %% [markdown]
# <details><summary>답</summary>
#
# `np.add.at(dW, values, alpha[:, None] * dy[bag_of])`는 항을 하나하나 제 행에 더합니다. 겹치는 아이디의 항도 빠뜨리지
# 않습니다.
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
# 라이브러리의 층에서 구한 테이블의 기울기도 같습니다.

# %%
dy = rng.normal(size=(3, D))
_, cache = bag_forward(W, values, alpha)
dW, _ = bag_backward_answer(dy, cache)
layer.zero_grad()
layer.forward(values, offsets, alpha)
layer.backward(dy)
print("largest difference:", np.abs(layer.weight.grad.to_dense() - dW).max())

# %% [markdown]
# 기울기가 어디에 있는지 보세요. 찾아온 행에만 있습니다.

# %%
uses = np.bincount(values, minlength=N)

fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.2), layout="constrained")
limit = 1.5 * np.abs(dW).max()  # 숫자가 보이도록 옅게
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
# ## 4. 겹치는 아이디의 기울기를 더해야 하는 까닭
#
# 아이디 여섯 개 가운데 세 개가 2번입니다. 2번 행은 손실(loss)에 세 번 들어가므로, 그 기울기에는 항이 세 개 있습니다.
# NumPy의 보통 인덱싱을 쓰면 그 가운데 둘을 잃어버립니다.

# %%
lost = np.zeros_like(W)
bag_of = cache[3]
lost[values] += alpha[:, None] * dy[bag_of]
print("row 2, scatter-add:       ", dW[2].round(3))
print("row 2, dW[values] += ...: ", lost[2].round(3))

# %% [markdown]
# `lost[values] += terms`는 `lost[values] = lost[values] + terms`와 같습니다. NumPy는 오른쪽을 먼저 버퍼(buffer)에
# 계산합니다. 버퍼에는 옛 행에 항 *하나*를 더한 값이 세 개 들어 있습니다. 그다음 버퍼를 되돌려 씁니다. 2번 행에는 세
# 번 쓰는데, 쓸 때마다 앞의 값을 덮어쓰므로 마지막 값만 남습니다. 스레드(thread)와는 상관없는 일입니다.
#
# ### 직접 해 보기
#
# NumPy가 되어 봅시다. `g[ids] += terms`가 하는 일을 보통의 반복문으로 써 보세요. 먼저 버퍼를 다 채우고, 그다음에
# 되돌려 씁니다. 빈칸의 코드는 누구나 기대할 만한 일, 곧 `np.add.at`이 하는 일을 합니다. 항을 하나씩 차례로 더합니다.


# %%
def buffered(g, ids, terms):
    for i in range(len(ids)):
        g[ids[i]] += terms[i]  # 직접 해 보기 (your turn): NumPy는 옛 행을 모두 읽은 다음에 씁니다


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
# <details><summary>답</summary>
#
# 반복문이 두 개입니다. 첫째는 읽습니다. `buffer[i]`는 옛 행 `g[ids[i]]`에 `terms[i]`를 더한 값입니다. 둘째는 씁니다:
# `g[ids[i]] = buffer[i]`.
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
# 이런 층도 학습이 될까요? 됩니다. 그래서 위험합니다. 배치에서 한 번만 쓰인 행은 기울기가 맞습니다. 나머지 행도 자신을
# 쓴 표본 가운데 하나가 바라는 쪽으로는 움직입니다.
#
# ### 이 장의 박물관
#
# 임베딩 층의 틀린 역전파 세 가지입니다. 먼저 잘못을 찾아보고, 그다음에 아래 셀을 실행하세요.

# %%
from minidlrm.checking import museum

bugs = museum.exhibits("LastWriteWins", "RepeatInsideABagLost", "FirstOfTheBag")
museum.show(bugs)

# %%
museum.explain(bugs, seed=1)

# %% [markdown]
# 그래도 학습이 되는 것은 어느 것일까요? 이것을 보려면 백에 아이디가 둘 이상 든 클릭 데이터가 필요합니다. 그래서
# 백마다 무작위 아이디를 하나 넣고, 그다음 진짜 아이디를 두 번 넣습니다. 사용자가 광고를 다시 찾아온 것과 같습니다.

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
# 네 곡선이 모두 내려갑니다. 옳은 것이 앞서기는 하지만, 그 차이는 학습률(learning rate)을 더 잘 골랐을 때 얻을 만한
# 정도입니다. 틀린 곡선도 하나만 놓고 보면 이상한 점이 없습니다.
#
# ## 5. 여러 테이블을 한 배열에
#
# 클릭 하나에는 사용자, 광고, 도시처럼 범주가 여럿 있습니다. 범주마다 테이블이 따로 있습니다.
# $W^{(0)}, W^{(1)}, \dots$라고 씁시다. Kaggle 데이터에 쓰는 DLRM에는 26개가 있습니다. 우리는 모든 테이블을 **한**
# 배열에 차례로 쌓고, 테이블마다 시작하는 자리를 기억합니다. 그러면 테이블 $t$의 행 $v$는 배열의 행
# $\mathrm{start}_t + v$입니다. 모으기 한 번이면 모든 테이블을 찾습니다.

# %%
sizes = [4, 3, 2]
starts = np.concatenate([[0], np.cumsum(sizes)])
tables = md.EmbeddingBagCollection(sizes, 5, dtype=np.float64, rng=np.random.default_rng(0))
ids = np.array([[3, 0, 1], [0, 2, 1]])  # (B, T)

by_hand = tables.weight.value[ids + starts[:-1]]  # (B, T, D)
print("shape", by_hand.shape, " largest difference", np.abs(tables.forward(ids) - by_hand).max())

# %% [markdown]
# ### 직접 해 보기
#
# 이번에는 거꾸로 합니다. 배열의 행 번호가 주어질 때, 그것이 어느 테이블의 몇 번 아이디인지 찾으세요. 빈칸의 코드는
# 모두 0번 테이블의 행이라고 합니다.


# %%
def table_and_id(rows, starts):
    return np.zeros_like(rows), rows  # 직접 해 보기 (your turn)


def check_table_and_id(function):
    rows, wanted = np.array([0, 3, 4, 6, 7, 8]), (np.array([0, 0, 1, 1, 2, 2]), [0, 3, 0, 2, 0, 1])
    wrong = md.checking.difference(function(rows, starts), wanted, "table, id")
    tell("not yet: for rows = {rows}, {wrong}" if wrong else "right", rows=rows, wrong=wrong)


check_table_and_id(table_and_id)

# %% [markdown]
# <details><summary>답</summary>
#
# 그 행이나 그 앞에서 시작하는 테이블 가운데 마지막 것입니다:
# `table = np.searchsorted(starts, rows, side="right") - 1`. 아이디는 `rows - starts[table]`입니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def table_and_id_answer(rows, starts):
    table = np.searchsorted(starts, rows, side="right") - 1
    return table, rows - starts[table]


print("the answer:")
check_table_and_id(table_and_id_answer)

# %% [markdown]
# 아이디가 너무 크면 어떻게 될까요? C나 컴파일된 커널(kernel)에서는 엉뚱한 행을 읽게 됩니다. 다음 테이블의 행일 수도
# 있고, 테이블이 아닌 메모리일 수도 있습니다. 그래서 아이디를 먼저 검사합니다. 오류 메시지는 테이블과 아이디와 자리를
# 알려 줍니다.

# %%
try:
    tables.forward(np.array([[3, 3, 1]]))
except IndexError as error:
    print("IndexError:", error)

# %% [markdown]
# ## 6. 기울기는 희소합니다
#
# `backward`가 끝나면 테이블의 기울기는 `SparseGrad`입니다. 이 배치에 나온 행이 정렬되어 한 번씩만 들어 있고, 행마다
# 기울기의 합이 있습니다.

# %%
tables.zero_grad()
tables.forward(ids)
tables.backward(np.ones((2, 3, 5)))
grad = tables.weight.grad
print(grad)
print("rows", grad.rows)
print("values", grad.values.tolist())

# %% [markdown]
# 2번 테이블에서는 두 표본이 모두 1번 아이디를 찾았습니다. 그래서 행 $7 + 1 = 8$의 기울기가 2입니다.
#
# 옵티마이저(optimizer)는 이 행들만 찾아갑니다. Kaggle 데이터의 테이블에는 숫자 16개로 된 행이 3,380만 개 있습니다.
# 0까지 모두 쓴 기울기라면 숫자가 5억 4천만 개입니다. 표본이 2,048개인 배치가 찾는 행은 많아야
# $26 \cdot 2048 = 53{,}248$개이고, 나머지는 모두 0입니다.
#
# ### 직접 해 보기
#
# 자리마다 하나씩 있는 항에서 이런 기울기를 만들어 보세요. 서로 다른 행을 오름차순으로 늘어놓고, 행마다 항을 모두
# 더합니다. 빈칸의 코드는 겹치는 행을 그대로 둡니다. 검사는 먼저 작은 예로 비교하고, 그다음에 여러분의 두 배열을 행
# 찾기 `W[rows]`의 기울기로 써 봅니다.


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
    return rows[order], terms[order]  # 직접 해 보기 (your turn): 행 8이 두 번 나옵니다


check_coalesce(coalesce)

# %% [markdown]
# <details><summary>답</summary>
#
# `np.unique`는 서로 다른 행과, 자리마다 그 행이 몇 번째인지를 알려 줍니다. 나머지는 다시 산란-덧셈입니다. 다만 작은
# 배열에 더합니다.
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
# ## 7. Numba가 하는 일
#
# `np.add.at`은 옳지만 느립니다. 숫자 하나마다 안쪽 반복문을 새로 부르기 때문입니다. 파이썬 반복문은 더 느립니다.
# **Numba**는 파이썬 반복문을 기계어로 컴파일합니다. 라이브러리에는 커널이 두 벌 있습니다. `kernels/reference.py`에는
# 정의가 되는 NumPy 코드가, `kernels/jit.py`에는 반복문이 있고, 둘은 같은 테스트를 받습니다. 행을 40,000번 찾을 때의
# 시간을 재 봅시다.

# %% tags=["timing"]
from minidlrm.kernels import reference

n, dim, num_rows = 40_000, 64, 100_000
lookups, terms = rng.integers(0, num_rows, n), rng.normal(size=(n, dim)).astype(np.float32)


def milliseconds(scatter):
    scatter(lookups, terms, None, None, num_rows)  # 처음에는 컴파일도 합니다
    laps = []
    for _ in range(5):
        start = time.perf_counter()
        scatter(lookups, terms, None, None, num_rows)
        laps.append(time.perf_counter() - start)
    return 1e3 * min(laps)


print(f"NumPy (np.add.at): {milliseconds(reference.scatter_add):.1f} ms")
print(f"{md.kernels.backend} (in use):    {milliseconds(md.kernels.scatter_add):.1f} ms")

# %% [markdown]
# 둘 다 먼저 행을 정렬합니다. 그러면 한 행의 항들은 아이디가 나온 순서대로 더해집니다. 그래서 몇 번을 실행해도 결과가
# 마지막 비트까지 같습니다.
#
# ### 직접 해 보기
#
# Numba에서는 C에서 쓸 반복문을 그대로 씁니다. 함수의 본문을 채우세요. 아이디 `i`마다 `out`의 행 `ids[i]`에
# `terms[i]`를 더합니다. 검사는 이 함수를 행 찾기의 역전파로 써 봅니다. (Numba가 없으면 반복문은 보통의 파이썬으로
# 실행되고, 더 느립니다.)

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
        pass  # 직접 해 보기 (your turn)


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
# <details><summary>답</summary>
#
# 반복문이 하나 더 필요합니다. 한 행의 숫자 D개를 차례로 더하는 반복문입니다. 코드는 다음 셀에 있습니다.
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
# ## 기억할 것
#
# 1. 행 찾기는 원-핫 벡터와의 곱입니다. 곱셈만 하지 않을 뿐입니다.
# 2. 그 역전파는 산란-덧셈입니다. 한 백 안에서든 여러 백에 걸쳐서든, 한 행의 기울기는 **모두 더합니다**.
# 3. `dW[ids] += ...`는 마지막에 쓴 것만 남깁니다. `np.add.at`이나 컴파일된 반복문을 쓰세요.
# 4. 기울기에는 배치에 나온 행만 있습니다.
#
# 다음: 02장, 행렬 분해(matrix factorization).
