"""From a table of one's own to scores: for_data, saving with the schema, growing, the commands."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from test_cli import run

import minidlrm as md
from minidlrm.growing import grow

ROLES = {"label": "click", "dense": ["price"], "sparse": ["user", "item"], "bags": {"tags": "|"}}
FLAGS = ["--label", "click", "--dense", "price", "--sparse", "user,item", "--bags", "tags:|"]


def rows(n=300, first=0, seed=0):
    rng = np.random.default_rng(seed)
    user, item = rng.integers(first, first + 12, n), rng.integers(0, 9, n)
    price = rng.lognormal(2, 1, n).round(2)
    return {
        "row": np.arange(n).tolist(),
        "click": (rng.random(n) < 0.2 + 0.5 * (user % 3 == 1)).astype(int).tolist(),
        "price": [None if k % 11 == 0 else float(x) for k, x in enumerate(price)],
        "user": [f"u{k}" for k in user],
        "item": item.tolist(),
        "tags": ["|".join(rng.choice(list("abcd"), k % 4, replace=False)) for k in range(n)],
    }


def write(path, table):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
    return path


@pytest.fixture
def data():
    return md.data.read_table(rows(), **ROLES, progress=False)


# Models from data


@pytest.mark.parametrize("name", [n for n, e in md.MODELS.items() if not e.pairs_only])
def test_every_model_is_made_for_the_data_that_it_takes(name):
    data = md.data.read_table(rows(), label="click", dense=["price"], sparse=["user", "item"],
                              progress=False)  # fmt: skip
    entry = md.MODELS[name]
    model = entry.cls.for_data(data, **entry.options)
    assert model.forward(data.train[:5]).shape == (5,)
    assert model.task == "clicks"


def test_a_model_of_pairs_refuses_other_data(data):
    with pytest.raises(ValueError, match="GMF takes users and items; the data have 1 dense"):
        md.GMF.for_data(data)
    ratings = md.data.read_table({**rows(), "stars": [3.0] * 300}, label="stars",
                                 sparse=["user", "item"], progress=False)  # fmt: skip
    assert md.GMF.for_data(ratings, embedding_dim=4).task == "ratings"


@pytest.fixture
def shared():
    table = {**rows(), "last_item": rows(seed=1)["item"]}
    return md.data.read_table(table, label="click", dense=["price"], sparse=["item", "last_item"],
                              share={"last_item": "item"}, progress=False)  # fmt: skip


@pytest.mark.parametrize("name", [n for n, e in md.MODELS.items() if not e.pairs_only])
def test_columns_that_share_a_table_share_it_in_every_model(shared, name, tmp_path):
    entry = md.MODELS[name]
    options = {**entry.options, "crosses": []} if "crosses" in entry.arguments else entry.options
    model = entry.cls.for_data(shared, **options)
    apart = entry.cls.for_data(shared, **options, shared=())
    size, dim = shared.table_sizes[0], model.config.get("embedding_dim", 0)
    halves = 1 if name in ("dlrm", "mlp", "dcn", "dcn-v2") else 2  # a linear term shares, too
    dims = dim + halves - 1 if dim else 1
    assert apart.num_parameters() - model.num_parameters() == size * dims
    md.fit(model, shared, batch_size=64, progress=False)
    md.save(model, tmp_path / "m.safetensors", schema=shared.schema)
    again = md.load(tmp_path / "m.safetensors")
    assert again.config["shared"] == [[1, 0]]
    np.testing.assert_array_equal(md.predict(again, shared.test), md.predict(model, shared.test))
    larger = grow(model, [size + 3] * 2)
    np.testing.assert_allclose(larger.forward(shared.test), model.forward(shared.test), rtol=1e-6)


def test_a_shared_table_is_refused_where_it_cannot_be(shared):
    ratings = md.data.read_table({**rows(), "stars": [3.0] * 300, "last": rows()["item"]},
                                 label="stars", sparse=["item", "last"], share={"last": "item"},
                                 progress=False)  # fmt: skip
    with pytest.raises(ValueError, match="GMF has a table for each column"):
        md.GMF.for_data(ratings)
    with pytest.raises(ValueError, match="composed tables are not shared"):
        md.DLRM.for_data(shared, qr_threshold=2)
    with pytest.raises(ValueError, match="no such part"):
        md.interop.reference_state(md.DLRM.for_data(shared))


@pytest.mark.parametrize("name", [n for n, e in md.MODELS.items() if not e.pairs_only])
def test_the_mean_of_a_bag_does_not_change_when_its_ids_are_said_twice(name):
    entry = md.MODELS[name]
    options = {**entry.options, "crosses": []} if "crosses" in entry.arguments else entry.options
    model = entry.build(0, [5, 6], 4, (4,), **options, bag_mode="mean", dtype=np.float64)
    for parameter in model.parameters():
        parameter.value[...] = np.random.default_rng(0).normal(size=parameter.value.shape)
    ids, none = [1, 4, 2, 5, 0], np.zeros((2, 0))
    once = md.Jagged(ids, [0, 2, 3, 4, 5])
    twice = md.Jagged(np.concatenate([ids[:2], ids[:2], np.repeat(ids[2:], 2)]), [0, 4, 6, 8, 10])
    np.testing.assert_allclose(model.forward(md.Batch(none, once)),
                               model.forward(md.Batch(none, twice)), rtol=1e-12)  # fmt: skip
    weighted = md.Jagged(ids, once.offsets, np.ones(5))
    with pytest.raises(ValueError, match="need mode='sum'"):
        model.forward(md.Batch(none, weighted))
    with pytest.raises(ValueError, match="bag_mode is 'max'"):
        entry.build(0, [5, 6], 4, (4,), **options, bag_mode="max")


# Saved with the schema


def test_predictions_of_raw_rows_are_those_before_saving(data, tmp_path):
    model = md.DLRM.for_data(data, embedding_dim=4, bottom_mlp=(8,), top_mlp=(8,))
    md.fit(model, data, batch_size=64, progress=False)
    new = rows(20, first=8, seed=1)
    before = md.predict(model, data.schema.encode(new))
    md.save(model, tmp_path / "m.safetensors", schema=data.schema)
    again, schema = md.load_with_schema(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(md.predict(again, schema.encode(new)), before)
    assert repr(schema) == repr(data.schema)


def test_fit_writes_the_schema_of_a_dataset_with_its_checkpoint(data, tmp_path):
    model = md.FactorizationMachine.for_data(data, embedding_dim=4)
    md.fit(model, data, batch_size=64, checkpoint=tmp_path / "m.safetensors", progress=False)
    _, schema = md.load_with_schema(tmp_path / "m.safetensors")
    assert schema.feature_names == ["price", "user", "item", "tags"]


def test_a_decoded_batch_encodes_to_itself(data):
    table = data.schema.decode(data.train)
    again = data.schema.encode(table)
    np.testing.assert_array_equal(again.sparse.values, data.train.sparse.values)
    np.testing.assert_array_equal(again.sparse.offsets, data.train.sparse.offsets)
    np.testing.assert_array_equal(again.label, data.train.label)
    known = np.asarray(data.train.dense[:, 0] != 0)
    np.testing.assert_allclose(again.dense[known], data.train.dense[known], rtol=1e-5)


# New ids


def test_a_grown_model_keeps_what_it_knew(data):
    model = md.DLRM.for_data(data, embedding_dim=4, bottom_mlp=(8,), top_mlp=(8,))
    md.fit(model, data, batch_size=64, progress=False)
    new = rows(50, first=8, seed=1)
    schema = data.schema.grown(new)
    larger = grow(model, schema.table_sizes)
    before = md.predict(model, data.test)
    np.testing.assert_array_equal(md.predict(larger, schema.encode(data.schema.decode(data.test))),
                                  before)  # fmt: skip
    ids = schema.encode(new).ids_of(0)
    fresh = np.array([user in {f"u{k}" for k in range(12, 20)} for user in new["user"]])
    assert (ids[fresh] >= data.table_sizes[0]).all()
    assert (ids[~fresh] < data.table_sizes[0]).all()
    assert larger.config["table_sizes"] == schema.table_sizes


def test_rare_new_values_are_not_added(data):
    new = {**rows(12), "user": ["new", "new", *["u1"] * 9, "once"]}
    assert data.schema.grown(new, min_count=2).table_sizes[0] == data.table_sizes[0] + 1


@pytest.mark.parametrize("name", list(md.MODELS))
def test_every_model_grows_or_says_why_not(name):
    entry = md.MODELS[name]
    options = {"crosses": []} if "crosses" in entry.arguments else {}
    model = entry.build(0, [5, 6], 3, (4,), **options)
    batch = md.Batch(np.zeros((3, 0), np.float32), [[0, 1], [4, 5], [2, 2]])
    larger = grow(model, [9, 6], seed=1)
    np.testing.assert_allclose(larger.forward(batch), model.forward(batch), rtol=1e-6)
    larger.forward(md.Batch(np.zeros((1, 0), np.float32), [[8, 5]]))
    with pytest.raises(ValueError, match="none may be below"):
        grow(model, [4, 6])


def test_crosses_and_composed_tables_cannot_grow():
    wide = md.WideDeep(0, [5, 6], 3, (4,), crosses=[(0, 1)])
    with pytest.raises(ValueError, match="WideDeep cannot grow: .* depends on the sizes"):
        grow(wide, [9, 6])
    composed = md.DLRM(0, [50, 6], 4, (), (4,), qr_threshold=20)
    with pytest.raises(ValueError, match="DLRM cannot grow"):
        grow(composed, [90, 6])


# Weights of rows


def test_a_weight_of_two_is_a_row_that_occurs_twice():
    rng = np.random.default_rng(0)
    dense, label = rng.normal(size=(6, 2)), (rng.random(6) < 0.5).astype(float)
    ids, weight = rng.integers(0, 4, (6, 1)), np.array([1.0, 2, 1, 1, 2, 1])
    twice = np.repeat(np.arange(6), weight.astype(int))
    models = [md.LogisticRegression(2, [4], dtype=np.float64) for _ in range(2)]
    sgd = {"loss": md.BCEWithLogits("sum"), "progress": False, "epochs": 3}
    md.fit(models[0], md.Batch(dense, ids, label, weight), optimizer=md.SGD(0.1), **sgd)
    md.fit(
        models[1], md.Batch(dense[twice], ids[twice], label[twice]), optimizer=md.SGD(0.1), **sgd
    )
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        np.testing.assert_allclose(a.value, b.value, rtol=1e-12)
    first = md.evaluate(models[0], md.Batch(dense, ids, label, weight))
    second = md.evaluate(models[0], md.Batch(dense[twice], ids[twice], label[twice]))
    assert first == pytest.approx(second)


# The commands


@pytest.fixture
def trained(tmp_path):
    write(tmp_path / "clicks.csv", rows())
    result = run("train", "--data", f"table:{tmp_path / 'clicks.csv'}", *FLAGS, "--model", "fm",
                 "--epochs", 1, "--out", tmp_path / "run", cwd=tmp_path)  # fmt: skip
    assert result.returncode == 0, result.stderr
    return tmp_path / "run" / "fm.safetensors", result.stdout


def test_train_prints_the_schema_and_saves_it(trained):
    path, out = trained
    assert "user    sparse" in out
    assert "memory of the weights" in out
    assert md.load_with_schema(path)[1].label == "click"


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_predict_scores_a_file(trained, tmp_path, suffix):
    path, _ = trained
    new = rows(40, first=30, seed=2)
    write(tmp_path / "new.csv", new)
    out = tmp_path / f"scores.{suffix}"
    result = run("predict", path, tmp_path / "new.csv", "--out", out, "--ids", "row")
    assert result.returncode == 0, result.stderr
    assert "wrote 40 scores" in result.stdout
    assert "warning: user: 100.0% of the values are not known" in result.stdout
    model, schema = md.load_with_schema(path)
    expected = md.predict(model, schema.encode(new))
    if suffix == "parquet":
        from pyarrow import parquet

        found = parquet.read_table(out).to_pydict()
        np.testing.assert_array_equal(found["prediction"], expected)
    else:
        lines = [
            line.split("\t" if suffix == "tsv" else ",") for line in out.read_text().splitlines()
        ]
        assert lines[0] == ["row", "prediction"]
        assert [line[0] for line in lines[1:]] == [str(k) for k in range(40)]
        np.testing.assert_allclose([float(line[1]) for line in lines[1:]], expected, rtol=1e-6)


def test_scores_never_take_the_place_of_what_is_read(trained, tmp_path):
    path, _ = trained
    table = write(tmp_path / "new.csv", rows(9))
    before, link = table.read_bytes(), tmp_path / "link.csv"
    link.symlink_to(table)
    for out in (table, link):
        result = run("predict", path, f"table:{table}", "--out", out)
        assert result.returncode == 2
        assert "which is data that is read: give another name" in result.stderr
    assert table.read_bytes() == before


def test_a_bag_mode_is_obeyed_or_refused(tmp_path):
    table = write(tmp_path / "clicks.csv", rows())
    common = ("train", "--data", f"table:{table}", "--epochs", 1, "--out", tmp_path / "run")
    run(*common, *FLAGS, "--model", "fm", "--bag-mode", "mean", cwd=tmp_path)
    assert md.load(tmp_path / "run" / "fm.safetensors").config["bag_mode"] == "mean"
    one_id = ("--label", "click", "--sparse", "user", "--bag-mode", "mean")
    assert "--bag-mode has no meaning with one id a table" in run(*common, *one_id).stderr
    pairs = run(*common, *FLAGS, "--model", "gmf", "--bag-mode", "mean").stderr
    assert "--bag-mode has no meaning with model gmf" in pairs


def test_evaluate_scores_labelled_rows(trained, tmp_path):
    path, _ = trained
    table = write(tmp_path / "more.csv", rows(60, seed=5))
    result = run("evaluate", path, table)
    model, schema = md.load_with_schema(path)
    expected = md.evaluate(model, schema.encode(table))
    assert f"{expected['log_loss']:.5f}" in result.stdout
    unlabelled = rows(5)
    del unlabelled["click"]
    result = run("evaluate", path, write(tmp_path / "x.csv", unlabelled))
    assert "has no column 'click': labels are needed to evaluate" in result.stderr


def test_other_sources_are_scored_as_raw_rows(tmp_path, real_data):
    folder = real_data / "ml-latest-small"
    data = f"movielens:{folder}"
    run("train", "--data", data, "--model", "fm", "--epochs", 1, "--out", tmp_path)
    result = run("predict", tmp_path / "fm.safetensors", data, "--out", tmp_path / "s.parquet")
    assert "wrote 100,004 scores" in result.stdout, result.stderr


def test_a_criteo_model_scores_a_criteo_file(tmp_path, real_data):
    data = f"criteo:{real_data / 'criteo-sample' / 'train_2000.txt'}"
    run("train", "--data", data, "--model", "lr", "--epochs", 1, "--out", tmp_path)
    path, out = tmp_path / "lr.safetensors", tmp_path / "s.parquet"
    assert "wrote 1,999 scores" in run("predict", path, data, "--out", out).stdout
    from pyarrow import parquet

    model, clicks = md.load(path), md.data.read_criteo(data.partition(":")[2], progress=False)
    found = parquet.read_table(out)["prediction"].to_numpy()
    np.testing.assert_allclose(
        found[-len(clicks.test) :], md.predict(model, clicks.test), rtol=1e-6
    )


def test_training_goes_on_with_new_ids(trained, tmp_path):
    path, _ = trained
    before = md.load(path)
    table = write(tmp_path / "new.csv", rows(80, first=8, seed=3))
    common = ("train", "--data", f"table:{table}", "--model", "fm", "--out", path.parent)
    result = run(*common, "--resume", "--grow", "--epochs", 1)
    assert result.returncode == 0, result.stderr
    model, schema = md.load_with_schema(path)
    assert model.config["table_sizes"] == schema.table_sizes
    assert schema.table_sizes[0] > before.config["table_sizes"][0]
    assert "--grow needs --resume" in run(*common, "--grow").stderr
    refused = run(*common, "--resume", "--grow", "--label", "click").stderr
    assert "--label has no meaning with --grow" in refused


def test_a_dry_run_trains_nothing(tmp_path):
    table = write(tmp_path / "clicks.csv", rows())
    result = run(
        "train", "--data", f"table:{table}", *FLAGS, "--dry-run", "--out", tmp_path / "run"
    )
    assert result.returncode == 0
    assert "tags    bag" in result.stdout
    assert not (tmp_path / "run").exists()


def test_a_toml_file_says_the_same(tmp_path):
    write(tmp_path / "clicks.csv", rows())
    described = 'source = "clicks.csv"\nlabel = "click"\ndense = ["price"]\n'
    described += 'sparse = ["user", "item"]\nsplit = "order"\n[bags]\ntags = "|"\n'
    (tmp_path / "clicks.toml").write_text(described)
    first = md.data.read_described(tmp_path / "clicks.toml", cache_dir=tmp_path, progress=False)
    second = md.data.read_table(tmp_path / "clicks.csv", **ROLES, split="order",
                                cache_dir=tmp_path, progress=False)  # fmt: skip
    np.testing.assert_array_equal(first.train.sparse.values, second.train.sparse.values)
    result = run("train", "--data", f"toml:{tmp_path / 'clicks.toml'}", "--dry-run")
    assert result.returncode == 0, result.stderr
    for text, match in [
        ("label = 3\nsource", "is not TOML"),
        ("source = 'x'\nlable = 'y'", "'lable'"),
        ("label = 'y'", "has no 'source'"),
        ("source = 3", "source is 3: give the name of a file"),
    ]:
        (tmp_path / "bad.toml").write_text(text)
        with pytest.raises(ValueError, match=match):
            md.data.read_described(tmp_path / "bad.toml")


def test_columns_of_a_table_are_refused_for_other_data():
    result = run("train", "--data", "synthetic", "--label", "click")
    assert "--label has no meaning with --data synthetic: it is for --data table" in result.stderr


def test_an_untrained_eye_is_told_of_scale_and_classes(tmp_path):
    table = rows()
    table["price"] = [1000.0 + k for k in range(300)]
    table["click"] = [1] * 300
    path = write(tmp_path / "clicks.csv", table)
    result = run("train", "--data", f"table:{path}", *FLAGS, "--transform", "none", "--dry-run")
    text = " ".join(result.stdout.split())
    assert "warning: price is not scaled" in text
    assert "warning: all labels of the training rows are 1" in text


def test_resume_gives_the_table_of_an_uninterrupted_run(tmp_path):
    table = write(tmp_path / "clicks.csv", rows())
    common = ("train", "--data", f"table:{table}", *FLAGS, "--model", "fm", "--epochs", 2,
              "--batch-size", 16)  # fmt: skip
    whole = run(*common, "--out", tmp_path / "whole")
    half = run(*common, "--out", tmp_path / "half", "--checkpoint-every", 3)
    again = run(*common, "--out", tmp_path / "half", "--checkpoint-every", 3, "--resume")
    results = [json.loads((tmp_path / f / "metrics.json").read_text())["results"]
               for f in ("whole", "half")]  # fmt: skip
    assert results[0] == results[1]
    assert whole.returncode == half.returncode == again.returncode == 0, again.stderr


def test_the_ten_lines_of_the_readme(tmp_path, monkeypatch):
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    code = readme.partition("<!-- own data -->")[2].partition("```python")[2].partition("```")[0]
    table = {**rows(), "age": [30] * 300, "genres": rows()["tags"], "when": list(range(300))}
    write(tmp_path / "clicks.csv", table)
    write(tmp_path / "new.csv", {name: column[:7] for name, column in table.items()})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    *lines, last = code.strip().splitlines()
    names = {}
    exec("\n".join(lines), names)
    assert eval(last, names).shape == (7,)
