"""The built site, read by a program and in a real browser.

    pip install -e ".[docs]"
    npm install --prefix docs --no-package-lock && sphinx-build -W docs docs/_build/html
    pytest tests/run_site.py

Plain `pytest` leaves it out: it needs the built site, Chromium and its driver. Screenshots at
desktop and phone width are kept in docs/_build/screenshots.
"""

import functools
import html.parser
import http.server
import inspect
import json
import re
import threading
import time
import zlib
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
import test_docstrings
import test_korean
import test_pseudo_site

DOCS = Path(__file__).parent.parent / "docs"
SITE, SHOTS = DOCS / "_build" / "html", DOCS / "_build" / "screenshots"
PAGES = [
    "index.html",
    "quickstart.html",
    "derivations/index.html",
    "derivations/dot.html",
    "derivations/embedding.html",
    "derivations/losses.html",
    "tutorials/index.html",
    "tutorials/05_dlrm.html",
    "tutorials/ko/01_embeddings.html",
    "ko/index.html",
    "ko/gradcheck.html",
    "ko/explore.html",
    "explore.html",
    "stepper.html",
    "comparison.html",
    "gradcheck.html",
    "performance.html",
    "paper.html",
    "parallel.html",
    "api/index.html",
    "api/minidlrm.DLRM.html",
    "glossary.html",
    "faq.html",
]

pytestmark = pytest.mark.skipif(not SITE.exists(), reason="the site is not built")


# By a program


class Links(html.parser.HTMLParser):
    """Collect what a page links to, what may be linked to on it, and images without words."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors, self.silent = [], {""}, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.anchors |= {attrs[key] for key in ("id", "name") if attrs.get(key)}
        self.links += [attrs[key] for key in ("href", "src") if attrs.get(key)]
        if tag == "img" and not attrs.get("alt"):
            self.silent.append(attrs.get("src"))


@functools.cache
def read(path):
    return Links(path.read_text(encoding="utf-8"))


def pages():
    return [p for p in SITE.rglob("*.html") if "_static" not in p.parts]


def test_every_link_and_anchor_leads_somewhere():
    broken = []
    for page in pages():
        for link in read(page).links:
            address, anchor = urldefrag(link)
            if urlsplit(address).scheme or address.startswith("//"):
                continue
            address = address.split("?")[0]
            target = (page.parent / unquote(address)).resolve() if address else page
            place = f"{page.relative_to(SITE)}: {link}"
            if not target.exists():
                broken.append(place)
            elif target.suffix == ".html" and unquote(anchor) not in read(target).anchors:
                broken.append(f"{place} (no such anchor)")
    assert broken == []


def test_every_image_has_words():
    silent = {str(p.relative_to(SITE)): read(p).silent for p in pages() if read(p).silent}
    assert silent == {}


def test_every_public_name_has_a_page():
    lines = zlib.decompress((SITE / "objects.inv").read_bytes().split(b"\n", 4)[4]).decode()
    documented = {line.split()[0] for line in lines.splitlines()}
    missing = []
    for package in test_docstrings.PACKAGES:
        for name, value in test_docstrings._exported(package):
            short = name.split(".")[-1]
            places = {f"minidlrm.{short}", f"{package}.{short}", name}
            if not inspect.ismodule(value) and not places & documented:
                missing.append(name)
    assert missing == []


def test_the_words_around_a_korean_page_are_korean():
    """Links of its header and its menus, too; but names, and the way to the English page."""
    names = {"Ctrl", "Sphinx", "The", "developers", "TorchRec", "NaN", "FuxiCTR", "JavaScript"}
    names |= test_korean.ALLOWED | {"SparseGrad"}  # a heading's word, in the page's list of them
    for page in [*SITE.glob("ko/*.html"), *SITE.glob("tutorials/ko/*.html")]:
        if page.name == "touch.html":
            continue  # without the site around it
        said = test_pseudo_site.Around(page.read_text(encoding="utf-8")).said
        told = re.sub(r"\([A-Za-z ]+\)", "", "\n".join(said))  # a term's English stands in brackets
        assert set(re.findall(r"[A-Za-z]{2,}", told)) <= names, page


# In a browser


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def address():
    handler = functools.partial(Quiet, directory=SITE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def run(browser, script):
    return browser.execute_script(f"return ({script})")


def wait_for(browser, script, seconds=60):
    """Wait until a condition holds; its last value otherwise."""
    end = time.monotonic() + seconds
    while not (value := run(browser, script)) and time.monotonic() < end:
        time.sleep(0.1)
    return value


def open_page(browser, address, page, width=1280, height=900):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    browser.get(f"{address}/{page}")
    wait_for(browser, "document.readyState === 'complete'")
    # `!!`: a driver waits for a promise that is returned, and this one yields nothing.
    typeset = "!window.MathJax || !!(MathJax.startup && MathJax.startup.promise)"
    assert wait_for(browser, typeset)
    browser.execute_async_script(
        "const done = arguments[0];"
        "window.MathJax ? MathJax.startup.promise.then(() => done()) : done();"
    )


def shoot(browser, page, kind):
    SHOTS.mkdir(parents=True, exist_ok=True)
    name = page.replace("/", "-").removesuffix(".html")
    browser.save_screenshot(str(SHOTS / f"{name}-{kind}.png"))


def asked_for(browser):
    """Return the addresses that the page asked for since the last call."""
    addresses = []
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            addresses.append(message["params"]["request"]["url"])
    return addresses


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_drawn_at_both_widths(browser, address, page):
    asked_for(browser), browser.get_log("browser")
    for kind, width, height in (("desktop", 1280, 900), ("phone", 390, 844)):
        open_page(browser, address, page, width, height)
        shoot(browser, page, kind)
        assert run(browser, "document.documentElement.scrollWidth") <= width
        raw = run(
            browser, "document.querySelector('article').innerText.match(/\\$\\$|\\\\\\(|\\\\frac/)"
        )
        assert raw is None, f"a formula is not drawn: {raw}"
        assert run(browser, "document.querySelectorAll('mjx-merror').length") == 0
    asked = [a for a in asked_for(browser) if a.startswith(("http", "ws"))]
    assert asked, "no request was seen"
    assert [a for a in asked if not a.startswith(address)] == []
    assert [e["message"] for e in browser.get_log("browser") if e["level"] != "INFO"] == []


def test_formulas_are_drawn(browser, address):
    open_page(browser, address, "derivations/dot.html")
    assert run(browser, "document.querySelectorAll('mjx-container svg').length") > 10


def test_a_page_leads_to_the_other_language_and_says_its_own(browser, address):
    for page, other in (
        ("faq.html", "ko/faq.html"),
        ("tutorials/01_embeddings.html", "tutorials/ko/01_embeddings.html"),
        ("glossary.html", "tutorials/ko/glossary.html"),
        ("index.html", "ko/index.html"),
        ("explore.html", "ko/explore.html"),
    ):
        for here, there, lang in ((page, other, "en"), (other, page, "ko")):
            open_page(browser, address, here)
            assert run(browser, "document.documentElement.lang") == lang
            link = run(browser, "document.querySelector('a[hreflang]').href")
            assert link == f"{address}/{there}"


def test_a_derivation_and_its_code_lead_to_each_other(browser, address):
    open_page(browser, address, "derivations/dot.html")
    browser.execute_script("document.querySelector('.derivation li a.step').focus()")
    lit = "[...document.querySelectorAll('.program .line.lit')].map(line => line.innerText)"
    assert any("kernels.pairs(" in line for line in run(browser, lit))
    for step in run(
        browser, "[...document.querySelectorAll('a.step')].map(a => a.getAttribute('href'))"
    ):
        assert run(browser, f"!!document.querySelector('{step}')"), step


def test_the_example_of_a_derivation_is_alive(browser, address):
    """Each number of dy that is pressed reaches two vectors; with a mistake, only one of them."""
    open_page(browser, address, "derivations/dot.html")
    numbers = "[...document.querySelectorAll('.live td[data-at]')].map(cell => cell.innerText)"
    browser.execute_script("document.querySelector('.live .clear').click()")
    assert set(run(browser, numbers)) == {"0"}
    browser.execute_script("document.querySelectorAll('.live .upstream button')[2].click()")
    z = run(browser, "[...document.querySelectorAll('.live .pair td')].map(c => c.innerText)")[:12]
    assert run(browser, numbers)[:9] == ["0", "0", "0", *z[6:9], *z[3:6]]  # the pair (2, 1)
    browser.execute_script(
        "const which = document.querySelector('.live .which');"
        "which.value = [...which.options].find(o => o.text === 'OneTriangle').value;"
        "which.dispatchEvent(new Event('change'));"
    )
    shown = run(browser, numbers)
    assert [shown[3:6] == ["0"] * 3, shown[6:9] == z[3:6]] == [True, True]
    verdict = run(browser, "document.querySelector('.live .verdict').innerText")
    assert verdict == "3 of 24 numbers are wrong"
    shoot(browser, "derivations/dot.html", "broken")


def test_the_stepper_steps(browser, address):
    open_page(browser, address, "stepper.html")
    shown = (
        "[...document.querySelectorAll('section[aria-label]:not([hidden])')].map(s => s.ariaLabel)"
    )
    first = run(browser, shown)
    for _ in range(3):
        browser.execute_script("document.querySelector('.next').click()")
    fourth = run(browser, shown)
    assert len(first) == len(fourth) == 1
    assert first != fourth
    shoot(browser, "stepper.html", "fourth")


def test_the_search_finds(browser, address):
    open_page(browser, address, "search.html?q=scatter-add")
    links = "[...document.querySelectorAll('#search-results li a')].map(a => a.textContent)"
    assert wait_for(browser, f"{links}.length > 0")
    time.sleep(1)
    found = run(browser, links)
    assert any("embedding" in text.lower() for text in found), found
    shoot(browser, "search.html", "desktop")


def test_the_search_of_a_korean_page_answers_in_korean(browser, address):
    open_page(browser, address, "ko/index.html")
    form = run(browser, "document.querySelector('form.bd-search').action")
    assert form == f"{address}/ko/search.html"
    open_page(browser, address, "ko/search.html?q=scatter-add")
    links = "[...document.querySelectorAll('#search-results li a')].map(a => a.href)"
    assert wait_for(browser, f"{links}.length > 0")
    assert all(link.startswith(address) for link in run(browser, links))
    said = "document.querySelector('#search-results').innerText"
    assert wait_for(browser, f"{said}.includes('검색을 마쳤습니다')")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_wcag_aa(browser, address, page, theme):
    """Contrast, names of controls, order of headings and more, as axe-core judges them."""
    axe = DOCS / "node_modules" / "axe-core" / "axe.min.js"
    if not axe.exists():
        pytest.skip("axe-core is not installed (npm install --prefix docs)")
    open_page(browser, address, page)
    browser.execute_script(f"localStorage.mode = localStorage.theme = '{theme}'")
    open_page(browser, address, page)
    assert run(browser, "document.documentElement.dataset.theme") == theme
    browser.execute_script(axe.read_text(encoding="utf-8"))
    result = browser.execute_async_script(
        "const done = arguments[0];"
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa']}).then(done);"
    )
    faults = [
        f"{fault['id']}: {node['target']} {node['failureSummary']}"
        for fault in result["violations"]
        for node in fault["nodes"][:3]
    ]
    assert faults == []


def test_the_keyboard_reaches_everything(browser, address):
    """Tab walks over every link and button that can be seen, from the skip link on."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    open_page(browser, address, "stepper.html")
    for step in range(200):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        if run(browser, "document.activeElement.dataset.reached"):
            break
        browser.execute_script("document.activeElement.dataset.reached = 'yes'")
        if step == 0:
            assert run(browser, "document.activeElement.innerText") == "Skip to main content"
    left = run(
        browser,
        "[...document.querySelectorAll('a[href], button, input, summary')]"
        ".filter(e => e.checkVisibility({visibilityProperty: true}) && e.offsetWidth > 0)"
        ".filter(e => !e.dataset.reached && !e.disabled && e.tabIndex >= 0)"
        ".map(e => e.outerHTML.slice(0, 120))",
    )
    assert left == []
    assert step > 20
