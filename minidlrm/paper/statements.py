"""What is said of the five models of section 2.3, a row for each statement, judged by numbers.

Nine things are said of each of Wide & Deep, DeepFM, DCN, xDeepFM and DLRM: the idea, how features
meet, up to which order, in which unit, how complex and how efficient that is, what it is good and
bad at, and how it differs from DLRM. A statement has one bound or several; it holds, holds in
part, or does not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from minidlrm.comparison import Result
from minidlrm.languages import Message, as_message, joined
from minidlrm.paper.probes import Probe, explicit_parts, order

MODELS = ("Wide & Deep", "DeepFM", "DCN", "xDeepFM", "DLRM")
_LEARNED, _HALF, _SOME, _NONE = 0.9, 0.5, 0.1, 1e-9
_LOW, _MIDDLE, _HIGH, _HIGHEST = (1,), (2, 3), (4,), (5,)
_FAST, _SLOW = (1,), (4, 5)
Judged = tuple[str, tuple[bool, ...]]  # the numbers, and whether each lies within its bound


@dataclass(frozen=True)
class Measured:
    """What the statements are judged by.

    Parameters
    ----------
    results : dict of str to Result
        Of each model on clicks of orders 1 and 2, by its title.
    learned : dict of str to list of float
        The shares of pure signals of order 1, 2 and 3 that each model learned.
    speeds : dict of str to float
        Rows that each model trains in a second of CPU time.
    weights : dict of str to int
        Numbers that are learned in the explicit part of each model, besides the tables.
    probes : dict of str to Probe
        What the explicit part of each model does.
    sums : dict of str to float
        How far the logit of a model is from the sum of its parts.
    """

    results: Mapping[str, Result]
    learned: Mapping[str, list[float]]
    speeds: Mapping[str, float]
    weights: Mapping[str, int]
    probes: Mapping[str, Probe]
    sums: Mapping[str, float]

    def share(self, model: str, order: int) -> float:
        """Return the share of a pure signal that a model learned."""
        return self.learned[model][order - 1]

    def rank(self, model: str, values: Mapping[str, float], largest_first: bool = False) -> int:
        """Return the place of a model among the five, 1 for the lowest; equal ones share it."""
        sign = -1 if largest_first else 1
        return 1 + sum(sign * values[other] < sign * values[model] for other in MODELS)

    def flops(self) -> dict[str, float]:
        """Return the FLOPs of a sample, by model."""
        return {model: self.results[model].flops for model in MODELS}

    def loss(self, model: str) -> float:
        """Return the mean test log loss."""
        return float(self.results[model].score.mean())


@dataclass(frozen=True)
class Statement:
    """One cell of the table of statements.

    Parameters
    ----------
    aspect, model : str
        Its line and its column.
    text : str
        What is said.
    judged_by : callable
        Takes `Measured` and the model; returns the numbers, and whether each is within its bound.
    """

    aspect: str
    model: str
    text: str
    judged_by: Callable[[Measured, str], Judged]

    def judge(self, measured: Measured) -> Judged:
        """Return the numbers, and whether each lies within its bound."""
        return self.judged_by(measured, self.model)


def verdict(parts: tuple[bool, ...]) -> str:
    """Return the word for the parts of a statement.

    Examples
    --------
    >>> from minidlrm.paper.statements import verdict
    >>> verdict((True, True)), verdict((True, False)), verdict((False,))
    ('holds', 'holds in part', 'does not hold')
    """
    if all(parts):
        return Message("holds")
    return Message("holds in part") if any(parts) else Message("does not hold")


def _depth(m: Measured, model: str) -> Judged:
    """Deepen the explicit part layer by layer."""
    z = np.random.default_rng(1).normal(size=(3, 5, 4))
    orders = [order(explicit_parts(k, k)[model], z) for k in (1, 2, 3)]
    text = Message("order {orders} with 1, 2, 3 layers", orders=", ".join(map(str, orders)))
    return text, (orders == [2, 3, 4],)


def _order(m: Measured, model: str, expected: int) -> Judged:
    found = m.probes[model].order
    return Message("its explicit part has order {order}", order=found), (found == expected,)


def _learns(m: Measured, model: str, order: int, bound: float = _LEARNED) -> Judged:
    share = m.share(model, order)
    return Message("learns {share:.0%} of order {order}", share=share, order=order), (
        share >= bound,
    )


def _no_third(m: Measured, model: str) -> Judged:
    """Judge what a model does not learn: only where another shows that it can be learned."""
    share, best = m.share(model, 3), max(m.share(other, 3) for other in MODELS)
    text = Message(
        "the whole model learns {share:.0%} of order 3, the best of the five {best:.0%}",
        share=share,
        best=best,
    )
    return text, (share < _SOME and best > _HALF,)


def _sum(m: Measured, model: str) -> Judged:
    off = m.sums[model]
    return Message("the logit is the sum of its parts, to {off:.0e}", off=off), (off < 1e-4,)


def _whole_vectors(m: Measured, model: str) -> Judged:
    moved = m.probes[model].rotated
    text = Message("turning all vectors alike changes the output by {moved:.0e}", moved=moved)
    return text, (moved < _NONE,)


def _entries(m: Measured, model: str) -> Judged:
    moved = m.probes[model].rotated
    text = Message("turning all vectors alike changes the output by {moved:.1f} of it", moved=moved)
    return text, (moved > _SOME,)


def _alike(m: Measured, model: str) -> Judged:
    moved = m.probes[model].reordered
    text = Message("reordering the entries of all vectors by {moved:.0e}", moved=moved)
    return text, (moved < _NONE,)


def _single_entries(m: Measured, model: str) -> Judged:
    probe = m.probes[model]
    text = Message(
        "reordering the entries changes the output by {moved:.1f} of it; two entries of one vector "
        "meet ({within:.2f})",
        moved=probe.reordered,
        within=probe.within,
    )
    return text, (probe.reordered > _SOME, probe.within > _NONE)


def _all_pairs(m: Measured, model: str) -> Judged:
    met = m.probes[model].pairs
    return Message("{share:.0%} of the pairs of vectors meet", share=met), (met == 1,)


def _complexity(places: tuple[int, ...]) -> Callable[[Measured, str], Judged]:
    def judge(m: Measured, model: str) -> Judged:
        flops, weights = m.flops(), dict(m.weights)
        ranks = m.rank(model, flops), m.rank(model, weights)
        text = Message(
            "{flops:,.0f} FLOPs a sample (place {first} of 5 from below), {weights:,} weights of "
            "the interaction (place {second})",
            flops=flops[model],
            first=ranks[0],
            weights=weights[model],
            second=ranks[1],
        )
        return text, tuple(rank in places for rank in ranks)

    return judge


def _efficiency(places: tuple[int, ...]) -> Callable[[Measured, str], Judged]:
    def judge(m: Measured, model: str) -> Judged:
        speed = m.rank(model, m.speeds, largest_first=True)
        flops = m.rank(model, m.flops())
        text = Message(
            "{rate:,.0f} rows/s of CPU time (place {speed} of 5), FLOPs a sample: place {flops}",
            rate=m.speeds[model],
            speed=speed,
            flops=flops,
        )
        return text, (speed in places, flops in places)

    return judge


def _simple_and_fast(m: Measured, model: str) -> Judged:
    text, _ = _efficiency((1,))(m, model)
    places = m.rank(model, m.flops()), m.rank(model, m.speeds, largest_first=True)
    text = joined([text, Message("how well it reads is not measured")], "; ")
    return text, tuple(place <= 2 for place in places)


def _third_above(first: str, second: str, margin: float) -> Callable[[Measured, str], Judged]:
    def judge(m: Measured, model: str) -> Judged:
        high, low = m.share(first, 3), m.share(second, 3)
        text = Message(
            "order 3: {first} {high:.0%}, {second} {low:.0%}",
            first=first,
            high=high,
            second=second,
            low=low,
        )
        return text, (high - low > margin,)

    return judge


def _ahead_of_mlp(m: Measured, model: str) -> Judged:
    ours, mlp = m.loss(model), m.loss("MLP")
    text = Message("log loss {ours:.4f}, a plain MLP {mlp:.4f}", ours=ours, mlp=mlp)
    return text, (ours < mlp,)


def _best_third(m: Measured, model: str) -> Judged:
    shares = {name: m.share(name, 3) for name in MODELS}
    place = m.rank(model, shares, largest_first=True)
    text = Message(
        "learns {share:.0%} of order 3 (place {place} of 5)", share=shares[model], place=place
    )
    return text, (place == 1,)


def _large_data(m: Measured, model: str) -> Judged:
    ranks = m.rank(model, m.weights), m.rank(model, m.speeds, largest_first=True)
    text = Message(
        "{weights:,} weights of the interaction (place {first} from below), {rate:,.0f} rows/s of "
        "CPU time (place {second} of 5)",
        weights=m.weights[model],
        first=ranks[0],
        rate=m.speeds[model],
        second=ranks[1],
    )
    return text, (ranks[0] == 1, ranks[1] <= 2)


def _by_hand(m: Measured, model: str) -> Judged:
    share = m.share(model, 2)
    text = Message(
        "learns {share:.0%} of order 2 with a single cross, of the two smallest tables", share=share
    )
    return text, (share < _LEARNED,)


def _more_than_mlp(m: Measured, model: str) -> Judged:
    ratio = m.flops()[model] / m.results["MLP"].flops
    return Message("{ratio:.2f} times the FLOPs of its MLP alone", ratio=ratio), (ratio > 1,)


def _large(m: Measured, model: str) -> Judged:
    others = [name for name in MODELS if name != model]
    flops = m.flops()[model] / np.median([m.flops()[name] for name in others])
    bytes_ = m.results[model].memory / np.median([m.results[name].memory for name in others])
    text = Message(
        "{flops:.1f} times the FLOPs, and {memory:.1f} times the memory, of the median of the "
        "others",
        flops=flops,
        memory=bytes_,
    )
    return text, (flops > 2, bytes_ > 2)


def _cheaper_than(other: str) -> Callable[[Measured, str], Judged]:
    def judge(m: Measured, model: str) -> Judged:
        flops = m.flops()["DLRM"] / m.flops()[other]
        speed = m.speeds["DLRM"] / m.speeds[other]
        text = Message(
            "DLRM takes {flops:.2f} times the FLOPs, and trains {speed:.2f} times the rows a "
            "second",
            flops=flops,
            speed=speed,
        )
        return text, (flops < 1, speed > 1)

    return judge


def _fewer_weights(m: Measured, model: str) -> Judged:
    ours, theirs = m.weights["DLRM"], m.weights[model]
    text = Message(
        "weights of the interaction: DLRM {ours:,}, {model} {theirs:,}",
        ours=ours,
        model=model,
        theirs=theirs,
    )
    return text, (ours < theirs,)


def _of_dlrm(judge: Callable[..., Judged], *more: int) -> Callable[[Measured, str], Judged]:
    def judged(m: Measured, model: str) -> Judged:
        text, parts = judge(m, "DLRM", *more)
        return joined(["DLRM", text], ": "), parts

    return judged


def _both(*judges: Callable[[Measured, str], Judged]) -> Callable[[Measured, str], Judged]:
    def judge(m: Measured, model: str) -> Judged:
        texts, parts = zip(*(each(m, model) for each in judges), strict=True)
        return joined(texts, "; "), tuple(part for several in parts for part in several)

    return judge


def _by_order(expected: int) -> Callable[[Measured, str], Judged]:
    return lambda m, model: _order(m, model, expected)


def _by_learning(order: int, bound: float = _LEARNED) -> Callable[[Measured, str], Judged]:
    return lambda m, model: _learns(m, model, order, bound)


def _wide_pairs(m: Measured, model: str) -> Judged:
    return Message("its crosses here are of two tables: order 2"), (False,)


def _own_weight(m: Measured, model: str) -> Judged:
    count = m.weights[model]
    text = Message("{count:,} weights: one for each pair of ids of a cross", count=count)
    return text, (count > 0,)


_TABLE: dict[str, dict[str, tuple[str, Callable[[Measured, str], Judged]]]] = {
    "the idea": {
        "Wide & Deep": ("a linear part that memorizes, and a deep one that generalizes, added up",
                        _both(_sum, _by_learning(1), _by_learning(2))),
        "DeepFM": ("the pairs of an FM beside an MLP", _both(_sum, _by_order(2))),
        "DCN": ("cross layers learn explicit crosses", _both(_by_order(4), _by_learning(2))),
        "xDeepFM": ("a CIN models interactions of high order closely",
                    _both(_by_order(3), _by_learning(3))),
        "DLRM": ("only interactions of second order, by dot products of embeddings",
                 _both(_by_order(2), _no_third)),
    },
    "how features meet": {
        "Wide & Deep": ("in crosses that are defined by hand", _own_weight),
        "DeepFM": ("in all pairs, of themselves", _all_pairs),
        "DCN": ("as products in the cross layers", _all_pairs),
        "xDeepFM": ("down to the entries of the vectors", _entries),
        "DLRM": ("in dot products, which an MLP reads", _both(_all_pairs, _whole_vectors)),
    },
    "order": {
        "Wide & Deep": ("wide: any, by hand; deep: nonlinear",
                        _both(_wide_pairs, _by_learning(3, _SOME))),
        "DeepFM": ("two; higher ones indirectly, by the MLP",
                   _both(_by_order(2), _by_learning(3, _SOME))),
        "DCN": ("two and more, with the depth",
                _both(_depth, _third_above("DCN", "MLP", 0.1))),
        "xDeepFM": ("explicit, and higher with the depth", _both(_depth, _by_learning(3, _HALF))),
        "DLRM": ("two, and no more", _both(_by_order(2), _no_third)),
    },
    "unit": {
        "Wide & Deep": ("a feature, in crosses made by hand", _own_weight),
        "DeepFM": ("a whole vector", _whole_vectors),
        "DCN": ("an entry of a vector", _single_entries),
        "xDeepFM": ("entries of vectors, each with its like", _both(_entries, _alike)),
        "DLRM": ("a whole vector, by dot products", _whole_vectors),
    },
    "complexity": {
        "Wide & Deep": ("middle", _complexity(_MIDDLE)),
        "DeepFM": ("middle", _complexity(_MIDDLE)),
        "DCN": ("high", _complexity(_HIGH)),
        "xDeepFM": ("very high", _complexity(_HIGHEST)),
        "DLRM": ("low", _complexity(_LOW)),
    },
    "efficiency": {
        "Wide & Deep": ("middle", _efficiency(_MIDDLE)),
        "DeepFM": ("middle", _efficiency(_MIDDLE)),
        "DCN": ("low", _efficiency(_SLOW)),
        "xDeepFM": ("low", _efficiency(_SLOW)),
        "DLRM": ("high", _efficiency(_FAST)),
    },
    "good at": {
        "Wide & Deep": ("simple, fast, easy to read", _simple_and_fast),
        "DeepFM": ("pairs without choosing, and what a deep part can express",
                   _both(_by_learning(2), _third_above("DeepFM", "FM", 0.1))),
        "DCN": ("explicit crosses learn how features relate",
                _both(_by_learning(2), _ahead_of_mlp)),
        "xDeepFM": ("strong interactions of high order", _best_third),
        "DLRM": ("simple, efficient, made for large data", _large_data),
    },
    "bad at": {
        "Wide & Deep": ("needs crosses by hand", _by_hand),
        "DeepFM": ("limited in high orders", _third_above("xDeepFM", "DeepFM", 0.1)),
        "DCN": ("computes more", _more_than_mlp),
        "xDeepFM": ("very large cost in time and memory", _large),
        "DLRM": ("limited to second order", _both(_by_order(2), _no_third)),
    },
    "beside DLRM": {
        "Wide & Deep": ("DLRM learns by dot products, without crosses by hand",
                        _of_dlrm(_learns, 2)),
        "DeepFM": ("DLRM takes pairs only, too, and is more efficient",
                   _both(_of_dlrm(_order, 2), _cheaper_than("DeepFM"))),
        "DCN": ("DLRM has no cross layers, and is simpler",
                _both(_fewer_weights, _cheaper_than("DCN"))),
        "xDeepFM": ("DLRM has no products of entries, only of vectors",
                    _both(_of_dlrm(_whole_vectors), _entries)),
    },
}  # fmt: skip

STATEMENTS = [
    Statement(as_message(aspect), model, as_message(text), judge)
    for aspect, row in _TABLE.items()
    for model, (text, judge) in row.items()
]
