"""Schema: what the columns of a table mean, and the one way from raw rows to a Batch.

A schema is made from the training rows by a reader, saved with the model, and used again for
every row that comes later. It knows the order of the columns, how a number is scaled, and which
text has which id. A value that the training rows do not have gets the id 0.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from minidlrm.arrays import as_size, check_type, doubles
from minidlrm.data.batch import Batch, Jagged, as_batch
from minidlrm.data.columns import at, numbers, of_interner, texts
from minidlrm.data.features import FLAGS, Categories, Column
from minidlrm.data.intern import Interner
from minidlrm.languages import Message, say
from minidlrm.printing import as_html, said_rows, width_of

_FORMAT = 1


@dataclass(frozen=True, eq=False)
class Schema:
    """The columns of a table in the order of the model's inputs.

    Parameters
    ----------
    columns : sequence of Column
        Dense columns first, then those with ids.
    label : str or None
        The column with the labels.
    task : "clicks" or "ratings"
        What the labels are.
    sample_weight : str or None
        The column with the weight of each row in the loss.
    ignored : sequence of str
        Columns of the training table that have no role.

    Examples
    --------
    >>> import minidlrm as md
    >>> rows = {"click": [1, 0, 1, 0], "price": [1.0, 2.0, 3.0, 4.0],
    ...         "city": ["Ulm", "Rom", "Ulm", "Rom"]}
    >>> data = md.data.read_table(rows, label="click", dense=["price"], sparse=["city"],
    ...                           split="order", fractions=(1, 0, 0))
    >>> batch = data.schema.encode([{"price": 2.5, "city": "Rom"}, {"price": 9.0, "city": "Bonn"}])
    >>> batch.dense[:, 0].round(2), batch.sparse.tolist()
    (array([0.  , 5.81], dtype=float32), [[2], [0]])
    """

    columns: tuple[Column, ...]
    label: str | None = None
    task: str = "clicks"
    sample_weight: str | None = None
    ignored: tuple[str, ...] = field(default=())

    @property
    def dense(self) -> list[Column]:
        """The columns that are numbers."""
        return [column for column in self.columns if column.role == "dense"]

    @property
    def sparse(self) -> list[Column]:
        """The columns of ids, a table each."""
        return [column for column in self.columns if column.role != "dense"]

    @property
    def has_bags(self) -> bool:
        """Whether a column holds bags of ids."""
        return any(column.role == "bag" for column in self.columns)

    @property
    def table_sizes(self) -> list[int]:
        """Number of ids of each column of ids."""
        return [c.categories.size for c in self.sparse if c.categories is not None]

    @property
    def shared(self) -> list[tuple[int, int]]:
        """The columns of ids that share a table, each with the place of the table's column."""
        names = [column.name for column in self.sparse]
        return [(t, names.index(c.table)) for t, c in enumerate(self.sparse) if c.table]

    @property
    def feature_names(self) -> list[str]:
        """Names of the dense columns, then of the others."""
        return [column.name for column in (*self.dense, *self.sparse)]

    def __getitem__(self, name: str) -> Column:
        """Return a column by its name; KeyError lists the names, TypeError where it is no text."""
        check_type("the name", name, str)
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(
            f"no column has the name {name!r}; there are {', '.join(self.feature_names)}"
        )

    def encode(self, rows: Any) -> Batch:
        """Turn raw rows into a Batch.

        Parameters
        ----------
        rows : DataFrame, Arrow table, dict of lists, list of dicts, or a path
            Anything that `read_table` reads. Columns without a role are ignored; labels are
            used where the label's column exists.

        Returns
        -------
        Batch
            float32 dense features; int64 ids (B, T), or a `Jagged` where there are bags.

        Raises
        ------
        ValueError
            When a column is missing, or a value cannot be read; the error names the column,
            the row and the value.

        Examples
        --------
        See `Schema`.
        """
        from minidlrm.data.opening import open_source

        source = open_source(rows)
        parts: list[Batch] = []
        first = 0
        for block in source.blocks(self):
            parts.append(self.encode_block(block, partial(source.after, first)))
            first += len(parts[-1])
        if not parts:
            raise ValueError(f"{source.description} has no rows")
        return concatenated(parts)

    def encode_block(self, data: dict[str, Any], place: Any = None) -> Batch:
        """Return `data`, Arrow arrays by column name, as a Batch; `place` words a bad row.

        ValueError when a value cannot be read, or labels have gaps.
        """
        import pyarrow as pa

        check_type("data", data, dict)
        lost = [name for c in self.columns for name in c.sources if name not in data]
        if lost:
            raise ValueError(f"data has no column {lost[0]!r}")
        for name, column in data.items():
            check_type(f"data[{name!r}]", column, pa.Array, pa.ChunkedArray)
        count = len(next(iter(data.values())))
        uneven = [name for name, column in data.items() if len(column) != count]
        if uneven:
            raise ValueError(f"data: column {uneven[0]!r} is not as long as the others")
        dense = np.empty((count, len(self.dense)), np.float32)
        for k, column in enumerate(self.dense):
            dense[:, k] = column.scale(numbers(data[column.name], column.name, place))
        label = weight = None
        if self.label is not None and self.label in data:
            label = numbers(data[self.label], self.label, place).astype(np.float32)
            gaps = np.isnan(label)
            if gaps.any() and not gaps.all():
                raise ValueError(
                    f"{at(place, int(gaps.argmax()))}column {self.label}: the label is missing, "
                    "and other rows have one: leave the column out, or fill it"
                )
            label = None if gaps.all() else label
        if self.sample_weight is not None and self.sample_weight in data:
            weight = numbers(data[self.sample_weight], self.sample_weight, place)
        batch = Batch(dense, self._ids(data, count, place), label)
        return batch if weight is None else replace(batch, weight=weight.astype(np.float32))

    def _ids(self, data: dict[str, Any], count: int, place: Any) -> np.ndarray | Jagged:
        if not self.has_bags:
            ids = np.empty((count, len(self.sparse)), np.int64)
            for t, column in enumerate(self.sparse):
                assert column.categories is not None
                words = texts(data[column.name], column.name, place)
                ids[:, t] = column.categories.ids(words, column.name, place)
            return ids
        values, lengths, weights = [], [], []
        for column in self.sparse:
            assert column.categories is not None
            if column.role == "sparse":
                entries = texts(data[column.name], column.name, place)
                number, weight = np.ones(count, np.int64), None
            else:
                entries, number, weight = column.entries(data, place)
            values.append(column.categories.ids(entries, column.name).astype(np.int64))
            lengths.append(number)
            weights.append(weight)
        return jagged(values, lengths, weights)

    def decode(self, batch: Batch) -> Any:
        """Turn `batch` back into a table of raw values: ids as text, numbers unscaled.

        Values that are not known, and missing ones, are missing in the table. So are those of the
        id 0 of a table without a row for them.

        Returns
        -------
        pyarrow.Table
        """
        import pyarrow as pa

        as_batch("batch", batch).check(len(self.dense), len(self.sparse))
        data: dict[str, Any] = {}
        for k, column in enumerate(self.dense):
            data[column.name] = column.unscale(doubles("dense", batch.dense[:, k]))
        for t, column in enumerate(self.sparse):
            assert column.categories is not None
            words = column.categories.words(batch.ids_of(t))
            if column.role == "bag" and isinstance(batch.sparse, Jagged):
                count = len(batch)
                own = batch.sparse.offsets[t * count : (t + 1) * count + 1]
                data[column.name] = pa.LargeListArray.from_arrays(pa.array(own - own[0]), words)
            else:
                data[column.name] = words
        if batch.label is not None and self.label is not None:
            data[self.label] = doubles("label", batch.label).astype(batch.label.dtype)
        return pa.table(data)

    def grown(self, rows: Any, min_count: int = 1) -> Schema:
        """Return a schema that knows new values too; the known ones keep their ids.

        Parameters
        ----------
        rows : anything that `encode` takes
            Rows in which new values occur.
        min_count : int
            How often a value must occur to be added.

        Returns
        -------
        Schema
            New values have the ids after the known ones, in the order in which they come.

        Examples
        --------
        >>> import minidlrm as md
        >>> rows = {"click": [0, 1] * 20, "city": ["Ulm", "Rom"] * 20}
        >>> schema = md.data.read_table(rows, label="click", sparse=["city"], progress=False).schema
        >>> grown = schema.grown({"city": ["Bonn", "Ulm"]})
        >>> schema.table_sizes, grown.table_sizes, grown["city"].categories.value(3)
        ([3], [4], 'Bonn')
        """
        from minidlrm.data.opening import open_source

        source = open_source(rows)
        min_count = as_size("min_count", min_count)
        new = {c.table or c.name: (Interner(), [np.zeros(0, np.int64)]) for c in self.sparse}
        first = 0
        for data in source.blocks(self):
            place = partial(source.after, first)
            first += len(next(iter(data.values())))
            for column in self.sparse:
                assert column.categories is not None
                words = column.categories.plain(column.words(data, place))
                texts_, counts = new[column.table or column.name]
                given = words.chosen(~words.missing)
                counts.append(texts_.add(given.text, given.offsets).astype(np.int64))
        tables = {}
        for name, (interner, codes) in new.items():
            old = self[name].categories
            assert old is not None
            enough = np.bincount(np.concatenate(codes), minlength=len(interner)) >= min_count
            tables[name] = old.with_more(of_interner(interner).chosen(enough))
        columns = [
            replace(c, categories=tables[c.table or c.name]) if c.role != "dense" else c
            for c in self.columns
        ]
        return replace(self, columns=tuple(columns))

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return all of it as JSON-able values, and arrays: what a checkpoint stores."""
        plain = {
            "format": _FORMAT,
            "label": self.label,
            "task": self.task,
            "sample_weight": self.sample_weight,
            "ignored": list(self.ignored),
            "columns": [column.as_json() for column in self.columns],
        }
        arrays = {}
        for k, column in enumerate(self.columns):
            if column.categories is not None and column.table is None:
                arrays[f"{k}.text"] = column.categories.known.text
                arrays[f"{k}.ends"] = column.categories.known.ends
        return plain, arrays

    @classmethod
    def from_state(cls, plain: dict[str, Any], arrays: dict[str, np.ndarray]) -> Schema:
        """Make the schema again from what `state` returned; ValueError where it does not fit."""
        check_type("plain", plain, dict)
        check_type("arrays", arrays, dict)
        try:
            json.dumps(plain)
        except (TypeError, ValueError) as error:
            raise TypeError(f"plain is not what `state` returns: {error}") from None
        if plain.get("format") != _FORMAT:
            raise ValueError(
                f"plain is of the format {plain.get('format')!r}: it is not known here"
            )
        try:
            return cls._of(plain, arrays)
        except (LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"plain is not what `state` returns: {error}") from error

    @classmethod
    def _of(cls, plain: dict[str, Any], arrays: dict[str, np.ndarray]) -> Schema:
        columns = []
        for k, stored in enumerate(plain["columns"]):
            stored = {**stored, "parts": tuple(stored["parts"])}
            flags = [bool(stored.pop(flag)) for flag in FLAGS if flag in stored]
            categories = None
            if flags and stored["table"] is None:
                known = _checked(arrays.get(f"{k}.text"), arrays.get(f"{k}.ends"), stored["name"])
                categories = Categories(known, *flags)
            columns.append(Column(**stored, categories=categories))
        own = {column.name: column.categories for column in columns}
        columns = [replace(c, categories=own[c.table]) if c.table else c for c in columns]
        rest = {key: plain[key] for key in ("label", "task", "sample_weight")}
        return cls(tuple(columns), **rest, ignored=tuple(plain["ignored"]))

    def rows(self) -> list[tuple[str, ...]]:
        """Return the schema as a table of text: a line for each column, a heading first."""
        lines: list[tuple[str, ...]] = [
            (
                *(Message("column"), Message("role"), Message("transform")),
                *(Message("distinct"), Message("missing"), Message("unseen")),
            )
        ]
        if self.label is not None:
            lines.append((self.label, Message("label ({task})", task=self.task), "", "", "", ""))
        if self.sample_weight is not None:
            lines.append((self.sample_weight, Message("weight of the row"), "", "", "", ""))
        for c in (*self.dense, *self.sparse):
            how = c.transform if c.role == "dense" else ""
            if c.table is not None:
                how = Message("table of {column}", column=c.table)
            seen = "" if c.role == "dense" else f"{100 * c.unseen:.1f}%"
            lines.append((c.name, c.role, how, f"{c.distinct:,}", f"{100 * c.missing:.1f}%", seen))
        return lines

    def __repr__(self) -> str:
        return self.to_text("en")

    def to_text(self, lang: str | None = None) -> str:
        """Return the table as text, in a language; by default in the user's.

        Parameters
        ----------
        lang : str, optional
            Such as "ko".

        Raises
        ------
        ValueError
            When there is no catalogue for `lang`.
        """
        lines = said_rows(self.rows(), lang)
        widths = [max(map(width_of, column)) for column in zip(*lines, strict=True)]
        text = []
        for line in lines:
            gaps = [" " * (w - width_of(cell)) for w, cell in zip(widths, line, strict=True)]
            left = [cell + gap for cell, gap in zip(line[:3], gaps, strict=False)]
            right = [gap + cell for cell, gap in zip(line[3:], gaps[3:], strict=True)]
            text.append("  ".join([*left, *right]).rstrip())
        if self.ignored:
            text.append(say("ignored: {columns}", lang, columns=", ".join(self.ignored)))
        return "\n".join(text)

    def _repr_html_(self) -> str:
        return as_html(self.rows())


def _checked(text: np.ndarray | None, ends: np.ndarray | None, name: str) -> Interner:
    """Make the known values of a stored column; ValueError where the arrays cannot be such."""
    fits = all(isinstance(each, np.ndarray) and each.ndim == 1 for each in (text, ends))
    fits = fits and not any(isinstance(each, np.ma.MaskedArray) for each in (text, ends))
    if fits and text is not None and ends is not None:
        fits = text.dtype == np.uint8 and ends.dtype == np.int64
        fits = fits and bool((np.diff(ends, prepend=0) >= 0).all())
        fits = fits and (int(ends[-1]) if len(ends) else 0) == len(text)
    if fits:
        known = Interner(text, ends)
        if len(known) == len(ends if ends is not None else ()):
            return known
    raise ValueError(f"arrays: the stored values of column {name}, by plain, are damaged")


def jagged(
    values: Sequence[np.ndarray],
    lengths: Sequence[np.ndarray],
    weights: Sequence[np.ndarray | None],
) -> Jagged:
    """Put the ids of all tables one after another; where one has weights, the others weigh 1."""
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    every = None
    if any(weight is not None for weight in weights):
        pairs = zip(values, weights, strict=True)
        every = np.concatenate([np.ones(len(v), np.float32) if w is None else w for v, w in pairs])
    return Jagged(np.concatenate(values), offsets, every)


def concatenated(parts: Sequence[Batch]) -> Batch:
    """Put batches one after another."""
    if len(parts) == 1:
        return parts[0]
    dense = np.concatenate([part.dense for part in parts])
    label = None
    if all(part.label is not None for part in parts):
        label = np.concatenate([part.label for part in parts])
    weight = None
    if all(part.weight is not None for part in parts):
        weight = np.concatenate([part.weight for part in parts])
    if not isinstance(parts[0].sparse, Jagged):
        return Batch(dense, np.concatenate([part.sparse for part in parts]), label, weight)
    bags = [part.sparse for part in parts if isinstance(part.sparse, Jagged)]
    num_tables = max(part.num_tables for part in parts)  # an empty part does not know
    values, lengths, weights = [], [], []
    for t in range(num_tables):
        for bag, part in zip(bags, parts, strict=True):
            own = bag.offsets[t * len(part) : (t + 1) * len(part) + 1]
            values.append(bag.values[own[0] : own[-1]])
            lengths.append(np.diff(own))
            weights.append(None if bag.weights is None else bag.weights[own[0] : own[-1]])
    return Batch(dense, jagged(values, lengths, weights), label, weight)
