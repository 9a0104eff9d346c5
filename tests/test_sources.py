"""Sources: blocks of every kind of file, places of rows, and what is wrong with a file."""

import bz2
import gzip

import numpy as np
import pytest

from minidlrm.data import open_source, sources

pa = pytest.importorskip("pyarrow")


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def values(source, name):
    return [v for block in source.read([name], []) for v in pa.array(block[name]).to_pylist()]


def test_rows_of_text_files_are_placed_by_file_and_line(tmp_path):
    write(tmp_path / "a.csv", 'x,y\n1,"two\nlines"\n\n2,b\n')
    write(tmp_path / "b.csv", "y,x\nc,3\nd,4\n")
    source = open_source(str(tmp_path / "*.csv"))
    assert values(source, "x") == ["1", "2", "3", "4"]
    places = [source.place(row).rpartition("/")[2] for row in range(4)]
    assert places == ["a.csv: line 2", "a.csv: line 5", "b.csv: line 2", "b.csv: line 3"]
    assert source.after(1, 2) == source.place(3)
    assert "b.csv" in source.place(4)  # behind the last row
    assert source.description == "a.csv and 1 more files"
    headless = open_source(tmp_path / "b.csv", column_names=["p", "q"])
    assert values(headless, "p") == ["y", "c", "d"]
    assert headless.description == "b.csv"
    assert [headless.place(row)[-6:] for row in range(3)] == ["line 1", "line 2", "line 3"]


def test_a_delimiter_that_splits_nothing_is_told_where_a_column_is_missing(tmp_path):
    path = write(tmp_path / "a.csv", "x,y\n1,2\n")
    with pytest.raises(ValueError, match="no column 'x'; it has x,y by the delimiter ';'$"):
        open_source(path, delimiter=";").need(["x"])
    for options in ({"delimiter": ","}, {}):
        with pytest.raises(ValueError, match="no column 'z'; it has x, y$"):
            open_source(path, **options).need(["z"])
    with pytest.raises(ValueError, match="no column 'x'; it has x,y by column_names$"):
        open_source(path, delimiter=";", column_names=["x,y"]).need(["x"])
    alone = write(tmp_path / "b.csv", "x\n1\n")
    with pytest.raises(ValueError, match="no column 'z'; it has x$"):
        open_source(alone).need(["z"])


def test_rows_of_parquet_files_are_placed_by_file_and_row(tmp_path):
    from pyarrow import parquet

    parquet.write_table(pa.table({"x": [1, 2], "y": [0, 0]}), tmp_path / "a.parquet")
    parquet.write_table(pa.table({"y": [0], "x": [3]}), tmp_path / "b.parquet")
    source = open_source(str(tmp_path / "?.parquet"))
    assert values(source, "x") == [1, 2, 3]
    places = [source.place(row).rpartition("/")[2] for row in range(3)]
    assert places == ["a.parquet: row 1", "a.parquet: row 2", "b.parquet: row 1"]
    assert list(source.types()) == ["x", "y"]
    parquet.write_table(pa.table({"x": [3]}), tmp_path / "c.parquet")
    with pytest.raises(ValueError, match=r"c\.parquet does not have the columns of .*a\.parquet"):
        open_source(str(tmp_path / "?.parquet"))


def test_a_table_is_cut_into_blocks(monkeypatch):
    monkeypatch.setattr(sources, "_BLOCK_ROWS", 4)
    source = open_source({"x": list(range(10)), "y": [0] * 10})
    assert [len(block["x"]) for block in source.read(["x"], [])] == [4, 4, 2]
    assert values(source, "x") == list(range(10))
    assert (source.place(0), source.description) == ("row 1", "the table of 10 rows")
    assert source.digest() is None
    assert source.reading() == ""


def test_columns_that_do_not_exist_are_listed():
    source = open_source({"x": [1], "y": [2]})
    source.need(["x", "y"])
    with pytest.raises(ValueError, match="has no column 'p', 'q'; it has x, y"):
        source.need(["p", "x", "q", "p"])
    with pytest.raises(TypeError, match="a column is named 3"):
        source.need(["x", 3])


@pytest.mark.parametrize(
    ("name", "line", "delimiter"),
    [
        ("a.csv", "x,y", ","),
        ("a.csv", "x;y", ";"),
        ("a.txt", "x|y", "|"),
        ("a.csv", "x\ty", "\t"),
        ("a.tsv", "a,b\ty", "\t"),
        ("a.tab.gz", "a,b\ty", "\t"),
        ("a.csv", "x", ","),
    ],
)
def test_the_delimiter_is_found_in_the_first_line(tmp_path, name, line, delimiter):
    content = f"\n{line}\n{line}\n".encode()
    path = write(tmp_path / name, gzip.compress(content) if name.endswith("gz") else content)
    source = open_source(path)
    assert source.delimiter == delimiter
    assert source.names == line.split(delimiter)


def test_options_of_text_files(tmp_path):
    path = write(tmp_path / "a.csv", "x_y\n1_2\n")
    assert values(open_source(path, delimiter="_"), "y") == ["2"]
    for delimiter in ("", "::"):
        with pytest.raises(ValueError, match="it must be one character"):
            open_source(path, delimiter=delimiter)
    with pytest.raises(ValueError, match="encoding 'klingon' is not known"):
        open_source(path, encoding="klingon")
    with pytest.raises(ValueError, match="has the column 'x' more than once"):
        open_source(path, column_names=["x", "x"])
    write(tmp_path / "b.csv", "x\n1\n")
    with pytest.raises(ValueError, match=r"b\.csv has the columns \['x'\]"):
        open_source([path, tmp_path / "b.csv"])
    assert len(open_source([path, tmp_path / "b.csv"], column_names=["z"]).names) == 1


def test_the_key_of_a_cache_sees_content_and_options(tmp_path):
    path = write(tmp_path / "a.csv", "x,y\n1,2\n")
    one, other = open_source(path), open_source(path, delimiter=";")
    assert one.digest() == other.digest()
    assert one.reading() != other.reading()
    assert one.reading() != open_source(path, column_names=["x", "y"]).reading()
    write(path, "x,y\n1,3\n")
    assert one.digest() != other.digest() or one.digest() == open_source(path).digest()
    assert len({open_source([path] * n).digest() for n in (1, 2)}) == 2


def test_a_file_whose_name_does_not_say_how_it_is_packed(tmp_path):
    for data, what in [
        (bz2.compress(b"x,y\n1,2\n"), r"bzip2: its name must end in \.bz2"),
        (gzip.compress(b"x,y\n1,2\n"), r"gzip: its name must end in \.gz"),
        (b"PAR1\xff\xff", r"Parquet: its name must end in \.parquet"),
        (b"\xfe\xff\x00x", "UTF-16 text"),
        (b"x\0,y\n", "is not utf-8 text"),
        (b"x,\xff\n", "is not utf-8 text"),
    ]:
        with pytest.raises(ValueError, match=what):
            open_source(write(tmp_path / "a.csv", data))
    packed = write(tmp_path / "a.CSV.BZ2", bz2.compress(b"x,y\n1,2\n"))
    assert values(open_source(packed), "y") == ["2"]
    with pytest.raises(ValueError, match="cannot be read"):
        open_source(write(tmp_path / "b.csv.gz", gzip.compress(b"x,y\n" * 99)[:20]))
    for empty in ("", "\n \n"):
        with pytest.raises(ValueError, match="is empty"):
            open_source(write(tmp_path / "a.csv", empty))


def test_a_header_whose_quote_is_not_closed_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_HEADER", 20)
    path = write(tmp_path / "a.csv", 'x,"y\n' + "1,2\n" * 1000)
    assert 20 <= len(sources._first_line(path, "utf-8")) < 30
    path = write(tmp_path / "b.csv", 'x,"' + "y" * 100 + '\nz"\n1,2\n')
    assert sources._first_line(path, "utf-8") == 'x,"' + "y" * 100
    monkeypatch.undo()
    assert open_source(path).names == ["x", "y" * 100 + "\nz"]
    for line in ('x,"y"', '"x","y"', '"x\ny",z', "x,y"):
        path = write(tmp_path / "c.csv", f"{line}\n1,2\n3,4\n")
        assert sources._first_line(path, "utf-8") == line


def test_a_line_of_another_length_is_named_at_its_first_line(tmp_path):
    for bad, fields in (("1,2,3", 3), ("1", 1)):
        path = write(tmp_path / "a.csv", f'x,y\n"a\nb",1\n\n{bad}\n9,9,9,9\n')
        with pytest.raises(ValueError, match=rf"a\.csv: line 5 has {fields} fields, expected 2: '"):
            values(open_source(path), "x")


def test_a_first_line_of_another_length_is_named_where_names_are_given(tmp_path):
    path = write(tmp_path / "a.csv", "1,2,3\n1,2\n")
    with pytest.raises(ValueError, match=r"a\.csv: line 1 has 3 fields, expected 2"):
        open_source(path, column_names=["x", "y"]).types()


def test_types_are_those_of_the_first_rows(tmp_path):
    path = write(tmp_path / "a.csv", "x,y,z\n1,0.5,a\n")
    assert [str(kind) for kind in open_source(path).types().values()] == [
        "int64",
        "double",
        "string",
    ]
    with pytest.raises(ValueError, match="line 2 has 2 fields, expected 3"):
        open_source(write(path, "x,y,z\n1,2\n")).types()


def test_numbers_that_are_none_stop_a_reading_of_numbers(tmp_path):
    path = write(tmp_path / "a.csv", "x,y\n1,2\nb,3\n")
    source = open_source(path)
    with pytest.raises(sources.NotNumbers):
        list(source.read(["x", "y"], ["x"]))
    (block,) = source.read(["y"], ["x", "y"])
    np.testing.assert_array_equal(block["y"].to_numpy(), [2.0, 3.0])


def test_a_number_that_is_none_is_placed_in_any_block(tmp_path, monkeypatch):
    from minidlrm.data import read_table

    rows = [f"{k % 2},{k},u" for k in range(60)]
    schema = read_table(
        {"y": [0, 1], "x": [1.0, 2.0], "u": ["u", "v"]}, label="y", dense=["x"], sparse=["u"],
        split="order", fractions=(1, 0, 0), progress=False,
    ).schema  # fmt: skip
    monkeypatch.setattr(sources, "_BLOCK_BYTES", 64)
    for bad in (0, 1, 30, 59):
        lines = [*rows[:bad], "0,many,u", *rows[bad + 1 :]]
        path = write(tmp_path / "a.csv", "\n".join(["y,x,u", *lines]) + "\n")
        with pytest.raises(ValueError, match=f"line {bad + 2}, column x: 'many' is not a number"):
            list(open_source(path).blocks(schema))
