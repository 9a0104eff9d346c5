"""What all tests share."""

import importlib.util
import os
import re
import shutil
import signal
from pathlib import Path

# Before NumPy: the arrays are small, and threads that wait for each other cost more than they do.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

os.environ["MINIDLRM_LANG"] = "en"  # whatever the locale: the tests compare with English

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("minidlrm", deadline=None, max_examples=30)
settings.load_profile("minidlrm")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in a background job: tests press Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; the test is skipped, and says so, without it."""
    folder = os.environ.get("MINIDLRM_DATA")
    if not folder:
        pytest.skip("MINIDLRM_DATA is not set: no real data")
    return Path(folder)


@pytest.fixture(scope="session")
def torch():
    """PyTorch in float64, as the oracle; the test is skipped, and says so, without it."""
    module = pytest.importorskip("torch", reason="PyTorch is not installed: no oracle")
    return module


@pytest.fixture(scope="session")
def messages():
    """`.ci/messages.py` as a module."""
    pytest.importorskip("babel", reason="babel is not installed: no catalogues are made")
    place = Path(__file__).parent.parent / ".ci" / "messages.py"
    spec = importlib.util.spec_from_file_location("messages", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def template(messages):
    """Return all messages, as they stand in the code: to read, not to change."""
    return messages.template()


@pytest.fixture(scope="session")
def pseudo_folder(messages, template, tmp_path_factory):
    """A catalogue in which every letter of a message is x, but names of its values."""
    from babel.messages.catalog import Catalog

    catalog = Catalog(locale="eo")
    for message in template:
        if message.id:
            said = re.sub(r"(\{[^{}]*\})|[A-Za-z]", lambda found: found[1] or "x", message.id)
            catalog.add(message.id, said)
    place = tmp_path_factory.mktemp("locale") / "eo" / "LC_MESSAGES"
    place.mkdir(parents=True)
    (place / "minidlrm.mo").write_bytes(messages.as_mo(catalog))
    return place.parents[1]


@pytest.fixture
def pseudo(pseudo_folder, monkeypatch):
    """A language in which every letter of a message is x: `untranslated` finds what is not x.

    It is asked for by name: `lang=pseudo`, or MINIDLRM_LANG set to it.
    """
    from minidlrm import languages

    languages._catalogue.cache_clear()
    monkeypatch.setattr(languages, "FOLDER", pseudo_folder)
    yield "eo"
    languages._catalogue.cache_clear()


def untranslated(text: str) -> set[str]:
    """Return the words of a text in the language `pseudo` that passed the catalogue by."""
    return {word for word in re.findall(r"[A-Za-z]{2,}", text) if set(word.lower()) != {"x"}}


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A headless Chromium; the test is skipped, and says so, without it."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (program and driver):
        pytest.skip("chromium or its driver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    profile = tmp_path_factory.mktemp("profile")
    for word in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield found
    found.quit()


def complex_step(function, array: np.ndarray, step: float = 1e-30) -> np.ndarray:
    """The gradient of function(array), a number, for an analytic function: no step to choose."""
    grad = np.empty(array.shape)
    moved = array.astype(np.complex128)
    for index in np.ndindex(array.shape):
        moved[index] += 1j * step
        grad[index] = np.imag(function(moved)) / step
        moved[index] = array[index]
    return grad


def assert_complex_step(model, batch, rng, checks: int = 8) -> None:
    """Some entries of every parameter's gradient agree with the complex step's."""
    r = rng.normal(size=len(batch))
    model.forward(batch)
    model.backward(r)
    other = model.astype(np.complex128)
    for mine, moved in zip(model.parameters(), other.parameters(), strict=True):
        sparse = hasattr(mine.grad, "to_dense")
        grad = mine.grad.to_dense() if sparse else mine.grad
        for _ in range(checks):
            index = tuple(rng.integers(0, n) for n in grad.shape)
            value = moved.value[index]
            moved.value[index] += 1e-30j
            numeric = np.imag(np.sum(r * other.forward(batch))) / 1e-30
            moved.value[index] = value
            assert grad[index] == pytest.approx(numeric, rel=1e-12, abs=1e-14)
