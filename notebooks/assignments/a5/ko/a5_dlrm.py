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
# # A5 · DLRM 만들고 학습하기
#
# **목표**: 부품을 하나로 묶습니다. 밀집 벡터에서 나가는 화살표 두 개를 봅니다. 직접 만든 모델을 직접 쓴
# 스텝(step)으로, 가능한 가장 좋은 점수 가까이까지 학습합니다. **시간**: 약 8시간. **점수**: 20점. **필요한 것**:
# 05장과 06장, 과제 A2와 A4.
#
# 몇 번이든 스스로 검사할 수 있습니다: `minidlrm grade check A5 a5_dlrm.py`
#
# **제한**: 호출 하나에 20초, 셀(cell) 하나에 40초, 모두 합쳐 900초, train_and_predict에는 60초입니다.
#
# 함수의 이름은 바꾸지 마세요. 실험은 `if __name__ == "__main__":` 아래에 쓰세요. 여러분이 쓴 코드만 채점합니다.
# 그래서 채점할 때는 `minidlrm`을 불러올 수 없습니다.
#
# 모델은 이렇습니다. $x_1 = \mathrm{relu}(x W_1^\top + b_1)$이고 크기는 $D$입니다(하단). 아이디(id) (B, T)는 모든
# 테이블(table)을 차례로 쌓은 `table`에서 행을 찾습니다. 테이블 $t$는 행 `starts[t]`에서 시작합니다.
# $z = [x_1, \text{the } T \text{ rows}]$, 곧 $x_1$과 찾아온 행 $T$개이고, 벡터는 모두 $F = T + 1$개입니다. 대각선을
# 뺀 아래 삼각형에서 행 순서대로 읽은 내적(dot product)들 앞에 $x_1$을 붙입니다: $u = [x_1, \text{products}]$. 그다음
# $a = \mathrm{relu}(u W_2^\top + b_2)$이고, 로짓(logit)은 $a W_3^\top + b_3$입니다. $W_3$의 모양(shape)은 (1,
# h)입니다.

# %%
import zlib

import numpy as np

STUDENT = "your-id"  # 선생님이 아는 여러분의 아이디

# %% [markdown]
# ## A5.1 밀집 벡터, 종이에 (4점)
#
# $dx_1$을 $du$로 나타내세요. 항 두 개는 무엇이고, 왜 두 개입니까? 테이블의 행에 대한 $dz$도 쓰세요.
#
# BEGIN SOLUTION A5.1: 여기에 유도 과정을 LaTeX으로 쓰세요
# $x_1$은 $u$에 바로 나오고, $z_0$으로서 내적에도 나옵니다. $du$에서 내적의 몫을 $G$의 대각선 아래에 써넣으면
# $dz = (G + G^\top) z$이고 $dx_1 = du_{:D} + dz_0$입니다. 행 $z_1, \dots, z_T$의 기울기는 $dz_1, \dots, dz_T$이고,
# 행이 겹치면 더합니다.
# END SOLUTION

# %% [markdown]
# ## A5.2 순전파 (3점)


# %%
def dlrm_forward(dense, ids, starts, table, W1, b1, W2, b2, W3, b3):
    """로짓 (B,)을 돌려줍니다. dense (B, n), ids (B, T), starts (T,), table (S, D)입니다."""
    # BEGIN SOLUTION A5.2: 로짓 (B,)을 돌려주세요
    x1 = np.maximum(dense @ W1.T + b1, 0)
    z = np.concatenate([x1[:, None], table[ids + starts]], axis=1)
    i, j = np.tril_indices(z.shape[1], -1)
    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, j]], axis=1)
    return (np.maximum(u @ W2.T + b2, 0) @ W3.T + b3)[:, 0]
    # END SOLUTION


# %% [markdown]
# ## A5.3 역전파 (5점)


# %%
def dlrm_backward(dlogits, dense, ids, starts, table, W1, b1, W2, b2, W3, b3):
    """dlogits (B,)를 받아 dtable, dW1, db1, dW2, db2, dW3, db3을 돌려줍니다."""
    # BEGIN SOLUTION A5.3: dtable, dW1, db1, dW2, db2, dW3, db3을 돌려주세요
    D = table.shape[1]
    x1 = np.maximum(dense @ W1.T + b1, 0)
    rows = ids + starts
    z = np.concatenate([x1[:, None], table[rows]], axis=1)
    i, j = np.tril_indices(z.shape[1], -1)
    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, j]], axis=1)
    a = np.maximum(u @ W2.T + b2, 0)
    da = dlogits[:, None] * W3 * (a > 0)
    du = da @ W2
    G = np.zeros((len(z), z.shape[1], z.shape[1]))
    G[:, i, j] = du[:, D:]
    dz = (G + G.transpose(0, 2, 1)) @ z
    dx1 = (du[:, :D] + dz[:, 0]) * (x1 > 0)
    dtable = np.zeros_like(table)
    np.add.at(dtable, rows, dz[:, 1:])
    dW1, db1 = dx1.T @ dense, dx1.sum(axis=0)
    dW2, db2 = da.T @ u, da.sum(axis=0)
    return dtable, dW1, db1, dW2, db2, dlogits[None] @ a, dlogits.sum(keepdims=True)
    # END SOLUTION


# %% [markdown]
# ## A5.4 학습하기 (5점)
#
# `next_batch()`는 부를 때마다 새로운 `dense` (256, n), `ids` (256, T), `label` (256,)을 줍니다. **600번**까지 부를 수
# 있고, 그 뒤에는 오류가 납니다. 학습한 다음 테스트 데이터의 로짓을 돌려주세요. 클릭은 합성 데이터이므로 가능한 가장
# 좋은 로그 손실(log loss)인 베이즈 한계(Bayes limit)를 압니다. 로그 손실이 평균 비율만 예측할 때보다 작으면 1점, 평균
# 비율과 한계 사이를 절반까지 좁히면 2점 더, 75%까지 좁히면 2점 더 얻습니다. 크기, 처음 값, 학습률(learning rate),
# 옵티마이저(optimizer)는 여러분이 고릅니다.


# %%
def train_and_predict(next_batch, num_dense, table_sizes, test_dense, test_ids):
    """next_batch를 많아야 600번 부르고, 테스트 데이터의 로짓 (n,)을 돌려줍니다."""
    # BEGIN SOLUTION A5.4: 테스트 데이터의 로짓을 돌려주세요
    rng, D, h = np.random.default_rng(0), 8, 32
    starts = np.cumsum([0, *table_sizes[:-1]])
    width = D + (len(table_sizes) + 1) * len(table_sizes) // 2

    def layer(n, m):
        return rng.normal(0, np.sqrt(2 / n), (m, n))

    params = [rng.normal(0, 0.3, (sum(table_sizes), D))]
    params += [layer(num_dense, D), np.zeros(D), layer(width, h), np.zeros(h)]
    params += [layer(h, 1), np.zeros(1)]
    first, second = [0 * p for p in params], [0 * p for p in params]
    for step in range(1, 601):
        dense, ids, label = next_batch()
        logits = dlrm_forward(dense, ids, starts, *params)
        dlogits = (1 / (1 + np.exp(-logits)) - label) / len(label)
        grads = dlrm_backward(dlogits, dense, ids, starts, *params)
        for p, g, m, v in zip(params, grads, first, second, strict=True):
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            rate = 0.01 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            p -= rate * m / (np.sqrt(v) + 1e-8)
    return dlrm_forward(test_dense, test_ids, starts, *params)
    # END SOLUTION


# %% [markdown]
# ## A5.5 숫자 하나 (1점)
#
# 이 클릭들은 여러분만의 것입니다. 모두에게 평균 비율을 예측하면 로그 손실은 얼마입니까? (그 비율의 엔트로피입니다.)


# %%
def my_labels():
    own = np.random.default_rng(zlib.crc32(f"A5.5:{STUDENT}".encode()))
    return (own.random(500) < own.uniform(0.1, 0.4)).astype(float)


def my_entropy():
    """숫자를 돌려줍니다. 여기서 계산해도 되고, 적어 넣어도 됩니다."""
    # BEGIN SOLUTION A5.5: my_labels()의 평균 비율의 로그 손실을 내트로 돌려주세요
    p = my_labels().mean()
    return float(-p * np.log(p) - (1 - p) * np.log(1 - p))
    # END SOLUTION


# %% [markdown]
# ## A5.6 테스트를 테스트하기 (2점)
#
# 희소 스텝을 테스트하는 함수를 쓰세요. `step(table, rows, values, lr)`은 새 테이블을 돌려줍니다. 행 `rows[k]`가(행은
# 서로 다릅니다) `-lr * values[k]`만큼 움직이고, 다른 행은 움직이지 않은 테이블입니다. 심어 놓은 잘못 가운데 찾아낸
# 것의 비율만큼 점수를 얻습니다.


# %%
def is_step(step):
    """step(table, rows, values, lr)이 옳은 SGD의 희소 스텝이면 True를 돌려줍니다."""
    # BEGIN SOLUTION A5.6: True 또는 False를 돌려주세요
    rng = np.random.default_rng(7)
    table, rows, values = rng.normal(size=(6, 3)), np.array([0, 5, 2]), rng.normal(size=(3, 3))
    expected = table.copy()
    expected[rows] -= 0.3 * values
    got = step(table.copy(), rows, values, 0.3)
    return bool(np.shape(got) == expected.shape and np.allclose(got, expected, 1e-12, 1e-12))
    # END SOLUTION
