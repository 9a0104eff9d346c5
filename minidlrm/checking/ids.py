"""Ids that collide: a backward that loses the repeats of an id passes on distinct ids.

Integers are changed only where they can be ids. Zeros and ones (masks, one-hot labels, an
adjacency matrix) stay, and so do offsets and lists that repeat already, such as class labels.
Permutations and increasing lists are changed with a doubt: their entries may be distinct by
nature, so that a failure on repeats is worth a remark, and no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from minidlrm.data.batch import Batch, Jagged
from minidlrm.module import Module

Inputs = tuple[Any, ...]


@dataclass(frozen=True)
class Change:
    """Inputs with other ids.

    Parameters
    ----------
    inputs : tuple
        What forward takes.
    places : tuple of int
        Which of them were changed.
    doubtful : bool
        Whether the given ones may be distinct by nature.
    """

    inputs: Inputs
    places: tuple[int, ...]
    doubtful: bool


def changes(inputs: Inputs, target: Any) -> Iterator[Change]:
    """Yield the inputs with ids that collide, the boldest first; at last as they were given."""
    if not any(map(_may_hold_ids, inputs)):
        yield Change(inputs, (), False)
        return
    sizes = table_sizes(target)
    if isinstance(target, Module) and sizes:
        bold = tuple(collide(value, sizes, k == 0) for k, value in enumerate(inputs))
        yield _change(inputs, bold, False)
    else:
        found = [_changed(value, inputs) for value in inputs]
        doubt = any(each[2] for each in found)
        bold = tuple(each[0] for each in found)
        mild = tuple(each[1] for each in found)
        yield _change(inputs, bold, doubt)
        if any(a is not b for a, b in zip(bold, mild, strict=True)):
            yield _change(inputs, mild, doubt)
    yield Change(inputs, (), False)


def _may_hold_ids(value: Any) -> bool:
    return not isinstance(value, np.ndarray) or value.dtype.kind in "iu"


def _change(given: Inputs, inputs: Inputs, doubtful: bool) -> Change:
    pairs = enumerate(zip(given, inputs, strict=True))
    places = tuple(k for k, (old, new) in pairs if not _is_same(old, new))
    return Change(inputs, places, doubtful)


def _is_same(old: Any, new: Any) -> bool:
    if old is new:
        return True
    a, b = getattr(old, "sparse", old), getattr(new, "sparse", new)
    if isinstance(a, Jagged) and isinstance(b, Jagged):
        return np.array_equal(a.values, b.values) and np.array_equal(a.offsets, b.offsets)
    return isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.array_equal(a, b)


def _changed(value: Any, inputs: Inputs) -> tuple[Any, Any, bool]:
    """Return one input changed boldly, changed mildly, and whether there is a doubt."""
    if isinstance(value, (Batch, Jagged)):
        bold = collide(value, [], True)
        return bold, bold, False
    if isinstance(value, list) and value and all(type(part) is int for part in value):
        bold, mild, doubt = _changed(np.array(value), inputs)
        return bold.tolist(), mild.tolist(), doubt
    if not (isinstance(value, np.ndarray) and value.dtype.kind in "iu" and value.size > 1):
        return value, value, False
    if value.ndim not in (1, 2) or np.isin(value, (0, 1)).all():
        return value, value, False
    if value.ndim == 1:
        return _changed_list(value, inputs)
    return _changed_rows(value, inputs)


def _changed_list(ids: np.ndarray, inputs: Inputs) -> tuple[Any, Any, bool]:
    others = [len(v) for v in inputs if v is not ids and _is_list_of_ids(v)]
    if len(np.unique(ids)) < len(ids) or any(may_be_offsets(ids, n) for n in others):
        return ids, ids, False
    new = np.concatenate([ids[:1], ids[:1], ids[2:]])
    return new, new, bool((np.diff(ids) > 0).all()) or _is_permutation(ids)


def _changed_rows(ids: np.ndarray, inputs: Inputs) -> tuple[Any, Any, bool]:
    """Let two bags be the same, and, boldly, the first hold an id twice."""
    mild = ids.copy()
    mild[1:2] = ids[:1]
    bold = ids.copy()
    bold[:1, 1:2] = ids[:1, :1]
    bold[1:2] = bold[:1]
    lengths = [
        len(v) for v in inputs if isinstance(v, np.ndarray) and v.dtype.kind == "f" and v.ndim
    ]
    by_sample = bool(lengths) and all(n == len(ids) for n in lengths)  # x[b, ids[b]]
    return bold, mild, by_sample or all(_is_permutation(row) for row in ids)


def _is_permutation(ids: np.ndarray) -> bool:
    return bool((np.sort(ids) == np.arange(len(ids))).all())


def may_be_offsets(value: Any, num_ids: int) -> bool:
    """Whether an array may say where each bag begins in a list of `num_ids` ids."""
    if not _is_list_of_ids(value) or len(value) == 0:
        return False
    return bool(value[0] == 0 and value[-1] <= num_ids and (np.diff(value) >= 0).all())


def _is_list_of_ids(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "iu" and value.ndim == 1


# Tables whose sizes are known


def collide(value: Any, sizes: Sequence[int], first: bool = True) -> Any:
    """Make ids repeat inside a bag and across bags; use id 0 and the last id; empty a bag."""
    if isinstance(value, Batch):
        return replace(value, sparse=collide(value.sparse, sizes))
    if isinstance(value, Jagged):
        return _collide_bags(value, sizes)
    if not (isinstance(value, np.ndarray) and value.dtype.kind in "iu"):
        return value
    ids = value.copy()
    if ids.ndim == 2:
        if len(sizes) <= 1:  # a row is a bag, and not one id a table
            ids[:1, 1:2] = ids[:1, :1]
        ids[1:2] = ids[:1]
        ids[3:4] = 0
        if len(ids) > 4 and len(sizes) == ids.shape[1]:
            ids[4] = np.array(sizes) - 1
    elif ids.ndim == 1 and first:  # a later one holds offsets
        _repeat_first(ids)
        if len(ids) > 5 and len(sizes) == 1:
            ids[3], ids[4] = 0, sizes[0] - 1
    return ids


def _collide_bags(bags: Jagged, sizes: Sequence[int]) -> Jagged:
    num_tables = max(1, len(sizes))
    ids, offsets = bags.values.copy(), bags.offsets.copy()
    per_table = max(1, (len(offsets) - 1) // num_tables)
    starts = offsets[::per_table]
    for t, (start, stop) in enumerate(pairwise(starts)):
        _repeat_first(ids[start:stop])
        if stop - start > 5 and t < len(sizes):
            ids[start + 3], ids[start + 4] = 0, sizes[t] - 1
        if per_table > 2:  # the table's last bag but one goes to the last
            offsets[(t + 1) * per_table - 1] = offsets[(t + 1) * per_table - 2]
    return Jagged(ids, offsets, bags.weights)


def _repeat_first(ids: np.ndarray) -> None:
    """Repeat the first id next to it, in its bag or the next one, and at the end."""
    ids[:3] = ids[:1]
    ids[-1:] = ids[:1]


def table_sizes(target: Any) -> list[int]:
    """Return the rows of each table, as the target or its first module with tables says."""
    if not isinstance(target, Module):
        return []
    sizes = getattr(target, "config", {}).get("table_sizes")
    if sizes is None:
        starts = (getattr(module, "starts", None) for _, module in target.named_modules())
        found = next((each for each in starts if each is not None), [0])
        sizes = np.diff(found)
    return [int(size) for size in sizes]
