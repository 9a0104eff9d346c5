"""``import minidlrm`` works wherever Python does."""

import os
import subprocess
import sys

import pytest

USE = """
import sys, numpy as np, minidlrm as md
table = md.EmbeddingBag(5, 2, rng=np.random.default_rng(0))
y = table.forward(np.array([[1, 2]]))
table.backward(np.ones_like(y))
md.Adam(0.1).step(table.parameters())
print(md.kernels.backend, table.weight.grad.rows.tolist())
print(sorted({"matplotlib", "pyarrow", "mpi4py", "torch"} & set(sys.modules)))
"""
NO_CACHE = "import numba.core.caching as c; c.CacheImpl._locator_classes = []; "


def run(code, *options, **variables):
    command = [sys.executable, *options, "-c", code]
    environment = {**os.environ, **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "variables"),
    [
        (["-O", "-W", "error"], {"MINIDLRM_KERNELS": "numpy"}),
        (["-O", "-W", "error"], {}),
        ([], {"NUMBA_DISABLE_JIT": "1"}),
    ],
)
def test_it_works_optimized_with_warnings_as_errors_and_without_a_compiler(options, variables):
    done = run(USE, *options, **variables)
    assert done.stderr == ""
    backend, modules = done.stdout.splitlines()
    assert backend.endswith("[1, 2]")
    assert modules == "[]"


@pytest.mark.slow
def test_where_no_folder_can_be_written_it_compiles_anew_and_says_so():
    pytest.importorskip("numba", reason="Numba is not installed")
    done = run(NO_CACHE + USE)
    assert done.stdout.startswith("numba [1, 2]"), done.stderr
    (line,) = done.stderr.splitlines()
    assert "they are compiled anew in each process" in line
