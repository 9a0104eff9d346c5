"""The pages that are made from the code: derivations, tutorials, API, and a trace to step through.

Each is written into a folder of `docs/` that git ignores. A file is only written when its text
changes, so that Sphinx reads again what is new.
"""

import inspect
import json
import pkgutil
import re
from importlib import import_module
from pathlib import Path

import numpy as np
from numpydoc.docscrape import NumpyDocString

import minidlrm as md

ROOT = Path(__file__).parents[2]


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
    }


API = {
    "Models": "models",
    "Layers": "layers",
    "Losses": "losses",
    "Optimizers": "optim",
    "Training and evaluation": "training",
    "Recommending": "recommending",
    "What a model has learned": "learned",
    "Checkpoints": "checkpoint",
    "Across machines": "parallel",
    "Modules and parameters": "module",
    "Gradient checks": "checking",
    "Step through a batch": "tracing",
    "The figure of a model": "figure",
    "Data": "data",
    "Metrics": "metrics",
    "Plots": "plots",
    "Weights to and from others": "interop",
}


def write(docs: Path) -> None:
    """Write all pages that are made.

    Parameters
    ----------
    docs : Path
        The folder of the site's sources.
    """
    write_code(docs)
    write_derivations(docs)
    write_tutorials(docs)
    write_api(docs)
    write_trace(docs)


def put(path: Path, text: str) -> None:
    """Write a text file, unless it is there already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def heading(text: str, line: str) -> str:
    """Return a title in reStructuredText."""
    return f"{text}\n{line * max(4, 2 * len(text))}\n\n"


def public_names(module: str) -> list[str]:
    """Return the dotted names that a module makes public: its `__all__`, or what it defines."""
    found = import_module(module)
    names = getattr(found, "__all__", None) or [
        name
        for name, value in vars(found).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module
    ]
    kept = [name for name in names if not inspect.ismodule(getattr(found, name))]
    return [f"{module}.{name}" for name in kept]


# Derivations


def write_derivations(docs: Path) -> None:
    """Write one page for each file of layers: equation, forward, and the derivation of backward."""
    names = {topic: topic.split(".")[-1] for topic in topics()}
    for topic in names:
        page = derivation(import_module(f"minidlrm.{topic}"))
        put(docs / "derivations" / f"{names[topic]}.rst", page)
    text = (
        heading("Derivations", "=")
        + "One page for each file of layers: what it computes, and how each gradient follows, line "
        "by line. The text *is* the docstring of ``backward``, beside the code that does it.\n\n"
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
    text = heading(title, "=") + f"{rest.strip()[:1].upper()}{rest.strip()[1:]}\n\n"
    links = [f"Code: :doc:`{path}.py <../code/{path}>`"]
    if (ROOT / "tests" / f"test_{name}.py").exists():
        links.append(f"Test: :doc:`tests/test_{name}.py <../code/tests/test_{name}>`")
    if notebook:
        links.append(f"Tutorial: :doc:`../tutorials/{notebook.removesuffix('.py.')}`")
    text += " · ".join(links) + "\n\n"
    classes = derived(module)
    for label, value in classes.items():
        text += heading(label, "-") if len(classes) > 1 else ""
        text += section(label, value)
    return text


def section(name: str, cls: type) -> str:
    """Return what a class computes, its forward, and the derivation."""
    text = ""
    if getattr(cls, "equation", ""):
        text += f".. math:: {cls.equation}\n\n"
    text += prose(cls, name)
    for method, title in (("forward", "Forward"), ("backward", "Backward: the derivation")):
        if method in vars(cls):
            text += heading(title, "^") + prose(vars(cls)[method], f"{name}.{method}")
    if name in (*md.__all__, *md.layers.__all__):
        package = "minidlrm" if name in md.__all__ else "minidlrm.layers"
        text += f"Parameters, errors and examples: `{package}.{name}`.\n\n"
    return text


def prose(thing, label: str) -> str:
    """Return what a docstring says before and after its lists, with references of its own."""
    doc = NumpyDocString(inspect.getdoc(thing) or "")
    parts = (doc["Summary"], doc["Extended Summary"], doc["Notes"], doc["References"])
    text = "\n\n".join("\n".join(lines) for lines in parts if any(lines))
    text = re.sub(r"\.\. \[(\d+)\] ", lambda m: m[0] if f"{m[0][3:-1]}_" in text else "", text)
    slug = label.lower().replace(".", "-")
    return re.sub(r"\[(\d+)\]", rf"[#{slug}-\1]", text) + "\n\n"


# Code


def write_code(docs: Path) -> None:
    """Write a page for each file of the library, and for the tests of the layers."""
    root = docs.parent
    files = sorted(root.glob("minidlrm/**/*.py"))
    tests = [root / "tests" / f"test_{topic.split('.')[-1]}.py" for topic in topics()]
    files += [path for path in tests if path.exists()]
    for path in files:
        name = path.relative_to(root)
        up = "../" * (len(name.parts) + 1)
        title = heading(name.as_posix(), "=")
        code = f".. literalinclude:: {up}{name.as_posix()}\n   :language: python\n"
        page = f":orphan:\n:nosearch:\n\n{title}{code}"
        put(docs / "code" / name.with_suffix(".rst"), page)


def code_page(domain: str, info: dict[str, str]) -> str | None:
    """Return where the code of a documented name is shown, seen from its page below api/."""
    value = import_module(info["module"])
    for part in info["fullname"].split("."):
        value = getattr(value, part, None)
    module = getattr(value, "__module__", None) or ""
    if domain != "py" or not module.startswith("minidlrm"):
        return None
    package = hasattr(import_module(module), "__path__")
    return f"../code/{module.replace('.', '/')}{'/__init__' if package else ''}.html"


# Tutorials


def fold_answers(notebook: dict) -> None:
    """Hide the cells that give an answer, until a reader opens them."""
    for cell in notebook["cells"]:
        if "answer" in cell["metadata"].get("tags", []):
            cell["metadata"]["tags"] = ["hide-cell", "answer"]


def write_tutorials(docs: Path) -> None:
    """Copy the notebooks; fold their answers, and list them."""
    source, target = docs.parent / "notebooks", docs / "tutorials"
    for path in sorted([*source.glob("[0-9]*.ipynb"), *source.glob("ko/[0-9]*.ipynb")]):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        fold_answers(notebook)
        text = json.dumps(notebook, ensure_ascii=False, indent=1)
        put(target / path.relative_to(source), on_the_site(text))
    put(target / "colab.svg", (source / "colab.svg").read_text(encoding="utf-8"))
    pages = sorted(path.stem for path in source.glob("[0-9]*.ipynb"))
    trees = {"README.md": [*pages, "한국어 <ko/index>"], "ko/README.md": ["05_dlrm", "glossary"]}
    for name, names in trees.items():
        text = on_the_site((source / name).read_text(encoding="utf-8"))
        tree = "\n```{toctree}\n:hidden:\n\n" + "\n".join(names) + "\n```\n"
        put(target / name.replace("README", "index"), text + tree)
    text = (source / "ko" / "glossary.md").read_text(encoding="utf-8")
    put(target / "ko" / "glossary.md", on_the_site(text))


def on_the_site(text: str) -> str:
    """Turn links of the repository into links of the site."""
    for old, new in (
        ("(../notebooks/", "(tutorials/"),
        ("(../docs/", "(../"),
        ("README.md", "index.md"),
    ):
        text = text.replace(old, new)
    return text


# The API


def write_api(docs: Path) -> None:
    """List every public name, each with a page of its own."""
    text = heading("API reference", "=") + "``import minidlrm as md``\n\n"
    text += "Names at the top of ``md`` are listed with that name, under their topic.\n\n"
    for title, module in API.items():
        rows = ""
        for name in public_names(f"minidlrm.{module}"):
            short = name.split(".")[-1]
            rows += f"   minidlrm.{short}\n" if short in md.__all__ else f"   {name}\n"
        text += heading(title, "-")
        text += f".. autosummary::\n   :toctree: .\n   :nosignatures:\n\n{rows}\n"
    put(docs / "api" / "index.rst", text)


# The trace


def write_trace(docs: Path) -> None:
    """Trace one step of a small DLRM: the page that is stepped through without a kernel."""
    rng = np.random.default_rng(0)
    model = md.DLRM(4, [7, 5, 6], 3, bottom_mlp=(5,), top_mlp=(6,), seed=0)
    ids = np.array([[2, 0, 5], [2, 4, 1], [6, 4, 5], [0, 1, 5]])
    label = np.array([1.0, 0.0, 0.0, 1.0], np.float32)
    batch = md.data.Batch(rng.normal(size=(4, 4)).astype(np.float32), ids, label)
    put(docs / "_generated" / "steps.html", md.trace(model, batch).to_html())


def relink(app, name, source):
    """Let the links of a page below `docs/` lead to pages of the site."""
    if not name.startswith(("tutorials/", "api/", "derivations/")):
        source[0] = on_the_site(source[0]) if "](../notebooks/" in source[0] else source[0]


def speak(app, name, template, context, doctree):
    """Remove an ARIA role that screen readers no longer support."""
    if "body" in context:
        context["body"] = context["body"].replace(' role="doc-biblioentry"', "")


def setup(app):
    """Write the pages now, before Sphinx looks which files there are."""
    write(Path(app.srcdir))
    app.connect("source-read", relink)
    app.connect("html-page-context", speak)
    return {"parallel_read_safe": True}
