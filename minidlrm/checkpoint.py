"""save and load: models, optimizers and schemas, in safetensors files that PyTorch opens too.

A file carries two SHA-256 digests. ``file`` is over all its bytes (with the digest's own 64
blanked), so that any damage is found before anything is loaded; ``content`` is over the arrays
and the config, and is the same wherever and however they were written. Nothing is pickled: a
checkpoint cannot run code. Files of format 1, which had no digests, are read.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from minidlrm import data, models
from minidlrm.arrays import as_path, check_type, check_word
from minidlrm.data.batch import TASKS
from minidlrm.digested import Arrays, check_digest, write
from minidlrm.layers.embedding import makes_whole_tables
from minidlrm.module import Module, Parameter
from minidlrm.optim import Optimizer, OptimizerGroup, State
from minidlrm.parallel.folder import Pieces, index_of, own_arrays, read_folder, write_folder
from minidlrm.parallel.sharding import comm_of

__all__ = ["load", "load_with_schema", "save"]

AnyOptimizer = Optimizer | OptimizerGroup

_FORMAT, _FORMAT_1 = "minidlrm 2", "minidlrm 1"
_MODELS: dict[str, Any] = {entry.cls.__name__: entry.cls for entry in models.MODELS.values()}
_STATE, _SCHEMA = "optimizer.", "schema."  # prefixes of arrays that are not weights
_OTHERS = (_STATE, _SCHEMA, "training.", "best.")


def save(
    model: Module,
    path: str | os.PathLike,
    optimizer: AnyOptimizer | None = None,
    schema: Any = None,
) -> None:
    """Write a model, an optimizer's state for an exact resume, and what its columns mean.

    Parameters
    ----------
    model : Module
        A model of `minidlrm.models`.
    path : path
        The file; by custom it ends in ".safetensors". Of a model whose tables are on several
        ranks, a folder: all ranks call `save`, and each writes its part.
    optimizer : Optimizer or OptimizerGroup, optional
        Its state is stored too, so that training goes on as if it had never stopped.
    schema : Schema, optional
        What turns raw rows into batches for this model; see `load_with_schema`.

    Raises
    ------
    TypeError
        When `model` is not a model from this package.
    ValueError
        When something cannot be stored: a weight was changed in place, or an optimizer keeps
        state that its `state_names` do not name.
    OSError
        When the file cannot be written; an older file is left as it was.

    Examples
    --------
    >>> import tempfile, os, minidlrm as md
    >>> model = md.DLRM(2, [5, 5], 4, (8,), (8,))
    >>> path = os.path.join(tempfile.mkdtemp(), "dlrm.safetensors")
    >>> md.save(model, path)
    >>> md.load(path)
    DLRM(EmbeddingBagCollection(2 tables, 10 rows, D=4), MLP(2-8-4), \
DotInteraction(3, 4, False), MLP(7-8-1))
    """
    store(as_path("path", path), model, *pack(model, optimizer, schema))


def store(path: str | os.PathLike, model: Module, header: dict[str, str], arrays: Arrays) -> None:
    """Write a header and arrays: a file; or a folder, of a model on ranks."""
    if comm_of(model):
        write_folder(path, model, header, arrays)
    else:
        write(path, header, arrays)


def _not_saved(part: Any) -> Any:
    raise TypeError(
        f"interaction is {part}: it cannot be saved, since it is not a layer of minidlrm with a "
        "config (its class must be in minidlrm.layers.__all__)"
    )


def load(
    path: str | os.PathLike, model: Module | None = None, optimizer: AnyOptimizer | None = None
) -> Any:
    """Read a model that `save` wrote.

    Parameters
    ----------
    path : path
        The file; or the folder of a model that was on ranks. In `minidlrm.parallel.sharded`, a
        rank reads its part of either.
    model : Module, optional
        Loaded into, when given. It must be of the class, sizes and dtype that were saved.
    optimizer : Optimizer or OptimizerGroup, optional
        Given the stored state, and forgets its own. It must be of the class that was saved; its
        options, such as the learning rate, are its own.

    Returns
    -------
    Module
        `model`, or a new one.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    OSError
        When the file cannot be read.
    ValueError
        When the file is damaged, or holds something else. Nothing has been changed then.

    Examples
    --------
    >>> import tempfile, os, minidlrm as md
    >>> path = os.path.join(tempfile.mkdtemp(), "dlrm.safetensors")
    >>> md.save(md.DLRM(2, [5, 5], 4, (8,), (8,), seed=1), path)
    >>> model = md.load(path, model=md.DLRM(2, [5, 5], 4, (8,), (8,), seed=2))
    >>> bool((model.embeddings.table(0) == md.load(path).embeddings.table(0)).all())
    True
    """
    path = as_path("path", path)
    if model is not None:
        check_type("model", model, Module)
    whole = makes_whole_tables() if model is None else comm_of(model) is None
    return unpack(path, *read(path, whole), model, optimizer)


def load_with_schema(path: str | os.PathLike) -> tuple[Any, Any]:
    """Read a model and the schema that was saved with it.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    (Module, Schema)
        ``md.predict(model, schema.encode(rows))`` predicts new raw rows.

    Raises
    ------
    OSError
        When the file cannot be read.
    ValueError
        When the file is damaged, or was saved without a schema.

    Examples
    --------
    >>> import tempfile, os, minidlrm as md
    >>> from minidlrm.checkpoint import load_with_schema
    >>> path = os.path.join(tempfile.mkdtemp(), "dlrm.safetensors")
    >>> md.save(md.DLRM(2, [5, 5], 4, (8,), (8,)), path)
    >>> load_with_schema(path)                     # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: ...dlrm.safetensors holds no schema: it was saved without schema=
    """
    path = as_path("path", path)
    header, arrays = read(path)
    if "schema" not in header:
        raise ValueError(f"{path} holds no schema: it was saved without schema=")
    own = {k.removeprefix(_SCHEMA): v for k, v in arrays.items() if k.startswith(_SCHEMA)}
    try:
        schema = data.Schema.from_state(json.loads(header["schema"]), own)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path}: its schema cannot be read: {error}") from error
    return unpack(path, header, arrays, None, None), schema


# What is stored of a model and an optimizer


def pack(
    model: Module, optimizer: AnyOptimizer | None = None, schema: Any = None
) -> tuple[dict[str, str], Arrays]:
    """Return the header and the arrays, not copied, of a model, its optimizer and its schema.

    TypeError and ValueError as `save`.
    """
    kind = type(model).__name__
    if _MODELS.get(kind) is not type(model):
        raise TypeError(f"model {kind} cannot be saved: only the models of minidlrm.models can")
    check_word("task", model.task, *data.batch.TASKS)
    for parameter in model.parameters():
        parameter.check()
    header = {
        "format": _FORMAT,
        "model": kind,
        "config": json.dumps(model.config, default=_not_saved),
        "task": model.task,
    }
    arrays = dict(model.state_dict())
    if optimizer is not None:
        group = isinstance(optimizer, OptimizerGroup)
        entries = [_entry(model, part, arrays) for part, _ in parts(optimizer)]
        header["optimizer"] = json.dumps({"group": group, "parts": entries})
    if schema is not None:
        check_type("schema", schema, data.Schema)
        plain, more = schema.state()
        header["schema"] = json.dumps(plain)
        arrays.update({_SCHEMA + name: array for name, array in more.items()})
    return header, arrays


def parts(optimizer: AnyOptimizer) -> list[tuple[Optimizer, list[Parameter] | None]]:
    """Return the optimizers of a group with their parameters; or the one, without."""
    if isinstance(optimizer, OptimizerGroup):
        return [(part, own) for part, own in optimizer.groups]
    if isinstance(optimizer, Optimizer):
        return [(optimizer, None)]
    raise TypeError(f"optimizer {optimizer!r} cannot be saved: it is not a minidlrm Optimizer")


def state_arrays(model: Module, optimizer: AnyOptimizer) -> Arrays:
    """Return all arrays of an optimizer's state, not copied, by parameter and name."""
    return {
        f"{_STATE}{name}.{key}": array
        for part, _ in parts(optimizer)
        for name, parameter in model.named_parameters()
        for key, array in part.state.get(parameter, {}).items()
    }


def _entry(model: Module, part: Optimizer, arrays: Arrays) -> dict[str, Any]:
    """Add the state of one optimizer to `arrays`; return what the header says of it."""
    names = []
    for name, parameter in model.named_parameters():
        state = part.state.get(parameter)
        if state is None:
            continue
        fault = _state_fault(part, parameter, state)
        if fault:
            raise ValueError(f"{type(part).__name__} cannot be saved: {name}: {fault}")
        names.append(name)
        arrays.update({f"{_STATE}{name}.{key}": array for key, array in state.items()})
    return {"class": type(part).__name__, "num_steps": part.num_steps, "parameters": names}


def _state_fault(part: Optimizer, parameter: Parameter, state: State) -> str:
    """Say what is wrong with a state, against those that the optimizer itself would make."""
    possible = part.state_shapes(parameter.value.shape)
    if {k: v.shape for k, v in state.items()} not in possible and state:
        made = {k: v.shape for k, v in state.items()}
        return f"its state is {made}, and {type(part).__name__} makes {possible[-1]}"
    for key, array in state.items():
        if array.dtype != parameter.value.dtype:
            return f"{key} is of {array.dtype}, the parameter of {parameter.value.dtype}"
    return ""


def unpack(
    path: str | os.PathLike,
    header: dict[str, str],
    arrays: Arrays,
    model: Module | None,
    optimizer: AnyOptimizer | None,
) -> Any:
    """Check everything that a file holds against the model and the optimizer, then load it."""
    weights = {k: v for k, v in arrays.items() if not k.startswith(_OTHERS)}
    model = _model_for(path, header, weights) if model is None else model
    arrays = own_arrays(model, arrays)
    weights = {k: arrays[k] for k in weights}
    config = json.loads(header["config"])
    if type(model).__name__ != header["model"] or model.config != config:
        raise ValueError(
            f"{path} holds another model:\n  file:  {header['model']} {config}\n"
            f"  model: {type(model).__name__} {getattr(model, 'config', '')}"
        )
    _check_weights(path, model, weights)
    states = None if optimizer is None else _states_for(path, header, arrays, model, optimizer)
    model.load_state_dict(weights)
    if header.get("task", model.task) != model.task:
        model.task = header["task"]
    if optimizer is not None and states is not None:
        for (part, _), (num_steps, state) in zip(parts(optimizer), states, strict=True):
            part.num_steps, part.state = num_steps, state
    return model


def _model_for(path: str | os.PathLike, header: dict[str, str], weights: Arrays) -> Any:
    dtypes = {array.dtype for array in weights.values()}
    try:
        (dtype,) = dtypes
        return _MODELS[header["model"]](**json.loads(header["config"]), dtype=dtype)
    except (TypeError, ValueError, MemoryError, OverflowError) as error:
        raise ValueError(f"{path}: no {header['model']} can be made of it: {error}") from error


def _check_weights(path: str | os.PathLike, model: Module, weights: Arrays) -> None:
    own = model.state_dict()
    faults = [f"missing: {name}" for name in own if name not in weights]
    faults += [f"unexpected: {name}" for name in weights if name not in own]
    for name, array in weights.items():
        here = own.get(name, array)
        if (array.shape, array.dtype) != (here.shape, here.dtype):
            faults.append(
                f"{name}: {array.dtype} {array.shape} in the file, {here.dtype} {here.shape} in "
                "the model"
            )
    if faults:
        raise ValueError(f"{path} does not fit this model:\n  " + "\n  ".join(faults))


def _states_for(
    path: str | os.PathLike,
    header: dict[str, str],
    arrays: Arrays,
    model: Module,
    optimizer: AnyOptimizer,
) -> list[tuple[int, dict[Parameter, State]]]:
    """Return (num_steps, state) for each part of the optimizer; ValueError when one cannot fit."""
    stored = _stored_optimizer(path, header, arrays, model)
    mine = [type(part).__name__ for part, _ in parts(optimizer)]
    theirs = [entry["class"] for entry in stored["parts"]]
    if mine != theirs or stored["group"] != isinstance(optimizer, OptimizerGroup):
        raise ValueError(
            f"{path}: its optimizer is {', '.join(theirs) or 'none'}, yours {', '.join(mine)}"
        )
    names, left = dict(model.named_parameters()), {k for k in arrays if k.startswith(_STATE)}
    states = []
    for (part, own), entry in zip(parts(optimizer), stored["parts"], strict=True):
        state: dict[Parameter, State] = {}
        for name in entry["parameters"]:
            if name not in names or (own is not None and names[name] not in own):
                raise ValueError(f"{path}: the state of {name} belongs to no parameter of yours")
            keys = {k for k in left if k.rpartition(".")[0] == _STATE + name}
            left -= keys
            found = {k.rpartition(".")[2]: arrays[k] for k in sorted(keys)}
            if header["format"] == _FORMAT_1:
                found = _as_format_2(found, names[name])
            fault = _state_fault(part, names[name], found)
            if fault:
                raise ValueError(f"{path}: {name}: {fault}")
            state[names[name]] = found
        states.append((entry["num_steps"], state))
    if left:
        raise ValueError(f"{path}: unexpected state: {', '.join(sorted(left))}")
    return states


def _stored_optimizer(
    path: str | os.PathLike, header: dict[str, str], arrays: Arrays, model: Module
) -> dict[str, Any]:
    """Return what the header says of the optimizer, in the form of format 2, checked."""
    try:
        if "optimizer" not in header:
            return {"group": False, "parts": []}
        if header["format"] == _FORMAT_1:
            names = [name for name, _ in model.named_parameters()]
            entry = {"class": header["optimizer"], "num_steps": int(header["num_steps"])}
            return {"group": False, "parts": [{**entry, "parameters": names}]}
        stored = json.loads(header["optimizer"])
        for entry in stored["parts"]:
            right = all(isinstance(name, str) for name in [entry["class"], *entry["parameters"]])
            if not right or type(entry["num_steps"]) is not int or entry["num_steps"] < 0:
                raise ValueError(f"optimizer {entry}")
        return {"group": bool(stored["group"]), "parts": stored["parts"]}
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: its header is damaged: {error}") from None


def _as_format_2(state: State, parameter: Parameter) -> State:
    """Format 1 kept the state of a dense parameter as one row."""
    shape = parameter.value.shape
    flat = (1, parameter.value.size)
    return {k: v.reshape(shape) if v.shape == flat else v for k, v in state.items()}


# The file


def read(path: str | os.PathLike, whole: bool = True) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the header and the arrays of a checkpoint; OSError and ValueError as `load`.

    Without `whole`, arrays of a file are `Pieces`, of which `own_arrays` reads what a rank holds.
    """
    from safetensors import SafetensorError, safe_open

    index = index_of(path)
    if index is not None:
        header, pieces = read_folder(index)
        _check_header(path, header, has_digest=True)
        return header, pieces
    if not Path(path).is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    with open(path, "rb") as file:
        has_digest = bool(check_digest(path, file))
    try:
        with safe_open(path, framework="numpy") as opened:
            header = opened.metadata() or {}
            _check_header(path, header, has_digest)
            names = list(opened.keys())
            if whole:
                return header, {name: opened.get_tensor(name) for name in names}
            return header, {name: Pieces.of_file(Path(path), name, opened) for name in names}
    except (SafetensorError, OSError, LookupError, TypeError) as error:
        raise ValueError(f"{path} is not a checkpoint, or is damaged: {error}") from None


def _check_header(path: str | os.PathLike, header: dict[str, str], has_digest: bool) -> None:
    needed = {"format", "model", "config"}
    old = header.get("format") == _FORMAT_1 and header.keys() <= needed | {"optimizer", "num_steps"}
    new = header.get("format") == _FORMAT and has_digest
    if not (old or new) or not needed <= header.keys() or header["model"] not in _MODELS:
        raise ValueError(f"{path} is not a checkpoint of this version of minidlrm")
    try:
        right = isinstance(json.loads(header["config"]), dict)
    except ValueError:
        right = False
    if not right or header.get("task", TASKS[0]) not in TASKS:
        raise ValueError(f"{path}: its header is damaged")
