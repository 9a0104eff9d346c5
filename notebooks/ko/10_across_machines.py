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
# # 10 · 여러 기계에서
#
# [![Colab에서 열기](../colab.svg)](https://colab.research.google.com/github/)
#
# [English](../10_across_machines.ipynb) · [튜토리얼 안내](README.md) · [용어집](glossary.md)
#
# DLRM은 기계 한 대에 들어가지 않는 테이블을 위해 만들어졌습니다. 논문의 3절에 학습하는 방법이 나옵니다. 기계마다
# 테이블 몇 개와 MLP의 복사본이 있습니다. 스텝(step)마다 기계들은 *모두가 모두에게*(all to all) 벡터를 보내고,
# 기울기(gradient)를 더합니다. 이 장에서는 이것을 손으로 합니다. 처음에는 모든 랭크(rank)를 이 노트북 안에 두고,
# 나중에는 랭크마다 프로세스(process)를 따로 띄웁니다.
#
# 05장과 09장의 4절이 필요합니다. 읽는 시간은 약 70분입니다. 기계는 한 대면 됩니다.
#
# **이 장을 마치면** 모두가 모두에게 보내는 교환과 그 역전파(backward pass)를 쓰고, 모든 랭크에서 비트까지 같은 합을
# 구합니다. 랭크 넷의 한 스텝을 랭크 하나의 스텝과 똑같이 만들고, 그 바이트를 모두 셉니다. 그리고 학습이 되는 잘못 다섯
# 가지를 봅니다.

# %%
# Colab처럼 minidlrm이 설치되지 않은 곳에서는 먼저 설치합니다.
import importlib.util

if importlib.util.find_spec("minidlrm") is None:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "minidlrm"], check=True)

import hashlib
import subprocess
import sys
import tempfile

import matplotlib.pyplot as plt
import numpy as np

import minidlrm as md
from minidlrm.languages import say, tell

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. 누가 무엇을 가지는가
#
# *랭크*는 함께 일하는 프로세스 $R$개 가운데 하나입니다. 한 기계에 있을 수도 있고 여러 기계에 있을 수도 있습니다. 메모리를
# 함께 쓰지 않으므로, 한 랭크가 다른 랭크에 대해 아는 것은 그 랭크가 보내 준 것뿐입니다. 논문처럼 모델을 한꺼번에 두
# 가지로 나눕니다(논문은 이것을 *혼합*(hybrid)이라고 합니다).
#
# | 부분 | 크기 | 나누는 방법 |
# | --- | --- | --- |
# | 테이블 | 기계 한 대에 너무 큼 | *모델 병렬*(model parallel): 랭크 $r$이 테이블 몇 개를 혼자 가짐 |
# | MLP | 작음 | *데이터 병렬*(data parallel): 모든 랭크에 복사본이 있음 |
# | 배치의 표본 | | 표본 $B$개 가운데 약 $B / R$개가 랭크 $r$에 있음 |
#
# 랭크 넷, 테이블 넷, 표본 여덟, 크기가 2인 벡터를 씁니다. 테이블 $t$의 행 $i$에는 어디에서 왔는지를 말해 주는 수가 들어
# 있습니다. 테이블 2의 행 5는 $(2.5, 5.2)$입니다.

# %%
R, T, D, B = 4, 4, 2, 8
table_sizes = [6, 9, 8, 7]
tables = [
    np.stack([t + np.arange(n) / 10, np.arange(n) + t / 10], axis=1)
    for t, n in enumerate(table_sizes)
]
ids = np.stack([rng.integers(0, n, B) for n in table_sizes], axis=1)  # (B, T)
print("table 2, row 5:", tables[2][5])
print(f"ids of the {B} samples, a column for each table:\n{ids}")

# %% [markdown]
# ### 직접 해 보기
#
# 랭크 $r$에는 어느 표본이 있을까요? 모든 표본이 꼭 한 랭크에 있어야 하고, 두 랭크의 표본 수는 하나보다 많이 다르면 안
# 됩니다. (에폭(epoch)의 마지막 배치는 짧습니다.) 첫 표본의 번호와, 마지막 표본의 다음 번호를 돌려주세요. 빈칸의 코드는
# 나머지를 잊습니다.


# %%
def part(B, R, r):
    size = B // R
    return r * size, (r + 1) * size  # 직접 해 보기 (your turn): 표본 10개, 랭크 4개


def check_part(function):
    for B, R in ((8, 4), (10, 4), (3, 4)):
        parts = [tuple(map(int, function(B, R, r))) for r in range(R)]
        found = [b for first, end in parts for b in range(first, end)]
        sizes = [end - first for first, end in parts]
        if found != list(range(B)) or max(sizes) - min(sizes) > 1:
            tell("not yet: {B} samples on {R} ranks are {parts}", B=B, R=R, parts=parts)
            return
    tell("right: every sample has one rank")


check_part(part)

# %% [markdown]
# <details><summary>답</summary>
#
# `B * r // R`과 `B * (r + 1) // R`에서 자릅니다. 나머지가 고루 퍼지고, 한 부분이 끝나는 곳에서 다음 부분이 시작합니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def part_answer(B, R, r):
    return B * r // R, B * (r + 1) // R


print("the answer:")
check_part(part_answer)

# %% [markdown]
# ## 2. 모두가 모두에게
#
# 랭크 $r$에는 테이블 $r$이 있어서 *모든 표본*의 벡터를 찾아올 수 있습니다. 상호작용(interaction)에는 자기 표본에 대한
# *모든 테이블*의 벡터가 필요합니다. 곧 모두에게 필요한 것을 모두가 나누어 가지고 있습니다. 그래서 랭크 $s$는 자기 벡터를
# $R$개로 자르고, $r$번 조각을 랭크 $r$로 보냅니다.
#
# `md.parallel.run(R, work)`는 랭크 $R$개에서 `work(comm)`을 부릅니다. 여기서 랭크는 이 프로세스의 스레드(thread)입니다.
# 랭크들은 *통신기*(communicator) `comm`으로만 이야기합니다. `comm.rank`는 자기가 누구인지 말해 주고,
# `comm.all_to_all(parts)`는 `parts[r]`을 랭크 $r$로 보내고 각 랭크에서 온 것을 돌려줍니다.


# %%
def look_up(comm):
    mine = tables[comm.rank][ids[:, comm.rank]]  # (B, D): 테이블 하나, 모든 표본
    parts = np.split(mine, comm.size)  # 저마다 (B / R, D)
    got = comm.all_to_all(parts)
    return parts, got


ranks = md.parallel.run(R, look_up)
before = [[part.round(1) for part in parts] for parts, _ in ranks]  # before[s][r]
after = [got for _, got in ranks]  # after[r][s]
whole = np.stack([tables[t][ids[:, t]] for t in range(T)], axis=1)  # (B, T, D), 랭크 없이
together = np.concatenate([np.stack(got, axis=1) for got in after])
print("the ranks together have what one process has:", np.array_equal(together, whole))

# %%
shades = ("#ffffff", "#dddddd", "#bbbbbb", "#999999")


def draw_blocks(ax, blocks, shade_of, title, columns):
    """Draw a row for each rank, and in it its blocks: two samples with two numbers each."""
    for i, row in enumerate(blocks):
        for j, block in enumerate(row):
            ax.add_patch(plt.Rectangle((j, i), 1, 1, fc=shades[shade_of(i, j)], ec="0.2"))
            text = "\n".join("  ".join(f"{number:.1f}" for number in vector) for vector in block)
            ax.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=8)
    ax.set(xlim=(0, R), ylim=(R, 0), title=title, frame_on=False)
    ax.set_xticks(np.arange(R) + 0.5, [f"{columns} {j}" for j in range(R)], fontsize=8)
    ax.set_yticks(np.arange(R) + 0.5, [f"rank {i}\nhas" for i in range(R)])
    ax.tick_params(length=0)


# %%
fig, axes = plt.subplots(1, 2, figsize=(10.4, 3.7), layout="constrained")
fig.get_layout_engine().set(wspace=0.22)
draw_blocks(axes[0], before, lambda s, r: s, "before: one table, all samples", "for rank")
draw_blocks(axes[1], after, lambda r, s: s, "after: all tables, own samples", "from rank")
axes[1].yaxis.tick_right()
axes[1].tick_params(length=0)
frame = {"fill": False, "ec": "#d55e00", "lw": 2.5, "clip_on": False, "zorder": 3}
axes[0].add_patch(plt.Rectangle((1, 0), 1, R, **frame))
axes[1].add_patch(plt.Rectangle((0, 1), R, 1, **frame))
for s in range(R):  # 랭크 1이 받는 것
    style = {"arrowstyle": "-|>", "lw": 1.5, "color": "0.4" if s == 1 else "#d55e00"}
    style |= {"ls": ":" if s == 1 else "-", "shrinkA": 6, "shrinkB": 6}
    ends = {"xy": (0, 1.2 + 0.2 * s), "xytext": (R, s + 0.5)}
    axes[1].annotate("", **ends, xycoords="data", textcoords=axes[0].transData, arrowprops=style)

# %% [markdown]
# 블록마다 표본이 두 개 있고, 한 줄이 벡터 하나입니다. 음영은 어느 랭크의 테이블에서 온 수인지를 나타냅니다.
# 왼쪽에서는 랭크마다 음영이 한 가지이고, 오른쪽에서는 어느 랭크에나 모든 음영이 있습니다. 테두리를 두른 것은 랭크 1이
# 받는 것입니다. 왼쪽의 둘째 열이 오른쪽의 둘째 행이 되며, 랭크마다 블록을 하나씩 보냅니다. 다른 랭크도
# 마찬가지입니다. **모두가 모두에게 보내면 블록으로 된 정사각형이 대각선을 축으로 뒤집힙니다**. 대각선은 제자리에
# 있고, 보내는 것이 없습니다(점선 화살표). 랭크가 가진 수 가운데 $(R - 1) / R$이 옮겨 갑니다. (논문은 이 교환을 *나비
# 셔플*(butterfly shuffle)이라고 부릅니다. 5절의 나비와는 다른 것입니다.)
#
# ### 직접 해 보기
#
# 통신망이 되어 보세요. `parts[s][r]`은 랭크 $s$가 랭크 $r$에게 줄 것입니다. 랭크마다 받는 것을 보낸 랭크의 순서로
# 돌려주세요.


# %%
def exchange(parts):
    return [list(mine) for mine in parts]  # 직접 해 보기 (your turn): 아무것도 움직이지 않습니다


def check_exchange(function):
    got = function([[f"{s} to {r}" for r in range(3)] for s in range(3)])
    for r in range(3):
        wanted = [f"{s} to {r}" for s in range(3)]
        if list(got[r]) != wanted:
            tell(
                "not yet: rank {r} has {got}, and should have {wanted}",
                r=r,
                got=list(got[r]),
                wanted=wanted,
            )
            return
    tell("right: every part has arrived")


check_exchange(exchange)

# %% [markdown]
# <details><summary>답</summary>
#
# 랭크 $r$은 모든 랭크의 $r$번 조각을 받습니다: `[[mine[r] for mine in parts] for r in range(len(parts))]`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def exchange_answer(parts):
    return [[mine[r] for mine in parts] for r in range(len(parts))]


print("the answer:")
check_exchange(exchange_answer)

# %% [markdown]
# ## 3. 역전파가 보내는 것
#
# 모든 랭크의 벡터를 위아래로 쌓습니다. 교환하기 전은 $x$, 교환한 뒤는 $y$입니다. $y$의 각 행은 자리만 다를 뿐 $x$의 한
# 행입니다. 그래서
#
# $$ y = \Pi x, $$
#
# 이고, $\Pi$는 *순열*(permutation)입니다. 행마다, 열마다 1이 하나 있고 나머지는 0입니다. 손실(loss) $L$은 $y$를 통해서만
# $x$에 의존합니다.
#
# $$ dx = \Pi^\top dy, \qquad \Pi^\top = \Pi^{-1} . $$
#
# 말로 하면 이렇습니다. **기울기는 저마다 그 벡터가 온 곳으로 돌아갑니다**. 역전파는 순전파(forward pass)와 같은 개수의 수를
# 보냅니다. 랭크 $r$은 자기 표본의 $dy$를 각 테이블의 주인에게 보냅니다. 이것도 모두가 모두에게 보내는 것입니다. 가는
# 길에 더하는 것은 없습니다.
#
# 그다음 주인이 *모든* 표본의 기울기로 01장의 산란-덧셈(scatter-add)을 합니다. 두 랭크에서 쓰인 행도 다른 겹치는
# 아이디(id)와 다를 바 없습니다.
#
# ### 직접 해 보기
#
# 다음 순전파는 모든 테이블을 모양(shape)이 $(R, N, D)$인 배열 하나에 담습니다. 아이디는 랭크마다 하나씩 블록 $R$개입니다.
# `ids[r, b, t]`는 랭크 $r$의 표본 $b$가 테이블 $t$에서 쓰는 아이디입니다. 역전파를 쓰세요. 빈칸의 코드는 아무것도 보내지
# 않습니다. 주인은 자기 표본의 것만 더합니다. (`alone`은 이 잘못을 검사기(checker)에게 알려 줍니다.)


# %%
def vectors(tables, ids):
    """Return y (R, B / R, T, D): what each rank has after the exchange."""
    R = len(tables)
    before = [[tables[s][ids[r, :, s]] for r in range(R)] for s in range(R)]
    after = exchange_answer(before)
    return np.stack([np.stack(got, axis=1) for got in after]), (tables.shape, ids)


def own_samples(target, dy, tables, ids):
    dtables = np.zeros_like(tables)
    for r in range(len(tables)):
        np.add.at(dtables[r], ids[r, :, r], dy[r, :, r])
    return {"tables": dtables}


title = "an owner has the gradients of its own samples alone"
hint = "Which ranks have looked up rows of table s? Each must send dy of these vectors to rank s."
alone = md.checking.Fingerprint("alone", own_samples, "dy of other ranks is not sent", title, hint)


# %%
def vectors_backward(dy, cache):
    shape, ids = cache
    dtables = np.zeros(shape, dy.dtype)  # (R, N, D)
    for s in range(len(dtables)):  # 직접 해 보기 (your turn): s의 표본만 더합니다
        np.add.at(dtables[s], ids[s, :, s], dy[s, :, s])
    return dtables


source = np.random.default_rng(3)
four, blocks_of_ids = source.normal(size=(R, 3, D)), source.integers(0, 3, (R, 2, R))
report = md.gradcheck((vectors, vectors_backward), four, blocks_of_ids, fingerprints=[alone])

# %% [markdown]
# <details><summary>답</summary>
#
# 랭크 $r$은 `dy[r, :, s]`를 랭크 $s$로 보내고, 받은 랭크는 모든 랭크에서 온 것을 더합니다.
# `for r in range(len(dy)): np.add.at(dtables[s], ids[r, :, s], dy[r, :, s])`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def vectors_backward_answer(dy, cache):
    shape, ids = cache
    dtables = np.zeros(shape, dy.dtype)
    back = exchange_answer([[dy[r, :, s] for s in range(len(dy))] for r in range(len(dy))])
    for s, got in enumerate(back):
        for r, terms in enumerate(got):
            np.add.at(dtables[s], ids[r, :, s], terms)
    return dtables


report = md.gradcheck((vectors, vectors_backward_answer), four, blocks_of_ids, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# ## 4. MLP의 복사본
#
# 손실은 배치 전체의 평균입니다. 랭크 $r$에 표본 $B_r$개가 있고, 그 평균 손실이 $L_r$, 가중치(weight) $W$에 대한 그 기울기가
# $G_r$이라고 합시다.
#
# $$ L = \frac{1}{B} \sum_r B_r L_r, \qquad dW = \sum_r \frac{B_r}{B}\, G_r . $$
#
# 모든 복사본이 같은 스텝을 밟으려면 모든 랭크에 이 합이 필요합니다. 이것이 *올리듀스*(all-reduce)입니다. $B_r$이 모두
# 같으면 $G_r$의 평균입니다. 다르면 평균의 평균은 다른 손실의 기울기가 됩니다. 작은 블록의 표본을 더 크게 치는
# 손실입니다. 그래서 랭크마다 손실을 자기의 $B_r$이 아니라 $B$로 나눕니다. 그러면 기울기는 더하기만 하면 됩니다.
#
# ### 직접 해 보기
#
# 랭크 셋의 기울기를 합치세요. `grads[r]`은 랭크 $r$의 평균의 기울기 $G_r$이고, `rows[r]`은 $B_r$입니다. 빈칸의 코드는
# 평균의 평균을 구합니다.


# %%
def together_from(grads, rows):
    return sum(grads) / len(grads)  # 직접 해 보기 (your turn): 표본은 5, 2, 1개입니다


def check_together(function):
    x, y, rows = rng.normal(size=(8, 3)), rng.normal(size=8), np.array([5, 2, 1])
    ends = np.cumsum(rows)
    grads = [x[e - n : e].T @ y[e - n : e] / n for e, n in zip(ends, rows, strict=True)]
    wrong = md.checking.difference(function(grads, rows), x.T @ y / 8, "dW")
    tell(
        "not yet: {wrong}" if wrong else "right: the gradient of the mean of all samples",
        wrong=wrong,
    )


check_together(together_from)

# %% [markdown]
# <details><summary>답</summary>
#
# `sum(n * grad for n, grad in zip(rows, grads)) / sum(rows)`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def together_answer(grads, rows):
    return sum(n * grad for n, grad in zip(rows, grads, strict=True)) / sum(rows)


print("the answer:")
check_together(together_answer)

# %% [markdown]
# ## 5. 모두에게 한 가지 순서
#
# 부동소수점에서는 더하는 순서에 따라 합이 달라집니다.

# %%
a, b, c = 0.1, 0.2, 0.3
print((a + b) + c, "and", a + (b + c))
print("but a + b == b + a:", a + b == b + a)

# %% [markdown]
# 두 랭크가 다른 순서로 더하면, 첫 스텝 뒤에 $W$의 복사본들이 마지막 비트에서 달라집니다. 그러면 기울기도 달라지고,
# 점점 멀어집니다. 복사본이 저마다 좋은 모델이므로 아무도 알아채지 못합니다. 그래서 *거의 같은 것*으로는 모자랍니다.
# **모든 랭크에서 비트까지 같아야 합니다**.
#
# **나비**(butterfly)가 그렇게 해 줍니다. 라운드는 $\log_2 R$번입니다. $\oplus$가 비트 하나를 뒤집는다고 합시다.
# $r \oplus d$는 파이썬으로 `r ^ d`입니다. 라운드 $d = 1, 2, 4, \dots$에서 랭크 $r$과 $r \oplus d$가 가진 것을 서로 바꾸고,
# 둘 다 더합니다. 다음 그림에서 랭크 넷의 합이 라운드마다 자랍니다.

# %%
fig, ax = plt.subplots(figsize=(8.6, 3.1), layout="constrained")
names = [f"$x_{r}$" for r in range(R)]
for k, d in enumerate((0, 1, 2)):
    if d:
        pairs = [(min(r, r ^ d), max(r, r ^ d)) for r in range(R)]
        names = [f"({names[i]} + {names[j]})".replace("$", "") for i, j in pairs]
        names = [f"${name}$" for name in names]
    for r in range(R):
        ax.text(3 * k, r, names[r], ha="center", va="center", bbox={"fc": "0.93", "ec": "0.4"})
        for other in (r, r ^ (1, 2)[k]) if k < 2 else ():
            style = {"arrowstyle": "-|>", "color": "0.5" if other == r else "#d55e00"}
            ends = (3 * k + 2.05 - 0.15 * k, other), (3 * k + 0.45 + 0.4 * k, r)
            ax.annotate("", *ends, arrowprops={**style, "ls": ":" if other == r else "-"})
ax.set(xlim=(-0.6, 7.2), ylim=(R - 0.5, -0.5), frame_on=False)
ax.set_xticks([0, 3, 6], ["before", "after round d = 1", "after round d = 2"])
ax.set_yticks(range(R), [f"rank {r}" for r in range(R)])
_ = ax.tick_params(length=0)

# %% [markdown]
# 모든 랭크가 같은 트리 $(x_0 + x_1) + (x_2 + x_3)$으로 끝납니다. 두 랭크 가운데 하나는 `a + b`를, 다른 하나는 `b + a`를
# 더하는데, 이 둘은 비트까지 같습니다.
#
# 더 좋은 점이 있습니다. 배치를 여덟 블록으로 자르고, 프로세스 하나나 랭크 둘이나 넷이 이 트리로 블록을 더하게 하세요.
# 결과가 같습니다. 랭크는 가지 하나를 통째로 맡고, 나머지는 나비가 합니다. 그래서 `fit`은 랭크(그리고 스레드)가 몇
# 개이든 같은 비트를 냅니다.
#
# ### 직접 해 보기
#
# 올리듀스를 쓰세요. `comm.swap({other: mine}, {other: theirs}, "sum")`은 배열 `mine`을 랭크 `other`로 보내고, 그 랭크가
# 보낸 것을 `theirs`에 채웁니다. 빈칸의 코드에서는 랭크마다 자기 배열부터 더합니다. 거의 맞습니다.


# %%
def all_reduce(comm, x):
    total = x  # 직접 해 보기 (your turn): 모든 랭크에 한 가지 순서
    everyones = comm.all_gather(x)
    for k in range(1, comm.size):
        total = total + everyones[(comm.rank + k) % comm.size]
    return total


def check_all_reduce(function):
    x = np.random.default_rng(4).normal(size=(R, 1000))
    sums = md.parallel.run(R, lambda comm: function(comm, x[comm.rank]))
    tree = (x[0] + x[1]) + (x[2] + x[3])
    off = [int(np.sum(each != tree)) for each in sums]
    if not all(np.allclose(each, tree) for each in sums):
        tell("not yet: these are not the sums")
    elif any(off):
        tell(
            "not yet: of 1,000 numbers, those with other bits than the tree's, by rank: {off}",
            off=off,
        )
    else:
        tell("right: the same bits on every rank")


check_all_reduce(all_reduce)

# %% [markdown]
# <details><summary>답</summary>
#
# ```python
# d = 1
# while d < comm.size:
#     theirs = np.empty_like(x)
#     comm.swap({comm.rank ^ d: x}, {comm.rank ^ d: theirs}, "sum")
#     x, d = x + theirs, 2 * d
# return x
# ```
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def all_reduce_answer(comm, x):
    d = 1
    while d < comm.size:
        theirs = np.empty_like(x)
        comm.swap({comm.rank ^ d: x}, {comm.rank ^ d: theirs}, "sum")
        x, d = x + theirs, 2 * d
    return x


print("the answer:")
check_all_reduce(all_reduce_answer)

# %% [markdown]
# ## 6. 스텝 하나를 통째로
#
# 이제 합칩니다. `Rank`에는 테이블 $r$과, 자기 몫의 표본과, MLP의 복사본이 있습니다. 순전파는 한가운데에 모두가 모두에게
# 보내는 교환이 있는 DLRM이고, 역전파에는 같은 교환이 거꾸로 있습니다. (파이썬에서는 클래스에 메서드를 나중에 더할 수
# 있습니다. 그래서 셀마다 코드가 짧습니다.)


# %%
class Rank:
    """One rank of a DLRM: one table, some of the samples, and a copy of the MLPs."""

    def __init__(self, comm, make, rule):
        self.comm, self.model, self.rule = comm, make(), rule()
        self.mlps = [*self.model.bottom.parameters(), *self.model.top.parameters()]

    def cuts(self, B):
        return [B * r // self.comm.size for r in range(self.comm.size + 1)]

    def scale(self, rows, B):  # 표본의 기울기를 나누는 수
        return B

    def forward(self, batch):
        model, r, cuts = self.model, self.comm.rank, self.cuts(len(batch))
        self.mine = batch[cuts[r] : cuts[r + 1]]
        vectors = model.embeddings.table(r)[batch.sparse[:, r]]  # (B, D)
        parts = np.split(vectors, cuts[1:-1])
        got = self.comm.all_to_all(parts, [len(self.mine)] * len(parts), "vectors")
        z = np.stack(got, axis=1)  # (B_r, T, D)
        x = model.bottom.forward(self.mine.dense)  # (B_r, D)
        z = np.concatenate([x[:, None], z], axis=1)  # (B_r, F, D)
        top_in = np.concatenate([x, model.interaction.forward(z)], axis=1)
        return model.top.forward(top_in)[:, 0]  # (B_r,)


# %%
def backward(self, logits, batch):
    model, dim = self.model, self.model.embeddings.shape[1]
    error = 1 / (1 + np.exp(-logits)) - self.mine.label  # (B_r,)
    dlogits = error / self.scale(len(self.mine), len(batch))
    dtop = model.top.backward(dlogits[:, None])  # (B_r, D + P)
    dz = model.interaction.backward(dtop[:, dim:])  # (B_r, F, D)
    model.bottom.backward(dtop[:, :dim] + dz[:, 0])
    parts = [dz[:, 1 + t] for t in range(self.comm.size)]  # 테이블마다 그 벡터의 기울기
    sizes = np.diff(self.cuts(len(batch)))
    return np.concatenate(self.comm.all_to_all(parts, sizes, "gradients"))  # (B, D)


def table_gradient(self, ids, terms):
    rows, place = np.unique(ids, return_inverse=True)
    sums = np.zeros((len(rows), terms.shape[1]), terms.dtype)
    np.add.at(sums, place, terms)
    start, table = self.model.embeddings.starts[self.comm.rank], self.model.embeddings
    return md.SparseGrad(rows + start, sums, table.weight.value.shape)


Rank.backward, Rank.table_gradient = backward, table_gradient


# %%
def reduced(self, k, grad):
    """Return the sum of the ranks' gradients of MLP parameter k."""
    return self.comm.all_reduce(grad, what="all reduce")


def gradients(self, batch):
    """Go forward and backward, and leave the gradients of the whole batch in the model."""
    self.model.zero_grad()
    terms = self.backward(self.forward(batch), batch)
    ids = batch.sparse[:, self.comm.rank]
    self.model.embeddings.weight.grad = self.table_gradient(ids, terms)
    for k, p in enumerate(self.mlps):
        p.grad = self.reduced(k, p.grad)


Rank.reduced, Rank.gradients = reduced, gradients

# %%
clicks = md.data.synthetic_clicks(24_000, seed=1, num_tables=4, max_table_size=300, num_dense=3)


def make():
    return md.DLRM(3, clicks.table_sizes, 8, (16,), (16,), dtype=np.float64)


def one_step(comm):
    rank = Rank(comm, make, lambda: md.SGD(0.5))
    rank.gradients(clicks.train[:500])
    return rank.model.embeddings.weight.grad, [p.grad for p in rank.mlps], comm.totals()


ranks = md.parallel.run(R, one_step)
one, loss = make(), md.BCEWithLogits()
loss.forward(one.forward(clicks.train[:500]), clicks.train[:500].label)
one.backward(loss.backward())
print("largest difference to the step of one process:")
table_grad = md.SparseGrad.sum([grad for grad, _, _ in ranks])
off = np.abs(table_grad.to_dense() - one.embeddings.weight.grad.to_dense()).max()
print(f"  tables   {off:.0e}, {len(table_grad.rows)} rows")
mlps = [*one.bottom.parameters(), *one.top.parameters()]
for name, k in (("bottom", 0), ("top", len(one.bottom.layers) * 2)):
    off = max(np.abs(grads[k] - mlps[k].grad).max() for _, grads, _ in ranks)
    print(f"  {name:8} {off:.0e}, on all ranks")

# %% [markdown]
# 보낸 것을 바이트로 셉니다. `comm.totals()`는 모든 랭크의 것을 더합니다.

# %%
totals = ranks[0][2]
for what, sent in totals.items():
    print(f"{what:10} {sent.messages:4} messages {sent.bytes:9,} bytes")

# %% [markdown]
# ### 직접 해 보기
#
# 이 수들을 예측해 보세요. $P$는 MLP의 매개변수(parameter)의 수입니다(다른 장에서는 쌍의 수입니다). 여기서 수 하나는
# float64이므로 8바이트입니다. 모든 랭크가 합쳐서 보내는 바이트를 돌려주세요. 벡터(순전파), 기울기(역전파),
# 올리듀스입니다. 빈칸의 코드는 두 가지를 잊었습니다.


# %%
def bytes_of_step(B, T, D, P, R):
    vectors = 8 * B * T * D  # 직접 해 보기 (your turn): 모두 옮겨 갈까요?
    all_reduce = 8 * P * R  # 그리고 나비는 몇 라운드일까요?
    return vectors, vectors, all_reduce


def check_bytes(function):
    P = sum(p.value.size for p in mlps)
    said = function(500, T, 8, P, R)
    counted = [totals[what].bytes for what in ("vectors", "gradients", "all reduce")]
    for what, mine, right in zip(
        (say("vectors"), say("gradients"), say("all-reduce")), said, counted, strict=True
    ):
        if mine != right:
            tell(
                "not yet: {what}: you say {mine:,.0f} bytes, and {right:,} were counted",
                what=what,
                mine=mine,
                right=right,
            )
            return
    tell("right: to the byte")


check_bytes(bytes_of_step)

# %% [markdown]
# <details><summary>답</summary>
#
# 랭크는 $R$개의 조각 가운데 하나를 자기에게 남깁니다. 그래서 벡터의 $\frac{R - 1}{R}$이 옮겨 갑니다. $\log_2 R$번의 라운드마다
# 모든 랭크가 수 $P$개를 모두 보냅니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def bytes_of_step_answer(B, T, D, P, R):
    vectors = 8 * B * T * D * (R - 1) // R
    return vectors, vectors, 8 * P * R * int(np.log2(R))


print("the answer:")
check_bytes(bytes_of_step_answer)

# %% [markdown]
# ## 7. 테이블로, 행으로, 열로
#
# 테이블을 통째로 나누면 고르게 나뉘지 않고(09장), 테이블 하나가 기계보다 클 수도 있습니다. 그래서 라이브러리는 세 가지로
# 나눕니다. `with md.parallel.sharded(comm, by="row")` 블록 안에서 만든 모델의 테이블은 모든 랭크에 걸쳐 있습니다. 그 밖에는
# 달라지는 것이 없습니다. `fit`, `evaluate`, `predict`, `save`를 모든 랭크에서 부릅니다.
#
# - *테이블로*: 아이디가 테이블의 주인에게 가고, 벡터가 돌아옵니다.
# - *열로*: 아이디가 모두에게 가고, 벡터의 조각이 돌아옵니다.
# - *행으로*: 아이디가 행의 주인에게 갑니다. 주인은 백(bag)의 합이 아니라 **행**을 한 번씩만 보냅니다. 표본이 있는 랭크가
#   백의 순서대로 더합니다. 부분합을 보내면 바이트는 대개 적지만 비트가 달라집니다.
#
# 그러니 아홉 번의 실행에서 모두 *같은 비트*가 나와야 합니다. 나누는 방법 세 가지를 랭크 하나, 둘, 넷에서 실행합니다.


# %%
def digest(arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()[
        :12
    ]


def trained(comm, by):
    with md.parallel.sharded(comm, by=by):
        model = md.DLRM.for_data(clicks, embedding_dim=8, bottom_mlp=(64,), top_mlp=(256, 64))
    comm.sent.clear()
    train = clicks.train[:8192]
    md.fit(model, train, optimizer=md.Adagrad(0.02), batch_size=2048, progress=False)
    totals = comm.totals()
    sent = sum(totals[what].bytes for what in ("ids", "vectors", "gradients") if what in totals)
    mlps = [*model.bottom.parameters(), *model.top.parameters()]
    logits = md.predict(model, clicks.test[:1000], logits=True)
    return digest([logits, *(p.value for p in mlps)]), model.embeddings.weight.value.nbytes, sent


ways, numbers = ("table", "row", "column"), (1, 2, 4)
runs = {(by, r): md.parallel.run(r, trained, by) for by in ways for r in numbers}

# %%
print(f"{'by':6} ranks  hash of logits and MLPs  tables on a rank    sent for tables")
for (by, r), out in runs.items():
    sizes = [size for _, size, _ in out]
    print(f"{by:6} {r:5}  {out[0][0]:23}  {max(sizes):8,} bytes  {out[0][2]:11,} bytes")
print("different hashes:", len({name for out in runs.values() for name, _, _ in out}))

# %% [markdown]
# 해시(hash)가 하나뿐입니다. 랭크의 수나 나누는 방법이 달라져도 모델은 그대로입니다. 달라지는 것은 랭크가 쓰는
# 메모리와 보내는 양입니다. 여기서는 행으로 나누는 것이 쌉니다. 배치가 이 작은 테이블들의 몇 안 되는 행을 거듭 쓰는데,
# 행마다 한 번만 보내기 때문입니다.
#
# ### 직접 해 보기
#
# 테이블 하나의 행이 랭크 $R$개에 나뉘어 있습니다. 행 $i$는 랭크 $i \bmod R$의 `i // R`번 자리에 있습니다. 여러분의 표본의
# 아이디에 대해 보낼 것을 돌려주세요. 랭크마다 거기에서 필요한 자리들을 **한 번씩만**, 정렬해서 적습니다. 빈칸의 코드는
# 겹치는 것도 보냅니다.


# %%
def places_to_ask(ids, R):
    return [ids[ids % R == r] // R for r in range(R)]  # 직접 해 보기 (your turn): 행은 한 번만


def check_places(function):
    got = function(np.array([9, 4, 1, 4, 13, 9, 2, 6]), 4)
    wanted = [[1], [0, 2, 3], [0, 1], []]
    for r in range(4):
        if np.asarray(got[r]).tolist() != wanted[r]:
            tell(
                "not yet: you ask rank {r} for {got}, and need {wanted}",
                r=r,
                got=np.asarray(got[r]),
                wanted=wanted[r],
            )
            return
    tell("right: every row is asked for once")


check_places(places_to_ask)

# %% [markdown]
# <details><summary>답</summary>
#
# `np.unique`는 정렬하고 하나씩만 남깁니다: `[np.unique(ids[ids % R == r]) // R for r in range(R)]`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def places_to_ask_answer(ids, R):
    return [np.unique(ids[ids % R == r]) // R for r in range(R)]


print("the answer:")
check_places(places_to_ask_answer)

# %% [markdown]
# ## 8. 저마다의 프로세스
#
# 한 프로세스의 스레드들은 메모리를 함께 씁니다. 우리의 랭크에는 그것이 필요 없음을 보이려고 프로세스 넷을 띄웁니다.
# 이들은 클러스터(cluster)가 쓰는 라이브러리인 MPI로 이야기합니다(`pip install "minidlrm[mpi]"`로 설치합니다).
# `minidlrm train --ranks 4`가 프로세스를 띄웁니다. 클러스터에서는 `mpiexec`가 여러 기계에 띄웁니다.

# %% tags=["timing"]
folder = tempfile.TemporaryDirectory()
command = [sys.executable, "-m", "minidlrm", "train", "--rows", "4000", "--batch-size", "2048"]
command += ["--bottom-mlp", "16", "--top-mlp", "256", "--embedding-dim", "8"]
for more in (["--ranks", "4"], []) if importlib.util.find_spec("mpi4py") else ():
    out = f"{folder.name}/{len(more)}"
    done = subprocess.run([*command, *more, "--out", out], capture_output=True, text=True)
    print(" ".join(more) or "without --ranks")
    for line in (done.stdout + done.stderr).splitlines():
        if line.strip().startswith(("tables by", "log loss", "error")):
            print("  ", line.strip())
    if done.returncode == 0:
        saved = md.load(f"{out}/dlrm" if more else f"{out}/dlrm.safetensors")
        print("   hash of all parameters:", digest(saved.state_dict().values()))
if not importlib.util.find_spec("mpi4py"):
    print('mpi4py is not installed: skipped. pip install "minidlrm[mpi]" brings it')

# %% [markdown]
# 끝의 해시가 같습니다. 프로세스 넷의 모델은 프로세스 하나의 모델과 마지막 비트까지 같습니다. 랭크들은 폴더 하나에 파일을
# 하나씩 썼고, `md.load`는 랭크가 몇 개이든 그것을 읽습니다. (노트북 컴퓨터에서는 프로세스 넷이 하나보다 빠르지 않습니다.
# 코어를 나누어 쓰고, 저마다 모듈을 다시 불러오기 때문입니다.)
#
# ### 직접 해 보기
#
# 기계를 늘리면 언제 이득일까요? 기계 한 대에서 한 스텝이 `work`초 걸린다고 합시다. 기계 $R$대가 이것을 고르게 나눕니다.
# 랭크는 보내면서 동시에 받고, $n$바이트짜리 메시지는 $\alpha + n \beta$초 걸립니다. 메시지마다 $\alpha$, 바이트마다
# $\beta$입니다. 랭크 하나에 대해, 모두가 모두에게 보내기 두 번(메시지 $R - 1$개씩, 메시지마다 $4 B T D / R^2$바이트)과
# 나비($4 P$바이트짜리 메시지 $\log_2 R$개)를 세세요. 빈칸의 코드에는 메시지가 없고 바이트만 있습니다.


# %%
def seconds_of_step(R, work, B, T, D, P, alpha, beta):
    parts = 2 * (R - 1) * 4 * B * T * D / R**2 * beta
    butterfly = np.log2(R) * 4 * P * beta
    return work / R + parts + butterfly  # 직접 해 보기 (your turn): 메시지마다 alpha도


def check_seconds(function):
    said = function(8, 0.4, 2048, 26, 16, 475_985, 1e-5, 1e-9)
    wanted = 0.05 + 14 * (1e-5 + 53_248e-9) + 3 * (1e-5 + 4 * 475_985e-9)
    right = abs(said - wanted) < 1e-9
    tell(
        "right" if right else "not yet: {said:.4f} ms; it is {wanted:.4f} ms",
        said=1e3 * said,
        wanted=1e3 * wanted,
    )


check_seconds(seconds_of_step)

# %% [markdown]
# <details><summary>답</summary>
#
# `2 * (R - 1) * (alpha + 4 * B * T * D / R**2 * beta)`와 `np.log2(R) * (alpha + 4 * P * beta)`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def seconds_of_step_answer(R, work, B, T, D, P, alpha, beta):
    parts = 2 * (R - 1) * (alpha + 4 * B * T * D / R**2 * beta)
    butterfly = np.log2(R) * (alpha + 4 * P * beta)
    return work / R + parts + butterfly


print("the answer:")
check_seconds(seconds_of_step_answer)

# %%
counts = 2 ** np.arange(11)
fig, ax = plt.subplots(figsize=(6.8, 3.6), layout="constrained")
ax.loglog(counts, counts, color="0.7", lw=1, label="ideal")
for batch_size, style in ((2048, "o-"), (16_384, "s--"), (131_072, "^:")):
    work = 40e-6 * batch_size  # 표본마다 40마이크로초
    shape = (batch_size, 26, 16, 475_985, 1e-5, 1e-9)
    times = [seconds_of_step_answer(r, work, *shape) for r in counts.tolist()]
    ax.loglog(counts, times[0] / np.array(times), style, ms=4, label=f"B = {batch_size:,}")
ax.set(
    xlabel="ranks R", ylabel="speed-up", title="Computed: 40 µs a sample, 10 µs a message, 1 GB/s"
)
ax.set_xticks(counts, counts)
ax.minorticks_off()
ax.grid(alpha=0.3)
_ = ax.legend(fontsize="small")

# %% [markdown]
# 이것은 가정한 수 세 개를 넣은 식이지, 잰 것이 아닙니다. (`minidlrm show dlrm --ranks 16`은 더 많은 항과 실제로 잰 수로 한
# 스텝을 계산합니다.) 배치가 작으면 곧 남은 일보다 메시지가 더 비싸집니다. 그리고 나비의 바이트는 $R$이 커져도 줄지
# 않습니다. 그래서 큰 기계는 큰 배치로 학습합니다.
#
# ## 9. 이 장의 박물관
#
# 오류 없이 돌아가지만 틀린 병렬 프로그램 다섯 개입니다. 저마다 `Rank`에서 한 곳만 바꾸었습니다. 읽고, 곡선이 어떤 모습일지
# 예측한 다음에 보세요.
#
# ### 전시물 1: 잊은 평균
#
# 랭크마다 *자기* 표본의 수로 나누고, 그다음 기울기를 더합니다.


# %%
class ForgottenAverage(Rank):
    def scale(self, rows, B):
        return rows


# %% [markdown]
# ### 전시물 2: 평균의 평균
#
# 랭크마다 자기 파일을 읽는데 파일의 길이가 다릅니다. 행의 5/8가 랭크 0에 있습니다. (행은 정렬되어 있습니다. 클릭이 없는
# 행이 먼저입니다.) `Uneven`은 맞습니다. `MeanOfMeans`는 랭크마다 합을 자기 행의 수로 나누고, 전체를 $R$로 나눕니다.


# %%
class Uneven(Rank):
    def cuts(self, B):
        return [0, B * 5 // 8, B * 6 // 8, B * 7 // 8, B]


class MeanOfMeans(Uneven):
    def scale(self, rows, B):
        return rows * self.comm.size


# %% [markdown]
# ### 전시물 3: 혼자 남은 편향
#
# MLP의 매개변수 가운데 하나가 더할 것의 목록에 없습니다. 상단 MLP(top MLP)의 첫째 층의 편향(bias)입니다.


# %%
class BiasAtHome(Rank):
    def reduced(self, k, grad):
        first_top = len(self.model.bottom.layers) * 2
        return grad * self.comm.size if k == first_top + 1 else super().reduced(k, grad)


# %% [markdown]
# ($R$을 곱해서 합과 크기를 맞춥니다.)
#
# ### 전시물 4: 함께 쓰는 테이블을 두 번
#
# 열 0과 열 1에는 같은 사용자들의 아이디가 있고, 테이블 하나를 함께 씁니다. 랭크 0과 1이 복사본을 하나씩 가지고 기울기를
# 서로 주고받아, 둘 다 양쪽의 것을 더합니다. 이것이 `Shared`입니다. `SharedTwice`에서는 프로그램의 다른 곳이 같은 일을 한 번
# 더 합니다. 여러 랭크가 가진 것은 무엇이든 더하는 곳입니다. 그래서 항마다 두 번 셈해집니다.


# %%
class Shared(Rank):
    times = 1

    def table_gradient(self, ids, terms):
        everyones = self.comm.all_gather(ids), self.comm.all_gather(terms)
        if self.comm.rank < 2:
            ids, terms = (np.concatenate(parts[:2]) for parts in everyones)
        return super().table_gradient(ids, self.times * terms)


class SharedTwice(Shared):
    times = 2


def make_shared():
    size = max(clicks.table_sizes[:2])
    model = md.DLRM(3, [size, size, *clicks.table_sizes[2:]], 8, (16,), (16,), dtype=np.float64)
    model.embeddings.table(1)[:] = model.embeddings.table(0)
    return model


# %% [markdown]
# ### 전시물 5: 저마다의 순서
#
# 5절의 빈칸에 있던 올리듀스입니다. 모든 항이 한 번씩 다 있습니다.


# %%
class OwnOrder(Rank):
    def reduced(self, k, grad):
        everyones = self.comm.all_gather(grad)
        for other in range(1, self.comm.size):
            grad = grad + everyones[(self.comm.rank + other) % self.comm.size]
        return grad


# %% [markdown]
# ### 어느 것이 학습이 될까요?
#
# 저마다 올바른 짝과 나란히, 같은 곳에서 시작하여 32스텝을 학습합니다. 1과 4는 SGD, 나머지는 Adam을 씁니다. 여덟 스텝마다
# 모든 랭크가 함께 검증 데이터의 로그 손실(log loss)을 구하고, MLP의 복사본을 봅니다. 두 랭크의 차이는 가장 클 때 얼마일까요?


# %%
valid = clicks.valid[:1024]


def loss_of(rank):
    logits = rank.forward(valid)
    mean = md.metrics.log_loss(rank.mine.label, logits)
    return float(rank.comm.all_reduce(np.array([mean * len(logits)]))[0]) / len(valid)


def spread_of(rank):
    mine = np.concatenate([p.value.ravel() for p in rank.mlps])
    copies = np.stack(rank.comm.all_gather(mine))
    return float(np.ptp(copies, axis=0).max())


# %%
def sgd():
    return md.SGD(0.5)


def adam():
    return md.Adam(0.01)


def train(comm, kind, make=make, rule=adam, by_label=False, B=256):
    rank = kind(comm, make, rule)
    curve = [(0, loss_of(rank), 0.0)]
    for step in range(1, 33):
        batch = clicks.train[B * (step - 1) : B * step]
        if by_label:
            batch = batch[np.argsort(batch.label, kind="stable")]
        rank.gradients(batch)
        rank.rule.step(rank.model.parameters())
        if step % 8 == 0:
            curve.append((step, loss_of(rank), spread_of(rank)))
    return np.array(curve)


# %%
twins = {
    "1: the forgotten average": [(kind, {"rule": sgd}) for kind in (Rank, ForgottenAverage)],
    "2: the mean of means": [(kind, {"by_label": True}) for kind in (Uneven, MeanOfMeans)],
    "3: one bias at home": ((Rank, {}), (BiasAtHome, {})),
    "4: a shared table, twice": [
        (kind, {"make": make_shared, "rule": sgd}) for kind in (Shared, SharedTwice)
    ],
    "5: an order of one's own": ((Rank, {}), (OwnOrder, {})),
}


def curve_of(kind, options):
    return md.parallel.run(R, lambda comm: train(comm, kind, **options))[0]


curves = {name: [curve_of(*run) for run in pair] for name, pair in twins.items()}
for name, (right, wrong) in curves.items():
    print(f"{name:25} log loss {right[-1, 1]:.4f}, wrong {wrong[-1, 1]:.4f};", end="")
    print(f" copies differ by {right[-1, 2]:.0e}, wrong {wrong[-1, 2]:.0e}")
print("the same mistakes, hidden:")
right = curves["3: one bias at home"][0]  # Adam, 섞은 행
for name, kind in (("1 with Adam", ForgottenAverage), ("2 with shuffled rows", MeanOfMeans)):
    print(f"{name:25} log loss {right[-1, 1]:.4f}, wrong {curve_of(kind, {})[-1, 1]:.4f}")

# %%
fig, axes = plt.subplots(2, 3, figsize=(9.6, 5.2), layout="constrained")
for ax, (name, (right, wrong)) in zip(axes.flat, curves.items(), strict=False):
    ax.plot(*right.T[:2], "-", color="0.6", lw=3, label="right")
    ax.plot(*wrong.T[:2], "--", color="0.0", label="wrong")
    ax.set(title=name, xlabel="step", ylabel="log loss (nats)")
axes[0, 0].legend(fontsize="small")
for name, mark in (("3: one bias at home", "o-"), ("5: an order of one's own", "s--")):
    step, _, spread = curves[name][1][1:].T
    axes[1, 2].semilogy(step, spread, mark, ms=4, label=name)
axes[1, 2].set(title="The copies drift apart", xlabel="step", ylabel="largest difference")
axes[1, 2].legend(fontsize="small")
for ax in axes.flat:
    ax.grid(alpha=0.3)

# %% [markdown]
# 모두 학습이 됩니다.
#
# - 1은 스텝이 $R$배 깁니다. SGD에서는 곡선이 출렁이고, 학습률(learning rate)이 너무 큰 것처럼 보입니다. Adam은 기울기의
#   크기로 나누므로 이것을 감춥니다(마지막 줄들을 보세요).
# - 2만 고장 난 것처럼 보입니다. 그것도 행이 정렬되어 있기 때문입니다. 행을 섞으면 차이가 조금밖에 남지 않아서
#   잡음으로 보입니다(마지막 줄).
# - 3의 곡선은 짝과 비슷합니다. 그러나 이제 모델이 네 개이고, 체크포인트(checkpoint)에는 그중 하나만 있습니다.
# - 4는 짝보다 *더 좋아* 보입니다. 테이블의 학습률이 더 크기 때문입니다.
# - 5는 비트를 보기 전까지는 짝과 같습니다. $10^{-16}$의 차이는 그 자체로는 해가 없습니다. 그러나 이제 비트가 같은지로 검사할
#   수 없으므로, 전시물 3처럼 다른 까닭으로 틀린 복사본을 찾지 못합니다.
#
# 이런 잘못을 찾아 주는 것은 곡선이 아닙니다. float64로 여러 스텝을 학습한 뒤에 **프로세스 하나**와 비교하세요. 블록의
# 크기를 다르게 하고, 랭크에 걸쳐 겹치는 아이디를 쓰세요. 그리고 모든 복사본의 **비트**를 비교하세요.
#
# ## 10. 읽을거리
#
# - Naumov et al. 2019, "Deep learning recommendation model for personalization and recommendation systems", 3절.
# - Naumov et al. 2020, "Deep learning training in facebook data centers: Design of scale-up and scale-out systems".
# - Kalamkar et al. 2020, "Optimizing deep learning recommender systems training on CPU cluster architectures": MPI로 하는 DLRM과, 스텝마다의 바이트.
# - Mudigere et al. 2022, "Software-hardware co-design for fast and scalable training of deep learning recommendation models".
# - Thakur et al. 2005, "Optimization of collective communication operations in MPICH": 나비, 고리, 트리.
#
# ## 기억할 것
#
# 1. 테이블은 나누고 MLP는 복사합니다. 스텝마다 벡터를 모두가 모두에게 보내고, 그 기울기는 같은 길로 돌아갑니다.
# 2. 모두가 모두에게 보내는 것은 순열입니다. 그 역전파는 역순열입니다.
# 3. 모든 랭크에서 배치 전체의 표본 수로 나누고, 그다음에 더합니다.
# 4. 모든 랭크가 한 가지 순서로 더하면 비트까지 같고, 비트가 같은지는 검사할 수 있습니다.
# 5. 바이트에는 식이 있습니다. 세어 보세요.
#
# 다음은 과제 A7, 또는 둘 이상의 기계에서 돌리는 여러분의 모델입니다.
