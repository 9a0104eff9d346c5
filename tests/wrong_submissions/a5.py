"""Wrong answers to A5: build and train a DLRM."""

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
