"""One training step of every model against PyTorch eager, on the Criteo Kaggle feature set.

    python tests/benchmarks/models_step.py [--rows 2000000] [--seconds 5]

B = 2048, 13 dense features, 26 tables, D = 16, MLP 400-400-400, SGD; the PyTorch side is the
restatement that the oracle tests use, in float32, with sparse gradients of the tables. The
models of pairs take 100,000 users and 20,000 items, MF with D = 50, the others with D = 32.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from dlrm_step import KAGGLE, take_turns

import minidlrm as md

sys.path.insert(0, str(Path(__file__).parent.parent))
import test_models as restated

MLP = (400, 400, 400)
CROSSES = [(5, 8), (16, 19)]  # small tables, so that the crossed ones are exact
PAIR = [100_000, 20_000]
MODELS = {
    "LR": (lambda n, t: md.LogisticRegression(n, t), restated.linear),
    "FM": (lambda n, t: md.FactorizationMachine(n, t, 16), None),
    "MLP": (lambda n, t: md.MLPModel(n, t, 16, MLP), restated.mlp_torch),
    "DeepFM": (lambda n, t: md.DeepFM(n, t, 16, MLP), None),
    "DCN": (lambda n, t: md.DCN(n, t, 16, 3, "vector", MLP), restated.dcn_torch),
    "DCN v2": (lambda n, t: md.DCN(n, t, 16, 3, "matrix", MLP), restated.dcn_torch),
    "xDeepFM": (lambda n, t: md.XDeepFM(n, t, 16, (16, 16), MLP), restated.xdeepfm_torch),
    "Wide & Deep": (lambda n, t: md.WideDeep(n, t, 16, MLP, crosses=CROSSES), None),
    "MF": (lambda n, t: md.MatrixFactorization(t, 50), None),
    "GMF": (lambda n, t: md.GMF(t, 32), restated.gmf_torch),
    "NeuMF": (lambda n, t: md.NeuMF(t, 32, (64, 32, 16)), restated.neumf_torch),
}


def fm_identity(torch_, state, x, ids, sizes):
    """The FM term in O(F D), as anyone would write it in PyTorch."""
    z = restated.fields(torch_, state, x, ids, sizes)
    second = 0.5 * (z.sum(1) ** 2 - (z**2).sum(1)).sum(1)
    return restated.linear(torch_, state, x, ids, sizes) + second


def deepfm_identity(torch_, state, x, ids, sizes):
    return fm_identity(torch_, state, x, ids, sizes) + restated.mlp_torch(
        torch_, state, x, ids, sizes
    )


def wide_deep_exact(torch_, state, x, ids, sizes):
    crossed = np.stack([ids[:, i] * sizes[j] + ids[:, j] for i, j in CROSSES], axis=1)
    cross_sizes = [sizes[i] * sizes[j] for i, j in CROSSES]
    wide = sparse_lookup(torch_, state["crosses.weight"], crossed, cross_sizes).sum((1, 2))
    deep = restated.mlp_torch(torch_, state, x, ids, sizes)
    return restated.linear(torch_, state, x, ids, sizes) + wide + deep


def mf_direct(torch_, state, x, ids, sizes):
    p = sparse_lookup(torch_, state["factors.weight"], ids, sizes)
    biases = sparse_lookup(torch_, state["biases.weight"], ids, sizes)
    return (p[:, 0] * p[:, 1]).sum(1) + biases.sum((1, 2))


TWINS = {"FM": fm_identity, "DeepFM": deepfm_identity, "Wide & Deep": wide_deep_exact}
TWINS["MF"] = mf_direct


def sparse_lookup(torch_, weight, ids, sizes):
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return torch_.nn.functional.embedding(torch_.from_numpy(ids + starts), weight, sparse=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000, help="rows of all tables")
    parser.add_argument("--seconds", type=float, default=5, help="per model")
    options = parser.parse_args()
    restated.lookup = sparse_lookup
    sizes = [max(2, round(n * options.rows / sum(KAGGLE))) for n in KAGGLE]
    rng = np.random.default_rng(0)
    print("| model | minidlrm, ms | PyTorch, ms | ratio |\n| --- | --- | --- | --- |")
    for name, (make, oracle) in MODELS.items():
        pairs = name in ("MF", "GMF", "NeuMF")
        tables, num_dense = (PAIR, 0) if pairs else (sizes, 13)
        batch = random_batch(num_dense, tables, rng)
        oracle = oracle or TWINS[name]
        steps = {"ours": our_step(make(num_dense, tables), batch)}
        steps["torch"] = torch_step(make(num_dense, tables), oracle, batch, tables)
        ms = {side: 1e3 * t for side, t in take_turns(steps, options.seconds, burst=3).items()}
        ratio = ms["ours"] / ms["torch"]
        print(f"| {name} | {ms['ours']:.2f} | {ms['torch']:.2f} | {ratio:.2f} |", flush=True)


def random_batch(num_dense, tables, rng):
    return md.data.Batch(
        rng.random((2048, num_dense), dtype=np.float32),
        np.stack([rng.integers(0, n, 2048) for n in tables], axis=1),
        (rng.random(2048) < 0.25).astype(np.float32),
    )


def our_step(model, batch):
    loss, optimizer = md.BCEWithLogits(), md.SGD(lr=0.01)

    def step():
        model.zero_grad()
        loss.forward(model.forward(batch), batch.label)
        model.backward(loss.backward())
        optimizer.step(model.parameters())

    return step


def torch_step(model, oracle, batch, sizes):
    state = {k: torch.tensor(v, requires_grad=True) for k, v in model.state_dict().items()}
    loss, optimizer = torch.nn.BCEWithLogitsLoss(), torch.optim.SGD(state.values(), lr=0.01)
    dense, label = torch.from_numpy(batch.dense), torch.from_numpy(batch.label)
    logits = oracle(torch, state, dense, batch.sparse, sizes).detach().numpy()
    np.testing.assert_allclose(model.forward(batch), logits, rtol=1e-3, atol=1e-4)

    def step():
        optimizer.zero_grad()
        loss(oracle(torch, state, dense, batch.sparse, sizes), label).backward()
        optimizer.step()

    return step


if __name__ == "__main__":
    main()
