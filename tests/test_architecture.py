"""docs/architecture.md: the tree and the levels that it shows are those of the code."""

import importlib
import inspect
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CONTRACT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]["contracts"][0]
MODULES = {
    path.stem
    for path in (ROOT / "minidlrm").iterdir()
    if path.suffix == ".py" or (path / "__init__.py").is_file()
} - {"__init__"}


def test_the_page_shows_the_levels_that_the_linter_checks():
    shown = PAGE.partition("<!-- levels -->")[2].partition("<!-- levels end -->")[0]
    levels = [re.findall(r"`(\w+)`", line) for line in shown.strip().splitlines()]
    assert levels == [re.findall(r"\w+", layer) for layer in CONTRACT["layers"]]
    assert {name for level in levels for name in level} >= MODULES


@pytest.mark.parametrize("name", sorted(MODULES - {"__main__"}))
def test_the_tree_shows_every_module(name):
    tree = PAGE.partition("```\nminidlrm/")[2].partition("\n```")[0]
    assert re.search(rf"\b{name}(\.py|/)", tree), name


def test_no_file_of_the_package_is_too_long():
    files = {path: path.read_text(encoding="utf-8") for path in (ROOT / "minidlrm").rglob("*.py")}
    long = {path.name for path, text in files.items() if len(text.splitlines()) > 450}
    assert not long


def test_no_module_has_the_name_of_what_its_package_exports():
    """Otherwise ``import minidlrm.figure.diagram as d`` would give a function."""
    for init in (ROOT / "minidlrm").rglob("__init__.py"):
        package = importlib.import_module(".".join(init.parent.relative_to(ROOT).parts))
        for name in getattr(package, "__all__", ()):
            module = (init.parent / f"{name}.py").is_file() or (init.parent / name).is_dir()
            assert not module or inspect.ismodule(getattr(package, name)), f"{package}: {name}"
