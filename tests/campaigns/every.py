"""Every hostile value in every place: what `inputs --all` runs.

A place is an argument of a public function, class or method, an input of a layer, or a use. In
each place all hostile values are tried in turn, the others being right: once with the required
arguments alone, and once, with other right values, with all of them.
"""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from . import calls, uses
from .values import Scene, Turns

Run = Callable[..., calls.Outcome]
Place = Callable[[Scene, calls.Outcome], Any]
CLASSES = 3  # of which an inherited method is called
USED = 6  # how often a use is tried with other right values
MOST = 4000  # values in a place


class Again(Exception):
    """The same was tried before, by another way."""


@functools.cache
def places() -> list[tuple[str, Place]]:
    """Return all places: first those with required arguments alone."""
    every = [*_arguments(False), *_inputs(), *_uses(USED // 2)]
    return [*every, *_arguments(True), *_inputs(), *_uses(USED // 2)]


def _arguments(all_given: bool) -> Iterator[tuple[str, Place]]:
    times: collections.Counter = collections.Counter()
    for targets in calls.callables().values():
        for target in dict.fromkeys(targets):
            function = calls.function_of(target)
            for name in calls.arguments(target):
                key = getattr(function, "__func__", function), name
                times[key] += 1
                if times[key] <= CLASSES:
                    yield f"{target[0]}({name})", _argument(target, name, all_given)


def _argument(target: tuple[str, Any, str], name: str, all_given: bool) -> Place:
    def place(scene: Scene, outcome: calls.Outcome) -> Any:
        def spoilt(names: list[str]) -> Iterator[str]:
            yield from _once(scene, outcome, *({name} & {*names}))  # a subclass may not have it

        return calls.call(scene, outcome, target, lambda n: all_given or n == name, spoilt)

    return place


def _once(scene: Scene, outcome: calls.Outcome, *spoilt: Any) -> Iterator[Any]:
    """Yield what is spoilt; then stop what was tried before, by other choices."""
    yield from spoilt
    if scene.tried is not None:
        if outcome.what in scene.tried:
            raise Again
        scene.tried.add(outcome.what)


def _inputs() -> Iterator[tuple[str, Place]]:
    for target in calls.targets():
        for k in range(len(target[2])):
            yield f"{target[0]}, input {k}", _input(target, [k], False)
        yield f"{target[0]}, dy", _input(target, [], True)


def _input(target: tuple[str, Any, tuple], spoilt: Iterable[int], dy: bool) -> Place:
    def place(scene: Scene, outcome: calls.Outcome) -> Any:
        inputs = _once(scene, outcome, *spoilt) if spoilt else ()
        return calls.layer(scene, outcome, target, inputs, lambda: dy)

    return place


def _uses(times: int) -> Iterator[tuple[str, Place]]:
    for way in uses.USES:
        for k in range(times):
            yield f"{way.__name__}, {k}", functools.partial(_use, way)


def _use(way: Callable[[Scene], Any], scene: Scene, outcome: calls.Outcome) -> Any:
    return calls.use(scene, outcome, way)


def cases(seed: int, number: int) -> Iterator[tuple[calls.Outcome, Run]]:
    """Yield the cases of a place: each runs with its hostile value, or tame, as often as asked."""
    turns, tried = Turns(), set()  # type: ignore[var-annotated]

    def run(tame: bool = False, tried: set[str] | None = None) -> calls.Outcome:
        turns.at = 0
        scene = Scene(np.random.default_rng([seed, number]), tame, turns)
        scene.tried = tried
        return calls.outcome_of(places()[number][1], scene)

    for _ in range(MOST):
        first = run(tried=tried)
        if not isinstance(first.error, Again):
            yield first, run
        if not turns.advance():
            return
