"""Common wrong formulas of the known layers: those of the bug museum that need them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

from minidlrm.checking.bugs.record import Bug
from minidlrm.checking.diagnosis import Fingerprint
from minidlrm.checking.subject import Subject, as_dense


def known(target: Any) -> Iterator[Fingerprint]:
    """Yield the fingerprints of a layer: by its class, or by the name of a learner's class.

    Parameters
    ----------
    target : Module or function pair
        What was checked. It may bring its own in an attribute `fingerprints`.
    """
    from minidlrm.checking.bugs import CORPUS

    yield from getattr(target, "fingerprints", ())
    names = {kind.__name__ for kind in type(target).__mro__}
    for bug in CORPUS:
        if bug.fingerprint and bug.correct.__name__ in names:
            yield Fingerprint(bug.cause, _formula(bug), bug.story.rstrip("."))


def _formula(bug: Bug) -> Any:
    def wrong(target: Any, dy: np.ndarray, *inputs: Any) -> dict[str, np.ndarray]:
        """Run the wrong backward pass on a copy of the target."""
        other = copy.copy(target.astype(np.float64))
        other.__class__ = bug.cls
        grads, _ = Subject(other, inputs).gradients(np.array(dy))
        return {name: as_dense(grad) for name, grad in grads.items() if grad is not None}

    return wrong
