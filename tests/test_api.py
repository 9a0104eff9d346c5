"""The public API: the example of the README, and what an import costs."""

import subprocess
import sys

import numpy as np
import pytest

import minidlrm as md


def python(code):
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_one_screen_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    clicks  = md.data.synthetic_clicks(rows=100_000, seed=0)  # fmt: skip
    model   = md.DLRM(num_dense=clicks.num_dense, table_sizes=clicks.table_sizes, embedding_dim=16,
                      bottom_mlp=(64,), top_mlp=(64,), seed=0)  # fmt: skip
    report  = md.gradcheck(model, clicks.train[:8])  # fmt: skip
    history = md.fit(model, clicks.train, valid=clicks.valid, optimizer=md.Adagrad(lr=0.02),
                     epochs=1, batch_size=2048)  # fmt: skip
    metrics = md.evaluate(model, clicks.test)
    trace = md.trace(model, clicks.train[:4])
    md.save(model, "dlrm.safetensors")
    again = md.load("dlrm.safetensors")
    assert report.passed
    assert history.plot() is not None
    assert list(metrics) == ["log_loss", "auc", "normalized_entropy", "accuracy", "calibration"]
    assert metrics["auc"] > 0.6
    assert trace.operations
    assert md.evaluate(again, clicks.test) == metrics


def test_by_hand_one_step_at_a_time():
    clicks = md.data.synthetic_clicks(rows=20_000, seed=0)
    model = md.DLRM(13, clicks.table_sizes, 8, (16,), (16,))
    loss, optimizer, values = md.BCEWithLogits(), md.SGD(lr=0.1), []
    for batch in md.data.minibatches(clicks.train, batch_size=2048, seed=0):
        model.zero_grad()
        values.append(loss.forward(model.forward(batch), batch.label))
        model.backward(loss.backward())
        optimizer.step(model.parameters())
    assert isinstance(values[0], float)
    assert values[-1] < values[0]


def test_an_import_brings_nothing_heavy():
    heavy = ["matplotlib", "pyarrow", "torch", "tqdm", "rich", "safetensors", "pooch", "mpi4py"]
    heavy += ["scipy.stats", "minidlrm.checking", "minidlrm.tracing"]
    code = f"import sys, minidlrm; print([m for m in {heavy} if m in sys.modules])"
    assert python(code).strip() == "[]"


def test_what_is_imported_later_is_listed_and_found():
    code = "import minidlrm as md; print(set(md.__all__) - set(dir(md)))"
    assert python(code).strip() == "set()"
    with pytest.raises(AttributeError, match="has no attribute 'gradchek'"):
        md.gradchek  # noqa: B018


def test_a_command_imports_what_it_needs():
    code = "import sys; sys.argv = ['minidlrm', 'train', '--help']; from minidlrm.cli import main\n"
    code += "try: main()\nexcept SystemExit: pass\n"
    code += "print([m for m in ('checking', 'grading') if f'minidlrm.{m}' in sys.modules])"
    assert python(code).strip().splitlines()[-1] == "[]"


def test_no_public_name_is_listed_twice():
    assert len(md.__all__) == len(set(md.__all__))


def test_every_model_class_is_in_the_list_of_models():
    listed = {entry.cls.__name__ for entry in md.MODELS.values()}
    assert listed == set(md.models.__all__) - {"MODELS", "Model", "ModelEntry"}


def test_a_model_of_the_list_is_built_from_sizes_alone():
    for name, entry in md.MODELS.items():
        num_dense, sizes = (0, [9, 4]) if entry.pairs_only else (3, [9, 4, 5])
        model = entry.build(num_dense, sizes, 4, (6, 5), seed=1)
        batch = md.Batch(np.ones((2, num_dense)), np.zeros((2, len(sizes)), int))
        assert model.forward(batch).shape == (2,), name
        assert type(model)(**model.config).num_parameters() == model.num_parameters()
