"""read_libfm."""

import pyarrow as pa
import pytest

import minidlrm as md
from minidlrm.data import read_libfm


def write(path, lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def test_three_files_and_unknown_indices(tmp_path):
    data = read_libfm(
        write(tmp_path / "a", ["1 5:1 9:1", "-1 7:1 9:1"]),
        write(tmp_path / "b", ["1 7:1 9:1"]),
        write(tmp_path / "c", ["-1 6:1 10:1"]),
    )
    assert data.table_sizes == [3, 2]
    assert data.train.sparse.tolist() == [[1, 1], [2, 1]]
    assert data.valid.sparse.tolist() == [[2, 1]]
    assert data.test.sparse.tolist() == [[0, 0]]
    assert data.train.label.tolist() == [1, 0]


def test_one_file_is_split_in_order_and_its_vocabulary_is_the_training_rows(tmp_path):
    lines = [f"{k % 5} {k}:1 33:1" for k in range(14)]
    data = read_libfm(write(tmp_path / "a", lines))
    assert [len(part) for part in (data.train, data.valid, data.test)] == [12, 1, 1]
    assert data.table_sizes == [13, 2]
    assert data.test.sparse.tolist() == [[0, 1]]
    assert data.train.label[:6].tolist() == [0, 1, 2, 3, 4, 0]  # ratings stay


def test_values_become_weights(tmp_path, rng):
    lines = ["1 5:0.5 9:1", "-1 7:2 9:-1"] * 7
    data = read_libfm(write(tmp_path / "a", lines))
    assert data.train[:2].sparse.weights.tolist() == [0.5, 2.0, 1.0, -1.0]
    model = md.FactorizationMachine(0, data.table_sizes, 3)
    md.gradcheck(model, data.train[:4], verbose=False).raise_if_failed()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["1 5:1", "5:1 6:1"], "line 2: expected a label and index:value pairs"),
        (["1 5:1", "1 0:5:1"], "line 2: expected a label and index:value pairs"),
        (["1 0:5:1", "1 5:1"], "line 2: expected a label and field:index:value triples"),
        (["hello"], "line 1 has no index:value pair"),
        (["1 5:1", "1 5:x"], "line 2: 'x' is not a number"),
        (["1 5:1", "1 -5:1"], "line 2: '-5' is not an index"),
        (["1 5:1", "1 5.5:1"], "line 2: '5.5' is not an index"),
        (["1 5:1", "nan 5:1"], "line 2: 'nan' is not a number"),
        (["rating 0:1", "1 5:1"], "line 1: 'rating' is not a number"),
    ],
)
def test_malformed_lines_are_named(lines, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_libfm(write(tmp_path / "a", lines))


def test_files_that_are_none(tmp_path):
    with pytest.raises(TypeError, match="train is None: it must be the path of a file"):
        read_libfm(None)
    with pytest.raises(FileNotFoundError, match="no file at"):
        read_libfm(tmp_path / "none")
    (tmp_path / "empty").write_text("")
    with pytest.raises(ValueError, match="is empty"):
        read_libfm(tmp_path / "empty")
    path = write(tmp_path / "a", ["1 5:1"])
    with pytest.raises(ValueError, match="both valid and test, or neither"):
        read_libfm(path, valid=path)
    other = write(tmp_path / "b", ["1 5:1 6:1"])
    with pytest.raises(ValueError, match="has 2 fields a line"):
        read_libfm(path, other, other)
    with pytest.raises(ValueError, match="has 1 rows: none is left to train on"):
        read_libfm(path)
    (tmp_path / "wide").write_bytes("1 5:1\n".encode("utf-16"))
    with pytest.raises(ValueError, match="is not UTF-8 text"):
        read_libfm(tmp_path / "wide")


def test_labels_are_decided_by_the_training_file(tmp_path):
    both = ["1 3:1", "-1 4:1"] * 2
    dummy = write(tmp_path / "c", ["0 3:1"] * 3)
    data = read_libfm(write(tmp_path / "a", both), write(tmp_path / "b", both), dummy)
    assert data.train.label.tolist() == [1, 0, 1, 0]
    assert data.test.label.tolist() == [0, 0, 0]
    assert data.task == "clicks"


def test_an_index_keeps_to_its_place(tmp_path):
    path = write(tmp_path / "a", ["1 3:1 17:1", "-1 17:1 4:1"] * 7)
    with pytest.raises(ValueError, match="line 1: index 17 is feature 2 here, and feature 1 else"):
        read_libfm(path)


def test_lines_of_any_length_are_bags(tmp_path):
    data = read_libfm(write(tmp_path / "a", ["1 3:1 17:0.5", "-1 17:1", "1"] * 7))
    assert data.table_sizes == [3]
    bags = data.train[:3].sparse
    assert bags.values.tolist() == [1, 2, 2]
    assert bags.offsets.tolist() == [0, 2, 3, 3]
    assert bags.weights.tolist() == [1, 0.5, 1]


def test_named_fields_are_tables_of_bags(tmp_path):
    data = read_libfm(write(tmp_path / "a", ["1 0:3:1 1:17:1", "0 1:18:1 0:4:1 0:3:1"] * 7))
    assert data.table_sizes == [3, 3]
    bags = data.train[:2].sparse
    assert bags.values.tolist() == [1, 2, 1, 1, 2]
    assert bags.offsets.tolist() == [0, 1, 3, 4, 5]


def test_comments_empty_lines_and_byte_order_marks(tmp_path):
    (tmp_path / "a").write_bytes(
        b"\xef\xbb\xbf" + b"1 3:1 7:1 # ad 9\r\n\n-1 4:1 7:1\n" * 7 + b"\n"
    )
    assert read_libfm(tmp_path / "a").table_sizes == [3, 2]


def test_large_indices_stay_apart(tmp_path):
    path = write(tmp_path / "a", [f"1 {10**17}:1", f"-1 {10**17 + 1}:1"] * 7)
    assert read_libfm(path).table_sizes == [3]


def test_the_schema_encodes_raw_indices(tmp_path):
    data = read_libfm(write(tmp_path / "a", ["1 3:1 17:1", "-1 4:1 17:1"] * 7))
    rows = data.schema.encode([{"field0": 4, "field1": 17}, {"field0": 99, "field1": "17"}])
    assert rows.sparse.tolist() == [[2, 1], [0, 1]]


def test_only_labels_of_minus_one_and_one_become_clicks(tmp_path):
    for labels, expected, task in [
        (["1", "-1"], [1, 0], "clicks"),
        (["1", "1"], [1, 1], "clicks"),
        (["-1", "-1"], [0, 0], "clicks"),
        (["0", "1"], [0, 1], "clicks"),
        (["0.5", "1"], [0.5, 1], "clicks"),
        (["2", "-1"], [2, -1], "ratings"),
        (["1", "1.5"], [1, 1.5], "ratings"),
        (["-0.5", "1"], [-0.5, 1], "ratings"),
    ]:
        data = read_libfm(write(tmp_path / "a", [f"{label} 3:1" for label in labels] * 7))
        assert data.train.label[:2].tolist() == expected
        assert data.task == task


def test_names_of_tables_say_what_a_line_was(tmp_path):
    for line, names in [
        ("1 3:1 7:1", ["field0", "field1"]),
        ("1 3:1", ["field0"]),
        ("1 2:3:1 5:7:1", ["field2", "field5"]),
    ]:
        assert read_libfm(write(tmp_path / "a", [line] * 7)).feature_names == names
    assert read_libfm(write(tmp_path / "a", ["1 3:1", "1"] * 7)).feature_names == ["features"]


@pytest.mark.parametrize("word", ["1_0", "٣", "1" * 41, "", "+1"])
def test_an_index_is_plain_digits(word, tmp_path):
    with pytest.raises(ValueError, match="line 3: .* is not an index"):
        read_libfm(write(tmp_path / "a", ["1 5:1", "", f"1 {word}:1"]))


@pytest.mark.parametrize("first", [2**53, 10**18, 2**63 - 28, 2**63 - 3, 10**19, 2**64, 10**38])
def test_an_index_of_any_size_is_exact(first, tmp_path):
    path = write(tmp_path / "a", [f"{k % 2} {first + k}:1 7:1" for k in range(28)])
    data = read_libfm(path)
    assert data.table_sizes == [25, 2]
    assert data.train.sparse[:, 0].tolist() == list(range(1, 25))
    rows = pa.table({"field0": [str(first + 3), "5"], "field1": ["7", "7"]})
    assert data.schema.encode(rows).sparse[:, 0].tolist() == [4, 0]


def test_files_number_large_indices_alike(tmp_path):
    small, large = ["1 3:1 5:1", "0 4:1 5:1"], [f"1 {2**64}:1 5:1", "0 3:1 5:1"]
    data = read_libfm(
        write(tmp_path / "a", small),
        write(tmp_path / "b", large),
        write(tmp_path / "c", small),
    )
    assert data.valid.sparse.tolist() == [[0, 1], [1, 1]]


def test_an_index_that_stands_in_its_place_too_has_not_moved(tmp_path):
    data = read_libfm(write(tmp_path / "a", ["1 3:1 7:1", "0 7:1 7:1"] * 7))
    assert data.table_sizes == [3, 2]
    moved = write(tmp_path / "b", ["1 3:1 7:1", "0 7:1 7:1", "0 3:1 7:1", "1 7:1 4:1"])
    with pytest.raises(ValueError, match="line 4: index 7 is feature 1 here, and feature 2 else"):
        read_libfm(moved)


def test_what_is_no_number_is_named(tmp_path):
    with pytest.raises(ValueError, match="line 2: 'inf' is not a number"):
        read_libfm(write(tmp_path / "a", ["1 5:1", "1 5:inf"]))
    with pytest.raises(ValueError, match="line 2: 'x' is not a number"):
        read_libfm(write(tmp_path / "a", ["1 5:1", "x 5:1"]))


def test_an_index_in_two_places_names_line_and_places(tmp_path):
    lines = ["1 3:1 17:1", "", "1 4:1 3:1"]
    with pytest.raises(ValueError, match="line 3: index 3 is feature 2 here, and feature 1 else"):
        read_libfm(write(tmp_path / "a", lines))


def test_the_kind_is_decided_by_the_first_line(tmp_path):
    for lines in (["1 5:1 2:5:1"], ["1 1:2:3:4"], ["1"], ["1 5"]):
        with pytest.raises(ValueError, match="line 1 has no index:value pair"):
            read_libfm(write(tmp_path / "a", lines))


def test_packed_files_are_read_and_damaged_ones_named(tmp_path):
    import gzip

    path = tmp_path / "a.gz"
    packed = gzip.compress(b"1 3:1\n" * 7)
    path.write_bytes(packed)
    assert len(read_libfm(path).train) == 6
    for damaged in (packed[:-5], packed[:12] + b"zzzz" + packed[16:], b"1 3:1\n"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="cannot be unpacked"):
            read_libfm(path)


def test_a_bag_of_an_unknown_index_and_none_at_all(tmp_path):
    train = write(tmp_path / "a", ["1 0:3:1 1:5:2", "0 0:3:1"])
    other = write(tmp_path / "b", ["1 1:6:1 2:9:1", "1 0:2:1"])
    data = read_libfm(train, other, other)
    assert data.table_sizes == [2, 2]
    bags = data.test.sparse
    assert (bags.values.tolist(), bags.offsets.tolist()) == ([0, 0], [0, 0, 1, 2, 2])
    assert bags.weights.tolist() == [1, 1]


def test_indices_are_numbered_by_size_and_as_text_only_where_they_must(tmp_path):
    indices = [9, 10, 100, 126, 127, 1000, 2**62, 2**63 - 1]
    for extra, order in ([], sorted(indices)), ([2**63], sorted([*indices, 2**63], key=str)):
        lines = [f"1 {index}:1 7:1" for index in (*indices, *extra)] * 7
        data = read_libfm(write(tmp_path / "a", lines))
        column = data.schema.columns[0].categories
        assert [int(column.value(k)) for k in range(1, column.size)] == order
        rows = data.schema.encode({"field0": [f"{order[0]}.0", "1000.0"], "field1": ["7", "7"]})
        whole = [1, 1 + order.index(1000)]  # of text nothing is known but its letters
        assert rows.sparse[:, 0].tolist() == ([0, 0] if extra else whole)
