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
# # 11 · 어느 행이 뜨거운가
#
# [![Colab에서 열기](../colab.svg)](https://colab.research.google.com/github/)
#
# [English](../11_which_rows_are_hot.ipynb) · [튜토리얼 안내](README.md) · [용어집](glossary.md)
#
# DLRM은 거의 전부가 테이블입니다. 그런데 배치(batch) 하나는 그 가운데 몇 행만 읽습니다. *같은* 몇 행이 거듭 나온다면
# 작고 빠른 메모리로 대부분을 찾아올 수 있고, 테이블의 나머지는 멀리 있어도 됩니다. 얼마나 작아도 될까요? DLRM 논문은
# 4.2절에서 이것을 **스택 거리**(stack distance)로 잽니다. 이 장에서는 스택 거리를 손으로 구하고, 캐시(cache)를 흉내
# 내 봅니다. 그리고 조회(look-up)를 한 번 훑기만 하면 모든 크기의 캐시가 놓치는 수를 한꺼번에 알 수 있는 까닭을 봅니다.
#
# 01장의 내용이 필요합니다. 읽는 시간은 약 40분입니다.
#
# **이 장을 마치면** 스택 거리, LRU 캐시, 미스(miss) 곡선을 각각 몇 줄로 쓸 수 있습니다. 이미 본 것과 닮은 조회를 뽑는
# 프로그램을 만들고, 테이블에서 빠른 메모리에 둘 만한 행이 몇 개인지 구합니다.

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
from minidlrm.data import Profile, lru_misses, stack_distances
from minidlrm.languages import say, tell

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. 트레이스
#
# **트레이스**(trace)는 테이블 하나에서 찾아온 행을 찾아온 순서대로 적은 목록입니다. DLRM의 참조 구현에는 조회 열한 번의
# 다음 트레이스가 들어 있습니다.

# %%
TRACE = [1, 2, 3, 4, 5, 3, 4, 1, 1, 6, 3]
print(len(TRACE), "look-ups of", len(set(TRACE)), "different rows:", *TRACE)

# %% [markdown]
# 캐시는 비어 있는 채로 시작합니다. 그래서 캐시가 아무리 커도 어떤 행을 처음 찾을 때는 언제나 미스입니다.
#
# ### 직접 해 보기
#
# 조회 가운데 그 행을 처음 찾는 것의 비율은 얼마일까요? 어떤 캐시도 이보다 적게 놓칠 수는 없습니다. 빈칸의 코드는 한 번만
# 나오는 행을 셉니다.


# %%
def first_share(trace):
    once = [row for row in trace if trace.count(row) == 1]
    return len(once) / len(trace)  # 직접 해 보기 (your turn): 다시 오는 행도 처음이 있습니다


def check_first_share(function):
    for trace, wanted in ((TRACE, 6 / 11), ([7, 7, 7, 7], 1 / 4), ([1, 2, 3], 1)):
        said = function(trace)
        if abs(said - wanted) > 1e-12:
            tell(
                "not yet: for {trace} you say {said:.2f}, and it should be {wanted:.2f}",
                trace=trace,
                said=said,
                wanted=wanted,
            )
            return
    tell("right: {share:.2f} of the eleven look-ups find a row for the first time", share=6 / 11)


check_first_share(first_share)

# %% [markdown]
# <details><summary>답</summary>
#
# `len(set(trace)) / len(trace)`: 서로 다른 행마다, 처음 찾는 조회가 꼭 한 번씩 있습니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def first_share_answer(trace):
    return len(set(trace)) / len(trace)


print("the answer:")
check_first_share(first_share_answer)

# %% [markdown]
# ## 2. 손으로 구하는 스택 거리
#
# 행들을 스택(stack)에 쌓습니다. 조회할 때마다 그 행을 스택의 어디에 있든 빼내어 맨 위에 올립니다. 그 조회의 **스택
# 거리**는 행이 있던 자리를 위에서부터 센 것입니다. 맨 위가 1입니다. 스택에 없던 행의 거리는 0입니다.
#
# | 조회 | 1 | 2 | 3 | 4 | 5 | 3 | 4 | 1 | 1 | 6 | 3 |
# | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
# | 그 직전의 스택, 위부터 | | 1 | 2 1 | 3 2 1 | 4 3 2 1 | 5 4 3 2 1 | 3 5 4 2 1 | 4 3 5 2 1 | 1 4 3 5 2 | 1 4 3 5 2 | 6 1 4 3 5 2 |
# | 거리 | 0 | 0 | 0 | 0 | 0 | 3 | 3 | 5 | 1 | 0 | 4 |
#
# 달리 말하면, 거리는 이 행을 마지막으로 조회한 뒤에 조회한 **서로 다른** 행의 수입니다. 이 행 자신도 셉니다.
#
# ### 직접 해 보기
#
# 첫 항목이 맨 위인 리스트로 써 보세요. `stack.index(row)`는 0부터 센 자리입니다. `stack.remove(row)`는 행을 빼내고,
# `stack.insert(0, row)`는 맨 위에 올립니다. 빈칸의 코드는 맨 위를 0으로 세어서, 맨 위의 행이 새 행처럼 보입니다.


# %%
def distances_of(trace):
    stack, distances = [], []
    for row in trace:
        if row in stack:
            distances.append(stack.index(row))  # 직접 해 보기 (your turn): 맨 위가 1입니다
            stack.remove(row)
        else:
            distances.append(0)
        stack.insert(0, row)
    return distances


def check_distances(function):
    for trace in (TRACE, [5, 5, 5], list(rng.integers(0, 8, 60))):
        said, wanted = function(list(trace)), stack_distances(trace)
        wrong = md.checking.difference(np.asarray(said), wanted, "distances")
        if wrong:
            tell(
                "not yet: for {trace}: {wrong}", trace=[int(row) for row in trace[:11]], wrong=wrong
            )
            return
    tell("right: the distances of the library, for three traces")


check_distances(distances_of)

# %% [markdown]
# <details><summary>답</summary>
#
# `1 + stack.index(row)`입니다. 거리는 그 행을 아직 가지고 있는 가장 작은 캐시의 크기이기도 합니다. 한 행짜리 캐시로는
# 바로 앞과 같은 행의 조회를 처리할 수 있고, 그 거리가 1입니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def distances_answer(trace):
    stack, distances = [], []
    for row in trace:
        if row in stack:
            distances.append(1 + stack.index(row))
            stack.remove(row)
        else:
            distances.append(0)
        stack.insert(0, row)
    return distances


print("the answer:")
check_distances(distances_answer)
print(distances_answer(TRACE))

# %% [markdown]
# ## 3. 캐시
#
# 캐시에는 행이 몇 개 들어갑니다. 가득 찼는데 새 행이 오면 하나가 나가야 합니다. **LRU**(least recently used)는
# 마지막으로 쓴 지 가장 오래된 행을 내보냅니다. 2절의 스택이 곧 캐시입니다. 캐시의 행은 스택의 윗부분입니다.
#
# ### 직접 해 보기
#
# 행 `size`개짜리 캐시를 흉내 내고 미스를 세어 보세요. 리스트의 맨 앞에는 마지막에 쓴 행이 있습니다. 빈칸의 코드는 찾은
# 행을 옮기지 않습니다. 그래서 먼저 *들어온* 행을 내보냅니다. 그것은 다른 캐시, 곧 FIFO입니다.


# %%
def check_misses(function):
    long = list(rng.zipf(1.3, 300) % 40)
    for trace in (TRACE, [1, 2, 1, 3, 1], long):
        for size in (1, 2, 3, 5, 10, 40):
            said, wanted = function(list(trace), size), lru_misses(trace, size)
            if said != wanted:
                shown = [int(row) for row in trace[:11]]
                tell(
                    "not yet: {shown} with a cache of {size} has {wanted} misses, not {said}",
                    shown=shown,
                    size=size,
                    wanted=wanted,
                    said=said,
                )
                return
    tell("right: the misses of an LRU cache of every size")


# %%
def misses_of(trace, size):
    cache, misses = [], 0
    for row in trace:
        if row not in cache:
            misses += 1
            cache.insert(0, row)
            del cache[size:]  # 직접 해 보기 (your turn): 행을 찾으면요?
    return misses


check_misses(misses_of)

# %% [markdown]
# <details><summary>답</summary>
#
# 찾은 행은 자리에서 빼내고, 모든 행을 맨 위에 올립니다. `if row in cache: cache.remove(row)`이고, 아니면 미스를 셉니다.
# 그다음 어느 경우에나 `cache.insert(0, row)`와 `del cache[size:]`를 합니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def misses_answer(trace, size):
    cache, misses = [], 0
    for row in trace:
        if row in cache:
            cache.remove(row)
        else:
            misses += 1
        cache.insert(0, row)
        del cache[size:]
    return misses


print("the answer:")
check_misses(misses_answer)

# %% [markdown]
# ## 4. 모든 크기를 한꺼번에
#
# 크기마다 알아보려면 크기마다 흉내 내야 할 것 같습니다. 그런데 행 $n$개짜리 캐시는 $n$이 무엇이든 *같은* 스택의 위쪽
# $n$개입니다. 그래서 행의 거리가 1부터 $n$까지일 때, 그리고 그때만 캐시에 그 행이 있습니다.
#
# $$ \mathrm{misses}(n) = \text{number of look-ups whose distance is } 0 \text{ or above } n . $$
#
# 한 번 훑으면 거리를 알고, 거리를 세면 **미스 곡선**(miss curve) 전체를 압니다. (FIFO에는 이런 성질이 없습니다. 더 큰
# FIFO 캐시가 *더 많이* 놓치기도 합니다.)
#
# ### 직접 해 보기
#
# 트레이스의 거리들에서 크기 0, 1, 2, ..., `largest`의 미스 비율을 구하세요. 빈칸의 코드는 거리 0을 모든 캐시의
# 적중(hit)으로 셉니다.


# %%
def miss_curve(distances, largest):
    shares = []
    for n in range(largest + 1):
        shares.append(np.mean(distances > n))  # 직접 해 보기 (your turn): 거리 0은요?
    return np.array(shares)


def check_miss_curve(function):
    distances = stack_distances(TRACE)
    said, wanted = function(distances, 6), [lru_misses(TRACE, n) / 11 for n in range(7)]
    wrong = md.checking.difference(np.asarray(said), np.array(wanted), say("share of misses"))
    tell(
        "not yet: {wrong}" if wrong else "right: what the simulated caches miss, for every size",
        wrong=wrong,
    )


check_miss_curve(miss_curve)

# %% [markdown]
# <details><summary>답</summary>
#
# `np.mean((distances == 0) | (distances > n))`: 처음 오는 행은 어느 캐시에도 없습니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def miss_curve_answer(distances, largest):
    shares = []
    for n in range(largest + 1):
        shares.append(np.mean((distances == 0) | (distances > n)))
    return np.array(shares)


print("the answer:")
check_miss_curve(miss_curve_answer)

# %% [markdown]
# 더 긴 트레이스입니다. 행이 200개인 테이블에서 5,000번 조회하는데, 몇 행이 다른 행보다 훨씬 자주 나옵니다(지프의
# 법칙). 선은 거리에서 계산한 것이고, 점은 흉내 내어 센 것입니다.

# %%
zipf = np.minimum(rng.zipf(1.3, 5000), 200)
sizes = np.arange(201)
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
ax.plot(sizes, miss_curve_answer(stack_distances(zipf), 200), label="from the distances")
points = sizes[::20]
ax.plot(
    points, [misses_answer(zipf.tolist(), n) / len(zipf) for n in points], "o", label="simulated"
)
ax.set(xlabel="rows in the cache", ylabel="share of misses", title="One pass tells all sizes")
ax.grid(alpha=0.3)
ax.legend()

# %% [markdown]
# ## 5. 빠르게
#
# `stack.index`는 스택을 위에서부터 하나씩 살펴봅니다. 서로 다른 행이 $u$개이면, 조회 $n$번의 트레이스에
# $n\,u$걸음까지 걸립니다. Criteo 데이터의 테이블에는 행이 수백만 개 있고, 그 트레이스에는 조회가 수백만 번 있습니다.
#
# 서로 다른 행을 세는 다른 방법이 있습니다. 각 행을 **마지막으로** 조회한 때에만 표시를 하나 남깁니다. 어떤 행이 다시
# 오면, 그 행의 표시 *뒤에* 있는 표시들은 그 사이에 조회한 행들의 것입니다. 행마다 하나씩입니다.
#
# ### 직접 해 보기
#
# 조회 `t`가 지금까지 그 행의 마지막 조회이면 `marks[t]`는 1입니다. `last[row]`는 그때가 언제인지 말해 줍니다. 표시가
# 언제나 맞도록 고치세요. 빈칸의 코드는 옛 표시를 지우지 않아서, 행이 아니라 조회를 셉니다.


# %%
def distances_by_marks(trace):
    marks, last = np.zeros(len(trace), int), {}
    distances = np.zeros(len(trace), int)
    for t, row in enumerate(trace):
        if row in last:
            distances[t] = 1 + marks[last[row] + 1 :].sum()
            # 직접 해 보기 (your turn): 더는 맞지 않는 표시는 무엇일까요?
        marks[t], last[row] = 1, t
    return distances


def check_marks(function):
    for trace in (TRACE, list(rng.integers(0, 9, 80))):
        wrong = md.checking.difference(function(trace), stack_distances(trace), "distances")
        if wrong:
            tell(
                "not yet: for {trace}: {wrong}", trace=[int(row) for row in trace[:11]], wrong=wrong
            )
            return
    tell("right: the distances, from marks alone")


check_marks(distances_by_marks)

# %% [markdown]
# <details><summary>답</summary>
#
# 새 표시를 쓰기 전에 `marks[last[row]] = 0`을 합니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def distances_by_marks_answer(trace):
    marks, last = np.zeros(len(trace), int), {}
    distances = np.zeros(len(trace), int)
    for t, row in enumerate(trace):
        if row in last:
            distances[t] = 1 + marks[last[row] + 1 :].sum()
            marks[last[row]] = 0
        marks[t], last[row] = 1, t
    return distances


print("the answer:")
check_marks(distances_by_marks_answer)

# %% [markdown]
# 합은 아직 느립니다. 덧셈이 $n$번까지 듭니다. 그런데 **펜윅 트리**(Fenwick tree)는 1, 2, 4, 8, ...자리 구간마다 표시의
# 합을 가지고 있습니다. 어느 범위든 합을 구하고 어느 표시든 바꾸는 데 $\log n$걸음이면 됩니다.
# `md.data.stack_distances`가 그렇게 하며, 컴파일되어 있습니다.

# %% tags=["timing"]
import time

many = np.minimum(rng.zipf(1.2, 200_000), 50_000)
stack_distances(many[:100])  # 컴파일합니다
start = time.perf_counter()
stack_distances(many)
print(f"{len(many):,} look-ups in {1e3 * (time.perf_counter() - start):.0f} ms")

# %% [markdown]
# ## 6. 닮은 트레이스
#
# 트레이스의 거리들과 그 각각이 나온 횟수를 **프로필**(profile)이라고 합니다. *어느* 행을 읽었는지는 프로필에 없습니다.
# 그래서 트레이스가 비밀이어도 프로필은 내줄 수 있고, 다른 사람은 캐시에서 똑같이 움직이는 트레이스를 뽑을 수 있습니다.
#
# 조회 하나를 뽑으려면 프로필에서 거리 $d$를 뽑습니다. 0이면 아직 읽지 않은 다음 행을 읽습니다. 0보다 크면 스택의
# $d$번째 자리에 있는 행을 읽습니다. 그러고 나서 그 행은 맨 위로 갑니다.
#
# ### 직접 해 보기
#
# 한 걸음을 써 보세요. `stack`은 위부터 적은 리스트이고, `new`에는 아직 읽지 않은 행들이 있고, `d`는 거리입니다. 행을
# 돌려주고, `stack`과 `new`를 그 뒤의 상태로 바꾸어 놓으세요. 빈칸의 코드는 행을 있던 자리에 그대로 둡니다.


# %%
def check_draw(function):
    stack, new = [], [1, 2, 3, 4, 5, 6]
    drawn = [function(d, stack, new) for d in stack_distances(TRACE)]
    if drawn == TRACE:
        tell("right: the distances of the eleven look-ups give the eleven look-ups")
    else:
        k = next(k for k in range(11) if drawn[k] != TRACE[k])
        tell(
            "not yet: look-up {k} reads row {drawn}, and should read {TRACE}: {drawn2}",
            k=k,
            drawn=drawn[k],
            TRACE=TRACE[k],
            drawn2=drawn,
        )


# %%
def draw_row(d, stack, new):
    if d == 0:
        row = new.pop(0)
        stack.insert(0, row)
    else:
        row = stack[d - 1]  # 직접 해 보기 (your turn): 그다음은요?
    return row


check_draw(draw_row)

# %% [markdown]
# <details><summary>답</summary>
#
# `row = stack.pop(d - 1)`, 그리고 어느 경우에나 `stack.insert(0, row)`입니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def draw_row_answer(d, stack, new):
    row = new.pop(0) if d == 0 else stack.pop(d - 1)
    stack.insert(0, row)
    return row


print("the answer:")
check_draw(draw_row_answer)

# %% [markdown]
# 처음에는 이미 읽은 행만 0보다 큰 거리에 있을 수 있으므로, 그 안에서만 뽑습니다. `Profile.generate`가 그렇게 합니다.
# `padding`은 논문에 나오는 조정입니다. 이것이 없으면 행은 적고 트레이스가 길 때 처음 읽는 조회가 너무 드물어서, 뽑은
# 트레이스가 새 행을 오래 기다립니다. 다음은 똑같이 자주 나오는 행 100개로 그린 논문의 그림 3입니다.

# %%
original = rng.integers(0, 100, 100_000)
profile, padded = Profile.of(original), Profile.of(original, padding=True)
traces = {
    "original": original,
    "drawn": profile.generate(100_000, seed=1),
    "drawn, adjusted": padded.generate(100_000, seed=1, padding=True),
}
fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
for (name, trace), style in zip(traces.items(), ("k-", ":", "--"), strict=True):
    counts = np.bincount(stack_distances(trace), minlength=101)
    ax.plot(np.arange(1, 101), counts[1:] / len(trace), style, label=name)
ax.set(xlabel="stack distance", ylabel="share of the look-ups", ylim=(0, None))
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# ## 7. 여러분의 테이블은 어떤가요?
#
# 환경 변수 `MINIDLRM_DATA`가 가리키는 폴더에 데이터가 있으면 Criteo 데이터의 아이디(id)와 MovieLens의 영화를 봅니다.
# 그리고 아이디가 지프의 법칙을 따르는 합성 클릭도 봅니다.

# %%
clicks = md.data.synthetic_clicks(20_000, seed=0)
largest = int(np.argmax(clicks.table_sizes))
tables = {"synthetic": clicks.train.ids_of(largest)}
folder = Path(os.environ.get("MINIDLRM_DATA", ""))
if (folder / "criteo-sample" / "train_2000.txt").is_file():
    criteo = md.data.read_criteo(folder / "criteo-sample" / "train_2000.txt")
    tables["Criteo, C3"] = criteo.train.ids_of(2)
if (folder / "ml-latest-small").is_dir():
    films = md.data.movielens_clicks(folder / "ml-latest-small")
    tables["MovieLens, movie"] = films.train.ids_of(1)

# %%
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for (name, ids), style in zip(tables.items(), ("-", "--", "-."), strict=False):
    profile = Profile.of(ids)
    sizes = np.unique(np.geomspace(1, len(profile.accesses), 200).astype(int))
    rows = f"{name}: {len(profile.accesses):,} rows read"
    ax.semilogx(sizes, profile.miss_rate(sizes), style, label=rows)
ax.set(xlabel="rows in the cache", ylabel="share of misses", ylim=(0, 1))
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# ### 직접 해 보기
#
# 빠른 메모리에 둘 만한 행은 몇 개일까요? 캐시가 처리할 *수 있는* 조회(거리가 0보다 큰 것) 가운데 비율 `goal`만큼을
# 처리하고 싶습니다. 그렇게 하는 가장 작은 캐시의 크기를 돌려주세요. 빈칸의 코드는 행의 비율을 씁니다.


# %%
def check_rows(function):
    distances = np.repeat([0, 1, 2, 50], [10, 80, 15, 5])  # 100번은 처리할 수 있습니다
    for goal, wanted in ((0.8, 1), (0.9, 2), (0.95, 2), (0.96, 50)):
        said = function(distances, goal)
        if said != wanted:
            tell(
                "not yet: with goal {goal} you say {said}, and it should be {wanted}: of 100",
                goal=goal,
                said=said,
                wanted=wanted,
            )
            tell("   look-ups above 0, 80 have distance 1, 15 have 2, and 5 have 50")
            return
    for name, ids in tables.items():
        found, rows = function(stack_distances(ids), 0.9), len(set(ids.tolist()))
        tell(
            "right; {name}: {found:,} of {rows:,} rows serve nine of ten look-ups",
            name=name,
            found=found,
            rows=rows,
        )


# %%
def rows_worth_it(distances, goal=0.9):
    return int(np.ceil(goal * distances.max()))  # 직접 해 보기 (your turn): 0보다 큰 거리를 정렬


check_rows(rows_worth_it)

# %% [markdown]
# <details><summary>답</summary>
#
# 0보다 큰 거리를 정렬합니다. 1부터 세어 `ceil(goal * number)`번째에 있는 것이 답입니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def rows_worth_it_answer(distances, goal=0.9):
    seen = np.sort(distances[distances > 0])
    place = int(np.ceil(goal * len(seen) - 1e-9))
    return int(seen[place - 1])


print("the answer:")
check_rows(rows_worth_it_answer)

# %% [markdown]
# ## 8. 이 장의 박물관
#
# 거리를 재는 세 가지 방법이며, 모두 틀렸습니다. 다음 셀을 실행하기 전에 저마다 무엇이 잘못되는지 알아내 보세요.


# %%
def wrong_1(trace):
    stack, distances = [], []
    for row in trace:
        distances.append(1 + stack.index(row) if row in stack else 0)
        if row not in stack:
            stack.insert(0, row)
    return distances


def wrong_2(trace):
    last, distances = {}, []
    for t, row in enumerate(trace):
        distances.append(t - last[row] if row in last else 0)
        last[row] = t
    return distances


def wrong_3(trace):
    stack, distances = [], []
    for row in trace:
        distances.append(stack.index(row) if row in stack else len(stack))
        stack = [row, *(other for other in stack if other != row)]
    return distances


# %%
print("right:  ", distances_answer(TRACE))
for function in (wrong_1, wrong_2, wrong_3):
    print(f"{function.__name__}:", function(TRACE))

# %% [markdown]
# 1. `wrong_1`은 찾은 행을 맨 위로 옮기지 않습니다. 그래서 *처음* 조회한 순서의 자리를 말합니다. 가장 자주 읽는 행이
#    언제까지나 맨 아래에 있을 수도 있습니다.
# 2. `wrong_2`는 서로 다른 행이 아니라 조회를 셉니다. 그 사이에 두 번 나온 행을 두 번 셉니다. 그래서 캐시에 행이 실제보다
#    더 많이 필요해 보입니다.
# 3. `wrong_3`은 0부터 세고, 새 행에는 스택의 크기를 줍니다. 이제 0은 맨 위의 행, 곧 가장 확실한 적중인데 4절의 규칙은
#    이것을 미스로 봅니다. 그리고 새 행은 캐시만 크면 처리할 수 있는 것처럼 보입니다.
#
# 긴 트레이스에서는 셋 다 미스 곡선처럼 보이는 곡선이 나옵니다. 어느 것이 맞는지는 흉내 내어 보아야만 알 수 있습니다.

# %%
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
trace = zipf[:2000].tolist()
styles = {distances_answer: "k-", wrong_1: "--", wrong_2: "-.", wrong_3: ":"}
for function, style in styles.items():
    curve = miss_curve_answer(np.array(function(trace)), 200)
    ax.plot(curve, style, label=function.__name__.replace("distances_answer", "right"))
points = np.arange(0, 201, 20)
ax.plot(points, [lru_misses(trace, n) / len(trace) for n in points], "o", label="simulated")
ax.set(xlabel="rows in the cache", ylabel="share of misses", title="Which of them is a miss curve?")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# `minidlrm paper 4.2`는 이 방법으로 데이터의 모든 테이블을 재고, `minidlrm paper 4.2 --data criteo:FILE`은 여러분의
# 테이블을 잽니다.
#
# ## 기억할 것
#
# 1. 스택 거리는 어떤 행을 마지막으로 조회한 뒤의 *서로 다른* 행을, 그 행까지 넣어서 셉니다.
# 2. 행 $n$개짜리 LRU 캐시는 거리가 0이거나 $n$보다 큰 조회를 놓칩니다. 한 번 훑으면 모든 크기를 압니다.
# 3. 펜윅 트리에 표시를 두면 $n \log n$걸음이 듭니다.
# 4. 프로필만 있으면 똑같이 움직이는 트레이스를 뽑을 수 있고, 원래의 트레이스는 드러나지 않습니다.
# 5. 몇 안 되는 행이 조회의 대부분을 차지합니다. 메모리가 빠른 곳에 이 행들을 두세요.
