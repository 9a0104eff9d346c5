"""Wrong answers to NAME: they prove that the checks find them, and name them.

(task, function): [(the body of the function, the points of the task that are left, words that the
feedback must have), ...]. Everything else of the submission is right.
"""

from minidlrm.grading.proving import NUMBERS, TESTS

WRONG = {
    ("NAME.2", "neuron_forward"): [
        ("return x @ w", 0, "the tanh is left out"),
        ("return 1 / (1 + np.exp(-x @ w))", 0, "sigmoid"),
        ("return np.tanh(x * w).sum(axis=1)", 0, "before the sum"),
        ("return -np.tanh(x @ w)", 0, "sign is wrong"),
    ],
    ("NAME.3", "neuron_backward"): [
        ("return dy[:, None] * w, dy @ x", 0, "activation is forgotten"),
        (
            "g = dy * (1 - np.tanh(x @ w) ** 2)\n    return g[:, None] * w, g @ x / len(x)",
            3,
            "batch",
        ),
        ("g = dy * (1 - np.tanh(x @ w) ** 2)\n    return -g[:, None] * w, g @ x", 3, "sign"),
    ],
    ("NAME.4", "step"): [
        (
            "dy = (neuron_forward(x, w) - t) / len(t)\n"
            "    return w + rate * neuron_backward(dy, x, w)[1]",
            0,
            "uphill",
        ),
        (
            "dy = neuron_forward(x, w) - t\n    return w - rate * neuron_backward(dy, x, w)[1]",
            0,
            "mean over the batch",
        ),
    ],
    ("NAME.5", "my_mean_square"): [
        ("return float(np.sum(my_numbers() ** 2))", 0, "added up, not averaged"),
        ("return float(np.mean(my_numbers())) ** 2", 0, "square of the mean"),
        *NUMBERS,
    ],
    ("NAME.6", "is_neuron"): [
        (
            "return bool(np.allclose(forward(np.ones((2, 1)), np.ones(1))[0], np.tanh(1)))",
            2,
            "finds 67% of the planted mistakes",
        ),
        *TESTS,
    ],
}
