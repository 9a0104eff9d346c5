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
# # A7 · 여러 기계에서
#
# **목표**: 랭크(rank) 사이에서 벡터를 옮기고, 기울기(gradient)를 돌려보냅니다. 모든 랭크에서 한 가지 순서로 더합니다.
# 테이블을 행으로 나눕니다. 기울기의 평균을 검사합니다. **시간**: 약 8시간. **점수**: 20점. **필요한 것**: 01장과 10장.
#
# 몇 번이든 스스로 검사할 수 있습니다: `minidlrm grade check A7 a7_across_machines.py`
#
# 함수의 이름은 바꾸지 마세요. 실험은 `if __name__ == "__main__":` 아래에 쓰세요. 여러분이 쓴 코드만 채점합니다.
# 그래서 채점할 때는 `minidlrm`을 불러올 수 없습니다.
#
# 랭크는 $R$개이고, 번호는 0부터 $R - 1$까지입니다. 둘째 기계도, MPI도 필요 없습니다. A7.2부터 A7.4까지와 A7.8에서는
# 함수 하나가 모든 랭크의 일을 한꺼번에 합니다. 배열 $R$개의 리스트를 받고, 같은 모양의 리스트를 돌려줍니다. 리스트의
# $r$번이 랭크 $r$의 것입니다. A7.5와 A7.6에서는 랭크 *하나*가 하는 일을 씁니다.

# %%
import zlib

import numpy as np

STUDENT = "your-id"  # 선생님이 아는 여러분의 아이디

# %% [markdown]
# ## A7.1 역전파가 보내는 것, 종이 위에서 (4점)
#
# 1. 랭크 $s$에는 $x_s$의 행들이 있습니다. 처음 $C_{s0}$개는 랭크 0으로, 다음 $C_{s1}$개는 랭크 1로 가고, 그 뒤도
#    같습니다. 그러고 나면 랭크 $r$에는 $y_r$이 있습니다. 랭크 0에서 온 행들, 다음에 랭크 1에서 온 행들, ...입니다.
#    랭크 $r$마다 $dy_r$이 주어질 때 역전파(backward pass)가 무엇을 보내는지 유도하세요. 몇 행씩 보낼까요(2점)?
# 2. 손실(loss)은 표본(sample) $B$개 전체의 평균입니다. 랭크 $r$에는 그중 $B_r$개와, 가중치(weight) $W$의 복사본과, 자기
#    표본의 평균 손실의 기울기 $G_r$이 있습니다. $dW$를 유도하세요(1점).
# 3. 테이블을 행으로 나누었습니다. 한 행의 기울기는 어느 랭크들에서 생기고, 어디로 가야 하며, 겹치는 아이디(id)는
#    어디에서 문제가 될까요(1점)?
#
# BEGIN SOLUTION A7.1: 여기에 유도를 LaTeX로 쓰세요
# 1. 모든 $x_s$의 행을 위아래로 쌓고, 모든 $y_r$의 행도 그렇게 쌓습니다. 그러면 $y = \Pi x$이고, $\Pi$는
# 순열입니다. 행마다, 열마다 1이 하나씩 있습니다. $L$은 $y$를 통해서만 $x$에 의존하므로 $dx = \Pi^\top dy$이고
# $\Pi^\top = \Pi^{-1}$입니다. $dy$의 각 행은 그 행에 해당하는 $x$의 행이 온 자리로 돌아갑니다. 랭크 $r$에서 랭크 $s$로
# $C_{sr}$개의 행이 가므로 개수는 $C^\top$입니다. 더하는 것은 없습니다.
# 2. $L_r$이 랭크 $r$의 평균이면 $L = \frac1B \sum_r B_r L_r$입니다. 그래서 $dW = \sum_r \frac{B_r}{B} G_r$입니다. $B_r$이
# 모두 같을 때만 $G_r$의 평균과 같습니다.
# 3. 표본 $b$에서 $y_b = W_{v_b}$이므로 모든 랭크의 표본에 걸쳐 $dW_n = \sum_{b: v_b = n} dy_b$입니다. 랭크마다 자기
# 표본의 항이 있습니다. 이 항들은 행 $n$의 주인에게 가고, 주인이 모두 더합니다. 한 랭크 안에서 겹치는 것도, 여러 랭크에
# 걸쳐 겹치는 것도 더합니다.
# END SOLUTION

# %% [markdown]
# ## A7.2 모두가 모두에게 (2점)
#
# `counts[s, r]`개의 행이 랭크 $s$에서 랭크 $r$로 갑니다. `x[s]`의 처음 `counts[s, 0]`행은 랭크 0으로, 다음
# `counts[s, 1]`행은 랭크 1로, ... 갑니다. 그러면 랭크 $r$에는 랭크 0에서 온 행들이 있고, 그 아래에 랭크 1에서 온 행들,
# ...이 있습니다. $s$가 자기 자신에게 보내는 것도 여기에 듭니다.


# %%
def all_to_all(x, counts):
    """y를 돌려줍니다. y[r]은 랭크 r이 받는 행들이고, 보낸 랭크의 순서를 따릅니다.

    x는 배열 (n_s, D) R개의 리스트이고, counts는 (R, R)입니다.
    """
    # BEGIN SOLUTION A7.2: y, 곧 배열 R개의 리스트를 돌려주세요
    ranks, ends = range(len(x)), np.cumsum(counts, axis=1)
    parts = [np.split(x[s], ends[s, :-1]) for s in ranks]
    return [np.concatenate([parts[s][r] for s in ranks]) for r in ranks]
    # END SOLUTION


# %% [markdown]
# ## A7.3 모두가 모두에게, 역전파 (2점)


# %%
def all_to_all_backward(dy, counts):
    """배열 R개의 리스트 dy를 받아 배열 R개의 리스트 dx를 돌려줍니다. counts는 순전파와 같습니다."""
    # BEGIN SOLUTION A7.3: dx, 곧 배열 R개의 리스트를 돌려주세요
    return all_to_all(dy, np.transpose(counts))
    # END SOLUTION


# %% [markdown]
# ## A7.4 나비 (3점)
#
# 나비(butterfly)의 라운드 $d = 1, 2, 4, \dots$에서 랭크 $r$과 랭크 $r \oplus d$(파이썬으로는 `r ^ d`)가 가진 것을 서로
# 바꾸고, 둘 다 더합니다. 끝나면 모두에게 합이 있습니다. 더하는 순서는 균형 잡힌 트리입니다. $R = 4$이면
# $(x_0 + x_1) + (x_2 + x_3)$입니다. 검사에서는 순서가 드러나는 수를 씁니다. 부동소수점에서 $(2^{60} + 3) - 2^{60}$은
# 0입니다. 그리고 모든 랭크가 *같은 비트*를 얻어야 합니다. $R$은 2의 거듭제곱입니다.


# %%
def butterfly(x):
    """합을 랭크마다 하나씩, 배열 R개의 리스트로 돌려줍니다. x는 배열 R개의 리스트입니다."""
    # BEGIN SOLUTION A7.4: 균형 잡힌 트리로 더한 합을, 배열 R개의 리스트로 돌려주세요
    d = 1
    while d < len(x):
        x = [x[r] + x[r ^ d] for r in range(len(x))]
        d *= 2
    return x
    # END SOLUTION


# %% [markdown]
# ## A7.5 행으로 나눈 테이블, 순전파 (3점)
#
# 이제 여러분은 $R$개의 랭크 가운데 하나입니다. 테이블의 행 $i$는 랭크 $i \bmod R$에 있고, 그 랭크의 `shard`에서
# $\lfloor i / R \rfloor$번 자리에 있습니다. 여러분에게는 자기 표본의 아이디와 자기 `shard`만 있습니다. 다른 랭크도
# 같은 함수를 실행합니다. 랭크끼리는 `exchange(parts)`로 주고받습니다. `parts[r]`은 랭크 $r$로 가고, 여러분을 포함한
# 모든 랭크가 여러분에게 보낸 것의 리스트를 받습니다. 두 번 부르세요. 한 번은 자리입니다(필요한 행을 그 주인에게
# 부탁합니다. 여러분의 아이디 순서대로, 겹치는 것도 그대로 씁니다). 또 한 번은 행입니다(부탁받은 것에 답합니다).


# %%
def rowwise_forward(ids, shard, R, exchange):
    """ids (n,)의 행 y (n, D)를 돌려줍니다. shard (rows, D)는 테이블에서 여러분의 몫입니다."""
    # BEGIN SOLUTION A7.5: 주인에게 부탁하고, 부탁받은 것에 답하고, y (n, D)를 돌려주세요
    asked = exchange([ids[ids % R == r] // R for r in range(R)])
    rows = exchange([shard[places] for places in asked])
    y = np.empty((len(ids), shard.shape[1]))
    for r in range(R):
        y[ids % R == r] = rows[r]
    return y
    # END SOLUTION


# %% [markdown]
# ## A7.6 행으로 나눈 테이블, 역전파 (3점)
#
# 같은 랭크들입니다. 랭크마다 자기 표본의 $dy$가 있습니다. 이번에도 `exchange`를 두 번 부르세요. 한 번은 A7.5처럼 자리를
# 보내고, 한 번은 기울기를 보냅니다.


# %%
def rowwise_backward(dy, ids, shard, R, exchange):
    """dy (n, D)를 받아, 여러분의 shard의 기울기 dshard (rows, D)를 돌려줍니다."""
    # BEGIN SOLUTION A7.6: 자리와 기울기를 주인에게 보내고, dshard (rows, D)를 돌려주세요
    asked = exchange([ids[ids % R == r] // R for r in range(R)])
    grads = exchange([dy[ids % R == r] for r in range(R)])
    dshard = np.zeros_like(shard)
    for places, terms in zip(asked, grads, strict=True):
        np.add.at(dshard, places, terms)
    return dshard
    # END SOLUTION


# %% [markdown]
# ## A7.7 숫자 하나 (1점)
#
# 이 크기들은 여러분만의 것입니다. DLRM을 랭크 $R$개에서 학습합니다. 테이블 $T$개를 테이블 단위로 나누어 랭크마다
# $T / R$개가 있고, 배치(batch)의 표본 $B$개는 랭크마다 $B / R$개씩 있습니다. 한 스텝(step)에 모든 랭크가 *합쳐서* 몇 바이트를
# 보낼까요? 모두가 모두에게 보내는 것으로는 순전파의 벡터와 역전파의 기울기를 float32로 세세요. 거기에 나비로 더하는
# MLP의 기울기 $P$개를 더하세요. 랭크가 자기에게 남기는 것은 보내는 것이 아닙니다. (아이디는 필요한 곳에서 읽습니다.)


# %%
def my_sizes():
    own = np.random.default_rng(zlib.crc32(f"A7.7:{STUDENT}".encode()))
    R = 2 ** int(own.integers(2, 6))
    B, T = R * int(own.integers(16, 200)), R * int(own.integers(1, 5))
    return B, T, int(own.integers(4, 65)), R, int(own.integers(10_000, 900_000))


def my_bytes():
    """숫자를 돌려줍니다. 계산해도 되고, 적어 넣어도 됩니다. B, T, D, R, P = my_sizes()."""
    # BEGIN SOLUTION A7.7: 한 스텝에 모든 랭크가 합쳐서 보내는 바이트 수를 돌려주세요
    B, T, D, R, P = my_sizes()
    vectors = 4 * B * T * D * (R - 1) // R
    rounds = R.bit_length() - 1  # log2 R
    return 2 * vectors + 4 * P * R * rounds
    # END SOLUTION


# %% [markdown]
# ## A7.8 검사를 검사하기 (2점)
#
# 평균을 검사하는 함수를 쓰세요. `average(grads, rows)`는 각 랭크가 가진 것을 받습니다. `grads[r]`은 그 랭크의 표본
# `rows[r]`개의 평균 손실의 기울기입니다. 랭크마다 *모든* 표본의 평균 손실의 기울기를 돌려주는데, 모든 랭크가 *같은
# 비트*를 얻어야 합니다. (그러지 않으면 가중치의 복사본들이 서로 멀어집니다.) 더하는 순서는 상관없습니다. 입력은
# 여러분의 함수가 고릅니다. 점수는 일부러 심어 놓은 잘못 가운데 찾아낸 것의 비율입니다.


# %%
def is_average(average):
    """average(grads, rows)가 모든 랭크에서 옳고 비트까지 같으면 True를 돌려줍니다."""
    # BEGIN SOLUTION A7.8: True 또는 False를 돌려주세요
    rng = np.random.default_rng(7)
    rows = np.array([5, 1, 3, 7])
    grads = [rng.normal(size=50) for _ in rows]
    right = sum(n * grad for n, grad in zip(rows, grads, strict=True)) / rows.sum()
    got = average(grads, rows)
    if len(got) != 4 or any(np.shape(each) != right.shape for each in got):
        return False
    equal = all(np.array_equal(each, got[0]) for each in got)
    return bool(equal and np.allclose(got[0], right, rtol=1e-10))
    # END SOLUTION
