"""Wrong answers to A1: gradients by hand."""

from minidlrm.grading.proving import NUMBERS, TESTS

WRONG = {
    ("A1.2", "linear_backward"): [
        ("return dy @ W.T, dy.T @ x, dy.sum(axis=0)", 0, "ValueError"),
        ("return dy @ W, x.T @ dy, dy.sum(axis=0)", 2, "transposed"),
        ("return dy @ W, dy.T @ x, dy.mean(axis=0)", 2, "batch"),
        ("return dy @ W, dy.T @ x / len(x), dy.sum(axis=0)", 2, "batch"),
        ("return dy @ W, dy.T @ x, dy", 2, "sum"),
        ("return dy @ W, dy.T @ x, dy[0]", 2, "only one sample is counted"),
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
        ("return dL * (z - t) / len(z)", 0, "logit is in the place of"),
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
            "to one side of x",
        ),
        (
            "g = np.zeros_like(x)\n    for k in np.ndindex(x.shape):\n        x[k] += 6e-6\n"
            "        a = f(x)\n        x[k] -= 6e-6\n        g[k] = (a - f(x)) / 6e-6\n    return g",
            1,
            "to one side of x",
        ),
        (
            "g = np.zeros_like(x)\n    for k in range(len(x)):\n        e = np.zeros_like(x)\n"
            "        e[k] = 1e-5\n        g[k] = (f(x + e) - f(x - e)) / 2e-5\n    return g",
            2,
            "moved together",
        ),
        ("return 0 * x", 0, "every value is 0"),
        ("return (f(x + 1e-5) - f(x - 1e-5)) / 2e-5", 0, "shape"),
        (
            "g = np.zeros_like(x)\n    for k in np.ndindex(x.shape):\n        e = np.zeros_like(x)\n"
            "        e[k] = 1e-5\n        g[k] = (f(x + e) - f(x - e)) / 1e-5\n    return g",
            0,
            "2 times",
        ),
        (
            "g = np.zeros_like(x)\n    for k in np.ndindex(x.shape):\n        e = np.zeros_like(x)\n"
            "        e[k] = 1e-14\n        g[k] = (f(x + e) - f(x - e)) / 2e-14\n    return g",
            0,
            "step that is too small",
        ),
        (
            "g = np.zeros_like(x)\n    for k in np.ndindex(x.shape):\n        e = np.zeros_like(x)\n"
            "        e[k] = 1e-5\n        g[k] = (f(x - e) - f(x + e)) / 2e-5\n    return g",
            0,
            "sign is wrong",
        ),
        (
            "g = np.zeros_like(x)\n    for k in np.ndindex(x.shape):\n        e = np.zeros_like(x)\n"
            "        e[k] = 0.1\n        g[k] = (f(x + e) - f(x - e)) / 0.2\n    return g",
            1,
            "or too large",
        ),
        ("return f(x)", 0, "shape"),
    ],
    ("A1.6", "my_log_loss"): [
        (
            "z, t = my_clicks()\n    return float(np.sum(np.log1p(np.exp(z)) - t * z))",
            0,
            "added up",
        ),
        *NUMBERS,
    ],
    ("A1.7", "is_right"): [
        (
            "dy = np.ones_like(forward(x))\n    n = numeric_gradient(lambda m: float(np.sum(forward(m))), x)\n    return bool(np.allclose(backward(dy, x), n))",
            3.2,
            "finds 80% of the planted mistakes. It does not notice",
        ),
        (
            "dy = np.random.default_rng(7).normal(size=np.shape(forward(x)))\n    n = numeric_gradient(lambda m: float(np.sum(dy * forward(m))), x)\n    return bool(np.allclose(np.sum(backward(dy, x)), np.sum(n)))",
            3.6,
            "finds 90% of the planted mistakes. It does not notice",
        ),
        *TESTS,
    ],
}
