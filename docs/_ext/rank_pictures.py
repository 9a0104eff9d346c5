"""The pictures of docs/parallel.md, drawn when the site is built, into `docs/_generated/`.

Who sends what to whom, the butterfly, and the speed-up that the cost model computes from what
`tests/benchmarks/ranks.py` has measured (docs/measured/ranks.json).
"""

import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import minidlrm as md
from minidlrm.parallel.cost import Network, Work, seconds, takes_over
from minidlrm.parallel.planning import Plan, outline, plans

RANKS = [2**k for k in range(11)]
ROWS = 16_384  # a batch
COLORS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2")
CONFIGS = {  # the paper: section 5.1 (Criteo Kaggle), and section 5.2
    "Criteo Kaggle: 26 tables, D = 16": lambda rows=100_000: md.DLRM(
        13, [rows] * 26, 16, (512, 256, 64), (512, 256)
    ),
    "section 5.2: 8 tables, D = 64": lambda rows=1_000_000: md.DLRM(
        512, [rows] * 8, 64, (512,), (1024, 1024, 1024)
    ),
}


def write(docs: Path) -> None:
    """Write all pictures."""
    made = docs / "_generated"
    made.mkdir(exist_ok=True)
    for name, draw in (("all_to_all", all_to_all), ("butterfly", butterfly)):
        _save(draw(), made / f"ranks_{name}.png")
    stored = json.loads((docs / "measured" / "ranks.json").read_text(encoding="utf-8"))
    _save(speed_up(stored), made / "ranks_speed_up.png")


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=150)


def all_to_all(ranks: int = 4) -> Figure:
    """Draw the vectors of a batch before and after: by table, and by sample."""
    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    before, after = figure.subplots(1, 2)
    for ax, title in (
        (before, "looked up: rank r has table r,\nfor the samples of all ranks"),
        (after, "after the all-to-all: rank r has\nall tables, for its own samples"),
    ):
        for sample in range(ranks):
            for table in range(ranks):
                holder = table if ax is before else sample
                ax.add_patch(
                    Rectangle((table, ranks - 1 - sample), 0.94, 0.94, color=COLORS[holder])
                )
                ax.text(
                    table + 0.47,
                    ranks - 1 - sample + 0.47,
                    f"$z_{{{sample}{table}}}$",
                    ha="center",
                    va="center",
                    color="white",
                )
        ax.set(xlim=(-0.1, ranks), ylim=(-0.1, ranks), aspect="equal", title=title)
        ax.set_xticks(np.arange(ranks) + 0.47, [f"table {t}" for t in range(ranks)])
        ax.set_yticks(
            np.arange(ranks) + 0.47, [f"samples of {ranks - 1 - r}" for r in range(ranks)]
        )
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
    handles = [Rectangle((0, 0), 1, 1, color=c) for c in COLORS[:ranks]]
    figure.legend(handles, [f"on rank {r}" for r in range(ranks)], loc="outside right center")
    return figure


def butterfly(ranks: int = 8) -> Figure:
    """Draw which ranks swap their sums in each round."""
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    ax = figure.subplots()
    depth = ranks.bit_length() - 1
    for k in range(depth):
        for r in range(ranks):
            for source, color in ((r, COLORS[0]), (r ^ (1 << k), COLORS[1])):
                ax.annotate(
                    "",
                    (k + 0.93, r),
                    (k + 0.07, source),
                    arrowprops={"arrowstyle": "->", "color": color},
                )
    for k in range(depth + 1):
        ax.scatter([k] * ranks, range(ranks), s=60, color=COLORS[0], zorder=3)
    ax.set_xticks(range(depth + 1), ["own blocks", *(f"+ rank r ^ {1 << k}" for k in range(depth))])
    ax.set_yticks(range(ranks), [f"rank {r}" for r in range(ranks)])
    ax.invert_yaxis()
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    return figure


def curve(make, work: Work, network: Network) -> list[tuple[int, dict[str, float]]]:
    """Return the parts of T(R) at each number of ranks, with the plan that takes least time.

    "all to all" is the share of the seconds of sending that is not the butterfly's.
    """
    model, points = outline(make), []
    for ranks in RANKS:
        share = Work(work.walk, work.tables, work.dense, max(work.blocks, ranks))
        each = plans(model, ranks, ROWS, max(work.blocks, ranks))
        options = [_parts(plan, share, network, ranks) for plan in each]
        points.append((ranks, min(options, key=lambda parts: parts["step"])))
    return points


def _parts(plan: Plan, work: Work, network: Network, ranks: int) -> dict[str, float]:
    parts, rounds = seconds(plan, work, network, ranks), ranks.bit_length() - 1
    butterfly = rounds * network.alpha + plan.sent["all reduce"] / ranks * network.beta
    sending = parts["step"] - parts["work"]
    return {**parts, "all to all": 1 - butterfly / sending if sending else 0.0}


def speed_up(stored: dict) -> Figure:
    """Draw T(1) / T(R) of the paper's configurations, and where sending takes over."""
    network = Network(*stored["network"])
    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
    ax = figure.subplots()
    ax.plot(RANKS, RANKS, color="0.7", linestyle=":", label="R")
    for color, (title, make) in zip(COLORS, CONFIGS.items(), strict=False):
        points = curve(make, Work(*stored["work"][title]), network)
        alone = points[0][1]["step"]
        speeds = [alone / parts["step"] for _, parts in points]
        ax.plot(RANKS, speeds, color=color, marker=".", label=title)
        ranks = takes_over(points)
        if ranks is not None:
            at, share = speeds[RANKS.index(ranks)], dict(points)[ranks]["all to all"]
            ax.scatter([ranks], [at], s=90, facecolors="none", edgecolors=color, zorder=3)
            ax.annotate(
                f"from {ranks} ranks on, sending\ntakes longer than work;\n"
                f"{share:.0%} of it all to all",
                (ranks, at),
                (ranks / 4, at / 14) if color == COLORS[0] else (ranks / 14, at * 3),
                arrowprops={"arrowstyle": "->"},
                fontsize=8,
            )
    ax.set(xscale="log", yscale="log", xlabel="ranks R", ylabel="speed-up T(1) / T(R)")
    ax.set_xticks(RANKS, RANKS)
    ax.minorticks_off()
    alpha, beta = 1e6 * network.alpha, 1e9 * network.beta
    ax.set_title(
        f"computed: all points, for B = {ROWS:,} rows and a block or more for each rank\n"
        f"measured on {stored['machine']}, in {stored['where']}: work,\n"
        f"and messages of {alpha:.2g} µs and {beta:.2g} ns a byte",
        fontsize=8,
    )
    ax.legend(fontsize=8)
    return figure


def setup(app):
    """Draw the pictures now, before Sphinx reads the pages."""
    write(Path(app.srcdir))
    return {"parallel_read_safe": True}
