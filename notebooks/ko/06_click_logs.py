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
# # 06 · 클릭 로그로 학습하기
#
# [![Colab에서 열기](../colab.svg)](https://colab.research.google.com/github/)
#
# [English](../06_click_logs.ipynb) · [튜토리얼 안내](README.md) · [용어집](glossary.md)
#
# 모델은 준비되었습니다. 이제 데이터 차례입니다. 클릭 로그(click log)가 어떻게 생겼는지, 어떻게 읽는지, 무엇을 재고
# 무엇을 기대할 수 있는지 알아봅니다. 추천 모델의 문제는 대부분 여기에 있습니다.
#
# 05장의 내용이 필요합니다. 읽는 시간은 약 55분입니다.
#
# **이 장을 마치면** Criteo 파일을 읽어 숫자로 바꾸게 됩니다. 로그 손실(log loss)과 AUC와 보정(calibration)을 직접
# 계산하고, 배치(batch)마다 나오기도 하고 안 나오기도 하는 행에서 옵티마이저(optimizer)를 비교합니다. 어떤 모델도 넘을
# 수 없는 한계를 구하고, 여러분의 표로 모델을 만들게 됩니다.

# %%
# Colab처럼 minidlrm이 설치되지 않은 곳에서는 먼저 설치합니다.
import importlib.util

if importlib.util.find_spec("minidlrm") is None:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "minidlrm"], check=True)

import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import minidlrm as md
from minidlrm.languages import say, tell

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. 클릭 로그의 한 줄
#
# 2014년의 Criteo 대회에서는 7일 동안의 광고 기록이 공개되었습니다. 한 줄에는 정답(label, 클릭했는지)과 횟수 13개,
# 그리고 16진수 여덟 자리로 해싱(hashing)한 범주(category) 26개가 있습니다. 칸은 탭으로 나뉘고, 빈칸은 값이 없다는
# 뜻입니다.
#
# `MINIDLRM_DATA`가 가리키는 폴더에 이 파일의 앞부분이 있으면 그것을 읽습니다. 없으면 같은 형식의 파일을 난수로 만들어
# 씁니다.

# %%
path = Path(os.environ.get("MINIDLRM_DATA", "")) / "criteo-sample" / "train_2000.txt"
if not path.is_file():
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / "made_up.txt"
    lines = []
    for _ in range(2000):
        counts = [str(int(n)) if rng.random() > 0.2 else "" for n in rng.exponential(20, 13)]
        ids = [f"{int(n):08x}" if rng.random() > 0.1 else "" for n in rng.zipf(1.5, 26) % 2**32]
        lines.append("\t".join([str(int(rng.random() < 0.25)), *counts, *ids]))
    path.write_text("\n".join(lines) + "\n")
print(path.name)
print(path.read_text().splitlines()[0][:120], "...")

# %% [markdown]
# ### 직접 해 보기
#
# 한 줄을 해석해 보세요. 정답은 정수(int)로, 횟수 13개와 아이디(id) 26개는 각각 리스트로 만듭니다. 16진수 여덟 자리인
# 범주도 숫자입니다. `int("000000ff", 16)`은 255입니다. 값이 없는 칸은 `None`으로 합니다. 모든 칸이 제자리에 있어야
# 합니다. 마지막 칸까지, 어느 칸이든 비어 있을 수 있습니다.


# %%
def check_parse(function):
    fields = ["1", "3", "", "-1", *["0"] * 10, "000000ff", "", *["0000000a"] * 23, ""]
    parts = function("\t".join(fields) + "\n")
    right = 1, [3, None, -1, *[0] * 10], [255, None, *[10] * 23, None]
    if (len(parts[1]), len(parts[2])) != (13, 26):
        tell(
            "not yet: {counts} counts and {ids} ids, but a line has 13 and 26. Where did the empty "
            "fields go?",
            counts=len(parts[1]),
            ids=len(parts[2]),
        )
        return
    said, wanted = ([part[0], *part[1], *part[2]] for part in (parts, right))
    for k, (mine, field) in enumerate(zip(said, wanted, strict=True)):
        if mine != field:
            tell(
                "not yet: field {k} {fields!r} should become {field!r}; you have {mine!r}",
                k=k,
                fields=fields[k],
                field=field,
                mine=mine,
            )
            return
    tell("right: 1 label, 13 counts, 26 ids")


# %%
def parse(line):
    fields = line.split()  # 직접 해 보기 (your turn): 먼저 이 줄을 보세요
    label, counts, ids = fields[0], fields[1:14], fields[14:]
    return label, counts, ids


check_parse(parse)

# %% [markdown]
# <details><summary>답</summary>
#
# 인자 없이 `split()`을 쓰면 이어진 탭을 하나로 치고, 끝의 빈칸을 버립니다. 그러면 뒤의 칸들이 모두 왼쪽으로 밀려 남의
# 자리로 갑니다. `split("\t")`는 모든 칸을 지킵니다. 줄의 끝은 `rstrip("\n")`으로 지우세요. `strip()`은 끝에 있는
# 탭까지 지웁니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def parse_answer(line):
    label, *fields = line.rstrip("\n").split("\t")
    counts = [int(c) if c else None for c in fields[:13]]
    ids = [int(v, 16) if v else None for v in fields[13:]]
    return int(label), counts, ids


print("the answer:")
check_parse(parse_answer)

# %%
parsed = [parse_answer(line) for line in path.read_text().splitlines()]
print(f"{len(parsed):,} lines, clicked: {np.mean([label for label, _, _ in parsed]):.1%}")
for name, place in (("counts", 1), ("ids", 2)):
    missing = np.mean([[v is None for v in parts[place]] for parts in parsed])
    print(f"{name} that are missing: {missing:.1%}")

# %% [markdown]
# ## 2. 글자에서 숫자로
#
# 정해야 할 것이 세 가지 있고, 저마다 함정이 있습니다.
#
# - **횟수**는 꼬리가 깁니다. 대부분은 작지만 10,000인 것도 있습니다. 신경망에는 1에 가까운 숫자가 좋습니다. 그래서
#   횟수 $c$를 $\log(1 + \max(c, 0))$으로 바꿉니다. 0과 비교하는 것은 Criteo의 횟수가 가끔 음수이기 때문입니다. 값이
#   없는 횟수는 0으로 합니다.
# - **범주**는 아이디, 곧 테이블(table)의 행 번호로 바꿉니다. 어휘 사전(vocabulary, 알고 있는 범주의 목록)은 **학습**
#   데이터로만 만듭니다. 테스트 데이터에 처음 나온 범주나, 너무 드물어서 배울 수 없는 범주는 아이디 0을 함께 씁니다.
#   (테스트 데이터를 어휘 사전에 넣으면 정보가 새어 나갑니다.)
# - **나누기**는 시간을 따릅니다. 마지막 날을 테스트에 씁니다. 무작위로 나누면 모델이 미래를 보게 됩니다.

# %%
clicks = md.data.read_criteo(path, min_count=2, progress=False)
print(clicks.description)
print("dense", clicks.train.dense.shape, "  ids", np.asarray(clicks.train.sparse).shape)
print("rows of the tables:", clicks.table_sizes)
ours = np.log1p([[max(c or 0, 0) for c in counts] for _, counts, _ in parsed])
theirs = clicks.train.dense
print(f"dense, largest difference from ours: {np.abs(ours[: len(theirs)] - theirs).max():.1e}")

# %%
counts = np.arange(0, 2001)
fig, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
axes[0].plot(counts, np.log1p(counts), color="#0072b2")
axes[0].set(xlabel="count c", ylabel="log(1 + c)", title="What the network gets")
axes[0].grid(alpha=0.3)
ids = np.asarray(clicks.train.sparse)
for t, style in ((0, "-"), (2, "--"), (8, ":")):
    often = np.sort(np.bincount(ids[:, t]))[::-1]
    often = often[often > 0]
    axes[1].loglog(1 + np.arange(len(often)), often, style, label=f"table {t}")
axes[1].set(
    xlabel="rank of the id",
    ylabel="times in the training rows",
    title="A few ids make up most of it",
)
_ = axes[1].legend()

# %% [markdown]
# 오른쪽 그림은 **지프의 법칙**(Zipf's law)을 보여 줍니다. 둘째로 흔한 아이디는 첫째의 절반쯤, 열째는 10분의 1쯤
# 나옵니다. 그래서 테이블의 행은 대부분 몇 번밖에 나오지 않고, 그 몇 번으로 배워야 합니다.
#
# ### 직접 해 보기
#
# 드문 아이디는 행 하나를 함께 씁니다. 열 하나를 바꾸는 인코더(encoder)를 써 보세요. *학습* 데이터에 `min_count`번
# 이상 나온 아이디는 오름차순으로 1, 2, ...가 되고, 나머지는 모두 0이 됩니다. 빈칸의 코드는 학습 데이터와 테스트
# 데이터를 합쳐서 어휘 사전을 만듭니다. 미래를 본 셈입니다.


# %%
def check_encode(function):
    train, test = np.array([7, 7, 9, 4, 4, 4]), np.array([9, 7, 9, 5])
    wanted = np.array([2, 2, 0, 1, 1, 1]), np.array([0, 2, 0, 0])
    wrong = md.checking.difference(function(train, test), wanted, "train, test")
    if wrong:
        tell(
            "not yet: with {train} in training and {test} in the test, {wrong}.",
            train=train,
            test=test,
            wrong=wrong,
        )
        tell("In training, 4 occurs three times, 7 twice, 9 once, and 5 never.")
    else:
        tell("right")


# %%
def encode(train, test, min_count=2):
    values, count = np.unique(
        np.concatenate([train, test]), return_counts=True
    )  # 직접 해 보기 (your turn)
    known = values[count >= min_count]
    place = {value: k + 1 for k, value in enumerate(known.tolist())}
    return [np.array([place.get(v, 0) for v in part.tolist()]) for part in (train, test)]


check_encode(encode)

# %% [markdown]
# <details><summary>답</summary>
#
# `np.unique(train, return_counts=True)`: 학습할 때 알 수 없는 것은 쓰지 말아야 합니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def encode_answer(train, test, min_count=2):
    values, count = np.unique(train, return_counts=True)
    known = values[count >= min_count]
    place = {value: k + 1 for k, value in enumerate(known.tolist())}
    return [np.array([place.get(v, 0) for v in part.tolist()]) for part in (train, test)]


print("the answer:")
check_encode(encode_answer)

# %% [markdown]
# ## 3. 무엇을 잴까
#
# 2,000줄로는 배우기에 모자랍니다. 이제부터는 합성(synthetic) 클릭 데이터를 씁니다. 테이블이 26개이고 아이디는 지프의
# 법칙을 따릅니다. **참값을 정해 놓았으므로** 가능한 가장 좋은 점수를 압니다.

# %%
data = md.data.synthetic_clicks(200_000, seed=0)
print(data.description)
model = md.DLRM(13, data.table_sizes, embedding_dim=16, bottom_mlp=(64, 32), top_mlp=(128, 64))
history = md.fit(
    model,
    data.train,
    data.valid,
    optimizer=md.Adam(0.002),
    epochs=1,
    batch_size=512,
    eval_every=40,
    progress=False,
)
label, logit = np.asarray(data.test.label), md.predict(model, data.test, logits=True)
rate = 1 / (1 + np.exp(-logit))

# %% [markdown]
# **로그 손실**은 $-\log$(실제로 일어난 일의 확률)의 평균입니다. 학습에서 줄이려는 것이 이것입니다. 자연로그를 쓰므로
# 단위는 내트(nat)입니다. 모든 표본(sample)에 평균 클릭률 $\bar p$를 예측하면 그 비율의 *엔트로피*(entropy)인
# $-\bar p \log \bar p - (1 - \bar p) \log (1 - \bar p)$가 나옵니다. 모델은 이보다 나아야 합니다.
#
# ### 직접 해 보기
#
# 정답과 예측한 비율로 로그 손실을 구해 보세요. 빈칸의 코드는 클릭만 셉니다.


# %%
def log_loss(label, rate):
    return float(
        -np.mean(label * np.log(rate))
    )  # 직접 해 보기 (your turn): 클릭되지 않은 것의 손실은요?


def check_log_loss(function):
    said, wanted = function(label, rate.astype(float)), md.metrics.log_loss(label, logit)
    close = abs(said - wanted) < 1e-5
    tell(
        "right" if close else "not yet: {said:.4f}; the library says {wanted:.4f}",
        said=said,
        wanted=wanted,
    )


check_log_loss(log_loss)

# %% [markdown]
# <details><summary>답</summary>
#
# `float(-np.mean(label * np.log(rate) + (1 - label) * np.log(1 - rate)))`
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def log_loss_answer(label, rate):
    return float(-np.mean(label * np.log(rate) + (1 - label) * np.log(1 - rate)))


print("the answer:")
check_log_loss(log_loss_answer)

# %% [markdown]
# **AUC**(곡선 아래 넓이. 그 곡선은 여기서는 필요 없습니다)는 이런 값입니다. 클릭된 것 하나와 클릭되지 않은 것 하나를
# 무작위로 고릅니다. 클릭된 쪽의 점수가 더 높은 경우는 얼마나 될까요? 아무렇게나 점수를 매기면 0.5입니다. AUC는 점수의
# 순서만 보고 크기는 보지 않습니다.
#
# ### 직접 해 보기
#
# 이 정의대로, 클릭된 것과 클릭되지 않은 것의 모든 쌍을 써서 AUC를 구해 보세요. `positive`에는 클릭된 것의 점수가,
# `negative`에는 나머지의 점수가 있습니다. 점수가 같으면 반으로 칩니다. 빈칸의 코드는 그냥 0.5라고 합니다.


# %%
def auc_of_pairs(positive, negative):
    return 0.5  # 직접 해 보기 (your turn): 모든 positive를 모든 negative와 비교하세요


def check_auc(function):
    positive, negative = logit[label == 1][:300], logit[label == 0][:300]
    some = np.concatenate([positive, negative])
    pairs = (positive, negative), (np.array([1.0, 2.0]), np.array([1.0, 0.0]))
    wanted = md.metrics.auc(np.repeat([1.0, 0.0], 300), some), 3.5 / 4
    names = say("300 clicks and 300 non-clicks"), say("two and two, one pair of them a tie")
    for name, pair, value in zip(names, pairs, wanted, strict=True):
        said = function(*pair)
        verdict = say(
            "right" if abs(said - value) < 1e-9 else "not yet: {said:.6f}; it is {value:.6f}",
            said=said,
            value=value,
        )
        print(f"{name}: {verdict}")


check_auc(auc_of_pairs)

# %% [markdown]
# <details><summary>답</summary>
#
# `np.mean(positive[:, None] > negative)`에, 점수가 같은 쌍마다 반 점을 더합니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def auc_answer(positive, negative):
    higher, tie = positive[:, None] > negative, positive[:, None] == negative
    return float(np.mean(higher + 0.5 * tie))


print("the answer:")
check_auc(auc_answer)

# %% [markdown]
# **보정**을 봅시다. 클릭률이 5%라고 예측한 광고는 실제로 100번 가운데 5번 클릭되어야 합니다. 여기에 돈이 걸려
# 있습니다. 광고의 값은 클릭의 가치에 클릭률을 곱한 것이기 때문입니다. AUC는 이것을 보지 못합니다. 모든 로짓(logit)에
# 3을 더해도 순서는 그대로입니다.

# %%
edges = np.quantile(rate, np.linspace(0, 1, 11))
place = np.clip(np.searchsorted(edges, rate, side="right") - 1, 0, 9)
said = np.array([rate[place == k].mean() for k in range(10)])
happened = np.array([label[place == k].mean() for k in range(10)])
shifted = 1 / (1 + np.exp(-(logit + 1)))

fig, ax = plt.subplots(figsize=(4.6, 4.2), layout="constrained")
ax.plot([0, 1], [0, 1], color="0.6", lw=1, label="perfect")
ax.plot(said, happened, "o-", label="the model")
ax.plot([shifted[place == k].mean() for k in range(10)], happened, "s--", label="logits + 1")
ax.set(xlabel="predicted click rate", ylabel="observed click rate", title="Calibration")
ax.legend()
ax.grid(alpha=0.3)
for name, scores in (("the model", logit), ("logits + 1", logit + 1)):
    print(
        f"{name:11} AUC {md.metrics.auc(label, scores):.4f}, "
        f"log loss {md.metrics.log_loss(label, scores):.4f}"
    )

# %% [markdown]
# ## 4. 한계
#
# 클릭은 무작위입니다. 모든 행의 참 클릭률 $p$를 알아도 *이번에* 클릭할지는 알 수 없습니다. 참 클릭률로 예측할 때
# 기대되는 로그 손실이 **베이즈 한계**(Bayes limit)입니다. 모델의 로그 손실이 이보다 작아지는 것은 운이 좋을
# 때뿐입니다.
#
# ### 직접 해 보기
#
# 참 클릭률 $p$로 한계를 구해 보세요. 행 하나는 확률 $p$로 클릭되고, 그때의 손실은 $-\log p$입니다. 아니면 손실은
# $-\log(1 - p)$입니다. 빈칸의 코드는 모두 클릭된 것으로 칩니다.


# %%
def bayes_limit(p):
    return float(np.mean(-np.log(p)))  # 직접 해 보기 (your turn): 일어날 수 있는 일에 대한 평균


def check_bayes(function):
    said, wanted = function(np.array([0.5, 0.5, 0.2])), 0.628899
    tell(
        "right" if abs(said - wanted) < 1e-5 else "not yet: {said:.4f}; it is {wanted:.4f}",
        said=said,
        wanted=wanted,
    )


check_bayes(bayes_limit)

# %% [markdown]
# <details><summary>답</summary>
#
# `float(np.mean(-p * np.log(p) - (1 - p) * np.log(1 - p)))`: 행마다 구한 엔트로피의 평균입니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def bayes_limit_answer(p):
    return float(np.mean(-p * np.log(p) - (1 - p) * np.log(1 - p)))


print("the answer:")
check_bayes(bayes_limit_answer)

# %%
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
_ = history.plot(ax=ax, bayes_log_loss=data.bayes_log_loss)
test = md.evaluate(model, data.test)
entropy = md.metrics.entropy(label)
print(f"mean rate for all {entropy:.4f}, the model {test['log_loss']:.4f}, ", end="")
print(f"the limit {data.bayes_log_loss:.4f}")
share = (entropy - test["log_loss"]) / (entropy - data.bayes_log_loss)
print(f"the model has learned {share:.0%} of what can be learned")

# %% [markdown]
# 실제 데이터에서는 한계를 알 수 없습니다. 그래서 모델끼리 비교하고, 소수점 아래 셋째 자리의 차이도 중요하게 여깁니다.
# 더 얻을 것이 얼마 남지 않았기 때문입니다.
#
# ## 5. 나왔다 안 나왔다 하는 행의 옵티마이저
#
# 배치(batch) 하나는 테이블의 행을 조금밖에 건드리지 않습니다. 나머지 행은 어떻게 해야 할까요?
#
# - **SGD**: 아무것도 하지 않습니다. 기울기(gradient)가 없는 행은 움직이지 않습니다. 다만 드문 아이디는 스텝(step)이
#   몇 번 되지 않는데, 그 크기도 다른 것과 같습니다.
# - **Adagrad**: 스텝을 지금까지의 기울기 제곱 합의 제곱근으로 나눕니다. 드문 행의 스텝은 여전히 크고, 잦은 행의
#   스텝은 작아집니다. 바로 이런 데이터를 위해 만들어진 방법입니다.
# - **Row-wise Adagrad**: 이 합을 숫자마다 두지 않고 행마다 하나씩만 둡니다. $D = 16$이면 메모리가 16분의 1입니다. 큰
#   추천 모델은 이것을 씁니다. (아래에서는 $D = 8$이고, MLP에서는 숫자마다 합을 둡니다.)
# - **Adam**: 숫자마다 이동 평균을 두 개 둡니다. *Lazy* Adam은 그 행이 배치에 나올 때만 이것을 고칩니다.


# %%
def run(optimizer):
    network = md.DLRM(13, data.table_sizes, 8, (32,), (64,), seed=0)
    history = md.fit(
        network,
        data.train[:100_000],
        data.valid,
        optimizer=optimizer,
        epochs=1,
        batch_size=512,
        eval_every=28,
        progress=False,
    )
    numbers = sum(a.size for state in optimizer.state.values() for a in state.values())
    return history.column("epoch"), history.column("valid_log_loss"), numbers


# %%
rules = {
    "SGD": md.SGD(0.3),
    "Adagrad": md.Adagrad(0.03),
    "row-wise Adagrad": md.RowwiseAdagrad(0.03),
    "Adam (lazy)": md.Adam(0.003),
}
curves = {}
fig, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
for (name, optimizer), style in zip(rules.items(), ("-", "--", "-.", ":"), strict=True):
    *curves[type(optimizer)], numbers = run(optimizer)
    ax.plot(*curves[type(optimizer)], style, label=f"{name}: {numbers:,} numbers of state")
ax.axhline(data.bayes_log_loss, color="0.3", ls=(0, (1, 4)), label="Bayes limit")
ax.set(xlabel="epoch", ylabel="validation log loss (nats)", title="Four rules, one epoch")
fig.legend(loc="outside lower center", ncols=2, fontsize="small")
ax.grid(alpha=0.3)

# %% [markdown]
# 학습률(learning rate)은 몇 번 시험해 보고 골랐습니다. 다르게 고르면 그림도 달라집니다. 공정하게 비교하려면 방법마다
# 가장 좋은 학습률을 찾고, 여러 시드(seed)로 되풀이해야 합니다.
#
# ### 직접 해 보기
#
# 행 하나에 대한 Adagrad의 한 스텝입니다. $w$는 행이고, $g$는 그 기울기, $\eta$는 학습률, $\epsilon$은 0으로 나누지
# 않게 하는 아주 작은 수입니다. $h$는 지금까지의 기울기 제곱의 합입니다. 먼저 $h \leftarrow h + g^2$이고, 그다음
# $w \leftarrow w - \eta\, g / (\sqrt{h} + \epsilon)$입니다. 빈칸의 코드는 *옛* 합으로 나눕니다.


# %%
def check_adagrad(function):
    class Yours(md.Adagrad):
        def update(self, weight, rows, grad, state, lr):
            h = state.setdefault("square_sum", np.zeros_like(weight))
            weight[rows], h[rows] = function(weight[rows], h[rows], grad, lr, self.eps)

    report = md.checking.optimcheck(Yours(lr=0.1), verbose=False)
    if report.passed:
        tell("right: the steps of md.Adagrad, on a matrix, a bias and a table")
        return
    example = function(np.array([1.0]), np.array([9.0]), np.array([-4.0]))
    wrong = md.checking.difference(example, ([1.08], [25.0]), "w, h")
    wrong = wrong and say(": from w = 1, h = 9 and the gradient g = -4, {wrong}", wrong=wrong)
    tell("not yet{wrong}", wrong=wrong)
    if report.diagnosis[0].key != "random":
        tell(
            "It looks as if {cause}. {hint}",
            cause=say(report.diagnosis[0].title),
            hint=say(report.diagnosis[0].hint),
        )


# %%
def adagrad_step(w, h, g, eta=0.1, eps=1e-10):
    w = w - eta * g / (np.sqrt(h) + eps)  # 직접 해 보기 (your turn): 어느 h일까요?
    return w, h + g * g


check_adagrad(adagrad_step)

# %% [markdown]
# <details><summary>답</summary>
#
# 먼저 `h = h + g * g`로 합을 고치고, 그다음에 행을 고칩니다. 그러면 행의 첫 스텝은 기울기가 얼마든 크기가
# $\eta$입니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def adagrad_step_answer(w, h, g, eta=0.1, eps=1e-10):
    h = h + g * g
    return w - eta * g / (np.sqrt(h) + eps), h


print("the answer:")
check_adagrad(adagrad_step_answer)

# %% [markdown]
# ## 6. 이 장의 박물관
#
# 갱신 규칙에도 흔한 실수가 있습니다. 갱신 규칙에는 검사할 미분이 없습니다. 그래서 `md.checking.optimcheck`는 옳은
# 규칙의 스텝과 비교합니다. 먼저 잘못을 찾아보세요.

# %%
from minidlrm.checking import museum

bugs = museum.exhibits("SquaresNotSummed", "SumForMean", "BiasNotCorrected")
museum.show(bugs)

# %%
museum.explain(bugs)

# %% [markdown]
# 학습이 될까요? 하나씩 옳은 규칙과 나란히, 같은 학습률로 그렸습니다. (옳은 규칙의 곡선은 5절의 것입니다.)

# %%
fig, axes = plt.subplots(1, 3, figsize=(9, 3), sharey=True, layout="constrained")
for ax, bug, lr in zip(axes, bugs, (0.03, 0.03, 0.003), strict=True):
    epochs, losses, _ = run(bug.cls(lr=lr))
    ax.plot(*curves[bug.correct], "-", label="right")
    ax.plot(epochs, losses, "--", label="wrong")
    ax.set(xlabel="epoch", title=bug.cls.__name__)
    ax.legend(fontsize="small")
    ax.grid(alpha=0.3)
_ = axes[0].set(ylabel="validation log loss (nats)")

# %% [markdown]
# 여섯 곡선이 모두 내려갑니다. `SquaresNotSummed`는 스텝이 작아지지 않아서 흔들립니다. `SumForMean`은 스텝이
# $\sqrt{D}$배만큼 작을 뿐입니다. 학습률을 다르게 골랐다면 드러나지 않았을 것입니다. `BiasNotCorrected`는 처음에 크게
# 움직이고, 거의 내내 *앞섭니다*. 하나만 놓고 보면 틀린 것으로 보이는 곡선이 없습니다.

# %% [markdown]
# ## 7. 여러분의 표
#
# 이 모든 것을 여러분의 데이터로도 할 수 있습니다. 아래는 상점에서 쓸 만한 CSV 파일입니다. 가격, 사용자, 상품,
# 세로줄로 나눈 태그, 그리고 클릭했는지가 적혀 있습니다. 가격은 군데군데 빠져 있습니다. 원하면 그 자리에 여러분의
# 파일을 넣어 보세요.

# %%
import csv

shop = tempfile.TemporaryDirectory()
table, saved = Path(shop.name) / "shop.csv", Path(shop.name) / "shop.safetensors"
taste = rng.normal(size=(40, 25))  # 사용자 40명이 상품 25개를 저마다 얼마나 좋아하는지
columns = ["click", "price", "user", "item", "tags"]
rows = []
for _ in range(8000):
    user, item, price = rng.integers(40), rng.integers(25), rng.lognormal(2, 1)
    p = 1 / (1 + np.exp(1 - 1.5 * taste[user, item] + 0.3 * (np.log(price) - 2)))
    tags = "|".join(rng.choice(["new", "red", "wool", "sale"], rng.integers(4), replace=False))
    shown = "" if rng.random() < 0.1 else f"{price:.2f}"
    rows.append([int(rng.random() < p), shown, f"u{user}", f"i{item}", tags])

with open(table, "w", newline="") as file:
    csv.writer(file).writerows([columns, *rows])
for line in rows[:3]:
    print(line)

# %% [markdown]
# `read_table`에는 열마다 무엇인지 알려 줍니다. 그러면 어휘 사전을 만들고 가격의 크기를 맞춥니다. 모두 학습 데이터만
# 보고 합니다. 이때 배운 것이 *스키마*(schema)입니다. 모델은 데이터에서 크기를 받아 오고, 스키마는 모델과 함께
# 저장됩니다.

# %%
roles = {"label": "click", "dense": ["price"], "sparse": ["user", "item"], "bags": {"tags": "|"}}
options = {"cache_dir": shop.name, "progress": False}
clicks = md.data.read_table(table, **roles, **options)
print(clicks.schema)

own = md.DLRM.for_data(clicks, embedding_dim=8, bottom_mlp=(16,), top_mlp=(32,))
md.fit(own, clicks, epochs=3, batch_size=64, optimizer=md.Adagrad(0.05), progress=False)
md.save(own, saved, schema=clicks.schema)
found = md.evaluate(own, clicks.test)
print(f"\ntest rows: log loss {found['log_loss']:.4f}, AUC {found['auc']:.4f}")

# %%
p = md.predict(own, clicks.test)
item = clicks.test.ids_of(1)
fig, ax = plt.subplots(figsize=(4.2, 3.6), layout="constrained")
for k in np.unique(item):
    ax.plot(p[item == k].mean(), clicks.test.label[item == k].mean(), "o", color="C0")
ax.axline((0, 0), slope=1, color="0.5", ls="--")
ax.set(xlabel="mean prediction", ylabel="share of clicks", title="A point for each item")
ax.grid(alpha=0.3)

# %% [markdown]
# 상품마다 구한 예측이 대각선을 따라 놓입니다. 행이 적으므로 이 정도까지만 말할 수 있습니다.
#
# ### 직접 해 보기
#
# 내일이면 새 행이 들어옵니다. 함수는 모델을 불러와 행마다 확률을 냅니다. 빈칸의 코드는 새 행으로 스키마를 만듭니다.
# 그러면 `u7`의 아이디가 학습할 때와 달라지고, 모델은 다른 사용자의 행을 찾게 됩니다.


# %%
def score(path, new):
    model, schema = md.load_with_schema(path)
    schema = md.data.read_table(new, **roles, progress=False).schema  # 직접 해 보기 (your turn)
    return md.predict(model, schema.encode(new))


def check_score(function):
    new = [dict(zip(columns, row, strict=True)) for row in rows[:50]]
    new.append({**new[0], "user": "nobody", "item": "nothing"})
    right = md.predict(own, clicks.schema.encode(new))
    wrong = md.checking.difference(function(saved, new), right, "p")
    if wrong:
        tell("not yet: {wrong}", wrong=wrong)
        return
    tell(
        "right: the probabilities of before saving; for an unknown user, {probability:.2f}",
        probability=right[-1],
    )


check_score(score)

# %% [markdown]
# <details><summary>답</summary>
#
# 테이블의 아이디는 모델을 학습할 때 쓴 어휘 사전이 있어야만 뜻을 가집니다. 그 줄을 지우세요. 이 어휘 사전에 없는 값은
# 아이디 0이 됩니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def score_answer(path, new):
    model, schema = md.load_with_schema(path)
    return md.predict(model, schema.encode(new))


print("the answer:")
check_score(score_answer)

# %% [markdown]
# 명령줄에서는 `minidlrm train`에 `--data table:FILE`을 주면 같은 일을 하고, `minidlrm predict`는 파일의 점수를
# 매깁니다.
#
# ## 기억할 것
#
# 1. 어휘 사전은 학습 데이터로만 만듭니다. 드문 아이디와 새 아이디는 행 하나를 함께 씁니다. 데이터는 시간을 따라
#    나눕니다.
# 2. 줄이려는 것은 로그 손실입니다. AUC는 순서를, 보정은 크기를 잽니다.
# 3. 베이즈 한계는 0보다 큽니다. 클릭이 무작위이기 때문입니다.
# 4. 행은 나왔다 안 나왔다 합니다. 그래서 스텝의 크기도 행마다 달라야 합니다. 그것이 Adagrad입니다.
# 5. 어휘 사전이 없는 모델은 쓸모가 없습니다. 둘을 한 파일에 저장하세요.
#
# 다음: 07장, DLRM 이전의 모델들. 유도하고 비교합니다.
