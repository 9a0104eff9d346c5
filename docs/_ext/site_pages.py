"""The pages that are made from the code: derivations, tutorials, API, and a trace to step through.

Each is written into a folder of `docs/` that git ignores. A file is only written when its text
changes, so that Sphinx reads again what is new.
"""

import inspect
import json
from collections.abc import Container
from importlib import import_module
from pathlib import Path

import derivations
import numpy as np
import site_words
from derivations import topics
from writing import heading, put

import minidlrm as md
from minidlrm.exploring.cinema import demonstration

ROOT = Path(__file__).parents[2]


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
    "Touch a model": "exploring",
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
    derivations.write(docs)
    write_tutorials(docs)
    write_api(docs)
    write_trace(docs)
    write_explore(docs)
    site_words.write_scripts(docs)


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


# Code


def write_code(docs: Path) -> None:
    """Write a page for each file of the library, and for the tests of layers and of the paper."""
    root = docs.parent
    files = sorted(root.glob("minidlrm/**/*.py"))
    tests = [root / "tests" / f"test_{topic.split('.')[-1]}.py" for topic in topics()]
    files += [path for path in tests if path.exists()] + sorted(root.glob("tests/test_paper*.py"))
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


def fold_answers(notebook: dict, lang: str = "en") -> None:
    """Hide the cells that give an answer, until a reader opens them."""
    tell = site_words.teller(lang)
    for verb in ("Show", "Hide"):
        notebook["metadata"].setdefault("mystnb", {})[f"code_prompt_{verb.lower()}"] = tell(
            f"{verb} code cell {{type}}"
        )
    for cell in notebook["cells"]:
        if "answer" in cell["metadata"].get("tags", []):
            cell["metadata"]["tags"] = ["hide-cell", "answer"]


def write_tutorials(docs: Path) -> None:
    """Copy the notebooks; fold their answers, and list them."""
    source, target = docs.parent / "notebooks", docs / "tutorials"
    for path in sorted([*source.glob("[0-9]*.ipynb"), *source.glob("ko/[0-9]*.ipynb")]):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        fold_answers(notebook, "ko" if path.parent.name == "ko" else "en")
        text = json.dumps(notebook, ensure_ascii=False, indent=1)
        put(target / path.relative_to(source), on_the_site(text))
    put(target / "colab.svg", (source / "colab.svg").read_text(encoding="utf-8"))
    pages = sorted(path.stem for path in source.glob("[0-9]*.ipynb"))
    korean = sorted(path.stem for path in source.glob("ko/[0-9]*.ipynb"))
    trees = {"README.md": pages, "ko/README.md": [*korean, "glossary"]}
    for name, names in trees.items():
        text = on_the_site((source / name).read_text(encoding="utf-8"))
        tree = "\n```{toctree}\n:hidden:\n\n" + "\n".join(names) + "\n```\n"
        put(target / name.replace("README", "index"), text + tree)
    text = (source / "ko" / "glossary.md").read_text(encoding="utf-8")
    put(target / "ko" / "glossary.md", on_the_site(text))


def on_the_site(text: str) -> str:
    """Turn links of the repository into links of the site."""
    for old, new in (
        ("(../../notebooks/", "(../tutorials/"),
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
    step, made = md.trace(model, batch), docs / "_generated"
    for lang, folder in (("en", ""), ("ko", "ko/")):
        put(made / folder / "steps.html", step.to_html(lang=lang))


def write_explore(docs: Path) -> None:
    """Write the page that can be touched: a small DLRM, trained on a cinema that we made up."""
    page, made = demonstration(), docs / "_generated"
    for lang, folder in (("en", ""), ("ko", "ko/")):
        alone = made / "alone" / folder / "touch.html"
        alone.parent.mkdir(parents=True, exist_ok=True)
        put(made / folder / "explore.html", page.to_html(alone, lang))


def relink(app, name, source):
    """Let the links of a page below `docs/` lead to pages of the site."""
    if not name.startswith(("tutorials/", "api/", "derivations/")):
        source[0] = on_the_site(source[0]) if "../notebooks/" in source[0] else source[0]


def is_korean(name: str) -> bool:
    """Return whether a page is one of the Korean edition."""
    return name.startswith(("ko/", "tutorials/ko/"))


def other_language(name: str, known: Container[str]) -> str:
    """Return the same page in the other language; its landing page when it is not translated.

    Parameters
    ----------
    name : str
        A page: "faq", "ko/faq", "tutorials/05_dlrm".
    known : container of str
        All pages.
    """
    if is_korean(name):
        twin = "glossary" if name == "tutorials/ko/glossary" else name.replace("ko/", "", 1)
        return twin if twin in known else "index"
    folder, _, page = name.rpartition("/")
    twin = f"tutorials/ko/{page}" if folder == "tutorials" or name == "glossary" else f"ko/{name}"
    return twin if twin in known else "ko/index"


def switch_language(app, name, template, context, doctree):
    """Tell the templates which language a page has, and where it is in the other one."""
    context["other_language"] = other_language(name, app.env.found_docs)
    context["is_korean"] = is_korean(name)


def say_words(app, name, template, context, doctree):
    """Let the words around a page be in its language."""
    if is_korean(name):
        site_words.speak(app, name, context, "ko", site_words.teller("ko"))


def speak(app, name, template, context, doctree):
    """Remove an ARIA role that screen readers no longer support."""
    if "body" in context:
        context["body"] = context["body"].replace(' role="doc-biblioentry"', "")


def setup(app):
    """Write the pages now, before Sphinx looks which files there are."""
    write(Path(app.srcdir))
    app.connect("source-read", relink)
    app.connect("html-page-context", speak)
    app.connect("html-page-context", switch_language)
    app.connect("html-page-context", say_words, priority=900)  # after the theme's own
    app.connect("html-collect-pages", site_words.search_pages)
    return {"parallel_read_safe": True}
