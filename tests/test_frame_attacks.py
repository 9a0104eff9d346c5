"""read_table on tables as people have them: each is read rightly, or refused with advice."""

import datetime
import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minidlrm as md

pa = pytest.importorskip("pyarrow")
TEXT = "click,price,city\n" + "1,2.5,Ulm\n0,3.5,Rom\n" * 10
ROLES = {"label": "click", "dense": ["price"], "sparse": ["city"]}


def table(**columns):
    return {"click": [0, 1] * 10, "price": [1.0, 2.0] * 10, "city": ["a", "b"] * 10, **columns}


@pytest.fixture
def read(tmp_path):
    def call(content, **options):
        if isinstance(content, (str, bytes)):
            path = tmp_path / options.pop("name", "clicks.csv")
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
            content, options["cache_dir"] = path, tmp_path / "cache"
        options = {**ROLES, "progress": False, **options}
        if not {"time", "user", "split_column"} & set(options):
            options.setdefault("split", "order")
        return md.data.read_table(content, **options)

    return call


# Text that is not what its name says


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (TEXT.encode("utf-16"), "is UTF-16 text: give encoding='utf-16'"),
        (gzip.compress(TEXT.encode()), r"packed by gzip: its name must end in \.gz"),
        (b"PK\x03\x04" + bytes(30), "an Excel file: unpack it, or save it as CSV"),
        (TEXT.replace("Ulm", "Köln").encode("latin-1"), "not utf-8 text: name its encoding"),
        (TEXT.replace("city", "Städte").encode("latin-1"), "not utf-8 text: name its encoding"),
    ],
    ids=["utf-16", "gzip", "excel", "latin-1", "latin-1 header"],
)
def test_bytes_that_are_not_this_text_are_told_by_their_kind(read, content, advice):
    with pytest.raises(ValueError, match=advice):
        read(content)


@pytest.mark.parametrize(
    ("value", "advice"),
    [("yes", "write 1 and 0"), ("NA", "must be empty"), ("2,5", "must be a point"), ("abc", "$")],
)
def test_what_is_not_a_number_gets_its_place_and_advice(read, value, advice):
    text = (TEXT + f'1,"{value}",Ulm\n').replace(",", ";").replace("2;5", "2,5")
    with pytest.raises(ValueError, match=f"line 22, column price: '{value}' is not a n.*{advice}"):
        read(text)


def test_a_column_order_of_its_own_is_read_by_name(read, tmp_path):
    (tmp_path / "a.csv").write_text(TEXT)
    lines = [line.split(",") for line in TEXT.splitlines()]
    (tmp_path / "b.csv").write_text("".join(f"{c},{b},{a}\n" for a, b, c in lines))
    both = md.data.read_table(str(tmp_path / "[ab].csv"), **ROLES, split="order", progress=False,
                              cache_dir=tmp_path)  # fmt: skip
    twice = read(TEXT + TEXT.partition("\n")[2])
    np.testing.assert_array_equal(both.train.sparse, twice.train.sparse)
    np.testing.assert_array_equal(both.train.dense, twice.train.dense)


# Values


def test_times_with_a_zone_are_ordered_as_moments(read):
    zones = ["+09:00", "-05:00"]  # the later hour of the day is the earlier moment
    rows = [f"{k % 2},1,a,2026-01-{k // 2 + 1:02d}T{12 - k % 2}:00:00{zones[k % 2]}\n"
            for k in range(20)]  # fmt: skip
    data = read("click,price,city,when\n" + "".join(rows), time="when")
    np.testing.assert_array_equal(data.train.label, [0, 1] * 8)
    seoul = datetime.timezone(datetime.timedelta(hours=9))
    when = [datetime.datetime(2026, 1, 20 - k, tzinfo=seoul) for k in range(20)]
    np.testing.assert_array_equal(read(table(when=when), time="when").train.label, [1, 0] * 8)


def test_whole_numbers_above_64_bits_are_kept_as_text(read):
    assert read(table(city=[2**70, 2**70 + 1] * 10)).table_sizes == [3]


def test_labels_of_minus_one_and_one_are_asked_about(read):
    with pytest.raises(ValueError, match="holds -1 and 1: for clicks write 0 and 1"):
        read(table(click=[-1, 1] * 10))
    assert read(table(click=[-1, 1] * 10), task="ratings").task == "ratings"


@pytest.mark.parametrize("option", ["user", "split_column"])
def test_a_row_that_no_split_claims_is_refused(read, option):
    with pytest.raises(ValueError, match="row 3, column who: the value is missing"):
        read(table(who=["train", "train", None, "train"] * 5), **{option: "who"})


def test_pandas_columns_of_texts_and_numbers_keep_them_apart(read):
    pd = pytest.importorskip("pandas")
    data = read(pd.DataFrame(table(city=["x", 7, None, 7.5] * 5)), min_count=1)
    assert data.schema["city"].distinct == 3
    with pytest.raises(ValueError, match="'city' more than once"):
        read(pd.DataFrame([[1, 2, 3, 4]] * 9, columns=["click", "price", "city", "city"]))
    with pytest.raises(TypeError, match=r"dense is \[1\]: it must be a list of names"):
        read(pd.DataFrame(np.ones((9, 3))), label="0", dense=[1], sparse=["2"])


# Arguments of another kind


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"min_count": 1.5}, "min_count is 1.5: it must be an integer"),
        ({"seed": "x"}, "seed is 'x'"),
        ({"fractions": "abc"}, "fractions is of type str: it must be tuple or list"),
        ({"share": "city"}, "share is 'city': give a dict"),
        ({"schema": "x", "label": None, "dense": None, "sparse": None}, "schema is 'x'"),
        ({"bags": {"tags": 3}}, r"bags\['tags'\] is 3"),
    ],
)
def test_an_argument_of_another_kind_is_named(read, options, match):
    with pytest.raises(TypeError, match=match):
        read(TEXT, **options)


def test_rows_that_are_no_table_are_refused_with_advice(read):
    with pytest.raises(ValueError, match="delimiter is '::': it must be one character"):
        read(TEXT, delimiter="::")
    polars = pytest.importorskip("polars")
    with pytest.raises(TypeError, match=r"LazyFrame: call its collect\(\) first"):
        read(polars.LazyFrame(table()))
    data = read(table())
    with pytest.raises(ValueError, match="one row alone is a list of one dict"):
        data.schema.encode({"price": 1.0, "city": "a"})
    with pytest.raises(TypeError, match=r"data is a dict: give a Batch; schema\.encode"):
        md.predict(md.LogisticRegression.for_data(data), table())


# More rows than a block


def test_weights_and_places_of_rows_hold_beyond_the_first_block(read, monkeypatch):
    monkeypatch.setattr("minidlrm.data.sources._BLOCK_ROWS", 8)
    weight = np.arange(20.0)
    data = read(table(w=weight), sample_weight="w")
    np.testing.assert_array_equal(data.schema.encode(table(w=weight)).weight, weight)
    bad = table(price=[1.0] * 19 + ["x"], w=weight)
    with pytest.raises(ValueError, match="row 20, column price: 'x'"):
        data.schema.encode(bad)


def test_labels_with_gaps_are_refused_where_they_matter(read):
    data = read(table())
    gaps = table(click=[None, 1] * 10)
    with pytest.raises(ValueError, match="row 1, column click: the label is missing"):
        data.schema.encode(gaps)
    model, source = md.LogisticRegression.for_data(data), md.data.open_source(gaps)
    with pytest.raises(ValueError, match="row 1, column click: the label is missing"):
        md.scoring.evaluate_rows(model, data.schema, source)
    assert [len(block.output) for block in md.scoring.scores(model, data.schema, source)] == [20]


# The cache


def test_a_folder_that_cannot_be_written_is_named_with_both_ways_out(read, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot be written .*cache_dir=, .* XDG_CACHE_HOME"):
        md.data.read_table(_csv(tmp_path), **ROLES, cache_dir=tmp_path / "file", progress=False)


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("minidlrm.data.spool.Spool.append", full)
    with pytest.raises(OSError, match="the disk of the cache folder .* is full"):
        md.data.read_table(_csv(tmp_path), **ROLES, cache_dir=tmp_path / "c", progress=False)
    assert list((tmp_path / "c").iterdir()) == []


def test_two_processes_may_build_one_entry(tmp_path):
    path, cache = _csv(tmp_path), tmp_path / "c"
    code = (
        "import minidlrm as md\n"
        f"data = md.data.read_table({str(path)!r}, **{ROLES!r}, cache_dir={str(cache)!r})\n"
        "print(float(data.train.dense.sum()) + int(data.train.sparse.sum()))\n"
    )
    told = {"cwd": Path(md.__file__).parents[1], "stdout": subprocess.PIPE}
    builders = [subprocess.Popen([sys.executable, "-c", code], **told) for _ in range(2)]
    sums = [builder.communicate(timeout=60)[0] for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0]
    assert sums[0] == sums[1] != b""
    assert len(list(cache.iterdir())) == 1


def _csv(folder):
    path = folder / "clicks.csv"
    path.write_text(TEXT)
    return path


def written(tmp_path, text):
    path = tmp_path / "rows.csv"
    path.write_bytes(text.encode())
    return path


def loaded(source, folder, **roles):
    return md.data.read_table(source, label="y", progress=False, cache_dir=folder, **roles)


def test_a_header_with_a_line_break_is_one_line(tmp_path):
    rows = "".join(f"{i % 2},a{i % 3},{i}\n" for i in range(30))
    path = written(tmp_path, 'y,"first\nname",d\n' + rows)
    data = loaded(path, tmp_path, sparse=["first\nname"], dense=["d"])
    assert data.table_sizes == [4]
    path = written(tmp_path, 'y,"first\nname",d\n' + rows + "1,x,bad\n")
    with pytest.raises(ValueError, match="line 33, column d: 'bad'"):
        loaded(path, tmp_path, sparse=["first\nname"], dense=["d"])


@pytest.mark.parametrize("sparse", [["u"], ["v"]])
def test_a_quote_that_is_not_closed_does_not_eat_the_rest_of_the_file(tmp_path, sparse):
    path = written(tmp_path, "y,v,u\n" + "1,b,a\n" * 9 + '0,b,"a\n' + "1,b,a\n" * 30)
    with pytest.raises(ValueError, match="line 11, column u: a quote is not closed"):
        loaded(path, tmp_path, sparse=sparse)
    for end in ('"a\nb"', '"a\nb"\n', '"a\n"\n', '"a\n"""\n'):
        path = written(tmp_path, "y,v,u\n" + "1,b,a\n" * 9 + "0,b," + end)
        data = loaded(path, tmp_path, sparse=sparse)
        assert len(data.train) + len(data.valid) + len(data.test) == 10


def test_times_of_two_units_are_refused(tmp_path):
    rows = "0,a,1500000000\n1,b,1500000000000\n" * 10
    with pytest.raises(ValueError, match=r"line 3, column t: 1500000000000 is a time in another"):
        loaded(written(tmp_path, "y,u,t\n" + rows), tmp_path, sparse=["u"], time="t")
    rows = "0,a,1970-01-02\n1,b,2026-11-26\n" * 10
    assert len(loaded(written(tmp_path, "y,u,t\n" + rows), tmp_path, sparse=["u"], time="t").train)


def test_weights_that_are_all_0_are_refused():
    rows = {"y": [0, 1] * 10, "u": ["a", "b"] * 10, "w": [0.0] * 20}
    with pytest.raises(ValueError, match="column w: every row to train on has the weight 0"):
        loaded(rows, None, sparse=["u"], sample_weight="w")
