"""trace: run one batch forward and backward, and keep every operation on the way.

The layers are watched from outside: for the time of the trace, each layer's `forward` and
`backward` are wrapped. The arithmetic is the model's own, to the last bit.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidlrm.data.batch import Batch, Jagged
from minidlrm.losses import BCEWithLogits, Loss
from minidlrm.module import Module


@dataclass(frozen=True)
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
    inputs, outputs : tuple of arrays
        Copies of what went in and came out. In the backward pass: the gradient that
        arrived, and the gradients that left.
    flops : int
        FLOPs of the forward call; 0 in the backward pass.
    """

    phase: str
    name: str
    layer: str
    equation: str
    inputs: tuple[np.ndarray, ...]
    outputs: tuple[np.ndarray, ...]
    flops: int


@dataclass(frozen=True)
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
    """

    operations: tuple[Operation, ...]
    loss: float
    grads: dict[str, Any]

    def __str__(self) -> str:
        rows = [("", "operation", "layer", "in", "out", "first values out")]
        for op in self.operations:
            arrow = "->" if op.phase == "forward" else "<-"
            rows.append(
                (arrow, op.name, op.layer, _shapes(op.inputs), _shapes(op.outputs), _peek(op))
            )
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        lines = [
            "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        return "\n".join([*lines, f"loss {self.loss:.6f}"])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        titles = ("", "operation", "equation", "in", "out", "first values out")
        head = "<tr>" + "".join(f"<th>{title}</th>" for title in titles) + "</tr>"
        body = ""
        for op in self.operations:
            cells = (
                op.name,
                f"${op.equation}$",
                _shapes(op.inputs),
                _shapes(op.outputs),
                _peek(op),
            )
            arrow = "&rarr;" if op.phase == "forward" else "&larr;"
            body += f"<tr><td>{arrow}</td>" + "".join(f"<td>{html.escape(c)}</td>" for c in cells)
            body += "</tr>"
        return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>loss {self.loss:.6f}"


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
        Prints as a table.

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
    ['embeddings', 'bottom.layers.0', 'bottom.layers.1', 'dot']
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
    return Trace(tuple(operations), value, grads)


@contextmanager
def _watched(modules: list[tuple[str, Module]], operations: list[Operation]) -> Iterator[None]:
    """Wrap forward and backward of each module, and take the wrappers off again."""

    def wrap(name: str, module: Module, phase: str) -> None:
        call = getattr(module, phase)

        def recorded(*inputs):
            seen = tuple(a for value in inputs for a in _arrays(value))
            result = call(*inputs)
            outputs = tuple(_arrays(result))
            flops = module.flops_per_sample() * _rows(outputs) if phase == "forward" else 0
            kind = type(module).__name__
            operations.append(Operation(phase, name, kind, module.equation, seen, outputs, flops))
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


def _arrays(value: Any) -> Iterator[np.ndarray]:
    """Yield copies of the arrays in what a layer takes or returns."""
    if isinstance(value, Jagged):
        value = (value.values, value.offsets, value.weights)
    if isinstance(value, tuple):
        for item in value:
            yield from _arrays(item)
    elif value is not None:
        yield np.array(value)


def _rows(outputs: tuple[np.ndarray, ...]) -> int:
    return len(outputs[0]) if outputs and outputs[0].ndim else 1


def _shapes(arrays: tuple[np.ndarray, ...]) -> str:
    return ", ".join("×".join(map(str, a.shape)) or "1" for a in arrays) or "-"


def _peek(op: Operation) -> str:
    if not op.outputs:
        return ""
    return " ".join(f"{value:.4f}" for value in op.outputs[0].ravel()[:4])
