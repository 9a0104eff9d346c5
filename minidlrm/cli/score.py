"""minidlrm predict, evaluate: a saved model on new rows, which its own schema reads."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

import minidlrm as md
from minidlrm.checkpoint import load_with_schema
from minidlrm.cli import options as given
from minidlrm.cli.summary import title_of, warning
from minidlrm.data.opening import open_source
from minidlrm.data.schema import Schema
from minidlrm.data.sources import Source
from minidlrm.files import replacing
from minidlrm.languages import Message, say
from minidlrm.printing import as_rich
from minidlrm.scoring import Unseen, evaluate_rows, scores

CheckpointArgument = Annotated[
    Path, typer.Argument(help="A checkpoint that train, or md.save with a schema, has written.")
]
DATA_HELP = (
    "A CSV or Parquet file, a glob of them, or SCHEME:PATH as for train. It is read by the schema "
    "of the checkpoint."
)
DataArgument = Annotated[str, typer.Argument(help=DATA_HELP)]
_FORMS = (".csv", ".tsv", ".parquet")


def predict(
    checkpoint: CheckpointArgument,
    data: DataArgument,
    out: Annotated[Path, typer.Option(help="The file of the scores: .csv, .tsv or .parquet.")],
    ids: Annotated[
        str | None, typer.Option(help="A column to write beside the scores, such as the row's id.")
    ] = None,
    logits: Annotated[
        bool, typer.Option("--logits", help="Write logits, not probabilities.")
    ] = False,
) -> None:
    """Score the rows of a file, block by block: probabilities of a click, or ratings."""
    if out.suffix.lower() not in _FORMS:
        raise ValueError(
            Message(
                "--out is {out}: its name must end in {endings}", out=out, endings=", ".join(_FORMS)
            )
        )
    model, schema = load_with_schema(checkpoint)
    if logits and model.task == "ratings":
        given.refuse("logits", Message("a model of ratings"), [Message("models of clicks")])
    source = source_of(data, schema)
    _check_apart(out, [*source.paths, Path(data.partition(":")[2] or data).expanduser()])
    unseen, count = Unseen(schema), 0
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary, _Writer(temporary, out.suffix.lower()) as writer:
        for block in scores(model, schema, source, keep=ids, logits=logits):
            unseen.add(block.batch)
            writer.write(ids, block.kept, block.output)
            count += len(block.batch)
    console = Console()
    for line in unseen.warnings():
        console.print(warning(say(line)), style="yellow", markup=False, soft_wrap=True)
    console.print(say("wrote {count} scores to {out}", count=f"{count:,}", out=out), soft_wrap=True)


def evaluate(checkpoint: CheckpointArgument, data: DataArgument) -> None:
    """Print the metrics of a saved model on a file of labelled rows."""
    model, schema = load_with_schema(checkpoint)
    metrics = evaluate_rows(model, schema, source_of(data, schema))
    rows = [[say("metric"), say("value")]]
    rows += [[title_of(name), f"{value:.5f}"] for name, value in metrics.items()]
    title = say("{model} on {data}", model=type(model).__name__, data=data)
    Console().print(as_rich(title, rows))


def source_of(data: str, schema: Schema) -> Source:
    """Open rows for a schema: a path, table:PATH, or what another reader gives, as raw rows."""
    scheme, colon, path = data.partition(":")
    if not colon or scheme not in md.data.READERS:
        return open_source(data)
    if scheme == "table":
        return open_source(path)
    if scheme == "criteo":
        from minidlrm.data.criteo_text import as_source

        return as_source(Path(path).expanduser())
    dataset = given.read(data)
    if dataset.schema is None:
        raise ValueError(
            Message("--data {data}: its rows have no schema, and so no raw values", data=data)
        )
    parts = [
        dataset.schema.decode(p) for p in (dataset.train, dataset.valid, dataset.test) if len(p)
    ]
    import pyarrow as pa

    return open_source(pa.concat_tables(parts))


def _check_apart(out: Path, read: list[Path]) -> None:
    """Raise ValueError where the scores would take the place of a file that is read."""
    place = out.expanduser().resolve()
    for path in read:
        own = path.resolve()
        if place == own or (place.is_file() and own in place.parents):
            raise ValueError(
                Message("--out is {out}, which is data that is read: give another name", out=out)
            )


class _Writer:
    """Scores as CSV, TSV or Parquet, block by block."""

    def __init__(self, path: Path, suffix: str):
        self.path, self.suffix = path, suffix
        self.file: Any = None

    def __enter__(self) -> _Writer:
        return self

    def write(self, name: str | None, kept: Any, output: np.ndarray) -> None:
        columns = {"prediction": output} if name is None else {name: kept, "prediction": output}
        if self.suffix == ".parquet":
            self._write_parquet(columns)
            return
        if self.file is None:
            self.file = open(self.path, "w", encoding="utf-8", newline="")  # noqa: SIM115
            self._csv().writerow(columns)
        values = [[f"{x:.9g}" for x in output.tolist()]]
        if name is not None:
            values.insert(0, kept.to_pylist())
        self._csv().writerows(zip(*values, strict=True))

    def _csv(self) -> Any:
        delimiter = "\t" if self.suffix == ".tsv" else ","
        return csv.writer(self.file, delimiter=delimiter, lineterminator="\n")

    def _write_parquet(self, columns: dict[str, Any]) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        table = pa.table(columns)
        self.file = self.file or parquet.ParquetWriter(self.path, table.schema)
        self.file.write_table(table)

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            self.file.close()
