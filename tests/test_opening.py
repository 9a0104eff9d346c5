"""open_source: what holds rows, and what does not."""

import numpy as np
import pytest

from minidlrm.data import open_source
from minidlrm.data.opening import _from_pandas

pa = pytest.importorskip("pyarrow")


def columns(rows, **options):
    source = open_source(rows, **options)
    (block,) = source.read(source.names, [])
    return {name: pa.array(column).to_pylist() for name, column in block.items()}


def test_rows_as_dicts_may_leave_values_out():
    assert columns([{"a": 1}, {"b": "x"}]) == {"a": [1, None], "b": [None, "x"]}
    assert columns(({"a": 1}, {"a": 2})) == {"a": [1, 2]}
    with pytest.raises(ValueError, match="rows is an empty list"):
        open_source([])
    for rows in (7, [1, 2], [{"a": 1}, 2]):
        with pytest.raises(TypeError, match="give a path, a DataFrame, an Arrow table"):
            open_source(rows)


def test_columns_of_numbers_and_texts_become_texts():
    assert columns({"a": [1, "x", None]}) == {"a": ["1", "x", None]}
    assert columns({"a": [2**70, 1]}) == {"a": [str(2**70), "1"]}
    assert columns({"a": np.array([1, 2], ">i4")}) == {"a": [1, 2]}
    assert columns({"a": np.array(["x", "y"])}) == {"a": ["x", "y"]}
    assert columns({"a": np.array([1, "x", None], object)}) == {"a": ["1", "x", None]}
    for column in ("xy", 7):
        with pytest.raises(ValueError, match="column a is .*give a list of values"):
            open_source({"a": column})


def test_values_that_arrow_does_not_know_become_texts():
    rows = open_source([{"x": np.datetime64("2020-01-01")}, {"x": 1.0}])
    (block,) = rows.read(["x"], [])
    assert block["x"].to_pylist() == ["2020-01-01", "1.0"]


@pytest.mark.parametrize("rows", [{}, [{}], pa.table({})])
def test_a_table_without_columns_is_refused(rows):
    with pytest.raises(ValueError, match="rows has no columns"):
        open_source(rows)


def test_missing_values_of_a_mixed_column_stay_missing():
    column = [1, "x", None, float("nan")]
    assert _from_pandas(np.array(column, object)).to_pylist() == ["1", "x", None, None]
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": pandas.Series(column, dtype=object)})
    assert columns(frame) == {"a": ["1", "x", None, None]}


def test_a_pandas_column_twice_is_refused():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(ValueError, match="'a' more than once"):
        open_source(pandas.DataFrame([[1, 2]], columns=["a", "a"]))


def test_a_pandas_column_alone_is_no_table():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(ValueError, match="rows cannot be read as a table"):
        open_source(pandas.Series([1, 2]))


def test_files_are_of_one_kind(tmp_path):
    from pyarrow import parquet

    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.csv").write_text("x,y\n3,4\n")
    parquet.write_table(pa.table({"x": ["1"]}), tmp_path / "a.PQ")
    both = [str(tmp_path / "a.csv"), tmp_path / "b.csv"]
    assert [block["x"].to_pylist() for block in open_source(both).read(["x"], [])] == [["1"], ["3"]]
    assert len(list(open_source(tmp_path / "*.csv").read(["x"], []))) == 2
    assert columns(tmp_path / "a.PQ") == {"x": ["1"]}
    with pytest.raises(ValueError, match="text and Parquet: give files of one kind"):
        open_source([tmp_path / "a.csv", tmp_path / "a.PQ"])
    for option in ({"delimiter": ","}, {"column_names": ["x"]}):
        with pytest.raises(ValueError, match="is Parquet: delimiter and column_names"):
            open_source(tmp_path / "a.PQ", **option)
    assert columns(tmp_path / "a.csv", column_names=["p", "q"])["p"] == ["x", "1"]
    with pytest.raises(FileNotFoundError, match="no file at"):
        open_source(tmp_path / "*.tsv")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        open_source(tmp_path)


def test_a_source_is_taken_as_it_is_and_others_by_their_arrow_form():
    source = open_source({"a": [1]})
    assert open_source(source) is source
    table = pa.table({"a": [1, 2]})
    assert columns(table) == {"a": [1, 2]}
    assert columns(table.to_batches()[0]) == {"a": [1, 2]}

    class LazyFrame:
        pass

    with pytest.raises(TypeError, match=r"call its collect\(\) first"):
        open_source(LazyFrame())
