"""A2: embeddings."""

from itertools import pairwise

import numpy as np
import pytest

from minidlrm.checking import Fingerprint
from minidlrm.grading.judge import catches, gradient, personal, same
from minidlrm.grading.known import compare

task = pytest.mark.task
OWN = "bag_forward"


def bag_of(offsets):
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def bag_forward(W, values, offsets, alpha):
    y = np.zeros((len(offsets) - 1, W.shape[1]), np.result_type(W, alpha))
    np.add.at(y, bag_of(offsets), alpha[:, None] * W[values])
    return y


def scatter_add(table, rows, terms):
    table = table.copy()
    np.add.at(table, rows, terms)
    return table


def bag_mistakes(W, values, offsets, alpha):
    """Return what known mistakes make of the weighted sums of bags."""
    lengths, bag, terms = np.diff(offsets), bag_of(offsets), alpha[:, None] * W[values]
    right = bag_forward(W, values, offsets, alpha)
    one_id = np.zeros_like(right)
    one_id[bag] = terms
    short, as_set, next_id = np.zeros_like(right), np.zeros_like(right), right.copy()
    for b, (start, stop) in enumerate(pairwise(offsets)):
        short[b] = terms[start : stop - 1].sum(axis=0)
        ids = np.unique(values[start:stop])
        as_set[b] = alpha[start : start + len(ids)] @ W[ids]
        if start == stop < len(terms):
            next_id[b] = terms[start]
    return [
        ("each bag gets the mean of its ids, not the sum", right / np.maximum(lengths, 1)[:, None]),
        ("the weights alpha are left out", bag_forward(W, values, offsets, np.ones_like(alpha))),
        ("only the last id of each bag counts", one_id),
        ("the last id of each bag is left out", short),
        ("the ids of a bag are taken as a set: their order and their repeats are lost", as_set),
        ("an empty bag gets the first id of the next bag", next_id),
        ("empty bags have no row in y", right[lengths > 0]),
        ("each id has a row of its own, and no bag is summed", terms),
    ]


def scatter_mistakes(table, rows, terms):
    """Return what known mistakes make of a scatter-add: those planted below, and some more."""

    def kept(rows, terms):
        return scatter_add(table, rows, terms)

    columns = np.arange(table.shape[1])
    first_term = np.broadcast_to(terms[:1], terms.shape)
    return [
        ("nothing is added", table),
        ("the first term is left out", kept(rows[1:], terms[1:])),
        ("the first column is left out", kept(rows, terms * (columns > 0))),
        ("the last column is left out", kept(rows, terms * (columns < columns[-1]))),
        (
            "term i goes to row i, not to row rows[i]",
            kept(np.arange(len(rows)) % len(table), terms),
        ),
        ("the first term is added for every one", kept(rows, first_term)),
        ("each term is added twice", kept(rows, 2 * terms)),
        *((story, wrong(table, rows, terms)) for story, wrong in _planted()),
    ]


def _without_weights(target, dy, W, values, offsets, alpha):
    dW = np.zeros_like(W)
    np.add.at(dW, values, dy[bag_of(offsets)])
    return {"W": dW}


def _weights_again(target, dy, W, values, offsets, alpha):
    return {"alpha": alpha * np.sum(dy[bag_of(offsets)] * W[values], axis=1)}


def _last_use(target, dy, W, values, offsets, alpha):
    dW = np.zeros_like(W)
    dW[values] = alpha[:, None] * dy[bag_of(offsets)]
    return {"W": dW}


FINGERPRINTS = [
    Fingerprint("weight_missing", _without_weights, "dW has the bags' gradients without alpha"),
    Fingerprint(
        "duplicates", _last_use, "of a row that is looked up more than once, the last use counts"
    ),
]
WEIGHTS = [
    Fingerprint(
        "weight_again",
        _weights_again,
        "the gradient of alpha_i has the factor alpha_i itself",
        title="the weight appears in its own gradient",
        hint="y is linear in alpha: its derivative by alpha_i has no alpha_i left.",
    )
]


@pytest.fixture
def bags(rng):
    """A table, and bags with repeats inside and across, an empty one, and rows of no use."""
    lengths = rng.permutation([3, 2, 1, 4, 0, int(rng.integers(1, 4))])
    if lengths[-1] == 0:  # an empty bag at the end has its own test
        lengths = lengths[::-1]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    values = rng.integers(0, 6, offsets[-1])
    first = int(np.argmax(lengths))
    values[offsets[first] : offsets[first] + 2] = 5  # twice in one bag
    return rng.normal(size=(8, 3)), values, offsets, rng.normal(size=len(values))


def _compare_bags(student, *bags):
    compare("y", student.call("bag_forward", *bags), bag_forward(*bags), bag_mistakes(*bags))


@task("A2.2", title="bags of different lengths")
def test_forward(student, rng):
    W, values = rng.normal(size=(7, 4)), rng.permutation(7)[:6]
    values[1:4] = np.sort(values[1:4])[::-1]  # an order that a set does not keep
    offsets, alpha = np.array([0, 1, 4, 6]), rng.normal(size=6)
    _compare_bags(student, W, values, offsets, alpha)


@task("A2.2", title="an empty bag gives zeros, also the first and the last")
def test_forward_of_empty_bags(student, rng):
    W, values, alpha = rng.normal(size=(5, 3)), np.array([1, 4, 2]), rng.normal(size=3)
    offsets = np.array([0, 0, 2, 2, 3, 3])
    _compare_bags(student, W, values, offsets, alpha)


@task("A2.2", title="ids that repeat count each time")
def test_forward_of_repeats(student, bags):
    _compare_bags(student, *bags)


@task("A2.3", title="dW where every id is used once")
def test_backward_of_distinct_ids(student, rng):
    W, values = rng.normal(size=(7, 3)), rng.permutation(7)[:5]
    offsets, alpha = np.array([0, 2, 3, 5]), rng.normal(size=5)
    dy = rng.normal(size=(3, 3))
    expected = np.zeros_like(W)
    np.add.at(expected, values, alpha[:, None] * dy[bag_of(offsets)])
    answer = student.call("bag_backward", dy, W, values, offsets, alpha)
    same("dW", answer[0] if isinstance(answer, list) and answer else answer, expected)


@task("A2.3", weight=2, title="dW with ids that repeat, in a bag and across bags")
def test_backward_of_repeats(student, bags):
    wrong = FINGERPRINTS
    gradient(student, "bag_backward", bag_forward, *bags, only=["W"], fingerprints=wrong, own=OWN)


@task("A2.3", weight=2, title="the gradient of the weights")
def test_backward_of_weights(student, bags):
    wrong = WEIGHTS
    gradient(
        student, "bag_backward", bag_forward, *bags, only=["alpha"], fingerprints=wrong, own=OWN
    )


@task("A2.4", weight=2, title="the loop adds every term, repeats too")
def test_scatter(student, rng):
    table, rows = rng.normal(size=(6, 3)), rng.integers(0, 6, 20)
    rows[7] = rows[6]  # a repeat next to the first, whatever the seed
    arrays = table, rows, rng.normal(size=(20, 3))
    answer = student.call("scatter_add", *arrays)
    compare("the table", answer, scatter_add(*arrays), scatter_mistakes(*arrays))


@task("A2.4", title="no terms, and rows of size 1")
def test_scatter_at_the_edges(student, rng):
    table = rng.normal(size=(4, 1))
    nothing = np.zeros(0, np.int64), np.zeros((0, 1))
    same("the table", student.call("scatter_add", table, *nothing), table)
    rows, terms = np.array([3, 3, 0]), np.ones((3, 1))
    answer = student.call("scatter_add", table, rows, terms)
    same("the table", answer, scatter_add(table, rows, terms))


@task("A2.5", title="your own number")
def test_my_share(student, student_id):
    ids = np.minimum(personal(student_id, "A2.5").zipf(1.3, 2000) - 1, 999)
    count = np.unique(ids, return_counts=True)[1]
    once = np.sum(count == 1)
    wrong = [
        ("this is a share of all ids, not of the distinct ones", once / len(ids)),
        ("this is a share of all rows of the table, also of those that do not occur", once / 1000),
        ("this is the share of the rows that occur more than once", np.mean(count > 1)),
        ("this is the number of the rows, not their share", once),
        ("this is the share of the distinct ids among all ids", len(count) / len(ids)),
        ("this is a percentage, not a share", 100 * np.mean(count == 1)),
    ]
    compare("the share", student.call("my_share"), np.mean(count == 1), wrong, 1e-5, tell=False)


def _planted():
    def last_wins(table, rows, terms):
        table = table.copy()
        table[rows] += terms
        return table

    def overwrites(table, rows, terms):
        table = table.copy()
        table[rows] = terms
        return table

    def first_only(table, rows, terms):
        table = table.copy()
        unique, first = np.unique(rows, return_index=True)
        table[unique] += terms[first]
        return table

    def from_zero(table, rows, terms):
        return scatter_add(np.zeros_like(table), rows, terms)

    def mean_of_repeats(table, rows, terms):
        sums, count = scatter_add(0 * table, rows, terms), np.bincount(rows, minlength=len(table))
        return table + sums / np.maximum(count, 1)[:, None]

    def neighbours(table, rows, terms):
        keep = np.concatenate([[True], rows[1:] != rows[:-1]])[: len(rows)]
        return scatter_add(table, rows[keep], terms[keep])

    return [
        ("of repeats the last one wins", last_wins),
        ("the row is overwritten", overwrites),
        ("of repeats the first one counts", first_only),
        ("the table's own values are lost", from_zero),
        ("repeats are averaged", mean_of_repeats),
        ("a repeat next to the first is lost", neighbours),
        ("row 0 is forgotten", lambda t, r, x: scatter_add(t, r[r > 0], x[r > 0])),
        ("the last row is forgotten", lambda t, r, x: scatter_add(t, r[r < 5], x[r < 5])),
        ("the terms are subtracted", lambda t, r, x: scatter_add(t, r, -x)),
        ("the last term is forgotten", lambda t, r, x: scatter_add(t, r[:-1], x[:-1])),
    ]


@task("A2.6", weight=4, title="your test finds planted mistakes")
def test_the_test(student, order, earn):
    def verdict(candidate):
        return student.call("is_scatter_add", candidate)

    catches(verdict, [scatter_add], _planted(), order, earn)
