"""The mistakes of an evaluation protocol that `rank_metrics` can see, each by its name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

MISTAKES = {  # what it does to the result, and what to do instead
    "seen-ranked": "items that the user has seen take the best places, since the model was "
    "trained to put them there: leave them out, seen='out'",
    "held-out-in-training": "the model has been shown the answer: keep one row of each pair, "
    "then hold out",
    "time-reversed": "the model knows the future: hold out each user's latest rows",
    "sampled-candidates": "metrics among sampled candidates can order models in another way "
    "than all items do: rank all items",
    "user-without-candidates": "there is nothing to rank for them, and they count as misses: "
    "leave them out of the held-out pairs",
    "not-a-candidate": "an item that is not ranked cannot be found: add it to the candidates",
    "ties": "the rule for ties, not the model, decides their places: rank by scores that are "
    "not rounded, such as logits",
    "k-too-large": "a list that holds every candidate finds everything: take a smaller k",
    "user-without-training-rows": "the model knows nothing of them: hold out rows of users who "
    "have more than one",
    "popularity-of-test": "popularity that was counted with the held-out rows knows the answer: "
    "count the training rows alone",
    "negative-is-positive": "the model is told both: draw negatives among the pairs that do not "
    "occur",
    "repeated-candidate": "a candidate that is listed twice is ranked once here, and would take "
    "two places elsewhere: list each item once",
    "repeated-held-out": "a pair that is held out twice is counted once here, and would count "
    "twice elsewhere: hold out each pair once",
    "item-without-training-rows": "the model has never been told of them, and ranks them by "
    "chance: report such items apart",
    "only-held-out-candidates": "every candidate is right: rank other items, too",
}


class ProtocolWarning(UserWarning):
    """A mistake in the protocol of an evaluation, from `rank_metrics`.

    Examples
    --------
    >>> import warnings, minidlrm as md
    >>> warnings.simplefilter("error", md.recommending.ProtocolWarning)   # let it be an error
    >>> warnings.resetwarnings()
    """


@dataclass(frozen=True)
class Mistake:
    """One mistake that was found.

    Parameters
    ----------
    kind : str
        A key of `MISTAKES`.
    found : str
        What was found, in numbers.

    Examples
    --------
    >>> import minidlrm as md
    >>> print(md.recommending.Mistake("k-too-large", "5 of 9 users have at most k candidates"))
    k-too-large: 5 of 9 users have at most k candidates. A list that holds every candidate finds \
everything: take a smaller k
    """

    kind: str
    found: str

    def __str__(self) -> str:
        meaning = MISTAKES[self.kind]
        return f"{self.kind}: {self.found}. {meaning[0].upper()}{meaning[1:]}"


@dataclass
class Use:
    """What was given to `rank_metrics`, and what ranking showed: pairs as user * items + item.

    All keys of pairs are as they came, in their order, repeats included.
    """

    num_items: int
    k: int
    ranks_seen: bool
    train: np.ndarray  # keys of the training rows
    positive: np.ndarray  # whether each of them is no negative
    held_out: np.ndarray  # keys
    candidates: np.ndarray | None  # keys, where each user has a list of its own
    chosen: np.ndarray | None  # the items that are ranked, where not all are
    times: tuple[np.ndarray, np.ndarray] | None  # of the training rows, of the held-out ones
    popularity: np.ndarray | None  # counts that were given
    # found by ranking
    users: np.ndarray  # the users of the held-out pairs, each once
    counts: np.ndarray  # candidates of each of them
    right: np.ndarray  # how many of these are held out
    is_candidate: np.ndarray  # whether each pair, once, is ranked
    is_tied: np.ndarray  # whether another candidate has its score
    pairs: np.ndarray  # the held-out keys, each once

    def mistakes(self) -> list[Mistake]:
        """Return what is wrong with the protocol; nothing where it is right."""
        return [Mistake(kind, found) for kind, found in (*self._of_data(), *self._of_ranking())]

    def _of_data(self) -> Iterator[tuple[str, str]]:
        known = np.unique(self.train[self.positive])
        leaked = np.isin(self.pairs, known)
        if leaked.any():
            yield "held-out-in-training", _share(leaked, "held-out pairs", "are training rows, too")
        repeats = len(self.held_out) - len(self.pairs)
        if repeats:
            yield "repeated-held-out", f"{repeats:,} held-out pairs are repeats"
        both = np.isin(np.unique(self.train[~self.positive]), known)
        if both.any():
            yield "negative-is-positive", _share(both, "negative pairs", "are positive rows, too")
        early = self._too_early()
        if early.any():
            what = "lie before a training row of their user"
            yield "time-reversed", _share(early, "held-out rows", what)
        strangers = ~np.isin(self.users, known // self.num_items)
        if strangers.any():
            what = "have no training row"
            yield "user-without-training-rows", _share(strangers, "users", what)
        items = np.unique(self.pairs % self.num_items)
        unknown = ~np.isin(items, known % self.num_items)
        if unknown.any():
            what = "have no training row"
            yield "item-without-training-rows", _share(unknown, "held-out items", what)
        if self.popularity is not None and self._counts_the_test(known):
            yield "popularity-of-test", "the popularity counts the held-out rows"

    def _of_ranking(self) -> Iterator[tuple[str, str]]:
        known = self.train[self.positive]
        seen = np.isin(self.users, known // self.num_items)
        if self.candidates is not None:
            seen = np.isin(
                self.users, self.candidates[np.isin(self.candidates, known)] // self.num_items
            )
        if self.ranks_seen and seen.any():
            yield (
                "seen-ranked",
                _share(seen, "users", "have items among the candidates that they have seen"),
            )
        yield from self._of_candidates()
        empty = self.counts == 0
        if empty.any():
            yield "user-without-candidates", _share(empty, "users", "have no candidates")
        place = np.searchsorted(self.users, self.pairs // self.num_items)
        excused = empty[place] | (np.isin(self.pairs, known) & (not self.ranks_seen))
        lost = ~self.is_candidate & ~excused
        if lost.any():
            yield "not-a-candidate", _share(lost, "held-out pairs", "are not among the candidates")
        trivial = ~empty & (self.counts == self.right)
        if trivial.any():
            what = "have held-out items alone as candidates"
            yield "only-held-out-candidates", _share(trivial, "users", what)
        short = ~empty & (self.counts <= self.k) & ~trivial
        if short.any():
            yield "k-too-large", _share(short, "users", f"have at most k = {self.k} candidates")
        tied = self.is_tied[self.is_candidate]
        if tied.mean() > _TIED if len(tied) else False:
            yield "ties", _share(tied, "held-out pairs", "have the score of another candidate")

    def _of_candidates(self) -> Iterator[tuple[str, str]]:
        given = self.chosen if self.candidates is None else self.candidates
        if given is None:
            return
        once = np.unique(given)
        if len(once) < len(given):
            yield "repeated-candidate", f"{len(given) - len(once):,} candidates are repeats"
        middle = int(np.median(self.counts))
        if self.candidates is None:
            middle = len(once)
        if middle < _ALL * self.num_items:
            yield "sampled-candidates", f"{middle:,} of {self.num_items:,} items are ranked"

    def _too_early(self) -> np.ndarray:
        if self.times is None:
            return np.zeros(0, bool)
        before, after = self.times
        positive = self.positive
        latest = np.full(
            int(max(self.train.max(initial=0), self.held_out.max(initial=0))) // self.num_items + 1,
            -np.inf,
        )
        np.maximum.at(latest, self.train[positive] // self.num_items, before[positive])
        return after < latest[self.held_out // self.num_items]

    def _counts_the_test(self, known: np.ndarray) -> bool:
        """Whether the popularity is that of the training and the test rows, or of these alone."""
        count = lambda keys: np.bincount(keys % self.num_items, minlength=self.num_items)  # noqa: E731
        assert self.popularity is not None
        test = count(self.held_out)
        if not test.any():
            return False
        alone = [count(self.train[self.positive]), count(known)]
        wrong = [test, *(train + test for train in alone), count(known) + count(self.pairs)]
        return any(_proportional(self.popularity, w) for w in wrong) and not any(
            _proportional(self.popularity, right) for right in alone
        )


_TIED = 0.05  # of the held-out pairs: rounding to float32 alone ties far fewer
_ALL = 0.5  # of the items: fewer candidates are a sample


def _proportional(a: np.ndarray, b: np.ndarray) -> bool:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return bool(a.sum() and b.sum() and np.allclose(a / a.sum(), b / b.sum()))


def _share(which: np.ndarray, things: str, what: str) -> str:
    return f"{int(which.sum()):,} of {len(which):,} {things} {what}"
