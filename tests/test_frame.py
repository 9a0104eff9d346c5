"""read_table: sources, roles, splits, bags, the cache, and errors that name file, line and text."""

import gzip
import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minidlrm as md
from minidlrm.data.schema import Schema

pa = pytest.importorskip("pyarrow")


@pytest.fixture
def read(tmp_path):
    def call(rows, **options):
        if hasattr(rows, "is_file"):
            options.setdefault("cache_dir", tmp_path / "cache")
        return md.data.read_table(rows, progress=False, **options)

    return call


def small(n=40):
    rng = np.random.default_rng(0)
    return {
        "click": rng.integers(0, 2, n).tolist(),
        "price": rng.lognormal(0, 1, n).round(3).tolist(),
        "age": [None if k % 7 == 0 else float(k) for k in range(n)],
        "user": rng.integers(0, 6, n).tolist(),
        "city": [["Ulm", "Köln", None, "서울", 'a "b", c'][k % 5] for k in range(n)],
        "tags": [["a|b", "", "b", "c|a|b"][k % 4] for k in range(n)],
        "when": list(range(n))[::-1],
    }


ROLES = {
    "label": "click",
    "dense": ["price", "age"],
    "sparse": ["user", "city"],
    "bags": {"tags": "|"},
}


def arrays(dataset):
    out = []
    for part in (dataset.train, dataset.valid, dataset.test):
        bags = part.sparse
        ids = [bags.values, bags.offsets] if isinstance(bags, md.Jagged) else [bags]
        out += [part.dense, part.label, *ids]
    return [np.asarray(array) for array in out]


def assert_same(first, second):
    assert first.table_sizes == second.table_sizes
    for a, b in zip(arrays(first), arrays(second), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


# Sources


def test_every_source_of_the_same_rows_gives_the_same_bits(tmp_path, read):
    pandas = pytest.importorskip("pandas")
    from pyarrow import csv, parquet

    rows, options = small(), {**ROLES, "split": "random", "seed": 3, "min_count": 1}
    expected = read(rows, **options)
    table = pa.table(rows)
    frame = pandas.DataFrame(rows)
    csv.write_csv(table, tmp_path / "a.csv")
    frame.to_csv(tmp_path / "pandas.csv", index=False)
    frame.to_csv(tmp_path / "packed.csv.gz", index=False)
    frame.to_csv(tmp_path / "tabs.tsv", index=False, sep="\t")
    frame.to_csv(tmp_path / "crlf.csv", index=False, lineterminator="\r\n")
    frame.to_csv(tmp_path / "bom.csv", index=False, encoding="utf-8-sig")
    frame.to_csv(tmp_path / "korean.csv", index=False, encoding="utf-16")
    parquet.write_table(table, tmp_path / "a.parquet")
    assert_same(read(table, **options), expected)
    assert_same(read(frame, **options), expected)
    assert_same(read([dict(zip(rows, r, strict=True)) for r in zip(*rows.values(), strict=True)],
                     **options), expected)  # fmt: skip
    for name in ("a.csv", "pandas.csv", "packed.csv.gz", "tabs.tsv", "crlf.csv", "bom.csv",
                 "a.parquet"):  # fmt: skip
        assert_same(read(tmp_path / name, **options), expected)
    assert_same(read(tmp_path / "korean.csv", encoding="utf-16", **options), expected)


def test_polars_and_categories_of_pandas(read):
    polars, pandas = pytest.importorskip("polars"), pytest.importorskip("pandas")
    rows = small()
    expected = read(rows, **ROLES)
    frame = polars.DataFrame(rows)
    assert_same(read(frame.with_columns(polars.col("city").cast(polars.Categorical)), **ROLES),
                expected)  # fmt: skip
    frame = pandas.DataFrame(rows)
    frame["city"] = frame["city"].astype("category")
    assert_same(read(frame, **ROLES), expected)


def test_lists_are_bags(read):
    rows = small()
    expected = read(rows, **ROLES)
    rows["tags"] = [text.split("|") if text else [] for text in rows["tags"]]
    assert_same(read(rows, **{**ROLES, "bags": ["tags"]}), expected)


def test_a_glob_is_all_its_files_in_order(tmp_path, read):
    from pyarrow import csv

    rows = small()
    table = pa.table(rows)
    csv.write_csv(table.slice(0, 15), tmp_path / "part-0.csv")
    csv.write_csv(table.slice(15), tmp_path / "part-1.csv")
    assert_same(read(tmp_path / "part-*.csv", **ROLES), read(rows, **ROLES))


def test_columns_in_another_order_mean_the_same(read):
    rows = small()
    other = {name: rows[name] for name in reversed(rows)}
    assert_same(read(other, **ROLES), read(rows, **ROLES))


def test_a_column_of_each_entry_is_a_bag(read):
    rows = {"click": [0, 1] * 8, "a": ["x", "0"] * 8, "b": ["y", "x"] * 8, "c": [None, "0"] * 8}
    data = read(rows, label="click", bags={"last": ["a", "b", "c"]}, padding=0, split="order",
                fractions=(1, 0, 0))  # fmt: skip
    bags, last = data.train.sparse, data.schema["last"].categories
    assert [last.value(i) for i in bags.values[:3]] == ["x", "y", "x"]
    assert bags.offsets[:3].tolist() == [0, 2, 3]


def test_weights_of_a_bag(read):
    rows = {"click": [0, 1], "tags": ["a|b", "b"], "scores": ["0.5|2", "3"]}
    options = {"bags": {"tags": "|"}, "bag_weights": {"tags": "scores"}, "min_count": 1}
    data = read(rows, label="click", split="order", fractions=(1, 0, 0), **options)
    assert data.train.sparse.weights.tolist() == [0.5, 2, 3]
    rows["scores"] = ["0.5", "3"]
    with pytest.raises(ValueError, match="row 1, column tags has 2 entries and 1 weights"):
        read(rows, label="click", split="order", fractions=(1, 0, 0), **options)


def test_weights_of_rows(read):
    rows = {"click": [0, 1, 1], "city": list("aab"), "w": [1.0, 2.0, 0.5]}
    data = read(rows, label="click", sparse=["city"], sample_weight="w", split="order",
                fractions=(1, 0, 0))  # fmt: skip
    assert data.train.weight.tolist() == [1, 2, 0.5]
    rows["w"][1] = -1.0
    with pytest.raises(ValueError, match=r"row 2, column w: -1\.0: a weight must be"):
        read(rows, label="click", sparse=["city"], sample_weight="w")


# Ids


words = st.one_of(
    st.none(),
    st.text(max_size=6),
    st.sampled_from(
        [
            "a,b",
            'say "x"',
            "two\nlines",
            "a\r\nb",
            "한국어",
            "🙂",
            "\0",
            "0",
            "00",
            "1.0",
            "NA",
            "nan",
            " ",
            "7",
            "7.0",
        ]
    ),
    st.integers(-(2**63), 2**64 - 1).map(str),
)


@settings(max_examples=60)
@given(st.lists(words, min_size=3, max_size=30))
def test_categories_are_as_distinct_as_pandas_sees_them(tmp_path_factory, column):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"click": np.arange(len(column)) % 2, "word": column}, dtype=object)
    path = tmp_path_factory.mktemp("t") / "rows.csv"
    frame.to_csv(path, index=False)
    seen = pandas.read_csv(path, dtype=str, keep_default_na=False)["word"]
    if len(seen) != len(column):  # pandas itself does not read back what it wrote
        return
    data = md.data.read_table(
        path, label="click", sparse=["word"], split="order", fractions=(1, 0, 0), min_count=1,
        cache_dir=path.parent, progress=False,
    )  # fmt: skip
    ids = data.train.sparse[:, 0]
    assert len(ids) == len(seen)
    for value in set(seen):
        own = ids[(seen == value).to_numpy()]
        assert len(set(own.tolist())) == 1
        assert not np.isin(ids[(seen != value).to_numpy()], own).any()


def test_ids_of_64_bits_stay_apart(read):
    big = [2**62 + k for k in range(8)]
    data = read({"click": [0, 1] * 4, "user": big}, label="click", sparse=["user"], min_count=1,
                split="order", fractions=(1, 0, 0))  # fmt: skip
    assert len(set(data.train.sparse[:, 0].tolist())) == 8
    data = read({"click": [0, 1], "user": np.array([2**64 - 1, 5], np.uint64)}, label="click",
                sparse=["user"], min_count=1, split="order", fractions=(1, 0, 0))  # fmt: skip
    assert data.schema["user"].categories.value(1) == str(2**64 - 1)


@pytest.mark.parametrize(
    ("bad", "words"),
    [(0.5, "an id must be a whole number or text"), (1e17, "read the column as int64 or text")],
)
def test_ids_that_are_floats_are_whole_and_exact(read, bad, words):
    rows = {"click": [0, 1, 1], "user": [3.0, None, bad]}
    with pytest.raises(ValueError, match=f"row 3, column user: .*{words}"):
        read(rows, label="click", sparse=["user"])


def test_whole_floats_are_the_integers_that_they_are(read):
    rows = {"click": [0, 1] * 4, "user": [1.0, 2.0, None, 1.0] * 2}
    data = read(rows, label="click", sparse=["user"], split="order", fractions=(1, 0, 0))
    one = data.schema.encode([{"user": 1}, {"user": "1"}, {"user": 1.0}, {"user": "1.0"}]).sparse
    assert len(set(one[:, 0].tolist())) == 1
    assert one[0, 0] > 1


def test_missing_values_have_an_id_where_the_training_rows_have_them(read):
    rows = {"click": [0, 1] * 4, "a": ["x", None] * 4, "b": ["x"] * 8}
    data = read(rows, label="click", sparse=["a", "b"], split="order", fractions=(1, 0, 0))
    batch = data.schema.encode([{"a": None, "b": None}, {"a": "new", "b": "new"}])
    assert batch.sparse.tolist() == [[1, 0], [0, 0]]
    assert data.table_sizes == [3, 2]


def test_rare_values_share_the_id_0_and_others_go_by_count(read):
    rows = {"click": [0, 1] * 4, "a": list("zyyxxxxw")}
    data = read(rows, label="click", sparse=["a"], split="order", fractions=(1, 0, 0))
    assert data.train.sparse[:, 0].tolist() == [0, 2, 2, 1, 1, 1, 1, 0]


def test_the_vocabulary_knows_the_training_rows_only(read):
    rows = {"click": [0, 1] * 5, "a": [*"aaaaaaaa", "b", "b"]}
    data = read(rows, label="click", sparse=["a"], split="order", min_count=1)
    assert data.table_sizes == [2]
    assert data.test.sparse.tolist() == [[0]]
    assert data.schema["a"].unseen == 1.0


def test_shared_tables_have_one_set_of_ids(read):
    rows = {"click": [0, 1] * 3, "item": list("abcabc"), "last": list("ccbbad")}
    data = read(rows, label="click", sparse=["item", "last"], share={"last": "item"}, min_count=1,
                split="order", fractions=(1, 0, 0))  # fmt: skip
    assert data.table_sizes == [5, 5]
    assert data.schema["last"].categories is data.schema["item"].categories
    rows = data.schema.encode([{"item": "d", "last": "d"}]).sparse
    assert rows[0, 0] == rows[0, 1] > 0


# Numbers


def test_transforms_are_fitted_on_the_training_rows(read):
    x = np.arange(10.0) ** 2
    rows = {"click": [0, 1] * 5, "a": x, "b": x, "c": x, "city": ["u"] * 10}
    data = read(rows, label="click", dense=["a", "b", "c"], sparse=["city"], split="order",
                transform={"b": "log", "c": "none"})  # fmt: skip
    own = x[:8]
    np.testing.assert_allclose(data.test.dense[0, 0], (81 - own.mean()) / own.std(), rtol=1e-6)
    np.testing.assert_allclose(data.train.dense[:, 1], np.log1p(own), rtol=1e-6)
    np.testing.assert_allclose(data.train.dense[:, 2], own)


def test_a_constant_column_becomes_0_and_a_missing_number_too(read):
    rows = {"click": [0, 1] * 4, "a": [0.1] * 8, "b": [None, 1.0] * 4}
    data = read(rows, label="click", dense=["a", "b"], split="order", fractions=(1, 0, 0))
    assert np.abs(data.train.dense[:, 0]).max() < 1e-6
    assert (data.train.dense[::2, 1] == 0).all()


# Splits


def test_a_split_by_time_orders_the_rows(read):
    data = read(small(), **ROLES, time="when")
    assert str(data.description).endswith("split in the order of when")
    expected = read(
        {name: column[::-1] for name, column in small().items()}, **ROLES, split="order"
    )
    np.testing.assert_array_equal(data.train.dense, expected.train.dense)
    np.testing.assert_array_equal(data.test.label, expected.test.label)


def test_times_are_numbers_timestamps_or_text(read):
    rows = {"click": [0, 1] * 5, "city": list("aabbccddee")}
    stamps = np.datetime64("2026-01-01T00:00") + np.arange(10)[::-1].astype("timedelta64[m]")
    stamps = stamps.astype("datetime64[s]")
    expected = read({**rows, "t": list(range(10))[::-1]}, label="click", sparse=["city"], time="t")
    for when in (pa.array(stamps), [str(s) for s in stamps], np.arange(10.0)[::-1]):
        assert_same(read({**rows, "t": when}, label="click", sparse=["city"], time="t"), expected)
    with pytest.raises(ValueError, match="row 1, column t: 'soon' is not a number, and not a time"):
        read({**rows, "t": ["soon"] * 10}, label="click", sparse=["city"], time="t")


def test_a_split_by_user_keeps_users_together(read):
    data = read(small(200), label="click", sparse=["user"], user="user", min_count=1)
    seen = [set(part.sparse[:, 0].tolist()) for part in (data.train, data.valid, data.test)]
    assert 0 not in seen[0]
    assert seen[1] | seen[2] <= {0}  # users of the others are not among the training rows


def test_a_split_by_a_column(read):
    rows = {"click": [0, 1] * 3, "city": list("aabbcc"), "part": ["train"] * 4 + ["valid", "test"]}
    data = read(rows, label="click", sparse=["city"], split_column="part")
    assert [len(p) for p in (data.train, data.valid, data.test)] == [4, 1, 1]
    rows["part"][2] = "holdout"
    with pytest.raises(ValueError, match="row 3, column part: 'holdout': it must say train"):
        read(rows, label="click", sparse=["city"], split_column="part")


def test_options_of_the_split_that_contradict_each_other(read):
    for options, match in [
        ({"split": "time"}, "needs time="),
        ({"split": "order", "user": "user"}, "user= is given, but the split is 'order'"),
        ({"time": "when", "user": "user"}, "user= is given, but the split is 'time'"),
        ({"split": "by hand"}, "it must be 'random', 'order'"),
        ({"fractions": (0.5, 0.1, 0.1)}, "give three shares"),
        ({"fractions": (0.5, np.nan, 0.5)}, "give three shares"),
        ({"user": ""}, "user: .* has no column ''"),
        ({"split_column": "part"}, "split_column: .* has no column 'part'"),
    ]:
        with pytest.raises(ValueError, match=match):
            read(small(), **ROLES, **options)
    schema = read(small(), **ROLES).schema
    with pytest.raises(ValueError, match="user: .* has no column 'name'"):
        read(small(), schema=schema, user="name")


# Roles


def test_roles_are_inferred_and_printed(read, capsys):
    rows = {"label": [0, 1] * 5, "user_id": list(range(10)), "price": [0.5] * 10,
            "count": list(range(10)), "city": ["Ulm"] * 10, "tags": [["a"]] * 10}  # fmt: skip
    data = read(rows)
    assert [c.name for c in data.schema.dense] == ["price", "count"]
    assert [(c.name, c.role) for c in data.schema.sparse] == [
        ("user_id", "sparse"), ("city", "sparse"), ("tags", "bag")]  # fmt: skip
    assert "user_id" in capsys.readouterr().out


def test_columns_that_are_not_named_are_ignored_and_listed(read):
    data = read(small(), label="click", sparse=["user"])
    assert data.schema.ignored == ("price", "age", "city", "tags", "when")
    assert "ignored: price, age" in repr(data.schema)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"sparse": ["usr"]}, "has no column 'usr'; it has click, price"),
        ({"sparse": ["user"], "dense": ["user"]}, "column 'user' has two roles, dense and sparse"),
        ({"sparse": ["user"], "transform": "sqrt"}, None),
        ({"dense": ["price"], "transform": "sqrt"}, "transform is 'sqrt'"),
        ({"sparse": ["user"], "bag_weights": {"user": "age"}}, "bag_weights names 'user'"),
        ({"bags": ["tags"]}, "say what stands between the entries"),
        ({"bags": {"tags": ""}}, "separator of the bag 'tags' is empty"),
        ({"sparse": ["user"], "padding": 0}, "padding is given, but no bag"),
        ({"sparse": ["user"], "share": {"user": "city"}}, "share names 'city'"),
        ({"sparse": ["user"], "min_count": 0}, "min_count is 0"),
        ({"sparse": ["user"], "task": "rank"}, "task is 'rank'"),
        ({"sparse": ["user"], "cache_dir": "x"}, "a table in memory is not cached"),
        ({"dense": ["city"]}, "column city: .* is not a number"),
    ],
)
def test_what_cannot_be_meant_is_refused(read, options, match):
    if match is None:
        return
    with pytest.raises(ValueError, match=match):
        read(small(), label="click", **options)


def test_a_text_where_a_list_of_columns_is_wanted(read):
    with pytest.raises(TypeError, match=r"sparse is 'user': it must be a list of names, such as"):
        read(small(), label="click", sparse="user")


def test_labels_decide_the_task(read):
    rows = {"city": list("abab"), "y": [1.0, 5.0, 3.0, 2.0], "r": [0.1, 0.5, 1.0, 0.0]}
    options = {"sparse": ["city"], "split": "order", "fractions": (1, 0, 0)}
    assert read(rows, label="y", **options).task == "ratings"
    assert read(rows, label="r", **options).task == "clicks"
    assert read(rows, label="r", task="ratings", **options).task == "ratings"
    with pytest.raises(ValueError, match=r"column y holds 5: labels of clicks lie in \[0, 1\]"):
        read(rows, label="y", task="clicks", **options)


def test_true_and_false_are_labels_in_every_source(tmp_path, read):
    (tmp_path / "a.csv").write_text("click,city\nTrue,a\nfalse,b\n1,a\n0,b\n")
    options = {"label": "click", "sparse": ["city"], "split": "order", "fractions": (1, 0, 0)}
    assert read(tmp_path / "a.csv", **options).train.label.tolist() == [1, 0, 1, 0]


# Errors name the place


def lines(path, *text):
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    return path


def test_a_number_that_is_none_names_file_line_column_and_text(tmp_path, read):
    path = lines(tmp_path / "a.csv", "click,city,price", '0,"two', 'lines",1', "1,b,cheap")
    with pytest.raises(ValueError, match=r"a\.csv: line 4, column price: 'cheap' is not a number"):
        read(path, label="click", sparse=["city"], dense=["price"])


def test_a_line_with_another_number_of_fields(tmp_path, read):
    path = lines(tmp_path / "a.csv", "click,city", '0,"a', 'b"', "1,b,c")
    with pytest.raises(ValueError, match=r"a\.csv: line 4 has 3 fields, expected 2: '1,b,c'"):
        read(path, label="click", sparse=["city"])


def test_a_missing_label_an_infinite_number(tmp_path, read):
    path = lines(tmp_path / "a.csv", "click,price", "0,1", ",2")
    with pytest.raises(ValueError, match=r"a\.csv: line 3, column click: the label is missing"):
        read(path, label="click", dense=["price"])
    path = lines(tmp_path / "b.csv", "click,price", "0,1", "1,inf")
    with pytest.raises(ValueError, match=r"b\.csv: line 3, column price: inf is not a finite"):
        read(path, label="click", dense=["price"])


def test_the_second_file_of_a_glob_is_named(tmp_path, read):
    lines(tmp_path / "p0.csv", "click,price", "0,1", "1,2")
    lines(tmp_path / "p1.csv", "click,price", "0,1", "1,x")
    with pytest.raises(ValueError, match=r"p1\.csv: line 3, column price: 'x'"):
        read(tmp_path / "p*.csv", label="click", dense=["price"])


def test_files_that_cannot_be_read(tmp_path, read):
    options = {"label": "click", "sparse": ["city"]}
    with pytest.raises(FileNotFoundError, match="no file at"):
        read(tmp_path / "none.csv", **options)
    with pytest.raises(IsADirectoryError, match=r"is a folder: give a file, or a glob"):
        read(tmp_path, **options)
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError, match="is empty"):
        read(tmp_path / "empty.csv", **options)
    (tmp_path / "latin.csv").write_bytes("click,city\n1,Köln\n".encode("latin-1"))
    with pytest.raises(ValueError, match="is not utf-8 text: name its encoding"):
        read(tmp_path / "latin.csv", **options)
    assert len(
        read(tmp_path / "latin.csv", encoding="latin-1", fractions=(1, 0, 0), **options).train
    )
    (tmp_path / "no.parquet").write_bytes(b"not parquet at all")
    with pytest.raises(ValueError, match="cannot be read as Parquet"):
        read(tmp_path / "no.parquet", **options)
    packed = gzip.compress(b"click,city\n1,a\n" * 1000)
    (tmp_path / "cut.csv.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(ValueError, match="cannot be read"):
        read(tmp_path / "cut.csv.gz", **options)
    lines(tmp_path / "twice.csv", "click,city,city", "1,a,b")
    with pytest.raises(ValueError, match="has the column 'city' more than once"):
        read(tmp_path / "twice.csv", **options)
    with pytest.raises(TypeError, match="source is a int: give a path"):
        read(7, **options)


# The cache


def test_a_second_reading_comes_from_the_cache(tmp_path, read, monkeypatch):
    from minidlrm.data.fitting import Fitting

    path = lines(tmp_path / "a.csv", "click,city", *(f"{k % 2},{k % 3}" for k in range(20)))
    options = {"label": "click", "sparse": ["city"]}
    first = read(path, **options)
    monkeypatch.setattr(Fitting, "read", None)
    second = read(path, **options)
    assert_same(first, second)
    assert repr(first.schema) == repr(second.schema)
    assert isinstance(second.train.dense.base, np.memmap) or second.train.dense.size == 0


def test_a_changed_source_of_the_same_size_and_time_is_read_anew(tmp_path, read):
    import os

    path = lines(tmp_path / "a.csv", "click,city", *(f"{k % 2},a" for k in range(20)))
    options = {"label": "click", "sparse": ["city"], "split": "order"}
    before, stat = read(path, **options), path.stat()
    lines(path, "click,city", *(f"{1 - k % 2},a" for k in range(20)))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = read(path, **options)
    assert (np.asarray(before.train.label) != np.asarray(after.train.label)).all()


@pytest.mark.parametrize("name", ["train.ids.bin", "meta.json", "schema.0.text.bin"])
@pytest.mark.parametrize("how", ["changed", "cut", "gone"])
def test_a_damaged_cache_is_made_anew_with_a_word(tmp_path, read, name, how):
    path = lines(tmp_path / "a.csv", "click,city", *(f"{k % 2},{k % 3}" for k in range(20)))
    options = {"label": "click", "sparse": ["city"]}
    expected = arrays(read(path, **options))
    expected = [array.copy() for array in expected]
    (entry,) = (tmp_path / "cache").iterdir()
    file = entry / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    if how == "gone":
        file.unlink()
    else:
        file.write_bytes(data if how == "changed" else data[: len(data) // 2])
    options["cache_dir"], options["progress"] = tmp_path / "cache", False
    with pytest.warns(UserWarning, match="is damaged .* made anew") as caught:
        again = md.data.read_table(path, **options)
    assert caught[0].filename == __file__
    for a, b in zip(arrays(again), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        md.data.read_table(path, **options)


def test_an_entry_of_the_cache_has_the_name_that_it_had(tmp_path, read):
    """An earlier run's entry is found again. Who changes the form raises the version, and this."""
    path = lines(tmp_path / "a.csv", "click,city,n", *(f"{k % 2},{k % 3},{k}" for k in range(20)))
    options = {"label": "click", "sparse": ["city"], "dense": ["n"], "transform": "none"}
    data = read(path, **options)
    read(path, **options, split="order", min_count=1, task="ratings")
    read(path, schema=data)
    found = sorted(entry.name for entry in (tmp_path / "cache").iterdir())
    assert found == [
        "table-0cb47d63a1300f9542d1e64b",
        "table-1543dfeda7c999a3ceec6c5e",
        "table-79d11d6bc85ee2e5503e53aa",
    ]


def test_nothing_is_left_of_a_reading_that_failed(tmp_path, read):
    path = lines(tmp_path / "a.csv", "click,price", "0,1", "1,x")
    with pytest.raises(ValueError, match="not a number"):
        read(path, label="click", dense=["price"])
    assert list((tmp_path / "cache").iterdir()) == []


# The schema again


def test_a_row_alone_is_encoded_as_in_the_batch(read):
    rows = small()
    data = read(rows, **ROLES, split="order", fractions=(1, 0, 0))
    whole = data.schema.encode(rows)
    np.testing.assert_array_equal(whole.dense, data.train.dense)
    np.testing.assert_array_equal(whole.sparse.values, data.train.sparse.values)
    for k in range(len(whole)):
        one = data.schema.encode([{name: column[k] for name, column in rows.items()}])
        np.testing.assert_array_equal(one.dense, whole.dense[k : k + 1])
        np.testing.assert_array_equal(one.sparse.values, whole[k : k + 1].sparse.values)
        np.testing.assert_array_equal(one.sparse.offsets, whole[k : k + 1].sparse.offsets)


def test_a_schema_on_disk_is_the_same_schema(read):
    data = read(small(), **ROLES)
    plain, parts = data.schema.state()
    other = Schema.from_state(json.loads(json.dumps(plain)), parts)
    assert repr(other) == repr(data.schema)
    first, second = data.schema.encode(small()), other.encode(small())
    np.testing.assert_array_equal(first.sparse.values, second.sparse.values)
    np.testing.assert_array_equal(first.dense, second.dense)


def test_damaged_values_of_a_schema_are_refused(read):
    plain, parts = read(small(), **ROLES).schema.state()
    for name, change in [("2.ends", lambda a: a + 1), ("2.text", lambda a: a[:-1]),
                         ("3.ends", lambda a: a[::-1].copy())]:  # fmt: skip
        with pytest.raises(ValueError, match="the stored values of column .* are damaged"):
            Schema.from_state(plain, {**parts, name: change(parts[name])})
    with pytest.raises(ValueError, match="format 99"):
        Schema.from_state({**plain, "format": 99}, parts)


def test_a_later_file_is_read_by_the_schema(tmp_path, read):
    rows = small()
    data = read(rows, **ROLES)
    later = read(rows, schema=data)
    assert len(later.train) == len(later.valid) == 0
    np.testing.assert_array_equal(later.test.dense, data.schema.encode(rows).dense)
    np.testing.assert_array_equal(later.test.sparse.values, data.schema.encode(rows).sparse.values)
    del rows["click"]
    assert read(rows, schema=data.schema).test.label is None
    del rows["city"]
    with pytest.raises(ValueError, match="has no column 'city'"):
        read(rows, schema=data)
    with pytest.raises(ValueError, match="label cannot be given: schema= says it"):
        read(small(), schema=data, label="click", split="order")
    again = read(small(), schema=data, split="order")
    assert [len(p) for p in (again.train, again.valid, again.test)] == [32, 4, 4]


def test_rows_to_encode_name_what_is_wrong(read):
    data = read(small(), **ROLES)
    with pytest.raises(ValueError, match=r"row 2, column price: 'x' is not a number"):
        data.schema.encode({**small(2), "price": ["1", "x"]})
    with pytest.raises(KeyError, match="no column has the name 'town'; there are price, age, user"):
        data.schema["town"]
