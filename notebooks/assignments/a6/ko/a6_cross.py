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
# # A6 · 논문에서 모델까지
#
# **목표**: 논문을 읽고, 그 층(layer)을 유도합니다. 검사하고, 만들고, 비교합니다. **시간**: 약 10시간. **점수**: 20점.
# **필요한 것**: 07장.
#
# 논문은 Wang 등(2021)의 "DCN V2: improved deep & cross network" 3.1절부터 3.3절까지입니다. (Lian 등(2018)의 CIN이 더
# 끌린다면 보고서에서는 같은 일을 CIN으로 해도 됩니다. 기계가 검사하는 것은 교차 층(cross layer)입니다.)
#
# 몇 번이든 스스로 검사할 수 있습니다: `minidlrm grade check A6 a6_cross.py`
#
# 함수의 이름은 바꾸지 마세요. 실험은 `if __name__ == "__main__":` 아래에 쓰세요. 여러분이 쓴 코드만 채점합니다.
# 그래서 채점할 때는 `minidlrm`을 불러올 수 없습니다.

# %%
import zlib

import numpy as np

STUDENT = "your-id"  # 선생님이 아는 여러분의 아이디

# %% [markdown]
# ## A6.1 유도와 보고서 (8점, 사람이 읽습니다)
#
# 1. $y = x_0 \odot (W x + b) + x$의 기울기(gradient)를 $x_0$, $x$, $W$, $b$에 대해 유도하세요(3점).
# 2. 층이 $L$개인 신경망의 $x_0$에 대한 기울기를 유도하세요. $x_0$이 나오는 곳을 모두 적으세요(2점).
# 3. 2차와 3차 데이터(`minidlrm.data.synthetic_clicks`)에서 교차 층이 있는 모델과 없는 모델을 시드(seed) 세 개로
#    학습하세요. 결과를 그림으로 그리세요. 무엇이 보이는지, 그리고 그림이 보여 주지 않는 것은 무엇인지 말하세요(3점).
#
# BEGIN SOLUTION A6.1: 여기에 유도와 보고서를 쓰세요
# $g = W x + b$라고 하면 $dx_0 = dy \odot g$, $dg = dy \odot x_0$, $dW = \sum_b dg\, x^\top$, $db = \sum_b dg$,
# $dx = W^\top dg + dy$입니다. 신경망에서 $x_0$은 모든 층에 나오고, 첫째 층의 $x$로 한 번 더 나옵니다. 그 기울기들을
# 모두 더합니다.
# END SOLUTION

# %% [markdown]
# ## A6.2 교차 층의 순전파 (2점)


# %%
def cross_forward(x0, x, W, b):
    """x0과 x (B, d), W (d, d), b (d,)에 대한 y (B, d)를 돌려줍니다."""
    # BEGIN SOLUTION A6.2: y (B, d)를 돌려주세요
    return x0 * (x @ W.T + b) + x
    # END SOLUTION


# %% [markdown]
# ## A6.3 교차 층의 역전파 (4점)


# %%
def cross_backward(dy, x0, x, W, b):
    """dx0, dx (B, d), dW (d, d), db (d,)를 돌려줍니다."""
    # BEGIN SOLUTION A6.3: dx0, dx, dW, db를 돌려주세요
    dg = dy * x0
    return dy * (x @ W.T + b), dg @ W + dy, dg.T @ x, dg.sum(axis=0)
    # END SOLUTION


# %% [markdown]
# ## A6.4 두 층짜리 신경망의 역전파 (3점)
#
# $x_1$은 $(x_0, x_0)$을 받은 첫째 층이고, $y$는 $(x_0, x_1)$을 받은 둘째 층입니다.


# %%
def network_backward(dy, x0, W1, b1, W2, b2):
    """dx0 (B, d), dW1, db1, dW2, db2를 돌려줍니다."""
    # BEGIN SOLUTION A6.4: dx0, dW1, db1, dW2, db2를 돌려주세요
    x1 = cross_forward(x0, x0, W1, b1)
    second, dx1, dW2, db2 = cross_backward(dy, x0, x1, W2, b2)
    first, dx, dW1, db1 = cross_backward(dx1, x0, x0, W1, b1)
    return first + second + dx, dW1, db1, dW2, db2
    # END SOLUTION


# %% [markdown]
# ## A6.5 숫자 하나 (1점)
#
# 이 크기들은 여러분만의 것입니다. 크기 $D$인 필드(field) $F$개에 대해 행렬을 쓰는 교차 층 $L$개에는 숫자가 몇 개
# 있습니까?


# %%
def my_sizes():
    own = np.random.default_rng(zlib.crc32(f"A6.5:{STUDENT}".encode()))
    return int(own.integers(2, 6)), int(own.integers(10, 40)), int(own.integers(4, 33))


def my_parameters():
    """숫자를 돌려줍니다. 계산해도 되고, 적어 넣어도 됩니다. L, F, D = my_sizes()."""
    # BEGIN SOLUTION A6.5: 교차 층들의 가중치와 편향의 수를 돌려주세요
    L, F, D = my_sizes()
    return L * ((F * D) ** 2 + F * D)
    # END SOLUTION


# %% [markdown]
# ## A6.6 테스트를 테스트하기 (2점)
#
# 교차 층을 테스트하는 함수를 쓰세요. `backward(dy, x0, x, W, b)`는 dx0, dx, dW, db를 돌려줍니다. 입력은 스스로
# 고릅니다. 심어 놓은 잘못 가운데 찾아낸 것의 비율만큼 점수를 얻습니다.


# %%
def is_cross(backward):
    """backward가 교차 층의 것이면 True를 돌려줍니다."""
    # BEGIN SOLUTION A6.6: True 또는 False를 돌려주세요
    rng = np.random.default_rng(7)
    x0, x, dy, W, b = (rng.normal(size=s) for s in ((5, 3), (5, 3), (5, 3), (3, 3), (3,)))
    dg = dy * x0
    expected = dy * (x @ W.T + b), dg @ W + dy, dg.T @ x, dg.sum(axis=0)
    got = backward(dy, x0, x, W, b)
    return len(got) == 4 and all(
        np.shape(a) == e.shape and np.allclose(a, e) for a, e in zip(got, expected, strict=True)
    )
    # END SOLUTION
