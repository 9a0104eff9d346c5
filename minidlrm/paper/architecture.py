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
from minidlrm.languages import Message
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
    Message("dot products of DLRM, 27 vectors"): 11e3,
    Message("three cross layers, vector"): 9.4e3,
    Message("three cross layers, matrix"): 2.3e6,
    Message("three cross layers, rank 64"): 0.48e6,
    Message("CIN of 128, 128"): 26.8e6,
    "MLP 400-400-400": 1.14e6,
}
_CLOSE = 0.05  # of a count that is published to two digits


def run(options: Options) -> Findings:
    """Draw Figure 1, count, and replay."""
    model = kaggle()
    counted = operations()
    ours = replay().losses
    claims = [_parameters(model), _reads(model), _arithmetic(model), _costs(counted), _run(ours)]
    rows: list[tuple[str, ...]] = [
        (Message("interaction"), Message("FLOPs a sample"), Message("published"))
    ]
    rows += [(name, f"{counted[name]:,}", f"{_FLOPS[name]:,.0f}") for name in _FLOPS]
    steps: list[tuple[str, ...]] = [(Message("step"), Message("published loss"), Message("ours"))]
    pairs = zip(PUBLISHED_LOSSES, ours, strict=True)
    steps += [(str(k), f"{a:.6f}", f"{b:.6f}") for k, (a, b) in enumerate(pairs, 1)]
    note = Message(
        "Figure 1 is the model of the reference's printed run: three tables, vectors of size 2."
    )
    costs = Message("Costs of {fields} fields, D = {dim}", fields=_FIELDS, dim=DIM)
    return Findings(
        claims,
        {costs: rows, Message("The run that the authors print"): steps},
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
        Message(
            "for the Criteo Kaggle data: 540 million parameters, nearly all of them in the tables"
        ),
        Message(
            "tables {tables:,}, bottom MLP {bottom:,}, top MLP {top:,}",
            tables=tables,
            bottom=bottom,
            top=top,
        ),
        (tables, bottom, top) == (_EMBEDDINGS, _BOTTOM, _TOP),
        Message("a count is another"),
    )


def _reads(model: DLRM) -> Claim:
    width = model.interaction.num_outputs + DIM
    return Claim(
        Message("the top MLP reads the products of all pairs, and the dense vector"),
        Message(
            "{products} products and {dim} numbers: {width}",
            products=model.interaction.num_outputs,
            dim=DIM,
            width=width,
        ),
        width == _TOP_INPUT,
        Message("the count is another"),
    )


def _arithmetic(model: DLRM) -> Claim:
    flops = {name: part.flops_per_sample() for name, part in model.named_children()}
    mlps = flops["bottom"] + flops["top"]
    return Claim(
        Message("the MLPs are small in memory, and take most of the arithmetic"),
        Message(
            "{weights:.2%} of the parameters, {flops:.0%} of the FLOPs",
            weights=(_BOTTOM + _TOP) / (_EMBEDDINGS + _BOTTOM + _TOP),
            flops=mlps / sum(flops.values()),
        ),
        mlps > 0.9 * sum(flops.values()),
        Message("other parts take a tenth or more"),
    )


def _costs(counted: Mapping[str, int]) -> Claim:
    off = max(abs(counted[name] / published - 1) for name, published in _FLOPS.items())
    return Claim(
        Message("the costs of the interactions, as published to two digits"),
        Message("the largest difference is {off:.1%}", off=off),
        off < _CLOSE,
        Message("a count is another"),
    )


def _run(ours: Any) -> Claim:
    same = sum(f"{a:.6f}" == f"{b:.6f}" for a, b in zip(PUBLISHED_LOSSES, ours, strict=True))
    return Claim(
        Message("the run that the authors print: three steps of a small DLRM"),
        Message(
            "{same} of {count} losses agree in all printed digits",
            same=same,
            count=len(PUBLISHED_LOSSES),
        ),
        same == len(PUBLISHED_LOSSES),
        Message("a loss is another"),
    )


def draw(ax: Any) -> None:
    """Draw Figure 1, which is taller than wide."""
    ax.figure.set_size_inches(4.6, 7)
    diagram(DLRM(4, [4, 3, 2], 2, (3,), (4, 2)), ax=ax)
    ax.set_title("Figure 1: DLRM, as its parts ran")
