"""watched: what goes into each part of a model and what comes out, seen from outside.

The trace, the figure of a model and the checker all look at a model that knows nothing of
them. For the time of the watch, `forward` and `backward` of each part are wrapped; the
arithmetic is the model's own, to the last bit.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from minidlrm.module import Module


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a part.

    Parameters
    ----------
    phase : "forward" or "backward"
        The method that was called.
    name : str
        The name of the part.
    module : Module
        The part.
    inputs : tuple
        Copies of what went in.
    output : object
        A copy of what came out.
    """

    phase: str
    name: str
    module: Module
    inputs: tuple[Any, ...]
    output: Any


@contextmanager
def watched(
    modules: Iterable[tuple[str, Module]],
    record: Callable[[Call], object],
    phases: Sequence[str] = ("forward",),
) -> Iterator[None]:
    """Call `record` after each call of a module, until the block ends.

    Parameters
    ----------
    modules : iterable of (str, Module)
        The parts by name. A part that comes under two names is watched under the first.
    record : callable
        Given a `Call`, right after the method has returned.
    phases : sequence of str
        The methods to watch: "forward", "backward".

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> from minidlrm.watching import watched
    >>> mlp, calls = md.layers.MLP([3, 4, 2], rng=np.random.default_rng(0)), []
    >>> with watched(mlp.named_children(), calls.append):
    ...     y = mlp.forward(np.ones((5, 3)))
    >>> [(call.name, call.output.shape) for call in calls]
    [('layers.0', (5, 4)), ('layers.1', (5, 2))]
    """
    parts: dict[int, tuple[str, Module]] = {}
    for name, module in modules:
        parts.setdefault(id(module), (name, module))
    before = [(module, dict(vars(module))) for _, module in parts.values()]
    try:
        for name, module in parts.values():
            for phase in phases:
                setattr(module, phase, _recorded(phase, name, module, record))
        yield
    finally:
        for module, attributes in before:
            for phase in phases:
                if phase in attributes:  # it was watched already, from further out
                    setattr(module, phase, attributes[phase])
                else:
                    vars(module).pop(phase, None)


def _recorded(
    phase: str, name: str, module: Module, record: Callable[[Call], object]
) -> Callable[..., Any]:
    call = getattr(module, phase)

    def recorded(*inputs: Any) -> Any:
        seen = copy.deepcopy(inputs)  # the model may write over its own arrays later
        output = call(*inputs)
        record(Call(phase, name, module, seen, copy.deepcopy(output)))
        return output

    return recorded
