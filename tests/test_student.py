"""What a learner's file may hold, and what is said when it cannot be told how to check it."""

import textwrap

import numpy as np
import pytest

import minidlrm as md
from minidlrm.checking import student


@pytest.fixture
def write(tmp_path):
    def written(text):
        path = tmp_path / "mine.py"
        path.write_text("import numpy as np\nimport minidlrm as md\n" + textwrap.dedent(text))
        return str(path)

    return written


LINEAR = """
    def forward(x, W, b):
        return x @ W + b, (x, W)

    def backward(dy, cache):
        x, W = cache
        return dy @ W.T, x.T @ dy, dy.sum(axis=0)
"""


def check(target):
    return student.check(target, verbose=False)


def test_two_functions_are_checked_on_inputs_made_from_their_names(write):
    report = check(write(LINEAR))
    assert report.passed
    assert {c.name: c.shape for c in report.arrays} == {"x": (6, 4), "W": (4, 3), "b": (3,)}
    report = check(write(LINEAR.replace("dy.sum", "dy.mean")))
    assert report.diagnosis[0].key == "batch_twice"


PAIRS = {
    "weights of PyTorch's shape": """
        def forward(x, weight, bias):
            return x @ weight.T + bias, (x, weight)

        def backward(dy, cache):
            x, weight = cache
            return dy @ weight, dy.T @ x, dy.sum(axis=0)
    """,
    "number by number": """
        def forward(x, gamma, beta):
            return x * gamma + beta, (x, gamma)

        def backward(dy, cache):
            x, gamma = cache
            return dy * gamma, (dy * x).sum(axis=0), dy.sum(axis=0)
    """,
    "a logarithm": """
        def forward(x):
            return np.log(x), x

        def backward(dy, x):
            return dy / x
    """,
    "an argument with a default": """
        def forward(x, slope=0.1):
            return np.where(x > 0, x, slope * x), (x, slope)

        def backward(dy, cache):
            x, slope = cache
            return np.where(x > 0, dy, slope * dy)
    """,
    "a lookup": """
        def forward(W, ids):
            return W[ids], (W, ids)

        def backward(dy, cache):
            W, ids = cache
            dW = np.zeros_like(W)
            np.add.at(dW, ids, dy)
            return dW
    """,
    "classes as labels": """
        def forward(scores, labels):
            e = np.exp(scores - scores.max(axis=1, keepdims=True))
            p = e / e.sum(axis=1, keepdims=True)
            n = np.arange(len(labels))
            return -np.log(p[n, labels]).mean(), (p, labels)

        def backward(dloss, cache):
            p, labels = cache
            d = p.copy()
            d[np.arange(len(d)), labels] -= 1
            return dloss * d / len(d)
    """,
    "ratings as labels": """
        def forward(pred, target):
            return np.mean((pred - target) ** 2), (pred, target)

        def backward(dloss, cache):
            pred, target = cache
            return 2 * dloss * (pred - target) / pred.size
    """,
}


@pytest.mark.parametrize("text", PAIRS.values(), ids=PAIRS.keys())
def test_inputs_are_tried_until_forward_runs(write, text):
    report = check(write(text))
    assert report.arrays
    assert report.passed, str(report)


def test_a_backward_that_runs_on_a_square_matrix_alone_is_shown_where_it_stops(write):
    report = check(write(LINEAR.replace("dy @ W.T", "dy @ W")))
    assert report.diagnosis[0].key == "raised"
    assert "`return dy @ W, x.T @ dy" in report.faults[0]


def test_functions_of_other_names_are_found_by_their_stem(write):
    text = LINEAR.replace("forward", "affine_forward").replace("backward", "affine_backward")
    path = write(text)
    assert check(path).passed
    assert check(f"{path}:affine").passed
    assert check(f"{path}:affine_backward").passed
    path = write(text + text.replace("affine", "second"))
    with pytest.raises(student.Unclear, match=r"give one of .*mine.py:affine, .*mine.py:second"):
        check(path)


CLASSES = {
    "with rng": ("n_in, n_out, rng", "rng.normal(size=(n_out, n_in))"),
    "without rng": ("n_in, n_out", "np.random.default_rng(0).normal(size=(n_out, n_in))"),
    "with other names": ("fan_in: int, units: int = 5", "np.ones((units, fan_in)) / 3"),
    "with nothing": ("", "np.random.default_rng(0).normal(size=(3, 4))"),
    "with a list": ("sizes", "np.random.default_rng(0).normal(size=(sizes[1], sizes[0]))"),
}


@pytest.mark.parametrize("name", ["Linear", "Mine"])
@pytest.mark.parametrize("constructor", CLASSES.values(), ids=CLASSES.keys())
def test_a_class_is_made_whatever_its_constructor_takes(write, name, constructor):
    arguments, weight = constructor
    text = f"""
        class {name}(md.Module):
            def __init__(self, {arguments}):
                self.weight = md.Parameter({weight}, "weight")

            def forward(self, x):
                self.x = x
                return x @ self.weight.value.T

            def backward(self, dy):
                self.weight.add_grad(dy.T @ self.x)
                return dy @ self.weight.value
    """
    assert check(write(text)).passed
    assert not check(write(text.replace("dy.T @ self.x", "2 * dy.T @ self.x"))).passed


def test_an_example_says_what_to_check(write):
    for pair in ("forward, backward", "(forward, backward)"):
        text = f"""
    def example():
        return {pair}, np.ones((2, 2)), np.ones((2, 5)), 0.1
"""
        report = check(write(LINEAR + text))
        assert {c.name: c.shape for c in report.arrays}["W"] == (2, 5)


def test_an_optimizer_is_checked_by_optimcheck(write):
    derived = """
        class Mine(md.SGD):
            def _update(self, weight, rows, grad, state, lr):
                weight[rows] += lr * grad
    """
    assert check(write(derived)).diagnosis[0].key == "uphill"
    own = """
        class Mine:
            def update(self, w, g):
                return w - 0.1 * g
    """
    with pytest.raises(student.Unclear, match=r"def example\(\):\n +return Mine\(\.\.\.\), md\."):
        check(write(own))
    text = own + "\n        def example():\n            return Mine(), md.SGD(0.1)"
    assert check(write(text)).passed


def test_a_file_that_cannot_be_read_is_answered_with_code_to_write(write):
    with pytest.raises(student.Unclear) as error:
        check(write("def forward(state):\n    return state.plan\ndef backward(dy):\n    return dy"))
    assert "forward(state) does not run" in str(error.value)
    assert "mine.py, line 4: `return state.plan`" in str(error.value)
    code = str(error.value).partition("write\n\n")[2].partition("\n\nwith")[0]
    held = {"np": np, "forward": np.sin, "backward": np.cos}
    exec(textwrap.dedent(code), held)
    target, *inputs = held["example"]()
    assert target == (np.sin, np.cos)
    assert inputs[0].shape == (5, 4)
    with pytest.raises(student.Unclear, match="no functions forward and backward"):
        check(write("x = 3"))
    with pytest.raises(student.Unclear, match="has no nix; it has forward, backward"):
        check(write(LINEAR) + ":nix")
    with pytest.raises(FileNotFoundError, match="no file"):
        check("nowhere.py")


def test_an_exception_is_shown_with_file_line_and_text(write):
    with pytest.raises(student.Unclear, match=r"mine.py, line 3: `1 / 0`"):
        check(write("1 / 0"))
    with pytest.raises(student.Unclear, match=r"line 3: `def forward\(`"):
        check(write("def forward("))
    report = check(write(LINEAR.replace("dy.sum(axis=0)", "dy.sum(axis=7)")))
    assert report.diagnosis[0].key == "raised"
    assert "mine.py, line 9: `return dy @ W.T" in report.faults[0]


def test_gradcheck_itself_shows_where_the_code_stops():
    def backward(dy):
        raise NotImplementedError("not written yet")

    report = md.gradcheck((np.sin, backward), np.ones(3), verbose=False)
    assert not report.passed
    assert '`raise NotImplementedError("not written yet")`' in str(report)
    with pytest.raises(ValueError, match="method is 'none'"):
        md.gradcheck((np.sin, np.cos), np.ones(3), method="none")
