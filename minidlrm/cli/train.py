"""minidlrm train: any model on any data; curve, metrics and checkpoint are always written."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

import minidlrm as md
from minidlrm import recipes
from minidlrm.cli import columns, trained
from minidlrm.cli import options as given
from minidlrm.cli import ranks as across
from minidlrm.cli.advice import seconds_an_epoch, warnings_after, warnings_before
from minidlrm.cli.summary import summary, title_of, warning
from minidlrm.data import Batch, Dataset
from minidlrm.data.rankings import RankingDataset
from minidlrm.growing import grow as grow_model
from minidlrm.languages import Message, say
from minidlrm.machine import keep_memory
from minidlrm.models import MODELS, Model
from minidlrm.optim import OPTIMIZERS, Optimizer
from minidlrm.parallel.sharding import comm_of
from minidlrm.printing import as_rich
from minidlrm.training import History, begin_at_the_mean
from minidlrm.writing import write_figure, write_json, wrote

_MAX_REPORTED_ROWS = 50_000  # of the training rows, for the closing table
_EVALUATIONS = 8  # an epoch
_TRAINING = "training.safetensors"  # the checkpoint of a run that can be resumed


@dataclass(frozen=True)
class Settings:
    """How to train: what the options of `train` say, whatever the data."""

    optimizer: str
    lr: float
    decay: bool | None
    epochs: int
    batch_size: int
    patience: int | None
    seed: int
    checkpoint_every: int | None = None
    resume: bool = False

    def __post_init__(self):
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(
                Message(
                    "optimizer {name} is not known: {known}",
                    name=repr(self.optimizer),
                    known=", ".join(OPTIMIZERS),
                )
            )
        if self.decay and self.optimizer == "ftrl":  # its sums hold gradients over the rate
            where = Message("optimizer {name}", name="ftrl")
            given.refuse("decay", where, [o for o in OPTIMIZERS if o != "ftrl"])
        given.positive("--epochs", self.epochs)
        given.positive("--batch-size", self.batch_size)
        for option, value in (
            ("--patience", self.patience),
            ("--checkpoint-every", self.checkpoint_every),
        ):
            if value is not None:
                given.positive(option, value)
        OPTIMIZERS[self.optimizer](lr=self.lr)  # refuses a bad rate before the data are read

    def make_optimizer(self, rows: int) -> Optimizer:
        """Make the optimizer of a run over this many rows an epoch."""
        total = -(-rows // self.batch_size) * self.epochs
        fall = {"decay_start_step": total // 2, "num_decay_steps": total - total // 2}
        schedule = partial(md.warmup_decay, lr=self.lr, **fall)
        decay = self.optimizer != "ftrl" if self.decay is None else self.decay
        return OPTIMIZERS[self.optimizer](lr=schedule if decay else self.lr)


def train(
    model: Annotated[
        str, typer.Option(help=Message("One of {names}.", names=", ".join(MODELS)))
    ] = "dlrm",
    data: given.DataOption = "synthetic",
    rows: given.RowsOption = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training rows.")] = 1,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Rows a step.")] = 1024,
    embedding_dim: given.DimOption = None,
    bottom_mlp: given.BottomOption = None,
    top_mlp: given.TopOption = None,
    interaction: given.InteractionOption = None,
    self_interaction: given.SelfOption = False,
    bag_mode: given.BagModeOption = None,
    optimizer: Annotated[
        str, typer.Option(help=Message("One of {names}.", names=", ".join(OPTIMIZERS)))
    ] = "adam",
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 0.004,
    decay: Annotated[
        bool | None,
        typer.Option(
            "--decay/--no-decay",
            help="Let the rate fall to 0 in the second half of the steps (not for ftrl).",
            show_default="decay",
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            help="Stop after this many evaluations without an improvement, and keep the best."
        ),
    ] = None,
    checkpoint_every: Annotated[
        int | None,
        typer.Option(
            "--checkpoint-every",
            help=Message(
                "Steps between checkpoints: {file} in --out (clicks and ratings).", file=_TRAINING
            ),
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help=Message("Go on from {file} in --out (clicks and ratings).", file=_TRAINING),
        ),
    ] = False,
    min_count: given.MinCountOption = None,
    on_bad_line: given.BadLineOption = None,
    drop_users: given.DropUsersOption = None,
    label: columns.LabelOption = None,
    dense: columns.DenseOption = None,
    sparse: columns.SparseOption = None,
    bags: columns.BagsOption = None,
    transform: columns.TransformOption = None,
    sample_weight: columns.SampleWeightOption = None,
    task: columns.TaskOption = None,
    split: columns.SplitOption = None,
    time: columns.TimeOption = None,
    user: columns.UserOption = None,
    split_column: columns.SplitColumnOption = None,
    delimiter: columns.DelimiterOption = None,
    encoding: columns.EncodingOption = None,
    grow: Annotated[
        bool,
        typer.Option(
            "--grow",
            help="With --resume: go on with another table (table:FILE) in which new ids occur.",
        ),
    ] = False,
    ranks: across.RanksOption = None,
    shard: across.ShardOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show columns, model, memory and time, and stop.")
    ] = False,
    seed: given.SeedOption = 0,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("runs/latest"),
) -> None:
    """Train a model, and write its learning curve, metrics and checkpoint.

    Any model takes any data that it fits. Clicks are scored by log loss and AUC, ratings by
    RMSE, rankings by hit rate and NDCG among the first ten.
    """
    keep_memory()  # before `fit` does: the columns of the data come and go, too
    comm = across.communicator(ranks)
    if comm is None and shard is not None:
        given.refuse("shard", Message("one process"), ["--ranks"])
    sizes = given.model_options(
        model,
        embedding_dim=embedding_dim,
        bottom_mlp=bottom_mlp,
        top_mlp=top_mlp,
        interaction=interaction,
        self_interaction=self_interaction,
        bag_mode=bag_mode,
    )
    settings = Settings(
        optimizer, lr, decay, epochs, batch_size, patience, seed, checkpoint_every, resume
    )
    roles = columns.parsed(
        label=label,
        dense=dense,
        sparse=sparse,
        bags=bags,
        transform=transform,
        sample_weight=sample_weight,
        task=task,
        split=split,
        time=time,
        user=user,
        split_column=split_column,
        delimiter=delimiter,
        encoding=encoding,
    )
    if data == "synthetic" and rows is None:
        rows = 700_000
    reading = {"rows": rows, "min_count": min_count, "on_bad_line": on_bad_line, **roles}
    if grow:
        if comm:
            given.refuse("grow", "--ranks", [Message("one process")])
        if not resume:
            raise ValueError(
                Message("--grow needs --resume: it goes on from the checkpoint in --out")
            )
        shared = {"seed": seed, "drop_users": drop_users}
        network, dataset = _grown(out / f"{model}.safetensors", data, shared, reading)
        settings = replace(settings, resume=False)
    else:
        reads = partial(given.read, data, model, {"seed": seed}, **reading, drop_users=drop_users)
        dataset = across.in_turn(comm, reads) if ":" in data else reads()
        build = partial(given.build, model, dataset, seed, sizes)
        network = across.build(comm, build, dataset, settings, shard) if comm else build()
    speaks = across.speaks(network)
    console = Console(quiet=not speaks)
    _describe(console, dataset, network, settings)
    if dry_run:
        return
    out.mkdir(parents=True, exist_ok=True)
    if isinstance(dataset, RankingDataset):
        history, results = _rank(network, dataset, settings)
    else:
        history, results = _fit(network, dataset, settings, out / _TRAINING, begin=not grow)
    console.print(_epochs(history))
    console.print(_results(results, dataset))
    _warn(console, warnings_after(results, dataset))
    source = trained.as_told(data, model, seed, drop_users, reading)
    files = _write(out, model, network, history, results, dataset, source, speaks)
    if comm:
        console.print(across.told(out / model), highlight=False, soft_wrap=True)
    console.print(wrote(out, *files))


def _grown(path: Path, data: str, shared: dict[str, Any], reading: dict[str, Any]) -> tuple:
    """Return the saved model with rows for new ids, and the new table in its terms."""
    scheme, _, file = data.partition(":")
    if scheme != "table":
        raise ValueError(Message("--grow needs --data table:FILE, not {data}", data=data))
    if shared["drop_users"]:
        given.refuse("drop_users", "--data table", ["--data movielens-ranking"])
    model, schema = md.load_with_schema(path)
    splits = ("split", "time", "user", "split_column")
    text = {k: reading.pop(k) for k in ("delimiter", "encoding") if k in reading}
    how = {k: reading.pop(k) for k in splits if k in reading} or {"split": "random"}
    least = reading.pop("min_count") or 1
    for option, value in reading.items():
        if value is not None:
            raise ValueError(
                Message(
                    "{option} has no meaning with --grow: the schema says it",
                    option=f"--{option.replace('_', '-')}",
                )
            )
    source = md.data.open_source(file, **text)
    schema = schema.grown(source, least)
    dataset = md.data.read_table(file, schema=schema, seed=shared["seed"], **how, **text)
    return grow_model(model, schema.table_sizes, shared["seed"]), dataset


def _describe(console: Console, dataset: Dataset, network: Model, settings: Settings) -> None:
    """Print what is to be trained, on what, and how long it will take."""
    console.print(say(dataset.description))
    if dataset.schema is not None:
        console.print(dataset.schema.to_text(), markup=False, highlight=False)
    console.print(summary(network, settings.batch_size))
    size = f"{sum(p.value.nbytes for p in network.parameters()) / 2**20:,.1f}"
    line = say("memory of the weights: {size} MiB", size=size)
    if comm_of(network):  # and the time is that of the slowest rank
        line = say("memory of the weights on this rank: {size} MiB", size=size)
    elif not isinstance(dataset, RankingDataset):
        seconds = seconds_an_epoch(network, dataset, settings.batch_size)
        if seconds >= 1:
            line += say("; an epoch takes about {seconds} s", seconds=f"{seconds:,.0f}")
    console.print(line)
    _warn(console, warnings_before(dataset))


def _warn(console: Console, lines: list[str]) -> None:
    for line in lines:
        console.print(warning(line), style="yellow", markup=False, soft_wrap=True)


Results = dict[str, dict[str, float]]  # for each split, its metrics


def _fit(
    network: Model, dataset: Dataset, settings: Settings, checkpoint: Path, begin: bool
) -> tuple[History, Results]:
    """Train on clicks or ratings; write checkpoints where they are asked for."""
    keeps = settings.resume or settings.checkpoint_every is not None
    if comm_of(network):
        checkpoint = checkpoint.with_suffix("")  # a folder, for the files of all ranks
    if dataset.task == "ratings" and begin:
        begin_at_the_mean(network, dataset.train)
    steps = -(-len(dataset.train) // settings.batch_size)
    try:
        history = md.fit(
            network,
            dataset,
            optimizer=settings.make_optimizer(len(dataset.train)),
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            seed=settings.seed,
            eval_every=-(-steps // _EVALUATIONS),
            patience=settings.patience,
            checkpoint=checkpoint if keeps else None,
            checkpoint_every=settings.checkpoint_every,
            resume=settings.resume,
        )
    except KeyboardInterrupt:
        if keeps and across.speaks(network):
            line = say("{path} is written: --resume goes on from there", path=checkpoint)
            print(line, file=sys.stderr)
        raise
    results = {}
    for name, rows in _splits(dataset).items():
        results[name] = _last(history, settings) if name == "valid" else md.evaluate(network, rows)
    return history, results


def _last(history: History, settings: Settings) -> dict[str, float]:
    """Return the metrics of the validation rows: `fit` saw them, with the weights it left."""
    record = history.records[-1] if settings.patience is None else history.best
    return {k.removeprefix("valid_"): v for k, v in record.items() if k.startswith("valid_")}


def _rank(network: Model, items: RankingDataset, settings: Settings) -> tuple[History, Results]:
    """Train on rankings, with fresh negatives in each epoch."""
    if settings.resume or settings.checkpoint_every is not None:
        option = "resume" if settings.resume else "checkpoint_every"
        given.refuse(option, Message("rankings"), [Message("clicks"), Message("ratings")])
    rows = len(items.train) * (1 + recipes.NEGATIVES)
    history, best, since = History(), -1.0, 0
    state: dict[str, np.ndarray] = {}
    for record in recipes.train_ncf(
        network,
        items,
        settings.seed,
        settings.epochs,
        optimizer=settings.make_optimizer(rows),
        batch_size=settings.batch_size,
    ):
        history.records.append(record)
        since += 1
        if record["valid_hit_rate"] > best:
            best, since = record["valid_hit_rate"], 0
            state = {name: value.copy() for name, value in network.state_dict().items()}
        if settings.patience is not None and since >= settings.patience:
            history.stopped_early = True
            break
    if settings.patience is not None:
        network.load_state_dict(state)
    parts = ("valid", "test")
    return history, {part: recipes.ranking_scores(network, items, part) for part in parts}


def _splits(dataset: Dataset) -> dict[str, Batch]:
    """Return the splits that have rows; of many training rows, the first."""
    train = dataset.train[:_MAX_REPORTED_ROWS]
    splits = {"train": train, "valid": dataset.valid, "test": dataset.test}
    return {name: rows for name, rows in splits.items() if len(rows)}


def _epochs(history: History) -> Table:
    """Return a line for each epoch: the losses, and the metrics of the validation rows."""
    records = [record for record in history.records if record["epoch"] == int(record["epoch"])]
    records = records or history.records[-1:]
    columns = [name for name in records[0] if name not in ("step", "seconds", "grad_norm")]
    rows = [[title_of(name) for name in columns]]
    for record in records:
        rows.append([f"{record['epoch']:g}", *(f"{record[name]:.4f}" for name in columns[1:])])
    return as_rich(say("epochs"), rows, left=0)


def _results(results: Results, dataset: Dataset) -> Table:
    """Return a line for each metric, a column for each split, and the Bayes limit if known."""
    splits = _splits(dataset)
    counts = {name: say("{count} rows", count=f"{len(splits[name]):,}") for name in results}
    head = ["", *(f"{title_of(name)}\n{count}" for name, count in counts.items())]
    limits = _limits(dataset) if "test" in results else {}
    if limits:
        head += [say("Bayes limit\n(test)"), say("test above\nlimit")]
    rows = [head]
    for metric in next(iter(results.values())):
        cells = [f"{results[name][metric]:.5f}" for name in results]
        if limits:
            limit = limits.get(metric)
            gap = results["test"][metric] / limit - 1 if limit else 0
            cells += [f"{limit:.5f}", f"{100 * gap:+.2f}%"] if limit else ["", ""]
        rows.append([title_of(metric), *cells])
    return as_rich(say("results"), rows)


def _limits(dataset: Dataset) -> dict[str, float]:
    """Return the best scores that can be expected on the test rows, where they are known."""
    if dataset.bayes_log_loss is None or dataset.bayes_auc is None:
        return {}
    entropy = md.metrics.entropy(np.asarray(dataset.test.label))
    return {
        "log_loss": dataset.bayes_log_loss,
        "auc": dataset.bayes_auc,
        "normalized_entropy": dataset.bayes_log_loss / entropy,
    }


def _write(
    out: Path,
    name: str,
    network: Model,
    history: History,
    results: Results,
    dataset: Dataset,
    source: dict[str, Any],
    speaks: bool,
) -> list[str]:
    """Write the results, and what was read; return the names of the files.

    Of a run on ranks one writes, which `speaks` for all; the model is a folder to which all add.
    """
    model = name if comm_of(network) else f"{name}.safetensors"
    files = ["learning_curve.png", "metrics.json", model]
    md.save(network, out / model, schema=dataset.schema)
    if not speaks:
        return files
    limit = dataset.bayes_log_loss
    write_figure(out / files[0], lambda ax: history.plot(ax=ax, bayes_log_loss=limit))
    content = {
        "version": md.__version__,
        "data": dataset.description,
        "source": source,
        "model": repr(network),
        "results": results,
        "bayes_log_loss": dataset.bayes_log_loss,
        "bayes_auc": dataset.bayes_auc,
        "history": history.records,
    }
    write_json(out / files[1], content)
    return files
