"""How the campaign of inputs uses objects: attributes assigned, arrays changed in place, copies.

A constructor may check all that it is given; what comes later must be checked too.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

import minidlrm as md

from .values import Scene, hostile, optimizers

# Each sets `scene.said` before it does what may fail: what is done, and the names for an error.


def assigned_value(scene: Scene) -> Any:
    """Assign a value to a parameter of a layer, and run a step."""
    layer = md.Linear(
        scene.dim, 2, activation="relu", rng=np.random.default_rng(0), dtype=scene.dtype
    )
    parameter = scene.turn(*layer.parameters())
    word, value = hostile(parameter.value, scene)
    scene.said = f"{parameter.name}.value = {word}", {parameter.name, "value"}
    parameter.value = value
    y = layer.forward(scene.floats(scene.rows, scene.dim))
    layer.backward(np.ones_like(y))
    scene.optimizer().step(layer.parameters())
    return [y, layer.state_dict()]


def assigned_grad(scene: Scene) -> Any:
    """Assign a gradient to a parameter, and run a step, its norm and its scaling."""
    parameter = scene.parameter()
    grad = scene.turn(parameter.grad, scene.floats(7, scene.dim), scene.sparse_grad())
    scene.said = "weight.grad", {"SparseGrad"}
    word, parameter.grad = hostile(grad, scene)
    scene.said = f"weight.grad = {word}", {"grad", "gradient", "weight", "parameters", "rows"}
    if scene.rng.random() < 0.4:
        norm = md.training.grad_norm([parameter])
        md.training.scale_grads([parameter], 0.5)
        return [norm, parameter.grad]
    scene.optimizer().step([parameter])
    return parameter.value


def assigned_option(scene: Scene) -> Any:
    """Assign an attribute of an optimizer, and run steps."""
    optimizer = scene.pick(*optimizers())(lr=0.1)
    name = scene.turn(*optimizer.options())
    word, value = hostile(vars(optimizer)[name], scene)
    scene.said = f"{type(optimizer).__name__}.{name} = {word}", {name}
    setattr(optimizer, name, value)
    parameter = scene.parameter()
    optimizer.step([parameter])
    return parameter.value


def assigned_state(scene: Scene) -> Any:
    """Replace an array of an optimizer's state, and run a step."""
    optimizer, parameter = scene.pick(*optimizers())(lr=0.1), scene.parameter()
    parameter.grad = scene.pick(scene.floats(7, scene.dim), scene.sparse_grad())
    optimizer.step([parameter])
    state = optimizer.state[parameter]
    scene.said = f"{type(optimizer).__name__}.state", {"state", *state}
    if state:
        name = scene.turn(*state)
        word, state[name] = hostile(state[name], scene)
        scene.said = f"{type(optimizer).__name__}.state[{name}] = {word}", {"state", name}
    optimizer.step([parameter])
    return parameter.value


def changed_in_place(scene: Scene) -> Any:
    """Write into the arrays of a batch after it was made, and use it."""
    batch, model = scene.batch(), scene.model()
    parts = {"dense": batch.dense, "label": batch.label, "sparse": batch.sparse}
    if isinstance(batch.sparse, md.Jagged):
        parts |= {"sparse": batch.sparse.values, "offsets": batch.sparse.offsets}
    name = scene.turn(*parts)
    scene.said = f"batch.{name} changed in place", {name, "values", "id", "per_sample_weights"}
    array = parts[name]
    if array.size:
        value = scene.turn(-1, 2, 50, 2**40, -(2**62), 0)
        if array.dtype.kind == "f":
            value = scene.turn(np.nan, np.inf, -1, 2)
        array.flat[int(scene.rng.integers(array.size))] = value
    history = md.fit(model, batch, batch_size=3, progress=False)
    return [[{**r, "seconds": 0} for r in history.records], model.state_dict()]


def cut(scene: Scene) -> Any:
    """Cut a batch or bags by hostile rows, and cut the piece again."""
    batch = scene.batch()
    rows = scene.turn(
        *(
            slice(None, None, -1),
            slice(5, 1),
            slice(-3, 99),
            slice(0, None, 2),
            slice(1.5),
            slice("a"),
        ),
        *(slice(None, None, 0), [0], [-1], [99], [True], [], (0,), 0, -1, None, "a", 1.5, ..., {}),
        *(
            np.array([[0]]),
            np.array(0),
            np.array([0.0]),
            np.array([2**62]),
            np.array([True, False]),
        ),
        *(np.array([0], np.uint64), np.array([0], ">i8"), np.array(["a"]), np.array([None])),
    )
    scene.said = f"batch[{rows!r}]", {"rows", "batch"}
    piece = batch[rows]
    again = piece[: len(piece) // 2 + 1]
    return [vars(piece), vars(again), again.num_tables]


def copied(scene: Scene) -> Any:
    """Copy an object in one of four ways; the copy does what the object does."""
    make = scene.turn(
        Scene.batch,
        Scene.jagged,
        Scene.dataset,
        Scene.layer,
        Scene.parameter,
        Scene.sparse_grad,
        Scene.schema,
        Scene.clicks,
        Scene.catalogue,
    )
    thing = make(scene)
    how: dict[str, Callable[[Any], Any]] = {
        "copy": copy.copy,
        "deepcopy": copy.deepcopy,
        "pickle": lambda x: pickle.loads(pickle.dumps(x)),
        "pickle, protocol 2": lambda x: pickle.loads(pickle.dumps(x, 2)),
    }
    word = scene.turn(*how)
    scene.said = f"{word} of {type(thing).__name__}", set()
    other = how[word](thing)
    if repr(other) != repr(thing):
        raise AssertionError(f"{word} changes {thing!r} to {other!r}")
    return other


def in_threads(scene: Scene) -> Any:
    """Use one object in four threads at once: each gets what it would get alone."""
    batch, model, schema = scene.batch(), scene.model(), scene.schema()
    path = scene.file()
    work: dict[str, Callable[[], Any]] = {
        "cuts": lambda: vars(batch[::-1])["dense"],
        "predict": lambda: md.predict(copy.deepcopy(model), batch),
        "encode": lambda: schema.encode({"price": [1.0], "city": ["Rom"], "tags": ["a|b"]}).dense,
        "save": lambda: md.save(model, path),
    }
    word = scene.turn(*work)
    scene.said = f"{word} in four threads", set()
    alone = work[word]()
    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(work[word]) for _ in range(8)]:
            same = each.result() is None or np.array_equal(alone, each.result(), equal_nan=True)
            if not same:
                raise AssertionError(f"{word}: a thread gets {each.result()}, and not {alone}")
    return alone if alone is not None else md.load(path)


def drifted_model(scene: Scene) -> Any:
    """Give a model a task, a mean or other attributes that are not right, and use it."""
    model = scene.pick(scene.model(), scene.factors())
    rows = scene.ratings() if isinstance(model, md.MatrixFactorization) else scene.batch()
    word, value = hostile(model.task, scene)
    scene.said = f"task = {word}", {"task"}
    model.task = value
    action: Callable[[], Any] = scene.turn(
        lambda: md.predict(model, rows),
        lambda: md.evaluate(model, rows),
        lambda: md.fit(model, rows, progress=False).records[-1]["train_loss"],
        lambda: md.save(model, scene.file()),
    )
    return action()


USES: list[Callable[[Scene], Any]] = [
    *(assigned_value, assigned_grad, assigned_option, assigned_state, changed_in_place),
    *(cut, copied, in_threads, drifted_model),
]
