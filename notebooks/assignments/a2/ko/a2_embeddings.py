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
# # A2 · 임베딩
#
# **목표**: 가중치(weight)가 있는 아이디(id)의 백(bag)을 찾아 더합니다. 아이디가 겹칠 때의 역전파(backward pass)를
# 유도하고 코드로 씁니다. Numba로 컴파일할 수 있는 산란-덧셈(scatter-add)을 쓰고, 산란-덧셈을 테스트합니다. **시간**:
# 약 5시간. **점수**: 20점. **필요한 것**: 01장.
#
# 몇 번이든 스스로 검사할 수 있습니다: `minidlrm grade check A2 a2_embeddings.py`
#
# 함수의 이름은 바꾸지 마세요. 실험은 `if __name__ == "__main__":` 아래에 쓰세요. 여러분이 쓴 코드만 채점합니다.
# 그래서 채점할 때는 `minidlrm`을 불러올 수 없습니다.
#
# *백*은 한 표본(sample)에 든 아이디의 목록입니다. 배치(batch)의 모든 아이디는 `values`에 차례로 이어져 있고, 백 $b$는
# `values[offsets[b]:offsets[b + 1]]`입니다. 백이 $B$개면 오프셋(offset)은 $B + 1$개입니다. 백은 비어 있을 수 있고,
# 그때 합은 0입니다. 한 아이디가 한 백에 두 번 나올 수도 있고, 여러 백에 나올 수도 있습니다.

# %%
import zlib

import numpy as np

try:
    from numba import njit
except ImportError:  # Numba가 없으면 반복문은 보통의 파이썬으로 실행됩니다

    def njit(function):
        return function


STUDENT = "your-id"  # 선생님이 아는 여러분의 아이디

# %% [markdown]
# ## A2.1 기울기, 종이에 (4점)
#
# $y_b = \sum_{i \in \text{bag } b} \alpha_i\, W_{v_i}$입니다. $v_i$는 $i$번째 아이디, $W$는 모양(shape)이 $(N, D)$인
# 테이블(table), $\alpha_i$는 가중치입니다. $dy$에서 기울기(gradient) $dW$와 $d\alpha$를 유도하세요. 겹치는 아이디가
# 어디에서 문제가 되는지 말하세요.
#
# BEGIN SOLUTION A2.1: 여기에 유도 과정을 LaTeX으로 쓰세요
# $y_{bd} = \sum_{i \in b} \alpha_i W_{v_i d}$입니다. $W$의 행 $n$은 $v_i = n$인 모든 $i$의 항에 나옵니다. 따라서
# $i$가 든 백을 $b(i)$라고 하면 $dW_{nd} = \sum_{i: v_i = n} \alpha_i\, dy_{b(i) d}$입니다. 겹칠 때마다 항이 하나씩
# 더해집니다. $\alpha_i$는 항 하나에만 나옵니다:
# $d\alpha_i = \sum_d dy_{b(i) d} W_{v_i d} = \langle dy_{b(i)}, W_{v_i} \rangle$.
# END SOLUTION

# %% [markdown]
# ## A2.2 순전파 (3점)


# %%
def bag_forward(W, values, offsets, alpha):
    """백마다의 가중합 y (B, D)를 돌려줍니다.

    W는 (N, D), values는 아이디 (n,), offsets는 (B + 1,), alpha는 (n,)입니다.
    """
    # BEGIN SOLUTION A2.2: 가중합 y (B, D)를 돌려주세요. 빈 백은 0입니다
    bag = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    y = np.zeros((len(offsets) - 1, W.shape[1]))
    np.add.at(y, bag, alpha[:, None] * W[values])
    return y
    # END SOLUTION


# %% [markdown]
# ## A2.3 역전파 (5점)


# %%
def bag_backward(dy, W, values, offsets, alpha):
    """dy (B, D)를 받아 dW (N, D)와 dalpha (n,)를 돌려줍니다."""
    # BEGIN SOLUTION A2.3: dW (N, D)와 dalpha (n,)를 돌려주세요
    bag = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    dW = np.zeros_like(W)
    np.add.at(dW, values, alpha[:, None] * dy[bag])
    return dW, np.sum(dy[bag] * W[values], axis=1)
    # END SOLUTION


# %% [markdown]
# ## A2.4 Numba를 위한 산란-덧셈 (3점)
#
# C에서처럼 반복문으로 쓰세요. Numba가 컴파일합니다. `np.add.at`을 부르지 말고, 임시 배열을 만들지 마세요.


# %%
@njit
def scatter_loop(table, rows, terms):
    """table (N, D)의 행 rows[i]에 terms[i] (D,)를 제자리에서 더합니다."""
    # BEGIN SOLUTION A2.4: i마다 terms[i]를 table[rows[i]]에, 숫자 하나씩 더하세요
    for i in range(len(rows)):
        for d in range(table.shape[1]):
            table[rows[i], d] += terms[i, d]
    # END SOLUTION


def scatter_add(table, rows, terms):
    """항을 더한 table을 돌려줍니다. (주어진 함수이고, 여러분의 반복문을 부릅니다.)"""
    table = table.copy()
    scatter_loop(table, rows, terms)
    return table


# %% [markdown]
# ## A2.5 숫자 하나 (1점)
#
# 여러분만의 클릭 로그(click log)입니다. 아이디를 지프의 법칙(Zipf's law)에 따라 뽑았습니다. 한 번이라도 나온 행
# 가운데 *꼭 한 번만* 나온 행의 비율은 얼마입니까? 유효 숫자 여섯 자리까지 구하세요.


# %%
def my_ids():
    own = np.random.default_rng(zlib.crc32(f"A2.5:{STUDENT}".encode()))
    return np.minimum(own.zipf(1.3, 2000) - 1, 999)


def my_share():
    """숫자를 돌려줍니다. 여기서 계산해도 되고, 적어 넣어도 됩니다."""
    # BEGIN SOLUTION A2.5: my_ids()의 서로 다른 아이디 가운데 한 번만 나온 것의 비율을 돌려주세요
    count = np.unique(my_ids(), return_counts=True)[1]
    return float(np.mean(count == 1))
    # END SOLUTION


# %% [markdown]
# ## A2.6 테스트를 테스트하기 (4점)
#
# 산란-덧셈을 테스트하는 함수를 쓰세요. 새 테이블을 돌려주는 함수 `scatter(table, rows, terms)`를 받습니다. 입력은
# 스스로 고르고, 함수가 옳으면 True를 돌려줍니다. 심어 놓은 잘못 가운데 찾아낸 것의 비율만큼 점수를 얻습니다. (서로
# 다른 행만으로 테스트하면 거의 찾지 못합니다.)


# %%
def is_scatter_add(scatter):
    """scatter(table, rows, terms)가 항마다 제 행에 더하면 True를 돌려줍니다."""
    # BEGIN SOLUTION A2.6: True 또는 False를 돌려주세요
    rng = np.random.default_rng(7)
    for n in (0, 9):
        table, rows = rng.normal(size=(6, 3)), np.array([5, 0, 2, 2, 0, 2, 4, 4, 0])[:n]
        terms = rng.normal(size=(n, 3))
        expected = table.copy()
        for i, row in enumerate(rows):
            expected[row] += terms[i]
        given = table.copy()
        if not np.allclose(scatter(given, rows, terms), expected):
            return False
    return True
    # END SOLUTION
