"""Common wrong formulas of the known layers: those of the bug museum that need them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidlrm.checking.bugs import CORPUS, Bug
from minidlrm.checking.subject import Subject, as_dense


@dataclass(frozen=True)
class Fingerprint:
    """A common wrong formula, as code.

    Parameters
    ----------
    key : str
        The mistake, in `CATALOGUE`; or any other name, with a title and a hint.
    formula : callable
        ``formula(target, dy, *inputs)`` returns the wrong gradients: a dict from the name of
        an array to its gradient. It may fail, or return None, where it does not apply.
    evidence : str
        What the formula is, for the reader.
    title, hint : str, optional
        For a key that is not in the catalogue.

    Examples
    --------
    A backward that forgets a factor, and the words for it:

    >>> import numpy as np, minidlrm as md
    >>> forgot = md.checking.Fingerprint(
    ...     "no-two", lambda target, dy, x: {"x": dy * x}, "x is dy x",
    ...     title="The 2 of the square is missing", hint="The derivative of x^2 is 2 x.")
    >>> square = (lambda x: (x**2, x), lambda dy, x: dy * x)
    >>> report = md.gradcheck(square, np.array([1.0, 2.0]), fingerprints=[forgot], verbose=False)
    >>> report.passed, report.diagnosis[0].title
    (False, 'The 2 of the square is missing')
    """

    key: str
    formula: Callable[..., dict[str, np.ndarray] | None]
    evidence: str
    title: str = ""
    hint: str = ""


def known(target: Any) -> Iterator[Fingerprint]:
    """Yield the fingerprints of a layer: by its class, or by the name of a learner's class.

    Parameters
    ----------
    target : Module or function pair
        What was checked. It may bring its own in an attribute `fingerprints`.
    """
    yield from getattr(target, "fingerprints", ())
    names = {kind.__name__ for kind in type(target).__mro__}
    for bug in CORPUS:
        if bug.fingerprint and bug.correct.__name__ in names:
            yield Fingerprint(bug.cause, _formula(bug), bug.story.rstrip("."))


def texts() -> list[str]:
    """Return what the fingerprints of the museum say, to be translated."""
    return [bug.story.rstrip(".") for bug in CORPUS if bug.fingerprint]


def _formula(bug: Bug) -> Any:
    def wrong(target: Any, dy: np.ndarray, *inputs: Any) -> dict[str, np.ndarray]:
        """Run the wrong backward pass on a copy of the target."""
        other = copy.copy(target.astype(np.float64))
        other.__class__ = bug.cls
        grads, _ = Subject(other, inputs).gradients(np.array(dy))
        return {name: as_dense(grad) for name, grad in grads.items() if grad is not None}

    return wrong
