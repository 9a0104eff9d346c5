"""Fitting: from blocks of raw columns to encoded splits, and the schema of the training rows."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from minidlrm.data.columns import Texts, numbers, one_array, texts, times
from minidlrm.data.features import Categories, Column
from minidlrm.data.intern import Interner
from minidlrm.data.schema import Schema
from minidlrm.data.spool import SPLITS, Spool

_CHUNK_ROWS = 1 << 18  # written at a time
_WORKERS = 2

Rows = np.ndarray | slice  # of a split, in its order


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
        self._remaps: dict[str, np.ndarray] = {}  # by column: from its codes + 1 to its ids

    # Reading

    def read(self, source: Any, as_text: bool, progress: bool) -> None:
        """Read all blocks of a source into the spool."""
        from tqdm.auto import tqdm

        own = [self.plan.split.column] if self.plan.split.column and not self.plan.whole else []
        wanted = list(dict.fromkeys([*self.plan.roles.wanted, *own]))
        numeric = [] if as_text else [column.name for column in self.dense]
        bar = tqdm(desc="reading", unit=" rows", unit_scale=True, disable=not progress, leave=False)
        with bar, ThreadPoolExecutor(_WORKERS) as pool:
            for block in source.read(wanted, numeric):
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
        if split.column and not self.plan.whole:
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
                made.append((f"{key}.n", lengths.astype(np.int32)))
                if weights is not None:
                    made.append((f"{key}.w", weights))
            made.append((key, self._numbered(column, words, place)))
        return made

    def _numbered(self, column: Column, words: Texts, place: Any) -> np.ndarray:
        if self.plan.schema is not None:
            assert column.categories is not None
            ids = column.categories.ids(words, column.name, place)
            return np.where(words.missing, np.int32(-1), ids)
        interner = self.interners[column.table or column.name]
        if not words.missing.any():
            return interner.add(words.text, words.offsets)
        codes = np.full(len(words), -1, np.int32)
        keep = ~words.missing  # the offsets of the others alone: a missing text has no bytes
        offsets = np.append(words.offsets[:-1][keep], words.offsets[-1])
        codes[keep] = interner.add(words.text, offsets)
        return codes

    def _split_key(self, column: Any, split: Any, place: Any) -> np.ndarray:
        if split.how == "time":
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

    # Splits

    def _rows(self) -> dict[str, Rows]:
        """Return the rows of each split."""
        count, split = self.count, self.plan.split
        if self.plan.whole:
            return {"train": slice(0, 0), "valid": slice(0, 0), "test": slice(0, count)}
        first = round(count * split.fractions[0])
        second = round(count * (split.fractions[0] + split.fractions[1]))
        bounds = dict(zip(SPLITS, ((0, first), (first, second), (second, count)), strict=True))
        if first == 0:
            raise ValueError(f"{count} rows are too few: none is left to train on")
        if split.how == "order":
            return {name: slice(*ends) for name, ends in bounds.items()}
        key = np.asarray(self.spool.column("split"))
        if split.how == "time":
            order = np.argsort(key, kind="stable")
            return {name: order[slice(*ends)] for name, ends in bounds.items()}
        rng = np.random.default_rng(split.seed)
        if split.how == "random":
            part = np.zeros(count, np.int8)
            order = rng.permutation(count)
            part[order[first:second]], part[order[second:]] = 1, 2
        elif split.how == "user":
            part = _by_user(key.astype(np.int64), split.fractions, rng)
        else:
            words = self._split_values.texts()
            part = np.array([SPLITS.index(w) for w in words], np.int8)[key.astype(np.int64)]
        rows: dict[str, Rows] = {n: np.flatnonzero(part == k) for k, n in enumerate(SPLITS)}
        if not (part == 0).any():
            raise ValueError(f"no row is left to train on ({split})")
        return rows

    # Fitting

    def finish(self) -> None:
        """Split the rows, fit the schema on the training rows, and write the arrays."""
        rows = self._rows()
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
        counts = np.zeros(len(interner), np.int64)
        has_missing = False
        for column in group:
            own = self._entries(column, rows["train"])
            found = np.bincount(own + 1, minlength=len(interner) + 1)  # the code -1 comes first
            counts += found[1:]
            has_missing |= column.role == "sparse" and bool(found[0])
        kept = np.flatnonzero(counts >= self.plan.min_count)
        kept = kept[np.argsort(-counts[kept], kind="stable")]
        categories = _categories(interner, kept, has_missing)
        remap = np.zeros(len(interner) + 1, np.int32)  # the code -1 comes first
        remap[kept + 1] = np.arange(len(kept)) + categories.first
        remap[0] = int(has_missing)
        fitted = []
        for column in group:
            self._remaps[column.name] = remap
            missing, unseen = self._shares(column, remap, rows)
            distinct = int((counts > 0).sum())
            fitted.append(
                replace(
                    column, categories=categories, distinct=distinct, missing=missing, unseen=unseen
                )
            )
        return fitted

    def _shares(self, column: Column, remap: np.ndarray, rows: dict) -> tuple[float, float]:
        """Return the share of rows without a value, and of held-out values that are not known."""
        key = f"codes{self.sparse.index(column)}"
        if column.role == "bag":
            missing = float((self.spool.column(f"{key}.n") == 0).mean())
        else:
            missing = float((self.spool.column(key) < 0).mean())
        held = np.concatenate([self._entries(column, rows[name]) for name in ("valid", "test")])
        held = held[held >= 0]
        return missing, float((remap[held + 1] == 0).mean()) if len(held) else 0.0

    def _entries(self, column: Column, rows: Rows) -> np.ndarray:
        """Return the codes of some rows: one a row, or all of their bags."""
        key = f"codes{self.sparse.index(column)}"
        if column.role == "sparse":
            return np.asarray(self.spool.column(key)[rows])
        return self._bags(key, rows)[0]

    def _bags(self, key: str, rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return the codes, lengths and weights of the bags of some rows."""
        lengths = np.asarray(self.spool.column(f"{key}.n")).astype(np.int64)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        own, begin = lengths[rows], starts[:-1][rows]
        offsets = np.concatenate([[0], np.cumsum(own)])
        index = np.arange(offsets[-1]) + np.repeat(begin - offsets[:-1], own)
        weights = np.asarray(self.spool.column(f"{key}.w"))
        codes = np.asarray(self.spool.column(key)).astype(np.int32)
        return codes[index], own, weights[index] if len(weights) else None

    # Writing

    def _write_split(self, name: str, rows: Rows, schema: Schema, pool: ThreadPoolExecutor) -> None:
        count = len(range(*rows.indices(self.count))) if isinstance(rows, slice) else len(rows)
        dense = self.spool.output(f"{name}.dense", np.float32, (count, len(self.dense)))
        columns = [self.spool.column(f"dense{k}") for k in range(len(self.dense))]
        for start, part in _chunks(rows, self.count):
            block = np.empty((len(columns[0][part]) if columns else 0, len(columns)), np.float32)
            for k, column in enumerate(schema.dense):
                block[:, k] = column.scale(np.asarray(columns[k][part]))
            if columns:
                dense[start : start + len(block)] = block
        for key in ("label", "weight"):
            values = np.asarray(self.spool.column(key))
            if len(values):
                values = values[rows]
                if key == "label" and np.isnan(values).any():
                    if not np.isnan(values).all():
                        raise ValueError(f"some rows have no {schema.label}, others have one")
                    continue
                self.spool.output(f"{name}.{key}", np.float32, (count,))[...] = values
        if schema.has_bags:
            self._write_bags(name, rows, count, pool)
        else:
            self._write_ids(name, rows, count)

    def _mapped(self, column: Column, codes: np.ndarray) -> np.ndarray:
        if self.plan.schema is None:
            return self._remaps[column.name][codes + 1]
        assert column.categories is not None
        return np.where(codes < 0, np.int32(column.categories.missing), codes)

    def _write_ids(self, name: str, rows: Rows, count: int) -> None:
        ids = self.spool.output(f"{name}.ids", np.int32, (count, len(self.sparse)))
        columns = [self.spool.column(f"codes{t}") for t in range(len(self.sparse))]
        for start, part in _chunks(rows, self.count):
            block = [
                self._mapped(c, np.asarray(columns[t][part])) for t, c in enumerate(self.sparse)
            ]
            if block and len(block[0]):
                ids[start : start + len(block[0])] = np.stack(block, axis=1)

    def _write_bags(self, name: str, rows: Rows, count: int, pool: ThreadPoolExecutor) -> None:
        """Write the ids of all tables one after another, as a Jagged has them."""
        totals = [self._num_entries(t, rows, count) for t in range(len(self.sparse))]
        ends = np.cumsum([0, *totals])
        values = self.spool.output(f"{name}.values", np.int32, (int(ends[-1]),))
        offsets = self.spool.output(f"{name}.offsets", np.int64, (len(totals) * count + 1,))
        every = None
        if any(column.weights for column in self.sparse):
            every = self.spool.output(f"{name}.weights", np.float32, (int(ends[-1]),))
            every[...] = 1

        def write(t: int) -> None:
            column = self.sparse[t]
            own, bags = slice(ends[t], ends[t + 1]), slice(t * count + 1, (t + 1) * count + 1)
            if column.role == "sparse":
                codes = np.asarray(self.spool.column(f"codes{t}")[rows])
                offsets[bags] = np.arange(ends[t] + 1, ends[t + 1] + 1)
            else:
                codes, lengths, weights = self._bags(f"codes{t}", rows)
                offsets[bags] = ends[t] + np.cumsum(lengths)
                if every is not None and weights is not None:
                    every[own] = weights
            values[own] = self._mapped(column, codes)

        list(pool.map(write, range(len(totals))))

    def _num_entries(self, t: int, rows: Rows, count: int) -> int:
        if self.sparse[t].role == "sparse":
            return count
        return int(self.spool.column(f"codes{t}.n")[rows].sum())


def _chunks(rows: Rows, count: int) -> Iterator[tuple[int, Rows]]:
    """Cut the rows of a split; yield where each part begins in the split, and its rows."""
    if isinstance(rows, slice):
        first, last, _ = rows.indices(count)
        for start in range(first, last, _CHUNK_ROWS):
            yield start - first, slice(start, min(start + _CHUNK_ROWS, last))
        return
    for start in range(0, len(rows), _CHUNK_ROWS):
        yield start, rows[start : start + _CHUNK_ROWS]


def _by_user(users: np.ndarray, fractions: tuple, rng: np.random.Generator) -> np.ndarray:
    """Send whole users to the splits; return the split of each row."""
    count = int(users.max()) + 1
    first = max(1, round(count * fractions[0]))
    second = max(first, round(count * (fractions[0] + fractions[1])))
    order = rng.permutation(count)
    part = np.zeros(count, np.int8)
    part[order[first:second]], part[order[second:]] = 1, 2
    return part[users]


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
