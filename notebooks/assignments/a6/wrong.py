"""Wrong answers to A6: the cross layers."""

from minidlrm.grading.proving import NUMBERS, TESTS

WRONG = {
    ("A6.2", "cross_forward"): [
        ("return x0 * (x @ W.T + b)", 0, "straight path"),
        ("return x0 * (x @ W.T) + x", 0, "bias is left out"),
        ("return x0 * (x @ W + b) + x", 0, "W is transposed"),
        ("return x * (x @ W.T + b) + x", 0, "factor is x"),
        ("return x0 * (x0 @ W.T + b) + x", 0, "W multiplies x0"),
        ("return x0 * (x @ W.T + b) + x0", 0, "x0 is added at the end"),
        ("return (x @ W.T + b) + x", 0, "factor x0 is left out"),
        ("return x0 * (x @ W.T) + b + x", 0, "is outside the product"),
        ("return x0 @ (x @ W.T + b).T + x[:, :1]", 0, "as a matrix"),
        ("return x0 * np.maximum(x @ W.T + b, 0) + x", 0, "ReLU that does not"),
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
            "go to the wrong arrays",
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
    ("A6.5", "my_parameters"): [
        ("L, F, D = my_sizes()\n    return L * (F * D) ** 2", 0, "biases are left out"),
        *NUMBERS,
    ],
    ("A6.6", "is_cross"): [
        (
            "x0, x, dy, W, b = (np.random.default_rng(7).normal(size=s) for s in ((5, 3), (5, 3), (5, 3), (3, 3), (3,)))\n    got = backward(dy, x0, x, W, 0 * b)\n    return bool(np.allclose(got[0], dy * (x @ W.T)))",
            0.4,
            "finds 20% of the planted mistakes. It does not notice",
        ),
        (
            "shapes = (5, 3), (5, 3), (5, 3), (3, 3), (3,)\n    got = backward(*(np.ones(s) for s in shapes))\n    return [np.shape(g) for g in got] == list(shapes[1:])",
            0,
            "finds none",
        ),
        *TESTS,
    ],
}
