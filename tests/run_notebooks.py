"""Run every notebook in a clean kernel, with its blanks and with the answers in their place.

    pip install -e ".[notebooks]"
    pytest tests/run_notebooks.py

A few minutes long, so plain `pytest` leaves it out. Each notebook is run twice. With the blanks
(on real data where MINIDLRM_DATA is set): each check fails with a message, each folded answer
passes, and nothing breaks off. With the answers put into the blanks, on made data: every check
passes. Neither writes to stderr. Where both used the same data, they print the same numbers; with
MINIDLRM_LONG a notebook on real data is run a third time, on made data, for that.
MINIDLRM_EXECUTED names a folder that keeps the first run of each, which the site shows.
A translation has the code of its original, so it runs with MINIDLRM_LONG only.
"""

import ast
import os
import re
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext")
nbclient = pytest.importorskip("nbclient")

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[0-9]*.ipynb"))
if "MINIDLRM_LONG" in os.environ:
    NOTEBOOKS += sorted(FOLDER.glob("??/[0-9]*.ipynb"))
NOTEBOOKS.sort(key=lambda path: not path.name.startswith("07"))  # the longest one first
FAILS = ("FAILED", "not yet")
PASSES = ("ok", "right", "passes", "True")


def source_of(node, text):
    """Return the lines of a function, its decorators included."""
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return "\n".join(text.splitlines()[first - 1 : node.end_lineno])


def functions(text):
    return [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]


def with_answer(blank, answer):
    """Put each function NAME_answer of the answer cell in the place of the blank's NAME."""
    wrong = [n for n in functions(blank) if "your turn" in source_of(n, blank)]
    right = [n for n in functions(answer) if n.name.endswith("answer")]
    assert len(wrong) == len(right) == 1, (blank, answer)
    new = re.sub(rf"\b{right[0].name}\b", wrong[0].name, source_of(right[0], answer))
    return blank.replace(source_of(wrong[0], blank), new)


def blanks_of(notebook):
    """Return the pairs (blank, answer) of cells."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    pairs = []
    for k, cell in enumerate(code):
        if "your turn" in cell.source and "answer" not in cell.metadata.get("tags", []):
            rest = (c for c in code[k:] if "answer" in c.metadata.get("tags", []))
            pairs.append((cell, next(rest)))
    return pairs


def execute(path, answers, data, monkeypatch):
    monkeypatch.delenv("MPLBACKEND", raising=False)
    monkeypatch.setenv("MINIDLRM_DATA", data)
    notebook = jupytext.read(path)
    pairs = blanks_of(notebook)
    if answers:
        for blank, answer in pairs:
            blank.source = with_answer(blank.source, answer.source)
    client = nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3")
    client.execute(cwd=path.parent)
    return notebook, pairs


def text_of(cell):
    parts = []
    for output in cell.outputs:
        if output.output_type == "stream":
            assert output.name == "stdout", f"a cell wrote to stderr: {output.text}\n{cell.source}"
            parts.append(output.text)
        else:
            parts.append(output.data.get("text/plain", "") + "\n")
    return "".join(parts)


def numbers_of(notebook):
    """Return what each cell printed; not measured times, blanks, or addresses in memory."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    texts = {}
    for k, cell in enumerate(cells):
        text = text_of(cell)
        if "timing" not in cell.metadata.get("tags", []) and " at 0x" not in text:
            texts[k] = text
    return texts


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_notebook_runs_with_blanks_and_with_answers(path, monkeypatch):
    data = os.environ.get("MINIDLRM_DATA", "")
    notebook, pairs = execute(path, False, data, monkeypatch)
    assert pairs, "no blank for the reader"
    if "MINIDLRM_EXECUTED" in os.environ:
        kept = Path(os.environ["MINIDLRM_EXECUTED"], path.relative_to(FOLDER))
        kept.parent.mkdir(parents=True, exist_ok=True)
        jupytext.write(notebook, kept)
    for blank, answer in pairs:
        assert any(word in text_of(blank) for word in FAILS), text_of(blank)
        assert not any(word in text_of(answer) for word in (*FAILS, "False")), text_of(answer)
        assert any(word in text_of(answer) for word in PASSES), text_of(answer)
        assert text_of(answer).startswith("the answer:"), text_of(answer)  # not the reader's
    before = numbers_of(notebook)
    notebook, pairs = execute(path, True, "", monkeypatch)
    for blank, _ in pairs:
        assert not any(word in text_of(blank) for word in FAILS), text_of(blank)
        assert any(word in text_of(blank) for word in PASSES), text_of(blank)
    after = numbers_of(notebook)
    if "MINIDLRM_DATA" in path.read_text() and data:
        if "MINIDLRM_LONG" not in os.environ:
            return  # two runs on the same data are a third run: .ci/run --long
        before = numbers_of(execute(path, False, "", monkeypatch)[0])
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    filled = {k for k, cell in enumerate(code) if any(cell is blank for blank, _ in pairs)}
    for k in before.keys() - filled:
        assert before[k] == after[k], f"two runs differ in the cell\n{code[k].source}"
