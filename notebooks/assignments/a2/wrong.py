"""Wrong answers to A2: embeddings."""

from minidlrm.grading.proving import NUMBERS, TESTS

WRONG = {
    ("A2.2", "bag_forward"): [
        (
            "return np.array([(alpha[a:b, None] * W[values[a:b]]).mean(axis=0) if b > a else 0 * W[0] "
            "for a, b in zip(offsets[:-1], offsets[1:])])",
            0,
            "mean of its ids",
        ),
        (
            "return np.array([W[values[a:b]].sum(axis=0) for a, b in zip(offsets[:-1], offsets[1:])])",
            0,
            "alpha are left out",
        ),
        (
            "return np.add.reduceat(alpha[:, None] * W[values], offsets[:-1], axis=0)",
            1,
            "first id of the next bag",
        ),
        (
            "return np.array([(alpha[a:b, None] * W[values[a:b]]).sum(axis=0) "
            "for a, b in zip(offsets[:-1], offsets[1:]) if b > a])",
            1,
            "empty bags have no row",
        ),
        (
            "return np.array([sum(W[v] * alpha[i] for i, v in dict(zip(range(a, b), set(values[a:b]))).items()) "
            "+ 0 * W[0] for a, b in zip(offsets[:-1], offsets[1:])])",
            1,
            "taken as a set",
        ),
        (
            "y = np.zeros((len(offsets) - 1, W.shape[1]))\n"
            "    y[np.repeat(np.arange(len(y)), np.diff(offsets))] += alpha[:, None] * W[values]\n"
            "    return y",
            0,
            "only the last id of each bag counts",
        ),
        ("return alpha[:, None] * W[values]", 0, "no bag is summed"),
        (
            "return np.array([(alpha[a:b - 1, None] * W[values[a:b - 1]]).sum(axis=0) "
            "for a, b in zip(offsets[:-1], offsets[1:])])",
            0,
            "last id of each bag",
        ),
        (
            "return np.array([(alpha[a:b, None] * W[values[a:b]]).sum(axis=0) "
            "for a, b in zip(offsets[:-1], offsets[1:])]).T",
            0,
            "transposed",
        ),
        (
            "return -np.array([(alpha[a:b, None] * W[values[a:b]]).sum(axis=0) "
            "for a, b in zip(offsets[:-1], offsets[1:])])",
            0,
            "sign is wrong",
        ),
    ],
    ("A2.3", "bag_backward"): [
        (
            "bag = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))\n    dW = np.zeros_like(W)\n"
            "    dW[values] += alpha[:, None] * dy[bag]\n    return dW, np.sum(dy[bag] * W[values], axis=1)",
            3,
            "looked up more than once",
        ),
        (
            "bag = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))\n    dW = np.zeros_like(W)\n"
            "    dW[values] = alpha[:, None] * dy[bag]\n    return dW, np.sum(dy[bag] * W[values], axis=1)",
            3,
            "looked up more than once",
        ),
        (
            "bag = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))\n    dW = np.zeros_like(W)\n"
            "    np.add.at(dW, values, dy[bag])\n    return dW, np.sum(dy[bag] * W[values], axis=1)",
            2,
            "weight",
        ),
        (
            "bag = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))\n    dW = np.zeros_like(W)\n"
            "    np.add.at(dW, values, alpha[:, None] * dy[bag])\n"
            "    return dW, alpha * np.sum(dy[bag] * W[values], axis=1)",
            3,
            "appears in its own gradient",
        ),
        (
            "bag = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))\n    dW = np.zeros_like(W)\n"
            "    np.add.at(dW, values, alpha[:, None] * dy[bag])\n    return dW, np.sum(W[values], axis=1)",
            3,
            "part without dy",
        ),
        (
            "bag = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))\n    dW = np.zeros_like(W)\n"
            "    np.add.at(dW, values, alpha[:, None] * dy[bag])\n    return dW, 0 * alpha",
            3,
            "zero",
        ),
        (
            "bag = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))\n    dW = np.zeros_like(W)\n"
            "    np.add.at(dW, values, -alpha[:, None] * dy[bag])\n"
            "    return dW, np.sum(dy[bag] * W[values], axis=1)",
            2,
            "sign",
        ),
        (
            "bag = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))\n    dW = np.zeros_like(W)\n"
            "    np.add.at(dW, values, 2 * alpha[:, None] * dy[bag])\n"
            "    return dW, np.sum(dy[bag] * W[values], axis=1)",
            2,
            "2 times",
        ),
        (
            "bag = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))\n    dW = np.zeros_like(W)\n"
            "    np.add.at(dW, values, alpha[:, None] * dy[bag])\n"
            "    return dW, np.mean(dy[bag] * W[values], axis=1)",
            3,
            "1/3",
        ),
        ("return 0 * W, 0 * alpha", 0, "zero"),
        (
            "bag = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))\n    dW = np.zeros_like(W)\n"
            "    np.add.at(dW, values, alpha[:, None] * dy[bag])\n    return dW",
            1,
            "should return 2",
        ),
    ],
    ("A2.4", "scatter_loop"): [
        (
            "for i in range(len(rows)):\n        for d in range(table.shape[1]):\n"
            "            table[rows[i], d] = terms[i, d]",
            0,
            "row is overwritten",
        ),
        (
            "for i in range(len(rows)):\n        for d in range(table.shape[1]):\n"
            "            table[rows[i], d] -= terms[i, d]",
            0,
            "terms are subtracted",
        ),
        (
            "for i in range(1, len(rows)):\n        for d in range(table.shape[1]):\n"
            "            table[rows[i], d] += terms[i, d]",
            0,
            "first term is left out",
        ),
        (
            "for i in range(len(rows)):\n        for d in range(table.shape[1] - 1):\n"
            "            table[rows[i], d] += terms[i, d]",
            0,
            "last column",
        ),
        (
            "for i in range(len(rows)):\n        for d in range(table.shape[1]):\n"
            "            table[i % len(table), d] += terms[i, d]",
            0,
            "goes to row i",
        ),
        (
            "for i in range(len(rows)):\n        for d in range(1, table.shape[1]):\n"
            "            table[rows[i], d] += terms[i, d]",
            0,
            "first column",
        ),
        (
            "for i in range(len(rows) - 1):\n        for d in range(table.shape[1]):\n"
            "            table[rows[i], d] += terms[i, d]",
            0,
            "last term is forgotten",
        ),
        (
            "for i in range(len(rows)):\n        for d in range(table.shape[1]):\n"
            "            table[rows[i], d] += terms[0, d]",
            1,
            "first term is added",
        ),
        (
            "for i in range(len(rows)):\n        for d in range(table.shape[1]):\n"
            "            table[rows[i], d] += 2 * terms[i, d]",
            0,
            "added twice",
        ),
        ("pass", 0, "nothing is added"),
        (
            "for i in range(len(rows)):\n        if i == 0 or rows[i] != rows[i - 1]:\n"
            "            for d in range(table.shape[1]):\n                table[rows[i], d] += terms[i, d]",
            0,
            "repeat next to the first",
        ),
    ],
    ("A2.5", "my_share"): [
        ("return np.sum(np.unique(my_ids(), return_counts=True)[1] == 1) / 2000", 0, "of all ids"),
        *NUMBERS,
    ],
    ("A2.6", "is_scatter_add"): [
        (
            "t, r = np.ones((6, 3)), np.arange(1, 5)\n    x = np.ones((4, 3))\n    right = t.copy()\n    right[r] += x\n    return bool(np.allclose(scatter(t, r, x), right))",
            1.6,
            "finds 40% of the planted mistakes. It does not notice",
        ),
        (
            "return bool(scatter(np.ones((6, 3)), np.arange(6), np.ones((6, 3))).sum() == 36)",
            2.4,
            "finds 60% of the planted mistakes. It does not notice",
        ),
        *TESTS,
    ],
}
