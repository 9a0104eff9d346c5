"""trace: run one batch forward and backward, and keep every operation on the way.

The layers are watched from outside: for the time of the trace, each layer's `forward` and
`backward` are wrapped. The arithmetic is the model's own, to the last bit.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidlrm.data.batch import Batch, Jagged
from minidlrm.losses import BCEWithLogits, Loss
from minidlrm.module import Module, SparseGrad

_MAX_COPIED = 100_000  # numbers of a parameter that a trace keeps a copy of


@dataclass(frozen=True, eq=False)
class Operation:
    """One call of a layer.

    Parameters
    ----------
    phase : "forward" or "backward"
        In which pass.
    name : str
        The dotted name of the layer in the model; "loss" for the loss.
    layer : str
        Its class.
    equation : str
        What its forward computes, in LaTeX.
    inputs, outputs : dict of str to array
        Copies of what went in and came out, by name. In the backward pass: "dy", the gradient
        that arrived, and the gradients that left, of the inputs ("dx") and of the parameters
        ("dweight"). A sparse gradient gives its rows and their values.
    flops, bytes : int
        Of the forward call for the whole batch; 0 in the backward pass.
    parameters : dict of str to array
        Copies of the layer's parameters; large tables are left out.
    partner : Operation or None
        Of a backward call, the forward call that it answers.
    options : dict
        Settings of the layer that its equation depends on.

    Examples
    --------
    >>> import minidlrm as md
    >>> clicks = md.data.synthetic_clicks(rows=1000, seed=0)
    >>> steps = md.trace(md.DLRM(13, clicks.table_sizes, 8, (16,), (16,)), clicks.train[:4])
    >>> op = steps.operations[1]
    >>> op.layer, op.phase, op.name, op.outputs["y"].shape
    ('Linear', 'forward', 'bottom.layers.0', (4, 16))
    """

    phase: str
    name: str
    layer: str
    equation: str
    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    flops: int
    bytes: int = 0
    parameters: dict[str, np.ndarray] = field(default_factory=dict)
    partner: Operation | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Trace:
    """All operations of one step, in order, and the gradients of all parameters.

    Parameters
    ----------
    operations : tuple of Operation
        Forward, then backward.
    loss : float
        The loss of the batch.
    grads : dict of str to ndarray or SparseGrad
        The gradient of each parameter.
    model, batch, criterion
        What was traced; `perturb` runs them again.

    Examples
    --------
    >>> import minidlrm as md
    >>> clicks = md.data.synthetic_clicks(rows=1000, seed=0)
    >>> steps = md.trace(md.DLRM(13, clicks.table_sizes, 8, (16,), (16,)), clicks.train[:4])
    >>> steps.operations[-1].phase, "top.layers.0.weight" in steps.grads
    ('backward', True)
    """

    operations: tuple[Operation, ...]
    loss: float
    grads: dict[str, Any]
    model: Module = field(repr=False)
    batch: Batch = field(repr=False)
    criterion: Loss = field(repr=False)

    def __str__(self) -> str:
        rows = [("", "operation", "layer", "in", "out", "FLOPs", "bytes", "first values out")]
        for op in self.operations:
            arrow = "->" if op.phase == "forward" else "<-"
            costs = (f"{op.flops:,}", f"{op.bytes:,}") if op.phase == "forward" else ("", "")
            shapes = (_shapes(op.inputs), _shapes(op.outputs))
            rows.append((arrow, op.name, op.layer, *shapes, *costs, _peek(op)))
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        lines = [
            "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        return "\n".join([*lines, f"loss {self.loss:.6f}"])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.to_html()

    def to_html(self, path: Any = None, sample: int = 0) -> str:
        """Return the steps as a page of their own, to be stepped through without a kernel.

        Parameters
        ----------
        path : path, optional
            Where to write it as well.
        sample : int
            Whose numbers are put into the equations.

        Returns
        -------
        str
            HTML. It loads nothing from anywhere.
        """
        from minidlrm.tracing.page import page, write

        text = page(self, sample)
        if path is not None:
            write(path, text)
        return text

    def stepper(self, sample: int = 0) -> Any:
        """Return the steps as a widget, for Jupyter: previous, next, and a slider.

        Parameters
        ----------
        sample : int
            Whose numbers are put into the equations.

        Raises
        ------
        ImportError
            Without ipywidgets.
        """
        from minidlrm.tracing.page import widget

        return widget(self, sample)

    def perturb(self, param: str, index: Any, eps: float) -> Any:
        """Change one number of a parameter, and follow the change to the loss.

        Parameters
        ----------
        param : str
            Dotted name of the parameter.
        index : int or tuple of int
            Which of its numbers.
        eps : float
            How much is added to it.

        Returns
        -------
        WhatIf
            Prints as a table: how far each operation's output moved, and the slope of the
            loss beside the gradient. The model is as before.

        Raises
        ------
        KeyError, IndexError, ValueError
            When there is no such parameter or entry, or eps is 0.

        Examples
        --------
        >>> import minidlrm as md
        >>> clicks = md.data.synthetic_clicks(rows=1000, seed=0)
        >>> steps = md.trace(md.DLRM(13, clicks.table_sizes, 8, (16,), (16,)), clicks.train[:4])
        >>> steps.perturb("top.layers.0.bias", 3, 0.1).gradient.shape
        ()
        """
        from minidlrm.tracing.what_if import what_if

        return what_if(self, param, index, eps)


def trace(model: Module, batch: Batch, loss: Loss | None = None) -> Trace:
    """Run a model forward and backward on one batch, and record each operation.

    Parameters
    ----------
    model : Module
        The model. Its parameters and their gradients are as before afterwards.
    batch : Batch
        A few labelled rows.
    loss : Module, optional
        The default is `BCEWithLogits`.

    Returns
    -------
    Trace
        Prints as a table; in Jupyter it can be stepped through.

    Raises
    ------
    ValueError
        When the batch has no labels.

    Examples
    --------
    >>> import minidlrm as md
    >>> clicks = md.data.synthetic_clicks(rows=1000, seed=0)
    >>> model = md.DLRM(13, clicks.table_sizes, 8, (16,), (16,))
    >>> steps = md.trace(model, clicks.train[:4])
    >>> [op.name for op in steps.operations if op.phase == "forward"][:4]
    ['embeddings', 'bottom.layers.0', 'bottom.layers.1', 'interaction']
    >>> list(steps.operations[1].inputs), list(steps.operations[-2].outputs)
    (['x'], ['dx', 'dweight', 'dbias'])
    """
    if batch.label is None:
        raise ValueError("the batch has no labels: the trace needs a loss")
    loss = loss or BCEWithLogits()
    operations: list[Operation] = []
    leaves = [(n, m) for n, m in model.named_modules() if not any(m.named_children())]
    before = [parameter.grad for parameter in model.parameters()]
    model.zero_grad()
    try:
        with _watched([*leaves, ("loss", loss)], operations):
            value = loss.forward(model.forward(batch), batch.label)
            model.backward(loss.backward())
        grads = {name: parameter.grad for name, parameter in model.named_parameters()}
    finally:
        for parameter, grad in zip(model.parameters(), before, strict=True):
            parameter.grad = grad
    return Trace(tuple(operations), value, grads, model, batch, loss)


@contextmanager
def _watched(modules: list[tuple[str, Module]], operations: list[Operation]) -> Iterator[None]:
    """Wrap forward and backward of each module, and take the wrappers off again."""

    def wrap(name: str, module: Module, phase: str) -> None:
        call = getattr(module, phase)

        def recorded(*inputs):
            seen = _named(module, phase, inputs)
            result = call(*inputs)
            make = _forward_operation if phase == "forward" else _backward_operation
            operations.append(make(name, module, seen, result, operations))
            return result

        setattr(module, phase, recorded)

    try:
        for name, module in modules:
            wrap(name, module, "forward")
            wrap(name, module, "backward")
        yield
    finally:
        for _, module in modules:
            vars(module).pop("forward", None)
            vars(module).pop("backward", None)


def _forward_operation(name, module, seen, result, operations) -> Operation:
    outputs = _flat("y", result)
    rows = len(outputs["y"]) if "y" in outputs and outputs["y"].ndim else 1
    costs = module.flops_per_sample() * rows, module.bytes_per_sample() * rows
    small = {p.name: p.value.copy() for p in module.parameters() if p.value.size <= _MAX_COPIED}
    options = {k: v for k, v in vars(module).items() if isinstance(v, (bool, str, int))}
    kind = type(module).__name__
    return Operation(
        "forward", name, kind, module.equation, seen, outputs, *costs, small, None, options
    )


def _backward_operation(name, module, seen, result, operations) -> Operation:
    partner = next(op for op in reversed(operations) if op.name == name and op.phase == "forward")
    floats = [key for key, a in partner.inputs.items() if a.dtype.kind == "f"]
    parts = result if isinstance(result, tuple) else (result,)
    left: dict[str, np.ndarray] = {}
    for key, part in zip(floats, parts, strict=False):
        left |= _flat(f"d{key}", part)
    for parameter in module.parameters():
        left |= _flat(f"d{parameter.name}", parameter.grad)
    kind = type(module).__name__
    return Operation(
        "backward", name, kind, module.equation, seen, left, 0, 0, partner.parameters, partner,
        partner.options,
    )  # fmt: skip


def _named(module: Module, phase: str, inputs: tuple) -> dict[str, np.ndarray]:
    """Return copies of the arrays that go in, under the names of the arguments."""
    names = list(inspect.signature(getattr(type(module), phase)).parameters)[1:]
    seen: dict[str, np.ndarray] = {}
    for name, value in zip(names, inputs, strict=False):
        seen |= _flat(name, value)
    return seen


def _flat(name: str, value: Any) -> dict[str, np.ndarray]:
    """Return copies of the arrays in what a layer takes or returns."""
    if isinstance(value, Jagged):
        parts = {"values": value.values, "offsets": value.offsets, "weights": value.weights}
        return {f"{name}.{key}": np.array(a) for key, a in parts.items() if a is not None}
    if isinstance(value, SparseGrad):
        return {f"{name}.rows": value.rows.copy(), f"{name}.values": value.values.copy()}
    if isinstance(value, tuple):
        return {f"{name}{k}": np.array(item) for k, item in enumerate(value)}
    return {} if value is None else {name: np.array(value)}


def _shapes(arrays: dict[str, np.ndarray]) -> str:
    return ", ".join(f"{k} {'×'.join(map(str, a.shape)) or '1'}" for k, a in arrays.items()) or "-"


def _peek(op: Operation) -> str:
    floats = [a for a in op.outputs.values() if a.dtype.kind == "f"]
    return " ".join(f"{value:.4f}" for value in floats[0].ravel()[:4]) if floats else ""
