"""What a learner's file holds to check, and how it is called.

`minidlrm gradcheck FILE.py` finds two functions forward and backward, a class, a loss, an
optimizer, or a function `example` that says what to check and on what. Where the file does not
say, arguments are made from the names, annotations and defaults of the learner's functions
(`arguments`), and tried until forward runs. When that fails, the error says what to write.
"""

from __future__ import annotations

import copy
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidlrm import optim
from minidlrm.checking import arguments
from minidlrm.checking.gradients import gradcheck
from minidlrm.checking.optimizers import optimcheck
from minidlrm.checking.raised import described
from minidlrm.checking.report import GradCheckReport
from minidlrm.module import Module


class Unclear(ValueError):
    """It cannot be told what to check, or how: the text, of several lines, says what to write."""


class Found(NamedTuple):
    """What is checked: a target with its inputs, or an optimizer with the right one."""

    target: Any
    inputs: tuple[Any, ...] = ()
    like: Any = None
    is_optimizer: bool = False


def is_file(target: str) -> bool:
    """Whether the argument of the command line is a file: PATH.py, or PATH.py:NAME."""
    return target.endswith(".py") or ".py:" in target


def check(target: str, seed: int = 0, **options: Any) -> GradCheckReport:
    """Check what a file holds.

    Parameters
    ----------
    target : str
        PATH.py or PATH.py:NAME; see `find`.
    seed : int
        Seed of what is made: parameters, inputs, and the check itself.
    **options
        Of `gradcheck`.

    Raises
    ------
    FileNotFoundError, Unclear
        As `find`.
    """
    path, name = target, ""
    if not target.endswith(".py"):
        path, _, name = target.rpartition(":")
    found = find(path, name, seed)
    if found.is_optimizer:
        return optimcheck(found.target, found.like, seed=seed, verbose=False)
    return gradcheck(found.target, *found.inputs, seed=seed, **options)


def find(path: str, name: str = "", seed: int = 0) -> Found:
    """Return what to check in a learner's file.

    Parameters
    ----------
    path : str
        A Python file. It is run.
    name : str
        A class, an optimizer, a function that returns ``(target, *inputs)``, one of two
        functions, or what two functions ``NAME_forward`` and ``NAME_backward`` begin with.
        "": ``example``; or else forward and backward; or else the only class, or the only two
        functions of that form.
    seed : int
        Seed of the parameters and inputs that are made.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    Unclear
        When the file stops with an error, does not hold the name, or it cannot be told how to
        check it: the text says what to write.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}")
    held = _run(path)
    rng = np.random.default_rng(seed)
    name = name or _only(path, held)
    pair = _pair(held, name)
    if pair is not None:
        return _made(path, name, pair, rng)
    if name not in held:
        raise Unclear(f"{path} has no {name}; it has {', '.join(_own(held)) or 'nothing'}")
    thing = held[name]
    if isinstance(thing, type):
        return _of_class(path, thing, rng)
    if callable(getattr(thing, "step", None)):
        return _optimizer(path, thing)
    if isinstance(thing, tuple) or callable(getattr(thing, "backward", None)):
        return _made(path, name, thing, rng)
    return _of_example(path, name, _call(path, name, thing))


def _run(path: str) -> dict[str, Any]:
    try:
        return runpy.run_path(path)
    except Exception as error:
        raise Unclear(f"{path}: {_told(error)}") from error


def _told(error: Exception) -> str:
    if isinstance(error, SyntaxError):  # it has no frame of theirs
        line = (error.text or "").strip()
        return f"SyntaxError: {error.msg} (line {error.lineno}: `{line}`)"
    return described(error, "running it")


def _call(path: str, name: str, function: Any) -> Any:
    if not callable(function):
        raise Unclear(f"{path}:{name} is a {type(function).__name__}: give a class or function")
    needed = arguments.required(function)
    if needed:
        raise Unclear(
            f"{path}:{name} takes {', '.join(needed)}, and there is no {name}_backward or "
            f"backward beside it. {_advice(f'{name}, backward', needed)}"
        )
    try:
        return function()
    except Exception as error:
        raise Unclear(f"{path}: {described(error, f'{name}()')}") from error


def _own(held: dict[str, Any]) -> list[str]:
    """Name the functions and classes that the file itself defines."""
    return [
        key
        for key, value in held.items()
        if callable(value)
        and not key.startswith("_")
        and getattr(value, "__module__", "") == held["__name__"]
    ]


def _only(path: str, held: dict[str, Any]) -> str:
    """Return the name of the one thing that can be checked in a file."""
    if "example" in held:
        return "example"
    if _pair(held, "forward"):
        return "forward"
    own = _own(held)
    firsts = [name for name in own if not isinstance(held[name], type)]
    stems = dict.fromkeys(
        name.removesuffix("_forward") for name in firsts if not name.endswith("_backward")
    )
    names = [stem for stem in stems if _pair(held, stem)]
    for name in own:
        methods = ("backward", "step", "update")
        if isinstance(held[name], type) and any(hasattr(held[name], each) for each in methods):
            names.append(name)
    if len(names) == 1:
        return names[0]
    if names:
        several = ", ".join(f"{path}:{name}" for name in names)
        raise Unclear(f"{path} has more than one thing to check: give one of {several}")
    raise Unclear(
        f"{path} has no functions forward and backward, and no class with a backward or a step. "
        + _advice("forward, backward", ["x"])
    )


def _pair(held: dict[str, Any], name: str) -> tuple[Callable, Callable] | None:
    """Return the two functions that belong to a name."""
    stem = name.removesuffix("_forward").removesuffix("_backward")
    for forward, backward in (
        ("forward", "backward") if name in ("forward", "backward") else ("", ""),
        (f"{stem}_forward", f"{stem}_backward"),
        (stem, f"{stem}_backward"),
        (f"forward_{stem}", f"backward_{stem}"),
    ):
        two = held.get(forward), held.get(backward)
        if all(callable(each) and not isinstance(each, type) for each in two):
            return two[0], two[1]  # type: ignore[return-value]
    return None


def _made(path: str, name: str, target: Any, rng: np.random.Generator) -> Found:
    """Make inputs for a pair of functions, or for a layer."""
    if isinstance(target, tuple) and not (len(target) == 2 and all(map(callable, target))):
        return _of_example(path, name, target)
    forward = target[0] if isinstance(target, tuple) else target.forward
    inputs, error = arguments.inputs_for(target, rng)
    if inputs is None:
        held = "forward, backward" if name in ("forward", "backward") else name
        if isinstance(target, tuple) and name not in ("forward", "backward"):
            held = ", ".join(getattr(each, "__name__", "f") for each in target)
        names = arguments.required(forward)
        raise Unclear(
            f"{path}: forward({', '.join(names)}) does not run on any of the inputs that were "
            f"tried{f': {error}' if error else ''}\n{_advice(held, names)}"
        )
    return Found(target, inputs)


def _of_example(path: str, name: str, result: Any) -> Found:
    """Read what a function returned: (target, *inputs), or an optimizer, or it and its rule."""
    target, *rest = result if isinstance(result, tuple) else (result,)
    if callable(getattr(target, "step", None)) or callable(getattr(target, "update", None)):
        return Found(target, (), rest[0] if rest else None, True)
    if callable(target) and len(rest) == 1 and _is_rule(rest[0]):
        return Found(target, (), rest[0], True)
    if callable(target) and rest and callable(rest[0]):
        target, rest = (target, rest[0]), rest[1:]
    if not rest:
        raise Unclear(f"{path}:{name}() returns no inputs. {_advice('forward, backward', ['x'])}")
    return Found(target, tuple(rest))


def _is_rule(value: Any) -> bool:
    return isinstance(value, optim.Optimizer)


def _optimizer(path: str, optimizer: Any) -> Found:
    if not isinstance(optimizer, optim.Optimizer):
        name = type(optimizer).__name__
        raise Unclear(
            f"{path}:{name} could be any rule: say which one it should follow. Write\n\n"
            f"    def example():\n        return {name}(...), md.Adam(0.01)\n\n"
            "with its arguments, and with the optimizer of minidlrm that has the same rule."
        )
    return Found(optimizer, is_optimizer=True)


def _of_class(path: str, cls: type, rng: np.random.Generator) -> Found:
    """Make a learner's class as minidlrm's class of that name is made, or from its arguments."""
    steps = [name for name in ("step", "update") if callable(getattr(cls, name, None))]
    if steps and not hasattr(cls, "backward"):
        return _optimizer(path, _construct(path, cls, rng))
    found = _like_ours(cls, rng)
    if found is not None:
        return found
    if not callable(getattr(cls, "forward", None)) or not callable(getattr(cls, "backward", None)):
        raise Unclear(
            f"{path}:{cls.__name__} has no forward and backward, and no step: "
            f"{_advice(f'{cls.__name__}(...)', ['x'])}"
        )
    return _made(path, f"{cls.__name__}(...)", _construct(path, cls, rng), rng)


def _construct(path: str, cls: type, rng: np.random.Generator) -> Any:
    error = ""
    for given in arguments.for_constructor(cls, rng):
        try:
            return cls(**given)
        except Exception as stopped:
            error = error or f" ({described(stopped, cls.__name__)})"
    names = arguments.required(cls)
    raise Unclear(
        f"{path}: it is not clear what {cls.__name__}({', '.join(names)}) takes{error}. "
        + _advice(f"{cls.__name__}(...)", ["x"])
    )


def _like_ours(cls: type, rng: np.random.Generator) -> Found | None:
    """Make it as the class of minidlrm that it is derived from, or that has its name."""
    from minidlrm.checking.bugs import CORPUS

    names = {base.__name__ for base in cls.__mro__} - {Module.__name__}
    for bug in CORPUS:
        if bug.correct.__name__ in names:
            try:
                target, *inputs = bug.make(cls, rng)
                copy.deepcopy(target).forward(*inputs)
            except Exception:  # another constructor, or another forward
                return None
            return Found(target, tuple(inputs))
    return None


def _advice(target: str, names: list[str]) -> str:
    """Say which function to write, as code."""
    made = "\n".join(f"        {name} = rng.normal(size=(5, 4))" for name in names)
    held = f"({target})" if "," in target else target
    return (
        "Say what to check, and on what: write\n\n    def example():\n"
        f"        rng = np.random.default_rng(0)\n{made}\n"
        f"        return {held}, {', '.join(names)}\n\n"
        "with the shapes that forward takes; ids and labels as integers."
    )
