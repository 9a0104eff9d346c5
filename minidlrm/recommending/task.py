"""Task: the pairs of an evaluation, and the ranking of their items block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minidlrm.arrays import doubles, integers, native
from minidlrm.data.batch import Batch, Dataset
from minidlrm.languages import Message, filled
from minidlrm.recommending.catalogue import Catalogue, Scorer, as_pairs, blocks, check_ids
from minidlrm.recommending.lists import TIES, of_users, top
from minidlrm.recommending.mistakes import Use

_CELLS = 4_000_000  # comparisons at a time
PROTOCOL = {  # what is said of one; files keep it in English, and `recognized` reads it again
    "all": Message("all items, {middle} a user (median) of {items}"),
    "stated": Message("stated, {middle} a user (median) of {items}"),
    "pairs": Message("{pairs} pairs of {users} users"),
    "counts": Message("counts of {rows} rows"),
}


@dataclass
class Found:
    """What ranking with one scorer showed."""

    places: np.ndarray  # (n,) of each held-out pair, from 0; inf where it is no candidate
    tied: np.ndarray  # (n,) whether another candidate has its score
    counts: np.ndarray  # (U,) candidates
    coverage: float


@dataclass
class Task:
    """The pairs of an evaluation, checked, sorted by user, and each once."""

    catalogue: Catalogue
    pairs: np.ndarray  # (n, 2) held out
    seen_pairs: np.ndarray  # (m, 2) positive training rows
    listed: np.ndarray | None  # (c, 2) candidates of each user
    chosen: np.ndarray | None  # (c,) candidates of all
    seen: str
    k: int
    raw: dict[str, Any]  # as they came

    @classmethod
    def read(
        cls, catalogue: Catalogue, held_out: Any, train: Any, candidates: Any, seen: str, k: int
    ) -> Task:
        """Check what was given; its words are those of `rank_metrics`."""
        held = as_pairs("held_out", held_out, catalogue)
        if len(held) == 0:
            raise ValueError("held_out has no pairs: there is nothing to find")
        if isinstance(train, Dataset):
            train = train.train
        rows = as_pairs("train", _unlabelled(train), catalogue)
        positive = np.ones(len(rows), bool)
        if isinstance(train, Batch) and train.label is not None:
            positive = np.asarray(train.label) != 0
        listed = chosen = None
        if candidates is not None and not isinstance(candidates, (Batch, Dataset)):
            candidates = native("candidates", candidates)
        if isinstance(candidates, (Batch, Dataset)) or np.ndim(candidates) == 2:
            listed = as_pairs("candidates", _unlabelled(candidates), catalogue)
        elif candidates is not None:
            chosen = integers("candidates", candidates, 1).astype(np.int64)
            check_ids("candidates, items", chosen, catalogue.num_items)
        for name, pairs in (("held_out", held), ("train", rows), ("candidates", listed)):
            if pairs is not None:
                check_ids(f"{name}, users", pairs[:, 0], catalogue.num_users)
                check_ids(f"{name}, items", pairs[:, 1], catalogue.num_items)
        raw = {"held_out": held, "train": rows, "positive": positive}
        return cls(
            catalogue,
            np.unique(held, axis=0),
            _by_user(rows[positive]),
            None if listed is None else _by_user(listed),
            chosen,
            seen,
            k,
            raw,
        )

    @property
    def users(self) -> np.ndarray:
        """The users with held-out pairs, each once."""
        return np.unique(self.pairs[:, 0])

    def run(self, score: Scorer) -> Found:
        """Rank block by block."""
        places, tied, counts = [], [], []
        covered = np.zeros(self.catalogue.num_items, bool)
        ranked = np.zeros(self.catalogue.num_items, bool)
        for users in blocks(self.users, self.catalogue.num_items):
            scores = np.array(score(users))  # a copy: it is changed
            scores = scores if scores.dtype.kind == "f" else doubles("scores of model", scores)
            if scores.shape != (len(users), self.catalogue.num_items):
                raise ValueError(
                    f"model gave scores of shape {scores.shape} for {len(users)} users: "
                    f"it must be ({len(users)}, {self.catalogue.num_items})"
                )
            if not np.isfinite(scores).all():
                raise ValueError("model: a score is not finite")
            allowed = self.allowed(users)
            rows, items = of_users(self.pairs, users)
            scores[~allowed] = -np.inf
            place, equal = _places(scores, rows, items)
            places.append(np.where(allowed[rows, items], place, np.inf))
            tied.append(equal)
            counts.append(allowed.sum(axis=1))
            best = top(scores, self.k)[0]
            covered[best[best >= 0]] = True
            ranked |= allowed.any(axis=0)
        coverage = covered.sum() / max(1, ranked.sum())
        return Found(
            np.concatenate(places), np.concatenate(tied), np.concatenate(counts), float(coverage)
        )

    def allowed(self, users: np.ndarray) -> np.ndarray:
        """Return the candidates of users (u,) -> bool (u, I)."""
        num_items = self.catalogue.num_items
        if self.listed is not None:
            allowed = np.zeros((len(users), num_items), bool)
            allowed[of_users(self.listed, users)] = True
        else:
            every = np.ones(num_items, bool) if self.chosen is None else np.zeros(num_items, bool)
            if self.chosen is not None:
                every[self.chosen] = True
            allowed = np.tile(every, (len(users), 1))
        allowed[:, : self.catalogue.first_item] = False
        if self.seen == "out":
            allowed[of_users(self.seen_pairs, users)] = False
        return allowed

    def metrics(self, places: np.ndarray) -> dict[str, np.ndarray]:
        """Return the metrics of each user (U,), given the place of each held-out pair."""
        users, row = np.unique(self.pairs[:, 0], return_inverse=True)
        size = len(users)
        hit = places < self.k
        held = np.bincount(row, minlength=size)
        hits = np.bincount(row, hit, size)
        gain = np.where(hit, 1 / np.log2(np.where(hit, places, 0) + 2), 0)
        ideal = np.cumsum(1 / np.log2(np.arange(self.k) + 2))  # (k,)
        best = np.full(size, np.inf)
        np.minimum.at(best, row, places)
        return {
            "hit_rate": (hits > 0).astype(np.float64),
            "ndcg": np.bincount(row, gain, size) / ideal[np.minimum(held, self.k) - 1],
            "recall": hits / held,
            "mrr": 1 / (best + 1),
        }

    def use(self, found: Found, times: Any, popularity: np.ndarray | None) -> Use:
        """Collect what the search for mistakes reads."""
        n = self.catalogue.num_items
        key = lambda pairs: pairs[:, 0] * n + pairs[:, 1]  # noqa: E731
        users, row = np.unique(self.pairs[:, 0], return_inverse=True)
        is_candidate = np.isfinite(found.places)
        return Use(
            num_items=n,
            k=self.k,
            ranks_seen=self.seen == "in",
            train=key(self.raw["train"]),
            positive=self.raw["positive"],
            held_out=key(self.raw["held_out"]),
            candidates=None if self.listed is None else key(self.listed),
            chosen=self.chosen,
            times=times,
            popularity=popularity,
            users=users,
            counts=found.counts,
            right=np.bincount(row, is_candidate, len(users)).astype(int),
            is_candidate=is_candidate,
            is_tied=found.tied,
            pairs=key(self.pairs),
        )

    def protocol(self, found: Found, split: str, given: bool) -> dict[str, str]:
        """Say in words what was ranked, and how."""
        stated = self.listed is not None or self.chosen is not None
        kind = PROTOCOL["stated" if stated else "all"]
        middle, items = f"{int(np.median(found.counts)):,}", f"{self.catalogue.num_items:,}"
        pairs, users = f"{len(self.pairs):,}", f"{len(found.counts):,}"
        counts = filled(PROTOCOL["counts"], rows=f"{len(self.seen_pairs):,}")
        return {
            Message("candidates"): filled(kind, middle=middle, items=items),
            Message("seen items"): {"out": "left out", "in": "ranked"}[self.seen],
            Message("held out"): filled(PROTOCOL["pairs"], pairs=pairs, users=users),
            Message("split"): split or "not stated",
            Message("ties"): TIES,
            Message("popularity"): "as given" if given else counts,
        }


def _places(scores: np.ndarray, rows: np.ndarray, items: np.ndarray) -> tuple[Any, Any]:
    """Return the place, from 0, of each (row, item), and whether its score is tied."""
    place, tied = np.empty(len(rows)), np.empty(len(rows), bool)
    index = np.arange(scores.shape[1])
    step = max(1, _CELLS // scores.shape[1])
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        others = scores[rows[part]]  # (p, I)
        own = scores[rows[part], items[part]][:, None]  # (p, 1)
        equal = others == own
        first = (equal & (index < items[part, None])).sum(axis=1)
        place[part] = (others > own).sum(axis=1) + first
        tied[part] = equal.sum(axis=1) > 1
    return place, tied


def _unlabelled(rows: Any) -> Any:
    return Batch(rows.dense, rows.sparse) if isinstance(rows, Batch) else rows


def _by_user(pairs: np.ndarray) -> np.ndarray:
    return pairs[np.argsort(pairs[:, 0], kind="stable")]
