"""rank_metrics: where held-out items come among all others, beside popularity and chance."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidlrm.arrays import as_size, check_room, check_type, check_word, doubles, native, shuffling
from minidlrm.data.batch import Dataset
from minidlrm.languages import Message
from minidlrm.metrics import paired_interval
from minidlrm.module import Module
from minidlrm.printing import as_html, as_text
from minidlrm.recommending.catalogue import (
    Catalogue,
    Scorer,
    catalogue_for,
)
from minidlrm.recommending.mistakes import Mistake, ProtocolWarning
from minidlrm.recommending.task import Task

RANKERS = ("model", "popularity", "random")
TITLES = {
    "hit_rate": "HR@{k}",
    "ndcg": "NDCG@{k}",
    "recall": "recall@{k}",
    "mrr": "MRR",
    "coverage": Message("coverage@{k}"),
}


@dataclass(frozen=True, eq=False)
class RankMetrics:
    """What a model reaches, beside popularity and chance, and by which protocol.

    ``result["ndcg"]`` is the model's; `values` has those of all three.

    Parameters
    ----------
    values : dict
        For "model", "popularity" and "random" a dict of hit_rate, ndcg, recall, mrr, coverage.
    per_user : dict
        The same without coverage, an array (U,) each, in the order of `users`.
    users : int64 array (U,)
        The users who have held-out items.
    above_popularity : dict
        For each metric a 95% interval of the model's value minus popularity's, by a paired
        bootstrap over the users. When it holds 0, the users do not tell the two apart.
    protocol : dict
        What was ranked, and how: candidates, seen items, held-out pairs, split, ties, popularity.
    k : int
        Length of the lists.
    mistakes : list of Mistake
        What is wrong with the protocol.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> scores = np.random.default_rng(0).normal(size=(2, 9))
    >>> result = md.rank_metrics(scores, [[0, 3], [1, 4]], [[0, 1], [0, 4], [1, 3]], k=2)
    >>> result.protocol["seen items"], sorted(result.values)
    ('left out', ['model', 'popularity', 'random'])
    """

    values: dict[str, dict[str, float]]
    per_user: dict[str, dict[str, np.ndarray]]
    users: np.ndarray
    above_popularity: dict[str, tuple[float, float]]
    protocol: dict[str, str]
    k: int
    mistakes: list[Mistake] = field(default_factory=list)

    def __getitem__(self, metric: str) -> float:
        """Return a metric of the model; KeyError lists the names."""
        check_type("metric", metric, str)
        if metric not in self.values["model"]:
            raise KeyError(f"no metric {metric!r}; there are {', '.join(self.values['model'])}")
        return self.values["model"][metric]

    def rows(self) -> list[tuple[str, ...]]:
        """Return the table: a line for each metric, and the model minus popularity last."""
        lines: list[tuple[str, ...]] = [("metric", *RANKERS, "model - popularity, 95%")]
        for metric in self.values["model"]:
            cells = (f"{self.values[ranker][metric]:.4f}" for ranker in RANKERS)
            low, high = self.above_popularity.get(metric, (np.nan, np.nan))
            interval = "" if np.isnan(low) else f"{low:+.4f} to {high:+.4f}"
            lines.append((TITLES[metric].format(k=self.k), *cells, interval))
        return lines

    def __repr__(self) -> str:
        lines = [as_text(self.rows())]
        lines += [f"{name}: {text}" for name, text in self.protocol.items()]
        lines += [f"mistake, {mistake}" for mistake in self.mistakes]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        protocol = as_html([("protocol", ""), *self.protocol.items()])
        wrong = [("mistake", "found"), *((m.kind, str(m)) for m in self.mistakes)]
        return as_html(self.rows()) + protocol + (as_html(wrong) if self.mistakes else "")


def rank_metrics(
    model: Module | np.ndarray | Callable[[np.ndarray], np.ndarray],
    held_out: Any,
    train: Any,
    *,
    k: int = 10,
    seen: str = "out",
    candidates: Any = None,
    catalogue: Catalogue | Dataset | None = None,
    times: tuple[Any, Any] | None = None,
    popularity: Any = None,
    split: str = "",
    seed: int = 0,
) -> RankMetrics:
    r"""Rank items for each user, and measure where the held-out ones come.

    For a user with m held-out items, of which those at the places :math:`j \in H` are among the
    first k (the best place is 1): HR@k is whether H has any; recall@k is :math:`|H| / m`; NDCG@k
    is :math:`\sum_{j \in H} 1 / \log_2(j + 1)` over its value for the best order;
    MRR is 1 over the best place, whatever k. All are means over the users. Coverage@k is the share
    of the items that are in anybody's list. The same is done for popularity, which ranks by
    the number of training rows, and for random scores.

    Parameters
    ----------
    model : Module, array (U, I), or function
        What gives the scores: a model, the scores of all items for each user, or a function of
        ids (u,) that returns (u, I). A function needs a catalogue.
    held_out : Batch or integer array (n, 2)
        Pairs of user and item. Rows with the label 0 do not count.
    train : Batch, Dataset, or integer array (m, 2)
        The pairs that the model was trained on. Those without the label 0 are what users have
        seen, and what popularity counts.
    k : int
        Length of the lists.
    seen : "out" or "in"
        Whether what a user has seen is left out of the list, or ranked.
    candidates : integer array (c,) or (c, 2), or Batch, optional
        The items that are ranked for all; or pairs of user and item. The default is all items.
    catalogue : Catalogue or Dataset, optional
        The features of users and items. A model that reads users and items alone needs none.
    times : (array (m,), array (n,)), optional
        When the training rows and the held-out ones occurred.
    popularity : array (I,), optional
        The scores of the baseline. The default counts the training rows.
    split : str
        How the pairs were held out, for the protocol.
    seed : int
        Seed of the random scores.

    Returns
    -------
    RankMetrics
        With the protocol written into it.

    Warns
    -----
    ProtocolWarning
        For each mistake in the protocol; see `minidlrm.recommending.MISTAKES`.

    Raises
    ------
    TypeError
        When ids are not integers, or `catalogue` is something else.
    ValueError
        When there are no held-out pairs, a shape or an option is wrong, or a score is NaN.
    IndexError
        When an id is out of range.

    Notes
    -----
    Memory holds the scores of a block of users. Of equal scores, the lower item id comes first.

    References
    ----------
    Krichene and Rendle 2020, "On sampled metrics for item recommendation"; Cremonesi, Koren and
    Turrin 2010, "Performance of recommender algorithms on top-N recommendation tasks".

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> scores = np.array([[0.9, 0.1, 0.5, 0.2], [0.3, 0.8, 0.1, 0.6]])
    >>> train = [[0, 0], [1, 1], [0, 3], [1, 2]]
    >>> result = md.rank_metrics(scores, [[0, 2], [1, 3]], train, k=1)
    >>> result["hit_rate"], result["mrr"]      # the best item is the one that the user has seen
    (1.0, 1.0)
    """
    check_word("seen", seen, "in", "out")
    check_type("split", split, str)
    k = as_size("k", k)
    check_room("k", k, itemsize=64)
    catalogue, score = _scorer(model, catalogue)
    task = Task.read(catalogue, held_out, train, candidates, seen, k)
    counts = np.bincount(task.seen_pairs[:, 1], minlength=catalogue.num_items)
    base = _as_popularity(popularity, counts)
    rng = shuffling(seed)
    scorers = {
        "model": score,
        "popularity": lambda users: np.tile(base, (len(users), 1)),
        "random": lambda users: rng.random((len(users), catalogue.num_items), np.float32),
    }
    found = {name: task.run(scorer) for name, scorer in scorers.items()}
    use = task.use(found["model"], _as_times(times, task), None if popularity is None else base)
    mistakes = use.mistakes()
    for mistake in mistakes:
        warnings.warn(str(mistake), ProtocolWarning, stacklevel=2)
    per_user = {name: task.metrics(each.places) for name, each in found.items()}
    values = {
        name: {metric: float(array.mean()) for metric, array in metrics.items()}
        | {"coverage": found[name].coverage}
        for name, metrics in per_user.items()
    }
    above = {
        metric: paired_interval(per_user["model"][metric], per_user["popularity"][metric])
        for metric in per_user["model"]
    }
    protocol = task.protocol(found["model"], split, popularity is not None)
    return RankMetrics(values, per_user, task.users, above, protocol, k, mistakes)


def _scorer(model: Any, catalogue: Any) -> tuple[Catalogue, Scorer]:
    if isinstance(model, Module):
        catalogue = catalogue_for(model, catalogue)
        return catalogue, catalogue.scorer(model)
    if callable(model):
        if catalogue is None:
            raise ValueError("catalogue is None: a function of users needs a Catalogue or Dataset")
        return catalogue_for(model, catalogue), model
    scores = native("model", model)
    if scores.ndim != 2 or scores.size == 0 or scores.dtype.kind not in "fiu":
        raise ValueError(
            f"model is an array of shape {scores.shape}, dtype {scores.dtype}: scores must be "
            "numbers (U, I)"
        )
    if catalogue is None:
        catalogue = Catalogue.of_pairs(*scores.shape)
    catalogue = catalogue_for(model, catalogue)
    if scores.shape != (catalogue.num_users, catalogue.num_items):
        raise ValueError(
            f"model is an array of shape {scores.shape}: catalogue has {catalogue.num_users} users "
            f"and {catalogue.num_items} items"
        )
    return catalogue, lambda users: scores[users]


def _as_popularity(given: Any, counts: np.ndarray) -> np.ndarray:
    if given is None:
        return counts.astype(np.float32)
    base = doubles("popularity", given).astype(np.float32)
    if base.shape != counts.shape or not np.isfinite(base).all():
        raise ValueError(
            f"popularity has shape {base.shape}: finite numbers {counts.shape} expected"
        )
    return base


def _as_times(times: Any, task: Task) -> tuple[np.ndarray, np.ndarray] | None:
    if times is None:
        return None
    if not isinstance(times, (tuple, list)) or len(times) != 2:
        raise ValueError("times must be two arrays: of the training rows, and of the held-out ones")
    found = []
    for which, array in zip(("train", "held_out"), times, strict=True):
        array = native("times", array)
        if array.dtype.kind == "M":
            array = array.astype("datetime64[us]").astype(np.int64)
        array = doubles("times", array)
        if array.shape != (len(task.raw[which]),):
            raise ValueError(
                f"times of {which} have shape {array.shape}: expected ({len(task.raw[which])},)"
            )
        found.append(array)
    return found[0], found[1]
