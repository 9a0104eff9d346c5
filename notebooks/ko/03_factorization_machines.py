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
# # 03 · 인수분해 기계
#
# [![Colab에서 열기](../colab.svg)](https://colab.research.google.com/github/)
#
# [English](../03_factorization_machines.ipynb) · [튜토리얼 안내](README.md) · [용어집](glossary.md)
#
# 행렬 분해(matrix factorization)는 임베딩(embedding) 두 개, 곧 사용자와 영화를 곱합니다. 클릭 하나에는 사용자, 광고,
# 도시, 시간처럼 더 많은 것이 얽혀 있습니다. **인수분해 기계**(factorization machine, FM, Rendle 2010)는 이것들의 모든
# 쌍을 곱합니다. 그런데도 비용은 쌍의 수만큼 들지 않습니다.
#
# 00장부터 02장까지의 내용이 필요합니다. 읽는 시간은 약 45분입니다.
#
# **이 장을 마치면** 비용을 줄여 주는 항등식을 유도하고 그림으로 보게 됩니다. 그 기울기(gradient)를 유도하고 검사하며,
# 선형 모델은 배울 수 없지만 FM은 배울 수 있는 신호를 보게 됩니다.

# %%
# Colab처럼 minidlrm이 설치되지 않은 곳에서는 먼저 설치합니다.
import importlib.util

if importlib.util.find_spec("minidlrm") is None:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "minidlrm"], check=True)

import matplotlib.pyplot as plt
import numpy as np

import minidlrm as md
from minidlrm.languages import say, tell

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. 선형 모델이 말할 수 없는 것
#
# 로지스틱 회귀(logistic regression)는 범주(category)마다 숫자 하나, 곧 가중치(weight)를 주고 그 가중치를 더합니다.
# 그래서 "이 광고는 이 도시에서 잘된다"라고는 말할 수 없습니다. "이 광고는 잘된다", "이 도시는 잘 클릭한다"라고만 말할
# 수 있습니다. 빠진 것은 **쌍**(pair)의 가중치입니다.
#
# ### 직접 해 보기
#
# 무엇이 빠졌는지 봅시다. $Y$는 점수의 표이고, 광고마다 행이, 도시마다 열이 하나씩 있습니다. 이 표에 가장 가까운 선형
# 모델은 자리마다 행의 평균에 열의 평균을 더하고 표 전체의 평균을 뺀 값을 예측합니다. 자리마다 이 모델이 놓치는 만큼을
# 돌려주세요. 빈칸의 코드는 표의 평균만 뺍니다.


# %%
def unsaid(Y):
    return Y - Y.mean()  # 직접 해 보기 (your turn): 광고와 도시에도 가중치가 있습니다


def check_unsaid(function):
    added = np.array([[1.0], [3.0]]) + np.array([0.0, 2.0, 4.0])  # 광고의 가중치, 도시의 가중치
    pairs = np.array([[1.0, 0.0, -1.0], [-1.0, 0.0, 1.0]])
    for name, table, wanted in (
        (say("sums"), added, 0 * added),
        (say("sums and pairs"), added + pairs, pairs),
    ):
        wrong = md.checking.difference(function(table), wanted, "rest")
        if wrong:
            tell(
                "not yet: of the table of {name} {table}, {wrong}",
                name=name,
                table=table.tolist(),
                wrong=wrong,
            )
            return
    tell("right: a table of sums leaves nothing; another one leaves a number for each pair")


check_unsaid(unsaid)

# %% [markdown]
# <details><summary>답</summary>
#
# 행의 평균과 열의 평균을 빼고, 두 번 뺀 셈이 된 표의 평균을 다시 더합니다. 검사에 쓰인 두 번째 표에서는
# $[[1, 0, -1], [-1, 0, 1]]$이 남습니다. 이것은 광고마다 하나씩 있는 수 $1$, $-1$과 도시마다 하나씩 있는 수 $1$, $0$,
# $-1$의 곱입니다. 바로 여기서 다음 생각이 나옵니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def unsaid_answer(Y):
    return Y - Y.mean(axis=1, keepdims=True) - Y.mean(axis=0) + Y.mean()


print("the answer:")
check_unsaid(unsaid_answer)

# %% [markdown]
# 아이디(id) 쌍마다 가중치를 두면 아이디가 $N$개일 때 숫자가 $N^2$개인 표가 됩니다. 게다가 대부분의 쌍은 데이터에 한
# 번도 나오지 않습니다. 행렬 분해의 생각이 여기서 도움이 됩니다. 쌍의 가중치를 두 임베딩의 내적(dot product)으로 하는
# 것입니다. 모델의 출력은 다음과 같습니다.
#
# $$ y = b + \sum_{f=1}^{F} w_f + \sum_{i < j} \langle z_i, z_j \rangle . $$
#
# 여기서 $F$는 필드(field)의 수입니다. 사용자, 광고, 도시가 저마다 필드입니다. $z_f$는 필드 $f$에 든 아이디의
# 임베딩이고 크기는 $D$입니다. $w_f$는 그 아이디의 가중치이고, $b$는 편향(bias)입니다.
# $\langle z_i, z_j \rangle = \sum_d z_{id} z_{jd}$는 02장에 나온 내적입니다. $y$가 클수록 클릭할 가능성이 높습니다.
# 04장에서 이것을 확률로 바꿉니다. 데이터에서 한 번도 만나지 않은 광고와 도시 사이에도 내적은 있습니다.

# %%
F, D = 5, 3
z = rng.normal(size=(F, D))  # 표본 하나의 임베딩들


def pairs_one_by_one(z):
    """Add up <z_i, z_j> over all i < j: F (F - 1) / 2 products of D numbers."""
    return sum(z[i] @ z[j] for i in range(len(z)) for j in range(i + 1, len(z)))


print(pairs_one_by_one(z))

# %% [markdown]
# ## 2. 항등식
#
# 필드가 $F = 39$개면 쌍은 741개입니다. 그런데 모든 벡터를 더한 벡터의 제곱을 보세요. (벡터 $v$의 제곱은
# $\|v\|^2 = \langle v, v \rangle$이고, 숫자 하나입니다.)
#
# $$ \Big\| \sum_i z_i \Big\|^2 = \sum_i \sum_j \langle z_i, z_j \rangle
#    = \sum_i \|z_i\|^2 + 2 \sum_{i<j} \langle z_i, z_j \rangle . $$
#
# 여기에는 모든 쌍이 두 번씩 있고, 벡터마다 자신과의 곱이 한 번씩 있습니다. 쌍의 합에 대해 풀면 다음과 같습니다.
#
# $$ \sum_{i<j} \langle z_i, z_j \rangle
#    = \tfrac12 \Big( \big\| \textstyle\sum_i z_i \big\|^2 - \sum_i \|z_i\|^2 \Big) . $$
#
# 오른쪽에서는 벡터 $F$개를 **한 번**씩만 거칩니다. 계산량이 $O(F^2 D)$에서 $O(FD)$로 줄어듭니다. 넓이로 생각해
# 봅시다. 정사각형 전체에서 대각선을 빼고 반으로 나눈 것입니다.

# %%
gram = z @ z.T  # (F, F): 모든 내적
fig, axes = plt.subplots(1, 3, figsize=(8.4, 2.8), layout="constrained")
limit = np.abs(gram).max()
parts = (
    (gram, "all products: |sum|²"),
    (np.diag(np.diag(gram)), "the diagonal: sum of |z|²"),
    (np.tril(gram, -1), "the pairs, once"),
)
for ax, (part, title) in zip(axes, parts, strict=True):
    image = ax.imshow(part, cmap="PuOr", vmin=-limit, vmax=limit)
    ax.set(title=title, xlabel="j", ylabel="i")
    for (i, j), value in np.ndenumerate(part):
        if value:
            color = "white" if abs(value) > 0.6 * limit else "black"
            ax.text(j, i, f"{value:.1f}", ha="center", va="center", fontsize=7, color=color)


# %%
def pairs_by_identity(z):
    total = z.sum(axis=0)  # (D,)
    return 0.5 * (total @ total - np.sum(z * z))


print(pairs_by_identity(z), "difference", abs(pairs_by_identity(z) - pairs_one_by_one(z)))

# %%
fields = np.array([2, 5, 10, 20, 40, 80, 160])
fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
ax.loglog(fields, fields * (fields - 1) * 16, "o-", label="pairs one by one: F (F - 1) D")
ax.loglog(fields, 4 * fields * 16, "s--", label="the identity: about 4 F D")
ax.set(xlabel="fields, F", ylabel="FLOPs a sample", title="D = 16")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# ### 직접 해 보기
#
# 같은 꼴의 곱이라면 어디에나 이 항등식을 쓸 수 있습니다. 보통의 수 $x_1, \dots, x_n$에 대해 $\sum_{i<j} x_i x_j$를 한
# 번만 훑어서 구해 보세요. 빈칸의 코드는 쌍을 두 번씩 세고, 자신과의 곱까지 셉니다.


# %%
def sum_of_pairs(x):
    return x.sum() ** 2  # 직접 해 보기 (your turn)


def check_pairs(function):
    x = np.arange(1.0, 6.0)
    said = function(x)
    tell(
        "right" if said == 85 else "not yet: {said:g} for 1 ... 5; 1·2 + 1·3 + ... + 4·5 is 85",
        said=said,
    )


check_pairs(sum_of_pairs)

# %% [markdown]
# <details><summary>답</summary>
#
# `0.5 * (x.sum() ** 2 - np.sum(x * x))`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def sum_of_pairs_answer(x):
    return 0.5 * (x.sum() ** 2 - np.sum(x * x))


print("the answer:")
check_pairs(sum_of_pairs_answer)

# %% [markdown]
# ## 3. 기울기
#
# $s = \sum_i z_i$라고 씁시다. 그러면
# $y = \frac12 (\langle s, s \rangle - \sum_i \langle z_i, z_i \rangle)$입니다. 벡터 $z_k$는 $s$에 한 번, 둘째 합의
# 항 하나에 한 번 나옵니다.
#
# $$ \frac{\partial y}{\partial z_k} = \tfrac12 (2 s - 2 z_k) = s - z_k . $$
#
# 말로 하면 이렇습니다. $z_k$로 미분한 값은 **다른 벡터를 모두 더한 것**입니다. 쌍으로 생각해도 마찬가지입니다.
# $z_k$는 다른 벡터를 한 번씩 만납니다.
#
# ### 직접 해 보기
#
# 배치(batch)에서 $z$의 모양(shape)은 $(B, F, D)$이고, $y$는 $(B,)$, $dy$도 $(B,)$입니다. 역전파(backward pass)를 써
# 보세요.


# %%
def fm_forward(z):
    s = z.sum(axis=1)  # (B, D)
    return 0.5 * ((s * s).sum(axis=1) - (z * z).sum(axis=(1, 2))), z


def fm_backward(dy, z):
    s = z.sum(axis=1)  # (B, D)
    return dy[:, None, None] * np.broadcast_to(
        s[:, None], z.shape
    )  # 직접 해 보기 (your turn): 아직 틀렸습니다


batch = rng.normal(size=(4, F, D))
report = md.gradcheck((fm_forward, fm_backward), batch)

# %% [markdown]
# <details><summary>답</summary>
#
# 벡터는 자기 자신을 만나지 않습니다. 그러니 $z$를 빼야 합니다. `dy[:, None, None] * (s[:, None] - z)`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def fm_answer(dy, z):
    s = z.sum(axis=1)
    return dy[:, None, None] * (s[:, None] - z)


report = md.gradcheck((fm_forward, fm_answer), batch, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# 라이브러리의 층(layer)은 `md.FMInteraction`입니다. 순전파(forward pass)와 역전파 모두 같은 숫자를 냅니다.

# %%
layer = md.FMInteraction(F, D)
dy = rng.normal(size=4)
print("forward: ", np.abs(layer.forward(batch) - fm_forward(batch)[0]).max())
print("backward:", np.abs(layer.backward(dy) - fm_answer(dy, batch)).max())

# %% [markdown]
# ## 4. 필드가 몇 개든 되는 행렬 분해
#
# 필드가 사용자와 영화 두 개라면 쌍은 하나뿐이고, FM은 $b + w_u + w_i + \langle z_u, z_i \rangle$입니다. $\mu$의
# 자리에 $b$가 있을 뿐, 02장에서 본 편향이 있는 행렬 분해와 같습니다. 두 모델에 같은 숫자를 넣으면 같은 평점(rating)이
# 나옵니다. 확인해 봅시다.

# %%
fm = md.FactorizationMachine(0, [6, 8], embedding_dim=3)
mf = md.MatrixFactorization([6, 8], embedding_dim=3, mean=3.5)
fm.load_state_dict(
    {
        **fm.state_dict(),
        "fields.tables.weight": mf.factors.weight.value,
        "linear.fields.tables.weight": mf.biases.weight.value,
        "linear.bias": np.array([3.5], np.float32),
    }
)
ids = np.stack([rng.integers(0, 6, 5), rng.integers(0, 8, 5)], axis=1)
rows = md.data.Batch(np.zeros((5, 0), np.float32), ids)
print("largest difference:", np.abs(fm.forward(rows) - mf.forward(rows)).max())

# %% [markdown]
# ### 숫자도 필드입니다
#
# 나이나 가격 같은 밀집 특성(dense feature) $x_j$에는 벡터 $V_j$를 하나씩 둡니다. 값에 벡터를 곱한 $z_j = x_j V_j$가
# 모델에 들어갑니다. 그러면 같은 합 안에서 다른 모든 필드를 만납니다.
#
# ### 직접 해 보기
#
# 그 기울기를 구합니다. 표본(sample) $k$에서 $z_{kj} = x_{kj} V_j$입니다. $V_j$는 표본마다 한 번씩 쓰이므로
# $dV_j = \sum_k x_{kj}\, dz_{kj}$입니다. 빈칸의 코드는 표본에 대한 평균을 냅니다.


# %%
def dense_fields(x, V):
    return x[:, :, None] * V, (x, V)  # (B, n, D): 밀집 특성이 n개일 때


def dense_fields_backward(dz, cache):
    x, V = cache
    dV = (x[:, :, None] * dz).mean(axis=0)  # 직접 해 보기 (your turn)
    return (dz * V).sum(axis=2), dV


check_rng = np.random.default_rng(1)
report = md.gradcheck(
    (dense_fields, dense_fields_backward),
    check_rng.normal(size=(4, 3)),
    check_rng.normal(size=(3, 2)),
)

# %% [markdown]
# <details><summary>답</summary>
#
# `(x[:, :, None] * dz).sum(axis=0)`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def dense_fields_answer(dz, cache):
    x, V = cache
    return (dz * V).sum(axis=2), (x[:, :, None] * dz).sum(axis=0)


arrays = check_rng.normal(size=(4, 3)), check_rng.normal(size=(3, 2))
report = md.gradcheck((dense_fields, dense_fields_answer), *arrays, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# ## 5. 2차 신호
#
# 신호가 **쌍**에만 있는 합성 클릭 데이터(`order=2`)를 씁니다. 아이디 하나하나의 클릭률은 모두 같습니다. 로지스틱
# 회귀는 여기서 아무것도 배울 수 없습니다. 참값을 우리가 정했으므로, 가능한 가장 작은 손실(loss)인 베이즈 한계(Bayes
# limit)도 압니다. 손실은 로그 손실(log loss)이고 단위는 내트(nat)입니다. 실제로 일어난 일의 확률에 로그를 취해 부호를
# 바꾼 값, 곧 $-\log$(확률)의 평균입니다. 04장에서 유도합니다.
#
# ### 직접 해 보기
#
# 학습하기 전에, 모델마다 가중치가 몇 개인지 세어 보세요. 모든 테이블(table)의 아이디를 합한 수를 $S$라고 합시다.
# 로지스틱 회귀(LR)에는 아이디마다 하나, 그리고 편향이 하나 있습니다. FM에는 여기에 더해 아이디마다 숫자 $D$개로 된
# 임베딩이 있습니다. 빈칸의 코드는 LR의 것만 셉니다.


# %%
def fm_parameters(S, D):
    return S + 1  # 직접 해 보기 (your turn)


def check_fm_parameters(function):
    said, wanted = function(14, 3), md.FactorizationMachine(0, [6, 8], 3).num_parameters()
    tell(
        "right" if said == wanted else "not yet: {said}; with 14 ids and D = 3 it has {wanted}",
        said=said,
        wanted=wanted,
    )


check_fm_parameters(fm_parameters)

# %% [markdown]
# <details><summary>답</summary>
#
# `S * (D + 1) + 1`입니다. 아이디 쌍마다 가중치를 두었다면 약 $S^2 / 2$개가 필요했을 것입니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def fm_parameters_answer(S, D):
    return S * (D + 1) + 1


print("the answer:")
check_fm_parameters(fm_parameters_answer)

# %%
clicks = md.data.synthetic_clicks(
    60_000, seed=0, order=2, num_dense=0, num_tables=8, max_table_size=12
)


def train(model):
    history = md.fit(
        model,
        clicks.train,
        clicks.valid,
        optimizer=md.Adam(0.01),
        epochs=4,
        batch_size=256,
        eval_every=50,
        progress=False,
    )
    return history.column("epoch"), history.column("valid_log_loss")


curves = {
    "logistic regression": train(md.LogisticRegression(0, clicks.table_sizes)),
    "factorization machine": train(md.FactorizationMachine(0, clicks.table_sizes, 4)),
}

# %%
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for (name, (epochs, losses)), style in zip(curves.items(), ("--", "-"), strict=True):
    ax.plot(epochs, losses, style, label=name)
ax.axhline(clicks.bayes_log_loss, color="0.3", ls=":", label="Bayes limit (of the test rows)")
ax.set(xlabel="epoch", ylabel="validation log loss (nats)", title="A signal made of pairs")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# 로지스틱 회귀(LR)의 선은 평평합니다. 평균 클릭률만 배웠습니다. FM은 한계에 거의 다다릅니다. (남은 차이는 클릭의 수가
# 유한한 데서 옵니다. 쌍의 가중치를 하나하나 배우는 데에는 그만큼의 대가가 따릅니다.)
#
# ## 6. 이 장의 박물관
#
# 항등식의 틀린 역전파 두 가지입니다. 잘못을 찾아보고, 그다음에 아래 셀(cell)들을 실행하세요. 학습이 되는 것은 어느
# 것일까요?

# %%
from minidlrm.checking import museum

bugs = museum.exhibits("SelfTermLeftInTheSum", "HalfLost")
museum.show(bugs)

# %%
museum.explain(bugs)

# %%
layers = {"right": md.FMInteraction} | {bug.cls.__name__: bug.cls for bug in bugs}
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for (name, layer_class), style in zip(layers.items(), ("-", "--", ":"), strict=True):
    model = md.FactorizationMachine(0, clicks.table_sizes, 4)
    model.fm.__class__ = layer_class
    ax.plot(*train(model), style, label=name)
ax.axhline(clicks.bayes_log_loss, color="0.3", ls=":")
ax.set(xlabel="epoch", ylabel="validation log loss (nats)", title="Which of them train?")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# 셋 다 같은 손실에 이릅니다. `HalfLost`의 곡선은 옳은 곡선과 완전히 겹칩니다. Adam은 기울기를 평소 크기로 나누므로
# 상수 인수가 약분되기 때문입니다. 자신과의 곱을 빼지 않은 것은 첫 에폭(epoch)에서만 뒤처집니다. 그러니 곡선이
# 내려간다고 해서, 심지어 옳은 자리까지 내려간다고 해서, 기울기가 옳다는 증거가 되지는 않습니다.
#
# ## 기억할 것
#
# 1. 쌍의 가중치는 두 임베딩의 내적입니다. 그래서 한 번도 나오지 않은 쌍에도 가중치가 있습니다.
# 2. $\sum_{i<j} \langle z_i, z_j \rangle = \frac12 (\|s\|^2 - \sum \|z_i\|^2)$입니다. 벡터를 한 번씩만 거치고 모든
#    쌍을 얻습니다.
# 3. $z_k$의 기울기는 나머지 벡터의 합입니다.
# 4. 필드가 두 개면 행렬 분해입니다.
#
# 다음: 04장, 다층 퍼셉트론(multilayer perceptron)과 신경망 협업 필터링(neural collaborative filtering).
