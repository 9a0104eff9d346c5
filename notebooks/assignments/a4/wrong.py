"""Wrong answers to A4: the MLP and the dot interaction."""

from minidlrm.grading.proving import NUMBERS, TESTS

WRONG = {
    ("A4.2", "mlp_forward"): [
        (
            "for W, b in zip(weights, biases):\n        x = np.maximum(x @ W.T + b, 0)\n    return x",
            0,
            "after the last layer",
        ),
        (
            "for W, b in zip(weights, biases):\n        x = x @ W.T + b\n    return x",
            1,
            "ReLUs are left out",
        ),
        ("for W, b in zip(weights, biases):\n        x = x @ W + b\n    return x", 0, "ValueError"),
        (
            "for W in weights:\n        x = x @ W.T\n    return x",
            0,
            "both the biases and the ReLUs",
        ),
        (
            "for k, (W, b) in enumerate(zip(weights, biases)):\n        x = np.maximum(x, 0) @ W.T + b\n    return x",
            0,
            "applied to the input",
        ),
        ("return x @ weights[0].T + biases[0]", 1, "only the first layer"),
        (
            "for k, (W, b) in enumerate(zip(weights, biases)):\n        x = x @ W.T + b\n        if k < len(weights) - 1:\n            x = np.abs(x)\n    return x",
            1,
            "absolute value",
        ),
        (
            "for k, (W, b) in enumerate(zip(weights, biases)):\n        x = x @ W.T - b\n        if k < len(weights) - 1:\n            x = np.maximum(x, 0)\n    return x",
            0,
            "taken off, not added",
        ),
        (
            "for k, (W, b) in enumerate(zip(weights, biases)):\n        x = x @ W.T + b\n        if k < len(weights) - 1:\n            x = np.minimum(x, 0)\n    return x",
            1,
            "keeps what is below",
        ),
        (
            "for k, (W, b) in enumerate(zip(weights, biases)):\n        x = x @ W.T + b\n        if k < len(weights) - 1:\n            x = np.tanh(x)\n    return x",
            1,
            "tanh",
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
            "upper triangle",
        ),
        (
            "i, j = np.tril_indices(z.shape[1])\n    return (z @ z.transpose(0, 2, 1))[:, i, j]",
            0,
            "product of each vector with itself",
        ),
        ("return z @ z.transpose(0, 2, 1)", 0, "whole matrix"),
        (
            "i, j = np.tril_indices(z.shape[1], -1)\n    return (z @ z.transpose(0, 2, 1))[:, i, j].sum(axis=1)",
            0,
            "added up",
        ),
        (
            "i, j = np.tril_indices(z.shape[1], -1)\n    return (z @ z.transpose(0, 2, 1))[:, i, j] / 2",
            0,
            "0.5 times",
        ),
        (
            "i, j = np.tril_indices(z.shape[1], -1)\n    return np.maximum((z @ z.transpose(0, 2, 1))[:, i, j], 0)",
            0,
            "cut off",
        ),
        (
            "i, j = np.tril_indices(z.shape[1], -1)\n    return (z[:, i] * z[:, j]).mean(axis=2)",
            0,
            "mean over the entries",
        ),
        (
            "i, j = np.tril_indices(z.shape[1], -1)\n    return (z @ z.transpose(0, 2, 1))[:, i, j][:, ::-1]",
            0,
            "reverse order",
        ),
        (
            "i, j = np.tril_indices(z.shape[1], -1)\n    return z[:, i] * z[:, j]",
            0,
            "entries is missing",
        ),
        (
            "i, j = np.tril_indices(z.shape[1], -1)\n    return (z @ z.transpose(0, 2, 1))[:, i, j].T",
            0,
            "transposed",
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
    ("A4.6", "my_parameters"): [
        (
            "F, D, hidden = my_sizes()\n    sizes = [D + F * (F - 1) // 2, *hidden, 1]\n"
            "    return sum(n * m for n, m in pairwise(sizes))",
            0,
            "biases are left out",
        ),
        *NUMBERS,
    ],
    ("A4.7", "is_dot"): [
        ("return bool(np.allclose(forward(np.ones((1, 3, 1))), 1))", 0, "finds none"),
        (
            "return np.shape(forward(np.ones((2, 3, 4)))) == (2, 3)",
            0.3,
            "finds 10% of the planted mistakes. It does not notice",
        ),
        *TESTS,
    ],
}
