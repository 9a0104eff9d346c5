"""A3: matrix factorization and factorization machines."""

import numpy as np
import pytest

from minidlrm.checking import Fingerprint
from minidlrm.grading.assignment import solutions
from minidlrm.grading.judge import Wrong, catches, gradient, personal, same
from minidlrm.grading.known import compare
from minidlrm.languages import Message

task = pytest.mark.task
_SOURCE = solutions(__file__)
fm_forward, fm_backward, sgd_epoch = _SOURCE.fm_forward, _SOURCE.fm_backward, _SOURCE.sgd_epoch


def rating_loss(p, q, r, mu, lam):
    return (r - mu - p @ q) ** 2 + lam * (p @ p + q @ q)


def rating_mistakes(r, mu, lam):
    """Return the wrong formulas of the gradient of one rating's loss."""

    def without_mean(target, dL, p, q):
        e = r - p @ q
        return {"p": dL * 2 * (lam * p - e * q), "q": dL * 2 * (lam * q - e * p)}

    def error_upwards(target, dL, p, q):
        e = r - mu - p @ q
        return {"p": dL * 2 * (lam * p + e * q), "q": dL * 2 * (lam * q + e * p)}

    def own_vector(target, dL, p, q):
        e = r - mu - p @ q
        return {"p": dL * 2 * (lam - e) * p, "q": dL * 2 * (lam - e) * q}

    mean = Fingerprint(
        "mean_forgotten",
        without_mean,
        "the error is taken without mu",
        title="the mean rating mu is left out of the error",
        hint="Read the loss again: what does it take off the rating before it squares?",
    )
    if not lam:  # without the penalty the checker's own words fit: the sign, the wrong operand
        return [mean]
    return [
        mean,
        Fingerprint(
            "error_sign",
            error_upwards,
            "the term of the error is added, not taken off",
            title="the sign of the error's term is wrong; the penalty is right",
            hint="The prediction enters the error with a minus: the chain rule keeps it.",
        ),
        Fingerprint(
            "own_vector",
            own_vector,
            "the error multiplies the vector itself",
            title="the error multiplies the wrong operand; the penalty is right",
            hint="By which vector do you differentiate the product p q, and which one is left?",
        ),
    ]


def _over(axis):
    """Return the FM's gradient with its sum over another axis."""
    return lambda target, dy, z: {"z": dy[:, None, None] * (z.sum(axis=axis, keepdims=True) - z)}


_AXIS = {
    "title": "the sum runs over the wrong axis",
    "hint": "In a sample the vectors of all fields add up to one vector of the same length. Write "
    "the shapes under the formula.",
}
FM = [
    Fingerprint("axis", _over(2), "the sum runs over axis 2, the entries of each vector", **_AXIS),
    Fingerprint("axis", _over(0), "the sum runs over axis 0, the samples", **_AXIS),
    Fingerprint(
        "own_vector",
        lambda target, dy, z: {"z": dy[:, None, None] * z},
        "the gradient of a vector is dy times this same vector",
        title="each vector gets itself, and nothing of the other fields",
        hint="Write down all pairs that hold z_i, and differentiate each of them by z_i.",
    ),
]


class _OneRating:
    """The loss as a function of p and q; r, mu and lam go along to the submission."""

    def __init__(self, student, rest):
        self.student, self.rest = student, rest

    def call(self, name, dL, p, q):
        return self.student.call(name, float(dL), p, q, *self.rest)


def _rating(student, rng, lam, **options):
    rest = (float(rng.uniform(1, 5)), 3.5, lam)

    def loss(p, q):
        return rating_loss(p, q, *rest)

    p, q = rng.normal(size=4), rng.normal(size=4)
    wrong, one = rating_mistakes(*rest), _OneRating(student, rest)
    gradient(one, "rating_backward", loss, p, q, fingerprints=wrong, **options)


@task("A3.2", title="without the penalty")
def test_rating_without_penalty(student, rng):
    _rating(student, rng, 0.0)


@task("A3.2", title="dp with the penalty")
def test_rating_dp(student, rng):
    _rating(student, rng, 0.3, only=["p"])


@task("A3.2", title="dq with the penalty")
def test_rating_dq(student, rng):
    _rating(student, rng, 0.3, only=["q"])


def fm_mistakes(z):
    """Return what known mistakes make of the sum over all pairs."""
    s, squares = z.sum(axis=1), np.sum(z * z, axis=(1, 2))
    of_sum, other = np.sum(s * s, axis=1), z.sum(axis=2)
    return [
        ("the products of a vector with itself are not taken off", of_sum / 2),
        ("the products of a vector with itself are added, not taken off", (of_sum + squares) / 2),
        ("the sum runs over the wrong axis", (np.sum(other * other, axis=1) - squares) / 2),
        ("only pairs of neighbours are counted", np.sum(z[:, :-1] * z[:, 1:], axis=(1, 2))),
        ("the sum over the entries of a vector is missing", (s * s - np.sum(z * z, axis=1)) / 2),
        ("all samples are added up", fm_forward(z).sum()),
    ]


@task("A3.3", weight=2, title="the sum over all pairs")
def test_fm_forward(student, rng):
    z = rng.normal(size=(3, 5, 4))
    compare("y", student.call("fm_forward", z), fm_forward(z), fm_mistakes(z))


@task("A3.3", title="2,000 fields: in O(F D)")
def test_fm_forward_is_linear_in_the_fields(student, rng):
    z = rng.normal(size=(64, 2000, 16))  # a matrix of pairs would take 2 GB
    before, student.seconds = student.seconds, min(student.seconds, 3.0)
    try:
        same("y", student.call("fm_forward", z), fm_forward(z), 1e-5)
    finally:
        student.seconds = before


@task("A3.4", weight=3, title="the gradient of the FM")
def test_fm_backward(student, rng):
    z, own = rng.normal(size=(3, 5, 4)), "fm_forward"
    gradient(student, "fm_backward", fm_forward, z, fingerprints=FM, own=own)


def sgd_mistakes(P, Q, users, items, ratings, mu, eta, lam):
    """Return what known mistakes make of an epoch: the name, and P and Q."""

    def new_vectors():
        A, B = P.copy(), Q.copy()
        for u, i, r in zip(users, items, ratings, strict=True):
            e = r - mu - A[u] @ B[i]
            A[u] += eta * (e * B[i] - lam * A[u])
            B[i] += eta * (e * A[u] - lam * B[i])
        return A, B

    def at_once():
        A, B = P.copy(), Q.copy()
        e = (ratings - mu - np.sum(P[users] * Q[items], axis=1))[:, None]
        np.add.at(A, users, eta * (e * Q[items] - lam * P[users]))
        np.add.at(B, items, eta * (e * P[users] - lam * Q[items]))
        return A, B

    def changed(order=1, mu=mu, eta=eta, lam=lam):
        return sgd_epoch(P, Q, users[::order], items[::order], ratings[::order], mu, eta, lam)

    return [
        ("the second vector's step uses the first one's new value", new_vectors()),
        ("all ratings use the tables as they were before the first step", at_once()),
        ("the ratings are taken in reverse", changed(order=-1)),
        ("the step goes uphill", changed(eta=-eta)),
        ("the penalty is left out", changed(lam=0.0)),
        ("mu is left out of the error", changed(mu=0.0)),
        ("the step has a factor 2 that eta contains already", changed(eta=2 * eta)),
    ]


@pytest.fixture
def ratings(rng):
    """Some ratings, with users and items that repeat."""
    P, Q = rng.normal(size=(5, 3)), rng.normal(size=(4, 3))
    users, items = rng.integers(0, 5, 20), rng.integers(0, 4, 20)
    return P, Q, users, items, rng.uniform(1, 5, 20), 3.0, 0.05, 0.02


@task("A3.5", title="one rating: both sides use the old vectors")
def test_sgd_of_one_rating(student, rng):
    P, Q = rng.normal(size=(2, 3)), rng.normal(size=(3, 3))
    one = P, Q, np.array([1]), np.array([2]), np.array([4.5]), 3.0, 0.1, 0.05
    _compare(student, *one)


@task("A3.5", weight=2, title="a whole pass, in the order given")
def test_sgd_epoch(student, ratings):
    _compare(student, *ratings)


def _compare(student, *inputs):
    answer = student.call("sgd_epoch", *inputs)
    if not isinstance(answer, list) or len(answer) != 2:
        raise Wrong("sgd_epoch must return two arrays, P and Q", "not two arrays")
    wrong = sgd_mistakes(*inputs)
    for k, right in enumerate(sgd_epoch(*inputs)):
        mistakes = [(story, tables[k]) for story, tables in wrong]
        compare(
            "PQ"[k],
            answer[k],
            right,
            [(Message("{name} does not move", name="PQ"[k]), inputs[k]), *mistakes],
        )


@task("A3.6", title="your own number")
def test_my_sum(student, student_id):
    z = personal(student_id, "A3.6").normal(size=(30, 4))
    right = fm_forward(z[None])[0]
    products = z @ z.T
    wrong = [
        ("the products of a vector with itself are included", np.sum(np.tril(products))),
        ("each pair is counted twice", 2 * right),
        ("all products are added up: each pair twice, and each vector with itself", products.sum()),
        ("only pairs of neighbours are counted", np.sum(z[:-1] * z[1:])),
        ("this is the mean over the pairs, not their sum", right / (30 * 29 / 2)),
    ]
    compare("the sum", student.call("my_sum_of_pairs"), right, wrong, 1e-5, tell=False)


def _planted():
    def half(z):
        return 2 * fm_forward(z)

    def squares(z):
        s = z.sum(axis=1)
        return 0.5 * np.sum(s * s, axis=1)

    def neighbours(z):
        return np.sum(z[:, :-1] * z[:, 1:], axis=(1, 2))

    def batch(z):
        return fm_forward(z) / len(z)

    def self_term(dy, z):
        return dy[:, None, None] * np.broadcast_to(z.sum(axis=1, keepdims=True), z.shape)

    def ignored(dy, z):
        return z.sum(axis=1, keepdims=True) - z

    def first_dy(dy, z):
        return dy[0] * (z.sum(axis=1, keepdims=True) - z)

    def other_axis(dy, z):
        return dy[:, None, None] * (z.sum(axis=2, keepdims=True) - z)

    return [
        ("a factor of 2 in forward", half, fm_backward),
        ("the squares are not taken off", squares, fm_backward),
        ("only neighbours meet", neighbours, fm_backward),
        ("forward is divided by B", batch, fm_backward),
        ("the self term is left in backward", fm_forward, self_term),
        ("dy is ignored", fm_forward, ignored),
        ("dy of the first sample serves all", fm_forward, first_dy),
        ("the sum is over the wrong axis", fm_forward, other_axis),
        ("the sign of backward", fm_forward, lambda dy, z: -fm_backward(dy, z)),
        ("half of backward", fm_forward, lambda dy, z: fm_backward(dy, z) / 2),
    ]


@task("A3.7", weight=3, title="your test finds planted mistakes")
def test_the_test(student, order, earn):
    def verdict(pair):
        return student.call("is_fm", *pair)

    wrong = [(story, pair) for story, *pair in _planted()]
    catches(verdict, [(fm_forward, fm_backward)], wrong, order, earn)
