"""What a wrong optimizer does: causes from the steps that it took, and from no name in its code."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from minidlrm.checking.optimizer_catalogue import make_cause
from minidlrm.checking.report import Cause
from minidlrm.checking.steps import Paths, Stopped, Trial, alike, follows, walk
from minidlrm.checking.update_rules import Rule, has_rule
from minidlrm.checking.wrong_updates import Variant, variants
from minidlrm.languages import Message, joined


@dataclass(frozen=True)
class Steps:
    """What is known of an optimizer: its steps and the right ones, for each trial."""

    optimizer: Any
    like: Any
    trials: tuple[Trial, ...]
    theirs: tuple[Paths, ...]
    right: tuple[Paths, ...]

    def follow(self, like: Any = None, **parts: Any) -> bool:
        """Whether they are those of the rule with some parts changed, in every trial."""
        like = self.like if like is None else like
        return all(
            follows(lambda: Rule(like, **parts), trial, paths)
            for trial, paths in zip(self.trials, self.theirs, strict=True)
        )


def diagnose(steps: Steps) -> list[Cause]:
    """Return what the steps look like."""
    causes = [*_unmoved(steps), *_idle(steps), *_rows(steps), *_repeated(steps), *_coarse(steps)]
    causes += [*_alone(steps), *_eps(steps)]
    if has_rule(steps.like):
        if steps.follow():
            return [
                *causes,
                make_cause("precision", Message("the steps agree to seven digits"), 0.9),
            ]
        causes += _by_rule(steps) or _in_part(steps) or _two_changes(steps)
    else:
        causes += _one_factor(steps)
    causes += [*_factor_of_each(steps), *_rate_changes(steps), *_only_large(steps)]
    return causes or [make_cause("random", _where(steps), 0.1)]


# What needs no rule


def _moved(paths: Paths, name: str) -> np.ndarray:
    return paths[name][1:] - paths[name][:-1]


def _unmoved(steps: Steps) -> Iterator[Cause]:
    theirs, right = steps.theirs[0], steps.right[0]
    moving = [name for name in right if _moved(right, name).any()]
    stuck = [name for name in moving if not _moved(theirs, name).any()]
    if stuck and stuck == moving:
        yield make_cause("stuck", Message("after every step, each parameter is what it was"), 0.99)
    elif stuck:
        rest = ", ".join(name for name in moving if name not in stuck)
        text = Message(
            "{stuck}: never changed, though there is a gradient; {rest}: changed",
            stuck=", ".join(stuck),
            rest=rest,
        )
        if stuck == ["table"]:
            text += Message(". The gradient of the table is a SparseGrad")
        yield make_cause("some_stuck", text, 0.985)


def _idle(steps: Steps) -> Iterator[Cause]:
    every = [_moved(steps.theirs[0], name) for name in steps.theirs[0]]
    moves = np.any([path.reshape(len(path), -1).any(axis=1) for path in every], axis=0)
    if moves.any() and not moves.all():
        idle = ", ".join(map(str, np.flatnonzero(~moves) + 1))
        yield make_cause("idle", Message("no parameter moves in step {steps}", steps=idle), 0.959)


def _coarse(steps: Steps) -> Iterator[Cause]:
    """Look for numbers that have been rounded to another type."""
    moved = [np.unique(path[1:][path[1:] != path[:-1]]) for path in steps.theirs[0].values()]
    values = np.concatenate(moved)
    for dtype in (np.float16, np.float32):
        with np.errstate(over="ignore"):
            rounded = values.astype(dtype)
        if len(values) and np.array_equal(values, rounded):
            name = np.dtype(dtype).name
            text = Message("every number that has moved is a {dtype}", dtype=name)
            yield make_cause("precision", text, 0.975)
            return


def _rows(steps: Steps) -> Iterator[Cause]:
    """Look for a row that moves in a step whose batch does not have it, and the other way."""
    if "table" not in steps.theirs[0]:
        return
    table, found = steps.theirs[0]["table"], set()
    for step, grads in enumerate(steps.trials[0].gradients()):
        moved = (table[step + 1] != table[step]).any(axis=1)
        rows, number = grads["table"].rows, step + 1
        still, moved[rows] = rows[~moved[rows]], False
        if moved.any() and "other_rows" not in found:
            row = int(np.flatnonzero(moved)[-1])
            text = Message(
                "row {row} of the table was not in the batch of step {step}, and has changed in it",
                row=row,
                step=number,
            )
            found.add("other_rows")
            yield make_cause("other_rows", text, 0.955)
        if len(still) and "wrong_rows" not in found and _moved(steps.theirs[0], "table").any():
            text = Message(
                "row {row} of the table was in the batch of step {step}, and has not changed in it",
                row=still[0],
                step=number,
            )
            found.add("wrong_rows")
            yield make_cause("wrong_rows", text, 0.957)


def _repeated(steps: Steps) -> Iterator[Cause]:
    again = walk(steps.optimizer, steps.trials[0]).paths
    if any(not np.array_equal(again[n], steps.theirs[0][n], equal_nan=True) for n in again):
        text = Message("the same steps, taken again, lead elsewhere")
        yield make_cause("not_repeatable", text, 0.98)


def _alone(steps: Steps) -> Iterator[Cause]:
    """Look for a parameter whose steps depend on what other parameters there are."""
    seed, number = steps.trials[0].seed, steps.trials[0].steps
    for k, trial in enumerate(steps.trials):
        for name in [n for n in trial.names if n != "frozen"]:
            try:
                alone = walk(steps.optimizer, Trial(seed, number, (name,), trial.scale)).paths
            except Stopped:
                return
            if not alike(alone[name], steps.theirs[k][name]):
                text = Message("{name} takes other steps when it is the only parameter", name=name)
                yield make_cause("shared", text, 0.93)
                return


def _eps(steps: Steps) -> Iterator[Cause]:
    nans = [np.isnan(path).any() for paths in steps.theirs for path in paths.values()]
    if any(nans) and not any(np.isnan(p).any() for p in steps.theirs[0].values()):
        yield make_cause("eps_missing", Message("nan where a gradient is 0"), 0.9)


def _rate_changes(steps: Steps) -> Iterator[Cause]:
    """Look for steps that are right, apart from a factor that is another in each step."""
    theirs, right = steps.theirs[0], steps.right[0]
    factors = [_factor(theirs, right, step) for step in range(steps.trials[0].steps)]
    known = [c for c in factors if c is not None]
    if len(known) == len(factors) and np.ptp(known) > 1e-6:
        numbers = ", ".join(f"{c:.4g}" for c in known)
        text = Message("the steps are {numbers} times the right ones", numbers=numbers)
        yield make_cause("rate_changes", text, 0.7)


def _one_factor(steps: Steps) -> Iterator[Cause]:
    """Look for steps of a rule that is not written out here, all with one factor."""
    theirs, right = steps.theirs[0], steps.right[0]
    factors = [_factor(theirs, right, step) for step in range(steps.trials[0].steps)]
    known = [c for c in factors if c is not None]
    if len(known) < len(factors) or np.ptp(known) > 1e-6 or abs(known[0] - 1) < 1e-6:
        return
    c, lr = known[0], steps.like.lr
    each = Message("{c} times each step", c=f"{c:.6g}")
    if abs(c + 1) < 1e-6:
        text = Message("every step is the right one with the other sign")
        yield make_cause("uphill", text, 0.95)
    elif not callable(lr) and abs(c - lr) < 1e-6 * lr:
        yield make_cause("rate_twice", each + _and_lr(lr), 0.95)
    elif not callable(lr) and abs(c - 1 / lr) < 1e-6 / lr:
        yield make_cause("rate_missing", each + ": 1 / lr", 0.95)
    else:
        yield make_cause("factor", each, 0.95)


def _factor_of_each(steps: Steps) -> Iterator[Cause]:
    """Look for a factor that is another for each parameter, as one over its size."""
    theirs, right, number = steps.theirs[0], steps.right[0], steps.trials[0].steps
    factors: dict[str, float] = {}
    for name in right:
        if not _moved(right, name).any():
            continue
        one = {name: right[name]}
        known = [c for k in range(number) if (c := _factor(theirs, one, k)) is not None]
        moves = int(_moved(right, name).reshape(number, -1).any(axis=1).sum())
        if len(known) < moves or np.ptp(known) > 1e-6:
            return
        factors[name] = known[0]
    if factors and np.ptp(list(factors.values())) > 1e-6:
        numbers = (
            Message("{c} for {name}", c=f"{c:.4g}", name=name) for name, c in factors.items()
        )
        text = Message(
            "each step of a parameter has a factor of its own: {numbers}",
            numbers=joined(numbers, ", "),
        )
        yield make_cause("factor", text, 0.94)


def _and_lr(lr: float) -> Message:
    return Message(", and lr is {lr}", lr=f"{lr:g}")


def _factor(theirs: Paths, right: Paths, step: int) -> float | None:
    """Return c when a step of every parameter is c times the right one."""
    mine = np.concatenate([_moved(theirs, n)[step].ravel() for n in right])
    true = np.concatenate([_moved(right, n)[step].ravel() for n in right])
    if not (np.isfinite(mine).all() and true.any()):
        return None
    c = float(mine @ true / (true @ true))
    return c if c and np.abs(mine - c * true).max() <= 1e-6 * np.abs(c * true).max() else None


def _only_large(steps: Steps) -> Iterator[Cause]:
    same = [
        all(alike(theirs[n], right[n]) for n in right)
        for theirs, right in zip(steps.theirs, steps.right, strict=True)
    ]
    if len(same) == 3 and same == [True, False, True]:
        text = Message("gradients of ordinary size give the right steps, large ones do not")
        yield make_cause("clipped", text, 0.8)


def _where(steps: Steps) -> str:
    """Say which steps of which parameters are right."""
    for trial, theirs, right in zip(steps.trials, steps.theirs, steps.right, strict=True):
        wrong = {}
        for name in right:
            bad = [not alike(a, b) for a, b in zip(theirs[name], right[name], strict=True)]
            if any(bad):
                wrong[name] = bad.index(True)
        if not wrong:
            continue
        good = [name for name in right if name not in wrong and name != "frozen"]
        first = min(wrong.values())
        c = f"{trial.scale:g}"
        size = (
            "" if trial.scale == 1 else Message(" when the gradients are {c} times as large", c=c)
        )
        text = Message(
            "step {step} is the first that is wrong{size}, in {names}",
            step=first,
            size=size,
            names=", ".join(wrong),
        )
        if good:
            text += Message("; {names}: right in every step", names=", ".join(good))
        return text
    return ""


# What follows a wrong rule


def _by_rule(steps: Steps, ending: str = "") -> list[Cause]:
    found = [(key, text, parts) for key, text, parts in variants(steps.like) if _fits(steps, parts)]
    found += _rates(steps)
    kept = _still(steps, found) if len({key for key, _, _ in found}) > 1 else found
    return [
        make_cause(key, _are_those_of(text, ending), 0.97 - 0.005 * rank)
        for rank, (key, text, _) in enumerate(kept[:4])
    ]


def _are_those_of(rule: str, ending: str) -> Message:
    return Message("the steps are exactly those of {rule}{ending}", rule=rule, ending=ending)


def _fits(steps: Steps, parts: dict[str, Any]) -> bool:
    return steps.follow(**parts)


def _rates(steps: Steps, parts: dict[str, Any] | None = None) -> list[Variant]:
    """Return the rule with another learning rate, when its steps were taken."""
    parts = parts or {}
    rule, trial = Rule(steps.like, **parts), steps.trials[0]
    right = walk(rule, Trial(trial.seed, 1, trial.names)).paths
    c = _factor(steps.theirs[0], right, 0)
    if c is None or abs(c - 1) < 1e-6 or not steps.follow(**{**parts, "rate": c}):
        return []
    lr = steps.like.lr
    numbers = Message("{c} times the learning rate", c=f"{c:.6g}")
    if not callable(lr) and abs(c - lr) < 1e-6 * lr:
        return [("rate_twice", numbers + _and_lr(lr), {"rate": c})]
    if not callable(lr) and abs(c - 1 / lr) < 1e-6 / lr:
        return [("rate_missing", numbers + ": 1 / lr", {"rate": c})]
    return [] if abs(c + 1) < 1e-6 else [("factor", numbers, {"rate": c})]


_VARIED = {
    "lr": 0.7,
    "weight_decay": 1.3,
    "momentum": 0.83,
    "eps": 3.0,
    "l1": 1.2,
    "l2": 1.3,
    "beta": 1.1,
}


def _still(steps: Steps, found: list[Variant]) -> list[Variant]:
    """Keep those that fit with other options, too: with lr = 1 - mu, two mistakes are one."""
    theirs: Any = copy.deepcopy(steps.optimizer)
    like: Any = copy.deepcopy(steps.like)
    for name, factor in _VARIED.items():
        value = getattr(like, name, None)
        if isinstance(value, float) and getattr(theirs, name, None) == value:
            setattr(like, name, value * factor)
            setattr(theirs, name, value * factor)
    if callable(like.lr) and getattr(theirs, "lr", None) is like.lr:
        like.lr = theirs.lr = _later(like.lr)
    if isinstance(getattr(like, "betas", None), tuple) and hasattr(theirs, "betas"):
        like.betas = theirs.betas = tuple(0.97 * beta for beta in like.betas)
    try:
        paths = walk(theirs, steps.trials[0]).paths
    except Stopped:
        return found
    other = Steps(theirs, like, steps.trials[:1], (paths,), (walk(like, steps.trials[0]).paths,))
    keys = {key for key, _, parts in variants(like) if _fits(other, parts)}
    keys |= {key for key, _, _ in _rates(other)}
    return [each for each in found if each[0] in keys] or found


def _later(rate: Any) -> Callable:
    return lambda t: rate(t + 2)


def _in_part(steps: Steps) -> list[Cause]:
    """Look for the wrong rule of those parameters whose steps are wrong, when others are right."""
    pairs = list(zip(steps.theirs, steps.right, strict=True))
    wrong = tuple(
        n for n in pairs[0][0] if not all(alike(mine[n], true[n]) for mine, true in pairs)
    )
    right = [n for n in pairs[0][0] if n not in wrong and n != "frozen"]
    if not wrong or not right:
        return []
    part = Steps(
        steps.optimizer,
        steps.like,
        tuple(replace(trial, names=wrong) for trial in steps.trials),
        tuple({n: mine[n] for n in wrong} for mine, _ in pairs),
        tuple({n: true[n] for n in wrong} for _, true in pairs),
    )
    names = {"wrong": ", ".join(wrong), "right": ", ".join(right)}
    return _by_rule(part, Message(" in {wrong}; {right}: right", **names))


def _two_changes(steps: Steps) -> list[Cause]:
    """Look for two mistakes at once."""
    single = list(variants(steps.like))
    for key, text, parts in single:
        for other, more, _ in _rates(steps, parts):
            return _both((key, text), (other, more))
    for (key, text, parts), (other, more, others) in combinations(single, 2):
        if not set(parts) & set(others) and steps.follow(**parts, **others):
            return _both((key, text), (other, more))
    return []


def _both(*two: tuple[str, str]) -> list[Cause]:
    (_, one), (_, other) = two
    evidence = Message(
        "the steps are those of two changes together: {one} and {other}", one=one, other=other
    )
    return [make_cause(key, evidence, 0.9 - 0.01 * k) for k, (key, _) in enumerate(two)]
