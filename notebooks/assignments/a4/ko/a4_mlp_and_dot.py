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
# # A4 · MLP와 내적 상호작용
#
# **목표**: 다층 퍼셉트론(multilayer perceptron, MLP)의 순전파(forward pass)와 역전파(backward pass)를 계산합니다.
# 모든 쌍의 내적(dot product)의 기울기(gradient)를 유도합니다. **시간**: 약 5시간. **점수**: 20점. **필요한 것**:
# 04장과 05장.
#
# 몇 번이든 스스로 검사할 수 있습니다: `minidlrm grade check A4 a4_mlp_and_dot.py`
#
# 함수의 이름은 바꾸지 마세요. 실험은 `if __name__ == "__main__":` 아래에 쓰세요. 여러분이 쓴 코드만 채점합니다.
# 그래서 채점할 때는 `minidlrm`을 불러올 수 없습니다.

# %%
import zlib
from itertools import pairwise

import numpy as np

STUDENT = "your-id"  # 선생님이 아는 여러분의 아이디

# %% [markdown]
# ## A4.1 상호작용, 종이에 (4점)
#
# $z$의 모양(shape)은 $(F, D)$이고, $y$에는 모든 $i > j$에 대한 내적 $\langle z_i, z_j \rangle$가 들어 있습니다.
# $dy$를 모양이 $(F, F)$이고 대각선과 그 위가 0인 행렬 $G$에 써넣습니다. $dz = (G + G^\top) z$를 유도하세요.
#
# BEGIN SOLUTION A4.1: 여기에 유도 과정을 LaTeX으로 쓰세요
# $L$은 $j < k$인 $\langle z_k, z_j \rangle$와 $i > k$인 $\langle z_i, z_k \rangle$를 거쳐 $z_k$에 달려 있습니다:
# $dz_k = \sum_{j<k} G_{kj} z_j + \sum_{i>k} G_{ik} z_i$. 행렬로 쓰면 $G z + G^\top z$입니다.
# END SOLUTION

# %% [markdown]
# ## A4.2 MLP의 순전파 (2점)
#
# `weights`와 `biases`는 리스트입니다. 층(layer) $l$은 $x W_l^\top + b_l$이고, $W_l$의 모양은 (out, in)입니다. 마지막
# 층을 뺀 모든 층 뒤에 ReLU가 옵니다.


# %%
def mlp_forward(x, weights, biases):
    """x (B, in)에 대한 y (B, out)를 돌려줍니다."""
    # BEGIN SOLUTION A4.2: y (B, out)를 돌려주세요. 마지막 층을 뺀 모든 층 뒤에 ReLU가 옵니다
    for k, (W, b) in enumerate(zip(weights, biases, strict=True)):
        x = x @ W.T + b
        if k < len(weights) - 1:
            x = np.maximum(x, 0)
    return x
    # END SOLUTION


# %% [markdown]
# ## A4.3 두 층짜리 MLP의 역전파 (5점)


# %%
def mlp_backward(dy, x, W1, b1, W2, b2):
    """y = relu(x @ W1.T + b1) @ W2.T + b2에서 dy (B, out)를 받아 기울기를 돌려줍니다."""
    # BEGIN SOLUTION A4.3: dx, dW1, db1, dW2, db2를 돌려주세요
    a = np.maximum(x @ W1.T + b1, 0)
    da = dy @ W2 * (a > 0)
    return da @ W1, da.T @ x, da.sum(axis=0), dy.T @ a, dy.sum(axis=0)
    # END SOLUTION


# %% [markdown]
# ## A4.4 내적 상호작용의 순전파 (2점)
#
# 대각선을 뺀 아래 삼각형을 행 순서대로 읽습니다: (1, 0), (2, 0), (2, 1), (3, 0), ...


# %%
def dot_forward(z):
    """z (B, F, D)의 내적 (B, F (F - 1) / 2)를 돌려줍니다."""
    # BEGIN SOLUTION A4.4: 내적 (B, F (F - 1) / 2)를 행 순서대로 돌려주세요
    i, j = np.tril_indices(z.shape[1], -1)
    return (z @ z.transpose(0, 2, 1))[:, i, j]
    # END SOLUTION


# %% [markdown]
# ## A4.5 내적 상호작용의 역전파 (3점)


# %%
def dot_backward(dy, z):
    """dy (B, F (F - 1) / 2)를 받아 dz (B, F, D)를 돌려줍니다."""
    # BEGIN SOLUTION A4.5: dz (B, F, D)를 돌려주세요
    i, j = np.tril_indices(z.shape[1], -1)
    G = np.zeros((len(z), z.shape[1], z.shape[1]))
    G[:, i, j] = dy
    return (G + G.transpose(0, 2, 1)) @ z
    # END SOLUTION


# %% [markdown]
# ## A4.6 숫자 하나 (1점)
#
# 여러분만의 크기로 된 DLRM입니다. 상단 MLP(top MLP)에는 숫자가 몇 개 있습니까? 가중치(weight)와 편향(bias)을 모두
# 셉니다. 입력은 크기 $D$인 밀집 벡터와, 벡터 $F$개의 모든 쌍의 내적입니다. 그다음에 은닉층들이 오고, 마지막 층의
# 출력은 하나입니다.


# %%
def my_sizes():
    own = np.random.default_rng(zlib.crc32(f"A4.6:{STUDENT}".encode()))
    return int(own.integers(10, 40)), int(own.integers(4, 65)), own.integers(20, 300, 2).tolist()


def my_parameters():
    """숫자를 돌려줍니다. 계산해도 되고, 적어 넣어도 됩니다. F, D, hidden = my_sizes()."""
    # BEGIN SOLUTION A4.6: 상단 MLP의 가중치와 편향의 수를 돌려주세요
    F, D, hidden = my_sizes()
    sizes = [D + F * (F - 1) // 2, *hidden, 1]
    return sum(n * m + m for n, m in pairwise(sizes))
    # END SOLUTION


# %% [markdown]
# ## A4.7 테스트를 테스트하기 (3점)
#
# 내적 상호작용을 테스트하는 함수를 쓰세요. 옳거나 틀린 `forward(z)`와 `backward(dy, z)`를 받고, 입력은 스스로
# 고릅니다. 둘 다 옳으면 True를 돌려줍니다. 심어 놓은 잘못 가운데 찾아낸 것의 비율만큼 점수를 얻습니다.


# %%
def is_dot(forward, backward):
    """forward와 backward가 내적 상호작용의 것이면 True를 돌려줍니다."""
    # BEGIN SOLUTION A4.7: True 또는 False를 돌려주세요
    rng = np.random.default_rng(7)
    for B, F, D in ((3, 4, 2), (2, 5, 3)):
        z = rng.normal(size=(B, F, D))
        pairs = [(i, j) for i in range(F) for j in range(i)]
        y = np.stack([np.sum(z[:, i] * z[:, j], axis=1) for i, j in pairs], axis=1)
        dy, dz = rng.normal(size=y.shape), np.zeros_like(z)
        for k, (i, j) in enumerate(pairs):
            dz[:, i] += dy[:, k, None] * z[:, j]
            dz[:, j] += dy[:, k, None] * z[:, i]
        for got, right in ((forward(z), y), (backward(dy, z), dz)):
            if np.shape(got) != right.shape or not np.allclose(got, right):
                return False
    return True
    # END SOLUTION
