"""recommend: the best items for each user among all, what the user has seen left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidlrm.arrays import as_size, check_room, check_type, integers
from minidlrm.data.batch import Batch, Dataset
from minidlrm.languages import Message
from minidlrm.module import Module
from minidlrm.printing import as_html, as_text
from minidlrm.recommending.catalogue import (
    Catalogue,
    as_pairs,
    blocks,
    catalogue_for,
    check_ids,
)

TIES = Message("of equal scores, the lower item id comes first")
NEW_USER = -1


@dataclass(frozen=True, eq=False)
class Recommendations:
    """The best items of each user, the best first.

    Parameters
    ----------
    users : int64 array (U,)
        The users.
    items : int64 array (U, k)
        Ids of items; -1 where a user has fewer than k candidates.
    scores : float array (U, k)
        What the model says of them, logits or ratings; NaN where there is none.
    names : sequence of str
        What the items are called, by their ids.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> print(md.recommending.Recommendations(np.array([7]), np.array([[2, 0]]),
    ...       np.array([[0.5, 0.25]]), ["Heat", "Big", "Alien"]))
    user  place  item  score   name
    7     1      2     0.5000  Alien
    7     2      0     0.2500  Heat
    """

    users: np.ndarray
    items: np.ndarray
    scores: np.ndarray
    names: Sequence[str] = field(default=(), repr=False)

    def rows(self) -> list[tuple[str, ...]]:
        """Return the lists as a table of text, a line for each user and place."""
        lines: list[tuple[str, ...]] = [("user", "place", "item", "score", "name")]
        for user, items, scores in zip(self.users, self.items, self.scores, strict=True):
            who = "(new)" if user == NEW_USER else str(user)
            for place, (item, score) in enumerate(zip(items, scores, strict=True), 1):
                if item >= 0:
                    name = self.names[item] if len(self.names) else ""
                    lines.append((who, str(place), str(item), f"{score:.4f}", name))
        return lines if len(self.names) else [line[:-1] for line in lines]

    def __repr__(self) -> str:
        return as_text(self.rows())

    def _repr_html_(self) -> str:
        return as_html(self.rows())


def recommend(
    model: Module,
    users: Any,
    k: int = 10,
    *,
    seen: Batch | Dataset | np.ndarray | None,
    catalogue: Catalogue | Dataset | None = None,
) -> Recommendations:
    """Return the k best items for each user, among all items that the user has not seen.

    Parameters
    ----------
    model : Module
        Its outputs rank items.
    users : integer array (U,)
        Ids of users. -1 is a new user: the id 0 stands for one where the data's schema says so,
        and where it does not the most popular items are recommended. Matrix factorization can
        learn a new user from ratings first: see `fold_in`.
    k : int
        Length of the lists.
    seen : Batch, Dataset, integer array (n, 2), or None
        The pairs of user and item that are left out: those of the training rows, but not of rows
        with the label 0. None leaves nothing out.
    catalogue : Catalogue or Dataset, optional
        The features of users and items. A model that reads users and items alone needs none.

    Returns
    -------
    Recommendations
        Items (U, k) and their scores. Of equal scores, the lower item id comes first.

    Raises
    ------
    TypeError
        When ids are not integers, or `catalogue` is something else.
    ValueError
        When k is below 1, a new user has no fallback, or the model needs a catalogue.
    IndexError
        When an id is out of range.

    Notes
    -----
    All items are scored for a block of users at a time, so that memory holds a block, whatever
    the number of users.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> model = md.MatrixFactorization([2, 4], 3, seed=0)
    >>> md.recommend(model, [0, 1], 2, seen=np.array([[0, 1], [0, 3], [1, 2]])).items
    array([[0, 2],
           [1, 3]])
    """
    check_type("model", model, Module)
    catalogue = catalogue_for(model, catalogue)
    users = np.atleast_1d(integers("users", users)).astype(np.int64)
    if users.ndim != 1:
        raise ValueError(f"users has shape {users.shape}: it must be (U,)")
    k = as_size("k", k)
    check_room("k", len(users), k, itemsize=8)
    check_ids("users", users[users != NEW_USER], catalogue.num_users)
    pairs = as_pairs("seen", [] if seen is None else seen, catalogue)
    check_ids("seen items", pairs[:, 1], catalogue.num_items)
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    score = catalogue.scorer(model)
    places = np.arange(len(users))
    items = np.full((len(users), k), -1)
    best = np.full((len(users), k), np.nan, np.float32)
    new = users == NEW_USER
    if new.any():
        one = _for_a_new_user(catalogue, score)  # (1, I)
        one[:, : catalogue.first_item] = -np.inf
        items[new], best[new] = top(one, k)
    for block in blocks(places[~new], catalogue.num_items):
        scores = score(users[block])  # (u, I)
        rows, columns = of_users(pairs, users[block])
        scores[rows, columns] = -np.inf
        scores[:, : catalogue.first_item] = -np.inf
        items[block], best[block] = top(scores, k)
    return Recommendations(users, items, best, catalogue.names)


def _for_a_new_user(catalogue: Catalogue, score: Any) -> np.ndarray:
    if catalogue.first_user > 0:
        return score(np.zeros(1, np.int64))
    if catalogue.counts is None:
        raise ValueError(
            "users holds -1, a new user: the model has no id for one, and the catalogue has no "
            "counts that say which items are popular. Give the Dataset as catalogue"
        )
    return catalogue.counts[None].astype(np.float32)


def of_users(pairs: np.ndarray, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (place in `users`, item) of those pairs (n, 2), sorted by user, of these users."""
    start = np.searchsorted(pairs[:, 0], users)
    length = np.searchsorted(pairs[:, 0], users, side="right") - start
    rows = np.repeat(np.arange(len(users)), length)
    at = np.arange(length.sum()) + np.repeat(start - np.cumsum(length) + length, length)
    return rows, pairs[at, 1]


def top(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the items (u, k) with the best scores of (u, I), and the scores, the best first.

    Of equal scores the lower id comes first. A score of -inf is no candidate: the item is -1.
    """
    count, num_items = scores.shape
    n = min(k, num_items)
    bound = np.partition(scores, num_items - n, axis=1)[:, num_items - n, None]  # (u, 1)
    chosen = scores > bound
    room = n - chosen.sum(axis=1)  # what ties with the bound may fill, from the lowest id on
    tied = scores == bound
    more = np.flatnonzero(tied.sum(axis=1) > room)
    tied[more] &= np.cumsum(tied[more], axis=1) <= room[more, None]
    items = np.nonzero(chosen | tied)[1].reshape(count, n)  # ascending ids
    best = np.take_along_axis(scores, items, axis=1)
    order = np.argsort(-best, axis=1, kind="stable")
    items, best = (np.take_along_axis(each, order, axis=1) for each in (items, best))
    none = best == -np.inf
    items[none], best[none] = -1, np.nan
    wide = ((0, 0), (0, k - n))
    return np.pad(items, wide, constant_values=-1), np.pad(best, wide, constant_values=np.nan)
