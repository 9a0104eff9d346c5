"""The derivations: a page for each file of layers, all of it from docstrings, code and runs.

A class has its formula, the picture of its shapes, the derivation beside the code that does it,
an example that is alive, and the classic mistakes with what the checker says of them.
"""

import html
import inspect
import pkgutil
import re
from importlib import import_module
from pathlib import Path
from textwrap import indent

import formulas
import live
import museum
import numbered
import shapes
from numpydoc.docscrape import NumpyDocString
from writing import heading, put

import minidlrm as md
from minidlrm.checking.bugs import Bug

ROOT = Path(__file__).parents[2]
PAGE = """:html_theme.sidebar_secondary.remove: true

.. role:: raw-html(raw)
   :format: html

"""


def topics() -> list[str]:
    """Return the modules that hold derivations."""
    found = [f"layers.{module.name}" for module in pkgutil.iter_modules(md.layers.__path__)]
    return [t for t in [*found, "losses"] if derived(import_module(f"minidlrm.{t}"))]


def derived(module) -> dict[str, type]:
    """Return the classes of a module that have a backward pass of their own."""
    return {
        label: value
        for label, value in vars(module).items()
        if inspect.isclass(value)
        and value.__module__ == module.__name__
        and "backward" in vars(value)
        and "raise NotImplementedError" not in inspect.getsource(value.backward)
    }


def write(docs: Path) -> None:
    """Write a page for each file of layers, and the page that lists them."""
    names = {topic: topic.split(".")[-1] for topic in topics()}
    for topic in names:
        page = derivation(import_module(f"minidlrm.{topic}"))
        put(docs / "derivations" / f"{names[topic]}.rst", page)
    text = (
        heading("Derivations", "=")
        + "One page for each file of layers: what it computes, how each gradient follows, and the "
        "lines of code that do it, side by side under the same numbers. Then the layer is alive: "
        "choose what arrives, and see what goes back; plant a mistake, and see what the checker "
        "says. All of it is made from the code and its docstrings.\n\n"
        ".. toctree::\n   :maxdepth: 1\n\n"
        + "\n".join(f"   {name}" for name in names.values())
        + "\n\n"
        + heading("The symbols", "-")
        + ".. include:: ../glossary.md\n   :parser: myst_parser.sphinx_\n"
        "   :start-after: <!-- symbols -->\n   :end-before: <!-- words -->\n"
    )
    put(docs / "derivations" / "index.rst", text)


def derivation(module) -> str:
    """Return the page of one module; its docstring names the notebook that goes with it."""
    title, _, rest = inspect.getdoc(module).partition(":")
    rest, _, notebook = rest.partition("\n\nStep by step in notebooks/")
    path, name = module.__name__.replace(".", "/"), module.__name__.split(".")[-1]
    text = PAGE + heading(title, "=")
    text += formulas.in_rst(f"{rest.strip()[:1].upper()}{rest.strip()[1:]}") + "\n\n"
    links = [f"Code: :doc:`{path}.py <../code/{path}>`"]
    if (ROOT / "tests" / f"test_{name}.py").exists():
        links.append(f"Test: :doc:`tests/test_{name}.py <../code/tests/test_{name}>`")
    if notebook:
        links.append(f"Tutorial: :doc:`../tutorials/{notebook.removesuffix('.py.')}`")
    text += " · ".join(links) + "\n\n"
    classes = derived(module)
    for label, value in classes.items():
        text += heading(label, "-") if len(classes) > 1 else ""
        text += section(label, value, "^" if len(classes) > 1 else "-")
    return text


def section(name: str, cls: type, line: str) -> str:
    """Return all that a page says of one class."""
    slug = name.lower()
    text = f".. math:: {cls.equation}\n\n" if getattr(cls, "equation", "") else ""
    text += prose(cls, name)
    text += raw(shapes.as_html(cls, slug))
    text += heading("The derivation, and the code", line)
    forward = prose(vars(cls)["forward"], f"{name}.forward") if "forward" in vars(cls) else ""
    words = forward + numbered_prose(cls, name, slug)
    text += ".. container:: beside\n\n   .. container:: derivation\n\n" + indent(words, " " * 6)
    text += "\n\n" + indent(raw(numbered.as_html(cls, slug)), "   ")
    text += heading("See it work", line) + raw(live.as_html(cls, slug))
    if bugs := live.bugs_of(cls):
        text += heading("Classic mistakes", line)
        text += raw("".join(mistake(bug, first=bug is bugs[0]) for bug in bugs))
    if name in (*md.__all__, *md.layers.__all__):
        package = "minidlrm" if name in md.__all__ else "minidlrm.layers"
        text += f"Parameters, errors and examples: `{package}.{name}`.\n\n"
    return text


def raw(text: str) -> str:
    """Return HTML as it is."""
    return ".. raw:: html\n\n" + indent(text, "   ", lambda line: True) + "\n\n"


def prose(thing, label: str) -> str:
    """Return what a docstring says before and after its lists, with references of its own."""
    doc = NumpyDocString(inspect.getdoc(thing) or "")
    sources = [*doc["References"]]
    if sources and not sources[0].startswith(".."):
        sources[0] = f"Source: {sources[0]}"
    parts = (doc["Summary"], doc["Extended Summary"], doc["Notes"], sources)
    text = formulas.in_rst("\n\n".join("\n".join(lines) for lines in parts if any(lines)))
    text = re.sub(r"\.\. \[(\d+)\] ", lambda m: m[0] if f"{m[0][3:-1]}_" in text else "", text)
    slug = label.lower().replace(".", "-")
    return re.sub(r"\[(\d+)\]", rf"[#{slug}-\1]", text) + "\n\n"


def numbered_prose(cls: type, name: str, slug: str) -> str:
    """Return the derivation, each step with its number, which leads to the code."""

    def marked(match: re.Match) -> str:
        step = int(match[1])
        anchor = f' id="{slug}-step-{step}"'
        return f"{match[0]}:raw-html:`{numbered.badge(step, f'{slug}-code-{step}', anchor)}` "

    return numbered.STEP.sub(marked, prose(vars(cls)["backward"], f"{name}.backward"))


def mistake(bug: Bug, first: bool) -> str:
    """Return a mistake of the museum: in words, in code, and as the checker names it."""
    report = museum.report(bug, bug.cls)
    cause = report.diagnosis[0]
    array = f" ({cause.array})" if cause.array else ""
    methods = [value for value in vars(bug.cls).values() if inspect.isfunction(value)]
    code = "".join(numbered.plain(numbered.Shown("", method).source) for method in methods)
    return (
        f'<details class="mistake"{" open" if first else ""}>'
        f"<summary><code>{bug.cls.__name__}</code> {formulas.in_html(bug.story)}</summary>"
        f'<div class="both"><div><p class="code-title">the code</p>{code}</div>'
        '<div><p class="code-title">the checker</p>'
        f"<blockquote><p><strong>likeliest cause{html.escape(array)}: {html.escape(cause.title)}"
        f"</strong></p><p>{formulas.in_html(f'{cause.evidence} {cause.hint}')}</p></blockquote>"
        "</div></div></details>"
    )
