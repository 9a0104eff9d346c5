"""The equations with numbers: they say what was computed."""

import re

import numpy as np
import pytest

import minidlrm as md
from minidlrm.tracing.worked import readable, worked


@pytest.fixture(scope="module")
def steps():
    rng = np.random.default_rng(0)
    ids = np.stack([rng.integers(0, 5, 2), rng.integers(0, 4, 2)], axis=1)
    batch = md.data.Batch(rng.normal(size=(2, 2)), ids, np.array([1.0, 0.0]))
    return md.trace(md.DLRM(2, [5, 4], 2, (3,), (3,), dtype=np.float64), batch)


def last_number(text):
    return float(re.findall(r"= (-?[\d.e+-]+)$", text)[0])


@pytest.mark.parametrize("sample", [0, 1])
def test_the_sums_that_are_written_out_are_true(steps, sample):
    """With at most three terms nothing is left out: evaluate what is written."""
    checked = 0
    for op in steps.operations:
        for text in worked(op, sample).split("; "):
            *_, sum_text, result = text.split(" = ") if text.count(" = ") >= 2 else (None, None)
            if sum_text is None or "×" not in sum_text or "…" in sum_text or "vectors" in sum_text:
                continue
            body = sum_text.replace("×", "*").replace("max(0, ", "max(0.0, ")
            value = eval(body, {"max": max})
            assert value == pytest.approx(float(result), abs=0.02 * max(1, abs(value))), text
            checked += 1
    assert checked >= 7


def test_the_result_is_what_the_layer_gave(steps):
    dot = next(op for op in steps.operations if op.name == "interaction" and op.phase == "forward")
    for sample in (0, 1):
        assert last_number(worked(dot, sample)) == pytest.approx(
            dot.outputs["y"][sample, 0], rel=0.01
        )


def test_the_gradient_of_the_loss_is_rate_less_label(steps):
    back = next(op for op in steps.operations if op.name == "loss" and op.phase == "backward")
    text = worked(back, 0)
    assert "(σ(x) - y) / B" in text
    assert last_number(text) == pytest.approx(back.outputs["dlogits"][0], rel=0.01)


def test_other_layers_show_their_first_numbers():
    rng = np.random.default_rng(0)
    ids = np.stack([rng.integers(0, 5, 2), rng.integers(0, 4, 2)], axis=1)
    batch = md.data.Batch(rng.normal(size=(2, 2)).astype(np.float32), ids, np.array([1.0, 0.0]))
    for model in (md.XDeepFM(2, [5, 4], 2, (2,), (3,)), md.DCN(2, [5, 4], 2, 2, "matrix", (3,))):
        for op in md.trace(model, batch).operations:
            assert "=" in worked(op, 1), op.name


def test_no_latex_is_left_in_any_equation():
    from minidlrm.checking import cases

    for _, target, _ in cases.everything(0):
        for _, module in target.named_modules():
            text = readable(module.equation)
            assert "\\" not in text, module.equation
            assert "{" not in re.sub(r"\{⟨.*⟩\}", "", text), text
