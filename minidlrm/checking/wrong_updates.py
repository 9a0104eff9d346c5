"""Wrong update rules, as people write them: `optimcheck` compares a learner's steps with each.

A wrong rule is a `Rule` with some parts changed. When an optimizer takes exactly the steps of
one of them, its mistake is known, and no name in its code was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidlrm import optim
from minidlrm.languages import Message

Variant = tuple[str, str, dict[str, Any]]  # key of the catalogue, the rule in words, its parts


def variants(like: Any) -> Iterator[Variant]:
    """Yield the wrong rules for one optimizer, the likelier ones first."""
    yield "uphill", Message("the right ones with the other sign"), {"rate": -1.0}
    by_row = isinstance(like, optim.RowwiseAdagrad)
    for cls in type(like).__mro__:
        for variant in _VARIANTS.get(cls, ()):
            measure = variant[2].get("measure", "")
            if not (by_row and cls is optim.Adagrad and measure.startswith("row")):
                yield variant
    if isinstance(like, optim.Momentum):
        yield "averaged", "v <- mu v + (1 - mu) g", {"share": 1 - like.momentum}
        yield "option", Message("a damping by 1 - mu"), {"damping": 1 - like.momentum}
        yield "momentum_sign", "v <- -mu v + g", {"damping": -like.momentum}
    if isinstance(like, optim.Adam):
        yield "betas_swapped", Message("beta2 for m, beta1 for v"), {"betas": like.betas[::-1]}
    yield from _options(like)
    if getattr(like, "weight_decay", 0):
        sgd = isinstance(like, optim.SGD)  # for which beside the step is the same
        yield from (each for each in _DECAYS if not (sgd and each[0] == "decay_apart"))
    yield from _GRADIENTS
    yield "step_twice", Message("two right steps each time"), {"repeat": 2}
    if callable(like.lr) or isinstance(like, optim.Adam):
        yield "step_number", Message("t one too large"), {"shift": 1}
        yield "step_number", Message("t one too small"), {"shift": -1}
        yield "step_number", Message("a t that grows by two in each step"), {"stride": 2}
        text = Message("a t that grows with each parameter, not with each step")
        yield "step_number", text, {"counted": "updates"}
    if not isinstance(like, optim.SGD):
        yield (
            "state_lost",
            Message("the first step of a new optimizer, each time"),
            {"state": "lost"},
        )
        yield "shared", Message("one state for all parameters of one shape"), {"state": "shape"}


def _decayed(keep: float) -> Message:
    return Message(
        "h <- {keep} h + {share} g^2: RMSprop", keep=f"{keep:g}", share=f"{1 - keep:.3g}"
    )


_MEASURES: list[Variant] = [
    ("square_missing", Message("|g| where the rule has g^2"), {"measure": "size"}),
    ("whole_array", Message("the mean of g^2 over the whole array"), {"measure": "all_mean"}),
    ("whole_array", Message("the sum of g^2 over the whole array"), {"measure": "all_sum"}),
    ("whole_array", Message("the mean of g^2 over each row"), {"measure": "row_mean"}),
    ("whole_array", Message("the sum of g^2 over each row"), {"measure": "row_sum"}),
    (
        "shared",
        Message("one number for all parameters, the mean of g^2 of all"),
        {"measure": "all_mean", "state": "all"},
    ),
    (
        "shared",
        Message("one number for all parameters, the sum of g^2 of all"),
        {"measure": "all_sum", "state": "all"},
    ),
]
_ROOTS: list[Variant] = [
    ("root_missing", Message("a division by h, without the root"), {"root": "none"}),
    ("eps_inside", Message("sqrt(h + eps) where the rule has sqrt(h) + eps"), {"root": "inside"}),
    ("root_missing", Message("a cube root"), {"root": "cube"}),
    ("averaged_squares", Message("the mean of the squares of all steps"), {"root": "mean"}),
    ("divided", Message("a product with the root, where the rule divides"), {"root": "times"}),
]
_VARIANTS: dict[type, list[Variant]] = {
    optim.Momentum: [
        (
            "state_lost",
            Message("plain SGD: the velocity is new in each step"),
            {"taken": "gradient"},
        ),
        ("momentum_missing", "v <- v + g", {"damping": 1.0}),
        ("nesterov", Message("w <- w - lr (g + mu v): Nesterov's rule"), {"taken": "ahead"}),
        (
            "state_order",
            Message("the velocity before this gradient has joined it"),
            {"taken": "old"},
        ),
    ],
    optim.Adagrad: [
        ("state_lost", Message("h <- g^2: the squares of earlier steps are lost"), {"keep": 0.0}),
        *_ROOTS,
        *(
            ("averaged_squares", _decayed(keep), {"keep": keep})
            for keep in (0.9, 0.99, 0.95, 0.999, 0.5)
        ),
        ("squared", Message("g^2 above the root"), {"above": "square"}),
        ("state_order", Message("the h before this gradient has joined it"), {"taken": "old"}),
        *(
            ("state_start", Message("h begins at {h}", h=f"{h:g}"), {"start": h})
            for h in (1.0, 0.1, 1e-10, 1e-8)
        ),
    ],
    optim.RowwiseAdagrad: [
        ("sum_for_mean", Message("the sum of a row's squares"), {"measure": "row_sum"}),
        ("sum_for_mean", Message("the sum of squares"), {"measure": "row_sum", "dense": "row_sum"}),
        ("max_for_mean", Message("the largest of a row's squares"), {"measure": "row_max"}),
        ("max_for_mean", Message("the largest square"), {"measure": "row_max", "dense": "row_max"}),
        ("not_by_row", Message("an h for each number: plain Adagrad"), {"measure": "own"}),
        ("not_by_row", Message("one h for all rows"), {"measure": "all_mean"}),
        ("not_by_row", Message("an h for each column"), {"measure": "columns_mean"}),
        (
            "square_of_mean",
            Message("the square of the mean of a row's gradient"),
            {"measure": "row_square"},
        ),
        ("whole_array", Message("one h for each dense parameter"), {"dense": "row_mean"}),
    ],
    optim.Adam: [
        ("not_corrected", Message("m and v as they are"), {"correct": "none"}),
        ("half_corrected", Message("v as it is; m is corrected"), {"correct_v": "none"}),
        ("half_corrected", Message("m as it is; v is corrected"), {"correct_m": "none"}),
        (
            "correction_power",
            Message("1 - beta where the rule has 1 - beta^t"),
            {"correct": "once"},
        ),
        (
            "correction_power",
            Message("1 - beta1 where the rule has 1 - beta1^t"),
            {"correct_m": "once"},
        ),
        (
            "correction_power",
            Message("1 - beta2 where the rule has 1 - beta2^t"),
            {"correct_v": "once"},
        ),
        (
            "correction_power",
            Message("1 - beta t where the rule has 1 - beta^t"),
            {"correct": "linear"},
        ),
        ("correction_beta", "v / (1 - beta1^t)", {"correct_v": "other"}),
        ("correction_beta", "m / (1 - beta2^t)", {"correct_m": "other"}),
        ("correction_beta", Message("each beta in the other's correction"), {"correct": "other"}),
        ("correction_times", Message("a product with 1 - beta^t"), {"correct": "times"}),
        ("average_missing", "m <- beta1 m + g", {"share": 1.0}),
        ("average_missing", "v <- beta2 v + g^2", {"share_v": 1.0}),
        (
            "average_missing",
            "m <- beta1 m + g, v <- beta2 v + g^2",
            {"share": 1, "share_v": 1},
        ),
        *_ROOTS,
        ("largest", Message("the largest v so far: AMSGrad"), {"largest": "square"}),
        ("largest", Message("the largest |g|, which fades: Adamax"), {"largest": "norm"}),
        ("fed", Message("a v of the squares of m"), {"fed": "m"}),
        ("exchanged", Message("v over the root of m"), {"exchanged": True}),
        ("corrected_kept", Message("an m and a v that are kept corrected"), {"kept": "corrected"}),
        ("step_number", Message("a t for each row"), {"counted": "rows"}),
        ("momentum_unused", Message("g in the place of m: RMSprop"), {"taken": "gradient"}),
        ("nesterov", Message("beta1 m + (1 - beta1) g: Nesterov's Adam"), {"taken": "ahead"}),
        ("state_order", Message("m and v before this gradient has joined them"), {"taken": "old"}),
        ("state_start", Message("m begins at the first gradient"), {"start_m": True}),
        ("state_start", Message("v begins at the first square"), {"start_h": True}),
        ("state_start", Message("m and v begin at the first"), {"start_m": True, "start_h": True}),
        ("state_start", Message("v begins at 1"), {"start": 1.0}),
    ],
    optim.FTRL: [
        ("uphill", "z <- z - g", {"sign": -1.0}),
        ("ftrl_sigma", Message("z <- z + g, without sigma w"), {"sigma": "none"}),
        ("ftrl_sigma", "z <- z + g + sigma w", {"sigma": "sign"}),
        ("ftrl_sigma", Message("a sigma that is not divided by lr"), {"sigma": "without_rate"}),
        ("ftrl_l1", Message("z + sign(z) l1 where the rule has z - sign(z) l1"), {"shrink": -1.0}),
        ("ftrl_l1", Message("a z that is not shrunk by l1"), {"shrink": 0.0}),
        ("ftrl_l1", Message("no threshold: no weight is 0"), {"threshold": "none"}),
        ("ftrl_l1", "l1 = 0", {"l1": 0.0}),
        ("option", "l2 = 0", {"l2": 0.0}),
        ("option", "beta = 0", {"beta": 0.0}),
        ("root_missing", Message("n where the rule has sqrt(n)"), {"root": "none"}),
        ("state_order", Message("the n before this gradient has joined it"), {"taken": "old"}),
    ],
}
for _cls in (optim.Adagrad, optim.Adam):
    _VARIANTS[_cls] += _MEASURES
_DECAYS: list[Variant] = [
    ("decay_missing", "weight_decay = 0", {"decay": "none"}),
    ("decay_sign", Message("a decay with the other sign"), {"decay": "sign"}),
    ("decay_twice", Message("a weight decay that is applied twice"), {"decay": "twice"}),
    ("decay_apart", Message("w <- w - lr weight_decay w beside the step of g"), {"decay": "apart"}),
    ("decay_after", Message("a decay of the new weights, after the step"), {"decay": "after"}),
    ("decay_rate", Message("a decay without lr"), {"decay": "without_rate"}),
    (
        "decay_form",
        Message("weight_decay sign(w) where the rule has weight_decay w"),
        {"decay": "signs"},
    ),
    (
        "decay_some",
        Message("a decay of matrices and tables, but not of vectors"),
        {"decayed": "matrices"},
    ),
    ("other_rows", Message("a decay of every row in each step"), {"decay": "all_rows"}),
]


def _unit(g: np.ndarray) -> np.ndarray:
    return g / max(np.sqrt(np.sum(g * g)), 1e-300)


def _clip(limit: float) -> Callable:
    return lambda g: np.clip(g, -limit, limit)


def _clip_norm(limit: float) -> Callable:
    return lambda g: g * min(1.0, limit / max(np.sqrt(np.sum(g * g)), 1e-300))


_LIMITS = (1.0, 5.0, 10.0, 0.5, 0.1, 2.0, 3.0, 100.0, 1000.0)
_GRADIENTS: list[Variant] = [
    ("sign_only", Message("sign(g) in the place of g"), {"gradient": np.sign}),
    ("normalized", Message("g / |g| in the place of g"), {"gradient": _unit}),
    ("delayed", Message("the gradient of the step before"), {"when": "before"}),
    ("summed", Message("the sum of all gradients so far"), {"when": "all"}),
    ("squared", Message("g^2 in the place of g"), {"gradient": np.square}),
    ("squared", Message("|g| in the place of g"), {"gradient": np.abs}),
    *(
        variant
        for c in _LIMITS
        for variant in (
            (
                "clipped",
                Message("a gradient that is cut off at +-{c}", c=f"{c:g}"),
                {"gradient": _clip(c)},
            ),
            (
                "clipped",
                Message("a gradient whose norm is cut to {c}", c=f"{c:g}"),
                {"gradient": _clip_norm(c)},
            ),
            (
                "clipped",
                Message("gradients whose norm together is cut to {c}", c=f"{c:g}"),
                {"gradient": "all_norm", "limit": c},
            ),
        )
    ),
]


def _options(like: Any) -> Iterator[Variant]:
    """Yield the rule with another number for one option."""
    for name, numbers in (
        ("momentum", (0.9, 0.5, 0.99, 0.95, 0.8)),
        ("eps", (1e-8, 1e-10, 1e-7, 1e-6, 1e-12, 1e-5, 1e-3, 0.0)),
    ):
        for number in numbers:
            if getattr(like, name, number) != number:
                key = "eps_missing" if (name, number) == ("eps", 0.0) else "option"
                yield key, f"{name} = {number:g}", {name: number}
    for place, beta in enumerate(getattr(like, "betas", ())):
        for number in (0.9, 0.99, 0.999, 0.95, 0.5, 0.0, 1 - beta):
            betas = list(like.betas)
            betas[place] = number
            if number != beta:
                yield "option", f"beta{place + 1} = {number:g}", {"betas": tuple(betas)}
