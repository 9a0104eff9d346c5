"""read_libfm."""

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
    lines = [f"{k % 5} {k}:1 3:1" for k in range(14)]
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
        (["1 5:1", "1 5:1 6:1"], "line 2 has not a label and 1 index:value pairs"),
        (["1 5:1", "5:1 6:1"], "line 2"),
        (["hello"], "line 1 has no index:value pair"),
        (["1 5:1", "1 5:x"], "could not convert"),
        (["1 5:1", "1 -5:1"], "line 2 has a bad number"),
        (["1 5:1", "1 5.5:1"], "line 2 has a bad number"),
        (["1 5:1", "nan 5:1"], "line 2 has a bad number"),
    ],
)
def test_malformed_lines_are_named(lines, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_libfm(write(tmp_path / "a", lines))


def test_files_that_are_none(tmp_path):
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
