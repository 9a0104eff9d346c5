"""read_table: any table of rows, with the roles of its columns, as a Dataset with a schema.

The rows are read once, block by block. Numbers and the codes of texts go to a spool, on disk for
files and in memory for tables. When all is read, the rows are split, the schema is fitted on the
training rows, and each split is written in the form in which a model takes it, memory-mapped.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from minidlrm.arrays import as_flag, as_path, as_size, check_number, check_type, check_word
from minidlrm.data.batch import Dataset
from minidlrm.data.fitting import Fitting
from minidlrm.data.opening import opened
from minidlrm.data.roles import Roles
from minidlrm.data.schema import Schema
from minidlrm.data.sources import NotNumbers, Source
from minidlrm.data.spool import SPLITS, cached, in_memory, open_entry
from minidlrm.languages import Message, joined

_VERSION = 2  # of the cache's form


def read_table(
    source: Any,
    *,
    label: str | None = None,
    dense: Sequence[str] | None = None,
    sparse: Sequence[str] | None = None,
    bags: Mapping[str, Any] | Sequence[str] | None = None,
    bag_weights: Mapping[str, str] | None = None,
    padding: str | int | None = None,
    sample_weight: str | None = None,
    share: Mapping[str, str] | None = None,
    transform: str | Mapping[str, str] = "standardize",
    min_count: int = 2,
    task: str | None = None,
    split: str | None = None,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    time: str | None = None,
    user: str | None = None,
    split_column: str | None = None,
    schema: Schema | Dataset | None = None,
    delimiter: str | None = None,
    encoding: str = "utf-8",
    column_names: Sequence[str] | None = None,
    cache_dir: str | os.PathLike | None = None,
    progress: bool = True,
) -> Dataset:
    """Read a table of one's own: a file, many files, or a DataFrame.

    When no role is given, the roles are inferred from names and types, and printed with the
    schema. When any role is given, columns that are not named are ignored; the schema lists them.

    Parameters
    ----------
    source : path, glob, list of paths, DataFrame, Arrow table, dict of arrays, or list of dicts
        CSV or TSV (also .gz, .zst, .bz2, .lz4) with a header, Parquet, or any object with the
        Arrow capsule: pandas, polars, pyarrow, DuckDB.
    label : str
        The column with the labels.
    dense : sequence of str
        Columns of numbers.
    sparse : sequence of str
        Columns of ids: text or whole numbers, a table each.
    bags : dict, or sequence of str
        Columns with any number of ids: ``{"genres": "|"}`` for text with a separator,
        ``["genres"]`` for lists, ``{"last": ["last_1", "last_2"]}`` for an entry a column.
    bag_weights : dict of str to str
        For a bag, the column with a weight for each of its entries, in the same form.
    padding : str or int
        The entry that means "none" where a bag has an entry a column.
    sample_weight : str
        The column with the weight of each row, which losses and metrics use.
    share : dict of str to str
        ``{"last_item": "item"}``: the ids of the first column are those of the second.
    transform : "standardize", "log", "none", or a dict of these by column
        How dense columns are scaled; see `Column`.
    min_count : int
        Values that occur less often in the training rows share the id 0 with those that do not
        occur there. With 1, nothing trains the vector of id 0.
    task : "clicks" or "ratings"
        What the labels are. By default clicks where all lie in [0, 1].
    split : "random", "order", "time", "user" or "column"
        How rows go to training, validation and test. By default what `time`, `user` or
        `split_column` call for, and else "random".
    fractions : three floats
        The share of each.
    seed : int
        The seed of a random split.
    time, user, split_column : str
        The column that orders the rows; that holds the users, who stay together; or that says
        "train", "valid" or "test".
    schema : Schema or Dataset
        The schema of an earlier table: the columns then mean the same. Without an option that
        splits the rows, all go to ``.test``.
    delimiter, encoding, column_names
        For text files: the separator of the fields (by default found in the first line), the
        encoding, and the columns of a file without a header.
    cache_dir : path, optional
        Where the encoded rows of files are kept. The default is the user's cache folder.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Dataset
        Its `schema` encodes new rows. Of files, the arrays are memory-mapped.

    Raises
    ------
    FileNotFoundError
        When the file does not exist.
    TypeError
        When `source` holds no rows.
    ValueError
        When a column does not exist, has two roles, or holds a value that cannot be read: file,
        line, column and text are named. When an option is out of range, or cannot matter.

    Examples
    --------
    >>> import minidlrm as md
    >>> rows = {"click": [0, 1] * 50, "price": list(range(100)), "city": ["Ulm", "Rom"] * 50,
    ...         "tags": ["a|b", "", "b", "c|a|b"] * 25}
    >>> data = md.data.read_table(rows, label="click", dense=["price"], sparse=["city"],
    ...                           bags={"tags": "|"})
    >>> data.train
    Batch(80 rows, 1 dense features, 2 multi-hot tables, mean label 0.463)
    >>> data.schema
    column  role            transform    distinct  missing  unseen
    click   label (clicks)
    price   dense           standardize        80     0.0%
    city    sparse                              2     0.0%    0.0%
    tags    bag                                 3    25.0%    0.0%
    """
    table = opened("source", source, delimiter, encoding, column_names)
    known = schema.schema if isinstance(schema, Dataset) else schema
    if known is not None and not isinstance(known, Schema):
        raise TypeError(f"schema is {schema!r}: give a Schema, or the Dataset of a read_table")
    if schema is not None and known is None:
        raise ValueError("schema is a Dataset that has no schema: give the one of a read_table")
    for name, column in (("time", time), ("user", user), ("split_column", split_column)):
        if column is not None:
            check_type(name, column, str)
    progress = as_flag("progress", progress)
    how = Split.chosen(split, fractions, seed, time, user, split_column)
    others = () if how.column is None else (how.column,)
    table.need(others, how.option)
    if known is not None:
        given = {"label": label, "dense": dense, "sparse": sparse, "bags": bags, "share": share}
        _refuse({**given, "task": task}, "schema= says it")
        roles = Roles.of_schema(known, table)
    else:
        roles = Roles.given(
            table,
            label=label,
            dense=dense,
            sparse=sparse,
            bags=bags,
            bag_weights=bag_weights,
            padding=padding,
            sample_weight=sample_weight,
            share=share,
            transform=transform,
            others=others,
        )
    min_count = as_size("min_count", min_count)
    if task is not None:
        check_word("task", task, "clicks", "ratings")
    whole = known is not None and how == Split.chosen(None, fractions, seed, None, None, None)
    whole = whole and split is None
    plan = Plan(roles, how, min_count, task, known, whole)
    dataset = _read(table, plan, cache_dir, progress)
    if roles.inferred:
        print(dataset.schema)
    return dataset


def _refuse(given: dict[str, Any], why: str) -> None:
    named = [name for name, value in given.items() if value is not None]
    if named:
        raise ValueError(f"{', '.join(named)} cannot be given: {why}")


_OPTION = {"time": "time", "user": "user", "column": "split_column"}  # what names its column


@dataclass(frozen=True)
class Split:
    """How rows go to training, validation and test."""

    how: str
    fractions: tuple[float, float, float]
    seed: int
    column: str | None  # that it reads

    @classmethod
    def chosen(
        cls,
        split: str | None,
        fractions: Sequence[float],
        seed: int,
        time: str | None,
        user: str | None,
        split_column: str | None,
    ) -> Split:
        """Find the way that the options mean; ValueError where they contradict each other."""
        columns = {"time": time, "user": user, "column": split_column}
        named = [how for how, column in columns.items() if column is not None]
        how = (named[0] if named else "random") if split is None else split
        check_word("split", how, "random", "order", *columns)
        if how in columns and columns[how] is None:
            raise ValueError(f"split={how!r} needs {_OPTION[how]}=, the name of a column")
        wrong = [_OPTION[other] for other in named if other != how]
        if wrong:
            raise ValueError(f"{wrong[0]}= is given, but the split is {how!r}: leave one out")
        check_type("fractions", fractions, tuple, list)
        for share in fractions:
            check_number("one of fractions", share)
        shares = tuple(float(x) for x in fractions)
        whole = abs(sum(shares) - 1) <= 1e-9  # not with a NaN
        if len(shares) != 3 or not whole or min(shares) < 0 or shares[0] == 0:
            raise ValueError(
                f"fractions are {list(fractions)}: give three shares, such as (0.8, 0.1, 0.1), "
                "with sum 1 and rows to train on"
            )
        return cls(
            how, (shares[0], shares[1], shares[2]), as_size("seed", seed, 0), columns.get(how)
        )

    @property
    def option(self) -> str:
        """The argument that names the column; "" where none does."""
        return _OPTION.get(self.how, "")

    def __str__(self) -> str:
        return str(self.told())

    def told(self) -> Message:
        """Return what it does, to be said in the user's language."""
        words = {
            "random": Message("split at random, seed {seed}", seed=self.seed),
            "order": Message("split in the order of the rows"),
            "time": Message("split in the order of {column}", column=self.column),
            "user": Message("split by {column}, seed {seed}", column=self.column, seed=self.seed),
            "column": Message("split by the column {column}", column=self.column),
        }
        return words[self.how]


@dataclass(frozen=True, eq=False)
class Plan:
    """All that decides what the rows become."""

    roles: Roles
    split: Split
    min_count: int
    task: str | None
    schema: Schema | None = field(default=None)
    whole: bool = False  # whether all rows are to be scored, and none to train on

    def key(self) -> str:
        """Return a hash of everything but the rows."""
        parts: list[Any] = [_VERSION, self.whole, self.roles.as_json(), self.min_count, self.task]
        parts.append({f.name: getattr(self.split, f.name) for f in fields(self.split)})
        total = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
        if self.schema is not None:
            plain, arrays = self.schema.state()
            total.update(json.dumps(plain, sort_keys=True).encode())
            for name in sorted(arrays):
                total.update(name.encode() + arrays[name].tobytes())
        return total.hexdigest()


def _read(source: Source, plan: Plan, cache_dir: Any, progress: bool) -> Dataset:
    digest = source.digest()
    if digest is None:
        if cache_dir is not None:
            raise ValueError("cache_dir is given, but a table in memory is not cached")
        return _dataset(source, plan, in_memory(lambda spool: _fill(source, plan, spool, progress)))
    if cache_dir is None:
        import pooch

        cache_dir = pooch.os_cache("minidlrm")
    key = hashlib.sha256(f"{digest} {plan.key()} {source.reading()}".encode()).hexdigest()[:24]
    entry = as_path("cache_dir", cache_dir) / f"table-{key}"
    cached(entry, lambda spool: _fill(source, plan, spool, progress))
    return _dataset(source, plan, open_entry(entry))


def _fill(source: Source, plan: Plan, spool: Any, progress: bool) -> None:
    """Read the rows, fit the schema, and write the splits; again as text where numbers fail."""
    for as_text in (False, True):
        fitting = Fitting(plan, spool, source.place)
        try:
            fitting.read(source, as_text, progress)
        except NotNumbers:
            if as_text:
                raise
            spool.clear()
            continue
        break
    fitting.finish()


def _dataset(source: Source, plan: Plan, stored: Any) -> Dataset:
    schema = plan.schema or Schema.from_state(stored.meta["schema"], stored.schema_arrays())
    splits = {name: stored.batch(name, schema) for name in SPLITS}
    count = sum(map(len, splits.values()))
    how = Message("all of them to score") if plan.whole else plan.split.told()
    what = Message("{count} rows of {source}", count=f"{count:,}", source=source.description)
    return Dataset(
        splits["train"],
        splits["valid"],
        splits["test"],
        schema.table_sizes,
        schema.feature_names,
        joined([what, how], ", "),
        task=schema.task,
        schema=schema,
    )
