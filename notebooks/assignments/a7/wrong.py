"""Wrong answers to A7: across machines."""

from minidlrm.grading.proving import NUMBERS, TESTS

_PARTS = "parts = [np.split(x[s], np.cumsum(counts[s])[:-1]) for s in range(len(x))]\n    "
_BACK = (
    "counts = np.transpose(counts)\n"
    "    back = [np.split(dy[r], np.cumsum(counts[r])[:-1]) for r in range(len(dy))]\n    "
)
_ASK = "asked = exchange([ids[ids % R == r] // R for r in range(R)])\n    "
_ROWS = "rows = exchange([shard[places] for places in asked])\n    "
_PLACE = (
    "y = np.empty((len(ids), shard.shape[1]))\n"
    "    for r in range(R):\n        y[ids % R == r] = rows[r]\n    return y"
)
_GRADS = "grads = exchange([dy[ids % R == r] for r in range(R)])\n    "
_ZERO = "dshard = np.zeros_like(shard)\n    "
_ADD = (
    "for places, terms in zip(asked, grads):\n        np.add.at(dshard, places, terms)\n"
    "    return dshard"
)

WRONG = {
    ("A7.2", "all_to_all"): [
        ("return x", 0, "nothing moves"),
        (
            "counts = np.transpose(counts)\n    " + _PARTS + "return [np.concatenate([p[r] for p "
            "in parts]) for r in range(len(x))]",
            0,
            "counts is turned",
        ),
        (
            _PARTS + "return [np.concatenate([parts[s][r] for s in range(len(x)) if s != r]) for "
            "r in range(len(x))]",
            0,
            "to itself is left out",
        ),
        (
            _PARTS + "return [np.concatenate([p[r] for p in parts[::-1]]) for r in range(len(x))]",
            0,
            "the last one first",
        ),
        (
            _PARTS + "R = len(x)\n    return [np.concatenate([parts[(r + k) % R][r] for k in "
            "range(R)]) for r in range(R)]",
            0,
            "the rank itself first",
        ),
        ("return [np.concatenate(x)] * len(x)", 0, "all-gather"),
        (
            "parts = [np.array_split(each, len(x)) for each in x]\n    return [np.concatenate("
            "[p[r] for p in parts]) for r in range(len(x))]",
            0,
            "counts is not used",
        ),
        (
            "return [np.concatenate([x[s][:counts[s, r]] for s in range(len(x))]) for r in "
            "range(len(x))]",
            0,
            "begins at the first row",
        ),
        (
            _PARTS + "R = len(x)\n    return [np.concatenate([p[(r + 1) % R] for p in parts]) for "
            "r in range(R)]",
            0,
            "meant for rank r + 1",
        ),
        (_PARTS + "return parts[0]", 0, "only the rows of rank 0"),
        (_PARTS + "return np.concatenate(x)", 0, "list of 4 arrays"),
        (_PARTS, 0, "nothing"),
    ],
    ("A7.3", "all_to_all_backward"): [
        ("return all_to_all(dy, counts)", 0, "counts is not turned"),
        ("return dy", 0, "nothing moves"),
        (
            "return [g / len(dy) for g in all_to_all(dy, np.transpose(counts))]",
            0,
            "divided by the number of ranks",
        ),
        ("return [-g for g in all_to_all(dy, np.transpose(counts))]", 0, "sign"),
        ("return [0 * g for g in all_to_all(dy, np.transpose(counts))]", 0, "every value is 0"),
        (
            _BACK + "return [np.concatenate([back[r][s] * (r != s) for r in range(len(dy))]) for "
            "s in range(len(dy))]",
            0,
            "gets no gradient",
        ),
        (
            _BACK + "return [np.concatenate([b[s] for b in back[::-1]]) for s in range(len(dy))]",
            0,
            "the last one first",
        ),
        ("return [np.concatenate(dy)] * len(dy)", 0, "all-gather"),
        (
            "back = [np.array_split(each, len(dy)) for each in dy]\n    return [np.concatenate("
            "[b[s] for b in back]) for s in range(len(dy))]",
            0,
            "cut into equal parts",
        ),
        (
            _BACK + "R = len(dy)\n    return [np.concatenate([b[(s + 1) % R] for b in back]) for s "
            "in range(R)]",
            0,
            "meant for rank r + 1",
        ),
        ("return [sum(g.sum(axis=0) for g in dy)] * len(dy)", 0, "shape"),
        ("all_to_all(dy, np.transpose(counts))", 0, "nothing"),
    ],
    ("A7.4", "butterfly"): [
        (
            "total = x[0]\n    for each in x[1:]:\n        total = total + each\n"
            "    return [total] * len(x)",
            2,
            "from left to right",
        ),
        ("return [np.sum(x, axis=0)] * len(x)", 2, "from left to right"),
        (
            "total = x[-1]\n    for each in x[-2::-1]:\n        total = total + each\n"
            "    return [total] * len(x)",
            2,
            "from right to left",
        ),
        (
            "y = []\n    for r in range(len(x)):\n        y.append(x[r])\n"
            "        for k in range(1, len(x)):\n            y[r] = y[r] + x[(r + k) % len(x)]\n"
            "    return y",
            1,
            "begins with its own term",
        ),
        (
            "d = len(x) // 2\n    while d:\n        x = [x[r] + x[r ^ d] for r in range(len(x))]\n"
            "        d //= 2\n    return x",
            2,
            "far apart swap first",
        ),
        ("return [x[r] + x[r ^ 1] for r in range(len(x))]", 0, "only the first round"),
        (
            "d = 1\n    while 2 * d < len(x):\n        x = [x[r] + x[r ^ d] for r in "
            "range(len(x))]\n        d *= 2\n    return x",
            0,
            "last round is missing",
        ),
        (
            "d, x = 1, list(x)\n    while d < len(x):\n        for r in range(len(x)):\n"
            "            x[r] = x[r] + x[r ^ d]\n        d *= 2\n    return x",
            0,
            "already added up in the same round",
        ),
        (
            "d, n = 1, len(x)\n    while d < n:\n        x = [x[r] + x[r ^ d] for r in range(n)]\n"
            "        d *= 2\n    return [each / n for each in x]",
            0,
            "divided by the number of ranks",
        ),
        (
            "d, y = 1, x\n    while d < len(y):\n        y = [y[r] + y[r ^ d] for r in "
            "range(len(y))]\n        d *= 2\n    return [y[0], *x[1:]]",
            0,
            "only rank 0 has the sum",
        ),
        (
            "import math\n    total = [math.fsum(column) for column in zip(*(each.ravel() for each "
            "in x))]\n    return [np.reshape(total, x[0].shape)] * len(x)",
            2,
            "rounded once",
        ),
        ("return x", 0, "nothing is added"),
        ("return np.sum(x)", 0, "list of 8 arrays"),
    ],
    ("A7.5", "rowwise_forward"): [
        (_ASK + _ROWS + "return np.concatenate(rows)", 2, "order of their owners"),
        ("return shard[ids // R]", 0, "this rank's own shard"),
        (
            "mine = [ids[ids % R == r] // R for r in range(R)]\n    asked = exchange(mine)\n"
            "    rows = exchange([shard[places] for places in mine])\n    " + _PLACE,
            2,
            "this rank's own places",
        ),
        (
            "asked = exchange([ids[ids % R == r] for r in range(R)])\n    " + _ROWS + _PLACE,
            0,
            "has no place",
        ),
        (
            _ASK + _ROWS + "rows = rows[::-1]\n    " + _PLACE,
            2,
            "answers of the ranks are mixed up",
        ),
        (
            _ASK + _ROWS + "order = np.argsort(ids % R, kind='stable')\n    return "
            "np.concatenate(rows)[order]",
            2,
            "where its inverse belongs",
        ),
        (
            "asked = exchange([np.unique(ids[ids % R == r] // R) for r in range(R)])\n    "
            + _ROWS
            + _PLACE,
            0,
            "ValueError",
        ),
        (
            "asked = exchange([ids // R] * R)\n    " + _ROWS + "y = np.empty((len(ids), "
            "shard.shape[1]))\n    for r in range(R):\n        mine = ids % R == r\n        y[mine] "
            "= rows[r][mine]\n    return y",
            2,
            "asked for all ids",
        ),
        (
            "asked = exchange([np.sort(ids[ids % R == r] // R) for r in range(R)])\n    "
            + _ROWS
            + "y = np.empty((len(ids), shard.shape[1]))\n    for r in range(R):\n        mine = "
            "ids[ids % R == r] // R\n        y[ids % R == r] = rows[r][np.argsort(np.argsort(mine, "
            "kind='stable'))]\n    return y",
            2,
            "the places are sorted",
        ),
        (
            _ASK + "rows = exchange([shard] * R)\n    " + _PLACE,
            1,
            "the whole shard is sent to everyone",
        ),
        (_ASK + _ROWS + _PLACE.replace("return y", "return y.sum(axis=0)"), 2, "added up"),
        (_ASK + _ROWS + _PLACE.replace("return y", "return -y"), 2, "sign"),
        (_ASK + "return shard[ids // R]", 1, "called 1 times"),
    ],
    ("A7.6", "rowwise_backward"): [
        (
            _ASK + _GRADS + _ZERO + "for places, terms in zip(asked, grads):\n        "
            "dshard[places] += terms\n    return dshard",
            1,
            "the last one wins",
        ),
        (
            _ASK + _GRADS + _ZERO + "for places, terms in zip(asked, grads):\n        "
            "dshard[places] = terms\n    return dshard",
            1,
            "overwritten",
        ),
        (
            _ASK + _GRADS + _ZERO + "for places, terms in zip(asked, grads):\n        once, at = "
            "np.unique(places, return_index=True)\n        dshard[once] += terms[at]\n    return "
            "dshard",
            1,
            "the first one counts",
        ),
        (
            _ASK + _GRADS + _ZERO + _ADD.replace("return dshard", "return dshard / R"),
            1,
            "divided by the number of ranks",
        ),
        (_ASK + _GRADS + _ZERO + _ADD.replace("return dshard", "return -dshard"), 1, "sign"),
        (_ASK + _GRADS + "return 0 * shard", 1, "every value is 0"),
        (
            _ASK + _GRADS + "for places, terms in zip(asked, grads):\n        dshard = "
            "np.zeros_like(shard)\n        np.add.at(dshard, places, terms)\n    return dshard",
            1,
            "only the last rank's gradients count",
        ),
        (
            _ASK
            + _GRADS
            + _ZERO
            + "asked = [ids[ids % R == r] // R for r in range(R)]\n    "
            + _ADD,
            1,
            "places of this rank's ids",
        ),
        (
            _ASK + "grads = [dy[ids % R == r] for r in range(R)]\n    " + _ZERO + _ADD,
            0,
            "places of the others",
        ),
        (
            "asked = [ids[ids % R == r] // R for r in range(R)]\n    grads = [dy[ids % R == r] for "
            "r in range(R)]\n    " + _ZERO + _ADD,
            0,
            "only this rank's samples count",
        ),
        (
            "asked = exchange([ids[ids % R == r] for r in range(R)])\n    " + _GRADS + _ZERO + _ADD,
            0,
            "has no place",
        ),
        (
            _ASK + "exchange([dy[ids % R == r] for r in range(R)])\n    exchange([dy] * R)",
            0,
            "a third time",
        ),
    ],
    ("A7.7", "my_bytes"): [
        (
            "B, T, D, R, P = my_sizes()\n    return 8 * B * T * D + 4 * P * R * "
            "(R.bit_length() - 1)",
            0,
            "keeps for itself is counted",
        ),
        (
            "B, T, D, R, P = my_sizes()\n    return 4 * B * T * D * (R - 1) // R + 4 * P * R * "
            "(R.bit_length() - 1)",
            0,
            "way back is left out",
        ),
        (
            "B, T, D, R, P = my_sizes()\n    return 8 * B * T * D * (R - 1) // R + 8 * P * (R - 1)",
            0,
            "by a ring",
        ),
        *NUMBERS,
    ],
    ("A7.8", "is_average"): [
        (
            "g = [np.random.default_rng(r).normal(size=50) for r in range(4)]\n    got = "
            "average(g, np.array([2, 2, 2, 2]))\n    return bool(np.allclose(got[0], sum(g) / 4))",
            1,
            "It does not notice",
        ),
        (
            "g = [np.random.default_rng(r).normal(size=50) for r in range(4)]\n    got = "
            "average(g, np.array([5, 1, 3, 7]))\n    return all(np.array_equal(a, got[0]) for a in "
            "got)",
            0.8,
            "finds 40%",
        ),
        ("g = [np.ones(3)] * 4\n    return len(average(g, np.ones(4, int))) == 4", 0, "finds none"),
        *TESTS,
    ],
}
