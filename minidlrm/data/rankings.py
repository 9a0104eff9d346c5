"""Rankings: each user's last item among others, and the rows that a ranking model learns from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minidlrm.arrays import as_flag, as_size, shuffling
from minidlrm.data.batch import Batch, Dataset
from minidlrm.data.movielens import Ratings, read_ratings
from minidlrm.data.schema import Schema


@dataclass(frozen=True, eq=False)
class RankingDataset(Dataset):
    """A leave-one-out split: each user's last item, among items that the user has not rated.

    Parameters
    ----------
    train, valid, test, table_sizes, feature_names, description
        As in `Dataset`.
    bayes_log_loss, bayes_auc, vocabulary
        As in `Dataset`.
    num_negatives : int
        Items beside the one left out. `test` has 1 + num_negatives rows a user, the item
        that was left out first; `valid` likewise, with each user's last item but one.
    rated : int64 array
        What was rated, sorted: user * items + item for each pair.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.data import Batch
    >>> from minidlrm.data.rankings import RankingDataset
    >>> rows = Batch(np.zeros((2, 0)), [[0, 0], [0, 1]], np.array([1.0, 0.0]))
    >>> items = RankingDataset(rows, rows, rows, [1, 2], ["user", "item"], "", num_negatives=1)
    >>> items.scores(np.array([0.7, 0.2]))                   # a user a row
    array([[0.7, 0.2]])
    """

    num_negatives: int = 99
    rated: np.ndarray | None = None

    def with_negatives(self, per_positive: int, seed: int | Sequence[int]) -> Batch:
        """Return the training rows, and this many random unrated items for each, label 0."""
        rng = shuffling(seed)
        positives = np.asarray(self.train.sparse)
        users = np.repeat(positives[:, 0], per_positive)
        assert self.rated is not None  # movielens_ranking sets it
        items = _unrated(self.rated, self.table_sizes[1], users[:, None], rng)[:, 0]
        negatives = np.stack([users, items], axis=1)
        label = np.r_[np.ones(len(positives)), np.zeros(len(negatives))].astype(np.float32)
        ids = np.concatenate([positives, negatives])
        return Batch(np.zeros((len(ids), 0), np.float32), ids, label)

    def is_rated(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Whether a user has rated an item -> bool, for pairs of any shape."""
        assert self.rated is not None
        return _among(self.rated, users * self.table_sizes[1] + items)

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """Arrange the logits of `test` or `valid` as (users, 1 + num_negatives)."""
        return logits.reshape(-1, 1 + self.num_negatives)


def movielens_ranking(
    path: str | os.PathLike, *, num_negatives: int = 99, seed: int = 0, drop_users: bool = False
) -> RankingDataset:
    r"""Read ratings for NCF: what was rated is a 1, and the last of each user is left out.

    If a pair occurs more than once, only its last row counts: otherwise the item that is left out
    could also be in the training rows.

    Parameters
    ----------
    path : path
        As in `movielens_ratings`.
    num_negatives : int
        Random unrated items, all different, that the one left out is ranked among.
    seed : int
        The seed of these items.
    drop_users : bool
        Whether to leave out users with fewer than three rated items, and users with fewer
        unrated items than `num_negatives`, and to say how many. Otherwise they are an error.

    Returns
    -------
    RankingDataset

    Raises
    ------
    FileNotFoundError, ValueError
        As `movielens_ratings`; and when a user has too few ratings, or too few items are left.

    Examples
    --------
    >>> import minidlrm as md
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> folder = Path(mkdtemp())
    >>> lines = [f"{user},{movie},{movie},{10 * user + movie}"
    ...          for user in range(1, 5) for movie in range(user, user + 3)]
    >>> lines = ["userId,movieId,rating,timestamp", *lines]
    >>> _ = (folder / "ratings.csv").write_text("\n".join(lines))
    >>> items = md.data.movielens_ranking(folder, num_negatives=1)
    >>> len(items.train), len(items.valid), len(items.test)
    (4, 8, 8)
    """
    num_negatives = as_size("num_negatives", num_negatives)
    rng, drop_users = shuffling(seed), as_flag("drop_users", drop_users)
    ratings = read_ratings(path, needs_time=True)
    num_users, num_items = len(ratings.ids.users), len(ratings.ids.items)
    rows, repeated = _once(ratings, num_items)
    rows, dropped = _enough(ratings, rows, num_items, num_negatives, drop_users)
    rated = np.sort(_keys(rows[:, 0], rows[:, 1], num_items))
    last = np.append(np.flatnonzero(np.diff(rows[:, 0])), len(rows) - 1)  # (U,)

    def held_out(place: np.ndarray) -> Batch:
        users = np.repeat(rows[place, :1], num_negatives, axis=1)  # (U, negatives)
        items = _unrated(rated, num_items, users, rng, distinct=True)
        lists = np.concatenate([rows[place, 1:], items], axis=1)  # (U, 1 + negatives)
        pairs = np.stack([np.repeat(rows[place, 0], lists.shape[1]), lists.ravel()], axis=1)
        label = np.zeros(lists.shape, np.float32)
        label[:, 0] = 1
        return Batch(np.zeros((len(pairs), 0), np.float32), pairs, label.ravel())

    keep = np.ones(len(rows), bool)
    keep[last] = keep[last - 1] = False
    train = rows[keep]
    notes = [f"{repeated:,} repeated pairs dropped"] if repeated else []
    notes += [f"{dropped:,} users with too few rows dropped"] if dropped else []
    return RankingDataset(
        Batch(np.zeros((len(train), 0), np.float32), train, np.ones(len(train), np.float32)),
        held_out(last - 1),
        held_out(last),
        [num_users, num_items],
        ["user", "item"],
        ", ".join(
            [
                f"MovieLens: {len(rows):,} ratings of {ratings.path.parent.name}",
                f"leave one out of {1 + num_negatives}",
                *notes,
            ]
        ),
        vocabulary=ratings.ids,
        schema=Schema(ratings.ids.columns(), "rating"),
        num_negatives=num_negatives,
        rated=rated,
    )


def _keys(users: np.ndarray, items: np.ndarray, num_items: int) -> np.ndarray:
    """Return a number for each pair of a user and an item."""
    return users * num_items + items


def _once(ratings: Ratings, num_items: int) -> tuple[np.ndarray, int]:
    """Sort the pairs by user, then by time; keep the last of each. Return how many were dropped."""
    assert ratings.time is not None
    rows = ratings.rows[np.lexsort((ratings.time, ratings.rows[:, 0]))]
    key = _keys(rows[:, 0], rows[:, 1], num_items)
    _, first_from_behind = np.unique(key[::-1], return_index=True)
    kept = np.sort(len(key) - 1 - first_from_behind)
    return rows[kept], len(rows) - len(kept)


def _enough(
    ratings: Ratings, rows: np.ndarray, num_items: int, num_negatives: int, drop: bool
) -> tuple[np.ndarray, int]:
    """Keep users with 3 items or more, and as many unrated ones as are drawn."""
    counts = np.bincount(rows[:, 0], minlength=len(ratings.ids.users))
    short = counts < 3
    full = counts + num_negatives > num_items
    wrong = short | full
    if not wrong.any():
        return rows, 0
    if not drop:
        user = int(wrong.argmax())
        name, what = ratings.ids.users[user], f"has rated {counts[user]} of {num_items} items"
        need = "leave-one-out needs 3" if short[user] else f"{num_negatives} unrated are drawn"
        raise ValueError(
            f"{ratings.path}: user {name} {what}: {need}. Give a smaller num_negatives, or "
            f"drop_users=True, which leaves out such users ({int(wrong.sum()):,})"
        )
    rows = rows[~wrong[rows[:, 0]]]
    if len(rows) == 0:
        raise ValueError(f"{ratings.path}: no user has 3 ratings and {num_negatives} unrated items")
    return rows, int(wrong.sum())


def _among(known: np.ndarray, keys: np.ndarray) -> np.ndarray:
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return known[place] == keys


def _unrated(
    rated: np.ndarray,
    num_items: int,
    users: np.ndarray,
    rng: np.random.Generator,
    distinct: bool = False,
) -> np.ndarray:
    """Draw items that the users (n, k) have not rated, by rejection; no item twice in a row."""
    items = rng.integers(0, num_items, users.shape)
    while True:
        again = _among(rated, _keys(users, items, num_items))
        if distinct:
            order = np.argsort(items, axis=1, kind="stable")
            ordered = np.take_along_axis(items, order, axis=1)
            repeat = np.zeros(items.shape, bool)
            repeat[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
            twice = np.zeros(items.shape, bool)
            np.put_along_axis(twice, order, repeat, axis=1)
            again |= twice
        if not again.any():
            return items
        items[again] = rng.integers(0, num_items, int(again.sum()))
