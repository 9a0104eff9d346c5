"""README and docs: what they name exists, and what is made from the code is up to date."""

import importlib
import importlib.util
import re
from pathlib import Path

import pytest
import typer

import minidlrm
from minidlrm.cli.app import make_app

ROOT = Path(__file__).parent.parent
PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "notebooks/README.md"))]
PAGES += sorted((ROOT / "docs").glob("*.md"))
PAGES += [ROOT / "README.ko.md", *sorted((ROOT / "docs" / "ko").glob("*.md"))]
PAGES += sorted((ROOT / "notebooks" / "ko").glob("*.md"))
WIDTH = 100


def the_readme_maker():
    spec = importlib.util.spec_from_file_location("readme", ROOT / "docs" / "_ext" / "readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_models_is_that_of_the_code():
    """If not: python docs/_ext/readme.py."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert the_readme_maker().models() in text
    assert the_readme_maker().with_tables(text) == text


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_library_name_that_a_page_mentions_exists(path):
    for name in set(re.findall(r"\bmd((?:\.[A-Za-z_]\w*)+)", path.read_text(encoding="utf-8"))):
        at = minidlrm
        for part in name.split(".")[1:]:
            if isinstance(at, type(minidlrm)) and not hasattr(at, part):
                importlib.import_module(f"{at.__name__}.{part}")
            at = getattr(at, part)


def commands():
    """Return the options of each command: "train" -> {"--model", ...}, "grade run" -> {...}."""
    found = {}

    def visit(command, name):
        for sub, each in getattr(command, "commands", {}).items():
            visit(each, f"{name} {sub}".strip())
        found[name] = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}

    visit(typer.main.get_command(make_app()), "")
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_and_option_that_a_page_mentions_exists(path):
    known = commands()
    text = path.read_text(encoding="utf-8")
    fenced = "\n".join(re.findall(r"^```.*?^```", text, re.M | re.S))
    lines = re.findall(r"^(?:\$ )?minidlrm (.*)", fenced, re.M)
    for line in lines + re.findall(r"(?<!`)`minidlrm ([^`\n]+)`", text):
        words = line.split("#")[0].split("&&")[0].split()
        name = (
            words[0]
            if words[0] in known and words[0] not in ("data", "grade")
            else " ".join(words[:2])
        )
        assert name in known, line
        options = {word.split("=")[0] for word in words if word.startswith("--")}
        assert options <= known[name] | {"--help"}, line


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_prose_is_wrapped_at_one_width(path):
    code = False
    for line in path.read_text(encoding="utf-8").splitlines():
        code ^= line.strip().startswith("```")
        free = code or line.lstrip().startswith(("|", "![", ":", "#")) or "](" in line
        assert free or len(line) <= WIDTH, line
