"""A small cinema: guests, films and evenings that we made up, with a truth that is known.

Each guest, film and company has a vector of four numbers that we chose: adventure, romance,
fright, and how much a price matters. An evening's price and hour make such a vector, too. The
logit of "goes to see it" is a constant and the dot product of every pair of these vectors. So a
DLRM can learn it, and the page can say how near it has come.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from minidlrm.data.batch import Batch, Dataset
from minidlrm.data.frame import read_table
from minidlrm.exploring.explorable import Explorable, explore
from minidlrm.languages import Message
from minidlrm.layers.activation import sigmoid
from minidlrm.metrics import log_loss
from minidlrm.models.dlrm import DLRM
from minidlrm.optim import Adam
from minidlrm.training import evaluate, fit

_GUESTS = {
    "Mara": (1.6, -0.6, 0.2, 0.1),
    "Jonas": (0.2, 1.5, -0.9, 0.4),
    "Aiko": (-0.4, 0.3, 1.7, 0.2),
    "Tomás": (1.2, 0.8, -0.3, 0.9),
    "Priya": (-0.8, 1.4, 0.3, 0.1),
    "Leo": (0.9, -0.9, 1.2, 1.0),
    "Nadia": (-0.2, 0.9, -1.3, 0.3),
    "Emeka": (1.4, 0.3, 0.8, 0.2),
    "Sofie": (-0.9, -0.2, 1.3, 0.8),
    "Yusuf": (0.4, 1.1, 0.9, 0.6),
}
_FILMS = {
    "Comet Harbour": (1.6, 0.1, -0.3, 0.0),
    "Sails of Tin": (1.3, 0.4, 0.0, 0.0),
    "Rust Planet": (1.2, -0.5, 0.6, 0.0),
    "Two Umbrellas": (-0.5, 1.6, -0.5, 0.0),
    "The Baker's Waltz": (-0.3, 1.3, -0.4, 0.0),
    "Love on Rail Nine": (0.8, 1.1, -0.2, 0.0),
    "Fog at Pier Six": (-0.1, -0.4, 1.6, 0.0),
    "The Hollow Choir": (-0.4, -0.2, 1.4, 0.0),
    "Do Not Wake Ada": (0.1, 0.2, 1.3, 0.0),
    "The Polite Vampire": (-0.2, 0.9, 0.9, 0.0),
    "Moths of Venus": (1.0, -0.1, 1.1, 0.0),
    "Captain Marzipan": (1.0, 0.5, -1.0, 0.0),
}
_COMPANY = {
    "alone": (0.0, -0.4, 0.1, 0.3),
    "friends": (0.5, -0.2, 0.6, 0.2),
    "a date": (-0.2, 0.8, 0.1, -0.3),
    "family": (0.4, 0.2, -1.3, 0.5),
}
_DENSE = np.array([[0.0, 0.1], [0.0, 0.1], [0.0, 0.5], [-0.8, 0.0]])  # (4, 2): of price and hour
_MEANS, _STDS = np.array([11.0, 19.0]), np.array([3.0, 2.5])  # of price and hour
_BIAS = -0.5
_SEED = 4  # of the model
_NAMES = {"guest": _GUESTS, "film": _FILMS, "company": _COMPANY}


def truth(ids: np.ndarray, raw: np.ndarray) -> np.ndarray:
    """Return the true probability (B,) of ids (B, 3) and of price and hour (B, 2)."""
    tables = [np.array(list(each.values())) for each in _NAMES.values()]
    vectors = [((raw - _MEANS) / _STDS) @ _DENSE.T]  # (B, 4)
    vectors += [table[ids[:, t]] for t, table in enumerate(tables)]
    logit = _BIAS + sum((u * v).sum(axis=1) for u, v in combinations(vectors, 2))
    return sigmoid(np.asarray(logit))


def cinema(rows: int = 20_000, seed: int = 0) -> Dataset:
    """Draw evenings, and whether a guest goes: a data set with a schema.

    Parameters
    ----------
    rows : int
        Evenings; 8 of 10 are training rows.
    seed : int
        Seed of the draws.

    Returns
    -------
    Dataset
        Dense columns "price" and "hour"; "guest", "film" and "company", a table each.
    """
    rng = np.random.default_rng(seed)
    ids = np.stack([rng.integers(0, len(each), rows) for each in _NAMES.values()], axis=1)
    price = np.clip(rng.normal(_MEANS[0], _STDS[0], rows), 4, 20).round(1)
    hour = rng.integers(14, 24, rows)
    goes = rng.random(rows) < truth(ids, np.stack([price, hour], axis=1))
    table: dict[str, Any] = {"goes": goes.astype(np.int64), "price": price, "hour": hour}
    for t, (name, each) in enumerate(_NAMES.items()):
        words = np.array(list(each))
        table[name] = words[ids[:, t]]
    return read_table(
        table, label="goes", dense=["price", "hour"], sparse=list(_NAMES), split="order",
        min_count=1, progress=False,
    )  # fmt: skip


def evenings(dataset: Dataset) -> Batch:
    """Return the few evenings that the page begins with; guests, films and companies repeat."""
    rows = {
        "goes": [0, 1, 1, 1, 0, 1],
        "guest": ["Mara", "Leo", "Jonas", "Mara", "Aiko", "Emeka"],
        "film": ["Two Umbrellas", "Sails of Tin", "Two Umbrellas", "Comet Harbour",
                 "The Baker's Waltz", "Captain Marzipan"],
        "company": ["a date", "alone", "friends", "alone", "a date", "friends"],
        "price": [11.0, 14.0, 11.0, 14.0, 11.0, 12.0],
        "hour": [20, 20, 19, 20, 19, 17],
    }  # fmt: skip
    return dataset.schema.encode(rows)


def described(dataset: Dataset) -> dict[str, Any]:
    """Return the truth as the page computes it, its rows in the order of the tables' ids."""
    tables = []
    for column in dataset.schema.sparse:
        named, size = _NAMES[column.name], column.categories.size
        found = [named.get(column.categories.value(i)) for i in range(size)]
        tables.append([list(v) if v else [0.0] * len(_DENSE) for v in found])
    return {
        "bias": _BIAS,
        "tables": tables,
        "dense": _DENSE.tolist(),
        "means": _MEANS.tolist(),
        "stds": _STDS.tolist(),
    }


def demonstration() -> Explorable:
    """Train a small DLRM on the cinema, and return its page: the same on every machine.

    A few seconds. The page shows the truth beside the model's probability.
    """
    return page_of(*trained())


def trained() -> tuple[Dataset, DLRM]:
    """Return the cinema, and a small DLRM that has learned it."""
    dataset = cinema()
    model = DLRM.for_data(dataset, embedding_dim=4, bottom_mlp=(4,), top_mlp=(8,), seed=_SEED)
    fit(model, dataset.train, optimizer=Adam(lr=0.01), epochs=6, batch_size=128, progress=False)
    return dataset, model


def page_of(dataset: Dataset, model: DLRM) -> Explorable:
    """Return the page of a model of the cinema."""
    page, test = explore(model, evenings(dataset), dataset.schema), dataset.test
    assert test.label is not None
    p, score = truth_of(dataset, test), evaluate(model, test)["log_loss"]
    made = Message(
        "Guests, films and evenings are made up, with a truth that is known. The model was "
        "trained on {trained} evenings; on {others} others its log loss is {score}. The truth "
        "itself scores {best}: nothing can do better.",
        trained=f"{len(dataset.train):,}",
        others=f"{len(test):,}",
        score=f"{score:.3f}",
        best=f"{log_loss(test.label, np.log(p / (1 - p))):.3f}",
    )
    notes = [made, *page.content["notes"]]
    return Explorable(page.content | {"notes": notes, "truth": described(dataset)})


def truth_of(dataset: Dataset, batch: Batch) -> np.ndarray:
    """Return the true probabilities (B,) of rows of the cinema."""
    rows = dataset.schema.decode(batch).to_pydict()
    ids = [[list(_NAMES[name]).index(word) for word in rows[name]] for name in _NAMES]
    return truth(np.array(ids).T, np.stack([rows["price"], rows["hour"]], axis=1))
