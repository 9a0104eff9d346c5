"""The picture of a layer's shapes: its arrays as boxes, with the letters of its docstrings.

Nothing is drawn by hand. The letters are those of the docstrings, such as "z (B, F, D)"; the
arrays in between are those that the code names, with the shape in the comment of their line; a
small run of the layer says how many cells each letter has.
"""

import ast
import html
import inspect
import re
import textwrap
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import formulas
import numbered
import numpy as np

from minidlrm.checking import cases
from minidlrm.module import Module

CELL, MOST, SHEETS, OFFSET = 15, 8, 3, 6
_DIMS = r"\(([^()]*,[^()]*)\)"
_NAMED = re.compile(r"`?(\w+)`?(?: and `?(\w+)`?)? (\([^()]*,[^()]*\)(?: or \([^()]*\))?)")
_ENTRY = re.compile(r"^(\w+) : [\w ]*array (\(.*)", re.M)
_COMMENT = re.compile(rf"#[^()\n]*((?:{_DIMS}(?:, | or )?)+)")


def dims(text: str) -> tuple[str, ...]:
    """Return the letters of a shape: "B, F D" -> ("B", "F D")."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


@dataclass
class Array:
    """An array of the picture: its name, its letters, and the steps that make it."""

    name: str
    letters: tuple[str, ...]
    steps: list[int] = field(default_factory=list)


def case_of(cls: type) -> cases.Case:
    """Return the first case of a layer or loss, with plain ids where it has one."""
    rng = np.random.default_rng(0)
    found = [c for c in [*cases.every_layer(rng), *cases.every_loss(rng)] if type(c.target) is cls]
    return min(found, key=lambda c: sum(not isinstance(value, np.ndarray) for value in c.inputs))


class Picture:
    """What a class takes, makes and gives back, forward and backward."""

    def __init__(self, cls: type):
        self.cls = cls
        case = case_of(cls)
        self.module: Module = case.target
        names = list(inspect.signature(cls.forward).parameters)[1:]
        self.inputs = dict(zip(names, case.inputs, strict=False))
        self.output = np.asarray(self.module.forward(*case.inputs))
        self.sizes = self._sizes()

    @cached_property
    def told(self) -> dict[str, tuple[str, ...]]:
        """The letters of each name in the docstrings of the class, forward and backward."""
        found: dict[str, tuple[str, ...]] = {}
        for thing in (self.cls.forward, self.cls.backward, self.cls):
            text = inspect.getdoc(thing) or ""
            for name, line in _ENTRY.findall(text):
                found.setdefault(name, self._fitting(name, re.findall(_DIMS, line)))
            for first, second, told in _NAMED.findall(text):
                for name in filter(None, (first, second)):
                    found.setdefault(name, self._fitting(name, re.findall(_DIMS, told)))
        return found

    def _fitting(self, name: str, told: list[str]) -> tuple[str, ...]:
        """Return the shape of an argument, of those that its entry names, that the run has."""
        options = [dims(letters) for letters in told]
        value = self.inputs.get(name)
        if len(options) > 1 and isinstance(value, np.ndarray) and value.ndim == 1:
            ends = len(value) == len(self.output) + 1
            options.sort(key=lambda letters: (len(letters) != 1, ("+ 1" in letters[0]) != ends))
        return options[0]

    @cached_property
    def returned(self) -> str:
        """The name of what forward returns."""
        text = inspect.getdoc(self.cls.forward) or ""
        match = re.search(rf"-> (\w+) {_DIMS}|\b(?:Compute|Return) (\w+) {_DIMS}", text)
        return next(filter(None, match.groups())) if match else "loss"

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The letter of each parameter of the class itself, from the comment where it is made."""
        if not inspect.isfunction(self.cls.__init__):
            return {}
        text = inspect.getsource(self.cls.__init__)
        return dict(re.findall(r"self\.(\w+)(?:: [^=\n]+)? = Parameter\(.*# (\w)\b", text))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of the small run that have letters, by the name in the docstrings."""
        found: dict[str, Any] = {}
        for name, value in self.inputs.items():
            if isinstance(value, np.ndarray):
                found[name if name in self.told else "ids"] = value
        for name, letter in self.parameters.items():
            if getattr(self.module, name) is not None:
                found[letter] = getattr(self.module, name).value
        return found | {self.returned: self.output}

    def _sizes(self) -> dict[str, int]:
        """Return the number of each letter; the longer terms follow from the letters."""
        sizes: dict[str, int] = {}
        arrays = self.arrays()
        for name in (self.returned, *arrays):
            array = arrays[name]
            for letter, number in zip(self.told.get(name, ()), array.shape, strict=False):
                if re.fullmatch(r"\w*[A-Za-z]\w*", letter):
                    sizes.setdefault(letter, number)
        return sizes

    def size(self, term: str) -> int | None:
        """Return how many entries a term such as "F D" or "T + 1" has; None when not known."""
        total = 0
        for part in term.split(" + "):
            product = 1
            for letter in part.split():
                number = int(letter) if letter.isdigit() else self.sizes.get(letter)
                if number is None:
                    return None
                product *= number
            total += product
        return total

    def forward(self) -> tuple[list[Array], list[Array]]:
        """Return what goes in, and what is made of it, the output last."""
        *given, (name, _) = [(name, self.told.get(name, ())) for name in self.arrays()]
        made, result = _made(self.cls, "forward", {})
        output = next((a for a in made if a.name == name), None)
        steps = output.steps if output and output.steps else result.steps
        others = [a for a in made if a.name != name and a.letters and a.steps]
        inputs = [Array(*pair) for pair in given]
        return inputs, [*others, Array(name, self.told.get(name, ()), steps)]

    def backward(self) -> tuple[Array, list[Array]]:
        """Return the gradient that arrives, and the arrays that are made of it."""
        name = list(inspect.signature(self.cls.backward).parameters)[1]
        upstream = Array(name, self.told.get(self.returned, ()))
        made, result = _made(self.cls, "backward", self.parameters)
        text = inspect.getdoc(self.cls.backward) or ""
        wanted = re.findall(r"dL/d(\w+)", text.split("\n\n")[0])
        for name in wanted:
            array = next((a for a in made if a.name == f"d{name}"), None)
            if array is None:
                array = Array(f"d{name}", ())
                made.append(array)
            told = self.told.get(name) or self.told.get(f"d{name}") or result.letters
            array.letters = array.letters or told
            if not array.steps and name not in self.parameters.values():
                array.steps = list(result.steps)
        return upstream, [a for a in made if a.letters and (a.steps or a.name[1:] in wanted)]


# What the code makes

_STATEMENTS = (ast.Assign, ast.AugAssign, ast.Expr, ast.Return)


def _made(cls: type, method: str, parameters: dict[str, str]) -> tuple[list[Array], Array]:
    """Return the arrays that a method makes, as its comments say; and what it returns."""
    if method not in vars(cls):
        return [], Array("", ())
    function = numbered.Shown(f"{cls.__name__}.{method}", vars(cls)[method])
    found: dict[str, Array] = {}
    steps = _walk(function, cls, found, parameters)
    line = inspect.getsource(function.function).splitlines()[-1]
    return list(found.values()), Array("", next(iter(_shapes(line)), ()), steps)


def _walk(
    function: numbered.Shown, cls: type, found: dict[str, Array], parameters: dict[str, str]
) -> list[int]:
    """Collect the arrays of a function and of what it calls; return the steps of its last line."""
    called = {f.title.split(",")[0].split(".")[-1]: f for f in numbered.calls(function, cls)}
    lines = textwrap.dedent(inspect.getsource(function.function)).splitlines()
    nodes = [node for node in ast.walk(function.node) if isinstance(node, _STATEMENTS)]
    last: list[int] = []
    for node in sorted(nodes, key=lambda node: node.lineno):
        line, inside, last = lines[(node.end_lineno or node.lineno) - 1], {}, []
        for call in ast.walk(node):
            name = getattr(getattr(call, "func", None), "attr", "")
            if name in called:
                last = _walk(called[name], cls, inside, {})
        _put(_targets(node, parameters, found), line, inside, last, found)
        last = last or numbered.marks(line)
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Name) and not last:
            last = found[node.value.id].steps if node.value.id in found else []
    return last


def _put(
    names: list[str], line: str, inside: dict[str, Array], last: list[int], found: dict[str, Array]
) -> None:
    """Note what a line makes; a name that the function it calls has too is made by those steps."""
    for name, array in inside.items():
        found.setdefault(name, array)
    steps, letters = numbered.marks(line), _shapes(line)
    taken = {k for name in names if name in inside for k in inside[name].steps}
    rest = [k for k in steps if k not in taken] or last
    for n, name in enumerate(names):
        array = found.setdefault(name, Array(name, ()))
        array.letters = letters[n] if n < len(letters) else array.letters
        own = [steps[n]] if len(names) == len(steps) > 1 and not inside else rest
        array.steps += [k for k in (array.steps or own) if k not in array.steps]
        array.steps += [k for k in own if name not in inside and k not in array.steps]


def _targets(node: ast.AST, parameters: dict[str, str], found: dict[str, Array]) -> list[str]:
    """Return the names that a statement gives values to; dW for ``self.weight.add_grad(...)``."""
    if isinstance(node, ast.Assign):
        target = node.targets[0]
        return [_base(part) for part in getattr(target, "elts", [target])]
    if isinstance(node, ast.AugAssign):
        return [_base(node.target)]
    call = getattr(node, "value", None)
    if isinstance(node, ast.Return) or not isinstance(call, ast.Call):
        return []
    out = next((word.value for word in call.keywords if word.arg == "out"), None)
    if out is not None or ast.unparse(call.func) == "np.add.at":
        return [_base(out or call.args[0])]
    owner, _, method = ast.unparse(call.func).removeprefix("self.").rpartition(".")
    if method != "add_grad" or owner not in parameters:
        return []
    name = f"d{parameters[owner]}"
    if isinstance(call.args[0], ast.Name) and call.args[0].id in found:
        found[call.args[0].id].name = name  # the derivation calls it so
        return []
    return [name]


def _base(target: ast.expr) -> str:
    while isinstance(target, ast.Subscript):
        target = target.value
    return ast.unparse(target)


def _shapes(line: str) -> list[tuple[str, ...]]:
    match = _COMMENT.search(line)
    return [dims(text) for text in re.findall(_DIMS, match[1])] if match else []


# Drawing


def as_html(cls: type, slug: str) -> str:
    """Return both directions as rows of boxes."""
    picture = Picture(cls)
    given, made = picture.forward()
    upstream, grads = picture.backward()
    rows = (("forward", given, made), ("backward", [upstream], grads))
    body = "".join(
        f'<div class="flow {phase}"><span class="phase">{phase}</span>'
        f"{''.join(_figure(picture, a, slug) for a in before)}"
        f'<span class="arrow" aria-hidden="true">→</span>'
        f"{''.join(_figure(picture, a, slug) for a in after)}</div>"
        for phase, before, after in rows
    )
    return (
        f'<div class="shapes" role="group" aria-label="The shapes of {cls.__name__}">{body}</div>'
    )


def _figure(picture: Picture, array: Array, slug: str) -> str:
    badges = "".join(numbered.badge(k, f"{slug}-step-{k}") for k in sorted(set(array.steps)))
    name = html.escape(array.name)
    words = f"{name}, {' by '.join(array.letters) or 'one number'}"
    return (
        f'<figure class="array">{_svg(picture, array, words)}'
        f"<figcaption>{formulas.math_html(tex_name(array.name))} {badges}</figcaption></figure>"
    )


def tex_name(name: str) -> str:
    """Return the name of an array of the code as the derivation writes it: dbias -> db."""
    owner, _, name = name.rpartition(".")
    letter = name.removeprefix("d") if name not in ("d", "dense", "down") else name
    short = _SHORT.get(letter, letter)
    text = ("d" if letter != name else "") + short
    if not re.fullmatch(r"d?[A-Za-z]\d?", text):
        text = rf"\mathit{{{text}}}".replace("_", r"\_")
    text = re.sub(r"^(d?[A-Za-z])(\d)$", r"\1_\2", text)
    prefix = "d" if owner.startswith("d") and owner != "dense" else ""
    return text if not owner else rf"{prefix}\mathit{{{owner.removeprefix(prefix)}.}}{text}"


_SHORT = {"weight": "W", "bias": "b", "dense": "V", "logits": "x", "prediction": "x", "label": "y"}


def _svg(picture: Picture, array: Array, words: str) -> str:
    counts = [picture.size(term) for term in array.letters]
    rows, columns = ([1, 1, *counts])[-2:] if len(counts) < 3 else counts[-2:]
    sheets = min(counts[0] or SHEETS, SHEETS) if len(counts) == 3 else 1
    width, height, back = _length(columns), _length(rows), OFFSET * (sheets - 1)
    left, top = 18.0, 16.0 + back
    parts = [
        _sheet(left + OFFSET * k, top - OFFSET * k, width, height, k == 0)
        for k in reversed(range(sheets))
    ]
    letters = list(array.letters)
    if letters:
        x, y = left + width / 2, top + height + 14
        parts.append(_letter(picture, letters[-1], x, y, "middle"))
    if len(letters) > 1:
        parts.append(_letter(picture, letters[-2], left - 5, top + height / 2 + 4, "end"))
    if len(letters) > 2:
        parts.append(_letter(picture, letters[0], left + back - 8, top - back - 3, "end"))
    need = max(left + width + back + 8, left + width / 2 + 4 * len((letters or [""])[-1]) + 6)
    lead = max([0, *(6.5 * len(letter) - 12 for letter in letters[:-1])])
    box = f"{-lead:g} 0 {need + lead:g} {top + height + 20:g}"
    return (
        f'<svg role="img" aria-label="{html.escape(words)}" viewBox="{box}" '
        f'width="{need + lead:g}" height="{top + height + 20:g}">{"".join(parts)}</svg>'
    )


def _length(count: int | None) -> float:
    return CELL * min(count or MOST, MOST)


def _sheet(x: float, y: float, width: float, height: float, front: bool) -> str:
    cells = f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" class="sheet"/>'
    if not front:
        return cells
    grid = [f"M{x + CELL * k:g} {y:g}v{height:g}" for k in range(1, round(width / CELL))]
    grid += [f"M{x:g} {y + CELL * k:g}h{width:g}" for k in range(1, round(height / CELL))]
    return f'{cells}<path d="{"".join(grid)}"/>'


def _letter(picture: Picture, letter: str, x: float, y: float, anchor: str) -> str:
    known = list(picture.sizes)
    colour = known.index(letter) % 5 + 1 if letter in known else 0
    return (
        f'<text class="axis-{colour}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">'
        f"{html.escape(letter.replace(' * ', '·'))}</text>"
    )
