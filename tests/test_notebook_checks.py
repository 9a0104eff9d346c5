"""The checks of the notebooks explain what a person may answer, and name an entry that is wrong."""

import ast
from pathlib import Path

import numpy as np
import pytest

import minidlrm as md
from minidlrm.languages import say, tell

jupytext = pytest.importorskip("jupytext", reason="jupytext is not installed: no notebooks")

FOLDER = Path(__file__).parent.parent / "notebooks"
VALUES, OFFSETS = np.array([0, 2, 5, 2, 2, 1]), np.array([0, 3, 3, 6])
TABLE = np.random.default_rng(0).normal(size=(7, 4))


def check_of(notebook, name, **variables):
    """Return a check of a notebook, without running the rest of it."""
    cells = jupytext.read(next(FOLDER.glob(f"{notebook}_*.py"))).cells
    text = next(c.source for c in cells if c.cell_type == "code" and f"def {name}(" in c.source)
    kept = [f for f in ast.parse(text).body if getattr(f, "name", "") == name]
    namespace = {"np": np, "md": md, "say": say, "tell": tell, **variables}
    exec(compile(ast.Module(kept, []), notebook, "exec"), namespace)
    return namespace[name]


class Layer:
    """An embedding layer whose second bag is empty."""

    @staticmethod
    def forward(values, offsets, alpha):
        y = np.zeros((len(offsets) - 1, 4))
        np.add.at(y, np.repeat(np.arange(3), np.diff(offsets)), alpha[:, None] * TABLE[values])
        return y


def test_the_bag_that_is_wrong_is_shown(capsys):
    alpha = np.arange(1.0, 7.0)
    names = {"layer": Layer, "W": TABLE, "values": VALUES, "offsets": OFFSETS, "alpha": alpha}
    check = check_of("01", "check_weighted", **names)
    check(lambda W, v, o, a: np.add.reduceat(a[:, None] * W[v], o[:-1]))  # empty: the next id
    assert "not yet: y[1] is" in capsys.readouterr().out
    check(lambda *inputs: Layer.forward(*inputs[1:])[:, 0])
    assert "y has the shape (3,), and should have (3, 4)" in capsys.readouterr().out


def test_the_row_whose_table_is_wrong_is_shown(capsys):
    starts = np.array([0, 4, 7, 9])
    check = check_of("01", "check_table_and_id", starts=starts)

    def side_left(rows, starts):
        table = np.searchsorted(starts, rows)
        return table, rows - starts[table]

    check(side_left)
    assert "table[1] is 1, and should be 0" in capsys.readouterr().out
    check(lambda rows, starts: (np.array([0, 0, 1, 1, 2, 2]), rows / 1))
    assert "whole numbers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda rows, terms: (rows, terms), "rows has the shape (4,), and should have (3,)"),
        (lambda rows, terms: ([8, 3, 5], terms[:3]), "rows[0] is 8, and should be 3"),
        (lambda rows, terms: (np.unique(rows), terms[:3]), "sums[0] is [0. 1.]"),
        (lambda rows, terms: np.unique(rows), "the function should return 2 values: rows, sums"),
    ],
)
def test_the_rows_of_a_sparse_gradient_are_sorted_and_occur_once(answer, words, capsys):
    check_of("01", "check_coalesce")(answer)
    assert words in capsys.readouterr().out


SHAPES = {"dense": (5, 3), "x": [5, 2], "z": (5, 7, 2), "pairs": (5, 21), "top input": (5, 23)}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"logit": 5}, "right: the shapes are the library's"),
        ({"logit": (5,), "pairs": (5, 21.0)}, "divide with //"),
        ({"logit": (5, 1)}, "logit has the shape (5,), and you say (5, 1)"),
        ({"logit": None}, "and you say None"),
    ],
)
def test_a_shape_may_be_a_list_and_its_sizes_are_whole(changed, words, capsys):
    check_of("05", "check_shapes")(lambda **sizes: SHAPES | changed)
    assert words in capsys.readouterr().out


def test_two_pairs_that_share_a_number_are_shown(capsys):
    every_i, every_j = np.divmod(np.arange(12), 3)
    check = check_of("07", "check_crosses", N_i=4, N_j=3, every_i=every_i, every_j=every_j)
    check(lambda i, j: i + j)
    assert "the pairs (0, 2) and (1, 1) have the same number, 2" in capsys.readouterr().out
    check(lambda i, j: i * 3 + j + 1)
    assert "the numbers must be 0 to 11" in capsys.readouterr().out


def test_one_dimension_for_two_is_explained(capsys):
    check_of("07", "check_top")(lambda F, D: np.ones(D + F * (F - 1) // 2))
    assert "W has the shape (9,), and should have (1, 9)" in capsys.readouterr().out
    check_of("09", "check_quantize")(lambda table: (table, np.abs(table).max(axis=1)))
    assert "s has the shape (200,), and should have (200, 1)" in capsys.readouterr().out


def test_scores_that_overflow_are_explained(capsys):
    check = check_of("02", "check_probability")
    check(lambda s: np.exp(s) / (1 + np.exp(s)))
    assert "np.exp got a large number" in capsys.readouterr().out
    check(lambda s: s)
    assert "not yet: p[0] is" in capsys.readouterr().out


def test_the_genre_that_got_too_much_is_shown(capsys):
    def alike(u, i, rest, G, num_users):
        total, weight = np.zeros((num_users, G.shape[1])), np.zeros((num_users, G.shape[1]))
        np.add.at(weight, u, G[i])
        np.add.at(total, u, rest[:, None])
        return total / (5 + weight)

    check_of("02", "check_tastes")(alike)
    assert "not yet: taste[0] is" in capsys.readouterr().out


TRACE = [1, 2, 3, 4, 5, 3, 4, 1, 1, 6, 3]


def of_traces(name):
    names = ("stack_distances", "lru_misses")
    functions = {each: getattr(md.data, each) for each in names}
    return check_of("11", name, TRACE=TRACE, rng=np.random.default_rng(0), **functions)


def test_the_distance_and_the_cache_that_are_wrong_are_shown(capsys):
    of_traces("check_distances")(lambda trace: [0] * len(trace))
    assert "distances[5] is 0, and should be 3" in capsys.readouterr().out
    of_traces("check_misses")(lambda trace, size: len(set(trace)))
    assert "with a cache of 1 has 10 misses, not 6" in capsys.readouterr().out
    of_traces("check_draw")(lambda d, stack, new: 1)
    assert "look-up 1 reads row 1, and should read 2" in capsys.readouterr().out
    check = check_of("11", "check_rows", stack_distances=md.data.stack_distances, tables={})
    check(lambda distances, goal: 40)
    assert "with goal 0.8 you say 40, and it should be 1" in capsys.readouterr().out
