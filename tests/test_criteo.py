"""read_criteo: formats, splits, vocabulary, cache, and bad lines."""

import gzip
import os

import numpy as np
import pytest

from minidlrm.data import criteo, criteo_text, read_criteo


def lines(n=28, label=True, seed=0):
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(n):
        fields = [str(rng.integers(0, 2))] if label else []
        fields += [str(x) if x > -3 else "" for x in rng.integers(-3, 50, 13)]
        fields += [f"{x:08x}" if x else "" for x in rng.integers(0, 4, 26)]
        out.append(fields)
    return out


def write(path, rows, delimiter="\t"):
    path.write_text("".join(delimiter.join(row) + "\n" for row in rows))
    return path


@pytest.fixture
def read(tmp_path):
    def call(path, **options):
        return read_criteo(path, cache_dir=tmp_path / "cache", progress=False, **options)

    return call


def together(dataset, name):
    parts = (dataset.train, dataset.valid, dataset.test)
    return np.concatenate([np.asarray(getattr(part, name)) for part in parts])


def test_numbers_and_splits(tmp_path, read):
    rows = lines(70)
    clicks = read(write(tmp_path / "a.txt", rows))
    assert [len(part) for part in (clicks.train, clicks.valid, clicks.test)] == [60, 5, 5]
    integers = np.array([[float(x or 0) for x in row[1:14]] for row in rows])
    np.testing.assert_allclose(
        together(clicks, "dense"), np.log1p(np.maximum(integers, 0)), rtol=1e-6
    )
    np.testing.assert_array_equal(together(clicks, "label"), [int(row[0]) for row in rows])


def test_equal_categories_get_equal_ids_and_others_do_not(tmp_path, read):
    rows = lines(70)
    clicks = read(write(tmp_path / "a.txt", rows), min_count=1)
    ids = together(clicks, "sparse")
    for t in range(26):
        words = np.array([row[14 + t] for row in rows])
        seen = words[:60]
        for word in set(words):
            expected = word in seen
            assert (len(set(ids[words == word, t])) == 1) is True
            assert (ids[words == word, t] > 0).all() == expected
        assert len(set(ids[:60, t])) == len(set(seen)) == clicks.table_sizes[t] - 1


def test_the_vocabulary_knows_the_training_rows_only(tmp_path, read):
    rows = lines(28)
    for row in rows[24:]:
        row[14] = "deadbeef"
    clicks = read(write(tmp_path / "a.txt", rows), min_count=1)
    assert (together(clicks, "sparse")[24:, 0] == 0).all()
    assert (together(clicks, "sparse")[:24, 0] > 0).all()


def test_rare_categories_share_the_id_0(tmp_path, read):
    rows = lines(28)
    rows[3][14] = "deadbeef"
    rows[5][14] = rows[6][14] = "cafe"  # twice is enough
    assert (together(read(write(tmp_path / "a.txt", rows)), "sparse")[5:7, 0] > 0).all()
    assert together(read(write(tmp_path / "a.txt", rows)), "sparse")[3, 0] == 0
    assert together(read(tmp_path / "a.txt", min_count=1), "sparse")[3, 0] > 0


def test_hashing_needs_no_vocabulary(tmp_path, read):
    clicks = read(write(tmp_path / "a.txt", lines()), hash_size=7)
    assert clicks.table_sizes == [7] * 26
    assert clicks.vocabulary is None
    assert 0 <= together(clicks, "sparse").min() <= together(clicks, "sparse").max() < 7


def test_gzip_and_a_header_give_the_same(tmp_path, read):
    rows = lines()
    plain = read(write(tmp_path / "a.txt", rows))
    with gzip.open(tmp_path / "a.txt.gz", "wb") as file:
        file.write((tmp_path / "a.txt").read_bytes())
    names = ["label", *(f"I{k}" for k in range(1, 14)), *(f"C{k}" for k in range(1, 27))]
    order = np.random.default_rng(0).permutation(40)
    floats = [[row[0], *(x and x + ".0" for x in row[1:14]), *row[14:]] for row in rows]
    shuffled = [[row[k] for k in order] for row in [names, *floats]]
    write(tmp_path / "a.csv", shuffled, ",")
    for other in (read(tmp_path / "a.txt.gz"), read(tmp_path / "a.csv")):
        for name in ("dense", "sparse", "label"):
            np.testing.assert_array_equal(together(plain, name), together(other, name))


def test_a_file_without_labels_wants_a_vocabulary(tmp_path, read):
    rows = lines()
    train = read(write(tmp_path / "train.txt", rows))
    path = write(tmp_path / "test.txt", [row[1:] for row in rows])
    with pytest.raises(ValueError, match="has no labels: give vocabulary="):
        read(path)
    for vocabulary in (train, train.vocabulary):
        test = read(path, vocabulary=vocabulary)
        assert (len(test.train), len(test.valid), len(test.test)) == (0, 0, 28)
        assert test.test.label is None
        np.testing.assert_array_equal(test.test.sparse, together(train, "sparse"))
        assert test.table_sizes == train.table_sizes
    assert len(read(path, hash_size=5).test) == 28


def test_many_blocks_are_one_file(tmp_path, read, monkeypatch):
    path = write(tmp_path / "a.txt", lines(500))
    whole = read(path)
    monkeypatch.setattr(criteo_text, "_BLOCK_BYTES", 3000)
    monkeypatch.setattr(criteo, "_CHUNK_ROWS", 37)
    parts = read_criteo(path, cache_dir=tmp_path / "other", progress=False)
    for name in ("dense", "sparse", "label"):
        np.testing.assert_array_equal(together(whole, name), together(parts, name))


def test_only_the_first_rows(tmp_path, read, monkeypatch):
    path = write(tmp_path / "a.txt", lines(500))
    monkeypatch.setattr(criteo_text, "_BLOCK_BYTES", 3000)
    clicks = read(path, rows=140)
    assert len(clicks.train) + len(clicks.valid) + len(clicks.test) == 140
    np.testing.assert_array_equal(together(clicks, "label"), together(read(path), "label")[:140])


def test_the_cache_is_used_until_the_file_or_an_option_changes(tmp_path, read):
    path = write(tmp_path / "a.txt", lines())
    entries = lambda: sorted(os.listdir(tmp_path / "cache"))  # noqa: E731
    first = read(path)
    before = entries()
    again = read(path)
    assert entries() == before
    assert len(before) == 1
    np.testing.assert_array_equal(together(first, "sparse"), together(again, "sparse"))
    assert first.vocabulary.digest() == again.vocabulary.digest()
    read(path, min_count=1)
    assert len(entries()) == 2
    write(path, lines(seed=1))
    os.utime(path, ns=(1, 1))
    read(path)
    assert len(entries()) == 3


def test_a_failure_leaves_no_cache_entry(tmp_path, read):
    rows = lines()
    rows[20][5] = "many"
    with pytest.raises(ValueError, match="line 21"):
        read(write(tmp_path / "a.txt", rows))
    assert os.listdir(tmp_path / "cache") == []


FAULTS = [
    (0, "2", "column label: '2' is not 0 or 1"),
    (0, "", "column label: '' is not 0 or 1"),
    (3, "x1", "column I3: 'x1' is not an integer"),
    (3, "1.5", "column I3: '1.5' is not an integer"),
    (3, "nan", "column I3: 'nan' is not an integer"),
    (14, "xyz", "column C1: 'xyz' is not 1 to 8 hexadecimal digits"),
    (39, "123456789", "column C26: '123456789' is not 1 to 8 hexadecimal digits"),
]


@pytest.mark.parametrize("block", [1 << 20, 3000])
@pytest.mark.parametrize(("field", "text", "message"), FAULTS)
def test_a_malformed_field_is_named(field, text, message, block, tmp_path, read, monkeypatch):
    monkeypatch.setattr(criteo_text, "_BLOCK_BYTES", block)
    rows = lines(100)
    rows[76][field] = text
    path = write(tmp_path / "a.txt", rows)
    with pytest.raises(ValueError, match=rf"a.txt: line 77, {message}"):
        read(path)
    with pytest.warns(UserWarning, match="1 malformed lines were skipped"):
        clicks = read(path, on_bad_line="skip")
    assert "99 rows of a.txt, 1 malformed lines skipped" in clicks.description
    labels = [int(row[0]) for k, row in enumerate(rows) if k != 76]
    np.testing.assert_array_equal(together(clicks, "label"), labels)


def test_a_line_of_the_wrong_length_is_named(tmp_path, read):
    rows = lines(30)
    rows[9] = rows[9][:7]
    path = write(tmp_path / "a.txt", rows)
    with pytest.raises(ValueError, match="line 10 has 7 fields, expected 40"):
        read(path)
    with pytest.warns(UserWarning, match="1 malformed lines"):
        assert len(together(read(path, on_bad_line="skip"), "label")) == 29


@pytest.mark.parametrize("header", [False, True])
def test_line_numbers_count_lines_that_were_skipped(header, tmp_path, monkeypatch):
    monkeypatch.setattr(criteo_text, "_BLOCK_BYTES", 3000)
    names = ["label", *(f"I{k}" for k in range(1, 14)), *(f"C{k}" for k in range(1, 27))]
    rows = ([names] if header else []) + lines(100)
    rows[20], rows[40] = ["short"], ["short"]
    rows[21][2] = rows[60][2] = "bad"
    path = write(tmp_path / "a.txt", rows)
    layout = criteo_text.read_layout(path)
    reader = criteo_text.Reader(path, layout, "skip")
    reader_lines = []
    monkeypatch.setattr(
        criteo_text.Reader,
        "_note",
        lambda self, bad, wrong, columns, name, what: reader_lines.extend(
            self._line(self.num_rows + int(k)) for k in np.flatnonzero(wrong)
        ),
    )
    list(reader.blocks())
    assert reader.wrong_width == [21, 41]
    assert reader_lines == [22, 61]


def test_a_blank_line_is_malformed(tmp_path, read):
    rows = lines(30)
    for row in (rows, [row[1:] for row in rows]):
        text = ["\t".join(r) + "\n" for r in row]
        text.insert(5, "\n")
        (tmp_path / "a.txt").write_text("".join(text))
        with pytest.raises(ValueError, match="line 6"):
            read(tmp_path / "a.txt", hash_size=5)


def test_files_that_are_none(tmp_path, read):
    with pytest.raises(FileNotFoundError, match="no file at"):
        read(tmp_path / "none.txt")
    with pytest.raises(FileNotFoundError, match="no file at"):
        read(tmp_path)
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(ValueError, match="is empty"):
        read(tmp_path / "empty.txt")
    (tmp_path / "short.txt").write_text("1\t2\t3\n")
    with pytest.raises(ValueError, match="line 1 has 3 fields: expected 40"):
        read(tmp_path / "short.txt")
    names = ["label", *(f"I{k}" for k in range(1, 14)), *(f"C{k}" for k in range(1, 27))]
    with pytest.raises(ValueError, match="has no rows"):
        read(write(tmp_path / "header.csv", [names], ","))
    assert not (tmp_path / "cache").exists() or os.listdir(tmp_path / "cache") == []


def test_a_truncated_gzip_is_an_error(tmp_path, read):
    data = gzip.compress("".join("\t".join(row) + "\n" for row in lines(5000)).encode())
    for size in (len(data) // 2, len(data) - 4, 20):
        (tmp_path / "a.txt.gz").write_bytes(data[:size])
        with pytest.raises(ValueError, match=r"a.txt.gz cannot be (read|unpacked)"):
            read(tmp_path / "a.txt.gz")
    (tmp_path / "b.txt.gz").write_bytes(b"no gzip at all")
    with pytest.raises(ValueError, match="cannot be unpacked"):
        read(tmp_path / "b.txt.gz")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_count": 0}, "min_count is 0"),
        ({"hash_size": 0}, "hash_size is 0"),
        ({"rows": 0}, "rows is 0"),
        ({"on_bad_line": "ignore"}, "on_bad_line is 'ignore'"),
    ],
)
def test_bad_options_are_named(options, message, tmp_path, read):
    path = write(tmp_path / "a.txt", lines())
    with pytest.raises(ValueError, match=message):
        read(path, **options)


def test_ids_come_from_a_vocabulary_or_from_a_hash(tmp_path, read):
    path = write(tmp_path / "a.txt", lines())
    known = read(path)
    with pytest.raises(ValueError, match="vocabulary and hash_size exclude each other"):
        read(path, vocabulary=known, hash_size=5)
    for vocabulary in (5, [known.vocabulary]):
        with pytest.raises(TypeError, match="give a Dataset or a Vocabulary"):
            read(path, vocabulary=vocabulary)
    with pytest.raises(ValueError, match="hash_size is 2147483648: ids are int32"):
        read(path, hash_size=2**31)


def test_the_real_sample(real_data, read):
    clicks = read(real_data / "criteo-sample" / "train_2000.txt")
    assert [len(part) for part in (clicks.train, clicks.valid, clicks.test)] == [1713, 143, 143]
    np.testing.assert_allclose(clicks.train.dense[0, :4], np.log1p([1, 1, 5, 0]), rtol=1e-6)
    assert 0.15 < clicks.train.label.mean() < 0.35
    assert clicks.table_sizes[8] == 3  # C9 has few categories
    small = read(real_data / "criteo-sample" / "criteo_sample.csv")
    assert sum(len(part) for part in (small.train, small.valid, small.test)) == 200


# Files as people have them


NAMES = ["label", *(f"I{k}" for k in range(1, 14)), *(f"C{k}" for k in range(1, 27))]


@pytest.mark.parametrize("label", ["label", "Label", "click"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_byte_order_mark_or_another_name_keeps_the_labels(label, mark, tmp_path, read):
    path = write(tmp_path / "a.csv", [[label, *NAMES[1:]], *lines()], ",")
    path.write_bytes(mark + path.read_bytes())
    for options in ({}, {"hash_size": 9}):
        clicks = read(path, **options)
        assert len(clicks.train) == 24
        assert clicks.test.label is not None


def test_a_column_that_may_be_the_label_is_asked_for(tmp_path, read):
    path = write(tmp_path / "a.csv", [["y", *NAMES[1:]], *lines()], ",")
    with pytest.raises(ValueError, match=r"which column is the label\? There are y beside"):
        read(path)
    path = write(tmp_path / "b.csv", [[*NAMES, "C1"], *[[*row, "ff"] for row in lines()]], ",")
    with pytest.raises(ValueError, match="has the column C1 more than once"):
        read(path)


def test_a_header_may_have_no_label(tmp_path, read):
    rows = [row[1:] for row in lines()]
    headed = read(write(tmp_path / "a.csv", [NAMES[1:], *rows], ","), hash_size=5)
    plain = read(write(tmp_path / "b.csv", rows, ","), hash_size=5)
    assert headed.test.label is None
    np.testing.assert_array_equal(headed.test.sparse, plain.test.sparse)


def test_two_columns_that_may_be_the_label_are_asked_for(tmp_path, read):
    rows = [["click", *NAMES], *[["1", *row] for row in lines()]]
    with pytest.raises(ValueError, match="which column is the label"):
        read(write(tmp_path / "a.csv", rows, ","))
    path = write(tmp_path / "b.csv", [["id", *NAMES], *[["7", *row] for row in lines()]], ",")
    assert read(path).train.label is not None


def test_a_label_may_be_missing_in_the_last_row_alone(tmp_path, read):
    for n, bad in ((28, 27), (28, 0), (1, 0)):
        rows = lines(n)
        rows[bad][0] = ""
        with pytest.raises(ValueError, match=f"line {bad + 1}, column label: '' is not 0 or 1"):
            read(write(tmp_path / "a.txt", rows))


@pytest.mark.parametrize("beside", ["5", "26.0"])
def test_a_hexadecimal_integer_is_an_error_beside_any_other(beside, tmp_path, read):
    rows = lines(40)
    rows[3][2], rows[30][2] = beside, "0x1F"
    with pytest.raises(ValueError, match="line 31, column I2: '0x1F' is not an integer"):
        read(write(tmp_path / "a.txt", rows))


def test_a_short_line_that_is_not_text(tmp_path, read):
    path = write(tmp_path / "a.txt", lines(30))
    data = path.read_bytes().split(b"\n")
    data[9] = b"1\t5\t\xff\xfe"
    path.write_bytes(b"\n".join(data))
    with pytest.raises(ValueError, match=r"line 10 has 3 fields, expected 40: .1.t5"):
        read(path)
    with pytest.warns(UserWarning, match="1 malformed lines"):
        assert len(together(read(path, on_bad_line="skip"), "label")) == 29


def test_ids_are_int32_or_refused(tmp_path, read):
    path = write(tmp_path / "a.txt", lines())
    with pytest.raises(ValueError, match="hash_size is 3000000000: ids are int32"):
        read(path, hash_size=3 * 10**9)
    assert read(path, hash_size=2**31 - 1).train.sparse.min() >= 0


def test_a_changed_file_of_the_same_size_and_time_is_read_anew(tmp_path, read):
    rows = lines()
    path = write(tmp_path / "a.txt", rows)
    before, stat = together(read(path), "label"), path.stat()
    write(path, [[str(1 - int(row[0])), *row[1:]] for row in rows])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    np.testing.assert_array_equal(together(read(path), "label"), 1 - before)


@pytest.mark.parametrize("name", ["meta.json", "sparse.bin", "dense.bin", "values3.bin"])
def test_a_damaged_cache_is_made_anew_with_a_word(name, tmp_path, read):
    path = write(tmp_path / "a.txt", lines())
    expected = together(read(path), "sparse")
    (entry,) = (tmp_path / "cache").iterdir()
    data = bytearray((entry / name).read_bytes())
    data[len(data) // 2] ^= 1
    (entry / name).write_bytes(data)
    with pytest.warns(UserWarning, match="is damaged .* made anew") as caught:
        again = read_criteo(path, cache_dir=tmp_path / "cache", progress=False)
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(together(again, "sparse"), expected)


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    path = write(tmp_path / "a.txt", lines())
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot be written .* give another as cache_dir="):
        read_criteo(path, cache_dir=tmp_path / "file" / "cache", progress=False)


def test_a_folder_is_said_to_be_one(tmp_path, read):
    with pytest.raises(FileNotFoundError, match="it is a folder"):
        read(tmp_path)


def test_the_schema_encodes_raw_rows_as_the_reader_does(tmp_path, read):
    rows = lines(70)
    clicks = read(write(tmp_path / "a.txt", rows))
    table = [dict(zip(NAMES, row, strict=True)) for row in rows]
    batch = clicks.schema.encode(table)
    np.testing.assert_array_equal(batch.sparse, together(clicks, "sparse"))
    np.testing.assert_array_equal(batch.dense, together(clicks, "dense"))
    np.testing.assert_array_equal(batch.label, together(clicks, "label"))
    table[0]["C3"] = "xyz"
    with pytest.raises(ValueError, match="column C3: 'xyz' is not 1 to 8 hexadecimal digits"):
        clicks.schema.encode(table)


@pytest.mark.parametrize("options", [{}, {"hash_size": 9}])
def test_each_bar_ends_where_it_said(options, tmp_path, monkeypatch):
    import tqdm.auto

    monkeypatch.setattr(criteo_text, "_BLOCK_BYTES", 1000)
    monkeypatch.setattr(criteo, "_CHUNK_ROWS", 30)
    bars = []

    class Bar(tqdm.auto.tqdm):
        def close(self):
            bars.append(self)
            super().close()

    monkeypatch.setattr(tqdm.auto, "tqdm", Bar)
    path = write(tmp_path / "a.txt", lines(100))
    read_criteo(path, cache_dir=tmp_path / "cache", progress=True, **options)
    expected = [path.stat().st_size, *([] if options else [26]), 100]
    ends = dict.fromkeys((id(bar), bar.n, bar.total) for bar in bars)  # a bar is closed twice
    assert [end[1:] for end in ends] == [(total, total) for total in expected]
    assert not any(bar.leave for bar in bars)


def test_a_warning_points_to_the_line_that_reads(tmp_path, read):
    rows = lines()
    rows[3][0] = "many"
    path = write(tmp_path / "a.txt", rows)
    with pytest.warns(UserWarning, match="1 malformed lines were skipped") as caught:
        read_criteo(path, on_bad_line="skip", cache_dir=tmp_path / "cache", progress=False)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("show", [True, False])
def test_progress_is_shown_or_not(show, tmp_path, capsys):
    path = write(tmp_path / "a.txt", lines())
    read_criteo(path, cache_dir=tmp_path / "cache", progress=show)
    shown = capsys.readouterr().err
    assert [word in shown for word in ("reading", "counting categories", "encoding")] == [show] * 3


def test_an_entry_of_the_cache_has_the_name_that_it_had(tmp_path, read):
    """An earlier run's entry is found again. Who changes the form raises the version, and this."""
    rows = [[str(k % 2), *[str(k)] * 13, *[f"{k % 3:08x}"] * 26] for k in range(28)]
    path = write(tmp_path / "a.txt", rows)
    read(path)
    read(path, hash_size=5, rows=20, on_bad_line="skip")
    found = sorted(os.listdir(tmp_path / "cache"))
    assert found == [
        "criteo-6faa2d2e0898238b8695428f",
        "criteo-9c6120e534bb6e5f0966da68",
    ]


def test_plain_integers_take_the_quick_way_and_others_do_not(monkeypatch):
    pc = pytest.importorskip("pyarrow.compute")
    import pyarrow as pa

    calls, match = [], pc.match_substring_regex
    monkeypatch.setattr(
        pc, "match_substring_regex", lambda *given: calls.append(1) or match(*given)
    )
    for words, slow in [(["1", "", "-20"], 0), (["", ""], 0), (["1", "2.0"], 1), (["0x1F"], 1)]:
        calls.clear()
        numbers, _, missing = criteo_text._parse_integers(pa.array(words))
        assert len(calls) == slow
        assert numbers.tolist() == [0 if w in ("", "0x1F") else float(w) for w in words]
        assert missing.tolist() == [w == "" for w in words]
