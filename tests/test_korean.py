"""The Korean edition: the same formulas and code, no English sentence, the glossary's terms."""

import functools
import re

import pytest
from korean_words import KO, ROOT, other_words

from minidlrm.grading import assignment, derivations, likeness, proving, release, runner

jupytext = pytest.importorskip("jupytext", reason="jupytext is not installed: no notebooks")

NOTEBOOKS = sorted(KO.glob("[0-9]*.py"))
SHEETS = sorted(ROOT.glob("notebooks/assignments/*/ko/*.py"))
TEXTS = [*NOTEBOOKS, *SHEETS]
PAGES = [ROOT / "README.ko.md", *sorted(ROOT.glob("docs/ko/*.md")), *sorted(KO.glob("*.md"))]
# names, and words that are on the screen or in the code; everything else is said in Korean
ALLOWED = set(
    re.findall(
        r"\S+",
        """
    Adagrad Adam AUC BLAS Colab Criteo CIN CSV DCN Deep DeepFM DLRM English FIFO FLOPs FM GB GMF
    HR JSON Kaggle Keras KiB LaTeX latest-small Lazy Leaky LR LRU MF MLP MovieLens MPI NCF NDCG
    NeuMF Next Numba NumPy PyTorch README ReLU RMSE Row-wise SGD STUDENT SVD TB TensorFlow True
    Wide XOR
    backward float matplotlib minidlrm pickle safetensors xDeepFM
    Cheng Guo He Lian Mudigere Naumov Rendle Wang Weinberger
    db dx dW dy train_and_predict
    """,
    )
)


@functools.cache
def markdown_of(path):
    if path.suffix == ".md":
        return [path.read_text(encoding="utf-8")]
    return [c.source for c in jupytext.read(path).cells if c.cell_type == "markdown"]


def prose_of(text):
    """Return a text without code, math, goals of links, brackets and a reading list."""
    for part in (
        r"(?s)```.*?```|`[^`]*`",
        r"(?s)\$\$.*?\$\$",
        r"\$[^$\n]*\$",
        r"<[^>]*>|\]\([^)]*\)",
        r"(?m)^- .* et al\. .*\n(?:  .*\n)*",
        r'"[^"]*"',
        r"\([^()]*\)",
        r"(?m)^(?:BEGIN SOLUTION \S+|END SOLUTION)",
    ):
        text = re.sub(part, " ", text + "\n")
    return text


def english_in(text):
    """Return the English words of a text that are not among the allowed ones."""
    words = re.findall(r"(?<![0-9A-Za-z])[A-Za-z][A-Za-z'_-]+", prose_of(text))
    return [word for word in words if word not in ALLOWED]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_no_english_word_is_left(path):
    assert [word for text in markdown_of(path) for word in english_in(text)] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_no_english_sentence_is_left_on_a_page(path):
    """Pages name many products and files: no four words in a row."""
    sentence = r"(?:[A-Za-z][A-Za-z'-]+ +){3}[A-Za-z]+"
    assert re.findall(sentence, prose_of(path.read_text(encoding="utf-8"))) == []


def test_an_english_sentence_is_noticed():
    assert english_in("`code` $x$ 층(layer)의 [글](a.md) MLP\n\nThe loss falls.") == [
        "The",
        "loss",
        "falls",
    ]


def formulas_of(text):
    inline = re.sub(r"\$\$.*?\$\$", "", text, flags=re.S)
    return set(re.findall(r"(?<![\\$`])\$([^$\n]+?)\$", inline)), re.findall(
        r"\$\$.*?\$\$", text, re.S
    )


def original_of(path):
    return path.parent.parent / path.name


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_every_formula_of_the_original_is_there(path):
    """Cell by cell; a sentence in Korean may need a symbol once more."""
    ours, originals = markdown_of(path), markdown_of(original_of(path))
    assert len(ours) == len(originals)
    for text, original in zip(ours, originals, strict=True):
        inline, displayed = formulas_of(original)
        assert inline <= formulas_of(text)[0], inline - formulas_of(text)[0]
        assert displayed == formulas_of(text)[1]


def terms():
    """Return the glossary: {"layer": ["층"], ...}; its first Korean word is the one we use."""
    text = (KO / "glossary.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([A-Za-z][^|]*) \| ([^|]*) \| [^|]* \|", text, re.M)
    return {
        english: [word.strip() for word in korean.split(",")]
        for names, korean in rows
        for english in [name.strip() for name in names.split(",")]
    }


@pytest.mark.parametrize("path", [*TEXTS, *PAGES], ids=lambda path: path.stem)
def test_a_term_is_the_glossarys(path):
    """Where the English word is in brackets, the Korean one before it is the glossary's."""
    known, wrong = terms(), []
    for text in markdown_of(path):
        prose = re.sub(r"`[^`]*`", "", text).replace("\n", " ")
        for before, english in re.findall(r"([^()]+)\(([a-z][a-z -]*)[,)]", prose):
            korean = known.get(english, [])
            if korean and not any(before.rstrip("* ").endswith(word) for word in korean):
                wrong.append((before[-20:], english, korean))
    assert wrong == []


@pytest.mark.parametrize("path", [*TEXTS, *PAGES], ids=lambda path: path.stem)
def test_one_thing_has_one_name(path):
    if path.name == "glossary.md":
        assert {"그래디언트", "피처", "레이어"} <= set(other_words())
        return
    text = "\n".join(markdown_of(path))
    assert [word for word in other_words() if re.search(rf"(?<![가-힣]){word}", text)] == []


# Pages


def code_of(text):
    """Return the code of a page, without comments: the lines of its blocks, and words in prose."""
    lines, prose, fence = [], [], None
    for line in re.sub(r"<!-- models: .*<!-- models end -->", "", text, flags=re.S).splitlines():
        if line.startswith("```"):
            fence = None if fence is not None else line.strip("`")
        elif fence in ("", "python"):
            lines.append(re.sub(r"\s*#.*", "", line))
        elif fence is None:
            prose.append(line)
    spans = re.findall(r"`([^`]+)`", re.sub(r"\{doc\}`[^`]*`", "", " ".join(prose)))
    return lines, {re.sub(r"\s+", " ", span) for span in spans}


@pytest.mark.parametrize(
    "path", [page for page in PAGES if page.parent != KO], ids=lambda path: path.stem
)
def test_a_page_has_the_sections_and_the_code_of_the_original(path):
    original = ROOT / "README.md" if path.parent == ROOT else ROOT / "docs" / path.name
    ours, theirs = (each.read_text(encoding="utf-8") for each in (path, original))
    heads = [
        re.findall(r"^(#+) ", re.sub(r"```.*?```", "", t, flags=re.S), re.M) for t in (ours, theirs)
    ]
    assert heads[0] == heads[1]
    (lines, spans), (their_lines, their_spans) = code_of(ours), code_of(theirs)
    assert [re.sub(" --lang ko", "", line) for line in lines] == their_lines
    assert their_spans - spans == set()


def test_the_list_of_notebooks_says_which_are_there():
    text = (KO / "README.md").read_text(encoding="utf-8")
    listed = {name: where for where, name in re.findall(r"\]\((\.\./)?(\d\d_\w+)\.ipynb\)", text)}
    assert sorted(listed) == sorted(p.stem for p in KO.parent.glob("[0-9]*.py"))
    assert {name for name, where in listed.items() if not where} == {p.stem for p in NOTEBOOKS}


# Assignments


def test_every_assignment_is_there_in_korean():
    assert {name: assignment.find(name).languages for name in assignment.names()} == {
        name: ["en", "ko"] for name in assignment.names()
    }


@pytest.mark.parametrize("name", assignment.names())
def test_an_assignment_in_korean_has_the_code_tasks_and_points_of_the_original(name):
    assert proving.translation(name, "ko") == ""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("np.zeros_like(W)", "np.ones_like(W)", "the code differs"),
        ("순전파 (3점)", "순전파 (2점)", "the tasks and points are"),
        ("# BEGIN SOLUTION A2.4:", "# BEGIN SOLUTION A2.5:", "not in the same places"),
        ('"""항을', 'x = 1\n    """항을', "the code differs"),
    ],
)
def test_a_difference_is_named(old, new, words, tmp_path):
    own = assignment.find("A2")
    (tmp_path / "ko").mkdir()
    for lang, folder in (("en", tmp_path), ("ko", tmp_path / "ko")):
        text = own.text(lang)
        if lang == "ko":
            assert old in text
            text = text.replace(old, new, 1)
        (folder / own.source.name).write_text(text, encoding="utf-8")
    (tmp_path / "checks.py").write_text("", encoding="utf-8")
    assert words in proving.translation(tmp_path, "ko")


@pytest.mark.slow
def test_the_students_file_in_korean_says_what_to_do(tmp_path):
    script, notebook = release.release("A2", tmp_path, "ko")
    assert "# # A2 · 임베딩" in script.read_text(encoding="utf-8")
    assert "SOLUTION" not in notebook.read_text(encoding="utf-8")
    result = runner.grade("A2", script)
    assert result.problem == "nothing is written yet"
    by_task = {r["task"]: r["feedback"] for r in result.results}
    assert "A2.3: dW (N, D)와 dalpha (n,)를 돌려주세요" in by_task["A2.3"]


def test_the_released_text_is_nobodys_work(tmp_path):
    """Neither as a derivation nor as code that two students have in common."""
    own = assignment.find("A6")
    script, _ = release.release(own, tmp_path, "ko")
    given = release.released_text(own)
    assert derivations.derivation(script, "A6.1", given) == ""
    assert likeness.tokens_of(script, given) == []
    text = script.read_text(encoding="utf-8")
    start = text.index("# *A6.1")
    script.write_text(f"{text[:start]}# 유도했습니다.\n{text[start:]}", encoding="utf-8")
    assert derivations.derivation(script, "A6.1", given) == "유도했습니다."


def test_nbgraders_notebook_is_in_korean(tmp_path):
    from minidlrm.grading import adapters

    pytest.importorskip("nbformat")
    [path] = adapters.files_of("nbgrader", "A1", tmp_path, "ko")
    text = path.read_text(encoding="utf-8")
    assert "손으로 구하는 기울기" in text
    assert "### BEGIN SOLUTION" in text


def test_a_language_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="lang is 'fr': A1 is written in en, ko"):
        release.release("A1", tmp_path, "fr")
    assert list(tmp_path.iterdir()) == []
