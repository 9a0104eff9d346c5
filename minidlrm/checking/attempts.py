"""One check of one target: on ids that collide, and in the form in which the code is written.

A `Run` checks one reading of the code on one set of inputs. `best_run` tries what else they may
mean before it calls anything wrong: the values of forward may be outputs or a cache, and ids
that were changed may be none.
"""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import numpy as np

from minidlrm.checking import ids
from minidlrm.checking.matching import as_input
from minidlrm.checking.run import Options, Question, Run
from minidlrm.checking.subject import FunctionPair
from minidlrm.languages import Message


def best_run(target: Any, inputs: tuple, named: dict[str, Any], options: Options) -> Run:
    """Check a target; take the ids and the reading under which the code is right, if any."""
    question = _question(target, inputs, named)
    run = _best_ids(question, options)
    run.leave_random_numbers()
    return run


def _question(target: Any, inputs: tuple, named: dict[str, Any]) -> Question:
    plain = type(target).__repr__ is object.__repr__
    name = type(target).__name__ if plain else repr(target)
    if isinstance(target, tuple) and len(target) == 2 and all(map(callable, target)):
        target = FunctionPair(*target)
        name = repr(target)
    elif isinstance(target, type) or not _has_both_passes(target):
        raise TypeError(
            f"the target is a {type(target).__name__}: give a Module, or a pair "
            "(forward, backward) of functions, or an object that has both"
        )
    if named:
        _check_names(target, named)
    given = (*inputs, *named.values())
    settings = tuple(k for k, v in enumerate(given) if isinstance(v, (float, np.floating)))
    return Question(target, name, tuple(map(as_input, given)), tuple(named), settings)


def _has_both_passes(target: Any) -> bool:
    passes = (getattr(target, name, None) for name in ("forward", "backward"))
    return all(map(callable, passes))


def _check_names(target: Any, named: dict[str, Any]) -> None:
    """Refuse a name that is neither an option nor an argument of forward."""
    function = getattr(target, "forward_function", None) or target.forward
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    unknown = [name for name in named if name not in parameters]
    if unknown:
        raise TypeError(f"{unknown[0]!r} is not an option of gradcheck or an argument of forward")


def _best_ids(question: Question, options: Options) -> Run:
    failed: list[tuple[ids.Change, Run]] = []
    for change in ids.changes(question.inputs, question.target):
        if failed and not change.places and not failed[-1][0].places:
            continue  # as before
        if failed and change.places and not failed[-1][1].gives_no_verdict:
            continue  # it is wrong there: are the given ones?
        run = _best_reading(replace(question, inputs=change.inputs), options)
        if not failed and (run.passed or not change.places):
            return run
        if run.passed:
            return _judged(question, failed, run)
        failed.append((change, run))
    first, *others = [run for _, run in failed if not run.gives_no_verdict] or [failed[-1][1]]
    first.as_given = others[-1] if others else None
    return first


def _judged(question: Question, failed: list[tuple[ids.Change, Run]], passed: Run) -> Run:
    """The given ids pass, and others do not: are repeats lost, or may these not repeat?"""
    change, run = failed[0] if len(failed) == 1 else failed[-1]
    words = _changed_words(question, change)
    if run.gives_no_verdict:
        text = Message("{words}: the code does not bear it, so the ids are as given", words=words)
        passed.remarks.append(text)
        return passed
    if change.doubtful or run.is_flat:
        text = Message(
            "{words}: then the gradient of {name} is wrong. Where an entry may occur twice, this "
            "is a mistake; as given it does not",
            words=words,
            name=run.first_wrong,
        )
        passed.remarks.append(text)
        return passed
    run.remarks.append(
        Message("{words}, so that an id occurs twice; on those given it passes", words=words)
    )
    return run


def _changed_words(question: Question, change: ids.Change) -> Message:
    texts = []
    for k in change.places:
        old, new = (_ids_of(inputs[k]) for inputs in (question.inputs, change.inputs))
        texts.append(Message("from {old} to {new}", old=_short(old), new=_short(new)))
    some = texts[0]
    for more in texts[1:]:
        some = Message("{one} and {other}", one=some, other=more)
    return Message("integers were changed {some}", some=some)


def _ids_of(value: Any) -> list[int]:
    value = getattr(value, "sparse", value)
    return np.ravel(getattr(value, "values", value)).tolist()


def _short(values: list[int]) -> str:
    return str(values) if len(values) <= 6 else f"[{', '.join(map(str, values[:6]))}, ...]"


def _best_reading(question: Question, options: Options) -> Run:
    first = Run(question, options, None)
    first.look()
    if first.passed:
        return first
    if first.draws_unwatched:
        return _best_reading(replace(question, watched=True), options)
    unraised = None
    for reading in first.other_readings():
        run = Run(question, options, reading)
        run.look(quick=True)
        if run.passed:
            run.remarks.append(Message("read as {form}", form=reading.text))
            return run
        if not run.has("raised") and first.has("raised"):
            unraised = unraised or reading
    if unraised is not None:
        first = Run(question, options, unraised)
        first.look()
    return first
