"""Wrong answers to A3: matrix factorization and factorization machines."""

from minidlrm.grading.proving import NUMBERS, TESTS

WRONG = {
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
            "go to the wrong arrays",
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
        ("s = z.sum(axis=1)\n    return 0.5 * np.sum(s * s, axis=1)", 0, "not taken off"),
        (
            "s = z.sum(axis=1)\n    return np.sum(s * s, axis=1) - np.sum(z * z, axis=(1, 2))",
            0,
            "2 times",
        ),
        (
            "s = z.sum(axis=1)\n    return 0.5 * (np.sum(s * s, axis=1) + np.sum(z * z, axis=(1, 2)))",
            0,
            "are added, not taken off",
        ),
        (
            "s = z.sum(axis=2)\n    return 0.5 * (np.sum(s * s, axis=1) - np.sum(z * z, axis=(1, 2)))",
            0,
            "wrong axis",
        ),
        (
            "s = z.sum(axis=1)\n    return 0.5 * (s * s - np.sum(z * z, axis=1))",
            0,
            "entries of a vector is missing",
        ),
        (
            "return np.array([sum(z[b, i] @ z[b, j] for i in range(z.shape[1]) for j in range(i)) for b in range(len(z))])",
            2,
            "loop",
        ),
        ("return np.sum(z[:, :-1] * z[:, 1:], axis=(1, 2))", 0, "neighbours"),
        (
            "s = z.sum(axis=1)\n    return 0.5 * float(np.sum(s * s) - np.sum(z * z))",
            0,
            "all samples are added up",
        ),
        ("return np.zeros(len(z))", 0, "every value is 0"),
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
            "new value",
        ),
        (
            "e = ratings - mu - np.sum(P[users] * Q[items], axis=1)\n    A, B = P.copy(), Q.copy()\n    np.add.at(A, users, eta * (e[:, None] * Q[items] - lam * P[users]))\n    np.add.at(B, items, eta * (e[:, None] * P[users] - lam * Q[items]))\n    return A, B",
            1,
            "before the first step",
        ),
        (
            "P, Q = P.copy(), Q.copy()\n    for u, i, r in zip(users[::-1], items[::-1], ratings[::-1]):\n        p, q = P[u].copy(), Q[i].copy()\n        e = r - mu - p @ q\n        P[u] = p + eta * (e * q - lam * p)\n        Q[i] = q + eta * (e * p - lam * q)\n    return P, Q",
            1,
            "in reverse",
        ),
        (
            "P, Q = P.copy(), Q.copy()\n    for u, i, r in zip(users, items, ratings):\n        p, q = P[u].copy(), Q[i].copy()\n        e = r - mu - p @ q\n        P[u] = p - eta * (e * q - lam * p)\n        Q[i] = q - eta * (e * p - lam * q)\n    return P, Q",
            0,
            "uphill",
        ),
        (
            "P, Q = P.copy(), Q.copy()\n    for u, i, r in zip(users, items, ratings):\n        p, q = P[u].copy(), Q[i].copy()\n        e = r - mu - p @ q\n        P[u] = p + eta * e * q\n        Q[i] = q + eta * e * p\n    return P, Q",
            0,
            "penalty is left out",
        ),
        (
            "P, Q = P.copy(), Q.copy()\n    for u, i, r in zip(users, items, ratings):\n        p, q = P[u].copy(), Q[i].copy()\n        e = r - p @ q\n        P[u] = p + eta * (e * q - lam * p)\n        Q[i] = q + eta * (e * p - lam * q)\n    return P, Q",
            0,
            "mu is left out",
        ),
        (
            "P, Q = P.copy(), Q.copy()\n    for u, i, r in zip(users, items, ratings):\n        p, q = P[u].copy(), Q[i].copy()\n        e = r - mu - p @ q\n        P[u] = p + eta * (e * q - lam * p)\n    return P, Q",
            0,
            "Q does not move",
        ),
        (
            "P, Q = P.copy(), Q.copy()\n    for u, i, r in zip(users, items, ratings):\n        p, q = P[u].copy(), Q[i].copy()\n        e = r - mu - p @ q\n        P[u] = p + 2 * eta * (e * q - lam * p)\n        Q[i] = q + 2 * eta * (e * p - lam * q)\n    return P, Q",
            0,
            "factor 2",
        ),
        ("return P, Q", 0, "P does not move"),
        (
            "P, Q = P.copy(), Q.copy()\n    for u, i, r in zip(users, items, ratings):\n        p, q = P[u].copy(), Q[i].copy()\n        e = r - mu - p @ q\n        P[u] = p + eta * (e * q - lam * p)\n        Q[i] = q + eta * (e * p - lam * q)\n    return P",
            0,
            "two arrays",
        ),
    ],
    ("A3.6", "my_sum_of_pairs"): [
        ("z = my_vectors()\n    return float(np.sum(np.tril(z @ z.T)))", 0, "with itself"),
        *NUMBERS,
    ],
    ("A3.7", "is_fm"): [
        (
            "return bool(np.allclose(forward(np.ones((1, 3, 2))), 6))",
            0.9,
            "finds 30% of the planted mistakes. It does not notice",
        ),
        ("return np.shape(backward(np.ones(2), np.ones((2, 3, 4)))) == (2, 3, 4)", 0, "finds none"),
        *TESTS,
    ],
}
