"""Random right function pairs: compositions of simple steps, each with its derivative by hand.

A program is a list of steps on numbered values. forward runs them and keeps all values; backward
walks them from the last to the first, and adds up what arrives at each value. Where a value may
go next depends on its range: a logarithm wants positive numbers, an arcsine those within 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Rng = np.random.Generator


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# name: (range that it wants, range that it gives, function, slope from x and y)
ELEMENTWISE = {
    "sin": ("any", "any", np.sin, lambda x, y: np.cos(x)),
    "tanh": ("any", "unit", np.tanh, lambda x, y: 1 - y * y),
    "sigmoid": ("any", "rate", sigmoid, lambda x, y: y * (1 - y)),
    "softplus": ("any", "positive", lambda x: np.logaddexp(0, x), lambda x, y: sigmoid(x)),
    "square": ("any", "positive", lambda x: x * x + 0.5, lambda x, y: 2 * x),
    "relu": ("any", "any", lambda x: np.maximum(x, 0), lambda x, y: (x > 0).astype(x.dtype)),
    "leaky": (
        "any",
        "any",
        lambda x: np.where(x > 0, x, x / 4),
        lambda x, y: np.where(x > 0, 1, 0.25).astype(x.dtype),
    ),
    "abs": ("any", "any", np.abs, lambda x, y: np.sign(x)),
    "atan": ("any", "any", np.arctan, lambda x, y: 1 / (1 + x * x)),
    "minus": ("any", "any", lambda x: -x, lambda x, y: -np.ones_like(x)),
    "log": ("positive", "any", np.log, lambda x, y: 1 / x),
    "sqrt": ("positive", "positive", np.sqrt, lambda x, y: 0.5 / y),
    "reciprocal": ("positive", "positive", lambda x: 1 / x, lambda x, y: -y * y),
    "power": ("positive", "positive", lambda x: x**1.5, lambda x, y: 1.5 * np.sqrt(x)),
    "arcsin": ("unit", "any", np.arcsin, lambda x, y: 1 / np.sqrt(1 - x * x)),
    "arctanh": ("unit", "any", np.arctanh, lambda x, y: 1 / (1 - x * x)),
    "logit": ("rate", "any", lambda x: np.log(x / (1 - x)), lambda x, y: 1 / (x * (1 - x))),
    "entropy": ("rate", "any", lambda x: x * np.log(x), lambda x, y: np.log(x) + 1),
}


@dataclass
class Program:
    """A right pair, as it is built up.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws everything.
    dtype : type
        Of all floats.
    """

    rng: Rng
    dtype: type
    inputs: list[Any] = field(default_factory=list)
    differentiable: list[int] = field(default_factory=list)  # numbers of inputs
    steps: list[tuple[Callable, Callable, tuple[int, ...]]] = field(default_factory=list)
    shapes: dict[int, tuple[int, ...]] = field(default_factory=dict)
    ranges: dict[int, str] = field(default_factory=dict)
    size: int = 0  # values so far; the values of inputs have negative numbers

    def add_input(self, value: np.ndarray, range_: str = "any", moved: bool = True) -> int:
        """Add an argument of forward; return its number."""
        self.inputs.append(value.astype(self.dtype) if value.dtype.kind == "f" else value)
        number = -len(self.inputs)
        if moved:
            self.differentiable.append(len(self.inputs) - 1)
        self.shapes[number], self.ranges[number] = value.shape, range_
        return number

    def step(self, function: Callable, slope: Callable, *sources: int, range_: str = "any") -> int:
        """Add a step: function(*values), and slope(dy, y, *values) -> gradients."""
        values = [np.ones(self.shapes[s]) * 0.5 for s in sources]
        self.steps.append((function, slope, sources))
        number, self.size = self.size, self.size + 1
        self.shapes[number] = np.shape(function(*values))
        self.ranges[number] = range_
        return number

    def forward(self, *inputs: Any) -> tuple[Any, list[Any]]:
        """Run all steps; return the last value, and all."""
        values: list[Any] = []
        for function, _, sources in self.steps:
            values.append(function(*(self._value(s, inputs, values) for s in sources)))
        return values[-1], values

    def backward(self, dy: Any, inputs: tuple, values: list[Any]) -> list[Any]:
        """Walk the steps from the last; return the gradient of each differentiable input."""
        grads: dict[int, Any] = {len(values) - 1: dy}
        for k in reversed(range(len(self.steps))):
            _, slope, sources = self.steps[k]
            if k not in grads:
                continue
            args = [self._value(s, inputs, values) for s in sources]
            for s, grad in zip(sources, slope(grads[k], values[k], *args), strict=True):
                if grad is not None:
                    grads[s] = grad if s not in grads else grads[s] + grad
        return [grads.get(-k - 1, np.zeros_like(inputs[k])) for k in self.differentiable]

    @staticmethod
    def _value(number: int, inputs: Any, values: list[Any]) -> Any:
        return values[number] if number >= 0 else inputs[-number - 1]


def draw(rng: Rng, shape: tuple[int, ...], range_: str) -> np.ndarray:
    """Draw numbers of a range."""
    if range_ == "positive":
        return 10.0 ** rng.uniform(-2, 1, shape)
    if range_ in ("unit", "rate"):
        return rng.uniform(-0.95 if range_ == "unit" else 0.05, 0.95, shape)
    return rng.normal(size=shape) * 10 ** rng.uniform(-1, 0.5)


def elementwise(p: Program, x: int) -> int:
    """Apply a function to each entry, of those that take its range."""
    fitting = [name for name, each in ELEMENTWISE.items() if each[0] in ("any", p.ranges[x])]
    if p.ranges[x] == "rate":
        fitting += ["log", "sqrt", "arcsin"]
    _, gives, function, slope = ELEMENTWISE[fitting[int(p.rng.integers(len(fitting)))]]
    return p.step(function, lambda dy, y, x: (dy * slope(x, y),), x, range_=gives)


def product(p: Program, x: int) -> int:
    """Multiply with a new input, entry by entry."""
    w = p.add_input(draw(p.rng, p.shapes[x], "any"))
    return p.step(lambda x, w: x * w, lambda dy, y, x, w: (dy * w, dy * x), x, w)


def quotient(p: Program, x: int) -> int:
    w = p.add_input(draw(p.rng, p.shapes[x], "positive"), "positive")
    return p.step(lambda x, w: x / w, lambda dy, y, x, w: (dy / w, -dy * y / w), x, w)


def matmul(p: Program, x: int) -> int:
    if len(p.shapes[x]) != 2:
        return elementwise(p, x)
    w = p.add_input(p.rng.normal(size=(p.shapes[x][1], int(p.rng.integers(1, 4)))))
    return p.step(lambda x, w: x @ w, lambda dy, y, x, w: (dy @ w.T, x.T @ dy), x, w)


def bias(p: Program, x: int) -> int:
    b = p.add_input(p.rng.normal(size=p.shapes[x][-1:]))

    def slope(dy, y, x, b):
        return dy, dy.reshape(-1, len(b)).sum(0) if dy.ndim else dy

    return p.step(lambda x, b: x + b, slope, x, b) if p.shapes[x] else elementwise(p, x)


def twice(p: Program, x: int) -> int:
    """Use a value twice."""
    y = elementwise(p, x)
    return p.step(lambda a, b: a + b, lambda dy, y, a, b: (dy, dy), x, y)


def maximum(p: Program, x: int) -> int:
    w = p.add_input(draw(p.rng, p.shapes[x], "any"))

    def slope(dy, y, x, w):
        return dy * (x >= w), dy * (x < w)

    return p.step(np.maximum, slope, x, w)


def softmax_rows(p: Program, x: int) -> int:
    def slope(dy, y, x):
        return (y * (dy - (dy * y).sum(-1, keepdims=True)),)

    return p.step(softmax, slope, x, range_="any") if p.shapes[x] else elementwise(p, x)


def normalized(p: Program, x: int) -> int:
    """Divide each row by its norm."""
    if len(p.shapes[x]) != 2:
        return elementwise(p, x)

    def slope(dy, y, x):
        n = np.sqrt((x * x).sum(1, keepdims=True) + 0.01)
        return (dy / n - x * (dy * x).sum(1, keepdims=True) / n**3,)

    return p.step(lambda x: x / np.sqrt((x * x).sum(1, keepdims=True) + 0.01), slope, x)


def layer_norm(p: Program, x: int) -> int:
    if len(p.shapes[x]) != 2:
        return elementwise(p, x)

    def parts(x):
        m, v = x.mean(1, keepdims=True), x.var(1, keepdims=True)
        root = np.sqrt(v + 0.1)
        return (x - m) / root, root

    def slope(dy, y, x):
        h, root = parts(x)
        return ((dy - dy.mean(1, keepdims=True) - h * (dy * h).mean(1, keepdims=True)) / root,)

    return p.step(lambda x: parts(x)[0], slope, x)


def reduced(p: Program, x: int) -> int:
    """Take the sum, mean or maximum over an axis."""
    if not p.shapes[x]:
        return elementwise(p, x)
    axis = int(p.rng.integers(len(p.shapes[x])))
    n = p.shapes[x][axis]
    if p.rng.random() < 0.3:

        def slope(dy, y, x):
            first = np.expand_dims(x.argmax(axis), axis)
            dx = np.zeros_like(x)
            np.put_along_axis(dx, first, np.expand_dims(dy, axis), axis)
            return (dx,)

        return p.step(lambda x: x.max(axis), slope, x)
    factor = 1 / n if p.rng.random() < 0.5 else 1.0

    def spread(dy, y, x):
        return (np.repeat(np.expand_dims(dy * factor, axis), n, axis).astype(x.dtype),)

    return p.step(lambda x: x.sum(axis) * factor, spread, x)


def masked(p: Program, x: int) -> int:
    """Multiply with zeros and ones, as bool, int or float."""
    mask = p.rng.random(p.shapes[x]) < 0.7
    mask = mask.astype([bool, np.int64, np.float64][int(p.rng.integers(3))])
    if mask.dtype.kind == "f" and np.ptp(mask) == 0:
        return elementwise(p, x)
    m = p.add_input(mask, moved=False)
    return p.step(lambda x, m: x * m, lambda dy, y, x, m: (dy * m, None), x, m)


def reshaped(p: Program, x: int) -> int:
    shape = p.shapes[x]
    back = p.ranges[x]
    if len(shape) == 2 and p.rng.random() < 0.5:
        return p.step(lambda x: x.T, lambda dy, y, x: (dy.T,), x, range_=back)
    return p.step(lambda x: x.reshape(-1), lambda dy, y, x: (dy.reshape(x.shape),), x, range_=back)


def lookup(p: Program) -> int:
    """Begin with rows of a table, one or a bag of them for each sample."""
    rows, bag = int(p.rng.integers(3, 9)), p.rng.random() < 0.5
    table = p.add_input(p.rng.normal(size=(rows, int(p.rng.integers(1, 4)))))
    shape = (int(p.rng.integers(2, 5)), *([int(p.rng.integers(1, 4))] if bag else []))
    ids = p.add_input(p.rng.integers(0, rows, shape), moved=False)

    def function(w, ids):
        ids = np.asarray(ids).astype(int)
        return w[ids].sum(1) if ids.ndim == 2 else w[ids]

    def slope(dy, y, w, ids):
        dw = np.zeros_like(w)
        np.add.at(dw, ids, dy[:, None] if ids.ndim == 2 else dy)
        return dw, None

    return p.step(function, slope, table, ids)


def mse(p: Program, x: int) -> int:
    t = p.add_input(draw(p.rng, p.shapes[x], "any"), moved=False)

    def slope(d, y, x, t):
        return (2 * d * (x - t) / max(1, x.size)).astype(x.dtype), None

    return p.step(lambda x, t: ((x - t) ** 2).mean(), slope, x, t)


def bce(p: Program, x: int) -> int:
    label = (p.rng.random(p.shapes[x]) < 0.5).astype([np.int64, np.float64][p.rng.integers(2)])
    if np.ptp(label) == 0:
        return mse(p, x)
    t = p.add_input(label, moved=False)

    def slope(d, y, x, t):
        return (d * (sigmoid(x) - t) / x.size).astype(x.dtype), None

    return p.step(lambda x, t: (np.logaddexp(0, x) - t * x).mean(), slope, x, t)


def cross_entropy(p: Program, x: int) -> int:
    if len(p.shapes[x]) != 2:
        return mse(p, x)
    n, classes = p.shapes[x]
    t = p.add_input(p.rng.integers(0, classes, n), moved=False)

    def loss(x, t):
        s = x - x.max(1, keepdims=True)
        t = np.asarray(t).astype(int)
        return (np.log(np.exp(s).sum(1)) - s[np.arange(len(s)), t]).mean()

    def slope(d, y, x, t):
        g = softmax(x)
        g[np.arange(len(g)), t] -= 1
        return (d * g / len(g)).astype(x.dtype), None

    return p.step(loss, slope, x, t)


STEPS = [
    *[elementwise] * 6,
    product,
    quotient,
    matmul,
    matmul,
    bias,
    twice,
    maximum,
    softmax_rows,
    normalized,
    layer_norm,
    reduced,
    masked,
    reshaped,
]
LOSSES = [mse, bce, cross_entropy]


def pair(seed: int) -> tuple[Any, ...]:
    """Return a random right pair, with its inputs; all that it gives there is finite."""
    for attempt in range(50):
        rng = np.random.default_rng((seed, attempt))
        p = _program(rng)
        y, values = p.forward(*p.inputs)
        grads = p.backward(np.ones_like(y), tuple(p.inputs), values)
        if all(np.isfinite(each).all() for each in (y, *grads)):
            break
    return _written(p, rng), *p.inputs


def _program(rng: Rng) -> Program:
    p = Program(rng, [np.float64, np.float64, np.float64, np.float32][int(rng.integers(4))])
    if rng.random() < 0.2:
        x = lookup(p)
    else:
        shape = tuple(int(n) for n in rng.integers(1, 5, int(rng.integers(1, 4))))
        range_ = ["any", "positive", "unit", "rate"][int(rng.integers(4))]
        x = p.add_input(draw(rng, shape, range_), range_)
        x = elementwise(p, x)
    for _ in range(int(rng.integers(0, 5))):
        x = STEPS[int(rng.integers(len(STEPS)))](p, x)
    if rng.random() < 0.3 and p.shapes[x]:
        LOSSES[int(rng.integers(len(LOSSES)))](p, x)
    return p


def _written(p: Program, rng: Rng) -> tuple[Callable, Callable]:
    """Write a program as two functions, in one of the usual forms."""
    form = int(rng.integers(5))

    def forward(*inputs):
        y, values = p.forward(*inputs)
        if form == 0:
            return y, {"inputs": inputs, "values": values}
        return y if form == 1 else (y, inputs, values) if form == 2 else (y, (inputs, values))

    def backward(dy, *kept):
        if form == 0:
            inputs, values = kept[0]["inputs"], kept[0]["values"]
        elif form == 1:
            inputs, values = kept, p.forward(*kept)[1]
        else:
            inputs, values = kept if form == 2 else kept[0]
        grads = p.backward(dy, inputs, values)
        if form == 3:
            every: list[Any] = [None] * len(inputs)
            for k, grad in zip(p.differentiable, grads, strict=True):
                every[k] = grad
            return tuple(every)
        if form == 4:
            return {f"input {k}": g for k, g in zip(p.differentiable, grads, strict=True)}
        return grads[0] if len(grads) == 1 else grads

    if form == 1:
        names = ", ".join(f"a{k}" for k in range(len(p.inputs)))
        # as a person writes it: with the arguments of forward, one by one
        return forward, eval(f"lambda dy, {names}: back(dy, {names})", {"back": backward})
    return forward, backward
