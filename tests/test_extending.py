"""What CONTRIBUTING promises: a layer, an optimizer, a reader are added by a few lines.

Each test copies the package, writes the new part, adds exactly the lines that CONTRIBUTING names,
and asks in a process of its own whether everything that reads the lists knows it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]

LAYER = '''
"""SquaredDistances: the squared distance of every pair of feature vectors."""

import numpy as np

from minidlrm.layers.inputs import converted
from minidlrm.layers.interaction import Interaction


class SquaredDistances(Interaction):
    r"""Squared distances, :math:`y_{ij} = |z_i - z_j|^2`, for i > j."""

    equation = r"y_{ij} = |z_i - z_j|^2,\\ i > j"

    def forward(self, z: np.ndarray) -> np.ndarray:
        """Compute y (B, P), the distances, from z (B, F, D)."""
        z = self.check_z(z)
        difference = z[:, self.i] - z[:, self.j]  # (B, P, D)
        self.keep(z.shape, difference)
        return (difference * difference).sum(axis=2)  # ① (B, P)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        r"""Return dL/dz (B, F, D).

        1. With :math:`e = z_i - z_j`, :math:`y = \\langle e, e \\rangle`.
        2. So :math:`de = 2\\, dy\\, e`.
        3. It reaches :math:`z_i` as it is, and :math:`z_j` with the other sign:
           :math:`dz_i = \\sum_j de_{ij}` and :math:`dz_j = -\\sum_i de_{ij}`.
        """
        shape, difference = self.kept()
        dy = self.check_dy(dy, (shape[0], self.num_outputs))
        terms = 2 * converted("dy", dy, difference.dtype)[:, :, None] * difference  # ②
        dz = np.zeros(shape, terms.dtype)
        np.add.at(dz, (slice(None), self.i), terms)  # ③
        np.subtract.at(dz, (slice(None), self.j), terms)  # ③
        return dz  # (B, F, D)

    def __init__(self, num_features: int, embedding_dim: int):
        super().__init__(num_features, embedding_dim)
        self.i, self.j = np.tril_indices(self.num_features, -1)  # (P,)
        self.num_outputs = len(self.i)

    def flops_per_sample(self) -> int:
        """Return 3 P D."""
        return 3 * self.num_outputs * self.embedding_dim
'''

MISTAKE = '''
class SquareNotDerived(SquaredDistances):
    """The 2 of the square is left out."""

    def backward(self, dy):
        return super().backward(dy) / 2


BUGS = (
    Bug(SquareNotDerived, "factor", _vectors),
'''

OPTIMIZER = '''
class SignSGD(Optimizer):
    """Step by the sign of the gradient, :math:`w - \\\\eta\\\\, \\\\mathrm{sign}(g)`."""

    def update(self, weight, rows, grad, state, lr):
        """Change rows (n,) of weight (N, D), given their gradients grad (n, D)."""
        weight[rows] -= lr * np.sign(grad)


OPTIMIZERS: dict'''

UPDATE_MISTAKE = '''
class SignUphill(SignSGD):
    """w + lr sign(g): the loss grows."""

    def update(self, weight, rows, grad, state, lr):
        weight[rows] += lr * np.sign(grad)


BUGS = (
    Bug(SignUphill, "uphill", _make(lr=0.1)),
'''

READER = '''
"""Coin flips: which coin, by which hand, and whether it shows heads."""

import numpy as np

from minidlrm.data.batch import Batch, Dataset


def read_coins(path: str, seed: int = 0) -> Dataset:
    """Read a file with one line a flip: the numbers of coin and hand, and 1 for heads."""
    table = np.loadtxt(path, dtype=np.int64, ndmin=2)  # (B, 3)
    dense = np.zeros((len(table), 0), np.float32)
    rows = Batch(dense, table[:, :2], table[:, 2].astype(np.float32))
    sizes = [int(n) + 1 for n in table[:, :2].max(axis=0)]
    return Dataset(rows, rows, rows, sizes, ["coin", "hand"], f"flips of {path}")
'''


@pytest.fixture
def copy(tmp_path):
    """The package in a folder of its own, with the files that a test has changed."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "minidlrm", tmp_path / "minidlrm", ignore=ignored)
    return Copy(tmp_path)


class Copy:
    def __init__(self, folder):
        self.folder, self.touched = folder, set()

    def write(self, name, text):
        path = self.folder / "minidlrm" / name
        assert not path.exists()
        path.write_text(text.lstrip(), encoding="utf-8")

    def change(self, name, old, new):
        path = self.folder / "minidlrm" / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) >= 1, f"{name} has no {old!r}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        self.touched.add(name)

    def line_like(self, name, known, new):
        """Repeat the line that holds `known` for a new name."""
        text = (self.folder / "minidlrm" / name).read_text(encoding="utf-8")
        line = next(line for line in text.splitlines() if known in line and "(4, 3)" in line)
        self.change(name, line, f"{line}\n{line.replace(known, new)}")

    def run(self, *arguments):
        path = os.pathsep.join(map(str, (self.folder, ROOT / "tests", ROOT / "docs" / "_ext")))
        environment = {**os.environ, "PYTHONPATH": path, "MINIDLRM_KERNELS": "numpy"}
        environment |= {"MPLBACKEND": "agg", "PYTHONWARNINGS": "ignore"}
        result = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout


USES_OF_A_LAYER = """
import numpy as np, minidlrm as md
from minidlrm.checking import bugs, cases
import site_pages

mine = [(title, target, inputs) for title, target, inputs in cases.everything(0)
        if type(target).__name__ == "SquaredDistances"]
assert mine, "the list of cases does not have it"
for title, target, inputs in mine:
    md.gradcheck(target, *inputs, verbose=False).raise_if_failed()
(bug,) = [bug for bug in bugs.CORPUS if "SquareNotDerived" in bug.name]
cls = bug.cls if hasattr(bug, "cls") else bug.kind
report = md.gradcheck(*bug.make(cls, np.random.default_rng(0)), verbose=False)
assert not report.passed and report.diagnosis[0].key == "factor", report.diagnosis

model = md.DLRM(2, [5, 6], 4, (8,), (8,), interaction=md.SquaredDistances(3, 4))
batch = md.Batch(np.ones((3, 2), np.float32), np.array([[0, 1], [2, 3], [4, 5]]), np.ones(3))
md.gradcheck(model, batch, verbose=False).raise_if_failed()
md.save(model, "m.safetensors")
assert (md.load("m.safetensors").forward(batch) == model.forward(batch)).all()
assert "interaction" in [op.name for op in md.trace(model, batch).operations]
assert md.diagram(model) is not None
from minidlrm.cli.summary import summary
from rich.console import Console
console = Console(record=True, width=120)
console.print(summary(model, 512))
assert "interaction" in console.export_text()
assert "layers.distances" in site_pages.topics()
page = site_pages.derivations.derivation(md.layers.distances)
assert "dz_i" in page and "The derivation, and the code" in page and "SquareNotDerived" in page
for side in ("step", "code"):
    assert all(f'id="squareddistances-{side}-{k}"' in page for k in (1, 2, 3)), side
"""


def test_a_layer_takes_three_files(copy):
    copy.write("layers/distances.py", LAYER)
    copy.change(
        "layers/__init__.py",
        "from minidlrm.layers.dot",
        "from minidlrm.layers.distances import SquaredDistances\nfrom minidlrm.layers.dot",
    )
    copy.change("layers/__init__.py", '    "ReLU",\n', '    "ReLU",\n    "SquaredDistances",\n')
    copy.line_like("checking/cases.py", "BiInteraction", "SquaredDistances")
    museum = "checking/bugs/interactions.py"
    copy.change(museum, "    MatrixCross,\n", "    MatrixCross,\n    SquaredDistances,\n")
    copy.change(museum, "BUGS = (\n", MISTAKE.lstrip())
    assert len(copy.touched) == 3
    copy.run("-c", USES_OF_A_LAYER)
    assert "SquaredDistances" in copy.run("-m", "minidlrm", "gradcheck", "--all")
    tests = str(ROOT / "tests" / "test_module.py")
    options = ("-q", "-p", "no:cacheprovider", "-k", "SquaredDistances")
    assert " passed" in copy.run("-m", "pytest", tests, *options)


USES_OF_AN_OPTIMIZER = """
import numpy as np, minidlrm as md
from minidlrm.checking import bugs, optimcheck

assert md.OPTIMIZERS["sign-sgd"] is md.SignSGD
(bug,) = [bug for bug in bugs.OPTIMIZERS if "SignUphill" in bug.name]
cls = bug.cls if hasattr(bug, "cls") else bug.kind
(wrong,) = bug.make(cls, np.random.default_rng(0))
report = optimcheck(wrong, verbose=False)
assert not report.passed and report.diagnosis[0].key == "uphill", report
(right,) = bug.make(bug.correct, np.random.default_rng(0))
assert optimcheck(right, verbose=False).passed
"""


def test_an_optimizer_takes_two_files(copy):
    copy.change("optim.py", "OPTIMIZERS: dict", OPTIMIZER.lstrip())
    copy.change("optim.py", '    "sgd": SGD,\n', '    "sgd": SGD,\n    "sign-sgd": SignSGD,\n')
    copy.change("optim.py", '    "SGD",\n', '    "SGD",\n    "SignSGD",\n')
    museum = "checking/bugs/optimizers.py"
    copy.change(museum, "RowwiseAdagrad\n", "RowwiseAdagrad, SignSGD\n")
    copy.change(museum, "BUGS = (\n", UPDATE_MISTAKE.lstrip())
    assert len(copy.touched) == 2
    copy.run("-c", USES_OF_AN_OPTIMIZER)
    assert "sign-sgd" in copy.run("-m", "minidlrm", "train", "--help")
    arguments = ("--optimizer", "sign-sgd", "--rows", "2000", "--epochs", "1", "--lr", "0.001")
    assert "log loss" in copy.run("-m", "minidlrm", "train", *arguments)


def test_a_reader_takes_one_file(copy):
    copy.write("data/coins.py", READER)
    copy.change(
        "data/__init__.py",
        "READERS = {\n",
        'READERS = {\n    "coins": Reader("coins.read_coins", "PATH", "coin flips"),\n',
    )
    assert len(copy.touched) == 1
    (copy.folder / "flips.txt").write_text("0 1 1\n1 0 0\n0 1 1\n1 1 1\n" * 300)
    assert "coins:PATH" in copy.run("-m", "minidlrm", "train", "--help")
    trained = copy.run("-m", "minidlrm", "train", "--data", "coins:flips.txt", "--epochs", "1")
    assert "log loss" in trained
