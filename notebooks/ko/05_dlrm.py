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
# **이 장을 마치면** 직접 만든 DLRM이 생깁니다. 순전파(forward)와 역전파(backward)의 값이 라이브러리와 같습니다. 표본(sample) 다섯 개로 된
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
from minidlrm.languages import say, tell

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
# 아래는 논문의 그림입니다. 라이브러리의 클래스에서 바로 그렸습니다. `interaction` 상자의 칸은 저마다 그 색을 가진 두
# 벡터의 내적입니다. 한 벡터를 자기 자신과 곱하지는 않으므로 칸들은 삼각형을 이룹니다. 이 장의 모든 그림은 제목과 축 이름이 영어입니다. matplotlib의 기본
# 글꼴에 한글이 없기 때문입니다.

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
# 이 모델에 넣을 표본 다섯 개입니다. 밀집 특성이 아홉 개 있고, 세 테이블에 아이디가 하나씩 있습니다. 배치에 든 표본의 수를
# **배치 크기**(batch size)라 하고 $B$로 씁니다. 모양을 잘못 쓰면 바로 드러나도록 모든 크기를 서로 다르게 정했습니다.

# %%
dense = rng.normal(size=(5, 9))
ids = np.array([[2, 0, 5], [2, 4, 1], [6, 4, 5], [0, 1, 5], [5, 3, 0]])
label = np.array([1.0, 0.0, 0.0, 1.0, 0.0])
batch = md.data.Batch(dense, ids, label)
B, F, D = 5, 4, 2

# %% [markdown]
# ### 직접 해 보기
#
# 신경망을 짜기 전에 모든 배열의 모양(shape)을 알아야 합니다. 아래 검사는 크기가 다른 모델을 만들어 라이브러리에 물어봅니다.


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
# 모양을 예측해서 `None` 자리에 적어 보세요. $z$는 상호작용하는 모든 벡터를 담은 배열입니다.


# %%
def shapes(B, num_dense, T, D):
    return {
        "dense": (B, num_dense),  # 이 줄은 예시입니다
        "x": None,  # 직접 해 보기 (your turn): 하단 MLP의 출력
        "z": None,  # 상호작용 층의 입력
        "pairs": None,  # 상호작용 층의 출력
        "top input": None,  # 상단 MLP의 입력
        "logit": None,  # 모델의 출력
    }


check_shapes(shapes)

# %% [markdown]
# <details><summary>답</summary>
#
# 벡터는 $F = T + 1$개입니다. 첫 벡터의 짝은 $F - 1$개이고, 다음 벡터가 새로 만드는 짝은 $F - 2$개입니다. 이렇게 모두 더하면
# $F (F - 1) / 2$쌍입니다. 상단 MLP는 $x$의 숫자 $D$개와 모든 쌍의 내적을 받습니다.
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
# ## 2. 상호작용
#
# 표본 하나의 벡터 $F$개를 쌓은 행렬을 $z$라고 합시다. 모양은 $(F, D)$입니다. 행렬 $z z^\top$를 계산하면 모든 내적이 한꺼번에
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
    ax.imshow(values, cmap="PuOr", vmin=-2.5 * limit, vmax=2.5 * limit)
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
print("the answer: passed =", report.passed)

# %% [markdown]
# ## 3. 손으로 하는 순전파
#
# 비교할 수 있도록 라이브러리의 가중치(weight)를 가져옵니다. 선형 층(linear layer)은 `x @ W.T + b`입니다. 하단 MLP에서는 마지막 층까지
# 모든 층 뒤에 ReLU가 옵니다. 상단 MLP에서는 마지막 층 뒤에만 ReLU가 없습니다. 그 층의 출력이 로짓이기 때문입니다.
# 층에는 1부터 4까지 번호를 붙입니다. $h_1$과 $h_3$은 두 MLP의 첫 층이 내놓는, ReLU를 지난 값입니다.

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

h1 = np.maximum(dense @ W1.T + b1, 0)  # (B, 7)
x = np.maximum(h1 @ W2.T + b2, 0)  # (B, D): 임베딩과 같은 크기
rows = ids + starts  # (B, T)
z = np.concatenate([x[:, None], table[rows]], axis=1)  # (B, F, D): 밀집 벡터가 0번 벡터
pairs, _ = interact(z)  # (B, P)
top_in = np.concatenate([x, pairs], axis=1)  # (B, D + P)
h3 = np.maximum(top_in @ W3.T + b3, 0)  # (B, 10)
logit = (h3 @ W4.T + b4)[:, 0]  # (B,)

print("ours:       ", logit.round(6))
print("the library:", model.forward(batch).round(6))

# %% [markdown]
# ### 직접 해 보기
#
# 위의 배열에는 모든 표본이 한꺼번에 들어 있습니다. 이번에는 표본 $b$ 하나만 반복문으로 계산합니다. 상단 MLP에 들어가는 숫자 $D + P$개를
# 구합니다. 아래 검사는 처음으로 어긋나는 숫자를 찾아 줍니다.


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
# 이 코드에는 틀린 줄이 두 개 있습니다. 둘 다 오류 없이 돌아가고, 결과의 모양도 맞습니다. 어느 줄인지 찾아보세요.


# %%
def top_input_of(b):
    vectors = [x[b]]
    for t in range(3):
        vectors.append(table[ids[b, t]])
    numbers = list(x[b])
    for first in range(F):
        for second in range(first + 1, F):
            numbers.append(vectors[first] @ vectors[second])
    return np.array(numbers)  # 직접 해 보기 (your turn): 위에서 두 줄이 틀렸습니다


check_top_input(top_input_of)

# %% [markdown]
# <details><summary>답</summary>
#
# 모든 테이블이 한 배열에 이어져 있으므로, 행 번호는 `ids[b, t] + starts[t]`입니다. 그리고 대각선을 뺀 아래 삼각형을 행 순서대로 읽으려면
# `second in range(first)`라고 써야 합니다. (1, 0), (2, 0), (2, 1), ...의 순서입니다. 빈칸의 코드는 위 삼각형을 읽습니다. 내적의 값은
# 같지만 순서가 다릅니다. 처음부터 새로 학습하는 상단 MLP라면 순서가 달라도 괜찮습니다. 다른 곳에서 학습한 가중치를 가져오면 틀립니다.
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
# ## 4. 손으로 하는 역전파
#
# 그림을 위에서 아래로 따라갑니다. `dh3`은 `h3`을 내놓는 ReLU의 *입력*에 대한 기울기입니다. 들어온 기울기에 $[h_3 > 0]$을
# 곱한 값입니다. 대괄호는 안의 조건이 참이면 1, 거짓이면 0입니다. 다른 층도 마찬가지입니다. 조심할 곳이 하나 있습니다. **밀집 벡터 $x$에서는 화살표가 두 개 나갑니다.** 하나는 상단 MLP로 곧장 갑니다.
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


print("the answer: passed =", check_arrows(both_arrows_answer).passed)

# %% [markdown]
# 이제 끝까지 갑니다. 한 줄 한 줄이 앞의 장들에서 유도한 식입니다.

# %%
dlogit = (1 / (1 + np.exp(-logit)) - label) / B  # (B,): 로그 손실(log loss, 04장), 표본 B개의 평균
dh3 = dlogit[:, None] * W4 * (h3 > 0)  # (B, 10)
dtop = dh3 @ W3  # (B, D + P)
dz = interact_answer(dtop[:, D:], z)  # (B, F, D)
dx = both_arrows_answer(dtop, dz)  # (B, D)
dx = dx * (x > 0)  # 하단 MLP 마지막 층의 ReLU
dh1 = (dx @ W2) * (h1 > 0)  # (B, 7)
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
# 둘째 표를 보면 기울기의 쓸모를 알 수 있습니다. 기울기는 손실의 변화를 **예측합니다**. 어떤 숫자가 작은 값 $\epsilon$만큼 커지면, 손실은
# $\epsilon$에 그 숫자의 기울기를 곱한 만큼 변합니다.
#
# ### 직접 해 보기
#
# 직접 예측해 보세요. 테이블 `t`에서 아이디 `v`의 임베딩을 찾아, 그 `d`번 숫자를 `eps`만큼 키웁니다. 어느 표본이 이 행을 쓸까요? 손실은
# 얼마나 변할까요? `ids`의 모양은 $(B, T)$입니다. 4절의 `dz`는 모양이 $(B, F, D)$이고, 표본마다 각 벡터의 기울기를 담고 있습니다. 검사는
# 라이브러리로 숫자를 실제로 바꾸어 보고 비교합니다.


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
    samples = []  # 직접 해 보기 (your turn): 테이블 t의 아이디가 v인 표본
    change = 0.0  # 그 표본들의 기울기로 본 손실의 변화
    return samples, change


check_what_moves(what_moves)

# %% [markdown]
# <details><summary>답</summary>
#
# 0번 벡터는 밀집 벡터이므로, 테이블 $t$의 벡터는 상호작용 층의 $t + 1$번 벡터입니다. 이 행을 쓰는 표본이 저마다 제 몫을 더합니다. 4절의
# 산란-덧셈(scatter-add)과 같습니다.
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
# ## 6. 저자들이 출력한 값
#
# 참조 구현(reference implementation)의 README에는 실행 한 번의 출력이 통째로 실려 있습니다. 아주 작은 DLRM을 세 스텝(step) 학습한 기록이고,
# 모든 입력과 매개변수(parameter)와 손실이 적혀 있습니다. 모두 NumPy의 옛 난수 생성기에서 시드(seed) 하나로 만든 값입니다. 그래서 숫자를 하나하나
# 재현할 수 있습니다. 이 실행은 모든 부품을 시험합니다. 아이디의 백(bag), 삼각형의 순서, ReLU, 시그모이드(sigmoid),
# 산란-덧셈까지 빠짐없이 쓰입니다.

# %%
from minidlrm import verify

ours = verify.replay()
for step, (printed, replayed) in enumerate(
    zip(verify.PUBLISHED_LOSSES, ours.losses, strict=True), 1
):
    print(f"step {step}: printed {printed:.6f}, ours {replayed:.6f}")

# %% [markdown]
# ### 직접 해 보기
#
# 이 실행에서 4절과 다른 것이 하나 있습니다. 손실입니다. 로그 손실이 아니라, 각 표본 $b$의 확률 $p_b$에 대한 평균 제곱 오차(mean squared
# error, MSE)입니다. $\sigma$는 시그모이드이고, $\text{label}_b$는 정답입니다.
#
# $$ L = \frac{1}{B} \sum_b (p_b - \text{label}_b)^2, \qquad p_b = \sigma(\text{logit}_b) . $$
#
# 로짓의 기울기를 먼저 종이에 유도하고, 그다음에 코드로 쓰세요. `dy`는 $L$로 들어오는 기울기이고, 숫자 하나입니다. 지금 있는 코드는 로그
# 손실의 기울기입니다. (시그모이드의 미분은 $\sigma' = \sigma\,(1 - \sigma)$입니다.)


# %%
def mistake(title, text, hint, formula):
    def wrong(target, dy, logit):
        return {"logit": formula(dy, 1 / (1 + np.exp(-logit)))}

    return md.checking.Fingerprint(title, wrong, text, title, hint)


mistakes = [  # 검사기에 이름을 알려 줄 식 두 개
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
    return dy * (p - label) / B  # 직접 해 보기 (your turn): p의 기울기 먼저


report = md.gradcheck((squared, squared_backward), logit, fingerprints=mistakes)

# %% [markdown]
# <details><summary>답</summary>
#
# $dp_b = 2\,(p_b - \text{label}_b) / B$이고, 로짓의 기울기는 $dp_b\; p_b (1 - p_b)$입니다. 마지막 인수를 눈여겨보세요. 정답이 1인데 $p$가
# 0에 가까우면, 곧 자신 있게 틀리면, 이 인수가 0에 가깝습니다. 그런 표본에서는 배우는 것이 거의 없습니다. 로그 손실에는 이 인수가 없습니다.
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
# ## 7. 실제 모델은 얼마나 클까?
#
# 두 가지를 셉니다. 하나는 **매개변수의 수**이고, 메모리의 크기를 정합니다. 다른 하나는 표본 하나의 순전파에 드는 **FLOPs**이고, 계산의
# 양입니다. FLOPs는 덧셈과 곱셈의 횟수이고, 곱해서 더하는 일은 두 번으로 셉니다. 숫자 $n$개를 $m$개로 바꾸는 층에는 $m \times n$ 행렬
# 하나와 편향(bias) $m$개가 있습니다. 이 층은 곱해서 더하는 일을 $m n$번 합니다. 편향을 더하는 일은 세지 않습니다. 테이블에서 행을 찾는
# 일에는 계산이 들지 않습니다.
#
# ### 직접 해 보기
#
# 세어 보세요. `rows`는 모든 테이블의 행을 합친 수입니다. `bottom`과 `top`은 MLP의 층별 크기이고, `[9, 7, 2]`처럼 씁니다. 이때 `pairwise`는
# (9, 7)과 (7, 2)를 차례로 줍니다.


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
    parameters = {"embeddings": 0}  # 직접 해 보기 (your turn): 모든 0을 고치세요
    flops = {"embeddings": 0, "interaction": 0}  # 첫 0은 그대로
    for name, sizes in (("top MLP", top), ("bottom MLP", bottom)):
        parameters[name] = sum(0 for n, m in pairwise(sizes))
        flops[name] = sum(0 for n, m in pairwise(sizes))
    return parameters, flops


check_size(size_of)

# %% [markdown]
# <details><summary>답</summary>
#
# 테이블에는 숫자가 `rows * D`개 있습니다. 층 하나에는 `m * n + m`개가 있고, 계산은 `2 * m * n` FLOPs입니다. 상호작용 층은 쌍 $P$개마다 곱해서
# 더하는 일을 $D$번 합니다.
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
# 이제 Criteo Kaggle 데이터에 쓰는 설정을 봅시다. 밀집 특성은 13개, 테이블은 26개입니다. 테이블의 행은 모두 합쳐 약 3,380만 개이고,
# $D = 16$입니다.

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
# 그래서 DLRM은 돌리기 어렵습니다. **메모리**는 테이블에 몰려 있고 **계산**은 MLP에 몰려 있는데, 둘에 알맞은 기계가 서로 다릅니다.
#
# ## 8. 학습
#
# 참 확률을 아는 합성(synthetic) 클릭 데이터로 학습합니다. 점선은 **베이즈 한계**(Bayes limit)입니다. 모든 클릭의 참 확률을
# 아는 사람이 얻는 로그 손실이고, 어떤 모델도 이보다 나으리라 기대할 수 없습니다. 마지막 줄의 `md.evaluate`가
# 출력하는 측정값들은 06장에서 설명합니다.

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
# ### 직접 해 보기
#
# `md.fit`은 반복문이고, 한 스텝은 다섯 줄입니다. 직접 써 보세요. 기울기를 지우고, 순전파로 손실을 구하고, 손실을 기록하고, 역전파를 하고,
# 매개변수를 고칩니다. 필요한 것은 `network.zero_grad()`, `loss.forward(logit, label)`, `loss.backward()`,
# `network.backward(dlogit)`, `optimizer.step(network.parameters())`입니다. 지금 있는 코드는 데이터를 보기만 하고 배우지는 않습니다.


# %%
def train(network, batches, optimizer):
    loss, losses = md.BCEWithLogits(), []
    for batch in batches:
        losses.append(loss.forward(network.forward(batch), batch.label))  # 직접 해 보기 (your turn)
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
# <details><summary>답</summary>
#
# `backward`는 기울기를 *더합니다*. 두 번 쓰인 매개변수가 두 몫을 모두 받게 하려는 것입니다. 기울기를 지우지 않으면 지금까지 본 모든 배치의
# 기울기를 합한 방향으로 움직이게 됩니다.
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
# ## 9. 이 장의 박물관
#
# 처음 두 가지는 기울기가 지나는 경로를 잃어버립니다. 층은 모두 옳은데 잇는 방법이 틀렸습니다. 나머지 하나는 층 자체가 틀렸습니다. 순전파에서는
# 아래 삼각형을, 역전파에서는 위 삼각형을 읽습니다. 먼저 잘못을 찾아보고, 그다음에 검사기(checker)로 확인하세요.

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
# 네 곡선이 모두 내려갑니다. 첫 에폭(epoch) 끝에서 튀어 오르는 것도 똑같습니다. 틀린 것 가운데 둘은 옳은 것과 나란히 갑니다. 옳은 곡선이 곁에 없으면 아무것도 눈치채지 못합니다. 나머지 하나는
# 뒤처지지만, 학습률(learning rate)이 너무 작을 때도 똑같이 보입니다.
#
# ## 기억할 것
#
# 1. DLRM은 하단 MLP, 테이블, 모든 쌍의 내적, 상단 MLP로 이루어집니다.
# 2. 밀집 벡터에서는 화살표가 두 개 나가므로, 기울기에도 항이 두 개입니다.
# 3. $dz = (G + G^\top) z$입니다. 쌍을 이루는 두 벡터가 모두 기울기를 받습니다.
# 4. 메모리는 테이블에, 계산은 MLP에 있습니다.
#
# 다음: 06장, 클릭 로그로 학습하기.
