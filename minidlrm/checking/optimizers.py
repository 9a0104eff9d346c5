"""optimcheck: does an optimizer follow its rule? And if not: what does it do?

An update rule has no derivative to compare with. So the learner's optimizer and the right one
take the same steps on the same problem: matrices, a bias, and a table whose rows come and go;
with gradients of ordinary size, with large ones, which show a hidden clip, and with small ones,
which show where eps is added.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np

from minidlrm import optim
from minidlrm.arrays import as_flag, as_seed, as_size
from minidlrm.checking.optimizer_catalogue import CATALOGUE, make_cause
from minidlrm.checking.optimizer_causes import Steps, diagnose
from minidlrm.checking.report import ArrayCheck, GradCheckReport
from minidlrm.checking.steps import (
    DENSE,
    EVERY,
    SCALES,
    Made,
    Paths,
    Plain,
    Stopped,
    Trial,
    Walk,
    takes,
    walk,
)
from minidlrm.checking.update_rules import Rule
from minidlrm.languages import joined, say

__all__ = ["CATALOGUE", "OptimCheckReport", "optimcheck"]

_RTOL = 1e-9
_STOPS = {"frozen": "no_gradient", "table": "sparse"}  # a parameter that stops a step


class OptimCheckReport(GradCheckReport):
    """What the check of an optimizer found; as `GradCheckReport`, with "yours" and "right".

    Parameters
    ----------
    target, arrays, rtol, faults, diagnosis, remarks, unchecked
        As `GradCheckReport`; an array is what a parameter has become.

    Examples
    --------
    >>> import minidlrm as md
    >>> report = md.checking.optimcheck(md.SGD(0.1), verbose=False)
    >>> report.passed, type(report).__name__
    (True, 'OptimCheckReport')
    """

    def _head(self, lang: str | None) -> tuple[str, ...]:
        _, shape, _, kinks, error, at, *_ = super()._head(lang)
        names = say("parameter", lang), shape, say("steps", lang), kinks, error, at
        return (*names, say("yours", lang), say("right", lang), "")

    def _rows(self, lang: str | None) -> list[tuple[str, ...]]:
        return [(*row[:3], *row[4:]) for row in super()._rows(lang)]

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing: every step moves every parameter."""
        return ()


def optimcheck(
    optimizer: Any, like: Any = None, *, seed: int = 0, steps: int = 5, verbose: bool = True
) -> OptimCheckReport:
    """Compare an optimizer's steps with those of the right rule, and explain a difference.

    Parameters
    ----------
    optimizer : object
        It has ``step(parameters)``; or, for arrays, ``step(params, grads)`` or ``update(w, g)``,
        which change the arrays or return the new ones. It is copied, and not changed. Or, for
        PyTorch's form, a function that makes it from a list of parameters, to call ``step()``.
    like : Optimizer, optional
        The right rule. By default the nearest base class that minidlrm exports, with the same
        options.
    seed : int
        Seed of the problem.
    steps : int
        How many are compared.
    verbose : bool
        Whether to print the report.

    Returns
    -------
    OptimCheckReport

    Raises
    ------
    TypeError
        When it cannot be told how the target is called, or what it should be like.

    Examples
    --------
    >>> import minidlrm as md
    >>> md.checking.optimcheck(md.Adam(0.1), verbose=False).passed
    True
    """
    seed = as_seed(seed)
    steps, verbose = as_size("steps", steps), as_flag("verbose", verbose)
    optimizer, names = _of_our_form(optimizer)
    if like is not None and (isinstance(like, type) or not callable(getattr(like, "step", None))):
        raise TypeError(f"like is {like!r}: it must be an optimizer, such as SGD(0.1)")
    like = _right_rule(optimizer) if like is None else like
    trials = tuple(Trial(seed, steps, names, scale) for scale in SCALES.values())
    walks, trials, faults = _walked(optimizer, trials)
    checks: tuple[ArrayCheck, ...] = ()
    causes = [make_cause(key, text, 0.995) for key, text in faults]
    if walks:
        right = _accepted(like, trials, walks)
        taken = Steps(optimizer, like, trials, tuple(w.paths for w in walks), right)
        checks = _checks(taken)
        if not all(check.passed for check in checks):
            causes += diagnose(taken)
    best = {c.key: c for c in sorted(causes, key=lambda cause: cause.score)}
    ranked = tuple(sorted(best.values(), key=lambda cause: -cause.score))
    texts = tuple(dict.fromkeys(text for _, text in faults))
    plain = type(optimizer).__repr__ is object.__repr__
    title = type(optimizer).__name__ if plain else repr(optimizer)
    report = OptimCheckReport(title, checks, _RTOL, texts, ranked)
    if verbose:
        print(report)
    return report


def _of_our_form(optimizer: Any) -> tuple[Any, tuple[str, ...]]:
    """Return an optimizer with ``step(parameters)``, and the parameters that it can update."""
    if isinstance(optimizer, type):
        if takes(optimizer, "step", 1):  # self alone
            return Made(optimizer), EVERY
        raise TypeError(
            f"{optimizer.__name__} is a class: give one optimizer, {optimizer.__name__}(...)"
        )
    if takes(optimizer, "step", 1):
        return optimizer, EVERY
    if takes(optimizer, "step", 2) or takes(optimizer, "update", 2):
        return Plain(optimizer), DENSE
    name = type(optimizer).__name__
    if takes(optimizer, "step", 0):
        raise TypeError(
            f"step() of {name} takes nothing, so {name} holds its parameters: give a function that "
            f"makes one, optimcheck(lambda parameters: {name}(parameters, ...), like=...)"
        )
    if callable(optimizer) and not hasattr(optimizer, "step"):
        return Made(optimizer), EVERY
    raise TypeError(
        f"{optimizer!r} is not an optimizer that can be checked: it has no step(parameters), "
        "step(params, grads) or update(w, g)"
    )


def _right_rule(optimizer: Any) -> Any:
    for cls in type(optimizer).__mro__:
        if cls.__module__ == optim.__name__ and cls is not optim.Optimizer:
            return _with_options(cls, optimizer)
    raise TypeError(
        f"{type(optimizer).__name__} is derived from no optimizer of minidlrm: "
        "give like=, such as like=md.Adam(0.01)"
    )


def _with_options(cls: type, optimizer: Any) -> Any:
    other = copy.deepcopy(optimizer)
    other.__class__ = cls
    other.state, other.num_steps = {}, 0
    return other


def _walked(optimizer, trials) -> tuple[tuple[Walk, ...], tuple[Trial, ...], list]:
    """Let the optimizer walk; where it stops, leave out the parameter that stops it."""
    stop, first = "", True
    for left_out in ((), ("frozen",), ("table",), ("frozen", "table")):
        names = tuple(name for name in trials[0].names if name not in left_out)
        kept = tuple(replace(trial, names=names) for trial in trials)
        try:
            walks = tuple(walk(optimizer, trial) for trial in kept)
        except Stopped as error:
            stop, first = stop or error.text, first and error.step == 1
            continue
        faults = [(_STOPS[name] if first else "stopped", stop) for name in left_out]
        return walks, kept, [*faults, *(fault for w in walks for fault in w.faults)]
    return (), trials, [("stopped", stop)]


def _accepted(like, trials, walks) -> tuple[Paths, ...]:
    """Return the right steps: of Adam's two forms in the paper, the one that was taken.

    In the second, eps is added to the root of v before its correction.
    """
    right = tuple(walk(like, trial).paths for trial in trials)
    if not isinstance(like, optim.Adam):
        return right
    other = tuple(walk(Rule(like, root="uncorrected"), trial).paths for trial in trials)
    near = all(
        np.allclose(w.paths[name], paths[name], rtol=1e-9, atol=1e-12)
        for w, paths in zip(walks, other, strict=True)
        for name in paths
    )
    return other if near else right


def _checks(steps: Steps) -> tuple[ArrayCheck, ...]:
    """Compare every array; large and small gradients are shown where they alone fail."""
    checks: list[ArrayCheck] = []
    failed: set[str] = set()
    for label, theirs, right in zip(SCALES, steps.theirs, steps.right, strict=True):
        for name in right:
            shown = joined((name, label)) if label else name
            check = _compare(shown, theirs[name], right[name])
            if not label or not (check.passed or name in failed):
                checks.append(check)
            failed |= set() if check.passed else {name}
    return tuple(checks)


def _compare(name: str, theirs: np.ndarray, right: np.ndarray) -> ArrayCheck:
    size = float(np.max(np.abs(right)))
    error = np.abs(theirs - right) / size
    error[np.isnan(error)] = np.inf
    step = int(np.argmax((error > _RTOL).reshape(len(error), -1).any(axis=1)))  # the first
    index = np.unravel_index(int(error[step].argmax()), right.shape[1:])
    values = (float(theirs[(step, *index)]), float(right[(step, *index)]))
    place, worst = tuple(map(int, index)), float(error.max())
    return ArrayCheck(
        name, right.shape[1:], len(right) - 1, worst, place, *values, bool(worst <= _RTOL)
    )
