"""Section 2.2: the architecture, its figure, and what it counts.

Figure 1 is drawn by `minidlrm.diagram`, which runs the model and watches its parts. The counts
are those of the model for the Criteo Kaggle data, and of the layers of other models for a usual
shape. That the model computes what the authors' program does is shown by the run that they print.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minidlrm.figure import diagram
from minidlrm.layers import CIN, MLP, CrossNetwork, DotInteraction, FMInteraction
from minidlrm.models import DLRM
from minidlrm.paper import Options
from minidlrm.paper.findings import Claim, Findings
from minidlrm.verify import PUBLISHED_LOSSES, replay

KAGGLE_ROWS, TABLES, DENSE, DIM = 33_762_577, 26, 13, 16
_EMBEDDINGS, _BOTTOM, _TOP, _TOP_INPUT = 540_201_232, 155_984, 320_001, 367
_FIELDS = 39  # of Criteo: 13 dense features and 26 tables
_FLOPS = {  # forward, of a sample, at F = 39 and D = 16, to two digits
    "FM": 2.5e3,
    "dot products of DLRM, 27 vectors": 11e3,
    "three cross layers, vector": 9.4e3,
    "three cross layers, matrix": 2.3e6,
    "three cross layers, rank 64": 0.48e6,
    "CIN of 128, 128": 26.8e6,
    "MLP 400-400-400": 1.14e6,
}
_CLOSE = 0.05  # of a count that is published to two digits


def run(options: Options) -> Findings:
    """Draw Figure 1, count, and replay."""
    model = kaggle()
    counted = operations()
    ours = replay().losses
    claims = [_parameters(model), _reads(model), _arithmetic(model), _costs(counted), _run(ours)]
    rows: list[tuple[str, ...]] = [("interaction", "FLOPs a sample", "published")]
    rows += [(name, f"{counted[name]:,}", f"{_FLOPS[name]:,.0f}") for name in _FLOPS]
    steps: list[tuple[str, ...]] = [("step", "published loss", "ours")]
    pairs = zip(PUBLISHED_LOSSES, ours, strict=True)
    steps += [(str(k), f"{a:.6f}", f"{b:.6f}") for k, (a, b) in enumerate(pairs, 1)]
    note = "Figure 1 is the model of the reference's printed run: three tables, vectors of size 2."
    return Findings(
        claims,
        {f"Costs of {_FIELDS} fields, D = {DIM}": rows, "The run that the authors print": steps},
        {"figure_1": draw},
        [note],
    )


def kaggle() -> DLRM:
    """Return DLRM for the Criteo Kaggle data, but for the rows of its tables: one in each."""
    return DLRM(DENSE, [1] * TABLES, DIM, (512, 256, 64), (512, 256))


def operations() -> dict[str, int]:
    """Return the FLOPs of each interaction, as its layer counts them."""
    d = _FIELDS * DIM
    options: dict[str, Any] = {"rng": np.random.default_rng(0)}
    layers: tuple[Any, ...] = (
        FMInteraction(_FIELDS, DIM),
        DotInteraction(TABLES + 1, DIM),
        CrossNetwork(d, 3, "vector", **options),
        CrossNetwork(d, 3, "matrix", **options),
        CrossNetwork(d, 3, "matrix", 64, **options),
        CIN(_FIELDS, DIM, (128, 128), **options),
        MLP([d, 400, 400, 400, 1], last_activation=False, **options),
    )
    return {name: layer.flops_per_sample() for name, layer in zip(_FLOPS, layers, strict=True)}


def _parameters(model: DLRM) -> Claim:
    parts = dict(model.named_children())
    tables = KAGGLE_ROWS * DIM
    bottom, top = (parts[name].num_parameters() for name in ("bottom", "top"))
    return Claim(
        "for the Criteo Kaggle data: 540 million parameters, nearly all of them in the tables",
        f"tables {tables:,}, bottom MLP {bottom:,}, top MLP {top:,}",
        (tables, bottom, top) == (_EMBEDDINGS, _BOTTOM, _TOP),
        "a count is another",
    )


def _reads(model: DLRM) -> Claim:
    width = model.interaction.num_outputs + DIM
    return Claim(
        "the top MLP reads the products of all pairs, and the dense vector",
        f"{model.interaction.num_outputs} products and {DIM} numbers: {width}",
        width == _TOP_INPUT,
        "the count is another",
    )


def _arithmetic(model: DLRM) -> Claim:
    flops = {name: part.flops_per_sample() for name, part in model.named_children()}
    mlps = flops["bottom"] + flops["top"]
    return Claim(
        "the MLPs are small in memory, and take most of the arithmetic",
        f"{(_BOTTOM + _TOP) / (_EMBEDDINGS + _BOTTOM + _TOP):.2%} of the parameters, "
        f"{mlps / sum(flops.values()):.0%} of the FLOPs",
        mlps > 0.9 * sum(flops.values()),
        "other parts take a tenth or more",
    )


def _costs(counted: Mapping[str, int]) -> Claim:
    off = max(abs(counted[name] / published - 1) for name, published in _FLOPS.items())
    return Claim(
        "the costs of the interactions, as published to two digits",
        f"the largest difference is {off:.1%}",
        off < _CLOSE,
        "a count is another",
    )


def _run(ours: Any) -> Claim:
    same = sum(f"{a:.6f}" == f"{b:.6f}" for a, b in zip(PUBLISHED_LOSSES, ours, strict=True))
    return Claim(
        "the run that the authors print: three steps of a small DLRM",
        f"{same} of {len(PUBLISHED_LOSSES)} losses agree in all printed digits",
        same == len(PUBLISHED_LOSSES),
        "a loss is another",
    )


def draw(ax: Any) -> None:
    """Draw Figure 1, which is taller than wide."""
    ax.figure.set_size_inches(4.6, 7)
    diagram(DLRM(4, [4, 3, 2], 2, (3,), (4, 2)), ax=ax)
    ax.set_title("Figure 1: DLRM, as its parts ran")
