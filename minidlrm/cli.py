"""The command line: minidlrm train | gradcheck | show | verify.

Every error that a user can cause is one red line on stderr, with exit code 2.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

import minidlrm as md
from minidlrm.checkpoint import replacing
from minidlrm.data.batch import Batch, Dataset

_OPTIMIZERS = {
    "sgd": md.SGD,
    "momentum": md.Momentum,
    "adagrad": md.Adagrad,
    "rowwise-adagrad": md.RowwiseAdagrad,
    "adam": md.Adam,
}
_MAX_REPORTED_ROWS = 100_000  # of the training rows, for the closing table

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Learn how a deep recommender works by building one.",
)

ModelName = Annotated[str, typer.Argument(help="The model: dlrm.")]
DataOption = Annotated[str, typer.Option("--data", help="synthetic, or criteo:PATH.")]
RowsOption = Annotated[int | None, typer.Option(help="Rows to make, or to read at most.")]
DimOption = Annotated[int, typer.Option("--embedding-dim", help="Size of an embedding.")]
BottomOption = Annotated[str, typer.Option("--bottom-mlp", help="Hidden sizes, such as 64,32.")]
TopOption = Annotated[str, typer.Option("--top-mlp", help="Hidden sizes, such as 64,32.")]
InteractionOption = Annotated[str, typer.Option("--interaction", help="dot or cat.")]
SelfOption = Annotated[bool, typer.Option("--self-interaction", help="Include the diagonal.")]
SeedOption = Annotated[int, typer.Option(help="Seed of data, parameters and shuffles.")]


def main() -> None:
    """Run the command line, and turn errors into one red line."""
    warnings.filterwarnings("ignore", message=".*malformed lines were skipped")  # the table says it
    try:
        code = app(standalone_mode=False)
    except KeyboardInterrupt:
        _fail("interrupted")
    except Exception as error:
        if hasattr(error, "format_message") and not error.format_message():
            sys.exit(2)  # no command was given: the help has been printed
        if os.environ.get("MINIDLRM_TRACEBACK"):
            raise
        _fail(_message(error))
    sys.exit(code if isinstance(code, int) else 0)


def _message(error: Exception) -> str:
    if hasattr(error, "format_message"):  # usage errors of the command line itself
        return f"{error.format_message()} (see minidlrm --help)"
    known = (
        ValueError,
        TypeError,
        LookupError,
        OSError,
        FloatingPointError,
        MemoryError,
        ImportError,
    )
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, known):
        return text
    return f"internal error, {type(error).__name__}: {text} (MINIDLRM_TRACEBACK=1 shows where)"


def _fail(message: str) -> None:
    Console(stderr=True).print(f"error: {message}", style="red", markup=False, soft_wrap=True)
    sys.exit(2)


@app.command(
    epilog="Examples: [bold]minidlrm train[/bold]   "
    "[bold]minidlrm train --data criteo:train.txt --epochs 1 --optimizer sgd --lr 0.1[/bold]"
)
def train(
    model: Annotated[str, typer.Option(help="The model: dlrm.")] = "dlrm",
    data: DataOption = "synthetic",
    rows: RowsOption = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training rows.")] = 2,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Rows a step.")] = 512,
    embedding_dim: DimOption = 16,
    bottom_mlp: BottomOption = "64,32",
    top_mlp: TopOption = "128,64",
    interaction: InteractionOption = "dot",
    self_interaction: SelfOption = False,
    optimizer: Annotated[str, typer.Option(help=f"{', '.join(_OPTIMIZERS)}.")] = "adam",
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 0.002,
    decay: Annotated[
        bool, typer.Option(help="Let the rate fall to 0 in the second half of the steps.")
    ] = True,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many evaluations without a better one.")
    ] = None,
    min_count: Annotated[
        int, typer.Option("--min-count", help="Rarer categories share the id 0 (criteo).")
    ] = 2,
    on_bad_line: Annotated[
        str, typer.Option("--on-bad-line", help="error, or skip and count (criteo).")
    ] = "error",
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("runs/latest"),
) -> None:
    """Train a model, and write its learning curve, metrics and checkpoint."""
    console = Console()
    if optimizer not in _OPTIMIZERS:
        raise ValueError(f"optimizer {optimizer!r} is not known: {', '.join(_OPTIMIZERS)}")
    _positive("--epochs", epochs)
    _positive("--batch-size", batch_size)
    md.SGD(lr)  # refuses a bad rate before the data are read
    out.mkdir(parents=True, exist_ok=True)
    clicks = _dataset(data, rows, seed, min_count, on_bad_line)
    console.print(clicks.description)
    options = _model_options(embedding_dim, bottom_mlp, top_mlp, interaction, self_interaction)
    network = _build(model, clicks.num_dense, clicks.table_sizes, seed, options)
    console.print(_summary(network, batch_size))
    steps = -(-len(clicks.train) // max(1, batch_size))
    half = steps * epochs // 2
    schedule = partial(
        md.warmup_decay, lr=lr, decay_start_step=half, num_decay_steps=steps * epochs - half
    )
    history = md.fit(
        network,
        clicks.train,
        clicks.valid,
        optimizer=_OPTIMIZERS[optimizer](lr=schedule if decay else lr),
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        eval_every=-(-steps // 8),
        patience=patience,
    )
    splits = {
        "train": clicks.train[:_MAX_REPORTED_ROWS],
        "valid": clicks.valid,
        "test": clicks.test,
    }
    results = {name: md.evaluate(network, split) for name, split in splits.items() if len(split)}
    console.print(_results_table(results, splits, clicks))
    _write(out, network, history, results, clicks)
    console.print(f"wrote learning_curve.png, metrics.json and {model}.safetensors to {out}")


@app.command(epilog="Example: [bold]minidlrm gradcheck dlrm[/bold]")
def gradcheck(
    model: ModelName = "dlrm",
    max_checks: Annotated[int, typer.Option("--max-checks", help="Entries an array.")] = 100,
    seed: SeedOption = 0,
) -> None:
    """Check every gradient of a model against central differences."""
    clicks = md.data.synthetic_clicks(rows=200, seed=seed, num_tables=8)
    options = _model_options(8, "16", "16", "dot", False)
    network = _build(model, clicks.num_dense, clicks.table_sizes, seed, options)
    report = md.gradcheck(
        network, clicks.train[:8], max_checks=max_checks, seed=seed, verbose=False
    )
    table = Table(title=f"gradients of {model} against central differences", box=SIMPLE)
    for column in ("parameter", "shape", "checked", "worst error", "at", ""):
        table.add_column(column, no_wrap=True)
    for c in report.arrays:
        shape, index = "×".join(map(str, c.shape)), ",".join(map(str, c.index))
        verdict = "[green]ok[/green]" if c.passed else "[red]FAILED[/red]"
        table.add_row(c.name, shape, str(c.num_checked), f"{c.error:.1e}", index, verdict)
    console = Console()
    console.print(table)
    passed = sum(c.passed for c in report.arrays)
    console.print(
        f"{passed} of {len(report.arrays)} arrays pass (relative error at most {report.rtol:g})"
    )
    if not report.passed:
        raise typer.Exit(1)


@app.command(epilog="Example: [bold]minidlrm show dlrm --embedding-dim 32 --top-mlp 512,256[/bold]")
def show(
    model: ModelName = "dlrm",
    data: DataOption = "synthetic",
    rows: RowsOption = None,
    embedding_dim: DimOption = 16,
    bottom_mlp: BottomOption = "64,32",
    top_mlp: TopOption = "128,64",
    interaction: InteractionOption = "dot",
    self_interaction: SelfOption = False,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Rows a step.")] = 512,
    seed: SeedOption = 0,
) -> None:
    """Show a model: its layers, parameters, FLOPs, and the bytes that each operation moves."""
    clicks = _dataset(data, rows or (1000 if data == "synthetic" else None), seed, 2, "error")
    options = _model_options(embedding_dim, bottom_mlp, top_mlp, interaction, self_interaction)
    network = _build(model, clicks.num_dense, clicks.table_sizes, seed, options)
    Console().print(_summary(network, batch_size))


@app.command(epilog="Example: [bold]minidlrm verify --trace trace.txt[/bold]")
def verify(
    trace: Annotated[
        Path | None,
        typer.Option(
            help="The printed run; default: dlrm-readme-trace/trace.txt in MINIDLRM_DATA."
        ),
    ] = None,
) -> None:
    """Replay the run that the README of facebookresearch/dlrm prints, digit by digit."""
    from minidlrm import verify as reference

    console = Console()
    ours = reference.replay()
    table = Table(title="the reference's printed run: the loss of each step", box=SIMPLE)
    for column in ("step", "published", "replayed", ""):
        table.add_column(column)
    agree = 0
    for k, (a, b) in enumerate(zip(reference.PUBLISHED_LOSSES, ours.losses, strict=True), 1):
        same = f"{a:.6f}" == f"{b:.6f}"
        agree += same
        table.add_row(
            str(k), f"{a:.6f}", f"{b:.6f}", "[green]equal[/green]" if same else "[red]no[/red]"
        )
    console.print(table)
    console.print(f"losses: {agree} of {len(ours.losses)} agree to six digits")
    passed = agree == len(ours.losses)
    default = Path(os.environ.get("MINIDLRM_DATA", "")) / "dlrm-readme-trace" / "trace.txt"
    if trace is None and not default.is_file():
        console.print("parameters: not compared (give --trace, or set MINIDLRM_DATA)")
    else:
        passed &= _compare_parameters(console, ours, reference.read_trace(trace or default))
    if not passed:
        raise typer.Exit(1)


def _compare_parameters(console: Console, ours: Any, published: Any) -> bool:
    """Print every parameter after the steps, and how many agree with the published ones."""
    from minidlrm.verify import agreeing

    if len(ours.before) != len(published.before):
        raise ValueError(
            f"the trace has {len(published.before)} parameters, the model {len(ours.before)}"
        )
    table = Table(title="parameters, to the five digits printed", box=SIMPLE)
    for column in ("array", "equal before", "equal after", "replayed, after the three steps"):
        table.add_column(column, overflow="fold")
    start = 0
    for name, shape in ours.shapes.items():
        part = slice(start, start := start + int(np.prod(shape)))
        counts = [
            f"{agreeing(mine[part], theirs[part], 5)} of {len(mine[part])}"
            for mine, theirs in ((ours.before, published.before), (ours.after, published.after))
        ]
        values = np.array2string(ours.after[part].reshape(shape), precision=5, max_line_width=36)
        table.add_row(name, *counts, values)
    console.print(table)
    total = len(ours.before)
    before, after = (
        agreeing(mine, theirs, 5)
        for mine, theirs in ((ours.before, published.before), (ours.after, published.after))
    )
    console.print(f"parameters before: {before} of {total} agree; after: {after} of {total} agree")
    return before == after == total


def _dataset(data: str, rows: int | None, seed: int, min_count: int, on_bad_line: str) -> Dataset:
    kind, _, path = data.partition(":")
    if kind == "synthetic" and not path:
        return md.data.synthetic_clicks(rows=1_000_000 if rows is None else rows, seed=seed)
    if kind == "criteo" and path:
        return md.data.read_criteo(path, rows=rows, min_count=min_count, on_bad_line=on_bad_line)
    raise ValueError(f"data {data!r} is not known: give synthetic, or criteo:PATH")


def _model_options(embedding_dim, bottom_mlp, top_mlp, interaction, self_interaction) -> dict:
    return {
        "embedding_dim": embedding_dim,
        "bottom_mlp": _sizes("--bottom-mlp", bottom_mlp),
        "top_mlp": _sizes("--top-mlp", top_mlp),
        "interaction": interaction,
        "self_interaction": self_interaction,
    }


def _positive(option: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{option} is {value}: it must be at least 1")


def _sizes(option: str, text: str) -> tuple[int, ...]:
    """Read "64,32"; an empty text means no hidden layer."""
    try:
        sizes = tuple(int(part) for part in text.split(",")) if text.strip() else ()
    except ValueError:
        raise ValueError(f"{option} is {text!r}: give sizes such as 64,32") from None
    if any(size < 1 for size in sizes):
        raise ValueError(f"{option} is {text!r}: sizes must be at least 1")
    return sizes


def _build(name: str, num_dense: int, table_sizes: list[int], seed: int, options: dict) -> Any:
    if name != "dlrm":
        raise ValueError(f"model {name!r} is not known: dlrm")
    return md.DLRM(num_dense, table_sizes, seed=seed, **options)


def _summary(network: Any, batch_size: int) -> Table:
    """One line for each layer; weights are read once a batch, so a sample's share is 1/B."""
    table = Table(
        title=f"{type(network).__name__} at B = {batch_size}", box=SIMPLE, show_footer=True
    )
    moved, rows = 0.0, []
    for name, layer in network.named_modules():
        if any(layer.named_children()):
            continue
        size = layer.num_parameters()
        shapes = " + ".join("×".join(map(str, p.value.shape)) for p in layer.parameters())
        looked_up = isinstance(layer, md.EmbeddingBagCollection)  # its rows are counted already
        layer_bytes = layer.bytes_per_sample() + (0 if looked_up else 4 * size / batch_size)
        moved += layer_bytes
        cost = (f"{layer.flops_per_sample():,}", f"{layer_bytes:,.0f}")
        rows.append((name, shapes or "-", f"{size:,}", *cost))
    totals = (f"{network.num_parameters():,}", f"{network.flops_per_sample():,}", f"{moved:,.0f}")
    titles = ("operation", "shapes", "parameters", "FLOPs\na sample", "bytes moved\na sample")
    for k, (title, total) in enumerate(zip(titles, ("total", "", *totals), strict=True)):
        table.add_column(title, total, justify="right" if k > 1 else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _results_table(results: dict, splits: dict[str, Batch], clicks: Dataset) -> Table:
    table = Table(title="results", box=SIMPLE)
    table.add_column("", no_wrap=True)
    for name in results:
        table.add_column(f"{name}\n{len(splits[name]):,} rows", justify="right")
    limits: dict[str, float] = {}
    if clicks.bayes_log_loss is not None and clicks.bayes_auc is not None:
        table.add_column("Bayes limit\n(test)", justify="right")
        table.add_column("test above\nlimit", justify="right")
        limits = {"log_loss": clicks.bayes_log_loss, "auc": clicks.bayes_auc}
        rate = float(np.mean(np.asarray(splits["test"].label)))
        entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
        limits["normalized_entropy"] = clicks.bayes_log_loss / entropy
    for metric in results["train"]:
        cells = [f"{results[name][metric]:.5f}" for name in results]
        if limits:
            limit = limits.get(metric)
            gap = results["test"][metric] / limit - 1 if limit else 0
            cells += [f"{limit:.5f}", f"{100 * gap:+.2f}%"] if limit else ["", ""]
        table.add_row(metric.replace("_", " "), *cells)
    return table


def _write(out: Path, network: Any, history: Any, results: dict, clicks: Dataset) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    history.plot(ax=figure.subplots(), bayes_log_loss=clicks.bayes_log_loss)
    with replacing(out / "learning_curve.png") as path:
        figure.savefig(path, dpi=150, format="png")
    summary = {
        "version": md.__version__,
        "data": clicks.description,
        "model": repr(network),
        "results": results,
        "bayes_log_loss": clicks.bayes_log_loss,
        "bayes_auc": clicks.bayes_auc,
        "history": history.records,
    }
    with replacing(out / "metrics.json") as path:
        finite = json.loads(json.dumps(summary), parse_constant=lambda _: None)  # NaN: null
        path.write_text(json.dumps(finite, indent=2) + "\n", encoding="utf-8")
    md.save(network, out / f"{type(network).__name__.lower()}.safetensors")
