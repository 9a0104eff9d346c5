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
# # 04 · 다층 퍼셉트론과 신경망 협업 필터링
#
# [![Colab에서 열기](../colab.svg)](https://colab.research.google.com/github/)
#
# [English](../04_mlp_and_ncf.ipynb) · [튜토리얼 안내](README.md) · [용어집](glossary.md)
#
# 지금까지는 특성(feature)이 *어떻게* 만나는지를 모델에 정해 주었습니다. 곱으로 만나게 했습니다. **다층
# 퍼셉트론**(multilayer perceptron, MLP)에는 그것을 정해 주지 않습니다. MLP는 숫자를 받아 그 함수를 배웁니다. 이
# 장에서는 MLP를 만들고, 기울기(gradient)를 유도하고, 영화를 추천하는 데 써 봅니다.
#
# 00장부터 03장까지의 내용이 필요합니다. 읽는 시간은 약 45분입니다.
#
# **이 장을 마치면** 선형 층(linear layer)과 ReLU와 로그 손실(log loss)을 하나하나 유도하고 검사하게 됩니다. MLP를
# 직접 학습하고, NeuMF가 매긴 순위를 무작위 순위와 비교하게 됩니다.

# %%
# Colab처럼 minidlrm이 설치되지 않은 곳에서는 먼저 설치합니다.
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
from minidlrm.languages import say, tell

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. 선형 층
#
# 입력이 $n$개, 출력이 $m$개인 층(layer)에는 모양(shape)이 $(m, n)$인 행렬 $W$와 모양이 $(m,)$인 편향(bias) $b$가
# 있습니다. 모양이 $(B, n)$인 배치(batch) $x$에 대해 다음과 같습니다.
#
# $$ y = x W^\top + b, \qquad y_{ko} = \sum_i x_{ki} W_{oi} + b_o , $$
#
# $k$는 표본(sample), $i$는 입력, $o$는 출력의 번호입니다. 손실(loss)이 $L$일 때 $dy = \partial L / \partial y$라고
# 합시다. 숫자마다 어디로 가는지 봅니다.
#
# - $W_{oi}$는 **모든** 표본 $k$에서 $x_{ki}$를 만납니다. 그래서 표본에 대해 더합니다.
#   $dW_{oi} = \sum_k dy_{ko}\, x_{ki}$, 곧 $dW = dy^\top x$입니다.
# - $b_o$는 모든 표본에 더해집니다. $db_o = \sum_k dy_{ko}$입니다.
# - $x_{ki}$는 모든 출력 $o$로 갑니다. $dx_{ki} = \sum_o dy_{ko} W_{oi}$, 곧 $dx = dy\, W$입니다.
#
# ### 직접 해 보기
#
# 세 식을 코드로 쓰세요. 모양은 좋은 길잡이지만 증명은 아닙니다. $W$가 정사각 행렬이면 틀린 식도 모양이 맞습니다.


# %%
def linear(x, W, b):
    return x @ W.T + b, (x, W)


def linear_backward(dy, cache):
    x, W = cache
    dx = dy @ W.T  # 직접 해 보기 (your turn): 셋 다 모양은 맞지만 틀렸습니다
    dW = x.T @ dy
    db = dy.mean(axis=0)
    return dx, dW, db


x, W, b = rng.normal(size=(6, 3)), rng.normal(size=(3, 3)), rng.normal(size=3)
report = md.gradcheck((linear, linear_backward), x, W, b)

# %% [markdown]
# <details><summary>답</summary>
#
# `dy @ W`, `dy.T @ x`, `dy.sum(axis=0)`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def linear_answer(dy, cache):
    x, W = cache
    return dy @ W, dy.T @ x, dy.sum(axis=0)


report = md.gradcheck((linear, linear_answer), x, W, b, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# ## 2. ReLU, 그리고 ReLU가 필요한 까닭
#
# 선형 층 두 개를 이으면 선형 층 하나와 같습니다. $(x W_1^\top) W_2^\top = x (W_2 W_1)^\top$이기 때문입니다.
# 어딘가에서 꺾여야 합니다. **ReLU**는 가장 단순하게 꺾인 함수, $y = \max(0, x)$입니다. 미분은 $x > 0$이면 1이고 그
# 밖에는 0이므로 다음과 같습니다.
#
# $$ dx = dy \cdot [x > 0] , $$
#
# 원소마다 계산하고, $[x > 0]$은 $x > 0$이면 1, 아니면 0입니다.
#
# ReLU가 있으면 신경망은 "그리고", "또는", "둘 가운데 하나만"을 나타낼 수 있습니다. 마지막 것을 XOR이라고 합니다. 선형
# 모델은 XOR을 나타낼 수 없습니다. 두 특성이 **함께 있어야만** 뜻을 가지기 때문입니다.

# %%
corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)
clicked = np.array([0.0, 1, 1, 0])
fig, ax = plt.subplots(figsize=(3.4, 3.2), layout="constrained")
for value, marker, name in ((0, "o", "no click"), (1, "s", "click")):
    ax.plot(*corners[clicked == value].T, marker, ms=12, label=name)
ax.set(xlabel="feature 1", ylabel="feature 2", title="XOR: no line separates them")
ax.legend(loc="center")
ax.margins(0.3)

# %% [markdown]
# ### 직접 해 보기
#
# ReLU의 역전파(backward pass)를 쓰세요. 빈칸의 코드는 엉뚱한 배열의 부호를 봅니다.


# %%
def relu(x):
    return np.maximum(x, 0), x


def relu_backward(dy, x):
    return dy * (dy > 0)  # 직접 해 보기 (your turn)


report = md.gradcheck((relu, relu_backward), np.random.default_rng(1).normal(size=(4, 3)))

# %% [markdown]
# <details><summary>답</summary>
#
# 순전파(forward pass)에서 잘린 자리로는 아무것도 돌아오지 않습니다: `dy * (x > 0)`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def relu_answer(dy, x):
    return dy * (x > 0)


some_x = np.random.default_rng(1).normal(size=(4, 3))
report = md.gradcheck((relu, relu_answer), some_x, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# ## 3. 손실은 로짓을 받습니다
#
# 클릭에는 확률이 있습니다. 신경망의 출력은 **로짓**(logit)이고, 어떤 수든 될 수 있습니다. 이것이 손실의 입력이므로
# 여기서는 $x$라고 부릅니다. 확률은 시그모이드(sigmoid) $\sigma(x) = 1 / (1 + e^{-x})$입니다. 정답(label) $y$는
# 클릭했으면 1, 아니면 0입니다. 표본 하나의 손실 $\ell$은 실제로 일어난 일의 확률에 로그를 취하고 부호를 바꾼
# 값입니다. (배치의 손실 $L$은 $\ell$의 평균입니다.)
#
# $$ \ell = -\left[ y \log \sigma(x) + (1 - y) \log (1 - \sigma(x)) \right] . $$
#
# 이대로 계산하면 탈이 납니다. 부동소수점에서 $\sigma(800)$은 1이고, $\log(1 - 1) = -\infty$이기 때문입니다.
# $-\log \sigma(x) = \log(1 + e^{-x})$이고 $-\log(1 - \sigma(x)) = x + \log(1 + e^{-x})$이므로, 손실은 다음과
# 같습니다.
#
# $$ \ell = (1 - y)\, x + \log(1 + e^{-x}) . $$
#
# 이제 1에서 빼는 일은 없습니다. 그래도 함정이 하나 남았습니다. $x = -800$이면 $e^{-x}$가 부동소수점으로 나타내기에는
# 너무 큽니다. $x < 0$이면 $e^{-x}$를 괄호 밖으로 꺼냅니다. $\log(1 + e^{-x}) = -x + \log(1 + e^{x})$입니다. 두 경우를
# 한 식으로 쓰면 어떤 $x$에서도 안전합니다.
#
# $$ \log(1 + e^{-x}) = \max(-x, 0) + \log(1 + e^{-|x|}) . $$
#
# 이제 미분합니다. $\frac{d}{dx} \log(1 + e^{-x}) = \frac{-e^{-x}}{1 + e^{-x}} = \sigma(x) - 1$이므로 다음과 같습니다.
#
# $$ \frac{d\ell}{dx} = (1 - y) + \sigma(x) - 1 = \sigma(x) - y . $$
#
# 이 강좌에서 가장 단순한 식입니다. **예측에서 실제를 뺀 값**입니다. $\sigma'$은 남아 있지 않습니다. 우리 모델이
# 로짓을 돌려주고 손실이 로짓을 받는 까닭이 이것입니다.

# %%
with np.errstate(divide="ignore"):
    print("log(1 - sigmoid(800)) =", np.log(1 - 1 / (1 + np.exp(-800.0))))
loss = md.BCEWithLogits()
print("the library's loss:    ", loss.forward(np.array([800.0]), np.array([0.0])))
print("its gradient:          ", loss.backward())

# %%
logits = np.linspace(-6, 6, 121)
fig, axes = plt.subplots(1, 2, figsize=(7.6, 3), layout="constrained")
for label, style in ((1.0, "-"), (0.0, "--")):
    axes[0].plot(
        logits, (1 - label) * logits + np.log1p(np.exp(-logits)), style, label=f"y = {label:.0f}"
    )
    axes[1].plot(logits, 1 / (1 + np.exp(-logits)) - label, style, label=f"y = {label:.0f}")
axes[0].set(xlabel="logit x", ylabel="loss (nats)", title="The loss")
axes[1].set(xlabel="logit x", ylabel="dl/dx", title="Its derivative: sigmoid(x) - y")
for ax in axes:
    ax.legend()
    ax.grid(alpha=0.3)

# %% [markdown]
# ### 직접 해 보기
#
# 어떤 로짓에서도 맞는 표본 하나의 손실을 써 보세요. 빈칸의 코드는 0 근처에서는 맞지만 $-800$에서는 무한대가 됩니다.
# 어느 `exp`가 너무 클까요?


# %%
def safe_loss(x, y):
    return (1 - y) * x + np.log1p(np.exp(-x))  # 직접 해 보기 (your turn)


def check_safe_loss(function):
    x, y = np.array([-800.0, -2.0, 3.0, 800.0]), np.array([1.0, 0.0, 1.0, 0.0])
    with np.errstate(over="ignore"):
        said = function(x, y)
    wanted = [md.BCEWithLogits().forward(x[k : k + 1], y[k : k + 1]) for k in range(4)]
    wrong = md.checking.difference(said, wanted, "loss")
    if wrong:
        tell("not yet: at the logits {x} with the labels {y}, {wrong}", x=x, y=y, wrong=wrong)
    else:
        tell("right: as the library")


check_safe_loss(safe_loss)

# %% [markdown]
# <details><summary>답</summary>
#
# `(1 - y) * x + np.maximum(-x, 0) + np.log1p(np.exp(-np.abs(x)))`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def safe_loss_answer(x, y):
    return (1 - y) * x + np.maximum(-x, 0) + np.log1p(np.exp(-np.abs(x)))


print("the answer:")
check_safe_loss(safe_loss_answer)

# %% [markdown]
# ## 4. 손으로 만든 신경망
#
# 층이 두 개이고 그 사이에 ReLU가 있습니다. $h = x W_1^\top + b_1$, $a = \max(0, h)$, 로짓 $= a W_2^\top + b_2$입니다.
# 역전파는 같은 길을 끝에서부터 거슬러 옵니다. 마지막 층이 $da$를 내놓고, ReLU가 그것을 $dh$로 바꾸고, 첫째 층이
# $dh$를 받습니다.
#
# ### 직접 해 보기
#
# 부품을 이어 보세요. 1절의 `linear_answer`는 선형 층의 기울기를 돌려줍니다. 빈칸의 코드는 ReLU를 빠뜨렸습니다.
# 보고서를 보면 $W_2$와 $b_2$는 맞고, 그 앞의 것은 모두 틀렸습니다.


# %%
def two_layers_backward(dy, x, h, a, W1, W2):
    da, dW2, db2 = linear_answer(dy, (a, W2))
    dh = da  # 직접 해 보기 (your turn): a와 h 사이에 ReLU가 있습니다
    _, dW1, db1 = linear_answer(dh, (x, W1))
    return dW1, db1, dW2, db2


def check_two_layers(function):
    def forward(W1, b1, W2, b2):
        h = x @ W1.T + b1  # (6, 4)
        a = np.maximum(h, 0)
        return a @ W2.T + b2, (x, h, a, W1, W2)

    draw = np.random.default_rng(1).normal
    arrays = [draw(size=shape) for shape in ((4, 3), (4,), (2, 4), (2,))]
    md.gradcheck((forward, lambda dy, cache: function(dy, *cache)), *arrays)


check_two_layers(two_layers_backward)

# %% [markdown]
# <details><summary>답</summary>
#
# `dh = da * (h > 0)`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def two_layers_backward_answer(dy, x, h, a, W1, W2):
    da, dW2, db2 = linear_answer(dy, (a, W2))
    dh = da * (h > 0)
    _, dW1, db1 = linear_answer(dh, (x, W1))
    return dW1, db1, dW2, db2


print("the answer:")
check_two_layers(two_layers_backward_answer)

# %% [markdown]
# 여기에 손실과 경사 하강법(gradient descent)만 있으면 XOR을 배울 수 있습니다.

# %%
W1, b1 = rng.normal(size=(8, 2)), np.zeros(8)
W2, b2 = rng.normal(size=(1, 8)), np.zeros(1)
losses = []
for _ in range(300):
    h = corners @ W1.T + b1  # (4, 8)
    a = np.maximum(h, 0)
    logit = (a @ W2.T + b2)[:, 0]  # (4,)
    losses.append(np.mean(safe_loss_answer(logit, clicked)))

    dlogit = (1 / (1 + np.exp(-logit)) - clicked) / 4  # 표본 네 개의 평균
    gradients = two_layers_backward_answer(dlogit[:, None], corners, h, a, W1, W2)
    for array, gradient in zip((W1, b1, W2, b2), gradients, strict=True):
        array -= 0.5 * gradient
print(f"loss: {losses[0]:.2f} at first, {losses[-1]:.3f} nats at last")
print("click probabilities:", (1 / (1 + np.exp(-logit))).round(2))

# %% [markdown]
# 라이브러리로도 해 봅시다. `md.MLP`는 `md.Linear`와 ReLU를 이어 놓은 것입니다. 우리의 가중치(weight)를 넣으면 우리와
# 같은 로짓이 나오고, 역전파에서도 같은 기울기가 나옵니다.

# %%
mlp = md.MLP([2, 8, 1], last_activation=False, dtype=np.float64, rng=np.random.default_rng(0))
names = ("layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias")
mlp.load_state_dict(dict(zip(names, (W1, b1, W2, b2), strict=True)))
a = np.maximum(corners @ W1.T + b1, 0)
print("forward: ", np.abs(mlp.forward(corners) - (a @ W2.T + b2)).max())
dy = rng.normal(size=(4, 1))
mlp.backward(dy)
_, dW1, _ = linear_answer((dy @ W2) * (a > 0), (corners, W1))
print("backward:", np.abs(mlp.layers[0].weight.grad - dW1).max())

# %% [markdown]
# ## 5. 신경망 협업 필터링
#
# 신경망 협업 필터링(neural collaborative filtering, NCF, He 등, 2017)은 이렇게 묻습니다. 사용자와 영화가 왜 꼭 곱으로
# 만나야 할까? MLP가 정하게 하자.
#
# 02장에서처럼 $p_u$는 사용자 $u$의 임베딩(embedding), $q_i$는 영화 $i$의 임베딩입니다.
#
# - **GMF**(generalized matrix factorization, 일반화 행렬 분해):
#   $\mathrm{logit} = w^\top (p_u \odot q_i) + b$. 원소끼리 곱하고($\odot$), 가중치의 벡터 $w$를 곱합니다.
#   인수(factor)마다 가중치가 하나씩 있습니다.
# - **MLP**: 두 벡터를 나란히 이어 신경망에 넣습니다.
# - **NeuMF**: 둘 다 씁니다. 임베딩은 따로따로 두고, 마지막 선형 층에서 합칩니다.
#
# 풀려는 문제도 다릅니다. "별이 몇 개일까?"가 아니라 "다음에 볼 영화는 무엇일까?"입니다. 사용자가 평점(rating)을 준
# 영화는 1이고, 무작위로 뽑은 다른 영화는 0입니다. 테스트할 때는 사용자마다 **마지막** 영화를, 보지 않은 영화 99편
# 사이에 숨깁니다. HR@10은 숨긴 영화가 백 편 가운데 열째 안에 드는 사용자의 비율입니다. 무작위로 고르면 0.10입니다.
# NDCG@10은 $k$째 자리에서 맞힌 것을 $1 / \log_2(k + 1)$로 셉니다. 첫째 자리면 1이고, 열째 자리면 0.29입니다.

# %%
folder = Path(os.environ.get("MINIDLRM_DATA", "")) / "ml-latest-small"


def planted_file(path):
    """Write ratings of 300 users, each with two of six tastes."""
    lines, movie = ["userId,movieId,rating,timestamp"], np.arange(240)
    for user in range(300):
        liked = movie[np.isin(movie % 6, rng.choice(6, 2, replace=False))]
        seen = rng.choice(liked, 25, replace=False)
        lines += [f"{user},{m},5,{1000 * user + k}" for k, m in enumerate(seen)]
    path.write_text("\n".join(lines))


if not folder.is_dir():
    import tempfile

    temporary = tempfile.TemporaryDirectory()
    folder = Path(temporary.name) / "planted tastes"
    folder.mkdir()
    planted_file(folder / "ratings.csv")
items = md.data.movielens_ranking(folder)
print(items.description)

# %%
from minidlrm.recipes import train_ncf  # 논문처럼 Adam을 쓰고, 0인 표본은 에폭마다 새로 뽑습니다

curves = {}
for name, model in (
    ("GMF", md.GMF(items.table_sizes, 8)),
    ("NeuMF", md.NeuMF(items.table_sizes, 8, mlp=(32, 16))),
):
    records = list(
        train_ncf(model, items, epochs=5 if len(items.train) > 50_000 else 50, progress=False)
    )
    curves[name] = [record["test_hit_rate"] for record in records]
    print(f"{name:6} HR@10 {curves[name][-1]:.3f}, NDCG@10 {records[-1]['test_ndcg']:.3f}")

# %%
fig, ax = plt.subplots(figsize=(6.0, 3.4), layout="constrained")
for (name, scores), style in zip(curves.items(), ("o--", "s-"), strict=True):
    ax.plot(range(1, len(scores) + 1), scores, style, label=name)
ax.axhline(0.1, color="0.4", ls=":", label="chance")
ax.set(xlabel="epoch", ylabel="HR@10 of the test movies", title="Which movie next?")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# MovieLens에서는 한 에폭(epoch)만에 둘 다 무작위를 크게 앞서고, NeuMF가 더 낫습니다. 만들어 낸 취향 데이터에서는
# GMF가 오랫동안 무작위 수준에 머무릅니다. $w^\top (p_u \odot q_i)$에서 인수 하나의 기울기는 다른 둘의 곱인데,
# 처음에는 셋 다 작기 때문입니다. NeuMF는 MLP를 거쳐서도 배울 수 있습니다. 그러다가 GMF가 따라붙기 시작합니다. 그러니
# 둘의 순서는 법칙이 아닙니다. Rendle 등(2020)은 똑같이 공들여 조정하면 단순한 내적(dot product)이 NeuMF를 이긴다는
# 것을 보였습니다.
#
# ### 직접 해 보기
#
# 점수에서 HR@10을 구해 보세요. 행 $u$에는 사용자 $u$에 대한 영화 100편의 점수가 있고, 0번 열이 숨긴 영화입니다. 더
# 높은 점수를 받은 다른 영화가 10편보다 적으면 맞힌 것입니다. 빈칸의 코드는 첫째 자리만 맞힌 것으로 칩니다.


# %%
def hit_rate(scores):
    return np.mean(scores[:, 0] > scores[:, 1:].max(axis=1))  # 직접 해 보기 (your turn)


def check_hits(function):
    scores = np.random.default_rng(1).normal(size=(1000, 100))
    scores[:, 0] += 1.5
    higher = np.sort(scores[:, 1:])[:, -10] > scores[:, 0]  # 다른 영화 가운데 열째가 더 높습니다
    wanted, said = 1 - higher.mean(), function(scores)
    text = say(
        "you say {said:.3f}, it should be {wanted:.3f}: the hidden movie may have up to 9 above it",
        said=said,
        wanted=wanted,
    )
    tell("right" if abs(said - wanted) < 1e-12 else "not yet: {text}", text=text)


check_hits(hit_rate)

# %% [markdown]
# <details><summary>답</summary>
#
# 더 높은 것의 수를 셉니다: `np.mean((scores[:, 1:] > scores[:, :1]).sum(axis=1) < 10)`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def hit_rate_answer(scores):
    return np.mean((scores[:, 1:] > scores[:, :1]).sum(axis=1) < 10)


print("the answer:")
check_hits(hit_rate_answer)

# %% [markdown]
# ### 답을 아는 경우
#
# NeuMF의 MLP 부분이 0이면 NeuMF는 *바로* GMF입니다.

# %%
gmf, neumf = md.GMF([9, 7], 4), md.NeuMF([9, 7], 4, mlp=(8, 4))
state = {name: np.zeros_like(value) for name, value in neumf.state_dict().items()}
state["gmf_tables.weight"] = gmf.tables.weight.value
state["last.weight"] = np.concatenate([gmf.last.weight.value, np.zeros((1, 4), np.float32)], axis=1)
state["last.bias"] = gmf.last.bias.value
neumf.load_state_dict(state)
pairs = np.stack([rng.integers(0, 9, 5), rng.integers(0, 7, 5)], axis=1)
rows = md.data.Batch(np.zeros((5, 0), np.float32), pairs)
print("largest difference:", np.abs(gmf.forward(rows) - neumf.forward(rows)).max())

# %% [markdown]
# ## 6. 옳은 모델이 인기 순위에 지는 까닭
#
# 영화 백 편은 표본일 뿐입니다. 추천 모델은 *모든* 영화의 순위를 매깁니다. 그리고 가장 단순한 추천, 곧 평점을 가장
# 많이 받은 영화의 목록보다는 나아야 합니다. 정말 나은지는 작은 것 하나에 달려 있습니다. 모델은 사용자가 **평점을 준**
# 영화를 맨 위에 놓도록 학습되었습니다. 이 영화들을 목록에 그대로 두면 이것들이 앞자리를 차지하고, 숨긴 영화는 그
# 자리에 올 수 없습니다.
#
# 만들어 낸 사용자로 살펴봅시다. 사용자마다 여섯 가지 취향 가운데 두 가지를 좋아하고, 몇몇 영화는 누구에게나 인기가
# 있습니다. 사용자마다 영화를 하나씩 숨깁니다.

# %%
rng, num_users, num_items = np.random.default_rng(4), 300, 240
popular = 1 / (rng.permutation(num_items) + 5.0)
films = np.empty((num_users, 31), int)
for user in range(num_users):
    liked = np.isin(np.arange(num_items) % 6, rng.choice(6, 2, replace=False))
    weight = popular * np.where(liked, 20, 1)
    films[user] = rng.permutation(rng.choice(num_items, 31, False, weight / weight.sum()))
hidden = np.stack([np.arange(num_users), films[:, -1]], axis=1)
rated = np.stack([np.repeat(np.arange(num_users), 30), films[:, :-1].ravel()], axis=1)

# %%
tastes = md.FactorizationMachine(0, [num_users, num_items], 16, seed=0)
adam = md.Adam(0.01)
for epoch in range(20):
    others = np.stack([np.repeat(rated[:, 0], 4), rng.integers(0, num_items, 4 * len(rated))], 1)
    keys = [pairs[:, 0] * num_items + pairs[:, 1] for pairs in (others, rated)]
    others = others[~np.isin(*keys)]  # 평점을 준 영화는 0인 표본이 될 수 없습니다
    label = np.r_[np.ones(len(rated)), np.zeros(len(others))]
    rows = md.Batch(np.zeros((len(label), 0)), np.concatenate([rated, others]), label)
    md.fit(tastes, rows, optimizer=adam, batch_size=512, seed=epoch, progress=False)

# %%
right = md.rank_metrics(tastes, hidden, rated, k=10, split="a random movie of each user")
right

# %% [markdown]
# 모델이 인기 순위보다 낫고, 마지막 열의 구간에는 0이 들어 있지 않습니다. 이제 규칙을 어겨 봅시다. 평점을 준 영화의
# 순위도 함께 매깁니다. 모델도 같고 사용자도 같은데 이기는 쪽이 바뀝니다. 까닭은 `rank_metrics`가 알려 줍니다.

# %%
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # 결과에도 들어 있습니다
    wrong = md.rank_metrics(tastes, hidden, rated, k=10, seen="in")
for name, result in (("left out", right), ("ranked", wrong)):
    hits = {ranker: result.values[ranker]["hit_rate"] for ranker in ("model", "popularity")}
    print(f"rated movies {name:8} HR@10 " + ", ".join(f"{r} {h:.3f}" for r, h in hits.items()))
print(*wrong.mistakes, sep="\n")

# %%
fig, ax = plt.subplots(figsize=(5.4, 3.0), layout="constrained")
for k, ranker in enumerate(("model", "popularity")):
    heights = [result.values[ranker]["hit_rate"] for result in (right, wrong)]
    ax.bar(np.arange(2) + 0.35 * k, heights, 0.35, label=ranker)
ax.set_xticks(np.arange(2) + 0.17, ["rated left out", "rated ranked"])
ax.set(ylabel="HR@10", title="The protocol decides who wins")
ax.legend()

# %% [markdown]
# ### 직접 해 보기
#
# 사용자의 추천 목록을 만들어 보세요. 아직 평점을 주지 않은 영화 가운데 점수가 가장 높은 열 편입니다. 빈칸의 코드는
# "아직 평점을 주지 않은"이라는 조건을 잊었습니다. `scores` (I,)에는 영화마다 점수가 있고, `seen`은 평점을 준 영화의
# 아이디(id)입니다. 점수가 같으면 아이디가 작은 것이 먼저입니다.


# %%
def check_best(function):
    draw = np.random.default_rng(2)
    scores, seen = draw.normal(size=60).round(1), draw.permutation(60)[:30]
    before = scores.copy()
    said = np.asarray(function(scores, seen))
    free = np.setdiff1d(np.arange(60), seen)
    wanted = free[np.argsort(-before[free], kind="stable")[:10]]
    if np.isin(said, seen).any():
        tell(
            "not yet: movie {said} is in the list, and she has rated it",
            said=said[np.isin(said, seen)][0],
        )
    elif said.shape != (10,) or (said != wanted).any():
        tell(
            "not yet: the list is {said}, and should be {wanted}",
            said=said.tolist(),
            wanted=wanted.tolist(),
        )
    elif (scores != before).any():
        tell("not yet: the list is right, but your function has changed the scores")
    else:
        tell("right")


# %%
def best_ten(scores, seen):
    return np.argsort(-scores, kind="stable")[:10]  # 직접 해 보기 (your turn)


check_best(best_ten)

# %% [markdown]
# <details><summary>답</summary>
#
# 점수를 복사하고, 평점을 준 영화에 이길 수 없는 점수를 줍니다. `free = scores.copy()`, `free[seen] = -np.inf`,
# 그다음에 정렬합니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def best_ten_answer(scores, seen):
    free = scores.copy()
    free[seen] = -np.inf
    return np.argsort(-free, kind="stable")[:10]


print("the answer:")
check_best(best_ten_answer)

# %% [markdown]
# ## 7. 이 장의 박물관
#
# 신경망을 둘러싼 잘못 세 가지입니다. 찾아보고, 그다음에 아래 셀(cell)을 실행하세요.

# %%
from minidlrm.checking import museum

bugs = museum.exhibits("FusedMaskForgotten", "SigmoidTwice", "BiasBroadcast")
museum.show(bugs)

# %%
museum.explain(bugs)

# %% [markdown]
# 학습이 되는 것은 어느 것일까요? 둘은 층이고 하나는 손실입니다. 하나씩 MLP에 넣고 합성 클릭 데이터로 학습합니다.

# %%
clicks = md.data.synthetic_clicks(40_000, seed=0, num_tables=8, order=1)


def curve_of(part):
    model = md.MLPModel(13, clicks.table_sizes, 8, mlp=(32, 16), seed=0)
    for _, module in model.named_modules():
        if type(module) is md.Linear and issubclass(part, md.Linear):
            module.__class__ = part
    loss = part() if issubclass(part, md.BCEWithLogits) else md.BCEWithLogits()
    options = {"optimizer": md.SGD(lr=0.05), "epochs": 3, "batch_size": 256, "eval_every": 48}
    history = md.fit(model, clicks.train, clicks.valid, loss=loss, progress=False, **options)
    return history.column("epoch"), history.column("valid_log_loss")


# %%
parts = {"right": md.BCEWithLogits} | {bug.cls.__name__: bug.cls for bug in bugs}
fig, ax = plt.subplots(figsize=(6.0, 3.6), layout="constrained")
for (name, part), style in zip(parts.items(), ("-", "--", "-.", ":"), strict=True):
    ax.plot(*curve_of(part), style, label=name)
ax.axhline(md.metrics.entropy(clicks.valid.label), color="0.5", lw=1, label="mean rate for all")
ax.set(xlabel="epoch", ylabel="validation log loss (nats)", title="Which of them train?")
ax.legend(fontsize="small")
ax.grid(alpha=0.3)

# %% [markdown]
# 모두 학습이 됩니다. 틀린 것 가운데 둘은 옳은 것보다 오히려 *앞섭니다*. 기울기가 너무 큰데, 이 학습률(learning
# rate)에서는 그것이 마침 도움이 되기 때문입니다. 곡선을 보아서는 기울기가 옳은지 알 수 없습니다.
#
# `SigmoidTwice`는 기울기마다 $\sigma (1 - \sigma) \leq \frac14$을 곱합니다. 부호는 맞지만 크기가 틀립니다. 배우기는
# 하지만 느립니다. 신경망이 자신 있게 틀린 곳에서는 거의 배우지 못합니다.
#
# ## 기억할 것
#
# 1. 선형 층에서는 $dW = dy^\top x$이고, 표본에 대해 더하여 $db = \sum_k dy_k$이고, $dx = dy\, W$입니다.
# 2. ReLU는 $x > 0$인 곳에서 기울기를 통과시킵니다.
# 3. 로짓에 대한 로그 손실: $d\ell / dx = \sigma(x) - y$이고, 로짓이 아무리 커도 안전합니다.
# 4. NCF는 곱 대신에, 또는 곱과 함께 MLP를 씁니다.
# 5. 사용자가 이미 본 것은 실제로 추천할 때나 테스트할 때나 목록에서 뺍니다. 모델을 잴 때는 인기 순위도 함께 잽니다.
#
# 다음: 05장, DLRM. 임베딩과 곱과 MLP를 하나로 묶습니다.
