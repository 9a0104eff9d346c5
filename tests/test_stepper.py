"""The page that is stepped through: complete, without network, and spoken."""

import html.parser
import shutil
import subprocess

import numpy as np
import pytest

import minidlrm as md

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def steps():
    clicks = md.data.synthetic_clicks(1000, 0)
    return md.trace(md.DLRM(13, clicks.table_sizes, 4, (8,), (8,)), clicks.train[:4])


class Tags(html.parser.HTMLParser):
    """Collect tags and their attributes; note what is not closed."""

    def __init__(self):
        super().__init__()
        self.seen, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in ("input", "meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_every_operation_is_a_section_and_the_tags_are_closed(steps):
    tags = Tags()
    tags.feed(steps.to_html())
    assert tags.open == []
    sections = [attrs for tag, attrs in tags.seen if tag == "section"]
    assert len(sections) == len(steps.operations)
    assert sum("hidden" not in attrs for attrs in sections) == 1
    assert all(attrs["aria-label"] for attrs in sections)
    ids = {attrs.get("id") for _, attrs in tags.seen}
    root = next(attrs["id"] for _, attrs in tags.seen if attrs.get("id", "").startswith("trace-"))
    for attrs in sections:  # each lights a box that is there
        assert f"{root}-{attrs['data-box']}" in ids


def test_it_loads_nothing_and_is_spoken(steps):
    text = steps.to_html()
    for word in ("http", "src=", "@import", "url(h"):
        assert word not in text
    for word in ('aria-live="polite"', 'role="img"', 'aria-label="operation"'):
        assert word in text


def test_the_same_trace_gives_the_same_page_and_another_sample_another(steps):
    assert steps.to_html() == steps.to_html()
    assert steps.to_html(sample=1) != steps.to_html()
    with pytest.raises(IndexError, match="sample 4 out of range"):
        steps.to_html(sample=4)


def test_large_arrays_are_cut_and_say_so(steps):
    assert "4×351 float32, the first 4×8" in steps.to_html()


def test_a_file_is_a_page_of_its_own(steps, tmp_path):
    steps.to_html(tmp_path / "steps.html")
    text = (tmp_path / "steps.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert '<meta charset="utf-8">' in text


def test_the_widget_steps(steps):
    widgets = pytest.importorskip("ipywidgets", reason="ipywidgets is not installed")
    box = steps.stepper()
    (previous, following, slider), shown = box.children[0].children, box.children[1]
    assert isinstance(slider, widgets.IntSlider)
    first = shown.value
    assert 'class="lit-forward"' in first
    following.click()
    assert slider.value == 1
    assert shown.value != first
    previous.click()
    assert shown.value == first
    slider.value = len(steps.operations) - 1
    assert 'class="lit-backward"' in shown.value


@pytest.mark.skipif(BROWSER is None, reason="chromium is not installed")
def test_a_real_browser_steps(steps, tmp_path):
    page = tmp_path / "steps.html"
    steps.to_html(page)
    click = "<script>for(let k=0;k<8;k++)document.querySelector('.next').click();</script></body>"
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", click), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'u'}"]
    result = subprocess.run(
        [BROWSER, *options, "--dump-dom", page.as_uri()], capture_output=True, timeout=120
    )
    tags = Tags()
    tags.feed(result.stdout.decode())
    shown = [attrs for tag, attrs in tags.seen if tag == "section" and "hidden" not in attrs]
    ninth = steps.operations[8]
    assert [attrs["aria-label"] for attrs in shown] == [f"backward, {ninth.name}, {ninth.layer}"]
    lit = [attrs for _, attrs in tags.seen if "lit-backward" in (attrs.get("class") or "")]
    assert len(lit) == 1
    assert f"step 9 of {len(steps.operations)}" in result.stdout.decode()


def test_two_traces_on_one_page_do_not_meet():
    clicks = md.data.synthetic_clicks(1000, 0)
    pages = [
        md.trace(
            md.DLRM(13, clicks.table_sizes, 4, (8,), (8,), seed=seed), clicks.train[:4]
        ).to_html()
        for seed in (0, 1)
    ]
    names = [
        next(a["id"] for _, a in _tags(p) if a.get("id", "").startswith("trace-")) for p in pages
    ]
    assert names[0] != names[1]
    assert np.array_equal([names[0] in pages[1], names[1] in pages[0]], [False, False])


def _tags(text):
    tags = Tags()
    tags.feed(text)
    return tags.seen
