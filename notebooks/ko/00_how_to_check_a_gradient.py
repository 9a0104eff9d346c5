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
# # 00 · 기울기를 검사하는 법
#
# [![Colab에서 열기](../colab.svg)](https://colab.research.google.com/github/)
#
# [English](../00_how_to_check_a_gradient.ipynb) · [튜토리얼 안내](README.md) · [용어집](glossary.md)
#
# 역전파(backward pass)는 누군가 식을 유도하고 누군가 그것을 코드로 옮긴 것입니다. 유도도 틀릴 수 있고, 옮기는 일도
# 틀릴 수 있습니다. 기울기(gradient)가 틀려도 프로그램은 좀처럼 멈추지 않습니다. 손실(loss)은 여전히 줄어듭니다. 다만
# 덜 줄어들 뿐입니다. 그래서 이 강좌에서는 모든 기울기를 *검사*합니다. 이 장에서 그 방법을 배웁니다.
#
# NumPy와 일변수 함수의 미분만 알면 됩니다. 읽는 시간은 약 55분입니다.
#
# **이 장을 마치면** 열 줄로 된 기울기 검사기(checker)를 직접 만들게 됩니다. 그것만으로는 부족한 까닭도 알게 되고,
# 찾은 잘못을 설명해 주는 `md.gradcheck`도 쓸 수 있게 됩니다.
#
# 노트북의 검사와 `md.gradcheck`의 보고서를 한국어로 보려면 노트북을 열기 전에 환경 변수 `MINIDLRM_LANG`을 `ko`로
# 정하세요. 컴퓨터의 언어가 한국어이면 그대로 두어도 됩니다. 보고서의 "ok"는 통과했다는 뜻이고, "FAILED"는 틀린 곳이
# 있다는 뜻입니다. 그림의 글자와 셀이 직접 출력하는 글은 영어입니다.

# %%
# Colab처럼 minidlrm이 설치되지 않은 곳에서는 먼저 설치합니다.
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
# ## 1. 차분으로 미분 구하기
#
# $x$에서 $f$의 미분은 $h$가 0으로 갈 때 $\frac{f(x+h) - f(x-h)}{2h}$의 극한입니다. 컴퓨터에서는 $h$를 한없이 줄일 수
# 없습니다.
#
# - $h$가 크면 **절단 오차**(truncation error)가 생깁니다. 테일러 공식에 따르면 대략 $\frac{h^2}{6} f'''(x)$입니다.
# - $h$가 작으면 **반올림 오차**(rounding error)가 생깁니다. $f$의 값에는 그 크기의
#   $\varepsilon = 2\cdot 10^{-16}$배쯤 되는 오차가 있는데, 차분은 이것을 $2h$로 나누기 때문입니다.
#
# 둘을 합하면 대략 $h^2 + \varepsilon / h$입니다. 두 오차의 크기가 같아지는 곳, 곧
# $h = \sqrt[3]{\varepsilon} \approx 6\cdot 10^{-6}$ 근처에서 합이 가장 작습니다. 그림으로 확인해 봅시다.


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
# ### 복소 스텝: 스텝의 크기를 고를 필요가 없습니다
#
# 테일러 공식에 $x + ih$를 넣어 봅시다. $f(x + ih) = f(x) + i h f'(x) - \frac{h^2}{2} f''(x) - \dots$입니다. 허수부는
# $h f'(x)$이고, 나머지는 $h^3$ 크기입니다. 게다가 **빼기가 없습니다**. 그래서 $h$를 $10^{-20}$까지 줄여도 됩니다.
# 그러면 나머지는 사라지고, 미분은 마지막 자리까지 맞습니다. 이 방법을 복소 스텝(complex step)이라고 합니다.
#
# $$f'(x) \approx \frac{\operatorname{Im} f(x + ih)}{h}$$
#
# (여기서 $i = \sqrt{-1}$입니다.) 이 방법은 복소수로도 돌아가는 코드에만 쓸 수 있습니다. NumPy의 `exp`, `log`, 곱과
# 합은 복소수를 받지만, `abs`에서는 허수부가 사라집니다.


# %%
def complex_step(f, x, h=1e-20):
    return np.imag(f(x + 1j * h)) / h


print(f"central difference: {error_of(lambda x: central(np.exp, x, 6e-6)):.1e}")
print(f"complex step:       {error_of(lambda x: complex_step(np.exp, x)):.1e}")

# %% [markdown]
# ### 직접 해 보기
#
# 리처드슨(Richardson)의 방법입니다. 중심 차분(central difference) $c(h)$의 오차는 어떤 수 $a$에 대해 거의
# $a h^2$입니다. 그래서 $c(h/2)$의 오차는 그 4분의 1입니다. 두 값을 잘 결합하면 오차가 거의 없어집니다. 그 결합을
# 찾아보세요. 빈칸의 코드는 둘의 평균을 냅니다.


# %%
def richardson(f, x, h=1e-2):
    first, second = central(f, x, h), central(f, x, h / 2)
    return (first + second) / 2  # 직접 해 보기 (your turn)


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
# <details><summary>답</summary>
#
# $c(h) - a h^2 = c(h/2) - a h^2 / 4$이므로, 오차를 없앤 값은 `(4 * second - first) / 3`입니다. `gradcheck`도 코드가
# 복소수로 돌아가지 않을 때 이 방법을 씁니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def richardson_answer(f, x, h=1e-2):
    first, second = central(f, x, h), central(f, x, h / 2)
    return (4 * second - first) / 3


print("the answer:")
check_richardson(richardson_answer)

# %% [markdown]
# ## 2. 숫자 하나에서 층으로
#
# 층(layer)은 배열 $x$를 배열 $y$로 바꿉니다. 그 뒤에 오는 계산은 $y$를 숫자 하나, 곧 손실 $L$로 바꿉니다. 학습은 이
# 손실을 줄이는 일입니다. 층의 역전파는 위에서 들어오는 기울기 $dy = \partial L / \partial y$를 받아
# $dx = \partial L / \partial x$를 돌려주어야 합니다. $dy$에는 $y$의 원소마다, $dx$에는 $x$의 원소마다 값이 하나씩
# 있습니다.
#
# 층 하나만 따로 검사하려면 $L$을 우리가 정해야 합니다. 출력마다 고정된 수 $r$을 하나씩 고르고, 다음과 같이 둡니다.
#
# $$L = \sum_k r_k\, y_k .$$
#
# 그러면 $\partial L / \partial y_k = r_k$입니다. 들어오는 기울기가 바로 $r$입니다. 따라서 `backward(r)`은 $L$을 각
# 원소로 미분한 값과 원소마다 같아야 합니다. 아래가 검사기의 전부입니다.


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
# 시그모이드(sigmoid) $y = 1 / (1 + e^{-x})$로 시험해 봅시다. 이 함수의 미분은 $y (1 - y)$입니다.

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
# ### r이 무작위여야 하는 까닭
#
# $L = \sum_k y_k$로, 곧 $r = 1$로 두고 싶어집니다. 실제로 많은 검사기가 그렇게 합니다. 하지만 **`dy`를 빠뜨린**
# 역전파를 보세요.


# %%
def forgets_dy(dy):
    y = sigmoid(x)
    return y * (1 - y)


ones = np.ones_like(x)
print(f"with r = 1:       {check(sigmoid, forgets_dy, x, ones):.1e}   <- passes")
print(f"with random r:    {check(sigmoid, forgets_dy, x, r):.1e}   <- caught")

# %% [markdown]
# 함정이 하나 더 있습니다. 우리도 여기에 빠진 적이 있습니다. $r$을 $x$와 같은 난수열에서(같은 시드로!) 뽑고 모양까지
# 같으면 $r = x$가 됩니다. 선형 층(linear layer) $y = x W^\top$에서는 $dW = r^\top x$인데(04장에서 유도합니다), 이것이
# $x^\top x$가 되어 대칭 행렬이 됩니다. 그러면 $dW$를 전치(transpose)해 버린 실수가 검사를 통과합니다.
# `md.gradcheck`는 $r$을 따로 둔 난수열에서 뽑습니다.
#
# ### 직접 해 보기
#
# $y = \tanh(x)$의 역전파를 유도하세요. 미분은 $1 - y^2$입니다. 빈칸의 코드는 제곱을 빠뜨렸습니다. 방금 만든 검사기에
# 물어보세요.


# %%
def tanh_backward(dy):
    y = np.tanh(x)
    return dy * (1 - y)  # 직접 해 보기 (your turn)


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
# <details><summary>답</summary>
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
# ## 3. `md.gradcheck`로 같은 일 하기
#
# `md.gradcheck`는 함수 한 쌍, 층, 손실, 또는 모델 전체를 받습니다. `forward`는 `(y, cache)`를 돌려주어도 됩니다.
# 그러면 `backward`가 `(dy, cache)`를 받습니다.


# %%
def affine(x, W, b):
    return x @ W.T + b, (x, W)


def affine_backward(dy, cache):
    x, W = cache
    return dy @ W, dy.T @ x, dy.sum(axis=0)


W, b = rng.normal(size=(2, 3)), rng.normal(size=2)
report = md.gradcheck((affine, affine_backward), x, W, b)

# %% [markdown]
# 한 줄이 배열 하나입니다. 오차가 $10^{-15}$에 가까운 것은 `gradcheck`가 이 코드가 복소수로 돌아간다는 것을 알아냈기
# 때문입니다. `gradcheck`는 차분이 필요 없는 규칙도 검사합니다. 역전파는 `dy`에 대해 선형입니다. `backward(0)`은
# 0이고, 합의 역전파는 역전파의 합입니다. 그리고 역전파는 입력을 바꾸어서는 안 됩니다.
#
# 이번에는 가르치는 사람이라면 누구나 본 적이 있는 실수입니다. 배치(batch)에 대한 합을 내야 할 자리에 평균을 냈습니다.


# %%
def mean_for_sum(dy, cache):
    x, W = cache
    return dy @ W, dy.T @ x / len(x), dy.mean(axis=0)


report = md.gradcheck((affine, mean_for_sum), x, W, b)

# %% [markdown]
# 검사기는 *틀렸다*고만 말하지 않습니다. 어떤 실수로 보이는지도 말해 줍니다. 두 기울기를 두 축에 놓고 그려 보세요.
# 모든 점이 0을 지나는 한 직선 위에 있는데 그 직선이 대각선이 아니라면, 상수 인수가 틀린 것입니다.

# %%
_ = report.plot("W")

# %% [markdown]
# ### 직접 해 보기
#
# $y = x \odot x \odot v$(원소끼리 곱합니다)의 역전파를 $x$와 $v$에 대해 유도하세요. 점 세 개가 있는 자리에 식을 쓰고
# 셀(cell)을 실행합니다. 무엇이 틀렸는지는 검사기가 알려 줍니다.


# %%
def square_forward(x, v):
    return x * x * v, (x, v)


def square_backward(dy, cache):
    x, v = cache
    dx = ...  # 직접 해 보기 (your turn)
    dv = ...  # 직접 해 보기 (your turn)
    return dx, dv


report = md.gradcheck((square_forward, square_backward), x, rng.normal(size=(4, 3)))

# %% [markdown]
# <details><summary>답</summary>
#
# $y = x^2 v$이므로 $\partial y / \partial x = 2 x v$이고 $\partial y / \partial v = x^2$입니다. 코드는 다음 셀에
# 있습니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def square_answer(dy, cache):
    x, v = cache
    return 2 * dy * x * v, dy * x * x


report = md.gradcheck((square_forward, square_answer), x, rng.normal(size=(4, 3)), verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# ## 4. 꺾인 점
#
# ReLU, 곧 $y = \max(0, x)$는 0에서 미분할 수 없습니다. 이 꺾인 점(kink)을 사이에 두고 차분을 구하면 양쪽의 미분이
# 섞여서 아무 뜻도 없는 값이 나옵니다. 검사기는 이것을 알아차리고 그 원소를 빼 두어야 합니다. 꺾인 점 때문에 옳은
# 기울기를 틀렸다고 해서는 안 됩니다. 그리고 함수만 보고 판단해야 합니다. 기울기까지 보고 판단한다면 틀린 기울기를
# 감출 수도 있습니다.

# %%
x_corner = np.array([-1.0, 0.0, 1e-7, 0.5, 2.0])
relu = (lambda x: np.maximum(x, 0) + 0.0, lambda dy: dy * (x_corner > 0))
report = md.gradcheck(relu, x_corner, method="richardson")

# %% [markdown]
# 원소 두 개를 꺾인 점으로 세어 빼 두었습니다. 하나는 0이고, 다른 하나는 $10^{-7}$입니다. 뒤의 것은 꺾인 점까지의
# 거리가 가장 작은 스텝보다도 짧습니다. 복소 스텝(`method="auto"`)을 쓰면 0만 꺾인 점입니다.
#
# ### 직접 해 보기
#
# Leaky ReLU는 음수 쪽도 10분의 1만큼 통과시킵니다. $x > 0$이면 $y = x$이고, 그 밖에는 $y = x / 10$입니다. 빈칸의
# 코드는 엉뚱한 배열의 부호를 봅니다.


# %%
def leaky(x):
    return np.where(x > 0, x, 0.1 * x), x


def leaky_backward(dy, x):
    return dy * np.where(dy > 0, 1, 0.1)  # 직접 해 보기 (your turn)


report = md.gradcheck((leaky, leaky_backward), x_corner, method="richardson")

# %% [markdown]
# <details><summary>답</summary>
#
# 미분은 1 아니면 0.1입니다: `dy * np.where(x > 0, 1, 0.1)`
#
# 원소가 적으면 빈칸의 코드가 우연히 맞는 값을 낼 수도 있습니다. 그래도 3절의 규칙, 곧 `dy`에 대한 선형성이 잘못을
# 잡아냅니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def leaky_answer(dy, x):
    return dy * np.where(x > 0, 1, 0.1)


report = md.gradcheck((leaky, leaky_answer), x_corner, method="richardson", verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# ## 5. 겹치는 아이디
#
# 임베딩 테이블(embedding table)은 아이디(id)마다 행이 하나씩 있는 행렬 $W$이고, 행을 찾는 일은 `W[ids]`입니다. 한
# 아이디가 두 번 나오면 그 행은 기울기를 **두 번** 받고, 둘을 더해야 합니다. 바로 여기에 NumPy의 함정이 있습니다.

# %%
ids = np.array([5, 2, 5])
grad = np.zeros(8)
grad[ids] += 1.0
print("grad[ids] += 1      row 5 has", grad[5])

grad = np.zeros(8)
np.add.at(grad, ids, 1.0)
print("np.add.at(grad, ...) row 5 has", grad[5])

# %% [markdown]
# `grad[ids] += 1`은 `grad[ids] = grad[ids] + 1`이라는 뜻입니다. 오른쪽은 먼저 **버퍼**(buffer)에 계산됩니다. 버퍼에는
# 자리마다 1이 들어 있습니다. 그다음 버퍼를 되돌려 쓰는데, 5번 행에는 두 번 쓰게 되므로 마지막에 쓴 값만 남습니다.
# 스레드(thread)와는 아무 관계가 없습니다.
#
# 무작위 아이디로 시험하면 이 잘못을 찾을 수 있을까요? 두 아이디가 우연히 같을 때만 찾을 수 있습니다.

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
# 행이 2,000개인 테이블이라면 이런 시험은 일곱 번 가운데 여섯 번쯤 잘못을 놓칩니다. 그래서 층이나 모델을 검사할 때
# `gradcheck`는 운에 맡기지 않습니다. 아이디를 바꾸어 백(bag) 안에서도, 백과 백 사이에서도 겹치게 하고, 첫 아이디와
# 마지막 아이디도 나오게 합니다. (함수 한 쌍을 검사할 때는, 서로 다른 아이디로만 된 목록마다 아이디 하나를 겹치게
# 합니다.)

# %%
from minidlrm.checking.bugs.embedding import LastWriteWins

table = LastWriteWins([2000], embedding_dim=3, rng=rng)
distinct = np.array([[11], [500], [42], [7], [1234], [99], [3], [640]])
report = md.gradcheck(table, distinct)

# %% [markdown]
# ### 직접 해 보기
#
# 행 찾기입니다. 표본(sample) $b$의 아이디는 $v_b$이고, 출력은 그 아이디의 행 $y_b = W_{v_b}$입니다. 빈칸의 코드는
# 겹친 아이디의 기울기를 잃어버립니다. 고친 뒤에 검사기에 물어보세요.


# %%
def look_up(W, v):
    return W[v], (W, v)


def look_up_backward(dy, cache):
    W, v = cache
    dW = np.zeros_like(W)
    dW[v] = dy  # 직접 해 보기 (your turn)
    return dW


report = md.gradcheck((look_up, look_up_backward), rng.normal(size=(5, 2)), np.array([1, 3, 1, 4]))

# %% [markdown]
# <details><summary>답</summary>
#
# 행을 한 번 쓸 때마다 그 행의 기울기에 더해야 합니다: `np.add.at(dW, v, dy)`.
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
# ## 6. 버그 박물관
#
# `minidlrm.checking.bugs`는 옳아 보이지만 틀린 역전파를 모은 박물관(museum)입니다. 그 가운데 몇 가지는 학습까지
# 됩니다. 여기서는 DLRM의 상호작용(interaction), 곧 모든 벡터 쌍의 내적(dot product)을 잘못 유도한 세 가지를 봅니다.
# $i > j$인 자리 $i$와 $j$에 대해 $y_{ij} = \langle z_i, z_j \rangle = \sum_d z_{id} z_{jd}$입니다. (05장에서
# 유도합니다. `_as_matrix`는 `dy`를 정사각 행렬 $G$의 주어진 자리에 써넣습니다. 옳은 답은 $G$의 대각선 아래를 채웠을
# 때 $(G + G^\top) z$입니다.) **아래 셀을 실행하기 전에 잘못을 하나하나 찾아보세요.**

# %%
from minidlrm.checking import museum

bugs = museum.exhibits("UpperForLower", "OneTriangle", "PairsAveraged")
museum.show(bugs)

# %%
museum.explain(bugs)

# %% [markdown]
# ### 그래도 "학습"이 되는 것은 어느 것일까?
#
# 하나씩 작은 DLRM에 넣고 합성 클릭 데이터로 학습해 봅시다. 학습으로 줄이려는 것은 *로그 손실*(log loss)입니다. 모델은
# 실제로 일어난 일에도 어떤 확률을 매겼습니다. 로그 손실은 $-\log$(그 확률)의 평균입니다. 자연로그를 쓰므로 단위는
# *내트*(nat)입니다. 작을수록 좋습니다.

# %%
clicks = md.data.synthetic_clicks(20_000, seed=0)


def curve_of(layer):
    model = md.DLRM(13, clicks.table_sizes, 8, (16,), (32,), seed=0)
    model.interaction.__class__ = layer  # 같은 층이고, 역전파만 이것으로 바꿉니다
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
# 네 곡선이 모두 내려갑니다. 틀린 것 가운데 둘은 옳은 것과 똑같아 보입니다. (Adagrad는 기울기를 평소 크기로 나눕니다.
# 그래서 상수 인수가 틀려도 거의 티가 나지 않습니다. SGD였다면 달랐을 것입니다.) `UpperForLower`는 일찍부터 나아지지
# 않습니다. 검사하지 않았다면 데이터나 학습률(learning rate), 심지어 날씨에서 원인을 찾았을 것입니다.
#
# ### 직접 해 보기
#
# 행렬을 쓰지 않고 옳은 코드를 써 보세요. 쌍에 번호를 붙입니다. 쌍 $p$는 $(i, j)$이고
# $y_p = \langle z_i, z_j \rangle$입니다. $z_i$로 미분하면 $z_j$이고, $z_j$로 미분하면 $z_i$입니다. 그래서 쌍 하나는
# **두** 벡터의 기울기에 더해집니다. $dz_i$에는 $dy_p\, z_j$를, $dz_j$에는 $dy_p\, z_i$를 더합니다. 표본이 $B$개이고
# 표본마다 크기 $D$인 벡터가 $F$개 있는 배치에는 쌍이 $P = F (F - 1) / 2$개 있습니다.


# %%
def pairs_forward(z):
    i, j = np.tril_indices(z.shape[1], -1)  # 쌍 p는 (i[p], j[p])
    return (z[:, i] * z[:, j]).sum(axis=2), z  # (B, P)


def pairs_backward(dy, z):
    i, j = np.tril_indices(z.shape[1], -1)
    dz = np.zeros_like(z)  # (B, F, D)
    for p in range(len(i)):
        pass  # 직접 해 보기 (your turn): 모든 표본에서 쌍 하나가 두 벡터에 더해집니다
    return dz


z = rng.normal(size=(5, 4, 3))  # (B, F, D)
report = md.gradcheck((pairs_forward, pairs_backward), z)

# %% [markdown]
# <details><summary>답</summary>
#
# 반복문 안에 두 줄을 쓰면 됩니다. 다음 셀에 있습니다. 반복문 없이 `dz[:, i] += dy[:, :, None] * z[:, j]`라고 쓰면, 한
# 벡터가 여러 쌍에 나오는데도 마지막 것만 남습니다. 5절과 같은 잘못입니다. 직접 해 보고 진단을 읽어 보세요.
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
# 라이브러리의 층은 정사각 행렬로 계산합니다. 결과는 같습니다.

# %%
layer = md.DotInteraction(4, 3)
print("forward: ", np.abs(layer.forward(z) - pairs_forward(z)[0]).max())
dy = rng.normal(size=(5, 6))
print("backward:", np.abs(layer.backward(dy) - pairs_answer(dy, z)).max())

# %% [markdown]
# ## 7. float32
#
# float32의 유효 숫자는 일곱 자리입니다. $h = 6\cdot 10^{-6}$로 차분을 구하면 한두 자리밖에 남지 않습니다.
# `gradcheck`는 *여러분의* 코드는 float32로 실행하고, 비교할 수치 미분은 float64로 구합니다. 허용 오차는 일곱 자리에
# 맞게 정합니다.

# %%
x32 = rng.normal(size=(4, 3)).astype(np.float32)
pair = (lambda x: (np.tanh(x), x), lambda dy, x: dy * (1 - np.tanh(x) ** 2))
report = md.gradcheck(pair, x32)

# %% [markdown]
# ### 직접 해 보기
#
# 여러분이 만든 검사기도 그렇게 하도록 고쳐 보세요. `backward`는 학습할 때처럼 float32로 실행해야 합니다. 차분과,
# 차분을 구하려고 부르는 `forward`에는 float64가 필요합니다. 빈칸의 코드는 둘 다 float32로 실행합니다.


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
    return check(forward, backward, x, r)  # 직접 해 보기 (your turn): x와 r은 float32로 들어옵니다


check_check32(check32)

# %% [markdown]
# <details><summary>답</summary>
#
# 먼저 `backward`를 부릅니다. 그다음 $x$를 float64로 복사한 배열과, 이미 구한 기울기를 `check`에 넘깁니다. 처음부터
# 끝까지 float32를 쓰면 0.1%의 잘못은 반올림 오차에 묻힙니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def check32_answer(forward, backward, x, r):
    analytic = backward(r)
    return check(forward, lambda _: analytic, x.astype(np.float64), r.astype(np.float64))


print("the answer:")
check_check32(check32_answer)

# %% [markdown]
# ## 8. 모델 전체
#
# 모델도 층처럼 검사합니다. float64로 복사한 모델에서 매개변수(parameter)를 하나씩, 겹치는 아이디로 검사합니다. 숫자
# 하나를 움직일 때마다 순전파(forward pass)를 한 번이나 두 번 합니다.

# %%
model = md.DLRM(13, clicks.table_sizes, embedding_dim=7, bottom_mlp=(16,), top_mlp=(12,))
report = md.gradcheck(model, clicks.train[:6])

# %% [markdown]
# 모델이 검사에서 떨어지면 가장 좋은 단서는 보고서의 *어느* 줄이 떨어졌는가입니다. 기울기는 손실에서 입력 쪽으로
# 거슬러 옵니다. 그러니 잘못은 맞은 배열과 틀린 배열 사이에 있습니다.
#
# ### 직접 해 보기
#
# 아주 작은 추천 모델입니다. 밀집 특성(dense feature) $x$는 벡터 $h = x W^\top$가 되고, 아이디는 테이블 $E$에서 행
# $e$를 찾습니다. 둘을 원소끼리 곱하면 $a = h \odot e$이고, 수 $c$가 그 원소의 가중치가 되어
# $\mathrm{logit} = \sum_d a_d c_d$입니다. 역전파에서 **한** 줄이 틀렸습니다. 보고서를 읽어 보세요. 어느 배열이
# 틀렸고, 그 배열들이 모두 쓰는 줄은 어느 것일까요? 그 줄을 고치세요.


# %%
def tiny(x, ids, W, E, c):
    h, e = x @ W.T, E[ids]  # 둘 다 (B, D)
    a = h * e  # (B, D)
    return a @ c, (x, ids, W, E, c, h, e, a)  # 로짓(logit): (B,)


draw = np.random.default_rng(2).normal
tiny_inputs = draw(size=(6, 4)), np.array([0, 2, 1, 2, 4, 4])
tiny_weights = draw(size=(3, 4)), draw(size=(5, 3)), draw(size=3)


# %%
def tiny_backward(dy, cache):
    x, ids, W, E, c, h, e, a = cache
    dc = a.T @ dy
    da = dy[:, None] * c
    de = da * h
    dh = da * a  # 직접 해 보기 (your turn): 이 줄일까요, 다른 줄일까요?
    dE = np.zeros_like(E)
    np.add.at(dE, ids, de)
    dW = dh.T @ x
    dx = dh @ W
    return dx, dW, dE, dc


report = md.gradcheck((tiny, tiny_backward), *tiny_inputs, *tiny_weights)

# %% [markdown]
# <details><summary>답</summary>
#
# $E$와 $c$가 맞으므로 `da`와 `de`도 맞습니다. $x$와 $W$는 틀렸고, 둘 다 `dh`에서 나옵니다. 곱에서는 각 인수가 *다른*
# 인수를 받습니다: `dh = da * e`.
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
# ## 9. 기울기를 눈으로 보기
#
# 기울기는 예측입니다. *이 숫자가 조금 커지면, 손실은 커진 양에 기울기를 곱한 만큼 커진다*는 예측입니다. `md.trace`는
# 한 스텝(step)을 실행하면서 모든 연산을 기록합니다. `perturb`는 숫자 하나를 바꾸고, 그 변화가 모델을 지나 손실에
# 이르기까지 따라갑니다.

# %%
steps = md.trace(model, clicks.train[:4])
gradient = np.abs(steps.grads["bottom.layers.0.weight"])
largest = np.unravel_index(gradient.argmax(), gradient.shape)
what_if = steps.perturb("bottom.layers.0.weight", largest, eps=0.1)
print(what_if)

# %%
_ = what_if.plot()

# %% [markdown]
# 스텝이 작아질수록 손실의 변화율은 기울기에 가까워집니다. 1절의 차분을 모델 한가운데에서 구한 셈입니다.
#
# ### 직접 해 보기
#
# 경사 하강법(gradient descent)의 한 스텝은 *모든* 숫자를 한꺼번에 움직입니다. 기울기가 $g$인 숫자 $w$는
# $w - \eta g$가 됩니다. $\eta$(`lr`)는 학습률입니다. 스텝을 하기 전에 손실이 얼마나 변할지 예측해 보세요.
# `gradients`는 배열의 목록입니다. 빈칸의 코드는 기울기를 더하기만 하고, 숫자마다 얼마나 움직이는지는 잊었습니다.


# %%
def check_predicted(function):
    gradients = [getattr(g, "values", g) for g in steps.grads.values()]  # 테이블이면 그 행들
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
    return -lr * sum(np.sum(g) for g in gradients)  # 직접 해 보기 (your turn)


def loss_after(lr):
    moved = copy.deepcopy(model)
    for name, parameter in moved.named_parameters():
        parameter.grad = steps.grads[name]
    md.SGD(lr).step(moved.parameters())
    return md.trace(moved, clicks.train[:4]).loss


check_predicted(predicted)

# %% [markdown]
# <details><summary>답</summary>
#
# $-\eta g$만큼 움직이는 숫자는 손실을 대략 $-\eta g \cdot g$만큼 바꿉니다. 모두 더하면 $-\eta \sum g^2$입니다. 이
# 값은 양수가 될 수 없습니다. 경사 하강법이 내려가는 까닭이 이것입니다. 스텝이 크면 손실은 예측보다 덜 줄어듭니다.
# 가는 동안 기울기가 변하기 때문입니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def predicted_answer(gradients, lr):
    return -lr * sum(np.sum(g * g) for g in gradients)


print("the answer:")
check_predicted(predicted_answer)

# %% [markdown]
# 모델 자체를 코드에서 바로 그린 그림입니다.

# %%
fig, ax = plt.subplots(figsize=(6, 6))
_ = md.diagram(model, ax=ax)

# %% [markdown]
# 이 스텝의 모든 연산과 그 숫자입니다. *Next*를 누르거나 화살표 키를 쓰세요.

# %%
steps

# %% [markdown]
# ## 기억할 것
#
# 1. 출력에 **무작위** 수를 곱하고 모두 더해 숫자 하나로 만듭니다. 무작위 수는 따로 둔 난수열에서 뽑습니다.
# 2. 복소 스텝에서는 스텝의 크기를 고를 필요가 없습니다. 코드가 복소수로 돌아가지 않으면 리처드슨의 방법이 차선입니다.
# 3. 차분이 필요 없는 규칙도 검사합니다. backward(0) = 0이고, dy에 대해 선형이며, 입력을 제자리에서 바꾸지 않습니다.
# 4. 아이디를 **겹치게** 합니다.
# 5. 꺾인 점은 빼 둡니다. 함수만 보고 판단합니다.
# 6. 손실이 줄어든다고 해서 기울기가 옳은 것은 아닙니다.
#
# 다음: 01장, 임베딩.
