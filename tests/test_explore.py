"""The page that can be touched: its arithmetic is minidlrm's, and every control does what it says.

MINIDLRM_SCREENSHOTS=FOLDER keeps pictures of it, at desktop and phone width.
"""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import explore_cases
import numpy as np
import pytest

import minidlrm as md
from minidlrm.exploring import cinema
from minidlrm.exploring.explorable import script
from minidlrm.exploring.packing import packed

NODE = shutil.which("node")
AXE = Path(__file__).parent.parent / "docs" / "node_modules" / "axe-core" / "axe.min.js"


def small():
    clicks = md.data.synthetic_clicks(rows=1000, seed=0, num_dense=2, num_tables=3)
    model = md.DLRM.for_data(clicks, embedding_dim=3, bottom_mlp=(4,), top_mlp=(5,))
    return model, clicks.train[:5]


# The arithmetic


def the_cases(count):
    """Return contents of pages, and what minidlrm makes of each."""
    cases = [explore_cases.random_case(seed) for seed in range(count)]
    pages = [packed(*case) for case in cases]
    wanted = [
        explore_cases.expected(case, page["columns"])
        for case, page in zip(cases, pages, strict=True)
    ]
    return [{key: page[key] for key in ("model", "batch")} for page in pages], wanted


def by_node(code, contents, folder):
    """Return what the function `runCase` of some code finds in each case."""
    program = folder / "cases.cjs"
    read = 'JSON.parse(require("fs").readFileSync(0, "utf8"))'
    program.write_text(
        f"{script()}\n{code}\nconsole.log(JSON.stringify({read}.map(runCase)))", encoding="utf-8"
    )
    result = subprocess.run(
        [NODE, program], input=json.dumps(contents), capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_its_numbers_are_those_of_minidlrm(tmp_path):
    contents, wanted = the_cases(30)
    found = by_node(explore_cases.RUNNER, contents, tmp_path)
    errors = [explore_cases.worst(*pair) for pair in zip(found, wanted, strict=True)]
    assert max(errors) <= explore_cases.RELATIVE, f"case {np.argmax(errors)}"


CHECKER = """
function runCase(content) {
  const model = js_packed.modelOf(content.model), batch = js_packed.batchOf(content.batch);
  const { forward, backward, parameters } = js_arithmetic, tape = forward(model, batch);
  const right = parameters(model, backward(model, batch, tape));
  return [[], ...js_checking.MISTAKES.map((key) => [key])].map((faults) => {
    const grads = backward(model, batch, tape, new Set(faults));
    const largest = parameters(model, grads).map((array, n) => array.grad.reduce((most, x, k) =>
      Math.max(most, Math.abs(x - right[n].grad[k])), 0));
    const checks = js_checking.check(model, batch, grads);
    return { faults, apart: Math.max(...largest), causes: js_checking.causesOf(model, batch, grads),
      wrong: checks.reduce((n, c) => n + c.wrong, 0) };
  });
}
"""


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_the_finite_difference_raises_no_false_alarm_and_every_mistake_is_named(tmp_path):
    cases = [packed(*explore_cases.random_case(seed)) for seed in range(100, 115)]
    seen = set()
    for case in by_node(CHECKER, cases, tmp_path):
        for found in case:
            if found["apart"] == 0:  # right, or this batch cannot show the mistake
                assert (found["wrong"], found["causes"]) == (0, []), found
            elif found["apart"] > 1e-6:
                assert found["wrong"] > 0, found
                assert found["causes"] == found["faults"], found
                seen.update(found["faults"])
    assert seen == {"duplicates", "triangle", "second_path", "batch_twice"}


@pytest.mark.slow
def test_its_numbers_are_those_of_minidlrm_in_a_thousand_cases(browser, tmp_path):
    """Logits, loss, every gradient, and ten steps of SGD, in a real browser: one page load."""
    contents, wanted = the_cases(1000)
    page = tmp_path / "cases.html"
    data = json.dumps(contents)
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><script>{script()}\n{explore_cases.RUNNER}\n'
        f"window.cases = {data};</script>",
        encoding="utf-8",
    )
    browser.get(page.as_uri())
    text = browser.execute_script(
        "const all = Float64Array.from(cases.flatMap(runCase)); let text = '';"
        "const bytes = new Uint8Array(all.buffer);"
        "for (let k = 0; k < bytes.length; k += 30000)"
        " text += btoa(String.fromCharCode(...bytes.subarray(k, k + 30000)));"
        "return text"
    )
    found = np.frombuffer(base64.b64decode(text), "<f8")
    errors, start = [], 0
    for arrays in wanted:
        size = sum(map(len, arrays))
        errors.append(explore_cases.worst(found[start : start + size], arrays))
        start += size
    assert start == len(found)
    assert max(errors) <= explore_cases.RELATIVE, f"case {np.argmax(errors)}"


# What it is made from


def other(model, batch, **changed):
    """Make a model like another one, with other options."""
    return md.DLRM(**{**model.config, **changed})


REFUSED = {
    "another model": (lambda m, b: (md.DeepFM(2, [5, 5], 3, (4,)), b, None), TypeError, "DLRM"),
    "another interaction": (
        lambda m, b: (other(m, b, interaction="cross"), b, None),
        ValueError,
        "'dot' and 'cat' only",
    ),
    "composed tables": (
        lambda m, b: (other(m, b, qr_threshold=3), b, None),
        ValueError,
        "qr_threshold",
    ),
    "complex numbers": (lambda m, b: (m.astype(np.complex128), b, None), ValueError, "complex"),
    "no batch": (lambda m, b: (m, [1, 2], None), TypeError, "batch is"),
    "no labels": (lambda m, b: (m, md.Batch(b.dense, b.sparse), None), ValueError, "no labels"),
    "labels of ratings": (
        lambda m, b: (m, md.Batch(b.dense, b.sparse, 5 * b.label + 2), None),
        ValueError,
        "must lie in",
    ),
    "too many rows": (
        lambda m, b: (m, b[np.zeros(65, int)], None),
        ValueError,
        "batch has 65 rows: the page shows at most 64",
    ),
    "too few tables": (
        lambda m, b: (m, md.Batch(b.dense, b.sparse[:, :2], b.label), None),
        ValueError,
        "has 2 tables",
    ),
    "a wrong id": (
        lambda m, b: (m, md.Batch(b.dense, b.sparse + 10**6, b.label), None),
        IndexError,
        "table 0: id",
    ),
    "no schema": (lambda m, b: (m, b, "names"), TypeError, "schema is"),
    "another schema": (
        lambda m, b: (m, b, cinema.cinema(50).schema),
        ValueError,
        "schema has 2 dense columns and tables of",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_page_cannot_show_is_refused(case):
    arguments, error, words = REFUSED[case]
    with pytest.raises(error, match=words):
        md.explore(*arguments(*small()))


def test_the_page_loads_nothing_and_closes_its_tags(tmp_path):
    page = md.explore(*small())
    text = page.to_html(tmp_path / "page.html")
    for word in ("http://", "https://", "src=", "@import", "url("):
        assert word not in text.replace("http://www.w3.org/2000/svg", "")
    whole = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert whole.startswith("<!doctype html>")
    assert text in whole
    assert text.count("<script") == text.count("</script>") == 2
    assert page._repr_html_() == text == md.explore(*small()).to_html()


def test_a_name_cannot_end_the_script():
    rows = {"click": [0, 1] * 20, "city": ["</script><b>", "Rom"] * 20}
    data = md.data.read_table(rows, label="click", sparse=["city"], progress=False)
    model = md.DLRM.for_data(data, embedding_dim=2, top_mlp=(2,), self_interaction=True)
    text = md.explore(model, data.train[:2], data.schema).to_html()
    assert "</script><b>" not in text
    assert "\\u003c/script>" in text


def test_model_and_batch_are_left_as_they_were():
    model, batch = small()
    before = {name: value.copy() for name, value in model.state_dict().items()}
    model.forward(batch)
    md.explore(model, batch)
    model.backward(np.ones(5))  # forward's memory is still there
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_of_large_tables_the_rows_of_the_examples_are_kept():
    model = md.DLRM(0, [1000, 4], 3, (), (2,), seed=0)
    batch = md.Batch(np.zeros((3, 0)), [[7, 1], [900, 0], [7, 3]], np.ones(3))
    page = md.explore(model, batch)
    large, smaller = page.content["columns"]
    assert (large["names"], large["size"]) == (["7", "900"], 1000)
    assert smaller["names"] == ["0", "1", "2", "3"]
    assert "table 0 (2 of 1,000)" in page.content["notes"][0]


def test_the_cinema_is_drawn_from_its_truth():
    data = cinema.cinema(20_000)
    p = cinema.truth_of(data, data.train)
    label = data.train.label
    for low in np.arange(0, 1, 0.1):  # as often as the truth says
        own = (p >= low) & (p < low + 0.1)
        deviation = np.sqrt(p[own].mean() * (1 - p[own].mean()) / own.sum())
        assert abs(label[own].mean() - p[own].mean()) < 4 * deviation


def test_scripts_are_put_together_in_the_order_of_their_imports():
    seen = set()
    for part in script().split("const js_")[1:]:
        name = part.split(" ")[0]
        needed = {line.split("= js_")[1].split(";")[0] for line in part.splitlines()
                  if line.startswith("const {") and "= js_" in line}  # fmt: skip
        assert needed <= seen, name
        seen.add(name)
    folder = Path(md.__file__).parent / "exploring" / "page"
    assert seen == {path.stem for path in folder.glob("*.js")}
    assert "import " not in script()


# The page, in a real browser


def size(browser, width=1280, height=900, scheme="light", motion="no-preference"):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": motion}
    media = [{"name": name, "value": value} for name, value in features.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": media})


class Page:
    """The page of a model in a browser: what a reader can touch, and read."""

    def __init__(self, browser, content, folder, **how):
        size(browser, **how)
        path = folder / "page.html"
        content.to_html(path)
        browser.get_log("browser"), browser.get_log("performance")
        browser.get(path.as_uri())
        self.browser, self.address = browser, path.as_uri()

    def run(self, code, *arguments):
        return self.browser.execute_script(code, *arguments)

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0]).textContent", selector)

    def texts(self, selector):
        code = "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)"
        return self.run(code, selector)

    def count(self, selector):
        return self.run("return document.querySelectorAll(arguments[0]).length", selector)

    def click(self, selector, k=0):
        self.run("document.querySelectorAll(arguments[0])[arguments[1]].click()", selector, k)

    def set(self, selector, value, event="input", k=0):
        self.run(
            "const e = document.querySelectorAll(arguments[0])[arguments[3]];"
            "e.value = arguments[1]; e.dispatchEvent(new Event(arguments[2], {bubbles: true}))",
            *(selector, value, event, k),
        )

    def choose(self, k, name):
        """Choose an id by its name in the k-th list."""
        self.run(
            "const e = document.querySelectorAll('.fields select')[arguments[0]];"
            "for (const o of e.options) o.selected = o.text === arguments[1];"
            "e.dispatchEvent(new Event('change', {bubbles: true}))",
            *(k, name),
        )

    def values(self, block):
        """Return the numbers of a block, as they are said."""
        return self.run(
            "return [...document.querySelectorAll(`[data-block='${arguments[0]}'] td[tabindex]`)]"
            ".map(e => e.getAttribute('aria-label'))",
            block,
        )

    @property
    def shown(self):
        return self.text(".output strong")

    @property
    def loss(self):
        return float(self.text(".output").split("batch ")[1])

    @property
    def stage(self):
        return self.text(".stage b")

    def keep(self, name):
        """Keep a picture of the whole page, where a folder is named."""
        if folder := os.environ.get("MINIDLRM_SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.run("return new Promise(done => setTimeout(done, 1500))")
            width, height = self.run("return [innerWidth, document.documentElement.scrollHeight]")
            clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
            shot = self.browser.execute_cdp_cmd(
                "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip}
            )
            (Path(folder) / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))


def number(text):
    """Read a number as the page writes it."""
    return float(text.split(";")[0].replace("−", "-"))


def percent(p):
    return f"{100 * p:.1f}%"


@pytest.fixture(scope="module")
def made():
    """The page of the site, with what it was made from."""
    dataset, model = cinema.trained()
    return dataset, model, cinema.page_of(dataset, model)


@pytest.fixture
def page(browser, made, tmp_path):
    """A fresh page of the cinema; afterwards nothing was complained of, or asked of others."""
    page = Page(browser, made[2], tmp_path)
    yield page
    messages = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"].endswith("BeSent")]
    assert set(asked) <= {page.address}
    assert browser.get_log("browser") == []


def rows_of(dataset, **changed):
    """Return the evenings of the page, the first of them changed."""
    batch = cinema.evenings(dataset)
    rows = dataset.schema.decode(batch).to_pydict()
    for name, value in changed.items():
        rows[name][0] = value
    return dataset.schema.encode(rows)


pages = pytest.mark.slow  # each loads a page in a browser


@pages
def test_ids_are_chosen_by_name(page, made):
    dataset, model, _ = made
    before = page.values("table-0")
    page.choose(0, "Sofie")
    page.choose(1, "Do Not Wake Ada")
    page.choose(2, "alone")
    batch = rows_of(dataset, guest="Sofie", film="Do Not Wake Ada", company="alone")
    assert page.shown == percent(md.predict(model, batch)[0])
    lit = page.texts("tr.lit th")
    assert lit == ["Sofie", "Do Not Wake Ada", "alone"]
    assert page.values("table-0") == before  # a choice looks up another row: it changes none
    true = cinema.truth_of(dataset, batch)
    assert page.text(".truth") == f"the truth: {percent(true[0])}"


@pages
def test_the_page_of_the_site_is_small(made):
    assert len(made[2].to_html().encode()) < 1_000_000


@pages
def test_a_dense_feature_moves_by_a_slider(page, made):
    dataset, model, _ = made
    page.set(".fields input[type=range]", 15.5)
    raw = page.run("return document.querySelector('.fields input[type=range]').valueAsNumber")
    assert page.shown == percent(md.predict(model, rows_of(dataset, price=raw))[0])
    assert float(page.text(".fields output")) == pytest.approx(raw, rel=1e-2)


@pages
def test_another_example_and_its_label(page, made):
    dataset, model, _ = made
    batch, loss = cinema.evenings(dataset), md.BCEWithLogits()
    page.click(".examples button", 3)
    probabilities = md.predict(model, batch)
    assert page.shown == percent(probabilities[3])
    assert page.texts("tr.lit th") == ["Mara", "Comet Harbour", "alone"]
    logits = md.predict(model, batch, logits=True).astype(np.float64)
    label = batch.label.astype(np.float64)
    assert page.loss == pytest.approx(loss.forward(logits, label), rel=1e-3)
    page.click(".fields input[type=checkbox]")
    label[3] = 1 - label[3]
    assert page.loss == pytest.approx(loss.forward(logits, label), rel=1e-3)


def trained_by_hand(model, batch, steps, lr):
    model, loss = model.astype(np.float64), md.BCEWithLogits()
    optimizer, losses = md.SGD(lr=lr), []
    for _ in range(steps + 1):
        model.zero_grad()
        losses.append(loss.forward(model.forward(batch), batch.label))
        model.backward(loss.backward())
        optimizer.step(model.parameters())
    return losses


@pages
def test_steps_are_taken_and_taken_back(page, made):
    dataset, model, _ = made
    wanted = trained_by_hand(model, cinema.evenings(dataset), 11, 0.5)
    first = page.shown
    page.click("[role=tab]", 1)
    page.click(".training button", 0)
    assert page.loss == pytest.approx(wanted[1], rel=1e-3)
    page.click(".training button", 1)
    assert page.loss == pytest.approx(wanted[11], rel=1e-3)
    assert page.text(".training .told").startswith("11 steps")
    page.keep("explore-trained")
    page.click(".training button", 2)
    assert page.loss == pytest.approx(wanted[0], rel=1e-3)
    assert page.shown == first
    page.set(".training input", -1)  # a rate of 10 ** -1
    page.click(".training button", 0)
    slower = trained_by_hand(model, cinema.evenings(dataset), 1, 0.1)
    assert page.loss == pytest.approx(slower[1], rel=1e-3)


@pages
def test_every_stage_is_walked_through_and_the_last_takes_the_step(page, made):
    dataset, model, _ = made
    wanted = trained_by_hand(model, cinema.evenings(dataset), 1, 0.5)
    page.set(".bar-of-stages input", 0)
    count = int(page.run("return document.querySelector('.bar-of-stages input').max")) + 1
    seen = [page.stage]
    assert page.count(".picture .block.unreached") > 5
    for k in range(1, count):
        page.click(".next")
        seen.append(page.stage)
        if "dot products" in page.stage and k < 8:
            page.keep("explore-forward")
    assert len(set(seen)) == count
    assert page.count(".picture .block.gradient") == page.count(".picture .block")
    page.keep("explore-backward")
    assert page.loss == pytest.approx(wanted[0], rel=1e-3)
    page.click(".next")
    assert page.stage == seen[0]
    assert page.loss == pytest.approx(wanted[1], rel=1e-3)
    page.click(".previous")
    assert page.stage == seen[0]


@pages
def test_it_plays_and_pauses(page):
    page.click(".play")
    assert page.text(".play") == "Pause"
    assert page.stage.startswith("1 of")
    page.click(".play")
    assert page.text(".play") == "Play"


FOUND = {  # a switch: what the page must find
    0: ("only one use of a repeated id is counted", ["embeddings.weight"]),
    1: ("one of the two vectors of each pair gets no gradient", ["embeddings", "bottom"]),
    2: ("a vector is used twice, and one of its paths is left out", ["bottom"]),
    3: ("it is divided by the batch size once too often", ["embeddings", "bottom", "top"]),
}


@pages
@pytest.mark.parametrize("switch", FOUND)
def test_a_mistake_is_found_by_the_finite_difference_and_named(page, switch):
    page.click("[role=tab]", 2)
    page.click(".mistake input", switch)
    cause, wrong = FOUND[switch]
    assert page.text(".verdict b") == f"Cause: {cause}."
    names = page.texts(".found tbody th")
    assert {name.split(".")[0] for name in names} == {name.split(".")[0] for name in wrong}
    blocks = "return [...new Set([...document.querySelectorAll('td.wrong')].map(e => e.closest"
    framed = page.run(f"{blocks}('[data-block]').dataset.block.split('-')[0]))]")
    assert {"table": "embeddings"}.get(framed[0], framed[0]) in {n.split(".")[0] for n in names}
    if switch == 3:
        assert "that is 1/B, with B = 6" in page.text(".verdict")
    page.keep(f"explore-broken-{switch}")
    page.click(".mistake input", switch)
    assert page.count("td.wrong, .verdict") == 0


@pages
def test_two_mistakes_are_told_apart(page):
    page.click(".mistake input", 1)
    page.click(".mistake input", 3)
    assert page.text(".verdict").count("Cause:") == 2


@pages
def test_a_mistake_that_the_batch_cannot_show_is_said_to_hide(browser, tmp_path):
    model, batch = small()
    page = Page(browser, md.explore(model, batch[:1]), tmp_path)
    page.click(".mistake input", 0)  # nothing repeats in one row
    assert "The mistake is in, and this batch cannot show it." in page.text(".verdict")
    assert page.count("td.wrong") == 0


@pages
def test_a_number_is_moved_and_the_promise_is_kept(page):
    before = page.loss
    page.click("[data-block=top-0-weight] td", 3)
    assert page.text(".what-if b") == "weight from dense[3] to output 0"
    promised = page.text(".what-if .told")
    start = page.run("return document.querySelector('.what-if input').valueAsNumber")
    page.set(".what-if input", start + 0.01)
    told = page.text(".what-if .told")
    slope = number(promised.split("promises ")[1].split(" ")[0])
    moved, actual = number(told.split("promised ")[1][:-1]), number(told.split("loss by ")[1])
    now = page.run("return document.querySelector('.what-if input').valueAsNumber")
    assert moved == pytest.approx(slope * (now - start), rel=0.02)
    assert actual == pytest.approx(moved, rel=0.05)
    page.set(".what-if input", start + 0.9)
    assert page.loss != pytest.approx(before, rel=1e-3)
    page.click(".what-if button")
    assert page.loss == before


@pages
def test_a_dot_product_says_which_vectors_it_multiplies(page):
    cell = "[data-block=pairs] td[tabindex]"
    page.run("document.querySelectorAll(arguments[0])[1].focus()", cell)
    assert page.texts("[data-block=vectors] tr.partner th") == ["dense", "film"]
    assert page.text(".reading").startswith("film · dense = ")
    assert "⟨film, dense⟩ = " in page.text(".reading")


@pages
def test_the_keyboard_walks_through_a_block_and_the_tools(page):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def press(*keys):
        ActionChains(page.browser).send_keys(*keys).perform()

    def at(what="getAttribute('aria-label')"):
        return page.run(f"return document.activeElement.{what}")

    page.run("document.querySelector('[data-block=table-2] td').focus()")
    first = at()
    press(Keys.ARROW_DOWN, Keys.ARROW_RIGHT)
    assert at().startswith("company friends, number 1: ")
    press(Keys.ENTER)
    assert page.text(".what-if b") == "company friends, number 1"
    press(Keys.ARROW_UP, Keys.ARROW_LEFT)
    assert at() == first
    assert page.count("[data-block=table-2] td[tabindex='0']") == 1
    page.run("document.querySelector('[role=tab]').focus()")
    press(Keys.ARROW_RIGHT)
    assert at("textContent") == "Train"
    assert page.run("return document.querySelector('.training').checkVisibility()")


@pages
def test_a_change_is_announced(page):
    page.choose(1, "Comet Harbour")
    page.run("return new Promise(done => setTimeout(done, 600))")
    assert page.text(".live").endswith(page.shown)


@pages
def test_nothing_moves_where_motion_is_unwanted(browser, made, tmp_path):
    page = Page(browser, made[2], tmp_path, motion="reduce")
    page.choose(1, "Comet Harbour")
    page.click(".next")
    assert page.count(".changed, .moving, .wave") == 0
    moving = Page(browser, made[2], tmp_path)
    moving.choose(1, "Comet Harbour")
    assert moving.count(".changed") > 0
    assert moving.count(".wave") == moving.count(".arrows path:not(.head)")


@pages
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_wcag_aa(browser, made, tmp_path, scheme):
    if not AXE.exists():
        pytest.skip("axe-core is not installed (npm install --prefix docs)")
    page = Page(browser, made[2], tmp_path, scheme=scheme, motion="reduce")
    page.keep(f"explore-{scheme}")
    page.run(AXE.read_text(encoding="utf-8"))
    page.click(".mistake input", 0)
    page.run("document.querySelectorAll('[role=tabpanel]').forEach(e => { e.hidden = false })")
    result = browser.execute_async_script(
        "const done = arguments[0]; axe.run(document, {runOnly: ['wcag2a', 'wcag2aa',"
        " 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}).then(done)"
    )
    faults = [
        f"{fault['id']}: {node['target']} {node['failureSummary']}"
        for fault in result["violations"]
        for node in fault["nodes"][:3]
    ]
    assert faults == []


@pages
def test_a_phone_shows_all_of_it(browser, made, tmp_path):
    page = Page(browser, made[2], tmp_path, width=390, height=844)
    assert page.run("return document.documentElement.scrollWidth") <= 390
    page.keep("explore-phone")
    page.click(".mistake input", 2)
    assert page.run("return document.documentElement.scrollWidth") <= 390
    page.click("[role=tab]", 2)
    page.keep("explore-phone-broken")


@pages
def test_a_model_of_ones_own_has_its_own_names(browser, tmp_path):
    rng = np.random.default_rng(0)
    tags = [rng.choice(["new", "red", "big"], 2, replace=False) for _ in range(2000)]
    rows = {
        "click": rng.integers(0, 2, 2000),
        "age": rng.integers(18, 80, 2000),
        "shop": rng.integers(0, 300, 2000).astype(str),
        "city": rng.choice(["Ulm", "Rom", "Oslo"], 2000),
        "tags": ["|".join(each) for each in tags],
    }
    roles = {"dense": ["age"], "sparse": ["shop", "city"], "bags": {"tags": "|"}}
    data = md.data.read_table(rows, label="click", **roles, min_count=1, progress=False)
    model = md.DLRM.for_data(data, embedding_dim=12, bottom_mlp=(6,), top_mlp=(8,))
    content = md.explore(model, data.test[:4], data.schema)
    page = Page(browser, content, tmp_path)
    assert page.shown == percent(md.predict(model, data.test[:4])[0])
    assert f"shop (4 of {data.table_sizes[0]})" in page.text(".note")
    assert page.texts(".fields label > span:first-child") == [
        "shop",
        "city",
        "tags",
        "age",
        "click",
    ]
    assert page.run("return document.querySelectorAll('.fields select')[2].multiple")
    page.choose(2, "red")
    assert page.texts("[data-block=table-2] tr.lit th") == ["red"]
    page.choose(2, "")  # an empty bag
    assert page.texts("[data-block=table-2] tr.lit th") == []
    page.keep("explore-own")
    assert browser.get_log("browser") == []


@pages
def test_a_long_table_scrolls_to_the_row_that_is_lit(browser, tmp_path):
    model = md.DLRM(0, [80, 3], 3, (), (2,), seed=0)
    batch = md.Batch(np.zeros((2, 0)), [[79, 1], [0, 1]], np.ones(2))
    page = Page(browser, md.explore(model, batch), tmp_path)
    visible = (
        "const line = document.querySelector('tr.lit').getBoundingClientRect();"
        "const frame = document.querySelector('.block .scroll').getBoundingClientRect();"
        "return line.top >= frame.top && line.bottom <= frame.bottom"
    )
    assert page.run(visible)
    page.click(".examples button", 1)
    assert page.run(visible)
    assert browser.get_log("browser") == []
