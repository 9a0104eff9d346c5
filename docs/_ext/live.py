"""The live example of a derivation page: choose dy, and see the gradients that follow.

backward is linear in dy. So its answers to one dy after another, each zero but for a single 1, hold
its answer to every dy: a page needs no more to be alive. Wrong backward passes of the museum are
run in the same way, on the same numbers.
"""

import html
import inspect
import json
from typing import Any

import formulas
import numpy as np
import shapes

from minidlrm.checking.bugs import CORPUS, Bug
from minidlrm.module import Module

ROWS = {1: 6, 2: 3, 3: 2}  # samples that are shown, by the number of axes of the output
MOST = 90  # numbers of an array that are shown


def bugs_of(cls: type) -> list[Bug]:
    """Return the mistakes of a class, in the museum's order."""
    return [bug for bug in CORPUS if bug.correct is cls]


def as_html(cls: type, slug: str) -> str:
    """Return the example: its arrays as tables, and what a script needs to make them live."""
    example = Example(cls)
    data = html.escape(json.dumps(example.data(), separators=(",", ":")), quote=True)
    options = "".join(
        f"<option value='{k}'>{html.escape(name)}</option>"
        for k, name in enumerate(["the right one", *example.wrong])
    )
    choice = (
        f'<label>backward: <select class="which">{options}</select></label>'
        if example.wrong
        else ""
    )
    name = example.upstream
    return (
        f'<div class="live" id="{slug}-live" data-live="{data}"><div class="bar">'
        f"<span>Set a number of {formulas.math_html(shapes.tex_name(name))}: each press gives 1, "
        f'then −1, then 0.</span><button type="button" class="ones">all 1</button>'
        f'<button type="button" class="clear">all 0</button>{choice}</div>'
        f'<div class="tables">{example.tables()}</div>'
        '<p class="verdict" aria-live="polite"></p></div>'
    )


class Example:
    """A small run of a class, forward and backward, in float64."""

    def __init__(self, cls: type):
        self.cls = cls
        bugs = bugs_of(cls)
        makes = [bug.make for bug in bugs]
        self.make = max(makes, key=makes.count) if makes else None
        self.module, self.inputs = self._target(cls)
        self.names = list(inspect.signature(cls.forward).parameters)[1:]
        self.upstream = list(inspect.signature(cls.backward).parameters)[1]
        self.output = np.asarray(self.module.forward(*self.inputs))
        self.right = self.answers(self.module)
        self.wrong: dict[str, np.ndarray] = {}
        for bug in bugs:
            if bug.make is self.make and (answers := self._wrong(bug)) is not None:
                self.wrong[bug.cls.__name__] = answers

    def _target(self, cls: type) -> tuple[Module, list[Any]]:
        if self.make is None:
            case = shapes.case_of(cls)
            target, inputs = case.target, case.inputs
        else:
            target, *inputs = self.make(cls, np.random.default_rng(0))
        module = target.astype(np.float64)
        for parameter in module.parameters():
            parameter.value[...] = np.round(parameter.value, 1)
        arrays = [value for value in inputs if isinstance(value, np.ndarray)]
        together = len(arrays) == len(inputs) and len({len(value) for value in arrays}) == 1
        rows = ROWS[max(np.ndim(value) for value in arrays)] if together else None
        return module, [_rounded(value, rows) for value in inputs]

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the inputs that have a gradient, and the parameters, by name."""
        pairs = zip(self.names, self.inputs, strict=False)
        found = {n: v for n, v in pairs if getattr(getattr(v, "dtype", None), "kind", "") == "f"}
        for value in self.inputs:
            if getattr(value, "weights", None) is not None:
                found["weights"] = value.weights
        gradients = self.gradients(self.module, np.ones(self.output.shape))
        kept = {name: value for name, value in found.items() if name in gradients}
        return kept | {name: p.value for name, p in self.module.named_parameters()}

    def gradients(self, module: Module, dy: np.ndarray) -> dict[str, np.ndarray]:
        """Run forward, then backward from dy: the gradient of every input and parameter."""
        module.zero_grad()
        module.forward(*self.inputs)
        returned = module.backward(dy if self.output.ndim else float(dy))
        parts = returned if isinstance(returned, tuple) else (returned,)
        floats = [n for n, v in zip(self.names, self.inputs, strict=False) if _is_float(v)]
        if len(parts) < len(floats):  # a label has no gradient; the weights of bags have one
            floats = floats[: len(parts)]
        names = floats or ["weights"]
        found = {n: np.asarray(g) for n, g in zip(names, parts, strict=False) if g is not None}
        for name, parameter in module.named_parameters():
            grad = parameter.grad
            dense = grad.to_dense() if hasattr(grad, "to_dense") else grad
            found[name] = np.zeros_like(parameter.value) if dense is None else dense
        return found

    def answers(self, module: Module) -> np.ndarray:
        """Return the gradients, one after another, for a 1 in each entry of dy."""
        rows = []
        for k in range(self.output.size):
            dy = np.zeros(self.output.shape)
            dy.flat[k] = 1
            grads = self.gradients(module, dy)
            rows.append(np.concatenate([np.ravel(grads[name]) for name in sorted(grads)]))
        return np.array(rows)

    def _wrong(self, bug: Bug) -> np.ndarray | None:
        """Return what a wrong class answers; None where this example cannot show it."""
        module, _ = self._target(bug.cls)
        try:
            answers = self.answers(module)
            dy = np.random.default_rng(1).normal(size=self.output.shape)
            grads = self.gradients(module, dy)
            whole = np.concatenate([np.ravel(grads[name]) for name in sorted(grads)])
        except Exception:  # it raises: the checker says so, this example cannot
            return None
        if answers.shape != self.right.shape or np.allclose(answers, self.right, atol=1e-6):
            return None
        return answers if np.allclose(dy.ravel() @ answers, whole, atol=1e-9) else None

    def data(self) -> dict[str, Any]:
        """Return the answers of the right and of the wrong classes, zeros left out."""
        answers = [_sparse(a) for a in (self.right, *self.wrong.values())]
        return {"size": self.right.shape[1], "backward": answers}

    def tables(self) -> str:
        """Return the tables: outputs and dy, then each array with its gradient."""
        first = np.zeros(self.output.shape)
        first.flat[0] = 1
        letters = shapes.Picture(self.cls).parameters
        given = [(n, v) for n, v in zip(self.names, self.inputs, strict=False) if _is_ids(v)]
        text = "".join(_group([_table(n, v)]) for n, v in given)
        name = "y" if self.upstream == "dy" else self.upstream[1:]
        name = name if self.output.ndim else "loss"
        dy = _table(self.upstream, first, buttons=True)
        text += _group([_table(name, self.output), dy], "upstream")
        grads = self.gradients(self.module, first)
        starts = np.cumsum([0, *(grads[name].size for name in sorted(grads))])
        start = dict(zip(sorted(grads), starts.tolist(), strict=False))
        for name, value in self.arrays().items():
            short, places = letters.get(name, name), start[name] + np.arange(value.size)
            at, gradient = places.reshape(value.shape), grads[name].reshape(value.shape)
            note = ""
            if value.size > MOST:  # the rows that any dy reaches
                reached = self.right[:, places].any(axis=0).reshape(value.shape).any(axis=-1)
                value, gradient, at = value[reached], gradient[reached], at[reached]
                note = f", the {len(value)} of {reached.size} rows that are used"
            if value.size <= MOST:
                tables = [_table(short, value, note), _table(f"d{short}", gradient, "", at=at)]
                text += _group(tables)
        return text


def _rounded(value: Any, rows: int | None) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    value = value[:rows]
    return np.round(value, 1) if value.dtype.kind == "f" else value


def _is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _is_ids(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "iu"


def _sparse(answers: np.ndarray) -> list[list]:
    """Return for each entry of dy the places that it reaches, and what it puts there."""
    rows = []
    for row in answers:
        (at,) = np.nonzero(row)
        rows.append([at.tolist(), [float(f"{v:.6g}") for v in row[at]]])
    return rows


def _group(tables: list[str], kind: str = "pair") -> str:
    return f'<div class="{kind}">{"".join(tables)}</div>'


def _table(
    name: str,
    value: np.ndarray,
    note: str = "",
    buttons: bool = False,
    at: np.ndarray | None = None,
) -> str:
    """Return an array as a table: a row for each but the last axis, a line between the blocks."""
    flat = value.reshape(-1, value.shape[-1]) if value.ndim else value.reshape(1, 1)
    block = value.shape[-2] if value.ndim > 2 else len(flat)
    rows, count = "", 0
    for r, row in enumerate(flat):
        cells = ""
        for number in row:
            index = "" if at is None else f' data-at="{at.flat[count]}"'
            shown = _number(number)
            if buttons:
                label = f"{name}, entry {count + 1}"
                shown = f'<button type="button" aria-label="{label}">{shown}</button>'
            cells += f"<td{index}{'' if buttons else _style(number)}>{shown}</td>"
            count += 1
        rows += f"<tr{' class=block' if r and r % block == 0 else ''}>{cells}</tr>"
    size = " × ".join(map(str, value.shape)) or "one number"
    caption = f"{formulas.math_html(shapes.tex_name(name))} <small>{size}{note}</small>"
    return (
        f'<div class="scroll"><table aria-label="{html.escape(name)}">'
        f"<caption>{caption}</caption>{rows}</table></div>"
    )


def _number(number: Any) -> str:
    if isinstance(number, (int, np.integer)):
        return str(number)
    text = f"{number:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text.replace("-", "−")


def _style(number: Any) -> str:
    """Return a pale blue for a positive number, a pale orange for a negative one."""
    if isinstance(number, (int, np.integer)) or abs(number) < 0.005:
        return ""
    sign = "plus" if number > 0 else "minus"
    return f' class="{sign}" style="--size:{min(abs(number), 1):.2f}"'
