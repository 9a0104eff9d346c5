"""The notebooks: each is a pair of files that agree, with short cells and no outputs."""

import ast
import importlib
import re
import tomllib
from pathlib import Path

import pytest
import typer

import minidlrm
from minidlrm.cli.app import make_app

jupytext = pytest.importorskip("jupytext", reason="jupytext is not installed: no notebooks")

FOLDER = Path(__file__).parent.parent / "notebooks"
TRANSLATIONS = sorted(FOLDER.glob("??/*.ipynb"))
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb")) + TRANSLATIONS
MAX_LINES = 25


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_both_files_of_a_pair_agree(path):
    """If not: jupytext --to ipynb notebooks/NAME.py (the script is the source)."""
    notebook, script = jupytext.read(path), jupytext.read(path.with_suffix(".py"))
    assert [(c.cell_type, c.source) for c in notebook.cells] == [
        (c.cell_type, c.source) for c in script.cells
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped_and_cells_are_short(path):
    for cell in jupytext.read(path).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
            assert len(cell.source.splitlines()) <= MAX_LINES, cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_first_code_cell_installs_in_colab(path):
    first = next(cell for cell in jupytext.read(path).cells if cell.cell_type == "code")
    assert '"pip", "install"' in first.source


@pytest.mark.parametrize("path", TRANSLATIONS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_translation_has_the_code_of_the_original(path):
    """Comments are translated; the code, and its formulas in the text, are the same."""
    ours, original = jupytext.read(path), jupytext.read(FOLDER / path.name)
    for kind in ("code", "markdown"):
        mine, theirs = ([c for c in n.cells if c.cell_type == kind] for n in (ours, original))
        assert len(mine) == len(theirs)
        for cell, its_original in zip(mine, theirs, strict=True):
            if kind == "code":
                trees = [ast.dump(ast.parse(c.source)) for c in (cell, its_original)]
            else:
                trees = [sorted(re.findall(r"\$\$.*?\$\$", c.source)) for c in (cell, its_original)]
            assert trees[0] == trees[1], cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_badge_opens_the_notebook_in_colab(path):
    """To the notebook itself as soon as pyproject.toml says which repository holds it."""
    project = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text(encoding="utf-8"))
    address = project["project"].get("urls", {}).get("Repository", "")
    want = "https://colab.research.google.com/github/"
    if address:
        place = path.relative_to(FOLDER.parent).as_posix()
        want += f"{address.split('github.com/')[1].rstrip('/')}/blob/main/{place}"
    title = next(cell for cell in jupytext.read(path).cells if cell.cell_type == "markdown")
    found = re.search(r"\[!\[[^]]+\]\((.*?)\)\]\((.*?)\)", title.source)
    assert (path.parent / found[1]).exists()
    assert found[2] == want


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_section_has_a_blank(path):
    """But the museum, where the reader hunts, a reading list, and what to remember."""
    blanks, section = {}, ""
    for cell in jupytext.read(path).cells:
        for title in re.findall(r"^## (\d.*)", cell.source, re.MULTILINE):
            if cell.cell_type == "markdown":
                section = title
                blanks[section] = 0
        if cell.cell_type == "code" and section and "answer" not in cell.metadata.get("tags", []):
            blanks[section] += "your turn" in cell.source
    without = [title for title, number in blanks.items() if not number]
    hunts = ("museum", "Reading list", "박물관", "읽을거리")
    assert [title for title in without if not any(word in title for word in hunts)] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_an_answer_says_that_it_is_the_answer(path):
    """Or its "right" is taken for the reader's own, directly above it."""
    for cell in jupytext.read(path).cells:
        if "answer" in cell.metadata.get("tags", []):
            assert 'print("the answer:' in cell.source, cell.source


def names_of(tree):
    """Return every md.NAME..., and every name imported from minidlrm, as dotted paths."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("minidlrm"):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        if isinstance(node, ast.Attribute):
            parts, at = [node.attr], node.value
            while isinstance(at, ast.Attribute):
                parts, at = [at.attr, *parts], at.value
            if isinstance(at, ast.Name) and at.id == "md":
                found.add(".".join(["minidlrm", *parts]))
    return found


def exists(name):
    at = minidlrm
    for part in name.split(".")[1:]:
        if not isinstance(at, type(minidlrm)) and not isinstance(at, type):
            return True  # an attribute of a value, that running the cell looks at
        if not hasattr(at, part):
            try:
                importlib.import_module(f"{at.__name__}.{part}")
            except ImportError:
                return False
        at = getattr(at, part)
    return True


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_library_name_that_is_mentioned_exists(path):
    names = set()
    for cell in jupytext.read(path).cells:
        if cell.cell_type == "code":
            names |= names_of(ast.parse(cell.source))
        else:
            mentioned = re.findall(r"`md((?:\.\w+)+)", cell.source)
            names |= {f"minidlrm{name}" for name in mentioned}
    assert [name for name in sorted(names) if not exists(name)] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_files_and_commands_that_are_mentioned_exist(path):
    text = "\n".join(c.source for c in jupytext.read(path).cells if c.cell_type == "markdown")
    for target in re.findall(r"\]\(([^)#\s]+)\)", text):
        if "://" not in target:
            assert (path.parent / target).exists(), target
    for target in re.findall(r"`((?:minidlrm|kernels|checking|layers)/[\w/.]*)`", text):
        place = target if target.startswith("minidlrm") else f"minidlrm/{target}"
        assert (FOLDER.parent / place).exists(), target
    commands = set(re.findall(r"`minidlrm ([a-z]+)", text))
    assert commands <= set(typer.main.get_command(make_app()).commands), commands


ROWS = (FOLDER.parent / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines()
GLOSSARY = set(re.findall(r"[A-Za-z]\w*", "".join(r.split("|")[1] for r in ROWS if r[:1] == "|")))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_symbols_in_shape_comments_are_the_glossarys_or_are_introduced(path):
    """A comment such as ``# (B, F, D)`` uses symbols that the reader has met."""
    cells = jupytext.read(path).cells
    prose = " ".join(cell.source for cell in cells if cell.cell_type == "markdown")
    for cell in cells:
        for shape in re.findall(
            r"#\s+\(([^()]*)\)", cell.source if cell.cell_type == "code" else ""
        ):
            for symbol in re.findall(r"[A-Za-z]\w*", shape):
                introduced = re.search(rf"(?<![A-Za-z]){symbol}(?![A-Za-z])", prose)
                assert symbol in GLOSSARY or introduced or len(symbol) > 3, (symbol, cell.source)


SIGNS = set(
    re.findall(
        r"\S+",
        r"""\Big \big \Pr \approx \bmod \cdot \cdots \dots \exp \frac \geq \in \infty \langle
        \leftarrow \left \leq \log \max \min \ne \odot \partial \quad \qquad \rangle \right
        \sqrt \sum \tanh \textstyle \tfrac \times \to \top""",
    )
)
SUBSCRIPT = r"_(?:\{(?:[^{}]|\{[^}]*\})*\}|\\[A-Za-z]+|\w)"


def formulas_of(text):
    found = re.findall(r"\$\$(.+?)\$\$|(?<![\\$`])\$([^$\n]+?)\$", text, re.S)
    plain = (re.sub(SUBSCRIPT, " ", display or inline) for display, inline in found)
    return [re.sub(r"\\(?:bar|hat)\b", " ", formula) for formula in plain]


def symbols_of(formula):
    """Return the letters of a formula: a, dy, \\sigma; not those in words and subscripts."""
    formula = re.sub(r"\\(?:text|mathrm|operatorname|begin|end)\{[^}]*\}", " ", formula)
    found = set()
    for word in re.findall(r"d?\\[A-Za-z]+|[A-Za-z]+", formula):
        if re.fullmatch(r"d\\?[A-Za-z]+", word) and (len(word) == 2 or "\\" in word):
            found |= {word[1:]} - SIGNS  # dy comes with y
        elif word.startswith("\\"):
            found |= {word} - SIGNS
        else:
            found |= set(word)
    return found


def introduced_in(text):
    """Return the symbols that are alone in math or code, or are said to equal something."""
    alone = r"\s*d?(\\?[A-Za-z]+)\s*(?:\^\S+)?\s*(?:\([^)]*\))?\s*"
    ends = r"(?:$|,|=|\\(?:in|approx|leq|geq|to|times)\b)"
    found = {m[1] for f in formulas_of(text) if (m := re.match(alone + ends, f))}
    return found | set(re.findall(r"`([A-Za-z]+)`", text))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_symbols_in_formulas_are_the_glossarys_or_are_introduced_first(path):
    """Introduced: a cell says what it is, or what it equals, not later than it is used."""
    seen = GLOSSARY | {r"\sigma", "e", "d", "O"}
    for cell in jupytext.read(path).cells:
        if cell.cell_type == "markdown":
            seen |= introduced_in(cell.source)
            for formula in formulas_of(cell.source):
                assert symbols_of(formula) <= seen, (formula, symbols_of(formula) - seen)
