"""A derivation's numbers: the steps in the docstring of `backward`, and the lines that do them.

A comment such as ``# ② (B, D)`` says that the line does step 2. The marks of a kernel belong to the
derivation of the layer that calls it.
"""

import ast
import html
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from minidlrm.kernels import reference
from minidlrm.module import Module

MARKS = "①②③④⑤⑥⑦⑧⑨"
STEP = re.compile(r"^(\d)\. ", re.M)


def marks(text: str) -> list[int]:
    """Return the steps that a text names, in its order."""
    return [MARKS.index(mark) + 1 for mark in text if mark in MARKS]


def steps(cls: type) -> list[int]:
    """Return the numbers of the derivation of a class."""
    text = inspect.getdoc(vars(cls)["backward"]) or ""
    return [int(number) for number in STEP.findall(text)]


@dataclass(frozen=True)
class Shown:
    """A function whose code is shown: its title, and the function."""

    title: str
    function: Callable

    @cached_property
    def node(self) -> ast.FunctionDef:
        """The function as a tree."""
        tree = ast.parse(textwrap.dedent(inspect.getsource(self.function))).body[0]
        assert isinstance(tree, ast.FunctionDef)
        return tree

    @cached_property
    def source(self) -> str:
        """Its code, without the docstring."""
        lines = textwrap.dedent(inspect.getsource(self.function)).splitlines()
        first = self.node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            lines[first.lineno - 1 : first.end_lineno] = []
        return "\n".join(line for line in lines if not line.startswith("@")) + "\n"


def shown(cls: type) -> list[Shown]:
    """Return forward, its helpers and kernels, then backward and its own."""
    found: dict[str, Shown] = {}
    for name in ("forward", "backward"):
        if name in vars(cls):
            _collect(Shown(f"{cls.__name__}.{name}", vars(cls)[name]), cls, found)
    return list(found.values())


def _collect(function: Shown, cls: type, found: dict[str, Shown]) -> None:
    if function.title in found:
        return
    found[function.title] = function
    for called in calls(function, cls):
        _collect(called, cls, found)


def calls(function: Shown, cls: type) -> Iterator[Shown]:
    """Yield the kernels that a function calls, and the helpers that do a step of the derivation."""
    lines = textwrap.dedent(inspect.getsource(function.function)).splitlines()
    for node in ast.walk(function.node):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner, name = ast.unparse(node.func.value), node.func.attr
        if owner == "kernels":
            yield Shown(f"kernels.{name}, in NumPy", getattr(reference, name))
        if owner == "self" and any(name in vars(base) for base in cls.__mro__):
            home = next(base for base in cls.__mro__ if name in vars(base))
            helper = Shown(f"{home.__name__}.{name}", inspect.unwrap(getattr(home, name)))
            line = lines[(node.end_lineno or node.lineno) - 1]
            part = name.startswith("_") and marks(line)
            if home is not Module and (marks(helper.source) or part):
                yield helper


def as_html(cls: type, slug: str) -> str:
    """Return the code of a class, each step's number beside the lines that do it."""
    text, seen = "", set()
    for function in shown(cls):
        lines = "".join(_line(line, slug, seen) for line in _highlighted(function.source))
        text += (
            f'<p class="code-title">{html.escape(function.title)}</p>'
            f'<div class="highlight numbered"><pre>{lines}</pre></div>'
        )
    return f'<div class="program">{text}</div>'


def _highlighted(source: str) -> list[str]:
    return highlight(source, PythonLexer(), HtmlFormatter(nowrap=True)).splitlines()


def plain(source: str) -> str:
    """Return code in colours, without numbers."""
    return f'<div class="highlight"><pre>{chr(10).join(_highlighted(source))}</pre></div>'


def _line(line: str, slug: str, seen: set[int]) -> str:
    numbers = marks(line)
    for mark in MARKS:
        line = line.replace(mark, "")
    line = re.sub(r' *<span class="c1"># *</span>', "", line)
    line = re.sub(r'(<span class="c1"># ) +', r"\1", line)
    badges = "".join(badge(k, f"{slug}-step-{k}", _anchor(k, slug, seen)) for k in numbers)
    given = f' data-steps="{" ".join(map(str, numbers))}"' if numbers else ""
    return f'<span class="line"{given}><span class="gutter">{badges}</span>{line}\n</span>'


def _anchor(step: int, slug: str, seen: set[int]) -> str:
    if step in seen:
        return ""
    seen.add(step)
    return f' id="{slug}-code-{step}"'


def badge(step: int, target: str, anchor: str = "") -> str:
    """Return the number of a step, which leads to its other side."""
    return f'<a class="step" href="#{target}"{anchor} aria-label="step {step}">{step}</a>'
