"""Random DLRMs and batches for the page, and what minidlrm makes of them in float64."""

import numpy as np

import minidlrm as md

STEPS, LR = 10, 0.02
RELATIVE = 1e-12  # of the largest entry of an array

# What the page's arithmetic makes of one case: every number of `expected`, in its order.
RUNNER = """
function runCase(content) {
  const model = js_packed.modelOf(content.model), batch = js_packed.batchOf(content.batch);
  const { forward, backward, parameters, sgdStep } = js_arithmetic, found = [];
  for (let k = 0; k <= STEPS; k++) {
    const tape = forward(model, batch), grads = backward(model, batch, tape);
    found.push(...tape.logits, tape.loss);
    if (k === 0) {
      found.push(...(grads.bottomFlow.length ? grads.bottomFlow[0].data : []), ...grads.dz.data);
      for (const array of parameters(model, grads)) found.push(...array.grad);
    }
    if (k < STEPS) sgdStep(model, grads, LR);
  }
  for (const array of parameters(model)) found.push(...array.value);
  return found;
}
""".replace("STEPS", str(STEPS)).replace("LR", str(LR))


def random_case(seed):
    """Return a model in float64 and a batch: bags, shared tables, weights and all, now and then."""
    rng = np.random.default_rng(seed)
    num_dense, tables = int(rng.integers(0, 4)), int(rng.integers(1, 5))
    sizes = rng.integers(1, 9, tables).tolist()
    if rng.random() < 0.1:
        sizes[0] = 130  # more rows than the page takes as a whole
    shared = [(1, 0)] if tables > 1 and rng.random() < 0.2 else []
    if shared:
        sizes[1] = sizes[0]
    bags, mode = rng.random() < 0.4, "mean" if rng.random() < 0.3 else "sum"
    dot = rng.random() < 0.8 or num_dense + tables == 1
    diagonal = bool(dot and (rng.random() < 0.3 or (num_dense == 0 and tables == 1)))
    model = md.DLRM(
        num_dense, sizes, int(rng.integers(2, 6)), rng.integers(3, 8, rng.integers(0, 3)).tolist(),
        rng.integers(3, 8, rng.integers(0, 3)).tolist(), interaction="dot" if dot else "cat",
        self_interaction=diagonal, shared=shared, bag_mode=mode, seed=seed,
        dtype=np.float32 if rng.random() < 0.5 else np.float64,
    )  # fmt: skip
    model.task = "ratings" if rng.random() < 0.2 else "clicks"
    return model, _batch(rng, model, sizes, bags and mode == "sum")


def _batch(rng, model, sizes, weighted):
    size, bags = int(rng.integers(2, 9)), weighted or model.embeddings.mode == "mean"
    dense = rng.normal(size=(size, model.config["num_dense"]))
    ids = np.stack([rng.integers(0, n, size) for n in sizes], axis=1)
    if bags:
        lengths = rng.integers(0, 4, size * len(sizes))
        of = np.repeat(np.repeat(sizes, size), lengths)
        weights = rng.normal(size=len(of)) if weighted and rng.random() < 0.5 else None
        ids = md.Jagged(rng.integers(0, of), np.concatenate([[0], np.cumsum(lengths)]), weights)
    ratings = model.task == "ratings"
    label = rng.normal(3, 1, size) if ratings else rng.integers(0, 2, size).astype(float)
    row_weight = rng.random(size) if rng.random() < 0.2 else None
    return md.Batch(dense, ids, label, row_weight)


def expected(case, columns):
    """Return what `runCase` must find: arrays, one after another."""
    given, batch = case
    model = given.astype(np.float64)
    places = kept_rows(model, columns)
    loss = md.MSE() if model.task == "ratings" else md.BCEWithLogits()
    optimizer, found = md.SGD(lr=LR), []
    for k in range(STEPS + 1):
        model.zero_grad()
        watched = _keep_returned(model) if k == 0 else {}
        logits = model.forward(batch)
        found += [logits, [loss.forward(logits, batch.label, batch.weight)]]
        model.backward(loss.backward())
        if k == 0:
            found += [watched.get("bottom", []), watched["dz"]]
            table, *others = (_dense(p) for p in model.parameters())
            found += [table[places], *others]
        if k < STEPS:
            optimizer.step(model.parameters())
    table, *others = (p.value for p in model.parameters())
    return [np.ravel(a).astype(float) for a in (*found, table[places], *others)]


def kept_rows(model, columns):
    """Return the rows of the model's array that the page holds, by the names of the ids."""
    found, first = [], 0
    for t, column in enumerate(columns):
        if column["shared"] is None:
            found.append(first + np.array(column["names"], int))
            first += int(np.diff(model.embeddings.starts)[t])
    return np.concatenate(found)


def _keep_returned(model):
    """Keep what the backward passes of the bottom MLP and the interaction return next."""
    watched = {}
    for name, part in (("bottom", model.bottom), ("dz", model.interaction)):
        if part is not None:
            original = type(part).backward

            def backward(dy, part=part, name=name, original=original):
                watched[name] = original(part, dy)
                return watched[name]

            part.backward = backward
    return watched


def _dense(parameter):
    grad = parameter.grad
    return grad.to_dense() if isinstance(grad, md.SparseGrad) else grad


def worst(found, arrays):
    """Return the largest error of an array relative to its largest entry."""
    assert len(found) == sum(map(len, arrays))
    errors, start = [0.0], 0
    for array in arrays:
        part = np.asarray(found[start : start + len(array)], float)
        start += len(array)
        apart, largest = np.max(np.abs(part - array), initial=0), np.max(np.abs(array), initial=0)
        errors.append(0.0 if apart == 0 else float(apart / largest) if largest else np.inf)
    return max(errors)
