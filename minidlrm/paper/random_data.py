"""Section 4.1: random data, by all options of the reference's generator that make sense."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidlrm.data import Dataset, random_bags
from minidlrm.languages import Message
from minidlrm.paper import Options
from minidlrm.paper.findings import Claim, Findings

_ROWS, _SIZE, _IDS = 20_000, 50, 8
_BOUND = 5  # standard errors; the largest of 150 is rarely above 4
_CASES: dict[str, dict[str, Any]] = {
    Message("uniform ids, 1 to 8 a bag"): {},
    Message("uniform ids, 8 a bag"): {"fixed": True},
    Message("normal ids"): {"distribution": "normal"},
    Message("Zipf ids"): {"distribution": "zipf"},
}


def run(options: Options) -> Findings:
    """Draw data of each kind, and look whether they are what is asked for."""
    made = {name: _make(options.seed, **case) for name, case in _CASES.items()}
    single = {
        name: random_bags(
            _ROWS, options.seed, num_dense=0, table_sizes=[_SIZE], ids_per_bag=1, distribution=name
        )
        for name in ("uniform", "normal", "zipf")
    }
    errors = {name: _error(data, name) for name, data in single.items()}
    claims = [
        _lengths(made["uniform ids, 1 to 8 a bag"]),
        _shares(errors),
        _inside(made),
        _different(made),
    ]
    head = (
        *(Message("data"), Message("rows"), Message("ids a bag, mean")),
        *(Message("largest id"), Message("share of the most frequent id")),
    )
    table: list[tuple[str, ...]] = [head, *(_line(name, data) for name, data in made.items())]
    note = Message(
        "The reference counts a repeated id of a bag once; so do these, and bags may be shorter."
    )
    return Findings(
        claims,
        {Message("One table of {rows} rows", rows=_SIZE): table},
        {"ids": lambda ax: draw(single, ax)},
        [note],
    )


def _make(seed: int, **case: Any) -> Dataset:
    return random_bags(_ROWS, seed, table_sizes=[_SIZE], ids_per_bag=_IDS, **case)


def probabilities(name: str, size: int = _SIZE) -> np.ndarray:
    """Return the probability of each id, as `random_bags` states it."""
    ids = np.arange(size)
    if name == "uniform":
        return np.full(size, 1 / size)
    if name == "zipf":
        weights = (ids + 1.0) ** -1.1
        return weights / weights.sum()
    edges = (np.arange(1, size) - 0.5 - (size - 1) / 2) / (size / 6) / math.sqrt(2)
    below = np.array([0.5 * (1 + math.erf(edge)) for edge in edges])
    return np.diff(np.concatenate([[0.0], below, [1.0]]))


def _error(data: Dataset, name: str) -> float:
    """Return the largest difference of an id's share from its probability, in standard errors."""
    ids = data.train.ids_of(0)
    p = probabilities(name)
    shares = np.bincount(ids, minlength=_SIZE) / len(ids)
    return float((np.abs(shares - p) / np.sqrt(p * (1 - p) / len(ids))).max())


def _shares(errors: dict[str, float]) -> Claim:
    return Claim(
        Message("ids are drawn from the distribution that is asked for"),
        Message(
            "{errors} standard errors at most, over all ids",
            errors=", ".join(f"{name}: {error:.1f}" for name, error in errors.items()),
        ),
        max(errors.values()) < _BOUND,
        Message("a share of an id is off by {bound} standard errors or more", bound=_BOUND),
    )


def _lengths(data: Dataset) -> Claim:
    counts = data.train.bags_of(0)[1]
    return Claim(
        Message("the number of indices of a sample is fixed, or random within 1 to k"),
        Message(
            "k = {k}: bags of {low} to {high} ids", k=_IDS, low=counts.min(), high=counts.max()
        ),
        bool(counts.min() == 1 and counts.max() == _IDS),
        Message("a length lies outside, or an end is never reached"),
    )


def _inside(made: dict[str, Dataset]) -> Claim:
    largest = max(int(data.train.ids_of(0).max()) for data in made.values())
    return Claim(
        Message("indices lie within the table (the reference's normal ones may not)"),
        Message("largest id {id} of a table of {rows} rows", id=largest, rows=_SIZE),
        largest < _SIZE,
        Message("an id lies beyond the table"),
    )


def _different(made: dict[str, Dataset]) -> Claim:
    shared = 0
    for data in made.values():
        train = {row.tobytes() for row in np.asarray(data.train.dense)}
        shared += sum(row.tobytes() in train for row in np.asarray(data.test.dense))
    return Claim(
        Message("test rows are not training rows (the reference's are)"),
        Message("{count} test rows are found among the training rows", count=shared),
        shared == 0,
        Message("a test row is a training row"),
    )


def _line(name: str, data: Dataset) -> tuple[str, ...]:
    ids, counts, _ = data.train.bags_of(0)
    share = np.bincount(ids).max() / len(ids)
    return name, f"{len(counts):,}", f"{counts.mean():.2f}", str(ids.max()), f"{share:.1%}"


def draw(single: dict[str, Dataset], ax: Any) -> None:
    """Draw the share of each id, and its probability as a line."""
    for (name, data), mark in zip(single.items(), "ox^", strict=True):
        ids = data.train.ids_of(0)
        shares = np.bincount(ids, minlength=_SIZE) / len(ids)
        (line,) = ax.plot(probabilities(name), lw=1)
        ax.plot(shares, mark, ms=4, color=line.get_color(), label=name)
    ax.set(
        yscale="log",
        xlabel="id",
        ylabel="share of the look-ups",
        title="Random ids, and their probabilities as lines",
    )
    ax.grid(alpha=0.3)
    ax.legend()
