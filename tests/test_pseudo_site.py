"""The site in a pseudo-language: no word of the page that can be touched, or of the theme, is left.

In this language every letter of a message is x: what is not x was not said through a catalogue.
"""

import html.parser
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import untranslated
from test_explore import Page, small

import minidlrm as md
from minidlrm.exploring import explorable

DOCS = Path(__file__).parent.parent / "docs"
sys.path.insert(0, str(DOCS / "_ext"))
site_words = pytest.importorskip("site_words", reason="sphinx is not installed")
sys.path.remove(str(DOCS / "_ext"))

SCRIPTS = sorted(Path(explorable.__file__).parent.glob("page/*.js"))


# The page that can be touched


def test_a_sentence_of_the_scripts_is_written_where_it_is_told():
    """A computed one is never found; the mistakes and their causes are the catalogue's."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in SCRIPTS)
    told = re.findall(r"(?<!function )\btell\((\s*.)", text)
    computed = re.findall(r"(?<!function )\btell\((?!\s*\")([^),]*)", text)
    assert set(computed) <= {
        "s.page.mistakes[key]",
        "s.page.catalogue[key][0]",
        "s.page.catalogue[key][1]",
    }
    assert len(explorable.sentences()) == len(told) - len(computed) > 100


def test_the_words_and_the_code_of_its_language_are_in_the_page(tmp_path):
    model, batch = small()
    page = md.explore(model, batch)
    text = page.to_html(tmp_path / "page.html", lang="ko")
    whole = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert '<html lang="ko">' in whole
    assert "<h1>만져 보는 DLRM</h1>" in whole
    assert '"One step":"한 스텝"' in text
    assert '"words":{}' in page.to_html(lang="en") == page.to_html()
    with pytest.raises(ValueError, match="lang is 'fr': it must be one of"):
        page.to_html(lang="fr")


def test_what_a_note_says_of_large_tables_is_said_in_korean():
    model = md.DLRM(0, [1000, 4], 3, (), (2,), seed=0)
    batch = md.Batch(np.zeros((3, 0)), [[7, 1], [900, 0], [7, 3]], np.ones(3))
    assert "큰 테이블은 이 표본들의 행만" in md.explore(model, batch).to_html(lang="ko")


SEEN = """
const seen = new Set(), all = (css) => [...document.querySelectorAll(css)];
const words = /^(aria-label|aria-valuetext|title|placeholder)$/;
const look = () => {
  for (const e of all(".explore *"))
    for (const a of e.attributes) if (words.test(a.name)) seen.add(a.value);
  seen.add(document.querySelector("h1").innerText);
  for (const e of all(".explore :is(p, span, b, th, td, h2, button, label, figcaption, small)"))
    if (!e.querySelector("code") && !e.closest("code")) seen.add(e.textContent);
};
look();
for (const box of all(".mistake input:not(:disabled)")) { box.click(); look(); box.click(); }
const reading = document.querySelector(".reading");
for (const cell of all("td[tabindex]")) { cell.focus(); seen.add(reading.textContent); }
for (const button of all(".training button")) { button.click(); look(); }
const range = document.querySelector(".what-if input");
range.value = +range.min; range.dispatchEvent(new Event("input", { bubbles: true })); look();
const stages = document.querySelector(".bar-of-stages input");
for (let k = 0; k <= +stages.max; k++) {
  stages.value = k; stages.dispatchEvent(new Event("input", { bubbles: true })); look();
}
return [...seen];
"""
# names of arrays and columns, and formulas
NAMES = {
    *("dense", "label", "table", "bottom", "top", "layers", "weight", "bias", "embeddings"),
    *("dL", "dx", "dz", "dW", "max", "log"),
}


@pytest.mark.slow
@pytest.mark.parametrize("interaction", ["dot", "cat"])
def test_nothing_of_the_page_that_can_be_touched_passes_the_catalogue_by(
    browser, pseudo, monkeypatch, tmp_path, interaction
):
    monkeypatch.setenv("MINIDLRM_LANG", pseudo)
    sizes = {"bottom_mlp": (3,), "top_mlp": (3,), "interaction": interaction}
    model = md.DLRM(2, [4, 150, 3], 3, **sizes, seed=0)
    sparse = [[1, 7, 0], [1, 9, 2], [3, 7, 1]]
    batch = md.Batch(np.eye(3, 2, dtype=np.float32), sparse, np.array([1.0, 0.0, 1.0]))
    page = Page(browser, md.explore(model, batch), tmp_path)
    found = "\n".join(page.run(SEEN))
    assert untranslated(found) - NAMES == set()
    assert found.count("xxxx") > 200


# The theme


class Around(html.parser.HTMLParser):
    """What a page says outside of its article, and in the names of its controls."""

    def __init__(self, text):
        super().__init__()
        self.said, self.inside = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag in ("article", "script", "style", "code"):
            self.inside.append(tag)
        if self.inside:
            return
        names = ("aria-label", "title", "placeholder", "alt")
        self.said += [value for name, value in attrs if name in names and value]

    def handle_endtag(self, tag):
        if self.inside and tag == self.inside[-1]:
            self.inside.pop()

    def handle_data(self, data):
        if not self.inside:
            self.said.append(data)


@pytest.fixture(scope="module")
def themed(tmp_path_factory):
    """A small site with the theme, its pages below xx in the pseudo-language; what was asked."""
    application = pytest.importorskip("sphinx.application", reason="sphinx is not installed")
    pytest.importorskip("pydata_sphinx_theme", reason="the theme is not installed")
    folder, asked = tmp_path_factory.mktemp("site"), set()
    names = [f"p{k}" for k in range(7)]
    (folder / "xx").mkdir()
    for path, pages in (("index", ["xx/index"]), ("xx/index", names)):
        tree = "".join(f"   {page}\n" for page in pages)
        text = f"x\n=\n\nX\n--\n\n.. toctree::\n   :hidden:\n\n{tree}"
        (folder / f"{path}.rst").write_text(text, encoding="utf-8")
    for name in names:
        (folder / "xx" / f"{name}.rst").write_text("xx\n==\n\nXx\n--\n\nxx\n", encoding="utf-8")

    def tell(text):
        asked.add(text)
        return re.sub(r"(%\(\w+\)s|%s|<[^>]*>)|[A-Za-z]", r"\1x", text)

    def speak(app, name, template, context, doctree):
        if name.startswith("xx/"):
            site_words.speak(app, name, context, "xx", tell)

    settings = {"html_theme": "pydata_sphinx_theme", "html_title": "x", "copyright": "x"}
    app = application.Sphinx(
        folder, None, folder / "out", folder / "trees", "html", settings, status=None, warning=None
    )
    app.config.templates_path = [str(DOCS / "_templates")]
    app.connect("html-page-context", speak, priority=900)
    app.connect("html-collect-pages", lambda app: [("xx/search", {"title": "x"}, "search.html")])
    app.build()
    return folder / "out", asked


@pytest.mark.slow
@pytest.mark.parametrize("page", ["xx/index", "xx/p1", "xx/p6", "xx/search"])
def test_nothing_around_a_page_passes_by_its_language(page, themed):
    text = (themed[0] / f"{page}.html").read_text(encoding="utf-8")
    said = Around(text).said
    assert untranslated("\n".join(said)) - {"Ctrl", "Sphinx"} == set()
    assert '<html lang="xx"' in text
    assert "Link to this heading" not in text


@pytest.mark.slow
def test_every_word_of_the_theme_has_a_korean_one(themed):
    tell, asked = site_words.teller("ko"), themed[1]
    assert {"Skip to main content", "Search", "On this page", "previous"} <= asked
    ours = {text for text in asked if not text.startswith(("©", "Built with"))}  # the theme's name
    assert {text for text in ours if not re.search("[가-힣]", tell(text))} == set()


def test_a_word_that_sphinx_has_is_sphinxs():
    tell = site_words.teller("ko")
    assert (tell("Search"), tell("On this page")) == ("검색", "이 페이지의 내용")
    assert tell("a word of nobody") == "a word of nobody"
    assert site_words.teller("en")("Search") == "Search"


def test_a_line_of_korean_does_not_break_at_a_bracket_or_before_a_particle():
    body = r'<p>층(layer)을 <span class="math">\(W\)</span>는 <b>x</b></p><pre>층(layer)을</pre>'
    said = site_words.kept_together(body)
    assert said.count("\u2060") == 2
    assert "<pre>층(layer)을</pre>" in said
    assert "층\u2060(layer)\u2060을" in said
    assert r'<span class="kept"><span class="math">\(W\)</span>는</span> <b>x</b>' in said
