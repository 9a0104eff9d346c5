"""Wrong answers to A5: build and train a DLRM. Most are the right answer with one change."""

from pathlib import Path

from minidlrm.grading.assignment import body_of, find
from minidlrm.grading.proving import NUMBERS, TESTS

FORWARD, BACKWARD, TRAINING = (
    body_of(find(Path(__file__).parent).text(), function)
    for function in ("dlrm_forward", "dlrm_backward", "train_and_predict")
)


def _changed(answer, right, wrong):
    """Return the answer with one piece of it replaced."""
    assert answer.count(right) == 1, right
    return answer.replace(right, wrong)


WRONG = {
    ("A5.2", "dlrm_forward"): [
        (
            _changed(FORWARD, "np.maximum(dense @ W1.T + b1, 0)", "dense @ W1.T + b1"),
            0,
            "bottom has no ReLU",
        ),
        (_changed(FORWARD, "ids + starts]], axis=1)", "ids]], axis=1)"), 0, "without starts"),
        (
            _changed(FORWARD, "tril_indices(z.shape[1], -", "triu_indices(z.shape[1], "),
            0,
            "upper triangle",
        ),
        (
            _changed(FORWARD, "x1, (z @ z.transpose", "0 * x1, (z @ z.transpose"),
            0,
            "does not go to the top",
        ),
        (
            _changed(FORWARD, "np.maximum(u @ W2.T + b2, 0", "(u @ W2.T + b2"),
            0,
            "hidden layer has no ReLU",
        ),
        (_changed(FORWARD, "T + b3)[:, 0]", "T + b3)"), 0, "are a column"),
        (_changed(FORWARD, "shape[1], -1)", "shape[1])"), 0, "ValueError"),
        (_changed(FORWARD, "T + b3)[:, 0]", "T)[:, 0]"), 0, "last bias"),
        (
            _changed(
                FORWARD,
                "(np.maximum(u @ W2.T + b2, 0) @ W3.T + b3)[:, 0]",
                "1 / (1 + np.exp(-(np.maximum(u @ W2.T + b2, 0) @ W3.T + b3)[:, 0]))",
            ),
            0,
            "probabilities",
        ),
        (
            _changed(FORWARD, "x1[:, None], table[ids + starts", "table[ids + starts], x1[:, None"),
            0,
            "after the rows",
        ),
    ],
    ("A5.3", "dlrm_backward"): [
        (
            _changed(BACKWARD, "] + dz[:, 0]) * (x1 > 0)", "]) * (x1 > 0)"),
            3,
            "nothing comes back from the dot products",
        ),
        (_changed(BACKWARD, "du[:, :D] + dz", "dz"), 3, "only the dot products"),
        (
            _changed(BACKWARD, "np.add.at(dtable, rows, dz[:, 1:])", "dtable[rows] += dz[:, 1:]"),
            3,
            "only one use of a repeated id is counted",
        ),
        (_changed(BACKWARD, "(G + G.transpose(0, 2, 1))", "G"), 1, "only one of the two vectors"),
        (_changed(BACKWARD, ") * (x1 > 0)", ")"), 3, "bottom's ReLU"),
        (_changed(BACKWARD, "W3 * (a > 0)", "W3"), 0, "top's ReLU"),
        (_changed(BACKWARD, "rows, dz[:, 1", "ids, dz[:, 1"), 3, "another table"),
        (_changed(BACKWARD, "sum(keepdims", "mean(keepdims"), 4, "batch"),
        (_changed(BACKWARD, ", da.sum(axis", " / len(u), da.sum(axis"), 4, "batch"),
        (_changed(BACKWARD, "dtable, dW1,", "-dtable, dW1,"), 3, "sign"),
        (_changed(BACKWARD, "dx1.sum(axis=0)", "dx1.mean(axis=0)"), 3, "batch"),
    ],
    ("A5.4", "train_and_predict"): [
        ("return np.zeros(len(test_dense))", 0, "closed"),
        ("return np.zeros(3)", 0, "finite logits"),
        ("return np.full(len(test_dense), np.nan)", 0, "finite logits"),
        ("pass", 0, "not an array"),
        ("while True:\n        next_batch()", 0, "more than 600 times"),
        ("return 5 + np.zeros(len(test_dense))", 0, "closed"),
        (_changed(TRAINING, "range(1, 601):", "range(1, 3):"), 0, "closed"),
        (_changed(TRAINING, "-= rate * m /", "+= rate * m /"), 0, "closed"),
        (_changed(TRAINING, "range(1, 601):", "range(1, 602):"), 0, "more than 600 times"),
        (_changed(TRAINING, "0.01 * np.sqrt", "1e-6 * np.sqrt"), 0, "closed"),
    ],
    ("A5.5", "my_entropy"): [
        (
            "p = my_labels().mean()\n    return float(-p * np.log2(p) - (1 - p) * np.log2(1 - p))",
            0,
            "base 2",
        ),
        *NUMBERS,
    ],
    ("A5.6", "is_step"): [
        (
            "return bool(np.all(step(np.zeros((3, 2)), np.arange(3), np.ones((3, 2)), 1.0) == -1))",
            1.2,
            "finds 60% of the planted mistakes. It does not notice",
        ),
        (
            "got = step(np.zeros((3, 2)), np.array([1]), np.full((1, 2), 0.1), 0.5)\n    return bool(np.allclose(got[1], -0.05))",
            1.0,
            "finds 50% of the planted mistakes. It does not notice",
        ),
        *TESTS,
    ],
}
