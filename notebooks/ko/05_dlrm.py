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
# # 05 · DLRM
#
# [![Colab에서 열기](../colab.svg)](https://colab.research.google.com/github/)
#
# [English](../05_dlrm.ipynb) · [튜토리얼 안내](README.md) · [용어집](glossary.md)
#
# 필요한 부품은 모두 만들었습니다. 임베딩(embedding, 01장), 임베딩의 곱(02장, 03장), 다층 퍼셉트론(multilayer
# perceptron, MLP, 04장)입니다. Naumov 등(2019)의 **딥러닝 추천 모델**(deep learning recommendation model, DLRM)은 이
# 부품들을 하나로 묶습니다. 수십억 명이 볼 광고와 게시물을 이런 모델이 고릅니다. 그런데도 코드는 한 페이지에 다 들어갑니다.
#
# 00장부터 04장까지의 내용이 필요합니다. 읽는 시간은 약 60분입니다.
#
# **이 장을 마치면** 직접 만든 DLRM이 생깁니다. 순전파(forward)와 역전파(backward)의 값이 라이브러리와 같습니다. 표본(sample) 네 개로 된
# 배치(batch)의 모든 숫자를 보게 되고, 논문 저자들이 공개한 실행 결과를 그대로 재현합니다.

# %%
# Colab처럼 minidlrm이 설치되지 않은 곳에서는 먼저 설치합니다.
import importlib.util

if importlib.util.find_spec("minidlrm") is None:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "minidlrm"], check=True)

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np

import minidlrm as md

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. 그림
#
# 클릭 하나에는 **밀집 특성**(dense feature)과 **희소 특성**(sparse feature)이 있습니다. 밀집 특성은 횟수나 나이 같은 숫자이고,
# 희소 특성은 $T$개의 테이블(table)마다 하나씩 있는 아이디(id)입니다.
#
# 1. 밀집 특성은 *하단 MLP*(bottom MLP)를 지납니다. 그 끝은 크기 $D$인 벡터 $x$입니다. 임베딩과 크기가 같습니다.
# 2. 아이디마다 테이블에서 벡터를 찾습니다. 크기 $D$인 벡터가 $T$개 나옵니다.
# 3. 이제 크기가 같은 벡터가 $F = T + 1$개 있습니다. *상호작용*(interaction) 층은 모든 쌍의 내적(dot product)을 구합니다.
# 4. 밀집 벡터와 모든 내적은 *상단 MLP*(top MLP)를 지납니다. 그 끝은 숫자 하나, 로짓(logit)입니다.
#
# 아래는 논문의 그림입니다. 라이브러리의 클래스에서 바로 그렸습니다. 이 장의 모든 그림은 제목과 축 이름이 영어입니다. matplotlib의 기본
# 글꼴에 한글이 없기 때문입니다.

# %%
model = md.DLRM(
    num_dense=4,
    table_sizes=[7, 5, 6],
    embedding_dim=3,
    bottom_mlp=(5,),
    top_mlp=(6,),
    dtype=np.float64,
)
fig, ax = plt.subplots(figsize=(6.6, 6.2), layout="constrained")
_ = md.diagram(model, ax=ax)

# %% [markdown]
# 이 모델에 넣을 데이터 네 줄입니다. 밀집 특성이 네 개 있고, 세 테이블에 아이디가 하나씩 있습니다.

# %%
dense = rng.normal(size=(4, 4))
ids = np.array([[2, 0, 5], [2, 4, 1], [6, 4, 5], [0, 1, 5]])
label = np.array([1.0, 0.0, 0.0, 1.0])
batch = md.data.Batch(dense, ids, label)
B, F, D = 4, 4, 3

# %% [markdown]
# ## 2. 상호작용
#
# 표본 하나의 벡터 $F$개를 쌓은 행렬을 $z$라고 합시다. 모양(shape)은 $(F, D)$입니다. 행렬 $z z^\top$를 계산하면 모든 내적이 한꺼번에
# 나옵니다. 이 행렬의 모양은 $(F, F)$이고, 대칭이어서 대각선 위와 아래의 값이 같습니다. DLRM은 대각선을 뺀 **아래 삼각형**(strict lower
# triangle)을 행 순서대로 가져갑니다. (1, 0), (2, 0), (2, 1), (3, 0), ...의 순서입니다. 모두 $P = F (F - 1) / 2$개입니다.
#
# FM(인수분해 기계, factorization machine, 03장)은 이 내적들을 모두 더합니다. DLRM은 더하지 않고 따로 둡니다. 각각이 무엇을 뜻하는지는
# 상단 MLP가 정합니다.


# %%
i, j = np.tril_indices(F, -1)  # 행 순서대로


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
    ax.imshow(values, cmap="PuOr", vmin=-1.5 * limit, vmax=1.5 * limit)
    ax.set(title=title, xlabel="vector j", ylabel="vector i", xticks=range(F), yticks=range(F))
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            ax.text(column, row, f"{value:.1f}", ha="center", va="center")

# %% [markdown]
# ### 기울기(gradient)
#
# 들어오는 기울기 $dy$를 모양이 $(F, F)$인 행렬 $G$의 제자리에 되돌려 놓습니다. 대각선과 그 위는 0입니다. 벡터 $z_k$는 내적에 두 번 나옵니다.
# 첫째 인수일 때는 $y_{kj} = \langle z_k, z_j \rangle$이고, $G$의 행 $k$에 해당합니다. 둘째 인수일 때는
# $y_{ik} = \langle z_i, z_k \rangle$이고, 열 $k$에 해당합니다. 둘 다 더해야 합니다.
#
# $$ dz_k = \sum_j G_{kj}\, z_j + \sum_i G_{ik}\, z_i, \qquad dz = (G + G^\top)\, z . $$
#
# ### 직접 해 보기
#
# 코드를 완성해 보세요. 지금 있는 코드는 둘 가운데 하나를 빠뜨렸습니다.


# %%
def interact_backward(dy, z):
    G = np.zeros((len(z), F, F))
    G[:, i, j] = dy
    return G @ z  # 직접 해 보기 (your turn): 절반이 빠졌습니다


report = md.gradcheck((interact, interact_backward), z)

# %% [markdown]
# <details><summary>답</summary>
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
print("the answer passes:", report.passed)

# %% [markdown]
# ## 3. 손으로 하는 순전파
#
# 비교할 수 있도록 라이브러리의 가중치(weight)를 가져옵니다. 선형 층(linear layer)은 `x @ W.T + b`입니다. 하단 MLP에서는 마지막 층까지
# 모든 층 뒤에 ReLU가 옵니다. 상단 MLP에서는 마지막 층 뒤에만 ReLU가 없습니다. 그 층의 출력이 로짓이기 때문입니다.

# %%
weights = {name: value.copy() for name, value in model.state_dict().items()}
starts = np.array([0, 7, 12])  # 각 테이블이 시작하는 행
for name, value in weights.items():
    print(f"{name:24} {value.shape}")

# %%
W1, b1 = weights["bottom.layers.0.weight"], weights["bottom.layers.0.bias"]
W2, b2 = weights["bottom.layers.1.weight"], weights["bottom.layers.1.bias"]
W3, b3 = weights["top.layers.0.weight"], weights["top.layers.0.bias"]
W4, b4 = weights["top.layers.1.weight"], weights["top.layers.1.bias"]
table = weights["embeddings.weight"]

h1 = np.maximum(dense @ W1.T + b1, 0)  # (B, 5)
x = np.maximum(h1 @ W2.T + b2, 0)  # (B, D): 임베딩과 같은 크기
rows = ids + starts  # (B, T)
z = np.concatenate([x[:, None], table[rows]], axis=1)  # (B, F, D): 밀집 벡터가 0번 벡터
pairs, _ = interact(z)  # (B, P)
top_in = np.concatenate([x, pairs], axis=1)  # (B, D + P)
h3 = np.maximum(top_in @ W3.T + b3, 0)  # (B, 6)
logit = (h3 @ W4.T + b4)[:, 0]  # (B,)

print("ours:       ", logit.round(6))
print("the library:", model.forward(batch).round(6))

# %% [markdown]
# ## 4. 손으로 하는 역전파
#
# 그림을 위에서 아래로 따라갑니다. `dh3`은 `h3`을 내놓는 ReLU의 *입력*에 대한 기울기입니다. 들어온 기울기에 $[h_3 > 0]$을 곱한 값이고,
# 다른 층도 마찬가지입니다. 조심할 곳이 하나 있습니다. **밀집 벡터 $x$에서는 화살표가 두 개 나갑니다.** 하나는 상단 MLP로 곧장 갑니다.
# 다른 하나는 상호작용 층으로 가서 0번 벡터가 됩니다. 그래서 이 벡터의 기울기는 두 갈래에서 오는 기울기의 합입니다.
#
# ### 직접 해 보기
#
# `dtop`은 상단 MLP 입력의 기울기이고, 모양은 $(B, D + P)$입니다. 앞의 $D$개는 $x$의 몫이고, 뒤의 $P$개는 내적의 몫입니다. `dz`는 상호작용 층에
# 들어간 벡터들의 기울기이고, 모양은 $(B, F, D)$입니다. 둘을 써서 $dx$를 구해 보세요. 지금 있는 코드는 화살표 하나만 따라갑니다.


# %%
def both_arrows(dtop, dz):
    return dtop[:, :D]  # 직접 해 보기 (your turn): 화살표는 두 개입니다


def check_arrows(function):
    def forward(x):
        pairs, _ = interact(np.concatenate([x[:, None], z[:, 1:]], axis=1))
        return np.concatenate([x, pairs], axis=1)  # (B, D + P)

    def backward(dtop):
        return function(dtop, interact_answer(dtop[:, D:], z))

    return md.gradcheck((forward, backward), z[:, 0].copy(), verbose=function is both_arrows)


report = check_arrows(both_arrows)

# %% [markdown]
# <details><summary>답</summary>
#
# `dtop[:, :D] + dz[:, 0]`: 곧장 가는 길과, 0번 벡터를 지나는 길을 더합니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def both_arrows_answer(dtop, dz):
    return dtop[:, :D] + dz[:, 0]


print("the answer passes:", check_arrows(both_arrows_answer).passed)

# %% [markdown]
# 이제 끝까지 갑니다. 줄마다 앞 장에서 유도한 식입니다.

# %%
dlogit = (1 / (1 + np.exp(-logit)) - label) / B  # (B,): 로그 손실(log loss, 04장), 표본 B개의 평균
dh3 = dlogit[:, None] * W4 * (h3 > 0)  # (B, 6)
dtop = dh3 @ W3  # (B, D + P)
dz = interact_answer(dtop[:, D:], z)  # (B, F, D)
dx = both_arrows_answer(dtop, dz)  # (B, D)
dx = dx * (x > 0)  # 하단 MLP 마지막 층의 ReLU
dh1 = (dx @ W2) * (h1 > 0)  # (B, 5)
dtable = np.zeros_like(table)
np.add.at(dtable, rows, dz[:, 1:])  # 아이디가 겹치면 기울기를 더합니다

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
# ### 직접 해 보기
#
# MLP의 층별 크기를 보고 가중치와 편향(bias)이 모두 몇 개인지 세어 보세요. 숫자 $n$개를 $m$개로 바꾸는 층에는 $m \times n$ 행렬 하나와 편향
# $m$개가 있습니다. 지금 있는 코드는 편향을 빠뜨렸습니다.


# %%
def mlp_parameters(sizes):
    return sum(n * m for n, m in pairwise(sizes))  # 직접 해 보기 (your turn)


def check_parameters(function):
    said, wanted = function([4, 5, 3]), model.bottom.num_parameters()
    print("right" if said == wanted else f"not yet: {said}; the bottom MLP has {wanted}")


check_parameters(mlp_parameters)

# %% [markdown]
# <details><summary>답</summary>
#
# `sum(n * m + m for n, m in pairwise(sizes))`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def mlp_parameters_answer(sizes):
    return sum(n * m + m for n, m in pairwise(sizes))


check_parameters(mlp_parameters_answer)

# %% [markdown]
# ## 5. 이 배치의 모든 숫자
#
# 연산을 하나씩 살펴봅시다. 순전파, 손실(loss), 역전파의 순서입니다. *Next*를 누르거나 화살표 키를 쓰세요. 수식에는 첫 번째 표본의 숫자가
# 들어 있습니다.

# %%
steps = md.trace(model, batch)
steps

# %% [markdown]
# ### 만약에?
#
# 두 표본이 함께 쓰는 임베딩(테이블 0, 아이디 2)의 숫자 하나를 바꾸고, 그 변화가 어디까지 가는지 따라가 봅시다.

# %%
print(steps.perturb("embeddings.weight", (2, 0), eps=0.01))

# %% [markdown]
# ## 6. 저자들이 출력한 값
#
# 참조 구현(reference implementation)의 README에는 실행 한 번의 출력이 통째로 실려 있습니다. 아주 작은 DLRM을 세 스텝(step) 학습한 기록이고,
# 모든 입력과 매개변수(parameter)와 손실이 적혀 있습니다. 모두 NumPy의 옛 난수 생성기에서 시드(seed) 하나로 만든 값입니다. 그래서 숫자를 하나하나
# 재현할 수 있습니다. 이 실행은 모든 부품을 시험합니다. 아이디의 백(bag), 삼각형의 순서, ReLU, 시그모이드(sigmoid),
# 산란-덧셈(scatter-add)까지 빠짐없이 쓰입니다.

# %%
from minidlrm import verify

ours = verify.replay()
for step, (printed, replayed) in enumerate(
    zip(verify.PUBLISHED_LOSSES, ours.losses, strict=True), 1
):
    print(f"step {step}: printed {printed:.6f}, ours {replayed:.6f}")

# %% [markdown]
# ## 7. 실제 모델은 얼마나 클까?
#
# Criteo Kaggle 데이터에 쓰는 설정입니다. 밀집 특성은 13개, 테이블은 26개입니다. 테이블의 행은 모두 합쳐 약 3,380만 개이고, $D = 16$입니다.

# %%
kaggle = {"bottom": [13, 512, 256, 64, 16], "top": [16 + 27 * 26 // 2, 512, 256, 1]}
mlps = {name: sum(n * m + m for n, m in pairwise(sizes)) for name, sizes in kaggle.items()}
parameters = {"embeddings": 33_762_577 * 16, "top MLP": mlps["top"], "bottom MLP": mlps["bottom"]}
flops = {"embeddings": 0, "interaction": 27 * 26 * 16}
flops |= {f"{name} MLP": 2 * sum(n * m for n, m in pairwise(s)) for name, s in kaggle.items()}

fig, axes = plt.subplots(1, 2, figsize=(8.4, 3), layout="constrained")
axes[0].barh(list(parameters), list(parameters.values()), color="#0072b2")
axes[0].set(xscale="log", xlabel="parameters", title="Nearly all are embeddings")
axes[1].barh(list(flops), [n / 1000 for n in flops.values()], color="#d55e00")
_ = axes[1].set(xlabel="thousand FLOPs of a sample, forward", title="Nearly all are in the MLPs")

# %% [markdown]
# FLOPs는 덧셈과 곱셈의 횟수입니다. 곱해서 더하는 일은 두 번으로 셉니다. 그래서 DLRM은 돌리기 어렵습니다. **메모리**는 테이블에 몰려 있고 **계산**은 MLP에 몰려 있는데, 둘에 알맞은 기계가 서로 다릅니다.
#
# ## 8. 학습
#
# 참 확률을 아는 합성(synthetic) 클릭 데이터로 학습합니다. 점선은 **베이즈 한계**(Bayes limit)입니다. 모든 클릭의 참 확률을
# 아는 사람이 얻는 로그 손실이고, 어떤 모델도 이보다 나으리라 기대할 수 없습니다.

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
# ## 9. 이 장의 박물관
#
# 처음 두 가지는 기울기가 지나는 경로를 잃어버립니다. 층은 모두 옳은데 잇는 방법이 틀렸습니다. 나머지 하나는 층 자체가 틀렸습니다. 순전파에서는
# 아래 삼각형을, 역전파에서는 위 삼각형을 읽습니다. 먼저 잘못을 찾아보고, 그다음에 검사기(checker)로 확인하세요.

# %%
import inspect

from minidlrm.checking.bugs import CORPUS

names = ("DenseShortcutForgotten", "DenseInteractionForgotten", "UpperForLower")
museum = [bug for bug in CORPUS if bug.kind.__name__ in names]
for bug in museum:
    print(f"class {bug.kind.__name__}({bug.correct.__name__}):")
    print(inspect.getsource(bug.kind.backward))

# %%
for bug in museum:
    report = md.gradcheck(*bug.make(bug.kind, np.random.default_rng(0)), verbose=False)
    print(f"{bug.kind.__name__}: {report.diagnosis[0].title}.")


# %%
def curve_of(kind):
    small = md.DLRM(13, clicks.table_sizes, 8, (16,), (32,), seed=0)
    for part in (small, small.dot):  # the model or its interaction becomes the wrong one
        if issubclass(kind, type(part)):
            part.__class__ = kind
    options = {"optimizer": md.SGD(lr=0.3), "batch_size": 256, "eval_every": 30, "progress": False}
    history = md.fit(small, clicks.train[:30_000], clicks.valid[:5_000], epochs=2, **options)
    return history.column("epoch"), history.column("valid_log_loss")


fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
styles = ("-", "--", "-.", ":")
kinds = {"right": md.DLRM} | {bug.kind.__name__: bug.kind for bug in museum}
for (name, kind), style in zip(kinds.items(), styles, strict=True):
    ax.plot(*curve_of(kind), style, label=name)
ax.set(xlabel="epoch", ylabel="validation log loss (nats)", title="Wrong gradients still train")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# 네 곡선이 모두 내려갑니다. 틀린 것 가운데 둘은 옳은 것과 나란히 갑니다. 옳은 곡선이 곁에 없으면 아무것도 눈치채지 못합니다. 나머지 하나는
# 뒤처지지만, 학습률(learning rate)이 너무 작을 때도 똑같이 보입니다.
#
# ## 기억할 것
#
# 1. DLRM은 하단 MLP, 테이블, 모든 쌍의 내적, 상단 MLP로 이루어집니다.
# 2. 밀집 벡터에서는 화살표가 두 개 나가므로, 기울기에도 항이 두 개입니다.
# 3. $dz = (G + G^\top) z$입니다. 쌍을 이루는 두 벡터가 모두 기울기를 받습니다.
# 4. 메모리는 테이블에, 계산은 MLP에 있습니다.
#
# 다음: 06장, 클릭 로그로 학습하기(영어).
