"""Wrong answers to A5: build and train a DLRM. Most are the right answer with one change."""

FORWARD = """\
x1 = np.maximum(dense @ W1.T + b1, 0)
    z = np.concatenate([x1[:, None], table[ids + starts]], axis=1)
    i, j = np.tril_indices(z.shape[1], -1)
    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, j]], axis=1)
    return (np.maximum(u @ W2.T + b2, 0) @ W3.T + b3)[:, 0]"""
BACKWARD = """\
D = table.shape[1]
    x1 = np.maximum(dense @ W1.T + b1, 0)
    rows = ids + starts
    z = np.concatenate([x1[:, None], table[rows]], axis=1)
    i, j = np.tril_indices(z.shape[1], -1)
    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, j]], axis=1)
    a = np.maximum(u @ W2.T + b2, 0)
    da = dlogits[:, None] * W3 * (a > 0)
    du = da @ W2
    G = np.zeros((len(z), z.shape[1], z.shape[1]))
    G[:, i, j] = du[:, D:]
    dz = (G + G.transpose(0, 2, 1)) @ z
    dx1 = (du[:, :D] + dz[:, 0]) * (x1 > 0)
    dtable = np.zeros_like(table)
    np.add.at(dtable, rows, dz[:, 1:])
    dW1, db1 = dx1.T @ dense, dx1.sum(axis=0)
    dW2, db2 = da.T @ u, da.sum(axis=0)
    return dtable, dW1, db1, dW2, db2, dlogits[None] @ a, dlogits.sum(keepdims=True)"""
TRAINING = """\
rng, D, h = np.random.default_rng(0), 8, 32
    starts = np.cumsum([0, *table_sizes[:-1]])
    width = D + (len(table_sizes) + 1) * len(table_sizes) // 2

    def layer(n, m):
        return rng.normal(0, np.sqrt(2 / n), (m, n))

    params = [rng.normal(0, 0.3, (sum(table_sizes), D))]
    params += [layer(num_dense, D), np.zeros(D), layer(width, h), np.zeros(h)]
    params += [layer(h, 1), np.zeros(1)]
    first, second = [0 * p for p in params], [0 * p for p in params]
    for step in range(1, 601):
        dense, ids, label = next_batch()
        logits = dlrm_forward(dense, ids, starts, *params)
        dlogits = (1 / (1 + np.exp(-logits)) - label) / len(label)
        grads = dlrm_backward(dlogits, dense, ids, starts, *params)
        for p, g, m, v in zip(params, grads, first, second, strict=True):
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            rate = 0.01 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            p -= rate * m / (np.sqrt(v) + 1e-8)
    return dlrm_forward(test_dense, test_ids, starts, *params)"""


def _changed(answer, right, wrong):
    """Return the answer with one piece of it replaced."""
    assert answer.count(right) == 1, right
    return answer.replace(right, wrong)


A5 = {
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
            "behind the rows",
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
            "only one use is counted",
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
        ("pass", 0, "no array"),
        ("while True:\n        next_batch()", 0, "more than 600 times"),
        ("return 5 + np.zeros(len(test_dense))", 0, "closed"),
        (_changed(TRAINING, "range(1, 601):", "range(1, 3):"), 0, "closed"),
        (_changed(TRAINING, "-= rate * m /", "+= rate * m /"), 0, "closed"),
        (_changed(TRAINING, "range(1, 601):", "range(1, 602):"), 0, "more than 600 times"),
        (_changed(TRAINING, "0.01 * np.sqrt", "1e-6 * np.sqrt"), 0, "closed"),
    ],
}
