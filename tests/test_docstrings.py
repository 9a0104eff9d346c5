"""Every public name is documented: what it takes, gives and raises, an example, its source.

Public is what a package of ``PACKAGES`` lists in ``__all__``; where a module has no ``__all__``,
every function and class that is defined in it and has no leading underscore. Methods and
properties without a leading underscore are public with their class.

Asked for is what a reader needs to call the thing, not length. Functions and classes have numpydoc
sections, and an example where a user calls them. Methods may say the same in a sentence or two:
"Compute y (B, D) from x (B, D); ValueError on another shape." `Module.backward` says once for all
layers what a wrong `dy`, or a `backward` too many, raises. A bad size or name in a constructor
raises ValueError everywhere, which names the argument: no class repeats it. Kernels are internal.
"""

import ast
import dataclasses
import functools
import importlib
import inspect
import io
import re
import textwrap
import warnings

import pytest
from docutils.core import publish_doctree
from numpydoc.docscrape import ClassDoc, FunctionDoc

from minidlrm.module import Module
from minidlrm.optim import Optimizer

PACKAGES = [
    "minidlrm",
    *(
        f"minidlrm.{name}"
        for name in ("checking", "checkpoint", "data", "exploring", "figure", "interop")
    ),
    *(f"minidlrm.{name}" for name in ("layers", "losses", "metrics", "models")),
    *(f"minidlrm.{name}" for name in ("module", "optim", "plots", "tracing", "training")),
]
NEED_SOURCE = tuple(
    f"minidlrm.{name}." for name in ("layers", "losses", "optim", "models", "metrics")
)
# Nobody's invention: definitions, baselines, and the parts that others are made of.
WITHOUT_SOURCE = {
    "minidlrm.layers.activation.Sigmoid",
    "minidlrm.layers.activation.sigmoid",
    "minidlrm.layers.fields.LinearTerm",
    "minidlrm.layers.interaction.Flatten",
    "minidlrm.layers.interaction.Interaction",
    "minidlrm.losses.Loss",
    "minidlrm.losses.MSE",
    "minidlrm.metrics.accuracy",
    "minidlrm.metrics.entropy",
    "minidlrm.metrics.log_loss",
    "minidlrm.metrics.rmse",
    "minidlrm.models.deepfm.MLPModel",
    "minidlrm.models.logistic.LogisticRegression",
    "minidlrm.models.model.Model",
    "minidlrm.models.model.ModelEntry",
    "minidlrm.optimizer.Optimizer",
    "minidlrm.optim.OptimizerGroup",
}
SHAPE = re.compile(r"\([^()]*(\([^()]*\)[^()]*)?,[^()]*\)|shape|any size|\bAs `|\bSee `|\bas `")
# A gradient's symbol, on the left of an equals sign in a formula: d... = or \partial ... =
DERIVATION = re.compile(r"(\bd\\?[A-Za-z]|\\partial|\bd/d)[^`]*=", re.DOTALL)


def _exported(package: str) -> list[tuple[str, object]]:
    """Return (name, object) for the public names of a package."""
    module = importlib.import_module(package)
    if hasattr(module, "__all__"):
        return [(name, getattr(module, name)) for name in module.__all__]
    return [
        (name, value)
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == package
    ]


def _collect() -> tuple[dict, dict, dict]:
    """Return the public functions and classes, their members, and what is neither, by name."""
    objects, members, others = {}, {}, {}
    for package in PACKAGES:
        for name, value in _exported(package):
            if inspect.isclass(value) or inspect.isfunction(value):
                objects[f"{value.__module__}.{value.__qualname__}"] = value
            elif not inspect.ismodule(value):
                others[f"{package}.{name}"] = value
    for name, value in objects.items():
        for member, raw in vars(value).items() if inspect.isclass(value) else ():
            function = getattr(raw, "fget", None) or getattr(raw, "func", None) or raw
            if not member.startswith("_") and inspect.isfunction(function):
                members[f"{name}.{member}"] = (value, function, function is not raw)
    return objects, members, others


OBJECTS, MEMBERS, OTHERS = _collect()
FULL = sorted(OBJECTS)
SHORT = sorted(MEMBERS)
FORWARDS = [
    name
    for name, value in OBJECTS.items()
    if "forward" in vars(value) and name.startswith(("minidlrm.layers.", "minidlrm.models."))
]
BACKWARDS = sorted(
    name
    for name in MEMBERS
    if name.endswith(".backward") and name.startswith(("minidlrm.layers.", "minidlrm.losses."))
)


def _thing(name: str) -> object:
    return MEMBERS[name][1] if name in MEMBERS else OBJECTS[name]


def _text(name: str) -> str:
    value = _thing(name)
    own = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
    if own and own.startswith(f"{value.__name__}(") and dataclasses.is_dataclass(value):
        own = None  # what @dataclass writes where there is no docstring
    return inspect.cleandoc(own or "")


def _told(name: str) -> str:
    """The text of a method, with that of `Optimizer` where it is said once for all rules."""
    _, _, member = name.rpartition(".")
    inherited = name.startswith("minidlrm.optim") and hasattr(Optimizer, member)
    return _text(name) + (getattr(Optimizer, member).__doc__ or "" if inherited else "")


@functools.cache
def _doc(name: str):
    """Parse a docstring; numpydoc warns of sections that it does not know."""
    value = _thing(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if inspect.isclass(value):
            return ClassDoc(value, doc=_text(name), config={"show_class_members": False})
        return FunctionDoc(value, doc=_text(name))


def _names(items) -> list[str]:
    """Split numpydoc's entries such as "rng, dtype" into names."""
    return [name.strip() for item in items for name in item.name.split(",")]


def _parameters(value) -> list[str]:
    """Return the names that a caller may give, with the stars of *args and **kwargs."""
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    return [
        stars.get(parameter.kind, "") + name
        for name, parameter in inspect.signature(value).parameters.items()
        if name != "self" and not name.startswith("_")
    ]


def _gives(function) -> bool:
    """Whether a function returns or yields something other than None."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    returns = [node for node in ast.walk(tree) if isinstance(node, ast.Return) and node.value]
    gives = any(not (isinstance(r.value, ast.Constant) and r.value.value is None) for r in returns)
    if any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in ast.walk(tree)):
        return True
    return gives and function.__annotations__.get("return", "?") not in (None, "None")


def _raises(function, owner=None, seen=None) -> set[str]:
    """Return the exceptions of a function, and of the methods and private helpers it calls."""
    seen = set() if seen is None else seen
    if function in seen or not inspect.isfunction(function) or owner is Module:
        return set()
    if function.__code__.co_filename.startswith("<"):  # what @dataclass writes
        return set()
    seen.add(function)
    found = set()
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        if isinstance(node, (ast.Raise, ast.Return)):  # a helper may return what is raised
            error = node.exc if isinstance(node, ast.Raise) else node.value
            callee = getattr(error, "func", error)
            if isinstance(callee, ast.Name) and callee.id.endswith(("Error", "Exception")):
                found.add(callee.id)
        if isinstance(node, ast.Call):
            found |= _raises_of_call(node.func, function, owner, seen)
    return found - {"NotImplementedError"}


def _raises_of_call(called, function, owner, seen) -> set[str]:
    if isinstance(called, ast.Name) and called.id.startswith("_"):
        return _raises(function.__globals__.get(called.id), owner, seen)
    if not (isinstance(called, ast.Attribute) and owner):
        return set()
    mro = owner.__mro__
    if ast.unparse(called.value) == "super()":
        at = [cls for cls in mro if function in vars(cls).values()]
        mro = mro[mro.index(at[0]) + 1 :] if at else mro
    elif ast.unparse(called.value) != "self":
        return set()
    home = next((cls for cls in mro if called.attr in vars(cls)), None)
    if home is None or home is Module or not home.__module__.startswith("minidlrm"):
        return set()
    return _raises(vars(home)[called.attr], owner, seen)


def _raises_when_made(cls) -> set[str]:
    return set().union(
        *(_raises(getattr(cls, name, None), cls) for name in ("__init__", "__post_init__"))
    )


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_a_public_value_is_explained_in_its_modules_docstring(name):
    package, _, value = name.rpartition(".")
    text = importlib.import_module(package).__doc__ or ""
    assert f"`{value}`" in text, f"{name}: say in the docstring of {package} what `{value}` is"


@pytest.mark.parametrize("name", PACKAGES)
def test_a_public_module_has_a_docstring(name):
    assert importlib.import_module(name).__doc__, f"{name}: write what lives in it, and why"


@pytest.mark.parametrize("name", FULL + SHORT)
def test_there_is_a_summary(name):
    assert _text(name), f"{name}: there is no docstring: write one line that says what it does"
    summary = " ".join(_doc(name)["Summary"])
    assert summary, f"{name}: the docstring does not begin with a summary: write what it does"
    assert len(_text(name).splitlines()[0]) > 8, f"{name}: the summary {summary!r} says too little"


@pytest.mark.parametrize("name", FULL)
def test_every_parameter_is_documented(name):
    there, told = _parameters(_thing(name)), _names(_doc(name)["Parameters"])
    missing = [parameter for parameter in there if parameter not in told]
    assert not missing, f"{name}: the section Parameters lacks {missing}: say what each one is"
    extra = [parameter for parameter in told if parameter not in there]
    assert not extra, f"{name}: the section Parameters has {extra}: there are no such parameters"
    empty = [item.name for item in _doc(name)["Parameters"] if not "".join(item.desc).strip()]
    assert not empty, f"{name}: the section Parameters does not say what {empty} are"


@pytest.mark.parametrize("name", SHORT)
def test_a_method_names_its_parameters(name):
    if name in MEMBERS and MEMBERS[name][2]:
        return  # a property
    there, told = _parameters(_thing(name)), _names(_doc(name)["Parameters"])
    extra = [parameter for parameter in told if parameter not in there]
    assert not extra, f"{name}: the section Parameters has {extra}: there are no such parameters"
    missing = [
        parameter
        for parameter in there
        if not re.search(rf"(?<![A-Za-z_]){parameter.lstrip('*')}(?![A-Za-z_])", _told(name))
    ]
    if told:
        missing = [parameter for parameter in there if parameter not in told]
    assert not missing, f"{name}: the docstring does not name {missing}: say what each one is"


@pytest.mark.parametrize("name", FULL)
def test_what_is_returned_is_documented(name):
    value = _thing(name)
    if inspect.isclass(value) or not _gives(value):
        return
    told = _doc(name)["Returns"] or _doc(name)["Yields"]
    assert told, f"{name}: the section Returns (or Yields) is missing: say type, shape and meaning"


@pytest.mark.parametrize("name", SHORT)
def test_a_method_says_what_it_returns(name):
    if (name in MEMBERS and MEMBERS[name][2]) or not _gives(_thing(name)):
        return
    said = re.search(r"\b(return|compute|yield|whether)|->", _text(name), re.IGNORECASE)
    assert said, f"{name}: the docstring does not say what is returned: write 'Return ...'"


@pytest.mark.parametrize("name", FULL)
def test_arrays_have_their_shapes(name):
    value, doc = _thing(name), _doc(name)
    annotations = {k: str(p.annotation) for k, p in inspect.signature(value).parameters.items()}
    for item in doc["Parameters"] + doc["Attributes"] + doc["Returns"] + doc["Yields"]:
        kinds = [item.type, item.name if item in doc["Returns"] else ""]
        kinds += [annotations.get(parameter, "") for parameter in _names([item])]
        is_array = any(re.search(r"\bn?d?arrays?\b", kind) for kind in kinds)
        if is_array and not any("dict" in kind or "Axes" in kind for kind in kinds):
            text = " ".join([item.name, item.type, *item.desc])
            assert SHAPE.search(text), (
                f"{name}: `{item.name} : {item.type}` is an array without its shape: "
                "write it after the type, as in 'float array (B, D)'"
            )


@pytest.mark.parametrize("name", SHORT)
def test_a_methods_arrays_have_their_shapes(name):
    hints = [str(hint) for hint in _thing(name).__annotations__.values()]
    if any("ndarray" in hint and "dict" not in hint for hint in hints):
        assert SHAPE.search(_told(name)), (
            f"{name}: takes or returns an array, and names no shape: write it as in 'y (B, D)'"
        )


@pytest.mark.parametrize("name", FULL)
def test_every_error_is_documented(name):
    value = _thing(name)
    raised = _raises_when_made(value) if inspect.isclass(value) else _raises(value)
    if inspect.isclass(value):
        raised -= {"ValueError"}  # a bad argument; see above
    told = " ".join(item.type or item.name for item in _doc(name)["Raises"])
    missing = sorted(error for error in raised if error not in told)
    assert not missing, f"{name}: the section Raises lacks {missing}: say when each one is raised"


@pytest.mark.parametrize("name", SHORT)
def test_a_method_names_its_errors(name):
    owner, function, _ = MEMBERS.get(name, (None, OBJECTS.get(name), False))
    missing = sorted(error for error in _raises(function, owner) if error not in _text(name))
    assert not missing, f"{name}: the docstring does not name {missing}: say when each is raised"


@pytest.mark.parametrize("name", sorted(OBJECTS))
def test_there_is_an_example_that_runs(name):
    lines = [line for line in _doc(name)["Examples"] if line.lstrip().startswith(">>>")]
    assert lines, f"{name}: the section Examples is missing: show a call and what it gives"
    runs = [line for line in lines if "import" not in line and "doctest: +SKIP" not in line]
    assert runs, f"{name}: the section Examples only imports, or is skipped: show one that runs"


@pytest.mark.parametrize("name", [name for name in FULL if name.startswith(NEED_SOURCE)])
def test_what_comes_from_a_paper_names_it(name):
    if name in WITHOUT_SOURCE:
        return
    text = " ".join(_doc(name)["References"])
    assert text, (
        f"{name}: the section References is missing: name the paper (authors, year, title, and "
        "section or equation), or the code; if it has no source, add it to WITHOUT_SOURCE"
    )
    assert re.search(r"\b(19|20)\d\d\b|``", text), f"{name}: References names no year, and no code"


def test_the_names_without_a_source_exist():
    unknown = sorted(WITHOUT_SOURCE - set(FULL))
    assert not unknown, f"WITHOUT_SOURCE has {unknown}: there are no such public names"
    told = [name for name in sorted(WITHOUT_SOURCE) if _doc(name)["References"]]
    assert not told, f"{told} have References: take them out of WITHOUT_SOURCE"


@pytest.mark.parametrize("name", FORWARDS)
def test_forward_is_on_the_first_screen_of_its_class(name):
    cls = OBJECTS[name]
    begin, forward = inspect.getsourcelines(cls)[1], inspect.getsourcelines(cls.forward)[1]
    assert forward - begin <= 40, f"{name}: forward is {forward - begin} lines below `class`"


@pytest.mark.parametrize("name", BACKWARDS)
def test_backward_holds_its_derivation(name):
    if name == "minidlrm.losses.Loss.backward":
        return  # each loss has its own
    text = _text(name)
    assert re.search(r"dL/d|\\partial L", text), f"{name}: write which gradient is returned: dL/dx"
    formulas = re.findall(r":math:`([^`]*)`", text) + re.findall(r"::\n\n((?: +.*\n?|\n)+)", text)
    elsewhere = re.search(r"`\w+\.backward`", text)
    assert elsewhere or any(DERIVATION.search(formula) for formula in formulas), (
        f"{name}: the derivation is missing: a formula for each gradient, from dy to dx, in "
        ":math:`dx = ...` or in a literal block, or a link such as `Linear.backward`"
    )


@pytest.mark.parametrize("name", FULL + SHORT)
def test_the_text_is_valid_restructuredtext(name):
    doc = _doc(name)
    entries = [
        item for kind in ("Parameters", "Attributes", "Returns", "Raises") for item in doc[kind]
    ]
    parts = [doc["Summary"], doc["Extended Summary"], *(item.desc for item in entries)]
    parts += [doc["Notes"], doc["References"], doc["Examples"]]
    heard = io.StringIO()
    settings = {"warning_stream": heard, "report_level": 2, "halt_level": 6}
    publish_doctree("\n\n".join("\n".join(part) for part in parts), settings_overrides=settings)
    assert not heard.getvalue(), f"{name}: the docstring is not valid reST: {heard.getvalue()}"
