"""Section 2.3: DLRM beside the models before it, by what was measured of them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from minidlrm import metrics, plots
from minidlrm.comparison import Budget, Result
from minidlrm.comparison.order import ORDERS, order_data
from minidlrm.comparison.result import explained
from minidlrm.comparison.run import trained
from minidlrm.comparison.speed import rows_per_second
from minidlrm.data.batch import Batch, Dataset
from minidlrm.data.synthetic import synthetic_clicks
from minidlrm.languages import Message, joined
from minidlrm.layers import DotInteraction
from minidlrm.models import MODELS as ENTRIES
from minidlrm.models import Model
from minidlrm.paper import Options
from minidlrm.paper.findings import Claim, Findings
from minidlrm.paper.probes import Probe, probes
from minidlrm.paper.statements import MODELS, STATEMENTS, Measured, verdict

_ROWS = 200_000  # with fewer, no model learns much of order 3
_BUDGET = Budget(epochs=3, batch_size=256, learning_rates=(0.003,))
_NAMES = ("fm", "mlp", "wide-deep", "deepfm", "dcn", "xdeepfm", "dlrm")
_EXPLICIT = {"Wide & Deep": "crosses", "DCN": "cross", "xDeepFM": "cin"}  # parts with weights


def run(options: Options) -> Findings:
    """Train the models on clicks of orders 1 and 2, and on pure signals of each order.

    Parameters
    ----------
    options : Options
        `rows`: of each data set. Finished runs are kept in `folder`.
    """
    rows = options.rows or _ROWS
    with ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        clicks = synthetic_clicks(rows, options.seed)
        results = _trained(clicks, folder, options.progress)
        learned = _learned(rows, options, folder)
    measured = measure(clicks, results, learned)
    judged = [(s, *s.judge(measured)) for s in STATEMENTS]
    head = Message("model"), Message("said of"), Message("statement"), Message("number"), ""
    lines: list[tuple[str, ...]] = [head]
    lines += [(s.model, s.aspect, s.text, text, verdict(parts)) for s, text, parts in judged]
    words = [line[-1] for line in lines[1:]]
    counts = [
        Message("{count} {verdict}", count=words.count(word), verdict=word)
        for word in dict.fromkeys(sorted(words))
    ]
    note = Message(
        "Statements: {counts}. Data: {data}; and signals of one pure order. Budget: {budget}. A "
        "statement with several bounds holds in part when some of them are kept.",
        counts=joined(counts, ", "),
        data=clicks.description,
        budget=_BUDGET.told(),
    )
    shares = np.array([learned[name] for name in learned])
    figures = {
        "orders": lambda ax: plots.order_heat_map(shares, list(learned), list(map(str, ORDERS)), ax)
    }
    claims = [_vectors(measured.probes), _within(measured.probes), _width(), _worth(results)]
    return Findings(claims, {Message("What is said of each model"): lines}, figures, [note])


def _trained(data: Dataset, folder: Path, progress: bool) -> dict[str, Result]:
    entries = [ENTRIES[name] for name in _NAMES]
    results = trained(data, _BUDGET, folder, entries, progress)
    if len(results) < len(entries):  # interrupted: there is nothing to judge yet
        raise KeyboardInterrupt
    return {result.title: result for result in results}


def _learned(rows: int, options: Options, folder: Path) -> dict[str, list[float]]:
    """Return the share of each pure signal that each model learned, the mean over the seeds."""
    shares: dict[str, list[float]] = {}
    for data in order_data(rows, options.seed):
        entropy, bayes = metrics.entropy(np.asarray(data.test.label)), data.bayes_log_loss
        assert bayes is not None
        for title, result in _trained(data, folder, options.progress).items():
            mean = float(np.mean([explained(score, entropy, bayes) for score in result.score]))
            shares.setdefault(title, []).append(mean)
    return shares


def measure(
    clicks: Dataset, results: Mapping[str, Result], learned: Mapping[str, list[float]]
) -> Measured:
    """Add to what was trained what is counted, probed and timed."""
    sizes = clicks.num_dense, clicks.table_sizes, _BUDGET.embedding_dim, _BUDGET.mlp
    models = {ENTRIES[name].title: ENTRIES[name].build(*sizes) for name in _NAMES}
    few = clicks.train[:256]
    sums = {title: _far_from_the_sum(models[title], few) for title in ("Wide & Deep", "DeepFM")}
    weights = {title: _explicit_weights(title, models[title]) for title in MODELS}
    speeds = rows_per_second(list(models.values()), clicks.train, _BUDGET.batch_size)
    rates = dict(zip(models, speeds, strict=True))
    return Measured(results, learned, rates, weights, probes(), sums)


def _explicit_weights(title: str, model: Model) -> int:
    part = _EXPLICIT.get(title)
    return dict(model.named_children())[part].num_parameters() if part else 0


def _far_from_the_sum(model: Model, rows: Batch) -> float:
    """Return the largest difference of a logit from the sum of what its parts say alone."""
    parts = dict(model.named_children())
    whole = model.forward(rows)
    z = parts["fields"].forward(rows.dense, rows.sparse)  # (B, F, D)
    total = parts["linear"].forward(rows.dense, rows.sparse)
    total = total + parts["mlp"].forward(z.reshape(len(z), -1))[:, 0]
    if "fm" in parts:
        total = total + parts["fm"].forward(z)
    return float(np.abs(whole - total).max())  # the weights of crosses are 0 at first


def _vectors(found: Mapping[str, Probe]) -> Claim:
    moved = {name: found[name].reordered for name in ("DLRM", "xDeepFM", "DCN")}
    changes = [
        Message("{name} by {change:.1g}", name=name, change=change)
        for name, change in moved.items()
    ]
    return Claim(
        Message(
            "DLRM and xDeepFM take each vector as one unit; DCN takes each of its entries as one"
        ),
        Message(
            "reordering the entries of all vectors alike changes the output of {changes}",
            changes=joined(changes, ", "),
        ),
        max(moved["DLRM"], moved["xDeepFM"]) < 1e-9 < 0.1 < moved["DCN"],
        Message("the output changes otherwise"),
    )


def _within(found: Mapping[str, Probe]) -> Claim:
    dlrm, dcn = found["DLRM"].within, found["DCN"].within
    return Claim(
        Message("DCN has cross terms within one vector, DLRM has none"),
        Message(
            "the largest such term, as a share of the output: DCN {dcn:.2g}, DLRM {dlrm:.1g}",
            dcn=dcn,
            dlrm=dlrm,
        ),
        dlrm < 1e-9 < dcn,
        Message("the terms are others"),
    )


def _width(features: int = 27, dim: int = 16) -> Claim:
    dot = DotInteraction(features, dim).num_outputs
    entries = (features * dim) * (features * dim - 1) // 2
    return Claim(
        Message("dot products of pairs reduce the dimension of what the last MLP reads"),
        Message(
            "Kaggle shape: {dot} products and {dim} numbers, {without} without interaction; pairs "
            "of single entries would be {entries:,}",
            dot=dot,
            dim=dim,
            without=features * dim,
            entries=entries,
        ),
        dot + dim < features * dim < entries,
        Message("the numbers are not fewer"),
    )


def _worth(results: Mapping[str, Result]) -> Claim:
    """Compare DLRM with the best of the models whose explicit terms go beyond the second order."""
    dlrm = results["DLRM"]
    other = min((results[name] for name in ("DCN", "xDeepFM")), key=lambda r: r.score.mean())
    low, high = metrics.paired_interval(other.losses, dlrm.losses)
    return Claim(
        Message("terms beyond the second order may not be worth their cost"),
        Message(
            "log loss of {other} minus that of DLRM: {low:+.4f} to {high:+.4f}, for {times:.1f} "
            "times the FLOPs",
            other=other.title,
            low=low,
            high=high,
            times=other.flops / dlrm.flops,
        ),
        high > 0 and other.flops > dlrm.flops,
        Message("{other} is better on these rows, or costs no more", other=other.title),
    )
