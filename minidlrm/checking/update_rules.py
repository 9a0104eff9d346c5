"""Update rules that can be made wrong: what `optimcheck` compares a learner's steps with.

A `Rule` is an optimizer of minidlrm written out in NumPy, with named parts. Changing one part
makes one wrong rule; `wrong_updates` lists those that people write.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidlrm import optim
from minidlrm.module import SparseGrad

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
    if how == "row_square":
        return g.mean(axis=1, keepdims=True) ** 2
    if how == "columns_mean":
        return (g * g).mean(axis=0, keepdims=True)
    whole, _, reduction = how.partition("_")
    axis = 1 if whole == "row" else None
    reduced = getattr(np, reduction)
    return reduced(g * g, axis=axis, keepdims=True)


def _history(rule: Rule, w, rows, g, state, keep: float, share: float) -> tuple:
    """Take the squares of `g` into the history; return it before and after, at `rows`."""
    how, one = rule.part("measure", "own"), rule.part("state") == "all"
    if isinstance(rule.like, optim.RowwiseAdagrad) and not one:
        how = rule.part("measure", "row_mean") if state["sparse"] else rule.part("dense", "own")
    new = _measure(how, g)
    together = how.startswith(("all", "columns"))
    shape = (1 if together else len(w), new.shape[1])
    place = _FIRST_ROW if together else rows
    holder = rule.memory.setdefault(None, {}) if one else state
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
        h = np.cbrt(h) if root == "cube" else np.sqrt(h / (rule.count if root == "mean" else 1))
        return g * (h + eps) if root == "times" else g / (h + eps)


def _adagrad(rule: Rule, w, rows, g, state) -> np.ndarray:
    keep = rule.part("keep", 1.0)
    share = 1.0 if keep in (0.0, 1.0) else 1.0 - keep
    old, new = _history(rule, w, rows, g, state, keep, share)
    above = g * g if rule.part("above") == "square" else g
    return _divided(rule, above, old if rule.part("taken") == "old" else new)


def _adam(rule: Rule, w, rows, g, state) -> np.ndarray:
    (b1, b2), count = rule.option("betas"), _count(rule, w, rows, state)
    m, old = _mean(rule, w, rows, g, state, b1)
    if rule.part("largest") == "norm":  # Adamax
        norm = state.setdefault("largest", np.zeros_like(w))
        norm[rows] = np.maximum(b2 * norm[rows], np.abs(g))
        return m / (1 - b1**count) / (norm[rows] + rule.option("eps"))
    fed = m if rule.part("fed") == "m" else g
    old_v, v = _history(rule, w, rows, fed, state, b2, rule.part("share_v", 1 - b2))
    if rule.part("largest") == "square":
        largest = state.setdefault("largest", np.zeros_like(w))
        v = largest[rows] = np.maximum(largest[rows], v)
    taken = rule.part("taken", "new")
    if taken == "old":
        m, v = old, old_v
    m = {"gradient": g, "ahead": b1 * m + (1 - b1) * g}.get(taken, m)
    how = rule.part("correct", "power")
    first = "none" if taken == "gradient" else how
    c1 = _correction(rule.part("correct_m", first), b1, b2, count)
    c2 = _correction(rule.part("correct_v", how), b2, b1, count)
    return _quotient(rule, m, v, c1, c2, rows, state)


def _mean(rule: Rule, w, rows, g, state, b1: float) -> tuple[np.ndarray, np.ndarray]:
    """Take `g` into the mean of the gradients; return it after and before, at `rows`."""
    first = "m" not in state
    m = state.setdefault("m", np.zeros_like(w))
    old = g if first and rule.part("start_m") else m[rows].copy()
    m[rows] = b1 * old + rule.part("share", 1 - b1) * g
    return m[rows], old


def _count(rule: Rule, w, rows, state) -> Any:
    if rule.part("counted") != "rows":
        return rule.count
    counts = state.setdefault("counts", np.zeros((len(w), 1)))
    counts[rows] += 1
    return counts[rows]


def _quotient(rule: Rule, m, v, c1, c2, rows, state) -> np.ndarray:
    """Return the direction of Adam's step, from m and v and their corrections."""
    if rule.part("root") == "uncorrected":
        with np.errstate(all="ignore"):
            return np.sqrt(c2) / c1 * m / (np.sqrt(v) + rule.option("eps"))
    m, v = m / c1, v / c2
    if rule.part("kept") == "corrected":
        state["m"][rows], state["h"][rows] = m, v
    return _divided(rule, v, np.abs(m)) if rule.part("exchanged") else _divided(rule, m, v)


def _correction(how: str, beta: float, other: float, count: Any) -> Any:
    """Return what m or v is divided by."""
    power = 1 - beta**count
    table = {"power": power, "none": 1.0, "once": 1 - beta, "times": 1 / np.maximum(power, 1e-300)}
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


def has_rule(like: Any) -> bool:
    """Whether the rule of an optimizer is known here."""
    return isinstance(like, tuple(_DIRECTIONS))
