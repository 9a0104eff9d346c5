"""Update rules that can be made wrong: what `optimcheck` compares a learner's steps with.

A `Rule` is an optimizer of minidlrm written out in NumPy, with named parts. Changing one part
makes one wrong rule: `variants` lists those that people write. When an optimizer takes exactly
the steps of one of them, its mistake is known, and no name in its code was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidlrm import optim
from minidlrm.module import SparseGrad

Variant = tuple[str, str, dict[str, Any]]  # key of the catalogue, the rule in words, its parts
_FIRST_ROW = np.zeros(1, np.int64)


class Rule:
    """The rule of an optimizer, with some parts changed.

    Parameters
    ----------
    like : Optimizer
        The right optimizer: it says which rule, and has the options.
    **parts
        What is changed. Without any, the steps are those of `like`.
    """

    def __init__(self, like: Any, **parts: Any):
        self.like, self.parts = like, parts
        self.num_steps = self.num_updates = 0
        self.memory: dict[Any, dict[str, Any]] = {}
        self.kept: dict[int, Any] = {}
        family = next(cls for cls in type(like).__mro__ if cls in _DIRECTIONS)
        self._direction = _DIRECTIONS[family]

    def part(self, name: str, default: Any = None) -> Any:
        """Return a part of the rule."""
        return self.parts.get(name, default)

    def option(self, name: str) -> Any:
        """Return an option of the optimizer, or the one that replaces it."""
        return self.parts.get(name, getattr(self.like, name, 0.0))

    def step(self, parameters: list) -> None:
        """Update every parameter that has a gradient."""
        for _ in range(self.part("repeat", 1)):
            self.num_steps += 1
            chosen = [p for p in parameters if p.grad is not None]
            self.norm = np.sqrt(sum(np.sum(_values(p.grad) ** 2) for p in chosen))
            for p in chosen:
                self.num_updates += 1
                self._update(p)

    @property
    def count(self) -> int:
        """The number of this step, as the rule counts."""
        count = self.num_updates if self.part("counted") == "updates" else self.num_steps
        count *= self.part("stride", 1)
        return max(1, count + self.part("shift", 0))

    def _update(self, p: Any) -> None:
        grad = self._grad(p)
        if grad is None:
            return
        sparse = isinstance(grad, SparseGrad)
        w = p.value if sparse else p.value.reshape(1, -1)
        rows = grad.rows if sparse else _FIRST_ROW
        whose = p.value.shape if self.part("state") == "shape" else id(p)
        state = self.memory.setdefault(whose, {})
        if self.part("state") == "lost":
            state.clear()
        state["sparse"] = sparse
        g = self._changed(_values(grad).reshape(len(rows), -1))
        lr = self.option("lr")
        lr = (lr(self.count) if callable(lr) else lr) * self.part("rate", 1.0)
        decay = self.option("weight_decay")
        if p.value.ndim == 1 and self.part("decayed") == "matrices":
            decay = 0.0
        self._move(w, rows, g, state, lr, decay)

    def _move(self, w, rows, g, state, lr, decay) -> None:
        how, old = self.part("decay", "joined"), w[rows].copy()
        apart = {"apart": lr * decay, "without_rate": decay}.get(how, 0.0) * old
        g = g + {"joined": decay, "sign": -decay, "twice": 2 * decay}.get(how, 0.0) * old
        g = g + (decay * np.sign(old) if how == "signs" else 0.0)
        if how == "all_rows":
            w -= lr * decay * w
        if isinstance(self.like, optim.FTRL):
            w[rows] = _ftrl(self, w, rows, g, state, lr)
            return
        w[rows] -= lr * self._direction(self, w, rows, g, state) + apart
        if how == "after":
            w[rows] -= lr * decay * w[rows]

    def _grad(self, p: Any) -> Any:
        """Return the gradient of this step, of the step before, or the sum of all so far."""
        when, kept = self.part("when"), self.kept.get(id(p))
        if when == "before":
            self.kept[id(p)] = p.grad
            return kept
        if when == "all":
            dense = p.grad.to_dense() if isinstance(p.grad, SparseGrad) else p.grad
            self.kept[id(p)] = dense if kept is None else kept + dense
            rows = np.flatnonzero(self.kept[id(p)].reshape(len(dense), -1).any(axis=1))
            if isinstance(p.grad, SparseGrad):
                return SparseGrad(rows, self.kept[id(p)][rows], dense.shape)
            return self.kept[id(p)]
        return p.grad

    def _changed(self, g: np.ndarray) -> np.ndarray:
        change = self.part("gradient")
        if change == "all_norm":
            return g * min(1.0, self.part("limit") / self.norm)
        return change(g) if change else g


def _values(grad: Any) -> np.ndarray:
    return grad.values if isinstance(grad, SparseGrad) else grad


def _momentum(rule: Rule, w, rows, g, state) -> np.ndarray:
    mu = rule.option("momentum")
    v = state.setdefault("v", np.full_like(w, rule.part("start", 0.0)))
    old = v[rows].copy()
    v[rows] = rule.part("damping", mu) * old + rule.part("share", 1.0) * g
    taken = rule.part("taken", "new")
    return {"new": v[rows], "old": old, "ahead": g + mu * v[rows], "gradient": g}[taken]


def _measure(how: str, g: np.ndarray) -> np.ndarray:
    """Return what is kept of a gradient: of each number, of each row, or of all."""
    if how == "own":
        return g * g
    if how == "size":
        return np.abs(g)
    whole, _, kind = how.partition("_")
    axis = 1 if whole == "row" else None
    reduced = getattr(np, kind)
    return reduced(g * g, axis=axis, keepdims=True)


def _history(rule: Rule, w, rows, g, state, keep: float, share: float) -> tuple:
    """Take the squares of `g` into the history; return it before and after, at `rows`."""
    how, together = rule.part("measure", "own"), rule.part("state") == "all"
    if isinstance(rule.like, optim.RowwiseAdagrad) and not together:
        how = rule.part("measure", "row_mean") if state["sparse"] else rule.part("dense", "own")
    new = _measure(how, g)
    shape = (len(w), new.shape[1]) if not how.startswith("all") else (1, 1)
    place = rows if not how.startswith("all") else _FIRST_ROW
    holder = rule.memory.setdefault(None, {}) if together else state
    first = "h" not in holder
    h = holder.setdefault("h", np.full(shape, float(rule.part("start", 0.0))))
    old = h[place].copy()
    if first and rule.part("start_h"):
        old = new
    h[place] = keep * old + share * new
    return old, h[place]


def _divided(rule: Rule, g: np.ndarray, h: np.ndarray) -> np.ndarray:
    eps, root = rule.option("eps"), rule.part("root", "sqrt")
    with np.errstate(all="ignore"):
        if root == "inside":
            return g / np.sqrt(h + eps)
        if root == "none":
            return g / (h + eps)
        return g / (np.sqrt(h) + eps) if root == "sqrt" else g * (np.sqrt(h) + eps)


def _adagrad(rule: Rule, w, rows, g, state) -> np.ndarray:
    keep = rule.part("keep", 1.0)
    share = 1.0 if keep in (0.0, 1.0) else 1.0 - keep
    old, new = _history(rule, w, rows, g, state, keep, share)
    return _divided(rule, g, old if rule.part("taken") == "old" else new)


def _adam(rule: Rule, w, rows, g, state) -> np.ndarray:
    b1, b2 = rule.option("betas")
    first = "m" not in state
    m = state.setdefault("m", np.zeros_like(w))
    old = m[rows].copy()
    if first and rule.part("start_m"):
        old = g
    m[rows] = b1 * old + rule.part("share", 1 - b1) * g
    old_v, v = _history(rule, w, rows, g, state, b2, rule.part("share_v", 1 - b2))
    if rule.part("largest"):
        largest = state.setdefault("largest", np.zeros_like(w))
        v = largest[rows] = np.maximum(largest[rows], v)
    taken = rule.part("taken", "new")
    m, v = (old, old_v) if taken == "old" else (g if taken == "gradient" else m[rows], v)
    how = "none" if taken == "gradient" else rule.part("correct", "power")
    c1 = _correction(rule.part("correct_m", how), b1, b2, rule.count)
    c2 = _correction(rule.part("correct_v", rule.part("correct", "power")), b2, b1, rule.count)
    if taken == "ahead":  # Nesterov's
        m = b1 * m + (1 - b1) * g
    if rule.part("root") == "uncorrected":
        with np.errstate(all="ignore"):
            return np.sqrt(c2) / c1 * m / (np.sqrt(v) + rule.option("eps"))
    return _divided(rule, m / c1, v / c2)


def _correction(how: str, beta: float, other: float, count: int) -> float:
    """Return what m or v is divided by."""
    power = 1 - beta**count
    table = {"power": power, "none": 1.0, "once": 1 - beta, "times": 1 / power}
    return {**table, "other": 1 - other**count, "linear": 1 - beta * count}[how]


def _ftrl(rule: Rule, w, rows, g, state, lr) -> np.ndarray:
    z, n = (state.setdefault(name, np.zeros_like(w)) for name in "zn")
    l1, l2, beta = (rule.option(name) for name in ("l1", "l2", "beta"))
    old, new = n[rows], n[rows] + g * g
    root = np.sqrt if rule.part("root", "sqrt") == "sqrt" else np.copy
    sigma = (root(new) - root(old)) / (1.0 if rule.part("sigma") == "without_rate" else lr)
    sigma = sigma * {"none": 0.0, "sign": -1.0}.get(rule.part("sigma", ""), 1.0)
    z[rows] = z[rows] + rule.part("sign", 1.0) * g - sigma * w[rows]
    n[rows] = new
    size = root(old if rule.part("taken") == "old" else new)
    shrunk = z[rows] - np.sign(z[rows]) * rule.part("shrink", 1.0) * l1
    moved = -shrunk / ((beta + size) / lr + l2)
    return moved if rule.part("threshold") == "none" else np.where(abs(z[rows]) <= l1, 0.0, moved)


_DIRECTIONS: dict[type, Callable] = {
    optim.SGD: lambda rule, w, rows, g, state: g,
    optim.Momentum: _momentum,
    optim.Adagrad: _adagrad,
    optim.Adam: _adam,
    optim.FTRL: _ftrl,
}


# Wrong rules


def has_rule(like: Any) -> bool:
    """Whether the rule of an optimizer is known here."""
    return isinstance(like, tuple(_DIRECTIONS))


def variants(like: Any) -> Iterator[Variant]:
    """Yield the wrong rules for one optimizer, the likelier ones first."""
    yield "uphill", "the right ones with the other sign", {"rate": -1.0}
    by_row = isinstance(like, optim.RowwiseAdagrad)
    for cls in type(like).__mro__:
        for variant in _VARIANTS.get(cls, ()):
            measure = variant[2].get("measure", "")
            if not (by_row and cls is optim.Adagrad and measure.startswith("row")):
                yield variant
    if isinstance(like, optim.Momentum):
        yield "averaged", "v <- mu v + (1 - mu) g", {"share": 1 - like.momentum}
        yield "option", "a damping by 1 - mu", {"damping": 1 - like.momentum}
        yield "momentum_sign", "v <- -mu v + g", {"damping": -like.momentum}
    if isinstance(like, optim.Adam):
        yield "betas_swapped", "beta2 for m, beta1 for v", {"betas": like.betas[::-1]}
    yield from _options(like)
    if getattr(like, "weight_decay", 0):
        sgd = isinstance(like, optim.SGD)  # for which beside the step is the same
        yield from (each for each in _DECAYS if not (sgd and each[0] == "decay_apart"))
    yield from _GRADIENTS
    yield "step_twice", "two right steps each time", {"repeat": 2}
    if callable(like.lr) or isinstance(like, optim.Adam):
        yield "step_number", "t one too large", {"shift": 1}
        yield "step_number", "t one too small", {"shift": -1}
        yield "step_number", "a t that grows by two in each step", {"stride": 2}
        text = "a t that grows with each parameter, not with each step"
        yield "step_number", text, {"counted": "updates"}
    if not isinstance(like, optim.SGD):
        yield "state_lost", "the first step of a new optimizer, each time", {"state": "lost"}
        yield "shared", "one state for all parameters of one shape", {"state": "shape"}


_MEASURES: list[Variant] = [
    ("square_missing", "|g| where the rule has g^2", {"measure": "size"}),
    ("whole_array", "the mean of g^2 over the whole array", {"measure": "all_mean"}),
    ("whole_array", "the sum of g^2 over the whole array", {"measure": "all_sum"}),
    ("whole_array", "the mean of g^2 over each row", {"measure": "row_mean"}),
    ("whole_array", "the sum of g^2 over each row", {"measure": "row_sum"}),
    (
        "shared",
        "one number for all parameters, the mean of g^2 of all",
        {"measure": "all_mean", "state": "all"},
    ),
    (
        "shared",
        "one number for all parameters, the sum of g^2 of all",
        {"measure": "all_sum", "state": "all"},
    ),
]
_ROOTS: list[Variant] = [
    ("root_missing", "a division by h, without the root", {"root": "none"}),
    ("eps_inside", "sqrt(h + eps) where the rule has sqrt(h) + eps", {"root": "inside"}),
    ("divided", "a product with the root, where the rule divides", {"root": "times"}),
]
_VARIANTS: dict[type, list[Variant]] = {
    optim.Momentum: [
        ("state_lost", "plain SGD: the velocity is new in each step", {"taken": "gradient"}),
        ("momentum_missing", "v <- v + g", {"damping": 1.0}),
        ("nesterov", "w <- w - lr (g + mu v): Nesterov's rule", {"taken": "ahead"}),
        ("state_order", "the velocity before this gradient has joined it", {"taken": "old"}),
    ],
    optim.Adagrad: [
        ("state_lost", "h <- g^2: the squares of earlier steps are lost", {"keep": 0.0}),
        *_ROOTS,
        *(
            ("averaged_squares", f"h <- {keep:g} h + {1 - keep:.3g} g^2: RMSprop", {"keep": keep})
            for keep in (0.9, 0.99, 0.95, 0.999, 0.5)
        ),
        ("state_order", "the h before this gradient has joined it", {"taken": "old"}),
        *(("state_start", f"h begins at {h:g}", {"start": h}) for h in (1.0, 0.1, 1e-10, 1e-8)),
    ],
    optim.RowwiseAdagrad: [
        ("sum_for_mean", "the sum of a row's squares", {"measure": "row_sum"}),
        ("sum_for_mean", "the sum of squares", {"measure": "row_sum", "dense": "row_sum"}),
        ("max_for_mean", "the largest of a row's squares", {"measure": "row_max"}),
        ("max_for_mean", "the largest square", {"measure": "row_max", "dense": "row_max"}),
        ("not_by_row", "an h for each number: plain Adagrad", {"measure": "own"}),
        ("not_by_row", "one h for all rows", {"measure": "all_mean"}),
        ("whole_array", "one h for each dense parameter", {"dense": "row_mean"}),
    ],
    optim.Adam: [
        ("not_corrected", "m and v as they are", {"correct": "none"}),
        ("half_corrected", "v as it is; m is corrected", {"correct_v": "none"}),
        ("half_corrected", "m as it is; v is corrected", {"correct_m": "none"}),
        ("correction_power", "1 - beta where the rule has 1 - beta^t", {"correct": "once"}),
        ("correction_power", "1 - beta1 where the rule has 1 - beta1^t", {"correct_m": "once"}),
        ("correction_power", "1 - beta2 where the rule has 1 - beta2^t", {"correct_v": "once"}),
        ("correction_power", "1 - beta t where the rule has 1 - beta^t", {"correct": "linear"}),
        ("correction_beta", "v / (1 - beta1^t)", {"correct_v": "other"}),
        ("correction_beta", "m / (1 - beta2^t)", {"correct_m": "other"}),
        ("correction_beta", "each beta in the other's correction", {"correct": "other"}),
        ("correction_times", "a product with 1 - beta^t", {"correct": "times"}),
        ("average_missing", "m <- beta1 m + g", {"share": 1.0}),
        ("average_missing", "v <- beta2 v + g^2", {"share_v": 1.0}),
        ("average_missing", "m <- beta1 m + g, v <- beta2 v + g^2", {"share": 1, "share_v": 1}),
        *_ROOTS,
        ("largest", "the largest v so far: AMSGrad", {"largest": True}),
        ("momentum_unused", "g in the place of m: RMSprop", {"taken": "gradient"}),
        ("nesterov", "beta1 m + (1 - beta1) g: Nesterov's Adam", {"taken": "ahead"}),
        ("state_order", "m and v before this gradient has joined them", {"taken": "old"}),
        ("state_start", "m begins at the first gradient", {"start_m": True}),
        ("state_start", "v begins at the first square", {"start_h": True}),
        ("state_start", "m and v begin at the first", {"start_m": True, "start_h": True}),
        ("state_start", "v begins at 1", {"start": 1.0}),
    ],
    optim.FTRL: [
        ("uphill", "z <- z - g", {"sign": -1.0}),
        ("ftrl_sigma", "z <- z + g, without sigma w", {"sigma": "none"}),
        ("ftrl_sigma", "z <- z + g + sigma w", {"sigma": "sign"}),
        ("ftrl_sigma", "a sigma that is not divided by lr", {"sigma": "without_rate"}),
        ("ftrl_l1", "z + sign(z) l1 where the rule has z - sign(z) l1", {"shrink": -1.0}),
        ("ftrl_l1", "a z that is not shrunk by l1", {"shrink": 0.0}),
        ("ftrl_l1", "no threshold: no weight is 0", {"threshold": "none"}),
        ("ftrl_l1", "l1 = 0", {"l1": 0.0}),
        ("option", "l2 = 0", {"l2": 0.0}),
        ("option", "beta = 0", {"beta": 0.0}),
        ("root_missing", "n where the rule has sqrt(n)", {"root": "none"}),
        ("state_order", "the n before this gradient has joined it", {"taken": "old"}),
    ],
}
for _cls in (optim.Adagrad, optim.Adam):
    _VARIANTS[_cls] += _MEASURES
_DECAYS: list[Variant] = [
    ("decay_missing", "weight_decay = 0", {"decay": "none"}),
    ("decay_sign", "a decay with the other sign", {"decay": "sign"}),
    ("decay_twice", "a weight decay that is applied twice", {"decay": "twice"}),
    ("decay_apart", "w <- w - lr weight_decay w beside the step of g", {"decay": "apart"}),
    ("decay_after", "a decay of the new weights, after the step", {"decay": "after"}),
    ("decay_rate", "a decay without lr", {"decay": "without_rate"}),
    ("decay_form", "weight_decay sign(w) where the rule has weight_decay w", {"decay": "signs"}),
    ("decay_some", "a decay of matrices and tables, but not of vectors", {"decayed": "matrices"}),
    ("other_rows", "a decay of every row in each step", {"decay": "all_rows"}),
]


def _unit(g: np.ndarray) -> np.ndarray:
    return g / max(np.sqrt(np.sum(g * g)), 1e-300)


def _clip(limit: float) -> Callable:
    return lambda g: np.clip(g, -limit, limit)


def _clip_norm(limit: float) -> Callable:
    return lambda g: g * min(1.0, limit / max(np.sqrt(np.sum(g * g)), 1e-300))


_LIMITS = (1.0, 5.0, 10.0, 0.5, 0.1, 2.0, 3.0, 100.0, 1000.0)
_GRADIENTS: list[Variant] = [
    ("sign_only", "sign(g) in the place of g", {"gradient": np.sign}),
    ("normalized", "g / |g| in the place of g", {"gradient": _unit}),
    ("delayed", "the gradient of the step before", {"when": "before"}),
    ("summed", "the sum of all gradients so far", {"when": "all"}),
    ("squared", "g^2 in the place of g", {"gradient": np.square}),
    ("squared", "|g| in the place of g", {"gradient": np.abs}),
    *(
        variant
        for c in _LIMITS
        for variant in (
            ("clipped", f"a gradient that is cut off at +-{c:g}", {"gradient": _clip(c)}),
            ("clipped", f"a gradient whose norm is cut to {c:g}", {"gradient": _clip_norm(c)}),
            (
                "clipped",
                f"gradients whose norm together is cut to {c:g}",
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
                yield "option", f"{name} = {number:g}", {name: number}
    for place, beta in enumerate(getattr(like, "betas", ())):
        for number in (0.9, 0.99, 0.999, 0.95, 0.5, 0.0, 1 - beta):
            betas = list(like.betas)
            betas[place] = number
            if number != beta:
                yield "option", f"beta{place + 1} = {number:g}", {"betas": tuple(betas)}
