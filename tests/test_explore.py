"""The page that can be touched: its arithmetic is minidlrm's, and every control does what it says.

MINIDLRM_SCREENSHOTS=FOLDER keeps pictures of it, at desktop and phone width.
"""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import explore_cases
import numpy as np
import pytest

import minidlrm as md
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


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_its_numbers_are_those_of_minidlrm(tmp_path):
    contents, wanted = the_cases(60)
    program = tmp_path / "cases.cjs"
    read = 'JSON.parse(require("fs").readFileSync(0, "utf8"))'
    program.write_text(
        f"{script()}\n{explore_cases.RUNNER}\nconsole.log(JSON.stringify({read}.map(runCase)))",
        encoding="utf-8",
    )
    result = subprocess.run(
        [NODE, program], input=json.dumps(contents), capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    errors = [explore_cases.worst(*pair) for pair in zip(found, wanted, strict=True)]
    assert max(errors) <= explore_cases.RELATIVE, f"case {np.argmax(errors)}"


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
