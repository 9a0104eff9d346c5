"""Fitting: from blocks of raw columns to encoded splits, and the schema of the training rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from minidlrm.data.columns import Texts, are_moments, numbers, one_array, texts, times
from minidlrm.data.features import Categories, Column
from minidlrm.data.intern import Interner
from minidlrm.data.picking import count_codes, map_codes
from minidlrm.data.schema import Schema
from minidlrm.data.splitting import Rows, chunks, length, rows_of
from minidlrm.data.spool import SPLITS, Spool
from minidlrm.languages import say

_WORKERS = 2
_MOMENT = 1e8  # seconds since 1970 are above it from 1973 on, and never a hundred times as many


class Fitting:
    """One reading of a table.

    Parameters
    ----------
    plan : Plan
        Roles, split and options.
    spool : Spool
        Where columns go.
    place : callable
        Words a row of the source.
    """

    def __init__(self, plan: Any, spool: Spool, place: Any):
        self.plan, self.spool, self._place = plan, spool, place
        self.count = 0  # rows that have been read
        self.dense, self.sparse = plan.roles.dense, plan.roles.sparse
        self.interners: dict[str, Interner] = {}  # of each table, by the name of its column
        self._groups: dict[str, list[Column]] = {}  # columns of one table go one after another
        for column in self.sparse:
            self._groups.setdefault(column.table or column.name, []).append(column)
        for owner in self._groups:
            self.interners[owner] = Interner()
        self._split_values = Interner()
        self._maps: dict[str, np.ndarray] = {}  # by column: from its codes + 1 to its ids
        self._times_are_numbers = False
        self._ends: dict[str, int] = {}  # entries that have been read, of each bag

    # Reading

    def read(self, source: Any, as_text: bool, progress: bool) -> None:
        """Read all blocks of a source into the spool."""
        from tqdm.auto import tqdm

        column = self.plan.split.column
        own = [] if column is None or self.plan.whole else [column]
        wanted = list(dict.fromkeys([*self.plan.roles.wanted, *own]))
        numeric = [] if as_text else [column.name for column in self.dense]
        bar = tqdm(
            desc=say("reading"),
            unit=say(" rows"),
            unit_scale=True,
            disable=not progress,
            leave=False,
        )
        with bar, ThreadPoolExecutor(_WORKERS) as pool:
            for block in ahead(source.read(wanted, numeric)):
                data = {name: one_array(column) for name, column in block.items()}
                self._add(data, pool)
                bar.update(len(next(iter(data.values()))))
        if self.count == 0:
            raise ValueError(f"{source.description} has no rows")

    def _add(self, data: dict[str, Any], pool: ThreadPoolExecutor) -> None:
        place = lambda row, start=self.count: self._place(start + row)  # noqa: E731
        work = [pool.submit(self._codes, group, data, place) for group in self._groups.values()]
        for k, column in enumerate(self.dense):
            self.spool.append(f"dense{k}", numbers(data[column.name], column.name, place))
        self._add_label(data, place)
        for job in work:
            for name, array in job.result():
                self.spool.append(name, array)
        split = self.plan.split
        if split.column is not None and not self.plan.whole:
            self.spool.append("split", self._split_key(data[split.column], split, place))
        self.count += len(next(iter(data.values())))

    def _add_label(self, data: dict[str, Any], place: Any) -> None:
        roles = self.plan.roles
        if roles.label is not None:
            label = numbers(data[roles.label], roles.label, place)
            if np.isnan(label).any() and not self.plan.whole:
                row = int(np.isnan(label).argmax())
                raise ValueError(f"{place(row)}, column {roles.label}: the label is missing")
            self.spool.append("label", label)
        if roles.sample_weight is not None:
            weight = numbers(data[roles.sample_weight], roles.sample_weight, place)
            wrong = ~(weight >= 0)
            if wrong.any():
                row = int(wrong.argmax())
                raise ValueError(
                    f"{place(row)}, column {roles.sample_weight}: {weight[row]}: "
                    "a weight must be a number of at least 0"
                )
            self.spool.append("weight", weight)

    def _codes(self, group: list[Column], data: dict[str, Any], place: Any) -> list[tuple]:
        """Turn the raw values of one table's columns into codes; -1 where missing."""
        made = []
        for column in group:
            key = f"codes{self.sparse.index(column)}"
            if column.role == "sparse":
                words = texts(data[column.name], column.name, place)
            else:
                words, lengths, weights = column.entries(data, place)
                made.append((f"{key}.starts", self._starts(key, lengths)))
                if weights is not None:
                    made.append((f"{key}.w", weights))
            made.append((key, self._numbered(column, words, place)))
        return made

    def _starts(self, key: str, lengths: np.ndarray) -> np.ndarray:
        """Return where each bag begins among all entries; the first time, 0 before them."""
        first = [] if key in self._ends else [0]
        ends = self._ends.get(key, 0) + np.cumsum(lengths, dtype=np.int64)
        self._ends[key] = int(ends[-1]) if len(ends) else self._ends.get(key, 0)
        return np.concatenate([first, ends]).astype(np.int64)

    def _numbered(self, column: Column, words: Texts, place: Any) -> np.ndarray:
        if self.plan.schema is not None:
            assert column.categories is not None
            ids = column.categories.ids(words, column.name, place)
            return np.where(words.missing, np.int32(-1), ids)
        return self.interners[column.table or column.name].add(
            words.text, words.offsets, empty=False
        )

    def _split_key(self, column: Any, split: Any, place: Any) -> np.ndarray:
        if split.how == "time":
            self._times_are_numbers = not are_moments(column)
            return times(column, split.column, place)
        words = texts(column, split.column, place)
        if words.missing.any():
            row = int(words.missing.argmax())
            raise ValueError(f"{place(row)}, column {split.column}: the value is missing")
        codes = self._split_values.add(words.text, words.offsets)
        if split.how == "column":
            known = self._split_values.texts()
            wrong = [word for word in known if word not in SPLITS]
            if wrong:
                row = int((codes == known.index(wrong[0])).argmax())
                raise ValueError(
                    f"{place(row)}, column {split.column}: {wrong[0]!r}: "
                    "it must say train, valid or test"
                )
        return codes.astype(np.float64)

    # Fitting

    def finish(self) -> None:
        """Split the rows, fit the schema on the training rows, and write the arrays."""
        plan = self.plan
        key = np.asarray(self.spool.column("split"))
        if self._times_are_numbers:
            self._check_units(key)
        rows = rows_of(plan.split, self.count, plan.whole, key, self._split_values.texts())
        if plan.roles.sample_weight is not None and not plan.whole:
            self._check_weights(rows["train"])
        with ThreadPoolExecutor(_WORKERS) as pool:
            schema = self.plan.schema or self._fit(rows, pool)
            for name in SPLITS:
                self._write_split(name, rows[name], schema, pool)
        if self.plan.schema is None:
            plain, arrays = schema.state()
            self.spool.meta["schema"] = plain
            for name, array in arrays.items():
                if len(array):
                    self.spool.output(f"schema.{name}", array.dtype, array.shape)[...] = array
                else:
                    self.spool.output(f"schema.{name}", array.dtype, array.shape)

    def _check_weights(self, train: Rows) -> None:
        weight = self.spool.column("weight")
        if not any(weight[part].any() for _, part in chunks(train, self.count)):
            name = self.plan.roles.sample_weight
            raise ValueError(f"column {name}: every row to train on has the weight 0")

    def _check_units(self, times: np.ndarray) -> None:
        """Raise ValueError where times cannot be of one unit, such as seconds and milliseconds."""
        first, last = int(times.argmin()), int(times.argmax())
        if times[first] >= _MOMENT and times[last] > 100 * times[first]:
            raise ValueError(
                f"{self._place(last)}, column {self.plan.split.column}: {times[last]:.0f} is a "
                f"time in another unit than {times[first]:.0f}, {self._place(first)}"
            )

    def _fit(self, rows: dict[str, Rows], pool: ThreadPoolExecutor) -> Schema:
        jobs = [pool.submit(self._fit_dense, k, rows["train"]) for k in range(len(self.dense))]
        tables = list(pool.map(lambda owner: self._fit_table(owner, rows), self._groups))
        fitted = {column.name: column for columns in tables for column in columns}
        columns = [job.result() for job in jobs]
        columns += [fitted[column.name] for column in self.sparse]
        roles = self.plan.roles
        return Schema(tuple(columns), roles.label, self._task(), roles.sample_weight, roles.ignored)

    def _task(self) -> str:
        label = np.asarray(self.spool.column("label"))
        low, high = float(label.min()), float(label.max())
        rates = low >= 0 and high <= 1
        if self.plan.task is None and low == -1 and high == 1 and np.isin(label, (-1, 1)).all():
            raise ValueError(
                f"column {self.plan.roles.label} holds -1 and 1: for clicks write 0 and 1; "
                "task='ratings' takes them as numbers"
            )
        if self.plan.task == "clicks" and not rates:
            bad = low if low < 0 else high
            raise ValueError(
                f"column {self.plan.roles.label} holds {bad:g}: labels of clicks lie in [0, 1]"
            )
        return self.plan.task or ("clicks" if rates else "ratings")

    def _fit_dense(self, k: int, train: Rows) -> Column:
        import pyarrow as pa
        import pyarrow.compute as pc

        column, raw = self.dense[k], np.asarray(self.spool.column(f"dense{k}"))
        missing = float(np.isnan(raw).mean())
        own = raw[train]
        own = own[~np.isnan(own)]
        distinct = pc.count_distinct(pa.array(own)).as_py()
        if column.transform == "standardize" and len(own):
            std = float(own.std())
            steady = std > 1e-12 * max(1.0, float(np.abs(own).max()))
            column = replace(column, mean=float(own.mean()), std=std if steady else 1.0)
        return replace(column, missing=missing, distinct=distinct)

    def _fit_table(self, owner: str, rows: dict[str, Rows]) -> list[Column]:
        """Count the values of a table in the training rows, and give them ids."""
        group, interner = self._groups[owner], self.interners[owner]
        counts = [self._count(column, rows, ("train",)) for column in group]
        total = np.sum(counts, axis=0)
        missing = any(c.role == "sparse" and n[0] for c, n in zip(group, counts, strict=True))
        kept = np.flatnonzero(total[1:] >= self.plan.min_count)
        kept = kept[np.argsort(-total[kept + 1], kind="stable")]
        categories = _categories(interner, kept, missing)
        ids = np.zeros(len(interner) + 1, np.int32)  # the code -1 comes first
        ids[kept + 1] = np.arange(len(kept)) + categories.first
        ids[0] = int(missing)
        distinct = int((total[1:] > 0).sum())
        fitted = []
        for column, own in zip(group, counts, strict=True):
            self._maps[column.name] = ids
            held = self._count(column, rows, ("valid", "test"))
            column = replace(
                column,
                categories=categories,
                distinct=distinct,
                missing=self._missing(column, int(own[0] + held[0])),
                unseen=float(held[1:][ids[1:] == 0].sum() / max(1, held[1:].sum())),
            )
            fitted.append(column)
        return fitted

    def _count(self, column: Column, rows: dict[str, Rows], splits: Iterable[str]) -> np.ndarray:
        """Count the codes of a column in some splits, the code -1 first."""
        key = f"codes{self.sparse.index(column)}"
        codes = self.spool.column(key)
        counts = np.zeros(len(self.interners[column.table or column.name]) + 1, np.int64)
        for name in splits:
            for _, part in chunks(rows[name], self.count):
                count_codes(codes, self._entries(column, part)[0], counts)
        return counts

    def _missing(self, column: Column, without: int) -> float:
        """Return the share of rows without a value: `without` of them, or the empty bags."""
        if column.role == "bag":
            starts = self.spool.column(f"codes{self.sparse.index(column)}.starts")
            without = int((starts[1:] == starts[:-1]).sum())
        return without / self.count

    def _entries(self, column: Column, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where the entries of some rows are, and how many each row has."""
        if column.role == "sparse":
            return rows, np.ones(len(rows), np.int64)
        starts = self.spool.column(f"codes{self.sparse.index(column)}.starts")
        begin = np.asarray(starts[rows])
        lengths = starts[rows + 1] - begin
        ends = np.cumsum(lengths)
        return np.arange(lengths.sum()) + np.repeat(begin - ends + lengths, lengths), lengths

    # Writing

    def _write_split(self, name: str, rows: Rows, schema: Schema, pool: ThreadPoolExecutor) -> None:
        count = length(rows, self.count)
        dense = self.spool.output(f"{name}.dense", np.float32, (count, len(self.dense)))
        columns = [self.spool.column(f"dense{k}") for k in range(len(self.dense))]

        def scale(chunk: tuple[int, np.ndarray]) -> None:
            start, part = chunk
            for k, column in enumerate(schema.dense):
                dense[start : start + len(part), k] = column.scale(np.asarray(columns[k][part]))

        jobs = []
        if columns:
            jobs += [pool.submit(scale, chunk) for chunk in chunks(rows, self.count)]
        jobs.append(pool.submit(self._write_numbers, name, rows, schema))
        if schema.has_bags:
            jobs += self._write_bags(name, rows, schema, pool)
        else:
            jobs += self._write_ids(name, rows, schema, pool)
        for job in jobs:
            job.result()

    def _write_numbers(self, name: str, rows: Rows, schema: Schema) -> None:
        """Write labels and weights of rows."""
        count = length(rows, self.count)
        for key in ("label", "weight"):
            values = self.spool.column(key)
            parts = list(chunks(rows, self.count)) if len(values) else []
            gaps = sum(int(np.isnan(values[part]).sum()) for _, part in parts)
            if key == "label" and 0 < gaps < count:
                raise ValueError(f"some rows have no {schema.label}, others have one")
            if len(values) and not gaps:
                out = self.spool.output(f"{name}.{key}", np.float32, (count,))
                for start, part in parts:
                    out[start : start + len(part)] = values[part]

    def _ids(self, schema: Schema) -> list[np.ndarray]:
        """Return for each column its ids by its codes, that of the code -1 first."""
        if self.plan.schema is None:
            return [self._maps[column.name] for column in self.sparse]
        categories = [column.categories for column in schema.sparse if column.categories]
        return [
            np.concatenate([[c.missing], np.arange(c.size)]).astype(np.int32) for c in categories
        ]

    def _write_ids(
        self, name: str, rows: Rows, schema: Schema, pool: ThreadPoolExecutor
    ) -> list[Future]:
        shape = (length(rows, self.count), len(self.sparse))
        out, ids = self.spool.output(f"{name}.ids", np.int32, shape), self._ids(schema)
        columns = [self.spool.column(f"codes{t}") for t in range(len(self.sparse))]

        def write(chunk: tuple[int, np.ndarray]) -> None:
            start, part = chunk
            for t, column in enumerate(columns):
                map_codes(column, part, ids[t], out[start : start + len(part), t])

        return [pool.submit(write, chunk) for chunk in chunks(rows, self.count)]

    def _write_bags(
        self, name: str, rows: Rows, schema: Schema, pool: ThreadPoolExecutor
    ) -> list[Future]:
        """Write the ids of all tables one after another, as a Jagged has them."""
        count = length(rows, self.count)
        totals = [self._num_entries(column, rows, count) for column in self.sparse]
        ends = np.cumsum([0, *totals])
        out = self.spool.output(f"{name}.values", np.int32, (int(ends[-1]),))
        offsets = self.spool.output(f"{name}.offsets", np.int64, (len(totals) * count + 1,))
        every = None
        if any(column.weights for column in self.sparse):
            every = self.spool.output(f"{name}.weights", np.float32, (int(ends[-1]),))
        ids = self._ids(schema)

        def write(t: int) -> None:
            column, place = self.sparse[t], int(ends[t])
            codes = self.spool.column(f"codes{t}")
            weights = self.spool.column(f"codes{t}.w")
            for start, part in chunks(rows, self.count):
                entries, lengths = self._entries(column, part)
                own = slice(place, place + len(entries))
                map_codes(codes, entries, ids[t], out[own])
                first = t * count + start + 1
                offsets[first : first + len(part)] = place + np.cumsum(lengths)
                if every is not None:
                    every[own] = weights[entries] if len(weights) else 1
                place = own.stop

        return [pool.submit(write, t) for t in range(len(totals))]

    def _num_entries(self, column: Column, rows: Rows, count: int) -> int:
        if column.role == "sparse":
            return count
        return sum(
            int(self._entries(column, part)[1].sum()) for _, part in chunks(rows, self.count)
        )


def ahead(blocks: Iterator[Any]) -> Iterator[Any]:
    """Yield blocks while the next one is read by a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(next, blocks, None)
        while (block := job.result()) is not None:
            job = pool.submit(next, blocks, None)
            yield block


def _categories(interner: Interner, kept: np.ndarray, has_missing: bool) -> Categories:
    """Keep some values, in this order; whole numbers in one form."""
    ends = interner.ends
    starts = np.concatenate([[0], ends])[:-1]
    lengths = (ends - starts)[kept]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    index = np.arange(offsets[-1]) + np.repeat(starts[kept] - offsets[:-1], lengths)
    words = Texts(interner.text[index], offsets, np.zeros(len(kept), bool))
    integers = _all_whole(words)
    if integers:
        plain = words.without_point_zero()
        known = Interner(plain.text, plain.offsets[1:])
        if len(known) == len(kept):
            return Categories(known, has_missing, integers=True)
    return Categories(Interner(words.text, words.offsets[1:]), has_missing)


def _all_whole(words: Texts) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(words) == 0:
        return False
    array = pa.Array.from_buffers(
        pa.large_binary(), len(words), [None, pa.py_buffer(words.offsets), pa.py_buffer(words.text)]
    )
    return bool(pc.all(pc.match_substring_regex(array, r"^-?(0|[1-9][0-9]*)(\.0+)?$")).as_py())
