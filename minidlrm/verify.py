"""Replay the debug run that the README of facebookresearch/dlrm prints, digit by digit.

The reference draws everything from NumPy's legacy generator, in a known order. The same
draws, put through our layers, must give its losses and its parameters: the bags, the order
of the pairs and of the concatenation, ReLU, sigmoid, and the scatter-add are all in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minidlrm import interop
from minidlrm.data.batch import Batch, Jagged
from minidlrm.layers.activation import Sigmoid
from minidlrm.losses import MSE
from minidlrm.models.dlrm import DLRM
from minidlrm.optim import SGD

PUBLISHED_LOSSES = (0.451893, 0.402002, 0.275460)
_TABLE_SIZES, _BATCH_SIZE, _STEPS = (4, 3, 2), 2, 3


@dataclass(frozen=True)
class Replay:
    """The three losses, and all parameters before and after, in the order of the README."""

    shapes: dict[str, tuple[int, ...]]
    losses: tuple[float, ...]
    before: np.ndarray
    after: np.ndarray


def replay() -> Replay:
    """Run the three steps.

    Examples
    --------
    >>> from minidlrm import verify
    >>> ["%.6f" % loss for loss in verify.replay().losses]
    ['0.451893', '0.402002', '0.275460']
    """
    legacy = np.random.RandomState(123)  # the published figures come from this generator
    inputs = [_draw_inputs(legacy) for _ in range(_STEPS)]
    labels = [legacy.rand(_BATCH_SIZE, 1)[:, 0].astype(np.float32) for _ in range(_STEPS)]
    model = DLRM(4, _TABLE_SIZES, 2, bottom_mlp=(3,), top_mlp=(4, 2))
    state = interop.reference_state(model)
    interop.load_reference_state(model, _draw_parameters(legacy, state))
    before = _flat(state)
    sigmoid, loss, optimizer = Sigmoid(), MSE(), SGD(lr=0.01)
    losses = []
    for (dense, sparse), label in zip(inputs, labels, strict=True):
        model.zero_grad()
        probability = sigmoid.forward(model.forward(Batch(dense, sparse, label)))
        losses.append(loss.forward(probability, label))
        model.backward(sigmoid.backward(loss.backward()))
        optimizer.step(model.parameters())
    shapes = {name: value.shape for name, value in state.items()}
    return Replay(shapes, tuple(losses), before, _flat(state))


def _draw_inputs(legacy: np.random.RandomState) -> tuple[np.ndarray, Jagged]:
    dense = legacy.rand(_BATCH_SIZE, 4).astype(np.float32)
    bags = []
    for size in _TABLE_SIZES:
        for _ in range(_BATCH_SIZE):
            length = int(np.round(max(1.0, legacy.random_sample(1)[0] * min(size, 10))))
            bags.append(np.unique(np.round(legacy.random_sample(length) * (size - 1))))
    offsets = np.cumsum([0, *map(len, bags)])
    return dense, Jagged(np.concatenate(bags).astype(np.int64), offsets)


def _draw_parameters(legacy, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Draw in the order of `state`: tables, bottom, top; W before b.

    The printed run drew the layers from U(0, 1); the reference's later code does not.
    """
    drawn = {}
    for name, value in state.items():
        if name.startswith("emb_l"):
            bound = np.sqrt(1 / len(value))
            drawn[name] = legacy.uniform(-bound, bound, value.shape).astype(np.float32)
        else:
            drawn[name] = legacy.rand(*value.shape).astype(np.float32)
    return drawn


def _flat(state: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([value.ravel() for value in state.values()]).astype(np.float64)


@dataclass(frozen=True)
class PublishedRun:
    """What the README prints, read from a copy of its text."""

    losses: tuple[float, ...]
    before: np.ndarray
    after: np.ndarray


def read_trace(path: str | Path) -> PublishedRun:
    """Read the printed run from a text file.

    Parameters
    ----------
    path : path
        A copy of the part of the README that begins with "python dlrm_s_pytorch.py".

    Returns
    -------
    PublishedRun

    Raises
    ------
    FileNotFoundError
        When the file does not exist.
    ValueError
        When it does not hold the run.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no trace at {path}")
    text = Path(path).read_text(encoding="utf-8")
    losses = tuple(float(x) for x in re.findall(r"loss (\d\.\d+)", text))
    sections = re.findall(r"parameters \(weights and bias\):\n([-\d.\s\[\]]+)", text)
    numbers = [
        np.array(re.findall(r"-?\d+\.\d*", section), dtype=np.float64) for section in sections
    ]
    if len(losses) != _STEPS or len(numbers) != 2 or len(numbers[0]) != len(numbers[1]):
        raise ValueError(f"{path} does not hold the reference's printed run of three steps")
    return PublishedRun(losses, numbers[0], numbers[1])


def agreeing(ours: np.ndarray, published: np.ndarray, digits: int) -> int:
    """Count the numbers that are equal to the last printed digit.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm import verify
    >>> verify.agreeing(np.array([0.123456, 0.2]), np.array([0.12346, 0.3]), digits=5)
    1
    """
    return int((np.abs(np.round(ours, digits) - published) < 0.5 * 10.0**-digits).sum())
