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
# # A1 · 손으로 구하는 기울기
#
# **목표**: 선형 층(linear layer), 시그모이드(sigmoid), 손실(loss)의 역전파(backward pass)를 유도합니다. 기울기
# 검사기(checker)를 만들고, 검사기가 무엇을 놓치는지 알아봅니다. **시간**: 약 4시간. **점수**: 20점. **필요한 것**:
# 00장.
#
# 함수를 완성하세요. 함수마다 무엇을 받고 무엇을 돌려주는지 적혀 있습니다. 아래 명령으로 몇 번이든 스스로 검사할 수
# 있습니다.
#
# `minidlrm grade check A1 a1_gradients.py`
#
# 함수의 이름은 바꾸지 마세요. 실험은 `if __name__ == "__main__":` 아래에 쓰세요. 여러분이 쓴 코드만 채점합니다.
# 그래서 채점할 때는 `minidlrm`을 불러올 수 없습니다. 기호: $B$는 배치 크기(batch size)이고,
# $dy = \partial L / \partial y$는 들어오는 기울기(gradient)입니다.

# %%
import zlib

import numpy as np

STUDENT = "your-id"  # 선생님이 아는 여러분의 아이디

# %% [markdown]
# ## A1.1 선형 층, 종이에 (4점)
#
# $y = x W^\top + b$이고, $x$의 모양(shape)은 $(B, n)$, $W$는 $(m, n)$, $b$는 $(m,)$입니다. $dy$에서 $dW$, $db$,
# $dx$를 첨자 하나하나까지 써서 유도하세요.
#
# BEGIN SOLUTION A1.1: 여기에 유도 과정을 LaTeX으로 쓰세요
# $y_{bk} = \sum_j x_{bj} W_{kj} + b_k$이므로 $\partial y_{bk} / \partial W_{kj} = x_{bj}$이고
# $dW_{kj} = \sum_b dy_{bk}\, x_{bj}$, 곧 $dW = dy^\top x$입니다. 마찬가지로 $db_k = \sum_b dy_{bk}$이고
# $dx_{bj} = \sum_k dy_{bk} W_{kj}$, 곧 $dx = dy\, W$입니다.
# END SOLUTION

# %% [markdown]
# ## A1.2 선형 층, 코드로 (3점)


# %%
def linear_backward(dy, x, W, b):
    """y = x @ W.T + b에서 dy (B, m)를 받아 dx (B, n), dW (m, n), db (m,)를 돌려줍니다."""
    # BEGIN SOLUTION A1.2: dx (B, n), dW (m, n), db (m,)를 돌려주세요
    return dy @ W, dy.T @ x, dy.sum(axis=0)
    # END SOLUTION


# %% [markdown]
# ## A1.3 시그모이드 (2점)
#
# 원소마다 $y = 1 / (1 + e^{-x})$입니다.


# %%
def sigmoid_backward(dy, x):
    """dy를 받아 x와 모양이 같은 dx를 돌려줍니다."""
    # BEGIN SOLUTION A1.3: x와 모양이 같은 dx를 돌려주세요
    y = 1 / (1 + np.exp(-x))
    return dy * y * (1 - y)
    # END SOLUTION


# %% [markdown]
# ## A1.4 로그 손실 (3점)
#
# 로짓(logit) $z$와 정답(label) $t$의 모양은 둘 다 $(B,)$입니다. 로그 손실(log loss)은
# $L = \frac1B \sum_b \left[\log(1 + e^{z_b}) - t_b z_b\right]$입니다. 여기서 $L$은 숫자 하나이고, 들어오는 기울기
# $dL$도 그렇습니다. (학습할 때는 1입니다.)


# %%
def log_loss_backward(dL, z, t):
    """숫자 dL을 받아 dz (B,)를 돌려줍니다."""
    # BEGIN SOLUTION A1.4: dz (B,)를 돌려주세요
    return dL * (1 / (1 + np.exp(-z)) - t) / len(z)
    # END SOLUTION


# %% [markdown]
# ## A1.5 기울기 검사기 (3점)
#
# 중심 차분(central difference)입니다. $\partial f / \partial x_k \approx (f(x + h e_k) - f(x - h e_k)) / 2h$이고,
# $e_k$는 자리 $k$만 1이고 나머지는 0입니다. 상대 오차가 1e-7이면 충분합니다. 끝났을 때 $x$가 처음과 같아야 합니다.


# %%
def numeric_gradient(f, x):
    """함수 f(배열 -> 숫자)의 x에서의 기울기를 돌려줍니다. 모양은 무엇이든 됩니다."""
    # BEGIN SOLUTION A1.5: x와 모양이 같은 배열을 돌려주세요
    grad = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        h = 6e-6 * max(1.0, abs(x[place]))
        up, down = x.copy(), x.copy()
        up[place] += h
        down[place] -= h
        grad[place] = (f(up) - f(down)) / (up[place] - down[place])
    return grad
    # END SOLUTION


# %% [markdown]
# ## A1.6 숫자 하나 (1점)
#
# 이 로짓과 정답은 여러분만의 것입니다. 여러분의 `STUDENT`에서 뽑았습니다. 로그 손실은 얼마입니까? 유효 숫자 여섯
# 자리까지 구하세요.


# %%
def my_clicks():
    own = np.random.default_rng(zlib.crc32(f"A1.6:{STUDENT}".encode()))
    return own.normal(size=50), own.integers(0, 2, 50)


def my_log_loss():
    """숫자를 돌려줍니다. 여기서 계산해도 되고, 적어 넣어도 됩니다."""
    # BEGIN SOLUTION A1.6: my_clicks()의 로그 손실, 숫자 하나를 돌려주세요
    z, t = my_clicks()
    return float(np.mean(np.log1p(np.exp(z)) - t * z))
    # END SOLUTION


# %% [markdown]
# ## A1.7 테스트를 테스트하기 (4점)
#
# 역전파를 테스트하는 함수를 쓰세요. 모르는 층의 `forward(x)`와 `backward(dy, x)`, 그리고 `x`의 예를 받습니다.
# 역전파가 옳으면 True를 돌려줍니다. 우리는 옳은 층도 넣어 보고(통과시켜야 합니다), 잘못이 있는 층도 넣어 봅니다.
# 찾아낸 잘못의 비율만큼 점수를 얻습니다. 조심하세요. `dy`를 무시하는 것도 있고, 원소 하나만 틀린 것도 있고,
# 표본(sample)끼리 뒤섞는 것도 있습니다.


# %%
def is_right(forward, backward, x):
    """backward(dy, x)가 forward(x)의 기울기이면 True를 돌려줍니다."""
    # BEGIN SOLUTION A1.7: True 또는 False를 돌려주세요
    dy = np.random.default_rng(7).normal(size=np.shape(forward(x)))
    numeric = numeric_gradient(lambda moved: float(np.sum(dy * forward(moved))), x)
    analytic = np.asarray(backward(dy, x))
    if analytic.shape != x.shape:
        return False
    return bool(np.abs(analytic - numeric).max() <= 1e-6 * np.abs(numeric).max())
    # END SOLUTION
