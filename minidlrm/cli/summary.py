"""What several commands print: a model's layers as a table, titles of metrics, warnings."""

from __future__ import annotations

import math

from rich.box import SIMPLE
from rich.table import Table

from minidlrm.languages import Message, say
from minidlrm.layers import EmbeddingBagCollection
from minidlrm.module import Module


def summary(network: Module, batch_size: int) -> Table:
    """One line for each layer; weights are read once a batch, so a sample's share is 1/B."""
    title = say("{model} at B = {rows}", model=type(network).__name__, rows=batch_size)
    table = Table(title=title, box=SIMPLE, show_footer=True)
    moved, elsewhere, rows = 0.0, 0, []
    for name, layer in network.named_modules():
        if any(layer.named_children()):
            continue
        sizes = [p.value.shape for p in layer.parameters()]
        looked_up = isinstance(layer, EmbeddingBagCollection)  # its rows are counted already
        if isinstance(layer, EmbeddingBagCollection):  # of all ranks, where there are several
            sizes = [layer.shape]
        size = sum(map(math.prod, sizes))
        elsewhere += size - layer.num_parameters()
        shapes = " + ".join("×".join(map(str, shape)) for shape in sizes)
        layer_bytes = layer.bytes_per_sample() + (0 if looked_up else 4 * size / batch_size)
        moved += layer_bytes
        cost = (f"{layer.flops_per_sample():,}", f"{layer_bytes:,.0f}")
        rows.append((name, shapes or "-", f"{size:,}", *cost))
    total_size = network.num_parameters() + elsewhere
    totals = (f"{total_size:,}", f"{network.flops_per_sample():,}", f"{moved:,.0f}")
    titles = (
        *(say("operation"), say("shapes"), say("parameters")),
        *(say("FLOPs\na sample"), say("bytes moved\na sample")),
    )
    for k, (name, total) in enumerate(zip(titles, (say("total"), "", *totals), strict=True)):
        table.add_column(name, total, justify="right" if k > 1 else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


TITLES = (  # of metrics, splits, and columns of a history; those of AUC and RMSE are names
    *(Message("log loss"), Message("normalized entropy"), Message("calibration")),
    *(Message("valid log loss"), Message("valid normalized entropy"), Message("valid calibration")),
    *(Message("accuracy"), Message("valid accuracy")),
    *(Message("hit rate"), Message("valid hit rate"), Message("test hit rate")),
    *(Message("valid auc"), Message("valid rmse"), Message("valid ndcg"), Message("test ndcg")),
    *(Message("train"), Message("valid"), Message("test")),
    *(Message("epoch"), Message("train loss"), Message("training loss")),
)


def title_of(name: str) -> str:
    """Return the title of a metric, a split, or a column of a history, such as "log_loss"."""
    return say(name.replace("_", " "))


def warning(text: str) -> str:
    """Return the line of a warning."""
    return say("warning: {text}", text=text)
