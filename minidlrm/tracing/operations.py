"""One step of training, operation by operation: what each layer took, made, and cost."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidlrm.arrays import check_type
from minidlrm.data.batch import Batch, Jagged, as_batch
from minidlrm.losses import BCEWithLogits, Loss
from minidlrm.module import Module, SparseGrad
from minidlrm.watching import Call, watched

Arrays = dict[str, np.ndarray]
_MAX_COPIED = 100_000  # numbers of a parameter that a trace keeps a copy of


@dataclass(frozen=True, eq=False)
class Operation:
    """One call of a layer.

    Parameters
    ----------
    phase : "forward" or "backward"
        The pass that it belongs to.
    name : str
        The dotted name of the layer in the model; "loss" for the loss.
    layer : str
        The layer's class.
    equation : str
        What its forward computes, in LaTeX.
    inputs, outputs : dict of str to array
        Copies of what went in and came out, by name. In the backward pass: "dy", the gradient
        that arrived, and the gradients that left, of the inputs ("dx") and of the parameters
        ("dweight"). A sparse gradient gives its rows and their values.
    flops, bytes : int
        Cost of the forward call for the whole batch; 0 in the backward pass.
    parameters : dict of str to array
        Copies of the layer's parameters; large tables are left out.
    partner : Operation or None
        The forward call that a backward call answers.
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
    inputs: Arrays
    outputs: Arrays
    flops: int = 0
    bytes: int = 0
    parameters: Arrays = field(default_factory=dict)
    partner: Operation | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def answered(self) -> Operation:
        """The forward call that this backward call answers."""
        assert self.partner is not None, "a forward call answers nothing"
        return self.partner


@dataclass(frozen=True, eq=False)
class Step:
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
        What was run.
    """

    operations: tuple[Operation, ...]
    loss: float
    grads: dict[str, np.ndarray | SparseGrad | None]
    model: Module = field(repr=False)
    batch: Batch = field(repr=False)
    criterion: Loss = field(repr=False)


def run_step(model: Module, batch: Batch, criterion: Loss | None = None) -> Step:
    """Run one step on one batch under watch; parameters and gradients are as before afterwards."""
    check_type("model", model, Module)
    as_batch("batch", batch)
    if criterion is not None:
        check_type("loss", criterion, Loss)
    if batch.label is None:
        raise ValueError("the batch has no labels: the trace needs a loss")
    criterion = criterion or BCEWithLogits()
    operations: list[Operation] = []
    leaves = [(n, m) for n, m in model.named_modules() if not any(m.named_children())]
    before = [parameter.grad for parameter in model.parameters()]
    model.zero_grad()

    def record(call: Call) -> None:
        operations.append(_operation(call, operations))

    try:
        with watched([*leaves, ("loss", criterion)], record, ("forward", "backward")):
            loss = criterion.forward(model.forward(batch), batch.label)
            model.backward(criterion.backward())
        grads = {name: parameter.grad for name, parameter in model.named_parameters()}
    finally:
        for parameter, grad in zip(model.parameters(), before, strict=True):
            parameter.grad = grad
    return Step(tuple(operations), loss, grads, model, batch, criterion)


def _operation(call: Call, operations: list[Operation]) -> Operation:
    make = _forward if call.phase == "forward" else _backward
    return make(call, _named(call), operations)


def _forward(call: Call, inputs: Arrays, _: list[Operation]) -> Operation:
    module, outputs = call.module, _flat("y", call.output)
    rows = len(outputs["y"]) if "y" in outputs and outputs["y"].ndim else 1
    return Operation(
        "forward",
        call.name,
        type(module).__name__,
        module.equation,
        inputs,
        outputs,
        flops=module.flops_per_sample() * rows,
        bytes=module.bytes_per_sample() * rows,
        parameters={
            p.name: p.value.copy() for p in module.parameters() if p.value.size <= _MAX_COPIED
        },
        options={k: v for k, v in vars(module).items() if isinstance(v, (bool, str, int))},
    )


def _backward(call: Call, inputs: Arrays, operations: list[Operation]) -> Operation:
    earlier = (op for op in reversed(operations) if op.name == call.name)
    partner = next(op for op in earlier if op.phase == "forward")
    floats = [key for key, a in partner.inputs.items() if a.dtype.kind == "f"]
    parts = call.output if isinstance(call.output, tuple) else (call.output,)
    outputs: Arrays = {}
    for key, part in zip(floats, parts, strict=False):
        outputs |= _flat(f"d{key}", part)
    for parameter in call.module.parameters():
        outputs |= _flat(f"d{parameter.name}", parameter.grad)
    return Operation(
        "backward",
        call.name,
        partner.layer,
        partner.equation,
        inputs,
        outputs,
        parameters=partner.parameters,
        partner=partner,
        options=partner.options,
    )


def _named(call: Call) -> Arrays:
    """Return the arrays that went in, under the names of the arguments."""
    method = getattr(type(call.module), call.phase)
    names = list(inspect.signature(method).parameters)[1:]
    seen: Arrays = {}
    for name, value in zip(names, call.inputs, strict=False):
        seen |= _flat(name, value)
    return seen


def _flat(name: str, value: Any) -> Arrays:
    """Return copies of the arrays in what a layer takes or returns."""
    if isinstance(value, Jagged):
        parts = {"values": value.values, "offsets": value.offsets, "weights": value.weights}
        return {f"{name}.{key}": np.array(a) for key, a in parts.items() if a is not None}
    if isinstance(value, SparseGrad):
        return {f"{name}.rows": value.rows.copy(), f"{name}.values": value.values.copy()}
    if isinstance(value, tuple):
        return {f"{name}{k}": np.array(item) for k, item in enumerate(value)}
    return {} if value is None else {name: np.array(value)}
