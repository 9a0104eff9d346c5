"""Catalogue: the features of every user and item, and how a pair of them becomes a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidlrm.arrays import as_names, as_size, check_room, check_type, integers, native
from minidlrm.data.batch import Batch, Dataset, Jagged
from minidlrm.data.schema import jagged
from minidlrm.module import Module
from minidlrm.training import predict

_BATCH = 2048  # rows that a model scores at a time: measured, they stay in the cache
_BLOCK = 4_000_000  # scores that are held at a time

Scorer = Callable[[np.ndarray], np.ndarray]  # ids of users (u,) -> scores (u, I)


@dataclass(frozen=True, eq=False)
class Catalogue:
    """A row of features for each user and each item; a pair takes columns of both.

    Columns that belong to neither, such as the hour, come with the user: the request is
    the user in a context.

    Parameters
    ----------
    users, items : Batch
        Row u has the features of the user with the id u, row i those of the item i. Both have
        the columns of the model.
    item_tables, item_dense : sequence of int
        The tables, and the dense features, that a pair takes from its item.
    user_table, item_table : int
        The tables of the ids themselves.
    counts : integer array (I,), optional
        How often each item occurs in the training rows: its popularity.
    names : sequence of str
        What the items are called.
    first_user, first_item : int
        The first id that is a user, and an item. Lower ids stand for values that are not known
        or missing; these are never recommended.

    Raises
    ------
    TypeError
        When `users` or `items` is not a Batch.
    ValueError
        When the two batches do not have the same columns.

    Examples
    --------
    >>> import minidlrm as md
    >>> catalogue = md.recommending.Catalogue.of_pairs(3, 5)
    >>> catalogue.pairs([2, 2], [0, 4]).sparse.tolist()
    [[2, 0], [2, 4]]
    """

    users: Batch
    items: Batch
    item_tables: Sequence[int] = (1,)
    item_dense: Sequence[int] = ()
    user_table: int = 0
    item_table: int = 1
    counts: np.ndarray | None = None
    names: Sequence[str] = field(default=(), repr=False)
    first_user: int = 0
    first_item: int = 0

    def __post_init__(self) -> None:
        for name in ("users", "items"):
            if not isinstance(getattr(self, name), Batch):
                kind = type(getattr(self, name)).__name__
                raise TypeError(f"{name} is a {kind}: it must be a Batch, a row for each id")
        shapes = [(part.dense.shape[1], part.num_tables) for part in (self.users, self.items)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"users have {shapes[0][0]} dense features and {shapes[0][1]} tables, items "
                f"{shapes[1][0]} and {shapes[1][1]}: both need all columns of the model"
            )

    @classmethod
    def of_pairs(cls, num_users: int, num_items: int) -> Catalogue:
        """Make the catalogue of a model that reads num_users users and num_items items alone."""
        for name, count in (("num_users", num_users), ("num_items", num_items)):
            check_room(name, as_size(name, count), 2, itemsize=8)
        users = np.arange(as_size("num_users", num_users))
        items = np.arange(as_size("num_items", num_items))
        num_users, num_items = len(users), len(items)
        return cls(
            Batch(np.zeros((num_users, 0), np.float32), np.stack([users, 0 * users], axis=1)),
            Batch(np.zeros((num_items, 0), np.float32), np.stack([0 * items, items], axis=1)),
        )

    @classmethod
    def of(
        cls,
        data: Dataset,
        user: str | None = None,
        item: str | None = None,
        item_columns: Sequence[str] | None = None,
        names: Sequence[str] = (),
    ) -> Catalogue:
        """Make the catalogue of a data set from its training rows.

        Parameters
        ----------
        data : Dataset
            Each user, and each item, has the features of its last training row. What a row does
            not tell is 0, as a schema encodes it.
        user, item : str, optional
            The columns with the ids. The default is the first table, and the second.
        item_columns : sequence of str, optional
            The other columns that belong to the item. The default: those that the item explains
            better than the user does, that is, whose value is more often that of its last row.
        names : sequence of str
            What the items are called.

        Returns
        -------
        Catalogue

        Raises
        ------
        ValueError
            When a column does not exist, or there are fewer than two tables.
        IndexError
            When a training row has an id that its table does not.
        """
        check_type("data", data, Dataset)
        tables = as_names("data.feature_names", data.feature_names)[data.num_dense :]
        if len(tables) < 2:
            raise ValueError(f"the data have the tables {tables}: users and items need two")
        place = {name: t for t, name in enumerate(tables)}
        for word, name in (("user", user), ("item", item)):
            if name is not None and not (isinstance(name, str) and name in place):
                raise ValueError(f"{word} is {name!r}: it must be one of {', '.join(tables)}")
        u, i = place[user or tables[0]], place[item or tables[1]]
        for word, t in (("user", u), ("item", i)):
            _check_one_id(word, data.train, t)
            size = data.table_sizes[t]
            check_room(f"data.table_sizes[{t}]", size, len(data.feature_names), itemsize=8)
        for t, size in enumerate(data.table_sizes):
            check_ids(f"data.train.sparse, table {t}", data.train.ids_of(t), size)
        last_user = _last_rows(data.train.ids_of(u), data.table_sizes[u])
        last_item = _last_rows(data.train.ids_of(i), data.table_sizes[i])
        of_item = _explained(data, (u, i), last_user, last_item)  # (num_dense + T,)
        if item_columns is not None:
            item_columns = as_names("item_columns", item_columns)
            wrong = set(item_columns) - set(data.feature_names)
            if wrong:
                known = ", ".join(data.feature_names)
                raise ValueError(f"item_columns has {min(wrong)!r}: there are {known}")
            of_item = np.isin(data.feature_names, item_columns)
        of_item[[data.num_dense + u, data.num_dense + i]] = False, True
        return cls(
            _features(data.train, last_user, u),
            _features(data.train, last_item, i),
            np.flatnonzero(of_item[data.num_dense :]).tolist(),
            np.flatnonzero(of_item[: data.num_dense]).tolist(),
            u,
            i,
            np.bincount(data.train.ids_of(i)[_wanted(data)], minlength=data.table_sizes[i]),
            names,
            *(_first_id(data, t) for t in (u, i)),
        )

    @property
    def num_users(self) -> int:
        """Number of ids of users."""
        return len(self.users)

    @property
    def num_items(self) -> int:
        """Number of ids of items."""
        return len(self.items)

    def pairs(self, users: Any, items: Any) -> Batch:
        """Return the rows of pairs: `users` and `items` hold as many ids each."""
        users, items = integers("users", users, 1), integers("items", items, 1)
        if len(users) != len(items):
            raise ValueError(f"there are {len(users)} users and {len(items)} items: give pairs")
        check_ids("users", users, self.num_users)
        check_ids("items", items, self.num_items)
        left, right = self.users[users], self.items[items]
        dense = left.dense.copy()
        dense[:, list(self.item_dense)] = right.dense[:, list(self.item_dense)]
        sides = [right if t in self.item_tables else left for t in range(left.num_tables)]
        if not isinstance(left.sparse, Jagged) or not isinstance(right.sparse, Jagged):
            ids = np.stack([side.ids_of(t) for t, side in enumerate(sides)], axis=1)
            return Batch(dense, ids)
        columns = [side.bags_of(t) for t, side in enumerate(sides)]
        values, lengths, weights = zip(*columns, strict=True)
        return Batch(dense, jagged(values, lengths, weights))

    def scorer(self, model: Module) -> Scorer:
        """Return the function that scores all items for users (u,) with `model` -> (u, I)."""
        check_type("model", model, Module)

        def score(users: np.ndarray) -> np.ndarray:
            count, n = len(users) * self.num_items, self.num_items
            scores = np.empty(count, np.float32)
            for start in range(0, count, _BATCH):
                pair = np.arange(start, min(start + _BATCH, count))
                batch = self.pairs(users[pair // n], pair % n)
                scores[pair] = predict(model, batch, logits=True)
            return scores.reshape(len(users), n)

        return score


def catalogue_for(model: Module, catalogue: Catalogue | Dataset | None) -> Catalogue:
    """Return the catalogue that was given, or that of a model of users and items alone."""
    if isinstance(catalogue, Dataset):
        return Catalogue.of(catalogue)
    if catalogue is not None:
        if not isinstance(catalogue, Catalogue):
            raise TypeError(
                f"catalogue is a {type(catalogue).__name__}: give a Catalogue or Dataset"
            )
        return catalogue
    config = getattr(model, "config", {})
    sizes = config.get("table_sizes", ())
    if config.get("num_dense", 0) or len(sizes) != 2:
        raise ValueError(
            f"catalogue is None, and {type(model).__name__} reads more than users and items: "
            "give the Dataset, or a Catalogue"
        )
    return Catalogue.of_pairs(*sizes)


def blocks(users: np.ndarray, num_items: int) -> list[np.ndarray]:
    """Cut users into blocks whose scores fit into the memory that is meant for them."""
    return np.array_split(users, -(-len(users) * num_items // _BLOCK)) if len(users) else []


def as_pairs(name: str, rows: Any, catalogue: Catalogue | None = None) -> np.ndarray:
    """Return (user, item) pairs (n, 2) of a Batch without its rows of label 0, or of an array."""
    if isinstance(rows, Dataset):
        rows = rows.train
    if isinstance(rows, Batch):
        u, i = (catalogue.user_table, catalogue.item_table) if catalogue else (0, 1)
        if rows.num_tables <= max(u, i):
            raise ValueError(f"{name} has {rows.num_tables} tables: users and items need two")
        for t in (u, i):
            _check_one_id(name, rows, t)
        pairs = np.stack([rows.ids_of(u), rows.ids_of(i)], axis=1).astype(np.int64)
        return pairs if rows.label is None else pairs[np.asarray(rows.label) != 0]
    rows = native(name, rows)
    rows = rows if rows.size else np.zeros((0, 2), np.int64)
    pairs = integers(name, rows, 2)
    if pairs.shape[1] != 2:
        raise ValueError(f"{name} has shape {pairs.shape}: it must be (n, 2), users and items")
    return pairs.astype(np.int64)


def _check_one_id(name: str, rows: Batch, t: int) -> None:
    """Raise ValueError unless table t has one id a row: users and items are no bags."""
    if (rows.bags_of(t)[1] != 1).any():
        raise ValueError(f"{name}: table {t} holds bags, where users and items need one id a row")


def check_ids(name: str, ids: np.ndarray, size: int) -> None:
    """Raise IndexError when an id is out of range."""
    wrong = (ids < 0) | (ids >= size)
    if wrong.any():
        raise IndexError(f"{name}: id {ids[wrong.argmax()]} is out of range [0, {size})")


def _last_rows(ids: np.ndarray, size: int) -> np.ndarray:
    """Return the last row of each id, -1 where it has none."""
    last = np.full(size, -1)
    np.maximum.at(last, ids, np.arange(len(ids)))
    return last


def _signature(batch: Batch, t: int) -> np.ndarray:
    """Return a number for each row that tells its id, or its bag, from others."""
    ids = batch.ids_of(t)
    if not isinstance(batch.sparse, Jagged):
        return ids
    own = batch.sparse.offsets[t * len(batch) : (t + 1) * len(batch) + 1]
    marks = np.random.default_rng(0).integers(0, 1 << 40, int(ids.max(initial=0)) + 1)
    total = np.concatenate([[0], np.cumsum(marks[ids])])
    return np.diff(total[own - own[0]])


def _explained(
    data: Dataset, own: tuple[int, int], last_user: np.ndarray, last_item: np.ndarray
) -> np.ndarray:
    """Tell for each column whether the item explains it better than the user does."""
    train = data.train
    shares = []
    for t, last in zip(own, (last_user, last_item), strict=True):
        rows = np.arange(len(train))
        reference = last[train.ids_of(t)]
        others = reference != rows  # the last row explains itself
        columns = [np.asarray(train.dense[:, k]) for k in range(data.num_dense)]
        columns += [_signature(train, c) for c in range(train.num_tables)]
        same = [(x[reference] == x)[others].mean() if others.any() else 0.0 for x in columns]
        shares.append(same)
    return np.array(shares[1]) > np.array(shares[0])


def _features(train: Batch, last: np.ndarray, t: int) -> Batch:
    """Return a row for each id of table t: its last row in `train`, zeros where it has none."""
    known = last >= 0
    size = len(last)
    dense = np.zeros((size, train.dense.shape[1]), np.float32)
    dense[known] = train.dense[last[known]]
    if not isinstance(train.sparse, Jagged):
        sparse = np.zeros((size, train.num_tables), np.int64)
        sparse[known] = train.sparse[last[known]]
        sparse[:, t] = np.arange(size)
        return Batch(dense, sparse)
    rows = train[np.where(known, last, 0)]
    values, lengths, weights = [], [], []
    for table in range(train.num_tables):
        ids, length, weight = rows.bags_of(table)
        keep = np.repeat(known, length)
        values.append(ids[keep])
        lengths.append(np.where(known, length, 0))
        weights.append(None if weight is None else weight[keep])
    values[t], lengths[t] = np.arange(size), np.ones(size, np.int64)
    weights[t] = None if weights[t] is None else np.ones(size, np.float32)
    return Batch(dense, jagged(values, lengths, weights))


def _wanted(data: Dataset) -> Any:
    """Return the training rows that are no negatives."""
    label = data.train.label
    return slice(None) if label is None else np.asarray(label) != 0


def _first_id(data: Dataset, t: int) -> int:
    if data.schema is None:
        return 0
    categories = data.schema.sparse[t].categories
    return 0 if categories is None else categories.first
