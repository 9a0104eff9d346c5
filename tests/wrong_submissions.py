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
        ("return np.ones_like(dy) @ W, dy.T @ x, dy.sum(axis=0)", 2, "part without dy"),
        ("return dy @ W, dy.T @ x", 0, "should return 3"),
        ("pass", 0, "nothing"),
    ],
    ("A1.3", "sigmoid_backward"): [
        ("y = 1 / (1 + np.exp(-x))\n    return y * (1 - y)", 0, "ignores the gradient"),
        ("return dy * x * (1 - x)", 0, "evaluated at the wrong place"),
        ("y = 1 / (1 + np.exp(-x))\n    return dy * y", 0, "lost one of its two factors"),
        ("y = 1 / (1 + np.exp(-x))\n    return -dy * y * (1 - y)", 0, "sign"),
        ("y = 1 / (1 + np.exp(-x))\n    return dy * y * (1 - y) / len(x)", 0, "batch"),
        ("return dy", 0, "activation is forgotten"),
        ("y = 1 / (1 + np.exp(x))\n    return dy * y * y", 0, "same factor twice"),
        ("y = 1 / (1 + np.exp(-x))\n    return (dy * y * (1 - y)).sum(axis=0)", 0, "shape"),
        ("y = 1 / (1 + np.exp(-x))\n    return 2 * dy * y * (1 - y)", 0, "2 times"),
        ("return 0 * dy", 0, "zero"),
    ],
    ("A1.4", "log_loss_backward"): [
        ("return dL * (1 / (1 + np.exp(-z)) - t)", 0, "batch"),
        ("return dL * (t - 1 / (1 + np.exp(-z))) / len(z)", 0, "sign"),
        ("return (1 / (1 + np.exp(-z)) - t) / len(z)", 1, "ignores the gradient"),
        ("return dL * (1 / (1 + np.exp(-z)) - t) / len(z) ** 2", 0, "batch"),
        ("return dL * (1 / (1 + np.exp(z)) - t) / len(z)", 0, "probability of no click"),
        ("return dL * (1 / (1 + np.exp(-z)) + t) / len(z)", 0, "sign of the label"),
        ("return dL * (z - t) / len(z)", 0, "logit stands where"),
        ("return dL * np.exp(z) / (1 + np.exp(z)) / len(z) - dL * t / len(z)", 2, "nan"),
        (
            "p = 1 / (1 + np.exp(-z))\n    return dL * (p - t) * p * (1 - p) / len(z)",
            0,
            "applied once more",
        ),
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
        (
            "return np.add.reduceat(alpha[:, None] * W[values], offsets[:-1], axis=0)",
            1,
            "IndexError",
        ),
        (
            "return np.array([(alpha[a:b, None] * W[values[a:b]]).sum(axis=0) "
            "for a, b in zip(offsets[:-1], offsets[1:]) if b > a])",
            1,
            "shape",
        ),
        (
            "return np.array([sum(W[v] * alpha[i] for i, v in dict(zip(range(a, b), set(values[a:b]))).items()) "
            "+ 0 * W[0] for a, b in zip(offsets[:-1], offsets[1:])])",
            1,
            "should be",
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
            "stands in its own gradient",
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
            1,
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
A3 = {
    ("A3.2", "rating_backward"): [
        ("e = r - mu - p @ q\n    return -dL * 2 * e * q, -dL * 2 * e * p", 1, "missing"),
        (
            "e = r - mu - p @ q\n    return dL * 2 * (lam * p + e * q), dL * 2 * (lam * q + e * p)",
            0,
            "sign of the error's term",
        ),
        ("e = r - mu - p @ q\n    return dL * (lam * p - e * q), dL * (lam * q - e * p)", 0, "1/2"),
        (
            "e = r - mu - p @ q\n    return dL * 2 * (lam * p - e * p), dL * 2 * (lam * q - e * q)",
            0,
            "error multiplies the wrong operand",
        ),
        (
            "e = r - mu - p @ q\n    return 2 * (lam * p - e * q), 2 * (lam * q - e * p)",
            0,
            "ignores the gradient",
        ),
        (
            "e = r - p @ q\n    return dL * 2 * (lam * p - e * q), dL * 2 * (lam * q - e * p)",
            0,
            "mu is left out",
        ),
        (
            "e = r - mu - p @ q\n    return dL * 2 * (lam * q - e * p), dL * 2 * (lam * p - e * q)",
            0,
            "wrong operand",
        ),
        (
            "e = r - mu - p @ q\n    return dL * 2 * (lam * p - e * q), -dL * 2 * e * p",
            2,
            "missing",
        ),
        ("e = r - mu - p @ q\n    return dL * 2 * (lam * p - e * q)", 0, "should return 2"),
        ("return 0 * p, 0 * q", 0, "zero"),
    ],
    ("A3.3", "fm_forward"): [
        ("s = z.sum(axis=1)\n    return 0.5 * np.sum(s * s, axis=1)", 0, "should be"),
        (
            "s = z.sum(axis=1)\n    return np.sum(s * s, axis=1) - np.sum(z * z, axis=(1, 2))",
            0,
            "should be",
        ),
        (
            "s = z.sum(axis=1)\n    return 0.5 * (np.sum(s * s, axis=1) + np.sum(z * z, axis=(1, 2)))",
            0,
            "should be",
        ),
        (
            "s = z.sum(axis=2)\n    return 0.5 * (np.sum(s * s, axis=1) - np.sum(z * z, axis=(1, 2)))",
            0,
            "should be",
        ),
        ("s = z.sum(axis=1)\n    return 0.5 * (s * s - np.sum(z * z, axis=1))", 0, "shape"),
        (
            "return np.array([sum(z[b, i] @ z[b, j] for i in range(z.shape[1]) for j in range(i)) for b in range(len(z))])",
            2,
            "loop",
        ),
        ("return np.sum(z[:, :-1] * z[:, 1:], axis=(1, 2))", 0, "should be"),
        ("s = z.sum(axis=1)\n    return 0.5 * float(np.sum(s * s) - np.sum(z * z))", 0, "shape"),
        ("return np.zeros(len(z))", 0, "should be"),
        (
            "s = z.sum(axis=0)\n    return 0.5 * (np.sum(s * s, axis=1) - np.sum(z * z, axis=(1, 2)))",
            0,
            "ValueError",
        ),
    ],
    ("A3.4", "fm_backward"): [
        (
            "return dy[:, None, None] * np.broadcast_to(z.sum(axis=1, keepdims=True), z.shape)",
            0,
            "itself",
        ),
        ("return dy[:, None, None] * (z - z.sum(axis=1, keepdims=True))", 0, "sign"),
        ("return z.sum(axis=1, keepdims=True) - z", 0, "ignores the gradient"),
        ("return 0.5 * dy[:, None, None] * (z.sum(axis=1, keepdims=True) - z)", 0, "1/2"),
        ("return 2 * dy[:, None, None] * (z.sum(axis=1, keepdims=True) - z)", 0, "2 times"),
        ("return dy[:, None, None] * (z.sum(axis=2, keepdims=True) - z)", 0, "runs over axis 2"),
        ("return dy[:, None, None] * (z.sum(axis=0, keepdims=True) - z)", 0, "runs over axis 0"),
        ("return dy[:, None, None] * z", 0, "nothing of the other fields"),
        ("return dy[:, None, None] * (z.sum(axis=1, keepdims=True) - z) / len(z)", 0, "batch"),
        ("return dy[:, None] * (z.sum(axis=1) - z[:, 0])", 0, "shape"),
        ("return 0 * z", 0, "zero"),
    ],
    ("A3.5", "sgd_epoch"): [
        (
            "P, Q = P.copy(), Q.copy()\n    for u, i, r in zip(users, items, ratings):\n        e = r - mu - P[u] @ Q[i]\n        P[u] += eta * (e * Q[i] - lam * P[u])\n        Q[i] += eta * (e * P[u] - lam * Q[i])\n    return P, Q",
            0,
            "should be",
        ),
        (
            "e = ratings - mu - np.sum(P[users] * Q[items], axis=1)\n    A, B = P.copy(), Q.copy()\n    np.add.at(A, users, eta * (e[:, None] * Q[items] - lam * P[users]))\n    np.add.at(B, items, eta * (e[:, None] * P[users] - lam * Q[items]))\n    return A, B",
            1,
            "should be",
        ),
        (
            "P, Q = P.copy(), Q.copy()\n    for u, i, r in zip(users[::-1], items[::-1], ratings[::-1]):\n        p, q = P[u].copy(), Q[i].copy()\n        e = r - mu - p @ q\n        P[u] = p + eta * (e * q - lam * p)\n        Q[i] = q + eta * (e * p - lam * q)\n    return P, Q",
            1,
            "should be",
        ),
        (
            "P, Q = P.copy(), Q.copy()\n    for u, i, r in zip(users, items, ratings):\n        p, q = P[u].copy(), Q[i].copy()\n        e = r - mu - p @ q\n        P[u] = p - eta * (e * q - lam * p)\n        Q[i] = q - eta * (e * p - lam * q)\n    return P, Q",
            0,
            "should be",
        ),
        (
            "P, Q = P.copy(), Q.copy()\n    for u, i, r in zip(users, items, ratings):\n        p, q = P[u].copy(), Q[i].copy()\n        e = r - mu - p @ q\n        P[u] = p + eta * e * q\n        Q[i] = q + eta * e * p\n    return P, Q",
            0,
            "should be",
        ),
        (
            "P, Q = P.copy(), Q.copy()\n    for u, i, r in zip(users, items, ratings):\n        p, q = P[u].copy(), Q[i].copy()\n        e = r - p @ q\n        P[u] = p + eta * (e * q - lam * p)\n        Q[i] = q + eta * (e * p - lam * q)\n    return P, Q",
            0,
            "should be",
        ),
        (
            "P, Q = P.copy(), Q.copy()\n    for u, i, r in zip(users, items, ratings):\n        p, q = P[u].copy(), Q[i].copy()\n        e = r - mu - p @ q\n        P[u] = p + eta * (e * q - lam * p)\n    return P, Q",
            0,
            "Q is",
        ),
        (
            "P, Q = P.copy(), Q.copy()\n    for u, i, r in zip(users, items, ratings):\n        p, q = P[u].copy(), Q[i].copy()\n        e = r - mu - p @ q\n        P[u] = p + 2 * eta * (e * q - lam * p)\n        Q[i] = q + 2 * eta * (e * p - lam * q)\n    return P, Q",
            0,
            "should be",
        ),
        ("return P, Q", 0, "should be"),
        (
            "P, Q = P.copy(), Q.copy()\n    for u, i, r in zip(users, items, ratings):\n        p, q = P[u].copy(), Q[i].copy()\n        e = r - mu - p @ q\n        P[u] = p + eta * (e * q - lam * p)\n        Q[i] = q + eta * (e * p - lam * q)\n    return P",
            0,
            "two arrays",
        ),
    ],
}
A4 = {
    ("A4.2", "mlp_forward"): [
        (
            "for W, b in zip(weights, biases):\n        x = np.maximum(x @ W.T + b, 0)\n    return x",
            0,
            "should be",
        ),
        (
            "for W, b in zip(weights, biases):\n        x = x @ W.T + b\n    return x",
            1,
            "should be",
        ),
        ("for W, b in zip(weights, biases):\n        x = x @ W + b\n    return x", 0, "ValueError"),
        ("for W in weights:\n        x = x @ W.T\n    return x", 0, "should be"),
        (
            "for k, (W, b) in enumerate(zip(weights, biases)):\n        x = np.maximum(x, 0) @ W.T + b\n    return x",
            0,
            "should be",
        ),
        ("return x @ weights[0].T + biases[0]", 1, "shape"),
        (
            "for k, (W, b) in enumerate(zip(weights, biases)):\n        x = x @ W.T + b\n        if k < len(weights) - 1:\n            x = np.abs(x)\n    return x",
            1,
            "should be",
        ),
        (
            "for k, (W, b) in enumerate(zip(weights, biases)):\n        x = x @ W.T - b\n        if k < len(weights) - 1:\n            x = np.maximum(x, 0)\n    return x",
            0,
            "should be",
        ),
        (
            "for k, (W, b) in enumerate(zip(weights, biases)):\n        x = x @ W.T + b\n        if k < len(weights) - 1:\n            x = np.minimum(x, 0)\n    return x",
            1,
            "should be",
        ),
        (
            "for k, (W, b) in enumerate(zip(weights, biases)):\n        x = x @ W.T + b\n        if k < len(weights) - 1:\n            x = np.tanh(x)\n    return x",
            1,
            "should be",
        ),
    ],
    ("A4.3", "mlp_backward"): [
        (
            "a = np.maximum(x @ W1.T + b1, 0)\n    da = dy @ W2\n    return da @ W1, da.T @ x, da.sum(axis=0), dy.T @ a, dy.sum(axis=0)",
            1,
            "activation is forgotten",
        ),
        (
            "a = x @ W1.T + b1\n    da = dy @ W2 * (a > 0)\n    return da @ W1, da.T @ x, da.sum(axis=0), dy.T @ a, dy.sum(axis=0)",
            4,
            "taken before the ReLU",
        ),
        (
            "a = np.maximum(x @ W1.T + b1, 0)\n    da = dy @ W2 * (a > 0)\n    return da @ W1, da.T @ x, da.mean(axis=0), dy.T @ a, dy.sum(axis=0)",
            4,
            "batch",
        ),
        (
            "a = np.maximum(x @ W1.T + b1, 0)\n    da = dy @ W2 * (a > 0)\n    return da @ W1, da.T @ x / len(x), da.sum(axis=0), dy.T @ a, dy.sum(axis=0)",
            4,
            "batch",
        ),
        (
            "a = np.maximum(x @ W1.T + b1, 0)\n    da = dy @ W2 * (a > 0)\n    return -da @ W1, da.T @ x, da.sum(axis=0), dy.T @ a, dy.sum(axis=0)",
            3,
            "sign",
        ),
        (
            "a = np.maximum(x @ W1.T + b1, 0)\n    da = dy @ W2 * (a > 0)\n    return da @ W1, x.T @ da, da.sum(axis=0), dy.T @ a, dy.sum(axis=0)",
            4,
            "transposed",
        ),
        (
            "a = np.maximum(x @ W1.T + b1, 0)\n    da = dy @ W2 * (a > 0)\n    return da @ W1, da.T @ x, da.sum(axis=0), dy.T @ a, 0 * b2",
            4,
            "zero",
        ),
        (
            "a = np.maximum(x @ W1.T + b1, 0)\n    da = dy @ W2 * (a > 0)\n    return da @ W1, da.T @ x, da.sum(axis=0), dy.T @ a, dy.mean(axis=0)",
            4,
            "batch",
        ),
        (
            "a = np.maximum(x @ W1.T + b1, 0)\n    da = dy @ W2 * (dy @ W2 > 0)\n    return da @ W1, da.T @ x, da.sum(axis=0), dy.T @ a, dy.sum(axis=0)",
            1,
            "mask comes from the gradient",
        ),
        (
            "a = np.maximum(x @ W1.T + b1, 0)\n    da = dy @ W2 * (a > 0)\n    return da @ W1, da.T @ x, da.sum(axis=0), dy.T @ a",
            0,
            "should return 5",
        ),
        (
            "a = np.maximum(x @ W1.T + b1, 0)\n    da = dy @ W2 * (a > 0)\n    return da @ W1, da.T @ x, da.sum(axis=0), 2 * dy.T @ a, dy.sum(axis=0)",
            4,
            "2 times",
        ),
    ],
    ("A4.4", "dot_forward"): [
        (
            "i, j = np.triu_indices(z.shape[1], 1)\n    return (z @ z.transpose(0, 2, 1))[:, i, j]",
            0,
            "should be",
        ),
        (
            "i, j = np.tril_indices(z.shape[1])\n    return (z @ z.transpose(0, 2, 1))[:, i, j]",
            0,
            "shape",
        ),
        ("return z @ z.transpose(0, 2, 1)", 0, "shape"),
        (
            "i, j = np.tril_indices(z.shape[1], -1)\n    return (z @ z.transpose(0, 2, 1))[:, i, j].sum(axis=1)",
            0,
            "shape",
        ),
        (
            "i, j = np.tril_indices(z.shape[1], -1)\n    return (z @ z.transpose(0, 2, 1))[:, i, j] / 2",
            0,
            "should be",
        ),
        (
            "i, j = np.tril_indices(z.shape[1], -1)\n    return np.maximum((z @ z.transpose(0, 2, 1))[:, i, j], 0)",
            0,
            "should be",
        ),
        (
            "i, j = np.tril_indices(z.shape[1], -1)\n    return (z[:, i] * z[:, j]).mean(axis=2)",
            0,
            "should be",
        ),
        (
            "i, j = np.tril_indices(z.shape[1], -1)\n    return (z @ z.transpose(0, 2, 1))[:, i, j][:, ::-1]",
            0,
            "should be",
        ),
        ("i, j = np.tril_indices(z.shape[1], -1)\n    return z[:, i] * z[:, j]", 0, "shape"),
        (
            "i, j = np.tril_indices(z.shape[1], -1)\n    return (z @ z.transpose(0, 2, 1))[:, i, j].T",
            0,
            "shape",
        ),
    ],
    ("A4.5", "dot_backward"): [
        (
            "i, j = np.tril_indices(z.shape[1], -1)\n    G = np.zeros((len(z), z.shape[1], z.shape[1]))\n    G[:, i, j] = dy\n    return G @ z",
            0,
            "only one of the two vectors",
        ),
        (
            "i, j = np.tril_indices(z.shape[1], -1)\n    G = np.zeros((len(z), z.shape[1], z.shape[1]))\n    G[:, i, j] = dy\n    return G.transpose(0, 2, 1) @ z",
            0,
            "only one of the two vectors",
        ),
        (
            "i, j = np.triu_indices(z.shape[1], 1)\n    G = np.zeros((len(z), z.shape[1], z.shape[1]))\n    G[:, i, j] = dy\n    return (G + G.transpose(0, 2, 1)) @ z",
            0,
            "paired with the wrong",
        ),
        (
            "i, j = np.tril_indices(z.shape[1], -1)\n    G = np.zeros((len(z), z.shape[1], z.shape[1]))\n    G[:, i, j] = dy\n    return (G + G.transpose(0, 2, 1)) @ z / 2",
            0,
            "1/2",
        ),
        (
            "i, j = np.tril_indices(z.shape[1], -1)\n    G = np.zeros((len(z), z.shape[1], z.shape[1]))\n    G[:, i, j] = dy\n    return -(G + G.transpose(0, 2, 1)) @ z",
            0,
            "sign",
        ),
        (
            "i, j = np.tril_indices(z.shape[1], -1)\n    G = np.zeros((len(z), z.shape[1], z.shape[1]))\n    G[:, i, j] = 1\n    return (G + G.transpose(0, 2, 1)) @ z",
            0,
            "ignores the gradient",
        ),
        (
            "i, j = np.tril_indices(z.shape[1], -1)\n    G = np.zeros((len(z), z.shape[1], z.shape[1]))\n    G[:, i, j] = dy[0]\n    return (G + G.transpose(0, 2, 1)) @ z",
            0,
            "serves the whole batch",
        ),
        (
            "i, j = np.tril_indices(z.shape[1], -1)\n    G = np.zeros((len(z), z.shape[1], z.shape[1]))\n    G[:, i, j] = dy\n    return (G + G.transpose(0, 2, 1)) @ z / len(z)",
            0,
            "batch",
        ),
        ("return 0 * z", 0, "zero"),
        (
            "i, j = np.tril_indices(z.shape[1], -1)\n    dz = np.zeros_like(z)\n    dz[:, i] += dy[:, :, None] * z[:, j]\n    dz[:, j] += dy[:, :, None] * z[:, i]\n    return dz",
            0,
            "repeats is counted once",
        ),
    ],
}
A5 = {
    ("A5.2", "dlrm_forward"): [
        (
            "x1 = dense @ W1.T + b1\n"
            "    z = np.concatenate([x1[:, None], table[ids + starts]], "
            "axis=1)\n"
            "    i, j = np.tril_indices(z.shape[1], -1)\n"
            "    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, "
            "j]], axis=1)\n"
            "    return (np.maximum(u @ W2.T + b2, 0) @ W3.T + b3)[:, 0]",
            0,
            "should be",
        ),
        (
            "x1 = np.maximum(dense @ W1.T + b1, 0)\n"
            "    z = np.concatenate([x1[:, None], table[ids]], axis=1)\n"
            "    i, j = np.tril_indices(z.shape[1], -1)\n"
            "    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, "
            "j]], axis=1)\n"
            "    return (np.maximum(u @ W2.T + b2, 0) @ W3.T + b3)[:, 0]",
            0,
            "should be",
        ),
        (
            "x1 = np.maximum(dense @ W1.T + b1, 0)\n"
            "    z = np.concatenate([x1[:, None], table[ids + starts]], "
            "axis=1)\n"
            "    i, j = np.triu_indices(z.shape[1], 1)\n"
            "    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, "
            "j]], axis=1)\n"
            "    return (np.maximum(u @ W2.T + b2, 0) @ W3.T + b3)[:, 0]",
            0,
            "should be",
        ),
        (
            "x1 = np.maximum(dense @ W1.T + b1, 0)\n"
            "    z = np.concatenate([x1[:, None], table[ids + starts]], "
            "axis=1)\n"
            "    i, j = np.tril_indices(z.shape[1], -1)\n"
            "    u = np.concatenate([0 * x1, (z @ z.transpose(0, 2, 1))[:, i, "
            "j]], axis=1)\n"
            "    return (np.maximum(u @ W2.T + b2, 0) @ W3.T + b3)[:, 0]",
            0,
            "should be",
        ),
        (
            "x1 = np.maximum(dense @ W1.T + b1, 0)\n"
            "    z = np.concatenate([x1[:, None], table[ids + starts]], "
            "axis=1)\n"
            "    i, j = np.tril_indices(z.shape[1], -1)\n"
            "    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, "
            "j]], axis=1)\n"
            "    return ((u @ W2.T + b2) @ W3.T + b3)[:, 0]",
            0,
            "should be",
        ),
        (
            "x1 = np.maximum(dense @ W1.T + b1, 0)\n"
            "    z = np.concatenate([x1[:, None], table[ids + starts]], "
            "axis=1)\n"
            "    i, j = np.tril_indices(z.shape[1], -1)\n"
            "    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, "
            "j]], axis=1)\n"
            "    return (np.maximum(u @ W2.T + b2, 0) @ W3.T + b3)",
            0,
            "shape",
        ),
        (
            "x1 = np.maximum(dense @ W1.T + b1, 0)\n"
            "    z = np.concatenate([x1[:, None], table[ids + starts]], "
            "axis=1)\n"
            "    i, j = np.tril_indices(z.shape[1])\n"
            "    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, "
            "j]], axis=1)\n"
            "    return (np.maximum(u @ W2.T + b2, 0) @ W3.T + b3)[:, 0]",
            0,
            "ValueError",
        ),
        (
            "x1 = np.maximum(dense @ W1.T + b1, 0)\n"
            "    z = np.concatenate([x1[:, None], table[ids + starts]], "
            "axis=1)\n"
            "    i, j = np.tril_indices(z.shape[1], -1)\n"
            "    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, "
            "j]], axis=1)\n"
            "    return (np.maximum(u @ W2.T + b2, 0) @ W3.T)[:, 0]",
            0,
            "should be",
        ),
        (
            "x1 = np.maximum(dense @ W1.T + b1, 0)\n"
            "    z = np.concatenate([x1[:, None], table[ids + starts]], "
            "axis=1)\n"
            "    i, j = np.tril_indices(z.shape[1], -1)\n"
            "    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, "
            "j]], axis=1)\n"
            "    return 1 / (1 + np.exp(-(np.maximum(u @ W2.T + b2, 0) @ W3.T "
            "+ b3)[:, 0]))",
            0,
            "should be",
        ),
        (
            "x1 = np.maximum(dense @ W1.T + b1, 0)\n"
            "    z = np.concatenate([table[ids + starts], x1[:, None]], "
            "axis=1)\n"
            "    i, j = np.tril_indices(z.shape[1], -1)\n"
            "    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, "
            "j]], axis=1)\n"
            "    return (np.maximum(u @ W2.T + b2, 0) @ W3.T + b3)[:, 0]",
            0,
            "should be",
        ),
    ],
    ("A5.3", "dlrm_backward"): [
        (
            "D = table.shape[1]\n"
            "    x1 = np.maximum(dense @ W1.T + b1, 0)\n"
            "    rows = ids + starts\n"
            "    z = np.concatenate([x1[:, None], table[rows]], axis=1)\n"
            "    i, j = np.tril_indices(z.shape[1], -1)\n"
            "    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, "
            "j]], axis=1)\n"
            "    a = np.maximum(u @ W2.T + b2, 0)\n"
            "    da = dlogits[:, None] * W3 * (a > 0)\n"
            "    du = da @ W2\n"
            "    G = np.zeros((len(z), z.shape[1], z.shape[1]))\n"
            "    G[:, i, j] = du[:, D:]\n"
            "    dz = (G + G.transpose(0, 2, 1)) @ z\n"
            "    dx1 = (du[:, :D]) * (x1 > 0)\n"
            "    dtable = np.zeros_like(table)\n"
            "    np.add.at(dtable, rows, dz[:, 1:])\n"
            "    dW1, db1 = dx1.T @ dense, dx1.sum(axis=0)\n"
            "    dW2, db2 = da.T @ u, da.sum(axis=0)\n"
            "    return dtable, dW1, db1, dW2, db2, dlogits[None] @ a, "
            "dlogits.sum(keepdims=True)",
            3,
            "nothing comes back from the dot products",
        ),
        (
            "D = table.shape[1]\n"
            "    x1 = np.maximum(dense @ W1.T + b1, 0)\n"
            "    rows = ids + starts\n"
            "    z = np.concatenate([x1[:, None], table[rows]], axis=1)\n"
            "    i, j = np.tril_indices(z.shape[1], -1)\n"
            "    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, "
            "j]], axis=1)\n"
            "    a = np.maximum(u @ W2.T + b2, 0)\n"
            "    da = dlogits[:, None] * W3 * (a > 0)\n"
            "    du = da @ W2\n"
            "    G = np.zeros((len(z), z.shape[1], z.shape[1]))\n"
            "    G[:, i, j] = du[:, D:]\n"
            "    dz = (G + G.transpose(0, 2, 1)) @ z\n"
            "    dx1 = (dz[:, 0]) * (x1 > 0)\n"
            "    dtable = np.zeros_like(table)\n"
            "    np.add.at(dtable, rows, dz[:, 1:])\n"
            "    dW1, db1 = dx1.T @ dense, dx1.sum(axis=0)\n"
            "    dW2, db2 = da.T @ u, da.sum(axis=0)\n"
            "    return dtable, dW1, db1, dW2, db2, dlogits[None] @ a, "
            "dlogits.sum(keepdims=True)",
            3,
            "only the dot products",
        ),
        (
            "D = table.shape[1]\n"
            "    x1 = np.maximum(dense @ W1.T + b1, 0)\n"
            "    rows = ids + starts\n"
            "    z = np.concatenate([x1[:, None], table[rows]], axis=1)\n"
            "    i, j = np.tril_indices(z.shape[1], -1)\n"
            "    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, "
            "j]], axis=1)\n"
            "    a = np.maximum(u @ W2.T + b2, 0)\n"
            "    da = dlogits[:, None] * W3 * (a > 0)\n"
            "    du = da @ W2\n"
            "    G = np.zeros((len(z), z.shape[1], z.shape[1]))\n"
            "    G[:, i, j] = du[:, D:]\n"
            "    dz = (G + G.transpose(0, 2, 1)) @ z\n"
            "    dx1 = (du[:, :D] + dz[:, 0]) * (x1 > 0)\n"
            "    dtable = np.zeros_like(table)\n"
            "    dtable[rows] += dz[:, 1:]\n"
            "    dW1, db1 = dx1.T @ dense, dx1.sum(axis=0)\n"
            "    dW2, db2 = da.T @ u, da.sum(axis=0)\n"
            "    return dtable, dW1, db1, dW2, db2, dlogits[None] @ a, "
            "dlogits.sum(keepdims=True)",
            3,
            "only one use is counted",
        ),
        (
            "D = table.shape[1]\n"
            "    x1 = np.maximum(dense @ W1.T + b1, 0)\n"
            "    rows = ids + starts\n"
            "    z = np.concatenate([x1[:, None], table[rows]], axis=1)\n"
            "    i, j = np.tril_indices(z.shape[1], -1)\n"
            "    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, "
            "j]], axis=1)\n"
            "    a = np.maximum(u @ W2.T + b2, 0)\n"
            "    da = dlogits[:, None] * W3 * (a > 0)\n"
            "    du = da @ W2\n"
            "    G = np.zeros((len(z), z.shape[1], z.shape[1]))\n"
            "    G[:, i, j] = du[:, D:]\n"
            "    dz = G @ z\n"
            "    dx1 = (du[:, :D] + dz[:, 0]) * (x1 > 0)\n"
            "    dtable = np.zeros_like(table)\n"
            "    np.add.at(dtable, rows, dz[:, 1:])\n"
            "    dW1, db1 = dx1.T @ dense, dx1.sum(axis=0)\n"
            "    dW2, db2 = da.T @ u, da.sum(axis=0)\n"
            "    return dtable, dW1, db1, dW2, db2, dlogits[None] @ a, "
            "dlogits.sum(keepdims=True)",
            1,
            "only one of the two vectors",
        ),
        (
            "D = table.shape[1]\n"
            "    x1 = np.maximum(dense @ W1.T + b1, 0)\n"
            "    rows = ids + starts\n"
            "    z = np.concatenate([x1[:, None], table[rows]], axis=1)\n"
            "    i, j = np.tril_indices(z.shape[1], -1)\n"
            "    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, "
            "j]], axis=1)\n"
            "    a = np.maximum(u @ W2.T + b2, 0)\n"
            "    da = dlogits[:, None] * W3 * (a > 0)\n"
            "    du = da @ W2\n"
            "    G = np.zeros((len(z), z.shape[1], z.shape[1]))\n"
            "    G[:, i, j] = du[:, D:]\n"
            "    dz = (G + G.transpose(0, 2, 1)) @ z\n"
            "    dx1 = (du[:, :D] + dz[:, 0])\n"
            "    dtable = np.zeros_like(table)\n"
            "    np.add.at(dtable, rows, dz[:, 1:])\n"
            "    dW1, db1 = dx1.T @ dense, dx1.sum(axis=0)\n"
            "    dW2, db2 = da.T @ u, da.sum(axis=0)\n"
            "    return dtable, dW1, db1, dW2, db2, dlogits[None] @ a, "
            "dlogits.sum(keepdims=True)",
            3,
            "bottom's ReLU",
        ),
        (
            "D = table.shape[1]\n"
            "    x1 = np.maximum(dense @ W1.T + b1, 0)\n"
            "    rows = ids + starts\n"
            "    z = np.concatenate([x1[:, None], table[rows]], axis=1)\n"
            "    i, j = np.tril_indices(z.shape[1], -1)\n"
            "    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, "
            "j]], axis=1)\n"
            "    a = np.maximum(u @ W2.T + b2, 0)\n"
            "    da = dlogits[:, None] * W3\n"
            "    du = da @ W2\n"
            "    G = np.zeros((len(z), z.shape[1], z.shape[1]))\n"
            "    G[:, i, j] = du[:, D:]\n"
            "    dz = (G + G.transpose(0, 2, 1)) @ z\n"
            "    dx1 = (du[:, :D] + dz[:, 0]) * (x1 > 0)\n"
            "    dtable = np.zeros_like(table)\n"
            "    np.add.at(dtable, rows, dz[:, 1:])\n"
            "    dW1, db1 = dx1.T @ dense, dx1.sum(axis=0)\n"
            "    dW2, db2 = da.T @ u, da.sum(axis=0)\n"
            "    return dtable, dW1, db1, dW2, db2, dlogits[None] @ a, "
            "dlogits.sum(keepdims=True)",
            0,
            "top's ReLU",
        ),
        (
            "D = table.shape[1]\n"
            "    x1 = np.maximum(dense @ W1.T + b1, 0)\n"
            "    rows = ids + starts\n"
            "    z = np.concatenate([x1[:, None], table[rows]], axis=1)\n"
            "    i, j = np.tril_indices(z.shape[1], -1)\n"
            "    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, "
            "j]], axis=1)\n"
            "    a = np.maximum(u @ W2.T + b2, 0)\n"
            "    da = dlogits[:, None] * W3 * (a > 0)\n"
            "    du = da @ W2\n"
            "    G = np.zeros((len(z), z.shape[1], z.shape[1]))\n"
            "    G[:, i, j] = du[:, D:]\n"
            "    dz = (G + G.transpose(0, 2, 1)) @ z\n"
            "    dx1 = (du[:, :D] + dz[:, 0]) * (x1 > 0)\n"
            "    dtable = np.zeros_like(table)\n"
            "    np.add.at(dtable, ids, dz[:, 1:])\n"
            "    dW1, db1 = dx1.T @ dense, dx1.sum(axis=0)\n"
            "    dW2, db2 = da.T @ u, da.sum(axis=0)\n"
            "    return dtable, dW1, db1, dW2, db2, dlogits[None] @ a, "
            "dlogits.sum(keepdims=True)",
            3,
            "another table",
        ),
        (
            "D = table.shape[1]\n"
            "    x1 = np.maximum(dense @ W1.T + b1, 0)\n"
            "    rows = ids + starts\n"
            "    z = np.concatenate([x1[:, None], table[rows]], axis=1)\n"
            "    i, j = np.tril_indices(z.shape[1], -1)\n"
            "    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, "
            "j]], axis=1)\n"
            "    a = np.maximum(u @ W2.T + b2, 0)\n"
            "    da = dlogits[:, None] * W3 * (a > 0)\n"
            "    du = da @ W2\n"
            "    G = np.zeros((len(z), z.shape[1], z.shape[1]))\n"
            "    G[:, i, j] = du[:, D:]\n"
            "    dz = (G + G.transpose(0, 2, 1)) @ z\n"
            "    dx1 = (du[:, :D] + dz[:, 0]) * (x1 > 0)\n"
            "    dtable = np.zeros_like(table)\n"
            "    np.add.at(dtable, rows, dz[:, 1:])\n"
            "    dW1, db1 = dx1.T @ dense, dx1.sum(axis=0)\n"
            "    dW2, db2 = da.T @ u, da.sum(axis=0)\n"
            "    return dtable, dW1, db1, dW2, db2, dlogits[None] @ a, "
            "dlogits.mean(keepdims=True)",
            4,
            "batch",
        ),
        (
            "D = table.shape[1]\n"
            "    x1 = np.maximum(dense @ W1.T + b1, 0)\n"
            "    rows = ids + starts\n"
            "    z = np.concatenate([x1[:, None], table[rows]], axis=1)\n"
            "    i, j = np.tril_indices(z.shape[1], -1)\n"
            "    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, "
            "j]], axis=1)\n"
            "    a = np.maximum(u @ W2.T + b2, 0)\n"
            "    da = dlogits[:, None] * W3 * (a > 0)\n"
            "    du = da @ W2\n"
            "    G = np.zeros((len(z), z.shape[1], z.shape[1]))\n"
            "    G[:, i, j] = du[:, D:]\n"
            "    dz = (G + G.transpose(0, 2, 1)) @ z\n"
            "    dx1 = (du[:, :D] + dz[:, 0]) * (x1 > 0)\n"
            "    dtable = np.zeros_like(table)\n"
            "    np.add.at(dtable, rows, dz[:, 1:])\n"
            "    dW1, db1 = dx1.T @ dense, dx1.sum(axis=0)\n"
            "    dW2, db2 = da.T @ u / len(u), da.sum(axis=0)\n"
            "    return dtable, dW1, db1, dW2, db2, dlogits[None] @ a, "
            "dlogits.sum(keepdims=True)",
            4,
            "batch",
        ),
        (
            "D = table.shape[1]\n"
            "    x1 = np.maximum(dense @ W1.T + b1, 0)\n"
            "    rows = ids + starts\n"
            "    z = np.concatenate([x1[:, None], table[rows]], axis=1)\n"
            "    i, j = np.tril_indices(z.shape[1], -1)\n"
            "    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, "
            "j]], axis=1)\n"
            "    a = np.maximum(u @ W2.T + b2, 0)\n"
            "    da = dlogits[:, None] * W3 * (a > 0)\n"
            "    du = da @ W2\n"
            "    G = np.zeros((len(z), z.shape[1], z.shape[1]))\n"
            "    G[:, i, j] = du[:, D:]\n"
            "    dz = (G + G.transpose(0, 2, 1)) @ z\n"
            "    dx1 = (du[:, :D] + dz[:, 0]) * (x1 > 0)\n"
            "    dtable = np.zeros_like(table)\n"
            "    np.add.at(dtable, rows, dz[:, 1:])\n"
            "    dW1, db1 = dx1.T @ dense, dx1.sum(axis=0)\n"
            "    dW2, db2 = da.T @ u, da.sum(axis=0)\n"
            "    return -dtable, dW1, db1, dW2, db2, dlogits[None] @ a, "
            "dlogits.sum(keepdims=True)",
            3,
            "sign",
        ),
        (
            "D = table.shape[1]\n"
            "    x1 = np.maximum(dense @ W1.T + b1, 0)\n"
            "    rows = ids + starts\n"
            "    z = np.concatenate([x1[:, None], table[rows]], axis=1)\n"
            "    i, j = np.tril_indices(z.shape[1], -1)\n"
            "    u = np.concatenate([x1, (z @ z.transpose(0, 2, 1))[:, i, "
            "j]], axis=1)\n"
            "    a = np.maximum(u @ W2.T + b2, 0)\n"
            "    da = dlogits[:, None] * W3 * (a > 0)\n"
            "    du = da @ W2\n"
            "    G = np.zeros((len(z), z.shape[1], z.shape[1]))\n"
            "    G[:, i, j] = du[:, D:]\n"
            "    dz = (G + G.transpose(0, 2, 1)) @ z\n"
            "    dx1 = (du[:, :D] + dz[:, 0]) * (x1 > 0)\n"
            "    dtable = np.zeros_like(table)\n"
            "    np.add.at(dtable, rows, dz[:, 1:])\n"
            "    dW1, db1 = dx1.T @ dense, dx1.mean(axis=0)\n"
            "    dW2, db2 = da.T @ u, da.sum(axis=0)\n"
            "    return dtable, dW1, db1, dW2, db2, dlogits[None] @ a, "
            "dlogits.sum(keepdims=True)",
            3,
            "batch",
        ),
    ],
    ("A5.4", "train_and_predict"): [
        ("return np.zeros(len(test_dense))", 0, "closed"),
        ("return np.zeros(3)", 0, "finite logits"),
        ("return np.full(len(test_dense), np.nan)", 0, "finite logits"),
        ("pass", 0, "no array"),
        ("while True:\n        next_batch()", 0, "more than 600 times"),
        ("return 5 + np.zeros(len(test_dense))", 0, "closed"),
        (
            "rng, D, h = np.random.default_rng(0), 8, 32\n"
            "    starts = np.cumsum([0, *table_sizes[:-1]])\n"
            "    width = D + (len(table_sizes) + 1) * len(table_sizes) "
            "// 2\n"
            "\n"
            "    def layer(n, m):\n"
            "        return rng.normal(0, np.sqrt(2 / n), (m, n))\n"
            "\n"
            "    params = [rng.normal(0, 0.3, (sum(table_sizes), D))]\n"
            "    params += [layer(num_dense, D), np.zeros(D), "
            "layer(width, h), np.zeros(h)]\n"
            "    params += [layer(h, 1), np.zeros(1)]\n"
            "    first, second = [0 * p for p in params], [0 * p for p "
            "in params]\n"
            "    for step in range(1, 3):\n"
            "        dense, ids, label = next_batch()\n"
            "        logits = dlrm_forward(dense, ids, starts, *params)\n"
            "        dlogits = (1 / (1 + np.exp(-logits)) - label) / "
            "len(label)\n"
            "        grads = dlrm_backward(dlogits, dense, ids, starts, "
            "*params)\n"
            "        for p, g, m, v in zip(params, grads, first, second, "
            "strict=True):\n"
            "            m += 0.1 * (g - m)\n"
            "            v += 0.001 * (g * g - v)\n"
            "            rate = 0.01 * np.sqrt(1 - 0.999**step) / (1 - "
            "0.9**step)\n"
            "            p -= rate * m / (np.sqrt(v) + 1e-8)\n"
            "    return dlrm_forward(test_dense, test_ids, starts, "
            "*params)",
            0,
            "closed",
        ),
        (
            "rng, D, h = np.random.default_rng(0), 8, 32\n"
            "    starts = np.cumsum([0, *table_sizes[:-1]])\n"
            "    width = D + (len(table_sizes) + 1) * len(table_sizes) "
            "// 2\n"
            "\n"
            "    def layer(n, m):\n"
            "        return rng.normal(0, np.sqrt(2 / n), (m, n))\n"
            "\n"
            "    params = [rng.normal(0, 0.3, (sum(table_sizes), D))]\n"
            "    params += [layer(num_dense, D), np.zeros(D), "
            "layer(width, h), np.zeros(h)]\n"
            "    params += [layer(h, 1), np.zeros(1)]\n"
            "    first, second = [0 * p for p in params], [0 * p for p "
            "in params]\n"
            "    for step in range(1, 601):\n"
            "        dense, ids, label = next_batch()\n"
            "        logits = dlrm_forward(dense, ids, starts, *params)\n"
            "        dlogits = (1 / (1 + np.exp(-logits)) - label) / "
            "len(label)\n"
            "        grads = dlrm_backward(dlogits, dense, ids, starts, "
            "*params)\n"
            "        for p, g, m, v in zip(params, grads, first, second, "
            "strict=True):\n"
            "            m += 0.1 * (g - m)\n"
            "            v += 0.001 * (g * g - v)\n"
            "            rate = 0.01 * np.sqrt(1 - 0.999**step) / (1 - "
            "0.9**step)\n"
            "            p += rate * m / (np.sqrt(v) + 1e-8)\n"
            "    return dlrm_forward(test_dense, test_ids, starts, "
            "*params)",
            0,
            "closed",
        ),
        (
            "rng, D, h = np.random.default_rng(0), 8, 32\n"
            "    starts = np.cumsum([0, *table_sizes[:-1]])\n"
            "    width = D + (len(table_sizes) + 1) * len(table_sizes) "
            "// 2\n"
            "\n"
            "    def layer(n, m):\n"
            "        return rng.normal(0, np.sqrt(2 / n), (m, n))\n"
            "\n"
            "    params = [rng.normal(0, 0.3, (sum(table_sizes), D))]\n"
            "    params += [layer(num_dense, D), np.zeros(D), "
            "layer(width, h), np.zeros(h)]\n"
            "    params += [layer(h, 1), np.zeros(1)]\n"
            "    first, second = [0 * p for p in params], [0 * p for p "
            "in params]\n"
            "    for step in range(1, 602):\n"
            "        dense, ids, label = next_batch()\n"
            "        logits = dlrm_forward(dense, ids, starts, *params)\n"
            "        dlogits = (1 / (1 + np.exp(-logits)) - label) / "
            "len(label)\n"
            "        grads = dlrm_backward(dlogits, dense, ids, starts, "
            "*params)\n"
            "        for p, g, m, v in zip(params, grads, first, second, "
            "strict=True):\n"
            "            m += 0.1 * (g - m)\n"
            "            v += 0.001 * (g * g - v)\n"
            "            rate = 0.01 * np.sqrt(1 - 0.999**step) / (1 - "
            "0.9**step)\n"
            "            p -= rate * m / (np.sqrt(v) + 1e-8)\n"
            "    return dlrm_forward(test_dense, test_ids, starts, "
            "*params)",
            0,
            "more than 600 times",
        ),
        (
            "rng, D, h = np.random.default_rng(0), 8, 32\n"
            "    starts = np.cumsum([0, *table_sizes[:-1]])\n"
            "    width = D + (len(table_sizes) + 1) * len(table_sizes) "
            "// 2\n"
            "\n"
            "    def layer(n, m):\n"
            "        return rng.normal(0, np.sqrt(2 / n), (m, n))\n"
            "\n"
            "    params = [rng.normal(0, 0.3, (sum(table_sizes), D))]\n"
            "    params += [layer(num_dense, D), np.zeros(D), "
            "layer(width, h), np.zeros(h)]\n"
            "    params += [layer(h, 1), np.zeros(1)]\n"
            "    first, second = [0 * p for p in params], [0 * p for p "
            "in params]\n"
            "    for step in range(1, 601):\n"
            "        dense, ids, label = next_batch()\n"
            "        logits = dlrm_forward(dense, ids, starts, *params)\n"
            "        dlogits = (1 / (1 + np.exp(-logits)) - label) / "
            "len(label)\n"
            "        grads = dlrm_backward(dlogits, dense, ids, starts, "
            "*params)\n"
            "        for p, g, m, v in zip(params, grads, first, second, "
            "strict=True):\n"
            "            m += 0.1 * (g - m)\n"
            "            v += 0.001 * (g * g - v)\n"
            "            rate = 1e-6 * np.sqrt(1 - 0.999**step) / (1 - "
            "0.9**step)\n"
            "            p -= rate * m / (np.sqrt(v) + 1e-8)\n"
            "    return dlrm_forward(test_dense, test_ids, starts, "
            "*params)",
            0,
            "closed",
        ),
    ],
}
A6 = {
    ("A6.2", "cross_forward"): [
        ("return x0 * (x @ W.T + b)", 0, "should be"),
        ("return x0 * (x @ W.T) + x", 0, "should be"),
        ("return x0 * (x @ W + b) + x", 0, "should be"),
        ("return x * (x @ W.T + b) + x", 0, "should be"),
        ("return x0 * (x0 @ W.T + b) + x", 0, "should be"),
        ("return x0 * (x @ W.T + b) + x0", 0, "should be"),
        ("return (x @ W.T + b) + x", 0, "should be"),
        ("return x0 * (x @ W.T) + b + x", 0, "should be"),
        ("return x0 @ (x @ W.T + b).T + x[:, :1]", 0, "shape"),
        ("return x0 * np.maximum(x @ W.T + b, 0) + x", 0, "should be"),
    ],
    ("A6.3", "cross_backward"): [
        (
            "dg = dy * x0\n    return dy * (x @ W.T + b), dg @ W, dg.T @ x, dg.sum(axis=0)",
            2,
            "dy itself",
        ),
        (
            "dg = dy * x0\n    return dy * (x @ W.T + b), dg @ W.T + dy, dg.T @ x, dg.sum(axis=0)",
            2,
            "W is transposed",
        ),
        (
            "dg = dy * x0\n    return dy * (x @ W.T + b), dy @ W + dy, dg.T @ x, dg.sum(axis=0)",
            2,
            "x0 is left out",
        ),
        (
            "dg = dy * x0\n    return dy * (x @ W.T), dg @ W + dy, dg.T @ x, dg.sum(axis=0)",
            3,
            "bias is left out",
        ),
        (
            "dg = dy * x0\n    return x @ W.T + b, dg @ W + dy, dg.T @ x, dg.sum(axis=0)",
            3,
            "part without dy",
        ),
        (
            "dg = dy * x0\n    return dy * (x @ W.T + b), dg @ W + dy, x.T @ dg, dg.sum(axis=0)",
            3,
            "transpose",
        ),
        (
            "dg = dy * x0\n    return dy * (x @ W.T + b), dg @ W + dy, dg.T @ x, dg.mean(axis=0)",
            3,
            "batch",
        ),
        (
            "dg = dy * x0\n    return dy * (x @ W.T + b), dg @ W + dy, dg.T @ x, dy.sum(axis=0)",
            3,
            "x0 is left out",
        ),
        (
            "dg = dy * x0\n    return dy * (x @ W.T + b), dg @ W + dy, dg.T @ x0, dg.sum(axis=0)",
            3,
            "wrong input",
        ),
        (
            "dg = dy * x0\n    return dy * (x @ W.T + b), dg @ W - dy, dg.T @ x, dg.sum(axis=0)",
            2,
            "straight path",
        ),
        ("dg = dy * x0\n    return dy * (x @ W.T + b), dg @ W + dy, dg.T @ x, dg", 3, "sum"),
    ],
    ("A6.4", "network_backward"): [
        (
            "x1 = cross_forward(x0, x0, W1, b1)\n"
            "    second, dx1, dW2, db2 = cross_backward(dy, x0, x1, W2, "
            "b2)\n"
            "    first, dx, dW1, db1 = cross_backward(dx1, x0, x0, W1, "
            "b1)\n"
            "    return first + second, dW1, db1, dW2, db2",
            1,
            "x0 as the x of the first",
        ),
        (
            "x1 = cross_forward(x0, x0, W1, b1)\n"
            "    second, dx1, dW2, db2 = cross_backward(dy, x0, x1, W2, "
            "b2)\n"
            "    first, dx, dW1, db1 = cross_backward(dx1, x0, x0, W1, "
            "b1)\n"
            "    return first + dx, dW1, db1, dW2, db2",
            1,
            "x0 as the factor of the second",
        ),
        (
            "x1 = cross_forward(x0, x0, W1, b1)\n"
            "    second, dx1, dW2, db2 = cross_backward(dy, x0, x1, W2, "
            "b2)\n"
            "    first, dx, dW1, db1 = cross_backward(dx1, x0, x0, W1, "
            "b1)\n"
            "    return second + dx, dW1, db1, dW2, db2",
            1,
            "x0 as the factor of the first",
        ),
        (
            "x1 = cross_forward(x0, x0, W1, b1)\n"
            "    second, dx1, dW2, db2 = cross_backward(dy, x0, x1, W2, "
            "b2)\n"
            "    first, dx, dW1, db1 = cross_backward(dx1, x0, x0, W1, "
            "b1)\n"
            "    return dx, dW1, db1, dW2, db2",
            1,
            "first layer and x0 as the factor",
        ),
        (
            "x1 = cross_forward(x0, x0, W1, b1)\n"
            "    second, dx1, dW2, db2 = cross_backward(dy, x0, x1, W2, "
            "b2)\n"
            "    first, dx, dW1, db1 = cross_backward(dx1, x0, x0, W1, "
            "b1)\n"
            "    return first + second + dx, dW2, db2, dW1, db1",
            2,
            "wrong operand",
        ),
        (
            "x1 = cross_forward(x0, x0, W1, b1)\n"
            "    second, dx1, dW2, db2 = cross_backward(dy, x0, x1, W2, "
            "b2)\n"
            "    first, dx, dW1, db1 = cross_backward(dx1, x0, x0, W1, "
            "b1)\n"
            "    return first + second + dx, 0 * dW1, db1, dW2, db2",
            2,
            "zero",
        ),
        (
            "x1 = cross_forward(x0, x0, W1, b1)\n"
            "    second, dx1, dW2, db2 = cross_backward(dy, x0, x1, W2, "
            "b2)\n"
            "    first, dx, dW1, db1 = cross_backward(dy, x0, x0, W1, "
            "b1)\n"
            "    return first + second + dx, dW1, db1, dW2, db2",
            0,
            "first layer gets dy",
        ),
        (
            "x1 = cross_forward(x0, x0, W1, b1)\n"
            "    second, dx1, dW2, db2 = cross_backward(dy, x0, x0, W2, "
            "b2)\n"
            "    first, dx, dW1, db1 = cross_backward(dx1, x0, x0, W1, "
            "b1)\n"
            "    return first + second + dx, dW1, db1, dW2, db2",
            0,
            "input is taken to be x0",
        ),
        (
            "x1 = cross_forward(x0, x0, W1, b1)\n"
            "    second, dx1, dW2, db2 = cross_backward(dy, x0, x1, W2, "
            "b2)\n"
            "    first, dx, dW1, db1 = cross_backward(dx1, x0, x0, W1, "
            "b1)\n"
            "    return -(first + second + dx), dW1, db1, dW2, db2",
            1,
            "sign",
        ),
        ("return 0 * x0, 0 * W1, 0 * b1, 0 * W2, 0 * b2", 0, "zero"),
    ],
}
ALL = {"A1": A1, "A2": A2, "A3": A3, "A4": A4, "A5": A5, "A6": A6}
