"""Wrong answers to each coded part of the assignments, and what each of them costs.

An entry is (body of the function, points left of the task, words of the feedback). The body
replaces the solution; everything else of the submission is right.
"""

A1 = {
    ("A1.2", "linear_backward"): [
        ("return dy @ W.T, dy.T @ x, dy.sum(axis=0)", 0, "ValueError"),
        ("return dy @ W, x.T @ dy, dy.sum(axis=0)", 2, "transposed"),
        ("return dy @ W, dy.T @ x, dy.mean(axis=0)", 2, "batch"),
        ("return dy @ W, dy.T @ x / len(x), dy.sum(axis=0)", 2, "batch"),
        ("return dy @ W, dy.T @ x, dy", 2, "sum"),
        ("return dy @ W, dy.T @ x, dy[0]", 2, "left out"),
        ("return -dy @ W, dy.T @ x, dy.sum(axis=0)", 2, "sign"),
        ("return dy @ W, 0 * W, dy.sum(axis=0)", 2, "zero"),
        ("return dy @ W, 2 * dy.T @ x, dy.sum(axis=0)", 2, "2 times"),
        ("return np.ones_like(dy) @ W, dy.T @ x, dy.sum(axis=0)", 2, "dy"),
        ("return dy @ W, dy.T @ x", 0, "should return 3"),
        ("pass", 0, "nothing"),
    ],
    ("A1.3", "sigmoid_backward"): [
        ("y = 1 / (1 + np.exp(-x))\n    return y * (1 - y)", 0, "dy"),
        ("return dy * x * (1 - x)", 0, ""),
        ("y = 1 / (1 + np.exp(-x))\n    return dy * y", 0, ""),
        ("y = 1 / (1 + np.exp(-x))\n    return -dy * y * (1 - y)", 0, "sign"),
        ("y = 1 / (1 + np.exp(-x))\n    return dy * y * (1 - y) / len(x)", 0, "batch"),
        ("return dy", 0, ""),
        ("y = 1 / (1 + np.exp(x))\n    return dy * y * y", 0, ""),
        ("y = 1 / (1 + np.exp(-x))\n    return (dy * y * (1 - y)).sum(axis=0)", 0, "shape"),
        ("y = 1 / (1 + np.exp(-x))\n    return 2 * dy * y * (1 - y)", 0, "2 times"),
        ("return 0 * dy", 0, "zero"),
    ],
    ("A1.4", "log_loss_backward"): [
        ("return dL * (1 / (1 + np.exp(-z)) - t)", 0, "batch"),
        ("return dL * (t - 1 / (1 + np.exp(-z))) / len(z)", 0, "sign"),
        ("return (1 / (1 + np.exp(-z)) - t) / len(z)", 1, "dy"),
        ("return dL * (1 / (1 + np.exp(-z)) - t) / len(z) ** 2", 0, "batch"),
        ("return dL * (1 / (1 + np.exp(z)) - t) / len(z)", 0, ""),
        ("return dL * (1 / (1 + np.exp(-z)) + t) / len(z)", 0, ""),
        ("return dL * (z - t) / len(z)", 0, ""),
        ("return dL * np.exp(z) / (1 + np.exp(z)) / len(z) - dL * t / len(z)", 2, "nan"),
        ("p = 1 / (1 + np.exp(-z))\n    return dL * (p - t) * p * (1 - p) / len(z)", 0, ""),
        ("return 0 * z", 0, "zero"),
        ("return dL * np.mean(1 / (1 + np.exp(-z)) - t)", 0, "shape"),
    ],
    ("A1.5", "numeric_gradient"): [
        (
            "return np.array([f(x + 6e-6 * np.eye(x.size)[k].reshape(x.shape)) - f(x) "
            "for k in range(x.size)]).reshape(x.shape) / 6e-6",
            1,
            "should be",
        ),
        (
            "g = np.zeros_like(x)\n    for k in np.ndindex(x.shape):\n        x[k] += 6e-6\n"
            "        a = f(x)\n        x[k] -= 6e-6\n        g[k] = (a - f(x)) / 6e-6\n    return g",
            1,
            "should be",
        ),
        (
            "g = np.zeros_like(x)\n    for k in range(len(x)):\n        e = np.zeros_like(x)\n"
            "        e[k] = 1e-5\n        g[k] = (f(x + e) - f(x - e)) / 2e-5\n    return g",
            2,
            "should be",
        ),
        ("return 0 * x", 0, "should be"),
        ("return (f(x + 1e-5) - f(x - 1e-5)) / 2e-5", 0, "shape"),
        (
            "g = np.zeros_like(x)\n    for k in np.ndindex(x.shape):\n        e = np.zeros_like(x)\n"
            "        e[k] = 1e-5\n        g[k] = (f(x + e) - f(x - e)) / 1e-5\n    return g",
            0,
            "should be",
        ),
        (
            "g = np.zeros_like(x)\n    for k in np.ndindex(x.shape):\n        e = np.zeros_like(x)\n"
            "        e[k] = 1e-14\n        g[k] = (f(x + e) - f(x - e)) / 2e-14\n    return g",
            0,
            "should be",
        ),
        (
            "g = np.zeros_like(x)\n    for k in np.ndindex(x.shape):\n        e = np.zeros_like(x)\n"
            "        e[k] = 1e-5\n        g[k] = (f(x - e) - f(x + e)) / 2e-5\n    return g",
            0,
            "should be",
        ),
        (
            "g = np.zeros_like(x)\n    for k in np.ndindex(x.shape):\n        e = np.zeros_like(x)\n"
            "        e[k] = 0.1\n        g[k] = (f(x + e) - f(x - e)) / 0.2\n    return g",
            1,
            "should be",
        ),
        ("return f(x)", 0, "shape"),
    ],
}
A2 = {
    ("A2.2", "bag_forward"): [
        (
            "return np.array([(alpha[a:b, None] * W[values[a:b]]).mean(axis=0) if b > a else 0 * W[0] "
            "for a, b in zip(offsets[:-1], offsets[1:])])",
            0,
            "should be",
        ),
        (
            "return np.array([W[values[a:b]].sum(axis=0) for a, b in zip(offsets[:-1], offsets[1:])])",
            0,
            "should be",
        ),
        ("return np.add.reduceat(alpha[:, None] * W[values], offsets[:-1], axis=0)", 1, ""),
        (
            "return np.array([(alpha[a:b, None] * W[values[a:b]]).sum(axis=0) "
            "for a, b in zip(offsets[:-1], offsets[1:]) if b > a])",
            1,
            "shape",
        ),
        (
            "return np.array([sum(W[v] * alpha[i] for i, v in dict(zip(range(a, b), set(values[a:b]))).items()) "
            "+ 0 * W[0] for a, b in zip(offsets[:-1], offsets[1:])])",
            None,
            "",
        ),
        (
            "y = np.zeros((len(offsets) - 1, W.shape[1]))\n"
            "    y[np.repeat(np.arange(len(y)), np.diff(offsets))] += alpha[:, None] * W[values]\n"
            "    return y",
            0,
            "should be",
        ),
        ("return alpha[:, None] * W[values]", 0, "shape"),
        (
            "return np.array([(alpha[a:b - 1, None] * W[values[a:b - 1]]).sum(axis=0) "
            "for a, b in zip(offsets[:-1], offsets[1:])])",
            0,
            "should be",
        ),
        (
            "return np.array([(alpha[a:b, None] * W[values[a:b]]).sum(axis=0) "
            "for a, b in zip(offsets[:-1], offsets[1:])]).T",
            0,
            "shape",
        ),
        (
            "return -np.array([(alpha[a:b, None] * W[values[a:b]]).sum(axis=0) "
            "for a, b in zip(offsets[:-1], offsets[1:])])",
            0,
            "should be",
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
            "alpha",
        ),
        (
            "bag = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))\n    dW = np.zeros_like(W)\n"
            "    np.add.at(dW, values, alpha[:, None] * dy[bag])\n    return dW, np.sum(W[values], axis=1)",
            3,
            "alpha",
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
            "should be",
        ),
        (
            "for i in range(len(rows)):\n        for d in range(table.shape[1]):\n"
            "            table[rows[i], d] -= terms[i, d]",
            0,
            "should be",
        ),
        (
            "for i in range(1, len(rows)):\n        for d in range(table.shape[1]):\n"
            "            table[rows[i], d] += terms[i, d]",
            0,
            "should be",
        ),
        (
            "for i in range(len(rows)):\n        for d in range(table.shape[1] - 1):\n"
            "            table[rows[i], d] += terms[i, d]",
            0,
            "should be",
        ),
        (
            "for i in range(len(rows)):\n        for d in range(table.shape[1]):\n"
            "            table[i % len(table), d] += terms[i, d]",
            0,
            "should be",
        ),
        (
            "for i in range(len(rows)):\n        for d in range(1, table.shape[1]):\n"
            "            table[rows[i], d] += terms[i, d]",
            0,
            "should be",
        ),
        (
            "for i in range(len(rows) - 1):\n        for d in range(table.shape[1]):\n"
            "            table[rows[i], d] += terms[i, d]",
            0,
            "should be",
        ),
        (
            "for i in range(len(rows)):\n        for d in range(table.shape[1]):\n"
            "            table[rows[i], d] += terms[0, d]",
            None,
            "should be",
        ),
        (
            "for i in range(len(rows)):\n        for d in range(table.shape[1]):\n"
            "            table[rows[i], d] += 2 * terms[i, d]",
            0,
            "should be",
        ),
        ("pass", 0, "should be"),
        (
            "for i in range(len(rows)):\n        if i == 0 or rows[i] != rows[i - 1]:\n"
            "            for d in range(table.shape[1]):\n                table[rows[i], d] += terms[i, d]",
            0,
            "should be",
        ),
    ],
}
ALL = {"A1": A1, "A2": A2}
