"""The sides of a comparison: each is a function that makes a round of steps of a case.

A round takes `Case.steps` steps of SGD and returns the loss of its last one. Ours is one call of
`fit` with its default options: it cuts and shuffles the rows, and watches every step. Peers get
their batches ready-made. Before anything is timed, the logits of each peer are compared with ours.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import minidlrm as md
from minidlrm import kernels
from minidlrm.blocks import Blocks, Team, block_of, blocks_for, ends_of
from minidlrm.data.cutting import Rows, unread
from minidlrm.machine import cores
from minidlrm.parameter import grouped
from minidlrm.summing import add_gradients
from tests.benchmarks.cases import CROSSES, DIM, LR, Case

Round = Callable[[], float]


def ours(case: Case) -> Round:
    """One call of `fit`; everything at its defaults."""
    model, rows = case.build(), case.rows()

    def run() -> float:
        history = md.fit(
            model,
            rows,
            optimizer=md.SGD(LR),
            loss=md.BCEWithLogits(),
            batch_size=case.batch_size,
            progress=False,
        )
        return history.records[-1]["train_loss"]

    return run


def products(case: Case) -> Round:
    """The matrix products of a step alone, forward and backward, by NumPy at its defaults."""
    draw, layers = _draw(), []
    b = case.batch_size
    for _, layer in case.build().named_modules():
        if isinstance(layer, md.Linear | md.MatrixCross):
            weight = layer.weight.value
            m, n = weight.shape
            layers.append((draw(b, n), weight, *(draw(b, m), draw(b, m), draw(m, n), draw(b, n))))
    features = len(case.table_sizes) + 1 if case.model == "dlrm" else 0
    z, square = draw(b, features, DIM), draw(b, features, features)
    turned, dz = np.ascontiguousarray(z.transpose(0, 2, 1)), np.empty_like(z)

    def run() -> float:
        for _ in range(case.steps):
            for x, w, dy, y, dw, dx in layers:
                np.matmul(x, w.T, out=y)
                np.matmul(dy.T, x, out=dw)
                np.matmul(dy, w, out=dx)
            if features:
                np.matmul(z, turned, out=square)
                np.matmul(square, z, out=dz)
        return 0.0

    return run


def _draw() -> Callable[..., np.ndarray]:
    rng = np.random.default_rng(0)
    return lambda *shape: rng.normal(size=shape).astype(np.float32)


def floor(case: Case) -> Round:
    """What no arrangement of our step in blocks can save, on the threads that it has.

    Each block has its rows read, its products, one pass of the kernels for dense fields, biases and
    activations, matrix crosses and DLRM's interaction, and its loss. The rows of its tables are
    looked up, and their gradients summed. Then the sums of the blocks are added up, and all
    parameters updated. A light model has one block, and its calls: it goes forward and backward
    with one row.
    """
    model, b = case.build(), case.batch_size
    count, parameters = blocks_for(model, b), model.parameters()
    workers, sizes = min(count, cores()), np.diff(ends_of(b, count)).tolist()
    at = [(k % workers, size) for k, size in enumerate(sizes)]
    made = {key: _block_of_floor(model, key[1], case) for key in at}
    tables = [p for _, p in model.named_modules() if isinstance(p, md.EmbeddingBagCollection)]
    batches, logits = list(unread(case.rows(), b, seed=0)), np.zeros(b, np.float32)

    def walk(blocks: Blocks, batch: Rows, k: int) -> list[Any]:
        part = block_of(batch, k, count)
        if count == 1:
            blocks._pass(k, part[:1])
        else:
            loss = md.BCEWithLogits()
            loss.forward(logits[: len(part)], part.label)
            loss.backward()
        found = made[at[k]]()
        for table in tables:
            crossed = table.num_tables != part.sparse.shape[1]
            ids = model._cross_ids(part.sparse) if crossed else part.sparse
            weight, rows = table.weight.value, table.lookup(ids)[0]
            unique, order, ends = grouped(rows, len(weight))
            summed = kernels.add_groups(order, ends, kernels.gather(weight, rows), None, None)
            found[id(table.weight)] = [md.SparseGrad(unique, summed, weight.shape)]
        return [found.get(id(p)) for p in parameters]

    def run() -> float:
        with Team() as team:
            blocks = Blocks(model, md.BCEWithLogits(), team)
            for batch in batches:
                blocks._add_up(team.tree(count, partial(walk, blocks, batch), add_gradients).left())
                blocks.step(md.SGD(lr=0.0))
        return 0.0

    return run


def _block_of_floor(model: md.Model, b: int, case: Case) -> Callable[[], dict[int, Any]]:
    """Return what multiplies for a block of b rows, and goes over its arrays once.

    A layer reads what the one before it made, where the sizes fit, and made-up numbers otherwise.
    It returns the gradients of the weights and the biases.
    """
    draw, layers = _draw(), []
    for _, layer in model.named_modules():
        if isinstance(layer, md.Linear | md.MatrixCross):
            m, n = layer.weight.value.shape
            layers.append((layer, draw(b, n), draw(b, m)))
    dots = [part for _, part in model.named_modules() if isinstance(part, md.DotInteraction)]
    fields = [
        (part.dense, draw(b, len(part.dense.value)), draw(b, *part.dense.value.shape))
        for _, part in model.named_modules()
        if isinstance(part, md.layers.FieldEmbeddings) and len(part.dense.value)
    ]
    z = draw(b, len(case.table_sizes) + (case.num_dense > 0), DIM)

    def run() -> dict[int, Any]:
        y, kept, found = None, [], {}
        for v, x, z_dense in fields:
            kernels.dense_fields(z_dense, x, v.value)
        for layer, x, dy in layers:
            x = y if y is not None and y.shape == x.shape else x
            y = g = x @ layer.weight.value.T
            if isinstance(layer, md.MatrixCross):
                y = kernels.cross_matrix(x, x, g, layer.bias.value)
            else:
                kernels.add_bias(y, layer.bias.value, layer.activation == "relu")
            kept.append((layer, x, g, dy))
        if dots:
            kernels.pairs_backward(kernels.pairs(z, False), z, False)
        dx = None
        while kept:
            layer, x, g, dy = kept.pop()
            dy = dx if dx is not None and dx.shape == dy.shape else dy
            if isinstance(layer, md.MatrixCross):
                _, dz, dbias = kernels.cross_matrix_backward(dy, x, g)
            else:
                dz, dbias = kernels.bias_backward(dy, g, layer.activation == "relu")
            weight = layer.weight.value
            found[id(layer.weight)], found[id(layer.bias)] = dz.T @ x, dbias
            dx = dz @ weight if len(weight) > 1 else dz * weight
        for v, x, dz_dense in fields:
            found[id(v)], _ = kernels.dense_fields_backward(dz_dense, x, v.value)
        return found

    return run


def agree(case: Case, logits: Any) -> None:
    """Raise unless a peer's logits for the first batch are ours."""
    expected = case.build().forward(case.rows()[: case.batch_size])
    np.testing.assert_allclose(np.asarray(logits), expected, rtol=1e-3, atol=1e-4)


# PyTorch: each function takes weights by our names, dense features, and looked-up rows


def torch_table_each(case: Case) -> Round:
    """Eager; an embedding table for each feature, as most code is written."""
    return _torch(case, each=True)


def torch_one_table(case: Case) -> Round:
    """Eager; all tables in one, with offsets, as an expert writes it."""
    return _torch(case)


def torch_compiled(case: Case) -> Round:
    """The same through torch.compile."""
    import torch

    return _torch(case, torch.compile)


def _torch(case: Case, wrap: Callable = lambda function: function, each: bool = False) -> Round:
    import torch

    state = {k: torch.tensor(v) for k, v in case.build().state_dict().items()}
    tables = {name: v for name, v in state.items() if _starts(name, case) is not None}
    for name, weight in tables.items():
        sizes = np.diff(_starts(name, case)).tolist()
        parts = torch.split(weight, sizes) if each else [weight]
        state[name] = [part.clone().requires_grad_() for part in parts]
    dense = [value for name, value in state.items() if name not in tables]
    for value in dense:
        value.requires_grad_()
    leaves = [*dense, *(part for name in tables for part in state[name])]
    optimizer, loss = torch.optim.SGD(leaves, lr=LR), torch.nn.BCEWithLogitsLoss()
    batches = [_torch_batch(case, k, tables, each) for k in range(case.steps)]

    # looked up outside what is compiled: torch.compile cannot take a sparse gradient
    def looked_up(ids):
        return {name: _looked_up(state[name], ids[name]) for name in tables}

    def logits(x, rows):
        return FORWARD[case.model](torch, {**state, **rows}, x)

    forward = wrap(lambda x, rows, label: loss(logits(x, rows), label))
    with torch.no_grad():
        x, ids, _ = batches[0]
        agree(case, logits(x, looked_up(ids)))

    def run() -> float:
        for x, ids, label in batches:
            optimizer.zero_grad()
            value = forward(x, looked_up(ids), label)
            value.backward()
            optimizer.step()
        return value.item()

    return run


def _looked_up(parts: list, ids: Any) -> Any:
    """Look up ids (B, T): rows (B, T, D), from one table or from one each."""
    import torch

    find = torch.nn.functional.embedding
    if len(parts) == 1:
        return find(ids, parts[0], sparse=True)
    return torch.stack([find(ids[:, t], part, sparse=True) for t, part in enumerate(parts)], 1)


def _torch_batch(case: Case, k: int, tables: Any, each: bool) -> tuple:
    import torch

    batch = case.rows()[k * case.batch_size : (k + 1) * case.batch_size]
    ids = {name: torch.from_numpy(_ids(name, case, batch.sparse, each)) for name in tables}
    return torch.from_numpy(batch.dense), ids, torch.from_numpy(batch.label)


def _starts(name: str, case: Case) -> np.ndarray | None:
    """Return where each table of a stack of tables begins; None for a weight that is no stack."""
    if name == "crosses.weight":
        sizes = [case.table_sizes[i] * case.table_sizes[j] for i, j in CROSSES]
    elif name.endswith(("tables.weight", "embeddings.weight", "factors.weight", "biases.weight")):
        sizes = case.table_sizes
    else:
        return None
    return np.concatenate([[0], np.cumsum(sizes)])


def _ids(name: str, case: Case, ids: np.ndarray, each: bool) -> np.ndarray:
    """Return the ids of a batch as rows of a stack, or of each table."""
    if name == "crosses.weight":
        ids = np.stack([ids[:, i] * case.table_sizes[j] + ids[:, j] for i, j in CROSSES], axis=1)
    starts = _starts(name, case)
    assert starts is not None
    return ids.copy() if each else ids + starts[:-1]


def _mlp(torch, s, name, x, last=False):
    count = len({key.split(".")[-2] for key in s if key.startswith(f"{name}.layers.")})
    for k in range(count):
        weight, bias = (s[f"{name}.layers.{k}.{part}"] for part in ("weight", "bias"))
        x = torch.nn.functional.linear(x, weight, bias)
        if last or k < count - 1:
            x = torch.relu(x)
    return x


def _fields(torch, s, x, name="fields"):
    return torch.cat([x[:, :, None] * s[f"{name}.dense"], s[f"{name}.tables.weight"]], dim=1)


def _linear(torch, s, x):
    return _fields(torch, s, x, "linear.fields").sum((1, 2)) + s.get("linear.bias", 0)


def _fm(torch, s, x):
    z = _fields(torch, s, x)
    return _linear(torch, s, x) + 0.5 * (z.sum(1) ** 2 - (z**2).sum(1)).sum(1)


def _deep(torch, s, x):
    return _mlp(torch, s, "mlp", _fields(torch, s, x).flatten(1))[:, 0]


def _wide_deep(torch, s, x):
    return _linear(torch, s, x) + s["crosses.weight"].sum((1, 2)) + _deep(torch, s, x)


def _dcn(torch, s, x):
    x0 = _fields(torch, s, x).flatten(1)
    y, k = x0, 0
    while f"cross.layers.{k}.weight" in s:
        w, b = s[f"cross.layers.{k}.weight"], s[f"cross.layers.{k}.bias"]
        y = x0 * (y @ w.T) + b + y if len(w) == 1 else x0 * (y @ w.T + b) + y
        k += 1
    top = torch.cat([y, _mlp(torch, s, "deep", x0, last=True)], dim=1)
    return (top @ s["last.weight"].T + s["last.bias"])[:, 0]


def _xdeepfm(torch, s, x):
    z = _fields(torch, s, x)
    h, pooled, k = z, [], 0
    while f"cin.layers.{k}.weight" in s:
        h = torch.einsum("hij,bid,bjd->bhd", s[f"cin.layers.{k}.weight"], h, z)
        h = h + s[f"cin.layers.{k}.bias"][:, None]
        pooled.append(h.sum(2))
        k += 1
    out = torch.cat(pooled, 1) @ s["cin_last.weight"].T + s["cin_last.bias"]
    return _linear(torch, s, x) + out[:, 0] + _deep(torch, s, x)


def _dlrm(torch, s, x):
    bottom = _mlp(torch, s, "bottom", x, last=True)
    z = torch.cat([bottom[:, None], s["embeddings.weight"]], dim=1)  # (B, F, D)
    i, j = torch.tril_indices(z.shape[1], z.shape[1], -1)
    pairs = torch.bmm(z, z.transpose(1, 2))[:, i, j]
    return _mlp(torch, s, "top", torch.cat([bottom, pairs], dim=1))[:, 0]


def _mf(torch, s, x):
    p = s["factors.weight"]
    return (p[:, 0] * p[:, 1]).sum(1) + s["biases.weight"].sum((1, 2))


def _gmf(torch, s, x):
    p = s["tables.weight"]
    return ((p[:, 0] * p[:, 1]) @ s["last.weight"].T + s["last.bias"])[:, 0]


def _neumf(torch, s, x):
    p, deep = s["gmf_tables.weight"], s["mlp_tables.weight"].flatten(1)
    top = torch.cat([p[:, 0] * p[:, 1], _mlp(torch, s, "mlp", deep, last=True)], dim=1)
    return (top @ s["last.weight"].T + s["last.bias"])[:, 0]


FORWARD = {
    "lr": _linear,
    "fm": _fm,
    "mlp": _deep,
    "wide-deep": _wide_deep,
    "deepfm": lambda torch, s, x: _fm(torch, s, x) + _deep(torch, s, x),
    "dcn": _dcn,
    "dcn-v2": _dcn,
    "xdeepfm": _xdeepfm,
    "dlrm": _dlrm,
    "mf": _mf,
    "gmf": _gmf,
    "neumf": _neumf,
}


# JAX: gradients of the looked-up rows, added to a table that the step may overwrite


def jax_jit(case: Case) -> Round:
    """A DLRM; the step is one compiled function, and no gradient is as large as the table."""
    import jax
    import jax.numpy as jnp

    state = {name: jnp.asarray(value) for name, value in case.build().state_dict().items()}
    table = state.pop("embeddings.weight")
    i, j = np.tril_indices(len(case.table_sizes) + 1, -1)

    def mlp(s, name, x, last):
        count = len({key.split(".")[-2] for key in s if key.startswith(f"{name}.layers.")})
        for k in range(count):
            x = x @ s[f"{name}.layers.{k}.weight"].T + s[f"{name}.layers.{k}.bias"]
            x = jax.nn.relu(x) if last or k < count - 1 else x
        return x

    def logits(s, rows, x):
        bottom = mlp(s, "bottom", x, last=True)
        z = jnp.concatenate([bottom[:, None], rows], axis=1)
        pairs = (z @ z.transpose(0, 2, 1))[:, i, j]
        return mlp(s, "top", jnp.concatenate([bottom, pairs], axis=1), last=False)[:, 0]

    def loss(s, rows, x, label):
        y = logits(s, rows, x)
        return jnp.mean(jnp.logaddexp(0, y) - label * y)

    @jax.jit
    def first(s, table, x, ids):
        return logits(s, table[ids], x)

    def step(s, table, x, ids, label):
        value, (ds, drows) = jax.value_and_grad(loss, (0, 1))(s, table[ids], x, label)
        s = jax.tree.map(lambda w, g: w - LR * g, s, ds)
        return value, s, table.at[ids].add(-LR * drows)

    step = jax.jit(step, donate_argnums=(0, 1))
    rows, starts = case.rows(), np.concatenate([[0], np.cumsum(case.table_sizes)[:-1]])
    batches = []
    for batch in md.data.minibatches(rows, case.batch_size):
        arrays = batch.dense, (batch.sparse + starts).astype(np.int32), batch.label
        batches.append(tuple(jnp.asarray(array) for array in arrays))
    agree(case, first(state, table, *batches[0][:2]))

    def run() -> float:
        nonlocal state, table
        for batch in batches:
            value, state, table = step(state, table, *batch)
        return float(value.block_until_ready())

    return run


SIDES: dict[str, tuple[str, Callable[[Case], Round]]] = {  # name: title, function
    "ours": ("minidlrm, `fit`", ours),
    "each": ("PyTorch, a table each", torch_table_each),
    "one": ("PyTorch, all tables in one", torch_one_table),
    "compiled": ("the same, torch.compile", torch_compiled),
    "jax": ("JAX, jit", jax_jit),
    "products": ("its products alone", products),
    "floor": ("the floor of ours", floor),
}
