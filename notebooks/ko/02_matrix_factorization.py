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
# # 02 · 행렬 분해
#
# [![Colab에서 열기](../colab.svg)](https://colab.research.google.com/github/)
#
# [English](../02_matrix_factorization.ipynb) · [튜토리얼 안내](README.md) · [용어집](glossary.md)
#
# 사람들이 영화에 평점(rating)을 줍니다. 영화를 다 본 사람은 없으므로 사용자 × 영화 행렬은 대부분 비어 있습니다. 이
# 빈자리를 짐작하려고 합니다. 이 장의 모델은 넷플릭스(Netflix) 대회에서 유명해졌고, 이 강좌의 모든 모델이 여기서
# 나왔습니다. **평점은 두 임베딩(embedding)의 곱입니다**.
#
# 01장의 내용이 필요합니다. 읽는 시간은 약 75분입니다.
#
# **이 장을 마치면** 행렬 분해(matrix factorization)를 손으로, 그리고 라이브러리로 학습하게 됩니다. 실제 평점이 있으면
# 실제 평점으로 합니다. 인수(factor)가 무엇을 뜻하는지 짐작하게 되고, 기울기(gradient)를 직접 유도하게 됩니다.

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
from minidlrm.languages import say, tell

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. 평점
#
# MovieLens가 있으면 그것을 씁니다(`minidlrm data fetch movielens-latest-small`로 받거나, `MINIDLRM_DATA`가 가리키는
# 폴더에 둡니다). 없으면 참값을 정해 놓고 평점을 만듭니다. 사용자와 영화에 숨은 인수가 세 개씩 있고, 여기에 잡음을
# 더합니다.

# %%
folder = Path(os.environ.get("MINIDLRM_DATA", "")) / "ml-latest-small"


def planted_ratings(users=600, movies=800, count=60_000):
    p, q = planted = rng.normal(size=(users, 3)), rng.normal(size=(movies, 3))
    popular = (movies * rng.random(count) ** 2).astype(int)  # 몇몇 영화가 평점을 많이 받습니다
    ids = np.stack([rng.integers(0, users, count), popular], axis=1)
    mean = 3.5 + 0.3 * p[ids[:, 0], 0] + 0.3 * q[ids[:, 1], 0]
    rating = mean + 0.3 * (p[ids[:, 0]] * q[ids[:, 1]]).sum(axis=1) + rng.normal(0, 0.6, count)
    label = np.clip(np.round(2 * rating) / 2, 0.5, 5).astype(np.float32)
    rows = md.data.Batch(np.zeros((count, 0), np.float32), ids, label)
    cut = int(0.85 * count), int(0.9 * count)
    parts = rows[: cut[0]], rows[cut[0] : cut[1]], rows[cut[1] :]
    data = md.data.Dataset(*parts, [users, movies], ["user", "movie"], "planted ratings")
    return data, planted


real = folder.is_dir()
data, planted = (md.data.movielens_ratings(folder), None) if real else planted_ratings()
train, test = data.train, data.test
num_users, num_movies = data.table_sizes
print(data.description)
print(f"{len(train):,} ratings to learn from, {len(test):,} to test")

# %%
fig, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
values, counts = np.unique(train.label, return_counts=True)
axes[0].bar(values, counts, width=0.4, color="#0072b2")
axes[0].set(xlabel="rating (stars)", ylabel="ratings", title="What people give")
per_movie = np.sort(np.bincount(train.sparse[:, 1], minlength=num_movies))[::-1]
axes[1].loglog(1 + np.arange(num_movies), np.maximum(per_movie, 0.5), color="#d55e00")
_ = axes[1].set(
    xlabel="rank of the movie", ylabel="ratings", title="A few movies have many of them"
)

# %% [markdown]
# ### 직접 해 보기
#
# 얼마나 고르지 않을까요? `ids`는 평점마다 영화의 아이디(id)이고, 영화는 모두 `N`편입니다. 평점을 가장 많이 받은 영화
# 10분의 1이 모든 평점 가운데 얼마를 차지할까요? 빈칸의 코드는 아이디가 그 순서로 정렬되어 있는 것처럼 앞의 10분의 1을
# 셉니다.


# %%
def head_share(ids, N):
    return np.mean(ids < N // 10)  # 직접 해 보기 (your turn): 세고, 정렬하고, 더하세요


def check_head_share(function):
    ids = np.repeat(np.arange(20), [1] * 9 + [41, 41] + [1] * 9)
    said = function(ids, 20)
    if abs(said - 0.82) < 1e-12:
        share = function(train.sparse[:, 1], num_movies)
        tell(
            "right; a tenth of our {num_movies:,} movies has {share:.0%} of the ratings",
            num_movies=num_movies,
            share=share,
        )
    else:
        tell(
            "not yet: {said:.2f}, and it should be 0.82: of 20 movies two have 41 ratings,",
            said=said,
        )
        tell("   the others one each, so a tenth of the movies has 82 of the 100 ratings")


check_head_share(head_share)

# %% [markdown]
# <details><summary>답</summary>
#
# `np.bincount`로 세고, 큰 것부터 정렬하고, 처음 $N / 10$개를 더합니다. 모델은 이 영화들에 대해서는 많이 배울 수 있고,
# 나머지에 대해서는 조금밖에 배우지 못합니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def head_share_answer(ids, N):
    counts = np.bincount(ids, minlength=N)
    largest = np.sort(counts)[::-1]
    return largest[: N // 10].sum() / len(ids)


print("the answer:")
check_head_share(head_share_answer)

# %% [markdown]
# ## 2. 영화를 보는 두 가지 눈
#
# 추천 모델은 영화를 두 가지 방법으로 볼 수 있습니다. **내용 기반 필터링**(content filtering)은 영화가 *무엇인지*를
# 묻습니다. 이를테면 장르입니다. 코미디를 좋아했다면 다른 코미디를 권하는 식입니다. **협업 필터링**(collaborative
# filtering)은 *사람들이* 그 영화를 어떻게 보았는지를 묻습니다. 평점을 준 사람들이 별을 몇 개 주었는지 봅니다. DLRM의
# 논문은 이 둘로 시작합니다. DLRM이 둘을 합친 것이기 때문입니다.
#
# 내용입니다. `G`의 행 $i$에는 영화 $i$의 장르가 비율로 들어 있고, 모두 더하면 1입니다. 만들어 낸 평점이라면 숨은 둘째
# 인수의 부호를 장르로 삼고, 아무 뜻이 없는 장르를 하나 더 둡니다.

# %%
if real:
    from minidlrm.data.movies import read_movies

    _, bags, genre_names = read_movies(folder / "ratings.csv", data.vocabulary.items)
    G = np.zeros((num_movies, len(genre_names)))
    G[np.repeat(np.arange(num_movies), np.diff(bags.offsets)), bags.values] = 1
else:
    genre_names = [f"genre {k}" for k in range(4)]
    G = np.eye(4)[(planted[1][:, 1] > 0) + 2 * (np.arange(num_movies) % 2)]
G /= np.maximum(G.sum(axis=1, keepdims=True), 1)
print(f"{len(genre_names)} genres:", ", ".join(genre_names)[:100])

# %% [markdown]
# ### 직접 해 보기
#
# 사용자 $u$는 장르 $g$를 어떻게 생각할까요? 사용자의 평점에서 평균을 뺀 나머지 `rest`를, 그 영화의 장르에 비율대로
# 나누어 줍니다. 그리고 비율의 합에 5를 더한 값으로 나눕니다. 그러면 평점이 적을 때는 값도 작아집니다. 사용자 $u$의
# 평점을 $k$로, 평점마다의 영화를 $i_k$로 쓰면 다음과 같습니다.
#
# $$ \mathrm{taste}_{ug} = \frac{\sum_k \mathrm{rest}_k\, G_{i_k g}}{5 + \sum_k G_{i_k g}} . $$
#
# 빈칸의 코드는 평점을 모든 장르에 똑같이 나누어 줍니다. 그래서 어느 사용자가 짠지는 배우지만 취향은 배우지 못합니다.
# (`np.add.at`은 01장에서처럼, 여러 번 나오는 행을 모두 더합니다.)


# %%
def tastes(u, i, rest, G, num_users):
    total = np.zeros((num_users, G.shape[1]))
    weight = np.zeros((num_users, G.shape[1]))
    np.add.at(weight, u, G[i])
    np.add.at(
        total, u, np.broadcast_to(rest[:, None], (len(u), G.shape[1]))
    )  # 직접 해 보기 (your turn)
    return total / (5 + weight)


def check_tastes(function):
    shares = np.array([[1.0, 0], [0.5, 0.5], [0, 1]])
    rest = np.array([1.0, 2, -1, 3])
    said = function(np.array([0, 0, 0, 1]), np.array([0, 1, 2, 2]), rest, shares, 2)
    wanted = np.array([[(1 + 1) / 6.5, (1 - 1) / 6.5], [0, 3 / 6]])
    wrong = md.checking.difference(said, wanted, "taste")
    tell(
        "not yet: {wrong}" if wrong else "right: each genre gets its share of a rating", wrong=wrong
    )


check_tastes(tastes)

# %% [markdown]
# <details><summary>답</summary>
#
# `np.add.at(total, u, rest[:, None] * G[i])`: 장르의 비율이 평점의 가중치가 됩니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def tastes_answer(u, i, rest, G, num_users):
    total = np.zeros((num_users, G.shape[1]))
    weight = np.zeros((num_users, G.shape[1]))
    np.add.at(weight, u, G[i])
    np.add.at(total, u, rest[:, None] * G[i])
    return total / (5 + weight)


print("the answer:")
check_tastes(tastes_answer)

# %% [markdown]
# 이제 두 눈을 비교합니다. 영화의 10분의 1은 평점을 모두 숨겨 **새** 영화로 삼습니다. 가장 단순한 협업 필터링은 다른
# 사람들이 그 영화에 준 평점의 평균을 씁니다. 내용 기반 필터링은 취향을 씁니다. 둘을 합친 것은 영화의 평균을 뺀
# 나머지에 취향을 씁니다. (셋 다 사용자가 얼마나 짠지는 압니다.)

# %%
is_new = np.random.default_rng(5).random(num_movies) < 0.1
u, i = train.sparse[~is_new[train.sparse[:, 1]]].T
stars = train.label[~is_new[train.sparse[:, 1]]]
count = np.bincount(i, minlength=num_movies)
strict = np.bincount(u, stars - stars.mean(), num_users) / (5 + np.bincount(u, minlength=num_users))
rest = stars - stars.mean() - strict[u]
liked = np.bincount(i, rest, num_movies) / (5 + count)  # 새 영화는 0
test_u, test_i = test.sparse.T
base = stars.mean() + strict[test_u]


def by_taste(what_is_left):
    taste = tastes_answer(u, i, what_is_left, G, num_users)
    return (taste[test_u] * G[test_i]).sum(axis=1)


views = {
    "content": base + by_taste(rest),
    "collaborative": base + liked[test_i],
    "both": base + liked[test_i] + by_taste(rest - liked[i]),
}

# %%
groups = {"new": (0, 0), "1 to 49": (1, 49), "50 or more": (50, 10**6)}
fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
for (name, guess), style in zip(views.items(), ("o-", "s-", "^-"), strict=True):
    errors = []
    for low, high in groups.values():
        rows = (count[test_i] >= low) & (count[test_i] <= high)
        errors.append(np.sqrt(np.mean((test.label - guess)[rows] ** 2)))
    ax.plot(list(groups), errors, style, label=name)
    print(f"{name:14}", *(f"{group}: {e:.3f}  " for group, e in zip(groups, errors, strict=True)))
ax.set(
    xlabel="ratings of the film that we know",
    ylabel="RMSE (stars)",
    title="Each view has its films",
)
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# 새 영화에 대해서는 사람들이 할 말이 없지만 내용은 있습니다. 많은 사람이 평점을 준 영화라면 장르보다 사람들의 말이 더
# 많은 것을 알려 줍니다. 양쪽에서 모두 배울 것이 있으면 둘을 합친 것이 가장 낫습니다. `minidlrm paper 1`은 같은 비교를
# 벡터로 합니다. 모두 똑같이 학습하고, 시드(seed)를 바꾸어 가며 여러 번 잽니다.
#
# ## 3. 직선에서 신경망으로
#
# 논문의 둘째 눈은 **예측**(prediction)입니다. 특성(feature)에서 어떤 일이 일어날 확률을 구합니다. 별 4개 이상의
# 평점을 "좋아한다"라는 일로 봅시다. 가장 단순한 모델은 직선입니다. 사용자마다 숫자 하나, 영화마다 숫자 하나를 두고 그
# 합 $s$를 냅니다. 그런데 합은 어떤 수든 될 수 있지만 확률은 그럴 수 없습니다. 로지스틱 회귀(logistic regression)는
# 합을 시그모이드(sigmoid) $\sigma$에 넣습니다.
#
# $$ p = \sigma(s) = \frac{1}{1 + e^{-s}} . $$
#
# ### 직접 해 보기
#
# 점수를 확률로 바꾸세요. 점수의 절댓값이 크면 $e^{-s}$나 $e^{s}$가 실수형의 범위를 넘습니다. `np.exp`에는 음수만
# 넣으세요. 빈칸의 코드는 직선 그대로입니다.


# %%
def probability(s):
    return s  # 직접 해 보기 (your turn)


def check_probability(function):
    scores = np.array([-1000.0, -2, 0, 2, 1000])
    with np.errstate(over="raise"):
        try:
            p = np.asarray(function(scores))
        except FloatingPointError:
            tell("not yet: np.exp got a large number; exp(s) / (1 + exp(s)) is the same sigmoid")
            return
    wrong = md.checking.difference(
        p, np.array([0, 0.11920292202211755, 0.5, 0.8807970779778823, 1]), "p"
    )
    tell("not yet: {wrong}" if wrong else "right: from 0 to 1, and 0.5 in the middle", wrong=wrong)


check_probability(probability)

# %% [markdown]
# <details><summary>답</summary>
#
# $\sigma(s) = e^{s} / (1 + e^{s})$이기도 합니다. `small`을 `np.exp(-np.abs(s))`라고 하면 1보다 커지는 일이 없습니다.
# $s$가 음수가 아닌 곳에서는 `1 / (1 + small)`, 나머지에서는 `small / (1 + small)`입니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def probability_answer(s):
    small = np.exp(-np.abs(s))
    return np.where(s >= 0, 1, small) / (1 + small)


print("the answer:")
check_probability(probability_answer)

# %% [markdown]
# 직선은 사용자와 영화를 더할 뿐이어서, *이* 사용자가 *저* 영화를 좋아한다고 말할 수 없습니다. 딥러닝 신경망은 말할 수
# 있습니다. 다만 아이디를 읽을 수 있어야 합니다. 그런데 아이디는 이름입니다. 17번 영화가 16번 영화보다 "큰" 것은
# 아닙니다. 아이디를 숫자로 넣으면 신경망은 영화 하나하나를 피해 가며 평면을 꺾어야 합니다. 아이디마다 학습되는 벡터,
# 곧 **임베딩**을 주면 비슷한 영화는 비슷한 벡터를 가질 수 있습니다. 같은 평점에 네 가지 모델을 써 봅시다.

# %%
likes = {
    name: md.data.Batch(part.dense, part.sparse, (part.label >= 4).astype(np.float32))
    for name, part in (("train", train), ("test", test))
}
as_numbers = {
    name: md.data.Batch(
        (part.sparse / data.table_sizes).astype(np.float32), part.sparse[:, :0], part.label
    )
    for name, part in likes.items()
}
contenders = {
    "line": (md.LogisticRegression(0, data.table_sizes), likes, md.MSE()),
    "logistic": (md.LogisticRegression(0, data.table_sizes), likes, None),
    "deep, ids as numbers": (md.MLPModel(2, [], 8, (32, 16)), as_numbers, None),
    "deep, embeddings": (md.MLPModel(0, data.table_sizes, 8, (32, 16)), likes, None),
}

# %%
for name, (network, rows, loss) in contenders.items():
    options = {"optimizer": md.Adam(0.01), "batch_size": 512, "progress": False}
    md.fit(network, rows["train"], loss=loss, epochs=3, **options)
    p = md.predict(network, rows["test"]).astype(float)
    beyond = np.mean((p < 0) | (p > 1))
    score = md.metrics.auc(rows["test"].label, p)
    print(f"{name:21} AUC {score:.3f}, beyond 0 and 1: {beyond:.1%}")

# %% [markdown]
# AUC는 좋아한 것 하나와 그렇지 않은 것 하나의 쌍 가운데 순서가 맞은 쌍의 비율입니다(06장). 아이디를 숫자로 넣은
# 신경망은 동전 던지기와 다를 것이 없습니다. 임베딩을 쓰면 로지스틱 회귀와 비슷하거나 더 낫고, 사용자와 영화에 대해
# 배운 숫자가 수천 개 남습니다. 임베딩이 *무엇인지*가 이 장의 나머지에서 다룰 내용입니다.

# %% [markdown]
# ## 4. 단순한 짐작으로 어디까지 갈까?
#
# 사용자 $u$가 영화 $i$에 준 평점이 $r_{ui}$이고, 우리의 짐작이 $\hat r_{ui}$입니다. 테스트 데이터의 평점 $n$개에 대해
# **평균 제곱근 오차**(root mean squared error, RMSE)
# $\mathrm{RMSE} = \sqrt{\frac1n \sum (r_{ui} - \hat r_{ui})^2}$을 별의 수로 잽니다.
#
# 1. 모든 평점의 평균 $\mu$.
# 2. 평균과 두 **편향**(bias): $\hat r_{ui} = \mu + b_u + b_i$. 점수를 짜게 주는 사용자도 있고, 누구나 좋아하는 영화도
#    있습니다.


# %%
def rmse(truth, guess):
    return float(np.sqrt(np.mean((truth - np.clip(guess, 0.5, 5)) ** 2)))


mean = float(train.label.mean())
users, movies = train.sparse.T
print(f"the mean alone: RMSE {rmse(test.label, mean):.4f}")

movie_bias = np.bincount(movies, train.label - mean, num_movies)
movie_bias /= 5 + np.bincount(
    movies, minlength=num_movies
)  # 5: 평점 하나로는 알 수 있는 것이 적습니다
rest = train.label - mean - movie_bias[movies]
user_bias = np.bincount(users, rest, num_users) / (5 + np.bincount(users, minlength=num_users))
guess = mean + user_bias[test.sparse[:, 0]] + movie_bias[test.sparse[:, 1]]
print(f"with biases:    RMSE {rmse(test.label, guess):.4f}")

# %% [markdown]
# ### 직접 해 보기
#
# 영화의 편향은 그 평점의 평균에서 $\mu$를 뺀 값과 비슷합니다. 하지만 5점을 하나 받은 영화가 꼭 가장 좋은 영화는
# 아닙니다. 그래서 평점의 수에 5를 더한 값으로 나눕니다. 평점이 적으면 편향도 작아집니다. 빈칸의 코드는 그냥 평균을
# 냅니다.


# %%
def bias_of(ratings, mu):
    return np.mean(ratings - mu)  # 직접 해 보기 (your turn)


def check_bias(function):
    one, many = function(np.array([5.0]), 3.5), function(np.full(95, 5.0), 3.5)
    right = abs(one - 0.25) < 1e-12 and abs(many - 1.425) < 1e-12
    text = say(
        "one rating of 5 gives {one:.3f}, and 95 give {many:.3f}; wanted are 0.250 and 1.425",
        one=one,
        many=many,
    )
    tell("right" if right else "not yet: {text}", text=text)


check_bias(bias_of)

# %% [markdown]
# <details><summary>답</summary>
#
# `np.sum(ratings - mu) / (5 + len(ratings))`. 평점이 하나면 0.25이고, 95개면 1.43으로 평균 1.5에 가깝습니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def bias_answer(ratings, mu):
    return np.sum(ratings - mu) / (5 + len(ratings))


print("the answer:")
check_bias(bias_answer)

# %% [markdown]
# ## 5. 모델과 그 기울기
#
# 사용자 $u$에게는 숫자 $D$개로 된 벡터 $p_u$가, 영화 $i$에는 벡터 $q_i$가 있습니다. 인수 하나를 취향 하나, 이를테면
# 액션이라고 생각해 봅시다. $q_{id}$는 영화에 그것이 얼마나 들어 있는지, $p_{ud}$는 사용자가 그것을 얼마나 좋아하는지
# 말해 줍니다.
#
# $$ \hat r_{ui} = \mu + b_u + b_i + \langle p_u, q_i \rangle , \qquad \langle p_u, q_i \rangle = \sum_d p_{ud}\, q_{id} . $$
#
# 평점 하나에 대해 $e = r_{ui} - \hat r_{ui}$를 오차라고 하고, $\lambda$는 우리가 정하는 작은 수라고 합시다. 다음
# 손실(loss)을 줄입니다.
#
# $$ L = e^2 + \lambda \left( |p_u|^2 + |q_i|^2 + b_u^2 + b_i^2 \right) . $$
#
# 둘째 항은 벡터가 커지지 않게 합니다. 이 벌점이 없으면, 평점이 두 개뿐인 영화의 벡터는 그 둘에만 딱 맞춰지고, 다른
# 평점에는 아무 도움이 되지 않습니다. ($|p|^2$은 원소의 제곱의 합입니다.) 이제 유도합니다.
# $\partial e / \partial p_u = -q_i$이므로 다음과 같습니다.
#
# $$ \frac{\partial L}{\partial p_u} = -2 e\, q_i + 2 \lambda p_u, \qquad
#    \frac{\partial L}{\partial q_i} = -2 e\, p_u + 2 \lambda q_i, \qquad
#    \frac{\partial L}{\partial b_u} = -2 e + 2 \lambda b_u , $$
#
# $b_i$도 마찬가지입니다. 경사 하강법(gradient descent)의 스텝(step)은 기울기의 반대쪽으로 갑니다. 2를 흡수한 작은
# 학습률(learning rate) $\eta$를 곱합니다.
#
# $$ p_u \leftarrow p_u + \eta\, (e\, q_i - \lambda p_u), \qquad q_i \leftarrow q_i + \eta\, (e\, p_u - \lambda q_i). $$
#
# **두 식의 오른쪽에는 모두 옛 벡터를 씁니다.** $p_u$를 먼저 고치고 그것을 읽어 $q_i$를 고치는 코드는 다른 규칙을
# 따르는 것입니다.
#
# ### 직접 해 보기
#
# 평점 하나에 대한 $L$의 기울기를 쓰세요. 짧게 하려고 편향은 뺍니다. (`lam`이 $\lambda$입니다.) 검사기(checker)는 함수
# 자체와 비교합니다.


# %%
def one_rating(p, q, r=4.0, lam=0.1):
    e = r - mean - p @ q
    return e**2 + lam * (p @ p + q @ q), (p, q, e, lam)


def one_rating_backward(dy, cache):
    p, q, e, lam = cache
    dp = -2 * dy * e * q  # 직접 해 보기 (your turn): 여기에 빠진 것이 있고,
    dq = -2 * dy * e * p  # 여기에도 있습니다
    return dp, dq


p, q = rng.normal(size=3), rng.normal(size=3)
report = md.gradcheck((one_rating, one_rating_backward), p, q)

# %% [markdown]
# <details><summary>답</summary>
#
# 벌점에도 기울기가 있습니다. $2\lambda p$와 $2 \lambda q$에 dy를 곱해서 더합니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def one_rating_answer(dy, cache):
    p, q, e, lam = cache
    return dy * (2 * lam * p - 2 * e * q), dy * (2 * lam * q - 2 * e * p)


report = md.gradcheck((one_rating, one_rating_answer), p, q, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# ## 6. 손으로 하는 SGD
#
# 평점을 무작위 순서로 하나씩 처리합니다. 학습 프로그램은 이것이 전부입니다. (학습률 `lr`이 $\eta$이고, `P`의 행 $u$가
# $p_u$, `Q`의 행 $i$가 $q_i$입니다.)

# %%
D, lr, lam = 10, 0.01, 0.1
P, Q = rng.normal(0, 0.1, (num_users, D)), rng.normal(0, 0.1, (num_movies, D))
bu, bi = np.zeros(num_users), np.zeros(num_movies)


def epoch(order):
    for k in order:
        u, i = users[k], movies[k]
        p, q = P[u].copy(), Q[i].copy()
        e = train.label[k] - mean - bu[u] - bi[i] - p @ q
        bu[u] += lr * (e - lam * bu[u])
        bi[i] += lr * (e - lam * bi[i])
        P[u] += lr * (e * q - lam * p)
        Q[i] += lr * (e * p - lam * q)


def predict(rows):
    u, i = rows.sparse.T
    return mean + bu[u] + bi[i] + (P[u] * Q[i]).sum(axis=1)


for number in range(3):
    epoch(np.random.default_rng(number).permutation(len(train)))
    print(f"epoch {number + 1}: test RMSE {rmse(test.label, predict(test)):.4f}")

# %% [markdown]
# ### 직접 해 보기
#
# 평점 하나에 대한 한 스텝을 위의 두 규칙대로 쓰세요. 빈칸의 코드는 $q$를 고칠 때 새 $p$를 씁니다. 둘 다 옛 벡터를
# 써야 합니다.


# %%
def one_step(p, q, e, eta=0.1, lam=0.02):
    p = p + eta * (e * q - lam * p)
    q = q + eta * (e * p - lam * q)  # 직접 해 보기 (your turn): 이것은 어느 p일까요?
    return p, q


def check_step(function):
    said = function(np.array([1.0, 2.0]), np.array([0.5, -1.0]), e=2.0)
    wrong = md.checking.difference(said, ([1.098, 1.796], [0.699, -0.598]), "p, q")
    tell("not yet: from p = [1 2], q = [0.5 -1], e = 2, {wrong}" if wrong else "right", wrong=wrong)


check_step(one_step)

# %% [markdown]
# <details><summary>답</summary>
#
# `return p + eta * (e * q - lam * p), q + eta * (e * p - lam * q)`: 둘을 모두 계산하기 전에는 아무것도 바꾸지
# 않습니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def one_step_answer(p, q, e, eta=0.1, lam=0.02):
    return p + eta * (e * q - lam * p), q + eta * (e * p - lam * q)


print("the answer:")
check_step(one_step_answer)

# %% [markdown]
# ## 7. 라이브러리의 클래스
#
# `md.MatrixFactorization`은 같은 모델입니다. `sgd_epoch`은 이 반복문을 컴파일한 것이어서 1초가 아니라 몇 밀리초가
# 걸립니다. 먼저 둘이 같은지 봅시다. 우리의 숫자를 넣고, 둘이 같은 스텝을 하게 합니다.

# %%
model = md.MatrixFactorization([num_users, num_movies], D, mean=mean, dtype=np.float64)
state = {"factors.weight": np.vstack([P, Q]), "biases.weight": np.concatenate([bu, bi])[:, None]}
model.load_state_dict(state)

some = train[:2000]
order = np.random.default_rng(7).permutation(len(some))  # sgd_epoch이 시드 7로 섞는 것과 같습니다
model.sgd_epoch(some, lr, lam, seed=7)
epoch(order)
same = np.abs(model.factors.weight.value - np.vstack([P, Q])).max()
print(f"largest difference after the same 2,000 steps: {same:.1e}")

# %% [markdown]
# ### 직접 해 보기
#
# 앞의 SGD는 한 가지 손실을 평점 하나씩 줄였습니다. 이번에는 배치(batch)에, 그리고 **어떤** 손실에나 쓸 수 있는 모델의
# 역전파(backward pass)를 쓰세요. 모양(shape)이 $(B,)$인 $dy$는 예측
# $y_k = \mu + b_{u_k} + b_{i_k} + \langle p_{u_k}, q_{i_k} \rangle$에 들어오는 기울기입니다. 표본(sample) $k$는
# 배열마다 행을 하나씩 씁니다. 사용자나 영화는 여러 표본에 나올 수 있습니다. 빈칸의 코드는 0만 돌려줍니다.


# %%
def mf_forward(P, Q, bu, bi, u, i):
    y = mean + bu[u] + bi[i] + (P[u] * Q[i]).sum(axis=1)  # (B,)
    return y, (P, Q, bu, bi, u, i)


def mf_backward(dy, cache):
    P, Q, bu, bi, u, i = cache
    dP, dQ, dbu, dbi = (np.zeros_like(array) for array in (P, Q, bu, bi))
    # 직접 해 보기 (your turn): 표본마다 무엇을, 어느 행에 더할까요?
    return dP, dQ, dbu, dbi


draw = np.random.default_rng(2).normal
tables = draw(size=(4, 3)), draw(size=(7, 3)), draw(size=4), draw(size=7)
u, i = np.array([0, 3, 3, 1, 0, 3]), np.array([2, 2, 5, 2, 1, 2])  # 여러 번 나오는 것이 있습니다
report = md.gradcheck((mf_forward, mf_backward), *tables, u, i)

# %% [markdown]
# <details><summary>답</summary>
#
# 인수로 미분하면 다른 인수이고, 편향으로 미분하면 1입니다. 두 번 쓰인 행의 기울기는 더합니다. 그래서
# 산란-덧셈(scatter-add)이 네 개입니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def mf_backward_answer(dy, cache):
    P, Q, bu, bi, u, i = cache
    dP, dQ, dbu, dbi = (np.zeros_like(array) for array in (P, Q, bu, bi))
    np.add.at(dP, u, dy[:, None] * Q[i])
    np.add.at(dQ, i, dy[:, None] * P[u])
    np.add.at(dbu, u, dy)
    np.add.at(dbi, i, dy)
    return dP, dQ, dbu, dbi


report = md.gradcheck((mf_forward, mf_backward_answer), *tables, u, i, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# 라이브러리의 `backward`도 같은 숫자를 냅니다. 라이브러리는 사용자와 영화를 한 테이블(table)에 차례로 쌓아 둡니다.

# %%
twin = md.MatrixFactorization([4, 7], 3, mean=mean, dtype=np.float64)
twin.load_state_dict(
    {
        "factors.weight": np.vstack(tables[:2]),
        "biases.weight": np.concatenate(tables[2:])[:, None],
    }
)
y, cache = mf_forward(*tables, u, i)
dy = draw(size=6)
rows = md.data.Batch(np.zeros((6, 0)), np.stack([u, i], axis=1))
print("forward: ", np.abs(twin.forward(rows) - y).max())
twin.backward(dy)
dP, dQ, _, _ = mf_backward_answer(dy, cache)
print("backward:", np.abs(twin.factors.weight.grad.to_dense() - np.vstack([dP, dQ])).max())

# %% [markdown]
# 그리고 검사를 통과합니다.

# %%
small = md.MatrixFactorization([8, 9], 3, mean=mean)
batch = md.data.Batch(np.zeros((6, 0)), np.stack([np.arange(6), np.arange(6)], axis=1))
report = md.gradcheck(small, batch)

# %% [markdown]
# ## 8. 60에폭, 그리고 벌점이 하는 일


# %%
def curve(lam, epochs=60, dim=20):
    model = md.MatrixFactorization([num_users, num_movies], dim, mean=mean, seed=0)
    scores = []
    for number in range(epochs):
        model.sgd_epoch(train, lr, lam, seed=number)
        if number % 3 == 2:
            guesses = (rmse(part.label, md.predict(model, part)) for part in (train, test))
            scores.append((number + 1, *guesses))
    return model, np.array(scores)


model, with_penalty = curve(0.1)
_, without = curve(0.0)

# %%
fig, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
looks = ((with_penalty, "λ = 0.1", "#0072b2", "o"), (without, "λ = 0", "#d55e00", "s"))
for scores, name, color, marker in looks:
    options = {"color": color, "marker": marker, "markevery": 3}
    ax.plot(scores[:, 0], scores[:, 2], "-", label=f"test, {name}", **options)
    ax.plot(scores[:, 0], scores[:, 1], ":", label=f"training, {name}", **options)
ax.axhline(rmse(test.label, guess), color="0.4", ls="--", label="biases alone, test")
ax.set(xlabel="epoch", ylabel="RMSE (stars)", title="Without the penalty it memorizes")
ax.legend(fontsize="small")
ax.grid(alpha=0.3)
print(f"best test RMSE with the penalty: {with_penalty[:, 2].min():.4f}")

# %% [markdown]
# 벌점이 없으면 학습 오차는 계속 줄어들지만 테스트 오차는 다시 올라갑니다. 모델이 잡음을 외우는 것입니다. 벌점이
# 있으면 학습 오차는 천천히 줄어들고, 테스트 오차는 가장 좋은 값 근처에 머무릅니다. 인수를 50개로 하고 테스트 데이터를
# 뺀 모든 평점을 쓰는 본래의 방법은 MovieLens latest-small(2016)에서 0.869까지 갑니다. 데이터를 다섯 번 나누어 얻은
# 평균입니다.
#
# ### 직접 해 보기
#
# 영화의 벡터를 고정하고, 영화 $n = 2$편에 평점을 준 사용자 한 명을 봅시다. 영화의 벡터는 모양이 $(n, D)$인 `q`의
# 행입니다. `rest`에는 평점에서 평균과 편향을 뺀 값이 들어 있습니다. 5절의 손실을 평점에 대해 모두 더하면 다음과
# 같습니다.
#
# $$ L = \sum_{k=1}^{n} (\mathrm{rest}_k - \langle p, q_k \rangle)^2 + n \lambda |p|^2 . $$
#
# 기울기는 $-2 q^\top (\mathrm{rest} - q\, p) + 2 n \lambda p$입니다. 가장 좋은 $p$에서 기울기는 0입니다. $p$에 대해
# 푸세요. 빈칸의 코드는 벌점을 빠뜨려서, 숫자 세 개가 평점 두 개에 딱 맞습니다.


# %%
def best_vector(q, rest, lam):
    return np.linalg.lstsq(q, rest, rcond=None)[0]  # 직접 해 보기 (your turn): lam은 어디에 있나요?


def check_best_vector(function):
    draw, lam = np.random.default_rng(1).normal, 0.1
    q, rest = draw(size=(2, 3)), draw(size=2)
    p = function(q, rest, lam)
    errors = rest - q @ p
    slope = -2 * q.T @ errors + 2 * len(q) * lam * p
    size = say("|p|² = {p:.2f}, largest error {error:.2f}", p=p @ p, error=np.abs(errors).max())
    if np.abs(slope).max() < 1e-10:
        tell("right: the gradient is zero; {size}", size=size)
    else:
        tell(
            "not yet: the gradient at your p is {slope}, and should be 0; {size}",
            slope=slope.round(2),
            size=size,
        )


check_best_vector(best_vector)

# %% [markdown]
# <details><summary>답</summary>
#
# 기울기가 0이면 $(q^\top q + n \lambda I)\, p = q^\top \mathrm{rest}$입니다. $I$는 단위 행렬입니다. 미지수 $D$개에
# 방정식 $D$개입니다. 이렇게 얻은 벡터는 더 짧고, 두 평점을 조금씩 빗나갑니다. 외우지 않은 것입니다. (모든 사용자에
# 대해 풀고, 다음에 모든 영화에 대해 풀고, 이것을 되풀이하는 방법을 *교대 최소 제곱법*(alternating least
# squares)이라고 합니다. 이 모델을 학습하는 또 다른 방법입니다.)
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def best_vector_answer(q, rest, lam):
    n, D = q.shape
    return np.linalg.solve(q.T @ q + n * lam * np.eye(D), q.T @ rest)


print("the answer:")
check_best_vector(best_vector_answer)

# %% [markdown]
# ## 9. 답을 아는 경우
#
# 빈자리가 **하나도** 없으면 가장 좋은 분해를 알 수 있습니다. 특잇값 분해(singular value decomposition, SVD)를 $D$개의
# 항에서 자른 것입니다(Eckart와 Young). 그러니 작고 꽉 찬 행렬에서, 편향 없이, 우리도 그 오차에 이르러야 합니다.
# 여기서는 $D = 3$입니다.
#
# ### 직접 해 보기
#
# 특잇값 $s_1 \geq s_2 \geq \dots$만으로 가장 좋은 분해의 RMSE를 구하세요. 잘라 낸 것이 오차입니다. 행렬의 모든
# 자리에서 그 제곱을 더하면 $\sum_{k > D} s_k^2$입니다. 빈칸의 코드는 남긴 것을 더합니다.


# %%
def best_rmse(s, D, places):
    return float(np.sqrt(np.sum(s[:D] ** 2) / places))  # 직접 해 보기 (your turn)


def check_best(function):
    A = np.random.default_rng(1).normal(size=(5, 4))
    u, s, vt = np.linalg.svd(A, full_matrices=False)
    wanted = np.sqrt(np.mean((A - (u[:, :2] * s[:2]) @ vt[:2]) ** 2))
    said = function(s, 2, A.size)
    text = say(
        "{said:.4f}; the first two terms leave an error of {wanted:.4f}", said=said, wanted=wanted
    )
    tell("right" if abs(said - wanted) < 1e-12 else "not yet: {text}", text=text)


check_best(best_rmse)

# %% [markdown]
# <details><summary>답</summary>
#
# `float(np.sqrt(np.sum(s[D:] ** 2) / places))`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def best_rmse_answer(s, D, places):
    return float(np.sqrt(np.sum(s[D:] ** 2) / places))


print("the answer:")
check_best(best_rmse_answer)

# %%
full = rng.normal(size=(12, 9))
best = best_rmse_answer(np.linalg.svd(full)[1], 3, full.size)

places = np.array(list(np.ndindex(full.shape)))
rows = md.data.Batch(np.zeros((len(places), 0)), places, full.ravel())
plain = md.MatrixFactorization(full.shape, 3, biases=False, dtype=np.float64, seed=0)
reached = []
for number in range(2000):
    rate = 0.05 * 0.998**number  # 학습률이 줄어야 합니다. 아니면 SGD가 계속 흔들립니다
    reached.append(np.sqrt(plain.sgd_epoch(rows, rate, 0.0, seed=number)))
print(f"SVD: {best:.4f}   ours: {reached[-1]:.4f}")

# %% [markdown]
# ## 10. 인수는 무엇을 뜻할까?
#
# 모델에 장르를 알려 준 적은 없습니다. 평점이 많은 영화를 골라, 그 벡터들이 가장 많이 달라지는 방향(주성분, principal
# component)을 봅시다. MovieLens라면 양쪽 끝에 영화 제목이 보입니다. 참값을 정해 놓은 데이터라면 숨은 인수를 알고
# 있으므로, 학습한 벡터의 선형 변환이 그것을 얼마나 잘 되살리는지 묻습니다.

# %%
often = np.flatnonzero(np.bincount(movies, minlength=num_movies) >= (60 if real else 40))
Q_often = model.factors.table(1)[often].astype(float)
centred = Q_often - Q_often.mean(axis=0)
_, _, axes_of_q = np.linalg.svd(centred, full_matrices=False)
place = centred @ axes_of_q[:2].T  # (movies, 2)
if not real:
    hidden = planted[1][often] - planted[1][often].mean(axis=0)
    left = hidden - centred @ np.linalg.lstsq(centred, hidden, rcond=None)[0]
    print("share of the hidden factors that was found:", (1 - left.var(0) / hidden.var(0)).round(2))

fig, ax = plt.subplots(figsize=(6.4, 4.6), layout="constrained")
ax.plot(*place.T, ".", color="0.6", ms=4)
titles = {}
if real:
    import csv

    with open(folder / "movies.csv", encoding="utf-8", newline="") as file:
        titles = {int(row["movieId"]): row["title"] for row in csv.DictReader(file)}
ends = {int(k) for axis in range(2) for k in (*place[:, axis].argsort()[[0, 1, -2, -1]],)}
for k in ends:
    name = titles.get(int(data.vocabulary.items[often[k]])) if real else f"movie {often[k]}"
    ax.annotate(name[:28], place[k], (0, 5), textcoords="offset points", fontsize=7, ha="center")
    ax.plot(*place[k], "o", color="#d55e00", ms=4)
_ = ax.set(xlabel="first direction", ylabel="second direction", title="Movies by their vectors")
ax.margins(0.2)

# %% [markdown]
# 하지만 벡터의 숫자 *하나*에서 너무 많은 뜻을 읽지는 마세요.
#
# ### 직접 해 보기
#
# 모양이 $(D, D)$인 가역 행렬 $M$을 아무것이나 골라, 모든 사용자에게 새 벡터 $P' = P M$을 줍니다. 어떤 $Q'$를 쓰면
# **같은 평점**이 나올까요? 곧 $P' Q'^\top = P Q^\top$이 될까요? 빈칸의 코드는 영화도 사용자와 똑같이 바꿉니다. 이것은
# 회전일 때만 맞습니다.


# %%
def other_factors(P, Q, M):
    return P @ M, Q @ M  # 직접 해 보기 (your turn): 둘 가운데 뒤의 것


def check_other_factors(function):
    draw = np.random.default_rng(1).normal
    P, Q, M = draw(size=(5, 3)), draw(size=(4, 3)), draw(size=(3, 3))
    P_new, Q_new = function(P, Q, M)
    wrong = md.checking.difference((P_new, Q_new), (P @ M, Q_new), "P', Q'")
    wrong = wrong or md.checking.difference(P_new @ np.transpose(Q_new), P @ Q.T, "(P' Q'ᵀ)")
    tell("not yet: {wrong}" if wrong else "right: other vectors, the same ratings", wrong=wrong)


check_other_factors(other_factors)

# %% [markdown]
# <details><summary>답</summary>
#
# 사용자가 얻은 만큼 영화가 돌려주어야 합니다. $P M (Q (M^{-1})^\top)^\top = P M M^{-1} Q^\top$이므로
# $Q' = Q (M^{-1})^\top$입니다. 그래서 학습이 이 가운데 어느 것에서 끝날지 모릅니다. 벌점은 짧은 벡터를 좋아하지만,
# 회전은 길이를 바꾸지 않으므로 여전히 자유롭습니다. "3번 인수는 액션이다"라는 말은 한 실행에서는 참이고 다음
# 실행에서는 거짓일 수 있습니다. 벡터 사이의 각도와 벡터의 길이에만 뜻이 있습니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def other_factors_answer(P, Q, M):
    return P @ M, Q @ np.linalg.inv(M).T


print("the answer:")
check_other_factors(other_factors_answer)

# %% [markdown]
# ## 11. 이 장의 박물관
#
# 잘못이 세 가지 있습니다. 둘은 기울기에 있습니다. 벡터에 다른 벡터가 아니라 자신을 곱하는 것과, 오차의 부호를
# 잃어버린 것입니다. 하나는 *스텝*에 있습니다. $q_i$를 고치는 데 쓰기도 전에 $p_u$를 고칩니다. 어느 것이 어느 것이고,
# 학습이 되는 것은 어느 것일까요?


# %%
def right(p, q, e):
    return p + rate * (e * q - lam * p), q + rate * (e * p - lam * q)


def wrong_1(p, q, e):
    return p + rate * (e * p - lam * p), q + rate * (e * q - lam * q)


def wrong_2(p, q, e):
    p = p + rate * (e * q - lam * p)
    return p, q + rate * (e * p - lam * q)


def wrong_3(p, q, e):
    return p + rate * (abs(e) * q - lam * p), q + rate * (abs(e) * p - lam * q)


# %%
def fit_by(step, epochs=2, points=8):
    """Return the training RMSE as the ratings go by; all steps begin at the same numbers."""
    start = np.random.default_rng(0)
    P, Q = start.normal(0, 0.3, (num_users, D)), start.normal(0, 0.3, (num_movies, D))
    scores = []
    for part in np.array_split(np.tile(start.permutation(len(train)), epochs), points):
        for k in part:
            u, i = users[k], movies[k]
            P[u], Q[i] = step(P[u], Q[i], train.label[k] - mean - P[u] @ Q[i])
        guesses = np.nan_to_num(mean + (P[users] * Q[movies]).sum(axis=1), nan=np.inf)
        scores.append(rmse(train.label, guesses))
    return np.arange(1, points + 1) * epochs / points, scores


# %%
rate = 0.02
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
with np.errstate(all="ignore"):
    for step, style in zip((right, wrong_1, wrong_2, wrong_3), ("-", "--", ":", "-."), strict=True):
        ax.plot(*fit_by(step), style, label=step.__name__)
ax.axhline(rmse(train.label, mean), color="0.5", lw=1, label="the mean alone")
ax.set(xlabel="epoch", ylabel="training RMSE (stars)", title="Which of them train?")
ax.set_ylim(top=1.3)
ax.legend(fontsize="small")
ax.grid(alpha=0.3)

# %% [markdown]
# `wrong_1`은 벡터에 자신을 곱하고, 갈수록 나빠집니다. `wrong_3`은 오차의 부호를 잃어버려서, 조금 나아지다가
# 나빠집니다. `wrong_2`는 $p_u$를 먼저 고치고, 옳은 곡선을 따라갑니다. 규칙이 조금만 달라졌으므로, 규칙을 아는
# 검사만이 알아차릴 수 있습니다. `wrong_1`의 잘못은 기울기 검사기가 이름까지 알려 줍니다.

# %%
from minidlrm.checking.bugs.models import OwnVectorForTheOther

report = md.gradcheck(OwnVectorForTheOther([8, 9], 3), batch, verbose=False)
print(report.diagnosis[0].title)
print(report.diagnosis[0].evidence)

# %% [markdown]
# ## 기억할 것
#
# 1. 평점은 $\mu + b_u + b_i + \langle p_u, q_i \rangle$입니다. 두 임베딩과 그 내적(dot product)입니다.
# 2. 곱을 한 인수로 미분하면 다른 인수입니다.
# 3. 벌점은 손실의 일부이므로 기울기의 일부이기도 합니다.
# 4. 꽉 찬 행렬에서는 SVD가 정답입니다.
# 5. 내용은 새 영화를 알고, 사람들은 평점이 있는 영화를 압니다. 범주에는 임베딩이 필요합니다.
#
# 다음: 03장, 인수분해 기계(factorization machine). 같은 생각을 특성(feature)이 몇 개든 쓸 수 있게 합니다.
