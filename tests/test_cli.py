"""The command line, as a user meets it."""

import contextlib
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

import minidlrm as md
from minidlrm.cli import main

LONG = "MINIDLRM_LONG" in os.environ  # .ci/run --long


def command(*arguments, cwd=None, **variables):
    """Run the command in a process of its own, as a user does."""
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", **variables}
    return subprocess.run(
        [sys.executable, "-m", "minidlrm", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        timeout=300,
        encoding="utf-8",
    )


def run(*arguments, cwd=".", **variables):
    """Run the command in this process: the same, without the time of an import."""
    out, err = io.StringIO(), io.StringIO()
    environment = {"COLUMNS": "100", "NO_COLOR": "1", **variables}
    with (
        mock.patch.dict(os.environ, environment),
        mock.patch.object(sys, "argv", ["minidlrm", *map(str, arguments)]),
        warnings.catch_warnings(),
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        warnings.simplefilter("default")  # as in a process of its own
        with pytest.raises(SystemExit) as end:
            main()
    return subprocess.CompletedProcess(arguments, end.value.code, out.getvalue(), err.getvalue())


def test_train_writes_its_results(tmp_path):
    result = command("train", "--rows", 3000, "--batch-size", 256, "--out", tmp_path / "run")
    assert result.returncode == 0, result.stderr
    for text in ("log loss", "auc", "normalized entropy", "Bayes", "total", "embeddings"):
        assert text in result.stdout
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["results"]["test"]["log_loss"] > metrics["bayes_log_loss"]
    assert len(metrics["history"]) >= 5
    assert (tmp_path / "run" / "learning_curve.png").read_bytes()[:4] == b"\x89PNG"
    model = md.load(tmp_path / "run" / "dlrm.safetensors")
    assert model.config["embedding_dim"] == 16


def test_train_takes_the_options_of_the_model(tmp_path):
    options = "--embedding-dim 4 --bottom-mlp 8 --top-mlp= --interaction cat --optimizer sgd"
    result = run(
        "train", "--rows", 700, "--lr", 0.01, "--no-decay", *options.split(), "--out", tmp_path
    )
    assert result.returncode == 0, result.stderr
    config = md.load(tmp_path / "dlrm.safetensors").config
    assert config["interaction"] == "cat"
    assert config["bottom_mlp"] == [8]
    assert config["top_mlp"] == []


def test_the_same_seed_gives_the_same_metrics(tmp_path):
    results = []
    for folder in ("a", "b"):
        run("train", "--rows", 2000, "--epochs", 1, "--seed", 5, "--out", tmp_path / folder)
        results.append(json.loads((tmp_path / folder / "metrics.json").read_text())["results"])
    assert results[0] == results[1]


def write_criteo(path, rows=140):
    rng = np.random.default_rng(0)
    with open(path, "w") as file:
        for _ in range(rows):
            fields = [rng.integers(0, 2), *rng.integers(0, 9, 13)]
            fields = [*map(str, fields), *(f"{x:08x}" for x in rng.integers(0, 5, 26))]
            file.write("\t".join(fields) + "\n")


def test_train_on_a_criteo_file(tmp_path):
    write_criteo(tmp_path / "train.txt")
    result = run(
        *("train", "--data", f"criteo:{tmp_path / 'train.txt'}", "--out", tmp_path / "run"),
        XDG_CACHE_HOME=str(tmp_path / "cache"),
    )
    assert result.returncode == 0, result.stderr
    assert "140 rows of train.txt" in result.stdout
    assert "Bayes" not in result.stdout


def test_train_on_real_clicks(real_data, tmp_path):
    for name in ("train_2000.txt", "criteo_sample.csv"):
        result = run(
            *("train", "--data", f"criteo:{real_data / 'criteo-sample' / name}", "--epochs", 5),
            *("--out", tmp_path / "run"),
            XDG_CACHE_HOME=str(tmp_path / "cache"),
        )
        assert result.returncode == 0, result.stderr
        results = json.loads((tmp_path / "run" / "metrics.json").read_text())["results"]
        assert set(results) == {"train", "valid", "test"}


def test_gradcheck_passes_every_parameter():
    result = run("gradcheck", "dlrm")
    assert result.returncode == 0, result.stderr
    assert "every array passed" in result.stdout
    assert "top.layers.2.bias" in result.stdout
    assert "FAILED" not in result.stdout


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("linear_transposed.py:Linear", "likeliest cause (x): the matrix is transposed"),
        ("embedding_duplicates.py:example", "only one use of a repeated id is counted"),
        ("mean_loss.py:example", "the division by the batch size is missing"),
        ("dot_one_side.py:DotInteraction", "one of the two vectors of each pair gets no gradient"),
    ],
)
def test_gradcheck_explains_a_learners_file(file, words):
    result = run("gradcheck", Path(__file__).parent / "planted" / file)
    assert result.returncode == 1
    assert "likeliest cause" in result.stdout
    assert words in result.stdout


def test_gradcheck_of_a_right_file_passes(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("import minidlrm as md\n\nclass Linear(md.Linear):\n    pass\n")
    result = run("gradcheck", f"{path}:Linear")
    assert result.returncode == 0, result.stderr
    assert "every array passed" in result.stdout


def test_gradcheck_of_one_target_compiles_no_kernels_unless_told_to(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from minidlrm import kernels\n\n"
        "def forward(x):\n    return (kernels.backend == 'numpy') * x\n\n"
        "def backward(dy):\n    return dy\n"
    )
    assert run("gradcheck", path).returncode == 0
    assert run("gradcheck", path, MINIDLRM_KERNELS="numba").returncode == 1


def test_gradcheck_all_passes():
    result = run("gradcheck", "--all", "--max-checks", 10)
    assert result.returncode == 0, result.stderr
    for name in ("EmbeddingBag, weighted", "CIN, split_half=True", "dlrm, QR mult", "neumf"):
        assert name in result.stdout
    assert "FAILED" not in result.stdout


ON_FIELDS = [name for name, entry in md.MODELS.items() if not entry.pairs_only]


@pytest.mark.parametrize("model", ON_FIELDS)
def test_every_model_trains(model, tmp_path):
    result = run("train", "--model", model, "--rows", 700, "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    assert "log loss" in result.stdout


@pytest.mark.slow
def test_compare_prints_its_tables_and_draws(tmp_path):
    small = ("--rows", 1400, "--epochs", 1, "--mlp", 4, "--embedding-dim", 2, "--batch-size", 512)
    options = (*small, "--seeds", 2, "--out", tmp_path)
    result = run("compare", *options)
    assert result.returncode == 0, result.stderr
    for text in ("xDeepFM", "vector, bit", "lowest mean", "not distinguishable"):
        assert text in result.stdout
    for name in ("quality_against_cost", "learning_curves", "cost_against_fields"):
        assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    models = json.loads((tmp_path / "comparison.json").read_text())["models"]
    assert len(models) == 9
    page = (tmp_path / "comparison.md").read_text(encoding="utf-8")
    assert all(f"| {model['model']} |" in page for model in models)
    result = run("compare", "--experiment", "order", *options)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "order.png").is_file()
    explained = json.loads((tmp_path / "order.json").read_text())["explained"]
    assert set(explained) == {model["model"] for model in models}


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    ["mf", pytest.param("fm", marks=pytest.mark.skipif(not LONG, reason="set MINIDLRM_LONG"))],
)
def test_the_recipes_of_ratings_reach_the_published_quality(model, real_data):
    folder = f"movielens:{real_data / 'ml-latest-small'}"
    result = command("recipe", model, "--data", folder, MINIDLRM_KERNELS="numba")
    if "numba" in result.stderr.lower():
        pytest.skip("Numba is not installed: sixty epochs of the definition take minutes")
    assert result.returncode == 0, result.stderr
    assert "target 0.875: met" in result.stdout
    assert model == "mf" or "at most 0.005: met" in result.stdout


def test_a_recipe_ranks_the_item_left_out(tmp_path):
    result = run("recipe", "gmf", "--data", f"movielens:{write_ratings(tmp_path)}")
    assert result.returncode == 0, result.stderr
    assert "epoch" in result.stdout
    assert "chosen by the validation items" in result.stdout


@pytest.mark.parametrize(("model", "scores"), [("mf", ["rmse"]), ("gmf", ["hit rate", "ndcg"])])
def test_a_model_of_users_and_items_trains_on_a_folder(model, scores, tmp_path):
    options = ("--epochs", 3, "--lr", 0.01, "--batch-size", 64, "--optimizer", "sgd")
    data = f"movielens:{write_ratings(tmp_path)}"
    result = run("train", "--model", model, "--data", data, *options, "--out", tmp_path / "run")
    assert result.returncode == 0, result.stderr
    table = result.stdout.partition("epochs")[2].partition("results")[0]
    epochs = [word for word in table.split() if word.isdigit()]
    assert epochs == ["1", "2", "3"]
    assert all(score in result.stdout for score in scores)
    assert f"{model}.safetensors in {tmp_path / 'run'}" in " ".join(result.stdout.split())
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "learning_curve.png",
        "metrics.json",
        f"{model}.safetensors",
    }
    assert md.load(tmp_path / "run" / f"{model}.safetensors").config["table_sizes"][0] == 20


@pytest.mark.parametrize("patience", [(), ("--patience", 9)])
def test_the_validation_metrics_are_those_of_the_model_that_is_written(tmp_path, patience):
    options = ("--rows", 1400, "--lr", 0.1, "--batch-size", 100, "--embedding-dim", 2)
    assert run("train", *options, *patience, "--out", tmp_path).returncode == 0
    written = json.loads((tmp_path / "metrics.json").read_text())
    model = md.load(tmp_path / "dlrm.safetensors")
    scores = md.evaluate(model, md.data.synthetic_clicks(rows=1400, seed=0).valid)
    assert written["results"]["valid"] == scores
    last = written["history"][-1]["valid_log_loss"]
    assert (scores["log_loss"] < last) == bool(patience), "the best is to be another than the last"


def test_patience_gives_back_the_best_epoch_of_a_ranking(tmp_path):
    options = ("--epochs", 30, "--patience", 1, "--batch-size", 64, "--embedding-dim", 2)
    data = f"movielens-ranking:{write_ratings(tmp_path)}"
    result = run("train", "--model", "gmf", "--data", data, *options, "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    written = json.loads((tmp_path / "metrics.json").read_text())
    rates = [record["valid_hit_rate"] for record in written["history"]]
    assert len(rates) < 30
    assert written["results"]["valid"]["hit_rate"] == max(rates)


def test_an_interrupted_run_is_resumed_with_the_same_bits(tmp_path, monkeypatch):
    options = ("train", "--rows", 1400, "--embedding-dim", 2, "--batch-size", 100, "--top-mlp", 4)
    options += ("--epochs", 2)
    whole = run(*options, "--out", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    step, count = md.Adam.step, itertools.count(1)

    def interrupted(self, parameters):
        step(self, parameters)
        if next(count) == 17:  # in the second epoch
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(md.Adam, "step", interrupted)
    cut = run(*options, "--checkpoint-every", 5, "--out", tmp_path / "cut")
    assert cut.returncode == 130
    assert cut.stderr.endswith("error: interrupted\n")
    assert "training.safetensors is written: --resume goes on" in cut.stderr
    assert not (tmp_path / "cut" / "dlrm.safetensors").exists()
    resumed = run(*options, "--resume", "--out", tmp_path / "cut")
    assert resumed.returncode == 0, resumed.stderr
    assert next(count) == 24 + 1  # 12 steps an epoch: it did not begin anew
    weights = [(tmp_path / run / "dlrm.safetensors").read_bytes() for run in ("whole", "cut")]
    assert weights[0] == weights[1]
    scores = [json.loads((tmp_path / run / "metrics.json").read_text()) for run in ("whole", "cut")]
    assert scores[0]["results"] == scores[1]["results"]


def test_a_libfm_file_is_read(tmp_path):
    lines = [f"{k % 2} {k % 5}:1 {10 + k % 3}:1" for k in range(200)]
    (tmp_path / "train.libfm").write_text("\n".join(lines) + "\n")
    data, out = f"libfm:{tmp_path / 'train.libfm'}", tmp_path / "run"
    result = run("train", "--model", "fm", "--data", data, "--optimizer", "ftrl", "--out", out)
    assert result.returncode == 0, result.stderr
    assert "200 rows of train.libfm" in result.stdout


def test_any_model_trains_on_ratings(tmp_path):
    path = write_ratings(tmp_path)
    options = ("--data", f"movielens-ratings:{path}", "--epochs", 1, "--out", tmp_path / "run")
    for model in ("lr", "deepfm", "dlrm"):
        result = run("train", "--model", model, *options)
        assert result.returncode == 0, result.stderr
        rmse = next(line for line in result.stdout.splitlines() if line.split()[:1] == ["rmse"])
        assert float(rmse.split()[-1]) < 2.2, model  # stars from 1 to 5 at random: about 1.4
    result = run("compare", *options, "--seeds", 1, "--mlp", "8")
    assert result.returncode == 0, result.stderr
    for text in ("test RMSE", "NeuMF", "MF"):
        assert text in result.stdout
    assert "nan" not in result.stdout


def write_ratings(folder):
    rng = np.random.default_rng(0)
    lines = [
        f"{rng.integers(0, 20)},{rng.integers(0, 200)},{rng.integers(1, 6)},{k}" for k in range(900)
    ]
    path = folder / "ml"
    path.mkdir()
    (path / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *lines]) + "\n")
    return path


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another thing there")
def test_ctrl_c_prints_what_is_done_and_the_next_run_goes_on(tmp_path):
    small = ("--rows", "2800", "--epochs", "1", "--mlp", "4", "--embedding-dim", "2")
    arguments = ("compare", *small, "--seeds", "1", "--out", tmp_path)
    listens = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # in a job, too
    )
    main = f"{listens}; from minidlrm.cli import main; main()"
    code = [sys.executable, "-c", main, *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    with subprocess.Popen(
        code, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        cells = tmp_path / "cells"
        deadline = time.monotonic() + 120
        while len(list(cells.glob("fm-*.npz"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "interrupted: the finished models follow" in output
    assert "LR" in output
    assert "xDeepFM" not in output
    done = {path: path.stat().st_mtime_ns for path in cells.iterdir()}
    result = run(*arguments)
    assert result.returncode == 0, result.stderr
    assert "xDeepFM" in result.stdout
    assert {path: path.stat().st_mtime_ns for path in done} == done


def test_show_adds_up():
    result = run("show", "dlrm", "--embedding-dim", 8)
    assert result.returncode == 0, result.stderr
    clicks = md.data.synthetic_clicks(1000, 0)
    model = md.DLRM(13, clicks.table_sizes, 8, (64, 32), (128, 64))
    total = next(line for line in result.stdout.splitlines() if "total" in line)
    assert f"{model.num_parameters():,}" in total
    assert f"{model.flops_per_sample():,}" in total


def test_a_terminal_without_unicode_shows_a_question_mark():
    result = command("show", "dlrm", PYTHONIOENCODING="ascii")
    assert result.returncode == 0, result.stderr
    assert "64?13" in result.stdout


def test_show_traces_a_step():
    result = run("show", "dlrm", "--trace", "--rows", 3)
    assert result.returncode == 0, result.stderr
    for text in ("embeddings", "bottom.layers.0", "DotInteraction", "3×26×16", "loss"):
        assert text in result.stdout


def test_verify_agrees_with_the_published_run():
    result = run("verify", MINIDLRM_DATA="")
    assert result.returncode == 0, result.stderr
    assert "3 of 3 agree to six digits" in result.stdout
    assert "not compared" in result.stdout


def test_verify_compares_every_printed_parameter(real_data):
    result = run("verify")
    assert result.returncode == 0, result.stderr
    assert "before: 90 of 90 agree; after: 90 of 90 agree" in result.stdout


def test_verify_sees_a_difference(real_data, tmp_path):
    text = (real_data / "dlrm-readme-trace" / "trace.txt").read_text()
    (tmp_path / "trace.txt").write_text(text.replace("0.07908", "0.07909"))
    result = run("verify", "--trace", tmp_path / "trace.txt")
    assert result.returncode == 1
    assert "89 of 90 agree" in result.stdout


ERRORS = [
    (["train", "--data", "criteo:/nowhere/train.txt"], "no file at"),
    (["train", "--data", "parquet"], "data 'parquet' is not known"),
    (["train", "--model", "bert"], "model 'bert' is not known"),
    (["train", "--optimizer", "lbfgs"], "optimizer 'lbfgs' is not known"),
    (["train", "--lr", "-1"], "lr is -1.0"),
    (["train", "--lr", "fast"], "--lr"),
    (["train", "--epochs", "0"], "--epochs is 0"),
    (["train", "--batch-size", "0"], "--batch-size is 0"),
    (["train", "--rows", "3"], "rows is 3"),
    (["train", "--rows", "100", "--top-mlp", "64,x"], "--top-mlp is '64,x'"),
    (["train", "--rows", "100", "--interaction", "sum"], "interaction is 'sum'"),
    (
        ["train", "--rows", "100", "--lr", "1e30", "--optimizer", "sgd", "--epochs", "50"],
        "smaller lr",
    ),
    (["train", "--wrong"], "No such option: --wrong"),
    (
        ["train", "--model", "mf", "--rows", "100"],
        "mf takes users and items: give --data movielens:FOLDER",
    ),
    (["train", "--patience", "0"], "--patience is 0"),
    (
        ["train", "--model", "lr", "--embedding-dim", "4"],
        "--embedding-dim has no meaning with model lr: it is for fm, mlp,",
    ),
    (["train", "--model", "fm", "--top-mlp", "8"], "--top-mlp has no meaning with model fm"),
    (["train", "--model", "fm", "--interaction", "cat"], "it is for dlrm"),
    (["train", "--model", "dcn", "--self-interaction"], "--self-interaction has no meaning"),
    (["train", "--min-count", "3"], "--min-count has no meaning with --data synthetic: it is for"),
    (
        ["train", "--model", "gmf", "--data", "movielens:x", "--rows", "9"],
        "--rows has no meaning with --data movielens-ranking",
    ),
    (["train", "--optimizer", "ftrl", "--decay"], "--decay has no meaning with optimizer ftrl"),
    (["train", "--checkpoint-every", "0"], "--checkpoint-every is 0"),
    (["recipe", "dlrm", "--data", "movielens:x"], "recipe 'dlrm' is not known: mf, fm,"),
    (["recipe", "mf", "--data", "criteo:x"], "a recipe takes movielens:FOLDER"),
    (["recipe", "mf"], "Missing option '--data'"),
    (["recipe", "mf", "--data", "movielens:x", "--drop-users"], "--drop-users has no meaning with"),
    (["compare", "--data", "criteo:x", "--seed", "1"], "--seed has no meaning with --data criteo"),
    (["show", "dlrm", "--trace", "--batch-size", "4"], "--batch-size has no meaning with --trace"),
    (["gradcheck", "dlrm", "--all"], "dlrm has no meaning with --all"),
    (["train", "--model", "neumf", "--data", "movielens:/nowhere"], "no ratings at"),
    (["compare", "--experiment", "size"], "experiment 'size' is not known"),
    (["compare", "--seeds", "0"], "--seeds is 0"),
    (["compare", "--experiment", "order", "--data", "movielens:x"], "plants its own signal"),
    (["compare", "--mlp", ""], "--mlp is empty"),
    (["gradcheck", "bert"], "model 'bert' is not known"),
    (["gradcheck", "nowhere.py:Linear"], "there is no file nowhere.py"),
    (["gradcheck", f"{Path(__file__).parent}/planted/mean_loss.py:Loss"], "has no Loss; it has"),
    (["gradcheck", "dlrm", "--method", "newton"], "method is 'newton'"),
    (["verify", "--trace", "/nowhere"], "no trace at"),
    (["data", "fetch", "netflix"], "data set 'netflix' is not known"),
    (["nothing"], "No such command"),
]


@pytest.mark.parametrize(("arguments", "message"), ERRORS, ids=lambda value: str(value)[:40])
def test_a_mistake_is_one_line_and_exit_code_2(arguments, message, tmp_path):
    result = run(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    last = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(last) == 1
    assert message in last[0]
    assert "Traceback" not in result.stderr


def test_help_has_examples():
    result = run("train", "--help")
    assert result.returncode == 0
    assert "minidlrm train --data criteo:train.txt" in " ".join(result.stdout.split())


def test_ctrl_c_inside_a_compiled_kernel_is_an_interrupt(monkeypatch, capsys):
    from minidlrm.cli import app

    def kernel(**_):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise SystemError("CPUDispatcher(...) returned a result with an exception") from error

    monkeypatch.setattr(app, "make_app", lambda *_: kernel)
    with pytest.raises(SystemExit, match="130"):
        app.main()
    assert capsys.readouterr().err == "error: interrupted\n"


def test_explore_writes_the_page_of_a_checkpoint(tmp_path):
    rows = {"click": [0, 1, 1, 0] * 20, "age": list(range(80)), "city": ["Ulm", "Rom"] * 40}
    data = md.data.read_table(
        rows, label="click", dense=["age"], sparse=["city"], progress=False, min_count=1
    )
    model = md.DLRM.for_data(data, embedding_dim=2, bottom_mlp=(3,), top_mlp=(4,))
    md.save(model, tmp_path / "m.safetensors", schema=data.schema)
    (tmp_path / "new.csv").write_text("click,age,city\n1,30,Ulm\n0,50,Rom\n0,20,Ulm\n")
    given = ("explore", "m.safetensors", "new.csv", "--rows", 2)
    result = run(*given, "--out", "pages/own.html", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    text = (tmp_path / "pages" / "own.html").read_text(encoding="utf-8")
    assert '"names":["(unseen)","Ulm","Rom"]' in text or '"names":["(unseen)","Rom","Ulm"]' in text
    assert run(*given, "--out", "own.png", cwd=tmp_path).stderr.count(".html") == 1
    refused = run("explore", "--rows", 3, cwd=tmp_path)
    assert "--rows has no meaning without a checkpoint" in refused.stderr
