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
# # 09 · 더 나아가기
#
# [![Colab에서 열기](../colab.svg)](https://colab.research.google.com/github/)
#
# [English](../09_where_next.ipynb) · [튜토리얼 안내](README.md) · [용어집](glossary.md)
#
# DLRM을 직접 만들었고, 그 숫자 하나하나가 어디서 오는지 압니다. 이제 두 갈래 길이 있습니다. 하나는 PyTorch로 갑니다.
# 대부분의 사람이 이런 모델을 PyTorch로 만듭니다. 다른 하나는 기계 한 대에 들어가지 않는 테이블(table)로 갑니다.
#
# 05장과 06장의 내용이 필요합니다. 읽는 시간은 약 60분입니다. PyTorch는 없어도 됩니다.
#
# **이 장을 마치면** 여러분의 DLRM이 PyTorch로 옮겨져 있고, 로짓(logit), 손실(loss), 기울기(gradient), 스텝(step)이
# 모두 같습니다. 양쪽에서 열 수 있는 체크포인트(checkpoint)가 생깁니다. 그리고 규모가 커지면 달라지는 것들을 하나하나
# 계산하거나 재어 보게 됩니다.

# %%
# Colab처럼 minidlrm이 설치되지 않은 곳에서는 먼저 설치합니다.
import importlib.util

if importlib.util.find_spec("minidlrm") is None:
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "minidlrm"], check=True)

import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import minidlrm as md
from minidlrm.languages import say, tell

# %%
try:
    import torch
except ImportError:
    torch = None
    print("PyTorch is not installed: these cells are skipped (pip install torch)")

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. PyTorch로 옮긴 같은 모델
#
# minidlrm은 PyTorch에 있는 층(layer)에는 PyTorch의 이름을 씁니다. 그래서 옮기는 일은 대개 읽는 일입니다.
#
# | minidlrm | PyTorch | 알아 둘 것 |
# | --- | --- | --- |
# | `md.Linear(3, 2, rng=rng)` | `torch.nn.Linear(3, 2)` | `weight`의 모양(shape)은 둘 다 (out, in) |
# | `md.Linear(..., activation="relu")` | 그 뒤에 `torch.nn.ReLU()` | 따로 있는 모듈 |
# | `md.EmbeddingBag(9, 4)` | `torch.nn.EmbeddingBag(9, 4)` | 정하지 않으면 방식은 "mean". DLRM에는 "sum"이 필요 |
# | `md.EmbeddingBagCollection` | 백(bag)의 `torch.nn.ModuleList` | minidlrm에서는 한 배열에 테이블을 차례로 쌓음 |
# | `md.SparseGrad` | 희소 텐서, `sparse=True`일 때 | 이것이 없으면 0까지 모두 쓴 기울기 |
# | `md.BCEWithLogits()` | `torch.nn.BCEWithLogitsLoss()` | 둘 다 배치(batch)에 대한 평균 |
# | `model.backward(loss.backward())` | `loss.backward()` | minidlrm은 유도한 것, PyTorch는 기록한 것 |
# | `model.zero_grad()` | `optimizer.zero_grad()` | 그때까지 기울기가 더해짐 |
# | `md.SGD(0.1)`, `.step(model.parameters())` | `torch.optim.SGD(model.parameters(), 0.1)`, `.step()` | |
#
# PyTorch가 보태 주는 것은 **자동 미분**(autograd)입니다. 순전파(forward pass)의 연산을 하나하나 기록하고, 그 기록을
# 거꾸로 따라갑니다. 연산마다의 역전파(backward pass) 식은 여러분이 한 것처럼 누군가가 손으로 유도했습니다.
#
# 작은 DLRM과 배치를 float64로 만듭니다.

# %%
table_sizes, D = [50, 30, 40], 2
ours = md.DLRM(5, table_sizes, D, bottom_mlp=(11,), top_mlp=(7,), dtype=np.float64)
batch = md.data.Batch(
    rng.normal(size=(9, 5)),
    np.stack([rng.integers(0, n, 9) for n in table_sizes], axis=1),
    rng.integers(0, 2, 9).astype(float),
)
print(ours)
print(batch)

# %% [markdown]
# PyTorch로 쓴 모델 전체입니다. `backward`가 없습니다.

# %%
if torch is not None:

    class TorchDLRM(torch.nn.Module):
        def __init__(self):
            super().__init__()
            nn, F = torch.nn, 1 + len(table_sizes)
            bags = [nn.EmbeddingBag(n, D, mode="sum", sparse=True) for n in table_sizes]
            self.emb_l = nn.ModuleList(bags)
            self.bot_l = nn.Sequential(nn.Linear(5, 11), nn.ReLU(), nn.Linear(11, D), nn.ReLU())
            top_in = D + F * (F - 1) // 2
            self.top_l = nn.Sequential(nn.Linear(top_in, 7), nn.ReLU(), nn.Linear(7, 1))
            self.i, self.j = torch.tril_indices(F, F, -1)

        def forward(self, dense, sparse):
            x = self.bot_l(dense)  # (B, D)
            vectors = [bag(sparse[:, t : t + 1]) for t, bag in enumerate(self.emb_l)]
            z = torch.stack([x, *vectors], dim=1)  # (B, F, D)
            pairs = (z @ z.transpose(1, 2))[:, self.i, self.j]  # (B, P)
            return self.top_l(torch.cat([x, pairs], dim=1))[:, 0]  # (B,)


# %% [markdown]
# ### 가중치 옮기기
#
# 속성의 이름은 DLRM의 참조 구현(reference implementation)을 따라 `emb_l`, `bot_l`, `top_l`입니다. minidlrm에는
# 가중치(weight)를 이 이름으로 바꾸는 함수 `md.interop.reference_state`가 있습니다. (ReLU는 가중치가 없어도 번호를
# 하나 차지합니다. 그래서 0, 2, 4, ...입니다.)

# %%
state = md.interop.reference_state(ours)
for name, array in state.items():
    print(f"{name:16} {array.shape}")


def ported(model, dtype):
    network = TorchDLRM().to(dtype)
    arrays = md.interop.reference_state(model).items()
    network.load_state_dict({name: torch.tensor(array) for name, array in arrays})
    return network


# %% [markdown]
# ### 숫자를 하나하나 비교하기
#
# 가중치와 배치를 같게 하고, 로짓과 손실과 모든 배열의 기울기를 비교합니다. `to_dense`는 희소 기울기를 0까지 모두 써서
# 서로 뺄 수 있게 합니다.


# %%
def our_pass():
    loss = md.BCEWithLogits()
    logits = ours.forward(batch)
    value = loss.forward(logits, batch.label)
    ours.zero_grad()
    ours.backward(loss.backward())
    return logits, value


def our_gradients():
    whole = ours.embeddings.weight.grad.to_dense()  # 차례로 쌓은 모든 테이블
    ends = np.cumsum(table_sizes)[:-1]
    grads = {f"emb_l.{t}.weight": part for t, part in enumerate(np.split(whole, ends))}
    for name, mlp in (("bot_l", ours.bottom), ("top_l", ours.top)):
        for k, layer in enumerate(mlp.layers):
            grads[f"{name}.{2 * k}.weight"] = layer.weight.grad
            grads[f"{name}.{2 * k}.bias"] = layer.bias.grad
    return grads


logits, value = our_pass()
print(f"ours: loss {value:.6f}, {len(our_gradients())} gradients")

# %%
if torch is not None:
    theirs = ported(ours, torch.float64)
    dense, sparse, label = map(torch.from_numpy, (batch.dense, batch.sparse, batch.label))
    torch_logits = theirs(dense, sparse)
    torch_loss = torch.nn.functional.binary_cross_entropy_with_logits(torch_logits, label)
    torch_loss.backward()

    print("largest difference of")
    print(f"  logits           {np.abs(torch_logits.detach().numpy() - logits).max():.0e}")
    print(f"  loss             {abs(torch_loss.item() - value):.0e}")
    grads = our_gradients()
    for name, parameter in theirs.named_parameters():
        grad = parameter.grad.to_dense().numpy()
        print(f"  d {name:16} {np.abs(grad - grads[name]).max():.0e} {grad.shape}")

# %% [markdown]
# 차이는 float64의 반올림 오차 크기, 곧 약 $10^{-16}$입니다. 자동 미분과 여러분의 유도가 일치합니다.
#
# ### 함께 세 스텝

# %%
if torch is not None:
    ours_sgd, torch_sgd = md.SGD(0.5), torch.optim.SGD(theirs.parameters(), 0.5)
    for step in range(3):
        _, value = our_pass()
        ours_sgd.step(ours.parameters())
        torch_sgd.zero_grad()
        torch_loss = torch.nn.functional.binary_cross_entropy_with_logits(
            theirs(dense, sparse), label
        )
        torch_loss.backward()
        torch_sgd.step()
        print(f"step {step}: ours {value:.15f}")
        print(f"    PyTorch {torch_loss.item():.15f}")

# %% [markdown]
# ### 직접 해 보기
#
# 모든 라이브러리가 가중치를 (out, in)으로 저장하지는 않습니다. Keras 같은 라이브러리에는 모양이 (in, out)인
# *커널*(kernel) $K$가 있고, 우리가 $x W^\top + b$를 계산하는 자리에서 $x K + b$를 계산합니다. MLP 하나를 옮겨 보세요.
# 빈칸의 코드는 배열을 그대로 복사합니다. 층이 정사각이어서 모양으로는 잘못이 드러나지 않습니다.

# %%
square = md.MLP([4, 4, 4], rng=np.random.default_rng(1), dtype=np.float64)


def to_kernels(mlp):
    return [
        (layer.weight.value, layer.bias.value) for layer in mlp.layers
    ]  # 직접 해 보기 (your turn)


def check_kernels(function):
    x = np.random.default_rng(2).normal(size=(6, 4))
    h = x
    for kernel, bias in function(square):
        h = np.maximum(h @ np.asarray(kernel) + bias, 0)  # (6, 4), 다른 라이브러리의 방식대로
    wrong = md.checking.difference(h, square.forward(x), "y")
    tell("not yet: {wrong}" if wrong else "right", wrong=wrong)


check_kernels(to_kernels)

# %% [markdown]
# <details><summary>답</summary>
#
# 모든 $x$에 대해 $x K = x W^\top$이므로 $K = W^\top$입니다: `(layer.weight.value.T, layer.bias.value)`.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def to_kernels_answer(mlp):
    return [(layer.weight.value.T, layer.bias.value) for layer in mlp.layers]


print("the answer:")
check_kernels(to_kernels_answer)

# %% [markdown]
# ## 2. 양쪽에서 열 수 있는 체크포인트
#
# `md.save`는 *safetensors* 파일을 씁니다. 손으로 읽을 수 있을 만큼 단순합니다. 머리글의 길이가 8바이트로 적혀 있고,
# 그다음 JSON으로 된 머리글(배열마다 이름, 형, 모양, 자리)이 있고, 그다음 배열들의 바이트가 있습니다. 코드는 들어 있지
# 않습니다.
#
# PyTorch의 `torch.save`와 `torch.load`는 *pickle*을 씁니다. pickle은 불러오는 동안 코드를 실행할 수 있습니다. 믿을 수
# 없는 pickle은 불러오지 마세요.

# %%
folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "dlrm.safetensors"
md.save(ours, path)

raw = path.read_bytes()
length = int.from_bytes(raw[:8], "little")
header = json.loads(raw[8 : 8 + length])
print("made by:", header["__metadata__"]["format"], "/", header["__metadata__"]["model"])
entry = header["bottom.layers.0.weight"]
begin, end = (8 + length + place for place in entry["data_offsets"])
by_hand = np.frombuffer(raw[begin:end], np.float64).reshape(entry["shape"])  # F64는 float64입니다
print("bottom.layers.0.weight:", entry["dtype"], entry["shape"])
print("read by hand, the same:", np.array_equal(by_hand, ours.bottom.layers[0].weight.value))
print("md.load, same logits:  ", np.array_equal(md.load(path).forward(batch), ours.forward(batch)))

# %% [markdown]
# NumPy에서도 PyTorch에서도 라이브러리 `safetensors`가 이 일을 합니다. 파일 속의 이름은 minidlrm의 것이고 모든
# 테이블이 한 배열에 있습니다. `load_reference_state`와 `reference_state`가 양쪽으로 바꾸어 줍니다.

# %%
from safetensors.numpy import load_file

print("NumPy:  ", {name: array.shape for name, array in list(load_file(path).items())[:2]})
if torch is not None:
    from safetensors.torch import load_file as torch_load_file

    tensors = torch_load_file(path)
    print("PyTorch:", {name: tuple(tensor.shape) for name, tensor in list(tensors.items())[:2]})
    back = md.DLRM(5, table_sizes, D, bottom_mlp=(11,), top_mlp=(7,), dtype=np.float64, seed=1)
    trained = {name: tensor.numpy() for name, tensor in theirs.state_dict().items()}
    md.interop.load_reference_state(back, trained)
    difference = np.abs(back.forward(batch) - theirs(dense, sparse).detach().numpy()).max()
    print(f"PyTorch's weights, back in minidlrm: logits differ by {difference:.0e}")

# %% [markdown]
# ### 직접 해 보기
#
# 이런 파일을 써 보세요. 빈칸의 코드에서 한 줄이 틀렸습니다. 찾아보세요. 여기서 배열은 모두 float64이고, 형은
# `"F64"`입니다. 배열의 `data_offsets` 두 개가 무엇인지 떠올리세요. 데이터에서 그 배열의 바이트가 시작하는 자리와
# 끝나는 자리입니다.

# %%
import safetensors
from safetensors.numpy import load


def check_file(function):
    arrays = {"weight": np.arange(6.0).reshape(2, 3), "bias": np.array([0.5, -1.0])}
    raw = function(arrays)
    try:
        found = load(raw)
    except safetensors.SafetensorError as error:
        print(say("not yet. The library says:"), error)
        length = int.from_bytes(raw[:8], "little")
        for name, entry in json.loads(raw[8 : 8 + length]).items():
            tell("  {name}: shape {shape}, offsets {data_offsets}", name=name, **entry)
        tell("  after the header come {left} bytes, for 8 numbers", left=len(raw) - 8 - length)
        return
    for name, array in arrays.items():
        wrong = md.checking.difference(found.get(name), array, name)
        if wrong:
            tell("not yet: read back, {wrong}", wrong=wrong)
            return
    tell("right: the file gives back the same arrays")


# %%
def to_bytes(arrays):
    header, begin = {}, 0  # 직접 해 보기 (your turn): 한 줄이 틀렸습니다
    for name, array in arrays.items():
        end = begin + array.size
        header[name] = {"dtype": "F64", "shape": array.shape, "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header).encode()
    length = len(text).to_bytes(8, "little")
    return length + text + b"".join(array.tobytes() for array in arrays.values())


check_file(to_bytes)

# %% [markdown]
# <details><summary>답</summary>
#
# `end = begin + array.nbytes`: 오프셋은 바이트를 세고, 숫자 하나는 8바이트입니다. 라이브러리는 배열을 만들기 전에
# 오프셋이 모양과, 또 파일의 길이와 맞는지 검사합니다. 그래서 잘린 파일을 열면 틀린 가중치가 나오는 것이 아니라 오류가
# 납니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def to_bytes_answer(arrays):
    header, begin = {}, 0
    for name, array in arrays.items():
        end = begin + array.nbytes
        header[name] = {"dtype": "F64", "shape": array.shape, "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header).encode()
    length = len(text).to_bytes(8, "little")
    return length + text + b"".join(array.tobytes() for array in arrays.values())


print("the answer:")
check_file(to_bytes_answer)

# %% [markdown]
# ## 3. 메모리: 언제 기계 한 대로 모자랄까?
#
# 모든 테이블의 행을 합한 수가 $S$일 때, float32에서 테이블이 차지하는 바이트는 다음과 같습니다.
#
# $$ \text{bytes} = S \times D \times 4 $$
#
# 옵티마이저(optimizer)의 상태가 여기에 더해집니다. Adagrad는 이만큼을 더 쓰고, Adam은 이것의 두 배를 더 쓰고,
# Row-wise Adagrad는 행마다 숫자 하나를 더 씁니다. 학습에는 이만큼이 필요합니다. MLP도 있지만 작습니다.

# %%
STATE = {"SGD": lambda D: 0, "row-wise Adagrad": lambda D: 1, "Adagrad": lambda D: D}
STATE["Adam"] = lambda D: 2 * D


def gigabytes(rows, D, rule):
    return rows * (D + STATE[rule](D)) * 4 / 1e9


examples = {"1 million, D = 16": (10**6, 16), "Criteo Kaggle, D = 16": (33_762_577, 16)}
examples |= {"1 billion, D = 64": (10**9, 64), "10 billion, D = 128": (10**10, 128)}
fig, ax = plt.subplots(figsize=(7.4, 3.8), layout="constrained")
for k, (rule, shade) in enumerate(zip(STATE, ("0.9", "0.65", "0.4", "0.15"), strict=True)):
    sizes = [gigabytes(rows, dim, rule) for rows, dim in examples.values()]
    place = np.arange(len(examples)) + 0.2 * (k - 1.5)
    ax.barh(place, sizes, 0.2, color=shade, edgecolor="0.2", label=rule)
for name, memory, style in (("16 GB", 16, ":"), ("80 GB", 80, "--"), ("1,000 GB", 1000, "-.")):
    ax.axvline(memory, color="#d55e00", ls=style, label=name)
ax.set(xscale="log", xlabel="memory of tables and optimizer state (GB)", xlim=(0.03, 1e5))
ax.set_yticks(range(len(examples)), list(examples))
_ = ax.legend(ncols=2, fontsize="small", loc="lower right")
for name, (rows, dim) in examples.items():
    print(f"{name:22} {gigabytes(rows, dim, 'SGD'):>9,.2f} GB, with Adam ", end="")
    print(f"{gigabytes(rows, dim, 'Adam'):>9,.2f} GB")

# %% [markdown]
# ### 직접 해 보기
#
# 옵티마이저의 상태까지 넣으면 `memory` GB에 행이 몇 개 들어갈까요? 빈칸의 코드는 상태를 빠뜨렸습니다.


# %%
def rows_that_fit(memory, D, rule):
    return int(memory * 1e9 / (4 * D))  # 직접 해 보기 (your turn)


def check_rows(function):
    said = function(80, 64, "Adam")
    wanted = 104_166_666
    tell(
        "right"
        if said == wanted
        else "not yet: {said:,}; with D = 64 and Adam, 80 GB hold {wanted:,}",
        said=said,
        wanted=wanted,
    )


check_rows(rows_that_fit)

# %% [markdown]
# <details><summary>답</summary>
#
# 행 하나는 `4 * (D + state)` 바이트를 차지합니다. `state`는 함수 `STATE[rule]`이 `D`에 대해 돌려주는 값입니다.
# Adam이면 행이 3분의 1만 들어갑니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def rows_that_fit_answer(memory, D, rule):
    return int(memory * 1e9 / (4 * (D + STATE[rule](D))))


print("the answer:")
check_rows(rows_that_fit_answer)

# %% [markdown]
# 세 선은 노트북 컴퓨터, 큰 가속기, 큰 서버입니다. 행이 10억 개인 모델을 Adam으로 학습하려면 서버가 필요합니다. 100억
# 개면 어느 것에도 들어가지 않습니다. Mudigere 등(2022)은 매개변수(parameter)가 12조 개인 모델을 학습했다고 합니다.
# 하나에 4바이트면 48 TB입니다.
#
# 답은 세 가지입니다. 테이블을 여러 기계에 나눌 수도 있고(4절), 행을 줄일 수도 있고(5절), 바이트를 줄일 수도
# 있습니다(6절).
#
# ## 4. 샤딩: 어느 기계에 어느 숫자를 둘까?
#
# 테이블을 잘라 $R$대의 기계(*랭크*, rank라고도 합니다)에 한 조각씩 두는 것을 *샤딩*(sharding)이라고 합니다. 방법은 세
# 가지입니다.
#
# | 방법 | 기계 한 대에 있는 것 | 스텝마다 오가는 것 |
# | --- | --- | --- |
# | 테이블 단위 | 테이블 전체 몇 개 | 아이디(id)가 테이블의 기계로 가고, 벡터가 돌아옴 |
# | 행 단위 | 모든 테이블의 행 일부 | 아이디가 행의 기계로 가고, 벡터(또는 백의 합의 일부)가 돌아옴 |
# | 열 단위 | 모든 행의 열 $D$개 가운데 일부 | 모든 아이디가 모든 기계로 가고, 벡터의 조각이 돌아옴 |
#
# 모든 기계는 가장 느린 기계를 기다립니다. 그래서 두 가지가 고르게 나뉘어야 합니다. 메모리와 행 찾기(lookup)입니다.
# 아이디가 지프의 법칙(Zipf's law)을 따르므로(06장) 쉽지 않습니다. Criteo Kaggle의 테이블 크기와 기계 네 대로
# 살펴봅시다.

# %%
KAGGLE = [1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194]
KAGGLE += [27, 14992, 5461306, 10, 5652, 2173, 4, 7046547, 18, 15, 286181, 105, 142572]
R, B = 4, 20_000
sizes = np.array(KAGGLE)


def zipf_ids(size, count, s=1.1):
    """Draw ids; id k has a probability of about (k + 1) ** -s."""
    u = rng.random(count)
    return (1 + u * ((size + 1) ** (1 - s) - 1)) ** (1 / (1 - s)) - 1


ids = np.stack([zipf_ids(n, B) for n in sizes], axis=1).astype(np.int64)  # (B, T)
ids = np.minimum(ids, sizes - 1)
shares = np.bincount(ids[:, 2])[:3] / B
print("the three most frequent ids of the largest table have", shares.round(3), "of its lookups")

# %% [markdown]
# 네 가지 계획을 비교합니다. *테이블 단위*(by table)는 가장 큰 테이블부터, 그때까지 행이 가장 적은 기계에 둡니다. *행
# 단위, 블록*(by row, in blocks)은 테이블마다 첫 4분의 1을 0번 기계에, 그다음을 1번 기계에 두는 식입니다. *행 단위,
# 해시*(by row, hashed)는 아이디의 해시(hash)로 기계를 정합니다. *열 단위*(by column)는 행을 4등분하여 모든 기계에 한
# 조각씩 둡니다.

# %%
rows_of = {"by table": np.zeros(R), "by row, blocks": np.full(R, sizes.sum() / R)}
rows_of |= {"by row, hashed": np.zeros(R), "by column": np.full(R, sizes.sum() / R)}
reads_of = {plan: np.zeros(R) for plan in rows_of}
reads_of["by column"] += B * len(sizes) / R  # 벡터 단위로: 4분의 1 네 개가 하나
for t in np.argsort(-sizes):
    least = rows_of["by table"].argmin()
    rows_of["by table"][least] += sizes[t]
    reads_of["by table"][least] += B
    reads_of["by row, blocks"] += np.bincount(ids[:, t] * R // sizes[t], minlength=R)
    machine = md.data.encode.hash_ids(ids[:, t], t, R)
    reads_of["by row, hashed"] += np.bincount(machine, minlength=R)
    all_ids = md.data.encode.hash_ids(np.arange(sizes[t]), t, R)
    rows_of["by row, hashed"] += np.bincount(all_ids, minlength=R)
for plan in rows_of:
    worst = [a[plan].max() / a[plan].mean() for a in (rows_of, reads_of)]
    print(f"{plan:15} busiest machine / mean: memory {worst[0]:.2f}, lookups {worst[1]:.2f}")

# %%
fig, axes = plt.subplots(1, 2, figsize=(8.4, 3.4), layout="constrained", sharey=True)
for ax, parts, unit in ((axes[0], rows_of, "memory"), (axes[1], reads_of, "lookups")):
    for r, shade in enumerate(("0.9", "0.65", "0.4", "0.15")):
        share = [100 * parts[plan][r] / parts[plan].sum() for plan in parts]
        place = np.arange(len(parts)) + 0.2 * (r - 1.5)
        ax.bar(place, share, 0.2, color=shade, edgecolor="0.2", label=f"machine {r}")
    ax.axhline(100 / R, color="#d55e00", ls="--", lw=1)
    ax.set(title=f"Share of {unit}", ylabel=f"share of all {unit} (%)")
    ax.set_xticks(range(len(parts)), [plan.replace(", ", ",\n") for plan in parts])
_ = axes[1].legend(fontsize="small")

# %% [markdown]
# - 테이블을 통째로 두면 메모리가 고를 수 없습니다. 가장 큰 테이블에 모든 행의 30%가 있습니다. 행 찾기는 훨씬 더
#   나쁩니다. 테이블의 크기와 상관없이 표본(sample)마다 한 번씩 찾으므로, 작은 테이블이 많은 기계가 행 찾기를 거의 다
#   맡게 됩니다.
# - 행을 블록으로 나누면 메모리는 고르지만 행 찾기는 마찬가지로 나쁩니다. 많은 어휘 사전(vocabulary)에서처럼 여기서도
#   잦은 아이디의 번호가 작고, 그것들이 모두 0번 기계에 있기 때문입니다.
# - 해시로 나누면 메모리는 고르고 행 찾기도 훨씬 낫지만 완전하지는 않습니다. 테이블에서 가장 잦은 아이디는 한 기계에
#   있는 *한* 행이고, 아주 작은 테이블에서는 이 행이 행 찾기의 큰 몫을 차지합니다.
# - 열로 나누면 완전히 고릅니다. 그 대가는 위 표의 마지막 열에 있습니다. 모든 아이디를 모든 기계에 보내야 합니다.
#
# 실제 시스템은 테이블마다 방법을 섞어 씁니다. Mudigere 등(2022)은 세 가지를 모두 씁니다. 10장에서는 나눈 테이블로
# 학습합니다.
#
# ### 직접 해 보기
#
# 테이블을 행 단위로 나누고 순전파와 역전파를 해 보세요. 행 $i$는 $i \bmod R$번 기계의 `i // R`번 자리에 있습니다.
# 행이 $N$개인 테이블이면 모든 조각을 합친 배열의 모양은 $(R, N / R, D)$입니다. 기계는 저마다 자기에게 있는 아이디만
# 찾습니다. 역전파에서는 모든 기계가 $dy$ 전체와 모든 아이디를 받습니다. 기계마다 자기 조각에 무엇을 더해야 할까요?
# (`known`은 틀린 답 세 가지를 검사기(checker)에 알려 줍니다. 그러면 검사기가 알아볼 수 있습니다.)


# %%
def sharded(shards, ids):
    y = np.zeros((len(ids), shards.shape[2]), shards.dtype)  # (B, D)
    for r in range(R):
        mine = ids % R == r  # (B,)
        y[mine] = shards[r, ids[mine] // R]
    return y, (shards, ids)


def buffered(array, rows, terms):
    array[rows] += terms


def formula(all_ids, add):
    def wrong(target, dy, shards, ids):
        dshards = np.zeros_like(shards)
        for r in range(R):
            mine = (ids % R == r) | all_ids
            add(dshards[r], ids[mine] // R, dy[mine])
        return {"shards": dshards}

    return wrong


# %%
def sharded_backward(dy, cache):
    shards, ids = cache
    dshards = np.zeros_like(shards)  # (R, N / R, D)
    for r in range(R):
        dshards[r, ids // R] += dy  # 직접 해 보기 (your turn): 누구의 아이디이고, 몇 번 나올까요?
    return dshards


title, hint = "machines add up gradients of ids that they do not have", "Keep ids with id % R == r."
known = [
    md.checking.Fingerprint("foreign", formula(True, add), "each takes all ids", title, hint)
    for add in (buffered, np.add.at)
]
known += [md.checking.Fingerprint("duplicates", formula(False, buffered), "dshards[r, ...] += dy")]
shards = np.random.default_rng(7).normal(size=(R, 3, 2))  # N = 12
some_ids = np.random.default_rng(8).integers(0, 12, 15)
report = md.gradcheck((sharded, sharded_backward), shards, some_ids, fingerprints=known)

# %% [markdown]
# <details><summary>답</summary>
#
# 두 가지입니다. 기계마다 자기 아이디만 써야 하고, 겹치는 아이디는 더해야 합니다. `mine = ids % R == r`, 그다음
# `np.add.at(dshards[r], ids[mine] // R, dy[mine])`입니다.
#
# 다른 기계의 기울기는 필요하지 않습니다. 행 단위로 나눈 테이블에서 뒤로 보내는 것은 $dy$뿐입니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def sharded_answer(dy, cache):
    shards, ids = cache
    dshards = np.zeros_like(shards)
    for r in range(R):
        mine = ids % R == r
        np.add.at(dshards[r], ids[mine] // R, dy[mine])
    return dshards


report = md.gradcheck((sharded, sharded_answer), shards, some_ids, verbose=False)
print("the answer: passed =", report.passed)

# %% [markdown]
# ## 5. 해싱: 아이디보다 적은 행
#
# 행의 수 $M$을 정하고, 아이디 $i$를 행 $h(i) \bmod M$에 보냅니다. $h$는 해시입니다(Weinberger 등, 2009). 이것을
# 해싱(hashing)이라고 합니다. 어휘 사전이 필요 없고, 아이디는 어떤 수여도 됩니다. 같은 행으로 간 아이디들은 벡터를
# 함께 씁니다. 이것이 *충돌*(collision)입니다. 얼마나 많이 충돌할까요? 아이디 $N$개가 행 $M$개에 무작위로 떨어진다고
# 합시다. 다른 아이디 하나가 내 행을 피할 확률은 $1 - 1/M$이고, 다른 $N - 1$개가 모두 피할 확률은 다음과 같습니다.
#
# $$ \Pr(\text{alone}) = \left(1 - \tfrac{1}{M}\right)^{N - 1} \approx e^{-N/M}. $$
#
# 행이 아이디만큼 있어도, 곧 $M = N$이어도, 혼자인 아이디는 37%뿐입니다. 그 대가는 얼마일까요? 한계를 아는 클릭
# 데이터로 학습합니다. 방법은 두 가지, `id % M`과 해시입니다. 여기서는 아이디의 번호가 빈도순이므로 나머지를 쓰면 가장
# 잦은 $M$개의 아이디가 서로 떨어지고, 해시를 쓰면 그렇지 않습니다.

# %%
clicks = md.data.synthetic_clicks(100_000, seed=0, max_table_size=2000)
sizes_of_clicks = np.array(clicks.table_sizes)


def folded(rows, M, how):
    """Squeeze the ids of all tables with more than M of them into M rows."""
    ids = np.asarray(rows.sparse).copy()
    for t in np.flatnonzero(sizes_of_clicks > M):
        ids[:, t] = ids[:, t] % M if how == "id % M" else md.data.encode.hash_ids(ids[:, t], t, M)
    return md.data.Batch(rows.dense, ids, rows.label)


def losses_with(M, how):
    train, test = folded(clicks.train, M, how), folded(clicks.test, M, how)
    options = {"epochs": 1, "batch_size": 512, "progress": False}
    losses = []
    for seed in range(3):  # 세 번 실행합니다: 학습도 무작위입니다
        network = md.DLRM(13, np.minimum(sizes_of_clicks, M), 8, (32,), (64,), seed=seed)
        md.fit(network, train, optimizer=md.Adam(0.006), seed=seed, **options)
        losses.append(md.evaluate(network, test)["log_loss"])
    return losses, network


# %%
Ms = [2, 8, 32, 128, 512, 2000]
losses = {how: [losses_with(M, how)[0] for M in Ms[:-1]] for how in ("id % M", "hash % M")}
full, network = losses_with(Ms[-1], "no id is folded")
print(f"all rows {np.mean(full):.4f}, the limit {clicks.bayes_log_loss:.4f}")

# %%
N = 2000
grid = np.geomspace(2, 20_000, 60)
fig, axes = plt.subplots(1, 2, figsize=(8.6, 3.4), layout="constrained")
axes[0].semilogx(grid, 100 * (1 - (1 - 1 / grid) ** (N - 1)), "-", color="0.4", label="formula")
for k, M in enumerate((8, 128, 512, 2000, 6000, 20_000)):
    row = md.data.encode.hash_ids(np.arange(N), 0, M)
    shared = np.bincount(row, minlength=M)[row] > 1
    axes[0].plot(M, 100 * shared.mean(), "o", color="0.1", label="counted" if k == 0 else None)
axes[0].set(xlabel="rows of the table, M", ylabel=f"ids that share a row (% of {N:,})")
for (how, values), style in zip(losses.items(), ("o-", "s--"), strict=True):
    runs = np.array([*values, full])  # (len(Ms), 3)
    axes[1].semilogx(Ms, runs.mean(axis=1), style, label=f"{how}, mean of three runs")
    axes[1].vlines(Ms, runs.min(axis=1), runs.max(axis=1), color="0.5")
axes[1].axhline(clicks.bayes_log_loss, color="0.3", ls=":", label="Bayes limit")
axes[1].set(xlabel="rows of each table, at most M", ylabel="test log loss (nats)")
for ax, title in zip(axes, ("How many collide", "What it costs"), strict=True):
    ax.set_title(title)
    ax.legend(fontsize="small")
    ax.grid(alpha=0.3)

# %% [markdown]
# 한계를 테스트 데이터에서 구했으므로 손실도 거기서 잽니다. 회색 막대는 세 번의 실행 가운데 가장 좋은 것에서 가장 나쁜
# 것까지입니다. $M = 128$이면 가장 큰 테이블의 아이디가 거의 모두 충돌하지만 손실은 거의 그대로입니다. 대부분의
# 아이디는 드물어서, 배운 것도 적고 영향도 적기 때문입니다. $M = 8$부터는 손실이 커집니다. 이제는 잦은 아이디끼리 행을
# 함께 쓰고, 심어 놓은 곱이 들어 있는 아이디 30개 이하의 테이블까지 접히기 때문입니다. 나머지가 나을까요, 해시가
# 나을까요? 세 번의 실행으로는 알 수 없습니다.
#
# ### 직접 해 보기
#
# 모든 특성(feature)이 해시 테이블 **하나**를 함께 쓰는 경우도 많습니다. 테이블마다 아이디마다 행을 정해 주세요.
# 빈칸의 코드는 모든 테이블의 0번 아이디를 같은 행에 보냅니다. 그런데 어느 테이블에서나 0번이 가장 잦은 아이디입니다.


# %%
def check_one_table(function):
    M, T = 5000, 20
    ids = np.tile(np.arange(100)[:, None], (1, T))  # 테이블 20개에 아이디 100개씩
    rows = function(ids, M)
    if np.shape(rows) != ids.shape:
        tell(
            "not yet: the rows have the shape {shape}, and should have {wanted}",
            shape=np.shape(rows),
            wanted=ids.shape,
        )
        return
    used = len(np.unique(rows))
    expected = M * (1 - (1 - 1 / M) ** (100 * T))  # 아이디 2,000개를 행 M개에 무작위로 던집니다
    verdict = say("right" if abs(used - expected) < 60 else "not yet")
    tell(
        "{verdict}: 2,000 ids use {used} rows; a good hash uses about {expected:.0f}",
        verdict=verdict,
        used=used,
        expected=expected,
    )


# %%
def one_table(ids, M):
    return md.data.encode.hash_ids(
        ids, 0, M
    )  # 직접 해 보기 (your turn): 테이블의 번호가 들어 있지 않습니다


check_one_table(one_table)

# %% [markdown]
# <details><summary>답</summary>
#
# 테이블의 번호도 해시에 넣습니다. 테이블 $t$마다 `hash_ids(ids[:, t], t, M)`입니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def one_table_answer(ids, M):
    columns = [md.data.encode.hash_ids(ids[:, t], t, M) for t in range(ids.shape[1])]
    return np.stack(columns, axis=1)


print("the answer:")
check_one_table(one_table_answer)

# %% [markdown]
# ## 6. 양자화한 테이블: 바이트를 적게
#
# 요청에 답하기만 하는 모델에는 기울기가 필요 없으므로 행을 작은 정수로 저장할 수 있습니다. 이것을
# 양자화(quantization)라고 합니다. 행을 $w$, 비트 수를 $k$라고 하고, 가장 큰 정수를 $m = 2^{k-1} - 1$이라고 합시다.
# 8비트면 127입니다. *눈금*(scale) $s$와 정수 $q$를 저장합니다.
#
# $$ s = \frac{\max_d |w_d|}{m}, \qquad q_d = \mathrm{round}(w_d / s), \qquad w_d \approx s\, q_d . $$
#
# 반올림은 $w_d$를 많아야 $s / 2$만큼 움직입니다. $k = 8$이면 $4 D$바이트이던 행이 $D + 4$바이트가 됩니다.
#
# ### 직접 해 보기
#
# 눈금은 행마다 따로 둡니다. 빈칸의 코드는 테이블 전체에 하나만 씁니다. 그러면 큰 숫자가 있는 행 하나 때문에 다른 모든
# 행이 거칠어집니다.


# %%
def check_quantize(function):
    table = np.random.default_rng(3).normal(size=(200, 16)) * 0.1
    table[7] *= 100  # 잦은 행 하나가 커졌습니다
    q, s = function(table)
    if np.shape(s) != (200, 1):
        tell(
            "not yet: s has the shape {shape}, and should have (200, 1): one for each row",
            shape=np.shape(s),
        )
        return
    error = np.abs(q * s - table).max(axis=1) / np.abs(table).max(axis=1)
    verdict = say("right" if error.max() < 0.5 / 127 + 1e-9 else "not yet")
    tell(
        "{verdict}: error of a row, in % of its largest number: {error:.1f}",
        verdict=verdict,
        error=100 * error.max(),
    )


# %%
def quantize(table, bits=8):
    m = 2 ** (bits - 1) - 1
    s = np.abs(table).max() / m  # 직접 해 보기 (your turn): 행마다 눈금 하나, 모양은 (N, 1)
    q = np.round(table / s).astype(np.int8)
    return q, np.broadcast_to(s, (len(table), 1))


check_quantize(quantize)

# %% [markdown]
# <details><summary>답</summary>
#
# `s = np.abs(table).max(axis=1, keepdims=True) / m`
#
# (모두 0인 행에서는 0으로 나누게 됩니다. 답에서는 이런 행의 눈금을 1로 합니다.)
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def quantize_answer(table, bits=8):
    m = 2 ** (bits - 1) - 1
    s = np.abs(table).max(axis=1, keepdims=True) / m  # (N, 1)
    s = np.where(s == 0, 1, s).astype(table.dtype)
    return np.round(table / s).astype(np.int8), s


print("the answer:")
check_quantize(quantize_answer)

# %% [markdown]
# 학습한 모델은 어떻게 될까요? 5절에서 학습한 모델의 테이블을 8비트부터 2비트까지, 행마다 눈금을 둘 때와 하나만 둘
# 때로 나누어 양자화하고 로짓을 봅니다.

# %%
table = network.embeddings.weight.value
saved = table.copy()
exact = md.predict(network, clicks.test, logits=True)
errors, losses_q = {"a scale for each row": [], "one scale for all": []}, {}
for bits in (8, 6, 4, 3, 2):
    m = 2 ** (bits - 1) - 1
    q, s = quantize_answer(saved, bits)
    one = np.abs(saved).max() / m
    for name, coarse in zip(errors, (q * s, np.round(saved / one) * one), strict=True):
        table[...] = coarse
        logits_q = md.predict(network, clicks.test, logits=True)
        errors[name].append(np.sqrt(np.mean((logits_q - exact) ** 2)))
        losses_q[name, bits] = md.metrics.log_loss(clicks.test.label, logits_q)
table[...] = saved
print(f"float32: log loss {md.metrics.log_loss(clicks.test.label, exact):.5f}")
for name in errors:
    print(f"{name:20} 8 bits {losses_q[name, 8]:.5f}, 4 bits {losses_q[name, 4]:.5f}", end="")
    print(f", 2 bits {losses_q[name, 2]:.5f}")

# %%
fig, ax = plt.subplots(figsize=(6.2, 3.5), layout="constrained")
for (name, values), style in zip(errors.items(), ("o-", "s--"), strict=True):
    ax.semilogy((8, 6, 4, 3, 2), values, style, label=name)
ax.axhline(exact.std(), color="0.4", ls=":", label="spread of the logits themselves")
ax.set(xlabel="bits of a number", ylabel="error of the logits (root mean square)")
ax.set(title="Quantized tables", xticks=(2, 3, 4, 6, 8))
ax.legend(fontsize="small")
ax.grid(alpha=0.3)

# %% [markdown]
# 8비트면 로짓은 100분의 1도 움직이지 않고, 로그 손실(log loss)은 거의 그대로입니다. float32보다 조금 *낮게* 나왔다면
# 우연입니다. 비트가 적을 때는 행마다 눈금을 두는 것이 차이를 만듭니다. (8비트보다 적을 때 메모리를 아끼려면 정수 여러
# 개를 한 바이트에 담아야 합니다.)
#
# ## 7. 작업자는 여럿, 기울기는 하나
#
# MLP는 작아서 기계마다 복사해 둘 수 있습니다. 이제 $R$대의 기계를 작업자(worker)라고 부르고, 저마다 배치의 일부를
# 맡깁니다. 작업자 $r$은 *자신의* 표본 $B / R$개에 대한 평균 손실의 기울기 $g_r$를 구합니다. 배치 전체의 기울기를 $g$,
# 표본 $n$의 손실을 $\ell_n$이라고 합시다.
#
# $$ g = \frac{1}{B} \sum_{n} \frac{\partial \ell_n}{\partial \theta}
#      = \frac{1}{R} \sum_{r} \Big( \frac{R}{B} \sum_{n \in r} \frac{\partial \ell_n}{\partial \theta} \Big)
#      = \frac{1}{R} \sum_{r} g_r , $$
#
# $\theta$는 모든 매개변수를, $n \in r$은 작업자 $r$의 표본을 뜻합니다. 부분들의 크기가 같으면 **작업자들의 기울기를
# 평균한 것이 큰 배치의 기울기입니다**. 이 평균을 모두에게 돌려주는 연산을 *올리듀스*(all-reduce)라고 합니다. 확인해
# 봅시다.

# %%
R = 4
fresh = md.DLRM(13, clicks.table_sizes, 8, (32,), (64,), dtype=np.float64)
big = clicks.train[:512]


def gradients(rows):
    loss = md.BCEWithLogits()
    loss.forward(fresh.forward(rows), rows.label.astype(float))
    fresh.zero_grad()
    fresh.backward(loss.backward())
    return {name: parameter.grad for name, parameter in fresh.named_parameters()}


whole = gradients(big)
workers = [gradients(big[r * 128 : (r + 1) * 128]) for r in range(R)]
for name in ("bottom.layers.0.weight", "top.layers.1.bias"):
    mean = sum(grads[name] for grads in workers) / R
    print(f"{name:24} mean of workers - big batch: {np.abs(mean - whole[name]).max():.0e}")

# %% [markdown]
# 테이블의 기울기는 희소합니다. 작업자가 찾은 행만 들어 있습니다. 작업자끼리 겹치는 행도 있는데, 대개 잦은 아이디의
# 행입니다. 그래서 행의 **합집합**에 대해 더합니다.

# %%
name = "embeddings.weight"
found = [set(grads[name].rows.tolist()) for grads in workers]
union, common = set.union(*found), set.intersection(*found)
print("rows of each worker:", [len(rows) for rows in found])
print(f"in all: {len(union)} distinct rows; with every worker: {len(common)}")
print("big batch:", whole[name])

# %% [markdown]
# ### 직접 해 보기
#
# 희소 기울기의 올리듀스를 써 보세요. 빈칸의 코드는 *더해야* 할 자리에 *덮어씁니다*. 여러 작업자에게 있는 행은 마지막
# 작업자의 기울기만 남습니다.


# %%
def all_reduce(grads):
    rows = np.unique(np.concatenate([g.rows for g in grads]))  # 정렬한 합집합
    values = np.zeros((len(rows), grads[0].shape[1]))
    for g in grads:
        values[np.searchsorted(rows, g.rows)] = g.values / len(grads)  # 직접 해 보기 (your turn)
    return md.SparseGrad(rows, values, grads[0].shape)


def check_reduce(function):
    result = function([grads["embeddings.weight"] for grads in workers])
    if not isinstance(result, md.SparseGrad):
        tell("not yet: a SparseGrad is wanted, and you return {kind}", kind=type(result).__name__)
        return
    expected = whole["embeddings.weight"]
    wrong = np.abs(result.to_dense() - expected.to_dense()).max(axis=1) > 1e-12
    count = say("{number} of {all} rows are wrong", number=wrong.sum(), all=len(expected.rows))
    tell("not yet: {count}" if wrong.any() else "right: the gradient of the big batch", count=count)


check_reduce(all_reduce)

# %% [markdown]
# <details><summary>답</summary>
#
# `=`의 자리에 `+=`를 씁니다. (기울기 하나 안에서는 행이 서로 다르므로, 여기서는 `+=`를 써도 잃는 것이 없습니다.)
# *모든* 작업자의 수로 나눕니다. 이 행이 없는 작업자의 기울기는 0이기 때문입니다.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def all_reduce_answer(grads):
    rows = np.unique(np.concatenate([g.rows for g in grads]))
    values = np.zeros((len(rows), grads[0].shape[1]))
    for g in grads:
        values[np.searchsorted(rows, g.rows)] += g.values / len(grads)
    return md.SparseGrad(rows, values, grads[0].shape)


print("the answer:")
check_reduce(all_reduce_answer)

# %% [markdown]
# ## 8. 세상은 움직입니다
#
# 새 광고가 나오고, 취향이 변하고, 같은 아이디라도 오늘의 클릭률은 지난달과 다릅니다. 이것을 *드리프트*(drift)라고
# 합니다. 그래서 추천 모델에는 끝이 없습니다. **온라인**(online)으로 배웁니다. 날마다 새 클릭으로 먼저 테스트하고,
# 그다음에 그것으로 학습합니다. (순서가 중요합니다. 거꾸로 하면 이미 본 것으로 테스트하게 됩니다.)
#
# 작은 세상을 만듭니다. 광고가 200개 있고, 광고의 참 로짓이 날마다 무작위로 조금씩 움직입니다. 한 모델은 처음 열흘로
# 학습하고 그대로 둡니다. 다른 모델은 계속 배웁니다.

# %%
days, ads, per_day = 60, 200, 4000
truth = rng.normal(-1, 1, ads)
frozen, online = (md.LogisticRegression(0, [ads]) for _ in range(2))
rules = {frozen: md.Adagrad(0.2), online: md.Adagrad(0.2)}
curves = {"frozen after day 10": [], "online": [], "the truth": []}
for day in range(days):
    shown = rng.integers(0, ads, (per_day, 1))
    label = (rng.random(per_day) < 1 / (1 + np.exp(-truth[shown[:, 0]]))).astype(np.float32)
    today = md.data.Batch(np.zeros((per_day, 0), np.float32), shown, label)
    scores = [md.predict(learner, today, logits=True) for learner in (frozen, online)]
    scores.append(truth[shown[:, 0]])
    for curve, logit in zip(curves.values(), scores, strict=True):  # 먼저 테스트
        curve.append(md.metrics.log_loss(label, logit))
    for learner, rule in rules.items():  # 그다음 학습
        if learner is online or day < 10:
            md.fit(learner, today, optimizer=rule, epochs=2, batch_size=100, progress=False)
    truth = truth + 0.15 * rng.normal(size=ads)
best = np.array(curves["the truth"])
for name in ("frozen after day 10", "online"):
    gap = curves[name] - best
    print(f"{name:20} above the truth by {gap[10:20].mean():.4f} on days 11 to 20, ", end="")
    print(f"{gap[-10:].mean():.4f} on the last ten days")

# %%
fig, ax = plt.subplots(figsize=(6.4, 3.5), layout="constrained")
for (name, curve), style in zip(curves.items(), ("--", "-", ":"), strict=True):
    ax.plot(range(1, days + 1), curve, style, label=name)
ax.axvline(10.5, color="0.7", lw=1)
ax.set(xlabel="day", ylabel="log loss of the day's clicks (nats)", title="Drift")
ax.legend(fontsize="small")
ax.grid(alpha=0.3)

# %% [markdown]
# 온라인 모델은 조금 뒤처져서 따라갑니다. 그 거리가 점점 벌어지나요? Adagrad의 스텝은 계속 작아집니다. 참값이 고정되어
# 있으면 좋은 일이지만, 움직이면 나쁜 일입니다. 날을 늘려 보거나 `md.SGD(3.0)`을 써 보세요.
#
# ### 직접 해 보기
#
# 반복문을 써 보세요. 날마다의 로그 손실을 정직하게 재야 합니다. 빈칸의 코드는 모든 날로 학습한 다음에 같은 날들로
# 테스트합니다.
#
# 검사에는 어떤 모델도 찍기보다 나을 수 없는 날들을 씁니다. 클릭은 모두 동전 던지기로 정했습니다. 찍으면 로그 손실은
# $\log 2 = 0.693$입니다. 이보다 작은 모델은 답을 본 것입니다.


# %%
def check_honest(function):
    learner, rule = md.LogisticRegression(0, [num_ads]), md.Adagrad(0.2)
    learn = {"optimizer": rule, "epochs": 2, "batch_size": 100, "progress": False}
    got = function(learner, coin_days, lambda today: md.fit(learner, today, **learn))
    print(say("log loss of each day:"), np.round(got, 3))
    if np.mean(got) < np.log(2):
        tell(
            "not yet: the mean is {mean:.3f}, less than 0.693: you tested on days it had seen",
            mean=np.mean(got),
        )
    elif len(got) != 5 or not np.any(md.predict(learner, coin_days[0], logits=True)):
        tell("not yet: return five losses, and let the learner learn from each day")
    elif not np.isclose(got[0], np.log(2)):
        tell(
            "not yet: the first day has {first:.3f}; before it has learned anything it has 0.693",
            first=got[0],
        )
    else:
        tell("right: no better than a guess, as it must be")


# %%
toss, num_ads = np.random.default_rng(6), 300
no_dense, each_ad = np.zeros((num_ads, 0), np.float32), np.arange(num_ads)[:, None]
coin_days = [
    md.data.Batch(no_dense, each_ad, toss.integers(0, 2, num_ads).astype(np.float32))
    for _ in range(5)
]


# %%
def honest_losses(learner, days, learn):
    for today in days:
        learn(today)
    losses = []
    for today in days:  # 직접 해 보기 (your turn): 하루를 언제 테스트하고 언제 배울까요?
        losses.append(md.metrics.log_loss(today.label, md.predict(learner, today, logits=True)))
    return losses


check_honest(honest_losses)

# %% [markdown]
# <details><summary>답</summary>
#
# 반복문 하나입니다. 오늘을 테스트하고, 그다음에 오늘을 배웁니다.
#
# (옳은 손실은 0.693보다 조금 *큽니다*. 모델이 어제의 동전을 믿기 때문입니다.)
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input", "answer"]
def honest_losses_answer(learner, days, learn):
    losses = []
    for today in days:
        losses.append(md.metrics.log_loss(today.label, md.predict(learner, today, logits=True)))
        learn(today)
    return losses


print("the answer:")
check_honest(honest_losses_answer)

# %% [markdown]
# ## 9. 이 장의 박물관
#
# 다른 라이브러리로 옮긴 코드 다섯 가지입니다. 모두 오류 없이 돌아가지만 틀렸습니다. 셀(cell)을 읽고, 예측하고,
# 그다음에 결과를 보세요.
#
# ### 전시물 1: 기본값이 된 방식
#
# `EmbeddingBag`은 따로 정하지 않으면 백의 *평균*을 냅니다. PyTorch도 그렇고 minidlrm도 그렇습니다. 그런데 DLRM에는
# 합이 필요합니다. 백마다 아이디가 하나면 둘이 같습니다! 그래서 아이디 하나로 하는 테스트는 통과합니다.

# %%
by_sum, by_mean = (
    md.EmbeddingBag(9, 2, mode=mode, rng=np.random.default_rng(0)) for mode in ("sum", "mean")
)
single = (np.array([3, 5]), np.array([0, 1]))  # 아이디, 오프셋: 백 {3}과 {5}
several = (np.array([3, 5, 8]), np.array([0, 1]))  # 백 {3}과 {5, 8}
for name, bags in (("one id a bag", single), ("several", several)):
    print(f"{name}: sum {by_sum.forward(*bags)[1]}, mean {by_mean.forward(*bags)[1]}")
if torch is not None:
    print("PyTorch's default mode is", repr(torch.nn.EmbeddingBag(9, 2).mode))

# %% [markdown]
# ### 전시물 2: 한 번 더 쓴 시그모이드
#
# `BCEWithLogits`는 스스로 시그모이드(sigmoid)를 씁니다. 여기에 확률 $p$를 넣으면 시그모이드를 두 번 쓰게 됩니다. 안쪽
# 시그모이드의 값은 $[0, 1]$에 있습니다. 그래서 클릭의 손실 $\log(1 + e^{-p})$는 모델이 아무리 확신해도 0.313보다
# 작아질 수 없습니다.

# %%
loss = md.BCEWithLogits()
clicked = np.ones(1)
for logit in (0.0, 2.0, 20.0):
    probability = 1 / (1 + np.exp(-np.array([logit])))
    right, wrong = loss.forward(np.array([logit]), clicked), loss.forward(probability, clicked)
    print(f"logit {logit:4.0f}: loss {right:.4f}, with two sigmoids {wrong:.4f}")

# %% [markdown]
# ### 전시물 3: float32가 감추는 것
#
# Adam을 옮기면서 $\epsilon$을 제곱근 안에 넣었습니다. $\sqrt{v} + \epsilon$이 아니라 $\sqrt{v + \epsilon^2}$입니다.
# $v$는 기울기 제곱의 이동 평균입니다. 0.01쯤 되는 기울기에서 한 스텝을 비교합니다. float32에서는 잘못이 반올림
# 오차만큼 작아서 보이지 않습니다. float64에서는 뚜렷이 보입니다.

# %%
start, g = rng.normal(size=1000), 0.01 * (1 + rng.random(1000))
for dtype in (np.float32, np.float64):
    weight = md.Parameter(start.astype(dtype))
    weight.grad = g.astype(dtype)
    md.Adam(lr=0.01, eps=1e-8).step([weight])
    slope = g.astype(dtype)  # 한 스텝 뒤에는 m' = g, v' = g * g
    for name, root in (("right", np.abs(slope) + 1e-8), ("wrong", np.sqrt(slope**2 + 1e-16))):
        port = start.astype(dtype) - 0.01 * slope / root
        difference = np.abs(port - weight.value).max()
        print(f"{dtype.__name__}: the {name} port differs by {difference:.0e}")

# %% [markdown]
# ### 전시물 4: Adagrad가 시작하는 곳
#
# Adagrad는 기울기 제곱의 합 $h$의 제곱근으로 나눕니다. minidlrm과 PyTorch는 $h = 0$에서 시작합니다. TensorFlow는
# 정하지 않으면 $h = 0.1$에서 시작합니다. 테이블의 기울기는 작아서 처음 스텝들이 크게 다릅니다.

# %%
for size in (1.0, 0.1, 0.001):
    steps = []
    for h in (0.0, 0.1):
        weight = md.Parameter(np.zeros(1))
        weight.grad = np.array([size])
        rule = md.Adagrad(lr=0.01)
        rule.state[weight] = {"square_sum": np.full(1, h)}
        rule.step([weight])
        steps.append(-weight.value[0])
    print(f"gradient {size:5}: first step {steps[0]:.6f} from 0, {steps[1]:.6f} from 0.1", end="")
    print(f" ({steps[0] / steps[1]:.2f} times)")

# %% [markdown]
# ### 전시물 5: 다른 쪽 삼각형
#
# 어떤 라이브러리는 쌍을 *위* 삼각형에서 행 순서대로 읽습니다. 내적(dot product)은 같고 순서만 다릅니다. 그러므로 상단
# MLP(top MLP)의 첫 층에서 열의 순서를 바꾸어 주어야 합니다. 벡터가 $F = 3$개면 두 순서가 같아서, 이 크기의 테스트는
# 통과합니다.

# %%
for tables in (2, 3, 10):
    small = md.DLRM(2, [5] * tables, 4, (), (), dtype=np.float64)
    rows = md.data.Batch(rng.normal(size=(50, 2)), rng.integers(0, 5, (50, tables)))
    x, z = small.bottom.forward(rows.dense), small.embeddings.forward(rows.sparse)
    z = np.concatenate([x[:, None], z], axis=1)  # (50, F, 4)
    i, j = np.triu_indices(tables + 1, 1)  # 다른 라이브러리가 쌍을 늘어놓는 순서대로
    other = np.concatenate([x, (z[:, i] * z[:, j]).sum(axis=2)], axis=1)
    bias = small.top.layers[0].bias.value
    copied = (other @ small.top.layers[0].weight.value.T + bias)[:, 0]
    moved = (other @ md.interop.to_layout(small, "torchrec").T + bias)[:, 0]
    for name, logits_p in (("copied", copied), ("to_layout", moved)):
        error = np.abs(logits_p - small.forward(rows)).max()
        print(f"F = {tables + 1:2}, {name:9}: logits differ by {error:.0e}")

# %% [markdown]
# ### 학습이 되는 것은 어느 것일까?
#
# 전시물마다 옳은 짝과 나란히 학습합니다. 시작하는 가중치도 같고 클릭도 같습니다. 먼저 짐작해 보세요. 다섯 가운데
# 손실이 줄어드는 것은 어느 것일까요?
#
# 1은 작은 세상입니다. 백마다 아이디가 한 개에서 여덟 개까지 있고, 아이디는 저마다 로짓에 얼마씩을 더합니다. 2부터
# 4까지는 5절의 클릭으로 새 DLRM을 학습합니다. 5는 5절에서 학습한 DLRM을 옮긴 다음 더 학습합니다.


# %%
import copy


def bags_of(count, seed):
    """Two tables of 100 ids; the logit of a sample is a sum over both of its bags."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(1, 9, 2 * count)  # (T count,)
    ids = draw.integers(0, 100, lengths.sum())
    bags = md.data.Jagged(ids, np.concatenate([[0], np.cumsum(lengths)]))
    bag_of = np.repeat(np.arange(2 * count), lengths)
    part = np.bincount(bag_of, weights=np.sin(ids) + 0.5).reshape(2, count)
    logit = part.sum(axis=0) - 4.5  # (count,)
    label = (draw.random(count) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    return md.data.Batch(np.ones((count, 1), np.float32), bags, label)


def by_mean(network):
    network.embeddings.mode = "mean"


# %%
class TwoSigmoids(md.BCEWithLogits):
    def forward(self, logits, label):
        self.p = 1 / (1 + np.exp(-logits))  # (B,)
        return super().forward(self.p, label)

    def backward(self, dy=1.0):
        return super().backward(dy) * self.p * (1 - self.p)


class AdagradFromTenth(md.Adagrad):
    def update(self, weight, rows, grad, state, lr):
        state.setdefault("square_sum", np.full_like(weight, 0.1))
        super().update(weight, rows, grad, state, lr)


# %%
class EpsInRoot(md.Adam):
    def update(self, weight, rows, grad, state, lr):
        m = state.setdefault("m", np.zeros_like(weight))
        v = state.setdefault("v", np.zeros_like(weight))
        (beta1, beta2), t = self.betas, self.num_steps
        m[rows] = beta1 * m[rows] + (1 - beta1) * grad
        v[rows] = beta2 * v[rows] + (1 - beta2) * grad**2
        root = np.sqrt(v[rows] / (1 - beta2**t) + self.eps**2)
        weight[rows] -= lr * m[rows] / (1 - beta1**t) / root


class UpperTriangle(md.DotInteraction):
    def forward(self, z):
        i, j = np.triu_indices(z.shape[1], 1)
        self.order = j * (j - 1) // 2 + i  # 행 순서로 읽은 아래 삼각형에서 이 쌍의 자리
        return super().forward(z)[:, self.order]

    def backward(self, dy):
        return super().backward(dy[:, np.argsort(self.order)])


# %%
def new(tables=clicks.table_sizes, num_dense=13):
    return md.DLRM(num_dense, tables, 8, (32,), (64,), seed=0)


def curve(model, rows, valid, optimizer, loss=md.BCEWithLogits, change=None):
    """Train for 64 steps; return the steps, and the true log loss of valid."""
    if change:
        change(model)
    first = md.evaluate(model, valid)["log_loss"]
    options = {"optimizer": optimizer, "loss": loss(), "batch_size": 256, "eval_every": 8}
    history = md.fit(model, rows, valid, progress=False, **options)
    return [0, *history.column("step")], [first, *history.column("valid_log_loss")]


def upper(network):
    network.interaction.__class__ = UpperTriangle


trained = network
bags, bags_valid = bags_of(16_384, 1), bags_of(3000, 2)
some, valid = clicks.train[:16_384], clicks.valid[:3000]

# %%
twins = {  # 전시물: (옳은 것, 틀린 것)
    "1: the mean of a bag": [
        curve(new([100, 100], 1), bags, bags_valid, md.Adagrad(0.05), change=change)
        for change in (None, by_mean)
    ],
    "2: two sigmoids": [
        curve(new(), some, valid, md.Adagrad(0.02), loss)
        for loss in (md.BCEWithLogits, TwoSigmoids)
    ],
    "3: Adam, eps in the root": [
        curve(new(), some, valid, rule(0.006)) for rule in (md.Adam, EpsInRoot)
    ],
    "4: Adagrad from 0.1": [
        curve(new(), some, valid, rule(0.02)) for rule in (md.Adagrad, AdagradFromTenth)
    ],
    "5: the other triangle": [
        curve(copy.deepcopy(trained), some, valid, md.Adagrad(0.02), change=change)
        for change in (None, upper)
    ],
}

# %%
fig, axes = plt.subplots(2, 3, figsize=(9.6, 5.2), layout="constrained")
for ax, (name, (right, wrong)) in zip(axes.flat, twins.items(), strict=False):
    ax.plot(*right, "-", color="0.6", lw=3, label="right")
    ax.plot(*wrong, "--", color="0.0", label="wrong")
    ax.set(title=name, xlabel="step", ylabel="log loss (nats)")
    ax.grid(alpha=0.3)
axes[1, 2].axis("off")
axes[1, 2].legend(
    *axes[0, 0].get_legend_handles_labels(), loc="center", title="log loss of validation rows"
)
for name, (right, wrong) in twins.items():
    print(f"{name:25} last: right {right[1][-1]:.3f}, wrong {wrong[1][-1]:.3f}")

# %% [markdown]
# 다섯 가운데 넷은 내려가고, 학습이 되는 것처럼 보입니다.
#
# - 1은 위에 머무릅니다. 평균으로는 백에 아이디가 몇 개 있는지 알 수 없습니다. 이것만 보면 배우기 어려운 데이터로
#   보입니다.
# - 2만 눈에 띕니다. 모델은 $\sigma(0) = \frac12$보다 낮은 비율을 예측할 수 없습니다. 클릭되지 않은 행이 대부분이므로
#   모델은 모든 로짓을 끌어내립니다. *모델이* 보는 손실은 $\log 2$ 쪽으로 줄어들지만, 여기에 그린 진짜 로그 손실은
#   커집니다.
# - 3은 짝과 똑같아 보입니다.
# - 4는 느립니다. 학습률(learning rate)이 너무 작은 것처럼 보입니다.
# - 5는 한참 벗어난 데서 시작하지만, 상단 MLP가 쌍의 새로운 순서를 배워 갑니다. 마지막 손실만 보면 좋은 모델로
#   보입니다. (옳은 짝은 처음에 조금 올라갑니다. 새로 시작한 Adagrad의 처음 스텝이 크기 때문입니다.)
#
# 이런 잘못은 아이디가 여럿인 백, 셋 이상의 테이블, float64, 무작위 편향(bias)을 쓰고, 순전파 한 번이 아니라
# 옵티마이저의 세 스텝까지 비교하는 테스트에서 드러납니다.
#
# ## 10. 읽을거리(Reading list)
#
# - Rendle 2010, "Factorization machines".
# - Cheng et al. 2016, "Wide & deep learning for recommender systems".
# - Guo et al. 2017, "DeepFM: A factorization-machine based neural network for CTR prediction".
# - He et al. 2017, "Neural collaborative filtering".
# - Wang et al. 2017, "Deep & cross network for ad click predictions".
# - Lian et al. 2018, "xDeepFM: Combining explicit and implicit feature interactions for recommender
#   systems".
# - Naumov et al. 2019, "Deep learning recommendation model for personalization and recommendation
#   systems".
# - Wang et al. 2021, "DCN V2: Improved deep & cross network and practical lessons for web-scale
#   learning to rank systems".
# - Weinberger et al. 2009, "Feature hashing for large scale multitask learning".
# - Mudigere et al. 2022, "Software-hardware co-design for fast and scalable training of deep learning
#   recommendation models".
#
# ## 기억할 것
#
# 1. PyTorch는 여러분이 유도한 것을 기록했다가 거꾸로 따라갑니다. 가중치가 같으면 로짓도 기울기도 같습니다.
# 2. 옮긴 것은 float64로, 백과 여러 테이블을 써서, 여러 스텝을 비교합니다.
# 3. 테이블은 행 수 × D × 4바이트를 차지하고, 옵티마이저가 더 차지합니다. 나누거나, 접거나, 반올림합니다.
# 4. 해시는 행 찾기를 잘 나눕니다. 가장 잦은 행들만 고르지 않게 남습니다.
# 5. 작업자들의 기울기를 행의 합집합에 대해 평균하면 큰 배치의 기울기입니다.
#
# 다음: 10장, [여러 기계에서](10_across_machines.ipynb). 또는 여러분의 클릭으로 만드는 여러분의 모델.
