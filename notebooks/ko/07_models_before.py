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
# # 07 · DLRM 이전의 모델
#
# [![Colab에서 열기](../colab.svg)](https://colab.research.google.com/github/)
#
# [English](../07_models_before.ipynb) · [튜토리얼 안내](README.md) · [용어집](glossary.md)
#
# 행렬 분해(matrix factorization, MF, 2009)와 DLRM(2019) 사이에는 여러 모델이 차례로 나왔습니다. FM, Wide & Deep,
# DeepFM, DCN, xDeepFM입니다. 저마다 앞의 모델에서 한 걸음만 나아간 것입니다. 모두 같은 질문에 답합니다.
# **특성(feature)은 어떻게 만나는가?** 이 장에서는 이 모델들을 코드의 사슬 하나로 잇습니다. 모델마다 앞의 모델에서 몇
# 줄만 바꾸고, 바뀐 줄을 출력합니다.
#
# 00장부터 05장까지의 내용이 필요합니다. 읽는 시간은 약 60분입니다.
#
# **이 장을 마치면** 새로운 층(layer) 두 가지, 곧 교차 층(cross layer)과 CIN을 유도하게 됩니다. 모델 여섯 개를 사슬
# 하나로 잇고 라이브러리와 같은 숫자를 얻습니다. 그리고 어느 모델이 어떤 곱을 배울 수 있는지 실험으로 보게 됩니다.

# %%
# Colab처럼 minidlrm이 설치되지 않은 곳에서는 먼저 설치합니다.
import importlib.util

if importlib.util.find_spec("minidlrm") is None:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "minidlrm"], check=True)

import difflib
import inspect

import matplotlib.pyplot as plt
import numpy as np

import minidlrm as md
from minidlrm.languages import say, tell

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. 무엇이, 어떻게 만나는가
#
# 표본(sample) 하나에는 필드(field)가 $F$개 있습니다. 필드마다 크기 $D$인 벡터 $z_i$, 곧 임베딩(embedding)이 있습니다.
# 모델은 세 가지 점에서 서로 다릅니다.
#
# - **차수**(order): 한 곱에 들어가는 필드의 수입니다. $\langle z_1, z_2 \rangle$의 차수는 2입니다.
# - **단위**(unit): 벡터가 통째로 만나기도 하고(*벡터 단위*, vector-wise), 벡터의 숫자 하나하나가 만나기도
#   합니다(*비트 단위*, bit-wise).
# - **명시적인가, 암묵적인가**(explicit or implicit): 곱이 식에 있을 수도 있고, 다층 퍼셉트론(multilayer perceptron,
#   MLP)이 찾도록 맡길 수도 있습니다.
#
# 왜 모두 MLP에 맡기지 않을까요? MLP에게 두 수의 곱은 어렵습니다. 평면을 꺾는 일밖에 못 하기 때문입니다. $x_1 x_2$를
# 그리려면 은닉 유닛(hidden unit)이 몇 개나 필요한지 봅시다.

# %%
square = rng.uniform(-1, 1, (4000, 2)).astype(np.float32)
target = (square[:, 0] * square[:, 1]).astype(np.float32)


def error_of(hidden):
    mlp = md.MLP([2, hidden, 1], last_activation=False, rng=np.random.default_rng(1))
    loss, optimizer = md.MSE(), md.Adam(0.01)
    for _ in range(400):
        mlp.zero_grad()
        value = loss.forward(mlp.forward(square)[:, 0], target)
        mlp.backward(loss.backward()[:, None])
        optimizer.step(mlp.parameters())
    return np.sqrt(value / target.var())


sizes = [1, 2, 4, 8, 16, 32, 64]
errors = [error_of(hidden) for hidden in sizes]
fig, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
ax.loglog(sizes, errors, "o-")
ax.set(
    xlabel="hidden units", ylabel="error (1: no better than 0)", title="An MLP learns one product"
)
ax.grid(alpha=0.3)

# %% [markdown]
# 곱 하나에 은닉 유닛 십여 개와 수백 번의 반복이 듭니다. 명시적인 곱에는 곱셈 한 번이 듭니다. 게다가 필드가 26개인
# 표본에는 쌍이 325개 있습니다.
#
# ### 직접 해 보기
#
# 차수가 가장 높은 경우입니다. 필드마다 숫자 $x_i$가 하나씩 있고, 출력은 모두를 곱한 것입니다. 표본이 $B$개면 $x$의
# 모양(shape)은 $(B, F)$입니다.
#
# $$ y = x_1 x_2 \cdots x_F . $$
#
# 손실(loss)이 $L$일 때 $dy = \partial L / \partial y$에서 $dx$를 구하세요. $x_i$에게는 *다른* 모든 수가 상수
# 인수입니다. 빈칸의 코드는 $x_i$에 자신까지 넣은 모든 수의 곱을 줍니다. ($y$를 $x_i$로 나누지는 마세요. ReLU를 지난
# 값처럼 0인 수가 있을 수 있습니다.)


# %%
def product_of_all(x):
    return x.prod(axis=1), x  # (B,)


def product_of_all_backward(dy, x):
    dx = np.zeros_like(x)  # (B, F)
    for i in range(x.shape[1]):
        dx[:, i] = dy * x.prod(axis=1)  # 직접 해 보기 (your turn): x_i를 빼세요
    return dx


numbers = np.random.default_rng(2).normal(size=(6, 4))
numbers[0, 1] = numbers[1, 2] = 0
own_number = md.checking.Fingerprint(
    "own_number",
    lambda target, dy, x: {"x": (dy * x.prod(axis=1))[:, None] + 0 * x},
    "x_i gets dy times the product of all numbers",
    title="a number's own value is a factor of its gradient",
    hint="d(x_1 x_2)/dx_1 is x_2: without x_1.",
)
pair = (product_of_all, product_of_all_backward)
report = md.gradcheck(pair, numbers, fingerprints=[own_number])

# %% [markdown]
# <details><summary>답</summary>
#
# `np.delete(x, i, axis=1)`은 `i`번 열을 뺍니다: `dx[:, i] = dy * np.delete(x, i, axis=1).prod(axis=1)`.
#
# 차수가 $F$인 곱의 기울기(gradient)는 차수가 $F - 1$인 곱입니다. 두 수가 0에 가까우면 모든 기울기가 0에 가깝습니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def product_of_all_answer(dy, x):
    dx = np.zeros_like(x)
    for i in range(x.shape[1]):
        dx[:, i] = dy * np.delete(x, i, axis=1).prod(axis=1)
    return dx


report = md.gradcheck((product_of_all, product_of_all_answer), numbers, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# ## 2. 사슬의 시작: MF, 그리고 FM
#
# 사슬의 모든 모델은 뼈대가 같습니다. `fields`는 $z$를 내놓습니다. 표본이 $B$개면 모양은 $(B, F, D)$입니다.
# `logits_of`는 $z$를 표본마다 숫자 하나로 바꾸고, `dz_of`는 그 역전파(backward pass)입니다. 모양이 $(B,)$인
# $dy = \partial L / \partial y$에서 모양이 $(B, F, D)$인 $dz$를 구합니다. 부품의 이름은 라이브러리와 같습니다. 그래서
# 라이브러리의 가중치(weight)를 그대로 넣을 수 있습니다.


# %%
class Frame(md.Module):
    def __init__(self, num_dense, table_sizes, D, seed=0):
        options = {"rng": np.random.default_rng(seed), "dtype": np.float64}
        self.fields = md.layers.FieldEmbeddings(num_dense, table_sizes, D, **options)
        self.F, self.D = self.fields.num_fields, D
        self.build(num_dense, table_sizes, options)

    def forward(self, batch):
        z = self.fields.forward(batch.dense, batch.sparse)  # (B, F, D)
        return self.logits_of(z, batch)

    def backward(self, dy):
        self.fields.backward(self.dz_of(dy))


# %% [markdown]
# 편향(bias)이 있는 행렬 분해입니다. 필드는 사용자와 상품 두 개이고, 곱은 하나입니다. *선형 항*(linear term)에는 편향
# $b$와, 아이디(id)마다 하나씩 있는 수 $w$가 들어 있습니다.
#
# ### 직접 해 보기
#
# 곱만 봅니다. 모양이 $(B, 2, D)$인 $z$에 대해 $y = \langle z_0, z_1 \rangle$입니다. 벡터마다 *다른* 벡터를 받습니다.
# 빈칸의 코드에서는 저마다 자신을 받습니다. (`own`은 이 틀린 답을 검사기(checker)에 알려 주는 함수입니다. 그러면
# 검사기가 알아볼 수 있습니다.)


# %%
def product(z):
    return (z[:, 0] * z[:, 1]).sum(axis=1), z


def product_backward(dy, z):
    return dy[:, None, None] * z  # 직접 해 보기 (your turn)


def own_vector(target, dy, z):
    return {"z": dy[:, None, None] * z}


own = md.checking.Fingerprint("operand", own_vector, "each vector gets dy times itself")
some_z = np.random.default_rng(1).normal(size=(4, 2, 3))
report = md.gradcheck((product, product_backward), some_z, fingerprints=[own])

# %% [markdown]
# <details><summary>답</summary>
#
# `dy[:, None, None] * z[:, ::-1]`: 두 벡터를 맞바꿉니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def product_answer(dy, z):
    return dy[:, None, None] * z[:, ::-1]


report = md.gradcheck((product, product_answer), some_z, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# 사슬의 첫 모델입니다.


# %%
class MF(Frame):
    def build(self, num_dense, table_sizes, options):
        self.linear = md.layers.LinearTerm(num_dense, table_sizes, dtype=np.float64)

    def logits_of(self, z, batch):
        self.z = z
        y = self.linear.forward(batch.dense, batch.sparse)
        return y + (z[:, 0] * z[:, 1]).sum(axis=1)

    def dz_of(self, dy):
        self.linear.backward(dy)
        return dy[:, None, None] * self.z[:, ::-1]


# %% [markdown]
# 인수분해 기계(factorization machine, FM)입니다. 필드는 몇 개든 되고, 모든 쌍을 곱합니다. 새 부품은 `fm` 하나이고, 그
# 식과 기울기는 03장에서 본 것입니다.


# %%
class FM(Frame):
    def build(self, num_dense, table_sizes, options):
        self.linear = md.layers.LinearTerm(num_dense, table_sizes, dtype=np.float64)
        self.fm = md.FMInteraction(self.F, self.D)

    def logits_of(self, z, batch):
        y = self.linear.forward(batch.dense, batch.sparse)
        return y + self.fm.forward(z)

    def dz_of(self, dy):
        self.linear.backward(dy)
        return self.fm.backward(dy)


# %%
def show_step(old, new):
    """Print the lines that change from one model to the next."""
    methods = ("build", "logits_of", "dz_of")
    a, b = (
        [line for m in methods for line in inspect.getsource(getattr(model, m)).splitlines()]
        for model in (old, new)
    )
    changed = [line for line in difflib.ndiff(a, b) if line[0] in "+-" and line[1:].strip()]
    print(f"{old.__name__} -> {new.__name__}", *changed, sep="\n")


show_step(MF, FM)

# %% [markdown]
# 시험대를 만듭니다. 밀집 특성(dense feature) 두 개와 테이블(table) 세 개로 된 배치(batch)를 넣고, 모든 기울기를
# 검사하고, 가중치를 같게 하여 라이브러리의 클래스와 비교합니다.

# %%
table_sizes = [7, 5, 6]
dense = rng.normal(size=(6, 2))
ids = np.stack([rng.integers(0, n, 6) for n in table_sizes], axis=1)
batch = md.data.Batch(dense, ids, np.array([1.0, 0, 0, 1, 0, 1]))
pair_batch = md.data.Batch(dense[:, :0], ids[:, :2], batch.label)


def bench(mine, library, rows=batch):
    report = md.gradcheck(mine, rows, verbose=False)
    library = library.astype(np.float64)
    for parameter in library.parameters():  # 0에서 시작하는 것이 있는데, 0을 곱하면 잘못이 숨습니다
        parameter.value[...] = np.random.default_rng(1).normal(0, 0.3, parameter.value.shape)
    mine.load_state_dict(library.state_dict())
    difference = np.abs(mine.forward(rows) - library.forward(rows)).max()
    print(f"gradients right: {report.passed}; from {type(library).__name__}: {difference:.1e}")


bench(MF(0, [7, 5], 3), md.FactorizationMachine(0, [7, 5], 3), pair_batch)
bench(FM(2, table_sizes, 3), md.FactorizationMachine(2, table_sizes, 3))

# %% [markdown]
# 필드가 두 개면 FM이 *바로* MF입니다. 첫 줄은 우리의 MF를 라이브러리의 FM과 비교한 것입니다.
#
# ## 3. Wide & Deep: MLP 옆의 기억
#
# Cheng 등(2016)은 두 모델을 하나로 묶어 학습합니다. 깊은(deep) 부분과 넓은(wide) 부분을 더합니다. **Deep**은 벡터
# $z$를 이어 붙여 MLP에 넣습니다. 일반화를 맡습니다. **Wide**는 *교차*(cross)에 대한 선형 모델입니다. 테이블 $i$와
# 테이블 $j$의 교차는 아이디의 쌍마다 가중치를 따로 줍니다.
#
# $$ y = \mathrm{MLP}([z_1, \dots, z_F]) + \mathrm{linear}(x) + w_{(v_i, v_j)} . $$
#
# 여기서 $v_i$는 테이블 $i$에서 이 표본의 아이디이고, $\mathrm{linear}(x)$는 MF의 선형 항입니다. 아이디마다, 밀집
# 특성마다 숫자가 하나씩 있습니다. 교차는 예외를 기억합니다("이 사용자는 이 영화"). 하지만 한 번도 나오지 않은 쌍의
# 가중치는 0입니다. 그리고 어느 테이블을 교차할지 누군가 골라야 합니다.
#
# 두 아이디를 하나로 만듭니다. 테이블 $j$의 행 수가 $N_j$일 때 $v_i N_j + v_j$입니다. 그러면 모든 쌍에 서로 다른
# 번호가 하나씩 붙습니다.
#
# ### 직접 해 보기
#
# 빈칸의 코드는 서로 다른 쌍에 같은 번호를 붙입니다. 쌍마다 번호가 다르도록 고치세요.


# %%
def check_crosses(function):
    said = np.asarray(function(every_i, every_j))
    numbers, uses = np.unique(said, return_counts=True)
    if uses.max() > 1:
        a, b = np.flatnonzero(said == numbers[uses.argmax()])[:2]
        pairs = f"({every_i[a]}, {every_j[a]}) and ({every_i[b]}, {every_j[b]})"
        tell("not yet: the pairs {pairs} have the same number, {said}", pairs=pairs, said=said[a])
    elif not np.array_equal(np.sort(said), np.arange(N_i * N_j)):
        tell(
            "not yet: the numbers must be 0 to {last}; you have {said}",
            last=N_i * N_j - 1,
            said=said,
        )
    else:
        tell("right: every pair has a number of its own, from 0 to {last}", last=N_i * N_j - 1)


# %%
N_i, N_j = 4, 3
every_i, every_j = np.divmod(np.arange(N_i * N_j), N_j)


def cross_id(v_i, v_j):
    return v_i + v_j  # 직접 해 보기 (your turn): 번호가 같은 쌍이 있습니다


check_crosses(cross_id)

# %% [markdown]
# <details><summary>답</summary>
#
# `v_i * N_j + v_j`입니다. 십진수에서 십의 자리와 일의 자리로 수를 쓰는 것과 같습니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def cross_id_answer(v_i, v_j):
    return v_i * N_j + v_j


print("the answer:")
check_crosses(cross_id_answer)

# %% [markdown]
# 라이브러리의 클래스도 쌍에 같은 번호를 붙입니다. 다른 숫자를 모두 0으로 두면 로짓(logit)은 교차의 가중치입니다.

# %%
wide = md.WideDeep(0, [N_i, N_j], 2, mlp=(4,), crosses=[(0, 1)], dtype=np.float64)
for parameter in wide.parameters():
    parameter.value[...] = 0
wide.crosses.weight.value[:, 0] = rng.normal(size=N_i * N_j)
every_pair = md.data.Batch(np.zeros((N_i * N_j, 0)), np.stack([every_i, every_j], axis=1))
by_hand = wide.crosses.weight.value[cross_id_answer(every_i, every_j), 0]
print("largest difference:", np.abs(wide.forward(every_pair) - by_hand).max())

# %% [markdown]
# ## 4. DeepFM: 고를 필요가 없습니다
#
# Guo 등(2017)은 넓은 부분의 자리에 FM을 넣었습니다. FM에는 모든 쌍이 있으므로 고를 필요가 없습니다. FM과 MLP는 벡터
# $z$를 **함께 씁니다**. 그래서 $z$에서는 화살표가 두 개 나가고, 기울기는 둘의 합입니다. (MLP에 편향이 있으므로 $b$를
# 하나 더 둘 필요는 없습니다.)
#
# ### 직접 해 보기
#
# 작은 DeepFM입니다. 선형 항은 없고, 은닉층은 하나, 유닛은 네 개입니다. $z_1, \dots, z_F$를 이어 붙인 숫자 $F D$개를
# $\bar z$라고 씁시다.
#
# $$ h = \mathrm{ReLU}(W \bar z), \qquad y = \sum_{i < j} \langle z_i, z_j \rangle + \langle u, h \rangle . $$
#
# $W$의 모양은 $(4, F D)$이고 $u$에는 숫자가 네 개 있습니다. 빈칸의 코드에는 FM의 화살표가 있습니다. MLP의 화살표를
# 쓰세요. 먼저 $du$, 다음에 $dW$, 그리고 $z$가 받을 것을 구합니다. (`forgotten`은 빈칸의 틀린 $dz$, 곧 MLP의 화살표가
# 빠진 FM의 화살표를 검사기에 알려 주는 함수입니다.)


# %%
def deepfm(z, W, u):
    s = z.sum(axis=1)  # (B, D)
    fm = (s**2 - (z**2).sum(axis=1)).sum(axis=1) / 2  # (B,)
    h = np.maximum(z.reshape(len(z), -1) @ W.T, 0)  # (B, 4)
    return fm + h @ u, (z, W, u, s, h)


def fm_alone(target, dy, z, W, u):
    return {"z": dy[:, None, None] * (z.sum(axis=1, keepdims=True) - z)}


forgotten = md.checking.Fingerprint("second_path", fm_alone, "dz has the FM's part only")
shapes = ((5, 3, 2), (4, 6), (4,))  # z, W, u의 모양: B = 5, F = 3, D = 2
deep_arrays = [np.random.default_rng(4).normal(size=shape) for shape in shapes]


# %%
def deepfm_backward(dy, cache):
    z, W, u, s, h = cache
    dz = dy[:, None, None] * (s[:, None] - z)  # FM의 화살표
    du = np.zeros_like(u)  # 직접 해 보기 (your turn): du, dW, 그리고 z의 둘째 화살표
    dW = np.zeros_like(W)
    return dz, dW, du


report = md.gradcheck((deepfm, deepfm_backward), *deep_arrays, fingerprints=[forgotten])

# %% [markdown]
# <details><summary>답</summary>
#
# MLP를 거슬러 갑니다. $u$는 $h$를 만나므로, 배치에 대해 더하여 $du = \sum dy\, h$입니다. ReLU 앞의 기울기는 $h > 0$인
# 곳에서 $da = dy\, u$이고, 그 밖에는 0입니다. 그러면 $dW = \sum da\, \bar z^\top$이고, $W^\top da$가 $z$로 갑니다.
# 이것을 FM의 기울기에 **더합니다**.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def deepfm_answer(dy, cache):
    z, W, u, s, h = cache
    dz = dy[:, None, None] * (s[:, None] - z)
    du = h.T @ dy  # (4,)
    da = dy[:, None] * u * (h > 0)  # (B, 4)
    dW = da.T @ z.reshape(len(z), -1)  # (4, F D)
    dz = dz + (da @ W).reshape(z.shape)  # (B, F, D)
    return dz, dW, du


report = md.gradcheck((deepfm, deepfm_answer), *deep_arrays, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# 사슬의 모델은 라이브러리의 부품으로 같은 일을 합니다.


# %%
class DeepFM(Frame):
    def build(self, num_dense, table_sizes, options):
        self.linear = md.layers.LinearTerm(num_dense, table_sizes, bias=False, dtype=np.float64)
        self.fm = md.FMInteraction(self.F, self.D)
        self.mlp = md.MLP([self.F * self.D, 8, 1], last_activation=False, **options)

    def logits_of(self, z, batch):
        y = self.linear.forward(batch.dense, batch.sparse)
        y = y + self.mlp.forward(z.reshape(len(z), -1))[:, 0]
        return y + self.fm.forward(z)

    def dz_of(self, dy):
        self.linear.backward(dy)
        deep = self.mlp.backward(dy[:, None]).reshape(-1, self.F, self.D)
        return self.fm.backward(dy) + deep


show_step(FM, DeepFM)
bench(DeepFM(2, table_sizes, 3), md.DeepFM(2, table_sizes, 3, mlp=(8,)))

# %% [markdown]
# ## 5. DCN: 차수가 자라는 곱
#
# FM은 쌍에서 멈춥니다. Wang 등(2017)은 **교차 층** 하나마다 차수를 하나씩 올렸습니다. 표본 하나의 모든 숫자를 크기
# $d = F D$인 벡터 하나에 담아 $x_0 = [z_1, \dots, z_F]$라고 씁시다. 교차 층은 앞에서 온 것의 선형 변환을 $x_0$에
# 곱하고, 앞에서 온 것을 더합니다.
#
# $$ y = x_0 \odot (W x + b) + x \qquad (\odot: \text{entry by entry}) . $$
#
# $\odot$는 원소끼리 곱한다는 뜻입니다. 이 식은 모양이 $(d, d)$인 행렬 $W$를 쓰는 2판(2021)입니다. 1판에는 그 자리에
# 벡터 $w$가 있습니다. $y = x_0 \langle w, x \rangle + b + x$입니다. $x = x_0$인 첫째 층에는 두 수의 모든 곱이 있고,
# 둘째 층에는 세 수의 곱이 있고, 이렇게 계속됩니다.
#
# ### 기울기
#
# 괄호에 이름을 붙입니다. $g = W x + b$이면 $y = x_0 \odot g + x$입니다. 표본 하나에 대해 다음과 같습니다.
#
# 1. $x_0$에 $g$를 곱했으므로 $dx_0 = dy \odot g$입니다.
# 2. $dg = dy \odot x_0$입니다.
# 3. $dW = dg\, x^\top$이고 $db = dg$입니다. (배치에서는 모든 표본의 것을 더합니다.)
# 4. $x$에서는 화살표가 두 개 나갑니다. 하나는 $g$를 지나고 하나는 곧장 갑니다. $dx = W^\top dg + dy$입니다.
#
# ### 직접 해 보기
#
# 빈칸의 코드는 $x$의 화살표 가운데 하나만 따라갑니다.


# %%
def cross(x0, x, W, b):
    g = x @ W.T + b  # (B, d)
    return x0 * g + x, (x0, x, W, g)


def cross_backward(dy, cache):
    x0, x, W, g = cache
    dg = dy * x0  # (B, d)
    return dy * g, dg @ W, dg.T @ x, dg.sum(axis=0)  # 직접 해 보기 (your turn): dx0, dx, dW, db


d = 5
arrays = [rng.normal(size=shape) for shape in ((4, d), (4, d), (d, d), (d,))]
report = md.gradcheck((cross, cross_backward), *arrays)

# %% [markdown]
# <details><summary>답</summary>
#
# `dx`는 `dg @ W + dy`입니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def cross_answer(dy, cache):
    x0, x, W, g = cache
    dg = dy * x0
    return dy * g, dg @ W + dy, dg.T @ x, dg.sum(axis=0)


report = md.gradcheck((cross, cross_answer), *arrays, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# 라이브러리의 층은 `md.MatrixCross`입니다. 같은 숫자를 냅니다.

# %%
layer = md.MatrixCross(d, dtype=np.float64, rng=np.random.default_rng(0))
layer.weight.value[...], layer.bias.value[...] = arrays[2], arrays[3]
y, cache = cross(*arrays)
dy = rng.normal(size=y.shape)
print("forward:", np.abs(layer.forward(*arrays[:2]) - y).max())
pairs = zip(layer.backward(dy), cross_answer(dy, cache)[:2], strict=True)
print("dx0, dx:", *(np.abs(theirs - ours).max() for theirs, ours in pairs))

# %% [markdown]
# 교차 층을 쌓은 신경망에서 $x_0$은 **모든** 층에 들어가고, 첫째 층의 $x$로도 한 번 더 들어갑니다. 기울기는 이 모두에
# 대한 합입니다. `md.CrossNetwork.backward`를 보세요.
#
# 이제 차수가 자라는 것을 봅시다. 입력을 $t$배 합니다. 차수가 $k$인 다항식은 $t^k$처럼 커집니다. 두 축을 모두 로그로
# 그리면 기울기가 $k$인 직선입니다.

# %%
t = np.geomspace(1e2, 1e4, 20)
x = rng.normal(size=(1, 4))
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for num_layers, style in ((1, "-"), (2, "--"), (3, ":")):
    network = md.CrossNetwork(4, num_layers, dtype=np.float64, rng=np.random.default_rng(0))
    size = np.abs(network.forward(t[:, None] * x)).max(axis=1)
    slope = np.polyfit(np.log(t), np.log(size), 1)[0]
    ax.loglog(t, size, style, label=f"layers: {num_layers}, slope {slope:.2f}")
ax.set(xlabel="t: x0 is multiplied by t", ylabel="largest output", title="Order = layers + 1")
ax.legend()
ax.grid(alpha=0.3)

# %% [markdown]
# 이제 모델입니다. 교차 신경망이 선형 항과 FM의 자리를 차지합니다. 마지막 선형 층은 교차 부분과 깊은 부분을 나란히
# 읽습니다.


# %%
class DCN(Frame):
    def build(self, num_dense, table_sizes, options):
        self.cross = md.CrossNetwork(self.F * self.D, 2, "matrix", **options)
        self.deep = md.MLP([self.F * self.D, 8], **options)
        self.last = md.Linear(self.F * self.D + 8, 1, **options)

    def logits_of(self, z, batch):
        x0 = z.reshape(len(z), -1)  # (B, d)
        both = [self.cross.forward(x0), self.deep.forward(x0)]
        return self.last.forward(np.concatenate(both, axis=1))[:, 0]

    def dz_of(self, dy):
        dboth = self.last.backward(dy[:, None])
        dcross, ddeep = np.split(dboth, [self.F * self.D], axis=1)
        dx0 = self.cross.backward(dcross) + self.deep.backward(ddeep)
        return dx0.reshape(-1, self.F, self.D)


show_step(DeepFM, DCN)
bench(DCN(2, table_sizes, 3), md.DCN(2, table_sizes, 3, num_cross_layers=2, mlp=(8,)))

# %% [markdown]
# ## 6. xDeepFM: 차수는 자라고, 벡터는 통째로 남습니다
#
# 교차 층은 서로 다른 벡터의 숫자 하나하나를 섞습니다. 비트 단위입니다. Lian 등(2018)의 **압축 상호작용
# 신경망**(compressed interaction network, CIN)은 벡터를 통째로 둡니다. 이 층은 벡터 $M$개 $x_1, \dots, x_M$과 임베딩
# $z_1, \dots, z_F$를 받습니다. 모든 쌍을 원소끼리 곱하고, 그 곱들의 가중합을 $H$개 내놓습니다.
#
# $$ y_h = \sum_{i=1}^{M} \sum_{j=1}^{F} W_{hij}\, (x_i \odot z_j) + b_h, \qquad h = 1, \dots, H . $$
#
# $y_h$는 저마다 크기 $D$인 벡터입니다. 다음 층에서는 $x = y$입니다. 마지막에는 벡터를 *풀링*(pooling)합니다. 원소
# $D$개를 모두 더합니다.
#
# ### 기울기
#
# 원소 $D$개는 서로 섞이지 않습니다. 그러니 표본 하나, 원소 하나만 보면 됩니다. 그러면 $x_i$, $z_j$, $y_h$는 모두
# 숫자입니다.
#
# 1. $dW_{hij} = dy_h\, x_i\, z_j$이고 $db_h = dy_h$입니다. (표본과 원소에 대해 더합니다.)
# 2. $x_i$는 모든 $z_j$와 곱해집니다. $dx_i = \sum_h \sum_j dy_h W_{hij} z_j$입니다.
# 3. 마찬가지로 $dz_j = \sum_h \sum_i dy_h W_{hij} x_i$입니다.
#
# 코드에서는 `np.einsum`으로 이런 합을 글자 그대로 씁니다. `n`은 표본과 원소를 함께 셉니다.
#
# ### 직접 해 보기
#
# 셋째 식, $dz$를 쓰세요.


# %%
def cin(x, z, W, b):
    return np.einsum("hij,ni,nj->nh", W, x, z) + b, (x, z, W)


def cin_backward(dy, cache):
    x, z, W = cache
    dx = np.einsum("nh,hij,nj->ni", dy, W, z)
    dz = np.zeros_like(z)  # 직접 해 보기 (your turn): h와 i에 대한 합
    return dx, dz, np.einsum("nh,ni,nj->hij", dy, x, z), dy.sum(axis=0)


M, F, H = 3, 4, 2
cin_arrays = [rng.normal(size=shape) for shape in ((6, M), (6, F), (H, M, F), (H,))]
report = md.gradcheck((cin, cin_backward), *cin_arrays)

# %% [markdown]
# <details><summary>답</summary>
#
# `np.einsum("nh,hij,ni->nj", dy, W, x)`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def cin_answer(dy, cache):
    x, z, W = cache
    dx = np.einsum("nh,hij,nj->ni", dy, W, z)
    dz = np.einsum("nh,hij,ni->nj", dy, W, x)
    return dx, dz, np.einsum("nh,ni,nj->hij", dy, x, z), dy.sum(axis=0)


report = md.gradcheck((cin, cin_answer), *cin_arrays, verbose=False)
print("the answer: passed =", report.passed)

# %%
layer = md.layers.CINLayer(M, F, H, dtype=np.float64, rng=np.random.default_rng(0))
layer.weight.value[...], layer.bias.value[...] = cin_arrays[2], cin_arrays[3]
y, cache = cin(*cin_arrays)
dy = rng.normal(size=y.shape)
print("forward:", np.abs(layer.forward(*cin_arrays[:2]) - y).max())
pairs = zip(layer.backward(dy), cin_answer(dy, cache)[:2], strict=True)
print("dx, dz: ", *(np.abs(theirs - ours).max() for theirs, ours in pairs))


# %% [markdown]
# 모델은 DeepFM과 같고, FM의 자리에 CIN이 있습니다. CIN은 숫자를 여러 개 내놓습니다. `cin_last`가 그것을 숫자 하나로
# 만듭니다.


# %%
class XDeepFM(Frame):
    def build(self, num_dense, table_sizes, options):
        self.linear = md.layers.LinearTerm(num_dense, table_sizes, bias=False, dtype=np.float64)
        self.cin = md.CIN(self.F, self.D, (4, 4), **options)
        self.cin_last = md.Linear(self.cin.num_outputs, 1, **options)
        self.mlp = md.MLP([self.F * self.D, 8, 1], last_activation=False, **options)

    def logits_of(self, z, batch):
        y = self.linear.forward(batch.dense, batch.sparse)
        y = y + self.mlp.forward(z.reshape(len(z), -1))[:, 0]
        return y + self.cin_last.forward(self.cin.forward(z))[:, 0]

    def dz_of(self, dy):
        self.linear.backward(dy)
        deep = self.mlp.backward(dy[:, None]).reshape(-1, self.F, self.D)
        return self.cin.backward(self.cin_last.backward(dy[:, None])) + deep


show_step(DeepFM, XDeepFM)
bench(XDeepFM(2, table_sizes, 3), md.XDeepFM(2, table_sizes, 3, cin_layers=(4, 4), mlp=(8,)))

# %% [markdown]
# ## 7. DLRM: 다시 쌍으로, 그리고 더 멀리
#
# DLRM은 다시 단순합니다. 모든 밀집 특성이 함께 벡터 **하나**가 됩니다. 하단 MLP(bottom MLP)가 하는 일입니다. 쌍의
# 곱은 더하지 않고 상단 MLP(top MLP)에 넣습니다. 2차는 명시적이고, 더 높은 차수는 MLP에 맡깁니다.


# %%
class DLRMFrame(Frame):
    def __init__(self, num_dense, table_sizes, D, seed=0):  # z는 두 곳에서 옵니다
        options = {"rng": np.random.default_rng(seed), "dtype": np.float64}
        self.F, self.D = 1 + len(table_sizes), D
        self.embeddings = md.EmbeddingBagCollection(table_sizes, D, **options)
        self.bottom = md.MLP([num_dense, 8, D], **options)
        self.build(num_dense, table_sizes, options)

    def forward(self, batch):
        x = self.bottom.forward(batch.dense)  # (B, D)
        z = self.embeddings.forward(batch.sparse)  # (B, T, D)
        return self.logits_of(np.concatenate([x[:, None], z], axis=1), batch)  # (B,)

    def backward(self, dy):
        dz = self.dz_of(dy)  # (B, F, D)
        self.bottom.backward(dz[:, 0])
        self.embeddings.backward(dz[:, 1:])


# %% [markdown]
# 여기까지가 $z$를 만드는 부분입니다. 0번 벡터는 하단 MLP에서 옵니다. 다음은 FM의 자리를 차지하는 부분이고, 역시
# 짧습니다.


# %%
class DLRM(DLRMFrame):
    def build(self, num_dense, table_sizes, options):
        self.dot = md.DotInteraction(self.F, self.D)
        top_in = self.D + self.F * (self.F - 1) // 2
        self.top = md.MLP([top_in, 8, 1], last_activation=False, **options)

    def logits_of(self, z, batch):
        pairs = self.dot.forward(z)  # (B, P)
        return self.top.forward(np.concatenate([z[:, 0], pairs], axis=1))[:, 0]

    def dz_of(self, dy):
        dx, dpairs = np.split(self.top.backward(dy[:, None]), [self.D], axis=1)
        dz = self.dot.backward(dpairs)
        dz[:, 0] += dx  # 화살표 두 개
        return dz


show_step(FM, DLRM)
bench(DLRM(2, table_sizes, 3), md.DLRM(2, table_sizes, 3, bottom_mlp=(8,), top_mlp=(8,)))

# %% [markdown]
# ### 직접 해 보기
#
# DLRM은 FM이 될 수 있습니다. 상단 MLP가 쌍을 더하기만 하면 됩니다. 상단이 모양 $(1, D + P)$인 선형 층 하나,
# $y = W x + b$라고 합시다. $P = F (F - 1) / 2$는 쌍의 수입니다. 이 층은 벡터 $z_0$을 읽고, 그다음 $i > j$인 내적(dot
# product) $\langle z_i, z_j \rangle$를 `np.tril_indices(F, -1)`의 순서대로 읽습니다. $y$가 **테이블**만의 FM, 곧
# $z_1, \dots, z_{F-1}$의 FM이 되도록 $W$를 정하세요. 하단 MLP의 벡터 $z_0$은 쓰지 않습니다. 빈칸의 코드는 모두
# 더합니다.


# %%
def check_top(function, F=4, D=3):
    z, P = np.random.default_rng(5).normal(size=(8, F, D)), F * (F - 1) // 2
    W, pairs = np.asarray(function(F, D)), md.DotInteraction(F, D).forward(z)  # (8, P)
    if W.shape != (1, D + P):
        shapes = {"shape": W.shape, "wanted": (1, D + P)}
        tell("not yet: W has the shape {shape}, and should have {wanted}", **shapes)
        return
    y = (np.concatenate([z[:, 0], pairs], axis=1) @ W.T)[:, 0]
    wanted = md.FMInteraction(F - 1, D).forward(z[:, 1:])
    if np.allclose(y, wanted):
        tell("right: a DLRM that is an FM")
        return
    k = np.abs(y - wanted).argmax()
    said = {"k": k, "y": y[k], "wanted": wanted[k]}
    tell("not yet: sample {k} gives y = {y:.3f}, the FM {wanted:.3f};", **said)
    j = np.tril_indices(F, -1)[1]
    own, pairs = np.count_nonzero(W[0, :D]), np.count_nonzero(W[0, D:][j == 0])
    read = {"own": own, "D": D, "pairs": pairs, "most": F - 1}
    tell(
        "  {own} of {D} weights read z0 itself, and {pairs} of {most} a pair of z0: make them 0;",
        **read,
    )
    others = {"wrong": np.sum(W[0, D:][j > 0] != 1), "others": np.sum(j > 0)}
    tell("  {wrong} of {others} other pairs need the weight 1", **others)


# %%
def top_of_an_fm(F, D):
    P = F * (F - 1) // 2
    W = np.ones((1, D + P))  # 직접 해 보기 (your turn): 이 가운데 0이어야 하는 것은?
    return W


check_top(top_of_an_fm)

# %% [markdown]
# <details><summary>답</summary>
#
# 앞의 숫자 $D$개는 0이고, $j = 0$인 쌍도 0입니다. 나머지는 모두 1입니다. 그러니 FM이 할 수 있는 일은 DLRM도 할 수
# 있습니다. FM은 이 가중치를 고정하고, DLRM은 배웁니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def top_of_an_fm_answer(F, D):
    j = np.tril_indices(F, -1)[1]  # (P,)
    return np.concatenate([np.zeros(D), j > 0])[None]  # (1, D + P)


print("the answer:")
check_top(top_of_an_fm_answer)

# %% [markdown]
# 사슬을 한눈에 봅시다. (교차 층이나 CIN 층은 $n$개입니다.)
#
# | 모델 | 명시적인 곱 | 단위 | 바뀐 점 |
# | --- | --- | --- | --- |
# | MF | 2차, 쌍 하나 | 벡터 | |
# | FM | 2차, 모든 쌍 | 벡터 | 필드가 몇 개든 됨 |
# | Wide & Deep | 고른 쌍 | 아이디 | 기억과 MLP |
# | DeepFM | 2차, 모든 쌍 | 벡터 | 고른 쌍의 자리에 FM |
# | DCN | $n + 1$차까지 | 비트 | FM의 자리에 교차 층 |
# | xDeepFM | $n + 1$차까지 | 벡터 | FM의 자리에 CIN |
# | DLRM | 2차, 모든 쌍 | 벡터 | 쌍을 더하지 않고 MLP가 읽음 |
#
# 두 모델을 라이브러리의 클래스에서 바로 그린 그림입니다.

# %%
fig, axes = plt.subplots(1, 2, figsize=(11, 6), layout="constrained")
md.diagram(md.DCN(2, table_sizes, 3, num_cross_layers=2, mlp=(8,)), ax=axes[0])
_ = md.diagram(md.XDeepFM(2, table_sizes, 3, cin_layers=(4, 4), mlp=(8,)), ax=axes[1])

# %% [markdown]
# ## 8. 어느 모델이 어떤 곱을 배울까?
#
# 참값을 정해 놓은 실험입니다. 첫째 데이터에서는 클릭이 서로 다른 테이블에 숨은 부호 **두 개**의 곱에, 둘째
# 데이터에서는 **세 개**의 곱에 달려 있습니다. 두 데이터 모두 아이디 하나하나의 클릭률은 같습니다.
#
# 배울 수 있는 것 가운데 얼마나 배웠는지를 잽니다. 평균 클릭률만 예측하면 0이고, 가능한 가장 좋은 로그 손실(log
# loss)인 베이즈 한계(Bayes limit)에 이르면 1입니다.
#
# 먼저 짐작해 보세요. 로지스틱 회귀(logistic regression, LR)는 얼마일까요? FM은 둘째 데이터에서 얼마일까요? 3차를
# 배우는 모델은 어느 것일까요?


# %%
def share_learned(model, clicks):
    options = {"optimizer": md.Adam(0.01), "batch_size": 256, "progress": False}
    md.fit(model, clicks.train, clicks.valid, epochs=4, **options)
    entropy = md.metrics.entropy(clicks.test.label)
    loss = md.evaluate(model, clicks.test)["log_loss"]
    return (entropy - loss) / (entropy - clicks.bayes_log_loss)


def contenders(sizes, seed):
    common = {"num_dense": 2, "table_sizes": sizes, "embedding_dim": 8, "seed": seed}
    return {
        "LR": md.LogisticRegression(2, sizes),
        "FM": md.FactorizationMachine(**common),
        "MLP": md.MLPModel(**common, mlp=(64, 32)),
        "DeepFM": md.DeepFM(**common, mlp=(64, 32)),
        "DCN": md.DCN(**common, num_cross_layers=3, mlp=(64, 32)),
        "xDeepFM": md.XDeepFM(**common, cin_layers=(8, 8), mlp=(64, 32)),
        "DLRM": md.DLRM(**common, bottom_mlp=(32,), top_mlp=(64, 32)),
    }


# %%
shares = {}  # (모델, 차수) -> 시드 세 개의 결과
for order in (2, 3):
    clicks = md.data.synthetic_clicks(
        100_000, seed=0, order=order, num_dense=2, num_tables=8, max_table_size=16
    )
    for seed in range(3):
        for name, model in contenders(clicks.table_sizes, seed).items():
            shares.setdefault((name, order), []).append(share_learned(model, clicks))

# %%
names = list(dict.fromkeys(name for name, _ in shares))
place = np.arange(len(names))
fig, ax = plt.subplots(figsize=(7.2, 3.4), layout="constrained")
for order, hatch, color, shift in ((2, "", "0.6", -0.2), (3, "//", "0.9", 0.2)):
    values = np.array([shares[name, order] for name in names])  # (모델, 시드)
    bars = {"color": color, "hatch": hatch, "edgecolor": "0.3", "label": f"order {order}"}
    ax.bar(place + shift, values.mean(axis=1), 0.4, **bars)
    ax.plot(np.repeat(place + shift, 3), values.ravel(), "k.", ms=5)
ax.set(ylabel="share learned (1: Bayes limit)", xticks=place, xticklabels=names)
ax.legend(title="dots: seeds")
ax.grid(axis="y", alpha=0.3)

# %% [markdown]
# 예상대로 LR은 아무것도 배우지 못합니다. 아이디 하나로는 알 수 있는 것이 없습니다. FM은 2차를 배우지만 3차는 전혀
# 배우지 못합니다. 식에 세 수의 곱이 없기 때문입니다. 3차의 점들은 3분의 1의 배수 가까이에 있습니다. 데이터에 세 수의
# 곱이 세 개 들어 있고, 모델은 그 가운데 0개, 1개, 2개, 또는 3개를 찾았습니다. 더 높은 차수의 곱이 있는 모델(DCN,
# xDeepFM)과 쌍을 하나하나 읽는 모델(DLRM)은, MLP만 있는 모델이나 쌍을 더해 버리는 모델(DeepFM)보다 많이 찾습니다.
#
# 모든 모델에 같은 학습률(learning rate)을 썼으므로 이것으로 증명되는 것은 거의 없습니다.
# `minidlrm compare --experiment order`는 모델마다 검증 데이터로 학습률을 고르고, 테이블도 더 큽니다.
# `minidlrm paper 2.3`은 이 모델들에 대한 흔한 주장을 하나씩, 실제로 잰 수와 견주어 봅니다.
#
# ### 직접 해 보기
#
# 모델의 비용은 얼마일까요? 필드가 $F$개이고 필드마다 숫자가 $D$개일 때, 표본 하나의 순전파(forward pass)에서 명시적인
# 부분이 하는 곱셈의 수를 세어 보세요. DLRM의 쌍의 곱, 행렬을 쓰는 교차 층 하나, 벡터 $F$개에서 $H$개를 만드는 CIN 층
# 하나입니다. 첫째는 주어졌습니다. 나머지 둘을 고치세요.


# %%
def multiplications(F, D, H):
    pairs = F * (F - 1) // 2 * D
    cross = F * D  # 직접 해 보기 (your turn): W x에는 행렬이 있습니다
    cin = F * F * D  # 직접 해 보기 (your turn): 먼저 곱, 그다음 W로 더하기
    return {"DLRM's pairs": pairs, "cross layer": cross, "CIN layer": cin}


def check_counts(function):
    F, D, H = 26, 16, 16
    right = {"DLRM's pairs": 5200, "cross layer": 173_472, "CIN layer": 183_872}
    known = {F * D: say("W x has a matrix of F D rows and F D columns")}
    known |= {(F * D) ** 2: say("the product with x0 is missing")}
    known |= {
        F * F * D: say("the sums with W multiply, too"),
        F * F * D * H: say("the products are missing"),
    }
    for name, count in function(F, D, H).items():
        why = known.get(count, say("count again"))
        wrong = say("not yet: {count}: {why}", count=f"{count:,}", why=why)
        print(f"{name:13} {say('right') if count == right[name] else wrong}")


print("F = 26, D = 16, H = 16")
check_counts(multiplications)

# %% [markdown]
# <details><summary>답</summary>
#
# 교차 층: 행렬의 원소는 $(F D)^2$개이고, $x_0$과 곱하는 데 $F D$번이 더 듭니다. CIN 층: 곱이 $F^2 D$개 있고, 벡터
# $H$개에 쓸 가중치를 곱마다 하나씩 곱합니다. 모두 $F^2 D (1 + H)$번입니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def multiplications_answer(F, D, H):
    pairs = F * (F - 1) // 2 * D
    return {
        "DLRM's pairs": pairs,
        "cross layer": (F * D) ** 2 + F * D,
        "CIN layer": F * F * D * (1 + H),
    }


print("the answer:")
check_counts(multiplications_answer)

# %% [markdown]
# ## 9. 이 장의 박물관
#
# 이 모델들에서 새로운 것은 **함께 쓰기**입니다. $x_0$은 모든 교차 층에 들어가고, $z$는 FM과 MLP에 들어갑니다. 그래서
# 화살표 하나를 잊는 실수가 흔합니다. 하나하나 찾아보고, 그다음에 검사기에 물어보세요.

# %%
from minidlrm.checking import museum

bugs = museum.exhibits("FirstInputForgotten", "ResidualForgotten", "SharedEmbeddingsForgotten")
museum.show(bugs)

# %%
museum.explain(bugs)

# %% [markdown]
# 학습이 될까요? 처음 둘은 DCN에, 셋째는 DeepFM에 넣고 3차 클릭 데이터로 학습합니다.


# %%
def curve_of(model, wrong=None):
    for _, module in model.named_modules():
        if wrong and type(module) is wrong.correct:
            module.__class__ = wrong.cls
    options = {"optimizer": md.Adam(0.01), "batch_size": 256, "eval_every": 50}
    history = md.fit(model, clicks.train, clicks.valid, epochs=3, progress=False, **options)
    return history.column("epoch"), history.column("valid_log_loss")


fig, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True, layout="constrained")
for ax, right, name in zip(axes, (md.DCN, md.DeepFM), ("DCN", "DeepFM"), strict=True):
    wrong = [bug for bug in bugs if (bug.correct is md.DeepFM) == (right is md.DeepFM)]
    for bug, style in zip((None, *wrong), ("-", "--", ":"), strict=False):
        model = right(2, clicks.table_sizes, 8, mlp=(64, 32))
        label = bug.cls.__name__ if bug else "right"
        ax.plot(*curve_of(model, bug), style, label=label)
    ax.set(xlabel="epoch", ylabel="validation log loss (nats)", title=name)
    ax.legend(fontsize="small")
    ax.grid(alpha=0.3)

# %% [markdown]
# 옳은 곡선은 계단처럼 내려갑니다. 한 계단마다 모델이 곱을 하나씩 찾아냈습니다. 그것이 언제인지는 운에 달려 있어서,
# 틀린 기울기가 한동안 앞서기도 합니다. 틀린 DeepFM은 손실이 잘 줄다가 다시 커지지만, 과적합(overfitting)일 때도
# 그렇습니다. 이런 곡선을 보아서는 어느 모델이 옳은지 알 수 없습니다. 검사기는 압니다.
#
# ## 기억할 것
#
# 1. 사슬 하나입니다. 모델마다 특성이 만나는 방법을 바꾸고, 다른 것은 거의 바꾸지 않습니다.
# 2. 교차 층은 $y = x_0 \odot (W x + b) + x$입니다. 층마다 차수가 하나씩 오르고, 비트 단위입니다.
# 3. CIN은 통째로 곱한 벡터들의 가중합입니다. 층마다 차수가 하나씩 오르고, 벡터 단위입니다.
# 4. 두 번 쓰인 것의 기울기에는 항이 두 개 있습니다. 화살표를 하나 잊은 모델도 학습은 됩니다.
# 5. 명시적인 곱은 제 차수를 배웁니다. MLP는 다른 곱을 찾을 수도 있고, 못 찾을 수도 있습니다.
#
# 다음: 08장, 빠르게 만들기.
