"""A5: build and train a DLRM."""

import numpy as np
import pytest

from minidlrm import metrics
from minidlrm.checking import Fingerprint
from minidlrm.data import synthetic_clicks
from minidlrm.grading.judge import Wrong, catches, gradient, numbers, personal
from minidlrm.grading.known import compare
from minidlrm.languages import Message

task = pytest.mark.task
STEPS, BATCH = 600, 256


def dlrm_forward(*model):
    return logits_with("", *model)


@pytest.fixture
def model(rng):
    """Inputs and parameters; ids repeat, all sizes differ."""
    B, n, D, h, sizes = 6, 4, 3, 7, np.array([4, 2, 5])
    starts = np.array([0, 4, 6])
    ids = rng.integers(0, sizes, (B, 3))
    ids[1] = ids[0]
    shapes = [(11, D), (D, n), (D,), (h, D + 6), (h,), (1, h), (1,)]
    return rng.normal(size=(B, n)), ids, starts, *(rng.normal(size=shape) for shape in shapes)


WRONG_LOGITS = {
    "bottom": "the bottom has no ReLU",
    "hidden": "the top's hidden layer has no ReLU",
    "starts": "rows are read by ids alone, without starts",
    "order": "the pairs are in the order of the upper triangle",
    "direct": "the dense vector does not go to the top as it is",
    "bias": "the last bias is left out",
    "last": "the dense vector comes after the rows, not before them",
    "column": "the logits are a column, not one number a sample",
    "sigmoid": "probabilities are returned, not logits",
}


def logits_with(mistake, dense, ids, starts, table, W1, b1, W2, b2, W3, b3):
    """Return the logits with one mistake: a key of `WRONG_LOGITS`; or "", with none."""
    x1 = dense @ W1.T + b1
    if mistake != "bottom":
        x1 = x1 * (x1.real > 0)
    parts = [x1[:, None], table[ids if mistake == "starts" else ids + starts]]
    z = np.concatenate(parts[::-1] if mistake == "last" else parts, axis=1)
    i, j = np.triu_indices(z.shape[1], 1) if mistake == "order" else np.tril_indices(z.shape[1], -1)
    dots = (z @ z.transpose(0, 2, 1))[:, i, j]
    a = np.concatenate([x1 * (mistake != "direct"), dots], axis=1) @ W2.T + b2
    if mistake != "hidden":
        a = a * (a.real > 0)
    y = a @ W3.T + b3 * (mistake != "bias")
    if mistake == "column":
        return y
    return 1 / (1 + np.exp(-y[:, 0])) if mistake == "sigmoid" else y[:, 0]


@task("A5.2", weight=3, title="the logits")
def test_forward(student, model):
    wrong = [(story, logits_with(key, *model)) for key, story in WRONG_LOGITS.items()]
    compare("the logits", student.call("dlrm_forward", *model), dlrm_forward(*model), wrong)


def backward_with(mistake, dlogits, dense, ids, starts, table, W1, b1, W2, b2, W3, b3):
    """Return the gradients by name, with one mistake: a key of `MISTAKES`, or none."""
    x1 = np.maximum(dense @ W1.T + b1, 0)
    rows = ids + starts
    z = np.concatenate([x1[:, None], table[rows]], axis=1)
    i, j = np.tril_indices(z.shape[1], -1)
    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, j]], axis=1)
    da = dlogits[:, None] * W3
    if mistake != "top_mask":
        da = da * (u @ W2.T + b2 > 0)
    du = da @ W2
    G = np.zeros((len(z), z.shape[1], z.shape[1]))
    G[:, i, j] = du[:, len(b1) :]
    dz = G @ z if mistake == "one_side" else (G + G.transpose(0, 2, 1)) @ z
    dx1 = (mistake != "no_direct") * du[:, : len(b1)] + (mistake != "no_dot") * dz[:, 0]
    if mistake != "bottom_mask":
        dx1 = dx1 * (x1 > 0)
    dtable = np.zeros_like(table)
    if mistake == "buffered":
        dtable[rows] += dz[:, 1:]
    else:
        np.add.at(dtable, ids if mistake == "table_shift" else rows, dz[:, 1:])
    top = {"W2": da.T @ u, "b2": da.sum(axis=0)}
    return {"table": dtable, "W1": dx1.T @ dense, "b1": dx1.sum(axis=0), **top}


_ARROW = (
    "the dense vector has two arrows, and the gradient of one is left out",
    "Draw forward: the dense vector goes to two places. What comes back adds up.",
)
MISTAKES = {  # key: (the gradients that it changes, evidence, title, hint)
    "no_dot": (["W1", "b1"], "nothing comes back from the dot products", *_ARROW),
    "no_direct": (["W1", "b1"], "only the dot products send a gradient back", *_ARROW),
    "one_side": (
        ["table", "W1", "b1"],
        "z_i of a pair i > j gets z_j, z_j nothing",
        "of each pair only one of the two vectors gets a gradient",
        "A product depends on both of its vectors. What does each of them receive?",
    ),
    "bottom_mask": (
        ["W1", "b1"],
        "units of the bottom that are off pass the gradient on",
        "the slope of the bottom's ReLU is forgotten",
        "A unit that gives 0 in forward passes nothing back.",
    ),
    "top_mask": (
        ["table", "W1", "b1", "W2", "b2"],
        "hidden units of the top that are off pass the gradient on",
        "the slope of the top's ReLU is forgotten",
        "A unit that gives 0 in forward passes nothing back.",
    ),
    "table_shift": (
        ["table"],
        "the gradients go to the rows ids, without starts",
        "the rows belong to another table",
        "All tables lie in one array. Which row does forward read for an id?",
    ),
    "buffered": (
        ["table"],
        "of a row that several samples use, only the last one counts",
        "only one use of a repeated id is counted",
        "a[rows] += b writes each row once, though rows names it many times. Add up in a way "
        "that counts every use.",
    ),
}


def known_mistakes(rest, only):
    """Return the fingerprints of the mistakes that change a gradient of `only`."""

    def formula(mistake, changed):
        def wrong(target, dlogits, *parameters):
            grads = backward_with(mistake, dlogits, *rest, *parameters)
            return {name: grads[name] for name in changed}

        return wrong

    return [
        Fingerprint(f"dlrm_{key}", formula(key, changed), evidence, title, hint)
        for key, (changed, evidence, title, hint) in MISTAKES.items()
        if set(changed) & set(only)
    ]


class _Parameters:
    """The student's backward as a function of the parameters alone."""

    def __init__(self, student, rest):
        self.student, self.rest = student, rest
        self.slips, self.credits = getattr(student, "slips", {}), getattr(student, "credits", [])

    def call(self, name, dy, *parameters):
        if name == "dlrm_forward":  # no dy, but the table
            return self.student.call(name, *self.rest, dy, *parameters)
        return self.student.call(name, dy, *self.rest, *parameters)


def _gradients(student, model, only):
    rest = model[:3]

    def logits(table, W1, b1, W2, b2, W3, b3):
        return dlrm_forward(*rest, table, W1, b1, W2, b2, W3, b3)

    mine, wrong = _Parameters(student, rest), known_mistakes(rest, only)
    own, parameters = "dlrm_forward", model[3:]
    gradient(mine, "dlrm_backward", logits, *parameters, only=only, fingerprints=wrong, own=own)


@task("A5.3", title="the top MLP: dW2, db2, dW3, db3")
def test_top(student, model):
    _gradients(student, model, ["W2", "b2", "W3", "b3"])


@task("A5.3", weight=2, title="the tables: ids that repeat add up")
def test_tables(student, model):
    _gradients(student, model, ["table"])


@task("A5.3", weight=2, title="the bottom: both arrows of the dense vector")
def test_bottom(student, model):
    _gradients(student, model, ["W1", "b1"])


@task(
    "A5.4",
    title="trained: share of the gap to the Bayes limit",
    builds_on="dlrm_forward dlrm_backward",
)
def test_training(student, rng, earn):
    seed = int(rng.integers(2**31))
    clicks = synthetic_clicks(200_000, seed=seed, num_dense=4, num_tables=6, max_table_size=30)
    calls = 0

    def next_batch():
        nonlocal calls
        calls += 1
        if calls > STEPS:
            raise ValueError(Message("next_batch was called more than {most} times", most=STEPS))
        rows = slice((calls - 1) * BATCH, calls * BATCH)
        batch = clicks.train[rows]
        return batch.dense.astype(float), batch.sparse.astype(np.int64), batch.label.astype(float)

    test = clicks.test
    assert test.label is not None
    assert clicks.bayes_log_loss is not None
    logits = student.call(
        "train_and_predict",
        next_batch,
        4,
        [int(n) for n in clicks.table_sizes],
        test.dense.astype(float),
        test.sparse.astype(np.int64),
    )
    logits = numbers("what train_and_predict returned", logits)
    if logits.shape != test.label.shape or not np.isfinite(logits).all():
        words = Message(
            "return {number} finite logits, one for each test row", number=len(test.label)
        )
        raise Wrong(words, "no logits")
    loss, entropy = metrics.log_loss(test.label, logits), metrics.entropy(test.label)
    share = (entropy - loss) / (entropy - clicks.bayes_log_loss)
    earn((1 * (share > 0) + 2 * (share >= 0.5) + 2 * (share >= 0.75)) / 5)
    if share < 0.75:
        raise Wrong(
            Message(
                "log loss {loss} after {batches} batches; the mean rate has {entropy}, the limit is "
                "{limit}: you closed {share} of the gap",
                loss=f"{loss:.4f}",
                batches=min(calls, STEPS),
                entropy=f"{entropy:.4f}",
                limit=f"{clicks.bayes_log_loss:.4f}",
                share=f"{share:.0%}",
            ),
            "not trained far enough",
        )


@task("A5.5", title="your own number")
def test_my_entropy(student, student_id):
    own = personal(student_id, "A5.5")
    p = (own.random(500) < own.uniform(0.1, 0.4)).mean()
    right = -p * np.log(p) - (1 - p) * np.log(1 - p)
    wrong = [
        ("the logarithm has base 2", right / np.log(2)),
        ("the logarithm has base 10", right / np.log(10)),
        ("only the clicks are counted", -p * np.log(p)),
        ("only the rows without a click are counted", -(1 - p) * np.log(1 - p)),
        ("this is the mean rate itself", p),
        ("the sum is not divided by the number of rows", 500 * right),
        ("this is the variance, not the log loss", p * (1 - p)),
        ("the rate is 1/2, not the mean rate", np.log(2)),
    ]
    compare("the entropy", student.call("my_entropy"), right, wrong, 1e-5, tell=False)


def sgd(table, rows, values, lr):
    table = table.copy()
    table[rows] -= lr * values
    return table


def _planted():
    def whole(table, rows, values, lr):
        return sgd(table, rows, values, lr) * (1 - 1e-3)

    def replaced(table, rows, values, lr):
        table = table.copy()
        table[rows] = -lr * values
        return table

    def first(table, rows, values, lr):
        return sgd(table, rows[:1], values[:1], lr)

    def in_order(table, rows, values, lr):
        return sgd(table, np.sort(rows), values, lr)

    def clipped(table, rows, values, lr):
        return sgd(table, rows, np.clip(values, -0.5, 0.5), lr)

    return [
        (Message("uphill"), lambda t, r, v, lr: sgd(t, r, -v, lr)),
        ("no learning rate", lambda t, r, v, lr: sgd(t, r, v, 1.0)),
        ("the rate twice", lambda t, r, v, lr: sgd(t, r, v, lr * lr)),
        ("every row shrinks a little", whole),
        ("the row is overwritten", replaced),
        ("only the first row moves", first),
        ("rows are sorted, values are not", in_order),
        ("values are clipped", clipped),
        ("nothing moves", lambda t, r, v, lr: t),
        ("divided by the number of rows", lambda t, r, v, lr: sgd(t, r, v / len(r), lr)),
    ]


@task("A5.6", weight=2, title="your test finds planted mistakes")
def test_the_test(student, order, earn):
    catches(lambda step: student.call("is_step", step), [sgd], _planted(), order, earn)
