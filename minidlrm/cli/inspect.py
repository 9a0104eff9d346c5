"""minidlrm show, gradcheck and verify: commands that look, and train nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

import minidlrm as md
from minidlrm import kernels
from minidlrm.checking import GradCheckReport, cases, student
from minidlrm.cli import costs
from minidlrm.cli import options as given
from minidlrm.cli.summary import summary
from minidlrm.data.batch import Jagged
from minidlrm.languages import Message, say
from minidlrm.models import MODELS
from minidlrm.parallel.comm import as_ranks
from minidlrm.printing import as_rich
from minidlrm.verify import PUBLISHED_LOSSES, PublishedRun, Replay, agreeing, read_trace, replay


def show(
    model: Annotated[
        str, typer.Argument(help=Message("One of {names}.", names=", ".join(MODELS)))
    ] = "dlrm",
    data: given.DataOption = "synthetic",
    rows: Annotated[
        int | None,
        typer.Option(help="Rows to make, or to read at most; with --trace, rows of the batch."),
    ] = None,
    embedding_dim: given.DimOption = None,
    bottom_mlp: given.BottomOption = None,
    top_mlp: given.TopOption = None,
    interaction: given.InteractionOption = None,
    self_interaction: given.SelfOption = False,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", help="Rows a step, without --trace.", show_default="512"),
    ] = None,
    trace: Annotated[
        bool, typer.Option("--trace", help="Run one step, and show every operation.")
    ] = False,
    ranks: Annotated[
        int | None,
        typer.Option(
            "--ranks", help="Compute memory, bytes and time of a step on so many ranks, and stop."
        ),
    ] = None,
    seed: given.SeedOption = 0,
) -> None:
    """Show a model: its layers, parameters, FLOPs, and the bytes that each operation moves."""
    if ranks is not None:
        as_ranks(ranks)
        if trace:
            given.refuse("ranks", "--trace", [Message("the whole model")])
    for option, value in (("--rows", rows), ("--batch-size", batch_size)):
        if value is not None:
            given.positive(option, value)
    if trace and batch_size is not None:
        raise ValueError(
            Message("--batch-size has no meaning with --trace: --rows is the size of the batch")
        )
    options = given.model_options(
        model,
        embedding_dim=embedding_dim,
        bottom_mlp=bottom_mlp,
        top_mlp=top_mlp,
        interaction=interaction,
        self_interaction=self_interaction,
    )
    count = None if trace else rows
    if data == "synthetic" and count is None:
        count = 1000
    dataset = given.read(data, model, {"seed": seed}, rows=count)
    if ranks is not None:
        if isinstance(dataset.train.sparse, Jagged):
            given.refuse("ranks", Message("bags of ids"), [Message("one id a table")])

        def make(sizes: Sequence[int]) -> Any:
            known = given.build(model, dataset, seed, options).config
            return MODELS[model].cls(**{**known, "table_sizes": list(sizes)})

        costs.show_ranks(Console(), make, dataset.table_sizes, ranks, batch_size or 2048)
        return
    network = given.build(model, dataset, seed, options)
    if trace:
        loss = md.MSE() if dataset.task == "ratings" else md.BCEWithLogits()
        print(md.trace(network, dataset.train[: rows or 4], loss))
    else:
        Console().print(summary(network, batch_size or 512))


def gradcheck(
    target: Annotated[
        str | None,
        typer.Argument(
            help=Message(
                "A model ({models}); or PATH.py or PATH.py:NAME, with two functions forward and "
                "backward, a layer, a loss, an optimizer, or a function that returns what to check "
                "and on what.",
                models=", ".join(MODELS),
            ),
            show_default="dlrm",
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Check every layer, loss and model in every option.")
    ] = False,
    method: Annotated[
        str, typer.Option(help="auto, complex, richardson or central differences.")
    ] = "auto",
    max_checks: Annotated[
        int | None,
        typer.Option("--max-checks", help="Entries of an array that are checked one by one."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of parameters and inputs.")] = 0,
) -> None:
    """Check every gradient of a model, of your own layer, or of all; explain what is wrong."""
    if max_checks is not None:
        given.positive("--max-checks", max_checks)
    options: dict[str, Any] = {"max_checks": max_checks, "seed": seed, "verbose": False}
    options["method"] = method
    if everything:
        if target is not None:
            raise ValueError(
                Message("{target} has no meaning with --all: give one of the two", target=target)
            )
        _gradcheck_all(Console(), list(cases.everything(seed)), options)
        return
    # NumPy's kernels check a few rows while Numba still compiles its own
    with kernels.using(os.environ.get("MINIDLRM_KERNELS") or "numpy"):
        report = _report(target or "dlrm", options)
    print(report)
    if not report.passed:
        raise typer.Exit(1)


def _report(target: str, options: dict[str, Any]) -> GradCheckReport:
    """Check a model, or what a file holds."""
    if not student.is_file(target):
        _, checked, inputs = next(cases.model(target, options["seed"]))
        return md.gradcheck(checked, *inputs, **options)
    try:
        return student.check(target, **options)
    except student.Unclear as error:  # several lines, with code to copy
        print(say("error: {text}", text=str(error)), file=sys.stderr)
        raise typer.Exit(2) from None


def _gradcheck_all(console: Console, chosen: Sequence[cases.Case], options: dict[str, Any]) -> None:
    from tqdm.auto import tqdm

    title = say("analytic gradients against the functions themselves, float64")
    table = Table(title=title, box=SIMPLE)
    table.add_column(say("target"), overflow="fold")
    for column in (say("arrays"), say("entries"), say("kinks"), say("worst error")):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    failed, arrays, entries = [], 0, 0
    for name, target, inputs in tqdm(chosen, desc=say("checking"), unit=say("target")):
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
    passed = len(chosen) - len(failed)
    console.print(
        say(
            "{passed} of {count} targets pass: {arrays} arrays, {entries} entries",
            passed=passed,
            count=len(chosen),
            arrays=f"{arrays:,}",
            entries=f"{entries:,}",
        )
    )
    if failed:
        raise typer.Exit(1)


def verify(
    trace: Annotated[
        Path | None,
        typer.Option(
            help="The printed run; default: dlrm-readme-trace/trace.txt in MINIDLRM_DATA."
        ),
    ] = None,
) -> None:
    """Replay the run that the README of facebookresearch/dlrm prints, digit by digit."""
    console, ours, agree = Console(), replay(), 0
    rows: list[tuple[str, ...]] = [(Message("step"), Message("published"), Message("replayed"), "")]
    for k, (a, b) in enumerate(zip(PUBLISHED_LOSSES, ours.losses, strict=True), 1):
        published, replayed = f"{a:.6f}", f"{b:.6f}"
        agree += published == replayed
        equal = Message("equal") if published == replayed else Message("no")
        rows.append((str(k), published, replayed, equal))
    console.print(as_rich(say("the reference's printed run: the loss of each step"), rows))
    count = len(ours.losses)
    console.print(say("losses: {agree} of {count} agree to six digits", agree=agree, count=count))
    passed = agree == count
    default = Path(os.environ.get("MINIDLRM_DATA", "")) / "dlrm-readme-trace" / "trace.txt"
    if trace is None and not default.is_file():
        console.print(say("parameters: not compared (give --trace, or set MINIDLRM_DATA)"))
    else:
        passed &= _compare_parameters(console, ours, read_trace(trace or default))
    if not passed:
        raise typer.Exit(1)


def _compare_parameters(console: Console, ours: Replay, published: PublishedRun) -> bool:
    """Print every parameter after the steps, and how many agree with the published ones."""
    total = len(ours.before)
    if total != len(published.before):
        raise ValueError(
            Message(
                "the trace has {count} parameters, the model {total}",
                count=len(published.before),
                total=total,
            )
        )
    pairs = ((ours.before, published.before), (ours.after, published.after))
    rows: list[tuple[str, ...]] = [
        (
            *(Message("array"), Message("equal before"), Message("equal after")),
            Message("replayed, after the three steps"),
        )
    ]
    start = 0
    for name, shape in ours.shapes.items():
        part = slice(start, start := start + int(np.prod(shape)))
        counts = [
            Message("{part} of {whole}", part=agreeing(a[part], b[part], 5), whole=len(a[part]))
            for a, b in pairs
        ]
        values = np.array2string(ours.after[part].reshape(shape), precision=5, max_line_width=36)
        rows.append((name, *counts, values))
    console.print(as_rich(say("parameters, to the five digits printed"), rows, left=4))
    before, after = (agreeing(a, b, 5) for a, b in pairs)
    line = say(
        "parameters before: {before} of {total} agree; after: {after} of {total} agree",
        before=before,
        after=after,
        total=total,
    )
    console.print(line)
    return before == after == total
