"""save and load: models, and optimizers, in safetensors files that PyTorch opens too.

A file is written beside its goal and then renamed, so that a crash leaves the old file or
the new one. Nothing is pickled: a checkpoint cannot run code.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from minidlrm import models
from minidlrm.module import Module
from minidlrm.optim import Optimizer

_FORMAT = "minidlrm 1"
_MODELS: dict[str, Any] = {entry.cls.__name__: entry.cls for entry in models.MODELS.values()}
_STATE = "optimizer."  # prefix of the optimizer's arrays in the file


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a path to write to, and put the file in the place of `path` when all is written.

    Parameters
    ----------
    path : path
        The file. Its folder must be there.

    Yields
    ------
    Path
        A name beside it, to write to. When the block raises, what was written is removed, and
        `path` is as it was.

    Raises
    ------
    OSError
        When the file cannot be written, or the block has written nothing.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from minidlrm.checkpoint import replacing
    >>> goal = pathlib.Path(tempfile.mkdtemp()) / "metrics.json"
    >>> with replacing(goal) as temporary:
    ...     _ = temporary.write_text("{}")
    >>> goal.read_text()
    '{}'
    """
    path = Path(path)
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def save(model: Module, path: str | os.PathLike, optimizer: Optimizer | None = None) -> None:
    """Write a model, and an optimizer's state with it for an exact resume.

    Parameters
    ----------
    model : Module
        A model of `minidlrm.models`.
    path : path
        The file; by custom it ends in ".safetensors".
    optimizer : Optimizer, optional
        Its state is stored too, so that training goes on as if it had not stopped.

    Raises
    ------
    TypeError
        When `model` is no model of this package.
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
    from safetensors.numpy import save_file

    kind = type(model).__name__
    if kind not in _MODELS:
        raise TypeError(f"{kind} cannot be saved: only the models of minidlrm.models can")
    header = {"format": _FORMAT, "model": kind, "config": json.dumps(model.config)}
    tensors = dict(model.state_dict())
    if optimizer is not None:
        header["optimizer"] = type(optimizer).__name__
        header["num_steps"] = str(optimizer.num_steps)
        for name, parameter in model.named_parameters():
            for key, array in optimizer.state.get(parameter, {}).items():
                tensors[f"{_STATE}{name}.{key}"] = array
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata=header)


def load(
    path: str | os.PathLike, model: Module | None = None, optimizer: Optimizer | None = None
) -> Any:
    """Read a model that `save` wrote.

    Parameters
    ----------
    path : path
        The file.
    model : Module, optional
        Loaded into, when given. It must be of the class and sizes that were saved.
    optimizer : Optimizer, optional
        Given the stored state. It must be of the class that was saved; its options, such
        as the learning rate, are its own.

    Returns
    -------
    Module
        `model`, or a new one.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
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
    if not Path(path).is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    header, tensors = _read(path)
    config = json.loads(header["config"])
    if model is None:
        dtype = next(iter(tensors.values())).dtype
        model = _MODELS[header["model"]](**config, dtype=dtype)
    elif type(model).__name__ != header["model"] or model.config != config:
        raise ValueError(
            f"{path} holds another model:\n  file:  {header['model']} {config}\n"
            f"  model: {type(model).__name__} {getattr(model, 'config', '')}"
        )
    states = {k.removeprefix(_STATE): v for k, v in tensors.items() if k.startswith(_STATE)}
    if optimizer is not None and header.get("optimizer") != type(optimizer).__name__:
        stored = header.get("optimizer", "none")
        raise ValueError(f"{path}: its optimizer is {stored}, yours {type(optimizer).__name__}")
    model.load_state_dict({k: v for k, v in tensors.items() if not k.startswith(_STATE)})
    if optimizer is not None:
        optimizer.num_steps = int(header["num_steps"])
        for name, parameter in model.named_parameters():
            keys = [k for k in states if k.rpartition(".")[0] == name]
            optimizer.state[parameter] = {k.rpartition(".")[2]: states[k] for k in keys}
    return model


def _read(path: str | os.PathLike) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            if header.get("format") != _FORMAT or header.get("model") not in _MODELS:
                raise ValueError(f"{path} is no checkpoint of this version of minidlrm")
            return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is no checkpoint, or is damaged: {error}") from None
