"""The derivation pages: each has its code, its picture and its numbers, from one source."""

import functools
import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest

EXT = Path(__file__).parent.parent / "docs" / "_ext"
sys.path.insert(0, str(EXT))
derivations = pytest.importorskip("derivations")
formulas, live, numbered, shapes = (
    importlib.import_module(name) for name in ("formulas", "live", "numbered", "shapes")
)
sys.path.remove(str(EXT))

TOPICS = derivations.topics()
CLASSES = {
    name: cls
    for topic in TOPICS
    for name, cls in derivations.derived(importlib.import_module(f"minidlrm.{topic}")).items()
}


def numbers_of(code):
    return sorted({step for function in code for step in numbered.marks(function.source)})


@pytest.mark.parametrize("name", CLASSES)
def test_the_steps_of_a_derivation_are_the_numbers_in_its_code(name):
    steps = numbered.steps(CLASSES[name])
    assert steps == list(range(1, len(steps) + 1)), "write the derivation as steps 1., 2., ..."
    assert steps, f"{name}.backward: write the derivation as numbered steps"
    code = numbered.shown(CLASSES[name])
    assert numbers_of(code) == steps, f"{name}: mark the lines that do each step, as in # ②"
    own = [f for f in code if f.function is vars(CLASSES[name])["backward"]]
    assert numbers_of(own), f"{name}.backward: no line of it does a step"


def test_a_number_that_is_missing_on_either_side_is_seen():
    class Half:
        def backward(self, dy):
            """Return dL/dx.

            1. One.
            2. Two.
            """
            return dy  # ②

    assert numbered.steps(Half) == [1, 2]
    assert numbers_of(numbered.shown(Half)) == [2]


@pytest.mark.parametrize("name", CLASSES)
def test_the_letters_of_the_picture_fit_the_arrays_of_a_run(name):
    picture = shapes.Picture(CLASSES[name])
    assert picture.arrays(), name
    for array, value in picture.arrays().items():
        letters = picture.told.get(array, ())
        assert len(letters) == value.ndim, f"{name}: say the shape of {array} in a docstring"
        sizes = [picture.size(letter) for letter in letters]
        assert tuple(n or k for n, k in zip(sizes, value.shape, strict=True)) == value.shape


@pytest.mark.parametrize("name", CLASSES)
def test_a_picture_has_both_directions_and_their_numbers(name):
    picture = shapes.Picture(CLASSES[name])
    given, made = picture.forward()
    upstream, gradients = picture.backward()
    assert all([given, made, gradients])
    assert upstream.letters == made[-1].letters
    assert made[-1].steps, f"{name}: no line of forward that makes its output has a number"
    assert any(array.steps for array in gradients)
    text = shapes.as_html(CLASSES[name], "slug")
    assert text.count("<svg") == len(given) + len(made) + 1 + len(gradients)


@functools.cache
def page_of(topic):
    return derivations.derivation(importlib.import_module(f"minidlrm.{topic}"))


@pytest.mark.slow
@pytest.mark.parametrize("topic", TOPICS)
def test_a_page_has_formula_picture_code_and_numbers_that_lead_to_each_other(topic):
    module = importlib.import_module(f"minidlrm.{topic}")
    page = page_of(topic)
    for name, cls in derivations.derived(module).items():
        slug = name.lower()
        assert cls.equation
        assert f".. math:: {cls.equation}" in page
        assert f'aria-label="The shapes of {name}"' in page
        assert f'id="{slug}-live"' in page
        for step in numbered.steps(cls):
            for side in ("step", "code"):
                assert page.count(f'id="{slug}-{side}-{step}"') == 1
                assert f'href="#{slug}-{side}-{step}"' in page
        for bug in live.bugs_of(cls):
            assert f"<code>{bug.cls.__name__}</code>" in page


@pytest.mark.slow
@pytest.mark.parametrize("topic", TOPICS)
def test_no_formula_is_left_as_plain_text(topic):
    text = page_of(topic)
    for typeset_or_code in (
        r":(?:math|doc|raw-html):`[^`]*`|\.\. math::[^\n]*|^[\^-]+$",
        r"<span class=\"math.*?</span>|<svg.*?</svg>|<pre>.*?</pre>|<code>.*?</code>",
        r"<[^>]*>|``[^`]*``|`[^`]*`",
    ):
        text = re.sub(typeset_or_code, "", text, flags=re.M | re.S)
    plain = r"\^|\w_\{|\b[A-Z] \([A-Z]|\b[dxyzWFN] [=+] |\\[a-z]"
    assert [line for line in text.splitlines() if re.search(plain, line)] == []


def test_the_symbols_of_the_list_of_derivations_are_typeset():
    """The list includes them from the glossary."""
    text = (EXT.parent / "glossary.md").read_text(encoding="utf-8")
    symbols = text.split("<!-- symbols -->")[1].split("<!-- words -->")[0]
    plain = re.sub(r"\$[^$]+\$|`[^`]*`", "", symbols)
    assert re.findall(r"\^|∂|exp\(|log\(|\b[A-Z] \([A-Z]", plain) == []


def test_plain_formulas_are_typeset():
    typeset = {
        "dW = -dy^T x": r"dW = -dy^\top\,x",
        "d<z, z>": r"d\langle z, z \rangle",
        "y = x_0 (W x + b) + x": r"y = x_0\,(W\,x + b) + x",
        "1/2 [(sum z)^2 - sum z^2]": r"1/2\,[(\sum z)^2 - \sum z^2]",
        "log(1 + e^-x)": r"\log(1 + e^{-x})",
        "dL/dlogits": r"\partial L / \partial \mathit{logits}",
        "dL/dx0": r"\partial L / \partial x_0",
        "(B, num_dense + T, D)": r"(B, \mathit{num\_dense} + T, D)",
    }
    for plain, made in typeset.items():
        assert formulas.in_html(f"so {plain}: it") == f"so {formulas.math_html(made)}: it"
    for text in ("a bag or a row", "do it at once", "I am in it"):
        assert formulas.in_html(text) == text


@pytest.mark.parametrize("name", ["DotInteraction", "Linear", "CIN", "EmbeddingBagCollection"])
def test_the_example_answers_what_backward_gives(name):
    example = live.Example(CLASSES[name])
    dy = np.random.default_rng(3).normal(size=example.output.shape)
    gradients = example.gradients(example.module, dy)
    whole = np.concatenate([np.ravel(gradients[key]) for key in sorted(gradients)])
    sums = np.zeros(whole.size)
    for number, (places, numbers) in zip(dy.ravel(), example.data()["backward"][0], strict=True):
        sums[places] += number * np.array(numbers)
    np.testing.assert_allclose(sums, whole, atol=1e-4)
    assert example.wrong
    for answers in example.wrong.values():
        assert not np.allclose(answers, example.right)
