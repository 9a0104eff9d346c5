"""Section 5.2: where the time of a training step goes, operator by operator.

The configuration is that of the paper: 8 tables of 1,000,000 rows, vectors of size 64, 100 ids a
bag, a batch of 2048, a bottom MLP of 512-512-64 and a top MLP of 1024-1024-1024-1.
"""

from __future__ import annotations

import importlib.util
import itertools
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from minidlrm.data import random_bags
from minidlrm.data.batch import Batch
from minidlrm.languages import Message, as_message
from minidlrm.machine import cores, processor
from minidlrm.models import DLRM
from minidlrm.optim import SGD
from minidlrm.paper import Options
from minidlrm.paper.clock import Clock
from minidlrm.paper.findings import Claim, Findings
from minidlrm.printing import Rows

TABLES, DIM, IDS, BATCH, DENSE = 8, 64, 100, 2048, 512
BOTTOM, TOP = (512,), (1024, 1024, 1024)
_ROWS = 1_000_000
_STEPS = 7
_LR = 0.01
_SIGNIFICANT = 0.25
_OF = {"bottom": "MLPs", "top": "MLPs"}  # what the paper sums up
_MLPS = ("bottom forward", "top forward")


def run(options: Options) -> Findings:
    """Time the steps of our model, and of the same model in PyTorch where it is installed.

    Parameters
    ----------
    options : Options
        `rows`: of each table, 1,000,000 by default.
    """
    sizes = [options.rows or _ROWS] * TABLES
    batch = random_bags(
        10 * BATCH // 8 + 10, options.seed, num_dense=DENSE, table_sizes=sizes, ids_per_bag=IDS,
        fixed=True, round_labels=True,
    ).train[:BATCH]  # fmt: skip
    model = DLRM(DENSE, sizes, DIM, BOTTOM, TOP, seed=options.seed)
    clock = Clock(model)
    for _ in range(_STEPS + 1):
        clock.step(batch, SGD(lr=_LR))
    for seconds in clock.seconds.values():
        del seconds[0]  # compiles, and touches the memory for the first time
    ours, total = clock.medians(), clock.total()
    del model, clock.model
    theirs, their_total = _torch(sizes, batch)
    roof = _roof()
    claims = [*_shares(ours), _beside(total, their_total), _thousand(total)]
    caption = Message(
        "A step of {rows} rows, {ms:.0f} ms; {machine}",
        rows=BATCH,
        ms=total * 1e3,
        machine=_machine(),
    )
    tables: dict[str, Rows] = {caption: _rows(ours, theirs, their_total, sizes, batch, roof)}
    figures = {
        "operators": lambda ax: draw(ours, theirs, their_total, ax),
        "roofline": lambda ax: draw_roof(ours, sizes, batch, roof, ax),
    }
    note = Message(
        "FLOPs and bytes are the least that an operation must do: a multiply-add is 2, each array "
        "is read or written once, and rows of a table as often as they are looked up. The roof is "
        "a matrix product of 2,048 by 2,048, and a copy of 120 MB."
    )
    return Findings(claims, tables, figures, [note])


def _shares(ours: Mapping[str, float]) -> tuple[Claim, Claim]:
    sums = _by_operator(ours)
    mlps, embeddings = (sums[name] / sum(sums.values()) for name in ("MLPs", "embeddings"))
    return (
        Claim(
            Message("most of the time is spent in embedding look-ups and fully connected layers"),
            Message("{share:.0%} of a step", share=mlps + embeddings),
            mlps + embeddings > 0.5,
            Message("other operators take half of it or more"),
        ),
        Claim(
            Message("on a CPU fully connected layers take a significant part"),
            Message(
                "{mlps:.0%} of a step; embeddings take {embeddings:.0%}",
                mlps=mlps,
                embeddings=embeddings,
            ),
            mlps > _SIGNIFICANT,
            Message("the share is not above {bound:.0%}", bound=_SIGNIFICANT),
        ),
    )


def _beside(total: float, theirs: float | None) -> Claim:
    text = Message("a step takes no longer than PyTorch's (our own goal)")
    if theirs is None:
        because = Message('PyTorch is not installed (pip install ".[bench]")')
        return Claim(text, Message("not measured"), None, because)
    ratio = total / theirs
    text_ours = f"{total * 1e3:.0f} ms, PyTorch {theirs * 1e3:.0f} ms: {ratio:.2f}"
    because = Message("it takes {ratio:.2f} of PyTorch's time", ratio=ratio)
    return Claim(text, text_ours, ratio <= 1, because)


def _thousand(total: float) -> Claim:
    return Claim(
        Message("1,000 batches take about 256 s on one socket of a CPU"),
        Message(
            "{seconds:.0f} s, by the median of {steps} batches, on {machine}",
            seconds=total * 1e3,
            steps=_STEPS,
            machine=_machine(),
        ),
        total * 1e3 < 256,
        Message("this machine is slower than the paper's"),
    )


def _torch(sizes: list[int], batch: Batch) -> tuple[dict[str, float], float | None]:
    """Return the share of each operator in PyTorch's step, and its seconds."""
    if importlib.util.find_spec("torch") is None:
        return {}, None
    from minidlrm.paper.torch_step import TorchStep

    step = TorchStep(DENSE, sizes, DIM, BOTTOM, TOP, _LR)
    step.seconds(batch, 1)
    seconds = step.seconds(batch, _STEPS)
    return step.shares(batch), seconds


def _by_operator(ours: Mapping[str, float]) -> dict[str, float]:
    """Sum the parts as the paper does: MLPs, embeddings, interaction, and what is left."""
    sums = dict.fromkeys(("MLPs", "embeddings", "interaction", "optimizer", "rest"), 0.0)
    for name, seconds in ours.items():
        part = name.split()[0]
        part = _OF.get(part, part)
        sums[part if part in sums else "rest"] += seconds
    return sums


def costs(sizes: list[int], batch: Batch) -> dict[str, tuple[float, float]]:
    """Return FLOPs and bytes of each operation of a step."""
    n = len(batch)
    looked_up = sum(len(batch.ids_of(t)) for t in range(len(sizes)))
    touched = sum(len(np.unique(batch.ids_of(t))) for t in range(len(sizes)))
    features = len(sizes) + 1
    pairs = features * (features - 1) // 2
    found = {}
    for name, layers in (("bottom", [DENSE, *BOTTOM, DIM]), ("top", [DIM + pairs, *TOP, 1])):
        weights = sum(a * b for a, b in itertools.pairwise(layers))
        flops, moved = 2.0 * n * weights, 4.0 * (weights + n * sum(layers))
        found[f"{name} forward"], found[f"{name} backward"] = (flops, moved), (2 * flops, 2 * moved)
    out = 4.0 * n * len(sizes) * DIM
    found["embeddings forward"] = (looked_up * DIM, looked_up * (8 + 4.0 * DIM) + out)
    found["embeddings backward"] = (
        looked_up * DIM,
        looked_up * (8 + 4.0 * DIM) + 4.0 * touched * DIM,
    )
    vectors = 4.0 * n * (features * DIM + pairs)
    found["interaction forward"] = (2.0 * n * pairs * DIM, vectors)
    found["interaction backward"] = (4.0 * n * pairs * DIM, 2 * vectors)
    dense = sum(flops for name, (flops, _) in found.items() if name in _MLPS) / (2 * n)
    found["optimizer"] = (2.0 * (touched * DIM + dense), 12.0 * (touched * DIM + dense))
    return found


def _roof() -> tuple[float, float]:
    """Return the most FLOPs, and the most bytes, a second."""
    square = np.random.default_rng(0).normal(size=(2048, 2048)).astype(np.float32)
    source, target = np.ones(30_000_000, np.float32), np.empty(30_000_000, np.float32)

    def fastest(call: Any) -> float:
        taken = []
        for _ in range(5):
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
        return min(taken)

    product = fastest(lambda: square @ square)
    return 2 * 2048**3 / product, 2 * source.nbytes / fastest(lambda: np.copyto(target, source))


def _rows(
    ours: Mapping[str, float],
    theirs: Mapping[str, float],
    their_total: float | None,
    sizes: list[int],
    batch: Batch,
    roof: tuple[float, float],
) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = [
        (
            *(Message("operation"), "ms", Message("share"), "GFLOP", "MB"),
            *(Message("of the roof"), "PyTorch, ms"),
        )
    ]
    whole, known = sum(ours.values()), costs(sizes, batch)
    for name, seconds in sorted(ours.items(), key=lambda item: -item[1]):
        cells = [f"{seconds * 1e3:.1f}", f"{seconds / whole:.0%}"]
        if name in known:
            flops, moved = known[name]
            floor = max(flops / roof[0], moved / roof[1])
            cells += [f"{flops / 1e9:.1f}", f"{moved / 1e6:.0f}", f"{floor / seconds:.0%}"]
        lines.append((_called(name), *cells, *("",) * (6 - len(cells))))
    for name, seconds in _by_operator(ours).items():
        their = f"{theirs[name] * their_total * 1e3:.1f}" if their_total else ""
        cells = [f"{seconds * 1e3:.1f}", f"{seconds / whole:.0%}", "", "", "", their]
        whose = Message("all {part}", part=as_message(name))
        lines.append((whose if name != "rest" else Message("loss and rest"), *cells))
    return lines


_PARTS = (  # of a step, as they are called in tables
    *(Message("bottom"), Message("top"), Message("MLPs"), Message("embeddings")),
    *(Message("interaction"), Message("optimizer"), Message("loss"), Message("rest")),
)


def _called(operation: str) -> str:
    """Return the name of an operation, such as "top forward", as a message."""
    name, _, phase = operation.partition(" ")
    part = as_message(name)
    if phase == "forward":
        return Message("{part} forward", part=part)
    return Message("{part} backward", part=part) if phase == "backward" else part


def _machine() -> str:
    return Message("{name}, {count} cores", name=processor()["model name"], count=cores())


def draw(
    ours: Mapping[str, float], theirs: Mapping[str, float], their_total: float | None, ax: Any
) -> None:
    """Draw the time of each operator as bars, forward below backward, beside PyTorch's."""
    sums = _by_operator(ours)
    place, width = np.arange(len(sums)), 0.4 if their_total else 0.8
    below = np.zeros(len(sums))
    for phase, colour in (("forward", "#56b4e9"), ("backward", "#0072b2"), ("", "#999999")):
        own = {name: s for name, s in ours.items() if [*name.split(), ""][1] == phase}
        height = 1e3 * np.array(list(_by_operator(own).values()))
        ax.bar(place, height, width, below, color=colour, label=f"minidlrm, {phase or 'other'}")
        below = below + height
    if their_total:
        their = [1e3 * theirs[name] * their_total for name in sums]
        ax.bar(place + width, their, width, label="PyTorch", color="#e69f00", hatch="//")
    ax.set_xticks(place + (width / 2 if their_total else 0), list(sums))
    ax.set(ylabel="ms a step", title=f"A training step by operator, B = {BATCH}")
    ax.set_ylim(top=1.3 * ax.get_ylim()[1])  # room for the legend
    ax.grid(axis="y", alpha=0.3)
    ax.legend()


def draw_roof(
    ours: Mapping[str, float],
    sizes: list[int],
    batch: Batch,
    roof: tuple[float, float],
    ax: Any,
) -> None:
    """Draw each operation under the roof of the machine."""
    known = costs(sizes, batch)
    x = np.geomspace(0.05, 1000, 100)
    ax.plot(x, np.minimum(roof[0], roof[1] * x) / 1e9, "k-", lw=1.5, label="the roof")
    for k, (name, (flops, moved)) in enumerate(known.items()):
        mark = "osD^vP*X<"[k % 9]
        ax.plot(flops / moved, flops / ours[name] / 1e9, mark, ms=7, label=name)
    ax.set(
        xscale="log", yscale="log", xlabel="FLOPs a byte", ylabel="GFLOPs a second",
        title="The operations under the roof",
    )  # fmt: skip
    ax.grid(alpha=0.3)
    ax.legend(fontsize=7)
