"""What the campaign of inputs calls: every case of the checker, and every public name."""

from __future__ import annotations

import copy
import functools
import inspect
import itertools
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import minidlrm as md
from minidlrm.checking import cases

from . import uses
from .values import Scene, good, hostile

LEFT_OUT = {  # what is not called, and why
    "kernels": "internal: they trust their input; the layers that call them are called",
    "fetch": "goes to the network",
    **dict.fromkeys(["arrays", "state_shapes"], "for an optimizer of one's own"),
    "update": "what an optimizer of one's own writes; `step` calls it, and checks first",
}
SLOW = {
    *("gradcheck", "assert_gradients", "optimcheck", "trace", "diagram", "synthetic_clicks"),
    *("importance", "Importance", "Effect", "GradCheckReport", "OptimCheckReport", "ArrayCheck"),
    *("read_criteo", "read_table", "read_described"),
}
MAKERS: dict[str, Callable[[Scene], Any]] = {  # of what methods are called
    "Batch": Scene.batch,
    "Jagged": Scene.jagged,
    "Dataset": Scene.dataset,
    "SparseGrad": Scene.sparse_grad,
    "Parameter": Scene.parameter,
    "OptimizerGroup": lambda s: md.OptimizerGroup([(s.optimizer(), [s.parameter()])]),
    "History": lambda s: md.fit(s.model(), s.batch(), progress=False),
    "Schema": Scene.schema,
    "Reader": lambda s: md.data.READERS["libfm"],
    "ModelEntry": lambda s: s.pick(*md.MODELS.values()),
    "Catalogue": Scene.catalogue,
    "RankMetrics": Scene.ranking,
    "Recommendations": lambda s: md.recommend(s.factors(), [0, 1], 2, seen=None),
    "Mistake": lambda s: md.recommending.Mistake(s.pick(*md.recommending.MISTAKES), "found"),
    "Importance": Scene.importance,
    "Effect": lambda s: s.importance().columns[0],
    "Neighbours": lambda s: md.similar(s.for_schema(), s.schema(), "city", "Ulm"),
    "Unseen": lambda s: md.scoring.Unseen(s.schema()),
    "Block": lambda s: md.scoring.Block(s.batch(), s.floats(s.rows)),
    "GradCheckReport": lambda s: md.gradcheck(md.Sigmoid(), s.floats(2, 3), verbose=False),
    "OptimCheckReport": lambda s: md.checking.optimcheck(md.SGD(0.1), verbose=False),
    "ArrayCheck": lambda s: MAKERS["GradCheckReport"](s).arrays[0],
    "Profile": lambda s: md.data.Profile.of(s.rng.integers(0, 9, 20)),
    "Module": Scene.layer,
    "Optimizer": Scene.optimizer,
}
NO_METHODS = {"Cause", "Fingerprint", "ProtocolWarning"}
ARRAYS = ("dense", "sparse", "label", "values", "offsets", "weights", "id", "bag", "prediction")
MADE_OF_ARRAYS = {"batch", "data", "train", "valid", "test", "sparse", "bags", "dataset", "state"}
OF_PARTS = MADE_OF_ARRAYS | {"parameters", "groups", "key", "other", "model", "optimizer", "schema"}
ENDLESS = {"epochs", "steps", "repeats"}  # as many as are asked for are run, for years
HUGE = 1e6  # beside such a gradient Adam makes a whole step of what rounding leaves of another
PATHS = {"path", "checkpoint", "source", "rows", "train", "valid", "test"}
SAID = {"grad": "gradient", "input": "id", "value": "parameter", "weights": "per_sample_weights"}
SAID |= dict.fromkeys(["source", "rows"], "column")  # in which the fault of a table is
DUNDERS = ("__getitem__", "__add__", "__len__", "__repr__")


@dataclass
class Outcome:
    """What came of one case on one backend."""

    what: str = ""  # what was called, and what was hostile
    names: set[str] = field(default_factory=set)  # that an error may name
    hostile: set[str] = field(default_factory=set)  # those of arguments that are wrong
    value: Any = None
    error: BaseException | None = None
    changed: str = ""  # an input that was written to
    paths: list[str] = field(default_factory=list)  # of files that were made for this case


@functools.cache
def public() -> dict[str, Any]:
    """Return every public function and class by its dotted name."""
    found: dict[int, tuple[str, Any]] = {}
    modules: list[Any] = [md, md.losses, md.optim, md.training]  # type: ignore[attr-defined]
    while modules:
        module = modules.pop(0)
        for name in _names(module):
            value = getattr(module, name)
            if name in LEFT_OUT:
                continue
            if isinstance(value, types.ModuleType):
                modules.append(value)
            elif callable(value):
                found.setdefault(id(value), (f"{module.__name__}.{name}", value))
    return dict(found.values())


def _names(module: types.ModuleType) -> list[str]:
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return list(listed)
    own = [name for name in vars(module) if not name.startswith("_")]
    return [n for n in own if inspect.getmodule(getattr(module, n)) is module]


@functools.cache
def callables() -> dict[str, list[tuple[str, Any, str]]]:
    """Return (title, callable or method name, what makes its object) of each public name."""
    found: dict[str, list[tuple[str, Any, str]]] = {}
    for name, value in public().items():
        found[name] = [(name, value, "")]
        if inspect.isclass(value) and name.rpartition(".")[2] not in NO_METHODS:
            owner = _maker(value)
            found[name] *= 6  # a class is made as often as six methods are called
            found[name] += [(f"{name}.{method}", method, owner) for method in methods(value)]
    return found


def _maker(cls: type) -> str:
    """Return the name of what makes one of a class: a layer, an optimizer, or itself."""
    for base in (md.Module, md.optim.Optimizer):
        if issubclass(cls, base):
            return f"{base.__name__} {cls.__name__}"
    return cls.__name__


def methods(cls: type) -> list[str]:
    """Return the public methods of a class, and those that operators call."""
    found = [n for n, _ in inspect.getmembers(cls, callable) if n[0] != "_" and n not in LEFT_OUT]
    return found + [n for n in DUNDERS if hasattr(cls, n)]


def made(owner: str, scene: Scene) -> Any:
    """Make one of a class, by the name that `_maker` gives."""
    base, _, name = owner.partition(" ")
    if base == "Optimizer":
        return getattr(md, name)(lr=0.1) if hasattr(md, name) else scene.optimizer()
    if base == "Module":
        every = [module for _, module, _ in targets()]
        right = [module for module in every if name in {c.__name__ for c in type(module).__mro__}]
        return copy.deepcopy(scene.pick(*right))
    if base in MAKERS:
        return MAKERS[base](scene)
    cls = next(v for n, v in public().items() if n.rpartition(".")[2] == base)  # a new class
    return cls(**{n: good(base, n, scene) for n in _parameters(cls)})


@functools.cache
def targets() -> list[tuple[str, Any, tuple]]:
    """Return the one list of cases: every layer, loss and model in every option."""
    return [(str(title), module, tuple(inputs)) for title, module, inputs in cases.everything(0)]


def run(rng: np.random.Generator, tame: bool = False) -> Outcome:
    """Draw one case, run it, and say what came of it; a tame one has its right values alone."""
    scene = Scene(rng, tame)
    return outcome_of([_layer, _call, _use][int(rng.choice(3, p=[0.45, 0.45, 0.1]))], scene)


def outcome_of(kind: Callable[[Scene, Outcome], Any], scene: Scene) -> Outcome:
    """Run a case, and say what came of it."""
    outcome = Outcome()
    try:
        outcome.value = kind(scene, outcome)
    except Exception as error:
        outcome.error = error
    outcome.names |= scene.names
    outcome.hostile |= scene.names if outcome.hostile else set()
    outcome.paths = scene.paths
    return outcome


def _layer(scene: Scene, outcome: Outcome) -> Any:
    """Run a layer, a loss or a model, with some inputs hostile, or the gradient."""
    rng, target = scene.rng, scene.pick(*targets())
    inputs = (int(rng.integers(len(target[2]))) for _ in range(int(rng.choice([0, 1, 1, 1, 2]))))
    return layer(scene, outcome, target, inputs, lambda: rng.random() < 0.25)


def layer(
    scene: Scene,
    outcome: Outcome,
    target: tuple[str, Any, tuple],
    spoilt: Iterable[int],
    spoils_dy: Callable[[], bool],
) -> Any:
    """Run a layer, a loss or a model forward and backward, and a step of an optimizer."""
    title, module, inputs = target
    outcome.what = title
    for function in (module.forward, module.backward, type(module)):
        outcome.names |= names_of(function)
    outcome.names |= {*ARRAYS, "batch", "dy", "per_sample_weights", "parameter"}
    module = module.astype(np.float32) if scene.rng.random() < 0.5 else copy.deepcopy(module)
    given = [copy.deepcopy(each) for each in inputs]
    for k in spoilt:
        word, given[k] = hostile(given[k], scene)
        outcome.what += f"; input {k}: {word}"
    before = list(_bytes(given))
    y = module.forward(*given)
    kept = copy.deepcopy(y)
    dy = scene.rng.normal(size=np.shape(y)).astype(scene.dtype) if np.ndim(y) else 1.0
    if np.ndim(y) and spoils_dy():
        word, dy = hostile(dy, scene)
        outcome.what += f"; dy: {word}"
    dx = module.backward(dy)
    for k, (old, new) in enumerate(zip(before, _bytes(given), strict=True)):
        if old != new:
            outcome.changed = f"array {k} of the inputs"
    grads = [p.grad for p in module.parameters()]
    outcome.value = [kept, dx, copy.deepcopy(grads)]
    if grads and scene.rng.random() < 0.5 and max(map(_largest, grads)) < HUGE:
        scene.optimizer().step(module.parameters())
    return [kept, dx, grads, module.state_dict()]


def _largest(grad: Any) -> float:
    array = grad.values if isinstance(grad, md.SparseGrad) else grad
    return 0.0 if array is None else float(np.abs(array).max(initial=0))


def _bytes(inputs: Any) -> Iterator[bytes]:
    for each in inputs:
        if isinstance(each, np.ndarray) and not each.dtype.hasobject:
            yield np.asarray(each).tobytes()  # under a mask, too
        elif isinstance(each, (md.Batch, md.Jagged)):
            yield from _bytes(vars(each).values())


def _call(scene: Scene, outcome: Outcome) -> Any:
    """Draw what is called: a public function, a public class, or a method of one."""
    rng, everything = scene.rng, callables()
    name = scene.pick(*everything)
    if (name.rpartition(".")[2] in SLOW or "plots." in name) and rng.random() < 0.9:
        name = scene.pick(*everything)

    def spoilt(names: list[str]) -> Iterator[str]:
        for _ in range(int(rng.choice([0, 1, 1, 1, 2])) if names else 0):
            yield names[int(rng.integers(len(names)))]

    target = scene.pick(*everything[name])
    return call(scene, outcome, target, lambda _: rng.random() < 0.4, spoilt)


def call(
    scene: Scene,
    outcome: Outcome,
    target: tuple[str, Any, str],
    gives: Callable[[str], bool],
    spoilt: Callable[[list[str]], Iterable[str]],
) -> Any:
    """Call something, with those optional arguments that are given, and those spoilt that are."""
    title, function, owner = target
    outcome.what, short = title, owner or title.rpartition(".")[2]
    if owner:
        scene.owner = made(owner, scene)
        short += f" {function}"
        function = getattr(scene.owner, function)
    outcome.names |= names_of(function)
    positional, keywords = [], {}
    for name, parameter in _parameters(function).items():
        optional = parameter.default is not parameter.empty
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional += [scene.floats(scene.rows, scene.dim)]
        elif parameter.kind is not parameter.VAR_KEYWORD and (not optional or gives(name)):
            value = good(short, name, scene)
            if value is None and optional:
                value = parameter.default
            keywords[name] = value
    for name in spoilt(list(keywords)):
        outcome.hostile |= {name}
        word, keywords[name] = hostile(keywords[name], scene)
        if name in ENDLESS and isinstance(keywords[name], int) and keywords[name] > 100:
            word, keywords[name] = "100", 100
        outcome.what += f"; {name}: {word}"
        if name in PATHS:  # one is named by itself
            given = keywords[name] if isinstance(keywords[name], list) else [keywords[name]]
            scene.paths += [path for path in given if isinstance(path, str)]
    if positional:  # what stands before *inputs
        names = [n for n, p in _parameters(function).items() if p.kind is p.POSITIONAL_OR_KEYWORD]
        positional = [keywords.pop(n) for n in names if n in keywords] + positional
    result = function(*positional, **keywords)
    if isinstance(result, types.GeneratorType):
        result = list(itertools.islice(result, 50))
    return result


def _use(scene: Scene, outcome: Outcome) -> Any:
    """Draw one of the ways of `uses`."""
    return use(scene, outcome, scene.pick(*uses.USES))


def use(scene: Scene, outcome: Outcome, way: Callable[[Scene], Any]) -> Any:
    """Use an object in one of the ways of `uses`."""
    outcome.what = way.__name__
    try:
        return way(scene)
    finally:
        what, names = scene.said
        outcome.what += f"; {what}"
        outcome.names |= names


def function_of(target: tuple[str, Any, str]) -> Any:
    """Return what is called: of a method, that of the class."""
    title, function, owner = target
    return getattr(public()[title.rpartition(".")[0]], function) if owner else function


def arguments(target: tuple[str, Any, str]) -> list[str]:
    """Return the names of the arguments of what is called."""
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    found = _parameters(function_of(target)).items()
    return [name for name, each in found if each.kind not in kinds]


def _parameters(function: Any) -> dict[str, inspect.Parameter]:
    try:
        parameters = dict(inspect.signature(function).parameters)
    except (ValueError, TypeError):
        return {}
    parameters.pop("self", None)
    return parameters


def names_of(function: Any) -> set[str]:
    """Return the arguments that an error of the function may name."""
    names = set(_parameters(function))
    if names & MADE_OF_ARRAYS:  # a batch's fault is in one of its arrays
        names |= {*ARRAYS, "row"}
    owner = getattr(function, "__self__", None)
    if owner is not None:
        names |= set(_parameters(type(owner)))
    names |= {SAID[name] for name in names & SAID.keys()}
    return names | {name.removeprefix("num_") for name in names}
