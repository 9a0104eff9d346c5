# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 08 · 빠르게 만들기
#
# [![Colab에서 열기](../colab.svg)](https://colab.research.google.com/github/)
#
# [English](../08_making_it_fast.ipynb) · [튜토리얼 안내](README.md) · [용어집](glossary.md)
#
# 식은 옳습니다. 그런데 같은 식을 계산하는데 왜 어떤 방법은 백 배나 오래 걸릴까요? 연산 때문인 경우는 거의 없습니다.
# 메모리와 반복문과 함수 호출 때문입니다.
#
# 01장과 05장의 내용이 필요합니다. 읽는 시간은 약 50분입니다. 시간은 기계마다, 실행할 때마다 다릅니다. 그래서 나란히
# 재어 **비율**을 비교합니다.
#
# **이 장을 마치면** 속지 않고 시간을 재는 법을 알게 됩니다. 네 가지 산란-덧셈(scatter-add)의 속도를 비교하고, DLRM의
# 한 스텝(step)을 뜯어봅니다. 여러분의 기계에서 루프라인(roofline)을 재어 그리고, 메모리, 블록(block),
# 작업자(worker)의 순서로 스텝이 빨라지는 길을 따라갑니다.

# %%
# Colab처럼 minidlrm이 설치되지 않은 곳에서는 먼저 설치합니다.
import importlib.util

if importlib.util.find_spec("minidlrm") is None:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "minidlrm"], check=True)

import os
import subprocess
import sys
import time
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np

import minidlrm as md
from minidlrm.languages import say, tell

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. 시간을 재는 법
#
# 규칙은 세 가지입니다.
#
# 1. **먼저 한 번 돌립니다.** 첫 호출에서는 컴파일하고, 캐시(cache)를 채우고, 메모리를 할당합니다. 세지 않습니다.
# 2. **되풀이하고 중앙값을 씁니다.** 다른 프로그램이 한두 번은 방해합니다.
# 3. **한 번의 실행 안에서 비교합니다.** 같은 기계에서 두 프로그램을 번갈아 돌리고 비율을 적습니다.


# %%
def seconds(*functions, repeats=7):
    """Return the median time of each function; they take turns."""
    laps = [[] for _ in functions]
    for lap in range(repeats + 1):
        for k, function in enumerate(functions):
            start = time.perf_counter()
            function()
            laps[k].append(time.perf_counter() - start)
    return [float(np.median(times[1:])) for times in laps]  # 첫 바퀴는 준비입니다


# %% [markdown]
# ### 직접 해 보기
#
# 두 프로그램을 번갈아 돌린 시간입니다. 첫 바퀴도 들어 있습니다. 둘째가 몇 배 빠를까요? 빈칸의 코드는 평균을 쓰는데,
# 방해받은 한 바퀴가 결과를 망칩니다.


# %%
def times_faster(slow, fast):
    return np.mean(slow) / np.mean(fast)  # 직접 해 보기 (your turn)


def check_times_faster(function):
    ratio = function([9.0, 2.0, 2.1, 1.9, 2.0, 8.0], [7.0, 1.0, 1.0, 1.1, 0.9, 1.0])
    tell(
        "right: 2 times" if abs(ratio - 2) < 1e-9 else "not yet: {ratio:.2f} times; it is 2",
        ratio=ratio,
    )


check_times_faster(times_faster)

# %% [markdown]
# <details><summary>답</summary>
#
# 첫 바퀴를 빼고 중앙값을 씁니다: `np.median(slow[1:]) / np.median(fast[1:])`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def times_faster_answer(slow, fast):
    return np.median(slow[1:]) / np.median(fast[1:])


print("the answer:")
check_times_faster(times_faster_answer)

# %% [markdown]
# ## 2. 산란-덧셈 네 가지
#
# 임베딩 테이블(embedding table)의 기울기(gradient)를 구하는 일은 **산란-덧셈**입니다(01장). $i$마다 행 `ids[i]`에
# 벡터 `terms[i]`를 더합니다. 이것을 네 가지 방법으로 써 봅니다. 모두 찾은 행을 한 번씩만, 그 합과 함께 돌려줍니다.


# %%
def by_loop(ids, terms):
    sums = {}
    for i, row in enumerate(ids.tolist()):
        sums[row] = sums.get(row, 0) + terms[i]
    rows = np.array(sorted(sums))
    return rows, np.array([sums[row] for row in rows.tolist()])


def by_add_at(ids, terms):
    rows, group = np.unique(ids, return_inverse=True)
    sums = np.zeros((len(rows), terms.shape[1]), terms.dtype)
    np.add.at(sums, group, terms)
    return rows, sums


def by_sorting(ids, terms):
    order = np.argsort(ids, kind="stable")
    rows, start = np.unique(ids[order], return_index=True)
    return rows, np.add.reduceat(terms[order], start, axis=0)


def by_kernel(ids, terms):
    return md.kernels.scatter_add(ids, terms, None, None, num_rows)


# %%
num_rows, n, D = 100_000, 20_000, 16
ids = np.minimum(rng.zipf(1.2, n) - 1, num_rows - 1)  # 몇몇 아이디는 아주 자주 나옵니다
terms = rng.normal(size=(n, D)).astype(np.float32)
ways = {
    "loop over ids": by_loop,
    "np.add.at": by_add_at,
    "sort, then reduceat": by_sorting,
    f"the library ({md.kernels.backend})": by_kernel,
}
right = by_loop(ids, terms)
for name, way in ways.items():
    rows, sums = way(ids, terms)
    same = np.array_equal(rows, right[0]) and np.allclose(sums, right[1], rtol=1e-3, atol=1e-3)
    print(f"{name:24} the same rows and sums: {same}")

# %% tags=["timing"]
times = seconds(*(lambda way=way: way(ids, terms) for way in ways.values()), repeats=3)
fig, ax = plt.subplots(figsize=(6.4, 2.6), layout="constrained")
ratio = np.array(times) / times[-1]
bars = ax.barh(list(ways), ratio, color="0.6", edgecolor="0.3")
ax.bar_label(bars, labels=[f" {r:.0f}×" if r > 1.5 else " 1×" for r in ratio])
ax.set(xscale="log", xlabel="time, as multiples of the library's", xlim=(0.5, 6 * ratio.max()))
ax.invert_yaxis()

# %% [markdown]
# 왜 이럴까요? 파이썬 반복문은 아이디(id)마다 배열 객체를 만듭니다. `np.add.at`은 숫자 하나마다 안쪽 반복문을 새로
# 부릅니다. 정렬하면 같은 행끼리 모이므로 행마다 한 번만 쓰면 됩니다. 라이브러리도 정렬합니다(비교하지 않는 기수 정렬,
# radix sort). 그리고 메모리를 차례대로 읽는 컴파일된 반복문으로 더합니다.
#
# ### 직접 해 보기
#
# `sums[group] += terms`는 빠르지만 틀립니다. NumPy는 먼저 `sums[group]`을 모두 읽고, 더하고, 그다음에 모두 되돌려
# 씁니다. 배열로 인덱싱한 대입은 **버퍼를 거칩니다**. 한 행에 더할 항이 여럿이면 마지막에 쓴 것만 남습니다.
# 스레드(thread)와는 상관이 없습니다. `np.bincount(group, weights=...)`를 열마다 써서, 빠르면서 옳은 코드를 만들어
# 보세요. 행 찾기의 역전파(backward pass)이므로 기울기 검사기(checker)로 검사할 수 있습니다.


# %%
def gather_with(scatter):
    """Return the pair (forward, backward) of a lookup, for the checker."""

    def look_up(table, ids):
        return table[ids], (ids, table.shape)

    def backward(dy, cache):
        ids, shape = cache
        return md.SparseGrad(*scatter(ids, dy), shape)

    return look_up, backward


# %%
def by_bincount(ids, terms):
    rows, group = np.unique(ids, return_inverse=True)
    sums = np.zeros((len(rows), terms.shape[1]), terms.dtype)
    sums[group] += terms  # 직접 해 보기 (your turn)
    return rows, sums


source = np.random.default_rng(1)
small_table, some_ids = source.normal(size=(9, 2)), source.integers(0, 9, 12)
report = md.gradcheck(gather_with(by_bincount), small_table, some_ids)

# %% [markdown]
# <details><summary>답</summary>
#
# `bincount`는 번호가 같은 것의 가중치를 더합니다. 열 `d`마다
# `sums[:, d] = np.bincount(group, weights=terms[:, d])`입니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def by_bincount_answer(ids, terms):
    rows, group = np.unique(ids, return_inverse=True)
    columns = [np.bincount(group, weights=terms[:, d]) for d in range(terms.shape[1])]
    return rows, np.stack(columns, axis=1).astype(terms.dtype)


report = md.gradcheck(gather_with(by_bincount_answer), small_table, some_ids, verbose=False)
print("the answer: passed =", report.passed)
rows, sums = by_bincount_answer(ids, terms)
print("all", len(rows), "rows of before, the same:", np.allclose(sums, right[1], atol=1e-2))

# %% [markdown]
# ## 3. 테이블 전체를 훑지 마세요
#
# 배치(batch) 하나가 쓰는 행은 수천 개입니다. 테이블에는 수백만 개가 있을 수 있습니다. *밀집*(dense) 스텝은 0으로
# 가득한, 테이블만큼 큰 기울기를 만들고 그것을 모두 훑습니다. *희소*(sparse) 스텝(`md.SparseGrad`: 행과 값)은 배치에
# 나온 행만 건드립니다.


# %%
def dense_step(table, rows, values):
    grad = np.zeros_like(table)
    grad[rows] = values
    table -= 0.1 * grad


def sparse_step(table, rows, values):
    table[rows] -= 0.1 * values


rows, values = by_sorting(rng.integers(0, 1000, 2000), terms[:2000])
one = rng.normal(size=(1000, D)).astype(np.float32)
two = one.copy()
dense_step(one, rows, values)
sparse_step(two, rows, values)
print("the same table:", np.array_equal(one, two))

# %% tags=["timing"]
table_sizes = [1_000, 10_000, 100_000, 1_000_000]
measured = []
for size in table_sizes:
    table = np.zeros((size, D), np.float32)
    steps = [lambda f=f, t=table: f(t, rows, values) for f in (dense_step, sparse_step)]
    measured.append(seconds(*steps, repeats=3))
fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
dense_time, sparse_time = 1e3 * np.array(measured).T
ax.loglog(table_sizes, dense_time, "s--", label="dense: grows with the table")
ax.loglog(table_sizes, sparse_time, "o-", label="sparse: the rows of the batch")
ax.set(xlabel="rows of the table", ylabel="time of a step (ms)", title="2,000 lookups, D = 16")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# ### 직접 해 보기
#
# 모멘텀(momentum)은 테이블과 모양(shape)이 같은 속도 $v$를 둡니다. $v \leftarrow \mu v + g$,
# $w \leftarrow w - \eta v$입니다. $w$는 테이블이고, $g$는 그 기울기, $\mu$는 모멘텀, $\eta$는 학습률(learning
# rate)입니다. 빈칸의 코드는 테이블 전체를 훑습니다. *게으른*(lazy) 꼴을 써 보세요. 배치에 나온 행만 줄어들고
# 움직입니다.


# %%
def lazy_momentum(w, v, rows, g, lr=0.1, mu=0.9):
    v *= mu  # 직접 해 보기 (your turn): 이것은 테이블 전체입니다
    v[rows] += g
    w -= lr * v


def check_lazy(function):
    w, v, rows = np.ones((6, 3)), np.ones((6, 3)), np.array([1, 4])
    function(w, v, rows, np.array([[0.5] * 3, [-0.5] * 3]))
    right_w, right_v = np.ones((6, 3)), np.ones((6, 3))
    right_v[1], right_v[4], right_w[1], right_w[4] = 1.4, 0.4, 0.86, 0.96
    wrong = md.checking.difference((w, v), (right_w, right_v), "w, v")
    tell(
        "not yet: all of w and v were 1, the batch has the rows {rows}, and now {wrong}"
        if wrong
        else "right",
        rows=rows,
        wrong=wrong,
    )


check_lazy(lazy_momentum)

# %% [markdown]
# <details><summary>답</summary>
#
# `v[rows] = mu * v[rows] + g`, 그다음 `w[rows] -= lr * v[rows]`입니다. 행이 서로 다르므로 버퍼를 거치는 대입도
# 여기서는 해가 없습니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def lazy_momentum_answer(w, v, rows, g, lr=0.1, mu=0.9):
    v[rows] = mu * v[rows] + g
    w[rows] -= lr * v[rows]


print("the answer:")
check_lazy(lazy_momentum_answer)

# %% [markdown]
# ## 4. 한 스텝의 시간은 어디로 갈까?
#
# 테이블이 26개인 DLRM과 표본(sample)이 2,048개인 배치를 씁니다. 순전파(forward pass)와 역전파에서 부분마다 시간을
# 잽니다.

# %%
sizes = [40_000] * 26
model = md.DLRM(13, sizes, 16, bottom_mlp=(512, 256, 64), top_mlp=(512, 256))
batch = md.data.Batch(
    rng.normal(size=(2048, 13)).astype(np.float32),
    np.minimum(rng.zipf(1.2, (2048, 26)) - 1, 39_999),
    rng.integers(0, 2, 2048).astype(np.float32),
)
parts = {"embeddings": model.embeddings, "bottom MLP": model.bottom}
parts |= {"interaction": model.interaction, "top MLP": model.top}


# %% tags=["timing"]
def timed_step(spent):
    """One step; the time of each part's forward and backward is added to spent."""

    def timed(name, phase, function):
        def run(*arguments):
            start = time.perf_counter()
            result = function(*arguments)
            spent[name, phase] = spent.get((name, phase), 0) + time.perf_counter() - start
            return result

        return run

    for name, part in parts.items():
        part.forward = timed(name, "forward", type(part).forward.__get__(part))
        part.backward = timed(name, "backward", type(part).backward.__get__(part))
    optimizer.step(model.parameters())
    model.zero_grad()
    loss.forward(model.forward(batch), batch.label)
    model.backward(loss.backward())


loss, optimizer, spent = md.BCEWithLogits(), md.SGD(0.01), {}
timed_step({})
for _ in range(5):
    timed_step(spent)

# %% tags=["timing"]
fig, ax = plt.subplots(figsize=(6.4, 2.6), layout="constrained")
total, left = sum(spent.values()), np.zeros(len(parts))
for phase, color in (("forward", "0.75"), ("backward", "0.4")):
    width = np.array([100 * spent[name, phase] / total for name in parts])
    ax.barh(list(parts), width, left=left, color=color, edgecolor="0.2", label=phase)
    left += width
ax.set(xlabel="share of the time of a step (%)")
ax.legend()
ax.invert_yaxis()

# %% [markdown]
# 역전파는 순전파의 두 배쯤 되는 연산을 합니다. 순전파의 행렬 곱 하나가 역전파에서는 $dW$를 위한 것과 $dx$를 위한 것,
# 둘이 되기 때문입니다. *이 크기에서는* MLP가 시간을 가장 많이 씁니다. 테이블이 더 크거나 배치가 작으면
# 임베딩(embedding)이 더 많이 씁니다.
#
# ### 직접 해 보기
#
# 미리 알 수 있었을까요? 표본 $B$개, 크기 $D$인 벡터 $F$개, 그리고 두 MLP의 층별 크기가 주어질 때, 순전파에서 부분마다
# 하는 **곱셈**의 수를 세어 보세요. 실마리가 세 가지 있습니다. 숫자 $n$개를 $m$개로 바꾸는 층(layer)에는
# 가중치(weight) $n m$개로 된 행렬이 있고, 가중치마다 표본 하나에 한 번 곱합니다. 쌍은 $P = F (F - 1) / 2$개이고,
# 쌍마다 내적(dot product)을 하나씩 구합니다. 백(bag)마다 아이디가 하나면 행 찾기는 복사만 합니다. 빈칸의 코드는
# 부분마다 *출력*의 수를 셉니다.


# %%
def check_work(function):
    """Compare with the sizes of the model above."""
    bottom, top = (13, 512, 256, 64, 16), (16 + 351, 512, 256, 1)  # 쌍 351개
    right = dict(zip(parts, (0, 155_136, 5_616, 319_232), strict=True))  # 표본 하나
    counted = function(2048, 27, 16, bottom, top)
    total = max(1, sum(counted.values()))
    for name, count in counted.items():
        said = say(
            "{count} a sample, {share} of all",
            count=f"{count / 2048:,.0f}",
            share=f"{100 * count / total:.1f}%",
        )
        if count == 2048 * right[name]:
            tell("{name:12} right: {said}", name=name, said=said)
        else:
            tell(
                "{name:12} not yet: {said}; it is {right:,} a sample",
                name=name,
                said=said,
                right=right[name],
            )


# %%
def work_of(B, F, D, bottom, top):
    P = F * (F - 1) // 2  # 쌍
    return {
        "embeddings": B
        * (F - 1)
        * D,  # 직접 해 보기 (your turn): 이것은 곱셈이 아니라 출력의 수입니다
        "bottom MLP": B * sum(bottom[1:]),
        "interaction": B * P,
        "top MLP": B * sum(top[1:]),
    }


check_work(work_of)

# %% [markdown]
# <details><summary>답</summary>
#
# 행 찾기에는 곱셈이 없습니다. 쌍 하나는 숫자 $D$개의 내적이므로 모두 $P D$번입니다. MLP는 층에 대해 더하여
# $\sum n m$번입니다. (라이브러리의 상호작용 층은 $F^2$개의 내적 $\langle z_i, z_j \rangle$를 모두 구하고 절반만
# 남깁니다. 연산은 더 많지만 큰 호출 한 번으로 끝납니다.)
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def work_of_answer(B, F, D, bottom, top):
    P = F * (F - 1) // 2
    return {
        "embeddings": 0,
        "bottom MLP": B * sum(n * m for n, m in pairwise(bottom)),
        "interaction": B * P * D,
        "top MLP": B * sum(n * m for n, m in pairwise(top)),
    }


print("the answer:")
check_work(work_of_answer)

# %% [markdown]
# 이 비율을 그림과 비교해 보세요. 서로 맞지 않습니다. 임베딩은 순전파에서 곱셈을 하나도 하지 않는데도 시간을 씁니다.
# 연산만으로는 다 설명할 수 없습니다. 나머지는 메모리입니다.
#
# ## 5. 연산인가, 메모리인가? 루프라인
#
# 프로세서는 두 가지 일을 합니다. 계산을 하고(FLOPs, 곧 덧셈과 곱셈), 바이트를 옮깁니다. 한 작업의 **연산
# 강도**(arithmetic intensity)는 둘의 비율입니다.
#
# $$ I = \frac{\text{FLOPs}}{\text{bytes moved}} . $$
#
# 분모는 옮긴 바이트 수입니다. 이 기계가 1초에 많아야 $R$ FLOPs를 계산하고 많아야 $\beta$ 바이트를 옮긴다고 합시다.
# 그러면 어떤 작업도 1초에 $\min(R, I \beta)$ FLOPs보다 많이 계산할 수 없습니다. 두 축을 로그로 그리면 이 선이
# 지붕처럼 보입니다.
#
# ### 직접 해 보기
#
# 합으로 풀링(pooling)하는 행 찾기의 바이트를 세어 보세요. 표본 $B$개가 저마다 행을 $n$개 찾아서 더합니다. 행은
# 4바이트짜리 숫자 $D$개입니다. 모든 행을 한 번 읽고, 모든 합을 한 번 씁니다. 아이디는 하나에 8바이트입니다. 빈칸의
# 코드는 출력과 아이디를 빠뜨렸습니다.


# %%
def traffic(B, n, D):
    flops = B * (n - 1) * D
    moved = 4 * B * n * D  # 직접 해 보기 (your turn): 바이트
    return flops, moved


def check_traffic(function):
    wrong = md.checking.difference(function(B=100, n=4, D=16), (4800, 35_200), "flops, bytes")
    tell("not yet: for B = 100, n = 4, D = 16, {wrong}" if wrong else "right", wrong=wrong)


check_traffic(traffic)

# %% [markdown]
# <details><summary>답</summary>
#
# `4 * B * n * D + 4 * B * D + 8 * B * n`: 읽은 행, 쓴 합, 읽은 아이디입니다. 연산 강도는 $D$가 얼마든 1/4보다
# 작습니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def traffic_answer(B, n, D):
    return B * (n - 1) * D, 4 * B * n * D + 4 * B * D + 8 * B * n


print("the answer:")
check_traffic(traffic_answer)

# %% [markdown]
# 이제 이 기계의 지붕을 잽니다. $R$은 큰 행렬 곱으로, $\beta$는 어느 캐시에도 들어가지 않는 배열을 복사하여 잽니다.

# %% tags=["timing"]
square = rng.normal(size=(1024, 1024)).astype(np.float32)
large, target = np.ones(20_000_000, np.float32), np.empty(20_000_000, np.float32)
product, copy = seconds(lambda: square @ square, lambda: np.copyto(target, large), repeats=5)
peak, bandwidth = 2 * 1024**3 / product, 2 * large.nbytes / copy
points = {}
for name, width in (("matrix product, B = 2048", 2048), ("matrix product, B = 16", 16)):
    x, W = np.ones((width, 512), np.float32), np.ones((512, 512), np.float32)
    (took,) = seconds(lambda x=x, W=W: x @ W.T, repeats=9)
    flops, moved = 2 * width * 512 * 512, 4 * (2 * width * 512 + 512 * 512)
    points[name] = flops / moved, flops / took
table = np.ones((1_000_000, 16), np.float32)
bags = md.EmbeddingBag(1_000_000, 16, mode="sum", rng=np.random.default_rng(0))
lookups, offsets = rng.integers(0, 1_000_000, 80_000), np.arange(0, 80_000, 4)
(took,) = seconds(lambda: bags.forward(lookups, offsets), repeats=5)
flops, moved = traffic_answer(20_000, 4, 16)
points["lookup and sum"] = flops / moved, flops / took
peak = max(peak, *(rate for _, rate in points.values()))

# %% tags=["timing"]
fig, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
intensity = np.geomspace(0.05, 1000, 100)
ax.loglog(intensity, np.minimum(peak, intensity * bandwidth) / 1e9, "-", color="0.3", label="roof")
for (name, (x, y)), marker in zip(points.items(), "os^", strict=True):
    ax.loglog(x, y / 1e9, marker, label=name, ms=9)
ax.set(xlabel="arithmetic intensity (FLOPs a byte)", ylabel="billion FLOPs a second")
ax.legend()
ax.grid(alpha=0.3, which="both")

# %% [markdown]
# 꺾인 곳의 왼쪽에서는 메모리가, 오른쪽에서는 연산이 한계입니다. 행 찾기는 왼쪽 멀리에 있습니다. 프로세서가 빨라져도
# 도움이 되지 않고, 여기저기 흩어진 행은 이웃한 행보다 비용이 더 듭니다. 큰 행렬의 곱은 오른쪽에 있습니다. 배치가
# 작으면 왼쪽으로 옮겨 갑니다. 행렬 $W$를 읽어서 표본 몇 개에만 쓰기 때문입니다. 비스듬한 선보다 위에 있는 점은 잘못이
# 아닙니다. 메모리보다 빠른 캐시에서 숫자를 가져온 것입니다.
#
# ### 바이트를 절반으로
#
# float32의 바이트 수는 float64의 절반입니다. 메모리에서 1초에 오는 숫자도, 레지스터(register) 하나에 들어가는 숫자도
# 두 배입니다. 기울기 검사에는 float64가 필요하지만 학습에는 필요하지 않습니다.

# %% tags=["timing"]
double = square.astype(np.float64)
single, twice = seconds(lambda: square @ square, lambda: double @ double)
print(f"a matrix product in float64 takes {twice / single:.1f} times as long as in float32")

# %% [markdown]
# ## 6. 큰 호출
#
# 작은 배열을 여러 번 처리하는 것보다 큰 배열을 한 번에 처리하는 것이 낫습니다. 파이썬에서는 호출할 때마다 일정한
# 비용이 들기 때문입니다. 그래서 라이브러리는 모델의 모든 테이블을 한 배열에 두고 호출 한 번으로 모두 찾습니다. 학습
# 스텝 하나의 비용을 표본마다로 나누어 봅시다.

# %% tags=["timing"]
small = md.DLRM(13, [1000] * 26, 16, bottom_mlp=(64,), top_mlp=(64,))
batch_sizes = [1, 4, 16, 64, 256, 1024, 4096]


def step(rows):
    small.zero_grad()
    loss.forward(small.forward(rows), rows.label)
    small.backward(loss.backward())
    optimizer.step(small.parameters())


per_sample = []
for B in batch_sizes:
    label = np.ones(B, np.float32)
    rows = md.data.Batch(np.ones((B, 13), np.float32), rng.integers(0, 1000, (B, 26)), label)
    per_sample.append(1e6 * seconds(lambda rows=rows: step(rows))[0] / B)
fig, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
ax.loglog(batch_sizes, per_sample, "o-")
ax.set(xlabel="batch size, B", ylabel="time a sample (µs)", title="The cost of a call is shared")
ax.grid(alpha=0.3)

# %% [markdown]
# 오른쪽에서는 다시 올라갈 수도 있습니다. 배치의 배열들이 더는 캐시에 들어가지 않거나, 행렬 곱이 스레드를 쓸 만큼
# 커졌는데 비어 있는 코어(core)가 없을 때입니다(7절).
#
# ### 직접 해 보기
#
# 표본이 $B$개인 스텝에 $c + B s$만큼 걸린다고 합시다. $c$는 호출의 비용이고 $s$는 표본 하나의 비용입니다. 두 가지
# 배치 크기에서 잰 시간으로 $c$와 $s$를 구하세요. 빈칸의 코드는 모든 시간이 표본의 비용이라고 합니다.


# %%
def cost_of_a_call(B1, time1, B2, time2):
    s = time2 / B2
    return 0.0, s  # 직접 해 보기 (your turn): c와 s


def check_cost_of_a_call(function):
    c, s = function(10, 230.0, 1000, 3200.0)  # µs
    for B, took in ((10, 230), (1000, 3200)):
        if abs(c + B * s - took) > 1e-6:
            tell(
                "not yet: with your c and s, B = {B} takes {said:.0f} µs; measured: {took}",
                B=B,
                said=c + B * s,
                took=took,
            )
            return
    tell("right: c = 200 µs, s = 3 µs")


check_cost_of_a_call(cost_of_a_call)

# %% [markdown]
# <details><summary>답</summary>
#
# 방정식 두 개를 풉니다: `s = (time2 - time1) / (B2 - B1)`, 그리고 `c = time1 - B1 * s`.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def cost_of_a_call_answer(B1, time1, B2, time2):
    s = (time2 - time1) / (B2 - B1)
    return time1 - B1 * s, s


print("the answer:")
check_cost_of_a_call(cost_of_a_call_answer)

# %% [markdown]
# ## 7. 스레드
#
# 행렬 곱은 저절로 모든 코어에서 돌아갑니다. NumPy가 행렬 곱을 BLAS 라이브러리(basic linear algebra subprograms)에
# 맡기는데, BLAS가 스레드를 쓰기 때문입니다. 스레드의 수는 NumPy를 불러올 때 환경 변수에서 한 번만 읽습니다. 그래서
# 스레드의 수마다 파이썬을 새로 띄우고, 모양이 $(n, n)$인 두 행렬의 곱에 걸리는 시간을 잽니다.

# %%
PROGRAM = """
import sys, time
import numpy as np
for n in map(int, sys.argv[1:]):
    x, W, laps = np.ones((n, n), np.float32), np.ones((n, n), np.float32), []
    for _ in range(6):
        start = time.perf_counter()
        x @ W.T
        laps.append(time.perf_counter() - start)
    print(np.median(laps[1:]))
"""
NAMES = ["OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"]


def product_times(threads, sizes):
    """Time products in a new process, in which BLAS has this many threads."""
    environment = os.environ | dict.fromkeys(NAMES, str(threads))
    command = [sys.executable, "-c", PROGRAM, *map(str, sizes)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return np.array(done.stdout.split(), float)


# %% tags=["timing"]
cores, widths = os.cpu_count() or 1, [16, 32, 64, 128, 256, 512, 1024]
one_thread, all_cores = product_times(1, widths), product_times(cores, widths)
fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
ax.loglog(widths, 1e3 * one_thread, "o-", color="0.2", label="1 thread")
ax.loglog(widths, 1e3 * all_cores, "s--", color="0.55", label=f"all cores: {cores}")
ax.set(xlabel="n: width of both matrices", ylabel="time of a product (ms)")
ax.set_xticks(widths, widths, minor=False)
ax.minorticks_off()
ax.set_title("Threads of BLAS")
ax.legend()
ax.grid(alpha=0.3)
for k in (1, -1):
    gain = one_thread[k] / all_cores[k]
    print(f"n = {widths[k]:4}: 1 thread takes {gain:.2f} times as long as {cores}")

# %% [markdown]
# 스레드는 깨워야 하고 기다려야 합니다. 여기에 마이크로초 단위의 시간이 드는데, 작은 행렬 곱 하나와 맞먹습니다. 그래서
# 스레드는 큰 행렬 곱만 빠르게 할 수 있고, 많아야 코어의 수만큼만, 그것도 코어가 *비어* 있을 때만 그렇습니다. 다른
# 프로그램이 코어를 쓰고 있으면 스레드는 저마다 차례를 기다리고, 모든 스레드가 마지막 스레드를 기다립니다. 그러면
# 파선이 다른 선보다 훨씬 **위**에 있을 수 있습니다.
#
# 라이브러리의 커널(kernel)은 코어를 하나만 씁니다. 왜 모두 쓰지 않을까요? Numba는 *자신의* 스레드를 따로 띄웁니다.
# 그러면 두 무리의 스레드가 번갈아 일하고, 쉬는 무리는 기다리면서 헛돕니다. 어떤 기계에서는 스텝이 3배에서 30배까지
# 느려집니다. 한 무리면 충분합니다. 행 찾기가 기다리는 것은 연산이 아니라 메모리이기 때문입니다.
#
# ### 직접 해 보기
#
# 스레드로 얼마나 빨라질 수 있을까요? 스레드 하나로 스텝에 걸리는 시간을 1이라고 합시다. 그 가운데 비율 $p$는 행렬
# 곱이고, 스레드가 $m$개면 $m$배 빨라집니다. 나머지는 그대로입니다. 스레드가 $m$개면 스텝은 몇 배 빨라질까요? 스레드를
# 얼마든지 쓸 수 있다면요? 빈칸의 코드는 모든 것이 $m$배 빨라진다고 합니다.


# %%
def check_threads(function):
    with_m, at_most = function(4, 0.9)
    if abs(with_m - 1 / 0.325) < 1e-9 and abs(at_most - 10) < 1e-9:
        tell(
            "right: with p = 0.9, 4 threads make a step 3.08 times as fast, and no number more than 10"
        )
        return
    tell(
        "not yet: with p = 0.9, 4 threads give {with_m:.2f} times, at most {at_most:.2f} times",
        with_m=with_m,
        at_most=at_most,
    )
    took = 1 / with_m
    tell(
        "  so your step takes {took:.3f}; but the part without threads alone takes 0.1, and the "
        "products take 0.9 / 4 = 0.225",
        took=took,
    )


# %%
def times_faster_with(m, p):
    with_m = m  # 직접 해 보기 (your turn)
    at_most = np.inf  # 직접 해 보기 (your turn)
    return with_m, at_most


check_threads(times_faster_with)

# %% [markdown]
# <details><summary>답</summary>
#
# 스텝에는 $(1 - p) + p / m$이 걸리고, $1 - p$보다 짧아지는 일은 없습니다. 그래서 $1 / (1 - p + p / m)$배 빨라지고,
# 많아야 $1 / (1 - p)$배입니다. 이것이 암달의 법칙(Amdahl's law)입니다. 빠르게 하지 않은 부분이 곧 남은 시간의 전부가
# 됩니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def times_faster_with_answer(m, p):
    with_m = 1 / (1 - p + p / m)
    at_most = 1 / (1 - p)
    return with_m, at_most


print("the answer:")
check_threads(times_faster_with_answer)

# %% [markdown]
# ## 8. 스텝이 빨라지는 길
#
# 라이브러리의 학습 스텝이 지나온 길입니다. $B = 2048$일 때입니다. 스레드의 수와 붙잡아 둔 메모리는
# 프로세스(process)에 딸린 것이므로 단계마다 파이썬을 새로 띄웁니다.
#
# 1. **손으로**: 다섯 줄로, 배치 전체를 한꺼번에 처리합니다. BLAS는 곱 하나마다 모든 코어를 씁니다.
# 2. **메모리를 붙잡아 두기.** 스텝은 메가바이트 크기의 배열을 만듭니다. 배열을 버리면 시스템이 메모리를 가져가고,
#    다시 내줄 때 4 KiB 쪽(page)마다 지웁니다. 이것을 *페이지 폴트*(page fault)라고 합니다. 호출 한 번으로 C
#    라이브러리(리눅스의 glibc)가 메모리를 붙잡아 두게 할 수 있습니다.
# 3. **BLAS의 스레드는 하나.** BLAS의 스레드는 곱 하나마다 서로를 기다립니다. 작은 곱에서도 그렇습니다.
# 4. **블록.** 배치를 수백 행짜리 블록으로 자릅니다. 그러면 블록의 배열들이 캐시에 머무릅니다.
# 5. **작업자.** 코어마다 자기 블록을 맡습니다. 작업자들은 곱마다가 아니라 스텝마다 한 번만 만납니다. `fit`이 하는
#    방식입니다.

# %%
SET_UP = """
import sys, time
import numpy as np
import minidlrm as md
from minidlrm import machine

stage, B = sys.argv[1], 2048
rng, sizes = np.random.default_rng(0), [10_000] * 26
dense, ids = rng.normal(size=(4 * B, 13)), rng.integers(0, 10_000, (4 * B, 26))
rows = md.data.Batch(dense.astype(np.float32), ids, np.ones(4 * B, np.float32))
model = md.DLRM(13, sizes, 16, bottom_mlp=(512, 256, 64), top_mlp=(512, 256))
loss, optimizer = md.BCEWithLogits(), md.SGD(0.01)
"""

# %% [markdown]
# 한 에폭(epoch), 곧 네 스텝을 실행하는 두 가지 방법입니다.

# %%
WAYS = """
def by_hand():
    for batch in md.data.minibatches(rows, B):
        model.zero_grad()
        loss.forward(model.forward(batch), batch.label)
        model.backward(loss.backward())
        optimizer.step(model.parameters())

def in_blocks():
    workers = 1 if stage == "blocks" else None
    md.fit(model, rows, optimizer=optimizer, batch_size=B, workers=workers, progress=False)
"""

# %% [markdown]
# 첫 에폭은 준비로 돌리고, 그다음에 잽니다. 재는 것은 한 스텝에 걸린 시간(초)과 페이지 폴트의 수입니다.

# %%
MEASURE = """
def faults():
    try:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    except ImportError:  # Windows
        return 0

def run(epoch):
    laps = []
    for _ in range(3):
        before, start = faults(), time.perf_counter()
        epoch()
        laps.append((time.perf_counter() - start, faults() - before))
    print(*(np.median(laps[1:], axis=0) / 4))

if stage in ("memory", "one thread"):
    machine.keep_memory()
if stage == "one thread":
    machine.set_blas_threads()
run(by_hand if stage in ("by hand", "memory", "one thread") else in_blocks)
"""

# %%
STAGES = {
    "by hand": "by hand",
    "memory": "+ memory kept",
    "one thread": "+ BLAS with one thread",
    "blocks": "+ blocks",
    "workers": "+ workers: fit",
}


def stage_of_the_road(stage):
    """Return seconds and page faults of a step, measured in a new process."""
    command = [sys.executable, "-c", SET_UP + WAYS + MEASURE, stage]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


# %% tags=["timing"]
road = np.array([stage_of_the_road(stage) for stage in STAGES])
ratios = road[:, 0] / road[0, 0]
fig, ax = plt.subplots(figsize=(6.4, 2.8), layout="constrained")
bars = ax.barh(list(STAGES.values()), ratios, color="0.7", edgecolor="0.3")
ax.bar_label(
    bars,
    labels=[f" {r:.2f}, {f:,.0f} page faults" for r, f in zip(ratios, road[:, 1], strict=True)],
)
ax.set(xlabel="time of a step; by hand = 1", xlim=(0, 1.7 * ratios.max()))
ax.invert_yaxis()

# %% [markdown]
# 다른 일을 하지 않는 기계에서는 셋째 막대가 가장 길 수도 있습니다. 모든 행렬 곱이 코어 하나에서 돌아가기 때문입니다.
# 다른 프로그램이 돌고 있으면 처음 두 막대가 깁니다. 곱마다, 코어를 얻지 못한 스레드를 기다리기 때문입니다. 스텝마다
# 한 번 만나는 스레드는 곱마다 만나는 스레드보다 덜 기다립니다.
#
# 블록으로 나누어 구한 기울기는 배치의 기울기와 같아야 합니다. 그리고 작업자가 몇이든 비트까지 같아야 합니다.
# 부동소수점의 합은 더하는 순서에 따라 달라집니다. 그래서 라이브러리는 블록들을 나무 모양으로 더하고, 나무의 모양은
# $B$로만 정해집니다. $((g_0 + g_1) + (g_2 + g_3))$처럼 더합니다. 어느 부분을 누가 언제 가져오는지는 상관이 없습니다.
#
# ### 직접 해 보기
#
# 배치의 손실(loss)은 행에 대한 평균입니다. 블록은 *자신의* $B_k$개 행에 대한 평균의 기울기 $g_k$를 냅니다. 배치
# 전체의 기울기는 무엇일까요? 빈칸의 코드는 모든 $g_k$의 평균을 냅니다. 블록의 크기가 모두 같을 때만 맞습니다.


# %%
def gradient_of_the_batch(gradients, sizes):
    return sum(gradients) / len(gradients)  # 직접 해 보기 (your turn)


def check_gradient_of_the_batch(function):
    found = function([np.array([1.0, 2.0]), np.array([4.0, -1.0])], [6, 2])
    wrong = md.checking.difference(found, np.array([1.75, 1.25]), say("the gradient"))
    text = say("not yet: for g = [1, 2] of 6 rows and [4, -1] of 2 rows,")
    print(f"{text} {wrong}" if wrong else "right")


check_gradient_of_the_batch(gradient_of_the_batch)

# %% [markdown]
# <details><summary>답</summary>
#
# $\frac{1}{B} \sum_k B_k g_k$: `sum(n * g for n, g in zip(sizes, gradients)) / sum(sizes)`. 라이브러리는
# 역전파를 시작하기 전에 손실의 기울기를 $B$로 나눕니다. 그러면 블록은 더하기만 하면 됩니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def gradient_of_the_batch_answer(gradients, sizes):
    return sum(n * g for n, g in zip(sizes, gradients, strict=True)) / sum(sizes)


print("the answer:")
check_gradient_of_the_batch(gradient_of_the_batch_answer)


# %%
def weight_gradient(rows):
    model.zero_grad()
    loss.forward(model.forward(rows), rows.label)
    model.backward(loss.backward())
    return model.top.layers[0].weight.grad.copy()


whole, cuts = weight_gradient(batch), [0, 700, 1400, 2048]
parts_of_it = [weight_gradient(batch[first:last]) for first, last in pairwise(cuts)]
joined = gradient_of_the_batch_answer(parts_of_it, np.diff(cuts))
print("three blocks give the gradient of the batch:", np.allclose(joined, whole, atol=1e-6))

# %% [markdown]
# ### 정렬은 한 번
#
# 인수분해 기계(factorization machine)에는 아이디마다 행이 둘 있습니다. 가중치 하나와, 숫자 $D$개로 된 벡터입니다. 두
# 기울기의 아이디는 같습니다. 따로따로 산란-덧셈을 하면 같은 아이디를 두 번 정렬합니다. 나란히 놓아 $D + 1$개의 열로
# 만들면 한 번만 정렬합니다. 얼마나 이득인지는 $D$에 달려 있습니다. 덧셈은 $D$와 함께 늘지만 정렬은 늘지 않기
# 때문입니다.


# %%
def two_sorts(ids, vectors, weights):
    return by_kernel(ids, vectors)[1], by_kernel(ids, weights)[1]


def one_sort(ids, vectors, weights):
    rows, sums = by_kernel(ids, np.hstack([vectors, weights]))
    return sums[:, :-1], sums[:, -1:]


weights = rng.normal(size=(n, 1)).astype(np.float32)
one, two = one_sort(ids, terms, weights), two_sorts(ids, terms, weights)
print("the same sums:", all(np.allclose(a, b) for a, b in zip(one, two, strict=True)))

# %% tags=["timing"]
twice, once = seconds(lambda: two_sorts(ids, terms, weights), lambda: one_sort(ids, terms, weights))
print(f"two sorts take {twice / once:.2f} times as long as one")

# %% [markdown]
# ## 9. 이 장의 박물관
#
# 빠르지만 틀린 것들입니다. 다음 셀(cell)을 실행하기 전에, 무엇이 잘못되는지 하나하나 말해 보세요.


# %%
def sum_in_half(terms):
    """Add up in float16: a quarter of the bytes of float64."""
    total = np.float16(0)
    for term in terms.astype(np.float16):
        total = np.float16(total + term)
    return float(total)


def scatter_in_two_threads(ids, terms, num_rows):
    """What two threads without a lock can do: both read a row before one has written."""
    table = np.zeros(num_rows)
    for i in range(0, len(ids) - 1, 2):
        read = table[ids[i]], table[ids[i + 1]]  # 둘 다 읽습니다
        table[ids[i]] = read[0] + terms[i]
        table[ids[i + 1]] = read[1] + terms[i + 1]  # 그리고 한쪽의 쓰기를 잃어버립니다
    return table


# %%
print("4,096 ones, added up in float16:", sum_in_half(np.ones(4096)))
small_ids = np.array([3, 3, 1, 2, 2, 0])
print("right:      ", np.bincount(small_ids, weights=np.ones(6)))
print("two threads:", scatter_in_two_threads(small_ids, np.ones(6), 4))
buffered = np.zeros(4)
buffered[small_ids] += 1
print("buffered:   ", buffered)

# %% [markdown]
# 1. float16의 유효 숫자는 이진수로 열한 자리입니다. 2,048 다음의 수는 2,050이므로 1을 더해도 변하지 않습니다. 합은
#    float32로 구하세요.
# 2. 두 스레드가 같은 행에서 만나면 덧셈 하나를 잃어버립니다. 가끔씩만 일어나므로 실행할 때마다 결과가 다릅니다. 위의
#    코드에서는 이웃한 두 아이디가 같을 때마다 일어납니다.
# 3. 버퍼를 거치는 꼴은 겹치는 아이디를 언제나 잃어버립니다. 스레드가 하나여도 그렇습니다.
#
# 학습이 될까요? 하나씩 라이브러리의 합(산란-덧셈의 뒷부분) 자리에 넣고, 합성 클릭 데이터로 DLRM을 학습합니다. (두
# 스레드는 행 찾기를 절반씩 맡습니다. 그래서 $i$번째 행 찾기가 $i + n/2$번째와 만납니다.)


# %%
def wrong_sums(mistake):
    def add_groups(order, ends, dy, source, scale):  # order의 한 묶음이 한 행의 자리들입니다
        group = np.empty(len(order), int)
        group[order] = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
        sums, half = np.zeros((len(ends) - 1, dy.shape[1]), dy.dtype), len(order) // 2
        if mistake == "float16":
            sums = sums.astype(np.float16)
            np.add.at(sums, group, dy.astype(np.float16))
        elif mistake == "two threads":
            lost = np.zeros(len(order), bool)
            lost[:half] = group[:half] == group[half : 2 * half]
            np.add.at(sums, group[~lost], dy[~lost])
        else:
            sums[group] += dy
        return sums.astype(dy.dtype)

    return add_groups


# %%
clicks = md.data.synthetic_clicks(40_000, seed=0, num_tables=8, order=1)
kept, mistakes = md.kernels.add_groups, ("right", "float16", "two threads", "buffered")
last_losses = []
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for mistake, style in zip(mistakes, ("-", "--", "-.", ":"), strict=True):
    md.kernels.add_groups = kept if mistake == "right" else wrong_sums(mistake)
    network = md.DLRM(13, clicks.table_sizes, 8, (16,), (32,), seed=0)
    options = {"optimizer": md.SGD(lr=0.3), "batch_size": 1024, "epochs": 4, "eval_every": 16}
    history = md.fit(network, clicks.train, clicks.valid, progress=False, **options)
    ax.plot(history.column("epoch"), history.column("valid_log_loss"), style, label=mistake)
    last_losses.append(history.column("valid_log_loss")[-1])
md.kernels.add_groups = kept
assert len(set(last_losses)) == 4  # 잘못마다 배우는 것이 달라집니다
ax.set(xlabel="epoch", ylabel="validation log loss (nats)", title="Fast, wrong, and trains")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# 넷 모두 학습이 됩니다. 어느 것이 앞서는지도 곡선을 따라 바뀝니다. 이런 곡선에서는 덧셈을 잃어버린다는 것이 보이지
# 않습니다.
#
# 넷째 잘못은 시간을 재는 잘못입니다. 미리 한 번 돌리지 않으면 Numba 함수의 첫 호출에 컴파일하는 시간이 들어갑니다.
# 그러면 1밀리초짜리 커널이 1초가 걸리는 것처럼 보입니다.
#
# ## 기억할 것
#
# 1. 먼저 한 번 돌리고, 되풀이하고, 중앙값을 쓰고, 한 번의 실행 안에서 비교합니다.
# 2. 정렬하고, 행마다 한 번만 씁니다. 테이블 전체를 훑지 않습니다.
# 3. 행 찾기는 메모리를, MLP는 연산을 기다립니다. 어느 것이 한계인지는 루프라인이 보여 줍니다.
# 4. 호출은 크게, 스레드는 한 무리만, 숫자는 float32로.
# 5. 메모리를 붙잡아 두고, 배치를 블록으로 자르고, 스레드는 스텝마다 한 번만 만나게 합니다.
#
# 다음: 09장, 더 나아가기.
