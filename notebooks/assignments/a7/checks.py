"""A7: across machines."""

import math
from functools import reduce
from operator import add

import numpy as np
import pytest

from minidlrm.grading.assignment import solutions
from minidlrm.grading.judge import Wrong, catches, numbers, personal
from minidlrm.grading.known import compare
from minidlrm.languages import Message, as_message
from minidlrm.languages import joined as put_together

task = pytest.mark.task
R = 4
_SOURCE = solutions(__file__)
all_to_all, butterfly = _SOURCE.all_to_all, _SOURCE.butterfly


def each_rank(name, value, right, wrong=()):
    """Compare what each rank has; a known mistake is named when it gives what all of them have."""
    if value is None:
        compare(name, value, 0)
    got = value if isinstance(value, list) else list(np.atleast_1d(value))
    if len(got) != len(right):
        words = Message(
            "{name} should be a list of {number} arrays, one for each rank",
            name=as_message(name),
            number=len(right),
        )
        raise Wrong(words, "no list of arrays")
    got = [numbers(_of_rank(name, r), each) for r, each in enumerate(got)]
    fits = [(story, other) for story, other in wrong if _alike(got, other)]
    for r, (mine, each) in enumerate(zip(got, right, strict=True)):
        compare(_of_rank(name, r), mine, each, [(story, other[r]) for story, other in fits])


def _of_rank(name, rank):
    return put_together([as_message(name), f"[{rank}]"])


def _alike(got, other):
    return len(got) == len(other) and all(
        mine.shape == np.shape(each) and np.allclose(mine, each)
        for mine, each in zip(got, other, strict=True)
    )


# All to all


def parts_of(x, counts):
    return [np.split(rows, np.cumsum(c)[:-1]) for rows, c in zip(x, counts, strict=True)]


def joined(parts, choose):
    """Return what each rank r has, made of choose(parts, r)."""
    return [np.concatenate(choose(parts, r)) for r in range(R)]


def moves(x, counts):
    """Return what known mistakes make of an all-to-all."""
    parts = parts_of(x, counts)
    equal = [np.array_split(rows, R) for rows in x]
    first = [[x[s][: counts[s, r]] for r in range(R)] for s in range(R)]
    turned = parts_of(x, counts.T)
    return [
        ("nothing moves: each rank keeps what it has", x),
        ("counts[r, s] is taken for the rows from s to r: counts is turned", joined(turned, _to)),
        (
            "what a rank sends to itself is left out",
            joined(parts, lambda p, r: [p[s][r] for s in range(R) if s != r]),
        ),
        (
            "the senders are in the wrong order, the last one first",
            joined(parts, lambda p, r: [p[s][r] for s in range(R)][::-1]),
        ),
        (
            "the senders are in the wrong order, the rank itself first",
            joined(parts, lambda p, r: [p[(r + k) % R][r] for k in range(R)]),
        ),
        ("every rank gets everything: this is an all-gather", [np.concatenate(x)] * R),
        ("counts is not used: each rank's rows are cut into equal parts", joined(equal, _to)),
        ("every part begins at the first row of x[s]", joined(first, _to)),
        ("rank r gets what is meant for rank r + 1", joined(parts, lambda p, r: _to(p, r - R + 1))),
        ("only the rows of rank 0 arrive", [parts[0][r] for r in range(R)]),
    ]


def _to(parts, r):
    return [parts[s][r] for s in range(R)]


def uneven(rng):
    """Return counts that are not symmetric; all ranks have the same number of rows, after too."""
    shares = rng.permutation([1, 2, 4, 5])
    return np.array([np.roll(shares, s) for s in range(R)])


def rows_for(rng, counts):
    return [rng.normal(size=(int(n), 2)) for n in counts.sum(axis=1)]


@task("A7.2", title="each row goes to its rank, in the order of the senders")
def test_all_to_all(student, rng):
    counts = uneven(rng)
    x = rows_for(rng, counts)
    answer = student.call("all_to_all", x, counts)
    each_rank("y", answer, all_to_all(x, counts), moves(x, counts))


@task("A7.2", title="any counts, also 0")
def test_all_to_all_of_any_counts(student, rng):
    counts = rng.integers(1, 6, (R, R))
    counts[rng.permutation(R), np.arange(R)] = 0
    counts[0] += np.array([1, 0, 3, 2])
    x = rows_for(rng, counts)
    answer = student.call("all_to_all", x, counts)
    each_rank("y", answer, all_to_all(x, counts), moves(x, counts))


def moves_back(dy, counts):
    """Return what known mistakes make of its backward pass."""
    right = all_to_all(dy, counts.T)
    back = parts_of(dy, counts.T)
    return [
        ("counts is not turned: rows go on, and not back", all_to_all(dy, counts)),
        ("nothing moves: each rank keeps what arrives", dy),
        ("the gradient is divided by the number of ranks", [each / R for each in right]),
        (
            "what a rank has sent to itself gets no gradient",
            [np.concatenate([back[r][s] * (r != s) for r in range(R)]) for s in range(R)],
        ),
        (
            "the parts of a rank's rows are in the wrong order, the last one first",
            [np.concatenate([back[r][s] for r in range(R)][::-1]) for s in range(R)],
        ),
        *moves(dy, counts.T),
    ]


def _follows(student, dx, dy, counts, rng):
    """Whether dx is the gradient of the student's own all_to_all, which has a foreseen slip."""
    if "all_to_all" not in getattr(student, "slips", {}):
        return False
    try:
        for _ in range(3):
            x = rows_for(rng, counts)
            y = student.call("all_to_all", x, counts)
            ahead, back = (
                sum(float(np.vdot(a, b)) for a, b in zip(*both, strict=True))
                for both in ((y, dy), (x, dx))
            )
            if not np.isclose(ahead, back):
                return False
    except Exception:
        return False
    student.credits.append(Message("it is the gradient of your own {name}", name="all_to_all"))
    return True


def _back(student, rng, counts):
    dy = [rng.normal(size=(int(n), 2)) for n in counts.sum(axis=0)]
    answer = student.call("all_to_all_backward", dy, counts)
    try:
        each_rank("dx", answer, all_to_all(dy, counts.T), moves_back(dy, counts))
    except Wrong:
        if not _follows(student, answer, dy, counts, rng):
            raise


@task("A7.3", title="each gradient goes back to where its row came from", builds_on="all_to_all")
def test_back(student, rng):
    _back(student, rng, uneven(rng))


@task("A7.3", title="any counts", builds_on="all_to_all")
def test_back_of_any_counts(student, rng):
    _back(student, rng, rng.integers(1, 6, (R, R)) + np.triu(np.ones((R, R), int)))


# The butterfly


def sums(x):
    """Return what known mistakes make of the sum on each rank."""
    n = len(x)

    def halves(distances, x):
        for d in distances:
            x = [x[r] + x[r ^ d] for r in range(n)]
        return x

    in_place = list(x)
    for d in (1, 2, 4):
        for r in range(n):
            in_place[r] = in_place[r] + in_place[r ^ d]
    tree = halves((1, 2, 4), x)
    return [
        ("the terms are added from left to right, not as a tree", [reduce(add, x)] * n),
        ("the terms are added from right to left, not as a tree", [reduce(add, x[::-1])] * n),
        ("each rank begins with its own term", [reduce(add, [*x[r:], *x[:r]]) for r in range(n)]),
        (
            "ranks that are far apart swap first: the tree has other pairs",
            halves((4, 2, 1), x),
        ),
        ("only the first round is done", halves((1,), x)),
        ("the last round is missing", halves((1, 2), x)),
        ("a rank sends what it has already added up in the same round", in_place),
        ("the sum is divided by the number of ranks", [each / n for each in tree]),
        ("only rank 0 has the sum", [tree[0], *x[1:]]),
        ("the sum is rounded once, as no tree of two-term sums is", [_exact(x)] * n),
        ("nothing is added: each rank keeps its own", x),
    ]


def _exact(x):
    sums = [math.fsum(column) for column in np.reshape(x, (len(x), -1)).T]
    return np.reshape(sums, x[0].shape)


@task("A7.4", title="the sum, on every rank")
def test_butterfly(student, rng):
    x = [rng.normal(size=(2, 3)) for _ in range(8)]
    each_rank("y", student.call("butterfly", x), butterfly(x), sums(x)[4:])


@task("A7.4", title="in the order of the tree")
def test_order_of_the_butterfly(student, rng):
    large = 2.0**60
    columns = [rng.permutation([large, -large, 3, 5, 7, 11, 13, 17]) for _ in range(16)]
    x = list(np.array(columns).T)
    each_rank("y", student.call("butterfly", x), butterfly(x), sums(x))


@task("A7.4", title="the same bits on every rank")
def test_bits_of_the_butterfly(student, rng):
    x = [rng.normal(size=100) for _ in range(8)]
    answer = student.call("butterfly", x)
    each_rank("y", answer, butterfly(x), sums(x)[4:])
    for r in range(1, 8):
        differ = np.flatnonzero(np.asarray(answer[r]) != np.asarray(answer[0]))
        if differ.size:
            k = differ[0]
            raise Wrong(
                Message(
                    "rank {rank} has {value} where rank 0 has {other}: the ranks add in different "
                    "orders, so the last bits differ",
                    rank=r,
                    value=f"{answer[r][k]:.17g}",
                    other=f"{answer[0][k]:.17g}",
                ),
                "the bits depend on the rank",
                True,
            )


# Split by row


class Meeting:
    """What one rank has, what it should exchange with the others, and what it did.

    Each rank has three ids of each other one, one of them twice. `exchange` gives this rank what
    right ranks would send.
    """

    def __init__(self, rng, backward=False):
        q, rows = int(rng.integers(R)), 3
        everyones = np.array([_ids(rng, rows) for _ in range(R)])  # (R, 12)
        table, dy = rng.normal(size=(R * rows, 2)), rng.normal(size=(*everyones.shape, 2))
        self.ids, self.shard, self.dy, self.sent = everyones[q], table[q::R], dy[q], []
        self.y, dtable = table[self.ids], np.zeros_like(table)
        np.add.at(dtable, everyones.ravel(), dy.reshape(-1, 2))
        self.dshard = dtable[q::R]
        self.asks = [self.ids[self.ids % R == r] // R for r in range(R)]
        self.asked = [ids[ids % R == q] // R for ids in everyones]
        self.grads = [each[ids % R == q] for each, ids in zip(dy, everyones, strict=True)]

        def exchange(given):  # a function, and not a method: copies of it write into one list
            given = _parts(given)
            self.sent.append(given)
            if len(self.sent) > 2:
                raise ValueError(Message("exchange was called a third time"))
            if len(self.sent) == 1:
                _check_places(given, rows)
                self.got = got = [*self.asked[:q], given[q], *self.asked[q + 1 :]]
            elif backward:
                got = list(self.grads)
            else:
                got = [table[r::R][places] for r, places in enumerate(self.sent[0])]
            return [*got[:q], given[q], *got[q + 1 :]]

        self.exchange = exchange

    def given(self, number):
        """Return what was given to the first or second exchange."""
        if len(self.sent) <= number:
            raise Wrong(
                Message(
                    "exchange was called {number} times; two calls are needed: one for places, one "
                    "for what is at these places",
                    number=len(self.sent),
                ),
                "an exchange is missing",
            )
        return self.sent[number]


def _ids(rng, rows):
    """Return three ids of each owner, one of them twice, in any order."""
    places = [rng.permutation(rows)[[0, 1, 0]] for _ in range(R)]
    return rng.permutation(np.concatenate([R * p + r for r, p in enumerate(places)]))


def _parts(given):
    if not isinstance(given, (list, tuple, np.ndarray)) or len(given) != R:
        raise ValueError(
            Message("exchange takes a list of {number} arrays, one for each rank", number=R)
        )
    return [np.asarray(part) for part in given]


def _check_places(given, rows):
    for r, places in enumerate(given):
        if places.dtype.kind not in "iu" and places.size:
            raise ValueError(
                Message("exchange is called for places first, and they are whole numbers")
            )
        for place in places[(places < 0) | (places >= rows)]:
            raise ValueError(
                Message(
                    "rank {rank} has no place {place}: its shard has {rows} rows",
                    rank=r,
                    place=place,
                    rows=rows,
                )
            )


def wrong_asks(ids, shard):
    rows = len(shard)
    return [
        (
            "rows are looked for in blocks of places",
            [ids[ids // rows == r] % rows for r in range(R)],
        ),
        ("every rank is asked for all ids", [ids // R] * R),
        ("repeats are not asked for", [np.unique(ids[ids % R == r] // R) for r in range(R)]),
        ("the places are sorted", [np.sort(ids[ids % R == r] // R) for r in range(R)]),
        (
            "rank r is asked what rank r + 1 has",
            [ids[ids % R == (r + 1) % R] // R for r in range(R)],
        ),
        ("ids are sent, where places belong", [ids[ids % R == r] for r in range(R)]),
    ]


def wrong_rows(ids, shard, y):
    """Return what known mistakes make of y."""
    rows = [y[ids % R == r] for r in range(R)]
    flat, mixed = np.concatenate(rows), np.empty_like(y)
    for r in range(R):
        mixed[ids % R == r] = rows[R - 1 - r]
    by_owner = np.argsort(ids % R, kind="stable")
    return [
        ("the rows are in the order of their owners, not in the order of the ids", flat),
        ("every row is read from this rank's own shard", shard[ids // R]),
        ("the answers of the ranks are mixed up", mixed),
        ("the order is used where its inverse belongs", flat[by_owner]),
        ("the rows of all ids are added up", y.sum(axis=0)),
    ]


def _forward(student, rng):
    rank = Meeting(rng)
    return rank, student.call("rowwise_forward", rank.ids, rank.shard, R, rank.exchange)


@task("A7.5", title="y: the rows of the ids, in their order")
def test_rows(student, rng):
    rank, y = _forward(student, rng)
    compare("y", y, rank.y, wrong_rows(rank.ids, rank.shard, rank.y))


@task("A7.5", title="each owner is asked for its rows")
def test_asks(student, rng):
    rank, _ = _forward(student, rng)
    wrong = wrong_asks(rank.ids, rank.shard)
    each_rank("what the ranks are asked", rank.given(0), rank.asks, wrong)


@task("A7.5", title="the others get the rows that they ask for")
def test_answers(student, rng):
    rank, _ = _forward(student, rng)
    given = rank.given(1)
    right = [rank.shard[places] for places in rank.got]
    wrong = [
        ("the rows at this rank's own places are sent", [rank.shard[p] for p in rank.asks]),
        ("the whole shard is sent to everyone", [rank.shard] * R),
        ("every rank gets the answer of rank 0", [right[0]] * R),
    ]
    each_rank("what the ranks are sent", given, right, wrong)


def wrong_shards(rank):
    """Return what known mistakes make of dshard."""

    def scatter(places, terms, way=np.add.at):
        dshard = np.zeros_like(rank.shard)
        for p, t in zip(places, terms, strict=True):
            way(dshard, p, t)
        return dshard

    def buffered(dshard, places, terms):
        dshard[places] += terms

    def written(dshard, places, terms):
        dshard[places] = terms

    def first(dshard, places, terms):
        unique, at = np.unique(places, return_index=True)
        dshard[unique] += terms[at]

    asked, grads, mine = rank.asked, rank.grads, rank.asks
    own = [rank.dy[rank.ids % R == r] for r in range(R)]
    return [
        ("of repeats inside a rank the last one wins", scatter(asked, grads, buffered)),
        ("of repeats inside a rank the first one counts", scatter(asked, grads, first)),
        ("a row is overwritten, where gradients add up", scatter(asked, grads, written)),
        ("the gradient is divided by the number of ranks", rank.dshard / R),
        ("only the last rank's gradients count", scatter(asked[-1:], grads[-1:])),
        ("only the first rank's gradients count", scatter(asked[:1], grads[:1])),
        ("the others' gradients go to the places of this rank's ids", scatter(mine, grads)),
        ("this rank's gradients go to the places of the others", scatter(asked, own)),
        ("only this rank's samples count, and all of them", scatter(mine, own)),
    ]


def _backward(student, rng):
    rank = Meeting(rng, backward=True)
    arguments = rank.dy, rank.ids, rank.shard, R, rank.exchange
    return rank, student.call("rowwise_backward", *arguments)


@task("A7.6", weight=2, title="dshard: what comes from all ranks, repeats included")
def test_dshard(student, rng):
    rank, dshard = _backward(student, rng)
    compare("dshard", dshard, rank.dshard, wrong_shards(rank))


@task("A7.6", title="the owners get places and gradients")
def test_sends_back(student, rng):
    rank, _ = _backward(student, rng)
    wrong = wrong_asks(rank.ids, rank.shard)
    each_rank("the places that are sent", rank.given(0), rank.asks, wrong)
    right = [rank.dy[rank.ids % R == r] for r in range(R)]
    wrong = [
        ("dy is cut in the order of the samples, not by owner", np.split(rank.dy, R)),
        ("every rank gets all of dy", [rank.dy] * R),
    ]
    each_rank("the gradients that are sent", rank.given(1), right, wrong)


@task("A7.7", title="your own number")
def test_my_bytes(student, student_id):
    own = personal(student_id, "A7.7")
    ranks = 2 ** int(own.integers(2, 6))
    B, T = ranks * int(own.integers(16, 200)), ranks * int(own.integers(1, 5))
    D, P = int(own.integers(4, 65)), int(own.integers(10_000, 900_000))
    vectors, rounds = 4 * B * T * D * (ranks - 1) // ranks, ranks.bit_length() - 1
    dense = 4 * P * ranks * rounds
    right = 2 * vectors + dense
    wrong = [
        ("what a rank keeps for itself is counted", 8 * B * T * D + dense),
        ("the way back is left out", vectors + dense),
        ("only one round of the butterfly is counted", 2 * vectors + 4 * P * ranks),
        ("a butterfly has log2 R rounds, not R", 2 * vectors + 4 * P * ranks * ranks),
        ("this is the sum of the MLPs by a ring", 2 * vectors + 8 * P * (ranks - 1)),
        ("the gradients of the MLPs are left out", 2 * vectors),
        ("the tables are left out", dense),
        ("these are numbers, not bytes", right / 4),
        ("a float32 has 4 bytes, not 8", 2 * right),
        ("this is what one rank sends, not all together", right / ranks),
    ]
    compare("the number", student.call("my_bytes"), right, wrong, 1e-9, tell=False)


# The average


def weighted(grads, rows):
    rows = np.asarray(rows)
    return [n / rows.sum() * np.asarray(grad) for n, grad in zip(rows, grads, strict=True)]


def by_tree(grads, rows):
    terms = weighted(grads, rows)
    while len(terms) > 1:
        terms = [reduce(add, terms[k : k + 2]) for k in range(0, len(terms), 2)]
    return terms * len(grads)


def left_to_right(grads, rows):
    return [reduce(add, weighted(grads, rows))] * len(grads)


def _planted():
    def own_order(grads, rows):
        terms = weighted(grads, rows)
        return [reduce(add, [*terms[r:], *terms[:r]]) for r in range(len(terms))]

    def of_means(grads, rows):
        return [reduce(add, grads) / len(grads)] * len(grads)

    def not_divided(grads, rows):
        return [reduce(add, grads)] * len(grads)

    def only_first(grads, rows):
        return [by_tree(grads, rows)[0], *grads[1:]]

    def without_last(grads, rows):
        rows = np.array(rows)
        return left_to_right(grads[:-1], rows[:-1])[:1] * len(grads)

    def summed(grads, rows):
        return [reduce(add, weighted(grads, rows)) * np.sum(rows)] * len(grads)

    def one_round(grads, rows):
        terms = weighted(grads, rows)
        return [2 * (terms[r] + terms[min(r ^ 1, len(terms) - 1)]) for r in range(len(terms))]

    def turned(grads, rows):
        return left_to_right(grads, np.array(rows)[::-1])

    def largest(grads, rows):
        rows = np.asarray(rows)
        return [each * rows.sum() / (rows.max() * len(rows)) for each in left_to_right(grads, rows)]

    return [
        ("the sum of the means is not divided", not_divided),
        ("the mean of the means is taken, with unequal blocks", of_means),
        ("each rank adds in an order of its own, so that the bits differ", own_order),
        ("only rank 0 has the average", only_first),
        ("the last rank is left out", without_last),
        ("the sum over the samples is not divided by their number", summed),
        ("only pairs of ranks swap", one_round),
        ("each gradient has the number of rows of another rank", turned),
        ("all blocks are taken to be as large as the largest", largest),
        ("nothing is exchanged: each rank keeps its own", lambda grads, rows: list(grads)),
    ]


@task("A7.8", title="your test finds planted mistakes")
def test_the_test(student, order, earn):
    right = [by_tree, left_to_right]
    catches(lambda f: student.call("is_average", f), right, _planted(), order, earn)
