"""Roles: which column of a table is the label, a number, an id, or a bag; given, or inferred."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from minidlrm.arrays import as_names, check_type, check_word
from minidlrm.data.features import TRANSFORMS, Column
from minidlrm.data.schema import Schema
from minidlrm.data.sources import Source

_LABELS = ("label", "click", "clicked", "is_click", "target", "rating", "y")
_ID = re.compile(r"(^|_)(id|code|hash)$|[a-z]Id$|ID$")


@dataclass(frozen=True, eq=False)
class Roles:
    """The roles of the columns, checked against each other and against the table.

    Parameters
    ----------
    label, sample_weight : str or None
        As `read_table`.
    columns : tuple of Column
        Dense ones first; not fitted yet.
    ignored : tuple of str
        Columns without a role.
    inferred : bool
        Whether the roles were inferred.
    """

    label: str | None
    sample_weight: str | None
    columns: tuple[Column, ...]
    ignored: tuple[str, ...] = field(default=())
    inferred: bool = False

    @classmethod
    def given(
        cls,
        source: Source,
        *,
        label: str | None,
        dense: Sequence[str] | None,
        sparse: Sequence[str] | None,
        bags: Mapping[str, Any] | Sequence[str] | None,
        bag_weights: Mapping[str, str] | None,
        padding: str | int | None,
        sample_weight: str | None,
        share: Mapping[str, str] | None,
        transform: str | Mapping[str, str],
        others: Sequence[str],
    ) -> Roles:
        """Check the roles that a caller gave; infer all where none is given."""
        inferred = dense is None and sparse is None and bags is None
        for option, mapping in (("share", share), ("bag_weights", bag_weights)):
            if mapping is not None and not (
                isinstance(mapping, Mapping) and all(map(_is_text, (*mapping, *mapping.values())))
            ):
                raise TypeError(f"{option} is {mapping!r}: give a dict of columns")
        for option, value in (("label", label), ("sample_weight", sample_weight)):
            if value is not None:
                check_type(option, value, str)
        dense = None if dense is None else as_names("dense", dense)
        sparse = None if sparse is None else as_names("sparse", sparse)
        if inferred:
            label, dense, sparse, bags = _inferred(source, label, (*others, sample_weight))
        columns = [Column(name, "dense", _transform(name, transform)) for name in dense or ()]
        columns += [Column(name, "sparse") for name in sparse or ()]
        columns += _bags({} if bags is None else bags, bag_weights or {}, padding)
        if isinstance(transform, Mapping):
            _known("transform", transform, list(dense or ()))
        if label is None:
            raise ValueError("label is missing: name the column with the labels")
        if not columns:
            raise ValueError("no column has a role: give dense, sparse or bags")
        columns = _shared(columns, share or {})
        roles = cls(label, sample_weight, tuple(columns), inferred=inferred)
        roles._check(source)
        used = {*roles.wanted, *others}
        return replace(roles, ignored=tuple(n for n in source.names if n not in used))

    @classmethod
    def of_schema(cls, schema: Schema, source: Source) -> Roles:
        """Return the roles that a schema has, for rows that are read by it."""
        label = schema.label if schema.label in source.names else None
        weight = schema.sample_weight if schema.sample_weight in source.names else None
        roles = cls(label, weight, tuple(schema.columns))
        source.need(roles.wanted)
        return roles

    def _check(self, source: Source) -> None:
        for option, names in (
            ("label", [self.label]),
            ("sample_weight", [self.sample_weight]),
            ("dense", [c.name for c in self.dense]),
            ("sparse or bags", [name for c in self.sparse for name in c.sources]),
        ):
            source.need([name for name in names if name is not None], option)
        places: dict[str, str] = {}
        roles = [(self.label, "label"), (self.sample_weight, "sample_weight")]
        roles += [(name, c.role) for c in self.columns for name in c.sources]
        for name, role in roles:
            if name is None:
                continue
            if name in places:
                raise ValueError(f"column {name!r} has two roles, {places[name]} and {role}")
            places[name] = role

    @property
    def wanted(self) -> list[str]:
        """All columns that are read, each once."""
        inputs = [name for column in self.columns for name in column.sources]
        own = [name for name in (self.label, self.sample_weight) if name is not None]
        return list(dict.fromkeys([*inputs, *own]))

    @property
    def dense(self) -> list[Column]:
        """The columns of numbers."""
        return [column for column in self.columns if column.role == "dense"]

    @property
    def sparse(self) -> list[Column]:
        """The columns of ids, bags too."""
        return [column for column in self.columns if column.role != "dense"]

    def as_json(self) -> list[Any]:
        """Return what decides how rows are read, for the key of a cache."""
        return [self.label, self.sample_weight, [column.as_json() for column in self.columns]]


def _transform(name: str, transform: str | Mapping[str, str]) -> str:
    check_type("transform", transform, str, Mapping)
    how = transform if isinstance(transform, str) else transform.get(name, "standardize")
    check_word("transform", how, *TRANSFORMS)
    return how


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _known(option: str, names: Iterable[str], columns: Sequence[str]) -> None:
    for name in names:
        if name not in columns:
            raise ValueError(f"{option} names {name!r}: it must be one of {', '.join(columns)}")


def _bags(bags: Any, weights: Mapping[str, str], padding: str | int | None) -> list[Column]:
    if not (isinstance(bags, (list, tuple, Mapping)) and all(map(_is_text, bags))):
        raise TypeError(f"bags is {bags!r}: give a list, or a dict such as {{'genres': '|'}}")
    forms = dict(bags) if isinstance(bags, Mapping) else dict.fromkeys(bags)
    _known("bag_weights", weights, list(forms))
    columns, padded = [], False
    for name, form in forms.items():
        column = Column(name, "bag", weights=weights.get(name))
        if isinstance(form, str):
            if not form:
                raise ValueError(f"the separator of the bag {name!r} is empty")
            column = replace(column, separator=form)
        elif form is not None:
            if not (isinstance(form, (list, tuple)) and all(map(_is_text, form))):
                raise TypeError(
                    f"bags[{name!r}] is {form!r}: give what stands between the entries, or columns"
                )
            if column.weights:
                raise ValueError(f"bag_weights: the bag {name!r} has a column for each entry")
            pad = None if padding is None else str(padding)
            column, padded = replace(column, parts=tuple(form), padding=pad), True
        columns.append(column)
    if padding is not None and not padded:
        raise ValueError("padding is given, but no bag has a column for each entry")
    return columns


def _shared(columns: list[Column], share: Mapping[str, str]) -> list[Column]:
    names = [column.name for column in columns if column.role != "dense"]
    for first, second in share.items():
        _known("share", (first, second), names)
        if first == second or second in share:
            raise ValueError(f"share: {first!r} must share the table of a column that has its own")
    return [
        replace(column, table=share[column.name]) if column.name in share else column
        for column in columns
    ]


def _inferred(source: Source, label: str | None, others: Sequence[str | None]) -> tuple:
    """Infer the label from its name, and the other roles from types and names."""
    import pyarrow as pa

    types = source.types()
    if label is None:
        found = [name for name in source.names if name.lower() in _LABELS]
        if len(found) != 1:
            known = ", ".join(source.names)
            raise ValueError(f"which column is the label? Give label=; there are {known}")
        label = found[0]
    dense: list[str] = []
    sparse: list[str] = []
    bags: list[str] = []
    for name in source.names:
        if name in (label, *others):
            continue
        kind = types[name]
        if "list" in str(kind):
            bags.append(name)
        elif pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            dense.append(name)
        elif pa.types.is_integer(kind):
            (sparse if _ID.search(name) else dense).append(name)
        else:
            sparse.append(name)
    return label, dense, sparse, bags
