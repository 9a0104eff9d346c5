"""The command line: minidlrm train, compare, gradcheck, show, verify, data, learn, grade.

Every error that a user can cause is one red line on stderr, with exit code 2.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
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
from rich.text import Text

import minidlrm as md
from minidlrm import tutorials
from minidlrm.checkpoint import replacing
from minidlrm.data.batch import Batch, Dataset
from minidlrm.grading.commands import app as grade_app
from minidlrm.optim import OPTIMIZERS

_MAX_REPORTED_ROWS = 100_000  # of the training rows, for the closing table

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Learn how a deep recommender works by building one.",
)

data_app = typer.Typer(no_args_is_help=True, help="Get public data sets.")
app.add_typer(data_app, name="data")
app.add_typer(grade_app, name="grade")

_ON_FIELDS = ("dlrm", "lr", "fm", "mlp", "wide-deep", "deepfm", "dcn", "dcn-v2", "xdeepfm")
_ON_PAIRS = ("mf", "gmf", "neumf")
_MODELS = (*_ON_FIELDS, *_ON_PAIRS)
_RMSE_TARGET = 0.875  # of biased MF on MovieLens latest-small, the mean of five random splits
_FM_MARGIN = 0.005  # an FM on user and item is biased MF

ModelName = Annotated[str, typer.Argument(help=f"One of {', '.join(_MODELS)}.")]
DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        help="synthetic, criteo:PATH, movielens:FOLDER (as clicks; as rankings for gmf and "
        "neumf), or movielens-ratings:FOLDER.",
    ),
]
RowsOption = Annotated[int | None, typer.Option(help="Rows to make, or to read at most.")]
DimOption = Annotated[int, typer.Option("--embedding-dim", help="Size of an embedding.")]
BottomOption = Annotated[str, typer.Option("--bottom-mlp", help="Hidden sizes, such as 64,32.")]
TopOption = Annotated[str, typer.Option("--top-mlp", help="Hidden sizes, such as 64,32.")]
InteractionOption = Annotated[str, typer.Option("--interaction", help="dot, cat or cross.")]
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
    model: Annotated[str, typer.Option(help=f"One of {', '.join(_MODELS)}.")] = "dlrm",
    data: DataOption = "synthetic",
    rows: RowsOption = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training rows.")] = 2,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Rows a step.")] = 512,
    embedding_dim: DimOption = 16,
    bottom_mlp: BottomOption = "64,32",
    top_mlp: TopOption = "128,64",
    interaction: InteractionOption = "dot",
    self_interaction: SelfOption = False,
    optimizer: Annotated[str, typer.Option(help=f"{', '.join(OPTIMIZERS)}.")] = "adam",
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
    if model not in _MODELS:
        raise ValueError(f"model {model!r} is not known: {', '.join(_MODELS)}")
    kind, _, path = data.partition(":")
    if model == "mf" or (model == "fm" and kind == "movielens-ratings"):
        _train_ratings(console, model, _movielens(model, kind, path), seed)
        return
    if model in _ON_PAIRS:
        sizes = _sizes("--top-mlp", top_mlp)
        _train_ncf(console, model, _movielens(model, kind, path), embedding_dim, sizes, seed)
        return
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer {optimizer!r} is not known: {', '.join(OPTIMIZERS)}")
    _positive("--epochs", epochs)
    _positive("--batch-size", batch_size)
    md.SGD(lr)  # refuses a bad rate before the data are read
    out.mkdir(parents=True, exist_ok=True)
    clicks = _dataset(data, rows, seed, min_count, on_bad_line)
    console.print(clicks.description)
    options = _model_options(embedding_dim, bottom_mlp, top_mlp, interaction, self_interaction)
    network = _build(model, clicks.num_dense, clicks.table_sizes, seed, options)
    console.print(_summary(network, batch_size))
    steps = -(-len(clicks.train) // batch_size)
    half = steps * epochs // 2
    schedule = partial(
        md.warmup_decay, lr=lr, decay_start_step=half, num_decay_steps=steps * epochs - half
    )
    ratings = data.startswith("movielens-ratings:")
    if ratings:
        _begin_at_the_mean(network, float(np.mean(np.asarray(clicks.train.label))))
    history = md.fit(
        network,
        clicks.train,
        clicks.valid,
        loss=md.MSE() if ratings else md.BCEWithLogits(),
        optimizer=OPTIMIZERS[optimizer](lr=schedule if decay else lr),
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
    metrics = partial(md.evaluate, task=clicks.task)
    results = {name: metrics(network, split) for name, split in splits.items() if len(split)}
    console.print(_results_table(results, splits, clicks))
    _write(out, network, history, results, clicks)
    console.print(f"wrote learning_curve.png, metrics.json and {model}.safetensors to {out}")


@app.command(
    epilog="Examples: [bold]minidlrm gradcheck dlrm[/bold]   "
    "[bold]minidlrm gradcheck my_layer.py:Linear[/bold]   [bold]minidlrm gradcheck --all[/bold]"
)
def gradcheck(
    target: Annotated[
        str,
        typer.Argument(
            help="A model; or PATH.py or PATH.py:NAME, with two functions forward and backward, "
            "a layer, a loss, an optimizer, or a function that returns what to check and on what."
        ),
    ] = "dlrm",
    everything: Annotated[
        bool, typer.Option("--all", help="Check every layer, loss and model in every option.")
    ] = False,
    method: Annotated[
        str, typer.Option(help="auto, complex, richardson or central differences.")
    ] = "auto",
    max_checks: Annotated[
        int | None, typer.Option("--max-checks", help="Entries an array that are checked singly.")
    ] = None,
    seed: SeedOption = 0,
) -> None:
    """Check every gradient of a model, of your own layer, or of all; explain what is wrong."""
    from minidlrm.checking import cases, student

    if max_checks is not None:
        _positive("--max-checks", max_checks)
    options: dict[str, Any] = {"max_checks": max_checks, "seed": seed, "verbose": False}
    if everything:
        _gradcheck_all(Console(), list(cases.everything(seed)), {**options, "method": method})
        return
    if student.is_file(target):
        try:
            report = student.check(target, method=method, **options)
        except student.Unclear as error:  # several lines, with code to copy
            print(f"error: {error}", file=sys.stderr)
            raise typer.Exit(2) from None
    else:
        _, checked, inputs = next(cases.model(target, seed))
        report = md.gradcheck(checked, *inputs, method=method, **options)
    print(report)
    if not report.passed:
        raise typer.Exit(1)


def _gradcheck_all(console: Console, chosen: list, options: dict[str, Any]) -> None:
    from tqdm.auto import tqdm

    table = Table(title="analytic gradients against the functions themselves, float64", box=SIMPLE)
    for column in ("target", "arrays", "entries", "kinks", "worst error", ""):
        right = column not in ("target", "")
        wide = {"no_wrap": True} if column != "target" else {"overflow": "fold"}
        table.add_column(column, justify="right" if right else "left", **wide)
    failed, arrays, entries = [], 0, 0
    for name, target, inputs in tqdm(chosen, desc="checking", unit="target"):
        report = md.gradcheck(target, *inputs, **options)
        checked = sum(c.num_checked for c in report.arrays)
        numbers = (len(report.arrays), checked, sum(c.kinks for c in report.arrays))
        worst = f"{max((c.error for c in report.arrays), default=0):.1e}"
        verdict = "[green]ok[/green]" if report.passed else "[red]FAILED[/red]"
        table.add_row(Text(name), *map(str, numbers), worst, verdict)
        arrays, entries = arrays + numbers[0], entries + checked
        failed += [] if report.passed else [(name, report)]
    console.print(table)
    for name, report in failed:
        print(f"\n{name}\n{report}")
    console.print(
        f"{len(chosen) - len(failed)} of {len(chosen)} targets pass: {arrays:,} arrays, "
        f"{entries:,} entries"
    )
    if failed:
        raise typer.Exit(1)


@app.command(
    epilog="Examples: [bold]minidlrm compare --rows 50000[/bold]   "
    "[bold]minidlrm compare --experiment order[/bold]"
)
def compare(
    data: DataOption = "synthetic",
    rows: RowsOption = None,
    experiment: Annotated[
        str, typer.Option(help="models, or order: a pure signal of order 1, 2, 3.")
    ] = "models",
    epochs: Annotated[int, typer.Option(help="Passes over the training rows.")] = 3,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Rows a step.")] = 256,
    embedding_dim: Annotated[int, typer.Option("--embedding-dim", help="For every model.")] = 8,
    mlp: Annotated[str, typer.Option(help="Hidden sizes of every MLP.")] = "64,32",
    seeds: Annotated[int, typer.Option(help="Runs of each model.")] = 3,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("runs/compare"),
) -> None:
    """Train every model under the same budget, and tell differences from noise."""
    from minidlrm.comparison import Budget

    for option, value in (("--epochs", epochs), ("--batch-size", batch_size), ("--seeds", seeds)):
        _positive(option, value)
    if experiment not in ("models", "order"):
        raise ValueError(f"experiment {experiment!r} is not known: models, or order")
    sizes = _sizes("--mlp", mlp)
    if not sizes:
        raise ValueError("--mlp is empty: the deep models need at least one hidden layer")
    budget = Budget(embedding_dim, sizes, epochs, batch_size, seeds=seeds)
    out.mkdir(parents=True, exist_ok=True)
    if experiment == "order":
        if data != "synthetic":
            raise ValueError(f"--data {data}: the order experiment plants its own signal")
        _order_experiment(Console(), budget, rows or 200_000, seed, out)
    else:
        if data == "synthetic" and rows is None:
            rows = 200_000
        _compare_models(Console(), budget, _dataset(data, rows, seed, 2, "error"), out)


def _compare_models(console: Console, budget: Any, dataset: Dataset, out: Path) -> None:
    from minidlrm import comparison

    console.print(dataset.description)
    rates = ", ".join(map(str, budget.learning_rates))
    console.print(
        f"budget: D = {budget.embedding_dim}, MLP {budget.mlp}, {budget.epochs} epochs, batches of "
        f"{budget.batch_size}, Adam at {rates} (chosen on the validation rows), "
        f"{budget.seeds} seeds"
    )
    rows = comparison.compare(dataset, budget, out)
    if not rows:
        raise ValueError("no model was finished")
    records = comparison.as_records(rows, dataset)
    console.print(_cost_table(records))
    console.print(_quality_table(records, dataset))
    console.print('"noise": not told from the lowest mean, by the rows or by the seeds')
    bayes = dataset.bayes_log_loss
    score = {"log loss": "log loss (nats per row)", "RMSE": "RMSE (stars)"}[
        comparison.metric(dataset)
    ]
    on_fields = [row.contender for row in rows if not row.contender.pairs_only]
    figures = {
        "quality_against_cost": lambda ax: md.plots.quality_against_cost(records, ax, bayes, score),
        "learning_curves": lambda ax: md.plots.learning_curves(rows, ax, bayes, score),
        "cost_against_fields": lambda ax: md.plots.cost_against_fields(
            on_fields, budget.embedding_dim, budget.mlp, ax
        ),
    }
    for name, draw in figures.items():
        _save_figure(out / f"{name}.png", draw)
    _write_json(out / "comparison.json", {"data": dataset.description, "models": records})
    with replacing(out / "comparison.md") as path:
        path.write_text(comparison.as_markdown(records, dataset, budget), encoding="utf-8")
    names = ", ".join(f"{name}.png" for name in figures)
    console.print(f"wrote {names}, comparison.md, comparison.json to {out}")


def _cost_table(records: list[dict]) -> Table:
    table = Table(
        title="what interacts, and what it costs", box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False
    )
    titles = ("model", "unit", "order", "parameters", "FLOPs", "rows/s", "MB", "lr")
    for k, title in enumerate(titles):
        table.add_column(title, justify="right" if k > 2 else "left", no_wrap=True)
    for r in records:
        numbers = (r["parameters"], r["flops"], round(r["samples_per_second"]))
        memory = f"{r['memory'] / 1e6:.1f}"
        table.add_row(
            r["model"], r["unit"], r["order"], *(f"{n:,}" for n in numbers), memory, f"{r['lr']:g}"
        )
    return table


def _quality_table(records: list[dict], dataset: Dataset) -> Table:
    """Nothing is set in bold unless one model alone is told from all others."""
    from minidlrm.comparison import metric

    clicks, bayes = metric(dataset) == "log loss", dataset.bayes_log_loss is not None
    table = Table(
        title=f"test {metric(dataset)}{' and AUC' if clicks else ''}, mean ± deviation over the "
        f"seeds; {len(dataset.test):,} rows",
        box=SIMPLE,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    numbers = [metric(dataset)] + ["AUC"] * clicks + ["above\nBayes"] * bayes
    for title in ("model", *numbers, "above the best\n(95%)", ""):
        table.add_column(title, justify="left" if title in ("model", "") else "right", no_wrap=True)
    ties = sum(r["noise"] for r in records)
    for r in records:
        low, high = r["above_best"]
        interval = (
            "lowest mean" if low == high == 0 else f"{_short(low, True)} to {_short(high, True)}"
        )
        verdict = "" if not r["noise"] else "best alone" if ties == 1 else "noise"
        scores = [f"{r['score']:.4f} ±{_short(r['score_std'])}"]
        scores += [f"{r['auc']:.4f} ±{_short(r['auc_std'])}"] * clicks
        if bayes:
            scores.append(f"{100 * r['above_bayes']:+.2f}%")
        cells = (r["model"], *scores, interval, verdict)
        style = "bold" if r["noise"] and ties == 1 else None
        table.add_row(*(Text(cell) for cell in cells), style=style)
    return table


def _short(x: float, sign: bool = False) -> str:
    """Write 0.0123 as .0123, to keep the table narrow."""
    return f"{x:{'+' if sign else ''}.4f}".replace("0.", ".", 1)


def _order_experiment(console: Console, budget: Any, rows: int, seed: int, out: Path) -> None:
    from minidlrm import comparison

    shares: dict[str, list[tuple[float, float]]] = {}
    orders = (1, 2, 3)
    for order in orders:
        dataset = md.data.synthetic_clicks(
            rows, seed, order=order, num_dense=0, num_tables=12, max_table_size=30
        )
        console.print(dataset.description)
        entropy = md.metrics.entropy(np.asarray(dataset.test.label))
        assert dataset.bayes_log_loss is not None
        for row in comparison.compare(dataset, budget, out):
            parts = [comparison.explained(x, entropy, dataset.bayes_log_loss) for x in row.score]
            share = float(np.mean(parts)), comparison.deviation(parts)
            shares.setdefault(row.contender.name, []).append(share)
    table = Table(
        title="share of the learnable signal that was learned (1: the Bayes limit)", box=SIMPLE
    )
    for title in ("model", *(f"order {k}" for k in orders)):
        table.add_column(title, justify="left" if title == "model" else "right")
    whole = {name: values for name, values in shares.items() if len(values) == len(orders)}
    for name, values in whole.items():
        table.add_row(name, *(f"{mean:+.3f} ± {spread:.3f}" for mean, spread in values))
    console.print(table)
    matrix = np.array([[mean for mean, _ in values] for values in whole.values()])
    names = [f"{k}" for k in orders]
    _save_figure(
        out / "order.png", lambda ax: md.plots.order_heat_map(matrix, list(whole), names, ax)
    )
    _write_json(out / "order.json", {"orders": orders, "explained": whole})
    with replacing(out / "order.md") as path:
        path.write_text(comparison.order_markdown(whole, rows, budget), encoding="utf-8")
    console.print(f"wrote order.png, order.md, order.json to {out}")


def _save_figure(path: Path, draw: Any) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    draw(figure.subplots())
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")


def _write_json(path: Path, content: dict) -> None:
    finite = json.loads(json.dumps(content), parse_constant=lambda _: None)  # NaN: null
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(finite, indent=2) + "\n", encoding="utf-8")


@app.command(
    epilog="Examples: [bold]minidlrm show dlrm --embedding-dim 32 --top-mlp 512,256[/bold]   "
    "[bold]minidlrm show dlrm --trace --rows 4[/bold]"
)
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
    trace: Annotated[
        bool, typer.Option("--trace", help="Run one step, and show every operation.")
    ] = False,
    seed: SeedOption = 0,
) -> None:
    """Show a model: its layers, parameters, FLOPs, and the bytes that each operation moves.

    With --trace, --rows is the size of the batch that goes through.
    """
    count = 1000 if data == "synthetic" else rows
    clicks = _dataset(data, count, seed, 2, "error")
    options = _model_options(embedding_dim, bottom_mlp, top_mlp, interaction, self_interaction)
    network = _build(model, clicks.num_dense, clicks.table_sizes, seed, options)
    if not trace:
        Console().print(_summary(network, batch_size))
        return
    if rows is not None:
        _positive("--rows", rows)
    print(md.trace(network, clicks.train[: rows or 4]))


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


@app.command(
    epilog="Examples: [bold]minidlrm learn[/bold]   [bold]minidlrm learn my-course --no-open[/bold]"
)
def learn(
    folder: Annotated[Path, typer.Argument(help="Where your copies go.")] = Path("minidlrm-course"),
    open_lab: Annotated[
        bool, typer.Option("--open/--no-open", help="Whether to open Jupyter Lab on them.")
    ] = True,
) -> None:
    """Copy the tutorials to a folder of yours, and open Jupyter Lab there.

    Notebooks that are in the folder already are kept as they are, with all that you wrote.
    """
    console = Console()
    copied, kept = tutorials.copy_to(folder)
    console.print(f"{len(copied)} files copied to {folder}, {len(kept)} of yours kept", style="dim")
    if not open_lab:
        return
    if importlib.util.find_spec("jupyterlab") is None:
        raise ImportError('Jupyter Lab is not installed: pip install "minidlrm[notebooks]"')
    command = [sys.executable, "-m", "jupyterlab", f"--notebook-dir={folder.resolve()}"]
    raise typer.Exit(subprocess.call(command))


@data_app.command(
    epilog="Examples: [bold]minidlrm data fetch movielens-latest-small[/bold]   "
    "[bold]minidlrm data fetch criteo-kaggle --to /big/disk[/bold]"
)
def fetch(
    name: Annotated[
        str,
        typer.Argument(
            help="movielens-latest-small, movielens-100k, movielens-1m, or criteo-kaggle (4.6 GB)."
        ),
    ],
    to: Annotated[
        Path | None,
        typer.Option(help="Folder of all data sets; default: MINIDLRM_DATA, or the user's cache."),
    ] = None,
) -> None:
    """Download a data set, check it, unpack it, and say how to train on it."""
    path = md.data.fetch(name, to)
    console = Console()
    console.print(f"{name} is in {path}", soft_wrap=True)
    kind = "criteo" if name.startswith("criteo") else "movielens"
    console.print(f"minidlrm train --data {kind}:{path}", soft_wrap=True)


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
    if kind == "movielens" and path:
        return md.data.movielens_clicks(path)
    if kind == "movielens-ratings" and path:
        return md.data.movielens_ratings(path, seed=seed)
    raise ValueError(
        f"data {data!r} is not known: give synthetic, criteo:PATH, movielens:FOLDER, or "
        "movielens-ratings:FOLDER"
    )


def _model_options(embedding_dim, bottom_mlp, top_mlp, interaction, self_interaction) -> dict:
    return {
        "embedding_dim": embedding_dim,
        "bottom_mlp": _sizes("--bottom-mlp", bottom_mlp),
        "top_mlp": _sizes("--top-mlp", top_mlp),
        "interaction": interaction,
        "self_interaction": self_interaction,
    }


def _begin_at_the_mean(network: Any, mean: float) -> None:
    """Set the bias of the output, so that the model has not to find the mean rating first."""
    last = [p for p in network.parameters() if p.name == "bias" and p.value.size == 1]
    if last:
        last[-1].value[...] = mean


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
    if name not in _ON_FIELDS:
        raise ValueError(f"model {name!r} is not known here: {', '.join(_ON_FIELDS)}")
    if name == "dlrm":
        return md.DLRM(num_dense, table_sizes, seed=seed, **options)
    if name == "lr":
        return md.LogisticRegression(num_dense, table_sizes, seed=seed)
    dim, mlp = options["embedding_dim"], options["top_mlp"]
    if name == "fm":
        return md.FactorizationMachine(num_dense, table_sizes, dim, seed=seed)
    kinds = {
        "mlp": (md.MLPModel, {}),
        "wide-deep": (md.WideDeep, {}),
        "deepfm": (md.DeepFM, {}),
        "dcn": (md.DCN, {"cross": "vector"}),
        "dcn-v2": (md.DCN, {"cross": "matrix"}),
        "xdeepfm": (md.XDeepFM, {}),
    }
    kind, more = kinds[name]
    return kind(num_dense, table_sizes, dim, mlp=mlp, seed=seed, **more)


def _movielens(model: str, kind: str, path: str) -> str:
    if kind not in ("movielens", "movielens-ratings") or not path:
        raise ValueError(f"model {model} takes users and items: give --data movielens:FOLDER")
    return path


def _train_ratings(console: Console, model: str, path: str, seed: int) -> None:
    """Train MF, and FM beside it, on five random splits with 10% test rows."""
    from tqdm.auto import tqdm

    from minidlrm import recipes

    recipe = {"mf": recipes.train_mf} | ({"fm": recipes.train_fm} if model == "fm" else {})
    scores = []
    table = Table(title="RMSE of the test rows, five random splits", box=SIMPLE, min_width=44)
    for column in ("split", *recipe):
        table.add_column(column, justify="right")
    for split in tqdm(range(seed, seed + 5), desc="training", unit="split"):
        ratings = md.data.movielens_ratings(path, seed=split)
        scores.append([recipes.rating_rmse(f(ratings, split), ratings) for f in recipe.values()])
        table.add_row(str(split), *(f"{value:.4f}" for value in scores[-1]))
    console.print(ratings.description.rpartition(", random")[0] + ", 10% random test rows")
    console.print(table)
    means, spread = np.mean(scores, axis=0), np.std(scores, axis=0, ddof=1)
    met = "met" if means[0] <= _RMSE_TARGET else "missed"
    console.print(f"mf: test RMSE {means[0]:.4f} ± {spread[0]:.4f}; target {_RMSE_TARGET}: {met}")
    if model == "fm":
        near = "met" if means[1] - means[0] <= _FM_MARGIN else "missed"
        console.print(f"fm: test RMSE {means[1]:.4f} ± {spread[1]:.4f}")
        console.print(f"fm - mf: {means[1] - means[0]:+.4f}; target, at most {_FM_MARGIN}: {near}")


def _train_ncf(console: Console, model: str, path: str, dim: int, mlp: tuple, seed: int) -> None:
    from minidlrm.recipes import train_ncf

    items = md.data.movielens_ranking(path, seed=seed)
    console.print(items.description)
    network: Any = md.GMF(items.table_sizes, dim, seed=seed)
    if model == "neumf":
        network = md.NeuMF(items.table_sizes, dim, mlp, seed=seed)
    table = Table(title=f"{model}: the item left out among 99 others", box=SIMPLE)
    for column in ("epoch", "training loss", "valid HR@10", "test HR@10", "test NDCG@10"):
        table.add_column(column, justify="right")
    records = list(train_ncf(network, items, seed))
    for record in records:
        epoch, *scores = record.values()
        table.add_row(str(epoch), *(f"{score:.4f}" for score in scores))
    console.print(table)
    best = max(records, key=lambda record: record["valid_hit_rate"])
    console.print(
        f"HR@10 {best['test_hit_rate']:.4f}, NDCG@10 {best['test_ndcg']:.4f} "
        f"(epoch {best['epoch']}, chosen by the validation items)"
    )


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
        entropy = md.metrics.entropy(np.asarray(splits["test"].label))
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
    limit = clicks.bayes_log_loss
    _save_figure(out / "learning_curve.png", lambda ax: history.plot(ax=ax, bayes_log_loss=limit))
    summary = {
        "version": md.__version__,
        "data": clicks.description,
        "model": repr(network),
        "results": results,
        "bayes_log_loss": clicks.bayes_log_loss,
        "bayes_auc": clicks.bayes_auc,
        "history": history.records,
    }
    _write_json(out / "metrics.json", summary)
    md.save(network, out / f"{type(network).__name__.lower()}.safetensors")
