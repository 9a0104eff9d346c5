"""optimcheck: does an optimizer follow its rule? And if not: what does it do?

An update rule has no derivative to compare with. So the learner's optimizer and the right one
take the same steps on the same problem: a matrix, a bias, and a table whose rows come and go.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

from minidlrm import optim
from minidlrm.checking.evidence import close
from minidlrm.checking.report import ArrayCheck, Cause, GradCheckReport
from minidlrm.module import Parameter, SparseGrad

_RTOL = 1e-9
_TABLE = (8, 3)

CATALOGUE: dict[str, tuple[str, str]] = {
    "uphill": ("it steps uphill", "The gradient points to where the loss grows: subtract it."),
    "rate_twice": ("the learning rate is applied twice", "Look for a second factor lr."),
    "rate_missing": ("the learning rate is missing", "Each step is lr times its direction."),
    "factor": ("a constant factor is wrong", "Compare the first step with the rule."),
    "decay_missing": ("the weight decay is missing", "g becomes g + weight_decay w."),
    "decay_sign": ("the weight decay has the wrong sign", "Decay pulls w towards 0."),
    "other_rows": (
        "rows change that were not looked up",
        "Update the rows of the SparseGrad, and no others.",
    ),
    "state_lost": (
        "what the steps before have left is lost",
        "Keep the state between steps, for each parameter.",
    ),
    "momentum_missing": ("the velocity is not damped", "v becomes mu v + g."),
    "root_missing": ("the square root is missing", "Divide by sqrt(h) + eps."),
    "sum_for_mean": (
        "squares are summed where they are averaged",
        "Row-wise Adagrad keeps the mean of a row's squares.",
    ),
    "not_corrected": (
        "the bias of the first steps is not corrected",
        "m and v begin at 0: divide them by 1 - beta^t.",
    ),
    "betas_swapped": ("the two betas are exchanged", "beta1 is for m, beta2 for v."),
    "step_number": ("the steps are counted wrongly", "t is 1 in the first step."),
    "modified": ("the gradient is changed in place", "Work on a copy of it."),
    "no_gradient": (
        "a parameter without a gradient is changed",
        "Skip parameters whose grad is None.",
    ),
    "random": ("no simple cause fits", "Check one step with numbers by hand."),
}


class OptimCheckReport(GradCheckReport):
    """What the check of an optimizer found; as `GradCheckReport`, with "yours" and "right".

    Parameters
    ----------
    target, arrays, rtol, faults, diagnosis
        As `GradCheckReport`; an array is what a parameter has become, or its state.

    Examples
    --------
    >>> import minidlrm as md
    >>> report = md.checking.optimcheck(md.SGD(0.1), verbose=False)
    >>> report.passed, type(report).__name__
    (True, 'OptimCheckReport')
    """

    def _rows(self) -> list[tuple[str, ...]]:
        _, *rows = super()._rows()
        head = ("parameter", "shape", "steps", "worst error", "at", "yours", "right", "")
        return [head, *((row[0], row[1], row[2], *row[4:]) for row in rows)]

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
        It has ``step(parameters)``. It is copied, and not changed.
    like : Optimizer, optional
        The right rule. By default the nearest base class that minidlrm exports, with the same
        options.
    seed : int
        Of the problem.
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
        When the target has no step, or it cannot be told what it should be like.

    Examples
    --------
    >>> import minidlrm as md
    >>> md.checking.optimcheck(md.Adam(0.1), verbose=False).passed
    True
    """
    if not callable(getattr(optimizer, "step", None)):
        raise TypeError(f"{optimizer!r} is no optimizer: it has no step(parameters)")
    like = _right_rule(optimizer) if like is None else like
    theirs, faults = _run(optimizer, seed, steps)
    right, _ = _run(like, seed, steps)
    checks = tuple(_compare(name, theirs[name], right[name]) for name in right)
    causes = [_cause(key, text, 0.98) for key, text in faults]
    if faults or not all(check.passed for check in checks):
        causes += _diagnose(optimizer, like, theirs, right, seed, steps)
        causes = causes or [_cause("random", "", 0.1)]
    best = {c.key: c for c in sorted(causes, key=lambda cause: cause.score)}
    ranked = tuple(sorted(best.values(), key=lambda cause: -cause.score))
    texts = tuple(text for _, text in faults)
    report = OptimCheckReport(repr(optimizer), checks, _RTOL, texts, ranked)
    if verbose:
        print(report)
    return report


def _right_rule(optimizer: Any) -> Any:
    for kind in type(optimizer).__mro__:
        if kind.__module__ == optim.__name__ and kind is not optim.Optimizer:
            return _with_options(kind, optimizer)
    raise TypeError(
        f"{type(optimizer).__name__} is derived from no optimizer of minidlrm: "
        "give like=, such as like=md.Adam(0.01)"
    )


def _with_options(kind: type, optimizer: Any) -> Any:
    other = copy.deepcopy(optimizer)
    other.__class__ = kind
    other.state, other.num_steps = {}, 0
    return other


def _problem(seed: int) -> dict[str, Parameter]:
    rng = np.random.default_rng(seed)
    shapes = {"weight": (3, 4), "bias": (4,), "table": _TABLE, "frozen": (2,)}
    return {name: Parameter(rng.normal(size=shape), name) for name, shape in shapes.items()}


def _gradients(seed: int, steps: int) -> Iterator[dict[str, Any]]:
    """Yield the gradients of each step; in the table, rows come and go."""
    rng = np.random.default_rng((seed, 1))
    for _ in range(steps):
        rows = np.sort(rng.choice(_TABLE[0] - 1, 3, replace=False))  # the last row: never
        values = rng.normal(size=(3, _TABLE[1]))
        table = SparseGrad(rows, values, _TABLE)
        yield {"weight": rng.normal(size=(3, 4)), "bias": rng.normal(size=4), "table": table}


def _run(optimizer: Any, seed: int, steps: int) -> tuple[dict[str, np.ndarray], list]:
    """Return the values of each parameter after 0, 1, 2, ... steps, and broken rules."""
    optimizer, parameters = copy.deepcopy(optimizer), _problem(seed)
    path = {name: [p.value.copy()] for name, p in parameters.items()}
    faults = []
    for grads in _gradients(seed, steps):
        for name, parameter in parameters.items():
            parameter.grad = copy.deepcopy(grads.get(name))
        optimizer.step(list(parameters.values()))
        for name, parameter in parameters.items():
            path[name].append(parameter.value.copy())
            if not _same(parameter.grad, grads.get(name)):
                faults.append(("modified", f"the gradient of {name} is changed in place"))
    if not np.array_equal(path["frozen"][0], path["frozen"][-1]):
        faults.append(("no_gradient", "a parameter whose grad is None has changed"))
    return {name: np.array(values) for name, values in path.items()}, list(dict.fromkeys(faults))


def _same(grad: Any, before: Any) -> bool:
    if isinstance(before, SparseGrad) and isinstance(grad, SparseGrad):
        return np.array_equal(grad.values, before.values) and np.array_equal(grad.rows, before.rows)
    return np.array_equal(grad, before) if before is not None else grad is None


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


def _cause(key: str, evidence: str, score: float) -> Cause:
    title, hint = CATALOGUE[key]
    return Cause(key, title, "", evidence[:1].upper() + evidence[1:], hint, score)


def _diagnose(optimizer, like, theirs, right, seed, steps) -> list[Cause]:
    causes = [*_by_first_step(like, theirs, right), *_by_rows(theirs, seed, steps)]
    causes += _by_simpler_rule(like, theirs, seed, steps)
    return causes + list(_by_formula(optimizer, like, theirs, seed, steps))


def _by_first_step(like, theirs, right) -> Iterator[Cause]:
    """Compare the first step of a dense parameter with the right one."""
    mine, true = (path["weight"][1] - path["weight"][0] for path in (theirs, right))
    c = float(np.sum(mine * true) / max(np.sum(true * true), 1e-300))
    lr, ours = like.lr, "the first step is "
    if not close(mine, c * true) or abs(c - 1) < 1e-6 or callable(lr):
        return
    if abs(c + 1) < 1e-6:
        yield _cause("uphill", ours + "the right one with the other sign.", 0.95)
    elif abs(c - lr) < 1e-6 * lr:
        yield _cause("rate_twice", f"{ours}{c:.6g} times the right one, and lr is {lr:g}.", 0.95)
    elif abs(c - 1 / lr) < 1e-6 / lr:
        yield _cause("rate_missing", f"{ours}{c:.6g} times the right one: 1 / lr.", 0.95)
    else:
        yield _cause("factor", f"{ours}{c:.6g} times the right one.", 0.6)


def _by_rows(theirs, seed, steps) -> Iterator[Cause]:
    """Look for a row that moves in a step whose batch has it not."""
    table = theirs["table"]
    for step, grads in enumerate(_gradients(seed, steps)):
        moved = (table[step + 1] != table[step]).any(axis=1)
        moved[grads["table"].rows] = False
        if moved.any():
            row = int(np.flatnonzero(moved)[-1])
            text = f"row {row} of the table was not in the batch of step {step + 1}, and has "
            yield _cause("other_rows", text + "changed in it.", 0.97)
            return


def _by_simpler_rule(like, theirs, seed, steps) -> Iterator[Cause]:
    """Compare with the right rule that starts anew in each step, or decays otherwise."""

    class Forgetful:
        def step(self, parameters):
            _with_options(type(like), like).step(parameters)

    if any(vars(like).get(name) for name in ("weight_decay",)):
        for key, decay in (("decay_missing", 0.0), ("decay_sign", -like.weight_decay)):
            other = copy.deepcopy(like)
            other.weight_decay = decay
            if _equal(_run(other, seed, steps)[0], theirs):
                yield _cause(key, f"the steps are those of weight_decay = {decay:g}.", 0.96)
    if not isinstance(like, optim.SGD) and _equal(_run(Forgetful(), seed, steps)[0], theirs):
        yield _cause("state_lost", "each step is the first step of a new optimizer.", 0.96)


def _by_formula(optimizer, like, theirs, seed, steps) -> Iterator[Cause]:
    """Compare with the wrong rules of the museum."""
    from minidlrm.checking.bugs.optimizers import BUGS

    for bug in BUGS:
        known = bug.fingerprint and bug.correct is type(like)
        if known and _equal(_run(_with_options(bug.cls, like), seed, steps)[0], theirs):
            yield _cause(bug.cause, f"the steps are those of the wrong rule: {bug.story}", 0.95)


def _equal(path: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> bool:
    return all(np.allclose(path[n], theirs[n], rtol=1e-7, atol=1e-10) for n in path)
