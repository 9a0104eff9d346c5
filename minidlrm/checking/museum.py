"""The bug museum as the tutorials show it: choose mistakes, read their code, ask the checker."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

import numpy as np

from minidlrm.checking.bugs import CORPUS, OPTIMIZERS, Bug
from minidlrm.checking.gradients import gradcheck
from minidlrm.checking.optimizers import optimcheck
from minidlrm.languages import say


def exhibits(*names: str) -> list[Bug]:
    """Return planted bugs by the names of their classes, in this order.

    Raises
    ------
    KeyError
        When a name is not in the museum.

    Examples
    --------
    >>> from minidlrm.checking import museum
    >>> museum.exhibits("LastWriteWins")
    [Bug(EmbeddingBagCollection: LastWriteWins)]
    """
    known = {bug.cls.__name__: bug for bug in (*CORPUS, *OPTIMIZERS)}
    missing = [name for name in names if name not in known]
    if missing:
        raise KeyError(f"{missing[0]} is not in the museum: {', '.join(sorted(known))}")
    return [known[name] for name in names]


def show(bugs: Iterable[Bug]) -> None:
    """Print the code of each bug, without the docstring that gives the mistake away.

    Examples
    --------
    >>> from minidlrm.checking import museum
    >>> museum.show(museum.exhibits("LastWriteWins"))
    class LastWriteWins(EmbeddingBagCollection):
        def scatter(self, dense, rows, places, terms):
            dense[rows] += terms
    <BLANKLINE>
    """
    for bug in bugs:
        name = bug.cls.__name__
        print(f"class {name}({bug.correct.__name__}):")
        for method in vars(bug.cls).values():
            if getattr(method, "__qualname__", "").split(".")[0] == name:
                print(inspect.getsource(method))


def explain(bugs: Iterable[Bug], seed: int = 0) -> None:
    """Check each bug, and print what the checker says about it.

    Examples
    --------
    >>> from minidlrm.checking import museum
    >>> museum.explain(museum.exhibits("SquaresNotSummed"))  # doctest: +ELLIPSIS
    SquaresNotSummed: ...
    """
    for bug in bugs:
        target, *inputs = bug.make(bug.cls, np.random.default_rng(seed))
        check = optimcheck if bug in OPTIMIZERS else gradcheck
        cause = check(target, *inputs, verbose=False).diagnosis[0]
        print(f"{bug.cls.__name__}: {say(cause.title)}.\n   {say(cause.evidence)}")
