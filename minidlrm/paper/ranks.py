"""Section 3: tables shared out among ranks, MLPs on all of them, by the ranks of one process.

Each rank holds some of the tables and a copy of the MLPs, and takes a part of each batch. Figure 2
is the shuffle between: the vectors that a rank has looked up for all samples go to the ranks that
have the samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidlrm.data.batch import Batch, Dataset
from minidlrm.data.synthetic import synthetic_clicks
from minidlrm.languages import Message, as_message
from minidlrm.models import DLRM
from minidlrm.optim import SGD
from minidlrm.paper import Options
from minidlrm.paper.architecture import DIM, KAGGLE_ROWS, kaggle
from minidlrm.paper.findings import Claim, Findings
from minidlrm.parallel import Communicator, sharded
from minidlrm.parallel import run as on_ranks
from minidlrm.training import fit, predict

RANKS, TABLES, BATCH, STEPS = 4, 8, 4096, 2  # two blocks a rank: equally many rows
_SENT = (  # what ranks send, as they call it
    *(Message("all reduce"), Message("ids"), Message("headers"), Message("norm")),
    *(Message("vectors"), Message("gradients"), Message("loss")),
)
Sent = dict[str, int]  # bytes of all ranks together, by what they were for


def run(options: Options) -> Findings:
    """Train on four ranks and on one, and count what the ranks send.

    Parameters
    ----------
    options : Options
        The seed of rows and parameters.
    """
    clicks = synthetic_clicks(STEPS * BATCH * 7 // 6 + 14, options.seed, num_tables=TABLES)
    rows = clicks.train[: STEPS * BATCH]
    alone = _trained(_model(clicks, options.seed), rows, clicks.test)
    logits, sent = on_ranks(RANKS, _work, clicks, rows, options.seed)[0]
    swapped = shuffle()
    claims = [_memory(), _same(alone, logits), _shuffled(swapped), *_bytes(clicks, sent)]
    lines: list[tuple[str, ...]] = [(Message("what"), Message("bytes, all ranks together"))]
    lines += [
        (as_message(name), f"{count:,}")
        for name, count in sorted(sent.items(), key=lambda x: -x[1])
    ]
    note = Message(
        "The ranks are threads of one process here. `minidlrm train --ranks` has them as processes "
        "with MPI; `minidlrm show dlrm --ranks` says what each would hold and send."
    )
    caption = Message(
        "{steps} steps of {batch} rows, {tables} tables, D = {dim}, {ranks} ranks",
        steps=STEPS,
        batch=BATCH,
        tables=TABLES,
        dim=DIM,
        ranks=RANKS,
    )
    return Findings(claims, {caption: lines}, {"figure_2": lambda ax: draw(swapped, ax)}, [note])


def _model(clicks: Dataset, seed: int) -> DLRM:
    sizes: dict[str, Any] = {"bottom_mlp": (64, 32), "top_mlp": (64, 32)}
    return DLRM.for_data(clicks, embedding_dim=DIM, seed=seed, **sizes)


def _trained(model: DLRM, rows: Batch, test: Batch) -> np.ndarray:
    fit(model, rows, optimizer=SGD(0.1), batch_size=BATCH, progress=False)
    return predict(model, test, logits=True)


def _work(comm: Communicator, clicks: Dataset, rows: Batch, seed: int) -> tuple[np.ndarray, Sent]:
    """Train on one of the ranks; return the logits, and what all sent in training."""
    with sharded(comm, by="table"):
        model = _model(clicks, seed)
    fit(model, rows, optimizer=SGD(0.1), batch_size=BATCH, progress=False)
    sent = {name: each.bytes for name, each in comm.totals().items()}
    return predict(model, clicks.test, logits=True), sent


def shuffle() -> list[np.ndarray]:
    """Let each rank send the slices of its vectors; return what each has then.

    The vectors of table t for slice s of the batch are the number 10 t + s.
    """

    def work(comm: Communicator) -> np.ndarray:
        slices = [np.array([10 * comm.rank + s]) for s in range(comm.size)]
        return np.concatenate(comm.all_to_all(slices))

    return on_ranks(RANKS, work)


def _memory() -> Claim:
    tables = 4 * KAGGLE_ROWS * DIM
    mlps = 4 * (kaggle().num_parameters() - DIM * kaggle().embeddings.num_tables)
    return Claim(
        Message("tables are too large for a copy on each device, MLPs are small"),
        Message(
            "Kaggle shape, {ranks} ranks: copies of the tables would take {copies:.1f} GB, tables "
            "shared out {tables:.1f} GB; copies of the MLPs {mlps:.1f} MB",
            ranks=RANKS,
            copies=RANKS * tables / 1e9,
            tables=tables / 1e9,
            mlps=RANKS * mlps / 1e6,
        ),
        RANKS * mlps < 0.01 * tables,
        Message("copies of the MLPs take a hundredth of the tables or more"),
    )


def _same(alone: np.ndarray, logits: np.ndarray) -> Claim:
    different = int((alone != logits).sum())
    return Claim(
        Message("tables shared out, and MLPs updated alike on all ranks, are one model"),
        Message(
            "{different} of {count:,} test logits differ from those of one process, after {steps} "
            "steps",
            different=different,
            count=len(alone),
            steps=STEPS,
        ),
        different == 0,
        Message("a logit differs in a bit"),
    )


def _shuffled(swapped: list[np.ndarray]) -> Claim:
    wanted = 10 * np.arange(RANKS) + np.arange(RANKS)[:, None]  # (ranks, tables)
    right = int((np.array(swapped) == wanted).sum())
    return Claim(
        Message(
            "a personalized all-to-all gives each device all vectors of its samples (Figure 2)"
        ),
        Message(
            "{right} of {count} slices arrive where they belong", right=right, count=wanted.size
        ),
        right == wanted.size,
        Message("a slice is elsewhere"),
    )


def _bytes(clicks: Dataset, sent: Sent) -> list[Claim]:
    """Compare the counted bytes with the formulas, exactly."""
    vectors = STEPS * 4 * BATCH * TABLES * DIM * (RANKS - 1) // RANKS
    parts = dict(_model(clicks, 0).named_children())
    mlps = sum(parts[name].num_parameters() for name in ("bottom", "top"))
    butterfly = STEPS * 4 * mlps * RANKS * (RANKS.bit_length() - 1)
    found = sent.get("vectors", 0), sent.get("gradients", 0), sent.get("all reduce", 0)
    return [
        Claim(
            Message("the all-to-all sends 4 B T D (R - 1) / R bytes a step in each direction"),
            Message(
                "{one:,} and {other:,}; the formula gives {count:,}",
                one=found[0],
                other=found[1],
                count=vectors,
            ),
            found[:2] == (vectors, vectors),
            Message("the counts are others"),
        ),
        Claim(
            Message(
                "the gradients of the MLPs are added up by an all-reduce; a butterfly sends "
                "4 P R log2 R bytes a step"
            ),
            Message("{sent:,}; the formula gives {count:,}", sent=found[2], count=butterfly),
            found[2] == butterfly,
            Message("the count is another"),
        ),
    ]


def draw(swapped: list[np.ndarray], ax: Any) -> None:
    """Draw Figure 2: what each rank holds before the shuffle, and what it was sent."""
    before = [10 * rank + np.arange(RANKS) for rank in range(RANKS)]
    colours = ("#cfe3f2", "#fbe3c8", "#d3ead9", "#e9d3ea")
    for left, held in ((0, before), (RANKS + 2, swapped)):
        for rank, numbers in enumerate(held):
            for place, number in enumerate(map(int, numbers)):
                x, y = left + place, RANKS - 1 - 1.3 * rank
                table, part = divmod(number, 10)
                patch = {"fc": colours[table], "ec": "0.35"}
                ax.add_patch(_square(x, y, **patch))
                text = f"table {table}\nslice {part}"
                ax.text(x + 0.45, y + 0.45, text, ha="center", va="center", size=7)
            ax.text(left - 0.15, RANKS - 0.55 - 1.3 * rank, f"rank {rank}", ha="right", size=8)
    ax.annotate("", (RANKS + 1, 1.5), (RANKS + 0.1, 1.5), arrowprops={"arrowstyle": "-|>"})
    ax.set(xlim=(-1.2, 2 * RANKS + 2.1), ylim=(-1.4, RANKS + 0.3), aspect="equal")
    ax.set_title("Figure 2: vectors of each table, sent to the ranks of their samples")
    ax.axis("off")


def _square(x: float, y: float, **options: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), 0.9, 0.9, **options)
