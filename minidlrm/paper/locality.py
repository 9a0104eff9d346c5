"""Section 4.2: the locality of accesses to a table, and traces that have it.

The paper profiles the accesses to each table by their stack distances, and draws synthetic traces
from the profile (its Figure 3 shows one). What the profile is worth is said by the miss curve: the
share of look-ups that a cache of n rows does not serve.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from minidlrm.data import READERS, Profile, lru_misses, stack_distances
from minidlrm.data.batch import Dataset
from minidlrm.languages import Message
from minidlrm.paper import Options
from minidlrm.paper.findings import Claim, Findings
from minidlrm.paper.rows import clicks, found
from minidlrm.printing import Rows

TRACE = (1, 2, 3, 4, 5, 3, 4, 1, 1, 6, 3)  # the reference's input/trace.log
DISTANCES, SHARES = (0, 1, 3, 4, 5), (0.55, 0.64, 0.82, 0.91, 1.00)  # its input/dist_emb_0.log
_ROWS = 100_000
_UNIFORM, _LENGTH = 100, 100_000  # the trace of Figure 3: rows that are equally likely
_REACHED = 0.02  # the largest difference of the miss rates of a trace and of one drawn anew
_TIMED, _SECONDS = 10_000_000, 30.0  # accesses, and how long their distances may take
_SERVED = 0.9  # of the look-ups that can be served at all


def run(options: Options) -> Findings:
    """Profile the reference's trace, that of Figure 3, and the tables of data sets.

    Parameters
    ----------
    options : Options
        Without `data`, synthetic clicks, whose ids follow Zipf's law; and the Criteo and MovieLens
        data in MINIDLRM_DATA, where it names a folder that has them.
    """
    datasets = _datasets(options)
    traces = {name: _traces(dataset) for name, dataset in datasets.items()}
    profiles = {
        name: {table: Profile.of(trace) for table, trace in each.items()}
        for name, each in traces.items()
    }
    figure = _figure_3(options.seed)
    claims = [
        _reference(),
        *(_every_size(name, traces[name], profiles[name]) for name in datasets),
        *(_drawn(name, profiles[name], options.seed) for name in datasets),
        _adjusted(figure),
        _fast(options.seed),
    ]
    reference = zip(Profile.of(TRACE).distances, Profile.of(TRACE).shares, strict=True)
    tables: dict[str, Rows] = {
        Message("The reference's trace"): [
            (Message("stack distance"), Message("cumulative share")),
            *((str(distance), f"{share:.2f}") for distance, share in reference),
        ]
    }
    figures: dict[str, Any] = {"figure_3": lambda ax: draw_figure_3(figure, ax)}
    for name, dataset in datasets.items():
        caption = Message("The tables of {data}", data=dataset.description)
        tables[caption] = _table(traces[name], profiles[name])
        figures[f"miss_curves_{name}"] = lambda ax, name=name: draw(profiles[name], name, ax)
    return Findings(claims, tables, figures, [_NOTE])


def _datasets(options: Options) -> dict[str, Dataset]:
    if options.data is not None:
        return {options.data.partition(":")[0]: clicks(options, _ROWS)}
    known = {"zipf": clicks(options, _ROWS)}
    for scheme in ("criteo", "movielens"):
        path = found(scheme)
        if path is not None:
            known[scheme] = READERS[scheme].function(path)
    return known


_NOTE = Message(
    "A look-up misses every cache when its row is read for the first time. The last column is the "
    "smallest cache that serves {share:.0%} of the others: so few rows are worth fast memory.",
    share=_SERVED,
)


def _traces(dataset: Dataset) -> dict[str, np.ndarray]:
    """Return the ids of each table in the order of the training rows."""
    names = dataset.feature_names[dataset.num_dense :]
    return {name: np.asarray(dataset.train.ids_of(t)) for t, name in enumerate(names)}


def _reference() -> Claim:
    profile = Profile.of(TRACE)
    same = tuple(profile.distances) == DISTANCES
    shares = tuple(f"{share:.2f}" for share in profile.shares)
    same &= shares == tuple(f"{share:.2f}" for share in SHARES)
    return Claim(
        Message(
            "the profile of the reference's trace: distances 0, 1, 3, 4, 5 with the shares "
            "{shares}",
            shares=", ".join(f"{share:.2f}" for share in SHARES),
        ),
        Message(
            "{distances} with {shares}",
            distances=", ".join(map(str, profile.distances)),
            shares=", ".join(shares),
        ),
        same,
        Message("a figure is another"),
    )


def _every_size(
    data: str, traces: Mapping[str, np.ndarray], profiles: Mapping[str, Profile]
) -> Claim:
    """Simulate LRU caches of sizes that span the tables."""
    tried, wrong = 0, 0
    for name, trace in traces.items():
        profile = profiles[name]
        for size in np.unique(np.geomspace(1, len(profile.accesses), 12).astype(int)):
            told = round(float(profile.miss_rate(size)) * len(trace))
            wrong += told != lru_misses(trace, int(size))
            tried += 1
    return Claim(
        Message("a cache of n rows misses exactly the accesses with a distance of 0 or above n"),
        Message(
            "{data}: {tried} caches simulated over {tables} tables, {wrong} differ",
            data=data,
            tried=tried,
            tables=len(traces),
            wrong=wrong,
        ),
        wrong == 0,
        Message("a simulated cache counts otherwise"),
    )


def _drawn(data: str, profiles: Mapping[str, Profile], seed: int) -> Claim:
    """Draw a trace from the profile of the middle table, and profile it in turn."""
    name = sorted(profiles, key=lambda name: len(profiles[name].accesses))[len(profiles) // 2]
    profile = profiles[name]
    rows = len(profile.accesses)
    n = int(min(max(200_000, 100 * rows / profile.shares[0]), 20_000_000))
    sizes = np.unique(np.geomspace(1, max(rows - 1, 1), 200).astype(int))
    drawn = Profile.of(profile.generate(n, seed))
    difference = float(np.abs(profile.miss_rate(sizes) - drawn.miss_rate(sizes)).max())
    return Claim(
        Message("a trace drawn from a profile has that profile"),
        Message(
            "{data}, table {name}: the miss rates of {n:,} drawn accesses differ by at most "
            "{difference:.4f}",
            data=data,
            name=name,
            n=n,
            difference=difference,
        ),
        difference < _REACHED,
        Message("the difference is not below {bound}", bound=_REACHED),
    )


def _fast(seed: int) -> Claim:
    """Time the distances of a long trace."""
    trace = np.random.default_rng(seed).zipf(1.2, _TIMED) % 1_000_000
    stack_distances(trace[:100])  # compiles
    start = time.perf_counter()
    stack_distances(trace)
    seconds = time.perf_counter() - start
    return Claim(
        Message(
            "the distances of {count:,} accesses take less than {goal:.0f} s (our own goal)",
            count=_TIMED,
            goal=_SECONDS,
        ),
        Message("{seconds:.1f} s", seconds=seconds),
        seconds < _SECONDS,
        Message("this machine, or the program, is slower"),
    )


def _table(
    traces: Mapping[str, np.ndarray], profiles: Mapping[str, Profile]
) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = [
        (
            *(Message("table"), Message("look-ups"), Message("rows read")),
            *(Message("seen for the first time"), Message("served by 1% of the rows")),
            Message("rows that serve {share:.0%}", share=_SERVED),
        )
    ]
    for name, profile in profiles.items():
        rows, first = len(profile.accesses), float(profile.shares[0])
        hundredth = max(1, rows // 100)
        served = 1 - float(profile.miss_rate(hundredth))
        goal = first + _SERVED * (1 - first)
        needed = int(profile.distances[np.searchsorted(profile.shares, goal - 1e-12)])
        lines.append(
            (name, f"{len(traces[name]):,}", f"{rows:,}", f"{first:.1%}", f"{served:.1%}",
             f"{needed:,}")
        )  # fmt: skip
    return lines


def _figure_3(seed: int) -> dict[str, Profile]:
    """Profile a trace of rows that are equally likely, and two that are drawn from its profile."""
    trace = np.random.default_rng(seed).integers(0, _UNIFORM, _LENGTH)
    plain, padded = Profile.of(trace), Profile.of(trace, padding=True)
    return {
        "original": plain,
        "drawn": Profile.of(plain.generate(_LENGTH, seed)),
        "drawn, adjusted": Profile.of(padded.generate(_LENGTH, seed, padding=True)),
    }


def _adjusted(figure: Mapping[str, Profile]) -> Claim:
    sizes = np.arange(1, _UNIFORM)
    off = {
        name: float(np.abs(profile.miss_rate(sizes) - figure["original"].miss_rate(sizes)).max())
        for name, profile in figure.items()
    }
    adjusted, plain = off["drawn, adjusted"], off["drawn"]
    return Claim(
        Message("the original and the adjusted synthetic trace have similar miss rates (Figure 3)"),
        Message(
            "they differ by at most {adjusted:.4f}; without the adjustment by {plain:.4f}",
            adjusted=adjusted,
            plain=plain,
        ),
        adjusted < _REACHED and adjusted < plain,
        Message("the difference is not below {bound}", bound=_REACHED),
    )


def draw_figure_3(figure: Mapping[str, Profile], ax: Any) -> None:
    """Draw the share of each stack distance in the three traces."""
    for (name, profile), style in zip(figure.items(), ("k-", "C0:", "C1--"), strict=True):
        shares = np.diff(profile.shares, prepend=0)
        ax.plot(profile.distances[1:], shares[1:], style, lw=1.2, label=name)
    ax.set(
        xlabel="stack distance",
        ylabel="share of the accesses",
        ylim=(0, None),
        title=f"Figure 3: {_LENGTH:,} accesses to {_UNIFORM} rows, each as likely",
    )
    ax.grid(alpha=0.3)
    ax.legend()


def draw(profiles: Mapping[str, Profile], data: str, ax: Any) -> None:
    """Draw the miss curve of each table."""
    largest = max(len(profile.accesses) for profile in profiles.values())
    chosen = sorted(profiles, key=lambda name: -len(profiles[name].accesses))[:8]
    for k, name in enumerate(chosen):
        rows = len(profiles[name].accesses)
        sizes = np.unique(np.geomspace(1, rows, 200).astype(int))
        style = ("-", "--", ":", "-.")[k % 4]
        ax.plot(sizes, profiles[name].miss_rate(sizes), style, lw=1.5, label=f"{name}: {rows:,}")
    ax.set(
        xscale="log",
        xlim=(1, max(largest, 2)),
        ylim=(0, 1),
        xlabel="rows in the cache",
        ylabel="share of look-ups that miss",
        title=f"Miss curves of LRU caches: {data}",
    )
    ax.grid(alpha=0.3)
    ax.legend(title="table: rows read", fontsize=8)
