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
# # A3 · 행렬 분해와 인수분해 기계
#
# **목표**: 평점(rating) 하나의 기울기(gradient)와 인수분해 기계(factorization machine, FM)의 기울기를 유도합니다.
# FM의 비용이 왜 $O(FD)$인지 알아봅니다. SGD로 평점을 학습합니다. **시간**: 약 5시간. **점수**: 20점. **필요한 것**:
# 02장과 03장.
#
# 몇 번이든 스스로 검사할 수 있습니다: `minidlrm grade check A3 a3_factorization.py`
#
# 함수의 이름은 바꾸지 마세요. 실험은 `if __name__ == "__main__":` 아래에 쓰세요. 여러분이 쓴 코드만 채점합니다.
# 그래서 채점할 때는 `minidlrm`을 불러올 수 없습니다.

# %%
import zlib

import numpy as np

STUDENT = "your-id"  # 선생님이 아는 여러분의 아이디

# %% [markdown]
# ## A3.1 FM의 기울기, 종이에 (4점)
#
# 크기 $D$인 벡터 $z_i$가 $F$개 있을 때 $y = \sum_{i<j} \langle z_i, z_j \rangle$입니다. $s = \sum_i z_i$라고 하면
# $y = \frac12 (\|s\|^2 - \sum_i \|z_i\|^2)$임을 보이세요. 그리고 두 식 가운데 어느 것에서든
# $\partial y / \partial z_k$를 유도하세요.
#
# BEGIN SOLUTION A3.1: 여기에 유도 과정을 LaTeX으로 쓰세요
# $\|s\|^2 = \sum_{ij} \langle z_i, z_j \rangle = \sum_i \|z_i\|^2 + 2 \sum_{i<j} \langle z_i, z_j \rangle$입니다.
# 따라서 $\partial y / \partial z_k = \frac12 (2 s - 2 z_k) = s - z_k$입니다.
# END SOLUTION

# %% [markdown]
# ## A3.2 평점 하나의 손실 (3점)
#
# 손실(loss)은 $L = (r - \mu - \langle p, q \rangle)^2 + \lambda (\|p\|^2 + \|q\|^2)$이고, $p$와 $q$의 크기는
# $D$입니다. $p$와 $q$에 대한 기울기를 구하세요. $dL$은 들어오는 기울기입니다.


# %%
def rating_backward(dL, p, q, r, mu, lam):
    """dp (D,)와 dq (D,)를 돌려줍니다. r, mu, lam은 보통의 숫자입니다."""
    # BEGIN SOLUTION A3.2: dp (D,)와 dq (D,)를 돌려주세요
    e = r - mu - p @ q
    return dL * 2 * (lam * p - e * q), dL * 2 * (lam * q - e * p)
    # END SOLUTION


# %% [markdown]
# ## A3.3 FM의 순전파 (3점)
#
# 표본(sample)마다 $O(FD)$로 계산하세요. 쌍에 대한 반복문도, 쌍으로 된 행렬도 쓰지 마세요. 검사에서는 $F = 2000$도
# 씁니다.


# %%
def fm_forward(z):
    """z (B, F, D)에서 모든 쌍 i < j에 대한 <z_i, z_j>의 합 y (B,)를 돌려줍니다."""
    # BEGIN SOLUTION A3.3: 표본마다 O(F D)로 구한 y (B,)를 돌려주세요
    s = z.sum(axis=1)
    return 0.5 * (np.sum(s * s, axis=1) - np.sum(z * z, axis=(1, 2)))
    # END SOLUTION


# %% [markdown]
# ## A3.4 FM의 역전파 (3점)


# %%
def fm_backward(dy, z):
    """dy (B,)를 받아 dz (B, F, D)를 돌려줍니다."""
    # BEGIN SOLUTION A3.4: dz (B, F, D)를 돌려주세요
    return dy[:, None, None] * (z.sum(axis=1, keepdims=True) - z)
    # END SOLUTION


# %% [markdown]
# ## A3.5 평점에 대한 SGD (3점)
#
# 주어진 순서대로 평점을 한 번씩 거칩니다. 평점마다 $e = r - \mu - \langle p_u, q_i \rangle$를 구하고, 그다음
# $p_u \leftarrow p_u + \eta (e\, q_i - \lambda p_u)$, $q_i \leftarrow q_i + \eta (e\, p_u - \lambda q_i)$로 고칩니다.
# 두 식의 오른쪽에는 모두 옛 벡터를 씁니다.


# %%
def sgd_epoch(P, Q, users, items, ratings, mu, eta, lam):
    """새 P (users, D)와 Q (items, D)를 돌려줍니다. 받은 P와 Q는 그대로 둡니다."""
    # BEGIN SOLUTION A3.5: 새 P와 Q를 돌려주세요
    P, Q = P.copy(), Q.copy()
    for u, i, r in zip(users, items, ratings, strict=True):
        p, q = P[u].copy(), Q[i].copy()
        e = r - mu - p @ q
        P[u] = p + eta * (e * q - lam * p)
        Q[i] = q + eta * (e * p - lam * q)
    return P, Q
    # END SOLUTION


# %% [markdown]
# ## A3.6 숫자 하나 (1점)
#
# 이 벡터들은 여러분만의 것입니다. 모든 쌍에 대한 합은 얼마입니까? 유효 숫자 여섯 자리까지 구하세요.


# %%
def my_vectors():
    own = np.random.default_rng(zlib.crc32(f"A3.6:{STUDENT}".encode()))
    return own.normal(size=(30, 4))


def my_sum_of_pairs():
    """숫자를 돌려줍니다. 여기서 계산해도 되고, 적어 넣어도 됩니다."""
    # BEGIN SOLUTION A3.6: my_vectors()의 <z_i, z_j>를 i < j에 대해 더한 값을 돌려주세요
    z = my_vectors()
    return float(np.sum(np.tril(z @ z.T, -1)))
    # END SOLUTION


# %% [markdown]
# ## A3.7 테스트를 테스트하기 (3점)
#
# FM 층(layer)을 테스트하는 함수를 쓰세요. `forward(z)`와 `backward(dy, z)`를 받고, 입력은 스스로 고릅니다. 둘 다
# 옳으면 True를 돌려줍니다. 심어 놓은 잘못 가운데 찾아낸 것의 비율만큼 점수를 얻습니다. 잘못은 순전파에도 있고
# 역전파에도 있습니다. 크기가 모두 달라야 드러나는 것도 있습니다.


# %%
def is_fm(forward, backward):
    """forward와 backward가 FM의 것이면 True를 돌려줍니다."""
    # BEGIN SOLUTION A3.7: True 또는 False를 돌려주세요
    rng = np.random.default_rng(7)
    for B, F, D in ((3, 4, 2), (2, 5, 3)):
        z, dy = rng.normal(size=(B, F, D)), rng.normal(size=B)
        pairs = [(i, j) for i in range(F) for j in range(i)]
        y = sum(np.sum(z[:, i] * z[:, j], axis=1) for i, j in pairs)
        got, grad = np.asarray(forward(z)), np.asarray(backward(dy, z))
        if got.shape != y.shape or not np.allclose(got, y):
            return False
        expected = dy[:, None, None] * (z.sum(axis=1, keepdims=True) - z)
        if grad.shape != z.shape or not np.allclose(grad, expected):
            return False
    return True
    # END SOLUTION
