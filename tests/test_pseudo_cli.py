"""What commands print goes through the catalogue: in a language of x's, names alone are left."""

import contextlib
import io
import re
from importlib.metadata import version

import numpy as np
import pytest
import typer
from conftest import untranslated
from rich.console import Console
from test_cli import run

import minidlrm as md
from minidlrm.checking import cases
from minidlrm.cli import inspect
from minidlrm.cli.app import make_app
from minidlrm.data import READERS
from minidlrm.data.download import SOURCES
from minidlrm.languages import Message
from minidlrm.models import MODELS

# what stays in every language: names of models, of arrays, of files, of units
NAMES = {"DLRM", "MiB", "FTRL", "minidlrm", "help", "root"}
PARTS = {"bottom", "top", "layers", "embeddings", "interaction"}
FEW = ["--rows", 300, "--epochs", 1, "--embedding-dim", 2, "--mlp", 4, "--seeds", 1]


def words(text):
    return set(re.findall(r"[A-Za-z]{2,}", text))


def commands():
    """Return every command and group by the words that call it."""
    found = {}

    def visit(command, path):
        found[path] = command
        for name, each in getattr(command, "commands", {}).items():
            visit(each, (*path, name))

    visit(typer.main.get_command(make_app()), ())
    return found


def values_of(message):
    """Return the words that are put into a message, and are none themselves."""
    if isinstance(message, Message):
        return set().union(*map(values_of, message.values.values()), set())
    assert re.fullmatch(r"\S+(, \S+)*|\d+ MB", str(message)), message  # names, and no sentence
    return words(str(message))


def names_of(command):
    """Return the names in the help of a command: of options, types, values, and its examples."""
    found = words((command.epilog or "").partition(": ")[2])
    for parameter in command.params:
        found |= words(" ".join([*parameter.opts, *parameter.secondary_opts, parameter.name]))
        found |= words(f"{parameter.default}")
        if isinstance(parameter.show_default, str) and " " not in parameter.show_default:
            found |= words(parameter.show_default)
    return found


def test_no_help_passes_the_catalogue_by(pseudo, monkeypatch):
    told = []
    make_app(speak=lambda text: told.append(text) or text)
    allowed = set().union(*(values_of(text) for text in told if isinstance(text, Message)))
    english = commands()
    allowed |= {word for path in english for name in path for word in words(name)}
    allowed |= {"OPTIONS", "COMMAND", "ARGS", "root", "help"}
    allowed |= {"str", "int", "float", "path", "list", "bool", "datetime"}  # as Typer has them
    allowed |= {"TEXT", "INTEGER", "FLOAT", "PATH", "DATETIME", "range", "RANGE", "dT"}  # or had
    monkeypatch.setenv("MINIDLRM_LANG", pseudo)
    monkeypatch.setenv("COLUMNS", "300")
    whole = typer.main.get_command(make_app())
    for path, command in english.items():
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            assert whole.main([*path, "--help"], "root", standalone_mode=False) == 0
        names = names_of(command)
        names |= {name.upper() for name in names}
        left = untranslated(out.getvalue()) - allowed - names
        assert left == set(), f"{' '.join(path)}: {left}"


def test_help_in_korean_is_whole():
    told = run("train", "--help", MINIDLRM_LANG="ko").stdout
    assert all(text in told for text in ("사용법: ", "학습률.", "[기본값: dlrm]"))
    if version("typer") < "0.16":
        pytest.skip("an older Typer cuts wide letters")
    assert "…" not in told  # Rich would cut a line of wide letters that ends at the border


def test_nothing_of_train_passes_the_catalogue_by(pseudo, tmp_path):
    told = ("train", "--rows", 300, "--embedding-dim", 2, "--batch-size", 64, "--out", tmp_path)
    result = run(*told, MINIDLRM_LANG=pseudo)
    assert result.returncode == 0, result.stderr
    files = words(f"{tmp_path} learning_curve.png metrics.json dlrm.safetensors")
    left = untranslated(result.stdout) - NAMES - PARTS - files
    assert left == {"auc"}, result.stdout
    assert untranslated(result.stderr) <= {"it", "AUC"}, result.stderr
    assert '"log_loss"' in (tmp_path / "metrics.json").read_text()


def test_nothing_of_show_gradcheck_and_verify_passes_the_catalogue_by(pseudo):
    for told, more in (
        (("show", "dlrm", "--rows", 50), set()),
        (("verify",), words("MINIDLRM_DATA trace")),
    ):
        result = run(*told, MINIDLRM_LANG=pseudo, MINIDLRM_DATA="")
        assert result.returncode == 0, result.stderr
        assert untranslated(result.stdout) - NAMES - PARTS <= more, result.stdout


@pytest.mark.parametrize(
    ("told", "names"),
    [
        (("train", "--epochs", 0), "epochs"),
        (("train", "--model", "mf", "--rows", 100), "mf movielens FOLDER data"),
        (("train", "--model", "nothing"), "nothing"),
        (("train", "--lr", "much"), "lr much float"),
        (("train", "--rows", 0.5), "rows int"),
        (("train", "--flag"), "flag bags label lr"),
        (("recipe", "mf"), "data"),
        (("nothing",), "nothing"),
        (("compare", "-k", 3), ""),
        (("show", "--trace", "--batch-size", 3), ""),
        (("evaluate", "a.safetensors"), "DATA data"),
        (("data", "fetch", "nothing"), f"nothing {' '.join(SOURCES)}"),
        (("grade", "release", "A9", "out"), ""),
        (("grade", "release", "A1", "out", "--for", "nothing"), "nothing"),
        (("grade", "run", "A1", "nowhere"), "nowhere rapidfuzz pip install minidlrm teach"),
        (("paper", "1", "--data", "nothing"), "nothing"),
        (("paper", "5.1", "--data", "nothing"), f"nothing {' '.join(READERS)}"),
    ],
)
def test_an_error_of_the_command_line_is_translated(told, names, pseudo, tmp_path):
    result = run(*told, cwd=tmp_path, MINIDLRM_LANG=pseudo)
    assert result.returncode == 2
    line = result.stderr.splitlines()[-1]
    known = words(f"{names} {', '.join(md.models.MODELS)}")
    assert untranslated(line) <= known, line


def test_nothing_of_a_check_of_many_passes_the_catalogue_by(pseudo, monkeypatch, capsys):
    monkeypatch.setenv("MINIDLRM_LANG", pseudo)
    names = [name for name, *_ in cases.everything(0)][:2]
    chosen = [case for case in cases.everything(0) if case[0] in names]
    inspect._gradcheck_all(Console(width=100), chosen, {"verbose": False})
    told = capsys.readouterr()
    assert untranslated(told.out) <= words(" ".join(names)) | {"ok"}, told.out
    assert untranslated(told.err) == set()


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["models", "order"])
def test_nothing_of_compare_passes_the_catalogue_by(experiment, pseudo, tmp_path):
    few = [
        "--rows",
        "300",
        "--epochs",
        "1",
        "--batch-size",
        "128",
        "--embedding-dim",
        "2",
        "--mlp",
        "4",
        "--seeds",
        "1",
    ]
    told = ("compare", "--experiment", experiment, *few, "--out", tmp_path)
    result = run(*told, MINIDLRM_LANG=pseudo)
    assert result.returncode == 0, result.stderr
    titles = words(" ".join(entry.title for entry in MODELS.values()))
    files = words(
        f"{tmp_path} png md json order comparison quality against cost learning curves fields"
    )
    assert untranslated(result.stdout) - titles - files <= {"lr", "AUC", "MLP", "Adam"}
    page = next(tmp_path.glob("*.md")).read_text(encoding="utf-8")
    assert "| model |" in page  # files stay English


def test_a_warning_of_the_library_is_translated(pseudo, tmp_path):
    lines = [f"{k % 2},u{k % 3}" for k in range(30)]
    (tmp_path / "c.csv").write_text("\n".join(["click,user", *lines]))
    told = ("train", "--dry-run", "--data", "table:c.csv", "--label", "click", "--sparse", "user")
    there = {"cwd": tmp_path, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    there["MINIDLRM_LANG"] = pseudo
    run(*told, **there)
    (label,) = (tmp_path / "cache").rglob("train.label.bin")
    label.unlink()
    (line,) = (each for each in run(*told, **there).stderr.splitlines() if "train.label" in each)
    assert untranslated(line.replace(str(label.parent), "")) == words("train.label"), line
    assert "site-packages" not in line  # it is shown as the warnings of the commands are


def test_an_error_of_the_library_stays_english_in_a_translated_frame(pseudo):
    result = run("verify", "--trace", "/nowhere", MINIDLRM_LANG=pseudo)
    assert re.fullmatch(r"x+: no trace at /nowhere.*\n", result.stderr.splitlines(True)[-1])


def test_nothing_of_predict_evaluate_and_recommend_passes_the_catalogue_by(pseudo, tmp_path):
    rng = np.random.default_rng(0)
    table = {
        "click": rng.integers(0, 2, 60),
        "user": [f"u{k}" for k in rng.integers(0, 5, 60)],
        "shop": [f"s{k}" for k in rng.integers(0, 6, 60)],
    }
    data = md.data.read_table(
        table, label="click", sparse=["user", "shop"], min_count=1, progress=False
    )
    model = md.FactorizationMachine(data.num_dense, data.table_sizes, 2)
    md.save(model, tmp_path / "m.safetensors", schema=data.schema)
    lines = zip(*table.values(), strict=True)
    rows = [",".join(table), *(",".join(map(str, line)) for line in lines)]
    (tmp_path / "new.csv").write_text("\n".join(rows) + "\n")
    for told in (
        ("predict", "m.safetensors", "new.csv", "--out", "scores.csv"),
        ("evaluate", "m.safetensors", "new.csv"),
        ("recommend", "m.safetensors", "--data", "new.csv", "--user", "u1"),
        ("inspect", "m.safetensors", "new.csv", "--repeats", 2),
    ):
        result = run(*told, cwd=tmp_path, MINIDLRM_LANG=pseudo)
        assert result.returncode == 0, result.stderr
        names = words("FactorizationMachine scores csv new user shop inspect png auc")
        assert untranslated(result.stdout) <= names, result.stdout
